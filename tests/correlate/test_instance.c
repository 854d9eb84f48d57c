/* A41 to A43: gaps, replays, restarts and silence of instances, whatever the order of arrival. */
#include "correlate/instance.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

enum { SECOND = 1000000, RECORDS_MAX = 2000 };

static struct instances *instances;
static char told[4096];

static void setup(void)
{
	ck_assert_int_eq(instances_new(0, 1, &instances), OK);
	told[0] = '\0';
}

static void teardown(void)
{
	instances_free(&instances);
}

static void on_news(void *context, const struct instance_news *news)
{
	static const char *const words[] = {"gap", "replay", "copy", "silent"};
	size_t size = strlen(told);
	(void)context;
	(void)snprintf(told + size, sizeof told - size, "%s%.*s/%.*s %s %lld-%lld",
		       size == 0 ? "" : "; ", TEXT_ARG(news->report->service),
		       TEXT_ARG(news->report->instance), words[news->finding], (long long)news->low,
		       (long long)news->high);
	if (news->whole_service)
		(void)snprintf(told + strlen(told), sizeof told - strlen(told), " all");
}

static void see(const char *instance, int64_t second, int64_t number)
{
	const struct sighting sighting = {.service = TEXT("pay"),
					  .instance = text_of(instance),
					  .first_us = second * SECOND,
					  .last_us = second * SECOND,
					  .counted = number >= 0,
					  .low = number < 0 ? 0 : number,
					  .high = number < 0 ? 0 : number,
					  .events = 1};
	ck_assert_int_eq(instances_see(instances, &sighting), OK);
}

static void run_of(const char *instance, int64_t from_second, int64_t low, int64_t high)
{
	for (int64_t i = low; i <= high; i++)
		see(instance, from_second + i - low, i);
}

static void advance(int64_t second, int64_t silent_seconds)
{
	ck_assert_int_eq(
		instances_close(instances, second * SECOND, silent_seconds * SECOND, on_news, NULL),
		OK);
}

static struct instance_report reported;

static void keep_report(void *context, const struct instance_report *report)
{
	if (text_equal(report->instance, text_of(context)))
		reported = *report;
}

static struct instance_report report_of(const char *instance)
{
	reported = (struct instance_report){0};
	instances_each(instances, keep_report, (void *)(uintptr_t)instance);
	return reported;
}

START_TEST(a42_missing_numbers_are_a_gap)
{
	run_of("a", 100, 1, 10);
	run_of("a", 113, 14, 20);
	advance(1000, 0);
	ck_assert_str_eq(told, "pay/a gap 11-13");
	ck_assert_uint_eq(report_of("a").missing, 3);
	ck_assert_uint_eq(report_of("a").gaps, 1);
}
END_TEST

START_TEST(a42_a_gap_is_told_once_and_not_too_early)
{
	see("a", 100, 1);
	see("a", 102, 3);
	advance(104, 0); /* threads of a process may be a little out of order */
	ck_assert_str_eq(told, "");
	advance(107, 0);
	ck_assert_str_eq(told, "pay/a gap 2-2");
	advance(200, 0);
	ck_assert_str_eq(told, "pay/a gap 2-2");
	see("a", 101, 2); /* late, but here */
	advance(300, 0);
	ck_assert_uint_eq(report_of("a").missing, 0);
	ck_assert_uint_eq(report_of("a").replayed, 0);
}
END_TEST

START_TEST(a43_old_numbers_with_old_times_are_a_replay)
{
	run_of("a", 100, 1, 50);
	advance(200, 0);
	run_of("a", 110, 11, 20);
	advance(300, 0);
	ck_assert_str_eq(told, "pay/a replay 11-20");
	ck_assert_uint_eq(report_of("a").replayed, 10);
	ck_assert_uint_eq(report_of("a").restarts, 0);
}
END_TEST

START_TEST(a43_twice_in_one_epoch_is_a_replay_too)
{
	run_of("a", 100, 1, 5);
	run_of("a", 100, 1, 5);
	advance(200, 0);
	ck_assert_uint_eq(report_of("a").replayed, 5);
}
END_TEST

START_TEST(a_counter_that_begins_again_later_is_a_restart)
{
	run_of("a", 100, 1, 50);
	run_of("a", 200, 1, 30);
	advance(1000, 0);
	ck_assert_str_eq(told, "");
	ck_assert_uint_eq(report_of("a").restarts, 1);
	run_of("a", 1100, 31, 40);
	advance(2000, 0);
	ck_assert_str_eq(told, "");
}
END_TEST

START_TEST(a41_an_instance_that_stops_is_silent)
{
	run_of("a", 100, 1, 30);
	run_of("b", 100, 1, 60);
	advance(150, 15);
	ck_assert_str_eq(told, "pay/a silent 0-0");
	ck_assert(report_of("a").silent);
	run_of("b", 160, 61, 70);
	advance(165, 15);
	see("a", 166, 31); /* it is back */
	advance(167, 15);
	ck_assert(!report_of("a").silent);
	told[0] = '\0';
	advance(100000, 15);
	ck_assert_ptr_nonnull(strstr(told, "pay/a silent"));
	ck_assert_ptr_nonnull(strstr(told, "pay/b silent"));
	ck_assert_ptr_nonnull(strstr(told, " all"));
}
END_TEST

