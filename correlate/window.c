/* Which events of a group lie in a window of length W that holds at least K of them.
 *
 * Let t1 <= t2 <= ... be the times of all events of the group. The window at i holds iff
 * t[i+K-1] - t[i] <= W. An event contributes iff some window that holds contains it, and fires iff
 * [t - W, t] contains K events, that is iff the window that ends at the last event of its time
 * holds. One more event only moves the K-th next event nearer: all three never become false again.
 *
 * So order of arrival cannot matter: what contributes and what fires is said of the set of events,
 * and what was said early stays true.
 *
 * Adding x changes only windows that contain x: those that begin at the K - 1 events before it and
 * at x itself. When x is the newest, that is one window.
 *
 * Forgetting. Call a run a maximal stretch a..b of events such that every window that begins at
 * a..b-K+1 holds. An event j is inner when the windows at j-K+1..j all hold (so j-K+1..j+K-1 lie
 * in one run). We forget inner events and mark the place (`gap_before` on the next entry kept).
 * A run so keeps its first K-1 and its last K-1 events.
 *   Nothing is lost:
 *   1. An inner event contributes and has fired already: the window at j-K+1 holds and ends at j.
 *   2. An x that falls inside a run, between two neighbours of it, lies inside some window of the
 *      run, so it contributes; if K-1 events of the run precede it, they and x span at most what
 *      they and the next event of the run spanned, which is <= W, so it fires. A gap lies behind
 *      K-1 events kept, so what falls into a gap does both, becomes inner itself, and need not be
 *      stored (and if it has the time of the entry before the gap, that one fires with it).
 *   3. The window of an event z outside the run reaches K-1 events into it at most, and those are
 *      kept. So is every predecessor that decides whether z fires.
 *   4. An x inserted among the kept edge of a run, nearer than K entries to its gap, is inside the
 *      run: between x and the gap fewer than K-1 entries remain, so one at least precedes x.
 *   The converse error is impossible: fewer entries between two times only make a window look
 *   emptier than it is, never fuller.
 * For K = 1 every event contributes and fires, and nothing is stored at all.
 *
 * Time. Once the watermark is w, an event comes at w - W or later (the actor drops what is older),
 * and one that is not late at w or later; so entries before w - W can never share a window with a
 * punctual event and go. If the front of a run goes, the rest still stands for it: whatever comes
 * is later than what went, so "inside the run" stays true. Events that come late, between w - W
 * and w, may find fewer neighbours than there were: alerts they touch are marked.
 *
 * Memory: per W of event time at most two edges of K-1 entries per run and fewer than K entries
 * outside of runs, independent of the rate. Forgetting is a function of the entries alone, so that
 * a restored window continues exactly like the one that was saved.
 *
 * Meaning: the Sigma correlation specification, event_count.
 * Oracle: tests/correlate/test_window.c and tests/correlate/test_actor_oracle.c. */
#include "correlate/window.h"

#include <assert.h>
#include <stdlib.h>

enum status window_items_push(struct window_items *items, int64_t time_us, struct proof *proof)
{
	if (items->count == items->capacity) {
		size_t capacity = items->capacity == 0 ? 16 : items->capacity * 2;
		struct window_item *grown = realloc(items->items, capacity * sizeof *grown);
		if (grown == NULL)
			return ENOMEMORY;
		items->items = grown;
		items->capacity = capacity;
	}
	items->items[items->count++] =
		(struct window_item){.time_us = time_us, .proof = proof_hold(proof)};
	return OK;
}

static void items_clear(struct window_items *items)
{
	for (size_t i = 0; i < items->count; i++)
		proof_release(&items->items[i].proof);
	items->count = 0;
}

void window_news_clear(struct window_news *news)
{
	items_clear(&news->contributed);
	items_clear(&news->fired);
	news->answers.count = 0;
	news->degraded = news->approximate = false;
	news->detail[0] = '\0';
}

void window_news_done(struct window_news *news)
{
	window_news_clear(news);
	free(news->contributed.items);
	free(news->fired.items);
	free(news->answers.items);
	*news = (struct window_news){0};
}

static void entry_release(struct window *window, struct window_entry *entry)
{
	if (entry->proof != NULL)
		window->proof_bytes -= entry->proof->size;
	proof_release(&entry->proof);
}

