/* risk: what many rules found about one entity, added up.
 *
 * A rule with `picket.risk` adds its score to the entities that its match names, at the time of the
 * match; to one entity at most once in `once-per`, so that a loud rule is no proof of its own. An
 * addition of s at time t_i counts at t as s 2^-((t - t_i) / half-life), for a timespan (without a
 * half-life: in full). When the sum of an entity reaches the bound, and the additions within the
 * timespan name enough different tactics, all of them contribute to the alert. (Scores per entity
 * instead of per alert: what Splunk calls risk-based alerting and Elastic entity risk.)
 *
 * The sum only grows when something is added, so that is when it is looked at. Each term is rounded
 * to whole millionths before it is added: whole numbers commute, sums of reals do not. Of one
 * source and one time the greatest score counts, shown by the smallest event. Events wait until the
 * watermark has passed them and are then taken in order of time: the answer is a function of the
 * set of events.
 *
 * State: the additions of the last timespan, RISK_ADDITIONS_MAX of them (beyond that the oldest
 * goes, and alerts whose window reaches it are marked degraded), and until when each source adds
 * nothing more (risk_codec.c).
 *
 * Oracle: tests/correlate/test_risk.c. */
#include "correlate/risk_standing.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "correlate/values_private.h"
#include "rules/tactic.h"
#include "rules/utf8.h"

enum { SOURCES_SHOWN = 3, TITLE_SHOWN_BYTES = 24 };

static const double millionths = 1e6;

void risk_put(const struct unit *unit, const struct risk_source *source, struct text entity,
	      struct bytes *to)
{
	const struct risk_score *risk = source->rule->risk;
	double weight = risk_weight_of(unit->rule->correlation->risk, entity);
	uint64_t score = (uint64_t)llround((double)risk->score * weight);
	if (score == 0)
		return;
	values_put_tagged(RISK_SOURCE, source->hash, to);
	values_put_tagged(RISK_SCORE, score, to);
	values_put_tagged(RISK_TACTICS, tactics_of(source->rule->tags, source->rule->tag_count),
			  to);
	values_put_tagged(RISK_PAUSE, (uint64_t)risk->once_per_us, to);
}

static bool is_paused(const struct risk *risk, uint64_t source, int64_t time_us)
{
	size_t at = risk_pause_place(risk, source);
	return at < risk->pause_count && risk->pauses[at].source == source &&
	       time_us < risk->pauses[at].until_us;
}

/* --- the sum (risk_standing.c) */

/* The beginning of a title, whole characters. */
static struct text title_cut(struct text title)
{
	size_t size = 0;
	while (size < title.size) {
		size_t next = utf8_size(title, size);
		if (next == 0 || size + next > TITLE_SHOWN_BYTES)
			break;
		size += next;
	}
	return (struct text){title.data, size};
}

/* "score 132.4: Brute force 60, Impossible travel 42.4, New country 30; 2 tactics" */
static void tell_detail(const struct risk_standing *standing, struct window_news *news)
{
	char *to = news->detail;
	char *end = to + sizeof news->detail;
	to += snprintf(to, (size_t)(end - to), "score %.6g",
		       (double)standing->sum.score / millionths);
	for (size_t i = 0; i < SOURCES_SHOWN && i < standing->part_count; i++) {
		const struct risk_part *part = &standing->parts[i];
		if (part->rule == NULL)
			break;
		to += snprintf(to, (size_t)(end - to), "%s %.*s %.4g", i == 0 ? ":" : ",",
			       TEXT_ARG(title_cut(part->rule->title)),
			       (double)part->score / millionths);
	}
	(void)snprintf(to, (size_t)(end - to), "; %u tactic%s", standing->sum.tactics,
		       standing->sum.tactics == 1 ? "" : "s");
	static_assert(32 + SOURCES_SHOWN * (TITLE_SHOWN_BYTES + 16) < NEWS_DETAIL_BYTES_MAX);
}

