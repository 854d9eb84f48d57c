/* picket gate policy|history|plan|override: what people ask of the gate besides its verdict. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/gate_policies.h"
#include "cli/json_writer.h"

static const struct column policy_columns[] = {
	{"POLICY", "name", CELL_TEXT, COLUMN_WHOLE},
	{"A PASS SAYS", "claim", CELL_TEXT, COLUMN_CUT},
};

/* The policies that the daemon has, as it sees them. */
static int ask_policies(struct session *session, struct json_object **ret_answer)
{
	struct client *client cleanup(session_client_done) = NULL;
	struct question question;
	struct error err = {0};
	if (session_client(session, false, &client, &err) != OK)
		return session_fail_error(session, &err);
	question_init(&question, "GET", TEXT("/v1/gate/policies"));
	return session_ask(session, client, &question, ret_answer);
}

static int show_policy(struct session *session, const char *name)
{
	struct json_object *answer cleanup(session_json_done) = NULL;
	int code = ask_policies(session, &answer);
	if (code != EXIT_OK)
		return code;
	struct json_object *list = json_path(answer, "policies");
	for (size_t i = 0; list != NULL && i < json_object_array_length(list); i++) {
		struct json_object *one = json_object_array_get_idx(list, i);
		if (strcmp(json_path_text(one, "name"), name) != 0)
			continue;
		if (session->output.format != OUTPUT_TABLE) {
			output_json(&session->output, one);
			return EXIT_OK;
		}
		(void)fprintf(session->output.to, "# A PASS says: ");
		output_text(session->output.to, json_path_text(one, "claim"));
		(void)fputs("\n", session->output.to);
		for (const char *at = json_path_text(one, "yaml"); *at != '\0';) {
			size_t size = strcspn(at, "\n");
			char line[256];
			(void)snprintf(line, sizeof line, "%.*s", (int)size, at);
			output_text(session->output.to, line);
			(void)fputs("\n", session->output.to);
			at += size + (at[size] == '\n');
		}
		return EXIT_OK;
	}
	return session_fail(session, EXIT_NEGATIVE, "no policy \"%s\"; see picket gate policy list",
			    name);
}

static int lint_policies(struct session *session)
{
	struct gate_policies *policies = calloc(1, sizeof *policies);
	struct error err = {0};
	if (policies == NULL)
		return session_fail(session, EXIT_INTERNAL, "out of memory");
	enum status status = gate_policies_load(session->arguments.words + 1,
						session->arguments.word_count - 1, policies, &err);
	if (status == OK && !session->quiet)
		(void)fprintf(session->output.to, "%zu %s\n", policies->count,
			      policies->count == 1 ? "policy is sound" : "policies are sound");
	gate_policies_done(policies);
	free(policies);
	if (status == OK)
		return EXIT_OK;
	(void)session_fail_error(session, &err);
	return status == ENOMEMORY ? EXIT_INTERNAL : EXIT_DATA;
}

static int run_policy(struct session *session)
{
	const char *verb = session->arguments.words[0];
	size_t count = session->arguments.word_count;
	struct question question;
	if (strcmp(verb, "list") == 0 && count == 1) {
		question_init(&question, "GET", TEXT("/v1/gate/policies"));
		return session_list(session, &(struct listing){&question, "policies",
							       policy_columns, 2, "no policy"});
	}
	if (strcmp(verb, "show") == 0 && count == 2)
		return show_policy(session, session->arguments.words[1]);
	if (strcmp(verb, "lint") == 0 && count > 1)
		return lint_policies(session);
	return session_fail(session, EXIT_USAGE,
			    "picket gate policy list | show NAME | lint FILE...");
}

const struct command command_gate_policy = {
	.noun = "gate",
	.verb = "policy",
	.words = "list | show NAME | lint FILE...",
	.word_min = 1,
	.word_max = ARGUMENTS_MAX,
	.takes = TAKES_OUTPUT | TAKES_SERVER,
	.summary = "what a PASS must prove: list, show, or check files",
	.details = "Shipped are default, strict and security-only. Files of your own stand in\n"
		   "gate.policies of picket.yaml; lint reads them without a daemon (65 when one is "
		   "wrong).\n",
	.examples = "  picket gate policy list\n  picket gate policy show strict > mine.yaml\n"
		    "  picket gate policy lint mine.yaml\n",
	.run = run_policy,
};

