/* From a table to blocks: rows are sorted by (class, day, owner), then by time and origin, and
 * columnar_write.c makes blocks of slices of them.
 *
 * A column of which every row has one value is *full*, and value i is row i's. Of the others it is
 * found out here where the values of each row stand, by counting on row by row: logs of one kind
 * have full columns nearly alone, and pay nothing for that. */
#include <stdlib.h>

#include "storage/columnar_private.h"

/* Rows of one group: by time, topic, partition, offset, index. */
static int row_compare(const void *a, const void *b, void *context)
{
	const struct columnar_table *table = context;
	const struct table_row *x = &table->rows[*(const uint32_t *)a];
	const struct table_row *y = &table->rows[*(const uint32_t *)b];
	if (x->time_us != y->time_us)
		return x->time_us < y->time_us ? -1 : 1;
	if (x->head != y->head) {
		struct cursor left = cursor_of(dictionary_entry(&table->heads, x->head));
		struct cursor right = cursor_of(dictionary_entry(&table->heads, y->head));
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

static void rows_sort(struct columnar_table *table, uint32_t *rows, size_t count)
{
	bool sorted = true;
	for (size_t i = 1; i < count && sorted; i++)
		sorted = row_compare(&rows[i - 1], &rows[i], table) <= 0;
	if (!sorted)
		qsort_r(rows, count, sizeof *rows, row_compare, table);
}

/* Of the rows that are left as many blocks as are needed get an equal share, so that none is small
 * without need; columnar_write() takes fewer when a block must not be as large. */
static size_t share_of(size_t count)
{
	size_t blocks = (count + BLOCK_EVENTS_MAX - 1) / BLOCK_EVENTS_MAX;
	return (count + blocks - 1) / blocks;
}

static enum status group_cut(struct columnar_table *table, uint32_t *rows, size_t count,
			     struct store_batch *batch, uint64_t *blocks, struct error *err)
{
	enum status status = OK;
	rows_sort(table, rows, count);
	while (status == OK && count > 0) {
		size_t size = share_of(count);
		if (table->cancelled != NULL && table->cancelled(table->context))
			return error_set(err, ECLOSED, "merging was given up");
		status = columnar_write(table, rows, &size, batch, err);
		rows += size;
		count -= size;
		++*blocks;
	}
	return status;
}

/* Finds the columns that are full; of the others, where the values of each row stand. */
static bool places_find(struct columnar_table *table)
{
	size_t count = 0;
	for (size_t i = 0; i < table->column_count; i++) {
		struct table_column *column = &table->columns[i];
		column->full = column->count == table->count && !column->repeated;
		count += column->full ? 0 : column->count;
	}
	if (!table_array_reserve(&table->places, &table->place_capacity, 0, count + 1,
				 sizeof *table->places))
		return false;
	uint32_t *next = calloc(table->column_count + 1, sizeof *next);
	uint32_t at = 0;
	for (size_t i = 0; next != NULL && count > 0 && i < table->count; i++) {
		struct table_row *row = &table->rows[i];
		const struct table_shape *shape = &table->shape_list[row->shape];
		row->first_place = at;
		for (size_t k = 0; k < shape->count; k++) {
			uint32_t column = table->shape_columns[shape->start + k];
			if (!table->columns[column].full)
				table->places[at++] = next[column]++;
		}
	}
	bool good = next != NULL;
	free(next);
	return good;
}

enum status columnar_cut(struct columnar_table *table, struct store_batch *batch,
			 uint64_t *ret_blocks, struct error *err)
{
	size_t groups = table->groups.count;
	uint32_t *rows = malloc((table->count + 1) * sizeof *rows);
	size_t *ends = calloc(groups + 1, sizeof *ends);
	enum status status = OK;
	uint64_t blocks = 0;
	if (rows == NULL || ends == NULL || !places_find(table))
		status = error_set(err, ENOMEMORY, "no memory to merge %zu events", table->count);
	for (size_t i = 0; status == OK && i < table->count; i++)
		ends[table->rows[i].group + 1]++;
	for (size_t i = 1; status == OK && i <= groups; i++)
		ends[i] += ends[i - 1];
	for (size_t i = 0; status == OK && i < table->count; i++)
		rows[ends[table->rows[i].group]++] = (uint32_t)i;
	for (size_t i = 0; status == OK && i < groups; i++) {
		size_t begin = i == 0 ? 0 : ends[i - 1];
		bool none =
			text_equal(dictionary_entry(&table->groups, (uint32_t)i), TABLE_GROUP_NONE);
		if (ends[i] > begin && !none)
			status = group_cut(table, rows + begin, ends[i] - begin, batch, &blocks,
					   err);
	}
	free(rows);
	free(ends);
	if (status == OK) {
		columnar_table_clear(table);
		*ret_blocks = blocks;
	}
	return status;
}
