/* A condition that few or no events satisfy: lt, lte, eq and neq of a count or a sum.
 *
 * "Fewer than five" holds in almost every sliding window of almost every group: so these are judged
 * in aligned windows, [k W, (k + 1) W) of the time since 1970, once each, when the watermark has
 * passed the end. They are judged for the groups that had events in them or in the one before: a
 * group that falls silent is seen once as empty (count and sum 0), and then forgotten; for one that
 * must never be silent there is the type absence.
 *
 * A window that holds is one contributing event of the group, at the last microsecond of the
 * window, shown by the window's last event: so an episode's count is the number of windows, and
 * windows next to each other are one episode. It fires at that time too.
 *
 * State: the events of windows that have not ended, and whether the next window is owed a judgement
 * although it may be empty. Nothing depends on the order in which they came.
 *
 * Oracle: tests/correlate/test_gated_oracle.c. */
#include "correlate/gated.h"
#include "correlate/measure.h"

#include <assert.h>

static int64_t window_start(int64_t time_us, int64_t span_us)
{
	int64_t into_us = time_us % span_us;
	return time_before(time_us, into_us < 0 ? into_us + span_us : into_us);
}

/* The start of the window that is judged next; INT64_MAX: none. */
static int64_t window_due(const struct gated *gated, const struct unit *unit)
{
	int64_t start_us = gated->owed_us == INT64_MIN ? INT64_MAX : gated->owed_us;
	if (gated->count == 0)
		return start_us;
	int64_t first_us = window_start(gated->entries[0].time_us, unit->timespan_us);
	return first_us < start_us ? first_us : start_us;
}

static int64_t aligned_next(const struct gated *gated, const struct unit *unit)
{
	int64_t start_us = window_due(gated, unit);
	return start_us == INT64_MAX ? INT64_MAX : time_after(start_us, unit->timespan_us - 1);
}

/* One window that has ended: entries[0 .. end). */
static enum status window_judge(struct gated *gated, const struct unit *unit, size_t end,
				int64_t last_us, struct window_news *news)
{
	const struct correlation *correlation = unit->rule->correlation;
	struct measure measure;
	enum status status = OK;
	measure_init(correlation, &measure);
	for (size_t i = 0; status == OK && i < end; i++)
		status = measure_push(&measure, gated->entries[i].value,
				      !gated->entries[i].secondary);
	struct figure figure = {0};
	if (status == OK)
		figure = measure_figure(&measure);
	measure_done(&measure);
	if (status != OK || !conditions_hold(correlation, figure.value))
		return status;
	struct proof *proof = NULL;
	for (size_t i = 0; i < end; i++)
		proof = gated->entries[i].proof != NULL ? gated->entries[i].proof : proof;
	status = window_items_push(&news->contributed, last_us, proof);
	if (status == OK && unit->parent_count > 0)
		status = window_items_push(&news->fired, last_us, proof);
	news->degraded =
		news->degraded || gated_is_cut(gated, time_before(last_us, unit->timespan_us - 1));
	figure_print(correlation, &figure, news->detail, sizeof news->detail);
	return status;
}

static enum status aligned_advance(struct gated *gated, const struct unit *unit,
				   int64_t watermark_us, struct window_news *news)
{
	enum status status = OK;
	while (status == OK && time_passed(aligned_next(gated, unit), 0, watermark_us)) {
		int64_t start_us = window_due(gated, unit);
		int64_t last_us = aligned_next(gated, unit);
		size_t end = 0;
		if (start_us == INT64_MAX)
			break; /* nothing waits, and nothing will come */
		while (end < gated->count && gated->entries[end].time_us <= last_us)
			end++;
		status = window_judge(gated, unit, end, last_us, news);
		gated->owed_us = end > 0 && last_us < INT64_MAX ? last_us + 1 : INT64_MIN;
		gated_drop(gated, end);
	}
	return status;
}

static int64_t aligned_forget(struct gated *gated, const struct unit *unit, int64_t watermark_us)
{
	(void)watermark_us;
	return window_due(gated, unit) == INT64_MAX ? INT64_MIN : aligned_next(gated, unit);
}

const struct machine aligned_machine = {
	.advance = aligned_advance,
	.next_us = aligned_next,
	.forget = aligned_forget,
};
