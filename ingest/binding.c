/* The file is small and read once, so it is kept as what it is: patterns in order. A message walks
 * them until one fits; topics are compared first, and nearly always differ in the first bytes. */
#include "ingest/binding.h"

#include <assert.h>
#include <stdlib.h>

#include "rules/yaml.h"

enum { BINDINGS_ARENA_BYTES = 64 * 1024 * 1024 };

/* A text with one '*' at most. */
struct pattern {
	struct text head, tail;
	bool open; /* there is a '*' between them */
};

enum origin_kind { FROM_NONE, FROM_TOPIC, FROM_KEY, FROM_HEADER };

struct identity {
	const struct pattern *names;
	size_t name_count;
	enum origin_kind from;
	struct text header; /* of FROM_HEADER */
};

struct header_pattern {
	struct text name;
	struct pattern value;
};

struct binding {
	struct pattern topic, key;
	bool has_key;
	struct header_pattern headers[BINDING_HEADERS_MAX];
	size_t header_count;
	struct identity service, tenant;
	struct text owner; /* of the services; "" = not said */
	struct position at, owner_at;
};

struct bindings {
	struct arena *arena;
	struct binding *items;
	size_t count;
};

void bindings_free(struct bindings **bindings)
{
	if (*bindings == NULL)
		return;
	arena_free(&(*bindings)->arena);
	free(*bindings);
	*bindings = NULL;
}

size_t bindings_count(const struct bindings *bindings)
{
	return bindings == NULL ? 0 : bindings->count;
}

/* Does it fit? *ret_middle is what the '*' stands for, all of t when there is none. */
static bool pattern_fits(const struct pattern *pattern, struct text t, struct text *ret_middle)
{
	if (!pattern->open) {
		*ret_middle = t;
		return text_equal(pattern->head, t);
	}
	size_t fixed = pattern->head.size + pattern->tail.size;
	if (t.size < fixed || !text_starts(t, pattern->head) ||
	    !text_equal(text_cut(t, t.size - pattern->tail.size), pattern->tail))
		return false;
	*ret_middle = (struct text){t.data + pattern->head.size, t.size - fixed};
	return true;
}

static enum status scalar(const struct yaml_node *node, const char *what, struct text *ret_text,
			  struct error *err)
{
	bool fits = node->kind != YAML_SEQUENCE && node->kind != YAML_MAPPING &&
		    node->kind != YAML_NULL && node->text.size > 0;
	if (!fits)
		return error_at(err, EINVALID, node->at, "%s must be a text that is not empty",
				what);
	*ret_text = node->text;
	return OK;
}

static enum status parse_pattern(const struct yaml_node *node, const char *what,
				 struct pattern *ret_pattern, struct error *err)
{
	struct text t = {0};
	enum status status = scalar(node, what, &t, err);
	if (status != OK)
		return status;
	const char *star = memchr(t.data, '*', t.size);
	if (star == NULL) {
		*ret_pattern = (struct pattern){.head = t};
		return OK;
	}
	size_t at = (size_t)(star - t.data);
	if (memchr(star + 1, '*', t.size - at - 1) != NULL)
		return error_at(err, EINVALID, node->at,
				"%s \"%.*s\" has more than one *; write one entry for each", what,
				TEXT_ARG(t));
	*ret_pattern = (struct pattern){{t.data, at}, text_cut(t, at + 1), true};
	return OK;
}

static enum status parse_names(struct bindings *bindings, const struct yaml_node *node,
			       const char *what, struct identity *identity, struct error *err)
{
	if (identity->from != FROM_NONE)
		return error_at(err, EINVALID, node->at,
				"a list of %s beside a name that is read from the message; keep "
				"one of them",
				what);
	if (node->kind != YAML_SEQUENCE || node->count == 0 || node->count > BINDING_NAMES_MAX)
		return error_at(err, EINVALID, node->at,
				"%s is a list of 1 to %d names; write %s: [NAME]", what,
				BINDING_NAMES_MAX, what);
	struct pattern *names = arena_alloc(bindings->arena, node->count * sizeof *names);
	if (names == NULL)
		return ENOMEMORY;
	enum status status = OK;
	for (size_t i = 0; status == OK && i < node->count; i++)
		status = parse_pattern(node->items[i], what, &names[i], err);
	identity->names = names;
	identity->name_count = node->count;
	return status;
}

static enum status parse_from(const struct yaml_node *node, const char *what,
			      struct identity *identity, struct error *err)
{
	const struct text header = TEXT("header ");
	struct text t = {0};
	enum status status = scalar(node, what, &t, err);
	if (status != OK)
		return status;
	if (identity->names != NULL)
		return error_at(err, EINVALID, node->at,
				"%s beside a list of names; keep one of them", what);
	if (text_equal(t, TEXT("topic"))) {
		identity->from = FROM_TOPIC;
	} else if (text_equal(t, TEXT("key"))) {
		identity->from = FROM_KEY;
	} else if (text_starts(t, header) && t.size > header.size) {
		identity->from = FROM_HEADER;
		identity->header = text_cut(t, header.size);
	} else {
		return error_at(err, EINVALID, node->at, "%s is none of: topic, key, header NAME",
				what);
	}
	return OK;
}

