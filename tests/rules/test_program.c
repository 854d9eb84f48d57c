/* What the compiler chooses and refuses. */
#include "tests/rules/predicates.h"

static bool witness_is(struct bench *b, uint32_t rule, const char *text)
{
	struct text witness = program_witness(b->program, rule, b->arena);
	if (text_equal(witness, text_of(text)))
		return true;
	ck_abort_msg("rule %u: '%.*s', not '%s'", rule, TEXT_ARG(witness), text);
	return false;
}

START_TEST(the_rarest_predicate_is_the_witness)
{
	struct bench *b cleanup(bench_done) = bench_new();
	const struct expr *exact = glob_of(b, "user.name", "Alice");
	const struct expr *long_needle = glob_of(b, "Image", "*\\mimikatz.exe");
	const struct expr *short_needle = glob_of(b, "Image", "*.exe");
	const struct expr *greater = number_of(b, "n", COMPARE_GT, 5);
	const struct expr *regex = regex_of(b, "CommandLine", "a+b", 0);
	const struct expr *ahead = regex_of(b, "CommandLine", "a(?=b)", 0);
	const struct expr *absent = plain_of(b, PREDICATE_NULL, "x");
	add_rule(b, join(b, EXPR_AND, short_needle, exact, long_needle, NULL));
	add_rule(b, join(b, EXPR_AND, short_needle, long_needle, NULL));
	add_rule(b, join(b, EXPR_AND, short_needle, regex, greater, NULL));
	add_rule(b, join(b, EXPR_AND, greater, absent, NULL));
	add_rule(b, join(b, EXPR_OR, exact, ahead, NULL));
	add_rule(b, absent);
	add_rule(b, join(b, EXPR_NOT, exact, NULL));
	add_rule(b, join(b, EXPR_OR, NULL));
	add_rule(b, number_of(b, "n", COMPARE_EQ, 4688));
	/* not (not a or not b) = a and b */
	add_rule(b, join(b, EXPR_NOT,
			 join(b, EXPR_OR, join(b, EXPR_NOT, long_needle, NULL),
			      join(b, EXPR_NOT, short_needle, NULL), NULL),
			 NULL));
	compile(b);
	ck_assert(witness_is(b, 0, "user.name = 'alice'"));
	ck_assert(witness_is(b, 1, "Image has '\\mimikatz.exe'"));
	ck_assert(witness_is(b, 2, "Image has '.exe'"));
	ck_assert(witness_is(b, 3, "n is there"));
	ck_assert(witness_is(b, 4, "user.name = 'alice', or one of 1 more"));
	ck_assert(witness_is(b, 5, "none: evaluated for every event of its log source"));
	ck_assert(witness_is(b, 6, "none: evaluated for every event of its log source"));
	ck_assert(witness_is(b, 7, "none: it can never match"));
	ck_assert(witness_is(b, 8, "n = 4688"));
	ck_assert(witness_is(b, 9, "Image has '\\mimikatz.exe'"));
	ck_assert_uint_eq(program_witness(b->program, 77, b->arena).size, 0);
}
END_TEST

START_TEST(only_rules_with_their_witness_are_evaluated)
{
	struct bench *b cleanup(bench_done) = bench_new();
	for (unsigned i = 0; i < 1000; i++)
		add_rule(b, glob_of(b, "Image", arena_print(b->arena, "*\\tool%u.exe", i).data));
	compile(b);
	event_begin(b);
	put_string(b, "Image", "C:\\TOOL77.exe");
	struct matches matches = match_both(b);
	ck_assert_uint_eq(matches.count, 1);
	ck_assert_uint_eq(matches.rules[0], 77);
	size_t evaluated = 0;
	for (unsigned i = 0; i < 1000; i++) {
		evaluated += matcher_counters(b->matcher, i)->evaluated;
		ck_assert_uint_eq(matcher_counters(b->matcher, i)->candidates, 1);
	}
	ck_assert_uint_eq(evaluated, 1);
}
END_TEST

START_TEST(bad_expressions_are_refused_with_their_place)
{
	struct bench *b cleanup(bench_done) = bench_new();
	add_rule(b, glob_of(b, "f", "*fine*"));
	add_rule(b, regex_of(b, "f", "fine", 0));
	add_rule(b, regex_of(b, "f", "a(b", 0));
	b->predicates[2].at = (struct position){"bad.yml", 12, 9};
	struct error err = {0};
	ck_assert_int_eq(try_compile(b, &err), EINVALID);
	ck_assert_ptr_null(b->program);
	ck_assert_str_eq(err.file, "bad.yml");
	ck_assert_uint_eq(err.line, 12);
	ck_assert_uint_eq(err.column, 9);
}
END_TEST

START_TEST(deep_conditions_are_refused_not_overflowed)
{
	struct bench *b cleanup(bench_done) = bench_new();
	const struct expr *expr = glob_of(b, "f", "x");
	for (unsigned i = 1; i < EXPR_DEPTH_MAX; i++)
		expr = join(b, EXPR_NOT, expr, NULL);
	add_rule(b, expr);
	compile(b);
	event_begin(b);
	ck_assert_uint_eq(match_both(b).count, 1); /* 255 negations of false */
	add_rule(b, join(b, EXPR_NOT, expr, NULL));
	matcher_free(&b->matcher);
	program_free(&b->program);
	struct error err = {0};
	ck_assert_int_eq(try_compile(b, &err), ELIMIT);
	ck_assert_str_eq(err.file, "test.yml");
}
END_TEST

START_TEST(expressions_that_vectorscan_refuses_still_match)
{
	struct bench *b cleanup(bench_done) = bench_new();
	add_rule(b, regex_of(b, "f", "(?i)needle\\d", 0));
	add_rule(b, regex_of(b, "f", "x{1,3000}(yz){1,3000}", 0));
	add_rule(b, regex_of(b, "f", "a++b", 0));
	add_rule(b, regex_of(b, "f", "((a{0,500}){0,500}b){2}", 0));
	add_rule(b, glob_of(b, "f", "*needle7*"));
	compile(b);
	event_begin(b);
	put_string(b, "f", "NEEDLE7 aab");
	struct matches matches = match_both(b);
	ck_assert(has_rule(matches, 0));
	ck_assert(!has_rule(matches, 1));
	ck_assert(has_rule(matches, 2));
	ck_assert(!has_rule(matches, 3));
	ck_assert(has_rule(matches, 4));
}
END_TEST

START_TEST(empty_programs)
{
	struct bench *b cleanup(bench_done) = bench_new();
	compile(b);
	event_begin(b);
	put_string(b, "f", "x");
	ck_assert_uint_eq(match_both(b).count, 0);
	struct program *none = NULL;
	program_free(&none);
	struct matcher *nobody = NULL;
	matcher_free(&nobody);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_test(tcase, the_rarest_predicate_is_the_witness);
	tcase_add_test(tcase, only_rules_with_their_witness_are_evaluated);
	tcase_add_test(tcase, bad_expressions_are_refused_with_their_place);
	tcase_add_test(tcase, deep_conditions_are_refused_not_overflowed);
	tcase_add_test(tcase, expressions_that_vectorscan_refuses_still_match);
	tcase_add_test(tcase, empty_programs);
}

int main(void)
{
	return run_suite("program", fill);
}
