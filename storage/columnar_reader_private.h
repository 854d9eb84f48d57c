/* columnar_reader_private - a merged block that is being read: columnar_open.c opens it and loads
 * columns, columnar_read.c gives values and events out.
 *
 * Why: checking what was read and handing it on are a page each. Invariant: a column that is loaded
 * has as many values as the shapes of the rows say. Owner and thread: as in storage/columnar.h. */
#ifndef PICKET_STORAGE_COLUMNAR_READER_PRIVATE_H
#define PICKET_STORAGE_COLUMNAR_READER_PRIVATE_H

#include "storage/columnar_private.h"

struct read_head {
	struct text topic;
	int32_t partition;
	struct logsource logsource;
};

/* The columns of one shape: reader->shape_columns[start .. start + count). */
struct read_shape {
	size_t start, count;
};

/* How often a shape has a column. */
struct shape_use {
	uint32_t shape, count;
};

struct read_column {
	struct column_info info;
	enum column_tag tag;
	uint64_t part;
	struct text payload; /* of a small column */
	size_t payload_size;
	struct shape_use *uses; /* of the shapes that have it */
	size_t use_count;
	bool loaded;
	bool picked; /* of the selected rows only: then a row stands where it is among those */
	struct column_values values;
	struct column_content content;
	uint32_t *starts; /* of each row; NULL: fixed values a row */
	size_t fixed;
};

/* Rows that are wanted, ascending. */
struct read_selection {
	const uint16_t *rows;
	size_t count;
	uint16_t *
		ranks; /* of all rows: which of the selected ones each is; NULL: none is selected */
};

struct columnar_reader {
	struct store_view *view;
	struct text key;
	struct arena *arena;
	unsigned char *content; /* of part 0, decompressed */
	size_t count, parts;
	struct text owner;
	struct read_head *heads;
	size_t head_count;
	struct read_shape *shapes;
	size_t shape_count;
	uint32_t *shape_columns;
	uint32_t *shape_nths;        /* how often the shape has had that column before */
	struct read_column *columns; /* without the system columns */
	size_t column_count;
	struct read_column system[SYSTEM_COUNT];
	int64_t *offsets; /* of rows, when asked for */
	struct read_selection selection;
	size_t bytes_read, columns_read;
};

enum status columnar_corrupt(const struct columnar_reader *reader, const char *what,
			     struct error *err);
enum status columnar_no_memory(const struct columnar_reader *reader, struct error *err);
/* Decodes the payload of a column, from wherever it is. */
enum status column_load(struct columnar_reader *reader, struct read_column *column,
			const struct column_rows *rows, struct error *err);
enum status system_load(struct columnar_reader *reader, enum system_column which,
			const int64_t **ret_numbers, struct error *err);

#endif
