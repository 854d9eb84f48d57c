#include "rules/pipeline_private.h"

#include <assert.h>

/* A correlation under pipelines: the fields of `group-by`, `peers.by`, of aliases and of the
 * condition are renamed; an alias itself is not. Its log source, for rule conditions, is that of
 * the rules it refers to, as the pipelines have left them, through correlations too: any of them
 * will do. So correlations wait until all files have been read. Filters need no place here: they
 * are applied to each rule by the steps the rule itself went through (link.c). */

struct waiting {
	const struct yaml_node *document;
	const char *file;
};

struct waiting_list {
	struct waiting *items;
	size_t count, capacity;
};

struct correlating {
	struct loader *loader;
	const struct waiting_list *all;
	struct logsource *found;
	size_t count, capacity;
	const struct step *step;
	const struct yaml_node *aliases; /* or NULL */
};

enum status pipelines_wait(struct loader *loader, const struct yaml_node *document,
			   struct error *err)
{
	if (loader->waiting == NULL)
		loader->waiting = arena_alloc(loader->arena, sizeof *loader->waiting);
	struct waiting_list *list = loader->waiting;
	if (list == NULL)
		return loader_exhausted(err);
	list->items = arena_grown(loader->arena, list->items, list->count, &list->capacity,
				  sizeof *list->items);
	if (list->items == NULL)
		return loader_exhausted(err);
	list->items[list->count++] = (struct waiting){document, loader->file};
	return OK;
}

static bool is_called(const struct yaml_node *document, struct text word)
{
	static const char *const names[] = {"id", "name", "title"};
	for (size_t i = 0; i < 3; i++) {
		const struct yaml_node *node = yaml_get(document, names[i]);
		if (node != NULL && text_equal(node->text, word))
			return true;
	}
	return false;
}

static void referenced_collect(struct correlating *work, const struct yaml_node *document,
			       unsigned depth);

/* A name that nobody has is refused where references are resolved. */
static void name_collect(struct correlating *work, struct text word, unsigned depth)
{
	struct loader *loader = work->loader;
	for (size_t i = 0; i < loader->draft_count; i++) {
		const struct rule *rule = &loader->drafts[i]->rule;
		bool called = text_equal(rule->id, word) || text_equal(rule->name, word) ||
			      text_equal(rule->title, word);
		if (!called || loader->drafts[i]->expr == NULL)
			continue;
		work->found = arena_grown(loader->yaml, work->found, work->count, &work->capacity,
					  sizeof *work->found);
		if (work->found == NULL) {
			loader->out_of_memory = true;
			work->count = work->capacity = 0;
			return;
		}
		work->found[work->count++] = rule->logsource;
	}
	for (size_t i = 0; i < work->all->count && depth < RULES_CHAIN_DEPTH_MAX; i++)
		if (is_called(work->all->items[i].document, word))
			referenced_collect(work, work->all->items[i].document, depth + 1);
}

static void referenced_collect(struct correlating *work, const struct yaml_node *document,
			       unsigned depth)
{
	const struct yaml_node *correlation = yaml_get(document, "correlation");
	const struct yaml_node *rules = correlation == NULL ? NULL : yaml_get(correlation, "rules");
	bool is_list = rules != NULL && rules->kind == YAML_SEQUENCE;
	for (size_t i = 0; rules != NULL && i < (is_list ? rules->count : 1); i++)
		name_collect(work, is_list ? rules->items[i]->text : rules->text, depth);
}

/* ---- renaming */

static enum status too_many(const struct yaml_node *node, const char *what, struct error *err)
{
	return error_at(err, EINVALID, node->at,
			"a pipeline maps '%.*s' to several fields, and %s takes one\n  fix: map it "
			"to one field, or exclude correlations by the condition is_sigma_rule",
			TEXT_ARG(node->text), what);
}

/* One field name, renamed; `single` says what cannot take several. */
static enum status name_renamed(struct correlating *work, const struct yaml_node *node,
				const char *single, const struct yaml_node **ret_node,
				struct error *err)
{
	const struct text *fields = NULL;
	bool is_list = false;
	*ret_node = node;
	if (node->kind != YAML_STRING || !questions_hold_for_field(work->step, node->text))
		return OK;
	size_t count = step_fields(work->loader, work->step, node->text, &fields, &is_list);
	if (count == 0)
		return OK;
	if (count > 1)
		return too_many(node, single, err);
	*ret_node = scalar_like(work->loader, node, fields[0]);
	return *ret_node == NULL ? loader_exhausted(err) : OK;
}

