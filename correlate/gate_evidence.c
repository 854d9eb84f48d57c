#include "correlate/gate_private.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "correlate/evalue.h"

/* Which arms are compared: those the canary's query matches, against those the baseline's query
 * matches, or all others that have a name (an event that names no build may be anyone's). A build
 * that both match counts as canary, in every bucket alike, so that evidence already gathered never
 * changes when such a build turns up later.
 *
 * The evidence runs over every bucket since the canary's first request, across all steps of the
 * rollout. A degraded bucket still counts against the canary: what it kept is a sample that does
 * not depend on the arm (tally_private.h), and thinning moves an odds ratio towards 1. It never
 * speaks for the canary: with one in the window nothing passes. */

enum side { SIDE_NONE, SIDE_CANARY, SIDE_BASELINE };

bool arm_matches(const struct arm_query *query, const struct arm *arm)
{
	if (query->value.size == 0)
		return false;
	bool version = text_equal(arm->version, query->value);
	bool deploy_id = text_equal(arm->deploy_id, query->value);
	if (query->field == ARM_VERSION)
		return version;
	if (query->field == ARM_DEPLOY_ID)
		return deploy_id;
	return version || deploy_id;
}

/* Notes who was seen, and tells on which side the arm is. */
static enum side side_of(const struct gate_query *query, const struct arm *arm,
			 struct evidence *evidence)
{
	bool canary = arm_matches(&query->canary, arm);
	bool automatic = query->baseline.value.size == 0;
	bool nameless = arm->version.size == 0 && arm->deploy_id.size == 0;
	bool baseline = automatic ? !canary && !nameless : arm_matches(&query->baseline, arm);
	evidence->canary_seen |= canary;
	evidence->baseline_seen |= baseline;
	evidence->overlap |= canary && baseline;
	if (canary)
		return SIDE_CANARY;
	return baseline ? SIDE_BASELINE : SIDE_NONE;
}

/* What one bucket says about one outcome. */
struct pair {
	struct evalue_count clusters, raw;
};

static struct pair pair_of(const struct gate_query *query, const struct bucket *bucket,
			   enum outcome outcome)
{
	struct evidence ignored = {0};
	struct pair pair = {0};
	for (size_t i = 0; i < bucket->arm_count; i++) {
		const struct arm_count *arm = &bucket->arms[i];
		enum side side = side_of(query, &arm->arm, &ignored);
		assert(arm->clusters[outcome] <= arm->bad[outcome]);
		if (side == SIDE_CANARY) {
			pair.clusters.n_c += arm->requests;
			pair.clusters.x_c += arm->clusters[outcome];
			pair.raw.x_c += arm->bad[outcome];
		} else if (side == SIDE_BASELINE) {
			pair.clusters.n_b += arm->requests;
			pair.clusters.x_b += arm->clusters[outcome];
			pair.raw.x_b += arm->bad[outcome];
		}
	}
	pair.raw.n_c = pair.clusters.n_c;
	pair.raw.n_b = pair.clusters.n_b;
	return pair;
}

/* Sums of Mantel and Haenszel (1959): a common odds ratio over strata. */
struct common_odds {
	double above, below;
};

static void odds_add(struct common_odds *odds, const struct evalue_count *count)
{
	double n = (double)(count->n_c + count->n_b);
	if (n == 0)
		return;
	odds->above += (double)count->x_c * (double)(count->n_b - count->x_b) / n;
	odds->below += (double)count->x_b * (double)(count->n_c - count->x_c) / n;
}

/* Everything that is summed up over the buckets for one outcome. */
struct track {
	struct evalue clusters, raw;
	struct common_odds odds;
};

