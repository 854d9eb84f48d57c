#include "rules/parse_private.h"

#include <assert.h>

/* `detection:` is a map of named selections and a condition over their names. A map is an AND of
 * its fields, a list is an OR of its members, a plain value is a keyword. The condition's names are
 * bound to the selections' expressions here; after that they are only kept for explanations. */

struct selection {
	struct text name;
	const struct expr *expr;
	bool used;
	struct position at;
};

struct scope {
	struct selection *items;
	const char **names; /* for "did you mean" */
	size_t count;
	bool reads_rules; /* the map is a filter's: `rules` is no selection */
};

/* One condition text whose names are being bound. */
struct binding {
	struct loader *loader;
	struct scope *scope;
	const struct yaml_node *text; /* and where it stands */
};

/* An entry of a map that a pipeline gave several fields (pipeline_write.c): any of them. */
static enum status alternatives_parse(struct loader *loader, const struct yaml_node *keys,
				      const struct yaml_node *values, const struct expr **ret_expr,
				      struct error *err)
{
	assert(keys->count == values->count && keys->count > 0);
	const struct expr **children = arena_alloc(loader->yaml, keys->count * sizeof *children);
	if (children == NULL)
		return loader_exhausted(err);
	for (size_t i = 0; i < keys->count; i++) {
		enum status status =
			item_parse(loader, keys->items[i], values->items[i], &children[i], err);
		if (status != OK)
			return status;
	}
	*ret_expr = expr_join(loader, EXPR_OR, children, keys->count, 0);
	return *ret_expr == NULL ? loader_exhausted(err) : OK;
}

static enum status selection_parse(struct loader *loader, const struct yaml_node *node,
				   const struct expr **ret_expr, struct error *err)
{
	if (node->kind < YAML_SEQUENCE)
		return keyword_parse(loader, node, ret_expr, err);
	if (node->count == 0 && node->written != NULL) {
		*ret_expr = NULL; /* pipelines dropped all of it */
		return OK;
	}
	if (node->count == 0)
		return error_at(err, EINVALID, node->at,
				"this selection is empty\n  fix: give it a field and a value, or "
				"remove it");
	bool is_map = node->kind == YAML_MAPPING;
	const struct expr **children = arena_alloc(loader->yaml, node->count * sizeof *children);
	if (children == NULL)
		return loader_exhausted(err);
	for (size_t i = 0; i < node->count; i++) {
		enum status status =
			!is_map ? selection_parse(loader, node->items[i], &children[i], err)
			: node->keys[i]->kind == YAML_SEQUENCE
				? alternatives_parse(loader, node->keys[i], node->values[i],
						     &children[i], err)
				: item_parse(loader, node->keys[i], node->values[i], &children[i],
					     err);
		if (status != OK)
			return status;
	}
	*ret_expr = expr_join(loader, is_map ? EXPR_AND : EXPR_OR, children, node->count, 0);
	return *ret_expr == NULL ? loader_exhausted(err) : OK;
}

static enum status name_checked(const struct yaml_node *key, struct error *err)
{
	if (condition_reserved(key->text))
		return error_at(err, EINVALID, key->at,
				"a selection cannot be called '%.*s', which is a word of the "
				"condition\n  fix: rename it, for instance selection_%.*s",
				TEXT_ARG(key->text), TEXT_ARG(key->text));
	if (text_equal(key->text, TEXT("timeframe")))
		return error_at(err, EINVALID, key->at,
				"`timeframe` was removed in Sigma 2.0\n  fix: write a correlation "
				"document with `timespan`");
	if (key->text.size == 0)
		return error_at(err, EINVALID, key->at,
				"a selection needs a name\n  fix: write for instance `selection:`");
	return OK;
}

static bool is_selection(const struct scope *scope, const struct yaml_node *key)
{
	return !text_equal(key->text, TEXT("condition")) &&
	       !(scope->reads_rules && text_equal(key->text, TEXT("rules")));
}

static enum status scope_parse(struct loader *loader, const struct yaml_node *map,
			       struct scope *scope, struct error *err)
{
	scope->items = arena_alloc(loader->yaml, (map->count + 1) * sizeof *scope->items);
	scope->names = arena_alloc(loader->yaml, (map->count + 1) * sizeof *scope->names);
	if (scope->items == NULL || scope->names == NULL)
		return loader_exhausted(err);
	for (size_t i = 0; i < map->count; i++) {
		const struct yaml_node *key = map->keys[i];
		if (!is_selection(scope, key))
			continue;
		struct selection *item = &scope->items[scope->count];
		enum status status = name_checked(key, err);
		if (status == OK)
			status = selection_parse(loader, map->values[i], &item->expr, err);
		if (status != OK)
			return status;
		bool dropped = item->expr == NULL;
		item->expr = dropped ? NULL : expr_named(loader, item->expr, key->text, key->at);
		if (item->expr == NULL && !dropped)
			return loader_exhausted(err);
		item->name = key->text;
		item->at = key->at;
		scope->names[scope->count++] = key->text.data; /* scalars end with a NUL */
	}
	if (scope->count == 0)
		return error_at(err, EINVALID, map->at,
				"no selection here\n  fix: add one, for instance\n    selection:\n"
				"        event.action: login");
	return OK;
}

