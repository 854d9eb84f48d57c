/* The whole daemon engine over files and the in-memory store: the same input gives the same stored
 * events, quarantine, buckets and final alerts for every number of workers and shards, with
 * crashes at any commit, and when the number of shards changes between two starts. */
#include "tests/ingest/running.h"

START_TEST(same_for_every_number_of_threads)
{
	static const unsigned shapes[][2] = {{1, 3}, {2, 1}, {3, 2}, {5, 4}};
	struct lines expected = run_reference();
	unsigned events = count_prefix(&expected, "event");
	unsigned rejects = count_prefix(&expected, "reject");
	ck_assert_uint_eq(events + rejects, FILES * LINES_PER_FILE);
	ck_assert_uint_gt(rejects, 0);
	ck_assert_uint_gt(count_prefix(&expected, "alert 11111111"), 5);
	ck_assert_uint_gt(count_prefix(&expected, "alert 22222222"), 0);
	ck_assert_uint_gt(count_prefix(&expected, "bucket"), 100);
	/* Patterns that gave up are one alert for each hour, whoever saw them. */
	ck_assert_uint_eq(count_prefix(&expected, "alert rule.undecided"), 2);
	ck_assert_uint_eq(count_prefix(&expected, "alert 44444444"), 0);
	for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
		struct store *store cleanup(store_free) = new_store();
		ck_assert_int_eq(run(store, shapes[i][0], shapes[i][1]), RUNTIME_FINISHED);
		struct lines got = collect(store);
		char what[32];
		(void)snprintf(what, sizeof what, "%u workers, %u shards", shapes[i][0],
			       shapes[i][1]);
		assert_same(&expected, &got, what);
		lines_free(&got);
	}
	lines_free(&expected);
}
END_TEST

/* A commit fails: what was not committed never existed, and starting again (with another number of
 * threads each time) ends where the uninterrupted run ends. */
START_TEST(same_after_crashes)
{
	struct lines expected = run_reference();
	uint64_t seed = 42;
	unsigned all_crashes = 0;
	for (int round = 0; round < 6; round++) {
		struct store *store cleanup(store_free) = new_store();
		unsigned crashes = 0; /* the very first commit fails, later ones at random */
		for (enum runtime_state state = RUNTIME_FAILED; state != RUNTIME_FINISHED;) {
			unsigned nth = crashes == 0 ? 1 : 1 + (unsigned)(next_random(&seed) % 6);
			store_memory_fail_at(store, crashes < 8 ? nth : 0, ESYSTEM);
			state = run(store, 1 + (unsigned)(next_random(&seed) % 4),
				    1 + (unsigned)(next_random(&seed) % 4));
			crashes += state == RUNTIME_FAILED;
		}
		all_crashes += crashes;
		struct lines got = collect(store);
		assert_same(&expected, &got, "crashes");
		lines_free(&got);
	}
	ck_assert_uint_ge(all_crashes, 6); /* otherwise this run has proved nothing */
	lines_free(&expected);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("runtime");
	tcase_add_test(tests, same_for_every_number_of_threads);
	tcase_add_test(tests, same_after_crashes);
	return running_main(tests);
}
