/* state_rows - what correlation remembers of one virtual partition, as rows of the store.
 *
 * Why: a checkpoint comes every ten seconds, and of ten million groups a few thousand changed. So a
 * partition is one whole row and rows of changes after it (correlate/saved.c); a whole row is
 * written again when the changes have become half of it, and the changes before it are emptied in
 * the same batch.
 *
 * Form: FAMILY_CELL, 'c' partition -> the whole; 'd' partition be32 number -> changes, numbers from
 * 0 up to the first that is empty or not there; 'd' partition -> changes without cells, newer than
 * all of them unless it is empty: time goes on where nothing happens.
 *
 * Invariant: the rows of a partition are of one checkpoint, since they are written in its batch.
 * Owner: a shard, of its own partitions. Thread: the shard's; reading: any.
 * Limits: CHANGE_ROWS_MAX rows of changes; fewer for higher partitions, so that their whole rows do
 * not all come at once. */
#ifndef PICKET_INGEST_STATE_ROWS_H
#define PICKET_INGEST_STATE_ROWS_H

#include "correlate/actor.h"
#include "storage/store.h"

enum { CHANGE_ROWS_MAX = 256, CHANGE_BYTES_SLACK = 1 << 16 };

struct state_rows {
	uint32_t change_count;
	uint64_t change_bytes;
	uint64_t whole_bytes;
	bool headed; /* the row of changes without cells is not empty */
};

/* Puts what the actor's partition has since the last checkpoint, which is committed before the next
 * one is taken. */
enum status state_rows_put(struct state_rows *state, struct actor *actor,
			   uint8_t virtual_partition, struct bytes *rows);

/* The rows from the newest to the oldest, as actor_restore() takes them. */
enum status state_rows_read(struct store *store, uint8_t virtual_partition,
			    enum status (*take)(void *context, struct text row, struct error *err),
			    void *context, struct state_rows *ret_state, struct error *err);

#endif
