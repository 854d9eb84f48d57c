/* What one event counts for: requests, principals, clusters, limits, hostile values. */
#include "correlate/cohort.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static const int64_t BASE_US = 1700000000LL * 1000000;
static const struct hash_key KEY = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

/* One log line; NULL leaves the field out. */
struct line {
	int64_t time_us, offset;
	const char *version, *instance, *user, *address;
	int status; /* -1: not a request */
};

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
	event.origin = (struct origin){TEXT("logs"), 0, 0, line->offset};
	add(&event, arena, "service.name", "orders");
	add(&event, arena, "service.version", line->version);
	add(&event, arena, "service.node.name", line->instance);
	add(&event, arena, "user.id", line->user);
	add(&event, arena, "source.ip", line->address);
	if (line->status >= 0) {
		struct value status = {.type = VALUE_INTEGER, .integer = line->status};
		ck_assert_int_eq(
			event_add(&event, arena, TEXT("http.response.status_code"), status), OK);
	}
	return event;
}

static struct line request(int64_t after_us, const char *version, int status)
{
	static int64_t offset = 0;
	return (struct line){.time_us = BASE_US + after_us,
			     .version = version,
			     .instance = "pod",
			     .user = "alice",
			     .status = status,
			     .offset = offset++};
}

static void count(struct cohort_counter *counter, const struct line *line)
{
	struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
	struct event event = event_of(line, arena);
	ck_assert_int_eq(cohort_count(counter, &event, NULL, 0), OK);
}

/* Two workers and an actor. */
struct rig {
	struct cohort_counter *counters[2];
	struct cohort *cohort;
};

static void rig_init(struct rig *rig)
{
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(cohort_counter_new(&KEY, &rig->counters[i], NULL), OK);
	ck_assert_int_eq(cohort_new(0, 1, &rig->cohort, NULL), OK);
}

static void rig_done(struct rig *rig)
{
	for (int i = 0; i < 2; i++)
		cohort_counter_free(&rig->counters[i]);
	cohort_free(&rig->cohort);
}

/* Closes everything and gives the only bucket. */
static struct bucket only_bucket(struct rig *rig)
{
	for (int i = 0; i < 2; i++) {
		struct bytes fed cleanup(bytes_done) = {0};
		struct record_sink sink = {&fed, 1};
		ck_assert_int_eq(cohort_flush(rig->counters[i], &sink), OK);
		ck_assert_int_eq(cohort_feed(rig->cohort, bytes_text(&fed), NULL), OK);
	}
	ck_assert_int_eq(cohort_close(rig->cohort, INT64_MAX, NULL), OK);
	struct cohort_changes changes = cohort_changes(rig->cohort);
	ck_assert_uint_eq(changes.bucket_count, 1);
	return changes.buckets[0];
}

/* Sums of an arm over its strata. */
static struct outcome_count total(const struct arm_count *arm, enum outcome outcome)
{
	struct outcome_count sum = {0};
	for (size_t i = 0; i < arm->stratum_count; i++) {
		sum.trials += arm->strata[i].outcomes[outcome].trials;
		sum.bad += arm->strata[i].outcomes[outcome].bad;
		sum.clusters += arm->strata[i].outcomes[outcome].clusters;
	}
	return sum;
}

static struct outcome_count failures(const struct arm_count *arm)
{
	return total(arm, OUTCOME_HTTP_5XX);
}

START_TEST(principals_are_networks)
{
	/* Pairs of addresses, and whether they are one principal. */
	static const struct {
		const char *a, *b;
		bool one;
	} PAIRS[] = {
		{"10.0.0.1", "10.0.0.250", true},
		{"10.0.0.1", "10.0.1.1", false},
		{"10.0.0.1", "::ffff:10.0.0.9", true},
		{"2001:db8::1", "2001:db8::ffff:2", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"client-a.example", "client-b.example", false},
		{"10.0.0.1", "10.0.0.1.", false},
	};
	for (size_t i = 0; i < sizeof PAIRS / sizeof *PAIRS; i++) {
		struct rig rig;
		rig_init(&rig);
		struct line line = request(1, "v1", 500);
		line.user = NULL;
		line.address = PAIRS[i].a;
		count(rig.counters[0], &line);
		line.address = PAIRS[i].b;
		line.offset++;
		count(rig.counters[1], &line);
		struct bucket bucket = only_bucket(&rig);
		ck_assert_uint_eq(failures(&bucket.arms[0]).bad, 2);
		ck_assert_uint_eq(failures(&bucket.arms[0]).clusters, PAIRS[i].one ? 1 : 2);
		ck_assert_uint_eq(bucket.culprit_count, PAIRS[i].one ? 1 : 2);
		ck_assert_uint_eq(bucket.flags, 0);
		rig_done(&rig);
	}
}
END_TEST

