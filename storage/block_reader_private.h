/* block_reader_private - a block of an epoch that is being read, value by value as it is stored.
 *
 * Why: merging puts values into columns and needs neither events nor their numbers as digits; that
 * is two thirds of what block_next() costs. Invariant: block_open() has checked names, shapes and
 * heads; a value that goes beyond its section comes out empty, and the next block_row_next() says
 * so. Owner and thread: as in storage/block.h. */
#ifndef PICKET_STORAGE_BLOCK_READER_PRIVATE_H
#define PICKET_STORAGE_BLOCK_READER_PRIVATE_H

#include "storage/block_private.h"

struct name {
	struct text text;
	enum field_id id;
};

/* The fields of one shape: keys[start .. start + count). */
struct shape {
	size_t start, count;
};

struct head {
	struct text owner;
	struct logsource logsource;
};

struct block_reader {
	struct text key;
	struct origin origin; /* of the last row; topic and partition of all */
	int64_t time_us;      /* of the last row */
	uint32_t rows_left;
	unsigned char *content;
	struct cursor sections[SECTION_COUNT];
	struct name *names;
	struct shape *shapes;
	uint32_t *keys;
	struct head *heads;
	size_t name_count, shape_count, head_count;
};

/* Everything of a row but its values. */
struct block_row {
	int64_t time_us, record_time_us, offset;
	uint32_t index, quality, head, shape;
};

/* number: BOOLEAN, INTEGER, INTEGER_AS; REAL: its bits. text: INTEGER_AS, REAL, STRING; HEX: the
 * bytes that the digits stand for. */
struct block_value {
	enum value_tag tag;
	int64_t number;
	struct text text;
};

/* The next row; block_value_next() must then be called for each key of its shape, in order. */
enum status block_row_next(struct block_reader *reader, struct block_row *ret_row, bool *ret_more,
			   struct error *err);

static inline struct block_value block_value_next(struct block_reader *reader, uint32_t key)
{
	struct cursor *sections = reader->sections;
	struct block_value value = {.tag = (enum value_tag)(key & ((1u << TAG_BITS) - 1))};
	bool texts =
		value.tag == TAG_STRING || value.tag == TAG_INTEGER_AS || value.tag == TAG_REAL;
	if (value.tag == TAG_INTEGER || value.tag == TAG_INTEGER_AS)
		value.number = cursor_signed(&sections[SECTION_NUMBERS]);
	else if (value.tag == TAG_BOOLEAN)
		value.number = cursor_u8(&sections[SECTION_NUMBERS]);
	else if (value.tag == TAG_REAL)
		value.number = (int64_t)cursor_u64le(&sections[SECTION_NUMBERS]);
	if (!texts && value.tag != TAG_HEX)
		return value;
	uint64_t size = cursor_varint(&sections[SECTION_SIZES]);
	value.text = cursor_take(&sections[texts ? SECTION_TEXTS : SECTION_HEXES], size);
	return value;
}

/* Writes two digits for each byte. */
static inline void block_hex_unpack(struct text packed, char *to)
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < packed.size; i++) {
		unsigned char byte = (unsigned char)packed.data[i];
		to[2 * i] = digits[byte >> 4];
		to[2 * i + 1] = digits[byte & 15];
	}
}

#endif
