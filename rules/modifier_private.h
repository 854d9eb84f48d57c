/* modifier (private) - `field|modifier|modifier` read and checked: which combination is legal, and
 * what is to be done with the values.
 *
 * Why: the modifiers are a small language with an order and exclusions of its own; once a chain
 * has been read, making predicates of values (value.c) needs no check of it any more.
 *
 * Invariant: a chain that was returned is one of the legal combinations of the table in modifier.c.
 * Owner: plain data; field is kept in the rule set's arena. Thread: one. Limits: none. */
#ifndef PICKET_RULES_MODIFIER_PRIVATE_H
#define PICKET_RULES_MODIFIER_PRIVATE_H

#include "rules/parse_private.h"
#include "rules/pattern_private.h"

enum modifier {
	MODIFIER_ALL = 1 << 0,
	MODIFIER_NEQ = 1 << 1,
	MODIFIER_STARTSWITH = 1 << 2,
	MODIFIER_ENDSWITH = 1 << 3,
	MODIFIER_CONTAINS = 1 << 4,
	MODIFIER_CASED = 1 << 5,
	MODIFIER_WINDASH = 1 << 6,
	MODIFIER_EXPAND = 1 << 7,
	MODIFIER_EXISTS = 1 << 8,
	MODIFIER_FIELDREF = 1 << 9,
	MODIFIER_CIDR = 1 << 10,
	MODIFIER_RE = 1 << 11,
	MODIFIER_RE_CASELESS = 1 << 12,
	MODIFIER_RE_MULTILINE = 1 << 13,
	MODIFIER_RE_DOTALL = 1 << 14,
	MODIFIER_COMPARE = 1 << 15,
	MODIFIER_TIME = 1 << 16,
	MODIFIER_UTF16 = 1 << 17,
	MODIFIER_BASE64 = 1 << 18,
};

struct chain {
	struct text field; /* "" for keywords */
	unsigned seen;     /* set of enum modifier */
	enum comparison how;
	enum time_part part;
	enum encoding encodings[2];
	size_t encoding_count;
	struct position at;
};

enum status chain_parse(struct loader *loader, const struct yaml_node *key, struct chain *ret_chain,
			struct error *err);

/* value.c: one value of the chain's field. in_list: null is not allowed there. */
enum status value_parse(struct loader *loader, const struct chain *chain,
			const struct yaml_node *value, bool in_list, const struct expr **ret_expr,
			struct error *err);

/* placeholder.c: every spelling of a value under `expand`, as Sigma strings or as regular
 * expressions; refuses a placeholder without a list. The arrays live as long as the file's YAML. */
enum status placeholder_patterns(struct loader *loader, const struct yaml_node *value,
				 struct pattern **ret_patterns, size_t *ret_count,
				 struct error *err);
enum status placeholder_texts(struct loader *loader, const struct yaml_node *value,
			      struct text **ret_texts, size_t *ret_count, struct error *err);

/* regex.c: refuses what PCRE2 does not compile ... */
enum status regex_check(const struct yaml_node *value, struct text pattern, unsigned flags,
			struct error *err);
/* ... and warns about what other tools may not know. */
void regex_lint(struct loader *loader, struct position at, struct text pattern);

#endif
