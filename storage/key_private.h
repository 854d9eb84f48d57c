/* key - the parts that keys are made of, and a key in words.
 *
 * Why: rows.c and block.c write the same (topic, partition, offset, index) and must agree byte by
 * byte; an error about a row must name its key, which is not text.
 *
 * Invariant: byte order of keys is the order of what they say; no name is the prefix of another.
 * Owner: the caller's bytes. Thread: any (pure). Limits: ROW_NAME_MAX bytes of a name. */
#ifndef PICKET_STORAGE_KEY_PRIVATE_H
#define PICKET_STORAGE_KEY_PRIVATE_H

#include "rules/event.h"

enum { KEY_WORDS_MAX = 200 };

/* u16 big-endian size, then the bytes. A name over ROW_NAME_MAX is stored as its first bytes and a
 * 128-bit hash of all of it, so that two names stay two keys; it comes back in that form. */
void key_put_name(struct bytes *to, struct text name);
struct text key_take_name(struct cursor *from);

/* topic, be32 partition, be64 offset, be32 index. */
void key_put_origin(struct bytes *to, const struct origin *origin);
void key_take_origin(struct cursor *from, struct origin *ret_origin);

/* Printable bytes as they are, others as \xNN, cut with "..." */
const char *key_words(struct text key, char buffer[static KEY_WORDS_MAX]);

#endif
