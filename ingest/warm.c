/* Positions first, then the events: what was committed in between lies behind the positions and is
 * left to the second half. The partitions' own watermarks are noted with the positions: whatever is
 * not late and comes afterwards is not below the smallest of them, so the first half may judge up
 * to there, and the second need only read from there. (The store's watermark will not do: a
 * partition that has not begun does not hold it.) A partition that came in between may bring any
 * time: then the second half reads all of the span. */
#include "ingest/warm.h"

#include <stdlib.h>
#include <uthash.h>

#include "correlate/gated.h"
#include "ingest/detect.h"
#include "storage/event_cursor.h"

enum { STOP_EVERY = 1024 };

/* Match records are folded in slices of so much event time, as in a scan. */
static const int64_t slice_us = 1000000;

/* How far a log was committed, under the name its records have. */
struct reached {
	struct bytes name;
	int32_t partition;
	int64_t next_offset; /* INT64_MAX: of an earlier log, all of it */
};

/* A match record still encoded. */
struct kept {
	int64_t time_us;
	uint64_t sequence; /* order of reading: keeps the sort stable */
	size_t at, size;   /* in warming.records */
};

/* The newest row of an alert that history raised. */
struct told {
	char id[ALERT_ID_SIZE + 1];
	bool open;
	struct bytes row;
	UT_hash_handle hh;
};

struct warming {
	struct warming_options options;
	int64_t *spans_us; /* by unit (history.c) */
	int64_t span_us;
	struct detect *detect;
	struct detected detected;
	struct stream stream;
	struct actor *actor;
	struct reached *reached;
	size_t reached_count;
	size_t partition_count;
	struct epoch_row row; /* of the store, as of the half under way */
	int64_t sure_us;      /* what is committed later is not before it, or late */
	uint64_t stored;      /* events in the store, for the progress */
	uint64_t events;      /* read */
	struct bytes records;
	struct kept *kept;
	size_t kept_count, kept_capacity;
	struct told *told; /* by id */
};

static int compare_ids(const void *a, const void *b)
{
	const uint64_t *left = a;
	const uint64_t *right = b;
	return (*left > *right) - (*left < *right);
}

uint64_t *state_ids_new(const struct plan *plan, const struct unit_filter *known, size_t *ret_count)
{
	uint64_t *ids = calloc(plan_unit_count(plan) + 1, sizeof *ids);
	size_t count = 0;
	for (size_t i = 0; ids != NULL && i < plan_unit_count(plan); i++)
		if (!unit_filter_takes(known, plan_unit(plan, i)->state_id))
			ids[count++] = plan_unit(plan, i)->state_id;
	if (ids != NULL)
		qsort(ids, count, sizeof *ids, compare_ids);
	*ret_count = count;
	return ids;
}

uint64_t *state_ids(const struct plan *plan, size_t *ret_count)
{
	static const struct unit_filter none = {0};
	return state_ids_new(plan, &none, ret_count);
}

/* --- what the store holds */

static enum status epoch_read(struct warming *warming, struct error *err)
{
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	epoch_key(&key);
	warming->row = (struct epoch_row){.watermark_us = INT64_MIN};
	enum status status =
		store_get(warming->options.store, FAMILY_POSITION, bytes_text(&key), &value, err);
	if (status == OK)
		status = epoch_decode(bytes_text(&value), &warming->row, err);
	return status == ENOTFOUND ? OK : status;
}

/* One partition, under all names that its records have. */
static enum status reached_add(struct warming *warming, const struct position_row *row)
{
	size_t names = (size_t)row->incarnation + 1;
	struct reached *grown =
		realloc(warming->reached, (warming->reached_count + names) * sizeof *grown);
	if (grown == NULL)
		return ENOMEMORY;
	warming->reached = grown;
	for (uint32_t i = 0; i < names; i++) {
		struct reached *one = &grown[warming->reached_count++];
		*one = (struct reached){.partition = row->partition,
					.next_offset =
						i + 1 < names ? INT64_MAX : row->next_offset};
		log_name(row->topic, i, &one->name);
		if (bytes_status(&one->name) != OK)
			return ENOMEMORY;
	}
	warming->stored += row->stored;
	warming->partition_count++;
	if (row->watermark_us < warming->sure_us)
		warming->sure_us = row->watermark_us;
	return OK;
}

