#include "storage/merge.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <xxhash.h>

#include "storage/search.h"
#include "tests/storage/put_block.h"
#include "tests/storage/same_event.h"

enum { ARENA_BYTES = 1 << 30, PARTITIONS = 3 };

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

/* Puts `count` events into epoch blocks, a few in each. */
static void put_events(uint64_t *seed, size_t count, size_t first)
{
	static const char *const owners[] = {"t1", "t10", "", "-", "T1"};
	static const char *const categories[] = {"authentication", "web", "process"};
	struct error err = {0};
	struct arena *arena cleanup(arena_free) = arena_new(ARENA_BYTES);
	struct block_builder *builder cleanup(block_builder_free) = block_builder_new();
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
	for (size_t i = 0; i < count;) {
		int32_t partition = (int32_t)random_below(seed, PARTITIONS);
		size_t size = 1 + random_below(seed, 60);
		for (; size > 0 && i < count; size--, i++) {
			struct event event = random_event(seed, arena);
			struct value category = {
				.type = VALUE_STRING,
				.text = text_of(categories[random_below(seed, 3)])};
			event.time_us =
				1800000000000000 + (int64_t)random_below(seed, 1000000000) * 200;
			event.owner = text_of(owners[random_below(seed, 5)]);
			event.origin =
				(struct origin){TEXT("logs"), partition, 0, (int64_t)(first + i)};
			if (event.field_count < EVENT_FIELDS_MAX)
				ck_assert_int_eq(
					event_add(&event, arena, TEXT("event.category"), category),
					OK);
			ck_assert_int_eq(block_add(builder, &event), OK);
		}
		put_block(builder, batch, TEXT("logs"), partition);
		arena_reset(arena);
	}
	ck_ok(store_batch_commit(batch, false, &err), err);
}

/* Every event as text, by origin. */
static void all_events(struct bytes *to, struct search_report *ret_report)
{
	struct error err = {0};
	struct search_options options = {
		.store = store,
		.since_us = INT64_MIN,
		.until_us = INT64_MAX,
		.place = {.partition = -1, .last_offset = INT64_MAX, .index = -1},
		.order = SEARCH_BY_ORIGIN,
		.limit = SEARCH_HITS_MAX,
	};
	struct search_result result;
	ck_ok(search_run(&options, &result, &err), err);
	bytes_clear(to);
	for (size_t i = 0; i < result.hit_count; i++) {
		const struct search_hit *hit = &result.hits[i];
		bytes_put_signed(to, hit->time_us);
		bytes_put_signed(to, hit->origin.offset);
		bytes_put_text(to, hit->owner);
		bytes_put_text(to, hit->json);
	}
	if (ret_report != NULL)
		*ret_report = result.report;
	search_result_done(&result);
}

static void rows_of(struct store *of, struct bytes *to)
{
	struct error err = {0};
	struct text key = {0};
	struct text value = {0};
	static const enum store_family families[] = {FAMILY_EPOCH, FAMILY_BLOCK, FAMILY_BLOCKMETA};
	for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
		struct store_scan *scan cleanup(store_scan_free) = NULL;
		ck_ok(store_scan_new(of, families[i], TEXT(""), TEXT(""), &scan, &err), err);
		while (store_scan_next(scan, &key, &value)) {
			bytes_put_text(to, key);
			bytes_put_text(to, value);
		}
	}
}

/* After every step of merging the store says what it said before, and in the end nothing is left to
 * merge; the same events merged again give the same bytes. */
