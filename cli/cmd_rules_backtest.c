/* picket rules backtest */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/escape.h"
#include "cli/json_writer.h"
#include "cli/rule_loading.h"

enum { POLL_US = 200 * 1000, NUMBER_MAX = 24 };

static const struct option backtest_options[] = {
	{"against", 0, "PATH", "the rules as they were: tells what is kept, removed and added"},
	{"at-most", 0, "N", "end with 1 when a rule finds more than N alerts"},
	{"output", 'o', "FORMAT", "table, json, ndjson or junit"},
	{"color", 0, "WHEN", "auto, always or never (also: NO_COLOR)"},
	{0},
};

static const struct column rule_columns[] = {
	{"LEVEL", "level", CELL_LEVEL, COLUMN_WHOLE},
	{"ALERTS", "found.alerts", CELL_COUNT, COLUMN_WHOLE},
	{"TRUE", "found.true-positive", CELL_COUNT, COLUMN_WHOLE},
	{"FALSE", "found.false-positive", CELL_COUNT, COLUMN_WHOLE},
	{"UNJUDGED", "found.unjudged", CELL_COUNT, COLUMN_MINOR},
	{"RULE", "title", CELL_TEXT, COLUMN_CUT},
};

static const struct column change_columns[] = {
	{"BEFORE", "before.alerts", CELL_COUNT, COLUMN_WHOLE},
	{"NOW", "found.alerts", CELL_COUNT, COLUMN_WHOLE},
	{"ADDED", "added.alerts", CELL_COUNT, COLUMN_WHOLE},
	{"REMOVED", "removed.alerts", CELL_COUNT, COLUMN_WHOLE},
	{"OF THEM TRUE", "removed.true-positive", CELL_COUNT, COLUMN_WHOLE},
	{"FALSE", "removed.false-positive", CELL_COUNT, COLUMN_WHOLE},
	{"RULE", "title", CELL_TEXT, COLUMN_CUT},
};

static const struct column alert_columns[] = {
	{"LEVEL", "level", CELL_LEVEL, COLUMN_WHOLE},
	{"COUNT", "count", CELL_COUNT, COLUMN_WHOLE},
	{"FIRST", "first", CELL_TIME, COLUMN_WHOLE},
	{"TENANT", "tenant", CELL_TEXT, COLUMN_MINOR},
	{"VERDICT", "verdict", CELL_TEXT, COLUMN_MINOR},
	{"GROUP", "group", CELL_MAP, COLUMN_CUT},
	{"RULE", "title", CELL_TEXT, COLUMN_CUT},
};

/* {"rules": YAML, "old": YAML} of the words and --against; loaded here first, for the place of a
 * mistake in the user's own file. */
static int put_body(struct session *session, struct bytes *to)
{
	struct ruleset *ruleset cleanup(rule_loading_done) = NULL;
	struct bytes rules cleanup(bytes_done) = {0};
	struct bytes old cleanup(bytes_done) = {0};
	const char *against = arguments_get(&session->arguments, "against");
	struct ruleset_options options = {.paths = session->arguments.words,
					  .path_count = session->arguments.word_count};
	struct error err = {0};
	int code = load_rules(session, &options, &ruleset);
	if (code != EXIT_OK)
		return code;
	enum status status = ruleset_text(options.paths, options.path_count, &rules, &err);
	if (status == OK && against != NULL)
		status = ruleset_text(&against, 1, &old, &err);
	if (status != OK)
		return session_fail_error(session, &err);
	struct json_writer json = {.to = to};
	json_write_open(&json, NULL, '{');
	json_write_text(&json, "rules", bytes_text(&rules));
	if (against != NULL)
		json_write_text(&json, "old", bytes_text(&old));
	json_write_close(&json, '}');
	return to->failed ? session_fail(session, EXIT_INTERNAL, "out of memory") : EXIT_OK;
}

static int start_job(struct session *session, struct client *client, char number[static NUMBER_MAX])
{
	struct json_object *answer cleanup(session_json_done) = NULL;
	struct bytes body cleanup(bytes_done) = {0};
	struct question question;
	const struct arguments *arguments = &session->arguments;
	const char *since = arguments_get(arguments, "since");
	int code = put_body(session, &body);
	if (code != EXIT_OK)
		return code;
	question_init(&question, "POST", TEXT("/v1/rules/backtest"));
	question.request.body = bytes_text(&body);
	question_add(&question, "since", since == NULL ? "7d" : since);
	question_add(&question, "until", arguments_get(arguments, "until"));
	question_add(&question, "tenant", arguments_get(arguments, "tenant"));
	code = session_ask(session, client, &question, &answer);
	if (code == EXIT_OK)
		(void)snprintf(number, NUMBER_MAX, "%s", json_path_text(answer, "job"));
	return code;
}

