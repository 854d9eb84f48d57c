/* pySigma processing pipelines: what each transformation and condition does to a rule, and what is
 * refused. tests/e2e/pipelines.py compares with pySigma itself. */
#include <sys/stat.h>
#include <unistd.h>

#include "tests/rules/loading.h"

static char folder[64];
static const char *paths[2];
static size_t path_count;

static void setup(void)
{
	strcpy(folder, "/tmp/picket-pipelines-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	path_count = 0;
}

static void teardown(void)
{
	char command[128];
	(void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
	ck_assert_int_eq(system(command), 0);
	for (size_t i = 0; i < path_count; i++)
		free((void *)paths[i]);
}

static void pipeline(const char *name, const char *yaml)
{
	char path[128];
	(void)snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(yaml, file), 0);
	ck_assert_int_eq(fclose(file), 0);
	paths[path_count++] = strdup(path);
}

static struct ruleset *load(const char *yaml, struct error *err)
{
	struct ruleset_options options = {.pipelines = paths, .pipeline_count = path_count};
	struct ruleset *ruleset = NULL;
	*err = (struct error){0};
	if (ruleset_parse(&options, text_of(yaml), "rule.yml", &ruleset, err) != OK)
		ck_assert_ptr_null(ruleset);
	return ruleset;
}

/* One event, written "field=value;field=value", of the log source p/s. */
static bool matches(const struct ruleset *ruleset, size_t rule, const char *fields)
{
	struct arena *arena = arena_new(1 << 20);
	struct event event = {.logsource = {TEXT(""), TEXT("p"), TEXT("s")}};
	struct matcher *matcher = NULL;
	struct matches found;
	char copy[256];
	(void)snprintf(copy, sizeof copy, "%s", fields);
	for (char *word = strtok(copy, ";"); word != NULL; word = strtok(NULL, ";")) {
		char *equals = strchr(word, '=');
		*equals = '\0';
		struct value value = {.type = VALUE_STRING, .text = text_of(equals + 1)};
		ck_assert_int_eq(event_add(&event, arena, text_of(word), value), OK);
	}
	ck_assert_int_eq(matcher_new(ruleset, &matcher, NULL), OK);
	ck_assert_int_eq(matcher_match(matcher, &event, &found), OK);
	bool matched = false;
	for (size_t i = 0; i < found.count; i++)
		matched = matched || found.rules[i] == rule;
	matcher_free(&matcher);
	arena_free(&arena);
	return matched;
}

/* A rule of the log source p/s around the lines of a detection. */
static const char *rule_of(const char *lines)
{
	static char buffer[2048];
	(void)snprintf(buffer, sizeof buffer,
		       "title: t\nname: r\nlevel: low\ntags: [attack.t1]\n"
		       "logsource: {product: p, service: s}\ndetection:\n%s",
		       lines);
	return buffer;
}

/* Whether the event matches the rule under the pipelines. */
static void expect(const char *lines, const char *event, bool wanted)
{
	struct error err;
	struct ruleset *ruleset = load(rule_of(lines), &err);
	ck_assert_msg(ruleset != NULL, "%s:%u:%u: %s", err.file, err.line, err.column, err.text);
	ck_assert_msg(matches(ruleset, 0, event) == wanted, "%s on %s", event, lines);
	ruleset_free(&ruleset);
}

static const char one[] = "    sel: {a: x}\n    condition: sel\n";

START_TEST(a_field_is_mapped_to_one)
{
	pipeline("a.yml", "transformations:\n- type: field_name_mapping\n  mapping: {a: b}\n");
	expect(one, "b=x", true);
	expect(one, "a=x", false);
}
END_TEST

START_TEST(a_field_mapped_to_several_is_any_of_them)
{
	static const char two[] = "    sel: {a|contains: x, c: y}\n    condition: sel\n";
	static const char negated[] = "    sel: {a|neq: x}\n    condition: sel\n";
	pipeline("a.yml", "transformations:\n- type: field_name_mapping\n  mapping: {a: [b, d]}\n");
	expect(two, "b=1x1;c=y", true);
	expect(two, "d=1x1;c=y", true);
	expect(two, "d=1x1", false);
	expect(two, "a=1x1;c=y", false);
	expect(negated, "b=x", true); /* d is not x */
	expect(negated, "b=x;d=x", false);
}
END_TEST

START_TEST(a_fieldref_names_a_field_too)
{
	static const char reference[] = "    sel: {c|fieldref: a}\n    condition: sel\n";
	pipeline("a.yml", "transformations:\n- type: field_name_mapping\n  mapping: {a: [b, d]}\n");
	expect(reference, "c=1;b=1", true);
	expect(reference, "c=1;d=1", true);
	expect(reference, "c=1;a=1", false);
}
END_TEST

START_TEST(prefixes_and_suffixes_are_put_on)
{
	pipeline("a.yml", "transformations:\n"
			  "- {type: field_name_prefix, prefix: win., field_name_conditions: "
			  "[{type: exclude_fields, fields: [c]}]}\n"
			  "- {type: field_name_suffix, suffix: .k, field_name_conditions: "
			  "[{type: include_fields, fields: [c]}]}\n"
			  "- {type: field_name_prefix_mapping, mapping: {win.q: [w, v]}}\n");
	expect(one, "win.a=x", true);
	expect("    sel: {c: x}\n    condition: sel\n", "c.k=x", true);
	expect("    sel: {qq: x}\n    condition: sel\n", "wq=x", true);
	expect("    sel: {qq: x}\n    condition: sel\n", "vq=x", true);
	expect("    sel: {qq: x}\n    condition: sel\n", "win.qq=x", false);
}
END_TEST

START_TEST(a_condition_is_added)
{
	static const char either[] = "    a: {a: x}\n    b: {b: x}\n    condition: a or b\n";
	static const char them[] = "    a: {a: x}\n    condition: 1 of them\n";
	pipeline("a.yml", "transformations:\n"
			  "- {type: add_condition, template: true, conditions: "
			  "{src: '$product/${service}/$category/$$/$other'}}\n");
	expect(either, "b=x;src=p/s/None/$/$other", true);
	expect(either, "a=x", false);
	expect(them, "src=p/s/None/$/$other", false);
	expect(them, "a=x;src=p/s/None/$/$other", true);
}
END_TEST

START_TEST(a_condition_may_be_negated_and_listed)
{
	static const char list[] = "    a: {a: x}\n    b: {b: x}\n    condition: [a, b]\n";
	pipeline("a.yml", "transformations:\n"
			  "- {type: add_condition, negated: true, name: _test, conditions: "
			  "{env: [dev, ci]}}\n"
			  "- {type: field_name_mapping, mapping: {env: environment}}\n");
	expect(list, "b=x", true);
	expect(list, "b=x;environment=ci", false);
	expect(list, "b=x;env=ci", true);
}
END_TEST

START_TEST(a_log_source_is_changed)
{
	static const char other[] = "title: t\nlevel: low\nlogsource: {category: web}\ndetection:\n"
				    "    sel: {a: x}\n    condition: sel\n";
	struct error err;
	pipeline("a.yml", "transformations:\n"
			  "- {type: change_logsource, product: p, rule_conditions: "
			  "[{type: logsource, category: web}]}\n");
	struct ruleset *ruleset = load(other, &err);
	ck_assert_ptr_nonnull(ruleset);
	ck_assert(matches(ruleset, 0, "a=x"));
	ck_assert(text_equal(ruleset_rule(ruleset, 0)->logsource.product, TEXT("p")));
	ck_assert_uint_eq(ruleset_rule(ruleset, 0)->logsource.category.size, 0);
	ruleset_free(&ruleset);
	expect(one, "a=x", true);
}
END_TEST

START_TEST(dropped_items_are_left_out)
{
	static const char all[] = "    id: {EventID: 1}\n    sel: {EventID: 1, a: x}\n"
				  "    condition: id and sel\n";
	static const char nested[] = "    sel:\n      - {EventID: 1}\n      - {a: x}\n"
				     "    condition: sel\n";
	struct error err;
	pipeline("a.yml", "transformations:\n"
			  "- {type: drop_detection_item, field_name_conditions: "
			  "[{type: include_fields, fields: [EventID]}]}\n");
	expect(all, "a=x", true);
	expect(all, "a=y", false);
	expect(nested, "a=x", true);
	expect(nested, "a=y", false);
	ck_assert_ptr_null(load(rule_of("    id: {EventID: 1}\n    condition: id\n"), &err));
	ck_assert_ptr_nonnull(strstr(err.text, "pipelines dropped everything"));
}
END_TEST

START_TEST(conditions_choose_rules)
{
	static const struct {
		const char *condition;
		bool holds;
	} cases[] = {
		{"{type: logsource, product: p}", true},
		{"{type: logsource, product: p, service: t}", false},
		{"{type: logsource, product: p, category: c}", false},
		{"{type: is_sigma_rule}", true},
		{"{type: is_sigma_correlation_rule}", false},
		{"{type: tag, tag: attack.t1}", true},
		{"{type: tag, tag: attack.t2}", false},
		{"{type: contains_field, field: a}", true},
		{"{type: contains_field, field: x}", false},
		{"{type: contains_detection_item, field: a, value: x}", true},
		{"{type: contains_detection_item, field: a, value: X}", false},
		{"{type: contains_detection_item, field: b, value: 1}", true},
		{"{type: contains_detection_item, field: b, value: '1'}", false},
		{"{type: contains_detection_item, field: c, value: '*z*'}", true},
		{"{type: contains_detection_item, field: c, value: z}", false},
	};
	static const char rule[] = "    sel:\n      - {a: [q, x]}\n      - {b: 1}\n"
				   "      - {c|contains: z}\n    condition: sel\n";
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char yaml[512];
		(void)snprintf(yaml, sizeof yaml,
			       "transformations:\n- type: field_name_mapping\n  mapping: {a: m}\n"
			       "  rule_conditions: [%s]\n",
			       cases[i].condition);
		pipeline("a.yml", yaml);
		expect(rule, "m=x", cases[i].holds);
		expect(rule, "a=x", !cases[i].holds);
		free((void *)paths[--path_count]);
	}
}
END_TEST

