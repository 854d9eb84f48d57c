/* The statistics against independent computations: exact fractions for small counts, enumeration
 * in long double for large ones, the defining property E[e] <= 1, and simulated canaries. */
#include "correlate/evalue.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const double NEAR = 1e-9;

/* log C(n, k) in long double. */
static long double log_choose(long double n, long double k)
{
	return lgammal(n + 1) - lgammal(k + 1) - lgammal(n - k + 1);
}

/* log Z(psi) by summing the whole support, its largest term taken out. */
static long double log_z(const struct evalue_count *count, long double psi)
{
	long double n_c = (long double)count->n_c;
	long double n_b = (long double)count->n_b;
	long double x = (long double)(count->x_c + count->x_b);
	long double low = x > n_b ? x - n_b : 0;
	long double high = x < n_c ? x : n_c;
	long double largest = -INFINITY;
	for (long double k = low; k <= high; k++)
		largest =
			fmaxl(largest, log_choose(n_c, k) + log_choose(n_b, x - k) + k * logl(psi));
	long double sum = 0;
	for (long double k = low; k <= high; k++)
		sum += expl(log_choose(n_c, k) + log_choose(n_b, x - k) + k * logl(psi) - largest);
	return largest + logl(sum);
}

static double enumerated(const struct evalue_count *count, double psi_null, double psi)
{
	return (double)((long double)count->x_c *
				(logl((long double)psi) - logl((long double)psi_null)) +
			log_z(count, psi_null) - log_z(count, psi));
}

/* C(n, k) exactly. */
static unsigned __int128 choose(unsigned n, unsigned k)
{
	unsigned __int128 result = 1;
	for (unsigned i = 1; i <= k; i++)
		result = result * (n - k + i) / i;
	return result;
}

/* Z(numerator / denominator) * denominator^x as an integer: exact for small counts. */
static unsigned __int128 scaled_z(unsigned n_c, unsigned n_b, unsigned x, unsigned numerator,
				  unsigned denominator)
{
	unsigned __int128 sum = 0;
	for (unsigned k = x > n_b ? x - n_b : 0; k <= (x < n_c ? x : n_c); k++) {
		unsigned __int128 term = choose(n_c, k) * choose(n_b, x - k);
		for (unsigned i = 0; i < x; i++)
			term *= i < k ? numerator : denominator;
		sum += term;
	}
	return sum;
}

START_TEST(exact_fractions)
{
	unsigned compared = 0;
	for (unsigned n_c = 0; n_c <= 9; n_c++)
		for (unsigned n_b = 0; n_b <= 9; n_b++)
			for (unsigned x_c = 0; x_c <= n_c; x_c++)
				for (unsigned x_b = 0; x_b <= n_b; x_b++) {
					struct evalue_count count = {n_c, x_c, n_b, x_b};
					unsigned x = x_c + x_b;
					/* psi0 = 5/4, psi = 3/1 */
					long double z0 = (long double)scaled_z(n_c, n_b, x, 5, 4) /
							 powl(4, x);
					long double z1 = (long double)scaled_z(n_c, n_b, x, 3, 1);
					long double exact = powl(3 / 1.25L, x_c) * z0 / z1;
					double ours = evalue_log_ratio(&count, 1.25, 3);
					ck_assert_double_eq_tol(ours, (double)logl(exact), NEAR);
					compared++;
				}
	ck_assert_uint_eq(compared, 55 * 55);
}
END_TEST

