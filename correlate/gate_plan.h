/* gate_plan - how long a good canary would have to wait for its PASS, at the traffic of today.
 *
 * Why: a rollout that cannot be proven within its deadline should be planned otherwise (a larger
 * share, a longer step, another policy), and better before it begins.
 *
 * Invariant: an expectation, not a verdict: the evidence of a canary that is exactly as good as the
 * versions that run now, with every count at its mean. Owner: the caller. Thread: any.
 * Limits: PLAN_BUCKETS_MAX of the past, PLAN_HORIZON_US of the future. */
#ifndef PICKET_CORRELATE_GATE_PLAN_H
#define PICKET_CORRELATE_GATE_PLAN_H

#include "correlate/gate.h"

static const int64_t PLAN_HORIZON_US = INT64_C(86400) * 1000000;

/* Traffic of the past: sums over buckets of all versions. */
struct plan_traffic {
	size_t bucket_count; /* closed ones in that time, with or without requests */
	uint64_t requests, durations;
	struct outcome_count outcomes[OUTCOME_COUNTED];
	struct {
		uint64_t hash, requests;
	} routes[COHORT_ROUTES_MAX + 1]; /* the first ones seen; the last is the others */
	size_t route_count;
};
void plan_traffic_add(struct plan_traffic *traffic, const struct bucket *bucket);

struct plan_result {
	int64_t outcomes_us[OUTCOME_COUNT]; /* until it is accepted; 0 = not asked for */
	int64_t coverage_us, requests_us, bake_us;
	int64_t all_us; /* the longest; INT64_MAX = not within PLAN_HORIZON_US */
};
struct plan_result gate_plan(const struct gate_policy *policy, const struct plan_traffic *traffic,
			     double share);

#endif
