/* json_reader - an answer of the API as a json-c object, with every number as it was written.
 *
 * Why: logs hold integers beyond 64 bits (ids, hashes), the store and the API keep their digits,
 * and json-c turns them into the largest integer it knows: an analyst would read a wrong number.
 *
 * Invariant: what json_read() returns prints every number with the characters it had. Owner: the
 * caller puts the object. Thread: any. Limits: JSON_READ_DEPTH levels, 2 GiB. */
#ifndef PICKET_CLI_JSON_READER_H
#define PICKET_CLI_JSON_READER_H

#include <json-c/json.h>

#include "rules/text.h"

enum { JSON_READ_DEPTH = 64 };

/* NULL: it is not JSON, or memory is out. */
struct json_object *json_read(struct text json);

#endif
