/* Literals that an expression requires: the ones meant, and never one that a match may lack. */
#include <stdio.h>

#include "rules/fold.h"
#include "rules/required.h"
#include "tests/rules/predicates.h"

static bool requires(const char *pattern, const char *wanted)
{
	struct bench *b cleanup(bench_done) = bench_new();
	struct required found = required_of(text_of(pattern), b->arena);
	struct text list = TEXT("");
	for (size_t i = 0; i < found.count; i++)
		list = arena_print(b->arena, "%.*s%s%.*s", TEXT_ARG(list), i == 0 ? "" : "|",
				   TEXT_ARG(found.items[i]));
	bool equal = text_equal(list, text_of(wanted));
	if (!equal)
		(void)fprintf(stderr, "/%s/ requires '%.*s', not '%s'\n", pattern, TEXT_ARG(list),
			      wanted);
	return equal;
}

START_TEST(finds_what_every_match_holds)
{
	static const char *const cases[][2] = {
		{"PowerShell", "powershell"},
		{"a\\.exe", "a.exe"},
		{"^abc\\d+longer$", "longer"},
		{"ab(?:longest)?cde", "cde"},
		{"abcd+e", "abcd"},
		{"abcd*ef", "abc"},
		{"abc{2}", "abc"},
		{"abcd{0,3}", "abc"},
		{"(abc|defg)", "abc|defg"},
		{"(abc|defg){2,}x", "abc|defg"},
		{"(Get-Item|gci).{1,64}-Path", "-path"},
		{"(?i)Needle", "needle"},
		{"(?i:Needle)s", "needle"},
		{"abc(?=longest)def", "abc"},
		{"abc(?!longest)", "abc"},
		{"(?<!longest)abc", "abc"},
		{"[longest]abc", "abc"},
		{"[]abcd]xyz", "xyz"},
		{"abc\\ddefg", "defg"},
		{"abc\xc3\xa9?x", "abc"},
		{"abc\\\\def", "abc\\def"},
		{"abc|def|", ""},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		ck_assert_msg(requires(cases[i][0], cases[i][1]), "case %zu", i);
}
END_TEST

START_TEST(gives_up_rather_than_guess)
{
	static const char *const patterns[] = {
		"",
		"ab",
		"a|bcd",
		"\\Qabc|d\\E",
		"abc{2}{0}",
		"(?x)a b c d",
		"abc{,2}d",
		"abcd{x}",
		"(?<n>abc)",
		"(?P<n>abcd)",
		"(?(1)abcd|e)",
		"abc(?#d)",
		"\\x41bcdef",
		"[[:alpha:]abc",
		"(*UTF)abcdef",
		"(abc",
		"abc)",
		"[abc",
		"abc\\",
		"(abc)?",
	};
	for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
		ck_assert_msg(requires(patterns[i], ""), "%s", patterns[i]);
}
END_TEST

/* Random expressions of a small alphabet against PCRE2: what matches holds a required literal. */
START_TEST(no_match_lacks_its_literals)
{
	static const char *const parts[] = {"abc",   "b",    "[ab]", "(abc|bca)", "c+",  "a?",
					    "(?:",   ")",    "|",    "abca{2}",   ".",   "cab",
					    "(?!c",  "^",    "$",    "*",         "\\.", "bcab",
					    "{1,2}", "(?i)", "(?=",  "\\b"};
	enum { PARTS = sizeof parts / sizeof *parts };
	struct regex_scratch *scratch cleanup(regex_scratch_free) = regex_scratch_new();
	uint64_t state = 20261122;
	size_t matches = 0;
	for (size_t round = 0; round < 60000; round++) {
		struct regex *regex cleanup(regex_free) = NULL;
		char pattern[128] = "";
		char subject[32] = "";
		for (size_t i = 0; i < 7; i++, state = state * 6364136223846793005u + 1442695u)
			strcat(pattern, parts[(state >> 33) % PARTS]);
		for (size_t i = 0; i < 24; i++, state = state * 6364136223846793005u + 1442695u)
			subject[i] = "abcABC."[(state >> 33) % 7];
		if (regex_new(text_of(pattern), 0, (struct position){0}, &regex, NULL) != OK ||
		    regex_search(regex, scratch, text_of(subject)) != VERDICT_TRUE)
			continue;
		struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
		struct required required = required_of(text_of(pattern), arena);
		matches += required.count > 0;
		ck_assert_msg(required_stand_in(&required, fold_copy(text_of(subject), arena)),
			      "/%s/ matches '%s'", pattern, subject);
	}
	ck_assert_uint_gt(matches, 50);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_test(tcase, finds_what_every_match_holds);
	tcase_add_test(tcase, gives_up_rather_than_guess);
	tcase_add_test(tcase, no_match_lacks_its_literals);
}

int main(void)
{
	return run_suite("required", fill);
}