static void track_add(struct track *track, struct outcome_result *result, const struct pair *pair)
{
	evalue_add(&track->clusters, &pair->clusters);
	evalue_add(&track->raw, &pair->raw);
	odds_add(&track->odds, &pair->clusters);
	result->n_c += pair->clusters.n_c;
	result->n_b += pair->clusters.n_b;
	result->x_c += pair->clusters.x_c;
	result->x_b += pair->clusters.x_b;
	result->raw_x_c += pair->raw.x_c;
	result->raw_x_b += pair->raw.x_b;
	result->bad_bucket_count += pair->clusters.x_c > 0;
}

static void track_finish(const struct track *track, const struct gate_policy *policy,
			 struct outcome_result *result)
{
	result->e_fail = evalue_fail(&track->clusters);
	result->e_fail_sup = evalue_fail_sup(&track->clusters);
	result->e_pass_relative = evalue_relative(&track->clusters);
	result->e_pass_absolute = evalue_absolute(&track->clusters);
	result->e_pass_relative_raw = evalue_relative(&track->raw);
	result->e_pass_absolute_raw = evalue_absolute(&track->raw);
	result->odds_ratio = track->odds.below > 0 ? track->odds.above / track->odds.below : NAN;
	if (result->e_fail_sup >= 1 / policy->alpha)
		result->state = NI_REJECTED;
	else if (result->n_b > 0 && evalue_not_inferior(&track->clusters, policy->beta) &&
		 evalue_not_inferior(&track->raw, policy->beta))
		result->state = NI_ACCEPTED;
}

static int by_value(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left;
	uint64_t b = *(const uint64_t *)right;
	return (a > b) - (a < b);
}

/* Distinct principals of the canary's bad outcomes over all buckets. */
static enum status count_principals(const struct gate_query *query, const struct gate_facts *facts,
				    struct arena *arena, unsigned *ret_count)
{
	struct evidence ignored = {0};
	size_t capacity = 0;
	for (size_t i = 0; i < facts->bucket_count; i++)
		for (size_t k = 0; k < facts->buckets[i].arm_count; k++)
			capacity += facts->buckets[i].arms[k].principal_count;
	uint64_t *all = arena_alloc(arena, capacity * sizeof *all);
	if (all == NULL)
		return ENOMEMORY;
	size_t count = 0;
	for (size_t i = 0; i < facts->bucket_count; i++) {
		const struct bucket *bucket = &facts->buckets[i];
		for (size_t k = 0; k < bucket->arm_count; k++) {
			const struct arm_count *arm = &bucket->arms[k];
			if (side_of(query, &arm->arm, &ignored) != SIDE_CANARY)
				continue;
			memcpy(all + count, arm->principals, arm->principal_count * sizeof *all);
			count += arm->principal_count;
		}
	}
	qsort(all, count, sizeof *all, by_value);
	size_t distinct = 0;
	for (size_t i = 0; i < count; i++)
		distinct += i == 0 || all[i] != all[i - 1];
	*ret_count = (unsigned)distinct;
	return OK;
}

static void gather_buckets(const struct gate_query *query, const struct gate_facts *facts,
			   struct gate_result *result, struct evidence *evidence)
{
	const struct gate_policy *policy = &query->policy;
	struct track tracks[OUTCOME_COUNT] = {0};
	for (int outcome = 0; outcome < OUTCOME_COUNT; outcome++) {
		evalue_init(&tracks[outcome].clusters, policy->psi0, policy->psi_tol,
			    policy->p_abs);
		tracks[outcome].raw = tracks[outcome].clusters;
		result->outcomes[outcome] = (struct outcome_result){.outcome = outcome};
	}
	for (size_t i = 0; i < facts->bucket_count; i++) {
		const struct bucket *bucket = &facts->buckets[i];
		bool with_canary = false;
		for (size_t k = 0; k < bucket->arm_count; k++)
			with_canary |=
				side_of(query, &bucket->arms[k].arm, evidence) == SIDE_CANARY;
		if (with_canary && result->window_start_us == INT64_MIN)
			result->window_start_us = bucket->start_us;
		if (result->window_start_us == INT64_MIN)
			continue;
		result->late += bucket->late;
		result->degraded_count += (bucket->flags & BUCKET_DEGRADED) != 0;
		result->no_principal_count += (bucket->flags & BUCKET_NO_PRINCIPAL) != 0;
		double e_all = 0;
		for (int outcome = 0; outcome < OUTCOME_COUNT; outcome++) {
			struct pair pair = pair_of(query, bucket, outcome);
			track_add(&tracks[outcome], &result->outcomes[outcome], &pair);
			e_all += evalue_fail(&tracks[outcome].clusters) / OUTCOME_COUNT;
		}
		evidence->e_all_sup = fmax(evidence->e_all_sup, e_all);
	}
	for (int outcome = 0; outcome < OUTCOME_COUNT; outcome++)
		track_finish(&tracks[outcome], policy, &result->outcomes[outcome]);
}

