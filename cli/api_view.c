/* A view of the sources: what the runtime says, or, without a daemon, what the store's rows say. */
#include <assert.h>

#include "cli/api_private.h"

enum { VIEW_BYTES_MAX = 64 * 1024 * 1024 };

/* The position rows as partitions of which nothing live is known. */
static enum status read_partitions(struct api *api, struct api_view *view, struct error *err)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct text prefix = TEXT("s");
	struct text key = {0};
	struct text value = {0};
	size_t capacity = 0;
	struct runtime_status *to = &view->status;
	enum status status =
		store_scan_new(api->store, FAMILY_POSITION, prefix, prefix, &scan, err);
	if (status != OK)
		return status;
	while (store_scan_next(scan, &key, &value)) {
		if (to->partition_count == capacity) {
			capacity = capacity == 0 ? 64 : capacity * 2;
			struct partition_status *grown =
				arena_alloc(view->arena, capacity * sizeof *grown);
			if (grown == NULL)
				return error_set(err, ENOMEMORY, "too many partitions");
			if (to->partition_count > 0)
				memcpy(grown, to->partitions, to->partition_count * sizeof *grown);
			to->partitions = grown;
		}
		struct partition_status one = {.lag = {-1, -1, false}};
		status = position_decode(key, value, &one.row, err);
		if (status != OK)
			return status;
		one.lag.next_offset = one.row.next_offset;
		one.row.topic = arena_copy(view->arena, one.row.topic);
		if (one.row.topic.data == NULL)
			return error_set(err, ENOMEMORY, "too many partitions");
		to->partitions[to->partition_count++] = one;
	}
	return store_scan_status(scan, err);
}

static enum status read_epoch(struct api *api, struct api_view *view, struct error *err)
{
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	struct epoch_row row = {0};
	epoch_key(&key);
	enum status status = store_get(api->store, FAMILY_POSITION, bytes_text(&key), &value, err);
	if (status == ENOTFOUND) {
		view->status.watermark_us = INT64_MIN;
		view->status.committed_us = INT64_MIN;
		return OK;
	}
	if (status == OK)
		status = epoch_decode(bytes_text(&value), &row, err);
	if (status != OK)
		return status;
	view->status.epoch = row.epoch;
	view->status.watermark_us = row.watermark_us;
	view->status.committed_us = row.committed_us;
	return OK;
}

enum status api_view_open(struct api *api, struct api_view *ret_view, struct error *err)
{
	struct api_view view = {0};
	if (api->runtime_status != NULL) {
		view.live = true;
		enum status status = api->runtime_status(api->runtime_context, &view.status);
		if (status != OK)
			return error_set(err, status, "the engine does not tell its state: %s",
					 status_text(status));
		*ret_view = view;
		return OK;
	}
	view.arena = arena_new(VIEW_BYTES_MAX);
	if (view.arena == NULL)
		return error_set(err, ENOMEMORY, "no memory for the sources");
	enum status status = read_partitions(api, &view, err);
	if (status == OK)
		status = read_epoch(api, &view, err);
	if (status != OK) {
		arena_free(&view.arena);
		return status;
	}
	*ret_view = view;
	return OK;
}

void api_view_done(struct api_view *view)
{
	assert(view != NULL);
	if (view->live)
		runtime_status_done(&view->status);
	if (view->arena != NULL)
		arena_free(&view->arena);
	*view = (struct api_view){0};
}

struct api_totals api_totals(const struct api_view *view)
{
	struct api_totals totals = {0};
	for (size_t i = 0; i < view->status.partition_count; i++) {
		const struct partition_status *one = &view->status.partitions[i];
		totals.consumed += one->row.records;
		totals.stored += one->row.stored;
		totals.quarantined += one->row.quarantined;
		totals.late += one->row.late;
		totals.gap_offsets += one->row.gap_offsets;
		totals.hole_offsets += one->row.hole_offsets;
		totals.stalled += one->lag.stalled;
		if (one->lag.end_offset < 0)
			totals.lag = -1;
		else if (totals.lag >= 0 && one->lag.end_offset > one->row.next_offset)
			totals.lag += one->lag.end_offset - one->row.next_offset;
	}
	return totals;
}
