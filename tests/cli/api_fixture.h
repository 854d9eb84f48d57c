/* A store in memory, a runtime that is made up, and a way to ask the API in one line: what the
 * tests of the routes share. Why: they differ in what they put in and look at, not in this.
 * Invariant: each test begins with an empty store. Owner: the file that includes it (the variables
 * are static). Thread: one. Limits: eight parameters a request. */
#ifndef PICKET_TESTS_CLI_API_FIXTURE_H
#define PICKET_TESTS_CLI_API_FIXTURE_H

#include <check.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/api.h"
#include "cli/output.h"
#include "storage/rows.h"

static struct store *store;
static struct api api;
static int64_t now_us;
static struct runtime_status live;
static struct partition_status partitions[2];

static const int64_t T0 = 1767225600000000; /* 2026-01-01T00:00:00Z */

static int64_t fake_now(void *context)
{
	(void)context;
	return now_us;
}

/* A copy whose partitions are on the heap, as the runtime would give it. */
static enum status fake_status(void *context, struct runtime_status *ret_status)
{
	(void)context;
	*ret_status = live;
	ret_status->partitions = calloc(2, sizeof *ret_status->partitions);
	ck_assert_ptr_nonnull(ret_status->partitions);
	for (size_t i = 0; i < live.partition_count; i++) {
		ret_status->partitions[i] = partitions[i];
		char *topic = strndup(partitions[i].row.topic.data, partitions[i].row.topic.size);
		ret_status->partitions[i].row.topic.data = topic;
	}
	return OK;
}

static void setup(void)
{
	ck_assert_int_eq(store_open_memory(&store, NULL), OK);
	now_us = T0 + 3600 * INT64_C(1000000);
	live = (struct runtime_status){.state = RUNTIME_RUNNING,
				       .epoch = 7,
				       .watermark_us = T0,
				       .committed_us = now_us,
				       .warming_percent = -1,
				       .partition_count = 2};
	partitions[0] = (struct partition_status){.row = {.topic = TEXT("logs-a"),
							  .partition = 0,
							  .next_offset = 10,
							  .watermark_us = T0,
							  .records = 10,
							  .stored = 9,
							  .quarantined = 1},
						  .lag = {10, 14, false},
						  .assigned = true};
	partitions[1] = (struct partition_status){.row = {.topic = TEXT("logs-\"b\\\n"),
							  .partition = 3,
							  .next_offset = 5,
							  .watermark_us = INT64_MIN,
							  .records = 5,
							  .stored = 5},
						  .lag = {5, -1, false}};
	api = (struct api){
		.store = store, .clock = {fake_now, NULL}, .runtime_status = fake_status};
	api_init(&api);
}

static void teardown(void)
{
	api_done(&api);
	store_free(&store);
}

/* Asks "GET /path?a=b&c=d" (nothing is percent-encoded here); the parsed answer. */
static struct json_object *ask(const char *line, const char *body, unsigned expected)
{
	struct api_parameter parameters[8];
	struct api_request request = {.parameters = parameters};
	struct api_response response;
	char copy[512];
	snprintf(copy, sizeof copy, "%s", line);
	char *rest = copy;
	request.method = text_of(strsep(&rest, " "));
	request.path = text_of(strsep(&rest, "?"));
	for (char *pair = strsep(&rest, "&"); pair != NULL; pair = strsep(&rest, "&")) {
		char *value = pair;
		char *name = strsep(&value, "=");
		parameters[request.parameter_count++] =
			(struct api_parameter){text_of(name), text_of(value)};
	}
	request.body = text_of(body);
	api_answer(&api, &request, &response);
	bytes_put_u8(&response.body, 0);
	ck_assert_msg(response.status == expected, "%s: %u instead of %u: %s", line,
		      response.status, expected, (const char *)response.body.data);
	struct json_object *answer = json_tokener_parse((const char *)response.body.data);
	bool json = strcmp(response.content_type, "application/json") == 0;
	ck_assert_msg(!json || answer != NULL, "%s: no JSON: %s", line,
		      (const char *)response.body.data);
	bytes_done(&response.body);
	return answer;
}

static __attribute__((unused)) void refused(const char *line, unsigned expected, const char *words)
{
	struct json_object *answer = ask(line, NULL, expected);
	const char *error = json_path_text(answer, "error");
	ck_assert_msg(strstr(error, words) != NULL, "%s: \"%s\" lacks \"%s\"", line, error, words);
	json_object_put(answer);
}

static __attribute__((unused)) void put_row(enum store_family family, const struct bytes *key,
					    const struct bytes *value)
{
	struct store_batch *batch = store_batch_new(store);
	ck_assert_ptr_nonnull(batch);
	store_batch_put(batch, family, bytes_text(key), bytes_text(value));
	ck_assert_int_eq(store_batch_commit(batch, false, NULL), OK);
	store_batch_free(&batch);
}

#endif
