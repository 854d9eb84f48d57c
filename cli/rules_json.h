/* rules_json - the loaded rules and what loading had to say about them, as JSON.
 *
 * Why: the daemon's /v1/rules and `picket rules list --rules PATH` must show the same thing.
 * Invariant: one object, schema picket.rules/1. Owner: the caller's buffer. Thread: any.
 * Limits: none of its own. */
#ifndef PICKET_CLI_RULES_JSON_H
#define PICKET_CLI_RULES_JSON_H

#include "cli/json_writer.h"
#include "cli/verdicts.h"
#include "ingest/generation.h"

/* What a store knows of rules, each by rule index; NULL = not known. */
struct rules_facts {
	const struct verdicts *verdicts;
	const int64_t *blocks_from_us;    /* of gate: block (rule_shadow.h); INT64_MIN: it does */
	bool live;                        /* a daemon runs them: they have a state */
	const struct generation *warming; /* the set whose new rules are being warmed ... */
	int warmed_percent;               /* ... and how far they are */
};
/* level: only rules of this level, "" = all. */
void rules_json(const struct ruleset *ruleset, struct text level, const struct rules_facts *facts,
		struct json_writer *json);

/* A member "notes": what loading had to say. */
void rule_notes_json(const struct ruleset *ruleset, struct json_writer *json);

/* "rule.yml:12" */
void position_json(const char *key, struct position at, struct json_writer *json);

#endif
