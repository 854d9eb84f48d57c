/* columnar_private - what the files of the columnar format share: columnar.c describes it and takes
 * events, columnar_write.c and column_encode.c write it, columnar_read.c and column_decode.c read
 * it.
 *
 * Why: one format, some files. Invariant: the numbers of tags, codecs and modes are stored: they
 * are never used anew for something else. Owner and thread: as in storage/columnar.h. */
#ifndef PICKET_STORAGE_COLUMNAR_PRIVATE_H
#define PICKET_STORAGE_COLUMNAR_PRIVATE_H

#include <zstd.h>

#include "storage/columnar.h"
#include "storage/dictionary_private.h"

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
};

#define COLUMNAR_MAGIC "PCB"

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

/* One value while a block is built. STRING: at, size of the text. BOOLEAN, INTEGER: number.
 * INTEGER_AS, REAL: number (of REAL its bits), and the text in the cell behind it. */
union cell {
	int64_t number;
	struct {
		uint32_t at, size;
	} text;
};

/* What one column holds, for the encoder, and what came back, from the decoder. */
struct column_content {
	enum column_tag tag;
	size_t count;
	int64_t *numbers;   /* BOOLEAN, INTEGER, INTEGER_AS; REAL: bits */
	struct text *texts; /* INTEGER_AS, REAL, STRING */
	/* STRING, when a dictionary was used: texts[i] = entries[codes[i]]. */
	uint16_t *codes;
	struct text *entries;
	size_t entry_count; /* 0: no dictionary */
};

struct column_encoder;
struct column_encoder *column_encoder_new(void); /* NULL: out of memory */
void column_encoder_free(struct column_encoder **encoder);
/* Appends the payload of the column to `to`. times: of all rows, for stamps. Sets codes, entries
 * and entry_count of content where a dictionary was used; they are the encoder's until its next
 * call. False: out of memory. */
bool column_encode(struct column_encoder *encoder, struct column_content *content,
		   const int64_t *times, size_t time_count, struct bytes *to);
void integers_put(struct bytes *to, const int64_t *values, size_t count);

/* False: the bytes are not those of a column of content->count values, or (*ret_memory false) the
 * arena is full. Texts are views into payload or in the arena. */
bool column_decode(struct text payload, const int64_t *times, size_t time_count,
		   struct arena *arena, struct column_content *content, bool *ret_memory);
bool integers_take(struct cursor *from, int64_t *values, size_t count);

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

struct build_column {
	struct text name; /* in builder->arena */
	enum field_id id;
	enum column_tag tag;
	union cell *cells;
	uint32_t count, capacity; /* of cells */
};

struct build_row {
	int64_t time_us, record_time_us, offset;
	uint32_t index, quality, head, shape;
	uint32_t first_place; /* in builder->places */
};

struct columnar_builder {
	struct build_row *rows;
	size_t count, row_capacity;
	struct build_column *columns;
	size_t column_count, column_capacity;
	uint32_t column_of[FIELD_COUNT][COLUMN_TAG_COUNT]; /* + 1, 0 = none; known fields */
	struct dictionary others; /* names of other fields with their tag -> other_columns */
	uint32_t *other_columns;
	size_t other_capacity;
	struct dictionary shapes; /* varint count, varint columns */
	struct dictionary heads;  /* topic, be32 partition, category, product, service */
	uint32_t *places;         /* row by row: index of each value in its column */
	size_t place_count, place_capacity;
	size_t cell_count; /* of all columns */
	struct bytes texts, owner, scratch;
	struct arena *arena;
	enum data_class class;
	int64_t day;
};

/* Cells that a value of the tag takes. */
static inline unsigned cells_of(enum column_tag tag)
{
	if (tag == COLUMN_NULL || tag == COLUMN_EMPTY)
		return 0;
	return tag == COLUMN_INTEGER_AS || tag == COLUMN_REAL ? 2 : 1;
}

void columnar_builder_clear(struct columnar_builder *builder);

#endif
