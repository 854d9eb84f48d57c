#include <check.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/rules/loading.h"

#define RULE(name, line)                                                               \
	"title: " name "\nname: " name "\nlevel: low\nlogsource: {category: c}\n" line \
	"detection: {s: {f: " name "}, condition: s}\n"
#define CORRELATION(name, lines) \
	"---\ntitle: " name "\nname: " name "\nlevel: high\ncorrelation:\n" lines

static const struct rule *named(const struct ruleset *ruleset, const char *name)
{
	const struct rule *rule = ruleset_find(ruleset, text_of(name));
	ck_assert_msg(rule != NULL, "%s is not there", name);
	return rule;
}

START_TEST(correlations_are_resolved)
{
	struct ruleset *ruleset = rules_of(
		RULE("a", "") CORRELATION("top", "    type: temporal_ordered\n"
						 "    rules: [count, b]\n    group-by: user.id\n"
						 "    timespan: 1h\n")
			CORRELATION("count",
				    "    type: event_count\n    rules: a\n    timespan: 90s\n"
				    "    group-by: [who, source.address]\n"
				    "    aliases: {who: {a: enduser.id}}\n"
				    "    condition: {gt: 100, lte: 200.5}\n"
				    "    generate: true\n") "---\n" RULE("b", ""));
	const struct rule *top = named(ruleset, "top"), *count = named(ruleset, "count");
	ck_assert_uint_eq(ruleset_count(ruleset), 4);
	ck_assert_uint_eq(top->correlation->depth, 2);
	ck_assert_uint_eq(count->correlation->depth, 1);
	ck_assert_uint_eq(top->correlation->rules[0], count->index);
	ck_assert_uint_eq(top->correlation->rules[1], named(ruleset, "b")->index);
	ck_assert_int_eq(top->correlation->conditions[0].how, COMPARE_GTE);
	ck_assert_double_eq(top->correlation->conditions[0].value, 2);
	ck_assert_int_eq(count->correlation->timespan_us, 90000000);
	ck_assert_uint_eq(count->correlation->condition_count, 2);
	ck_assert_double_eq(count->correlation->conditions[1].value, 200.5);
	ck_assert(text_equal(count->correlation->group_by[0].name, TEXT("who")));
	ck_assert(text_equal(count->correlation->group_by[0].by_rule[0], TEXT("user.id")));
	ck_assert(text_equal(count->correlation->group_by[1].name, TEXT("source.ip")));
	ck_assert_ptr_null(count->correlation->group_by[1].by_rule);
	/* a is generated, count and b only feed, the outermost alerts */
	ck_assert(named(ruleset, "a")->alerts && !named(ruleset, "b")->alerts);
	ck_assert(!count->alerts && top->alerts);
	for (uint32_t i = 0; i < 4; i++)
		ck_assert_uint_eq(ruleset_rule(ruleset, i)->index, i);
	ruleset_free(&ruleset);
}
END_TEST

