/* Choosing a witness: a set of checks and fields of which one must show whenever the rule holds.
 *
 *   a check            itself, when the index finds it (a regular expression by the literals that
 *                      it requires); else its field must be there at all
 *   a and b            the better one of the witnesses of a and b
 *   a or b             both together, if both have one
 *   n of a, b, c       all together (any would do, this is enough)
 *   not a              De Morgan, down to the checks; the negation of a check has none
 *
 * An undecided check is none of the index's, so its witness is its field: no rule is lost by it.
 * Better means rarer: an exact value is rarer than a substring, a long substring rarer than a
 * short one, and what many rules look for is likely common (\powershell.exe). */
#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "rules/program_private.h"

#define SLOT_TERM 0x80000000u /* marks a term that is a slot, not a check */

enum { NEEDLE_COUNTED_MAX = 16 };

/* A candidate witness under construction: terms in the scratch arena. */
struct choice {
	uint32_t *terms;
	size_t count;
	double score;
	bool none;
	bool failed; /* out of memory */
};

struct chooser {
	const struct program *program;
	struct arena *arena; /* for one rule at a time */
	uint32_t *uses;      /* by check: how many classes name it */
};

static double check_score(const struct chooser *chooser, uint32_t id)
{
	const struct check *check = &chooser->program->checks[id];
	size_t length = check->index == INDEX_EXACT   ? check->glob.needle.size
			: check->index == INDEX_REGEX ? check->required.shortest
						      : check->glob.segment_size;
	double counted = (double)(length < NEEDLE_COUNTED_MAX ? length : NEEDLE_COUNTED_MAX);
	double score = 0;
	switch (check->index) {
	case INDEX_NONE:
		return 0;
	case INDEX_EXACT:
		score = 40 + counted;
		break;
	case INDEX_NUMBER:
		score = 50;
		break;
	case INDEX_SCAN:
		score = 5 + 3 * counted;
		break;
	case INDEX_REGEX: /* a glob is as good and costs less */
		score = 4 + 3 * counted - 3 * log2((double)check->required.count);
		break;
	}
	return score - 4 * log2((double)chooser->uses[id]);
}

static struct choice choose_check(struct chooser *chooser, uint32_t id)
{
	const struct check *check = &chooser->program->checks[id];
	enum predicate_kind kind = check->predicate->kind;
	/* Presence holds also for objects, which have no value of their own to be seen by. */
	if (kind == PREDICATE_NULL || kind == PREDICATE_EXISTS || kind == PREDICATE_SINCE)
		return (struct choice){.none = true};
	bool asked = check->index == INDEX_NONE;
	if (asked && check->slot == SLOT_ANY)
		return (struct choice){.none = true};
	struct choice choice = {.terms = arena_alloc(chooser->arena, sizeof *choice.terms),
				.count = 1,
				.score = check_score(chooser, id)};
	if (choice.terms == NULL)
		return (struct choice){.failed = true};
	choice.terms[0] = asked ? SLOT_TERM | check->slot : id;
	return choice;
}

static struct choice choose(struct chooser *chooser, const struct expr *expr, bool negated);

static struct choice choose_best(struct chooser *chooser, const struct expr *expr, bool negated)
{
	struct choice best = {.none = true};
	for (size_t i = 0; i < expr->child_count; i++) {
		struct choice one = choose(chooser, expr->children[i], negated);
		if (one.failed)
			return one;
		if (!one.none && (best.none || one.score > best.score))
			best = one;
	}
	return best;
}

