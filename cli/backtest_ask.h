/* backtest_ask - a backtest as a command asks for it: started, watched, and its report.
 *
 * Why: `rules backtest` and `rules tune` ask the same question. Invariant: on EXIT_OK *ret_report
 * is the report of a backtest that is done; otherwise the message is printed. Owner: the caller's
 * report (json_object_put). Thread: one. Limits: those of api_backtest.c. */
#ifndef PICKET_CLI_BACKTEST_ASK_H
#define PICKET_CLI_BACKTEST_ASK_H

#include "cli/command.h"

/* old: size 0 = nothing to compare with. The span is that of --since (7 days without it) and
 * --until, the tenant that of --tenant. */
int backtest_ask(struct session *session, struct client *client, struct text rules, struct text old,
		 struct json_object **ret_report);

#endif
