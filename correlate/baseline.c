/* baseline: a bucket of time that is unlike the group's own history.
 *
 * Time is cut into buckets of the timespan (multiples since 1970). When the watermark has passed a
 * bucket's end, its figure x - events, a sum, or an average - is held against the figures of the
 * buckets remembered: all of them, or those of the same hour of the day or of the week (UTC). Let m
 * be their median and MAD the median of |x_i - m|: both stand firm when up to half of the history
 * is odd (Hampel, 1974). The deviation is |x - m| / s with
 *
 *   of counts and of different values:            s = max(1.4826 MAD, sqrt(max(m, 1)), e)
 *   of sums, averages and the 95th percentile:    s = max(1.4826 MAD, |m| / 20)
 *
 * The root is the standard deviation that a Poisson count of that mean has at least, so that small
 * counts do not fire; e is the error of a sketch, where there is one (bucket.h). The deviation
 * holds when it reaches the bound, in the direction asked for, and x or m reaches the floor. A
 * bucket without events counts as 0 (silence is a deviation too), but has no average and no
 * percentile.
 *
 * The first bucket of a group is not whole and is not learned. Fewer comparable buckets than
 * min-buckets are not judged; meanwhile every bucket is learned. A bucket that deviates is not
 * learned but put aside; `adapt` of them in a row are the new normal: they replace the history. A
 * group without an event for the whole history is forgotten.
 *
 * A bucket that holds is one contributing event, at its last microsecond. What is said depends on
 * the buckets' figures, and those on sums of whole numbers and on sets of values: not on the order
 * of arrival. When the
 * input ends for good, the bucket it ends in is not whole and is not judged.
 *
 * State: the running bucket, and the figures remembered, in a checkpoint:
 *   signed start_us   varint events   u64le, u64le the sum   signed last_us   u8 whole
 *   varint number of figures, oldest first: signed start, double figure; varint number put aside:
 *   the same; then the values of the running bucket (bucket.c), of those that have them
 *
 * Oracle: tests/correlate/test_baseline.c. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "correlate/bucket.h"
#include "correlate/gated.h"

struct past_figure {
	int64_t start_us;
	double value;
};

struct figures {
	struct past_figure *items;
	size_t count;
	size_t capacity;
};

struct baseline {
	int64_t start_us; /* of the running bucket */
	enum baseline_aggregate aggregate;
	struct bucket bucket;
	int64_t last_us; /* of the newest event */
	bool whole;      /* the group was there when the bucket began */
	uint8_t flags;   /* record_flags of its events */
	struct proof *proof;
	struct figures history, aside;
};

static enum status figures_push(struct figures *figures, const struct past_figure *figure,
				size_t max)
{
	if (figures->count == max) {
		figures->count--;
		memmove(figures->items, figures->items + 1,
			figures->count * sizeof *figures->items);
	}
	if (figures->count == figures->capacity) {
		size_t capacity = figures->capacity == 0 ? 8 : figures->capacity * 2;
		struct past_figure *grown = realloc(figures->items, capacity * sizeof *grown);
		if (grown == NULL)
			return ENOMEMORY;
		figures->items = grown;
		figures->capacity = capacity;
	}
	figures->items[figures->count++] = *figure;
	return OK;
}

static int64_t bucket_start(int64_t time_us, int64_t span_us)
{
	int64_t into_us = time_us % span_us;
	return time_before(time_us, into_us < 0 ? into_us + span_us : into_us);
}

static int64_t season_of(int64_t start_us, enum baseline_season season)
{
	static const int64_t hour_us = INT64_C(3600000000);
	int64_t hours = season == SEASON_HOUR_OF_DAY ? 24 : 24 * 7;
	int64_t hour = bucket_start(start_us, hour_us) / hour_us % hours;
	return season == SEASON_NONE ? 0 : hour < 0 ? hour + hours : hour;
}

static int compare_doubles(const void *a, const void *b)
{
	const double *left = a;
	const double *right = b;
	return (*left > *right) - (*left < *right);
}

