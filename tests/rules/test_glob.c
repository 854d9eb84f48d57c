/* Globs against an oracle that tries everything. */
#include "rules/fold.h"
#include "tests/rules/predicates.h"

static bool match(const char *pattern, struct text subject, bool cased)
{
	struct bench *bench cleanup(bench_done) = bench_new();
	struct predicate predicate = glob_predicate(bench, "f", text_of(pattern));
	struct glob glob = {0};
	ck_assert_int_eq(glob_new(predicate.glob.tokens, predicate.glob.token_count, cased,
				  bench->arena, &glob),
			 OK);
	return glob_match(&glob, cased ? subject : fold_copy(subject, bench->arena));
}

static bool is(const char *pattern, const char *subject)
{
	return match(pattern, text_of(subject), false);
}

START_TEST(whole_values)
{
	ck_assert(is("abc", "ABC"));
	ck_assert(!is("abc", "abcd"));
	ck_assert(!is("abc", "xabc"));
	ck_assert(is("", ""));
	ck_assert(!is("", "a"));
	ck_assert(is("*", ""));
	ck_assert(is("**", "anything"));
	ck_assert(is("ab*", "ABcd"));
	ck_assert(is("*cd", "abCD"));
	ck_assert(is("*bc*", "aBcd"));
	ck_assert(!is("*bcd*", "abc"));
	ck_assert(is("a*b*c", "aXbYc"));
	ck_assert(!is("a*b*c", "ac"));
	ck_assert(!is("ab*ba", "aba")); /* both ends may not share a letter */
	ck_assert(is("a*a", "aa"));
	ck_assert(!is("a*a", "a"));
	ck_assert(is("*\n*", "a\nb"));
	ck_assert(match("a*c", TEXT("a\0c"), false));
}
END_TEST

START_TEST(cased)
{
	ck_assert(match("Ab*", TEXT("Abc"), true));
	ck_assert(!match("Ab*", TEXT("abc"), true));
	ck_assert(!match("\xe2\x84\xaa", TEXT("k"), true));
}
END_TEST

START_TEST(one_code_point)
{
	ck_assert(is("?", "\xe2\x82\xac"));
	ck_assert(!is("??", "\xe2\x82\xac"));
	ck_assert(is("a?c", "a\xf0\x9f\x98\x80"
			    "c"));
	ck_assert(!is("?", ""));
	ck_assert(is("*?", "a"));
	ck_assert(is("*?b", "\xe2\x82\xac"
			    "b"));
	ck_assert(is("?", "\n"));
}
END_TEST

START_TEST(dashes)
{
	ck_assert(is("* ~enc*", "x -enc"));
	ck_assert(is("* ~enc*", "x /ENC y"));
	ck_assert(is("* ~enc*", "x \xe2\x80\x93"
				"enc"));
	ck_assert(is("* ~enc*", "x \xe2\x80\x94"
				"enc"));
	ck_assert(is("* ~enc*", "x \xe2\x80\x95"
				"enc"));
	ck_assert(!is("* ~enc*", "x \xe2\x80\x92"
				 "enc"));
	ck_assert(!is("* ~enc*", "x +enc"));
	ck_assert(is("*~", "a\xe2\x80\x93"));
}
END_TEST

START_TEST(unicode_folding)
{
	ck_assert(is("*kiss*", "\xe2\x84\xaa"
			       "I\xc5\xbf\xc5\xbf")); /* Kelvin, long s */
	ck_assert(is("\xc3\x89t\xc3\xa9", "\xc3\xa9T\xc3\x89"));
	ck_assert(is("\xc8\xba*", "\xe2\xb1\xa5x")); /* the two sizes of one letter */
	ck_assert(!is("stra\xc3\x9f"
		      "e",
		      "STRASSE")); /* simple folding, not full */
}
END_TEST

