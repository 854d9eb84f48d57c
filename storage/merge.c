/* How blocks are merged.
 *
 * Blocks of epochs: in order of key, as many as a step may hold; every event goes to the builder of
 * its (class, day, owner); full builders and at the end all others become blocks. A tenant with
 * little traffic leaves small blocks that way, so those are cut again: the blocks of one (class,
 * day, owner) fall into sizes below 8, 64, 512 and 2,048 events, and MERGE_RUN_MIN of one size are
 * made into one, or into full ones. An event is therefore written again at most once for each size,
 * and a quiet tenant has at most some thirty small blocks a day. */
#include "storage/merge.h"

#include <assert.h>
#include <stdlib.h>

#include "storage/columnar.h"
#include "storage/dictionary_private.h"
#include "storage/retention.h"
#include "storage/summary.h"

enum {
	EVENT_ARENA_BYTES = 256 * 1024 * 1024,
	SIZES = 4,
	BATCH_BYTES_MAX = 256 * 1024 * 1024,
};

static const uint32_t size_limits[SIZES] = {8, 64, 512, 2048};

struct step {
	struct store *store;
	struct store_view *view;
	struct store_batch *batch;
	struct retention *retention;
	struct arena *arena;      /* of one event */
	struct dictionary owners; /* keys of builders */
	struct columnar_builder **builders;
	struct columnar_press *press;
	size_t capacity;
	uint64_t events;
	size_t bytes; /* in builders */
	struct bytes key;
	struct merge_report report;
	struct error *err;
};

static void step_done(struct step *step)
{
	for (size_t i = 0; i < step->owners.count && i < step->capacity; i++)
		columnar_builder_free(&step->builders[i]);
	free(step->builders);
	columnar_press_free(&step->press);
	dictionary_done(&step->owners);
	bytes_done(&step->key);
	arena_free(&step->arena);
	retention_free(&step->retention);
	store_batch_free(&step->batch);
	store_view_free(&step->view);
}

static enum status no_memory(struct step *step)
{
	return error_set(step->err, ENOMEMORY, "no memory to merge blocks");
}

static enum status step_begin(struct step *step, struct store *store, struct error *err)
{
	*step = (struct step){.store = store, .err = err};
	step->batch = store_batch_new(store);
	step->arena = arena_new(EVENT_ARENA_BYTES);
	step->press = columnar_press_new();
	if (step->batch == NULL || step->arena == NULL || step->press == NULL)
		return no_memory(step);
	enum status status = store_view_new(store, &step->view, err);
	if (status == OK)
		status = retention_load(step->view, &step->retention, err);
	return status;
}

/* The builder of the event's owner, class and day; NULL: out of memory. */
static struct columnar_builder *builder_of(struct step *step, const struct event *event,
					   enum data_class class)
{
	uint32_t number = 0;
	bytes_clear(&step->key);
	bytes_put_u8(&step->key, (uint8_t) class);
	bytes_put_be64(&step->key, (uint64_t)day_of_time(event->time_us));
	bytes_put(&step->key, event->owner.data, event->owner.size);
	if (step->owners.count == step->capacity) {
		size_t capacity = step->capacity == 0 ? 64 : 2 * step->capacity;
		struct columnar_builder **grown =
			realloc(step->builders, capacity * sizeof(struct columnar_builder *));
		if (grown == NULL)
			return NULL;
		memset(grown + step->capacity, 0,
		       (capacity - step->capacity) * sizeof(struct columnar_builder *));
		step->builders = grown;
		step->capacity = capacity;
	}
	if (step->key.failed || !dictionary_number(&step->owners, bytes_text(&step->key), &number))
		return NULL;
	if (step->builders[number] == NULL)
		step->builders[number] = columnar_builder_new();
	return step->builders[number];
}

static enum status builder_finish(struct step *step, struct columnar_builder *builder)
{
	step->bytes -= columnar_builder_bytes(builder);
	step->report.blocks_written++;
	return columnar_finish(builder, step->press, step->batch, step->err);
}

static enum status event_add_to(struct step *step, const struct event *event)
{
	enum data_class class = data_class_of(event);
	if (event->time_us < retention_floor(step->retention, event->owner, class)) {
		step->report.expired++;
		return OK;
	}
	struct columnar_builder *builder = builder_of(step, event, class);
	if (builder == NULL)
		return no_memory(step);
	size_t before = columnar_builder_bytes(builder);
	enum status status = columnar_add(builder, event);
	if (status == ELIMIT) {
		status = builder_finish(step, builder);
		before = 0;
		if (status == OK)
			status = columnar_add(builder, event);
	}
	if (status != OK)
		return no_memory(step);
	step->bytes += columnar_builder_bytes(builder) - before;
	step->events++;
	return OK;
}

/* Every event is checked once before the first is added: what is in a builder cannot be taken out
 * again, and a damaged block must stay whole. */
