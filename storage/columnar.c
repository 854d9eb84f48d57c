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
 * is found out by looking at them (column_encode.c). */
#include "storage/columnar_private.h"

#include <assert.h>
#include <xxhash.h>

#include "storage/key_private.h"

static const int64_t day_us = 86400000000;

static const char *const class_names[CLASS_COUNT] = {
	[CLASS_SECURITY] = "security",
	[CLASS_ACCESS] = "access",
	[CLASS_APPLICATION] = "application",
};

enum value_type column_type(enum column_tag tag)
{
	static const enum value_type types[COLUMN_TAG_COUNT] = {
		[COLUMN_NULL] = VALUE_NULL,          [COLUMN_EMPTY] = VALUE_EMPTY,
		[COLUMN_BOOLEAN] = VALUE_BOOLEAN,    [COLUMN_INTEGER] = VALUE_INTEGER,
		[COLUMN_INTEGER_AS] = VALUE_INTEGER, [COLUMN_REAL] = VALUE_REAL,
		[COLUMN_STRING] = VALUE_STRING,
	};
	return types[tag];
}

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

static bool is_one_of(struct text t, const struct text *texts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (text_equal(t, texts[i]))
			return true;
	return false;
}

void class_evidence_add(struct class_evidence *evidence, struct text category)
{
	static const struct text security[] = {
		{"authentication", 14},      {"iam", 3},    {"session", 7}, {"configuration", 13},
		{"intrusion_detection", 19}, {"threat", 6}, {"malware", 7}, {"vulnerability", 13},
	};
	static const struct text access[] = {
		{"web", 3}, {"api", 3}, {"network", 7}, {"database", 8}, {"file", 4}};
	if (!evidence->any)
		evidence->access = is_one_of(category, access, sizeof access / sizeof *access);
	evidence->any = true;
	evidence->security = evidence->security ||
			     is_one_of(category, security, sizeof security / sizeof *security);
}

/* Who did what with which rights is kept longest, who asked for what next, and what a program says
 * to its developers least: the categories of ECS, then the log source. */
enum data_class class_decide(const struct class_evidence *evidence)
{
	static const struct text clouds[] = {{"aws", 3}, {"gcp", 3}, {"azure", 5}};
	if (evidence->security)
		return CLASS_SECURITY;
	if (evidence->access)
		return CLASS_ACCESS;
	return is_one_of(evidence->logsource->product, clouds, sizeof clouds / sizeof *clouds)
		       ? CLASS_SECURITY
		       : CLASS_APPLICATION;
}

enum data_class data_class_of(const struct event *event)
{
	struct class_evidence evidence = {.logsource = &event->logsource};
	for (size_t i = 0; i < event->field_count; i++)
		if (event->fields[i].id == FIELD_EVENT_CATEGORY)
			class_evidence_add(&evidence, event->fields[i].value.text);
	return class_decide(&evidence);
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

enum status columnar_key_owner(struct text owner, struct bytes *scratch, struct text *ret_owner,
			       struct error *err)
{
	const struct columnar_key key = {.owner = owner, .first.topic = TEXT("-")};
	struct columnar_key parsed;
	bytes_clear(scratch);
	columnar_key_encode(&key, scratch);
	if (scratch->failed)
		return error_set(err, ENOMEMORY, "no memory for a key");
	enum status status = columnar_key_decode(bytes_text(scratch), &parsed, err);
	if (status == OK)
		*ret_owner = parsed.owner;
	return status;
}

void bloom_key(struct text name, struct text block_key, struct bytes *to)
{
	assert(block_key.size > 1 && block_key.data[0] == COLUMNAR_MARK);
	bytes_put_u8(to, BLOOM_MARK);
	bytes_put_be64(to, XXH3_64bits(name.data, name.size));
	bytes_put(to, block_key.data + 1, block_key.size - 1);
}
