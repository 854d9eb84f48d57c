/* linear - one regular expression that Vectorscan runs: time linear in the text, whatever it is.
 *
 * Why: a pattern and a text that make a back-tracking engine explode cost nothing here. Compiling
 * is the dear part (milliseconds, and a second for all expressions of the public rules), so it is
 * done when a rule first asks, by the matcher that asks, and once more for text that is not ASCII:
 * the automaton of bytes is some ten times smaller than the one of UTF-8, and most text needs no
 * other.
 *
 * Invariant: an exact one has a portable pattern (pcre.h), and both automata mean what PCRE2 means
 * by it. A necessary one has a nearly portable pattern: Vectorscan leaves out what it cannot do
 * (look-around, back-references), so it finds all that PCRE2 finds, and perhaps more. Whether
 * Vectorscan takes a pattern depends on the pattern alone.
 * Owner: whoever called linear_new(). Thread: one, with its own scratch. Limits: Vectorscan's own:
 * a pattern that is too large for it is refused, and belongs to PCRE2. */
#ifndef PICKET_RULES_LINEAR_H
#define PICKET_RULES_LINEAR_H

#include "rules/pcre.h"

struct linear;
struct hs_scratch; /* Vectorscan's working memory, grown by linear_search() */

enum linear_kind {
	LINEAR_NONE,      /* the pattern is PCRE2's alone */
	LINEAR_EXACT,     /* found is the answer */
	LINEAR_NECESSARY, /* not found is the answer; found has to be searched again by PCRE2 */
};
enum linear_kind linear_kind_of(struct text pattern);

/* flags: set of enum regex_flags. The pattern is borrowed. ENOMEMORY. */
enum status linear_new(struct text pattern, unsigned flags, struct linear **ret_linear);
void linear_free(struct linear **linear);

void linear_scratch_free(struct hs_scratch **scratch);

/* Searches t, which is valid UTF-8. EINVALID: Vectorscan refuses the pattern; ENOMEMORY. */
enum status linear_search(struct linear *linear, struct hs_scratch **scratch, struct text t,
			  bool *ret_found);

#endif
