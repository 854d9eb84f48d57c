/* columnar_private - what the files of the columnar format share: columnar.c describes it,
 * columnar_table.c collects events, columnar_cut.c, columnar_write.c and column_encode.c write
 * blocks of them, columnar_read.c and column_decode.c read those.
 *
 * Why: one format, some files. Invariant: the numbers of tags, codecs and modes are stored: they
 * are never used anew for something else. Owner and thread: as in storage/columnar.h. */
#ifndef PICKET_STORAGE_COLUMNAR_PRIVATE_H
#define PICKET_STORAGE_COLUMNAR_PRIVATE_H

#include <zstd.h>

#include "storage/columnar.h"
#include "storage/dictionary_private.h"
#include "storage/digits_private.h"

enum {
	COLUMNAR_VERSION = 1,
	COLUMNAR_RAW_MAX = 96 * 1024 * 1024, /* of one frame, decompressed */
	PART_BYTES_MIN = 2048,               /* encoded columns below it share part 0 */
	STAMP_DIGITS_MAX = 6,
	STAMP_TEXT_MAX = 32,
	TEMPLATE_SLOTS_MAX = 16,
	TEMPLATES_MAX = 255,
	TEMPLATE_TEXT_MAX = 4096,
	RUN_DIGITS_MAX = 18, /* of digits that are one number */
	HEX_TEXT_MIN = 16,
	HEX_TEXT_MAX = 128,
	UUID_TEXT_BYTES = 36,
	UUID_BYTES = 16,
	DICTIONARY_ENTRIES_MAX = 65535,
	TABLE_GROUP_OWNER_AT = 9, /* in an entry of table->groups */
};

#define COLUMNAR_MAGIC   "PCB"
#define TABLE_GROUP_NONE TEXT("\xff") /* as an entry of table->groups: no class is 255 */

/* The columns that every row has once, in this order in the directory. */
enum system_column {
	SYSTEM_HEAD,
	SYSTEM_SHAPE,
	SYSTEM_TIME,
	SYSTEM_RECORD_TIME, /* less the time of the row */
	SYSTEM_OFFSET,      /* less the offset of the row before with the same head */
	SYSTEM_INDEX,
	SYSTEM_QUALITY,
	SYSTEM_COUNT,
};

enum column_tag {
	COLUMN_NULL,
	COLUMN_EMPTY,
	COLUMN_BOOLEAN,
	COLUMN_INTEGER,
	COLUMN_INTEGER_AS, /* an integer not written as a printer would: numbers, then texts */
	COLUMN_REAL,
	COLUMN_STRING,
	COLUMN_TAG_COUNT,
};

/* What a column of that tag holds. */
enum value_type column_type(enum column_tag tag);

enum string_codec {
	STRINGS_CONSTANT,   /* text */
	STRINGS_DICTIONARY, /* varint n, n texts, integers: codes */
	STRINGS_HEX,        /* varint bytes of a value, the bytes */
	STRINGS_UUID,       /* 16 bytes each */
	STRINGS_IPV4,       /* integers */
	STRINGS_STAMP,      /* u8 fraction digits, u8 relative to the row's time, integers */
	STRINGS_TEMPLATE,   /* varint n, n texts, integers: codes, u8 slots, each: integers */
	STRINGS_PLAIN,      /* integers: sizes, bytes */
	STRINGS_CODEC_COUNT,
};

enum integer_mode { INTEGERS_CONSTANT, INTEGERS_OFFSET, INTEGERS_DELTA, INTEGERS_MODE_COUNT };

/* What the class of an event is decided by: all its categories, in their order. */
struct class_evidence {
	const struct logsource *logsource;
	bool any, security, access;
};
void class_evidence_add(struct class_evidence *evidence, struct text category);
enum data_class class_decide(const struct class_evidence *evidence);

