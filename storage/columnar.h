/* columnar - merged blocks: the events of one owner, data class and day, stored by column.
 *
 * Why: what an epoch leaves behind is small, mixed, quick to write and slow to search. Merging cuts
 * it again: a question about one field then reads that field only, and what is alike lies together.
 *
 * Invariant: a block is immutable; it gives back every event field by field, in the order and with
 * the types and digits it had. Its events are sorted by (time, origin). Whatever is read is checked
 * (checksum, then every length and number) before it is used.
 * Owner: see each call. Thread: one. Limits: BLOCK_EVENTS_MAX events, BLOCK_BYTES_MAX of values
 * unless one event alone is larger, COLUMNS_MAX columns; a table TABLE_EVENTS_MAX events,
 * TABLE_BYTES_MAX, TABLE_COLUMNS_MAX and TABLE_GROUPS_MAX. */
#ifndef PICKET_STORAGE_COLUMNAR_H
#define PICKET_STORAGE_COLUMNAR_H

#include "storage/block.h"
#include "storage/view.h"

enum {
	COLUMNS_MAX = 4096,
	TABLE_EVENTS_MAX = 512 * 1024,
	TABLE_BYTES_MAX = 256 * 1024 * 1024, /* of values, unless one event alone is larger */
	TABLE_COLUMNS_MAX = BLOCK_COLUMNS_MAX,
	TABLE_GROUPS_MAX = 4096, /* (owner, class, day)s */
	/* Keys of merged blocks begin with it; those of epoch blocks with the size of a topic's
	 * name, which is smaller. */
	COLUMNAR_MARK = 'M',
	BLOOM_MARK = 'B',
	BLOOM_PREFIX_BYTES = 9, /* of a key: the mark and which field */
};

/* What retention is decided by, beside the tenant: columnar.c says which event is which. */
enum data_class { CLASS_SECURITY, CLASS_ACCESS, CLASS_APPLICATION, CLASS_COUNT };
const char *data_class_name(enum data_class class);
/* False when there is none of that name. */
bool data_class_find(struct text name, enum data_class *ret_class);
enum data_class data_class_of(const struct event *event);

/* Days since 1970, negative before: the unit that retention drops. */
int64_t day_of_time(int64_t time_us);

/* The key of a block and of its summary: mark class day owner first-time first-origin hash. */
struct columnar_key {
	enum data_class class;
	int64_t day;
	struct text owner; /* may be shortened, see ROW_NAME_MAX */
	int64_t first_time_us;
	struct origin first;
	uint32_t rows_hash; /* of where all its rows came from */
};
void columnar_key_encode(const struct columnar_key *key, struct bytes *to);
enum status columnar_key_decode(struct text key, struct columnar_key *ret_key, struct error *err);
/* The beginning of the keys of a class; of one day of it; of one owner in it (owner NULL: all). */
void columnar_key_prefix(enum data_class class, const int64_t *day, const struct text *owner,
			 struct bytes *to);
/* An owner as it stands in keys, which is shortened when it is long: a view into scratch. */
enum status columnar_key_owner(struct text owner, struct bytes *scratch, struct text *ret_owner,
			       struct error *err);
/* FAMILY_BLOCKMETA: the bloom of the field called name, of the block with that key. */
void bloom_key(struct text name, struct text block_key, struct bytes *to);

struct columnar_table;
struct columnar_reader;
struct retention;

/* Events of any owner, class and day that wait to become blocks. */
struct columnar_table *columnar_table_new(void); /* NULL: out of memory */
void columnar_table_free(struct columnar_table **table);
/* Copies the event. ELIMIT when the table is full: cut it and add again. */
enum status columnar_add(struct columnar_table *table, const struct event *event);
/* Adds all rows of a block, without those below their floor, and counts both. Everything in the
 * block is checked before the first row is added, and the reader gives no values out any more.
 * ELIMIT when the table has no room for all of them: cut it and add the block again. After
 * ENOMEMORY the table must not be cut. */
struct columnar_intake {
	uint64_t events, expired;
};
enum status columnar_add_block(struct columnar_table *table, struct columnar_reader *reader,
			       const struct retention *retention, struct columnar_intake *report,
			       struct error *err);
