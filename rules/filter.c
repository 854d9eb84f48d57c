#include "rules/pipeline_private.h"

#include <assert.h>

/* A filter is joined to its rules by AND, as it is written: `not selection` excludes. The
 * standard's own example excludes administrators with `condition: selection`, which under the
 * reference implementation keeps ONLY the administrators; so a filter without a `not` is refused
 * unless it says that narrowing is what it is for. */

static enum status references_read(struct loader *loader, const struct yaml_node *node,
				   struct filter_draft *filter, struct error *err)
{
	bool is_any = node->kind == YAML_STRING && text_equal(node->text, TEXT("any"));
	if (is_any || (node->kind == YAML_SEQUENCE && node->count == 0))
		return OK;
	bool is_list = node->kind == YAML_SEQUENCE;
	size_t count = is_list ? node->count : 1;
	filter->references = arena_alloc(loader->arena, count * sizeof *filter->references);
	if (filter->references == NULL)
		return loader_exhausted(err);
	for (size_t i = 0; i < count; i++) {
		const struct yaml_node *item = is_list ? node->items[i] : node;
		struct text word = {0};
		enum status status = node_text(item, "filter.rules", &word, err);
		if (status != OK)
			return status;
		filter->references[i].word = loader_keep(loader, word);
		filter->references[i].at = item->at;
	}
	filter->reference_count = count;
	return OK;
}

static enum status narrow_read(const struct yaml_node *document, bool *ret_narrow,
			       struct error *err)
{
	static const char *const keys[] = {"filter"};
	static const char *const values[] = {"narrow"};
	const struct yaml_node *picket = yaml_get(document, "picket");
	size_t index = 0;
	if (picket == NULL)
		return OK;
	enum status status = node_keys(picket, "picket (of a filter)", keys, 1, err);
	const struct yaml_node *value = status == OK ? yaml_get(picket, "filter") : NULL;
	if (value != NULL)
		status = node_one_of(value, "picket.filter", values, 1, &index, err);
	*ret_narrow = value != NULL;
	return status;
}

static enum status filter_added(struct loader *loader, struct filter_draft *filter,
				struct error *err)
{
	struct filter_draft **filters =
		arena_grown(loader->arena, loader->filters, loader->filter_count,
			    &loader->filter_capacity, sizeof *filters);
	if (filters == NULL)
		return loader_exhausted(err);
	loader->filters = filters;
	filters[loader->filter_count++] = filter;
	return OK;
}

static const struct expr *filter_named(struct loader *loader, const struct filter_draft *filter,
				       const struct expr *expr)
{
	return expr_named(loader, expr,
			  arena_print(loader->yaml, "filter '%.*s'", TEXT_ARG(filter->title)),
			  filter->at);
}

enum status filter_expr_for(struct loader *loader, const struct filter_draft *filter,
			    const bool *held, const struct expr **ret_expr, struct error *err)
{
	const struct yaml_node *map = NULL;
	const struct expr *expr = NULL;
	bool excludes = false;
	*ret_expr = filter->expr;
	if (held == NULL)
		return OK;
	enum status status = pipelines_apply_filter(loader, filter->map, held, &map, err);
	loader->silent = true;
	if (status == OK)
		status = filter_expr_parse(loader, map, &expr, &excludes, err);
	loader->silent = false;
	if (status != OK)
		return status;
	*ret_expr = filter_named(loader, filter, expr);
	return *ret_expr == NULL ? loader_exhausted(err) : OK;
}

enum status filter_parse(struct loader *loader, const struct yaml_node *document, struct error *err)
{
	struct draft metadata = {0};
	struct filter_draft *filter = arena_alloc(loader->arena, sizeof *filter);
	const struct yaml_node *map = yaml_get(document, "filter");
	assert(map != NULL);
	bool narrow = false, excludes = false;
	if (filter == NULL)
		return loader_exhausted(err);
	enum status status = metadata_parse(loader, document, &metadata, err);
	if (status == OK)
		status = logsource_parse(loader, document, &filter->logsource, err);
	if (status == OK)
		status = narrow_read(document, &narrow, err);
	if (status == OK)
		status = node_map(map, "filter", err);
	if (status != OK)
		return status;
	const struct yaml_node *rules = yaml_get(map, "rules");
	if (rules == NULL)
		return node_missing(map, "rules", "the filter does not say which rules it is for",
				    "add `rules:` with their ids, or `rules: any`", err);
	status = references_read(loader, rules, filter, err);
	if (status == OK)
		status = filter_expr_parse(loader, map, &filter->expr, &excludes, err);
	if (status == OK && !excludes && !narrow)
		status = error_at(err, EINVALID, map->at,
				  "this filter would keep only what it describes\n  fix: write "
				  "`condition: not ...` to leave that out, or `picket: {filter: "
				  "narrow}` if keeping only it is meant");
	if (status != OK)
		return status;
	filter->title = metadata.rule.title;
	filter->at = document->at;
	filter->map = loader->pipelines != NULL ? map : NULL;
	filter->expr = filter_named(loader, filter, filter->expr);
	if (filter->expr == NULL)
		return loader_exhausted(err);
	lint_document(loader, document);
	return filter_added(loader, filter, err);
}
