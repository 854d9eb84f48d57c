/* ast - what a detection means once every modifier has been worked out: predicates on one field,
 * joined by and, or, not. Written by the parser (parse.c, modifier.c), read by the matcher
 * (program.c, match.c); nothing outside rules/ sees it.
 *
 * Why: the parser knows Sigma's spelling, the matcher knows how to be fast; this is all they share.
 * Equal predicates are one predicate (interned), so that it is evaluated at most once per event.
 *
 * Invariant: after parsing there are no modifiers, placeholders or escapes left; a list of values
 * is an OR (or AND) of predicates; `neq` is a NOT around them. Owner: the ruleset's arena. */
#ifndef PICKET_RULES_AST_PRIVATE_H
#define PICKET_RULES_AST_PRIVATE_H

#include "rules/ruleset.h"

enum token_kind {
	TOKEN_LITERAL, /* these bytes */
	TOKEN_RUN,     /* '*': any run of bytes, also empty, newlines too */
	TOKEN_ONE,     /* '?': exactly one code point */
	TOKEN_DASH,    /* windash at a word start: - / U+2013 U+2014 U+2015 */
};

struct token {
	enum token_kind kind;
	struct text literal;
};

enum predicate_kind {
	PREDICATE_GLOB,      /* the whole value matches the tokens */
	PREDICATE_REGEX,     /* PCRE subset, unanchored search */
	PREDICATE_NUMBER,    /* compares with a number: JSON numbers and numeric strings */
	PREDICATE_BOOLEAN,   /* JSON true/false, or the text true/false (caseless) */
	PREDICATE_NULL,      /* the field is absent or JSON null */
	PREDICATE_EXISTS,    /* the field is present, be it null or empty */
	PREDICATE_CIDR,      /* the value is an address (or a network) inside */
	PREDICATE_FIELDREF,  /* compares with another field of the same event */
	PREDICATE_TIME_PART, /* minute, hour, ... of a date value, UTC */
	PREDICATE_SINCE,     /* the event is of that time or later, whatever its fields say */
};

enum regex_flags { REGEX_CASELESS = 1, REGEX_MULTILINE = 2, REGEX_DOTALL = 4 };
enum fieldref_mode { FIELDREF_EQUALS, FIELDREF_STARTS, FIELDREF_ENDS, FIELDREF_CONTAINS };
enum time_part { PART_MINUTE, PART_HOUR, PART_DAY, PART_WEEK, PART_MONTH, PART_YEAR };

struct predicate {
	enum predicate_kind kind;
	bool keyword;      /* any value of the whole event instead of one field */
	struct text field; /* canonical name; "" for keywords */
	bool cased;        /* GLOB: byte-exact; otherwise Unicode simple folding */
	union {
		struct {
			const struct token *tokens;
			size_t token_count;
		} glob;
		struct {
			struct text pattern;
			unsigned flags;
		} regex;
		struct {
			enum comparison how;
			double value;
			bool is_integer; /* then `integer` is exact */
			int64_t integer;
		} number;
		bool boolean;
		struct {
			unsigned char address[16]; /* IPv4 as ::ffff:a.b.c.d */
			unsigned prefix_bits;      /* of the 128 */
		} cidr;
		struct {
			struct text other;
			enum fieldref_mode mode;
		} fieldref;
		struct {
			enum time_part part;
			enum comparison how;
			int64_t value;
		} time;
		int64_t since_us;
	};
	struct position at;
};

enum expr_kind { EXPR_PREDICATE, EXPR_AND, EXPR_OR, EXPR_NOT, EXPR_AT_LEAST };

/* What an expression is called in the rule, from the outermost name inwards: the filter, the
 * selection, the field with its modifiers. Only for explanations. */
struct expr_origin {
	struct text name;
	struct position at;
	const struct expr_origin *inner;
};

struct expr {
	enum expr_kind kind;
	uint32_t predicate; /* EXPR_PREDICATE: index */
	const struct expr **children;
	size_t child_count;               /* EXPR_NOT: 1 */
	size_t at_least;                  /* EXPR_AT_LEAST: `2 of sel*` */
	const struct expr_origin *origin; /* NULL: nobody named it */
};

/* One detection rule as the matcher sees it. */
struct detection {
	uint32_t rule_index;
	const struct expr *expr; /* filters already joined in */
	struct logsource logsource;
	struct position at;
};

struct program_input {
	const struct predicate *predicates;
	size_t predicate_count;
	const struct detection *detections;
	size_t detection_count;
	/* Detections from this rule_index on are taps (ruleset.h): counted, never told as matches.
	 * 0: there are none. */
	uint32_t taps_from;
	bool any_logsource;
	bool verbatim_names;
};

/* The compiled index over all rules: immutable, shared. EINVALID with file:line:column for a
 * regular expression that neither engine takes. */
struct program;
enum status program_new(const struct program_input *input, struct program **ret_program,
			struct error *err);
void program_free(struct program **program);

/* The ruleset's program, for matcher_new(). */
const struct program *ruleset_program(const struct ruleset *ruleset);

/* What was chosen as the rule's witness (witness.c), for `rules list`. */
struct text program_witness(const struct program *program, uint32_t rule_index,
			    struct arena *arena);

/* cost.c: of a rule's detection; false when it has none. */
struct rule_cost;
bool program_cost(const struct program *program, uint32_t rule_index, struct rule_cost *ret_cost);

#endif
