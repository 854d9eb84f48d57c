/* Merging and retention killed at any moment: what is stored is there, each event once, and what is
 * below a floor is not, whatever step the kill hit. */
#include "storage/event_cursor.h"

#include <signal.h>
#include <sys/wait.h>

#include "storage/merge.h"
#include "storage/retention.h"
#include "tests/storage/put_block.h"

enum { ROUNDS = 8, BLOCKS = 60, BLOCK_OF = 100, EVENTS = BLOCKS * BLOCK_OF, DAYS = 4 };

static const int64_t day_us = 86400000000;
static const int64_t first_day = 20000;
static const struct retention_rule kept[] = {{CLASS_APPLICATION, NULL, 2 * 86400000000}};
static const struct retention_rules rules = {kept, 1, 0};

static char *folder;

static void setup(void)
{
	folder = folder_new();
}

static void teardown(void)
{
	folder_remove(&folder);
}

static struct store *open_store(void)
{
	struct store *store = NULL;
	struct error err = {0};
	const struct store_options options = {
		.path = folder, .create = true, .memory_bytes = 4 << 20};
	ck_ok(store_open(&options, &store, &err), err);
	return store;
}

static int64_t time_of_event(int64_t i)
{
	return (first_day + i % DAYS) * day_us + i * 1000;
}

static void put_events(struct store *store)
{
	struct error err = {0};
	struct block_builder *builder cleanup(block_builder_free) = block_builder_new();
	for (int64_t i = 0; i < EVENTS; i++) {
		const struct event event = {.time_us = time_of_event(i),
					    .origin = {TEXT("logs"), 0, 0, i},
					    .owner = i % 3 == 0 ? TEXT("t1") : TEXT("t2")};
		ck_assert_int_eq(block_add(builder, &event), OK);
		if ((i + 1) % BLOCK_OF != 0)
			continue;
		struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
		put_block(builder, batch, TEXT("logs"), 0);
		ck_ok(store_batch_commit(batch, false, &err), err);
	}
}

/* Merges, and drops what is older than two days on the fifth day. */
static void keep_house(struct store *store)
{
	struct error err = {0};
	struct merge_report report;
	struct retention_drop drops[1];
	int64_t now_us = (first_day + DAYS) * day_us;
	(void)!retention_enforce(store, &rules, now_us, drops, &err); /* hides what is not merged */
	(void)!merge_all(store, NULL, NULL, &report, &err);
	(void)!retention_enforce(store, &rules, now_us, drops, &err);
}

/* Each event of `days` and later once, or, before any floor was committed, each event once. */
static void check_events(struct store *store, bool *ret_floor)
{
	static bool seen[EVENTS];
	struct error err = {0};
	struct event_cursor *cursor cleanup(event_cursor_free) = NULL;
	const struct event_cursor_options options = {
		.store = store, .since_us = INT64_MIN, .until_us = INT64_MAX};
	int64_t oldest = first_day + DAYS;
	bool more = true;
	memset(seen, 0, sizeof seen);
	ck_ok(event_cursor_new(&options, &cursor, &err), err);
	while (more) {
		struct event event;
		ck_ok(event_cursor_next(cursor, &event, &more, &err), err);
		if (!more)
			break;
		ck_assert(!seen[event.origin.offset]);
		seen[event.origin.offset] = true;
		if (event.time_us / day_us < oldest)
			oldest = event.time_us / day_us;
	}
	ck_ok(event_cursor_status(cursor, &err), err);
	*ret_floor = oldest > first_day;
	ck_assert(oldest == first_day || oldest == first_day + DAYS - 2);
	for (int64_t i = 0; i < EVENTS; i++)
		ck_assert_int_eq(seen[i], time_of_event(i) / day_us >= oldest);
}

START_TEST(test_killed)
{
	uint64_t seed = 20261122;
	for (size_t round = 0; round < ROUNDS; round++) {
		bool floor = false;
		struct store *store = open_store();
		put_events(store);
		store_free(&store);
		for (size_t kills = 0; kills < 3; kills++) {
			pid_t child = fork();
			ck_assert_int_ge(child, 0);
			if (child == 0) {
				keep_house(open_store());
				_exit(0);
			}
			(void)usleep((useconds_t)random_below(&seed, 120000));
			(void)kill(child, SIGKILL);
			ck_assert_int_eq(waitpid(child, NULL, 0), child);
			store = open_store();
			bool before = floor;
			check_events(store, &floor);
			ck_assert(!before || floor); /* floors only rise */
			store_free(&store);
		}
		store = open_store();
		keep_house(store); /* what was interrupted goes on */
		check_events(store, &floor);
		ck_assert(floor);
		uint64_t blocks = 1;
		uint64_t events = 1;
		struct error err = {0};
		ck_ok(merge_backlog(store, &blocks, &events, &err), err);
		ck_assert_uint_eq(blocks, 0);
		store_free(&store);
		folder_remove(&folder);
		folder = folder_new();
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("killed");
	TCase *tests = tcase_create("killed");
	tcase_set_timeout(tests, 0);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, test_killed);
	suite_add_tcase(suite, tests);
	return run_tests(suite);
}
