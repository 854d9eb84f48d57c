#include "ingest/state_rows.h"

#include "ingest/detect.h"
#include "storage/rows.h"

static void put_change(uint8_t virtual_partition, uint32_t number, struct text value,
		       struct bytes *rows)
{
	struct bytes key cleanup(bytes_done) = {0};
	cell_change_key(virtual_partition, number, &key);
	rows_put(rows, FAMILY_CELL, bytes_text(&key), value);
	rows->failed = rows->failed || key.failed;
}

static void put_row(char kind, uint8_t virtual_partition, struct text value, struct bytes *rows)
{
	struct bytes key cleanup(bytes_done) = {0};
	cell_row_key(kind, virtual_partition, &key);
	rows_put(rows, FAMILY_CELL, bytes_text(&key), value);
	rows->failed = rows->failed || key.failed;
}

static enum status put_whole(struct state_rows *state, struct actor *actor,
			     uint8_t virtual_partition, struct bytes *rows)
{
	struct bytes value cleanup(bytes_done) = {0};
	enum status status = actor_checkpoint(actor, virtual_partition, &value);
	if (status != OK || value.size == 0)
		return status;
	put_row('c', virtual_partition, bytes_text(&value), rows);
	for (uint32_t i = 0; i < state->change_count; i++)
		put_change(virtual_partition, i, TEXT(""), rows);
	if (state->headed)
		put_row('d', virtual_partition, TEXT(""), rows);
	actor_stored(actor, virtual_partition);
	*state = (struct state_rows){.whole_bytes = value.size};
	return OK;
}

enum status state_rows_put(struct state_rows *state, struct actor *actor, uint8_t virtual_partition,
			   struct bytes *rows)
{
	struct bytes value cleanup(bytes_done) = {0};
	bool any = false;
	bool room = state->change_count < CHANGE_ROWS_MAX - virtual_partition / 2u &&
		    state->change_bytes <= state->whole_bytes / 2 + CHANGE_BYTES_SLACK;
	enum status status =
		!room ? ENOTFOUND
		      : actor_checkpoint_changes(actor, virtual_partition, &value, &any);
	if (status == ENOTFOUND)
		return put_whole(state, actor, virtual_partition, rows);
	if (status != OK)
		return status;
	if (any) {
		put_change(virtual_partition, state->change_count++, bytes_text(&value), rows);
		state->change_bytes += value.size;
	}
	if (!any || state->headed)
		put_row('d', virtual_partition, any ? TEXT("") : bytes_text(&value), rows);
	state->headed = !any;
	return OK;
}

/* Into value, which is empty when there is no such row. */
static enum status get_row(struct store *store, const struct bytes *key, struct bytes *value,
			   struct error *err)
{
	if (bytes_status(key) != OK)
		return error_set(err, ENOMEMORY, "no memory to read correlation state");
	enum status status = store_get(store, FAMILY_CELL, bytes_text(key), value, err);
	if (status == ENOTFOUND)
		bytes_clear(value);
	return status == ENOTFOUND ? OK : status;
}

static enum status get_change(struct store *store, uint8_t virtual_partition, uint32_t number,
			      struct bytes *value, struct error *err)
{
	struct bytes key cleanup(bytes_done) = {0};
	cell_change_key(virtual_partition, number, &key);
	return get_row(store, &key, value, err);
}

static enum status get_kind(struct store *store, char kind, uint8_t virtual_partition,
			    struct bytes *value, struct error *err)
{
	struct bytes key cleanup(bytes_done) = {0};
	cell_row_key(kind, virtual_partition, &key);
	return get_row(store, &key, value, err);
}

/* How many rows of changes there are: they are counted first, since the newest is the last. */
static enum status changes_count(struct store *store, uint8_t virtual_partition,
				 struct state_rows *state, struct error *err)
{
	struct bytes value cleanup(bytes_done) = {0};
	enum status status = OK;
	for (bool more = true; status == OK && more && state->change_count < CHANGE_ROWS_MAX;) {
		status = get_change(store, virtual_partition, state->change_count, &value, err);
		more = status == OK && value.size > 0;
		state->change_count += more;
		state->change_bytes += more ? value.size : 0;
	}
	return status;
}

enum status state_rows_read(struct store *store, uint8_t virtual_partition,
			    enum status (*take)(void *context, struct text row, struct error *err),
			    void *context, struct state_rows *ret_state, struct error *err)
{
	struct bytes value cleanup(bytes_done) = {0};
	struct state_rows state = {0};
	enum status status = changes_count(store, virtual_partition, &state, err);
	if (status == OK)
		status = get_kind(store, 'd', virtual_partition, &value, err);
	state.headed = value.size > 0;
	if (status == OK && state.headed)
		status = take(context, bytes_text(&value), err);
	for (uint32_t i = state.change_count; status == OK && i-- > 0;) {
		status = get_change(store, virtual_partition, i, &value, err);
		if (status == OK)
			status = take(context, bytes_text(&value), err);
	}
	if (status == OK)
		status = get_kind(store, 'c', virtual_partition, &value, err);
	if (status == OK && value.size == 0 && (state.headed || state.change_count > 0))
		return error_set(
			err, ECORRUPT,
			"virtual partition %u has changes of a checkpoint that is not there",
			virtual_partition);
	state.whole_bytes = value.size;
	if (status == OK && value.size > 0)
		status = take(context, bytes_text(&value), err);
	if (status == OK)
		*ret_state = state;
	return status;
}
