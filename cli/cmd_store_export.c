/* picket store export: every event as a line of JSON, in the order of where it came from.
 *
 * Where an export stands is in its file: the last whole line names the topic, partition, offset and
 * index that were written last, and the next page begins behind them. So there is no second file
 * that could disagree, and a killed export goes on with neither a line twice nor one missing. Lines
 * are synced page by page; a line that was cut is cut off. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/json_reader.h"

enum { PLACE_BYTES = 8192, TAIL_FIRST = 1 << 16, TAIL_MAX = 1 << 30 };

#define PAGE "5000"

struct export
{
	struct session *session;
	struct client *client;
	FILE *to;
	const char *name; /* of the file */
	char after[PLACE_BYTES];
	uint64_t lines;
};

static void file_close(FILE **file)
{
	if (*file != NULL && *file != stdout)
		(void)fclose(*file);
}

static int file_failed(struct session *session, const char *name)
{
	return session_fail(session, EXIT_INTERNAL, "%s: %s%s", name, strerror(errno),
			    errno == ENOSPC ? "; make room and go on with --resume" : "");
}

/* The place of an event as the API takes it: time (which the order does not need) and origin. */
static bool place_of(struct json_object *event, char place[static PLACE_BYTES])
{
	const char *topic = json_path_text(event, "topic");
	const char *offset = json_path_text(event, "offset");
	int size = snprintf(place, PLACE_BYTES, "0/%s/%s/%s/%s", topic,
			    json_path_text(event, "partition"), offset,
			    json_path_text(event, "index"));
	return topic[0] != '\0' && offset[0] != '\0' && size > 0 && size < PLACE_BYTES;
}

/* The last bytes of the file, from the begin of its last whole line on when they hold it. */
static bool tail_find(const char *tail, size_t size, bool is_all, struct text *ret_line)
{
	const char *end = memrchr(tail, '\n', size);
	if (end == NULL)
		return false;
	const char *before = memrchr(tail, '\n', (size_t)(end - tail));
	if (before == NULL && !is_all)
		return false;
	const char *begin = before == NULL ? tail : before + 1;
	*ret_line = (struct text){begin, (size_t)(end - begin)};
	return true;
}

/* Cuts the file behind its last whole line, whose place is where to go on. */
static int resume_at(struct export *export, const char *tail, long tail_at, struct text line)
{
	struct json_object *event cleanup(session_json_done) = json_read(line);
	if (event == NULL || !place_of(event, export->after))
		return session_fail(export->session, EXIT_DATA,
				    "%s does not end like an export; name another file",
				    export->name);
	long end = tail_at + (long)(line.data + line.size + 1 - tail);
	if (ftruncate(fileno(export->to), end) != 0 || fseek(export->to, end, SEEK_SET) != 0)
		return file_failed(export->session, export->name);
	return EXIT_OK;
}

static int resume(struct export *export)
{
	FILE *to = export->to;
	if (fseek(to, 0, SEEK_END) != 0)
		return file_failed(export->session, export->name);
	long size = ftell(to);
	for (long wanted = TAIL_FIRST; wanted <= TAIL_MAX; wanted *= 4) {
		long from = size > wanted ? size - wanted : 0;
		struct text line;
		char *tail = malloc((size_t)(size - from) + 1);
		if (tail == NULL || fseek(to, from, SEEK_SET) != 0 ||
		    fread(tail, 1, (size_t)(size - from), to) != (size_t)(size - from)) {
			free(tail);
			return file_failed(export->session, export->name);
		}
		bool found = tail_find(tail, (size_t)(size - from), from == 0, &line);
		int code = found ? resume_at(export, tail, from, line) : EXIT_OK;
		free(tail);
		if (found)
			return code;
		if (from == 0)
			break;
	}
	/* Not one whole line: from the beginning. */
	if (size > TAIL_MAX || ftruncate(fileno(to), 0) != 0 || fseek(to, 0, SEEK_SET) != 0)
		return file_failed(export->session, export->name);
	return EXIT_OK;
}

static int file_open(struct export *export, bool resumes)
{
	if (strcmp(export->name, "-") == 0) {
		export->to = stdout;
		return resumes ? session_fail(export->session, EXIT_USAGE,
					      "--resume needs a file, which says where to go on")
			       : EXIT_OK;
	}
	export->to = resumes ? fopen(export->name, "r+e") : NULL;
	if (export->to != NULL)
		return resume(export);
	if (!resumes || errno == ENOENT) /* killed before it had begun: it begins now */
		export->to = fopen(export->name, "wxe");
	if (export->to == NULL && errno == EEXIST)
		return session_fail(export->session, EXIT_USAGE,
				    "%s is there already: go on with --resume, or name another",
				    export->name);
	return export->to == NULL ? file_failed(export->session, export->name) : EXIT_OK;
}