static enum status parse_headers(const struct yaml_node *node, struct binding *binding,
				 struct error *err)
{
	if (node->kind != YAML_MAPPING || node->count == 0 || node->count > BINDING_HEADERS_MAX)
		return error_at(err, EINVALID, node->at,
				"headers is a map of 1 to %d names; write headers: {NAME: VALUE}",
				BINDING_HEADERS_MAX);
	enum status status = OK;
	for (size_t i = 0; status == OK && i < node->count; i++) {
		struct header_pattern *header = &binding->headers[binding->header_count++];
		header->name = node->keys[i]->text;
		status = parse_pattern(node->values[i], "a header's value", &header->value, err);
	}
	return status;
}

static enum status parse_member(struct bindings *bindings, const struct yaml_node *key,
				const struct yaml_node *value, struct binding *binding,
				struct error *err)
{
	static const char *const names[] = {"topic",   "key",          "headers",     "services",
					    "tenants", "service_from", "tenant_from", "owner"};
	size_t which = 0;
	while (which < sizeof names / sizeof *names &&
	       !text_equal(key->text, text_of(names[which])))
		which++;
	switch (which) {
	case 0:
		return parse_pattern(value, "topic", &binding->topic, err);
	case 1:
		binding->has_key = true;
		return parse_pattern(value, "key", &binding->key, err);
	case 2:
		return parse_headers(value, binding, err);
	case 3:
		return parse_names(bindings, value, "services", &binding->service, err);
	case 4:
		return parse_names(bindings, value, "tenants", &binding->tenant, err);
	case 5:
		return parse_from(value, "service_from", &binding->service, err);
	case 6:
		return parse_from(value, "tenant_from", &binding->tenant, err);
	case 7:
		binding->owner_at = value->at;
		return scalar(value, "owner", &binding->owner, err);
	default:
		break;
	}
	const char *nearest = nearest_name(key->text, names, sizeof names / sizeof *names);
	return error_at(err, EINVALID, key->at, "unknown key \"%.*s\"; %s%s", TEXT_ARG(key->text),
			nearest == NULL ? "the keys are topic, key, headers, services, tenants, "
					  "service_from, tenant_from, owner"
					: "did you mean ",
			nearest == NULL ? "" : nearest);
}

static bool says_something(const struct identity *identity)
{
	return identity->names != NULL || identity->from != FROM_NONE;
}

static enum status parse_entry(struct bindings *bindings, const struct yaml_node *node,
			       struct binding *binding, struct error *err)
{
	if (node->kind != YAML_MAPPING)
		return error_at(err, EINVALID, node->at,
				"a binding is a map, such as {topic: logs-a, services: [a]}");
	binding->at = node->at;
	enum status status = OK;
	for (size_t i = 0; status == OK && i < node->count; i++)
		status = parse_member(bindings, node->keys[i], node->values[i], binding, err);
	if (status != OK)
		return status;
	if (binding->topic.head.size == 0 && !binding->topic.open)
		return error_at(err, EINVALID, node->at,
				"topic is missing; write topic: NAME, or topic: \"*\" for all");
	if (!says_something(&binding->service) && !says_something(&binding->tenant))
		return error_at(err, EINVALID, node->at,
				"the entry binds nothing; add services, tenants, service_from or "
				"tenant_from");
	if (binding->owner.size > 0 && binding->service.names == NULL)
		return error_at(err, EINVALID, binding->owner_at,
				"owner says who answers for the services that the entry lists; add "
				"services: [NAME]");
	return OK;
}

static enum status parse_list(struct bindings *bindings, const struct yaml_node *list,
			      struct error *err)
{
	if (list->kind != YAML_SEQUENCE || list->count == 0)
		return error_at(err, EINVALID, list->at,
				"not a list of bindings; write - topic: NAME with services or "
				"tenants below it");
	if (list->count > BINDINGS_MAX)
		return error_at(err, ELIMIT, list->at, "more than %d bindings", BINDINGS_MAX);
	bindings->items = arena_alloc(bindings->arena, list->count * sizeof *bindings->items);
	enum status status = bindings->items == NULL ? ENOMEMORY : OK;
	for (size_t i = 0; status == OK && i < list->count; i++)
		status = parse_entry(bindings, list->items[i], &bindings->items[bindings->count++],
				     err);
	return status;
}

static enum status bindings_new(struct bindings **ret_bindings, struct error *err)
{
	struct bindings *bindings = calloc(1, sizeof *bindings);
	if (bindings != NULL)
		bindings->arena = arena_new(BINDINGS_ARENA_BYTES);
	if (bindings == NULL || bindings->arena == NULL) {
		free(bindings);
		return error_set(err, ENOMEMORY, "no memory for the bindings");
	}
	*ret_bindings = bindings;
	return OK;
}

static enum status take_documents(struct bindings *bindings, const char *file,
				  const struct yaml_node *const *documents, size_t count,
				  struct error *err)
{
	if (count != 1)
		return error_at(err, EINVALID, (struct position){file, 1, 1},
				"%zu YAML documents instead of one", count);
	return parse_list(bindings, documents[0], err);
}

