#include "cli/rules_json.h"

#include <assert.h>
#include <stdio.h>

enum { WITNESS_BYTES_MAX = 1 << 20 };

void position_json(const char *key, struct position at, struct json_writer *json)
{
	json_write_open(json, key, '{');
	json_write_string(json, "file", at.file == NULL ? "" : at.file);
	json_write_count(json, "line", at.line);
	json_write_count(json, "column", at.column);
	json_write_close(json, '}');
}

static const char *gate_word(enum rule_gate gate)
{
	static const char *const words[] = {"warn", "block", "ignore"};
	assert((unsigned)gate < sizeof words / sizeof *words);
	return words[gate];
}

static void verdicts_json(const struct verdicts *verdicts, struct json_writer *json)
{
	double precision = verdicts_precision(verdicts);
	json_write_open(json, "closed", '{');
	json_write_count(json, "true_positive", verdicts->true_positives);
	json_write_count(json, "false_positive", verdicts->false_positives);
	json_write_count(json, "benign", verdicts->benign);
	if (precision < 0)
		json_write_null(json, "precision");
	else
		json_write_real(json, "precision", precision);
	json_write_close(json, '}');
}

/* null for a correlation: it reads what its rules found. */
static void cost_json(const struct ruleset *ruleset, size_t index, struct json_writer *json)
{
	struct rule_cost cost;
	char summary[32];
	if (!ruleset_cost(ruleset, index, &cost)) {
		json_write_null(json, "cost");
		return;
	}
	(void)snprintf(summary, sizeof summary, "%s, %s", cost_finder_name(cost.finder),
		       cost_work_name(cost.work));
	json_write_open(json, "cost", '{');
	json_write_string(json, "summary", summary);
	json_write_string(json, "found_by", cost_finder_name(cost.finder));
	json_write_string(json, "runs", cost_work_name(cost.work));
	json_write_count(json, "predicates", cost.predicates);
	json_write_close(json, '}');
}

/* Of a rule that a daemon runs, or is about to. */
static void state_json(const struct rule *rule, const struct rules_facts *facts,
		       struct json_writer *json)
{
	bool warms = facts->warming != NULL &&
		     ruleset_rule(facts->warming->parts.ruleset, rule->index) == rule &&
		     generation_warms(facts->warming, rule);
	if (!facts->live && !warms)
		return;
	json_write_string(json, "state", warms ? "warming" : rule->shadow ? "shadow" : "live");
	if (warms)
		json_write_count(json, "warmed_percent", (uint64_t)facts->warmed_percent);
}

static void rule_json(const struct ruleset *ruleset, const struct rule *rule, struct arena *arena,
		      const struct rules_facts *facts, struct json_writer *json)
{
	const struct verdicts *verdicts = facts->verdicts;
	const int64_t *blocks_from_us = facts->blocks_from_us;
	json_write_open(json, NULL, '{');
	json_write_text(json, "key", rule->key);
	json_write_text(json, "id", rule->id);
	json_write_text(json, "name", rule->name);
	json_write_text(json, "title", rule->title);
	json_write_text(json, "description", rule->description);
	json_write_string(json, "level", level_name(rule->level));
	json_write_text(json, "status", rule->status);
	json_write_string(json, "kind",
			  rule->correlation == NULL ? "detection"
						    : correlation_name(rule->correlation->type));
	json_write_boolean(json, "alerts", rule->alerts);
	json_write_boolean(json, "shadow", rule->shadow);
	state_json(rule, facts, json);
	json_write_boolean(json, "cross_tenant", rule->cross_tenant);
	json_write_string(json, "gate", gate_word(rule->gate));
	bool waits = blocks_from_us != NULL && rule->gate == GATE_BLOCK &&
		     blocks_from_us[rule->index] != INT64_MIN;
	json_write_string(json, "gate_now", gate_word(waits ? GATE_WARN : rule->gate));
	if (waits && blocks_from_us[rule->index] != INT64_MAX)
		json_write_time(json, "blocks_from", blocks_from_us[rule->index]);
	json_write_open(json, "logsource", '{');
	json_write_text(json, "category", rule->logsource.category);
	json_write_text(json, "product", rule->logsource.product);
	json_write_text(json, "service", rule->logsource.service);
	json_write_close(json, '}');
	json_write_open(json, "tags", '[');
	for (size_t i = 0; i < rule->tag_count; i++)
		json_write_text(json, NULL, rule->tags[i]);
	json_write_close(json, ']');
	json_write_count(json, "tests", rule->test_count);
	json_write_text(json, "witness", ruleset_witness(ruleset, rule->index, arena));
	cost_json(ruleset, rule->index, json);
	if (verdicts != NULL)
		verdicts_json(&verdicts[rule->index], json);
	position_json("at", rule->at, json);
	json_write_close(json, '}');
}

