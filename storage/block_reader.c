/* Reading a block; block.c describes the format.
 *
 * block_open() checks the frame and everything that more than one row depends on: the names, the
 * shapes, the heads. block_next() runs one cursor per column and stream. Values are views into the
 * decompressed content; only what is stored packed (numbers, hexadecimal digits) is written out in
 * the arena. Behind the last row every cursor must stand at its end. */
#include "storage/block_reader_private.h"

#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "storage/key_private.h"

static enum status corrupt(const struct block_reader *reader, const char *what, struct error *err)
{
	char words[KEY_WORDS_MAX];
	return error_set(err, ECORRUPT, "the block with the key %s is damaged: %s",
			 key_words(reader->key, words), what);
}

void block_reader_free(struct block_reader **reader)
{
	struct block_reader *gone = *reader;
	if (gone == NULL)
		return;
	free(gone->content);
	free(gone->names);
	free(gone->shapes);
	free(gone->keys);
	free(gone->heads);
	free(gone);
	*reader = NULL;
}

/* Checks the header and the sum, and decompresses. */
static enum status content_open(struct block_reader *reader, struct text value, struct error *err)
{
	if (value.size <= BLOCK_HEADER_BYTES ||
	    !text_starts(value, (struct text){BLOCK_MAGIC, BLOCK_MAGIC_BYTES}))
		return corrupt(reader, "it does not begin like a block", err);
	struct cursor from = cursor_of(value);
	(void)cursor_take(&from, BLOCK_MAGIC_BYTES);
	if (cursor_u8(&from) != BLOCK_VERSION)
		return corrupt(reader, "its version is not known to this picket", err);
	uint64_t sum = cursor_u64le(&from);
	if (sum != XXH3_64bits(from.at, cursor_left(&from)))
		return corrupt(reader, "its checksum is wrong", err);
	reader->rows_left = cursor_u32le(&from);
	size_t size = cursor_u32le(&from);
	size_t frame_size = cursor_left(&from);
	if (reader->rows_left == 0 || reader->rows_left > BLOCK_EVENTS_MAX ||
	    size > BLOCK_RAW_MAX || ZSTD_getFrameContentSize(from.at, frame_size) != size)
		return corrupt(reader, "its header makes no sense", err);
	reader->content = malloc(size == 0 ? 1 : size);
	if (reader->content == NULL)
		return error_set(err, ENOMEMORY, "no memory to open a block of %zu bytes", size);
	size_t got = ZSTD_decompress(reader->content, size, from.at, frame_size);
	if (ZSTD_isError(got) || got != size)
		return corrupt(reader, "it does not decompress", err);
	struct cursor content = {reader->content, reader->content + size, false};
	for (size_t i = 0; i < SECTION_COUNT; i++)
		reader->sections[i] = cursor_of(cursor_text(&content));
	if (content.failed || cursor_left(&content) > 0)
		return corrupt(reader, "its sections do not add up", err);
	return OK;
}

/* Numbers that a table needs room for: no entry is smaller than entry_bytes. */
static size_t entries_max(const struct cursor *section, size_t entry_bytes)
{
	return cursor_left(section) / entry_bytes + 1;
}

static enum status names_open(struct block_reader *reader, struct error *err)
{
	struct cursor *from = &reader->sections[SECTION_NAMES];
	reader->names = calloc(entries_max(from, 1), sizeof *reader->names);
	if (reader->names == NULL)
		return error_set(err, ENOMEMORY, "no memory for the names of a block");
	while (cursor_left(from) > 0 && !from->failed) {
		struct name *name = &reader->names[reader->name_count++];
		name->text = cursor_text(from);
		name->id = schema_find(name->text);
		if (name->id != FIELD_OTHER)
			name->text = schema_info(name->id)->name;
	}
	return from->failed ? corrupt(reader, "its names", err) : OK;
}

