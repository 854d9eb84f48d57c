/* Starting again: what the store remembers becomes memory, or a clear error; the file of the last
 * synced epoch; a store that lost its newest epochs says so once. */
#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include "decoding.h"
#include "ingest/runtime_private.h"

enum { LINES = 5000, PACE = 500, WAIT_MS = 60000 };

static const char rules_text[] =
	"title: failed\nname: failed\nlogsource: {product: microservice}\n"
	"detection: {s: {event.outcome: failure}, condition: s}\nlevel: informational\n"
	"---\n"
	"title: many\nid: 11111111-1111-4111-8111-111111111111\n"
	"correlation: {type: event_count, rules: [failed], group-by: [user.id], timespan: 30s,\n"
	"              condition: {gte: 3}}\nlevel: high\n";

static char folder[] = "/tmp/picket-recover-XXXXXX";
static char log_path[64], synced_path[64];
static struct ruleset *ruleset;
static struct store *store;
static struct error failure; /* of the last start or run */

static void put_row(enum store_family family, struct text key, struct text value)
{
	struct error err = {0};
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
	store_batch_put(batch, family, key, value);
	ck_assert_int_eq(store_batch_commit(batch, false, &err), OK);
}

static void write_log(void)
{
	FILE *file = fopen(log_path, "w");
	ck_assert_ptr_nonnull(file);
	for (int i = 0; i < LINES; i++)
		(void)fprintf(file,
			      "{\"@timestamp\":\"%s\",\"service.name\":\"s\",\"user.id\":\"u%d\","
			      "\"event.outcome\":\"%s\"}\n",
			      time_of((1700000000 + (int64_t)i) * 1000000), i % 5,
			      i / 100 % 7 == 0 ? "failure" : "success");
	(void)fclose(file);
}

static void remove_log(void)
{
	(void)unlink(log_path);
	(void)rmdir(folder);
}

static void setup(void)
{
	struct error err = {0};
	struct identity_row identity = {.hash_key = "sixteen bytes ok"};
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	ck_assert_int_eq(store_open_memory(&store, &err), OK);
	identity_key(&key);
	identity_encode(&identity, &value);
	put_row(FAMILY_POSITION, bytes_text(&key), bytes_text(&value));
}

static void teardown(void)
{
	store_free(&store);
	(void)unlink(synced_path);
}

