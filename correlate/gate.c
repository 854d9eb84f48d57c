#include "correlate/gate_private.h"

#include <assert.h>
#include <math.h>

/* THE ORDER OF THE VERDICT. The first row that holds answers.
 *
 *   | row | when                                                 | verdict, reason             |
 *   |-----|------------------------------------------------------|-----------------------------|
 *   |  1  | the query names one build twice, or none             | INCONCLUSIVE  IDENTITY      |
 *   |  2  | a rule that blocks matched the canary, or it does    | FAIL          HARD_FINDING  |
 *   |     | what a hard signal proves to be new (gate_signal.c)  |                             |
 *   |  3  | the evidence of a regression became enough (where   | FAIL          REGRESSION    |
 *   |     | and when: evidence.c)                                |                             |
 *   |     | the same while other services fail too               | INCONCLUSIVE  COMMON_CAUSE  |
 *   |     | a FAIL was given and nobody has overridden it        | FAIL          LATCHED       |
 *   |  4  | no event of the canary, or of the baseline: before   | WAIT          IDENTITY      |
 *   |     | the deadline; after it                               | INCONCLUSIVE  IDENTITY      |
 *   |  5  | a build that was seen is both canary and baseline    | INCONCLUSIVE  IDENTITY      |
 *   |  6  | the runtime doubts its data, a bucket is degraded,   | INCONCLUSIVE  DOUBT,        |
 *   |     | over 1 % of the requests came too late to count or of|               DEGRADED, LATE,|
 *   |     | the canary's numbered records never came, the        |               GAP,          |
 *   |     | canary's share is not the declared one, or a         |               SPLIT, NOISY_ |
 *   |     | regression shows while the baseline differs in itself|               BASELINE,     |
 *   |     | it does something new of which too little is known,  |               LEARNING,     |
 *   |     | or that a person should see                          |               SOFT_FINDING  |
 *   |  7  | nothing closed yet, lag, a stall, a silent instance, | STALE         LAG, STALLED, |
 *   |     | one whose clock is ahead                             |               SILENT, CLOCK |
 *   |  8  | the bake is over, the routes were exercised, no      | PASS          NI_ACCEPTED   |
 *   |     | outcome is rejected, every required one that the     |                             |
 *   |     | service logs is not inferior, no hard signal is      |                             |
 *   |     | blind, and something was proven or watched           |                             |
 *   |  9  | the deadline has passed                              | INCONCLUSIVE  DEADLINE      |
 *   | 10  | otherwise                                            | WAIT          BAKE, EVIDENCE|
 *   |     |                                                      |               COVERAGE, ... |
 *
 * Why so: FAIL (2, 3) needs no freshness, and what made it stays in the inputs for ever, so it
 * stands above everything that may come and go; only row 1, which is a property of the question,
 * precedes it. Doubt (6) stands above staleness because no waiting cures it. STALE (7) stands above
 * WAIT and above the deadline: who is blind must say so, and not that time is up. A canary without
 * events (4) stands above STALE because its name may be mistyped and the answer lists the names
 * that exist; the reasons of staleness are added to it.
 *
 * Evidence of a regression that lacks principals or buckets never passes: it waits for more, then
 * row 9. Bad outcomes without any principal cannot be told from retries of one cause, so they
 * count as none towards the minimum of row 3.
 *
 * The bake begins at the step's start, the token `after`, or the canary's first event, whichever is
 * last. The deadline counts from the step's start; without one from the canary's first event or
 * `after`; without any of these it never passes (there is no moment to count from), and row 4
 * says WAIT. */