START_TEST(first_event_owns_the_cluster)
{
	for (int order = 0; order < 2; order++) {
		struct rig rig;
		rig_init(&rig);
		struct line later = request(500, "v1", 503);
		struct line first = request(400, "v2", 503);
		count(rig.counters[order], &later);
		count(rig.counters[1 - order], &first);
		struct bucket bucket = only_bucket(&rig);
		ck_assert_uint_eq(failures(&bucket.arms[0]).clusters, 0);
		ck_assert_uint_eq(failures(&bucket.arms[1]).clusters, 1);
		ck_assert_uint_eq(failures(&bucket.arms[0]).bad + failures(&bucket.arms[1]).bad, 2);
		rig_done(&rig);
	}
}
END_TEST

START_TEST(limits_degrade_the_same_way_in_any_order)
{
	struct bytes encoded[2] = {0};
	for (int run = 0; run < 2; run++) {
		struct rig rig;
		rig_init(&rig);
		for (int i = 0; i < COHORT_CLUSTERS_MAX + 500; i++) {
			int n = run == 0 ? i : COHORT_CLUSTERS_MAX + 499 - i;
			char user[32];
			char version[32];
			(void)snprintf(user, sizeof user, "user-%d", n);
			(void)snprintf(version, sizeof version, "v%d", n % (COHORT_ARMS_MAX + 8));
			struct line line = request(n, version, 500);
			line.user = user;
			line.offset = n;
			count(rig.counters[run == 0 ? i % 2 : i % 7 == 0], &line);
		}
		struct bucket bucket = only_bucket(&rig);
		ck_assert_uint_eq(bucket.arm_count, COHORT_ARMS_MAX);
		ck_assert((bucket.flags & BUCKET_DEGRADED) != 0);
		for (size_t k = 0; k < bucket.arm_count; k++) {
			ck_assert_uint_le(failures(&bucket.arms[k]).clusters,
					  failures(&bucket.arms[k]).bad);
		}
		ck_assert_uint_gt(bucket.culprit_count, COHORT_CULPRITS_MAX / 2);
		ck_assert_uint_le(bucket.culprit_count, COHORT_CULPRITS_MAX);
		bucket_encode(&bucket, &encoded[run]);
		rig_done(&rig);
	}
	ck_assert(text_equal(bytes_text(&encoded[0]), bytes_text(&encoded[1])));
	bytes_done(&encoded[0]);
	bytes_done(&encoded[1]);
}
END_TEST

