/* Opening a merged block; columnar.c describes the format.
 *
 * columnar_open() reads part 0 and checks its header and its heads; what else more than one column
 * depends on is checked in columnar_load.c. */
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

void columnar_reader_free(struct columnar_reader **reader)
{
	struct columnar_reader *gone = *reader;
	if (gone == NULL)
		return;
	arena_free(&gone->arena);
	free(gone->content);
	(void)ZSTD_freeDCtx(gone->zstd);
	free(gone);
	*reader = NULL;
}

struct columnar_reader *columnar_reader_new(void)
{
	struct columnar_reader *reader = calloc(1, sizeof *reader);
	if (reader == NULL)
		return NULL;
	reader->arena = arena_new(READER_BYTES_MAX);
	if (reader->arena == NULL)
		columnar_reader_free(&reader);
	return reader;
}

enum status columnar_part_get(struct columnar_reader *reader, uint64_t part,
			      struct bytes *ret_value, struct error *err)
{
	struct bytes key cleanup(bytes_done) = {0};
	bytes_write(&key, reader->key);
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
	enum status status = columnar_part_get(reader, 0, &value, err);
	if (status != OK)
		return status;
	if (value.size <= HEADER_BYTES ||
	    !text_starts(bytes_text(&value), (struct text){COLUMNAR_MAGIC, 3}))
		return columnar_corrupt(reader, "it does not begin like a merged block", err);
	struct cursor from = cursor_of(bytes_text(&value));
	(void)cursor_take(&from, 3);
	uint8_t version = cursor_u8(&from);
	if (version != COLUMNAR_VERSION)
		return columnar_of_version(reader, version, COLUMNAR_VERSION, err);
	uint64_t sum = cursor_u64le(&from);
	if (sum != XXH3_64bits(from.at, cursor_left(&from)))
		return columnar_corrupt(reader, "its checksum is wrong", err);
	reader->count = cursor_u32le(&from);
	reader->parts = cursor_u8(&from);
	reader->parts |= (size_t)cursor_u8(&from) << 8;
	if (reader->count == 0 || reader->count > BLOCK_EVENTS_MAX)
		return columnar_corrupt(reader, "its header makes no sense", err);
	size_t size = 0;
	status = columnar_frame_open(reader, from, &reader->content, &size, err);
	if (status == OK)
		*ret_content = cursor_of((struct text){(char *)reader->content, size});
	return status;
}

static enum status heads_read(struct columnar_reader *reader, struct text owner, struct cursor from,
			      struct error *err)
{
	reader->heads =
		arena_alloc(reader->arena, (cursor_left(&from) / 5 + 1) * sizeof *reader->heads);
	if (reader->heads == NULL)
		return columnar_no_memory(reader, err);
	while (cursor_left(&from) >= 5 && !from.failed) {
		struct read_head *head = &reader->heads[reader->head_count++];
		head->owner = owner;
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

enum status columnar_open(struct store_view *view, struct text key,
			  struct columnar_reader **ret_reader, struct error *err)
{
	struct columnar_reader *reader cleanup(columnar_reader_free) = columnar_reader_new();
	if (reader == NULL)
		return error_set(err, ENOMEMORY, "no memory to read a merged block");
	reader->view = view;
	reader->key = key;
	struct columnar_key parsed;
	enum status status = columnar_key_decode(key, &parsed, err);
	struct cursor content = {0};
	if (status == OK)
		status = first_part_open(reader, &content, err);
	if (status != OK)
		return status;
	struct text owner = cursor_text(&content);
	struct cursor heads = cursor_of(cursor_text(&content));
	struct cursor shapes = cursor_of(cursor_text(&content));
	if (content.failed)
		return columnar_corrupt(reader, "its sections do not add up", err);
	status = heads_read(reader, owner, heads, err);
	if (status == OK)
		status = columnar_content_open(reader, shapes, &content, err);
	if (status == OK)
		*ret_reader = TAKE(reader);
	return status;
}

static void row_note(struct bytes *rows, enum store_family family, struct text key)
{
	bytes_put_u8(rows, (uint8_t)family);
	bytes_put_text(rows, key);
}

enum status columnar_rows_find(struct store_view *view, struct text key, struct bytes *ret_rows,
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
	bytes_clear(ret_rows);
	while (store_scan_next(scan, &part, &ignored))
		row_note(ret_rows, FAMILY_BLOCK, part);
	while (summary_column_next(&summary.columns, &column)) {
		if (column.kind != SUMMARY_BLOOM)
			continue;
		bytes_clear(&bloom);
		bloom_key(column.name, key, &bloom);
		ret_rows->failed |= bloom.failed;
		row_note(ret_rows, FAMILY_BLOCKMETA, bytes_text(&bloom));
	}
	row_note(ret_rows, FAMILY_BLOCKMETA, key);
	if (ret_rows->failed)
		return error_set(err, ENOMEMORY, "no memory to remove a block");
	return store_scan_status(scan, err);
}

void columnar_rows_delete(struct text rows, struct store_batch *batch)
{
	struct cursor from = cursor_of(rows);
	while (cursor_left(&from) > 0) {
		enum store_family family = (enum store_family)cursor_u8(&from);
		store_batch_delete(batch, family, cursor_text(&from));
	}
}
