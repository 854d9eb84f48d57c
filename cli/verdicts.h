/* verdicts - what people closed the alerts of each rule as: how often a rule was right.
 *
 * Why: a rule that is wrong nine times of ten is one that nobody reads the tenth time; the list of
 * rules shows it. Invariant: only alerts that are closed count, by their last closing; benign ones
 * (real, but no harm) and false positives count against the rule, duplicates and tests do not.
 * Owner: verdicts_free(). Thread: any. Limits: none of its own; every alert is looked at. */
#ifndef PICKET_CLI_VERDICTS_H
#define PICKET_CLI_VERDICTS_H

#include "rules/ruleset.h"
#include "storage/store.h"

struct verdicts {
	uint64_t true_positives, false_positives, benign;
};

/* One for each rule, by index. */
enum status verdicts_read(struct store *store, const struct ruleset *ruleset,
			  struct verdicts **ret_verdicts, struct error *err);
void verdicts_free(struct verdicts **verdicts);

/* True positives of all that count; -1 when none does. */
double verdicts_precision(const struct verdicts *verdicts);

#endif
