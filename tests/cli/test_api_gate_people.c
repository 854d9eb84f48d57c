/* What people and controllers do with the gate over HTTP, on a store in memory: the latch of a FAIL
 * and its override, history, plan, policies, and Flagger's two hooks. */
#include "tests/cli/gate_story.h"

START_TEST(a_fail_is_latched_until_it_is_overridden)
{
	play();
	play_on(6, 6);
	verdict_is("GET /v1/gate?service=orders&canary=v2&baseline=v1&dry=1", "FAIL");
	api_done(&api);
	api_init(&api);
	verdict_is(QUESTION, "FAIL");
	/* The buckets go, the FAIL stays: also of a daemon that started again. */
	struct store *fresh = NULL;
	struct text service = TEXT("orders");
	struct text canary = TEXT("v2");
	struct text names[] = {service, canary};
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	registry_key('v', names, 2, -1, &key);
	ck_assert_int_eq(store_get(store, FAMILY_REGISTRY, bytes_text(&key), &value, NULL), OK);
	ck_assert_int_eq(store_open_memory(&fresh, NULL), OK);
	api_done(&api);
	store_free(&store);
	store = fresh;
	api.store = store;
	api_init(&api);
	put_row(FAMILY_REGISTRY, &key, &value);
	play();
	play_on(12, 0);
	struct json_object *answer = ask(QUESTION, NULL, 200);
	ck_assert_str_eq(json_path_text(answer, "verdict"), "FAIL");
	struct json_object *reason = json_object_array_get_idx(json_path(answer, "reasons"), 0);
	ck_assert_str_eq(json_path_text(reason, "code"), "LATCHED");
	json_object_put(answer);

	struct json_object *wrong =
		ask("POST /v1/gate/override", "{\"service\":\"orders\",\"canary\":\"v2\"}", 400);
	ck_assert_ptr_nonnull(strstr(json_path_text(wrong, "error"), "who and reason"));
	json_object_put(wrong);
	json_object_put(ask("POST /v1/gate/override", "[1]", 400));
	override_is("v2", 200, "the FAIL and what was seen");
	verdict_is(QUESTION, "WAIT"); /* judged afresh: it bakes again */
	play_on(66, 0);
	verdict_is(QUESTION, "PASS");
	play_on(6, 6);
	verdict_is(QUESTION, "FAIL");

	answer = ask("GET /v1/gate/history?service=orders&canary=v2", NULL, 200);
	const char *history = json_object_to_json_string(answer);
	ck_assert_ptr_nonnull(strstr(history, "\"OVERRIDE\""));
	ck_assert_ptr_nonnull(strstr(history, "bad node"));
	ck_assert_ptr_nonnull(strstr(history, "\"blocked\""));
	json_object_put(answer);
	refused("GET /v1/gate/history?canary=v2", 400, "needs service=");
}
END_TEST

START_TEST(a_dry_fail_blocks_nobody)
{
	play();
	play_on(6, 6);
	verdict_is("GET /v1/gate?service=orders&canary=v2&dry=1", "FAIL");
	struct json_object *answer = ask("GET /v1/gate/history", NULL, 200);
	ck_assert_ptr_nonnull(strstr(json_object_to_json_string(answer), "would have blocked"));
	json_object_put(answer);
	struct text names[] = {TEXT("orders"), TEXT("v2")};
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	registry_key('v', names, 2, -1, &key);
	ck_assert_int_eq(store_get(store, FAMILY_REGISTRY, bytes_text(&key), &value, NULL),
			 ENOTFOUND);
	/* Asked in earnest it does. */
	verdict_is("GET /v1/gate?service=orders&canary=v2", "FAIL");
	ck_assert_int_eq(store_get(store, FAMILY_REGISTRY, bytes_text(&key), &value, NULL), OK);
}
END_TEST

/* A typing error must not look like an override that helped, nor one under another name. */
START_TEST(an_override_says_what_it_forgave)
{
	play();
	play_on(6, 6);
	verdict_is(QUESTION, "FAIL");
	override_is("v3", 404, "no event of orders v3 was seen");
	override_is("service.version=v2", 200, "no FAIL stands under this name");
	verdict_is(QUESTION, "FAIL");
	override_is("v2", 200, "the FAIL and what was seen");
	verdict_is(QUESTION, "WAIT");
}
END_TEST

START_TEST(history_is_newest_first)
{
	static const char *const CANARIES[] = {"v9", "v2", "v5"};
	static const char *const LIMITED = "GET /v1/gate/history?limit=2";
	char line[128];
	play();
	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(line, sizeof line, "GET /v1/gate?service=orders&canary=%s",
			       CANARIES[i]);
		json_object_put(ask(line, NULL, 200));
		now_us++;
	}
	struct json_object *answer = ask(LIMITED, NULL, 200);
	struct json_object *rows = json_path(answer, "history");
	ck_assert_uint_eq(json_object_array_length(rows), 2);
	for (size_t i = 0; i < 2; i++)
		ck_assert_str_eq(json_path_text(json_object_array_get_idx(rows, i), "canary"),
				 CANARIES[2 - i]);
	ck_assert_str_eq(json_path_text(answer, "complete"), "false");
	json_object_put(answer);
	answer = ask("GET /v1/gate/history?limit=3", NULL, 200);
	ck_assert_str_eq(json_path_text(answer, "complete"), "true");
	json_object_put(answer);
}
END_TEST

