/* What a merged block and a block of an epoch have in common, checked: shapes, directory, and that
 * every column has as many values as the shapes of the rows say. A column is loaded when somebody
 * asks for it, and stays. columnar.c and block.c describe the formats. */
#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "storage/columnar_reader_private.h"
#include "storage/key_private.h"

enum status columnar_corrupt(const struct columnar_reader *reader, const char *what,
			     struct error *err)
{
	char words[KEY_WORDS_MAX];
	return error_set(err, ECORRUPT, "the %sblock with the key %s is damaged: %s",
			 reader->view == NULL ? "" : "merged ", key_words(reader->key, words),
			 what);
}

enum status columnar_of_version(const struct columnar_reader *reader, uint8_t found, uint8_t read,
				struct error *err)
{
	char words[KEY_WORDS_MAX];
	return error_set(err, ECORRUPT,
			 "the %sblock with the key %s has version %u, and this picket reads "
			 "version %u",
			 reader->view == NULL ? "" : "merged ", key_words(reader->key, words),
			 found, read);
}

enum status columnar_no_memory(const struct columnar_reader *reader, struct error *err)
{
	return error_set(err, ENOMEMORY, "no memory to read a block of %zu events", reader->count);
}

enum status columnar_frame_open(struct columnar_reader *reader, struct cursor from,
				unsigned char **ret_content, size_t *ret_size, struct error *err)
{
	size_t size = cursor_u32le(&from);
	uint8_t compressed = cursor_u8(&from);
	size_t left = cursor_left(&from);
	if (from.failed || compressed > 1 || size > COLUMNAR_RAW_MAX ||
	    (compressed == 0 && left != size) ||
	    (compressed == 1 && ZSTD_getFrameContentSize(from.at, left) != size))
		return columnar_corrupt(reader, "the size of a frame", err);
	if (reader->zstd == NULL)
		reader->zstd = ZSTD_createDCtx();
	unsigned char *content = malloc(size == 0 ? 1 : size);
	if (reader->zstd == NULL || content == NULL) {
		free(content);
		return columnar_no_memory(reader, err);
	}
	size_t got = size;
	if (compressed == 1)
		got = ZSTD_decompressDCtx(reader->zstd, content, size, from.at, left);
	else if (size > 0)
		memcpy(content, from.at, size);
	if (ZSTD_isError(got) || got != size) {
		free(content);
		return columnar_corrupt(reader, "it does not decompress", err);
	}
	*ret_content = content;
	*ret_size = size;
	return OK;
}

static size_t columns_max(const struct columnar_reader *reader)
{
	return reader->view == NULL ? BLOCK_COLUMNS_MAX : COLUMNS_MAX;
}

static enum status shapes_read(struct columnar_reader *reader, struct cursor from,
			       struct error *err)
{
	size_t most = cursor_left(&from) + 1;
	size_t used = 0;
	reader->shapes = arena_alloc(reader->arena, most * sizeof *reader->shapes);
	reader->shape_columns = arena_alloc(reader->arena, most * sizeof *reader->shape_columns);
	reader->shape_nths = arena_alloc(reader->arena, most * sizeof *reader->shape_nths);
	if (reader->shapes == NULL || reader->shape_columns == NULL || reader->shape_nths == NULL)
		return columnar_no_memory(reader, err);
	while (cursor_left(&from) > 0 && !from.failed) {
		uint64_t count = cursor_varint(&from);
		if (count > EVENT_FIELDS_MAX || count > cursor_left(&from))
			return columnar_corrupt(reader, "its shapes", err);
		reader->shapes[reader->shape_count++] = (struct read_shape){used, count};
		for (size_t i = 0; i < count; i++) {
			uint64_t column = cursor_varint(&from);
			if (column >= columns_max(reader))
				return columnar_corrupt(reader, "its shapes", err);
			reader->shape_columns[used++] = (uint32_t)column;
		}
	}
	return from.failed ? columnar_corrupt(reader, "its shapes", err) : OK;
}

static bool column_read(struct columnar_reader *reader, struct cursor *from, bool system,
			struct read_column *ret_column)
{
	struct read_column column = {.info.name = cursor_text(from)};
	uint8_t tag = cursor_u8(from);
	uint64_t count = cursor_varint(from);
	column.part = cursor_varint(from);
	uint64_t size = cursor_varint(from);
	if (from->failed || tag >= COLUMN_TAG_COUNT || column.part > reader->parts ||
	    size > COLUMNAR_RAW_MAX || count > (uint64_t)BLOCK_EVENTS_MAX * EVENT_FIELDS_MAX ||
	    (system && (tag != COLUMN_INTEGER || count != reader->count)))
		return false;
	column.tag = (enum column_tag)tag;
	column.payload_size = size;
	column.info.value_count = count;
	column.info.type = column_type(column.tag);
	column.info.id = system ? FIELD_OTHER : schema_find(column.info.name);
	if (column.info.id != FIELD_OTHER)
		column.info.name = schema_info(column.info.id)->name;
	*ret_column = column;
	return true;
}

