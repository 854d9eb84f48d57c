#include "correlate/trail.h"

#include "tests/correlate/fixture.h"

enum { SECOND_US = 1000000 };

static struct trail_shape shape_of(enum correlation_type type, uint64_t at_least,
				   struct judge *spare)
{
	return (struct trail_shape){
		.rule = {.type = type, .at_least = at_least, .timespan_us = 60 * SECOND_US},
		.spare = spare};
}

static void add(struct trail **trail, const struct trail_shape *shape, int64_t time_us,
		uint64_t value, struct window_news *news)
{
	struct evidence evidence = {.origin = {TEXT("logs"), 0, 0, 1}, .time_us = time_us};
	struct proof *proof cleanup(proof_release) = proof_new(&evidence);
	struct trail_event event = {.proof = proof, .values = &value, .value_count = 1};
	assert(proof != NULL);
	enum status status = trail_add(trail, shape, &event, news);
	assert(status == OK);
}

START_TEST(a_flood_of_values_stays_small_and_is_counted)
{
	struct judge spare cleanup(judge_done) = {0};
	struct trail_shape shape = shape_of(CORRELATION_VALUE_COUNT, 10, &spare);
	struct trail *trail cleanup(trail_free) = trail_new();
	struct window_news news = {0};
	for (uint64_t i = 0; i < 200000; i++)
		add(&trail, &shape, (int64_t)i * 100, i, &news);
	ck_assert_uint_eq(news.contributed.count, 200000);
	ck_assert_uint_lt(trail->count, 200);
	ck_assert(!trail->cut);
	window_news_done(&news);
}
END_TEST

START_TEST(a_hundred_thousand_values_are_exact)
{
	struct judge spare cleanup(judge_done) = {0};
	struct trail_shape shape = shape_of(CORRELATION_VALUE_COUNT, TRAIL_AT_LEAST_MAX, &spare);
	struct trail *trail cleanup(trail_free) = trail_new();
	struct window_news news = {0};
	for (uint64_t i = 0; i + 1 < TRAIL_AT_LEAST_MAX; i++)
		add(&trail, &shape, (int64_t)i, i, &news);
	add(&trail, &shape, TRAIL_AT_LEAST_MAX, 0, &news);
	ck_assert_uint_eq(news.contributed.count, 0);
	add(&trail, &shape, TRAIL_AT_LEAST_MAX, TRAIL_AT_LEAST_MAX, &news);
	ck_assert_uint_eq(news.contributed.count, TRAIL_AT_LEAST_MAX + 1);
	ck_assert(!trail->cut);
	window_news_done(&news);
}
END_TEST

/* One user, again and again, never enough users: repeats go uncounted, the decision stays exact. */
START_TEST(repeats_that_wait_are_cut_and_say_so)
{
	struct judge spare cleanup(judge_done) = {0};
	struct trail_shape shape = shape_of(CORRELATION_VALUE_COUNT, 3, &spare);
	struct trail *trail cleanup(trail_free) = trail_new();
	struct window_news news = {0};
	for (uint64_t i = 0; i < 2 * TRAIL_ENTRIES_MAX; i++)
		add(&trail, &shape, (int64_t)i, i % 2, &news);
	ck_assert(trail->cut);
	ck_assert_uint_lt(trail->count, TRAIL_ENTRIES_MAX);
	ck_assert_uint_eq(news.contributed.count, 0);
	add(&trail, &shape, 2 * TRAIL_ENTRIES_MAX, 2, &news);
	ck_assert_uint_gt(news.contributed.count, 3);
	window_news_done(&news);
}
END_TEST

START_TEST(steps_of_one_time_are_in_any_order)
{
	struct judge spare cleanup(judge_done) = {0};
	struct trail_shape shape = shape_of(CORRELATION_TEMPORAL_ORDERED, 3, &spare);
	struct trail *trail cleanup(trail_free) = trail_new();
	struct window_news news = {0};
	add(&trail, &shape, 5, 2, &news);
	add(&trail, &shape, 5, 1, &news);
	ck_assert_uint_eq(news.contributed.count, 0);
	add(&trail, &shape, 5, 0, &news);
	ck_assert_uint_eq(news.contributed.count, 3);
	add(&trail, &shape, 70 * SECOND_US, 1, &news);
	add(&trail, &shape, 71 * SECOND_US, 0, &news);
	add(&trail, &shape, 72 * SECOND_US, 2, &news);
	ck_assert_uint_eq(news.contributed.count, 3);
	window_news_done(&news);
}
END_TEST

START_TEST(a_sum_does_not_overflow)
{
	struct judge spare cleanup(judge_done) = {0};
	struct trail_shape shape = shape_of(CORRELATION_VALUE_SUM, INT64_MAX, &spare);
	struct trail *trail cleanup(trail_free) = trail_new();
	struct window_news news = {0};
	add(&trail, &shape, 1, INT64_MAX / 2, &news);
	add(&trail, &shape, 2, 0, &news);
	add(&trail, &shape, 3, INT64_MAX / 2, &news);
	ck_assert_uint_eq(news.contributed.count, 0);
	add(&trail, &shape, 4, UINT64_MAX, &news);
	ck_assert_uint_eq(news.contributed.count, 4);
	add(&trail, &shape, 100 * SECOND_US, 1, &news);
	ck_assert_uint_eq(news.contributed.count, 4);
	window_news_done(&news);
}
END_TEST