START_TEST(large_counts_by_enumeration)
{
	static const struct evalue_count COUNTS[] = {
		{200, 3, 1800, 11},
		{20, 20, 180, 0},
		{1, 1, 1, 0},
		{1, 0, 1000000, 17},
		{1000000, 40, 1, 1},
		{1000, 999, 1000, 2},
		{100000, 5000, 900000, 5000},
		{1000000, 0, 1000000, 31},
		{1000000, 3, 9000000, 0},
		{1000, 1000, 1000, 999},
		{200000, 100000, 800000, 0},
		{1000000, 60000, 1000000, 40000},
	};
	static const double PSIS[] = {0.1, 0.75, 1, 1.5, 4.2, 75};
	for (size_t i = 0; i < sizeof COUNTS / sizeof *COUNTS; i++)
		for (size_t j = 0; j < sizeof PSIS / sizeof *PSIS; j++) {
			double ours = evalue_log_ratio(&COUNTS[i], 1.25, PSIS[j]);
			double exact = enumerated(&COUNTS[i], 1.25, PSIS[j]);
			/* 1e-9, and of the value where that is large: e beyond exp(1000). */
			ck_assert_double_eq_tol(ours, exact, NEAR * fmax(1, fabs(exact) / 1000));
		}
}
END_TEST

START_TEST(both_ways_to_sum_agree)
{
	/* Around 256 bad outcomes, where Horner's form ends, and where it must be scaled. */
	for (uint64_t x = 251; x <= 262; x++)
		for (uint64_t x_c = 0; x_c <= x; x_c += 19) {
			struct evalue_count counts[] = {{2000, x_c, 18000, x - x_c},
							{18000, x_c, 2000, x - x_c},
							{1000000, x_c, 300, x - x_c},
							{x, x_c, x, x - x_c}};
			for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
				ck_assert_double_eq_tol(evalue_log_ratio(&counts[i], 1.25, 75),
							enumerated(&counts[i], 1.25, 75), NEAR);
		}
	/* Sums that begin above 0: more bad outcomes than the baseline has requests. */
	struct evalue_count few = {50, 40, 9, 8};
	ck_assert_double_eq_tol(evalue_log_ratio(&few, 2, 0.1), enumerated(&few, 2, 0.1), NEAR);
}
END_TEST

/* x_c given x under the rates: a sum over the binomial, term by term. */
static double poisson_enumerated(const struct evalue_count *count, double psi_null, double psi)
{
	long double n_c = (long double)count->n_c;
	long double n_b = (long double)count->n_b;
	long double at = n_c * (long double)psi / (n_c * (long double)psi + n_b);
	long double null = n_c * (long double)psi_null / (n_c * (long double)psi_null + n_b);
	return (double)((long double)count->x_c * (logl(at) - logl(null)) +
			(long double)count->x_b * (log1pl(-at) - log1pl(-null)));
}

START_TEST(mixtures_in_full)
{
	/* Everything that is kept, from the definition: points, logarithms and their mean. */
	static const struct evalue_count COUNTS[] = {
		{200, 3, 1800, 11}, {180, 0, 1700, 0}, {0, 0, 5, 5}, {500, 300, 500, 0}};
	for (int model = EVALUE_BERNOULLI; model <= EVALUE_POISSON; model++) {
		struct evalue evalue;
		struct evalue fail;
		evalue_init(&evalue, 1.25, 2, 0.001);
		evalue.model = model;
		fail = evalue;
		long double logs[EVALUE_FAIL_POINTS] = {0};
		for (size_t i = 0; i < sizeof COUNTS / sizeof *COUNTS; i++) {
			evalue_add(&evalue, &COUNTS[i]);
			evalue_add_fail(&fail, &COUNTS[i]);
			for (int j = 0; j < EVALUE_FAIL_POINTS; j++) {
				double psi = 1.25 * 1.2 * pow(50, j / 11.0);
				if (COUNTS[i].n_c > 0)
					logs[j] +=
						model == EVALUE_POISSON
							? poisson_enumerated(&COUNTS[i], 1.25, psi)
							: enumerated(&COUNTS[i], 1.25, psi);
			}
		}
		long double sum = 0;
		for (int j = 0; j < EVALUE_FAIL_POINTS; j++) {
			ck_assert_double_eq_tol(evalue.fail_log[j], (double)logs[j], NEAR);
			sum += expl(logs[j]) / EVALUE_FAIL_POINTS;
		}
		ck_assert_double_eq_tol(log(evalue_fail(&evalue)), (double)logl(sum), NEAR);
		ck_assert(evalue_fail(&fail) == evalue_fail(&evalue));
		static const double RELATIVES[] = {1, 0.75, 0.5, 0.1};
		sum = 0;
		for (int j = 0; j < EVALUE_PASS_POINTS; j++) {
			long double log_sum = 0;
			for (size_t i = 0; i < sizeof COUNTS / sizeof *COUNTS; i++)
				if (COUNTS[i].n_c > 0)
					log_sum +=
						model == EVALUE_POISSON
							? poisson_enumerated(&COUNTS[i], 2,
									     RELATIVES[j])
							: enumerated(&COUNTS[i], 2, RELATIVES[j]);
			sum += expl(log_sum) / EVALUE_PASS_POINTS;
		}
		ck_assert_double_eq_tol(log(evalue_relative(&evalue)), (double)logl(sum), NEAR);
	}
}
END_TEST

