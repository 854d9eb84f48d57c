/* window.c, episode.c, cells.c and timer.c, brute force against docs/CORRELATION.md. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "correlate/cells.h"
#include "correlate/episode.h"
#include "correlate/timer.h"
#include "correlate/window.h"

enum { EVENTS_MAX = 400, CASES = 3000 };

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state * UINT64_C(0x2545F4914F6CDD1D) >> 11;
}

static size_t below(uint64_t *state, size_t limit)
{
	return (size_t)(next_random(state) % limit);
}

/* Every run is the same; PICKET_SEED gives another, PICKET_LONG a fresh one. */
static uint64_t first_seed(void)
{
	const char *given = getenv("PICKET_SEED");
	uint64_t fresh = getenv("PICKET_LONG") != NULL ? (uint64_t)time(NULL) : 20261122;
	uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : fresh;
	printf("seed %llu (PICKET_SEED)\n", (unsigned long long)seed);
	return seed * 2 + 1;
}

struct case_ {
	size_t at_least;
	int64_t timespan;
	int64_t times[EVENTS_MAX]; /* ascending */
	size_t arrival[EVENTS_MAX];
	int64_t safe[EVENTS_MAX + 1]; /* smallest time still to come at this place of the arrival */
	size_t count;
};

static int compare_times(const void *a, const void *b)
{
	const int64_t *left = a;
	const int64_t *right = b;
	return (*left > *right) - (*left < *right);
}

/* Bursts and quiet times, ties, and an arrival that is out of order by at most `disorder`. */
static void case_make(struct case_ *made, uint64_t *state)
{
	made->at_least = 1 + below(state, below(state, 4) == 0 ? 40 : 6);
	made->timespan = (int64_t)below(state, 30);
	made->count = 1 + below(state, below(state, 8) == 0 ? EVENTS_MAX : 40);
	int64_t range = 1 + (int64_t)below(state, made->count * 8 + 20);
	for (size_t i = 0; i < made->count; i++)
		made->times[i] = (int64_t)below(state, (size_t)range) - range / 2;
	for (size_t i = 1; i < made->count; i++)
		if (below(state, 3) == 0)
			made->times[i] = made->times[i - 1] + (int64_t)below(state, 3);
	qsort(made->times, made->count, sizeof *made->times, compare_times);
	int64_t disorder = (int64_t)below(state, (size_t)range + 1);
	int64_t keys[EVENTS_MAX];
	for (size_t i = 0; i < made->count; i++) {
		keys[i] = made->times[i] + (int64_t)below(state, (size_t)disorder + 1);
		size_t at = i;
		for (; at > 0 && keys[made->arrival[at - 1]] > keys[i]; at--)
			made->arrival[at] = made->arrival[at - 1];
		made->arrival[at] = i;
	}
	made->safe[made->count] = INT64_MAX;
	for (size_t i = made->count; i-- > 0;) {
		int64_t here = made->times[made->arrival[i]];
		made->safe[i] = here < made->safe[i + 1] ? here : made->safe[i + 1];
	}
}

static bool oracle_contributes(const struct case_ *c, size_t event)
{
	for (size_t i = 0; i + c->at_least <= c->count; i++)
		if (i <= event && event < i + c->at_least &&
		    c->times[i + c->at_least - 1] - c->times[i] <= c->timespan)
			return true;
	return false;
}

static bool oracle_fires(const struct case_ *c, size_t event)
{
	size_t inside = 0;
	for (size_t i = 0; i < c->count; i++)
		inside += c->times[i] <= c->times[event] &&
			  c->times[i] >= c->times[event] - c->timespan;
	return inside >= c->at_least;
}

struct outcome_ {
	bool contributes[EVENTS_MAX];
	bool fires[EVENTS_MAX];
	struct episodes episodes;
};

static struct proof *proof_of(size_t event, int64_t time_us)
{
	struct evidence evidence = {.origin = {TEXT("t"), 0, 0, (int64_t)event},
				    .time_us = time_us,
				    .context = {"", 0}};
	struct proof *proof = proof_new(&evidence);
	ck_assert_ptr_nonnull(proof);
	return proof;
}

