/* latency - durations in bins of constant relative width, and quantiles that are bin boundaries.
 *
 * Why: the gate asks how many requests of a bucket were slower than the baseline's own median, p90
 * and p99 of the half hour before. Counted into the bins of DDSketch (Masson, Rim and Lee, VLDB
 * 2019) the answer for a threshold that is the upper edge of a bin is exact, sketches of any split
 * add up, and nobody needs to know the threshold while counting.
 *
 * Invariant: bin i holds durations in (G^(i-1), G^i] microseconds, G = (1 + a)/(1 - a), a = 2 %: a
 * duration and the edge above it differ by at most 4.1 %; the first and the last bin also hold what
 * lies beyond them. Owner: the caller, plain data. Thread: one. Units: microseconds.
 * Limits: LATENCY_BINS, that is 1 us to 12 minutes. */
#ifndef PICKET_CORRELATE_LATENCY_H
#define PICKET_CORRELATE_LATENCY_H

#include <stddef.h>
#include <stdint.h>

enum { LATENCY_BINS = 512, LATENCY_NO_BIN = LATENCY_BINS };

/* One bin that is not empty. */
struct latency_bin {
	uint16_t index;
	uint32_t count;
};

unsigned latency_bin_of(double duration_us);
double latency_bin_edge_us(unsigned index); /* its upper edge */

/* Dense counts, for a sum over many buckets. */
struct latency_sketch {
	uint64_t total;
	uint32_t counts[LATENCY_BINS];
};
void latency_sketch_add(struct latency_sketch *sketch, const struct latency_bin *bins,
			size_t bin_count);

/* The smallest bin whose upper edge has at least quantile (0..1) of both sketches' durations at or
 * below it; LATENCY_NO_BIN when they hold fewer than at_least. */
unsigned latency_quantile(const struct latency_sketch *one, const struct latency_sketch *other,
			  double quantile, uint64_t at_least);
/* How many lie in bins above index. */
uint64_t latency_above(const struct latency_bin *bins, size_t bin_count, unsigned index);

#endif
