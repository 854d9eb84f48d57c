#include "rules/pipeline_private.h"

#include <assert.h>

/* One YAML document is a rule, a correlation or a filter, by the key it has. */

enum status loader_exhausted(struct error *err)
{
	return error_set(err, ENOMEMORY, "out of memory while loading rules");
}

struct text loader_keep(struct loader *loader, struct text t)
{
	struct text copy = arena_copy(loader->arena, t);
	if (copy.data == NULL) {
		loader->out_of_memory = true;
		return TEXT("");
	}
	return copy;
}

struct text loader_keep_field(struct loader *loader, struct text name)
{
	return loader_keep(loader, loader->options->verbatim_names ? name : schema_canonical(name));
}

enum status field_is_read(const struct loader *loader, struct text name, struct position at,
			  struct error *err)
{
	if (loader->options->verbatim_names)
		return OK;
	switch (schema_find(name)) {
	case FIELD_LOGSOURCE_CATEGORY:
	case FIELD_LOGSOURCE_PRODUCT:
	case FIELD_LOGSOURCE_SERVICE:
		return error_at(
			err, EINVALID, at,
			"'%.*s' is no field to rules\n  fix: say under `logsource` which log "
			"source the rule is for",
			TEXT_ARG(name));
	case FIELD_SRC_TOPIC:
	case FIELD_SRC_PARTITION:
	case FIELD_SRC_OFFSET:
	case FIELD_SRC_INDEX:
	case FIELD_SRC_FORMAT:
	case FIELD_SRC_RAW:
	case FIELD_SRC_RAW_MISSING:
	case FIELD_RULE_ID:
		return error_at(err, EINVALID, at,
				"'%.*s' is no field to rules: it belongs to the stored event\n  "
				"fix: let a mapping set a field of the event, and ask for that",
				TEXT_ARG(name));
	default:
		return OK;
	}
}

void *arena_grown(struct arena *arena, void *items, size_t count, size_t *capacity,
		  size_t item_size)
{
	assert(count <= *capacity);
	if (count < *capacity)
		return items;
	size_t larger = *capacity == 0 ? 16 : *capacity * 2;
	void *copy = arena_alloc(arena, larger * item_size);
	if (copy == NULL)
		return NULL;
	if (count > 0)
		memcpy(copy, items, count * item_size);
	*capacity = larger;
	return copy;
}

static enum status version_read(struct loader *loader, const struct yaml_node *document,
				struct error *err)
{
	const struct yaml_node *node = yaml_get(document, "sigma-version");
	loader->sigma_major = 2;
	if (node == NULL)
		return OK;
	if (node->kind >= YAML_SEQUENCE || node->text.size == 0 || node->text.data[0] < '1' ||
	    node->text.data[0] > '9')
		return error_at(err, EINVALID, node->at,
				"sigma-version is no version\n  fix: write for instance 2.1.0");
	loader->sigma_major = (unsigned)(node->text.data[0] - '0');
	return OK;
}

static enum status draft_added(struct loader *loader, struct draft *draft, struct error *err)
{
	if (loader->draft_count >= RULES_MAX)
		return error_at(err, ELIMIT, draft->rule.at,
				"more than %d rules\n  fix: load fewer folders", RULES_MAX);
	struct draft **drafts = arena_grown(loader->arena, loader->drafts, loader->draft_count,
					    &loader->draft_capacity, sizeof *drafts);
	if (drafts == NULL)
		return loader_exhausted(err);
	loader->drafts = drafts;
	drafts[loader->draft_count++] = draft;
	return OK;
}

/* The log source and the detection, both as pipelines have left them. */
static enum status detection_read(struct loader *loader, const struct yaml_node *document,
				  struct draft *draft, struct error *err)
{
	const struct yaml_node *changed = document;
	enum status status = logsource_parse(loader, document, &draft->written_logsource, err);
	draft->rule.logsource = draft->written_logsource;
	if (status == OK && loader->pipelines != NULL)
		status = pipelines_apply(loader, document, &changed, &draft->held, err);
	if (status == OK && yaml_get(changed, "logsource") != yaml_get(document, "logsource"))
		status = logsource_parse(loader, changed, &draft->rule.logsource, err);
	if (status == OK)
		status = detection_parse(loader, yaml_get(changed, "detection"), &draft->expr, err);
	return status;
}

