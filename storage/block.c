/* The format of a block, version 1: events as rows, values sorted into streams.
 *
 *   3 bytes   magic "PBK"
 *   u8        version
 *   u64le     XXH3-64 of everything behind it
 *   u32le     number of events, 1..BLOCK_EVENTS_MAX
 *   u32le     size of the content before compression, <= BLOCK_RAW_MAX
 *   frame     zstd, level 1: the content
 *
 * The content is SECTION_COUNT sections (block_private.h), each a varint size and its bytes:
 *
 *   names     text each: every field name once. A name is stored and not the number it has in
 *             schema.def, so that the table may grow, and a field that got an alias later is found
 *             under its new name in old blocks, too.
 *   shapes    varint count, then per field varint (name number << TAG_BITS | tag). Logs of one call
 *             site have one shape; it says all of an event but its values.
 *   heads     text owner, category, product, service of the log source.
 *   columns   one varint per row: head, shape, times, offset, index, quality. Times and offsets are
 *             differences, zigzag, computed without sign so that any value fits.
 *   streams   the values of all rows, in order of row and field, in four kinds: sizes (varint),
 *             numbers (zigzag varint; doubles as 8 bytes), texts (bytes), hexes (packed digits).
 *             Apart, because zstd finds more in what is alike, and because trace ids, which are
 *             half of the random bits in a log, cost half as a number and nothing in the tables.
 *
 * Rows are sorted by (owner, time, offset, index): one owner's events are one run.
 *
 * Building: block_add() writes the values to the four streams at once and remembers where the row
 * begins in each; block_finish() sorts the rows and gathers (block_content.c). All buffers are kept
 * for the next block. Names, shapes and heads go through dictionary.c. */
#include "storage/block_private.h"

#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "storage/key_private.h"

enum {
	ZSTD_LEVEL = 1,
	HEX_DIGITS_MIN = 16,
	INTEGER_DIGITS_MAX = 19,
	VARINT_MAX = 10,
};

struct block_builder *block_builder_new(void)
{
	struct block_builder *builder = calloc(1, sizeof *builder);
	if (builder == NULL)
		return NULL;
	builder->rows = calloc(BLOCK_EVENTS_MAX, sizeof *builder->rows);
	builder->zstd = ZSTD_createCCtx();
	if (builder->rows == NULL || builder->zstd == NULL)
		block_builder_free(&builder);
	return builder;
}

void block_builder_free(struct block_builder **builder)
{
	struct block_builder *gone = *builder;
	if (gone == NULL)
		return;
	dictionary_done(&gone->names);
	dictionary_done(&gone->shapes);
	dictionary_done(&gone->heads);
	bytes_done(&gone->owners);
	for (size_t i = 0; i < STREAM_COUNT; i++)
		bytes_done(&gone->streams[i]);
	bytes_done(&gone->topic);
	bytes_done(&gone->scratch);
	bytes_done(&gone->content);
	bytes_done(&gone->frame);
	(void)ZSTD_freeCCtx(gone->zstd);
	free(gone->rows);
	free(gone);
	*builder = NULL;
}

size_t block_event_count(const struct block_builder *builder)
{
	return builder->count;
}

size_t integer_print(int64_t value, char to[static INTEGER_PRINT_BYTES])
{
	char digits[INTEGER_PRINT_BYTES];
	uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
	size_t count = 0;
	do {
		digits[count++] = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest > 0);
	size_t size = 0;
	if (value < 0)
		to[size++] = '-';
	while (count > 0)
		to[size++] = digits[--count];
	return size;
}

bool integer_is_plain(const struct value *value)
{
	struct text t = value->text;
	bool negative = t.size > 0 && t.data[0] == '-';
	size_t first = negative;
	if (t.size == first || t.size - first > INTEGER_DIGITS_MAX)
		return false;
	if (t.data[first] == '0')
		return t.size == 1 && value->integer == 0;
	uint64_t sum = 0; /* of at most 19 digits: below 2^64 */
	for (size_t i = first; i < t.size; i++) {
		unsigned digit = (unsigned)(t.data[i] - '0');
		if (digit > 9)
			return false;
		sum = sum * 10 + digit;
	}
	uint64_t magnitude = (uint64_t)value->integer;
	return negative == (value->integer < 0) && sum == (negative ? 0 - magnitude : magnitude);
}