/* The lines of one answer, on disk before it returns. */
static int page_write(struct export *export, struct json_object *events)
{
	size_t count = events == NULL ? 0 : json_object_array_length(events);
	for (size_t i = 0; i < count; i++) {
		struct json_object *event = json_object_array_get_idx(events, i);
		(void)fputs(json_object_to_json_string_ext(
				    event, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE),
			    export->to);
		(void)fputc('\n', export->to);
		if (i + 1 == count && !place_of(event, export->after))
			return session_fail(export->session, EXIT_UNREACHABLE,
					    "the answer makes no sense");
	}
	bool failed = fflush(export->to) != 0 || ferror(export->to);
	if (!failed && export->to != stdout)
		failed = fsync(fileno(export->to)) != 0;
	if (failed)
		return file_failed(export->session, export->name);
	export->lines += count;
	return EXIT_OK;
}

static void ask_for_page(const struct export *export, struct question *question)
{
	const struct arguments *arguments = &export->session->arguments;
	question_init(question, "GET", TEXT("/v1/search"));
	question_add(question, "sort", "origin");
	question_add(question, "limit", PAGE);
	question_add(question, "since", arguments_get(arguments, "since"));
	question_add(question, "until", arguments_get(arguments, "until"));
	question_add(question, "tenant", arguments_get(arguments, "tenant"));
	question_add(question, "after", export->after[0] == '\0' ? NULL : export->after);
}

/* *ret_more: there is a next page. A page with a hole in it is not written unless damage is to be
 * passed over: what is behind the hole would otherwise look as if it were all. */
static int page_export(struct export *export, bool *ret_more, bool *damaged)
{
	struct json_object *answer cleanup(session_json_done) = NULL;
	struct question question;
	bool passes_over = arguments_has(&export->session->arguments, "damaged");
	ask_for_page(export, &question);
	int code = session_ask(export->session, export->client, &question, &answer);
	if (code != EXIT_OK)
		return code;
	struct json_object *complete = json_path(answer, "complete");
	bool whole = complete == NULL || json_object_get_boolean(complete);
	if (!whole && !passes_over)
		return session_fail(export->session, EXIT_INCOMPLETE,
				    "%s; --damaged goes on without what cannot be read",
				    json_path_text(answer, "problem"));
	*damaged |= !whole;
	*ret_more = json_object_get_boolean(json_path(answer, "limited"));
	return page_write(export, json_path(answer, "events"));
}

static int run_export(struct session *session)
{
	struct client *client cleanup(session_client_done) = NULL;
	FILE *to cleanup(file_close) = NULL;
	struct error err = {0};
	struct export export = {.session = session, .name = session->arguments.words[0]};
	bool more = true;
	bool damaged = false;
	if (session_client(session, false, &client, &err) != OK)
		return session_fail_error(session, &err);
	export.client = client;
	int code = file_open(&export, arguments_has(&session->arguments, "resume"));
	to = export.to;
	while (code == EXIT_OK && more)
		code = page_export(&export, &more, &damaged);
	if (code == EXIT_OK && !session->quiet && to != stdout)
		(void)fprintf(session->problems, "%" PRIu64 " events written to %s\n", export.lines,
			      export.name);
	if (code == EXIT_OK && damaged)
		return session_fail(session, EXIT_INCOMPLETE,
				    "events in damaged blocks are missing: picket store verify");
	return code;
}

static const struct option options[] = {
	{"resume", 0, NULL,
	 "go on where FILE ends, or begin it; the other options must be the same"},
	{"since", 0, "TIME", "events from then on: a time, or how long ago (1h)"},
	{"until", 0, "TIME", "events up to then"},
	{"damaged", 0, NULL, "go on where a block cannot be read; ends with 2"},
	{0},
};

const struct command command_store_export = {
	.noun = "store",
	.verb = "export",
	.words = "FILE",
	.word_min = 1,
	.word_max = 1,
	.takes = TAKES_SERVER | TAKES_TENANT,
	.options = options,
	.summary = "every stored event as a line of JSON, by where it came from",
	.details =
		"An export that was stopped, even killed, goes on with --resume: no line comes twice and\n"
		"none is missing. FILE may be -, for standard output.\n",
	.examples = "  picket store export events.ndjson\n"
		    "  picket store export events.ndjson --resume\n"
		    "  picket store export --tenant t1 --since 7d - | gzip > t1.ndjson.gz\n",
	.run = run_export,
};