static enum status tell_risk(struct risk *risk, const struct unit *unit, size_t first, size_t added,
			     struct window_news *news)
{
	enum status status = OK;
	for (size_t i = first; status == OK && i < risk->count; i++) {
		struct addition *addition = &risk->additions[i];
		if (i >= added && unit->parent_count > 0)
			status =
				window_items_push(&news->fired, addition->time_us, addition->proof);
		if (status != OK || addition->contributes)
			continue;
		addition->contributes = true;
		status = window_items_push(&news->contributed, addition->time_us, addition->proof);
		if (status == OK)
			news->contributed.items[news->contributed.count - 1].flags =
				addition->flags;
		if (unit->parent_count == 0)
			proof_release(&addition->proof);
	}
	return status;
}

/* Additions from `added` on came at time_us. */
static enum status risk_judge(struct risk *risk, const struct unit *unit, size_t added,
			      struct window_news *news)
{
	int64_t time_us = risk->additions[risk->count - 1].time_us;
	struct risk_standing standing cleanup(risk_standing_done) = {0};
	struct risk_sum sum = risk_sum(risk, unit, time_us);
	if (!sum.reached)
		return OK;
	enum status status = risk_stand(risk, unit, time_us, &standing);
	if (status != OK)
		return status;
	news->degraded = news->degraded || sum.cut;
	tell_detail(&standing, news);
	return tell_risk(risk, unit, sum.first, added, news);
}

/* --- events */

/* One event: its entries from `at` on. Returns behind the last of them. */
static size_t event_read(const struct gated *gated, size_t at, struct addition *addition,
			 int64_t *ret_pause_us)
{
	const struct gated_entry *entry = &gated->entries[at];
	*addition = (struct addition){
		.time_us = entry->time_us, .flags = entry->flags, .proof = entry->proof};
	*ret_pause_us = 0;
	do {
		entry = &gated->entries[at++];
		if (entry->tag == RISK_SOURCE)
			addition->source = entry->value;
		else if (entry->tag == RISK_SCORE)
			addition->score = entry->value;
		else if (entry->tag == RISK_TACTICS)
			addition->tactics = (uint32_t)entry->value;
		else if (entry->value <= INT64_MAX)
			*ret_pause_us = (int64_t)entry->value;
	} while (at < gated->count && gated->entries[at].secondary);
	return at;
}

/* The addition of the same source among those of this time, from `added` on. */
static struct addition *same_source(const struct risk *risk, size_t added, uint64_t source)
{
	for (size_t i = added; i < risk->count; i++)
		if (risk->additions[i].source == source)
			return &risk->additions[i];
	return NULL;
}

static void addition_join(struct addition *to, const struct addition *from)
{
	to->score = from->score > to->score ? from->score : to->score;
	to->tactics |= from->tactics;
	to->flags |= from->flags;
	if (from->proof != NULL &&
	    (to->proof == NULL || proof_compare(from->proof, to->proof) < 0)) {
		proof_release(&to->proof);
		to->proof = proof_hold(from->proof);
	}
}

/* All events of one time: entries[0 .. end). */
static enum status take_events(struct gated *gated, const struct unit *unit, size_t end,
			       struct window_news *news)
{
	struct risk *risk = gated->memory;
	size_t before = risk->count;
	enum status status = OK;
	for (size_t at = 0; status == OK && at < end;) {
		struct addition addition;
		int64_t pause_us = 0;
		at = event_read(gated, at, &addition, &pause_us);
		size_t added = before < risk->count ? before : risk->count;
		struct addition *same =
			pause_us == 0 ? NULL : same_source(risk, added, addition.source);
		if (same != NULL) {
			addition_join(same, &addition);
			continue;
		}
		if (is_paused(risk, addition.source, addition.time_us))
			continue;
		addition.proof = proof_hold(addition.proof);
		if (pause_us > 0)
			status = risk_pause(risk, addition.source,
					    time_after(addition.time_us, pause_us));
		before -= before > 0 && risk->count == RISK_ADDITIONS_MAX; /* one goes */
		if (status == OK)
			status = risk_push(risk, &addition);
		else
			proof_release(&addition.proof);
	}
	return status == OK && risk->count > before ? risk_judge(risk, unit, before, news) : status;
}

