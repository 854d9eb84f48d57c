/* The content of a block: rows in order, columns, gathered streams (the format is in block.c). */
#include "storage/block_private.h"

#include <assert.h>
#include <stdlib.h>

struct text block_head_owner(const struct block_builder *builder, uint32_t head)
{
	struct cursor from = cursor_of(dictionary_entry(&builder->heads, head));
	return cursor_text(&from);
}

static int head_compare(const void *a, const void *b, void *context)
{
	const struct block_builder *builder = context;
	return text_compare(block_head_owner(builder, *(const uint32_t *)a),
			    block_head_owner(builder, *(const uint32_t *)b));
}

/* Numbers the owners in their order, so that sorting rows compares no texts. */
static bool owners_rank(struct block_builder *builder)
{
	size_t count = builder->heads.count;
	uint32_t *heads = malloc(2 * count * sizeof *heads);
	if (heads == NULL)
		return false;
	uint32_t *ranks = heads + count;
	for (uint32_t i = 0; i < count; i++)
		heads[i] = i;
	qsort_r(heads, count, sizeof *heads, head_compare, builder);
	uint32_t rank = 0;
	for (size_t i = 0; i < count; i++) {
		if (i > 0 && head_compare(&heads[i - 1], &heads[i], builder) != 0)
			rank++;
		ranks[heads[i]] = rank;
	}
	for (size_t i = 0; i < builder->count; i++)
		builder->rows[i].owner_rank = ranks[builder->rows[i].head];
	free(heads);
	return true;
}

static int row_compare(const void *a, const void *b, void *context)
{
	const struct block_builder *builder = context;
	const struct row *x = &builder->rows[*(const uint16_t *)a];
	const struct row *y = &builder->rows[*(const uint16_t *)b];
	if (x->owner_rank != y->owner_rank)
		return x->owner_rank < y->owner_rank ? -1 : 1;
	if (x->time_us != y->time_us)
		return x->time_us < y->time_us ? -1 : 1;
	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	return (x->index > y->index) - (x->index < y->index);
}

static void column_end(struct block_builder *builder)
{
	bytes_put_text(&builder->content, bytes_text(&builder->scratch));
	if (builder->scratch.failed)
		builder->content.failed = true;
	bytes_clear(&builder->scratch);
}

/* Differences are taken modulo 2^64: they come back whatever the values were. */
static int64_t difference(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a - (uint64_t)b);
}

static void column_put(struct block_builder *builder, enum block_section section)
{
	struct bytes *to = &builder->scratch;
	const struct row *before = &(const struct row){0};
	bytes_clear(to);
	for (size_t i = 0; i < builder->count; i++) {
		const struct row *row = &builder->rows[builder->order[i]];
		switch (section) {
		case SECTION_HEAD:
			bytes_put_varint(to, row->head);
			break;
		case SECTION_SHAPE:
			bytes_put_varint(to, row->shape);
			break;
		case SECTION_TIME:
			bytes_put_signed(to, difference(row->time_us, before->time_us));
			break;
		case SECTION_RECORD_TIME:
			bytes_put_signed(to, difference(row->record_time_us, row->time_us));
			break;
		case SECTION_OFFSET:
			bytes_put_signed(to, difference(row->offset, before->offset));
			break;
		case SECTION_INDEX:
			bytes_put_varint(to, row->index);
			break;
		case SECTION_QUALITY:
			bytes_put_varint(to, row->quality);
			break;
		default:
			assert(false && "not a column");
		}
		before = row;
	}
	column_end(builder);
}

static void stream_gather(struct block_builder *builder, size_t stream)
{
	const struct bytes *from = &builder->streams[stream];
	bytes_put_varint(&builder->content, from->size);
	if (!bytes_reserve(&builder->content, from->size) || from->size == 0)
		return;
	unsigned char *to = builder->content.data + builder->content.size;
	for (size_t i = 0; i < builder->count; i++) {
		const struct row *row = &builder->rows[builder->order[i]];
		memcpy(to, from->data + row->start[stream], row->size[stream]);
		to += row->size[stream];
	}
	builder->content.size += from->size;
	assert(to == builder->content.data + builder->content.size);
}

bool block_content_build(struct block_builder *builder)
{
	if (!owners_rank(builder))
		return false;
	for (size_t i = 0; i < builder->count; i++)
		builder->order[i] = (uint16_t)i;
	qsort_r(builder->order, builder->count, sizeof *builder->order, row_compare, builder);
	bytes_clear(&builder->content);
	bytes_put_text(&builder->content, bytes_text(&builder->names.entries));
	bytes_put_text(&builder->content, bytes_text(&builder->shapes.entries));
	bytes_put_text(&builder->content, bytes_text(&builder->heads.entries));
	for (int section = SECTION_HEAD; section < SECTION_SIZES; section++)
		column_put(builder, (enum block_section)section);
	for (size_t i = 0; i < STREAM_COUNT; i++)
		stream_gather(builder, i);
	return !builder->content.failed;
}
