/* From a block into a table, column by column: no event and no row is made on the way.
 *
 * A block says what its rows look like before the first of them: its heads and shapes are put into
 * the table once, and of a row only its numbers are copied. A text that a column of the block has
 * among its few is looked up once for all rows that have it; other texts are copied. What a row's
 * class is depends on its event.category alone, beside the log source in its head (columnar.c).
 * Rows below their floor get a group of which no block is made: taking their values out of the
 * columns would cost the other rows more.
 *
 * The rows of a block are sorted by group on their way. A column of a block fits into the nearest
 * cache, a column of the table does not: what is put side by side here is found side by side when
 * the table is cut, and that makes half of the price of cutting. */
#include <assert.h>
#include <stdlib.h>

#include "storage/columnar_reader_private.h"
#include "storage/retention.h"

enum {
	UNKNOWN = UINT32_MAX,
	SMALL_TEXT_MAX = 64, /* of a column: its texts are counted as if all were as long */
};

/* The groups of a head: of each class, for the day that came last. */
struct intake_head {
	uint32_t head; /* of the table, or UNKNOWN */
	struct {
		bool known;
		int64_t day, floor_us;
		uint32_t group;
	} classes[CLASS_COUNT];
};

/* The columns of event.category that a shape has, in its order: intake->categories[start ..]. */
struct intake_shape {
	uint32_t shape; /* of the table */
	uint32_t start, count;
	uint32_t bytes; /* of the values of such a row, without large texts */
};

struct intake {
	struct columnar_table *table;
	const struct columnar_reader *reader;
	const struct retention *retention;
	struct intake_head *heads;
	struct intake_shape *shapes;
	uint32_t *columns;    /* of the table, by the block's */
	uint32_t *categories; /* see struct intake_shape */
	uint32_t *next;       /* value of each column of the block, while rows are walked over */
	uint32_t *row_bytes;
	uint32_t *groups;       /* of rows */
	uint32_t *rows;         /* in the order in which they are added */
	const uint32_t *values; /* of the column that is added: the same of its values */
	uint32_t *order;        /* room for those */
	uint32_t *numbers;      /* of choices, or counts by shape, or by group */
	size_t order_capacity, number_capacity;
};

static void intake_done(struct intake *intake)
{
	void *arrays[] = {intake->heads, intake->shapes,    intake->columns, intake->categories,
			  intake->next,  intake->row_bytes, intake->numbers, intake->groups,
			  intake->rows,  intake->order};
	for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
		free(arrays[i]);
}

static bool numbers_reserve(struct intake *intake, size_t count)
{
	return table_array_reserve(&intake->numbers, &intake->number_capacity, 0, count + 1,
				   sizeof *intake->numbers);
}

static bool intake_begin(struct intake *intake)
{
	const struct columnar_reader *reader = intake->reader;
	size_t fields = 1;
	for (size_t i = 0; i < reader->shape_count; i++)
		fields += reader->shapes[i].count;
	intake->heads = calloc(reader->head_count + 1, sizeof *intake->heads);
	intake->shapes = calloc(reader->shape_count + 1, sizeof *intake->shapes);
	intake->columns = malloc((reader->column_count + 1) * sizeof *intake->columns);
	intake->categories = malloc(fields * sizeof *intake->categories);
	intake->next = calloc(reader->column_count + 1, sizeof *intake->next);
	intake->row_bytes = calloc(reader->count + 1, sizeof *intake->row_bytes);
	intake->groups = malloc((reader->count + 1) * sizeof *intake->groups);
	intake->rows = malloc((reader->count + 1) * sizeof *intake->rows);
	if (intake->heads == NULL || intake->shapes == NULL || intake->columns == NULL ||
	    intake->categories == NULL || intake->next == NULL || intake->row_bytes == NULL ||
	    intake->groups == NULL || intake->rows == NULL ||
	    !numbers_reserve(intake, reader->shape_count))
		return false;
	for (size_t i = 0; i < reader->head_count; i++)
		intake->heads[i].head = UNKNOWN;
	return true;
}

/* The different texts of the column as choices of the table's; false: they are too many. */
static bool choices_find(struct intake *intake, struct table_column *column,
			 const struct column_content *content, bool *ret_memory)
{
	size_t count = column->count + content->count;
	*ret_memory = numbers_reserve(intake, content->entry_count);
	for (size_t i = 0; *ret_memory && i < content->entry_count; i++) {
		if (!table_is_choice(column, content->entries[i], count))
			return false;
		*ret_memory = dictionary_number(&column->choices, content->entries[i],
						&intake->numbers[i]);
	}
	return *ret_memory;
}

