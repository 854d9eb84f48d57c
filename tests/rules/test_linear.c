/* Vectorscan behind its small door: both alphabets, what it refuses, and time. */
#include "rules/linear.h"
#include "tests/rules/predicates.h"

struct one {
	struct linear *linear;
	struct hs_scratch *scratch;
};

static void one_done(struct one *one)
{
	linear_free(&one->linear);
	linear_scratch_free(&one->scratch);
}

static struct one one_of(const char *pattern, unsigned flags)
{
	struct one one = {0};
	ck_assert_int_eq(linear_new(text_of(pattern), flags, &one.linear), OK);
	return one;
}

static bool finds(struct one *one, const char *text)
{
	bool found = false;
	ck_assert_int_eq(linear_search(one->linear, &one->scratch, text_of(text), &found), OK);
	return found;
}

START_TEST(one_pattern_in_both_alphabets)
{
	struct one one cleanup(one_done) = one_of("^.k.$", REGEX_CASELESS);
	for (int i = 0; i < 2; i++) { /* the second time both automata are there */
		ck_assert(finds(&one, "akb"));
		ck_assert(!finds(&one, "akbb"));
		ck_assert(finds(&one, "\xc3\xa9K\xe2\x82\xac"));
		ck_assert(finds(&one, "a\xe2\x84\xaa"
				      "b"));
		ck_assert(!finds(&one, "\xc3\xa9\xc3\xa9k"));
		ck_assert(!finds(&one, ""));
	}
	struct one accent cleanup(one_done) = one_of("a\xc3\xa9?b", 0);
	ck_assert(finds(&accent, "ab")); /* ASCII text, but the pattern is not */
	ck_assert(finds(&accent, "a\xc3\xa9"
				 "b"));
	struct one empty cleanup(one_done) = one_of("", 0);
	ck_assert(finds(&empty, ""));
	ck_assert(finds(&empty, "x"));
}
END_TEST

START_TEST(too_large_is_refused_every_time)
{
	struct one one cleanup(one_done) = one_of("((a{0,500}){0,500}b){2}", 0);
	bool found = true;
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(linear_search(one.linear, &one.scratch, TEXT("ab"), &found),
				 EINVALID);
	ck_assert(found); /* untouched */
	struct linear *none = NULL;
	linear_free(&none);
}
END_TEST

START_TEST(long_text_is_no_trouble)
{
	struct one one cleanup(one_done) = one_of("^(a+)+$", 0);
	char *text = calloc(1, 65536 + 1);
	memset(text, 'a', 65536);
	ck_assert(finds(&one, text));
	text[65535] = '!';
	ck_assert(!finds(&one, text));
	free(text);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_test(tcase, one_pattern_in_both_alphabets);
	tcase_add_test(tcase, too_large_is_refused_every_time);
	tcase_add_test(tcase, long_text_is_no_trouble);
}

int main(void)
{
	return run_suite("linear", fill);
}
