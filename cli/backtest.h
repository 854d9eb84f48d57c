/* backtest - what rules would have found in the stored events, and what other ones find there.
 *
 * Why: a rule is changed at night because it is loud. Before the change goes live one wants to know
 * which alerts it takes away, and whether one of them had been a true positive.
 *
 * The events are read once, under one view of the store, through the engine of `picket scan`: rules
 * behave here as they do live, on event time, so the answer does not depend on the order of
 * arrival. An alert of the old rules is *kept* when the new ones raise one of the same rule, tenant
 * and group that overlaps it in time, else *removed*; one of the new rules that overlaps none is
 * *added*.
 *
 * Invariant: a report is complete or says why it is not. Owner: backtest_done(). Thread: one; the
 * progress may be read from another. Time: none is read. Limits: BACKTEST_HELD_MAX bytes of match
 * records of either rule set (the report then is incomplete), BACKTEST_SHOWN_MAX alerts a list. */
#ifndef PICKET_CLI_BACKTEST_H
#define PICKET_CLI_BACKTEST_H

#include <stdatomic.h>

#include "cli/json_writer.h"
#include "rules/ruleset.h"
#include "storage/store.h"

enum { BACKTEST_SHOWN_MAX = 100 };
static const uint64_t BACKTEST_HELD_MAX = 1ULL << 30;

struct backtest_options {
	struct store *store;
	const struct ruleset *rules; /* to be tried */
	const struct ruleset *old;   /* to be compared with; NULL: none */
	int64_t since_us, until_us;
	struct text tenant; /* only its events; size 0 = of all */
};

struct backtest_progress {
	atomic_ullong events;
	atomic_llong time_us; /* event time that is being read: since_us .. until_us, roughly */
	atomic_bool cancelled;
};

/* The report, schema picket.backtest/1, into *to. ECLOSED: it was cancelled. */
enum status backtest_run(const struct backtest_options *options, struct backtest_progress *progress,
			 struct bytes *to, struct error *err);

#endif