START_TEST(every_type_is_read)
{
	static const struct {
		const char *lines;
		enum correlation_type type;
		double value;
		size_t fields;
		double percentile;
	} cases[] = {
		{"event_count\n    condition: {eq: 3}\n", CORRELATION_EVENT_COUNT, 3, 0, 50},
		{"value_count\n    condition: {field: [x, y], gte: 3}\n", CORRELATION_VALUE_COUNT,
		 3, 2, 50},
		{"temporal\n", CORRELATION_TEMPORAL, 2, 0, 0},
		{"temporal\n    condition: {gte: 1}\n", CORRELATION_TEMPORAL, 1, 0, 50},
		{"temporal\n    condition: a and b\n", CORRELATION_TEMPORAL, 2, 0, 0},
		{"temporal\n    condition: a or b\n", CORRELATION_TEMPORAL, 1, 0, 0},
		{"temporal_ordered\n", CORRELATION_TEMPORAL_ORDERED, 2, 0, 0},
		{"value_sum\n    condition: {field: x, gt: 0.5}\n", CORRELATION_VALUE_SUM, 0.5, 1,
		 50},
		{"value_avg\n    condition: {field: x, lt: 5}\n", CORRELATION_VALUE_AVG, 5, 1, 50},
		{"value_percentile\n    condition: {field: x, gt: 9, percentile: 99.9}\n",
		 CORRELATION_VALUE_PERCENTILE, 9, 1, 99.9},
		{"value_median\n    condition: {field: x, neq: 5}\n", CORRELATION_VALUE_MEDIAN, 5,
		 1, 50},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char yaml[2048];
		(void)snprintf(yaml, sizeof yaml, "%s---\n%s%s    type: %s", RULE("a", ""),
			       RULE("b", ""),
			       CORRELATION("x", "    rules: [a, b]\n    timespan: 1d\n"
						"    group-by: [u]\n"),
			       cases[i].lines);
		struct ruleset *ruleset = rules_of(yaml);
		const struct correlation *correlation = named(ruleset, "x")->correlation;
		ck_assert_int_eq(correlation->type, cases[i].type);
		ck_assert_double_eq(correlation->conditions[0].value, cases[i].value);
		ck_assert_uint_eq(correlation->field_count, cases[i].fields);
		ck_assert_msg(cases[i].percentile == 0 ||
				      correlation->percentile == cases[i].percentile,
			      "%s", cases[i].lines);
		ruleset_free(&ruleset);
	}
}
END_TEST

static const char *const mistakes[][2] = {
	{"    rules: [a]\n", "no type"},
	{"    type: event_cuont\n    rules: [a]\n", "did you mean 'event_count'"},
	{"    type: sequence\n    timespan: 5m\n    steps: []\n", "1 to 16 steps"},
	{"    type: event_count\n    window: tumbling\n", "no key 'window'"},
	{"    type: event_count\n    timespn: 5m\n", "did you mean 'timespan'"},
	{"    type: event_count\n    timespan: 5m\n", "refers to no rules"},
	{"    type: event_count\n    rules: {a: b}\n", "name or a list"},
	{"    type: event_count\n    rules: [a]\n    condition: {gte: 1}\n", "no timespan"},
	{"    type: event_count\n    rules: [a]\n    timespan: 0s\n", "longer than nothing"},
	{"    type: event_count\n    rules: [a]\n    timespan: 5\n", "no duration"},
	{"    type: event_count\n    rules: [a]\n    timespan: 5m\n", "no condition"},
	{"    type: event_count\n    rules: [a]\n    timespan: 5m\n    condition: {}\n",
	 "compares nothing"},
	{"    type: event_count\n    rules: [a]\n    timespan: 5m\n    condition: {gt: x}\n",
	 "no number"},
	{"    type: event_count\n    rules: [a]\n    timespan: 5m\n    condition: {ge: 1}\n",
	 "did you mean"},
	{"    type: event_count\n    rules: [a]\n    timespan: 5m\n"
	 "    condition: {gt: 1, lt: 9, neq: 3}\n",
	 "more than two"},
	{"    type: event_count\n    rules: [a]\n    timespan: 5m\n"
	 "    condition: {gt: 9, lt: 1}\n",
	 "never hold"},
	{"    type: event_count\n    rules: [a]\n    timespan: 5m\n"
	 "    condition: {gt: 9, field: x}\n",
	 "takes no field"},
	{"    type: event_count\n    rules: [a]\n    timespan: 5m\n    condition: a and b\n",
	 "belongs to temporal"},
	{"    type: value_sum\n    rules: [a]\n    timespan: 5m\n"
	 "    condition: {gt: 9, field: [x, y]}\n",
	 "takes one field"},
	{"    type: value_count\n    rules: [a]\n    timespan: 5m\n    condition: {gt: 9}\n",
	 "needs a field"},
	{"    type: value_percentile\n    rules: [a]\n    timespan: 5m\n"
	 "    condition: {gt: 9, field: x, percentile: 0}\n",
	 "above 0"},
	{"    type: temporal\n    rules: [a, b]\n    timespan: 5m\n"
	 "    condition: not a and not b\n",
	 "holds when nothing happens"},
	{"    type: temporal\n    rules: [a, b]\n    timespan: 5m\n"
	 "    condition: a and (b or not a)\n",
	 "one sign"},
	{"    type: temporal\n    rules: [a, b]\n    timespan: 5m\n"
	 "    condition: 1 of a*\n",
	 "no `of`"},
	{"    type: temporal_ordered\n    rules: [a, b]\n    timespan: 5m\n"
	 "    condition: a and not b\n",
	 "type sequence"},
	{"    type: temporal\n    rules: [a, b]\n    timespan: 5m\n    condition: a and c\n",
	 "not in rules"},
	{"    type: temporal\n    rules: [a, b]\n    timespan: 5m\n    condition: a\n",
	 "not named by the condition"},
	{"    type: temporal\n    rules: [a, bb]\n    timespan: 5m\n", "did you mean 'b'"},
	{"    type: temporal\n    rules: [a, a]\n    timespan: 5m\n", "listed twice"},
	{"    type: temporal\n    rules: [a, x]\n    timespan: 5m\n", "in a circle"},
	{"    type: temporal\n    rules: [a, b]\n    timespan: 5m\n    aliases: x\n",
	 "must be a map"},
	{"    type: temporal\n    rules: [a]\n    timespan: 5m\n"
	 "    group-by: [u]\n    aliases: {u: {b: f}}\n",
	 "does not refer to"},
	{"    type: temporal\n    rules: [a, b]\n    timespan: 5m\n    generate: maybe\n",
	 "true or false"},
};

