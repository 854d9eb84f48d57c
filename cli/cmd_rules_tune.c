/* picket rules tune: a filter for an alert that was not worth it (cli/rule_filter.h), tried before
 * it is kept. What it excludes is what the alert has in common: its group, or the fields that --by
 * names (from the group or the context of its events).
 *
 * A filter takes events away from detections, and with them from every rule that counts these: so
 * what other rules would lose is told too, and a true positive of theirs counts as one of its own.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "cli/backtest_ask.h"
#include "cli/rule_filter.h"
#include "cli/rule_loading.h"

static const struct option tune_options[] = {
	{"rules", 0, "PATH", "the live rules; may be repeated"},
	{"by", 0, "FIELD",
	 "exclude by this field of the alert; may be repeated (default: its group)"},
	{"expires", 0, "DAY", "the filter takes nothing away from then on: 2027-01-31"},
	OPTIONS_OF_LOADING,
	{"output", 'o', "FORMAT", "table (the filter as YAML) or json"},
	{0},
};

struct tuning {
	struct session *session;
	struct json_object *alert;
	struct ruleset *ruleset;
	const struct rule *rule;
	struct filter_field fields[FILTER_FIELDS_MAX];
	size_t field_count;
	struct bytes filter;
};

static void tuning_done(struct tuning *tuning)
{
	(void)json_object_put(tuning->alert);
	rule_loading_done(&tuning->ruleset);
	bytes_done(&tuning->filter);
}

static int read_alert(struct tuning *tuning, struct client *client)
{
	struct question question;
	char path[128];
	(void)snprintf(path, sizeof path, "/v1/alerts/%.64s", tuning->session->arguments.words[0]);
	question_init(&question, "GET", text_of(path));
	question_add(&question, "tenant", arguments_get(&tuning->session->arguments, "tenant"));
	return session_ask(tuning->session, client, &question, &tuning->alert);
}

static int read_rules(struct tuning *tuning)
{
	struct session *session = tuning->session;
	const char **paths = NULL;
	struct ruleset_options options = {.skip_refused = true};
	if (collect_paths(session, "rules", &paths, &options.path_count) != OK)
		return session_fail(session, EXIT_INTERNAL, "out of memory");
	options.paths = paths;
	int code = options.path_count == 0
			   ? session_fail(session, EXIT_USAGE, "name the live rules: --rules PATH")
			   : load_rules(session, &options, &tuning->ruleset);
	free(paths);
	if (code != EXIT_OK)
		return code;
	const char *id = json_path_text(tuning->alert, "rule.id");
	const char *name = json_path_text(tuning->alert, "rule.name");
	tuning->rule = ruleset_find(tuning->ruleset, text_of(id[0] != '\0' ? id : name));
	return tuning->rule != NULL
		       ? EXIT_OK
		       : session_fail(session, EXIT_DATA,
				      "the rule of the alert (%s, \"%s\") is not under "
				      "--rules",
				      id, json_path_text(tuning->alert, "rule.title"));
}

static void add_field(struct tuning *tuning, const char *name, const char *value)
{
	tuning->fields[tuning->field_count++] =
		(struct filter_field){text_of(name), text_of(value)};
}

static int choose_fields(struct tuning *tuning)
{
	const struct arguments *arguments = &tuning->session->arguments;
	const char **by = NULL;
	size_t count = 0;
	if (collect_paths(tuning->session, "by", &by, &count) != OK)
		return session_fail(tuning->session, EXIT_INTERNAL, "out of memory");
	int code = count <= FILTER_FIELDS_MAX
			   ? EXIT_OK
			   : session_fail(tuning->session, EXIT_USAGE, "--by may be given %d times",
					  FILTER_FIELDS_MAX);
	for (size_t i = 0; code == EXIT_OK && i < count; i++) {
		const char *value = json_alert_field(tuning->alert, by[i]);
		if (value != NULL)
			add_field(tuning, by[i], value);
		else
			code = session_fail(tuning->session, EXIT_DATA,
					    "the alert has no %s in its group or in the context of "
					    "its events: picket alerts show %s",
					    by[i], arguments->words[0]);
	}
	free(by);
	if (count > 0)
		return code;
	json_object_object_foreach(json_path(tuning->alert, "group"), name, value)
	{
		if (tuning->field_count < FILTER_FIELDS_MAX)
			add_field(tuning, name, json_object_get_string(value));
	}
	return tuning->field_count > 0
		       ? EXIT_OK
		       : session_fail(tuning->session, EXIT_DATA,
				      "the alert has no group to exclude; name fields with --by");
}

static int write_filter(struct tuning *tuning)
{
	struct rule_filter_options options = {
		.ruleset = tuning->ruleset,
		.rule = tuning->rule,
		.alert_id = text_of(json_path_text(tuning->alert, "alert_id")),
		.fields = tuning->fields,
		.field_count = tuning->field_count,
		.expires = text_of(arguments_get(&tuning->session->arguments, "expires")),
	};
	struct error err = {0};
	if (!tuning->rule->cross_tenant)
		options.tenant = text_of(json_path_text(tuning->alert, "tenant"));
	return rule_filter_write(&options, &tuning->filter, &err) == OK
		       ? EXIT_OK
		       : session_fail_error(tuning->session, &err);
}

static int try_filter(struct tuning *tuning, struct client *client, struct json_object **ret_report)
{
	struct bytes old cleanup(bytes_done) = {0};
	struct bytes rules cleanup(bytes_done) = {0};
	struct error err = {0};
	const char **paths = NULL;
	size_t count = 0;
	if (collect_paths(tuning->session, "rules", &paths, &count) != OK)
		return session_fail(tuning->session, EXIT_INTERNAL, "out of memory");
	enum status status = ruleset_text(paths, count, &old, &err);
	free(paths);
	if (status != OK)
		return session_fail_error(tuning->session, &err);
	bytes_write(&rules, bytes_text(&old));
	bytes_write_string(&rules, "\n---\n");
	bytes_write(&rules, bytes_text(&tuning->filter));
	if (rules.failed || tuning->filter.failed)
		return session_fail(tuning->session, EXIT_INTERNAL, "out of memory");
	return backtest_ask(tuning->session, client, bytes_text(&rules), bytes_text(&old),
			    ret_report);
}

static long count_at(struct json_object *row, const char *path)
{
	return strtol(json_path_text(row, path), NULL, 10);
}

static bool is_own(const struct tuning *tuning, struct json_object *row)
{
	return text_equal(text_of(json_path_text(row, "rule")), tuning->rule->key);
}

/* "removes 41 of 43 alerts; keeps 2, 2 of them true positives". */
static void print_own(FILE *to, struct json_object *row)
{
	(void)fprintf(
		to,
		"removes %s of %s alerts (%s false positives, %s not judged); keeps %s, %s of "
		"them true positives\n",
		json_path_text(row, "removed.alerts"), json_path_text(row, "before.alerts"),
		json_path_text(row, "removed.false-positive"),
		json_path_text(row, "removed.unjudged"), json_path_text(row, "kept.alerts"),
		json_path_text(row, "kept.true-positive"));
}

