/* Steps in order, with what must not lie between them.
 *
 * A match of the steps 1..m that are not negated is a choice of events e such that
 *   - step i has count[i] events of its rule, and they agree in the fields it is joined on;
 *   - no event of step i is earlier than one of step i - 1 (of one time: either order); where a
 *     rule stands in two steps, the later one is later in time;
 *   - the last event of step i is at most within[i] after the last of step i - 1, and everything
 *     lies within the timespan;
 *   - no event of a `not` step lies strictly between the last event before and the first after it;
 *     none of `until` strictly between the first event of all and the last;
 *   - a `not` at the end: no event of it in (last, last + within].
 * The sequence fires at the smallest time at which a match ends that uses only events later than
 * the last firing; of the matches that end there, one that begins latest is told. An event that
 * matched two rules is an event of each.
 *
 * Let best[i][e] be the latest beginning of a match of steps 1..i whose last event is e. For i > 1
 * it is the largest best[i-1][d] over the events d before e that may be followed: let f be the
 * first event of step i at d or later; taking f, and the latest others up to e, makes the gap
 * between d and the step as small and the step as full as can be, so if d can be followed at all it
 * can be so. `until` asks that the beginning be at or after its latest event before e: again the
 * latest beginning is the one to ask. So one pass over the events decides, all steps of one time
 * before the next time; each event looks back over the others.
 *
 * Why order cannot matter: everything above speaks of times only, and events of one time are
 * interchangeable in it. The watermark has passed the last event (and `within` of a `not` at the
 * end) before it is judged; a firing drops what is not later than it.
 *
 * State: the events of the last timespan, at most SEQUENCE_ENTRIES_MAX; with more the oldest go and
 * alerts are marked. Work: their square per judgement and group at most.
 *
 * Oracle: tests/correlate/test_sequence.c. */
#include <assert.h>
#include <stdlib.h>

#include "correlate/gated.h"
#include "correlate/sequence.h"

/* One event as one of its rules. */
struct item {
	int64_t time_us;
	uint32_t entry; /* its event's first entry */
	uint8_t reference;
	uint64_t values[SEQUENCE_FIELDS_MAX]; /* 0: none */
};

/* The best match of the steps up to one that ends at an item. */
struct best {
	int64_t start_us;
	uint32_t before; /* the item that ends the step before */
	uint32_t first;  /* the item that begins the step */
	bool found;
};

struct search {
	struct gated *gated;
	const struct unit *unit;
	const struct sequence_terms *terms;
	struct item *items;
	size_t count;
	size_t begin;       /* items below are used up by the last firing */
	struct best *bests; /* [step][item] */
};

static void search_done(struct search *search)
{
	free(search->items);
	free(search->bests);
}

static struct best *best_at(const struct search *search, size_t step, size_t item)
{
	return &search->bests[step * search->count + item];
}

/* Every event becomes one item per rule that it matched, with the values of the event. */
static enum status search_load(struct search *search)
{
	const struct gated *gated = search->gated;
	search->items = calloc(gated->count + 1, sizeof *search->items);
	if (search->items == NULL)
		return ENOMEMORY;
	for (size_t first = 0, end = 0; first < gated->count; first = end) {
		uint64_t values[SEQUENCE_FIELDS_MAX] = {0};
		for (end = first + 1; end < gated->count && gated->entries[end].secondary; end++)
			continue;
		for (size_t i = first; i < end; i++)
			if (gated->entries[i].tag >= SEQUENCE_VALUE_TAG)
				values[gated->entries[i].tag - SEQUENCE_VALUE_TAG] =
					gated->entries[i].value;
		for (size_t i = first; i < end; i++) {
			struct item *item = &search->items[search->count];
			if (gated->entries[i].tag >= SEQUENCE_VALUE_TAG)
				continue;
			*item = (struct item){.time_us = gated->entries[i].time_us,
					      .entry = (uint32_t)first,
					      .reference = gated->entries[i].tag};
			memcpy(item->values, values, sizeof values);
			search->count++;
		}
	}
	search->bests =
		calloc(search->terms->step_count * search->count + 1, sizeof *search->bests);
	return search->bests == NULL ? ENOMEMORY : OK;
}

