/* The format of a merged block, version 1: events by column, in several rows of the store.
 *
 *   FAMILY_BLOCK      key(block) be16(0)       the directory and the small columns
 *   FAMILY_BLOCK      key(block) be16(1..n)    one large column each
 *   FAMILY_BLOCKMETA  key(block)               the summary (summary.c)
 *   FAMILY_BLOCKMETA  'B' be64(hash of a name) key(block) without its mark: a bloom (bloom.c)
 *
 *   key(block) = 'M' u8(class) be32(day) name(owner) be64(first time) topic partition offset index
 *                be32(hash of the rows)
 *
 * The hash is over time, offset and index of all rows: records that were read a second time
 * (sources seek) are events a second time, in blocks of their own, and must not replace the first.
 *
 * A column that is worth a frame of its own is a row of its own, so that a question reads from the
 * disk what it names and not the block. Class and day come first, so that retention drops ranges
 * of keys, which are whole files; blooms are by field first, so that looking for one trace walks
 * over the blooms of trace ids and nothing else. Days and times are stored with their sign bit
 * flipped: byte order is their order.
 *
 * Part 0:  3 bytes magic "PCB", u8 version, u64le XXH3-64 of everything behind it, u32le events,
 *          u16le parts, u32le size of the frame decompressed, u8 1 = zstd, the frame:
 *          owner (text), heads, shapes, the directory, the small columns one behind the other
 *   heads     varint size; per head: topic (text), varint partition, category, product, service
 *   shapes    varint size; per shape: varint count, varint columns: the fields of an event in their
 *             order. Logs of one call site have one shape; all of an event but its values.
 *   directory varint columns; per column: name (text), u8 tag, varint values, varint part (0 =
 * here), varint size of the payload. The first SYSTEM_COUNT columns are every row's own: head,
 * shape, times, offset, index, quality. Part n:  u64le XXH3-64 of everything behind it, u32le size
 * decompressed, u8 1 = zstd, payload
 *
 * A name is stored and not the number it has in schema.def, so that the table may grow. A field
 * that comes with two types is two columns: values of one column are all of one kind, and what kind
 * is found out by looking at them (column_encode.c).
 *
 * Building: columnar_add() appends to the columns; columnar_finish() (columnar_write.c) sorts the
 * rows and writes. `places` remembers for each value of each row where it stands in its column. */
#include "storage/columnar_private.h"

#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "storage/block_private.h"
#include "storage/key_private.h"

enum { SHAPE_BYTES_MAX = 10 * (1 + EVENT_FIELDS_MAX), CELLS_FIRST = 16 };

static const int64_t day_us = 86400000000;

static const char *const class_names[CLASS_COUNT] = {
	[CLASS_SECURITY] = "security",
	[CLASS_ACCESS] = "access",
	[CLASS_APPLICATION] = "application",
};

const char *data_class_name(enum data_class class)
{
	assert((unsigned)class < CLASS_COUNT);
	return class_names[class];
}

bool data_class_find(struct text name, enum data_class *ret_class)
{
	for (unsigned i = 0; i < CLASS_COUNT; i++) {
		if (!text_equal(name, text_of(class_names[i])))
			continue;
		*ret_class = (enum data_class)i;
		return true;
	}
	return false;
}

/* Who did what with which rights is kept longest, who asked for what next, and what a program says
 * to its developers least: the categories of ECS, then the log source. */
enum data_class data_class_of(const struct event *event)
{
	static const char *const security[] = {
		"authentication",      "iam",    "session", "configuration",
		"intrusion_detection", "threat", "malware", "vulnerability",
	};
	static const char *const access[] = {"web", "api", "network", "database", "file"};
	for (size_t i = 0; i < event->field_count; i++) {
		if (event->fields[i].id != FIELD_EVENT_CATEGORY)
			continue;
		for (size_t k = 0; k < sizeof security / sizeof *security; k++)
			if (text_equal(event->fields[i].value.text, text_of(security[k])))
				return CLASS_SECURITY;
	}
	struct text category = event_text(event, FIELD_EVENT_CATEGORY);
	for (size_t k = 0; k < sizeof access / sizeof *access; k++)
		if (text_equal(category, text_of(access[k])))
			return CLASS_ACCESS;
	bool cloud = text_equal(event->logsource.product, TEXT("aws")) ||
		     text_equal(event->logsource.product, TEXT("gcp")) ||
		     text_equal(event->logsource.product, TEXT("azure"));
	return cloud ? CLASS_SECURITY : CLASS_APPLICATION;
}