static int64_t now_us(void *context)
{
	(void)context;
	struct timespec now;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* The file, a part of it per commit, so that a run has many epochs on any machine. */
struct paced {
	struct source base;
	struct source *file;
	atomic_uint commits;
	unsigned polls;
};

static enum status paced_poll(struct source *base, int timeout_ms, size_t message_max,
			      struct source_batch *ret_batch, struct error *err)
{
	struct paced *paced = (struct paced *)base;
	if (paced->polls > atomic_load(&paced->commits)) {
		(void)poll(NULL, 0, 1);
		*ret_batch = (struct source_batch){0};
		return OK;
	}
	paced->polls++;
	ck_assert_uint_gt(message_max, PACE);
	return paced->file->ops->poll(paced->file, timeout_ms, PACE, ret_batch, err);
}

static void paced_committed(struct source *base, uint32_t stream, int64_t next_offset)
{
	(void)stream, (void)next_offset;
	atomic_fetch_add(&((struct paced *)base)->commits, 1);
}

static struct source_lag paced_lag(struct source *base, uint32_t stream)
{
	struct source *file = ((struct paced *)base)->file;
	return file->ops->lag(file, stream);
}

static void paced_free(struct source *base)
{
	source_free(&((struct paced *)base)->file);
	free(base);
}

static enum status make_source(void *context, const struct source_start *start,
			       struct source **ret_source, struct error *err)
{
	static const struct source_ops ops = {.poll = paced_poll,
					      .committed = paced_committed,
					      .lag = paced_lag,
					      .free = paced_free};
	(void)context;
	const char *paths[] = {log_path};
	struct file_options files = {paths, 1};
	struct paced *paced = calloc(1, sizeof *paced);
	ck_assert_ptr_nonnull(paced);
	paced->base.ops = &ops;
	*ret_source = &paced->base;
	return source_file_new(&files, start, &paced->file, err);
}

static enum status start(unsigned actors, struct runtime **ret_runtime)
{
	struct runtime_options options = {
		.store = store,
		.ruleset = ruleset,
		.source = {make_source, NULL},
		.decoder = {.time_trusted = true},
		.clock = {now_us, NULL},
		.worker_count = 1,
		.actor_count = actors,
		.epoch_ms = 1,
		.checkpoint_ms = INT_MAX, /* only the last epoch */
		.synced_path = synced_path,
	};
	failure = (struct error){0};
	return runtime_new(&options, ret_runtime, &failure);
}

static enum runtime_state wait_for_end(struct runtime *runtime, bool *ret_rewound)
{
	for (int waited = 0; waited < WAIT_MS; waited++) {
		struct runtime_status now cleanup(runtime_status_done) = {0};
		ck_assert_int_eq(runtime_status(runtime, &now), OK);
		failure = now.failure;
		*ret_rewound = now.rewound;
		if (now.state != RUNTIME_RUNNING)
			return now.state;
		(void)poll(NULL, 0, 1);
	}
	ck_abort_msg("no end in sight");
	return RUNTIME_FAILED;
}

/* A whole run; true when it said that the store was rewound. */
static bool run_to_end(unsigned actors)
{
	struct runtime *runtime cleanup(runtime_free) = NULL;
	bool rewound = false;
	ck_assert_msg(start(actors, &runtime) == OK, "%s", failure.text);
	ck_assert_int_eq(wait_for_end(runtime, &rewound), RUNTIME_FINISHED);
	return rewound;
}

/* A run whose n-th commit fails: epochs before it stay, without a checkpoint. */
static void run_to_crash(unsigned nth)
{
	struct runtime *runtime cleanup(runtime_free) = NULL;
	bool rewound = false;
	store_memory_fail_at(store, nth, ESYSTEM);
	ck_assert_msg(start(2, &runtime) == OK, "%s", failure.text);
	ck_assert_int_eq(wait_for_end(runtime, &rewound), RUNTIME_FAILED);
}

/* Key of the last row whose key has that byte at that place; the number of all such rows. */
static unsigned find_row(enum store_family family, size_t at, char byte, struct bytes *ret_key)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct error err = {0};
	struct text key = {0};
	struct text value = {0};
	unsigned count = 0;
	ck_assert_int_eq(store_scan_new(store, family, TEXT(""), TEXT(""), &scan, &err), OK);
	while (store_scan_next(scan, &key, &value)) {
		if (key.size <= at || key.data[at] != byte)
			continue;
		bytes_clear(ret_key);
		bytes_put(ret_key, key.data, key.size);
		count++;
	}
	return count;
}

static unsigned count_rows(enum store_family family, size_t at, char byte)
{
	struct bytes key cleanup(bytes_done) = {0};
	return find_row(family, at, byte, &key);
}

static void expect_refusal(const char *words)
{
	struct runtime *runtime = NULL;
	ck_assert_int_eq(start(2, &runtime), ECORRUPT);
	ck_assert_ptr_null(runtime);
	ck_assert_msg(strstr(failure.text, words) != NULL, "%s", failure.text);
}

enum { MATCH_KIND_AT = 8 }; /* behind the epoch */

/* Every alert that ended, as one sum: equal sums are equal alerts. */
static uint64_t alert_sum(unsigned *ret_count)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct error err = {0};
	struct text key = {0};
	struct text value = {0};
	uint64_t sum = 0;
	*ret_count = 0;
	ck_assert_int_eq(store_scan_new(store, FAMILY_ALERT, TEXT("a"), TEXT("a"), &scan, &err),
			 OK);
	while (store_scan_next(scan, &key, &value)) {
		struct alert alert = {0};
		ck_assert_int_eq(alert_decode(value, &alert, &err), OK);
		ck_assert_int_eq(alert.state, ALERT_ENDED);
		sum += ((uint64_t)alert.first_us * 31 + (uint64_t)alert.last_us) * 31 + alert.count;
		(*ret_count)++;
	}
	return sum;
}

