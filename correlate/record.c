/* Match records as bytes, and the keyed hashes that say where a group lives.
 *
 * Form: see record.h. The whole record is one length-prefixed text, so that a reader skips what it
 * does not want without understanding it, and a damaged record cannot reach into the next one.
 *
 * Hashes: SipHash-2-4 with 128 bits of output (Aumasson and Bernstein, 2012), keyed by the store's
 * secret, because group values are chosen by attackers. Texts of any length are hashed on their own
 * first, and the fixed-size digests together afterwards: no length can be shifted from one text
 * into its neighbour, and no buffer is needed. */
#include "correlate/record.h"

#include <assert.h>
#include <sodium.h>

enum {
	DIGEST_BYTES = crypto_shorthash_siphashx24_BYTES,
	STATE_BYTES = 8,
	KEY_SHORT_BYTES_MAX = 128,
};

static_assert(HASH_KEY_BYTES == crypto_shorthash_siphashx24_KEYBYTES);
static_assert(sizeof(struct cell_key) == DIGEST_BYTES);

static void digest(const struct hash_key *key, struct text of, unsigned char to[DIGEST_BYTES])
{
	static const unsigned char nothing[1];
	const unsigned char *data = of.size == 0 ? nothing : (const unsigned char *)of.data;
	int failed = crypto_shorthash_siphashx24(to, data, of.size, key->bytes);
	assert(failed == 0);
}

static void digest_group(const struct hash_key *key, struct text tenant, struct text group,
			 unsigned char to[2 * DIGEST_BYTES])
{
	digest(key, tenant, to);
	digest(key, group, to + DIGEST_BYTES);
}

/* The parts of a cell's identity behind one another: the state, the size of the tenant, the tenant
 * and the group, when they are short (they nearly always are: one hash instead of three). Otherwise
 * a size that no tenant has here, and both digests. */
struct cell_key record_cell_key(const struct hash_key *key, uint64_t state_id, struct text tenant,
				struct text group)
{
	unsigned char parts[STATE_BYTES + 1 + KEY_SHORT_BYTES_MAX];
	static_assert(KEY_SHORT_BYTES_MAX >= 2 * DIGEST_BYTES && KEY_SHORT_BYTES_MAX < UINT8_MAX);
	bool fits = tenant.size <= KEY_SHORT_BYTES_MAX &&
		    group.size <= KEY_SHORT_BYTES_MAX - tenant.size;
	size_t size = 2 * DIGEST_BYTES;
	for (unsigned i = 0; i < STATE_BYTES; i++)
		parts[i] = (unsigned char)(state_id >> (8 * i));
	parts[STATE_BYTES] = fits ? (unsigned char)tenant.size : UINT8_MAX;
	unsigned char *rest = parts + STATE_BYTES + 1;
	if (fits) {
		size = tenant.size + group.size;
		if (tenant.size > 0)
			memcpy(rest, tenant.data, tenant.size);
		if (group.size > 0)
			memcpy(rest + tenant.size, group.data, group.size);
	} else {
		digest_group(key, tenant, group, rest);
	}
	struct cell_key cell;
	digest(key, (struct text){(const char *)parts, STATE_BYTES + 1 + size}, cell.bytes);
	return cell;
}

struct cell_key record_answered(const struct match_record *record)
{
	struct cell_key cell = {0};
	struct cursor group = cursor_of(record->group);
	struct text key = cursor_text(&group);
	if (key.size == sizeof cell.bytes)
		memcpy(cell.bytes, key.data, sizeof cell.bytes);
	return cell;
}

uint8_t virtual_partition_of(const struct hash_key *key, struct text tenant, struct text group)
{
	unsigned char parts[2 * DIGEST_BYTES];
	unsigned char whole[DIGEST_BYTES];
	digest_group(key, tenant, group, parts);
	digest(key, (struct text){(const char *)parts, sizeof parts}, whole);
	return whole[0];
}

uint64_t record_value_hash(const struct hash_key *key, struct text value)
{
	unsigned char whole[DIGEST_BYTES];
	uint64_t hash = 0;
	digest(key, value, whole);
	for (unsigned i = 0; i < sizeof hash; i++)
		hash |= (uint64_t)whole[i] << (8 * i);
	return hash;
}

