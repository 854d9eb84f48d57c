/* --input, --formats and --logsource: how files are read. */
#include <string.h>

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

/* category=...,product=...,service=...: empty texts when it is not given. */
static int logsource_option(struct session *session, struct logsource *ret_logsource)
{
	static const char *const names[] = {"category", "product", "service"};
	struct text rest = text_of(arguments_get(&session->arguments, "logsource"));
	struct text values[3] = {TEXT(""), TEXT(""), TEXT("")};
	bool given = rest.data != NULL;
	while (given) {
		const char *comma = rest.size == 0 ? NULL : memchr(rest.data, ',', rest.size);
		struct text pair = {rest.data,
				    comma == NULL ? rest.size : (size_t)(comma - rest.data)};
		const char *equals = pair.size == 0 ? NULL : memchr(pair.data, '=', pair.size);
		struct text key = {pair.data, equals == NULL ? 0 : (size_t)(equals - pair.data)};
		size_t at = 0;
		while (at < 3 && !text_equal(key, text_of(names[at])))
			at++;
		if (at == 3 || key.size + 1 == pair.size || values[at].size > 0)
			return session_fail(
				session, EXIT_USAGE,
				"--logsource %s: write category=, product= or service=, "
				"each at most once: product=aws,service=cloudtrail",
				arguments_get(&session->arguments, "logsource"));
		values[at] = text_cut(pair, key.size + 1);
		given = comma != NULL;
		rest = text_cut(rest, pair.size + (comma != NULL));
	}
	*ret_logsource = (struct logsource){values[0], values[1], values[2]};
	return EXIT_OK;
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
	return logsource_option(session, &options->logsource);
}
