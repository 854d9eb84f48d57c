/* Cohorts against brute force: whatever the order, the split over workers and actors, and the
 * moment of a restart, buckets, findings and instances are those of a naive recount. */
#include "correlate/cohort.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static const int64_t SECOND_US = 1000000;
static const int64_t BASE_US = 1700000000LL * 1000000;
static const struct hash_key KEY = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

static uint64_t random_state = 0x2545f4914f6cdd1du;

static unsigned dice(unsigned sides)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)((random_state >> 33) % sides);
}

/* One log line; NULL leaves the field out. */
struct line {
	int64_t time_us;
	const char *service, *version, *deploy_id, *instance;
	const char *user, *address, *trace, *route;
	int status; /* -1: not a request */
	bool blocked;
	int64_t offset;
};

static const struct rule RULE = {
	.key = {"secret-in-log", 13}, .title = {"Secret in a log", 15}, .gate = GATE_BLOCK};

static void add(struct event *event, struct arena *arena, const char *name, const char *value)
{
	if (value == NULL)
		return;
	struct value string = {.type = VALUE_STRING, .text = text_of(value)};
	ck_assert_int_eq(event_add(event, arena, text_of(name), string), OK);
}

static struct event event_of(const struct line *line, struct arena *arena)
{
	struct event event = {.time_us = line->time_us, .record_time_us = line->time_us};
	event.origin = (struct origin){TEXT("logs"), (int32_t)(line->offset % 3), 0, line->offset};
	add(&event, arena, "service.name", line->service);
	add(&event, arena, "service.version", line->version);
	add(&event, arena, "picket.deploy.id", line->deploy_id);
	add(&event, arena, "service.node.name", line->instance);
	add(&event, arena, "user.id", line->user);
	add(&event, arena, "source.ip", line->address);
	add(&event, arena, "trace.id", line->trace);
	add(&event, arena, "http.route", line->route);
	if (line->status >= 0) {
		struct value status = {.type = VALUE_INTEGER, .integer = line->status};
		ck_assert_int_eq(
			event_add(&event, arena, TEXT("http.response.status_code"), status), OK);
	}
	return event;
}

static void count(struct cohort_counter *counter, const struct line *line)
{
	struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
	struct event event = event_of(line, arena);
	const struct rule *blocking[] = {&RULE};
	ck_assert_int_eq(cohort_count(counter, &event, blocking, line->blocked), OK);
}

/* Workers and actors as the runtime wires them. */
struct rig {
	struct cohort_counter *counters[4];
	unsigned counter_count;
	struct cohort *cohorts[4];
	unsigned cohort_count;
};

static void rig_init(struct rig *rig, unsigned counter_count, unsigned cohort_count)
{
	*rig = (struct rig){.counter_count = counter_count, .cohort_count = cohort_count};
	for (unsigned i = 0; i < counter_count; i++)
		ck_assert_int_eq(cohort_counter_new(&KEY, &rig->counters[i], NULL), OK);
	for (unsigned i = 0; i < cohort_count; i++)
		ck_assert_int_eq(cohort_new(i, cohort_count, &rig->cohorts[i], NULL), OK);
}

static void rig_done(struct rig *rig)
{
	for (unsigned i = 0; i < rig->counter_count; i++)
		cohort_counter_free(&rig->counters[i]);
	for (unsigned i = 0; i < rig->cohort_count; i++)
		cohort_free(&rig->cohorts[i]);
}

/* One epoch's end: everything counted goes to its cohort. */
static void rig_flush(struct rig *rig)
{
	for (unsigned i = 0; i < rig->counter_count; i++) {
		struct bytes by_actor[4] = {0};
		struct record_sink sink = {by_actor, rig->cohort_count};
		ck_assert_int_eq(cohort_flush(rig->counters[i], &sink), OK);
		/* Every cohort gets everything and skips what is not its own. */
		for (unsigned k = 0; k < rig->cohort_count; k++)
			for (unsigned m = 0; m < rig->cohort_count; m++)
				ck_assert_int_eq(cohort_feed(rig->cohorts[k],
							     bytes_text(&by_actor[m]), NULL),
						 OK);
		for (unsigned k = 0; k < rig->cohort_count; k++)
			bytes_done(&by_actor[k]);
	}
}

