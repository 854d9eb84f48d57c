#include "correlate/gate_manifest.h"

#include <assert.h>

#include "correlate/template.h"
#include "rules/yaml.h"

/* Kinds that can be declared, and which signals each of them covers. */
static const struct kind {
	const char *word;
	enum signal signals[2];
	size_t signal_count;
} KINDS[] = {
	{"route", {SIGNAL_ROUTE}, 1},
	{"edge", {SIGNAL_EDGE}, 1},
	{"destination", {SIGNAL_DESTINATION, SIGNAL_INTERNAL_DESTINATION}, 2},
	{"error_signature", {SIGNAL_ERROR_SIGNATURE}, 1},
	{"permission", {SIGNAL_AUTHZ_ALLOW}, 1},
	{"privileged_call", {SIGNAL_PRIVILEGED_CALL}, 1},
};
enum { KIND_COUNT = sizeof KINDS / sizeof *KINDS };

/* Reading one manifest. */
struct reading {
	struct arena *arena;
	struct text service;
	struct expectation *items;
	size_t count;
};

/* Does the pattern stand for all of t? One `*` is tried again at a time, so it is quadratic at
 * most, in texts of a few hundred bytes. */
static bool matches(struct text pattern, struct text t)
{
	size_t at = 0;
	size_t in = 0;
	size_t star = SIZE_MAX;
	size_t retry = 0;
	while (in < t.size) {
		if (at < pattern.size && pattern.data[at] == '*') {
			star = at++;
			retry = in;
		} else if (at < pattern.size && pattern.data[at] == t.data[in]) {
			at++;
			in++;
		} else if (star != SIZE_MAX) {
			at = star + 1;
			in = ++retry;
		} else {
			return false;
		}
	}
	while (at < pattern.size && pattern.data[at] == '*')
		at++;
	return at == pattern.size;
}

/* "orders->payments" of the service orders is the edge "payments". */
static enum status edge_pattern(const struct reading *reading, const struct yaml_node *node,
				struct bytes *to, struct error *err)
{
	struct text value = node->text;
	for (size_t i = 0; i + 1 < value.size; i++) {
		if (value.data[i] != '-' || value.data[i + 1] != '>')
			continue;
		struct text caller = {value.data, i};
		if (!text_equal(caller, reading->service))
			return error_at(err, EINVALID, node->at,
					"the edge begins at %.*s, and the gate is asked about %.*s"
					"\n  fix: write %.*s->CALLEE, or the callee alone",
					TEXT_ARG(caller), TEXT_ARG(reading->service),
					TEXT_ARG(reading->service));
		value = text_cut(value, i + 2);
		break;
	}
	bytes_write(to, value);
	return OK;
}

static enum status pattern_of(const struct reading *reading, const struct kind *kind,
			      const struct yaml_node *node, struct bytes *to, struct error *err)
{
	switch (kind->signals[0]) {
	case SIGNAL_EDGE:
		return edge_pattern(reading, node, to, err);
	case SIGNAL_DESTINATION:
		signal_destination(node->text, to);
		return OK;
	case SIGNAL_ERROR_SIGNATURE:
		template_write(node->text, to);
		return OK;
	default:
		bytes_write(to, node->text);
		return OK;
	}
}

static const struct kind *find_kind(struct text word)
{
	for (size_t i = 0; i < KIND_COUNT; i++)
		if (text_equal(word, text_of(KINDS[i].word)))
			return &KINDS[i];
	return NULL;
}

static enum status refuse_key(const struct yaml_node *key, struct error *err)
{
	const char *names[KIND_COUNT + 1] = {"why"};
	enum signal signal = SIGNAL_COUNT;
	for (size_t i = 0; i < KIND_COUNT; i++)
		names[i + 1] = KINDS[i].word;
	const char *better = nearest_name(key->text, names, KIND_COUNT + 1);
	if (signal_find(key->text, &signal))
		return error_at(
			err, EINVALID, key->at,
			"%.*s cannot be declared: only novelty can (route, edge, destination, "
			"error_signature, permission, privileged_call)\n  fix: mend the canary, "
			"or set the level of the signal in the policy",
			TEXT_ARG(key->text));
	return error_at(
		err, EINVALID, key->at, "nothing called \"%.*s\" can be expected\n  fix: %s%s%s",
		TEXT_ARG(key->text), better == NULL ? "" : "did you mean \"",
		better == NULL ? "write route, edge, destination, error_signature, permission "
				 "or privileged_call"
			       : better,
		better == NULL ? "" : "\"?");
}

static enum status check_value(const struct yaml_node *node, const char *what, struct error *err)
{
	if (node->kind >= YAML_SEQUENCE || node->kind == YAML_NULL || node->text.size == 0)
		return error_at(err, EINVALID, node->at,
				"%s is a text\n  fix: write one, in quotes", what);
	if (node->text.size > GATE_MANIFEST_TEXT_MAX)
		return error_at(err, ELIMIT, node->at, "%s has more than %d bytes", what,
				GATE_MANIFEST_TEXT_MAX);
	return OK;
}

