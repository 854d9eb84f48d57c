#include "storage/merge.h"
#include "storage/retention.h"
#include "storage/search.h"
#include "tests/storage/put_block.h"

enum { ARENA_BYTES = 1 << 28, DAYS = 20, PER_DAY = 300 };

static const int64_t day_us = 86400000000;
static struct store *store;
static char *folder;

/* One owner's events, some a day, of two classes, merged. */
static void put_days(const char *owner)
{
	struct error err = {0};
	struct merge_report report;
	struct arena *arena cleanup(arena_free) = arena_new(ARENA_BYTES);
	struct block_builder *builder cleanup(block_builder_free) = block_builder_new();
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
	for (int64_t day = 0; day < DAYS; day++) {
		uint64_t seed = (uint64_t)day;
		for (int64_t i = 0; i < PER_DAY; i++) {
			struct event event = {.time_us = day * day_us + i,
					      .origin = {text_of(owner), 0, 0, day * PER_DAY + i},
					      .owner = text_of(owner)};
			struct value value = {.type = VALUE_STRING,
					      .text = i % 2 == 0 ? TEXT("iam") : TEXT("web")};
			ck_assert_int_eq(event_add(&event, arena, TEXT("event.category"), value),
					 OK);
			value.text = arena_print(arena, "%016llx%016llx",
						 (unsigned long long)random_next(&seed),
						 (unsigned long long)random_next(&seed));
			ck_assert_int_eq(event_add(&event, arena, TEXT("trace.id"), value), OK);
			ck_assert_int_eq(block_add(builder, &event), OK);
		}
		put_block(builder, batch, text_of(owner), 0);
	}
	ck_ok(store_batch_commit(batch, false, &err), err);
	ck_ok(merge_all(store, NULL, NULL, &report, &err), err);
}

static void setup(void)
{
	struct error err = {0};
	folder = folder_new();
	struct store_options options = {.path = folder, .create = true, .memory_bytes = 8 << 20};
	ck_ok(store_open(&options, &store, &err), err);
	put_days("t1");
	put_days("t2");
}

static void teardown(void)
{
	store_free(&store);
	folder_remove(&folder);
}

static uint64_t count_events(const char *owner, struct search_report *ret_report)
{
	struct error err = {0};
	struct search_result result;
	struct search_options options = {
		.store = store,
		.scoped = true,
		.tenant = text_of(owner),
		.since_us = INT64_MIN,
		.until_us = INT64_MAX,
		.place = {.partition = -1, .last_offset = INT64_MAX, .index = -1},
		.limit = SEARCH_HITS_MAX,
	};
	ck_ok(search_run(&options, &result, &err), err);
	ck_assert(result.report.complete);
	uint64_t count = result.hit_count;
	if (ret_report != NULL)
		*ret_report = result.report;
	search_result_done(&result);
	return count;
}

static size_t rows_left(void)
{
	struct error err = {0};
	struct text key = {0};
	struct text value = {0};
	size_t count = 0;
	for (int i = 0; i < 2; i++) {
		struct store_scan *scan cleanup(store_scan_free) = NULL;
		ck_ok(store_scan_new(store, i == 0 ? FAMILY_BLOCK : FAMILY_BLOCKMETA, TEXT(""),
				     TEXT(""), &scan, &err),
		      err);
		while (store_scan_next(scan, &key, &value))
			count++;
	}
	return count;
}

static const struct retention_rule items[] = {
	{CLASS_SECURITY, NULL, 0},
	{CLASS_ACCESS, NULL, 10 * 86400000000},
	{CLASS_SECURITY, "t2", 5 * 86400000000},
};