/* What closing gives: rows sorted by their bytes, so that runs of any shape compare. */
struct rows {
	struct bytes items[4096];
	size_t count;
};

static int row_compare(const void *left, const void *right)
{
	return text_compare(bytes_text(left), bytes_text(right));
}

static struct bytes *row_new(struct rows *rows)
{
	ck_assert_uint_lt(rows->count, sizeof rows->items / sizeof *rows->items);
	return &rows->items[rows->count++];
}

static void rig_close(struct rig *rig, int64_t watermark_us, struct rows *buckets)
{
	for (unsigned i = 0; i < rig->cohort_count; i++) {
		ck_assert_int_eq(cohort_close(rig->cohorts[i], watermark_us, NULL), OK);
		struct cohort_changes changes = cohort_changes(rig->cohorts[i]);
		for (size_t k = 0; k < changes.bucket_count; k++) {
			const struct bucket *bucket = &changes.buckets[k];
			ck_assert(bucket->start_us + COHORT_BUCKET_US <= watermark_us ||
				  watermark_us == INT64_MAX);
			if (k > 0) {
				int order = text_compare(bucket[-1].service, bucket->service);
				ck_assert(order < 0 ||
					  (order == 0 && bucket[-1].start_us < bucket->start_us));
			}
			bucket_encode(bucket, row_new(buckets));
		}
		for (size_t k = 0; k < changes.finding_count; k++)
			if (watermark_us == INT64_MAX)
				finding_encode(&changes.findings[k], row_new(buckets));
		for (size_t k = 0; k < changes.instance_count; k++)
			if (watermark_us == INT64_MAX)
				instance_encode(&changes.instances[k], row_new(buckets));
	}
}

static void rows_join(struct rows *rows, struct bytes *to)
{
	qsort(rows->items, rows->count, sizeof *rows->items, row_compare);
	for (size_t i = 0; i < rows->count; i++) {
		bytes_put_text(to, bytes_text(&rows->items[i]));
		bytes_done(&rows->items[i]);
	}
	rows->count = 0;
}

static const char *pick(const char *const *from, unsigned count_of)
{
	return from[dice(count_of)];
}

enum { LINES = 1500 };

static void make_lines(struct line *lines)
{
	static const char *const SERVICES[] = {"orders", "payments", "carts", NULL};
	static const char *const VERSIONS[] = {"v1", "v2", "v3", NULL};
	static const char *const DEPLOYS[] = {"d1", "d2", NULL};
	static const char *const INSTANCES[] = {"pod-1", "pod-2", "pod-3", NULL};
	static const char *const USERS[] = {"alice", "bob", "carol", NULL, NULL};
	static const char *const ADDRESSES[] = {"10.0.0.1", "10.0.0.77",   "10.0.1.1",
						NULL,       "2001:db8::1", "2001:db8::2"};
	static const char *const TRACES[] = {"t1", "t2", NULL};
	static const char *const ROUTES[] = {"/a", "/b", NULL};
	static const int STATUSES[] = {200, 404, 499, 500, 503, -1};
	for (unsigned i = 0; i < LINES; i++)
		lines[i] = (struct line){
			/* Unique times: the order of equal ones is tested on its own. */
			.time_us = BASE_US + (int64_t)dice(60) * SECOND_US + i,
			.service = pick(SERVICES, 4),
			.version = pick(VERSIONS, 4),
			.deploy_id = pick(DEPLOYS, 3),
			.instance = pick(INSTANCES, 4),
			.user = pick(USERS, 5),
			.address = pick(ADDRESSES, 6),
			.trace = pick(TRACES, 3),
			.route = pick(ROUTES, 3),
			.status = STATUSES[dice(6)],
			.blocked = dice(20) == 0,
			.offset = i,
		};
}

static void shuffle(struct line *lines)
{
	for (unsigned i = LINES - 1; i > 0; i--) {
		unsigned k = dice(i + 1);
		struct line swap = lines[i];
		lines[i] = lines[k];
		lines[k] = swap;
	}
}

