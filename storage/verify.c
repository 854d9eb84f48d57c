#include "storage/verify.h"

#include "storage/bloom.h"
#include "storage/columnar.h"
#include "storage/summary.h"

enum { VERIFY_ARENA_BYTES = 256 * 1024 * 1024 };

struct verifying {
	struct store_view *view;
	struct arena *arena;
	struct verify_report *report;
	struct error *err;
};

static enum status rows_verify(struct verifying *verifying, struct text key, struct text meta)
{
	struct bytes value cleanup(bytes_done) = {0};
	struct block_reader *reader cleanup(block_reader_free) = NULL;
	struct block_meta parsed;
	uint32_t count = 0;
	enum status status = block_meta_decode(meta, &parsed, verifying->err);
	if (status == OK)
		status = store_view_get(verifying->view, FAMILY_BLOCK, key, &value, verifying->err);
	if (status == OK)
		status = block_open(key, bytes_text(&value), &reader, verifying->err);
	for (bool more = true; status == OK && more; count += more) {
		struct event event;
		arena_reset(verifying->arena);
		status = block_next(reader, verifying->arena, &event, &more, verifying->err);
	}
	verifying->report->row_blocks++;
	if (status == OK && count != parsed.event_count)
		return error_set(verifying->err, ECORRUPT,
				 "a block holds %u events, its blockmeta says %u", count,
				 parsed.event_count);
	verifying->report->events += status == OK ? count : 0;
	return status;
}

static enum status merged_verify(struct verifying *verifying, struct text key, struct text value)
{
	struct columnar_reader *reader cleanup(columnar_reader_free) = NULL;
	struct summary summary;
	enum status status = summary_open(value, &summary, verifying->err);
	if (status == OK)
		status = columnar_open(verifying->view, key, &reader, verifying->err);
	verifying->report->merged_blocks++;
	size_t count = status == OK ? columnar_count(reader) : 0;
	for (size_t i = 0; status == OK && i < count; i++) {
		struct event event;
		arena_reset(verifying->arena);
		status = columnar_event(reader, i, verifying->arena, &event, verifying->err);
	}
	if (status == OK && count != summary.event_count)
		return error_set(verifying->err, ECORRUPT,
				 "a merged block holds %zu events, its summary says %u", count,
				 summary.event_count);
	verifying->report->events += status == OK ? count : 0;
	return status;
}

static enum status row_verify(struct verifying *verifying, struct text key, struct text value)
{
	if (key.size > 0 && key.data[0] == COLUMNAR_MARK)
		return merged_verify(verifying, key, value);
	if (key.size == 0 || key.data[0] != BLOOM_MARK)
		return rows_verify(verifying, key, value);
	verifying->report->blooms++;
	return bloom_check(value) ? OK : error_set(verifying->err, ECORRUPT, "a bloom is damaged");
}

/* Damage is counted and the walk goes on. */
static enum status survive(struct verifying *verifying, enum status status)
{
	struct verify_report *report = verifying->report;
	if (status != ECORRUPT && status != ENOTFOUND && status != EINCOMPLETE)
		return status;
	report->damaged++;
	if (report->problem_count < VERIFY_PROBLEMS_MAX)
		report->problems[report->problem_count++] = *verifying->err;
	return OK;
}

enum status store_verify(struct store *store, struct text after, bool (*cancelled)(void *context),
			 void *context, struct verify_report *ret_report, struct bytes *ret_next,
			 struct error *err)
{
	struct error own = {0};
	struct store_view *view cleanup(store_view_free) = NULL;
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct arena *arena cleanup(arena_free) = arena_new(VERIFY_ARENA_BYTES);
	struct text key = {0};
	struct text value = {0};
	*ret_report = (struct verify_report){0};
	bytes_clear(ret_next);
	if (arena == NULL)
		return error_set(err, ENOMEMORY, "no memory to verify the store");
	enum status status = store_view_new(store, &view, err);
	if (status == OK)
		status = store_view_scan(view, FAMILY_BLOCKMETA, TEXT(""), after, &scan, err);
	struct verifying verifying = {view, arena, ret_report, &own};
	while (status == OK && store_scan_next(scan, &key, &value)) {
		if (after.size > 0 && text_compare(key, after) <= 0)
			continue;
		status = survive(&verifying, row_verify(&verifying, key, value));
		if (status != OK && err != NULL)
			*err = own;
		if (status == OK && cancelled != NULL && cancelled(context)) {
			bytes_put(ret_next, key.data, key.size);
			return bytes_status(ret_next);
		}
	}
	if (status == OK)
		status = survive(&verifying, store_scan_status(scan, &own));
	return status;
}
