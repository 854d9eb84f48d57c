#include <check.h>
#include <stdlib.h>

#include "tests/rules/loading.h"

/* One item of a detection, a value of field f, and whether it matches. */
struct item_case {
	const char *item;
	const char *value;
	bool matches;
};

static void items_hold(const struct item_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char lines[1024], yaml[2048];
		(void)snprintf(lines, sizeof lines, "    s:\n        %s\n    condition: s\n",
			       cases[i].item);
		struct ruleset *ruleset = rules_of(detection_of(lines, yaml, sizeof yaml));
		ck_assert_msg(matches_values(ruleset, cases[i].value, NULL) == cases[i].matches,
			      "%s against '%s' should be %d", cases[i].item,
			      cases[i].value == NULL ? "(absent)" : cases[i].value,
			      cases[i].matches);
		ruleset_free(&ruleset);
	}
}
#define HOLD(cases) items_hold(cases, sizeof(cases) / sizeof *(cases))

START_TEST(strings)
{
	static const struct item_case cases[] = {
		{"f: abc", "ABC", true},
		{"f: abc", "xabc", false},
		{"f: a*c", "abbc", true},
		{"f: a?c", "ac", false},
		{"f: a?c",
		 "a\xC3\xBC"
		 "c",
		 true},
		{"f: 'a\\*c'", "a*c", true},
		{"f: 'a\\*c'", "abc", false},
		{"f: 'a\\\\*'", "a\\bc", true},
		{"f: 'a\\\\\\*'", "a\\*", true},
		{"f: 'a\\\\\\*'", "a\\b", false},
		{"f: 'C:\\Windows'", "c:\\windows", true},
		{"f: 'x\\'", "x\\", true},
		{"f: 'x\\\\'", "x\\", true},
		{"f: '\\\\\\\\h'", "\\\\h", true},
		{"f: ''", "", true},
		{"f: ''", "x", false},
		{"f: ''", NULL, false},
		{"f: '*'", "", true},
		{"f: a*c", "a\nc", true},
		{"f|startswith: ab", "ABc", true},
		{"f|endswith: bc", "aBC", true},
		{"f|contains: b", "abc", true},
		{"f|contains: 'b*d'", "abcde", true},
		{"f|cased: abc", "ABC", false},
		{"f|contains|cased: B", "aBc", true},
		{"f|contains|all: [a, c]", "abc", true},
		{"f|contains|all: [a, d]", "abc", false},
		{"f|neq: abc", "ABC", false},
		{"f|neq: abc", NULL, true},
		{"f|neq: [a, b]", "b", false},
		{"f|neq: [a, b]", "c", true},
		{"f|contains|all|neq: [a, b]", "a", true},
		{"f: kiss", "\xE2\x84\xAAi\xC5\xBF\xC5\xBF", true},
	};
	HOLD(cases);
}
END_TEST

START_TEST(types)
{
	static const struct item_case cases[] = {
		{"f: 5", "5", true},
		{"f: 5", "5.0", true},
		{"f: 5", "05x", false},
		{"f: 15.0", "15", true},
		{"f: '5'", "5.0", false},
		{"f: true", "TRUE", true},
		{"f: null", NULL, true},
		{"f: null", "", false},
		{"f: null", "null", false},
		{"f|neq: null", NULL, false},
		{"f|neq: null", "x", true},
		{"f|exists: true", "", true},
		{"f|exists: true", NULL, false},
		{"f|exists: false", NULL, true},
		{"f|contains: 5", "a5b", true},
		{"f|gt: 5", "6", true},
		{"f|gt: 5", "5", false},
		{"f|gte: 5.5", "5.5", true},
		{"f|lt: '5'", "4", true},
		{"f|lte: 5", "abc", false},
		{"f|gt: 5", NULL, false},
		{"f|gte|all: [10, 12.5]", "12", false},
		{"f: yes", "yes", true},
		{"f: 9223372036854775808", "9223372036854775808", true},
		{"f: 9223372036854775808", "9223372036854775807", false},
	};
	HOLD(cases);
}
END_TEST

START_TEST(dashes)
{
	static const struct item_case cases[] = {
		{"f|windash|contains: ' -enc'", "x /enc", true},
		{"f|windash|contains: ' /enc'", "x -enc", true},
		{"f|contains|windash: ' -enc'",
		 "x \xE2\x80\x95"
		 "enc",
		 true},
		{"f|windash: '\xE2\x80\x93"
		 "a'",
		 "-a", true},
		{"f|windash: 'test-val'", "test/val", false},
		{"f|windash: 'test-val'", "test-val", true},
		{"f|windash: '--x'", "-/x", true},
		{"f|windash: '--x'", "//x", false},
		{"f|windash: '- x'", "/ x", false},
		{"f|windash: '*-a'", "zz/a", true},
		{"f|windash: '-a-b -c'",
		 "/a-b \xE2\x80\x94"
		 "c",
		 true},
	};
	HOLD(cases);
}
END_TEST

