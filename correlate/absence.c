/* absence: no event of the group for a timespan.
 *
 * A group is watched from its first event on, a member of the rule's list from the first watermark
 * on. Let `last` be the time of its newest event: it is missed at last + W when the watermark has
 * passed that and no event of at most that time came, again at last + 2 W, and so on; each is one
 * contributing event of the group, so that the alert grows while the silence lasts. It ends when
 * the group is back: the next time it is missed is more than W behind the last one, so that the
 * alert would end there in any case, W later. A group that is no member is missed for `forget`,
 * then forgotten; a member is watched for ever.
 *
 * With `seen-within: S` members are whoever any event shows, whatever rules it matched: such an
 * event was heard at the end of its second (plan_hear), so that a second of a busy group is one
 * record. A group that was heard and never came is missed from then on; it is forgotten when it is
 * due and was not heard for S. S is no shorter than W, so nobody is forgotten before it was missed.
 *
 * A silence is only known where time goes on: when the input ends for good (a scan), nothing is
 * said about what would have come. A stalled partition holds the watermark, and so the answer.
 *
 * Order of arrival cannot matter: `last` is a maximum, and it is asked for only when the watermark
 * says that no punctual event of an earlier time will come. Of those that wait for the watermark,
 * and may be many when a partition holds it, one between two that are at most W apart is dropped:
 * nothing is due between these, whatever else comes.
 *
 * State: the newest time, how often it was missed, and the proof of the newest event, which the
 * alert shows. In a checkpoint:
 *   signed last_us   varint missed   u8 flags   signed heard_us with HEARD   u8 has proof   proof
 *
 * Oracle: tests/correlate/test_absence.c. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "correlate/absence.h"
#include "correlate/gated.h"

enum { MEMBER = 1, HEARD = 2, AWAITED = 4 };

struct absence {
	int64_t last_us;  /* of its newest event; before the first, since when it is awaited */
	int64_t heard_us; /* INT64_MIN: never */
	uint64_t missed;
	bool member;
	bool awaited;       /* none of its events has come yet */
	struct proof *last; /* until it has been shown */
};

/* A memory, of a group that is awaited from that time on. */
static enum status memory_begin(struct gated *gated, int64_t from_us)
{
	if (gated->memory != NULL)
		return OK;
	struct absence *memory = gated->memory = calloc(1, sizeof *memory);
	if (memory == NULL)
		return ENOMEMORY;
	memory->last_us = from_us;
	memory->heard_us = INT64_MIN;
	memory->awaited = true;
	return OK;
}

enum status absence_watch(struct gated *gated, int64_t from_us)
{
	enum status status = memory_begin(gated, from_us);
	if (status == OK)
		((struct absence *)gated->memory)->member = true;
	return status;
}

void absence_release(struct gated *gated)
{
	struct absence *memory = gated->memory;
	if (memory != NULL)
		memory->member = false;
}

/* The nearest entry of the tag before `at`, or from `at` on; NULL: there is none. */
static struct gated_entry *entry_before(const struct gated *gated, size_t at, uint8_t tag)
{
	while (at > 0 && gated->entries[at - 1].tag != tag)
		at--;
	return at == 0 ? NULL : &gated->entries[at - 1];
}

static struct gated_entry *entry_from(const struct gated *gated, size_t at, uint8_t tag)
{
	while (at < gated->count && gated->entries[at].tag != tag)
		at++;
	return at == gated->count ? NULL : &gated->entries[at];
}

/* Whether nothing can be due between the two. */
static bool entries_near(const struct gated_entry *first, int64_t next_us, const struct unit *unit)
{
	return first != NULL && next_us <= time_after(first->time_us, unit->timespan_us);
}

static void entry_drop(struct gated *gated, struct gated_entry *entry)
{
	size_t behind = (size_t)(gated->entries + gated->count - entry) - 1;
	proof_release(&entry->proof);
	memmove(entry, entry + 1, behind * sizeof *entry);
	gated->count--;
}

bool absence_admits(struct gated *gated, const struct unit *unit, uint8_t tag, struct proof *proof)
{
	int64_t time_us = proof->evidence.time_us;
	size_t at = gated->count;
	while (at > 0 && gated->entries[at - 1].time_us > time_us)
		at--;
	struct gated_entry *before = entry_before(gated, at, tag);
	struct gated_entry *after = entry_from(gated, at, tag);
	if (before != NULL && before->time_us == time_us) {
		if (before->proof != NULL && proof_compare(proof, before->proof) < 0) {
			proof_release(&before->proof); /* the smallest, in whatever order */
			before->proof = proof_hold(proof);
		}
		return false;
	}
	if (after != NULL && entries_near(before, after->time_us, unit))
		return false;
	struct gated_entry *next =
		after == NULL ? NULL : entry_from(gated, (size_t)(after - gated->entries) + 1, tag);
	if (next != NULL && next->time_us <= time_after(time_us, unit->timespan_us))
		entry_drop(gated, after);
	if (before != NULL &&
	    entries_near(entry_before(gated, (size_t)(before - gated->entries), tag), time_us,
			 unit))
		entry_drop(gated, before);
	return true;
}

/* When it is missed next. */
static int64_t missed_us(const struct absence *memory, const struct unit *unit)
{
	int64_t span_us = 0;
	if (__builtin_mul_overflow(unit->timespan_us, (int64_t)memory->missed + 1, &span_us))
		return INT64_MAX;
	return time_after(memory->last_us, span_us);
}

static int64_t absence_next(const struct gated *gated, const struct unit *unit)
{
	int64_t due_us = gated->memory == NULL ? INT64_MAX : missed_us(gated->memory, unit);
	int64_t event_us = gated->count == 0 ? INT64_MAX : gated->entries[0].time_us;
	return due_us < event_us ? due_us : event_us;
}

