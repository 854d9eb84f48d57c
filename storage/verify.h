/* verify - reads every row of a store as a reader would, and counts what cannot be read.
 *
 * Why: damage is found when somebody needs the row; whoever is responsible wants to know before.
 * Invariant: an event is counted only when every field of it was read and every checksum was right;
 * blooms are held against their own checksum, a block without its blockmeta (which no reader would
 * ever find) is damage. Of the other families every row is read, which checks RocksDB's checksums,
 * and decoded by who knows it. Owner: the caller's. Thread: any.
 * Limits: one block in memory at a time; VERIFY_PROBLEMS_MAX problems are told in words. */
#ifndef PICKET_STORAGE_VERIFY_H
#define PICKET_STORAGE_VERIFY_H

#include "storage/store.h"

enum { VERIFY_PROBLEMS_MAX = 20 };

struct verify_report {
	uint64_t row_blocks, merged_blocks, blooms, events;
	uint64_t rows;    /* of the families that hold no events */
	uint64_t damaged; /* blocks, blooms, rows */
	struct error problems[VERIFY_PROBLEMS_MAX];
	size_t problem_count;
};

struct verify_options {
	/* Whether a row of a family that holds no events decodes (ECORRUPT: it does not); NULL:
	 * reading it is enough. */
	enum status (*row_check)(enum store_family family, struct text key, struct text value,
				 struct error *err);
	bool (*cancelled)(void *context); /* NULL: never */
	void *context;
};

/* Goes on at the place `after` (size 0: from the beginning) until the end or until `cancelled` says
 * so; *ret_next is then where to go on, and of size 0 at the end. EINVALID: `after` is no place. */
enum status store_verify(struct store *store, struct text after,
			 const struct verify_options *options, struct verify_report *ret_report,
			 struct bytes *ret_next, struct error *err);

#endif