/* An instance of the canary that spoke since the step began, and stopped. Silence counts from the
 * wall clock: a stopped pipeline makes everybody silent, and nothing passes. */
static bool is_silent(const struct gate_query *query, const struct instance *instance)
{
	return instance->last_us >= query->step_start_us &&
	       instance->last_us < query->now_us - 2 * query->policy.max_lag_us;
}

static enum status gather_instances(const struct gate_query *query, const struct gate_facts *facts,
				    struct arena *arena, struct gate_result *result,
				    struct evidence *evidence)
{
	struct text *silent = arena_alloc(arena, facts->instance_count * sizeof *silent);
	if (silent == NULL)
		return ENOMEMORY;
	for (size_t i = 0; i < facts->instance_count; i++) {
		const struct instance *instance = &facts->instances[i];
		if (!text_equal(instance->service, query->service) ||
		    side_of(query, &instance->arm, evidence) != SIDE_CANARY)
			continue;
		result->instance_count++;
		if (is_silent(query, instance))
			silent[result->silent_count++] = instance->name;
		if (instance->last_us > evidence->canary_last_us)
			evidence->canary_last_us = instance->last_us;
		if (evidence->canary_first_us == INT64_MIN ||
		    instance->first_us < evidence->canary_first_us)
			evidence->canary_first_us = instance->first_us;
	}
	if (evidence->canary_first_us == INT64_MIN)
		evidence->canary_first_us = result->window_start_us;
	result->silent = silent;
	return OK;
}

static enum status gather_findings(const struct gate_query *query, const struct gate_facts *facts,
				   struct arena *arena, struct gate_result *result,
				   struct evidence *evidence)
{
	struct finding *findings = arena_alloc(arena, facts->finding_count * sizeof *findings);
	if (findings == NULL)
		return ENOMEMORY;
	for (size_t i = 0; i < facts->finding_count; i++) {
		const struct finding *finding = &facts->findings[i];
		if (text_equal(finding->service, query->service) &&
		    side_of(query, &finding->arm, evidence) == SIDE_CANARY)
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

enum status evidence_gather(const struct gate_query *query, const struct gate_facts *facts,
			    struct arena *arena, struct gate_result *result,
			    struct evidence *ret_evidence)
{
	struct evidence evidence = {.canary_first_us = INT64_MIN, .canary_last_us = INT64_MIN};
	result->window_start_us = INT64_MIN;
	gather_buckets(query, facts, result, &evidence);
	enum status status = gather_instances(query, facts, arena, result, &evidence);
	if (status == OK)
		status = gather_findings(query, facts, arena, result, &evidence);
	if (status == OK)
		status = gather_versions(query, facts, arena, result);
	unsigned principals = 0;
	if (status == OK)
		status = count_principals(query, facts, arena, &principals);
	if (status != OK)
		return status;
	for (int outcome = 0; outcome < OUTCOME_COUNT; outcome++)
		result->outcomes[outcome].principals = principals;
	*ret_evidence = evidence;
	return OK;
}
