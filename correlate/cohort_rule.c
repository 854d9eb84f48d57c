#include "correlate/cohort_rule.h"

struct cohort_rules cohort_rules_of(const struct ruleset *ruleset)
{
	struct cohort_rules rules = {0};
	for (size_t i = 0; i < ruleset_count(ruleset) && rules.count < COHORT_RULES_MAX; i++) {
		const struct rule *rule = ruleset_rule(ruleset, i);
		if (rule->correlation != NULL && rule->correlation->cohort != NULL &&
		    rule->gate != GATE_IGNORE)
			rules.items[rules.count++] = rule;
	}
	return rules;
}

static bool has_matched(uint32_t rule, const uint32_t *matched, size_t count)
{
	size_t low = 0;
	size_t high = count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (matched[middle] < rule)
			low = middle + 1;
		else
			high = middle;
	}
	return low < count && matched[low] == rule;
}

size_t cohort_trials(const struct cohort_rules *rules, const uint32_t *matched,
		     size_t matched_count, struct cohort_trial trials[static COHORT_RULES_MAX])
{
	size_t count = 0;
	for (size_t i = 0; i < rules->count && matched_count > 0; i++) {
		const struct correlation *correlation = rules->items[i]->correlation;
		uint32_t numerator = correlation->cohort->numerator;
		bool is_trial = false;
		for (uint32_t k = 0; k < correlation->cohort->trials && !is_trial; k++)
			is_trial = has_matched(correlation->rules[k], matched, matched_count);
		if (is_trial)
			trials[count++] = (struct cohort_trial){
				rules->items[i]->key,
				has_matched(correlation->rules[numerator], matched, matched_count)};
	}
	return count;
}

struct gate_rule gate_rule_of(const struct rule *rule, int64_t blocks_from_us)
{
	const struct cohort_terms *terms = rule->correlation->cohort;
	return (struct gate_rule){
		.key = rule->key,
		.name = rule->name,
		.title = rule->title,
		.blocks_from_us = rule->gate == GATE_BLOCK ? blocks_from_us : INT64_MAX,
		.wants_to_block = rule->gate == GATE_BLOCK,
		.two_sided = terms->two_sided,
		.psi0 = terms->worse_by,
		.psi_tol = terms->odds,
		.p_abs = terms->rate,
	};
}

enum status cohort_rules_check(const struct ruleset *ruleset, struct error *err)
{
	struct cohort_rules rules = cohort_rules_of(ruleset);
	for (size_t i = 0; i < rules.count; i++)
		for (int k = 0; k < OUTCOME_COUNT; k++)
			if (text_equal(rules.items[i]->name, text_of(outcome_name(k))))
				return error_at(
					err, EINVALID, rules.items[i]->at,
					"the gate has an outcome %s of its own\n  fix: give "
					"the rule another name",
					outcome_name(k));
	return OK;
}