/* What one column holds, for the encoder, and what came back, from the decoder. */
struct column_content {
	enum column_tag tag;
	size_t count;
	int64_t *numbers;   /* BOOLEAN, INTEGER, INTEGER_AS; REAL: bits */
	struct text *texts; /* INTEGER_AS, REAL, STRING */
	/* STRING, when the different texts are known: text i is entries[codes[i]]. */
	uint16_t *codes;
	struct text *entries;
	size_t entry_count; /* 0: they are not */
	/* Texts are the bytes of hexadecimal digits, all of them so many; 0: no. */
	size_t packed_bytes;
	/* Writing: only what costs next to nothing is tried, for it will be written again soon. */
	bool quick;
	/* Reading: ids stay packed, and there are no texts beside codes. */
	bool bare;
};

struct column_encoder;
struct column_encoder *column_encoder_new(void); /* NULL: out of memory */
void column_encoder_free(struct column_encoder **encoder);
/* Appends the payload of the column to `to`. times: of all rows, for stamps. When the different
 * texts are known, texts is room for all of them and is filled when that is needed; when they are
 * not and the encoder finds them, it sets codes, entries and entry_count, which are its own until
 * the next call. False: out of memory. */
bool column_encode(struct column_encoder *encoder, struct column_content *content,
		   const int64_t *times, size_t time_count, struct bytes *to);
void integers_put(struct bytes *to, const int64_t *values, size_t count);

/* Texts as the bytes they stand for; false: not all of them are such, and nothing was appended. */
bool strings_hex_put(const struct text *texts, size_t count, struct bytes *to);
bool strings_uuid_put(const struct text *texts, size_t count, struct bytes *to);
/* Those that are packed already. */
void strings_packed_put(const struct column_content *content, struct bytes *to);
/* Four numbers of 0 to 255 without leading zeros. */
bool ipv4_text_read(struct text text, int64_t *ret_address);

/* Places among the values of a column, ascending. */
struct column_picks {
	const uint32_t *places;
	size_t count;
};
/* The rows a column is of, and which of its values are wanted. */
struct column_rows {
	const int64_t *times; /* of all rows, for stamps; NULL: there are none in this column */
	size_t count;
	const struct column_picks *picks; /* NULL: all values */
};
/* False: the bytes are not those of a column of content->count values, or (*ret_memory false) the
 * arena is full. Texts are views into payload or in the arena. With picks, content holds those
 * values only and never codes, and content->count is their number. */
bool column_decode(struct text payload, const struct column_rows *rows, struct arena *arena,
		   struct column_content *content, bool *ret_memory);
/* False: none of the count texts of a column of strings is that one, which is seen without making
 * them; true: one may be. */
bool column_may_have(struct text payload, size_t count, struct text text);
/* picks NULL: all `count` integers. */
bool integers_take(struct cursor *from, size_t count, const struct column_picks *picks,
		   int64_t *values);

/* Times as RFC 3339 with a fixed number of fraction digits and Z, quickly. */
struct stamp_cache {
	int64_t day; /* of date */
	bool known;
	char date[16];
};
/* False when t is not written exactly as stamp_write() writes. */
bool stamp_read(struct stamp_cache *cache, struct text t, int64_t *ret_time_us,
		unsigned *ret_digits);
/* Returns the size; 0 when there is no such time in the years 0 to 9999. */
size_t stamp_write(struct stamp_cache *cache, int64_t time_us, unsigned digits,
		   char to[static STAMP_TEXT_MAX]);

/* A text of a table: where it stands in table->texts. */
struct text_cell {
	uint32_t at, size; /* size: with CELL_PACKED when only the bytes of its digits are there */
};
#define CELL_PACKED (1u << 31)

/* All values of one name and tag. */
struct table_column {
	struct text name; /* in table->arena */
	enum field_id id;
	enum column_tag tag;
	bool coded;          /* few texts come again and again: there are codes and no cells */
	bool repeated;       /* some shape has it more than once */
	bool full;           /* every row has one value: value i is row i's; known while cutting */
	uint32_t last_shape; /* the newest that has it */
	uint32_t count;
	int64_t *numbers;        /* BOOLEAN, INTEGER, INTEGER_AS; REAL: bits */
	struct text_cell *cells; /* INTEGER_AS, REAL, STRING */
	uint32_t *codes;         /* of a coded column: numbers of choices */
	size_t number_capacity, cell_capacity, code_capacity;
	struct dictionary choices;
	uint64_t *hashes; /* of choices, for blooms; 0 = not made yet */
	size_t hash_count;
};

