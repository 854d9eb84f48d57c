/* random - the dice of the simulation: repeatable, fast, and exact in distribution.
 *
 * Why: a table of 20,000 canaries is worth something when anybody gets the same one. Each run has a
 * stream of its own, a function of (seed, cell, run), so the figures do not depend on how many
 * processes shared the work. Counts of a busy bucket are drawn in constant time, not request by
 * request.
 *
 * Invariant: the same seed gives the same numbers on every machine with the same libm.
 * Owner: the caller, plain data. Thread: one per struct. Limits: n up to 2^40. */
#ifndef PICKET_BENCH_RANDOM_H
#define PICKET_BENCH_RANDOM_H

#include <stdint.h>

struct random {
	uint64_t state[4];
};

struct random random_of(uint64_t seed, uint64_t stream, uint64_t run);
double random_uniform(struct random *random); /* in (0, 1) */
double random_normal(struct random *random);
uint64_t random_binomial(struct random *random, uint64_t n, double p);
uint64_t random_poisson(struct random *random, double mean);

#endif