/* What changes for a rule that is not the alert's; added alerts are told of that one too. */
static void print_side_effect(FILE *to, struct json_object *row, bool own)
{
	if (!own && count_at(row, "removed.alerts") > 0)
		(void)fprintf(to,
			      "also removes %s of %s alerts of \"%s\" (%s true positives, %s not "
			      "judged)\n",
			      json_path_text(row, "removed.alerts"),
			      json_path_text(row, "before.alerts"), json_path_text(row, "title"),
			      json_path_text(row, "removed.true-positive"),
			      json_path_text(row, "removed.unjudged"));
	if (count_at(row, "added.alerts") > 0)
		(void)fprintf(to, "adds %s alerts of \"%s\"\n", json_path_text(row, "added.alerts"),
			      json_path_text(row, "title"));
}

/* {the row of the alert's rule, "filter": YAML, "others": the rows of rules that it changes too} */
static void print_json(const struct tuning *tuning, struct json_object *rules,
		       struct json_object *own)
{
	struct json_object *others = json_object_new_array();
	for (size_t i = 0; i < json_object_array_length(rules); i++) {
		struct json_object *row = json_object_array_get_idx(rules, i);
		bool changed = count_at(row, "removed.alerts") + count_at(row, "added.alerts") > 0;
		if (row != own && changed)
			(void)json_object_array_add(others, json_object_get(row));
	}
	(void)json_object_object_add(own, "filter",
				     json_object_new_string_len((const char *)tuning->filter.data,
								(int)tuning->filter.size));
	(void)json_object_object_add(own, "others", others);
	output_json(&tuning->session->output, own);
}

