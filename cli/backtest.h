/* backtest - what rules would have found in the stored events, and what other ones find there.
 *
 * Why: a rule is changed at night because it is loud. Before the change goes live one wants to know
 * which alerts it takes away, and whether one of them had been a true positive.
 *
 * The events are read once, under one view of the store, through the engine of `picket scan`: rules
 * behave here as they do live, on event time, so the answer does not depend on the order of
 * arrival. What rules would still remember of before the span is read too (HISTORY_MAX_US at most),
 * and alerts that were over by then are left out. At the end everything is judged that the store's
 * watermark proves, and no more: a window that is not over raises nothing. An alert of the old
 * rules is *kept* when the new ones raise one of the same rule, tenant and group that overlaps it
 * in time, else *removed*; one of the new rules that overlaps none is *added*.
 *
 * Invariant: a report is complete or says why it is not. Owner: backtest_done(). Thread: one; the
 * progress may be read from another. Time: none is read. Limits: BACKTEST_HELD_MAX bytes of match
 * records of either rule set (the report then is incomplete), shown_max alerts a list: `not_shown`
 * says how many more there are. */
#ifndef PICKET_CLI_BACKTEST_H
#define PICKET_CLI_BACKTEST_H

#include <stdatomic.h>

#include "cli/json_writer.h"
#include "rules/ruleset.h"
#include "storage/store.h"

static const uint64_t BACKTEST_HELD_MAX = 1ULL << 30;

struct backtest_options {
	struct store *store;
	const struct ruleset *rules; /* to be tried */
	const struct ruleset *old;   /* to be compared with; NULL: none */
	int64_t since_us, until_us;
	struct text tenant; /* only its events; size 0 = of all */
	size_t shown_max;   /* alerts in each list of the report */
};

struct backtest_progress {
	atomic_ullong events;
	atomic_ullong estimate; /* so many events will be read, at most */
	atomic_bool cancelled;
};

/* The report, schema picket.backtest/1, into *to. ECLOSED: it was cancelled. */
enum status backtest_run(const struct backtest_options *options, struct backtest_progress *progress,
			 struct bytes *to, struct error *err);

#endif
