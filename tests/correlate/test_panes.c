/* Panes against their definition over all events, in many orders of arrival, cut by checkpoints;
 * and rules that count by estimate, through actors, restarts and spilling. */
#include "correlate/panes.h"

#include "correlate/values_private.h"
#include "tests/correlate/stream_check.h"

enum { CASES = 80, SHOWN_MAX = 200, ORDERS = 20, WIDTH_US = 1000, ESTIMATE_CASES = 250 };

static const struct panes_shape shape_given = {
	.timespan_us = INT64_C(1) * WIDTH_US * PANES_A_WINDOW,
	.precision = CARDINALITY_PRECISION_MIN,
};

struct shown {
	int64_t time_us;
	uint64_t values[2];
	size_t value_count;
	int64_t arrives;
};

/* What contributes, as the sum over what was told. */
struct told {
	uint64_t events;
	int64_t first_us, last_us;
};

static int64_t index_of(int64_t time_us)
{
	return time_us / WIDTH_US - (time_us % WIDTH_US < 0);
}

/* From the definition: the estimate for all values of the 32 panes that end with `last`. */
static bool window_holds(const struct shown *all, size_t count, int64_t last, uint64_t at_least)
{
	unsigned char registers[1 << CARDINALITY_PRECISION_MIN] = {0};
	for (size_t i = 0; i < count; i++) {
		int64_t index = index_of(all[i].time_us);
		for (size_t v = 0;
		     index <= last && index > last - PANES_A_WINDOW && v < all[i].value_count;
		     v++) {
			struct cardinality_mark mark =
				cardinality_mark(CARDINALITY_PRECISION_MIN, all[i].values[v]);
			if (mark.rank > registers[mark.at])
				registers[mark.at] = mark.rank;
		}
	}
	struct cardinality_ranks ranks = cardinality_ranks(CARDINALITY_PRECISION_MIN, registers);
	return cardinality_estimate(CARDINALITY_PRECISION_MIN, &ranks) >= (double)at_least;
}

static void told_add(struct told *told, int64_t time_us, uint64_t events)
{
	told->first_us = told->events == 0 || time_us < told->first_us ? time_us : told->first_us;
	told->last_us = told->events == 0 || time_us > told->last_us ? time_us : told->last_us;
	told->events += events;
}

static struct told told_by_definition(const struct shown *all, size_t count, uint64_t at_least)
{
	struct told told = {0};
	for (size_t i = 0; i < count; i++) {
		int64_t index = index_of(all[i].time_us);
		bool contributes = false;
		for (int64_t last = index; last < index + PANES_A_WINDOW && !contributes; last++)
			contributes = window_holds(all, count, last, at_least);
		if (contributes)
			told_add(&told, all[i].time_us, 1);
	}
	return told;
}

static int compare_shown(const void *a, const void *b)
{
	const struct shown *left = a;
	const struct shown *right = b;
	return (left->time_us > right->time_us) - (left->time_us < right->time_us);
}

static int compare_arrival(const void *a, const void *b)
{
	const struct shown *left = a;
	const struct shown *right = b;
	return (left->arrives > right->arrives) - (left->arrives < right->arrives);
}

static size_t shown_make(struct shown *all, uint64_t *random)
{
	size_t count = 1 + below(random, SHOWN_MAX);
	size_t range = 1 + below(random, 100);
	size_t values = 1 + below(random, 2 * count);
	for (size_t i = 0; i < count; i++) {
		all[i] = (struct shown){.time_us = (int64_t)below(random, range * WIDTH_US) -
						   20 * WIDTH_US,
					.value_count = 1 + below(random, 2)};
		for (size_t v = 0; v < all[i].value_count; v++)
			all[i].values[v] =
				(below(random, values) + 1) * UINT64_C(0x9E3779B97F4A7C15);
	}
	qsort(all, count, sizeof *all, compare_shown);
	return count;
}

static void add(struct panes *panes, const struct panes_shape *shape, const struct shown *shown,
		struct window_news *news)
{
	struct evidence evidence = {.origin = {TEXT("logs"), 0, 0, 1}, .time_us = shown->time_us};
	struct proof *proof cleanup(proof_release) = proof_new(&evidence);
	struct panes_event event = {proof, shown->values, shown->value_count};
	enum status status = panes_add(panes, shape, &event, news);
	assert(status == OK);
}

static void restart(struct panes *panes, const struct panes_shape *shape)
{
	struct bytes saved cleanup(bytes_done) = {0};
	struct bytes again cleanup(bytes_done) = {0};
	panes_encode(panes, &saved);
	panes_done(panes);
	struct cursor from = cursor_of(bytes_text(&saved));
	enum status status = panes_decode(&from, shape, panes);
	assert(status == OK && cursor_left(&from) == 0);
	panes_encode(panes, &again);
	assert(text_equal(bytes_text(&saved), bytes_text(&again)));
}

