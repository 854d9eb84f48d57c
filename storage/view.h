/* view - the store as it was at one moment, over all families.
 *
 * Why: merging exchanges blocks while searches run. A search that reads the summaries of one moment
 * and the blocks of a later one would miss events or show them twice; a view shows neither.
 *
 * Invariant: what is read through a view is what was committed when it was made, whatever is
 * written since. Owner: store_view_free(), before the store goes; scans of a view end before it.
 * Thread: any number may read through one view. Limits: a view keeps what was deleted since on the
 * disk, so it is held for one question and not longer. */
#ifndef PICKET_STORAGE_VIEW_H
#define PICKET_STORAGE_VIEW_H

#include "storage/store.h"

struct store_view;

enum status store_view_new(struct store *store, struct store_view **ret_view, struct error *err);
void store_view_free(struct store_view **view);

/* As store_get() and store_scan_new(). */
enum status store_view_get(struct store_view *view, enum store_family family, struct text key,
			   struct bytes *ret_value, struct error *err);
enum status store_view_scan(struct store_view *view, enum store_family family, struct text prefix,
			    struct text from, struct store_scan **ret_scan, struct error *err);

#endif
