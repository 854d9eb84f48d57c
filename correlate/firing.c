/* From a firing to match records: a child's condition held at an event, and what is above it takes
 * that as an event of its own. A firing has the child's tenant and group fields, and the time,
 * origin and context of its event; plan_new() has made sure that nothing else is asked for. */
#include <assert.h>

#include "correlate/peers.h"
#include "correlate/route_private.h"
#include "correlate/values_private.h"

/* The value the child's group has for a field; it has one, plan_new() made sure of it. */
static struct text exported(const struct unit *child, struct text group, struct text field)
{
	struct cursor from = cursor_of(group);
	for (size_t i = 0; i < child->group_by_count; i++) {
		struct text value = cursor_text(&from);
		if (text_equal(child->group_by[i].name, field))
			return value;
	}
	assert(text_equal(field, TEXT("tenant.id")));
	return TEXT("-");
}

/* Which reference of the parent the child is. */
static size_t reference_of(const struct unit *parent, const struct unit *child)
{
	const struct correlation *correlation = parent->rule->correlation;
	size_t reference = 0;
	while (reference < correlation->rule_count &&
	       correlation->rules[reference] != child->rule->index)
		reference++;
	assert(reference < correlation->rule_count);
	return reference;
}

/* The parent's group of a firing. */
static enum status firing_group(const struct unit *parent, const struct unit *child,
				struct text group, struct bytes *to)
{
	size_t reference = reference_of(parent, child);
	bytes_clear(to);
	for (size_t f = 0; f < parent->group_by_count; f++)
		bytes_put_text(to, exported(child, group, unit_field(parent, f, reference)));
	return bytes_status(to);
}

/* Which group of the first_seen above shows its value to these peers. */
static enum status firing_member(const struct plan *plan, const struct unit *peers,
				 const struct unit *child, const struct match_record *firing,
				 struct bytes *to)
{
	const struct unit *above = &plan->units[peers->parents[0]];
	struct text tenant = peers->rule->cross_tenant ? TEXT("") : firing->tenant;
	struct bytes member cleanup(bytes_done) = {0};
	if (firing_group(above, child, firing->group, &member) != OK)
		return ENOMEMORY;
	peers_put_member(plan, above, tenant, bytes_text(&member), to);
	return bytes_status(to);
}

/* What a firing of the child shows to the parent's condition. */
static enum status firing_values(const struct unit *parent, const struct unit *child,
				 struct text group, struct bytes *to)
{
	const struct correlation *correlation = parent->rule->correlation;
	assert(correlation->field_count == 0 ||
	       unit_takes_names(parent)); /* plan_new() refuses the rest */
	if (unit_is_temporal(parent))
		route_put_references(UINT64_C(1) << reference_of(parent, child), to);
	if (parent->judged == JUDGED_SEQUENCE)
		route_put_steps(UINT64_C(1) << reference_of(parent, child), to);
	if (!unit_takes_names(parent))
		return bytes_status(to);
	struct bytes tuple cleanup(bytes_done) = {0};
	for (size_t i = 0; i < correlation->field_count; i++)
		bytes_put_text(&tuple, exported(child, group, correlation->fields[i]));
	if (bytes_status(&tuple) != OK)
		return ENOMEMORY;
	values_put_tuple(bytes_text(&tuple), to);
	return bytes_status(to);
}

/* What a firing adds to the entities that the child's group names. */
static enum status firing_risk(const struct plan *plan, const struct unit *parent,
			       const struct unit *child, const struct match_record *firing,
			       const struct record_sink *sink)
{
	struct bytes group cleanup(bytes_done) = {0};
	struct bytes values cleanup(bytes_done) = {0};
	const struct risk_score *risk = child->rule->risk;
	struct match_record record = *firing;
	record.tenant = parent->rule->cross_tenant ? TEXT("") : firing->tenant;
	for (size_t i = 0; i < risk->on_count; i++) {
		struct text field = risk->on[i];
		if (!unit_is_of_entities(parent) && !text_equal(field, parent->group_by[0].name))
			continue;
		struct text value = exported(child, firing->group, field);
		route_put_entity(parent, field, value, &group);
		record.group = bytes_text(&group);
		if (route_put_addition(plan, parent, child->rule, value, &record, &values) != OK ||
		    bytes_status(&group) != OK)
			return ENOMEMORY;
		if (record.values.size > 0)
			sink_put(sink, &record);
	}
	return OK;
}

enum status plan_route_firing(const struct plan *plan, const struct unit *child,
			      const struct match_record *firing, const struct record_sink *sink)
{
	struct bytes group cleanup(bytes_done) = {0};
	struct bytes values cleanup(bytes_done) = {0};
	for (size_t i = 0; i < child->parent_count; i++) {
		const struct unit *parent = &plan->units[child->parents[i]];
		if (parent->judged == JUDGED_RISK) {
			enum status status = firing_risk(plan, parent, child, firing, sink);
			if (status != OK)
				return status;
			continue;
		}
		bytes_clear(&values);
		enum status status = firing_group(parent, child, firing->group, &group);
		if (status == OK)
			status = parent->judged == JUDGED_PEERS
					 ? firing_member(plan, parent, child, firing, &values)
					 : firing_values(parent, child, firing->group, &values);
		if (status != OK)
			return status;
		struct match_record record = *firing;
		record.state_id = parent->state_id;
		record.tenant = parent->rule->cross_tenant ? TEXT("") : firing->tenant;
		record.group = bytes_text(&group);
		record.values = bytes_text(&values);
		record.virtual_partition =
			virtual_partition_of(&plan->key, record.tenant, record.group);
		sink_put(sink, &record);
	}
	return sink_status(sink);
}

/* The value is the last of what the peers are grouped by, and stands as a first_seen hashes it. */
enum status plan_route_answer(const struct plan *plan, const struct unit *peers,
			      const struct match_record *like, const struct window_answer *answer,
			      const struct record_sink *sink)
{
	struct bytes tuple cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	struct bytes values cleanup(bytes_done) = {0};
	struct bytes cell cleanup(bytes_done) = {0};
	struct cursor from = cursor_of(like->group);
	for (size_t i = 0; i < peers->group_by_count; i++) {
		struct text part = cursor_text(&from);
		if (i >= peers->rule->correlation->first_seen->peers_by_count)
			bytes_put_text(&tuple, part);
	}
	values_put_tuple(bytes_text(&tuple), &value);
	struct cursor shown = cursor_of(bytes_text(&value));
	values_put_tagged(FIRST_SEEN_COMMON, record_value_hash(&plan->key, cursor_text(&shown)),
			  &values);
	bytes_put_text(&cell,
		       (struct text){(const char *)answer->cell.bytes, sizeof answer->cell.bytes});
	if (bytes_status(&tuple) != OK || bytes_status(&value) != OK ||
	    bytes_status(&values) != OK || bytes_status(&cell) != OK)
		return ENOMEMORY;
	sink_put(sink, &(struct match_record){
			       .virtual_partition = answer->virtual_partition,
			       .state_id = plan->units[peers->parents[0]].state_id,
			       .flags = RECORD_ANSWER,
			       .time_us = answer->time_us,
			       .tenant = like->tenant,
			       .group = bytes_text(&cell),
			       .origin = {.topic = TEXT("")},
			       .context = TEXT(""),
			       .values = bytes_text(&values),
		       });
	return sink_status(sink);
}
