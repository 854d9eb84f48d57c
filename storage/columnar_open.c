/* Opening a merged block; columnar.c describes the format.
 *
 * columnar_open() reads part 0 and checks everything that more than one column depends on: the
 * header, the shapes, that every column has as many values as the shapes of the rows say. A column
 * is read when somebody asks for it (columnar_read.c), and stays. */
#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "storage/columnar_reader_private.h"
#include "storage/key_private.h"
#include "storage/summary.h"

enum {
	READER_BYTES_MAX = 512 * 1024 * 1024, /* of decoded columns */
	HEADER_BYTES = 18,
	CHECKED_FROM = 12,
	PART_SUM_BYTES = 8,
};

enum status columnar_corrupt(const struct columnar_reader *reader, const char *what,
			     struct error *err)
{
	char words[KEY_WORDS_MAX];
	return error_set(err, ECORRUPT, "the merged block with the key %s is damaged: %s",
			 key_words(reader->key, words), what);
}

enum status columnar_no_memory(const struct columnar_reader *reader, struct error *err)
{
	return error_set(err, ENOMEMORY, "no memory to read a merged block of %zu events",
			 reader->count);
}

void columnar_reader_free(struct columnar_reader **reader)
{
	struct columnar_reader *gone = *reader;
	if (gone == NULL)
		return;
	arena_free(&gone->arena);
	free(gone->content);
	free(gone);
	*reader = NULL;
}

/* u32 size, u8 compressed, bytes; *ret_content is malloc()ed. */
static enum status frame_open(struct columnar_reader *reader, struct cursor from,
			      unsigned char **ret_content, size_t *ret_size, struct error *err)
{
	size_t size = cursor_u32le(&from);
	uint8_t compressed = cursor_u8(&from);
	size_t left = cursor_left(&from);
	if (from.failed || compressed > 1 || size > COLUMNAR_RAW_MAX ||
	    (compressed == 0 && left != size) ||
	    (compressed == 1 && ZSTD_getFrameContentSize(from.at, left) != size))
		return columnar_corrupt(reader, "the size of a frame", err);
	unsigned char *content = malloc(size == 0 ? 1 : size);
	if (content == NULL)
		return columnar_no_memory(reader, err);
	size_t got = size;
	if (compressed == 1)
		got = ZSTD_decompress(content, size, from.at, left);
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

static enum status part_get(struct columnar_reader *reader, uint64_t part, struct bytes *ret_value,
			    struct error *err)
{
	struct bytes key cleanup(bytes_done) = {0};
	bytes_put(&key, reader->key.data, reader->key.size);
	bytes_put_u8(&key, (uint8_t)(part >> 8));
	bytes_put_u8(&key, (uint8_t)part);
	if (key.failed)
		return columnar_no_memory(reader, err);
	enum status status =
		store_view_get(reader->view, FAMILY_BLOCK, bytes_text(&key), ret_value, err);
	reader->bytes_read += ret_value->size;
	if (status == ENOTFOUND && part > 0)
		return columnar_corrupt(reader, "one of its parts is missing", err);
	return status;
}

static enum status first_part_open(struct columnar_reader *reader, struct cursor *ret_content,
				   struct error *err)
{
	struct bytes value cleanup(bytes_done) = {0};
	enum status status = part_get(reader, 0, &value, err);
	if (status != OK)
		return status;
	if (value.size <= HEADER_BYTES ||
	    !text_starts(bytes_text(&value), (struct text){COLUMNAR_MAGIC, 3}))
		return columnar_corrupt(reader, "it does not begin like a merged block", err);
	struct cursor from = cursor_of(bytes_text(&value));
	(void)cursor_take(&from, 3);
	if (cursor_u8(&from) != COLUMNAR_VERSION)
		return columnar_corrupt(reader, "its version is not known to this picket", err);
	uint64_t sum = cursor_u64le(&from);
	if (sum != XXH3_64bits(from.at, cursor_left(&from)))
		return columnar_corrupt(reader, "its checksum is wrong", err);
	reader->count = cursor_u32le(&from);
	reader->parts = cursor_u8(&from);
	reader->parts |= (size_t)cursor_u8(&from) << 8;
	if (reader->count == 0 || reader->count > BLOCK_EVENTS_MAX)
		return columnar_corrupt(reader, "its header makes no sense", err);
	size_t size = 0;
	status = frame_open(reader, from, &reader->content, &size, err);
	if (status == OK)
		*ret_content = cursor_of((struct text){(char *)reader->content, size});
	return status;
}

static enum status heads_read(struct columnar_reader *reader, struct cursor from, struct error *err)
{
	reader->heads =
		arena_alloc(reader->arena, (cursor_left(&from) / 5 + 1) * sizeof *reader->heads);
	if (reader->heads == NULL)
		return columnar_no_memory(reader, err);
	while (cursor_left(&from) >= 5 && !from.failed) {
		struct read_head *head = &reader->heads[reader->head_count++];
		head->topic = cursor_text(&from);
		uint64_t partition = cursor_varint(&from);
		head->partition = (int32_t)(partition & INT32_MAX);
		head->logsource.category = cursor_text(&from);
		head->logsource.product = cursor_text(&from);
		head->logsource.service = cursor_text(&from);
		if (partition > INT32_MAX)
			from.failed = true;
	}
	return from.failed || cursor_left(&from) > 0 ? columnar_corrupt(reader, "its heads", err)
						     : OK;
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
			if (column >= COLUMNS_MAX)
				return columnar_corrupt(reader, "its shapes", err);
			reader->shape_columns[used++] = (uint32_t)column;
		}
	}
	return from.failed ? columnar_corrupt(reader, "its shapes", err) : OK;
}

