/* Rules that want to block: from when on they may, over the store, its rules and the API. */
#include "cli/rule_shadow.h"

#include "tests/cli/api_fixture.h"

static const struct hash_key KEY = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};
static const int64_t DAY_US = INT64_C(86400) * 1000000;

#define TESTS "    tests: [{expect: {alerts: 1, level: high}, events: [{at: 0s, event: {a: 1}}]}]\n"
#define RULE(timespan)                                                                \
	"title: Base\nname: base\nlogsource: {category: c}\n"                         \
	"detection: {s: {a: 1}, condition: s}\nlevel: low\n---\n"                     \
	"title: Many\nname: many\nlevel: high\n"                                      \
	"correlation:\n    type: event_count\n    rules: [base]\n    group-by: [u]\n" \
	"    timespan: " timespan "\n    condition: {gte: 2}\n"                       \
	"---\ntitle: Breach\nname: breach\nlogsource: {category: c}\n"                \
	"detection: {s: {a: 1}, condition: s}\nlevel: high\npicket:\n    gate: block\n" TESTS

static struct generation *rules_of(const char *yaml)
{
	struct ruleset *ruleset = NULL;
	struct generation *rules = NULL;
	struct error err = {0};
	const struct ruleset_options options = {0};
	enum status status = ruleset_parse(&options, text_of(yaml), "t.yml", &ruleset, &err);
	ck_assert_msg(status == OK, "%s", err.text);
	const struct generation_parts parts = {.ruleset = ruleset};
	ck_assert_int_eq(generation_new(&parts, true, &KEY, &rules, &err), OK);
	return rules;
}

static int64_t ends(const struct generation *rules, const char *key, int64_t after_us)
{
	int64_t ends_us = 0;
	ck_assert_int_eq(rule_shadow_ends(store, rules, text_of(key), after_us, &ends_us, NULL),
			 OK);
	return ends_us;
}

START_TEST(test_first_seen_counts)
{
	struct generation *rules cleanup(generation_drop) = rules_of(RULE("1h"));
	ck_assert_int_eq(ends(rules, "breach", 7 * DAY_US), INT64_MAX); /* never noted */
	ck_assert_int_eq(ends(rules, "breach", 0), INT64_MIN);
	ck_assert_int_eq(rule_shadow_note(store, rules, T0, NULL), OK);
	ck_assert_int_eq(rule_shadow_note(store, rules, T0 + DAY_US, NULL), OK);
	ck_assert_int_eq(ends(rules, "breach", 7 * DAY_US), T0 + 7 * DAY_US);
	ck_assert_int_eq(ends(NULL, "breach", 7 * DAY_US), T0 + 7 * DAY_US);
	ck_assert_int_eq(ends(rules, "many", 7 * DAY_US), INT64_MAX); /* it does not block */
}
END_TEST

/* Another text is the same rule, another shape is another one. */
START_TEST(test_a_new_shape_begins_anew)
{
	static const char FIRST[] = "title: Many\nname: many\nlogsource: {category: c}\n"
				    "detection: {s: {a: 1}, condition: s}\nlevel: high\n"
				    "picket:\n    gate: block\n" TESTS;
	static const char MENDED[] = "title: Very many\nname: many\nlogsource: {category: c}\n"
				     "detection: {s: {a: 1}, condition: s}\nlevel: critical\n"
				     "picket:\n    gate: block\n" TESTS;
	static const char OTHER[] = "title: Many\nname: many\nlogsource: {category: c}\n"
				    "detection: {s: {a: 1}, condition: s}\nlevel: high\n"
				    "picket:\n    dedup: {by: [x]}\n    gate: block\n" TESTS;
	struct generation *first cleanup(generation_drop) = rules_of(FIRST);
	struct generation *mended cleanup(generation_drop) = rules_of(MENDED);
	struct generation *other cleanup(generation_drop) = rules_of(OTHER);
	ck_assert_int_eq(rule_shadow_note(store, first, T0, NULL), OK);
	ck_assert_int_eq(rule_shadow_note(store, mended, T0 + DAY_US, NULL), OK);
	ck_assert_int_eq(ends(mended, "many", DAY_US), T0 + DAY_US);
	ck_assert_int_eq(ends(other, "many", DAY_US), INT64_MAX); /* live, and not noted yet */
	ck_assert_int_eq(rule_shadow_note(store, other, T0 + 2 * DAY_US, NULL), OK);
	ck_assert_int_eq(ends(other, "many", DAY_US), T0 + 3 * DAY_US);
}
END_TEST

