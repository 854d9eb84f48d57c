/* picket rules list|show|lint */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/rule_loading.h"
#include "cli/rules_json.h"
#include "cli/wall.h"
#include "correlate/plan.h"

static const struct option rules_options[] = {
	{"rules", 0, "PATH", "load these files or folders instead of asking the daemon"},
	{"level", 0, "LEVEL", "only of this level"},
	OPTIONS_OF_LOADING,
	{0},
};

static const struct column rule_columns[] = {
	{"LEVEL", "level", CELL_LEVEL, false},
	{"TITLE", "title", CELL_TEXT, true},
	{"KIND", "kind", CELL_TEXT, false},
	{"STATE", "state", CELL_TEXT, COLUMN_MINOR},
	{"WARMED %", "warmed_percent", CELL_COUNT, COLUMN_MINOR},
	{"LOGSOURCE", "logsource", CELL_MAP, true},
	{"GATE", "gate_now", CELL_TEXT, false},
	{"TESTS", "tests", CELL_COUNT, false},
	{"PRECISION", "closed.precision", CELL_COUNT, COLUMN_MINOR},
	{"COST", "cost.summary", CELL_TEXT, COLUMN_MINOR},
	{"TAGS", "tags", CELL_LIST, true},
	{"WITNESS", "witness", CELL_TEXT, true},
	{"KEY", "key", CELL_TEXT, true},
	{"AT", "at", CELL_PLACE, true},
};

/* The answer of /v1/rules, from the daemon or from --rules. */
static int get_rules(struct session *session, const char *level, struct json_object **ret_answer)
{
	struct client *client cleanup(session_client_done) = NULL;
	struct ruleset *ruleset cleanup(rule_loading_done) = NULL;
	struct bytes text cleanup(bytes_done) = {0};
	const char **paths = NULL;
	size_t count = 0;
	if (!arguments_has(&session->arguments, "rules")) {
		struct question question;
		struct error err = {0};
		question_init(&question, "GET", TEXT("/v1/rules"));
		question_add(&question, "level", level);
		if (session_client(session, false, &client, &err) != OK)
			return session_fail_error(session, &err);
		return session_ask(session, client, &question, ret_answer);
	}
	if (collect_paths(session, "rules", &paths, &count) != OK)
		return session_fail(session, EXIT_INTERNAL, "out of memory");
	struct ruleset_options options = {
		.paths = paths, .path_count = count, .skip_refused = true};
	int code = load_rules(session, &options, &ruleset);
	free(paths);
	if (code != EXIT_OK)
		return code;
	struct json_writer json = {.to = &text};
	rules_json(ruleset, text_of(level), &(struct rules_facts){0}, &json);
	bytes_put_u8(&text, 0);
	*ret_answer = text.failed ? NULL : json_tokener_parse((const char *)text.data);
	return *ret_answer == NULL ? session_fail(session, EXIT_INTERNAL, "out of memory")
				   : EXIT_OK;
}

static int run_list(struct session *session)
{
	struct json_object *answer cleanup(session_json_done) = NULL;
	struct error err = {0};
	int code = get_rules(session, arguments_get(&session->arguments, "level"), &answer);
	if (code != EXIT_OK)
		return code;
	struct json_object *rules = json_path(answer, "rules");
	struct json_object *notes = json_path(answer, "notes");
	size_t refused = 0;
	for (size_t i = 0; notes != NULL && i < json_object_array_length(notes); i++)
		refused += strcmp(json_path_text(json_object_array_get_idx(notes, i), "kind"),
				  "refused") == 0;
	if (session->output.format == OUTPUT_JSON)
		output_json(&session->output, answer);
	else if (session->output.format == OUTPUT_NDJSON)
		output_lines(&session->output, rules);
	else if (output_table(&session->output, rule_columns,
			      sizeof rule_columns / sizeof *rule_columns, rules, &err) != OK)
		return session_fail_error(session, &err);
	if (refused > 0 && !session->quiet)
		(void)fprintf(session->problems, "%zu rules were refused; see: picket rules lint\n",
			      refused);
	return EXIT_OK;
}

