/* dictionary - byte strings numbered in the order of their first appearance.
 *
 * Why: a block says each field name, each owner and each shape of event once.
 *
 * Invariant: entries lie one behind the other in `entries`, which is the stored form when every
 * entry carries its own size. Names come from logs: whoever finds many that share a hash gets
 * duplicates in his own block (a lookup gives up after a few probes), not a slow picket.
 * Owner: dictionary_done(). Thread: one. Limits: none of its own; the block limits its bytes. */
#ifndef PICKET_STORAGE_DICTIONARY_PRIVATE_H
#define PICKET_STORAGE_DICTIONARY_PRIVATE_H

#include "rules/bytes.h"

struct dictionary_place;
struct dictionary_slot;

struct dictionary {
	struct bytes entries;
	struct dictionary_place *places; /* by number */
	struct dictionary_slot *slots;   /* hash table */
	size_t count, capacity;          /* of places */
	size_t slot_count;               /* a power of two, at least twice capacity */
};

void dictionary_clear(struct dictionary *dictionary); /* keeps the memory */
void dictionary_done(struct dictionary *dictionary);
/* The number of entry, which is added when it is new. False: out of memory, nothing changed. */
bool dictionary_number(struct dictionary *dictionary, struct text entry, uint32_t *ret_number);
struct text dictionary_entry(const struct dictionary *dictionary, uint32_t number);

#endif
