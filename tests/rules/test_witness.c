/* Rules are filed where an event that matches them must pass. */
#include "tests/rules/predicates.h"

START_TEST(an_expression_is_found_by_its_literals)
{
	struct bench *b cleanup(bench_done) = bench_new();
	add_rule(b, regex_of(b, "f", "(alpha|beta)\\d", 0));
	add_rule(b, regex_of(b, NULL, "gamma\\d", 0));
	add_rule(b, regex_of(b, "f", "\\d+", 0));
	compile(b);
	struct text first = program_witness(b->program, 0, b->arena);
	ck_assert(text_equal(first, TEXT("f has 'alpha' or the like")));
	first = program_witness(b->program, 1, b->arena);
	ck_assert(text_equal(first, TEXT("any value has 'gamma'")));
	first = program_witness(b->program, 2, b->arena);
	ck_assert(text_equal(first, TEXT("f is there")));
	event_begin(b);
	put_string(b, "f", "BETA but no digit, gamma7");
	ck_assert_uint_eq(match_both(b).count, 2);
	for (size_t i = 0; i < 3; i++)
		ck_assert_uint_eq(matcher_counters(b->matcher, i)->evaluated, 1);
	event_begin(b);
	put_string(b, "f", "nothing");
	ck_assert_uint_eq(match_both(b).count, 0);
	ck_assert_uint_eq(matcher_counters(b->matcher, 0)->evaluated, 1);
	ck_assert_uint_eq(matcher_counters(b->matcher, 1)->evaluated, 1);
	ck_assert_uint_eq(matcher_counters(b->matcher, 2)->evaluated, 2);
}
END_TEST

START_TEST(every_class_is_filed_once_for_each_term)
{
	struct bench *b cleanup(bench_done) = bench_new();
	const struct expr *left = glob_of(b, "f", "left");
	const struct expr *right = glob_of(b, "f", "right");
	add_rule(b, join(b, EXPR_OR, left, right, NULL));
	add_rule(b, join(b, EXPR_AND, left, join(b, EXPR_NOT, right, NULL), NULL));
	add_rule(b, join(b, EXPR_NOT, left, NULL));
	compile(b);
	const struct program *program = b->program;
	ck_assert_uint_eq(program->consequences[left->predicate].classes.count, 2);
	ck_assert_uint_eq(program->consequences[right->predicate].classes.count, 1);
	ck_assert_uint_eq(program->always.count, 1);
	ck_assert_uint_eq(program->always.items[0], 2);
	ck_assert(program->witnesses[2].always);
	ck_assert_uint_eq(program->witnesses[0].checks.count, 2);
}
END_TEST

START_TEST(what_many_rules_look_for_is_a_poor_witness)
{
	struct bench *b cleanup(bench_done) = bench_new();
	const struct expr *common = glob_of(b, "Image", "*\\powershell.exe");
	for (unsigned i = 0; i < 300; i++)
		add_rule(b, join(b, EXPR_AND, common,
				 glob_of(b, "f", arena_print(b->arena, "*rare%u*", i).data), NULL));
	compile(b);
	ck_assert_uint_eq(b->program->consequences[common->predicate].classes.count, 0);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_test(tcase, an_expression_is_found_by_its_literals);
	tcase_add_test(tcase, every_class_is_filed_once_for_each_term);
	tcase_add_test(tcase, what_many_rules_look_for_is_a_poor_witness);
}

int main(void)
{
	return run_suite("witness", fill);
}
