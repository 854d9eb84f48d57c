#include "correlate/gate_private.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

/* Notes who was seen, and tells on which side the arm is. */
static enum side note_side(const struct gate_query *query, const struct arm *arm,
			   struct gathered *gathered)
{
	enum side side = side_of_arm(query, arm);
	gathered->canary_seen |= side == SIDE_CANARY;
	gathered->baseline_seen |= side == SIDE_BASELINE;
	gathered->overlap |= side == SIDE_CANARY && arm_matches(&query->baseline, arm);
	return side;
}

/* An instance of the canary that spoke since the step began, and stopped. Silence counts from the
 * wall clock: a stopped pipeline makes everybody silent, and nothing passes. */
static bool is_silent(const struct gate_query *query, const struct instance *instance)
{
	return instance->last_us >= query->step_start_us &&
	       instance->last_us < query->now_us - 2 * query->policy.max_lag_us;
}

/* Numbered records of a canary's instance that are missing; those of an earlier life are not. */
static void gather_gaps(const struct gate_facts *facts, const struct instance *instance,
			struct gate_result *result)
{
	for (size_t i = 0; i < facts->gap_count; i++) {
		const struct gate_gap *gap = &facts->gaps[i];
		if (gap->last_us < instance->first_us || !text_equal(gap->instance, instance->name))
			continue;
		result->missing += gap->missing;
		result->counted += gap->counted;
	}
}

static enum status gather_instances(const struct gate_query *query, const struct gate_facts *facts,
				    struct arena *arena, struct gate_result *result,
				    struct gathered *gathered)
{
	struct text *silent = arena_alloc(arena, facts->instance_count * sizeof *silent);
	if (silent == NULL)
		return ENOMEMORY;
	for (size_t i = 0; i < facts->instance_count; i++) {
		const struct instance *instance = &facts->instances[i];
		if (!text_equal(instance->service, query->service) ||
		    note_side(query, &instance->arm, gathered) != SIDE_CANARY)
			continue;
		result->instance_count++;
		gathered->failures += instance->failures;
		gather_gaps(facts, instance, result);
		if (gathered->worst == NULL || instance->failures > gathered->worst->failures)
			gathered->worst = instance;
		if (is_silent(query, instance))
			silent[result->silent_count++] = instance->name;
		if (instance->last_us > query->now_us + query->policy.max_lag_us) {
			result->ahead = instance->name;
			result->ahead_count++;
		}
		if (instance->last_us > gathered->canary_last_us)
			gathered->canary_last_us = instance->last_us;
		if (gathered->canary_first_us == INT64_MIN ||
		    instance->first_us < gathered->canary_first_us)
			gathered->canary_first_us = instance->first_us;
	}
	if (gathered->canary_first_us == INT64_MIN)
		gathered->canary_first_us = result->window_start_us;
	result->silent = silent;
	return OK;
}

static enum status gather_findings(const struct gate_query *query, const struct gate_facts *facts,
				   struct arena *arena, struct gate_result *result,
				   struct gathered *gathered)
{
	struct finding *findings = arena_alloc(arena, facts->finding_count * sizeof *findings);
	if (findings == NULL)
		return ENOMEMORY;
	for (size_t i = 0; i < facts->finding_count; i++) {
		const struct finding *finding = &facts->findings[i];
		if (text_equal(finding->service, query->service) &&
		    (query->pardon_us == INT64_MIN || finding->last_us > query->pardon_us) &&
		    note_side(query, &finding->arm, gathered) == SIDE_CANARY)
			findings[result->finding_count++] = *finding;
	}
	result->findings = findings;
	return OK;
}

/* The names of builds that were seen, each once: "version" or "version (deploy id)". */
static enum status gather_versions(const struct gate_query *query, const struct gate_facts *facts,
				   struct arena *arena, struct gate_result *result)
{
	enum { VERSIONS_MAX = COHORT_ARMS_MAX };
	struct text *versions = arena_alloc(arena, VERSIONS_MAX * sizeof *versions);
	if (versions == NULL)
		return ENOMEMORY;
	size_t count = 0;
	for (size_t i = facts->instance_count; i-- > 0 && count < VERSIONS_MAX;) {
		const struct instance *instance = &facts->instances[i];
		if (!text_equal(instance->service, query->service))
			continue;
		const struct arm *arm = &instance->arm;
		struct text name = arm->version;
		if (arm->deploy_id.size > 0)
			name = arena_print(arena, "%.*s (%.*s)", TEXT_ARG(arm->version),
					   TEXT_ARG(arm->deploy_id));
		if (arm->deploy_id.size > 0 && name.data == NULL)
			return ENOMEMORY;
		bool known = false;
		for (size_t k = 0; k < count && !known; k++)
			known = text_equal(versions[k], name);
		if (!known)
			versions[count++] = name;
	}
	result->versions_seen = versions;
	result->versions_seen_count = count;
	return OK;
}

