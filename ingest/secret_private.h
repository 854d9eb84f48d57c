/* secret, inside: what the detectors share.
 *
 * secret.c walks a text and knows every kind but one; secret_card.c knows card numbers.
 *
 * Invariant: pure. Thread: any. */
#ifndef PICKET_INGEST_SECRET_PRIVATE_H
#define PICKET_INGEST_SECRET_PRIVATE_H

#include <strings.h>

#include "ingest/secret.h"

static inline bool secret_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool secret_is_word(char c)
{
	return secret_is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Without regard to case. */
static inline bool secret_starts(struct text t, size_t at, const char *word)
{
	size_t size = strlen(word);
	return t.size - at >= size && strncasecmp(t.data + at, word, size) == 0;
}

/* A card number that begins at `at`; name: of the field, which may be its context. */
bool secret_find_card(struct text name, struct text t, size_t at, struct secret_span *ret_span);

#endif