/* The writers below write where block_add() has reserved room; a call per byte would cost more than
 * the compression. Each returns the place behind what it wrote. */
static inline unsigned char *write_varint(unsigned char *to, uint64_t value)
{
	while (value >= 0x80) {
		*to++ = (unsigned char)(value | 0x80);
		value >>= 7;
	}
	*to++ = (unsigned char)value;
	return to;
}

static inline unsigned char *write_bytes(unsigned char *to, struct text t)
{
	if (t.size > 0)
		memcpy(to, t.data, t.size);
	return to + t.size;
}

static inline unsigned char *write_text(unsigned char *to, struct text t)
{
	return write_bytes(write_varint(to, t.size), t);
}

/* The value of a lower-case hexadecimal digit plus one; 0 for any other byte. */
static const unsigned char hex_digits[256] = {
	['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,
	['6'] = 7,  ['7'] = 8,  ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12,
	['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
};

/* Packs t; NULL when it is not worth it or not hexadecimal. */
static unsigned char *write_hex(unsigned char *to, struct text t)
{
	if (t.size < HEX_DIGITS_MIN || t.size % 2 != 0)
		return NULL;
	for (size_t i = 0; i < t.size; i += 2) {
		unsigned high = hex_digits[(unsigned char)t.data[i]];
		unsigned low = hex_digits[(unsigned char)t.data[i + 1]];
		if (high == 0 || low == 0)
			return NULL;
		*to++ = (unsigned char)((high - 1) << 4 | (low - 1));
	}
	return to;
}

/* Where the next bytes of each stream go. */
struct pens {
	unsigned char *sizes, *numbers, *texts, *hexes;
};

static void put_text(struct pens *pens, struct text t)
{
	pens->sizes = write_varint(pens->sizes, t.size);
	pens->texts = write_bytes(pens->texts, t);
}

static enum value_tag put_string(struct pens *pens, struct text t)
{
	unsigned char *end = write_hex(pens->hexes, t);
	if (end == NULL) {
		put_text(pens, t);
		return TAG_STRING;
	}
	pens->sizes = write_varint(pens->sizes, t.size / 2);
	pens->hexes = end;
	return TAG_HEX;
}

/* Writes the value to its streams and says how. */
static enum value_tag put_value(struct pens *pens, const struct value *value)
{
	switch (value->type) {
	case VALUE_NULL:
		return TAG_NULL;
	case VALUE_EMPTY:
		return TAG_EMPTY;
	case VALUE_BOOLEAN:
		*pens->numbers++ = value->boolean;
		return TAG_BOOLEAN;
	case VALUE_INTEGER: {
		uint64_t sign = value->integer < 0 ? UINT64_MAX : 0;
		pens->numbers = write_varint(pens->numbers, (uint64_t)value->integer << 1 ^ sign);
		if (integer_is_plain(value))
			return TAG_INTEGER;
		put_text(pens, value->text);
		return TAG_INTEGER_AS;
	}
	case VALUE_REAL: {
		uint64_t bits = 0;
		memcpy(&bits, &value->real, sizeof bits);
		for (unsigned i = 0; i < sizeof bits; i++)
			*pens->numbers++ = (unsigned char)(bits >> (8 * i));
		put_text(pens, value->text);
		return TAG_REAL;
	}
	case VALUE_STRING:
		return put_string(pens, value->text);
	}
	assert(false && "a value of no type");
}

static bool name_number(struct block_builder *builder, const struct field *field,
			uint32_t *ret_number)
{
	if (field->id != FIELD_OTHER && builder->name_of_field[field->id] != 0) {
		*ret_number = builder->name_of_field[field->id] - 1;
		return true;
	}
	struct text name = field->id == FIELD_OTHER ? field->name : schema_info(field->id)->name;
	bytes_clear(&builder->scratch);
	bytes_put_text(&builder->scratch, name);
	if (builder->scratch.failed ||
	    !dictionary_number(&builder->names, bytes_text(&builder->scratch), ret_number))
		return false;
	if (field->id != FIELD_OTHER)
		builder->name_of_field[field->id] = *ret_number + 1;
	return true;
}

/* Writes all values; the shape comes out as a number of the dictionary. */
static bool put_fields(struct block_builder *builder, const struct event *event, struct pens *pens,
		       uint32_t *ret_shape)
{
	assert(event->field_count <= EVENT_FIELDS_MAX);
	unsigned char shape[VARINT_MAX * (1 + EVENT_FIELDS_MAX)];
	unsigned char *end = write_varint(shape, event->field_count);
	for (size_t i = 0; i < event->field_count; i++) {
		uint32_t name;
		if (!name_number(builder, &event->fields[i], &name))
			return false;
		enum value_tag tag = put_value(pens, &event->fields[i].value);
		end = write_varint(end, (uint64_t)name << TAG_BITS | (uint64_t)tag);
	}
	struct text entry = {(const char *)shape, (size_t)(end - shape)};
	return dictionary_number(&builder->shapes, entry, ret_shape);
}

static bool head_number(struct block_builder *builder, const struct event *event,
			uint32_t *ret_head)
{
	const struct logsource *source = &event->logsource;
	bytes_clear(&builder->scratch);
	if (!bytes_reserve(&builder->scratch, 4 * VARINT_MAX + event->owner.size +
						      source->category.size + source->product.size +
						      source->service.size))
		return false;
	unsigned char *start = builder->scratch.data;
	unsigned char *end = write_text(start, event->owner);
	end = write_text(end, source->category);
	end = write_text(end, source->product);
	end = write_text(end, source->service);
	struct text entry = {(const char *)start, (size_t)(end - start)};
	return dictionary_number(&builder->heads, entry, ret_head);
}

/* Room in all streams for whatever the fields of the event take at most. */
static bool streams_reserve(struct block_builder *builder, const struct event *event)
{
	size_t texts_bytes = 0;
	for (size_t i = 0; i < event->field_count; i++)
		texts_bytes += event->fields[i].value.text.size;
	size_t numbers_bytes = VARINT_MAX * event->field_count;
	struct bytes *streams = builder->streams;
	return bytes_reserve(&streams[STREAM_SIZES], numbers_bytes) &&
	       bytes_reserve(&streams[STREAM_NUMBERS], numbers_bytes) &&
	       bytes_reserve(&streams[STREAM_TEXTS], texts_bytes) &&
	       bytes_reserve(&streams[STREAM_HEXES], texts_bytes);
}

/* Writes the event behind what the streams hold and fills the row, without counting either. */
static bool row_write(struct block_builder *builder, const struct event *event, struct row *row)
{
	if (!streams_reserve(builder, event))
		return false;
	unsigned char *starts[STREAM_COUNT];
	for (size_t i = 0; i < STREAM_COUNT; i++) {
		row->start[i] = (uint32_t)builder->streams[i].size;
		/* A stream that was never needed has no memory, and nobody will write there. */
		starts[i] = builder->streams[i].data == NULL
				    ? NULL
				    : builder->streams[i].data + builder->streams[i].size;
	}
	struct pens pens = {starts[STREAM_SIZES], starts[STREAM_NUMBERS], starts[STREAM_TEXTS],
			    starts[STREAM_HEXES]};
	if (!put_fields(builder, event, &pens, &row->shape) ||
	    !head_number(builder, event, &row->head))
		return false;
	row->size[STREAM_SIZES] = (uint32_t)(pens.sizes - starts[STREAM_SIZES]);
	row->size[STREAM_NUMBERS] = (uint32_t)(pens.numbers - starts[STREAM_NUMBERS]);
	row->size[STREAM_TEXTS] = (uint32_t)(pens.texts - starts[STREAM_TEXTS]);
	row->size[STREAM_HEXES] = (uint32_t)(pens.hexes - starts[STREAM_HEXES]);
	row->time_us = event->time_us;
	row->record_time_us = event->record_time_us;
	row->offset = event->origin.offset;
	row->index = event->origin.index;
	row->quality = event->quality;
	return true;
}

static size_t builder_bytes(const struct block_builder *builder)
{
	size_t bytes = builder->names.entries.size + builder->shapes.entries.size +
		       builder->heads.entries.size;
	for (size_t i = 0; i < STREAM_COUNT; i++)
		bytes += builder->streams[i].size;
	return bytes;
}

/* All events of a block come from one place; the first one says which. */
static bool origin_fits(struct block_builder *builder, const struct origin *origin)
{
	if (builder->count == 0) {
		bytes_clear(&builder->topic);
		bytes_put(&builder->topic, origin->topic.data, origin->topic.size);
		builder->partition = origin->partition;
		return !builder->topic.failed;
	}
	assert(builder->partition == origin->partition);
	assert(text_equal(bytes_text(&builder->topic), origin->topic));
	return true;
}

enum status block_add(struct block_builder *builder, const struct event *event)
{
	if (builder->count == BLOCK_EVENTS_MAX)
		return ELIMIT;
	struct row *row = &builder->rows[builder->count];
	if (!origin_fits(builder, &event->origin) || !row_write(builder, event, row)) {
		for (size_t i = 0; i < STREAM_COUNT; i++)
			builder->streams[i].failed = false; /* the block so far is as it was */
		return ENOMEMORY;
	}
	size_t added = 0;
	for (size_t i = 0; i < STREAM_COUNT; i++)
		added += row->size[i];
	/* An event alone is always taken, however large: nobody could make it fit by finishing.
	 * What it left in the dictionaries are good entries that nothing names. */
	if (builder->count > 0 && builder_bytes(builder) + added > BLOCK_BYTES_MAX)
		return ELIMIT;
	for (size_t i = 0; i < STREAM_COUNT; i++)
		builder->streams[i].size += row->size[i];
	builder->count++;
	return OK;
}

static void builder_clear(struct block_builder *builder)
{
	dictionary_clear(&builder->names);
	dictionary_clear(&builder->shapes);
	dictionary_clear(&builder->heads);
	for (size_t i = 0; i < STREAM_COUNT; i++)
		bytes_clear(&builder->streams[i]);
	memset(builder->name_of_field, 0, sizeof builder->name_of_field);
	builder->count = 0;
}

enum status block_finish(struct block_builder *builder, struct bytes *ret_block,
			 struct block_meta *ret_meta, struct error *err)
{
	assert(builder->count > 0);
	size_t bound = 0;
	bool built = block_content_build(builder);
	if (built) {
		bound = ZSTD_compressBound(builder->content.size);
		bytes_clear(&builder->frame);
		built = bytes_reserve(&builder->frame, bound);
	}
	if (!built)
		return error_set(err, ENOMEMORY, "no memory for a block of %zu events",
				 builder->count);
	assert(builder->content.size <= BLOCK_RAW_MAX);
	size_t size = ZSTD_compressCCtx(builder->zstd, builder->frame.data, bound,
					builder->content.data, builder->content.size, ZSTD_LEVEL);
	if (ZSTD_isError(size))
		return error_set(err, ENOMEMORY, "compressing a block: %s",
				 ZSTD_getErrorName(size));
	bytes_clear(ret_block);
	bytes_put(ret_block, BLOCK_MAGIC, BLOCK_MAGIC_BYTES);
	bytes_put_u8(ret_block, BLOCK_VERSION);
	bytes_put_u64le(ret_block, 0);
	bytes_put_u32le(ret_block, (uint32_t)builder->count);
	bytes_put_u32le(ret_block, (uint32_t)builder->content.size);
	bytes_put(ret_block, builder->frame.data, size);
	if (ret_block->failed)
		return error_set(err, ENOMEMORY, "no memory for a block of %zu bytes", size);
	uint64_t sum = XXH3_64bits(ret_block->data + BLOCK_CHECKED_FROM,
				   ret_block->size - BLOCK_CHECKED_FROM);
	for (unsigned i = 0; i < sizeof sum; i++)
		ret_block->data[BLOCK_SUM_AT + i] = (unsigned char)(sum >> (8 * i));
	if (!block_meta_of(builder, ret_meta))
		return error_set(err, ENOMEMORY, "no memory for the owners of a block");
	builder_clear(builder);
	return OK;
}

void block_key(struct text topic, int32_t partition, int64_t first_offset, uint32_t first_index,
	       struct bytes *to)
{
	struct origin first = {topic, partition, first_index, first_offset};
	key_put_origin(to, &first);
}
