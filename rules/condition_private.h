/* condition (private) - the grammar of Sigma's `condition`, as a tree of words.
 *
 * Why: detections, filters and temporal correlations share the grammar but not what the names mean,
 * so names stay names here and whoever asked binds them.
 *
 * Invariant: AND and OR have at least two children, NOT exactly one; offsets point into the text
 * that was parsed. Owner: the arena; names are views of the text. Thread: any.
 * Limits: CONDITION_DEPTH_MAX parentheses, CONDITION_BYTES_MAX bytes. */
#ifndef PICKET_RULES_CONDITION_PRIVATE_H
#define PICKET_RULES_CONDITION_PRIVATE_H

#include "rules/arena.h"
#include "rules/error.h"

enum { CONDITION_DEPTH_MAX = 64, CONDITION_BYTES_MAX = 64 * 1024 };

enum condition_kind {
	CONDITION_NAME, /* an identifier */
	CONDITION_OF,   /* `1 of them`, `all of pattern*` */
	CONDITION_AND,
	CONDITION_OR,
	CONDITION_NOT,
};

struct condition_node {
	enum condition_kind kind;
	struct text name; /* NAME: the identifier; OF: the pattern, or "them" */
	size_t at_least;  /* OF: 0 means all */
	const struct condition_node **children;
	size_t child_count;
	size_t offset; /* of the word in the text */
};

/* at is where the text begins. When the text is exactly what the file says there (a plain scalar),
 * `exact` lets errors point at the word. */
enum status condition_parse(struct text text, struct position at, bool exact, struct arena *arena,
			    const struct condition_node **ret_node, struct error *err);

/* Whether every way to satisfy the condition goes through a written `not`: a filter that excludes.
 */
bool condition_excludes(const struct condition_node *node);

/* Whether name matches a pattern whose only special sign is '*'. */
bool condition_pattern_matches(struct text pattern, struct text name);

/* Whether the grammar claims a word for itself (and, or, not, of, them, 1, any, all). */
bool condition_reserved(struct text name);

#endif
