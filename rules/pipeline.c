#include "rules/pipeline_private.h"

#include <assert.h>
#include <stdlib.h>

#include "rules/rule_files_private.h"

/* The form is pySigma's (sigma.processing.pipeline.ProcessingPipeline.from_dict): a map with name,
 * priority, vars, allowed_backends and a list of transformations; each of these has a `type`, what
 * that type takes, an `id`, and conditions on the rule, on detection items and on field names.
 *
 * Several pipelines are one list of steps: ordered by priority, then by the path they were named
 * by, as sigma-cli's resolver does; the order on the command line does not matter.
 *
 * What turns rules into queries (postprocessing, finalizers, templates) has no meaning here, and
 * what rewrites values is not evaluated: both are refused by name. */

struct pipeline {
	const char *path;
	long long priority;
	const struct step *steps;
	size_t step_count;
};

struct pipeline_reader {
	struct loader *loader;
	struct pipeline *items;
	size_t count, capacity;
	struct bytes hash_input;
};

static void reader_done(struct pipeline_reader *reader)
{
	bytes_done(&reader->hash_input);
}

/* What every transformation may say, and what each takes besides. */
static const char *const common_keys[] = {
	"id",
	"type",
	"rule_conditions",
	"rule_cond_expr",
	"rule_cond_op",
	"rule_cond_not",
	"detection_item_conditions",
	"detection_item_cond_expr",
	"detection_item_cond_op",
	"detection_item_cond_not",
	"field_name_conditions",
	"field_name_cond_expr",
	"field_name_cond_op",
	"field_name_cond_not",
};
enum { COMMON_COUNT = sizeof common_keys / sizeof *common_keys, OWN_MAX = 4 };

static const struct {
	const char *name;
	enum step_kind kind;
	bool of_items; /* looks at detection items: their conditions have a meaning */
	const char *own[OWN_MAX];
} table[] = {
	{"field_name_mapping", STEP_MAP, true, {"mapping"}},
	{"field_name_prefix_mapping", STEP_MAP_PREFIX, true, {"mapping"}},
	{"field_name_prefix", STEP_PREFIX, true, {"prefix"}},
	{"field_name_suffix", STEP_SUFFIX, true, {"suffix"}},
	{"add_condition", STEP_ADD_CONDITION, false, {"conditions", "name", "template", "negated"}},
	{"change_logsource", STEP_LOGSOURCE, false, {"category", "product", "service"}},
	{"drop_detection_item", STEP_DROP, true, {NULL}},
	{"rule_failure", STEP_FAIL_RULE, false, {"message"}},
	{"detection_item_failure", STEP_FAIL_ITEM, true, {"message"}},
};
enum { TABLE_COUNT = sizeof table / sizeof *table };

static enum status type_unknown(const struct yaml_node *type, struct error *err)
{
	const char *names[TABLE_COUNT];
	for (size_t i = 0; i < TABLE_COUNT; i++)
		names[i] = table[i].name;
	return error_at(err, EINVALID, type->at,
			"transformation '%.*s' is not one that picket applies%s\n  fix: use "
			"field_name_mapping, field_name_prefix_mapping, field_name_prefix, "
			"field_name_suffix, add_condition, change_logsource, drop_detection_item, "
			"rule_failure or detection_item_failure, or take the transformation out",
			TEXT_ARG(type->text), hint_for(type->text, names, TABLE_COUNT).text);
}

static enum status keys_checked(const struct yaml_node *node, size_t row, struct error *err)
{
	const char *names[COMMON_COUNT + OWN_MAX];
	size_t count = 0;
	for (size_t i = 0; i < OWN_MAX && table[row].own[i] != NULL; i++)
		names[count++] = table[row].own[i];
	memcpy(names + count, common_keys, sizeof common_keys);
	enum status status = node_keys(node, table[row].name, names, count + COMMON_COUNT, err);
	for (size_t i = 0; status == OK && !table[row].of_items && i < node->count; i++) {
		struct text key = node->keys[i]->text;
		if (text_starts(key, TEXT("detection_item_cond")) ||
		    text_starts(key, TEXT("field_name_cond")))
			status = error_at(err, EINVALID, node->keys[i]->at,
					  "%s changes the rule as a whole: %.*s has no effect\n"
					  "  fix: remove it, or write rule_conditions",
					  table[row].name, TEXT_ARG(key));
	}
	return status;
}