START_TEST(correlation_mistakes)
{
	for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
		char yaml[2048];
		(void)snprintf(yaml, sizeof yaml, "%s---\n%s%s%s", RULE("a", ""), RULE("b", ""),
			       CORRELATION("x", ""), mistakes[i][0]);
		refused(yaml, 0, 0, mistakes[i][1]);
	}
}
END_TEST

static const char *const own_mistakes[][2] = {
	{"    type: sequence\n    timespan: 5m\n    steps: [{rule: a, within: 1m}]\n", "the first"},
	{"    type: sequence\n    timespan: 5m\n    steps: [{not: a}]\n", "cannot begin"},
	{"    type: sequence\n    timespan: 5m\n    steps: [{rule: a}, {not: b}]\n",
	 "for how long"},
	{"    type: sequence\n    timespan: 5m\n    steps: [{rule: a}, {rule: bb}]\n",
	 "did you mean 'b'"},
	{"    type: sequence\n    rules: [a]\n    timespan: 5m\n    steps: [{rule: a}]\n",
	 "instead of rules"},
	{"    type: sequence\n    timespan: 5m\n    steps: [{rule: a, count: {gte: 0}}]\n",
	 "count of a step"},
	{"    type: first_seen\n    rules: [a]\n    timespan: 5m\n    peers: {by: [x]}\n"
	 "    condition: {field: x}\n",
	 "peers have no bound"},
	{"    type: first_seen\n    rules: [a]\n    timespan: 5m\n    peers: {rare-below: 3}\n"
	 "    condition: {field: x}\n",
	 "alike in no field"},
	{"    type: first_seen\n    rules: [a]\n    timespan: 5m\n"
	 "    peers: {by: [x], rare-below: 1001}\n    condition: {field: x}\n",
	 "rare-below"},
	{"    type: first_seen\n    rules: [a]\n    timespan: 5m\n    condition: {gte: 1}\n",
	 "names no field"},
	{"    type: baseline\n    rules: [a]\n    timespan: 5m\n    history: 10m\n"
	 "    condition: {deviation: {gte: 6}}\n",
	 "can be judged"},
	{"    type: baseline\n    rules: [a]\n    timespan: 5m\n"
	 "    condition: {deviation: {lt: 6}}\n",
	 "deviation"},
	{"    type: geo_velocity\n    rules: [a]\n    timespan: 5m\n"
	 "    condition: {field: source.ip}\n"
	 "    ignore: {field-in: {source.as.number: '%Nowhere%'}}\n",
	 "no list of values"},
	{"    type: absence\n    rules: [a]\n    timespan: 5m\n    members: [x, y]\n",
	 "group by that"},
	{"    type: absence\n    rules: [a]\n    timespan: 5m\n    groupby: [x]\n", "did you mean"},
	{"    type: absence\n    rules: [a]\n    timespan: 5m\n    members: {}\n",
	 "seen-within: 7d"},
	{"    type: absence\n    rules: [a]\n    timespan: 5m\n    members: {seen: 1d}\n",
	 "seen-within"},
	{"    type: absence\n    rules: [a]\n    timespan: 5m\n    members: {seen-within: 4m}\n",
	 "before it can be missed"},
	{"    type: absence\n    rules: [a]\n    timespan: 5m\n    members: {seen-within: 1d}\n"
	 "    forget: 2d\n",
	 "remove forget"},
	{"    type: absence\n    rules: [a]\n    timespan: 5m\n    members: {seen-within: 1d}\n"
	 "    group-by: [x]\n    aliases: {x: {a: y}}\n",
	 "an alias has no meaning"},
	{"    type: cohort_compare\n    rules: [a]\n", "compare: {numerator"},
	{"    type: cohort_compare\n    rules: [a]\n    compare: {worse-by: {gt: 2}}\n",
	 "no numerator"},
	{"    type: cohort_compare\n    rules: [a]\n    timespan: 5m\n"
	 "    compare: {numerator: b}\n",
	 "no timespan"},
	{"    type: cohort_compare\n    rules: [a]\n    compare: {numerator: b}\n"
	 "    group-by: [user.id]\n",
	 "by service and version, not by user.id"},
	{"    type: cohort_compare\n    rules: [a]\n    compare: {numerator: b, metric: sum}\n",
	 "use one of ratio"},
	{"    type: cohort_compare\n    rules: [a]\n"
	 "    compare: {numerator: b, worse-by: {gt: 0.5}}\n",
	 "from 1 to 100"},
	{"    type: cohort_compare\n    rules: [a]\n"
	 "    compare: {numerator: b, worse-by: {gt: 3}}\n",
	 "nothing could be proven"},
	{"    type: cohort_compare\n    rules: [a]\n"
	 "    compare: {numerator: b, tolerate: {rate: 2}}\n",
	 "tolerate.rate"},
	{"    type: cohort_compare\n    rules: [a]\n    compare: {numerator: a}\n",
	 "every trial would be a bad one"},
	{"    type: cohort_compare\n    rules: [a]\n    compare: {numerator: nobody}\n",
	 "no rule has the id or name"},
	{"    type: risk\n    timespan: 5m\n", "risk"},
};

