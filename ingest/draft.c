#include "ingest/draft_private.h"

#include <assert.h>

/* An event gets some fields of picket's own as a rule: room for them saves copying all others. */
enum { OWN_ROOM = 16 };

void draft_begin(struct draft *draft)
{
	draft->round++;
	if (draft->round == 0) { /* after 4 billion records: old slots must not look current */
		memset(draft->slots, 0, sizeof draft->slots);
		draft->round = 1;
	}
	memset(draft->heads, 0, sizeof draft->heads);
	draft->count = 0;
	draft->quality = 0;
	draft->lost = false;
}

static bool is_protected(enum field_id id)
{
	return id != FIELD_OTHER && schema_info(id)->protection == FIELD_PROTECTED;
}

/* Who has the last word on where a log was written: the agent on the node, not the log. */
static bool agent_knows_better(enum field_id id)
{
	switch (id) {
	case FIELD_K8S_POD_NAME:
	case FIELD_K8S_NAMESPACE:
	case FIELD_K8S_NODE_NAME:
	case FIELD_CONTAINER_ID:
	case FIELD_CONTAINER_NAME:
	case FIELD_CONTAINER_IMAGE:
		return true;
	default:
		return false;
	}
}

/* Where the chain of a name begins: its newest value + 1, 0 when there is none. */
static uint32_t *chain_of(struct draft *draft, const struct draft_name *name)
{
	if (name->id != FIELD_OTHER)
		return &draft->heads[name->id];
	size_t at = name->hash & (DRAFT_SLOTS - 1);
	while (draft->slots[at].round == draft->round) {
		uint32_t newest = draft->slots[at].newest;
		/* A chain that lost all its values keeps its slot: any field of it names it. */
		if (newest != 0 && draft->fields[newest - 1].hash == name->hash &&
		    text_equal(draft->fields[newest - 1].field.name, name->name))
			return &draft->slots[at].newest;
		at = (at + 1) & (DRAFT_SLOTS - 1);
	}
	draft->slots[at] = (struct draft_slot){draft->round, 0};
	return &draft->slots[at].newest;
}

static bool value_equal(const struct value *a, const struct value *b)
{
	return a->type == b->type && text_equal(a->text, b->text);
}

/* `value` takes the place of all that the name had. */
static void chain_kill(struct draft *draft, uint32_t newest, const struct value *value)
{
	for (; newest != 0; newest = draft->fields[newest - 1].older) {
		struct draft_field *old = &draft->fields[newest - 1];
		draft->lost = draft->lost || (!old->dead && !value_equal(&old->field.value, value));
		old->dead = true;
	}
}

/* A protected field given again: what is equal is said once, what differs is all kept. */
static void settle_protected(struct draft *draft, uint32_t newest, const struct value *value)
{
	bool differs = false;
	for (; newest != 0; newest = draft->fields[newest - 1].older) {
		struct draft_field *old = &draft->fields[newest - 1];
		if (old->dead)
			continue;
		if (value_equal(&old->field.value, value))
			old->dead = true;
		else
			differs = true;
	}
	if (differs)
		draft->quality |= QUALITY_DUPLICATE;
}

bool draft_full(struct draft *draft)
{
	if (draft->count < DRAFT_FIELDS_MAX)
		return false;
	draft->quality |= QUALITY_FIELDS;
	draft->lost = true;
	return true;
}

/* The older value stays, and this one is nowhere. */
static struct draft_field *lose(struct draft *draft, const struct draft_field *older,
				const struct value *value)
{
	draft->lost = draft->lost || !value_equal(&older->field.value, value);
	return NULL;
}

