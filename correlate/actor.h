/* actor - one single-threaded owner of correlation state: match records in, alerts out.
 *
 * Why: correlation must give the same answer for every order of arrival, every number of workers
 * and actors, and after every crash. So an actor works by epochs: it collects the records of an
 * epoch, sorts them by (time, origin), folds them, exchanges what chained rules produce, and only
 * then lets the watermark close what is over. What it does is a pure function of the recorded
 * epochs; how the records of one epoch were interleaved cannot matter.
 *
 *     actor_feed()*  actor_round()  { actor_feed()* actor_round() } x plan_rounds()  actor_close()
 *
 * Invariant: state is keyed by virtual partition (record.h), so the number of actors may change
 * between two starts: each restores the partitions that are its own (partition % count == index).
 * Owner: one thread. No clock, lock, log, I/O or randomness.
 * Limits, in the order in which they are reached:
 *   memory_max bytes of cells: the coldest are packed, then spilled (tiers.c); no answer changes.
 *   cells_max groups per unit and tenant, in equal shares per virtual partition, so that the answer
 *   does not depend on the number of actors even then; a new group beyond the share is refused,
 *   counted, told (actor_refusals()), and marks the tenant's next alert of that rule in that
 *   partition DEGRADED; never another tenant's cell. */
#ifndef PICKET_CORRELATE_ACTOR_H
#define PICKET_CORRELATE_ACTOR_H

#include "correlate/alert.h"
#include "correlate/spill.h"

enum { ACTOR_CELLS_MAX = 1000000, ACTOR_REFUSALS_MAX = 64 };

struct actor;

struct actor_options {
	const struct plan *plan; /* lent, must outlive the actor */
	unsigned index;          /* which of actor_count this is */
	unsigned actor_count;
	size_t cells_max;          /* 0 = ACTOR_CELLS_MAX */
	size_t memory_max;         /* bytes of cells, 0 = as many as there are */
	const struct spill *spill; /* NULL: nowhere; lent, must outlive the actor */
};

struct actor_counters {
	uint64_t records;       /* folded */
	uint64_t unknown_state; /* records of a unit that is no longer there */
	uint64_t late_counted;  /* late, but the window still covered them */
	uint64_t late_dropped;  /* late and beyond, or for a gated rule: counted, not evaluated */
	uint64_t cells;         /* live now */
	uint64_t cells_refused; /* new groups over the limit */
	uint64_t cell_bytes;    /* memory of the cells, about */
	uint64_t cells_estimating; /* live now, their values counted by estimate (panes.h) */
	uint64_t cells_packed;     /* live now, as bytes in memory */
	uint64_t cells_spilled;    /* live now, with whoever holds what was spilled */
	uint64_t spills;           /* cells stored there so far */
	uint64_t spill_reads;      /* cells that were needed again */
	uint64_t spill_failures;
};

enum status actor_new(const struct actor_options *options, struct actor **ret_actor,
		      struct error *err);
void actor_free(struct actor **actor);

/* Takes encoded records (record.h); those of virtual partitions that are not its own are skipped.
 * The bytes are copied. */
enum status actor_feed(struct actor *actor, struct text records, struct error *err);

/* Folds what was fed since the last round, and in the n-th round of the epoch decides the gated
 * rules of depth n as far as watermark_us, the one that actor_close() will get; chained firings go
 * into the exchange. */
enum status actor_round(struct actor *actor, uint64_t epoch, int64_t watermark_us,
			const struct record_sink *exchange, struct error *err);

/* Ends the epoch: time is now watermark_us for every cell (INT64_MAX: nothing more will come). */
enum status actor_close(struct actor *actor, uint64_t epoch, int64_t watermark_us,
			struct error *err);

/* Right behind actor_close(): the units that next does not have are gone; their alerts end now, as
 * further changes of the epoch, and their cells are forgotten. */
enum status actor_retire(struct actor *actor, const struct plan *next, struct error *err);

/* The ids of all alerts that are open, ALERT_ID_SIZE bytes each, in no order. */
enum status actor_list_open(struct actor *actor, struct bytes *to, struct error *err);

/* Who had a first group refused in the epoch just closed; valid until the next actor_feed(). */
struct refusal {
	const struct unit *unit;
	struct text tenant;
};
const struct refusal *actor_refusals(const struct actor *actor, size_t *ret_count);

/* Alerts that changed in the epoch just closed, each once, sorted by id; valid until the next
 * actor_feed(). `announce` tells which of them got a new revision (one outbox row each). */
struct alert_change {
	const struct alert *alert;
	bool announce;
};
const struct alert_change *actor_changes(const struct actor *actor, size_t *ret_count);

/* All state of one virtual partition as one value (versioned), between actor_close() and the next
 * feed. Empty before the first close; afterwards never, since it carries the watermark that
 * decides what is late: store it for every partition of the actor. */
enum status actor_checkpoint(const struct actor *actor, uint8_t virtual_partition,
			     struct bytes *to);
/* The same as what changed since the rows that the store has (saved.c), which it counts as stored
 * from now on. *ret_any: there is a cell among it. ENOTFOUND: there are no such rows, or too much
 * changed; write a whole checkpoint. */
enum status actor_checkpoint_changes(struct actor *actor, uint8_t virtual_partition,
				     struct bytes *to, bool *ret_any);
/* What the partition has now is what its rows say: they were just written, or just restored. */
void actor_stored(struct actor *actor, uint8_t virtual_partition);

/* Only before the first feed; partitions that are not its own are skipped. Of a partition with
 * changes: those from the newest to the oldest, then the whole checkpoint. Cells of units that are
 * gone are dropped and counted in unknown_state. A cell whose rule got another threshold keeps its
 * alerts and goes on counting under the new one. ECORRUPT: the actor may only be freed. */
enum status actor_restore(struct actor *actor, struct text checkpoint, struct error *err);

/* The same for the cells of some units only, into an actor that has none of them. */
enum status actor_adopt(struct actor *actor, struct text checkpoint,
			const struct unit_filter *filter, struct error *err);

struct actor_counters actor_counters(const struct actor *actor);
/* Adds the cells of each unit to counts, by the unit's place in the plan. */
void actor_count_cells(const struct actor *actor, uint64_t *counts);

#endif