START_TEST(test_same_events)
{
	struct error err = {0};
	struct bytes rows[2] = {{0}, {0}};
	for (int turn = 0; turn < 2; turn++) {
		uint64_t seed = 5;
		struct bytes before cleanup(bytes_done) = {0};
		struct bytes after cleanup(bytes_done) = {0};
		struct merge_report report = {0};
		struct search_report searched;
		for (size_t round = 0; round < 8; round++) {
			uint64_t blocks = 0;
			uint64_t events = 0;
			put_events(&seed, 300, round * 300);
			ck_ok(merge_backlog(store, &blocks, &events, &err), err);
			ck_assert_uint_gt(blocks, 0);
			ck_assert_uint_eq(events, 300);
			all_events(&before, &searched);
			ck_assert(searched.complete);
			ck_assert_uint_eq(searched.matched, 300 * (round + 1));
			ck_ok(merge_all(store, NULL, NULL, &report, &err), err);
			ck_assert_uint_ge(report.events, 300);
			ck_assert_uint_eq(report.damaged + report.expired, 0);
			ck_ok(merge_backlog(store, &blocks, &events, &err), err);
			ck_assert_uint_eq(blocks + events, 0);
			all_events(&after, &searched);
			ck_assert(searched.complete);
			ck_assert_uint_eq(searched.row_blocks, 0);
			ck_assert(text_equal(bytes_text(&before), bytes_text(&after)));
		}
		rows_of(store, &rows[turn]);
		teardown();
		setup();
	}
	ck_assert(text_equal(bytes_text(&rows[0]), bytes_text(&rows[1])));
	bytes_done(&rows[0]);
	bytes_done(&rows[1]);
}
END_TEST

/* A view from before a merge reads on as if nothing had happened. */
START_TEST(test_view_across)
{
	uint64_t seed = 8;
	struct error err = {0};
	struct merge_report report = {0};
	struct store_view *view cleanup(store_view_free) = NULL;
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct text key = {0};
	struct text value = {0};
	size_t count = 0;
	put_events(&seed, 500, 0);
	ck_ok(store_view_new(store, &view, &err), err);
	ck_ok(store_view_scan(view, FAMILY_BLOCKMETA, TEXT(""), TEXT(""), &scan, &err), err);
	ck_ok(merge_all(store, NULL, NULL, &report, &err), err);
	while (store_scan_next(scan, &key, &value)) {
		struct bytes block cleanup(bytes_done) = {0};
		struct block_meta meta;
		ck_ok(block_meta_decode(value, &meta, &err), err);
		ck_ok(store_view_get(view, FAMILY_EPOCH, key, &block, &err), err);
		ck_assert_int_eq(store_get(store, FAMILY_EPOCH, key, &block, &err), ENOTFOUND);
		count += meta.event_count;
	}
	ck_assert_uint_eq(count, 500);
}
END_TEST

/* Asked for the n-th time it says yes, and from then on. */
static bool asked_enough(void *context)
{
	size_t *left = context;
	*left -= *left > 0;
	return *left == 0;
}

/* Given up at any moment, merging has done whole steps or nothing, and goes on where it was. */
START_TEST(test_given_up)
{
	uint64_t seed = 23;
	struct error err = {0};
	struct search_report searched;
	struct bytes before cleanup(bytes_done) = {0};
	put_events(&seed, 400, 0);
	all_events(&before, &searched);
	size_t dropped = 0;
	bool finished = false;
	for (size_t moment = 1; !finished; moment++) {
		struct bytes after cleanup(bytes_done) = {0};
		struct merge_report report = {0};
		size_t left = moment;
		ck_ok(merge_all(store, asked_enough, &left, &report, &err), err);
		all_events(&after, &searched);
		ck_assert(text_equal(bytes_text(&before), bytes_text(&after)));
		ck_assert(searched.complete);
		dropped += report.blocks_read == 0;
		finished = left > 0;
	}
	ck_assert_uint_gt(dropped, 10); /* within its first step more than once */
}
END_TEST

