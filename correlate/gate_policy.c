#include "correlate/gate.h"

/* The policy that is used when none is named. What its numbers cost and buy: docs/GATE.md. */

static const int64_t SECOND_US = 1000000;

struct gate_policy gate_policy_default(void)
{
	struct gate_policy policy = {
		.name = TEXT("default"),
		.alpha = 0.01,
		.beta = 0.05,
		.bake_us = 300 * SECOND_US,
		.max_lag_us = 30 * SECOND_US,
		.deadline_us = 1800 * SECOND_US,
		.warmup_us = 60 * SECOND_US,
		.principals_min = 3,
		.buckets_min = 2,
		.requests_min = 30,
		.coverage = 0.95,
		.coverage_requests_min = 30,
		.split_alpha = 0.001,
		.split_tolerance = 0.2,
	};
	for (int i = 0; i < OUTCOME_COUNT; i++)
		policy.outcomes[i] =
			(struct outcome_policy){.weight = outcome_info((enum outcome)i)->weight,
						.psi0 = 1.25,
						.psi_tol = 2,
						.p_abs = 0.001};
	static const enum outcome REQUIRED[] = {OUTCOME_HTTP_5XX, OUTCOME_AUTHN_FAILURE,
						OUTCOME_AUTHZ_DENIED, OUTCOME_LATENCY_P50,
						OUTCOME_LATENCY_P90};
	for (size_t i = 0; i < sizeof REQUIRED / sizeof *REQUIRED; i++)
		policy.outcomes[REQUIRED[i]].required = true;
	/* Whoever is let in is let in: no more of these is tolerated than there was. */
	policy.outcomes[OUTCOME_AUTHZ_DENIED].psi0 = 1;
	policy.outcomes[OUTCOME_TENANT_DENIED].psi0 = 1;
	return policy;
}
