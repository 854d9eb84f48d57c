/* What a rule costs, told from how it was compiled, before any event was seen. Two questions:
 *
 *   when is its condition evaluated?  the dearest of its witness's terms says so (witness.c): the
 *                                     rule is evaluated as soon as one of them shows
 *   what may the condition run?       the dearest of its predicates (check.c)
 *
 * It is an estimate: how often a literal shows is the events' affair, a condition that is decided
 * early runs less, and an expression that turns out too large for Vectorscan runs in PCRE2. What
 * was in fact evaluated is counted by the matcher. */
#include <assert.h>

#include "rules/program_private.h"

const char *cost_finder_name(enum cost_finder finder)
{
	static const char *const names[] = {
#define COST_FINDER(id, word, doc) [COST_##id] = (word),
#include "rules/cost.def"
#undef COST_FINDER
	};
	assert((unsigned)finder < sizeof names / sizeof *names);
	return names[finder];
}

const char *cost_work_name(enum cost_work work)
{
	static const char *const names[] = {
#define COST_WORK(id, word, doc) [COST_##id] = (word),
#include "rules/cost.def"
#undef COST_WORK
	};
	assert((unsigned)work < sizeof names / sizeof *names);
	return names[work];
}

static enum cost_finder finder_of(const struct program *program, const struct witness *witness)
{
	if (witness->always)
		return COST_EVERY;
	if (witness->slots.count > 0)
		return COST_FIELD;
	enum cost_finder finder = witness->checks.count == 0 ? COST_NEVER : COST_HASH;
	for (size_t i = 0; i < witness->checks.count; i++) {
		enum check_index index = program->checks[witness->checks.items[i]].index;
		assert(index != INDEX_NONE);
		if (index != INDEX_EXACT && index != INDEX_NUMBER)
			finder = COST_LITERAL;
	}
	return finder;
}

static void add_predicates(const struct program *program, const struct expr *expr,
			   struct rule_cost *cost)
{
	for (size_t i = 0; i < expr->child_count; i++)
		add_predicates(program, expr->children[i], cost);
	if (expr->kind != EXPR_PREDICATE)
		return;
	cost->predicates++;
	const struct check *check = &program->checks[expr->predicate];
	if (check->predicate->kind != PREDICATE_REGEX)
		return;
	enum cost_work work = check->linear == LINEAR_EXACT ? COST_REGEX : COST_PCRE;
	if (work > cost->work)
		cost->work = work;
}

bool program_cost(const struct program *program, uint32_t rule_index, struct rule_cost *ret_cost)
{
	for (size_t i = 0; i < program->input.detection_count; i++) {
		const struct detection *detection = &program->input.detections[i];
		if (detection->rule_index != rule_index)
			continue;
		struct rule_cost cost = {
			.finder = finder_of(program, &program->witnesses[program->class_of[i]])};
		add_predicates(program, detection->expr, &cost);
		*ret_cost = cost;
		return true;
	}
	return false;
}