/* The naive recount. */
static bool same(const char *a, const char *b)
{
	return strcmp(a == NULL ? "" : a, b == NULL ? "" : b) == 0;
}

static bool same_principal(const struct line *a, const struct line *b)
{
	if (a->user != NULL || b->user != NULL)
		return a->user != NULL && b->user != NULL && same(a->user, b->user);
	if (a->address != NULL && b->address != NULL) {
		/* The addresses above: one network iff equal up to the last dot or colon. */
		size_t of_a =
			(size_t)(strrchr(a->address, *a->address == '2' ? ':' : '.') - a->address);
		size_t of_b =
			(size_t)(strrchr(b->address, *b->address == '2' ? ':' : '.') - b->address);
		return of_a == of_b && strncmp(a->address, b->address, of_a) == 0;
	}
	if (a->address != NULL || b->address != NULL)
		return false;
	return a->trace != NULL && b->trace != NULL && same(a->trace, b->trace);
}

static bool same_bucket(const struct line *a, const struct line *b)
{
	return same(a->service, b->service) &&
	       a->time_us / COHORT_BUCKET_US == b->time_us / COHORT_BUCKET_US;
}

static bool same_arm(const struct line *a, const struct arm *arm)
{
	return text_equal(text_of(a->version), arm->version) &&
	       text_equal(text_of(a->deploy_id), arm->deploy_id);
}

static bool is_first_of_cluster(const struct line *lines, const struct line *line)
{
	for (unsigned i = 0; i < LINES; i++) {
		const struct line *other = &lines[i];
		if (other->status == line->status && same_bucket(other, line) &&
		    same(other->route, line->route) && same_principal(other, line) &&
		    other->time_us < line->time_us)
			return false;
	}
	return true;
}

static void check_bucket(const struct line *lines, const struct bucket *bucket)
{
	uint64_t requests = 0;
	for (size_t k = 0; k < bucket->arm_count; k++) {
		const struct arm_count *arm = &bucket->arms[k];
		uint64_t n = 0;
		uint64_t bad = 0;
		uint64_t clusters = 0;
		bool anonymous = false;
		for (unsigned i = 0; i < LINES; i++) {
			const struct line *line = &lines[i];
			if (line->service == NULL || line->status < 0 ||
			    !text_equal(text_of(line->service), bucket->service) ||
			    line->time_us / COHORT_BUCKET_US * COHORT_BUCKET_US !=
				    bucket->start_us ||
			    !same_arm(line, &arm->arm))
				continue;
			n++;
			bad += line->status >= 500;
			clusters += line->status >= 500 && is_first_of_cluster(lines, line);
			anonymous |= line->status >= 500 && line->user == NULL &&
				     line->address == NULL && line->trace == NULL;
		}
		ck_assert_uint_eq(arm->requests, n);
		uint64_t counted = 0;
		uint64_t credited = 0;
		for (size_t i = 0; i < arm->stratum_count; i++) {
			counted += arm->strata[i].outcomes[OUTCOME_HTTP_5XX].bad;
			credited += arm->strata[i].outcomes[OUTCOME_HTTP_5XX].clusters;
		}
		ck_assert_uint_eq(counted, bad);
		ck_assert_uint_eq(credited, clusters);
		ck_assert(!anonymous || (bucket->flags & BUCKET_NO_PRINCIPAL) != 0);
		requests += n;
	}
	ck_assert_uint_gt(requests, 0);
	ck_assert_uint_eq(bucket->late, 0);
}

static struct line lines[LINES];
static struct rows rows;

