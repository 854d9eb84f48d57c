/* /v1/rules: what is live, and taking what is on disk in its place. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/api_private.h"
#include "cli/reloader.h"
#include "cli/rule_shadow.h"
#include "cli/rules_json.h"

static void times_free(int64_t **times)
{
	free(*times);
}

/* By rule index, when a rule with gate: block will block; INT64_MIN when it does. */
static enum status read_shadows(const struct api_call *call, int64_t **ret_times, struct error *err)
{
	struct generation *rules cleanup(generation_drop) = api_rules_hold(call->api);
	size_t count = ruleset_count(call->ruleset);
	int64_t *times cleanup(times_free) = calloc(count + 1, sizeof *times);
	if (times == NULL)
		return error_set(err, ENOMEMORY, "no memory for the rules");
	for (size_t i = 0; i < count; i++) {
		const struct rule *rule = ruleset_rule(call->ruleset, i);
		times[i] = INT64_MIN;
		if (rule->gate != GATE_BLOCK)
			continue;
		enum status status = rule_shadow_ends(call->api->store, rules, rule->key,
						      call->api->block_after_us, &times[i], err);
		if (status != OK)
			return status;
		if (times[i] <= api_now(call->api))
			times[i] = INT64_MIN;
	}
	*ret_times = TAKE(times);
	return OK;
}

enum status api_rules(const struct api_call *call, struct api_response *response, struct error *err)
{
	if (call->ruleset == NULL)
		return error_set(err, EUNAVAILABLE,
				 "no rules are loaded here; name them with --rules PATH");
	struct verdicts *verdicts cleanup(verdicts_free) = NULL;
	int64_t *blocks_from_us cleanup(times_free) = NULL;
	struct json_writer json = {.to = &response->body};
	enum status status = verdicts_read(call->api->store, call->ruleset, &verdicts, err);
	if (status == OK)
		status = read_shadows(call, &blocks_from_us, err);
	int percent = 0;
	struct generation *warming cleanup(generation_drop) = api_warming_hold(call->api, &percent);
	const struct rules_facts facts = {.verdicts = verdicts,
					  .blocks_from_us = blocks_from_us,
					  .live = call->api->rules != NULL,
					  .warming = warming,
					  .warmed_percent = percent};
	if (status == OK)
		rules_json(call->ruleset, api_parameter(call, "level"), &facts, &json);
	return status;
}

static void write_hash(struct json_writer *json, const char *name, uint64_t hash)
{
	char text[20];
	(void)snprintf(text, sizeof text, "%016" PRIx64, hash);
	json_write_string(json, name, text);
}

enum status api_rules_reload(const struct api_call *call, struct api_response *response,
			     struct error *err)
{
	struct reloaded reloaded;
	if (call->api->reloader == NULL)
		return error_set(err, EUNAVAILABLE,
				 "no daemon runs here; a start reads the rules anyway");
	enum status status = reloader_run(call->api->reloader, &reloaded, err);
	if (status == ENOTFOUND ||
	    status == ESYSTEM) /* a path of the configuration, not of this API */
		status = EINVALID;
	if (status != OK)
		return status;
	struct json_writer json = {.to = &response->body};
	json_write_open(&json, NULL, '{');
	json_write_string(&json, "schema", "picket.reload/1");
	json_write_count(&json, "rules", reloaded.rules);
	json_write_count(&json, "skipped", reloaded.skipped);
	write_hash(&json, "hash", reloaded.hash);
	write_hash(&json, "hash_before", reloaded.hash_before);
	json_write_boolean(&json, "changed", reloaded.hash != reloaded.hash_before);
	json_write_count(&json, "bindings", reloaded.bindings);
	json_write_string(&json, "privacy_key", reloaded.privacy_key);
	json_write_count(&json, "epoch", reloaded.epoch);
	json_write_close(&json, '}');
	return OK;
}

static size_t count_skipped(const struct ruleset *ruleset, size_t *ret_blocking)
{
	size_t count = 0, skipped = 0;
	const struct rule_note *notes = ruleset_notes(ruleset, &count);
	*ret_blocking = 0;
	for (size_t i = 0; i < count; i++) {
		skipped += notes[i].kind == NOTE_REFUSED;
		*ret_blocking += notes[i].kind == NOTE_REFUSED && notes[i].gate_block;
	}
	return skipped;
}

/* Rules with gate: block that count as gate: warn until they have been watched for long enough. */
static size_t count_young(const struct api_call *call)
{
	int64_t *blocks_from_us cleanup(times_free) = NULL;
	size_t count = 0;
	if (read_shadows(call, &blocks_from_us, NULL) != OK)
		return 0;
	for (size_t i = 0; i < ruleset_count(call->ruleset); i++)
		count += blocks_from_us[i] != INT64_MIN;
	return count;
}

void api_rules_status(struct json_writer *json, const struct api_call *call)
{
	size_t blocking = 0;
	if (call->ruleset == NULL) {
		json_write_null(json, "rules");
		return;
	}
	size_t skipped = count_skipped(call->ruleset, &blocking);
	json_write_open(json, "rules", '{');
	json_write_count(json, "loaded", ruleset_count(call->ruleset));
	json_write_count(json, "skipped", skipped);
	json_write_count(json, "skipped_that_block_deployments", blocking);
	json_write_count(json, "too_young_to_block", count_young(call));
	write_hash(json, "hash", ruleset_hash(call->ruleset));
	if (call->api->reloader != NULL) {
		struct reload_report report = reloader_report(call->api->reloader);
		json_write_time(json, "live_since", report.live_since_us);
		json_write_count(json, "reloads", report.succeeded);
		json_write_count(json, "reloads_refused", report.failed);
	}
	json_write_close(json, '}');
}

void api_rules_problems(struct json_writer *json, const struct api_call *call)
{
	char text[ERROR_TEXT_MAX + ERROR_FILE_MAX + 128];
	size_t blocking = 0;
	size_t skipped = call->ruleset == NULL ? 0 : count_skipped(call->ruleset, &blocking);
	if (skipped > 0) {
		(void)snprintf(text, sizeof text,
			       "%zu rules did not load and were skipped: picket rules lint",
			       skipped);
		json_write_string(json, NULL, text);
	}
	if (call->ruleset != NULL && ruleset_count(call->ruleset) == 0)
		json_write_string(json, NULL,
				  "no rule is loaded: nothing can be found; see rules.paths");
	if (call->api->reloader == NULL)
		return;
	struct reload_report report = reloader_report(call->api->reloader);
	if (report.failed_us == 0)
		return;
	static const char words[] = "the rules were not reloaded, the old ones are live: ";
	memcpy(text, words, sizeof words - 1);
	(void)error_print(&report.problem, text + sizeof words - 1, sizeof text - sizeof words);
	json_write_string(json, NULL, text);
}