START_TEST(mistakes_in_types_of_our_own)
{
	for (size_t i = 0; i < sizeof own_mistakes / sizeof *own_mistakes; i++) {
		char yaml[2048];
		(void)snprintf(yaml, sizeof yaml, "%s---\n%s%s%s", RULE("a", ""), RULE("b", ""),
			       CORRELATION("x", ""), own_mistakes[i][0]);
		refused(yaml, 0, 0, own_mistakes[i][1]);
	}
}
END_TEST

/* x1 refers to x2, ... down to a; the last in the file first, so that order cannot help. */
static void chain(unsigned length, char *yaml, size_t size)
{
	(void)snprintf(yaml, size, "%s", RULE("x0", ""));
	for (unsigned i = length; i > 0; i--) {
		size_t used = strlen(yaml);
		(void)snprintf(
			yaml + used, size - used,
			"---\ntitle: x%u\nname: x%u\ncorrelation: {type: event_count, rules: "
			"x%u, timespan: 1h, group-by: u, condition: {gte: 1}}\n",
			i, i, i - 1);
	}
}

START_TEST(chains_are_bounded)
{
	char yaml[65536];
	chain(RULES_CHAIN_DEPTH_MAX, yaml, sizeof yaml);
	struct ruleset *ruleset = rules_of(yaml);
	ck_assert_uint_eq(named(ruleset, "x10")->correlation->depth, RULES_CHAIN_DEPTH_MAX);
	ruleset_free(&ruleset);
	chain(RULES_CHAIN_DEPTH_MAX + 1, yaml, sizeof yaml);
	refused(yaml, 0, 0, "a chain of more than 10");
	chain(300, yaml, sizeof yaml);
	refused(yaml, 0, 0, "a chain of more than 10");
}
END_TEST

