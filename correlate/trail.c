/* Which events of a group lie in a window [t - W, t], t the time of an event, that satisfies a
 * monotone condition.
 *
 * An event fires iff the window that ends at its time holds, and contributes iff some holding
 * window contains it. (For "at least K events" that is the definition of window.c: the window that
 * begins at an event and holds, cut behind its last event, is one that ends at an event.) One more
 * event adds to windows only: both never become false again.
 *
 * The newest event changes one window, its own. A judge slides along with it: what is new is
 * pushed, what is more than W older is popped, so the work is constant per event. If the window
 * holds, everything in it contributes. What did not before is a suffix: let t' be the time of the
 * newest window that held; everything from t' - W to t' contributes, and this window begins later.
 *
 * An event x that comes out of order changes the windows that end between x and x + W. They are
 * judged again, in one pass over the entries from x - W to x + W.
 *
 * Meaning: the Sigma correlation specification: value_count, temporal, temporal_ordered, value_sum.
 * Oracle: tests/correlate/test_values_oracle.c. */
#include "correlate/trail.h"

#include <assert.h>
#include <stdlib.h>

/* Most of millions of trails have one or two entries: fewer than TRAIL_TINY are judged from the
 * beginning with each event, by the spare judge. From an epoch to the next nobody remembers how
 * TRAIL_SMALL entries were judged. */
enum { TRAIL_FIRST_CAPACITY = 2, TRAIL_TINY = 8, TRAIL_SMALL = 32 };

/* Of an empty one: nothing is left of what was. */
static void trail_begin(struct trail *trail)
{
	*trail = (struct trail){.capacity = trail->capacity,
				.compact_at = TRAIL_FIRST_CAPACITY + TRAIL_COMPACT_SLACK};
}

struct trail *trail_new(void)
{
	struct trail *trail = malloc(sizeof *trail + TRAIL_FIRST_CAPACITY * sizeof *trail->entries);
	if (trail == NULL)
		return NULL;
	trail->capacity = TRAIL_FIRST_CAPACITY;
	trail_begin(trail);
	return trail;
}

static void own_judge_free(struct trail *trail)
{
	struct judge *freed = TAKE(trail->judge);
	if (freed != NULL)
		judge_done(freed);
	free(freed);
	trail->judged = false;
}

void trail_free(struct trail **trail)
{
	struct trail *freed = TAKE(*trail);
	if (freed == NULL)
		return;
	for (size_t i = 0; i < freed->count; i++)
		proof_release(&freed->entries[i].proof);
	own_judge_free(freed);
	free(freed);
}

static enum status trail_resize(struct trail **trail, size_t capacity)
{
	assert(capacity >= (*trail)->count && capacity <= UINT32_MAX);
	struct trail *moved = realloc(*trail, sizeof *moved + capacity * sizeof *moved->entries);
	if (moved == NULL)
		return ENOMEMORY;
	moved->capacity = (uint32_t)capacity;
	*trail = moved;
	return OK;
}

enum status trail_reserve(struct trail **trail, size_t capacity)
{
	return capacity <= (*trail)->capacity ? OK : trail_resize(trail, capacity);
}

void trail_release(struct trail *trail, struct trail_entry *entry)
{
	if (entry->proof != NULL)
		trail->proof_bytes -= entry->proof->size;
	proof_release(&entry->proof);
}

static enum status entry_contribute(struct trail *trail, size_t at, const struct trail_shape *shape,
				    struct window_news *news)
{
	struct trail_entry *entry = &trail->entries[at];
	if (entry->contributes)
		return OK;
	entry->contributes = true;
	if (entry->secondary)
		return OK;
	enum status status = window_items_push(&news->contributed, entry->time_us, entry->proof);
	if (!shape->keeps_proofs)
		trail_release(trail, entry);
	return status;
}

/* All entries of the time of the one at q fire. */
static enum status trail_fire(struct trail *trail, size_t q, const struct trail_shape *shape,
			      struct window_news *news)
{
	int64_t time_us = trail->entries[q].time_us;
	for (size_t i = q + 1; i-- > 0 && trail->entries[i].time_us == time_us;) {
		struct trail_entry *entry = &trail->entries[i];
		if (entry->fired)
			break; /* events of one time fire together */
		entry->fired = true;
		if (!shape->keeps_proofs || entry->secondary)
			continue;
		enum status status = window_items_push(&news->fired, time_us, entry->proof);
		if (status != OK)
			return status;
		trail_release(trail, entry); /* it contributes: both are told */
	}
	return OK;
}

