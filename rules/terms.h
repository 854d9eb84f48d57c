/* terms - what picket's own correlation types say beyond the words of Sigma.
 *
 * Why: Sigma's types count and compare; a sequence, a first time, a habit, a journey and a silence
 * need words of their own. Each is a correlation.type that other tools refuse instead of
 * misreading it; how it is judged is written in correlate/, in one file per type.
 *
 * Invariant: a correlation of such a type has exactly its own terms, the other pointers are NULL;
 * references are indices into correlation.rules. Owner: the rule set's arena. Thread: any.
 * Limits: SEQUENCE_STEPS_MAX steps, SEQUENCE_FIELDS_MAX fields to join on, COHORT_RULES_MAX rules
 * of that type, and those of each. */
#ifndef PICKET_RULES_TERMS_H
#define PICKET_RULES_TERMS_H

#include "rules/text.h"

enum {
	SEQUENCE_STEPS_MAX = 16,
	SEQUENCE_FIELDS_MAX = 8,
	SEQUENCE_COUNT_MAX = 256,
	BASELINE_BUCKETS_MAX = 8192,
	PEERS_RARE_MAX = 1000,
	COHORT_RULES_MAX = 16, /* of type cohort_compare in one rule set */
};

/* A bound with gt or gte. */
struct lower_bound {
	double value;
	bool strict;
};

static inline bool lower_bound_holds(const struct lower_bound *bound, double value)
{
	return bound->strict ? value > bound->value : value >= bound->value;
}

/* The value of `field` in the events of a step equals that of `earlier` in those of the step before
 * it; indices into sequence_terms.fields. */
struct step_join {
	uint8_t field;
	uint8_t earlier;
};

struct sequence_step {
	uint32_t reference;
	uint32_t count;    /* so many events of the rule, at least */
	int64_t within_us; /* after the last event of the step before; 0: no limit of its own */
	bool absent;       /* `not`: no event between its neighbours; the last: within_us long */
	const struct step_join *joins;
	size_t join_count;
};

struct sequence_terms {
	const struct sequence_step *steps;
	size_t step_count;
	const struct text *fields;
	size_t field_count;
	bool has_until;
	uint32_t until; /* reference: drops what has begun */
};

struct first_seen_terms {
	int64_t learn_us;      /* a group learns so long without alerting ... */
	uint64_t learn_events; /* ... or for so many events, whichever ends first; 0: no such end */
	uint64_t at_least;     /* new values ... */
	int64_t burst_us;      /* ... within so long */
	int64_t backfill_us;   /* at least so much of the store is read when the rule is new */
	const struct text *peers_by; /* groups whose events are alike in these fields are peers */
	size_t peers_by_count;       /* 0: nobody is compared */
	uint64_t rare_below; /* what so many peers have shown within the timespan is not new */
};

enum baseline_season { SEASON_NONE, SEASON_HOUR_OF_DAY, SEASON_HOUR_OF_WEEK };
enum baseline_aggregate {
	AGGREGATE_COUNT,
	AGGREGATE_DISTINCT,
	AGGREGATE_SUM,
	AGGREGATE_AVERAGE,
	AGGREGATE_P95
};
enum baseline_direction { DIRECTION_BOTH, DIRECTION_UP, DIRECTION_DOWN };

struct baseline_terms {
	uint32_t history;     /* buckets that are remembered */
	uint32_t min_buckets; /* fewer are not judged */
	uint32_t adapt;       /* so many deviating buckets in a row become the new normal */
	enum baseline_season season;
	enum baseline_aggregate aggregate;
	enum baseline_direction direction;
	struct lower_bound deviation;
	double floor; /* values, and usual values, below are not judged */
};

struct travel_terms {
	struct lower_bound speed_kmh;
	struct lower_bound distance_km;
	struct text address;             /* condition.field, for instance source.ip */
	struct text latitude, longitude; /* beside it: source.geo.location.lat ... */
	struct text radius_km, city, country;
	int64_t known_us;          /* a pair of places travelled so recently is usual; 0: never */
	struct text ignored_field; /* "" = none */
	const struct text *ignored_values; /* of events that are neither judged nor remembered */
	size_t ignored_count;
};

struct absence_terms {
	const struct text *members; /* of a cross-tenant rule with one group-by field */
	size_t member_count;        /* 0: whoever has been seen */
	int64_t seen_us;   /* members are whom any event showed so recently; 0: they are not */
	int64_t forget_us; /* one that was seen is missed for so long, then forgotten */
};

struct risk_weight {
	struct text entity;
	double weight;
};

struct risk_terms {
	struct lower_bound score;
	int64_t half_life_us; /* 0: no decay */
	uint64_t tactics;     /* so many different tactics, at least */
	bool takes_all;       /* every rule with a picket.risk; else those under `rules` */
	bool any_entity;      /* group-by: [entity]; else one field */
	const struct risk_weight *weights; /* ascending by entity; others weigh 1 */
	size_t weight_count;
};

/* What a version of a service does worse than the others; judged by the canary gate (docs/GATE.md).
 * A match of one of the first `trials` references is a trial, and a bad one when the numerator
 * matches. */
struct cohort_terms {
	uint32_t trials;
	uint32_t numerator; /* reference: one of those, or the one behind them */
	bool two_sided;     /* fewer bad ones are a finding as well */
	double worse_by;    /* FAIL: the odds are more than so many times the others' */
	double odds;        /* PASS: they are proven to be less than so many times theirs, ... */
	double rate;        /* ... or this rate of bad trials */
};

double risk_weight_of(const struct risk_terms *terms, struct text entity);

#endif
