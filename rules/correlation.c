#include "rules/parse_private.h"

#include <assert.h>
#include <math.h>

/* A correlation document, read into a draft: everything but its references, which link.c resolves
 * when all documents are known. Unknown keys are refused, because a key that is ignored would give
 * a rule another meaning. */

static const char *const type_names[] = {
	[CORRELATION_EVENT_COUNT] = "event_count",
	[CORRELATION_VALUE_COUNT] = "value_count",
	[CORRELATION_TEMPORAL] = "temporal",
	[CORRELATION_TEMPORAL_ORDERED] = "temporal_ordered",
	[CORRELATION_VALUE_SUM] = "value_sum",
	[CORRELATION_VALUE_AVG] = "value_avg",
	[CORRELATION_VALUE_PERCENTILE] = "value_percentile",
	[CORRELATION_VALUE_MEDIAN] = "value_median",
	[CORRELATION_SEQUENCE] = "sequence",
	[CORRELATION_FIRST_SEEN] = "first_seen",
	[CORRELATION_BASELINE] = "baseline",
	[CORRELATION_GEO_VELOCITY] = "geo_velocity",
	[CORRELATION_ABSENCE] = "absence",
	[CORRELATION_RISK] = "risk",
	[CORRELATION_COHORT_COMPARE] = "cohort_compare",
};
enum { TYPE_COUNT = sizeof type_names / sizeof *type_names };

const char *correlation_name(enum correlation_type type)
{
	assert((unsigned)type < TYPE_COUNT);
	return type_names[type];
}

static enum status type_parse(const struct yaml_node *map, struct correlation *correlation,
			      struct error *err)
{
	const struct yaml_node *type = yaml_get(map, "type");
	size_t index = 0;
	if (type == NULL)
		return node_missing(map, "type", "the correlation has no type",
				    "add `type: event_count`", err);
	enum status status =
		node_one_of(type, "correlation type", type_names, TYPE_COUNT, &index, err);
	if (status == OK)
		correlation->type = (enum correlation_type)index;
	return status;
}

static bool is_temporal(const struct correlation *correlation)
{
	return correlation->type == CORRELATION_TEMPORAL ||
	       correlation->type == CORRELATION_TEMPORAL_ORDERED;
}

enum status reference_read(struct loader *loader, const struct yaml_node *node, const char *what,
			   struct reference *ret_reference, struct error *err)
{
	struct text word = {0};
	enum status status = node_text(node, what, &word, err);
	*ret_reference = (struct reference){.word = loader_keep(loader, word), .at = node->at};
	return status;
}

static enum status references_read(struct loader *loader, const struct yaml_node *map,
				   struct correlation_draft *draft, struct error *err)
{
	const struct yaml_node *rules = yaml_get(map, "rules");
	const struct yaml_node *condition = yaml_get(map, "condition");
	bool by_condition = condition != NULL && condition->kind == YAML_STRING;
	if (rules == NULL && by_condition && is_temporal(&draft->parsed))
		return OK; /* the condition names them */
	if (draft->parsed.type == CORRELATION_SEQUENCE ||
	    (draft->parsed.type == CORRELATION_RISK && rules == NULL))
		return OK; /* the steps name them; risk takes every rule with a score */
	bool compares = draft->parsed.type == CORRELATION_COHORT_COMPARE;
	if (rules == NULL || (rules->kind == YAML_SEQUENCE && rules->count == 0))
		return error_at(
			err, EINVALID, map->at,
			"the correlation refers to no rules\n  fix: add `rules:` with names "
			"or ids");
	if (rules->kind == YAML_MAPPING)
		return error_at(err, EINVALID, rules->at,
				"correlation.rules must be a name or a list of names\n  fix: write "
				"one `- name` a line");
	bool is_list = rules->kind == YAML_SEQUENCE;
	size_t count = is_list ? rules->count : 1;
	draft->references = /* and room for the numerator */
		arena_alloc(loader->arena, (count + compares) * sizeof *draft->references);
	if (draft->references == NULL)
		return loader_exhausted(err);
	draft->reference_count = count;
	for (size_t i = 0; i < count; i++) {
		enum status status =
			reference_read(loader, is_list ? rules->items[i] : rules,
				       "correlation.rules", &draft->references[i], err);
		if (status != OK)
			return status;
	}
	return OK;
}

