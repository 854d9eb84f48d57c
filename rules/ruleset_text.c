/* A rule set as texts: what the files under its paths say, for a place that does not have them, as
 * the daemon that tries the rules of a command. */
#include "rules/pipeline_private.h"
#include "rules/rule_files_private.h"
#include "rules/ruleset.h"

enum { TEXT_BYTES_MAX = 256 * 1024 * 1024 };

struct text_session {
	struct bytes *to;
	struct arena *arena;
	rule_text_visit *visit;
	void *context;
};

static const char *const yaml_suffixes[] = {".yml", ".yaml", NULL};

static enum status file_append(void *context, const char *path, struct error *err)
{
	struct text_session *session = context;
	struct text bytes = {0};
	enum status status = yaml_read_file(path, session->arena, &bytes, err);
	if (status != OK)
		return status;
	bytes_put(session->to, "\n---\n", session->to->size == 0 ? 0 : 5);
	bytes_write(session->to, bytes);
	return bytes_status(session->to);
}

enum status ruleset_text(const char *const *paths, size_t count, struct bytes *to,
			 struct error *err)
{
	struct arena *arena cleanup(arena_free) = arena_new(TEXT_BYTES_MAX);
	struct text_session session = {.to = to, .arena = arena};
	enum status status = arena == NULL ? error_set(err, ENOMEMORY, "no memory for rules") : OK;
	for (size_t i = 0; status == OK && i < count; i++)
		status = rule_files_visit(paths[i], yaml_suffixes, file_append, &session, err);
	return status;
}

enum status ruleset_lists_visit(const struct ruleset_options *options, rule_text_visit *visit,
				void *context, struct error *err)
{
	struct arena *arena cleanup(arena_free) = arena_new(TEXT_BYTES_MAX);
	enum status status = arena == NULL ? error_set(err, ENOMEMORY, "no memory for lists") : OK;
	for (size_t i = 0; status == OK && i < options->list_count; i++) {
		struct value_lists lists = {0};
		status = lists_read(&lists, options->lists[i], arena, err);
		for (size_t k = 0; status == OK && k < lists.count; k++) {
			struct rule_text one = {.name = lists.items[k].name};
			status = yaml_read_file(lists.items[k].file, arena, &one.text, err);
			if (status == OK)
				status = visit(context, &one);
		}
	}
	return status;
}

static enum status pipeline_visit(void *context, const char *path, struct error *err)
{
	struct text_session *session = context;
	struct rule_text one = {.name = text_of(path)};
	enum status status = yaml_read_file(path, session->arena, &one.text, err);
	return status == OK ? session->visit(session->context, &one) : status;
}

enum status ruleset_pipelines_visit(const struct ruleset_options *options, rule_text_visit *visit,
				    void *context, struct error *err)
{
	struct arena *arena cleanup(arena_free) = arena_new(TEXT_BYTES_MAX);
	struct text_session session = {.arena = arena, .visit = visit, .context = context};
	enum status status =
		arena == NULL ? error_set(err, ENOMEMORY, "no memory for pipelines") : OK;
	for (size_t i = 0; status == OK && i < options->pipeline_count; i++)
		status = rule_files_visit(options->pipelines[i], yaml_suffixes, pipeline_visit,
					  &session, err);
	return status;
}
