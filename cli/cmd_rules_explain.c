/* picket rules explain */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/rule_events.h"
#include "cli/rule_explanation.h"
#include "cli/rule_loading.h"
#include "rules/yaml.h"

#define INSTALLED_RULES "/usr/share/picket/rules"

enum { EXPLAIN_ARENA_MAX = 1 << 28 };

static const struct option explain_options[] = {
	{"rules", 0, "PATH",
	 "rule files or folders (default: RULE as a file, or " INSTALLED_RULES ")"},
	OPTIONS_OF_LOADING,
	OPTION_INPUT,
	OPTION_FORMATS,
	OPTION_LOGSOURCE,
	{"line", 0, "NUMBER", "which event of the file (default: the first)"},
	{0},
};

struct explaining {
	const struct ruleset *ruleset;
	struct arena *arena;
	const struct rule *rule;
	uint64_t wanted; /* events still to be passed over */
	bool found;
	enum status status;
	bool as_json;
	struct bytes text;
	struct json_writer json;
};

static enum status explain_detection(struct explaining *work, const struct rule *rule,
				     const struct event *event)
{
	struct explanation explanation;
	enum status status = explain_rule(work->ruleset, rule, event, work->arena, &explanation);
	if (status != OK)
		return status;
	if (work->as_json)
		explanation_json(rule, event, &explanation, &work->json);
	else
		explanation_text(rule, event, &explanation, &work->text);
	return OK;
}

/* A correlation is explained by the detections it counts; a rule file by all of its rules. */
static enum status explain_one(struct explaining *work, const struct rule *rule,
			       const struct event *event)
{
	if (rule->correlation == NULL)
		return explain_detection(work, rule, event);
	enum status status = OK;
	for (size_t i = 0; status == OK && i < rule->correlation->rule_count; i++)
		status = explain_one(work, ruleset_rule(work->ruleset, rule->correlation->rules[i]),
				     event);
	return status;
}

static bool on_event(void *context, const struct event *event)
{
	struct explaining *work = context;
	if (work->wanted-- > 1)
		return true;
	work->found = true;
	if (work->rule != NULL) {
		work->status = explain_one(work, work->rule, event);
		return false;
	}
	for (size_t i = 0; work->status == OK && i < ruleset_count(work->ruleset); i++) {
		const struct rule *rule = ruleset_rule(work->ruleset, i);
		if (rule->correlation == NULL)
			work->status = explain_detection(work, rule, event);
	}
	return false;
}

static const struct rule *find_rule(const struct ruleset *ruleset, const char *word)
{
	const struct rule *rule = ruleset_find(ruleset, text_of(word));
	for (size_t i = 0; rule == NULL && i < ruleset_count(ruleset); i++)
		if (text_equal(ruleset_rule(ruleset, i)->title, text_of(word)))
			rule = ruleset_rule(ruleset, i);
	return rule;
}

static int print(struct session *session, struct explaining *work)
{
	bytes_put_u8(&work->text, 0);
	if (work->text.failed)
		return session_fail(session, EXIT_INTERNAL, "out of memory");
	if (!work->as_json) {
		output_text(session->output.to, (const char *)work->text.data);
		return EXIT_OK;
	}
	struct json_object *answer cleanup(session_json_done) =
		json_tokener_parse((const char *)work->text.data);
	if (answer == NULL)
		return session_fail(session, EXIT_INTERNAL, "out of memory");
	if (session->output.format == OUTPUT_NDJSON)
		output_lines(&session->output, json_path(answer, "explanations"));
	else
		output_json(&session->output, answer);
	return EXIT_OK;
}