/* The step that is not negated before or after; step_count when there is none. */
static size_t step_before(const struct sequence_terms *terms, size_t step)
{
	while (step > 0)
		if (!terms->steps[--step].absent)
			return step;
	return terms->step_count;
}

static size_t step_after(const struct sequence_terms *terms, size_t step)
{
	do
		step++;
	while (step < terms->step_count && terms->steps[step].absent);
	return step;
}

/* Whether two events may belong to one step: they agree in what it is joined on, both ways. */
static bool same_step(const struct search *search, size_t step, const struct item *a,
		      const struct item *b)
{
	const struct sequence_terms *terms = search->terms;
	size_t after = step_after(terms, step);
	for (size_t i = 0; i < terms->steps[step].join_count; i++)
		if (a->values[terms->steps[step].joins[i].field] !=
		    b->values[terms->steps[step].joins[i].field])
			return false;
	for (size_t i = 0; after < terms->step_count && i < terms->steps[after].join_count; i++)
		if (a->values[terms->steps[after].joins[i].earlier] !=
		    b->values[terms->steps[after].joins[i].earlier])
			return false;
	return true;
}

/* Whether an event of a step may follow one of the step before. */
static bool joined(const struct sequence_step *step, const struct item *earlier,
		   const struct item *later)
{
	for (size_t i = 0; i < step->join_count; i++) {
		uint64_t value = later->values[step->joins[i].field];
		if (value == 0 || value != earlier->values[step->joins[i].earlier])
			return false;
	}
	return true;
}

/* Whether it is an event of a `not` that stands right before the step. */
static bool forbidden_before(const struct sequence_terms *terms, size_t step,
			     const struct item *item)
{
	while (step > 0 && terms->steps[step - 1].absent)
		if (terms->steps[--step].reference == item->reference)
			return true;
	return false;
}

static bool rule_used_before(const struct sequence_terms *terms, size_t step)
{
	for (size_t i = 0; i < step; i++)
		if (!terms->steps[i].absent &&
		    terms->steps[i].reference == terms->steps[step].reference)
			return true;
	return false;
}

/* The first step: the one at `end`, and the latest others up to its time. */
static void best_first(const struct search *search, size_t step, size_t end)
{
	const struct sequence_step *here = &search->terms->steps[step];
	const struct item *last = &search->items[end];
	uint32_t found = 1;
	size_t first = end;
	size_t i = end + 1;
	while (i < search->count && search->items[i].time_us == last->time_us)
		i++;
	while (found < here->count && i-- > search->begin) {
		const struct item *item = &search->items[i];
		if (i == end || item->reference != here->reference ||
		    !same_step(search, step, item, last))
			continue;
		found++;
		first = i;
	}
	if (found == here->count)
		*best_at(search, step, end) =
			(struct best){.start_us = search->items[first].time_us,
				      .first = (uint32_t)first,
				      .found = true};
}

/* Goes back from an event that may end the step, and keeps what a step that reaches there needs. */
struct walk {
	size_t step, before;
	const struct item *last;
	bool strict;      /* the step must be later than the one before */
	uint32_t found;   /* events of the step from here on */
	uint32_t first;   /* the earliest of them */
	int64_t first_us; /* its time */
	bool blocked;     /* a `not` lies between here and there */
};

/* The one at `end` is counted first; a step of one event has no other. */
static void walk_take(const struct search *search, struct walk *walk, size_t from, size_t end)
{
	const struct sequence_step *here = &search->terms->steps[walk->step];
	if (walk->found == 0) {
		walk->found = 1;
		walk->first = (uint32_t)(walk->last - search->items);
		walk->first_us = walk->last->time_us;
	}
	for (size_t i = end; here->count > 1 && i-- > from;) {
		const struct item *item = &search->items[i];
		if (item == walk->last || item->reference != here->reference ||
		    !same_step(search, walk->step, item, walk->last))
			continue;
		walk->found++;
		walk->first = (uint32_t)i;
		walk->first_us = item->time_us;
		walk->blocked = false;
	}
}