/* One order of arrival: late by `disorder` at most, with the watermark that this allows. */
static struct told told_in_order(struct shown *all, size_t count, const struct panes_shape *shape,
				 uint64_t *random)
{
	struct told told = {0};
	struct panes panes = {0};
	struct window_news news = {0};
	size_t disorder = 1 + below(random, 80 * WIDTH_US);
	for (size_t i = 0; i < count; i++)
		all[i].arrives = all[i].time_us + (int64_t)below(random, disorder);
	qsort(all, count, sizeof *all, compare_arrival);
	for (size_t i = 0; i < count; i++) {
		add(&panes, shape, &all[i], &news);
		if (below(random, 8) == 0)
			panes_settle(&panes, shape, all[i].arrives - (int64_t)disorder);
		if (below(random, 16) == 0)
			restart(&panes, shape);
	}
	for (size_t i = 0; i < news.contributed.count; i++) {
		const struct window_item *item = &news.contributed.items[i];
		told_add(&told, item->time_us, 1 + item->further);
	}
	ck_assert(told.events == 0 || news.approximate);
	panes_settle(&panes, shape, INT64_MAX);
	ck_assert_uint_eq(panes.count, 0);
	window_news_done(&news);
	return told;
}

START_TEST(what_contributes_is_what_the_definition_says_in_every_order)
{
	uint64_t random = first_seed();
	size_t held = 0;
	for (int number = 0; number < CASES; number++) {
		static struct shown all[SHOWN_MAX];
		size_t count = shown_make(all, &random);
		struct panes_shape shape = shape_given;
		shape.at_least = 1 + below(&random, 1 + count);
		struct told expected = told_by_definition(all, count, shape.at_least);
		held += expected.events > 0;
		for (int order = 0; order < ORDERS; order++) {
			struct told told = told_in_order(all, count, &shape, &random);
			ck_assert_msg(told.events == expected.events &&
					      told.first_us == expected.first_us &&
					      told.last_us == expected.last_us,
				      "case %d: %llu events contribute, not %llu", number,
				      (unsigned long long)told.events,
				      (unsigned long long)expected.events);
		}
	}
	ck_assert(held > CASES / 10 && held < CASES);
}
END_TEST

/* A pane's two proofs are all that waits, and panes are all that stays. */
START_TEST(a_flood_stays_as_large_as_its_sketches)
{
	struct panes_shape shape = {
		.at_least = 200000, .timespan_us = INT64_C(3600) * SECOND, .precision = 14};
	struct panes panes = {0};
	struct window_news news = {0};
	size_t most = 0;
	for (uint64_t i = 0; i < 330000; i++) {
		struct shown shown = {.time_us = (int64_t)i * 12000,
				      .values = {(i + 1) * UINT64_C(0x9E3779B97F4A7C15)},
				      .value_count = 1};
		add(&panes, &shape, &shown, &news);
		if (i % 100 == 0)
			panes_settle(&panes, &shape, shown.time_us - 10 * SECOND);
		most = i % 1000 == 0 && panes_bytes(&panes) > most ? panes_bytes(&panes) : most;
	}
	ck_assert_uint_lt(most, 640 * 1024);
	ck_assert(news.contributed.count > 0 && !panes.cut);
	ck_assert(strstr(news.detail, "(standard error 0.81 %)") != NULL);
	panes_done(&panes);
	window_news_done(&news);
}
END_TEST

START_TEST(too_many_panes_are_cut_and_say_so)
{
	struct panes_shape shape = shape_given;
	struct panes panes = {0};
	struct window_news news = {0};
	shape.at_least = 1000;
	for (int64_t i = 0; i <= PANES_MAX; i++) {
		struct shown shown = {.time_us = i * WIDTH_US, .values = {7}, .value_count = 1};
		ck_assert(!news.degraded);
		add(&panes, &shape, &shown, &news);
	}
	ck_assert(news.degraded && panes.cut);
	ck_assert_uint_eq(panes.count, PANES_MAX);
	ck_assert_int_eq(panes.panes[0].index, 1);
	panes_done(&panes);
	window_news_done(&news);
}
END_TEST

/* Every cut and every flipped bit is refused, or panes that can be used. */
START_TEST(damaged_panes_are_refused_or_harmless)
{
	struct panes_shape shape = shape_given;
	struct panes panes = {0};
	struct window_news news = {0};
	struct bytes saved cleanup(bytes_done) = {0};
	size_t taken = 0;
	shape.at_least = 4;
	for (uint64_t i = 0; i < 6; i++)
		add(&panes, &shape,
		    &(struct shown){(int64_t)i * 9 * WIDTH_US, {i << 55 | i << 20, i << 56}, 2, 0},
		    &news);
	panes_encode(&panes, &saved);
	panes_done(&panes);
	for (size_t bit = 0; bit < 9 * saved.size; bit++) {
		size_t size = bit < 8 * saved.size ? saved.size : bit - 8 * saved.size;
		char *copy = malloc(size + 1);
		memcpy(copy, saved.data, size);
		if (bit < 8 * saved.size)
			copy[bit / 8] = (char)(copy[bit / 8] ^ 1 << bit % 8);
		struct cursor from = cursor_of((struct text){copy, size});
		enum status status = panes_decode(&from, &shape, &panes);
		ck_assert(status == OK || status == ECORRUPT);
		taken += status == OK;
		for (uint64_t i = 0; status == OK && i < 20; i++)
			add(&panes, &shape,
			    &(struct shown){(int64_t)i * 4 * WIDTH_US, {i << 56}, 1, 0}, &news);
		panes_settle(&panes, &shape, 20 * WIDTH_US);
		panes_done(&panes);
		free(copy);
	}
	ck_assert_uint_gt(taken, 0);
	window_news_done(&news);
}
END_TEST

