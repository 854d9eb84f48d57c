/* --input and --formats: how files are read. */
#include "cli/command.h"
#include "ingest/decode.h"
#include "ingest/format.h"
#include "rules/yaml.h"

enum { PATHS_MAX = 64 };

static int no_such_format(struct session *session, const char *word)
{
	const char *words[FORMATS_MAX + 2] = {"auto", "raw"};
	size_t count = formats_count(session->formats);
	for (size_t i = 0; i < count; i++)
		words[i + 2] = formats_info(session->formats, i).name;
	const char *nearest = nearest_name(text_of(word), words, count + 2);
	return session_fail(session, EXIT_USAGE,
			    "--input %s is none of auto, raw and the formats%s%s%s (see picket "
			    "formats list)",
			    word, nearest == NULL ? "" : "; did you mean ",
			    nearest == NULL ? "" : nearest, nearest == NULL ? "" : "?");
}

int session_input(struct session *session, struct decoder_options *options)
{
	const char *word = arguments_get(&session->arguments, "input");
	const char *paths[PATHS_MAX];
	struct error err = {0};
	size_t count = 0;
	for (const char *path = NULL;
	     (path = arguments_each(&session->arguments, "formats", count)) != NULL;) {
		if (count == PATHS_MAX)
			return session_fail(session, EXIT_USAGE, "--formats at most %d times",
					    PATHS_MAX);
		paths[count++] = path;
	}
	if (session->formats == NULL && formats_new(paths, count, &session->formats, &err) != OK)
		return session_fail_error(session, &err);
	decoder_options_input(options, text_of(word));
	options->formats = session->formats;
	if (options->format == INPUT_NAMED &&
	    formats_find(session->formats, text_of(word)) == formats_count(session->formats))
		return no_such_format(session, word);
	return EXIT_OK;
}
