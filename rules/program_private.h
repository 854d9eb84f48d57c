/* program - every detection of a rule set, compiled: the fields they read, their predicates, and
 * the index that finds the few rules an event can match.
 *
 * Why: evaluating thousands of rules one by one costs thousands of comparisons per event. Each rule
 * names a *witness*: predicates of which at least one holds whenever the rule matches. Only rules
 * whose log source fits and whose witness showed up are evaluated. Rules without a witness (pure
 * negations) are evaluated always.
 *
 * Invariant: immutable once program_new() has returned; the rule matches only if its witness shows
 * (fuzzed against plain evaluation). Owner: whoever called program_new(); the predicates and
 * expressions of its input are borrowed and must outlive it. Thread: any.
 * Limits: EXPR_DEPTH_MAX levels of and/or/not. */
#ifndef PICKET_RULES_PROGRAM_PRIVATE_H
#define PICKET_RULES_PROGRAM_PRIVATE_H

#include "rules/check_private.h"

enum {
	EXPR_DEPTH_MAX = 256,
	SLOT_LIST_MAX = 3, /* so few patterns in a field are cheaper one by one than by scanner */
};

/* A list cut out of one shared array. */
struct list {
	const uint32_t *items;
	size_t count;
};

/* Open addressing; a key may stand several times (cased and caseless values of one text). */
struct table {
	struct table_entry {
		uint64_t hash;
		uint32_t item; /* ITEM_NONE: empty */
	} * entries;
	size_t mask;
};
#define ITEM_NONE UINT32_MAX

enum status table_new(size_t count, struct arena *arena, struct table *ret_table);
void table_put(struct table *table, uint64_t hash, uint32_t item);

/* A field that rules read (or SLOT_ANY), and what is looked for in its values. */
struct slot {
	struct text name;
	struct table exact;            /* by hash of the folded value: checks */
	struct table numbers;          /* by number_hash(): checks */
	const struct scanner *scanner; /* of INDEX_SCAN and INDEX_REGEX checks, or NULL */
	struct list few;               /* INDEX_SCAN checks that are tried one by one instead */
	struct list rules;             /* detections whose witness is that the field is there */
};

/* The detections of one log source; attribute size 0 = any. */
struct route {
	struct logsource logsource; /* folded */
	bool has_keywords;
};

struct witness {
	struct list checks; /* any of these, */
	struct list slots;  /* or any of these fields being there */
	bool always;        /* no witness: always evaluated */
	double score;       /* higher: more selective */
};

struct program {
	struct arena *arena;
	struct program_input input;
	struct check *checks;
	size_t check_count;
	struct slot *slots;
	size_t slot_count;
	uint32_t slot_of_field[FIELD_COUNT];
	struct table slot_names;
	struct list *rules_of_check; /* by check: detections it is the witness of */
	uint32_t *route_of;          /* by detection */
	struct route *routes;
	size_t route_count;
	struct witness *witnesses; /* by detection */
	struct list always;        /* detections without a witness */
	uint32_t rule_index_max;   /* greatest rule_index of a detection */
	const struct expr **exprs; /* by detection: its condition, made ready by tree.c */
	size_t group_count;
	struct list *groups_of_check; /* by check: the groups that one hit decides */
};

/* The slot of a field of an event, or SLOT_NONE. */
uint32_t program_slot(const struct program *program, const struct field *field);

/* index.c: fills tables, scanners and lists of all slots. ENOMEMORY. */
enum status index_build(struct program *program);

/* tree.c: program->exprs. A predicate number g + check_count stands for group g. ENOMEMORY. */
enum status tree_build(struct program *program);

/* witness.c: chooses program->witnesses, then files every detection under its own. ENOMEMORY. */
enum status witness_build(struct program *program);

/* match.c: the matcher of a program; matcher_new() is this with the ruleset's program. */
struct matcher;
enum status matcher_of_program(const struct program *program, struct matcher **ret_matcher);

#endif
