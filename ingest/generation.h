/* generation - a rule set that is, was or will be live, with its plan, counted by its users.
 *
 * Why: a reload swaps the whole rule set while workers match with the old one, actors correlate by
 * its plan and requests print it. Whoever uses a generation holds it; the last one who lets go
 * frees it, so that a reload every minute costs no memory.
 *
 * Invariant: rule set and plan are immutable; references >= 1 while anybody may look.
 * Owner: its references. Thread: any may hold and let go. Limits: none of its own. */
#ifndef PICKET_INGEST_GENERATION_H
#define PICKET_INGEST_GENERATION_H

#include <stdatomic.h>

#include "correlate/plan.h"

struct generation {
	const struct ruleset *ruleset;
	struct plan *plan;
	struct ruleset *owned; /* the same as ruleset; NULL: it is lent */
	uint64_t hash;
	atomic_uint references;
};

/* One reference. owned: the rule set is freed with it, also when this fails. EINVALID with the
 * place for a rule that cannot be correlated. */
enum status generation_new(const struct ruleset *ruleset, bool owned, const struct hash_key *key,
			   struct generation **ret_generation, struct error *err);
struct generation *generation_hold(struct generation *generation);
/* Lets go and sets *generation to NULL; NULL inside is fine. */
void generation_drop(struct generation **generation);

#endif
