/* Regular expressions: both engines mean the same, and neither can be made to hang. */
#include <time.h>

#include "rules/fold.h"
#include "tests/rules/predicates.h"

static enum verdict search(const char *pattern, unsigned flags, struct text subject)
{
	struct regex *regex cleanup(regex_free) = NULL;
	struct regex_scratch *scratch cleanup(regex_scratch_free) = regex_scratch_new();
	struct error err = {0};
	enum status status =
		regex_new(text_of(pattern), flags, (struct position){"r.yml", 1, 1}, &regex, &err);
	ck_assert_msg(status == OK, "%s: %s", pattern, err.text);
	return regex_search(regex, scratch, subject);
}

static enum verdict find(const char *pattern, const char *subject)
{
	return search(pattern, 0, text_of(subject));
}

/* One pattern in both engines. */
struct pair {
	struct regex *regex;
	struct linear *linear;
	struct hs_scratch *scratch;
	bool taken; /* by Vectorscan */
};

static struct pair pair_new(const char *pattern, unsigned flags)
{
	struct text text = text_of(pattern);
	struct pair pair = {0};
	bool found = false;
	ck_assert_int_eq(regex_new(text, flags, (struct position){0}, &pair.regex, NULL), OK);
	ck_assert_int_eq(linear_new(text, flags, &pair.linear), OK);
	pair.taken = linear_search(pair.linear, &pair.scratch, TEXT(""), &found) == OK;
	return pair;
}

static void pair_done(struct pair *pair)
{
	regex_free(&pair->regex);
	linear_free(&pair->linear);
	linear_scratch_free(&pair->scratch);
}

START_TEST(finds_anywhere_and_by_flags)
{
	ck_assert_int_eq(find("b+", "aabbcc"), VERDICT_TRUE);
	ck_assert_int_eq(find("^b", "aabb"), VERDICT_FALSE);
	ck_assert_int_eq(find("B", "b"), VERDICT_FALSE);
	ck_assert_int_eq(search("B", REGEX_CASELESS, TEXT("b")), VERDICT_TRUE);
	ck_assert_int_eq(find("^b", "a\nb"), VERDICT_FALSE);
	ck_assert_int_eq(search("^b", REGEX_MULTILINE, TEXT("a\nb")), VERDICT_TRUE);
	ck_assert_int_eq(find("a.b", "a\nb"), VERDICT_FALSE);
	ck_assert_int_eq(search("a.b", REGEX_DOTALL, TEXT("a\nb")), VERDICT_TRUE);
	ck_assert_int_eq(find("^.$", "\xe2\x82\xac"), VERDICT_TRUE); /* one code point */
	ck_assert_int_eq(find("", ""), VERDICT_TRUE);
	ck_assert_int_eq(search("a\\x00b", 0, TEXT("a\0b")), VERDICT_TRUE);
}
END_TEST

START_TEST(what_only_pcre2_can)
{
	ck_assert_int_eq(find("(?<=a)b", "ab"), VERDICT_TRUE);
	ck_assert_int_eq(find("(?<!a)b", "ab"), VERDICT_FALSE);
	ck_assert_int_eq(find("(\\w)\\1", "abba"), VERDICT_TRUE); /* groups keep their numbers */
	ck_assert_int_eq(find("a++b", "aaab"), VERDICT_TRUE);
	ck_assert_int_eq(find("(?x) a b # comment", "ab"), VERDICT_TRUE); /* cannot be wrapped */
	ck_assert_int_eq(find("\\Qa.b", "a.b"), VERDICT_TRUE);
	ck_assert_int_eq(find("a|b", "xxb"), VERDICT_TRUE); /* the alternation is not torn apart */
}
END_TEST

