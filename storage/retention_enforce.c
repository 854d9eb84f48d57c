/* Raising floors and removing what is below them.
 *
 * A floor stands at the begin of a day, and a merged block is of one day, so a block is above or
 * below it as a whole. The order is what keeps readers right:
 *
 *   1. the new floors are committed: from here on no reader gives back anything below them
 *   2. files that hold nothing but blocks of days that every owner's floor has passed are dropped
 * at once, unless a view is open that may have begun before the floors (store_drop_files())
 *   3. what is left below the floors is removed block by block, with summary and blooms
 *
 * A crash between any two leaves rows that step 3 of the next time finds. By size: the oldest days
 * of all classes and owners go until the rest fits. */
#include <assert.h>
#include <stdlib.h>

#include "storage/retention.h"
#include "storage/summary.h"

enum { BLOCKS_PER_BATCH = 500 };

static const int64_t day_us = 86400000000;

struct day_bytes {
	int64_t day;
	uint64_t bytes;
};

struct enforcing {
	struct store *store;
	const struct retention_rules *rules;
	struct retention_drop *drops;
	struct day_bytes *days; /* in order of first appearance */
	size_t day_count, day_capacity;
	uint64_t bytes;
	struct error *err;
};

static enum status no_memory(const struct enforcing *enforcing)
{
	return error_set(enforcing->err, ENOMEMORY, "no memory for retention");
}

/* The rule of an owner and class: his own, or the one of the class; rules->count: none. */
static size_t rule_of(const struct retention_rules *rules, enum data_class class, struct text owner)
{
	size_t found = rules->count;
	for (size_t i = 0; i < rules->count; i++) {
		const struct retention_rule *rule = &rules->items[i];
		if (rule->class != class)
			continue;
		if (rule->owner != NULL && text_equal(text_of(rule->owner), owner))
			return i;
		if (rule->owner == NULL)
			found = i;
	}
	return found;
}

static enum status day_add(struct enforcing *enforcing, int64_t day, uint64_t bytes)
{
	for (size_t i = enforcing->day_count; i-- > 0;) {
		if (enforcing->days[i].day != day)
			continue;
		enforcing->days[i].bytes += bytes;
		return OK;
	}
	if (enforcing->day_count == enforcing->day_capacity) {
		size_t capacity = enforcing->day_capacity == 0 ? 64 : 2 * enforcing->day_capacity;
		struct day_bytes *grown =
			realloc(enforcing->days, capacity * sizeof *enforcing->days);
		if (grown == NULL)
			return no_memory(enforcing);
		enforcing->days = grown;
		enforcing->day_capacity = capacity;
	}
	enforcing->days[enforcing->day_count++] = (struct day_bytes){day, bytes};
	return OK;
}

/* Calls `visit` for every merged block. */
typedef enum status visitor(struct enforcing *enforcing, struct text key,
			    const struct columnar_key *parsed, const struct summary *summary);

static enum status blocks_walk(struct enforcing *enforcing, visitor *visit)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct text key = {0};
	struct text value = {0};
	enum status status = store_scan_new(enforcing->store, FAMILY_BLOCKMETA, TEXT("M"),
					    TEXT("M"), &scan, enforcing->err);
	while (status == OK && store_scan_next(scan, &key, &value)) {
		struct columnar_key parsed;
		struct summary summary;
		status = columnar_key_decode(key, &parsed, enforcing->err);
		if (status == OK)
			status = summary_open(value, &summary, enforcing->err);
		if (status == OK)
			status = visit(enforcing, key, &parsed, &summary);
		else if (status == ECORRUPT)
			status = OK; /* what cannot be read is not dropped either */
	}
	return status == OK ? store_scan_status(scan, enforcing->err) : status;
}

static enum status visit_sizes(struct enforcing *enforcing, struct text key,
			       const struct columnar_key *parsed, const struct summary *summary)
{
	(void)key;
	size_t rule = rule_of(enforcing->rules, parsed->class, parsed->owner);
	enforcing->bytes += summary->stored_bytes;
	/* What goes by time anyway does not push out what may stay. */
	if (rule < enforcing->rules->count &&
	    summary->last_time_us < enforcing->drops[rule].floor_us)
		return OK;
	return day_add(enforcing, parsed->day, summary->stored_bytes);
}

