/* The stored form (FAMILY_AUDIT), version 1:
 *
 *   u8 1, signed time_us, text who, text method, text question, varint status, varint rows */
#include "cli/audit.h"

#include <assert.h>

enum { AUDIT_VERSION = 1 };

void audit_key(int64_t time_us, uint32_t number, struct bytes *to)
{
	assert(time_us >= 0);
	bytes_put_be64(to, (uint64_t)time_us);
	bytes_put_be32(to, number);
}

void audit_encode(const struct audit_row *row, struct bytes *to)
{
	bytes_put_u8(to, AUDIT_VERSION);
	bytes_put_signed(to, row->time_us);
	bytes_put_text(to, row->who);
	bytes_put_text(to, row->method);
	bytes_put_text(to, row->question);
	bytes_put_varint(to, row->http_status);
	bytes_put_varint(to, row->rows);
}

enum status audit_decode(struct text value, struct audit_row *ret_row, struct error *err)
{
	struct cursor from = cursor_of(value);
	struct audit_row row = {0};
	uint8_t version = cursor_u8(&from);
	row.time_us = cursor_signed(&from);
	row.who = cursor_text(&from);
	row.method = cursor_text(&from);
	row.question = cursor_text(&from);
	row.http_status = (unsigned)cursor_varint(&from);
	row.rows = cursor_varint(&from);
	if (from.failed || version != AUDIT_VERSION || cursor_left(&from) != 0)
		return error_set(err, ECORRUPT, "a row of the audit cannot be read");
	*ret_row = row;
	return OK;
}

void audit_question(const struct api_request *request, struct bytes *to)
{
	bytes_write(to, request->path);
	for (size_t i = 0; i < request->parameter_count; i++) {
		const struct api_parameter *one = &request->parameters[i];
		bytes_put_u8(to, i == 0 ? '?' : '&');
		bytes_write(to, one->name);
		bytes_put_u8(to, '=');
		bytes_write(to, one->value);
	}
	if (request->body.size > 0) {
		bytes_put_u8(to, ' ');
		bytes_write(to, request->body);
	}
	if (to->size > AUDIT_QUESTION_MAX) {
		to->size = AUDIT_QUESTION_MAX - 3;
		bytes_write_string(to, "...");
	}
}
