/* Events on their way into merged blocks: a table of many owners' events, by column.
 *
 * Why not a builder for each owner: what is the same in the events of all of them (the names of
 * services, actions, agents) is then looked up once for each value and hashed once for each
 * different one, for hundreds of blocks; cutting a block is choosing rows and renumbering.
 *
 * A column of strings begins *coded*: each different text is a choice with a number, and a value is
 * a number. When more than a quarter of CHOICES_FREE values or more were new, the column gives that
 * up, and its values are copied one behind the other. Which values are a row's follows from its
 * shape and from those of the rows before it: columnar_cut.c finds out when it has all of them.
 *
 * A table that was cut keeps its memory: the next columns are likely to be the same ones. */
#include <assert.h>
#include <stdlib.h>

#include "storage/columnar_private.h"

enum {
	ARRAY_FIRST = 16,
	CHOICES_FREE = 256,
	CHOICE_REPEATS_MIN = 4, /* of each choice beyond those */
	CHOICE_BYTES_MAX = 256,
};

#define NO_SHAPE UINT32_MAX

/* A value on its way into a column. number: BOOLEAN, INTEGER, INTEGER_AS; REAL: its bits. text:
 * INTEGER_AS, REAL, STRING. */
struct table_value {
	int64_t number;
	struct text text;
};

struct columnar_table *columnar_table_new(void)
{
	struct columnar_table *table = calloc(1, sizeof *table);
	if (table == NULL)
		return NULL;
	table->arena =
		arena_new((size_t)(TABLE_COLUMNS_MAX + EVENT_FIELDS_MAX) * EVENT_NAME_MAX * 2);
	table->press = press_new();
	if (table->arena == NULL || table->press == NULL)
		columnar_table_free(&table);
	return table;
}

static void column_done(struct table_column *column)
{
	free(column->numbers);
	free(column->cells);
	free(column->codes);
	free(column->hashes);
	dictionary_done(&column->choices);
}

void columnar_table_free(struct columnar_table **table)
{
	struct columnar_table *gone = *table;
	if (gone == NULL)
		return;
	for (size_t i = 0; i < gone->column_slots; i++)
		column_done(&gone->columns[i]);
	struct dictionary *dictionaries[] = {&gone->others, &gone->shapes, &gone->heads,
					     &gone->groups};
	for (size_t i = 0; i < sizeof dictionaries / sizeof *dictionaries; i++)
		dictionary_done(dictionaries[i]);
	void *arrays[] = {gone->rows,       gone->columns,       gone->other_columns,
			  gone->shape_list, gone->shape_columns, gone->places};
	for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
		free(arrays[i]);
	bytes_done(&gone->texts);
	bytes_done(&gone->scratch);
	arena_free(&gone->arena);
	press_free(&gone->press);
	free(gone);
	*table = NULL;
}

void columnar_table_clear(struct columnar_table *table)
{
	table->column_count = 0;
	table->count = 0;
	table->shape_column_count = 0;
	table->bytes = 0;
	memset(table->column_of, 0, sizeof table->column_of);
	dictionary_clear(&table->others);
	dictionary_clear(&table->shapes);
	dictionary_clear(&table->heads);
	dictionary_clear(&table->groups);
	bytes_clear(&table->texts);
	arena_reset(table->arena);
}

static bool is_full(const struct columnar_table *table, size_t field_count, size_t bytes)
{
	return table->count == TABLE_EVENTS_MAX || table->bytes + bytes > TABLE_BYTES_MAX ||
	       table->column_count + field_count > TABLE_COLUMNS_MAX ||
	       table->groups.count == TABLE_GROUPS_MAX;
}

bool columnar_table_is_full(const struct columnar_table *table)
{
	return is_full(table, EVENT_FIELDS_MAX, 1);
}

void columnar_table_cancel(struct columnar_table *table, bool (*cancelled)(void *context),
			   void *context)
{
	table->cancelled = cancelled;
	table->context = context;
}

size_t columnar_table_count(const struct columnar_table *table)
{
	return table->count;
}