START_TEST(recount_agrees)
{
	make_lines(lines);
	struct rig rig;
	rig_init(&rig, 1, 1);
	for (unsigned i = 0; i < LINES; i++)
		count(rig.counters[0], &lines[i]);
	rig_flush(&rig);
	ck_assert_int_eq(cohort_close(rig.cohorts[0], INT64_MAX, NULL), OK);
	struct cohort_changes changes = cohort_changes(rig.cohorts[0]);
	ck_assert_uint_eq(changes.bucket_count, 3 * 6);
	uint64_t requests = 0;
	for (size_t i = 0; i < changes.bucket_count; i++) {
		check_bucket(lines, &changes.buckets[i]);
		for (size_t k = 0; k < changes.buckets[i].arm_count; k++)
			requests += changes.buckets[i].arms[k].requests;
	}
	uint64_t expected = 0;
	uint64_t heartbeats = 0;
	uint64_t blocked = 0;
	for (unsigned i = 0; i < LINES; i++) {
		expected += lines[i].service != NULL && lines[i].status >= 0;
		heartbeats += lines[i].service != NULL;
		blocked += lines[i].service != NULL && lines[i].blocked;
	}
	ck_assert_uint_eq(requests, expected);
	for (size_t i = 0; i < changes.instance_count; i++)
		heartbeats -= changes.instances[i].events;
	ck_assert_uint_eq(heartbeats, 0);
	for (size_t i = 0; i < changes.finding_count; i++) {
		blocked -= changes.findings[i].count;
		ck_assert_uint_le(changes.findings[i].evidence_count, COHORT_EVIDENCE_MAX);
		ck_assert_int_eq(changes.findings[i].evidence_us[0], changes.findings[i].first_us);
	}
	ck_assert_uint_eq(blocked, 0);
	rig_done(&rig);
}
END_TEST

static void run_lines(unsigned counter_count, unsigned cohort_count, unsigned flush_one_in,
		      struct bytes *ret_rows)
{
	struct rig rig;
	rig_init(&rig, counter_count, cohort_count);
	for (unsigned i = 0; i < LINES; i++) {
		count(rig.counters[dice(counter_count)], &lines[i]);
		if (dice(flush_one_in) == 0)
			rig_flush(&rig);
	}
	rig_flush(&rig);
	rig_close(&rig, INT64_MAX, &rows);
	rows_join(&rows, ret_rows);
	rig_done(&rig);
}

START_TEST(order_and_split_do_not_matter)
{
	make_lines(lines);
	/* Equal times in different arms: the content decides, not the arrival. */
	for (unsigned i = 0; i < LINES; i += 3)
		lines[i].time_us =
			BASE_US + (lines[i].time_us - BASE_US) / (7 * SECOND_US) * SECOND_US;
	struct bytes first cleanup(bytes_done) = {0};
	run_lines(1, 1, LINES + 1, &first);
	ck_assert_uint_gt(first.size, 1000);
	for (unsigned i = 0; i < 8; i++) {
		shuffle(lines);
		struct bytes again cleanup(bytes_done) = {0};
		run_lines(1 + dice(4), 1 + dice(4), 1 + dice(300), &again);
		ck_assert(text_equal(bytes_text(&first), bytes_text(&again)));
	}
}
END_TEST

static void checkpoint_all(const struct rig *rig, struct bytes *checkpoints)
{
	for (unsigned p = 0; p < VIRTUAL_PARTITIONS; p++)
		ck_assert_int_eq(cohort_checkpoint(rig->cohorts[p % rig->cohort_count], (uint8_t)p,
						   &checkpoints[p]),
				 OK);
}

START_TEST(restart_in_the_middle)
{
	make_lines(lines);
	struct bytes first cleanup(bytes_done) = {0};
	run_lines(1, 1, 50, &first);

	struct rig rig;
	rig_init(&rig, 2, 3);
	for (unsigned i = 0; i < LINES / 2; i++)
		count(rig.counters[i % 2], &lines[i]);
	rig_flush(&rig);
	struct bytes before[VIRTUAL_PARTITIONS] = {0};
	struct bytes after[VIRTUAL_PARTITIONS] = {0};
	checkpoint_all(&rig, before);
	rig_done(&rig);
	rig_init(&rig, 1, 2);
	for (unsigned p = 0; p < VIRTUAL_PARTITIONS; p++)
		for (unsigned k = 0; k < rig.cohort_count; k++)
			ck_assert_int_eq(
				cohort_restore(rig.cohorts[k], bytes_text(&before[p]), NULL), OK);
	checkpoint_all(&rig, after);
	for (unsigned p = 0; p < VIRTUAL_PARTITIONS; p++) {
		ck_assert(text_equal(bytes_text(&before[p]), bytes_text(&after[p])));
		bytes_done(&before[p]);
		bytes_done(&after[p]);
	}
	for (unsigned i = LINES / 2; i < LINES; i++)
		count(rig.counters[0], &lines[i]);
	rig_flush(&rig);
	rig_close(&rig, INT64_MAX, &rows);
	struct bytes second cleanup(bytes_done) = {0};
	rows_join(&rows, &second);
	ck_assert(text_equal(bytes_text(&first), bytes_text(&second)));
	rig_done(&rig);
}
END_TEST

