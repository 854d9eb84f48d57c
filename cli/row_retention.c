/* A turn: each kind's rows are walked in the order of their keys, jumping over what cannot be old.
 *
 *   audit        keys begin with the time: the walk ends at the first row that is young
 *   quarantine   keys are (topic, partition, offset), and times hardly ever go back within a
 *                partition: after YOUNG_MAX young rows in a row it jumps to the next partition, so
 *                that a turn costs what is old and not what there is
 *   undelivered  few, all are looked at
 *
 * Removals are committed by ROWS_PER_BATCH, without a sync: a crash only means that they are done
 * again. */
#include "cli/row_retention_private.h"

#include <assert.h>

#include "cli/audit.h"
#include "storage/rows.h"

enum { ROWS_PER_BATCH = 100, YOUNG_MAX = 1000, OFFSET_AND_INDEX_BYTES = 12 };

const char *row_kind_name(enum row_kind kind)
{
	static const char *const names[ROW_KIND_COUNT] = {
#define ROW_KIND(id, name) [ROW_KIND_##id] = (name),
#include "cli/row_kind.def"
#undef ROW_KIND
	};
	assert((unsigned)kind < ROW_KIND_COUNT);
	return names[kind];
}

enum status turn_no_memory(struct turn *turn)
{
	return error_set(turn->err, ENOMEMORY, "no memory for retention");
}

int64_t turn_before(const struct turn *turn, enum row_kind kind)
{
	return turn->drops[kind].before_us;
}

bool turn_is_over(const struct turn *turn, enum row_kind kind)
{
	return turn->batch != NULL && turn->drops[kind].rows >= ROWS_PER_TURN_MAX;
}

static enum status turn_commit(struct turn *turn)
{
	if (turn->batch == NULL || turn->batched == 0)
		return OK;
	turn->batched = 0;
	return store_batch_commit(turn->batch, false, turn->err);
}

enum status turn_drop(struct turn *turn, enum row_kind kind, const struct row *row, bool held)
{
	struct row_drop *drop = &turn->drops[kind];
	if (held) {
		drop->held++;
		return OK;
	}
	drop->rows++;
	drop->bytes += row->key.size + row->value.size;
	if (turn->batch == NULL)
		return OK;
	store_batch_delete_same(turn->batch, row->family, row->key, row->value);
	return ++turn->batched < ROWS_PER_BATCH ? OK : turn_commit(turn);
}

enum status turn_survive(struct turn *turn, enum row_kind kind, enum status status)
{
	if (status != ECORRUPT)
		return status;
	turn->drops[kind].damaged++;
	return OK;
}

enum status turn_walk(struct turn *turn, enum store_family family, struct text prefix,
		      row_visitor *visit, void *context)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct bytes seek cleanup(bytes_done) = {0};
	struct row row = {.family = family};
	enum status status = store_scan_new(turn->store, family, prefix, prefix, &scan, turn->err);
	while (status == OK && store_scan_next(scan, &row.key, &row.value)) {
		bytes_clear(&seek);
		status = visit(turn, &row, &seek, context);
		if (status != OK || seek.size == 0)
			continue;
		if (seek.failed)
			return turn_no_memory(turn);
		store_scan_free(&scan);
		status = store_scan_new(turn->store, family, prefix, bytes_text(&seek), &scan,
					turn->err);
	}
	return status == OK ? store_scan_status(scan, turn->err) : status;
}

/* Where the walk ends: behind every key. */
static void seek_end(struct bytes *seek)
{
	for (size_t i = 0; i < 16; i++)
		bytes_put_u8(seek, UINT8_MAX);
}

static enum status audit_visit(struct turn *turn, const struct row *row, struct bytes *seek,
			       void *context)
{
	(void)context;
	struct cursor from = cursor_of(row->key);
	uint64_t time_us = cursor_be64(&from);
	bool young = from.failed || time_us >= (uint64_t)turn_before(turn, ROW_KIND_AUDIT);
	if (!young && !turn_is_over(turn, ROW_KIND_AUDIT))
		return turn_drop(turn, ROW_KIND_AUDIT, row, false);
	seek_end(seek);
	return OK;
}

