/* reloader - rules, bindings and the privacy key read again from their files while the daemon runs.
 *
 * Why: a rule that is written at noon must not cost a restart, nor must a key that leaked. SIGHUP
 * and POST /v1/rules/reload do the same thing, and what a bad file says must be seen by whoever
 * asked, in the log and in status.
 *
 * Rule files, lists, pipelines, provenance.bindings and privacy.key_file are read again, from the
 * paths that the configuration had at the start; every other setting needs a restart.
 *
 * Invariant: all that was live stays live unless everything new loaded (rules that are refused may
 * be skipped: rules.on_refused). Owner: the daemon. Thread: any; one reload at a time. */
#ifndef PICKET_CLI_RELOADER_H
#define PICKET_CLI_RELOADER_H

#include <pthread.h>

#include "cli/log.h"
#include "cli/wiring.h"

struct reloader {
	const struct wiring *wiring;
	struct runtime *runtime;
	struct store *store; /* of the runtime, for the shadows of rules (rule_shadow.h) */
	struct log *log;
	pthread_mutex_t reloading; /* one at a time */
	pthread_mutex_t mutex;     /* of what follows */
	uint64_t succeeded, failed;
	int64_t live_since_us; /* clock of the start, or of the last reload that succeeded */
	int64_t failed_us;     /* clock of the last that failed; 0: the last one succeeded */
	struct error problem;  /* of that one */
};

void reloader_init(struct reloader *reloader, const struct wiring *wiring, struct runtime *runtime,
		   struct store *store, struct log *log);
void reloader_done(struct reloader *reloader);

struct reloaded {
	size_t rules, skipped;
	uint64_t hash;
	uint64_t hash_before;
	size_t bindings;
	char privacy_key[PRIVACY_KEY_NAME_MAX];
	uint64_t epoch; /* the first one with all this */
};
enum status reloader_run(struct reloader *reloader, struct reloaded *ret_reloaded,
			 struct error *err);

/* How it went so far. */
struct reload_report {
	uint64_t succeeded, failed;
	int64_t live_since_us, failed_us;
	struct error problem;
};
struct reload_report reloader_report(struct reloader *reloader);

/* Logs the rules that were skipped, and tells how many. */
size_t log_skipped_rules(struct log *log, const struct ruleset *ruleset);

#endif