static void show_progress(struct session *session, struct json_object *answer)
{
	if (session->quiet || isatty(STDERR_FILENO) == 0)
		return;
	(void)fprintf(session->problems, "\r%s events ...\033[K", json_path_text(answer, "events"));
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

static long too_many(struct json_object *rule, long at_most)
{
	long alerts = strtol(json_path_text(rule, "found.alerts"), NULL, 10);
	return at_most >= 0 && alerts > at_most ? alerts : 0;
}

static void print_junit(struct session *session, struct json_object *rules, long at_most)
{
	struct bytes xml cleanup(bytes_done) = {0};
	size_t count = json_object_array_length(rules);
	size_t failed = 0;
	for (size_t i = 0; i < count; i++)
		failed += too_many(json_object_array_get_idx(rules, i), at_most) > 0;
	(void)fprintf(session->output.to,
		      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"picket rules "
		      "backtest\" tests=\"%zu\" failures=\"%zu\">\n",
		      count, failed);
	for (size_t i = 0; i < count; i++) {
		struct json_object *rule = json_object_array_get_idx(rules, i);
		long alerts = too_many(rule, at_most);
		bytes_clear(&xml);
		xml_put(&xml, text_of(json_path_text(rule, "title")));
		(void)fprintf(session->output.to,
			      "  <testcase classname=\"backtest\" name=\"%.*s\"",
			      TEXT_ARG(bytes_text(&xml)));
		if (alerts > 0)
			(void)fprintf(
				session->output.to,
				"><failure message=\"%ld alerts, at most %ld\"/></testcase>\n",
				alerts, at_most);
		else
			(void)fputs("/>\n", session->output.to);
	}
	(void)fputs("</testsuite>\n", session->output.to);
}

static enum status print_alerts(struct session *session, struct json_object *report,
				const char *member, const char *heading, struct error *err)
{
	struct json_object *alerts = json_path(report, member);
	if (alerts == NULL || json_object_array_length(alerts) == 0)
		return OK;
	(void)fprintf(session->output.to, "\n%s\n", heading);
	return output_table(&session->output, alert_columns,
			    sizeof alert_columns / sizeof *alert_columns, alerts, err);
}

static int print_table(struct session *session, struct json_object *report)
{
	bool compared = arguments_has(&session->arguments, "against");
	const struct column *columns = compared ? change_columns : rule_columns;
	size_t count = compared ? sizeof change_columns / sizeof *change_columns
				: sizeof rule_columns / sizeof *rule_columns;
	struct error err = {0};
	enum status status =
		output_table(&session->output, columns, count, json_path(report, "rules"), &err);
	if (status == OK)
		status = print_alerts(session, report, "found", "found", &err);
	if (status == OK)
		status = print_alerts(session, report, "removed", "removed", &err);
	if (status == OK)
		status = print_alerts(session, report, "added", "added", &err);
	if (status != OK)
		return session_fail_error(session, &err);
	if (!session->quiet)
		(void)fprintf(session->problems, "\n%s events read\n",
			      json_path_text(report, "events"));
	return EXIT_OK;
}

static int print_report(struct session *session, struct json_object *report)
{
	const char *most = arguments_get(&session->arguments, "at-most");
	long at_most = most == NULL ? -1 : strtol(most, NULL, 10);
	struct json_object *rules = json_path(report, "rules");
	int code = EXIT_OK;
	if (session->output.format == OUTPUT_JUNIT)
		print_junit(session, rules, at_most);
	else if (session->output.format == OUTPUT_NDJSON)
		output_lines(&session->output, rules);
	else if (session->output.format == OUTPUT_JSON)
		output_json(&session->output, report);
	else
		code = print_table(session, report);
	for (size_t i = 0; i < json_object_array_length(rules); i++) {
		if (code == EXIT_OK && too_many(json_object_array_get_idx(rules, i), at_most) > 0)
			code = EXIT_NEGATIVE;
	}
	if (strcmp(json_path_text(report, "complete"), "true") == 0)
		return code;
	return session_fail(session, EXIT_INCOMPLETE, "the backtest is not complete: %s",
			    json_path_text(report, "problem"));
}

static int run_backtest(struct session *session)
{
	struct client *client cleanup(session_client_done) = NULL;
	struct json_object *answer cleanup(session_json_done) = NULL;
	struct error err = {0};
	char number[NUMBER_MAX];
	const char *most = arguments_get(&session->arguments, "at-most");
	if (most != NULL && (most[0] == '\0' || most[strspn(most, "0123456789")] != '\0'))
		return session_fail(session, EXIT_USAGE, "--at-most %s is not a number", most);
	if (session_client(session, false, &client, &err) != OK)
		return session_fail_error(session, &err);
	int code = start_job(session, client, number);
	if (code == EXIT_OK)
		code = await_job(session, client, number, &answer);
	if (code != EXIT_OK)
		return code;
	if (strcmp(json_path_text(answer, "state"), "done") != 0)
		return session_fail(session, EXIT_INTERNAL, "the backtest failed: %s",
				    json_path_text(answer, "problem"));
	return print_report(session, json_path(answer, "report"));
}

const struct command command_rules_backtest = {
	.noun = "rules",
	.verb = "backtest",
	.words = "PATH...",
	.word_min = 1,
	.word_max = ARGUMENTS_MAX,
	.takes = TAKES_SERVER | TAKES_RANGE | TAKES_TENANT,
	.options = backtest_options,
	.summary = "what rules would have found in the stored events",
	.details =
		"The rules run over the events of the last 7 days (--since) in the daemon, at the\n"
		"lowest priority, through the engine they would run in live. With --against the old\n"
		"rules run beside them, and every alert is told that they gain or lose, with what\n"
		"people closed it as. Rules that need --list or -p cannot be tried this way yet.\n",
	.examples = "  picket rules backtest my-rule.yml --since 30d\n"
		    "  picket rules backtest new/ --against old/ -o junit --at-most 20\n",
	.run = run_backtest,
};
