/* The Sigma specification's own example of a chain, "Failed Logins Followed by Successful Login":
 * no condition, references by name, two levels. It fires when a user's ten failures within five
 * minutes are followed by a success within five minutes, in whatever order the events come. */
#include "tests/correlate/stream_run.h"

enum { ORDERS = 20, FAILURES = 10 };

static const char example[] =
	"title: Windows Failed Logon Event\nname: failed_login\n"
	"logsource: {product: windows, service: security}\n"
	"detection: {selection: {EventID: 4625}, filter: {SubjectUserName|endswith: $}, "
	"condition: selection and not filter}\n---\n"
	"title: Successful login\nname: successful_login\n"
	"logsource: {product: windows, service: security}\n"
	"detection: {selection: {EventID: 4624}, filter: {SubjectUserName|endswith: $}, "
	"condition: selection and not filter}\n---\n"
	"title: Multiple failed logons\nname: many_failed_logins\n"
	"correlation: {type: event_count, rules: [failed_login], group-by: [TargetUserName], "
	"timespan: 5m, condition: {gte: 10}}\n---\n"
	"title: Failed Logins Followed by Successful Login\nname: failed_then_successful\n"
	"status: test\nlevel: high\n"
	"correlation: {type: temporal_ordered, rules: [many_failed_logins, successful_login], "
	"group-by: [TargetUserName], timespan: 5m}\n";

struct logon {
	int second;
	const char *user;
	bool successful;
};

static void logon_route(const struct setup *setup, struct matcher *matcher,
			const struct logon *logon, int64_t offset, struct record_sink *sink)
{
	struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
	struct event event = event_at((int64_t)logon->second * SECOND, offset, "t0");
	struct route_counters counters = {0};
	struct matches matches = {0};
	event_put(&event, arena, "EventID", logon->successful ? "4624" : "4625");
	event_put(&event, arena, "TargetUserName", logon->user);
	event_put(&event, arena, "SubjectUserName", "WORKSTATION");
	ck_assert(matcher_match(matcher, &event, &matches) == OK);
	ck_assert(plan_route(setup->plan, &event, matches.rules, matches.count, 0, sink,
			     &counters) == OK);
}

/* The alert for these logons, or "" for none; the same in every order of arrival. */
static const char *told(const struct logon *logons, size_t count)
{
	static char first[LINE_PRINTED_MAX];
	static struct lines lines;
	struct ruleset_options options = {.supply_metadata = true, .any_logsource = true};
	struct setup setup = {0};
	struct matcher *matcher = NULL;
	uint64_t random = first_seed();
	ck_assert(ruleset_parse(&options, text_of(example), "example.yml", &setup.ruleset, NULL) ==
		  OK);
	ck_assert(plan_new(setup.ruleset, &test_key, &setup.plan, NULL) == OK);
	ck_assert(matcher_new(setup.ruleset, &matcher, NULL) == OK);
	for (int order = 0; order < ORDERS; order++) {
		struct bytes fed[ACTORS_MAX] = {0};
		struct record_sink sink = {fed, 1};
		struct run run;
		bool taken[32] = {0};
		run_begin(&run, &setup, 1);
		for (size_t i = 0; i < count; i++) {
			size_t at = order == 0 ? i : below(&random, count);
			while (taken[at])
				at = (at + 1) % count;
			taken[at] = true;
			logon_route(&setup, matcher, &logons[at], (int64_t)at, &sink);
			if (below(&random, 3) == 0)
				run_epoch(&run, fed, INT64_MIN);
		}
		run_epoch(&run, fed, INT64_MAX);
		run_lines(&run, &lines);
		ck_assert_uint_le(lines.count, 1);
		char printed[LINE_PRINTED_MAX] = "";
		const char *line = lines.count == 0 ? printed : line_print(&lines.all[0], printed);
		if (order == 0)
			(void)snprintf(first, sizeof first, "%s", line);
		ck_assert_str_eq(line, first);
		run_end(&run);
	}
	matcher_free(&matcher);
	setup_done(&setup);
	return first;
}

/* Ten failures of ann from second 0 to 9, and a success. */
static const char *told_of(int success_second, const char *who, size_t failures)
{
	struct logon logons[FAILURES + 1];
	for (size_t i = 0; i < failures; i++)
		logons[i] = (struct logon){(int)i, "ann", false};
	logons[failures] = (struct logon){success_second, who, true};
	return told(logons, failures + 1);
}

START_TEST(the_example_of_the_specification_fires)
{
	ck_assert_str_eq(told_of(20, "ann", FAILURES),
			 "failed_then_successful|t0|TargetUserName=ann|9000000|20000000|2|high");
	ck_assert_str_eq(told_of(309, "ann", FAILURES),
			 "failed_then_successful|t0|TargetUserName=ann|9000000|309000000|2|high");
}
END_TEST

START_TEST(and_nothing_else_does)
{
	ck_assert_str_eq(told_of(310, "ann", FAILURES), ""); /* too late */
	ck_assert_str_eq(told_of(8, "ann", FAILURES), "");   /* before the tenth failure */
	ck_assert_str_eq(told_of(20, "bob", FAILURES), "");
	ck_assert_str_eq(told_of(20, "ann", FAILURES - 1), "");
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("flagship");
	tcase_add_test(tests, the_example_of_the_specification_fires);
	tcase_add_test(tests, and_nothing_else_does);
	return run_tests("flagship", tests);
}