static struct position place(const struct binding *binding, const struct condition_node *node)
{
	struct position at = binding->text->at;
	if (!binding->text->quoted)
		at.column += (unsigned)node->offset;
	return at;
}

/* Leaves out what pipelines dropped (NULL) and tells how many are left. */
static size_t some_kept(const struct expr **children, size_t count)
{
	size_t kept = 0;
	for (size_t i = 0; i < count; i++)
		if (children[i] != NULL)
			children[kept++] = children[i];
	return kept;
}

static enum status bind_node(const struct binding *binding, const struct condition_node *node,
			     const struct expr **ret_expr, struct error *err);

static enum status bind_name(const struct binding *binding, const struct condition_node *node,
			     const struct expr **ret_expr, struct error *err)
{
	struct scope *scope = binding->scope;
	for (size_t i = 0; i < scope->count; i++)
		if (text_equal(scope->items[i].name, node->name)) {
			scope->items[i].used = true;
			*ret_expr = scope->items[i].expr;
			return OK;
		}
	return error_at(
		err, EINVALID, place(binding, node),
		"the condition names '%.*s', which is no selection%s\n  fix: use a name that "
		"stands beside the condition",
		TEXT_ARG(node->name), hint_for(node->name, scope->names, scope->count).text);
}

/* Names that begin with an underscore are only meant by patterns that do so too. */
static bool of_takes(struct text pattern, struct text name)
{
	bool hidden = name.data[0] == '_';
	if (text_equal(pattern, TEXT("them")))
		return !hidden;
	return (!hidden || pattern.data[0] == '_') && condition_pattern_matches(pattern, name);
}

static enum status bind_of(const struct binding *binding, const struct condition_node *node,
			   const struct expr **ret_expr, struct error *err)
{
	struct loader *loader = binding->loader;
	struct scope *scope = binding->scope;
	const struct expr **children =
		arena_alloc(loader->yaml, (scope->count + 1) * sizeof *children);
	size_t count = 0;
	if (children == NULL)
		return loader_exhausted(err);
	for (size_t i = 0; i < scope->count; i++)
		if (of_takes(node->name, scope->items[i].name)) {
			scope->items[i].used = true;
			children[count++] = scope->items[i].expr;
		}
	if (count == 0)
		return error_at(err, EINVALID, place(binding, node),
				"no selection fits '%.*s'%s\n  fix: correct the pattern, or remove "
				"this part of the condition",
				TEXT_ARG(node->name),
				hint_for(node->name, scope->names, scope->count).text);
	if (node->at_least > count)
		return error_at(
			err, EINVALID, place(binding, node),
			"%zu of '%.*s' can never hold: only %zu selection%s fit\n  fix: ask "
			"for at most %zu",
			node->at_least, TEXT_ARG(node->name), count, count == 1 ? "" : "s", count);
	enum expr_kind kind = node->at_least == 0 || node->at_least == count ? EXPR_AND
			      : node->at_least == 1                          ? EXPR_OR
									     : EXPR_AT_LEAST;
	if (node->at_least > 1)
		lint_warn(loader, place(binding, node), "write the combinations out",
			  "`%zu of` is an extension of picket; the standard knows 1, any and all",
			  node->at_least);
	size_t kept = some_kept(children, count);
	if (kind == EXPR_AT_LEAST && node->at_least > kept)
		return error_at(err, EINVALID, place(binding, node),
				"pipelines dropped so much that only %zu of '%.*s' are left\n"
				"  fix: give drop_detection_item conditions",
				kept, TEXT_ARG(node->name));
	*ret_expr = kept == 0 ? NULL : expr_join(loader, kind, children, kept, node->at_least);
	return *ret_expr == NULL && kept > 0 ? loader_exhausted(err) : OK;
}

