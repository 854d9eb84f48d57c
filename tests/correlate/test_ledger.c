/* Ledgers: what a worker has told it does not tell again, equal ledgers are equal bytes, and what
 * was forgotten leaves nothing behind. */
#include "correlate/signal.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static const int64_t SECOND_US = 1000000;
static const int64_t DAY_US = INT64_C(24) * 3600 * 1000000;
static const int64_t BASE_US = 1700000000LL * 1000000;
static const struct hash_key KEY = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

static void add(struct event *event, struct arena *arena, const char *name, const char *value)
{
	struct value string = {.type = VALUE_STRING, .text = text_of(value)};
	ck_assert_int_eq(event_add(event, arena, text_of(name), string), OK);
}

/* A version calls something. */
static void call(struct cohort_counter *counter, const char *version, const char *target,
		 int64_t after_us)
{
	struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
	struct event event = {.time_us = BASE_US + after_us};
	event.record_time_us = event.time_us;
	event.origin = (struct origin){TEXT("logs"), 0, 0, after_us};
	add(&event, arena, "service.name", "orders");
	add(&event, arena, "service.version", version);
	add(&event, arena, "service.target.name", target);
	add(&event, arena, "source.ip", "198.51.100.7");
	ck_assert_int_eq(cohort_count(counter, &event, NULL, 0), OK);
}

struct rig {
	struct cohort_counter *counter;
	struct cohort *cohort;
};

static void rig_init(struct rig *rig)
{
	ck_assert_int_eq(cohort_counter_new(&KEY, &rig->counter, NULL), OK);
	ck_assert_int_eq(cohort_new(0, 1, &rig->cohort, NULL), OK);
}

static void rig_done(struct rig *rig)
{
	cohort_counter_free(&rig->counter);
	cohort_free(&rig->cohort);
}

static void flush(struct cohort_counter *counter, struct bytes *to)
{
	ck_assert_int_eq(cohort_flush(counter, &(struct record_sink){to, 1}), OK);
}

static void feed(struct rig *rig)
{
	struct bytes sent cleanup(bytes_done) = {0};
	flush(rig->counter, &sent);
	ck_assert_int_eq(cohort_feed(rig->cohort, bytes_text(&sent), NULL), OK);
}

static void checkpoint(const struct rig *rig, struct bytes *to)
{
	for (unsigned p = 0; p < VIRTUAL_PARTITIONS; p++)
		ck_assert_int_eq(cohort_checkpoint(rig->cohort, (uint8_t)p, to), OK);
}

/* The only trait of what was sent. */
static struct trait only_trait(struct rig *rig, const struct bytes *sent)
{
	ck_assert_int_eq(cohort_feed(rig->cohort, bytes_text(sent), NULL), OK);
	ck_assert_int_eq(cohort_close(rig->cohort, INT64_MAX, NULL), OK);
	struct cohort_changes changes = cohort_changes(rig->cohort);
	ck_assert_uint_eq(changes.trait_count, 1);
	return cohort_trait(&changes, 0);
}

START_TEST(what_was_told_is_not_told_again)
{
	struct rig rig;
	struct rig later;
	struct bytes ignored cleanup(bytes_done) = {0};
	struct bytes sent cleanup(bytes_done) = {0};
	rig_init(&rig);
	rig_init(&later);
	for (int i = 0; i < COHORT_EVIDENCE_MAX; i++)
		call(rig.counter, "v1", "payments", (20 + i) * SECOND_US);
	flush(rig.counter, &ignored);
	/* One event before all that was told, two behind. */
	call(rig.counter, "v1", "payments", 10 * SECOND_US);
	call(rig.counter, "v1", "payments", 90 * SECOND_US);
	call(rig.counter, "v1", "payments", 91 * SECOND_US);
	flush(rig.counter, &sent);
	struct trait trait = only_trait(&later, &sent);
	ck_assert_uint_eq(trait.shown.count, 3);
	ck_assert_int_eq(trait.shown.first_us, BASE_US + 10 * SECOND_US);
	ck_assert_int_eq(trait.shown.last_us, BASE_US + 91 * SECOND_US);
	ck_assert_uint_eq(trait.shown.evidence_count, 1);
	ck_assert_int_eq(trait.shown.evidence_us[0], BASE_US + 10 * SECOND_US);
	ck_assert_uint_eq(trait.principal_count, 0);
	rig_done(&rig);
	rig_done(&later);
}
END_TEST

START_TEST(a_day_later_it_is_told_again)
{
	struct rig rig;
	struct rig later;
	struct bytes ignored cleanup(bytes_done) = {0};
	struct bytes sent cleanup(bytes_done) = {0};
	rig_init(&rig);
	rig_init(&later);
	for (int i = 0; i < 2 * COHORT_EVIDENCE_MAX; i++)
		call(rig.counter, "v1", "payments", i * SECOND_US);
	flush(rig.counter, &ignored);
	call(rig.counter, "v1", "payments", DAY_US + 60 * SECOND_US);
	flush(rig.counter, &ignored); /* the last with the old ledgers */
	call(rig.counter, "v1", "payments", DAY_US + 61 * SECOND_US);
	flush(rig.counter, &sent);
	struct trait trait = only_trait(&later, &sent);
	ck_assert_uint_eq(trait.shown.count, 1);
	ck_assert_uint_eq(trait.shown.evidence_count, 1);
	ck_assert_uint_eq(trait.principal_count, 1);
	rig_done(&rig);
	rig_done(&later);
}
END_TEST

