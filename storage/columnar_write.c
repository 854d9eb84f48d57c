/* Writing a merged block: rows of a table, which are in order, become columns; those are encoded,
 * and parts, summary and blooms go into the batch (the format is in columnar.c).
 *
 * A block numbers its own heads, shapes, columns and texts from 0, in the order in which its rows
 * need them. Such a numbering is undone by walking over what the block used, so that a block of ten
 * rows never pays for a table of a thousand columns. */
#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "storage/columnar_writer_private.h"

/* Room for `count` items, whatever was in it before may be lost. */
static bool room_make(void *array, size_t *capacity, size_t count, size_t size)
{
	if (count <= *capacity)
		return true;
	void *old = NULL;
	memcpy(&old, array, sizeof old);
	free(old);
	count += count / 2;
	void *made = malloc(count * size);
	*capacity = made == NULL ? 0 : count;
	memcpy(array, &made, sizeof made);
	return made != NULL;
}

/* Room for a numbering of `count` things, of which a block uses at most `used`. */
static bool numbering_begin(struct numbering *numbering, size_t count, size_t used)
{
	if (count > numbering->own_capacity) {
		uint32_t *grown = realloc(numbering->own, 2 * count * sizeof *grown);
		if (grown == NULL)
			return false;
		memset(grown + numbering->own_capacity, 0,
		       (2 * count - numbering->own_capacity) * sizeof *grown);
		numbering->own = grown;
		numbering->own_capacity = 2 * count;
	}
	return room_make(&numbering->used, &numbering->used_capacity, used < count ? used : count,
			 sizeof *numbering->used);
}

static uint32_t number_of(struct numbering *numbering, uint32_t of)
{
	if (numbering->own[of] == 0) {
		numbering->used[numbering->count++] = of;
		numbering->own[of] = (uint32_t)numbering->count;
	}
	return numbering->own[of] - 1;
}

static void numbering_end(struct numbering *numbering)
{
	for (size_t i = 0; i < numbering->count; i++)
		numbering->own[numbering->used[i]] = 0;
	numbering->count = 0;
}

struct press *press_new(void)
{
	struct press *press = calloc(1, sizeof *press);
	if (press == NULL)
		return NULL;
	press->encoder = column_encoder_new();
	press->zstd = ZSTD_createCCtx();
	if (press->encoder == NULL || press->zstd == NULL)
		press_free(&press);
	return press;
}

void press_free(struct press **press)
{
	struct press *gone = *press;
	if (gone == NULL)
		return;
	column_encoder_free(&gone->encoder);
	(void)ZSTD_freeCCtx(gone->zstd);
	struct numbering *numberings[] = {&gone->heads, &gone->shapes, &gone->columns,
					  &gone->choices};
	for (size_t i = 0; i < sizeof numberings / sizeof *numberings; i++) {
		free(numberings[i]->own);
		free(numberings[i]->used);
	}
	void *arrays[] = {gone->ends,   gone->order,     gone->times, gone->numbers,
			  gone->texts,  gone->entries,   gone->codes, gone->hashes,
			  gone->packed, gone->shape_rows};
	for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
		free(arrays[i]);
	struct bytes *all[] = {&gone->key,   &gone->row_key, &gone->payload,
			       &gone->frame, &gone->scratch, &gone->directory,
			       &gone->small, &gone->part,    &gone->digits};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		bytes_done(all[i]);
	summary_writer_done(&gone->summary);
	free(gone);
	*press = NULL;
}

struct origin table_origin(const struct columnar_table *table, const struct table_row *row)
{
	struct cursor head = cursor_of(dictionary_entry(&table->heads, row->head));
	struct text topic = cursor_text(&head);
	return (struct origin){topic, (int32_t)cursor_varint(&head), row->index, row->offset};
}

/* Numbers what the rows use, as far as one block may hold them: writing->count may become smaller.
 * press->ends become the numbers of values of each column. */
