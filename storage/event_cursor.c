#include "storage/event_cursor.h"

#include <assert.h>
#include <stdlib.h>

#include "storage/retention.h"
#include "storage/summary.h"

enum { EVENT_ARENA_BYTES = 256 * 1024 * 1024 };

struct event_cursor {
	struct event_cursor_options options;
	struct store_view *view;
	struct retention *retention;
	struct store_scan *scan;
	int class; /* of the merged blocks that are scanned; -1: blocks of epochs */
	struct arena *arena;
	struct bytes key, block; /* of the open block */
	struct block_reader *rows;
	struct columnar_reader *columns;
	const struct columnar_kind *kinds; /* of columns; NULL: not names_only */
	size_t kind_count;
	size_t row; /* the next one, or the next kind */
	struct bytes owner_scratch;
	struct text owner; /* the tenant as it stands in keys */
	bool incomplete;
	struct error problem;
};

static enum status open_scan(struct event_cursor *cursor, struct error *err)
{
	struct bytes prefix cleanup(bytes_done) = {0};
	struct bytes from cleanup(bytes_done) = {0};
	int64_t first_day = day_of_time(cursor->options.since_us);
	store_scan_free(&cursor->scan);
	if (cursor->class >= 0) {
		columnar_key_prefix((enum data_class)cursor->class, NULL, NULL, &prefix);
		columnar_key_prefix((enum data_class)cursor->class, &first_day, NULL, &from);
	}
	if (prefix.failed || from.failed)
		return error_set(err, ENOMEMORY, "no memory to read events");
	return store_view_scan(cursor->view, FAMILY_BLOCKMETA, bytes_text(&prefix),
			       bytes_text(&from), &cursor->scan, err);
}

enum status event_cursor_new(const struct event_cursor_options *options,
			     struct event_cursor **ret_cursor, struct error *err)
{
	struct event_cursor *cursor cleanup(event_cursor_free) = calloc(1, sizeof *cursor);
	if (cursor == NULL)
		return error_set(err, ENOMEMORY, "no memory to read events");
	cursor->options = *options;
	cursor->class = -1;
	cursor->arena = arena_new(EVENT_ARENA_BYTES);
	if (cursor->arena == NULL)
		return error_set(err, ENOMEMORY, "no memory to read events");
	enum status status = store_view_new(options->store, &cursor->view, err);
	if (status == OK && options->scoped)
		status = columnar_key_owner(options->tenant, &cursor->owner_scratch, &cursor->owner,
					    err);
	if (status == OK)
		status = retention_load(cursor->view, &cursor->retention, err);
	if (status == OK)
		status = open_scan(cursor, err);
	if (status == OK)
		*ret_cursor = TAKE(cursor);
	return status;
}

static void close_block(struct event_cursor *cursor)
{
	block_reader_free(&cursor->rows);
	columnar_reader_free(&cursor->columns);
	cursor->kinds = NULL;
}

void event_cursor_free(struct event_cursor **cursor)
{
	struct event_cursor *gone = *cursor;
	if (gone == NULL)
		return;
	close_block(gone);
	store_scan_free(&gone->scan);
	retention_free(&gone->retention);
	store_view_free(&gone->view);
	bytes_done(&gone->key);
	bytes_done(&gone->block);
	bytes_done(&gone->owner_scratch);
	arena_free(&gone->arena);
	free(gone);
	*cursor = NULL;
}

/* Damage is passed over and remembered; anything else ends the reading. */
static enum status survive(struct event_cursor *cursor, enum status status, struct error *err)
{
	if (status != ECORRUPT && status != EINCOMPLETE && status != ENOTFOUND)
		return status;
	if (!cursor->incomplete && err != NULL)
		cursor->problem = *err;
	cursor->incomplete = true;
	return OK;
}

static bool times_fit(const struct event_cursor *cursor, int64_t first_us, int64_t last_us)
{
	return last_us >= cursor->options.since_us && first_us <= cursor->options.until_us;
}

static enum status open_rows(struct event_cursor *cursor, struct text key, struct text value,
			     struct error *err)
{
	struct block_meta meta = {0};
	enum status status = block_meta_decode(value, &meta, err);
	if (status != OK || !times_fit(cursor, meta.first_time_us, meta.last_time_us))
		return status;
	bytes_clear(&cursor->key);
	bytes_write(&cursor->key, key);
	status = store_view_get(cursor->view, FAMILY_EPOCH, key, &cursor->block, err);
	if (status == OK)
		status = bytes_status(&cursor->key);
	return status == OK ? block_open(bytes_text(&cursor->key), bytes_text(&cursor->block),
					 &cursor->rows, err)
			    : status;
}

/* What names_only gives out of the open block: nothing that is below its floor. */
static enum status find_kinds(struct event_cursor *cursor, enum data_class class, struct error *err)
{
	struct event first;
	enum status status = columnar_head(cursor->columns, 0, &first, err);
	if (status != OK)
		return status;
	int64_t floor_us = retention_floor(cursor->retention, first.owner, class);
	int64_t since_us = cursor->options.since_us;
	return columnar_kinds(cursor->columns, since_us > floor_us ? since_us : floor_us,
			      cursor->options.until_us, &cursor->kinds, &cursor->kind_count, err);
}