static struct line request(int64_t after_us, const char *version, int status)
{
	static int64_t offset = 0;
	return (struct line){.time_us = BASE_US + after_us,
			     .service = "orders",
			     .version = version,
			     .instance = "pod",
			     .user = "alice",
			     .status = status,
			     .offset = offset++};
}

START_TEST(buckets_close_once_and_late_ones_are_counted)
{
	struct rig rig;
	rig_init(&rig, 1, 1);
	struct line line = request(1, "v1", 200);
	count(rig.counters[0], &line);
	rig_flush(&rig);
	rig_close(&rig, BASE_US + COHORT_BUCKET_US - 1, &rows);
	ck_assert_uint_eq(rows.count, 0);
	rig_close(&rig, BASE_US + COHORT_BUCKET_US, &rows);
	ck_assert_uint_eq(rows.count, 1);
	rig_close(&rig, BASE_US, &rows); /* a watermark never goes back */
	ck_assert_uint_eq(rows.count, 1);

	/* Two late ones, a restart in between, and the next bucket tells of both. */
	line = request(5, "v1", 500);
	count(rig.counters[0], &line);
	rig_flush(&rig);
	struct bytes checkpoints[VIRTUAL_PARTITIONS] = {0};
	checkpoint_all(&rig, checkpoints);
	rig_done(&rig);
	rig_init(&rig, 1, 1);
	for (unsigned p = 0; p < VIRTUAL_PARTITIONS; p++) {
		ck_assert_int_eq(cohort_restore(rig.cohorts[0], bytes_text(&checkpoints[p]), NULL),
				 OK);
		bytes_done(&checkpoints[p]);
	}
	line = request(6, "v2", 200);
	count(rig.counters[0], &line);
	line = request(COHORT_BUCKET_US + 6, "v2", 200);
	count(rig.counters[0], &line);
	rig_flush(&rig);
	ck_assert_int_eq(cohort_close(rig.cohorts[0], INT64_MAX, NULL), OK);
	struct cohort_changes changes = cohort_changes(rig.cohorts[0]);
	ck_assert_uint_eq(changes.bucket_count, 1);
	ck_assert_int_eq(changes.buckets[0].start_us, BASE_US + COHORT_BUCKET_US);
	ck_assert_uint_eq(changes.buckets[0].late, 2);
	ck_assert_uint_eq(changes.buckets[0].arms[0].requests, 1);
	struct bytes ignored cleanup(bytes_done) = {0};
	rows_join(&rows, &ignored);
	rig_done(&rig);
}
END_TEST

START_TEST(old_instances_are_forgotten)
{
	struct rig rig;
	rig_init(&rig, 1, 1);
	struct line line = request(0, "v1", 200);
	count(rig.counters[0], &line);
	rig_flush(&rig);
	rig_close(&rig, BASE_US + COHORT_BUCKET_US, &rows);
	int64_t week_us = 7 * 24 * 3600 * SECOND_US;
	struct bytes before cleanup(bytes_done) = {0};
	uint8_t partition = virtual_partition_of(&KEY, TEXT(""), TEXT("orders"));
	rig_close(&rig, BASE_US + week_us - SECOND_US, &rows);
	ck_assert_int_eq(cohort_checkpoint(rig.cohorts[0], partition, &before), OK);
	ck_assert_uint_gt(before.size, 16);
	rig_close(&rig, BASE_US + week_us + 3600 * SECOND_US, &rows); /* looked at once an hour */
	struct bytes checkpoints[VIRTUAL_PARTITIONS] = {0};
	checkpoint_all(&rig, checkpoints);
	for (unsigned p = 0; p < VIRTUAL_PARTITIONS; p++) {
		ck_assert_uint_lt(checkpoints[p].size, 16); /* version and watermark */
		bytes_done(&checkpoints[p]);
	}
	struct bytes ignored cleanup(bytes_done) = {0};
	rows_join(&rows, &ignored);
	rig_done(&rig);
}
END_TEST

