#include "rules/ruleset.h"

#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "rules/pipeline_private.h"
#include "rules/rule_files_private.h"

enum { ARENA_BYTES_MAX = 1 << 30 };

struct found {
	struct text word;
	uint32_t rule;
};

struct ruleset {
	struct arena *arena;
	struct program *program;
	struct program_input input;
	struct rule *rules;
	size_t count;
	struct found *names; /* ids, names and keys, sorted */
	size_t name_count;
	struct rule_filter *filters;
	size_t filter_count;
	const struct rule_note *notes;
	size_t note_count;
	uint64_t hash;
};

/* Everything that only lives while rules are being loaded. */
struct session {
	struct ruleset *ruleset;
	struct arena *yaml;
	struct loader loader;
	XXH3_state_t *hash;
};

const char *level_name(enum rule_level level)
{
	static const char *const names[] = {"informational", "low", "medium", "high", "critical"};
	assert((unsigned)level < sizeof names / sizeof *names);
	return names[level];
}

static void session_done(struct session *session)
{
	intern_free(&session->loader.intern);
	arena_free(&session->yaml);
	(void)XXH3_freeState(session->hash);
	ruleset_free(&session->ruleset);
}

static void hash_text(struct session *session, struct text t)
{
	uint64_t size = t.size;
	(void)XXH3_64bits_update(session->hash, &size, sizeof size);
	if (t.size > 0)
		(void)XXH3_64bits_update(session->hash, t.data, t.size);
}

/* Pipelines are part of what the rules mean. */
static enum status pipelines_hash(struct session *session, struct error *err)
{
	struct loader *loader = &session->loader;
	enum status status = pipelines_load(loader, err);
	if (status == OK && loader->pipelines != NULL)
		hash_text(session, loader->pipelines->hash_input);
	return status;
}

/* All lists, used or not: their values are part of what the rules mean. */
static enum status lists_load(struct session *session, struct error *err)
{
	struct loader *loader = &session->loader;
	const struct ruleset_options *options = loader->options;
	enum status status = OK;
	for (size_t i = 0; status == OK && i < options->list_count; i++)
		status = lists_read(&loader->lists, options->lists[i], loader->arena, err);
	for (size_t i = 0; status == OK && i < options->list_text_count; i++)
		status = lists_add(&loader->lists, &options->list_texts[i], loader->arena, err);
	if (status != OK)
		return status;
	for (size_t i = 0; i < loader->lists.count; i++) {
		const struct value_list *list = &loader->lists.items[i];
		hash_text(session, list->name);
		for (size_t k = 0; k < list->count; k++)
			hash_text(session, list->values[k]);
	}
	return OK;
}

static enum status session_start(struct session *session, const struct ruleset_options *options,
				 struct error *err)
{
	session->ruleset = calloc(1, sizeof *session->ruleset);
	session->yaml = arena_new(ARENA_BYTES_MAX);
	session->hash = XXH3_createState();
	if (session->ruleset == NULL || session->yaml == NULL || session->hash == NULL)
		return loader_exhausted(err);
	struct arena *arena = session->ruleset->arena = arena_new(ARENA_BYTES_MAX);
	if (arena == NULL)
		return loader_exhausted(err);
	session->loader = (struct loader){
		.options = options,
		.arena = arena,
		.yaml = session->yaml,
		.intern = intern_new(arena),
	};
	(void)XXH3_64bits_reset(session->hash);
	unsigned char flags =
		(unsigned char)(options->any_logsource | options->verbatim_names << 1);
	(void)XXH3_64bits_update(session->hash, &flags, 1);
	if (session->loader.intern == NULL)
		return loader_exhausted(err);
	enum status status = lists_load(session, err);
	return status == OK ? pipelines_hash(session, err) : status;
}

