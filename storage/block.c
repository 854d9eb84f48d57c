/* The format of a block, version 2: an epoch's events by column, as quickly as that goes.
 *
 *   3 bytes   magic "PBK"
 *   u8        version
 *   u64le     XXH3-64 of everything behind it
 *   u32le     number of events, 1..BLOCK_EVENTS_MAX
 *   u32le     size of the content before compression, <= COLUMNAR_RAW_MAX
 *   frame     zstd: the content
 *   beside    columns that no compression makes smaller, one behind the other
 *
 * The content is that of part 0 of a merged block (columnar.c), with three differences: a head is
 * owner, category, product and service of the log source (texts), for an epoch's events are of many
 * owners and of one partition, which the key names; rows stand in the order in which they were
 * added, and offsets are plain numbers; and a column whose part is 1 lies beside the frame. So
 * there is one reader of columns, and merging takes columns over without making events of them.
 *
 * Why by column already here: whoever writes a text once for each block instead of once for each
 * event compresses a third of the bytes, and merging, which comes seconds later, looks up one text
 * for dozens of events. But nothing is tried that costs more than it saves until then: no
 * templates, no addresses (column_encode.c, `quick`). Ids in hexadecimal digits are half of the
 * random bits of a log; they are packed, and compressing them again would be the larger half of all
 * compression.
 *
 * block_add() puts the values into a table (columnar_table.c); block_finish() encodes its columns.
 * All buffers are kept for the next block. */
#include "storage/block_private.h"

#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "storage/key_private.h"

enum {
	ZSTD_LEVEL = 1,
	BESIDE_BYTES_MIN = 1024, /* smaller columns may find their like within the frame */
	BESIDE = 1,              /* the part of a column that lies beside the frame */
};

struct block_builder *block_builder_new(void)
{
	struct block_builder *builder = calloc(1, sizeof *builder);
	if (builder == NULL)
		return NULL;
	builder->table = columnar_table_new();
	if (builder->table == NULL)
		block_builder_free(&builder);
	return builder;
}

void block_builder_free(struct block_builder **builder)
{
	struct block_builder *gone = *builder;
	if (gone == NULL)
		return;
	columnar_table_free(&gone->table);
	bytes_done(&gone->topic);
	bytes_done(&gone->owners);
	bytes_done(&gone->content);
	bytes_done(&gone->beside);
	free(gone);
	*builder = NULL;
}

size_t block_event_count(const struct block_builder *builder)
{
	return columnar_table_count(builder->table);
}

/* All events of a block come from one place; the first one says which. */
static bool origin_fits(struct block_builder *builder, const struct origin *origin)
{
	if (block_event_count(builder) == 0) {
		bytes_clear(&builder->topic);
		bytes_write(&builder->topic, origin->topic);
		builder->partition = origin->partition;
		return !builder->topic.failed;
	}
	assert(builder->partition == origin->partition);
	assert(text_equal(bytes_text(&builder->topic), origin->topic));
	return true;
}

static bool head_put(struct columnar_table *table, const struct event *event, uint32_t *ret_head)
{
	struct bytes *to = &table->scratch;
	bytes_clear(to);
	bytes_put_text(to, event->owner);
	bytes_put_text(to, event->logsource.category);
	bytes_put_text(to, event->logsource.product);
	bytes_put_text(to, event->logsource.service);
	return !to->failed && dictionary_number(&table->heads, bytes_text(to), ret_head);
}

enum status block_add(struct block_builder *builder, const struct event *event)
{
	struct columnar_table *table = builder->table;
	size_t bytes = table_event_bytes(event);
	/* An event alone is always taken, however large: nobody could make it fit by finishing. */
	bool full = table->count == BLOCK_EVENTS_MAX || table->bytes + bytes > BLOCK_BYTES_MAX ||
		    table->column_count + event->field_count > BLOCK_COLUMNS_MAX;
	if (table->count > 0 && full)
		return ELIMIT;
	struct table_row row = {0};
	bool good = !builder->broken && origin_fits(builder, &event->origin) &&
		    head_put(table, event, &row.head) && table_row_put(table, event, bytes, &row);
	builder->broken = !good;
	return good ? OK : ENOMEMORY;
}

/* The values of a column, which stand in the order of the rows. */
static bool column_content_of(const struct columnar_table *table, const struct table_column *column,
			      struct column_content *content)
{
	struct press *press = table->press;
	if (!press_reserve(press, column->count))
		return false;
	*content = (struct column_content){.tag = column->tag,
					   .count = column->count,
					   .numbers = column->numbers,
					   .texts = press->texts,
					   .quick = true};
	if (column->tag < COLUMN_INTEGER_AS)
		return true;
	size_t entry_count = column->coded ? column->choices.count : 0;
	if (entry_count == 0 || entry_count > DICTIONARY_ENTRIES_MAX) {
		bool packed = false; /* only merging makes such values */
		for (size_t i = 0; i < column->count; i++)
			press->texts[i] = table_text(table, column, i, &packed);
		return true;
	}
	for (size_t i = 0; i < column->count; i++)
		press->codes[i] = (uint16_t)column->codes[i];
	for (uint32_t i = 0; i < entry_count; i++)
		press->entries[i] = dictionary_entry(&column->choices, i);
	content->codes = press->codes;
	content->entries = press->entries;
	content->entry_count = entry_count;
	return true;
}