START_TEST(routes_beyond_the_limit_are_one_in_any_order)
{
	enum { ROUTES = COHORT_ROUTES_MAX + 40, LINES = 3 * ROUTES };
	struct bytes encoded[2] = {0};
	for (int run = 0; run < 2; run++) {
		struct rig rig;
		struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
		rig_init(&rig);
		for (int i = 0; i < LINES; i++) {
			int n = run == 0 ? i : LINES - 1 - i;
			char route[32];
			(void)snprintf(route, sizeof route, "/r%d", n % ROUTES);
			struct line line =
				request(n, n % 2 == 0 ? "v1" : "v2", n % 5 == 0 ? 500 : 200);
			line.offset = n;
			arena_reset(arena);
			struct event event = event_of(&line, arena);
			add(&event, arena, "http.route", route);
			add(&event, arena, "http.request.method", "GET");
			struct value took = {.type = VALUE_INTEGER, .integer = 1000000LL * (n % 9)};
			ck_assert_int_eq(event_add(&event, arena, TEXT("event.duration"), took),
					 OK);
			ck_assert_int_eq(
				cohort_count(rig.counters[run == 0 ? 0 : n % 2], &event, NULL, 0),
				OK);
		}
		struct bucket bucket = only_bucket(&rig);
		ck_assert_uint_eq(bucket.route_count, COHORT_ROUTES_MAX);
		ck_assert_uint_eq(bucket.flags, BUCKET_ROUTES);
		uint64_t requests = 0;
		uint64_t durations = 0;
		for (size_t i = 0; i < bucket.arm_count; i++) {
			requests += bucket.arms[i].requests;
			for (size_t k = 0; k < bucket.arms[i].stratum_count; k++)
				for (size_t b = 0; b < bucket.arms[i].strata[k].bin_count; b++)
					durations += bucket.arms[i].strata[k].bins[b].count;
		}
		ck_assert_uint_eq(requests, LINES);
		ck_assert_uint_eq(durations, LINES);
		ck_assert_uint_eq(failures(&bucket.arms[0]).bad + failures(&bucket.arms[1]).bad,
				  (LINES + 4) / 5);
		bucket_encode(&bucket, &encoded[run]);
		rig_done(&rig);
	}
	ck_assert(text_equal(bytes_text(&encoded[0]), bytes_text(&encoded[1])));
	bytes_done(&encoded[0]);
	bytes_done(&encoded[1]);
}
END_TEST

/* Which outcomes one event is a trial of, and which went badly. */
START_TEST(events_are_read_as_outcomes)
{
	static const struct {
		const char *fields[8]; /* name, value, ... */
		int status;
		unsigned trials, bad;
	} CASES[] = {
		{{NULL}, 200, 1 << 0 | 1 << 1 | 1 << 2, 0},
		{{NULL}, 401, 1 << 0 | 1 << 1 | 1 << 2, 1 << 1},
		{{NULL}, 403, 1 << 0 | 1 << 1 | 1 << 2, 1 << 2},
		{{NULL}, 503, 1 << 0 | 1 << 1 | 1 << 2, 1 << 0},
		{{NULL}, 404, 1 << 0 | 1 << 1 | 1 << 2, 0},
		{{"log.level", "ERROR"}, -1, 0, 1 << 4},
		{{"log.level", "warning"}, -1, 0, 0},
		{{"event.category", "authentication", "event.outcome", "failure"},
		 -1,
		 1 << 1,
		 1 << 1 | 1 << 5},
		{{"event.category", "authentication"}, -1, 0, 1 << 5},
		{{"event.type", "denied"}, -1, 1 << 2, 1 << 2},
		{{"event.type", "allowed"}, -1, 1 << 2, 0},
		{{"tenant.id", "a", "target.tenant.id", "b", "event.outcome", "failure"},
		 -1,
		 1 << 3,
		 1 << 3},
		{{"tenant.id", "a", "target.tenant.id", "b", "event.outcome", "success"},
		 -1,
		 1 << 3,
		 0},
		{{"tenant.id", "a", "target.tenant.id", "a"}, 403, 15, 1 << 2},
		{{"tenant.id", "a", "target.tenant.id", "b"}, 404, 15, 1 << 3},
		{{"tenant.id", "a", "target.tenant.id", "b"}, -1, 0, 0},
	};
	for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
		struct rig rig;
		struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
		struct line line = request(1, "v1", CASES[i].status);
		struct event event = event_of(&line, arena);
		for (int k = 0; k < 8 && CASES[i].fields[k] != NULL; k += 2)
			add(&event, arena, CASES[i].fields[k], CASES[i].fields[k + 1]);
		rig_init(&rig);
		ck_assert_int_eq(cohort_count(rig.counters[0], &event, NULL, 0), OK);
		if ((CASES[i].trials | CASES[i].bad) != 0) {
			struct bucket bucket = only_bucket(&rig);
			unsigned trials = 0;
			unsigned bad = 0;
			for (int k = 0; k < OUTCOME_COUNTED; k++) {
				struct outcome_count sum = total(&bucket.arms[0], (enum outcome)k);
				trials |= (unsigned)sum.trials << k;
				bad |= (unsigned)sum.bad << k;
				ck_assert_uint_eq(sum.clusters, sum.bad);
			}
			ck_assert_msg(trials == CASES[i].trials && bad == CASES[i].bad,
				      "case %zu: trials %x bad %x", i, trials, bad);
		}
		rig_done(&rig);
	}
}
END_TEST

