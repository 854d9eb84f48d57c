/* picket alerts list|show|ack|assign|close|reopen */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/json_writer.h"

static const struct option list_options[] = {
	{"state", 0, "STATE", "active (default), all, open, ended, merged, new, acked, closed"},
	{"level", 0, "LEVEL", "this level and above: low, medium, high, critical"},
	{"rule", 0, "RULE", "only of this rule (id or name)"},
	{0},
};

static const struct column list_columns[] = {
	{"ID", "alert_id", CELL_ID, COLUMN_WHOLE},
	{"LEVEL", "rule.level", CELL_LEVEL, COLUMN_WHOLE},
	{"STATE", "state", CELL_STATE, COLUMN_WHOLE},
	{"HANDLING", "handling.state", CELL_TEXT, COLUMN_MINOR},
	{"ASSIGNEE", "handling.assignee", CELL_TEXT, COLUMN_MINOR},
	{"COUNT", "count", CELL_COUNT, COLUMN_WHOLE},
	{"FIRST", "first", CELL_TIME, COLUMN_MINOR},
	{"LAST", "last", CELL_TIME, COLUMN_WHOLE},
	{"TENANT", "tenant", CELL_TEXT, COLUMN_MINOR},
	{"RULE", "rule.title", CELL_TEXT, COLUMN_CUT},
	{"GROUP", "group", CELL_MAP, COLUMN_CUT},
};

static int run_list(struct session *session)
{
	bool of_rule = arguments_has(&session->arguments, "rule");
	struct question question;
	question_init(&question, "GET", TEXT("/v1/alerts"));
	question_add_common(&question, session);
	for (const struct option *option = list_options; option->name != NULL; option++)
		question_add(&question, option->name,
			     arguments_get(&session->arguments, option->name));
	return session_list(
		session, &(struct listing){
				 &question, "alerts", list_columns,
				 sizeof list_columns / sizeof *list_columns,
				 of_rule ? "no alert fits (try --state all; is it the rule's id or "
					   "name? see picket rules list)"
					 : "no alert fits (try --state all); see also: picket "
					   "status"});
}

const struct command command_alerts_list = {
	.noun = "alerts",
	.verb = "list",
	.words = "",
	.takes = TAKES_OUTPUT | TAKES_SERVER | TAKES_WATCH | TAKES_RANGE | TAKES_TENANT,
	.options = list_options,
	.summary = "what was found, newest first",
	.details =
		"One line is one episode: it grows while its events go on, and ends when they\n"
		"have stopped for as long as the rule's window. Merged and closed alerts are left out\n"
		"unless --state asks for them.\n",
	.examples = "  picket alerts list --level high --since 1h\n"
		    "  picket alerts list --state new -w\n"
		    "  picket alerts list -o ndjson | jq .rule.title\n",
	.run = run_list,
};

static const struct column show_columns[] = {
	{"alert", "alert_id", CELL_TEXT, false},
	{"rule", "rule.title", CELL_TEXT, false},
	{"rule id", "rule.id", CELL_TEXT, false},
	{"about", "about.description", CELL_TEXT, false},
	{"tags", "about.tags", CELL_LIST, false},
	{"level", "rule.level", CELL_TEXT, false},
	{"state", "state", CELL_TEXT, false},
	{"merged into", "merged_into", CELL_TEXT, false},
	{"handling", "handling.state", CELL_TEXT, false},
	{"assigned to", "handling.assignee", CELL_TEXT, false},
	{"verdict", "handling.verdict", CELL_TEXT, false},
	{"reason", "reason", CELL_TEXT, false},
	{"tenant", "tenant", CELL_TEXT, false},
	{"group", "group", CELL_MAP, false},
	{"count", "count", CELL_TEXT, false},
	{"threshold", "threshold", CELL_TEXT, false},
	{"first event", "first", CELL_TIME, false},
	{"last event", "last", CELL_TIME, false},
	{"revision", "revision", CELL_TEXT, false},
	{"flags", "flags", CELL_LIST, false},
};

