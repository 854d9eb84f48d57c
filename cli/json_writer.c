#include "cli/json_writer.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "rules/event.h"

static void start_member(struct json_writer *json, const char *key)
{
	if (json->comma)
		bytes_put_u8(json->to, ',');
	json->comma = true;
	if (key != NULL) {
		json_put_string(json->to, text_of(key));
		bytes_put_u8(json->to, ':');
	}
}

void json_write_open(struct json_writer *json, const char *key, char bracket)
{
	assert(bracket == '{' || bracket == '[');
	start_member(json, key);
	bytes_put_u8(json->to, (uint8_t)bracket);
	json->comma = false;
}

void json_write_close(struct json_writer *json, char bracket)
{
	assert(bracket == '}' || bracket == ']');
	bytes_put_u8(json->to, (uint8_t)bracket);
	json->comma = true;
}

void json_write_raw(struct json_writer *json, const char *key, struct text value)
{
	assert(value.size > 0);
	start_member(json, key);
	bytes_write(json->to, value);
}

void json_write_text(struct json_writer *json, const char *key, struct text value)
{
	start_member(json, key);
	json_put_string(json->to, value);
}

void json_write_string(struct json_writer *json, const char *key, const char *value)
{
	json_write_text(json, key, text_of(value));
}

void json_write_count(struct json_writer *json, const char *key, uint64_t value)
{
	char buffer[24];
	(void)snprintf(buffer, sizeof buffer, "%" PRIu64, value);
	json_write_raw(json, key, text_of(buffer));
}

void json_write_number(struct json_writer *json, const char *key, int64_t value)
{
	char buffer[24];
	(void)snprintf(buffer, sizeof buffer, "%" PRId64, value);
	json_write_raw(json, key, text_of(buffer));
}

void json_write_real(struct json_writer *json, const char *key, double value)
{
	char buffer[40];
	if (!isfinite(value)) {
		json_write_null(json, key);
		return;
	}
	(void)snprintf(buffer, sizeof buffer, "%.9g", value);
	json_write_raw(json, key, text_of(buffer));
}

void json_write_boolean(struct json_writer *json, const char *key, bool value)
{
	json_write_raw(json, key, value ? TEXT("true") : TEXT("false"));
}

void json_write_null(struct json_writer *json, const char *key)
{
	json_write_raw(json, key, TEXT("null"));
}

void json_write_time(struct json_writer *json, const char *key, int64_t time_us)
{
	if (time_us == INT64_MIN || time_us == INT64_MAX) {
		json_write_null(json, key);
		return;
	}
	char buffer[32];
	json_write_text(json, key, time_print(time_us, buffer));
}
