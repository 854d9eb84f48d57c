/* The routes about the store itself: what is old, whose it is. */
#include "tests/cli/api_fixture.h"

#include "cli/audit.h"
#include "storage/block.h"

/* The entry of a class that has no tenant. */
static struct json_object *entry_of(struct json_object *answer, const char *class)
{
	struct json_object *list = json_path(answer, "retention");
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *entry = json_object_array_get_idx(list, i);
		if (strcmp(json_path_text(entry, "class"), class) == 0)
			return entry;
	}
	ck_abort_msg("no entry of %s", class);
}

START_TEST(test_retention)
{
	const struct retention_rule kept[] = {{CLASS_SECURITY, NULL, 0}};
	const struct retention_rules events = {kept, 1, 0};
	const struct row_rules rows = {.keep_us = {[ROW_KIND_AUDIT] = 1800 * INT64_C(1000000)}};
	refused("GET /v1/retention", 503, "ask it with --server");
	api.retention = &events;
	api.row_rules = &rows;
	for (uint32_t i = 0; i < 3; i++) { /* now, 30 minutes and an hour ago: one is too old */
		const struct audit_row row = {.time_us = now_us - i * 1800 * INT64_C(1000000),
					      .method = TEXT("GET")};
		struct bytes key cleanup(bytes_done) = {0};
		struct bytes value cleanup(bytes_done) = {0};
		audit_key(row.time_us, i, &key);
		audit_encode(&row, &value);
		put_row(FAMILY_AUDIT, &key, &value);
	}
	struct json_object *answer = ask("GET /v1/retention", NULL, 200);
	ck_assert_uint_eq(json_object_array_length(json_path(answer, "retention")),
			  1 + ROW_KIND_COUNT);
	struct json_object *audit = entry_of(answer, "audit");
	ck_assert_str_eq(json_path_text(audit, "keep_seconds"), "1800");
	ck_assert_str_eq(json_path_text(audit, "rows"), "1");
	ck_assert_str_eq(json_path_text(audit, "floor"), "2026-01-01T00:30:00Z");
	ck_assert_ptr_null(json_path(entry_of(answer, "alerts"), "keep_seconds"));
	ck_assert_str_eq(json_path_text(entry_of(answer, "alerts"), "rows"), "0");
	ck_assert_str_eq(json_path_text(entry_of(answer, "security"), "events"), "0");
	json_object_put(answer);
}
END_TEST

START_TEST(test_tenants)
{
	struct block_builder *builder cleanup(block_builder_free) = block_builder_new();
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes block cleanup(bytes_done) = {0};
	struct bytes row cleanup(bytes_done) = {0};
	struct block_meta meta;
	for (int64_t i = 0; i < 5; i++) {
		const struct event event = {.time_us = T0,
					    .origin = {TEXT("logs"), 0, 0, i},
					    .owner = i < 2 ? TEXT("t1") : TEXT("t2")};
		ck_assert_int_eq(block_add(builder, &event), OK);
	}
	ck_assert_int_eq(block_finish(builder, &block, &meta, NULL), OK);
	block_key(TEXT("logs"), 0, 0, 0, &key);
	block_meta_encode(&meta, &row);
	put_row(FAMILY_EPOCH, &key, &block);
	put_row(FAMILY_BLOCKMETA, &key, &row);
	struct json_object *answer = ask("GET /v1/tenants?limit=1", NULL, 200);
	ck_assert_uint_eq(json_object_array_length(json_path(answer, "tenants")), 1);
	struct json_object *most = json_object_array_get_idx(json_path(answer, "tenants"), 0);
	ck_assert_str_eq(json_path_text(most, "tenant"), "t2");
	ck_assert_str_eq(json_path_text(most, "events"), "3");
	ck_assert_str_eq(json_path_text(answer, "total"), "2");
	ck_assert_str_eq(json_path_text(answer, "unknown_events"), "0");
	json_object_put(answer);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("api_store");
	TCase *all = tcase_create("all");
	tcase_add_checked_fixture(all, setup, teardown);
	tcase_add_test(all, test_retention);
	tcase_add_test(all, test_tenants);
	suite_add_tcase(suite, all);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