static enum status documents_parse(struct loader *loader, const struct yaml_node *const *documents,
				   size_t count, struct error *err)
{
	size_t empty = 0;
	for (size_t i = 0; i < count; i++) {
		if (documents[i]->kind == YAML_NULL) {
			empty++; /* a `---` with nothing behind it */
			continue;
		}
		enum status status = document_parse(loader, documents[i], err);
		if (status != OK)
			status = lint_refuse(loader, status, err, document_blocks(documents[i]));
		if (status != OK)
			return status;
	}
	if (empty < count)
		return OK;
	return lint_refuse(loader,
			   error_at(err, EINVALID, (struct position){loader->file, 1, 1},
				    "no rule here\n  fix: write a rule, or remove the file"),
			   err, false);
}

/* name must be in the rule set's arena: positions point to it. */
static enum status text_load(struct session *session, struct text yaml, const char *name,
			     struct error *err)
{
	struct loader *loader = &session->loader;
	const struct yaml_node *const *documents = NULL;
	size_t count = 0;
	loader->file = name;
	hash_text(session, yaml);
	enum status status = yaml_parse(yaml, name, session->yaml, &documents, &count, err);
	if (status != OK) /* nobody can say what the file held: assume the worst it may have held */
		return lint_refuse(loader, status, err,
				   memmem(yaml.data, yaml.size, "block", 5) != NULL);
	return documents_parse(loader, documents, count, err);
}

static enum status file_load(void *context, const char *path, struct error *err)
{
	struct session *session = context;
	struct text name = loader_keep(&session->loader, text_of(path)), yaml = {0};
	if (session->loader.pipelines == NULL) /* they come back to documents of other files */
		arena_reset(session->yaml);
	if (session->loader.out_of_memory)
		return loader_exhausted(err);
	enum status status = yaml_read_file(path, session->yaml, &yaml, err);
	if (status != OK)
		return lint_refuse(&session->loader, status, err, true);
	return text_load(session, yaml, name.data, err);
}

static int found_order(const void *a, const void *b)
{
	const struct found *left = a, *right = b;
	int order = text_compare(left->word, right->word);
	return order != 0 ? order : (left->rule > right->rule) - (left->rule < right->rule);
}

static enum status names_build(struct ruleset *ruleset, struct error *err)
{
	ruleset->names =
		arena_alloc(ruleset->arena, (ruleset->count * 3 + 1) * sizeof *ruleset->names);
	if (ruleset->names == NULL)
		return loader_exhausted(err);
	for (uint32_t i = 0; i < ruleset->count; i++) {
		const struct rule *rule = &ruleset->rules[i];
		const struct text words[] = {rule->id, rule->name, rule->key};
		for (size_t k = 0; k < 3; k++)
			if (words[k].size > 0)
				ruleset->names[ruleset->name_count++] = (struct found){words[k], i};
	}
	qsort(ruleset->names, ruleset->name_count, sizeof *ruleset->names, found_order);
	return OK;
}

/* Indices of the rules that are left, by draft. */
static enum status correlation_build(struct loader *loader, const struct draft *draft,
				     struct rule *rule, struct error *err)
{
	struct correlation_draft *from = draft->correlation;
	uint32_t *indices = arena_alloc(loader->arena, from->reference_count * sizeof *indices);
	if (indices == NULL)
		return loader_exhausted(err);
	for (size_t i = 0; i < from->reference_count; i++) {
		assert(!loader->drafts[from->references[i].draft]->refused);
		indices[i] = loader->drafts[from->references[i].draft]->rule.index;
	}
	from->parsed.rules = indices;
	from->parsed.rule_count = from->reference_count;
	rule->correlation = &from->parsed;
	return OK;
}

