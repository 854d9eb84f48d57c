#include "rules/parse_private.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

/* The two halves of risk: `picket.risk`, what a match of a rule adds to the entities it names, and
 * the terms of a correlation of type risk, which asks how much came together on one of them.
 *
 * Weights are a map, or a list with one `entity weight` a line, sorted here to be searched. */

static const double millionths = 1e6;
static const double score_max = 1e6;
static const double weight_max = 1e3;

static enum status number_read(const struct yaml_node *node, const char *what, double max,
			       double *ret_number, struct error *err)
{
	bool is_number = node->kind == YAML_INTEGER || node->kind == YAML_REAL;
	if (!is_number || !(node->real > 0) || !(node->real <= max))
		return error_at(err, EINVALID, node->at,
				"%s must be a number above 0 and at most %.0f\n  fix: write for "
				"instance 30",
				what, max);
	*ret_number = node->real;
	return OK;
}

enum status risk_score_parse(struct loader *loader, const struct yaml_node *map, struct rule *rule,
			     struct error *err)
{
	static const char *const keys[] = {"score", "on", "once-per"};
	struct risk_score *risk = arena_alloc(loader->arena, sizeof *risk);
	const struct yaml_node *score = yaml_get(map, "score");
	const struct yaml_node *on = yaml_get(map, "on");
	const struct yaml_node *once = yaml_get(map, "once-per");
	double number = 0;
	if (risk == NULL)
		return loader_exhausted(err);
	*risk = (struct risk_score){.once_per_us = rule->dedup_for_us};
	enum status status = node_map(map, "picket.risk", err);
	if (status == OK)
		status = node_keys(map, "picket.risk", keys, 3, err);
	if (status == OK && (score == NULL || on == NULL))
		return error_at(err, EINVALID, map->at,
				"picket.risk needs a score and the fields it is on\n  fix: write "
				"{score: 30, on: [user.id]}");
	if (status == OK)
		status = number_read(score, "picket.risk.score", score_max, &number, err);
	if (status == OK)
		status = node_fields(loader, on, "picket.risk.on", &risk->on, &risk->on_count, err);
	if (status == OK && (risk->on_count == 0 || risk->on_count > RULES_GROUP_BY_MAX))
		status = error_at(err, EINVALID, on->at,
				  "picket.risk.on takes 1 to %d fields\n  fix: name those of the "
				  "entities",
				  RULES_GROUP_BY_MAX);
	if (status == OK && once != NULL)
		status = node_duration(once, "picket.risk.once-per", &risk->once_per_us, err);
	risk->score = (uint64_t)llround(number * millionths);
	rule->risk = risk;
	return status;
}

static int weight_compare(const void *a, const void *b)
{
	const struct risk_weight *left = a;
	const struct risk_weight *right = b;
	return text_compare(left->entity, right->entity);
}

double risk_weight_of(const struct risk_terms *terms, struct text entity)
{
	const struct risk_weight wanted = {.entity = entity};
	const struct risk_weight *found =
		terms->weight_count == 0 ? NULL
					 : bsearch(&wanted, terms->weights, terms->weight_count,
						   sizeof *terms->weights, weight_compare);
	return found == NULL ? 1 : found->weight;
}

/* "payments 3" */
static bool line_split(struct text line, struct risk_weight *ret_weight)
{
	size_t at = line.size;
	while (at > 0 && line.data[at - 1] != ' ' && line.data[at - 1] != '\t')
		at--;
	char digits[32] = "";
	char *end = digits;
	size_t size = line.size - at;
	if (at == 0 || size == 0 || size >= sizeof digits)
		return false;
	memcpy(digits, line.data + at, size);
	struct text entity = {line.data, at};
	while (entity.size > 0 &&
	       (entity.data[entity.size - 1] == ' ' || entity.data[entity.size - 1] == '\t'))
		entity.size--;
	*ret_weight = (struct risk_weight){entity, strtod(digits, &end)};
	return entity.size > 0 && *end == '\0' && ret_weight->weight >= 0 &&
	       ret_weight->weight <= weight_max;
}

static enum status weights_fill(struct loader *loader, const struct yaml_node *node,
				const struct value_list *list, struct risk_weight *weights,
				struct error *err)
{
	for (size_t i = 0; list != NULL && i < list->count; i++)
		if (!line_split(list->values[i], &weights[i]))
			return error_at(
				err, EINVALID, node->at,
				"'%.*s' of the list of weights is not an entity and a "
				"weight of 0 to %.0f\n  fix: write for instance `payments 3`",
				TEXT_ARG(list->values[i]), weight_max);
	for (size_t i = 0; list == NULL && i < node->count; i++) {
		const struct yaml_node *value = node->values[i];
		bool is_number = value->kind == YAML_INTEGER || value->kind == YAML_REAL;
		if (!is_number || !(value->real >= 0) || !(value->real <= weight_max))
			return error_at(err, EINVALID, value->at,
					"a weight must be a number of 0 to %.0f\n  fix: write for "
					"instance {payments: 3}",
					weight_max);
		weights[i] =
			(struct risk_weight){loader_keep(loader, node->keys[i]->text), value->real};
	}
	return OK;
}

