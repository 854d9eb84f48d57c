#include <assert.h>
#include <stdlib.h>

#include "cli/api_private.h"
#include "rules/yaml.h"

struct text api_parameter(const struct api_call *call, const char *name)
{
	for (size_t i = 0; i < call->request->parameter_count; i++) {
		if (text_equal(call->request->parameters[i].name, text_of(name)))
			return call->request->parameters[i].value;
	}
	return (struct text){0};
}

enum status api_parameter_number(const struct api_call *call, const char *name, int64_t fallback,
				 int64_t *ret_number, struct error *err)
{
	struct text value = api_parameter(call, name);
	int64_t number = 0;
	if (value.size == 0) {
		*ret_number = fallback;
		return OK;
	}
	for (size_t i = 0; i < value.size; i++) {
		int digit = value.data[i] - '0';
		if (digit < 0 || digit > 9 || number > (INT64_MAX - digit) / 10)
			return error_set(err, EINVALID, "%s=%.*s is not a number", name,
					 TEXT_ARG(value));
		number = number * 10 + digit;
	}
	*ret_number = number;
	return OK;
}

enum status api_parameter_limit(const struct api_call *call, size_t *ret_limit, struct error *err)
{
	int64_t limit = 0;
	enum status status = api_parameter_number(call, "limit", API_LIMIT_DEFAULT, &limit, err);
	if (status != OK)
		return status;
	if (limit < 1 || limit > API_LIMIT_MAX)
		return error_set(err, EINVALID, "limit is from 1 to %d", API_LIMIT_MAX);
	*ret_limit = (size_t)limit;
	return OK;
}

enum status api_parameter_time(const struct api_call *call, const char *name, int64_t fallback,
			       int64_t *ret_time_us, struct error *err)
{
	struct text value = api_parameter(call, name);
	int64_t ago_us = 0;
	if (value.size == 0)
		*ret_time_us = fallback;
	else if (text_equal(value, TEXT("now")))
		*ret_time_us = api_now(call->api);
	else if (duration_parse(value, &ago_us))
		*ret_time_us = api_now(call->api) - ago_us;
	else if (!time_parse(value, ret_time_us))
		return error_set(err, EINVALID,
				 "%s=%.*s is not a time; write 2026-11-21T22:31:40Z, now, or a "
				 "duration before now such as 1h",
				 name, TEXT_ARG(value));
	return OK;
}

void api_write_origin(struct json_writer *json, const struct origin *origin)
{
	assert(origin != NULL);
	json_write_text(json, "topic", origin->topic);
	json_write_number(json, "partition", origin->partition);
	json_write_number(json, "offset", origin->offset);
	json_write_count(json, "index", origin->index);
}
