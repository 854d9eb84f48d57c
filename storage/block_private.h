/* block_private - what the files of the block format share: block.c describes and writes it,
 * block_content.c sorts a block's rows, block_reader.c reads it.
 *
 * Why: one format, three files. Invariant: the numbers of sections and tags are stored: they are
 * never used anew for something else. Owner and thread: as in storage/block.h. */
#ifndef PICKET_STORAGE_BLOCK_PRIVATE_H
#define PICKET_STORAGE_BLOCK_PRIVATE_H

#include <assert.h>
#include <zstd.h>

#include "storage/block.h"
#include "storage/dictionary_private.h"

enum {
	BLOCK_VERSION = 1,
	BLOCK_MAGIC_BYTES = 3,
	BLOCK_SUM_AT = 4,
	BLOCK_HEADER_BYTES = 20,
	BLOCK_CHECKED_FROM = 12,          /* the checksum covers everything from here */
	BLOCK_RAW_MAX = 96 * 1024 * 1024, /* one event of the largest kind is 66 MiB */
	INTEGER_PRINT_BYTES = 24,
};

#define BLOCK_MAGIC "PBK"

enum block_section {
	SECTION_NAMES,
	SECTION_SHAPES,
	SECTION_HEADS,
	SECTION_HEAD,        /* column: number of the head of each row */
	SECTION_SHAPE,       /* column: number of the shape of each row */
	SECTION_TIME,        /* column: signed, less the row before */
	SECTION_RECORD_TIME, /* column: signed, less the time of the row */
	SECTION_OFFSET,      /* column: signed, less the row before */
	SECTION_INDEX,       /* column */
	SECTION_QUALITY,     /* column */
	SECTION_SIZES,       /* of texts, row by row */
	SECTION_NUMBERS,
	SECTION_TEXTS,
	SECTION_HEXES,
	SECTION_COUNT,
};

/* The streams that a row's values are written to: the last four sections. */
enum block_stream { STREAM_SIZES, STREAM_NUMBERS, STREAM_TEXTS, STREAM_HEXES, STREAM_COUNT };
static_assert(SECTION_SIZES + STREAM_COUNT == SECTION_COUNT, "a stream is a section");

enum value_tag {
	TAG_NULL,
	TAG_EMPTY,
	TAG_BOOLEAN,    /* numbers: u8 */
	TAG_INTEGER,    /* numbers: signed */
	TAG_INTEGER_AS, /* an integer not written as we would: numbers, and its text */
	TAG_REAL,       /* numbers: 8 bytes; sizes, texts: its digits */
	TAG_STRING,     /* sizes, texts */
	TAG_HEX,        /* sizes: of the bytes; hexes: two lower-case digits per byte */
	TAG_COUNT,
};

enum { TAG_BITS = 4 }; /* of a key in a shape; the number of the name stands above them */

/* Decimal digits of value, as JSON writes it; returns the size. */
size_t integer_print(int64_t value, char to[static INTEGER_PRINT_BYTES]);
/* Whether the text is what integer_print() would write; reading it is cheaper than printing. */
bool integer_is_plain(const struct value *value);

struct row {
	int64_t time_us, record_time_us, offset;
	uint32_t index, quality, head, shape;
	uint32_t owner_rank;
	uint32_t start[STREAM_COUNT], size[STREAM_COUNT];
};

struct block_builder {
	struct dictionary names, shapes, heads;
	struct bytes streams[STREAM_COUNT];
	struct row *rows; /* BLOCK_EVENTS_MAX of them */
	uint16_t order[BLOCK_EVENTS_MAX];
	size_t count;
	struct bytes topic;  /* of all events */
	struct bytes owners; /* of the block that was finished last, as its blockmeta says them */
	int32_t partition;
	uint32_t name_of_field[FIELD_COUNT]; /* name number + 1, or 0 */
	struct bytes scratch;                /* an entry of a dictionary, a column */
	struct bytes content;
	struct bytes frame;
	ZSTD_CCtx *zstd;
};

/* Sorts the rows and puts the content together, in builder->content. False: out of memory. */
bool block_content_build(struct block_builder *builder);
struct text block_head_owner(const struct block_builder *builder, uint32_t head);
/* Of the rows in their order. False: out of memory. */
bool block_meta_of(struct block_builder *builder, struct block_meta *ret_meta);

#endif
