/* The JSON answer: valid whatever the names hold, and with the members controllers read. */
#include "correlate/gate.h"

#include <check.h>
#include <json-c/json.h>
#include <math.h>
#include <stdlib.h>

static const int64_t BASE_US = 1700000000LL * 1000000;

struct scene {
	struct finding finding;
	struct text names[1];
	struct gate_query query;
	struct gate_result result;
};

static struct scene scene; /* set up anew by every test */

static void set_up(void)
{
	scene = (struct scene){
		.query = {.service = TEXT("orders"),
			  .canary = {ARM_ANY, TEXT("v2")},
			  .step = TEXT("20"),
			  .step_start_us = BASE_US,
			  .after_us = INT64_MIN,
			  .pardon_us = INT64_MIN,
			  .policy = gate_policy_default()},
		.result = {.verdict = VERDICT_PASS,
			   .final = true,
			   .fresh = true,
			   .as_of_us = BASE_US,
			   .lag_us = 5000000,
			   .step_start_us = BASE_US,
			   .window_start_us = BASE_US,
			   .summary = TEXT("fine"),
			   .reasons = {{TEXT("NI_ACCEPTED"), TEXT("http_5xx is not worse")}},
			   .reason_count = 1},
	};
	scene.result.outcomes[0] = (struct outcome_result){.n_c = 3000,
							   .n_b = 30000,
							   .e_fail = 1,
							   .e_fail_sup = 1,
							   .worse = {.e_pass_absolute = 1e300},
							   .odds_ratio = NAN,
							   .state = NI_ACCEPTED};
	for (int i = 0; i < OUTCOME_COUNT; i++) {
		scene.result.outcomes[i].name = text_of(outcome_name((enum outcome)i));
		scene.result.outcomes[i].two_sided = outcome_info((enum outcome)i)->two_sided;
	}
}

/* The value of a member, by a path of names. */
static json_object *member(json_object *object, const char *name)
{
	json_object *value = NULL;
	ck_assert_msg(json_object_object_get_ex(object, name, &value), "no member %s", name);
	return value;
}

static json_object *parse_answer(void)
{
	struct bytes json cleanup(bytes_done) = {0};
	gate_json(&scene.query, &scene.result, &json);
	ck_assert_int_eq(bytes_status(&json), OK);
	struct json_tokener *tokener = json_tokener_new();
	json_object *object =
		json_tokener_parse_ex(tokener, (const char *)json.data, (int)json.size);
	ck_assert_msg(json_tokener_get_error(tokener) == json_tokener_success || object != NULL,
		      "%.*s", TEXT_ARG(bytes_text(&json)));
	ck_assert_uint_eq(json_tokener_get_parse_end(tokener), json.size);
	json_tokener_free(tokener);
	ck_assert_ptr_nonnull(object);
	return object;
}

START_TEST(json_of_a_pass)
{
	json_object *object = parse_answer();
	ck_assert_str_eq(json_object_get_string(member(object, "schema")), "picket.gate/1");
	ck_assert_str_eq(json_object_get_string(member(object, "verdict")), "PASS");
	ck_assert(json_object_get_boolean(member(object, "ok")));
	ck_assert(json_object_get_boolean(member(object, "final")));
	ck_assert_int_eq(json_object_get_int(member(object, "score")), 100);
	ck_assert_int_eq(json_object_get_type(member(object, "summary")), json_type_string);
	ck_assert_int_eq(json_object_get_int(member(object, "step")), 20);
	ck_assert_ptr_null(member(object, "owner")); /* nobody said */
	ck_assert_str_eq(json_object_get_string(member(object, "canary")), "v2");
	ck_assert_double_eq_tol(json_object_get_double(member(object, "lag_s")), 5, 1e-9);
	json_object *outcome = json_object_array_get_idx(member(object, "outcomes"), 0);
	ck_assert_str_eq(json_object_get_string(member(outcome, "name")), "http_5xx");
	ck_assert_str_eq(json_object_get_string(member(outcome, "state")), "accepted");
	ck_assert_ptr_null(member(outcome, "odds_ratio")); /* null: there is none */
	ck_assert_str_eq(json_object_get_string(member(object, "as_of")), "2023-11-14T22:13:20Z");
	ck_assert_str_eq(json_object_get_string(member(object, "baseline")), "auto");
	ck_assert_int_eq(json_object_array_length(member(object, "outcomes")), OUTCOME_COUNT);
	ck_assert_str_eq(json_object_get_string(member(member(object, "policy"), "name")),
			 "default");
	json_object_put(object);
}
END_TEST

