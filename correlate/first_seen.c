/* first_seen: a value that the group has not shown before, or not for so long (timespan).
 *
 * A group begins with its first event and learns for as long as the rule says, or for so many
 * events, whichever ends first: meanwhile values are remembered and nothing is told. After that an
 * event fires when, with it, at least `gte` values came newly within the burst window that ends at
 * its time; each time a value is shown it is remembered for another timespan.
 *
 * With `peers`, a value that enough others have shown is not new either, but is remembered like any
 * other; who they are and how their answer comes is written in peers.c.
 *
 * Events of one time are judged against what was known before that time, all of them, and learned
 * together afterwards: so either order gives the same. A group that shows nothing for a timespan is
 * forgotten, and learns again.
 *
 * State: the group's first time, how many events it had, and per value its keyed hash and when it
 * was shown last; FIRST_SEEN_VALUES_MAX values, then the one not shown for longest goes (a value
 * that was forgotten so is told again: too much is said, never too little). The work is that of
 * finding a value among them, whatever the timespan is. In a checkpoint:
 *   signed first_us   varint events   varint number of values, ascending, then for each:
 *     u64le value     signed last_us
 *   varint number of new values in the burst window, ascending by time, then for each: signed time
 *
 * Oracle: tests/correlate/test_first_seen.c. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "correlate/gated.h"
#include "correlate/peers.h"

enum { FIRST_SEEN_VALUES_MAX = 16384, BURST_MAX = 1024 };

struct shown {
	uint64_t value;
	int64_t last_us;
};

struct first_seen {
	int64_t first_us;
	uint64_t event_count;
	struct shown *values; /* ascending by value */
	size_t count;
	size_t capacity;
	int64_t *burst; /* when values came newly, ascending; at most BURST_MAX, the newest */
	size_t burst_count;
};