static enum status visit_drops(struct enforcing *enforcing, struct text key,
			       const struct columnar_key *parsed, const struct summary *summary)
{
	(void)key;
	size_t rule = rule_of(enforcing->rules, parsed->class, parsed->owner);
	if (rule == enforcing->rules->count)
		return OK;
	struct retention_drop *drop = &enforcing->drops[rule];
	if (summary->last_time_us >= drop->floor_us)
		return OK;
	drop->blocks++;
	drop->events += summary->event_count;
	drop->bytes += summary->stored_bytes;
	return OK;
}

static int day_compare(const void *a, const void *b)
{
	const struct day_bytes *x = a;
	const struct day_bytes *y = b;
	return (x->day > y->day) - (x->day < y->day);
}

/* The begin of the first day that may stay so that all fits; INT64_MIN: everything may. */
static int64_t floor_by_size(struct enforcing *enforcing)
{
	uint64_t left = 0;
	for (size_t i = 0; i < enforcing->day_count; i++)
		left += enforcing->days[i].bytes;
	if (enforcing->rules->bytes_max == 0 || left <= enforcing->rules->bytes_max)
		return INT64_MIN;
	qsort(enforcing->days, enforcing->day_count, sizeof *enforcing->days, day_compare);
	size_t i = 0;
	for (; i + 1 < enforcing->day_count && left > enforcing->rules->bytes_max; i++)
		left -= enforcing->days[i].bytes;
	return enforcing->days[i].day * day_us; /* the newest day stays whatever its size */
}

static void floors_by_time(struct enforcing *enforcing, const struct retention *now, int64_t now_us)
{
	for (size_t i = 0; i < enforcing->rules->count; i++) {
		const struct retention_rule *rule = &enforcing->rules->items[i];
		struct retention_drop *drop = &enforcing->drops[i];
		*drop = (struct retention_drop){.class = rule->class,
						.owner = text_of(rule->owner),
						.keep_us = rule->keep_us,
						.floor_us = INT64_MIN};
		/* A day goes when its last moment is as old as that. */
		if (rule->keep_us > 0)
			drop->floor_us = day_of_time(now_us - rule->keep_us) * day_us;
		/* Floors only rise: what is below the one there is may be half gone already. */
		int64_t before = retention_floor(now, drop->owner, rule->class);
		if (before > drop->floor_us)
			drop->floor_us = before;
	}
}

static enum status floors_find(struct enforcing *enforcing, int64_t now_us)
{
	struct store_view *view cleanup(store_view_free) = NULL;
	struct retention *now cleanup(retention_free) = NULL;
	enum status status = store_view_new(enforcing->store, &view, enforcing->err);
	if (status == OK)
		status = retention_load(view, &now, enforcing->err);
	if (status != OK)
		return status;
	floors_by_time(enforcing, now, now_us);
	status = blocks_walk(enforcing, visit_sizes);
	if (status != OK)
		return status;
	int64_t floor_us = floor_by_size(enforcing);
	for (size_t i = 0; i < enforcing->rules->count; i++) {
		if (floor_us <= enforcing->drops[i].floor_us)
			continue;
		enforcing->drops[i].floor_us = floor_us;
		enforcing->drops[i].by_size = true;
	}
	return blocks_walk(enforcing, visit_drops);
}

enum status retention_plan(struct store *store, const struct retention_rules *rules, int64_t now_us,
			   struct retention_drop *ret_drops, uint64_t *ret_bytes, struct error *err)
{
	assert(rules->count <= RETENTION_RULES_MAX);
	struct enforcing enforcing = {
		.store = store, .rules = rules, .drops = ret_drops, .err = err};
	enum status status = floors_find(&enforcing, now_us);
	free(enforcing.days);
	if (status == OK)
		*ret_bytes = enforcing.bytes;
	return status;
}

/* One floor into the batch, when the store has another. */
static enum status floor_put(struct enforcing *enforcing, const struct retention_drop *drop,
			     struct store_batch *batch)
{
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	struct bytes before cleanup(bytes_done) = {0};
	floor_key(drop->class, drop->owner.size == 0 ? NULL : &drop->owner, &key);
	floor_encode(drop->floor_us, &value);
	if (key.failed || value.failed)
		return no_memory(enforcing);
	enum status status = store_get(enforcing->store, FAMILY_POSITION, bytes_text(&key), &before,
				       enforcing->err);
	if (status != OK && status != ENOTFOUND)
		return status;
	if (status == ENOTFOUND || !text_equal(bytes_text(&before), bytes_text(&value)))
		store_batch_put(batch, FAMILY_POSITION, bytes_text(&key), bytes_text(&value));
	return OK;
}

