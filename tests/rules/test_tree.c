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
	const struct expr *first = b->program->exprs[0];
	ck_assert_int_eq(first->kind, EXPR_PREDICATE);
	ck_assert_uint_ge(first->predicate, b->program->check_count);
	ck_assert_uint_eq(b->program->exprs[2]->child_count, 2); /* the group and what is asked */
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
	const struct expr *expr = b->program->exprs[0];
	ck_assert_uint_eq(expr->children[0]->predicate, known->predicate);
	ck_assert_uint_eq(expr->children[1]->predicate, compared->predicate);
	ck_assert_uint_eq(expr->children[2]->predicate, searched->predicate);
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

static void fill(TCase *tcase)
{
	tcase_add_test(tcase, a_long_or_is_one_predicate);
	tcase_add_test(tcase, cheap_questions_come_first);
	tcase_add_test(tcase, empty_and_single_joins_keep_their_meaning);
}

int main(void)
{
	return run_suite("tree", fill);
}
