/* The YAML tree is walked once, against the table: a mapping whose path is the head of a setting is
 * entered, a key that is a setting is converted, everything else is a problem. Then the defaults
 * fill what was not given, through the same converters, and last come the checks that need two
 * settings at once (config_check.c). */
#include "cli/config.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/settings_private.h"

enum { SIBLINGS_MAX = 96 };

enum status problems_init(struct problems *problems, struct arena *arena, struct error *err)
{
	struct error *items = arena_alloc(arena, CONFIG_PROBLEMS_MAX * sizeof *items);
	if (items == NULL)
		return error_set(err, ENOMEMORY, "no memory for a list of problems");
	*problems = (struct problems){.arena = arena, .items = items};
	return OK;
}

void problems_add(struct problems *problems, const struct error *problem)
{
	assert(problem->status != OK);
	if (problems->count == CONFIG_PROBLEMS_MAX)
		problems->cut++;
	else
		problems->items[problems->count++] = *problem;
}

void config_problem(struct config_parse *parse, struct position at, const char *format, ...)
{
	char text[ERROR_TEXT_MAX];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(text, sizeof text, format, args);
	va_end(args);
	struct error one = {0};
	(void)!error_at(&one, EINVALID, at, "%s", text);
	problems_add(parse->problems, &one);
}

static void *member(struct config_parse *parse, const struct setting *setting)
{
	return (char *)&parse->config + setting->offset;
}

/* A copy that ends with NUL; relative paths get the folder of the file before them. */
static const char *keep(struct config_parse *parse, const struct setting *setting, struct text text)
{
	bool path = setting->kind == SETTING_PATH || setting->kind == SETTING_PATHS;
	const char *slash = parse->file == NULL ? NULL : strrchr(parse->file, '/');
	struct text kept = {0};
	if (path && text.size > 0 && text.data[0] != '/' && slash != NULL &&
	    !text_equal(text, TEXT("-")))
		kept = arena_print(parse->arena, "%.*s/%.*s", (int)(slash - parse->file),
				   parse->file, TEXT_ARG(text));
	else
		kept = arena_copy(parse->arena, text);
	parse->memory |= kept.data == NULL;
	return kept.data == NULL ? "" : kept.data;
}

static bool set_number(struct config_parse *parse, const struct setting *setting, int64_t number,
		       struct position at, struct text written)
{
	if (number < setting->min || number > setting->max) {
		const char *unit = setting->kind == SETTING_DURATION ? " microseconds"
				   : setting->kind == SETTING_SIZE   ? " bytes"
								     : "";
		config_problem(parse, at, "%s: %.*s is outside %lld to %lld%s", setting->path,
			       TEXT_ARG(written), (long long)setting->min, (long long)setting->max,
			       unit);
		return false;
	}
	*(int64_t *)member(parse, setting) = number;
	return true;
}

static void set_choice(struct config_parse *parse, const struct setting *setting, struct text word,
		       struct position at)
{
	const char *names[SIBLINGS_MAX];
	char words[256];
	size_t count = 0;
	(void)snprintf(words, sizeof words, "%s", setting->choices);
	char *rest = words;
	for (char *name = strsep(&rest, " "); name != NULL; name = strsep(&rest, " ")) {
		assert(count < SIBLINGS_MAX);
		if (text_equal(text_of(name), word)) {
			*(int64_t *)member(parse, setting) = (int64_t)count;
			return;
		}
		names[count++] = name;
	}
	const char *nearest = nearest_name(word, names, count);
	config_problem(parse, at, "%s: \"%.*s\" is none of: %s%s%s%s", setting->path,
		       TEXT_ARG(word), setting->choices, nearest == NULL ? "" : "; did you mean \"",
		       nearest == NULL ? "" : nearest, nearest == NULL ? "" : "\"?");
}