static const struct column event_columns[] = {
	{"TIME", "time", CELL_TIME, false},
	{"TOPIC", "topic", CELL_TEXT, COLUMN_WHOLE},
	{"PARTITION", "partition", CELL_COUNT, false},
	{"OFFSET", "offset", CELL_COUNT, false},
	{"INDEX", "index", CELL_COUNT, false},
	{"CONTEXT", "context", CELL_MAP, COLUMN_CUT},
};

static const struct column action_columns[] = {
	{"TIME", "time", CELL_TIME, false},     {"WHO", "who", CELL_TEXT, false},
	{"ACTION", "action", CELL_TEXT, false}, {"AS", "as", CELL_TEXT, false},
	{"NOTE", "note", CELL_TEXT, true},
};

/* A value that may stand in a command line as it is: it comes from logs. */
static bool is_plain(const char *value)
{
	return value[0] != '\0' && value[0] != '-' &&
	       value[strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				   "._@:+-")] == '\0';
}

/* What to run next: who it is, what the rule looks for, and what may be done. */
static void print_next(FILE *to, struct json_object *alert)
{
	static const char *const entities[][2] = {
		{"user.id", "user"},     {"picket.identity.user", "user"},
		{"source.ip", "ip"},     {"picket.identity.source", "ip"},
		{"session.id", "token"}, {"service.name", "service"},
	};
	const char *id = json_path_text(alert, "alert_id");
	const char *rule = json_path_text(alert, "rule.id");
	const char *tenant = json_path_text(alert, "tenant");
	size_t shown = 0;
	(void)fputs("\nnext:\n", to);
	for (size_t i = 0; shown < 2 && i < sizeof entities / sizeof *entities; i++) {
		const char *value = json_alert_field(alert, entities[i][0]);
		if (value == NULL || !is_plain(value))
			continue;
		(void)fprintf(to, "  picket entity %s:%s", entities[i][1], value);
		if (is_plain(tenant))
			(void)fprintf(to, " --tenant %s", tenant);
		(void)fputc('\n', to);
		shown++;
	}
	if (is_plain(rule))
		(void)fprintf(to, "  picket rules show %s\n", rule);
	(void)fprintf(to,
		      "  picket alerts ack %.12s\n  picket alerts close %.12s --as true-positive "
		      "--note WHY    (or false-positive, benign)\n",
		      id, id);
}

static enum status print_alert(struct session *session, struct json_object *alert,
			       struct error *err)
{
	FILE *to = session->output.to;
	struct json_object *events = json_path(alert, "events");
	struct json_object *actions = json_path(alert, "handling.actions");
	if (strcmp(json_path_text(alert, "threshold"), "0") == 0) /* the type has none */
		json_object_object_del(alert, "threshold");
	enum status status = output_fields(&session->output, show_columns,
					   sizeof show_columns / sizeof *show_columns, alert, err);
	if (status == OK && events != NULL) {
		(void)fputs(
			"\nevidence (first and last; picket events show TOPIC/PARTITION/OFFSET)\n",
			to);
		status = output_table(&session->output, event_columns,
				      sizeof event_columns / sizeof *event_columns, events, err);
	}
	if (status == OK && actions != NULL && json_object_array_length(actions) > 0) {
		(void)fputs("\nwhat people did\n", to);
		status = output_table(&session->output, action_columns,
				      sizeof action_columns / sizeof *action_columns, actions, err);
	}
	bool closed = strcmp(json_path_text(alert, "handling.state"), "closed") == 0;
	(void)fflush(to); /* what comes next stands below */
	if (status == OK && !session->quiet && !closed)
		print_next(session->problems, alert);
	return status;
}

static int print_answer(struct session *session, struct json_object *alert)
{
	struct error err = {0};
	if (session->output.format != OUTPUT_TABLE)
		output_json(&session->output, alert);
	else if (print_alert(session, alert, &err) != OK)
		return session_fail_error(session, &err);
	return EXIT_OK;
}

/* /v1/alerts/ID[/verb] */
static struct text alert_path(const char *id, const char *verb, char *buffer, size_t size)
{
	int length =
		snprintf(buffer, size, "/v1/alerts/%s%s%s", id, verb[0] == '\0' ? "" : "/", verb);
	assert(length > 0);
	return (struct text){buffer, (size_t)length < size ? (size_t)length : size - 1};
}

