/* The format of a bloom, version 1:
 *
 *   u8 version, u64le XXH3-64 of everything behind it, buckets of 64 bytes
 *
 * The upper half of a hash chooses the bucket, so that a question touches one line of cache; six
 * bits of it are chosen by the lower half, multiplied once more, nine bits each (Putze, Sanders,
 * Singler, "Cache-, hash- and space-efficient Bloom filters", 2007). With ten bits a value about
 * 1.2 % of the values that are not there are not denied. */
#include "storage/bloom.h"

#include <assert.h>
#include <xxhash.h>

enum {
	BLOOM_VERSION = 1,
	BLOOM_HEADER_BYTES = 9,
	BUCKET_BYTES = 64,
	BITS_PER_VALUE = 10,
	PROBES = 6,
	PROBE_BITS = 9,
};

static size_t bucket_of(uint64_t hash, size_t buckets)
{
	return (size_t)((hash >> 32) * buckets >> 32);
}

static uint64_t probes_of(uint64_t hash)
{
	return (hash | 1) * 0x9e3779b97f4a7c15ull;
}

void bloom_put(struct bytes *to, const uint64_t *hashes, size_t count)
{
	assert(count < UINT32_MAX);
	size_t buckets = (count * BITS_PER_VALUE + 8 * BUCKET_BYTES - 1) / (8 * BUCKET_BYTES);
	buckets = buckets == 0 ? 1 : buckets;
	size_t begin = to->size;
	if (!bytes_reserve(to, BLOOM_HEADER_BYTES + buckets * BUCKET_BYTES))
		return;
	unsigned char *bits = to->data + begin + BLOOM_HEADER_BYTES;
	memset(bits, 0, buckets * BUCKET_BYTES);
	for (size_t i = 0; i < count; i++) {
		unsigned char *bucket = bits + bucket_of(hashes[i], buckets) * BUCKET_BYTES;
		uint64_t probes = probes_of(hashes[i]);
		for (unsigned k = 0; k < PROBES; k++, probes >>= PROBE_BITS) {
			unsigned bit = probes & ((1u << PROBE_BITS) - 1);
			bucket[bit / 8] |= (unsigned char)(1u << bit % 8);
		}
	}
	bytes_put_u8(to, BLOOM_VERSION);
	bytes_put_u64le(to, XXH3_64bits(bits, buckets * BUCKET_BYTES));
	to->size += buckets * BUCKET_BYTES;
}

bool bloom_check(struct text bloom)
{
	struct cursor from = cursor_of(bloom);
	uint8_t version = cursor_u8(&from);
	uint64_t sum = cursor_u64le(&from);
	size_t size = cursor_left(&from);
	return !from.failed && version == BLOOM_VERSION && size > 0 && size % BUCKET_BYTES == 0 &&
	       sum == XXH3_64bits(from.at, size);
}

bool bloom_may_hold(struct text bloom, uint64_t hash)
{
	assert(bloom.size >= BLOOM_HEADER_BYTES + BUCKET_BYTES);
	const unsigned char *bits = (const unsigned char *)bloom.data + BLOOM_HEADER_BYTES;
	size_t buckets = (bloom.size - BLOOM_HEADER_BYTES) / BUCKET_BYTES;
	const unsigned char *bucket = bits + bucket_of(hash, buckets) * BUCKET_BYTES;
	uint64_t probes = probes_of(hash);
	for (unsigned k = 0; k < PROBES; k++, probes >>= PROBE_BITS) {
		unsigned bit = probes & ((1u << PROBE_BITS) - 1);
		if ((bucket[bit / 8] & 1u << bit % 8) == 0)
			return false;
	}
	return true;
}