/* Every cut and every flipped byte of valid bytes is an answer, never a crash. */
static void torture(struct text valid, bool checkpoint)
{
	char *copy = malloc(valid.size);
	ck_assert_ptr_nonnull(copy);
	for (size_t i = 0; i < 2 * valid.size; i++) {
		memcpy(copy, valid.data, valid.size);
		struct text damaged = {copy, i < valid.size ? i : valid.size};
		if (i >= valid.size)
			copy[i - valid.size] ^= (char)(1 + dice(255));
		struct cohort *cohort = NULL;
		ck_assert_int_eq(cohort_new(0, 1, &cohort, NULL), OK);
		struct error err = {0};
		enum status status = checkpoint ? cohort_restore(cohort, damaged, &err)
						: cohort_feed(cohort, damaged, &err);
		ck_assert(status == OK || (status == ECORRUPT && err.text[0] != '\0'));
		ck_assert_int_eq(cohort_close(cohort, INT64_MAX, NULL), OK);
		cohort_free(&cohort);
	}
	free(copy);
}

START_TEST(damaged_aggregates_are_refused)
{
	struct rig rig;
	rig_init(&rig, 1, 1);
	for (int i = 0; i < 6; i++) {
		struct line line = request(i * SECOND_US * 4, i % 2 == 0 ? "v1" : "v2", 500);
		line.blocked = i == 3;
		count(rig.counters[0], &line);
	}
	struct bytes fed cleanup(bytes_done) = {0};
	struct record_sink sink = {&fed, 1};
	ck_assert_int_eq(cohort_flush(rig.counters[0], &sink), OK);
	ck_assert_int_eq(cohort_feed(rig.cohorts[0], bytes_text(&fed), NULL), OK);
	uint8_t partition = virtual_partition_of(&KEY, TEXT(""), TEXT("orders"));
	struct bytes checkpoint cleanup(bytes_done) = {0};
	ck_assert_int_eq(cohort_checkpoint(rig.cohorts[0], partition, &checkpoint), OK);
	torture(bytes_text(&fed), false);
	torture(bytes_text(&checkpoint), true);
	rig_done(&rig);
}
END_TEST

START_TEST(a_checkpoint_of_another_version_is_named)
{
	static const char OLDER[] = {4, 0};
	struct cohort *cohort cleanup(cohort_free) = NULL;
	struct error err = {0};
	ck_assert_int_eq(cohort_new(0, 1, &cohort, NULL), OK);
	ck_assert_int_eq(cohort_restore(cohort, (struct text){OLDER, sizeof OLDER}, &err),
			 ECORRUPT);
	ck_assert_msg(strstr(err.text, "has version 4, and this picket reads version 5") != NULL,
		      "%s", err.text);
}
END_TEST

int main(void)
{
	printf("seed 0x%llx\n", (unsigned long long)random_state);
	Suite *suite = suite_create("correlate/cohort");
	TCase *tests = tcase_create("cohort");
	tcase_set_timeout(tests, 0);
	tcase_add_test(tests, recount_agrees);
	tcase_add_test(tests, order_and_split_do_not_matter);
	tcase_add_test(tests, restart_in_the_middle);
	tcase_add_test(tests, buckets_close_once_and_late_ones_are_counted);
	tcase_add_test(tests, old_instances_are_forgotten);
	tcase_add_test(tests, damaged_aggregates_are_refused);
	tcase_add_test(tests, a_checkpoint_of_another_version_is_named);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
