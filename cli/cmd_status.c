/* picket status, picket sources list|seek, picket services, picket version */
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/json_writer.h"

static const struct column status_columns[] = {
	{"started", "started", CELL_TIME, false},
	{"committed", "committed", CELL_TIME, false},
	{"  epoch", "epoch", CELL_TEXT, false},
	{"complete up to", "watermark", CELL_TIME, false},
	{"records", "records.consumed", CELL_TEXT, false},
	{"  stored", "records.stored", CELL_TEXT, false},
	{"  quarantined", "records.quarantined", CELL_TEXT, false},
	{"  late", "records.late", CELL_TEXT, false},
	{"  lost to retention", "records.lost_to_retention", CELL_TEXT, false},
	{"alerts", "alerts.total", CELL_TEXT, false},
	{"  still open", "alerts.open", CELL_TEXT, false},
	{"  since the start", "correlation.alerts_opened", CELL_TEXT, false},
	{"partitions", "sources.partitions", CELL_TEXT, false},
	{"  stalled", "sources.stalled", CELL_TEXT, false},
	{"  messages to read", "sources.lag", CELL_TEXT, false},
	{"rules", "rules.loaded", CELL_TEXT, false},
	{"  skipped", "rules.skipped", CELL_TEXT, false},
	{"  undecided", "correlation.undecided", CELL_TEXT, false},
	{"groups remembered", "correlation.cells", CELL_TEXT, false},
	{"store", "store_bytes", CELL_BYTES, false},
};

/* The first line says whether a person must do something, the next ones what. */
static void print_problems(FILE *to, struct json_object *answer)
{
	struct json_object *problems = json_path(answer, "problems");
	size_t count = problems == NULL ? 0 : json_object_array_length(problems);
	const char *state = json_path_text(answer, "state");
	output_text(to, "picket ");
	output_text(to, json_path_text(answer, "version"));
	output_text(to, strcmp(state, "offline") == 0
				? ": no daemon asked, the store as it was left"
				: " is ");
	output_text(to, strcmp(state, "offline") == 0 ? "" : state);
	output_text(to, count == 0 ? "; nothing is wrong\n" : "; this is wrong:\n");
	for (size_t i = 0; i < count; i++) {
		output_text(to, "  - ");
		output_text(to, json_object_get_string(json_object_array_get_idx(problems, i)));
		output_text(to, "\n");
	}
	output_text(to, "\n");
}

static int print_status(struct session *session, struct json_object *answer)
{
	struct error err = {0};
	if (session->output.format != OUTPUT_TABLE) {
		output_json(&session->output, answer);
		return EXIT_OK;
	}
	print_problems(session->output.to, answer);
	if (output_fields(&session->output, status_columns,
			  sizeof status_columns / sizeof *status_columns, answer, &err) != OK)
		return session_fail_error(session, &err);
	return EXIT_OK;
}

static const struct option status_options[] = {
	{"state", 0, NULL, "what rules remember, by rule and tenant, and the largest groups"},
	{"group", 0, "TEXT", "with --state: groups of which a value contains this"},
	{"top", 0, "N", "with --state: so many groups, 20 by default"},
	{0},
};

static const struct column state_columns[] = {
	{"RULE", "title", CELL_TEXT, COLUMN_CUT},
	{"TENANT", "tenant", CELL_TEXT, COLUMN_WHOLE},
	{"GROUPS", "groups", CELL_COUNT, COLUMN_WHOLE},
	{"BYTES", "bytes", CELL_BYTES, COLUMN_WHOLE},
	{"EVENTS", "events", CELL_COUNT, COLUMN_MINOR},
	{"OLDEST", "oldest", CELL_TIME, COLUMN_WHOLE},
	{"REFUSED", "refused", CELL_TEXT, COLUMN_WHOLE},
};

static const struct column state_group_columns[] = {
	{"RULE", "title", CELL_TEXT, COLUMN_CUT},
	{"TENANT", "tenant", CELL_TEXT, COLUMN_WHOLE},
	{"GROUP", "group", CELL_MAP, COLUMN_WHOLE},
	{"BYTES", "bytes", CELL_BYTES, COLUMN_WHOLE},
	{"EVENTS", "events", CELL_COUNT, COLUMN_MINOR},
	{"OLDEST", "oldest", CELL_TIME, COLUMN_WHOLE},
};

