/* rule_loading - rules as commands name them on the command line.
 *
 * Why: `scan`, `rules lint`, `rules test` and `rules list` load the same way and must say the same
 * about what they could not load. Invariant: *ret_ruleset is valid on EXIT_OK, otherwise the
 * message is printed. Owner: the caller's ruleset. Thread: one. Limits: those of ruleset.h. */
#ifndef PICKET_CLI_RULE_LOADING_H
#define PICKET_CLI_RULE_LOADING_H

#include "cli/command.h"
#include "rules/ruleset.h"

/* The rows of --list and -p in the table of a command that loads rules. */
#define OPTIONS_OF_LOADING                                                                   \
	{"list", 0, "NAME=FILE",                                                             \
	 "values for %NAME% under `expand`, one a line; or a folder of NAME.txt"},           \
	{                                                                                    \
		"pipeline", 'p', "FILE",                                                     \
			"pySigma processing pipeline (or a folder of them), may be repeated" \
	}

/* The lists of --list and the pipelines of -p are added to the options. */
int load_rules(struct session *session, const struct ruleset_options *options,
	       struct ruleset **ret_ruleset);

/* Paths of an option given several times, or the words when option is NULL. The array is on the
 * heap, its texts are argv's. */
enum status collect_paths(const struct session *session, const char *option,
			  const char ***ret_paths, size_t *ret_count);

/* Prints what loading had to say; refused and warnings are counted. */
struct note_counts {
	size_t refused, warnings;
};
struct note_counts print_notes(struct session *session, const struct ruleset *ruleset,
			       bool warnings_too);

void rule_loading_done(struct ruleset **ruleset);

#endif
