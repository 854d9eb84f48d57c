/* picket rules reload */
#include <inttypes.h>

#include "cli/command.h"

static const struct option reload_options[] = {{0}};

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
	if (code == EXIT_USAGE) /* the question has nothing that could be wrong: the rules are */
		return EXIT_DATA;
	if (code != EXIT_OK)
		return code;
	int64_t skipped = json_object_get_int64(json_path(answer, "skipped"));
	if (session->output.format != OUTPUT_TABLE)
		output_json(&session->output, answer);
	else if (!session->quiet)
		(void)fprintf(session->output.to,
			      "%" PRId64 " rules are live from epoch %" PRId64 "%s\n",
			      json_object_get_int64(json_path(answer, "rules")),
			      json_object_get_int64(json_path(answer, "epoch")),
			      json_object_get_boolean(json_path(answer, "changed"))
				      ? ""
				      : "; nothing has changed");
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
	.summary = "let the daemon read its rules again",
	.details =
		"Rule files, lists and pipelines are read again and swapped in as a whole, between two\n"
		"commits; rules that did not change keep what they have counted. When one is refused\n"
		"the old rules stay, the answer says where and why, and this ends with 65. SIGHUP to\n"
		"the daemon does the same and says so in its log and in picket status.\n",
	.examples = "  picket rules lint /etc/picket/rules && picket rules reload\n",
	.run = run_reload,
};
