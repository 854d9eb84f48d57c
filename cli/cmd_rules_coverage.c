/* picket rules coverage */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/coverage_json.h"
#include "cli/rule_events.h"
#include "cli/rule_loading.h"

#define INSTALLED_RULES "/usr/share/picket/rules"

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
	enum status status;
	struct bytes text;
	struct coverage_counts counts;
};

static void covering_done(struct covering *work)
{
	coverage_free(&work->coverage);
	bytes_done(&work->text);
}

static bool on_event(void *context, const struct event *event)
{
	struct covering *work = context;
	work->status = coverage_add(work->coverage, event, 1);
	return work->status == OK;
}

static enum status rules_write(struct session *session, const struct ruleset *ruleset,
			       struct covering *work, uint64_t events)
{
	struct json_writer json = {.to = &work->text};
	json_write_open(&json, NULL, '{');
	json_write_string(&json, "schema", "picket.coverage/1");
	json_write_boolean(&json, "complete", !coverage_cut(work->coverage));
	json_write_count(&json, "events", events);
	enum status status =
		coverage_json(ruleset, work->coverage, arguments_has(&session->arguments, "unable"),
			      &json, &work->counts);
	json_write_close(&json, '}');
	bytes_put_u8(&work->text, 0);
	return status == OK ? bytes_status(&work->text) : status;
}

static int print_rules(struct session *session, struct json_object *answer)
{
	struct error err = {0};
	struct json_object *rules = json_path(answer, "rules");
	if (rules == NULL)
		return session_fail(session, EXIT_INTERNAL, "the answer has no rules");
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

static int print(struct session *session, const struct covering *work)
{
	struct json_object *answer cleanup(session_json_done) =
		json_tokener_parse((const char *)work->text.data);
	return print_rules(session, answer);
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

static void print_totals(struct session *session, uint64_t events,
			 const struct coverage_counts *counts)
{
	if (!session->quiet)
		(void)fprintf(session->problems,
			      "%" PRIu64
			      " events; %zu rules can fire, %zu cannot, %zu had no event "
			      "of their log source\n",
			      events, counts->able, counts->unable, counts->idle);
}

static int cover_files(struct session *session)
{
	struct ruleset *ruleset cleanup(rule_loading_done) = NULL;
	struct covering work cleanup(covering_done) = {0};
	struct rule_event_totals totals = {0};
	int code = load(session, &ruleset);
	if (code != EXIT_OK)
		return code;
	if (coverage_new(ruleset, &work.coverage) != OK)
		return session_fail(session, EXIT_INTERNAL, "out of memory");
	code = read_events(session, &work, &totals);
	if (code == EXIT_OK && rules_write(session, ruleset, &work, totals.events) != OK)
		code = session_fail(session, EXIT_INTERNAL, "out of memory");
	if (code == EXIT_OK)
		code = print(session, &work);
	if (code != EXIT_OK)
		return code;
	assert(work.coverage != NULL);
	print_totals(session, totals.events, &work.counts);
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

static size_t number_of(struct json_object *answer, const char *name)
{
	return (size_t)json_object_get_int64(json_path(answer, name));
}

/* Without files: the live rules over the stored events, worked out by the daemon. */
static int cover_store(struct session *session)
{
	static const char *const of_files[] = {"rules", "list",    "pipeline",
					       "input", "formats", "logsource"};
	struct client *client cleanup(session_client_done) = NULL;
	struct json_object *answer cleanup(session_json_done) = NULL;
	struct question question;
	struct error err = {0};
	for (size_t i = 0; i < sizeof of_files / sizeof *of_files; i++)
		if (arguments_has(&session->arguments, of_files[i]))
			return session_fail(session, EXIT_USAGE,
					    "--%s goes with FILE; without one the live rules are "
					    "held against the stored events",
					    of_files[i]);
	question_init(&question, "GET", TEXT("/v1/rules/coverage"));
	question_add_common(&question, session);
	if (arguments_has(&session->arguments, "unable"))
		question_add(&question, "unable", "true");
	if (session_client(session, false, &client, &err) != OK)
		return session_fail_error(session, &err);
	int code = session_ask(session, client, &question, &answer);
	if (code == EXIT_OK)
		code = print_rules(session, answer);
	if (code != EXIT_OK)
		return code;
	struct coverage_counts counts = {number_of(answer, "able"), number_of(answer, "unable"),
					 number_of(answer, "idle")};
	print_totals(session, number_of(answer, "events"), &counts);
	if (json_object_get_boolean(json_path(answer, "complete")))
		return EXIT_OK;
	return session_fail(session, EXIT_INCOMPLETE, "incomplete: %s",
			    json_path_text(answer, "problem"));
}

static int run_coverage(struct session *session)
{
	static const char *const of_store[] = {"since", "until", "limit", "tenant"};
	if (session->arguments.word_count == 0)
		return cover_store(session);
	for (size_t i = 0; i < sizeof of_store / sizeof *of_store; i++)
		if (arguments_has(&session->arguments, of_store[i]))
			return session_fail(session, EXIT_USAGE,
					    "--%s is for the stored events, without FILE",
					    of_store[i]);
	return cover_files(session);
}

const struct command command_rules_coverage = {
	.noun = "rules",
	.verb = "coverage",
	.words = "[FILE...]",
	.word_max = ARGUMENTS_MAX,
	.takes = TAKES_OUTPUT | TAKES_SERVER | TAKES_RANGE | TAKES_TENANT,
	.options = coverage_options,
	.summary = "which rules can fire on such events, and which fields they miss",
	.details =
		"FILE is NDJSON, a JSON array or .gz of these; - is standard input. For each detection:\n"
		"the events of its log source, its fields that were seen there, those that were not\n"
		"with the most similar name, and whether it can fire at all. Ends with 2 when records\n"
		"could not be read.\n"
		"Without FILE the daemon holds its live rules against the stored events: of the last\n"
		"24 hours (--since), all of them (--limit: of so many).\n",
	.examples = "  picket rules coverage --since 7d --unable\n"
		    "  picket rules coverage --rules rules/packs yesterday.ndjson.gz\n"
		    "  picket rules coverage --rules sigma/ --unable -o json events.ndjson\n",
	.run = run_coverage,
};