/* Forgets all events and keeps the memory. */
void columnar_table_clear(struct columnar_table *table);
size_t columnar_table_count(const struct columnar_table *table);
bool columnar_table_is_full(const struct columnar_table *table);
/* Asked before each block that columnar_cut() makes: true ends it with ECLOSED, and neither batch
 * nor table is good for anything then. */
void columnar_table_cancel(struct columnar_table *table, bool (*cancelled)(void *context),
			   void *context);
/* Puts the rows of blocks of all events (parts, summaries, blooms) into the batch and empties the
 * table; the blocks of one owner, class and day are as large as they can be and as equal. */
enum status columnar_cut(struct columnar_table *table, struct store_batch *batch,
			 uint64_t *ret_blocks, struct error *err);

/* key as in FAMILY_BLOCKMETA; key and view must outlive the reader. ENOTFOUND: no such block. */
enum status columnar_open(struct store_view *view, struct text key,
			  struct columnar_reader **ret_reader, struct error *err);
/* Reads all of it: afterwards every event comes out. */
enum status columnar_check(struct columnar_reader *reader, struct error *err);
void columnar_reader_free(struct columnar_reader **reader);
size_t columnar_count(const struct columnar_reader *reader);
/* Bytes read from the store, and columns decoded, so far. */
size_t columnar_bytes_read(const struct columnar_reader *reader);
size_t columnar_columns_read(const struct columnar_reader *reader);

/* A column: all values of one name and type, row by row; a row may have none or several. */
struct column_info {
	struct text name;
	enum field_id id;
	enum value_type type;
	size_t value_count;
};
size_t columnar_column_count(const struct columnar_reader *reader);
struct column_info columnar_column(const struct columnar_reader *reader, size_t column);

/* The values of a column. With codes, value i is entries[codes[i]]. */
struct column_values {
	const struct value *values; /* NULL with codes */
	const uint16_t *codes;
	const struct value *entries;
	size_t entry_count;
};
/* Reads and checks the column when that was not done yet; valid as long as the reader. */
enum status columnar_values(struct columnar_reader *reader, size_t column,
			    struct column_values *ret_values, struct error *err);
/* False: no value of a column of texts is that text. Cheaper than its values, for ids. */
enum status columnar_may_have(struct columnar_reader *reader, size_t column, struct text text,
			      bool *ret_may, struct error *err);
/* How many values of the column the row has. */
size_t columnar_row_values(const struct columnar_reader *reader, size_t row, size_t column);

/* Events are asked for these rows only from now on (ascending): columns that were not read before
 * are read for them alone. */
enum status columnar_select(struct columnar_reader *reader, const uint16_t *rows, size_t count,
			    struct error *err);

int64_t columnar_time(const struct columnar_reader *reader, size_t row);
/* Everything of a row but its fields. */
enum status columnar_head(struct columnar_reader *reader, size_t row, struct event *ret_event,
			  struct error *err);
/* The whole event: fields in the arena, texts views into the reader. */
enum status columnar_event(struct columnar_reader *reader, size_t row, struct arena *arena,
			   struct event *ret_event, struct error *err);
/* Only the named fields (canonical names), without the rest of the fields. */
enum status columnar_project(struct columnar_reader *reader, size_t row, const struct text *names,
			     size_t name_count, struct arena *arena, struct event *ret_event,
			     struct error *err);

/* Rows of one log source with the same fields in the same order. */
struct columnar_kind {
	uint32_t first_row, count;
	uint32_t next; /* + 1: another kind with these fields; 0 = none */
};
/* The kinds among the rows of that time (inclusive), found without reading a value; valid as long
 * as the reader. */
enum status columnar_kinds(struct columnar_reader *reader, int64_t since_us, int64_t until_us,
			   const struct columnar_kind **ret_kinds, size_t *ret_count,
			   struct error *err);
/* As columnar_event(), with null for every value: none is read. */
enum status columnar_names(struct columnar_reader *reader, size_t row, struct arena *arena,
			   struct event *ret_event, struct error *err);

/* Every row of the block (parts, summary, blooms), for columnar_rows_delete(): *ret_rows is written
 * from its start. The summary must be readable. */
enum status columnar_rows_find(struct store_view *view, struct text key, struct bytes *ret_rows,
			       struct error *err);
void columnar_rows_delete(struct text rows, struct store_batch *batch);

#endif