static enum status open_columns(struct event_cursor *cursor, struct text key, struct text value,
				struct error *err)
{
	struct summary summary;
	struct columnar_key parsed = {0};
	enum status status = columnar_key_decode(key, &parsed, err);
	if (status == OK)
		status = summary_open(value, &summary, err);
	if (status != OK || !times_fit(cursor, summary.first_time_us, summary.last_time_us) ||
	    (cursor->options.scoped && !text_equal(parsed.owner, cursor->owner)))
		return status;
	bytes_clear(&cursor->key);
	bytes_write(&cursor->key, key);
	cursor->row = 0;
	status = bytes_status(&cursor->key);
	if (status == OK)
		status = columnar_open(cursor->view, bytes_text(&cursor->key), &cursor->columns,
				       err);
	if (status == OK && cursor->options.names_only)
		status = find_kinds(cursor, parsed.class, err);
	if (status != OK)
		close_block(cursor);
	return status;
}

/* The number of events in the block of a row of FAMILY_BLOCKMETA; 0 when it holds none that fit, or
 * cannot be read. */
static uint64_t events_of(const struct event_cursor *cursor, struct text key, struct text value)
{
	struct block_meta meta = {0};
	struct summary summary = {0};
	struct columnar_key parsed = {0};
	if (cursor->class < 0)
		return block_meta_decode(value, &meta, NULL) == OK &&
				       times_fit(cursor, meta.first_time_us, meta.last_time_us)
			       ? meta.event_count
			       : 0;
	return columnar_key_decode(key, &parsed, NULL) == OK &&
			       summary_open(value, &summary, NULL) == OK &&
			       times_fit(cursor, summary.first_time_us, summary.last_time_us) &&
			       (!cursor->options.scoped || text_equal(parsed.owner, cursor->owner))
		       ? summary.event_count
		       : 0;
}

enum status event_cursor_estimate(struct event_cursor *cursor, uint64_t *ret_count,
				  struct error *err)
{
	uint64_t count = 0;
	enum status status = OK;
	assert(cursor->class == -1 && cursor->rows == NULL);
	while (status == OK && cursor->class < CLASS_COUNT) {
		struct text key = {0};
		struct text value = {0};
		while (store_scan_next(cursor->scan, &key, &value) &&
		       (cursor->class >= 0 || (key.size > 0 && key.data[0] < BLOOM_MARK)))
			count += events_of(cursor, key, value);
		cursor->class ++;
		if (cursor->class < CLASS_COUNT)
			status = open_scan(cursor, err);
	}
	cursor->class = -1;
	if (status == OK)
		status = open_scan(cursor, err);
	if (status == OK)
		*ret_count = count;
	return status;
}

/* Opens the next block that may hold something; *ret_more is false behind the last of all. */
static enum status next_block(struct event_cursor *cursor, bool *ret_more, struct error *err)
{
	struct text key = {0};
	struct text value = {0};
	for (;;) {
		bool merged = cursor->class >= 0;
		bool row = store_scan_next(cursor->scan, &key, &value);
		/* Keys of epoch blocks begin with the size of a topic's name; the rest follows. */
		if (row && (merged || (key.size > 0 && key.data[0] < BLOOM_MARK))) {
			enum status status = merged ? open_columns(cursor, key, value, err)
						    : open_rows(cursor, key, value, err);
			status = survive(cursor, status, err);
			*ret_more = true;
			if (status != OK || cursor->rows != NULL || cursor->columns != NULL)
				return status;
			continue;
		}
		enum status status = row ? OK : store_scan_status(cursor->scan, err);
		status = survive(cursor, status, err);
		cursor->class ++;
		*ret_more = cursor->class < CLASS_COUNT;
		if (status == OK && *ret_more)
			status = open_scan(cursor, err);
		if (status != OK || !*ret_more)
			return status;
	}
}

/* The next event of the open block; *ret_more is false behind its last one. */
static enum status next_of_block(struct event_cursor *cursor, struct event *ret_event,
				 bool *ret_more, struct error *err)
{
	arena_reset(cursor->arena);
	if (cursor->rows != NULL)
		return block_next(cursor->rows, cursor->arena, ret_event, ret_more, err);
	bool kinds = cursor->kinds != NULL;
	*ret_more = cursor->row < (kinds ? cursor->kind_count : columnar_count(cursor->columns));
	if (!*ret_more)
		return OK;
	size_t row = cursor->row++;
	return kinds ? columnar_names(cursor->columns, cursor->kinds[row].first_row, cursor->arena,
				      ret_event, err)
		     : columnar_event(cursor->columns, row, cursor->arena, ret_event, err);
}

uint64_t event_cursor_stands_for(const struct event_cursor *cursor)
{
	return cursor->kinds == NULL ? 1 : cursor->kinds[cursor->row - 1].count;
}

static bool event_fits(const struct event_cursor *cursor, const struct event *event)
{
	if (cursor->options.scoped && !text_equal(event->owner, cursor->options.tenant))
		return false;
	if (cursor->kinds != NULL) /* find_kinds() has seen to the time */
		return true;
	return times_fit(cursor, event->time_us, event->time_us) &&
	       event->time_us >=
		       retention_floor(cursor->retention, event->owner, data_class_of(event));
}

enum status event_cursor_next(struct event_cursor *cursor, struct event *ret_event, bool *ret_more,
			      struct error *err)
{
	for (;;) {
		bool more = cursor->rows != NULL || cursor->columns != NULL;
		enum status status = OK;
		if (!more) {
			status = next_block(cursor, &more, err);
			if (status != OK || !more) {
				*ret_more = false;
				return status;
			}
		}
		status = next_of_block(cursor, ret_event, &more, err);
		if (status != OK || !more) {
			close_block(cursor);
			status = survive(cursor, status, err);
			if (status != OK)
				return status;
			continue;
		}
		if (event_fits(cursor, ret_event)) {
			*ret_more = true;
			return OK;
		}
	}
}

enum status event_cursor_status(const struct event_cursor *cursor, struct error *err)
{
	return cursor->incomplete ? error_set(err, EINCOMPLETE, "%s", cursor->problem.text) : OK;
}
