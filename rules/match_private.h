/* match_private - the matcher from within: its memory of one event, and the two halves of its work.
 *
 * Why: finding which rules an event may match (lookup.c) and finding out whether it does
 * (evaluate.c) share nothing but the answers that are remembered between them.
 *
 * Invariant: a remembered answer is `generation << 2 | verdict`, and only that of this generation
 * counts, so nothing needs clearing between events. Behind the predicates stand the groups of
 * tree.c. Owner: whoever called matcher_new(). Thread: one. */
#ifndef PICKET_RULES_MATCH_PRIVATE_H
#define PICKET_RULES_MATCH_PRIVATE_H

#include "rules/routing_private.h"

enum {
	GENERATION_MAX = (1 << 30) - 1,
	MEMO_POSSIBLE = 3, /* beside the verdicts: a required literal of the expression is there */
};

struct matcher {
	const struct program *program;
	struct reading reading;
	uint32_t generation;
	uint32_t *memo;  /* by check, then by group */
	uint32_t *tried; /* by check: the scan in which its glob was matched last */
	uint32_t scan_number;
	uint32_t *proposed;   /* by class: generation in which it was proposed */
	uint32_t *candidates; /* classes proposed for this event */
	size_t candidate_count;
	uint32_t *matched; /* rule indices */
	uint32_t *undecided;
	struct rule_counters *counters; /* by class */
	uint32_t *class_of_rule;        /* by rule index, or ITEM_NONE */
	struct router *router;
	const struct routing *routing; /* of this event */
};

/* lookup.c: matcher->candidates, and the answers that the index knows. */
void matcher_look_up(struct matcher *matcher);

/* evaluate.c: the condition of a class, after matcher_look_up(). */
enum verdict matcher_evaluate(struct matcher *matcher, const struct step *steps);

/* evaluate.c: a condition as the parser made it, without anything that the index said. */
enum verdict matcher_evaluate_plainly(struct matcher *matcher, const struct expr *expr);

#endif
