/* peers: is what one group shows for the first time rare among the groups like it?
 *
 *     peers: {by: [service.name], rare-below: 3}
 *
 * Groups whose events have the same values in the `by` fields are peers while they have them. What
 * a group shows is new only when fewer than `rare-below` other groups of its peers have shown it
 * in the timespan before; an event without one of the fields has no peers, and is judged alone.
 * (Elastic asks a rule's own query for that, Splunk's "rare among peers" a daily table; here it is
 * one more cell.)
 *
 * Where. A cell stands for one value among peers: the fields of `by`, then the value. Its events
 * are the groups that show the value; when the watermark has passed an event, and its group has not
 * shown the value before while enough others have, the group's cell gets the answer "common" for
 * that value and time. This is one stage before the first_seen itself (its depth less one), so the
 * answer is there when the group decides that time (gates.c). No answer means rare: a value that
 * cannot be asked about - because a cell was refused, or the value was cut - is told, not hidden.
 *
 * Why order cannot change the answer. Events of one time are judged against what was shown before
 * that time, all of them, and remembered together: as in first_seen.c.
 *
 * State. Whether enough others have shown it depends on the newest of them only: of all groups, the
 * rare-below + 1 that showed it last hold the rare-below newest others of any group, so the rest is
 * forgotten, and a value known to a million groups takes as much as one known to ten. Of two of one
 * time the smaller id goes, so that the state is a function of the events too. A group that was
 * forgotten here may be answered although it asks nothing: it still knows the value. In a
 * checkpoint: varint number of groups, ascending by id, then for each: u64le id   signed last_us
 *
 * Oracle: tests/correlate/test_first_seen.c. */
#include "correlate/peers.h"

#include <assert.h>
#include <stdlib.h>

#include "correlate/gated.h"
#include "correlate/values_private.h"

struct peer {
	uint64_t id; /* half of its cell's key */
	int64_t last_us;
};

struct peers {
	size_t count;
	size_t wanted;       /* as many as the rule needs */
	struct peer items[]; /* ascending by id; room for one more */
};

static_assert(sizeof(struct cell_key) == 2 * sizeof(uint64_t));

void peers_put_member(const struct plan *plan, const struct unit *above, struct text tenant,
		      struct text group, struct bytes *to)
{
	const struct hash_key *key = plan_hash_key(plan);
	struct cell_key cell = record_cell_key(key, above->state_id, tenant, group);
	uint8_t partition = virtual_partition_of(key, tenant, group);
	uint64_t halves[2];
	memcpy(halves, cell.bytes, sizeof halves);
	values_put_tagged(partition, halves[0], to);
	values_put_tagged(partition, halves[1], to);
}

static struct peers *peers_new(const struct unit *unit)
{
	size_t wanted = (size_t)unit->rule->correlation->first_seen->rare_below + 1;
	struct peers *peers = calloc(1, sizeof *peers + (wanted + 1) * sizeof *peers->items);
	if (peers != NULL)
		peers->wanted = wanted;
	return peers;
}

