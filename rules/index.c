/* The index of one slot. Three ways to find, for a value, all checks that hold for it:
 *
 *   exact    hash of the folded value -> checks (cased ones are compared again byte by byte)
 *   numbers  hash of the number -> checks
 *   scanner  one Vectorscan automaton of a segment of each glob, its longest run of literals and
 *            dashes: for *segment* the hit is the answer, for all other shapes it is necessary and
 *            the glob is matched then.
 *   regexes  one more automaton of all portable regular expressions; it is slower, so it runs only
 *            when the first rule asks for one of them (match.c)
 *
 * Vectorscan's caseless literals know only ASCII. Needles of caseless globs are folded, and go in
 * as caseless: over ASCII text that is exact as it is. Text with other letters is scanned twice, as
 * it is for regular expressions and cased globs, and folded for the caseless ones (match.c). */
#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "rules/fold.h"
#include "rules/program_private.h"

void index_done(struct program *program)
{
	for (size_t i = 0; i < program->slot_count; i++) {
		scanner_free(&program->slots[i].scanner);
		scanner_free(&program->slots[i].regexes);
	}
	scanner_scratch_free(&program->scratch);
}

struct counts {
	size_t exact;
	size_t numbers;
	size_t scan;
	size_t regexes;
};

static struct counts *count_checks(const struct program *program)
{
	struct counts *counts = calloc(program->slot_count, sizeof *counts);
	for (size_t i = 0; counts != NULL && i < program->check_count; i++) {
		const struct check *check = &program->checks[i];
		struct counts *slot = &counts[check->slot];
		slot->exact += check->index == INDEX_EXACT;
		slot->numbers += check->index == INDEX_NUMBER;
		slot->scan += check->index == INDEX_SCAN;
		slot->regexes += check->index == INDEX_REGEX;
	}
	return counts;
}

static void counts_free(struct counts **counts)
{
	free(*counts);
}

static void patterns_free(struct scan_pattern **patterns)
{
	free(*patterns);
}

static enum status put_exact(struct program *program, uint32_t id)
{
	const struct check *check = &program->checks[id];
	struct text folded = fold_copy(check->glob.needle, program->arena);
	if (folded.data == NULL)
		return ENOMEMORY;
	table_put(&program->slots[check->slot].exact, XXH3_64bits(folded.data, folded.size), id);
	return OK;
}

static struct scan_pattern pattern_of(const struct check *check, uint32_t id)
{
	if (check->predicate->kind == PREDICATE_REGEX)
		return (struct scan_pattern){.id = id,
					     .is_regex = true,
					     .regex_flags = check->regex_flags,
					     .text = check->pattern};
	return (struct scan_pattern){.id = id,
				     .caseless = !check->glob.cased,
				     .tokens = check->glob.segment,
				     .token_count = check->glob.segment_count};
}

/* Regular expressions that Vectorscan took need PCRE2 no longer; those that it refused are
 * evaluated by PCRE2, one by one. */
static void settle_regexes(struct program *program, const struct scan_pattern *patterns,
			   size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct check *check = &program->checks[patterns[i].id];
		if (check->index != INDEX_REGEX)
			continue;
		if (patterns[i].ret_refused)
			check->index = INDEX_NONE;
		else
			regex_free(&check->regex);
	}
}

static enum status build_scanner(struct program *program, struct list ids,
				 struct scanner **ret_scanner, struct error *err)
{
	struct scan_pattern *patterns cleanup(patterns_free) = calloc(ids.count, sizeof *patterns);
	if (patterns == NULL)
		return ENOMEMORY;
	for (size_t i = 0; i < ids.count; i++)
		patterns[i] = pattern_of(&program->checks[ids.items[i]], ids.items[i]);
	enum status status = scanner_new(patterns, ids.count, ret_scanner, err);
	if (status != OK)
		return status;
	settle_regexes(program, patterns, ids.count);
	return scanner_reserve(*ret_scanner, &program->scratch);
}

/* What the scanners of a slot look for: globs in front, expressions behind them. */
struct wanted {
	uint32_t *items;
	size_t globs;
	size_t regexes;
};

static enum status make_room(struct program *program, const struct counts *counts,
			     struct wanted *wanted)
{
	for (size_t i = 0; i < program->slot_count; i++) {
		struct slot *slot = &program->slots[i];
		if (counts[i].exact > 0 &&
		    table_new(counts[i].exact, program->arena, &slot->exact) != OK)
			return ENOMEMORY;
		if (counts[i].numbers > 0 &&
		    table_new(counts[i].numbers, program->arena, &slot->numbers) != OK)
			return ENOMEMORY;
		size_t size = counts[i].scan + counts[i].regexes;
		wanted[i].items = arena_alloc(program->arena, (size + 1) * sizeof *wanted[i].items);
		if (wanted[i].items == NULL)
			return ENOMEMORY;
	}
	return OK;
}

static enum status sort_checks(struct program *program, const struct counts *counts,
			       struct wanted *wanted)
{
	for (uint32_t id = 0; id < program->check_count; id++) {
		const struct check *check = &program->checks[id];
		struct slot *slot = &program->slots[check->slot];
		struct wanted *here = &wanted[check->slot];
		if (check->index == INDEX_EXACT && put_exact(program, id) != OK)
			return ENOMEMORY;
		if (check->index == INDEX_NUMBER)
			table_put(&slot->numbers, number_hash(&check->number), id);
		if (check->index == INDEX_SCAN)
			here->items[here->globs++] = id;
		if (check->index == INDEX_REGEX)
			here->items[counts[check->slot].scan + here->regexes++] = id;
	}
	return OK;
}

static enum status build_slot(struct program *program, struct slot *slot,
			      const struct wanted *wanted, struct error *err)
{
	struct list globs = {wanted->items, wanted->globs};
	struct list regexes = {wanted->items + wanted->globs, wanted->regexes};
	enum status status = OK;
	if (globs.count <= SLOT_LIST_MAX)
		slot->few = globs;
	else
		status = build_scanner(program, globs, &slot->scanner, err);
	if (status == OK && regexes.count > 0)
		status = build_scanner(program, regexes, &slot->regexes, err);
	return status;
}

enum status index_build(struct program *program, struct error *err)
{
	struct counts *counts cleanup(counts_free) = count_checks(program);
	struct wanted *wanted = arena_alloc(program->arena, program->slot_count * sizeof *wanted);
	if (counts == NULL || wanted == NULL)
		return ENOMEMORY;
	enum status status = make_room(program, counts, wanted);
	if (status == OK)
		status = sort_checks(program, counts, wanted);
	for (size_t i = 0; i < program->slot_count && status == OK; i++) {
		assert(wanted[i].globs == counts[i].scan);
		status = build_slot(program, &program->slots[i], &wanted[i], err);
	}
	return status;
}
