/* A43: event ids that come again. */
#include "correlate/instance.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

enum { SECOND = 1000000, WINDOW = 60 };

static struct instances *instances;
static char told[4096];

static void setup(void)
{
	ck_assert_int_eq(instances_new(0, 1, &instances), OK);
	ck_assert_int_eq(instances_watch_ids(instances, (int64_t)WINDOW * SECOND), OK);
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
	(void)snprintf(told + size, sizeof told - size, "%s%.*s/%.*s %s %lld",
		       size == 0 ? "" : "; ", TEXT_ARG(news->report->service),
		       TEXT_ARG(news->report->instance), words[news->finding],
		       (long long)(news->time_us / SECOND));
}

static void see(uint64_t id, int64_t second)
{
	const struct sighting sighting = {.service = TEXT("pay"),
					  .instance = TEXT("a"),
					  .first_us = second * SECOND,
					  .last_us = second * SECOND,
					  .events = 1,
					  .is_id = true,
					  .id = id,
					  .virtual_partition = (uint8_t)id};
	ck_assert_int_eq(instances_see(instances, &sighting), OK);
}

static void advance(int64_t second)
{
	ck_assert_int_eq(instances_close(instances, second * SECOND, 0, on_news, NULL), OK);
}

START_TEST(a43_an_id_that_comes_again_is_told)
{
	see(1, 10);
	see(2, 11);
	advance(12);
	ck_assert_str_eq(told, "");
	see(1, 10);
	ck_assert_str_eq(told, ""); /* with the epoch */
	advance(13);
	ck_assert_str_eq(told, "pay/a copy 10");
	advance(14);
	ck_assert_str_eq(told, "pay/a copy 10");
	ck_assert_uint_eq(instances_counters(instances).copies, 1);
	ck_assert_uint_eq(instances_count(instances), 0); /* ids are no events */
}
END_TEST

START_TEST(a43_the_order_of_the_two_does_not_matter)
{
	static const int64_t times[][2] = {{10, 15}, {15, 10}};
	for (int i = 0; i < 2; i++) {
		see(1, times[i][0]);
		see(1, times[i][1]);
		advance(20);
		ck_assert_str_eq(told, "pay/a copy 15");
		teardown();
		setup();
	}
}
END_TEST

START_TEST(a43_the_window_is_where_it_is_said_to_be)
{
	see(1, 100);
	see(1, 100 + WINDOW); /* still one, and the later one from now on */
	see(1, 100 + 2 * WINDOW + 1);
	ck_assert_uint_eq(instances_counters(instances).copies, 1);
	see(2, 100);
	advance(100 + WINDOW);
	see(2, 100);
	ck_assert_uint_eq(instances_counters(instances).copies, 2);
	see(3, 100);
	advance(1000); /* long over: the memory is free, and nothing was forgotten too early */
	see(3, 100);
	ck_assert_uint_eq(instances_counters(instances).copies, 2);
	ck_assert_uint_eq(instances_counters(instances).ids_forgotten, 0);
}
END_TEST

START_TEST(the_oldest_id_is_forgotten_first)
{
	for (uint64_t id = 0; id < INSTANCE_IDS_MAX; id++)
		see(id * 7919, 10);
	ck_assert_uint_eq(instances_counters(instances).ids_forgotten, 0);
	see(UINT64_MAX, 10);
	ck_assert_uint_eq(instances_counters(instances).ids_forgotten, 1);
	see(7919, 10);
	ck_assert_uint_eq(instances_counters(instances).copies, 1);
	see(0, 10); /* it was the oldest */
	ck_assert_uint_eq(instances_counters(instances).copies, 1);
	ck_assert_uint_eq(instances_counters(instances).ids_forgotten, 2);
}
END_TEST

START_TEST(many_copies_are_counted_and_some_are_told)
{
	for (int turn = 0; turn < 2; turn++)
		for (uint64_t id = 0; id < 2 * INSTANCE_COPIES_MAX; id++)
			see(id, 10);
	ck_assert_uint_eq(instances_counters(instances).copies, 2 * INSTANCE_COPIES_MAX);
	advance(11);
	ck_assert_uint_gt(strlen(told), 0);
}
END_TEST