static enum status rules_build(struct session *session, struct error *err)
{
	struct loader *loader = &session->loader;
	struct ruleset *ruleset = session->ruleset;
	ruleset->rules =
		arena_alloc(loader->arena, (loader->draft_count + 1) * sizeof *ruleset->rules);
	if (ruleset->rules == NULL)
		return loader_exhausted(err);
	uint32_t count = 0;
	for (size_t i = 0; i < loader->draft_count; i++)
		if (!loader->drafts[i]->refused)
			loader->drafts[i]->rule.index = count++;
	for (size_t i = 0; i < loader->draft_count; i++) {
		const struct draft *draft = loader->drafts[i];
		if (draft->refused)
			continue;
		struct rule *rule = &ruleset->rules[ruleset->count++];
		*rule = draft->rule;
		enum status status = draft->correlation != NULL
					     ? correlation_build(loader, draft, rule, err)
				     : detection_shape(loader, draft, &rule->shape) == OK
					     ? OK
					     : loader_exhausted(err);
		if (status != OK)
			return status;
	}
	assert(ruleset->count == count);
	return names_build(ruleset, err);
}

/* The filters, and their taps as detections behind those of the rules. */
static enum status filters_build(struct session *session, struct program_input *input,
				 struct detection *detections, struct error *err)
{
	struct loader *loader = &session->loader;
	struct ruleset *ruleset = session->ruleset;
	uint32_t *taps = arena_alloc(loader->arena, (loader->tap_count + 1) * sizeof *taps);
	ruleset->filters =
		arena_alloc(loader->arena, (loader->filter_count + 1) * sizeof *ruleset->filters);
	if (taps == NULL || ruleset->filters == NULL)
		return loader_exhausted(err);
	ruleset->filter_count = loader->filter_count;
	for (size_t i = 0; i < loader->filter_count; i++)
		ruleset->filters[i] =
			(struct rule_filter){.title = loader->filters[i]->title,
					     .at = loader->filters[i]->at,
					     .expires_us = loader->filters[i]->expires_us};
	uint32_t first = (uint32_t)ruleset->count, next = first;
	for (size_t i = 0; i < loader->tap_count; i++) {
		const struct tap *tap = &loader->taps[i];
		const struct draft *draft = loader->drafts[tap->draft];
		struct rule_filter *filter = &ruleset->filters[tap->filter];
		if (draft->refused)
			continue;
		uint32_t *place = &taps[next - first];
		if (filter->tap_count++ == 0) /* all of a filter stand side by side */
			filter->taps = place;
		*place = next;
		detections[input->detection_count++] = (struct detection){
			.rule_index = next++,
			.expr = tap->expr,
			.logsource = draft->rule.logsource,
			.at = filter->at,
		};
	}
	input->taps_from = next > first ? first : 0;
	return OK;
}

static enum status program_build(struct session *session, struct error *err)
{
	struct loader *loader = &session->loader;
	size_t room = loader->draft_count + loader->tap_count + 1;
	struct detection *detections = arena_alloc(loader->arena, room * sizeof *detections);
	if (detections == NULL)
		return loader_exhausted(err);
	struct program_input input = {
		.detections = detections,
		.any_logsource = loader->options->any_logsource,
		.verbatim_names = loader->options->verbatim_names,
	};
	for (size_t i = 0; i < loader->draft_count; i++) {
		const struct draft *draft = loader->drafts[i];
		if (draft->refused || draft->expr == NULL)
			continue;
		detections[input.detection_count++] = (struct detection){
			.rule_index = draft->rule.index,
			.expr = draft->expr,
			.logsource = draft->rule.logsource,
			.at = draft->rule.at,
		};
	}
	enum status status = filters_build(session, &input, detections, err);
	if (status != OK)
		return status;
	input.predicates = intern_predicates(loader->intern, &input.predicate_count);
	session->ruleset->input = input;
	return program_new(&input, &session->ruleset->program, err);
}

