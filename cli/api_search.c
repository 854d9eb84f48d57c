/* /v1/search and /v1/events: events of the store, merged or not.
 *
 * A search reads for API_SEARCH_US_MAX or API_SEARCH_BYTES_MAX at most, and ends when its client
 * has gone or the daemon stops; what it has found until then is given with "complete": false. At
 * most API_SEARCHES_MAX run at once, so that memory and the disk stay with the intake, the next one
 * is refused with 503; and they step behind the intake (API_SEARCH_PRIORITY): with time to spare
 * they are as quick as ever, and a daemon that is catching up goes on doing so. More than a page is
 * asked for with after=, the place of the last event. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "cli/api_private.h"
#include "storage/search.h"

enum {
	QUERY_ARENA_BYTES = 16 * 1024 * 1024,
	API_SEARCH_FIELDS_MAX = 64,
};

static const uint64_t search_bytes_max = 16ull << 30;

/* What ends a search early. */
struct patience {
	const struct api_call *call;
	int64_t until_us;
};

static bool out_of_patience(void *context)
{
	const struct patience *patience = context;
	const struct api_request *request = patience->call->request;
	struct api *api = patience->call->api;
	return atomic_load(&api->stopping) || api_now(api) > patience->until_us ||
	       (request->is_gone != NULL && request->is_gone(request->is_gone_context));
}

/* after=TIME_US/TOPIC/PARTITION/OFFSET/INDEX */
static enum status read_after(struct text text, struct search_hit *ret_hit, struct error *err)
{
	struct text rest = text;
	int64_t partition = 0;
	int64_t offset = 0;
	int64_t index = 0;
	const char *slash = text.size == 0 ? NULL : memchr(text.data, '/', text.size);
	bool negative = text.size > 0 && text.data[0] == '-';
	int64_t time_us = 0;
	if (slash == NULL || !api_take_number(&rest, UINT32_MAX, &index) ||
	    !api_take_number(&rest, INT64_MAX, &offset) ||
	    !api_take_number(&rest, INT32_MAX, &partition) || rest.data + rest.size <= slash)
		return error_set(err, EINVALID, "after=%.*s is not what `next` said",
				 TEXT_ARG(text));
	for (const char *at = text.data + negative; at < slash; at++) {
		if (*at < '0' || *at > '9' || time_us > (INT64_MAX - 9) / 10)
			return error_set(err, EINVALID, "after=%.*s is not what `next` said",
					 TEXT_ARG(text));
		time_us = time_us * 10 + (*at - '0');
	}
	struct text topic = {slash + 1, (size_t)(rest.data + rest.size - slash - 1)};
	*ret_hit =
		(struct search_hit){.time_us = negative ? -time_us : time_us,
				    .origin = {topic, (int32_t)partition, (uint32_t)index, offset}};
	return OK;
}

static void write_after(struct json_writer *json, const struct search_hit *hit)
{
	struct bytes text cleanup(bytes_done) = {0};
	bytes_print(&text, "%" PRId64 "/", hit->time_us);
	bytes_write(&text, hit->origin.topic);
	bytes_print(&text, "/%" PRId32 "/%" PRId64 "/%" PRIu32, hit->origin.partition,
		    hit->origin.offset, hit->origin.index);
	json_write_text(json, "next", bytes_text(&text));
}

static void write_hit(struct json_writer *json, const struct search_hit *hit)
{
	json_write_open(json, NULL, '{');
	api_write_origin(json, &hit->origin);
	json_write_time(json, "time", hit->time_us);
	json_write_text(json, "tenant", hit->owner);
	json_write_raw(json, "event", hit->json);
	json_write_close(json, '}');
}

static void write_group(struct json_writer *json, const struct query *query,
			const struct search_group *group)
{
	json_write_open(json, NULL, '{');
	if (group->bucket_us != INT64_MIN)
		json_write_time(json, "time", group->bucket_us);
	if (query->field_count > 0)
		json_write_open(json, "values", '{');
	for (size_t i = 0; i < query->field_count; i++) {
		char name[EVENT_NAME_MAX + 1];
		(void)snprintf(name, sizeof name, "%.*s", TEXT_ARG(query->fields[i]));
		if (group->present[i])
			json_write_text(json, name, group->values[i]);
		else
			json_write_null(json, name);
	}
	if (query->field_count > 0)
		json_write_close(json, '}');
	json_write_count(json, "count", group->count);
	json_write_close(json, '}');
}