/* Each event once, and with its own time. */
static void note(const struct case_ *c, const struct window_items *items, bool noted[EVENTS_MAX])
{
	for (size_t i = 0; i < items->count; i++) {
		ck_assert_ptr_nonnull(items->items[i].proof);
		size_t event = (size_t)items->items[i].proof->evidence.origin.offset;
		ck_assert_int_eq(items->items[i].time_us, c->times[event]);
		ck_assert(!noted[event]);
		noted[event] = true;
	}
}

static void window_reload(struct window *window, const struct window_shape *shape)
{
	struct bytes saved cleanup(bytes_done) = {0};
	struct bytes again cleanup(bytes_done) = {0};
	window_encode(window, &saved);
	window_done(window);
	struct cursor from = cursor_of(bytes_text(&saved));
	ck_assert_int_eq(window_decode(&from, shape, window), OK);
	ck_assert_uint_eq(cursor_left(&from), 0);
	window_encode(window, &again);
	ck_assert(text_equal(bytes_text(&saved), bytes_text(&again)));
}

static void run(const struct case_ *c, uint64_t *state, struct outcome_ *outcome)
{
	struct window_shape shape = {c->at_least, c->timespan, true};
	struct window window = {0};
	struct window_news news = {0};
	for (size_t i = 0; i < c->count; i++) {
		size_t event = c->arrival[i];
		struct proof *proof cleanup(proof_release) = proof_of(event, c->times[event]);
		struct opening opening = {.tenant = TEXT("t"),
					  .group = TEXT("g"),
					  .origin = &proof->evidence.origin,
					  .time_us = c->times[event],
					  .detail = ""};
		ck_assert_int_eq(window_add(&window, &shape, proof, &news), OK);
		note(c, &news.contributed, outcome->contributes);
		note(c, &news.fired, outcome->fires);
		for (size_t k = 0; k < news.contributed.count; k++)
			ck_assert_int_eq(episodes_add(&outcome->episodes,
						      news.contributed.items[k].time_us,
						      news.contributed.items[k].proof, c->timespan,
						      &opening),
					 OK);
		window_news_clear(&news);
		if (below(state, 6) == 0)
			window_settle(&window, &shape, INT64_MIN);
		if (below(state, 6) == 0 && c->safe[i + 1] != INT64_MAX)
			window_settle(&window, &shape, c->safe[i + 1]);
		if (below(state, 12) == 0)
			window_reload(&window, &shape);
	}
	window_news_done(&news);
	window_done(&window);
}

/* The first and last eight of the contributing events at..last; events ascend by (time, origin). */
static void check_edges(const struct case_ *c, const struct outcome_ *outcome,
			const struct episode *episode, size_t at, size_t last)
{
	size_t shown = 0;
	uint64_t seen = 0;
	for (size_t i = at; i <= last; i++) {
		if (!outcome->contributes[i])
			continue;
		seen++;
		if (seen > ALERT_EVIDENCE_EDGE && seen + ALERT_EVIDENCE_EDGE <= episode->count)
			continue;
		const struct evidence *evidence = &episode->evidence[shown++]->evidence;
		ck_assert_int_eq(evidence->time_us, c->times[i]);
		ck_assert_int_eq(evidence->origin.offset, (int64_t)i);
	}
	ck_assert_uint_eq(shown, episode->evidence_count);
}

/* Chains of contributing events, from the definition. */
static void check_episodes(const struct case_ *c, const struct outcome_ *outcome)
{
	const struct episode *episode = outcome->episodes.open;
	size_t at = 0;
	while (at < c->count) {
		if (!outcome->contributes[at]) {
			at++;
			continue;
		}
		size_t last = at;
		uint64_t count = 1;
		for (size_t i = at + 1; i < c->count; i++) {
			if (!outcome->contributes[i])
				continue;
			if (c->times[i] - c->times[last] > c->timespan)
				break;
			last = i;
			count++;
		}
		ck_assert_ptr_nonnull(episode);
		ck_assert_int_eq(episode->first_us, c->times[at]);
		ck_assert_int_eq(episode->last_us, c->times[last]);
		ck_assert_uint_eq(episode->count, count);
		ck_assert_uint_eq(episode->evidence_count, count < 16 ? count : 16);
		check_edges(c, outcome, episode, at, last);
		episode = episode->next;
		at = last + 1;
	}
	ck_assert_ptr_null(episode);
}