static enum value_type type_of(enum column_tag tag)
{
	static const enum value_type types[COLUMN_TAG_COUNT] = {
		[COLUMN_NULL] = VALUE_NULL,          [COLUMN_EMPTY] = VALUE_EMPTY,
		[COLUMN_BOOLEAN] = VALUE_BOOLEAN,    [COLUMN_INTEGER] = VALUE_INTEGER,
		[COLUMN_INTEGER_AS] = VALUE_INTEGER, [COLUMN_REAL] = VALUE_REAL,
		[COLUMN_STRING] = VALUE_STRING,
	};
	return types[tag];
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
	column.info.type = type_of(column.tag);
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
	if (count < SYSTEM_COUNT || count > SYSTEM_COUNT + COLUMNS_MAX || from->failed)
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
		if (column->part == 0)
			column->payload = cursor_take(from, column->payload_size);
	}
	if (from->failed || cursor_left(from) > 0)
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
	enum status status = part_get(reader, part, &value, err);
	if (status != OK)
		return status;
	struct cursor from = cursor_of(bytes_text(&value));
	uint64_t sum = cursor_u64le(&from);
	if (from.failed || sum != XXH3_64bits(from.at, cursor_left(&from)))
		return columnar_corrupt(reader, "the checksum of a column is wrong", err);
	status = frame_open(reader, from, &content, &size, err);
	if (status != OK)
		return status;
	struct text payload = arena_copy(reader->arena, (struct text){(char *)content, size});
	free(content);
	if (payload.data == NULL)
		return columnar_no_memory(reader, err);
	*ret_payload = payload;
	return OK;
}

/* Decodes the payload of a column, from wherever it is. */
enum status column_load(struct columnar_reader *reader, struct read_column *column,
			const struct column_rows *rows, struct error *err)
{
	enum status status = OK;
	struct text payload = column->payload;
	if (column->part > 0) {
		status = part_open(reader, column->part, &payload, err);
		if (status != OK)
			return status;
	}
	column->content =
		(struct column_content){.tag = column->tag, .count = column->info.value_count};
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
		if (i > 0 && times[i] < times[i - 1])
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

enum status columnar_open(struct store_view *view, struct text key,
			  struct columnar_reader **ret_reader, struct error *err)
{
	struct columnar_reader *reader cleanup(columnar_reader_free) = calloc(1, sizeof *reader);
	if (reader == NULL)
		return error_set(err, ENOMEMORY, "no memory to read a merged block");
	reader->view = view;
	reader->key = key;
	reader->arena = arena_new(READER_BYTES_MAX);
	if (reader->arena == NULL)
		return columnar_no_memory(reader, err);
	struct columnar_key parsed;
	enum status status = columnar_key_decode(key, &parsed, err);
	struct cursor content = {0};
	if (status == OK)
		status = first_part_open(reader, &content, err);
	if (status != OK)
		return status;
	reader->owner = cursor_text(&content);
	struct cursor heads = cursor_of(cursor_text(&content));
	struct cursor shapes = cursor_of(cursor_text(&content));
	if (content.failed)
		return columnar_corrupt(reader, "its sections do not add up", err);
	status = heads_read(reader, heads, err);
	if (status == OK)
		status = shapes_read(reader, shapes, err);
	if (status == OK)
		status = directory_read(reader, &content, err);
	if (status == OK)
		status = uses_make(reader, err);
	if (status == OK)
		status = counts_check(reader, err);
	if (status == OK)
		*ret_reader = TAKE(reader);
	return status;
}

enum status columnar_delete(struct store_view *view, struct text key, struct store_batch *batch,
			    struct error *err)
{
	struct bytes value cleanup(bytes_done) = {0};
	struct bytes bloom cleanup(bytes_done) = {0};
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct summary summary;
	struct summary_column column;
	struct text part = {0};
	struct text ignored = {0};
	enum status status = store_view_get(view, FAMILY_BLOCKMETA, key, &value, err);
	if (status == OK)
		status = summary_open(bytes_text(&value), &summary, err);
	if (status == OK)
		status = store_view_scan(view, FAMILY_BLOCK, key, key, &scan, err);
	if (status != OK)
		return status;
	while (store_scan_next(scan, &part, &ignored))
		store_batch_delete(batch, FAMILY_BLOCK, part);
	while (summary_column_next(&summary.columns, &column)) {
		if (column.kind != SUMMARY_BLOOM)
			continue;
		bytes_clear(&bloom);
		bloom_key(column.name, key, &bloom);
		if (bloom.failed)
			return error_set(err, ENOMEMORY, "no memory to remove a block");
		store_batch_delete(batch, FAMILY_BLOCKMETA, bytes_text(&bloom));
	}
	store_batch_delete(batch, FAMILY_BLOCKMETA, key);
	return store_scan_status(scan, err);
}