static bool codes_append(const struct intake *intake, struct table_column *column,
			 const struct column_content *content)
{
	if (!table_array_reserve(&column->codes, &column->code_capacity, column->count,
				 content->count, sizeof *column->codes))
		return false;
	uint32_t *to = column->codes + column->count;
	for (size_t i = 0; i < content->count; i++)
		to[i] = intake->numbers[content->codes[intake->values[i]]];
	return true;
}

static bool cells_append(struct intake *intake, struct table_column *column,
			 const struct column_content *content)
{
	struct columnar_table *table = intake->table;
	if (!table_array_reserve(&column->cells, &column->cell_capacity, column->count,
				 content->count + content->entry_count, sizeof *column->cells))
		return false;
	struct text_cell *to = column->cells + column->count;
	struct text_cell *once = to + content->count;
	for (size_t i = 0; i < content->entry_count; i++)
		if (!table_text_put(table, content->entries[i], false, &once[i]))
			return false;
	for (size_t i = 0; content->entry_count > 0 && i < content->count; i++)
		to[i] = once[content->codes[intake->values[i]]];
	bool packed = content->packed_bytes > 0;
	for (size_t i = 0; content->entry_count == 0 && i < content->count; i++)
		if (!table_text_put(table, content->texts[intake->values[i]], packed, &to[i]))
			return false;
	return true;
}

static bool texts_append(struct intake *intake, struct table_column *column,
			 const struct column_content *content)
{
	bool memory = true;
	if (column->coded && content->entry_count > 0 &&
	    choices_find(intake, column, content, &memory))
		return codes_append(intake, column, content);
	return memory && (!column->coded || table_column_uncode(intake->table, column)) &&
	       cells_append(intake, column, content);
}

/* Whether every row has the column once. */
static bool is_full(const struct columnar_reader *reader, const struct read_column *column)
{
	bool full = column->use_count == reader->shape_count;
	for (size_t i = 0; full && i < column->use_count; i++)
		full = column->uses[i].count == 1;
	return full;
}

/* The values of a column in the order of the rows that have them. */
static bool values_order(struct intake *intake, const struct read_column *column)
{
	const struct columnar_reader *reader = intake->reader;
	const int64_t *shapes = reader->system[SYSTEM_SHAPE].content.numbers;
	intake->values = intake->rows;
	if (is_full(reader, column))
		return true;
	size_t count = column->info.value_count + reader->count + 1;
	if (!numbers_reserve(intake, reader->shape_count) ||
	    !table_array_reserve(&intake->order, &intake->order_capacity, 0, count,
				 sizeof *intake->order))
		return false;
	uint32_t *starts = intake->order + column->info.value_count;
	memset(intake->numbers, 0, reader->shape_count * sizeof *intake->numbers);
	for (size_t i = 0; i < column->use_count; i++)
		intake->numbers[column->uses[i].shape] = column->uses[i].count;
	starts[0] = 0;
	for (size_t i = 0; i < reader->count; i++)
		starts[i + 1] = starts[i] + intake->numbers[shapes[i]];
	uint32_t *to = intake->order;
	for (size_t i = 0; i < reader->count; i++) {
		uint32_t row = intake->rows[i];
		for (uint32_t value = starts[row]; value < starts[row + 1]; value++)
			*to++ = value;
	}
	intake->values = intake->order;
	return true;
}

/* All values of a column of the block. */
static bool column_append(struct intake *intake, size_t number)
{
	struct columnar_table *table = intake->table;
	const struct read_column *read = &intake->reader->columns[number];
	const struct column_content *content = &read->content;
	struct field field = {.name = read->info.name, .id = read->info.id};
	if (!table_column_find(table, &field, read->tag, &intake->columns[number]))
		return false;
	if (read->info.value_count == 0)
		return true; /* nothing was loaded */
	if (!values_order(intake, read))
		return false;
	struct table_column *column = &table->columns[intake->columns[number]];
	size_t before = table->texts.size;
	if (read->tag >= COLUMN_BOOLEAN && read->tag <= COLUMN_REAL) {
		if (!table_array_reserve(&column->numbers, &column->number_capacity, column->count,
					 content->count, sizeof *column->numbers))
			return false;
		for (size_t i = 0; i < content->count; i++)
			column->numbers[column->count + i] = content->numbers[intake->values[i]];
	}
	if (read->tag >= COLUMN_INTEGER_AS && !texts_append(intake, column, content))
		return false;
	column->count += (uint32_t)content->count;
	table->bytes += content->count * sizeof *column->cells + table->texts.size - before;
	return true;
}

static size_t text_size_max(const struct column_content *content)
{
	size_t count = content->entry_count > 0 ? content->entry_count : content->count;
	const struct text *texts = content->entry_count > 0 ? content->entries : content->texts;
	size_t most = 0;
	for (size_t i = 0; i < count; i++)
		most = texts[i].size > most ? texts[i].size : most;
	return most;
}

