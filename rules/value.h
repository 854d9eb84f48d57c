/* value - one value of a log record: a string, number, boolean, null, or nothing.
 *
 * Why: JSON, protobuf and syslog readers, the mapping and the event all hold the same thing; one
 * type means that a value is copied as it is and never translated on the way.
 *
 * Invariant: `text` is always usable: what a rule compares when it compares texts. Owner: somebody
 * else, it is a view. Thread: any. Limits: none of its own. (This header is C++, too.) */
#ifndef PICKET_RULES_VALUE_H
#define PICKET_RULES_VALUE_H

#include <stdint.h>

#include "rules/text.h"

enum value_type {
	VALUE_NULL,
	VALUE_BOOLEAN,
	VALUE_INTEGER, /* a JSON number without fraction or exponent that fits int64 */
	VALUE_REAL,    /* any other JSON number, finite; text keeps its digits */
	VALUE_STRING,
	VALUE_EMPTY, /* an empty array or object: the field exists and has no member */
};

struct value {
	enum value_type type;
	union {
		bool boolean;
		int64_t integer;
		double real;
	};
	struct text text; /* strings: the bytes. numbers: as written. booleans: true/false */
};

#endif
