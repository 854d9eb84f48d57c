/* Everything in a span of time, whatever shape its block has, exactly once. */
#include "storage/event_cursor.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "storage/retention.h"
#include "storage/rows.h"

enum { EVENTS = 600, SECOND = 1000000, ARENA_BYTES = 64 << 20 };
static const int64_t T0 = 1767225600000000;

static struct store *store;
static struct arena *arena;

static void setup(void)
{
	ck_assert_int_eq(store_open_memory(&store, NULL), OK);
	arena = arena_new(ARENA_BYTES);
}

static void teardown(void)
{
	store_free(&store);
	arena_free(&arena);
}

/* Event i: offset i of partition i % 3, at second i; owner t0 or t1; some are of another class. */
static struct event event_of(int64_t i)
{
	struct event event = {.origin = {TEXT("logs"), (int32_t)(i % 3), 0, i},
			      .time_us = T0 + i * SECOND,
			      .owner = i % 2 == 0 ? TEXT("t0") : TEXT("t1")};
	struct value value = {.type = VALUE_STRING, .text = arena_print(arena, "event %d", (int)i)};
	ck_assert_int_eq(event_add(&event, arena, TEXT("message"), value), OK);
	if (i % 7 < 2)
		ck_assert_int_eq(event_add(&event, arena, TEXT("note"), value), OK);
	if (i % 4 == 1)
		event.logsource.product = TEXT("linux");
	if (i % 5 == 0) {
		value.text = TEXT("authentication");
		ck_assert_int_eq(event_add(&event, arena, TEXT("event.category"), value), OK);
	}
	return event;
}

static void put(enum store_family family, const struct bytes *key, struct text value)
{
	struct store_batch *batch = store_batch_new(store);
	store_batch_put(batch, family, bytes_text(key), value);
	ck_assert_int_eq(store_batch_commit(batch, false, NULL), OK);
	store_batch_free(&batch);
}

/* The events of one partition with first <= i < end as a block of an epoch. */
static void put_rows(int64_t first, int64_t end, int32_t partition)
{
	struct block_builder *builder = block_builder_new();
	struct bytes key = {0}, block = {0}, meta_row = {0};
	struct block_meta meta;
	for (int64_t i = first; i < end; i++) {
		struct event event = event_of(i);
		if (event.origin.partition == partition)
			ck_assert_int_eq(block_add(builder, &event), OK);
	}
	ck_assert_int_eq(block_finish(builder, &block, &meta, NULL), OK);
	block_key(TEXT("logs"), partition, meta.first_offset, meta.first_index, &key);
	block_meta_encode(&meta, &meta_row);
	put(FAMILY_EPOCH, &key, bytes_text(&block));
	put(FAMILY_BLOCKMETA, &key, bytes_text(&meta_row));
	bytes_done(&key);
	bytes_done(&block);
	bytes_done(&meta_row);
	block_builder_free(&builder);
}

/* The events first <= i < end of one owner and class as a merged block. */
static void put_columns(int64_t first, int64_t end, const char *owner, enum data_class class)
{
	struct columnar_table *table = columnar_table_new();
	struct store_batch *batch = store_batch_new(store);
	uint64_t blocks = 0;
	for (int64_t i = first; i < end; i++) {
		struct event event = event_of(i);
		if (text_equal(event.owner, text_of(owner)) && data_class_of(&event) == class)
			ck_assert_int_eq(columnar_add(table, &event), OK);
	}
	ck_assert_int_eq(columnar_cut(table, batch, &blocks, NULL), OK);
	ck_assert_int_eq(store_batch_commit(batch, false, NULL), OK);
	store_batch_free(&batch);
	columnar_table_free(&table);
}

/* The first two thirds are merged, the rest are blocks of epochs. */
static void put_all(void)
{
	for (int class = 0; class < CLASS_COUNT; class ++) {
		for (int64_t first = 0; first < 400; first += 200) {
			put_columns(first, first + 200, "t0", (enum data_class) class);
			put_columns(first, first + 200, "t1", (enum data_class) class);
		}
	}
	for (int32_t partition = 0; partition < 3; partition++) {
		put_rows(400, 500, partition);
		put_rows(500, EVENTS, partition);
	}
}

/* Of its log source and the names of its fields. */
static uint64_t kind_hash(const struct event *event)
{
	uint64_t hash = XXH3_64bits(event->logsource.product.data, event->logsource.product.size);
	for (size_t i = 0; i < event->field_count; i++)
		hash = XXH3_64bits_withSeed(event->fields[i].name.data, event->fields[i].name.size,
					    hash);
	return hash;
}

/* With names only: as many events as come whole, of the same kinds, in fewer answers. */
static void check_names(struct event_cursor_options options, uint64_t events, uint64_t kinds)
{
	struct event_cursor *cursor = NULL;
	uint64_t answers = 0;
	options.names_only = true;
	ck_assert_int_eq(event_cursor_new(&options, &cursor, NULL), OK);
	for (struct event event;; answers++) {
		bool more = false;
		ck_assert_int_eq(event_cursor_next(cursor, &event, &more, NULL), OK);
		if (!more)
			break;
		uint64_t count = event_cursor_stands_for(cursor);
		events -= count;
		kinds -= count * kind_hash(&event);
	}
	ck_assert_uint_eq(events, 0);
	ck_assert_uint_eq(kinds, 0);
	ck_assert_uint_lt(answers, EVENTS / 2);
	event_cursor_free(&cursor);
}