int64_t day_of_time(int64_t time_us)
{
	return time_us / day_us - (time_us % day_us < 0);
}

static uint64_t sign_flipped(int64_t value)
{
	return (uint64_t)value ^ 1ull << 63;
}

void columnar_key_prefix(enum data_class class, const int64_t *day, const struct text *owner,
			 struct bytes *to)
{
	assert(day != NULL || owner == NULL);
	bytes_put_u8(to, COLUMNAR_MARK);
	bytes_put_u8(to, (uint8_t) class);
	if (day != NULL)
		bytes_put_be32(to, (uint32_t)(*day + ((int64_t)1 << 31)));
	if (owner != NULL)
		key_put_name(to, *owner);
}

void columnar_key_encode(const struct columnar_key *key, struct bytes *to)
{
	columnar_key_prefix(key->class, &key->day, &key->owner, to);
	bytes_put_be64(to, sign_flipped(key->first_time_us));
	key_put_origin(to, &key->first);
	bytes_put_be32(to, key->rows_hash);
}

enum status columnar_key_decode(struct text key, struct columnar_key *ret_key, struct error *err)
{
	struct cursor from = cursor_of(key);
	bool ours = cursor_u8(&from) == COLUMNAR_MARK;
	uint8_t class = cursor_u8(&from);
	struct columnar_key found = {.class = (enum data_class) class};
	found.day = (int64_t)cursor_be32(&from) - ((int64_t)1 << 31);
	found.owner = key_take_name(&from);
	found.first_time_us = (int64_t)(cursor_be64(&from) ^ 1ull << 63);
	key_take_origin(&from, &found.first);
	found.rows_hash = cursor_be32(&from);
	char words[KEY_WORDS_MAX];
	if (!ours || class >= CLASS_COUNT || from.failed || cursor_left(&from) > 0)
		return error_set(err, ECORRUPT, "%s is not the key of a merged block",
				 key_words(key, words));
	*ret_key = found;
	return OK;
}

void bloom_key(struct text name, struct text block_key, struct bytes *to)
{
	assert(block_key.size > 1 && block_key.data[0] == COLUMNAR_MARK);
	bytes_put_u8(to, BLOOM_MARK);
	bytes_put_be64(to, XXH3_64bits(name.data, name.size));
	bytes_put(to, block_key.data + 1, block_key.size - 1);
}

struct columnar_builder *columnar_builder_new(void)
{
	struct columnar_builder *builder = calloc(1, sizeof *builder);
	if (builder == NULL)
		return NULL;
	builder->arena = arena_new((size_t)COLUMNS_MAX * EVENT_NAME_MAX * 8);
	if (builder->arena == NULL)
		columnar_builder_free(&builder);
	return builder;
}

void columnar_builder_free(struct columnar_builder **builder)
{
	struct columnar_builder *gone = *builder;
	if (gone == NULL)
		return;
	for (size_t i = 0; i < gone->column_count; i++)
		free(gone->columns[i].cells);
	free(gone->columns);
	free(gone->rows);
	free(gone->other_columns);
	free(gone->places);
	dictionary_done(&gone->others);
	dictionary_done(&gone->shapes);
	dictionary_done(&gone->heads);
	bytes_done(&gone->texts);
	bytes_done(&gone->owner);
	bytes_done(&gone->scratch);
	arena_free(&gone->arena);
	free(gone);
	*builder = NULL;
}

/* Gives the memory of the values back: hundreds of builders are open side by side, and most of them
 * never hold as much again. */
void columnar_builder_clear(struct columnar_builder *builder)
{
	for (size_t i = 0; i < builder->column_count; i++)
		free(builder->columns[i].cells);
	builder->column_count = 0;
	builder->count = 0;
	builder->place_count = 0;
	builder->cell_count = 0;
	memset(builder->column_of, 0, sizeof builder->column_of);
	dictionary_clear(&builder->others);
	dictionary_clear(&builder->shapes);
	dictionary_clear(&builder->heads);
	bytes_clear(&builder->texts);
	bytes_clear(&builder->owner);
	arena_reset(builder->arena);
}

size_t columnar_builder_count(const struct columnar_builder *builder)
{
	return builder->count;
}

