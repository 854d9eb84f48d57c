/* The state of one virtual partition as bytes (version 2; version 3 is what changed: saved.c):
 *
 *   u8      version = 2
 *   u8      virtual partition
 *   signed  watermark_us of the actor
 *   varint  number of quotas that refused a group and have not told so, then for each:
 *     u64le state id      text tenant
 *   varint  number of cells, ascending by cell key, then for each one text that holds:
 *     u64le state id      text tenant      text group
 *     varint at_least     the threshold the window was kept under
 *     window (window.c), or for a condition over values a trail (trail_codec.c) or panes
 *     (panes.c), or for a gated rule its events and memory (gated.c)
 *     varint number of episodes, each as in episode.c, ascending
 *
 * A cell is a text of its own so that the state of a rule that is gone can be stepped over. Nothing
 * depends on addresses, table sizes or the order of arrival: equal state is equal bytes. Timers,
 * counts and memory figures are derived again. What is read is checked as input. */
#include <assert.h>
#include <stdlib.h>

#include "correlate/actor_private.h"

/* Size, state, sizes of tenant and group, and three bytes of memory. */
enum { CELL_BYTES_MIN = 1 + 8 + 2 + 3 };

enum status cell_memory_encode(const struct actor *actor, const struct cell *cell, struct bytes *to)
{
	assert(!cell->touched && cell->episodes.merged == NULL);
	if (cell->tier == TIER_SPILLED) {
		struct bytes fetched cleanup(bytes_done) = {0};
		enum status status =
			actor->spill->fetch(actor->spill->context, &cell->key, &fetched, NULL);
		bytes_write(to, bytes_text(&fetched));
		return status == OK ? bytes_status(to) : status;
	}
	if (cell->tier == TIER_PACKED) {
		bytes_put(to, cell->packed->bytes, cell->packed->size);
		return bytes_status(to);
	}
	bytes_put_varint(to, cell->unit->at_least);
	if (cell_gated(cell) != NULL)
		gated_encode(cell->gated, cell->unit, to);
	else if (cell_trail(cell) != NULL)
		trail_encode(cell->trail, to);
	else if (cell_panes(cell) != NULL)
		panes_encode(cell->panes, to);
	else
		window_encode(&cell->window, to);
	size_t episode_count = 0;
	for (const struct episode *e = cell->episodes.open; e != NULL; e = e->next)
		episode_count++;
	bytes_put_varint(to, episode_count);
	for (const struct episode *e = cell->episodes.open; e != NULL; e = e->next)
		episode_encode(e, to);
	return bytes_status(to);
}

void cell_put_name(const struct cell *cell, struct bytes *to)
{
	bytes_put_u64le(to, cell->unit->state_id);
	bytes_put_text(to, cell->quota->tenant);
	bytes_put_text(to, cell_group(cell));
}

enum status cell_encode(const struct actor *actor, const struct cell *cell, struct bytes *to)
{
	cell_put_name(cell, to);
	return cell_memory_encode(actor, cell, to);
}

static void items_free(void ***items)
{
	free(*items);
	*items = NULL;
}

static enum status quotas_encode(const struct cells *quotas, struct bytes *to)
{
	void **sorted cleanup(items_free) = cells_sorted(quotas);
	if (sorted == NULL && quotas->count > 0)
		return ENOMEMORY;
	size_t refused = 0;
	for (size_t i = 0; i < quotas->count; i++)
		refused += ((const struct quota *)sorted[i])->refused;
	bytes_put_varint(to, refused);
	for (size_t i = 0; i < quotas->count; i++) {
		const struct quota *quota = sorted[i];
		if (!quota->refused)
			continue;
		bytes_put_u64le(to, quota->state_id);
		bytes_put_text(to, quota->tenant);
	}
	return OK;
}

enum status checkpoint_put_head(const struct actor *actor, uint8_t version,
				uint8_t virtual_partition, struct bytes *to)
{
	bytes_put_u8(to, version);
	bytes_put_u8(to, virtual_partition);
	bytes_put_signed(to, actor->watermark_us);
	return quotas_encode(&actor->partitions[virtual_partition].quotas, to);
}

