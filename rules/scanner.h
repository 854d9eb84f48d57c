/* scanner - many literals looked for in one pass over a text.
 *
 * Why: thousands of rules look for tens of thousands of literals in the same few fields. Each
 * literal is filed under four of its bytes, the rarest ones; a text is walked once, and a place is
 * only looked at when its four bytes are somebody's. Made in milliseconds (scanner.c: why not an
 * automaton).
 *
 * Invariant: every pattern that occurs in the text is reported, at each place of its normal form.
 * The normal form is folded and has one '-' for each of Sigma's five dashes, so a hit proves the
 * pattern only when it is without case and no dash stands in its literals (scanner_proves()).
 * Owner: the arena; texts of patterns are copied. Thread: immutable, any.
 * Limits: patterns of SCANNER_SIZE_MIN bytes and more, of valid UTF-8 (scanner_takes()). */
#ifndef PICKET_RULES_SCANNER_H
#define PICKET_RULES_SCANNER_H

#include <stdint.h>

#include "rules/arena.h"
#include "rules/error.h"

enum { SCANNER_SIZE_MIN = 2 }; /* one byte occurs nearly everywhere */

struct token; /* ast_private.h */

struct scan_pattern {
	uint32_t id;                /* several patterns may have the same */
	const struct token *tokens; /* literals and dashes */
	size_t token_count;
};

struct scanner;

bool scanner_takes(const struct token *tokens, size_t token_count);

/* A hit is the answer to "does this occur, without case?", not only necessary for it. */
bool scanner_proves(const struct token *tokens, size_t token_count);

/* All patterns must be such that scanner_takes() them. */
enum status scanner_new(const struct scan_pattern *patterns, size_t count, struct arena *arena,
			const struct scanner **ret_scanner);

/* The normal form of a folded text, with room around it that scanner_scan() reads: only this may
 * be scanned. data == NULL: out of memory. */
struct text scanner_text(struct text folded, struct arena *arena);

/* Calls on_hit for each place of each pattern in the text. */
typedef void scanner_hit(void *context, uint32_t id, size_t place);
void scanner_scan(const struct scanner *scanner, struct text normal, scanner_hit *on_hit,
		  void *context);

#endif