START_TEST(cohort_rules_are_outcomes)
{
#define COMPARED(name, more)                                                                       \
	CORRELATION(name, "    type: cohort_compare\n    rules: [a]\n    compare: {numerator: b, " \
			  "worse-by: {gt: 1.5}, direction: both}\n" more)
	const char *yaml = RULE("a", "") "---\n" RULE("b", "") COMPARED("refunds", "");
	struct ruleset *ruleset cleanup(ruleset_free) = rules_of(yaml);
	const struct rule *rule = named(ruleset, "refunds");
	const struct cohort_terms *terms = rule->correlation->cohort;
	ck_assert(!rule->alerts && named(ruleset, "b")->alerts); /* it mutes nobody */
	ck_assert_uint_eq(rule->correlation->rule_count, 2);
	ck_assert_uint_eq(terms->numerator, 1);
	ck_assert(terms->two_sided);
	ck_assert_double_eq(terms->worse_by, 1.5);
	ck_assert_double_eq(terms->odds, 2);
	ck_assert_double_eq(terms->rate, 0.001);
	refused(RULE("a", "") "---\n" RULE("b", "") COMPARED("Refunds!", ""), 0, 0,
		"needs a name of a-z");
	refused(RULE("a", "") "---\n" RULE("b", "") COMPARED("x", "") CORRELATION(
			"y", "    type: event_count\n    rules: [x]\n    group-by: [u]\n"
			     "    timespan: 5m\n    condition: {gte: 2}\n"),
		0, 0, "never fires here");
	refused(RULE("a", "") "---\n" RULE("b", "")
			COMPARED("x", "picket: {tests: [{expect: {alerts: 1}, events: []}]}\n"),
		0, 0, "raises no alerts");
	refused(RULE("a",
		     "picket: {tests: [{expect: {canary: v2, outcome: worse}, events: []}]}\n"),
		0, 0, "only a rule of type cohort_compare");
	refused(RULE("a", "") "---\n" RULE("b", "")
			COMPARED("x", "picket: {tests: [{expect: {canary: v2}, events: []}]}\n"),
		0, 0, "not what is said of it");
	char many[16384] = RULE("a", "") "---\n" RULE("b", "");
	for (int i = 0; i <= COHORT_RULES_MAX; i++) {
		size_t size = strlen(many);
		(void)snprintf(many + size, sizeof many - size,
			       "---\ntitle: t%d\nname: t%d\ncorrelation:\n    type: "
			       "cohort_compare\n    rules: [a]\n    compare: {numerator: b}\n",
			       i, i);
	}
	refused(many, 0, 0, "more than 16 rules");
}
END_TEST

START_TEST(names_are_unique)
{
	refused(RULE("a", "") "---\n" RULE("a", ""), 7, 1, "test.yml:1:1");
	refused(RULE("a", "id: 12345678-1234-1234-1234-123456789012\n") "---\n" RULE(
			"b", "id: 12345678-1234-1234-1234-123456789012\n"),
		8, 1, "already the id or name");
	struct ruleset *ruleset = rules_of(RULE("a", "id: 12345678-1234-1234-1234-123456789012\n"));
	const struct rule *rule = named(ruleset, "12345678-1234-1234-1234-123456789012");
	ck_assert_ptr_eq(rule, named(ruleset, "a"));
	ck_assert(text_equal(rule->key, rule->id));
	ck_assert_ptr_null(ruleset_find(ruleset, TEXT("nobody")));
	ck_assert_ptr_null(ruleset_find(ruleset, TEXT("")));
	ruleset_free(&ruleset);
}
END_TEST

