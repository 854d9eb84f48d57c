/* picket store verify|backup */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"

enum { KEY_DIGITS_MAX = 2 * 4096 + 1, PATH_BYTES = 4096 };

static const char *const sums[] = {"row_blocks", "merged_blocks", "blooms",
				   "events",     "rows",          "damaged"};
enum { SUMS = sizeof sums / sizeof *sums };

/* One stretch of the store; *after is where to go on, "" at the end. */
static int verify_step(struct session *session, struct client *client,
		       char after[static KEY_DIGITS_MAX], uint64_t totals[static SUMS])
{
	struct json_object *answer cleanup(session_json_done) = NULL;
	struct question question;
	question_init(&question, "GET", TEXT("/v1/store/verify"));
	question_add(&question, "after", after[0] == '\0' ? NULL : after);
	int code = session_ask(session, client, &question, &answer);
	if (code != EXIT_OK)
		return code;
	for (size_t i = 0; i < SUMS; i++)
		totals[i] += (uint64_t)json_object_get_int64(json_path(answer, sums[i]));
	struct json_object *problems = json_path(answer, "problems");
	for (size_t i = 0; problems != NULL && i < json_object_array_length(problems); i++) {
		output_text(session->problems,
			    json_object_get_string(json_object_array_get_idx(problems, i)));
		(void)fputc('\n', session->problems);
	}
	const char *next = json_path_text(answer, "next");
	if (strlen(next) >= KEY_DIGITS_MAX)
		return session_fail(session, EXIT_UNREACHABLE, "the answer makes no sense");
	(void)strcpy(after, next);
	return EXIT_OK;
}

static int run_verify(struct session *session)
{
	struct client *client cleanup(session_client_done) = NULL;
	struct error err = {0};
	char after[KEY_DIGITS_MAX] = "";
	uint64_t totals[SUMS] = {0};
	if (session_client(session, false, &client, &err) != OK)
		return session_fail_error(session, &err);
	int code = EXIT_OK;
	do
		code = verify_step(session, client, after, totals);
	while (code == EXIT_OK && after[0] != '\0');
	if (code != EXIT_OK)
		return code;
	struct json_object *object cleanup(session_json_done) = json_object_new_object();
	for (size_t i = 0; i < SUMS; i++)
		(void)json_object_object_add(object, sums[i],
					     json_object_new_int64((int64_t)totals[i]));
	if (session->output.format == OUTPUT_TABLE)
		for (size_t i = 0; i < SUMS; i++)
			(void)fprintf(session->output.to, "%-14s %" PRIu64 "\n", sums[i],
				      totals[i]);
	else
		output_json(&session->output, object);
	if (totals[SUMS - 1] > 0)
		return session_fail(
			session, EXIT_INCOMPLETE,
			"damaged: searches over such blocks say \"incomplete\"; restore a "
			"backup, or let picket read the topics again");
	return EXIT_OK;
}

const struct command command_store_verify = {
	.noun = "store",
	.verb = "verify",
	.words = "",
	.takes = TAKES_OUTPUT | TAKES_SERVER,
	.summary = "reads every row of the store and counts what cannot be read",
	.details =
		"Ends with 2 when something is damaged. Takes about a second for a million events.\n",
	.examples = "  picket store verify\n  picket store verify --data /backup/picket\n",
	.run = run_verify,
};

static int run_backup(struct session *session)
{
	struct client *client cleanup(session_client_done) = NULL;
	struct json_object *answer cleanup(session_json_done) = NULL;
	struct question question;
	struct error err = {0};
	char path[2 * PATH_BYTES];
	char here[PATH_BYTES] = "";
	const char *word = session->arguments.words[0];
	if (word[0] != '/' && getcwd(here, sizeof here) == NULL)
		return session_fail(session, EXIT_INTERNAL, "where are we? Give an absolute path");
	int size = snprintf(path, sizeof path, "%s%s%s", here, word[0] == '/' ? "" : "/", word);
	if (size < 0 || (size_t)size >= sizeof path)
		return session_fail(session, EXIT_USAGE, "the path is too long");
	if (session_client(session, true, &client, &err) != OK)
		return session_fail_error(session, &err);
	question_init(&question, "POST", TEXT("/v1/store/backup"));
	question_add(&question, "path", path);
	int code = session_ask(session, client, &question, &answer);
	if (code == EXIT_OK && !session->quiet)
		(void)fprintf(session->output.to, "%s\n", json_path_text(answer, "path"));
	return code;
}

const struct command command_store_backup = {
	.noun = "store",
	.verb = "backup",
	.words = "FOLDER",
	.word_min = 1,
	.word_max = 1,
	.takes = TAKES_SERVER,
	.summary = "a copy of the store, while the daemon runs",
	.details =
		"FOLDER is made on the machine of the daemon. On the same disk files are linked, so it\n"
		"takes a moment. `picket store restore` puts it back.\n",
	.examples = "  picket store backup /backup/picket-2026-11-22\n",
	.run = run_backup,
};
