/* columnar_writer_private - a merged block while it is written: columnar_write.c drives it,
 * columnar_part.c writes parts, columnar_summary.c says what a reader must know before it opens it.
 *
 * Why: one block, three concerns. Invariant: `numbering`s are empty between blocks. Owner: the
 * table's press. Thread: one. */
#ifndef PICKET_STORAGE_COLUMNAR_WRITER_PRIVATE_H
#define PICKET_STORAGE_COLUMNAR_WRITER_PRIVATE_H

#include "storage/columnar_private.h"
#include "storage/summary.h"

/* The table's numbers that a block uses, in the order in which it needs them. */
struct numbering {
	uint32_t *own;  /* by the table's number: the block's + 1, 0 = not used */
	uint32_t *used; /* by the block's number: the table's */
	size_t count, own_capacity, used_capacity;
};

/* What all blocks of a table are written with. */
struct press {
	struct column_encoder *encoder;
	ZSTD_CCtx *zstd;
	struct numbering heads, shapes, columns, choices;
	size_t *ends;    /* of each column's values in `order` */
	uint32_t *order; /* column by column: values of the table, as they will stand */
	int64_t *times;  /* of the rows */
	int64_t *numbers;
	struct text *texts, *entries;
	uint16_t *codes;
	uint64_t *hashes;
	bool *packed;         /* the text is the bytes of hexadecimal digits */
	uint32_t *shape_rows; /* by the block's numbers */
	size_t ends_capacity, order_capacity, times_capacity, shape_rows_capacity;
	size_t capacity; /* of numbers, texts, entries, codes, hashes, packed */
	struct bytes key, row_key, payload, frame, scratch;
	struct bytes directory, small, part, digits;
	struct summary_writer summary;
};

/* Room for `count` values of a column. False: out of memory. */
bool press_reserve(struct press *press, size_t count);
/* The times of rows of the table (rows NULL: of its first ones). False: out of memory. */
bool press_times_take(struct press *press, const struct columnar_table *table, const uint32_t *rows,
		      size_t count);

struct writing {
	struct columnar_table *table;
	struct press *press;
	const uint32_t *rows;
	size_t count;
	struct store_batch *batch;
	size_t stored_bytes;
	uint16_t parts;
};

/* All of these: false when out of memory. */

/* The column in press->payload: into a part of its own, or among the small ones. */
bool part_put_column(struct writing *writing, struct text name, enum column_tag tag, size_t count);
/* Part 0, when all columns are in the directory. */
bool part_put_first(struct writing *writing);
/* A row of the store, counted. */
void part_put_row(struct writing *writing, enum store_family family, struct text key,
		  struct text value);

bool summary_put_ranges(struct writing *writing);
/* The column's line of the summary, and its bloom. */
bool summary_put_content(struct writing *writing, struct table_column *column,
			 const struct column_content *content);
/* The summary itself. */
bool summary_put_row(struct writing *writing);

/* The origin of a row; its topic is a view into the table. */
struct origin table_origin(const struct columnar_table *table, const struct table_row *row);

#endif