static enum status directory_read(struct columnar_reader *reader, struct cursor *from,
				  struct error *err)
{
	uint64_t count = cursor_varint(from);
	if (count < SYSTEM_COUNT || count > SYSTEM_COUNT + columns_max(reader) || from->failed)
		return columnar_corrupt(reader, "its directory", err);
	reader->column_count = count - SYSTEM_COUNT;
	reader->columns =
		arena_alloc(reader->arena, (reader->column_count + 1) * sizeof *reader->columns);
	if (reader->columns == NULL)
		return columnar_no_memory(reader, err);
	for (size_t i = 0; i < count; i++) {
		struct read_column *column =
			i < SYSTEM_COUNT ? &reader->system[i] : &reader->columns[i - SYSTEM_COUNT];
		if (!column_read(reader, from, i < SYSTEM_COUNT, column))
			return columnar_corrupt(reader, "its directory", err);
	}
	for (size_t i = 0; i < count; i++) {
		struct read_column *column =
			i < SYSTEM_COUNT ? &reader->system[i] : &reader->columns[i - SYSTEM_COUNT];
		bool beside = reader->view == NULL && column->part > 0;
		if (beside || column->part == 0)
			column->payload =
				cursor_take(beside ? &reader->beside : from, column->payload_size);
		column->part = beside ? 0 : column->part;
	}
	if (from->failed || cursor_left(from) > 0 || reader->beside.failed ||
	    cursor_left(&reader->beside) > 0)
		return columnar_corrupt(reader, "its small columns do not add up", err);
	return OK;
}

/* The payload of a column that has a part of its own, in the arena. */
static enum status part_open(struct columnar_reader *reader, uint64_t part,
			     struct text *ret_payload, struct error *err)
{
	struct bytes value cleanup(bytes_done) = {0};
	unsigned char *content = NULL;
	size_t size = 0;
	enum status status = columnar_part_get(reader, part, &value, err);
	if (status != OK)
		return status;
	struct cursor from = cursor_of(bytes_text(&value));
	uint64_t sum = cursor_u64le(&from);
	if (from.failed || sum != XXH3_64bits(from.at, cursor_left(&from)))
		return columnar_corrupt(reader, "the checksum of a column is wrong", err);
	status = columnar_frame_open(reader, from, &content, &size, err);
	if (status != OK)
		return status;
	struct text payload = arena_copy(reader->arena, (struct text){(char *)content, size});
	free(content);
	if (payload.data == NULL)
		return columnar_no_memory(reader, err);
	*ret_payload = payload;
	return OK;
}

enum status column_fetch(struct columnar_reader *reader, struct read_column *column,
			 struct error *err)
{
	if (column->part == 0 || column->payload.data != NULL)
		return OK;
	return part_open(reader, column->part, &column->payload, err);
}

enum status column_load(struct columnar_reader *reader, struct read_column *column,
			const struct column_rows *rows, struct error *err)
{
	enum status status = column_fetch(reader, column, err);
	if (status != OK)
		return status;
	struct text payload = column->payload;
	column->content =
		(struct column_content){.tag = column->tag,
					.count = column->info.value_count,
					.bare = reader->bare && column->tag == COLUMN_STRING};
	bool memory = true;
	bool good = payload.size == column->payload_size &&
		    column_decode(payload, rows, reader->arena, &column->content, &memory);
	if (!memory)
		return columnar_no_memory(reader, err);
	if (!good)
		return columnar_corrupt(reader, "the values of a column", err);
	reader->columns_read++;
	return OK;
}

enum status system_load(struct columnar_reader *reader, enum system_column which,
			const int64_t **ret_numbers, struct error *err)
{
	struct read_column *column = &reader->system[which];
	if (!column->loaded) {
		enum status status = column_load(reader, column, &(struct column_rows){0}, err);
		if (status != OK)
			return status;
		column->loaded = true;
	}
	*ret_numbers = column->content.numbers;
	return OK;
}

/* How often each shape has each column, column by column. */
static enum status uses_make(struct columnar_reader *reader, struct error *err)
{
	size_t total = 0;
	for (size_t i = 0; i < reader->shape_count; i++)
		total += reader->shapes[i].count;
	for (size_t i = 0; i < total; i++) {
		if (reader->shape_columns[i] >= reader->column_count)
			return columnar_corrupt(reader, "its shapes", err);
		reader->columns[reader->shape_columns[i]].use_count++;
	}
	struct shape_use *uses = arena_alloc(reader->arena, (total + 1) * sizeof *uses);
	if (uses == NULL)
		return columnar_no_memory(reader, err);
	for (size_t i = 0; i < reader->column_count; i++) {
		reader->columns[i].uses = uses;
		uses += reader->columns[i].use_count;
		reader->columns[i].use_count = 0;
	}
	for (uint32_t i = 0; i < reader->shape_count; i++) {
		const struct read_shape *shape = &reader->shapes[i];
		for (size_t k = 0; k < shape->count; k++) {
			struct read_column *column =
				&reader->columns[reader->shape_columns[shape->start + k]];
			size_t last = column->use_count;
			if (last == 0 || column->uses[last - 1].shape != i)
				column->uses[column->use_count++] = (struct shape_use){i, 0};
			struct shape_use *use = &column->uses[column->use_count - 1];
			reader->shape_nths[shape->start + k] = use->count++;
		}
	}
	return OK;
}

