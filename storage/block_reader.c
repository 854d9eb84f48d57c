/* Reading a block; block.c describes the format.
 *
 * Opening checks the frame, the heads and, in columnar_load.c, everything that more than one column
 * depends on. Columns are decoded when an event needs them, each with all of its checks. */
#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "storage/block_private.h"
#include "storage/columnar_reader_private.h"
#include "storage/key_private.h"

struct block_reader {
	struct columnar_reader *columns;
	size_t row;
};

void block_reader_free(struct block_reader **reader)
{
	struct block_reader *gone = *reader;
	if (gone == NULL)
		return;
	columnar_reader_free(&gone->columns);
	free(gone);
	*reader = NULL;
}

/* Checks the header and the sum, and decompresses. */
static enum status content_open(struct columnar_reader *reader, struct text value,
				struct cursor *ret_content, struct error *err)
{
	if (value.size <= BLOCK_HEADER_BYTES ||
	    !text_starts(value, (struct text){BLOCK_MAGIC, BLOCK_MAGIC_BYTES}))
		return columnar_corrupt(reader, "it does not begin like a block", err);
	struct cursor from = cursor_of(value);
	(void)cursor_take(&from, BLOCK_MAGIC_BYTES);
	uint8_t version = cursor_u8(&from);
	if (version != BLOCK_VERSION)
		return columnar_of_version(reader, version, BLOCK_VERSION, err);
	uint64_t sum = cursor_u64le(&from);
	if (sum != XXH3_64bits(from.at, cursor_left(&from)))
		return columnar_corrupt(reader, "its checksum is wrong", err);
	reader->count = cursor_u32le(&from);
	reader->parts = 1; /* what lies beside the frame */
	size_t size = cursor_u32le(&from);
	size_t frame_size = ZSTD_findFrameCompressedSize(from.at, cursor_left(&from));
	if (reader->count == 0 || reader->count > BLOCK_EVENTS_MAX || size > COLUMNAR_RAW_MAX ||
	    ZSTD_isError(frame_size) || ZSTD_getFrameContentSize(from.at, frame_size) != size)
		return columnar_corrupt(reader, "its header makes no sense", err);
	struct text frame = cursor_take(&from, frame_size);
	reader->beside = from;
	reader->content = malloc(size == 0 ? 1 : size);
	if (reader->content == NULL)
		return columnar_no_memory(reader, err);
	size_t got = ZSTD_decompress(reader->content, size, frame.data, frame.size);
	if (ZSTD_isError(got) || got != size)
		return columnar_corrupt(reader, "it does not decompress", err);
	*ret_content = cursor_of((struct text){(char *)reader->content, size});
	return OK;
}

static enum status heads_read(struct columnar_reader *reader, const struct origin *origin,
			      struct cursor from, struct error *err)
{
	enum { TEXTS = 4 };
	reader->heads = arena_alloc(reader->arena,
				    (cursor_left(&from) / TEXTS + 1) * sizeof *reader->heads);
	if (reader->heads == NULL)
		return columnar_no_memory(reader, err);
	while (cursor_left(&from) > 0 && !from.failed) {
		struct read_head head = {.topic = origin->topic, .partition = origin->partition};
		head.owner = cursor_text(&from);
		head.logsource.category = cursor_text(&from);
		head.logsource.product = cursor_text(&from);
		head.logsource.service = cursor_text(&from);
		if (!from.failed)
			reader->heads[reader->head_count++] = head;
	}
	return from.failed ? columnar_corrupt(reader, "its owners", err) : OK;
}

enum status block_columns_open(struct text key, struct text value,
			       struct columnar_reader **ret_reader, struct error *err)
{
	struct columnar_reader *reader cleanup(columnar_reader_free) = columnar_reader_new();
	if (reader == NULL)
		return error_set(err, ENOMEMORY, "no memory to open a block");
	reader->key = key;
	struct cursor from = cursor_of(key);
	struct cursor content = {0};
	struct origin origin;
	key_take_origin(&from, &origin);
	if (from.failed || cursor_left(&from) > 0)
		return columnar_corrupt(reader, "that is not the key of a block", err);
	enum status status = content_open(reader, value, &content, err);
	if (status != OK)
		return status;
	struct cursor heads = cursor_of(cursor_text(&content));
	struct cursor shapes = cursor_of(cursor_text(&content));
	if (content.failed)
		return columnar_corrupt(reader, "its sections do not add up", err);
	status = heads_read(reader, &origin, heads, err);
	if (status == OK)
		status = columnar_content_open(reader, shapes, &content, err);
	if (status == OK)
		*ret_reader = TAKE(reader);
	return status;
}

enum status block_open(struct text key, struct text value, struct block_reader **ret_reader,
		       struct error *err)
{
	struct block_reader *reader cleanup(block_reader_free) = calloc(1, sizeof *reader);
	if (reader == NULL)
		return error_set(err, ENOMEMORY, "no memory to open a block");
	enum status status = block_columns_open(key, value, &reader->columns, err);
	if (status == OK)
		*ret_reader = TAKE(reader);
	return status;
}

enum status block_next(struct block_reader *reader, struct arena *arena, struct event *ret_event,
		       bool *ret_more, struct error *err)
{
	bool more = reader->row < columnar_count(reader->columns);
	enum status status = OK;
	if (more)
		status = columnar_event(reader->columns, reader->row, arena, ret_event, err);
	if (status != OK)
		return status;
	reader->row += more;
	*ret_more = more;
	return OK;
}