START_TEST(json_of_hostile_names_and_nothing_known)
{
	scene.query.service = (struct text){"a\"b\\\n\0\xff", 7};
	scene.query.canary = (struct arm_query){ARM_DEPLOY_ID, {"\x1b[31m\"", 6}};
	scene.query.step = TEXT("007");
	scene.query.owner = TEXT("team \"a\"\n");
	scene.names[0] = scene.query.service;
	scene.result = (struct gate_result){.verdict = VERDICT_WAIT,
					    .as_of_us = INT64_MIN,
					    .lag_us = INT64_MAX,
					    .step_start_us = INT64_MIN,
					    .window_start_us = INT64_MIN,
					    .summary = scene.query.service,
					    .silent = scene.names,
					    .silent_count = 1,
					    .versions_seen = scene.names,
					    .versions_seen_count = 1};
	json_object *object = parse_answer();
	ck_assert_str_eq(json_object_get_string(member(object, "verdict")), "WAIT");
	ck_assert_int_eq(json_object_get_int(member(object, "score")), 50);
	ck_assert_ptr_null(member(object, "as_of"));
	ck_assert_ptr_null(member(object, "lag_s"));
	ck_assert_int_eq(json_object_get_type(member(object, "step")), json_type_string);
	json_object_put(object);
}
END_TEST

START_TEST(json_of_a_hard_finding)
{
	scene.finding = (struct finding){.service = TEXT("orders"),
					 .arm = {TEXT("v2"), TEXT("d2")},
					 .rule_key = TEXT("rule-1"),
					 .rule_title = TEXT("Secret \"x\""),
					 .count = 2,
					 .first_us = BASE_US,
					 .last_us = BASE_US + 1,
					 .evidence_us = {BASE_US},
					 .evidence = {{TEXT("logs"), 3, 1, 91827}},
					 .evidence_count = 1};
	scene.result.findings = &scene.finding;
	scene.result.finding_count = 1;
	scene.result.verdict = VERDICT_FAIL;
	json_object *object = parse_answer();
	ck_assert_int_eq(json_object_get_int(member(object, "score")), 0);
	ck_assert(!json_object_get_boolean(member(object, "ok")));
	json_object *finding = json_object_array_get_idx(member(object, "findings"), 0);
	ck_assert_str_eq(json_object_get_string(member(finding, "class")), "HARD");
	json_object *evidence = json_object_array_get_idx(member(finding, "evidence"), 0);
	ck_assert_int_eq(json_object_get_int(member(evidence, "offset")), 91827);
	ck_assert_int_eq(json_object_get_int(member(evidence, "partition")), 3);
	json_object_put(object);
}
END_TEST

/* What is drawn while somebody watches: the newest buckets, and what is left of the bake. */
START_TEST(json_of_the_way_there)
{
	enum { BUCKETS = 70, SHOWN = 60 };
	struct gate_moment moments[BUCKETS] = {0};
	for (int i = 0; i < BUCKETS; i++)
		moments[i].e_all = i;
	scene.result.moments = moments;
	scene.result.moment_count = BUCKETS;
	scene.result.step_start_us = scene.result.as_of_us - 60 * INT64_C(1000000);
	json_object *object = parse_answer();
	json_object *history = member(object, "e_history");
	ck_assert_uint_eq(json_object_array_length(history), SHOWN);
	ck_assert_double_eq_tol(json_object_get_double(json_object_array_get_idx(history, 0)),
				BUCKETS - SHOWN, 1e-9);
	ck_assert_double_eq_tol(
		json_object_get_double(member(member(object, "window"), "bake_left_s")), 240, 1e-9);
	json_object_put(object);
}
END_TEST

START_TEST(verdicts_are_exit_codes)
{
	static const char *const NAMES[] = {"PASS", "FAIL",  "INCONCLUSIVE",
					    "WAIT", "STALE", "UNAVAILABLE"};
	for (int i = 0; i < 6; i++)
		ck_assert_str_eq(verdict_name((enum verdict)i), NAMES[i]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("correlate/gate_json");
	TCase *tests = tcase_create("tests");
	tcase_set_timeout(tests, 0);
	tcase_add_checked_fixture(tests, set_up, NULL);
	tcase_add_test(tests, json_of_a_pass);
	tcase_add_test(tests, json_of_hostile_names_and_nothing_known);
	tcase_add_test(tests, json_of_a_hard_finding);
	tcase_add_test(tests, verdicts_are_exit_codes);
	tcase_add_test(tests, json_of_the_way_there);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