/* Both lists come in one answer; as JSON it is printed as it is. */
static int run_state(struct session *session)
{
	struct client *client cleanup(session_client_done) = NULL;
	struct json_object *answer cleanup(session_json_done) = NULL;
	struct question question;
	struct error err = {0};
	const char *top = arguments_get(&session->arguments, "top");
	if (session_client(session, false, &client, &err) != OK)
		return session_fail_error(session, &err);
	question_init(&question, "GET", TEXT("/v1/state"));
	question_add(&question, "rule",
		     session->arguments.word_count > 0 ? session->arguments.words[0] : NULL);
	question_add(&question, "group", arguments_get(&session->arguments, "group"));
	question_add(&question, "limit", top == NULL ? "20" : top);
	int code = session_ask(session, client, &question, &answer);
	if (code != EXIT_OK)
		return code;
	if (session->output.format != OUTPUT_TABLE) {
		output_json(&session->output, answer);
		return EXIT_OK;
	}
	struct json_object *rules = json_path(answer, "rules");
	if (rules == NULL || json_object_array_length(rules) == 0) {
		output_text(session->output.to, "no group was remembered at the last checkpoint\n");
		return EXIT_OK;
	}
	if (output_table(&session->output, state_columns,
			 sizeof state_columns / sizeof *state_columns, rules, &err) != OK)
		return session_fail_error(session, &err);
	output_text(session->output.to, "\n");
	if (output_table(&session->output, state_group_columns,
			 sizeof state_group_columns / sizeof *state_group_columns,
			 json_path(answer, "groups"), &err) != OK)
		return session_fail_error(session, &err);
	return EXIT_OK;
}

static int run_status(struct session *session)
{
	bool state = arguments_has(&session->arguments, "state");
	if (!state &&
	    (session->arguments.word_count > 0 || arguments_has(&session->arguments, "group") ||
	     arguments_has(&session->arguments, "top")))
		return session_fail(session, EXIT_USAGE, "RULE, --group and --top go with --state");
	if (state)
		return run_state(session);
	struct client *client cleanup(session_client_done) = NULL;
	struct question question;
	struct error err = {0};
	if (session_client(session, false, &client, &err) != OK)
		return session_fail_error(session, &err);
	question_init(&question, "GET", TEXT("/v1/status"));
	for (;;) {
		struct json_object *answer cleanup(session_json_done) = NULL;
		int code = session_ask(session, client, &question, &answer);
		if (code != EXIT_OK)
			return code;
		session_clear(session);
		code = print_status(session, answer);
		if (!session_again(session, code))
			return code;
	}
}

const struct command command_status = {
	.noun = "status",
	.words = "[RULE]",
	.word_max = 1,
	.options = status_options,
	.takes = TAKES_OUTPUT | TAKES_SERVER | TAKES_WATCH,
	.summary = "what the daemon is doing, and what is wrong",
	.details =
		"Says first what is wrong. Records = stored + quarantined, always; what is late is\n"
		"stored too. Alerts are those of the store, and those opened since the daemon\n"
		"started. --state tells what the rules remember, as of the last checkpoint.\n",
	.examples =
		"  picket status\n  picket status --state\n  picket status --state "
		"brute_force --group alice\n  picket status --data /var/lib/picket   (no daemon runs)\n",
	.run = run_status,
};

static const struct column source_columns[] = {
	{"TOPIC", "topic", CELL_TEXT, COLUMN_WHOLE},
	{"PARTITION", "partition", CELL_COUNT, COLUMN_WHOLE},
	{"STATE", "state", CELL_STATE, COLUMN_WHOLE},
	{"NEXT", "next_offset", CELL_COUNT, COLUMN_MINOR},
	{"END", "end_offset", CELL_COUNT, COLUMN_MINOR},
	{"LAG", "lag", CELL_COUNT, COLUMN_WHOLE},
	{"WATERMARK", "watermark", CELL_TIME, COLUMN_WHOLE},
	{"CONSUMED", "consumed", CELL_COUNT, COLUMN_MINOR},
	{"STORED", "stored", CELL_COUNT, COLUMN_MINOR},
	{"QUARANTINED", "quarantined", CELL_COUNT, COLUMN_WHOLE},
	{"LATE", "late", CELL_COUNT, COLUMN_WHOLE},
	{"LOST", "lost_to_retention", CELL_COUNT, COLUMN_WHOLE},
	{"JUMPED", "jumped_at", CELL_TIME, COLUMN_MINOR},
	{"FORMATS", "formats", CELL_MAP, COLUMN_CUT},
};

static int run_sources_list(struct session *session)
{
	struct question question;
	question_init(&question, "GET", TEXT("/v1/sources"));
	return session_list(
		session, &(struct listing){&question, "sources", source_columns,
					   sizeof source_columns / sizeof *source_columns,
					   "no partition has been read yet; see: picket status"});
}

