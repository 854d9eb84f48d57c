/* The sketch is DDSketch (Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable quantile sketch
 * with relative-error guarantees", VLDB 2019): bucket i counts the samples x with
 * g^(i-1) < |x| <= g^i, where g = (1 + a) / (1 - a) and a is the relative error allowed; the middle
 * 2 g^i / (g + 1) is within a of everything in it. Amounts are 63-bit whole numbers, so that there
 * are few enough buckets for an array, and counts can be taken back when the window moves on. */
#include "correlate/measure.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ceil(ln(2^63) / ln(1.01 / 0.99)) = 2,184. */
enum { BUCKETS = MEASURE_SKETCH_SIZE / 2 };

static const double millionths = 1e6;

static double growth(void)
{
	double error = MEASURE_ERROR_PERCENT / 100.0;
	return (1 + error) / (1 - error);
}

/* Ascending with the sample: negative ones mirrored, zero in the middle. */
size_t sketch_place(int64_t sample)
{
	if (sample == 0)
		return BUCKETS;
	double size = fabs((double)sample);
	int index = (int)ceil(log(size) / log(growth()) - 1e-9);
	assert(index >= 0 && index < BUCKETS);
	return (size_t)(sample > 0 ? BUCKETS + 1 + index : BUCKETS - 1 - index);
}

double sketch_middle(size_t bucket)
{
	if (bucket == BUCKETS)
		return 0;
	bool positive = bucket > BUCKETS;
	int index = positive ? (int)bucket - BUCKETS - 1 : BUCKETS - 1 - (int)bucket;
	double middle = 2 * pow(growth(), index) / (growth() + 1);
	return positive ? middle : -middle;
}

static bool ranks(const struct measure *measure)
{
	return measure->type == CORRELATION_VALUE_PERCENTILE ||
	       measure->type == CORRELATION_VALUE_MEDIAN;
}

void measure_init(const struct correlation *correlation, struct measure *measure)
{
	*measure = (struct measure){.type = correlation->type,
				    .percentile = correlation->type == CORRELATION_VALUE_MEDIAN
							  ? 50
							  : correlation->percentile};
}

void measure_done(struct measure *measure)
{
	judge_done(&measure->distinct);
	free(measure->sorted);
	free(measure->sketch);
	*measure = (struct measure){0};
}

static const struct judge_rule distinct_rule = {.type = CORRELATION_VALUE_COUNT, .at_least = 1};

size_t measure_bytes(const struct measure *measure)
{
	size_t ranked = measure->sketch == NULL
				? 0
				: MEASURE_SKETCH_SIZE * sizeof *measure->sketch +
					  MEASURE_EXACT_MAX * sizeof *measure->sorted;
	return ranked + judge_bytes(&measure->distinct);
}

void measure_clear(struct measure *measure)
{
	judge_clear(&measure->distinct, &distinct_rule);
	measure->count = measure->event_count = measure->sorted_count = 0;
	measure->sum_high = 0;
	measure->sum_low = 0;
	if (measure->sketch != NULL)
		memset(measure->sketch, 0, MEASURE_SKETCH_SIZE * sizeof *measure->sketch);
}