START_TEST(goes_on_with_another_number_of_shards)
{
	unsigned expected_count = 0;
	unsigned count = 0;
	(void)run_to_end(1);
	uint64_t expected = alert_sum(&expected_count);
	ck_assert_uint_gt(expected_count, 0);
	for (unsigned actors = 1; actors <= 5; actors += 2) {
		teardown();
		setup();
		run_to_crash(3);
		ck_assert_uint_gt(count_rows(FAMILY_MATCH, MATCH_KIND_AT, 'm'), 0);
		(void)run_to_end(actors);
		ck_assert_uint_eq(alert_sum(&count), expected);
		ck_assert_uint_eq(count, expected_count);
		ck_assert_uint_eq(count_rows(FAMILY_MATCH, MATCH_KIND_AT, 'm'), 0);
	}
}
END_TEST

START_TEST(a_damaged_match_row_is_refused)
{
	struct bytes key cleanup(bytes_done) = {0};
	run_to_crash(3);
	ck_assert_uint_gt(find_row(FAMILY_MATCH, MATCH_KIND_AT, 'm', &key), 0);
	put_row(FAMILY_MATCH, bytes_text(&key), TEXT("\x01what is this"));
	expect_refusal("replaying match blocks");
}
END_TEST

START_TEST(a_key_that_is_none_is_refused)
{
	run_to_crash(3);
	put_row(FAMILY_MATCH, TEXT("zzz"), TEXT("x"));
	expect_refusal("match row with the key");
}
END_TEST

/* Positions say that the records were read; without their match rows no alert would ever come. */
START_TEST(a_lost_match_row_is_not_passed_over)
{
	struct bytes key cleanup(bytes_done) = {0};
	struct error err = {0};
	run_to_crash(3);
	ck_assert_uint_gt(find_row(FAMILY_MATCH, MATCH_KIND_AT, 'w', &key), 1);
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
	store_batch_delete(batch, FAMILY_MATCH, bytes_text(&key));
	ck_assert_int_eq(store_batch_commit(batch, false, &err), OK);
	expect_refusal("the match rows end at epoch");
}
END_TEST

START_TEST(damaged_cells_and_positions_are_refused)
{
	struct bytes key cleanup(bytes_done) = {0};
	run_to_crash(3);
	cell_row_key('c', 7, &key);
	put_row(FAMILY_CELL, bytes_text(&key), TEXT("\x7f"));
	expect_refusal("restoring correlation state");
	teardown();
	setup();
	run_to_crash(3);
	ck_assert_uint_eq(find_row(FAMILY_POSITION, 0, 's', &key), 1);
	put_row(FAMILY_POSITION, bytes_text(&key), TEXT("?"));
	expect_refusal("position row");
}
END_TEST

START_TEST(a_rewound_store_says_so_once)
{
	struct error err = {0};
	unsigned alerts = 0;
	(void)run_to_end(1);
	unsigned outbox = count_rows(FAMILY_OUTBOX, 0, '\0');
	(void)alert_sum(&alerts);
	ck_assert_uint_gt(recover_synced_epoch(synced_path), 0); /* stopping syncs */
	ck_assert_int_eq(synced_epoch_write(synced_path, 1000000, &err), OK);
	unsigned after = 0;
	ck_assert(run_to_end(1));
	(void)alert_sum(&after);
	ck_assert_uint_eq(after, alerts + 1);
	ck_assert_uint_eq(count_rows(FAMILY_OUTBOX, 0, '\0'), outbox + 1); /* and is sent */
	ck_assert_uint_lt(recover_synced_epoch(synced_path), 1000000);
	ck_assert(!run_to_end(1));
	(void)alert_sum(&after);
	ck_assert_uint_eq(after, alerts + 1);
}
END_TEST

