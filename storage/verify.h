/* verify - reads every block of a store as a reader would, and counts what cannot be read.
 *
 * Why: damage is found when somebody needs the block; whoever is responsible wants to know before.
 * Invariant: an event is counted only when every field of it was read and every checksum was right;
 * blooms are held against their own checksum. Owner: the caller's. Thread: any.
 * Limits: one block in memory at a time; VERIFY_PROBLEMS_MAX problems are told in words. */
#ifndef PICKET_STORAGE_VERIFY_H
#define PICKET_STORAGE_VERIFY_H

#include "storage/store.h"

enum { VERIFY_PROBLEMS_MAX = 20 };

struct verify_report {
	uint64_t row_blocks, merged_blocks, blooms, events;
	uint64_t damaged; /* blocks and blooms */
	struct error problems[VERIFY_PROBLEMS_MAX];
	size_t problem_count;
};

/* Goes on behind the key `after` (size 0: from the beginning) until the end or until `cancelled`
 * says so; *ret_next is then where to go on, and of size 0 at the end. */
enum status store_verify(struct store *store, struct text after, bool (*cancelled)(void *context),
			 void *context, struct verify_report *ret_report, struct bytes *ret_next,
			 struct error *err);

#endif
