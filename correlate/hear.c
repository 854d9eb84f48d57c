/* Who has logged anything at all, for absence rules whose members are whoever was seen.
 *
 * Such a rule is told of every event, whatever rules it matched; but of a group it needs to know no
 * more than in which seconds something came. So an event is told as of the end of its second, which
 * is not before the event: nobody is awaited from earlier on than that. All events of a second are
 * the same record then, and what was told since the last flush is left out where it is remembered;
 * telling it again does no harm. So neither the cut into epochs nor the number of workers shows. */
#include "correlate/absence.h"
#include "correlate/gated.h"
#include "correlate/route_private.h"
#include "correlate/values_private.h"

/* The end of the second: an event of any time in it says no more than that. */
static int64_t second_of(int64_t time_us)
{
	static const int64_t second_us = 1000000;
	int64_t into_us = time_us % second_us;
	if (into_us == 0)
		return time_us;
	return time_after(time_us, into_us < 0 ? -into_us : second_us - into_us);
}

/* Whether the same was told since the last flush, as far as is remembered. */
static bool heard_already(struct hearing *hearing, const struct plan *plan,
			  const struct match_record *record)
{
	struct cell_key key =
		record_cell_key(&plan->key, record->state_id, record->tenant, record->group);
	uint64_t hash = 0;
	memcpy(&hash, key.bytes, sizeof hash);
	hash ^= (uint64_t)record->time_us * UINT64_C(0x9E3779B97F4A7C15) + record->flags;
	uint64_t *slot = &hearing->slots[hash % HEARD_SLOTS];
	bool already = *slot == hash;
	*slot = hash;
	return already;
}

static enum status hear_groups(struct router *router, const struct unit *unit,
			       struct hearing *hearing)
{
	struct match_record record = {
		.state_id = unit->state_id,
		.flags = router->flags,
		.time_us = second_of(router->event->time_us),
		.tenant = unit->rule->cross_tenant ? TEXT("") : router->event->owner,
		.origin = router->event->origin,
		.values = bytes_text(router->values),
	};
	struct cursor from = cursor_of(bytes_text(router->groups));
	for (size_t g = 0; g < router->group_count; g++) {
		record.group = cursor_text(&from);
		if (heard_already(hearing, router->plan, &record))
			continue;
		record.virtual_partition =
			virtual_partition_of(&router->plan->key, record.tenant, record.group);
		sink_put(router->sink, &record);
		hearing->records++;
	}
	return OK;
}

enum status plan_hear(const struct plan *plan, const struct event *event, uint8_t flags,
		      struct hearing *hearing, const struct record_sink *sink)
{
	if (plan->hearing_count == 0)
		return OK;
	struct bytes groups cleanup(bytes_done) = {0};
	struct bytes values cleanup(bytes_done) = {0};
	struct route_counters counters = {0}; /* of events that match: this one need not */
	struct router router = {.plan = plan,
				.event = event,
				.flags = flags,
				.sink = sink,
				.counters = &counters,
				.groups = &groups,
				.values = &values};
	values_put_tagged(ABSENCE_HEARD, 0, &values);
	enum status status = bytes_status(&values);
	for (size_t i = 0; status == OK && i < plan->hearing_count; i++) {
		const struct unit *unit = &plan->units[plan->hearing[i]];
		bytes_clear(&groups);
		router.group_count = 0;
		status = route_collect_groups(&router, unit, 0);
		if (status == OK)
			status = hear_groups(&router, unit, hearing);
	}
	return status == OK ? sink_status(sink) : status;
}