void rule_notes_json(const struct ruleset *ruleset, struct json_writer *json)
{
	size_t count = 0;
	const struct rule_note *notes = ruleset_notes(ruleset, &count);
	json_write_open(json, "notes", '[');
	for (size_t i = 0; i < count; i++) {
		json_write_open(json, NULL, '{');
		json_write_string(json, "kind",
				  notes[i].kind == NOTE_REFUSED ? "refused" : "warning");
		json_write_boolean(json, "blocks_deployments", notes[i].gate_block);
		position_json("at", notes[i].at, json);
		json_write_text(json, "text", notes[i].text);
		json_write_text(json, "fix", notes[i].fix);
		json_write_close(json, '}');
	}
	json_write_close(json, ']');
}

static void arena_done(struct arena **arena)
{
	arena_free(arena);
}

static bool level_fits(const struct rule *rule, struct text level)
{
	return level.size == 0 || text_equal(level, text_of(level_name(rule->level)));
}

/* Rules of the next set that are being warmed: the store knows nothing of them yet. */
static void coming_json(struct text level, struct arena *arena, const struct rules_facts *facts,
			struct json_writer *json)
{
	const struct ruleset *next = facts->warming->parts.ruleset;
	const struct rules_facts coming = {.warming = facts->warming,
					   .warmed_percent = facts->warmed_percent};
	for (size_t i = 0; i < ruleset_count(next); i++) {
		const struct rule *rule = ruleset_rule(next, i);
		arena_reset(arena);
		if (generation_warms(facts->warming, rule) && level_fits(rule, level))
			rule_json(next, rule, arena, &coming, json);
	}
}

void rules_json(const struct ruleset *ruleset, struct text level, const struct rules_facts *facts,
		struct json_writer *json)
{
	struct arena *arena cleanup(arena_done) = arena_new(WITNESS_BYTES_MAX);
	if (arena == NULL) {
		json->to->failed = true;
		return;
	}
	json_write_open(json, NULL, '{');
	json_write_string(json, "schema", "picket.rules/1");
	json_write_boolean(json, "complete", true);
	json_write_open(json, "rules", '[');
	for (size_t i = 0; i < ruleset_count(ruleset); i++) {
		const struct rule *rule = ruleset_rule(ruleset, i);
		arena_reset(arena);
		if (level_fits(rule, level))
			rule_json(ruleset, rule, arena, facts, json);
	}
	if (facts->warming != NULL && facts->warming->parts.ruleset != ruleset)
		coming_json(level, arena, facts, json);
	json_write_close(json, ']');
	json_write_open(json, "filters", '[');
	for (size_t i = 0; i < ruleset_filter_count(ruleset); i++) {
		const struct rule_filter *filter = ruleset_filter(ruleset, i);
		json_write_open(json, NULL, '{');
		json_write_text(json, "title", filter->title);
		json_write_count(json, "rules", filter->tap_count);
		if (filter->expires_us < INT64_MAX)
			json_write_time(json, "expires", filter->expires_us);
		position_json("at", filter->at, json);
		json_write_close(json, '}');
	}
	json_write_close(json, ']');
	rule_notes_json(ruleset, json);
	json_write_close(json, '}');
}