/* The entry contributes from now on. */
static enum status entry_contribute(struct window *window, size_t at,
				    const struct window_shape *shape, struct window_news *news)
{
	struct window_entry *entry = &window->entries[at];
	if (entry->contributes)
		return OK;
	entry->contributes = true;
	enum status status = window_items_push(&news->contributed, entry->time_us, entry->proof);
	if (!shape->keeps_proofs)
		entry_release(window, entry);
	return status;
}

/* The entry at q fires, and with it all of the same time before it. */
static enum status window_fire(struct window *window, size_t q, const struct window_shape *shape,
			       struct window_news *news)
{
	int64_t time_us = window->entries[q].time_us;
	for (size_t i = q + 1; i-- > 0 && window->entries[i].time_us == time_us;) {
		struct window_entry *entry = &window->entries[i];
		if (entry->fired)
			break; /* events of one time fire together */
		entry->fired = true;
		if (!shape->keeps_proofs)
			continue;
		enum status status = window_items_push(&news->fired, time_us, entry->proof);
		if (status != OK)
			return status;
	}
	return OK;
}

static bool span_holds(const struct window *window, size_t first, const struct window_shape *shape)
{
	size_t last = first + shape->at_least - 1;
	return last < window->count &&
	       time_within(window->entries[first].time_us, window->entries[last].time_us,
			   shape->timespan_us);
}

static bool gap_among(const struct window *window, size_t first, size_t end)
{
	for (size_t i = first; i < end && i < window->count; i++)
		if (window->entries[i].gap_before)
			return true;
	return false;
}

/* The newest entry was added: one window can have begun to hold. No gap is among its K entries,
 * since at least K - 1 stand behind the last gap. */
static enum status recheck_newest(struct window *window, const struct window_shape *shape,
				  struct window_news *news)
{
	if (window->count < shape->at_least)
		return OK;
	size_t first = window->count - shape->at_least;
	if (!span_holds(window, first, shape))
		return OK;
	struct window_entry *entries = window->entries;
	assert(!entries[first].holds);
	entries[first].holds = true;
	/* If the window before held too, all but the newest contribute already. */
	bool run = entries[first].gap_before || (first > 0 && entries[first - 1].holds);
	enum status status = OK;
	for (size_t i = run ? window->count - 1 : first; status == OK && i < window->count; i++)
		status = entry_contribute(window, i, shape, news);
	return status == OK ? window_fire(window, window->count - 1, shape, news) : status;
}

/* An entry was added at p, in front of others: up to K windows can have begun to hold. */
static enum status recheck_around(struct window *window, size_t p, const struct window_shape *shape,
				  struct window_news *news)
{
	size_t reach = shape->at_least - 1;
	size_t lowest = p >= reach ? p - reach : 0;
	struct window_entry *entries = window->entries;
	bool run_after = gap_among(window, p + 1, p + reach + 1);
	bool run_before = gap_among(window, p >= reach ? p - reach + 1 : 0, p + 1);
	entries[p].holds = run_after;
	enum status status = OK;
	size_t marked = lowest; /* entries below are done */
	for (size_t i = lowest; status == OK && i <= p; i++) {
		if (!entries[i].holds && !span_holds(window, i, shape))
			continue;
		entries[i].holds = true;
		size_t end = i + reach + 1 < window->count ? i + reach + 1 : window->count;
		for (marked = marked > i ? marked : i; status == OK && marked < end; marked++)
			status = entry_contribute(window, marked, shape, news);
	}
	if (status == OK && run_before)
		status = entry_contribute(window, p, shape, news);
	if (status == OK && run_before)
		status = window_fire(window, p, shape, news);
	for (size_t q = p; status == OK && q <= p + reach && q < window->count; q++)
		if (q >= reach && span_holds(window, q - reach, shape))
			status = window_fire(window, q, shape, news);
	return status;
}