START_TEST(a41_who_pauses_often_is_not_silent_at_once)
{
	for (int i = 0; i < 30; i++)
		see("a", 100 + (int64_t)i * 60, -1); /* once a minute, without numbers */
	advance(100 + 29 * 60 + 119, 15);
	ck_assert_str_eq(told, "");
	advance(100 + 29 * 60 + 121, 15); /* twice its pause */
	ck_assert_str_eq(told, "pay/a silent 0-0 all");
}
END_TEST

START_TEST(the_end_of_the_input_is_no_silence)
{
	run_of("a", 100, 1, 30);
	ck_assert_int_eq(instances_close(instances, INT64_MAX, 15 * SECOND, on_news, NULL), OK);
	ck_assert_str_eq(told, "");
}
END_TEST

struct record {
	int64_t second, number;
};

/* Brute force over all records in order of time: what a person with a list would count. */
static void check_order(const struct record *records, size_t count, uint64_t *state)
{
	struct record shuffled[RECORDS_MAX];
	uint64_t missing[3], replayed[3];
	for (int round = 0; round < 3; round++) {
		memcpy(shuffled, records, count * sizeof *records);
		for (size_t i = count; round > 0 && i > 1; i--) {
			*state ^= *state << 13;
			*state ^= *state >> 7;
			*state ^= *state << 17;
			size_t other = *state % i;
			struct record swap = shuffled[i - 1];
			shuffled[i - 1] = shuffled[other];
			shuffled[other] = swap;
		}
		teardown();
		setup();
		for (size_t i = 0; i < count; i++) {
			see("a", shuffled[i].second, shuffled[i].number);
			if (round == 2 && i % 17 == 0)
				advance(0, 0); /* epochs in between change nothing */
		}
		advance(1000000, 0);
		missing[round] = report_of("a").missing;
		replayed[round] = report_of("a").replayed;
		ck_assert_uint_eq(report_of("a").events, count);
	}
	ck_assert_uint_eq(missing[0], missing[1]);
	ck_assert_uint_eq(missing[0], missing[2]);
	ck_assert_uint_eq(replayed[0], replayed[1]);
	ck_assert_uint_eq(replayed[0], replayed[2]);
}

START_TEST(arrival_order_changes_nothing)
{
	uint64_t state = 88172645463325252;
	struct record records[RECORDS_MAX];
	for (int trial = 0; trial < 50; trial++) {
		size_t count = 0;
		uint64_t dropped = 0;
		uint64_t again = 0;
		for (int64_t i = 1; i <= 500; i++) {
			state ^= state << 13;
			state ^= state >> 7;
			state ^= state << 17;
			bool inside = i > 1 && i < 500;
			if (inside && state % 50 == 0) {
				dropped++;
				continue;
			}
			records[count++] = (struct record){i, i};
			if (inside && state % 31 == 0) {
				records[count++] = (struct record){i, i};
				again++;
			}
		}
		check_order(records, count, &state);
		ck_assert_uint_eq(report_of("a").missing, dropped);
		ck_assert_uint_eq(report_of("a").replayed, again);
	}
}
END_TEST

START_TEST(limits_hold)
{
	char name[32];
	for (int i = 0; i < INSTANCES_MAX + 10; i++) {
		(void)snprintf(name, sizeof name, "i%d", i);
		see(name, 1, 1);
	}
	ck_assert_uint_eq(instances_count(instances), INSTANCES_MAX);
	ck_assert_uint_eq(instances_counters(instances).refused, 10);
	for (int64_t i = 0; i < 3 * INSTANCE_SPANS_MAX; i++)
		see("i1", 2, 10 * i);
	ck_assert_uint_ge(instances_counters(instances).folded_early, 1);
	advance(1000, 0);
	ck_assert_uint_ge(instances_counters(instances).gaps_forgotten, 1);
}
END_TEST