/* Sum over the support of P_psi(k) e(k): 1 at the null, below it on the side of the null. */
static double expectation(unsigned n_c, unsigned n_b, unsigned x, double psi_true, double psi_null,
			  double psi)
{
	long double sum = 0;
	for (unsigned k = x > n_b ? x - n_b : 0; k <= (x < n_c ? x : n_c); k++) {
		struct evalue_count count = {n_c, k, n_b, x - k};
		long double p = expl(log_choose(n_c, k) + log_choose(n_b, x - k) +
				     (long double)k * logl((long double)psi_true) -
				     log_z(&count, psi_true));
		sum += p * expl((long double)evalue_log_ratio(&count, psi_null, psi));
	}
	return (double)sum;
}

START_TEST(expectation_is_at_most_one)
{
	for (unsigned n_c = 1; n_c <= 60; n_c += 13)
		for (unsigned x = 1; x <= 40; x += 7) {
			unsigned n_b = 97;
			double psis[] = {1.5, 4, 75};
			for (size_t j = 0; j < 3; j++) {
				ck_assert_double_eq_tol(
					expectation(n_c, n_b, x, 1.25, 1.25, psis[j]), 1, NEAR);
				ck_assert_double_le(expectation(n_c, n_b, x, 1, 1.25, psis[j]),
						    1 + NEAR);
				ck_assert_double_le(expectation(n_c, n_b, x, 0.2, 1.25, psis[j]),
						    1 + NEAR);
			}
			/* PASS: alternatives below psi_tol, truth at or above it. */
			ck_assert_double_eq_tol(expectation(n_c, n_b, x, 2, 2, 0.5), 1, NEAR);
			ck_assert_double_le(expectation(n_c, n_b, x, 7, 2, 0.5), 1 + NEAR);
		}
}
END_TEST

START_TEST(silent_buckets_say_nothing)
{
	static const struct evalue_count SILENT[] = {
		{0, 0, 0, 0}, {0, 0, 1000, 12}, {77, 5, 0, 0}, {500, 0, 1000, 0}, {3, 3, 4, 4}};
	for (size_t i = 0; i < sizeof SILENT / sizeof *SILENT; i++) {
		struct evalue evalue;
		evalue_init(&evalue, 1.25, 2, 0.001);
		evalue_add(&evalue, &SILENT[i]);
		ck_assert(evalue_fail(&evalue) == 1);
		ck_assert(evalue_relative(&evalue) == 1);
	}
}
END_TEST

