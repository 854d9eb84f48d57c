/* secret - where in a text a secret stands: keys, tokens, passwords, card numbers.
 *
 * Why: services log what they should not: an Authorization header, a private key in a stack trace,
 * a card number. A SIEM that keeps them is the best place to steal them from. Tokens are found by
 * their form, what has no form by the name beside it, card numbers by checksum and context.
 *
 * Invariant: pure; time is linear in the text; spans come in order and do not overlap.
 * Owner: none. Thread: any. Limits: none of its own. What it does not find: a password in free text
 * without its name, anything base64 inside base64. */
#ifndef PICKET_INGEST_SECRET_H
#define PICKET_INGEST_SECRET_H

#include "rules/text.h"

enum secret_kind {
#define SECRET(id, word, doc) SECRET_##id,
#include "ingest/secret.def"
#undef SECRET
	SECRET_COUNT,
};

struct secret_span {
	size_t begin, end;
	enum secret_kind kind;
};

const char *secret_name(enum secret_kind kind);

/* The first secret at or behind `from` in the value of a field called `name` ("" = no name). */
bool secret_find(struct text name, struct text value, size_t from, struct secret_span *ret_span);

/* Is the whole value a secret, by the name of its field? ("db.password": "x") */
bool secret_is_named(struct text name);

/* May a card number stand in it? Cheap; false = certainly none. */
bool secret_may_be_card(struct text value);

/* Literal number `index`: a text without any of them holds no secret but a card number (tested
 * against every detector). False: there are no more. */
enum { SECRET_LITERAL_MAX = 40 };
bool secret_literal(size_t index, char ret_literal[static SECRET_LITERAL_MAX], bool *ret_caseless);

#endif
