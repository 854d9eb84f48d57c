/* picket rules test */
#include <assert.h>
#include <stdlib.h>

#include "cli/command.h"
#include "cli/escape.h"
#include "cli/json_writer.h"
#include "cli/rule_loading.h"
#include "cli/rule_trial.h"
#include "cli/rules_json.h"
#include "ingest/decode.h"

static const struct option test_options[] = {
	{"output", 'o', "FORMAT", "table, json, ndjson or junit"},
	OPTIONS_OF_LOADING,
	OPTION_FORMATS,
	{"color", 0, "WHEN", "auto, always or never (also: NO_COLOR)"},
	{0},
};

static const struct column test_columns[] = {
	{"RESULT", "result", CELL_STATE, false}, {"RULE", "title", CELL_TEXT, true},
	{"TEST", "test", CELL_TEXT, true},       {"ORDERS", "orders", CELL_COUNT, false},
	{"MESSAGE", "message", CELL_TEXT, true}, {"AT", "at", CELL_PLACE, true},
};

struct test_run {
	struct bytes results; /* the members of a JSON array */
	struct json_writer json;
	struct bytes junit; /* <testcase> elements */
	size_t passed, failed;
	size_t rules_without;
};

static void put_junit(struct bytes *to, const struct rule *rule, const struct rule_test *test,
		      const struct trial_result *result)
{
	bytes_write_string(to, "  <testcase classname=\"");
	xml_put(to, rule->title);
	bytes_write_string(to, "\" name=\"");
	xml_put(to, test->name);
	bytes_write_string(to, "\" file=\"");
	xml_put(to, text_of(test->at.file));
	bytes_write_string(to, "\"");
	if (!result->passed) {
		bytes_write_string(to, "><failure message=\"");
		xml_put(to, text_of(result->message));
		bytes_write_string(to, "\"/></testcase>\n");
	} else {
		bytes_write_string(to, "/>\n");
	}
}

static void add_result(struct test_run *run, const struct rule *rule, const struct rule_test *test,
		       const struct trial_result *result)
{
	struct json_writer *json = &run->json;
	run->passed += result->passed;
	run->failed += !result->passed;
	json_write_open(json, NULL, '{');
	json_write_text(json, "rule", rule->key);
	json_write_text(json, "title", rule->title);
	json_write_text(json, "test", test->name);
	json_write_string(json, "result", result->passed ? "passed" : "failed");
	json_write_count(json, "alerts", result->alerts);
	json_write_count(json, "expected", test->expect_alerts);
	json_write_count(json, "orders", result->orders);
	json_write_string(json, "message", result->message);
	position_json("at", test->at, json);
	json_write_close(json, '}');
	put_junit(&run->junit, rule, test, result);
}

static enum status run_all(const struct trial_setting *setting, struct test_run *run,
			   struct error *err)
{
	const struct ruleset *ruleset = setting->ruleset;
	for (size_t i = 0; i < ruleset_count(ruleset); i++) {
		const struct rule *rule = ruleset_rule(ruleset, i);
		run->rules_without += rule->test_count == 0 && rule->alerts;
		for (size_t j = 0; j < rule->test_count; j++) {
			struct trial_result result;
			enum status status =
				rule_trial(setting, rule, &rule->tests[j], &result, err);
			if (status != OK)
				return status;
			add_result(run, rule, &rule->tests[j], &result);
		}
	}
	return OK;
}

static int print_run(struct session *session, struct test_run *run)
{
	FILE *to = session->output.to;
	struct error err = {0};
	size_t all = run->passed + run->failed;
	if (session->output.format == OUTPUT_JUNIT) {
		(void)fprintf(to,
			      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
			      "<testsuite name=\"picket rules test\" tests=\"%zu\" "
			      "failures=\"%zu\">\n%.*s</testsuite>\n",
			      all, run->failed, TEXT_ARG(bytes_text(&run->junit)));
		return EXIT_OK;
	}
	bytes_put_u8(&run->results, 0);
	struct json_object *rows cleanup(session_json_done) =
		run->results.failed ? NULL : json_tokener_parse((const char *)run->results.data);
	if (rows == NULL)
		return session_fail(session, EXIT_INTERNAL, "out of memory");
	if (session->output.format == OUTPUT_NDJSON)
		output_lines(&session->output, json_path(rows, "tests"));
	else if (session->output.format == OUTPUT_JSON)
		output_json(&session->output, rows);
	else if (all > 0 && output_table(&session->output, test_columns,
					 sizeof test_columns / sizeof *test_columns,
					 json_path(rows, "tests"), &err) != OK)
		return session_fail_error(session, &err);
	return EXIT_OK;
}

static int finish(struct session *session, struct test_run *run)
{
	int code = print_run(session, run);
	if (code != EXIT_OK)
		return code;
	if (!session->quiet)
		(void)fprintf(session->problems,
			      "%zu passed, %zu failed; %zu rules that alert have no "
			      "test\n",
			      run->passed, run->failed, run->rules_without);
	if (run->passed + run->failed == 0)
		return session_fail(session, EXIT_NEGATIVE, "no test was found under picket.tests");
	return run->failed > 0 ? EXIT_NEGATIVE : EXIT_OK;
}

static int run_test(struct session *session)
{
	struct ruleset *ruleset cleanup(rule_loading_done) = NULL;
	struct decoder_options reading = {0};
	struct test_run run = {0};
	struct error err = {0};
	struct ruleset_options options = {.paths = session->arguments.words,
					  .path_count = session->arguments.word_count};
	int code = load_rules(session, &options, &ruleset);
	if (code == EXIT_OK)
		code = session_input(session, &reading);
	if (code != EXIT_OK)
		return code;
	run.json = (struct json_writer){.to = &run.results};
	json_write_open(&run.json, NULL, '{');
	json_write_string(&run.json, "schema", "picket.tests/1");
	json_write_open(&run.json, "tests", '[');
	const struct trial_setting setting = {.ruleset = ruleset, .formats = reading.formats};
	enum status status = run_all(&setting, &run, &err);
	json_write_close(&run.json, ']');
	json_write_close(&run.json, '}');
	code = status == OK ? finish(session, &run) : session_fail_error(session, &err);
	bytes_done(&run.results);
	bytes_done(&run.junit);
	assert(code >= EXIT_OK);
	return code;
}

const struct command command_rules_test = {
	.noun = "rules",
	.verb = "test",
	.words = "PATH...",
	.word_min = 1,
	.word_max = ARGUMENTS_MAX,
	.options = test_options,
	.summary = "run the tests inside the rules (picket.tests)",
	.details =
		"Events go through the same engine as live ones; a test with `permute: true` is\n"
		"run again in other orders of arrival and must give the same alerts. Ends with 1 when\n"
		"a test fails or there is none.\n",
	.examples = "  picket rules test rules/packs\n"
		    "  picket rules test my-rule.yml -o junit > results.xml\n",
	.run = run_test,
};