static enum status judge_entry(struct trail *trail, const struct trail_shape *shape, size_t i)
{
	const struct trail_entry *entry = &trail->entries[i];
	return judge_push(trail_judge(trail, shape), &shape->rule, entry->time_us, entry->value);
}

/* Takes from the judge what is not in the window that ends at time_us. */
static size_t judge_leave(struct trail *trail, const struct trail_shape *shape, size_t from,
			  int64_t time_us)
{
	while (!time_within(trail->entries[from].time_us, time_us, shape->rule.timespan_us))
		judge_pop(trail_judge(trail, shape), &shape->rule, trail->entries[from++].value);
	return from;
}

/* Makes the judge stand for the window that ends at the newest entry, until another trail comes. */
static enum status judge_again(struct trail *trail, const struct trail_shape *shape)
{
	if (trail->judged)
		return OK;
	judge_clear(trail_judge(trail, shape), &shape->rule);
	size_t from = trail->count;
	int64_t last_us = from == 0 ? 0 : trail->entries[from - 1].time_us;
	while (from > 0 &&
	       time_within(trail->entries[from - 1].time_us, last_us, shape->rule.timespan_us))
		from--;
	for (size_t i = from; i < trail->count; i++) {
		enum status status = judge_entry(trail, shape, i);
		if (status != OK)
			return status;
	}
	trail->judged = trail->judge != NULL; /* the spare one is soon another's */
	trail->judged_from = (uint32_t)from;
	return OK;
}

/* The entries from p are the newest: one window, theirs, can have begun to hold. */
static enum status recheck_newest(struct trail *trail, size_t p, const struct trail_shape *shape,
				  struct window_news *news)
{
	assert(p < trail->count);
	enum status status = OK;
	for (size_t i = p; status == OK && i < trail->count; i++)
		status = judge_entry(trail, shape, i);
	if (status != OK)
		return status;
	trail->judged_from =
		(uint32_t)judge_leave(trail, shape, trail->judged_from, trail->entries[p].time_us);
	if (!judge_holds(trail_judge(trail, shape), &shape->rule))
		return OK;
	size_t first = trail->count;
	while (first > trail->judged_from && !trail->entries[first - 1].contributes)
		first--;
	for (size_t i = first; status == OK && i < trail->count; i++)
		status = entry_contribute(trail, i, shape, news);
	return status == OK ? trail_fire(trail, trail->count - 1, shape, news) : status;
}

/* Entries were added at p, in front of others: the windows that end within W of them can have begun
 * to hold. */
static enum status recheck_around(struct trail *trail, size_t p, const struct trail_shape *shape,
				  struct window_news *news)
{
	int64_t span_us = shape->rule.timespan_us;
	int64_t time_us = trail->entries[p].time_us;
	struct trail_entry *entries = trail->entries;
	size_t from = p;
	trail->judged = false;
	judge_clear(trail_judge(trail, shape), &shape->rule);
	while (from > 0 && time_within(entries[from - 1].time_us, time_us, span_us))
		from--;
	enum status status = OK;
	size_t marked = from; /* entries below are done */
	for (size_t q = from; status == OK && q < trail->count; q++) {
		int64_t end_us = entries[q].time_us;
		if (end_us > time_us && !time_within(time_us, end_us, span_us))
			break;
		status = judge_entry(trail, shape, q);
		bool last_of_time = q + 1 == trail->count || entries[q + 1].time_us != end_us;
		if (status != OK || end_us < time_us || !last_of_time)
			continue;
		from = judge_leave(trail, shape, from, end_us);
		if (!judge_holds(trail_judge(trail, shape), &shape->rule))
			continue;
		for (marked = marked > from ? marked : from; status == OK && marked <= q; marked++)
			status = entry_contribute(trail, marked, shape, news);
		if (status == OK)
			status = trail_fire(trail, q, shape, news);
	}
	return status;
}

