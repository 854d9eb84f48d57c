/* Files in, alerts out: order of lines, lateness, revisions, final order, chains, and what a scan
 * says of input that it could not read. */
#include <unistd.h>
#include <zlib.h>

#include "decoding.h"
#include "ingest/scan.h"

static const char rules_text[] =
	"title: failed\nname: failed\nlogsource: {product: microservice}\n"
	"detection: {s: {event.outcome: failure}, condition: s}\nlevel: informational\n"
	"---\n"
	"title: many\nid: 11111111-1111-4111-8111-111111111111\n"
	"correlation: {type: event_count, rules: [failed], group-by: [user.id], timespan: 10s,\n"
	"              condition: {gte: 2}}\nlevel: high\n"
	"---\n"
	"title: chain\nid: 22222222-2222-4222-8222-222222222222\n"
	"correlation: {type: event_count, rules: [11111111-1111-4111-8111-111111111111],\n"
	"              group-by: [user.id], timespan: 60s, condition: {gte: 3}, generate: true}\n"
	"level: critical\n"
	"---\n"
	"title: gives up\nid: 33333333-3333-4333-8333-333333333333\n"
	"logsource: {product: microservice}\n"
	"detection: {s: {note|re: '^(a+)+(?=b)'}, condition: s}\nlevel: low\n"
	"---\n"
	"title: no beat\nid: 44444444-4444-4444-8444-444444444444\n"
	"correlation: {type: absence, rules: [failed], group-by: [heart], timespan: 60s,\n"
	"              members: {seen-within: 90s}}\nlevel: low\n";

static const char path[] = "/tmp/picket-test-scan.gz.tmp";

static struct ruleset *ruleset;
static struct bytes heard; /* one line per alert revision, without id and evidence */
static struct scan_totals totals;
static int64_t line; /* offset of the next message */

static void say(const char *words)
{
	bytes_put(&heard, words, strlen(words));
}

static void on_alert(void *context, const struct alert *alert)
{
	(void)context;
	char words[256];
	(void)snprintf(words, sizeof words, "%.*s %s r%u %lld..%lld x%llu flags %u\n",
		       TEXT_ARG(alert->rule_title), alert_state_name(alert->state), alert->revision,
		       (long long)alert->first_us / 1000000, (long long)alert->last_us / 1000000,
		       (unsigned long long)alert->count, alert->flags);
	say(words);
}

static void on_reject(void *context, const struct scan_reject *reject)
{
	(void)context;
	char words[256];
	(void)snprintf(words, sizeof words, "reject %lld %s\n", (long long)reject->origin.offset,
		       reject_name(reject->why));
	say(words);
}

static struct scan *begin(int64_t lateness_us, bool final_only)
{
	struct scan_options options = {
		.ruleset = ruleset,
		.decoder = {.time_trusted = true},
		.final_only = final_only,
		.lateness_us = lateness_us,
		.sink = {.on_alert = on_alert, .on_reject = on_reject},
	};
	struct scan *scan = NULL;
	struct error err = {0};
	ck_assert_msg(scan_new(&options, &scan, &err) == OK, "%s", err.text);
	bytes_clear(&heard);
	line = 1;
	return scan;
}

static void feed(struct scan *scan, const char *payload)
{
	struct error err = {0};
	struct origin origin = {.topic = TEXT("memory"), .offset = line++};
	ck_assert_int_eq(scan_message(scan, &origin, text_of(payload), &err), OK);
}

static void feed_failure(struct scan *scan, const char *user, int second)
{
	char payload[256];
	(void)snprintf(payload, sizeof payload,
		       "{\"@timestamp\":\"%s\",\"event.outcome\":\"failure\",\"user.id\":\"%s\"}",
		       time_of((int64_t)second * 1000000), user);
	feed(scan, payload);
}

static const char *end(struct scan **scan)
{
	struct error err = {0};
	enum status status = scan_finish(*scan, &totals, &err);
	ck_assert_msg(status == OK, "%s", err.text);
	scan_free(scan);
	bytes_put_u8(&heard, 0);
	return (const char *)heard.data;
}

/* Late is what live would have missed; sorted input has missed nothing. */
START_TEST(the_order_of_lines_does_not_show)
{
	static const int orders[][4] = {{100, 101, 102, 150},
					{150, 102, 100, 101},
					{102, 100, 150, 101},
					{101, 150, 102, 100}};
	char *expected = NULL;
	for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
		struct scan *scan = begin(-1, false);
		for (size_t k = 0; k < 4; k++)
			feed_failure(scan, "u", orders[i][k]);
		const char *got = end(&scan);
		if (expected == NULL)
			expected = strdup(got);
		ck_assert_str_eq(got, expected);
		ck_assert_uint_eq(totals.actor.late_counted + totals.actor.late_dropped, 0);
	}
	ck_assert_ptr_nonnull(strstr(expected, "many open r1 100..101 x2 flags 0\n"));
	ck_assert_ptr_nonnull(strstr(expected, "many ended r2 100..102 x3 flags 0\n"));
	free(expected);
}
END_TEST