static enum status rows_check(struct step *step, struct text key, struct text value)
{
	struct block_reader *reader cleanup(block_reader_free) = NULL;
	struct event event;
	bool more = true;
	enum status status = block_open(key, value, &reader, step->err);
	while (status == OK && more) {
		arena_reset(step->arena);
		status = block_next(reader, step->arena, &event, &more, step->err);
	}
	return status;
}

static enum status rows_add(struct step *step, struct text key, struct text value)
{
	struct block_reader *reader cleanup(block_reader_free) = NULL;
	bool more = true;
	enum status status = block_open(key, value, &reader, step->err);
	while (status == OK) {
		struct event event;
		arena_reset(step->arena);
		status = block_next(reader, step->arena, &event, &more, step->err);
		if (status != OK || !more)
			break;
		status = event_add_to(step, &event);
	}
	return status;
}

static bool is_damage(enum status status)
{
	return status == ECORRUPT || status == ENOTFOUND;
}

static enum status rows_merge(struct step *step, struct text key)
{
	struct bytes value cleanup(bytes_done) = {0};
	enum status status = store_view_get(step->view, FAMILY_BLOCK, key, &value, step->err);
	/* The checksum is over all of it: a block that opens and has it is whole but for a fault of
	 * our own, which the second pass would find too late. */
	if (status == OK)
		status = rows_check(step, key, bytes_text(&value));
	if (is_damage(status)) {
		step->report.damaged++;
		return OK;
	}
	if (status == OK)
		status = rows_add(step, key, bytes_text(&value));
	if (status != OK)
		return status;
	store_batch_delete(step->batch, FAMILY_BLOCK, key);
	store_batch_delete(step->batch, FAMILY_BLOCKMETA, key);
	step->report.blocks_read++;
	return OK;
}

static bool step_is_full(const struct step *step)
{
	return step->events >= MERGE_EVENTS_MAX || step->bytes >= MERGE_BYTES_MAX ||
	       step->owners.count >= MERGE_OWNERS_MAX ||
	       store_batch_bytes(step->batch) >= BATCH_BYTES_MAX;
}

static enum status step_commit(struct step *step, struct merge_report *report)
{
	enum status status = OK;
	for (size_t i = 0; status == OK && i < step->owners.count; i++)
		if (step->builders[i] != NULL && columnar_builder_count(step->builders[i]) > 0)
			status = builder_finish(step, step->builders[i]);
	step->report.events = step->events;
	if (status == OK && step->report.blocks_read > 0)
		status = store_batch_commit(step->batch, false, step->err);
	if (status != OK)
		return status;
	report->blocks_read += step->report.blocks_read;
	report->blocks_written += step->report.blocks_written;
	report->events += step->report.events;
	report->expired += step->report.expired;
	report->damaged += step->report.damaged;
	return OK;
}

static bool is_row_key(struct text key)
{
	return key.size > 0 && (unsigned char)key.data[0] < BLOOM_MARK;
}

enum status merge_rows(struct store *store, struct merge_report *report, struct error *err)
{
	struct step step cleanup(step_done) = {0};
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct text key = {0};
	struct text value = {0};
	enum status status = step_begin(&step, store, err);
	if (status == OK)
		status = store_view_scan(step.view, FAMILY_BLOCKMETA, TEXT(""), TEXT(""), &scan,
					 err);
	while (status == OK && !step_is_full(&step) && store_scan_next(scan, &key, &value) &&
	       is_row_key(key))
		status = rows_merge(&step, key);
	if (status == OK)
		status = store_scan_status(scan, err);
	store_scan_free(&scan);
	return status == OK ? step_commit(&step, report) : status;
}

enum status merge_backlog(struct store *store, uint64_t *ret_blocks, uint64_t *ret_events,
			  struct error *err)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct text key = {0};
	struct text value = {0};
	uint64_t blocks = 0;
	uint64_t events = 0;
	enum status status =
		store_scan_new(store, FAMILY_BLOCKMETA, TEXT(""), TEXT(""), &scan, err);
	while (status == OK && store_scan_next(scan, &key, &value) && is_row_key(key)) {
		struct block_meta meta;
		status = block_meta_decode(value, &meta, err);
		blocks++;
		events += status == OK ? meta.event_count : 0;
		if (status == ECORRUPT)
			status = OK; /* merge_rows() counts it */
	}
	if (status == OK)
		status = store_scan_status(scan, err);
	if (status != OK)
		return status;
	*ret_blocks = blocks;
	*ret_events = events;
	return OK;
}

/* The small blocks of one (class, day, owner): keys, by size. */
struct run {
	struct bytes prefix;
	struct bytes keys[SIZES]; /* texts */
	size_t counts[SIZES];
	uint64_t events[SIZES];
};

static void run_clear(struct run *run)
{
	bytes_clear(&run->prefix);
	for (size_t i = 0; i < SIZES; i++) {
		bytes_clear(&run->keys[i]);
		run->counts[i] = 0;
		run->events[i] = 0;
	}
}

