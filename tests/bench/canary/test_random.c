/* The dice against the distributions they claim to have: Pearson's chi-square over the bulk of the
 * distribution, one by one where few events are expected and by rejection where many are. */
#include "tests/bench/canary/random.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DRAWS = 40000, VALUES_MAX = 4096 };

static unsigned counts[VALUES_MAX];

/* Chi-square of counts against expected probabilities, over values expected ten times or more. */
static double deviation(double (*log_probability)(double k, const double *of), const double *of)
{
	double chi = 0;
	unsigned cells = 0;
	for (unsigned k = 0; k < VALUES_MAX; k++) {
		double expected = DRAWS * exp(log_probability(k, of));
		if (expected < 10)
			continue;
		chi += (counts[k] - expected) * (counts[k] - expected) / expected;
		cells++;
	}
	ck_assert_uint_gt(cells, 1);
	return (chi - cells) / sqrt(2.0 * cells); /* about normal */
}

static double binomial_log(double k, const double *of)
{
	if (k > of[0])
		return -INFINITY;
	return lgamma(of[0] + 1) - lgamma(k + 1) - lgamma(of[0] - k + 1) + k * log(of[1]) +
	       (of[0] - k) * log1p(-of[1]);
}

static double poisson_log(double k, const double *of)
{
	return k * log(of[0]) - of[0] - lgamma(k + 1);
}

START_TEST(binomials)
{
	static const double OF[][2] = {{7, 0.3},   {1000, 0.001}, {1000, 0.012}, {1000, 0.0121},
				       {200, 0.5}, {200, 0.9},    {20000, 0.02}, {3, 0.999}};
	for (size_t i = 0; i < sizeof OF / sizeof *OF; i++) {
		struct random random = random_of(1, 2, i);
		memset(counts, 0, sizeof counts);
		for (int k = 0; k < DRAWS; k++) {
			uint64_t drawn = random_binomial(&random, (uint64_t)OF[i][0], OF[i][1]);
			ck_assert_uint_le(drawn, (uint64_t)OF[i][0]);
			counts[drawn]++;
		}
		ck_assert_double_lt(fabs(deviation(binomial_log, OF[i])), 4);
	}
	struct random random = random_of(1, 2, 3);
	ck_assert_uint_eq(random_binomial(&random, 0, 0.5), 0);
	ck_assert_uint_eq(random_binomial(&random, 9, 0), 0);
	ck_assert_uint_eq(random_binomial(&random, 9, 1), 9);
}
END_TEST

START_TEST(poissons)
{
	static const double OF[][1] = {{0.2}, {3}, {12}, {12.1}, {40}, {2000}};
	for (size_t i = 0; i < sizeof OF / sizeof *OF; i++) {
		struct random random = random_of(5, 6, i);
		memset(counts, 0, sizeof counts);
		for (int k = 0; k < DRAWS; k++) {
			uint64_t drawn = random_poisson(&random, OF[i][0]);
			ck_assert_uint_lt(drawn, VALUES_MAX);
			counts[drawn]++;
		}
		ck_assert_double_lt(fabs(deviation(poisson_log, OF[i])), 4);
	}
}
END_TEST

START_TEST(streams)
{
	struct random a = random_of(1, 2, 3);
	struct random b = random_of(1, 2, 3);
	struct random other_run = random_of(1, 2, 4);
	struct random other_stream = random_of(1, 3, 3);
	double first = random_uniform(&a);
	ck_assert(first == random_uniform(&b) && first > 0 && first < 1);
	ck_assert(first != random_uniform(&other_run) && first != random_uniform(&other_stream));
	/* Mean and variance of the normal. */
	double sum = 0;
	double squares = 0;
	for (int i = 0; i < DRAWS; i++) {
		double z = random_normal(&a);
		sum += z;
		squares += z * z;
	}
	ck_assert_double_lt(fabs(sum / DRAWS), 4 / sqrt(DRAWS));
	ck_assert_double_lt(fabs(squares / DRAWS - 1), 4 * sqrt(2.0 / DRAWS));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bench/random");
	TCase *tests = tcase_create("random");
	tcase_set_timeout(tests, 0);
	tcase_add_test(tests, binomials);
	tcase_add_test(tests, poissons);
	tcase_add_test(tests, streams);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