static enum status positions_read(struct warming *warming, struct error *err)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct text key = {0};
	struct text value = {0};
	enum status status = store_scan_new(warming->options.store, FAMILY_POSITION, TEXT("s"),
					    TEXT("s"), &scan, err);
	while (status == OK && store_scan_next(scan, &key, &value)) {
		struct position_row row = {0};
		status = position_decode(key, value, &row, err);
		if (status == OK)
			status = reached_add(warming, &row);
	}
	return status == OK ? store_scan_status(scan, err) : status;
}

static enum status partitions_counted(const struct warming *warming, size_t *ret_count,
				      struct error *err)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct text key = {0};
	struct text value = {0};
	size_t count = 0;
	enum status status = store_scan_new(warming->options.store, FAMILY_POSITION, TEXT("s"),
					    TEXT("s"), &scan, err);
	while (status == OK && store_scan_next(scan, &key, &value))
		count++;
	if (status == OK)
		*ret_count = count;
	return status == OK ? store_scan_status(scan, err) : status;
}

static bool is_reached(const struct warming *warming, const struct origin *origin)
{
	for (size_t i = 0; i < warming->reached_count; i++)
		if (warming->reached[i].partition == origin->partition &&
		    text_equal(bytes_text(&warming->reached[i].name), origin->topic))
			return origin->offset < warming->reached[i].next_offset;
	return false; /* a partition that came later */
}

/* --- begin and end */

enum status warming_new(const struct warming_options *options, struct warming **ret_warming,
			struct error *err)
{
	struct warming *warming cleanup(warming_free) = calloc(1, sizeof *warming);
	const struct plan *plan = options->next->plan;
	if (warming == NULL)
		return error_set(err, ENOMEMORY, "no memory to warm rules");
	warming->options = *options;
	warming->sure_us = INT64_MAX;
	warming->stream.at.watermark_us = INT64_MIN;
	warming->stream.at.backfill_until = INT64_MAX;
	warming->spans_us = calloc(plan_unit_count(plan) + 1, sizeof *warming->spans_us);
	if (warming->spans_us == NULL)
		return error_set(err, ENOMEMORY, "no memory to warm rules");
	warming->span_us = plan_history(plan, &options->cold, warming->spans_us);
	enum status status = epoch_read(warming, err);
	if (status != OK || warming->span_us == 0 || warming->row.epoch == 0) {
		if (status == OK)
			*ret_warming = NULL;
		return status;
	}
	struct detect_options detect = {.ruleset = options->next->parts.ruleset,
					.plan = plan,
					.decoder = {.time_trusted = true},
					.actor_count = 1,
					.lateness_us = INT64_MAX};
	struct actor_options actor = {.plan = plan, .actor_count = 1};
	status = detect_new(&detect, &warming->detect, err);
	if (status == OK)
		status = detected_init(&warming->detected, 1);
	if (status == OK)
		status = actor_new(&actor, &warming->actor, err);
	if (status == OK)
		status = positions_read(warming, err);
	if (warming->sure_us > warming->row.watermark_us)
		warming->sure_us = warming->row.watermark_us;
	if (status == OK)
		*ret_warming = TAKE(warming);
	return status;
}

void warming_free(struct warming **warming)
{
	struct warming *old = TAKE(*warming);
	struct told *told, *next;
	if (old == NULL)
		return;
	HASH_ITER (hh, old->told, told, next) {
		HASH_DEL(old->told, told);
		bytes_done(&told->row);
		free(told);
	}
	for (size_t i = 0; i < old->reached_count; i++)
		bytes_done(&old->reached[i].name);
	free(old->reached);
	free(old->spans_us);
	free(old->kept);
	bytes_done(&old->records);
	actor_free(&old->actor);
	detected_done(&old->detected);
	detect_free(&old->detect);
	free(old);
}

/* --- reading */