static bool shape_read(struct block_reader *reader, struct cursor *from, size_t *used)
{
	uint64_t count = cursor_varint(from);
	if (count > EVENT_FIELDS_MAX || count > cursor_left(from))
		return false;
	reader->shapes[reader->shape_count++] = (struct shape){*used, count};
	for (size_t i = 0; i < count; i++) {
		uint64_t key = cursor_varint(from);
		uint64_t tag = key & ((1 << TAG_BITS) - 1);
		if (key >> TAG_BITS >= reader->name_count || tag >= TAG_COUNT)
			return false;
		reader->keys[(*used)++] = (uint32_t)key;
	}
	return !from->failed;
}

static enum status shapes_open(struct block_reader *reader, struct error *err)
{
	struct cursor *from = &reader->sections[SECTION_SHAPES];
	reader->shapes = calloc(entries_max(from, 1), sizeof *reader->shapes);
	reader->keys = calloc(entries_max(from, 1), sizeof *reader->keys);
	if (reader->shapes == NULL || reader->keys == NULL)
		return error_set(err, ENOMEMORY, "no memory for the shapes of a block");
	size_t used = 0;
	while (cursor_left(from) > 0)
		if (!shape_read(reader, from, &used))
			return corrupt(reader, "its shapes", err);
	return OK;
}

static enum status heads_open(struct block_reader *reader, struct error *err)
{
	struct cursor *from = &reader->sections[SECTION_HEADS];
	reader->heads = calloc(entries_max(from, 4), sizeof *reader->heads);
	if (reader->heads == NULL)
		return error_set(err, ENOMEMORY, "no memory for the owners of a block");
	while (cursor_left(from) > 0 && !from->failed) {
		struct head *head = &reader->heads[reader->head_count++];
		head->owner = cursor_text(from);
		head->logsource.category = cursor_text(from);
		head->logsource.product = cursor_text(from);
		head->logsource.service = cursor_text(from);
	}
	return from->failed ? corrupt(reader, "its owners", err) : OK;
}

enum status block_open(struct text key, struct text value, struct block_reader **ret_reader,
		       struct error *err)
{
	struct block_reader *reader cleanup(block_reader_free) = calloc(1, sizeof *reader);
	if (reader == NULL)
		return error_set(err, ENOMEMORY, "no memory to open a block");
	reader->key = key;
	struct cursor from = cursor_of(key);
	key_take_origin(&from, &reader->origin);
	if (from.failed || cursor_left(&from) > 0)
		return corrupt(reader, "that is not the key of a block", err);
	enum status status = content_open(reader, value, err);
	if (status == OK)
		status = names_open(reader, err);
	if (status == OK)
		status = shapes_open(reader, err);
	if (status == OK)
		status = heads_open(reader, err);
	if (status != OK)
		return status;
	reader->origin.offset = 0; /* differences begin at 0 */
	*ret_reader = TAKE(reader);
	return OK;
}

/* Two digits a byte. False: out of memory. */
static bool hex_print(struct text packed, struct arena *arena, struct text *ret_text)
{
	char *text = arena_alloc(arena, packed.size == 0 ? 1 : 2 * packed.size);
	if (text == NULL)
		return false;
	block_hex_unpack(packed, text);
	*ret_text = (struct text){text, 2 * packed.size};
	return true;
}

static bool integer_value(int64_t number, struct arena *arena, struct value *ret_value)
{
	char *digits = arena_alloc(arena, INTEGER_PRINT_BYTES);
	if (digits == NULL)
		return false;
	ret_value->type = VALUE_INTEGER;
	ret_value->integer = number;
	ret_value->text = (struct text){digits, integer_print(number, digits)};
	return true;
}

static bool sections_failed(const struct block_reader *reader)
{
	for (size_t i = 0; i < SECTION_COUNT; i++)
		if (reader->sections[i].failed)
			return true;
	return false;
}

static enum status reader_end(const struct block_reader *reader, struct error *err)
{
	assert(reader->rows_left == 0);
	for (size_t i = 0; i < SECTION_COUNT; i++)
		if (cursor_left(&reader->sections[i]) > 0)
			return corrupt(reader, "there is more in it than its events", err);
	return OK;
}

static int64_t sum(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a + (uint64_t)b);
}