bool table_array_reserve(void *array, size_t *capacity, size_t count, size_t more, size_t size)
{
	if (count + more <= *capacity)
		return true;
	size_t wanted = *capacity == 0 ? ARRAY_FIRST : *capacity;
	while (wanted < count + more)
		wanted *= 2;
	void *old = NULL;
	memcpy(&old, array, sizeof old);
	void *grown = realloc(old, wanted * size);
	if (grown == NULL)
		return false;
	memcpy(array, &grown, sizeof grown);
	*capacity = wanted;
	return true;
}

static enum column_tag tag_of(const struct value *value)
{
	switch (value->type) {
	case VALUE_NULL:
		return COLUMN_NULL;
	case VALUE_EMPTY:
		return COLUMN_EMPTY;
	case VALUE_BOOLEAN:
		return COLUMN_BOOLEAN;
	case VALUE_INTEGER:
		return integer_is_plain(value) ? COLUMN_INTEGER : COLUMN_INTEGER_AS;
	case VALUE_REAL:
		return COLUMN_REAL;
	case VALUE_STRING:
		return COLUMN_STRING;
	}
	assert(false && "a value of no type");
}

/* The next slot of a column, empty, with the memory that it had. */
static struct table_column *slot_take(struct columnar_table *table)
{
	size_t at = table->column_count;
	if (at == table->column_slots) {
		if (!table_array_reserve(&table->columns, &table->column_capacity, at, 1,
					 sizeof *table->columns))
			return NULL;
		table->columns[at] = (struct table_column){0};
		table->column_slots++;
	}
	table->column_count++;
	struct table_column *column = &table->columns[at];
	dictionary_clear(&column->choices);
	column->count = 0;
	column->hash_count = 0;
	column->last_shape = NO_SHAPE;
	column->repeated = false;
	return column;
}

static bool column_new(struct columnar_table *table, const struct field *field, enum column_tag tag,
		       uint32_t *ret_column)
{
	struct text name = field->id == FIELD_OTHER ? arena_copy(table->arena, field->name)
						    : schema_info(field->id)->name;
	struct table_column *column = name.data == NULL ? NULL : slot_take(table);
	if (column == NULL)
		return false;
	column->name = name;
	column->id = field->id;
	column->tag = tag;
	/* Stamps follow the time of the row, which costs less than any choice. */
	column->coded = tag == COLUMN_STRING && field->id != FIELD_TIMESTAMP;
	*ret_column = (uint32_t)table->column_count - 1;
	return true;
}

/* The column of a field that the schema does not know. */
static bool other_column(struct columnar_table *table, const struct field *field,
			 enum column_tag tag, uint32_t *ret_column)
{
	uint32_t number = 0;
	size_t before = table->others.count;
	bytes_clear(&table->scratch);
	bytes_put_u8(&table->scratch, (uint8_t)tag);
	bytes_write(&table->scratch, field->name);
	if (table->scratch.failed ||
	    !table_array_reserve(&table->other_columns, &table->other_capacity, before, 1,
				 sizeof *table->other_columns) ||
	    !dictionary_number(&table->others, bytes_text(&table->scratch), &number))
		return false;
	if (number < before) {
		*ret_column = table->other_columns[number];
		return true;
	}
	if (!column_new(table, field, tag, ret_column))
		return false; /* the table is given up */
	table->other_columns[number] = *ret_column;
	return true;
}

bool table_column_find(struct columnar_table *table, const struct field *field, enum column_tag tag,
		       uint32_t *ret_column)
{
	if (field->id == FIELD_OTHER)
		return other_column(table, field, tag, ret_column);
	uint32_t *known = &table->column_of[field->id][tag];
	if (*known == 0) {
		if (!column_new(table, field, tag, ret_column))
			return false;
		*known = *ret_column + 1;
	}
	*ret_column = *known - 1;
	return true;
}

bool table_text_put(struct columnar_table *table, struct text text, bool packed,
		    struct text_cell *ret_cell)
{
	uint32_t flag = packed ? CELL_PACKED : 0;
	*ret_cell = (struct text_cell){(uint32_t)table->texts.size, (uint32_t)text.size | flag};
	bytes_write(&table->texts, text);
	return !table->texts.failed;
}