/* A required text of the step. */
static enum status text_needed(struct loader *loader, const struct yaml_node *node, const char *key,
			       struct text *ret_text, struct error *err)
{
	const struct yaml_node *value = yaml_get(node, key);
	struct text text = {0};
	if (value == NULL)
		return error_at(err, EINVALID, node->at, "no %s here\n  fix: add `%s:`", key, key);
	enum status status = node_text(value, key, &text, err);
	if (status == OK)
		*ret_text = loader_keep(loader, text);
	return status;
}

/* A '|' would make modifiers of what stands behind it. */
static enum status field_checked(const struct yaml_node *node, struct error *err)
{
	struct text text = {0};
	enum status status = node_text(node, "the field name", &text, err);
	if (status == OK && memchr(text.data, '|', text.size) != NULL)
		status = error_at(err, EINVALID, node->at,
				  "a field name has no '|'\n  fix: name the field without "
				  "modifiers; those of the rule stay as they are");
	return status;
}

static enum status mapping_read(struct loader *loader, const struct yaml_node *key,
				const struct yaml_node *value, struct field_mapping *mapping,
				struct error *err)
{
	if (!key->quoted && key->kind == YAML_NULL)
		return error_at(err, EINVALID, key->at,
				"keywords cannot be mapped to a field\n  fix: remove the null key; "
				"keywords are looked for in every value of the event");
	bool is_list = value->kind == YAML_SEQUENCE;
	size_t count = is_list ? value->count : 1;
	if (count == 0)
		return error_at(err, EINVALID, value->at,
				"field '%.*s' is mapped to nothing\n  fix: name a field, or use "
				"drop_detection_item",
				TEXT_ARG(key->text));
	struct text *to = arena_alloc(loader->arena, count * sizeof *to);
	if (to == NULL)
		return loader_exhausted(err);
	for (size_t i = 0; i < count; i++) {
		const struct yaml_node *one = is_list ? value->items[i] : value;
		enum status status = field_checked(one, err);
		if (status != OK)
			return status;
		to[i] = loader_keep(loader, one->text);
	}
	*mapping = (struct field_mapping){loader_keep(loader, key->text), to, count, is_list};
	return OK;
}

static enum status mappings_read(struct loader *loader, const struct yaml_node *node,
				 struct step *step, struct error *err)
{
	const struct yaml_node *map = yaml_get(node, "mapping");
	if (map == NULL)
		return error_at(
			err, EINVALID, node->at,
			"no mapping here\n  fix: add `mapping:` with one `from: to` a line");
	enum status status = node_map(map, "mapping", err);
	if (status != OK)
		return status;
	struct field_mapping *mappings =
		arena_alloc(loader->arena, (map->count + 1) * sizeof *mappings);
	if (mappings == NULL)
		return loader_exhausted(err);
	for (size_t i = 0; status == OK && i < map->count; i++)
		status = mapping_read(loader, map->keys[i], map->values[i], &mappings[i], err);
	step->mappings = mappings;
	step->mapping_count = map->count;
	return status;
}

static enum status logsource_read(struct loader *loader, const struct yaml_node *node,
				  struct step *step, struct error *err)
{
	static const char *const keys[] = {"category", "product", "service"};
	struct text *const to[] = {&step->logsource.category, &step->logsource.product,
				   &step->logsource.service};
	size_t given = 0;
	for (size_t i = 0; i < 3; i++) {
		*to[i] = TEXT("");
		if (yaml_get(node, keys[i]) == NULL)
			continue;
		enum status status = text_needed(loader, node, keys[i], to[i], err);
		if (status != OK)
			return status;
		given++;
	}
	step->logsource_node = node;
	if (given == 0)
		return error_at(err, EINVALID, node->at,
				"change_logsource says neither category, product nor service\n"
				"  fix: add what the log source shall be");
	return OK;
}

