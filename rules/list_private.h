/* list (private) - the lists of values that `expand` fills into rules, read from text files.
 *
 * Why: which accounts are administrators and which hosts may be jumped from is known to each site,
 * not to the author of a rule; the standard writes %Administrators% and leaves the values to us.
 *
 * A file is UTF-8 text, one value a line; blanks at both ends of a line, empty lines and lines that
 * begin with '#' do not count (`\#` begins a value with '#'). A value is a Sigma string: * and ?
 * are wildcards, a backslash escapes them. The list is called like the file without `.txt`, or as
 * NAME in `NAME=FILE`.
 *
 * Invariant: a list has at least one value, and no two lists have one name.
 * Owner: the rule set's arena. Thread: one. Limits: LISTS_MAX, LIST_VALUES_MAX,
 * LIST_VALUE_BYTES_MAX, EXPANSIONS_MAX spellings of one value in a rule. */
#ifndef PICKET_RULES_LIST_PRIVATE_H
#define PICKET_RULES_LIST_PRIVATE_H

#include "rules/arena.h"
#include "rules/error.h"

enum {
	LISTS_MAX = 1024,
	LIST_VALUES_MAX = 262144,
	LIST_VALUE_BYTES_MAX = 4096,
	EXPANSIONS_MAX = 262144,
};

struct rule_text; /* ruleset.h */

struct value_list {
	struct text name;
	struct text *values;
	size_t count;
	const char *file;
};

struct value_lists {
	struct value_list *items;
	size_t count, capacity;
};

/* Reads what `source` names: NAME=FILE, a file, or a folder with *.txt files. */
enum status lists_read(struct value_lists *lists, const char *source, struct arena *arena,
		       struct error *err);

/* The same from a text in memory; positions name the list. */
enum status lists_add(struct value_lists *lists, const struct rule_text *text, struct arena *arena,
		      struct error *err);

/* NULL when there is none of this name. */
const struct value_list *lists_find(const struct value_lists *lists, struct text name);

#endif