static enum status session_finish(struct session *session, struct ruleset **ret_ruleset,
				  struct error *err)
{
	enum status status = pipelines_parse_waiting(&session->loader, err);
	if (status == OK)
		status = drafts_link(&session->loader, err);
	if (status == OK)
		status = rules_build(session, err);
	if (status == OK)
		status = program_build(session, err);
	if (status != OK)
		return status;
	session->ruleset->notes = session->loader.notes;
	session->ruleset->note_count = session->loader.note_count;
	session->ruleset->hash = XXH3_64bits_digest(session->hash);
	*ret_ruleset = TAKE(session->ruleset);
	return OK;
}

static const char *const rule_suffixes[] = {".yml", ".yaml", NULL};
enum status ruleset_load(const struct ruleset_options *options, struct ruleset **ret_ruleset,
			 struct error *err)
{
	struct session session cleanup(session_done) = {0};
	struct error own; /* skipped refusals are told through notes, also without an err */
	if (err == NULL)
		err = &own;
	enum status status = session_start(&session, options, err);
	for (size_t i = 0; status == OK && i < options->path_count; i++)
		status = rule_files_visit(options->paths[i], rule_suffixes, file_load, &session,
					  err);
	if (status != OK)
		return status;
	return session_finish(&session, ret_ruleset, err);
}

enum status ruleset_parse(const struct ruleset_options *options, struct text yaml, const char *name,
			  struct ruleset **ret_ruleset, struct error *err)
{
	struct session session cleanup(session_done) = {0};
	struct error own;
	if (err == NULL)
		err = &own;
	enum status status = session_start(&session, options, err);
	if (status != OK)
		return status;
	struct text kept = loader_keep(&session.loader, text_of(name));
	status = text_load(&session, yaml, kept.data, err);
	if (status != OK)
		return status;
	return session_finish(&session, ret_ruleset, err);
}

void ruleset_free(struct ruleset **ruleset)
{
	if (*ruleset == NULL)
		return;
	program_free(&(*ruleset)->program);
	arena_free(&(*ruleset)->arena);
	free(*ruleset);
	*ruleset = NULL;
}

size_t ruleset_count(const struct ruleset *ruleset)
{
	return ruleset->count;
}

const struct rule *ruleset_rule(const struct ruleset *ruleset, size_t index)
{
	assert(index < ruleset->count);
	return &ruleset->rules[index];
}

const struct rule *ruleset_find(const struct ruleset *ruleset, struct text id_or_name)
{
	size_t low = 0, high = ruleset->name_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (text_compare(ruleset->names[middle].word, id_or_name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == ruleset->name_count || !text_equal(ruleset->names[low].word, id_or_name))
		return NULL;
	return &ruleset->rules[ruleset->names[low].rule];
}

const struct rule_note *ruleset_notes(const struct ruleset *ruleset, size_t *ret_count)
{
	*ret_count = ruleset->note_count;
	return ruleset->notes;
}

size_t ruleset_filter_count(const struct ruleset *ruleset)
{
	return ruleset->filter_count;
}

const struct rule_filter *ruleset_filter(const struct ruleset *ruleset, size_t index)
{
	assert(index < ruleset->filter_count);
	return &ruleset->filters[index];
}

uint64_t ruleset_hash(const struct ruleset *ruleset)
{
	return ruleset->hash;
}

const struct program *ruleset_program(const struct ruleset *ruleset)
{
	return ruleset->program;
}

const struct program_input *ruleset_input(const struct ruleset *ruleset)
{
	return &ruleset->input;
}

struct text ruleset_witness(const struct ruleset *ruleset, size_t index, struct arena *arena)
{
	assert(index < ruleset->count);
	if (ruleset->rules[index].correlation != NULL)
		return TEXT("");
	struct text witness = program_witness(ruleset->program, (uint32_t)index, arena);
	return witness.data == NULL ? TEXT("") : witness;
}

bool ruleset_cost(const struct ruleset *ruleset, size_t index, struct rule_cost *ret_cost)
{
	assert(index < ruleset->count);
	return program_cost(ruleset->program, (uint32_t)index, ret_cost);
}
