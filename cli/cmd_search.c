/* picket search */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"

enum { FOLLOW_SECONDS = 1, PAGE_MAX = 10000 };

static const struct option search_options[] = {
	{"fields", 0, "NAME,...", "only these fields of the events"},
	{"sort", 0, "ORDER", "newest (default), oldest, origin, or FIELD:asc, FIELD:desc"},
	{"explain", 0, NULL, "what was read and what was passed over, on standard error"},
	{"follow", 'f', NULL, "go on with events as they are stored"},
	{0},
};

static const struct column search_columns[] = {
	{"TIME", "time", CELL_TIME, false},
	{"TENANT", "tenant", CELL_TEXT, COLUMN_MINOR},
	{"EVENT", "", CELL_EVENT, true},
};

static const struct column group_columns[] = {
	{"TIME", "time", CELL_TIME, false},
	{"VALUES", "values", CELL_MAP, true},
	{"COUNT", "count", CELL_COUNT, false},
};

static const struct column total_columns[] = {
	{"VALUES", "values", CELL_MAP, true},
	{"COUNT", "count", CELL_COUNT, false},
};

/* The query: all words, joined by blanks, so that it need not be quoted as a whole. */
static bool query_of(const struct session *session, struct bytes *to)
{
	for (size_t i = 0; i < session->arguments.word_count; i++) {
		if (i > 0)
			bytes_put_u8(to, ' ');
		bytes_write_string(to, session->arguments.words[i]);
	}
	bytes_put_u8(to, '\0');
	return !to->failed;
}

/* The shape of a histogram at a glance. */
static void print_spark(struct session *session, struct json_object *groups)
{
	size_t count = json_object_array_length(groups);
	double *values = calloc(count, sizeof *values);
	double most = 1;
	for (size_t i = 0; values != NULL && i < count; i++) {
		values[i] = json_object_get_double(
			json_path(json_object_array_get_idx(groups, i), "count"));
		most = values[i] > most ? values[i] : most;
	}
	if (values != NULL)
		output_spark(session->output.to, values, count, most);
	free(values);
}

static int print_groups(struct session *session, struct json_object *groups, bool spark)
{
	struct error err = {0};
	bool timed = json_object_array_length(groups) > 0 &&
		     json_path(json_object_array_get_idx(groups, 0), "time") != NULL;
	if (session->output.format == OUTPUT_NDJSON) {
		output_lines(&session->output, groups);
		return EXIT_OK;
	}
	if (output_table(&session->output, timed ? group_columns : total_columns, timed ? 3 : 2,
			 groups, &err) != OK)
		return session_fail_error(session, &err);
	if (spark && timed)
		print_spark(session, groups);
	return EXIT_OK;
}

static void print_explain(struct session *session, struct json_object *answer)
{
	struct json_object *explain = json_path(answer, "explain");
	if (!arguments_has(&session->arguments, "explain") || explain == NULL)
		return;
	(void)fflush(session->output.to);
	(void)fprintf(session->problems, "%s\n",
		      json_object_to_json_string_ext(explain, JSON_C_TO_STRING_PRETTY));
}

static int print_answer(struct session *session, struct json_object *answer, const char *query)
{
	struct error err = {0};
	struct json_object *events = json_path(answer, "events");
	struct json_object *groups = json_path(answer, "groups");
	int code = EXIT_OK;
	if (session->output.format == OUTPUT_JSON)
		output_json(&session->output, answer);
	else if (groups != NULL)
		code = print_groups(session, groups, strstr(query, "|") != NULL);
	else if (session->output.format == OUTPUT_NDJSON)
		output_lines(&session->output, events);
	else if (events != NULL && json_object_array_length(events) > 0 &&
		 output_table(&session->output, search_columns, 3, events, &err) != OK)
		code = session_fail_error(session, &err);
	(void)fflush(session->output.to);
	print_explain(session, answer);
	return code;
}

static void ask_about(struct question *question, const struct session *session, const char *query)
{
	question_init(question, "GET", TEXT("/v1/search"));
	if (query[0] != '\0')
		question_add(question, "q", query);
	question_add(question, "fields", arguments_get(&session->arguments, "fields"));
	question_add(question, "sort", arguments_get(&session->arguments, "sort"));
}