/* Every cut and every flipped bit is refused, or a trail that can be used. */
START_TEST(a_damaged_trail_is_refused_or_harmless)
{
	struct judge spare cleanup(judge_done) = {0};
	struct trail_shape shape = shape_of(CORRELATION_TEMPORAL_ORDERED, 2, &spare);
	struct trail *trail cleanup(trail_free) = trail_new();
	struct window_news news = {0};
	struct bytes saved cleanup(bytes_done) = {0};
	struct bytes again cleanup(bytes_done) = {0};
	size_t taken = 0;
	for (uint64_t i = 0; i < 12; i++)
		add(&trail, &shape, (int64_t)(i * 7 % 12) * 20 * SECOND_US, i % 2, &news);
	trail_settle(&trail, &shape, 100 * SECOND_US);
	trail_encode(trail, &saved);
	trail_free(&trail);
	for (size_t bit = 0; bit < 8 * saved.size + saved.size; bit++) {
		bool flips = bit < 8 * saved.size;
		size_t size = flips ? saved.size : bit - 8 * saved.size;
		char *copy = malloc(size + 1);
		memcpy(copy, saved.data, size);
		if (flips)
			copy[bit / 8] = (char)(copy[bit / 8] ^ 1 << bit % 8);
		struct cursor from = cursor_of((struct text){copy, size});
		ck_assert_ptr_nonnull(trail = trail_new());
		enum status status = trail_decode(&from, &shape, &trail);
		ck_assert(status == OK || status == ECORRUPT);
		taken += status == OK;
		for (uint64_t i = 0; status == OK && i < 40; i++)
			add(&trail, &shape, (int64_t)i * 9 * SECOND_US, i % 2, &news);
		trail_free(&trail);
		free(copy);
	}
	ck_assert_uint_gt(taken, 0);
	struct cursor from = cursor_of(bytes_text(&saved));
	ck_assert_ptr_nonnull(trail = trail_new());
	ck_assert_int_eq(trail_decode(&from, &shape, &trail), OK);
	trail_encode(trail, &again);
	ck_assert(text_equal(bytes_text(&again), bytes_text(&saved)));
	window_news_done(&news);
}
END_TEST

/* Small trails of different rules take turns with one judge, and none hears of another's events. */
START_TEST(one_spare_judge_serves_all_rules_in_turn)
{
	static const struct {
		enum correlation_type type;
		uint64_t at_least;
	} rules[] = {{CORRELATION_TEMPORAL_ORDERED, 2}, {CORRELATION_VALUE_COUNT, 4},
		     {CORRELATION_TEMPORAL_ORDERED, 5}, {CORRELATION_VALUE_SUM, 9},
		     {CORRELATION_TEMPORAL, 3},         {CORRELATION_TEMPORAL_ORDERED, 3}};
	enum { RULES = sizeof rules / sizeof *rules, EVENTS = 200 };
	struct judge spare cleanup(judge_done) = {0};
	struct judge own[RULES] = {0};
	struct trail *shared[RULES];
	struct trail *alone[RULES];
	struct window_news together[RULES] = {0};
	struct window_news apart[RULES] = {0};
	size_t told = 0;
	for (size_t rule = 0; rule < RULES; rule++) {
		ck_assert_ptr_nonnull(shared[rule] = trail_new());
		ck_assert_ptr_nonnull(alone[rule] = trail_new());
	}
	for (uint64_t i = 0; i < EVENTS; i++)
		for (size_t rule = 0; rule < RULES; rule++) {
			int64_t time_us = (int64_t)(i + i * 7 % 5) * 2 * SECOND_US;
			uint64_t value = i * (rule + 3) % 11 % rules[rule].at_least;
			struct trail_shape shape =
				shape_of(rules[rule].type, rules[rule].at_least, &spare);
			add(&shared[rule], &shape, time_us, value, &together[rule]);
			shape.spare = &own[rule];
			add(&alone[rule], &shape, time_us, value, &apart[rule]);
			ck_assert_uint_eq(together[rule].contributed.count,
					  apart[rule].contributed.count);
		}
	for (size_t rule = 0; rule < RULES; rule++) {
		told += apart[rule].contributed.count > 0;
		window_news_done(&together[rule]);
		window_news_done(&apart[rule]);
		trail_free(&shared[rule]);
		trail_free(&alone[rule]);
		judge_done(&own[rule]);
	}
	ck_assert_uint_eq(told, RULES);
}
END_TEST

START_TEST(what_is_over_takes_no_memory)
{
	struct judge spare cleanup(judge_done) = {0};
	struct trail_shape shape = shape_of(CORRELATION_VALUE_COUNT, 1000, &spare);
	struct trail *trail cleanup(trail_free) = trail_new();
	struct window_news news = {0};
	size_t empty_bytes = trail_bytes(trail);
	for (uint64_t i = 0; i < 500; i++)
		add(&trail, &shape, (int64_t)i, i, &news);
	ck_assert_uint_gt(trail_bytes(trail),
			  500 * sizeof *trail->entries + 500 * sizeof(uint64_t));
	trail_settle(&trail, &shape, 3600 * (int64_t)SECOND_US);
	ck_assert_uint_eq(trail->count, 0);
	ck_assert_uint_eq(trail_bytes(trail), empty_bytes);
	add(&trail, &shape, 7200 * (int64_t)SECOND_US, 1, &news);
	ck_assert_uint_eq(trail->count, 1);
	window_news_done(&news);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("trail");
	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, a_flood_of_values_stays_small_and_is_counted);
	tcase_add_test(tests, a_hundred_thousand_values_are_exact);
	tcase_add_test(tests, repeats_that_wait_are_cut_and_say_so);
	tcase_add_test(tests, steps_of_one_time_are_in_any_order);
	tcase_add_test(tests, a_sum_does_not_overflow);
	tcase_add_test(tests, a_damaged_trail_is_refused_or_harmless);
	tcase_add_test(tests, one_spare_judge_serves_all_rules_in_turn);
	tcase_add_test(tests, what_is_over_takes_no_memory);
	return run_tests("trail", tests);
}
