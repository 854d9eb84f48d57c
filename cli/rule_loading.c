#include "cli/rule_loading.h"

#include <assert.h>
#include <stdlib.h>

void rule_loading_done(struct ruleset **ruleset)
{
	if (*ruleset != NULL)
		ruleset_free(ruleset);
}

enum status collect_paths(const struct session *session, const char *option,
			  const char ***ret_paths, size_t *ret_count)
{
	const struct arguments *arguments = &session->arguments;
	size_t most = option == NULL ? arguments->word_count : arguments->option_count;
	const char **paths = calloc(most + 1, sizeof *paths);
	size_t count = 0;
	if (paths == NULL)
		return ENOMEMORY;
	for (size_t i = 0; i < most; i++) {
		const char *path =
			option == NULL ? arguments->words[i] : arguments_each(arguments, option, i);
		if (path != NULL)
			paths[count++] = path;
	}
	*ret_paths = paths;
	*ret_count = count;
	return OK;
}

int load_rules(struct session *session, const struct ruleset_options *options,
	       struct ruleset **ret_ruleset)
{
	struct error err = {0};
	struct ruleset *ruleset = NULL;
	struct ruleset_options complete = *options;
	const char **lists = NULL, **pipelines = NULL;
	assert(options->path_count > 0);
	enum status status = collect_paths(session, "list", &lists, &complete.list_count);
	if (status == OK)
		status = collect_paths(session, "pipeline", &pipelines, &complete.pipeline_count);
	complete.lists = lists;
	complete.pipelines = pipelines;
	if (status == OK)
		status = ruleset_load(&complete, &ruleset, &err);
	else
		status = error_set(&err, status, "out of memory");
	free(lists);
	free(pipelines);
	if (status != OK) {
		(void)session_fail_error(session, &err);
		/* A path that cannot be read is a wrong path, not a fault of the machine. */
		return status == ESYSTEM || status == ENOTFOUND ? EXIT_DATA
								: (int)exit_of_status(status);
	}
	*ret_ruleset = ruleset;
	return EXIT_OK;
}

struct note_counts print_notes(struct session *session, const struct ruleset *ruleset,
			       bool warnings_too)
{
	struct note_counts counts = {0};
	size_t count = 0;
	const struct rule_note *notes = ruleset_notes(ruleset, &count);
	for (size_t i = 0; i < count; i++) {
		struct error one = {0};
		char text[ERROR_TEXT_MAX + ERROR_FILE_MAX];
		bool refused = notes[i].kind == NOTE_REFUSED;
		counts.refused += refused;
		counts.warnings += !refused;
		if (!refused && !warnings_too)
			continue;
		(void)!error_at(&one, EINVALID, notes[i].at, "%s: %.*s%s%.*s",
				refused ? "refused" : "warning", TEXT_ARG(notes[i].text),
				notes[i].fix.size == 0 ? "" : "; ", TEXT_ARG(notes[i].fix));
		(void)error_print(&one, text, sizeof text);
		output_text(session->problems, text);
		output_text(session->problems, "\n");
	}
	return counts;
}