const struct command command_rules_list = {
	.noun = "rules",
	.verb = "list",
	.words = "",
	.takes = TAKES_OUTPUT | TAKES_SERVER,
	.options = rules_options,
	.summary = "the rules that are live, or those in a folder",
	.details = "",
	.examples = "  picket rules list\n  picket rules list --rules rules/packs --level high\n",
	.run = run_list,
};

static const struct column rule_fields[] = {
	{"title", "title", CELL_TEXT, false},
	{"key", "key", CELL_TEXT, false},
	{"level", "level", CELL_TEXT, false},
	{"kind", "kind", CELL_TEXT, false},
	{"status", "status", CELL_TEXT, false},
	{"logsource", "logsource", CELL_MAP, false},
	{"tags", "tags", CELL_LIST, false},
	{"alerts", "alerts", CELL_TEXT, false},
	{"shadow", "shadow", CELL_TEXT, false},
	{"state", "state", CELL_TEXT, false},
	{"warmed %", "warmed_percent", CELL_TEXT, false},
	{"cross tenant", "cross_tenant", CELL_TEXT, false},
	{"gate", "gate", CELL_TEXT, false},
	{"gate now", "gate_now", CELL_TEXT, false},
	{"blocks from", "blocks_from", CELL_TIME, false},
	{"tests", "tests", CELL_TEXT, false},
	{"cost", "cost.summary", CELL_TEXT, false},
	{"witness", "witness", CELL_TEXT, false},
	{"at", "at", CELL_PLACE, false},
	{"description", "description", CELL_TEXT, false},
};

static bool is_called(struct json_object *rule, const char *word)
{
	static const char *const names[] = {"key", "id", "name", "title"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (strcmp(json_path_text(rule, names[i]), word) == 0)
			return true;
	}
	return false;
}

static int run_show(struct session *session)
{
	struct json_object *answer cleanup(session_json_done) = NULL;
	struct error err = {0};
	const char *word = session->arguments.words[0];
	int code = get_rules(session, NULL, &answer);
	if (code != EXIT_OK)
		return code;
	struct json_object *rules = json_path(answer, "rules");
	for (size_t i = 0; rules != NULL && i < json_object_array_length(rules); i++) {
		struct json_object *rule = json_object_array_get_idx(rules, i);
		if (!is_called(rule, word))
			continue;
		if (session->output.format != OUTPUT_TABLE)
			output_json(&session->output, rule);
		else if (output_fields(&session->output, rule_fields,
				       sizeof rule_fields / sizeof *rule_fields, rule, &err) != OK)
			return session_fail_error(session, &err);
		return EXIT_OK;
	}
	return session_fail(session, EXIT_NEGATIVE, "no rule has the id, name or title \"%s\"",
			    word);
}

const struct command command_rules_show = {
	.noun = "rules",
	.verb = "show",
	.words = "RULE",
	.word_min = 1,
	.word_max = 1,
	.takes = TAKES_OUTPUT | TAKES_SERVER,
	.options = rules_options,
	.summary = "one rule, by id, name or title",
	.details = "",
	.examples = "  picket rules show 5f0c2d7e-8f0f-4f0a-9a53-1d3b6a4b7c11\n",
	.run = run_show,
};

static const struct option lint_options[] = {
	{"strict", 0, NULL, "end with 1 when there are warnings"},
	OPTIONS_OF_LOADING,
	{0},
};

static void plan_done(struct plan **plan)
{
	if (*plan != NULL)
		plan_free(plan);
}