bool table_column_uncode(struct columnar_table *table, struct table_column *column)
{
	if (!table_array_reserve(&column->cells, &column->cell_capacity, 0, column->count + 1,
				 sizeof *column->cells))
		return false;
	for (size_t i = 0; i < column->count; i++) {
		struct text text = dictionary_entry(&column->choices, column->codes[i]);
		if (!table_text_put(table, text, false, &column->cells[i]))
			return false;
	}
	dictionary_clear(&column->choices);
	column->coded = false;
	return true;
}

bool table_is_choice(const struct table_column *column, struct text text, size_t count)
{
	size_t known = column->choices.count;
	return text.size <= CHOICE_BYTES_MAX &&
	       (known < CHOICES_FREE || known * CHOICE_REPEATS_MIN <= count);
}

static bool code_put(struct table_column *column, struct text text)
{
	size_t at = column->count;
	if (at == column->code_capacity &&
	    !table_array_reserve(&column->codes, &column->code_capacity, at, 1,
				 sizeof *column->codes))
		return false;
	if (at > 0 && text_equal(dictionary_entry(&column->choices, column->codes[at - 1]), text)) {
		column->codes[at] = column->codes[at - 1];
		return true;
	}
	return dictionary_number(&column->choices, text, &column->codes[at]);
}

static bool cell_put(struct columnar_table *table, struct table_column *column,
		     const struct table_value *value)
{
	size_t at = column->count;
	if (at == column->cell_capacity &&
	    !table_array_reserve(&column->cells, &column->cell_capacity, at, 1,
				 sizeof *column->cells))
		return false;
	return table_text_put(table, value->text, false, &column->cells[at]);
}

static bool value_put(struct columnar_table *table, struct table_column *column,
		      const struct table_value *value)
{
	size_t at = column->count;
	if (column->tag >= COLUMN_BOOLEAN && column->tag <= COLUMN_REAL) {
		if (at == column->number_capacity &&
		    !table_array_reserve(&column->numbers, &column->number_capacity, at, 1,
					 sizeof *column->numbers))
			return false;
		column->numbers[at] = value->number;
	}
	if (column->coded && !table_is_choice(column, value->text, at) &&
	    !table_column_uncode(table, column))
		return false;
	if (column->tag >= COLUMN_INTEGER_AS &&
	    !(column->coded ? code_put(column, value->text) : cell_put(table, column, value)))
		return false;
	column->count++;
	return true;
}

struct text table_text(const struct columnar_table *table, const struct table_column *column,
		       size_t value, bool *ret_packed)
{
	*ret_packed = false;
	if (column->coded)
		return dictionary_entry(&column->choices, column->codes[value]);
	const struct text_cell *cell = &column->cells[value];
	*ret_packed = (cell->size & CELL_PACKED) != 0;
	uint32_t size = cell->size & ~CELL_PACKED;
	if (size == 0)
		return TEXT("");
	return (struct text){(const char *)table->texts.data + cell->at, size};
}

bool table_head_put(struct columnar_table *table, const struct origin *origin,
		    const struct logsource *logsource, uint32_t *ret_head)
{
	struct bytes *to = &table->scratch;
	bytes_clear(to);
	bytes_put_text(to, origin->topic);
	bytes_put_varint(to, (uint64_t)origin->partition);
	bytes_put_text(to, logsource->category);
	bytes_put_text(to, logsource->product);
	bytes_put_text(to, logsource->service);
	return !to->failed && dictionary_number(&table->heads, bytes_text(to), ret_head);
}

bool table_group_put(struct columnar_table *table, enum data_class class, int64_t day,
		     struct text owner, uint32_t *ret_group)
{
	struct bytes *to = &table->scratch;
	bytes_clear(to);
	bytes_put_u8(to, (uint8_t) class);
	bytes_put_be64(to, (uint64_t)day);
	bytes_write(to, owner);
	return !to->failed && dictionary_number(&table->groups, bytes_text(to), ret_group);
}

bool table_group_none(struct columnar_table *table, uint32_t *ret_group)
{
	return dictionary_number(&table->groups, TABLE_GROUP_NONE, ret_group);
}