static void rows_number(struct writing *writing)
{
	const struct columnar_table *table = writing->table;
	struct press *press = writing->press;
	size_t bytes = 0;
	for (size_t i = 0; i < writing->count; i++) {
		const struct table_row *row = &table->rows[writing->rows[i]];
		const struct table_shape *shape = &table->shape_list[row->shape];
		bool is_new = press->shapes.own[row->shape] == 0;
		bytes += row->bytes;
		if (i > 0 && (bytes > BLOCK_BYTES_MAX ||
			      (is_new && press->columns.count + shape->count > COLUMNS_MAX))) {
			writing->count = i;
			break;
		}
		(void)number_of(&press->heads, row->head);
		uint32_t number = number_of(&press->shapes, row->shape);
		for (size_t k = 0; is_new && k < shape->count; k++)
			(void)number_of(&press->columns, table->shape_columns[shape->start + k]);
		press->shape_rows[number] = is_new ? 1 : press->shape_rows[number] + 1;
	}
	memset(press->ends, 0, press->columns.count * sizeof *press->ends);
	for (size_t i = 0; i < press->shapes.count; i++) {
		const struct table_shape *shape = &table->shape_list[press->shapes.used[i]];
		for (size_t k = 0; k < shape->count; k++) {
			uint32_t column = table->shape_columns[shape->start + k];
			press->ends[press->columns.own[column] - 1] += press->shape_rows[i];
		}
	}
}

/* Column by column the values of the rows, of columns that are not full; press->ends become ends.
 */
static bool values_order(struct writing *writing)
{
	const struct columnar_table *table = writing->table;
	struct press *press = writing->press;
	size_t total = 0;
	for (size_t i = 0; i < press->columns.count; i++) {
		size_t count = press->ends[i];
		press->ends[i] = total; /* begins, until the values are there */
		total += table->columns[press->columns.used[i]].full ? 0 : count;
	}
	if (!room_make(&press->order, &press->order_capacity, total + 1, sizeof *press->order))
		return false;
	for (size_t i = 0; total > 0 && i < writing->count; i++) {
		const struct table_row *row = &table->rows[writing->rows[i]];
		const struct table_shape *shape = &table->shape_list[row->shape];
		const uint32_t *place = table->places + row->first_place;
		for (size_t k = 0; k < shape->count; k++) {
			uint32_t column = table->shape_columns[shape->start + k];
			if (!table->columns[column].full)
				press->order[press->ends[press->columns.own[column] - 1]++] =
					*place++;
		}
	}
	return true;
}

bool press_reserve(struct press *press, size_t count)
{
	if (count <= press->capacity)
		return true;
	size_t capacities[6] = {0};
	bool good = room_make(&press->numbers, &capacities[0], count, sizeof *press->numbers) &&
		    room_make(&press->texts, &capacities[1], count, sizeof *press->texts) &&
		    room_make(&press->entries, &capacities[2], count, sizeof *press->entries) &&
		    room_make(&press->codes, &capacities[3], count, sizeof *press->codes) &&
		    room_make(&press->hashes, &capacities[4], count, sizeof *press->hashes) &&
		    room_make(&press->packed, &capacities[5], count, sizeof *press->packed);
	press->capacity = good ? capacities[0] : 0;
	return good;
}

/* Heads and shapes by the numbers of the block, offsets as steps from the row before with the same
 * head. */
static void system_numbers_take(struct writing *writing, enum system_column column,
				int64_t *last_offsets)
{
	struct press *press = writing->press;
	int64_t *numbers = press->numbers;
	const struct numbering *own = column == SYSTEM_HEAD ? &press->heads : &press->shapes;
	bool numbered = column == SYSTEM_HEAD || column == SYSTEM_SHAPE;
	table_system_take(writing->table, writing->rows, writing->count, column, numbers);
	for (size_t i = 0; numbered && i < writing->count; i++)
		numbers[i] = own->own[numbers[i]] - 1;
	for (size_t i = 0; column == SYSTEM_OFFSET && i < writing->count; i++) {
		uint32_t head = press->heads.own[writing->table->rows[writing->rows[i]].head] - 1;
		int64_t offset = numbers[i];
		numbers[i] = (int64_t)((uint64_t)offset - (uint64_t)last_offsets[head]);
		last_offsets[head] = offset;
	}
}

