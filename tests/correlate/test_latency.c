/* Bins, quantiles and counts above a threshold against naive ones over the durations themselves. */
#include "correlate/latency.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

static uint64_t random_state = 0x9e3779b97f4a7c15u;

static double uniform(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (double)(random_state >> 11) * 0x1p-53;
}

START_TEST(edges_enclose_their_durations)
{
	for (int i = 0; i < 20000; i++) {
		double us = exp(uniform() * log(7e8));
		unsigned bin = latency_bin_of(us);
		ck_assert_uint_lt(bin, LATENCY_BINS);
		ck_assert_double_le(us, latency_bin_edge_us(bin) * (1 + 1e-12));
		if (bin > 0)
			ck_assert_double_gt(us, latency_bin_edge_us(bin - 1) * (1 - 1e-12));
		ck_assert_double_le(latency_bin_edge_us(bin), fmax(1, us * 1.0409));
	}
	ck_assert_uint_eq(latency_bin_of(0), 0);
	ck_assert_uint_eq(latency_bin_of(-5), 0);
	ck_assert_uint_eq(latency_bin_of(NAN), 0);
	ck_assert_uint_eq(latency_bin_of(INFINITY), LATENCY_BINS - 1);
	ck_assert_uint_eq(latency_bin_of(1e300), LATENCY_BINS - 1);
}
END_TEST

static int by_value(const void *left, const void *right)
{
	double a = *(const double *)left;
	double b = *(const double *)right;
	return (a > b) - (a < b);
}

START_TEST(quantiles_and_counts_above_are_exact_at_edges)
{
	enum { COUNT = 5000 };
	static double durations[COUNT];
	static struct latency_sketch halves[2];
	for (int i = 0; i < COUNT; i++) {
		durations[i] = exp(uniform() * 12);
		struct latency_bin one = {(uint16_t)latency_bin_of(durations[i]), 1};
		latency_sketch_add(&halves[i % 2], &one, 1);
	}
	qsort(durations, COUNT, sizeof *durations, by_value);
	static const double QUANTILES[] = {0.01, 0.5, 0.9, 0.99};
	for (int q = 0; q < 4; q++) {
		unsigned bin = latency_quantile(&halves[0], &halves[1], QUANTILES[q], COUNT);
		double wanted = durations[(int)ceil(QUANTILES[q] * COUNT) - 1];
		ck_assert_uint_eq(bin, latency_bin_of(wanted));
		static struct latency_bin bins[LATENCY_BINS];
		size_t bin_count = 0;
		for (unsigned i = 0; i < LATENCY_BINS; i++)
			if (halves[0].counts[i] + halves[1].counts[i] > 0)
				bins[bin_count++] = (struct latency_bin){
					(uint16_t)i, halves[0].counts[i] + halves[1].counts[i]};
		uint64_t above = 0;
		for (int i = 0; i < COUNT; i++)
			above += durations[i] > latency_bin_edge_us(bin) * (1 + 1e-12);
		ck_assert_uint_eq(latency_above(bins, bin_count, bin), above);
	}
	ck_assert_uint_eq(latency_quantile(&halves[0], &halves[1], 0.5, COUNT + 1), LATENCY_NO_BIN);
	struct latency_sketch empty = {0};
	ck_assert_uint_eq(latency_quantile(&empty, &empty, 0.5, 0), LATENCY_NO_BIN);
	/* A bin that is full stays there. */
	struct latency_bin most = {7, UINT32_MAX};
	latency_sketch_add(&empty, &most, 1);
	latency_sketch_add(&empty, &most, 1);
	ck_assert_uint_eq(empty.counts[7], UINT32_MAX);
	ck_assert_uint_eq(latency_quantile(&empty, &empty, 0.5, 1), 7);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("correlate/latency");
	TCase *tests = tcase_create("tests");
	tcase_set_timeout(tests, 0);
	tcase_add_test(tests, edges_enclose_their_durations);
	tcase_add_test(tests, quantiles_and_counts_above_are_exact_at_edges);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
