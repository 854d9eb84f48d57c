/* Finishing a merged block: the rows are sorted, the columns gathered in that order and encoded,
 * and its parts, summary and blooms go into the batch (the format is in columnar.c). */
#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "storage/bloom.h"
#include "storage/columnar_private.h"
#include "storage/summary.h"
#include "storage/term.h"

enum {
	ZSTD_LEVEL = 1,
	ZSTD_BYTES_MIN = 32, /* below it a frame is never smaller */
	BLOOM_DISTINCT_MIN = SUMMARY_ENTRIES_MAX,
	BLOOM_AVERAGE_BYTES_MAX = 128, /* longer values are prose, which nobody asks for whole */
};

/* A block while it is written. */
struct writing {
	struct columnar_builder *builder;
	struct store_batch *batch;
	struct column_encoder *encoder; /* of the press */
	ZSTD_CCtx *zstd;
	uint16_t *order; /* rows as they will stand */
	int64_t *numbers;
	struct text *texts;
	uint64_t *hashes;
	size_t capacity; /* of numbers, texts, hashes */
	int64_t *times;  /* of the rows, in order */
	struct bytes key, row_key, payload, frame, scratch;
	struct bytes directory, small, part;
	struct summary_writer summary;
	size_t stored_bytes;
	uint16_t parts;
};

static void writing_done(struct writing *writing)
{
	free(writing->order);
	free(writing->numbers);
	free(writing->texts);
	free(writing->hashes);
	free(writing->times);
	struct bytes *all[] = {&writing->key,   &writing->row_key, &writing->payload,
			       &writing->frame, &writing->scratch, &writing->directory,
			       &writing->small, &writing->part};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		bytes_done(all[i]);
	summary_writer_done(&writing->summary);
}

static int row_compare(const void *a, const void *b, void *context)
{
	const struct columnar_builder *builder = context;
	const struct build_row *x = &builder->rows[*(const uint16_t *)a];
	const struct build_row *y = &builder->rows[*(const uint16_t *)b];
	if (x->time_us != y->time_us)
		return x->time_us < y->time_us ? -1 : 1;
	if (x->head != y->head) {
		struct cursor left = cursor_of(dictionary_entry(&builder->heads, x->head));
		struct cursor right = cursor_of(dictionary_entry(&builder->heads, y->head));
		int order = text_compare(cursor_text(&left), cursor_text(&right));
		if (order != 0)
			return order;
		uint64_t here = cursor_varint(&left);
		uint64_t there = cursor_varint(&right);
		if (here != there)
			return here < there ? -1 : 1;
	}
	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	return (x->index > y->index) - (x->index < y->index);
}

static bool rows_sort(struct writing *writing)
{
	struct columnar_builder *builder = writing->builder;
	writing->order = calloc(builder->count, sizeof *writing->order);
	writing->times = calloc(builder->count, sizeof *writing->times);
	if (writing->order == NULL || writing->times == NULL)
		return false;
	bool sorted = true;
	for (size_t i = 0; i < builder->count; i++) {
		writing->order[i] = (uint16_t)i;
		sorted = sorted && (i == 0 || row_compare(&writing->order[i - 1],
							  &writing->order[i], builder) <= 0);
	}
	if (!sorted)
		qsort_r(writing->order, builder->count, sizeof *writing->order, row_compare,
			builder);
	for (size_t i = 0; i < builder->count; i++)
		writing->times[i] = builder->rows[writing->order[i]].time_us;
	return true;
}

/* For each column the numbers of its values in the order of the sorted rows; row by row in
 * builder->places the numbers are those of the unsorted ones. The caller frees it. */
static uint32_t *values_order(const struct writing *writing, size_t *starts)
{
	struct columnar_builder *builder = writing->builder;
	size_t total = builder->place_count;
	uint32_t *order = malloc((total + 1) * sizeof *order);
	size_t *next = malloc((builder->column_count + 1) * sizeof *next);
	size_t at = 0;
	for (size_t i = 0; order != NULL && next != NULL && i < builder->column_count; i++) {
		starts[i] = next[i] = at;
		at += builder->columns[i].count;
	}
	for (size_t i = 0; order != NULL && next != NULL && i < builder->count; i++) {
		const struct build_row *row = &builder->rows[writing->order[i]];
		struct cursor shape = cursor_of(dictionary_entry(&builder->shapes, row->shape));
		size_t count = cursor_varint(&shape);
		for (size_t k = 0; k < count; k++)
			order[next[cursor_varint(&shape)]++] =
				builder->places[row->first_place + k];
	}
	if (next == NULL) {
		free(order);
		order = NULL;
	}
	free(next);
	return order;
}