static enum status tell_missed(struct gated *gated, const struct unit *unit, int64_t due_us,
			       struct window_news *news)
{
	struct absence *memory = gated->memory;
	char last[32];
	enum status status = window_items_push(&news->contributed, due_us, memory->last);
	if (status == OK && unit->parent_count > 0)
		status = window_items_push(&news->fired, due_us, memory->last);
	proof_release(&memory->last);
	memory->missed++;
	news->degraded = news->degraded || gated_is_cut(gated, memory->last_us);
	(void)snprintf(news->detail, sizeof news->detail, "%s %.*s",
		       memory->awaited ? "awaited in vain since" : "silent since",
		       TEXT_ARG(time_print(memory->last_us, last)));
	return status;
}

/* The events of one time: the group is there, or has been heard of. */
static enum status take_events(struct gated *gated)
{
	size_t end = gated_same_time(gated, 0);
	int64_t time_us = gated->entries[0].time_us;
	enum status status = memory_begin(gated, time_us);
	struct absence *memory = gated->memory;
	for (size_t i = 0; status == OK && i < end; i++) {
		struct gated_entry *entry = &gated->entries[i];
		if (entry->tag == ABSENCE_HEARD) {
			memory->heard_us = time_us;
			continue;
		}
		proof_release(&memory->last);
		memory->last = TAKE(entry->proof);
		memory->last_us = time_us;
		memory->missed = 0;
		memory->awaited = false;
	}
	gated_drop(gated, end);
	return status;
}

/* Nobody waits any more for one that is missed at due_us. */
static bool is_forgotten(const struct absence *memory, const struct absence_terms *terms,
			 int64_t due_us)
{
	if (memory->member)
		return false;
	if (terms->seen_us == 0)
		return due_us - memory->last_us > terms->forget_us && memory->missed > 0;
	int64_t heard_us = memory->heard_us > memory->last_us ? memory->heard_us : memory->last_us;
	return due_us > time_after(heard_us, terms->seen_us);
}

static void absence_done(struct gated *gated)
{
	struct absence *memory = gated->memory;
	proof_release(&memory->last);
	free(memory);
	gated->memory = NULL;
}

static enum status absence_advance(struct gated *gated, const struct unit *unit,
				   int64_t watermark_us, struct window_news *news)
{
	const struct absence_terms *terms = unit->rule->correlation->absence;
	enum status status = OK;
	bool ends = watermark_us == INT64_MAX;
	while (status == OK && time_passed(absence_next(gated, unit), 0, watermark_us)) {
		struct absence *memory = gated->memory;
		int64_t due_us = memory == NULL ? INT64_MAX : missed_us(memory, unit);
		bool event_first = gated->count > 0 && gated->entries[0].time_us <= due_us;
		if (event_first)
			status = take_events(gated);
		else if (ends && gated->count == 0)
			break; /* nobody knows what would have come */
		else if (is_forgotten(memory, terms, due_us))
			absence_done(gated);
		else
			status = tell_missed(gated, unit, due_us, news);
	}
	if (status == OK && ends && gated->memory != NULL)
		absence_done(gated);
	return status;
}

static int64_t absence_forget(struct gated *gated, const struct unit *unit, int64_t watermark_us)
{
	(void)watermark_us;
	return gated->memory == NULL && gated->count == 0 ? INT64_MIN : absence_next(gated, unit);
}

static bool absence_is_over(const struct gated *gated, int64_t last_us)
{
	const struct absence *memory = gated->memory;
	return memory->missed == 0 && !memory->awaited && memory->last_us > last_us;
}

static void absence_encode(const struct gated *gated, struct bytes *to)
{
	const struct absence *memory = gated->memory;
	bytes_put_signed(to, memory->last_us);
	bytes_put_varint(to, memory->missed);
	bool heard = memory->heard_us != INT64_MIN;
	unsigned flags = (memory->member ? MEMBER : 0u) | (heard ? HEARD : 0u) |
			 (memory->awaited ? AWAITED : 0u);
	bytes_put_u8(to, (uint8_t)flags);
	if (heard)
		bytes_put_signed(to, memory->heard_us);
	bytes_put_u8(to, memory->last != NULL);
	if (memory->last != NULL)
		proof_encode(memory->last, to);
}

static enum status absence_decode(struct cursor *from, const struct unit *unit, struct gated *gated)
{
	struct absence *memory = gated->memory = calloc(1, sizeof *memory);
	(void)unit;
	if (memory == NULL)
		return ENOMEMORY;
	memory->last_us = cursor_signed(from);
	memory->missed = cursor_varint(from);
	uint8_t flags = cursor_u8(from);
	memory->heard_us = (flags & HEARD) != 0 ? cursor_signed(from) : INT64_MIN;
	uint8_t shown = cursor_u8(from);
	if (from->failed || memory->missed > INT64_MAX - 1 || flags >= 2 * AWAITED || shown > 1)
		return ECORRUPT;
	memory->member = (flags & MEMBER) != 0;
	memory->awaited = (flags & AWAITED) != 0;
	return shown == 0 ? OK : proof_decode(from, &memory->last);
}

static size_t absence_bytes(const struct gated *gated)
{
	const struct absence *memory = gated->memory;
	return sizeof *memory + (memory->last == NULL ? 0 : memory->last->size);
}

const struct machine absence_machine = {
	.advance = absence_advance,
	.next_us = absence_next,
	.forget = absence_forget,
	.is_over = absence_is_over,
	.encode = absence_encode,
	.decode = absence_decode,
	.done = absence_done,
	.bytes = absence_bytes,
};
