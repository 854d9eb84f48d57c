/* arena - memory that lives as long as one message, one rule set or one query, freed at once.
 *
 * Why: the hot path must not call malloc per value, and nobody should have to write the matching
 * free(). Lifetimes are the design: an arena is reset when its record has left the journey.
 *
 * In sanitizer builds (PICKET_ARENA_TWIN) the same interface makes one malloc per allocation, so
 * that AddressSanitizer sees every overrun and every use after a reset.
 *
 * Invariant: memory is 16-byte aligned, from arena_alloc() zeroed too; it stays valid until
 * arena_reset() or arena_free(). Owner and thread: one. Limits: bytes_max given at creation;
 * beyond it allocation returns NULL (ENOMEMORY for the caller to pass on). */
#ifndef PICKET_RULES_ARENA_H
#define PICKET_RULES_ARENA_H

#include "rules/text.h"

struct arena;

/* bytes_max: the largest sum of allocations between two resets. NULL when out of memory. */
struct arena *arena_new(size_t bytes_max);
void arena_free(struct arena **arena); /* NULL-safe; sets *arena to NULL */

/* Gives everything back; keeps the memory for the next round. */
void arena_reset(struct arena *arena);

void *arena_alloc(struct arena *arena, size_t size); /* NULL at the limit or out of memory */
/* The same, but not zeroed: for who writes all of it before anybody reads. */
void *arena_room(struct arena *arena, size_t size);

/* A copy of t that lives as long as the arena (with a NUL behind it, not counted in size).
 * data == NULL in the answer means out of memory. */
struct text arena_copy(struct arena *arena, struct text t);
__attribute__((format(printf, 2, 3))) struct text arena_print(struct arena *arena,
							      const char *format, ...);

/* Bytes handed out since the last reset. */
size_t arena_used(const struct arena *arena);

#endif