/* Behind all samples that are smaller. */
static size_t sorted_place(const struct measure *measure, int64_t sample)
{
	size_t low = 0;
	size_t high = measure->sorted_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (measure->sorted[middle] < sample)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static enum status rank_push(struct measure *measure, int64_t sample)
{
	if (measure->sketch == NULL) {
		measure->sketch = calloc(MEASURE_SKETCH_SIZE, sizeof *measure->sketch);
		measure->sorted = calloc(MEASURE_EXACT_MAX, sizeof *measure->sorted);
		if (measure->sketch == NULL || measure->sorted == NULL)
			return ENOMEMORY;
	}
	measure->sketch[sketch_place(sample)]++;
	if (measure->sorted_count != measure->count)
		return OK; /* not exact any more */
	if (measure->count == MEASURE_EXACT_MAX) {
		measure->sorted_count = 0;
		return OK;
	}
	size_t at = sorted_place(measure, sample);
	memmove(&measure->sorted[at + 1], &measure->sorted[at],
		(measure->sorted_count - at) * sizeof *measure->sorted);
	measure->sorted[at] = sample;
	measure->sorted_count++;
	return OK;
}

static void rank_pop(struct measure *measure, int64_t sample)
{
	measure->sketch[sketch_place(sample)]--;
	if (measure->sorted_count != measure->count)
		return;
	size_t at = sorted_place(measure, sample);
	assert(at < measure->sorted_count && measure->sorted[at] == sample);
	measure->sorted_count--;
	memmove(&measure->sorted[at], &measure->sorted[at + 1],
		(measure->sorted_count - at) * sizeof *measure->sorted);
}

enum status measure_push(struct measure *measure, uint64_t value, bool first)
{
	enum status status = OK;
	int64_t sample = (int64_t)value;
	if (measure->type == CORRELATION_VALUE_COUNT || measure->type == CORRELATION_TEMPORAL)
		status = judge_push(&measure->distinct, &distinct_rule, 0, value);
	else if (ranks(measure))
		status = rank_push(measure, sample);
	if (status != OK)
		return status;
	bool carry = __builtin_add_overflow(measure->sum_low, value, &measure->sum_low);
	measure->sum_high += (sample < 0 ? -1 : 0) + carry;
	measure->count++;
	measure->event_count += first;
	return OK;
}

void measure_pop(struct measure *measure, uint64_t value, bool first)
{
	int64_t sample = (int64_t)value;
	assert(measure->count > 0);
	if (measure->type == CORRELATION_VALUE_COUNT || measure->type == CORRELATION_TEMPORAL)
		judge_pop(&measure->distinct, &distinct_rule, value);
	else if (ranks(measure))
		rank_pop(measure, sample);
	bool borrow = __builtin_sub_overflow(measure->sum_low, value, &measure->sum_low);
	measure->sum_high -= (sample < 0 ? -1 : 0) + borrow;
	measure->count--;
	measure->event_count -= first;
}

bool measure_is_stale(const struct measure *measure)
{
	return ranks(measure) && measure->sorted_count != measure->count &&
	       measure->count <= MEASURE_EXACT_MAX;
}

static struct figure sketch_figure(const struct measure *measure, double rank)
{
	uint64_t before = 0;
	size_t bucket = 0;
	while (before + measure->sketch[bucket] <= (uint64_t)rank)
		before += measure->sketch[bucket++];
	assert(bucket < MEASURE_SKETCH_SIZE);
	return (struct figure){sketch_middle(bucket) / millionths, true, true};
}

/* In hundredths of a place, and divided last: 8 / 10 of the way from 0 to 2.5 must be 2, and not a
 * little less, or the answer to `gte: 2` would be that of the rounding. */
static struct figure rank_figure(const struct measure *measure)
{
	if (measure->count == 0)
		return (struct figure){0};
	double hundredths = measure->percentile * (double)(measure->count - 1);
	double place = floor(hundredths / 100);
	if (measure->sorted_count != measure->count)
		return sketch_figure(measure, place);
	size_t low = (size_t)place;
	size_t high = low + 1 < measure->count ? low + 1 : low;
	double beyond = hundredths - 100 * place;
	double below = (double)measure->sorted[low];
	double above = (double)measure->sorted[high];
	double value = beyond == 0 ? below * 100 : below * (100 - beyond) + above * beyond;
	return (struct figure){value / (100 * millionths), true, false};
}

/* In millionths. Exact below 2^53 of them, and the same for every order beyond. */
static double sum_of(const struct measure *measure)
{
	if (measure->sum_high == (measure->sum_low >> 63 == 0 ? 0 : -1))
		return (double)(int64_t)measure->sum_low;
	return (double)measure->sum_high * 0x1p64 + (double)measure->sum_low;
}

struct figure measure_figure(const struct measure *measure)
{
	switch (measure->type) {
	case CORRELATION_VALUE_COUNT:
	case CORRELATION_TEMPORAL:
		return (struct figure){(double)measure->distinct.different, true, false};
	case CORRELATION_VALUE_SUM:
		return (struct figure){sum_of(measure) / millionths, true, false};
	case CORRELATION_VALUE_AVG:
		if (measure->count == 0)
			return (struct figure){0};
		return (struct figure){sum_of(measure) / ((double)measure->count * millionths),
				       true, false};
	case CORRELATION_VALUE_PERCENTILE:
	case CORRELATION_VALUE_MEDIAN:
		return rank_figure(measure);
	default:
		return (struct figure){(double)measure->event_count, true, false};
	}
}

bool conditions_hold(const struct correlation *correlation, double value)
{
	for (size_t i = 0; i < correlation->condition_count; i++) {
		double bound = correlation->conditions[i].value;
		bool holds = false;
		switch (correlation->conditions[i].how) {
		case COMPARE_GT:
			holds = value > bound;
			break;
		case COMPARE_GTE:
			holds = value >= bound;
			break;
		case COMPARE_LT:
			holds = value < bound;
			break;
		case COMPARE_LTE:
			holds = value <= bound;
			break;
		case COMPARE_EQ:
			holds = value == bound;
			break;
		case COMPARE_NEQ:
			holds = value != bound;
			break;
		}
		if (!holds)
			return false;
	}
	return true;
}

void figure_print(const struct correlation *correlation, const struct figure *figure, char *to,
		  size_t size)
{
	const char *error = figure->approximate ? " (within 1 %)" : "";
	static_assert(MEASURE_ERROR_PERCENT == 1);
	switch (correlation->type) {
	case CORRELATION_VALUE_COUNT:
		(void)snprintf(to, size, "%.15g different values", figure->value);
		break;
	case CORRELATION_TEMPORAL:
		(void)snprintf(to, size, "%.15g different rules", figure->value);
		break;
	case CORRELATION_VALUE_SUM:
		(void)snprintf(to, size, "the sum is %.15g", figure->value);
		break;
	case CORRELATION_VALUE_AVG:
		(void)snprintf(to, size, "the average is %.6g", figure->value);
		break;
	case CORRELATION_VALUE_MEDIAN:
		(void)snprintf(to, size, "the median is %.6g%s", figure->value, error);
		break;
	case CORRELATION_VALUE_PERCENTILE:
		(void)snprintf(to, size, "percentile %g is %.6g%s", correlation->percentile,
			       figure->value, error);
		break;
	default:
		(void)snprintf(to, size, "%.15g events", figure->value);
		break;
	}
}