/* Where an event of that time goes: behind all that are not later. */
static size_t trail_place(const struct trail *trail, int64_t time_us)
{
	size_t low = 0;
	size_t high = trail->count;
	if (high > 0 && trail->entries[high - 1].time_us <= time_us)
		return high;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (trail->entries[middle].time_us <= time_us)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* There is room. */
static void trail_insert(struct trail *trail, size_t p, const struct trail_event *event)
{
	assert(trail->count + event->value_count <= trail->capacity);
	memmove(&trail->entries[p + event->value_count], &trail->entries[p],
		(trail->count - p) * sizeof *trail->entries);
	for (size_t i = 0; i < event->value_count; i++)
		trail->entries[p + i] = (struct trail_entry){
			.time_us = event->proof->evidence.time_us,
			.value = event->values[i],
			.proof = i == 0 ? proof_hold(event->proof) : NULL,
			.secondary = i > 0,
		};
	trail->proof_bytes += event->proof->size;
	trail->count += (uint32_t)event->value_count;
}

/* Of the entries that wait, only those near both ends keep their proof: an alert shows no others.
 * The newcomers and those they pushed off an edge are the only candidates. */
static void trail_thin_proofs(struct trail *trail, size_t p, size_t added)
{
	if (trail->count <= 2 * WINDOW_PROOFS_EDGE + added)
		return;
	size_t end = trail->count - WINDOW_PROOFS_EDGE;
	for (size_t i = 0; i < added; i++) {
		trail_release(trail, &trail->entries[WINDOW_PROOFS_EDGE + i]);
		trail_release(trail, &trail->entries[end - 1 - i]);
		if (p + i >= WINDOW_PROOFS_EDGE && p + i < end)
			trail_release(trail, &trail->entries[p + i]);
	}
}

/* Room for one more event, and a judge for many. */
static enum status trail_prepare(struct trail **trail, size_t value_count)
{
	size_t needed = (*trail)->count + value_count;
	size_t twice = 2 * (size_t)(*trail)->capacity;
	if (needed > (*trail)->capacity) {
		enum status status = trail_resize(trail, twice > needed ? twice : needed);
		if (status != OK)
			return status;
	}
	bool judged = (*trail)->count < TRAIL_TINY || (*trail)->judge != NULL;
	if (!judged && ((*trail)->judge = calloc(1, sizeof *(*trail)->judge)) == NULL)
		return ENOMEMORY;
	return OK;
}

enum status trail_add(struct trail **moving, const struct trail_shape *shape,
		      const struct trail_event *event, struct window_news *news)
{
	assert(shape->rule.at_least > 0 && shape->spare != NULL && event->value_count > 0);
	enum status status = trail_prepare(moving, event->value_count);
	if (status != OK)
		return status;
	struct trail *trail = *moving;
	size_t p = trail_place(trail, event->proof->evidence.time_us);
	bool newest = p == trail->count;
	if (newest)
		status = judge_again(trail, shape);
	if (status != OK)
		return status;
	trail_insert(trail, p, event);
	status = newest ? recheck_newest(trail, p, shape, news)
			: recheck_around(trail, p, shape, news);
	if (status != OK)
		return status;
	if (!shape->keeps_proofs)
		trail_thin_proofs(trail, p, event->value_count);
	return trail->count >= trail->compact_at ? trail_compact(trail, shape) : OK;
}

void trail_settle(struct trail **moving, const struct trail_shape *shape, int64_t watermark_us)
{
	struct trail *trail = *moving;
	uint32_t gone = 0;
	while (gone < trail->count &&
	       time_passed(trail->entries[gone].time_us, shape->rule.timespan_us, watermark_us)) {
		if (trail->judged && gone >= trail->judged_from)
			judge_pop(trail->judge, &shape->rule, trail->entries[gone].value);
		trail_release(trail, &trail->entries[gone]);
		gone++;
	}
	trail->count -= gone;
	if (gone > 0)
		memmove(trail->entries, trail->entries + gone,
			trail->count * sizeof *trail->entries);
	trail->judged_from = trail->judged_from > gone ? trail->judged_from - gone : 0;
	if (trail->count <= TRAIL_SMALL)
		own_judge_free(trail);
	if (trail->count > 0)
		return;
	trail_begin(trail);
	bool smaller = trail->capacity > TRAIL_FIRST_CAPACITY &&
		       trail_resize(moving, TRAIL_FIRST_CAPACITY) == OK;
	(void)smaller; /* or it stays as it is */
}

size_t trail_bytes(const struct trail *trail)
{
	return sizeof *trail + trail->capacity * sizeof *trail->entries + trail->proof_bytes +
	       (trail->judge == NULL ? 0 : sizeof *trail->judge + judge_bytes(trail->judge));
}
