/* exit - the numbers picket ends with, in one table (exit.def).
 *
 * Why: pipelines promote deployments on these numbers, so a number must never mean two things and
 * never change. Invariant: every return of a command is one of exit.def, but for `gate`, whose
 * verdicts are their own codes. Owner: constant data. Thread: any. Limits: none. */
#ifndef PICKET_CLI_EXIT_H
#define PICKET_CLI_EXIT_H

#include "rules/error.h"

enum exit_code {
#define EXIT_CODE(id, number, word, text) EXIT_##id = number,
#include "cli/exit.def"
#undef EXIT_CODE
};

/* Which code says that a call ended with this status. */
enum exit_code exit_of_status(enum status status);
/* ... that the daemon answered with this HTTP status. */
enum exit_code exit_of_http(unsigned http_status);
/* The codes as lines of the help page. */
const char *exit_help(void);

#endif