static enum status floors_commit(struct enforcing *enforcing)
{
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(enforcing->store);
	enum status status = batch == NULL ? no_memory(enforcing) : OK;
	for (size_t i = 0; status == OK && i < enforcing->rules->count; i++)
		status = floor_put(enforcing, &enforcing->drops[i], batch);
	if (status == OK && store_batch_bytes(batch) > 0)
		status = store_batch_commit(batch, true, enforcing->err);
	return status;
}

/* The files of the days of a class that every floor of it has passed. */
static enum status files_drop(struct enforcing *enforcing, enum data_class class)
{
	struct bytes from cleanup(bytes_done) = {0};
	struct bytes to cleanup(bytes_done) = {0};
	int64_t lowest_us = INT64_MAX;
	bool every = false; /* there is a rule for owners without one */
	for (size_t i = 0; i < enforcing->rules->count; i++) {
		const struct retention_drop *drop = &enforcing->drops[i];
		if (drop->class != class)
			continue;
		lowest_us = drop->floor_us < lowest_us ? drop->floor_us : lowest_us;
		every |= drop->owner.size == 0;
	}
	if (!every || lowest_us == INT64_MIN)
		return OK;
	int64_t day = day_of_time(lowest_us);
	columnar_key_prefix(class, NULL, NULL, &from);
	columnar_key_prefix(class, &day, NULL, &to);
	if (from.failed || to.failed)
		return no_memory(enforcing);
	return store_drop_files(enforcing->store, FAMILY_BLOCK, bytes_text(&from), bytes_text(&to),
				enforcing->err);
}

/* Removes up to BLOCKS_PER_BATCH blocks; *ret_count 0: none is left. */
static enum status blocks_remove(struct enforcing *enforcing, size_t *ret_count)
{
	struct store_view *view cleanup(store_view_free) = NULL;
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct bytes rows cleanup(bytes_done) = {0};
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(enforcing->store);
	struct text key = {0};
	struct text value = {0};
	size_t count = 0;
	if (batch == NULL)
		return no_memory(enforcing);
	enum status status = store_view_new(enforcing->store, &view, enforcing->err);
	if (status == OK)
		status = store_view_scan(view, FAMILY_BLOCKMETA, TEXT("M"), TEXT("M"), &scan,
					 enforcing->err);
	while (status == OK && count < BLOCKS_PER_BATCH && store_scan_next(scan, &key, &value)) {
		struct columnar_key parsed;
		struct summary summary;
		if (columnar_key_decode(key, &parsed, enforcing->err) != OK ||
		    summary_open(value, &summary, enforcing->err) != OK)
			continue;
		size_t rule = rule_of(enforcing->rules, parsed.class, parsed.owner);
		if (rule == enforcing->rules->count ||
		    summary.last_time_us >= enforcing->drops[rule].floor_us)
			continue;
		status = columnar_rows_find(view, key, &rows, enforcing->err);
		if (status == OK)
			columnar_rows_delete(bytes_text(&rows), batch);
		count++;
	}
	if (status == OK)
		status = store_scan_status(scan, enforcing->err);
	if (status == OK && count > 0)
		status = store_batch_commit(batch, false, enforcing->err);
	if (status == OK)
		*ret_count = count;
	return status;
}

enum status retention_enforce(struct store *store, const struct retention_rules *rules,
			      int64_t now_us, struct retention_drop *ret_drops, struct error *err)
{
	assert(rules->count <= RETENTION_RULES_MAX);
	struct enforcing enforcing = {
		.store = store, .rules = rules, .drops = ret_drops, .err = err};
	enum status status = floors_find(&enforcing, now_us);
	free(enforcing.days);
	if (status == OK)
		status = floors_commit(&enforcing);
	for (unsigned i = 0; status == OK && i < CLASS_COUNT; i++)
		status = files_drop(&enforcing, (enum data_class)i);
	for (size_t count = 1; status == OK && count > 0;)
		status = blocks_remove(&enforcing, &count);
	return status;
}
