#include "cli/release_trial.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "correlate/cohort_rule.h"

enum { JUDGE_BYTES_MAX = 256 * 1024 * 1024 };

/* It protects nobody here, and a fixed one keeps the answer the same. */
static const struct hash_key KEY = {"picket test key"};

struct release_trial {
	struct cohort_rules rules;
	struct cohort_counter *counter;
	enum status status; /* sticky */
};

enum status release_trial_new(const struct ruleset *ruleset, struct release_trial **ret_trial,
			      struct error *err)
{
	struct release_trial *trial cleanup(release_trial_free) = calloc(1, sizeof *trial);
	if (trial == NULL)
		return error_set(err, ENOMEMORY, "no memory for a test");
	trial->rules = cohort_rules_of(ruleset);
	enum status status = cohort_counter_new(&KEY, &trial->counter, err);
	if (status == OK)
		*ret_trial = TAKE(trial);
	return status;
}

void release_trial_free(struct release_trial **trial)
{
	if (*trial == NULL)
		return;
	cohort_counter_free(&(*trial)->counter);
	free(*trial);
	*trial = NULL;
}

void release_trial_see(struct release_trial *trial, const struct event *event,
		       const struct matches *matches)
{
	struct cohort_trial trials[COHORT_RULES_MAX];
	size_t count = cohort_trials(&trial->rules, matches->rules, matches->count, trials);
	if (trial->status == OK)
		trial->status = cohort_count_trials(trial->counter, event, trials, count);
}

static struct text outcome_of(const struct gate_result *result)
{
	switch (result->rules[0].outcome.state) {
	case NI_REJECTED:
		return result->failed_at_us == INT64_MIN ? TEXT("unconfirmed") : TEXT("worse");
	case NI_ACCEPTED:
		return TEXT("not worse");
	case NI_ABSENT:
		return TEXT("absent");
	default:
		return TEXT("open");
	}
}

static enum status judge(const struct cohort_changes *changes, const struct rule *rule,
			 struct text canary, struct text *ret_outcome)
{
	struct arena *arena cleanup(arena_free) = arena_new(JUDGE_BYTES_MAX);
	struct gate_rule judged = gate_rule_of(rule, INT64_MIN);
	judged.blocks_from_us = INT64_MIN;
	struct gate_facts facts = {.buckets = changes->buckets,
				   .bucket_count = changes->bucket_count,
				   .latched_us = INT64_MIN,
				   .watermark_us = INT64_MAX};
	struct gate_query query = {.canary = {ARM_ANY, canary},
				   .step_start_us = INT64_MIN,
				   .after_us = INT64_MIN,
				   .pardon_us = INT64_MIN,
				   .share = NAN,
				   .rules = &judged,
				   .rule_count = 1,
				   .policy = gate_policy_default()};
	struct gate_result result;
	*ret_outcome = TEXT("absent");
	if (changes->bucket_count == 0)
		return OK;
	query.service = changes->buckets[0].service;
	if (arena == NULL)
		return ENOMEMORY;
	enum status status = gate_judge(&query, &facts, arena, &result);
	if (status == OK)
		*ret_outcome = outcome_of(&result);
	return status;
}

enum status release_trial_end(struct release_trial *trial, const struct rule *rule,
			      struct text canary, struct text *ret_outcome, struct error *err)
{
	struct cohort *cohort cleanup(cohort_free) = NULL;
	struct bytes aggregates cleanup(bytes_done) = {0};
	struct record_sink sink = {&aggregates, 1};
	assert(rule->correlation->cohort != NULL);
	enum status status = trial->status;
	if (status == OK)
		status = cohort_flush(trial->counter, &sink);
	if (status != OK)
		return error_set(err, status, "the counts of a test: %s", status_text(status));
	status = cohort_new(0, 1, &cohort, err);
	if (status == OK)
		status = cohort_feed(cohort, bytes_text(&aggregates), err);
	if (status == OK)
		status = cohort_close(cohort, INT64_MAX, err);
	if (status != OK)
		return status;
	struct cohort_changes changes = cohort_changes(cohort);
	status = judge(&changes, rule, canary, ret_outcome);
	return status == OK ? OK : error_set(err, status, "no memory to judge a test");
}