static enum status quarantine_visit(struct turn *turn, const struct row *row, struct bytes *seek,
				    void *context)
{
	size_t *young = context;
	struct quarantine_row parsed;
	enum status status = quarantine_decode(row->key, row->value, &parsed, turn->err);
	if (status != OK)
		return turn_survive(turn, ROW_KIND_QUARANTINE, status);
	if (parsed.record_time_us < turn_before(turn, ROW_KIND_QUARANTINE)) {
		*young = 0;
		if (!turn_is_over(turn, ROW_KIND_QUARANTINE))
			return turn_drop(turn, ROW_KIND_QUARANTINE, row, false);
		seek_end(seek);
	} else if (++*young > YOUNG_MAX) {
		*young = 0;
		assert(row->key.size > OFFSET_AND_INDEX_BYTES);
		bytes_put(seek, row->key.data, row->key.size - OFFSET_AND_INDEX_BYTES);
		for (size_t i = 0; i < OFFSET_AND_INDEX_BYTES; i++)
			bytes_put_u8(seek, UINT8_MAX);
	}
	return OK;
}

static enum status undelivered_visit(struct turn *turn, const struct row *row, struct bytes *seek,
				     void *context)
{
	(void)seek;
	(void)context;
	struct undelivered parsed;
	enum status status = undelivered_decode(row->value, &parsed, turn->err);
	if (status != OK)
		return turn_survive(turn, ROW_KIND_UNDELIVERED, status);
	if (parsed.time_us >= turn_before(turn, ROW_KIND_UNDELIVERED))
		return OK;
	return turn_drop(turn, ROW_KIND_UNDELIVERED, row, parsed.again);
}

static enum status turn_run(struct turn *turn)
{
	size_t young = 0;
	enum status status = OK;
	for (unsigned kind = 0; kind < ROW_KIND_COUNT; kind++) {
		int64_t keep_us = turn->rules->keep_us[kind];
		turn->drops[kind] = (struct row_drop){
			.before_us = keep_us > 0 ? turn->now_us - keep_us : INT64_MIN};
	}
	if (turn_before(turn, ROW_KIND_AUDIT) > 0)
		status = turn_walk(turn, FAMILY_AUDIT, (struct text){0}, audit_visit, NULL);
	if (status == OK && turn_before(turn, ROW_KIND_QUARANTINE) != INT64_MIN)
		status = turn_walk(turn, FAMILY_QUARANTINE, (struct text){0}, quarantine_visit,
				   &young);
	if (status == OK && turn_before(turn, ROW_KIND_UNDELIVERED) != INT64_MIN)
		status = turn_walk(turn, FAMILY_REGISTRY, TEXT("x"), undelivered_visit, NULL);
	if (status == OK && turn_before(turn, ROW_KIND_ALERTS) != INT64_MIN)
		status = alerts_walk(turn);
	if (status == OK)
		status = gate_walk(turn);
	return status == OK ? turn_commit(turn) : status;
}

enum status row_retention_plan(struct store *store, const struct row_rules *rules, int64_t now_us,
			       struct row_drop ret_drops[static ROW_KIND_COUNT], struct error *err)
{
	struct turn turn = {
		.store = store, .rules = rules, .now_us = now_us, .drops = ret_drops, .err = err};
	return turn_run(&turn);
}

enum status row_retention_enforce(struct store *store, const struct row_rules *rules,
				  int64_t now_us, struct row_drop ret_drops[static ROW_KIND_COUNT],
				  struct error *err)
{
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
	struct turn turn = {.store = store,
			    .rules = rules,
			    .now_us = now_us,
			    .drops = ret_drops,
			    .batch = batch,
			    .err = err};
	return batch == NULL ? turn_no_memory(&turn) : turn_run(&turn);
}
