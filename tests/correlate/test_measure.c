/* The figures of a sliding window: against plain arithmetic over the same samples, exact while
 * there are few, within the stated error when there are many, exact again when they have left. */
#include "correlate/measure.h"
#include "tests/correlate/fixture.h"

enum { SAMPLES = 3 * MEASURE_EXACT_MAX, WINDOW = MEASURE_EXACT_MAX + 500 };

static int compare_samples(const void *a, const void *b)
{
	const int64_t *left = a;
	const int64_t *right = b;
	return (*left > *right) - (*left < *right);
}

static double percentile_plainly(const int64_t *samples, size_t count, double percentile)
{
	static int64_t sorted[SAMPLES];
	memcpy(sorted, samples, count * sizeof *sorted);
	qsort(sorted, count, sizeof *sorted, compare_samples);
	double rank = percentile * (double)(count - 1) / 100;
	size_t low = (size_t)rank;
	double next = low + 1 < count ? (double)sorted[low + 1] : (double)sorted[low];
	return ((double)sorted[low] + (next - (double)sorted[low]) * (rank - (double)low)) / 1e6;
}

/* The sketch answers with the sample of the rank's whole part. */
static double sample_at(const int64_t *samples, size_t count, double percentile)
{
	static int64_t sorted[SAMPLES];
	memcpy(sorted, samples, count * sizeof *sorted);
	qsort(sorted, count, sizeof *sorted, compare_samples);
	return (double)sorted[(size_t)(percentile * (double)(count - 1) / 100)] / 1e6;
}

static double distance(double a, double b)
{
	return a > b ? a - b : b - a;
}

START_TEST(percentiles_are_exact_or_within_their_error)
{
	static int64_t samples[SAMPLES];
	static const double percentiles[] = {0.1, 25, 50, 95, 99.9, 100};
	uint64_t random = first_seed();
	for (size_t k = 0; k < sizeof percentiles / sizeof *percentiles; k++) {
		struct correlation correlation = {.type = CORRELATION_VALUE_PERCENTILE,
						  .percentile = percentiles[k]};
		struct measure measure;
		size_t from = 0;
		size_t approximate = 0;
		measure_init(&correlation, &measure);
		for (size_t i = 0; i < SAMPLES; i++) {
			samples[i] = (int64_t)below(&random, 1000000000) - 300000000;
			ck_assert_int_eq(measure_push(&measure, (uint64_t)samples[i], true), OK);
			while (i + 1 - from > WINDOW)
				measure_pop(&measure, (uint64_t)samples[from++], true);
			if (i % 97 != 0)
				continue;
			struct figure figure = measure_figure(&measure);
			double exact =
				percentile_plainly(&samples[from], i + 1 - from, percentiles[k]);
			double near = sample_at(&samples[from], i + 1 - from, percentiles[k]);
			assert(figure.exists);
			assert(figure.approximate == (measure.count > MEASURE_EXACT_MAX));
			assert(figure.approximate ? distance(figure.value, near) <=
							    0.0101 * (near < 0 ? -near : near)
						  : distance(figure.value, exact) < 1e-9);
			approximate += figure.approximate;
		}
		ck_assert_uint_gt(approximate, 0);
		while (measure.count > 10)
			measure_pop(&measure, (uint64_t)samples[from++], true);
		ck_assert(measure_is_stale(&measure));
		measure_clear(&measure);
		ck_assert(!measure_figure(&measure).exists);
		ck_assert_int_eq(measure_push(&measure, 5000000, true), OK);
		ck_assert(measure_figure(&measure).value == 5);
		measure_done(&measure);
	}
}
END_TEST

/* A figure that is a bound in decimal fractions is that bound, whatever the percentile: all of
 * this can be said in whole numbers. */
START_TEST(percentiles_meet_their_bounds)
{
	for (int percentile = 1; percentile <= 100; percentile++)
		for (size_t count = 1; count <= 120; count++) {
			struct correlation correlation = {.type = CORRELATION_VALUE_PERCENTILE,
							  .percentile = percentile};
			struct measure measure;
			measure_init(&correlation, &measure);
			for (size_t i = 0; i < count; i++) /* steps of 2.5 */
				assert(measure_push(&measure, i * 2500000, true) == OK);
			size_t fortieths = (size_t)percentile * (count - 1);
			ck_assert_msg(measure_figure(&measure).value == (double)fortieths / 40,
				      "percentile %d of %zu", percentile, count);
			measure_done(&measure);
		}
}
END_TEST

START_TEST(sums_of_all_signs_are_exact)
{
	struct correlation correlation = {.type = CORRELATION_VALUE_SUM};
	struct measure measure;
	int64_t large = INT64_MAX / 2;
	measure_init(&correlation, &measure);
	for (int i = 0; i < 8; i++)
		ck_assert_int_eq(measure_push(&measure, (uint64_t)large, true), OK);
	for (int i = 0; i < 8; i++)
		ck_assert_int_eq(measure_push(&measure, (uint64_t)-large, true), OK);
	ck_assert_int_eq(measure_push(&measure, (uint64_t)-1500000, true), OK);
	ck_assert(measure_figure(&measure).value == -1.5);
	for (int i = 0; i < 8; i++)
		measure_pop(&measure, (uint64_t)large, true);
	ck_assert(measure_figure(&measure).value < -3e13);
	measure_done(&measure);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("measure");
	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, percentiles_are_exact_or_within_their_error);
	tcase_add_test(tests, percentiles_meet_their_bounds);
	tcase_add_test(tests, sums_of_all_signs_are_exact);
	return run_tests("measure", tests);
}