static size_t shown_place(const struct first_seen *memory, uint64_t value)
{
	size_t low = 0;
	size_t high = memory->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (memory->values[middle].value < value)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_known(const struct first_seen *memory, const struct unit *unit, uint64_t value,
		     int64_t time_us)
{
	size_t at = shown_place(memory, value);
	return at < memory->count && memory->values[at].value == value &&
	       time_within(memory->values[at].last_us, time_us, unit->timespan_us);
}

/* How many are known at that time: not how many have not been forgotten yet, since that depends on
 * when the cell was looked at. */
static size_t known_count(const struct first_seen *memory, const struct unit *unit, int64_t time_us)
{
	size_t known = 0;
	for (size_t i = 0; i < memory->count; i++)
		known += time_within(memory->values[i].last_us, time_us, unit->timespan_us);
	return known;
}

static void forget_oldest(struct first_seen *memory)
{
	size_t oldest = 0;
	for (size_t i = 1; i < memory->count; i++)
		if (memory->values[i].last_us < memory->values[oldest].last_us)
			oldest = i;
	memory->count--;
	memmove(&memory->values[oldest], &memory->values[oldest + 1],
		(memory->count - oldest) * sizeof *memory->values);
}

static enum status remember(struct first_seen *memory, uint64_t value, int64_t time_us)
{
	size_t at = shown_place(memory, value);
	if (at < memory->count && memory->values[at].value == value) {
		memory->values[at].last_us = time_us;
		return OK;
	}
	if (memory->count == FIRST_SEEN_VALUES_MAX) {
		forget_oldest(memory);
		at = shown_place(memory, value);
	}
	if (memory->count == memory->capacity) {
		size_t capacity = memory->capacity == 0 ? 4 : memory->capacity * 2;
		struct shown *grown = realloc(memory->values, capacity * sizeof *grown);
		if (grown == NULL)
			return ENOMEMORY;
		memory->values = grown;
		memory->capacity = capacity;
	}
	memmove(&memory->values[at + 1], &memory->values[at],
		(memory->count - at) * sizeof *memory->values);
	memory->values[at] = (struct shown){value, time_us};
	memory->count++;
	return OK;
}

/* So many values came newly at that time. */
static enum status burst_add(struct first_seen *memory, int64_t time_us, size_t count)
{
	if (count == 0)
		return OK;
	if (memory->burst == NULL)
		memory->burst = calloc(BURST_MAX, sizeof *memory->burst);
	if (memory->burst == NULL)
		return ENOMEMORY;
	count = count < BURST_MAX ? count : BURST_MAX;
	size_t gone = memory->burst_count + count > BURST_MAX
			      ? memory->burst_count + count - BURST_MAX
			      : 0;
	memory->burst_count -= gone;
	memmove(memory->burst, memory->burst + gone, memory->burst_count * sizeof *memory->burst);
	for (size_t i = 0; i < count; i++)
		memory->burst[memory->burst_count++] = time_us;
	return OK;
}

static size_t burst_size(const struct first_seen *memory, int64_t time_us, int64_t window_us)
{
	size_t count = 0;
	while (count < memory->burst_count &&
	       time_within(memory->burst[memory->burst_count - 1 - count], time_us, window_us))
		count++;
	return count;
}

static bool is_learning(const struct first_seen *memory, const struct first_seen_terms *terms,
			int64_t time_us)
{
	return time_us - memory->first_us < terms->learn_us &&
	       (terms->learn_events == 0 || memory->event_count < terms->learn_events);
}

/* Values, to be looked up. */
struct value_set {
	uint64_t *items; /* ascending */
	size_t count;
};

static void value_set_done(struct value_set *set)
{
	free(set->items);
	*set = (struct value_set){0};
}

static int compare_values(const void *a, const void *b)
{
	const uint64_t *left = a;
	const uint64_t *right = b;
	return (*left > *right) - (*left < *right);
}

/* What the peers have answered about entries[0 .. end). */
static enum status common_values(const struct gated *gated, size_t end, struct value_set *ret_set)
{
	struct value_set set = {0};
	for (size_t i = 0; i < end; i++)
		set.count += gated->entries[i].tag == FIRST_SEEN_COMMON;
	if (set.count == 0)
		return OK;
	set.items = calloc(set.count, sizeof *set.items);
	if (set.items == NULL)
		return ENOMEMORY;
	for (size_t i = 0, at = 0; i < end; i++)
		if (gated->entries[i].tag == FIRST_SEEN_COMMON)
			set.items[at++] = gated->entries[i].value;
	qsort(set.items, set.count, sizeof *set.items, compare_values);
	*ret_set = set;
	return OK;
}

/* Whether the entry shows what neither its group nor enough of its peers have shown. */
static bool shows_new(const struct gated *gated, const struct unit *unit,
		      const struct value_set *common, const struct gated_entry *entry)
{
	return entry->tag == FIRST_SEEN_SHOWN &&
	       !is_known(gated->memory, unit, entry->value, entry->time_us) &&
	       (common->count == 0 || bsearch(&entry->value, common->items, common->count,
					      sizeof *common->items, compare_values) == NULL);
}

/* How many different values of entries[0 .. end) are new. */
static size_t count_new(const struct gated *gated, const struct unit *unit,
			const struct value_set *common, size_t end)
{
	uint64_t fresh[BURST_MAX];
	size_t count = 0;
	size_t different = 0;
	for (size_t i = 0; i < end && count < BURST_MAX; i++)
		if (shows_new(gated, unit, common, &gated->entries[i]))
			fresh[count++] = gated->entries[i].value;
	qsort(fresh, count, sizeof *fresh, compare_values);
	for (size_t i = 0; i < count; i++)
		different += i == 0 || fresh[i] != fresh[i - 1];
	return different;
}

/* Tells the events of entries[0 .. end) that show something new. */
static enum status tell_new(struct gated *gated, const struct unit *unit,
			    const struct value_set *common, size_t end, struct window_news *news)
{
	enum status status = OK;
	for (size_t first = 0, behind = 0; status == OK && first < end; first = behind) {
		bool fresh = false;
		for (behind = first;
		     behind < end && (behind == first || gated->entries[behind].secondary);
		     behind++)
			fresh = fresh || shows_new(gated, unit, common, &gated->entries[behind]);
		struct gated_entry *entry = &gated->entries[first];
		if (fresh && unit->parent_count > 0)
			status = window_items_push(&news->fired, entry->time_us, entry->proof);
		if (fresh && status == OK)
			status = gated_contribute(entry, unit, news);
	}
	return status;
}

static void tell_detail(const struct gated *gated, const struct unit *unit, size_t count,
			struct window_news *news)
{
	const struct first_seen_terms *terms = unit->rule->correlation->first_seen;
	(void)snprintf(news->detail, sizeof news->detail, "%zu new %s, %zu known%s", count,
		       count == 1 ? "value" : "values",
		       known_count(gated->memory, unit, gated->entries[0].time_us),
		       terms->peers_by_count > 0 ? ", rare among its peers" : "");
}

/* All events of one time. */
static enum status time_judge(struct gated *gated, const struct unit *unit, size_t end,
			      struct window_news *news)
{
	const struct first_seen_terms *terms = unit->rule->correlation->first_seen;
	struct first_seen *memory = gated->memory;
	int64_t time_us = gated->entries[0].time_us;
	struct value_set common cleanup(value_set_done) = {0};
	enum status status = common_values(gated, end, &common);
	if (status == OK && !is_learning(memory, terms, time_us)) {
		size_t fresh = count_new(gated, unit, &common, end);
		status = burst_add(memory, time_us, fresh);
		size_t burst = burst_size(memory, time_us, terms->burst_us);
		if (status == OK && fresh > 0 && burst >= terms->at_least) {
			status = tell_new(gated, unit, &common, end, news);
			tell_detail(gated, unit, burst, news);
		}
	}
	for (size_t i = 0; status == OK && i < end; i++) {
		const struct gated_entry *entry = &gated->entries[i];
		if (entry->tag != FIRST_SEEN_SHOWN)
			continue;
		memory->event_count += !entry->secondary;
		status = remember(memory, entry->value, time_us);
	}
	return status;
}

static void memory_free(struct gated *gated)
{
	struct first_seen *memory = gated->memory;
	free(memory->values);
	free(memory->burst);
	free(memory);
	gated->memory = NULL;
}

/* When the newest value was shown. */
static int64_t last_shown(const struct first_seen *memory)
{
	int64_t last_us = memory->first_us;
	for (size_t i = 0; i < memory->count; i++)
		last_us = memory->values[i].last_us > last_us ? memory->values[i].last_us : last_us;
	return last_us;
}

static enum status first_seen_advance(struct gated *gated, const struct unit *unit,
				      int64_t watermark_us, struct window_news *news)
{
	enum status status = OK;
	while (status == OK && gated->count > 0 &&
	       time_passed(gated->entries[0].time_us, 0, watermark_us)) {
		size_t end = gated_same_time(gated, 0);
		int64_t time_us = gated->entries[0].time_us;
		if (gated->memory != NULL &&
		    !time_within(last_shown(gated->memory), time_us, unit->timespan_us))
			memory_free(gated);
		if (gated->memory == NULL) {
			struct first_seen *memory = gated->memory = calloc(1, sizeof *memory);
			if (memory == NULL)
				return ENOMEMORY;
			memory->first_us = time_us;
		}
		status = time_judge(gated, unit, end, news);
		gated_drop(gated, end);
	}
	return status;
}

static int64_t first_seen_next(const struct gated *gated, const struct unit *unit)
{
	(void)unit;
	return gated->count > 0 ? gated->entries[0].time_us : INT64_MAX;
}

/* What is not shown for a timespan goes; so does, in the end, the group. */
static int64_t first_seen_forget(struct gated *gated, const struct unit *unit, int64_t watermark_us)
{
	struct first_seen *memory = gated->memory;
	if (memory == NULL)
		return gated->count > 0 ? gated->entries[0].time_us : INT64_MIN;
	size_t kept = 0;
	int64_t kept_us = watermark_us;
	for (size_t i = 0; i < memory->count; i++) {
		if (time_passed(memory->values[i].last_us, unit->timespan_us, watermark_us))
			continue;
		int64_t until_us = time_after(memory->values[i].last_us, unit->timespan_us);
		kept_us = until_us > kept_us ? until_us : kept_us;
		memory->values[kept++] = memory->values[i];
	}
	if (gated->count > 0 && gated->entries[0].time_us > kept_us)
		kept_us = gated->entries[0].time_us;
	memory->count = kept;
	return kept == 0 && gated->count == 0 ? INT64_MIN : kept_us;
}

static void first_seen_encode(const struct gated *gated, struct bytes *to)
{
	const struct first_seen *memory = gated->memory;
	bytes_put_signed(to, memory->first_us);
	bytes_put_varint(to, memory->event_count);
	bytes_put_varint(to, memory->count);
	for (size_t i = 0; i < memory->count; i++) {
		bytes_put_u64le(to, memory->values[i].value);
		bytes_put_signed(to, memory->values[i].last_us);
	}
	bytes_put_varint(to, memory->burst_count);
	for (size_t i = 0; i < memory->burst_count; i++)
		bytes_put_signed(to, memory->burst[i]);
}

static enum status first_seen_decode(struct cursor *from, const struct unit *unit,
				     struct gated *gated)
{
	struct first_seen *memory = gated->memory = calloc(1, sizeof *memory);
	(void)unit;
	if (memory == NULL)
		return ENOMEMORY;
	memory->first_us = cursor_signed(from);
	memory->event_count = cursor_varint(from);
	uint64_t count = cursor_varint(from);
	if (from->failed || count > FIRST_SEEN_VALUES_MAX || count > cursor_left(from))
		return ECORRUPT;
	uint64_t before = 0;
	enum status status = OK;
	for (size_t i = 0; status == OK && i < count; i++) {
		uint64_t value = cursor_u64le(from);
		int64_t last_us = cursor_signed(from);
		if (from->failed || (i > 0 && value <= before))
			return ECORRUPT;
		status = remember(memory, value, last_us);
		before = value;
	}
	uint64_t burst_count = cursor_varint(from);
	if (status == OK && (from->failed || burst_count > BURST_MAX))
		return ECORRUPT;
	for (size_t i = 0; status == OK && i < burst_count; i++) {
		int64_t time_us = cursor_signed(from);
		if (from->failed || (i > 0 && time_us < memory->burst[i - 1]))
			return ECORRUPT;
		status = burst_add(memory, time_us, 1);
	}
	return status;
}

static size_t first_seen_bytes(const struct gated *gated)
{
	const struct first_seen *memory = gated->memory;
	return sizeof *memory + memory->capacity * sizeof *memory->values +
	       (memory->burst == NULL ? 0 : BURST_MAX * sizeof *memory->burst);
}

const struct machine first_seen_machine = {
	.advance = first_seen_advance,
	.next_us = first_seen_next,
	.forget = first_seen_forget,
	.encode = first_seen_encode,
	.decode = first_seen_decode,
	.done = memory_free,
	.bytes = first_seen_bytes,
};
