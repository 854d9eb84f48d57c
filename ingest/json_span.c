#include "ingest/json_span.h"

#include <assert.h>

/* Inside a string only the escape, the closing quote and an illegal line break count. True when the
 * string (and with it a value at depth 0) has ended. */
static bool string_byte(struct json_span *span, char byte)
{
	if (span->escaped) {
		span->escaped = false;
	} else if (byte == '\\') {
		span->escaped = true;
	} else if (byte == '"') {
		span->in_string = false;
		return span->depth == 0;
	} else if (byte == '\n') {
		span->line_break_in_string = true;
	}
	return false;
}

bool json_span_feed(struct json_span *span, struct text piece, size_t *ret_used)
{
	assert(ret_used != NULL);
	for (size_t i = 0; i < piece.size; i++) {
		char byte = piece.data[i];
		bool ended = false;
		if (span->in_string) {
			ended = string_byte(span, byte);
		} else if (span->scalar) {
			/* A number or a word ends before what cannot be part of it. */
			if (json_space(byte) || byte == ',' || byte == ']' || byte == '}') {
				*ret_used = i;
				return true;
			}
		} else if (byte == '"') {
			span->in_string = true;
		} else if (byte == '{' || byte == '[') {
			span->depth++;
		} else if (byte == '}' || byte == ']') {
			span->depth -= span->depth > 0;
			ended = span->depth == 0;
		} else if (span->depth == 0 && !json_space(byte)) {
			span->scalar = true;
		}
		span->started = true;
		if (ended) {
			*ret_used = i + 1;
			return true;
		}
	}
	return false;
}
