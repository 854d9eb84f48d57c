#include "rules/yaml_private.h"

#include <assert.h>
#include <stdlib.h>
#include <yaml.h>

/* libyaml gives events (scalar, start of a map, ...); this file builds the tree from them.
 *
 * Aliases: `*a` is the node of `&a` itself, not a copy, but it is counted with all its descendants,
 * so that ten aliases of ten aliases of ... reach YAML_NODES_MAX instead of the memory of whoever
 * walks the tree. An alias inside its own anchor is not known yet and is refused: no cycles.
 *
 * Places: libyaml counts columns in characters and error.h in bytes, so a column is found by
 * walking the line. Its line ends are LF, CR, CRLF, NEL, LS and PS. */

struct anchor {
	struct anchor *next;
	struct text name;
	const struct yaml_node *node;
	size_t node_count; /* of the whole subtree, aliases expanded */
	size_t height;
};

struct builder {
	yaml_parser_t parser;
	struct arena *arena;
	const char *file;
	struct text source;
	const size_t *lines; /* offset of each line */
	size_t line_count;
	struct anchor *anchors;
	size_t node_count;
};

/* A list that grows in the arena: what it outgrows is given back with the arena. */
struct node_list {
	const struct yaml_node **items;
	size_t count, capacity;
};

static bool list_add(struct node_list *list, struct arena *arena, const struct yaml_node *node)
{
	if (list->count == list->capacity) {
		size_t capacity = list->capacity == 0 ? 4 : list->capacity * 2;
		const struct yaml_node **items = arena_alloc(arena, capacity * sizeof *items);
		if (items == NULL)
			return false;
		if (list->count > 0)
			memcpy(items, list->items, list->count * sizeof *items);
		list->items = items;
		list->capacity = capacity;
	}
	list->items[list->count++] = node;
	return true;
}

static size_t line_end_size(struct text t, size_t at)
{
	const unsigned char *bytes = (const unsigned char *)t.data + at;
	size_t left = t.size - at;
	if (bytes[0] == '\r' && left > 1 && bytes[1] == '\n')
		return 2;
	if (bytes[0] == '\n' || bytes[0] == '\r')
		return 1;
	if (left > 1 && bytes[0] == 0xC2 && bytes[1] == 0x85)
		return 2;
	if (left > 2 && bytes[0] == 0xE2 && bytes[1] == 0x80 && (bytes[2] & 0xFE) == 0xA8)
		return 3;
	return 0;
}

static enum status lines_find(struct builder *builder, struct error *err)
{
	struct text source = builder->source;
	size_t count = 1;
	for (size_t at = 0, end; at < source.size; at += end == 0 ? 1 : end)
		count += (end = line_end_size(source, at)) != 0;
	size_t *lines = arena_alloc(builder->arena, count * sizeof *lines);
	if (lines == NULL)
		return error_set(err, ENOMEMORY, "out of memory");
	size_t line = 1; /* lines[0] is 0 */
	for (size_t at = 0, end; at < source.size;) {
		end = line_end_size(source, at);
		at += end == 0 ? 1 : end;
		if (end != 0)
			lines[line++] = at;
	}
	assert(line == count);
	builder->lines = lines;
	builder->line_count = count;
	return OK;
}

static struct position place(const struct builder *builder, size_t line, size_t column)
{
	struct text source = builder->source;
	if (line >=
	    builder->line_count) { /* libyaml puts the end of the text on a line of its own */
		line = builder->line_count - 1;
		column = source.size;
	}
	size_t at = builder->lines[line];
	for (size_t i = 0; i < column && at < source.size; i++) {
		at++;
		while (at < source.size && ((unsigned char)source.data[at] & 0xC0) == 0x80)
			at++;
	}
	return (struct position){builder->file, (unsigned)line + 1,
				 (unsigned)(at - builder->lines[line]) + 1};
}

static struct position place_of_mark(const struct builder *builder, yaml_mark_t mark)
{
	return place(builder, mark.line, mark.column);
}

static struct position place_of_byte(const struct builder *builder, size_t offset)
{
	size_t line = builder->line_count - 1;
	while (line > 0 && builder->lines[line] > offset)
		line--;
	return (struct position){builder->file, (unsigned)line + 1,
				 (unsigned)(offset - builder->lines[line]) + 1};
}

