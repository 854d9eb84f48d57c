/* check - everything a configuration names, opened: `picket check`.
 *
 * Why: a mistake should be found before the daemon is restarted at night, and all mistakes at once.
 * Invariant: nothing is changed (no folder, no store is made); every problem found is in the list.
 * Owner: the caller's arena. Thread: one. Limits: CONFIG_PROBLEMS_MAX problems; a broker is asked
 * for at most CHECK_BROKER_MS. */
#ifndef PICKET_CLI_CHECK_H
#define PICKET_CLI_CHECK_H

#include "cli/config.h"
#include "cli/wiring.h"

enum { CHECK_BROKER_MS = 8000 };

struct check_options {
	const struct config *config;
	struct arena *arena;
	bool ask_broker;
};

/* What was found beside problems, for the last line. */
struct check_totals {
	size_t rules, rule_warnings, topics, partitions;
};

enum status check_config(const struct check_options *options, struct problems *problems,
			 struct check_totals *ret_totals, struct error *err);

/* Topics of the configuration that the broker does not have, and a broker that does not answer. */
enum status check_broker(const struct kafka_options *options, struct problems *problems,
			 struct check_totals *totals, struct error *err);

#endif