bool table_shape_put(struct columnar_table *table, const uint32_t *columns, size_t count,
		     uint32_t *ret_shape)
{
	size_t known = table->shapes.count;
	struct text shape = {(const char *)columns, count * sizeof *columns};
	if (!dictionary_number(&table->shapes, shape, ret_shape))
		return false;
	if (*ret_shape < known)
		return true;
	if (!table_array_reserve(&table->shape_list, &table->shape_capacity, known, 1,
				 sizeof *table->shape_list) ||
	    !table_array_reserve(&table->shape_columns, &table->shape_column_capacity,
				 table->shape_column_count, count, sizeof *columns))
		return false;
	table->shape_list[known] =
		(struct table_shape){(uint32_t)table->shape_column_count, (uint32_t)count};
	if (count > 0)
		memcpy(table->shape_columns + table->shape_column_count, columns,
		       count * sizeof *columns);
	for (size_t i = 0; i < count; i++) {
		struct table_column *column = &table->columns[columns[i]];
		column->repeated = column->repeated || column->last_shape == *ret_shape;
		column->last_shape = *ret_shape;
	}
	table->shape_column_count += count;
	return true;
}

static struct table_value value_of(const struct value *value)
{
	struct table_value made = {.text = value->text};
	if (value->type == VALUE_BOOLEAN)
		made.number = value->boolean;
	else if (value->type == VALUE_INTEGER)
		made.number = value->integer;
	else if (value->type == VALUE_REAL)
		memcpy(&made.number, &value->real, sizeof made.number);
	return made;
}

/* All values of the event; the shape comes out as a number of the dictionary. */
static bool fields_put(struct columnar_table *table, const struct event *event, uint32_t *ret_shape)
{
	uint32_t shape[EVENT_FIELDS_MAX];
	assert(event->field_count <= EVENT_FIELDS_MAX);
	for (size_t i = 0; i < event->field_count; i++) {
		const struct field *field = &event->fields[i];
		if (!table_column_find(table, field, tag_of(&field->value), &shape[i]))
			return false;
		struct table_column *column = &table->columns[shape[i]];
		struct table_value value = value_of(&field->value);
		if (!value_put(table, column, &value))
			return false;
	}
	return table_shape_put(table, shape, event->field_count, ret_shape);
}

size_t table_event_bytes(const struct event *event)
{
	size_t bytes = event->field_count * sizeof(struct text_cell);
	for (size_t i = 0; i < event->field_count; i++)
		bytes += event->fields[i].value.text.size;
	return bytes;
}

bool table_row_put(struct columnar_table *table, const struct event *event, size_t bytes,
		   struct table_row *row)
{
	if (!table_array_reserve(&table->rows, &table->row_capacity, table->count, 1,
				 sizeof *table->rows) ||
	    !fields_put(table, event, &row->shape))
		return false;
	row->time_us = event->time_us;
	row->record_time_us = event->record_time_us;
	row->offset = event->origin.offset;
	row->index = event->origin.index;
	row->quality = event->quality;
	row->bytes = (uint32_t)bytes;
	table->rows[table->count++] = *row;
	table->bytes += bytes;
	return true;
}

enum status columnar_add(struct columnar_table *table, const struct event *event)
{
	size_t bytes = table_event_bytes(event);
	/* An event alone is always taken, however large: nobody could make it fit by cutting. */
	if (table->count > 0 && is_full(table, event->field_count, bytes))
		return ELIMIT;
	struct table_row row = {0};
	bool good = table_head_put(table, &event->origin, &event->logsource, &row.head) &&
		    table_group_put(table, data_class_of(event), day_of_time(event->time_us),
				    event->owner, &row.group) &&
		    table_row_put(table, event, bytes, &row);
	return good ? OK : ENOMEMORY;
}

static int64_t row_number(const struct table_row *row, enum system_column column)
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
	case SYSTEM_OFFSET:
		return row->offset;
	case SYSTEM_INDEX:
		return row->index;
	case SYSTEM_QUALITY:
		return row->quality;
	case SYSTEM_COUNT:
		break;
	}
	assert(false && "not a column of every row");
}

void table_system_take(const struct columnar_table *table, const uint32_t *rows, size_t count,
		       enum system_column column, int64_t *numbers)
{
	for (size_t i = 0; i < count; i++)
		numbers[i] = row_number(&table->rows[rows == NULL ? i : rows[i]], column);
}