static enum status parser_failed(const struct builder *builder, struct error *err)
{
	const yaml_parser_t *parser = &builder->parser;
	if (parser->error == YAML_MEMORY_ERROR)
		return error_set(err, ENOMEMORY, "out of memory");
	struct position at = parser->error == YAML_READER_ERROR
				     ? place_of_byte(builder, parser->problem_offset)
				     : place_of_mark(builder, parser->problem_mark);
	const char *problem = parser->problem == NULL ? "cannot be read" : parser->problem;
	if (parser->error == YAML_READER_ERROR)
		return error_at(err, EINVALID, at,
				"not YAML: %s\n  fix: save the file as UTF-8 text", problem);
	return error_at(err, EINVALID, at,
			"not YAML: %s%s%s\n  fix: check the indentation and quotes at this place",
			problem, parser->context == NULL ? "" : ", ",
			parser->context == NULL ? "" : parser->context);
}

static enum status next_event(struct builder *builder, yaml_event_t *ret_event, struct error *err)
{
	if (yaml_parser_parse(&builder->parser, ret_event) == 0)
		return parser_failed(builder, err);
	return OK;
}

static enum status node_counted(struct builder *builder, size_t more, struct position at,
				struct error *err)
{
	if (more > YAML_NODES_MAX - builder->node_count)
		return error_at(err, ELIMIT, at,
				"more than %d nodes when aliases are written out\n  fix: split the "
				"file, or use fewer aliases",
				YAML_NODES_MAX);
	builder->node_count += more;
	return OK;
}

static enum status tag_checked(const yaml_char_t *tag, struct position at, struct yaml_node *node,
			       struct error *err)
{
	static const char core[] = "tag:yaml.org,2002:";
	static const char *const types[] = {"int", "float", "bool", "null", "seq", "map"};
	const char *name = (const char *)tag;
	if (name == NULL)
		return OK;
	if (strcmp(name, "!") == 0 || strcmp(name, "tag:yaml.org,2002:str") == 0) {
		node->quoted = true; /* said to be a string: as good as quotes */
		return OK;
	}
	bool of_core = strncmp(name, core, sizeof core - 1) == 0;
	for (size_t i = 0; of_core && i < sizeof types / sizeof *types; i++)
		if (strcmp(name + sizeof core - 1, types[i]) == 0)
			return OK;
	return error_at(err, EINVALID, at, "unknown tag %s%s\n  fix: remove the tag",
			of_core ? "!!" : "", of_core ? name + sizeof core - 1 : name);
}

