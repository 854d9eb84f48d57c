/* cohort_rule - rules of type cohort_compare: outcomes of the gate that an analyst writes.
 *
 * Why: "a refund fails more often on the canary" is known to who wrote the service, not to us. Such
 * a rule names what is a trial and what is a bad one; the gate counts both by service and version
 * and judges them as it judges its own outcomes, by the same e-process.
 *
 * Meaning (docs/GATE.md): an event that one of the rule's detections matched is a trial of its
 * service and version, and a bad one when the numerator matched it, too. State: sums, and the first
 * event of each cause, of the ten seconds that are open (tally_private.h). Both are the same
 * whatever order they are added in, and a bucket is closed when the watermark has passed it: so the
 * order of arrival cannot matter. Oracle: tests/correlate/test_cohort_oracle.c.
 *
 * Invariant: what an event is to a rule depends on the detections that matched it alone.
 * Owner: plain data, views into the rule set. Thread: any. Limits: COHORT_RULES_MAX. */
#ifndef PICKET_CORRELATE_COHORT_RULE_H
#define PICKET_CORRELATE_COHORT_RULE_H

#include "correlate/gate.h"

/* Those of a rule set. */
struct cohort_rules {
	const struct rule *items[COHORT_RULES_MAX];
	size_t count;
};
struct cohort_rules cohort_rules_of(const struct ruleset *ruleset);

/* What an event is to them, given the detections that matched it (ascending): how many trials. */
size_t cohort_trials(const struct cohort_rules *rules, const uint32_t *matched,
		     size_t matched_count, struct cohort_trial trials[static COHORT_RULES_MAX]);

/* The rule as the gate judges it; it blocks, if at all, from the caller's blocks_from_us on. */
struct gate_rule gate_rule_of(const struct rule *rule, int64_t blocks_from_us);
/* What may not be called so: the name of an outcome of our own. EINVALID with file:line:column. */
enum status cohort_rules_check(const struct ruleset *ruleset, struct error *err);

#endif
