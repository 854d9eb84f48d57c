/* Alerts that are too old, and what people did with them.
 *
 * Who still waits for an alert is in the outbox: everything behind the mark of the slowest receiver
 * that is configured. A receiver that was taken out of the configuration leaves its mark behind,
 * which nobody waits for any more. */
#include "cli/row_retention_private.h"

#include <stdlib.h>

#include "cli/action.h"
#include "storage/rows.h"

static int id_compare(const void *a, const void *b)
{
	return memcmp(a, b, ALERT_ID_SIZE);
}

static bool is_waited_for(const struct bytes *ids, struct text id)
{
	return id.size == ALERT_ID_SIZE && ids->size > 0 &&
	       bsearch(id.data, ids->data, ids->size / ALERT_ID_SIZE, ALERT_ID_SIZE, id_compare) !=
		       NULL;
}

/* How far the slowest receiver has heard; UINT64_MAX: there is none. */
static enum status slowest_receiver(struct turn *turn, uint64_t *ret_next)
{
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	uint64_t slowest = UINT64_MAX;
	for (unsigned i = 0; i < RECEIVER_KIND_COUNT; i++) {
		struct receiver_progress progress = {0};
		if (!turn->rules->receivers[i])
			continue;
		bytes_clear(&key);
		receiver_progress_key((enum receiver_kind)i, &key);
		enum status status = store_get(turn->store, FAMILY_REGISTRY, bytes_text(&key),
					       &value, turn->err);
		if (status == OK)
			status = receiver_progress_decode(bytes_text(&value), &progress, turn->err);
		if (status != OK && status != ENOTFOUND) /* without a row: it has heard nothing */
			return status;
		slowest = progress.next < slowest ? progress.next : slowest;
	}
	*ret_next = slowest;
	return OK;
}

/* The ids of the alerts that some receiver has not been told of, sorted. */
static enum status read_waiting(struct turn *turn, struct bytes *to)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct bytes from cleanup(bytes_done) = {0};
	struct text key = {0};
	struct text value = {0};
	uint64_t next = 0;
	enum status status = slowest_receiver(turn, &next);
	if (status != OK || next == UINT64_MAX)
		return status;
	outbox_key(next, &from);
	status = store_scan_new(turn->store, FAMILY_OUTBOX, (struct text){0}, bytes_text(&from),
				&scan, turn->err);
	while (status == OK && store_scan_next(scan, &key, &value)) {
		struct cursor cursor = cursor_of(value);
		(void)cursor_varint(&cursor); /* the revision */
		struct text id = cursor_text(&cursor);
		if (cursor.failed || id.size != ALERT_ID_SIZE)
			return error_set(turn->err, ECORRUPT,
					 "a row of the outbox cannot be read; no alert is dropped "
					 "while it is there");
		bytes_write(to, id);
	}
	if (status == OK)
		status = store_scan_status(scan, turn->err);
	if (status == OK && to->size > ALERT_ID_SIZE)
		qsort(to->data, to->size / ALERT_ID_SIZE, ALERT_ID_SIZE, id_compare);
	return status == OK ? bytes_status(to) : status;
}

/* What people did with an alert, as its age and whether somebody has it in hand. */
struct care {
	struct bytes row; /* empty: nobody did anything */
	int64_t last_us;
	bool in_hand;
};

static enum status care_read(struct turn *turn, struct text id, struct care *care)
{
	struct bytes key cleanup(bytes_done) = {0};
	struct actions actions = {0};
	alert_key('u', id, &key);
	care->last_us = INT64_MIN;
	care->in_hand = false;
	enum status status =
		store_get(turn->store, FAMILY_ALERT, bytes_text(&key), &care->row, turn->err);
	if (status == ENOTFOUND)
		return OK;
	if (status == OK)
		status = actions_decode(bytes_text(&care->row), &actions, turn->err);
	if (status != OK || actions.count == 0)
		return status;
	care->last_us = actions.items[actions.count - 1].time_us;
	care->in_hand = actions_handling(&actions) != HANDLING_CLOSED;
	return OK;
}

struct alerts_context {
	struct bytes waiting;
	struct care care;
};

static void alerts_context_done(struct alerts_context *context)
{
	bytes_done(&context->waiting);
	bytes_done(&context->care.row);
}

static enum status alert_drop(struct turn *turn, const struct row *row, const struct alert *alert,
			      struct alerts_context *context)
{
	int64_t before_us = turn_before(turn, ROW_KIND_ALERTS);
	struct bytes key cleanup(bytes_done) = {0};
	struct text id = text_of(alert->id);
	if (alert->last_us >= before_us)
		return OK;
	enum status status = care_read(turn, id, &context->care);
	if (status != OK || context->care.last_us >= before_us)
		return status;
	bool held = alert->state == ALERT_OPEN || context->care.in_hand ||
		    is_waited_for(&context->waiting, id);
	status = turn_drop(turn, ROW_KIND_ALERTS, row, held);
	if (status != OK || held || context->care.row.size == 0 || turn->batch == NULL)
		return status;
	alert_key('u', id, &key);
	if (key.failed)
		return turn_no_memory(turn);
	store_batch_delete_same(turn->batch, FAMILY_ALERT, bytes_text(&key),
				bytes_text(&context->care.row));
	return OK;
}

static enum status alert_visit(struct turn *turn, const struct row *row, struct bytes *seek,
			       void *context)
{
	struct alert alert = {0};
	if (turn_is_over(turn, ROW_KIND_ALERTS)) {
		bytes_put_u8(seek, UINT8_MAX);
		return OK;
	}
	enum status status = alert_decode(row->value, &alert, turn->err);
	if (status == OK)
		status = alert_drop(turn, row, &alert, context);
	return turn_survive(turn, ROW_KIND_ALERTS, status);
}

/* Actions whose alert is gone: somebody was faster or slower than a turn. */
static enum status actions_visit(struct turn *turn, const struct row *row, struct bytes *seek,
				 void *context)
{
	(void)seek;
	(void)context;
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes alert cleanup(bytes_done) = {0};
	struct actions actions = {0};
	alert_key('a', text_cut(row->key, 1), &key);
	enum status status =
		store_get(turn->store, FAMILY_ALERT, bytes_text(&key), &alert, turn->err);
	if (status != ENOTFOUND)
		return status;
	status = actions_decode(row->value, &actions, turn->err);
	if (status != OK)
		return turn_survive(turn, ROW_KIND_ALERTS, status);
	if (actions.count > 0 &&
	    actions.items[actions.count - 1].time_us >= turn_before(turn, ROW_KIND_ALERTS))
		return OK;
	return turn_drop(turn, ROW_KIND_ALERTS, row, false);
}

enum status alerts_walk(struct turn *turn)
{
	struct alerts_context context cleanup(alerts_context_done) = {0};
	enum status status = read_waiting(turn, &context.waiting);
	if (status == OK)
		status = turn_walk(turn, FAMILY_ALERT, TEXT("a"), alert_visit, &context);
	return status == OK ? turn_walk(turn, FAMILY_ALERT, TEXT("u"), actions_visit, NULL)
			    : status;
}