/* Every column has as many values as its rows say. */
static enum status counts_check(struct columnar_reader *reader, struct error *err)
{
	const int64_t *shapes = NULL;
	const int64_t *times = NULL;
	enum status status = system_load(reader, SYSTEM_SHAPE, &shapes, err);
	if (status == OK)
		status = system_load(reader, SYSTEM_TIME, &times, err);
	if (status != OK)
		return status;
	uint32_t *rows = arena_alloc(reader->arena, (reader->shape_count + 1) * sizeof *rows);
	if (rows == NULL)
		return columnar_no_memory(reader, err);
	for (size_t i = 0; i < reader->count; i++) {
		if (shapes[i] < 0 || shapes[i] >= (int64_t)reader->shape_count)
			return columnar_corrupt(reader, "the shape of a row", err);
		if (reader->view != NULL && i > 0 && times[i] < times[i - 1])
			return columnar_corrupt(reader, "its rows are not in order of time", err);
		rows[shapes[i]]++;
	}
	for (size_t i = 0; i < reader->column_count; i++) {
		uint64_t count = 0;
		for (size_t k = 0; k < reader->columns[i].use_count; k++)
			count += (uint64_t)reader->columns[i].uses[k].count *
				 rows[reader->columns[i].uses[k].shape];
		if (count != reader->columns[i].info.value_count)
			return columnar_corrupt(reader, "the number of values of a column", err);
	}
	return OK;
}

enum status columnar_content_open(struct columnar_reader *reader, struct cursor shapes,
				  struct cursor *rest, struct error *err)
{
	enum status status = shapes_read(reader, shapes, err);
	if (status == OK)
		status = directory_read(reader, rest, err);
	if (status == OK)
		status = uses_make(reader, err);
	return status == OK ? counts_check(reader, err) : status;
}

/* Offsets of a merged block are differences to the row before with the same head. */
enum status offsets_load(struct columnar_reader *reader, const int64_t *heads, struct error *err)
{
	const int64_t *differences = NULL;
	if (reader->offsets != NULL)
		return OK;
	enum status status = system_load(reader, SYSTEM_OFFSET, &differences, err);
	if (status != OK)
		return status;
	int64_t *offsets = arena_alloc(reader->arena, reader->count * sizeof *offsets);
	int64_t *last = calloc(reader->head_count + 1, sizeof *last);
	if (offsets == NULL || last == NULL) {
		free(last);
		return columnar_no_memory(reader, err);
	}
	for (size_t i = 0; i < reader->count && status == OK; i++) {
		if (heads[i] < 0 || heads[i] >= (int64_t)reader->head_count) {
			status = columnar_corrupt(reader, "the head of a row", err);
			break;
		}
		offsets[i] = (int64_t)((uint64_t)last[heads[i]] + (uint64_t)differences[i]);
		last[heads[i]] = reader->view == NULL ? 0 : offsets[i];
		if (offsets[i] < 0)
			status = columnar_corrupt(reader, "the offset of a row", err);
	}
	free(last);
	if (status == OK)
		reader->offsets = offsets;
	return status;
}

/* What a row says of itself, row by row. */
static enum status rows_check(struct columnar_reader *reader, struct error *err)
{
	const int64_t *columns[SYSTEM_COUNT] = {0};
	enum status status = OK;
	for (int i = 0; status == OK && i < SYSTEM_COUNT; i++)
		status = system_load(reader, (enum system_column)i, &columns[i], err);
	if (status == OK)
		status = offsets_load(reader, columns[SYSTEM_HEAD], err);
	for (size_t i = 0; status == OK && i < reader->count; i++) {
		int64_t index = columns[SYSTEM_INDEX][i];
		int64_t quality = columns[SYSTEM_QUALITY][i];
		if (index < 0 || index > UINT32_MAX || quality < 0 || quality >= 1 << QUALITY_COUNT)
			status = columnar_corrupt(reader, "a row", err);
	}
	return status;
}

enum status columnar_load_all(struct columnar_reader *reader, struct error *err)
{
	enum status status = rows_check(reader, err);
	const struct column_rows rows = {reader->system[SYSTEM_TIME].content.numbers, reader->count,
					 NULL};
	for (size_t i = 0; status == OK && i < reader->column_count; i++)
		if (reader->columns[i].info.value_count > 0)
			status = column_load(reader, &reader->columns[i], &rows, err);
	return status;
}