static struct choice choose_union(struct chooser *chooser, const struct expr *expr, bool negated)
{
	struct choice whole = {.score = INFINITY};
	size_t capacity = 0;
	for (size_t i = 0; i < expr->child_count; i++) {
		struct choice one = choose(chooser, expr->children[i], negated);
		if (one.none || one.failed)
			return one;
		if (whole.count + one.count > capacity) {
			capacity = 2 * (whole.count + one.count);
			uint32_t *grown = arena_alloc(chooser->arena, capacity * sizeof *grown);
			if (grown == NULL)
				return (struct choice){.failed = true};
			if (whole.count > 0)
				memcpy(grown, whole.terms, whole.count * sizeof *grown);
			whole.terms = grown;
		}
		if (one.count > 0)
			memcpy(whole.terms + whole.count, one.terms, one.count * sizeof *one.terms);
		whole.count += one.count;
		whole.score = one.score < whole.score ? one.score : whole.score;
	}
	/* An empty OR is never true: a witness without terms never shows. */
	whole.score -= whole.count > 1 ? log2((double)whole.count) : 0;
	return whole;
}

static struct choice choose(struct chooser *chooser, const struct expr *expr, bool negated)
{
	switch (expr->kind) {
	case EXPR_PREDICATE:
		return negated ? (struct choice){.none = true}
			       : choose_check(chooser, expr->predicate);
	case EXPR_NOT:
		return choose(chooser, expr->children[0], !negated);
	case EXPR_AND:
		return negated ? choose_union(chooser, expr, true)
			       : choose_best(chooser, expr, false);
	case EXPR_OR:
		return negated ? choose_best(chooser, expr, true)
			       : choose_union(chooser, expr, false);
	case EXPR_AT_LEAST:
		return negated || expr->at_least == 0 ? (struct choice){.none = true}
						      : choose_union(chooser, expr, false);
	}
	assert(false && "an expression of no kind");
}

static void count_uses(struct chooser *chooser, const struct expr *expr)
{
	if (expr->kind == EXPR_PREDICATE)
		chooser->uses[expr->predicate]++;
	for (size_t i = 0; i < expr->child_count; i++)
		count_uses(chooser, expr->children[i]);
}

static enum status keep(struct program *program, struct witness *witness,
			const struct choice *choice)
{
	if (choice->none) {
		witness->always = true;
		return OK;
	}
	uint32_t *terms = arena_alloc(program->arena, (choice->count + 1) * sizeof *terms);
	if (terms == NULL)
		return ENOMEMORY;
	size_t checks = 0;
	for (size_t i = 0; i < choice->count; i++)
		if ((choice->terms[i] & SLOT_TERM) == 0)
			terms[checks++] = choice->terms[i];
	size_t slots = 0;
	for (size_t i = 0; i < choice->count; i++)
		if ((choice->terms[i] & SLOT_TERM) != 0)
			terms[checks + slots++] = choice->terms[i] & ~SLOT_TERM;
	witness->checks = (struct list){terms, checks};
	witness->slots = (struct list){terms + checks, slots};
	witness->score = choice->score;
	return OK;
}

static enum status choose_all(struct chooser *chooser, struct program *program)
{
	const struct detection *detections = program->input.detections;
	for (size_t i = 0; i < program->class_count; i++)
		count_uses(chooser, detections[program->classes[i].detection].expr);
	for (size_t i = 0; i < program->class_count; i++) {
		arena_reset(chooser->arena);
		const struct expr *expr = detections[program->classes[i].detection].expr;
		struct choice choice = choose(chooser, expr, false);
		if (choice.failed || keep(program, &program->witnesses[i], &choice) != OK)
			return ENOMEMORY;
	}
	return OK;
}

/* Turns "class -> terms" round into "term -> classes"; the list of term t is at t * stride. */
static enum status file_under(struct program *program, size_t term_count, bool slots,
			      struct list *ret_lists, size_t stride)
{
	struct arena *arena = program->arena;
	size_t *counts = arena_alloc(arena, (term_count + 1) * sizeof *counts);
	size_t total = 0;
	if (counts == NULL)
		return ENOMEMORY;
	for (size_t i = 0; i < program->class_count; i++) {
		const struct witness *witness = &program->witnesses[i];
		struct list terms = slots ? witness->slots : witness->checks;
		for (size_t k = 0; k < terms.count; k++)
			counts[terms.items[k]]++;
		total += terms.count;
	}
	uint32_t *items = arena_alloc(arena, (total + 1) * sizeof *items);
	uint32_t **ends = arena_alloc(arena, (term_count + 1) * sizeof *ends);
	if (items == NULL || ends == NULL)
		return ENOMEMORY;
	for (size_t i = 0; i < term_count; i++) {
		struct list *list = (struct list *)((char *)ret_lists + i * stride);
		*list = (struct list){items, counts[i]};
		ends[i] = items;
		items += counts[i];
	}
	for (size_t i = 0; i < program->class_count; i++) {
		const struct witness *witness = &program->witnesses[i];
		struct list terms = slots ? witness->slots : witness->checks;
		for (size_t k = 0; k < terms.count; k++)
			*ends[terms.items[k]]++ = (uint32_t)i;
	}
	return OK;
}

