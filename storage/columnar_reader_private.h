/* columnar_reader_private - a block that is being read: columnar_open.c opens a merged one and
 * block_reader.c one of an epoch, columnar_load.c checks what they have in common and loads
 * columns, columnar_read.c gives values and events out, columnar_intake.c puts them into a table.
 *
 * Why: checking what was read and handing it on are a page each. Invariant: a column that is loaded
 * has as many values as the shapes of the rows say. Owner and thread: as in storage/columnar.h. */
#ifndef PICKET_STORAGE_COLUMNAR_READER_PRIVATE_H
#define PICKET_STORAGE_COLUMNAR_READER_PRIVATE_H

#include "storage/columnar_private.h"

struct read_head {
	struct text owner, topic;
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
	struct text payload; /* of a small column, or of one that was fetched */
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
	struct store_view *view; /* NULL: a block of an epoch, all of which is at hand */
	struct text key;
	struct cursor beside; /* of an epoch's block: columns that were not compressed */
	bool bare;            /* for merging: see struct column_content */
	struct arena *arena;
	unsigned char *content; /* of part 0, decompressed */
	size_t count, parts;
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
	ZSTD_DCtx *zstd; /* NULL: no frame was read yet */
	size_t bytes_read, columns_read;
};

struct columnar_reader *columnar_reader_new(void); /* NULL: out of memory */
enum status columnar_corrupt(const struct columnar_reader *reader, const char *what,
			     struct error *err);
/* ECORRUPT as well, but nothing is broken: another picket wrote it. */
enum status columnar_of_version(const struct columnar_reader *reader, uint8_t found, uint8_t read,
				struct error *err);
enum status columnar_no_memory(const struct columnar_reader *reader, struct error *err);
/* What stands behind the heads, which the caller has read: shapes, directory, small columns. Checks
 * whatever more than one column depends on. */
enum status columnar_content_open(struct columnar_reader *reader, struct cursor shapes,
				  struct cursor *rest, struct error *err);
/* u32 size, u8 compressed, bytes; *ret_content is malloc()ed. */
enum status columnar_frame_open(struct columnar_reader *reader, struct cursor from,
				unsigned char **ret_content, size_t *ret_size, struct error *err);
/* The row of the store that holds a part. */
enum status columnar_part_get(struct columnar_reader *reader, uint64_t part,
			      struct bytes *ret_value, struct error *err);
/* Everything of every row, checked; no value is made of it. */
enum status columnar_load_all(struct columnar_reader *reader, struct error *err);
enum status offsets_load(struct columnar_reader *reader, const int64_t *heads, struct error *err);

/* A block of an epoch as a reader of columns, which the caller frees. */
enum status block_columns_open(struct text key, struct text value,
			       struct columnar_reader **ret_reader, struct error *err);

/* The payload of a column, from wherever it is, into column->payload. */
enum status column_fetch(struct columnar_reader *reader, struct read_column *column,
			 struct error *err);
/* Decodes the payload of a column, from wherever it is. */
enum status column_load(struct columnar_reader *reader, struct read_column *column,
			const struct column_rows *rows, struct error *err);
enum status system_load(struct columnar_reader *reader, enum system_column which,
			const int64_t **ret_numbers, struct error *err);

#endif
