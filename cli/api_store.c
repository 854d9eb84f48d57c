/* /v1/store/verify and /v1/store/backup. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/api_private.h"
#include "cli/row_check.h"
#include "storage/verify.h"

enum { VERIFY_US_MAX = 20 * 1000000 };

struct patience {
	const struct api_call *call;
	int64_t until_us;
};

static bool is_time(void *context)
{
	const struct patience *patience = context;
	const struct api_request *request = patience->call->request;
	return atomic_load(&patience->call->api->stopping) ||
	       api_now(patience->call->api) > patience->until_us ||
	       (request->is_gone != NULL && request->is_gone(request->is_gone_context));
}

static void write_report(struct json_writer *json, const struct verify_report *report,
			 const char *next)
{
	json_write_open(json, NULL, '{');
	json_write_string(json, "schema", "picket.verify/1");
	json_write_count(json, "row_blocks", report->row_blocks);
	json_write_count(json, "merged_blocks", report->merged_blocks);
	json_write_count(json, "blooms", report->blooms);
	json_write_count(json, "events", report->events);
	json_write_count(json, "rows", report->rows);
	json_write_count(json, "damaged", report->damaged);
	json_write_open(json, "problems", '[');
	for (size_t i = 0; i < report->problem_count; i++)
		json_write_string(json, NULL, report->problems[i].text);
	json_write_close(json, ']');
	if (next != NULL)
		json_write_string(json, "next", next);
	json_write_close(json, '}');
}

enum status api_store_verify(const struct api_call *call, struct api_response *response,
			     struct error *err)
{
	struct text word = api_parameter(call, "after");
	struct patience patience = {call, api_now(call->api) + VERIFY_US_MAX};
	const struct verify_options options = {row_check, is_time, &patience};
	struct bytes next cleanup(bytes_done) = {0};
	unsigned char after[STORE_KEY_MAX + 1];
	size_t size = 0;
	if (word.size > 0 &&
	    sodium_hex2bin(after, sizeof after, word.data, word.size, NULL, &size, NULL) != 0)
		return error_set(err, EINVALID, "after=%.*s is not what `next` said",
				 TEXT_ARG(word));
	struct verify_report *report = malloc(sizeof *report);
	char *digits = NULL;
	enum status status = report == NULL ? error_set(err, ENOMEMORY, "no memory to verify") : OK;
	if (status == OK)
		status = store_verify(call->api->store, (struct text){(char *)after, size},
				      &options, report, &next, err);
	if (status == OK && next.size > 0) {
		digits = malloc(2 * next.size + 1);
		if (digits == NULL)
			status = error_set(err, ENOMEMORY, "no memory to verify");
		else
			(void)sodium_bin2hex(digits, 2 * next.size + 1, next.data, next.size);
	}
	struct json_writer json = {.to = &response->body};
	if (status == OK)
		write_report(&json, report, digits);
	free(digits);
	free(report);
	return status;
}

enum status api_store_backup(const struct api_call *call, struct api_response *response,
			     struct error *err)
{
	struct text word = api_parameter(call, "path");
	if (word.size == 0 || word.data[0] != '/' || memchr(word.data, '\0', word.size) != NULL)
		return error_set(err, EINVALID, "path= is the absolute path of a folder to make");
	char *path = strndup(word.data, word.size);
	if (path == NULL)
		return error_set(err, ENOMEMORY, "no memory for a path");
	enum status status = store_backup(call->api->store, path, err);
	struct json_writer json = {.to = &response->body};
	if (status == OK) {
		json_write_open(&json, NULL, '{');
		json_write_string(&json, "schema", "picket.backup/1");
		json_write_string(&json, "path", path);
		json_write_close(&json, '}');
	}
	free(path);
	return status;
}
