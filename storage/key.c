#include "storage/key_private.h"

#include <assert.h>
#include <stdio.h>
#include <xxhash.h>

#include "storage/rows.h"

enum {
	HASH_DIGITS = 32,
	NAME_KEPT = ROW_NAME_MAX - HASH_DIGITS - 1, /* of a name over the limit; then '~', hash */
};

static void put_be16(struct bytes *to, size_t value)
{
	assert(value <= UINT16_MAX);
	bytes_put_u8(to, (uint8_t)(value >> 8));
	bytes_put_u8(to, (uint8_t)value);
}

void key_put_name(struct bytes *to, struct text name)
{
	if (name.size <= ROW_NAME_MAX) {
		put_be16(to, name.size);
		bytes_write(to, name);
		return;
	}
	XXH128_hash_t hash = XXH3_128bits(name.data, name.size);
	char digits[HASH_DIGITS + 2];
	(void)snprintf(digits, sizeof digits, "~%016llx%016llx", (unsigned long long)hash.high64,
		       (unsigned long long)hash.low64);
	put_be16(to, ROW_NAME_MAX);
	bytes_put(to, name.data, NAME_KEPT);
	bytes_put(to, digits, HASH_DIGITS + 1);
}

struct text key_take_name(struct cursor *from)
{
	size_t size = (size_t)cursor_u8(from) << 8;
	size |= cursor_u8(from);
	if (size > ROW_NAME_MAX)
		from->failed = true;
	return cursor_take(from, size);
}

void key_put_origin(struct bytes *to, const struct origin *origin)
{
	assert(origin->partition >= 0 && origin->offset >= 0);
	key_put_name(to, origin->topic);
	bytes_put_be32(to, (uint32_t)origin->partition);
	bytes_put_be64(to, (uint64_t)origin->offset);
	bytes_put_be32(to, origin->index);
}

void key_take_origin(struct cursor *from, struct origin *ret_origin)
{
	struct origin origin = {.topic = key_take_name(from)};
	uint32_t partition = cursor_be32(from);
	uint64_t offset = cursor_be64(from);
	if (partition > INT32_MAX || offset > INT64_MAX)
		from->failed = true;
	origin.partition = (int32_t)(partition & INT32_MAX);
	origin.offset = (int64_t)(offset & INT64_MAX);
	origin.index = cursor_be32(from);
	*ret_origin = origin;
}

const char *key_words(struct text key, char buffer[static KEY_WORDS_MAX])
{
	enum { LONGEST = sizeof "\\xNN" + sizeof "..." };
	size_t used = 0;
	for (size_t i = 0; i < key.size; i++) {
		unsigned char c = (unsigned char)key.data[i];
		bool plain = c > 0x20 && c < 0x7f && c != '\\';
		if (used + LONGEST > KEY_WORDS_MAX) {
			(void)snprintf(buffer + used, KEY_WORDS_MAX - used, "...");
			return buffer;
		}
		int size =
			snprintf(buffer + used, KEY_WORDS_MAX - used, plain ? "%c" : "\\x%02x", c);
		used += (size_t)size;
	}
	buffer[used] = '\0';
	return buffer;
}