static enum status flag_read(const struct yaml_node *node, const char *key, bool *ret_flag,
			     struct error *err)
{
	const struct yaml_node *value = yaml_get(node, key);
	return value == NULL ? OK : node_boolean(value, key, ret_flag, err);
}

static bool is_word(struct text t)
{
	for (size_t i = 0; i < t.size; i++)
		if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-",
			   t.data[i]) == NULL ||
		    t.data[i] == '\0')
			return false;
	return t.size > 0 && !condition_reserved(t);
}

static enum status condition_read(struct loader *loader, const struct yaml_node *node,
				  struct step *step, struct error *err)
{
	const struct yaml_node *conditions = yaml_get(node, "conditions");
	if (conditions == NULL || (conditions->kind == YAML_MAPPING && conditions->count == 0))
		return error_at(err, EINVALID, node->at,
				"add_condition adds nothing\n  fix: add `conditions:` with "
				"`field: value`");
	enum status status = node_map(conditions, "conditions", err);
	if (status == OK)
		status = flag_read(node, "template", &step->template, err);
	if (status == OK)
		status = flag_read(node, "negated", &step->negated, err);
	if (status == OK && yaml_get(node, "name") != NULL) {
		status = text_needed(loader, node, "name", &step->name, err);
		if (status == OK && !is_word(step->name))
			status = error_at(err, EINVALID, yaml_get(node, "name")->at,
					  "'%.*s' cannot be named in a condition\n  fix: use "
					  "letters, digits, _ and -, and no word of the condition",
					  TEXT_ARG(step->name));
	}
	step->conditions = conditions;
	return status;
}

static enum status own_read(struct loader *loader, const struct yaml_node *node, struct step *step,
			    struct error *err)
{
	switch (step->kind) {
	case STEP_MAP:
	case STEP_MAP_PREFIX:
		return mappings_read(loader, node, step, err);
	case STEP_PREFIX:
	case STEP_SUFFIX: {
		const char *key = step->kind == STEP_PREFIX ? "prefix" : "suffix";
		enum status status = text_needed(loader, node, key, &step->affix, err);
		return status == OK ? field_checked(yaml_get(node, key), err) : status;
	}
	case STEP_ADD_CONDITION:
		return condition_read(loader, node, step, err);
	case STEP_LOGSOURCE:
		return logsource_read(loader, node, step, err);
	case STEP_FAIL_RULE:
	case STEP_FAIL_ITEM:
		return text_needed(loader, node, "message", &step->message, err);
	case STEP_DROP:
		break;
	}
	return OK;
}

static enum status step_read(struct loader *loader, const struct yaml_node *node, struct step *step,
			     struct error *err)
{
	const struct yaml_node *type = node->kind == YAML_MAPPING ? yaml_get(node, "type") : NULL;
	enum status status = node_map(node, "a transformation", err);
	if (status == OK && type == NULL)
		status = error_at(err, EINVALID, node->at,
				  "a transformation without type\n  fix: add for instance `type: "
				  "field_name_mapping`");
	size_t row = 0;
	while (status == OK && row < TABLE_COUNT &&
	       !text_equal(type->text, text_of(table[row].name)))
		row++;
	if (status == OK && row == TABLE_COUNT)
		status = type_unknown(type, err);
	if (status == OK)
		status = keys_checked(node, row, err);
	if (status != OK)
		return status;
	*step = (struct step){.kind = table[row].kind, .at = node->at, .id = TEXT("")};
	if (yaml_get(node, "id") != NULL)
		status = text_needed(loader, node, "id", &step->id, err);
	if (status == OK)
		status = own_read(loader, node, step, err);
	if (status == OK)
		status = questions_parse(loader, node, "rule", &step->of_rule, err);
	if (status == OK)
		status = questions_parse(loader, node, "detection_item", &step->of_item, err);
	if (status == OK)
		status = questions_parse(loader, node, "field_name", &step->of_field, err);
	return status;
}

