/* picket rules backtest */
#include <stdlib.h>
#include <string.h>

#include "cli/backtest_ask.h"
#include "cli/escape.h"
#include "cli/rule_loading.h"

static const struct option backtest_options[] = {
	{"against", 0, "PATH", "the rules as they were: tells what is kept, removed and added"},
	OPTIONS_OF_LOADING,
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

/* Rules that raise no alerts, whatever they find. */
static void tell_gate_rules(struct session *session, const struct ruleset *ruleset)
{
	for (size_t i = 0; i < ruleset_count(ruleset) && !session->quiet; i++) {
		const struct rule *rule = ruleset_rule(ruleset, i);
		if (rule->correlation != NULL && rule->correlation->cohort != NULL)
			(void)fprintf(session->problems,
				      "%.*s is judged by the canary gate, not here: for a past "
				      "canary ask picket gate --at TIME\n",
				      TEXT_ARG(rule->name));
	}
}

/* The words and --against as texts; loaded here first, for the place of a mistake in the user's own
 * file. */
static int read_rules(struct session *session, struct bytes *rules, struct bytes *old)
{
	struct ruleset *ruleset cleanup(rule_loading_done) = NULL;
	const char *against = arguments_get(&session->arguments, "against");
	struct ruleset_options options = {.paths = session->arguments.words,
					  .path_count = session->arguments.word_count};
	struct error err = {0};
	int code = load_rules(session, &options, &ruleset);
	if (code != EXIT_OK)
		return code;
	tell_gate_rules(session, ruleset);
	enum status status = ruleset_text(options.paths, options.path_count, rules, &err);
	if (status == OK && against != NULL)
		status = ruleset_text(&against, 1, old, &err);
	return status == OK ? EXIT_OK : session_fail_error(session, &err);
}

enum { WHY_MAX = 128 };

/* Why a rule fails, in words: too loud, or an alert gone that was right. */
static bool rule_fails(struct json_object *rule, long at_most, char why[static WHY_MAX])
{
	long alerts = strtol(json_path_text(rule, "found.alerts"), NULL, 10);
	long lost = strtol(json_path_text(rule, "removed.true-positive"), NULL, 10);
	if (lost > 0)
		(void)snprintf(why, WHY_MAX, "%ld true positives would be gone", lost);
	else
		(void)snprintf(why, WHY_MAX, "%ld alerts, at most %ld", alerts, at_most);
	return lost > 0 || (at_most >= 0 && alerts > at_most);
}

static void print_junit(struct session *session, struct json_object *rules, long at_most)
{
	struct bytes xml cleanup(bytes_done) = {0};
	char why[WHY_MAX];
	size_t count = json_object_array_length(rules);
	size_t failed = 0;
	for (size_t i = 0; i < count; i++)
		failed += rule_fails(json_object_array_get_idx(rules, i), at_most, why);
	(void)fprintf(session->output.to,
		      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"picket rules "
		      "backtest\" tests=\"%zu\" failures=\"%zu\">\n",
		      count, failed);
	for (size_t i = 0; i < count; i++) {
		struct json_object *rule = json_object_array_get_idx(rules, i);
		bytes_clear(&xml);
		xml_put(&xml, text_of(json_path_text(rule, "title")));
		(void)fprintf(session->output.to,
			      "  <testcase classname=\"backtest\" name=\"%.*s\"",
			      TEXT_ARG(bytes_text(&xml)));
		if (rule_fails(rule, at_most, why))
			(void)fprintf(session->output.to, "><failure message=\"%s\"/></testcase>\n",
				      why);
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
	(void)fflush(session->output.to);
	if (!session->quiet)
		(void)fprintf(session->problems, "\n%s events read\n",
			      json_path_text(report, "events"));
	const char *not_shown = json_path_text(report, "not_shown");
	if (strcmp(not_shown, "0") != 0)
		(void)fprintf(session->problems,
			      "%s alerts more are not listed: see the counts, or raise --limit\n",
			      not_shown);
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
		char why[WHY_MAX];
		if (code == EXIT_OK &&
		    rule_fails(json_object_array_get_idx(rules, i), at_most, why))
			code = EXIT_NEGATIVE;
	}
	if (strcmp(json_path_text(report, "complete"), "true") != 0)
		return session_fail(session, EXIT_INCOMPLETE, "the backtest is not complete: %s",
				    json_path_text(report, "problem"));
	return strcmp(json_path_text(report, "events"), "0") != 0
		       ? code
		       : session_fail(session, EXIT_NEGATIVE,
				      "no event is stored of that time%s: nothing was tried; see "
				      "picket sources list and picket tenants",
				      arguments_has(&session->arguments, "tenant") ? " and tenant"
										   : "");
}

static int run_backtest(struct session *session)
{
	struct client *client cleanup(session_client_done) = NULL;
	struct json_object *report cleanup(session_json_done) = NULL;
	struct bytes rules cleanup(bytes_done) = {0};
	struct bytes old cleanup(bytes_done) = {0};
	struct error err = {0};
	const char *most = arguments_get(&session->arguments, "at-most");
	if (most != NULL && (most[0] == '\0' || most[strspn(most, "0123456789")] != '\0'))
		return session_fail(session, EXIT_USAGE, "--at-most %s is not a number", most);
	int code = read_rules(session, &rules, &old);
	if (code != EXIT_OK)
		return code;
	if (session_client(session, false, &client, &err) != OK)
		return session_fail_error(session, &err);
	code = backtest_ask(session, client, bytes_text(&rules), bytes_text(&old), &report);
	return code == EXIT_OK ? print_report(session, report) : code;
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
		"people closed it as. What rules remember of before --since is read too. Ends with 1\n"
		"when --against loses a true positive, and when there is no event to try them on.\n",
	.examples = "  picket rules backtest my-rule.yml --since 30d\n"
		    "  picket rules backtest new/ --against old/ -o junit --at-most 20\n",
	.run = run_backtest,
};