static int is_complete(struct session *session, struct json_object *answer)
{
	struct json_object *complete = json_path(answer, "complete");
	if (complete == NULL || json_object_get_boolean(complete))
		return EXIT_OK;
	return session_fail(session, EXIT_INCOMPLETE, "incomplete: %s",
			    json_path_text(answer, "problem"));
}

/* Page by page until the limit: the daemon never holds more than one page for us. */
static int search_pages(struct session *session, struct client *client, const char *query)
{
	const char *wanted = arguments_get(&session->arguments, "limit");
	char *end = NULL;
	unsigned long long left = wanted == NULL ? 100 : strtoull(wanted, &end, 10);
	char next[1200] = "";
	size_t shown = 0;
	if (left == 0 || (end != NULL && *end != '\0'))
		return session_fail(session, EXIT_USAGE, "--limit is a number from 1");
	for (;;) {
		struct json_object *answer cleanup(session_json_done) = NULL;
		struct question question;
		char page[24];
		ask_about(&question, session, query);
		question_add(&question, "tenant", arguments_get(&session->arguments, "tenant"));
		question_add(&question, "since", arguments_get(&session->arguments, "since"));
		question_add(&question, "until", arguments_get(&session->arguments, "until"));
		(void)snprintf(page, sizeof page, "%llu", left < PAGE_MAX ? left : PAGE_MAX);
		question_add(&question, "limit", page);
		question_add(&question, "after", next[0] == '\0' ? NULL : next);
		int code = session_ask(session, client, &question, &answer);
		if (code == EXIT_OK)
			code = print_answer(session, answer, query);
		if (code == EXIT_OK)
			code = is_complete(session, answer);
		if (code != EXIT_OK)
			return code;
		size_t count = json_object_array_length(json_path(answer, "events"));
		const char *behind = json_path_text(answer, "next");
		shown += count;
		left -= count < left ? count : left;
		if (behind[0] == '\0' || left == 0 || strlen(behind) >= sizeof next) {
			if (behind[0] != '\0' && !session->quiet)
				(void)fprintf(session->problems,
					      "the first %zu; there are more: --limit, or a "
					      "narrower question\n",
					      shown);
			if (shown == 0 && json_path(answer, "groups") == NULL && !session->quiet)
				(void)fprintf(session->problems, "no stored event fits\n");
			return EXIT_OK;
		}
		(void)strcpy(next, behind);
	}
}

/* The next page of what was stored of one log from an offset on, before `to` (-1: to its end). */
static void ask_about_log(struct question *question, const struct session *session,
			  struct json_object *source, const char *offsets[static 2])
{
	question_add(question, "fields", arguments_get(&session->arguments, "fields"));
	question_add(question, "tenant", arguments_get(&session->arguments, "tenant"));
	question_add(question, "topic", json_path_text(source, "log"));
	question_add(question, "partition", json_path_text(source, "partition"));
	question_add(question, "from", offsets[0]);
	question_add(question, "to", offsets[1]);
	question_add(question, "sort", "origin");
	question_add(question, "limit", "10000");
}

static int follow_log(struct session *session, struct client *client, const char *query,
		      struct json_object *source, const int64_t offsets[static 2])
{
	char first[24];
	char last[24];
	char next[4096] = "";
	(void)snprintf(first, sizeof first, "%" PRId64, offsets[0]);
	(void)snprintf(last, sizeof last, "%" PRId64, offsets[1] - 1);
	for (;;) {
		struct json_object *answer cleanup(session_json_done) = NULL;
		struct question question;
		question_init(&question, "GET", TEXT("/v1/search"));
		if (query[0] != '\0')
			question_add(&question, "q", query);
		ask_about_log(&question, session, source,
			      (const char *[]){first, offsets[1] < 0 ? NULL : last});
		question_add(&question, "after", next[0] == '\0' ? NULL : next);
		int code = session_ask(session, client, &question, &answer);
		if (code == EXIT_OK)
			code = print_answer(session, answer, query);
		if (code == EXIT_OK)
			code = is_complete(session, answer);
		const char *behind = json_path_text(answer, "next");
		if (code != EXIT_OK || behind[0] == '\0' || strlen(behind) >= sizeof next)
			return code;
		(void)strcpy(next, behind);
	}
}

