/* spill_rows - cells that an actor has no memory for, as rows of the store (correlate/spill.h).
 *
 * Why: correlate does no I/O, and the store is the one place that has room. The rows are scratch:
 * checkpoints carry all cells, so after a start they mean nothing and are removed.
 *
 * Form: FAMILY_CELL, 's', u8 shard, be32 serial of the actor, 16 bytes of the cell's key -> the
 * bytes of the cell. The serial keeps the actor of a reload apart from the one before it.
 *
 * Invariant: a batch of cells is stored whole or not at all; what was dropped goes with the next
 * batch. Owner: a shard; outlives the actor that uses it. Thread: the shard's.
 * Limits: SPILL_DROPS_MAX drops wait, then they are removed by themselves. */
#ifndef PICKET_INGEST_SPILL_ROWS_H
#define PICKET_INGEST_SPILL_ROWS_H

#include "correlate/spill.h"
#include "storage/store.h"

enum { SPILL_DROPS_MAX = 4096 };

struct spill_rows;

enum status spill_rows_new(struct store *store, unsigned shard, uint32_t serial,
			   struct spill_rows **ret_rows);
void spill_rows_free(struct spill_rows **rows); /* removes what is left, as far as it can */
const struct spill *spill_rows_spill(const struct spill_rows *rows);

/* At the start: removes what an earlier run left. */
enum status spill_rows_clear(struct store *store, struct error *err);

#endif
