/* What a merged block gives out: values of columns, and whole events. Where the values of a row
 * begin in a column is a running sum over the shapes of the rows, made with the column. When some
 * rows were selected, a column that was not read before is read for those alone: of a block of four
 * thousand events a search shows a few as a rule, and to make texts of all the others would cost
 * ten times what reading the column costs. */
#include <assert.h>
#include <stdlib.h>

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

/* Whether all rows have equally many values of the column, and how many. */
static bool is_fixed(const struct columnar_reader *reader, const struct read_column *column,
		     size_t *ret_fixed)
{
	bool all = column->use_count == reader->shape_count && column->use_count > 0;
	for (size_t i = 1; all && i < column->use_count; i++)
		all = column->uses[i].count == column->uses[0].count;
	if (all)
		*ret_fixed = column->uses[0].count;
	return all;
}

/* How many values of the column each shape has; the caller frees it. NULL: out of memory. */
static uint32_t *shape_counts(const struct columnar_reader *reader,
			      const struct read_column *column)
{
	uint32_t *counts = calloc(reader->shape_count + 1, sizeof *counts);
	for (size_t i = 0; counts != NULL && i < column->use_count; i++)
		counts[column->uses[i].shape] = column->uses[i].count;
	return counts;
}

/* Where the values of each row begin. */
static bool starts_make(struct columnar_reader *reader, struct read_column *column)
{
	const int64_t *shapes = reader->system[SYSTEM_SHAPE].content.numbers;
	column->starts = NULL;
	if (is_fixed(reader, column, &column->fixed))
		return true;
	uint32_t *counts = shape_counts(reader, column);
	column->starts = arena_alloc(reader->arena, (reader->count + 1) * sizeof(uint32_t));
	bool good = counts != NULL && column->starts != NULL;
	for (size_t i = 0; good && i < reader->count; i++)
		column->starts[i + 1] = column->starts[i] + counts[shapes[i]];
	free(counts);
	return good;
}

enum status columnar_values(struct columnar_reader *reader, size_t number,
			    struct column_values *ret_values, struct error *err)
{
	assert(number < reader->column_count);
	struct read_column *column = &reader->columns[number];
	if (!column->loaded) {
		const struct column_rows rows = {reader->system[SYSTEM_TIME].content.numbers,
						 reader->count, NULL};
		enum status status = OK;
		if (column->info.value_count > 0)
			status = column_load(reader, column, &rows, err);
		if (status != OK)
			return status;
		if (!values_make(reader, column) || !starts_make(reader, column))
			return columnar_no_memory(reader, err);
		column->loaded = true;
		column->picked = false;
	}
	*ret_values = column->values;
	return OK;
}

enum status columnar_may_have(struct columnar_reader *reader, size_t number, struct text text,
			      bool *ret_may, struct error *err)
{
	assert(number < reader->column_count);
	struct read_column *column = &reader->columns[number];
	bool may = true;
	if (column->tag == COLUMN_STRING && column->info.value_count > 0) {
		enum status status = column_fetch(reader, column, err);
		if (status != OK)
			return status;
		may = column_may_have(column->payload, column->info.value_count, text);
	}
	*ret_may = may;
	return OK;
}

enum status columnar_select(struct columnar_reader *reader, const uint16_t *rows, size_t count,
			    struct error *err)
{
	struct read_selection *selection = &reader->selection;
	uint16_t *kept = arena_alloc(reader->arena, (count + 1) * sizeof *kept);
	uint16_t *ranks = arena_alloc(reader->arena, reader->count * sizeof *ranks);
	if (kept == NULL || ranks == NULL)
		return columnar_no_memory(reader, err);
	for (size_t i = 0; i < count; i++) {
		assert(rows[i] < reader->count && (i == 0 || rows[i] > rows[i - 1]));
		kept[i] = rows[i];
		ranks[rows[i]] = (uint16_t)i;
	}
	for (size_t i = 0; i < reader->column_count; i++)
		reader->columns[i].picked = false;
	*selection = (struct read_selection){kept, count, ranks};
	return OK;
}

