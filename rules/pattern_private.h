/* pattern (private) - Sigma strings with wildcards as tokens, and their encodings (UTF-16, Base64).
 *
 * Why: escaping, windash, UTF-16 and Base64 all end in the same thing, a list of tokens that the
 * matcher compares; none of it is left to be worked out per event.
 *
 * Invariant: literals are not empty and never stand side by side; runs neither.
 * Owner: the arena. Thread: any. Limits: WINDASH_ENCODED_MAX dashes when they must be spelt out. */
#ifndef PICKET_RULES_PATTERN_PRIVATE_H
#define PICKET_RULES_PATTERN_PRIVATE_H

#include "rules/ast_private.h"

enum { WINDASH_ENCODED_MAX = 3 }; /* 5 to the power of 3 spellings */

struct pattern {
	struct token *tokens;
	size_t count;
};

enum encoding {
	ENCODING_UTF16LE,
	ENCODING_UTF16BE,
	ENCODING_UTF16,
	ENCODING_BASE64,
	ENCODING_BASE64OFFSET,
};

/* expand: `\%` is a literal percent sign. False when out of memory. */
bool pattern_parse(struct text value, bool expand, struct arena *arena,
		   struct pattern *ret_pattern);

/* Puts the tokens of `tail` behind; false when out of memory. */
bool pattern_append(struct pattern *pattern, const struct pattern *tail, struct arena *arena);

/* The first %placeholder% of a value, "" when it has none. */
struct text pattern_placeholder(struct text value);

bool pattern_has_wildcard(const struct pattern *pattern);

/* Turns the dashes at word starts into TOKEN_DASH. */
bool pattern_windash(struct pattern *pattern, struct arena *arena);

/* Puts a run before and/or behind, unless there is one. */
bool pattern_open(struct pattern *pattern, bool before, bool behind, struct arena *arena);

/* The encoded spellings, each one literal. The pattern must have no wildcard. ELIMIT when windash
 * would give too many, EINVALID when the value is too short for Base64 at every offset. */
enum status pattern_encode(const struct pattern *pattern, const enum encoding *encodings,
			   size_t encoding_count, struct arena *arena,
			   struct pattern **ret_patterns, size_t *ret_count);

#endif
