#include "rules/pipeline_part_private.h"

#include <assert.h>

/* A detection under pipelines. Its YAML becomes a tree of parts (pySigma: SigmaDetection and
 * SigmaDetectionItem), each step changes the tree, and the tree becomes YAML again.
 *
 * One thing has no YAML: a field mapped to several is an OR inside a map, which is an AND. Such an
 * entry is written with a list of keys and a list of values (the reader never makes a list of a
 * key), and selection_parse() joins them. A part whose items were all dropped is an empty list
 * with `written` set, and conditions leave it out. A key that was renamed remembers how the file
 * wrote it, so that messages about its modifiers point to the right column. */

/* ---- steps on the rule as a whole */

static const struct yaml_node *value_filled(struct work *work, const struct yaml_node *value)
{
	if (value->kind == YAML_STRING)
		return scalar_like(work->loader, value, template_filled(work, value->text));
	if (value->kind != YAML_SEQUENCE)
		return value;
	struct yaml_node *list = scalar_like(work->loader, value, TEXT(""));
	const struct yaml_node **items =
		arena_alloc(work->loader->yaml, (value->count + 1) * sizeof *items);
	for (size_t i = 0; list != NULL && items != NULL && i < value->count; i++)
		items[i] = value_filled(work, value->items[i]);
	if (list == NULL || items == NULL)
		return NULL;
	list->kind = YAML_SEQUENCE;
	list->items = items;
	list->count = value->count;
	return list;
}

static const struct yaml_node *condition_joined(struct work *work, const struct yaml_node *node)
{
	const struct step *step = work->step;
	if (node->kind == YAML_SEQUENCE) {
		struct yaml_node *list = scalar_like(work->loader, node, TEXT(""));
		const struct yaml_node **items =
			arena_alloc(work->loader->yaml, (node->count + 1) * sizeof *items);
		for (size_t i = 0; list != NULL && items != NULL && i < node->count; i++)
			items[i] = condition_joined(work, node->items[i]);
		if (list == NULL || items == NULL)
			return NULL;
		list->kind = YAML_SEQUENCE;
		list->items = items;
		list->count = node->count;
		return list;
	}
	if (node->kind != YAML_STRING)
		return node; /* refused where conditions are read */
	struct text text =
		arena_print(work->loader->yaml, "%s%.*s and (%.*s)", step->negated ? "not " : "",
			    TEXT_ARG(step->name), TEXT_ARG(node->text));
	return text.data == NULL ? NULL : scalar_like(work->loader, node, text);
}

static enum status condition_added(struct work *work, struct error *err)
{
	struct loader *loader = work->loader;
	const struct yaml_node *from = work->step->conditions;
	struct yaml_node *map = scalar_like(loader, from, TEXT(""));
	const struct yaml_node **values = arena_alloc(loader->yaml, from->count * sizeof *values);
	struct yaml_node *key = scalar_like(loader, from, work->step->name);
	if (map == NULL || values == NULL || key == NULL)
		return loader_exhausted(err);
	for (size_t i = 0; i < from->count; i++) {
		values[i] = work->step->template ? value_filled(work, from->values[i])
						 : from->values[i];
		if (values[i] == NULL)
			return loader_exhausted(err);
	}
	map->kind = YAML_MAPPING;
	map->keys = from->keys;
	map->values = values;
	map->count = from->count;
	size_t at = 0; /* a selection of the same name is replaced */
	while (at < work->selection_count &&
	       !text_equal(work->selections[at].key->text, work->step->name))
		at++;
	struct part *part = part_of(loader, map);
	if (work->condition != NULL)
		work->condition = condition_joined(work, work->condition);
	if (part == NULL)
		return loader_exhausted(err);
	part_marked(work, part);
	work->selections[at] = (struct selection){key, part};
	work->selection_count += at == work->selection_count;
	return OK;
}

static void rule_marked(struct work *work)
{
	struct id_list *entry = arena_alloc(work->loader->yaml, sizeof *entry);
	if (entry == NULL) {
		work->loader->out_of_memory = true;
		return;
	}
	*entry = (struct id_list){work->step->id, work->facts.applied};
	work->facts.applied = entry;
}

static enum status step_applied(struct work *work, struct error *err)
{
	const struct step *step = work->step;
	enum status status = OK;
	switch (step->kind) {
	case STEP_ADD_CONDITION:
		status = condition_added(work, err);
		break;
	case STEP_LOGSOURCE:
		work->facts.logsource = step->logsource;
		work->new_logsource = true;
		break;
	case STEP_FAIL_RULE:
		return error_at(err, EINVALID, work->document->at,
				"the pipeline at %s:%u refuses this rule: %.*s\n  fix: leave the "
				"rule out, or change the conditions of that rule_failure",
				step->at.file, step->at.line, TEXT_ARG(step->message));
	case STEP_MAP:
	case STEP_MAP_PREFIX:
	case STEP_PREFIX:
	case STEP_SUFFIX:
	case STEP_DROP:
	case STEP_FAIL_ITEM:
		for (size_t i = 0; status == OK && i < work->selection_count; i++)
			status = part_changed(work, &work->selections[i].part, err);
		break;
	}
	rule_marked(work);
	return status;
}