const struct command command_sources_list = {
	.noun = "sources",
	.verb = "list",
	.words = "",
	.takes = TAKES_OUTPUT | TAKES_SERVER | TAKES_WATCH,
	.summary = "every partition: position, lag, watermark",
	.details = "",
	.examples = "  picket sources list -w\n",
	.run = run_sources_list,
};

static const struct option seek_options[] = {
	{"data", 0, "DIR", "the store; its daemon must be stopped"},
	{"again", 0, NULL, "read records a second time (they will be there twice)"},
	{0},
};

static bool parse_number(const char *word, int64_t *ret_number)
{
	char *end = NULL;
	if (word[0] < '0' || word[0] > '9')
		return false;
	long long number = strtoll(word, &end, 10);
	*ret_number = number;
	return *end == '\0' && number >= 0 && number < INT64_MAX;
}

static int run_sources_seek(struct session *session)
{
	struct client *client cleanup(session_client_done) = NULL;
	struct json_object *answer cleanup(session_json_done) = NULL;
	struct question question;
	struct error err = {0};
	struct bytes body = {0};
	const char **words = session->arguments.words;
	int64_t partition = 0;
	int64_t offset = 0;
	if (!arguments_has(&session->arguments, "data"))
		return session_fail(session, EXIT_USAGE,
				    "a running daemon cannot seek: stop it, say "
				    "--data DIR, and start it again");
	if (!parse_number(words[1], &partition) || !parse_number(words[2], &offset))
		return session_fail(session, EXIT_USAGE, "PARTITION and OFFSET are numbers");
	if (session_client(session, true, &client, &err) != OK)
		return session_fail_error(session, &err);
	struct json_writer json = {.to = &body};
	json_write_open(&json, NULL, '{');
	json_write_string(&json, "topic", words[0]);
	json_write_number(&json, "partition", partition);
	json_write_number(&json, "offset", offset);
	json_write_boolean(&json, "again", arguments_has(&session->arguments, "again"));
	json_write_close(&json, '}');
	question_init(&question, "POST", TEXT("/v1/sources/seek"));
	question.request.body = bytes_text(&body);
	int code = session_ask(session, client, &question, &answer);
	bytes_done(&body);
	if (code == EXIT_OK)
		output_json(&session->output, answer);
	return code;
}

const struct command command_sources_seek = {
	.noun = "sources",
	.verb = "seek",
	.words = "TOPIC PARTITION OFFSET --data DIR",
	.word_min = 3,
	.word_max = 3,
	.options = seek_options,
	.summary = "set where a partition is read from next",
	.details =
		"Works on a store that no daemon has open. Forward skips records for good; back\n"
		"reads them again, and what they made is then there twice: that needs --again.\n",
	.examples = "  picket sources seek logs-auth 0 91827 --data /var/lib/picket\n",
	.run = run_sources_seek,
};

static const struct option service_options[] = {
	{"service", 0, "NAME", "only this service"},
	{0},
};

static const struct column service_columns[] = {
	{"SERVICE", "service", CELL_TEXT, true},  {"VERSION", "version", CELL_TEXT, true},
	{"DEPLOY", "deploy_id", CELL_TEXT, true}, {"INSTANCES", "instances", CELL_COUNT, false},
	{"EVENTS", "events", CELL_COUNT, false},  {"FIRST", "first", CELL_TIME, false},
	{"LAST", "last", CELL_TIME, false},
};

static int run_services(struct session *session)
{
	struct question question;
	question_init(&question, "GET", TEXT("/v1/services"));
	question_add(&question, "service", arguments_get(&session->arguments, "service"));
	return session_list(
		session, &(struct listing){&question, "services", service_columns,
					   sizeof service_columns / sizeof *service_columns,
					   "no service has been heard; events need service.name"});
}

const struct command command_services = {
	.noun = "services",
	.words = "",
	.takes = TAKES_OUTPUT | TAKES_SERVER | TAKES_WATCH,
	.options = service_options,
	.summary = "which versions of which services have been heard",
	.details = "",
	.examples = "  picket services --service orders\n",
	.run = run_services,
};

static int run_version(struct session *session)
{
	(void)fprintf(session->output.to, "picket %s\n", PICKET_VERSION);
	return EXIT_OK;
}

const struct command command_version = {
	.noun = "version",
	.words = "",
	.summary = "the version of this program",
	.details = "",
	.examples = "  picket version\n",
	.run = run_version,
};