static struct json_object *find_log(struct json_object *sources, struct json_object *wanted)
{
	for (size_t i = 0; i < json_object_array_length(sources); i++) {
		struct json_object *one = json_object_array_get_idx(sources, i);
		if (strcmp(json_path_text(one, "log"), json_path_text(wanted, "log")) == 0 &&
		    strcmp(json_path_text(one, "partition"), json_path_text(wanted, "partition")) ==
			    0)
			return one;
	}
	return NULL;
}

static int64_t next_offset(struct json_object *source)
{
	return source == NULL ? 0 : json_object_get_int64(json_path(source, "next_offset"));
}

/* What came between two looks: of each log that is there what is new, and of one that is no more
 * (its topic was deleted and made again) the rest. */
static int follow_step(struct session *session, struct client *client, const char *query,
		       struct json_object *before, struct json_object *sources)
{
	int code = EXIT_OK;
	for (size_t i = 0; code == EXIT_OK && i < json_object_array_length(before); i++) {
		struct json_object *gone = json_object_array_get_idx(before, i);
		const int64_t offsets[] = {next_offset(gone), -1};
		if (find_log(sources, gone) == NULL)
			code = follow_log(session, client, query, gone, offsets);
	}
	for (size_t i = 0; code == EXIT_OK && i < json_object_array_length(sources); i++) {
		struct json_object *source = json_object_array_get_idx(sources, i);
		const int64_t offsets[] = {next_offset(find_log(before, source)),
					   next_offset(source)};
		if (offsets[0] < offsets[1])
			code = follow_log(session, client, query, source, offsets);
	}
	return code;
}

/* Follows the positions of the partitions, not the clock: an event that is stored late, or carries
 * a time of last year, is shown when it is stored, once. */
static int search_follow(struct session *session, struct client *client, const char *query)
{
	struct json_object *before cleanup(session_json_done) = NULL;
	for (;;) {
		struct json_object *answer cleanup(session_json_done) = NULL;
		struct question question;
		question_init(&question, "GET", TEXT("/v1/sources"));
		int code = session_ask(session, client, &question, &answer);
		struct json_object *sources = code == EXIT_OK ? json_path(answer, "sources") : NULL;
		if (before != NULL && sources != NULL)
			code = follow_step(session, client, query, before, sources);
		if (code != EXIT_OK || ferror(session->output.to))
			return code;
		(void)json_object_put(before);
		before = sources == NULL ? NULL : json_object_get(sources);
		(void)sleep(FOLLOW_SECONDS);
	}
}

static int run_search(struct session *session)
{
	struct client *client cleanup(session_client_done) = NULL;
	struct bytes query cleanup(bytes_done) = {0};
	struct error err = {0};
	if (!query_of(session, &query))
		return session_fail(session, EXIT_INTERNAL, "out of memory");
	if (session_client(session, false, &client, &err) != OK)
		return session_fail_error(session, &err);
	const char *text = (const char *)query.data;
	return arguments_has(&session->arguments, "follow") ? search_follow(session, client, text)
							    : search_pages(session, client, text);
}

const struct command command_search = {
	.noun = "search",
	.words = "[QUERY]",
	.word_min = 0,
	.word_max = ARGUMENTS_MAX,
	.takes = TAKES_OUTPUT | TAKES_SERVER | TAKES_RANGE | TAKES_TENANT,
	.options = search_options,
	.summary = "stored events that a query holds for, or counts of them",
	.details = "The language is a part of Kibana's (docs/SEARCH.md):\n"
		   "  user.name: alice and not event.outcome: success\n"
		   "  source.ip: 10.0.0.0/8   http.response.status_code >= 500   trace.id: *\n"
		   "  event.action: (login or log*)   \"connection refused\"\n"
		   "Behind a |: count by FIELD, FIELD over 1h; top FIELD 20; histogram 5m\n",
	.examples = "  picket search 'user.name: alice and event.outcome: failure' --since 1d\n"
		    "  picket search 'event.action: login | top source.ip 20' --since 1h\n"
		    "  picket search -f 'log.level: error' --fields service.name,message\n",
	.run = run_search,
};