struct table_shape {
	uint32_t start, count; /* in table->shape_columns */
};

struct table_row {
	int64_t time_us, record_time_us, offset;
	uint32_t index, quality, head, shape, group;
	uint32_t bytes;       /* of its values */
	uint32_t first_place; /* in table->places, while cutting */
};

struct columnar_table {
	struct table_row *rows;
	size_t count, row_capacity;
	struct table_column *columns;
	size_t column_count, column_capacity;
	size_t column_slots; /* of columns: those that were used once and keep their memory */
	uint32_t column_of[FIELD_COUNT][COLUMN_TAG_COUNT]; /* + 1, 0 = none; known fields */
	struct dictionary others; /* names of other fields with their tag -> other_columns */
	uint32_t *other_columns;
	size_t other_capacity;
	struct dictionary shapes; /* columns of an event in their order, be32 each */
	struct table_shape *shape_list;
	uint32_t *shape_columns;
	size_t shape_capacity, shape_column_count, shape_column_capacity;
	struct dictionary heads;  /* topic, varint partition, category, product, service */
	struct dictionary groups; /* class, be64 day, owner: what a block is of */
	uint32_t *places;         /* row by row: index of each value in a column that is not full */
	size_t place_capacity;
	struct bytes texts, scratch;
	size_t bytes;                     /* of values */
	struct arena *arena;              /* names */
	struct press *press;              /* columnar_write.c */
	bool (*cancelled)(void *context); /* NULL: never */
	void *context;
};

/* What a press keeps from block to block. */
struct press *press_new(void); /* NULL: out of memory */
void press_free(struct press **press);

/* Filling a table, piece by piece; all false when out of memory: the table is then good for nothing
 * but columnar_table_free(). */
/* Room for `more` items behind `count` in an array that grows by doubling. */
bool table_array_reserve(void *array, size_t *capacity, size_t count, size_t more, size_t size);
bool table_column_find(struct columnar_table *table, const struct field *field, enum column_tag tag,
		       uint32_t *ret_column);
bool table_shape_put(struct columnar_table *table, const uint32_t *columns, size_t count,
		     uint32_t *ret_shape);
bool table_head_put(struct columnar_table *table, const struct origin *origin,
		    const struct logsource *logsource, uint32_t *ret_head);
bool table_group_put(struct columnar_table *table, enum data_class class, int64_t day,
		     struct text owner, uint32_t *ret_group);
/* The group of rows of which no block is made. */
bool table_group_none(struct columnar_table *table, uint32_t *ret_group);
bool table_text_put(struct columnar_table *table, struct text text, bool packed,
		    struct text_cell *ret_cell);
/* Whether one text more is worth being a choice of a column of count values. */
bool table_is_choice(const struct table_column *column, struct text text, size_t count);
/* The values of a column as texts: too many of them are different. */
bool table_column_uncode(struct columnar_table *table, struct table_column *column);
/* The event as a row: everything but row->head and row->group, which are set. bytes: of it. */
bool table_row_put(struct columnar_table *table, const struct event *event, size_t bytes,
		   struct table_row *row);
size_t table_event_bytes(const struct event *event);
/* What rows (NULL: the first ones) have in a system column; heads and shapes are the table's. */
void table_system_take(const struct columnar_table *table, const uint32_t *rows, size_t count,
		       enum system_column column, int64_t *numbers);

struct text table_text(const struct columnar_table *table, const struct table_column *column,
		       size_t value, bool *ret_packed);

/* Writes a block of rows[0 .. *count), which are in order, into the batch; of fewer, and *count
 * says of how many, when they are too large for one. */
enum status columnar_write(struct columnar_table *table, const uint32_t *rows, size_t *count,
			   struct store_batch *batch, struct error *err);

#endif
