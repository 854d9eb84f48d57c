/* /v1/tenants: whose events the store holds. */
#include "cli/api_private.h"
#include "storage/tenant_count.h"

static void write_tenant(struct json_writer *json, const struct tenant_count *count)
{
	json_write_open(json, NULL, '{');
	json_write_text(json, "tenant", count->owner);
	json_write_count(json, "events", count->events);
	json_write_count(json, "bytes", count->bytes);
	json_write_time(json, "first", count->first_us);
	json_write_time(json, "last", count->last_us);
	json_write_close(json, '}');
}

enum status api_tenants(const struct api_call *call, struct api_response *response,
			struct error *err)
{
	struct tenant_counts counts cleanup(tenant_counts_done) = {0};
	struct json_writer json = {.to = &response->body};
	size_t limit = 0;
	enum status status = api_parameter_limit(call, &limit, err);
	if (status == OK)
		status = tenants_count(call->api->store, &counts, err);
	if (status != OK)
		return status;
	size_t shown = counts.count < limit ? counts.count : limit;
	json_write_open(&json, NULL, '{');
	json_write_string(&json, "schema", "picket.tenants/1");
	json_write_boolean(&json, "complete", counts.damaged == 0);
	if (counts.damaged > 0)
		json_write_string(&json, "problem",
				  "rows of the store cannot be read: picket store verify");
	json_write_open(&json, "tenants", '[');
	for (size_t i = 0; i < shown; i++)
		write_tenant(&json, &counts.items[i]);
	json_write_close(&json, ']');
	json_write_count(&json, "total", counts.count);
	json_write_count(&json, "unknown_events", counts.unknown_events);
	json_write_close(&json, '}');
	response->rows = shown;
	return OK;
}