/* How often each event came. */
static enum status read_all(const struct event_cursor_options *options, unsigned seen[EVENTS])
{
	struct event_cursor *cursor = NULL;
	bool more = true;
	uint64_t events = 0;
	uint64_t kinds = 0;
	uint64_t estimate = 0;
	memset(seen, 0, EVENTS * sizeof *seen);
	ck_assert_int_eq(event_cursor_new(options, &cursor, NULL), OK);
	ck_assert_int_eq(event_cursor_estimate(cursor, &estimate, NULL), OK);
	while (more) {
		struct event event;
		struct error err = {0};
		enum status status = event_cursor_next(cursor, &event, &more, &err);
		ck_assert_msg(status == OK, "%s", err.text);
		if (!more)
			break;
		ck_assert_int_lt(event.origin.offset, EVENTS);
		seen[event.origin.offset]++;
		ck_assert_int_eq(event.time_us, T0 + event.origin.offset * SECOND);
		events++;
		kinds += kind_hash(&event);
	}
	check_names(*options, events, kinds);
	enum status status = event_cursor_status(cursor, NULL);
	ck_assert_uint_ge(estimate, events);
	ck_assert_uint_le(estimate, EVENTS);
	event_cursor_free(&cursor);
	return status;
}

START_TEST(test_each_event_once)
{
	static const int64_t spans[][2] = {{INT64_MIN, INT64_MAX},
					   {0, EVENTS},
					   {100, 450},
					   {399, 400},
					   {600, 700},
					   {450, 450}};
	unsigned seen[EVENTS];
	put_all();
	for (size_t s = 0; s < sizeof spans / sizeof *spans; s++) {
		bool all = spans[s][0] == INT64_MIN;
		struct event_cursor_options options = {
			.store = store,
			.since_us = all ? INT64_MIN : T0 + spans[s][0] * SECOND,
			.until_us = all ? INT64_MAX : T0 + spans[s][1] * SECOND};
		ck_assert_int_eq(read_all(&options, seen), OK);
		for (int64_t i = 0; i < EVENTS; i++)
			ck_assert_uint_eq(seen[i], i >= spans[s][0] && i <= spans[s][1]);
		options.scoped = true;
		options.tenant = TEXT("t1");
		ck_assert_int_eq(read_all(&options, seen), OK);
		for (int64_t i = 0; i < EVENTS; i++)
			ck_assert_uint_eq(seen[i],
					  i % 2 == 1 && i >= spans[s][0] && i <= spans[s][1]);
	}
}
END_TEST

START_TEST(test_a_damaged_block_is_told)
{
	struct bytes key = {0};
	unsigned seen[EVENTS];
	size_t count = 0;
	put_all();
	block_key(TEXT("logs"), 1, 400, 0, &key);
	put(FAMILY_EPOCH, &key, TEXT("garbage"));
	const struct event_cursor_options options = {
		.store = store, .since_us = INT64_MIN, .until_us = INT64_MAX};
	ck_assert_int_eq(read_all(&options, seen), EINCOMPLETE);
	for (size_t i = 0; i < EVENTS; i++)
		count += seen[i];
	ck_assert_uint_eq(count, EVENTS - 34); /* what the one block held */
	bytes_done(&key);
}
END_TEST

START_TEST(test_what_comes_later_is_not_seen)
{
	struct event_cursor *cursor = NULL;
	const struct event_cursor_options options = {
		.store = store, .since_us = INT64_MIN, .until_us = INT64_MAX};
	size_t count = 0;
	bool more = true;
	for (int32_t partition = 0; partition < 3; partition++)
		put_rows(0, 300, partition);
	ck_assert_int_eq(event_cursor_new(&options, &cursor, NULL), OK);
	for (int32_t partition = 0; partition < 3; partition++)
		put_rows(300, EVENTS, partition);
	while (more) {
		struct event event;
		ck_assert_int_eq(event_cursor_next(cursor, &event, &more, NULL), OK);
		count += more;
	}
	ck_assert_uint_eq(count, 300);
	event_cursor_free(&cursor);
}
END_TEST

START_TEST(test_nothing_below_a_floor)
{
	struct bytes key = {0}, value = {0};
	const struct text owner = TEXT("t0");
	unsigned seen[EVENTS];
	put_all();
	floor_key(CLASS_APPLICATION, &owner, &key);
	floor_encode(T0 + 450 * (int64_t)SECOND, &value);
	put(FAMILY_POSITION, &key, bytes_text(&value));
	const struct event_cursor_options options = {
		.store = store, .since_us = INT64_MIN, .until_us = INT64_MAX};
	ck_assert_int_eq(read_all(&options, seen), OK);
	for (int64_t i = 0; i < EVENTS; i++) {
		struct event event = event_of(i);
		bool gone = i % 2 == 0 && i < 450 && data_class_of(&event) == CLASS_APPLICATION;
		ck_assert_uint_eq(seen[i], !gone);
	}
	bytes_done(&key);
	bytes_done(&value);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("event_cursor");
	TCase *all = tcase_create("all");
	tcase_add_checked_fixture(all, setup, teardown);
	tcase_add_test(all, test_each_event_once);
	tcase_add_test(all, test_a_damaged_block_is_told);
	tcase_add_test(all, test_what_comes_later_is_not_seen);
	tcase_add_test(all, test_nothing_below_a_floor);
	suite_add_tcase(suite, all);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
