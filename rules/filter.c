#include "rules/pipeline_private.h"

#include <assert.h>
#include <stdio.h>

/* A filter is joined to its rules by AND, as it is written: `not selection` excludes. The
 * standard's own example excludes administrators with `condition: selection`, which under the
 * reference implementation keeps ONLY the administrators; so a filter without a `not` is refused
 * unless it says that narrowing is what it is for.
 *
 * A filter that expires is joined as "the filter, or the event is of that time or later": by the
 * event's time, so that a replay finds what was found. */

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

/* A day (its beginning, UTC) or a moment. */
static enum status expires_read(const struct yaml_node *node, int64_t *ret_expires_us,
				struct error *err)
{
	struct text text = {0};
	char moment[32];
	enum status status = node_text(node, "picket.expires", &text, err);
	if (status != OK)
		return status;
	(void)snprintf(moment, sizeof moment, "%.*sT00:00:00Z", TEXT_ARG(text));
	return time_parse(text, ret_expires_us) || time_parse(text_of(moment), ret_expires_us)
		       ? OK
		       : error_at(err, EINVALID, node->at,
				  "picket.expires '%.*s' is no date\n  fix: write it as 2027-01-31",
				  TEXT_ARG(text));
}

static enum status picket_read(const struct yaml_node *document, struct filter_draft *filter,
			       bool *ret_narrow, struct error *err)
{
	static const char *const keys[] = {"filter", "expires"};
	static const char *const values[] = {"narrow"};
	const struct yaml_node *picket = yaml_get(document, "picket");
	size_t index = 0;
	filter->expires_us = INT64_MAX;
	if (picket == NULL)
		return OK;
	enum status status = node_keys(picket, "picket (of a filter)", keys, 2, err);
	if (status != OK)
		return status;
	const struct yaml_node *value = yaml_get(picket, "filter");
	const struct yaml_node *expires = yaml_get(picket, "expires");
	if (value != NULL)
		status = node_one_of(value, "picket.filter", values, 1, &index, err);
	if (status == OK && expires != NULL)
		status = expires_read(expires, &filter->expires_us, err);
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

/* What is joined to a rule: the condition, as long as it holds, under the filter's name. */
static const struct expr *filter_named(struct loader *loader, const struct filter_draft *filter,
				       const struct expr *expr)
{
	if (filter->expires_us < INT64_MAX) {
		const struct predicate since = {.kind = PREDICATE_SINCE,
						.field = TEXT("@timestamp"),
						.since_us = filter->expires_us,
						.at = filter->at};
		const struct expr *either[2] = {expr, expr_predicate(loader, &since)};
		expr = either[1] == NULL ? NULL : expr_join(loader, EXPR_OR, either, 2, 0);
		if (expr == NULL)
			return NULL;
	}
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
		status = picket_read(document, filter, &narrow, err);
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
