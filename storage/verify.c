/* The walk goes family by family, blockmeta first (it leads to the blocks), then the others; of
 * FAMILY_EPOCH only blocks that nothing leads to are left to be found. A place of it is u8 step,
 * key. */
#include "storage/verify.h"

#include "storage/bloom.h"
#include "storage/columnar.h"
#include "storage/summary.h"

enum { VERIFY_ARENA_BYTES = 256 * 1024 * 1024 };

struct verifying {
	struct store_view *view;
	struct arena *arena;
	const struct verify_options *options;
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
		status = store_view_get(verifying->view, FAMILY_EPOCH, key, &value, verifying->err);
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

/* A block of an epoch and its blockmeta have the same key. */
static enum status block_verify(struct verifying *verifying, struct text key)
{
	struct bytes meta cleanup(bytes_done) = {0};
	enum status status =
		store_view_get(verifying->view, FAMILY_BLOCKMETA, key, &meta, verifying->err);
	return status == ENOTFOUND ? error_set(verifying->err, ECORRUPT,
					       "a block has lost its blockmeta: its events are not "
					       "found")
				   : status;
}

/* The parts of merged blocks are read by their summary; one that has none is what a crash of an
 * older picket may have left, and lost to no reader: its events are still where they were merged
 * from. */
static enum status part_verify(const struct verifying *verifying, struct text key)
{
	if (key.size > 0 && key.data[0] == COLUMNAR_MARK)
		return OK;
	return error_set(verifying->err, ECORRUPT, "a row of family block is no part of a block");
}

static enum status other_verify(struct verifying *verifying, enum store_family family,
				struct text key, struct text value)
{
	verifying->report->rows++;
	return verifying->options->row_check == NULL
		       ? OK
		       : verifying->options->row_check(family, key, value, verifying->err);
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

/* The family of a step: blockmeta is the first, every other one follows in its order. */
static enum store_family family_of(unsigned step)
{
	if (step == 0)
		return FAMILY_BLOCKMETA;
	return (enum store_family)(step <= FAMILY_BLOCKMETA ? step - 1 : step);
}

static enum status family_verify(struct verifying *verifying, unsigned step, struct text after,
				 struct bytes *ret_next)
{
	const struct verify_options *options = verifying->options;
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	enum store_family family = family_of(step);
	struct text key = {0};
	struct text value = {0};
	enum status status =
		store_view_scan(verifying->view, family, TEXT(""), after, &scan, verifying->err);
	while (status == OK && store_scan_next(scan, &key, &value)) {
		if (after.size > 0 && text_compare(key, after) <= 0)
			continue;
		status = family == FAMILY_BLOCKMETA ? row_verify(verifying, key, value)
			 : family == FAMILY_EPOCH   ? block_verify(verifying, key)
			 : family == FAMILY_BLOCK   ? part_verify(verifying, key)
						    : other_verify(verifying, family, key, value);
		status = survive(verifying, status);
		if (status == OK && options->cancelled != NULL &&
		    options->cancelled(options->context)) {
			bytes_put_u8(ret_next, (uint8_t)step);
			bytes_write(ret_next, key);
			return bytes_status(ret_next);
		}
	}
	return status == OK ? survive(verifying, store_scan_status(scan, verifying->err)) : status;
}

enum status store_verify(struct store *store, struct text after,
			 const struct verify_options *options, struct verify_report *ret_report,
			 struct bytes *ret_next, struct error *err)
{
	struct error own = {0};
	struct store_view *view cleanup(store_view_free) = NULL;
	struct arena *arena cleanup(arena_free) = arena_new(VERIFY_ARENA_BYTES);
	unsigned step = after.size > 0 ? (unsigned char)after.data[0] : 0;
	*ret_report = (struct verify_report){0};
	bytes_clear(ret_next);
	if (step >= FAMILY_COUNT)
		return error_set(err, EINVALID, "this is no place where verifying can go on");
	if (arena == NULL)
		return error_set(err, ENOMEMORY, "no memory to verify the store");
	enum status status = store_view_new(store, &view, err);
	struct verifying verifying = {view, arena, options, ret_report, &own};
	struct text rest = after.size > 0 ? text_cut(after, 1) : (struct text){0};
	for (; status == OK && step < FAMILY_COUNT && ret_next->size == 0; step++) {
		status = family_verify(&verifying, step, rest, ret_next);
		rest = (struct text){0};
		if (status != OK && err != NULL)
			*err = own;
	}
	return status;
}
