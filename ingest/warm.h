/* warm - what a new rule would remember had it always been there, from the stored events.
 *
 * Why: a count over a day that begins empty is blind for a day, and a rule that learns for two
 * weeks for two weeks; the events are all in the store.
 *
 * A warming has two halves. warming_read() takes everything that is committed while the engine runs
 * on: it notes the positions first and passes over what lies behind them. warming_finish() takes
 * the rest, when nothing is committed any more, and judges up to the watermark of the store. So
 * each event is taken once; one that came late between the halves, below the watermark the first
 * half noted, is passed over.
 *
 * Invariant: the cells are a function of the stored events, the rules and the watermark. What
 * history raised is marked ALERT_BACKFILL. Owner: warming_free(). Thread: one at a time; the
 * progress may be read by any. Limits: HISTORY_MAX_US of the past, WARMING_BYTES_MAX of match
 * records (beyond: ELIMIT, and the rules begin empty). */
#ifndef PICKET_INGEST_WARM_H
#define PICKET_INGEST_WARM_H

#include <stdatomic.h>

#include "correlate/actor.h"
#include "ingest/generation.h"
#include "storage/store.h"

static const uint64_t WARMING_BYTES_MAX = UINT64_C(512) << 20;

struct warming;

struct warming_options {
	struct store *store;           /* lent */
	const struct generation *next; /* lent: its plan and rules */
	struct unit_filter cold;       /* what is to be warmed; its ids are lent */
	bool only_open;                /* alerts that have ended in history are stored already */
	const atomic_bool *stopping;   /* ends it with ECLOSED; NULL: nothing does */
	atomic_int *percent;           /* how far it is, about; NULL: nobody asks */
};

/* *ret_warming is NULL when no such unit remembers anything, or the store has no past. */
enum status warming_new(const struct warming_options *options, struct warming **ret_warming,
			struct error *err);
void warming_free(struct warming **warming);
enum status warming_read(struct warming *warming, struct error *err);
enum status warming_finish(struct warming *warming, struct error *err);

/* After warming_finish(): the cells of one virtual partition, for actor_adopt() under the filter of
 * the options; the alerts of history, as rows (detect.h). */
enum status warming_cells(const struct warming *warming, uint8_t virtual_partition,
			  struct bytes *to);
enum status warming_alerts(const struct warming *warming, struct bytes *rows);

/* The ids of the plan's units, ascending, and those that `known` does not name; the caller frees
 * the ids. NULL: out of memory. */
uint64_t *state_ids(const struct plan *plan, size_t *ret_count);
uint64_t *state_ids_new(const struct plan *plan, const struct unit_filter *known,
			size_t *ret_count);

#endif
