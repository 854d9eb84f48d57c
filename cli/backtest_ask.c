#include "cli/backtest_ask.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/json_writer.h"
#include "cli/rule_loading.h"

enum { POLL_US = 200 * 1000, NUMBER_MAX = 24, PROGRESS_CELLS = 32 };

static enum status put_text(void *context, const struct rule_text *text)
{
	struct json_writer *json = context;
	json_write_open(json, NULL, '{');
	json_write_text(json, "name", text->name);
	json_write_text(json, "text", text->text);
	json_write_close(json, '}');
	return bytes_status(json->to);
}

/* The lists of --list and the pipelines of -p: the daemon does not have these files. */
static int put_supplies(struct session *session, struct json_writer *json)
{
	struct ruleset_options options = {0};
	const char **lists = NULL, **pipelines = NULL;
	struct error err = {0};
	enum status status = collect_paths(session, "list", &lists, &options.list_count);
	if (status == OK)
		status = collect_paths(session, "pipeline", &pipelines, &options.pipeline_count);
	options.lists = lists;
	options.pipelines = pipelines;
	json_write_open(json, "lists", '[');
	if (status == OK)
		status = ruleset_lists_visit(&options, put_text, json, &err);
	json_write_close(json, ']');
	json_write_open(json, "pipelines", '[');
	if (status == OK)
		status = ruleset_pipelines_visit(&options, put_text, json, &err);
	json_write_close(json, ']');
	free(lists);
	free(pipelines);
	return status == OK ? EXIT_OK : session_fail_error(session, &err);
}

static int start_job(struct session *session, struct client *client, struct text rules,
		     struct text old, char number[static NUMBER_MAX])
{
	struct json_object *answer cleanup(session_json_done) = NULL;
	struct bytes body cleanup(bytes_done) = {0};
	struct question question;
	const struct arguments *arguments = &session->arguments;
	const char *since = arguments_get(arguments, "since");
	struct json_writer json = {.to = &body};
	json_write_open(&json, NULL, '{');
	json_write_text(&json, "rules", rules);
	if (old.size > 0)
		json_write_text(&json, "old", old);
	int code = put_supplies(session, &json);
	json_write_close(&json, '}');
	if (code != EXIT_OK)
		return code;
	if (body.failed)
		return session_fail(session, EXIT_INTERNAL, "out of memory");
	question_init(&question, "POST", TEXT("/v1/rules/backtest"));
	question.request.body = bytes_text(&body);
	question_add(&question, "since", since == NULL ? "7d" : since);
	question_add(&question, "until", arguments_get(arguments, "until"));
	question_add(&question, "tenant", arguments_get(arguments, "tenant"));
	question_add(&question, "limit", arguments_get(arguments, "limit"));
	code = session_ask(session, client, &question, &answer);
	if (code == EXIT_OK)
		(void)snprintf(number, NUMBER_MAX, "%s", json_path_text(answer, "job"));
	return code;
}

static void show_progress(struct session *session, struct json_object *answer)
{
	if (session->quiet || isatty(STDERR_FILENO) == 0)
		return;
	char bar[PROGRESS_CELLS + 1] = {0};
	double events = strtod(json_path_text(answer, "events"), NULL);
	double estimate = strtod(json_path_text(answer, "estimate"), NULL);
	double done = estimate <= 0 ? 0 : events >= estimate ? 1 : events / estimate;
	memset(bar, ' ', PROGRESS_CELLS);
	memset(bar, '#', (size_t)(done * PROGRESS_CELLS));
	(void)fprintf(session->problems, "\r[%s] %3.0f %%  %.0f of %.0f events\033[K", bar,
		      done * 100, events, estimate);
	(void)fflush(session->problems);
}

static void clear_progress(struct session *session)
{
	if (!session->quiet && isatty(STDERR_FILENO) != 0)
		(void)fputs("\r\033[K", session->problems);
}

/* Asks until the job is over; *ret_answer holds its report. */
static int await_job(struct session *session, struct client *client, const char *number,
		     struct json_object **ret_answer)
{
	for (;;) {
		struct json_object *answer = NULL;
		struct question question;
		question_init(&question, "GET", TEXT("/v1/rules/backtest"));
		question_add(&question, "job", number);
		int code = session_ask(session, client, &question, &answer);
		if (code != EXIT_OK)
			return code;
		if (strcmp(json_path_text(answer, "state"), "running") != 0) {
			clear_progress(session);
			*ret_answer = answer;
			return EXIT_OK;
		}
		show_progress(session, answer);
		(void)json_object_put(answer);
		(void)usleep(POLL_US);
	}
}

int backtest_ask(struct session *session, struct client *client, struct text rules, struct text old,
		 struct json_object **ret_report)
{
	struct json_object *answer cleanup(session_json_done) = NULL;
	char number[NUMBER_MAX];
	int code = start_job(session, client, rules, old, number);
	if (code == EXIT_OK)
		code = await_job(session, client, number, &answer);
	if (code != EXIT_OK)
		return code;
	if (strcmp(json_path_text(answer, "state"), "done") != 0)
		return session_fail(session, EXIT_INTERNAL, "the backtest failed: %s",
				    json_path_text(answer, "problem"));
	*ret_report = json_object_get(json_path(answer, "report"));
	return EXIT_OK;
}
