/* bloom - "is this value certainly not in that block?", in ten bits a value.
 *
 * Why: a trace id stands in one block of thousands; reading 5 KiB says which. Invariant: a value
 * that was put in is never denied; of others about one in a hundred is not denied either.
 * Owner: the caller's bytes. Thread: any (pure). Limits: none of its own. */
#ifndef PICKET_STORAGE_BLOOM_H
#define PICKET_STORAGE_BLOOM_H

#include "rules/bytes.h"

/* Appends the bloom of the hashes (term.h). */
void bloom_put(struct bytes *to, const uint64_t *hashes, size_t count);
/* False when the bloom is damaged. */
bool bloom_check(struct text bloom);
bool bloom_may_hold(struct text bloom, uint64_t hash);

#endif