START_TEST(ids_survive_a_restart)
{
	struct bytes rows[VIRTUAL_PARTITIONS] = {0};
	struct error err = {0};
	for (uint64_t id = 0; id < 1000; id++)
		see(id * 7919, (int64_t)id % 30);
	for (unsigned vp = 0; vp < VIRTUAL_PARTITIONS; vp++)
		ck_assert_int_eq(instances_ids_checkpoint(instances, (uint8_t)vp, &rows[vp]), OK);
	teardown();
	setup();
	for (unsigned vp = 0; vp < VIRTUAL_PARTITIONS; vp++) {
		struct text row = bytes_text(&rows[vp]);
		struct bytes again cleanup(bytes_done) = {0};
		ck_assert_int_eq(instances_ids_restore(instances, (uint8_t)vp, row, &err), OK);
		ck_assert_int_eq(instances_ids_checkpoint(instances, (uint8_t)vp, &again), OK);
		ck_assert(text_equal(row, bytes_text(&again)));
		if (row.size > 0) { /* twice, or cut */
			ck_assert_int_eq(instances_ids_restore(instances, (uint8_t)vp, row, &err),
					 ECORRUPT);
			ck_assert_int_eq(instances_ids_restore(instances, (uint8_t)vp,
							       text_cut(row, row.size - 1), &err),
					 ECORRUPT);
		}
		bytes_done(&rows[vp]);
	}
	for (uint64_t id = 0; id < 1000; id++)
		see(id * 7919, (int64_t)id % 30);
	ck_assert_uint_eq(instances_counters(instances).copies, 1000);
}
END_TEST

/* Ids are of their instance, and nothing is gathered of events without one. */
START_TEST(ids_are_gathered_from_events)
{
	static const char *const hosts[] = {"h1", "h2"};
	const struct hash_key key = {"sixteen bytes ok"};
	struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
	struct error err = {0};
	for (int with = 0; with < 2; with++) {
		struct sightings *sightings = NULL;
		struct bytes box cleanup(bytes_done) = {0};
		const struct record_sink sink = {&box, 1};
		ck_assert_int_eq(sightings_new(&key, with != 0, &sightings), OK);
		for (int i = 0; i < 6; i++) { /* three ids on each host, and one again */
			const char *id = i < 5 ? (const char *[]){"x", "y", "z"}[i / 2] : "x";
			const char *host = hosts[i % 2];
			struct event event = {.time_us = SECOND};
			const struct value values[] = {
				{.type = VALUE_STRING, .text = TEXT("pay")},
				{.type = VALUE_STRING, .text = text_of(host)},
				{.type = VALUE_STRING, .text = text_of(id)}};
			arena_reset(arena);
			(void)!event_add(&event, arena, TEXT("service.name"), values[0]);
			(void)!event_add(&event, arena, TEXT("host.name"), values[1]);
			(void)!event_add(&event, arena, TEXT("event.id"), values[2]);
			ck_assert_int_eq(sightings_see(sightings, &event, &sink), OK);
		}
		ck_assert_int_eq(sightings_flush(sightings, &sink), OK);
		ck_assert_int_eq(instances_feed(instances, bytes_text(&box), &err), OK);
		sightings_free(&sightings);
		advance(2);
		ck_assert_str_eq(told, with == 0 ? "" : "pay/h2 copy 1");
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("instance ids");
	TCase *tests = tcase_create("all");
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, a43_an_id_that_comes_again_is_told);
	tcase_add_test(tests, a43_the_order_of_the_two_does_not_matter);
	tcase_add_test(tests, a43_the_window_is_where_it_is_said_to_be);
	tcase_add_test(tests, the_oldest_id_is_forgotten_first);
	tcase_add_test(tests, many_copies_are_counted_and_some_are_told);
	tcase_add_test(tests, ids_survive_a_restart);
	tcase_add_test(tests, ids_are_gathered_from_events);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