START_TEST(encodings)
{
	static const struct item_case cases[] = {
		{"f|base64: foobar", "Zm9vYmFy", true},
		{"f|base64: fo", "Zm8=", true},
		{"f|base64|contains: test", "x dGVzdA== y", true},
		/* "http://" at the three offsets */
		{"f|base64offset|contains: 'http://'", "aHR0cDovL3g=", true},
		{"f|base64offset|contains: 'http://'", "IGh0dHA6Ly94", true},
		{"f|base64offset|contains: 'http://'", "ICBodHRwOi8veA==", true},
		{"f|base64offset|contains: 'http://'", "aHR0cHM6Ly94", false},
		/* bytes, not characters: u-umlaut has two */
		{"f|base64offset|contains: '\xC3\xBC"
		 "ber'",
		 "w7xiZXI=", true},
		{"f|wide|base64offset|contains: 'ab'", "YQBiAA==", true},
		{"f|utf16le|base64|contains: 'ab'", "YQBiAA==", true},
		{"f|utf16be|base64|contains: 'ab'", "AGEAYg==", true},
		{"f|utf16|base64: 'ab'", "//5hAGIA", true},
		{"f|utf16le|base64: '\xF0\x9F\x94\xA5'", "Pdgl3Q==", true},
		{"f|windash|base64|contains: '-a'", "L2E=", true},
		{"f|windash|base64|contains: '-a'", "LWE=", true},
		{"f|base64: 'a\\*'", "YSo=", true},
	};
	HOLD(cases);
}
END_TEST

START_TEST(others)
{
	static const struct item_case cases[] = {
		{"f|re: 'a.c$'", "xabc", true},
		{"f|re: A", "a", false},
		{"f|re|i: A", "a", true},
		{"f|re|s: 'a.b'", "a\nb", true},
		{"f|re: 'a.b'", "a\nb", false},
		{"f|re|m: '^b'", "a\nb", true},
		{"f|re|ignorecase: 'B'", "abc", true},
		{"f|re|startswith: 'b'", "abc", false},
		{"f|re|endswith: 'b|c'", "abc", true},
		{"f|re|endswith: 'b|x'", "abc", false},
		{"f|cidr: 10.0.0.0/8", "10.1.2.3", true},
		{"f|cidr: 10.0.0.0/8", "11.1.2.3", false},
		{"f|cidr: 10.0.0.0/8", "::ffff:10.1.2.3", true},
		{"f|cidr: '2001:db8::/32'", "2001:db8::1", true},
		{"f|cidr: [10.0.0.0/8, 192.168.0.0/16]", "192.168.3.4", true},
		{"f|cidr: 10.0.0.1", "10.0.0.1", true},
		{"f|cidr: 0.0.0.0/0", "8.8.8.8", true},
		{"f|hour: 22", "2026-11-22T22:01:00Z", true},
		{"f|hour|gte: 22", "2026-11-22T23:01:00Z", true},
		{"f|hour|gte: 22", "2026-11-22T03:01:00Z", false},
		{"f|year: [2025, 2026]", "2026-11-22T23:01:00Z", true},
	};
	HOLD(cases);
}
END_TEST

