/* scanner - many literals and regular expressions looked for in one pass over a text (Vectorscan).
 *
 * Why: thousands of rules look into the same few fields; one automaton per field answers all of
 * them at the cost of one, linear in the text whatever the text is.
 *
 * Invariant: a pattern is reported at most once per scan. Literals are bytes; `caseless` ones
 * compare ASCII letters without case and are given folded (the caller scans folded text when the
 * text is not ASCII). Regular expressions are UTF-8, portable (pcre.h), any of regex_flags.
 * Owner: whoever called scanner_new(). Thread: a scanner is immutable and shared; the scratch has
 * one thread. Limits: literals and dashes are cut to SCANNER_TOKENS_MAX bytes; then a hit is
 * necessary, not sufficient (scanner_takes_all()). */
#ifndef PICKET_RULES_SCANNER_H
#define PICKET_RULES_SCANNER_H

#include <stdint.h>

#include "rules/error.h"
#include "rules/text.h"

enum { SCANNER_TOKENS_MAX = 64 };

struct token; /* ast_private.h */

struct scan_pattern {
	uint32_t id;
	bool is_regex;
	bool caseless;
	unsigned regex_flags;       /* set of enum regex_flags */
	struct text text;           /* a regular expression */
	const struct token *tokens; /* else these: literals and dashes */
	size_t token_count;
	bool ret_refused; /* set by scanner_new(): a regular expression that Vectorscan refuses */
};

struct scanner;
struct hs_scratch; /* Vectorscan's working memory */

/* The tokens are short enough for a hit to prove that they are there. */
bool scanner_takes_all(const struct token *tokens, size_t token_count);

/* Patterns that are refused are left out; all others are in. */
enum status scanner_new(struct scan_pattern *patterns, size_t count, struct scanner **ret_scanner,
			struct error *err);
void scanner_free(struct scanner **scanner);

/* Makes *scratch (NULL at first) large enough for this scanner too. */
enum status scanner_reserve(const struct scanner *scanner, struct hs_scratch **scratch);
struct hs_scratch *scanner_scratch_copy(const struct hs_scratch *scratch); /* NULL: no memory */
void scanner_scratch_free(struct hs_scratch **scratch);

/* Calls on_hit once for each pattern that occurs in t. on_hit must not scan. */
enum status scanner_scan(const struct scanner *scanner, struct hs_scratch *scratch, struct text t,
			 void (*on_hit)(void *context, uint32_t id), void *context);

#endif
