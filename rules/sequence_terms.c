#include "rules/parse_private.h"

#include <assert.h>

/* The steps of a sequence. A step names a rule, and may say how many events of it, how soon after
 * the step before, and which of its fields equals which field of the step before; a `not` step
 * names a rule of which there must be no event between its neighbours, or, as the last step, for as
 * long as its `within` says. The rules that the steps name are the correlation's references. */

struct steps {
	struct loader *loader;
	struct correlation_draft *draft;
	struct sequence_terms *terms;
	struct sequence_step *all;
	struct text *fields;
};

/* Which reference it is; made when it is new. */
static enum status step_reference(struct steps *steps, const struct yaml_node *node,
				  uint32_t *ret_reference, struct error *err)
{
	struct correlation_draft *draft = steps->draft;
	struct reference reference = {0};
	enum status status =
		reference_read(steps->loader, node, "the rule of a step", &reference, err);
	if (status != OK)
		return status;
	uint32_t at = 0;
	while (at < draft->reference_count &&
	       !text_equal(draft->references[at].word, reference.word))
		at++;
	if (at == draft->reference_count)
		draft->references[draft->reference_count++] = reference;
	*ret_reference = at;
	return OK;
}

static enum status join_field(struct steps *steps, struct text name, struct position at,
			      uint8_t *ret_field, struct error *err)
{
	struct text kept = loader_keep_field(steps->loader, name);
	uint8_t field = 0;
	while (field < steps->terms->field_count && !text_equal(steps->fields[field], kept))
		field++;
	if (field == SEQUENCE_FIELDS_MAX)
		return error_at(err, ELIMIT, at,
				"the steps join on more than %d fields\n  fix: put what all "
				"steps share into group-by, with aliases",
				SEQUENCE_FIELDS_MAX);
	if (field == steps->terms->field_count)
		steps->fields[steps->terms->field_count++] = kept;
	*ret_field = field;
	return OK;
}

static enum status joins_read(struct steps *steps, const struct yaml_node *map,
			      struct sequence_step *step, struct error *err)
{
	enum status status = node_map(map, "match", err);
	if (status != OK)
		return status;
	struct step_join *joins =
		arena_alloc(steps->loader->arena, (map->count + 1) * sizeof *joins);
	if (joins == NULL)
		return loader_exhausted(err);
	for (size_t i = 0; status == OK && i < map->count; i++) {
		struct text earlier = {0};
		status = node_text(map->values[i], "the earlier field of match", &earlier, err);
		if (status == OK)
			status = join_field(steps, map->keys[i]->text, map->keys[i]->at,
					    &joins[i].field, err);
		if (status == OK)
			status = join_field(steps, earlier, map->values[i]->at, &joins[i].earlier,
					    err);
	}
	step->joins = joins;
	step->join_count = map->count;
	return status;
}

/* {gte: 5}, {gt: 4} or 5. */
static enum status count_read(const struct yaml_node *node, uint32_t *ret_count, struct error *err)
{
	static const char *const keys[] = {"gte", "gt"};
	long long count = 0;
	bool strict = false;
	enum status status = OK;
	if (node->kind == YAML_MAPPING) {
		status = node_keys(node, "the count of a step", keys, 2, err);
		if (status == OK && node->count != 1)
			status = error_at(err, EINVALID, node->at,
					  "the count of a step is one number\n  fix: write "
					  "{gte: 5}");
		if (status != OK)
			return status;
		strict = text_equal(node->keys[0]->text, TEXT("gt"));
		node = node->values[0];
	}
	status = node_count(node, "the count of a step", strict ? 0 : 1,
			    SEQUENCE_COUNT_MAX - strict, &count, err);
	if (status == OK)
		*ret_count = (uint32_t)(count + strict);
	return status;
}

static enum status positive_read(struct steps *steps, const struct yaml_node *node,
				 struct sequence_step *step, struct error *err)
{
	static const char *const keys[] = {"rule", "count", "within", "match"};
	const struct yaml_node *rule = yaml_get(node, "rule");
	const struct yaml_node *count = yaml_get(node, "count");
	const struct yaml_node *within = yaml_get(node, "within");
	const struct yaml_node *match = yaml_get(node, "match");
	bool first = step == steps->all;
	enum status status = node_keys(node, "a step", keys, 4, err);
	if (status == OK && rule == NULL)
		status = error_at(err, EINVALID, node->at,
				  "this step names no rule\n  fix: write `rule: name`, or `not: "
				  "name`");
	if (status == OK && first && (within != NULL || match != NULL))
		status = error_at(err, EINVALID, node->at,
				  "`within` and `match` look back at the step before, and this is "
				  "the first\n  fix: move it to the next step");
	if (status == OK)
		status = step_reference(steps, rule, &step->reference, err);
	if (status == OK && count != NULL)
		status = count_read(count, &step->count, err);
	if (status == OK && within != NULL)
		status = node_duration(within, "within", &step->within_us, err);
	if (status == OK && match != NULL)
		status = joins_read(steps, match, step, err);
	return status;
}

