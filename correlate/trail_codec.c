/* A trail as bytes, inside a cell's checkpoint:
 *
 *   varint  number of entries; nothing else when it is 0
 *   u8      1 when something went that might have mattered, else 0
 *   varint  compact_at
 *   then for each entry, ascending by time:
 *     the first: signed time_us; the others: varint microseconds after the one before
 *     u8 flags (ENTRY_*)     u64le value     proof (proof.c) with ENTRY_PROOF
 *
 * The judge is not saved: it says nothing that the entries do not. */
#include <assert.h>

#include "correlate/trail.h"

enum { ENTRY_CONTRIBUTES = 1, ENTRY_FIRED = 2, ENTRY_SECONDARY = 4, ENTRY_PROOF = 8 };

/* Whatever the threshold was: it may have been edited since. */
enum { TRAIL_COMPACT_MAX = 8 * TRAIL_AT_LEAST_MAX };

void trail_encode(const struct trail *trail, struct bytes *to)
{
	int64_t before_us = 0;
	bytes_put_varint(to, trail->count);
	if (trail->count == 0)
		return;
	bytes_put_u8(to, trail->cut);
	bytes_put_varint(to, trail->compact_at);
	for (size_t i = 0; i < trail->count; i++) {
		const struct trail_entry *entry = &trail->entries[i];
		assert(!entry->doomed);
		if (i == 0)
			bytes_put_signed(to, entry->time_us);
		else
			bytes_put_varint(to, (uint64_t)entry->time_us - (uint64_t)before_us);
		before_us = entry->time_us;
		unsigned flags = (entry->contributes ? ENTRY_CONTRIBUTES : 0u) |
				 (entry->fired ? ENTRY_FIRED : 0u) |
				 (entry->secondary ? ENTRY_SECONDARY : 0u) |
				 (entry->proof != NULL ? ENTRY_PROOF : 0u);
		bytes_put_u8(to, (uint8_t)flags);
		bytes_put_u64le(to, entry->value);
		if (entry->proof != NULL)
			proof_encode(entry->proof, to);
	}
}

static enum status entry_time(struct cursor *from, const struct trail_entry *before,
			      int64_t *ret_time_us)
{
	if (before == NULL) {
		*ret_time_us = cursor_signed(from);
		return OK;
	}
	uint64_t delta = cursor_varint(from);
	if (delta > (uint64_t)INT64_MAX - (uint64_t)before->time_us)
		return ECORRUPT;
	*ret_time_us = (int64_t)((uint64_t)before->time_us + delta);
	return OK;
}

static enum status entry_decode(struct cursor *from, const struct trail_entry *before,
				struct trail_entry *ret_entry)
{
	struct trail_entry entry = {0};
	enum status status = entry_time(from, before, &entry.time_us);
	uint8_t flags = cursor_u8(from);
	entry.value = cursor_u64le(from);
	entry.contributes = (flags & ENTRY_CONTRIBUTES) != 0;
	entry.fired = (flags & ENTRY_FIRED) != 0;
	entry.secondary = (flags & ENTRY_SECONDARY) != 0;
	if (status != OK || from->failed || flags >= 2 * ENTRY_PROOF ||
	    (entry.fired && !entry.contributes) || (entry.secondary && (flags & ENTRY_PROOF) != 0))
		return ECORRUPT;
	status = (flags & ENTRY_PROOF) == 0 ? OK
					    : proof_decode_at(from, entry.time_us, &entry.proof);
	if (status == OK)
		*ret_entry = entry;
	return status;
}

enum status trail_decode(struct cursor *from, const struct trail_shape *shape, struct trail **trail)
{
	assert((*trail)->count == 0);
	uint64_t count = cursor_varint(from);
	if (from->failed || count > cursor_left(from))
		return ECORRUPT;
	if (count == 0)
		return OK;
	uint8_t cut = cursor_u8(from);
	uint64_t compact_at = cursor_varint(from);
	uint64_t value_max = shape->rule.type == CORRELATION_TEMPORAL_ORDERED
				     ? shape->rule.at_least - 1
			     : shape->rule.type == CORRELATION_TEMPORAL ? JUDGE_STEPS_MAX - 1
									: UINT64_MAX;
	if (from->failed || cut > 1 || compact_at <= count || compact_at > TRAIL_COMPACT_MAX)
		return ECORRUPT;
	enum status status = trail_reserve(trail, count);
	if (status != OK)
		return status;
	struct trail *read = *trail;
	read->cut = cut == 1;
	read->compact_at = (uint32_t)compact_at;
	for (size_t i = 0; i < count; i++) {
		const struct trail_entry *before = i == 0 ? NULL : &read->entries[i - 1];
		struct trail_entry *entry = &read->entries[i];
		status = entry_decode(from, before, entry);
		if (status != OK)
			return status;
		read->count++;
		read->proof_bytes += entry->proof == NULL ? 0 : entry->proof->size;
		if (entry->value > value_max)
			return ECORRUPT;
	}
	return OK;
}
