#include "rules/modifier_private.h"
#include "rules/pipeline_private.h"

#include <assert.h>
#include <stdio.h>

/* The conditions of a transformation: on the rule, on the detection item, on the field name. Each
 * of the three is a list (all must hold, or one with `..._cond_op: or`) or a map of names that
 * `..._cond_expr` joins. They are asked about what earlier transformations have left. */

enum target { TARGET_RULE = 1, TARGET_ITEM = 2, TARGET_FIELD = 4 };
enum { OWN_MAX = 3 };

static const struct {
	const char *name;
	enum question_kind kind;
	enum target target;
	const char *own[OWN_MAX];
} table[] = {
	{"logsource", QUESTION_LOGSOURCE, TARGET_RULE, {"category", "product", "service"}},
	{"contains_detection_item", QUESTION_HAS_ITEM, TARGET_RULE, {"field", "value"}},
	{"contains_field", QUESTION_HAS_FIELD, TARGET_RULE, {"field"}},
	{"processing_item_applied", QUESTION_APPLIED, TARGET_RULE, {"processing_item_id"}},
	{"is_sigma_rule", QUESTION_IS_RULE, TARGET_RULE, {NULL}},
	{"is_sigma_correlation_rule", QUESTION_IS_CORRELATION, TARGET_RULE, {NULL}},
	{"tag", QUESTION_TAG, TARGET_RULE, {"tag"}},
	{"processing_item_applied", QUESTION_APPLIED, TARGET_ITEM, {"processing_item_id"}},
	{"is_null", QUESTION_NULL, TARGET_ITEM, {"cond"}},
	{"contains_wildcard", QUESTION_WILDCARD, TARGET_ITEM, {"cond"}},
	{"match_value", QUESTION_VALUE, TARGET_ITEM, {"cond", "value"}},
	{"include_fields", QUESTION_INCLUDE, TARGET_FIELD, {"fields", "mode"}},
	{"exclude_fields", QUESTION_EXCLUDE, TARGET_FIELD, {"fields", "mode"}},
};
enum { TABLE_COUNT = sizeof table / sizeof *table };

/* One of the three groups of conditions while it is being read. */
struct group {
	struct loader *loader;
	const char *prefix; /* "rule", "detection_item", "field_name" */
	enum target target;
};

static enum status type_unknown(const struct group *group, const struct yaml_node *type,
				struct error *err)
{
	const char *names[TABLE_COUNT];
	char all[256] = "";
	size_t count = 0, used = 0;
	for (size_t i = 0; i < TABLE_COUNT; i++) {
		if (table[i].target != group->target)
			continue;
		names[count++] = table[i].name;
		used += (size_t)snprintf(all + used, sizeof all - used, "%s%s",
					 used > 0 ? ", " : "", table[i].name);
		assert(used < sizeof all);
	}
	return error_at(err, EINVALID, type->at,
			"%s condition '%.*s' is not one that picket evaluates%s\n  fix: use one of "
			"%s",
			group->prefix, TEXT_ARG(type->text),
			hint_for(type->text, names, count).text, all);
}

static enum status word_read(const struct group *group, const struct yaml_node *node,
			     const char *key, struct text *ret_word, struct error *err)
{
	const struct yaml_node *value = yaml_get(node, key);
	struct text text = {0};
	if (value == NULL)
		return error_at(err, EINVALID, node->at, "no %s here\n  fix: add `%s:`", key, key);
	enum status status = node_text(value, key, &text, err);
	if (status == OK)
		*ret_word = loader_keep(group->loader, text);
	return status;
}

static enum status logsource_read(const struct group *group, const struct yaml_node *node,
				  struct question *question, struct error *err)
{
	static const char *const keys[] = {"category", "product", "service"};
	struct text *const to[] = {&question->logsource.category, &question->logsource.product,
				   &question->logsource.service};
	size_t given = 0;
	for (size_t i = 0; i < 3; i++) {
		if (yaml_get(node, keys[i]) == NULL)
			continue;
		enum status status = word_read(group, node, keys[i], to[i], err);
		if (status != OK)
			return status;
		given++;
	}
	if (given == 0)
		return error_at(err, EINVALID, node->at,
				"this condition names no log source\n  fix: add category, product "
				"or service");
	return OK;
}

static enum status value_read(const struct yaml_node *node, struct question *question,
			      struct error *err)
{
	question->value = yaml_get(node, "value");
	if (question->value == NULL || question->value->kind >= YAML_SEQUENCE)
		return error_at(err, EINVALID, node->at,
				"this condition needs one value\n  fix: add `value:` with a text, "
				"a number or a boolean");
	return OK;
}