static int run_show(struct session *session)
{
	struct client *client cleanup(session_client_done) = NULL;
	struct error err = {0};
	if (session_client(session, false, &client, &err) != OK)
		return session_fail_error(session, &err);
	for (size_t i = 0; i < session->arguments.word_count; i++) {
		struct json_object *alert cleanup(session_json_done) = NULL;
		struct question question;
		char path[256];
		question_init(&question, "GET",
			      alert_path(session->arguments.words[i], "", path, sizeof path));
		question_add_common(&question, session);
		int code = session_ask(session, client, &question, &alert);
		if (code == EXIT_OK)
			code = print_answer(session, alert);
		if (code != EXIT_OK)
			return code;
	}
	return EXIT_OK;
}

const struct command command_alerts_show = {
	.noun = "alerts",
	.verb = "show",
	.words = "ID...",
	.word_min = 1,
	.word_max = ARGUMENTS_MAX,
	.takes = TAKES_OUTPUT | TAKES_SERVER | TAKES_TENANT,
	.summary = "one alert: why, which events, what was done",
	.details =
		"An ID may be shortened to its first digits, at least four, while only one fits.\n",
	.examples = "  picket alerts show 3f9c\n  picket alerts show 3f9c2a -o json\n",
	.run = run_show,
};

#define WHO_AND_NOTE                                                     \
	{"note", 0, "TEXT", "why"},                                      \
	{                                                                \
		"who", 0, "NAME", "who did it (default: your user name)" \
	}

static const struct option act_options[] = {WHO_AND_NOTE, {0}};

static const struct option close_options[] = {
	{"as", 0, "WORD", "what it was: true-positive, false-positive, benign, duplicate, test"},
	WHO_AND_NOTE,
	{0},
};

static const struct option assign_options[] = {
	{"to", 0, "NAME", "to whom (default: yourself)"},
	WHO_AND_NOTE,
	{0},
};

/* {"who","note","as"} as the options say. */
static void put_body(const struct session *session, struct bytes *to)
{
	const char *user = session->environment.user;
	const char *who = arguments_get(&session->arguments, "who");
	const char *note = arguments_get(&session->arguments, "note");
	const char *as = NULL;
	if (session->command->options == close_options)
		as = arguments_get(&session->arguments, "as");
	if (session->command->options == assign_options)
		as = arguments_get(&session->arguments, "to");
	if (session->command->options == assign_options && as == NULL)
		as = user;
	struct json_writer json = {.to = to};
	json_write_open(&json, NULL, '{');
	json_write_string(&json, "who", who == NULL ? user : who);
	json_write_string(&json, "note", note == NULL ? "" : note);
	json_write_string(&json, "as", as == NULL ? "" : as);
	json_write_close(&json, '}');
}

/* What it was closed as before, when nobody has reopened it since; "" = it was not closed. */
static const char *verdict_before(struct json_object *alert)
{
	struct json_object *actions = json_path(alert, "handling.actions");
	size_t count = actions == NULL ? 0 : json_object_array_length(actions);
	for (size_t i = count < 2 ? 0 : count - 1; i-- > 0;) {
		struct json_object *one = json_object_array_get_idx(actions, i);
		const char *action = json_path_text(one, "action");
		if (strcmp(action, "reopen") == 0)
			break;
		if (strcmp(action, "close") == 0)
			return json_path_text(one, "as");
	}
	return "";
}

/* "... is closed as benign (it was true-positive)" */
static void print_done(const struct session *session, struct json_object *alert)
{
	const struct output *output = &session->output;
	output_text(output->to, json_path_text(alert, "alert_id"));
	output_text(output->to, " is ");
	output_text(output->to, json_path_text(alert, "handling.state"));
	if (session->command->options == assign_options) {
		output_text(output->to, ", with ");
		output_text(output->to, json_path_text(alert, "handling.assignee"));
	}
	if (session->command->options == close_options) {
		const char *now = json_path_text(alert, "handling.verdict");
		const char *before = verdict_before(alert);
		output_text(output->to, " as ");
		output_text(output->to, now);
		if (before[0] != '\0' && strcmp(before, now) != 0) {
			output_text(output->to, " (it was ");
			output_text(output->to, before);
			output_text(output->to, ")");
		}
	}
	output_text(output->to, "\n");
}