START_TEST(the_synced_file)
{
	struct error err = {0};
	ck_assert_uint_eq(recover_synced_epoch(synced_path), 0);
	ck_assert_int_eq(synced_epoch_write(synced_path, UINT64_MAX, &err), OK);
	ck_assert_uint_eq(recover_synced_epoch(synced_path), UINT64_MAX);
	ck_assert_int_eq(synced_epoch_write(synced_path, 7, &err), OK);
	ck_assert_uint_eq(recover_synced_epoch(synced_path), 7);
	FILE *file = fopen(synced_path, "w");
	ck_assert_ptr_nonnull(file);
	(void)fputs("no number\n", file);
	(void)fclose(file);
	ck_assert_uint_eq(recover_synced_epoch(synced_path), 0);
	ck_assert_int_eq(synced_epoch_write("/nowhere/at/all", 7, &err), ESYSTEM);
	ck_assert_ptr_nonnull(strstr(err.text, "/nowhere/at/all"));
}
END_TEST

/* The disk is full for one commit: the epoch waits for room and nothing is lost. */
START_TEST(a_full_disk_is_waited_for)
{
	unsigned expected_count = 0;
	unsigned count = 0;
	(void)run_to_end(1);
	uint64_t expected = alert_sum(&expected_count);
	teardown();
	setup();
	store_memory_fail_at(store, 2, ENOSPACE);
	(void)run_to_end(1);
	ck_assert_uint_eq(alert_sum(&count), expected);
	ck_assert_uint_eq(count, expected_count);
}
END_TEST

/* To stop while the disk is full is a failed run, at once; what was not committed comes again. */
START_TEST(stopping_does_not_wait_for_a_full_disk)
{
	unsigned expected_count = 0;
	unsigned count = 0;
	(void)run_to_end(1);
	uint64_t expected = alert_sum(&expected_count);
	teardown();
	setup();
	struct runtime *runtime cleanup(runtime_free) = NULL;
	store_memory_fail_at(store, 3, ENOSPACE);
	ck_assert_int_eq(start(2, &runtime), OK);
	for (bool full = false; !full;) {
		struct runtime_status now cleanup(runtime_status_done) = {0};
		ck_assert_int_eq(runtime_status(runtime, &now), OK);
		ck_assert_int_eq(now.state, RUNTIME_RUNNING);
		full = now.disk_full;
		(void)poll(NULL, 0, 1);
	}
	store_memory_fail_at(store, 1, ENOSPACE); /* still */
	runtime_stop(runtime);
	bool rewound = false;
	ck_assert_int_eq(wait_for_end(runtime, &rewound), RUNTIME_FAILED);
	ck_assert_int_eq(failure.status, ENOSPACE);
	runtime_free(&runtime);
	(void)run_to_end(1);
	ck_assert_uint_eq(alert_sum(&count), expected);
	ck_assert_uint_eq(count, expected_count);
}
END_TEST

int main(void)
{
	struct error err = {0};
	struct ruleset_options options = {0};
	if (mkdtemp(folder) == NULL ||
	    ruleset_parse(&options, text_of(rules_text), "test", &ruleset, &err) != OK) {
		(void)fprintf(stderr, "%u:%u: %s\n", err.line, err.column, err.text);
		return EXIT_FAILURE;
	}
	(void)snprintf(log_path, sizeof log_path, "%s/log.ndjson", folder);
	(void)snprintf(synced_path, sizeof synced_path, "%s/synced", folder);
	Suite *suite = suite_create("recover");
	TCase *tests = tcase_create("recover");
	tcase_add_unchecked_fixture(tests, write_log, remove_log);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, goes_on_with_another_number_of_shards);
	tcase_add_test(tests, a_damaged_match_row_is_refused);
	tcase_add_test(tests, a_key_that_is_none_is_refused);
	tcase_add_test(tests, a_lost_match_row_is_not_passed_over);
	tcase_add_test(tests, damaged_cells_and_positions_are_refused);
	tcase_add_test(tests, a_rewound_store_says_so_once);
	tcase_add_test(tests, the_synced_file);
	tcase_add_test(tests, a_full_disk_is_waited_for);
	tcase_add_test(tests, stopping_does_not_wait_for_a_full_disk);
	tcase_set_timeout(tests, 300);
	suite_add_tcase(suite, tests);
	int failed = run_suite(suite);
	ruleset_free(&ruleset);
	return failed;
}
