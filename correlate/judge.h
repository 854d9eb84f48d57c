/* judge - whether the events of one window satisfy a condition over values: so many different ones,
 * a sum, or steps in order.
 *
 * Why: a window slides over a trail (trail.h); what its events say together must be known after
 * every step without counting them again.
 *
 * Invariant: events are pushed in order of time and popped in the same order; every condition is
 * monotone: one event more never makes it false. Once cleared, a judge may serve another rule.
 * Owner: a trail, a measure, or an actor for all its small trails. Thread: one.
 * Limits: JUDGE_STEPS_MAX rules in order; values are 64-bit keyed hashes, so that two different
 * ones are taken for one with a chance of n^2 / 2^65. */
#ifndef PICKET_CORRELATE_JUDGE_H
#define PICKET_CORRELATE_JUDGE_H

#include "rules/ruleset.h"

enum { JUDGE_STEPS_MAX = 64 };

struct judge_rule {
	enum correlation_type type; /* VALUE_COUNT, TEMPORAL, TEMPORAL_ORDERED or VALUE_SUM */
	uint64_t at_least;          /* different values; VALUE_SUM: millionths */
	int64_t timespan_us;
	const struct name_condition *names; /* TEMPORAL: instead of at_least; without `not` */
};

struct judge_slot {
	uint64_t value;
	uint32_t count;     /* 0: free */
	uint32_t candidate; /* trail_compact.c: the last entry of the value so far */
};

struct judge {
	struct judge_slot *slots; /* open addressing, at most 3/4 full */
	size_t capacity;
	size_t different;
	uint64_t seen; /* TEMPORAL: the rules that are in, as bits */
	uint64_t sum_low, sum_high;
	int64_t *latest; /* per step: the latest start of steps 0.. to this one, INT64_MIN none */
	size_t step_capacity; /* of latest */
	uint64_t now_steps;   /* steps seen at now_us */
	int64_t now_us;       /* of the newest pushed */
};

enum status judge_push(struct judge *judge, const struct judge_rule *rule, int64_t time_us,
		       uint64_t value);
void judge_pop(struct judge *judge, const struct judge_rule *rule, uint64_t value);
bool judge_holds(const struct judge *judge, const struct judge_rule *rule);
/* Of a condition that holds: would it without the oldest event? */
bool judge_can_spare(const struct judge *judge, const struct judge_rule *rule, int64_t time_us,
		     uint64_t value);
void judge_clear(struct judge *judge, const struct judge_rule *rule); /* keeps the memory */
void judge_done(struct judge *judge);
size_t judge_bytes(const struct judge *judge);

/* The slot of a value, found or made with count 1 (*ret_made). */
enum status judge_slot_get(struct judge *judge, uint64_t value, struct judge_slot **ret_slot,
			   bool *ret_made);

#endif