START_TEST(absolute_floor_in_closed_form)
{
	struct evalue evalue;
	evalue_init(&evalue, 1.25, 2, 0.001);
	/* Canary requests without an error that prove p_c < 0.1 % alone: the mean of both tests
	 * reaches 20 when the absolute one reaches 39. */
	uint64_t needed = 0;
	while (!evalue_not_inferior(&evalue, 0.05)) {
		evalue_add(&evalue, &(struct evalue_count){1, 0, 9, 0});
		needed++;
	}
	long double sum = 0;
	for (int j = 0; j < EVALUE_PASS_POINTS; j++) {
		static const long double PARTS[] = {0.6L, 0.3L, 0.1L, 0.001L};
		sum += powl((1 - PARTS[j] / 1000) / (1 - 0.001L), (long double)needed);
	}
	ck_assert_double_eq_tol(evalue_absolute(&evalue), (double)(sum / 4), 1e-6);
	ck_assert_double_ge(evalue_absolute(&evalue), 39);
	ck_assert_uint_gt(needed, 3000);
	ck_assert_uint_lt(needed, 5000);

	/* One error multiplies E'' by at most 0.6; a regression in view takes it out altogether. */
	double before = evalue_absolute(&evalue);
	evalue_add(&evalue, &(struct evalue_count){1, 1, 9, 0});
	ck_assert_double_le(evalue_absolute(&evalue), 0.6 * before);
	ck_assert(evalue_fail(&evalue) > 1 && !evalue_not_inferior(&evalue, 0.05));
}
END_TEST

START_TEST(order_of_buckets_and_repetition)
{
	static const struct evalue_count COUNTS[] = {
		{200, 3, 1800, 11}, {180, 0, 1700, 1}, {220, 9, 1900, 4}};
	struct evalue a;
	struct evalue b;
	evalue_init(&a, 1.25, 2, 0.001);
	evalue_init(&b, 1.25, 2, 0.001);
	for (int i = 0; i < 3; i++) {
		evalue_add(&a, &COUNTS[i]);
		evalue_add(&b, &COUNTS[i]);
	}
	ck_assert_mem_eq(&a, &b, sizeof a); /* bit for bit */
	ck_assert_double_ge(evalue_fail_sup(&a), evalue_fail(&a));
	ck_assert_double_ge(evalue_fail_sup(&a), 1);
}
END_TEST

START_TEST(events_per_request)
{
	static const struct evalue_count COUNTS[] = {
		{200, 3, 1800, 11}, {1, 900, 1000, 3}, {1000000, 0, 3, 70}, {17, 17, 17, 17}};
	for (size_t i = 0; i < sizeof COUNTS / sizeof *COUNTS; i++)
		for (double psi = 0.1; psi < 80; psi *= 3)
			ck_assert_double_eq_tol(evalue_log_ratio_poisson(&COUNTS[i], 1.25, psi),
						poisson_enumerated(&COUNTS[i], 1.25, psi), NEAR);
	/* E = 1 at the null, below it on its side: the binomial summed up. */
	for (double truth = 0.25; truth <= 1.25; truth += 0.25) {
		long double sum = 0;
		long double theta = 30 * (long double)truth / (30 * (long double)truth + 70);
		for (unsigned k = 0; k <= 12; k++) {
			struct evalue_count count = {30, k, 70, 12 - k};
			long double p = expl(log_choose(12, k) + k * logl(theta) +
					     (12 - k) * log1pl(-theta));
			sum += p * expl((long double)evalue_log_ratio_poisson(&count, 1.25, 4));
		}
		if (truth == 1.25)
			ck_assert_double_eq_tol((double)sum, 1, NEAR);
		ck_assert_double_le((double)sum, 1 + NEAR);
	}
	/* Nothing in one arm says nothing; the absolute test is the Poisson's. */
	struct evalue evalue;
	evalue_init(&evalue, 1.25, 2, 0.01);
	evalue.model = EVALUE_POISSON;
	evalue_add(&evalue, &(struct evalue_count){0, 5, 100, 3});
	ck_assert(evalue_fail(&evalue) == 1 && evalue_relative(&evalue) == 1);
	evalue_init(&evalue, 1.25, 2, 0.01);
	evalue.model = EVALUE_POISSON;
	evalue_add(&evalue, &(struct evalue_count){500, 2, 100, 3});
	double expected = 0;
	static const double PARTS[] = {0.6, 0.3, 0.1, 0.001};
	for (int j = 0; j < 4; j++)
		expected += pow(PARTS[j], 2) * exp(500 * 0.01 * (1 - PARTS[j])) / 4;
	ck_assert_double_eq_tol(evalue_absolute(&evalue), expected, NEAR * expected);
}
END_TEST