static enum status alias_read(struct loader *loader, const struct yaml_node *key,
			      const struct yaml_node *map, struct alias *alias, struct error *err)
{
	enum status status = node_map(map, "an alias", err);
	if (status == OK && map->count == 0)
		status = error_at(err, EINVALID, map->at,
				  "this alias is empty\n  fix: write `rule name: field`");
	if (status != OK)
		return status;
	alias->entries = arena_alloc(loader->arena, map->count * sizeof *alias->entries);
	if (alias->entries == NULL)
		return loader_exhausted(err);
	alias->name = loader_keep(loader, key->text);
	alias->at = key->at;
	alias->entry_count = map->count;
	for (size_t i = 0; i < map->count; i++) {
		struct text field = {0};
		status = node_text(map->values[i], "the field of an alias", &field, err);
		if (status != OK)
			return status;
		alias->entries[i].field = loader_keep_field(loader, field);
		alias->entries[i].rule.word = loader_keep(loader, map->keys[i]->text);
		alias->entries[i].rule.at = map->keys[i]->at;
	}
	return OK;
}

static enum status aliases_read(struct loader *loader, const struct yaml_node *map,
				struct correlation_draft *draft, struct error *err)
{
	const struct yaml_node *aliases = yaml_get(map, "aliases");
	if (aliases == NULL)
		return OK;
	enum status status = node_map(aliases, "correlation.aliases", err);
	if (status != OK)
		return status;
	draft->aliases = arena_alloc(loader->arena, (aliases->count + 1) * sizeof *draft->aliases);
	if (draft->aliases == NULL)
		return loader_exhausted(err);
	draft->alias_count = aliases->count;
	for (size_t i = 0; status == OK && i < aliases->count; i++)
		status = alias_read(loader, aliases->keys[i], aliases->values[i],
				    &draft->aliases[i], err);
	return status;
}

static const struct alias *alias_named(const struct correlation_draft *draft, struct text name)
{
	for (size_t i = 0; i < draft->alias_count; i++)
		if (text_equal(draft->aliases[i].name, name))
			return &draft->aliases[i];
	return NULL;
}

static enum status group_read(struct loader *loader, const struct yaml_node *map,
			      struct correlation_draft *draft, struct error *err)
{
	const struct yaml_node *node = yaml_get(map, "group-by");
	if (draft->parsed.type == CORRELATION_COHORT_COMPARE)
		return OK; /* by service and version: cohort_terms.c */
	if (node == NULL || (node->kind == YAML_SEQUENCE && node->count == 0)) {
		lint_warn(loader, map->at, "add `group-by:` with the fields of the entity",
			  "without group-by all events of a tenant are one group");
		return OK;
	}
	const struct text *names = NULL;
	size_t count = 0;
	enum status status = node_fields(loader, node, "correlation.group-by", &names, &count, err);
	if (status != OK)
		return status;
	draft->group_by = arena_alloc(loader->arena, count * sizeof *draft->group_by);
	if (draft->group_by == NULL)
		return loader_exhausted(err);
	for (size_t i = 0; i < count; i++) {
		/* An alias keeps its spelling even when the schema knows a field of that name. */
		struct text written =
			node->kind == YAML_SEQUENCE ? node->items[i]->text : node->text;
		bool is_alias = alias_named(draft, written) != NULL;
		draft->group_by[i].name = is_alias ? loader_keep(loader, written) : names[i];
	}
	draft->parsed.group_by = draft->group_by;
	draft->parsed.group_by_count = count;
	for (size_t i = 0; i < draft->alias_count; i++) {
		bool used = false;
		for (size_t k = 0; k < count; k++)
			used = used || text_equal(draft->group_by[k].name, draft->aliases[i].name);
		if (!used)
			lint_warn(loader, draft->aliases[i].at, "name it in group-by, or remove it",
				  "alias '%.*s' is not used", TEXT_ARG(draft->aliases[i].name));
	}
	return OK;
}

