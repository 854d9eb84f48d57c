/* picket rules tune: a Sigma filter for an alert that was not worth it, tried before it is kept.
 *
 * A filter applies to detections, so that of a correlation's alert is one on the detections it
 * counts, one document for each log source among them. What it excludes is what the alert has in
 * common: its group, or the fields that --by names (from the group or the context of its events).
 */
#include <json-c/json.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "cli/backtest_ask.h"
#include "cli/rule_loading.h"

enum { BASES_MAX = 256, FIELDS_MAX = 16, UUID_BYTES = 16 };

static const struct option tune_options[] = {
	{"rules", 0, "PATH", "the live rules; may be repeated"},
	{"by", 0, "FIELD",
	 "exclude by this field of the alert; may be repeated (default: its group)"},
	OPTIONS_OF_LOADING,
	{"output", 'o', "FORMAT", "table (the filter as YAML) or json"},
	{0},
};

struct tuning {
	struct session *session;
	struct json_object *alert;
	struct ruleset *ruleset;
	const struct rule *rule;
	const struct rule *bases[BASES_MAX]; /* the detections below it */
	size_t base_count;
	const char *names[FIELDS_MAX]; /* of the fields that exclude, and their values */
	const char *values[FIELDS_MAX];
	size_t field_count;
	struct bytes filter;
};

static void tuning_done(struct tuning *tuning)
{
	(void)json_object_put(tuning->alert);
	rule_loading_done(&tuning->ruleset);
	bytes_done(&tuning->filter);
}

/* A YAML scalar that stays text whatever it looks like; a wildcard stays a character. */
static void put_quoted(struct bytes *to, const char *string)
{
	bytes_put_u8(to, '\'');
	for (const char *c = string; *c != '\0'; c++) {
		if (*c == '*' || *c == '?' || *c == '\\')
			bytes_put_u8(to, '\\');
		bytes_put_u8(to, (uint8_t)(*c < 0x20 && *c >= 0 ? ' ' : *c));
		if (*c == '\'')
			bytes_put_u8(to, '\'');
	}
	bytes_put_u8(to, '\'');
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

static bool add_base(struct tuning *tuning, const struct rule *rule)
{
	for (size_t i = 0; i < tuning->base_count; i++) {
		if (tuning->bases[i] == rule)
			return true;
	}
	if (rule->correlation == NULL) {
		if (tuning->base_count == BASES_MAX)
			return false;
		tuning->bases[tuning->base_count++] = rule;
		return true;
	}
	for (size_t i = 0; i < rule->correlation->rule_count; i++) {
		if (!add_base(tuning, ruleset_rule(tuning->ruleset, rule->correlation->rules[i])))
			return false;
	}
	return true;
}

/* The value of a field of the alert: of its group, else of its first event that has it. */
static const char *value_of(struct json_object *alert, const char *field)
{
	struct json_object *value = NULL;
	struct json_object *events = json_path(alert, "events");
	if (json_object_object_get_ex(json_path(alert, "group"), field, &value))
		return json_object_get_string(value);
	for (size_t i = 0; events != NULL && i < json_object_array_length(events); i++) {
		struct json_object *context =
			json_path(json_object_array_get_idx(events, i), "context");
		if (context != NULL && json_object_object_get_ex(context, field, &value))
			return json_object_get_string(value);
	}
	return NULL;
}

static int choose_fields(struct tuning *tuning)
{
	const struct arguments *arguments = &tuning->session->arguments;
	const char **by = NULL;
	size_t count = 0;
	if (collect_paths(tuning->session, "by", &by, &count) != OK)
		return session_fail(tuning->session, EXIT_INTERNAL, "out of memory");
	int code = EXIT_OK;
	for (size_t i = 0; code == EXIT_OK && i < count && i < FIELDS_MAX; i++) {
		tuning->names[i] = by[i];
		tuning->values[i] = value_of(tuning->alert, by[i]);
		tuning->field_count++;
		if (tuning->values[i] == NULL)
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
		if (tuning->field_count == FIELDS_MAX)
			break;
		tuning->names[tuning->field_count] = name;
		tuning->values[tuning->field_count++] = json_object_get_string(value);
	}
	return tuning->field_count > 0
		       ? EXIT_OK
		       : session_fail(tuning->session, EXIT_DATA,
				      "the alert has no group to exclude; name fields with --by");
}

static bool same_logsource(const struct logsource *a, const struct logsource *b)
{
	return text_equal(a->category, b->category) && text_equal(a->product, b->product) &&
	       text_equal(a->service, b->service);
}

static void put_member(struct bytes *to, const char *name, struct text value)
{
	char quoted[512];
	if (value.size == 0)
		return;
	(void)snprintf(quoted, sizeof quoted, "%.*s", TEXT_ARG(value));
	bytes_write_string(to, "    ");
	bytes_write_string(to, name);
	bytes_write_string(to, ": ");
	put_quoted(to, quoted);
	bytes_write_string(to, "\n");
}

static void put_uuid(struct bytes *to)
{
	unsigned char b[UUID_BYTES];
	randombytes_buf(b, sizeof b);
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40); /* version 4 */
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	bytes_print(to, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		    b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12],
		    b[13], b[14], b[15]);
}