START_TEST(refuses_bad_patterns_with_their_place)
{
	static const char *const bad[] = {"(",   "[a", "a{2,1}", "(*UTF)a", "(*LIMIT_MATCH=1)a",
					  "\\C", "*a", "(?P<n",  "\\1"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct regex *regex = NULL;
		struct error err = {0};
		struct position at = {"rule.yml", 7, 3};
		ck_assert_msg(regex_new(text_of(bad[i]), 0, at, &regex, &err) == EINVALID, "%s",
			      bad[i]);
		ck_assert_ptr_null(regex);
		ck_assert_str_eq(err.file, "rule.yml");
		ck_assert_uint_eq(err.line, 7);
		ck_assert_uint_gt(strlen(err.text), 0);
	}
	char nested[401];
	memset(nested, '(', 200);
	memset(nested + 200, ')', 200);
	struct regex *regex = NULL;
	ck_assert_int_eq(
		regex_new((struct text){nested, 400}, 0, (struct position){0}, &regex, NULL),
		EINVALID);
	char *huge = calloc(1, REGEX_PATTERN_MAX + 1);
	memset(huge, 'a', REGEX_PATTERN_MAX + 1);
	ck_assert_int_eq(regex_new((struct text){huge, REGEX_PATTERN_MAX + 1}, 0,
				   (struct position){0}, &regex, NULL),
			 EINVALID);
	ck_assert_int_eq(regex_new((struct text){huge, REGEX_PATTERN_MAX}, 0, (struct position){0},
				   &regex, NULL),
			 OK);
	regex_free(&regex);
	free(huge);
}
END_TEST

static double seconds(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

START_TEST(exploding_patterns_are_undecided_in_bounded_time)
{
	static const struct {
		const char *pattern;
		const char *unit;
		const char *end;
	} attacks[] = {
		{"^(a+)+$", "a", "!"},
		{"(?=x)x.*x.*y$", "x", "yx"},
		{"(.*)*\\1z", "ab", "b"},
		{"(?:id=.*)+(?!q)role=admin$", "id=", ""},
		{"(a|aa)+(?<!b)$", "a", "c"},
		{"(?x)(a+)+$ # not wrapped", "a", "b"},
		{"\\G(a+)+$|\\G(a|b|ab)*c", "ab", "a"},
	};
	for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++) {
		char subject[REGEX_SUBJECT_MAX];
		size_t used = 0;
		size_t unit = strlen(attacks[i].unit);
		while (used + unit + strlen(attacks[i].end) <= sizeof subject) {
			memcpy(subject + used, attacks[i].unit, unit);
			used += unit;
		}
		memcpy(subject + used, attacks[i].end, strlen(attacks[i].end));
		used += strlen(attacks[i].end);
		double start = seconds();
		enum verdict verdict = search(attacks[i].pattern, 0, (struct text){subject, used});
		double spent = seconds() - start;
		ck_assert_msg(verdict != VERDICT_TRUE, "%s", attacks[i].pattern);
		ck_assert_msg(spent < 1, "%s took %.3f s", attacks[i].pattern, spent);
	}
	ck_assert_int_eq(find("^(a+)+$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"),
			 VERDICT_UNDECIDED);
}
END_TEST

START_TEST(long_values_are_undecided_not_unmatched)
{
	char *subject = calloc(1, REGEX_SUBJECT_MAX + 1);
	memset(subject, 'x', REGEX_SUBJECT_MAX + 1);
	struct text most = {subject, REGEX_SUBJECT_MAX};
	struct text more = {subject, REGEX_SUBJECT_MAX + 1};
	ck_assert_int_eq(search("(?=y)y", 0, most), VERDICT_FALSE);
	subject[REGEX_SUBJECT_MAX - 1] = 'y';
	ck_assert_int_eq(search("(?=y)y", 0, most), VERDICT_TRUE);
	ck_assert_int_eq(search("(?=y)y", 0, more), VERDICT_UNDECIDED);
	free(subject);
}
END_TEST

