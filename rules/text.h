/* text - a borrowed view of bytes: a pointer and a size, passed by value.
 *
 * Why: values come out of Kafka messages, arenas and stored blocks, never with a final NUL, and may
 * hold NUL bytes themselves (an attacker's `ten\0ant` is seven bytes and must stay so).
 *
 * Invariant: data is valid for size bytes; data may be NULL only when size is 0.
 * Owner: somebody else; a view is valid as long as what it was cut from.
 * Thread: any (immutable). Limits: none of its own. */
#ifndef PICKET_RULES_TEXT_H
#define PICKET_RULES_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct text {
	const char *data;
	size_t size;
};

/* A view of a string literal, without its final NUL; usable in initialisers. */
#define TEXT(literal) ((struct text){(literal), sizeof(literal) - 1})

/* For printf: printf("%.*s", TEXT_ARG(t)). Cuts at INT_MAX. */
#define TEXT_ARG(t) \
	((int)((t).size > 0x7fffffff ? 0x7fffffff : (t).size)), ((t).data ? (t).data : "")

static inline struct text text_of(const char *string)
{
	return (struct text){string, string == NULL ? 0 : strlen(string)};
}

static inline bool text_equal(struct text a, struct text b)
{
	return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Byte order, shorter first on a tie: the order of RocksDB keys. */
static inline int text_compare(struct text a, struct text b)
{
	size_t common = a.size < b.size ? a.size : b.size;
	int order = common == 0 ? 0 : memcmp(a.data, b.data, common);
	if (order != 0)
		return order;
	return (a.size > b.size) - (a.size < b.size);
}

static inline bool text_starts(struct text t, struct text prefix)
{
	return t.size >= prefix.size &&
	       (prefix.size == 0 || memcmp(t.data, prefix.data, prefix.size) == 0);
}

static inline struct text text_cut(struct text t, size_t from)
{
	return (struct text){t.data + from, t.size - from};
}

#endif
