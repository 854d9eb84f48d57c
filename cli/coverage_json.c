#include "cli/coverage_json.h"

enum { MISSING_SHOWN = 4 };

static const char *state_of(const struct rule_coverage *rule)
{
	if (rule->events == 0)
		return "no events";
	return rule->can_fire ? "can fire" : "cannot fire";
}

/* "CommandLine (Commandline?), Image": for the table. */
static void missing_put(const struct rule_coverage *rule, struct bytes *to)
{
	size_t shown = 0;
	for (size_t i = 0; i < rule->field_count; i++) {
		const struct field_coverage *field = &rule->fields[i];
		if (field->seen || shown++ >= MISSING_SHOWN)
			continue;
		bytes_put(to, ", ", shown > 1 ? 2 : 0);
		bytes_write(to, field->name);
		if (field->nearest.size == 0)
			continue;
		bytes_write_string(to, " (");
		bytes_write(to, field->nearest);
		bytes_write_string(to, "?)");
	}
	if (shown > MISSING_SHOWN)
		bytes_write_string(to, ", ...");
}

static void rule_coverage_json(const struct rule *rule, const struct rule_coverage *coverage,
			       struct json_writer *json)
{
	struct bytes missing cleanup(bytes_done) = {0};
	missing_put(coverage, &missing);
	json_write_open(json, NULL, '{');
	json_write_string(json, "state", state_of(coverage));
	json_write_text(json, "rule", rule->key);
	json_write_text(json, "title", rule->title);
	json_write_count(json, "events", coverage->events);
	json_write_open(json, "logsource", '{');
	json_write_text(json, "category", rule->logsource.category);
	json_write_text(json, "product", rule->logsource.product);
	json_write_text(json, "service", rule->logsource.service);
	json_write_close(json, '}');
	json_write_count(json, "seen", coverage->seen_count);
	json_write_count(json, "field_count", coverage->field_count);
	json_write_text(json, "missing", bytes_text(&missing));
	json_write_open(json, "fields", '[');
	for (size_t i = 0; i < coverage->field_count; i++) {
		json_write_open(json, NULL, '{');
		json_write_text(json, "name", coverage->fields[i].name);
		json_write_boolean(json, "seen", coverage->fields[i].seen);
		if (coverage->fields[i].nearest.size > 0)
			json_write_text(json, "nearest", coverage->fields[i].nearest);
		json_write_close(json, '}');
	}
	json_write_close(json, ']');
	json_write_close(json, '}');
}

enum status coverage_json(const struct ruleset *ruleset, const struct coverage *coverage,
			  bool only_unable, struct json_writer *json,
			  struct coverage_counts *counts)
{
	struct arena *arena cleanup(arena_free) = arena_new(COVERAGE_ARENA_MAX);
	if (arena == NULL)
		return ENOMEMORY;
	json_write_open(json, "rules", '[');
	for (size_t i = 0; i < ruleset_count(ruleset); i++) {
		const struct rule *rule = ruleset_rule(ruleset, i);
		struct rule_coverage one;
		if (rule->kind != RULE_DETECTION)
			continue;
		arena_reset(arena);
		enum status status = coverage_of_rule(coverage, rule, arena, &one);
		if (status != OK)
			return status;
		counts->idle += one.events == 0;
		counts->able += one.can_fire;
		counts->unable += one.events > 0 && !one.can_fire;
		if (!only_unable || !one.can_fire)
			rule_coverage_json(rule, &one, json);
	}
	json_write_close(json, ']');
	json_write_count(json, "able", counts->able);
	json_write_count(json, "unable", counts->unable);
	json_write_count(json, "idle", counts->idle);
	return bytes_status(json->to);
}