/* The places of the values of the selected rows; column->starts become where those of each selected
 * row begin. */
static bool picks_make(struct columnar_reader *reader, struct read_column *column,
		       struct column_picks *ret_picks)
{
	const int64_t *shapes = reader->system[SYSTEM_SHAPE].content.numbers;
	const struct read_selection *selection = &reader->selection;
	uint32_t *counts = shape_counts(reader, column);
	uint32_t *starts = arena_alloc(reader->arena, (selection->count + 1) * sizeof *starts);
	bool good = counts != NULL && starts != NULL;
	for (size_t i = 0; good && i < selection->count; i++)
		starts[i + 1] = starts[i] + counts[shapes[selection->rows[i]]];
	size_t count = good ? starts[selection->count] : 0;
	uint32_t *places = arena_alloc(reader->arena, (count + 1) * sizeof *places);
	good = good && places != NULL;
	bool fixed = is_fixed(reader, column, &column->fixed);
	size_t place = 0; /* of the values of the row */
	size_t used = 0;
	for (size_t i = 0, row = 0; good && i < selection->count; i++) {
		for (; !fixed && row < selection->rows[i]; row++)
			place += counts[shapes[row]];
		if (fixed)
			place = selection->rows[i] * column->fixed;
		for (size_t k = 0; k < counts[shapes[selection->rows[i]]]; k++)
			places[used++] = (uint32_t)(place + k);
	}
	free(counts);
	column->starts = starts;
	*ret_picks = (struct column_picks){places, count};
	return good;
}

/* Reads of the column what the selected rows need, or all of it when none is selected. */
static enum status column_want(struct columnar_reader *reader, size_t number, struct error *err)
{
	struct read_column *column = &reader->columns[number];
	struct column_values ignored;
	if (column->loaded || column->picked)
		return OK;
	if (reader->selection.ranks == NULL)
		return columnar_values(reader, number, &ignored, err);
	struct column_picks picks = {0};
	if (!picks_make(reader, column, &picks))
		return columnar_no_memory(reader, err);
	const struct column_rows rows = {reader->system[SYSTEM_TIME].content.numbers, reader->count,
					 &picks};
	enum status status = OK;
	column->content = (struct column_content){.tag = column->tag};
	if (picks.count > 0)
		status = column_load(reader, column, &rows, err);
	if (status != OK)
		return status;
	if (!values_make(reader, column))
		return columnar_no_memory(reader, err);
	column->picked = true;
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
		.owner = head->owner,
		.logsource = head->logsource,
		.quality = (uint32_t)qualities[row],
	};
	return OK;
}

/* The n-th value of the column in the row. */
static const struct value *row_value(const struct columnar_reader *reader,
				     const struct read_column *column, size_t row, size_t nth)
{
	if (column->picked)
		row = reader->selection.ranks[row];
	size_t first = column->starts == NULL ? row * column->fixed : column->starts[row];
	if (column->values.codes != NULL)
		return &column->values.entries[column->values.codes[first + nth]];
	return &column->values.values[first + nth];
}

static bool is_selected(const struct columnar_reader *reader, size_t row)
{
	const struct read_selection *selection = &reader->selection;
	return selection->ranks == NULL || (selection->ranks[row] < selection->count &&
					    selection->rows[selection->ranks[row]] == row);
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
	const uint32_t *nths = reader->shape_nths + shape->start;
	assert(is_selected(reader, row));
	event.fields = arena_alloc(arena, (shape->count + 1) * sizeof *event.fields);
	event.field_capacity = shape->count;
	if (event.fields == NULL)
		return columnar_no_memory(reader, err);
	for (size_t i = 0; i < shape->count; i++) {
		struct read_column *column = &reader->columns[columns[i]];
		if (!is_wanted(names, name_count, column->info.name))
			continue;
		status = column_want(reader, columns[i], err);
		if (status != OK)
			return status;
		const struct value *value = row_value(reader, column, row, nths[i]);
		event.fields[event.field_count++] =
			(struct field){column->info.name, column->info.id, *value};
	}
	*ret_event = event;
	return OK;
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
