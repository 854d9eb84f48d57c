/* utf8 - code points in a text: is it ASCII, is it valid, and a mended copy when it is not.
 *
 * Why: rules speak of characters, logs bring bytes. A value that is not valid UTF-8 is seen by
 * every rule exactly as it is printed: each byte that belongs to no sequence is one U+FFFD. So the
 * matching engines below (which demand valid UTF-8) and the reader agree about what was there.
 *
 * Invariant: valid means Unicode table 3-7: no overlong forms, no surrogates, nothing beyond
 * U+10FFFF. Owner: none (pure functions). Thread: any. Limits: none. */
#ifndef PICKET_RULES_UTF8_H
#define PICKET_RULES_UTF8_H

#include <stdint.h>

#include "rules/arena.h"

enum { UTF8_SIZE_MAX = 4 };

bool utf8_is_ascii(struct text t);
bool utf8_is_valid(struct text t);

/* The size of the sequence at t.data[at] (at < t.size), or 0 when there is none. */
size_t utf8_size(struct text t, size_t at);

/* Decodes the valid sequence of `size` bytes; encodes a code point and returns its size. */
uint32_t utf8_decode(const char *from, size_t size);
size_t utf8_encode(uint32_t code_point, char to[static UTF8_SIZE_MAX]);

/* t itself when it is valid, else a copy with U+FFFD for each bad byte. data == NULL for t.size > 0
 * means out of memory. */
struct text utf8_mend(struct text t, struct arena *arena);

#endif