static enum status file_always(struct program *program)
{
	uint32_t *items = arena_alloc(program->arena, (program->class_count + 1) * sizeof *items);
	if (items == NULL)
		return ENOMEMORY;
	size_t count = 0;
	for (uint32_t i = 0; i < program->class_count; i++)
		if (program->witnesses[i].always)
			items[count++] = i;
	program->always = (struct list){items, count};
	return OK;
}

static void uses_free(uint32_t **uses)
{
	free(*uses);
}

enum status witness_build(struct program *program)
{
	struct arena *scratch cleanup(arena_free) = arena_new(1 << 30);
	uint32_t *uses cleanup(uses_free) = calloc(program->check_count + 1, sizeof *uses);
	program->witnesses = arena_alloc(program->arena,
					 (program->class_count + 1) * sizeof *program->witnesses);
	if (scratch == NULL || uses == NULL || program->witnesses == NULL)
		return ENOMEMORY;
	struct chooser chooser = {program, scratch, uses};
	enum status status = choose_all(&chooser, program);
	if (status == OK)
		status = file_under(program, program->check_count, false,
				    &program->consequences[0].classes,
				    sizeof *program->consequences);
	if (status == OK)
		status = file_under(program, program->slot_count, true, &program->slots[0].classes,
				    sizeof *program->slots);
	return status == OK ? file_always(program) : status;
}

static struct text print_check(const struct check *check, struct arena *arena)
{
	struct text name = check->slot == SLOT_ANY ? TEXT("any value") : check->predicate->field;
	switch (check->index) {
	case INDEX_EXACT:
		return arena_print(arena, "%.*s = '%.*s'", TEXT_ARG(name),
				   TEXT_ARG(check->glob.needle));
	case INDEX_NUMBER:
		return arena_print(arena, "%.*s = %.17g", TEXT_ARG(name), check->number.real);
	case INDEX_SCAN:
		return arena_print(arena, "%.*s has '%.*s'", TEXT_ARG(name),
				   TEXT_ARG(check->glob.needle));
	case INDEX_REGEX:
		return arena_print(arena, "%.*s has '%.*s'%s", TEXT_ARG(name),
				   TEXT_ARG(check->required.items[0]),
				   check->required.count > 1 ? " or the like" : "");
	case INDEX_NONE:
		break;
	}
	assert(false && "a witness that the index does not find");
}

struct text program_witness(const struct program *program, uint32_t rule_index, struct arena *arena)
{
	size_t at = 0;
	while (at < program->input.detection_count &&
	       program->input.detections[at].rule_index != rule_index)
		at++;
	if (at == program->input.detection_count)
		return TEXT("");
	const struct witness *witness = &program->witnesses[program->class_of[at]];
	size_t terms = witness->checks.count + witness->slots.count;
	if (witness->always)
		return TEXT("none: evaluated for every event of its log source");
	if (terms == 0)
		return TEXT("none: it can never match");
	struct text first =
		witness->checks.count > 0
			? print_check(&program->checks[witness->checks.items[0]], arena)
			: arena_print(arena, "%.*s is there",
				      TEXT_ARG(program->slots[witness->slots.items[0]].name));
	if (terms == 1)
		return first;
	return arena_print(arena, "%.*s, or one of %zu more", TEXT_ARG(first), terms - 1);
}
