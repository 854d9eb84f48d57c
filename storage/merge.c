/* How blocks are merged.
 *
 * Blocks of epochs: in order of key, as many as a table may hold; their columns are put one behind
 * the other (columnar_intake.c), and the table is cut into blocks of one (class, day, owner) each.
 * A tenant with little traffic leaves small blocks that way, so those are cut again: the blocks of
 * one (class, day, owner) fall into sizes below 8, 64, 512 and 2,048 events, and MERGE_RUN_MIN of
 * one size are made into one, or into full ones. An event is therefore written again at most once
 * for each size, and a quiet tenant has at most some thirty small blocks a day. */
#include "storage/merge.h"

#include <assert.h>
#include <stdlib.h>

#include "storage/columnar_reader_private.h"
#include "storage/retention.h"
#include "storage/summary.h"

enum {
	SIZES = 4,
};

static const uint32_t size_limits[SIZES] = {8, 64, 512, 2048};

/* What steps share one after the other, for its memory. */
struct tools {
	struct store *store;
	struct columnar_table *table;
	struct bytes value;               /* of the block that is read */
	bool (*cancelled)(void *context); /* NULL: never */
	void *context;
};

struct step {
	struct tools *tools;
	struct store_view *view;
	struct store_batch *batch;
	struct retention *retention;
	bool full; /* the next block did not fit into the table */
	struct merge_report report;
	struct error *err;
};

static void tools_done(struct tools *tools)
{
	columnar_table_free(&tools->table);
	bytes_done(&tools->value);
}

static enum status tools_make(struct store *store, struct tools *ret_tools, struct error *err)
{
	*ret_tools = (struct tools){.store = store};
	ret_tools->table = columnar_table_new();
	return ret_tools->table == NULL ? error_set(err, ENOMEMORY, "no memory to merge blocks")
					: OK;
}

static bool is_cancelled(const struct tools *tools)
{
	return tools->cancelled != NULL && tools->cancelled(tools->context);
}

static void step_done(struct step *step)
{
	retention_free(&step->retention);
	store_batch_free(&step->batch);
	store_view_free(&step->view);
}

static enum status no_memory(struct step *step)
{
	return error_set(step->err, ENOMEMORY, "no memory to merge blocks");
}

static enum status step_begin(struct step *step, struct tools *tools, struct error *err)
{
	*step = (struct step){.tools = tools, .err = err};
	columnar_table_clear(tools->table);
	step->batch = store_batch_new(tools->store);
	if (step->batch == NULL)
		return no_memory(step);
	enum status status = store_view_new(tools->store, &step->view, err);
	if (status == OK)
		status = retention_load(step->view, &step->retention, err);
	return status;
}

static bool is_damage(enum status status)
{
	return status == ECORRUPT || status == ENOTFOUND;
}

/* All rows of an open block into the table, or none: step->full. */
static enum status block_add_to(struct step *step, struct columnar_reader *reader)
{
	struct columnar_intake intake = {0};
	enum status status =
		columnar_add_block(step->tools->table, reader, step->retention, &intake, step->err);
	step->full = status == ELIMIT;
	if (status != OK)
		return status;
	step->report.events += intake.events;
	step->report.expired += intake.expired;
	step->report.blocks_read++;
	return OK;
}

/* What is damaged stays where it is; what does not fit is for the next step. */
static enum status block_leave(struct step *step, enum status status)
{
	step->report.damaged += is_damage(status);
	return is_damage(status) || status == ELIMIT ? OK : status;
}

static enum status rows_merge(struct step *step, struct text key)
{
	struct columnar_reader *reader cleanup(columnar_reader_free) = NULL;
	struct bytes *value = &step->tools->value;
	enum status status = store_view_get(step->view, FAMILY_EPOCH, key, value, step->err);
	if (status == OK)
		status = block_columns_open(key, bytes_text(value), &reader, step->err);
	if (status == OK)
		status = block_add_to(step, reader);
	if (status != OK)
		return block_leave(step, status);
	store_batch_delete(step->batch, FAMILY_EPOCH, key);
	store_batch_delete(step->batch, FAMILY_BLOCKMETA, key);
	return OK;
}

static bool step_is_over(const struct step *step)
{
	return step->full || columnar_table_is_full(step->tools->table) ||
	       is_cancelled(step->tools);
}

