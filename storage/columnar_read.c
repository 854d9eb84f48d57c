/* What a merged block gives out: values of columns, and whole events. Where the values of a row
 * begin in a column is a running sum over the shapes of the rows, made with the column. */
#include <assert.h>
#include <stdlib.h>

#include "storage/block_private.h"
#include "storage/columnar_reader_private.h"

size_t columnar_count(const struct columnar_reader *reader)
{
	return reader->count;
}

size_t columnar_bytes_read(const struct columnar_reader *reader)
{
	return reader->bytes_read;
}

size_t columnar_columns_read(const struct columnar_reader *reader)
{
	return reader->columns_read;
}

size_t columnar_column_count(const struct columnar_reader *reader)
{
	return reader->column_count;
}

struct column_info columnar_column(const struct columnar_reader *reader, size_t column)
{
	assert(column < reader->column_count);
	return reader->columns[column].info;
}

static bool integers_print(struct arena *arena, const struct column_content *content,
			   struct value *values)
{
	char *to = arena_alloc(arena, content->count * INTEGER_PRINT_BYTES + 1);
	for (size_t i = 0; to != NULL && i < content->count; i++) {
		values[i].text = (struct text){to, integer_print(content->numbers[i], to)};
		to += values[i].text.size;
	}
	return to != NULL;
}

/* The decoded content as values; false: out of memory. */
static bool values_make(struct columnar_reader *reader, struct read_column *column)
{
	const struct column_content *content = &column->content;
	bool coded = column->tag == COLUMN_STRING && content->entry_count > 0;
	size_t count = coded ? content->entry_count : content->count;
	const struct text *texts = coded ? content->entries : content->texts;
	struct value *values = arena_alloc(reader->arena, (count + 1) * sizeof *values);
	if (values == NULL)
		return false;
	for (size_t i = 0; i < count; i++) {
		values[i].type = column->info.type;
		if (texts != NULL)
			values[i].text = texts[i];
		if (column->tag == COLUMN_REAL)
			memcpy(&values[i].real, &content->numbers[i], sizeof values[i].real);
		else if (column->info.type == VALUE_INTEGER)
			values[i].integer = content->numbers[i];
		if (column->tag != COLUMN_BOOLEAN)
			continue;
		values[i].boolean = content->numbers[i] != 0;
		values[i].text = values[i].boolean ? TEXT("true") : TEXT("false");
	}
	if (column->tag == COLUMN_INTEGER && !integers_print(reader->arena, content, values))
		return false;
	column->values = coded ? (struct column_values){NULL, content->codes, values, count}
			       : (struct column_values){values, NULL, NULL, 0};
	return true;
}

/* Where the values of each row begin. */
static bool starts_make(struct columnar_reader *reader, struct read_column *column)
{
	const int64_t *shapes = reader->system[SYSTEM_SHAPE].content.numbers;
	bool all = column->use_count == reader->shape_count;
	for (size_t i = 1; i < column->use_count; i++)
		all = all && column->uses[i].count == column->uses[0].count;
	if (all && column->use_count > 0) {
		column->fixed = column->uses[0].count;
		return true;
	}
	uint32_t *counts = calloc(reader->shape_count + 1, sizeof *counts);
	column->starts = arena_alloc(reader->arena, (reader->count + 1) * sizeof(uint32_t));
	if (counts == NULL || column->starts == NULL) {
		free(counts);
		return false;
	}
	for (size_t i = 0; i < column->use_count; i++)
		counts[column->uses[i].shape] = column->uses[i].count;
	for (size_t i = 0; i < reader->count; i++)
		column->starts[i + 1] = column->starts[i] + counts[shapes[i]];
	free(counts);
	return true;
}

enum status columnar_values(struct columnar_reader *reader, size_t number,
			    struct column_values *ret_values, struct error *err)
{
	assert(number < reader->column_count);
	struct read_column *column = &reader->columns[number];
	if (!column->loaded) {
		const int64_t *times = reader->system[SYSTEM_TIME].content.numbers;
		enum status status = OK;
		if (column->info.value_count > 0)
			status = column_load(reader, column, times, err);
		if (status != OK)
			return status;
		if (!values_make(reader, column) || !starts_make(reader, column))
			return columnar_no_memory(reader, err);
		column->loaded = true;
	}
	*ret_values = column->values;
	return OK;
}

size_t columnar_row_values(const struct columnar_reader *reader, size_t row, size_t number)
{
	const struct read_column *column = &reader->columns[number];
	assert(column->loaded && row < reader->count);
	return column->starts == NULL ? column->fixed
				      : column->starts[row + 1] - column->starts[row];
}

