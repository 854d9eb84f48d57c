/* store_private - what the two stores share: a table of calls and the heads of their objects.
 *
 * Why: store.c checks arguments and keeps the sticky error of a batch once, for both stores; the
 * stores do the rest. A store, batch or scan of either kind begins with the struct given here.
 *
 * Invariant: put and remove see keys within STORE_KEY_MAX and only batches without an error.
 * Owner and thread: as in storage/store.h. */
#ifndef PICKET_STORAGE_STORE_PRIVATE_H
#define PICKET_STORAGE_STORE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "storage/view.h"

/* Keys that begin with prefix, from `first`. */
struct store_range {
	enum store_family family;
	struct text prefix, first;
};

struct store_calls {
	void (*store_free)(struct store *store);
	struct store_batch *(*batch_new)(struct store *store);
	void (*batch_free)(struct store_batch *batch);
	enum status (*put)(struct store_batch *batch, enum store_family family, struct text key,
			   struct text value);
	enum status (*remove)(struct store_batch *batch, enum store_family family, struct text key);
	/* Empties the batch when it was applied, and leaves it as it is when it was not. */
	enum status (*commit)(struct store_batch *batch, bool sync, struct error *err);
	/* view NULL: the store as it is now. */
	enum status (*get)(struct store *store, struct store_view *view, enum store_family family,
			   struct text key, struct bytes *ret_value, struct error *err);
	enum status (*scan_new)(struct store *store, struct store_view *view,
				const struct store_range *range, struct store_scan **ret_scan,
				struct error *err);
	bool (*scan_next)(struct store_scan *scan, struct text *ret_key, struct text *ret_value);
	enum status (*scan_status)(const struct store_scan *scan, struct error *err);
	void (*scan_free)(struct store_scan *scan);
	uint64_t (*bytes)(struct store *store);
	/* NULL: the store has no files. */
	enum status (*drop_files)(struct store *store, enum store_family family, struct text from,
				  struct text to, struct error *err);
	void (*compact)(struct store *store, enum store_family family, struct text from,
			struct text to);                                                 /* ditto */
	enum status (*backup)(struct store *store, const char *path, struct error *err); /* ditto */
	struct store_view *(*view_new)(struct store *store); /* NULL: out of memory */
	void (*view_free)(struct store_view *view);
	void (*fail_at)(struct store *store, unsigned nth_commit, enum status status);
};

struct store {
	const struct store_calls *calls;
	atomic_size_t views;     /* open ones */
	pthread_mutex_t commits; /* one at a time: what a batch asks for holds when it is applied */
};
/* Before anything else is done with a store; false: no lock to be had. */
bool store_init(struct store *store, const struct store_calls *calls);

struct store_batch {
	struct store *store;
	enum status status; /* the first error of a put or delete */
	size_t bytes;       /* of keys and values */
	struct bytes same;  /* rows to delete as they are: u8 family, text key, text value */
};

struct store_scan {
	const struct store_calls *calls;
};

struct store_view {
	struct store *store;
};

enum status store_scan_of(struct store *store, struct store_view *view, struct store_range range,
			  struct store_scan **ret_scan, struct error *err);

/* The name of a family, as in family.def. */
const char *store_family_name(enum store_family family);

#endif