static enum status scalar_built(struct builder *builder, const yaml_event_t *event,
				struct yaml_node *node, struct error *err)
{
	struct text value = {(const char *)event->data.scalar.value, event->data.scalar.length};
	node->text = arena_copy(builder->arena, value);
	if (node->text.data == NULL)
		return error_set(err, ENOMEMORY, "out of memory");
	if (event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		node->quoted = true;
	enum status status = tag_checked(event->data.scalar.tag, node->at, node, err);
	if (status != OK)
		return status;
	node->kind = YAML_STRING;
	if (!node->quoted)
		yaml_type_scalar(node);
	return OK;
}

static enum status alias_found(struct builder *builder, const yaml_event_t *event, size_t depth,
			       const struct yaml_node **ret_node, size_t *ret_height,
			       struct error *err)
{
	struct position at = place_of_mark(builder, event->start_mark);
	struct text name = text_of((const char *)event->data.alias.anchor);
	const struct anchor *anchor = builder->anchors;
	while (anchor != NULL && !text_equal(anchor->name, name))
		anchor = anchor->next;
	if (anchor == NULL)
		return error_at(err, EINVALID, at,
				"alias *%.*s has no finished anchor before it\n  fix: write &%.*s "
				"at an earlier value, outside of which the alias stands",
				TEXT_ARG(name), TEXT_ARG(name));
	if (depth + anchor->height > YAML_DEPTH_MAX)
		return error_at(err, ELIMIT, at, "nested deeper than %d\n  fix: flatten it",
				YAML_DEPTH_MAX);
	*ret_node = anchor->node;
	*ret_height = anchor->height;
	return node_counted(builder, anchor->node_count, at, err);
}

static enum status anchor_kept(struct builder *builder, const struct yaml_node *node,
			       struct text name, size_t count_before, size_t height,
			       struct error *err)
{
	struct anchor *anchor = arena_alloc(builder->arena, sizeof *anchor);
	if (anchor == NULL)
		return error_set(err, ENOMEMORY, "out of memory");
	*anchor = (struct anchor){builder->anchors, name, node, builder->node_count - count_before,
				  height};
	builder->anchors = anchor;
	return OK;
}

static int key_order(const void *a, const void *b)
{
	const struct yaml_node *left = *(const struct yaml_node *const *)a;
	const struct yaml_node *right = *(const struct yaml_node *const *)b;
	int order = text_compare(left->text, right->text);
	if (order == 0)
		order = (left->at.line > right->at.line) - (left->at.line < right->at.line);
	if (order == 0)
		order = (left->at.column > right->at.column) - (left->at.column < right->at.column);
	return order;
}

static enum status keys_differ(const struct yaml_node *mapping, struct arena *arena,
			       struct error *err)
{
	size_t count = mapping->count;
	const struct yaml_node **keys = arena_alloc(arena, (count + 1) * sizeof *keys);
	if (keys == NULL)
		return error_set(err, ENOMEMORY, "out of memory");
	if (count > 0)
		memcpy(keys, mapping->keys, count * sizeof *keys);
	qsort(keys, count, sizeof *keys, key_order);
	for (size_t i = 1; i < count; i++)
		if (text_equal(keys[i - 1]->text, keys[i]->text))
			return error_at(
				err, EINVALID, keys[i]->at,
				"key '%.*s' stands twice in this map, first at line %u, "
				"column %u\n  fix: remove or rename one of them; the second "
				"would silently replace the first",
				TEXT_ARG(keys[i]->text), keys[i - 1]->at.line,
				keys[i - 1]->at.column);
	return OK;
}

static enum status node_built(struct builder *builder, const yaml_event_t *event, size_t depth,
			      const struct yaml_node **ret_node, size_t *ret_height,
			      struct error *err);

static enum status sequence_built(struct builder *builder, size_t depth, struct yaml_node *node,
				  size_t *ret_height, struct error *err)
{
	struct node_list items = {0};
	size_t highest = 0;
	while (true) {
		yaml_event_t event cleanup(yaml_event_delete) = {0};
		enum status status = next_event(builder, &event, err);
		if (status != OK)
			return status;
		if (event.type == YAML_SEQUENCE_END_EVENT)
			break;
		const struct yaml_node *item = NULL;
		size_t height = 0;
		status = node_built(builder, &event, depth + 1, &item, &height, err);
		if (status != OK)
			return status;
		if (!list_add(&items, builder->arena, item))
			return error_set(err, ENOMEMORY, "out of memory");
		if (height > highest)
			highest = height;
	}
	node->kind = YAML_SEQUENCE;
	node->items = items.items;
	node->count = items.count;
	*ret_height = highest + 1;
	return OK;
}

static enum status key_checked(const struct yaml_node *key, struct error *err)
{
	if (key->kind == YAML_SEQUENCE || key->kind == YAML_MAPPING)
		return error_at(err, EINVALID, key->at,
				"a key of a map must be a word\n  fix: quote it if it begins with "
				"[ or {");
	if (!key->quoted && text_equal(key->text, TEXT("<<")))
		return error_at(err, EINVALID, key->at,
				"merge keys (<<) are not part of YAML 1.2\n  fix: write the merged "
				"keys out");
	return OK;
}

static enum status mapping_built(struct builder *builder, size_t depth, struct yaml_node *node,
				 size_t *ret_height, struct error *err)
{
	struct node_list sides[2] = {0}; /* keys, values: they alternate */
	size_t highest = 0;
	for (size_t side = 0;; side = 1 - side) {
		yaml_event_t event cleanup(yaml_event_delete) = {0};
		enum status status = next_event(builder, &event, err);
		if (status != OK)
			return status;
		if (event.type == YAML_MAPPING_END_EVENT)
			break;
		const struct yaml_node *child = NULL;
		size_t height = 0;
		status = node_built(builder, &event, depth + 1, &child, &height, err);
		if (status == OK && side == 0)
			status = key_checked(child, err);
		if (status != OK)
			return status;
		if (!list_add(&sides[side], builder->arena, child))
			return error_set(err, ENOMEMORY, "out of memory");
		if (height > highest)
			highest = height;
	}
	assert(sides[0].count == sides[1].count);
	node->kind = YAML_MAPPING;
	node->keys = sides[0].items;
	node->values = sides[1].items;
	node->count = sides[0].count;
	*ret_height = highest + 1;
	return keys_differ(node, builder->arena, err);
}

/* The anchor an event gives its node, "" for none. */
static struct text anchor_name(const yaml_event_t *event)
{
	if (event->type == YAML_SCALAR_EVENT)
		return text_of((const char *)event->data.scalar.anchor);
	if (event->type == YAML_SEQUENCE_START_EVENT)
		return text_of((const char *)event->data.sequence_start.anchor);
	return text_of((const char *)event->data.mapping_start.anchor);
}

static enum status collection_built(struct builder *builder, const yaml_event_t *event,
				    size_t depth, struct yaml_node *node, size_t *ret_height,
				    struct error *err)
{
	bool is_sequence = event->type == YAML_SEQUENCE_START_EVENT;
	const yaml_char_t *tag =
		is_sequence ? event->data.sequence_start.tag : event->data.mapping_start.tag;
	enum status status = tag_checked(tag, node->at, node, err);
	if (status != OK)
		return status;
	node->quoted = false;
	return is_sequence ? sequence_built(builder, depth, node, ret_height, err)
			   : mapping_built(builder, depth, node, ret_height, err);
}

static enum status node_built(struct builder *builder, const yaml_event_t *event, size_t depth,
			      const struct yaml_node **ret_node, size_t *ret_height,
			      struct error *err)
{
	if (event->type == YAML_ALIAS_EVENT)
		return alias_found(builder, event, depth, ret_node, ret_height, err);
	assert(event->type == YAML_SCALAR_EVENT || event->type == YAML_SEQUENCE_START_EVENT ||
	       event->type == YAML_MAPPING_START_EVENT);
	struct yaml_node *node = arena_alloc(builder->arena, sizeof *node);
	if (node == NULL)
		return error_set(err, ENOMEMORY, "out of memory");
	node->at = place_of_mark(builder, event->start_mark);
	if (depth > YAML_DEPTH_MAX)
		return error_at(err, ELIMIT, node->at, "nested deeper than %d\n  fix: flatten it",
				YAML_DEPTH_MAX);

