#include "rules/parse_private.h"

#include <assert.h>

/* What stands at the top of a rule: checked as Sigma 2.1 says,
 * because a rule whose level or id is mistyped is a rule that pages nobody or cannot be found. */

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_uuid(struct text t)
{
	if (t.size != 36)
		return false;
	for (size_t i = 0; i < t.size; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		if (dash ? t.data[i] != '-' : !is_hex(t.data[i]))
			return false;
	}
	return true;
}

/* An optional text of at most `max` bytes; ret_text is kept. */
static enum status text_read(struct loader *loader, const struct yaml_node *document,
			     const char *key, size_t max, struct text *ret_text, struct error *err)
{
	const struct yaml_node *node = yaml_get(document, key);
	struct text text = {0};
	*ret_text = TEXT("");
	if (node == NULL)
		return OK;
	enum status status = node_text(node, key, &text, err);
	if (status != OK)
		return status;
	if (text.size > max)
		return error_at(err, ELIMIT, node->at, "%s has %zu bytes\n  fix: shorten it to %zu",
				key, text.size, max);
	*ret_text = loader_keep(loader, text);
	return OK;
}

static enum status id_read(struct loader *loader, const struct yaml_node *document,
			   struct rule *rule, struct error *err)
{
	enum status status = text_read(loader, document, "id", 256, &rule->id, err);
	if (status != OK || rule->id.size == 0 || is_uuid(rule->id) ||
	    loader->options->supply_metadata)
		return status;
	return error_at(
		err, EINVALID, yaml_get(document, "id")->at,
		"id '%.*s' is no UUID\n  fix: generate one (uuidgen), or write `name: %.*s`",
		TEXT_ARG(rule->id), TEXT_ARG(rule->id));
}

static bool number_at(struct text t, size_t at, size_t digits, unsigned *ret_number)
{
	*ret_number = 0;
	for (size_t i = at; i < at + digits; i++) {
		if (i >= t.size || t.data[i] < '0' || t.data[i] > '9')
			return false;
		*ret_number = *ret_number * 10 + (unsigned)(t.data[i] - '0');
	}
	return true;
}

static bool is_date(struct text t)
{
	static const unsigned char days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	unsigned year = 0, month = 0, day = 0;
	bool shape = t.size == 10 && (t.data[4] == '-' || t.data[4] == '/') &&
		     t.data[7] == t.data[4] && number_at(t, 0, 4, &year) &&
		     number_at(t, 5, 2, &month) && number_at(t, 8, 2, &day);
	return shape && month >= 1 && month <= 12 && day >= 1 && day <= days[month - 1];
}

static enum status date_check(struct loader *loader, const struct yaml_node *document,
			      const char *key, struct error *err)
{
	const struct yaml_node *node = yaml_get(document, key);
	if (node == NULL)
		return OK;
	struct text date = {0};
	enum status status = node_text(node, key, &date, err);
	if (status != OK)
		return status;
	if (!is_date(date))
		return error_at(err, EINVALID, node->at,
				"%s '%.*s' is no date\n  fix: write it as 2026-11-22", key,
				TEXT_ARG(date));
	if (date.data[4] == '/')
		lint_warn(loader, node->at, "write it as 2026-11-22",
			  "%s with slashes was dropped in Sigma 2.0", key);
	return OK;
}

/* A list of texts; `unique` refuses the second of two equal ones. */
static enum status texts_check(const struct yaml_node *document, const char *key, bool unique,
			       struct error *err)
{
	const struct yaml_node *node = yaml_get(document, key);
	if (node == NULL)
		return OK;
	enum status status = node_list(node, key, err);
	for (size_t i = 0; status == OK && i < node->count; i++) {
		if (node->items[i]->kind >= YAML_SEQUENCE)
			status = error_at(err, EINVALID, node->items[i]->at,
					  "%s must hold texts\n  fix: write one text a line", key);
		for (size_t k = 0; status == OK && unique && k < i; k++)
			if (text_equal(node->items[k]->text, node->items[i]->text))
				status = error_at(err, EINVALID, node->items[i]->at,
						  "%s has '%.*s' twice\n  fix: remove one", key,
						  TEXT_ARG(node->items[i]->text));
	}
	return status;
}

