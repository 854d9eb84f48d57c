#include <check.h>
#include <stdlib.h>

#include "tests/rules/loading.h"

#define HEAD      "title: t\nname: r\nlevel: low\nlogsource: {category: c}\n"
#define DETECTION "detection: {s: {f: x}, condition: s}\n"

START_TEST(documents)
{
	refused("", 1, 1, "no rule here");
	refused("# only a comment\n", 1, 1, "no rule here");
	refused("--- \n---\n", 1, 1, "no rule here");
	refused("- a\n", 1, 1, "a rule is a map");
	refused(HEAD, 1, 1, "no detection, correlation or filter");
	refused(HEAD "detektion: {}\n", 5, 1, "did you mean 'detection'");
	refused("action: global\n" HEAD DETECTION, 1, 9, "removed in Sigma 2.0");
	refused(HEAD DETECTION "filter: {}\n", 1, 1, "one of detection, correlation and filter");
	refused(HEAD DETECTION "sigma-version: x\n", 6, 16, "sigma-version");
	struct ruleset *ruleset = rules_of(HEAD DETECTION "---\n");
	ck_assert_uint_eq(ruleset_count(ruleset), 1);
	ruleset_free(&ruleset);
}
END_TEST

START_TEST(metadata)
{
	static const struct {
		const char *lines;
		unsigned line, column;
		const char *words;
	} cases[] = {
		{"level: low\n", 1, 1, "no title"},
		{"title: [a]\n", 1, 8, "title must be text"},
		{"title: ''\n", 1, 8, "title is empty"},
		{"title: t\nid: no-uuid\n", 2, 5, "no UUID"},
		{"title: t\nid: 12345678-1234-1234-1234-12345678901g\n", 2, 5, "no UUID"},
		{"title: t\nname: 123\n", 2, 7, "must be text"},
		{"title: t\nstatus: bad\n", 2, 9, "status 'bad'"},
		{"title: t\nlevel: hihg\n", 2, 8, "did you mean 'high'"},
		{"title: t\nlevel: 3\n", 2, 8, "level '3'"},
		{"title: t\nreferences: x\n", 2, 13, "must be a list"},
		{"title: t\nreferences: [x, x]\n", 2, 17, "twice"},
		{"title: t\ntags: [Attack.t1]\n", 2, 8, "namespace.value"},
		{"title: t\ntags: [attack]\n", 2, 8, "namespace.value"},
		{"title: t\ntags: [a.b, a.b]\n", 2, 13, "twice"},
		{"title: t\ndate: '2024-13-01'\n", 2, 7, "no date"},
		{"title: t\nmodified: 2024-1-1\n", 2, 11, "no date"},
		{"title: t\nrelated: {id: x}\n", 2, 10, "must be a list"},
		{"title: t\nrelated: [{id: 123, type: derived}]\n", 2, 16, "no UUID"},
		{"title: t\nrelated: [{type: derived}]\n", 2, 11, "needs id and type"},
		{"title: t\nauthor: [a]\n", 2, 9, "must be text"},
		{"title: t\ntaxonomy: ''\n", 2, 11, "empty"},
		{"title: t\nfields: f\n", 2, 9, "must be a list"},
		{"title: t\nfalsepositives: [[a]]\n", 2, 18, "must hold texts"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char yaml[1024];
		(void)snprintf(yaml, sizeof yaml, "%slogsource: {category: c}\n" DETECTION,
			       cases[i].lines);
		refused(yaml, cases[i].line, cases[i].column, cases[i].words);
	}
	char yaml[2048] = "title: ";
	memset(yaml + 7, 'x', 257);
	strcpy(yaml + 264, "\nlogsource: {category: c}\n" DETECTION);
	refused(yaml, 1, 8, "257 bytes");
}
END_TEST

START_TEST(logsources)
{
	refused("title: t\n" DETECTION, 1, 1, "no logsource");
	refused("title: t\nlogsource: windows\n" DETECTION, 2, 12, "must be a map");
	refused("title: t\nlogsource: {definition: d}\n" DETECTION, 2, 12, "neither category");
	refused("title: t\nlogsource: {category: 3}\n" DETECTION, 2, 23, "must be text");
	struct ruleset *ruleset =
		rules_of("title: t\nlogsource: {product: Linux, servise: x}\n" DETECTION);
	ck_assert(has_warning(ruleset, "small letters"));
	ck_assert(has_warning(ruleset, "did you mean 'service'"));
	ck_assert(has_warning(ruleset, "no level"));
	ck_assert(has_warning(ruleset, "no tests"));
	ck_assert_int_eq(ruleset_rule(ruleset, 0)->level, LEVEL_MEDIUM);
	ruleset_free(&ruleset);
}
END_TEST

START_TEST(selections)
{
	static const struct {
		const char *lines;
		const char *words;
	} cases[] = {
		{"    condition: s\n", "no selection here"},
		{"    s: {f: x}\n", "no condition here"},
		{"    s: {}\n    condition: s\n", "selection is empty"},
		{"    s: []\n    condition: s\n", "selection is empty"},
		{"    s:\n    condition: s\n", "null must be the only value"},
		{"    s: {f: x}\n    condition: sel\n", "which is no selection"},
		{"    sele: {f: x}\n    condition: sel\n", "did you mean 'sele'"},
		{"    s: {f: x}\n    condition: 1 of sel_*\n", "no selection fits"},
		{"    _s: {f: x}\n    condition: 1 of them\n", "no selection fits"},
		{"    s: {f: x}\n    condition: 2 of them\n", "can never hold"},
		{"    s: {f: x}\n    condition: []\n", "list of conditions is empty"},
		{"    s: {f: x}\n    condition: {a: b}\n", "condition must be text"},
		{"    and: {f: x}\n    condition: and\n", "a word of the condition"},
		{"    s: {f: x}\n    timeframe: 5m\n    condition: s\n", "removed in Sigma 2.0"},
		{"    s: {f: x}\n    condition: s | count() > 5\n", "aggregations were removed"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char yaml[2048];
		refused(detection_of(cases[i].lines, yaml, sizeof yaml), 0, 0, cases[i].words);
	}
	refused("title: t\nlogsource: {category: c}\ndetection: hello\n", 3, 12, "must be a map");
	refused("title: t\nsigma-version: 3\nlogsource: {category: c}\ndetection:\n"
		"    s:\n        'f[any]': x\n    condition: s\n",
		6, 10, "array scopes");
}
END_TEST

START_TEST(structures)
{
	static const struct {
		const char *lines;
		const char *f, *g;
		bool matches;
	} cases[] = {
		{"    s: {f: x, g: y}\n    condition: s\n", "x", "y", true},
		{"    s: {f: x, g: y}\n    condition: s\n", "x", "z", false},
		{"    s: {f: [x, y]}\n    condition: s\n", "y", NULL, true},
		{"    s: [{f: x}, {g: y}]\n    condition: s\n", "z", "y", true},
		{"    s: [{f: x, g: y}, {g: z}]\n    condition: s\n", "x", "q", false},
		{"    s: [foo, bar]\n    condition: s\n", "a BAR b", NULL, true},
		{"    s: foo\n    condition: s\n", "a", "xfoox", true},
		{"    s: {'|all': [foo, bar]}\n    condition: s\n", "foo", "bar", true},
		{"    s: {'|all': [foo, bar]}\n    condition: s\n", "foo", "x", false},
		{"    s: {'|startswith': foo}\n    condition: s\n", "xfoo", NULL, false},
		{"    s: {'|re': '^fo+$'}\n    condition: s\n", "a", "foo", true},
		{"    s: [foo, {f: x}]\n    condition: s\n", "x", NULL, true},
		{"    s: [4104]\n    condition: s\n", "id 4104 seen", NULL, true},
		{"    a: {f: x}\n    b: {g: y}\n    condition: [a, b]\n", "z", "y", true},
		{"    a: {f: x}\n    b: {g: y}\n    condition: not a and b\n", "x", "y", false},
		{"    a: {f: x}\n    b: {g: y}\n    condition: not a and b\n", NULL, "y", true},
		{"    a: {f: x}\n    b: {g: y}\n    _c: {f: z}\n    condition: all of them\n", "x",
		 "y", true},
		{"    s1: {f: x}\n    s2: {g: y}\n    s3: {f: z}\n    condition: 2 of s*\n", "x",
		 "y", true},
		{"    s1: {f: x}\n    s2: {g: y}\n    s3: {f: z}\n    condition: 2 of s*\n", "z",
		 "q", false},
		{"    _h: {f: x}\n    condition: 1 of _*\n", "x", NULL, true},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char yaml[2048];
		struct ruleset *ruleset = rules_of(detection_of(cases[i].lines, yaml, sizeof yaml));
		ck_assert_msg(matches_values(ruleset, cases[i].f, cases[i].g) == cases[i].matches,
			      "case %zu: %s", i, cases[i].lines);
		ruleset_free(&ruleset);
	}
	struct ruleset *ruleset =
		rules_of(HEAD "titel: x\n"
			      "detection: {s: {f: x}, u: {f: y}, condition: s}\n");
	ck_assert(has_warning(ruleset, "selection 'u' is not used"));
	ck_assert(has_warning(ruleset, "did you mean 'title'"));
	ruleset_free(&ruleset);
}
END_TEST

#define PICKET(lines) HEAD DETECTION "picket:\n" lines

START_TEST(handling)
{
	struct ruleset *ruleset = rules_of(PICKET(
		"    dedup: {by: [enduser.id, f], for: 30m}\n    suppress: {for: 6h}\n"
		"    tenant: {scope: cross-tenant}\n    stage: shadow\n    gate: {canary: block}\n"
		"    explain: 'seen {count} for {user.id}'\n"
		"    tests:\n"
		"        - name: fires\n          expect: {alerts: 1, level: high}\n"
		"          permute: true\n          events:\n"
		"              - {at: 2s, repeat: 6, every: 500ms, event: {a.b: 1, c: [x, 1.5, "
		"true, null], d: {e: \"q\\\"\"}}}\n"));
	const struct rule *rule = ruleset_rule(ruleset, 0);
	ck_assert_uint_eq(rule->dedup_by_count, 2);
	ck_assert(text_equal(rule->dedup_by[0], TEXT("user.id")));
	ck_assert_int_eq(rule->dedup_for_us, 1800 * INT64_C(1000000));
	ck_assert_int_eq(rule->suppress_for_us, 21600 * INT64_C(1000000));
	ck_assert(rule->cross_tenant && rule->shadow && rule->gate == GATE_BLOCK);
	ck_assert_uint_eq(rule->test_count, 1);
	const struct rule_test *test = &rule->tests[0];
	ck_assert(test->permute && test->expect_alerts == 1 && test->expect_level == LEVEL_HIGH);
	ck_assert_int_eq(test->events[0].at_us, 2000000);
	ck_assert_uint_eq(test->events[0].repeat, 6);
	ck_assert_int_eq(test->events[0].every_us, 500000);
	ck_assert_msg(text_equal(test->events[0].json,
				 TEXT("{\"a.b\":1,\"c\":[\"x\",1.5,true,null],\"d\":{\"e\":"
				      "\"q\\\"\"}}")),
		      "%.*s", TEXT_ARG(test->events[0].json));
	ck_assert(!has_warning(ruleset, "no tests"));
	ruleset_free(&ruleset);

	ruleset = rules_of(HEAD DETECTION);
	rule = ruleset_rule(ruleset, 0);
	ck_assert(rule->dedup_by == NULL && rule->dedup_for_us == 3600 * INT64_C(1000000));
	ck_assert(rule->alerts && rule->gate == GATE_WARN && !rule->shadow);
	ruleset_free(&ruleset);
}
END_TEST

START_TEST(handling_mistakes)
{
	refused(PICKET("    dedupe: {for: 1h}\n"), 7, 5, "did you mean 'dedup'");
	refused(PICKET("    dedup: {fro: 1h}\n"), 7, 13, "did you mean 'for'");
	refused(PICKET("    dedup: {for: 1}\n"), 7, 18, "no duration");
	refused(PICKET("    dedup: {for: 0s}\n"), 7, 18, "longer than nothing");
	refused(PICKET("    dedup: {by: [a, a]}\n"), 7, 21, "twice");
	refused(PICKET("    dedup: {by: [a,b,c,d,e,f,g,h,i]}\n"), 7, 17, "at most 8");
	refused(PICKET("    suppress: {}\n"), 7, 15, "needs `for`");
	refused(PICKET("    suppress: {for: 1h, break-on: [user.id, level]}\n"), 7, 45,
		"does not keep 'level'");
	refused(PICKET("    suppress: {break-on: user.id}\n"), 7, 15, "needs `for`");
	refused(PICKET("    expires: 2027-01-31\n"), 7, 14, "belong to filter documents");
	refused(PICKET("    tenant: {scope: all}\n"), 7, 21, "per-tenant, cross-tenant");
	refused(PICKET("    stage: shadwo\n"), 7, 12, "did you mean 'shadow'");
	refused(PICKET("    gate: stop\n"), 7, 11, "block");
	refused(PICKET("    gate: {release: block}\n"), 7, 12, "no key 'release'");
	refused(PICKET("    gate: {}\n"), 7, 11, "empty");
	refused(PICKET("    explain: 'a {b'\n"), 7, 14, "brace");
	refused(PICKET("    accuracy: {until: 5}\n"), 7, 16, "no key 'until'");
	refused(PICKET("    accuracy: {exact-until: 100001}\n"), 7, 29, "exact-until");
	refused(PICKET("    accuracy: {error: 0.001}\n"), 7, 23, "between 0.005 and 0.05");
	refused(PICKET("    accuracy: {error: small}\n"), 7, 23, "between 0.005 and 0.05");
	refused(PICKET("    explain: 'a } {'\n"), 7, 14, "brace");
	refused(PICKET("    risk: {score: 3}\n"), 7, 11, "the fields it is on");
	refused(PICKET("    filter: narrow\n"), 7, 13, "belong to filter documents");
	refused(PICKET("    tests: [{events: []}]\n"), 7, 13, "no expect");
	refused(PICKET("    tests: [{expect: {alerts: 1}}]\n"), 7, 13, "no events");
	refused(PICKET("    tests: [{expect: {level: low}, events: []}]\n"), 7, 22,
		"number of alerts");
	refused(PICKET("    tests: [{expect: {alerts: -1}, events: []}]\n"), 7, 31, "from 0 to");
	refused(PICKET("    tests: [{expect: {alerts: 1}, events: [{at: 1s}]}]\n"), 7, 44,
		"has no event");
	refused(PICKET("    tests: [{expect: {alerts: 1}, events: [{event: {}, repeat: 0}]}]\n"), 7,
		64, "from 1 to");
	refused(HEAD DETECTION "picket: shadow\n", 6, 9, "must be a map");
}
END_TEST

int main(void)
{
	TCase *cases = tcase_create("parse");
	tcase_add_test(cases, documents);
	tcase_add_test(cases, metadata);
	tcase_add_test(cases, logsources);
	tcase_add_test(cases, selections);
	tcase_add_test(cases, structures);
	tcase_add_test(cases, handling);
	tcase_add_test(cases, handling_mistakes);
	return tests_run(cases);
}