static const char *with_a_late_one(int64_t lateness_us)
{
	struct scan *scan = begin(lateness_us, true);
	for (int i = 0; i < 1024; i++) /* a whole live epoch, so that the watermark moves */
		feed(scan, "{\"@timestamp\":\"1970-01-01T00:05:00Z\",\"user.id\":\"u\"}");
	feed_failure(scan, "u", 100);
	feed_failure(scan, "u", 101);
	return end(&scan);
}

START_TEST(with_a_bound_a_late_record_is_treated_as_live)
{
	ck_assert_str_eq(with_a_late_one(-1), "many ended r2 100..101 x2 flags 0\n");
	ck_assert_str_eq(with_a_late_one(1000000), "");
	ck_assert_uint_eq(totals.actor.late_dropped, 2);
	ck_assert_str_eq(with_a_late_one(300000000), "many ended r2 100..101 x2 flags 0\n");
}
END_TEST

START_TEST(final_alerts_come_once_sorted_by_their_first_event)
{
	struct scan *scan = begin(-1, true);
	static const char *const users[] = {"late", "early", "middle"};
	static const int seconds[] = {300, 100, 200};
	for (size_t i = 0; i < 3; i++)
		for (int k = 0; k < 6; k++)
			feed_failure(scan, users[i], seconds[i] + k % 2);
	/* Equal starts: by rule. The last has no later event that would end it at once. */
	ck_assert_str_eq(end(&scan), "many ended r2 100..101 x6 flags 0\n"
				     "chain ended r2 100..101 x6 flags 0\n"
				     "many ended r2 200..201 x6 flags 0\n"
				     "chain ended r2 200..201 x6 flags 0\n"
				     "many ended r3 300..301 x6 flags 0\n"
				     "chain ended r3 300..301 x6 flags 0\n");
	ck_assert_uint_eq(totals.alerts, 6);
}
END_TEST

START_TEST(a_chain_fires_when_its_child_has)
{
	struct scan *scan = begin(-1, true);
	feed_failure(scan, "u", 100);
	feed_failure(scan, "u", 101);
	feed_failure(scan, "u", 102); /* the child fires at 101 and 102: not three times */
	const char *got = end(&scan);
	ck_assert_ptr_null(strstr(got, "chain"));
	scan = begin(-1, true);
	for (int i = 0; i < 4; i++)
		feed_failure(scan, "u", 100 + i);
	got = end(&scan);
	ck_assert_ptr_nonnull(strstr(got, "chain ended r2 101..103 x3"));
}
END_TEST

START_TEST(what_cannot_be_read_is_told_and_counted)
{
	struct scan *scan = begin(-1, false);
	feed_failure(scan, "u", 1);
	feed(scan, "{\"broken");
	feed(scan, "");
	ck_assert_str_eq(end(&scan), "reject 2 not_json\nreject 3 empty\n");
	ck_assert_uint_eq(totals.messages, 3);
	ck_assert_uint_eq(totals.events, 1);
	ck_assert_uint_eq(totals.quarantined, 2);
}
END_TEST

/* A compressed file that is cut behind a whole line: every line that is there is good, and yet the
 * scan has not seen everything. */
START_TEST(a_file_that_breaks_off_is_a_reject)
{
	gzFile file = gzopen(path, "wb");
	ck_assert_ptr_nonnull(file);
	for (int i = 0; i < 3; i++)
		ck_assert_int_gt(gzputs(file, "{\"a\":1}\n"), 0);
	ck_assert_int_eq(gzflush(file, Z_FULL_FLUSH), Z_OK);
	long whole = (long)gzoffset(file);
	ck_assert_int_gt(gzputs(file, "{\"a\":1}\n"), 0);
	ck_assert_int_eq(gzclose(file), Z_OK);
	ck_assert_int_eq(truncate(path, whole), 0);
	const char *paths[] = {path};
	struct file_options files = {paths, 1};
	struct error err = {0};
	struct scan *scan = begin(-1, false);
	ck_assert_int_eq(scan_files(scan, &files, &err), OK);
	ck_assert_str_eq(end(&scan), "reject 4 unreadable\n");
	ck_assert_uint_eq(totals.events, 3);
	ck_assert_uint_eq(totals.quarantined, 1);
	(void)unlink(path);
}
END_TEST

START_TEST(a_file_given_twice_is_refused)
{
	FILE *file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	(void)fputs("{\"a\":1}\n", file);
	(void)fclose(file);
	const char *paths[] = {path, path};
	struct file_options files = {paths, 2};
	struct error err = {0};
	struct scan *scan = begin(-1, false);
	ck_assert_int_eq(scan_files(scan, &files, &err), EINVALID);
	ck_assert_ptr_nonnull(strstr(err.text, "given twice"));
	scan_free(&scan);
	(void)unlink(path);
}
END_TEST