struct estimate_spec {
	unsigned span, at_least;
};

static void estimate_oracle(const struct setup *setup, const struct stream *stream,
			    const struct estimate_spec *spec, struct lines *lines)
{
	static const char *const users[] = {"u0", "u1"};
	static const char *const tenants[] = {"t0", "t1"};
	int64_t width_us = (int64_t)spec->span * SECOND / PANES_A_WINDOW;
	lines->count = 0;
	for (size_t g = 0; g < 4; g++) {
		const struct thing *group[EVENTS_MAX];
		int64_t times[EVENTS_MAX];
		static struct shown shown[EVENTS_MAX];
		size_t count = stream_group(stream, tenants[g / 2], users[g % 2], group);
		size_t kept = 0;
		for (size_t i = 0; i < count; i++) {
			struct shown one = {.time_us = (group[i]->time_us / width_us) * WIDTH_US,
					    .arrives = group[i]->time_us};
			for (size_t v = 0; v < 2 && group[i]->source[v][0] != '\0'; v++) {
				struct bytes tuple cleanup(bytes_done) = {0};
				struct bytes value cleanup(bytes_done) = {0};
				bytes_put_text(&tuple, text_of(group[i]->source[v]));
				values_put_tuple(bytes_text(&tuple), &value);
				struct cursor from = cursor_of(bytes_text(&value));
				one.values[one.value_count++] = record_value_hash(
					plan_hash_key(setup->plan), cursor_text(&from));
			}
			if (group[i]->a && one.value_count > 0)
				shown[kept++] = one;
		}
		size_t found = 0;
		for (size_t i = 0; i < kept; i++) {
			int64_t index = index_of(shown[i].time_us);
			bool contributes = false;
			for (int64_t last = index; last < index + PANES_A_WINDOW; last++)
				contributes = contributes ||
					      window_holds(shown, kept, last, spec->at_least);
			if (contributes)
				times[found++] = shown[i].arrives;
		}
		if (found > 0)
			lines_of_times(lines, "many", group[0], times, found,
				       (int64_t)spec->span * SECOND);
	}
}

START_TEST(alerts_by_estimate_are_those_of_the_definition)
{
	size_t alerts = 0;
	struct sets sets = sets_begin(ESTIMATE_CASES);
	while (sets_next(&sets, alerts)) {
		static struct lines expected;
		struct estimate_spec spec = {.span = 1 + (unsigned)below(&sets.random, 20),
					     .at_least = 2 + (unsigned)below(&sets.random, 4)};
		char *yaml = NULL;
		int size = asprintf(
			&yaml,
			STREAM_RULES
			"title: Many\nname: many\nlevel: high\n"
			"picket: {accuracy: {exact-until: 1, error: 0.05}}\n"
			"correlation: {type: value_count, rules: [a], group-by: [user.id], "
			"timespan: %us, condition: {field: source.ip, gte: %u}}\n",
			spec.span, spec.at_least);
		ck_assert_int_gt(size, 0);
		struct setup setup = setup_of(yaml);
		free(yaml);
		for (int i = 0; i < CASES_A_SET; i++) {
			struct stream stream = {0};
			stream_make(&stream, &sets.random);
			size_t sources = 1 + below(&sets.random, 9);
			for (size_t k = 0; k < stream.count; k++)
				for (size_t s = 0; s < 2; s++)
					if (stream.things[k].source[s][0] != '\0')
						(void)snprintf(stream.things[k].source[s], 4,
							       "s%zu",
							       below(&sets.random, sources));
			estimate_oracle(&setup, &stream, &spec, &expected);
			alerts += expected.count;
			check_stream(&setup, &stream, &expected, &sets);
		}
		setup_done(&setup);
	}
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("panes");
	tcase_set_timeout(tests, 300);
	tcase_add_test(tests, what_contributes_is_what_the_definition_says_in_every_order);
	tcase_add_test(tests, a_flood_stays_as_large_as_its_sketches);
	tcase_add_test(tests, too_many_panes_are_cut_and_say_so);
	tcase_add_test(tests, damaged_panes_are_refused_or_harmless);
	tcase_add_test(tests, alerts_by_estimate_are_those_of_the_definition);
	return run_tests("panes", tests);
}