int64_t columnar_time(const struct columnar_reader *reader, size_t row)
{
	assert(row < reader->count);
	return reader->system[SYSTEM_TIME].content.numbers[row];
}

/* Offsets are differences to the row before with the same head. */
static enum status offsets_load(struct columnar_reader *reader, const int64_t *heads,
				struct error *err)
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
		last[heads[i]] = offsets[i];
		if (offsets[i] < 0)
			status = columnar_corrupt(reader, "the offset of a row", err);
	}
	free(last);
	if (status == OK)
		reader->offsets = offsets;
	return status;
}

enum status columnar_head(struct columnar_reader *reader, size_t row, struct event *ret_event,
			  struct error *err)
{
	const int64_t *heads = NULL;
	const int64_t *record_times = NULL;
	const int64_t *indices = NULL;
	const int64_t *qualities = NULL;
	enum status status = system_load(reader, SYSTEM_HEAD, &heads, err);
	if (status == OK)
		status = system_load(reader, SYSTEM_RECORD_TIME, &record_times, err);
	if (status == OK)
		status = system_load(reader, SYSTEM_INDEX, &indices, err);
	if (status == OK)
		status = system_load(reader, SYSTEM_QUALITY, &qualities, err);
	if (status == OK)
		status = offsets_load(reader, heads, err);
	if (status != OK)
		return status;
	if (indices[row] < 0 || indices[row] > UINT32_MAX || qualities[row] < 0 ||
	    qualities[row] >= 1 << QUALITY_COUNT)
		return columnar_corrupt(reader, "a row", err);
	const struct read_head *head = &reader->heads[heads[row]];
	int64_t time_us = columnar_time(reader, row);
	*ret_event = (struct event){
		.time_us = time_us,
		.record_time_us = (int64_t)((uint64_t)time_us + (uint64_t)record_times[row]),
		.origin = {head->topic, head->partition, (uint32_t)indices[row],
			   reader->offsets[row]},
		.owner = reader->owner,
		.logsource = head->logsource,
		.quality = (uint32_t)qualities[row],
	};
	return OK;
}

/* The n-th value of the column in the row. */
static const struct value *row_value(const struct read_column *column, size_t row, size_t nth)
{
	size_t first = column->starts == NULL ? row * column->fixed : column->starts[row];
	if (column->values.codes != NULL)
		return &column->values.entries[column->values.codes[first + nth]];
	return &column->values.values[first + nth];
}

static bool is_wanted(const struct text *names, size_t name_count, struct text name)
{
	for (size_t i = 0; i < name_count; i++)
		if (text_equal(names[i], name))
			return true;
	return name_count == 0;
}

enum status columnar_event(struct columnar_reader *reader, size_t row, struct arena *arena,
			   struct event *ret_event, struct error *err)
{
	return columnar_project(reader, row, NULL, 0, arena, ret_event, err);
}

enum status columnar_project(struct columnar_reader *reader, size_t row, const struct text *names,
			     size_t name_count, struct arena *arena, struct event *ret_event,
			     struct error *err)
{
	struct event event;
	enum status status = columnar_head(reader, row, &event, err);
	if (status != OK)
		return status;
	const struct read_shape *shape =
		&reader->shapes[reader->system[SYSTEM_SHAPE].content.numbers[row]];
	const uint32_t *columns = reader->shape_columns + shape->start;
	event.fields = arena_alloc(arena, (shape->count + 1) * sizeof *event.fields);
	event.field_capacity = shape->count;
	uint32_t *used = calloc(reader->column_count + 1, sizeof *used);
	if (event.fields == NULL || used == NULL)
		status = columnar_no_memory(reader, err);
	for (size_t i = 0; status == OK && i < shape->count; i++) {
		struct read_column *column = &reader->columns[columns[i]];
		struct column_values values;
		if (!is_wanted(names, name_count, column->info.name))
			continue;
		status = columnar_values(reader, columns[i], &values, err);
		if (status != OK)
			break;
		const struct value *value = row_value(column, row, used[columns[i]]++);
		event.fields[event.field_count++] =
			(struct field){column->info.name, column->info.id, *value};
	}
	free(used);
	if (status == OK)
		*ret_event = event;
	return status;
}

enum status columnar_check(struct columnar_reader *reader, struct error *err)
{
	enum status status = OK;
	struct column_values values;
	struct event event;
	for (size_t i = 0; status == OK && i < reader->column_count; i++)
		status = columnar_values(reader, i, &values, err);
	for (size_t i = 0; status == OK && i < reader->count; i++)
		status = columnar_head(reader, i, &event, err);
	return status;
}
