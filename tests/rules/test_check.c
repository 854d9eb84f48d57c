/* What a predicate becomes: where the index will look for it, and what is true of one value. */
#include "tests/rules/predicates.h"

static enum check_index index_of(struct bench *b, struct predicate predicate)
{
	struct check check = {0};
	struct error err = {0};
	predicate.at = (struct position){"c.yml", 3, 4};
	ck_assert_int_eq(check_new(&predicate, b->arena, &check, &err), OK);
	enum check_index index = check.index;
	regex_free(&check.regex);
	return index;
}

static enum check_index of_glob(struct bench *b, const char *field, const char *pattern)
{
	return index_of(b, glob_predicate(b, field, text_of(pattern)));
}

static enum check_index of_regex(struct bench *b, const char *pattern)
{
	return index_of(b, (struct predicate){.kind = PREDICATE_REGEX,
					      .field = TEXT("f"),
					      .regex = {text_of(pattern), 0}});
}

START_TEST(where_the_index_looks)
{
	struct bench *b cleanup(bench_done) = bench_new();
	ck_assert_int_eq(of_glob(b, "f", "abc"), INDEX_EXACT);
	ck_assert_int_eq(of_glob(b, "f", ""), INDEX_EXACT);
	ck_assert_int_eq(of_glob(b, NULL, "abc"), INDEX_SCAN);
	ck_assert_int_eq(of_glob(b, "f", "*a?bc*"), INDEX_SCAN);
	ck_assert_int_eq(of_glob(b, "f", "~a*"), INDEX_SCAN);
	ck_assert_int_eq(of_glob(b, "f", "*a*"), INDEX_NONE);
	ck_assert_int_eq(of_glob(b, "f", "*ab\xff*"), INDEX_NONE); /* no text holds it */
	ck_assert_int_eq(of_glob(b, "f", "*?*"), INDEX_NONE);
	ck_assert_int_eq(of_glob(b, "f", "~~"), INDEX_NONE);
	ck_assert_int_eq(of_regex(b, "needle\\d+"), INDEX_REGEX);
	ck_assert_int_eq(of_regex(b, "(?i)needle(?=x)"), INDEX_REGEX);
	ck_assert_int_eq(of_regex(b, "\\d+"), INDEX_NONE);
	struct predicate number = {.kind = PREDICATE_NUMBER, .field = TEXT("f")};
	number.number.how = COMPARE_EQ;
	ck_assert_int_eq(index_of(b, number), INDEX_NUMBER);
	number.number.how = COMPARE_NEQ;
	ck_assert_int_eq(index_of(b, number), INDEX_NONE);
}
END_TEST

START_TEST(leading_flags_become_flags)
{
	struct bench *b cleanup(bench_done) = bench_new();
	struct predicate predicate = {
		.kind = PREDICATE_REGEX, .field = TEXT("f"), .regex = {TEXT("(?i)(?sm)abc"), 0}};
	struct check check = {0};
	ck_assert_int_eq(check_new(&predicate, b->arena, &check, NULL), OK);
	ck_assert(text_equal(check.pattern, TEXT("abc")));
	ck_assert_uint_eq(check.regex_flags, REGEX_CASELESS | REGEX_DOTALL | REGEX_MULTILINE);
	ck_assert(check.linear == LINEAR_EXACT);
	regex_free(&check.regex);
}
END_TEST

/* A text without the literal cannot match, so it is false however it would explode. */
START_TEST(a_required_literal_decides_before_the_limits_do)
{
	struct bench *b cleanup(bench_done) = bench_new();
	add_rule(b, regex_of(b, "f", "^(a+)+(?<!a).*needle", 0));
	compile(b);
	char text[64] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!";
	event_begin(b);
	put_string(b, "f", text);
	ck_assert_uint_eq(match_both(b).undecided_count, 0);
	memcpy(text + 47, "!needle!", 9);
	event_begin(b);
	put_string(b, "f", text);
	ck_assert_uint_eq(match_both(b).undecided_count, 1);
}
END_TEST

START_TEST(a_bad_expression_is_told_with_its_place)
{
	struct bench *b cleanup(bench_done) = bench_new();
	struct predicate predicate = {.kind = PREDICATE_REGEX,
				      .field = TEXT("f"),
				      .regex = {TEXT("a(b"), 0},
				      .at = {"c.yml", 3, 4}};
	struct check check = {0};
	struct error err = {0};
	ck_assert_int_eq(check_new(&predicate, b->arena, &check, &err), EINVALID);
	ck_assert_uint_eq(err.line, 3);
	ck_assert_ptr_null(check.predicate);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_test(tcase, where_the_index_looks);
	tcase_add_test(tcase, leading_flags_become_flags);
	tcase_add_test(tcase, a_required_literal_decides_before_the_limits_do);
	tcase_add_test(tcase, a_bad_expression_is_told_with_its_place);
}

int main(void)
{
	return run_suite("check", fill);
}
