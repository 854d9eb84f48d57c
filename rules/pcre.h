/* pcre - one regular expression: the PCRE subset of Sigma's `re`, searched unanchored.
 *
 * Why: two engines, one meaning. Vectorscan is linear whatever the text is, so it takes every
 * pattern whose constructs mean the same in both engines (linear.h); PCRE2 takes what is left
 * (look-around, back-references, atomic groups), under limits, and only for texts in which
 * Vectorscan has found the pattern without these. An attacker who writes the text that makes a
 * pattern explode gets VERDICT_UNDECIDED, which is reported, never "no match".
 *
 * Invariant: PCRE2 has checked the syntax of every pattern; no JIT (its limits do not bound time:
 * reliability notes), no \C, no (*VERB) at the start, UTF-8 on, newline is LF.
 * Owner: whoever called regex_new(). Thread: a regex is immutable, a regex_scratch has one thread.
 * Limits: REGEX_SUBJECT_MAX, REGEX_STEPS_MAX and the heap and depth limits in pcre.c. */
#ifndef PICKET_RULES_PCRE_H
#define PICKET_RULES_PCRE_H

#include "rules/error.h"
#include "rules/text.h"

enum verdict { VERDICT_FALSE, VERDICT_TRUE, VERDICT_UNDECIDED };

enum {
	REGEX_PATTERN_MAX = 4096,
	REGEX_SUBJECT_MAX = 4096,     /* a longer value is undecided: PCRE2 is not linear */
	REGEX_STEPS_MAX = 100000,     /* rounds of PCRE2's main loop for one value, all places */
	REGEX_PLACE_STEPS_MAX = 1000, /* the same for one place, where places cannot be joined */
};

struct regex;

/* flags: set of enum regex_flags (ast_private.h). EINVALID with the place in the rule file. */
enum status regex_new(struct text pattern, unsigned flags, struct position at,
		      struct regex **ret_regex, struct error *err);
void regex_free(struct regex **regex);

/* The pattern holds only constructs that mean the same in Vectorscan. */
bool regex_is_portable(struct text pattern);

/* ... but for look-around, back-references and atomic groups, which Vectorscan can leave out. */
bool regex_is_nearly_portable(struct text pattern);

struct regex_scratch;

struct regex_scratch *regex_scratch_new(void); /* NULL when out of memory */
void regex_scratch_free(struct regex_scratch **scratch);

/* t is valid UTF-8 (utf8_mend()). */
enum verdict regex_search(const struct regex *regex, struct regex_scratch *scratch, struct text t);

#endif
