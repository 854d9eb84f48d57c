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

enum { META_VERSION_PLAIN = 1, META_VERSION = 2 };

static struct block_meta extent_of(const struct block_builder *builder)
{
	const struct row *row = &builder->rows[0];
	struct block_meta meta = {
		.event_count = (uint32_t)builder->count,
		.first_time_us = row->time_us,
		.last_time_us = row->time_us,
		.first_offset = row->offset,
		.last_offset = row->offset,
		.first_index = row->index,
	};
	for (size_t i = 1; i < builder->count; i++) {
		row = &builder->rows[i];
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

/* The rows are in their order, so one owner's are one run. */
static bool owners_of(struct block_builder *builder, struct text *ret_owners)
{
	size_t owner_count = 0;
	bytes_clear(&builder->owners);
	for (size_t i = 0; i < builder->count;) {
		const struct row *first = &builder->rows[builder->order[i]];
		size_t run = 1;
		while (i + run < builder->count &&
		       builder->rows[builder->order[i + run]].owner_rank == first->owner_rank)
			run++;
		bytes_put_text(&builder->owners, block_head_owner(builder, first->head));
		bytes_put_varint(&builder->owners, run);
		owner_count++;
		i += run;
	}
	if (owner_count > BLOCK_OWNERS_MAX)
		bytes_clear(&builder->owners);
	*ret_owners = bytes_text(&builder->owners);
	return !builder->owners.failed;
}

bool block_meta_of(struct block_builder *builder, struct block_meta *ret_meta)
{
	struct block_meta meta = extent_of(builder);
	if (!owners_of(builder, &meta.owners))
		return false;
	*ret_meta = meta;
	return true;
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