static int act_on(struct session *session, struct client *client, const char *id, struct text body)
{
	struct json_object *alert cleanup(session_json_done) = NULL;
	struct question question;
	char path[256];
	question_init(&question, "POST", alert_path(id, session->command->verb, path, sizeof path));
	question.request.body = body;
	question_add_common(&question, session);
	int code = session_ask(session, client, &question, &alert);
	if (code != EXIT_OK)
		return code;
	if (session->output.format != OUTPUT_TABLE)
		output_json(&session->output, alert);
	else if (!session->quiet)
		print_done(session, alert);
	return EXIT_OK;
}

static int run_act(struct session *session)
{
	struct client *client cleanup(session_client_done) = NULL;
	struct error err = {0};
	struct bytes body = {0};
	if (session->command->options == close_options && !arguments_has(&session->arguments, "as"))
		return session_fail(session, EXIT_USAGE,
				    "close says what it was: --as true-positive, false-positive, "
				    "benign, duplicate or test");
	const char *to = arguments_get(&session->arguments, "to");
	if (session->command->options == assign_options && to != NULL && *to == '\0')
		return session_fail(session, EXIT_USAGE, "assign says to whom: --to NAME");
	if (arguments_has(&session->arguments, "data"))
		return session_fail(session, EXIT_USAGE,
				    "what people do with alerts goes through the "
				    "daemon; --data only reads");
	if (session_client(session, false, &client, &err) != OK)
		return session_fail_error(session, &err);
	put_body(session, &body);
	int code = EXIT_OK;
	for (size_t i = 0; code == EXIT_OK && i < session->arguments.word_count; i++)
		code = act_on(session, client, session->arguments.words[i], bytes_text(&body));
	bytes_done(&body);
	return code;
}

const struct command command_alerts_ack = {
	.noun = "alerts",
	.verb = "ack",
	.words = "ID...",
	.word_min = 1,
	.word_max = ARGUMENTS_MAX,
	.takes = TAKES_OUTPUT | TAKES_SERVER | TAKES_TENANT,
	.options = act_options,
	.summary = "say that somebody looks at it",
	.details = "",
	.examples = "  picket alerts ack 3f9c --note \"calling the customer\"\n",
	.run = run_act,
};

const struct command command_alerts_assign = {
	.noun = "alerts",
	.verb = "assign",
	.words = "ID...",
	.word_min = 1,
	.word_max = ARGUMENTS_MAX,
	.takes = TAKES_OUTPUT | TAKES_SERVER | TAKES_TENANT,
	.options = assign_options,
	.summary = "give it to somebody",
	.details = "",
	.examples = "  picket alerts assign 3f9c\n  picket alerts assign 3f9c --to bob\n",
	.run = run_act,
};

const struct command command_alerts_close = {
	.noun = "alerts",
	.verb = "close",
	.words = "ID...",
	.word_min = 1,
	.word_max = ARGUMENTS_MAX,
	.takes = TAKES_OUTPUT | TAKES_SERVER | TAKES_TENANT,
	.options = close_options,
	.summary = "say that it is done, and what it was",
	.details = "What it was counts: picket rules list shows how often a rule was right.\n",
	.examples = "  picket alerts close 3f9c --as false-positive --note \"load test\"\n",
	.run = run_act,
};

const struct command command_alerts_reopen = {
	.noun = "alerts",
	.verb = "reopen",
	.words = "ID...",
	.word_min = 1,
	.word_max = ARGUMENTS_MAX,
	.takes = TAKES_OUTPUT | TAKES_SERVER | TAKES_TENANT,
	.options = act_options,
	.summary = "take back that it is done",
	.details = "",
	.examples = "  picket alerts reopen 3f9c --note \"it goes on\"\n",
	.run = run_act,
};
