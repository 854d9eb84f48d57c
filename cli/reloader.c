#include "cli/reloader.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "cli/rule_shadow.h"
#include "cli/wall.h"

void reloader_init(struct reloader *reloader, const struct wiring *wiring, struct runtime *runtime,
		   struct store *store, struct log *log)
{
	*reloader = (struct reloader){.wiring = wiring,
				      .runtime = runtime,
				      .store = store,
				      .log = log,
				      .live_since_us = wall_now_us()};
	int failed = pthread_mutex_init(&reloader->reloading, NULL) |
		     pthread_mutex_init(&reloader->mutex, NULL);
	assert(failed == 0); /* a default mutex needs no memory */
	(void)failed;
}

void reloader_done(struct reloader *reloader)
{
	(void)pthread_mutex_destroy(&reloader->reloading);
	(void)pthread_mutex_destroy(&reloader->mutex);
}

size_t log_skipped_rules(struct log *log, const struct ruleset *ruleset)
{
	size_t count = 0, skipped = 0;
	const struct rule_note *notes = ruleset_notes(ruleset, &count);
	for (size_t i = 0; i < count; i++) {
		struct error one = {0};
		char text[ERROR_TEXT_MAX + ERROR_FILE_MAX];
		if (notes[i].kind != NOTE_REFUSED)
			continue;
		(void)!error_at(&one, EINVALID, notes[i].at, "%.*s", TEXT_ARG(notes[i].text));
		(void)error_print(&one, text, sizeof text);
		const struct log_field field = {"detail", text_of(text)};
		log_line(log, LOG_LEVEL_WARNING, "rule skipped", &field, 1);
		skipped++;
	}
	return skipped;
}

static void note_result(struct reloader *reloader, enum status status, const struct error *problem)
{
	(void)pthread_mutex_lock(&reloader->mutex);
	int64_t now_us = wall_now_us();
	if (status == OK) {
		reloader->succeeded++;
		reloader->live_since_us = now_us;
		reloader->failed_us = 0;
	} else {
		reloader->failed++;
		reloader->failed_us = now_us;
		reloader->problem = *problem;
	}
	(void)pthread_mutex_unlock(&reloader->mutex);
}

static void log_result(struct reloader *reloader, enum status status,
		       const struct reloaded *reloaded, const struct error *problem)
{
	char text[ERROR_TEXT_MAX + ERROR_FILE_MAX];
	if (status == OK)
		(void)snprintf(text, sizeof text,
			       "%zu rules, %zu skipped, hash %016" PRIx64
			       ", %zu bindings, privacy key %s, from epoch %" PRIu64,
			       reloaded->rules, reloaded->skipped, reloaded->hash,
			       reloaded->bindings, reloaded->privacy_key, reloaded->epoch);
	else
		(void)error_print(problem, text, sizeof text);
	const struct log_field field = {"detail", text_of(text)};
	log_line(reloader->log, status == OK ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR,
		 status == OK ? "rules reloaded" : "rules not reloaded, the old ones stay", &field,
		 1);
}

static enum status reload(struct reloader *reloader, struct reloaded *reloaded, struct error *err)
{
	struct generation_parts parts cleanup(generation_parts_free) = {0};
	struct ruleset *ruleset = NULL;
	enum status status = wiring_load_custody(reloader->wiring, &parts, err);
	if (status == OK)
		status = wiring_load_rules(reloader->wiring, &ruleset, err);
	if (status != OK)
		return status;
	parts.ruleset = ruleset;
	struct generation *before = runtime_rules(reloader->runtime);
	reloaded->hash_before = before->hash;
	generation_drop(&before);
	reloaded->rules = ruleset_count(ruleset);
	reloaded->hash = ruleset_hash(ruleset);
	reloaded->skipped = log_skipped_rules(reloader->log, ruleset);
	reloaded->bindings = bindings_count(parts.bindings);
	(void)snprintf(reloaded->privacy_key, sizeof reloaded->privacy_key, "%s",
		       privacy_key_name(parts.privacy));
	status = runtime_swap(reloader->runtime, &parts, &reloaded->epoch, err);
	if (status != OK)
		return status;
	/* They are live; one that could not be noted does not block, which the gate tells. */
	struct generation *live cleanup(generation_drop) = runtime_rules(reloader->runtime);
	(void)!rule_shadow_note(reloader->store, live, wall_now_us(), NULL);
	return OK;
}

enum status reloader_run(struct reloader *reloader, struct reloaded *ret_reloaded,
			 struct error *err)
{
	struct reloaded reloaded = {0};
	struct error problem = {0};
	(void)pthread_mutex_lock(&reloader->reloading);
	enum status status = reload(reloader, &reloaded, &problem);
	if (status != OK && problem.text[0] == '\0')
		(void)error_set(&problem, status, "%s", status_text(status));
	note_result(reloader, status, &problem);
	log_result(reloader, status, &reloaded, &problem);
	(void)pthread_mutex_unlock(&reloader->reloading);
	if (status == OK)
		*ret_reloaded = reloaded;
	else if (err != NULL)
		*err = problem;
	return status;
}

struct reload_report reloader_report(struct reloader *reloader)
{
	(void)pthread_mutex_lock(&reloader->mutex);
	struct reload_report report = {reloader->succeeded, reloader->failed,
				       reloader->live_since_us, reloader->failed_us,
				       reloader->problem};
	(void)pthread_mutex_unlock(&reloader->mutex);
	return report;
}