static enum status absent_read(struct steps *steps, const struct yaml_node *node, bool last,
			       struct sequence_step *step, struct error *err)
{
	static const char *const keys[] = {"not", "within"};
	const struct yaml_node *within = yaml_get(node, "within");
	enum status status = node_keys(node, "a `not` step", keys, 2, err);
	step->absent = true;
	if (status == OK && step == steps->all)
		status = error_at(err, EINVALID, node->at,
				  "a sequence cannot begin with `not`\n  fix: use type temporal "
				  "with a condition such as `a and not b`");
	if (status == OK && last != (within != NULL))
		status = error_at(err, EINVALID, node->at,
				  last ? "the last step says `not`, but not for how long\n  fix: "
					 "add `within: 15m`"
				       : "`within` of a `not` step is for the last one; between "
					 "two steps it holds all the time\n  fix: remove it");
	if (status == OK)
		status = step_reference(steps, yaml_get(node, "not"), &step->reference, err);
	if (status == OK && within != NULL)
		status = node_duration(within, "within", &step->within_us, err);
	return status;
}

static enum status steps_read(struct steps *steps, const struct yaml_node *list, struct error *err)
{
	enum status status = OK;
	for (size_t i = 0; status == OK && i < list->count; i++) {
		const struct yaml_node *node = list->items[i];
		struct sequence_step *step = &steps->all[i];
		step->count = 1;
		status = node_map(node, "a step", err);
		if (status != OK)
			return status;
		bool last = i + 1 == list->count;
		status = yaml_get(node, "not") != NULL ? absent_read(steps, node, last, step, err)
						       : positive_read(steps, node, step, err);
		if (status == OK && last && step->absent && i > 0 && steps->all[i - 1].absent)
			status = error_at(err, EINVALID, node->at,
					  "two `not` steps at the end\n  fix: write two rules, one "
					  "for each");
	}
	return status;
}

enum status sequence_terms_read(struct loader *loader, const struct yaml_node *map,
				struct correlation_draft *draft, struct error *err)
{
	const struct yaml_node *list = yaml_get(map, "steps");
	const struct yaml_node *until = yaml_get(map, "until");
	if (yaml_get(map, "rules") != NULL || yaml_get(map, "condition") != NULL)
		return error_at(err, EINVALID, map->at,
				"a sequence has `steps` instead of rules and condition\n  fix: "
				"name the rules in the steps");
	if (list == NULL || list->kind != YAML_SEQUENCE || list->count == 0 ||
	    list->count > SEQUENCE_STEPS_MAX)
		return error_at(err, EINVALID, list == NULL ? map->at : list->at,
				"a sequence needs a list of 1 to %d steps\n  fix: add `steps:` "
				"with one `- rule: name` a line",
				SEQUENCE_STEPS_MAX);
	struct arena *arena = loader->arena;
	struct steps steps = {.loader = loader, .draft = draft};
	steps.terms = arena_alloc(arena, sizeof *steps.terms);
	steps.all = arena_alloc(arena, list->count * sizeof *steps.all);
	steps.fields = arena_alloc(arena, SEQUENCE_FIELDS_MAX * sizeof *steps.fields);
	draft->references = arena_alloc(arena, (list->count + 1) * sizeof *draft->references);
	if (steps.terms == NULL || steps.all == NULL || steps.fields == NULL ||
	    draft->references == NULL)
		return loader_exhausted(err);
	*steps.terms = (struct sequence_terms){
		.steps = steps.all, .step_count = list->count, .fields = steps.fields};
	enum status status = steps_read(&steps, list, err);
	if (status == OK && until != NULL) {
		steps.terms->has_until = true;
		status = step_reference(&steps, until, &steps.terms->until, err);
	}
	draft->parsed.sequence = steps.terms;
	return status;
}
