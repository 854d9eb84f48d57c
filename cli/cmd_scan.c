/* picket scan: the whole engine over files. Standard output is the answer, one JSON object a line;
 * standard error says what was read, so that a scan without alerts does not look broken. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/escape.h"
#include "cli/json_writer.h"
#include "cli/rule_events.h"
#include "cli/rule_loading.h"
#include "ingest/scan.h"
#include "rules/yaml.h"

enum { REJECTS_SHOWN = 5, RULES_SHOWN = 5 };

#define INSTALLED_RULES "/usr/share/picket/rules"

static const struct option scan_options_table[] = {
	{"rules", 0, "PATH", "rule file or folder, may be repeated (default: " INSTALLED_RULES ")"},
	OPTION_INPUT,
	OPTION_FORMATS,
	{"final", 0, NULL, "each alert once, in its final state"},
	{"matches", 0, NULL, "one line per event and rule that matched, before any alert"},
	{"time-field", 0, "NAME", "the field with the event's time (RFC 3339, epoch s or ms)"},
	{"lateness", 0, "DURATION", "take records in file order, as live, with this bound"},
	{"skip-refused", 0, NULL, "leave out rules that do not load"},
	OPTION_LOGSOURCE,
	OPTIONS_OF_LOADING,
	{0},
};

struct scan_printer {
	struct session *session;
	bool filter; /* a terminal reads it */
	struct bytes line, safe;
	struct json_object *rows; /* -o table: alerts are collected */
	size_t rejects;
	bool failed;
};

static void print_line(struct scan_printer *printer)
{
	struct bytes *line = &printer->line;
	FILE *to = printer->session->output.to;
	bytes_put_u8(line, '\n');
	if (printer->filter) {
		bytes_clear(&printer->safe);
		escape_json(bytes_text(line), &printer->safe);
		line = &printer->safe;
	}
	printer->failed |= line->failed || printer->line.failed ||
			   fwrite(line->data, 1, line->size, to) != line->size;
	bytes_clear(&printer->line);
}

static void on_alert(void *context, const struct alert *alert)
{
	struct scan_printer *printer = context;
	bytes_clear(&printer->line);
	alert_json(alert, true, &printer->line);
	if (printer->rows == NULL) {
		print_line(printer);
		return;
	}
	bytes_put_u8(&printer->line, 0);
	struct json_object *row =
		printer->line.failed ? NULL : json_tokener_parse((const char *)printer->line.data);
	printer->failed |= row == NULL || json_object_array_add(printer->rows, row) != 0;
}

static void on_match(void *context, const struct scan_match *match)
{
	struct scan_printer *printer = context;
	bytes_clear(&printer->line);
	struct json_writer json = {.to = &printer->line};
	json_write_open(&json, NULL, '{');
	json_write_string(&json, "schema", "picket.match/1");
	json_write_open(&json, "rule", '{');
	json_write_text(&json, "id", match->rule->id);
	json_write_text(&json, "name", match->rule->name);
	json_write_text(&json, "title", match->rule->title);
	json_write_string(&json, "level", level_name(match->rule->level));
	json_write_close(&json, '}');
	json_write_open(&json, "event", '{');
	json_write_text(&json, "file", match->origin.topic);
	json_write_number(&json, "line", match->origin.offset);
	json_write_count(&json, "index", match->origin.index);
	json_write_close(&json, '}');
	json_write_close(&json, '}');
	print_line(printer);
}

static void on_reject(void *context, const struct scan_reject *reject)
{
	struct scan_printer *printer = context;
	struct bytes text = {0};
	if (printer->rejects++ >= REJECTS_SHOWN || printer->session->quiet)
		return;
	escape_text(reject->origin.topic, &text);
	(void)fprintf(printer->session->problems, "%.*s:%" PRId64 ": %s",
		      TEXT_ARG(bytes_text(&text)), reject->origin.offset, reject_name(reject->why));
	bytes_clear(&text);
	escape_text(reject->detail.size > 0 ? reject->detail : text_of(reject_text(reject->why)),
		    &text);
	(void)fprintf(printer->session->problems, ": %.*s\n", TEXT_ARG(bytes_text(&text)));
	bytes_done(&text);
}

