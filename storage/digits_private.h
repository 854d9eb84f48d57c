/* digits - numbers as JSON writes them, bytes as lower-case hexadecimal digits.
 *
 * Why: what is written plainly is stored as what it means, in a third of the bytes, and must come
 * back digit by digit. Invariant: printing what was read gives the same text, or reading says no.
 * Owner: the caller's memory. Thread: any (pure). Limits: none of its own. */
#ifndef PICKET_STORAGE_DIGITS_PRIVATE_H
#define PICKET_STORAGE_DIGITS_PRIVATE_H

#include "rules/event.h"

enum { INTEGER_PRINT_BYTES = 24 };

/* Decimal digits of value, as JSON writes it; returns the size. */
size_t integer_print(int64_t value, char to[static INTEGER_PRINT_BYTES]);
/* Whether the text is what integer_print() would write; reading it is cheaper than printing. */
bool integer_is_plain(const struct value *value);

/* The bytes that the digits of t stand for, t.size / 2 of them; false when they are none. */
bool hex_pack(struct text t, unsigned char *to);
/* Two digits for each byte; returns the place behind the last one. */
char *hex_unpack(struct text packed, char *to);

#endif
