/* The store in memory: one persistent AVL tree per family (storage/tree_private.h).
 *
 * A batch keeps its puts and deletes in one buffer. Commit applies them to copies of the roots and
 * then exchanges the roots: a batch that fails for want of memory half way was never there. A scan
 * holds the root it began with, so that it sees the store as it was; no row is copied for it. All
 * this is under one lock, which a scan takes only to begin and to end. */
#include "storage/store_private.h"
#include "storage/tree_private.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

struct memory_store {
	struct store base;
	pthread_mutex_t lock; /* guards all that follows, and every count of references */
	struct tree_pool pool;
	struct tree_node *roots[FAMILY_COUNT];
	uint64_t bytes;
	unsigned fail_in; /* commits from now; 0 = never */
	enum status fail_status;
};

struct memory_batch {
	struct store_batch base;
	struct bytes rows; /* u8 family, u8 is put, text key, text value */
};

struct memory_view {
	struct store_view base;
	struct tree_node *roots[FAMILY_COUNT];
};

struct memory_scan {
	struct store_scan base;
	struct memory_store *store;
	struct tree_node *root;
	struct bytes prefix;
	struct tree_walk walk;
};

static struct memory_store *memory_of(struct store *store)
{
	return (struct memory_store *)store;
}

static void memory_free(struct store *base)
{
	struct memory_store *store = memory_of(base);
	for (size_t i = 0; i < FAMILY_COUNT; i++)
		tree_release(&store->pool, store->roots[i]);
	tree_pool_done(&store->pool);
	(void)pthread_mutex_destroy(&store->lock);
	free(store);
}

static struct store_batch *memory_batch_new(struct store *store)
{
	(void)store;
	struct memory_batch *batch = calloc(1, sizeof *batch);
	return batch == NULL ? NULL : &batch->base;
}

static void memory_batch_free(struct store_batch *base)
{
	struct memory_batch *batch = (struct memory_batch *)base;
	bytes_done(&batch->rows);
	free(batch);
}

static enum status batch_add(struct store_batch *base, enum store_family family, bool is_put,
			     struct text key, struct text value)
{
	struct memory_batch *batch = (struct memory_batch *)base;
	bytes_put_u8(&batch->rows, (uint8_t)family);
	bytes_put_u8(&batch->rows, is_put);
	bytes_put_text(&batch->rows, key);
	bytes_put_text(&batch->rows, value);
	return bytes_status(&batch->rows);
}

static enum status memory_put(struct store_batch *base, enum store_family family, struct text key,
			      struct text value)
{
	return batch_add(base, family, true, key, value);
}

static enum status memory_remove(struct store_batch *base, enum store_family family,
				 struct text key)
{
	return batch_add(base, family, false, key, (struct text){0});
}

/* Applies the rows to roots (owned references); *bytes follows. */
static enum status rows_apply(struct memory_store *store, struct text rows,
			      struct tree_node *roots[FAMILY_COUNT], uint64_t *bytes)
{
	struct cursor from = cursor_of(rows);
	while (cursor_left(&from) > 0) {
		uint8_t family = cursor_u8(&from);
		bool is_put = cursor_u8(&from) != 0;
		struct text key = cursor_text(&from);
		struct text value = cursor_text(&from);
		assert(!from.failed && family < FAMILY_COUNT);
		struct text before;
		if (tree_find(roots[family], key, &before))
			*bytes -= key.size + before.size;
		if (!is_put) {
			if (!tree_remove(&store->pool, &roots[family], key))
				return ENOMEMORY;
			continue;
		}
		if (!tree_put(&store->pool, &roots[family], key, value))
			return ENOMEMORY;
		*bytes += key.size + value.size;
	}
	return OK;
}

static enum status batch_apply(struct memory_store *store, struct text rows)
{
	if (store->fail_in > 0 && --store->fail_in == 0)
		return store->fail_status;
	struct tree_node *roots[FAMILY_COUNT];
	for (size_t i = 0; i < FAMILY_COUNT; i++)
		roots[i] = tree_retain(store->roots[i]);
	uint64_t bytes = store->bytes;
	enum status status = rows_apply(store, rows, roots, &bytes);
	for (size_t i = 0; i < FAMILY_COUNT; i++) {
		struct tree_node *loser = status == OK ? store->roots[i] : roots[i];
		if (status == OK)
			store->roots[i] = roots[i];
		tree_release(&store->pool, loser);
	}
	if (status == OK)
		store->bytes = bytes;
	return status;
}

static enum status memory_commit(struct store_batch *base, bool sync, struct error *err)
{
	(void)sync;
	struct memory_batch *batch = (struct memory_batch *)base;
	struct memory_store *store = memory_of(base->store);
	(void)pthread_mutex_lock(&store->lock);
	enum status status = batch_apply(store, bytes_text(&batch->rows));
	(void)pthread_mutex_unlock(&store->lock);
	if (status != OK)
		return error_set(err, status, "writing to the store in memory: %s",
				 status_text(status));
	bytes_clear(&batch->rows);
	return OK;
}