/* Blocks that are damaged stay, are counted, and do not stop the others. */
START_TEST(test_damage)
{
	uint64_t seed = 21;
	struct error err = {0};
	struct merge_report report = {0};
	struct search_report searched;
	struct bytes bytes cleanup(bytes_done) = {0};
	struct text key = {0};
	struct text value = {0};
	put_events(&seed, 400, 0);
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	ck_ok(store_scan_new(store, FAMILY_EPOCH, TEXT(""), TEXT(""), &scan, &err), err);
	ck_assert(store_scan_next(scan, &key, &value) && store_scan_next(scan, &key, &value));
	bytes_put(&bytes, value.data, value.size);
	bytes.data[bytes.size / 2] ^= 1;
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
	store_batch_put(batch, FAMILY_EPOCH, key, bytes_text(&bytes));
	ck_ok(store_batch_commit(batch, false, &err), err);
	ck_ok(merge_all(store, NULL, NULL, &report, &err), err);
	ck_assert_uint_eq(report.damaged, 1);
	all_events(&bytes, &searched);
	ck_assert(!searched.complete);
	ck_assert_str_ne(searched.problem.text, "");
	ck_assert_uint_eq(searched.row_blocks, 1);
	ck_assert_uint_gt(searched.matched, 300);
}
END_TEST

/* A block behind the first claims one event fewer than it has, under a checksum that is right:
 * none of its rows may be on its way when that is found. */
START_TEST(test_wrong_count)
{
	enum { COUNT_AT = 12, CHECKED_FROM = 12, SUM_AT = 4 };
	uint64_t seed = 22;
	struct error err = {0};
	struct merge_report report = {0};
	struct search_report searched;
	struct bytes bytes cleanup(bytes_done) = {0};
	struct bytes kept cleanup(bytes_done) = {0};
	struct text key = {0};
	struct text value = {0};
	put_events(&seed, 400, 0);
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	ck_ok(store_scan_new(store, FAMILY_EPOCH, TEXT(""), TEXT(""), &scan, &err), err);
	ck_assert(store_scan_next(scan, &key, &value));
	do
		ck_assert(store_scan_next(scan, &key, &value));
	while (value.data[COUNT_AT] == 1);
	bytes_put(&bytes, value.data, value.size);
	size_t count = bytes.data[COUNT_AT];
	bytes.data[COUNT_AT]--;
	uint64_t sum = XXH3_64bits(bytes.data + CHECKED_FROM, bytes.size - CHECKED_FROM);
	memcpy(bytes.data + SUM_AT, &sum, sizeof sum);
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
	store_batch_put(batch, FAMILY_EPOCH, key, bytes_text(&bytes));
	ck_ok(store_batch_commit(batch, false, &err), err);
	ck_ok(merge_all(store, NULL, NULL, &report, &err), err);
	ck_assert_uint_eq(report.damaged, 1);
	ck_assert_uint_eq(report.events, 400 - count);
	ck_ok(store_get(store, FAMILY_EPOCH, key, &kept, &err), err);
	ck_assert(text_equal(bytes_text(&kept), bytes_text(&bytes)));
	all_events(&bytes, &searched);
	ck_assert(!searched.complete);
	ck_assert_uint_eq(searched.row_blocks, 1);
	ck_assert_uint_eq(searched.matched, 400 - count);
}
END_TEST

/* More owners than a table holds, the last of them in the middle of a block. */
START_TEST(test_many_owners)
{
	enum { OWNERS = TABLE_GROUPS_MAX + 500, BLOCK = 2000 };
	struct error err = {0};
	struct merge_report report = {0};
	struct search_report searched;
	struct bytes before cleanup(bytes_done) = {0};
	struct bytes after cleanup(bytes_done) = {0};
	struct arena *arena cleanup(arena_free) = arena_new(ARENA_BYTES);
	struct block_builder *builder cleanup(block_builder_free) = block_builder_new();
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
	for (int64_t i = 0; i < OWNERS; i++) {
		struct event event = {.time_us = 1800000000000000 + i,
				      .origin = {TEXT("logs"), 0, 0, i},
				      .owner = arena_print(arena, "t%d", (int)i)};
		struct value value = {.type = VALUE_STRING, .text = event.owner};
		ck_assert_int_eq(event_add(&event, arena, TEXT("user.id"), value), OK);
		ck_assert_int_eq(block_add(builder, &event), OK);
		if (i % BLOCK == BLOCK - 1 || i == OWNERS - 1)
			put_block(builder, batch, TEXT("logs"), 0);
	}
	ck_ok(store_batch_commit(batch, false, &err), err);
	all_events(&before, NULL);
	ck_ok(merge_all(store, NULL, NULL, &report, &err), err);
	ck_assert_uint_eq(report.blocks_written, OWNERS);
	all_events(&after, &searched);
	ck_assert(searched.complete && searched.row_blocks == 0);
	ck_assert_uint_eq(searched.matched, OWNERS);
	ck_assert(text_equal(bytes_text(&before), bytes_text(&after)));
}
END_TEST