enum status actor_checkpoint(const struct actor *actor, uint8_t virtual_partition, struct bytes *to)
{
	assert(actor->fed_count == 0 && actor->touched_count == 0);
	const struct partition *partition = &actor->partitions[virtual_partition];
	if (!actor->has_closed)
		return OK;
	enum status status = checkpoint_put_head(actor, CHECKPOINT_WHOLE, virtual_partition, to);
	if (status != OK)
		return status;
	void **sorted cleanup(items_free) = cells_sorted(&partition->cells);
	if (sorted == NULL && partition->cells.count > 0)
		return ENOMEMORY;
	struct bytes one cleanup(bytes_done) = {0};
	bytes_put_varint(to, partition->cells.count);
	for (size_t i = 0; i < partition->cells.count; i++) {
		bytes_clear(&one);
		status = cell_encode(actor, sorted[i], &one);
		if (status != OK)
			return status;
		bytes_put_text(to, bytes_text(&one));
	}
	return bytes_status(to);
}

/* One value that is being restored. */
struct row {
	uint8_t virtual_partition;
	int64_t watermark_us;
	const struct unit_filter *filter;
	bool changes;           /* saved.c */
	struct cell_key before; /* of the last cell */
	struct quota *quota;    /* of the last cell */
};

static enum status quotas_decode(struct actor *actor, uint8_t virtual_partition,
				 const struct unit_filter *filter, struct cursor *from)
{
	bool superseded = actor->partitions[virtual_partition].saved.restored;
	uint64_t count = cursor_varint(from);
	for (uint64_t i = 0; i < count && !from->failed; i++) {
		uint64_t state_id = cursor_u64le(from);
		struct text tenant = cursor_text(from);
		if (from->failed || plan_find(actor->plan, state_id) == NULL || superseded ||
		    !unit_filter_takes(filter, state_id))
			continue;
		struct quota *quota = NULL;
		enum status status = quota_of(actor, state_id, virtual_partition, tenant, &quota);
		if (status != OK)
			return status;
		quota->refused = true;
	}
	return from->failed ? ECORRUPT : OK;
}

/* Ascending, and more than the timespan apart. Where alerts join over picket.dedup.for, which may
 * have been edited since, two that are open stay two until an event lies in both. */
static enum status episodes_decode(struct cursor *from, const struct unit *unit,
				   struct episodes *episodes)
{
	bool edited = unit->quiet_us != unit->timespan_us;
	uint64_t count = cursor_varint(from);
	struct episode **link = &episodes->open;
	const struct episode *before = NULL;
	for (uint64_t i = 0; i < count; i++) {
		enum status status = episode_decode(from, link);
		if (status != OK)
			return status;
		const struct episode *read = *link;
		if (before != NULL &&
		    (read->first_us <= before->last_us ||
		     (!edited && time_within(before->last_us, read->first_us, unit->timespan_us))))
			return ECORRUPT;
		before = read;
		link = &(*link)->next;
	}
	return OK;
}

static enum status window_take(struct cursor *from, const struct unit *unit, uint64_t at_least,
			       struct window *window)
{
	struct window_shape shape = unit_shape(unit);
	shape.at_least = at_least;
	return at_least > PLAN_AT_LEAST_MAX ? ECORRUPT : window_decode(from, &shape, window);
}

/* A trail under another threshold: what contributed stays counted, and what a higher one would have
 * needed of what was forgotten is not there again. */
static enum status trail_take(struct cursor *from, const struct unit *unit, uint64_t at_least,
			      struct trail **trail)
{
	struct trail_shape shape = unit_trail_shape(unit);
	if (unit->type == CORRELATION_TEMPORAL_ORDERED && at_least != unit->at_least)
		return ECORRUPT;
	return trail_decode(from, &shape, trail);
}

static enum status panes_take(struct cursor *from, const struct unit *unit, struct panes *panes)
{
	struct panes_shape shape = unit_panes_shape(unit);
	return panes_decode(from, &shape, panes);
}

/* What the cell remembers, kept under the threshold it had, now under the unit's. */
enum status cell_memory_decode(struct cursor *from, struct cell *cell)
{
	const struct unit *unit = cell->unit;
	uint64_t at_least = cursor_varint(from);
	if (from->failed || at_least == 0)
		return ECORRUPT;
	enum status status = OK;
	if (cell_gated(cell) != NULL)
		status = gated_decode(from, unit, cell->gated);
	else if (cell_trail(cell) != NULL)
		status = trail_take(from, unit, at_least, &cell->trail);
	else if (cell_panes(cell) != NULL)
		status = panes_take(from, unit, cell->panes);
	else
		status = window_take(from, unit, at_least, &cell->window);
	if (status == OK)
		status = episodes_decode(from, unit, &cell->episodes);
	if (status == OK && (from->failed || cursor_left(from) > 0))
		return ECORRUPT;
	if (status == OK && unit->judged == JUDGED_COUNT && at_least != unit->at_least)
		window_reshape(&cell->window, at_least, cell->unit->at_least);
	return status;
}

