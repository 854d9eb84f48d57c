/* Row 6 of the verdict: what makes the evidence itself doubtful, so that no waiting cures it. */
#include <math.h>

#include "correlate/gate_private.h"

/* Late requests are in no bucket. A shipper that delays just the failing ones must not hide them.
 */
static bool too_late(struct judgement *judgement)
{
	const struct gate_result *result = judgement->result;
	const struct outcome_result *outcome = &result->outcomes[OUTCOME_HTTP_5XX];
	uint64_t all = outcome->n_c + outcome->n_b + result->late;
	if (result->late * 100 <= all * GATE_LATE_PERCENT_MAX)
		return false;
	give_reason(
		judgement, TEXT("LATE"),
		arena_print(
			judgement->arena,
			"%llu of %llu requests came after their bucket was closed; see lateness",
			(unsigned long long)result->late, (unsigned long long)all));
	return true;
}

/* What an agent drops, or somebody deletes, must not hide the failures either. */
static bool has_gaps(struct judgement *judgement)
{
	const struct gate_result *result = judgement->result;
	uint64_t all = result->missing + result->counted;
	if (result->missing * 100 <= all * GATE_LATE_PERCENT_MAX)
		return false;
	give_reason(judgement, TEXT("GAP"),
		    arena_print(judgement->arena,
				"%llu of %llu numbered records of the canary never came "
				"(event.sequence): see the alerts log.gap",
				(unsigned long long)result->missing, (unsigned long long)all));
	return true;
}

/* The canary gets another share of the requests than the controller declared. */
static bool split_is_wrong(struct judgement *judgement)
{
	const struct gate_policy *policy = &judgement->query->policy;
	const struct gate_result *result = judgement->result;
	double declared = judgement->query->share;
	if (!(result->split_e >= 1 / policy->split_alpha) ||
	    fabs(result->split_observed / declared - 1) <= policy->split_tolerance)
		return false;
	give_reason(
		judgement, TEXT("SPLIT"),
		arena_print(judgement->arena,
			    "the canary logs %.3g %% of the requests, %.3g %% were declared: is "
			    "traffic routed as you think, and does every instance log?",
			    100 * result->split_observed, 100 * declared));
	return true;
}

/* A regression in view, but the baseline's instances differ among themselves as much. */
static bool is_noisy(struct judgement *judgement)
{
	const struct gate_policy *policy = &judgement->query->policy;
	const struct gate_result *result = judgement->result;
	if (result->e_baseline_sup < 1 / policy->alpha || result->e_all_sup < 1 / policy->alpha ||
	    result->failed_at_us != INT64_MIN)
		return false;
	give_reason(judgement, TEXT("NOISY_BASELINE"),
		    arena_print(judgement->arena,
				"one half of the baseline's instances differs from the other "
				"(evidence %.3g): the canary cannot be told from that",
				result->e_baseline_sup));
	return true;
}

bool say_doubts(struct judgement *judgement)
{
	const struct gate_facts *facts = judgement->facts;
	for (size_t i = 0; i < facts->doubt_reason_count; i++)
		give_reason(judgement, TEXT("DOUBT"), facts->doubt_reasons[i]);
	if (judgement->result->degraded_count > 0)
		give_reason(
			judgement, TEXT("DEGRADED"),
			arena_print(judgement->arena,
				    "%zu bucket%s went over a limit: not everything was counted",
				    judgement->result->degraded_count,
				    judgement->result->degraded_count == 1 ? "" : "s"));
	bool gaps = has_gaps(judgement);
	bool split = split_is_wrong(judgement);
	bool noisy = is_noisy(judgement);
	bool signals = say_doubtful_signals(judgement);
	return too_late(judgement) || gaps || split || noisy || signals ||
	       facts->doubt_reason_count + judgement->result->degraded_count > 0;
}