static const char *const portable[] = {
	"a",          "a$",           "^a",       "^$",
	"",           "a.c",          "[^a]",     "\\d",
	"\\D",        "\\w",          "\\W",      "\\s",
	"\\S",        "\\bab\\b",     "\\Bb",     "a{2,3}",
	"(ab)+c?",    "(?:a|b){2}",   "k",        "s",
	"[a-k]",      "\\.",          "\xc3\xa9", "\xe2\x84\xaa",
	"[\xc3\xa9]", "[^\xc3\xa9]",  "^.$",      "^..$",
	"a\\nb",      "\\t",          "a|^b$",    ".*",
	"^.*$",       "a??b",         "x*",       "[]a]",
	"[^]a]",      "[a\\]]",       "a{",       "\\-",
	"\\/",        "\\\\",         "$",        "a\\b",
	"(a|b|)c",    "[\\s\\S]",     "\xce\xa3", "i",
	"\xc4\xb0",   "stra\xc3\x9f", "a$\\n",    "^\\s+$",
	"\\f\\r",
};
static const struct text subjects[] = {
	{"", 0},
	{"a", 1},
	{"A", 1},
	{"ab", 2},
	{"abc", 3},
	{"aabb", 4},
	{"a\nb", 3},
	{"a\n", 2},
	{"\na", 2},
	{"b\n\n", 3},
	{"a\r\nb", 4},
	{"k", 1},
	{"K", 1},
	{"\xe2\x84\xaa", 3},
	{"s", 1},
	{"\xc5\xbf", 2},
	{"\xc3\xa9", 2},
	{"\xc3\x89", 2},
	{"e", 1},
	{"1", 1},
	{" ", 1},
	{"\v", 1},
	{"\t", 1},
	{"\xc2\xa0", 2},
	{"\xe2\x80\xa8", 3},
	{"a\0b", 3},
	{"a.c", 3},
	{"a{", 2},
	{"a{,2}", 5},
	{"-", 1},
	{"/", 1},
	{"\\", 1},
	{"x", 1},
	{"]", 1},
	{"ab cd", 5},
	{"\xc3\xa9"
	 "ab\xc3\xa9",
	 6},
	{"\xcf\x83", 2},
	{"\xcf\x82", 2},
	{"\xce\xa3", 2},
	{"I", 1},
	{"\xc4\xb0", 2},
	{"\xc4\xb1", 2},
	{"STRA\xe1\xba\x9e", 7},
	{"\f\r", 2},
	{"\xf0\x9f\x98\x80", 4},
	{"\xd9\xa3", 2},
};

/* Every portable pattern, on every subject: Vectorscan says what PCRE2 says. */
START_TEST(both_engines_mean_the_same)
{
	struct regex_scratch *scratch cleanup(regex_scratch_free) = regex_scratch_new();
	size_t taken_count = 0;
	for (size_t i = 0; i < sizeof portable / sizeof *portable * 8; i++) {
		const char *pattern = portable[i / 8];
		unsigned flags = (unsigned)i % 8;
		ck_assert_msg(regex_is_portable(text_of(pattern)), "%s", pattern);
		struct pair pair cleanup(pair_done) = pair_new(pattern, flags);
		for (size_t k = 0; pair.taken && k < sizeof subjects / sizeof *subjects; k++) {
			bool hit = false;
			ck_assert_int_eq(
				linear_search(pair.linear, &pair.scratch, subjects[k], &hit), OK);
			enum verdict want = regex_search(pair.regex, scratch, subjects[k]);
			ck_assert_msg(hit == (want == VERDICT_TRUE),
				      "/%s/ flags %u on subject %zu: Vectorscan %d", pattern, flags,
				      k, hit);
			taken_count++;
		}
	}
	ck_assert_uint_gt(taken_count, 10000);
}
END_TEST

static const char *const nearly[] = {
	"(?=a)a",    "(?!a)b",        "a(?=b)",         "a(?!b)",      "(?<=a)b",
	"(?<!a)b",   "(?>a+)b",       "(a)\\1",         "(a|b)\\1",    "(.)\\1",
	"^(?=.*b)a", "^(?!.*b)",      "(?=a)(?=b)",     "(?!^)a",      "(?<!^)a",
	"(?<=\\n)a", "a(?=$)",        "(?=\\bk)",       "(a*)\\1b",    "(?:(?!a).)*",
	"(?!)",      "(?=)",          "((?=a)|b)k",     "(?<=a|bb)k",  "(?!a)|b",
	"(?>a|ab)b", "(?=(a))\\1",    "(\\w)\\1(?!k)",  "^(a+)+(?=b)", "(?<!\\s)s",
	"(?=a{2})a", "(?!\xc3\xa9).", "(?<=\xc3\xa9)b",
};