/* Rules for which no event had the right log source: the usual reason for a silent scan. */
static void print_idle_rules(struct session *session, const struct scan *scan,
			     const struct ruleset *ruleset)
{
	size_t idle = 0;
	for (size_t i = 0; i < ruleset_count(ruleset); i++) {
		const struct rule *rule = ruleset_rule(ruleset, i);
		struct bytes title = {0};
		if (rule->kind != RULE_DETECTION || scan_rule_counters(scan, i)->candidates > 0)
			continue;
		escape_text(rule->title, &title);
		if (idle++ < RULES_SHOWN)
			(void)fprintf(session->problems, "  no event for: %.*s (%.*s/%.*s/%.*s)\n",
				      TEXT_ARG(bytes_text(&title)),
				      TEXT_ARG(rule->logsource.category),
				      TEXT_ARG(rule->logsource.product),
				      TEXT_ARG(rule->logsource.service));
		bytes_done(&title);
	}
	if (idle > 0)
		(void)fprintf(
			session->problems,
			"%zu rules had no event of their log source (category/product/service); "
			"--input raw tries every rule on every event\n",
			idle);
}

static void print_totals(struct session *session, const struct scan_totals *totals, size_t rules)
{
	(void)fprintf(session->problems,
		      "%" PRIu64 " events read, %" PRIu64 " quarantined; %zu rules, %" PRIu64
		      " matches",
		      totals->events, totals->quarantined, rules, totals->matches);
	if (arguments_has(&session->arguments, "matches"))
		(void)fputs("; alerts were not asked for\n", session->problems);
	else
		(void)fprintf(session->problems, ", %" PRIu64 " alerts\n", totals->alerts);
	if (totals->time_missing > 0)
		(void)fprintf(session->problems,
			      "warning: %" PRIu64
			      " events have no time; their line number counts as "
			      "seconds (--time-field NAME)\n",
			      totals->time_missing);
	if (totals->undecided > 0)
		(void)fprintf(session->problems,
			      "warning: %" PRIu64 " times a rule could not be decided (its pattern "
			      "gave up)\n",
			      totals->undecided);
}

/* What filters took away: a filter that takes nothing, or everything, is worth a look. */
static void print_filters(struct session *session, const struct scan *scan,
			  const struct ruleset *ruleset)
{
	for (size_t i = 0; i < ruleset_filter_count(ruleset); i++) {
		const struct rule_filter *filter = ruleset_filter(ruleset, i);
		struct bytes title = {0};
		escape_text(filter->title, &title);
		(void)fprintf(session->problems,
			      "  filter %.*s: %" PRIu64 " matches excluded, of %zu rules\n",
			      TEXT_ARG(bytes_text(&title)), scan_excluded(scan, filter),
			      filter->tap_count);
		bytes_done(&title);
	}
}

static const struct column alert_columns[] = {
	{"LEVEL", "rule.level", CELL_LEVEL, false}, {"COUNT", "count", CELL_COUNT, false},
	{"FIRST", "first", CELL_TIME, false},       {"LAST", "last", CELL_TIME, false},
	{"RULE", "rule.title", CELL_TEXT, true},    {"GROUP", "group", CELL_MAP, true},
	{"REASON", "reason", CELL_TEXT, true},
};

/* The options of the engine; EXIT_OK or the code of what is wrong. */
static int take_options(struct session *session, struct scan_options *options)
{
	const struct arguments *arguments = &session->arguments;
	const char *lateness = arguments_get(arguments, "lateness");
	const char *time_field = arguments_get(arguments, "time-field");
	*options = (struct scan_options){
		.decoder = {.format = INPUT_AUTO,
			    .time_field = text_of(time_field),
			    .time_trusted = true,
			    .time_line_number = true},
		.final_only = arguments_has(arguments, "final"),
		.lateness_us = -1,
	};
	if (lateness != NULL && !duration_parse(text_of(lateness), &options->lateness_us))
		return session_fail(session, EXIT_USAGE,
				    "--lateness %s is not a duration such as 10s", lateness);
	return session_input(session, &options->decoder);
}

static int take_rules(struct session *session, bool raw, struct ruleset **ret_ruleset)
{
	const char **paths = NULL;
	size_t count = 0;
	if (collect_paths(session, "rules", &paths, &count) != OK)
		return session_fail(session, EXIT_INTERNAL, "out of memory");
	if (count == 0)
		paths[count++] = INSTALLED_RULES;
	struct ruleset_options options = {
		.paths = paths,
		.path_count = count,
		.skip_refused = arguments_has(&session->arguments, "skip-refused"),
		/* Nothing in raw events says what they are; somebody may. */
		.any_logsource = raw && !arguments_has(&session->arguments, "logsource"),
		.verbatim_names = raw,
	};
	if (!arguments_has(&session->arguments, "rules") && access(INSTALLED_RULES, R_OK) != 0) {
		free(paths);
		return session_fail(session, EXIT_USAGE, "name the rules: --rules PATH");
	}
	int code = load_rules(session, &options, ret_ruleset);
	free(paths);
	return code;
}

