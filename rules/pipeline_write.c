#include "rules/pipeline_part_private.h"

#include <assert.h>

struct yaml_node *scalar_like(struct loader *loader, const struct yaml_node *like, struct text text)
{
	struct yaml_node *node = arena_alloc(loader->yaml, sizeof *node);
	struct text copy = arena_copy(loader->yaml, text); /* ends with a NUL, as the reader's do */
	if (node == NULL || copy.data == NULL)
		return NULL;
	/* Quoted: its bytes are not those at its place in the file. */
	*node = (struct yaml_node){
		.kind = YAML_STRING, .quoted = true, .text = copy, .at = like->at};
	return node;
}

const struct yaml_node *mapping_with(struct loader *loader, const struct yaml_node *mapping,
				     const char *key, const struct yaml_node *value)
{
	assert(mapping->kind == YAML_MAPPING);
	struct yaml_node *copy = arena_alloc(loader->yaml, sizeof *copy);
	size_t room = mapping->count + 1, at = 0;
	const struct yaml_node **keys = arena_alloc(loader->yaml, room * sizeof *keys);
	const struct yaml_node **values = arena_alloc(loader->yaml, room * sizeof *values);
	if (value == NULL || copy == NULL || keys == NULL || values == NULL)
		return NULL;
	for (size_t i = 0; i < mapping->count; i++) {
		keys[i] = mapping->keys[i];
		values[i] = mapping->values[i];
	}
	while (at < mapping->count && !text_equal(keys[at]->text, text_of(key)))
		at++;
	if (at == mapping->count)
		keys[at] = scalar_like(loader, mapping, text_of(key));
	values[at] = value;
	*copy = *mapping;
	copy->keys = keys;
	copy->values = values;
	copy->count += at == mapping->count;
	return keys[at] == NULL ? NULL : copy;
}

/* ---- back to YAML */

static const struct yaml_node *key_written(struct work *work, const struct item *item)
{
	if (!item->renamed)
		return item->key;
	struct text text = arena_print(work->loader->yaml, "%.*s%.*s", TEXT_ARG(item->field),
				       TEXT_ARG(item->modifiers));
	struct yaml_node *key =
		text.data == NULL ? NULL : scalar_like(work->loader, item->key, text);
	if (key != NULL)
		key->written = item->key->written != NULL ? item->key->written : item->key;
	return key;
}

/* The entries of a map that came of one: `keys` and `values` have room. */
static bool alternatives_written(struct work *work, const struct part *part,
				 const struct yaml_node **keys, const struct yaml_node **values,
				 size_t *count)
{
	bool written = true;
	for (size_t i = 0; written && i < part->count; i++)
		written = alternatives_written(work, part->children[i], keys, values, count);
	if (part->kind != PART_ITEM)
		return written;
	keys[*count] = key_written(work, &part->item);
	values[*count] = part->item.value;
	return keys[(*count)++] != NULL;
}

static size_t item_count(const struct part *part)
{
	size_t count = part->kind == PART_ITEM;
	for (size_t i = 0; i < part->count; i++)
		count += item_count(part->children[i]);
	return count;
}

static const struct yaml_node *list_written(struct work *work, const struct part *part,
					    const struct yaml_node **items, size_t count)
{
	struct yaml_node *list = scalar_like(work->loader, part->node, TEXT(""));
	if (list == NULL)
		return NULL;
	list->kind = YAML_SEQUENCE;
	list->items = items;
	list->count = count;
	return list;
}

static bool entry_written(struct work *work, const struct part *part,
			  const struct yaml_node **ret_key, const struct yaml_node **ret_value)
{
	if (part->kind == PART_ITEM) {
		*ret_key = key_written(work, &part->item);
		*ret_value = part->item.value;
		return *ret_key != NULL;
	}
	size_t room = item_count(part) + 1, count = 0;
	const struct yaml_node **keys = arena_alloc(work->loader->yaml, room * sizeof *keys);
	const struct yaml_node **values = arena_alloc(work->loader->yaml, room * sizeof *values);
	if (keys == NULL || values == NULL ||
	    !alternatives_written(work, part, keys, values, &count))
		return false;
	*ret_key = list_written(work, part, keys, count);
	*ret_value = list_written(work, part, values, count);
	return *ret_key != NULL && *ret_value != NULL;
}