/* Keys that are for query languages: harmless when they are empty. */
static enum status queries_refused(const struct yaml_node *document, struct error *err)
{
	static const char *const keys[] = {"postprocessing", "finalizers"};
	for (size_t i = 0; i < 2; i++) {
		const struct yaml_node *node = yaml_get(document, keys[i]);
		if (node != NULL && node->kind != YAML_NULL &&
		    !(node->kind == YAML_SEQUENCE && node->count == 0))
			return error_at(err, EINVALID, node->at,
					"%s change the text of a query, and picket makes none\n"
					"  fix: remove them from this pipeline",
					keys[i]);
	}
	return OK;
}

/* A pipeline that names its backends is meant for no other. */
static enum status backends_checked(const struct yaml_node *document, struct error *err)
{
	const struct yaml_node *node = yaml_get(document, "allowed_backends");
	if (node == NULL)
		return OK;
	enum status status = node_list(node, "allowed_backends", err);
	bool allowed = status == OK && node->count == 0;
	for (size_t i = 0; status == OK && i < node->count; i++)
		allowed = allowed || text_equal(node->items[i]->text, TEXT("picket"));
	if (status == OK && !allowed)
		status = error_at(err, EINVALID, node->at,
				  "this pipeline is not for picket\n  fix: add picket to "
				  "allowed_backends if its field names are those of your events");
	return status;
}

static enum status document_read(struct loader *loader, const struct yaml_node *document,
				 struct pipeline *pipeline, struct error *err)
{
	static const char *const keys[] = {"name",      "priority",         "transformations",
					   "vars",      "allowed_backends", "postprocessing",
					   "finalizers"};
	enum status status =
		node_keys(document, "a pipeline", keys, sizeof keys / sizeof *keys, err);
	if (status == OK)
		status = queries_refused(document, err);
	if (status == OK)
		status = backends_checked(document, err);
	const struct yaml_node *priority = status == OK ? yaml_get(document, "priority") : NULL;
	if (priority != NULL)
		status = node_count(priority, "priority", -1000000, 1000000, &pipeline->priority,
				    err);
	const struct yaml_node *list = status == OK ? yaml_get(document, "transformations") : NULL;
	if (list == NULL)
		return status;
	status = node_list(list, "transformations", err);
	if (status == OK && list->count > PIPELINE_STEPS_MAX)
		status = error_at(err, ELIMIT, list->at, "more than %d transformations",
				  PIPELINE_STEPS_MAX);
	struct step *steps = arena_alloc(loader->arena, (list->count + 1) * sizeof *steps);
	if (status == OK && steps == NULL)
		status = loader_exhausted(err);
	for (size_t i = 0; status == OK && i < list->count; i++)
		status = step_read(loader, list->items[i], &steps[i], err);
	pipeline->steps = steps;
	pipeline->step_count = list->count;
	return status;
}

static enum status text_read(struct pipeline_reader *reader, struct text path, struct text bytes,
			     struct error *err)
{
	struct loader *loader = reader->loader;
	struct text name = loader_keep(loader, path);
	const struct yaml_node *const *documents = NULL;
	size_t count = 0;
	if (loader->out_of_memory)
		return loader_exhausted(err);
	struct pipeline pipeline = {.path = name.data};
	enum status status = yaml_parse(bytes, name.data, loader->arena, &documents, &count, err);
	if (status == OK && count != 1)
		status = error_at(err, EINVALID, (struct position){name.data, 1, 1},
				  "a pipeline file holds one document, this one %zu\n  fix: write "
				  "each pipeline into a file of its own",
				  count);
	if (status == OK && reader->count == PIPELINES_MAX)
		status =
			error_at(err, ELIMIT, (struct position){name.data, 1, 1},
				 "more than %d pipelines\n  fix: join some of them", PIPELINES_MAX);
	if (status == OK)
		status = document_read(loader, documents[0], &pipeline, err);
	if (status != OK)
		return status;
	bytes_put_text(&reader->hash_input, name);
	bytes_put_text(&reader->hash_input, bytes);
	reader->items = arena_grown(loader->arena, reader->items, reader->count, &reader->capacity,
				    sizeof *reader->items);
	if (reader->items == NULL)
		return loader_exhausted(err);
	reader->items[reader->count++] = pipeline;
	return OK;
}