static bool is_alias(const struct correlating *work, struct text name)
{
	for (size_t i = 0; work->aliases != NULL && work->aliases->kind == YAML_MAPPING &&
			   i < work->aliases->count;
	     i++)
		if (text_equal(work->aliases->keys[i]->text, name))
			return true;
	return false;
}

/* group-by: a field that became several counts as all of them. */
static enum status group_renamed(struct correlating *work, const struct yaml_node *node,
				 const struct yaml_node **ret_node, struct error *err)
{
	bool is_list = node->kind == YAML_SEQUENCE;
	size_t count = is_list ? node->count : 1, used = 0, capacity = 0;
	const struct yaml_node **items = NULL;
	struct loader *loader = work->loader;
	for (size_t i = 0; i < count; i++) {
		const struct yaml_node *one = is_list ? node->items[i] : node;
		const struct text *fields = NULL;
		bool unused = false, asked = one->kind == YAML_STRING &&
					     !is_alias(work, one->text) &&
					     questions_hold_for_field(work->step, one->text);
		size_t several =
			asked ? step_fields(loader, work->step, one->text, &fields, &unused) : 0;
		for (size_t k = 0; k < (several == 0 ? 1 : several); k++) {
			items = arena_grown(loader->yaml, items, used, &capacity, sizeof *items);
			const struct yaml_node *next =
				several == 0 ? one : scalar_like(loader, one, fields[k]);
			if (items == NULL || next == NULL)
				return loader_exhausted(err);
			items[used++] = next;
		}
	}
	struct yaml_node *list = scalar_like(loader, node, TEXT(""));
	if (list == NULL)
		return loader_exhausted(err);
	list->kind = YAML_SEQUENCE;
	list->items = items;
	list->count = used;
	*ret_node = list;
	return OK;
}

/* The values of a map (an alias), or the items of a list (condition.field), each one field. */
static enum status each_renamed(struct correlating *work, const struct yaml_node *node,
				const char *single, const struct yaml_node **ret_node,
				struct error *err)
{
	bool is_map = node->kind == YAML_MAPPING;
	if (!is_map && node->kind != YAML_SEQUENCE)
		return name_renamed(work, node, single, ret_node, err);
	struct yaml_node *copy = scalar_like(work->loader, node, TEXT(""));
	const struct yaml_node **values =
		arena_alloc(work->loader->yaml, (node->count + 1) * sizeof *values);
	if (copy == NULL || values == NULL)
		return loader_exhausted(err);
	enum status status = OK;
	for (size_t i = 0; status == OK && i < node->count; i++)
		status = name_renamed(work, is_map ? node->values[i] : node->items[i], single,
				      &values[i], err);
	*copy = *node;
	copy->values = is_map ? values : NULL;
	copy->items = is_map ? NULL : values;
	*ret_node = copy;
	return status;
}

static enum status aliases_renamed(struct correlating *work, const struct yaml_node **ret_node,
				   struct error *err)
{
	const struct yaml_node *result = work->aliases;
	enum status status = OK;
	for (size_t i = 0; status == OK && i < work->aliases->count; i++) {
		const struct yaml_node *one = NULL;
		status = each_renamed(work, work->aliases->values[i], "an alias", &one, err);
		if (status == OK)
			result = mapping_with(work->loader, result,
					      work->aliases->keys[i]->text.data, one);
		if (status == OK && result == NULL)
			status = loader_exhausted(err);
	}
	*ret_node = result;
	return status;
}

static enum status member_replaced(struct correlating *work, const struct yaml_node **map,
				   const char *key, const struct yaml_node *value,
				   struct error *err)
{
	*map = mapping_with(work->loader, *map, key, value);
	return *map == NULL ? loader_exhausted(err) : OK;
}