/* A write that fails changes nothing, and the next attempt does all. */
START_TEST(test_failed_write)
{
	uint64_t seed = 34;
	struct error err = {0};
	struct merge_report report = {0};
	struct bytes before cleanup(bytes_done) = {0};
	struct bytes after cleanup(bytes_done) = {0};
	put_events(&seed, 200, 0);
	rows_of(store, &before);
	store_memory_fail_at(store, 1, ENOSPACE);
	ck_assert_int_eq(merge_all(store, NULL, NULL, &report, &err), ENOSPACE);
	rows_of(store, &after);
	ck_assert(text_equal(bytes_text(&before), bytes_text(&after)));
	ck_ok(merge_all(store, NULL, NULL, &report, &err), err);
	ck_assert_uint_ge(report.events, 200);
}
END_TEST

/* Takes nearly all that is left of the disk. */
static void ballast_put(const char *path)
{
	enum { LEFT_BYTES = 1 << 20 };
	struct statvfs disk;
	ck_assert_int_eq(statvfs(path, &disk), 0);
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	off_t free_bytes = (off_t)disk.f_bavail * (off_t)disk.f_frsize;
	ck_assert_int_eq(posix_fallocate(fd, 0, free_bytes - LEFT_BYTES), 0);
	(void)close(fd);
}