/* Where an event of that time goes: behind all that are not later. */
static size_t window_place(const struct window *window, int64_t time_us)
{
	size_t low = 0;
	size_t high = window->count;
	if (high > 0 && window->entries[high - 1].time_us <= time_us)
		return high;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (window->entries[middle].time_us <= time_us)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static enum status window_insert(struct window *window, size_t p, struct proof *proof)
{
	if (window->count == window->capacity) {
		uint32_t capacity = window->capacity == 0 ? 2 : window->capacity * 2;
		struct window_entry *grown = realloc(window->entries, capacity * sizeof *grown);
		if (grown == NULL)
			return ENOMEMORY;
		window->entries = grown;
		window->capacity = capacity;
	}
	memmove(&window->entries[p + 1], &window->entries[p],
		(window->count - p) * sizeof *window->entries);
	window->entries[p] = (struct window_entry){.time_us = proof->evidence.time_us,
						   .proof = proof_hold(proof)};
	window->proof_bytes += proof->size;
	window->count++;
	return OK;
}

/* Of the entries that wait, only those near both ends keep their proof: an alert shows no others.
 * The newcomer and the two that it pushed off an edge are the only candidates. */
static void window_thin_proofs(struct window *window, size_t p)
{
	if (window->count <= 2 * WINDOW_PROOFS_EDGE)
		return;
	size_t last = window->count - 1 - WINDOW_PROOFS_EDGE;
	entry_release(window, &window->entries[WINDOW_PROOFS_EDGE]);
	entry_release(window, &window->entries[last]);
	if (p >= WINDOW_PROOFS_EDGE && p <= last)
		entry_release(window, &window->entries[p]);
}

/* Drops inner entries (see above): `streak` counts how many windows up to here hold in a row. */
static void window_forget_inner(struct window *window, size_t at_least)
{
	uint32_t kept = 0;
	size_t streak = 0;
	bool gap = false;
	for (size_t i = 0; i < window->count; i++) {
		struct window_entry *entry = &window->entries[i];
		if (entry->gap_before)
			streak = at_least; /* the forgotten neighbour was inner */
		streak = entry->holds ? streak + 1 : 0;
		if (streak >= at_least) {
			assert(entry->contributes && i + 1 < window->count);
			entry_release(window, entry);
			gap = true;
			continue;
		}
		entry->gap_before = entry->gap_before || gap;
		gap = false;
		window->entries[kept++] = *entry;
	}
	assert(!gap);
	window->count = kept;
}

enum status window_add(struct window *window, const struct window_shape *shape, struct proof *proof,
		       struct window_news *news)
{
	assert(shape->at_least > 0 && shape->timespan_us >= 0);
	int64_t time_us = proof->evidence.time_us;
	size_t p = window_place(window, time_us);
	bool inner = shape->at_least == 1 || (p < window->count && window->entries[p].gap_before);
	if (inner) {
		enum status status = window_items_push(&news->contributed, time_us, proof);
		if (status == OK && shape->keeps_proofs)
			status = window_items_push(&news->fired, time_us, proof);
		if (status == OK && p > 0 && window->entries[p - 1].time_us == time_us)
			status = window_fire(window, p - 1, shape, news);
		return status;
	}
	enum status status = window_insert(window, p, proof);
	if (status != OK)
		return status;
	if (p + 1 == window->count)
		status = recheck_newest(window, shape, news);
	else
		status = recheck_around(window, p, shape, news);
	if (!shape->keeps_proofs)
		window_thin_proofs(window, p);
	if (window->count % (4 * shape->at_least + WINDOW_SLACK) == 0)
		window_forget_inner(window, shape->at_least);
	return status;
}

void window_settle(struct window *window, const struct window_shape *shape, int64_t watermark_us)
{
	window_forget_inner(window, shape->at_least);
	uint32_t gone = 0;
	while (gone < window->count &&
	       time_passed(window->entries[gone].time_us, shape->timespan_us, watermark_us)) {
		entry_release(window, &window->entries[gone]);
		gone++;
	}
	window->count -= gone;
	if (gone > 0)
		memmove(window->entries, window->entries + gone,
			window->count * sizeof *window->entries);
	if (window->count == 0)
		window_done(window);
}

/* A lower threshold: whatever held still holds. A higher one: what was forgotten cannot be counted
 * again and what held may not hold any more, so gaps and windows are cleared; events that
 * contributed stay counted where they were. */
void window_reshape(struct window *window, size_t old_at_least, size_t at_least)
{
	assert(at_least > 0);
	if (at_least == 1)
		window_done(window);
	for (size_t i = 0; i < window->count && at_least > old_at_least; i++) {
		window->entries[i].gap_before = false;
		window->entries[i].holds = false;
	}
}

void window_done(struct window *window)
{
	for (size_t i = 0; i < window->count; i++)
		proof_release(&window->entries[i].proof);
	free(window->entries);
	*window = (struct window){0};
}

size_t window_bytes(const struct window *window)
{
	return window->capacity * sizeof *window->entries + window->proof_bytes;
}

enum { ENTRY_HOLDS = 1, ENTRY_CONTRIBUTES = 2, ENTRY_FIRED = 4, ENTRY_GAP = 8, ENTRY_PROOF = 16 };

void window_encode(const struct window *window, struct bytes *to)
{
	int64_t before_us = 0;
	bytes_put_varint(to, window->count);
	for (size_t i = 0; i < window->count; i++) {
		const struct window_entry *entry = &window->entries[i];
		if (i == 0)
			bytes_put_signed(to, entry->time_us);
		else
			bytes_put_varint(to, (uint64_t)entry->time_us - (uint64_t)before_us);
		before_us = entry->time_us;
		unsigned flags = (entry->holds ? ENTRY_HOLDS : 0u) |
				 (entry->contributes ? ENTRY_CONTRIBUTES : 0u) |
				 (entry->fired ? ENTRY_FIRED : 0u) |
				 (entry->gap_before ? ENTRY_GAP : 0u) |
				 (entry->proof != NULL ? ENTRY_PROOF : 0u);
		bytes_put_u8(to, (uint8_t)flags);
		if (entry->proof != NULL)
			proof_encode(entry->proof, to);
	}
}

static enum status entry_decode(struct cursor *from, const struct window_entry *before,
				struct window_entry *ret_entry)
{
	struct window_entry entry = {0};
	if (before == NULL) {
		entry.time_us = cursor_signed(from);
	} else {
		uint64_t delta = cursor_varint(from);
		if (delta > (uint64_t)INT64_MAX - (uint64_t)before->time_us)
			return ECORRUPT;
		entry.time_us = (int64_t)((uint64_t)before->time_us + delta);
	}
	uint8_t flags = cursor_u8(from);
	entry.holds = (flags & ENTRY_HOLDS) != 0;
	entry.contributes = (flags & ENTRY_CONTRIBUTES) != 0;
	entry.fired = (flags & ENTRY_FIRED) != 0;
	entry.gap_before = (flags & ENTRY_GAP) != 0;
	if (from->failed || flags >= 2 * ENTRY_PROOF)
		return ECORRUPT;
	enum status status = (flags & ENTRY_PROOF) == 0
				     ? OK
				     : proof_decode_at(from, entry.time_us, &entry.proof);
	if (status == OK)
		*ret_entry = entry;
	return status;
}

/* What the rest of this file asserts must be true of what came from a disk. */
static bool window_is_sound(const struct window *window, const struct window_shape *shape)
{
	size_t reach = shape->at_least - 1;
	size_t next_gap = SIZE_MAX;
	for (size_t i = window->count; i-- > 0;) {
		const struct window_entry *entry = &window->entries[i];
		bool crosses = next_gap != SIZE_MAX && next_gap - i <= reach;
		if (entry->holds && (!entry->contributes || reach == 0 ||
				     !(crosses || span_holds(window, i, shape))))
			return false;
		if (!entry->gap_before)
			continue;
		if (reach == 0 || window->count - i < reach)
			return false;
		next_gap = i;
	}
	size_t covered = 0; /* entries below lie in a window that holds */
	for (size_t i = 0; i < window->count; i++) {
		const struct window_entry *entry = &window->entries[i];
		size_t end = entry->holds ? i + reach + 1 : entry->gap_before ? i + reach : 0;
		covered = end > covered ? end : covered;
		if (i < covered && !entry->contributes)
			return false;
	}
	return true;
}

enum status window_decode(struct cursor *from, const struct window_shape *shape,
			  struct window *window)
{
	assert(window->count == 0 && window->entries == NULL);
	uint64_t count = cursor_varint(from);
	if (from->failed || count > cursor_left(from) || count > UINT32_MAX)
		return ECORRUPT;
	if (count == 0)
		return OK;
	window->entries = calloc(count, sizeof *window->entries);
	if (window->entries == NULL)
		return ENOMEMORY;
	window->capacity = (uint32_t)count;
	for (size_t i = 0; i < count; i++) {
		const struct window_entry *before = i == 0 ? NULL : &window->entries[i - 1];
		enum status status = entry_decode(from, before, &window->entries[i]);
		if (status != OK)
			return status;
		struct proof *proof = window->entries[i].proof;
		window->proof_bytes += proof == NULL ? 0 : proof->size;
		window->count++;
	}
	return window_is_sound(window, shape) ? OK : ECORRUPT;
}