/* The events of one time as the last of the step before. */
static void walk_link(const struct search *search, const struct walk *walk, size_t from, size_t end,
		      struct best *best)
{
	const struct sequence_step *here = &search->terms->steps[walk->step];
	if (walk->found < here->count || walk->blocked)
		return;
	for (size_t i = end; i-- > from;) {
		const struct best *earlier = best_at(search, walk->before, i);
		const struct item *item = &search->items[i];
		if (!earlier->found || !joined(here, item, walk->last) ||
		    (here->within_us > 0 &&
		     !time_within(item->time_us, walk->last->time_us, here->within_us)))
			continue;
		if (!best->found || earlier->start_us > best->start_us)
			*best = (struct best){.start_us = earlier->start_us,
					      .before = (uint32_t)i,
					      .first = walk->first,
					      .found = true};
	}
}

static void best_next(const struct search *search, size_t step, size_t end_item)
{
	const struct item *items = search->items;
	struct walk walk = {.step = step,
			    .before = step_before(search->terms, step),
			    .last = &items[end_item],
			    .strict = rule_used_before(search->terms, step)};
	size_t end = end_item + 1;
	while (end < search->count && items[end].time_us == walk.last->time_us)
		end++;
	while (end > search->begin) {
		size_t from = end - 1;
		while (from > search->begin && items[from - 1].time_us == items[end - 1].time_us)
			from--;
		if (!time_within(items[from].time_us, walk.last->time_us,
				 search->unit->timespan_us))
			return;
		if (!walk.strict)
			walk_take(search, &walk, from, end);
		walk_link(search, &walk, from, end, best_at(search, step, end_item));
		if (walk.strict)
			walk_take(search, &walk, from, end);
		for (size_t i = from; i < end && walk.found > 0; i++)
			walk.blocked =
				walk.blocked || (items[i].time_us < walk.first_us &&
						 forbidden_before(search->terms, step, &items[i]));
		end = from;
	}
}

/* Whether the match is within the timespan, and no `until` lies in it. */
static bool match_stands(const struct search *search, const struct best *best, size_t end)
{
	int64_t end_us = search->items[end].time_us;
	if (!best->found || !time_within(best->start_us, end_us, search->unit->timespan_us))
		return false;
	for (size_t i = search->begin; search->terms->has_until && i < search->count; i++)
		if (search->items[i].reference == search->terms->until &&
		    search->items[i].time_us > best->start_us && search->items[i].time_us < end_us)
			return false;
	return true;
}

/* A `not` at the end: nothing of it within its time. */
static bool silence_holds(const struct search *search, size_t end)
{
	const struct sequence_step *last = &search->terms->steps[search->terms->step_count - 1];
	int64_t end_us = search->items[end].time_us;
	for (size_t i = end; last->absent && i < search->count; i++)
		if (search->items[i].reference == last->reference &&
		    search->items[i].time_us > end_us &&
		    time_within(end_us, search->items[i].time_us, last->within_us))
			return false;
	return true;
}

static enum status item_tell(const struct search *search, size_t i, struct window_news *news)
{
	const struct gated_entry *entry = &search->gated->entries[search->items[i].entry];
	enum status status = window_items_push(&news->contributed, entry->time_us, entry->proof);
	if (status == OK)
		news->contributed.items[news->contributed.count - 1].flags = entry->flags;
	return status;
}

/* Tells the events of one step: the last, the first, and the latest others. One that is an event of
 * two steps is told for each, so that the count is that of the steps whatever was chosen. */
static enum status step_tell(const struct search *search, size_t step, size_t end,
			     struct window_news *news)
{
	const struct best *best = best_at(search, step, end);
	const struct item *items = search->items;
	uint32_t others = search->terms->steps[step].count - (best->first == end ? 1 : 2);
	enum status status = item_tell(search, end, news);
	if (status == OK && best->first != end)
		status = item_tell(search, best->first, news);
	size_t i = end + 1;
	while (i < search->count && items[i].time_us == items[end].time_us)
		i++;
	while (status == OK && others > 0 && i-- > 0) {
		if (i == end || i == best->first ||
		    items[i].reference != search->terms->steps[step].reference ||
		    !same_step(search, step, &items[i], &items[end]))
			continue;
		status = item_tell(search, i, news);
		others--;
	}
	return status;
}

/* The sequence is complete at the item `end`: its events are told, and everything up to its time is
 * used up. */