/* Sigma's units and the two that pySigma adds: a month and a year of the Gregorian calendar. */
static enum status timespan_read(struct loader *loader, const struct yaml_node *map,
				 struct correlation *correlation, struct error *err)
{
	const struct yaml_node *node = yaml_get(map, "timespan");
	if (correlation->type == CORRELATION_COHORT_COMPARE)
		return OK; /* since the canary began */
	if (node == NULL)
		return error_at(
			err, EINVALID, map->at,
			"the correlation has no timespan\n  fix: add for instance `timespan: "
			"5m`");
	struct text text = node->kind < YAML_SEQUENCE ? node->text : (struct text){0};
	char last = text.size > 1 ? text.data[text.size - 1] : '\0';
	int64_t unit_s = last == 'M' ? 2629746 : last == 'y' ? 31556952 : 0;
	if (unit_s != 0) {
		char seconds[32] = "";
		int64_t us = 0;
		if (text.size < sizeof seconds) {
			memcpy(seconds, text.data, text.size);
			seconds[text.size - 1] = 's';
		}
		if (duration_parse(text_of(seconds), &us) &&
		    !__builtin_mul_overflow(us, unit_s, &correlation->timespan_us)) {
			lint_warn(loader, node->at, "write it in days",
				  "months and years are not units of the Sigma standard");
			return OK;
		}
	}
	enum status status = node_duration(node, "timespan", &correlation->timespan_us, err);
	if (status == OK && correlation->timespan_us == 0)
		status = error_at(err, EINVALID, node->at,
				  "timespan must be longer than nothing\n  fix: write for instance "
				  "5m");
	return status;
}

static const char *const comparison_names[] = {
	[COMPARE_GT] = "gt",   [COMPARE_GTE] = "gte", [COMPARE_LT] = "lt",
	[COMPARE_LTE] = "lte", [COMPARE_EQ] = "eq",   [COMPARE_NEQ] = "neq",
};

static enum status threshold_read(const struct yaml_node *map, size_t pair,
				  struct correlation *correlation, struct error *err)
{
	const struct yaml_node *value = map->values[pair];
	size_t how = 0;
	while (!text_equal(map->keys[pair]->text, text_of(comparison_names[how])))
		how++; /* node_keys() has checked that it is one of them */
	assert(how < sizeof comparison_names / sizeof *comparison_names);
	if (correlation->condition_count == 2)
		return error_at(
			err, EINVALID, map->keys[pair]->at,
			"more than two comparisons\n  fix: use at most a lower and an upper "
			"bound");
	if ((value->kind != YAML_INTEGER && value->kind != YAML_REAL) || !isfinite(value->real))
		return error_at(err, EINVALID, value->at,
				"'%.*s' is no number\n  fix: write a number without quotes",
				TEXT_ARG(value->text));
	correlation->conditions[correlation->condition_count].how = (enum comparison)how;
	correlation->conditions[correlation->condition_count++].value = value->real;
	return OK;
}

static bool is_lower(enum comparison how)
{
	return how == COMPARE_GT || how == COMPARE_GTE;
}

static enum status range_checked(const struct yaml_node *map, const struct correlation *correlation,
				 struct error *err)
{
	if (correlation->condition_count != 2)
		return OK;
	size_t low = is_lower(correlation->conditions[0].how) ? 0 : 1;
	enum comparison upper = correlation->conditions[1 - low].how;
	if (is_lower(correlation->conditions[low].how) &&
	    (upper == COMPARE_LT || upper == COMPARE_LTE) &&
	    correlation->conditions[low].value > correlation->conditions[1 - low].value)
		return error_at(
			err, EINVALID, map->at,
			"these two bounds can never hold together\n  fix: swap gt and lt, or "
			"correct the numbers");
	return OK;
}

