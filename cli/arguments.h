/* arguments - the words behind `picket VERB`, taken apart by a table of options.
 *
 * Why: a mistyped option must be an error that names the nearest one, never be taken for something
 * else; so options are not abbreviated, and every one comes from a table that also prints the help.
 * `--name value`, `--name=value`, `-n value`, `-nvalue`; `--` ends the options; a lone `-` is a
 * word (standard input).
 *
 * Invariant: every value belongs to an option of the table; words keep their order.
 * Owner: the caller's struct; the texts are those of argv. Thread: one.
 * Limits: ARGUMENTS_MAX values and words each. */
#ifndef PICKET_CLI_ARGUMENTS_H
#define PICKET_CLI_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "rules/bytes.h"

enum { ARGUMENTS_MAX = 4096 };

struct option {
	const char *name;        /* long name, without the dashes */
	char letter;             /* short name, or 0 */
	const char *placeholder; /* "FILE"; NULL: a flag without a value */
	const char *doc;
};

/* Several tables may be joined: tables ends with NULL, each table with a nameless option. */
struct option_tables {
	const struct option *const *tables;
};

struct argument {
	const struct option *option;
	const char *value; /* "" for a flag */
};

struct arguments {
	struct argument *options;
	size_t option_count;
	const char **words;
	size_t word_count;
};

enum status arguments_parse(struct option_tables known, const char *const *argv, size_t count,
			    struct arguments *ret_arguments, struct error *err);
void arguments_done(struct arguments *arguments);

/* The last value given, or NULL. */
const char *arguments_get(const struct arguments *arguments, const char *name);
bool arguments_has(const struct arguments *arguments, const char *name);
/* Value number index of an option given several times, or NULL. */
const char *arguments_each(const struct arguments *arguments, const char *name, size_t index);

/* The options as lines of a help page. */
void arguments_help(struct option_tables known, struct bytes *to);

#endif
