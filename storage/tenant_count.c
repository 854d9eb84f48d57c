/* Counting goes over the summaries of merged blocks, each of one tenant, and over the blockmeta of
 * the blocks of epochs, which say their tenants; see block_meta.c. */
#include "storage/tenant_count.h"

#include <stdlib.h>

#include "storage/dictionary_private.h"
#include "storage/retention.h"
#include "storage/summary.h"

enum { NAMES_BYTES_MAX = TENANTS_MAX * 1100 };

struct counting {
	struct store_view *view;
	struct retention *retention;
	struct dictionary names;
	struct tenant_count *items; /* by number of the name */
	size_t capacity;
	uint64_t unknown_events, damaged;
	struct error *err;
};

static void counting_done(struct counting *counting)
{
	retention_free(&counting->retention);
	store_view_free(&counting->view);
	dictionary_done(&counting->names);
	free(counting->items);
}

static enum status no_memory(struct counting *counting)
{
	return error_set(counting->err, ENOMEMORY, "no memory to count tenants");
}

static enum status count_add(struct counting *counting, const struct tenant_count *more)
{
	uint32_t number = 0;
	size_t known = counting->names.count;
	if (known == TENANTS_MAX)
		return error_set(counting->err, ELIMIT, "there are more than %d tenants",
				 TENANTS_MAX);
	if (known == counting->capacity) {
		size_t capacity = known == 0 ? 64 : 2 * known;
		struct tenant_count *grown =
			realloc(counting->items, capacity * sizeof *counting->items);
		if (grown == NULL)
			return no_memory(counting);
		counting->items = grown;
		counting->capacity = capacity;
	}
	if (!dictionary_number(&counting->names, more->owner, &number))
		return no_memory(counting);
	struct tenant_count *item = &counting->items[number];
	if (number == known) {
		*item = *more;
		return OK;
	}
	item->events += more->events;
	item->bytes += more->bytes;
	item->first_us = more->first_us < item->first_us ? more->first_us : item->first_us;
	item->last_us = more->last_us > item->last_us ? more->last_us : item->last_us;
	return OK;
}

static enum status rows_add(struct counting *counting, struct text value)
{
	struct block_meta meta;
	struct block_owner owner;
	enum status status = block_meta_decode(value, &meta, counting->err);
	if (status != OK)
		return status;
	if (meta.owners.size == 0)
		counting->unknown_events += meta.event_count;
	struct cursor owners = cursor_of(meta.owners);
	while (status == OK && block_owner_next(&owners, &owner)) {
		const struct tenant_count more = {.owner = owner.name,
						  .events = owner.event_count,
						  .first_us = meta.first_time_us,
						  .last_us = meta.last_time_us};
		status = count_add(counting, &more);
	}
	return status;
}

static enum status merged_add(struct counting *counting, struct text key, struct text value)
{
	struct columnar_key parsed;
	struct summary summary;
	enum status status = columnar_key_decode(key, &parsed, counting->err);
	if (status == OK)
		status = summary_open(value, &summary, counting->err);
	if (status != OK ||
	    summary.last_time_us < retention_floor(counting->retention, parsed.owner, parsed.class))
		return status;
	const struct tenant_count more = {.owner = parsed.owner,
					  .events = summary.event_count,
					  .bytes = summary.stored_bytes,
					  .first_us = summary.first_time_us,
					  .last_us = summary.last_time_us};
	return count_add(counting, &more);
}

/* The rows of blockmeta from a key on; of them only those of blocks, not blooms. */
static enum status walk(struct counting *counting, bool merged)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	const char mark = COLUMNAR_MARK;
	struct text prefix = {&mark, merged};
	struct text key = {0};
	struct text value = {0};
	enum status status = store_view_scan(counting->view, FAMILY_BLOCKMETA, prefix, prefix,
					     &scan, counting->err);
	while (status == OK && store_scan_next(scan, &key, &value)) {
		if (!merged && (key.size == 0 || key.data[0] >= BLOOM_MARK))
			return OK;
		status = merged ? merged_add(counting, key, value) : rows_add(counting, value);
		if (status == ECORRUPT) {
			counting->damaged++;
			status = OK;
		}
	}
	return status == OK ? store_scan_status(scan, counting->err) : status;
}

static int name_compare(const void *a, const void *b)
{
	const struct tenant_count *x = a;
	const struct tenant_count *y = b;
	return text_compare(x->owner, y->owner);
}

static int count_compare(const void *a, const void *b)
{
	const struct tenant_count *x = a;
	const struct tenant_count *y = b;
	if (x->events != y->events)
		return x->events > y->events ? -1 : 1;
	return text_compare(x->owner, y->owner);
}

/* A name that found no place in the dictionary stands there twice: its counts become one. */
static size_t fold(struct tenant_count *items, size_t count)
{
	size_t kept = 0;
	for (size_t i = 0; i < count; i++) {
		struct tenant_count *last = kept == 0 ? NULL : &items[kept - 1];
		if (last == NULL || !text_equal(last->owner, items[i].owner)) {
			items[kept++] = items[i];
			continue;
		}
		last->events += items[i].events;
		last->bytes += items[i].bytes;
		if (items[i].first_us < last->first_us)
			last->first_us = items[i].first_us;
		if (items[i].last_us > last->last_us)
			last->last_us = items[i].last_us;
	}
	return kept;
}

static enum status counts_take(struct counting *counting, struct tenant_counts *ret_counts)
{
	struct arena *arena cleanup(arena_free) = arena_new(NAMES_BYTES_MAX);
	size_t count = counting->names.count;
	if (arena == NULL)
		return no_memory(counting);
	for (size_t i = 0; i < count; i++) {
		struct text name = dictionary_entry(&counting->names, (uint32_t)i);
		counting->items[i].owner = arena_copy(arena, name);
		if (counting->items[i].owner.data == NULL)
			return no_memory(counting);
	}
	if (count > 0) {
		qsort(counting->items, count, sizeof *counting->items, name_compare);
		count = fold(counting->items, count);
		qsort(counting->items, count, sizeof *counting->items, count_compare);
	}
	*ret_counts = (struct tenant_counts){.items = TAKE(counting->items),
					     .count = count,
					     .unknown_events = counting->unknown_events,
					     .damaged = counting->damaged,
					     .arena = TAKE(arena)};
	return OK;
}

enum status tenants_count(struct store *store, struct tenant_counts *ret_counts, struct error *err)
{
	struct counting counting cleanup(counting_done) = {.err = err};
	enum status status = store_view_new(store, &counting.view, err);
	if (status == OK)
		status = retention_load(counting.view, &counting.retention, err);
	if (status == OK)
		status = walk(&counting, false);
	if (status == OK)
		status = walk(&counting, true);
	return status == OK ? counts_take(&counting, ret_counts) : status;
}

void tenant_counts_done(struct tenant_counts *counts)
{
	free(counts->items);
	if (counts->arena != NULL)
		arena_free(&counts->arena);
	*counts = (struct tenant_counts){0};
}
