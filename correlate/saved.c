/* What changed in a partition since its rows were stored, so that a checkpoint of ten million cells
 * of which a thousand changed writes a thousand (version 3):
 *
 *   u8      version = 3, then the head as in checkpoint.c: partition, watermark, quotas
 *   varint  number of cells that are gone, then for each a text: its name, state, tenant and group
 *   varint  number of cells, ascending by cell key, then for each one text as in checkpoint.c
 *
 * The rows of a partition are one whole checkpoint and the changes after it, each against the row
 * before. What they say together: a cell is as the newest row that has it says, unless a newer one
 * says it is gone; one row may say both of a group that went and came back, then it is there. So
 * rows are restored from the newest to the oldest, and each adds the cells that no newer one spoke
 * of: nothing is ever replaced. Watermark and quotas are those of the newest.
 *
 * A cell is marked when it is touched or settled, which is before anything in it changes, and its
 * key is noted once; one that goes is noted by name when the store has it. When that is no less
 * work than a whole checkpoint, or there is no memory for it, nothing more is noted, and the next
 * checkpoint has to be whole. Keys are sorted when they are written: equal state is equal bytes,
 * whatever was touched first. */
#include <assert.h>
#include <stdlib.h>

#include "correlate/actor_private.h"

enum { CHANGED_SLACK = 1024 };

static void saved_give_up(struct saved *saved)
{
	saved->complete = false;
	free(saved->changed);
	saved->changed = NULL;
	saved->changed_count = saved->changed_capacity = 0;
	bytes_done(&saved->gone);
	saved->gone = (struct bytes){0};
	saved->gone_count = 0;
}

void saved_done(struct saved *saved)
{
	saved_give_up(saved);
	cells_done(&saved->dropped);
}

void cell_mark_changed(struct actor *actor, struct cell *cell)
{
	struct partition *partition = &actor->partitions[cell->quota->virtual_partition];
	struct saved *saved = &partition->saved;
	if (cell->changed || !saved->complete)
		return;
	if (saved->changed_count == saved->changed_capacity) {
		size_t capacity = saved->changed_capacity == 0 ? 64 : saved->changed_capacity * 2;
		struct cell_key *grown = realloc(saved->changed, capacity * sizeof *grown);
		if (grown == NULL ||
		    saved->changed_count > partition->cells.count / 2 + CHANGED_SLACK) {
			saved->changed = grown != NULL ? grown : saved->changed;
			saved_give_up(saved);
			return;
		}
		saved->changed = grown;
		saved->changed_capacity = capacity;
	}
	saved->changed[saved->changed_count++] = cell->key;
	cell->changed = true;
}

void cell_mark_gone(struct actor *actor, const struct cell *cell)
{
	struct saved *saved = &actor->partitions[cell->quota->virtual_partition].saved;
	struct bytes name cleanup(bytes_done) = {0};
	if (!saved->complete || !cell->stored)
		return;
	cell_put_name(cell, &name);
	if (bytes_status(&name) == OK)
		bytes_put_text(&saved->gone, bytes_text(&name));
	saved->gone_count++;
	if (bytes_status(&name) != OK || bytes_status(&saved->gone) != OK)
		saved_give_up(saved);
}

static int key_compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct cell_key));
}

/* The cells that changed and are still there; a key is noted again when its cell went and came
 * back. */
static enum status changed_encode(struct actor *actor, struct partition *partition,
				  struct bytes *to)
{
	struct saved *saved = &partition->saved;
	struct bytes cells cleanup(bytes_done) = {0};
	struct bytes one cleanup(bytes_done) = {0};
	size_t count = 0;
	enum status status = OK;
	for (size_t i = 0; status == OK && i < saved->changed_count; i++) {
		const struct cell_key *key = &saved->changed[i];
		bool again = i > 0 && key_compare(key, key - 1) == 0;
		struct cell *cell = again ? NULL : cells_find(&partition->cells, key);
		if (cell == NULL)
			continue;
		bytes_clear(&one);
		status = cell_encode(actor, cell, &one);
		bytes_put_text(&cells, bytes_text(&one));
		cell->changed = false;
		cell->stored = true;
		count++;
	}
	bytes_put_varint(to, count);
	bytes_write(to, bytes_text(&cells));
	return status == OK ? bytes_status(&cells) : status;
}

enum status actor_checkpoint_changes(struct actor *actor, uint8_t virtual_partition,
				     struct bytes *to, bool *ret_any)
{
	assert(actor->fed_count == 0 && actor->touched_count == 0);
	struct partition *partition = &actor->partitions[virtual_partition];
	struct saved *saved = &partition->saved;
	if (!saved->complete)
		return ENOTFOUND;
	if (saved->changed_count > 1)
		qsort(saved->changed, saved->changed_count, sizeof *saved->changed, key_compare);
	enum status status = checkpoint_put_head(actor, CHECKPOINT_CHANGES, virtual_partition, to);
	bytes_put_varint(to, saved->gone_count);
	bytes_write(to, bytes_text(&saved->gone));
	if (status == OK)
		status = changed_encode(actor, partition, to);
	if (status != OK || bytes_status(to) != OK)
		return ENOMEMORY;
	*ret_any = saved->changed_count > 0 || saved->gone_count > 0;
	saved->changed_count = 0;
	saved->gone_count = 0;
	bytes_clear(&saved->gone);
	return OK;
}

void actor_stored(struct actor *actor, uint8_t virtual_partition)
{
	struct partition *partition = &actor->partitions[virtual_partition];
	saved_give_up(&partition->saved);
	cells_done(&partition->saved.dropped);
	partition->saved.restored = false;
	partition->saved.complete = true;
	for (size_t i = 0; i < partition->cells.capacity; i++) {
		struct cell *cell = partition->cells.slots[i].item;
		if (cell != NULL)
			cell->stored = true;
		if (cell != NULL)
			cell->changed = false;
	}
}

enum status saved_drop(struct actor *actor, uint8_t virtual_partition, struct text name)
{
	struct saved *saved = &actor->partitions[virtual_partition].saved;
	struct cursor from = cursor_of(name);
	uint64_t state_id = cursor_u64le(&from);
	struct text tenant = cursor_text(&from);
	struct text group = cursor_text(&from);
	if (from.failed || cursor_left(&from) > 0)
		return ECORRUPT;
	struct cell_key key = record_cell_key(plan_hash_key(actor->plan), state_id, tenant, group);
	return cells_find(&saved->dropped, &key) != NULL ? OK
							 : cells_add(&saved->dropped, &key, saved);
}
