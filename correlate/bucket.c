/* The values of a bucket, exact while they are few and a sketch from then on. What is exact is a
 * sorted array; what is too much for it goes into the sketch as a whole, and everything after. That
 * is when the set of values has grown beyond BUCKET_EXACT_MAX, in whatever order they came, so the
 * form is a function of the values too, and not only the figure.
 *
 * In a checkpoint, of different values and samples:
 *   u8 0   varint number   then for each, ascending: u64le value
 *   u8 1   different values: the sketch (cardinality.c)
 *          samples: varint number of places, ascending, then for each: varint place less the one
 *          before (of the first: the place), varint count */
#include "correlate/bucket.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

enum { FORM_EXACT, FORM_SKETCH };

static const double millionths = 1e6;
static const double sketch_percentile = 95;

/* Samples are signed, hashes are not. */
static bool is_below(enum baseline_aggregate aggregate, uint64_t a, uint64_t b)
{
	return aggregate == AGGREGATE_P95 ? (int64_t)a < (int64_t)b : a < b;
}

static size_t value_place(const struct bucket *bucket, enum baseline_aggregate aggregate,
			  uint64_t value)
{
	size_t low = 0;
	size_t high = bucket->value_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (is_below(aggregate, bucket->values[middle], value))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_sketch(const struct bucket *bucket)
{
	return bucket->different.precision != 0 || bucket->ranks != NULL;
}

static enum status sketch_take(struct bucket *bucket, enum baseline_aggregate aggregate,
			       uint64_t value)
{
	if (aggregate == AGGREGATE_P95) {
		bucket->ranks[sketch_place((int64_t)value)]++;
		return OK;
	}
	struct cardinality_mark mark = cardinality_mark(BUCKET_PRECISION, value);
	if (cardinality_rank(&bucket->different, mark.at) >= mark.rank)
		return OK;
	return cardinality_raise(&bucket->different, mark);
}

/* There are too many of them to be exact. */
static enum status become_sketch(struct bucket *bucket, enum baseline_aggregate aggregate)
{
	enum status status = OK;
	if (aggregate == AGGREGATE_P95)
		bucket->ranks = calloc(MEASURE_SKETCH_SIZE, sizeof *bucket->ranks);
	else
		bucket->different.precision = BUCKET_PRECISION;
	if (aggregate == AGGREGATE_P95 && bucket->ranks == NULL)
		return ENOMEMORY;
	for (size_t i = 0; status == OK && i < bucket->value_count; i++)
		status = sketch_take(bucket, aggregate, bucket->values[i]);
	free(bucket->values);
	bucket->values = NULL;
	bucket->value_count = bucket->value_capacity = 0;
	return status;
}

static enum status value_take(struct bucket *bucket, enum baseline_aggregate aggregate,
			      uint64_t value)
{
	if (is_sketch(bucket))
		return sketch_take(bucket, aggregate, value);
	size_t at = value_place(bucket, aggregate, value);
	if (aggregate == AGGREGATE_DISTINCT && at < bucket->value_count &&
	    bucket->values[at] == value)
		return OK;
	if (bucket->value_count == BUCKET_EXACT_MAX) {
		enum status status = become_sketch(bucket, aggregate);
		return status == OK ? sketch_take(bucket, aggregate, value) : status;
	}
	if (bucket->value_count == bucket->value_capacity) {
		size_t capacity = bucket->value_capacity == 0 ? 8 : bucket->value_capacity * 2;
		uint64_t *grown = realloc(bucket->values, capacity * sizeof *grown);
		if (grown == NULL)
			return ENOMEMORY;
		bucket->values = grown;
		bucket->value_capacity = capacity;
	}
	memmove(&bucket->values[at + 1], &bucket->values[at],
		(bucket->value_count - at) * sizeof *bucket->values);
	bucket->values[at] = value;
	bucket->value_count++;
	return OK;
}

enum status bucket_take(struct bucket *bucket, enum baseline_aggregate aggregate, uint64_t value)
{
	if (aggregate == AGGREGATE_DISTINCT || aggregate == AGGREGATE_P95) {
		enum status status = value_take(bucket, aggregate, value);
		if (status != OK)
			return status;
	}
	bool carry = __builtin_add_overflow(bucket->sum_low, value, &bucket->sum_low);
	bucket->sum_high += ((int64_t)value < 0 ? -1 : 0) + carry;
	bucket->samples++;
	return OK;
}

static double different_values(const struct bucket *bucket)
{
	unsigned char registers[1 << BUCKET_PRECISION] = {0};
	cardinality_union(&bucket->different, registers);
	struct cardinality_ranks ranks = cardinality_ranks(BUCKET_PRECISION, registers);
	return cardinality_estimate(BUCKET_PRECISION, &ranks);
}

/* Between the two nearest samples, in hundredths of a place as in measure.c; of a sketch the lower
 * of the two. */
static double percentile(const struct bucket *bucket)
{
	double hundredths = sketch_percentile * (double)(bucket->samples - 1);
	double place = floor(hundredths / 100);
	if (bucket->ranks != NULL) {
		uint64_t before = 0;
		size_t at = 0;
		while (before + bucket->ranks[at] <= (uint64_t)place)
			before += bucket->ranks[at++];
		assert(at < MEASURE_SKETCH_SIZE);
		return sketch_middle(at) / millionths;
	}
	size_t low = (size_t)place;
	size_t high = low + 1 < bucket->value_count ? low + 1 : low;
	double beyond = hundredths - 100 * place;
	double below = (double)(int64_t)bucket->values[low];
	double above = (double)(int64_t)bucket->values[high];
	return (below * (100 - beyond) + above * beyond) / (100 * millionths);
}

struct figure bucket_figure(const struct bucket *bucket, enum baseline_aggregate aggregate)
{
	double sum = ((double)bucket->sum_high * 0x1p64 + (double)bucket->sum_low) / millionths;
	bool some = bucket->samples > 0;
	switch (aggregate) {
	case AGGREGATE_COUNT:
		return (struct figure){(double)bucket->samples, true, false};
	case AGGREGATE_SUM:
		return (struct figure){sum, true, false};
	case AGGREGATE_AVERAGE:
		return (struct figure){some ? sum / (double)bucket->samples : 0, some, false};
	case AGGREGATE_P95:
		return (struct figure){some ? percentile(bucket) : 0, some, is_sketch(bucket)};
	case AGGREGATE_DISTINCT:
	default:
		return (struct figure){is_sketch(bucket) ? different_values(bucket)
							 : (double)bucket->value_count,
				       true, is_sketch(bucket)};
	}
}

double bucket_error(enum baseline_aggregate aggregate, double value)
{
	bool sketched = aggregate == AGGREGATE_DISTINCT && value > BUCKET_EXACT_MAX / 2.0;
	return sketched ? value * cardinality_error(BUCKET_PRECISION) : 0;
}

void bucket_done(struct bucket *bucket)
{
	free(bucket->values);
	free(bucket->ranks);
	cardinality_done(&bucket->different);
	*bucket = (struct bucket){0};
}

size_t bucket_bytes(const struct bucket *bucket)
{
	return bucket->value_capacity * sizeof *bucket->values +
	       cardinality_bytes(&bucket->different) +
	       (bucket->ranks == NULL ? 0 : MEASURE_SKETCH_SIZE * sizeof *bucket->ranks);
}

void bucket_encode_sums(const struct bucket *bucket, struct bytes *to)
{
	bytes_put_varint(to, bucket->samples);
	bytes_put_u64le(to, (uint64_t)bucket->sum_high);
	bytes_put_u64le(to, bucket->sum_low);
}

void bucket_decode_sums(struct cursor *from, struct bucket *bucket)
{
	bucket->samples = cursor_varint(from);
	bucket->sum_high = (int64_t)cursor_u64le(from);
	bucket->sum_low = cursor_u64le(from);
}

static void ranks_encode(const uint32_t *ranks, struct bytes *to)
{
	size_t used = 0;
	size_t before = 0;
	for (size_t i = 0; i < MEASURE_SKETCH_SIZE; i++)
		used += ranks[i] > 0;
	bytes_put_varint(to, used);
	for (size_t i = 0; i < MEASURE_SKETCH_SIZE; i++) {
		if (ranks[i] == 0)
			continue;
		bytes_put_varint(to, i - before);
		bytes_put_varint(to, ranks[i]);
		before = i;
	}
}

void bucket_encode_values(const struct bucket *bucket, enum baseline_aggregate aggregate,
			  struct bytes *to)
{
	if (aggregate != AGGREGATE_DISTINCT && aggregate != AGGREGATE_P95)
		return;
	bytes_put_u8(to, is_sketch(bucket) ? FORM_SKETCH : FORM_EXACT);
	if (bucket->ranks != NULL) {
		ranks_encode(bucket->ranks, to);
		return;
	}
	if (is_sketch(bucket)) {
		cardinality_encode(&bucket->different, to);
		return;
	}
	bytes_put_varint(to, bucket->value_count);
	for (size_t i = 0; i < bucket->value_count; i++)
		bytes_put_u64le(to, bucket->values[i]);
}

/* As many samples as the bucket has, or a percentile would be looked for behind the last. */
static enum status ranks_decode(struct cursor *from, struct bucket *bucket)
{
	uint64_t total = 0;
	uint64_t at = 0;
	uint64_t used = cursor_varint(from);
	bucket->ranks = calloc(MEASURE_SKETCH_SIZE, sizeof *bucket->ranks);
	if (bucket->ranks == NULL)
		return ENOMEMORY;
	for (uint64_t i = 0; !from->failed && i < used; i++) {
		uint64_t step = cursor_varint(from);
		uint64_t count = cursor_varint(from);
		if (step >= MEASURE_SKETCH_SIZE || at + step >= MEASURE_SKETCH_SIZE ||
		    (i > 0 && step == 0) || count == 0 || count > UINT32_MAX)
			return ECORRUPT;
		at += step;
		bucket->ranks[at] = (uint32_t)count;
		total += count;
	}
	return from->failed || total != bucket->samples ? ECORRUPT : OK;
}

static enum status exact_decode(struct cursor *from, enum baseline_aggregate aggregate,
				struct bucket *bucket)
{
	uint64_t count = cursor_varint(from);
	if (from->failed || count > BUCKET_EXACT_MAX || count > bucket->samples ||
	    (aggregate == AGGREGATE_P95 && count != bucket->samples))
		return ECORRUPT;
	for (uint64_t i = 0; i < count; i++) {
		uint64_t value = cursor_u64le(from);
		bool falls = i > 0 && is_below(aggregate, value, bucket->values[i - 1]);
		if (from->failed || falls)
			return ECORRUPT;
		enum status status = value_take(bucket, aggregate, value);
		if (status != OK)
			return status;
		if (bucket->value_count != i + 1)
			return ECORRUPT; /* twice */
	}
	return OK;
}

enum status bucket_decode_values(struct cursor *from, enum baseline_aggregate aggregate,
				 struct bucket *bucket)
{
	if (aggregate != AGGREGATE_DISTINCT && aggregate != AGGREGATE_P95)
		return OK;
	uint8_t form = cursor_u8(from);
	if (from->failed || form > FORM_SKETCH)
		return ECORRUPT;
	if (form == FORM_EXACT)
		return exact_decode(from, aggregate, bucket);
	if (aggregate == AGGREGATE_P95)
		return ranks_decode(from, bucket);
	bucket->different.precision = BUCKET_PRECISION;
	return cardinality_decode(from, &bucket->different);
}