/* One filter document, for the detections that share the log source of bases[first]. */
static void put_filter(struct tuning *tuning, size_t first)
{
	struct bytes *to = &tuning->filter;
	const struct logsource *logsource = &tuning->bases[first]->logsource;
	char line[512];
	bytes_write_string(to, to->size == 0 ? "title: " : "---\ntitle: ");
	(void)snprintf(line, sizeof line, "Not worth an alert: %.200s",
		       json_path_text(tuning->alert, "rule.title"));
	put_quoted(to, line);
	bytes_write_string(to, "\nid: ");
	put_uuid(to);
	bytes_print(to, "\ndescription: made from alert %.12s; say why\nlogsource:\n",
		    json_path_text(tuning->alert, "alert_id"));
	put_member(to, "category", logsource->category);
	put_member(to, "product", logsource->product);
	put_member(to, "service", logsource->service);
	bytes_write_string(to, "filter:\n    rules:\n");
	for (size_t i = first; i < tuning->base_count; i++) {
		if (!same_logsource(logsource, &tuning->bases[i]->logsource))
			continue;
		(void)snprintf(line, sizeof line, "%.*s", TEXT_ARG(tuning->bases[i]->key));
		bytes_write_string(to, "        - ");
		put_quoted(to, line);
		bytes_write_string(to, "\n");
	}
	bytes_write_string(to, "    known:\n");
	for (size_t i = 0; i < tuning->field_count; i++) {
		bytes_write_string(to, "        ");
		bytes_write_string(to, tuning->names[i]);
		bytes_write_string(to, ": ");
		put_quoted(to, tuning->values[i]);
		bytes_write_string(to, "\n");
	}
	bytes_write_string(to, "    condition: not known\n");
}

static void put_filters(struct tuning *tuning)
{
	for (size_t i = 0; i < tuning->base_count; i++) {
		bool written = false;
		for (size_t k = 0; k < i; k++)
			written |= same_logsource(&tuning->bases[k]->logsource,
						  &tuning->bases[i]->logsource);
		if (!written)
			put_filter(tuning, i);
	}
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

/* The report's row of the alert's rule. */
static struct json_object *row_of(const struct tuning *tuning, struct json_object *report)
{
	struct json_object *rules = json_path(report, "rules");
	for (size_t i = 0; i < json_object_array_length(rules); i++) {
		struct json_object *row = json_object_array_get_idx(rules, i);
		if (text_equal(text_of(json_path_text(row, "rule")), tuning->rule->key))
			return row;
	}
	return NULL;
}

/* "removes 41 of 43 alerts; keeps 2, 2 of them true positives". Ends with 1 when a true positive
 * would go. */
static int print_effect(const struct tuning *tuning, struct json_object *report)
{
	struct session *session = tuning->session;
	struct json_object *row = row_of(tuning, report);
	if (row == NULL)
		return session_fail(session, EXIT_INTERNAL, "the report lacks the rule");
	long lost = strtol(json_path_text(row, "removed.true-positive"), NULL, 10);
	if (session->output.format == OUTPUT_JSON) {
		json_object_object_add(row, "filter",
				       json_object_new_string_len((const char *)tuning->filter.data,
								  (int)tuning->filter.size));
		output_json(&session->output, row);
	} else {
		(void)fwrite(tuning->filter.data, 1, tuning->filter.size, session->output.to);
		(void)fprintf(
			session->problems,
			"removes %s of %s alerts (%s false positives, %s not judged); keeps %s, "
			"%s of them true positives\n",
			json_path_text(row, "removed.alerts"), json_path_text(row, "before.alerts"),
			json_path_text(row, "removed.false-positive"),
			json_path_text(row, "removed.unjudged"), json_path_text(row, "kept.alerts"),
			json_path_text(row, "kept.true-positive"));
	}
	if (strcmp(json_path_text(report, "complete"), "true") != 0)
		return session_fail(session, EXIT_INCOMPLETE, "the backtest is not complete: %s",
				    json_path_text(report, "problem"));
	return lost == 0 ? EXIT_OK
			 : session_fail(session, EXIT_NEGATIVE,
					"the filter would have hidden %ld true positives; name "
					"fields that tell them apart with --by",
					lost);
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
	if (code == EXIT_OK && !add_base(&tuning, tuning.rule))
		code = session_fail(session, EXIT_DATA, "the rule counts more than %d detections",
				    BASES_MAX);
	if (code == EXIT_OK)
		code = choose_fields(&tuning);
	if (code != EXIT_OK)
		return code;
	put_filters(&tuning);
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
		"rules with and without it over the events of the last 7 days (--since). Ends with 1\n"
		"when it would have hidden an alert that was closed as a true positive.\n",
	.examples = "  picket rules tune 3f9c --rules /etc/picket/rules > filters/load-test.yml\n"
		    "  picket rules tune 3f9c --rules rules/ --by user.id --since 30d\n",
	.run = run_tune,
};