START_TEST(shapes)
{
	static const struct {
		const char *pattern;
		enum glob_shape shape;
		const char *needle;
	} cases[] = {
		{"abc", GLOB_EXACT, "abc"},        {"", GLOB_EXACT, ""},
		{"abc*", GLOB_PREFIX, "abc"},      {"*abc", GLOB_SUFFIX, "abc"},
		{"**abc**", GLOB_CONTAINS, "abc"}, {"***", GLOB_ANY, ""},
		{"a*bcd*e", GLOB_MIXED, "bcd"},    {"?", GLOB_MIXED, ""},
		{"*a?b*", GLOB_MIXED, "a"},        {"a*b", GLOB_MIXED, "a"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct bench *bench cleanup(bench_done) = bench_new();
		struct predicate predicate = glob_predicate(bench, "f", text_of(cases[i].pattern));
		struct glob glob = {0};
		ck_assert_int_eq(glob_new(predicate.glob.tokens, predicate.glob.token_count, false,
					  bench->arena, &glob),
				 OK);
		ck_assert_msg(glob.shape == cases[i].shape, "%s", cases[i].pattern);
		ck_assert(text_equal(glob.needle, text_of(cases[i].needle)));
	}
}
END_TEST

/* Tries every split of every run. */
static bool oracle(const char *pattern, const char *subject)
{
	if (*pattern == '\0')
		return *subject == '\0';
	if (*pattern == '*')
		return oracle(pattern + 1, subject) ||
		       (*subject != '\0' && oracle(pattern, subject + 1));
	if (*subject == '\0')
		return false;
	bool fits = *pattern == '?' || *pattern == *subject ||
		    (*pattern == '~' && (*subject == '-' || *subject == '/'));
	return fits && oracle(pattern + 1, subject + 1);
}

/* The digits of `number` in a small alphabet: every short text, in turn. */
static void spell(unsigned number, const char *alphabet, char *to)
{
	unsigned base = (unsigned)strlen(alphabet) + 1;
	size_t used = 0;
	for (; number > 0; number /= base)
		if (number % base != 0)
			to[used++] = alphabet[number % base - 1];
	to[used] = '\0';
}

START_TEST(equals_the_oracle)
{
	struct bench *bench cleanup(bench_done) = bench_new();
	char pattern[16];
	char subject[16];
	for (unsigned i = 0; i < 7776; i++) {
		spell(i, "ab*?~", pattern);
		struct predicate predicate = glob_predicate(bench, "f", text_of(pattern));
		struct glob glob = {0};
		ck_assert_int_eq(glob_new(predicate.glob.tokens, predicate.glob.token_count, true,
					  bench->arena, &glob),
				 OK);
		for (unsigned k = 0; k < 64; k++) {
			spell(k * 4 + i % 4, "ab-", subject);
			ck_assert_msg(glob_match(&glob, text_of(subject)) ==
					      oracle(pattern, subject),
				      "%s on %s", pattern, subject);
		}
	}
}
END_TEST

START_TEST(no_blow_up)
{
	struct bench *bench cleanup(bench_done) = bench_new();
	char *subject = bench_alloc(bench, EVENT_VALUE_MAX);
	memset(subject, 'a', EVENT_VALUE_MAX);
	struct predicate predicate =
		glob_predicate(bench, "f", TEXT("*a*a*a*a*a*a*a*a*a*a*a?a*a*a*a*a*ab*a*"));
	struct glob glob = {0};
	ck_assert_int_eq(glob_new(predicate.glob.tokens, predicate.glob.token_count, false,
				  bench->arena, &glob),
			 OK);
	for (int i = 0; i < 100; i++)
		ck_assert(!glob_match(&glob, (struct text){subject, EVENT_VALUE_MAX}));
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_test(tcase, whole_values);
	tcase_add_test(tcase, cased);
	tcase_add_test(tcase, one_code_point);
	tcase_add_test(tcase, dashes);
	tcase_add_test(tcase, unicode_folding);
	tcase_add_test(tcase, shapes);
	tcase_add_test(tcase, equals_the_oracle);
	tcase_add_test(tcase, no_blow_up);
}

int main(void)
{
	return run_suite("glob", fill);
}
