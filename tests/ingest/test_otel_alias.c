/* Both vocabularies mean one thing: for each name that ECS has for an OpenTelemetry name, a rule
 * written in either finds the record that was logged in either. */
#include "decoding.h"
#include "ingest/scan.h"

static const struct {
	const char *ecs, *otel;
} names[] = {
#define OTEL(ecs_name, otel_name, relation) {ecs_name, otel_name},
#include "rules/otel.def"
#undef OTEL
};
enum { NAMES = sizeof names / sizeof *names };

static size_t found[NAMES][2]; /* by the vocabulary of the rule: events of its alert */

static void on_alert(void *context, const struct alert *alert)
{
	unsigned name = 0;
	unsigned vocabulary = 0;
	(void)context;
	ck_assert_int_eq(sscanf(alert->rule_title.data, "%u in vocabulary %u", &name, &vocabulary),
			 2);
	ck_assert(name < NAMES && vocabulary < 2);
	found[name][vocabulary] = alert->count;
}

static const char *name_of(size_t name, size_t vocabulary)
{
	return vocabulary == 0 ? names[name].ecs : names[name].otel;
}

/* A time is no text that a rule compares for equality; test_normalise.c has its aliases. */
static bool is_time(size_t name)
{
	return strcmp(names[name].ecs, "@timestamp") == 0;
}

static struct ruleset *rules_in_both(void)
{
	struct bytes yaml cleanup(bytes_done) = {0};
	struct ruleset *ruleset = NULL;
	struct error err = {0};
	for (size_t i = 0; i < NAMES * 2; i++) {
		char rule[512];
		int size = snprintf(rule, sizeof rule,
				    "title: %zu in vocabulary %zu\nlogsource: {product: "
				    "microservice}\ndetection: {s: {%s: value %zu}, condition: s}\n"
				    "level: low\n---\n",
				    i / 2, i % 2, name_of(i / 2, i % 2), i / 2);
		if (!is_time(i / 2))
			bytes_put(&yaml, rule, (size_t)size);
	}
	yaml.size -= 4; /* the last --- */
	const struct ruleset_options options = {0};
	ck_assert_msg(ruleset_parse(&options, bytes_text(&yaml), "both.yml", &ruleset, &err) == OK,
		      "%s", err.text);
	return ruleset;
}

START_TEST(a_rule_in_either_finds_a_log_in_either)
{
	struct ruleset *ruleset = rules_in_both();
	const struct scan_options options = {.ruleset = ruleset,
					     .decoder = {.time_trusted = true},
					     .final_only = true,
					     .lateness_us = -1,
					     .sink = {.on_alert = on_alert}};
	struct scan *scan = NULL;
	struct scan_totals totals;
	ck_assert_int_eq(scan_new(&options, &scan, NULL), OK);
	for (size_t i = 0; i < NAMES * 2; i++) {
		char payload[512];
		const struct origin origin = {.topic = TEXT("memory"), .offset = (int64_t)i + 1};
		(void)snprintf(payload, sizeof payload,
			       "{\"@timestamp\":\"2026-11-22T00:00:01Z\",\"%s\":\"value %zu\"}",
			       name_of(i / 2, i % 2), i / 2);
		if (!is_time(i / 2))
			ck_assert_int_eq(scan_message(scan, &origin, text_of(payload), NULL), OK);
	}
	ck_assert_int_eq(scan_finish(scan, &totals, NULL), OK);
	for (size_t i = 0; i < NAMES * 2; i++)
		ck_assert_msg(found[i / 2][i % 2] == (is_time(i / 2) ? 0 : 2), "%s: %zu events",
			      name_of(i / 2, i % 2), found[i / 2][i % 2]);
	scan_free(&scan);
	ruleset_free(&ruleset);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("otel_alias");
	TCase *tests = tcase_create("otel_alias");
	tcase_add_test(tests, a_rule_in_either_finds_a_log_in_either);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
