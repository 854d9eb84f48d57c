/* tenant_count - how many events each tenant has in the store, and what they take.
 *
 * Why: quotas, bills and "who floods us" are asked often, and must not read the events for it.
 *
 * Invariant: read from the summaries alone. Counts are exact but for events that are below a floor
 * of retention.h and not merged yet, which still count. Whatever the summaries do not tell
 * (`unknown_events`: blocks of more than BLOCK_OWNERS_MAX tenants that are not merged yet, or of an
 * older picket) or cannot tell (`damaged` rows) is said and not left out silently.
 * Owner: tenant_counts_done(). Thread: any. Limits: TENANTS_MAX tenants, else ELIMIT. */
#ifndef PICKET_STORAGE_TENANT_COUNT_H
#define PICKET_STORAGE_TENANT_COUNT_H

#include "storage/store.h"

enum { TENANTS_MAX = 100000 };

struct tenant_count {
	struct text owner; /* as in keys: see ROW_NAME_MAX */
	uint64_t events;
	uint64_t bytes; /* of what is merged */
	int64_t first_us, last_us;
};

struct tenant_counts {
	struct tenant_count *items; /* by falling events, then by name */
	size_t count;
	uint64_t unknown_events, damaged;
	struct arena *arena; /* of the names */
};

enum status tenants_count(struct store *store, struct tenant_counts *ret_counts, struct error *err);
void tenant_counts_done(struct tenant_counts *counts);

#endif
