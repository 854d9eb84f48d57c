/* /v1/alerts on the in-memory store: what it lists, refuses and writes. */
#include "tests/cli/api_fixture.h"

#include "correlate/alert.h"

struct sample {
	const char *id, *tenant, *rule;
	enum rule_level level;
	enum alert_state state;
	int64_t last_s;
};

static void put_alert(const struct sample *sample)
{
	struct bytes key = {0};
	struct bytes value = {0};
	struct alert alert = {.revision = 1,
			      .state = sample->state,
			      .rule_id = text_of(sample->rule),
			      .rule_key = text_of(sample->rule),
			      .rule_title = TEXT("a title"),
			      .level = sample->level,
			      .tenant = text_of(sample->tenant),
			      .count = 3,
			      .threshold = 1,
			      .timespan_us = 1000000,
			      .first_us = T0,
			      .last_us = T0 + sample->last_s * 1000000,
			      .reason = TEXT("because")};
	snprintf(alert.id, sizeof alert.id, "%s", sample->id);
	if (sample->state == ALERT_MERGED)
		memset(alert.merged_into, 'a', ALERT_ID_SIZE);
	alert_encode(&alert, &value);
	alert_key('a', text_of(sample->id), &key);
	put_row(FAMILY_ALERT, &key, &value);
	bytes_done(&key);
	bytes_done(&value);
}

#define ID(digits) digits "00000000000000000000000000"

static void put_samples(void)
{
	static const struct sample samples[] = {
		{ID("abc100"), "t1", "r1", LEVEL_LOW, ALERT_OPEN, 10},
		{ID("abc200"), "t10", "r1", LEVEL_HIGH, ALERT_ENDED, 30},
		{ID("def000"), "t1", "r2", LEVEL_CRITICAL, ALERT_OPEN, 20},
		{ID("eee000"), "t1", "r2", LEVEL_HIGH, ALERT_MERGED, 40},
	};
	for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
		put_alert(&samples[i]);
}

/* The first three digits of the ids of a list, in order. */
static void expect_ids(const char *line, const char *expected)
{
	char got[64] = "";
	struct json_object *answer = ask(line, NULL, 200);
	struct json_object *alerts = json_path(answer, "alerts");
	for (size_t i = 0; i < json_object_array_length(alerts); i++) {
		struct json_object *one = json_object_array_get_idx(alerts, i);
		snprintf(got + strlen(got), sizeof got - strlen(got), "%s%.4s", i == 0 ? "" : " ",
			 json_path_text(one, "alert_id"));
	}
	ck_assert_msg(strcmp(got, expected) == 0, "%s: \"%s\" instead of \"%s\"", line, got,
		      expected);
	json_object_put(answer);
}

START_TEST(test_alerts_list)
{
	put_samples();
	expect_ids("GET /v1/alerts", "abc2 def0 abc1");
	expect_ids("GET /v1/alerts?state=all", "eee0 abc2 def0 abc1");
	expect_ids("GET /v1/alerts?state=open", "def0 abc1");
	expect_ids("GET /v1/alerts?state=ended", "abc2");
	expect_ids("GET /v1/alerts?state=merged", "eee0");
	expect_ids("GET /v1/alerts?level=high", "abc2 def0");
	expect_ids("GET /v1/alerts?rule=r2", "def0");
	expect_ids("GET /v1/alerts?limit=1", "abc2");
	expect_ids("GET /v1/alerts?since=2026-01-01T00:00:25Z", "abc2");
	expect_ids("GET /v1/alerts?until=2025-12-31T23:59:59Z", "");
	expect_ids("GET /v1/alerts?since=59m", "");
	/* one tenant's name is never the prefix of another's */
	expect_ids("GET /v1/alerts?tenant=t1", "def0 abc1");
	expect_ids("GET /v1/alerts?tenant=t", "");
}
END_TEST

START_TEST(test_status_counts_alerts)
{
	put_samples();
	struct json_object *answer = ask("GET /v1/status", NULL, 200);
	ck_assert_str_eq(json_path_text(answer, "alerts.total"), "3"); /* one was merged */
	ck_assert_str_eq(json_path_text(answer, "alerts.open"), "2");
	json_object_put(answer);
}
END_TEST

START_TEST(test_parameters_are_strict)
{
	refused("GET /v1/alerts?tenat=t1", 400, "no parameter \"tenat\"");
	refused("GET /v1/alerts?tenant=t1&tenant=t2", 400, "given twice");
	refused("GET /v1/alerts?state=opn", 400, "state=opn");
	refused("GET /v1/alerts?level=hi", 400, "level=hi");
	refused("GET /v1/alerts?limit=0", 400, "limit is from 1");
	refused("GET /v1/alerts?limit=10001", 400, "limit is from 1");
	refused("GET /v1/alerts?limit=-1", 400, "not a number");
	refused("GET /v1/alerts?limit=99999999999999999999", 400, "not a number");
	refused("GET /v1/alerts?since=yesterday", 400, "is not a time");
	refused("GET /v1/alert", 404, "no /v1/alert in this API");
	refused("GET /", 404, "no / in this API");
	refused("DELETE /v1/alerts", 405, "does not take the method DELETE");
	refused("POST /v1/status", 405, "does not take the method POST");
}
END_TEST

