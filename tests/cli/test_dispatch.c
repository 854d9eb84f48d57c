/* Lines of words: their exit codes, what they print and what they say. */
#include "cli/dispatch.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char *out, *problems;

/* Runs a line (words between blanks); fills out and problems. */
static int run(const char *line)
{
	char copy[1024];
	const char *words[32];
	size_t count = 0;
	size_t out_size = 0;
	size_t problems_size = 0;
	free(out);
	free(problems);
	snprintf(copy, sizeof copy, "%s", line);
	char *rest = copy;
	for (char *word = strsep(&rest, " "); word != NULL; word = strsep(&rest, " ")) {
		if (word[0] != '\0')
			words[count++] = word;
	}
	struct session session = {.environment = {.user = "tester"},
				  .output = {.to = open_memstream(&out, &out_size)},
				  .problems = open_memstream(&problems, &problems_size)};
	int code = dispatch(&session, words, count);
	fclose(session.output.to);
	fclose(session.problems);
	return code;
}

static const struct {
	const char *line;
	int code;
	const char *problem; /* a part of standard error */
} lines[] = {
	{"", 64, "Commands"},
	{"help", 0, ""},
	{"--help", 0, ""},
	{"-h", 0, ""},
	{"version", 0, ""},
	{"--version", 0, ""},
	{"version --help", 0, ""},
	{"alrets list", 64, "did you mean \"alerts\"?"},
	{"zzzzzz", 64, "no command \"zzzzzz\"; see picket --help"},
	{"alerts", 64, "alerts what? It has: list, show, ack, assign, close, reopen"},
	{"alerts lits", 64, "did you mean \"list\"?"},
	{"alerts --help", 0, ""},
	{"alerts -h", 0, ""},
	{"help alerts", 0, ""},
	{"help alerts list", 0, ""},
	{"help gate", 0, ""},
	{"help alrets", 64, "did you mean \"alerts\"? see"},
	{"help alerts lits", 64, "did you mean \"list\"? it has"},
	{"status --data /nowhere", 69, "no picket store in /nowhere"},
	{"alerts list --limti 5", 64, "did you mean --limit?"},
	{"alerts list extra", 64, "usage: picket alerts list"},
	{"alerts show", 64, "usage: picket alerts show ID..."},
	{"alerts list -o xml", 64, "-o xml is none of"},
	{"alerts list -o junit", 64, "-o junit is none of"},
	{"alerts list --color blue", 64, "--color is auto, always or never"},
	{"alerts list --server unix:/nowhere", 69, "no daemon answers"},
	{"alerts list --server /nowhere", 64, "is no server"},
	{"alerts list --server unix:/nowhere --data /nowhere", 64, "exclude each other"},
	{"alerts close abcd", 64, "close says what it was: --as true-positive"},
	{"alerts assign abcd --to=", 64, "assign says to whom: --to NAME"},
	{"alerts ack abcd --data /nowhere", 64, "--data only reads"},
	{"events show x --server unix:/nowhere", 64, "is not TOPIC/PARTITION/OFFSET"},
	{"sources seek t 0 1", 64, "a running daemon cannot seek"},
	{"sources seek t x 1 --data /nowhere", 64, "are numbers"},
	{"check -c /nowhere.yaml", 65, "cannot read the configuration"},
	{"run -c /nowhere.yaml", 65, "cannot read the configuration"},
	{"scan", 64, "usage: picket scan FILE..."},
	{"explain-event", 64, "usage: picket explain-event FILE..."},
	{"explain-event /nowhere", 1, "/nowhere"},
	{"explain-event --limit x /dev/null", 64, "--limit x is not a number"},
	{"formats list --formats /nowhere", 65, "/nowhere"},
	{"formats test -q", 0, ""},
	{"scan --input oktta x", 64, "--input oktta is none of"},
	{"scan --lateness 5 x", 64, "--lateness 5 is not a duration"},
	{"scan --rules /nowhere x", 65, "/nowhere"},
	{"rules lint /nowhere", 65, "/nowhere"},
	{"rules test", 64, "usage: picket rules test PATH..."},
	{"gate --service s", 64, "--canary VERSION"},
	{"gate --service s --canary v --wait soon", 64, "is not a duration"},
	{"gate --service s --canary v --format xml", 64, "--format is text or json"},
	{"gate --service s --canary v --server nonsense", 64, "is no server"},
	{"gate --service s --canary v --server unix:/nowhere", 5, ""},
	{"gate --service s --canary v --server unix:/nowhere --dry-run", 0, ""},
};

START_TEST(test_exit_codes)
{
	int code = run(lines[_i].line);
	ck_assert_msg(code == lines[_i].code, "%s: %d instead of %d: %s", lines[_i].line, code,
		      lines[_i].code, problems);
	ck_assert_msg(strstr(problems, lines[_i].problem) != NULL, "%s: \"%s\" lacks \"%s\"",
		      lines[_i].line, problems, lines[_i].problem);
}
END_TEST