static const struct option history_options[] = {
	{"service", 0, "NAME", "only of this service"},
	{"canary", 0, "VERSION", "only of this canary, as it was asked for"},
	{0},
};

static const struct column history_columns[] = {
	{"TIME", "time", CELL_TIME, COLUMN_WHOLE}, {"SERVICE", "service", CELL_TEXT, true},
	{"CANARY", "canary", CELL_TEXT, true},     {"WHAT", "what", CELL_STATE, COLUMN_WHOLE},
	{"EFFECT", "effect", CELL_TEXT, true},     {"POLICY", "policy", CELL_TEXT, COLUMN_MINOR},
	{"WHO", "who", CELL_TEXT, COLUMN_MINOR},   {"SUMMARY", "text", CELL_TEXT, COLUMN_CUT},
};

static int run_history(struct session *session)
{
	struct question question;
	question_init(&question, "GET", TEXT("/v1/gate/history"));
	question_add_common(&question, session);
	for (const struct option *option = history_options; option->name != NULL; option++)
		question_add(&question, option->name,
			     arguments_get(&session->arguments, option->name));
	return session_list(session,
			    &(struct listing){&question, "history", history_columns,
					      sizeof history_columns / sizeof *history_columns,
					      "the gate has not been asked yet"});
}

const struct command command_gate_history = {
	.noun = "gate",
	.verb = "history",
	.words = "",
	.takes = TAKES_OUTPUT | TAKES_SERVER | TAKES_RANGE | TAKES_WATCH,
	.options = history_options,
	.summary = "past verdicts, what they blocked or would have blocked, overrides",
	.details =
		"One line each time a verdict changed, newest first. \"would have blocked\" is a FAIL\n"
		"that was asked for with --dry-run.\n",
	.examples = "  picket gate history --service orders --since 7d\n",
	.run = run_history,
};

static const struct option plan_options[] = {
	{"service", 0, "NAME", "the service"},
	{"share", 0, "PERCENT", "of the requests that the canary will get (also: --weight)"},
	{"weight", 0, "PERCENT", "the same"},
	{"deadline", 0, "DURATION", "as picket gate will get it (default: the policy's)"},
	{"policy", 0, "NAME", "default: default"},
	{0},
};

static const struct column need_columns[] = {
	{"NEEDS", "name", CELL_TEXT, COLUMN_WHOLE},
	{"AFTER", "after_s", CELL_SECONDS, COLUMN_WHOLE},
};

static const struct column share_columns[] = {
	{"AT A SHARE OF %", "share_percent", CELL_FIGURE, COLUMN_WHOLE},
	{"PASS AFTER", "pass_after_s", CELL_SECONDS, COLUMN_WHOLE},
};

static enum status print_plan(struct session *session, struct json_object *plan, struct error *err)
{
	FILE *to = session->output.to;
	struct bytes after cleanup(bytes_done) = {0};
	struct bytes deadline cleanup(bytes_done) = {0};
	struct json_object *all = json_path(plan, "pass_after_s");
	output_cell(all, CELL_SECONDS, &after);
	bytes_put_u8(&after, 0);
	output_cell(json_path(plan, "deadline_s"), CELL_SECONDS, &deadline);
	bytes_put_u8(&deadline, 0);
	if (after.failed || deadline.failed)
		return error_set(err, ENOMEMORY, "no memory to print a plan");
	if (all == NULL)
		output_text(to, "a good canary does not pass within a day at this traffic\n");
	else
		(void)fprintf(to, "a good canary passes after about %s\n",
			      (const char *)after.data);
	if (!json_object_get_boolean(json_path(plan, "within_deadline")))
		(void)fprintf(
			to,
			"INCONCLUSIVE before that, at the deadline of %s: give it a larger share "
			"(below), or picket gate a longer --deadline\n",
			(const char *)deadline.data);
	enum status status =
		output_table(&session->output, need_columns, 2, json_path(plan, "needs"), err);
	if (status == OK)
		status = output_table(&session->output, share_columns, 2,
				      json_path(plan, "at_other_shares"), err);
	return status;
}

