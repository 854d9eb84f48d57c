/* bucket - what the running bucket of a baseline has come to: how many events, how many different
 * values, a sum, an average, or the 95th percentile.
 *
 * Why: a bucket lasts from minutes to a day and is only read once, when it has ended; so its events
 * are not kept, and what is kept of them has a size that no flood can move.
 *
 * Invariant: everything in it is a function of the multiset of values taken; so its figure is the
 * same for every order of arrival, bit for bit. Owner: a baseline. Thread: one. Units: values are
 * signed millionths, or keyed hashes of what is counted as different.
 * Limits: exact up to BUCKET_EXACT_MAX different values or samples. Beyond, different values are
 * those of a sketch with a standard error of 1.6 % (cardinality.h), a percentile lies within
 * MEASURE_ERROR_PERCENT (measure.h), and the figure is approximate. */
#ifndef PICKET_CORRELATE_BUCKET_H
#define PICKET_CORRELATE_BUCKET_H

#include "correlate/cardinality.h"
#include "correlate/measure.h"

enum { BUCKET_EXACT_MAX = 1024, BUCKET_PRECISION = 12 };

struct bucket {
	uint64_t samples;
	int64_t sum_high; /* of 2^64 */
	uint64_t sum_low;
	uint64_t *values; /* ascending, different ones or samples; while they are few */
	size_t value_count, value_capacity;
	struct cardinality different; /* when they are many */
	uint32_t *ranks;              /* of MEASURE_SKETCH_SIZE; NULL while they are few */
};

/* Takes one value more. After ENOMEMORY the bucket may only be done. */
enum status bucket_take(struct bucket *bucket, enum baseline_aggregate aggregate, uint64_t value);
/* An average or a percentile of nothing does not exist. */
struct figure bucket_figure(const struct bucket *bucket, enum baseline_aggregate aggregate);
void bucket_done(struct bucket *bucket); /* empty again */
size_t bucket_bytes(const struct bucket *bucket);

/* How much of a figure of that size a sketch may be wrong by. */
double bucket_error(enum baseline_aggregate aggregate, double value);

/* Counts and sums. */
void bucket_encode_sums(const struct bucket *bucket, struct bytes *to);
void bucket_decode_sums(struct cursor *from, struct bucket *bucket);
/* Different values or samples, for those that have them. Into one that has none; ECORRUPT. */
void bucket_encode_values(const struct bucket *bucket, enum baseline_aggregate aggregate,
			  struct bytes *to);
enum status bucket_decode_values(struct cursor *from, enum baseline_aggregate aggregate,
				 struct bucket *bucket);

#endif
