/* From blocks of epochs into a table, value by value: no event is made on the way.
 *
 * A block says what its rows look like before the first of them: for each of its shapes the columns
 * of the table are found once, for each of its heads the group of each class, and then a row is a
 * walk over its values. What a row's class is depends on its event.category alone, beside the log
 * source in its head (columnar.c). */
#include <assert.h>
#include <stdlib.h>

#include "storage/block_reader_private.h"
#include "storage/columnar_private.h"
#include "storage/retention.h"

struct intake_head {
	bool known;
	uint32_t head; /* of the table */
	struct {
		bool known;
		int64_t day;
		uint32_t group;
		int64_t floor_us;
	} classes[CLASS_COUNT];
};

struct intake_shape {
	bool known;
	uint32_t shape; /* of the table */
};

struct intake {
	struct columnar_table *table;
	struct block_reader *reader;
	const struct retention *retention;
	struct intake_head *heads;
	struct intake_shape *shapes;
	uint32_t *columns;          /* of the table, by the block's keys */
	struct block_value *values; /* of one row */
};

static void intake_done(struct intake *intake)
{
	free(intake->heads);
	free(intake->shapes);
	free(intake->columns);
	free(intake->values);
}

static bool intake_begin(struct intake *intake)
{
	const struct block_reader *reader = intake->reader;
	size_t keys = 1;
	for (size_t i = 0; i < reader->shape_count; i++)
		keys += reader->shapes[i].count;
	intake->heads = calloc(reader->head_count + 1, sizeof *intake->heads);
	intake->shapes = calloc(reader->shape_count + 1, sizeof *intake->shapes);
	intake->columns = malloc(keys * sizeof *intake->columns);
	intake->values = malloc(EVENT_FIELDS_MAX * sizeof *intake->values);
	return intake->heads != NULL && intake->shapes != NULL && intake->columns != NULL &&
	       intake->values != NULL;
}

static enum column_tag column_tag_of(enum value_tag tag)
{
	static const enum column_tag tags[TAG_COUNT] = {
		[TAG_NULL] = COLUMN_NULL,       [TAG_EMPTY] = COLUMN_EMPTY,
		[TAG_BOOLEAN] = COLUMN_BOOLEAN, [TAG_INTEGER] = COLUMN_INTEGER,
		[TAG_REAL] = COLUMN_REAL,       [TAG_INTEGER_AS] = COLUMN_INTEGER_AS,
		[TAG_STRING] = COLUMN_STRING,   [TAG_HEX] = COLUMN_STRING,
	};
	return tags[tag];
}

/* The columns of a shape. */
static bool shape_learn(struct intake *intake, uint32_t number)
{
	const struct block_reader *reader = intake->reader;
	const struct shape *shape = &reader->shapes[number];
	uint32_t *columns = intake->columns + shape->start;
	for (size_t i = 0; i < shape->count; i++) {
		uint32_t key = reader->keys[shape->start + i];
		const struct name *name = &reader->names[key >> TAG_BITS];
		struct field field = {.name = name->text, .id = name->id};
		enum value_tag tag = (enum value_tag)(key & ((1u << TAG_BITS) - 1));
		if (!table_column_find(intake->table, &field, column_tag_of(tag), &columns[i]))
			return false;
	}
	struct intake_shape *learnt = &intake->shapes[number];
	learnt->known = true;
	return table_shape_put(intake->table, columns, shape->count, &learnt->shape);
}

static enum data_class class_of_row(const struct intake *intake, const struct block_row *row)
{
	const struct block_reader *reader = intake->reader;
	const struct shape *shape = &reader->shapes[row->shape];
	struct class_evidence evidence = {.logsource = &reader->heads[row->head].logsource};
	for (size_t i = 0; i < shape->count; i++) {
		const struct name *name =
			&reader->names[reader->keys[shape->start + i] >> TAG_BITS];
		const struct block_value *value = &intake->values[i];
		if (name->id == FIELD_EVENT_CATEGORY)
			class_evidence_add(&evidence,
					   value->tag == TAG_STRING ? value->text : TEXT(""));
	}
	return class_decide(&evidence);
}

