/* merge - cuts the blocks of epochs into columnar ones, and small columnar ones into larger ones.
 *
 * Why: an epoch leaves a block for each source partition ten times a second, of all owners, without
 * blooms and quickly compressed; searching thousands of them costs ten times what searching merged
 * ones costs.
 *
 * Invariant: each step is one batch that puts the new blocks and removes those they came from, so
 * every view of the store (view.h) has each event exactly once, and a crash leaves the one or the
 * other. A block that cannot be read stays where it is, and is counted. What is below a floor of
 * retention.h is left out. The same blocks give the same bytes.
 * Owner: none. Thread: one at a time for a store; beside any readers and the committer.
 * Limits: a step takes no further block when the next one does not fit into its table (columnar.h),
 * which has room for MERGE_EVENTS_MAX events. */
#ifndef PICKET_STORAGE_MERGE_H
#define PICKET_STORAGE_MERGE_H

#include "storage/store.h"

enum {
	MERGE_EVENTS_MAX = 512 * 1024, /* of a run of small blocks, and of the table */
	MERGE_RUN_MIN = 8,             /* small blocks of one size that are worth cutting again */
};

struct merge_report {
	uint64_t blocks_read, blocks_written, events;
	uint64_t expired; /* events below a floor, left out */
	uint64_t damaged; /* blocks that could not be read, left in place */
};

/* Counts blocks that are not merged and their events. */
enum status merge_backlog(struct store *store, uint64_t *ret_blocks, uint64_t *ret_events,
			  struct error *err);
/* One step over the oldest blocks of epochs; report->blocks_read is 0 when there is none. Counts
 * are added to *report. ENOSPACE: nothing happened, try again later. */
enum status merge_rows(struct store *store, struct merge_report *report, struct error *err);
/* One step over small columnar blocks; blocks_read as above. */
enum status merge_small(struct store *store, struct merge_report *report, struct error *err);
/* Steps of both kinds until there is nothing to do or `cancelled` says so (NULL: never). It is
 * asked between any two blocks, and the step that was begun is dropped: who waits for the end of it
 * does not wait for a step at the lowest priority. */
enum status merge_all(struct store *store, bool (*cancelled)(void *context), void *context,
		      struct merge_report *report, struct error *err);

#endif
