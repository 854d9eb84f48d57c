/* dispatch - from the words of the command line to the command that runs.
 *
 * Why: separate from main() so that the tests can ask what a line of words does.
 * Invariant: the answer is an exit code; an unknown word names the nearest known one.
 * Owner: the caller's session. Thread: the main one. Limits: those of arguments.h. */
#ifndef PICKET_CLI_DISPATCH_H
#define PICKET_CLI_DISPATCH_H

#include "cli/command.h"

/* words: behind the program's name. */
int dispatch(struct session *session, const char *const *words, size_t count);

/* All commands, in the order of the help page. */
const struct command *const *command_list(size_t *ret_count);

#endif
