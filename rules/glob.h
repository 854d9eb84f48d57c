/* glob - a value pattern with `*`, `?` and Sigma's windash: the whole value must match.
 *
 * Why: nine of ten Sigma conditions are this (contains, startswith and endswith are globs with a
 * `*`), so it must be linear whatever an attacker writes into the field: no back-tracking.
 *
 * Invariant: a glob made from tokens folds its literals unless `cased`, and is then matched against
 * folded text (fold.h); text is valid UTF-8 (utf8_mend()), so that `?` is one code point.
 * Owner: the arena given at creation. Thread: any. Limits: time is O(text) for each run of
 * literals, O(text x pattern) where `?` or windash stand between two `*`. */
#ifndef PICKET_RULES_GLOB_H
#define PICKET_RULES_GLOB_H

#include "rules/arena.h"
#include "rules/ast_private.h"
#include "rules/error.h"

/* Where a match of the needle says everything about the glob. */
enum glob_shape {
	GLOB_EXACT,    /* value = needle */
	GLOB_PREFIX,   /* needle* */
	GLOB_SUFFIX,   /* *needle */
	GLOB_CONTAINS, /* *needle* */
	GLOB_ANY,      /* * */
	GLOB_MIXED,    /* anything else: the needle is its longest literal, necessary only */
};

struct glob {
	const struct token *tokens; /* neighbours of one kind are joined; literals are folded */
	size_t token_count;
	enum glob_shape shape;
	bool cased;
	struct text needle; /* "" when there is no literal */
	/* What a scanner looks for: the literals and dashes between two `*` or `?` that are the
	 * longest together; `segment_is_all` when the glob is *segment*. */
	const struct token *segment;
	size_t segment_count;
	size_t segment_size;
	bool segment_is_all;
};

/* ENOMEMORY when the arena is full. */
enum status glob_new(const struct token *tokens, size_t token_count, bool cased,
		     struct arena *arena, struct glob *ret_glob);

bool glob_match(const struct glob *glob, struct text t);

#endif