static enum status keep_record(struct warming *warming, int64_t time_us, struct text encoded)
{
	if (warming->kept_count == warming->kept_capacity) {
		size_t capacity = warming->kept_capacity == 0 ? 1024 : 2 * warming->kept_capacity;
		struct kept *grown = realloc(warming->kept, capacity * sizeof *grown);
		if (grown == NULL)
			return ENOMEMORY;
		warming->kept = grown;
		warming->kept_capacity = capacity;
	}
	warming->kept[warming->kept_count] =
		(struct kept){time_us, warming->kept_count, warming->records.size, encoded.size};
	warming->kept_count++;
	bytes_write(&warming->records, encoded);
	return bytes_status(&warming->records);
}

/* Of the records that the event gave, those that a cold unit or one below it needs. */
static enum status keep_needed(struct warming *warming, struct error *err)
{
	const struct plan *plan = warming->options.next->plan;
	struct cursor from = cursor_of(bytes_text(&warming->detected.records[0]));
	enum status status = OK;
	while (status == OK && cursor_left(&from) > 0) {
		const char *start = (const char *)from.at;
		struct match_record record;
		status = record_decode(&from, &record, err);
		const struct unit *unit = status == OK ? plan_find(plan, record.state_id) : NULL;
		if (unit == NULL || warming->spans_us[unit - plan_unit(plan, 0)] == 0)
			continue;
		status = keep_record(warming, record.time_us,
				     (struct text){start, (size_t)((const char *)from.at - start)});
	}
	bytes_clear(&warming->detected.records[0]);
	if (status == OK && warming->records.size > WARMING_BYTES_MAX)
		return error_set(err, ELIMIT,
				 "new rules match too much of the past to be warmed (%zu matches); "
				 "they begin empty",
				 warming->kept_count);
	return status;
}

static enum status event_take(struct warming *warming, const struct event *event, struct error *err)
{
	enum status status = detect_stored(warming->detect, &warming->stream, event, NULL,
					   &warming->detected, err);
	return status == OK ? keep_needed(warming, err) : status;
}

static enum status progress(struct warming *warming, struct error *err)
{
	if (++warming->events % STOP_EVERY != 0)
		return OK;
	uint64_t percent = warming->stored == 0 ? 0 : warming->events * 100 / warming->stored;
	if (warming->options.percent != NULL)
		atomic_store(warming->options.percent, percent > 99 ? 99 : (int)percent);
	if (warming->options.stopping != NULL && atomic_load(warming->options.stopping))
		return error_set(err, ECLOSED, "the engine stops");
	return OK;
}

/* The events from since_us on that were, or were not, reached when the positions were noted. */
static enum status events_read(struct warming *warming, int64_t since_us, bool reached,
			       struct error *err)
{
	struct event_cursor *cursor cleanup(event_cursor_free) = NULL;
	const struct event_cursor_options span = {
		.store = warming->options.store, .since_us = since_us, .until_us = INT64_MAX};
	enum status status = event_cursor_new(&span, &cursor, err);
	for (bool more = true; status == OK && more;) {
		struct event event;
		status = event_cursor_next(cursor, &event, &more, err);
		if (status == OK && more && is_reached(warming, &event.origin) == reached)
			status = event_take(warming, &event, err);
		if (status == OK && more)
			status = progress(warming, err);
	}
	return status == OK ? event_cursor_status(cursor, err) : status;
}

/* --- folding */

static int compare_kept(const void *a, const void *b)
{
	const struct kept *left = a;
	const struct kept *right = b;
	if (left->time_us != right->time_us)
		return left->time_us < right->time_us ? -1 : 1;
	return (left->sequence > right->sequence) - (left->sequence < right->sequence);
}

/* An alert of a cold unit, as it is now. */
static enum status tell(struct warming *warming, const struct alert *alert)
{
	struct told *told = NULL;
	struct alert history = *alert;
	if (!unit_filter_takes(&warming->options.cold, alert->state_id))
		return OK;
	HASH_FIND(hh, warming->told, alert->id, ALERT_ID_SIZE, told);
	if (told == NULL) {
		told = calloc(1, sizeof *told);
		if (told == NULL)
			return ENOMEMORY;
		memcpy(told->id, alert->id, sizeof told->id);
		HASH_ADD(hh, warming->told, id, ALERT_ID_SIZE, told);
	}
	history.flags |= ALERT_BACKFILL;
	told->open = alert->state == ALERT_OPEN;
	bytes_clear(&told->row);
	alert_encode(&history, &told->row);
	return bytes_status(&told->row);
}

