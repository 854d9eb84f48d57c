/* baseline against a plain reading: for each bucket, collect the figures of the buckets before it
 * that were learned, sort them, and hold the bucket against them. */
#include <math.h>

#include "correlate/bucket.h"
#include "tests/correlate/stream_check.h"

enum { BUCKETS_MAX = 512 };

struct habit {
	unsigned span, history, adapt, min; /* span in seconds, the others in buckets */
	double deviation, floor;
	enum baseline_aggregate aggregate;
	int direction; /* 0 both, 1 up, -1 down */
};

static int compare_numbers(const void *a, const void *b)
{
	const double *left = a;
	const double *right = b;
	return (*left > *right) - (*left < *right);
}

static double middle(double *values, size_t count)
{
	qsort(values, count, sizeof *values, compare_numbers);
	return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

static bool is_odd(const struct habit *habit, const double *history, size_t count, double value)
{
	double sorted[BUCKETS_MAX];
	if (count < habit->min || count < 2)
		return false;
	memcpy(sorted, history, count * sizeof *sorted);
	double usual = middle(sorted, count);
	for (size_t i = 0; i < count; i++)
		sorted[i] = fabs(history[i] - usual);
	double scale = 1.4826 * middle(sorted, count);
	bool counts = habit->aggregate == AGGREGATE_COUNT || habit->aggregate == AGGREGATE_DISTINCT;
	double least = counts ? sqrt(usual > 1 ? usual : 1) : fabs(usual) / 20;
	scale = scale > least ? scale : least;
	double difference = value - usual;
	if (difference == 0 || (habit->direction > 0 && difference < 0) ||
	    (habit->direction < 0 && difference > 0) ||
	    (fabs(value) < habit->floor && fabs(usual) < habit->floor))
		return false;
	return scale == 0 || fabs(difference) / scale >= habit->deviation;
}

static void push(double *values, size_t *count, size_t max, double value)
{
	if (*count == max)
		memmove(values, values + 1, --*count * sizeof *values);
	values[(*count)++] = value;
}

static bool takes_part(const struct habit *habit, const struct thing *thing)
{
	bool shown = thing->amount[0] != '\0';
	if (habit->aggregate == AGGREGATE_DISTINCT)
		shown = thing->source[0][0] != '\0' || thing->source[1][0] != '\0';
	return thing->a && (habit->aggregate == AGGREGATE_COUNT || shown);
}

/* Which of the sources s0 .. s9 the events show, as bits. */
static unsigned sources_of(const struct thing *thing)
{
	unsigned shown = 0;
	for (size_t k = 0; k < 2; k++)
		if (thing->source[k][0] != '\0')
			shown |= 1u << (thing->source[k][1] - '0');
	return shown;
}

/* False when there is none: a percentile of nothing. */
static bool value_of(const struct habit *habit, const struct thing *const *group, size_t count,
		     int64_t start_us, double *ret_value)
{
	double amounts[EVENTS_MAX];
	double sum = 0;
	unsigned shown = 0;
	size_t inside = 0;
	for (size_t i = 0; i < count; i++)
		if (group[i]->time_us >= start_us &&
		    group[i]->time_us < start_us + (int64_t)habit->span * SECOND) {
			amounts[inside] = strtod(group[i]->amount, NULL);
			sum += amounts[inside++];
			shown |= sources_of(group[i]);
		}
	qsort(amounts, inside, sizeof *amounts, compare_numbers);
	*ret_value = habit->aggregate == AGGREGATE_COUNT      ? (double)inside
		     : habit->aggregate == AGGREGATE_DISTINCT ? __builtin_popcount(shown)
							      : sum;
	if (habit->aggregate == AGGREGATE_P95 && inside > 0) {
		size_t hundredths = 95 * (inside - 1);
		double below = amounts[hundredths / 100];
		double above = amounts[hundredths / 100 + (hundredths % 100 > 0)];
		*ret_value = below + (above - below) * (double)(hundredths % 100) / 100;
	}
	return habit->aggregate != AGGREGATE_P95 || inside > 0;
}

static void answer_group(const struct habit *habit, const struct thing *const *all,
			 size_t all_count, int64_t end_us, struct lines *lines)
{
	const struct thing *group[EVENTS_MAX];
	double history[BUCKETS_MAX], aside[BUCKETS_MAX];
	int64_t times[BUCKETS_MAX];
	int64_t span_us = (int64_t)habit->span * SECOND;
	size_t count = 0, learned = 0, odd = 0, told = 0;
	for (size_t i = 0; i < all_count; i++)
		if (takes_part(habit, all[i]))
			group[count++] = all[i];
	if (count == 0)
		return;
	int64_t last_us = group[0]->time_us;
	size_t next = 0;
	bool known = false;
	int64_t start_us = 0;
	while (next < count || known) {
		if (!known) {
			start_us = group[next]->time_us / span_us * span_us;
			known = true;
			learned = odd = 0;
			while (next < count && group[next]->time_us < start_us + span_us)
				last_us = group[next++]->time_us;
			start_us += span_us; /* the first is not whole */
			if (start_us - 1 >= end_us && next == count)
				break;
		} else {
			while (next < count && group[next]->time_us < start_us + span_us)
				last_us = group[next++]->time_us;
			if (start_us + span_us - 1 >= end_us && next == count)
				break;
			double value = 0;
			bool there = value_of(habit, group, count, start_us, &value);
			if (there && is_odd(habit, history, learned, value)) {
				times[told++] = start_us + span_us - 1;
				push(aside, &odd, habit->history, value);
				if (odd >= habit->adapt) {
					memcpy(history, aside, odd * sizeof *aside);
					learned = odd;
					odd = 0;
				}
			} else if (there) {
				push(history, &learned, habit->history, value);
				odd = 0;
			}
			start_us += span_us;
		}
		known = start_us - last_us <= (int64_t)habit->history * span_us;
	}
	if (told > 0)
		lines_of_times(lines, "s", group[0], times, told, span_us);
}

static size_t alerts_expected;

static void check_habit(const struct setup *setup, const struct habit *habit, struct sets *sets)
{
	static struct lines expected;
	static const char *const names[][2] = {
		{"t0", "u0"}, {"t0", "u1"}, {"t1", "u0"}, {"t1", "u1"}};
	struct stream stream = {0};
	stream_make(&stream, &sets->random);
	int64_t burst_us = stream.things[below(&sets->random, stream.count)].time_us;
	for (size_t i = 0; i < stream.count; i++) {
		struct thing *thing = &stream.things[i];
		thing->a = true;
		if (below(&sets->random, 8) > 0)
			(void)snprintf(thing->amount, sizeof thing->amount, "%zu",
				       below(&sets->random, 4) *
					       (thing->time_us >= burst_us ? 3 : 1));
	}
	expected.count = 0;
	int64_t end_us = stream.things[stream.count - 1].time_us + SECOND;
	for (size_t i = 0; i < 4; i++) {
		const struct thing *group[EVENTS_MAX];
		size_t count = stream_group(&stream, names[i][0], names[i][1], group);
		answer_group(habit, group, count, end_us, &expected);
	}
	alerts_expected += expected.count;
	check_stream(setup, &stream, &expected, sets);
}

START_TEST(deviations_are_those_of_a_plain_reading)
{
	static const char *const directions[] = {"down", "both", "up"};
	static const char *const aggregates[] = {
		[AGGREGATE_COUNT] = "count",
		[AGGREGATE_DISTINCT] = "distinct, field: source.ip",
		[AGGREGATE_SUM] = "sum, field: bytes",
		[AGGREGATE_P95] = "p95, field: bytes",
	};
	static const enum baseline_aggregate tried[] = {AGGREGATE_COUNT, AGGREGATE_DISTINCT,
							AGGREGATE_SUM, AGGREGATE_P95};
	struct sets sets = sets_begin(CASES_USUAL);
	while (sets_next(&sets, alerts_expected)) {
		struct habit habit = {.span = 1 + (unsigned)below(&sets.random, 4),
				      .history = 4 + (unsigned)below(&sets.random, 10),
				      .adapt = 1 + (unsigned)below(&sets.random, 4),
				      .min = 2 + (unsigned)below(&sets.random, 3),
				      .deviation = 0.5 + (double)below(&sets.random, 4) / 2,
				      .floor = (double)below(&sets.random, 3),
				      .aggregate = tried[below(&sets.random, 4)],
				      .direction = (int)below(&sets.random, 3) - 1};
		char *yaml = NULL;
		ck_assert_int_gt(
			asprintf(&yaml,
				 STREAM_RULES
				 "title: S\nname: s\nlevel: high\ncorrelation: {type: baseline, "
				 "rules: [a], group-by: [user.id], timespan: %us, history: %us, "
				 "adapt: %us, min-buckets: %u, condition: {aggregate: %s, "
				 "deviation: {gte: %g}, direction: %s, floor: %g}}\n",
				 habit.span, habit.span * habit.history, habit.span * habit.adapt,
				 habit.min, aggregates[habit.aggregate], habit.deviation,
				 directions[habit.direction + 1], habit.floor),
			0);
		struct setup setup = setup_of(yaml);
		free(yaml);
		for (int i = 0; i < CASES_A_SET; i++)
			check_habit(&setup, &habit, &sets);
		setup_done(&setup);
	}
}
END_TEST

enum { VALUES = 20000 };

/* In another order, half of it after a checkpoint, a bucket is the same to the last bit. */
static void check_bucket(enum baseline_aggregate aggregate, const uint64_t *values, size_t count,
			 double expected, double error)
{
	struct bucket one = {0};
	struct bucket other = {0};
	struct bucket again = {0};
	struct bytes forms[2] = {0};
	for (size_t i = 0; i < count; i++) {
		ck_assert(bucket_take(&one, aggregate, values[i]) == OK);
		ck_assert(bucket_take(&other, aggregate, values[count - 1 - i]) == OK);
		if (i != count / 2)
			continue;
		struct bytes saved cleanup(bytes_done) = {0};
		bucket_encode_sums(&other, &saved);
		bucket_encode_values(&other, aggregate, &saved);
		struct cursor from = cursor_of(bytes_text(&saved));
		bucket_decode_sums(&from, &again);
		ck_assert(bucket_decode_values(&from, aggregate, &again) == OK);
		ck_assert_uint_eq(cursor_left(&from), 0);
		bucket_done(&other);
		other = again;
	}
	bucket_encode_values(&one, aggregate, &forms[0]);
	bucket_encode_values(&other, aggregate, &forms[1]);
	ck_assert(text_equal(bytes_text(&forms[0]), bytes_text(&forms[1])));
	struct figure figure = bucket_figure(&one, aggregate);
	ck_assert(figure.exists);
	ck_assert_int_eq(figure.approximate, error > 0);
	ck_assert_double_le(fabs(figure.value - expected), expected * error + 1e-9);
	bytes_done(&forms[0]);
	bytes_done(&forms[1]);
	bucket_done(&one);
	bucket_done(&other);
}

START_TEST(many_values_are_estimated_in_any_order)
{
	uint64_t values[VALUES];
	uint64_t random = first_seed();
	for (size_t i = 0; i < VALUES; i++)
		values[i] = (i + 1) * 1000000;
	for (size_t i = VALUES; i-- > 1;) {
		size_t at = below(&random, i + 1);
		uint64_t value = values[i];
		values[i] = values[at];
		values[at] = value;
	}
	check_bucket(AGGREGATE_P95, values, VALUES, 0.95 * VALUES, MEASURE_ERROR_PERCENT / 100.0);
	for (uint64_t i = 0; i < VALUES; i++) { /* hashes; each one twice */
		uint64_t number = i / 2;
		values[i] = record_value_hash(&test_key,
					      (struct text){(const char *)&number, sizeof number});
	}
	check_bucket(AGGREGATE_DISTINCT, values, VALUES, VALUES / 2.0, 0.05);
	check_bucket(AGGREGATE_DISTINCT, values, 2 * BUCKET_EXACT_MAX, BUCKET_EXACT_MAX, 0);
	check_bucket(AGGREGATE_DISTINCT, values, 2 * BUCKET_EXACT_MAX + 2, BUCKET_EXACT_MAX + 1,
		     0.05);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("baseline");
	tcase_set_timeout(tests, 300);
	tcase_add_test(tests, deviations_are_those_of_a_plain_reading);
	tcase_add_test(tests, many_values_are_estimated_in_any_order);
	return run_tests("baseline", tests);
}