/* peers.by, as group-by. */
static enum status peers_renamed(struct correlating *work, const struct yaml_node **map,
				 struct error *err)
{
	const struct yaml_node *peers = yaml_get(*map, "peers");
	const struct yaml_node *by =
		peers == NULL || peers->kind != YAML_MAPPING ? NULL : yaml_get(peers, "by");
	const struct yaml_node *value = NULL;
	if (by == NULL)
		return OK;
	enum status status = group_renamed(work, by, &value, err);
	if (status == OK)
		status = member_replaced(work, &peers, "by", value, err);
	return status == OK ? member_replaced(work, map, "peers", peers, err) : status;
}

/* One renaming step on the map of a correlation. */
static enum status correlation_renamed(struct correlating *work, const struct yaml_node **map,
				       struct error *err)
{
	const struct yaml_node *group = yaml_get(*map, "group-by");
	const struct yaml_node *condition = yaml_get(*map, "condition");
	const struct yaml_node *value = NULL;
	enum status status = OK;
	work->aliases = yaml_get(*map, "aliases");
	if (group == NULL) /* pySigma renames aliases only where there is a group-by */
		work->aliases = NULL;
	if (work->aliases != NULL && work->aliases->kind == YAML_MAPPING) {
		status = aliases_renamed(work, &value, err);
		if (status == OK)
			status = member_replaced(work, map, "aliases", value, err);
	}
	if (status == OK && group != NULL) {
		status = group_renamed(work, group, &value, err);
		if (status == OK)
			status = member_replaced(work, map, "group-by", value, err);
	}
	if (status == OK)
		status = peers_renamed(work, map, err);
	const struct yaml_node *field = condition == NULL || condition->kind != YAML_MAPPING
						? NULL
						: yaml_get(condition, "field");
	if (status != OK || field == NULL)
		return status;
	status = each_renamed(work, field, "the condition's field", &value, err);
	if (status == OK)
		status = member_replaced(work, &condition, "field", value, err);
	return status == OK ? member_replaced(work, map, "condition", condition, err) : status;
}

static bool renames(const struct step *step)
{
	return step->kind == STEP_MAP || step->kind == STEP_MAP_PREFIX ||
	       step->kind == STEP_PREFIX || step->kind == STEP_SUFFIX;
}

static enum status document_changed(struct correlating *work, const struct yaml_node **document,
				    struct error *err)
{
	struct loader *loader = work->loader;
	const struct pipelines *steps = loader->pipelines;
	const struct yaml_node *map = yaml_get(*document, "correlation");
	struct rule_facts facts = {.is_correlation = true,
				   .of_referenced = work->found,
				   .of_referenced_count = work->count,
				   .tags = yaml_get(*document, "tags")};
	enum status status = OK;
	for (size_t i = 0; status == OK && i < steps->step_count; i++) {
		work->step = &steps->steps[i];
		if (!questions_hold_for_rule(&work->step->of_rule, &facts))
			continue;
		if (work->step->kind == STEP_FAIL_RULE)
			return error_at(err, EINVALID, (*document)->at,
					"the pipeline at %s:%u refuses this rule: %.*s\n  fix: "
					"leave it out, or change the conditions of that "
					"rule_failure",
					work->step->at.file, work->step->at.line,
					TEXT_ARG(work->step->message));
		if (renames(work->step) && map->kind == YAML_MAPPING)
			status = correlation_renamed(work, &map, err);
		if (work->step->kind == STEP_ADD_CONDITION)
			continue; /* not for correlations, and not marked */
		struct id_list *entry = arena_alloc(loader->yaml, sizeof *entry);
		if (entry == NULL)
			return loader_exhausted(err);
		*entry = (struct id_list){work->step->id, facts.applied};
		facts.applied = entry;
	}
	return status == OK ? member_replaced(work, document, "correlation", map, err) : status;
}

enum status pipelines_parse_waiting(struct loader *loader, struct error *err)
{
	const struct waiting_list *all = loader->waiting;
	for (size_t i = 0; all != NULL && i < all->count; i++) {
		struct correlating work = {.loader = loader, .all = all};
		const struct yaml_node *document = all->items[i].document;
		loader->file = all->items[i].file;
		referenced_collect(&work, document, 0);
		enum status status = document_changed(&work, &document, err);
		if (status == OK)
			status = rule_parse(loader, document, err);
		if (status == OK && loader->out_of_memory)
			status = loader_exhausted(err);
		if (status != OK)
			status = lint_refuse(loader, status, err, document_blocks(document));
		if (status != OK)
			return status;
	}
	return OK;
}