/* All rounds of what was fed; time is watermark_us afterwards. */
static enum status fold(struct warming *warming, int64_t watermark_us, struct error *err)
{
	struct bytes chained cleanup(bytes_done) = {0};
	struct record_sink exchange = {&chained, 1};
	uint64_t epoch = warming->row.epoch;
	enum status status = actor_round(warming->actor, epoch, watermark_us, &exchange, err);
	for (unsigned i = 0; status == OK && i < plan_rounds(warming->options.next->plan); i++) {
		status = actor_feed(warming->actor, bytes_text(&chained), err);
		bytes_clear(&chained);
		if (status == OK)
			status = actor_round(warming->actor, epoch, watermark_us, &exchange, err);
	}
	if (status == OK)
		status = actor_close(warming->actor, epoch, watermark_us, err);
	size_t count = 0;
	const struct alert_change *changes = actor_changes(warming->actor, &count);
	for (size_t i = 0; status == OK && i < count; i++)
		status = tell(warming, changes[i].alert);
	return status;
}

/* Folds what is kept from before until_us, in slices, and forgets it. */
static enum status fold_until(struct warming *warming, int64_t until_us, int64_t watermark_us,
			      struct error *err)
{
	enum status status = OK;
	size_t done = 0;
	if (warming->kept_count > 1)
		qsort(warming->kept, warming->kept_count, sizeof *warming->kept, compare_kept);
	while (status == OK && done < warming->kept_count &&
	       warming->kept[done].time_us < until_us) {
		int64_t end_us = warming->kept[done].time_us > INT64_MAX - slice_us
					 ? INT64_MAX
					 : warming->kept[done].time_us + slice_us;
		end_us = end_us < until_us ? end_us : until_us;
		do {
			const struct kept *kept = &warming->kept[done++];
			status = actor_feed(
				warming->actor,
				(struct text){(const char *)warming->records.data + kept->at,
					      kept->size},
				err);
		} while (status == OK && done < warming->kept_count &&
			 warming->kept[done].time_us < end_us);
		if (status == OK)
			status = fold(warming, end_us < watermark_us ? end_us : watermark_us, err);
	}
	warming->kept_count -= done;
	memmove(warming->kept, warming->kept + done, warming->kept_count * sizeof *warming->kept);
	return status == OK ? fold(warming, watermark_us, err) : status;
}

/* The beginning of what is needed at a watermark. */
static int64_t span_start(const struct warming *warming, int64_t watermark_us)
{
	return watermark_us == INT64_MAX ? INT64_MIN : time_before(watermark_us, warming->span_us);
}

enum status warming_read(struct warming *warming, struct error *err)
{
	int64_t since_us = span_start(warming, warming->row.watermark_us);
	enum status status = events_read(warming, since_us, true, err);
	return status == OK ? fold_until(warming, warming->sure_us, warming->sure_us, err) : status;
}

enum status warming_finish(struct warming *warming, struct error *err)
{
	size_t count = 0;
	int64_t since_us = span_start(warming, warming->row.watermark_us);
	enum status status = partitions_counted(warming, &count, err);
	if (status == OK && count == warming->partition_count && warming->sure_us > since_us)
		since_us = warming->sure_us;
	if (status == OK)
		status = events_read(warming, since_us, false, err);
	if (status == OK)
		status = epoch_read(warming, err);
	return status == OK ? fold_until(warming, INT64_MAX, warming->row.watermark_us, err)
			    : status;
}

enum status warming_cells(const struct warming *warming, uint8_t virtual_partition,
			  struct bytes *to)
{
	return actor_checkpoint(warming->actor, virtual_partition, to);
}

enum status warming_alerts(const struct warming *warming, struct bytes *rows)
{
	struct bytes key cleanup(bytes_done) = {0};
	for (const struct told *told = warming->told; told != NULL; told = told->hh.next) {
		if (warming->options.only_open && !told->open)
			continue;
		bytes_clear(&key);
		alert_key('a', text_of(told->id), &key);
		rows_put(rows, FAMILY_ALERT, bytes_text(&key), bytes_text(&told->row));
		if (key.failed)
			return ENOMEMORY;
	}
	return bytes_status(rows);
}