static enum status sequence_fire(struct search *search, size_t end, int64_t fired_us,
				 struct window_news *news)
{
	const struct sequence_terms *terms = search->terms;
	size_t step = terms->step_count;
	int64_t end_us = search->items[end].time_us;
	struct proof *proof = search->gated->entries[search->items[end].entry].proof;
	enum status status = OK;
	if (search->unit->parent_count > 0)
		status = window_items_push(&news->fired, fired_us, proof);
	while (status == OK && (step = step_before(terms, step)) < terms->step_count) {
		status = step_tell(search, step, end, news);
		end = best_at(search, step, end)->before;
	}
	while (search->begin < search->count && search->items[search->begin].time_us <= end_us)
		search->begin++;
	news->degraded = news->degraded || gated_is_cut(search->gated, INT64_MIN + 1);
	return status;
}

/* All items of one time, every step of them; the sequence may be complete at one. */
static enum status time_judge(struct search *search, size_t from, size_t end, bool decided,
			      struct window_news *news)
{
	const struct sequence_terms *terms = search->terms;
	size_t last_step = step_before(terms, terms->step_count);
	size_t ends_at = search->count;
	for (size_t step = 0; step < terms->step_count; step++)
		for (size_t i = from; i < end && !terms->steps[step].absent; i++) {
			if (search->items[i].reference != terms->steps[step].reference)
				continue;
			if (step_before(terms, step) == terms->step_count)
				best_first(search, step, i);
			else
				best_next(search, step, i);
			const struct best *best = best_at(search, step, i);
			bool better =
				ends_at == search->count ||
				best->start_us > best_at(search, last_step, ends_at)->start_us;
			if (decided && step == last_step && better &&
			    match_stands(search, best, i) && silence_holds(search, i))
				ends_at = i;
		}
	if (ends_at == search->count)
		return OK;
	return sequence_fire(search, ends_at,
			     time_after(search->items[ends_at].time_us, search->unit->delay_us),
			     news);
}

/* Whether something undecided could end the sequence. */
static bool may_end(const struct gated *gated, const struct sequence_terms *terms)
{
	uint32_t last = terms->steps[step_before(terms, terms->step_count)].reference;
	for (size_t i = gated->decided_count; i < gated->count; i++)
		if (gated->entries[i].tag == last)
			return true;
	return false;
}

static enum status sequence_advance(struct gated *gated, const struct unit *unit,
				    int64_t watermark_us, struct window_news *news)
{
	struct search search cleanup(search_done) = {
		.gated = gated, .unit = unit, .terms = unit->rule->correlation->sequence};
	bool ends = may_end(gated, search.terms);
	int64_t used_us = INT64_MIN;
	enum status status = ends ? search_load(&search) : OK;
	size_t undecided = gated->decided_count;
	while (gated->decided_count < gated->count &&
	       time_passed(gated->entries[gated->decided_count].time_us, unit->delay_us,
			   watermark_us))
		gated->decided_count = gated_same_time(gated, gated->decided_count);
	for (size_t from = 0, end = 0; status == OK && from < search.count; from = end) {
		for (end = from + 1;
		     end < search.count && search.items[end].time_us == search.items[from].time_us;)
			end++;
		if (search.items[from].entry >= gated->decided_count)
			break;
		size_t begin = search.begin;
		status =
			time_judge(&search, from, end, search.items[from].entry >= undecided, news);
		used_us = search.begin != begin ? search.items[from].time_us : used_us;
	}
	size_t used = 0;
	while (used_us != INT64_MIN && used < gated->count &&
	       gated->entries[used].time_us <= used_us)
		used++;
	gated_drop(gated, used);
	return status;
}

static int64_t sequence_next(const struct gated *gated, const struct unit *unit)
{
	return gated->decided_count < gated->count
		       ? time_after(gated->entries[gated->decided_count].time_us, unit->delay_us)
		       : INT64_MAX;
}

static int64_t sequence_forget(struct gated *gated, const struct unit *unit, int64_t watermark_us)
{
	int64_t kept_us = time_after(unit->timespan_us, unit->delay_us);
	gated_drop_passed(gated, kept_us, watermark_us);
	return gated->count == 0 ? INT64_MIN : time_after(gated->entries[0].time_us, kept_us);
}

const struct machine sequence_machine = {
	.advance = sequence_advance,
	.next_us = sequence_next,
	.forget = sequence_forget,
};
