/* What is still open and must be told again, and what is tried once more. See delivery.c. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "cli/action.h"
#include "cli/delivery_private.h"
#include "storage/rows.h"

static size_t find_open(const struct delivery *delivery, const char *id)
{
	size_t i = 0;
	while (i < delivery->open_count && strcmp(delivery->open[i], id) != 0)
		i++;
	return i;
}

static enum status add_open(struct delivery *delivery, const char *id)
{
	if (find_open(delivery, id) < delivery->open_count ||
	    delivery->open_count == DELIVERY_OPEN_MAX)
		return OK; /* beyond that many Alertmanager resolves on its own */
	if (delivery->open_count == delivery->open_capacity) {
		size_t capacity = delivery->open_capacity == 0 ? 64 : 2 * delivery->open_capacity;
		void *grown = realloc(delivery->open, capacity * sizeof *delivery->open);
		if (grown == NULL)
			return ENOMEMORY;
		delivery->open = grown;
		delivery->open_capacity = capacity;
	}
	memcpy(delivery->open[delivery->open_count++], id, ID_BYTES);
	return OK;
}

static void note_over(struct delivery *delivery, size_t index)
{
	assert(index < delivery->open_count);
	delivery->open_count--;
	memmove(delivery->open[index], delivery->open[delivery->open_count], ID_BYTES);
}

enum status delivery_note(struct delivery *delivery, const struct alert *alert)
{
	size_t index = find_open(delivery, alert->id);
	if (alert->state == ALERT_OPEN)
		return add_open(delivery, alert->id);
	if (index < delivery->open_count)
		note_over(delivery, index);
	return OK;
}

enum status delivery_read_open(struct delivery *delivery, struct error *err)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct text key = {0};
	struct text value = {0};
	enum status status =
		store_scan_new(delivery->store, FAMILY_ALERT, TEXT("a"), TEXT("a"), &scan, err);
	while (status == OK && store_scan_next(scan, &key, &value)) {
		struct alert alert;
		status = alert_decode(value, &alert, err);
		if (status == OK && alert.state == ALERT_OPEN && delivery_wants(delivery, &alert))
			status = add_open(delivery, alert.id);
	}
	return status == OK ? store_scan_status(scan, err) : status;
}

static enum status is_closed(struct delivery *delivery, const char *id, bool *ret_closed,
			     struct error *err)
{
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	struct actions actions = {0};
	alert_key('u', text_of(id), &key);
	enum status status =
		store_get(delivery->store, FAMILY_ALERT, bytes_text(&key), &value, err);
	if (status == OK)
		status = actions_decode(bytes_text(&value), &actions, err);
	if (status != OK && status != ENOTFOUND)
		return status;
	*ret_closed = actions_handling(&actions) == HANDLING_CLOSED;
	return OK;
}

/* One of the open alerts, if it still is, into the parcel. */
static enum status remind_of(struct delivery *delivery, size_t index, bool *ret_open,
			     struct error *err)
{
	struct parcel_of_alerts *parcel = &delivery->parcel;
	bool closed = false;
	enum status status = delivery_load(delivery, text_of(delivery->open[index]), err);
	if (status == OK)
		status = is_closed(delivery, delivery->open[index], &closed, err);
	if (status != OK && status != ENOTFOUND)
		return status;
	*ret_open = status == OK && parcel->alerts[parcel->count].state == ALERT_OPEN;
	if (*ret_open && !closed)
		parcel->count++;
	return OK;
}

/* Tells Alertmanager of everything open. A failure is not pursued: in a minute it is tried again,
 * and what is new is retried by its own row. */
enum status delivery_remind(struct delivery *delivery, struct error *err)
{
	enum status status = OK;
	size_t index = 0;
	while (status == OK && index < delivery->open_count) {
		struct post_answer answer = {0};
		delivery->parcel.count = 0;
		while (status == OK && index < delivery->open_count &&
		       delivery->parcel.count < DELIVERY_BATCH_MAX) {
			bool open = false;
			status = remind_of(delivery, index, &open, err);
			if (status == OK && open)
				index++;
			else if (status == OK)
				note_over(delivery, index);
		}
		if (status == OK && delivery->parcel.count > 0)
			status = delivery_send(delivery, &answer, err);
		if (!post_delivered(&answer))
			break;
	}
	return status;
}

/* An alert that was filed, and that somebody wants to be tried once more. */
static enum status try_again(struct delivery *delivery, struct text id, struct error *err)
{
	struct bytes key cleanup(bytes_done) = {0};
	struct post_answer answer = {0};
	delivery->parcel.count = 0;
	undelivered_key(delivery->receiver->kind, id, &key);
	enum status status = delivery_load(delivery, id, err);
	if (status == ENOTFOUND)
		return delivery_save(delivery, &key, NULL, err); /* retention took the alert */
	if (status != OK)
		return status;
	delivery->parcel.count = 1;
	status = delivery_send(delivery, &answer, err);
	if (status == OK && post_delivered(&answer)) {
		status = delivery_taken(delivery, err);
		return status == OK ? delivery_save(delivery, &key, NULL, err) : status;
	}
	if (status == OK) {
		delivery_note_failure(delivery, &answer);
		status = delivery_file(delivery, &delivery->parcel.alerts[0], err);
		delivery->progress.undelivered--; /* it was counted the first time */
	}
	return status;
}

/* The first filed alert that is wanted again; size 0 = none. */
static enum status find_again(struct delivery *delivery, struct bytes *ret_id, struct error *err)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct bytes prefix cleanup(bytes_done) = {0};
	struct text key = {0};
	struct text value = {0};
	undelivered_key(delivery->receiver->kind, (struct text){0}, &prefix);
	enum status status = store_scan_new(delivery->store, FAMILY_REGISTRY, bytes_text(&prefix),
					    bytes_text(&prefix), &scan, err);
	while (status == OK && store_scan_next(scan, &key, &value)) {
		struct undelivered row = {0};
		struct text names[2];
		char kind = 0;
		int64_t unused = 0;
		status = undelivered_decode(value, &row, err);
		if (status != OK || !row.again)
			continue;
		status = registry_key_decode(key, &kind, names, 2, &unused, err);
		if (status == OK)
			bytes_write(ret_id, names[1]);
		return status;
	}
	return status == OK ? store_scan_status(scan, err) : status;
}

enum status delivery_second_chances(struct delivery *delivery, struct error *err)
{
	for (;;) {
		struct bytes id cleanup(bytes_done) = {0};
		enum status status = find_again(delivery, &id, err);
		if (status != OK || id.size == 0)
			return status;
		status = try_again(delivery, bytes_text(&id), err);
		if (status != OK)
			return status;
	}
}