size_t columnar_builder_bytes(const struct columnar_builder *builder)
{
	return builder->texts.size + builder->place_count * sizeof *builder->places +
	       builder->cell_count * sizeof(union cell) + builder->count * sizeof *builder->rows;
}

/* Room for `more` items behind `count` in an array that grows by doubling. */
static bool array_reserve(void **array, size_t *capacity, size_t count, size_t more, size_t size)
{
	if (count + more <= *capacity)
		return true;
	size_t wanted = *capacity == 0 ? CELLS_FIRST : *capacity;
	while (wanted < count + more)
		wanted *= 2;
	void *grown = realloc(*array, wanted * size);
	if (grown == NULL)
		return false;
	*array = grown;
	*capacity = wanted;
	return true;
}

static enum column_tag tag_of(const struct value *value)
{
	switch (value->type) {
	case VALUE_NULL:
		return COLUMN_NULL;
	case VALUE_EMPTY:
		return COLUMN_EMPTY;
	case VALUE_BOOLEAN:
		return COLUMN_BOOLEAN;
	case VALUE_INTEGER:
		return integer_is_plain(value) ? COLUMN_INTEGER : COLUMN_INTEGER_AS;
	case VALUE_REAL:
		return COLUMN_REAL;
	case VALUE_STRING:
		return COLUMN_STRING;
	}
	assert(false && "a value of no type");
}

/* A new column; false: out of memory. The caller has checked COLUMNS_MAX. */
static bool column_new(struct columnar_builder *builder, const struct field *field,
		       enum column_tag tag, uint32_t *ret_column)
{
	void *columns = builder->columns;
	if (!array_reserve(&columns, &builder->column_capacity, builder->column_count, 1,
			   sizeof *builder->columns))
		return false;
	builder->columns = columns;
	struct text name = field->id == FIELD_OTHER ? arena_copy(builder->arena, field->name)
						    : schema_info(field->id)->name;
	if (name.data == NULL)
		return false;
	*ret_column = (uint32_t)builder->column_count++;
	builder->columns[*ret_column] = (struct build_column){name, field->id, tag, NULL, 0, 0};
	return true;
}

/* The column of a field that the schema does not know. */
static bool other_column(struct columnar_builder *builder, const struct field *field,
			 enum column_tag tag, uint32_t *ret_column)
{
	uint32_t number = 0;
	size_t before = builder->others.count;
	bytes_clear(&builder->scratch);
	bytes_put_u8(&builder->scratch, (uint8_t)tag);
	bytes_put(&builder->scratch, field->name.data, field->name.size);
	void *columns = builder->other_columns;
	if (builder->scratch.failed ||
	    !array_reserve(&columns, &builder->other_capacity, before, 1, sizeof(uint32_t)))
		return false;
	builder->other_columns = columns;
	if (!dictionary_number(&builder->others, bytes_text(&builder->scratch), &number))
		return false;
	if (number < before) {
		*ret_column = builder->other_columns[number];
		return true;
	}
	if (!column_new(builder, field, tag, ret_column))
		return false; /* the block is given up */
	builder->other_columns[number] = *ret_column;
	return true;
}

static bool column_find(struct columnar_builder *builder, const struct field *field,
			enum column_tag tag, uint32_t *ret_column)
{
	if (field->id == FIELD_OTHER)
		return other_column(builder, field, tag, ret_column);
	uint32_t *known = &builder->column_of[field->id][tag];
	if (*known == 0) {
		if (!column_new(builder, field, tag, ret_column))
			return false;
		*known = *ret_column + 1;
	}
	*ret_column = *known - 1;
	return true;
}

static bool cell_text(struct columnar_builder *builder, struct text text, union cell *cell)
{
	cell->text.at = (uint32_t)builder->texts.size;
	cell->text.size = (uint32_t)text.size;
	bytes_put(&builder->texts, text.data, text.size);
	return !builder->texts.failed;
}

