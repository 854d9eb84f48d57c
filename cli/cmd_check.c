/* picket check */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/check.h"
#include "cli/command.h"

enum { CHECK_ARENA_BYTES = 64 * 1024 * 1024 };

static const struct option check_options_table[] = {
	{"config", 'c', "FILE", "the configuration (also: PICKET_CONFIG; /etc/picket/picket.yaml)"},
	{"no-broker", 0, NULL, "do not ask the Kafka brokers"},
	{"config-docs", 0, NULL, "print docs/CONFIG.md, the page of all keys"},
	{0},
};

static void print_problems(struct session *session, const struct problems *problems)
{
	for (size_t i = 0; i < problems->count; i++) {
		char text[ERROR_TEXT_MAX + ERROR_FILE_MAX];
		(void)error_print(&problems->items[i], text, sizeof text);
		output_text(session->problems, text);
		output_text(session->problems, "\n");
	}
	if (problems->cut > 0)
		(void)fprintf(session->problems, "... and %zu more\n", problems->cut);
}

static int check_file(struct session *session, const char *file, struct arena *arena)
{
	struct problems problems;
	struct config config;
	struct check_totals totals = {0};
	struct error err = {0};
	struct check_options options = {
		.config = &config,
		.arena = arena,
		.ask_broker = !arguments_has(&session->arguments, "no-broker"),
	};
	enum status status = problems_init(&problems, arena, &err);
	if (status == OK)
		status = config_load(file, &problems, &config, &err);
	if (status == OK)
		status = check_config(&options, &problems, &totals, &err);
	if (status != OK)
		return session_fail_error(session, &err);
	print_problems(session, &problems);
	if (problems.count > 0)
		return session_fail(session, EXIT_DATA, "%s: %zu problem%s", file,
				    problems.count + problems.cut,
				    problems.count + problems.cut == 1 ? "" : "s");
	if (!session->quiet)
		(void)fprintf(
			session->output.to,
			"%s is good: %zu rules (%zu warnings, see picket rules lint), %zu topics "
			"with %zu partitions\n",
			file, totals.rules, totals.rule_warnings, totals.topics, totals.partitions);
	return EXIT_OK;
}

static int run_check(struct session *session)
{
	struct arena *arena cleanup(arena_free) = arena_new(CHECK_ARENA_BYTES);
	if (arena == NULL)
		return session_fail(session, EXIT_INTERNAL, "out of memory");
	if (arguments_has(&session->arguments, "config-docs")) {
		struct bytes page = {0};
		config_document(&page);
		(void)fwrite(page.data, 1, page.size, session->output.to);
		bytes_done(&page);
		return EXIT_OK;
	}
	return check_file(session, session_config(session), arena);
}

const struct command command_check = {
	.noun = "check",
	.words = "",
	.options = check_options_table,
	.summary = "open everything a configuration names, tell every problem",
	.details =
		"Reads the file, loads the rules, asks the brokers for the topics, looks at the\n"
		"data folder and the files; changes nothing. Exit code 65 when there is a problem.\n",
	.examples =
		"  picket check -c picket.yaml\n  picket check --config-docs > docs/CONFIG.md\n",
	.run = run_check,
};