static enum status weights_read(struct loader *loader, const struct yaml_node *node,
				struct risk_terms *terms, struct error *err)
{
	const struct value_list *list = NULL;
	enum status status = list_named(loader, node, &list, err);
	if (status == OK && list == NULL && node->kind != YAML_MAPPING)
		status = error_at(err, EINVALID, node->at,
				  "weight must be a map of entities, or %%Name%% of a list\n  fix: "
				  "write for instance {payments: 3}");
	if (status != OK)
		return status;
	size_t count = list != NULL ? list->count : node->count;
	struct risk_weight *weights = arena_alloc(loader->arena, (count + 1) * sizeof *weights);
	if (weights == NULL)
		return loader_exhausted(err);
	status = weights_fill(loader, node, list, weights, err);
	if (status != OK)
		return status;
	qsort(weights, count, sizeof *weights, weight_compare);
	for (size_t i = 1; i < count; i++)
		if (text_equal(weights[i - 1].entity, weights[i].entity))
			return error_at(err, EINVALID, node->at,
					"'%.*s' has two weights\n  fix: remove one",
					TEXT_ARG(weights[i].entity));
	terms->weights = weights;
	terms->weight_count = count;
	return OK;
}

/* {gte: 100, tactics: {gte: 3}} */
static enum status risk_condition_read(const struct yaml_node *map, struct correlation *correlation,
				       struct risk_terms *terms, struct error *err)
{
	static const char *const keys[] = {"gte", "gt", "tactics"};
	const struct yaml_node *condition = yaml_get(map, "condition");
	if (condition == NULL)
		return error_at(err, EINVALID, map->at,
				"the correlation has no condition\n  fix: add `condition: {gte: "
				"100}`");
	enum status status = node_map(condition, "condition", err);
	if (status == OK)
		status = node_keys(condition, "condition", keys, 3, err);
	if (status != OK)
		return status;
	const struct yaml_node *least = yaml_get(condition, "gte");
	const struct yaml_node *above = yaml_get(condition, "gt");
	const struct yaml_node *tactics = yaml_get(condition, "tactics");
	const struct yaml_node *bound = least != NULL ? least : above;
	struct lower_bound different = {0};
	if (bound == NULL || (least != NULL && above != NULL))
		return error_at(err, EINVALID, condition->at,
				"a risk needs one bound for the score\n  fix: write {gte: 100}");
	status = number_read(bound, "the bound of a risk", score_max, &terms->score.value, err);
	terms->score.strict = above != NULL;
	if (status == OK && tactics != NULL)
		status = lower_bound_read(tactics, "tactics", &different, err);
	if (status == OK && tactics != NULL &&
	    (different.value < 0 || different.value > TACTIC_COUNT ||
	     different.value != floor(different.value)))
		status = error_at(err, EINVALID, tactics->at,
				  "tactics is a number of 0 to %d\n  fix: write {gte: 3}",
				  TACTIC_COUNT);
	if (status != OK)
		return status;
	terms->tactics = (uint64_t)different.value + different.strict;
	correlation->conditions[0].how = above != NULL ? COMPARE_GT : COMPARE_GTE;
	correlation->conditions[0].value = terms->score.value;
	correlation->condition_count = 1;
	return OK;
}

enum status risk_terms_read(struct loader *loader, const struct yaml_node *map,
			    struct correlation_draft *draft, struct error *err)
{
	struct risk_terms *terms = arena_alloc(loader->arena, sizeof *terms);
	const struct yaml_node *half_life = yaml_get(map, "half-life");
	const struct yaml_node *weight = yaml_get(map, "weight");
	if (terms == NULL)
		return loader_exhausted(err);
	*terms = (struct risk_terms){.takes_all = yaml_get(map, "rules") == NULL};
	if (draft->parsed.group_by_count != 1)
		return error_at(
			err, EINVALID, map->at,
			"a risk is of one entity\n  fix: write `group-by: [entity]`, or one "
			"of the fields that picket.risk.on names");
	terms->any_entity = text_equal(draft->group_by[0].name, TEXT("entity"));
	draft->parsed.risk = terms;
	enum status status = risk_condition_read(map, &draft->parsed, terms, err);
	if (status == OK && half_life != NULL)
		status = node_duration(half_life, "half-life", &terms->half_life_us, err);
	if (status == OK && half_life != NULL && terms->half_life_us == 0)
		status =
			error_at(err, EINVALID, half_life->at,
				 "half-life must be longer than nothing\n  fix: write for instance "
				 "6h, or remove it");
	if (status == OK && weight != NULL)
		status = weights_read(loader, weight, terms, err);
	return status;
}
