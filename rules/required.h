/* required - literals of which one stands in every text that a regular expression matches.
 *
 * Why: searching for an expression costs far more than knowing that `-Path` is not there. With
 * them an expression is found by the scanner like any literal, an event without them never makes
 * one be compiled, and a text that would explode a back-tracking engine must hold one first.
 *
 * Invariant: a text that matches, folded (fold.h), contains one of the literals. No literals says
 * nothing: also what is not understood here gives none. Literals are folded ASCII.
 * Owner: the arena. Thread: any. Limits: REQUIRED_MAX literals of REQUIRED_SIZE_MIN bytes and more.
 */
#ifndef PICKET_RULES_REQUIRED_H
#define PICKET_RULES_REQUIRED_H

#include "rules/arena.h"

enum { REQUIRED_MAX = 24, REQUIRED_SIZE_MIN = 3 };

struct required {
	struct text items[REQUIRED_MAX];
	size_t count;
	size_t shortest; /* bytes of the shortest */
};

/* The pattern has passed PCRE2. None, too, when the arena is full. */
struct required required_of(struct text pattern, struct arena *arena);

/* One of them stands in the folded text, or there are none. */
bool required_stand_in(const struct required *required, struct text folded);

#endif