START_TEST(conditions_are_joined)
{
	static const struct {
		const char *lines;
		bool holds;
	} cases[] = {
		{"  rule_conditions: [{type: is_sigma_rule}, {type: tag, tag: a.b}]\n", false},
		{"  rule_conditions: [{type: is_sigma_rule}, {type: tag, tag: a.b}]\n"
		 "  rule_cond_op: or\n",
		 true},
		{"  rule_conditions: [{type: tag, tag: a.b}]\n  rule_cond_not: true\n", true},
		{"  rule_conditions: {r: {type: is_sigma_rule}, t: {type: tag, tag: a.b}}\n"
		 "  rule_cond_expr: r and not t\n",
		 true},
		{"  rule_conditions: {r: {type: is_sigma_rule}, t: {type: tag, tag: a.b}}\n"
		 "  rule_cond_expr: not (r or t)\n",
		 false},
		{"  field_name_conditions: [{type: include_fields, fields: [b]}]\n", false},
		{"  field_name_conditions: [{type: include_fields, fields: [b]}]\n"
		 "  field_name_cond_not: true\n",
		 true},
		{"  detection_item_conditions: [{type: match_value, value: x, cond: any}]\n", true},
		{"  detection_item_conditions: [{type: is_null, cond: all}]\n", false},
		{"  detection_item_conditions: [{type: contains_wildcard, cond: any}]\n", false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char yaml[512];
		(void)snprintf(yaml, sizeof yaml,
			       "transformations:\n- type: field_name_mapping\n  mapping: {a: m}\n"
			       "%s",
			       cases[i].lines);
		pipeline("a.yml", yaml);
		expect(one, "m=x", cases[i].holds);
		free((void *)paths[--path_count]);
	}
}
END_TEST

START_TEST(steps_see_what_went_before)
{
	pipeline("a.yml", "transformations:\n"
			  "- {id: first, type: field_name_mapping, mapping: {a: b}}\n"
			  "- {type: field_name_suffix, suffix: s, detection_item_conditions: "
			  "[{type: processing_item_applied, processing_item_id: first}]}\n"
			  "- {type: field_name_mapping, mapping: {c: d}, rule_conditions: "
			  "[{type: processing_item_applied, processing_item_id: first}]}\n");
	expect("    sel: {a: x, c: x}\n    condition: sel\n", "bs=x;d=x", true);
}
END_TEST

START_TEST(priority_orders_pipelines)
{
	pipeline("a.yml", "priority: 20\ntransformations:\n- {type: field_name_mapping, mapping: "
			  "{b: c}}\n");
	pipeline("z.yml", "priority: 10\ntransformations:\n- {type: field_name_mapping, mapping: "
			  "{a: b}}\n");
	expect(one, "c=x", true);
}
END_TEST

static const char correlated[] =
	"title: t\nname: r\nlevel: low\nlogsource: {product: p, service: s}\ndetection:\n"
	"    sel: {a: x}\n    condition: sel\n---\n"
	"title: u\nname: q\nlevel: low\nlogsource: {product: p}\ndetection:\n"
	"    sel: {a: y}\n    condition: sel\n---\n"
	"title: c\nlevel: high\ncorrelation:\n  type: value_count\n  rules: [r, q]\n"
	"  group-by: [user, w]\n  aliases: {w: {r: a, q: a}}\n  timespan: 5m\n"
	"  condition: {gte: 3, field: a}\n";

START_TEST(a_correlation_follows_its_rules)
{
	struct error err;
	pipeline("a.yml", "transformations:\n- type: field_name_mapping\n"
			  "  mapping: {a: b, user: [u, v], w: no}\n"
			  "  field_name_conditions: [{type: exclude_fields, fields: [none]}]\n"
			  "  rule_conditions: [{type: logsource, service: s}]\n");
	ck_assert_ptr_null(load("title: c\nlevel: low\ncorrelation:\n  type: event_count\n"
				"  rules: [r]\n  timespan: 1m\n  condition: {gte: 1}\n",
				&err)); /* its rule is not there */
	struct ruleset *ruleset = load(correlated, &err);
	ck_assert_msg(ruleset != NULL, "%s", err.text);
	const struct rule *rule = ruleset_find(ruleset, TEXT("c"));
	ck_assert_ptr_nonnull(rule);
	const struct correlation *correlation = rule->correlation;
	ck_assert_uint_eq(correlation->group_by_count, 3);
	ck_assert(text_equal(correlation->group_by[0].name, TEXT("u")));
	ck_assert(text_equal(correlation->group_by[1].name, TEXT("v")));
	ck_assert(text_equal(correlation->group_by[2].name, TEXT("w")));
	ck_assert(text_equal(correlation->group_by[2].by_rule[0], TEXT("b")));
	ck_assert(text_equal(correlation->fields[0], TEXT("b")));
	ck_assert(matches(ruleset, ruleset_find(ruleset, TEXT("r"))->index, "b=x"));
	ck_assert(matches(ruleset, ruleset_find(ruleset, TEXT("q"))->index, "a=y"));
	ruleset_free(&ruleset);
}
END_TEST

START_TEST(a_filter_goes_where_its_rule_went)
{
	static const char filtered[] =
		"title: f\nlogsource: {product: p}\nfilter:\n  rules: any\n  ok: {u: root}\n"
		"  condition: not ok\n---\n"
		"title: t\nname: r\nlevel: low\nlogsource: {product: p, service: s}\ndetection:\n"
		"    sel: {a: x}\n    condition: sel\n---\n"
		"title: u\nname: q\nlevel: low\nlogsource: {product: p}\ndetection:\n"
		"    sel: {a: x}\n    condition: sel\n";
	struct error err;
	pipeline("a.yml", "transformations:\n- type: field_name_mapping\n  mapping: {u: w}\n"
			  "  rule_conditions: [{type: logsource, service: s}]\n"
			  "- {type: change_logsource, service: s, rule_conditions: "
			  "[{type: logsource, service: s}]}\n");
	struct ruleset *ruleset = load(filtered, &err);
	ck_assert_msg(ruleset != NULL, "%s", err.text);
	uint32_t r = ruleset_find(ruleset, TEXT("r"))->index;
	uint32_t q = ruleset_find(ruleset, TEXT("q"))->index;
	ck_assert(!matches(ruleset, r, "a=x;w=root"));
	ck_assert(matches(ruleset, r, "a=x;u=root"));
	ck_assert(!matches(ruleset, q, "a=x;u=root"));
	ck_assert(matches(ruleset, q, "a=x;w=root"));
	ruleset_free(&ruleset);
}
END_TEST

START_TEST(messages_point_into_the_rule)
{
	struct error err;
	pipeline("a.yml",
		 "transformations:\n- type: field_name_mapping\n  mapping: {a: [longer, b]}\n");
	ck_assert_ptr_null(load(
		rule_of("    sel:\n        a|contains|wide|utf17: x\n    condition: sel\n"), &err));
	ck_assert_str_eq(err.file, "rule.yml");
	ck_assert_uint_eq(err.line, 8);
	ck_assert_uint_eq(err.column, 20); /* wide, which must not follow contains */
	pipeline("b.yml", "transformations:\n- {type: rule_failure, message: not ours, "
			  "rule_conditions: [{type: contains_field, field: nope}]}\n");
	ck_assert_ptr_null(load(rule_of("    sel: {nope: 1}\n    condition: sel\n"), &err));
	ck_assert_ptr_nonnull(strstr(err.text, "refuses this rule: not ours"));
	ck_assert_str_eq(err.file, "rule.yml");
	expect(one, "b=x", true);
}
END_TEST

static const struct {
	const char *yaml;
	unsigned line, column;
	const char *words;
} not_applied[] = {
	{"transformations:\n- {type: replace_string, regex: a}\n", 2, 10,
	 "'replace_string' is not one that picket applies"},
	{"transformations:\n- {type: field_name_maping, mapping: {}}\n", 2, 10,
	 "did you mean 'field_name_mapping'"},
	{"transformations:\n- {type: field_name_mapping}\n", 2, 3, "no mapping here"},
	{"transformations:\n- {type: field_name_mapping, maping: {a: b}}\n", 2, 30,
	 "has no key 'maping' (did you mean 'mapping'?)"},
	{"transformations:\n- {type: field_name_mapping, mapping: {a: []}}\n", 2, 43,
	 "mapped to nothing"},
	{"transformations:\n- {type: field_name_mapping, mapping: {a: 'b|contains'}}\n", 2, 43,
	 "a field name has no '|'"},
	{"transformations:\n- {type: field_name_mapping, mapping: {null: b}}\n", 2, 40,
	 "keywords cannot be mapped"},
	{"transformations:\n- {mapping: {a: b}}\n", 2, 3, "without type"},
	{"transformations: {}\n", 1, 18, "must be a list"},
	{"transformation: []\n", 1, 1, "did you mean 'transformations'"},
	{"postprocessing: [{type: embed}]\n", 1, 17, "picket makes none"},
	{"finalizers: [{type: concat}]\n", 1, 13, "picket makes none"},
	{"allowed_backends: [splunk]\n", 1, 19, "not for picket"},
	{"priority: high\n", 1, 11, "priority must be a whole number"},
	{"a: 1\n---\nb: 1\n", 1, 1, "holds one document, this one 2"},
	{"transformations:\n- {type: change_logsource}\n", 2, 3, "says neither"},
	{"transformations:\n- {type: add_condition}\n", 2, 3, "adds nothing"},
	{"transformations:\n- {type: add_condition, name: not, conditions: {a: b}}\n", 2, 31,
	 "cannot be named in a condition"},
	{"transformations:\n- {type: field_name_prefix}\n", 2, 3, "no prefix here"},
	{"transformations:\n- {type: change_logsource, product: p, field_name_conditions: "
	 "[]}\n",
	 2, 40, "has no effect"},
	{"transformations:\n- {type: field_name_prefix, prefix: x, rule_conditions: "
	 "[{type: logsorce}]}\n",
	 2, 65, "did you mean 'logsource'"},
	{"transformations:\n- {type: field_name_prefix, prefix: x, rule_conditions: "
	 "[{type: processing_state, key: a, val: b}]}\n",
	 2, 65, "rule condition 'processing_state' is not one that picket evaluates"},
	{"transformations:\n- {type: field_name_prefix, prefix: x, rule_conditions: "
	 "[{type: logsource}]}\n",
	 2, 58, "names no log source"},
	{"transformations:\n- {type: field_name_prefix, prefix: x, rule_conditions: "
	 "[{type: processing_item_applied, processing_item_id: no}]}\n",
	 2, 58, "no transformation has the id 'no'"},
	{"transformations:\n- {type: field_name_prefix, prefix: x, rule_cond_op: or}\n", 2, 54,
	 "joins nothing"},
	{"transformations:\n- {type: field_name_prefix, prefix: x, rule_cond_not: true}\n", 2, 55,
	 "negates nothing"},
	{"transformations:\n- {type: field_name_prefix, prefix: x, field_name_conditions: "
	 "[{type: include_fields, mode: re, fields: [a]}]}\n",
	 2, 93, "compared as they are"},
	{"transformations:\n- {type: field_name_prefix, prefix: x, rule_conditions: "
	 "{a: {type: is_sigma_rule}}, rule_cond_expr: a and b}\n",
	 2, 101, "names 'b', which is no condition"},
	{"transformations:\n- {type: field_name_prefix, prefix: x, rule_conditions: "
	 "{a: {type: is_sigma_rule}, b: {type: is_sigma_rule}}, rule_cond_expr: a}\n",
	 2, 87, "'b' is not used in the expression"},
	{"transformations:\n- {type: field_name_prefix, prefix: x, "
	 "detection_item_conditions: [{type: is_null}]}\n",
	 2, 68, "any value of the item, or all?"},
};

START_TEST(what_is_not_applied_is_refused)
{
	for (size_t i = 0; i < sizeof not_applied / sizeof *not_applied; i++) {
		struct error err;
		pipeline("a.yml", not_applied[i].yaml);
		ck_assert_msg(load(rule_of(one), &err) == NULL, "loaded: %s", not_applied[i].yaml);
		ck_assert_msg(strstr(err.text, not_applied[i].words) != NULL, "%s: %s",
			      not_applied[i].yaml, err.text);
		ck_assert_msg(
			err.line == not_applied[i].line && err.column == not_applied[i].column,
			"%s: at %u:%u: %s", not_applied[i].yaml, err.line, err.column, err.text);
		ck_assert_str_eq(err.file, paths[0]);
		ck_assert_msg(strstr(err.text, "\n  fix: ") != NULL, "no fix: %s", err.text);
		free((void *)paths[--path_count]);
	}
}
END_TEST

START_TEST(a_pipeline_is_part_of_the_hash)
{
	struct error err;
	struct ruleset *without = load(rule_of(one), &err);
	pipeline("a.yml", "name: nothing\n");
	struct ruleset *with = load(rule_of(one), &err);
	ck_assert_ptr_nonnull(with);
	ck_assert(ruleset_hash(with) != ruleset_hash(without));
	ck_assert(matches(with, 0, "a=x"));
	ruleset_free(&with);
	ruleset_free(&without);
}
END_TEST

int main(void)
{
	TCase *cases = tcase_create("pipeline");
	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, a_field_is_mapped_to_one);
	tcase_add_test(cases, a_field_mapped_to_several_is_any_of_them);
	tcase_add_test(cases, a_fieldref_names_a_field_too);
	tcase_add_test(cases, prefixes_and_suffixes_are_put_on);
	tcase_add_test(cases, a_condition_is_added);
	tcase_add_test(cases, a_condition_may_be_negated_and_listed);
	tcase_add_test(cases, a_log_source_is_changed);
	tcase_add_test(cases, dropped_items_are_left_out);
	tcase_add_test(cases, conditions_choose_rules);
	tcase_add_test(cases, conditions_are_joined);
	tcase_add_test(cases, steps_see_what_went_before);
	tcase_add_test(cases, priority_orders_pipelines);
	tcase_add_test(cases, a_correlation_follows_its_rules);
	tcase_add_test(cases, a_filter_goes_where_its_rule_went);
	tcase_add_test(cases, messages_point_into_the_rule);
	tcase_add_test(cases, what_is_not_applied_is_refused);
	tcase_add_test(cases, a_pipeline_is_part_of_the_hash);
	return tests_run(cases);
}
