#include "ingest/spill_rows.h"

#include <assert.h>
#include <stdlib.h>

enum {
	CLEAR_ROWS_MAX = 10000, /* removed at a time */
	SPILLED = 's',          /* first byte of the keys; storage/rows.h has the others */
};

struct spill_rows {
	struct store *store;
	struct bytes prefix;
	struct store_batch *drops;
	size_t drop_count;
	struct spill spill;
};

static void row_key(const struct spill_rows *rows, const struct cell_key *key, struct bytes *to)
{
	bytes_clear(to);
	bytes_write(to, bytes_text(&rows->prefix));
	bytes_put(to, key->bytes, sizeof key->bytes);
}

/* Removes rows under the prefix, CLEAR_ROWS_MAX at most. */
static enum status clear_some(struct store *store, struct text prefix, size_t *ret_count,
			      struct error *err)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
	struct text key = {0};
	struct text value = {0};
	size_t count = 0;
	if (batch == NULL)
		return error_set(err, ENOMEMORY, "no memory to remove spilled cells");
	enum status status = store_scan_new(store, FAMILY_CELL, prefix, prefix, &scan, err);
	for (; status == OK && count < CLEAR_ROWS_MAX && store_scan_next(scan, &key, &value);
	     count++)
		store_batch_delete(batch, FAMILY_CELL, key);
	if (status == OK)
		status = store_scan_status(scan, err);
	if (status == OK && count > 0)
		status = store_batch_commit(batch, false, err);
	if (status == OK)
		*ret_count = count;
	return status;
}

static enum status clear_all(struct store *store, struct text prefix, struct error *err)
{
	enum status status = OK;
	for (size_t count = CLEAR_ROWS_MAX; status == OK && count == CLEAR_ROWS_MAX;)
		status = clear_some(store, prefix, &count, err);
	return status;
}

enum status spill_rows_clear(struct store *store, struct error *err)
{
	const char kind = SPILLED;
	return clear_all(store, (struct text){&kind, 1}, err);
}

/* Drops go into the batch of the next cells; when that fails they are still in it. */
static enum status spill_store(void *context, const struct spilled *cells, size_t count,
			       struct error *err)
{
	struct spill_rows *rows = context;
	struct bytes key cleanup(bytes_done) = {0};
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(rows->store);
	if (batch == NULL)
		return error_set(err, ENOMEMORY, "no memory to spill cells");
	for (size_t i = 0; i < count; i++) {
		row_key(rows, &cells[i].key, &key);
		if (bytes_status(&key) != OK)
			return error_set(err, ENOMEMORY, "no memory to spill cells");
		store_batch_put(batch, FAMILY_CELL, bytes_text(&key), cells[i].bytes);
	}
	enum status status = OK;
	if (rows->drop_count > 0) /* first: a cell may have been dropped and come back */
		status = store_batch_commit(rows->drops, false, err);
	rows->drop_count = status == OK ? 0 : rows->drop_count;
	return status == OK ? store_batch_commit(batch, false, err) : status;
}

static enum status spill_fetch(void *context, const struct cell_key *key, struct bytes *ret_bytes,
			       struct error *err)
{
	struct spill_rows *rows = context;
	struct bytes row cleanup(bytes_done) = {0};
	row_key(rows, key, &row);
	if (bytes_status(&row) != OK)
		return error_set(err, ENOMEMORY, "no memory to read a spilled cell");
	enum status status = store_get(rows->store, FAMILY_CELL, bytes_text(&row), ret_bytes, err);
	return status == ENOTFOUND ? error_set(err, ECORRUPT, "a spilled cell is not in the store")
				   : status;
}

/* A drop that could not be noted leaves a row behind that nobody reads. */
static void spill_drop(void *context, const struct cell_key *key)
{
	struct spill_rows *rows = context;
	struct bytes row cleanup(bytes_done) = {0};
	row_key(rows, key, &row);
	if (bytes_status(&row) != OK)
		return;
	store_batch_delete(rows->drops, FAMILY_CELL, bytes_text(&row));
	if (++rows->drop_count < SPILL_DROPS_MAX)
		return;
	if (store_batch_commit(rows->drops, false, NULL) == OK)
		rows->drop_count = 0;
}

enum status spill_rows_new(struct store *store, unsigned shard, uint32_t serial,
			   struct spill_rows **ret_rows)
{
	assert(shard <= UINT8_MAX);
	struct spill_rows *rows cleanup(spill_rows_free) = calloc(1, sizeof *rows);
	if (rows == NULL)
		return ENOMEMORY;
	rows->store = store;
	bytes_put_u8(&rows->prefix, SPILLED);
	bytes_put_u8(&rows->prefix, (uint8_t)shard);
	bytes_put_be32(&rows->prefix, serial);
	rows->drops = store_batch_new(store);
	if (rows->drops == NULL || bytes_status(&rows->prefix) != OK)
		return ENOMEMORY;
	rows->spill = (struct spill){rows, spill_store, spill_fetch, spill_drop};
	*ret_rows = TAKE(rows);
	return OK;
}

void spill_rows_free(struct spill_rows **rows)
{
	struct spill_rows *freed = TAKE(*rows);
	if (freed == NULL)
		return;
	if (freed->drops != NULL && bytes_status(&freed->prefix) == OK)
		(void)clear_all(freed->store, bytes_text(&freed->prefix), NULL);
	store_batch_free(&freed->drops);
	bytes_done(&freed->prefix);
	free(freed);
}

const struct spill *spill_rows_spill(const struct spill_rows *rows)
{
	return &rows->spill;
}