static enum status percentile_read(const struct yaml_node *map, struct correlation *correlation,
				   struct error *err)
{
	const struct yaml_node *node = yaml_get(map, "percentile");
	correlation->percentile = 50;
	if (node == NULL)
		return OK;
	if (correlation->type != CORRELATION_VALUE_PERCENTILE)
		return error_at(
			err, EINVALID, node->at,
			"percentile belongs to type value_percentile\n  fix: change the type, "
			"or remove it");
	if ((node->kind != YAML_INTEGER && node->kind != YAML_REAL) || !(node->real > 0) ||
	    !(node->real <= 100))
		return error_at(err, EINVALID, node->at,
				"percentile must be above 0 and at most 100\n  fix: write for "
				"instance 95");
	correlation->percentile = node->real;
	return OK;
}

static enum status fields_read(struct loader *loader, const struct yaml_node *condition,
			       struct correlation *correlation, struct error *err)
{
	const struct yaml_node *node = yaml_get(condition, "field");
	bool takes_field =
		correlation->type != CORRELATION_EVENT_COUNT && !is_temporal(correlation);
	const char *type = type_names[correlation->type];
	if (!takes_field && node != NULL)
		return error_at(
			err, EINVALID, node->at,
			"%s counts events and takes no field\n  fix: remove `field`, or use "
			"value_count to count its different values",
			type);
	if (!takes_field)
		return OK;
	if (node == NULL || (node->kind == YAML_SEQUENCE && node->count == 0))
		return error_at(err, EINVALID, condition->at,
				"%s needs a field\n  fix: add `field: name` to the condition",
				type);
	if (node->kind == YAML_SEQUENCE && node->count > 1 &&
	    correlation->type != CORRELATION_VALUE_COUNT)
		return error_at(err, EINVALID, node->at,
				"%s takes one field\n  fix: write one rule per field", type);
	return node_fields(loader, node, "condition.field", &correlation->fields,
			   &correlation->field_count, err);
}

static enum status thresholds_read(struct loader *loader, const struct yaml_node *condition,
				   struct correlation *correlation, struct error *err)
{
	/* Of two that are as near to a wrong word the first is offered: >= for "ge". */
	static const char *const keys[] = {"gte", "gt",  "lte",   "lt",
					   "eq",  "neq", "field", "percentile"};
	enum status status = node_keys(condition, "condition", keys, 8, err);
	for (size_t i = 0; status == OK && i < condition->count; i++) {
		bool other = text_equal(condition->keys[i]->text, TEXT("field")) ||
			     text_equal(condition->keys[i]->text, TEXT("percentile"));
		if (!other)
			status = threshold_read(condition, i, correlation, err);
	}
	if (status == OK && correlation->condition_count == 0)
		status = error_at(
			err, EINVALID, condition->at,
			"the condition compares nothing\n  fix: add for instance `gte: 5`");
	if (status == OK)
		status = range_checked(condition, correlation, err);
	if (status == OK)
		status = percentile_read(condition, correlation, err);
	if (status == OK)
		status = fields_read(loader, condition, correlation, err);
	return status;
}

static enum status condition_read(struct loader *loader, const struct yaml_node *map,
				  struct correlation_draft *draft, struct error *err)
{
	const struct yaml_node *condition = yaml_get(map, "condition");
	if (condition == NULL && is_temporal(&draft->parsed)) {
		draft->parsed.conditions[0].how = COMPARE_GTE; /* all of them */
		draft->parsed.conditions[0].value = (double)draft->reference_count;
		draft->parsed.condition_count = 1;
		return OK;
	}
	if (condition == NULL)
		return error_at(err, EINVALID, map->at,
				"the correlation has no condition\n  fix: add for instance "
				"`condition: {gte: 5}`");
	if (condition->kind == YAML_STRING)
		return name_condition_read(loader, condition, draft, err);
	if (condition->kind != YAML_MAPPING)
		return error_at(err, EINVALID, condition->at,
				"condition must be a map of comparisons, or for temporal types a "
				"text over rule names\n  fix: write for instance {gte: 5}");
	return thresholds_read(loader, condition, &draft->parsed, err);
}

