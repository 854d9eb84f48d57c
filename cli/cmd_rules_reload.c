/* picket rules reload */
#include <inttypes.h>

#include "cli/command.h"

static const struct option reload_options[] = {{0}};

static void print_live(FILE *to, struct json_object *answer)
{
	bool changed = json_object_get_boolean(json_path(answer, "changed"));
	(void)fprintf(to, "%" PRId64 " rules, %" PRId64 " bindings and privacy key ",
		      json_object_get_int64(json_path(answer, "rules")),
		      json_object_get_int64(json_path(answer, "bindings")));
	output_text(to, json_path_text(answer, "privacy_key"));
	(void)fprintf(to, " are live from epoch %" PRId64 "%s\n",
		      json_object_get_int64(json_path(answer, "epoch")),
		      changed ? "" : "; the rules are what they were");
}

static int run_reload(struct session *session)
{
	struct client *client cleanup(session_client_done) = NULL;
	struct json_object *answer cleanup(session_json_done) = NULL;
	struct question question;
	struct error err = {0};
	question_init(&question, "POST", TEXT("/v1/rules/reload"));
	if (session_client(session, true, &client, &err) != OK)
		return session_fail_error(session, &err);
	int code = session_ask(session, client, &question, &answer);
	if (code == EXIT_USAGE) /* the question has nothing that could be wrong: the files are */
		return EXIT_DATA;
	if (code != EXIT_OK)
		return code;
	int64_t skipped = json_object_get_int64(json_path(answer, "skipped"));
	if (session->output.format != OUTPUT_TABLE)
		output_json(&session->output, answer);
	else if (!session->quiet)
		print_live(session->output.to, answer);
	if (skipped > 0 && !session->quiet)
		(void)fprintf(session->problems,
			      "%" PRId64
			      " rules were refused and skipped; see: picket rules lint\n",
			      skipped);
	return EXIT_OK;
}

const struct command command_rules_reload = {
	.noun = "rules",
	.verb = "reload",
	.words = "",
	.takes = TAKES_OUTPUT | TAKES_SERVER,
	.options = reload_options,
	.summary = "let the daemon read its rules, bindings and privacy key again",
	.details =
		"Rule files, lists, pipelines, provenance.bindings and privacy.key_file are read again\n"
		"and swapped in as a whole, between two commits; rules that did not change keep what\n"
		"they have counted. When one is refused all of the old stays, the answer says where and\n"
		"why, and this ends with 65. SIGHUP to the daemon does the same and says so in its log\n"
		"and in picket status.\n",
	.examples = "  picket rules lint /etc/picket/rules && picket rules reload\n",
	.run = run_reload,
};
