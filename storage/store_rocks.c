/* Reading and writing of the store in a folder; the settings and their reasons stand in
 * rocks_open.c. */
#include "storage/rocks_private.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct rocks_batch {
	struct store_batch base;
	rocksdb_writebatch_t *writes;
};

struct rocks_view {
	struct store_view base;
	const rocksdb_snapshot_t *snapshot;
	rocksdb_readoptions_t *read_options;
};

struct rocks_scan {
	struct store_scan base;
	struct rocks_store *store;
	rocksdb_iterator_t *iterator; /* NULL: the family is not in this store */
	rocksdb_readoptions_t *read_options;
	struct bytes bound; /* first key behind the prefix; RocksDB reads it while we scan */
	enum store_family family;
	bool started;
};

static struct rocks_store *rocks_of(struct store *store)
{
	return (struct rocks_store *)store;
}

/* Leaves nothing in the WAL alone, while there is room for it. What does not work here works when
 * the store is opened the next time, for the WAL is there as long as it is needed. */
static void rocks_flush(struct rocks_store *store)
{
	struct error none = {0};
	if (store->db == NULL || store->write_options[0] == NULL ||
	    rocks_room(store, store->reserve_bytes, &none) != OK)
		return;
	rocksdb_flushoptions_t *options = rocksdb_flushoptions_create();
	for (size_t i = 0; i < COLUMN_FAMILIES; i++) {
		char *message = NULL;
		if (store->handles[i] != NULL)
			rocksdb_flush_cf(store->db, options, store->handles[i], &message);
		rocksdb_free(message);
	}
	rocksdb_flushoptions_destroy(options);
}

static void rocks_free(struct store *base)
{
	struct rocks_store *store = rocks_of(base);
	rocks_flush(store);
	for (size_t i = 0; i < COLUMN_FAMILIES; i++)
		if (store->handles[i] != NULL)
			rocksdb_column_family_handle_destroy(store->handles[i]);
	if (store->db != NULL)
		rocksdb_close(store->db);
	for (size_t i = 0; i < KIND_COUNT; i++)
		if (store->options[i] != NULL)
			rocksdb_options_destroy(store->options[i]);
	for (size_t i = 0; i < 2; i++)
		if (store->write_options[i] != NULL)
			rocksdb_writeoptions_destroy(store->write_options[i]);
	if (store->read_options != NULL)
		rocksdb_readoptions_destroy(store->read_options);
	if (store->cache != NULL)
		rocksdb_cache_destroy(store->cache);
	if (store->lock >= 0)
		(void)close(store->lock); /* last: nobody may come in while RocksDB still writes */
	free(store->path);
	free(store);
}

static struct store_batch *rocks_batch_new(struct store *store)
{
	(void)store;
	struct rocks_batch *batch = calloc(1, sizeof *batch);
	if (batch == NULL)
		return NULL;
	batch->writes = rocksdb_writebatch_create();
	return &batch->base;
}

static void rocks_batch_free(struct store_batch *base)
{
	struct rocks_batch *batch = (struct rocks_batch *)base;
	rocksdb_writebatch_destroy(batch->writes);
	free(batch);
}

static enum status rocks_put(struct store_batch *base, enum store_family family, struct text key,
			     struct text value)
{
	struct rocks_batch *batch = (struct rocks_batch *)base;
	rocksdb_column_family_handle_t *handle = rocks_of(base->store)->handles[family];
	if (handle == NULL)
		return EDENIED; /* only a store opened for reading lacks a family */
	rocksdb_writebatch_put_cf(batch->writes, handle, key.data, key.size, value.data,
				  value.size);
	return OK;
}

static enum status rocks_remove(struct store_batch *base, enum store_family family, struct text key)
{
	struct rocks_batch *batch = (struct rocks_batch *)base;
	rocksdb_column_family_handle_t *handle = rocks_of(base->store)->handles[family];
	if (handle == NULL)
		return EDENIED;
	rocksdb_writebatch_delete_cf(batch->writes, handle, key.data, key.size);
	return OK;
}

static enum status rocks_commit(struct store_batch *base, bool sync, struct error *err)
{
	struct rocks_batch *batch = (struct rocks_batch *)base;
	struct rocks_store *store = rocks_of(base->store);
	if (store->write_options[sync] == NULL)
		return error_set(err, EDENIED, "the store in %s is open for reading only",
				 store->path);
	enum status status = rocks_room(store, store->reserve_bytes, err);
	if (status != OK)
		return status;
	char *message = NULL;
	rocksdb_write(store->db, store->write_options[sync], batch->writes, &message);
	if (message != NULL)
		return rocks_error(store->path, "writing to", message, err);
	rocksdb_writebatch_clear(batch->writes);
	return OK;
}

