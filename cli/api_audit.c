/* The audit: a row for each question about tenants' data and each change, and /v1/audit. */
#include <assert.h>
#include <stdlib.h>

#include "cli/api_private.h"
#include "cli/audit.h"
#include "cli/log.h"

/* Without `since` a list looks back so far. */
static const int64_t LOOK_BACK_US = 24 * 3600 * INT64_C(1000000);

static enum status write_row(struct api *api, const struct audit_row *row, struct error *err)
{
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(api->store);
	audit_key(row->time_us, atomic_fetch_add(&api->audit_number, 1), &key);
	audit_encode(row, &value);
	if (batch == NULL || key.failed || value.failed)
		return error_set(err, ENOMEMORY, "no memory for the audit");
	store_batch_put(batch, FAMILY_AUDIT, bytes_text(&key), bytes_text(&value));
	return store_batch_commit(batch, false, err);
}

static void log_row(struct api *api, const struct audit_row *row, const struct error *why)
{
	const struct log_field fields[] = {
		{"who", row->who},
		{"method", row->method},
		{"question", row->question},
		{"detail", text_of(why->text)},
	};
	if (api->log != NULL)
		log_line(api->log, LOG_LEVEL_ERROR, "audit row not stored", fields, 4);
}

void api_audit(struct api *api, const struct api_request *request,
	       const struct api_response *response)
{
	struct bytes question cleanup(bytes_done) = {0};
	struct error err = {0};
	if (api->read_only) /* of a store that no daemon has open: whoever may read the files may */
		return;
	audit_question(request, &question);
	struct audit_row row = {.time_us = api_now(api),
				.who = request->who,
				.method = request->method,
				.question = bytes_text(&question),
				.http_status = response->status,
				.rows = response->rows};
	enum status status = question.failed ? error_set(&err, ENOMEMORY, "no memory for the audit")
					     : write_row(api, &row, &err);
	if (status != OK)
		log_row(api, &row, &err);
}

/* The newest rows that fit, as a ring. */
struct newest {
	struct bytes *rows;
	size_t limit, count, next;
};

static void newest_done(struct newest *newest)
{
	for (size_t i = 0; newest->rows != NULL && i < newest->limit; i++)
		bytes_done(&newest->rows[i]);
	free(newest->rows);
}

static void newest_add(struct newest *newest, struct text value)
{
	struct bytes *slot = &newest->rows[newest->next++ % newest->limit];
	bytes_clear(slot);
	bytes_write(slot, value);
	newest->count += newest->count < newest->limit;
}

static enum status find_rows(const struct api_call *call, int64_t since_us, struct newest *newest,
			     struct error *err)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct bytes from cleanup(bytes_done) = {0};
	struct text who = api_parameter(call, "who");
	struct text key = {0};
	struct text value = {0};
	int64_t until_us = 0;
	enum status status = api_parameter_time(call, "until", INT64_MAX, &until_us, err);
	audit_key(since_us < 0 ? 0 : since_us, 0, &from);
	if (status == OK)
		status = store_scan_new(call->api->store, FAMILY_AUDIT, (struct text){0},
					bytes_text(&from), &scan, err);
	while (status == OK && store_scan_next(scan, &key, &value)) {
		struct audit_row row;
		status = audit_decode(value, &row, err);
		if (status == OK && row.time_us > until_us)
			return OK;
		if (status == OK && (who.size == 0 || text_starts(row.who, who)))
			newest_add(newest, value);
	}
	return status == OK ? store_scan_status(scan, err) : status;
}

static enum status write_rows(const struct newest *newest, struct json_writer *json,
			      struct error *err)
{
	for (size_t i = 0; i < newest->count; i++) {
		const struct bytes *kept = &newest->rows[(newest->next - 1 - i) % newest->limit];
		struct audit_row row;
		enum status status = audit_decode(bytes_text(kept), &row, err);
		if (status != OK)
			return status;
		json_write_open(json, NULL, '{');
		json_write_time(json, "time", row.time_us);
		json_write_text(json, "who", row.who);
		json_write_text(json, "method", row.method);
		json_write_text(json, "question", row.question);
		json_write_count(json, "status", row.http_status);
		json_write_count(json, "rows", row.rows);
		json_write_close(json, '}');
	}
	return OK;
}

enum status api_audit_list(const struct api_call *call, struct api_response *response,
			   struct error *err)
{
	struct newest newest cleanup(newest_done) = {0};
	int64_t since_us = 0;
	enum status status = api_parameter_time(call, "since", api_now(call->api) - LOOK_BACK_US,
						&since_us, err);
	if (status == OK)
		status = api_parameter_limit(call, &newest.limit, err);
	if (status != OK)
		return status;
	newest.rows = calloc(newest.limit, sizeof *newest.rows);
	if (newest.rows == NULL)
		return error_set(err, ENOMEMORY, "no memory for the audit");
	status = find_rows(call, since_us, &newest, err);
	bool damaged = status == ECORRUPT || status == EINCOMPLETE;
	if (status != OK && !damaged)
		return status;
	struct json_writer json = {.to = &response->body};
	json_write_open(&json, NULL, '{');
	json_write_string(&json, "schema", "picket.audit/1");
	json_write_boolean(&json, "complete", !damaged);
	if (damaged && err != NULL)
		json_write_string(&json, "problem", err->text);
	json_write_open(&json, "audit", '[');
	status = write_rows(&newest, &json, err);
	json_write_close(&json, ']');
	json_write_close(&json, '}');
	response->rows = newest.count;
	return status;
}