static int explain_event(struct session *session, struct explaining *work)
{
	struct decoder_options options;
	struct rule_event_totals totals = {0};
	struct error err = {0};
	int code = rule_events_options(session, &options);
	if (code != EXIT_OK)
		return code;
	work->json = (struct json_writer){.to = &work->text};
	if (work->as_json) {
		json_write_open(&work->json, NULL, '{');
		json_write_string(&work->json, "schema", "picket.explanation/1");
		json_write_open(&work->json, "explanations", '[');
	}
	const char *path = session->arguments.words[1];
	enum status status = rule_events_read(path, &options, on_event, work, &totals, &err);
	if (status != OK) {
		(void)session_fail_error(session, &err);
		return status == ENOTFOUND || status == ESYSTEM ? EXIT_DATA
								: (int)exit_of_status(status);
	}
	if (work->status != OK)
		return session_fail(session, EXIT_INTERNAL, "out of memory for the explanation");
	if (!work->found)
		return session_fail(
			session, EXIT_DATA, "no such event: %" PRIu64 " can be read in %s%s%s",
			totals.events, path, totals.rejects > 0 ? "; " : "", totals.reason);
	if (work->as_json) {
		json_write_close(&work->json, ']');
		json_write_close(&work->json, '}');
	}
	return print(session, work);
}

/* RULE is a file when there is one of that name: then its rules are loaded. */
static int load(struct session *session, bool *ret_is_file, struct ruleset **ret_ruleset)
{
	const char **paths = NULL;
	size_t count = 0;
	const char *word = session->arguments.words[0];
	const char *input = arguments_get(&session->arguments, "input");
	bool raw = input != NULL && strcmp(input, "raw") == 0;
	if (collect_paths(session, "rules", &paths, &count) != OK)
		return session_fail(session, EXIT_INTERNAL, "out of memory");
	bool is_file = count == 0 && access(word, R_OK) == 0;
	if (count == 0)
		paths[count++] = is_file ? word : INSTALLED_RULES;
	struct ruleset_options options = {
		.paths = paths,
		.path_count = count,
		.skip_refused = !is_file,
		.any_logsource = raw && !arguments_has(&session->arguments, "logsource"),
		.verbatim_names = raw,
	};
	int code = load_rules(session, &options, ret_ruleset);
	free(paths);
	*ret_is_file = is_file;
	return code;
}

static void explaining_done(struct explaining *work)
{
	arena_free(&work->arena);
	bytes_done(&work->text);
}

static int run_explain(struct session *session)
{
	struct ruleset *ruleset cleanup(rule_loading_done) = NULL;
	struct explaining work cleanup(explaining_done) = {.wanted = 1};
	const char *word = session->arguments.words[0];
	const char *line = arguments_get(&session->arguments, "line");
	bool is_file = false;
	if (line != NULL) {
		char *end = NULL;
		work.wanted = strtoull(line, &end, 10);
		if (*end != '\0' || line[0] < '1' || line[0] > '9')
			return session_fail(session, EXIT_USAGE, "--line %s is no number from 1",
					    line);
	}
	int code = load(session, &is_file, &ruleset);
	if (code != EXIT_OK)
		return code;
	assert(ruleset != NULL);
	work.ruleset = ruleset;
	work.rule = is_file ? NULL : find_rule(ruleset, word);
	if (work.rule == NULL && !is_file)
		return session_fail(session, EXIT_DATA,
				    "no rule has the id, name or title \"%s\", and it is no file",
				    word);
	work.arena = arena_new(EXPLAIN_ARENA_MAX);
	if (work.arena == NULL)
		return session_fail(session, EXIT_INTERNAL, "out of memory");
	work.as_json = session->output.format != OUTPUT_TABLE;
	return explain_event(session, &work);
}

const struct command command_rules_explain = {
	.noun = "rules",
	.verb = "explain",
	.words = "RULE EVENT-FILE",
	.word_min = 2,
	.word_max = 2,
	.takes = TAKES_OUTPUT,
	.options = explain_options,
	.summary = "why a rule matches an event, or does not",
	.details =
		"RULE is an id, a name, a title, or a rule file. EVENT-FILE is NDJSON, a JSON array or\n"
		".gz of these; - is standard input. First comes what decided, with the values of the\n"
		"event; then every part of the condition with its answer. For a correlation, the\n"
		"detections it counts are explained. Ends with 0 whatever the answer is.\n",
	.examples =
		"  picket rules explain my-rule.yml event.json\n"
		"  picket rules explain --rules sigma/ --input raw 'Whoami Execution' events.ndjson "
		"--line 3\n",
	.run = run_explain,
};
