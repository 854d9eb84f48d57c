/* retention - how long events live, by tenant and data class, and the floors that follow from it.
 *
 * Why: laws and disks ask for it. What is old is dropped as whole ranges of time; between the
 * moment a floor rises and the moment the files are gone, readers enforce the floor, so that a
 * question never sees half of what is being dropped.
 *
 * Invariant: floors only rise; an event below its floor is never given back. Floors are rows of the
 * store (FAMILY_POSITION), so that every reader has the same. Owner: retention_free().
 * Thread: any once loaded (immutable). Limits: RETENTION_RULES_MAX floors. */
#ifndef PICKET_STORAGE_RETENTION_H
#define PICKET_STORAGE_RETENTION_H

#include "storage/columnar.h"

enum { RETENTION_RULES_MAX = 10000 };

struct retention;

/* The floors that the store holds. */
enum status retention_load(struct store_view *view, struct retention **ret_retention,
			   struct error *err);
void retention_free(struct retention **retention);
/* Events of the owner and class before it do not exist; INT64_MIN: none is. retention NULL: none.
 */
int64_t retention_floor(const struct retention *retention, struct text owner,
			enum data_class class);

/* The row of a floor in FAMILY_POSITION; owner NULL: of every owner of the class that has no row
 * of its own. */
void floor_key(enum data_class class, const struct text *owner, struct bytes *to);
void floor_encode(int64_t floor_us, struct bytes *to);

#endif