/* Where Vectorscan leaves out what it cannot do it may find too much, never too little. */
START_TEST(what_is_nearly_portable_is_never_missed)
{
	static const char *const letters[] = {"a",        "b", "k", "\n",
					      "\xc3\xa9", " ", "A", "\xe2\x84\xaa"};
	struct regex_scratch *scratch cleanup(regex_scratch_free) = regex_scratch_new();
	size_t ruled_out = 0, found = 0;
	for (size_t i = 0; i < sizeof nearly / sizeof *nearly * 8; i++) {
		const char *pattern = nearly[i / 8];
		ck_assert_msg(regex_is_nearly_portable(text_of(pattern)) &&
				      !regex_is_portable(text_of(pattern)),
			      "%s", pattern);
		struct pair pair cleanup(pair_done) = pair_new(pattern, (unsigned)i % 8);
		uint32_t random = 1;
		for (size_t k = 0; pair.taken && k < 600; k++) {
			char subject[64] = "";
			for (size_t n = random >> 28; n > 0; n--) {
				random = random * 1664525 + 1013904223;
				strcat(subject, letters[random >> 29]);
			}
			random = random * 1664525 + 1013904223;
			bool hit = false;
			struct text text = text_of(subject);
			ck_assert_int_eq(linear_search(pair.linear, &pair.scratch, text, &hit), OK);
			enum verdict want = regex_search(pair.regex, scratch, text);
			ck_assert_msg(hit || want == VERDICT_FALSE, "/%s/ flags %zu missed in '%s'",
				      pattern, i % 8, subject);
			ruled_out += !hit;
			found += want == VERDICT_TRUE;
		}
	}
	ck_assert_uint_gt(ruled_out, 10000);
	ck_assert_uint_gt(found, 10000);
}
END_TEST

START_TEST(unportable_constructs_stay_with_pcre2)
{
	static const char *const patterns[] = {
		"(?=a)", "(?!a)",   "(?<a>b)",   "(?P<a>b)", "\\1",         "\\x41",
		"\\pL",  "\\Qa\\E", "\\N{U+41}", "a(*FAIL)", "[[:alpha:]]", "\\A",
		"\\z",   "\\K",     "\\R",       "(?#c)",    "a\\",         "(?i)a",
	};
	for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
		ck_assert_msg(!regex_is_portable(text_of(patterns[i])), "%s", patterns[i]);
	ck_assert(!regex_is_portable((struct text){"a\0b", 3}));
	for (size_t i = 2; i < sizeof patterns / sizeof *patterns; i++)
		ck_assert_msg(!regex_is_nearly_portable(text_of(patterns[i])) ||
				      strcmp(patterns[i], "\\1") == 0,
			      "%s", patterns[i]);
	ck_assert(!regex_is_nearly_portable(TEXT("(a)[\\1]")));
	ck_assert(!regex_is_nearly_portable(TEXT("(a)\\11")));
	ck_assert(!regex_is_nearly_portable(TEXT("(a)(?(1)b)")));
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_test(tcase, finds_anywhere_and_by_flags);
	tcase_add_test(tcase, what_only_pcre2_can);
	tcase_add_test(tcase, refuses_bad_patterns_with_their_place);
	tcase_add_test(tcase, exploding_patterns_are_undecided_in_bounded_time);
	tcase_add_test(tcase, long_values_are_undecided_not_unmatched);
	tcase_add_test(tcase, both_engines_mean_the_same);
	tcase_add_test(tcase, what_is_nearly_portable_is_never_missed);
	tcase_add_test(tcase, unportable_constructs_stay_with_pcre2);
}

int main(void)
{
	return run_suite("pcre", fill);
}