START_TEST(windows_are_those_of_the_definition)
{
	uint64_t state = first_seed();
	for (int n = 0; n < CASES; n++) {
		struct case_ c = {0};
		struct outcome_ outcome = {0};
		case_make(&c, &state);
		run(&c, &state, &outcome);
		for (size_t i = 0; i < c.count; i++) {
			ck_assert_msg(outcome.contributes[i] == oracle_contributes(&c, i),
				      "case %d: event %zu of %zu, K %zu, W %lld", n, i, c.count,
				      c.at_least, (long long)c.timespan);
			ck_assert_msg(outcome.fires[i] == oracle_fires(&c, i),
				      "case %d: firing %zu of %zu, K %zu, W %lld", n, i, c.count,
				      c.at_least, (long long)c.timespan);
		}
		check_episodes(&c, &outcome);
		episodes_done(&outcome.episodes);
	}
}
END_TEST

/* A flood inside one timespan must not be remembered event by event. */
START_TEST(a_flood_is_compact)
{
	static const size_t thresholds[] = {1, 2, 5, 100};
	for (size_t t = 0; t < sizeof thresholds / sizeof *thresholds; t++) {
		struct window_shape shape = {thresholds[t], 60000000, false};
		struct window window = {0};
		struct window_news news = {0};
		uint64_t contributed = 0;
		size_t largest = 0;
		for (size_t i = 0; i < 20000; i++) {
			/* Every tenth comes out of order. */
			int64_t time_us = (int64_t)(i % 10 == 9 ? i * 100 - 50000 : i * 100);
			struct proof *proof cleanup(proof_release) = proof_of(i, time_us);
			ck_assert_int_eq(window_add(&window, &shape, proof, &news), OK);
			contributed += news.contributed.count;
			window_news_clear(&news);
			largest = window.count > largest ? window.count : largest;
		}
		ck_assert_uint_eq(contributed, 20000);
		ck_assert_uint_le(largest, 4 * thresholds[t] + WINDOW_SLACK);
		window_settle(&window, &shape, INT64_MIN);
		ck_assert_uint_le(window.count, 2 * thresholds[t] - 2);
		ck_assert_uint_lt(window_bytes(&window), 1 << 20);
		window_settle(&window, &shape, INT64_MAX);
		ck_assert_uint_eq(window.count, 0);
		window_news_done(&news);
		window_done(&window);
	}
}
END_TEST

/* Events that never make it: only those near both ends keep their proof. */
START_TEST(waiting_events_keep_few_proofs)
{
	struct window_shape shape = {1000, 60000000, false};
	struct window window = {0};
	struct window_news news = {0};
	for (size_t i = 0; i < 999; i++) {
		int64_t time_us = (int64_t)((i * 7919) % 1000);
		struct proof *proof cleanup(proof_release) = proof_of(i, time_us);
		ck_assert_int_eq(window_add(&window, &shape, proof, &news), OK);
		size_t proofs = 0;
		for (size_t k = 0; k < window.count; k++)
			proofs += window.entries[k].proof != NULL;
		ck_assert_uint_le(proofs, 2 * WINDOW_PROOFS_EDGE);
	}
	ck_assert_uint_eq(news.contributed.count, 0);
	window_news_done(&news);
	window_done(&window);
}
END_TEST

/* Times at both ends of int64 must not overflow. */
START_TEST(extreme_times)
{
	struct window_shape shape = {2, INT64_MAX, true};
	struct window window = {0};
	struct window_news news = {0};
	static const int64_t times[] = {INT64_MIN, INT64_MAX, 0, -1, INT64_MIN, INT64_MAX};
	for (size_t i = 0; i < 6; i++) {
		struct proof *proof cleanup(proof_release) = proof_of(i, times[i]);
		ck_assert_int_eq(window_add(&window, &shape, proof, &news), OK);
		window_settle(&window, &shape, INT64_MIN + 1);
	}
	ck_assert_uint_eq(news.contributed.count, 6);
	window_news_done(&news);
	window_done(&window);
}
END_TEST