/* A scalar of any kind from its text: the same way for the file and for the defaults. */
static void set_scalar(struct config_parse *parse, const struct setting *setting, struct text text,
		       struct position at)
{
	int64_t number = 0;
	struct listen_address address;
	switch (setting->kind) {
	case SETTING_DURATION:
		if (!duration_parse(text, &number))
			config_problem(parse, at,
				       "%s: \"%.*s\" is not a duration; write one with its unit, "
				       "such as 100ms, 10s, 5m, 1h or 7d",
				       setting->path, TEXT_ARG(text));
		else
			(void)set_number(parse, setting, number, at, text);
		return;
	case SETTING_SIZE:
	case SETTING_COUNT_NUMBER:
		if (!size_parse(text, &number) ||
		    (setting->kind == SETTING_COUNT_NUMBER && text.data[text.size - 1] == 'B'))
			config_problem(parse, at, "%s: \"%.*s\" is not a %s%s", setting->path,
				       TEXT_ARG(text), setting_kind_name(setting->kind),
				       setting->kind == SETTING_SIZE
					       ? "; write 64KiB, 256MiB or 2GiB"
					       : "");
		else
			(void)set_number(parse, setting, number, at, text);
		return;
	case SETTING_BOOLEAN:
		if (!text_equal(text, TEXT("true")) && !text_equal(text, TEXT("false")))
			config_problem(parse, at, "%s: \"%.*s\" is neither true nor false",
				       setting->path, TEXT_ARG(text));
		*(int64_t *)member(parse, setting) = text_equal(text, TEXT("true"));
		return;
	case SETTING_CHOICE:
		set_choice(parse, setting, text, at);
		return;
	case SETTING_LISTEN:
		if (!listen_parse(text, &address))
			config_problem(parse, at,
				       "%s: \"%.*s\" is not an address; write 127.0.0.1:9470, "
				       "[::1]:9470 or off (numbers, not host names)",
				       setting->path, TEXT_ARG(text));
		break;
	case SETTING_START:
		if (!start_parse(text, &number))
			config_problem(parse, at,
				       "%s: \"%.*s\" is not a start; write latest, earliest or a "
				       "duration back such as -7d",
				       setting->path, TEXT_ARG(text));
		break;
	default:
		break;
	}
	*(const char **)member(parse, setting) = keep(parse, setting, text);
}

static bool is_scalar(const struct yaml_node *node)
{
	return node->kind != YAML_SEQUENCE && node->kind != YAML_MAPPING && node->kind != YAML_NULL;
}

static void set_list(struct config_parse *parse, const struct setting *setting,
		     const struct yaml_node *node)
{
	if (node->kind != YAML_SEQUENCE) {
		const char *key = strrchr(setting->path, '.');
		config_problem(parse, node->at, "%s is a list; write %s: [%.*s]", setting->path,
			       key == NULL ? setting->path : key + 1,
			       is_scalar(node) ? (int)node->text.size : 3,
			       is_scalar(node) ? node->text.data : "...");
		return;
	}
	const char **items = arena_alloc(parse->arena, (node->count + 1) * sizeof *items);
	if (items == NULL) {
		parse->memory = true;
		return;
	}
	for (size_t i = 0; i < node->count; i++) {
		const struct yaml_node *item = node->items[i];
		if (!is_scalar(item) || item->text.size == 0) {
			config_problem(parse, item->at, "%s: an entry must be a text",
				       setting->path);
			return;
		}
		items[i] = keep(parse, setting, item->text);
	}
	*(struct config_list *)member(parse, setting) = (struct config_list){items, node->count};
}

/* A property whose value must not stand in a file that is copied around. */
static bool is_secret(struct text name)
{
	static const struct text secrets[] = {{"sasl.password", 13},
					      {"ssl.key.password", 16},
					      {"ssl.keystore.password", 21},
					      {"ssl.key.pem", 11},
					      {"sasl.oauthbearer.client.secret", 30}};
	for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++) {
		if (text_equal(name, secrets[i]))
			return true;
	}
	return false;
}

