#include "rules/parse_private.h"

#include <assert.h>
#include <stdio.h>

static const char *kind_name(const struct yaml_node *node)
{
	static const char *const names[] = {
		[YAML_NULL] = "nothing (null)", [YAML_BOOLEAN] = "a boolean",
		[YAML_INTEGER] = "a number",    [YAML_REAL] = "a number",
		[YAML_STRING] = "text",         [YAML_SEQUENCE] = "a list",
		[YAML_MAPPING] = "a map",
	};
	assert((unsigned)node->kind < sizeof names / sizeof *names);
	return names[node->kind];
}

static enum status wrong_kind(const struct yaml_node *node, const char *what, const char *wanted,
			      const char *fix, struct error *err)
{
	return error_at(err, EINVALID, node->at, "%s must be %s, not %s\n  fix: %s", what, wanted,
			kind_name(node), fix);
}

enum status node_text(const struct yaml_node *node, const char *what, struct text *ret_text,
		      struct error *err)
{
	bool is_scalar = node->kind > YAML_NULL && node->kind < YAML_STRING;
	if (node->kind != YAML_STRING)
		return wrong_kind(node, what, "text",
				  is_scalar ? "put it in quotes" : "write one text", err);
	if (node->text.size == 0)
		return error_at(err, EINVALID, node->at,
				"%s is empty\n  fix: write a text, or remove the key", what);
	*ret_text = node->text;
	return OK;
}

enum status node_list(const struct yaml_node *node, const char *what, struct error *err)
{
	if (node->kind != YAML_SEQUENCE)
		return wrong_kind(node, what, "a list", "write one `- item` a line, or [a, b]",
				  err);
	return OK;
}

enum status node_map(const struct yaml_node *node, const char *what, struct error *err)
{
	if (node->kind != YAML_MAPPING)
		return wrong_kind(node, what, "a map", "write one `key: value` a line", err);
	return OK;
}

enum status node_boolean(const struct yaml_node *node, const char *what, bool *ret_value,
			 struct error *err)
{
	if (node->kind != YAML_BOOLEAN)
		return wrong_kind(node, what, "true or false", "write true or false", err);
	*ret_value = node->boolean;
	return OK;
}

enum status node_count(const struct yaml_node *node, const char *what, long long min, long long max,
		       long long *ret_value, struct error *err)
{
	if (node->kind != YAML_INTEGER)
		return wrong_kind(node, what, "a whole number", "write a number without quotes",
				  err);
	if (node->integer < min || node->integer > max)
		return error_at(err, EINVALID, node->at,
				"%s is %lld\n  fix: use a number from %lld to %lld", what,
				node->integer, min, max);
	*ret_value = node->integer;
	return OK;
}

enum status node_duration(const struct yaml_node *node, const char *what, int64_t *ret_us,
			  struct error *err)
{
	if (node->kind >= YAML_SEQUENCE)
		return wrong_kind(node, what, "a duration", "write for instance 5m", err);
	if (duration_parse(node->text, ret_us))
		return OK;
	return error_at(
		err, EINVALID, node->at,
		"%s '%.*s' is no duration\n  fix: write a number and its unit: 500ms, 10s, 5m, "
		"1h, 7d or 1w",
		what, TEXT_ARG(node->text));
}

struct hint hint_for(struct text wrong, const char *const *names, size_t count)
{
	struct hint hint = {0};
	const char *nearest = nearest_name(wrong, names, count);
	if (nearest != NULL)
		(void)snprintf(hint.text, sizeof hint.text, " (did you mean '%s'?)", nearest);
	return hint;
}

/* "a, b, c" of all names, cut with "..." where the room ends. */
static void names_print(const char *const *names, size_t count, char *buffer, size_t size)
{
	size_t used = 0;
	buffer[0] = '\0';
	for (size_t i = 0; i < count; i++) {
		if (used + strlen(names[i]) + 8 > size) {
			(void)snprintf(buffer + used, size - used, ", ...");
			return;
		}
		used += (size_t)snprintf(buffer + used, size - used, "%s%s", i > 0 ? ", " : "",
					 names[i]);
	}
}

enum status node_one_of(const struct yaml_node *node, const char *what, const char *const *names,
			size_t count, size_t *ret_index, struct error *err)
{
	struct text word = node->text;
	if (node->kind >= YAML_SEQUENCE)
		return wrong_kind(node, what, "one word", "write it without brackets", err);
	for (size_t i = 0; i < count; i++)
		if (text_equal(word, text_of(names[i]))) {
			*ret_index = i;
			return OK;
		}
	char all[256];
	names_print(names, count, all, sizeof all);
	return error_at(err, EINVALID, node->at, "%s '%.*s' is not known%s\n  fix: use one of %s",
			what, TEXT_ARG(word), hint_for(word, names, count).text, all);
}

enum status node_keys(const struct yaml_node *map, const char *what, const char *const *names,
		      size_t count, struct error *err)
{
	enum status status = node_map(map, what, err);
	for (size_t i = 0; status == OK && i < map->count; i++) {
		struct text key = map->keys[i]->text;
		bool known = false;
		for (size_t k = 0; k < count && !known; k++)
			known = text_equal(key, text_of(names[k]));
		if (known)
			continue;
		char all[256];
		names_print(names, count, all, sizeof all);
		status = error_at(err, EINVALID, map->keys[i]->at,
				  "%s has no key '%.*s'%s\n  fix: use one of %s", what,
				  TEXT_ARG(key), hint_for(key, names, count).text, all);
	}
	return status;
}

enum status node_missing(const struct yaml_node *map, const char *key, const char *says,
			 const char *fix, struct error *err)
{
	for (size_t i = 0; i < map->count; i++)
		if (nearest_name(map->keys[i]->text, &key, 1) != NULL)
			return error_at(err, EINVALID, map->keys[i]->at,
					"%s (did you mean '%s'?)\n  fix: write `%s:` instead of "
					"`%.*s:`",
					says, key, key, TEXT_ARG(map->keys[i]->text));
	return error_at(err, EINVALID, map->at, "%s\n  fix: %s", says, fix);
}

enum status node_fields(struct loader *loader, const struct yaml_node *node, const char *what,
			const struct text **ret_fields, size_t *ret_count, struct error *err)
{
	bool is_list = node->kind == YAML_SEQUENCE;
	size_t count = is_list ? node->count : 1;
	if (count > RULES_GROUP_BY_MAX)
		return error_at(err, ELIMIT, node->at, "%s names %zu fields\n  fix: use at most %d",
				what, count, RULES_GROUP_BY_MAX);
	struct text *fields = arena_alloc(loader->arena, (count + 1) * sizeof *fields);
	if (fields == NULL)
		return loader_exhausted(err);
	for (size_t i = 0; i < count; i++) {
		struct text name = {0};
		const struct yaml_node *item = is_list ? node->items[i] : node;
		enum status status = node_text(item, what, &name, err);
		if (status == OK)
			status = field_is_read(loader, name, item->at, err);
		if (status != OK)
			return status;
		fields[i] = loader_keep_field(loader, name);
		for (size_t k = 0; k < i; k++)
			if (text_equal(fields[k], fields[i]))
				return error_at(err, EINVALID, node->items[i]->at,
						"%s names '%.*s' twice\n  fix: remove one", what,
						TEXT_ARG(fields[i]));
	}
	*ret_fields = fields;
	*ret_count = count;
	return OK;
}