static void write_explain(struct json_writer *json, const struct search_report *report)
{
	json_write_open(json, "explain", '{');
	json_write_count(json, "blocks", report->blocks);
	json_write_count(json, "blocks_not_merged", report->row_blocks);
	json_write_open(json, "passed_over", '{');
	json_write_count(json, "by_tenant", report->by_tenant);
	json_write_count(json, "by_time", report->by_time);
	json_write_count(json, "by_place", report->by_place);
	json_write_count(json, "by_retention", report->by_retention);
	json_write_count(json, "by_value", report->by_value);
	json_write_count(json, "by_bloom", report->by_bloom);
	json_write_close(json, '}');
	json_write_count(json, "opened", report->opened);
	json_write_count(json, "rows", report->rows);
	json_write_count(json, "matched", report->matched);
	json_write_count(json, "columns_read", report->columns_read);
	json_write_count(json, "bytes_read", report->bytes_read);
	json_write_close(json, '}');
}

static void write_result(const struct search_options *options, const char *schema,
			 const struct search_result *result, struct api_response *response)
{
	struct json_writer json = {.to = &response->body};
	const struct query *query = options->query;
	json_write_open(&json, NULL, '{');
	json_write_string(&json, "schema", schema);
	json_write_open(&json, "events", '[');
	for (size_t i = 0; i < result->hit_count; i++)
		write_hit(&json, &result->hits[i]);
	json_write_close(&json, ']');
	if (query != NULL && query->output != OUTPUT_EVENTS) {
		json_write_open(&json, "groups", '[');
		for (size_t i = 0; i < result->group_count; i++)
			write_group(&json, query, &result->groups[i]);
		json_write_close(&json, ']');
	}
	json_write_count(&json, "matched", result->report.matched);
	json_write_boolean(&json, "complete", result->report.complete);
	json_write_boolean(&json, "limited", result->report.limited);
	if (result->report.limited && result->hit_count > 0 && options->order <= SEARCH_BY_ORIGIN)
		write_after(&json, &result->hits[result->hit_count - 1]);
	if (!result->report.complete)
		json_write_string(&json, "problem", result->report.problem.text);
	write_explain(&json, &result->report);
	json_write_close(&json, '}');
	response->rows = result->hit_count + result->group_count;
}

enum status api_run_search(const struct api_call *call, struct search_options *options,
			   struct search_result *ret_result, struct error *err)
{
	struct patience patience = {call, api_now(call->api) + API_SEARCH_US_MAX};
	options->store = call->api->store;
	options->bytes_max = search_bytes_max;
	options->cancelled = out_of_patience;
	options->context = &patience;
	if (atomic_fetch_add(&call->api->searches, 1) >= API_SEARCHES_MAX) {
		(void)atomic_fetch_sub(&call->api->searches, 1);
		return error_set(err, EUNAVAILABLE,
				 "%d searches run already; ask again in a moment",
				 API_SEARCHES_MAX);
	}
	/* Of this thread, which is the connection's. Coming back needs a right (CAP_SYS_NICE, or
	 * RLIMIT_NICE); without it the connection stays behind the intake until it is closed. */
	int priority = getpriority(PRIO_PROCESS, 0);
	if (priority < API_SEARCH_PRIORITY)
		(void)setpriority(PRIO_PROCESS, 0, API_SEARCH_PRIORITY);
	enum status status = search_run(options, ret_result, err);
	(void)setpriority(PRIO_PROCESS, 0, priority);
	(void)atomic_fetch_sub(&call->api->searches, 1);
	return status;
}

/* "a,b" as canonical names; "" = all. */
static enum status read_fields(struct text list, struct text fields[static API_SEARCH_FIELDS_MAX],
			       size_t *ret_count, struct error *err)
{
	size_t count = 0;
	while (list.size > 0) {
		const char *comma = memchr(list.data, ',', list.size);
		size_t size = comma == NULL ? list.size : (size_t)(comma - list.data);
		if (count == API_SEARCH_FIELDS_MAX || size == 0)
			return error_set(err, EINVALID, "fields= takes up to %d names with commas",
					 API_SEARCH_FIELDS_MAX);
		fields[count++] = schema_canonical((struct text){list.data, size});
		list = text_cut(list, size + (comma != NULL));
	}
	*ret_count = count;
	return OK;
}

static bool take_end(struct text *text, struct text end)
{
	if (text->size < end.size ||
	    memcmp(text->data + text->size - end.size, end.data, end.size) != 0)
		return false;
	text->size -= end.size;
	return true;
}