static enum status values_read(const struct yaml_node *node, struct question *question,
			       struct error *err)
{
	static const char *const words[] = {"any", "all"};
	const struct yaml_node *which = yaml_get(node, "cond");
	size_t index = 0;
	if (which == NULL)
		return error_at(err, EINVALID, node->at,
				"any value of the item, or all?\n  fix: add `cond: any` or `cond: "
				"all`");
	enum status status = node_one_of(which, "cond", words, 2, &index, err);
	question->all = index == 1;
	if (status == OK && question->kind == QUESTION_VALUE)
		status = value_read(node, question, err);
	return status;
}

static enum status fields_read(const struct group *group, const struct yaml_node *node,
			       struct question *question, struct error *err)
{
	const struct yaml_node *mode = yaml_get(node, "mode");
	const struct yaml_node *list = yaml_get(node, "fields");
	if (mode != NULL && !text_equal(mode->text, TEXT("plain")))
		return error_at(err, EINVALID, mode->at,
				"field names are compared as they are, not by mode '%.*s'\n  fix: "
				"list the names, and remove `mode:`",
				TEXT_ARG(mode->text));
	if (list == NULL)
		return error_at(err, EINVALID, node->at, "no fields here\n  fix: add `fields:`");
	enum status status = node_list(list, "fields", err);
	if (status != OK)
		return status;
	struct text *fields = arena_alloc(group->loader->arena, (list->count + 1) * sizeof *fields);
	if (fields == NULL)
		return loader_exhausted(err);
	for (size_t i = 0; status == OK && i < list->count; i++) {
		status = node_text(list->items[i], "a name of fields", &fields[i], err);
		question->field_count++;
	}
	question->fields = fields;
	return status;
}

static enum status own_read(const struct group *group, const struct yaml_node *node,
			    struct question *question, struct error *err)
{
	switch (question->kind) {
	case QUESTION_LOGSOURCE:
		return logsource_read(group, node, question, err);
	case QUESTION_HAS_ITEM: {
		enum status status = value_read(node, question, err);
		return status == OK ? word_read(group, node, "field", &question->word, err)
				    : status;
	}
	case QUESTION_HAS_FIELD:
		return word_read(group, node, "field", &question->word, err);
	case QUESTION_APPLIED:
		return word_read(group, node, "processing_item_id", &question->word, err);
	case QUESTION_TAG:
		return word_read(group, node, "tag", &question->word, err);
	case QUESTION_NULL:
	case QUESTION_WILDCARD:
	case QUESTION_VALUE:
		return values_read(node, question, err);
	case QUESTION_INCLUDE:
	case QUESTION_EXCLUDE:
		return fields_read(group, node, question, err);
	case QUESTION_IS_RULE:
	case QUESTION_IS_CORRELATION:
		break;
	}
	return OK;
}

static enum status question_read(const struct group *group, const struct yaml_node *node,
				 struct question *question, struct error *err)
{
	enum status status = node_map(node, "a condition", err);
	const struct yaml_node *type = status == OK ? yaml_get(node, "type") : NULL;
	if (status == OK && type == NULL)
		status = error_at(err, EINVALID, node->at,
				  "a condition without type\n  fix: add for instance `type: %s`",
				  group->target == TARGET_RULE   ? "logsource"
				  : group->target == TARGET_ITEM ? "is_null"
								 : "include_fields");
	size_t row = 0;
	while (status == OK && row < TABLE_COUNT &&
	       (table[row].target != group->target ||
		!text_equal(type->text, text_of(table[row].name))))
		row++;
	if (status == OK && row == TABLE_COUNT)
		status = type_unknown(group, type, err);
	if (status != OK)
		return status;
	const char *names[OWN_MAX + 1] = {"type"};
	size_t count = 1;
	for (size_t i = 0; i < OWN_MAX && table[row].own[i] != NULL; i++)
		names[count++] = table[row].own[i];
	status = node_keys(node, table[row].name, names, count, err);
	question->kind = table[row].kind;
	question->at = node->at;
	return status == OK ? own_read(group, node, question, err) : status;
}

static bool label_known(const struct questions *questions, struct text label)
{
	for (size_t i = 0; i < questions->count; i++)
		if (text_equal(questions->items[i].label, label))
			return true;
	return false;
}

static bool label_used(const struct condition_node *node, struct text label)
{
	if (node->kind == CONDITION_NAME)
		return text_equal(node->name, label);
	for (size_t i = 0; i < node->child_count; i++)
		if (label_used(node->children[i], label))
			return true;
	return false;
}

