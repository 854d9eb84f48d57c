/* picket rules coverage */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/json_writer.h"
#include "cli/rule_events.h"
#include "cli/rule_loading.h"
#include "rules/coverage.h"

#define INSTALLED_RULES "/usr/share/picket/rules"

enum { COVERAGE_ARENA_MAX = 1 << 29, MISSING_SHOWN = 4 };

static const struct option coverage_options[] = {
	{"rules", 0, "PATH", "rule file or folder, may be repeated (default: " INSTALLED_RULES ")"},
	OPTIONS_OF_LOADING,
	OPTION_INPUT,
	OPTION_FORMATS,
	OPTION_LOGSOURCE,
	{"unable", 0, NULL, "only rules that cannot fire"},
	{0},
};

static const struct column coverage_columns[] = {
	{"STATE", "state", CELL_TEXT, false},       {"EVENTS", "events", CELL_COUNT, false},
	{"SEEN", "seen", CELL_COUNT, false},        {"FIELDS", "field_count", CELL_COUNT, false},
	{"TITLE", "title", CELL_TEXT, true},        {"MISSING", "missing", CELL_TEXT, true},
	{"LOGSOURCE", "logsource", CELL_MAP, true},
};

struct covering {
	struct coverage *coverage;
	struct arena *arena;
	enum status status;
	struct bytes text;
	size_t able, unable, idle;
};

static void covering_done(struct covering *work)
{
	coverage_free(&work->coverage);
	arena_free(&work->arena);
	bytes_done(&work->text);
}

static bool on_event(void *context, const struct event *event)
{
	struct covering *work = context;
	work->status = coverage_add(work->coverage, event);
	return work->status == OK;
}

static const char *state_of(const struct rule_coverage *rule)
{
	if (rule->events == 0)
		return "no events";
	return rule->can_fire ? "can fire" : "cannot fire";
}

/* "CommandLine (Commandline?), Image": for the table. */
static void missing_put(const struct rule_coverage *rule, struct bytes *to)
{
	size_t shown = 0;
	for (size_t i = 0; i < rule->field_count; i++) {
		const struct field_coverage *field = &rule->fields[i];
		if (field->seen || shown++ >= MISSING_SHOWN)
			continue;
		bytes_put(to, ", ", shown > 1 ? 2 : 0);
		bytes_put(to, field->name.data, field->name.size);
		if (field->nearest.size == 0)
			continue;
		bytes_put(to, " (", 2);
		bytes_put(to, field->nearest.data, field->nearest.size);
		bytes_put(to, "?)", 2);
	}
	if (shown > MISSING_SHOWN)
		bytes_put(to, ", ...", 5);
}

static void rule_coverage_json(const struct rule *rule, const struct rule_coverage *coverage,
			       struct json_writer *json)
{
	struct bytes missing cleanup(bytes_done) = {0};
	missing_put(coverage, &missing);
	json_write_open(json, NULL, '{');
	json_write_string(json, "state", state_of(coverage));
	json_write_text(json, "rule", rule->key);
	json_write_text(json, "title", rule->title);
	json_write_count(json, "events", coverage->events);
	json_write_open(json, "logsource", '{');
	json_write_text(json, "category", rule->logsource.category);
	json_write_text(json, "product", rule->logsource.product);
	json_write_text(json, "service", rule->logsource.service);
	json_write_close(json, '}');
	json_write_count(json, "seen", coverage->seen_count);
	json_write_count(json, "field_count", coverage->field_count);
	json_write_text(json, "missing", bytes_text(&missing));
	json_write_open(json, "fields", '[');
	for (size_t i = 0; i < coverage->field_count; i++) {
		json_write_open(json, NULL, '{');
		json_write_text(json, "name", coverage->fields[i].name);
		json_write_boolean(json, "seen", coverage->fields[i].seen);
		if (coverage->fields[i].nearest.size > 0)
			json_write_text(json, "nearest", coverage->fields[i].nearest);
		json_write_close(json, '}');
	}
	json_write_close(json, ']');
	json_write_close(json, '}');
}

static enum status rules_write(struct session *session, const struct ruleset *ruleset,
			       struct covering *work)
{
	struct json_writer json = {.to = &work->text};
	bool only_unable = arguments_has(&session->arguments, "unable");
	json_write_open(&json, NULL, '{');
	json_write_string(&json, "schema", "picket.coverage/1");
	json_write_boolean(&json, "complete", !coverage_cut(work->coverage));
	json_write_open(&json, "rules", '[');
	for (size_t i = 0; i < ruleset_count(ruleset); i++) {
		const struct rule *rule = ruleset_rule(ruleset, i);
		struct rule_coverage coverage;
		if (rule->kind != RULE_DETECTION)
			continue;
		arena_reset(work->arena);
		enum status status = coverage_of_rule(work->coverage, rule, work->arena, &coverage);
		if (status != OK)
			return status;
		work->idle += coverage.events == 0;
		work->able += coverage.can_fire;
		work->unable += coverage.events > 0 && !coverage.can_fire;
		if (!only_unable || !coverage.can_fire)
			rule_coverage_json(rule, &coverage, &json);
	}
	json_write_close(&json, ']');
	json_write_close(&json, '}');
	bytes_put_u8(&work->text, 0);
	return bytes_status(&work->text);
}