/* Texts that may be large are counted one by one: a block must not hold too many of them. */
static void large_texts_count(struct intake *intake, const struct read_column *column)
{
	const struct columnar_reader *reader = intake->reader;
	const int64_t *shapes = reader->system[SYSTEM_SHAPE].content.numbers;
	const struct column_content *content = &column->content;
	uint32_t *counts = intake->numbers;
	size_t at = 0;
	memset(counts, 0, reader->shape_count * sizeof *counts);
	for (size_t i = 0; i < column->use_count; i++)
		counts[column->uses[i].shape] = column->uses[i].count;
	for (size_t i = 0; i < reader->count; i++)
		for (uint32_t k = 0; k < counts[shapes[i]]; k++, at++)
			intake->row_bytes[i] +=
				(uint32_t)(content->entry_count > 0
						   ? content->entries[content->codes[at]].size
						   : content->texts[at].size);
}

/* What rows have of the column, in bytes: not less than it is. */
static void bytes_count(struct intake *intake, const struct read_column *column)
{
	bool texts = column->tag >= COLUMN_INTEGER_AS && column->info.value_count > 0;
	size_t most = texts ? text_size_max(&column->content) : 0;
	size_t each = sizeof(struct text_cell) + (most > SMALL_TEXT_MAX ? 0 : most);
	for (size_t i = 0; i < column->use_count; i++)
		intake->shapes[column->uses[i].shape].bytes +=
			(uint32_t)(column->uses[i].count * each);
	if (most > SMALL_TEXT_MAX)
		large_texts_count(intake, column);
}

static bool columns_append(struct intake *intake)
{
	const struct columnar_reader *reader = intake->reader;
	for (size_t i = 0; i < reader->column_count; i++) {
		if (!column_append(intake, i) || !numbers_reserve(intake, reader->shape_count))
			return false;
		bytes_count(intake, &reader->columns[i]);
	}
	return true;
}

/* The categories of each shape, in its order. */
static void categories_find(struct intake *intake)
{
	const struct columnar_reader *reader = intake->reader;
	uint32_t used = 0;
	for (size_t i = 0; i < reader->shape_count; i++) {
		const struct read_shape *shape = &reader->shapes[i];
		intake->shapes[i].start = used;
		for (size_t k = 0; k < shape->count; k++) {
			uint32_t column = reader->shape_columns[shape->start + k];
			if (reader->columns[column].info.id == FIELD_EVENT_CATEGORY)
				intake->categories[used++] = column;
		}
		intake->shapes[i].count = used - intake->shapes[i].start;
	}
}

/* The shapes in the numbers of the table's columns. */
static bool shapes_put(struct intake *intake)
{
	const struct columnar_reader *reader = intake->reader;
	uint32_t columns[EVENT_FIELDS_MAX];
	for (size_t i = 0; i < reader->shape_count; i++) {
		const struct read_shape *shape = &reader->shapes[i];
		for (size_t k = 0; k < shape->count; k++)
			columns[k] = intake->columns[reader->shape_columns[shape->start + k]];
		if (!table_shape_put(intake->table, columns, shape->count,
				     &intake->shapes[i].shape))
			return false;
	}
	return true;
}

static enum data_class class_of_row(struct intake *intake, uint32_t head, uint32_t shape)
{
	const struct columnar_reader *reader = intake->reader;
	const struct intake_shape *learnt = &intake->shapes[shape];
	struct class_evidence evidence = {.logsource = &reader->heads[head].logsource};
	for (uint32_t i = 0; i < learnt->count; i++) {
		uint32_t column = intake->categories[learnt->start + i];
		const struct column_content *content = &reader->columns[column].content;
		uint32_t at = intake->next[column]++;
		struct text category = TEXT("");
		if (content->tag == COLUMN_STRING && content->packed_bytes == 0)
			category = content->entry_count > 0 ? content->entries[content->codes[at]]
							    : content->texts[at];
		class_evidence_add(&evidence, category);
	}
	return class_decide(&evidence);
}

/* The group of a row; *ret_kept is false when the row is below its floor. */
static bool group_find(struct intake *intake, uint32_t number, enum data_class class,
		       int64_t time_us, uint32_t *ret_group, bool *ret_kept)
{
	struct intake_head *head = &intake->heads[number];
	struct text owner = intake->reader->heads[number].owner;
	int64_t day = day_of_time(time_us);
	if (!head->classes[class].known || head->classes[class].day != day) {
		if (!table_group_put(intake->table, class, day, owner, &head->classes[class].group))
			return false;
		head->classes[class].known = true;
		head->classes[class].day = day;
		head->classes[class].floor_us = retention_floor(intake->retention, owner, class);
	}
	*ret_group = head->classes[class].group;
	*ret_kept = time_us >= head->classes[class].floor_us;
	return *ret_kept || table_group_none(intake->table, ret_group);
}