/* The payload of the press goes beside the frame or into it. */
static void column_place(struct block_builder *builder, struct text name, enum column_tag tag,
			 size_t count)
{
	struct press *press = builder->table->press;
	struct text payload = bytes_text(&press->payload);
	bool packed = tag == COLUMN_STRING && payload.size >= BESIDE_BYTES_MIN &&
		      payload.data[0] == STRINGS_HEX;
	bytes_put_text(&press->directory, name);
	bytes_put_u8(&press->directory, (uint8_t)tag);
	bytes_put_varint(&press->directory, count);
	bytes_put_varint(&press->directory, packed ? BESIDE : 0);
	bytes_put_varint(&press->directory, payload.size);
	struct bytes *to = packed ? &builder->beside : &press->small;
	bytes_write(to, payload);
	to->failed |= press->payload.failed;
}

static bool columns_put(struct block_builder *builder)
{
	const struct columnar_table *table = builder->table;
	struct press *press = table->press;
	if (!press_times_take(press, table, NULL, table->count) ||
	    !press_reserve(press, table->count))
		return false;
	for (int which = 0; which < SYSTEM_COUNT; which++) {
		table_system_take(table, NULL, table->count, (enum system_column)which,
				  press->numbers);
		bytes_clear(&press->payload);
		integers_put(&press->payload, press->numbers, table->count);
		column_place(builder, TEXT(""), COLUMN_INTEGER, table->count);
	}
	for (size_t i = 0; i < table->column_count; i++) {
		const struct table_column *column = &table->columns[i];
		struct column_content content;
		bytes_clear(&press->payload);
		if (!column_content_of(table, column, &content) ||
		    (content.count > 0 && !column_encode(press->encoder, &content, press->times,
							 table->count, &press->payload)))
			return false;
		column_place(builder, column->name, column->tag, column->count);
	}
	return true;
}

static void shapes_put(const struct columnar_table *table, struct bytes *to)
{
	struct bytes *shapes = &table->press->scratch;
	bytes_clear(shapes);
	for (size_t i = 0; i < table->shapes.count; i++) {
		const struct table_shape *shape = &table->shape_list[i];
		bytes_put_varint(shapes, shape->count);
		for (size_t k = 0; k < shape->count; k++)
			bytes_put_varint(shapes, table->shape_columns[shape->start + k]);
	}
	bytes_put_text(to, bytes_text(shapes));
	to->failed |= shapes->failed;
}

static bool content_build(struct block_builder *builder)
{
	const struct columnar_table *table = builder->table;
	struct press *press = table->press;
	struct bytes *content = &builder->content;
	bytes_clear(&press->directory);
	bytes_clear(&press->small);
	bytes_clear(&builder->beside);
	bytes_clear(content);
	if (!columns_put(builder))
		return false;
	bytes_put_text(content, bytes_text(&table->heads.entries));
	shapes_put(table, content);
	bytes_put_varint(content, SYSTEM_COUNT + table->column_count);
	bytes_write(content, bytes_text(&press->directory));
	bytes_write(content, bytes_text(&press->small));
	return !content->failed && !press->directory.failed && !press->small.failed &&
	       !builder->beside.failed;
}

/* The content compressed, with header and sum. */
static bool block_put(const struct block_builder *builder, struct bytes *to)
{
	size_t bound = ZSTD_compressBound(builder->content.size);
	bytes_clear(to);
	bytes_put(to, BLOCK_MAGIC, BLOCK_MAGIC_BYTES);
	bytes_put_u8(to, BLOCK_VERSION);
	bytes_put_u64le(to, 0);
	bytes_put_u32le(to, (uint32_t)builder->table->count);
	bytes_put_u32le(to, (uint32_t)builder->content.size);
	if (!bytes_reserve(to, bound + builder->beside.size))
		return false;
	size_t size = ZSTD_compressCCtx(builder->table->press->zstd, to->data + to->size, bound,
					builder->content.data, builder->content.size, ZSTD_LEVEL);
	if (ZSTD_isError(size))
		return false; /* there is room: it can only lack memory of its own */
	to->size += size;
	bytes_write(to, bytes_text(&builder->beside));
	uint64_t sum = XXH3_64bits(to->data + BLOCK_CHECKED_FROM, to->size - BLOCK_CHECKED_FROM);
	for (unsigned i = 0; i < sizeof sum; i++)
		to->data[BLOCK_SUM_AT + i] = (unsigned char)(sum >> (8 * i));
	return true;
}

enum status block_finish(struct block_builder *builder, struct bytes *ret_block,
			 struct block_meta *ret_meta, struct error *err)
{
	size_t count = block_event_count(builder);
	assert(count > 0 || builder->broken);
	struct block_meta meta;
	if (builder->broken || !content_build(builder) || !block_put(builder, ret_block) ||
	    !block_meta_of(builder, &meta))
		return error_set(err, ENOMEMORY, "no memory for a block of %zu events", count);
	assert(builder->content.size <= COLUMNAR_RAW_MAX);
	columnar_table_clear(builder->table);
	*ret_meta = meta;
	return OK;
}

void block_key(struct text topic, int32_t partition, int64_t first_offset, uint32_t first_index,
	       struct bytes *to)
{
	struct origin first = {topic, partition, first_index, first_offset};
	key_put_origin(to, &first);
}