enum status rule_parse(struct loader *loader, const struct yaml_node *document, struct error *err)
{
	struct draft *draft = arena_alloc(loader->arena, sizeof *draft);
	if (draft == NULL)
		return loader_exhausted(err);
	const struct yaml_node *detection = yaml_get(document, "detection");
	enum status status = metadata_parse(loader, document, draft, err);
	if (status == OK)
		status = handling_parse(loader, document, &draft->rule, err);
	if (status == OK && detection == NULL) {
		draft->rule.kind = RULE_CORRELATION;
		status = correlation_parse(loader, document, draft, err);
	} else if (status == OK) {
		draft->rule.kind = RULE_DETECTION;
		status = detection_read(loader, document, draft, err);
	}
	if (status == OK)
		status = tests_checked(&draft->rule,
				       draft->correlation != NULL &&
					       draft->correlation->parsed.cohort != NULL,
				       err);
	if (status != OK)
		return status;
	lint_document(loader, document);
	return draft_added(loader, draft, err);
}

bool document_blocks(const struct yaml_node *document)
{
	const struct yaml_node *picket = yaml_get(document, "picket");
	const struct yaml_node *gate = picket == NULL ? NULL : yaml_get(picket, "gate");
	if (gate != NULL && gate->kind == YAML_MAPPING)
		gate = yaml_get(gate, "canary");
	return gate != NULL && gate->kind < YAML_SEQUENCE && text_equal(gate->text, TEXT("block"));
}

static enum status kind_missing(const struct yaml_node *document, struct error *err)
{
	static const char *const kinds[] = {"detection", "correlation", "filter"};
	for (size_t i = 0; i < document->count; i++) {
		const char *nearest = nearest_name(document->keys[i]->text, kinds, 3);
		if (nearest != NULL)
			return error_at(
				err, EINVALID, document->keys[i]->at,
				"key '%.*s' is not known (did you mean '%s'?)\n  fix: write "
				"`%s:`",
				TEXT_ARG(document->keys[i]->text), nearest, nearest);
	}
	return error_at(err, EINVALID, document->at,
			"no detection, correlation or filter here\n  fix: add `detection:` with a "
			"selection and a condition");
}

enum status document_parse(struct loader *loader, const struct yaml_node *document,
			   struct error *err)
{
	assert(document != NULL);
	if (document->kind != YAML_MAPPING)
		return error_at(
			err, EINVALID, document->at,
			"a rule is a map of keys (title, logsource, detection, ...)\n  fix: "
			"begin with `title: what the rule finds`");
	const struct yaml_node *action = yaml_get(document, "action");
	if (action != NULL)
		return error_at(
			err, EINVALID, action->at,
			"`action: global | reset | repeat` was removed in Sigma 2.0\n  fix: "
			"write each rule out in a document of its own");
	enum status status = version_read(loader, document, err);
	if (status != OK)
		return status;
	bool detects = yaml_get(document, "detection") != NULL;
	bool correlates = yaml_get(document, "correlation") != NULL;
	bool filters = yaml_get(document, "filter") != NULL;
	if (detects + correlates + filters > 1)
		return error_at(err, EINVALID, document->at,
				"a document is one of detection, correlation and filter\n  fix: "
				"split it by a line `---`");
	if (correlates && loader->pipelines != NULL)
		status = pipelines_wait(loader, document, err);
	else if (detects || correlates)
		status = rule_parse(loader, document, err);
	else if (filters)
		status = filter_parse(loader, document, err);
	else
		status = kind_missing(document, err);
	if (status == OK && loader->out_of_memory)
		status = loader_exhausted(err);
	return status;
}
