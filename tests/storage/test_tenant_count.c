/* Counts by tenant, from summaries alone, against the events themselves. */
#include "storage/tenant_count.h"

#include "storage/merge.h"
#include "storage/retention.h"
#include "tests/storage/put_block.h"

enum { ARENA_BYTES = 1 << 28, EVENTS = 4000, OWNERS = 6 };

static const char *const owners[OWNERS] = {"t1", "t10", "", "t1\x1f", "T1", "t"};
static struct store *store;

static void setup(void)
{
	struct error err = {0};
	ck_ok(store_open_memory(&store, &err), err);
}

static void teardown(void)
{
	store_free(&store);
}

/* Events `first` to `last`, of owner i modulo `owner_count`. */
static void put_events(size_t first, size_t last, size_t owner_count)
{
	struct error err = {0};
	struct arena *arena cleanup(arena_free) = arena_new(ARENA_BYTES);
	struct block_builder *builder cleanup(block_builder_free) = block_builder_new();
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
	for (size_t i = first; i < last; i++) {
		struct event event = {.time_us = 1800000000000000 + (int64_t)i * 1000000,
				      .origin = {TEXT("logs"), 0, 0, (int64_t)i}};
		event.owner = owner_count == OWNERS ? text_of(owners[i % OWNERS])
						    : arena_print(arena, "n%zu", i % owner_count);
		ck_assert_int_eq(block_add(builder, &event), OK);
	}
	put_block(builder, batch, TEXT("logs"), 0);
	ck_ok(store_batch_commit(batch, false, &err), err);
}

static const struct tenant_count *find(const struct tenant_counts *counts, const char *owner)
{
	for (size_t i = 0; i < counts->count; i++)
		if (text_equal(counts->items[i].owner, text_of(owner)))
			return &counts->items[i];
	ck_abort_msg("%s is not counted", owner);
}

START_TEST(test_merged_and_not)
{
	struct error err = {0};
	struct merge_report report;
	struct tenant_counts counts cleanup(tenant_counts_done) = {0};
	put_events(0, EVENTS / 2, OWNERS);
	ck_ok(merge_all(store, NULL, NULL, &report, &err), err);
	put_events(EVENTS / 2, EVENTS, OWNERS);
	ck_ok(tenants_count(store, &counts, &err), err);
	ck_assert_uint_eq(counts.count, OWNERS);
	ck_assert_uint_eq(counts.unknown_events + counts.damaged, 0);
	for (size_t k = 0; k < OWNERS; k++) {
		const struct tenant_count *count = find(&counts, owners[k]);
		ck_assert_uint_eq(count->events, EVENTS / OWNERS + (k < EVENTS % OWNERS));
		ck_assert_int_eq(count->first_us, 1800000000000000 + (int64_t)k * 1000000);
		ck_assert_uint_gt(count->bytes, 0);
		ck_assert(k == 0 || counts.items[k - 1].events >= counts.items[k].events);
	}
}
END_TEST

/* What is below a floor is not counted, what cannot be told is said. */
START_TEST(test_floor_unknown_damaged)
{
	struct error err = {0};
	struct merge_report report;
	struct tenant_counts counts cleanup(tenant_counts_done) = {0};
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
	put_events(0, 60, OWNERS);
	ck_ok(merge_all(store, NULL, NULL, &report, &err), err);
	put_events(60, 60 + 2 * (BLOCK_OWNERS_MAX + 1), BLOCK_OWNERS_MAX + 1);
	floor_key(CLASS_APPLICATION, &TEXT("t1"), &key);
	floor_encode(1900000000000000, &value);
	store_batch_put(batch, FAMILY_POSITION, bytes_text(&key), bytes_text(&value));
	store_batch_put(batch, FAMILY_BLOCKMETA, TEXT("Mx"), TEXT("?"));
	ck_ok(store_batch_commit(batch, false, &err), err);
	ck_ok(tenants_count(store, &counts, &err), err);
	ck_assert_uint_eq(counts.count, OWNERS - 1);
	ck_assert_uint_eq(counts.unknown_events, 2 * (BLOCK_OWNERS_MAX + 1));
	ck_assert_uint_eq(counts.damaged, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tenant_count");
	TCase *tests = tcase_create("tenant_count");
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, test_merged_and_not);
	tcase_add_test(tests, test_floor_unknown_damaged);
	suite_add_tcase(suite, tests);
	return run_tests(suite);
}
