/* picket receivers list|test|retry */
#include <string.h>

#include "cli/command.h"

static const struct column receiver_columns[] = {
	{"RECEIVER", "name", CELL_TEXT, COLUMN_WHOLE},
	{"STATE", "state", CELL_TEXT, COLUMN_WHOLE},
	{"SENT", "sent", CELL_COUNT, COLUMN_WHOLE},
	{"PENDING", "pending", CELL_COUNT, COLUMN_WHOLE},
	{"UNDELIVERED", "undelivered", CELL_COUNT, COLUMN_WHOLE},
	{"SKIPPED", "skipped", CELL_COUNT, COLUMN_MINOR},
	{"LAST SENT", "last_sent", CELL_TIME, COLUMN_MINOR},
	{"PROBLEM", "problem", CELL_TEXT, COLUMN_CUT},
};

static const struct column undelivered_columns[] = {
	{"RECEIVER", "receiver", CELL_TEXT, COLUMN_WHOLE},
	{"ALERT", "alert_id", CELL_ID, COLUMN_WHOLE},
	{"TIME", "time", CELL_TIME, COLUMN_MINOR},
	{"REASON", "reason", CELL_TEXT, COLUMN_CUT},
};

static int run_list(struct session *session)
{
	struct question question;
	question_init(&question, "GET", TEXT("/v1/receivers"));
	question_add_common(&question, session);
	bool undelivered = arguments_has(&session->arguments, "undelivered");
	return session_list(
		session,
		&(struct listing){&question, undelivered ? "undelivered" : "receivers",
				  undelivered ? undelivered_columns : receiver_columns,
				  undelivered ? sizeof undelivered_columns / sizeof(struct column)
					      : sizeof receiver_columns / sizeof(struct column),
				  undelivered ? "every alert was taken"
					      : "nobody is told of alerts; see receivers in "
						"docs/CONFIG.md"});
}

static const struct option list_options[] = {
	{"undelivered", 0, NULL, "the alerts that a receiver would not take, and why"},
	{"limit", 0, "N", "at most so many undelivered alerts (default 100)"},
	{0},
};

const struct command command_receivers_list = {
	.noun = "receivers",
	.verb = "list",
	.words = "",
	.takes = TAKES_OUTPUT | TAKES_SERVER | TAKES_WATCH,
	.options = list_options,
	.summary = "who is told of alerts, and how far each has heard",
	.details = "",
	.examples = "  picket receivers list\n  picket receivers list --undelivered\n",
	.run = run_list,
};

static int act(struct session *session, const char *verb, struct json_object **ret_answer)
{
	struct client *client cleanup(session_client_done) = NULL;
	struct error err = {0};
	struct question question;
	char path[128];
	if (arguments_has(&session->arguments, "data"))
		return session_fail(session, EXIT_USAGE,
				    "receivers are served by the daemon; --data only reads");
	if (session_client(session, false, &client, &err) != OK)
		return session_fail_error(session, &err);
	(void)snprintf(path, sizeof path, "/v1/receivers/%.64s/%s", session->arguments.words[0],
		       verb);
	question_init(&question, "POST", text_of(path));
	question.request.body = TEXT("{}");
	question_add_common(&question, session);
	return session_ask(session, client, &question, ret_answer);
}

static int run_test(struct session *session)
{
	struct json_object *answer cleanup(session_json_done) = NULL;
	int code = act(session, "test", &answer);
	if (code != EXIT_OK)
		return code;
	bool delivered = strcmp(json_path_text(answer, "delivered"), "true") == 0;
	if (session->output.format != OUTPUT_TABLE) {
		output_json(&session->output, answer);
	} else if (delivered) {
		(void)fprintf(session->output.to, "delivered (HTTP %s)\n",
			      json_path_text(answer, "http_status"));
	} else {
		(void)fputs("not delivered: ", session->output.to);
		if (strcmp(json_path_text(answer, "http_status"), "0") != 0)
			(void)fprintf(session->output.to, "HTTP %s ",
				      json_path_text(answer, "http_status"));
		output_text(session->output.to, json_path_text(answer, "problem"));
		(void)fputs("\n", session->output.to);
	}
	return delivered ? EXIT_OK : EXIT_NEGATIVE;
}

const struct command command_receivers_test = {
	.noun = "receivers",
	.verb = "test",
	.words = "NAME",
	.word_min = 1,
	.word_max = 1,
	.takes = TAKES_OUTPUT | TAKES_SERVER,
	.summary = "send one test message, now",
	.details = "NAME is alertmanager or webhook. The message says that it is a test and is\n"
		   "resolved already. Exit code 1 when it was not taken.\n",
	.examples = "  picket receivers test alertmanager\n",
	.run = run_test,
};

static int run_retry(struct session *session)
{
	struct json_object *answer cleanup(session_json_done) = NULL;
	int code = act(session, "retry", &answer);
	if (code != EXIT_OK)
		return code;
	if (session->output.format != OUTPUT_TABLE)
		output_json(&session->output, answer);
	else if (!session->quiet)
		(void)fprintf(session->output.to, "%s undelivered alerts are tried once more\n",
			      json_path_text(answer, "again"));
	return EXIT_OK;
}

const struct command command_receivers_retry = {
	.noun = "receivers",
	.verb = "retry",
	.words = "NAME",
	.word_min = 1,
	.word_max = 1,
	.takes = TAKES_OUTPUT | TAKES_SERVER,
	.summary = "try once more what a receiver would not take",
	.details = "",
	.examples = "  picket receivers list --undelivered\n  picket receivers retry webhook\n",
	.run = run_retry,
};