static void risk_done(struct gated *gated)
{
	struct risk *risk = gated->memory;
	risk_drop(risk, risk->count);
	free(risk->additions);
	free(risk->pauses);
	free(risk);
	gated->memory = NULL;
}

static enum status risk_advance(struct gated *gated, const struct unit *unit, int64_t watermark_us,
				struct window_news *news)
{
	enum status status = OK;
	while (status == OK && gated->count > 0 &&
	       time_passed(gated->entries[0].time_us, 0, watermark_us)) {
		size_t end = gated_same_time(gated, 0);
		if (gated->memory == NULL) {
			struct risk *fresh = gated->memory = calloc(1, sizeof *fresh);
			if (fresh == NULL)
				return ENOMEMORY;
			fresh->cut_us = INT64_MIN;
		}
		news->degraded =
			news->degraded || gated_is_cut(gated, time_before(gated->entries[0].time_us,
									  unit->timespan_us));
		status = take_events(gated, unit, end, news);
		gated_drop(gated, end);
	}
	return status;
}

static int64_t risk_next(const struct gated *gated, const struct unit *unit)
{
	(void)unit;
	return gated->count > 0 ? gated->entries[0].time_us : INT64_MAX;
}

/* Additions older than a timespan go, and pauses that are over. */
static int64_t risk_forget(struct gated *gated, const struct unit *unit, int64_t watermark_us)
{
	struct risk *risk = gated->memory;
	int64_t kept_us = gated->count > 0 ? gated->entries[0].time_us : INT64_MIN;
	if (risk == NULL)
		return kept_us;
	size_t gone = 0;
	while (gone < risk->count &&
	       time_passed(risk->additions[gone].time_us, unit->timespan_us, watermark_us))
		gone++;
	risk_drop(risk, gone);
	size_t kept = 0;
	for (size_t i = 0; i < risk->pause_count; i++) {
		if (time_passed(risk->pauses[i].until_us, 0, watermark_us))
			continue;
		if (risk->pauses[i].until_us > kept_us)
			kept_us = risk->pauses[i].until_us;
		risk->pauses[kept++] = risk->pauses[i];
	}
	risk->pause_count = kept;
	if (risk->count > 0) {
		int64_t until_us =
			time_after(risk->additions[risk->count - 1].time_us, unit->timespan_us);
		kept_us = until_us > kept_us ? until_us : kept_us;
	}
	return kept_us;
}

/* An addition that was not enough may be, together with one that comes later. */
static int64_t risk_waiting(const struct gated *gated, int64_t last_us, int64_t span_us)
{
	const struct risk *risk = gated->memory;
	for (size_t i = risk->count; i-- > 0 && risk->additions[i].time_us > last_us;)
		if (!risk->additions[i].contributes &&
		    time_within(last_us, risk->additions[i].time_us, span_us))
			return risk->additions[i].time_us;
	return INT64_MIN;
}

static size_t risk_bytes(const struct gated *gated)
{
	const struct risk *risk = gated->memory;
	size_t size = sizeof *risk + risk->capacity * sizeof *risk->additions +
		      risk->pause_capacity * sizeof *risk->pauses;
	for (size_t i = 0; i < risk->count; i++)
		size += risk->additions[i].proof == NULL ? 0 : risk->additions[i].proof->size;
	return size;
}

const struct machine risk_machine = {
	.advance = risk_advance,
	.next_us = risk_next,
	.forget = risk_forget,
	.encode = risk_encode,
	.decode = risk_decode,
	.done = risk_done,
	.bytes = risk_bytes,
	.waiting_us = risk_waiting,
};
