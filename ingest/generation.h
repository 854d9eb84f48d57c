/* generation - a rule set that is, was or will be live, with its plan and with what events are
 * judged by before they reach it (bindings, privacy), counted by its users.
 *
 * Why: a reload swaps all of it while workers match with the old one, actors correlate by its plan
 * and requests print it. Whoever uses a generation holds it; the last one who lets go frees it, so
 * that a reload every minute costs no memory.
 *
 * Invariant: all parts are immutable; references >= 1 while anybody may look.
 * Owner: its references. Thread: any may hold and let go. Limits: none of its own. */
#ifndef PICKET_INGEST_GENERATION_H
#define PICKET_INGEST_GENERATION_H

#include <stdatomic.h>

#include "correlate/plan.h"
#include "ingest/binding.h"
#include "ingest/privacy.h"

/* What comes and goes together. */
struct generation_parts {
	const struct ruleset *ruleset;
	const struct bindings *bindings; /* NULL: nothing is bound */
	const struct privacy *privacy;   /* NULL: everything is kept */
};
/* For parts that nobody took. */
void generation_parts_free(struct generation_parts *parts);

struct warming;

/* Whether new rules of it wait for what they would remember (warm.h). */
enum warmth { WARMTH_NONE, WARMTH_PENDING, WARMTH_READY };

struct generation {
	struct generation_parts parts;
	bool owned; /* the parts are freed with it; else they are lent */
	struct plan *plan;
	uint64_t hash; /* of the rule set */
	atomic_uint references;

	/* Under the mutex of the epoch gate; the ids from before anybody else has it. */
	enum warmth warmth;
	uint64_t *cold; /* state ids of its new rules, ascending */
	size_t cold_count;
	struct warming *warming; /* until every shard has taken its own */
	unsigned takers;         /* shards that have not */
};

/* One reference. owned: the parts are freed with it, also when this fails. EINVALID with the place
 * for a rule that cannot be correlated. */
enum status generation_new(const struct generation_parts *parts, bool owned,
			   const struct hash_key *key, struct generation **ret_generation,
			   struct error *err);
struct generation *generation_hold(struct generation *generation);
/* Lets go and sets *generation to NULL; NULL inside is fine. */
void generation_drop(struct generation **generation);

/* The units that are new with it, until their warming; and whether the rule's is one of them: a
 * plain detection is not, for it remembers nothing. */
struct unit_filter generation_cold(const struct generation *generation);
bool generation_warms(const struct generation *generation, const struct rule *rule);

#endif
