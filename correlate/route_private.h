/* route_private - what an event (route.c) and a firing (firing.c) put into match records alike.
 *
 * Why: a chained rule is to a correlation what a detection is; their records have one form.
 *
 * Invariant: a value is written the same way by both. Owner: the buffers given. Thread: any.
 * Limits: those of record.h. */
#ifndef PICKET_CORRELATE_ROUTE_PRIVATE_H
#define PICKET_CORRELATE_ROUTE_PRIVATE_H

#include "correlate/plan_private.h"

/* One event on its way: the plan is shared by all workers, so scratch is on the stack. */
struct router {
	const struct plan *plan;
	const struct event *event;
	uint8_t flags;
	const struct record_sink *sink;
	struct route_counters *counters;
	struct bytes *context; /* built for the first record, empty until then */
	struct bytes *groups;  /* the unit's groups so far: a sequence of texts */
	size_t group_count;
	uint64_t references[PLAN_GROUPS_MAX]; /* which references lead to each group, as bits */
	struct bytes *values;                 /* of one record */
};

/* Joins the groups that the event has for one reference of the unit. */
enum status route_collect_groups(struct router *router, const struct unit *unit, size_t reference);

bool unit_is_temporal(const struct unit *unit);

/* The references of a temporal rule, as bits: one text of one byte each; of a sequence: tagged. */
void route_put_references(uint64_t references, struct bytes *to);
void route_put_steps(uint64_t references, struct bytes *to);

/* The group of an entity: with its field where entities are of any field. */
void route_put_entity(const struct unit *unit, struct text field, struct text value,
		      struct bytes *group);
/* What a match of the rule adds to the entity: the record gets state, values and partition; no
 * values when the entity weighs nothing. */
enum status route_put_addition(const struct plan *plan, const struct unit *unit,
			       const struct rule *rule, struct text value,
			       struct match_record *record, struct bytes *values);

void sink_put(const struct record_sink *sink, const struct match_record *record);
enum status sink_status(const struct record_sink *sink);

#endif
