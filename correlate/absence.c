/* absence: no event of the group for a timespan.
 *
 * A group is watched from its first event on, a member of the rule's list from the first watermark
 * on. Let `last` be the time of its newest event: it is missed at last + W when the watermark has
 * passed that and no event of at most that time came, again at last + 2 W, and so on; each is one
 * contributing event of the group, so that the alert grows while the silence lasts and ends when
 * the group is back. A group that is no member is missed for `forget`, then forgotten; a member is
 * watched for ever.
 *
 * A silence is only known where time goes on: when the input ends for good (a scan), nothing is
 * said about what would have come. A stalled partition holds the watermark, and so the answer.
 *
 * Order of arrival cannot matter: `last` is a maximum, and it is asked for only when the watermark
 * says that no punctual event of an earlier time will come.
 *
 * State: the newest time, how often it was missed, and the proof of the newest event, which the
 * alert shows. In a checkpoint: signed last_us   varint missed   u8 member   u8 has proof   proof
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "correlate/absence.h"
#include "correlate/gated.h"

struct absence {
	int64_t last_us;
	uint64_t missed;
	bool member;
	struct proof *last; /* until it has been shown */
};

enum status absence_watch(struct gated *gated, int64_t from_us)
{
	struct absence *memory = gated->memory;
	if (memory == NULL) {
		memory = gated->memory = calloc(1, sizeof *memory);
		if (memory == NULL)
			return ENOMEMORY;
		memory->last_us = from_us;
	}
	memory->member = true;
	return OK;
}

void absence_release(struct gated *gated)
{
	struct absence *memory = gated->memory;
	if (memory != NULL)
		memory->member = false;
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

static enum status tell_missed(struct absence *memory, const struct unit *unit, int64_t due_us,
			       struct window_news *news)
{
	char last[32];
	enum status status = window_items_push(&news->contributed, due_us, memory->last);
	if (status == OK && unit->parent_count > 0)
		status = window_items_push(&news->fired, due_us, memory->last);
	proof_release(&memory->last);
	memory->missed++;
	(void)snprintf(news->detail, sizeof news->detail, "silent since %.*s",
		       TEXT_ARG(time_print(memory->last_us, last)));
	return status;
}

/* The events of one time: the group is there. */
static enum status take_events(struct gated *gated)
{
	if (gated->memory == NULL) {
		gated->memory = calloc(1, sizeof(struct absence));
		if (gated->memory == NULL)
			return ENOMEMORY;
	}
	struct absence *memory = gated->memory;
	size_t end = gated_same_time(gated, 0);
	proof_release(&memory->last);
	memory->last_us = gated->entries[0].time_us;
	memory->missed = 0;
	for (size_t i = 0; i < end; i++) /* the smallest of one time, in whatever order they came */
		if (gated->entries[i].proof != NULL &&
		    (memory->last == NULL ||
		     proof_compare(gated->entries[i].proof, memory->last) < 0)) {
			proof_release(&memory->last);
			memory->last = proof_hold(gated->entries[i].proof);
		}
	gated_drop(gated, end);
	return OK;
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
		else if (!memory->member && due_us - memory->last_us > terms->forget_us &&
			 memory->missed > 0)
			absence_done(gated);
		else
			status = tell_missed(memory, unit, due_us, news);
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

static void absence_encode(const struct gated *gated, struct bytes *to)
{
	const struct absence *memory = gated->memory;
	bytes_put_signed(to, memory->last_us);
	bytes_put_varint(to, memory->missed);
	bytes_put_u8(to, memory->member);
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
	uint8_t member = cursor_u8(from);
	uint8_t shown = cursor_u8(from);
	if (from->failed || memory->missed > INT64_MAX - 1 || member > 1 || shown > 1)
		return ECORRUPT;
	memory->member = member == 1;
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
	.encode = absence_encode,
	.decode = absence_decode,
	.done = absence_done,
	.bytes = absence_bytes,
};