static struct config_pair make_pair(struct config_parse *parse, const struct setting *setting,
				    const struct yaml_node *key, const struct yaml_node *value)
{
	struct text suffix = TEXT("_file");
	struct text name = key->text;
	bool file = name.size > suffix.size &&
		    text_equal(text_cut(name, name.size - suffix.size), suffix);
	if (file)
		name.size -= suffix.size;
	if (!is_scalar(value)) {
		config_problem(parse, value->at, "%s.%.*s must be one value", setting->path,
			       TEXT_ARG(key->text));
	} else if (!file && is_secret(name)) {
		config_problem(
			parse, key->at,
			"%s.%.*s is a secret and does not belong into this file; write it into a "
			"file of mode 0600 and name that: %.*s_file: PATH",
			setting->path, TEXT_ARG(name), TEXT_ARG(name));
	} else if (file) {
		struct setting path = *setting;
		path.kind = SETTING_PATH;
		struct text secret = {0};
		struct error err = {0};
		if (secret_read(keep(parse, &path, value->text), parse->arena, &secret, &err) != OK)
			config_problem(parse, value->at, "%s.%.*s: %s", setting->path,
				       TEXT_ARG(key->text), err.text);
		return (struct config_pair){name, secret};
	}
	return (struct config_pair){name, value->text};
}

static void set_pairs(struct config_parse *parse, const struct setting *setting,
		      const struct yaml_node *node)
{
	if (node->kind != YAML_MAPPING) {
		config_problem(parse, node->at, "%s is a map of names and values", setting->path);
		return;
	}
	struct config_pair *items = arena_alloc(parse->arena, (node->count + 1) * sizeof *items);
	if (items == NULL) {
		parse->memory = true;
		return;
	}
	for (size_t i = 0; i < node->count; i++) {
		items[i] = make_pair(parse, setting, node->keys[i], node->values[i]);
		items[i].name = text_of(keep(parse, setting, items[i].name));
		items[i].value = text_of(keep(parse, setting, items[i].value));
	}
	*(struct config_pairs *)member(parse, setting) = (struct config_pairs){items, node->count};
}

static void set_node(struct config_parse *parse, const struct setting *setting,
		     const struct yaml_node *node)
{
	size_t index = (size_t)(setting - settings);
	parse->given[index] = true;
	parse->at[index] = node->at;
	if (setting->kind == SETTING_TEXTS || setting->kind == SETTING_PATHS)
		set_list(parse, setting, node);
	else if (setting->kind == SETTING_PAIRS)
		set_pairs(parse, setting, node);
	else if (!is_scalar(node) || node->text.size == 0)
		config_problem(parse, node->at, "%s needs one value of the kind: %s", setting->path,
			       setting_kind_name(setting->kind));
	else
		set_scalar(parse, setting, node->text, node->at);
}

/* The setting of exactly this path, or NULL; *ret_group tells whether it heads others. */
static const struct setting *find(struct text path, bool *ret_group)
{
	*ret_group = false;
	for (size_t i = 0; i < setting_count; i++) {
		struct text known = text_of(settings[i].path);
		if (text_equal(known, path))
			return &settings[i];
		if (text_starts(known, path) && known.data[path.size] == '.')
			*ret_group = true;
	}
	return NULL;
}

static void unknown_key(struct config_parse *parse, struct text prefix, const struct yaml_node *key)
{
	char names[SIBLINGS_MAX][64];
	const char *pointers[SIBLINGS_MAX];
	size_t count = 0;
	for (size_t i = 0; i < setting_count; i++) {
		struct text known = text_of(settings[i].path);
		if (!text_starts(known, prefix))
			continue;
		struct text rest = text_cut(known, prefix.size);
		const char *dot = memchr(rest.data, '.', rest.size);
		assert(count < SIBLINGS_MAX);
		(void)snprintf(names[count], sizeof names[count], "%.*s",
			       dot == NULL ? (int)rest.size : (int)(dot - rest.data), rest.data);
		pointers[count] = names[count];
		count++;
	}
	const char *nearest = nearest_name(key->text, pointers, count);
	if (nearest != NULL)
		config_problem(parse, key->at, "unknown key \"%.*s%.*s\"; did you mean \"%.*s%s\"?",
			       TEXT_ARG(prefix), TEXT_ARG(key->text), TEXT_ARG(prefix), nearest);
	else
		config_problem(parse, key->at,
			       "unknown key \"%.*s%.*s\"; the keys are in docs/CONFIG.md "
			       "(picket check --config-docs)",
			       TEXT_ARG(prefix), TEXT_ARG(key->text));
}