/* Ends with 1 when a true positive would go, of whatever rule, or when nothing would. */
static int print_effect(const struct tuning *tuning, struct json_object *report)
{
	struct session *session = tuning->session;
	struct json_object *rules = json_path(report, "rules");
	struct json_object *own = NULL;
	bool json = session->output.format == OUTPUT_JSON;
	long lost = 0;
	for (size_t i = 0; i < json_object_array_length(rules); i++) {
		struct json_object *row = json_object_array_get_idx(rules, i);
		own = is_own(tuning, row) ? row : own;
		lost += count_at(row, "removed.true-positive");
	}
	if (own == NULL)
		return session_fail(
			session, EXIT_DATA,
			"\"%.*s\" raises no alerts of its own any more: informational, or "
			"without `generate` below a correlation",
			TEXT_ARG(tuning->rule->title));
	if (json)
		print_json(tuning, rules, own);
	else {
		(void)fwrite(tuning->filter.data, 1, tuning->filter.size, session->output.to);
		(void)fflush(session->output.to);
		print_own(session->problems, own);
	}
	for (size_t i = 0; !json && i < json_object_array_length(rules); i++) {
		struct json_object *row = json_object_array_get_idx(rules, i);
		print_side_effect(session->problems, row, row == own);
	}
	if (strcmp(json_path_text(report, "complete"), "true") != 0)
		return session_fail(session, EXIT_INCOMPLETE, "the backtest is not complete: %s",
				    json_path_text(report, "problem"));
	if (lost > 0)
		return session_fail(session, EXIT_NEGATIVE,
				    "the filter would have hidden %ld true positives; name "
				    "fields that tell them apart with --by",
				    lost);
	return count_at(own, "removed.alerts") > 0
		       ? EXIT_OK
		       : session_fail(
				 session, EXIT_NEGATIVE,
				 "the filter takes away none of the alerts that the rule finds in "
				 "the stored events; look further back with --since, or name "
				 "other fields with --by");
}

static int run_tune(struct session *session)
{
	struct client *client cleanup(session_client_done) = NULL;
	struct json_object *report cleanup(session_json_done) = NULL;
	struct tuning tuning cleanup(tuning_done) = {.session = session};
	struct error err = {0};
	if (session_client(session, false, &client, &err) != OK)
		return session_fail_error(session, &err);
	int code = read_alert(&tuning, client);
	if (code == EXIT_OK)
		code = read_rules(&tuning);
	if (code == EXIT_OK)
		code = choose_fields(&tuning);
	if (code == EXIT_OK)
		code = write_filter(&tuning);
	if (code == EXIT_OK)
		code = try_filter(&tuning, client, &report);
	return code == EXIT_OK ? print_effect(&tuning, report) : code;
}

const struct command command_rules_tune = {
	.noun = "rules",
	.verb = "tune",
	.words = "ALERT",
	.word_min = 1,
	.word_max = 1,
	.takes = TAKES_SERVER | TAKES_RANGE | TAKES_TENANT,
	.options = tune_options,
	.summary = "a filter for an alert that was not worth it, and what it would have hidden",
	.details =
		"Prints a Sigma filter that excludes what the alert is about, after running the live\n"
		"rules with and without it over the events of the last 7 days (--since). It says what\n"
		"every rule would lose. Ends with 1 when it would have hidden an alert that was closed\n"
		"as a true positive, of whatever rule, or when it takes nothing away.\n",
	.examples = "  picket rules tune 3f9c --rules /etc/picket/rules > filters/load-test.yml\n"
		    "  picket rules tune 3f9c --rules rules/ --by user.id --since 30d\n",
	.run = run_tune,
};