static int run_plan(struct session *session)
{
	struct client *client cleanup(session_client_done) = NULL;
	struct json_object *plan cleanup(session_json_done) = NULL;
	struct question question;
	struct error err = {0};
	const char *share = arguments_get(&session->arguments, "share");
	if (share == NULL)
		share = arguments_get(&session->arguments, "weight");
	if (!arguments_has(&session->arguments, "service") || share == NULL)
		return session_fail(
			session, EXIT_USAGE,
			"a plan needs --service NAME and --share PERCENT, such as --share "
			"10");
	if (session_client(session, false, &client, &err) != OK)
		return session_fail_error(session, &err);
	question_init(&question, "GET", TEXT("/v1/gate/plan"));
	question_add(&question, "service", arguments_get(&session->arguments, "service"));
	question_add(&question, "share", share);
	question_add(&question, "deadline", arguments_get(&session->arguments, "deadline"));
	question_add(&question, "policy", arguments_get(&session->arguments, "policy"));
	int code = session_ask(session, client, &question, &plan);
	if (code != EXIT_OK)
		return code;
	if (session->output.format != OUTPUT_TABLE)
		output_json(&session->output, plan);
	else if (print_plan(session, plan, &err) != OK)
		return session_fail_error(session, &err);
	return EXIT_OK;
}

const struct command command_gate_plan = {
	.noun = "gate",
	.verb = "plan",
	.words = "",
	.takes = TAKES_OUTPUT | TAKES_SERVER,
	.options = plan_options,
	.summary = "how long a good canary would wait for its PASS at today's traffic",
	.details = "From the traffic of the last half hour, and what other shares would need.\n",
	.examples = "  picket gate plan --service orders --share 10\n"
		    "  picket gate plan --service orders --share 10 --policy strict\n",
	.run = run_plan,
};

static const struct option override_options[] = {
	{"service", 0, "NAME", "the service"},
	{"canary", 0, "VERSION", "the canary, as the gate was asked for it"},
	{"reason", 0, "TEXT", "why; it is kept and shown in picket gate history"},
	{"who", 0, "NAME", "who decided (default: your user name)"},
	{0},
};

static int run_override(struct session *session)
{
	const struct arguments *arguments = &session->arguments;
	struct client *client cleanup(session_client_done) = NULL;
	struct json_object *answer cleanup(session_json_done) = NULL;
	struct bytes body cleanup(bytes_done) = {0};
	struct question question;
	struct error err = {0};
	const char *who = arguments_get(arguments, "who");
	if (!arguments_has(arguments, "service") || !arguments_has(arguments, "canary") ||
	    !arguments_has(arguments, "reason"))
		return session_fail(
			session, EXIT_USAGE,
			"an override needs --service NAME, --canary VERSION and --reason TEXT");
	struct json_writer json = {.to = &body};
	json_write_open(&json, NULL, '{');
	json_write_string(&json, "service", arguments_get(arguments, "service"));
	json_write_string(&json, "canary", arguments_get(arguments, "canary"));
	json_write_string(&json, "reason", arguments_get(arguments, "reason"));
	json_write_string(&json, "who", who == NULL ? session->environment.user : who);
	json_write_close(&json, '}');
	if (session_client(session, true, &client, &err) != OK)
		return session_fail_error(session, &err);
	question_init(&question, "POST", TEXT("/v1/gate/override"));
	question.request.body = bytes_text(&body);
	int code = session_ask(session, client, &question, &answer);
	if (code != EXIT_OK)
		return code;
	if (session->output.format != OUTPUT_TABLE) {
		output_json(&session->output, answer);
	} else {
		output_text(session->output.to, json_path_text(answer, "summary"));
		(void)fputs("\n", session->output.to);
	}
	return EXIT_OK;
}

const struct command command_gate_override = {
	.noun = "gate",
	.verb = "override",
	.words = "",
	.takes = TAKES_OUTPUT | TAKES_SERVER,
	.options = override_options,
	.summary = "forgive a canary what was seen so far, with a reason",
	.details =
		"A FAIL stands until it is overridden. Afterwards the canary is judged afresh, from\n"
		"what comes after the override: it needs a new bake, and may fail again. Only over\n"
		"the socket of the daemon.\n",
	.examples = "  picket gate override --service orders --canary 2.1.0 --reason 'INC-4711: "
		    "bad node, replaced'\n",
	.run = run_override,
};