START_TEST(test_a_damaged_row_is_told_and_mended)
{
	struct generation *rules cleanup(generation_drop) = rules_of(RULE("1h"));
	const struct text name = TEXT("breach");
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	int64_t ends_us = 0;
	registry_key('q', &name, 1, -1, &key);
	bytes_put(&value, "?", 1);
	put_row(FAMILY_REGISTRY, &key, &value);
	ck_assert_int_eq(rule_shadow_ends(store, rules, name, DAY_US, &ends_us, NULL), ECORRUPT);
	ck_assert_int_eq(rule_shadow_note(store, rules, T0, NULL), OK);
	ck_assert_int_eq(ends(rules, "breach", DAY_US), T0 + DAY_US);
}
END_TEST

static void put_finding(void)
{
	const struct finding finding = {.service = TEXT("orders"),
					.arm = {TEXT("v2"), TEXT("")},
					.rule_key = TEXT("breach"),
					.rule_title = TEXT("Breach"),
					.count = 1,
					.first_us = T0 + DAY_US,
					.last_us = T0 + DAY_US};
	const struct text names[] = {finding.service, finding.arm.version, finding.arm.deploy_id,
				     finding.rule_key};
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	registry_key('f', names, 4, -1, &key);
	finding_encode(&finding, &value);
	put_row(FAMILY_REGISTRY, &key, &value);
}

/* What a young rule finds is shown, and fails nobody; what it finds later does. */
START_TEST(test_the_gate_waits_for_it)
{
	static const char QUESTION[] = "GET /v1/gate?service=orders&canary=v2&dry=1";
	struct generation *rules cleanup(generation_drop) = rules_of(RULE("1h"));
	ck_assert_int_eq(rule_shadow_note(store, rules, T0, NULL), OK);
	put_finding();
	api.ruleset = rules->parts.ruleset;
	now_us = live.committed_us = T0 + DAY_US;
	api.block_after_us = 7 * DAY_US;
	struct json_object *answer = ask(QUESTION, NULL, 200);
	ck_assert_str_ne(json_path_text(answer, "verdict"), "FAIL");
	struct json_object *finding = json_object_array_get_idx(json_path(answer, "findings"), 0);
	ck_assert_str_eq(json_path_text(finding, "class"), "WARN");
	ck_assert_str_eq(json_path_text(finding, "blocks_from"), "2026-01-08T00:00:00Z");
	ck_assert_ptr_nonnull(strstr(json_object_to_json_string(answer), "\"SHADOW\""));
	json_object_put(answer);
	struct json_object *list = ask("GET /v1/rules", NULL, 200);
	ck_assert_ptr_nonnull(strstr(json_object_to_json_string_ext(list, JSON_C_TO_STRING_PLAIN),
				     "\"gate\":\"block\",\"gate_now\":\"warn\""));
	json_object_put(list);
	struct json_object *status = ask("GET /v1/status", NULL, 200);
	ck_assert_str_eq(json_path_text(status, "rules.too_young_to_block"), "1");
	json_object_put(status);
	api.block_after_us = DAY_US;
	answer = ask(QUESTION, NULL, 200);
	ck_assert_str_eq(json_path_text(answer, "verdict"), "FAIL");
	json_object_put(answer);
	list = ask("GET /v1/rules", NULL, 200);
	ck_assert_ptr_nonnull(strstr(json_object_to_json_string_ext(list, JSON_C_TO_STRING_PLAIN),
				     "\"gate\":\"block\",\"gate_now\":\"block\""));
	json_object_put(list);
	api.ruleset = NULL;
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cli/rule_shadow");
	TCase *tests = tcase_create("tests");
	tcase_set_timeout(tests, 0);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, test_first_seen_counts);
	tcase_add_test(tests, test_a_new_shape_begins_anew);
	tcase_add_test(tests, test_a_damaged_row_is_told_and_mended);
	tcase_add_test(tests, test_the_gate_waits_for_it);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
