#include "rules/list_private.h"

#include <assert.h>

#include "rules/parse_private.h"
#include "rules/rule_files_private.h"
#include "rules/utf8.h"

struct reader {
	struct value_lists *lists;
	struct arena *arena;
	struct text name; /* "": as the file is called */
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static struct text trimmed(struct text t)
{
	while (t.size > 0 && is_blank(t.data[0]))
		t = text_cut(t, 1);
	while (t.size > 0 && is_blank(t.data[t.size - 1]))
		t.size--;
	return t;
}

const struct value_list *lists_find(const struct value_lists *lists, struct text name)
{
	for (size_t i = 0; i < lists->count; i++)
		if (text_equal(lists->items[i].name, name))
			return &lists->items[i];
	return NULL;
}

static enum status value_checked(struct text value, struct position at, struct error *err)
{
	if (value.size > LIST_VALUE_BYTES_MAX)
		return error_at(err, ELIMIT, at,
				"a value of %zu bytes; a list takes up to %d\n  fix: is this a "
				"list with one value a line?",
				value.size, LIST_VALUE_BYTES_MAX);
	if (!utf8_is_valid(value) || memchr(value.data, '\0', value.size) != NULL)
		return error_at(err, EINVALID, at,
				"this line is not UTF-8 text\n  fix: save the list as UTF-8");
	return OK;
}

static enum status lines_read(struct text bytes, const char *path, struct reader *reader,
			      struct value_list *list, struct error *err)
{
	size_t capacity = 0;
	unsigned line = 0;
	if (text_starts(bytes, TEXT("\xEF\xBB\xBF")))
		bytes = text_cut(bytes, 3);
	while (bytes.size > 0) {
		const char *end = memchr(bytes.data, '\n', bytes.size);
		size_t size = end == NULL ? bytes.size : (size_t)(end - bytes.data);
		struct text value = trimmed((struct text){bytes.data, size});
		bytes = text_cut(bytes, end == NULL ? size : size + 1);
		line++;
		if (value.size == 0 || value.data[0] == '#')
			continue;
		if (text_starts(value, TEXT("\\#")))
			value = text_cut(value, 1);
		struct position at = {path, line, 1};
		enum status status = value_checked(value, at, err);
		if (status != OK)
			return status;
		if (list->count == LIST_VALUES_MAX)
			return error_at(err, ELIMIT, at,
					"more than %d values\n  fix: split the list, and name both "
					"in the rule",
					LIST_VALUES_MAX);
		list->values = arena_grown(reader->arena, list->values, list->count, &capacity,
					   sizeof *list->values);
		if (list->values == NULL)
			return loader_exhausted(err);
		list->values[list->count++] = value;
	}
	if (list->count > 0)
		return OK;
	return error_at(err, EINVALID, (struct position){path, 1, 1},
			"the list has no value\n  fix: write one value a line; a placeholder of an "
			"empty list would match nothing, or, behind `not`, everything");
}

static struct text name_of_file(const char *path)
{
	const char *slash = strrchr(path, '/');
	struct text name = text_of(slash == NULL ? path : slash + 1);
	struct text suffix = TEXT(".txt");
	if (name.size > suffix.size && text_equal(text_cut(name, name.size - suffix.size), suffix))
		name.size -= suffix.size;
	return name;
}

/* The list that these bytes of its file hold, under its name. */
static enum status list_add(struct reader *reader, struct value_list list, struct text bytes,
			    struct error *err)
{
	struct value_lists *lists = reader->lists;
	struct position at = {list.file, 1, 1};
	const struct value_list *other = lists_find(lists, list.name);
	if (other != NULL)
		return error_at(err, EINVALID, at,
				"there is a list %%%.*s%% already, from %s\n  fix: give one of "
				"them another name: NAME=FILE",
				TEXT_ARG(list.name), other->file);
	if (lists->count == LISTS_MAX)
		return error_at(err, ELIMIT, at, "more than %d lists\n  fix: join some of them",
				LISTS_MAX);
	if (bytes.size > YAML_BYTES_MAX)
		return error_at(err, ELIMIT, at, "larger than %d MiB\n  fix: split the list",
				YAML_BYTES_MAX >> 20);
	enum status status = lines_read(bytes, list.file, reader, &list, err);
	if (status != OK)
		return status;
	lists->items = arena_grown(reader->arena, lists->items, lists->count, &lists->capacity,
				   sizeof *lists->items);
	if (lists->items == NULL)
		return loader_exhausted(err);
	lists->items[lists->count++] = list;
	return OK;
}

static enum status file_read(void *context, const char *path, struct error *err)
{
	struct reader *reader = context;
	struct text kept = arena_copy(reader->arena, text_of(path)), bytes = {0};
	if (kept.data == NULL)
		return loader_exhausted(err);
	const struct value_list list = {
		.name = reader->name.size > 0 ? reader->name : name_of_file(kept.data),
		.file = kept.data,
	};
	enum status status = yaml_read_file(path, reader->arena, &bytes, err);
	return status == OK ? list_add(reader, list, bytes, err) : status;
}

static bool is_name(struct text t)
{
	for (size_t i = 0; i < t.size; i++)
		if (memchr("/%*? \\", t.data[i], 6) != NULL)
			return false;
	return t.size > 0;
}

enum status lists_read(struct value_lists *lists, const char *source, struct arena *arena,
		       struct error *err)
{
	static const char *const suffixes[] = {".txt", NULL};
	assert(lists != NULL && source != NULL);
	struct reader reader = {.lists = lists, .arena = arena};
	const char *equals = strchr(source, '=');
	struct text name = {source, equals == NULL ? 0 : (size_t)(equals - source)};
	if (equals != NULL && is_name(name)) {
		reader.name = arena_copy(arena, name);
		if (reader.name.data == NULL)
			return loader_exhausted(err);
		source = equals + 1;
	}
	size_t before = lists->count;
	enum status status = rule_files_visit(source, suffixes, file_read, &reader, err);
	if (status != OK || lists->count > before)
		return status;
	return error_at(err, EINVALID, (struct position){source, 1, 1},
			"no list (*.txt) in this folder\n  fix: name each file like its list: "
			"Administrators.txt");
}

enum status lists_add(struct value_lists *lists, const struct rule_text *text, struct arena *arena,
		      struct error *err)
{
	struct reader reader = {.lists = lists, .arena = arena};
	const struct text name = arena_copy(arena, text->name);
	const struct text bytes = arena_copy(arena, text->text);
	if (name.data == NULL || bytes.data == NULL)
		return loader_exhausted(err);
	if (!is_name(name))
		return error_set(err, EINVALID, "\"%.*s\" is no name of a list", TEXT_ARG(name));
	const struct value_list list = {.name = name, .file = name.data};
	return list_add(&reader, list, bytes, err);
}