START_TEST(test_gate_unavailable_is_json_too)
{
	ck_assert_int_eq(run("gate --service s --canary v --server unix:/nowhere -o json"), 5);
	struct json_object *answer = json_tokener_parse(out);
	ck_assert_str_eq(json_path_text(answer, "verdict"), "UNAVAILABLE");
	ck_assert_str_eq(json_path_text(answer, "ok"), "false");
	ck_assert_str_eq(json_path_text(answer, "schema"), "picket.gate/1");
	json_object_put(answer);
}
END_TEST

START_TEST(test_every_command_has_help)
{
	size_t count = 0;
	const struct command *const *all = command_list(&count);
	ck_assert_uint_gt(count, 15);
	for (size_t i = 0; i < count; i++) {
		char line[128];
		snprintf(line, sizeof line, "%s %s --help", all[i]->noun,
			 all[i]->verb == NULL ? "" : all[i]->verb);
		ck_assert_int_eq(run(line), 0);
		ck_assert_msg(strstr(out, "Examples:\n  picket ") != NULL, "%s", out);
		ck_assert_ptr_nonnull(strstr(out, all[i]->summary));
		/* A command that is its noun alone stands behind those with a verb. */
		for (size_t j = 0; j < i; j++)
			ck_assert(strcmp(all[i]->noun, all[j]->noun) != 0 ||
				  (all[j]->verb != NULL &&
				   (all[i]->verb == NULL ||
				    strcmp(all[i]->verb, all[j]->verb) != 0)));
	}
}
END_TEST

START_TEST(test_hostile_words_are_escaped)
{
	ck_assert_int_eq(run("al\x1b[31mrts"), 64);
	ck_assert_ptr_null(strchr(problems, '\x1b'));
	ck_assert_ptr_nonnull(strstr(problems, "al\\x1b[31mrts"));
}
END_TEST

/* A folder with a rule and logs, for the commands that work on files. */
static char folder[] = "/tmp/picket-test-cli-XXXXXX";

static void write_file(const char *name, const char *text)
{
	char path[256];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
}

static int run_in_folder(const char *format)
{
	char line[1024];
	snprintf(line, sizeof line, format, folder, folder);
	return run(line);
}

#define RULE                                                                                \
	"title: Door forced\nid: 5f0c2d7e-8f0f-4f0a-9a53-1d3b6a4b7c11\n"                    \
	"description: somebody forced a door\nstatus: test\n"                               \
	"logsource: {product: microservice}\n"                                              \
	"detection:\n  sel: {event.action: force}\n  condition: sel\nlevel: high\n"         \
	"picket:\n  tests:\n"                                                               \
	"    - name: one\n      expect: {alerts: %s}\n      permute: true\n      events:\n" \
	"        - {at: 0s, event: {event.action: force, user.id: u}}\n"                    \
	"        - {at: 1s, event: {event.action: knock, user.id: u}}\n"

static void files_setup(void)
{
	char rule[1024];
	(void)mkdir(folder, 0700);
	snprintf(rule, sizeof rule, RULE, "1");
	write_file("good.yml", rule);
	snprintf(rule, sizeof rule, RULE, "2");
	write_file("fails.yml", rule);
	write_file("bad.yml", "title: x\nlogsource: {product: p}\ndetection:\n  sel: {a|nope: b}\n"
			      "  condition: sel\n");
	write_file(
		"logs.ndjson",
		"{\"@timestamp\":\"2026-01-01T00:00:00Z\",\"event.action\":\"force\",\"user.id\":"
		"\"\\u001b[31m\"}\n{\"@timestamp\":\"2026-01-01T00:00:01Z\",\"event.action\":"
		"\"knock\"}\n");
	write_file("broken.ndjson", "{\"a\":\n{}\n");
}

START_TEST(test_scan)
{
	files_setup();
	ck_assert_int_eq(run_in_folder("scan --final --rules %s/good.yml %s/logs.ndjson"), 0);
	struct json_object *alert = json_tokener_parse(out);
	ck_assert_str_eq(json_path_text(alert, "schema"), "picket.alert/1");
	ck_assert_str_eq(json_path_text(alert, "count"), "1");
	json_object_put(alert);
	ck_assert_ptr_nonnull(strstr(problems, "2 events read, 0 quarantined; 1 rules, 1 matches"));
	ck_assert_int_eq(run_in_folder("scan --matches --rules %s/good.yml %s/logs.ndjson"), 0);
	struct json_object *match = json_tokener_parse(out);
	ck_assert_str_eq(json_path_text(match, "event.line"), "1");
	json_object_put(match);
	ck_assert_int_eq(run_in_folder("scan -o table --rules %s/good.yml %s/logs.ndjson"), 0);
	ck_assert_ptr_null(strchr(out, '\x1b'));
	ck_assert_ptr_nonnull(strstr(out, "\\x1b[31m"));
	ck_assert_int_eq(run_in_folder("scan --rules %s/good.yml %s/broken.ndjson"), 2);
	ck_assert_ptr_nonnull(strstr(problems, "broken.ndjson:1: not_json"));
	ck_assert_int_eq(run_in_folder("scan --rules %s/bad.yml %s/logs.ndjson"), 65);
	ck_assert_ptr_nonnull(strstr(problems, "bad.yml:4:"));
	ck_assert_int_eq(run_in_folder("scan --rules %s/good.yml %s/none.ndjson"), 65);
}
END_TEST