static struct store_view *rocks_view_new(struct store *store)
{
	struct rocks_view *view = calloc(1, sizeof *view);
	if (view == NULL)
		return NULL;
	view->snapshot = rocksdb_create_snapshot(rocks_of(store)->db);
	view->read_options = rocksdb_readoptions_create();
	rocksdb_readoptions_set_verify_checksums(view->read_options, 1);
	rocksdb_readoptions_set_snapshot(view->read_options, view->snapshot);
	return &view->base;
}

static void rocks_view_free(struct store_view *base)
{
	struct rocks_view *view = (struct rocks_view *)base;
	rocksdb_readoptions_destroy(view->read_options);
	rocksdb_release_snapshot(rocks_of(base->store)->db, view->snapshot);
	free(view);
}

static enum status rocks_get(struct store *base, struct store_view *view, enum store_family family,
			     struct text key, struct bytes *ret_value, struct error *err)
{
	struct rocks_store *store = rocks_of(base);
	const rocksdb_readoptions_t *options =
		view == NULL ? store->read_options : ((struct rocks_view *)view)->read_options;
	rocksdb_pinnableslice_t *found = NULL;
	char *message = NULL;
	if (store->handles[family] != NULL)
		found = rocksdb_get_pinned_cf(store->db, options, store->handles[family], key.data,
					      key.size, &message);
	if (message != NULL)
		return rocks_error(store->path, "reading from", message, err);
	if (found == NULL)
		return error_set(err, ENOTFOUND, "no such row in %s", store_family_name(family));
	size_t size = 0;
	const char *value = rocksdb_pinnableslice_value(found, &size);
	bytes_put(ret_value, value, size);
	rocksdb_pinnableslice_destroy(found);
	enum status status = bytes_status(ret_value);
	return status == OK ? OK : error_set(err, status, "no memory for a row of %zu bytes", size);
}

static void rocks_scan_free(struct store_scan *base)
{
	struct rocks_scan *scan = (struct rocks_scan *)base;
	if (scan->iterator != NULL)
		rocksdb_iter_destroy(scan->iterator);
	if (scan->read_options != NULL)
		rocksdb_readoptions_destroy(scan->read_options);
	bytes_done(&scan->bound);
	free(scan);
}

/* The smallest key above all that start with prefix: its last byte that is not 0xff, plus one.
 * Empty when there is none (all 0xff). */
static void bound_of(struct text prefix, struct bytes *to)
{
	while (prefix.size > 0 && (unsigned char)prefix.data[prefix.size - 1] == 0xff)
		prefix.size--;
	bytes_write(to, prefix);
	if (prefix.size > 0 && !to->failed)
		to->data[to->size - 1]++;
}

static enum status rocks_scan_new(struct store *base, struct store_view *view,
				  const struct store_range *range, struct store_scan **ret_scan,
				  struct error *err)
{
	enum store_family family = range->family;
	struct text first = range->first;
	struct rocks_store *store = rocks_of(base);
	struct rocks_scan *scan = calloc(1, sizeof *scan);
	if (scan == NULL)
		return error_set(err, ENOMEMORY, "no memory to read the store");
	scan->store = store;
	scan->family = family;
	bound_of(range->prefix, &scan->bound);
	if (scan->bound.failed) {
		rocks_scan_free(&scan->base);
		return error_set(err, ENOMEMORY, "no memory to read the store");
	}
	if (store->handles[family] != NULL) {
		scan->read_options = rocksdb_readoptions_create();
		rocksdb_readoptions_set_verify_checksums(scan->read_options, 1);
		if (view != NULL)
			rocksdb_readoptions_set_snapshot(scan->read_options,
							 ((struct rocks_view *)view)->snapshot);
		/* A walk over all blocks must not push everything else out of the cache. */
		rocksdb_readoptions_set_fill_cache(scan->read_options,
						   !rocks_holds_frames(rocks_kind_of(family)));
		if (scan->bound.size > 0)
			rocksdb_readoptions_set_iterate_upper_bound(
				scan->read_options, (char *)scan->bound.data, scan->bound.size);
		scan->iterator = rocksdb_create_iterator_cf(store->db, scan->read_options,
							    store->handles[family]);
		rocksdb_iter_seek(scan->iterator, first.data == NULL ? "" : first.data, first.size);
	}
	*ret_scan = &scan->base;
	return OK;
}