/* A damaged window is refused, never believed: every assert of window.c must hold for it. */
START_TEST(damaged_windows_are_refused)
{
	uint64_t state = first_seed();
	struct window_shape shape = {3, 10, true};
	for (int n = 0; n < 3000; n++) {
		struct window window = {0};
		struct window_news news = {0};
		struct bytes saved cleanup(bytes_done) = {0};
		for (size_t i = 0; i < 12; i++) {
			struct proof *proof cleanup(proof_release) =
				proof_of(i, (int64_t)below(&state, 30));
			ck_assert_int_eq(window_add(&window, &shape, proof, &news), OK);
		}
		window_settle(&window, &shape, INT64_MIN);
		window_encode(&window, &saved);
		window_done(&window);
		saved.data[below(&state, saved.size)] ^= (unsigned char)(1 << below(&state, 8));
		size_t size = below(&state, 4) == 0 ? below(&state, saved.size) : saved.size;
		struct cursor from = cursor_of((struct text){(char *)saved.data, size});
		if (window_decode(&from, &shape, &window) == OK) {
			for (size_t i = 0; i < 12; i++) {
				struct proof *proof cleanup(proof_release) =
					proof_of(i, (int64_t)below(&state, 30));
				ck_assert_int_eq(window_add(&window, &shape, proof, &news), OK);
			}
			window_settle(&window, &shape, 5);
		}
		window_news_done(&news);
		window_done(&window);
	}
}
END_TEST

/* Whatever order two halves come in, the elder stays and says so, and the edges are exact. */
START_TEST(episodes_merge_and_keep_both_edges)
{
	struct episodes episodes = {0};
	struct opening opening = {
		.tenant = TEXT("t"), .group = TEXT("g"), .epoch = 2, .detail = ""};
	for (size_t i = 0; i < 100; i++) {
		/* 0..49, then 52.., bridged by 50 and 51 at the end. */
		size_t event = i < 50 ? i : i < 98 ? i + 2 : i - 48;
		struct proof *proof cleanup(proof_release) = proof_of(event, (int64_t)event);
		opening.origin = &proof->evidence.origin;
		opening.time_us = (int64_t)event;
		opening.epoch = i < 50 ? 2 : 1;
		ck_assert_int_eq(episodes_add(&episodes, (int64_t)event, proof, 1, &opening), OK);
		if (i == 97) {
			ck_assert_ptr_nonnull(episodes.open->next);
			episodes.open->revision = 1; /* both were announced */
			episodes.open->next->revision = 1;
		}
	}
	const struct episode *stays = episodes.open;
	ck_assert_ptr_null(stays->next);
	ck_assert_uint_eq(stays->opened_epoch, 1);
	ck_assert_uint_eq(stays->count, 100);
	ck_assert(stays->took_over);
	ck_assert_ptr_nonnull(episodes.merged);
	ck_assert_mem_eq(episodes.merged->merged_into, stays->id, EPISODE_ID_BYTES);
	for (size_t i = 0; i < 16; i++)
		ck_assert_int_eq(stays->evidence[i]->evidence.time_us,
				 (int64_t)(i < 8 ? i : 84 + i));
	episodes_done(&episodes);
}
END_TEST

/* The table against a flat array, keys chosen to collide. */
START_TEST(cells_are_found_again)
{
	enum { KEYS = 200 };
	static int items[KEYS];
	bool inside[KEYS] = {false};
	struct cells cells = {0};
	uint64_t state = first_seed();
	for (int n = 0; n < 20000; n++) {
		size_t i = below(&state, KEYS);
		struct cell_key key = {{(unsigned char)(i % 7), 0}};
		key.bytes[15] = (unsigned char)i;
		ck_assert_ptr_eq(cells_find(&cells, &key), inside[i] ? &items[i] : NULL);
		if (!inside[i])
			ck_assert_int_eq(cells_add(&cells, &key, &items[i]), OK);
		else
			cells_remove(&cells, &key);
		inside[i] = !inside[i];
	}
	void **sorted = cells_sorted(&cells);
	size_t count = 0;
	for (size_t i = 0; i < KEYS; i++)
		count += inside[i];
	ck_assert_uint_eq(cells.count, count);
	ck_assert(count == 0 || sorted != NULL);
	free(sorted);
	cells_done(&cells);
}
END_TEST