#define FILTER(lines) "---\ntitle: f\nlogsource: {category: c}\nfilter:\n" lines

START_TEST(filters)
{
	struct ruleset *ruleset =
		rules_of(RULE("a", "") FILTER("    rules: [a]\n    ok: {g: x}\n    ok2: {g: y}\n"
					      "    condition: not 1 of ok*\n"));
	ck_assert(matches_values(ruleset, "a", "z") && matches_values(ruleset, "a", NULL));
	ck_assert(!matches_values(ruleset, "a", "x") && !matches_values(ruleset, "a", "y"));
	ck_assert_uint_eq(ruleset_count(ruleset), 1);
	ruleset_free(&ruleset);

	ruleset = rules_of(RULE("a", "") FILTER(
		"    rules: any\n    ok: {g: x}\n    condition: ok\n") "picket: {filter: narrow}\n");
	ck_assert(matches_values(ruleset, "a", "x") && !matches_values(ruleset, "a", "y"));
	ruleset_free(&ruleset);

	ruleset = rules_of(RULE("a", "") "---\ntitle: f\nlogsource: {category: d}\nfilter:\n"
					 "    rules: [a]\n    ok: {g: x}\n    condition: not ok\n");
	ck_assert(has_warning(ruleset, "does not apply to 'a'"));
	ck_assert(matches_values(ruleset, "a", "x"));
	ruleset_free(&ruleset);

	refused(RULE("a", "") FILTER("    rules: [a]\n    ok: {g: x}\n    condition: ok\n"), 0, 0,
		"keep only what it describes");
	refused(RULE("a", "") FILTER("    ok: {g: x}\n    condition: not ok\n"), 0, 0,
		"which rules it is for");
	refused(RULE("a", "") FILTER("    rules: [b]\n    ok: {g: x}\n    condition: not ok\n"), 0,
		0, "did you mean 'a'");
	refused(RULE("a", "") FILTER(
			"    rules: [a]\n    ok: {g: x}\n    condition: not ok\n") "picket: {stage: shadow}\n",
		0, 0, "no key 'stage'");
}
END_TEST

static void write_file(const char *folder, const char *name, const char *text)
{
	char path[512];
	(void)snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(text, file), 0);
	ck_assert_int_eq(fclose(file), 0);
}