static int print(struct session *session, const struct covering *work)
{
	struct error err = {0};
	struct json_object *answer cleanup(session_json_done) =
		json_tokener_parse((const char *)work->text.data);
	struct json_object *rules = json_path(answer, "rules");
	if (rules == NULL)
		return session_fail(session, EXIT_INTERNAL, "out of memory");
	if (session->output.format == OUTPUT_JSON)
		output_json(&session->output, answer);
	else if (session->output.format == OUTPUT_NDJSON)
		output_lines(&session->output, rules);
	else if (json_object_array_length(rules) > 0 &&
		 output_table(&session->output, coverage_columns,
			      sizeof coverage_columns / sizeof *coverage_columns, rules,
			      &err) != OK)
		return session_fail_error(session, &err);
	return EXIT_OK;
}

static int read_events(struct session *session, struct covering *work,
		       struct rule_event_totals *totals)
{
	struct decoder_options options;
	struct error err = {0};
	enum status status = OK;
	int code = rule_events_options(session, &options);
	if (code != EXIT_OK)
		return code;
	for (size_t i = 0; status == OK && i < session->arguments.word_count; i++)
		status = rule_events_read(session->arguments.words[i], &options, on_event, work,
					  totals, &err);
	if (status != OK) {
		(void)session_fail_error(session, &err);
		return status == ENOTFOUND || status == ESYSTEM ? EXIT_DATA
								: (int)exit_of_status(status);
	}
	if (work->status != OK)
		return session_fail(session, EXIT_INTERNAL, "out of memory");
	return EXIT_OK;
}

static int load(struct session *session, struct ruleset **ret_ruleset)
{
	const char **paths = NULL;
	size_t count = 0;
	const char *input = arguments_get(&session->arguments, "input");
	bool raw = input != NULL && strcmp(input, "raw") == 0;
	if (collect_paths(session, "rules", &paths, &count) != OK)
		return session_fail(session, EXIT_INTERNAL, "out of memory");
	if (count == 0 && access(INSTALLED_RULES, R_OK) != 0) {
		free(paths);
		return session_fail(session, EXIT_USAGE, "name the rules: --rules PATH");
	}
	if (count == 0)
		paths[count++] = INSTALLED_RULES;
	struct ruleset_options options = {
		.paths = paths,
		.path_count = count,
		.skip_refused = true,
		.any_logsource = raw && !arguments_has(&session->arguments, "logsource"),
		.verbatim_names = raw,
	};
	int code = load_rules(session, &options, ret_ruleset);
	free(paths);
	return code;
}

static int run_coverage(struct session *session)
{
	struct ruleset *ruleset cleanup(rule_loading_done) = NULL;
	struct covering work cleanup(covering_done) = {.arena = arena_new(COVERAGE_ARENA_MAX)};
	struct rule_event_totals totals = {0};
	int code = load(session, &ruleset);
	if (code != EXIT_OK)
		return code;
	if (work.arena == NULL || coverage_new(ruleset, &work.coverage) != OK)
		return session_fail(session, EXIT_INTERNAL, "out of memory");
	code = read_events(session, &work, &totals);
	if (code == EXIT_OK && rules_write(session, ruleset, &work) != OK)
		code = session_fail(session, EXIT_INTERNAL, "out of memory");
	if (code == EXIT_OK)
		code = print(session, &work);
	if (code != EXIT_OK)
		return code;
	assert(work.coverage != NULL);
	if (!session->quiet)
		(void)fprintf(session->problems,
			      "%" PRIu64
			      " events; %zu rules can fire, %zu cannot, %zu had no event "
			      "of their log source\n",
			      totals.events, work.able, work.unable, work.idle);
	if (!session->quiet && coverage_cut(work.coverage))
		(void)fprintf(session->problems,
			      "warning: more log sources or field names than are "
			      "kept; \"cannot fire\" may be wrong\n");
	if (totals.rejects == 0)
		return EXIT_OK;
	output_text(session->problems, totals.reason);
	(void)fprintf(session->problems, "\n%" PRIu64 " records could not be read\n",
		      totals.rejects);
	return EXIT_INCOMPLETE;
}

const struct command command_rules_coverage = {
	.noun = "rules",
	.verb = "coverage",
	.words = "FILE...",
	.word_min = 1,
	.word_max = ARGUMENTS_MAX,
	.takes = TAKES_OUTPUT,
	.options = coverage_options,
	.summary = "which rules can fire on such events, and which fields they miss",
	.details =
		"FILE is NDJSON, a JSON array or .gz of these; - is standard input. For each detection:\n"
		"the events of its log source, its fields that were seen there, those that were not\n"
		"with the most similar name, and whether it can fire at all. Ends with 2 when records\n"
		"could not be read.\n",
	.examples = "  picket rules coverage --rules rules/packs yesterday.ndjson.gz\n"
		    "  picket rules coverage --rules sigma/ --unable -o json events.ndjson\n",
	.run = run_coverage,
};
