/* plan - which rules keep state, and how an event that matched becomes match records.
 *
 * Why: a plain detection, an event_count and every other type are the same kind of thing to the
 * runtime: a unit with a grouping, a window and a condition. A plain detection is the unit
 * "at least 1 event, grouped by its dedup key, within its quiet time".
 *
 * State identity: state_id = 64-bit hash of (the rule's key, type, referenced rules' keys and what
 * they find, group-by, window, aggregation, tenant scope, how it is judged, steps), without
 * threshold, level, text or filters: editing those keeps the state (state_id.c). So a cell is
 * only ever read as what it was written. The rule's own key is in it because two rules may differ
 * in the threshold alone.
 *
 * Invariant: units are ordered by depth; a unit's parents have a larger depth.
 * Owner: plan_free(); the ruleset is lent and must outlive the plan. Thread: immutable, any.
 * Limits: one unit per rule that alerts, one per correlation, two per first_seen with peers;
 * PLAN_AT_LEAST_MAX as threshold of events, VALUES_AT_LEAST_MAX of values, 64 rules in a temporal
 * one (threshold.c); PLAN_GROUPS_MAX groups per unit and event, group values as in record.h (more,
 * or longer: cut and counted; a value that was cut ends in a digest of the whole, so that two stay
 * two). */
#ifndef PICKET_CORRELATE_PLAN_H
#define PICKET_CORRELATE_PLAN_H

#include "correlate/record.h"

enum {
	PLAN_AT_LEAST_MAX = 1000000, /* a group remembers up to twice this many event times */
	PLAN_GROUPS_MAX = 16,
	VALUES_AT_LEAST_MAX = 1000000000,
};

/* How a unit's events become alerts. */
enum unit_judged {
	JUDGED_COUNT,   /* eager: window.h */
	JUDGED_TRAIL,   /* eager: trail.h */
	JUDGED_SLIDING, /* gated, from here on: gated.h */
	JUDGED_ALIGNED,
	JUDGED_NAMES,
	JUDGED_SEQUENCE,
	JUDGED_TRAVEL,
	JUDGED_FIRST_SEEN,
	JUDGED_ABSENCE,
	JUDGED_BASELINE,
	JUDGED_RISK,
	/* Behind those above, whose numbers are part of state ids. */
	JUDGED_SKETCH, /* eager: panes.h */
	JUDGED_PEERS,  /* of a first_seen: what its groups have shown, for peers.h */
};

/* A rule that adds to a risk, as the risk's cells know it. */
struct risk_source {
	uint64_t hash; /* of the rule's key, under the plan's */
	const struct rule *rule;
};

struct unit {
	uint64_t state_id;
	const struct rule *rule;
	enum correlation_type type; /* EVENT_COUNT for plain detections */
	enum unit_judged judged;
	int64_t timespan_us;
	int64_t quiet_us;  /* contributing events further apart are two episodes */
	int64_t delay_us;  /* how long after an event it may still begin to contribute by itself */
	uint64_t at_least; /* the smallest count of events, values, rules that fires; value_sum:
			      millionths; gated: 1 */
	uint8_t precision; /* JUDGED_SKETCH: of its sketches (cardinality.h) */
	bool gated;        /* fires only when the watermark has passed */
	unsigned depth;    /* 0: plain detection, else correlation depth */
	const struct group_field *group_by;
	size_t group_by_count;
	const uint32_t *parents; /* units that take this unit's firings as events */
	size_t parent_count;
	bool alerts;
	const struct risk_source *sources; /* JUDGED_RISK: one for each of the rule's references */
	struct text subject; /* what it counts, in words: the titles of the rules it refers to */
};

/* Whether its values are names that are equal or not, as hashes, and no amounts. */
bool unit_takes_names(const struct unit *unit);
/* What the alert shows as the threshold: a whole number, whatever the condition says in full. */
uint64_t unit_threshold(const struct unit *unit);

struct plan;

/* EINVALID with file:line:column for a correlation this build cannot evaluate exactly. */
enum status plan_new(const struct ruleset *ruleset, const struct hash_key *key,
		     struct plan **ret_plan, struct error *err);
void plan_free(struct plan **plan);
size_t plan_unit_count(const struct plan *plan);
const struct unit *plan_unit(const struct plan *plan, size_t index);
/* The rule's own unit, not that of its peers; NULL for a rule that keeps no state. */
const struct unit *plan_unit_of(const struct plan *plan, const struct rule *rule);
/* NULL when no unit has it: the rule was removed or its shape changed. */
const struct unit *plan_find(const struct plan *plan, uint64_t state_id);
const struct hash_key *plan_hash_key(const struct plan *plan);
/* Rounds of exchange between actors that an epoch needs: the longest chain. 0 without chains. */
unsigned plan_rounds(const struct plan *plan);

/* Some units, by their state. */
struct unit_filter {
	const uint64_t *ids; /* ascending */
	size_t count;
	bool except; /* all but those */
};
bool unit_filter_takes(const struct unit_filter *filter, uint64_t state_id);

/* No rule is warmed with more of the past. */
static const int64_t HISTORY_MAX_US = INT64_C(30) * 86400 * 1000000;

/* history.c: what the units that `cold` takes must read to be as if they had always been there: how
 * far back the events of each unit matter (spans_us, one per unit; 0: not at all), and the most of
 * it. */
int64_t plan_history(const struct plan *plan, const struct unit_filter *cold, int64_t *spans_us);

struct route_counters {
	uint64_t records;
	uint64_t group_field_missing; /* an event without a group-by field does not correlate */
	uint64_t group_values_cut;
};

/* The match records of one event that matched `rules`, into the sink. Pure. */
enum status plan_route(const struct plan *plan, const struct event *event, const uint32_t *rules,
		       size_t rule_count, uint8_t flags, const struct record_sink *sink,
		       struct route_counters *counters);

/* Who was told of since the last flush, second by second; all zero at first. */
enum { HEARD_SLOTS = 512 };
struct hearing {
	uint64_t slots[HEARD_SLOTS]; /* one told twice is told in vain, and does no harm */
	uint64_t records;            /* ever */
};
/* For absence rules whose members are whoever was seen: the event, whatever rules it matched, shows
 * that its groups are there, up to the end of its second. Nothing for other plans. */
enum status plan_hear(const struct plan *plan, const struct event *event, uint8_t flags,
		      struct hearing *hearing, const struct record_sink *sink);

#endif