START_TEST(equal_ledgers_are_equal_bytes)
{
	enum { THINGS = 40 };
	struct rig up;
	struct rig down;
	struct bytes first cleanup(bytes_done) = {0};
	struct bytes second cleanup(bytes_done) = {0};
	rig_init(&up);
	rig_init(&down);
	for (int i = 0; i < THINGS; i++) {
		char target[32];
		(void)snprintf(target, sizeof target, "callee%d", i);
		call(up.counter, i % 3 == 0 ? "v1" : "v2", target, i);
	}
	for (int i = THINGS; i-- > 0;) {
		char target[32];
		(void)snprintf(target, sizeof target, "callee%d", i);
		call(down.counter, i % 3 == 0 ? "v1" : "v2", target, i);
		if (i % 7 == 0)
			feed(&down);
	}
	feed(&up);
	feed(&down);
	checkpoint(&up, &first);
	checkpoint(&down, &second);
	ck_assert(text_equal(bytes_text(&first), bytes_text(&second)));
	struct rig again;
	struct bytes third cleanup(bytes_done) = {0};
	rig_init(&again);
	ck_assert_int_eq(cohort_restore(again.cohort, bytes_text(&second), NULL), OK);
	checkpoint(&again, &third);
	ck_assert(text_equal(bytes_text(&second), bytes_text(&third)));
	rig_done(&up);
	rig_done(&down);
	rig_done(&again);
}
END_TEST

/* Of a hundred things one is still done when the others are forgotten: a ledger that never knew
 * them is the same bytes, and so is what it becomes. */
START_TEST(what_is_forgotten_leaves_nothing)
{
	enum { THINGS = 100 };
	struct rig old;
	struct rig fresh;
	struct bytes first cleanup(bytes_done) = {0};
	struct bytes second cleanup(bytes_done) = {0};
	rig_init(&old);
	rig_init(&fresh);
	for (int i = 0; i < THINGS; i++) {
		char target[32];
		(void)snprintf(target, sizeof target, "callee%d", i);
		call(old.counter, i == 0 ? "v0" : "v1", target, i);
	}
	feed(&old);
	ck_assert_int_eq(cohort_close(old.cohort, BASE_US + SECOND_US, NULL), OK);
	for (struct rig *rig = &old; rig != NULL; rig = rig == &old ? &fresh : NULL) {
		struct cohort_counter *counter cleanup(cohort_counter_free) = NULL;
		struct bytes sent cleanup(bytes_done) = {0};
		ck_assert_int_eq(cohort_counter_new(&KEY, &counter, NULL), OK);
		struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
		for (int i = 0; i < 2; i++) {
			struct event event = {.time_us = BASE_US + SIGNAL_MEMORY_US + i};
			event.origin = (struct origin){TEXT("logs"), 0, 0, 1000 + i};
			add(&event, arena, "service.name", "orders");
			add(&event, arena, "service.version", "v2");
			add(&event, arena, "service.target.name", i == 0 ? "callee7" : "new");
			ck_assert_int_eq(cohort_count(counter, &event, NULL, 0), OK);
		}
		flush(counter, &sent);
		ck_assert_int_eq(cohort_feed(rig->cohort, bytes_text(&sent), NULL), OK);
		int64_t end_us = BASE_US + SIGNAL_MEMORY_US + INT64_C(2) * 3600 * SECOND_US;
		ck_assert_int_eq(cohort_close(rig->cohort, end_us, NULL), OK);
	}
	checkpoint(&old, &first);
	checkpoint(&fresh, &second);
	ck_assert(text_equal(bytes_text(&first), bytes_text(&second)));
	rig_done(&old);
	rig_done(&fresh);
}
END_TEST

/* Every cut and every flipped byte of what a worker sends is an answer, never a crash. */
START_TEST(damage_is_answered)
{
	struct rig rig;
	struct bytes sent cleanup(bytes_done) = {0};
	rig_init(&rig);
	for (int i = 0; i < 3; i++)
		call(rig.counter, i == 0 ? "v1" : "v2", i == 2 ? "payments" : "mail", i);
	flush(rig.counter, &sent);
	for (size_t i = 0; i < 3 * sent.size; i++) {
		struct cohort *cohort cleanup(cohort_free) = NULL;
		struct error err = {0};
		char *copy = malloc(sent.size);
		ck_assert_ptr_nonnull(copy);
		memcpy(copy, sent.data, sent.size);
		struct text damaged = {copy, i < sent.size ? i : sent.size};
		if (i >= sent.size)
			copy[i % sent.size] ^= (char)(i < 2 * sent.size ? 0x01 : 0xff);
		ck_assert_int_eq(cohort_new(0, 1, &cohort, NULL), OK);
		enum status status = cohort_feed(cohort, damaged, &err);
		ck_assert(status == OK || (status == ECORRUPT && err.text[0] != '\0'));
		ck_assert_int_eq(cohort_close(cohort, INT64_MAX, &err), OK);
		struct cohort_changes changes = cohort_changes(cohort);
		for (size_t k = 0; k < changes.trait_count; k++) {
			struct trait trait;
			struct bytes row cleanup(bytes_done) = {0};
			trait = cohort_trait(&changes, k);
			trait_encode(&trait, &row);
			ck_assert_int_eq(trait_decode(bytes_text(&row), &trait, &err), OK);
		}
		free(copy);
	}
	rig_done(&rig);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("correlate/ledger");
	TCase *tests = tcase_create("tests");
	tcase_set_timeout(tests, 0);
	tcase_add_test(tests, what_was_told_is_not_told_again);
	tcase_add_test(tests, a_day_later_it_is_told_again);
	tcase_add_test(tests, equal_ledgers_are_equal_bytes);
	tcase_add_test(tests, what_is_forgotten_leaves_nothing);
	tcase_add_test(tests, damage_is_answered);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
