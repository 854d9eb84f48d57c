/* measure - what the events of one window come to: how many, how many different values, a sum, an
 * average, a percentile.
 *
 * Why: a window slides over the events of a group; its figure must be known after every step
 * without going through all of them again.
 *
 * Invariant: the figure is a function of the multiset of values pushed and not yet popped. Amounts
 * are whole millionths and sums have 128 bits, because sums of reals would depend on the order.
 * Percentiles are those between the two nearest samples (50 is the median everybody means); up to
 * MEASURE_EXACT_MAX samples they are exact, beyond that from a sketch (measure.c) with a relative
 * error of MEASURE_ERROR_PERCENT at most, and `approximate` says so.
 * Owner: whoever judges. Thread: one. Limits: memory for MEASURE_EXACT_MAX samples. */
#ifndef PICKET_CORRELATE_MEASURE_H
#define PICKET_CORRELATE_MEASURE_H

#include "correlate/judge.h"

enum {
	MEASURE_EXACT_MAX = 2048,
	MEASURE_ERROR_PERCENT = 1,
	MEASURE_SKETCH_SIZE = 2 * 2200 + 1, /* measure.c */
};

/* Where a sample is counted in the sketch, ascending with it; and what is told for that place. */
size_t sketch_place(int64_t sample);
double sketch_middle(size_t place);

struct measure {
	enum correlation_type type;
	double percentile;
	size_t count;       /* samples */
	size_t event_count; /* events they come from */
	struct judge distinct;
	int64_t sum_high; /* of 2^64 */
	uint64_t sum_low;
	int64_t *sorted; /* exact samples, while there are few */
	size_t sorted_count;
	uint32_t *sketch; /* how many samples lie in each bucket, NULL until it is needed */
};

struct figure {
	double value;
	bool exists;      /* an average of nothing does not */
	bool approximate; /* within MEASURE_ERROR_PERCENT */
};

void measure_init(const struct correlation *correlation, struct measure *measure);
void measure_done(struct measure *measure);
size_t measure_bytes(const struct measure *measure); /* behind the struct, about */
/* `first` of the values of its event. */
enum status measure_push(struct measure *measure, uint64_t value, bool first);
void measure_pop(struct measure *measure, uint64_t value, bool first);
/* The window has become small enough to be exact again, but the samples have to be pushed anew. */
bool measure_is_stale(const struct measure *measure);
void measure_clear(struct measure *measure);
struct figure measure_figure(const struct measure *measure);

/* Whether all comparisons of the condition hold. */
bool conditions_hold(const struct correlation *correlation, double value);
/* "average 612.5", for the alert's reason. */
void figure_print(const struct correlation *correlation, const struct figure *figure, char *to,
		  size_t size);

#endif