/* Every name of the expression is a condition; no `1 of`, which pySigma has not here either. */
static enum status names_checked(const struct condition_node *node,
				 const struct questions *questions, const struct yaml_node *text,
				 struct error *err)
{
	if (node->kind == CONDITION_OF)
		return error_at(err, EINVALID, text->at,
				"`of` has no meaning here\n  fix: join the names by and, or, not");
	if (node->kind == CONDITION_NAME && !label_known(questions, node->name))
		return error_at(err, EINVALID, text->at,
				"the expression names '%.*s', which is no condition here\n  fix: "
				"use the keys of the map of conditions",
				TEXT_ARG(node->name));
	enum status status = OK;
	for (size_t i = 0; status == OK && i < node->child_count; i++)
		status = names_checked(node->children[i], questions, text, err);
	return status;
}

static enum status expression_read(const struct group *group, const struct yaml_node *text,
				   bool is_map, struct questions *questions, struct error *err)
{
	if (!is_map)
		return error_at(err, EINVALID, text->at,
				"an expression needs names\n  fix: write %s_conditions as a map "
				"of names to conditions",
				group->prefix);
	enum status status = condition_parse(text->text, text->at, !text->quoted,
					     group->loader->arena, &questions->expression, err);
	if (status == OK)
		status = names_checked(questions->expression, questions, text, err);
	for (size_t i = 0; status == OK && i < questions->count; i++)
		if (!label_used(questions->expression, questions->items[i].label))
			status = error_at(err, EINVALID, questions->items[i].at,
					  "condition '%.*s' is not used in the expression\n  fix: "
					  "name it there, or remove it",
					  TEXT_ARG(questions->items[i].label));
	return status;
}

static enum status list_read(const struct group *group, const struct yaml_node *node,
			     struct questions *questions, struct error *err)
{
	bool is_map = node->kind == YAML_MAPPING;
	enum status status = is_map ? OK : node_list(node, "conditions", err);
	if (status != OK)
		return status;
	struct question *items =
		arena_alloc(group->loader->arena, (node->count + 1) * sizeof *items);
	if (items == NULL)
		return loader_exhausted(err);
	for (size_t i = 0; status == OK && i < node->count; i++) {
		status = question_read(group, is_map ? node->values[i] : node->items[i], &items[i],
				       err);
		items[i].label =
			is_map ? loader_keep(group->loader, node->keys[i]->text) : TEXT("");
	}
	questions->items = items;
	questions->count = node->count;
	return status;
}

static enum status joining_read(const struct group *group, const struct yaml_node *step,
				struct questions *questions, struct error *err)
{
	static const char *const operators[] = {"and", "or"};
	char key[48];
	size_t index = 0;
	enum status status = OK;
	bool joined = questions->expression != NULL;
	(void)snprintf(key, sizeof key, "%s_cond_op", group->prefix);
	const struct yaml_node *node = yaml_get(step, key);
	if (node != NULL && (joined || questions->count == 0))
		return error_at(err, EINVALID, node->at, "%s joins nothing%s\n  fix: remove it",
				key, joined ? ": there is an expression" : "");
	if (node != NULL)
		status = node_one_of(node, key, operators, 2, &index, err);
	questions->any = index == 1;
	(void)snprintf(key, sizeof key, "%s_cond_not", group->prefix);
	node = status == OK ? yaml_get(step, key) : NULL;
	if (node != NULL && questions->count == 0)
		return error_at(err, EINVALID, node->at,
				"%s negates nothing\n  fix: add %s_conditions, or remove it", key,
				group->prefix);
	return node == NULL ? status : node_boolean(node, key, &questions->negated, err);
}

enum status questions_parse(struct loader *loader, const struct yaml_node *step, const char *prefix,
			    struct questions *ret_questions, struct error *err)
{
	struct group group = {loader, prefix,
			      prefix[0] == 'r'   ? TARGET_RULE
			      : prefix[0] == 'd' ? TARGET_ITEM
						 : TARGET_FIELD};
	struct questions questions = {0};
	char key[48];
	(void)snprintf(key, sizeof key, "%s_conditions", prefix);
	const struct yaml_node *list = yaml_get(step, key);
	enum status status = list == NULL ? OK : list_read(&group, list, &questions, err);
	(void)snprintf(key, sizeof key, "%s_cond_expr", prefix);
	const struct yaml_node *text = yaml_get(step, key);
	if (status == OK && text != NULL)
		status = expression_read(&group, text, list != NULL && list->kind == YAML_MAPPING,
					 &questions, err);
	if (status == OK)
		status = joining_read(&group, step, &questions, err);
	if (status == OK)
		*ret_questions = questions;
	return status;
}
