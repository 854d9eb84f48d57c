/* check - a predicate made ready to run, and its evaluation on one event.
 *
 * Why: this is the only code that knows what a predicate means; the index (match.c) may find some
 * answers faster, but never other ones.
 *
 * Invariant: evaluation is a pure function of the event. A value is true when any member holds;
 * else undecided when any member is undecided; else false.
 * Owner: the program's arena. Thread: a check is immutable, a reading has one thread. */
#ifndef PICKET_RULES_CHECK_PRIVATE_H
#define PICKET_RULES_CHECK_PRIVATE_H

#include "rules/glob.h"
#include "rules/number.h"
#include "rules/reading_private.h"
#include "rules/required.h"

/* How the index finds the events for which the check holds. */
enum check_index {
	INDEX_NONE,   /* evaluated one by one, when a rule asks */
	INDEX_EXACT,  /* the slot's table of folded values */
	INDEX_NUMBER, /* the slot's table of numbers */
	INDEX_SCAN,   /* the slot's scanner, or its short list */
	INDEX_REGEX,  /* the same for the literals an expression requires: found, it may hold */
};

struct check {
	const struct predicate *predicate;
	uint32_t slot;       /* SLOT_ANY for keywords */
	uint32_t other_slot; /* FIELDREF */
	enum check_index index;
	struct glob glob;        /* GLOB */
	struct number number;    /* NUMBER */
	bool hit_proves;         /* INDEX_SCAN: the scanner's hit is the answer */
	struct regex *regex;     /* REGEX for PCRE2 */
	enum linear_kind linear; /* ... for Vectorscan, unless it is too large for it */
	struct text pattern;     /* REGEX without leading inline flags, which are in: */
	unsigned regex_flags;
	struct required required; /* REGEX: is false for a value without one of these */
};

enum status check_new(const struct predicate *predicate, struct arena *arena,
		      struct check *ret_check, struct error *err);

/* The whole predicate on the event of the reading. id is the predicate's number. */
enum verdict check_run(const struct check *check, uint32_t id, struct reading *reading);

/* A GLOB on one value. */
bool check_glob(const struct check *check, struct reading *reading, struct view *view);

#endif
