/* bytes - a growable byte buffer, and the primitive encodings of everything picket writes down.
 *
 * Why: blocks, match records, cells and alerts are all sequences of variable-length integers and
 * length-prefixed texts. Writing goes through one sticky buffer (check once, at the end); reading
 * goes through a cursor that can never step outside its bytes.
 *
 * Encodings: varint = LEB128, 1..10 bytes; zigzag varint for signed; text = varint size, then the
 * bytes; fixed integers are little-endian, except in keys (bytes_put_be*), where big-endian makes
 * byte order equal number order.
 *
 * Invariant: size <= capacity; once `failed` is set nothing more is written. A cursor that failed
 * stays failed and yields zeros, so a decoder checks once behind its last read.
 * Owner: the caller, bytes_done() frees. Thread: one at a time. Limits: BYTES_MAX. */
#ifndef PICKET_RULES_BYTES_H
#define PICKET_RULES_BYTES_H

#include <stdint.h>
#include <string.h>

#include "rules/error.h"
#include "rules/text.h"

enum { BYTES_MAX = 1 << 30 }; /* one buffer never grows beyond 1 GiB: it fails instead */

struct bytes {
	unsigned char *data;
	size_t size;
	size_t capacity;
	bool failed; /* out of memory or over BYTES_MAX; sticky until bytes_clear() */
};

void bytes_done(struct bytes *bytes);                /* frees the contents; reusable afterwards */
void bytes_clear(struct bytes *bytes);               /* size 0, keeps the memory, resets failed */
enum status bytes_status(const struct bytes *bytes); /* OK or ENOMEMORY */
/* Room for size more bytes at data + size, for whoever writes there himself and then moves size.
 * False (and failed) when there is none. */
bool bytes_reserve(struct bytes *bytes, size_t size);

void bytes_put(struct bytes *bytes, const void *data, size_t size);
void bytes_put_u8(struct bytes *bytes, uint8_t value);
void bytes_put_varint(struct bytes *bytes, uint64_t value);
void bytes_put_signed(struct bytes *bytes, int64_t value);
void bytes_put_text(struct bytes *bytes, struct text value);
void bytes_put_u32le(struct bytes *bytes, uint32_t value);
void bytes_put_u64le(struct bytes *bytes, uint64_t value);
void bytes_put_double(struct bytes *bytes, double value);      /* its 64 bits, exactly */
void bytes_put_be32(struct bytes *bytes, uint32_t value);      /* for keys */
void bytes_put_be64(struct bytes *bytes, uint64_t value);      /* for keys */
void bytes_put_base64(struct bytes *bytes, struct text value); /* RFC 4648, padded */

/* What people read: nothing stands in front of it. */
__attribute__((format(printf, 2, 3))) void bytes_print(struct bytes *bytes, const char *format,
						       ...);

static inline void bytes_write(struct bytes *bytes, struct text value)
{
	bytes_put(bytes, value.data, value.size);
}

static inline void bytes_write_string(struct bytes *bytes, const char *string)
{
	bytes_put(bytes, string, strlen(string));
}

static inline struct text bytes_text(const struct bytes *bytes)
{
	return (struct text){(const char *)bytes->data, bytes->size};
}

struct cursor {
	const unsigned char *at;
	const unsigned char *end;
	bool failed; /* sticky: a read went beyond the end, or a varint was too long */
};

static inline struct cursor cursor_of(struct text t)
{
	const unsigned char *data = (const unsigned char *)t.data;
	return (struct cursor){data, data == NULL ? NULL : data + t.size, false};
}

static inline size_t cursor_left(const struct cursor *cursor)
{
	return (size_t)(cursor->end - cursor->at);
}

/* The next size bytes, a view. */
static inline struct text cursor_take(struct cursor *cursor, size_t size)
{
	if (cursor->failed || size > cursor_left(cursor)) {
		cursor->failed = true;
		return (struct text){0};
	}
	struct text taken = {(const char *)cursor->at, size};
	cursor->at += size;
	return taken;
}

static inline uint8_t cursor_u8(struct cursor *cursor)
{
	struct text one = cursor_take(cursor, 1);
	return one.size == 0 ? 0 : (uint8_t)one.data[0];
}

uint64_t cursor_varint_long(struct cursor *cursor);

/* Nearly all are of one byte: those are read here. */
static inline uint64_t cursor_varint(struct cursor *cursor)
{
	bool one = !cursor->failed && cursor->at < cursor->end && *cursor->at < 0x80;
	return one ? *cursor->at++ : cursor_varint_long(cursor);
}

/* A view into the bytes read. */
static inline struct text cursor_text(struct cursor *cursor)
{
	uint64_t size = cursor_varint(cursor);
	return cursor_take(cursor, size);
}

int64_t cursor_signed(struct cursor *cursor);
uint32_t cursor_u32le(struct cursor *cursor);
uint64_t cursor_u64le(struct cursor *cursor);
double cursor_double(struct cursor *cursor);
uint32_t cursor_be32(struct cursor *cursor);
uint64_t cursor_be64(struct cursor *cursor);

#endif
