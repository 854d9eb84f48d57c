/* /v1/retention: what the rules of the configuration would drop now. */
#include <stdlib.h>

#include "cli/api_private.h"

static void write_drop(struct json_writer *json, const struct retention_drop *drop)
{
	json_write_open(json, NULL, '{');
	json_write_string(json, "class", data_class_name(drop->class));
	if (drop->owner.size > 0)
		json_write_text(json, "tenant", drop->owner);
	else
		json_write_null(json, "tenant");
	if (drop->keep_us > 0)
		json_write_number(json, "keep_seconds", drop->keep_us / 1000000);
	else
		json_write_null(json, "keep_seconds");
	json_write_time(json, "floor", drop->floor_us);
	json_write_boolean(json, "by_size", drop->by_size);
	json_write_count(json, "blocks", drop->blocks);
	json_write_count(json, "events", drop->events);
	json_write_count(json, "bytes", drop->bytes);
	json_write_close(json, '}');
}

enum status api_retention(const struct api_call *call, struct api_response *response,
			  struct error *err)
{
	const struct retention_rules *rules = call->api->retention;
	struct json_writer json = {.to = &response->body};
	uint64_t bytes = 0;
	if (rules == NULL)
		return error_set(
			err, EUNAVAILABLE,
			"the rules of retention are in the configuration of the daemon; ask "
			"it with --server");
	struct retention_drop *drops = calloc(rules->count + 1, sizeof *drops);
	if (drops == NULL)
		return error_set(err, ENOMEMORY, "no memory for retention");
	enum status status =
		retention_plan(call->api->store, rules, api_now(call->api), drops, &bytes, err);
	json_write_open(&json, NULL, '{');
	json_write_string(&json, "schema", "picket.retention/1");
	json_write_open(&json, "retention", '[');
	for (size_t i = 0; status == OK && i < rules->count; i++)
		write_drop(&json, &drops[i]);
	json_write_close(&json, ']');
	json_write_count(&json, "total_bytes", bytes);
	json_write_close(&json, '}');
	free(drops);
	return status;
}
