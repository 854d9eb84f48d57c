/* spill - where cells go that nobody has touched for long, when there are more than memory holds.
 *
 * Why: an actor does no I/O, but its cells may outgrow its memory (tiers.c). It hands the bytes of
 * cold cells to whoever made it, and asks for them again when their group shows up, their time
 * comes or a checkpoint is written. What is out there is no record of anything: a checkpoint
 * carries all cells, so whoever holds the bytes may forget them when the actor is gone.
 *
 * Invariant: what was stored is read back byte for byte until it is dropped. A store() that fails
 * has stored nothing. Owner: whoever makes the actor, and outlives it. Thread: the actor's. */
#ifndef PICKET_CORRELATE_SPILL_H
#define PICKET_CORRELATE_SPILL_H

#include "correlate/record.h"
#include "rules/bytes.h"

struct spilled {
	struct cell_key key;
	struct text bytes;
};

struct spill {
	void *context;
	/* All of them or none. */
	enum status (*store)(void *context, const struct spilled *cells, size_t count,
			     struct error *err);
	/* Into *ret_bytes, which is cleared first. ECORRUPT also when it is not there. */
	enum status (*fetch)(void *context, const struct cell_key *key, struct bytes *ret_bytes,
			     struct error *err);
	/* It is not needed any more; there is no hurry. */
	void (*drop)(void *context, const struct cell_key *key);
};

#endif