	size_t count_before = builder->node_count;
	size_t height = 1;
	enum status status = node_counted(builder, 1, node->at, err);
	struct text anchor = arena_copy(builder->arena, anchor_name(event));
	if (status == OK && event->type == YAML_SCALAR_EVENT)
		status = scalar_built(builder, event, node, err);
	else if (status == OK)
		status = collection_built(builder, event, depth, node, &height, err);
	if (status == OK && anchor.size > 0)
		status = anchor_kept(builder, node, anchor, count_before, height, err);
	if (status != OK)
		return status;
	*ret_node = node;
	*ret_height = height;
	return OK;
}

static enum status documents_built(struct builder *builder, struct node_list *documents,
				   struct error *err)
{
	while (true) {
		yaml_event_t event cleanup(yaml_event_delete) = {0};
		enum status status = next_event(builder, &event, err);
		if (status != OK)
			return status;
		if (event.type == YAML_STREAM_END_EVENT)
			return OK;
		if (event.type == YAML_DOCUMENT_START_EVENT)
			builder->anchors = NULL; /* an anchor ends with its document */
		if (event.type == YAML_STREAM_START_EVENT ||
		    event.type == YAML_DOCUMENT_START_EVENT ||
		    event.type == YAML_DOCUMENT_END_EVENT)
			continue;
		const struct yaml_node *root = NULL;
		size_t height = 0;
		status = node_built(builder, &event, 1, &root, &height, err);
		if (status != OK)
			return status;
		if (!list_add(documents, builder->arena, root))
			return error_set(err, ENOMEMORY, "out of memory");
	}
}

enum status yaml_parse(struct text yaml, const char *file, struct arena *arena,
		       const struct yaml_node *const **ret_documents, size_t *ret_count,
		       struct error *err)
{
	if (yaml.size > YAML_BYTES_MAX)
		return error_at(err, ELIMIT, (struct position){file, 1, 1},
				"larger than %d MiB\n  fix: split the file", YAML_BYTES_MAX >> 20);
	struct builder builder = {.arena = arena, .file = file, .source = yaml};
	if (text_starts(yaml, TEXT("\xEF\xBB\xBF")))
		builder.source = text_cut(yaml, 3); /* a byte order mark is no column */
	struct node_list documents = {0};
	enum status status = lines_find(&builder, err);
	if (status != OK)
		return status;
	if (yaml_parser_initialize(&builder.parser) == 0)
		return error_set(err, ENOMEMORY, "out of memory");
	yaml_parser_set_encoding(&builder.parser, YAML_UTF8_ENCODING);
	const char *bytes = builder.source.data == NULL ? "" : builder.source.data;
	yaml_parser_set_input_string(&builder.parser, (const unsigned char *)bytes,
				     builder.source.size);
	status = documents_built(&builder, &documents, err);
	yaml_parser_delete(&builder.parser);
	if (status != OK)
		return status;
	*ret_documents = documents.items;
	*ret_count = documents.count;
	return OK;
}
