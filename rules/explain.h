/* explain - why one rule matched one event, or did not: every condition with its answer, the
 * values it looked at, and which of them decided.
 *
 * Why: "it did not fire" is the question analysts ask most, and a rule of forty values under three
 * selections and a filter does not answer it by being read again.
 *
 * The answer is the rule's expression as a list of nodes in reading order, each with its depth. A
 * node decided when its answer is one that its parent's answer rests on: of a true AND all
 * children, of a false AND the false ones, of a true OR the true ones, of a false OR all.
 *
 * Invariant: the verdict is that of matcher_match(), log source aside, which is told apart.
 * Owner: the arena of the caller. Thread: one. Limits: EXPLAIN_CHILDREN_MAX children of a node are
 * listed, those that decided first; EXPLAIN_VALUES_MAX values of a field; EXPLAIN_NODES_MAX. */
#ifndef PICKET_RULES_EXPLAIN_H
#define PICKET_RULES_EXPLAIN_H

#include "rules/pcre.h"
#include "rules/ruleset.h"

enum { EXPLAIN_CHILDREN_MAX = 12, EXPLAIN_VALUES_MAX = 8, EXPLAIN_NODES_MAX = 4096 };

enum explain_kind {
	EXPLAIN_PREDICATE,
	EXPLAIN_ALL_OF,
	EXPLAIN_ANY_OF,
	EXPLAIN_NOT,
	EXPLAIN_AT_LEAST,
};

/* The name of the field it came from stands in it for keywords and references. */
struct explain_value {
	struct text field;
	const struct value *value; /* of the event */
};

struct explain_node {
	enum explain_kind kind;
	enum verdict verdict;
	bool decided;
	unsigned depth;
	struct text name;   /* "selection / Image|endswith", "" when nobody named it */
	struct position at; /* of the innermost name; file NULL when there is none */
	size_t at_least;
	size_t child_count;
	size_t hidden;     /* children that are not listed */
	struct text words; /* PREDICATE: what is asked of the field */
	const struct explain_value *values;
	size_t value_count;
	size_t value_hidden; /* values that are not listed */
};

struct explanation {
	enum verdict verdict;
	bool logsource_fits;
	const struct explain_node *nodes;
	size_t count;
	bool cut; /* more than EXPLAIN_NODES_MAX */
};

/* The rule must be a detection. */
enum status explain_rule(const struct ruleset *ruleset, const struct rule *rule,
			 const struct event *event, struct arena *arena,
			 struct explanation *ret_explanation);

#endif