/* The group of the row; *ret_floor_us is what is dropped of it. */
static bool group_find(struct intake *intake, const struct block_row *row, uint32_t *ret_group,
		       int64_t *ret_floor_us)
{
	struct intake_head *head = &intake->heads[row->head];
	struct text owner = intake->reader->heads[row->head].owner;
	enum data_class class = class_of_row(intake, row);
	int64_t day = day_of_time(row->time_us);
	if (!head->classes[class].known || head->classes[class].day != day) {
		if (!table_group_put(intake->table, class, day, owner, &head->classes[class].group))
			return false;
		head->classes[class].known = true;
		head->classes[class].day = day;
		head->classes[class].floor_us = retention_floor(intake->retention, owner, class);
	}
	*ret_group = head->classes[class].group;
	*ret_floor_us = head->classes[class].floor_us;
	return true;
}

static bool head_find(struct intake *intake, const struct block_row *row, uint32_t *ret_head)
{
	const struct block_reader *reader = intake->reader;
	struct intake_head *head = &intake->heads[row->head];
	if (!head->known && !table_head_put(intake->table, &reader->origin,
					    &reader->heads[row->head].logsource, &head->head))
		return false;
	head->known = true;
	*ret_head = head->head;
	return true;
}

/* Reads the values of the row; their texts are views into the block. Returns their bytes. */
static size_t values_read(struct intake *intake, const struct shape *shape)
{
	size_t bytes = shape->count * sizeof(struct text_cell);
	for (size_t i = 0; i < shape->count; i++) {
		intake->values[i] =
			block_value_next(intake->reader, intake->reader->keys[shape->start + i]);
		bytes += intake->values[i].text.size;
	}
	return bytes;
}

static bool values_put(struct intake *intake, const struct shape *shape)
{
	struct columnar_table *table = intake->table;
	const uint32_t *columns = intake->columns + shape->start;
	for (size_t i = 0; i < shape->count; i++) {
		const struct block_value *stored = &intake->values[i];
		struct table_column *column = &table->columns[columns[i]];
		struct table_value value = {stored->number, stored->text, stored->tag == TAG_HEX};
		if (!table_value_put(table, column, &value))
			return false;
	}
	return true;
}

/* False: out of memory. */
static bool row_put(struct intake *intake, const struct block_row *stored, bool *ret_kept)
{
	struct columnar_table *table = intake->table;
	const struct shape *shape = &intake->reader->shapes[stored->shape];
	int64_t floor_us = 0;
	struct table_row row = {
		.time_us = stored->time_us,
		.record_time_us = stored->record_time_us,
		.offset = stored->offset,
		.index = stored->index,
		.quality = stored->quality,
		.bytes = (uint32_t)values_read(intake, shape),
	};
	if (!group_find(intake, stored, &row.group, &floor_us))
		return false;
	*ret_kept = stored->time_us >= floor_us;
	if (!*ret_kept)
		return true;
	if ((!intake->shapes[stored->shape].known && !shape_learn(intake, stored->shape)) ||
	    !head_find(intake, stored, &row.head) || !table_row_reserve(table) ||
	    !values_put(intake, shape))
		return false;
	row.shape = intake->shapes[stored->shape].shape;
	table->rows[table->count++] = row;
	table->bytes += row.bytes;
	return true;
}

enum status columnar_add_block(struct columnar_table *table, struct block_reader *reader,
			       const struct retention *retention, struct columnar_intake *report,
			       struct error *err)
{
	struct intake intake cleanup(intake_done) = {
		.table = table, .reader = reader, .retention = retention};
	bool memory = intake_begin(&intake);
	while (memory && !columnar_table_is_full(table)) {
		struct block_row row;
		bool more = true;
		bool kept = false;
		enum status status = block_row_next(reader, &row, &more, err);
		if (status != OK || !more)
			return status;
		memory = row_put(&intake, &row, &kept);
		report->events += kept;
		report->expired += !kept;
	}
	return memory ? ELIMIT : error_set(err, ENOMEMORY, "no memory to merge a block");
}
