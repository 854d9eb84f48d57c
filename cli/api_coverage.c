/* /v1/rules/coverage: the live rules held against events of the store. Only names of fields and log
 * sources are needed, and a merged block has them apart from its values, so that a day of ten
 * million events is read in a moment. At most `limit` events are looked at, for at most
 * API_SEARCH_US_MAX; how many it were is in the answer, and an answer that is not about all of them
 * says so. Events come in the order of the store, not of time. */
#include <inttypes.h>
#include <stdio.h>

#include "cli/api_private.h"
#include "cli/coverage_json.h"
#include "storage/event_cursor.h"
#include "storage/search.h"

enum {
	CHECK_EVERY = 1024, /* answers of the store between two looks at the clock */
};

static const int64_t since_default_us = (int64_t)24 * 3600 * 1000000;

struct looking {
	const struct api_call *call;
	struct event_cursor_options events;
	int64_t limit;
	uint64_t seen;
	struct error problem; /* why it is not about all events; "" = it is */
};

static enum status options_read(struct looking *work, struct error *err)
{
	const struct api_call *call = work->call;
	int64_t now_us = api_now(call->api);
	struct text tenant = api_parameter(call, "tenant");
	work->events = (struct event_cursor_options){
		.store = call->api->store,
		.scoped = tenant.size > 0,
		.tenant = tenant,
		.names_only = true,
	};
	enum status status = api_parameter_time(call, "since", now_us - since_default_us,
						&work->events.since_us, err);
	if (status == OK)
		status = api_parameter_time(call, "until", INT64_MAX, &work->events.until_us, err);
	if (status == OK)
		status = api_parameter_number(call, "limit", INT64_MAX, &work->limit, err);
	if (status == OK && work->limit < 1)
		status = error_set(err, EINVALID, "limit is a number of events, at least 1");
	struct text unable = api_parameter(call, "unable");
	if (status == OK && unable.size > 0 && !text_equal(unable, TEXT("true")))
		status = error_set(err, EINVALID, "unable is true, or left out");
	return status;
}

static enum status look(struct looking *work, struct coverage *coverage, struct error *err)
{
	struct api *api = work->call->api;
	struct event_cursor *cursor cleanup(event_cursor_free) = NULL;
	int64_t until_us = api_now(api) + API_SEARCH_US_MAX;
	enum status status = event_cursor_new(&work->events, &cursor, err);
	for (uint64_t answers = 1; status == OK; answers++) {
		struct event event;
		bool more = false;
		status = event_cursor_next(cursor, &event, &more, err);
		if (status != OK || !more)
			break;
		if (work->seen >= (uint64_t)work->limit) {
			(void)!error_set(&work->problem, ELIMIT,
					 "only %" PRIu64 " events were looked at: raise limit, or "
					 "narrow since and until",
					 work->seen);
			return OK;
		}
		uint64_t count = event_cursor_stands_for(cursor);
		status = coverage_add(coverage, &event, count);
		work->seen += count;
		if (answers % CHECK_EVERY == 0 &&
		    (api_now(api) > until_us || atomic_load(&api->stopping))) {
			(void)!error_set(&work->problem, ELIMIT,
					 "time was up after %" PRIu64 " events: narrow since and "
					 "until",
					 work->seen);
			return OK;
		}
	}
	if (status == OK)
		(void)!event_cursor_status(cursor, &work->problem);
	return status;
}

static void coverage_done(struct coverage **coverage)
{
	coverage_free(coverage);
}

enum status api_coverage(const struct api_call *call, struct api_response *response,
			 struct error *err)
{
	struct looking work = {.call = call};
	struct coverage *coverage cleanup(coverage_done) = NULL;
	struct coverage_counts counts = {0};
	if (call->ruleset == NULL)
		return error_set(err, EUNAVAILABLE,
				 "no rules are loaded here; name files and --rules PATH");
	enum status status = options_read(&work, err);
	if (status == OK)
		status = coverage_new(call->ruleset, &coverage);
	if (status == OK)
		status = look(&work, coverage, err);
	if (status != OK)
		return status == ENOMEMORY ? error_set(err, status, "no memory for field names")
					   : status;
	if (work.problem.text[0] == '\0' && coverage_cut(coverage))
		(void)!error_set(&work.problem, ELIMIT,
				 "more log sources or field names than are kept; \"cannot fire\" "
				 "may be wrong");
	struct json_writer json = {.to = &response->body};
	json_write_open(&json, NULL, '{');
	json_write_string(&json, "schema", "picket.coverage/1");
	json_write_boolean(&json, "complete", work.problem.text[0] == '\0');
	json_write_string(&json, "problem", work.problem.text);
	json_write_count(&json, "events", work.seen);
	status = coverage_json(call->ruleset, coverage, api_parameter(call, "unable").size > 0,
			       &json, &counts);
	json_write_close(&json, '}');
	return status;
}
