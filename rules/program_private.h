/* program - every detection of a rule set, compiled: the fields they read, their predicates, and
 * the index that finds the few rules an event can match.
 *
 * Why: evaluating thousands of rules one by one costs thousands of comparisons per event. Each rule
 * names a *witness*: predicates of which at least one holds whenever the rule matches. Only rules
 * whose log source fits and whose witness showed up are evaluated. Rules without a witness (pure
 * negations) are evaluated always. Rules that are copies of each other (the same detection for
 * another team, a renamed import) are one *class*: what one of them costs, all of them cost.
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
	struct list classes;           /* whose witness is that the field is there */
	uint64_t exact_sizes; /* bit n: exact has a text of n bytes; the last bit: longer */
};

static inline uint64_t slot_size_bit(size_t size)
{
	return (uint64_t)1 << (size < 63 ? size : 63);
}

/* The detections of one log source; attribute size 0 = any. */
struct route {
	struct logsource logsource; /* folded */
	uint64_t *reads;            /* a bit for each slot that its detections look into */
};

/* A condition made ready (tree.c) is a row of steps, parents before their children. */
struct step {
	uint32_t what; /* enum expr_kind << STEP_KIND_SHIFT | predicate, or how many of "n of" */
	uint32_t size; /* in steps, with all that is below it: behind them stands its sibling */
};
enum { STEP_KIND_SHIFT = 29 };
#define STEP_OPERAND_MAX ((1u << STEP_KIND_SHIFT) - 1)

/* Detections that ask the same of the same log source: filed, evaluated and counted as one. */
struct class
{
	const struct step *steps;
	uint32_t route;
	uint32_t detection; /* the first of them */
	struct list rules;  /* rule indices */
};

/* What a hit of the scanner says. All but the first and the last two are about texts of ASCII only:
 * in them the place of a hit in the normal form is its place in the text. */
enum hit_meaning {
	HIT_PROVES,   /* the predicate holds */
	HIT_ANYWHERE, /* it holds, but for the dashes */
	HIT_AT_START, /* ... if it is at the start */
	HIT_AT_END,   /* ... if it is at the end */
	HIT_IS_ALL,   /* ... if there is nothing else */
	HIT_SUGGESTS, /* the glob has to be matched */
	HIT_ALLOWS,   /* the regular expression may hold */
};

/* What is done when the index has found a check to hold. */
struct consequence {
	struct list groups;  /* groups that it decides */
	struct list classes; /* classes that it is the witness of */
	uint32_t size;       /* of the literal that is looked for */
	uint8_t meaning;     /* enum hit_meaning */
	bool has_dash;       /* the literal has to be compared: its normal form stands for others */
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
	struct consequence *consequences; /* by check */
	uint32_t *route_of;               /* by detection */
	struct route *routes;
	size_t route_count;
	uint32_t *class_of; /* by detection */
	struct class *classes;
	size_t class_count;
	struct witness *witnesses; /* by class */
	struct list always;        /* classes without a witness */
	uint32_t rule_index_max;   /* greatest rule_index of a detection */
	size_t group_count;
};

/* The number of 64-bit words that hold a bit for each slot. */
static inline size_t program_slot_words(const struct program *program)
{
	return program->slot_count / 64 + 1;
}

/* The slot of a field of an event, or SLOT_NONE. */
uint32_t program_slot(const struct program *program, const struct field *field);

/* index.c: fills tables, scanners and lists of all slots. ENOMEMORY. */
enum status index_build(struct program *program);

/* tree.c: program->classes. A predicate number g + check_count stands for group g. ENOMEMORY. */
enum status tree_build(struct program *program);

/* witness.c: chooses program->witnesses, then files every class under its own. ENOMEMORY. */
enum status witness_build(struct program *program);

/* match.c: the matcher of a program; matcher_new() is this with the ruleset's program. */
struct matcher;
enum status matcher_of_program(const struct program *program, struct matcher **ret_matcher);

#endif