static struct store_view *memory_view_new(struct store *base)
{
	struct memory_store *store = memory_of(base);
	struct memory_view *view = calloc(1, sizeof *view);
	if (view == NULL)
		return NULL;
	(void)pthread_mutex_lock(&store->lock);
	for (size_t i = 0; i < FAMILY_COUNT; i++)
		view->roots[i] = tree_retain(store->roots[i]);
	(void)pthread_mutex_unlock(&store->lock);
	return &view->base;
}

static void memory_view_free(struct store_view *base)
{
	struct memory_view *view = (struct memory_view *)base;
	struct memory_store *store = memory_of(base->store);
	(void)pthread_mutex_lock(&store->lock);
	for (size_t i = 0; i < FAMILY_COUNT; i++)
		tree_release(&store->pool, view->roots[i]);
	(void)pthread_mutex_unlock(&store->lock);
	free(view);
}

static struct tree_node *root_of(const struct memory_store *store, const struct store_view *view,
				 enum store_family family)
{
	return view == NULL ? store->roots[family]
			    : ((const struct memory_view *)view)->roots[family];
}

static enum status memory_get(struct store *base, struct store_view *view, enum store_family family,
			      struct text key, struct bytes *ret_value, struct error *err)
{
	struct memory_store *store = memory_of(base);
	struct text value = {0};
	(void)pthread_mutex_lock(&store->lock);
	bool found = tree_find(root_of(store, view, family), key, &value);
	if (found)
		bytes_write(ret_value, value);
	(void)pthread_mutex_unlock(&store->lock);
	if (!found)
		return error_set(err, ENOTFOUND, "no such row in %s", store_family_name(family));
	enum status status = bytes_status(ret_value);
	return status == OK
		       ? OK
		       : error_set(err, status, "no memory for a row of %zu bytes", value.size);
}

static enum status memory_scan_new(struct store *base, struct store_view *view,
				   const struct store_range *range, struct store_scan **ret_scan,
				   struct error *err)
{
	struct memory_store *store = memory_of(base);
	struct memory_scan *scan = calloc(1, sizeof *scan);
	if (scan == NULL)
		return error_set(err, ENOMEMORY, "no memory to read the store");
	bytes_write(&scan->prefix, range->prefix);
	if (scan->prefix.failed) {
		free(scan);
		return error_set(err, ENOMEMORY, "no memory to read the store");
	}
	scan->store = store;
	(void)pthread_mutex_lock(&store->lock);
	scan->root = tree_retain(root_of(store, view, range->family));
	(void)pthread_mutex_unlock(&store->lock);
	tree_walk_start(&scan->walk, scan->root, range->first);
	*ret_scan = &scan->base;
	return OK;
}

static bool memory_scan_next(struct store_scan *base, struct text *ret_key, struct text *ret_value)
{
	struct memory_scan *scan = (struct memory_scan *)base;
	struct text key;
	struct text value;
	if (!tree_walk_next(&scan->walk, &key, &value))
		return false;
	if (!text_starts(key, bytes_text(&scan->prefix))) {
		scan->walk.depth = 0; /* keys are in order: no later one has the prefix */
		return false;
	}
	*ret_key = key;
	*ret_value = value;
	return true;
}

static enum status memory_scan_status(const struct store_scan *scan, struct error *err)
{
	(void)scan;
	(void)err;
	return OK; /* nothing between here and the rows can fail */
}

static void memory_scan_free(struct store_scan *base)
{
	struct memory_scan *scan = (struct memory_scan *)base;
	(void)pthread_mutex_lock(&scan->store->lock);
	tree_release(&scan->store->pool, scan->root);
	(void)pthread_mutex_unlock(&scan->store->lock);
	bytes_done(&scan->prefix);
	free(scan);
}

static uint64_t memory_bytes(struct store *base)
{
	struct memory_store *store = memory_of(base);
	(void)pthread_mutex_lock(&store->lock);
	uint64_t bytes = store->bytes;
	(void)pthread_mutex_unlock(&store->lock);
	return bytes;
}

static void memory_fail_at(struct store *base, unsigned nth_commit, enum status status)
{
	assert(nth_commit == 0 || status != OK);
	struct memory_store *store = memory_of(base);
	(void)pthread_mutex_lock(&store->lock);
	store->fail_in = nth_commit;
	store->fail_status = status;
	(void)pthread_mutex_unlock(&store->lock);
}

static const struct store_calls memory_calls = {
	.store_free = memory_free,
	.batch_new = memory_batch_new,
	.batch_free = memory_batch_free,
	.put = memory_put,
	.remove = memory_remove,
	.commit = memory_commit,
	.get = memory_get,
	.scan_new = memory_scan_new,
	.scan_next = memory_scan_next,
	.scan_status = memory_scan_status,
	.scan_free = memory_scan_free,
	.bytes = memory_bytes,
	.view_new = memory_view_new,
	.view_free = memory_view_free,
	.fail_at = memory_fail_at,
};

enum status store_open_memory(struct store **ret_store, struct error *err)
{
	struct memory_store *store = calloc(1, sizeof *store);
	if (store == NULL)
		return error_set(err, ENOMEMORY, "no memory for a store");
	if (pthread_mutex_init(&store->lock, NULL) != 0 ||
	    !store_init(&store->base, &memory_calls)) {
		free(store);
		return error_set(err, ESYSTEM, "no lock for a store in memory");
	}
	*ret_store = &store->base;
	return OK;
}
