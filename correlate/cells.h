/* cells - a hash table from a 128-bit keyed hash to whatever lives under it.
 *
 * Why: every match record looks up its group's cell; the key already is a keyed hash, so its first
 * bytes are the bucket and equal keys are the same group (a collision of 128 secret bits is not a
 * thing that happens).
 *
 * Invariant: open addressing, linear probing, at most 3/4 full, no tombstones: a removal moves
 * later items of the chain up. Owner: keeps pointers, never frees them. Thread: one. */
#ifndef PICKET_CORRELATE_CELLS_H
#define PICKET_CORRELATE_CELLS_H

#include "correlate/record.h"

struct cells_slot {
	struct cell_key key;
	void *item; /* NULL: free */
};

struct cells {
	struct cells_slot *slots;
	size_t capacity; /* 0 or a power of two */
	size_t count;
};

/* Asks for the memory that cells_find() will look at. */
void cells_prefetch(const struct cells *cells, const struct cell_key *key);
void *cells_find(const struct cells *cells, const struct cell_key *key); /* NULL: none */
/* Room for so many in all, so that a table that is filled at once grows once. */
enum status cells_reserve(struct cells *cells, size_t count);
void cells_trim(struct cells *cells); /* gives back what was reserved in vain */
/* The key must not be there yet. */
enum status cells_add(struct cells *cells, const struct cell_key *key, void *item);
void cells_remove(struct cells *cells, const struct cell_key *key); /* fine when there is none */
void cells_done(struct cells *cells);

/* All items, ascending by key: an array of `count` the caller frees; NULL when out of memory or
 * when there are none. */
void **cells_sorted(const struct cells *cells);

#endif