/* newest, oldest, origin, or a field with :asc (default) or :desc behind it. */
static enum status read_order(struct text word, struct search_options *options, struct error *err)
{
	static const struct {
		struct text name;
		enum search_order order;
	} known[] = {{TEXT(""), SEARCH_NEWEST},
		     {TEXT("newest"), SEARCH_NEWEST},
		     {TEXT("oldest"), SEARCH_OLDEST},
		     {TEXT("origin"), SEARCH_BY_ORIGIN}};
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		if (!text_equal(word, known[i].name))
			continue;
		options->order = known[i].order;
		return OK;
	}
	struct text written = word;
	bool down = take_end(&word, TEXT(":desc"));
	bool up = !down && take_end(&word, TEXT(":asc"));
	bool by_time = schema_find(word) == FIELD_TIMESTAMP;
	options->order = by_time ? (down ? SEARCH_NEWEST : SEARCH_OLDEST)
			 : down  ? SEARCH_BY_FIELD_DOWN
				 : SEARCH_BY_FIELD_UP;
	options->sort_field = schema_canonical(word);
	if (word.size > 0 && (down || up || memchr(word.data, '.', word.size) != NULL ||
			      schema_find(word) != FIELD_OTHER))
		return OK;
	return error_set(err, EINVALID,
			 "sort=%.*s; it is newest, oldest, origin, or a field, such as "
			 "event.duration:desc",
			 TEXT_ARG(written));
}

enum status api_read_scope(const struct api_call *call, struct search_options *options,
			   struct error *err)
{
	options->tenant = api_parameter(call, "tenant");
	options->scoped = options->tenant.size > 0;
	options->place =
		(struct search_place){.partition = -1, .last_offset = INT64_MAX, .index = -1};
	enum status status = api_parameter_time(call, "since", INT64_MIN, &options->since_us, err);
	if (status == OK)
		status = api_parameter_time(call, "until", INT64_MAX, &options->until_us, err);
	return status;
}

/* topic=, partition=, from=, to= */
static enum status read_place(const struct api_call *call, struct search_place *place,
			      struct error *err)
{
	int64_t partition = -1;
	place->topic = api_parameter(call, "topic");
	enum status status = api_parameter_number(call, "partition", -1, &partition, err);
	if (status == OK)
		status = api_parameter_number(call, "from", 0, &place->first_offset, err);
	if (status == OK)
		status = api_parameter_number(call, "to", INT64_MAX, &place->last_offset, err);
	if (status == OK && (partition > INT32_MAX || (partition >= 0 && place->topic.size == 0)))
		status = error_set(err, EINVALID, "partition= needs topic=, and is below 2^31");
	place->partition = partition;
	return status;
}

enum status api_search(const struct api_call *call, struct api_response *response,
		       struct error *err)
{
	struct arena *arena cleanup(arena_free) = arena_new(QUERY_ARENA_BYTES);
	struct text fields[API_SEARCH_FIELDS_MAX];
	struct search_options options = {.fields = fields};
	struct search_result result = {0};
	struct search_hit after;
	struct query query;
	if (arena == NULL)
		return error_set(err, ENOMEMORY, "no memory for a search");
	enum status status = api_read_scope(call, &options, err);
	if (status == OK)
		status = api_parameter_limit(call, &options.limit, err);
	if (status == OK)
		status = read_order(api_parameter(call, "sort"), &options, err);
	if (status == OK)
		status = read_place(call, &options.place, err);
	if (status == OK)
		status = read_fields(api_parameter(call, "fields"), fields, &options.field_count,
				     err);
	if (status == OK)
		status = query_parse(api_parameter(call, "q"), arena, &query, err);
	if (status == OK && api_parameter(call, "after").size > 0) {
		status = read_after(api_parameter(call, "after"), &after, err);
		options.after = &after;
		if (status == OK && options.order > SEARCH_BY_ORIGIN)
			status = error_set(err, EINVALID,
					   "an answer sorted by a field has one page: raise "
					   "limit=, or narrow the query");
	}
	if (status != OK)
		return status;
	options.query = &query;
	options.zeros_until_us = api_now(call->api);
	status = api_run_search(call, &options, &result, err);
	if (status != OK)
		return status;
	write_result(&options, "picket.search/1", &result, response);
	search_result_done(&result);
	return status;
}

/* Events by where they came from: with offsets in their order, otherwise the newest first. */
enum status api_events(const struct api_call *call, struct api_response *response,
		       struct error *err)
{
	struct search_options options = {0};
	struct search_result result = {0};
	enum status status = api_read_scope(call, &options, err);
	if (status == OK)
		status = api_parameter_limit(call, &options.limit, err);
	if (status == OK)
		status = read_place(call, &options.place, err);
	if (status != OK)
		return status;
	bool by_offset = api_parameter(call, "from").size + api_parameter(call, "to").size > 0;
	options.order = by_offset ? SEARCH_BY_ORIGIN : SEARCH_NEWEST;
	status = api_run_search(call, &options, &result, err);
	if (status != OK)
		return status;
	write_result(&options, "picket.events/1", &result, response);
	search_result_done(&result);
	return status;
}