static size_t varint_size(uint64_t value)
{
	size_t size = 1;
	while (value >= 0x80) {
		value >>= 7;
		size++;
	}
	return size;
}

static uint64_t zigzag(int64_t value)
{
	return ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0);
}

static size_t text_size(struct text t)
{
	return varint_size(t.size) + t.size;
}

void record_encode(const struct match_record *record, struct bytes *to)
{
	assert(record->origin.partition >= 0 && record->origin.offset >= 0);
	size_t size = 1 + STATE_BYTES + 1 + varint_size(zigzag(record->time_us)) +
		      text_size(record->tenant) + text_size(record->group) +
		      text_size(record->origin.topic) +
		      varint_size((uint64_t)record->origin.partition) +
		      varint_size((uint64_t)record->origin.offset) +
		      varint_size(record->origin.index) + text_size(record->context) +
		      (record->values.size > 0 ? text_size(record->values) : 0);
	bytes_put_varint(to, size);
	size_t start = to->size;
	bytes_put_u8(to, record->virtual_partition);
	bytes_put_u64le(to, record->state_id);
	bytes_put_u8(to, record->flags);
	bytes_put_signed(to, record->time_us);
	bytes_put_text(to, record->tenant);
	bytes_put_text(to, record->group);
	bytes_put_text(to, record->origin.topic);
	bytes_put_varint(to, (uint64_t)record->origin.partition);
	bytes_put_varint(to, (uint64_t)record->origin.offset);
	bytes_put_varint(to, record->origin.index);
	bytes_put_text(to, record->context);
	if (record->values.size > 0)
		bytes_put_text(to, record->values);
	assert(to->failed || to->size - start == size);
}

/* How many texts are inside, and whether there is nothing else. */
static size_t sequence_count(struct text sequence, bool *ret_whole)
{
	struct cursor inside = cursor_of(sequence);
	size_t count = 0;
	while (!inside.failed && cursor_left(&inside) > 0) {
		(void)cursor_text(&inside);
		count++;
	}
	*ret_whole = !inside.failed;
	return count;
}

/* They are left out when there are none, so that every record has one form. */
static struct text take_values(struct cursor *inside)
{
	struct text values = cursor_text(inside);
	inside->failed = inside->failed || values.size == 0;
	return values;
}

/* The context consists of pairs. */
static bool sequences_are_whole(const struct match_record *record)
{
	bool group = false;
	bool context = false;
	bool values = false;
	(void)sequence_count(record->group, &group);
	size_t context_count = sequence_count(record->context, &context);
	size_t value_count = sequence_count(record->values, &values);
	return group && context && values && context_count % 2 == 0 &&
	       value_count <= RECORD_VALUES_MAX;
}

enum status record_decode(struct cursor *from, struct match_record *ret_record, struct error *err)
{
	struct cursor inside = cursor_of(cursor_text(from));
	struct match_record record = {0};
	record.virtual_partition = cursor_u8(&inside);
	record.state_id = cursor_u64le(&inside);
	record.flags = cursor_u8(&inside);
	record.time_us = cursor_signed(&inside);
	record.tenant = cursor_text(&inside);
	record.group = cursor_text(&inside);
	record.origin.topic = cursor_text(&inside);
	uint64_t partition = cursor_varint(&inside);
	uint64_t offset = cursor_varint(&inside);
	uint64_t index = cursor_varint(&inside);
	record.context = cursor_text(&inside);
	if (cursor_left(&inside) > 0)
		record.values = take_values(&inside);
	if (from->failed || inside.failed || cursor_left(&inside) > 0)
		return error_set(err, ECORRUPT, "a match record is cut off or too long");
	if (partition > INT32_MAX || offset > INT64_MAX || index > UINT32_MAX)
		return error_set(err, ECORRUPT, "a match record's origin is out of range");
	if (!sequences_are_whole(&record))
		return error_set(err, ECORRUPT,
				 "a match record's group, context or values are no sequence");
	record.origin.partition = (int32_t)partition;
	record.origin.offset = (int64_t)offset;
	record.origin.index = (uint32_t)index;
	*ret_record = record;
	return OK;
}
