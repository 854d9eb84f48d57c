/* GET /v1/rules/coverage: the live rules over the stored events, and what is said when not all of
 * them were looked at. */
#include "storage/block.h"
#include "tests/cli/api_fixture.h"

static struct ruleset *rules;

static void put_events(int count)
{
	struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
	struct block_builder *builder cleanup(block_builder_free) = block_builder_new();
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes block cleanup(bytes_done) = {0};
	struct bytes encoded cleanup(bytes_done) = {0};
	struct block_meta meta = {0};
	struct error err = {0};
	for (int i = 0; i < count; i++) {
		struct event event = {.origin = {TEXT("logs"), 0, 0, i},
				      .time_us = T0 + i,
				      .record_time_us = T0 + i,
				      .owner = TEXT("acme"),
				      .logsource = {TEXT("web"), TEXT("p"), TEXT("")}};
		struct value value = {.type = VALUE_STRING, .text = TEXT("x")};
		ck_assert_int_eq(event_add(&event, arena, TEXT("CommandLine"), value), OK);
		ck_assert_int_eq(block_add(builder, &event), OK);
	}
	ck_assert_int_eq(block_finish(builder, &block, &meta, &err), OK);
	block_key(TEXT("logs"), 0, meta.first_offset, meta.first_index, &key);
	block_meta_encode(&meta, &encoded);
	put_row(FAMILY_EPOCH, &key, &block);
	put_row(FAMILY_BLOCKMETA, &key, &encoded);
}

static void begin(void)
{
	static const char text[] =
		"title: sees\nlogsource: {category: web}\n"
		"detection: {s: {CommandLine: x}, condition: s}\nlevel: low\n---\n"
		"title: misses\nlogsource: {category: web}\n"
		"detection: {s: {Commandline: x}, condition: s}\nlevel: low\n---\n"
		"title: elsewhere\nlogsource: {category: dns}\n"
		"detection: {s: {q: x}, condition: s}\nlevel: low\n";
	const struct ruleset_options options = {0};
	struct error err = {0};
	setup();
	ck_assert_msg(ruleset_parse(&options, text_of(text), "t", &rules, &err) == OK, "%s",
		      err.text);
	api.ruleset = rules;
	put_events(5);
}

static void end(void)
{
	teardown();
	ruleset_free(&rules);
}

START_TEST(rules_are_held_against_the_store)
{
	static const char *const states[] = {"can fire", "cannot fire", "no events"};
	struct json_object *answer = ask("GET /v1/rules/coverage", NULL, 200);
	struct json_object *list = json_path(answer, "rules");
	ck_assert_int_eq(json_object_get_int(json_path(answer, "events")), 5);
	ck_assert(json_object_get_boolean(json_path(answer, "complete")));
	ck_assert_uint_eq(json_object_array_length(list), 3);
	for (size_t i = 0; i < 3; i++)
		ck_assert_str_eq(json_path_text(json_object_array_get_idx(list, i), "state"),
				 states[i]);
	struct json_object *fields = json_path(json_object_array_get_idx(list, 1), "fields");
	ck_assert_str_eq(json_path_text(json_object_array_get_idx(fields, 0), "nearest"),
			 "CommandLine");
	(void)json_object_put(answer);
}
END_TEST

START_TEST(a_limit_is_told)
{
	struct json_object *answer = ask("GET /v1/rules/coverage?limit=3&unable=true", NULL, 200);
	ck_assert_int_eq(json_object_get_int(json_path(answer, "events")), 3);
	ck_assert(!json_object_get_boolean(json_path(answer, "complete")));
	ck_assert_ptr_nonnull(strstr(json_path_text(answer, "problem"), "only 3 events"));
	ck_assert_uint_eq(json_object_array_length(json_path(answer, "rules")), 2);
	(void)json_object_put(answer);
}
END_TEST

START_TEST(times_and_tenants_narrow_it)
{
	struct json_object *answer = ask("GET /v1/rules/coverage?since=1m", NULL, 200);
	ck_assert_int_eq(json_object_get_int(json_path(answer, "events")), 0);
	(void)json_object_put(answer);
	answer = ask("GET /v1/rules/coverage?tenant=globex", NULL, 200);
	ck_assert_int_eq(json_object_get_int(json_path(answer, "events")), 0);
	(void)json_object_put(answer);
}
END_TEST

START_TEST(wrong_questions_are_refused)
{
	refused("GET /v1/rules/coverage?limit=0", 400, "limit is a number of events");
	refused("GET /v1/rules/coverage?unable=yes", 400, "unable is true");
	api.ruleset = NULL;
	refused("GET /v1/rules/coverage", 503, "no rules are loaded");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("api coverage");
	TCase *tests = tcase_create("all");
	tcase_add_checked_fixture(tests, begin, end);
	tcase_add_test(tests, rules_are_held_against_the_store);
	tcase_add_test(tests, a_limit_is_told);
	tcase_add_test(tests, times_and_tenants_narrow_it);
	tcase_add_test(tests, wrong_questions_are_refused);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
