/* Coverage: what was seen, what is missing and what it may be called, and what can never fire. */
#include "rules/coverage.h"
#include "tests/rules/json_event.h"
#include "tests/rules/loading.h"

struct covered {
	struct ruleset *ruleset;
	struct coverage *coverage;
	struct arena *arena;
};

/* The rule of these lines; category c as in detection_of(). */
static struct covered cover(const char *lines, bool any_logsource)
{
	struct covered it = {.arena = arena_new(1 << 26)};
	struct ruleset_options options = {.any_logsource = any_logsource, .verbatim_names = true};
	char buffer[4096];
	const char *yaml = detection_of(lines, buffer, sizeof buffer);
	ck_assert_int_eq(ruleset_parse(&options, text_of(yaml), "r.yml", &it.ruleset, NULL), OK);
	ck_assert_int_eq(coverage_new(it.ruleset, &it.coverage), OK);
	return it;
}

static void add(struct covered *it, const char *category, const char *json)
{
	struct event event = {.logsource = {.category = text_of(category)}};
	struct json_object *object = json_tokener_parse(json);
	struct flattening to = {object, it->arena, &event};
	flatten(&to, object, TEXT(""));
	ck_assert_int_eq(coverage_add(it->coverage, &event, 1), OK);
	json_object_put(object);
}

static struct rule_coverage ask(struct covered *it)
{
	struct rule_coverage rule;
	ck_assert_int_eq(
		coverage_of_rule(it->coverage, ruleset_rule(it->ruleset, 0), it->arena, &rule), OK);
	return rule;
}

static void covered_done(struct covered *it)
{
	coverage_free(&it->coverage);
	ruleset_free(&it->ruleset);
	arena_free(&it->arena);
}

START_TEST(fields_seen_and_missing)
{
	struct covered it =
		cover("    s: {user.name: x, CommandLine: y, a: z}\n    condition: s\n", false);
	add(&it, "C", "{\"user\":{\"name\":\"q\"},\"Commandline\":\"q\"}"); /* C is c */
	add(&it, "other", "{\"a\":1}");
	struct rule_coverage rule = ask(&it);
	ck_assert_uint_eq(rule.events, 1);
	ck_assert_uint_eq(rule.field_count, 3);
	ck_assert_uint_eq(rule.seen_count, 1);
	ck_assert(rule.fields[0].seen && !rule.fields[1].seen);
	ck_assert(text_equal(rule.fields[1].nearest, TEXT("Commandline")));
	ck_assert(!rule.fields[2].seen); /* only in another log source */
	ck_assert(!rule.can_fire);
	covered_done(&it);
}
END_TEST

START_TEST(no_event_of_the_log_source)
{
	struct covered it = cover("    s: {f: null}\n    condition: s\n", false);
	add(&it, "other", "{\"f\":null}");
	ck_assert(!ask(&it).can_fire);
	ck_assert_uint_eq(ask(&it).events, 0);
	covered_done(&it);
	it = cover("    s: {f: null}\n    condition: s\n", true);
	add(&it, "other", "{}");
	ck_assert(ask(&it).can_fire);
	covered_done(&it);
}
END_TEST

/* A rule with this condition on events that have f and o.p but never g. */
static bool fires(const char *condition)
{
	char lines[512];
	(void)snprintf(lines, sizeof lines,
		       "    f: {f: 1}\n    g: {g: 1}\n    n: {g: null}\n    k: [word]\n"
		       "    r: {f|fieldref: g}\n    e: {o|exists: true}\n    h: {h: 1}\n"
		       "    condition: %s\n",
		       condition);
	struct covered it = cover(lines, true);
	add(&it, "c", "{\"f\":1,\"o\":{\"p\":1}}");
	bool can_fire = ask(&it).can_fire;
	covered_done(&it);
	return can_fire;
}

START_TEST(conditions)
{
	ck_assert(fires("f"));
	ck_assert(!fires("g"));
	ck_assert(!fires("f and g"));
	ck_assert(fires("f or g"));
	ck_assert(fires("f and not g"));
	ck_assert(fires("n and f"));
	ck_assert(!fires("not n"));
	ck_assert(fires("k"));
	ck_assert(!fires("r"));
	ck_assert(fires("not r"));
	ck_assert(fires("e"));
	ck_assert(!fires("2 of them and h"));
	ck_assert(!fires("all of them"));
	ck_assert(fires("2 of them"));
	ck_assert(!fires("not (f or not g)"));
}
END_TEST

START_TEST(what_was_mended_is_a_field)
{
	struct covered it = cover("    s: {picket.quality: depth}\n    condition: s\n", true);
	struct event event = {0};
	ck_assert_int_eq(coverage_add(it.coverage, &event, 1), OK);
	ck_assert_uint_eq(ask(&it).seen_count, 0);
	event.quality = QUALITY_DEPTH;
	ck_assert_int_eq(coverage_add(it.coverage, &event, 1), OK);
	ck_assert_uint_eq(ask(&it).seen_count, 1);
	covered_done(&it);
}
END_TEST

START_TEST(names_beyond_the_limit)
{
	struct covered it = cover("    s: {f: 1}\n    condition: s\n", true);
	char json[64];
	for (unsigned i = 0; i <= COVERAGE_NAMES_MAX; i++) {
		(void)snprintf(json, sizeof json, "{\"n%u\":1}", i);
		add(&it, "c", json);
		arena_reset(it.arena);
	}
	ck_assert(coverage_cut(it.coverage));
	covered_done(&it);
}
END_TEST

int main(void)
{
	TCase *cases = tcase_create("coverage");
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, fields_seen_and_missing);
	tcase_add_test(cases, no_event_of_the_log_source);
	tcase_add_test(cases, conditions);
	tcase_add_test(cases, what_was_mended_is_a_field);
	tcase_add_test(cases, names_beyond_the_limit);
	return tests_run(cases);
}
