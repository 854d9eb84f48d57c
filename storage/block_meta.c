/* What a reader must know of an epoch's block before it opens it (FAMILY_BLOCKMETA), version 2:
 *
 *   u8 2, varint events, zigzag first time, last time, first offset, last offset,
 *   varint index of the record at the first offset
 *   text of owners: each text owner, varint events of it, in their order; empty when there are more
 *      than BLOCK_OWNERS_MAX
 *
 * Version 1 ends before the owners. */
#include "storage/block_private.h"

#include <assert.h>
#include <stdlib.h>

enum {
	META_VERSION_PLAIN = 1,
	META_VERSION = 2,
	/* Of so many heads at least one owner too many is expected: they are not sorted for that.
	 */
	HEADS_LOOKED_THROUGH_MAX = 8 * BLOCK_OWNERS_MAX,
};

static struct block_meta extent_of(const struct columnar_table *table)
{
	const struct table_row *rows = table->rows;
	const struct table_row *row = &rows[0];
	struct block_meta meta = {
		.event_count = (uint32_t)table->count,
		.first_time_us = row->time_us,
		.last_time_us = row->time_us,
		.first_offset = row->offset,
		.last_offset = row->offset,
		.first_index = row->index,
	};
	for (size_t i = 1; i < table->count; i++) {
		row = &rows[i];
		if (row->time_us < meta.first_time_us)
			meta.first_time_us = row->time_us;
		if (row->time_us > meta.last_time_us)
			meta.last_time_us = row->time_us;
		if (row->offset > meta.last_offset)
			meta.last_offset = row->offset;
		bool earlier = row->offset < meta.first_offset ||
			       (row->offset == meta.first_offset && row->index < meta.first_index);
		if (!earlier)
			continue;
		meta.first_offset = row->offset;
		meta.first_index = row->index;
	}
	return meta;
}

static struct text owner_of(const struct columnar_table *table, uint32_t head)
{
	struct cursor from = cursor_of(dictionary_entry(&table->heads, head));
	return cursor_text(&from);
}

static int head_compare(const void *a, const void *b, void *context)
{
	const struct columnar_table *table = context;
	return text_compare(owner_of(table, *(const uint32_t *)a),
			    owner_of(table, *(const uint32_t *)b));
}

/* Heads that differ in the log source only are one owner's. counts: events of each head. */
static void owners_put(const struct columnar_table *table, const uint32_t *heads,
		       const uint32_t *counts, struct bytes *to)
{
	size_t owner_count = 0;
	for (size_t i = 0; i < table->heads.count; owner_count++) {
		struct text owner = owner_of(table, heads[i]);
		uint64_t count = 0;
		for (; i < table->heads.count && text_equal(owner_of(table, heads[i]), owner); i++)
			count += counts[heads[i]];
		bytes_put_text(to, owner);
		bytes_put_varint(to, count);
	}
	if (owner_count > BLOCK_OWNERS_MAX)
		bytes_clear(to);
}

bool block_meta_of(struct block_builder *builder, struct block_meta *ret_meta)
{
	struct columnar_table *table = builder->table;
	size_t count = table->heads.count;
	uint32_t *heads = calloc(2 * count + 1, sizeof *heads);
	if (heads == NULL)
		return false;
	uint32_t *counts = heads + count;
	for (uint32_t i = 0; i < count; i++)
		heads[i] = i;
	for (size_t i = 0; i < table->count; i++)
		counts[table->rows[i].head]++;
	bytes_clear(&builder->owners);
	if (count <= HEADS_LOOKED_THROUGH_MAX) {
		qsort_r(heads, count, sizeof *heads, head_compare, table);
		owners_put(table, heads, counts, &builder->owners);
	}
	free(heads);
	*ret_meta = extent_of(table);
	ret_meta->owners = bytes_text(&builder->owners);
	return !builder->owners.failed;
}

bool block_owner_next(struct cursor *owners, struct block_owner *ret_owner)
{
	if (owners->failed || cursor_left(owners) == 0)
		return false;
	struct block_owner owner = {.name = cursor_text(owners)};
	owner.event_count = cursor_varint(owners);
	*ret_owner = owner;
	return !owners->failed;
}

void block_meta_encode(const struct block_meta *meta, struct bytes *to)
{
	bytes_put_u8(to, META_VERSION);
	bytes_put_varint(to, meta->event_count);
	bytes_put_signed(to, meta->first_time_us);
	bytes_put_signed(to, meta->last_time_us);
	bytes_put_signed(to, meta->first_offset);
	bytes_put_signed(to, meta->last_offset);
	bytes_put_varint(to, meta->first_index);
	bytes_put_text(to, meta->owners);
}

/* Every event is of one owner, or nothing is said. */
static bool owners_add_up(const struct block_meta *meta)
{
	struct cursor owners = cursor_of(meta->owners);
	struct block_owner owner;
	uint64_t sum = 0;
	while (block_owner_next(&owners, &owner)) {
		if (owner.event_count > meta->event_count - sum)
			return false;
		sum += owner.event_count;
	}
	return !owners.failed && (meta->owners.size == 0 || sum == meta->event_count);
}

enum status block_meta_decode(struct text value, struct block_meta *ret_meta, struct error *err)
{
	struct cursor from = cursor_of(value);
	uint8_t version = cursor_u8(&from);
	uint64_t count = cursor_varint(&from);
	struct block_meta meta = {.event_count = (uint32_t)count};
	meta.first_time_us = cursor_signed(&from);
	meta.last_time_us = cursor_signed(&from);
	meta.first_offset = cursor_signed(&from);
	meta.last_offset = cursor_signed(&from);
	uint64_t index = cursor_varint(&from);
	meta.first_index = (uint32_t)index;
	if (version == META_VERSION)
		meta.owners = cursor_text(&from);
	bool known = version == META_VERSION || version == META_VERSION_PLAIN;
	bool sensible = count > 0 && count <= UINT32_MAX && index <= UINT32_MAX &&
			meta.first_time_us <= meta.last_time_us &&
			meta.first_offset <= meta.last_offset && owners_add_up(&meta);
	if (!known || from.failed || cursor_left(&from) > 0 || !sensible)
		return error_set(err, ECORRUPT, "a blockmeta row does not decode");
	*ret_meta = meta;
	return OK;
}