START_TEST(other_side)
{
	struct evalue_count count = {200, 3, 1800, 11};
	struct evalue_count mirrored = evalue_mirror(&count);
	ck_assert(mirrored.n_c == 1800 && mirrored.x_c == 11 && mirrored.n_b == 200 &&
		  mirrored.x_b == 3);
	/* psi becomes 1/psi. */
	ck_assert_double_eq_tol(evalue_log_ratio(&mirrored, 1 / 1.25, 1 / 4.0),
				evalue_log_ratio(&count, 1.25, 4), NEAR);
}
END_TEST

/* The Bayes factor as an integral over the canary's share, by Simpson's rule. */
static double split_by_quadrature(unsigned c, unsigned b, double share)
{
	enum { STEPS = 400000 };
	long double prior_c = 100 * (long double)share;
	long double prior_b = 100 - prior_c;
	long double constant = lgammal(100) - lgammal(prior_c) - lgammal(prior_b) -
			       c * logl((long double)share) - b * log1pl(-(long double)share);
	long double sum = 0;
	for (int i = 1; i < STEPS; i++) {
		long double theta = (long double)i / STEPS;
		long double density = expl(constant + (prior_c - 1 + c) * logl(theta) +
					   (prior_b - 1 + b) * log1pl(-theta));
		sum += density * (i % 2 == 1 ? 4 : 2);
	}
	return (double)logl(sum / 3 / STEPS);
}

START_TEST(split_against_quadrature)
{
	static const struct {
		unsigned c, b;
		double share;
	} SPLITS[] = {{0, 0, 0.1}, {10, 90, 0.1}, {60, 140, 0.1}, {1, 500, 0.25}, {400, 400, 0.5}};
	for (size_t i = 0; i < sizeof SPLITS / sizeof *SPLITS; i++)
		ck_assert_double_eq_tol(
			evalue_log_split(SPLITS[i].c, SPLITS[i].b, SPLITS[i].share),
			split_by_quadrature(SPLITS[i].c, SPLITS[i].b, SPLITS[i].share), NEAR);
	/* An e-value: its mean under the declared split is 1. */
	long double mean = 0;
	for (unsigned k = 0; k <= 60; k++)
		mean += expl(log_choose(60, k) + k * logl(0.2L) + (60 - k) * logl(0.8L) +
			     (long double)evalue_log_split(k, 60 - k, 0.2));
	ck_assert_double_eq_tol((double)mean, 1, NEAR);
}
END_TEST

START_TEST(extremes_stay_finite)
{
	struct evalue evalue;
	evalue_init(&evalue, 1.25, 2, 0.001);
	uint64_t most = (uint64_t)1 << 40;
	for (int i = 0; i < 3; i++)
		evalue_add(&evalue, &(struct evalue_count){1000000, 1000000, 1000000, 0});
	evalue_add(&evalue, &(struct evalue_count){most, 1, most, 1});
	ck_assert(isfinite(evalue_fail(&evalue)) && evalue_fail(&evalue) > 1e290);
	ck_assert(isfinite(evalue_relative(&evalue)) && evalue_relative(&evalue) >= 0);
	ck_assert(!evalue_not_inferior(&evalue, 0.05));
}
END_TEST

static uint64_t random_state;

static double uniform(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (double)(random_state >> 11) * 0x1p-53;
}

