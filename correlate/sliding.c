/* A condition that is judged at every event, over the window [t - W, t] that ends there: ranges of
 * a count ("more than 2 and at most 5"), averages, percentiles, medians, sums that may shrink.
 *
 * An event fires iff the condition holds for the figure of its window, and contributes iff some
 * window that holds contains it. The window ends at t, so it is complete when the watermark has
 * passed t; nothing else is waited for. All events of one time share one window.
 *
 * One pass over the events that were not judged yet, from W before the first of them: every event
 * is pushed once and popped once (measure.h), so the work is that of the events of one window plus
 * the new ones. Nothing is kept between two passes but the events: what a pass says is a function
 * of them alone, so a restart cannot change it.
 *
 * Memory: the events of the last W, at most GATED_ENTRIES_MAX. */
#include "correlate/gated.h"
#include "correlate/measure.h"

#include <assert.h>

struct pass {
	struct gated *gated;
	const struct unit *unit;
	struct window_news *news;
	struct measure measure;
	size_t from; /* the window is entries[from .. end) */
	size_t end;
	size_t marked; /* entries below have been told to contribute */
};

static enum status pass_push(struct pass *pass, size_t i)
{
	const struct gated_entry *entry = &pass->gated->entries[i];
	return measure_push(&pass->measure, entry->value, !entry->secondary);
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
	       !time_within(entries[pass->from].time_us, entries[end - 1].time_us, span_us)) {
		measure_pop(&pass->measure, entries[pass->from].value,
			    !entries[pass->from].secondary);
		pass->from++;
	}
	if (status != OK || !measure_is_stale(&pass->measure))
		return status;
	measure_clear(&pass->measure);
	for (size_t i = pass->from; status == OK && i < end; i++)
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
	pass->marked = pass->marked > pass->from ? pass->marked : pass->from;
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

static enum status sliding_advance(struct gated *gated, const struct unit *unit,
				   int64_t watermark_us, struct window_news *news)
{
	const struct correlation *correlation = unit->rule->correlation;
	struct pass pass = {.gated = gated, .unit = unit, .news = news};
	if (gated->decided_count == gated->count)
		return OK;
	measure_init(correlation, &pass.measure);
	int64_t begin_us =
		time_before(gated->entries[gated->decided_count].time_us, unit->timespan_us);
	while (gated->entries[pass.from].time_us < begin_us)
		pass.from++;
	pass.end = pass.from;
	enum status status = OK;
	while (status == OK && gated->decided_count < gated->count &&
	       time_passed(gated->entries[gated->decided_count].time_us, 0, watermark_us)) {
		size_t first = gated->decided_count;
		gated->decided_count = gated_same_time(gated, first);
		status = pass_slide(&pass, gated->decided_count);
		struct figure figure = {0};
		if (status == OK)
			figure = measure_figure(&pass.measure);
		if (status == OK && figure.exists && conditions_hold(correlation, figure.value))
			status = pass_tell(&pass, first, &figure);
	}
	measure_done(&pass.measure);
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
	gated_drop_passed(gated, unit->timespan_us, watermark_us);
	return gated->count == 0 ? INT64_MIN
				 : time_after(gated->entries[0].time_us, unit->timespan_us);
}

const struct machine sliding_machine = {
	.advance = sliding_advance,
	.next_us = sliding_next,
	.forget = sliding_forget,
};
