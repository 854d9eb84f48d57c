/* From a firing to match records: a child's condition held at an event, and what is above it takes
 * that as an event of its own. A firing has the child's tenant and group fields, and the time,
 * origin and context of its event; plan_new() has made sure that nothing else is asked for. */
#include <assert.h>

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

/* What a firing of the child shows to the parent's condition. */
static enum status firing_values(const struct unit *parent, const struct unit *child,
				 struct text group, struct bytes *to)
{
	const struct correlation *correlation = parent->rule->correlation;
	assert(correlation->field_count == 0 || parent->type == CORRELATION_VALUE_COUNT ||
	       parent->judged == JUDGED_FIRST_SEEN); /* plan_new() refuses the rest */
	if (unit_is_temporal(parent))
		route_put_references(UINT64_C(1) << reference_of(parent, child), to);
	if (parent->judged == JUDGED_SEQUENCE)
		route_put_steps(UINT64_C(1) << reference_of(parent, child), to);
	if (parent->type != CORRELATION_VALUE_COUNT && parent->judged != JUDGED_FIRST_SEEN)
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
		size_t reference = reference_of(parent, child);
		bytes_clear(&group);
		for (size_t f = 0; f < parent->group_by_count; f++)
			bytes_put_text(&group, exported(child, firing->group,
							unit_field(parent, f, reference)));
		bytes_clear(&values);
		if (bytes_status(&group) != OK ||
		    firing_values(parent, child, firing->group, &values) != OK)
			return ENOMEMORY;
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
