/* plan_private - what plan.c works out once and route.c and the actor use for every event.
 *
 * Why: routing an event must not search: each rule knows the units it feeds, and under which of
 * their references (an alias names another field per reference).
 *
 * Invariant: feeds of rule r are feeds[feed_start[r] .. feed_start[r + 1]), ascending by unit; a
 * unit stands there at most once per reference. Owner: the plan's arena. Thread: immutable, any.
 * Limits: those of plan.h. */
#ifndef PICKET_CORRELATE_PLAN_PRIVATE_H
#define PICKET_CORRELATE_PLAN_PRIVATE_H

#include "correlate/plan.h"
#include "correlate/window.h"

struct feed {
	uint32_t unit;
	uint32_t reference; /* index into correlation->rules; 0 for a plain detection */
};

struct plan_state {
	uint64_t state_id;
	uint32_t unit;
};

struct plan {
	struct arena *arena;
	const struct ruleset *ruleset;
	struct hash_key key;
	struct unit *units;
	size_t unit_count;
	struct plan_state *by_state; /* ascending state_id */
	uint32_t *unit_of_rule;      /* by rule index; of a rule that has a unit */
	struct feed *feeds;
	uint32_t *feed_start;
	uint32_t *hearing; /* units that are told of every event */
	size_t hearing_count;
	unsigned rounds;
};

/* state_id.c; copy tells apart rules that are alike in everything. */
uint64_t unit_state_id(const struct plan *plan, const struct unit *unit, uint64_t copy);

/* subject.c: what the rule counts, in words; NULL data when the plan's arena is full. */
struct text plan_subject(const struct plan *plan, const struct rule *rule);

/* threshold.c: how a correlation's unit is judged (judged, gated, delay_us, at_least); EINVALID for
 * a condition that cannot be evaluated exactly. */
enum status unit_judge(struct unit *unit, struct error *err);

/* The field that group-by entry `at` of the unit means for a reference. */
struct text unit_field(const struct unit *unit, size_t at, size_t reference);

/* Whether its groups are a field and a value, whatever the field: a risk over `entity`. */
bool unit_is_of_entities(const struct unit *unit);

/* What peers have to say to one group of the unit above them. */
enum status plan_route_answer(const struct plan *plan, const struct unit *peers,
			      const struct match_record *like, const struct window_answer *answer,
			      const struct record_sink *sink);

/* A child's condition held at an event: one match record per parent, into the sink. firing is the
 * child's record: its tenant and group, with time, origin, context and flags of that event. */
enum status plan_route_firing(const struct plan *plan, const struct unit *child,
			      const struct match_record *firing, const struct record_sink *sink);

#endif