/* NULL when out of memory. */
static const struct yaml_node *part_written(struct work *work, const struct part *part)
{
	struct loader *loader = work->loader;
	struct yaml_node *node = scalar_like(loader, part->node, TEXT(""));
	const struct yaml_node **keys = arena_alloc(loader->yaml, (part->count + 1) * sizeof *keys);
	const struct yaml_node **values =
		arena_alloc(loader->yaml, (part->count + 1) * sizeof *values);
	if (node == NULL || keys == NULL || values == NULL)
		return NULL;
	if (part->kind == PART_ITEM && !part->dropped)
		return part->item.value; /* keywords */
	size_t count = 0;
	for (size_t i = 0; i < part->count; i++) {
		const struct part *child = part->children[i];
		bool made = true;
		if (child->kind != PART_ITEM && item_count(child) == 0)
			continue;
		if (part->kind == PART_ALL)
			made = entry_written(work, child, &keys[count], &values[count]);
		else
			values[count] = part_written(work, child);
		if (!made || values[count] == NULL)
			return NULL;
		count++;
	}
	node->kind = part->kind == PART_ALL && count > 0 ? YAML_MAPPING : YAML_SEQUENCE;
	node->keys = keys;
	node->values = node->items = values;
	node->count = count;
	node->written = count == 0 ? part->node : NULL;
	return node;
}

const struct yaml_node *selections_written(struct work *work, const struct yaml_node *map,
					   const char *other)
{
	struct yaml_node *node = scalar_like(work->loader, map, TEXT(""));
	size_t room = work->selection_count + 2, count = 0;
	const struct yaml_node **keys = arena_alloc(work->loader->yaml, room * sizeof *keys);
	const struct yaml_node **values = arena_alloc(work->loader->yaml, room * sizeof *values);
	if (node == NULL || keys == NULL || values == NULL)
		return NULL;
	for (size_t i = 0; i < map->count; i++) {
		bool is_condition = text_equal(map->keys[i]->text, TEXT("condition"));
		bool is_other = other != NULL && text_equal(map->keys[i]->text, text_of(other));
		if (!is_condition && !is_other)
			continue;
		keys[count] = map->keys[i];
		values[count++] = is_condition ? work->condition : map->values[i];
	}
	for (size_t i = 0; i < work->selection_count; i++) {
		keys[count] = work->selections[i].key;
		values[count] = part_written(work, work->selections[i].part);
		if (values[count++] == NULL)
			return NULL;
	}
	node->kind = YAML_MAPPING;
	node->keys = keys;
	node->values = values;
	node->count = count;
	return node;
}

/* ---- templates: as Python's string.Template does, what is not known stays */

static bool is_name_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_';
}

/* `$name` or `${name}` at the start of the text; nothing when it is neither. */
static struct text template_word(struct text text, struct text *ret_name)
{
	bool braced = text_starts(text, TEXT("${"));
	size_t begin = braced ? 2 : 1, end = begin;
	while (end < text.size && is_name_byte(text.data[end]))
		end++;
	if (end == begin || (braced && (end == text.size || text.data[end] != '}')))
		return (struct text){0};
	*ret_name = (struct text){text.data + begin, end - begin};
	return (struct text){text.data, end + braced};
}

struct text template_filled(struct work *work, struct text text)
{
	static const char *const names[] = {"category", "product", "service"};
	const struct text values[] = {work->facts.logsource.category, work->facts.logsource.product,
				      work->facts.logsource.service};
	struct bytes out cleanup(bytes_done) = {0};
	while (text.size > 0) {
		bool dollars = text_starts(text, TEXT("$$"));
		struct text name = {0}, word = {0};
		size_t at = 3;
		if (text.data[0] == '$' && !dollars)
			word = template_word(text, &name);
		for (size_t i = 0; i < 3 && name.size > 0; i++)
			at = text_equal(name, text_of(names[i])) ? i : at;
		if (at == 3)
			bytes_put_u8(&out, (uint8_t)text.data[0]);
		else if (values[at].size > 0)
			bytes_write(&out, values[at]);
		else
			bytes_write_string(&out, "None"); /* as Python prints it */
		text = text_cut(text, at < 3 ? word.size : dollars ? 2 : 1);
	}
	work->loader->out_of_memory = work->loader->out_of_memory || out.failed;
	return loader_keep(work->loader, bytes_text(&out));
}