/* Everything up to the watermark was decided when the cell was written. A cell that has something
 * left was damaged, and may ask for a judgement per timespan since long ago. */
static enum status gate_restore(struct actor *actor, struct cell *cell, int64_t watermark_us)
{
	cell_forget(cell, INT64_MIN); /* nothing: finds out until when it is kept */
	enum status status = cell_gate(actor, cell);
	bool overdue = cell->gated->gate.place != 0 && watermark_us != INT64_MAX &&
		       time_passed(cell->gated->gate.at_us, 0, watermark_us);
	return status == OK && overdue ? ECORRUPT : status;
}

/* Most often that of the cell before. */
static enum status row_quota(struct actor *actor, struct row *row, uint64_t state_id,
			     struct text tenant)
{
	if (row->quota != NULL && row->quota->state_id == state_id &&
	    text_equal(row->quota->tenant, tenant))
		return OK;
	return quota_of(actor, state_id, row->virtual_partition, tenant, &row->quota);
}

/* Over the budget it is packed at once, and is then what was read, unless its rule was edited. */
static enum status cell_restore(struct actor *actor, const struct row *row,
				const struct newcomer *newcomer, struct cursor *from)
{
	struct text memory = {(const char *)from->at, cursor_left(from)};
	struct cursor inside = *from;
	bool same = cursor_varint(&inside) == newcomer->unit->at_least;
	struct cell *cell = NULL;
	enum status status = cell_new(actor, newcomer, &cell);
	if (status == OK)
		status = cell_memory_decode(from, cell);
	if (status == OK && cell_gated(cell) != NULL)
		status = gate_restore(actor, cell, row->watermark_us);
	if (status != OK)
		return status;
	cell_weigh(actor, cell);
	status = cell_schedule(actor, cell);
	bool fits = actor->memory_max == 0 || actor->counters.cell_bytes <= actor->memory_max;
	if (!fits && same)
		cell_pack_as(actor, cell, memory);
	else if (!fits)
		cell_pack(actor, cell);
	return status;
}

/* Cells ascend by key. Those that a newer row spoke of are left. */
static enum status cell_decode(struct actor *actor, struct row *row, struct text encoded)
{
	const struct hash_key *key = plan_hash_key(actor->plan);
	struct cursor from = cursor_of(encoded);
	uint64_t state_id = cursor_u64le(&from);
	struct text tenant = cursor_text(&from);
	struct text group = cursor_text(&from);
	if (from.failed || virtual_partition_of(key, tenant, group) != row->virtual_partition)
		return ECORRUPT;
	struct newcomer newcomer = {.unit = plan_find(actor->plan, state_id), .group = group};
	if (newcomer.unit == NULL) {
		actor->counters.unknown_state++;
		return OK;
	}
	newcomer.key = record_cell_key(key, state_id, tenant, group);
	if (memcmp(&newcomer.key, &row->before, sizeof row->before) <= 0)
		return ECORRUPT;
	row->before = newcomer.key;
	const struct partition *partition = &actor->partitions[row->virtual_partition];
	if (cells_find(&partition->saved.dropped, &newcomer.key) != NULL)
		return OK;
	if (cells_find(&partition->cells, &newcomer.key) != NULL)
		return partition->saved.restored ? OK : ECORRUPT;
	enum status status = row_quota(actor, row, state_id, tenant);
	newcomer.quota = row->quota;
	return status == OK ? cell_restore(actor, row, &newcomer, &from) : status;
}

/* Room for all cells of a whole checkpoint; a count that was damaged asks for no more than the
 * bytes behind it can hold. */
static enum status cells_expect(struct actor *actor, const struct row *row,
				const struct cursor *from, uint64_t count)
{
	size_t most = cursor_left(from) / CELL_BYTES_MIN;
	bool all = !row->changes && row->filter->except && row->filter->count == 0;
	return all ? cells_reserve(&actor->partitions[row->virtual_partition].cells,
				   count < most ? (size_t)count : most)
		   : OK;
}