enum status bindings_parse(struct text yaml, const char *file, struct bindings **ret_bindings,
			   struct error *err)
{
	struct bindings *bindings cleanup(bindings_free) = NULL;
	const struct yaml_node *const *documents = NULL;
	size_t count = 0;
	enum status status = bindings_new(&bindings, err);
	struct text copy = {0};
	struct text name = {0};
	if (status == OK) {
		copy = arena_copy(bindings->arena, yaml);
		name = arena_copy(bindings->arena, text_of(file));
		status = copy.data == NULL || name.data == NULL ? ENOMEMORY : OK;
	}
	if (status == OK)
		status = yaml_parse(copy, name.data, bindings->arena, &documents, &count, err);
	if (status == OK)
		status = take_documents(bindings, name.data, documents, count, err);
	if (status == OK)
		*ret_bindings = TAKE(bindings);
	return status;
}

enum status bindings_load(const char *path, struct bindings **ret_bindings, struct error *err)
{
	struct bindings *bindings cleanup(bindings_free) = NULL;
	const struct yaml_node *const *documents = NULL;
	size_t count = 0;
	enum status status = bindings_new(&bindings, err);
	struct text name = {0};
	if (status == OK) {
		name = arena_copy(bindings->arena, text_of(path));
		status = name.data == NULL ? ENOMEMORY : OK;
	}
	if (status == OK)
		status = yaml_load(name.data, bindings->arena, &documents, &count, err);
	if (status == OK)
		status = take_documents(bindings, name.data, documents, count, err);
	if (status == OK)
		*ret_bindings = TAKE(bindings);
	return status;
}

static bool header_find(const struct message *message, struct text name, struct text *ret_value)
{
	/* The last one counts: what a gateway adds stands behind what a client sent. */
	for (size_t i = message->header_count; i-- > 0;) {
		if (text_equal(message->headers[i].name, name)) {
			*ret_value = message->headers[i].value;
			return true;
		}
	}
	return false;
}

static bool binding_fits(const struct binding *binding, struct text topic,
			 const struct message *message, struct text middle[static 2])
{
	struct text ignored = {0};
	if (!pattern_fits(&binding->topic, topic, &middle[0]))
		return false;
	middle[1] = message->key;
	if (binding->has_key && !pattern_fits(&binding->key, message->key, &middle[1]))
		return false;
	for (size_t i = 0; i < binding->header_count; i++) {
		struct text value = {0};
		if (!header_find(message, binding->headers[i].name, &value) ||
		    !pattern_fits(&binding->headers[i].value, value, &ignored))
			return false;
	}
	return true;
}

static enum bound_state resolve(const struct identity *identity, const struct message *message,
				const struct text middle[static 2], struct text *ret_name)
{
	struct text name = {0};
	switch (identity->from) {
	case FROM_NONE:
		if (identity->names == NULL)
			return BOUND_NOTHING;
		if (identity->name_count > 1 || identity->names[0].open)
			return BOUND_CHOICE;
		name = identity->names[0].head;
		break;
	case FROM_TOPIC:
		name = middle[0];
		break;
	case FROM_KEY:
		name = middle[1];
		break;
	case FROM_HEADER:
		(void)header_find(message, identity->header, &name);
		break;
	}
	if (name.size == 0)
		return BOUND_UNKNOWN;
	*ret_name = name;
	return BOUND_NAME;
}

struct bound bindings_find(const struct bindings *bindings, struct text topic,
			   const struct message *message)
{
	struct text middle[2] = {0};
	for (size_t i = 0; bindings != NULL && i < bindings->count; i++) {
		const struct binding *binding = &bindings->items[i];
		if (!binding_fits(binding, topic, message, middle))
			continue;
		struct bound bound = {.found = true, .entry = binding->at, .binding = binding};
		bound.service_state = resolve(&binding->service, message, middle, &bound.service);
		bound.tenant_state = resolve(&binding->tenant, message, middle, &bound.tenant);
		return bound;
	}
	return (struct bound){0};
}

static bool allows(const struct identity *identity, struct text claim)
{
	struct text ignored = {0};
	for (size_t i = 0; i < identity->name_count; i++)
		if (pattern_fits(&identity->names[i], claim, &ignored))
			return true;
	return false;
}

struct text bindings_owner(const struct bindings *bindings, struct text service)
{
	for (size_t i = 0; i < bindings_count(bindings); i++) {
		const struct binding *binding = &bindings->items[i];
		if (binding->owner.size > 0 && allows(&binding->service, service))
			return binding->owner;
	}
	return (struct text){0};
}

bool bound_allows_service(const struct bound *bound, struct text claim)
{
	assert(bound->service_state == BOUND_CHOICE);
	return allows(&bound->binding->service, claim);
}

bool bound_allows_tenant(const struct bound *bound, struct text claim)
{
	assert(bound->tenant_state == BOUND_CHOICE);
	return allows(&bound->binding->tenant, claim);
}