static void walk(struct config_parse *parse, struct text prefix, const struct yaml_node *mapping)
{
	for (size_t i = 0; i < mapping->count; i++) {
		const struct yaml_node *key = mapping->keys[i];
		const struct yaml_node *value = mapping->values[i];
		struct text path = arena_print(parse->arena, "%.*s%.*s", TEXT_ARG(prefix),
					       TEXT_ARG(key->text));
		if (path.data == NULL) {
			parse->memory = true;
			return;
		}
		bool group = false;
		const struct setting *setting = find(path, &group);
		if (setting != NULL) {
			set_node(parse, setting, value);
		} else if (!group) {
			unknown_key(parse, prefix, key);
		} else if (value->kind != YAML_MAPPING) {
			config_problem(parse, value->at,
				       "%.*s holds further keys; write them indented "
				       "below it",
				       TEXT_ARG(path));
		} else {
			struct text inner = arena_print(parse->arena, "%.*s.", TEXT_ARG(path));
			parse->memory |= inner.data == NULL;
			if (inner.data != NULL)
				walk(parse, inner, value);
		}
	}
}

static void apply_defaults(struct config_parse *parse)
{
	const char *file = parse->file;
	parse->file = NULL; /* a default path is not relative to the file */
	for (size_t i = 0; i < setting_count; i++) {
		const struct setting *setting = &settings[i];
		bool collection = setting->kind >= SETTING_TEXTS;
		if (parse->given[i] || collection)
			continue;
		if (setting->fallback[0] == '\0')
			*(const char **)member(parse, setting) = "";
		else
			set_scalar(parse, setting, text_of(setting->fallback),
				   (struct position){0});
	}
	parse->file = file;
}

enum status config_parse(struct text yaml, const char *file, struct problems *problems,
			 struct config *ret_config, struct error *err)
{
	assert(setting_count <= SETTINGS_MAX);
	const struct yaml_node *const *documents = NULL;
	size_t count = 0;
	struct error broken = {0};
	struct config_parse parse = {.arena = problems->arena, .problems = problems, .file = file};
	enum status status = yaml_parse(yaml, file, problems->arena, &documents, &count, &broken);
	if (status == ENOMEMORY)
		return error_set(err, status, "%s", broken.text);
	if (status != OK) {
		problems_add(problems, &broken);
		count = 0;
	} else if (count != 1) {
		config_problem(&parse, (struct position){file, 1, 1},
			       "%zu YAML documents instead of one", count);
	} else if (documents[0]->kind != YAML_MAPPING) {
		config_problem(&parse, documents[0]->at,
			       "not a map of keys, such as data_dir: PATH");
	} else {
		walk(&parse, TEXT(""), documents[0]);
	}
	apply_defaults(&parse);
	config_check(&parse);
	if (parse.memory)
		return error_set(err, ENOMEMORY, "no memory for the configuration %s", file);
	parse.config.file = file;
	*ret_config = parse.config;
	return OK;
}

static void close_stream(FILE **stream)
{
	if (*stream != NULL)
		(void)fclose(*stream);
}

enum status config_load(const char *path, struct problems *problems, struct config *ret_config,
			struct error *err)
{
	struct bytes content cleanup(bytes_done) = {0};
	char buffer[8192];
	FILE *file cleanup(close_stream) = fopen(path, "re");
	size_t got = 0;
	if (file == NULL) {
		struct error problem = {0};
		(void)!error_set(&problem, ESYSTEM,
				 "cannot read the configuration %s: %s; name one with -c FILE",
				 path, strerror(errno));
		problems_add(problems, &problem);
		return config_parse(TEXT("{}"), path, problems, ret_config, err);
	}
	while ((got = fread(buffer, 1, sizeof buffer, file)) > 0)
		bytes_put(&content, buffer, got);
	struct text yaml = arena_copy(problems->arena, bytes_text(&content));
	struct text name = arena_copy(problems->arena, text_of(path));
	if (content.failed || ferror(file) || yaml.data == NULL || name.data == NULL)
		return error_set(err, ESYSTEM, "cannot read the configuration %s", path);
	return config_parse(yaml, name.data, problems, ret_config, err);
}