static const double US_PER_SECOND = 1e6;

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* a + b where a may be INT64_MIN (none) and the sum may not fit. */
static int64_t after(int64_t a, int64_t b)
{
	int64_t sum = 0;
	if (a == INT64_MIN)
		return INT64_MIN;
	return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

static void take_time(struct judgement *judgement, const struct gate_evidence *evidence)
{
	const struct gate_query *query = judgement->query;
	const struct gate_facts *facts = judgement->facts;
	struct gate_result *result = judgement->result;
	int64_t watermark_us = facts->watermark_us;
	result->as_of_us = INT64_MIN;
	if (watermark_us == INT64_MAX && evidence->moment_count > 0)
		result->as_of_us =
			evidence->moments[evidence->moment_count - 1].start_us + COHORT_BUCKET_US;
	else if (watermark_us != INT64_MAX && watermark_us >= INT64_MIN + COHORT_BUCKET_US)
		result->as_of_us =
			watermark_us -
			(watermark_us % COHORT_BUCKET_US + COHORT_BUCKET_US) % COHORT_BUCKET_US;
	result->lag_us = INT64_MAX;
	if (result->as_of_us != INT64_MIN &&
	    __builtin_sub_overflow(query->now_us, result->as_of_us, &result->lag_us))
		result->lag_us = INT64_MAX;
	result->lag_us = later(result->lag_us, 0);

	int64_t first_us = judgement->gathered.canary_first_us;
	result->step_start_us = later(later(query->step_start_us, query->after_us), first_us);
	judgement->bake_end_us = after(result->step_start_us, query->policy.bake_us);
	int64_t from_us = query->step_start_us;
	if (from_us == INT64_MIN)
		from_us = first_us != INT64_MIN ? first_us : query->after_us;
	judgement->deadline_passed =
		from_us != INT64_MIN && query->now_us >= after(from_us, query->policy.deadline_us);
}

/* Row 1. */
static bool query_is_wrong(struct judgement *judgement)
{
	const struct arm_query *canary = &judgement->query->canary;
	const struct arm_query *baseline = &judgement->query->baseline;
	if (canary->value.size == 0)
		give_reason(judgement, TEXT("IDENTITY"), TEXT("the query names no canary"));
	else if (text_equal(canary->value, baseline->value) &&
		 (canary->field == baseline->field || canary->field == ARM_ANY ||
		  baseline->field == ARM_ANY))
		give_reason(judgement, TEXT("IDENTITY"),
			    arena_print(judgement->arena,
					"canary and baseline are the same build, %.*s",
					TEXT_ARG(canary->value)));
	else
		return false;
	return true;
}

/* Row 2. */
static bool has_hard_finding(struct judgement *judgement)
{
	const struct gate_result *result = judgement->result;
	bool blocks = false;
	for (size_t i = 0; i < result->finding_count; i++) {
		const struct finding *finding = &result->findings[i];
		if (finding->last_us < finding->blocks_from_us)
			continue;
		blocks = true;
		give_reason(judgement, TEXT("HARD_FINDING"),
			    arena_print(judgement->arena, "%.*s (%.*s): %llu event%s of the canary",
					TEXT_ARG(finding->rule_title), TEXT_ARG(finding->rule_key),
					(unsigned long long)finding->count,
					finding->count == 1 ? "" : "s"));
	}
	bool signals = say_hard_signals(judgement);
	return blocks || signals;
}

/* Those that failed it, or those of which only a minimum is missing: the reason says which. What
 * outsiders bring about does not fail a canary that fails by something else. */
static void say_rejected(struct judgement *judgement, bool failed)
{
	const struct gate_result *result = judgement->result;
	double enough = 1 / judgement->query->policy.alpha;
	for (size_t i = 0; i < OUTCOME_COUNT + result->rule_count; i++) {
		const struct rule_result *rule =
			i < OUTCOME_COUNT ? NULL : &result->rules[i - OUTCOME_COUNT];
		const struct outcome_result *outcome =
			rule == NULL ? &result->outcomes[i] : &rule->outcome;
		bool latency = i >= OUTCOME_COUNTED && i < OUTCOME_COUNT;
		bool proven = result->failed_at_us != INT64_MIN &&
			      (latency || outcome->e_principals_sup >= enough);
		if (outcome->state != NI_REJECTED || (rule != NULL && !rule->blocks) ||
		    proven != failed)
			continue;
		if (failed)
			say_regression(judgement, outcome);
		else
			say_unconfirmed(judgement, outcome);
	}
}

/* Row 3. */
static bool has_regression(struct judgement *judgement)
{
	bool failed = judgement->result->failed_at_us != INT64_MIN;
	say_rejected(judgement, true);
	say_rejected(judgement, false);
	if (failed)
		say_one_instance(judgement);
	return failed;
}

/* A FAIL that was given, whatever is known of its reasons today. */
static bool is_latched(struct judgement *judgement)
{
	char buffer[32];
	const struct gate_facts *facts = judgement->facts;
	if (facts->latched_us == INT64_MIN)
		return false;
	struct text time = time_print(facts->latched_us, buffer);
	give_reason(judgement, TEXT("LATCHED"),
		    arena_print(judgement->arena,
				"it failed at %.*s, and nobody has overridden that: %.*s",
				TEXT_ARG(time), TEXT_ARG(facts->latched)));
	return true;
}

/* Row 4. */
static bool is_unseen(struct judgement *judgement)
{
	const struct gate_query *query = judgement->query;
	if (!judgement->gathered.canary_seen)
		say_unseen(judgement, "", query->canary.value);
	else if (!judgement->gathered.baseline_seen && query->baseline.value.size == 0)
		give_reason(judgement, TEXT("IDENTITY"),
			    arena_print(judgement->arena,
					"no other version of %.*s was seen to compare with",
					TEXT_ARG(query->service)));
	else if (!judgement->gathered.baseline_seen)
		say_unseen(judgement, "the baseline ", query->baseline.value);
	else
		return false;
	return true;
}

/* Row 7. */
static bool is_stale(struct judgement *judgement)
{
	const struct gate_facts *facts = judgement->facts;
	const struct gate_result *result = judgement->result;
	size_t before = result->reason_count;
	double lag = (double)result->lag_us / US_PER_SECOND;
	double lag_max = (double)judgement->query->policy.max_lag_us / US_PER_SECOND;
	if (result->as_of_us == INT64_MIN)
		give_reason(judgement, TEXT("LAG"), TEXT("nothing is evaluated yet"));
	else if (result->lag_us > judgement->query->policy.max_lag_us)
		give_reason(judgement, TEXT("LAG"),
			    arena_print(judgement->arena,
					"evaluated up to %.1f s ago; at most %g s are allowed", lag,
					lag_max));
	for (size_t i = 0; i < facts->stale_reason_count; i++)
		give_reason(judgement, TEXT("STALLED"), facts->stale_reasons[i]);
	if (judgement->gathered.canary_seen)
		say_silent(judgement);
	return result->reason_count > before || facts->stale_reason_count > 0;
}

static bool is_baked(struct judgement *judgement)
{
	const struct gate_policy *policy = &judgement->query->policy;
	const struct gate_result *result = judgement->result;
	bool baked = result->as_of_us >= judgement->bake_end_us;
	uint64_t requests = result->outcomes[OUTCOME_HTTP_5XX].n_c;
	if (!baked)
		give_reason(judgement, TEXT("BAKE"),
			    arena_print(judgement->arena,
					"%.0f s of the bake are still to be evaluated",
					(double)(judgement->bake_end_us - result->as_of_us) /
						US_PER_SECOND));
	if (result->coverage < policy->coverage)
		give_reason(
			judgement, TEXT("COVERAGE"),
			arena_print(judgement->arena,
				    "routes with %.3g %% of the baseline's requests were asked of "
				    "the canary at least %llu times; %.3g %% are needed",
				    100 * result->coverage,
				    (unsigned long long)policy->coverage_requests_min,
				    100 * policy->coverage));
	if (requests < policy->requests_min)
		give_reason(judgement, TEXT("REQUESTS"),
			    arena_print(judgement->arena,
					"%llu requests of the canary; %llu are needed",
					(unsigned long long)requests,
					(unsigned long long)policy->requests_min));
	return baked && result->coverage >= policy->coverage && requests >= policy->requests_min;
}

/* The smaller of what de-duplicated and raw counts prove, on the side that is behind. */
static double pass_evidence(const struct outcome_result *outcome)
{
	const struct side_result *side = &outcome->worse;
	/* Accepted, and still open: then it is the other side that is asked for. */
	if (outcome->worse.accepted && outcome->two_sided)
		side = &outcome->better;
	return fmin(side->e_pass_relative + side->e_pass_absolute,
		    side->e_pass_relative_raw + side->e_pass_absolute_raw) /
	       2;
}

/* True when PASS waits for a proof of it. */
static bool is_owed(struct judgement *judgement, const struct outcome_result *outcome,
		    bool required)
{
	if (outcome->state != NI_OPEN || !required)
		return false;
	give_reason(judgement, TEXT("EVIDENCE"),
		    arena_print(judgement->arena,
				"%.*s: %llu trials of the canary do not prove it yet "
				"(evidence %.3g, %g is enough)",
				TEXT_ARG(outcome->name), (unsigned long long)outcome->n_c,
				pass_evidence(outcome), 1 / judgement->query->policy.beta));
	return true;
}

static bool is_accepted(struct judgement *judgement, const struct outcome_result *outcome)
{
	if (outcome->state != NI_ACCEPTED)
		return false;
	give_reason(judgement, TEXT("NI_ACCEPTED"),
		    arena_print(judgement->arena, "%.*s is not worse than the baseline's",
				TEXT_ARG(outcome->name)));
	return true;
}

/* Row 8; what is missing goes into the reasons of rows 9 and 10. */
static bool is_proven(struct judgement *judgement)
{
	const struct gate_result *result = judgement->result;
	const struct gate_policy *policy = &judgement->query->policy;
	bool proven = is_baked(judgement);
	proven &= !say_blind_signals(judgement);
	for (int i = 0; i < OUTCOME_COUNT; i++) {
		const struct outcome_result *outcome = &result->outcomes[i];
		proven &= outcome->state != NI_REJECTED;
		proven &= !is_owed(judgement, outcome, policy->outcomes[i].required);
	}
	for (size_t i = 0; i < result->rule_count; i++) {
		const struct rule_result *rule = &result->rules[i];
		proven &= !rule->blocks || rule->outcome.state != NI_REJECTED;
		proven &= !is_owed(judgement, &rule->outcome, rule->required);
	}
	bool any = false;
	for (int i = 0; i < OUTCOME_COUNT && proven; i++)
		any |= is_accepted(judgement, &result->outcomes[i]);
	for (size_t i = 0; i < result->rule_count && proven; i++)
		any |= is_accepted(judgement, &result->rules[i].outcome);
	size_t watched = count_signals_on(result);
	if (proven && !any && watched == 0)
		give_reason(judgement, TEXT("NO_SIGNAL"),
			    TEXT("the policy claims nothing about rates, and the logs switch on no "
				 "signal of security: nothing is proven; see picket doctor"));
	else if (proven && !any)
		give_reason(judgement, TEXT("NO_FINDING"),
			    arena_print(judgement->arena,
					"no blocking finding, with %zu signals of security on; the "
					"policy claims nothing about rates",
					watched));
	return proven && (any || watched > 0);
}

/* Every condition that holds leaves its reason, the deciding one first. */
static enum verdict decide(struct judgement *judgement)
{
	if (query_is_wrong(judgement))
		return VERDICT_INCONCLUSIVE;
	bool hard = has_hard_finding(judgement);
	bool regression = has_regression(judgement);
	bool latched = is_latched(judgement);
	bool common = regression && !hard && !latched && judgement->facts->common_cause.size > 0;
	if (common)
		give_reason(judgement, TEXT("COMMON_CAUSE"), judgement->facts->common_cause);
	bool failed = hard || latched || (regression && !common);
	bool unseen = !failed && is_unseen(judgement);
	bool overlap = !failed && !unseen && judgement->gathered.overlap;
	if (overlap)
		give_reason(judgement, TEXT("IDENTITY"),
			    TEXT("one build that was seen is both canary and baseline"));
	bool doubtful = say_doubts(judgement);
	judgement->result->fresh = !is_stale(judgement);
	if (failed)
		return VERDICT_FAIL;
	if (unseen)
		return judgement->deadline_passed ? VERDICT_INCONCLUSIVE : VERDICT_WAIT;
	if (overlap || doubtful || common)
		return VERDICT_INCONCLUSIVE;
	if (!judgement->result->fresh)
		return VERDICT_STALE;
	if (is_proven(judgement))
		return VERDICT_PASS;
	if (judgement->deadline_passed) {
		give_reason(judgement, TEXT("DEADLINE"),
			    TEXT("the deadline has passed without a proof"));
		return VERDICT_INCONCLUSIVE;
	}
	return VERDICT_WAIT;
}

/* One sentence: the verdict's first reason, or what PASS claims. */
static struct text summarise(const struct judgement *judgement)
{
	const struct gate_query *query = judgement->query;
	const struct gate_result *result = judgement->result;
	const struct outcome_result *outcome = &result->outcomes[OUTCOME_HTTP_5XX];
	struct text baseline = query->baseline.value;
	if (baseline.size == 0)
		baseline = TEXT("the other versions");
	unsigned accepted = 0;
	for (int i = 0; i < OUTCOME_COUNT; i++)
		accepted += result->outcomes[i].state == NI_ACCEPTED;
	for (size_t i = 0; i < result->rule_count; i++)
		accepted += result->rules[i].outcome.state == NI_ACCEPTED;
	if (result->verdict == VERDICT_PASS && accepted > 0)
		return arena_print(
			judgement->arena,
			"canary %.*s is not worse than %.*s in %u outcome%s: %llu of %llu against "
			"%llu of %llu requests failed (%g %% bound)",
			TEXT_ARG(query->canary.value), TEXT_ARG(baseline), accepted,
			accepted == 1 ? "" : "s", (unsigned long long)outcome->raw_x_c,
			(unsigned long long)outcome->n_c, (unsigned long long)outcome->raw_x_b,
			(unsigned long long)outcome->n_b, 100 * (1 - query->policy.beta));
	assert(result->reason_count > 0);
	return arena_print(judgement->arena, "canary %.*s: %.*s", TEXT_ARG(query->canary.value),
			   TEXT_ARG(result->reasons[0].text));
}

enum status gate_judge_evidence(const struct gate_query *query, const struct gate_facts *facts,
				const struct gate_evidence *evidence, struct arena *arena,
				struct gate_result *ret_result)
{
	assert(query->policy.alpha > 0 && query->policy.beta > 0);
	struct gate_result *result = arena_alloc(arena, sizeof *result);
	if (result == NULL)
		return ENOMEMORY;
	struct judgement judgement = {
		.query = query, .facts = facts, .arena = arena, .result = result};
	enum status status =
		evidence_gather(query, facts, evidence, arena, result, &judgement.gathered);
	if (status != OK)
		return status;
	take_time(&judgement, evidence);
	evidence_gather_quality(query, evidence, result);
	result->verdict = decide(&judgement);
	say_shadows(&judgement);
	say_warnings(&judgement);
	result->final = result->verdict == VERDICT_PASS || result->verdict == VERDICT_FAIL ||
			result->verdict == VERDICT_INCONCLUSIVE;
	result->summary = summarise(&judgement);
	if (judgement.out_of_memory || result->summary.data == NULL)
		return ENOMEMORY;
	*ret_result = *result;
	return OK;
}

enum status gate_judge(const struct gate_query *query, const struct gate_facts *facts,
		       struct arena *arena, struct gate_result *ret_result)
{
	struct gate_evidence *evidence cleanup(gate_evidence_free) = NULL;
	enum status status = gate_evidence_new(query, &evidence, NULL);
	for (size_t i = 0; i < facts->bucket_count && status == OK; i++)
		status = gate_evidence_add(evidence, &facts->buckets[i], facts->instances,
					   facts->instance_count);
	struct gate_result result = {0};
	if (status == OK)
		status = gate_judge_evidence(query, facts, evidence, arena, &result);
	if (status != OK)
		return status;
	/* The evidence goes; what its result points to must stay. */
	size_t size = result.moment_count * sizeof *result.moments;
	struct gate_moment *moments = arena_alloc(arena, size);
	if (moments == NULL)
		return ENOMEMORY;
	if (size > 0)
		memcpy(moments, result.moments, size);
	result.moments = moments;
	*ret_result = result;
	return OK;
}
