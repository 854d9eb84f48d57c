/* json_writer - a writer of JSON into a byte buffer, with the commas in the right places.
 *
 * Why: the API answers thousands of small objects; building a tree first would only be thrown away.
 * Strings go through json_put_string() of rules/event.h, so that they are always valid UTF-8.
 *
 * Invariant: after every opened object or array was closed the bytes are one JSON value.
 * Owner: the caller's buffer. Thread: one. Limits: those of struct bytes.
 * In an object every call gives the key; in an array the key is NULL. */
#ifndef PICKET_CLI_JSON_WRITER_H
#define PICKET_CLI_JSON_WRITER_H

#include <stdint.h>

#include "rules/bytes.h"

struct json_writer {
	struct bytes *to;
	bool comma; /* the next member needs one before it */
};

void json_write_open(struct json_writer *json, const char *key, char bracket); /* '{' or '[' */
void json_write_close(struct json_writer *json, char bracket);                 /* '}' or ']' */
void json_write_text(struct json_writer *json, const char *key, struct text value);
void json_write_string(struct json_writer *json, const char *key, const char *value);
void json_write_count(struct json_writer *json, const char *key, uint64_t value);
void json_write_number(struct json_writer *json, const char *key, int64_t value);
void json_write_real(struct json_writer *json, const char *key,
		     double value); /* null when not finite */
void json_write_boolean(struct json_writer *json, const char *key, bool value);
void json_write_null(struct json_writer *json, const char *key);
/* RFC 3339; null for INT64_MIN ("none yet") and INT64_MAX ("the end"). */
void json_write_time(struct json_writer *json, const char *key, int64_t time_us);
/* Bytes that are JSON already. */
void json_write_raw(struct json_writer *json, const char *key, struct text value);

#endif
