/* /v1/retention: what the rules of the configuration would drop now, events and other rows. */
#include <stdlib.h>

#include "cli/api_private.h"

static void write_keep(struct json_writer *json, int64_t keep_us)
{
	if (keep_us > 0)
		json_write_number(json, "keep_seconds", keep_us / 1000000);
	else
		json_write_null(json, "keep_seconds");
}

static void write_drop(struct json_writer *json, const struct retention_drop *drop)
{
	json_write_open(json, NULL, '{');
	json_write_string(json, "class", data_class_name(drop->class));
	if (drop->owner.size > 0)
		json_write_text(json, "tenant", drop->owner);
	else
		json_write_null(json, "tenant");
	write_keep(json, drop->keep_us);
	json_write_time(json, "floor", drop->floor_us);
	json_write_boolean(json, "by_size", drop->by_size);
	json_write_count(json, "blocks", drop->blocks);
	json_write_count(json, "events", drop->events);
	json_write_count(json, "bytes", drop->bytes);
	json_write_close(json, '}');
}

static void write_row_drop(struct json_writer *json, enum row_kind kind, int64_t keep_us,
			   const struct row_drop *drop)
{
	json_write_open(json, NULL, '{');
	json_write_string(json, "class", row_kind_name(kind));
	write_keep(json, keep_us);
	json_write_time(json, "floor", drop->before_us);
	json_write_count(json, "rows", drop->rows);
	json_write_count(json, "bytes", drop->bytes);
	json_write_count(json, "held", drop->held);
	json_write_count(json, "damaged", drop->damaged);
	json_write_close(json, '}');
}

static enum status write_rows(const struct api_call *call, struct json_writer *json,
			      struct error *err)
{
	const struct row_rules *rules = call->api->row_rules;
	struct row_drop drops[ROW_KIND_COUNT];
	enum status status =
		row_retention_plan(call->api->store, rules, api_now(call->api), drops, err);
	for (unsigned i = 0; status == OK && i < ROW_KIND_COUNT; i++)
		write_row_drop(json, (enum row_kind)i, rules->keep_us[i], &drops[i]);
	return status;
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
	if (status == OK)
		status = write_rows(call, &json, err);
	json_write_close(&json, ']');
	json_write_count(&json, "total_bytes", bytes);
	json_write_close(&json, '}');
	free(drops);
	return status;
}