enum status block_row_next(struct block_reader *reader, struct block_row *ret_row, bool *ret_more,
			   struct error *err)
{
	struct cursor *sections = reader->sections;
	if (sections_failed(reader)) /* by the values of the row before */
		return corrupt(reader, "a value", err);
	if (reader->rows_left == 0) {
		enum status status = reader_end(reader, err);
		if (status == OK)
			*ret_more = false;
		return status;
	}
	uint64_t head = cursor_varint(&sections[SECTION_HEAD]);
	uint64_t shape = cursor_varint(&sections[SECTION_SHAPE]);
	reader->time_us = sum(reader->time_us, cursor_signed(&sections[SECTION_TIME]));
	int64_t record_time_us =
		sum(reader->time_us, cursor_signed(&sections[SECTION_RECORD_TIME]));
	reader->origin.offset =
		sum(reader->origin.offset, cursor_signed(&sections[SECTION_OFFSET]));
	uint64_t index = cursor_varint(&sections[SECTION_INDEX]);
	uint64_t quality = cursor_varint(&sections[SECTION_QUALITY]);
	if (head >= reader->head_count || shape >= reader->shape_count || index > UINT32_MAX ||
	    quality >= 1u << QUALITY_COUNT || sections_failed(reader))
		return corrupt(reader, "a row", err);
	reader->origin.index = (uint32_t)index;
	reader->rows_left--;
	*ret_row = (struct block_row){reader->time_us, record_time_us,    reader->origin.offset,
				      (uint32_t)index, (uint32_t)quality, (uint32_t)head,
				      (uint32_t)shape};
	*ret_more = true;
	return OK;
}

/* False: out of memory. */
static bool value_print(const struct block_value *stored, struct arena *arena,
			struct value *ret_value)
{
	ret_value->text = stored->text;
	switch (stored->tag) {
	case TAG_NULL:
		ret_value->type = VALUE_NULL;
		return true;
	case TAG_EMPTY:
		ret_value->type = VALUE_EMPTY;
		return true;
	case TAG_BOOLEAN:
		ret_value->type = VALUE_BOOLEAN;
		ret_value->boolean = stored->number != 0;
		ret_value->text = ret_value->boolean ? TEXT("true") : TEXT("false");
		return true;
	case TAG_INTEGER:
		return integer_value(stored->number, arena, ret_value);
	case TAG_INTEGER_AS:
		ret_value->type = VALUE_INTEGER;
		ret_value->integer = stored->number;
		return true;
	case TAG_REAL:
		ret_value->type = VALUE_REAL;
		memcpy(&ret_value->real, &stored->number, sizeof ret_value->real);
		return true;
	case TAG_STRING:
		ret_value->type = VALUE_STRING;
		return true;
	case TAG_HEX:
		ret_value->type = VALUE_STRING;
		return hex_print(stored->text, arena, &ret_value->text);
	case TAG_COUNT:
		break;
	}
	assert(false && "shape_read() let a tag pass that is none");
}

enum status block_next(struct block_reader *reader, struct arena *arena, struct event *ret_event,
		       bool *ret_more, struct error *err)
{
	struct block_row row;
	enum status status = block_row_next(reader, &row, ret_more, err);
	if (status != OK || !*ret_more)
		return status;
	const struct shape *shape = &reader->shapes[row.shape];
	struct event event = {
		.time_us = row.time_us,
		.record_time_us = row.record_time_us,
		.origin = reader->origin,
		.owner = reader->heads[row.head].owner,
		.logsource = reader->heads[row.head].logsource,
		.quality = row.quality,
	};
	event.field_capacity = shape->count;
	event.fields = arena_alloc(arena, (shape->count + 1) * sizeof *event.fields);
	bool memory = event.fields != NULL;
	for (; memory && event.field_count < shape->count; event.field_count++) {
		uint32_t key = reader->keys[shape->start + event.field_count];
		struct field *field = &event.fields[event.field_count];
		field->name = reader->names[key >> TAG_BITS].text;
		field->id = reader->names[key >> TAG_BITS].id;
		struct block_value stored = block_value_next(reader, key);
		memory = value_print(&stored, arena, &field->value);
	}
	if (!memory)
		return error_set(err, ENOMEMORY, "no memory for an event of %zu fields",
				 shape->count);
	if (sections_failed(reader))
		return corrupt(reader, "a value", err);
	*ret_event = event;
	return OK;
}