static size_t peer_place(const struct peers *peers, uint64_t id)
{
	size_t low = 0;
	size_t high = peers->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (peers->items[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_older(const struct peer *a, const struct peer *b)
{
	return a->last_us != b->last_us ? a->last_us < b->last_us : a->id < b->id;
}

static void peers_remove(struct peers *peers, size_t at)
{
	peers->count--;
	memmove(&peers->items[at], &peers->items[at + 1],
		(peers->count - at) * sizeof *peers->items);
}

/* The group has shown the value at that time; of too many groups the one that showed it longest
 * ago goes. */
static void peers_remember(struct peers *peers, const struct peer *peer)
{
	size_t at = peer_place(peers, peer->id);
	if (at < peers->count && peers->items[at].id == peer->id) {
		if (peers->items[at].last_us < peer->last_us)
			peers->items[at].last_us = peer->last_us;
		return;
	}
	memmove(&peers->items[at + 1], &peers->items[at],
		(peers->count - at) * sizeof *peers->items);
	peers->items[at] = *peer;
	peers->count++;
	size_t oldest = 0;
	for (size_t i = 1; i < peers->count; i++)
		if (is_older(&peers->items[i], &peers->items[oldest]))
			oldest = i;
	if (peers->count > peers->wanted)
		peers_remove(peers, oldest);
}

/* Whether so many others, and not the group itself, have shown it in the timespan before. */
static bool is_common(const struct peers *peers, const struct unit *unit, const struct peer *asking)
{
	size_t others = 0;
	for (size_t i = 0; i < peers->count; i++) {
		const struct peer *peer = &peers->items[i];
		bool shown = peer->last_us < asking->last_us &&
			     time_within(peer->last_us, asking->last_us, unit->timespan_us);
		if (shown && peer->id == asking->id)
			return false; /* it knows the value and will not ask */
		others += shown;
	}
	return others >= unit->rule->correlation->first_seen->rare_below;
}

static enum status answers_push(struct window_answers *answers, const struct window_answer *answer)
{
	if (answers->count == answers->capacity) {
		size_t capacity = answers->capacity == 0 ? 16 : answers->capacity * 2;
		struct window_answer *grown = realloc(answers->items, capacity * sizeof *grown);
		if (grown == NULL)
			return ENOMEMORY;
		answers->items = grown;
		answers->capacity = capacity;
	}
	answers->items[answers->count++] = *answer;
	return OK;
}

/* The group that two entries name. */
static struct window_answer member_of(const struct gated_entry *entries)
{
	struct window_answer member = {.time_us = entries[0].time_us,
				       .virtual_partition = entries[0].tag};
	memcpy(member.cell.bytes, &entries[0].value, sizeof entries[0].value);
	memcpy(member.cell.bytes + sizeof entries[0].value, &entries[1].value,
	       sizeof entries[1].value);
	return member;
}

/* All events of one time. */
static enum status time_judge(struct gated *gated, const struct unit *unit, size_t end,
			      struct window_news *news)
{
	struct peers *peers = gated->memory;
	enum status status = OK;
	for (size_t i = 0; status == OK && i + 1 < end; i += 2) {
		const struct peer asking = {gated->entries[i].value, gated->entries[i].time_us};
		struct window_answer member = member_of(&gated->entries[i]);
		if (is_common(peers, unit, &asking))
			status = answers_push(&news->answers, &member);
	}
	for (size_t i = 0; i + 1 < end; i += 2)
		peers_remember(peers,
			       &(struct peer){gated->entries[i].value, gated->entries[i].time_us});
	return status;
}

static enum status peers_advance(struct gated *gated, const struct unit *unit, int64_t watermark_us,
				 struct window_news *news)
{
	enum status status = OK;
	size_t waiting_max = gated->count > PEERS_WAITING_MAX ? PEERS_WAITING_MAX / 2 : SIZE_MAX;
	if (gated->memory == NULL && (gated->memory = peers_new(unit)) == NULL)
		return ENOMEMORY;
	while (status == OK && gated->count > 0 &&
	       (time_passed(gated->entries[0].time_us, 0, watermark_us) ||
		gated->count > waiting_max)) {
		size_t end = gated_same_time(gated, 0);
		status = time_judge(gated, unit, end, news);
		gated_drop(gated, end);
	}
	return status;
}

static int64_t peers_next(const struct gated *gated, const struct unit *unit)
{
	(void)unit;
	if (gated->count == 0)
		return INT64_MAX;
	return gated->count > PEERS_WAITING_MAX ? INT64_MIN : gated->entries[0].time_us;
}

/* Whoever has not shown the value for a timespan goes. */
static int64_t peers_forget(struct gated *gated, const struct unit *unit, int64_t watermark_us)
{
	struct peers *peers = gated->memory;
	int64_t kept_us = gated->count > 0 ? gated->entries[gated->count - 1].time_us : INT64_MIN;
	for (size_t i = peers == NULL ? 0 : peers->count; i-- > 0;) {
		int64_t until_us = time_after(peers->items[i].last_us, unit->timespan_us);
		if (time_passed(peers->items[i].last_us, unit->timespan_us, watermark_us))
			peers_remove(peers, i);
		else
			kept_us = until_us > kept_us ? until_us : kept_us;
	}
	return kept_us;
}

static void peers_encode(const struct gated *gated, struct bytes *to)
{
	const struct peers *peers = gated->memory;
	bytes_put_varint(to, peers->count);
	for (size_t i = 0; i < peers->count; i++) {
		bytes_put_u64le(to, peers->items[i].id);
		bytes_put_signed(to, peers->items[i].last_us);
	}
}

static enum status peers_decode(struct cursor *from, const struct unit *unit, struct gated *gated)
{
	struct peers *peers = gated->memory = peers_new(unit);
	if (peers == NULL)
		return ENOMEMORY;
	uint64_t count = cursor_varint(from);
	if (from->failed || count > peers->wanted)
		return ECORRUPT;
	for (size_t i = 0; i < count; i++) {
		struct peer peer = {.id = cursor_u64le(from)};
		peer.last_us = cursor_signed(from);
		if (from->failed || (i > 0 && peer.id <= peers->items[i - 1].id))
			return ECORRUPT;
		peers->items[peers->count++] = peer;
	}
	return OK;
}

static void peers_done(struct gated *gated)
{
	free(gated->memory);
	gated->memory = NULL;
}

static size_t peers_bytes(const struct gated *gated)
{
	const struct peers *peers = gated->memory;
	return sizeof *peers + (peers->wanted + 1) * sizeof *peers->items;
}

const struct machine peers_machine = {
	.advance = peers_advance,
	.next_us = peers_next,
	.forget = peers_forget,
	.encode = peers_encode,
	.decode = peers_decode,
	.done = peers_done,
	.bytes = peers_bytes,
};