static enum status bind_join(const struct binding *binding, const struct condition_node *node,
			     const struct expr **ret_expr, struct error *err)
{
	struct loader *loader = binding->loader;
	const struct expr **children =
		arena_alloc(loader->yaml, node->child_count * sizeof *children);
	if (children == NULL)
		return loader_exhausted(err);
	for (size_t i = 0; i < node->child_count; i++) {
		enum status status = bind_node(binding, node->children[i], &children[i], err);
		if (status != OK)
			return status;
	}
	size_t kept = some_kept(children, node->child_count);
	if (kept == 0)
		*ret_expr = NULL;
	else if (node->kind == CONDITION_NOT)
		*ret_expr = expr_not(loader, children[0]);
	else
		*ret_expr = expr_join(loader, node->kind == CONDITION_AND ? EXPR_AND : EXPR_OR,
				      children, kept, 0);
	return *ret_expr == NULL && kept > 0 ? loader_exhausted(err) : OK;
}

static enum status bind_node(const struct binding *binding, const struct condition_node *node,
			     const struct expr **ret_expr, struct error *err)
{
	if (node->kind == CONDITION_NAME)
		return bind_name(binding, node, ret_expr, err);
	if (node->kind == CONDITION_OF)
		return bind_of(binding, node, ret_expr, err);
	return bind_join(binding, node, ret_expr, err);
}

/* One condition text, or a list of them, which is an OR. */
static enum status condition_bound(struct loader *loader, struct scope *scope,
				   const struct yaml_node *node, const struct expr **ret_expr,
				   bool *ret_excludes, struct error *err)
{
	bool is_list = node->kind == YAML_SEQUENCE;
	size_t count = is_list ? node->count : 1;
	if (count == 0)
		return error_at(err, EINVALID, node->at,
				"the list of conditions is empty\n  fix: name a selection");
	const struct expr **children = arena_alloc(loader->yaml, count * sizeof *children);
	if (children == NULL)
		return loader_exhausted(err);
	bool excludes = true;
	for (size_t i = 0; i < count; i++) {
		struct binding binding = {loader, scope, is_list ? node->items[i] : node};
		const struct condition_node *tree = NULL;
		struct text text = {0};
		enum status status = node_text(binding.text, "condition", &text, err);
		if (status == OK)
			status = condition_parse(text, binding.text->at, !binding.text->quoted,
						 loader->yaml, &tree, err);
		if (status == OK)
			status = bind_node(&binding, tree, &children[i], err);
		if (status != OK)
			return status;
		excludes = excludes && condition_excludes(tree);
	}
	size_t kept = some_kept(children, count);
	if (kept == 0)
		return error_at(err, EINVALID, node->at,
				"pipelines dropped everything that this condition asks for\n  fix: "
				"give drop_detection_item conditions");
	*ret_excludes = excludes;
	*ret_expr = expr_join(loader, EXPR_OR, children, kept, 0);
	return *ret_expr == NULL ? loader_exhausted(err) : OK;
}

static enum status map_parse(struct loader *loader, const struct yaml_node *map,
			     struct scope *scope, const struct expr **ret_expr, bool *ret_excludes,
			     struct error *err)
{
	enum status status = scope_parse(loader, map, scope, err);
	if (status != OK)
		return status;
	assert(scope->count > 0);
	const struct yaml_node *condition = yaml_get(map, "condition");
	if (condition == NULL && loader->options->supply_metadata && scope->count == 1) {
		*ret_expr = scope->items[0].expr;
		*ret_excludes = false;
		return OK;
	}
	if (condition == NULL) {
		struct text fix = arena_print(loader->yaml, "add `condition: %.*s`",
					      TEXT_ARG(scope->items[0].name));
		if (fix.data == NULL)
			return loader_exhausted(err);
		return node_missing(map, "condition", "no condition here", fix.data, err);
	}
	status = condition_bound(loader, scope, condition, ret_expr, ret_excludes, err);
	for (size_t i = 0; status == OK && i < scope->count; i++)
		if (!scope->items[i].used)
			lint_warn(loader, scope->items[i].at,
				  "name it in the condition, or remove it",
				  "selection '%.*s' is not used", TEXT_ARG(scope->items[i].name));
	return status;
}

enum status detection_parse(struct loader *loader, const struct yaml_node *detection,
			    const struct expr **ret_expr, struct error *err)
{
	struct scope scope = {0};
	bool excludes = false;
	enum status status = node_map(detection, "detection", err);
	if (status == OK)
		status = map_parse(loader, detection, &scope, ret_expr, &excludes, err);
	if (status == OK && expr_true_when_absent(loader, *ret_expr))
		lint_warn(loader, detection->at, "add a selection that must be present",
			  "this rule matches every event that has none of its fields");
	return status;
}

enum status filter_expr_parse(struct loader *loader, const struct yaml_node *filter,
			      const struct expr **ret_expr, bool *ret_excludes, struct error *err)
{
	struct scope scope = {.reads_rules = true};
	return map_parse(loader, filter, &scope, ret_expr, ret_excludes, err);
}