static enum status generate_read(const struct yaml_node *document, const struct yaml_node *map,
				 struct correlation_draft *draft, struct error *err)
{
	const struct yaml_node *node = yaml_get(map, "generate");
	if (node == NULL)
		node = yaml_get(document, "generate");
	return node == NULL ? OK : node_boolean(node, "generate", &draft->generate, err);
}

/* The keys of a type; all have the first two. */
static enum status keys_check(const struct yaml_node *map, enum correlation_type type,
			      struct error *err)
{
	static const char *const common[] = {"type",      "timespan", "rules",    "group-by",
					     "condition", "aliases",  "generate", NULL};
	static const char *const more[][6] = {
		[CORRELATION_SEQUENCE] = {"steps", "until"},
		[CORRELATION_FIRST_SEEN] = {"learn", "backfill", "peers"},
		[CORRELATION_BASELINE] = {"history", "season", "min-buckets", "adapt"},
		[CORRELATION_GEO_VELOCITY] = {"ignore"},
		[CORRELATION_ABSENCE] = {"members", "forget"},
		[CORRELATION_RISK] = {"half-life", "weight"},
	};
	static const char *const compared[] = {"type", "rules", "group-by", "compare"};
	const char *keys[16];
	size_t count = 0;
	const struct yaml_node *timespan = yaml_get(map, "timespan");
	if (type == CORRELATION_COHORT_COMPARE && timespan != NULL)
		return error_at(err, EINVALID, timespan->at,
				"cohort_compare has no timespan: the gate compares from the "
				"canary's first event on\n  fix: remove it");
	if (type == CORRELATION_COHORT_COMPARE)
		return node_keys(map, "a cohort_compare correlation", compared, 4, err);
	for (size_t i = 0; common[i] != NULL; i++)
		keys[count++] = common[i];
	for (size_t i = 0; type < sizeof more / sizeof *more && more[type][i] != NULL; i++)
		keys[count++] = more[type][i];
	return node_keys(map, "correlation", keys, count, err);
}

static enum status meaning_read(struct loader *loader, const struct yaml_node *map,
				struct correlation_draft *draft, struct error *err)
{
	return draft->parsed.type >= CORRELATION_SEQUENCE ? terms_read(loader, map, draft, err)
							  : condition_read(loader, map, draft, err);
}

enum status correlation_parse(struct loader *loader, const struct yaml_node *document,
			      struct draft *draft, struct error *err)
{
	const struct yaml_node *map = yaml_get(document, "correlation");
	assert(map != NULL);
	struct correlation_draft *correlation = arena_alloc(loader->arena, sizeof *correlation);
	if (correlation == NULL)
		return loader_exhausted(err);
	enum status status = node_map(map, "correlation", err);
	if (status == OK)
		status = type_parse(map, &correlation->parsed, err);
	if (status == OK)
		status = keys_check(map, correlation->parsed.type, err);
	if (status == OK)
		status = references_read(loader, map, correlation, err);
	if (status == OK)
		status = aliases_read(loader, map, correlation, err);
	if (status == OK)
		status = group_read(loader, map, correlation, err);
	if (status == OK)
		status = timespan_read(loader, map, &correlation->parsed, err);
	if (status == OK)
		status = meaning_read(loader, map, correlation, err);
	if (status == OK)
		status = generate_read(document, map, correlation, err);
	draft->rule.logsource = (struct logsource){TEXT(""), TEXT(""), TEXT("")};
	draft->correlation = correlation;
	return status;
}
