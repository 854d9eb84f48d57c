/* rule_trial - one entry of picket.tests, tried in the engine of `picket scan`.
 *
 * Why: a rule without a test is a hope. A trial feeds the events of the test, at their times, and
 * compares the alerts of that rule with what the test expects; with `permute` it does so again in
 * other orders of arrival, because the answer must not depend on the order.
 *
 * Invariant: the same test gives the same result (orders are drawn from a fixed seed).
 * Owner: the caller's struct. Thread: one. Limits: TRIAL_EVENTS_MAX events after `repeat`. */
#ifndef PICKET_CLI_RULE_TRIAL_H
#define PICKET_CLI_RULE_TRIAL_H

#include "rules/ruleset.h"

struct formats;

enum { TRIAL_EVENTS_MAX = 100000, TRIAL_ORDERS = 8 };

struct trial_result {
	bool passed;
	unsigned alerts; /* of the rule, in the first order */
	unsigned orders; /* how many were tried */
	char message[256];
};

/* What all trials of one command have in common; lent. */
struct trial_setting {
	const struct ruleset *ruleset;
	const struct formats *formats; /* how events are read, made ready once for all runs */
};

/* EINVALID when the test itself cannot be run (an event that is no JSON object, too many). */
enum status rule_trial(const struct trial_setting *setting, const struct rule *rule,
		       const struct rule_test *test, struct trial_result *ret_result,
		       struct error *err);

#endif