static bool value_put(struct columnar_builder *builder, struct build_column *column,
		      const struct value *value)
{
	unsigned wide = cells_of(column->tag);
	if (wide == 0) {
		column->count++;
		return true;
	}
	void *cells = column->cells;
	size_t capacity = column->capacity;
	if (!array_reserve(&cells, &capacity, (size_t)column->count * wide, wide,
			   sizeof(union cell)))
		return false;
	column->cells = cells;
	column->capacity = (uint32_t)capacity;
	builder->cell_count += wide;
	union cell *cell = &column->cells[(size_t)column->count * wide];
	column->count++;
	switch (column->tag) {
	case COLUMN_BOOLEAN:
		cell->number = value->boolean;
		return true;
	case COLUMN_INTEGER:
		cell->number = value->integer;
		return true;
	case COLUMN_INTEGER_AS:
		cell->number = value->integer;
		return cell_text(builder, value->text, cell + 1);
	case COLUMN_REAL:
		memcpy(&cell->number, &value->real, sizeof cell->number);
		return cell_text(builder, value->text, cell + 1);
	default:
		return cell_text(builder, value->text, cell);
	}
}

static bool head_put(struct columnar_builder *builder, const struct event *event,
		     uint32_t *ret_head)
{
	struct bytes *to = &builder->scratch;
	bytes_clear(to);
	bytes_put_text(to, event->origin.topic);
	bytes_put_varint(to, (uint64_t)event->origin.partition);
	bytes_put_text(to, event->logsource.category);
	bytes_put_text(to, event->logsource.product);
	bytes_put_text(to, event->logsource.service);
	return !to->failed && dictionary_number(&builder->heads, bytes_text(to), ret_head);
}

/* All values of the event; the shape comes out as a number of the dictionary. */
static bool fields_put(struct columnar_builder *builder, const struct event *event,
		       uint32_t *ret_shape)
{
	unsigned char shape[SHAPE_BYTES_MAX];
	struct bytes to = {.data = shape, .capacity = sizeof shape};
	assert(event->field_count <= EVENT_FIELDS_MAX);
	bytes_put_varint(&to, event->field_count);
	for (size_t i = 0; i < event->field_count; i++) {
		uint32_t column = 0;
		const struct field *field = &event->fields[i];
		if (!column_find(builder, field, tag_of(&field->value), &column))
			return false;
		builder->places[builder->place_count++] = builder->columns[column].count;
		if (!value_put(builder, &builder->columns[column], &field->value))
			return false;
		bytes_put_varint(&to, column);
	}
	assert(to.data == shape); /* it never grew */
	return dictionary_number(&builder->shapes, bytes_text(&to), ret_shape);
}

/* The first event says whose block it is. */
static bool block_begin(struct columnar_builder *builder, const struct event *event)
{
	bytes_clear(&builder->owner);
	bytes_put(&builder->owner, event->owner.data, event->owner.size);
	builder->class = data_class_of(event);
	builder->day = day_of_time(event->time_us);
	return !builder->owner.failed;
}

static size_t event_bytes(const struct event *event)
{
	size_t bytes = event->field_count * sizeof(union cell);
	for (size_t i = 0; i < event->field_count; i++)
		bytes += event->fields[i].value.text.size;
	return bytes;
}

static bool room_for(struct columnar_builder *builder, size_t field_count)
{
	void *places = builder->places;
	if (!array_reserve(&places, &builder->place_capacity, builder->place_count, field_count,
			   sizeof *builder->places))
		return false;
	builder->places = places;
	void *rows = builder->rows;
	if (!array_reserve(&rows, &builder->row_capacity, builder->count, 1, sizeof *builder->rows))
		return false;
	builder->rows = rows;
	return true;
}

enum status columnar_add(struct columnar_builder *builder, const struct event *event)
{
	if (builder->count == BLOCK_EVENTS_MAX)
		return ELIMIT;
	/* An event alone is always taken, however large: nobody could make it fit by finishing. */
	if (builder->count > 0 &&
	    (builder->column_count + event->field_count > COLUMNS_MAX ||
	     columnar_builder_bytes(builder) + event_bytes(event) > BLOCK_BYTES_MAX))
		return ELIMIT;
	if (builder->count == 0 && !block_begin(builder, event))
		return ENOMEMORY;
	assert(text_equal(bytes_text(&builder->owner), event->owner));
	assert(builder->day == day_of_time(event->time_us));
	if (!room_for(builder, event->field_count))
		return ENOMEMORY;
	struct build_row row = {event->time_us,
				event->record_time_us,
				event->origin.offset,
				event->origin.index,
				event->quality,
				0,
				0,
				(uint32_t)builder->place_count};
	if (!fields_put(builder, event, &row.shape) || !head_put(builder, event, &row.head))
		return ENOMEMORY;
	builder->rows[builder->count++] = row;
	return OK;
}
