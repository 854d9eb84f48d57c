/* Stored forms (FAMILY_REGISTRY), version 1 each:
 *
 *   'r' receiver       u8 1, varint next sent undelivered skipped, signed sent_us failing_us,
 *                      text problem
 *   'x' receiver id    u8 1, varint revision, signed time_us, u8 again, text reason */
#include "cli/receiver.h"

#include <assert.h>

#include "storage/rows.h"

enum { RECEIVER_ROW_VERSION = 1 };

const char *receiver_name(enum receiver_kind kind)
{
	static const char *const names[] = {"alertmanager", "webhook"};
	assert((unsigned)kind < sizeof names / sizeof *names);
	return names[kind];
}

void receiver_progress_key(enum receiver_kind kind, struct bytes *to)
{
	struct text name = text_of(receiver_name(kind));
	registry_key('r', &name, 1, -1, to);
}

void receiver_progress_encode(const struct receiver_progress *progress, struct bytes *to)
{
	bytes_put_u8(to, RECEIVER_ROW_VERSION);
	bytes_put_varint(to, progress->next);
	bytes_put_varint(to, progress->sent);
	bytes_put_varint(to, progress->undelivered);
	bytes_put_varint(to, progress->skipped);
	bytes_put_signed(to, progress->sent_us);
	bytes_put_signed(to, progress->failing_us);
	bytes_put_text(to, progress->problem);
}

enum status receiver_progress_decode(struct text value, struct receiver_progress *ret_progress,
				     struct error *err)
{
	struct cursor from = cursor_of(value);
	struct receiver_progress progress = {0};
	uint8_t version = cursor_u8(&from);
	progress.next = cursor_varint(&from);
	progress.sent = cursor_varint(&from);
	progress.undelivered = cursor_varint(&from);
	progress.skipped = cursor_varint(&from);
	progress.sent_us = cursor_signed(&from);
	progress.failing_us = cursor_signed(&from);
	progress.problem = cursor_text(&from);
	if (from.failed || version != RECEIVER_ROW_VERSION || cursor_left(&from) != 0)
		return error_set(err, ECORRUPT, "the progress of a receiver cannot be read");
	*ret_progress = progress;
	return OK;
}

void undelivered_key(enum receiver_kind kind, struct text id, struct bytes *to)
{
	const struct text names[] = {text_of(receiver_name(kind)), id};
	registry_key('x', names, id.size == 0 ? 1 : 2, -1, to);
}

void undelivered_encode(const struct undelivered *row, struct bytes *to)
{
	bytes_put_u8(to, RECEIVER_ROW_VERSION);
	bytes_put_varint(to, row->revision);
	bytes_put_signed(to, row->time_us);
	bytes_put_u8(to, row->again);
	bytes_put_text(to, row->reason);
}

enum status undelivered_decode(struct text value, struct undelivered *ret_row, struct error *err)
{
	struct cursor from = cursor_of(value);
	struct undelivered row = {0};
	uint8_t version = cursor_u8(&from);
	row.revision = cursor_varint(&from);
	row.time_us = cursor_signed(&from);
	row.again = cursor_u8(&from) != 0;
	row.reason = cursor_text(&from);
	if (from.failed || version != RECEIVER_ROW_VERSION || cursor_left(&from) != 0)
		return error_set(err, ECORRUPT, "an undelivered alert cannot be read");
	*ret_row = row;
	return OK;
}
