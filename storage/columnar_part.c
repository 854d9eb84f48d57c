/* The parts of a merged block (the format is in columnar.c): columns that are worth a row of the
 * store, and part 0, which holds the directory and the small ones. */
#include <xxhash.h>

#include "storage/columnar_writer_private.h"

enum {
	ZSTD_LEVEL = 1,
	ZSTD_BYTES_MIN = 32, /* below it a frame is never smaller */
	SUM_BYTES = 8,
	FIRST_SUM_AT = 4, /* in part 0: behind magic and version */
};

/* Appends u32 size, u8 codec and the bytes, compressed when that is smaller. */
static bool frame_put(struct press *press, struct text bytes, struct bytes *to)
{
	struct bytes *frame = &press->frame;
	size_t size = bytes.size;
	bytes_put_u32le(to, (uint32_t)bytes.size);
	if (bytes.size >= ZSTD_BYTES_MIN) {
		size_t bound = ZSTD_compressBound(bytes.size);
		bytes_clear(frame);
		if (!bytes_reserve(frame, bound))
			return false;
		size = ZSTD_compressCCtx(press->zstd, frame->data, bound, bytes.data, bytes.size,
					 ZSTD_LEVEL);
		if (ZSTD_isError(size))
			return false;
	}
	bool smaller = size < bytes.size;
	bytes_put_u8(to, smaller);
	bytes_put(to, smaller ? (const char *)frame->data : bytes.data,
		  smaller ? size : bytes.size);
	return !to->failed;
}

/* The sum of everything behind its own place. */
static void sum_set(struct bytes *part, size_t at)
{
	uint64_t sum = XXH3_64bits(part->data + at + SUM_BYTES, part->size - at - SUM_BYTES);
	for (unsigned i = 0; i < SUM_BYTES; i++)
		part->data[at + i] = (unsigned char)(sum >> (8 * i));
}

void part_put_row(struct writing *writing, enum store_family family, struct text key,
		  struct text value)
{
	store_batch_put(writing->batch, family, key, value);
	writing->stored_bytes += key.size + value.size;
}

static bool part_put(struct writing *writing, uint16_t number)
{
	struct press *press = writing->press;
	struct bytes *key = &press->row_key;
	bytes_clear(key);
	bytes_write(key, bytes_text(&press->key));
	bytes_put_u8(key, (uint8_t)(number >> 8));
	bytes_put_u8(key, (uint8_t)number);
	if (key->failed)
		return false;
	part_put_row(writing, FAMILY_BLOCK, bytes_text(key), bytes_text(&press->part));
	return true;
}

bool part_put_column(struct writing *writing, struct text name, enum column_tag tag, size_t count)
{
	struct press *press = writing->press;
	struct bytes *directory = &press->directory;
	struct text payload = bytes_text(&press->payload);
	bool own = payload.size >= PART_BYTES_MIN;
	bytes_put_text(directory, name);
	bytes_put_u8(directory, (uint8_t)tag);
	bytes_put_varint(directory, count);
	bytes_put_varint(directory, own ? ++writing->parts : 0u);
	bytes_put_varint(directory, payload.size);
	if (!own) {
		bytes_write(&press->small, payload);
		return !press->small.failed && !directory->failed && !press->payload.failed;
	}
	bytes_clear(&press->part);
	bytes_put_u64le(&press->part, 0);
	if (press->payload.failed || !frame_put(press, payload, &press->part))
		return false;
	sum_set(&press->part, 0);
	return part_put(writing, writing->parts) && !directory->failed;
}

/* Those entries of a dictionary that the block uses, in its own order. */
static void entries_put(struct press *press, const struct dictionary *dictionary,
			const struct numbering *numbering, struct bytes *to)
{
	struct bytes *entries = &press->scratch;
	bytes_clear(entries);
	for (size_t i = 0; i < numbering->count; i++) {
		struct text entry = dictionary_entry(dictionary, numbering->used[i]);
		bytes_write(entries, entry);
	}
	bytes_put_text(to, bytes_text(entries));
	to->failed |= entries->failed;
}

/* The shapes that the block uses, by its own numbers of columns. */
static void shapes_put(struct writing *writing, struct bytes *to)
{
	const struct columnar_table *table = writing->table;
	struct press *press = writing->press;
	struct bytes *shapes = &press->scratch;
	bytes_clear(shapes);
	for (size_t i = 0; i < press->shapes.count; i++) {
		const struct table_shape *shape = &table->shape_list[press->shapes.used[i]];
		bytes_put_varint(shapes, shape->count);
		for (size_t k = 0; k < shape->count; k++) {
			uint32_t column = table->shape_columns[shape->start + k];
			bytes_put_varint(shapes, press->columns.own[column] - 1);
		}
	}
	bytes_put_text(to, bytes_text(shapes));
	to->failed |= shapes->failed;
}

static struct text owner_of(const struct writing *writing)
{
	const struct table_row *row = &writing->table->rows[writing->rows[0]];
	struct text group = dictionary_entry(&writing->table->groups, row->group);
	return text_cut(group, TABLE_GROUP_OWNER_AT);
}

bool part_put_first(struct writing *writing)
{
	struct press *press = writing->press;
	struct bytes *content = &press->payload;
	bytes_clear(content);
	bytes_put_text(content, owner_of(writing));
	entries_put(press, &writing->table->heads, &press->heads, content);
	shapes_put(writing, content);
	bytes_put_varint(content, SYSTEM_COUNT + press->columns.count);
	bytes_write(content, bytes_text(&press->directory));
	bytes_write(content, bytes_text(&press->small));
	struct bytes *part = &press->part;
	bytes_clear(part);
	bytes_put(part, COLUMNAR_MAGIC, 3);
	bytes_put_u8(part, COLUMNAR_VERSION);
	bytes_put_u64le(part, 0);
	bytes_put_u32le(part, (uint32_t)writing->count);
	bytes_put_u8(part, (uint8_t)writing->parts);
	bytes_put_u8(part, (uint8_t)(writing->parts >> 8));
	if (content->failed || content->size > COLUMNAR_RAW_MAX ||
	    !frame_put(press, bytes_text(content), part))
		return false;
	sum_set(part, FIRST_SUM_AT);
	return part_put(writing, 0);
}
