/* What a rule is said to cost is what the matcher then does. */
#include "tests/rules/predicates.h"

static const struct expr *none_of(struct bench *b, const struct expr *expr)
{
	return join(b, EXPR_NOT, expr, NULL);
}

static void expect(const struct bench *b, uint32_t rule, const char *finder, const char *work,
		   size_t predicates)
{
	struct rule_cost cost;
	ck_assert(program_cost(b->program, rule, &cost));
	ck_assert_str_eq(cost_finder_name(cost.finder), finder);
	ck_assert_str_eq(cost_work_name(cost.work), work);
	ck_assert_uint_eq(cost.predicates, predicates);
}

START_TEST(the_dearest_term_of_the_witness_finds)
{
	struct bench *b cleanup(bench_done) = bench_new();
	const struct expr *value = glob_of(b, "f", "whole");
	const struct expr *number = number_of(b, "n", COMPARE_EQ, 7);
	const struct expr *part = glob_of(b, "f", "*some part*");
	const struct expr *greater = number_of(b, "n", COMPARE_GT, 7);
	const struct expr *null = plain_of(b, PREDICATE_NULL, "f");
	add_rule(b, value);
	add_rule(b, join(b, EXPR_OR, value, number, NULL));
	add_rule(b, join(b, EXPR_OR, value, part, NULL));
	add_rule(b, join(b, EXPR_AND, greater, part, NULL));
	add_rule(b, greater);
	add_rule(b, join(b, EXPR_OR, value, greater, NULL));
	add_rule(b, none_of(b, value));
	add_rule(b, null);
	add_rule(b, join(b, EXPR_OR, NULL));
	compile(b);
	expect(b, 0, "hash", "compare", 1);
	expect(b, 1, "hash", "compare", 2);
	expect(b, 2, "literal", "compare", 2);
	expect(b, 3, "literal", "compare", 2);
	expect(b, 4, "field", "compare", 1);
	expect(b, 5, "field", "compare", 2);
	expect(b, 6, "every", "compare", 1);
	expect(b, 7, "every", "compare", 1);
	expect(b, 8, "never", "compare", 0);
}
END_TEST

START_TEST(the_dearest_predicate_is_what_runs)
{
	struct bench *b cleanup(bench_done) = bench_new();
	const struct expr *value = glob_of(b, "f", "whole");
	const struct expr *linear = regex_of(b, "f", "(alpha|beta)\\d", 0);
	const struct expr *vague = regex_of(b, "f", "\\d+", 0);
	const struct expr *back = regex_of(b, "f", "(gamma)\\1", 0);
	const struct expr *behind = regex_of(b, "f", "(?<=x)delta", 0);
	add_rule(b, linear);
	add_rule(b, vague);
	add_rule(b, join(b, EXPR_AND, value, none_of(b, back), NULL));
	add_rule(b, behind);
	add_rule(b, join(b, EXPR_AND, back, linear, value, NULL));
	compile(b);
	expect(b, 0, "literal", "regex", 1);
	expect(b, 1, "field", "regex", 1);
	expect(b, 2, "hash", "pcre", 2);
	expect(b, 3, "literal", "pcre", 1);
	expect(b, 4, "hash", "pcre", 3);
}
END_TEST

START_TEST(the_matcher_looks_when_it_says)
{
	struct bench *b cleanup(bench_done) = bench_new();
	const struct expr *value = glob_of(b, "f", "whole");
	add_rule(b, value);
	add_rule(b, regex_of(b, "f", "\\d+", 0));
	add_rule(b, none_of(b, value));
	compile(b);
	static const char *const found_by[] = {"hash", "field", "every"};
	event_begin(b);
	put_string(b, "g", "nothing they read");
	(void)match_both(b);
	event_begin(b);
	put_string(b, "f", "other");
	(void)match_both(b);
	event_begin(b);
	put_string(b, "f", "whole");
	(void)match_both(b);
	for (uint32_t i = 0; i < 3; i++) {
		expect(b, i, found_by[i], i == 1 ? "regex" : "compare", 1);
		ck_assert_uint_eq(matcher_counters(b->matcher, i)->evaluated, i + 1);
	}
}
END_TEST

START_TEST(a_correlation_has_none)
{
	struct ruleset *ruleset cleanup(ruleset_free) = NULL;
	struct error err = {0};
	struct rule_cost cost;
	const struct ruleset_options options = {0};
	enum status status = ruleset_parse(
		&options,
		TEXT("title: One\nname: one\nlogsource: {product: p}\n"
		     "detection: {s: {a: b}, condition: s}\nlevel: low\n---\n"
		     "title: Many\nname: many\nlevel: low\n"
		     "correlation: {type: event_count, rules: [one], group-by: [a], timespan: 1h, "
		     "condition: {gte: 2}}\n"),
		"test.yml", &ruleset, &err);
	ck_assert_msg(status == OK, "%s", err.text);
	for (size_t i = 0; i < ruleset_count(ruleset); i++)
		ck_assert_int_eq(ruleset_cost(ruleset, i, &cost),
				 ruleset_rule(ruleset, i)->correlation == NULL);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_test(tcase, the_dearest_term_of_the_witness_finds);
	tcase_add_test(tcase, the_dearest_predicate_is_what_runs);
	tcase_add_test(tcase, the_matcher_looks_when_it_says);
	tcase_add_test(tcase, a_correlation_has_none);
}

int main(void)
{
	return run_suite("cost", fill);
}
