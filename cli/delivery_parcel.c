/* The next message: which alerts go into it. See delivery.c. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/delivery_private.h"
#include "storage/rows.h"

bool delivery_wants(const struct delivery *delivery, const struct alert *alert)
{
	return (alert->flags & (ALERT_BACKFILL | ALERT_SHADOW)) == 0 &&
	       alert->level >= delivery->receiver->level_min;
}

static bool was_sent(const struct delivery *delivery, const struct alert *alert)
{
	for (size_t i = 0; i < SENT_REMEMBERED; i++) {
		if (strcmp(delivery->sent[i].id, alert->id) == 0 &&
		    delivery->sent[i].revision >= alert->revision)
			return true;
	}
	return false;
}

static bool is_in_parcel(const struct parcel_of_alerts *parcel, struct text id)
{
	for (size_t i = 0; i < parcel->count; i++) {
		if (text_equal(text_of(parcel->alerts[i].id), id))
			return true;
	}
	return false;
}

/* The alert into the parcel; ENOTFOUND when it is gone. */
enum status delivery_load(struct delivery *delivery, struct text id, struct error *err)
{
	struct parcel_of_alerts *parcel = &delivery->parcel;
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes *row = &parcel->rows[parcel->count];
	assert(parcel->count < DELIVERY_BATCH_MAX);
	alert_key('a', id, &key);
	enum status status = store_get(delivery->store, FAMILY_ALERT, bytes_text(&key), row, err);
	return status == OK ? alert_decode(bytes_text(row), &parcel->alerts[parcel->count], err)
			    : status;
}

static size_t parcel_limit(const struct delivery *delivery)
{
	bool single = delivery->receiver->kind == RECEIVER_WEBHOOK ||
		      delivery->progress.next < delivery->single_until;
	return single ? 1 : DELIVERY_BATCH_MAX;
}

/* One row of the outbox: its alert joins the parcel unless there is nothing to say about it. */
static enum status take_row(struct delivery *delivery, struct text value, struct error *err)
{
	struct parcel_of_alerts *parcel = &delivery->parcel;
	struct cursor from = cursor_of(value);
	(void)cursor_varint(&from); /* the revision then; what is sent is the alert as it is now */
	struct text id = cursor_text(&from);
	if (from.failed || id.size != ALERT_ID_SIZE)
		return error_set(err, ECORRUPT, "a row of the outbox cannot be read");
	if (is_in_parcel(parcel, id))
		return OK;
	enum status status = delivery_load(delivery, id, err);
	if (status == ENOTFOUND) {
		parcel->skipped++; /* retention was faster */
		return OK;
	}
	if (status != OK)
		return status;
	const struct alert *alert = &parcel->alerts[parcel->count];
	bool alertmanager = delivery->receiver->kind == RECEIVER_ALERTMANAGER;
	if (!delivery_wants(delivery, alert) || was_sent(delivery, alert) ||
	    (alertmanager && alert->state == ALERT_MERGED))
		return OK;
	parcel->count++;
	return OK;
}

/* Rows from the mark on, until the parcel is full or there are no more. */
enum status delivery_fill(struct delivery *delivery, struct error *err)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct bytes from cleanup(bytes_done) = {0};
	struct parcel_of_alerts *parcel = &delivery->parcel;
	struct text key = {0};
	struct text value = {0};
	size_t limit = parcel_limit(delivery);
	parcel->count = 0;
	parcel->skipped = 0;
	parcel->next = delivery->progress.next;
	outbox_key(parcel->next, &from);
	enum status status = store_scan_new(delivery->store, FAMILY_OUTBOX, (struct text){0},
					    bytes_text(&from), &scan, err);
	while (status == OK && parcel->count < limit && store_scan_next(scan, &key, &value)) {
		struct cursor cursor = cursor_of(key);
		uint64_t sequence = cursor_be64(&cursor);
		if (cursor.failed || sequence < parcel->next)
			return error_set(err, ECORRUPT, "a key of the outbox cannot be read");
		parcel->skipped += sequence - parcel->next; /* the outbox was full */
		parcel->next = sequence + 1;
		status = take_row(delivery, value, err);
	}
	return status == OK ? store_scan_status(scan, err) : status;
}
