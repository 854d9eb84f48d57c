#include "tests/bench/canary/random.h"

#include <assert.h>
#include <math.h>

/* The generator is xoshiro256++ (Blackman and Vigna, Scrambled Linear Pseudorandom Number
 * Generators, 2021), its state filled by SplitMix64 so that neighbouring runs share nothing.
 *
 * Few expected events are drawn one by one: the gaps between them are geometric (binomial) or a
 * product of uniforms (Poisson). Many are drawn by transformed rejection with squeeze (Hörmann, The
 * Transformed Rejection Method for Generating Poisson Random Variables, 1993, PTRS; The Generation
 * of Binomial Random Variates, 1993, BTRS): about 1.2 tries whatever the mean. Both methods are
 * exact; test_random.c compares them with the distributions. */

enum { DIRECT_MAX = 12 }; /* expected events that are drawn one by one */

static uint64_t rotated(uint64_t x, int by)
{
	return x << by | x >> (64 - by);
}

static uint64_t mixed(uint64_t *state)
{
	uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

struct random random_of(uint64_t seed, uint64_t stream, uint64_t run)
{
	struct random random;
	uint64_t state = seed;
	state ^= mixed(&state) + stream;
	state ^= mixed(&state) + run;
	for (int i = 0; i < 4; i++)
		random.state[i] = mixed(&state);
	return random;
}

static uint64_t next(struct random *random)
{
	uint64_t *s = random->state;
	uint64_t result = rotated(s[0] + s[3], 23) + s[0];
	uint64_t kept = s[1] << 17;
	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= kept;
	s[3] = rotated(s[3], 45);
	return result;
}

double random_uniform(struct random *random)
{
	return ((double)(next(random) >> 12) + 0.5) * 0x1p-52;
}

double random_normal(struct random *random)
{
	double radius = sqrt(-2 * log(random_uniform(random)));
	return radius * cos(2 * M_PI * random_uniform(random));
}

static uint64_t binomial_by_gaps(struct random *random, uint64_t n, double p)
{
	double miss_log = log1p(-p);
	double place = -1;
	uint64_t count = 0;
	for (;;) {
		place += 1 + floor(log(random_uniform(random)) / miss_log);
		if (place >= (double)n)
			return count;
		count++;
	}
}

static uint64_t binomial_by_rejection(struct random *random, double n, double p)
{
	double deviation = sqrt(n * p * (1 - p));
	double b = 1.15 + 2.53 * deviation;
	double a = -0.0873 + 0.0248 * b + 0.01 * p;
	double alpha = (2.83 + 5.1 / b) * deviation;
	double mode = floor((n + 1) * p);
	double odds_log = log(p / (1 - p));
	double mode_log = lgamma(mode + 1) + lgamma(n - mode + 1);
	for (;;) {
		double u = random_uniform(random) - 0.5;
		double v = random_uniform(random);
		double edge = 0.5 - fabs(u);
		double k = floor((2 * a / edge + b) * u + n * p + 0.5);
		if (edge >= 0.07 && v <= 0.92 - 4.2 / b)
			return (uint64_t)k;
		if (k < 0 || k > n)
			continue;
		if (log(v * alpha / (a / (edge * edge) + b)) <=
		    mode_log - lgamma(k + 1) - lgamma(n - k + 1) + (k - mode) * odds_log)
			return (uint64_t)k;
	}
}

uint64_t random_binomial(struct random *random, uint64_t n, double p)
{
	assert(n <= (uint64_t)1 << 40);
	if (n == 0 || p <= 0)
		return 0;
	if (p >= 1)
		return n;
	if (p > 0.5)
		return n - random_binomial(random, n, 1 - p);
	return (double)n * p <= DIRECT_MAX ? binomial_by_gaps(random, n, p)
					   : binomial_by_rejection(random, (double)n, p);
}

static uint64_t poisson_by_product(struct random *random, double mean)
{
	double limit = exp(-mean);
	double product = random_uniform(random);
	uint64_t count = 0;
	while (product > limit) {
		product *= random_uniform(random);
		count++;
	}
	return count;
}

static uint64_t poisson_by_rejection(struct random *random, double mean)
{
	double mean_log = log(mean);
	double b = 0.931 + 2.53 * sqrt(mean);
	double a = -0.059 + 0.02483 * b;
	double inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
	for (;;) {
		double u = random_uniform(random) - 0.5;
		double v = random_uniform(random);
		double edge = 0.5 - fabs(u);
		double k = floor((2 * a / edge + b) * u + mean + 0.43);
		if (edge >= 0.07 && v <= 0.9277 - 3.6224 / (b - 2))
			return (uint64_t)k;
		if (k < 0 || (edge < 0.013 && v > edge))
			continue;
		if (log(v * inverse_alpha / (a / (edge * edge) + b)) <=
		    k * mean_log - mean - lgamma(k + 1))
			return (uint64_t)k;
	}
}

uint64_t random_poisson(struct random *random, double mean)
{
	if (mean <= 0)
		return 0;
	return mean <= DIRECT_MAX ? poisson_by_product(random, mean)
				  : poisson_by_rejection(random, mean);
}
