/* privacy, inside: what its options were made into.
 *
 * privacy.c takes the options and the key and writes replacements; privacy_event.c cleans with
 * them.
 *
 * Invariant: immutable after privacy_new(). Owner: privacy_free(), privacy_scratch_free(). Thread:
 * privacy any, a scratch one. */
#ifndef PICKET_INGEST_PRIVACY_PRIVATE_H
#define PICKET_INGEST_PRIVACY_PRIVATE_H

#include <hs/hs.h>

#include "ingest/privacy.h"

struct privacy {
	struct privacy_options options;
	struct privacy_policy policies[PRIVACY_POLICIES_MAX];
	struct arena *arena; /* of the policies' names */
	unsigned char key[PRIVACY_KEY_BYTES];
	char key_id[PRIVACY_KEY_NAME_MAX];
	bool has_key;
	hs_database_t *literals;
};

struct privacy_scratch {
	hs_scratch_t *hs;
	struct bytes joined;
};

/* picket cannot work without the field, or would lie about where an event came from. */
bool privacy_needs(enum field_id id);

#endif
