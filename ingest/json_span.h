/* json_span - finds where one JSON value ends, without parsing it.
 *
 * Why: an array of a gigabyte must be cut into elements as it streams by. Only brackets, strings
 * and escapes matter for that; whether the value is valid is the decoder's business.
 *
 * Invariant: the result does not depend on how the bytes are cut into pieces.
 * Owner: plain data of the caller. Thread: one. Limits: none (constant memory, no recursion). */
#ifndef PICKET_INGEST_JSON_SPAN_H
#define PICKET_INGEST_JSON_SPAN_H

#include "rules/text.h"

struct json_span {
	size_t depth;
	bool started, in_string, escaped, scalar;
	bool line_break_in_string; /* cannot be JSON: strings hold no raw line break */
};

/* Reads on; true when the value is complete, then *ret_used bytes of the piece belong to it. */
bool json_span_feed(struct json_span *span, struct text piece, size_t *ret_used);

static inline bool json_space(char byte)
{
	return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

#endif