/* A value for a name that had one before. */
static struct draft_field *put_again(struct draft *draft, uint32_t *chain,
				     const struct draft_name *name, const struct value *value)
{
	const struct draft_field *old = &draft->fields[*chain - 1];
	if (old->dead)
		return draft_append(draft, chain, name, value);
	bool member = name->array != 0 && old->array == name->array && old->agent == name->agent;
	if (member)
		return draft_append(draft, chain, name, value);
	if (name->agent && !old->agent && !agent_knows_better(name->id))
		return lose(draft, old, value);
	if (is_protected(name->id)) {
		settle_protected(draft, *chain, value);
		return draft_append(draft, chain, name, value);
	}
	bool same_spelling = text_equal(old->source, name->source);
	if (draft->keep_spellings && !same_spelling)
		return draft_append(draft, chain, name, value);
	if (same_spelling && name->nested && !old->nested)
		return lose(draft, old, value);
	chain_kill(draft, *chain, value);
	struct draft_field *field = draft_append(draft, chain, name, value);
	field->older = 0; /* the dead need not be walked again: a thousand duplicates stay cheap */
	return field;
}

struct draft_field *draft_put(struct draft *draft, const struct draft_name *name,
			      const struct value *value)
{
	if (draft_full(draft))
		return NULL;
	uint32_t *chain = chain_of(draft, name);
	return *chain == 0 ? draft_append(draft, chain, name, value)
			   : put_again(draft, chain, name, value);
}

struct draft_field *draft_find(struct draft *draft, const struct draft_name *name)
{
	return draft_alive(draft, *chain_of(draft, name));
}

uint32_t *draft_search_vacancy(struct draft *draft, const struct draft_name *name)
{
	uint32_t *chain = chain_of(draft, name);
	return draft_alive(draft, *chain) == NULL ? chain : NULL;
}

void draft_replace(struct draft *draft, const struct draft_name *name, const struct value *value)
{
	if (draft_full(draft))
		return;
	uint32_t *chain = chain_of(draft, name);
	chain_kill(draft, *chain, value);
	(void)draft_append(draft, chain, name, value);
}

void draft_fill(struct draft *draft, enum field_id id, const struct value *value)
{
	const struct draft_name name = {.name = schema_info(id)->name, .id = id};
	if (draft_get(draft, id) == NULL)
		draft_replace(draft, &name, value);
}

void draft_remove(struct draft *draft, struct draft_field *field)
{
	assert(field >= draft->fields && field < draft->fields + draft->count);
	field->dead = true;
}

/* How many fields that are not protected may stay, so that all protected ones do. */
static size_t plain_room(const struct draft *draft)
{
	size_t protected_count = 0;
	for (uint32_t i = 0; i < draft->count; i++)
		protected_count +=
			!draft->fields[i].dead && is_protected(draft->fields[i].field.id);
	return protected_count >= EVENT_LOGGED_MAX ? 0 : EVENT_LOGGED_MAX - protected_count;
}

/* All that are alive, of at most EVENT_LOGGED_MAX. A dead one is copied too, and then written over:
 * that costs less than asking first. */
static size_t keep_all(struct draft *draft, struct field *fields)
{
	size_t count = 0;
	for (uint32_t i = 0; i < draft->count; i++) {
		draft->kept[count] = i;
		fields[count] = draft->fields[i].field;
		count += !draft->fields[i].dead;
	}
	return count;
}

/* The protected ones that are alive, and of the others the first that there is room for. */
static size_t keep_some(struct draft *draft, struct field *fields)
{
	size_t room = plain_room(draft);
	size_t count = 0;
	for (uint32_t i = 0; i < draft->count; i++) {
		const struct draft_field *field = &draft->fields[i];
		if (field->dead)
			continue;
		bool plain = !is_protected(field->field.id);
		if (count == EVENT_LOGGED_MAX || (plain && room == 0)) {
			draft->quality |= QUALITY_FIELDS;
			draft->lost = true;
			continue;
		}
		room -= plain;
		draft->kept[count] = i;
		fields[count++] = field->field;
	}
	return count;
}

enum status draft_finish(struct draft *draft, struct arena *arena, struct event *event)
{
	bool fits = draft->count <= EVENT_LOGGED_MAX;
	size_t capacity = (fits ? draft->count : (size_t)EVENT_LOGGED_MAX) + OWN_ROOM;
	struct field *fields = arena_room(arena, capacity * sizeof *fields);
	if (fields == NULL)
		return ENOMEMORY;
	event->fields = fields;
	event->field_count = fits ? keep_all(draft, fields) : keep_some(draft, fields);
	event->field_capacity = capacity;
	return OK;
}