static bool system_columns_put(struct writing *writing)
{
	struct press *press = writing->press;
	int64_t *last_offsets = calloc(press->heads.count, sizeof *last_offsets);
	bool good = last_offsets != NULL && press_reserve(press, writing->count);
	for (int column = 0; good && column < SYSTEM_COUNT; column++) {
		system_numbers_take(writing, (enum system_column)column, last_offsets);
		bytes_clear(&press->payload);
		integers_put(&press->payload, press->numbers, writing->count);
		good = part_put_column(writing, TEXT(""), COLUMN_INTEGER, writing->count);
	}
	free(last_offsets);
	return good;
}

/* The texts of a coded column as numbers of those that the block uses. False: out of memory. */
static bool choices_number(struct press *press, const struct table_column *column,
			   const uint32_t *order, struct column_content *content)
{
	if (!numbering_begin(&press->choices, column->choices.count, content->count))
		return false;
	for (size_t i = 0; i < content->count; i++)
		press->codes[i] = (uint16_t)number_of(&press->choices, column->codes[order[i]]);
	size_t count = press->choices.count;
	for (size_t i = 0; i < count; i++)
		press->entries[i] = dictionary_entry(&column->choices, press->choices.used[i]);
	content->codes = press->codes;
	content->entries = press->entries;
	content->entry_count = count;
	return true;
}

/* Texts, some of them packed, as digits: all of them in press->scratch. */
static bool texts_unpack(struct press *press, const bool *packed, size_t count)
{
	size_t size = 0;
	bytes_clear(&press->digits);
	for (size_t i = 0; i < count; i++)
		size += packed[i] ? 2 * press->texts[i].size : 0;
	if (!bytes_reserve(&press->digits, size + 1))
		return false;
	char *to = (char *)press->digits.data;
	for (size_t i = 0; i < count; i++) {
		if (!packed[i])
			continue;
		struct text bytes = press->texts[i];
		press->texts[i] = (struct text){to, 2 * bytes.size};
		to = hex_unpack(bytes, to);
	}
	return true;
}

/* Ids are packed as a rule, and all of one size: they stay so. */
static bool texts_gather(struct writing *writing, const struct table_column *column,
			 const uint32_t *order, struct column_content *content)
{
	struct press *press = writing->press;
	size_t packed_count = 0;
	bool same = true;
	for (size_t i = 0; i < content->count; i++) {
		press->texts[i] = table_text(writing->table, column, order[i], &press->packed[i]);
		packed_count += press->packed[i];
		same = same && press->texts[i].size == press->texts[0].size;
	}
	bool fits = same && 2 * press->texts[0].size <= HEX_TEXT_MAX;
	if (packed_count == content->count && fits)
		content->packed_bytes = press->texts[0].size;
	else if (packed_count > 0)
		return texts_unpack(press, press->packed, content->count);
	return true;
}

/* The values of a column in their order. */
static bool content_gather(struct writing *writing, const struct table_column *column,
			   const uint32_t *order, struct column_content *content)
{
	struct press *press = writing->press;
	bool numbers = column->tag >= COLUMN_BOOLEAN && column->tag <= COLUMN_REAL;
	for (size_t i = 0; numbers && i < content->count; i++)
		press->numbers[i] = column->numbers[order[i]];
	if (column->coded && content->count <= DICTIONARY_ENTRIES_MAX)
		return choices_number(press, column, order, content);
	return column->tag < COLUMN_INTEGER_AS || texts_gather(writing, column, order, content);
}

static bool column_write(struct writing *writing, struct table_column *column,
			 const uint32_t *order, size_t count)
{
	struct press *press = writing->press;
	if (!press_reserve(press, count))
		return false;
	struct column_content content = {.tag = column->tag,
					 .count = count,
					 .numbers = press->numbers,
					 .texts = press->texts};
	bytes_clear(&press->payload);
	bool good = content_gather(writing, column, order, &content) &&
		    column_encode(press->encoder, &content, press->times, writing->count,
				  &press->payload) &&
		    part_put_column(writing, column->name, column->tag, count) &&
		    summary_put_content(writing, column, &content);
	numbering_end(&press->choices);
	return good;
}