START_TEST(too_many_instances_degrade)
{
	struct rig rig;
	rig_init(&rig);
	for (int i = 0; i < COHORT_INSTANCES_MAX + 1; i++) {
		char name[32];
		(void)snprintf(name, sizeof name, "pod-%d", i);
		struct line line = request(i, "v1", 200);
		line.instance = name;
		count(rig.counters[0], &line);
	}
	struct bucket bucket = only_bucket(&rig);
	ck_assert((bucket.flags & BUCKET_DEGRADED) != 0);
	ck_assert_uint_eq(cohort_changes(rig.cohort).instance_count, COHORT_INSTANCES_MAX);
	rig_done(&rig);
}
END_TEST

START_TEST(hostile_names_and_numbers)
{
	struct rig rig;
	rig_init(&rig);
	char huge[3 * COHORT_NAME_MAX];
	memset(huge, 'x', sizeof huge - 1);
	huge[sizeof huge - 1] = '\0';
	struct line line = request(1, huge, 599);
	line.user = NULL;
	line.address = "not an address; longer than any address could ever be, by far, far, far";
	count(rig.counters[0], &line);
	line.address = NULL;
	line.instance = huge;
	count(rig.counters[0], &line);

	/* Times that overflow are nobody's. */
	line.time_us = INT64_MIN;
	count(rig.counters[0], &line);
	line.time_us = INT64_MAX;
	count(rig.counters[0], &line);

	/* Status codes as text and as a number with a fraction; text that is no number. */
	struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
	static const struct value STATUSES[] = {
		{.type = VALUE_STRING, .text = {"503", 3}},
		{.type = VALUE_STRING, .text = {"50x", 3}},
		{.type = VALUE_STRING, .text = {"", 0}},
		{.type = VALUE_STRING, .text = {"99999999999999999999", 20}},
		{.type = VALUE_REAL, .real = 500.0},
		{.type = VALUE_REAL, .real = 1e300},
		{.type = VALUE_NULL},
		{.type = VALUE_INTEGER, .integer = INT64_MIN},
		{.type = VALUE_INTEGER, .integer = INT64_MAX},
	};
	for (size_t i = 0; i < sizeof STATUSES / sizeof *STATUSES; i++) {
		line = request((int64_t)i, "v1", -1);
		struct event event = event_of(&line, arena);
		ck_assert_int_eq(
			event_add(&event, arena, TEXT("http.response.status_code"), STATUSES[i]),
			OK);
		ck_assert_int_eq(cohort_count(rig.counters[0], &event, NULL, 0), OK);
	}
	struct bucket bucket = only_bucket(&rig);
	ck_assert_uint_eq(bucket.flags, BUCKET_DEGRADED | BUCKET_NO_PRINCIPAL);
	ck_assert_uint_eq(bucket.arm_count, 2);
	ck_assert_uint_eq(bucket.arms[0].requests, 4); /* "503", 500.0, both integers */
	ck_assert_uint_eq(failures(&bucket.arms[0]).bad, 3);
	ck_assert_uint_eq(bucket.arms[1].arm.version.size, COHORT_NAME_MAX);
	ck_assert_uint_eq(failures(&bucket.arms[1]).clusters, 2);
	rig_done(&rig);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("correlate/cohort_counter");
	TCase *tests = tcase_create("tests");
	tcase_set_timeout(tests, 0);
	tcase_add_test(tests, principals_are_networks);
	tcase_add_test(tests, first_event_owns_the_cluster);
	tcase_add_test(tests, limits_degrade_the_same_way_in_any_order);
	tcase_add_test(tests, routes_beyond_the_limit_are_one_in_any_order);
	tcase_add_test(tests, events_are_read_as_outcomes);
	tcase_add_test(tests, too_many_instances_degrade);
	tcase_add_test(tests, hostile_names_and_numbers);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