static enum status step_commit(struct step *step, struct merge_report *report)
{
	uint64_t blocks = 0;
	if (is_cancelled(step->tools))
		return OK; /* nothing has happened */
	enum status status = columnar_cut(step->tools->table, step->batch, &blocks, step->err);
	if (status == ECLOSED)
		return OK; /* ditto */
	step->report.blocks_written = blocks;
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

/* Takes blocks of epochs until the step is full. */
static enum status rows_run(struct step *step)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct text key = {0};
	struct text value = {0};
	enum status status =
		store_view_scan(step->view, FAMILY_BLOCKMETA, TEXT(""), TEXT(""), &scan, step->err);
	while (status == OK && !step_is_over(step) && store_scan_next(scan, &key, &value) &&
	       is_row_key(key))
		status = rows_merge(step, key);
	return status == OK ? store_scan_status(scan, step->err) : status;
}

static enum status step_run(enum status (*run)(struct step *), struct tools *tools,
			    struct merge_report *report, struct error *err)
{
	struct step step cleanup(step_done) = {0};
	enum status status = step_begin(&step, tools, err);
	if (status == OK)
		status = run(&step);
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
	struct bytes rows cleanup(bytes_done) = {0};
	enum status status = columnar_open(step->view, key, &reader, step->err);
	if (status == OK)
		status = columnar_rows_find(step->view, key, &rows, step->err);
	if (status == OK)
		status = block_add_to(step, reader);
	if (status != OK)
		return block_leave(step, status);
	columnar_rows_delete(bytes_text(&rows), step->batch);
	return OK;
}

/* Merges the smallest size that has enough blocks. */
static enum status run_merge(struct step *step, struct run *run)
{
	for (size_t size = 0; size < SIZES; size++) {
		if (run->counts[size] < MERGE_RUN_MIN)
			continue;
		struct cursor keys = cursor_of(bytes_text(&run->keys[size]));
		enum status status = OK;
		while (status == OK && !step_is_over(step) && cursor_left(&keys) > 0)
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
	while (status == OK && !step_is_over(step) && store_scan_next(scan, &key, &value)) {
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

static enum status small_run(struct step *step)
{
	struct run run cleanup(run_done) = {0};
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	enum status status = store_view_scan(step->view, FAMILY_BLOCKMETA, TEXT("M"), TEXT("M"),
					     &scan, step->err);
	return status == OK ? runs_merge(step, scan, &run) : status;
}

static enum status one_step(enum status (*run)(struct step *), struct store *store,
			    struct merge_report *report, struct error *err)
{
	struct tools tools cleanup(tools_done) = {0};
	enum status status = tools_make(store, &tools, err);
	return status == OK ? step_run(run, &tools, report, err) : status;
}

enum status merge_rows(struct store *store, struct merge_report *report, struct error *err)
{
	return one_step(rows_run, store, report, err);
}

enum status merge_small(struct store *store, struct merge_report *report, struct error *err)
{
	return one_step(small_run, store, report, err);
}

static void report_add(struct merge_report *sum, const struct merge_report *step)
{
	sum->blocks_read += step->blocks_read;
	sum->blocks_written += step->blocks_written;
	sum->events += step->events;
	sum->expired += step->expired;
	/* The same blocks are met again at every step. */
	sum->damaged = step->damaged > sum->damaged ? step->damaged : sum->damaged;
}

enum status merge_all(struct store *store, bool (*cancelled)(void *context), void *context,
		      struct merge_report *report, struct error *err)
{
	enum status (*const runs[])(struct step *) = {rows_run, small_run};
	struct tools tools cleanup(tools_done) = {0};
	struct merge_report sum = {0};
	enum status status = tools_make(store, &tools, err);
	tools.cancelled = cancelled;
	tools.context = context;
	if (status == OK)
		columnar_table_cancel(tools.table, cancelled, context);
	for (size_t i = 0; i < 2; i++) {
		struct merge_report last = {.blocks_read = 1};
		while (status == OK && last.blocks_read > 0 && !is_cancelled(&tools)) {
			last = (struct merge_report){0};
			status = step_run(runs[i], &tools, &last, err);
			report_add(&sum, &last);
		}
	}
	/* The blocks that were merged are still on the disk, below their removals. */
	if (status == OK && sum.blocks_read > 0 && !is_cancelled(&tools))
		status = store_compact(store, FAMILY_EPOCH, TEXT(""), TEXT(""), err);
	*report = sum;
	return status;
}