static bool columns_put(struct writing *writing)
{
	struct press *press = writing->press;
	size_t begin = 0;
	for (size_t i = 0; i < press->columns.count; i++) {
		struct table_column *column = &writing->table->columns[press->columns.used[i]];
		size_t end = press->ends[i];
		const uint32_t *order = column->full ? writing->rows : press->order + begin;
		size_t count = column->full ? writing->count : end - begin;
		if (!column_write(writing, column, order, count))
			return false;
		begin = end;
	}
	return true;
}

bool press_times_take(struct press *press, const struct columnar_table *table, const uint32_t *rows,
		      size_t count)
{
	if (!room_make(&press->times, &press->times_capacity, count, sizeof *press->times))
		return false;
	table_system_take(table, rows, count, SYSTEM_TIME, press->times);
	return true;
}

static uint32_t rows_hash(const struct writing *writing)
{
	uint64_t hash = writing->count;
	for (size_t i = 0; i < writing->count; i++) {
		const struct table_row *row = &writing->table->rows[writing->rows[i]];
		const uint64_t place[] = {hash, (uint64_t)row->time_us, (uint64_t)row->offset,
					  row->index};
		hash = XXH3_64bits(place, sizeof place);
	}
	return (uint32_t)hash;
}

static bool key_make(struct writing *writing)
{
	const struct columnar_table *table = writing->table;
	const struct table_row *first = &table->rows[writing->rows[0]];
	struct cursor group = cursor_of(dictionary_entry(&table->groups, first->group));
	struct columnar_key key = {
		.class = (enum data_class)cursor_u8(&group),
		.day = (int64_t)cursor_be64(&group),
		.first_time_us = first->time_us,
		.first = table_origin(table, first),
		.rows_hash = rows_hash(writing),
	};
	key.owner = cursor_take(&group, cursor_left(&group));
	bytes_clear(&writing->press->key);
	columnar_key_encode(&key, &writing->press->key);
	return !writing->press->key.failed;
}

static bool block_put(struct writing *writing)
{
	const struct columnar_table *table = writing->table;
	struct press *press = writing->press;
	if (!numbering_begin(&press->heads, table->heads.count, writing->count) ||
	    !numbering_begin(&press->shapes, table->shapes.count, writing->count) ||
	    !numbering_begin(&press->columns, table->column_count,
			     COLUMNS_MAX + EVENT_FIELDS_MAX) ||
	    !room_make(&press->shape_rows, &press->shape_rows_capacity, writing->count,
		       sizeof *press->shape_rows) ||
	    !room_make(&press->ends, &press->ends_capacity, table->column_count + 1,
		       sizeof *press->ends))
		return false;
	rows_number(writing);
	return press_times_take(press, table, writing->rows, writing->count) &&
	       values_order(writing) && key_make(writing) && summary_put_ranges(writing) &&
	       system_columns_put(writing) && columns_put(writing) && part_put_first(writing) &&
	       summary_put_row(writing);
}

enum status columnar_write(struct columnar_table *table, const uint32_t *rows, size_t *count,
			   struct store_batch *batch, struct error *err)
{
	assert(*count > 0 && *count <= BLOCK_EVENTS_MAX);
	struct press *press = table->press;
	struct writing writing = {
		.table = table, .press = press, .rows = rows, .count = *count, .batch = batch};
	bytes_clear(&press->directory);
	bytes_clear(&press->small);
	summary_writer_clear(&press->summary);
	bool good = block_put(&writing);
	numbering_end(&press->heads);
	numbering_end(&press->shapes);
	numbering_end(&press->columns);
	if (!good)
		return error_set(err, ENOMEMORY, "no memory for a merged block of %zu events",
				 writing.count);
	*count = writing.count;
	return OK;
}
