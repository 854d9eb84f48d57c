/* reading - an event as rules read it: its values found by slot, each made ready at most once.
 *
 * Why: a value is needed as canonical text, as valid UTF-8 and folded, by thousands of predicates;
 * it is converted once, and only when somebody asks. A slot is a field name that some rule reads.
 *
 * Invariant: views[i] belongs to event->fields[i]; the views of one slot are chained in payload
 * order. Owner: the matcher. Thread: one. Limits: those of the event; the arena is reset by
 * reading_open(), so texts are valid until the next event. */
#ifndef PICKET_RULES_READING_PRIVATE_H
#define PICKET_RULES_READING_PRIVATE_H

#include "rules/event.h"
#include "rules/linear.h"
#include "rules/scanner.h"

struct program;

enum { SLOT_ANY = 0 };       /* keywords: every value of the event */
#define SLOT_NONE UINT32_MAX /* a field that no rule reads */
#define VIEW_NONE UINT32_MAX

struct view {
	const struct value *value;
	struct text text;   /* canonical, valid UTF-8; see view_text() */
	struct text folded; /* see view_folded() */
	struct text normal; /* see view_normal() */
	uint32_t slot;
	uint32_t next; /* the next view of the same slot, or VIEW_NONE */
	bool has_text;
	bool has_folded;
	bool has_normal;
	bool is_ascii; /* known with text */
};

struct reading {
	const struct program *program;
	const struct event *event;
	struct arena *arena;
	struct view *views; /* EVENT_FIELDS_MAX of them */
	uint32_t *first;    /* by slot: its first view, or VIEW_NONE */
	uint32_t *last;     /* by slot, where first is set */
	uint32_t *slots;    /* the slots of this event, each once */
	size_t slot_count;
	struct regex_scratch *regex_scratch;
	struct linear **linears; /* by predicate: linear expressions that were asked for */
	struct hs_scratch *linear_scratch;
	enum status status; /* sticky: ENOMEMORY, or a library that failed */
};

enum status reading_new(const struct program *program, struct reading *ret_reading);
void reading_done(struct reading *reading);
void reading_open(struct reading *reading, const struct event *event);

/* Null and empty values have no members: nothing to compare with. */
static inline bool view_is_member(const struct view *view)
{
	return view->value->type != VALUE_NULL && view->value->type != VALUE_EMPTY;
}

/* Whether keywords are looked for in field i: in what the log says, not in what picket says of it.
 */
static inline bool view_is_searched(const struct reading *reading, size_t i)
{
	return view_is_member(&reading->views[i]) && reading->event->fields[i].id != FIELD_QUALITY;
}

/* The canonical text of a member; "" and a failed reading when out of memory. */
struct text view_text(struct reading *reading, struct view *view);
struct text view_folded(struct reading *reading, struct view *view);
struct text view_normal(struct reading *reading, struct view *view); /* for scanner_scan() */

#endif
