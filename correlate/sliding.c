/* A condition that is judged at every event, over the window [t - W, t] that ends there: ranges of
 * a count ("more than 2 and at most 5"), averages, percentiles, medians, sums that may shrink.
 *
 * An event fires iff the condition holds for the figure of its window, and contributes iff some
 * window that holds contains it. The window ends at t, so it is complete when the watermark has
 * passed t; nothing else is waited for. All events of one time share one window. So order of
 * arrival cannot matter: when an event is judged, all that its window will ever hold is there, in
 * order of time.
 *
 * One pass over the events that were not judged yet: every event is pushed once and popped once
 * (measure.h), and the figure of a long window is kept until the next pass, so that the work per
 * event is constant. What is kept so is no state: it is not saved, a pass without it begins with
 * the events of W before the first that is new, and says the same.
 *
 * Memory: the events of the last W, at most GATED_ENTRIES_MAX.
 *
 * Meaning: the Sigma correlation specification: value_avg, value_percentile, ranges.
 * Oracle: tests/correlate/test_gated_oracle.c. */
#include "correlate/gated.h"
#include "correlate/measure.h"

#include <assert.h>
#include <stdlib.h>

/* Windows of fewer entries are counted anew: cheaper than to remember their figure. */
enum { KEEP_ENTRIES = 32, KEEP_RANKED_ENTRIES = 512 };

/* gated->memory: the figure of entries[from .. decided_count). */
struct kept {
	struct measure measure;
	size_t from;
};

struct pass {
	struct gated *gated;
	const struct unit *unit;
	struct window_news *news;
	struct kept *kept;
	size_t end;    /* the window is entries[kept->from .. end) */
	size_t marked; /* entries below have been told to contribute */
};

static enum status pass_push(struct pass *pass, size_t i)
{
	const struct gated_entry *entry = &pass->gated->entries[i];
	return measure_push(&pass->kept->measure, entry->value, !entry->secondary);
}

/* Moves the window to the one that ends at entries[end - 1]. */
static enum status pass_slide(struct pass *pass, size_t end)
{
	const struct gated_entry *entries = pass->gated->entries;
	int64_t span_us = pass->unit->timespan_us;
	enum status status = OK;
	for (; status == OK && pass->end < end; pass->end++)
		status = pass_push(pass, pass->end);
	while (status == OK &&
	       !time_within(entries[pass->kept->from].time_us, entries[end - 1].time_us, span_us)) {
		measure_pop(&pass->kept->measure, entries[pass->kept->from].value,
			    !entries[pass->kept->from].secondary);
		pass->kept->from++;
	}
	if (status != OK || !measure_is_stale(&pass->kept->measure))
		return status;
	measure_clear(&pass->kept->measure);
	for (size_t i = pass->kept->from; status == OK && i < end; i++)
		status = pass_push(pass, i);
	return status;
}

/* The window holds: its events contribute, those from `first` on fire. */
static enum status pass_tell(struct pass *pass, size_t first, const struct figure *figure)
{
	struct gated_entry *entries = pass->gated->entries;
	enum status status = OK;
	for (size_t i = first; status == OK && pass->unit->parent_count > 0 && i < pass->end; i++)
		if (!entries[i].secondary)
			status = window_items_push(&pass->news->fired, entries[i].time_us,
						   entries[i].proof);
	pass->marked = pass->marked > pass->kept->from ? pass->marked : pass->kept->from;
	for (; status == OK && pass->marked < pass->end; pass->marked++)
		status = gated_contribute(&entries[pass->marked], pass->unit, pass->news);
	pass->news->degraded = pass->news->degraded ||
			       gated_is_cut(pass->gated, time_before(entries[first].time_us,
								     pass->unit->timespan_us));
	pass->news->approximate = pass->news->approximate || figure->approximate;
	figure_print(pass->unit->rule->correlation, figure, pass->news->detail,
		     sizeof pass->news->detail);
	return status;
}

static void sliding_done(struct gated *gated)
{
	struct kept *kept = gated->memory;
	measure_done(&kept->measure);
	free(kept);
	gated->memory = NULL;
}

/* Goes on from what was kept, or from W before the first event that is new. */
static enum status pass_begin(struct pass *pass)
{
	struct gated *gated = pass->gated;
	pass->end = gated->decided_count;
	pass->kept = gated->memory;
	if (pass->kept != NULL)
		return OK;
	pass->kept = gated->memory = calloc(1, sizeof *pass->kept);
	if (pass->kept == NULL)
		return ENOMEMORY;
	measure_init(pass->unit->rule->correlation, &pass->kept->measure);
	int64_t begin_us = time_before(gated->entries[pass->end].time_us, pass->unit->timespan_us);
	while (gated->entries[pass->kept->from].time_us < begin_us)
		pass->kept->from++;
	enum status status = OK;
	for (size_t i = pass->kept->from; status == OK && i < pass->end; i++)
		status = pass_push(pass, i);
	return status;
}

static enum status sliding_advance(struct gated *gated, const struct unit *unit,
				   int64_t watermark_us, struct window_news *news)
{
	const struct correlation *correlation = unit->rule->correlation;
	struct pass pass = {.gated = gated, .unit = unit, .news = news};
	size_t begun = gated->decided_count;
	if (begun == gated->count)
		return OK;
	enum status status = pass_begin(&pass);
	while (status == OK && gated->decided_count < gated->count &&
	       time_passed(gated->entries[gated->decided_count].time_us, 0, watermark_us)) {
		size_t first = gated->decided_count;
		gated->decided_count = gated_same_time(gated, first);
		status = pass_slide(&pass, gated->decided_count);
		struct figure figure = {0};
		if (status == OK)
			figure = measure_figure(&pass.kept->measure);
		if (status == OK && figure.exists && conditions_hold(correlation, figure.value))
			status = pass_tell(&pass, first, &figure);
	}
	if (unit->parent_count == 0)
		gated_thin_decided(gated, begun);
	bool ranked = correlation->type == CORRELATION_VALUE_PERCENTILE ||
		      correlation->type == CORRELATION_VALUE_MEDIAN;
	size_t few = ranked ? KEEP_RANKED_ENTRIES : KEEP_ENTRIES;
	if (gated->memory != NULL && gated->decided_count - pass.kept->from <= few)
		sliding_done(gated);
	return status;
}

static int64_t sliding_next(const struct gated *gated, const struct unit *unit)
{
	(void)unit;
	return gated->decided_count < gated->count ? gated->entries[gated->decided_count].time_us
						   : INT64_MAX;
}

static int64_t sliding_forget(struct gated *gated, const struct unit *unit, int64_t watermark_us)
{
	struct kept *kept = gated->memory;
	size_t before = gated->count;
	while (kept != NULL && kept->from < gated->decided_count &&
	       time_passed(gated->entries[kept->from].time_us, unit->timespan_us, watermark_us)) {
		measure_pop(&kept->measure, gated->entries[kept->from].value,
			    !gated->entries[kept->from].secondary);
		kept->from++;
	}
	gated_drop_passed(gated, unit->timespan_us, watermark_us);
	if (kept != NULL)
		kept->from -= before - gated->count;
	return gated->count == 0 ? INT64_MIN
				 : time_after(gated->entries[0].time_us, unit->timespan_us);
}

static size_t sliding_bytes(const struct gated *gated)
{
	const struct kept *kept = gated->memory;
	return sizeof *kept + measure_bytes(&kept->measure);
}

const struct machine sliding_machine = {
	.advance = sliding_advance,
	.next_us = sliding_next,
	.forget = sliding_forget,
	.done = sliding_done,
	.bytes = sliding_bytes,
};