static enum status file_read(void *context, const char *path, struct error *err)
{
	struct pipeline_reader *reader = context;
	struct text bytes = {0};
	enum status status = yaml_read_file(path, reader->loader->arena, &bytes, err);
	return status == OK ? text_read(reader, text_of(path), bytes, err) : status;
}

static int pipeline_order(const void *a, const void *b)
{
	const struct pipeline *left = a, *right = b;
	if (left->priority != right->priority)
		return left->priority < right->priority ? -1 : 1;
	return strcmp(left->path, right->path);
}

/* processing_item_applied must name a transformation that is there. */
static enum status ids_checked(const struct pipelines *all, const struct questions *questions,
			       struct error *err)
{
	for (size_t i = 0; i < questions->count; i++) {
		const struct question *question = &questions->items[i];
		bool known = question->kind != QUESTION_APPLIED;
		for (size_t k = 0; k < all->step_count && !known; k++)
			known = text_equal(all->steps[k].id, question->word);
		if (!known)
			return error_at(err, EINVALID, question->at,
					"no transformation has the id '%.*s'\n  fix: give it `id: "
					"%.*s`, or load the pipeline that holds it",
					TEXT_ARG(question->word), TEXT_ARG(question->word));
	}
	return OK;
}

static enum status steps_joined(struct pipeline_reader *reader, struct error *err)
{
	struct loader *loader = reader->loader;
	size_t total = 0;
	for (size_t i = 0; i < reader->count; i++)
		total += reader->items[i].step_count;
	struct pipelines *all = arena_alloc(loader->arena, sizeof *all);
	struct step *steps = arena_alloc(loader->arena, (total + 1) * sizeof *steps);
	if (all == NULL || steps == NULL || reader->hash_input.failed)
		return loader_exhausted(err);
	if (total > PIPELINE_STEPS_MAX)
		return error_set(err, ELIMIT, "more than %d transformations in all pipelines",
				 PIPELINE_STEPS_MAX);
	for (size_t i = 0; i < reader->count; i++) {
		const struct pipeline *pipeline = &reader->items[i];
		if (pipeline->step_count > 0)
			memcpy(steps + all->step_count, pipeline->steps,
			       pipeline->step_count * sizeof *steps);
		all->step_count += pipeline->step_count;
	}
	for (size_t i = 0; i < total; i++) /* hidden from `them` by its underscore */
		if (steps[i].kind == STEP_ADD_CONDITION && steps[i].name.size == 0)
			steps[i].name = arena_print(loader->arena, "_cond_pipeline_%zu", i + 1);
	all->steps = steps;
	all->hash_input = loader_keep(loader, bytes_text(&reader->hash_input));
	enum status status = OK;
	for (size_t i = 0; status == OK && i < total; i++) {
		status = ids_checked(all, &steps[i].of_rule, err);
		if (status == OK)
			status = ids_checked(all, &steps[i].of_item, err);
	}
	loader->pipelines = all;
	return status;
}

enum status pipelines_load(struct loader *loader, struct error *err)
{
	static const char *const suffixes[] = {".yml", ".yaml", NULL};
	const struct ruleset_options *options = loader->options;
	struct pipeline_reader reader cleanup(reader_done) = {.loader = loader};
	enum status status = OK;
	assert(loader->pipelines == NULL);
	for (size_t i = 0; status == OK && i < options->pipeline_count; i++)
		status = rule_files_visit(options->pipelines[i], suffixes, file_read, &reader, err);
	for (size_t i = 0; status == OK && i < options->pipeline_text_count; i++)
		status = text_read(&reader, options->pipeline_texts[i].name,
				   options->pipeline_texts[i].text, err);
	if (status != OK || reader.count == 0)
		return status;
	qsort(reader.items, reader.count, sizeof *reader.items, pipeline_order);
	status = steps_joined(&reader, err);
	return status == OK && loader->out_of_memory ? loader_exhausted(err) : status;
}