static void disk_full_and_back(const char *path)
{
	uint64_t seed = 35;
	struct error err = {0};
	struct merge_report report = {0};
	struct bytes expected cleanup(bytes_done) = {0};
	struct bytes got cleanup(bytes_done) = {0};
	char folder[256];
	char ballast[256];
	(void)snprintf(folder, sizeof folder, "%s/store", path);
	(void)snprintf(ballast, sizeof ballast, "%s/ballast", path);
	struct store_options options = {.path = folder, .create = true, .memory_bytes = 4 << 20};
	teardown();
	ck_ok(store_open(&options, &store, &err), err);
	put_events(&seed, 2000, 0);
	all_events(&expected, NULL);
	(void)close(open(ballast, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	ballast_put(ballast);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(merge_all(store, NULL, NULL, &report, &err), ENOSPACE);
		ck_assert_ptr_nonnull(strstr(err.text, "make space"));
		ck_assert_uint_eq(report.events, 0);
		all_events(&got, NULL); /* reading goes on */
		ck_assert(text_equal(bytes_text(&got), bytes_text(&expected)));
	}
	ck_assert_int_eq(unlink(ballast), 0);
	ck_ok(merge_all(store, NULL, NULL, &report, &err), err);
	ck_assert_uint_ge(report.events, 2000);
	teardown();
	ck_ok(store_open(&options, &store, &err), err);
	all_events(&got, NULL);
	ck_assert(text_equal(bytes_text(&got), bytes_text(&expected)));
	teardown();
}

/* No room on the disk: merging says so, loses nothing, and goes on when there is some. */
START_TEST(test_disk_full)
{
	char *path cleanup(folder_remove) = folder_new();
	if (mount("tmpfs", path, "tmpfs", 0, "size=64m") != 0) {
		printf("SKIP test_disk_full: mounting a small tmpfs: %s\n", strerror(errno));
		return;
	}
	disk_full_and_back(path);
	ck_assert_int_eq(umount(path), 0);
}
END_TEST

/* What a floor has passed is gone for readers at once, and from the blocks with the next merge. */
START_TEST(test_floor)
{
	uint64_t seed = 55;
	struct error err = {0};
	struct merge_report report = {0};
	struct search_report searched;
	struct bytes bytes cleanup(bytes_done) = {0};
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
	put_events(&seed, 600, 0);
	for (unsigned i = 0; i < CLASS_COUNT; i++) {
		struct bytes key cleanup(bytes_done) = {0};
		struct bytes value cleanup(bytes_done) = {0};
		floor_key((enum data_class)i, NULL, &key);
		floor_encode(1800000000000000 + 100000000000, &value);
		store_batch_put(batch, FAMILY_POSITION, bytes_text(&key), bytes_text(&value));
		bytes_clear(&key);
		bytes_clear(&value);
		floor_key((enum data_class)i, &TEXT("t1"), &key);
		floor_encode(INT64_MIN, &value); /* kept for ever */
		store_batch_put(batch, FAMILY_POSITION, bytes_text(&key), bytes_text(&value));
	}
	ck_ok(store_batch_commit(batch, false, &err), err);
	all_events(&bytes, &searched);
	uint64_t visible = searched.matched;
	ck_assert_uint_lt(visible, 500);
	ck_assert_uint_gt(visible, 250);
	ck_ok(merge_all(store, NULL, NULL, &report, &err), err);
	ck_assert_uint_eq(report.expired, 600 - visible);
	all_events(&bytes, &searched);
	ck_assert_uint_eq(searched.matched, visible);
	ck_assert_uint_eq(searched.rows, visible);
}
END_TEST

/* The child merges until it is killed, somewhere; the store then has every event once. */
START_TEST(test_kill)
{
	uint64_t seed = 77;
	struct error err = {0};
	char *folder = folder_new();
	struct store_options options = {.path = folder, .create = true, .memory_bytes = 8 << 20};
	struct bytes expected cleanup(bytes_done) = {0};
	struct bytes got cleanup(bytes_done) = {0};
	struct merge_report report = {0};
	struct search_report searched;
	size_t interrupted = 0;
	for (size_t round = 0; round < 8; round++) {
		teardown();
		ck_ok(store_open(&options, &store, &err), err);
		put_events(&seed, 400, round * 400);
		all_events(&expected, &searched);
		ck_assert_uint_eq(searched.matched, 400 * (round + 1));
		teardown();
		pid_t child = fork();
		ck_assert_int_ge(child, 0);
		if (child == 0) {
			if (store_open(&options, &store, &err) == OK)
				(void)!merge_all(store, NULL, NULL, &report, &err);
			_exit(0);
		}
		int ended = 0;
		(void)usleep(
			(useconds_t)(round < 3 ? 2000000 : 10000 + random_below(&seed, 150000)));
		(void)kill(child, SIGKILL);
		ck_assert_int_eq(waitpid(child, &ended, 0), child);
		interrupted += WIFSIGNALED(ended);
		ck_ok(store_open(&options, &store, &err), err);
		all_events(&got, &searched);
		ck_assert(searched.complete);
		ck_assert(text_equal(bytes_text(&expected), bytes_text(&got)));
	}
	ck_assert_uint_gt(interrupted, 0);
	ck_ok(merge_all(store, NULL, NULL, &report, &err), err);
	all_events(&got, &searched);
	ck_assert_uint_eq(searched.row_blocks, 0);
	ck_assert(text_equal(bytes_text(&expected), bytes_text(&got)));
	folder_remove(&folder);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("merge");
	TCase *tests = tcase_create("merge");
	tcase_set_timeout(tests, 0);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, test_same_events);
	tcase_add_test(tests, test_view_across);
	tcase_add_test(tests, test_given_up);
	tcase_add_test(tests, test_damage);
	tcase_add_test(tests, test_wrong_count);
	tcase_add_test(tests, test_many_owners);
	tcase_add_test(tests, test_failed_write);
	tcase_add_test(tests, test_disk_full);
	tcase_add_test(tests, test_floor);
	tcase_add_test(tests, test_kill);
	suite_add_tcase(suite, tests);
	return run_tests(suite);
}