/* A plan changes nothing and says what is done then; days go whole, and floors never sink. */
START_TEST(test_by_time)
{
	struct error err = {0};
	struct retention_drop planned[3];
	struct retention_drop done[3];
	uint64_t bytes = 0;
	struct retention_rules rules = {items, 3, 0};
	int64_t now_us = DAYS * day_us;
	size_t before = rows_left();
	ck_ok(retention_plan(store, &rules, now_us, planned, &bytes, &err), err);
	ck_assert_uint_eq(planned[0].blocks, 0);
	ck_assert_uint_eq(planned[1].events, 2 * 10 * PER_DAY / 2); /* both owners */
	ck_assert_uint_eq(planned[2].events, 15 * PER_DAY / 2);
	ck_assert_uint_gt(bytes, planned[1].bytes + planned[2].bytes);
	ck_assert_uint_eq(rows_left(), before);
	ck_assert_uint_eq(count_events("t1", NULL), DAYS * PER_DAY);
	ck_ok(retention_enforce(store, &rules, now_us, done, &err), err);
	ck_assert_uint_eq(done[1].events, planned[1].events);
	ck_assert_uint_eq(count_events("t1", NULL), DAYS * PER_DAY - 10 * PER_DAY / 2);
	ck_assert_uint_eq(count_events("t2", NULL),
			  DAYS * PER_DAY - 10 * PER_DAY / 2 - 15 * PER_DAY / 2);
	ck_assert_uint_lt(rows_left(), before);
	struct search_report report;
	(void)count_events("t1", &report);
	ck_assert_uint_eq(report.by_retention, 0); /* nothing below a floor is left */
	ck_ok(retention_plan(store, &rules, 0, planned, &bytes, &err),
	      err); /* the clock was set back */
	ck_assert_int_eq(planned[1].floor_us, done[1].floor_us);
	ck_assert_uint_eq(planned[1].blocks + planned[2].blocks, 0);
}
END_TEST

START_TEST(test_by_size)
{
	struct error err = {0};
	struct retention_rule forever[CLASS_COUNT] = {
		{CLASS_SECURITY, NULL, 0}, {CLASS_ACCESS, NULL, 0}, {CLASS_APPLICATION, NULL, 0}};
	struct retention_rules rules = {forever, CLASS_COUNT, 0};
	struct retention_drop drops[CLASS_COUNT];
	uint64_t bytes = 0;
	uint64_t after = 0;
	ck_ok(retention_plan(store, &rules, 0, drops, &bytes, &err), err);
	ck_assert_uint_eq(drops[0].blocks, 0);
	rules.bytes_max = bytes / 2;
	ck_ok(retention_enforce(store, &rules, 0, drops, &err), err);
	ck_assert(drops[0].by_size);
	ck_ok(retention_plan(store, &rules, 0, drops, &after, &err), err);
	ck_assert_uint_le(after, bytes / 2);
	ck_assert_uint_gt(after, bytes / 3);
	rules.bytes_max = 1; /* the newest day stays */
	ck_ok(retention_enforce(store, &rules, 0, drops, &err), err);
	ck_assert_uint_eq(count_events("t1", NULL), PER_DAY);
}
END_TEST

/* A view from before reads on what is removed; a search that begins after the floor does not. */
START_TEST(test_open_view)
{
	struct error err = {0};
	struct retention_drop drops[3];
	struct retention_rules rules = {items, 3, 0};
	struct store_view *view cleanup(store_view_free) = NULL;
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct text key = {0};
	struct text value = {0};
	uint64_t events = 0;
	ck_ok(store_view_new(store, &view, &err), err);
	ck_ok(retention_enforce(store, &rules, DAYS * day_us, drops, &err), err);
	ck_assert_uint_lt(count_events("t2", NULL), DAYS * PER_DAY);
	ck_ok(store_view_scan(view, FAMILY_BLOCKMETA, TEXT("M"), TEXT("M"), &scan, &err), err);
	while (store_scan_next(scan, &key, &value)) {
		struct columnar_reader *reader cleanup(columnar_reader_free) = NULL;
		struct arena *arena cleanup(arena_free) = arena_new(ARENA_BYTES);
		struct event event;
		ck_ok(columnar_open(view, key, &reader, &err), err);
		ck_ok(columnar_event(reader, 0, arena, &event, &err), err);
		events += columnar_count(reader);
	}
	ck_assert_uint_eq(events, 2 * DAYS * PER_DAY);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("retention_enforce");
	TCase *tests = tcase_create("retention_enforce");
	tcase_set_timeout(tests, 0);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, test_by_time);
	tcase_add_test(tests, test_by_size);
	tcase_add_test(tests, test_open_view);
	suite_add_tcase(suite, tests);
	return run_tests(suite);
}
