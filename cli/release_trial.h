/* release_trial - what the canary gate would say of the events of a rule's test.
 *
 * Why: a rule of type cohort_compare raises no alerts; its test names a version and says what the
 * gate must find about it. So the events are counted as the daemon counts them, in buckets of 10 s,
 * and judged as the gate judges, under the policy `default` and as if the rule blocked by now.
 *
 * Invariant: the answer depends on the set of events, not on their order.
 * Owner: release_trial_free(). Thread: one. Limits: those of correlate/cohort.h. */
#ifndef PICKET_CLI_RELEASE_TRIAL_H
#define PICKET_CLI_RELEASE_TRIAL_H

#include "rules/ruleset.h"

struct release_trial;
enum status release_trial_new(const struct ruleset *ruleset, struct release_trial **ret_trial,
			      struct error *err);
void release_trial_free(struct release_trial **trial);

/* One event, with the detections that matched it. What fails is told by release_trial_end(). */
void release_trial_see(struct release_trial *trial, const struct event *event,
		       const struct matches *matches);
/* A word of rule_test.expect_outcome for this rule and version. Call once. */
enum status release_trial_end(struct release_trial *trial, const struct rule *rule,
			      struct text canary, struct text *ret_outcome, struct error *err);

#endif