START_TEST(test_alert_ids_may_be_abbreviated)
{
	put_samples();
	struct json_object *answer = ask("GET /v1/alerts/abc1", NULL, 200);
	ck_assert_str_eq(json_path_text(answer, "alert_id"), ID("abc100"));
	ck_assert_str_eq(json_path_text(answer, "handling.state"), "new");
	json_object_put(answer);
	json_object_put(ask("GET /v1/alerts/" ID("def000"), NULL, 200));
	refused("GET /v1/alerts/abc", 400, "at least 4");
	refused("GET /v1/alerts/abcd", 404, "no alert with the id abcd");
	refused("GET /v1/alerts/ABC1", 400, "not an alert id");
	refused("GET /v1/alerts/" ID("abc100") "0", 400, "not an alert id");
	put_alert(&(struct sample){ID("abc1ff"), "t1", "r1", LEVEL_LOW, ALERT_OPEN, 1});
	refused("GET /v1/alerts/abc1", 409, "2 alerts begin with abc1: " ID("abc100"));
	/* another tenant's alert does not exist, and makes nothing ambiguous */
	refused("GET /v1/alerts/abc2?tenant=t1", 404, "no alert");
	json_object_put(ask("GET /v1/alerts/abc2?tenant=t10", NULL, 200));
}
END_TEST

#define BODY "{\"who\":\"ann\",\"note\":\"n\xc3\xb6te\",\"as\":\"\"}"

START_TEST(test_ack_and_close)
{
	put_samples();
	struct json_object *answer = ask("POST /v1/alerts/abc1/ack", BODY, 200);
	ck_assert_str_eq(json_path_text(answer, "handling.state"), "acked");
	json_object_put(answer);
	answer = ask("POST /v1/alerts/abc1/ack", BODY, 200); /* a retry is no second deed */
	ck_assert_uint_eq(json_object_array_length(json_path(answer, "handling.actions")), 1);
	json_object_put(answer);
	now_us += 5000000;
	answer = ask("POST /v1/alerts/abc1/close",
		     "{\"who\":\"bob\",\"as\":\"false-positive\",\"note\":\"\"}", 200);
	ck_assert_str_eq(json_path_text(answer, "handling.state"), "closed");
	struct json_object *actions = json_path(answer, "handling.actions");
	ck_assert_uint_eq(json_object_array_length(actions), 2);
	ck_assert_str_eq(json_path_text(json_object_array_get_idx(actions, 1), "time"),
			 "2026-01-01T01:00:05Z");
	json_object_put(answer);
	expect_ids("GET /v1/alerts", "abc2 def0");
	expect_ids("GET /v1/alerts?state=closed", "abc1");
	expect_ids("GET /v1/alerts?state=new", "abc2 def0");
	answer = ask("POST /v1/alerts/abc1/reopen", BODY, 200);
	ck_assert_str_eq(json_path_text(answer, "handling.state"), "new");
	ck_assert_str_eq(json_path_text(answer, "handling.verdict"), "");
	json_object_put(answer);
	answer = ask("POST /v1/alerts/abc1/assign",
		     "{\"who\":\"ann\",\"as\":\"bob\",\"note\":\"\"}", 200);
	ck_assert_str_eq(json_path_text(answer, "handling.state"), "acked");
	ck_assert_str_eq(json_path_text(answer, "handling.assignee"), "bob");
	json_object_put(answer);
}
END_TEST

START_TEST(test_bad_actions)
{
	static const struct {
		const char *line, *body;
		unsigned status;
	} cases[] = {
		{"POST /v1/alerts/abc1/ack", "", 400},
		{"POST /v1/alerts/abc1/ack", "{}", 400},
		{"POST /v1/alerts/abc1/ack", "[]", 400},
		{"POST /v1/alerts/abc1/ack", "{\"who\":7}", 400},
		{"POST /v1/alerts/abc1/ack", "{\"who\":\"a\",\"when\":1}", 400},
		{"POST /v1/alerts/abc1/ack", "{\"who\":\"a\"} x", 400},
		{"POST /v1/alerts/abc1/close", BODY, 400}, /* without saying what it was */
		{"POST /v1/alerts/abc1/close", "{\"who\":\"a\",\"as\":\"done\"}", 400},
		{"POST /v1/alerts/abc1/assign", BODY, 400},
		{"POST /v1/alerts/abc1/delete", BODY, 404},
		{"POST /v1/alerts/abc1", BODY, 404},
		{"POST /v1/alerts/ffff/ack", BODY, 404},
		{"POST /v1/alerts/abc2/ack?tenant=t1", BODY, 404},
	};
	put_samples();
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		json_object_put(ask(cases[i].line, cases[i].body, cases[i].status));
	api.read_only = true;
	json_object_put(ask("POST /v1/alerts/abc1/ack", BODY, 403));
	api.read_only = false;
	store_memory_fail_at(store, 1, ENOSPACE);
	json_object_put(ask("POST /v1/alerts/abc1/ack", BODY, 503));
	expect_ids("GET /v1/alerts?state=acked", "");
}
END_TEST

START_TEST(test_a_damaged_alert_is_said)
{
	struct bytes key = {0};
	struct bytes value = {0};
	put_samples();
	bytes_put(&value, "garbage", 7);
	alert_key('a', TEXT(ID("f00000")), &key);
	put_row(FAMILY_ALERT, &key, &value);
	struct json_object *answer = ask("GET /v1/alerts", NULL, 200);
	ck_assert_str_eq(json_path_text(answer, "complete"), "false");
	ck_assert_ptr_nonnull(json_path(answer, "problem"));
	json_object_put(answer);
	bytes_done(&key);
	bytes_done(&value);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("api_alerts");
	TCase *all = tcase_create("all");
	tcase_add_checked_fixture(all, setup, teardown);
	tcase_add_test(all, test_alerts_list);
	tcase_add_test(all, test_status_counts_alerts);
	tcase_add_test(all, test_parameters_are_strict);
	tcase_add_test(all, test_alert_ids_may_be_abbreviated);
	tcase_add_test(all, test_ack_and_close);
	tcase_add_test(all, test_bad_actions);
	tcase_add_test(all, test_a_damaged_alert_is_said);
	suite_add_tcase(suite, all);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
