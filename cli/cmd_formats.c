/* picket formats list, picket formats test */
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/json_writer.h"
#include "ingest/decode.h"
#include "ingest/format.h"

static const struct option formats_options[] = {OPTION_FORMATS, {0}};

static const struct column list_columns[] = {
	{"FORMAT", "name", CELL_TEXT, COLUMN_WHOLE},
	{"TITLE", "title", CELL_TEXT, COLUMN_WHOLE},
	{"RECOGNISED BY", "recognised_by", CELL_TEXT, COLUMN_CUT},
	{"RANK", "rank", CELL_COUNT, COLUMN_MINOR},
	{"ROWS", "rows", CELL_COUNT, COLUMN_MINOR},
	{"TESTS", "tests", CELL_COUNT, COLUMN_MINOR},
	{"FILE", "file", CELL_TEXT, COLUMN_CUT},
};

static struct json_object *info_object(const struct formats *formats, size_t index)
{
	const struct format_info info = formats_info(formats, index);
	struct json_object *object = json_object_new_object();
	if (object == NULL)
		return NULL;
	(void)json_object_object_add(object, "name", json_object_new_string(info.name));
	(void)json_object_object_add(object, "title", json_object_new_string(info.title));
	(void)json_object_object_add(
		object, "recognised_by",
		json_object_new_string_len(
			info.recognised_by.size == 0 ? "anything else" : info.recognised_by.data,
			info.recognised_by.size == 0 ? (int)strlen("anything else")
						     : (int)info.recognised_by.size));
	(void)json_object_object_add(object, "rank", json_object_new_int(info.rank));
	(void)json_object_object_add(object, "rows",
				     json_object_new_int64((int64_t)info.row_count));
	(void)json_object_object_add(object, "tests",
				     json_object_new_int64((int64_t)info.test_count));
	(void)json_object_object_add(object, "file", json_object_new_string(info.file));
	return object;
}

static int run_list(struct session *session)
{
	struct decoder_options options = {0};
	struct error err = {0};
	int code = session_input(session, &options);
	if (code != EXIT_OK)
		return code;
	struct json_object *rows cleanup(session_json_done) = json_object_new_array();
	if (rows == NULL)
		return session_fail(session, EXIT_INTERNAL, "out of memory");
	for (size_t i = 0; i < formats_count(session->formats); i++)
		(void)json_object_array_add(rows, info_object(session->formats, i));
	if (session->output.format == OUTPUT_JSON)
		output_json(&session->output, rows);
	else if (session->output.format == OUTPUT_NDJSON)
		output_lines(&session->output, rows);
	else if (output_table(&session->output, list_columns,
			      sizeof list_columns / sizeof *list_columns, rows, &err) != OK)
		return session_fail_error(session, &err);
	return EXIT_OK;
}

static void print_failure(void *context, struct position at, struct text what)
{
	struct session *session = context;
	char text[ERROR_TEXT_MAX + ERROR_FILE_MAX];
	(void)snprintf(text, sizeof text, "%s:%u:%u: %.*s\n", at.file, at.line, at.column,
		       TEXT_ARG(what));
	output_text(session->problems, text);
}

static int run_test(struct session *session)
{
	const struct format_test_sink sink = {.on_failure = print_failure, .context = session};
	struct decoder_options options = {0};
	struct error err = {0};
	size_t run = 0;
	size_t failed = 0;
	int code = session_input(session, &options);
	if (code != EXIT_OK)
		return code;
	if (formats_test(session->formats, &sink, &run, &failed, &err) != OK)
		return session_fail_error(session, &err);
	if (!session->quiet)
		(void)fprintf(session->output.to, "%zu formats, %zu tests, %zu failed\n",
			      formats_count(session->formats), run, failed);
	return failed == 0 ? EXIT_OK : EXIT_NEGATIVE;
}

const struct command command_formats_list = {
	.noun = "formats",
	.verb = "list",
	.words = "",
	.takes = TAKES_OUTPUT,
	.options = formats_options,
	.summary = "the formats of logs that are understood, in the order they are tried",
	.details =
		"A record is of the first format whose fields it has. What each becomes, and how\n"
		"to add one: docs/FORMATS.md.\n",
	.examples = "  picket formats list\n  picket formats list --formats ours/ -o json\n",
	.run = run_list,
};

const struct command command_formats_test = {
	.noun = "formats",
	.verb = "test",
	.words = "",
	.options = formats_options,
	.summary = "run the tests inside the mapping files",
	.details = "Exit code 1 when one fails, 65 when a file is refused.\n",
	.examples = "  picket formats test --formats ours/\n",
	.run = run_test,
};
