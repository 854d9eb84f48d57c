/* row_retention - how long the rows live that are no events: alerts, the quarantine, the audit,
 * what the gate has seen and said.
 *
 * Why: a store that only forgets events fills up with everything else, and a law that limits how
 * long a person's data is kept means alerts and the audit too.
 *
 * Invariant: a row goes only when it is older than its kind is kept AND nobody needs it:
 *   alerts       by the last event and the last action; never one that is open, that somebody has
 *                taken on and not closed, or that a configured receiver has not been told of
 *   undelivered  never one that is about to be tried again
 *   buckets, instances   never those of a canary that is heard and has no PASS or FAIL yet
 *   verdicts     (also steps, overrides, latched FAILs) never the last word on a version that is
 *                heard, nor anything about a canary that has no answer yet
 *   findings     never those of a version that is heard
 * "Heard" means: an instance of it has logged since the kind's limit. What is written while it is
 * judged stays (store_batch_delete_same()). Rows that cannot be read stay, and are counted.
 * Owner: the caller. Thread: one enforces at a time; plans from any. Units: _us.
 * Limits: ROWS_PER_TURN_MAX rows of a kind go in one turn, so that a clock that jumps ahead does
 * not empty the store at once; the rest goes at the next. */
#ifndef PICKET_CLI_ROW_RETENTION_H
#define PICKET_CLI_ROW_RETENTION_H

#include "cli/receiver.h"
#include "cli/row_kind.h"

enum { ROWS_PER_TURN_MAX = 100000 };

struct row_rules {
	int64_t keep_us[ROW_KIND_COUNT];     /* 0 = for ever */
	bool receivers[RECEIVER_KIND_COUNT]; /* that are configured */
};

/* What a rule would drop, or has dropped. */
struct row_drop {
	int64_t before_us; /* rows of before it are too old; INT64_MIN: none is */
	uint64_t rows, bytes;
	uint64_t held;    /* too old, but somebody needs them */
	uint64_t damaged; /* cannot be read: they stay */
};

/* What is too old at that time, kind by kind. */
enum status row_retention_plan(struct store *store, const struct row_rules *rules, int64_t now_us,
			       struct row_drop ret_drops[static ROW_KIND_COUNT], struct error *err);
/* Removes it. ENOSPACE and the like: a part may be gone, the rest goes next time. */
enum status row_retention_enforce(struct store *store, const struct row_rules *rules,
				  int64_t now_us, struct row_drop ret_drops[static ROW_KIND_COUNT],
				  struct error *err);

#endif
