/* How much of the past a unit needs to be as if it had always been there.
 *
 * An event matters as long as a window, a memory or an episode may hold it: two windows for one
 * that counts (an episode that is open began with a window before), what was learned for a memory.
 * A unit that feeds others needs what they need besides, since its firings are their events. */
#include "correlate/plan_private.h"

static int64_t longer(int64_t a_us, int64_t b_us)
{
	return a_us > b_us ? a_us : b_us;
}

static int64_t own_history(const struct unit *unit)
{
	const struct correlation *correlation = unit->rule->correlation;
	int64_t span_us = unit->timespan_us;
	if (unit->depth == 0)
		return 0; /* a plain detection remembers nothing but its open alert */
	switch (unit->judged) {
	case JUDGED_FIRST_SEEN:
		return longer(correlation->first_seen->backfill_us,
			      longer(span_us, correlation->first_seen->learn_us));
	case JUDGED_PEERS:
		return span_us;
	case JUDGED_BASELINE:
		return (int64_t)correlation->baseline->history * span_us;
	case JUDGED_TRAVEL:
		return longer(span_us, correlation->travel->known_us);
	case JUDGED_ABSENCE:
		return longer(span_us, correlation->absence->forget_us);
	case JUDGED_ALIGNED:
	case JUDGED_NAMES:
		return span_us > HISTORY_MAX_US / 3 ? HISTORY_MAX_US : 3 * span_us;
	default:
		return span_us > HISTORY_MAX_US / 2 ? HISTORY_MAX_US : 2 * span_us;
	}
}

int64_t plan_history(const struct plan *plan, const struct unit_filter *cold, int64_t *spans_us)
{
	int64_t most_us = 0;
	for (size_t u = plan->unit_count; u-- > 0;) {
		const struct unit *unit = &plan->units[u];
		int64_t above_us = 0;
		for (size_t i = 0; i < unit->parent_count; i++)
			above_us = longer(above_us, spans_us[unit->parents[i]]);
		bool needed = above_us > 0 || unit_filter_takes(cold, unit->state_id);
		spans_us[u] = needed ? above_us + own_history(unit) : 0;
		if (spans_us[u] > HISTORY_MAX_US)
			spans_us[u] = HISTORY_MAX_US;
		most_us = longer(most_us, spans_us[u]);
	}
	return most_us;
}

bool unit_filter_takes(const struct unit_filter *filter, uint64_t state_id)
{
	size_t low = 0;
	size_t high = filter->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (filter->ids[middle] < state_id)
			low = middle + 1;
		else
			high = middle;
	}
	bool named = low < filter->count && filter->ids[low] == state_id;
	return named != filter->except;
}