START_TEST(fieldrefs)
{
	static const struct {
		const char *item, *f, *g;
		bool matches;
	} cases[] = {
		{"f|fieldref: g", "a", "A", true},
		{"f|fieldref: g", "a", "b", false},
		{"f|fieldref: g", "a", NULL, false},
		{"f|fieldref|neq: g", "a", "b", true},
		{"f|fieldref|startswith: g", "abc", "ab", true},
		{"f|fieldref|endswith: g", "abc", "bc", true},
		{"f|fieldref|contains: g", "abc", "b", true},
		{"f|contains|fieldref: g", "abc", "x", false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char lines[1024], yaml[2048];
		(void)snprintf(lines, sizeof lines, "    s:\n        %s\n    condition: s\n",
			       cases[i].item);
		struct ruleset *ruleset = rules_of(detection_of(lines, yaml, sizeof yaml));
		ck_assert_msg(matches_values(ruleset, cases[i].f, cases[i].g) == cases[i].matches,
			      "%s against %s, %s", cases[i].item, cases[i].f,
			      cases[i].g == NULL ? "(absent)" : cases[i].g);
		ruleset_free(&ruleset);
	}
}
END_TEST

/* columns count inside "        ITEM" on line 7 */
static const struct {
	const char *item;
	unsigned column;
	const char *words;
} illegal[] = {
	{"f|contain: x", 11, "did you mean 'contains'"},
	{"f|: x", 11, "a '|' without a modifier"},
	{"f|contains|re: x", 20, "must be the first"},
	{"f|i: x", 11, "only goes behind `re`"},
	{"f|re|cased: x", 14, "cannot stand together with 're'"},
	{"f|contains|base64: x", 20, "must stand before contains"},
	{"f|base64|wide: x", 18, "must stand before base64"},
	{"f|base64|windash: x", 18, "before the encodings"},
	{"f|base64|base64: x", 18, "cannot stand together"},
	{"f|startswith|endswith: x", 22, "cannot stand together with 'startswith'"},
	{"f|exists|all: [true]", 18, "cannot stand together with 'exists'"},
	{"f|exists: yes", 19, "true or false"},
	{"f|exists: [true]", 19, "takes one value"},
	{"f|cidr: 10.0.0.1/8", 17, "write 10.0.0.0/8"},
	{"f|cidr: '2001:db8::1/32'", 17, "write 2001:db8::/32"},
	{"f|cidr: 10.0.0.0/33", 17, "no network"},
	{"f|cidr: 10.0.0/8", 17, "no network"},
	{"f|cidr: 10.0.0.0/", 17, "no network"},
	{"f|gt: x", 15, "no number"},
	{"f|gt: .nan", 15, "no number"},
	{"f: .inf", 12, "no number"},
	{"f|hour: 24", 17, "from 0 to 23"},
	{"f|week: 54", 17, "from 1 to 53"},
	{"f|gte|hour: 3", 15, "hour|gte"},
	{"f|re: '['", 15, "does not compile"},
	{"f|re: a(b", 18, "does not compile"},
	{"f|re: (*LIMIT_MATCH=1)a", 15, "verb"},
	{"f|re: ''", 15, "matches everything"},
	{"f|re: 'a{,2}'", 15, "write {0,n}"},
	{"f|re: a{,2}", 16, "byte 2"},
	{"f|re: '[{,2}]\\{,2}{ 1}'", 15, "byte 12"},
	{"f|re: 'a{1, 2}'", 15, "write {0,n}"},
	{"f|re: 'a{1 ,}'", 15, "write {0,n}"},
	{"f|expand: '%Admins%'", 19, "placeholder %Admins%"},
	{"f|expand: 'C:\\%x%'", 19, "literal percent"},
	{"f|re|expand: '^%Admins%$'", 22, "placeholder"},
	{"f|base64: a*", 19, "wildcards cannot be encoded"},
	{"f|base64: ''", 19, "too short"},
	{"f|base64offset|contains: a", 34, "too short"},
	{"f|windash|base64: '-a -b -c -d'", 27, "dashes to spell out"},
	{"f: [a, null]", 16, "null must be the only value"},
	{"f|contains: null", 21, "null must be the only value"},
	{"f: []", 12, "empty list"},
	{"f: {g: 1}", 12, "not a map inside"},
	{"f: [[a]]", 13, "not a list inside"},
	{"f|fieldref: 'g*'", 21, "without wildcards"},
	{"f|fieldref: ''", 21, "no field"},
	{"'|exists': true", 9, "needs a field"},
	{"f|equalsfield: g", 11, "write fieldref"},
};

START_TEST(illegal_chains_and_values)
{
	for (size_t i = 0; i < sizeof illegal / sizeof *illegal; i++) {
		char lines[1024], yaml[2048];
		(void)snprintf(lines, sizeof lines, "    s:\n        %s\n    condition: s\n",
			       illegal[i].item);
		refused(detection_of(lines, yaml, sizeof yaml), 7, illegal[i].column,
			illegal[i].words);
	}
}
END_TEST

START_TEST(warnings)
{
	static const char *const cases[][2] = {
		{"f|hour|gte: 22", "extension of picket"},
		{"f|base64offset: abcd", "without contains"},
		{"f|all: x", "no meaning for a single value"},
		{"f|neq|neq: x", "stands twice"},
		{"f|re: '(?i)x'", "not portable"},
		{"f|re: 'a(?=b)'", "look-around"},
		{"f: yes", "a boolean for YAML 1.1"},
		{"f: 010", "an octal number for YAML 1.1"},
		{"f: 0x10", "is the number 16"},
		{"f: null", "none of its fields"},
		{"f|neq: a", "none of its fields"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char lines[1024], yaml[2048];
		(void)snprintf(lines, sizeof lines, "    s:\n        %s\n    condition: s\n",
			       cases[i][0]);
		struct ruleset *ruleset = rules_of(detection_of(lines, yaml, sizeof yaml));
		ck_assert_msg(has_warning(ruleset, cases[i][1]), "%s", cases[i][0]);
		ruleset_free(&ruleset);
	}
}
END_TEST

int main(void)
{
	TCase *cases = tcase_create("modifier");
	tcase_add_test(cases, strings);
	tcase_add_test(cases, types);
	tcase_add_test(cases, dashes);
	tcase_add_test(cases, encodings);
	tcase_add_test(cases, others);
	tcase_add_test(cases, fieldrefs);
	tcase_add_test(cases, illegal_chains_and_values);
	tcase_add_test(cases, warnings);
	return tests_run(cases);
}
