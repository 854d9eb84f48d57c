/* Who is known to a service: the set against a plain one, days, and through counter and cohort. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "correlate/tally_private.h"

enum { MANY = 3 * COHORT_KNOWN_MAX };
static const int64_t DAY_US = INT64_C(24) * 3600 * 1000000;
static const int64_t BASE_US = INT64_C(1700000000) * 1000000;
static const struct hash_key KEY = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

/* --- the set ---------------------------------------------------------------------------------- */

/* The i-th of MANY different hashes, and in another order their i-th. */
static uint64_t hash_at(size_t i)
{
	return (uint64_t)(i % MANY + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static int ascending(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left;
	uint64_t b = *(const uint64_t *)right;
	return (a > b) - (a < b);
}

/* Adds hashes [from, to) stepwise; the step is prime to MANY. */
static void fill(struct known_list *list, size_t from, size_t to, size_t step)
{
	for (size_t i = from; i < to; i++)
		ck_assert_int_eq(known_add(list, hash_at(i * step)), OK);
}

START_TEST(the_smallest_stay_whatever_the_order_and_the_split)
{
	uint64_t *all = calloc(MANY, sizeof *all);
	for (size_t i = 0; i < MANY; i++)
		all[i] = hash_at(i);
	qsort(all, MANY, sizeof *all, ascending);
	struct known_list whole = {0};
	fill(&whole, 0, MANY, 1);
	fill(&whole, 0, 100, 1); /* again */
	known_settle(&whole);
	ck_assert(whole.sampled);
	ck_assert_uint_eq(whole.count, COHORT_KNOWN_MAX);
	ck_assert_mem_eq(whole.hashes, all, COHORT_KNOWN_MAX * sizeof *all);

	struct known_list merged = {0};
	for (size_t piece = 0; piece < 4; piece++) {
		struct known_list part = {0};
		struct bytes sent cleanup(bytes_done) = {0};
		fill(&part, piece * MANY / 4, (piece + 1) * MANY / 4, 5);
		known_put(&part, &sent);
		struct cursor from = cursor_of(bytes_text(&sent));
		ck_assert_int_eq(known_take(&merged, &from), OK);
		ck_assert(!from.failed && cursor_left(&from) == 0);
		known_done(&part);
	}
	struct bytes once cleanup(bytes_done) = {0};
	struct bytes pieces cleanup(bytes_done) = {0};
	known_put(&whole, &once);
	known_put(&merged, &pieces);
	ck_assert(text_equal(bytes_text(&once), bytes_text(&pieces)));
	known_done(&whole);
	known_done(&merged);
	free(all);
}
END_TEST

START_TEST(as_many_as_fit_are_no_sample)
{
	struct known_list list = {0};
	fill(&list, 0, COHORT_KNOWN_MAX, 1);
	fill(&list, 0, COHORT_KNOWN_MAX, 1);
	known_settle(&list);
	ck_assert(!list.sampled);
	ck_assert_uint_eq(list.count, COHORT_KNOWN_MAX);
	fill(&list, COHORT_KNOWN_MAX, COHORT_KNOWN_MAX + 1, 1);
	known_settle(&list);
	ck_assert(list.sampled);
	known_done(&list);
}
END_TEST

START_TEST(damaged_sets_are_refused)
{
	for (int broken = 0; broken < 4; broken++) {
		struct bytes bytes cleanup(bytes_done) = {0};
		struct known_list list = {0};
		bytes_put_u8(&bytes, broken == 0 ? 2 : 0);
		bytes_put_varint(&bytes, broken == 1 ? COHORT_KNOWN_MAX + 1 : 2);
		bytes_put_u64le(&bytes, broken == 2 ? 9 : 5);
		if (broken != 3)
			bytes_put_u64le(&bytes, 9);
		struct cursor from = cursor_of(bytes_text(&bytes));
		ck_assert_int_eq(known_take(&list, &from), OK);
		ck_assert(from.failed);
		known_done(&list);
	}
}
END_TEST

static bool knows(const struct tally_known *known, uint64_t principal, uint64_t companion)
{
	return known_has(known,
			 &(struct tally_cluster){.principal = principal, .companion = companion});
}

static void learn(struct tally_known *known, int64_t at_us, uint64_t hash)
{
	struct known_list list = {0};
	ck_assert_int_eq(known_add(&list, hash), OK);
	ck_assert_int_eq(known_learn(known, at_us, &list), OK);
	known_done(&list);
}

START_TEST(who_is_known_stays_so_for_the_next_day)
{
	struct tally_known known = {.day = INT64_MIN};
	int64_t noon_us = BASE_US - BASE_US % DAY_US + DAY_US / 2;
	ck_assert(!knows(&known, 7, 0));
	learn(&known, noon_us, 7);
	ck_assert(knows(&known, 7, 0));
	ck_assert(!knows(&known, 0, 0));
	ck_assert(!knows(&known, 7, 8)); /* a known user in a strange network */
	learn(&known, noon_us + DAY_US, 8);
	ck_assert(knows(&known, 7, 8));
	ck_assert(!known_is_past(&known, noon_us + 2 * DAY_US));
	ck_assert(known_is_past(&known, noon_us + 3 * DAY_US));
	known_turn(&known, noon_us + 2 * DAY_US);
	ck_assert(!knows(&known, 7, 0));
	ck_assert(knows(&known, 8, 0));
	known_turn(&known, noon_us + 9 * DAY_US);
	ck_assert(!knows(&known, 8, 0));
	for (int i = 0; i < 2; i++)
		known_done(&known.days[i]);
}
END_TEST

START_TEST(learning_by_buckets_is_learning_at_once)
{
	struct known_list whole = {0};
	struct tally_known known = {.day = INT64_MIN};
	int64_t noon_us = BASE_US - BASE_US % DAY_US + DAY_US / 2;
	enum { PIECES = 30 };
	for (size_t piece = 0; piece < PIECES; piece++) {
		struct known_list list = {0};
		fill(&list, piece * MANY / PIECES / 2, (piece + 2) * MANY / PIECES / 2, 5);
		fill(&whole, piece * MANY / PIECES / 2, (piece + 2) * MANY / PIECES / 2, 5);
		int64_t at_us = noon_us + (int64_t)piece * COHORT_BUCKET_US;
		ck_assert_int_eq(known_learn(&known, at_us, &list), OK);
		ck_assert_int_eq(known_learn(&known, at_us, &list), OK);
		known_done(&list);
		known_settle(&whole);
		ck_assert_uint_eq(known.days[0].count, whole.count);
		ck_assert_mem_eq(known.days[0].hashes, whole.hashes,
				 whole.count * sizeof *whole.hashes);
		ck_assert_int_eq(known_is_sampled(&known), whole.sampled);
	}
	ck_assert(whole.sampled);
	known_done(&whole);
	known_done(&known.days[0]);
}
END_TEST

/* --- through counter and cohort --------------------------------------------------------------- */

struct line {
	int64_t after_s;
	const char *user, *address;
	int status;
};

static void add(struct event *event, struct arena *arena, const char *name, const char *value)
{
	struct value string = {.type = VALUE_STRING, .text = text_of(value)};
	if (value != NULL)
		ck_assert_int_eq(event_add(event, arena, text_of(name), string), OK);
}

static void feed(struct cohort *cohort, const struct line *line, int64_t offset)
{
	struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
	struct cohort_counter *counter cleanup(cohort_counter_free) = NULL;
	struct bytes sent cleanup(bytes_done) = {0};
	struct event event = {.time_us = BASE_US + line->after_s * 1000000};
	char status[8];
	(void)snprintf(status, sizeof status, "%d", line->status);
	event.origin = (struct origin){TEXT("logs"), 0, 0, offset};
	add(&event, arena, "service.name", "orders");
	add(&event, arena, "service.version", "v1");
	add(&event, arena, "user.id", line->user);
	add(&event, arena, "source.ip", line->address);
	add(&event, arena, "http.response.status_code", status);
	ck_assert_int_eq(cohort_counter_new(&KEY, &counter, NULL), OK);
	ck_assert_int_eq(cohort_count(counter, &event, NULL, 0), OK);
	ck_assert_int_eq(cohort_flush(counter, &(struct record_sink){&sent, 1}), OK);
	ck_assert_int_eq(cohort_feed(cohort, bytes_text(&sent), NULL), OK);
}

/* Behind alice's success of the first bucket: who is refused, and is he a culprit? */
static const struct {
	struct line line;
	unsigned culprits;
} TRIES[] = {
	{{0, NULL, "10.0.0.9", 401}, 0},            /* not before the bucket */
	{{10, NULL, "10.0.0.9", 401}, 1},           /* her network */
	{{10, "alice", "10.0.0.9", 403}, 1},        /* herself */
	{{10, "alice", NULL, 403}, 1},              /* the same, without an address */
	{{10, "alice", "192.0.2.1", 403}, 0},       /* her name, tried by a stranger */
	{{10, "mallory", "10.0.0.9", 403}, 0},      /* a made-up name */
	{{10, NULL, "192.0.2.1", 401}, 0},          /* a stranger */
	{{10, NULL, "192.0.2.1", 503}, 1},          /* whom the service fails all the same */
	{{2 * 86400, "alice", "10.0.0.9", 403}, 0}, /* she has not been here for two days */
};

START_TEST(refusals_of_strangers_have_no_culprit)
{
	static const struct line FIRST = {5, "alice", "10.0.0.1", 200};
	for (size_t i = 0; i < sizeof TRIES / sizeof *TRIES; i++)
		for (int order = 0; order < 2; order++) {
			struct cohort *cohort cleanup(cohort_free) = NULL;
			ck_assert_int_eq(cohort_new(0, 1, &cohort, NULL), OK);
			feed(cohort, order == 0 ? &FIRST : &TRIES[i].line, 0);
			feed(cohort, order == 0 ? &TRIES[i].line : &FIRST, 1);
			ck_assert_int_eq(cohort_close(cohort, INT64_MAX, NULL), OK);
			struct cohort_changes changes = cohort_changes(cohort);
			ck_assert_uint_eq(changes.bucket_count, TRIES[i].line.after_s == 0 ? 1 : 2);
			size_t last = changes.bucket_count - 1;
			ck_assert_msg(changes.buckets[last].culprit_count == TRIES[i].culprits,
				      "%zu", i);
		}
}
END_TEST

static size_t sent_by(struct cohort_counter *counter, const char *user, int64_t after_s)
{
	struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
	struct bytes sent cleanup(bytes_done) = {0};
	struct event event = {.time_us = BASE_US + after_s * 1000000};
	event.origin.topic = TEXT("logs");
	add(&event, arena, "service.name", "orders");
	add(&event, arena, "service.version", "v1");
	add(&event, arena, "user.id", user);
	add(&event, arena, "http.response.status_code", "200");
	ck_assert_int_eq(cohort_count(counter, &event, NULL, 0), OK);
	ck_assert_int_eq(cohort_flush(counter, &(struct record_sink){&sent, 1}), OK);
	return sent.size;
}

START_TEST(who_succeeds_is_told_once_a_bucket)
{
	struct cohort_counter *counter cleanup(cohort_counter_free) = NULL;
	ck_assert_int_eq(cohort_counter_new(&KEY, &counter, NULL), OK);
	(void)sent_by(counter, "bob", 0); /* the instance and what it does are new */
	size_t fresh = sent_by(counter, "alice", 0);
	ck_assert_uint_eq(sent_by(counter, "alice", 1), fresh - sizeof(uint64_t));
	ck_assert_uint_eq(sent_by(counter, "carol", 1), fresh);
	ck_assert_uint_eq(sent_by(counter, "alice", 10), fresh);
	ck_assert_uint_eq(sent_by(counter, "alice", 11), fresh - sizeof(uint64_t));
}
END_TEST

START_TEST(a_checkpoint_keeps_who_is_known)
{
	struct cohort *cohort cleanup(cohort_free) = NULL;
	struct cohort *again cleanup(cohort_free) = NULL;
	ck_assert_int_eq(cohort_new(0, 1, &cohort, NULL), OK);
	ck_assert_int_eq(cohort_new(0, 1, &again, NULL), OK);
	feed(cohort, &(struct line){5, "alice", "10.0.0.1", 200}, 0);
	ck_assert_int_eq(cohort_close(cohort, BASE_US + 10 * 1000000, NULL), OK);
	feed(cohort, &(struct line){15, "bob", "10.0.1.1", 200}, 1);
	for (int i = 0; i < VIRTUAL_PARTITIONS; i++) {
		struct bytes saved cleanup(bytes_done) = {0};
		struct bytes twice cleanup(bytes_done) = {0};
		ck_assert_int_eq(cohort_checkpoint(cohort, (uint8_t)i, &saved), OK);
		ck_assert_int_eq(cohort_restore(again, bytes_text(&saved), NULL), OK);
		ck_assert_int_eq(cohort_checkpoint(again, (uint8_t)i, &twice), OK);
		ck_assert(text_equal(bytes_text(&saved), bytes_text(&twice)));
	}
	feed(again, &(struct line){25, "alice", "10.0.0.1", 403}, 2);
	feed(again, &(struct line){25, "bob", "10.0.1.1", 403}, 3);
	ck_assert_int_eq(cohort_close(again, INT64_MAX, NULL), OK);
	struct cohort_changes changes = cohort_changes(again);
	ck_assert_uint_eq(changes.bucket_count, 2);
	ck_assert_uint_eq(changes.buckets[1].culprit_count, 2);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("correlate/known");
	TCase *tests = tcase_create("tests");
	tcase_set_timeout(tests, 0);
	tcase_add_test(tests, the_smallest_stay_whatever_the_order_and_the_split);
	tcase_add_test(tests, as_many_as_fit_are_no_sample);
	tcase_add_test(tests, damaged_sets_are_refused);
	tcase_add_test(tests, who_is_known_stays_so_for_the_next_day);
	tcase_add_test(tests, learning_by_buckets_is_learning_at_once);
	tcase_add_test(tests, who_succeeds_is_told_once_a_bucket);
	tcase_add_test(tests, refusals_of_strangers_have_no_culprit);
	tcase_add_test(tests, a_checkpoint_keeps_who_is_known);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