START_TEST(test_rules)
{
	files_setup();
	ck_assert_int_eq(run_in_folder("rules lint %s/good.yml"), 0);
	ck_assert_int_eq(run_in_folder("rules lint %s/bad.yml"), 65);
	ck_assert_ptr_nonnull(strstr(problems, "bad.yml:4:"));
	ck_assert_int_eq(run_in_folder("rules test %s/good.yml"), 0);
	ck_assert_ptr_nonnull(strstr(problems, "1 passed, 0 failed"));
	ck_assert_int_eq(run_in_folder("rules test %s/fails.yml -o junit"), 1);
	ck_assert_ptr_nonnull(strstr(out, "failures=\"1\""));
	ck_assert_ptr_nonnull(strstr(out, "<failure message=\"1 alerts instead of 2\"/>"));
	ck_assert_int_eq(run_in_folder("rules list --rules %s/good.yml -o ndjson"), 0);
	ck_assert_ptr_nonnull(strstr(out, "\"title\":\"Door forced\""));
	ck_assert_ptr_nonnull(strstr(out, "\"cost\":{\"summary\":\"hash, compare\""));
	ck_assert_int_eq(run_in_folder("rules list --rules %s/good.yml"), 0);
	ck_assert_ptr_nonnull(strstr(out, "COST"));
	ck_assert_int_eq(run_in_folder("rules test %s/good.yml --formats /nowhere"), 65);
	ck_assert_int_eq(run_in_folder("rules show --rules %s/good.yml nothing"), 1);
}
END_TEST

START_TEST(test_check)
{
	char config[512];
	files_setup();
	snprintf(config, sizeof config,
		 "data_dir: %s/data\nfiles: [logs.ndjson]\nrules: {paths: "
		 "[good.yml]}\n",
		 folder);
	write_file("good.yaml", config);
	ck_assert_int_eq(run_in_folder("check -c %s/good.yaml"), 0);
	ck_assert_ptr_nonnull(strstr(out, "is good: 1 rules"));
	write_file("bad.yaml",
		   "data_dir: /proc/picket\nfiles: [none.ndjson]\nrules: {paths: "
		   "[bad.yml, good.yml]}\napi: {listen: \"0.0.0.0:1\", token_file: t}\n");
	ck_assert_int_eq(run_in_folder("check -c %s/bad.yaml"), 65);
	ck_assert_ptr_nonnull(strstr(problems, "none.ndjson"));
	ck_assert_ptr_nonnull(strstr(problems, "bad.yml:4:"));
	ck_assert_ptr_nonnull(strstr(problems, "api.token_file: cannot read"));
	write_file("bad.yaml", "data_dir: d\nfiles: [logs.ndjson]\nrules: {paths: [good.yml]}\n"
			       "api: {tls_certificate_file: logs.ndjson, tls_key_file: none}\n");
	ck_assert_int_eq(run_in_folder("check -c %s/bad.yaml"), 65);
	ck_assert_ptr_nonnull(strstr(problems, "logs.ndjson is no PEM file with a \"BEGIN CERT"));
	ck_assert_ptr_nonnull(strstr(problems, "api.tls_key_file: cannot read"));
	ck_assert_int_eq(run("check --config-docs"), 0);
	ck_assert_ptr_nonnull(strstr(out, "| `data_dir` |"));
}
END_TEST

static void remove_folder(void)
{
	static const char *const names[] = {"good.yml",      "fails.yml", "bad.yml", "logs.ndjson",
					    "broken.ndjson", "good.yaml", "bad.yaml"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char path[256];
		snprintf(path, sizeof path, "%s/%s", folder, names[i]);
		unlink(path);
	}
	rmdir(folder);
}

int main(void)
{
	Suite *suite = suite_create("dispatch");
	TCase *all = tcase_create("all");
	if (mkdtemp(folder) == NULL)
		return EXIT_FAILURE;
	tcase_set_timeout(all, 120);
	tcase_add_loop_test(all, test_exit_codes, 0, sizeof lines / sizeof *lines);
	tcase_add_test(all, test_gate_unavailable_is_json_too);
	tcase_add_test(all, test_every_command_has_help);
	tcase_add_test(all, test_hostile_words_are_escaped);
	tcase_add_test(all, test_scan);
	tcase_add_test(all, test_rules);
	tcase_add_test(all, test_check);
	suite_add_tcase(suite, all);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	free(out);
	free(problems);
	remove_folder();
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