static unsigned flagger(const char *path, const char *body, const char *words)
{
	struct api_request request = {
		.method = TEXT("POST"), .path = text_of(path), .body = text_of(body)};
	struct api_response response;
	api_answer(&api, &request, &response);
	bytes_put_u8(&response.body, 0);
	ck_assert_msg(strstr((const char *)response.body.data, words) != NULL, "%s",
		      (const char *)response.body.data);
	bytes_done(&response.body);
	return response.status;
}

START_TEST(flagger_reads_statuses)
{
	static const char BODY[] =
		"{\"name\":\"orders\",\"namespace\":\"shop\",\"phase\":\"Progressing\","
		"\"checksum\":\"d2\",\"metadata\":{\"service\":\"orders\",\"canary\":\"v2\"}}";
	play();
	ck_assert_uint_eq(flagger("/v1/flagger/confirm", BODY, "PASS: canary v2"), 200);
	ck_assert_uint_eq(flagger("/v1/flagger/rollback", BODY, "PASS: "), 409);
	play_on(6, 6);
	ck_assert_uint_eq(flagger("/v1/flagger/confirm", BODY, "FAIL: "), 409);
	ck_assert_uint_eq(flagger("/v1/flagger/rollback", BODY, "FAIL: "), 200);
	/* Without metadata: the name, and the checksum as the deploy id. */
	ck_assert_uint_eq(flagger("/v1/flagger/rollback",
				  "{\"name\":\"orders\",\"checksum\":\"d2\"}", "FAIL: "),
			  200);
	ck_assert_uint_eq(flagger("/v1/flagger/confirm",
				  "{\"name\":\"orders\",\"checksum\":\"d9\"}", "WAIT: "),
			  425);
	now_us += 600 * INT64_C(1000000);
	live.committed_us = now_us;
	ck_assert_uint_eq(flagger("/v1/flagger/confirm",
				  "{\"name\":\"orders\",\"metadata\":{\"canary\":\"v1\"}}",
				  "STALE: "),
			  424);
	/* Neither hook rolls back or promotes on what it does not understand. */
	ck_assert_uint_eq(flagger("/v1/flagger/rollback", "{}", "needed"), 400);
	ck_assert_uint_eq(flagger("/v1/flagger/confirm", "no json", "no JSON object"), 400);
	ck_assert_int_eq(api_access_of(TEXT("POST"), TEXT("/v1/flagger/confirm")), API_GATE_READ);
	ck_assert_int_eq(api_access_of(TEXT("POST"), TEXT("/v1/gate/override")), API_SOCKET_ONLY);
}
END_TEST

START_TEST(a_plan_tells_when)
{
	play();
	refused("GET /v1/gate/plan?service=orders", 400, "share= is needed");
	refused("GET /v1/gate/plan?service=nobody&share=10", 404, "no request of nobody");
	struct json_object *tenth = ask("GET /v1/gate/plan?service=orders&share=10", NULL, 200);
	struct json_object *rare = ask("GET /v1/gate/plan?service=orders&share=1", NULL, 200);
	double at_tenth = json_object_get_double(json_path(tenth, "pass_after_s"));
	double at_rare = json_object_get_double(json_path(rare, "pass_after_s"));
	ck_assert_double_ge(at_tenth, 300); /* the bake */
	ck_assert_double_ge(at_rare, at_tenth);
	/* 880 requests/s, none bad: 1 % of them proves a rate below 0.1 % within minutes. */
	ck_assert_double_le(at_rare, 1800);
	ck_assert_uint_eq(json_object_array_length(json_path(tenth, "at_other_shares")), 5);
	ck_assert(json_object_get_boolean(json_path(tenth, "within_deadline")));
	ck_assert_double_eq(json_object_get_double(json_path(tenth, "deadline_s")), 1800);
	struct json_object *short_time =
		ask("GET /v1/gate/plan?service=orders&share=10&deadline=4m", NULL, 200);
	ck_assert(!json_object_get_boolean(json_path(short_time, "within_deadline")));
	ck_assert_double_eq(json_object_get_double(json_path(short_time, "deadline_s")), 240);
	refused("GET /v1/gate/plan?service=orders&share=10&deadline=soon", 400,
		"deadline=soon is not a duration");
	json_object_put(short_time);
	json_object_put(tenth);
	json_object_put(rare);
	struct json_object *policies = ask("GET /v1/gate/policies", NULL, 200);
	ck_assert_uint_eq(json_object_array_length(json_path(policies, "policies")), 3);
	json_object_put(policies);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("api_gate_people");
	TCase *all = tcase_create("all");
	tcase_set_timeout(all, 0);
	tcase_add_checked_fixture(all, setup, teardown);
	tcase_add_test(all, a_fail_is_latched_until_it_is_overridden);
	tcase_add_test(all, a_dry_fail_blocks_nobody);
	tcase_add_test(all, an_override_says_what_it_forgave);
	tcase_add_test(all, history_is_newest_first);
	tcase_add_test(all, flagger_reads_statuses);
	tcase_add_test(all, a_plan_tells_when);
	suite_add_tcase(suite, all);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