static enum status read_pair(const struct reading *reading, const struct yaml_node *key,
			     const struct yaml_node *value, struct expectation *item,
			     struct error *err)
{
	struct bytes pattern cleanup(bytes_done) = {0};
	bool is_why = text_equal(key->text, TEXT("why"));
	const struct kind *kind = is_why ? NULL : find_kind(key->text);
	if (!is_why && kind == NULL)
		return refuse_key(key, err);
	if (kind != NULL && item->kind != NULL)
		return error_at(err, EINVALID, key->at,
				"one item declares one thing, and this one has %s already\n  fix: "
				"begin another item with `- `",
				item->kind);
	enum status status = check_value(value, is_why ? "why" : kind->word, err);
	if (status != OK)
		return status;
	struct text copy = arena_copy(reading->arena, value->text);
	if (is_why) {
		item->why = copy;
		return copy.data == NULL ? error_set(err, ENOMEMORY, "no memory") : OK;
	}
	status = pattern_of(reading, kind, value, &pattern, err);
	if (status != OK)
		return status;
	item->kind = kind->word;
	item->value = copy;
	item->pattern = arena_copy(reading->arena, bytes_text(&pattern));
	item->line = key->at.line;
	if (pattern.failed || copy.data == NULL || item->pattern.data == NULL)
		return error_set(err, ENOMEMORY, "no memory for a manifest");
	if (matches(item->pattern, TEXT("")) || text_equal(item->pattern, TEXT("*:*")))
		return error_at(err, EINVALID, value->at,
				"\"%.*s\" would declare everything\n  fix: name what is new",
				TEXT_ARG(value->text));
	return OK;
}

static enum status read_item(struct reading *reading, const struct yaml_node *node,
			     struct error *err)
{
	struct expectation item = {0};
	if (node->kind != YAML_MAPPING)
		return error_at(err, EINVALID, node->at,
				"an expected thing is a map\n  fix: write - edge: payments");
	if (reading->count == GATE_MANIFEST_ITEMS_MAX)
		return error_at(err, ELIMIT, node->at, "more than %d expected things",
				GATE_MANIFEST_ITEMS_MAX);
	enum status status = OK;
	for (size_t i = 0; i < node->count && status == OK; i++)
		status = read_pair(reading, node->keys[i], node->values[i], &item, err);
	if (status == OK && item.kind == NULL)
		return error_at(err, EINVALID, node->at,
				"this item declares nothing\n  fix: write - edge: payments");
	if (status == OK)
		reading->items[reading->count++] = item;
	return status;
}

static enum status read_service(const struct reading *reading, const struct yaml_node *node,
				struct error *err)
{
	enum status status = check_value(node, "service", err);
	if (status == OK && !text_equal(node->text, reading->service))
		return error_at(err, EINVALID, node->at,
				"the manifest is of %.*s, and the gate is asked about %.*s\n  fix: "
				"name the right file",
				TEXT_ARG(node->text), TEXT_ARG(reading->service));
	return status;
}

static enum status read_document(struct reading *reading, const struct yaml_node *document,
				 struct error *err)
{
	enum status status = OK;
	if (document->kind != YAML_MAPPING)
		return error_at(err, EINVALID, document->at,
				"a manifest is a map\n  fix: write expect: and a list under it");
	if (yaml_get(document, "expect") == NULL)
		return error_at(
			err, EINVALID, document->at,
			"the manifest expects nothing\n  fix: write expect: and a list under it");
	for (size_t i = 0; i < document->count && status == OK; i++) {
		const struct yaml_node *key = document->keys[i];
		const struct yaml_node *value = document->values[i];
		if (text_equal(key->text, TEXT("service"))) {
			status = read_service(reading, value, err);
		} else if (!text_equal(key->text, TEXT("expect"))) {
			status = error_at(err, EINVALID, key->at,
					  "a manifest has no \"%.*s\"\n  fix: it has service and "
					  "expect",
					  TEXT_ARG(key->text));
		} else if (value->kind != YAML_SEQUENCE) {
			status = error_at(
				err, EINVALID, value->at,
				"expect is a list\n  fix: write - edge: payments under it");
		} else {
			for (size_t k = 0; k < value->count && status == OK; k++)
				status = read_item(reading, value->items[k], err);
		}
	}
	return status;
}

enum status gate_manifest_read(struct text yaml, const char *name, struct text service,
			       struct arena *arena, struct gate_manifest *ret_manifest,
			       struct error *err)
{
	const struct yaml_node *const *documents = NULL;
	size_t count = 0;
	if (yaml.size > GATE_MANIFEST_BYTES_MAX)
		return error_set(err, ELIMIT, "%s: a manifest has at most %d bytes", name,
				 GATE_MANIFEST_BYTES_MAX);
	enum status status = yaml_parse(yaml, name, arena, &documents, &count, err);
	if (status != OK)
		return status;
	if (count != 1)
		return error_at(
			err, EINVALID, (struct position){name, 1, 1},
			"a manifest is one document, not %zu\n  fix: write expect: and a list "
			"under it",
			count);
	struct reading reading = {.arena = arena, .service = service};
	reading.items = arena_alloc(arena, GATE_MANIFEST_ITEMS_MAX * sizeof *reading.items);
	if (reading.items == NULL)
		return error_set(err, ENOMEMORY, "no memory for a manifest");
	status = read_document(&reading, documents[0], err);
	if (status == OK)
		*ret_manifest = (struct gate_manifest){reading.items, reading.count};
	return status;
}

/* Of an error signature the type in front of it may be left out. */
static bool declares(const struct expectation *item, enum signal signal, struct text key)
{
	if (matches(item->pattern, key))
		return true;
	for (size_t i = 0; signal == SIGNAL_ERROR_SIGNATURE && i + 2 < key.size; i++)
		if (key.data[i] == ':' && key.data[i + 1] == ' ' &&
		    matches(item->pattern, text_cut(key, i + 2)))
			return true;
	return false;
}

size_t gate_manifest_find(const struct gate_manifest *manifest, enum signal signal, struct text key)
{
	for (size_t i = 0; i < manifest->count; i++) {
		const struct kind *kind = find_kind(text_of(manifest->items[i].kind));
		assert(kind != NULL);
		for (size_t k = 0; k < kind->signal_count; k++)
			if (kind->signals[k] == signal &&
			    declares(&manifest->items[i], signal, key))
				return i;
	}
	return manifest->count;
}
