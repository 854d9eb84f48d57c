/* daemon - `picket run`: store, rules, runtime and API brought up in order, and down again.
 *
 * Why: the only place that wires all parts for a long life. What can fail at the start fails with
 * the next step in words, before anything is read; what fails later is logged, shown in status and
 * in the gate, and never silently skipped.
 *
 * Invariant: parts are freed in the opposite order of their making; nothing outlives what it was
 * lent. Owner: daemon_new()'s caller. Thread: the main one. Limits: none of its own. */
#ifndef PICKET_CLI_DAEMON_H
#define PICKET_CLI_DAEMON_H

#include "cli/config.h"
#include "cli/log.h"

struct daemon;

enum status daemon_new(const struct config *config, struct log *log, struct daemon **ret_daemon,
		       struct error *err);

enum daemon_state { DAEMON_RUNNING, DAEMON_FINISHED, DAEMON_FAILED };
/* Once a second: logs what has changed. */
enum daemon_state daemon_tick(struct daemon *daemon);

/* SIGHUP: the rules are read again (reloader.h). */
void daemon_reload(struct daemon *daemon);

/* Finishes the epoch, commits, joins, closes. */
void daemon_free(struct daemon **daemon);

#endif
