/* cohort_private - what the two halves of a cohort share: feeding it (cohort.c, with checkpoints)
 * and closing it at the end of an epoch (cohort_close.c).
 *
 * Why: the tallies that are fed are the ones that are given out. Invariant: a node is in at most
 * one of the lists, and only while is_due says so. Owner: whoever owns the cohort. Thread: his.
 * Limits: cohort.h. */
#ifndef PICKET_CORRELATE_COHORT_PRIVATE_H
#define PICKET_CORRELATE_COHORT_PRIVATE_H

#include "correlate/tally_private.h"

struct cohort {
	unsigned index, actor_count;
	int64_t watermark_us; /* INT64_MIN: none yet */
	struct tally tally;
	struct tally ledgers;    /* apart: forgetting walks over one or the other */
	struct tally_node *open; /* every bucket that is not closed yet */
	struct tally_node *due;  /* instances and findings that the end of this epoch gives out */
	struct ledger_entry *due_entries; /* the same of traits */
	struct arena *arena;              /* of the changes */
	struct cohort_changes changes;
	struct bytes scratch;
};

/* Forgets what the last call gave out. */
void cohort_clear(struct cohort *cohort);
/* True when the bucket that starts then is closed at the watermark. */
bool cohort_is_closed(const struct cohort *cohort, int64_t start_us);
/* To be given out: at the end of this epoch, a bucket when it is closed. Once is enough. */
void cohort_list(struct cohort *cohort, struct tally_node *node);
void cohort_list_entry(struct cohort *cohort, struct ledger_entry *entry);
/* For qsort() of pointers to nodes. */
int cohort_by_key(const void *left, const void *right);

#endif