static enum status related_check(const struct yaml_node *document, struct error *err)
{
	static const char *const keys[] = {"id", "type"};
	static const char *const types[] = {"derived", "obsolete", "merged", "renamed", "similar"};
	const struct yaml_node *node = yaml_get(document, "related");
	if (node == NULL)
		return OK;
	enum status status = node_list(node, "related", err);
	for (size_t i = 0; status == OK && i < node->count; i++) {
		const struct yaml_node *item = node->items[i];
		size_t type = 0;
		status = node_keys(item, "related", keys, 2, err);
		if (status != OK)
			break;
		const struct yaml_node *id = yaml_get(item, "id");
		const struct yaml_node *kind = yaml_get(item, "type");
		if (id == NULL || kind == NULL)
			return error_at(err, EINVALID, item->at,
					"related needs id and type\n  fix: add what is missing");
		if (id->kind != YAML_STRING || !is_uuid(id->text))
			return error_at(err, EINVALID, id->at,
					"related id '%.*s' is no UUID\n  fix: use the id of a rule",
					TEXT_ARG(id->text));
		status = node_one_of(kind, "related type", types, 5, &type, err);
	}
	return status;
}

static bool is_tag(struct text t)
{
	const char *dot = t.size == 0 ? NULL : memchr(t.data, '.', t.size);
	if (dot == NULL || dot == t.data || dot + 1 == t.data + t.size)
		return false;
	for (size_t i = 0; i < t.size; i++) {
		char c = t.data[i];
		bool word =
			(c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
		if (!word && (c != '.' || t.data + i < dot))
			return false;
	}
	return true;
}

static enum status tags_read(struct loader *loader, const struct yaml_node *document,
			     struct rule *rule, struct error *err)
{
	const struct yaml_node *node = yaml_get(document, "tags");
	enum status status = texts_check(document, "tags", true, err);
	if (node == NULL || status != OK)
		return status;
	struct text *tags = arena_alloc(loader->arena, (node->count + 1) * sizeof *tags);
	if (tags == NULL)
		return loader_exhausted(err);
	for (size_t i = 0; i < node->count; i++) {
		if (!is_tag(node->items[i]->text))
			return error_at(
				err, EINVALID, node->items[i]->at,
				"tag '%.*s' is not namespace.value\n  fix: write it in small "
				"letters, for instance attack.t1110",
				TEXT_ARG(node->items[i]->text));
		tags[i] = loader_keep(loader, node->items[i]->text);
	}
	rule->tags = tags;
	rule->tag_count = node->count;
	return OK;
}

static enum status level_read(const struct yaml_node *document, struct draft *draft,
			      struct error *err)
{
	static const char *const names[] = {"informational", "low", "medium", "high", "critical"};
	const struct yaml_node *node = yaml_get(document, "level");
	size_t level = LEVEL_MEDIUM;
	draft->level_given = node != NULL;
	enum status status = node == NULL ? OK : node_one_of(node, "level", names, 5, &level, err);
	if (status == OK)
		draft->rule.level = (enum rule_level)level;
	return status;
}

static enum status status_read(struct loader *loader, const struct yaml_node *document,
			       struct rule *rule, struct error *err)
{
	static const char *const names[] = {"stable", "test", "experimental", "deprecated",
					    "unsupported"};
	const struct yaml_node *node = yaml_get(document, "status");
	size_t index = 0;
	rule->status = TEXT("");
	if (node == NULL)
		return OK;
	enum status status = node_one_of(node, "status", names, 5, &index, err);
	if (status == OK)
		rule->status = loader_keep(loader, node->text);
	return status;
}

static enum status title_read(struct loader *loader, const struct yaml_node *document,
			      struct rule *rule, struct error *err)
{
	enum status status = text_read(loader, document, "title", 256, &rule->title, err);
	if (status != OK || rule->title.size > 0)
		return status;
	if (!loader->options->supply_metadata)
		return node_missing(document, "title", "no title here",
				    "add `title: what the rule finds`", err);
	rule->title = TEXT("untitled");
	return OK;
}

static enum status others_check(struct loader *loader, const struct yaml_node *document,
				struct error *err)
{
	static const char *const texts[] = {"author", "license", "taxonomy"};
	static const char *const lists[] = {"falsepositives", "fields", "scope"};
	struct text unused = {0};
	enum status status = OK;
	for (size_t i = 0; status == OK && i < sizeof texts / sizeof *texts; i++)
		status = text_read(loader, document, texts[i], 65535, &unused, err);
	for (size_t i = 0; status == OK && i < sizeof lists / sizeof *lists; i++)
		status = texts_check(document, lists[i], false, err);
	if (status == OK)
		status = texts_check(document, "references", true, err);
	if (status == OK)
		status = date_check(loader, document, "date", err);
	if (status == OK)
		status = date_check(loader, document, "modified", err);
	const struct yaml_node *taxonomy = yaml_get(document, "taxonomy");
	if (status == OK && taxonomy != NULL && !text_equal(taxonomy->text, TEXT("sigma")))
		lint_warn(loader, taxonomy->at, "check that the fields exist in your events",
			  "field names of taxonomy '%.*s' are taken as they are",
			  TEXT_ARG(taxonomy->text));
	return status;
}

enum status metadata_parse(struct loader *loader, const struct yaml_node *document,
			   struct draft *draft, struct error *err)
{
	struct rule *rule = &draft->rule;
	assert(document->kind == YAML_MAPPING);
	rule->at = document->at;
	enum status status = title_read(loader, document, rule, err);
	if (status == OK)
		status = id_read(loader, document, rule, err);
	if (status == OK)
		status = text_read(loader, document, "name", 256, &rule->name, err);
	if (status == OK)
		status = text_read(loader, document, "description", 65535, &rule->description, err);
	if (status == OK)
		status = related_check(document, err);
	if (status == OK)
		status = status_read(loader, document, rule, err);
	if (status == OK)
		status = level_read(document, draft, err);
	if (status == OK)
		status = tags_read(loader, document, rule, err);
	if (status == OK)
		status = others_check(loader, document, err);
	rule->key = rule->id.size > 0 ? rule->id : rule->name.size > 0 ? rule->name : rule->title;
	return status;
}

static enum status attribute_read(struct loader *loader, const struct yaml_node *logsource,
				  const char *key, struct text *ret_value, struct error *err)
{
	enum status status = text_read(loader, logsource, key, 256, ret_value, err);
	for (size_t i = 0; status == OK && i < ret_value->size; i++)
		if (ret_value->data[i] >= 'A' && ret_value->data[i] <= 'Z') {
			lint_warn(loader, yaml_get(logsource, key)->at, "write it in small letters",
				  "log source values are written in small letters; other tools "
				  "compare them exactly");
			break;
		}
	return status;
}

enum status logsource_parse(struct loader *loader, const struct yaml_node *document,
			    struct logsource *ret_logsource, struct error *err)
{
	static const char *const names[] = {"category", "product", "service", "definition"};
	const struct yaml_node *node = yaml_get(document, "logsource");
	bool supplied =
		loader->options->supply_metadata && (node == NULL || node->kind == YAML_NULL);
	*ret_logsource = (struct logsource){TEXT(""), TEXT(""), TEXT("")};
	if (supplied)
		return OK;
	if (node == NULL)
		return node_missing(document, "logsource", "no logsource here",
				    "add `logsource:` with category, product or service", err);
	enum status status = node_map(node, "logsource", err);
	if (status == OK)
		status = attribute_read(loader, node, "category", &ret_logsource->category, err);
	if (status == OK)
		status = attribute_read(loader, node, "product", &ret_logsource->product, err);
	if (status == OK)
		status = attribute_read(loader, node, "service", &ret_logsource->service, err);
	if (status != OK)
		return status;
	for (size_t i = 0; i < node->count; i++) {
		const char *nearest = nearest_name(node->keys[i]->text, names, 4);
		if (nearest != NULL && !text_equal(text_of(nearest), node->keys[i]->text))
			lint_warn(loader, node->keys[i]->at, "correct the key",
				  "logsource key '%.*s' is ignored: did you mean '%s'?",
				  TEXT_ARG(node->keys[i]->text), nearest);
	}
	if (ret_logsource->category.size + ret_logsource->product.size +
		    ret_logsource->service.size ==
	    0)
		return error_at(
			err, EINVALID, node->at,
			"logsource says neither category, product nor service\n  fix: add at "
			"least one");
	return OK;
}
