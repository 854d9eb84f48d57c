#include "storage/store_private.h"

#include <assert.h>

const char *store_family_name(enum store_family family)
{
	static const char *const names[FAMILY_COUNT] = {
#define FAMILY(id, name, doc) [FAMILY_##id] = (name),
#include "storage/family.def"
#undef FAMILY
	};
	assert((unsigned)family < FAMILY_COUNT);
	return names[family];
}

bool store_init(struct store *store, const struct store_calls *calls)
{
	store->calls = calls;
	return pthread_mutex_init(&store->commits, NULL) == 0;
}

void store_free(struct store **store)
{
	if (*store == NULL)
		return;
	(void)pthread_mutex_destroy(&(*store)->commits);
	(*store)->calls->store_free(*store);
	*store = NULL;
}

struct store_batch *store_batch_new(struct store *store)
{
	assert(store != NULL);
	struct store_batch *batch = store->calls->batch_new(store);
	if (batch != NULL)
		batch->store = store;
	return batch;
}

void store_batch_free(struct store_batch **batch)
{
	if (*batch == NULL)
		return;
	bytes_done(&(*batch)->same);
	(*batch)->store->calls->batch_free(*batch);
	*batch = NULL;
}

/* Both limits are checked here, because RocksDB would only find an oversized value at commit. */
static bool batch_accepts(struct store_batch *batch, enum store_family family, struct text key,
			  size_t value_size)
{
	assert((unsigned)family < FAMILY_COUNT);
	if (batch->status != OK)
		return false;
	if (key.size > STORE_KEY_MAX || value_size > BYTES_MAX)
		batch->status = ELIMIT;
	return batch->status == OK;
}

void store_batch_put(struct store_batch *batch, enum store_family family, struct text key,
		     struct text value)
{
	if (!batch_accepts(batch, family, key, value.size))
		return;
	batch->status = batch->store->calls->put(batch, family, key, value);
	batch->bytes += key.size + value.size;
}

void store_batch_delete(struct store_batch *batch, enum store_family family, struct text key)
{
	if (!batch_accepts(batch, family, key, 0))
		return;
	batch->status = batch->store->calls->remove(batch, family, key);
	batch->bytes += key.size;
}

void store_batch_delete_same(struct store_batch *batch, enum store_family family, struct text key,
			     struct text value)
{
	if (!batch_accepts(batch, family, key, value.size))
		return;
	bytes_put_u8(&batch->same, (uint8_t)family);
	bytes_put_text(&batch->same, key);
	bytes_put_text(&batch->same, value);
	batch->status = bytes_status(&batch->same);
	batch->bytes += key.size;
}

size_t store_batch_bytes(const struct store_batch *batch)
{
	return batch->bytes;
}

/* Deletes that hold now become plain ones; nobody else commits meanwhile. */
static enum status batch_settle(struct store_batch *batch, struct error *err)
{
	struct bytes now cleanup(bytes_done) = {0};
	struct cursor from = cursor_of(bytes_text(&batch->same));
	enum status status = OK;
	while (status == OK && cursor_left(&from) > 0) {
		enum store_family family = (enum store_family)cursor_u8(&from);
		struct text key = cursor_text(&from);
		struct text value = cursor_text(&from);
		assert(!from.failed);
		status = store_get(batch->store, family, key, &now, err);
		if (status == OK && text_equal(bytes_text(&now), value))
			status = batch->store->calls->remove(batch, family, key);
		else if (status == ENOTFOUND)
			status = OK;
	}
	return status;
}

enum status store_batch_commit(struct store_batch *batch, bool sync, struct error *err)
{
	struct store *store = batch->store;
	bool settles = batch->same.size > 0;
	if (batch->status != OK)
		return error_set(err, batch->status,
				 "a batch for the store was not written: one of its rows: %s",
				 batch->status == ELIMIT ? "its key or value is too long"
							 : status_text(batch->status));
	(void)pthread_mutex_lock(&store->commits);
	enum status status = settles ? batch_settle(batch, err) : OK;
	if (status == OK)
		status = store->calls->commit(batch, sync, err);
	(void)pthread_mutex_unlock(&store->commits);
	if (status == OK) {
		batch->bytes = 0;
		bytes_clear(&batch->same);
	} else if (settles) {
		batch->status = status;
	}
	return status;
}

enum status store_get(struct store *store, enum store_family family, struct text key,
		      struct bytes *ret_value, struct error *err)
{
	assert((unsigned)family < FAMILY_COUNT);
	bytes_clear(ret_value);
	return store->calls->get(store, NULL, family, key, ret_value, err);
}

enum status store_scan_of(struct store *store, struct store_view *view, struct store_range range,
			  struct store_scan **ret_scan, struct error *err)
{
	assert((unsigned)range.family < FAMILY_COUNT);
	if (text_compare(range.prefix, range.first) > 0)
		range.first = range.prefix;
	struct store_scan *scan = NULL;
	enum status status = store->calls->scan_new(store, view, &range, &scan, err);
	if (status != OK)
		return status;
	scan->calls = store->calls;
	*ret_scan = scan;
	return OK;
}

enum status store_scan_new(struct store *store, enum store_family family, struct text prefix,
			   struct text from, struct store_scan **ret_scan, struct error *err)
{
	return store_scan_of(store, NULL, (struct store_range){family, prefix, from}, ret_scan,
			     err);
}

bool store_scan_next(struct store_scan *scan, struct text *ret_key, struct text *ret_value)
{
	return scan->calls->scan_next(scan, ret_key, ret_value);
}

enum status store_scan_status(const struct store_scan *scan, struct error *err)
{
	return scan->calls->scan_status(scan, err);
}

void store_scan_free(struct store_scan **scan)
{
	if (*scan == NULL)
		return;
	(*scan)->calls->scan_free(*scan);
	*scan = NULL;
}

enum status store_drop_files(struct store *store, enum store_family family, struct text from,
			     struct text to, struct error *err)
{
	if (store->calls->drop_files == NULL || atomic_load(&store->views) > 0)
		return OK;
	return store->calls->drop_files(store, family, from, to, err);
}

enum status store_compact(struct store *store, enum store_family family, struct text from,
			  struct text to, struct error *err)
{
	(void)err; /* RocksDB tells the next writer when it failed */
	if (store->calls->compact != NULL)
		store->calls->compact(store, family, from, to);
	return OK;
}

enum status store_backup(struct store *store, const char *path, struct error *err)
{
	assert(path != NULL);
	if (store->calls->backup == NULL)
		return error_set(err, EINVALID, "a store in memory has no files to copy");
	return store->calls->backup(store, path, err);
}

uint64_t store_bytes(struct store *store)
{
	return store->calls->bytes(store);
}

void store_memory_fail_at(struct store *store, unsigned nth_commit, enum status status)
{
	assert(store->calls->fail_at != NULL);
	store->calls->fail_at(store, nth_commit, status);
}