static double median_of(double *values, size_t count)
{
	assert(count > 0);
	qsort(values, count, sizeof *values, compare_doubles);
	return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

/* What the group usually does at that time, and how much it varies. */
struct usual {
	size_t count;
	double median, scale;
};

static void values_free(double **values)
{
	free(*values);
	*values = NULL;
}

static enum status usual_of(const struct baseline *memory, const struct baseline_terms *terms,
			    int64_t start_us, struct usual *ret_usual)
{
	double *values cleanup(values_free) = calloc(memory->history.count + 1, sizeof *values);
	struct usual usual = {0};
	if (values == NULL)
		return ENOMEMORY;
	for (size_t i = 0; i < memory->history.count; i++)
		if (season_of(memory->history.items[i].start_us, terms->season) ==
		    season_of(start_us, terms->season))
			values[usual.count++] = memory->history.items[i].value;
	if (usual.count > 0) {
		usual.median = median_of(values, usual.count);
		for (size_t i = 0; i < usual.count; i++)
			values[i] = fabs(values[i] - usual.median);
		bool counts = terms->aggregate == AGGREGATE_COUNT ||
			      terms->aggregate == AGGREGATE_DISTINCT;
		double least = counts ? sqrt(usual.median > 1 ? usual.median : 1)
				      : fabs(usual.median) / 20;
		double error = bucket_error(terms->aggregate, usual.median);
		least = least > error ? least : error;
		usual.scale = 1.4826 * median_of(values, usual.count);
		usual.scale = usual.scale > least ? usual.scale : least;
	}
	*ret_usual = usual;
	return OK;
}

static bool deviates(const struct baseline_terms *terms, const struct usual *usual, double value,
		     double *ret_deviation)
{
	double difference = value - usual->median;
	bool wrong_way = (terms->direction == DIRECTION_UP && difference < 0) ||
			 (terms->direction == DIRECTION_DOWN && difference > 0);
	bool small = fabs(value) < terms->floor && fabs(usual->median) < terms->floor;
	*ret_deviation = usual->scale > 0  ? fabs(difference) / usual->scale
			 : difference == 0 ? 0
					   : (double)INFINITY;
	return !wrong_way && !small && difference != 0 &&
	       lower_bound_holds(&terms->deviation, *ret_deviation);
}

static enum status tell_deviation(const struct baseline *memory, const struct unit *unit,
				  double value, const struct usual *usual, double deviation,
				  struct window_news *news)
{
	int64_t last_us = time_after(memory->start_us, unit->timespan_us - 1);
	enum status status = window_items_push(&news->contributed, last_us, memory->proof);
	if (status == OK)
		news->contributed.items[news->contributed.count - 1].flags = memory->flags;
	if (status == OK && unit->parent_count > 0)
		status = window_items_push(&news->fired, last_us, memory->proof);
	(void)snprintf(news->detail, sizeof news->detail,
		       "%.6g where %.6g is usual (deviation %.3g, of %zu buckets)", value,
		       usual->median, deviation, usual->count);
	return status;
}

/* The running bucket has ended. */
static enum status bucket_judge(struct baseline *memory, const struct unit *unit,
				struct window_news *news)
{
	const struct baseline_terms *terms = unit->rule->correlation->baseline;
	struct figure now = bucket_figure(&memory->bucket, terms->aggregate);
	struct past_figure figure = {memory->start_us, now.value};
	struct usual usual = {0};
	double deviation = 0;
	if (!memory->whole || !now.exists)
		return OK;
	enum status status = usual_of(memory, terms, memory->start_us, &usual);
	if (status != OK)
		return status;
	uint32_t wanted = terms->min_buckets;
	if (terms->season != SEASON_NONE) /* of those that can be alike at all */
		wanted = wanted / (terms->season == SEASON_HOUR_OF_DAY ? 24 : 168);
	bool odd = usual.count >= (wanted > 2 ? wanted : 2) &&
		   memory->history.count >= terms->min_buckets &&
		   deviates(terms, &usual, figure.value, &deviation);
	if (!odd) {
		memory->aside.count = 0;
		return figures_push(&memory->history, &figure, terms->history);
	}
	news->approximate = news->approximate || now.approximate;
	status = tell_deviation(memory, unit, figure.value, &usual, deviation, news);
	if (status == OK)
		status = figures_push(&memory->aside, &figure, terms->history);
	if (status != OK || memory->aside.count < terms->adapt)
		return status;
	size_t said = strlen(news->detail);
	(void)snprintf(news->detail + said, sizeof news->detail - said, "; the new normal");
	struct figures old = memory->history;
	memory->history = memory->aside;
	memory->aside = (struct figures){0};
	free(old.items);
	return OK;
}

/* Ends the running bucket and begins the next. */
static enum status bucket_end(struct baseline *memory, const struct unit *unit,
			      struct window_news *news)
{
	enum status status = bucket_judge(memory, unit, news);
	memory->start_us = time_after(memory->start_us, unit->timespan_us);
	bucket_done(&memory->bucket);
	memory->whole = true;
	memory->flags = 0;
	proof_release(&memory->proof);
	return status;
}

static void baseline_done(struct gated *gated)
{
	struct baseline *memory = gated->memory;
	proof_release(&memory->proof);
	bucket_done(&memory->bucket);
	free(memory->history.items);
	free(memory->aside.items);
	free(memory);
	gated->memory = NULL;
}

static enum status take_entry(struct baseline *memory, const struct gated_entry *entry)
{
	memory->last_us = entry->time_us;
	memory->flags |= entry->flags;
	if (entry->proof != NULL &&
	    (memory->proof == NULL || proof_compare(memory->proof, entry->proof) < 0)) {
		proof_release(&memory->proof);
		memory->proof = proof_hold(entry->proof);
	}
	return bucket_take(&memory->bucket, memory->aggregate, entry->value);
}

static int64_t baseline_next(const struct gated *gated, const struct unit *unit)
{
	const struct baseline *memory = gated->memory;
	int64_t event_us = gated->count == 0 ? INT64_MAX : gated->entries[0].time_us;
	if (memory == NULL)
		return event_us;
	int64_t end_us = time_after(memory->start_us, unit->timespan_us - 1);
	return end_us < event_us ? end_us : event_us;
}

/* All the events that the watermark has passed and that lie in the running bucket. */
static enum status take_events(struct gated *gated, const struct unit *unit, int64_t watermark_us)
{
	int64_t first_us = gated->entries[0].time_us;
	if (gated->memory == NULL) {
		struct baseline *fresh = gated->memory = calloc(1, sizeof *fresh);
		if (fresh == NULL)
			return ENOMEMORY;
		fresh->start_us = bucket_start(first_us, unit->timespan_us);
		fresh->aggregate = unit->rule->correlation->baseline->aggregate;
	}
	struct baseline *memory = gated->memory;
	int64_t end_us = time_after(memory->start_us, unit->timespan_us - 1);
	enum status status = OK;
	size_t end = 0;
	for (; status == OK && end < gated->count && gated->entries[end].time_us <= end_us &&
	       time_passed(gated->entries[end].time_us, 0, watermark_us);
	     end++)
		status = take_entry(memory, &gated->entries[end]);
	gated_drop(gated, end);
	return status;
}

static enum status baseline_advance(struct gated *gated, const struct unit *unit,
				    int64_t watermark_us, struct window_news *news)
{
	const struct baseline_terms *terms = unit->rule->correlation->baseline;
	int64_t history_us = time_after(0, (int64_t)terms->history * unit->timespan_us);
	bool ends = watermark_us == INT64_MAX;
	enum status status = OK;
	while (status == OK && time_passed(baseline_next(gated, unit), 0, watermark_us)) {
		struct baseline *memory = gated->memory;
		int64_t end_us = memory == NULL
					 ? INT64_MAX
					 : time_after(memory->start_us, unit->timespan_us - 1);
		bool has_event = gated->count > 0 && gated->entries[0].time_us <= end_us;
		if (has_event)
			status = take_events(gated, unit, watermark_us);
		else if (ends && gated->count == 0)
			break; /* the bucket is not whole, and never will be */
		else
			status = bucket_end(memory, unit, news);
		if (status != OK)
			break; /* without memory there may be none */
		memory = gated->memory;
		if (!time_within(memory->last_us, time_after(memory->start_us, 0), history_us) &&
		    memory->start_us > memory->last_us)
			baseline_done(gated);
	}
	if (status == OK && ends && gated->memory != NULL)
		baseline_done(gated);
	return status;
}

static int64_t baseline_forget(struct gated *gated, const struct unit *unit, int64_t watermark_us)
{
	(void)watermark_us;
	return gated->memory == NULL && gated->count == 0 ? INT64_MIN : baseline_next(gated, unit);
}

static void figures_encode(const struct figures *figures, struct bytes *to)
{
	bytes_put_varint(to, figures->count);
	for (size_t i = 0; i < figures->count; i++) {
		bytes_put_signed(to, figures->items[i].start_us);
		bytes_put_double(to, figures->items[i].value);
	}
}

static void baseline_encode(const struct gated *gated, struct bytes *to)
{
	const struct baseline *memory = gated->memory;
	bytes_put_signed(to, memory->start_us);
	bucket_encode_sums(&memory->bucket, to);
	bytes_put_signed(to, memory->last_us);
	bytes_put_u8(to, memory->whole);
	bytes_put_u8(to, memory->flags);
	bytes_put_u8(to, memory->proof != NULL);
	if (memory->proof != NULL)
		proof_encode(memory->proof, to);
	figures_encode(&memory->history, to);
	figures_encode(&memory->aside, to);
	bucket_encode_values(&memory->bucket, memory->aggregate, to);
}

/* The newest `max`: history may have been edited since. */
static enum status figures_decode(struct cursor *from, size_t max, struct figures *figures)
{
	uint64_t count = cursor_varint(from);
	enum status status = from->failed || count > BASELINE_BUCKETS_MAX ? ECORRUPT : OK;
	for (size_t i = 0; status == OK && i < count; i++) {
		struct past_figure figure = {.start_us = cursor_signed(from)};
		figure.value = cursor_double(from);
		status = from->failed || !isfinite(figure.value)
				 ? ECORRUPT
				 : figures_push(figures, &figure, max);
	}
	return status;
}

static enum status baseline_decode(struct cursor *from, const struct unit *unit,
				   struct gated *gated)
{
	struct baseline *memory = gated->memory = calloc(1, sizeof *memory);
	if (memory == NULL)
		return ENOMEMORY;
	memory->aggregate = unit->rule->correlation->baseline->aggregate;
	memory->start_us = cursor_signed(from);
	bucket_decode_sums(from, &memory->bucket);
	memory->last_us = cursor_signed(from);
	uint8_t whole = cursor_u8(from);
	memory->flags = cursor_u8(from);
	uint8_t shown = cursor_u8(from);
	size_t history = unit->rule->correlation->baseline->history;
	bool near = memory->last_us < memory->start_us || /* so long ago: forgotten with the next */
		    time_within(memory->start_us, memory->last_us, unit->timespan_us);
	if (from->failed || whole > 1 || shown > 1 || !near)
		return ECORRUPT; /* a bucket far from its events would be followed by many */
	memory->whole = whole == 1;
	enum status status = shown == 1 ? proof_decode(from, &memory->proof) : OK;
	if (status == OK)
		status = figures_decode(from, history, &memory->history);
	if (status == OK)
		status = figures_decode(from, history, &memory->aside);
	return status == OK ? bucket_decode_values(from, memory->aggregate, &memory->bucket)
			    : status;
}

static size_t baseline_bytes(const struct gated *gated)
{
	const struct baseline *memory = gated->memory;
	return sizeof *memory + bucket_bytes(&memory->bucket) +
	       (memory->proof == NULL ? 0 : memory->proof->size) +
	       (memory->history.capacity + memory->aside.capacity) * sizeof(struct past_figure);
}

const struct machine baseline_machine = {
	.advance = baseline_advance,
	.next_us = baseline_next,
	.forget = baseline_forget,
	.encode = baseline_encode,
	.decode = baseline_decode,
	.done = baseline_done,
	.bytes = baseline_bytes,
};