/* Without somebody to hear alerts nothing is correlated, and the matches are the same. */
START_TEST(matches_alone_do_not_need_the_stateful_stage)
{
	struct scan *scan = begin(-1, false);
	for (int i = 0; i < 10; i++)
		feed_failure(scan, "u", 100 + i);
	(void)end(&scan);
	uint64_t matches = totals.matches;
	ck_assert_uint_eq(matches, 10);
	ck_assert_uint_gt(totals.routes.records, 0);
	struct scan_options options = {
		.ruleset = ruleset, .decoder = {.time_trusted = true}, .lateness_us = -1};
	ck_assert_int_eq(scan_new(&options, &scan, NULL), OK);
	for (int i = 0; i < 10; i++)
		feed_failure(scan, "u", 100 + i);
	(void)end(&scan);
	ck_assert_uint_eq(totals.matches, matches);
	ck_assert_uint_eq(totals.routes.records, 0);
	ck_assert_uint_eq(totals.alerts, 0);
}
END_TEST

static void feed_note(struct scan *scan, const char *note, int second)
{
	char payload[256];
	(void)snprintf(payload, sizeof payload, "{\"@timestamp\":\"%s\",\"note\":\"%s\"}",
		       time_of((int64_t)second * 1000000), note);
	feed(scan, payload);
}

/* A pattern that explodes gives up, is counted, and is an alert: "no match" it is not. */
START_TEST(a_rule_that_gives_up_raises_an_alert)
{
	static const char hostile[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!";
	static const int64_t bounds[] = {-1, -1, 10000000};
	for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
		bool final_only = i == 1;
		struct scan *scan = begin(bounds[i], final_only);
		feed_note(scan, hostile, i == 2 ? 100 : 9000);
		feed_note(scan, "b", 200);
		feed_note(scan, hostile, 300);
		feed_note(scan, hostile, i == 2 ? 9000 : 100);
		ck_assert_str_eq(end(&scan), "A rule could not be decided for an event ended r1 "
					     "100..9000 x3 flags 0\n");
		ck_assert_uint_eq(totals.undecided, 3);
		ck_assert_uint_eq(totals.alerts, 1);
		ck_assert_uint_eq(totals.matches, 0);
	}
	struct scan *scan = begin(-1, true);
	feed_note(scan, "aaab", 100); /* this is decided */
	ck_assert_ptr_nonnull(strstr(end(&scan), "gives up"));
	ck_assert_uint_eq(totals.undecided, 0);
}
END_TEST

/* An event that matches no rule makes its group one that is awaited. */
START_TEST(whoever_logs_at_all_is_awaited)
{
	static const int times[] = {100, 130, 175, 400};
	static const struct {
		int64_t lateness_us;
		const char *expected;
	} cases[] = {
		{-1, "no beat ended r2 160..160 x1 flags 0\n"}, /* what comes last proves nothing */
		{10000000, "no beat ended r1 160..220 x2 flags 0\n"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct scan *scan = begin(cases[i].lateness_us, true);
		for (size_t k = 0; k < sizeof times / sizeof *times; k++) {
			char payload[256];
			(void)snprintf(payload, sizeof payload,
				       "{\"@timestamp\":\"%s\",\"%s\":\"pay\"}",
				       time_of((int64_t)times[k] * 1000000),
				       times[k] == 400 ? "other" : "heart");
			feed(scan, payload);
		}
		ck_assert_str_eq(end(&scan), cases[i].expected);
		ck_assert_uint_eq(totals.routes.records, 3);
	}
}
END_TEST

int main(void)
{
	struct error err = {0};
	struct ruleset_options options = {0};
	if (ruleset_parse(&options, text_of(rules_text), "test", &ruleset, &err) != OK) {
		(void)fprintf(stderr, "%u:%u: %s\n", err.line, err.column, err.text);
		return EXIT_FAILURE;
	}
	Suite *suite = suite_create("scan");
	TCase *tests = tcase_create("scan");
	tcase_add_test(tests, the_order_of_lines_does_not_show);
	tcase_add_test(tests, whoever_logs_at_all_is_awaited);
	tcase_add_test(tests, with_a_bound_a_late_record_is_treated_as_live);
	tcase_add_test(tests, final_alerts_come_once_sorted_by_their_first_event);
	tcase_add_test(tests, a_chain_fires_when_its_child_has);
	tcase_add_test(tests, what_cannot_be_read_is_told_and_counted);
	tcase_add_test(tests, a_file_that_breaks_off_is_a_reject);
	tcase_add_test(tests, a_file_given_twice_is_refused);
	tcase_add_test(tests, a_rule_that_gives_up_raises_an_alert);
	tcase_add_test(tests, matches_alone_do_not_need_the_stateful_stage);
	suite_add_tcase(suite, tests);
	int failed = run_suite(suite);
	bytes_done(&heard);
	ruleset_free(&ruleset);
	return failed;
}
