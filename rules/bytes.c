#include "rules/bytes.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_BYTES = 256, VARINT_BYTES_MAX = 10 };

void bytes_done(struct bytes *bytes)
{
	free(bytes->data);
	*bytes = (struct bytes){0};
}

void bytes_clear(struct bytes *bytes)
{
	bytes->size = 0;
	bytes->failed = false;
}

enum status bytes_status(const struct bytes *bytes)
{
	return bytes->failed ? ENOMEMORY : OK;
}

bool bytes_reserve(struct bytes *bytes, size_t size)
{
	if (bytes->failed)
		return false;
	if (size <= bytes->capacity - bytes->size)
		return true;
	size_t wanted = bytes->size + size;
	size_t doubled = bytes->capacity < FIRST_BYTES ? FIRST_BYTES : bytes->capacity * 2;
	size_t capacity = wanted > doubled ? wanted : doubled;
	unsigned char *grown =
		size > BYTES_MAX || capacity > BYTES_MAX ? NULL : realloc(bytes->data, capacity);
	if (grown == NULL) {
		bytes->failed = true;
		return false;
	}
	bytes->data = grown;
	bytes->capacity = capacity;
	return true;
}

/* Room for size more bytes, or NULL (and failed). */
static unsigned char *bytes_room(struct bytes *bytes, size_t size)
{
	if (!bytes_reserve(bytes, size))
		return NULL;
	unsigned char *room = bytes->data + bytes->size;
	bytes->size += size;
	assert(bytes->size <= bytes->capacity);
	return room;
}

void bytes_put(struct bytes *bytes, const void *data, size_t size)
{
	if (size == 0)
		return;
	unsigned char *room = bytes_room(bytes, size);
	if (room != NULL)
		memcpy(room, data, size);
}

void bytes_print(struct bytes *bytes, const char *format, ...)
{
	size_t room = bytes->failed ? 0 : bytes->capacity - bytes->size;
	char *to = room == 0 ? NULL : (char *)bytes->data + bytes->size;
	va_list args;
	va_list again;
	va_start(args, format);
	va_copy(again, args);
	int size = vsnprintf(to, room, format, args);
	assert(size >= 0); /* the formats are ours */
	if ((size_t)size >= room && bytes_reserve(bytes, (size_t)size + 1))
		(void)vsnprintf((char *)bytes->data + bytes->size, (size_t)size + 1, format, again);
	if (!bytes->failed)
		bytes->size += (size_t)size;
	va_end(again);
	va_end(args);
}

void bytes_put_u8(struct bytes *bytes, uint8_t value)
{
	unsigned char *room = bytes_room(bytes, 1);
	if (room != NULL)
		*room = value;
}

void bytes_put_varint(struct bytes *bytes, uint64_t value)
{
	unsigned char encoded[VARINT_BYTES_MAX];
	size_t size = 0;
	while (value >= 0x80) {
		encoded[size++] = (unsigned char)(value | 0x80);
		value >>= 7;
	}
	encoded[size++] = (unsigned char)value;
	bytes_put(bytes, encoded, size);
}

void bytes_put_signed(struct bytes *bytes, int64_t value)
{
	bytes_put_varint(bytes, ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0));
}

void bytes_put_text(struct bytes *bytes, struct text value)
{
	bytes_put_varint(bytes, value.size);
	bytes_write(bytes, value);
}

void bytes_put_u32le(struct bytes *bytes, uint32_t value)
{
	unsigned char encoded[4];
	for (int i = 0; i < 4; i++)
		encoded[i] = (unsigned char)(value >> (8 * i));
	bytes_put(bytes, encoded, sizeof encoded);
}

void bytes_put_u64le(struct bytes *bytes, uint64_t value)
{
	unsigned char encoded[8];
	for (int i = 0; i < 8; i++)
		encoded[i] = (unsigned char)(value >> (8 * i));
	bytes_put(bytes, encoded, sizeof encoded);
}

void bytes_put_double(struct bytes *bytes, double value)
{
	uint64_t bits = 0;
	memcpy(&bits, &value, sizeof bits);
	bytes_put_u64le(bytes, bits);
}

void bytes_put_be32(struct bytes *bytes, uint32_t value)
{
	unsigned char encoded[4];
	for (int i = 0; i < 4; i++)
		encoded[i] = (unsigned char)(value >> (24 - 8 * i));
	bytes_put(bytes, encoded, sizeof encoded);
}

void bytes_put_be64(struct bytes *bytes, uint64_t value)
{
	unsigned char encoded[8];
	for (int i = 0; i < 8; i++)
		encoded[i] = (unsigned char)(value >> (56 - 8 * i));
	bytes_put(bytes, encoded, sizeof encoded);
}

uint64_t cursor_varint_long(struct cursor *cursor)
{
	uint64_t value = 0;
	for (unsigned i = 0; i < VARINT_BYTES_MAX; i++) {
		uint8_t byte = cursor_u8(cursor);
		if (i == VARINT_BYTES_MAX - 1 && byte > 1)
			break; /* the tenth byte holds the 64th bit and nothing else */
		value |= (uint64_t)(byte & 0x7f) << (7 * i);
		if (byte < 0x80)
			return cursor->failed ? 0 : value;
	}
	cursor->failed = true;
	return 0;
}

int64_t cursor_signed(struct cursor *cursor)
{
	uint64_t value = cursor_varint(cursor);
	return (int64_t)((value >> 1) ^ (0 - (value & 1)));
}

static uint64_t cursor_fixed(struct cursor *cursor, unsigned size, bool big_endian)
{
	struct text taken = cursor_take(cursor, size);
	uint64_t value = 0;
	for (unsigned i = 0; i < taken.size; i++) {
		unsigned place = big_endian ? size - 1 - i : i;
		value |= (uint64_t)(unsigned char)taken.data[i] << (8 * place);
	}
	return value;
}

uint32_t cursor_u32le(struct cursor *cursor)
{
	return (uint32_t)cursor_fixed(cursor, 4, false);
}

uint64_t cursor_u64le(struct cursor *cursor)
{
	return cursor_fixed(cursor, 8, false);
}

double cursor_double(struct cursor *cursor)
{
	uint64_t bits = cursor_fixed(cursor, 8, false);
	double value = 0;
	memcpy(&value, &bits, sizeof value);
	return value;
}

uint32_t cursor_be32(struct cursor *cursor)
{
	return (uint32_t)cursor_fixed(cursor, 4, true);
}

uint64_t cursor_be64(struct cursor *cursor)
{
	return cursor_fixed(cursor, 8, true);
}

void bytes_put_base64(struct bytes *bytes, struct text value)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	for (size_t at = 0; at < value.size; at += 3) {
		size_t left = value.size - at;
		uint32_t group = (uint32_t)(unsigned char)value.data[at] << 16;
		if (left > 1)
			group |= (uint32_t)(unsigned char)value.data[at + 1] << 8;
		if (left > 2)
			group |= (unsigned char)value.data[at + 2];
		bytes_put_u8(bytes, (uint8_t)digits[group >> 18]);
		bytes_put_u8(bytes, (uint8_t)digits[group >> 12 & 63]);
		bytes_put_u8(bytes, left > 1 ? (uint8_t)digits[group >> 6 & 63] : '=');
		bytes_put_u8(bytes, left > 2 ? (uint8_t)digits[group & 63] : '=');
	}
}