/* The share of the baseline's requests on routes that the canary was asked for often enough; those
 * that make up policy.coverage, the busiest first, are all that is looked at. */
static double covered(const struct gate_evidence *evidence)
{
	const struct gate_policy *policy = &evidence->query->policy;
	const struct route_state *sorted[EVIDENCE_ROUTES_MAX + 1];
	size_t count = 0;
	uint64_t all = 0;
	for (const struct route_state *one = evidence->routes; one != NULL; one = one->hh.next) {
		size_t at = count++;
		assert(count <= sizeof sorted / sizeof *sorted);
		for (; at > 0 && sorted[at - 1]->n_b < one->n_b; at--)
			sorted[at] = sorted[at - 1];
		sorted[at] = one;
		all += one->n_b;
	}
	uint64_t looked_at = 0;
	uint64_t exercised = 0;
	for (size_t i = 0; i < count && (double)looked_at < policy->coverage * (double)all; i++) {
		looked_at += sorted[i]->n_b;
		exercised += sorted[i]->n_c >= policy->coverage_requests_min ? sorted[i]->n_b : 0;
	}
	/* All that had to be exercised were: that is all there is to ask for. */
	return looked_at == 0 || exercised == looked_at ? 1 : (double)exercised / (double)looked_at;
}

void evidence_gather_quality(const struct gate_query *query, const struct gate_evidence *evidence,
			     struct gate_result *result)
{
	uint64_t n_c = 0;
	uint64_t n_b = 0;
	for (size_t i = 0; i < evidence->moment_count; i++) {
		const struct gate_moment *moment = &evidence->moments[i];
		if (query->step_start_us != INT64_MIN && moment->start_us < query->step_start_us)
			continue;
		n_c += moment->n_c;
		n_b += moment->n_b;
	}
	result->split_observed = n_c + n_b == 0 ? NAN : (double)n_c / (double)(n_c + n_b);
	result->split_e = NAN;
	if (query->share > 0 && query->share < 1)
		result->split_e = exp(fmin(evalue_log_split(n_c, n_b, query->share), 690));
	result->coverage = covered(evidence);
}

enum status evidence_gather(const struct gate_query *query, const struct gate_facts *facts,
			    const struct gate_evidence *evidence, struct arena *arena,
			    struct gate_result *result, struct gathered *ret_gathered)
{
	struct gathered gathered = {.canary_seen = evidence->canary_seen,
				    .baseline_seen = evidence->baseline_seen,
				    .overlap = evidence->overlap,
				    .canary_first_us = INT64_MIN,
				    .canary_last_us = INT64_MIN};
	result->window_start_us = evidence->window_start_us;
	result->late = evidence->late;
	result->degraded_count = evidence->degraded_count;
	result->no_principal_count = evidence->no_principal_count;
	result->sampled_count = evidence->sampled_count;
	result->e_all = evidence->all;
	result->e_all_sup = evidence->all_sup;
	result->e_baseline_sup = evidence->halves_sup;
	result->failed_at_us = evidence->failed_at_us;
	result->moments = evidence->moments;
	result->moment_count = evidence->moment_count;
	for (int i = 0; i < OUTCOME_COUNT; i++) {
		struct outcome_result *outcome = &result->outcomes[i];
		track_result(&evidence->tracks[i], &query->policy, query->policy.outcomes[i].fewer,
			     outcome);
		outcome->name = text_of(outcome_name((enum outcome)i));
		if (outcome_is_of_outsiders((enum outcome)i) &&
		    track_principals_prove(&evidence->tracks[i], &query->policy))
			outcome->state = NI_REJECTED;
		/* Whoever asks for a verdict has requests: without one 5xx is open. */
		if (i == OUTCOME_HTTP_5XX && outcome->state == NI_ABSENT)
			outcome->state = NI_OPEN;
	}
	enum status status = rules_result(query, evidence, arena, result);
	if (status == OK)
		status = gather_instances(query, facts, arena, result, &gathered);
	if (status == OK)
		status = gather_findings(query, facts, arena, result, &gathered);
	if (status == OK)
		status = gather_versions(query, facts, arena, result);
	if (status == OK)
		status = signals_weigh(query, facts, evidence, gathered.canary_first_us, arena,
				       result);
	if (status == OK)
		*ret_gathered = gathered;
	return status;
}