/* The state that a cell belongs to, which its text begins with. */
static bool cell_is_taken(const struct unit_filter *filter, struct text cell)
{
	struct cursor from = cursor_of(cell);
	uint64_t state_id = cursor_u64le(&from);
	return from.failed || unit_filter_takes(filter, state_id); /* the damage is told later */
}

/* What follows the head. Names of cells that are gone count for the rows that are older. */
static enum status rest_decode(struct actor *actor, struct row *row, struct cursor *from)
{
	struct saved *saved = &actor->partitions[row->virtual_partition].saved;
	struct cursor gone = *from;
	uint64_t gone_count = row->changes ? cursor_varint(from) : 0;
	for (uint64_t i = 0; i < gone_count && !from->failed; i++)
		(void)cursor_text(from);
	uint64_t count = cursor_varint(from);
	enum status status = cells_expect(actor, row, from, count);
	for (uint64_t i = 0; status == OK && i < count && !from->failed; i++) {
		struct text cell = cursor_text(from);
		if (!from->failed && cell_is_taken(row->filter, cell))
			status = cell_decode(actor, row, cell);
	}
	if (status == OK && (from->failed || cursor_left(from) > 0))
		return ECORRUPT;
	(void)cursor_varint(&gone);
	for (uint64_t i = 0; status == OK && i < gone_count; i++)
		status = saved_drop(actor, row->virtual_partition, cursor_text(&gone));
	saved->restored = row->changes;
	if (!row->changes) { /* the last of its rows */
		cells_done(&saved->dropped);
		cells_trim(&actor->partitions[row->virtual_partition].cells);
	}
	return status;
}

static enum status row_decode(struct actor *actor, struct text checkpoint,
			      const struct unit_filter *filter, struct error *err)
{
	assert(actor->fed_count == 0 && actor->touched_count == 0);
	if (checkpoint.size == 0)
		return OK;
	struct cursor from = cursor_of(checkpoint);
	uint8_t version = cursor_u8(&from);
	if (version != CHECKPOINT_WHOLE && version != CHECKPOINT_CHANGES)
		return error_set(err, ECORRUPT,
				 "a checkpoint of cells has version %u, and this picket reads "
				 "versions %u and %u",
				 version, CHECKPOINT_WHOLE, CHECKPOINT_CHANGES);
	uint8_t virtual_partition = cursor_u8(&from);
	int64_t watermark_us = cursor_signed(&from);
	if (from.failed)
		return error_set(err, ECORRUPT, "a checkpoint is cut off");
	if (virtual_partition % actor->actor_count != actor->index)
		return OK;
	/* A cell that no newer row has did not change since: nothing of it was due until then. */
	struct saved *saved = &actor->partitions[virtual_partition].saved;
	if (!saved->restored)
		saved->newest_us = watermark_us;
	if (watermark_us > saved->newest_us)
		return error_set(err, ECORRUPT, "the checkpoint of virtual partition %u goes back",
				 virtual_partition);
	struct row row = {.virtual_partition = virtual_partition,
			  .watermark_us = saved->newest_us,
			  .filter = filter,
			  .changes = version == CHECKPOINT_CHANGES};
	enum status status = quotas_decode(actor, virtual_partition, filter, &from);
	if (status == OK)
		status = rest_decode(actor, &row, &from);
	if (status == ENOMEMORY)
		return error_set(err, status, "no memory to restore a checkpoint");
	if (status != OK)
		return error_set(err, status, "the checkpoint of virtual partition %u is damaged",
				 virtual_partition);
	actor->has_closed = true;
	if (watermark_us > actor->watermark_us)
		actor->watermark_us = watermark_us;
	return OK;
}

enum status actor_restore(struct actor *actor, struct text checkpoint, struct error *err)
{
	static const struct unit_filter all = {.except = true};
	return row_decode(actor, checkpoint, &all, err);
}

/* Cells of somewhere else: no row of the partition has them. */
enum status actor_adopt(struct actor *actor, struct text checkpoint,
			const struct unit_filter *filter, struct error *err)
{
	struct cursor from = cursor_of(checkpoint);
	(void)cursor_u8(&from);
	uint8_t virtual_partition = cursor_u8(&from);
	if (!from.failed)
		actor->partitions[virtual_partition].saved.complete = false;
	return row_decode(actor, checkpoint, filter, err);
}
