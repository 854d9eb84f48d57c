/* draft - an event in the making: its fields while duplicates are settled and names are mapped.
 *
 * Why: "last wins", "every value of a protected field", "an envelope only fills gaps" and "a limit
 * hides no protected field" are decisions about a name, so all values of one name are chained here
 * before the event gets its final list.
 *
 * Invariant: a field that is alive is in exactly one chain, the one of its name; heads[] and
 * slots[] point to the newest of it. Owner: a decoder, one record at a time. Thread: one. Limits:
 * DRAFT_FIELDS_MAX holds two full json_walk() lists and what the rows of a format add. */
#ifndef PICKET_INGEST_DRAFT_PRIVATE_H
#define PICKET_INGEST_DRAFT_PRIVATE_H

#include "ingest/json.h"
#include "rules/event.h"

enum {
	DRAFT_FIELDS_MAX = 4 * JSON_ITEMS_MAX + 2048,
	DRAFT_SLOTS = 16384, /* a power of two, well above DRAFT_FIELDS_MAX */
};

struct row;

struct draft_field {
	struct field field;
	struct text source; /* the name as the log wrote it */
	uint64_t hash;      /* of field.name */
	uint32_t array;     /* json_item.array, 0 = none */
	uint32_t older;     /* the next older value of the same name, + 1; 0 = none */
	bool dead;
	bool nested;          /* the log wrote a path of several keys */
	bool agent;           /* from a node agent's envelope, not from the record */
	const struct row *by; /* of a mapping, or NULL: the record says so itself */
};

struct draft_slot {
	uint32_t round; /* only slots of the current round count: nothing has to be cleared */
	uint32_t newest;
};

struct draft {
	struct draft_field fields[DRAFT_FIELDS_MAX];
	struct draft_slot slots[DRAFT_SLOTS];
	uint32_t heads[FIELD_COUNT];     /* newest value of a field of the table, + 1; 0 = none */
	uint32_t kept[EVENT_FIELDS_MAX]; /* of draft_finish(): by field of the event, which of
					    `fields` */
	uint32_t round;
	uint32_t count;
	uint32_t quality;
	bool lost;           /* the record said something that is in no field */
	bool keep_spellings; /* two spellings of one plain field are two values (INPUT_RAW) */
};

/* Which name, already canonical, and where it came from. */
struct draft_name {
	struct text name, source;
	uint64_t hash;
	enum field_id id;
	uint32_t array;
	bool nested;
	bool agent;
	const struct row *by;
};

void draft_begin(struct draft *draft);
/* Settles a value against those of its name: the last one wins, but a dotted key of the record
 * hides the nested path of that name (rules/RULES.md, D10). The answer is its field, or NULL when
 * it lost. */
struct draft_field *draft_put(struct draft *draft, const struct draft_name *name,
			      const struct value *value);
/* Adds a field of the table unless it has a value. */
void draft_fill(struct draft *draft, enum field_id id, const struct value *value);
/* The newest value that is alive in the chain that begins with field number `newest` - 1. */
static inline struct draft_field *draft_alive(struct draft *draft, uint32_t newest)
{
	for (; newest != 0; newest = draft->fields[newest - 1].older)
		if (!draft->fields[newest - 1].dead)
			return &draft->fields[newest - 1];
	return NULL;
}
/* The newest value of a field of the table, or NULL. */
static inline struct draft_field *draft_get(struct draft *draft, enum field_id id)
{
	return draft_alive(draft, draft->heads[id]);
}
/* Adds a value instead of those that the name has. */
void draft_replace(struct draft *draft, const struct draft_name *name, const struct value *value);
/* The newest value of a name, or NULL. */
struct draft_field *draft_find(struct draft *draft, const struct draft_name *name);
/* Where a value for a name that has none would go, until the next one is put; NULL: it has one. */
uint32_t *draft_search_vacancy(struct draft *draft, const struct draft_name *name);
static inline uint32_t *draft_vacancy(struct draft *draft, const struct draft_name *name)
{
	bool never = name->id != FIELD_OTHER && draft->heads[name->id] == 0;
	return never ? &draft->heads[name->id] : draft_search_vacancy(draft, name);
}
/* The lists of json_walk() always fit; what a mapping adds beyond the limit is left out. */
bool draft_full(struct draft *draft);
/* Member by member: an initialiser would clear all of it first, which costs as much again. */
static inline struct draft_field *draft_append(struct draft *draft, uint32_t *chain,
					       const struct draft_name *name,
					       const struct value *value)
{
	struct draft_field *field = &draft->fields[draft->count++];
	field->field.name = name->name;
	field->field.id = name->id;
	field->field.value = *value;
	field->source = name->source;
	field->hash = name->hash;
	field->array = name->array;
	field->older = *chain;
	field->dead = false;
	field->nested = name->nested;
	field->agent = name->agent;
	field->by = name->by;
	*chain = draft->count;
	return field;
}
static inline void draft_put_new(struct draft *draft, uint32_t *vacancy,
				 const struct draft_name *name, const struct value *value)
{
	if (draft->count < DRAFT_FIELDS_MAX || !draft_full(draft))
		(void)draft_append(draft, vacancy, name, value);
}
void draft_remove(struct draft *draft, struct draft_field *field);
/* The final list: at most EVENT_LOGGED_MAX, protected fields before all others when it is full. */
enum status draft_finish(struct draft *draft, struct arena *arena, struct event *event);

#endif
