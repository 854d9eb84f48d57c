/* Whether a condition holds. Answers are three-valued (Kleene): an undecided predicate decides
 * nothing, but `false and undecided` is false. Each predicate is evaluated at most once per event.
 *
 * There are two evaluations of different shape, so that each can be held against the other: one of
 * the steps that tree.c made, which believes the index, and one of the tree that the parser made,
 * which asks every predicate itself. */
#include <assert.h>

#include "rules/match_private.h"

static enum verdict remember(struct matcher *matcher, uint32_t id)
{
	enum verdict verdict = check_run(&matcher->program->checks[id], id, &matcher->reading);
	matcher->memo[id] = matcher->generation << 2 | verdict;
	return verdict;
}

static enum verdict negated(enum verdict verdict)
{
	if (verdict == VERDICT_UNDECIDED)
		return verdict;
	return verdict == VERDICT_TRUE ? VERDICT_FALSE : VERDICT_TRUE;
}

/* ---- steps ---- */

static inline enum verdict answer(struct matcher *matcher, uint32_t id)
{
	uint32_t memo = matcher->memo[id];
	bool known = memo >> 2 == matcher->generation;
	if (known && (memo & 3) != MEMO_POSSIBLE)
		return (enum verdict)(memo & 3);
	if (id >= matcher->program->check_count)
		return VERDICT_FALSE; /* a group without a hit */
	/* The index has found everything that is true, and all expressions that may be. */
	if (!known && matcher->program->checks[id].index != INDEX_NONE)
		return VERDICT_FALSE;
	return remember(matcher, id);
}

static enum verdict evaluate_join(struct matcher *matcher, const struct step *step);

static inline enum verdict evaluate(struct matcher *matcher, const struct step *step)
{
	return step->what >> STEP_KIND_SHIFT == EXPR_PREDICATE
		       ? answer(matcher, step->what & STEP_OPERAND_MAX)
		       : evaluate_join(matcher, step);
}

/* AND stops at the first false, OR at the first true; undecided is what is left over. */
static enum verdict evaluate_list(struct matcher *matcher, const struct step *step,
				  enum verdict deciding)
{
	enum verdict result = deciding == VERDICT_TRUE ? VERDICT_FALSE : VERDICT_TRUE;
	const struct step *end = step + step->size;
	for (const struct step *child = step + 1; child < end; child += child->size) {
		enum verdict one = evaluate(matcher, child);
		if (one == deciding)
			return deciding;
		if (one == VERDICT_UNDECIDED)
			result = VERDICT_UNDECIDED;
	}
	return result;
}

static enum verdict evaluate_at_least(struct matcher *matcher, const struct step *step)
{
	size_t wanted = step->what & STEP_OPERAND_MAX;
	size_t held = 0;
	size_t undecided = 0;
	const struct step *end = step + step->size;
	for (const struct step *child = step + 1; child < end && held < wanted;
	     child += child->size) {
		enum verdict one = evaluate(matcher, child);
		held += one == VERDICT_TRUE;
		undecided += one == VERDICT_UNDECIDED;
	}
	if (held >= wanted)
		return VERDICT_TRUE;
	return held + undecided >= wanted ? VERDICT_UNDECIDED : VERDICT_FALSE;
}

static enum verdict evaluate_join(struct matcher *matcher, const struct step *step)
{
	switch ((enum expr_kind)(step->what >> STEP_KIND_SHIFT)) {
	case EXPR_PREDICATE:
		break; /* evaluate() has answered */
	case EXPR_AND:
		return evaluate_list(matcher, step, VERDICT_FALSE);
	case EXPR_OR:
		return evaluate_list(matcher, step, VERDICT_TRUE);
	case EXPR_AT_LEAST:
		return evaluate_at_least(matcher, step);
	case EXPR_NOT:
		return negated(evaluate(matcher, step + 1));
	}
	assert(false && "a step of no kind");
}

enum verdict matcher_evaluate(struct matcher *matcher, const struct step *steps)
{
	return evaluate(matcher, steps);
}

/* ---- trees ---- */

static enum verdict evaluate_join_plainly(struct matcher *matcher, const struct expr *expr)
{
	size_t count = expr->child_count;
	size_t needed = expr->kind == EXPR_AND ? count : expr->kind == EXPR_OR ? 1 : expr->at_least;
	size_t holds = 0;
	size_t may = count; /* children that hold or may yet */
	for (size_t i = 0; i < count && holds < needed && may >= needed; i++) {
		enum verdict one = matcher_evaluate_plainly(matcher, expr->children[i]);
		holds += one == VERDICT_TRUE;
		may -= one == VERDICT_FALSE;
	}
	if (holds >= needed)
		return VERDICT_TRUE;
	return may >= needed ? VERDICT_UNDECIDED : VERDICT_FALSE;
}

enum verdict matcher_evaluate_plainly(struct matcher *matcher, const struct expr *expr)
{
	if (expr->kind == EXPR_NOT)
		return negated(matcher_evaluate_plainly(matcher, expr->children[0]));
	if (expr->kind != EXPR_PREDICATE)
		return evaluate_join_plainly(matcher, expr);
	uint32_t memo = matcher->memo[expr->predicate];
	return memo >> 2 == matcher->generation ? (enum verdict)(memo & 3)
						: remember(matcher, expr->predicate);
}
