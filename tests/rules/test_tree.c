/* Conditions made ready: groups of long ORs, order by cost, and the same answers as before. */
#include "tests/rules/predicates.h"

enum { LONG = 40 };

static const struct expr *long_or(struct bench *b, const char *field, const struct expr *extra)
{
	struct expr *expr = bench_alloc(b, sizeof *expr);
	*expr = (struct expr){.kind = EXPR_OR,
			      .children = bench_alloc(b, (LONG + 1) * sizeof *expr->children)};
	if (extra != NULL)
		expr->children[expr->child_count++] = extra;
	for (unsigned i = 0; i < LONG; i++)
		expr->children[expr->child_count++] =
			glob_of(b, field, arena_print(b->arena, "*value%u.", i).data);
	return expr;
}

static const struct step *steps_of(const struct bench *b, size_t rule)
{
	return b->program->classes[b->program->class_of[rule]].steps;
}

static int kind_of(const struct step *step)
{
	return (int)(step->what >> STEP_KIND_SHIFT);
}

START_TEST(a_long_or_is_one_predicate)
{
	struct bench *b cleanup(bench_done) = bench_new();
	const struct expr *values = long_or(b, "f", NULL);
	const struct expr *asked = number_of(b, "n", COMPARE_GT, 5);
	const struct expr *mixed = long_or(b, "g", asked);
	add_rule(b, values);
	add_rule(b, join(b, EXPR_NOT, values, NULL));
	add_rule(b, mixed);
	compile(b);
	ck_assert_uint_eq(b->program->group_count, 2); /* the same values twice are one group */
	const struct step *first = steps_of(b, 0);
	ck_assert_uint_eq(first->size, 1);
	ck_assert_int_eq(kind_of(first), EXPR_PREDICATE);
	ck_assert_uint_ge(first->what & STEP_OPERAND_MAX, b->program->check_count);
	ck_assert_uint_eq(steps_of(b, 2)->size, 3); /* OR, the group and what is asked */
	event_begin(b);
	put_string(b, "f", "VALUE7.");
	put_string(b, "n", "6");
	struct matches matches = match_both(b);
	ck_assert(has_rule(matches, 0) && !has_rule(matches, 1) && has_rule(matches, 2));
	event_begin(b); /* a mark does not outlive its event */
	put_string(b, "f", "value7");
	put_string(b, "n", "4");
	matches = match_both(b);
	ck_assert(!has_rule(matches, 0) && has_rule(matches, 1) && !has_rule(matches, 2));
}
END_TEST

START_TEST(cheap_questions_come_first)
{
	struct bench *b cleanup(bench_done) = bench_new();
	const struct expr *searched = regex_of(b, "f", "\\d", 0);
	const struct expr *compared = number_of(b, "n", COMPARE_GT, 5);
	const struct expr *known = glob_of(b, "f", "*abc*");
	add_rule(b, join(b, EXPR_AND, searched, compared, known, NULL));
	compile(b);
	const struct step *steps = steps_of(b, 0);
	ck_assert_int_eq(kind_of(steps), EXPR_AND);
	ck_assert_uint_eq(steps[1].what, known->predicate);
	ck_assert_uint_eq(steps[2].what, compared->predicate);
	ck_assert_uint_eq(steps[3].what, searched->predicate);
}
END_TEST

START_TEST(empty_and_single_joins_keep_their_meaning)
{
	struct bench *b cleanup(bench_done) = bench_new();
	const struct expr *one = glob_of(b, "f", "x");
	add_rule(b, join(b, EXPR_AND, NULL));                              /* true */
	add_rule(b, join(b, EXPR_OR, NULL));                               /* false */
	add_rule(b, join(b, EXPR_AND, one, NULL));                         /* one */
	add_rule(b, join(b, EXPR_NOT, join(b, EXPR_OR, one, NULL), NULL)); /* not one */
	compile(b);
	event_begin(b);
	put_string(b, "f", "x");
	struct matches matches = match_both(b);
	ck_assert(has_rule(matches, 0) && !has_rule(matches, 1));
	ck_assert(has_rule(matches, 2) && !has_rule(matches, 3));
}
END_TEST

START_TEST(copies_are_one_class)
{
	struct bench *b cleanup(bench_done) = bench_new();
	const struct expr *x = glob_of(b, "f", "x");
	const struct expr *y = regex_of(b, "g", "^y+$", 0);
	b->any_logsource = false;
	for (unsigned i = 0; i < 100; i++) {
		add_rule(b, join(b, EXPR_AND, x, y, NULL)); /* a tree of its own each time */
		add_rule(b, join(b, EXPR_OR, x, y, NULL));
		add_rule(b, join(b, EXPR_AND, x, y, NULL));
		b->detections[b->detection_count - 1].logsource.product = TEXT("other");
	}
	compile(b);
	ck_assert_uint_eq(b->program->class_count, 3);
	ck_assert_uint_eq(b->program->classes[0].rules.count, 100);
	event_begin(b);
	put_string(b, "f", "x");
	put_string(b, "g", "no");
	struct matches matches = match_both(b);
	ck_assert_uint_eq(matches.count, 100); /* each copy is told */
	for (unsigned i = 0; i < 100; i++) {
		ck_assert_uint_eq(matches.rules[i], 3 * i + 1);
		const struct rule_counters *counters = matcher_counters(b->matcher, 3 * i + 1);
		ck_assert_uint_eq(counters->matches, 1);
		ck_assert_uint_eq(counters->evaluated, 1);
		ck_assert_uint_eq(matcher_counters(b->matcher, 3 * i)->matches, 0);
		ck_assert_uint_eq(matcher_counters(b->matcher, 3 * i + 2)->candidates, 0);
	}
}
END_TEST

START_TEST(what_differs_in_one_number_is_no_copy)
{
	struct bench *b cleanup(bench_done) = bench_new();
	const struct expr *of[] = {glob_of(b, "f", "x"), glob_of(b, "g", "x"),
				   glob_of(b, "h", "x")};
	for (size_t wanted = 0; wanted <= 4; wanted++) { /* 4 of 3 never hold */
		struct expr *expr = bench_alloc(b, sizeof *expr);
		*expr = (struct expr){.kind = EXPR_AT_LEAST,
				      .children = of,
				      .child_count = 3,
				      .at_least = wanted};
		add_rule(b, expr);
	}
	compile(b);
	ck_assert_uint_eq(b->program->class_count, 5);
	event_begin(b);
	put_string(b, "f", "x");
	put_string(b, "h", "x");
	ck_assert_uint_eq(match_both(b).count, 3); /* 0, 1 and 2 of 3 */
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_test(tcase, copies_are_one_class);
	tcase_add_test(tcase, what_differs_in_one_number_is_no_copy);
	tcase_add_test(tcase, a_long_or_is_one_predicate);
	tcase_add_test(tcase, cheap_questions_come_first);
	tcase_add_test(tcase, empty_and_single_joins_keep_their_meaning);
}

int main(void)
{
	return run_suite("tree", fill);
}
