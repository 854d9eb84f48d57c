/* A condition over rule names with `not` in it: "a and b and not c" (SEP 198).
 *
 * Judged at every event of a rule that is not negated. Let t be its time: a name counts as seen
 * when an event of it lies in [t - W, t], a negated one when an event of it lies in [t - W, t + W].
 * So "not c" means that no c came within the timespan before or after: whichever way a window of
 * that length is laid around the events that are there, no c is in it. That cannot be known before
 * the watermark has passed t + W. What holds contributes: the events of names that are not negated,
 * in [t - W, t].
 *
 * Events of one time count in any order. State: the events of the last 2 W.
 *
 * Oracle: tests/correlate/test_gated_oracle.c. */
#include "correlate/gated.h"
#include "correlate/judge.h"

#include <assert.h>

struct names_pass {
	const struct gated *gated;
	uint64_t negated;
	size_t counts[JUDGE_STEPS_MAX]; /* per name: behind, or for a negated one, around */
	size_t from, behind, ahead;     /* [from .. behind) and [from .. ahead) are counted */
};

static bool is_negated(const struct names_pass *pass, const struct gated_entry *entry)
{
	return (pass->negated >> entry->value & 1) != 0;
}

static void pass_count(struct names_pass *pass, size_t i, bool negated, int by)
{
	const struct gated_entry *entry = &pass->gated->entries[i];
	assert(entry->value < JUDGE_STEPS_MAX);
	if (is_negated(pass, entry) == negated)
		pass->counts[entry->value] += (size_t)by;
}

/* Moves what is counted to an event at time_us. */
static void pass_move(struct names_pass *pass, int64_t time_us, int64_t span_us)
{
	const struct gated_entry *entries = pass->gated->entries;
	size_t count = pass->gated->count;
	for (; pass->behind < count && entries[pass->behind].time_us <= time_us; pass->behind++)
		pass_count(pass, pass->behind, false, 1);
	for (; pass->ahead < count && (entries[pass->ahead].time_us <= time_us ||
				       time_within(time_us, entries[pass->ahead].time_us, span_us));
	     pass->ahead++)
		pass_count(pass, pass->ahead, true, 1);
	for (; !time_within(entries[pass->from].time_us, time_us, span_us); pass->from++) {
		pass_count(pass, pass->from, false, -1);
		pass_count(pass, pass->from, true, -1);
	}
}

static uint64_t pass_seen(const struct names_pass *pass)
{
	uint64_t seen = 0;
	for (unsigned i = 0; i < JUDGE_STEPS_MAX; i++)
		seen |= pass->counts[i] > 0 ? UINT64_C(1) << i : 0;
	return seen;
}

/* The events of entries[first .. behind) fire, what is not negated in the window contributes. An
 * event that shows several names is its first entry, so the whole of it is looked at. */
static enum status pass_tell(struct names_pass *pass, struct gated *gated, size_t first,
			     const struct unit *unit, struct window_news *news)
{
	enum status status = OK;
	for (size_t i = pass->from; status == OK && i < pass->behind;) {
		size_t end = i + 1;
		bool positive = !is_negated(pass, &gated->entries[i]);
		for (; end < pass->behind && gated->entries[end].secondary; end++)
			positive = positive || !is_negated(pass, &gated->entries[end]);
		struct gated_entry *entry = &gated->entries[i];
		if (positive && i >= first && unit->parent_count > 0)
			status = window_items_push(&news->fired, entry->time_us, entry->proof);
		if (status == OK && positive)
			status = gated_contribute(entry, unit, news);
		i = end;
	}
	news->degraded =
		news->degraded ||
		gated_is_cut(gated, time_before(gated->entries[first].time_us, unit->timespan_us));
	return status;
}

static enum status names_advance(struct gated *gated, const struct unit *unit, int64_t watermark_us,
				 struct window_news *news)
{
	const struct correlation *correlation = unit->rule->correlation;
	int64_t span_us = unit->timespan_us;
	struct names_pass pass = {.gated = gated, .negated = correlation->negated};
	enum status status = OK;
	while (status == OK && gated->decided_count < gated->count &&
	       time_passed(gated->entries[gated->decided_count].time_us, span_us, watermark_us)) {
		size_t first = gated->decided_count;
		gated->decided_count = gated_same_time(gated, first);
		pass_move(&pass, gated->entries[first].time_us, span_us);
		bool positive = false;
		for (size_t i = first; i < gated->decided_count; i++)
			positive = positive || !is_negated(&pass, &gated->entries[i]);
		if (positive && name_condition_holds(correlation->names, pass_seen(&pass)))
			status = pass_tell(&pass, gated, first, unit, news);
	}
	return status;
}

static int64_t names_next(const struct gated *gated, const struct unit *unit)
{
	return gated->decided_count < gated->count
		       ? time_after(gated->entries[gated->decided_count].time_us, unit->timespan_us)
		       : INT64_MAX;
}

/* An event is looked at until one W later is decided, which is another W later. */
static int64_t names_forget(struct gated *gated, const struct unit *unit, int64_t watermark_us)
{
	int64_t kept_us = time_after(unit->timespan_us, unit->timespan_us);
	gated_drop_passed(gated, kept_us, watermark_us);
	return gated->count == 0 ? INT64_MIN : time_after(gated->entries[0].time_us, kept_us);
}

const struct machine names_machine = {
	.advance = names_advance,
	.next_us = names_next,
	.forget = names_forget,
};
