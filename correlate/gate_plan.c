#include "correlate/gate_plan.h"

#include <assert.h>
#include <math.h>

#include <xxhash.h>

#include "correlate/evalue.h"

/* The requests and bad outcomes of one bucket, at their mean over the past, are split by the share;
 * what is not whole is carried over to the next bucket. So the evidence grows as it does on
 * average, and the moment it is enough is near the median of the real one (simulated: the
 * pass column of tests/bench/canary). */

static void add_route(struct plan_traffic *traffic, struct text name, uint64_t requests)
{
	uint64_t hash = XXH3_64bits(name.data, name.size);
	size_t i = 0;
	while (i < traffic->route_count && traffic->routes[i].hash != hash)
		i++;
	if (i > COHORT_ROUTES_MAX)
		i = COHORT_ROUTES_MAX;
	else if (i == traffic->route_count)
		traffic->routes[traffic->route_count++].hash = hash;
	traffic->routes[i].requests += requests;
}

/* Requests of the rarest route that the policy's coverage reaches. */
static uint64_t rarest_route(const struct gate_policy *policy, const struct plan_traffic *traffic)
{
	uint64_t looked_at = 0;
	uint64_t last = UINT64_MAX;
	uint64_t rarest = 0;
	while ((double)looked_at < policy->coverage * (double)traffic->requests) {
		uint64_t most = 0;
		uint64_t sum = 0;
		for (size_t i = 0; i < traffic->route_count; i++)
			if (traffic->routes[i].requests < last &&
			    traffic->routes[i].requests > most)
				most = traffic->routes[i].requests;
		for (size_t i = 0; i < traffic->route_count; i++)
			sum += traffic->routes[i].requests == most ? most : 0;
		if (most == 0)
			break;
		rarest = last = most;
		looked_at += sum;
	}
	return rarest;
}

void plan_traffic_add(struct plan_traffic *traffic, const struct bucket *bucket)
{
	traffic->bucket_count++;
	for (size_t i = 0; i < bucket->arm_count; i++)
		for (size_t k = 0; k < bucket->arms[i].stratum_count; k++) {
			const struct stratum *stratum = &bucket->arms[i].strata[k];
			traffic->requests += stratum->requests;
			if (stratum->requests > 0)
				add_route(traffic,
					  stratum->route < bucket->route_count
						  ? bucket->routes[stratum->route]
						  : TEXT("*"),
					  stratum->requests);
			for (size_t b = 0; b < stratum->bin_count; b++)
				traffic->durations += stratum->bins[b].count;
			for (int j = 0; j < OUTCOME_COUNTED; j++) {
				traffic->outcomes[j].trials += stratum->outcomes[j].trials;
				traffic->outcomes[j].bad += stratum->outcomes[j].bad;
				traffic->outcomes[j].clusters += stratum->outcomes[j].clusters;
			}
		}
}

/* A stream of whole numbers with a given mean. */
struct carry {
	double mean, rest;
};

static uint64_t carry_next(struct carry *carry)
{
	double whole = floor(carry->mean + carry->rest);
	carry->rest += carry->mean - whole;
	return (uint64_t)whole;
}

/* Time until so many have come, at so many per bucket. */
static int64_t time_until(double wanted, double per_bucket)
{
	if (wanted <= 0)
		return 0;
	double buckets = ceil(wanted / per_bucket);
	bool far = !(buckets <= (double)(PLAN_HORIZON_US / COHORT_BUCKET_US));
	return far ? INT64_MAX : (int64_t)buckets * COHORT_BUCKET_US;
}

static int64_t time_of_outcome(const struct gate_policy *policy, enum outcome outcome,
			       double trials, double bad, double share)
{
	const struct outcome_policy *of = &policy->outcomes[outcome];
	struct evalue worse;
	evalue_init(&worse, of->psi0, of->psi_tol, of->p_abs);
	if (outcome_info(outcome)->model == OUTCOME_POISSON)
		worse.model = EVALUE_POISSON;
	struct evalue fewer = worse;
	bool both = of->fewer && outcome_info(outcome)->two_sided;
	struct carry n_c = {trials * share, 0.5};
	struct carry n_b = {trials * (1 - share), 0.5};
	struct carry x_c = {bad * share, 0.5};
	struct carry x_b = {bad * (1 - share), 0.5};
	for (int64_t at_us = COHORT_BUCKET_US; at_us <= PLAN_HORIZON_US;
	     at_us += COHORT_BUCKET_US) {
		struct evalue_count count = {carry_next(&n_c), carry_next(&x_c), carry_next(&n_b),
					     carry_next(&x_b)};
		if (worse.model == EVALUE_BERNOULLI) {
			count.x_c = count.x_c < count.n_c ? count.x_c : count.n_c;
			count.x_b = count.x_b < count.n_b ? count.x_b : count.n_b;
		}
		struct evalue_count mirrored = evalue_mirror(&count);
		evalue_add(&worse, &count);
		if (both)
			evalue_add(&fewer, &mirrored);
		if (evalue_not_inferior(&worse, policy->beta) &&
		    (!both || evalue_not_inferior(&fewer, policy->beta)))
			return at_us;
	}
	return INT64_MAX;
}

struct plan_result gate_plan(const struct gate_policy *policy, const struct plan_traffic *traffic,
			     double share)
{
	static const double ABOVE[] = {0.5, 0.1, 0.01};
	struct plan_result plan = {.bake_us = policy->bake_us, .all_us = policy->bake_us};
	double buckets = (double)traffic->bucket_count;
	assert(share > 0 && share < 1);
	if (traffic->bucket_count == 0 || traffic->requests == 0) {
		plan.all_us = INT64_MAX;
		return plan;
	}
	double requests = (double)traffic->requests / buckets;
	plan.requests_us = time_until((double)policy->requests_min, requests * share);
	if (policy->coverage > 0)
		plan.coverage_us =
			time_until((double)policy->coverage_requests_min,
				   (double)rarest_route(policy, traffic) / buckets * share);
	for (int i = 0; i < OUTCOME_COUNT; i++) {
		bool latency = i >= OUTCOME_COUNTED;
		const struct outcome_count *of = latency ? NULL : &traffic->outcomes[i];
		bool poisson = outcome_info((enum outcome)i)->model == OUTCOME_POISSON;
		double trials = latency   ? (double)traffic->durations
				: poisson ? requests * buckets
					  : (double)of->trials;
		double bad = latency ? trials * ABOVE[i - OUTCOME_COUNTED] : (double)of->clusters;
		bool absent = i != OUTCOME_HTTP_5XX && (poisson ? bad == 0 : trials == 0);
		if (policy->outcomes[i].required && !absent)
			plan.outcomes_us[i] = time_of_outcome(
				policy, (enum outcome)i, trials / buckets, bad / buckets, share);
		plan.all_us = plan.outcomes_us[i] > plan.all_us ? plan.outcomes_us[i] : plan.all_us;
	}
	plan.all_us = plan.requests_us > plan.all_us ? plan.requests_us : plan.all_us;
	plan.all_us = plan.coverage_us > plan.all_us ? plan.coverage_us : plan.all_us;
	return plan;
}