/* Gathered on workers, written down, cut by checkpoints: the same answer. */
START_TEST(gathering_and_checkpoints_change_nothing)
{
	const struct hash_key key = {"sixteen bytes ok"};
	struct sightings *sightings = NULL;
	struct bytes boxes[2] = {0};
	const struct record_sink sink = {boxes, 2};
	struct arena *arena = arena_new(1 << 20);
	struct error err = {0};
	ck_assert_int_eq(sightings_new(&key, false, &sightings), OK);
	for (int64_t i = 1; i <= 1000; i++) {
		const struct value name = {.type = VALUE_STRING, .text = TEXT("pay")};
		struct value number = {.type = VALUE_INTEGER, .integer = i, .text = TEXT("n")};
		struct event event = {.time_us = i * SECOND};
		arena_reset(arena);
		ck_assert_int_eq(event_add(&event, arena, TEXT("service.name"), name), OK);
		ck_assert_int_eq(event_add(&event, arena, TEXT("event.sequence"), number), OK);
		if (i != 500 && i != 501)
			ck_assert_int_eq(sightings_see(sightings, &event, &sink), OK);
		if (i == 600) /* a replay of one record */
			ck_assert_int_eq(sightings_see(sightings, &event, &sink), OK);
		if (i % 100 != 0)
			continue;
		ck_assert_int_eq(sightings_flush(sightings, &sink), OK);
		ck_assert_uint_le(boxes[0].size + boxes[1].size, 100); /* runs, not records */
		for (int k = 0; k < 2; k++) {
			ck_assert_int_eq(instances_feed(instances, bytes_text(&boxes[k]), &err),
					 OK);
			bytes_clear(&boxes[k]);
		}
		advance(i - 10, 0);
		struct bytes state[2] = {0};
		for (int round = 0; round < 2;
		     round++) { /* into another memory, and the same bytes */
			for (unsigned vp = 0; vp < VIRTUAL_PARTITIONS; vp++)
				ck_assert_int_eq(
					instances_checkpoint(instances, (uint8_t)vp, &state[round]),
					OK);
			instances_free(&instances);
			ck_assert_int_eq(instances_new(0, 1, &instances), OK);
			ck_assert_int_eq(
				instances_restore(instances, bytes_text(&state[round]), &err), OK);
		}
		ck_assert(text_equal(bytes_text(&state[0]), bytes_text(&state[1])));
		bytes_done(&state[0]);
		bytes_done(&state[1]);
	}
	advance(5000, 0);
	ck_assert_str_eq(told, "pay/ gap 500-501; pay/ replay 600-600");
	ck_assert_uint_eq(report_of("").missing, 2);
	ck_assert_uint_eq(report_of("").replayed, 1);
	ck_assert_uint_eq(report_of("").events, 999);
	sightings_free(&sightings);
	bytes_done(&boxes[0]);
	bytes_done(&boxes[1]);
	arena_free(&arena);
}
END_TEST

START_TEST(damaged_state_is_refused)
{
	struct error err = {0};
	struct bytes state cleanup(bytes_done) = {0};
	run_of("a", 100, 1, 10);
	see("a", 120, 15);
	advance(119, 0);
	ck_assert_int_eq(instances_checkpoint(instances, 0, &state), OK);
	for (size_t size = 1; size < state.size; size++) {
		teardown();
		setup();
		ck_assert_int_eq(
			instances_restore(instances, (struct text){(char *)state.data, size}, &err),
			ECORRUPT);
	}
	teardown();
	setup();
	ck_assert_int_eq(instances_feed(instances, TEXT("\x01garbage"), &err), ECORRUPT);
}
END_TEST

START_TEST(what_an_event_shows)
{
	struct arena *arena = arena_new(1 << 20);
	struct event event = {.time_us = 7};
	struct sighting sighting = {0};
	ck_assert(!sighting_of(&event, &sighting));
	const struct value name = {.type = VALUE_STRING, .text = TEXT("pay")};
	const struct value host = {.type = VALUE_STRING, .text = TEXT("h1")};
	const struct value number = {.type = VALUE_INTEGER, .integer = 5, .text = TEXT("5")};
	ck_assert_int_eq(event_add(&event, arena, TEXT("service.name"), name), OK);
	ck_assert(sighting_of(&event, &sighting));
	ck_assert(!sighting.counted);
	ck_assert_int_eq(event_add(&event, arena, TEXT("host.name"), host), OK);
	ck_assert_int_eq(event_add(&event, arena, TEXT("event.sequence"), number), OK);
	ck_assert(sighting_of(&event, &sighting));
	ck_assert(sighting.counted && sighting.low == 5 && sighting.first_us == 7);
	ck_assert(text_equal(sighting.instance, TEXT("h1")));
	arena_free(&arena);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("instance");
	TCase *tests = tcase_create("instance");
	tcase_set_timeout(tests, 60);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, a42_missing_numbers_are_a_gap);
	tcase_add_test(tests, a42_a_gap_is_told_once_and_not_too_early);
	tcase_add_test(tests, a43_old_numbers_with_old_times_are_a_replay);
	tcase_add_test(tests, a43_twice_in_one_epoch_is_a_replay_too);
	tcase_add_test(tests, a_counter_that_begins_again_later_is_a_restart);
	tcase_add_test(tests, a41_an_instance_that_stops_is_silent);
	tcase_add_test(tests, a41_who_pauses_often_is_not_silent_at_once);
	tcase_add_test(tests, the_end_of_the_input_is_no_silence);
	tcase_add_test(tests, arrival_order_changes_nothing);
	tcase_add_test(tests, limits_hold);
	tcase_add_test(tests, gathering_and_checkpoints_change_nothing);
	tcase_add_test(tests, damaged_state_is_refused);
	tcase_add_test(tests, what_an_event_shows);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