START_TEST(folders)
{
	char folder[] = "/tmp/picket-rules-XXXXXX", sub[64], command[128];
	ck_assert_ptr_nonnull(mkdtemp(folder));
	(void)snprintf(sub, sizeof sub, "%s/m", folder);
	ck_assert_int_eq(mkdir(sub, 0700), 0);
	write_file(folder, "z.yaml", RULE("z", ""));
	write_file(folder, "a.yml",
		   RULE("a", "") CORRELATION("uses_bad", "    type: event_count\n    rules: bad\n"
							 "    timespan: 1h\n    group-by: u\n"
							 "    condition: {gte: 2}\n"));
	write_file(sub, "k.yml", RULE("k", ""));
	write_file(folder, "bad.yml", RULE("bad", "picket: {gate: block}\ndate: soon\n"));
	write_file(folder, "worse.yml", "a: [\n# gate: block\n");
	write_file(folder, "readme.md", "not a rule");
	write_file(folder, ".hidden.yml", "not a rule");
	const char *paths[] = {folder};
	struct ruleset_options options = {.paths = paths, .path_count = 1, .any_logsource = true};
	struct ruleset *ruleset = NULL;
	struct error err;
	ck_assert_int_eq(ruleset_load(&options, &ruleset, &err), EINVALID);
	ck_assert_ptr_nonnull(strstr(err.file, "/bad.yml"));

	options.skip_refused = true;
	ck_assert_int_eq(ruleset_load(&options, &ruleset, NULL), OK);
	ck_assert_uint_eq(ruleset_count(ruleset), 3);
	ck_assert(text_equal(ruleset_rule(ruleset, 0)->name, TEXT("a")));
	ck_assert(text_equal(ruleset_rule(ruleset, 1)->name, TEXT("k")));
	ck_assert(text_equal(ruleset_rule(ruleset, 2)->name, TEXT("z")));
	size_t count = 0, refusals = 0, blocks = 0;
	const struct rule_note *notes = ruleset_notes(ruleset, &count);
	for (size_t i = 0; i < count; i++) {
		refusals += notes[i].kind == NOTE_REFUSED;
		blocks += notes[i].gate_block;
	}
	ck_assert_uint_eq(refusals, 3); /* bad, worse, and the correlation over bad */
	ck_assert_uint_eq(blocks, 2);
	uint64_t hash = ruleset_hash(ruleset);
	ruleset_free(&ruleset);
	write_file(folder, "z.yaml", RULE("z", "date: 2026-01-01\n"));
	ck_assert_int_eq(ruleset_load(&options, &ruleset, &err), OK);
	ck_assert_uint_ne(ruleset_hash(ruleset), hash);
	ruleset_free(&ruleset);

	paths[0] = "/nowhere";
	ck_assert_int_eq(ruleset_load(&options, &ruleset, &err), ENOTFOUND);
	(void)snprintf(command, sizeof command, "rm -r '%s'", folder);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

START_TEST(silence_is_told)
{
	struct ruleset *ruleset =
		rules_of("title: t\nname: i\nlevel: informational\nlogsource: {category: c}\n"
			 "detection: {s: {f: x}, condition: s}\n");
	ck_assert(!ruleset_rule(ruleset, 0)->alerts);
	ruleset_free(&ruleset);
	ruleset = rules_of(RULE("a", "") CORRELATION(
		"x", "    type: event_count\n    rules: [a]\n    timespan: 1M\n"
		     "    condition: {gte: 1}\n"));
	ck_assert(has_warning(ruleset, "not units of the Sigma standard"));
	ck_assert(has_warning(ruleset, "without group-by"));
	ck_assert_int_eq(named(ruleset, "x")->correlation->timespan_us, 2629746 * INT64_C(1000000));
	ruleset_free(&ruleset);
}
END_TEST

START_TEST(names_map_through_the_schema)
{
	const char *yaml = RULE("a", "picket: {dedup: {by: [enduser.id]}}\n");
	struct ruleset_options options = {.verbatim_names = true};
	struct ruleset *ruleset = NULL;
	ck_assert_int_eq(ruleset_parse(&options, text_of(yaml), "n", &ruleset, NULL), OK);
	ck_assert(text_equal(ruleset_rule(ruleset, 0)->dedup_by[0], TEXT("enduser.id")));
	ruleset_free(&ruleset);
	ruleset = rules_of(yaml);
	ck_assert(text_equal(ruleset_rule(ruleset, 0)->dedup_by[0], TEXT("user.id")));
	ruleset_free(&ruleset);
}
END_TEST

int main(void)
{
	TCase *cases = tcase_create("ruleset");
	tcase_add_test(cases, correlations_are_resolved);
	tcase_add_test(cases, every_type_is_read);
	tcase_add_test(cases, correlation_mistakes);
	tcase_add_test(cases, mistakes_in_types_of_our_own);
	tcase_add_test(cases, chains_are_bounded);
	tcase_add_test(cases, names_are_unique);
	tcase_add_test(cases, cohort_rules_are_outcomes);
	tcase_add_test(cases, filters);
	tcase_add_test(cases, folders);
	tcase_add_test(cases, silence_is_told);
	tcase_add_test(cases, names_map_through_the_schema);
	return tests_run(cases);
}