static bool head_find(struct intake *intake, uint32_t number, uint32_t *ret_head)
{
	const struct read_head *stored = &intake->reader->heads[number];
	struct origin origin = {.topic = stored->topic, .partition = stored->partition};
	uint32_t *head = &intake->heads[number].head;
	if (*head == UNKNOWN && !table_head_put(intake->table, &origin, &stored->logsource, head))
		return false;
	*ret_head = *head;
	return true;
}

/* The groups of all rows, and the rows in the order of those. */
static bool rows_group(struct intake *intake, struct columnar_intake *report)
{
	const struct columnar_reader *reader = intake->reader;
	const struct read_column *system = reader->system;
	for (size_t i = 0; i < reader->count; i++) {
		uint32_t head = (uint32_t)system[SYSTEM_HEAD].content.numbers[i];
		uint32_t shape = (uint32_t)system[SYSTEM_SHAPE].content.numbers[i];
		enum data_class class = class_of_row(intake, head, shape);
		int64_t time_us = system[SYSTEM_TIME].content.numbers[i];
		bool kept = true;
		if (!group_find(intake, head, class, time_us, &intake->groups[i], &kept))
			return false;
		report->events += kept;
		report->expired += !kept;
	}
	size_t groups = intake->table->groups.count;
	if (!numbers_reserve(intake, groups))
		return false;
	uint32_t *ends = intake->numbers;
	memset(ends, 0, (groups + 1) * sizeof *ends);
	for (size_t i = 0; i < reader->count; i++)
		ends[intake->groups[i] + 1]++;
	for (size_t i = 1; i <= groups; i++)
		ends[i] += ends[i - 1];
	for (uint32_t i = 0; i < reader->count; i++)
		intake->rows[ends[intake->groups[i]]++] = i;
	return true;
}

static bool rows_append(struct intake *intake)
{
	struct columnar_table *table = intake->table;
	const struct columnar_reader *reader = intake->reader;
	const struct read_column *system = reader->system;
	if (!table_array_reserve(&table->rows, &table->row_capacity, table->count, reader->count,
				 sizeof *table->rows))
		return false;
	for (size_t i = 0; i < reader->count; i++) {
		uint32_t at = intake->rows[i];
		struct table_row *row = &table->rows[table->count + i];
		uint32_t shape = (uint32_t)system[SYSTEM_SHAPE].content.numbers[at];
		int64_t time_us = system[SYSTEM_TIME].content.numbers[at];
		int64_t delay_us = system[SYSTEM_RECORD_TIME].content.numbers[at];
		*row = (struct table_row){
			.time_us = time_us,
			.record_time_us = (int64_t)((uint64_t)time_us + (uint64_t)delay_us),
			.offset = reader->offsets[at],
			.index = (uint32_t)system[SYSTEM_INDEX].content.numbers[at],
			.quality = (uint32_t)system[SYSTEM_QUALITY].content.numbers[at],
			.shape = intake->shapes[shape].shape,
			.group = intake->groups[at],
			.bytes = intake->shapes[shape].bytes + intake->row_bytes[at],
		};
		uint32_t head = (uint32_t)system[SYSTEM_HEAD].content.numbers[at];
		if (!head_find(intake, head, &row->head))
			return false;
	}
	table->count += reader->count;
	return true;
}

enum status columnar_add_block(struct columnar_table *table, struct columnar_reader *reader,
			       const struct retention *retention, struct columnar_intake *report,
			       struct error *err)
{
	reader->bare = true;
	enum status status = columnar_load_all(reader, err);
	if (status != OK)
		return status;
	bool room = table->count + reader->count <= TABLE_EVENTS_MAX &&
		    table->column_count + reader->column_count <= TABLE_COLUMNS_MAX;
	if (table->count > 0 && (!room || columnar_table_is_full(table)))
		return ELIMIT;
	struct intake intake cleanup(intake_done) = {
		.table = table, .reader = reader, .retention = retention};
	struct columnar_intake counts = {0};
	if (!intake_begin(&intake))
		return error_set(err, ENOMEMORY, "no memory to merge a block");
	categories_find(&intake);
	if (!rows_group(&intake, &counts) || !columns_append(&intake) || !shapes_put(&intake) ||
	    !rows_append(&intake))
		return error_set(err, ENOMEMORY, "no memory to merge a block");
	report->events += counts.events;
	report->expired += counts.expired;
	return OK;
}