static void scan_done(struct scan **scan)
{
	if (*scan != NULL)
		scan_free(scan);
}

static void printer_done(struct scan_printer *printer)
{
	bytes_done(&printer->line);
	bytes_done(&printer->safe);
	(void)json_object_put(printer->rows);
}

static int run_engine(struct session *session, const struct scan_options *options,
		      struct scan_printer *printer)
{
	struct scan *scan cleanup(scan_done) = NULL;
	struct privacy *privacy cleanup(privacy_free) = NULL;
	struct scan_options enriched = *options;
	struct scan_totals totals;
	struct error err = {0};
	struct file_options files = {session->arguments.words, session->arguments.word_count};
	enum status status = OK;
	/* What a daemon would replace is replaced here too, so that both see the same event. */
	if (options->decoder.format != INPUT_RAW)
		status = privacy_new(&(struct privacy_options){0}, &privacy, &err);
	enriched.enrich.privacy = privacy;
	if (status == OK)
		status = scan_new(&enriched, &scan, &err);
	if (status == OK)
		status = scan_files(scan, &files, &err);
	if (status == OK)
		status = scan_finish(scan, &totals, &err);
	if (status != OK) {
		(void)session_fail_error(session, &err);
		return status == ESYSTEM || status == ENOTFOUND ? EXIT_DATA
								: (int)exit_of_status(status);
	}
	if (printer->rows != NULL &&
	    output_table(&session->output, alert_columns,
			 sizeof alert_columns / sizeof *alert_columns, printer->rows, &err) != OK)
		return session_fail_error(session, &err);
	(void)fflush(session->output.to);
	if (!session->quiet) {
		print_idle_rules(session, scan, options->ruleset);
		print_filters(session, scan, options->ruleset);
		print_totals(session, &totals, ruleset_count(options->ruleset));
	}
	if (printer->failed)
		return session_fail(session, EXIT_INTERNAL, "the output could not be written");
	return totals.quarantined > 0 || totals.undecided > 0 ? EXIT_INCOMPLETE : EXIT_OK;
}

static int run_scan(struct session *session)
{
	struct ruleset *ruleset cleanup(rule_loading_done) = NULL;
	struct scan_printer printer cleanup(printer_done) = {.session = session};
	struct scan_options options;
	bool table = arguments_has(&session->arguments, "output") &&
		     session->output.format == OUTPUT_TABLE;
	bool matches = arguments_has(&session->arguments, "matches");
	int code = take_options(session, &options);
	if (code == EXIT_OK && table && matches)
		code = session_fail(session, EXIT_USAGE, "--matches is NDJSON only");
	if (code == EXIT_OK)
		code = take_rules(session, options.decoder.format == INPUT_RAW, &ruleset);
	if (code != EXIT_OK)
		return code;
	(void)print_notes(session, ruleset, false);
	printer.filter = session->output.terminal;
	if (table) {
		options.final_only = true;
		printer.rows = json_object_new_array();
		if (printer.rows == NULL)
			return session_fail(session, EXIT_INTERNAL, "out of memory");
	}
	options.ruleset = ruleset;
	options.sink = (struct scan_sink){.on_alert = matches ? NULL : on_alert,
					  .on_match = matches ? on_match : NULL,
					  .on_reject = on_reject,
					  .context = &printer};
	assert(ruleset != NULL);
	return run_engine(session, &options, &printer);
}

const struct command command_scan = {
	.noun = "scan",
	.words = "FILE...",
	.word_min = 1,
	.word_max = ARGUMENTS_MAX,
	.takes = TAKES_OUTPUT,
	.options = scan_options_table,
	.summary = "run the rules over files: no Kafka, no daemon",
	.details =
		"FILE is NDJSON, JSON arrays or .gz of these; - is standard input. One JSON object\n"
		"per alert and revision goes to standard output (-o table: final alerts as a table);\n"
		"what was read goes to standard error. Ends with 0, or 2 when lines could not\n"
		"be read.\n",
	.examples = "  picket scan --rules rules/packs app.ndjson\n"
		    "  picket scan --rules sigma/ --input raw --matches events.json.gz\n"
		    "  picket scan --rules rules/ -o table logs/*.ndjson\n",
	.run = run_scan,
};