static uint64_t binomial(uint64_t n, double p)
{
	uint64_t count = 0;
	double place = -1;
	for (;;) {
		place += 1 + floor(log(1 - uniform()) / log1p(-p));
		if (place >= (double)n)
			return count;
		count++;
	}
}

/* Share of runs in which a canary of this rate ratio fails and passes within an hour. */
static void simulate(double ratio, int runs, double *ret_failed, double *ret_passed)
{
	enum { BUCKETS = 360, BAKE = 30 };
	int failed = 0;
	int passed = 0;
	for (int run = 0; run < runs; run++) {
		struct evalue evalue;
		evalue_init(&evalue, 1.25, 2, 0.001);
		bool done = false;
		for (int i = 0; i < BUCKETS && !done; i++) {
			/* A base rate that moves over the hour and has an incident in both arms. */
			double rate = i > 150 && i < 170 ? 0.1 : 0.006 + 0.004 * sin(i / 57.0);
			uint64_t n_c = 10 + (uint64_t)(uniform() * 20);
			uint64_t n_b = 100 + (uint64_t)(uniform() * 200);
			struct evalue_count count = {n_c, binomial(n_c, rate * ratio), n_b,
						     binomial(n_b, rate)};
			evalue_add(&evalue, &count);
			bool fails = evalue_fail_sup(&evalue) >= 100;
			bool passes = i >= BAKE && evalue_not_inferior(&evalue, 0.05);
			failed += fails;
			passed += passes && !fails;
			done = fails || passes;
		}
	}
	*ret_failed = (double)failed / runs;
	*ret_passed = (double)passed / runs;
}

START_TEST(simulated_canaries)
{
	enum { RUNS = 600 };
	random_state = 0x9e3779b97f4a7c15u;
	printf("simulation seed 0x%llx, %d runs per ratio\n", (unsigned long long)random_state,
	       RUNS);
	double failed = 0;
	double passed = 0;
	/* Four standard errors above the bound: a fixed seed, so this never flakes. */
	double slack = 4 * sqrt(0.01 * 0.99 / RUNS);
	simulate(1, RUNS, &failed, &passed);
	printf("ratio 1:    FAIL %.4f PASS %.4f\n", failed, passed);
	ck_assert_double_le(failed, 0.01 + slack);
	ck_assert_double_ge(passed, 0.5);
	simulate(1.25, RUNS, &failed, &passed);
	printf("ratio 1.25: FAIL %.4f PASS %.4f\n", failed, passed);
	ck_assert_double_le(failed, 0.01 + slack);
	simulate(2.1, RUNS, &failed, &passed);
	printf("ratio 2.1:  FAIL %.4f PASS %.4f\n", failed, passed);
	ck_assert_double_le(passed, 0.05 + 4 * sqrt(0.05 * 0.95 / RUNS));
	simulate(5, RUNS / 4, &failed, &passed);
	printf("ratio 5:    FAIL %.4f PASS %.4f\n", failed, passed);
	ck_assert_double_ge(failed, 0.95);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("correlate/evalue");
	TCase *tests = tcase_create("evalue");
	tcase_set_timeout(tests, 0);
	tcase_add_test(tests, exact_fractions);
	tcase_add_test(tests, large_counts_by_enumeration);
	tcase_add_test(tests, both_ways_to_sum_agree);
	tcase_add_test(tests, mixtures_in_full);
	tcase_add_test(tests, expectation_is_at_most_one);
	tcase_add_test(tests, silent_buckets_say_nothing);
	tcase_add_test(tests, absolute_floor_in_closed_form);
	tcase_add_test(tests, order_of_buckets_and_repetition);
	tcase_add_test(tests, events_per_request);
	tcase_add_test(tests, other_side);
	tcase_add_test(tests, split_against_quadrature);
	tcase_add_test(tests, extremes_stay_finite);
	tcase_add_test(tests, simulated_canaries);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