/* -o json: the same, for a program. */
static int print_lint(struct session *session, const struct ruleset *ruleset,
		      const struct note_counts *counts, const struct error *plan_problem)
{
	struct bytes text cleanup(bytes_done) = {0};
	struct json_writer json = {.to = &text};
	json_write_open(&json, NULL, '{');
	json_write_string(&json, "schema", "picket.lint/1");
	json_write_count(&json, "rules", ruleset_count(ruleset));
	json_write_count(&json, "refused", counts->refused);
	json_write_count(&json, "warnings", counts->warnings);
	json_write_string(&json, "problem", plan_problem->text);
	rule_notes_json(ruleset, &json);
	json_write_close(&json, '}');
	bytes_put_u8(&text, 0);
	struct json_object *answer cleanup(session_json_done) =
		text.failed ? NULL : json_tokener_parse((const char *)text.data);
	if (answer == NULL)
		return session_fail(session, EXIT_INTERNAL, "out of memory");
	if (session->output.format == OUTPUT_NDJSON)
		output_lines(&session->output, json_path(answer, "notes"));
	else
		output_json(&session->output, answer);
	return EXIT_OK;
}

static struct note_counts count_notes(const struct ruleset *ruleset)
{
	struct note_counts counts = {0};
	size_t count = 0;
	const struct rule_note *notes = ruleset_notes(ruleset, &count);
	for (size_t i = 0; i < count; i++) {
		counts.refused += notes[i].kind == NOTE_REFUSED;
		counts.warnings += notes[i].kind != NOTE_REFUSED;
	}
	return counts;
}

/* Filters that take nothing away any more: forgotten ones, mostly. */
static size_t expired_filters(struct session *session, const struct ruleset *ruleset, bool print)
{
	size_t expired = 0;
	for (size_t i = 0; i < ruleset_filter_count(ruleset); i++) {
		const struct rule_filter *filter = ruleset_filter(ruleset, i);
		struct error one = {0};
		char text[ERROR_TEXT_MAX + ERROR_FILE_MAX];
		char day[32];
		if (filter->expires_us > wall_now_us())
			continue;
		expired++;
		(void)!error_at(&one, EINVALID, filter->at,
				"warning: the filter expired (%.10s) and takes nothing away any "
				"more; remove it, or write a later day under `expires`",
				time_print(filter->expires_us, day).data);
		(void)error_print(&one, text, sizeof text);
		if (print) {
			output_text(session->problems, text);
			output_text(session->problems, "\n");
		}
	}
	return expired;
}

static int run_lint(struct session *session)
{
	struct ruleset *ruleset cleanup(rule_loading_done) = NULL;
	struct plan *plan cleanup(plan_done) = NULL;
	const struct hash_key key = {{0}};
	struct error err = {0};
	const char **paths = session->arguments.words;
	struct ruleset_options options = {
		.paths = paths, .path_count = session->arguments.word_count, .skip_refused = true};
	int code = load_rules(session, &options, &ruleset);
	if (code != EXIT_OK)
		return code;
	bool as_text = session->output.format == OUTPUT_TABLE;
	struct note_counts counts =
		as_text ? print_notes(session, ruleset, true) : count_notes(ruleset);
	counts.warnings += expired_filters(session, ruleset, as_text);
	if (plan_new(ruleset, &key, &plan, &err) != OK) {
		counts.refused++;
		if (as_text)
			(void)session_fail_error(session, &err);
	}
	if (!as_text)
		code = print_lint(session, ruleset, &counts, &err);
	if (code != EXIT_OK)
		return code;
	if (as_text && !session->quiet)
		(void)fprintf(session->output.to, "%zu rules load, %zu refused, %zu warnings\n",
			      ruleset_count(ruleset), counts.refused, counts.warnings);
	if (counts.refused > 0)
		return EXIT_DATA;
	bool strict = arguments_has(&session->arguments, "strict");
	return strict && counts.warnings > 0 ? EXIT_NEGATIVE : EXIT_OK;
}

const struct command command_rules_lint = {
	.noun = "rules",
	.verb = "lint",
	.words = "PATH...",
	.word_min = 1,
	.word_max = ARGUMENTS_MAX,
	.takes = TAKES_OUTPUT,
	.options = lint_options,
	.summary = "do these rules load, and what is odd about them",
	.details =
		"Ends with 0 when all load (warnings or not), 65 when one is refused; --strict:\n"
		"1 when there are warnings. -o json prints the same for a program.\n",
	.examples = "  picket rules lint rules/\n  picket rules lint --strict my-rule.yml\n",
	.run = run_lint,
};