static bool values_reserve(struct writing *writing, size_t count)
{
	if (count <= writing->capacity)
		return true;
	free(writing->numbers);
	free(writing->texts);
	free(writing->hashes);
	writing->numbers = malloc(count * sizeof *writing->numbers);
	writing->texts = malloc(count * sizeof *writing->texts);
	writing->hashes = malloc(count * sizeof *writing->hashes);
	writing->capacity = count;
	return writing->numbers != NULL && writing->texts != NULL && writing->hashes != NULL;
}

/* Appends u32 size, u8 codec and the bytes, compressed when that is smaller. */
static bool frame_put(struct writing *writing, struct text bytes, struct bytes *to)
{
	struct bytes *frame = &writing->frame;
	size_t size = bytes.size;
	bytes_put_u32le(to, (uint32_t)bytes.size);
	if (bytes.size >= ZSTD_BYTES_MIN) {
		size_t bound = ZSTD_compressBound(bytes.size);
		bytes_clear(frame);
		if (!bytes_reserve(frame, bound))
			return false;
		size = ZSTD_compressCCtx(writing->zstd, frame->data, bound, bytes.data, bytes.size,
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

static void row_put(struct writing *writing, enum store_family family, struct text key,
		    struct text value)
{
	store_batch_put(writing->batch, family, key, value);
	writing->stored_bytes += key.size + value.size;
}

static bool part_put(struct writing *writing, uint16_t part, struct text value)
{
	struct bytes *key = &writing->row_key;
	bytes_clear(key);
	bytes_put(key, writing->key.data, writing->key.size);
	bytes_put_u8(key, (uint8_t)(part >> 8));
	bytes_put_u8(key, (uint8_t)part);
	if (key->failed)
		return false;
	row_put(writing, FAMILY_BLOCK, bytes_text(key), value);
	return true;
}

/* A column that is encoded: into a part of its own or among the small ones. */
static bool column_put(struct writing *writing, struct text name, enum column_tag tag, size_t count)
{
	struct bytes *directory = &writing->directory;
	bool own = writing->payload.size >= PART_BYTES_MIN;
	bytes_put_text(directory, name);
	bytes_put_u8(directory, (uint8_t)tag);
	bytes_put_varint(directory, count);
	bytes_put_varint(directory, own ? ++writing->parts : 0u);
	bytes_put_varint(directory, writing->payload.size);
	if (!own) {
		bytes_put(&writing->small, writing->payload.data, writing->payload.size);
		return !writing->small.failed && !directory->failed;
	}
	bytes_clear(&writing->part);
	bytes_put_u64le(&writing->part, 0);
	if (!frame_put(writing, bytes_text(&writing->payload), &writing->part))
		return false;
	uint64_t sum =
		XXH3_64bits(writing->part.data + sizeof sum, writing->part.size - sizeof sum);
	for (unsigned i = 0; i < sizeof sum; i++)
		writing->part.data[i] = (unsigned char)(sum >> (8 * i));
	return part_put(writing, writing->parts, bytes_text(&writing->part)) && !directory->failed;
}

static int64_t system_value(enum system_column column, const struct build_row *row,
			    int64_t *last_offsets)
{
	switch (column) {
	case SYSTEM_HEAD:
		return row->head;
	case SYSTEM_SHAPE:
		return row->shape;
	case SYSTEM_TIME:
		return row->time_us;
	case SYSTEM_RECORD_TIME:
		return (int64_t)((uint64_t)row->record_time_us - (uint64_t)row->time_us);
	case SYSTEM_OFFSET: {
		uint64_t before = (uint64_t)last_offsets[row->head];
		last_offsets[row->head] = row->offset;
		return (int64_t)((uint64_t)row->offset - before);
	}
	case SYSTEM_INDEX:
		return row->index;
	case SYSTEM_QUALITY:
		return row->quality;
	case SYSTEM_COUNT:
		break;
	}
	assert(false && "not a column of every row");
}

static bool system_columns_put(struct writing *writing)
{
	struct columnar_builder *builder = writing->builder;
	int64_t *last_offsets = calloc(builder->heads.count, sizeof *last_offsets);
	bool good = last_offsets != NULL && values_reserve(writing, builder->count);
	for (int column = 0; good && column < SYSTEM_COUNT; column++) {
		for (size_t i = 0; i < builder->count; i++)
			writing->numbers[i] =
				system_value((enum system_column)column,
					     &builder->rows[writing->order[i]], last_offsets);
		bytes_clear(&writing->payload);
		integers_put(&writing->payload, writing->numbers, builder->count);
		good = !writing->payload.failed &&
		       column_put(writing, TEXT(""), COLUMN_INTEGER, builder->count);
	}
	free(last_offsets);
	return good;
}

/* The values of a column into writing->numbers and texts. */
static void values_gather(struct writing *writing, const struct build_column *column,
			  const uint32_t *order)
{
	const char *texts = (const char *)writing->builder->texts.data;
	unsigned wide = cells_of(column->tag);
	for (size_t i = 0; i < column->count && wide > 0; i++) {
		const union cell *cell = &column->cells[(size_t)order[i] * wide];
		if (column->tag != COLUMN_STRING)
			writing->numbers[i] = cell->number;
		if (column->tag == COLUMN_STRING || wide == 2) {
			const union cell *text = cell + wide - 1;
			writing->texts[i] = (struct text){
				text->text.size == 0 ? "" : texts + text->text.at, text->text.size};
		}
	}
}

/* The bloom of a column of texts: one hash for each different one, as far as we know. */
static bool bloom_of_column(struct writing *writing, const struct build_column *column,
			    const struct column_content *content)
{
	bool few = content->entry_count > 0;
	size_t count = few ? content->entry_count : content->count;
	const struct text *texts = few ? content->entries : content->texts;
	for (size_t i = 0; i < count; i++)
		if (!term_hash(column->id, texts[i], &writing->scratch, &writing->hashes[i]))
			return false;
	bytes_clear(&writing->part);
	bytes_clear(&writing->row_key);
	bloom_put(&writing->part, writing->hashes, count);
	bloom_key(column->name, bytes_text(&writing->key), &writing->row_key);
	if (writing->part.failed || writing->row_key.failed)
		return false;
	row_put(writing, FAMILY_BLOCKMETA, bytes_text(&writing->row_key),
		bytes_text(&writing->part));
	return true;
}

static bool is_prose(enum field_id id)
{
	return id == FIELD_MESSAGE || id == FIELD_ERROR_MESSAGE || id == FIELD_ERROR_STACK_TRACE ||
	       id == FIELD_TIMESTAMP;
}

/* Names that were chosen to share a hash may have got two columns (dictionary_private.h), and one
 * name has one bloom. */
static bool has_twin(const struct columnar_builder *builder, const struct build_column *column)
{
	if (column->id != FIELD_OTHER)
		return false;
	for (const struct build_column *at = builder->columns; at < column; at++)
		if (at->tag == column->tag && text_equal(at->name, column->name))
			return true;
	return false;
}

static enum summary_kind summary_kind_of(const struct columnar_builder *builder,
					 const struct build_column *column,
					 const struct column_content *content)
{
	if (column->tag == COLUMN_INTEGER)
		return SUMMARY_NUMBERS;
	if (column->tag != COLUMN_STRING)
		return SUMMARY_PRESENT;
	size_t entry_bytes = 0;
	for (size_t i = 0; i < content->entry_count; i++)
		entry_bytes += content->entries[i].size;
	if (content->entry_count > 0 && content->entry_count <= SUMMARY_ENTRIES_MAX &&
	    entry_bytes <= SUMMARY_ENTRY_BYTES_MAX)
		return SUMMARY_ENTRIES;
	size_t bytes = 0;
	for (size_t i = 0; i < content->count; i++)
		bytes += content->texts[i].size;
	bool many = content->entry_count == 0 || content->entry_count > BLOOM_DISTINCT_MIN;
	if (many && !is_prose(column->id) && bytes / content->count <= BLOOM_AVERAGE_BYTES_MAX &&
	    !has_twin(builder, column))
		return SUMMARY_BLOOM;
	return SUMMARY_PRESENT;
}

static enum value_type type_of_tag(enum column_tag tag)
{
	static const enum value_type types[COLUMN_TAG_COUNT] = {
		[COLUMN_NULL] = VALUE_NULL,          [COLUMN_EMPTY] = VALUE_EMPTY,
		[COLUMN_BOOLEAN] = VALUE_BOOLEAN,    [COLUMN_INTEGER] = VALUE_INTEGER,
		[COLUMN_INTEGER_AS] = VALUE_INTEGER, [COLUMN_REAL] = VALUE_REAL,
		[COLUMN_STRING] = VALUE_STRING,
	};
	return types[tag];
}

static bool summary_column_of(struct writing *writing, const struct build_column *column,
			      const struct column_content *content)
{
	struct summary_column row = {.name = column->name,
				     .type = type_of_tag(column->tag),
				     .kind = summary_kind_of(writing->builder, column, content),
				     .entry_count = content->entry_count};
	if (row.kind == SUMMARY_NUMBERS) {
		row.smallest = row.largest = content->numbers[0];
		for (size_t i = 1; i < content->count; i++) {
			int64_t number = content->numbers[i];
			row.smallest = number < row.smallest ? number : row.smallest;
			row.largest = number > row.largest ? number : row.largest;
		}
	}
	summary_put_column(&writing->summary, &row, content->entries);
	return row.kind != SUMMARY_BLOOM || bloom_of_column(writing, column, content);
}

static bool columns_put(struct writing *writing)
{
	struct columnar_builder *builder = writing->builder;
	size_t *starts = calloc(builder->column_count + 1, sizeof *starts);
	uint32_t *order = starts == NULL ? NULL : values_order(writing, starts);
	bool good = order != NULL;
	for (size_t i = 0; good && i < builder->column_count; i++) {
		const struct build_column *column = &builder->columns[i];
		/* The dictionary of names may leave a column without a value behind. */
		if (column->count == 0) {
			bytes_clear(&writing->payload);
			good = column_put(writing, column->name, column->tag, 0);
			continue;
		}
		good = values_reserve(writing, column->count);
		if (!good)
			break;
		values_gather(writing, column, order + starts[i]);
		struct column_content content = {.tag = column->tag,
						 .count = column->count,
						 .numbers = writing->numbers,
						 .texts = writing->texts};
		bytes_clear(&writing->payload);
		good = column_encode(writing->encoder, &content, writing->times, builder->count,
				     &writing->payload) &&
		       column_put(writing, column->name, column->tag, column->count) &&
		       summary_column_of(writing, column, &content);
	}
	free(order);
	free(starts);
	return good;
}

/* Part 0, when all columns are in the directory. */
static bool first_part_put(struct writing *writing)
{
	struct columnar_builder *builder = writing->builder;
	struct bytes *content = &writing->payload;
	bytes_clear(content);
	bytes_put_text(content, bytes_text(&builder->owner));
	bytes_put_text(content, bytes_text(&builder->heads.entries));
	bytes_put_text(content, bytes_text(&builder->shapes.entries));
	bytes_put_varint(content, SYSTEM_COUNT + builder->column_count);
	bytes_put(content, writing->directory.data, writing->directory.size);
	bytes_put(content, writing->small.data, writing->small.size);
	struct bytes *part = &writing->part;
	bytes_clear(part);
	bytes_put(part, COLUMNAR_MAGIC, 3);
	bytes_put_u8(part, COLUMNAR_VERSION);
	bytes_put_u64le(part, 0);
	bytes_put_u32le(part, (uint32_t)builder->count);
	bytes_put_u8(part, (uint8_t)writing->parts);
	bytes_put_u8(part, (uint8_t)(writing->parts >> 8));
	if (content->failed || content->size > COLUMNAR_RAW_MAX ||
	    !frame_put(writing, bytes_text(content), part))
		return false;
	uint64_t sum = XXH3_64bits(part->data + 12, part->size - 12);
	for (unsigned i = 0; i < sizeof sum; i++)
		part->data[4 + i] = (unsigned char)(sum >> (8 * i));
	return part_put(writing, 0, bytes_text(part));
}

static struct origin origin_of(const struct columnar_builder *builder, const struct build_row *row)
{
	struct cursor head = cursor_of(dictionary_entry(&builder->heads, row->head));
	struct text topic = cursor_text(&head);
	return (struct origin){topic, (int32_t)cursor_varint(&head), row->index, row->offset};
}

/* The ranges of offsets of each head; heads that differ in the log source only are joined later by
 * nobody: a range too many is harmless. */
static bool ranges_put(struct writing *writing)
{
	struct columnar_builder *builder = writing->builder;
	struct summary_range *ranges = calloc(builder->heads.count, sizeof *ranges);
	if (ranges == NULL)
		return false;
	for (size_t i = 0; i < builder->count; i++) {
		const struct build_row *row = &builder->rows[i];
		struct summary_range *range = &ranges[row->head];
		struct origin origin = origin_of(builder, row);
		bool first = range->topic.data == NULL;
		range->topic = origin.topic;
		range->partition = origin.partition;
		if (first || row->offset < range->first_offset)
			range->first_offset = row->offset;
		if (first || row->offset > range->last_offset)
			range->last_offset = row->offset;
	}
	for (size_t i = 0; i < builder->heads.count; i++)
		if (ranges[i].topic.data != NULL)
			summary_put_range(&writing->summary, &ranges[i]);
	free(ranges);
	return true;
}

static uint32_t rows_hash(const struct writing *writing)
{
	uint64_t hash = writing->builder->count;
	for (size_t i = 0; i < writing->builder->count; i++) {
		const struct build_row *row = &writing->builder->rows[writing->order[i]];
		const uint64_t place[] = {hash, (uint64_t)row->time_us, (uint64_t)row->offset,
					  row->index};
		hash = XXH3_64bits(place, sizeof place);
	}
	return (uint32_t)hash;
}

static bool key_make(struct writing *writing)
{
	const struct columnar_builder *builder = writing->builder;
	const struct build_row *first = &builder->rows[writing->order[0]];
	struct columnar_key key = {
		.class = builder->class,
		.day = builder->day,
		.owner = bytes_text(&builder->owner),
		.first_time_us = first->time_us,
		.first = origin_of(builder, first),
		.rows_hash = rows_hash(writing),
	};
	columnar_key_encode(&key, &writing->key);
	return !writing->key.failed;
}

static bool block_put(struct writing *writing)
{
	const struct columnar_builder *builder = writing->builder;
	if (!rows_sort(writing) || !key_make(writing) || !ranges_put(writing) ||
	    !system_columns_put(writing) || !columns_put(writing) || !first_part_put(writing))
		return false;
	struct summary head = {
		.event_count = (uint32_t)builder->count,
		.first_time_us = writing->times[0],
		.last_time_us = writing->times[builder->count - 1],
		.stored_bytes = writing->stored_bytes,
	};
	bytes_clear(&writing->payload);
	summary_finish(&writing->summary, &head, &writing->payload);
	if (writing->payload.failed)
		return false;
	store_batch_put(writing->batch, FAMILY_BLOCKMETA, bytes_text(&writing->key),
			bytes_text(&writing->payload));
	return true;
}

struct columnar_press {
	struct column_encoder *encoder;
	ZSTD_CCtx *zstd;
};

struct columnar_press *columnar_press_new(void)
{
	struct columnar_press *press = calloc(1, sizeof *press);
	if (press == NULL)
		return NULL;
	press->encoder = column_encoder_new();
	press->zstd = ZSTD_createCCtx();
	if (press->encoder == NULL || press->zstd == NULL)
		columnar_press_free(&press);
	return press;
}

void columnar_press_free(struct columnar_press **press)
{
	struct columnar_press *gone = *press;
	if (gone == NULL)
		return;
	column_encoder_free(&gone->encoder);
	(void)ZSTD_freeCCtx(gone->zstd);
	free(gone);
	*press = NULL;
}

enum status columnar_finish(struct columnar_builder *builder, struct columnar_press *press,
			    struct store_batch *batch, struct error *err)
{
	assert(builder->count > 0);
	struct writing writing cleanup(writing_done) = {
		.builder = builder, .batch = batch, .encoder = press->encoder, .zstd = press->zstd};
	if (!block_put(&writing))
		return error_set(err, ENOMEMORY, "no memory for a merged block of %zu events",
				 builder->count);
	columnar_builder_clear(builder);
	return OK;
}