START_TEST(a_table_with_room_does_not_grow)
{
	enum { KEYS = 1000 };
	static int items[KEYS];
	struct cells cells = {0};
	ck_assert_int_eq(cells_reserve(&cells, 1), OK);
	ck_assert_int_eq(cells_reserve(&cells, KEYS), OK);
	const struct cells_slot *slots = cells.slots;
	for (size_t i = 0; i < KEYS; i++) {
		struct cell_key key = {{(unsigned char)i, (unsigned char)(i >> 8), 1}};
		ck_assert_int_eq(cells_add(&cells, &key, &items[i]), OK);
	}
	ck_assert_ptr_eq(cells.slots, slots);
	ck_assert_uint_lt(cells.capacity, 3 * KEYS);
	ck_assert_int_eq(cells_reserve(&cells, 10), OK);
	ck_assert_ptr_eq(cells.slots, slots);
	ck_assert_int_eq(cells_reserve(&cells, 2 * KEYS), OK);
	for (size_t i = 0; i < KEYS; i++) {
		struct cell_key key = {{(unsigned char)i, (unsigned char)(i >> 8), 1}};
		ck_assert_ptr_eq(cells_find(&cells, &key), &items[i]);
		if (i >= KEYS / 10)
			cells_remove(&cells, &key);
	}
	cells_trim(&cells);
	ck_assert_uint_lt(cells.capacity, KEYS / 2);
	for (size_t i = 0; i < KEYS / 10; i++) {
		struct cell_key key = {{(unsigned char)i, (unsigned char)(i >> 8), 1}};
		ck_assert_ptr_eq(cells_find(&cells, &key), &items[i]);
		cells_remove(&cells, &key);
	}
	cells_trim(&cells);
	ck_assert_uint_eq(cells.capacity, 0);
	cells_done(&cells);
}
END_TEST

START_TEST(timers_come_in_order)
{
	enum { TIMERS = 300 };
	static struct timer all[TIMERS];
	struct timers timers = {0};
	uint64_t state = first_seed();
	for (int n = 0; n < 5000; n++) {
		struct timer *timer = &all[below(&state, TIMERS)];
		if (below(&state, 3) == 0)
			timers_remove(&timers, timer);
		else
			ck_assert_int_eq(timers_set(&timers, timer, (int64_t)below(&state, 1000)),
					 OK);
	}
	int64_t before = INT64_MIN;
	size_t early = 0;
	for (struct timer *taken = timers_take(&timers, 500); taken != NULL;
	     taken = timers_take(&timers, 500)) {
		ck_assert_int_ge(taken->at_us, before);
		before = taken->at_us;
		ck_assert_uint_eq(taken->place, 0);
		early++;
	}
	ck_assert_uint_gt(early, 0);
	ck_assert_int_lt(before, 500);
	ck_assert_int_ge(timers_first(&timers)->at_us, 500);
	for (struct timer *first = timers_first(&timers); first != NULL;
	     first = timers_first(&timers)) {
		ck_assert_int_ge(first->at_us, before);
		before = first->at_us;
		timers_remove(&timers, first);
		ck_assert_uint_eq(first->place, 0);
	}
	timers_done(&timers);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("window");
	TCase *tests = tcase_create("window");
	tcase_add_test(tests, windows_are_those_of_the_definition);
	tcase_add_test(tests, a_flood_is_compact);
	tcase_add_test(tests, waiting_events_keep_few_proofs);
	tcase_add_test(tests, extreme_times);
	tcase_add_test(tests, damaged_windows_are_refused);
	tcase_add_test(tests, episodes_merge_and_keep_both_edges);
	tcase_add_test(tests, cells_are_found_again);
	tcase_add_test(tests, a_table_with_room_does_not_grow);
	tcase_add_test(tests, timers_come_in_order);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