static bool rocks_scan_next(struct store_scan *base, struct text *ret_key, struct text *ret_value)
{
	struct rocks_scan *scan = (struct rocks_scan *)base;
	if (scan->iterator == NULL || !rocksdb_iter_valid(scan->iterator))
		return false;
	if (scan->started)
		rocksdb_iter_next(scan->iterator);
	scan->started = true;
	if (!rocksdb_iter_valid(scan->iterator))
		return false;
	ret_key->data = rocksdb_iter_key(scan->iterator, &ret_key->size);
	ret_value->data = rocksdb_iter_value(scan->iterator, &ret_value->size);
	return true;
}

static enum status rocks_scan_status(const struct store_scan *base, struct error *err)
{
	const struct rocks_scan *scan = (const struct rocks_scan *)base;
	if (scan->iterator == NULL)
		return OK;
	char *message = NULL;
	rocksdb_iter_get_error(scan->iterator, &message);
	if (message == NULL)
		return OK;
	enum status status = rocks_error(scan->store->path, "incomplete: reading", message, err);
	return status == ECORRUPT
		       ? ECORRUPT
		       : error_wrap(err, EINCOMPLETE, "family %s", store_family_name(scan->family));
}

/* Everything in the folder: tables, WAL, manifest and RocksDB's own log. */
static uint64_t rocks_bytes(struct store *base)
{
	struct rocks_store *store = rocks_of(base);
	DIR *folder = opendir(store->path);
	if (folder == NULL)
		return 0;
	uint64_t bytes = 0;
	struct stat info;
	for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder))
		if (fstatat(dirfd(folder), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(info.st_mode))
			bytes += (uint64_t)info.st_size;
	(void)closedir(folder);
	return bytes;
}

static enum status rocks_drop_files(struct store *base, enum store_family family, struct text from,
				    struct text to, struct error *err)
{
	struct rocks_store *store = rocks_of(base);
	char *message = NULL;
	if (store->handles[family] == NULL || store->write_options[0] == NULL)
		return OK;
	/* Whole files only, so what stands in the range beside others stays. */
	rocksdb_delete_file_in_range_cf(store->db, store->handles[family], from.data, from.size,
					to.data, to.size, &message);
	return message == NULL ? OK : rocks_error(store->path, "dropping files of", message, err);
}

/* Flushes nothing into the copy but takes the WAL along (log_size_for_flush at its largest), so
 * that a backup does not disturb the intake. */
static enum status rocks_backup(struct store *base, const char *path, struct error *err)
{
	struct rocks_store *store = rocks_of(base);
	char *message = NULL;
	if (access(path, F_OK) == 0)
		return error_set(err, EINVALID, "%s is there already; name a folder that is not",
				 path);
	rocksdb_checkpoint_t *checkpoint = rocksdb_checkpoint_object_create(store->db, &message);
	if (message == NULL)
		rocksdb_checkpoint_create(checkpoint, path, UINT64_MAX, &message);
	if (checkpoint != NULL)
		rocksdb_checkpoint_object_destroy(checkpoint);
	return message == NULL ? OK : rocks_error(store->path, "copying", message, err);
}

static void rocks_compact(struct store *base, enum store_family family, struct text from,
			  struct text to)
{
	struct rocks_store *store = rocks_of(base);
	if (store->handles[family] != NULL && store->write_options[0] != NULL)
		rocksdb_compact_range_cf(store->db, store->handles[family], from.data, from.size,
					 to.size == 0 ? NULL : to.data, to.size);
}

const struct store_calls rocks_calls = {
	.store_free = rocks_free,
	.batch_new = rocks_batch_new,
	.batch_free = rocks_batch_free,
	.put = rocks_put,
	.remove = rocks_remove,
	.commit = rocks_commit,
	.get = rocks_get,
	.scan_new = rocks_scan_new,
	.scan_next = rocks_scan_next,
	.scan_status = rocks_scan_status,
	.scan_free = rocks_scan_free,
	.drop_files = rocks_drop_files,
	.backup = rocks_backup,
	.compact = rocks_compact,
	.view_new = rocks_view_new,
	.view_free = rocks_view_free,
	.bytes = rocks_bytes,
};