/* ---- rule conditions that look at items */

static bool some_item_answers(void *context, const struct question *question)
{
	const struct work *work = context;
	for (size_t i = 0; i < work->selection_count; i++)
		if (part_answers(work->loader, work->selections[i].part, question))
			return true;
	return false;
}

static const struct yaml_node *logsource_written(struct work *work)
{
	static const char *const names[] = {"category", "product", "service"};
	const struct text values[] = {work->facts.logsource.category, work->facts.logsource.product,
				      work->facts.logsource.service};
	const struct yaml_node *old = yaml_get(work->document, "logsource");
	if (old == NULL)
		old = work->document;
	struct yaml_node *map = scalar_like(work->loader, old, TEXT(""));
	if (map == NULL)
		return NULL;
	map->kind = YAML_MAPPING;
	const struct yaml_node *result = map;
	for (size_t i = 0; result != NULL && i < 3; i++)
		if (values[i].size > 0)
			result = mapping_with(work->loader, result, names[i],
					      scalar_like(work->loader, old, values[i]));
	return result;
}

/* ---- the whole */

static enum status work_begin(struct work *work, const struct yaml_node *map, const char *other,
			      struct error *err)
{
	struct loader *loader = work->loader;
	size_t room = map->count + loader->pipelines->step_count + 1;
	work->selections = arena_alloc(loader->yaml, room * sizeof *work->selections);
	work->condition = yaml_get(map, "condition");
	if (work->selections == NULL)
		return loader_exhausted(err);
	for (size_t i = 0; i < map->count; i++) {
		struct text key = map->keys[i]->text;
		if (text_equal(key, TEXT("condition")) ||
		    (other != NULL && text_equal(key, text_of(other))))
			continue;
		struct part *part = part_of(loader, map->values[i]);
		if (part == NULL)
			return loader_exhausted(err);
		work->selections[work->selection_count++] = (struct selection){map->keys[i], part};
	}
	return OK;
}

static void facts_read(struct work *work)
{
	const struct yaml_node *logsource = yaml_get(work->document, "logsource");
	static const char *const names[] = {"category", "product", "service"};
	struct text *const to[] = {&work->facts.logsource.category, &work->facts.logsource.product,
				   &work->facts.logsource.service};
	for (size_t i = 0; logsource != NULL && i < 3; i++) {
		const struct yaml_node *value = yaml_get(logsource, names[i]);
		*to[i] = value == NULL || value->kind != YAML_STRING ? TEXT("") : value->text;
	}
	work->facts.tags = yaml_get(work->document, "tags");
	work->facts.some_item = some_item_answers;
	work->facts.context = work;
}

enum status pipelines_apply(struct loader *loader, const struct yaml_node *document,
			    const struct yaml_node **ret_document, const bool **ret_held,
			    struct error *err)
{
	const struct pipelines *all = loader->pipelines;
	const struct yaml_node *detection = yaml_get(document, "detection");
	struct work work = {.loader = loader, .document = document};
	bool *held = arena_alloc(loader->arena, all->step_count + 1);
	if (held == NULL)
		return loader_exhausted(err);
	*ret_held = held;
	*ret_document = document;
	if (detection == NULL || detection->kind != YAML_MAPPING)
		return OK; /* refused where it is parsed */
	facts_read(&work);
	enum status status = work_begin(&work, detection, NULL, err);
	for (size_t i = 0; status == OK && i < all->step_count; i++) {
		work.step = &all->steps[i];
		held[i] = questions_hold_for_rule(&work.step->of_rule, &work.facts);
		if (held[i])
			status = step_applied(&work, err);
	}
	if (status != OK)
		return status;
	const struct yaml_node *result = selections_written(&work, detection, NULL);
	if (result != NULL)
		result = mapping_with(loader, document, "detection", result);
	if (result != NULL && work.new_logsource)
		result = mapping_with(loader, result, "logsource", logsource_written(&work));
	if (result == NULL || loader->out_of_memory)
		return loader_exhausted(err);
	*ret_document = result;
	return OK;
}

enum status pipelines_apply_filter(struct loader *loader, const struct yaml_node *filter,
				   const bool *held, const struct yaml_node **ret_filter,
				   struct error *err)
{
	const struct pipelines *all = loader->pipelines;
	struct work work = {.loader = loader, .document = filter};
	assert(filter->kind == YAML_MAPPING && held != NULL);
	enum status status = work_begin(&work, filter, "rules", err);
	for (size_t i = 0; status == OK && i < all->step_count; i++) {
		work.step = &all->steps[i];
		bool of_rule = work.step->kind == STEP_ADD_CONDITION ||
			       work.step->kind == STEP_LOGSOURCE ||
			       work.step->kind == STEP_FAIL_RULE;
		if (held[i] && !of_rule) /* those the rule itself went through */
			status = step_applied(&work, err);
	}
	if (status != OK)
		return status;
	*ret_filter = selections_written(&work, filter, "rules");
	return *ret_filter == NULL || loader->out_of_memory ? loader_exhausted(err) : OK;
}
