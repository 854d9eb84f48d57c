/* coverage_json - which rules can fire, as members of a picket.coverage/1 object.
 *
 * Why: `rules coverage` over files and the daemon over its store must answer alike.
 * Invariant: one entry for each detection, unless only those that cannot fire are asked for.
 * Owner: the caller's writer. Thread: one. Limits: COVERAGE_ARENA_MAX bytes for one rule. */
#ifndef PICKET_CLI_COVERAGE_JSON_H
#define PICKET_CLI_COVERAGE_JSON_H

#include "cli/json_writer.h"
#include "rules/coverage.h"

enum { COVERAGE_ARENA_MAX = 1 << 29 };

struct coverage_counts {
	size_t able, unable, idle; /* idle: no event of their log source */
};

/* Writes "rules", "able", "unable" and "idle" into the open object. */
enum status coverage_json(const struct ruleset *ruleset, const struct coverage *coverage,
			  bool only_unable, struct json_writer *json,
			  struct coverage_counts *counts);

#endif
