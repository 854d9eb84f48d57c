#include "correlate/latency.h"

#include <assert.h>
#include <math.h>

static const double ACCURACY = 0.02;

static double log_width(void)
{
	return log((1 + ACCURACY) / (1 - ACCURACY));
}

unsigned latency_bin_of(double duration_us)
{
	if (!(duration_us > 1))
		return 0;
	double index = ceil(log(duration_us) / log_width());
	return index < LATENCY_BINS - 1 ? (unsigned)index : LATENCY_BINS - 1;
}

double latency_bin_edge_us(unsigned index)
{
	assert(index < LATENCY_BINS);
	return exp(index * log_width());
}

void latency_sketch_add(struct latency_sketch *sketch, const struct latency_bin *bins,
			size_t bin_count)
{
	for (size_t i = 0; i < bin_count; i++) {
		assert(bins[i].index < LATENCY_BINS);
		uint32_t *count = &sketch->counts[bins[i].index];
		uint32_t room = UINT32_MAX - *count;
		uint32_t more = bins[i].count < room ? bins[i].count : room;
		*count += more;
		sketch->total += more;
	}
}

unsigned latency_quantile(const struct latency_sketch *one, const struct latency_sketch *other,
			  double quantile, uint64_t at_least)
{
	uint64_t total = one->total + other->total;
	assert(quantile > 0 && quantile < 1);
	if (total == 0 || total < at_least)
		return LATENCY_NO_BIN;
	double wanted = quantile * (double)total;
	uint64_t sum = 0;
	unsigned index = 0;
	for (;; index++) {
		sum += (uint64_t)one->counts[index] + other->counts[index];
		if ((double)sum >= wanted || index == LATENCY_BINS - 1)
			return index;
	}
}

uint64_t latency_above(const struct latency_bin *bins, size_t bin_count, unsigned index)
{
	uint64_t above = 0;
	for (size_t i = 0; i < bin_count; i++)
		above += bins[i].index > index ? bins[i].count : 0;
	return above;
}
