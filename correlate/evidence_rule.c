#include "correlate/gate_private.h"

#include <assert.h>
#include <stdlib.h>

/* Outcomes that are rules (cohort_rule.h): counted and judged as http_5xx is, but not by route,
 * since a trial need not be a request.
 *
 * WEIGHTS. The outcomes of outcome.def have the weights w_i of the policy, which sum up to 1, and
 * rule k that blocks has v_k. The mean over all of them is taken with w_i / W and v_k / W, W = 1 +
 * sum v: the false-alarm rate of the whole stays alpha, however many rules there are. A mean is an
 * e-process only when its weights do not look at the evidence, so which rules block is settled when
 * the canary is first heard: those whose time in shadow is over then. A rule that only warns has
 * its own e-process, which is shown, and no part in the mean. */

enum status rules_init(struct gate_evidence *evidence)
{
	const struct gate_query *query = evidence->query;
	assert(query->rule_count <= COHORT_RULES_MAX);
	if (query->rule_count == 0)
		return OK;
	evidence->rules = calloc(query->rule_count, sizeof *evidence->rules);
	if (evidence->rules == NULL)
		return ENOMEMORY;
	evidence->rule_count = query->rule_count;
	for (size_t i = 0; i < query->rule_count; i++) {
		const struct gate_rule *rule = &query->rules[i];
		struct rule_track *track = &evidence->rules[i];
		struct outcome_policy policy = {
			.psi0 = rule->psi0, .psi_tol = rule->psi_tol, .p_abs = rule->p_abs};
		track->rule = rule;
		track->track.model = OUTCOME_BERNOULLI;
		track->track.two_sided = rule->two_sided;
		track_init(&track->track, &policy);
	}
	return OK;
}

void rules_begin(struct gate_evidence *evidence)
{
	const struct gate_policy *policy = &evidence->query->policy;
	evidence->weights = 1;
	for (size_t i = 0; i < evidence->rule_count; i++) {
		struct rule_track *track = &evidence->rules[i];
		struct gate_rule_policy of = gate_policy_of_rule(policy, track->rule->name);
		track->blocks = evidence->window_start_us >= track->rule->blocks_from_us;
		track->required = track->blocks && of.required;
		track->weight = track->blocks ? of.weight : 0;
		evidence->weights += track->weight;
	}
	for (size_t i = 0; i < evidence->rule_count; i++)
		evidence->rules[i].weight /= evidence->weights;
}

/* Each principal once in the whole window. */
static enum status add_culprits(struct gate_evidence *evidence, size_t index,
				const struct bucket *bucket, struct evalue_count *once)
{
	for (size_t i = 0; i < bucket->culprit_count; i++) {
		const struct culprit *one = &bucket->culprits[i];
		enum side side = side_of_arm(evidence->query, &bucket->arms[one->arm].arm);
		bool fresh = false;
		unsigned kind = OUTCOME_COUNT + (unsigned)index;
		if (side != SIDE_NONE &&
		    principal_is_new(evidence, one->principal, kind, &fresh) != OK)
			return ENOMEMORY;
		once->x_c += fresh && side == SIDE_CANARY;
		once->x_b += fresh && side == SIDE_BASELINE;
	}
	if (once->x_c > once->n_c)
		once->x_c = once->n_c;
	if (once->x_b > once->n_b)
		once->x_b = once->n_b;
	return OK;
}

static enum status add_bucket(struct gate_evidence *evidence, size_t index,
			      const struct bucket *bucket)
{
	struct outcome_track *track = &evidence->rules[index].track;
	struct route_counts counts = {0};
	for (size_t i = 0; i < bucket->arm_count; i++) {
		enum side side = side_of_arm(evidence->query, &bucket->arms[i].arm);
		for (size_t k = 0; k < bucket->arms[i].stratum_count; k++) {
			const struct stratum *of = &bucket->arms[i].strata[k];
			const struct outcome_count *one = &of->outcomes[COHORT_RULE_OUTCOME];
			counts_add(&counts, side, of->half, one->trials, one);
		}
	}
	bool bad = counts_take(&counts, track);
	struct evalue_count once = {.n_c = counts.pair.clusters.n_c,
				    .n_b = counts.pair.clusters.n_b};
	enum status status = add_culprits(evidence, index, bucket, &once);
	if (status != OK)
		return status;
	track_add_principals(track, &once);
	track_close_bucket(track, bad);
	return OK;
}

enum status rules_add(struct gate_evidence *evidence, const struct bucket *bucket)
{
	enum status status = OK;
	for (size_t i = 0; i < bucket->rule_count && status == OK; i++)
		for (size_t k = 0; k < evidence->rule_count && status == OK; k++)
			if (text_equal(evidence->rules[k].rule->key, bucket->rules[i].rule))
				status = add_bucket(evidence, k, &bucket->rules[i]);
	return status;
}

enum status rules_result(const struct gate_query *query, const struct gate_evidence *evidence,
			 struct arena *arena, struct gate_result *result)
{
	assert(query->rule_count == evidence->rule_count);
	struct rule_result *rules = arena_alloc(arena, evidence->rule_count * sizeof *rules);
	if (rules == NULL)
		return ENOMEMORY;
	for (size_t i = 0; i < evidence->rule_count; i++) {
		const struct rule_track *from = &evidence->rules[i];
		rules[i] = (struct rule_result){.rule = &query->rules[i],
						.blocks = from->blocks,
						.required = from->required,
						.weight = from->weight};
		track_result(&from->track, &query->policy, from->rule->two_sided,
			     &rules[i].outcome);
		rules[i].outcome.name = query->rules[i].name;
	}
	result->rules = rules;
	result->rule_count = evidence->rule_count;
	return OK;
}