static void run_done(struct run *run)
{
	bytes_done(&run->prefix);
	for (size_t i = 0; i < SIZES; i++)
		bytes_done(&run->keys[i]);
}

static enum status block_merge(struct step *step, struct text key)
{
	struct columnar_reader *reader cleanup(columnar_reader_free) = NULL;
	struct event event;
	enum status status = columnar_open(step->view, key, &reader, step->err);
	size_t count = status == OK ? columnar_count(reader) : 0;
	for (size_t i = 0; status == OK && i < count; i++) { /* as rows_check() */
		arena_reset(step->arena);
		status = columnar_event(reader, i, step->arena, &event, step->err);
	}
	if (is_damage(status)) {
		step->report.damaged++;
		return OK;
	}
	if (status == OK)
		status = columnar_delete(step->view, key, step->batch, step->err);
	for (size_t i = 0; status == OK && i < count; i++) {
		arena_reset(step->arena);
		status = columnar_event(reader, i, step->arena, &event, step->err);
		if (status == OK)
			status = event_add_to(step, &event);
	}
	step->report.blocks_read += status == OK;
	return status;
}

/* Merges the smallest size that has enough blocks. */
static enum status run_merge(struct step *step, struct run *run)
{
	for (size_t size = 0; size < SIZES; size++) {
		if (run->counts[size] < MERGE_RUN_MIN)
			continue;
		struct cursor keys = cursor_of(bytes_text(&run->keys[size]));
		enum status status = OK;
		while (status == OK && cursor_left(&keys) > 0)
			status = block_merge(step, cursor_text(&keys));
		return run->keys[size].failed ? no_memory(step) : status;
	}
	return OK;
}

static bool run_add(struct run *run, struct text key, const struct columnar_key *parsed,
		    uint32_t event_count)
{
	size_t size = 0;
	while (size < SIZES && event_count >= size_limits[size])
		size++;
	if (size == SIZES || run->events[size] >= MERGE_EVENTS_MAX)
		return true;
	bytes_clear(&run->prefix);
	columnar_key_prefix(parsed->class, &parsed->day, &parsed->owner, &run->prefix);
	bytes_put_text(&run->keys[size], key);
	run->counts[size]++;
	run->events[size] += event_count;
	return !run->prefix.failed && !run->keys[size].failed;
}

static enum status runs_merge(struct step *step, struct store_scan *scan, struct run *run)
{
	struct text key = {0};
	struct text value = {0};
	enum status status = OK;
	while (status == OK && !step_is_full(step) && store_scan_next(scan, &key, &value)) {
		struct columnar_key parsed;
		struct summary summary;
		if (run->prefix.size > 0 && !text_starts(key, bytes_text(&run->prefix))) {
			status = run_merge(step, run);
			run_clear(run);
		}
		if (status != OK)
			break;
		status = columnar_key_decode(key, &parsed, step->err);
		if (status == OK)
			status = summary_open(value, &summary, step->err);
		if (is_damage(status)) {
			step->report.damaged++;
			status = OK;
		} else if (status == OK && !run_add(run, key, &parsed, summary.event_count)) {
			status = no_memory(step);
		}
	}
	if (status == OK)
		status = store_scan_status(scan, step->err);
	return status == OK ? run_merge(step, run) : status;
}

enum status merge_small(struct store *store, struct merge_report *report, struct error *err)
{
	struct step step cleanup(step_done) = {0};
	struct run run cleanup(run_done) = {0};
	enum status status = step_begin(&step, store, err);
	struct store_scan *scan = NULL;
	if (status == OK)
		status = store_view_scan(step.view, FAMILY_BLOCKMETA, TEXT("M"), TEXT("M"), &scan,
					 err);
	if (status == OK)
		status = runs_merge(&step, scan, &run);
	store_scan_free(&scan);
	return status == OK ? step_commit(&step, report) : status;
}

enum status merge_all(struct store *store, bool (*cancelled)(void *context), void *context,
		      struct merge_report *report, struct error *err)
{
	enum status (*const steps[])(struct store *, struct merge_report *,
				     struct error *) = {merge_rows, merge_small};
	struct merge_report sum = {0};
	enum status status = OK;
	for (size_t i = 0; i < 2; i++) {
		struct merge_report last = {.blocks_read = 1};
		while (status == OK && last.blocks_read > 0 &&
		       (cancelled == NULL || !cancelled(context))) {
			last = (struct merge_report){0};
			status = steps[i](store, &last, err);
			sum.blocks_read += last.blocks_read;
			sum.blocks_written += last.blocks_written;
			sum.events += last.events;
			sum.expired += last.expired;
			sum.damaged = last.damaged > sum.damaged ? last.damaged : sum.damaged;
		}
	}
	/* The blocks that were merged are still on the disk, below their removals. */
	if (status == OK && sum.blocks_read > 0)
		status = store_compact(store, FAMILY_BLOCK, TEXT(""), TEXT("B"), err);
	*report = sum;
	return status;
}
