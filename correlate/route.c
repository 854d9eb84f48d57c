/* From a matched event to match records: which groups of which units it joins.
 *
 * A unit takes an event once per group, however many of its rules matched and however many values
 * lead to that group. Groups are built as the product of the values of each field, bounded by
 * PLAN_GROUPS_MAX. A correlation without a value for a field takes no part (and is counted); the
 * dedup key of a plain detection may have gaps, because a detection must never stay silent.
 *
 * The function keeps no state: the plan is shared by all workers, so its scratch is on the stack
 * and in two buffers that live for one event. */
#include <assert.h>
#include <sodium.h>
#include <stdio.h>

#include "correlate/judge.h"
#include "correlate/peers.h"
#include "correlate/risk.h"
#include "correlate/route_private.h"
#include "correlate/sequence.h"
#include "correlate/travel.h"
#include "correlate/values_private.h"

enum {
	DIGEST_BYTES = 16,
	DIGEST_TAIL = 1 + 2 * DIGEST_BYTES, /* '~' and hex digits */
	ENTITY_BYTES_MAX = 1024,            /* the value of an entity; its field beside it */
};

/* One value into a group. A long one is cut to its share and ends in a digest of the whole, so
 * that two long values with the same beginning stay two groups. */
static void put_value(struct text value, size_t share, struct bytes *to, size_t *cut_count)
{
	assert(share > DIGEST_TAIL);
	if (value.size <= share) {
		bytes_put_text(to, value);
		return;
	}
	unsigned char digest[DIGEST_BYTES];
	char hex[DIGEST_TAIL + 1] = "~";
	(void)crypto_generichash(digest, sizeof digest, (const unsigned char *)value.data,
				 value.size, NULL, 0);
	for (size_t i = 0; i < sizeof digest; i++)
		(void)snprintf(hex + 1 + 2 * i, 3, "%02x", digest[i]);
	bytes_put_varint(to, share);
	bytes_put(to, value.data, share - DIGEST_TAIL);
	bytes_put(to, hex, DIGEST_TAIL);
	(*cut_count)++;
}

/* Which of the groups so far it is; their number when it is none of them. */
static size_t groups_find(const struct router *router, struct text group)
{
	struct cursor from = cursor_of(bytes_text(router->groups));
	size_t at = 0;
	while (at < router->group_count && !text_equal(cursor_text(&from), group))
		at++;
	return at;
}

/* Combination number `number` of the values: the first field turns slowest. */
static void put_combination(const struct values *values, size_t field_count, size_t number,
			    struct bytes *group, size_t *cut_count)
{
	size_t share = field_count == 0 ? 0 : RECORD_GROUP_BYTES_MAX / field_count - 2;
	size_t weight = 1;
	for (size_t i = 0; i < field_count; i++)
		weight *= values[i].count;
	for (size_t i = 0; i < field_count; i++) {
		weight /= values[i].count;
		size_t which = number / weight % values[i].count;
		put_value(values[i].items[which], share, group, cut_count);
	}
}

/* ELIMIT when it is one group too many. */
static enum status group_join(struct router *router, struct text group, size_t reference,
			      size_t cut_count)
{
	size_t at = groups_find(router, group);
	if (at == PLAN_GROUPS_MAX) {
		router->counters->group_values_cut++;
		return ELIMIT;
	}
	if (at == router->group_count) {
		router->counters->group_values_cut += cut_count;
		bytes_put_text(router->groups, group);
		router->references[router->group_count++] = 0;
	}
	if (reference < JUDGE_STEPS_MAX)
		router->references[at] |= UINT64_C(1) << reference;
	return OK;
}

enum status route_collect_groups(struct router *router, const struct unit *unit, size_t reference)
{
	struct values values[RULES_GROUP_BY_MAX];
	size_t total = 1;
	for (size_t i = 0; i < unit->group_by_count; i++) {
		values_collect(router->event, unit_field(unit, i, reference), &values[i]);
		if (values[i].count == 0 && unit->depth == 0)
			values[i].items[values[i].count++] = (struct text){"", 0};
		if (values[i].count == 0) {
			router->counters->group_field_missing++;
			return OK;
		}
		total *= values[i].count; /* at most 16^8 */
		router->counters->group_values_cut += values[i].cut;
	}
	enum status status = OK;
	struct bytes group cleanup(bytes_done) = {0};
	for (size_t number = 0; status == OK && number < total; number++) {
		size_t cut_count = 0;
		bytes_clear(&group);
		put_combination(values, unit->group_by_count, number, &group, &cut_count);
		if (bytes_status(&group) != OK)
			return ENOMEMORY;
		status = group_join(router, bytes_text(&group), reference, cut_count);
	}
	return bytes_status(router->groups);
}

/* What an analyst wants to see beside the origin: a few fields, first value each, bounded. */
static void context_build(const struct event *event, struct bytes *to)
{
	enum { SHARE = 70 };
	static_assert(RULES_SHOWN_FIELDS * (SHARE + 32) <= RECORD_CONTEXT_BYTES_MAX);
	for (size_t i = 0; i < RULES_SHOWN_FIELDS; i++) {
		struct text value = event_text(event, rules_shown_fields[i]);
		if (value.size == 0)
			continue;
		bytes_put_text(to, schema_info(rules_shown_fields[i])->name);
		bytes_put_text(to,
			       (struct text){value.data, value.size < SHARE ? value.size : SHARE});
	}
}

void sink_put(const struct record_sink *sink, const struct match_record *record)
{
	assert(sink->actor_count > 0);
	record_encode(record, &sink->by_actor[record->virtual_partition % sink->actor_count]);
}

enum status sink_status(const struct record_sink *sink)
{
	for (unsigned i = 0; i < sink->actor_count; i++)
		if (bytes_status(&sink->by_actor[i]) != OK)
			return ENOMEMORY;
	return OK;
}

/* The references of a temporal rule: one text of one byte each. */
void route_put_references(uint64_t references, struct bytes *to)
{
	for (unsigned r = 0; r < JUDGE_STEPS_MAX; r++) {
		if ((references >> r & 1) == 0)
			continue;
		bytes_put_varint(to, 1);
		bytes_put_u8(to, (uint8_t)r);
	}
}

bool unit_is_temporal(const struct unit *unit)
{
	return unit->type == CORRELATION_TEMPORAL || unit->type == CORRELATION_TEMPORAL_ORDERED;
}

/* What a sequence joins its steps on, behind the references that route_put_steps() writes. */
static void put_joins(const struct router *router, const struct unit *unit, struct bytes *to)
{
	const struct sequence_terms *terms = unit->rule->correlation->sequence;
	for (size_t i = 0; i < terms->field_count; i++) {
		struct values values;
		values_collect(router->event, terms->fields[i], &values);
		router->counters->group_values_cut += values.count > 1;
		if (values.count > 0)
			values_put_tagged((uint8_t)(SEQUENCE_VALUE_TAG + i),
					  record_value_hash(&router->plan->key, values.items[0]),
					  to);
	}
}

void route_put_steps(uint64_t references, struct bytes *to)
{
	for (uint8_t r = 0; r < JUDGE_STEPS_MAX; r++)
		if ((references >> r & 1) != 0)
			values_put_tagged(r, 0, to);
}

/* What the event shows to a condition over values. An event without a value takes no part. */
static enum status collect_values(struct router *router, const struct unit *unit)
{
	const struct correlation *correlation = unit->rule->correlation;
	size_t cut_count = 0;
	enum status status = OK;
	bytes_clear(router->values);
	if (correlation != NULL && unit_takes_names(unit))
		status = values_put_tuples(router->event, correlation->fields,
					   correlation->field_count, router->values, &cut_count);
	else if (unit->type == CORRELATION_VALUE_SUM && !unit->gated)
		cut_count =
			values_put_amount(router->event, correlation->fields[0], router->values);
	else if (unit->judged == JUDGED_TRAVEL)
		travel_put_place(router->event, correlation->travel, &router->plan->key,
				 router->values);
	else if (correlation != NULL && correlation->field_count > 0)
		cut_count =
			values_put_samples(router->event, correlation->fields[0], router->values);
	else
		return OK;
	if (status == OK && bytes_status(router->values) == OK && router->values->size == 0) {
		router->group_count = 0;
		bytes_clear(router->groups);
		router->counters->group_field_missing++;
	}
	router->counters->group_values_cut += cut_count;
	return status == OK ? bytes_status(router->values) : status;
}

/* What all records of the event for the unit have in common. */
static struct match_record record_of(struct router *router, const struct unit *unit)
{
	if (router->context->size == 0)
		context_build(router->event, router->context);
	return (struct match_record){
		.state_id = unit->state_id,
		.flags = router->flags,
		.time_us = router->event->time_us,
		.tenant = unit->rule->cross_tenant ? TEXT("") : router->event->owner,
		.origin = router->event->origin,
		.context = unit->judged == JUDGED_PEERS ? TEXT("") : bytes_text(router->context),
	};
}

/* One record per group collected. */
static enum status emit_groups(struct router *router, const struct unit *unit)
{
	struct match_record record = record_of(router, unit);
	if (bytes_status(router->context) != OK)
		return ENOMEMORY;
	struct cursor from = cursor_of(bytes_text(router->groups));
	for (size_t g = 0; g < router->group_count; g++) {
		record.group = cursor_text(&from);
		if (unit_is_temporal(unit)) {
			bytes_clear(router->values);
			route_put_references(router->references[g], router->values);
		} else if (unit->judged == JUDGED_SEQUENCE) {
			bytes_clear(router->values);
			route_put_steps(router->references[g], router->values);
			put_joins(router, unit, router->values);
		}
		record.values = bytes_text(router->values);
		record.virtual_partition =
			virtual_partition_of(&router->plan->key, record.tenant, record.group);
		sink_put(router->sink, &record);
		router->counters->records++;
	}
	return bytes_status(router->values);
}

void route_put_entity(const struct unit *unit, struct text field, struct text value,
		      struct bytes *group)
{
	size_t cut_count = 0;
	bytes_clear(group);
	if (unit_is_of_entities(unit))
		bytes_put_text(group, field);
	put_value(value, ENTITY_BYTES_MAX, group, &cut_count);
}

/* One record for one entity: what a match of the rule adds to it. */
enum status route_put_addition(const struct plan *plan, const struct unit *unit,
			       const struct rule *rule, struct text value,
			       struct match_record *record, struct bytes *values)
{
	const struct risk_source source = {record_value_hash(&plan->key, rule->key), rule};
	bytes_clear(values);
	risk_put(unit, &source, value, values);
	record->state_id = unit->state_id;
	record->values = bytes_text(values);
	record->virtual_partition = virtual_partition_of(&plan->key, record->tenant, record->group);
	return bytes_status(values);
}

/* What one rule that matched adds to the entities that the event names. */
static enum status route_risk(struct router *router, const struct unit *unit,
			      const struct rule *rule)
{
	struct bytes group cleanup(bytes_done) = {0};
	struct match_record record = record_of(router, unit);
	size_t named = 0;
	if (bytes_status(router->context) != OK)
		return ENOMEMORY;
	for (size_t i = 0; i < rule->risk->on_count; i++) {
		struct values entities;
		struct text field = rule->risk->on[i];
		if (!unit_is_of_entities(unit) && !text_equal(field, unit->group_by[0].name))
			continue;
		values_collect(router->event, field, &entities);
		router->counters->group_values_cut += entities.cut;
		for (size_t k = 0; k < entities.count; k++) {
			route_put_entity(unit, field, entities.items[k], &group);
			record.group = bytes_text(&group);
			if (route_put_addition(router->plan, unit, rule, entities.items[k], &record,
					       router->values) != OK ||
			    bytes_status(&group) != OK)
				return ENOMEMORY;
			named++;
			if (record.values.size == 0)
				continue; /* it weighs nothing */
			sink_put(router->sink, &record);
			router->counters->records++;
		}
	}
	router->counters->group_field_missing += named == 0;
	return OK;
}

/* Whether the event matched the rule; rules are ascending. */
static bool rules_hold(const uint32_t *rules, size_t rule_count, uint32_t rule)
{
	size_t low = 0;
	size_t high = rule_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (rules[middle] < rule)
			low = middle + 1;
		else
			high = middle;
	}
	return low < rule_count && rules[low] == rule;
}

/* Which groups of the first_seen above show their values to these peers. */
static enum status collect_members(struct router *router, const struct unit *unit,
				   const uint32_t *rules, size_t rule_count)
{
	const struct unit *above = &router->plan->units[unit->parents[0]];
	const struct correlation *correlation = unit->rule->correlation;
	struct route_counters counted_above = {0};
	struct bytes groups cleanup(bytes_done) = {0};
	struct router members = *router;
	members.counters = &counted_above;
	members.groups = &groups;
	members.group_count = 0;
	for (size_t r = 0; r < correlation->rule_count; r++) {
		if (!rules_hold(rules, rule_count, correlation->rules[r]))
			continue;
		enum status status = route_collect_groups(&members, above, r);
		if (status != OK)
			return status;
	}
	bytes_clear(router->values);
	struct cursor from = cursor_of(bytes_text(&groups));
	struct text tenant = unit->rule->cross_tenant ? TEXT("") : router->event->owner;
	for (size_t i = 0; i < members.group_count; i++)
		peers_put_member(router->plan, above, tenant, cursor_text(&from), router->values);
	if (members.group_count == 0)
		router->group_count = 0; /* nobody shows it */
	return bytes_status(router->values);
}

/* All records of one unit, when `first` is the smallest of its rules that matched. */
static enum status route_unit(struct router *router, const struct unit *unit, uint32_t first,
			      const uint32_t *rules, size_t rule_count)
{
	const struct correlation *correlation = unit->rule->correlation;
	size_t references = unit->depth == 0 ? 1 : correlation->rule_count;
	for (size_t r = 0; unit->depth > 0 && r < references; r++)
		if (correlation->rules[r] < first &&
		    rules_hold(rules, rule_count, correlation->rules[r]))
			return OK; /* done when that rule's turn was */
	bytes_clear(router->groups);
	router->group_count = 0;
	for (size_t r = 0; r < references; r++) {
		if (unit->depth > 0 && !rules_hold(rules, rule_count, correlation->rules[r]))
			continue;
		enum status status = route_collect_groups(router, unit, r);
		if (status != OK)
			return status;
	}
	enum status status = unit->judged == JUDGED_PEERS
				     ? collect_members(router, unit, rules, rule_count)
				     : collect_values(router, unit);
	return status == OK ? emit_groups(router, unit) : status;
}

enum status plan_route(const struct plan *plan, const struct event *event, const uint32_t *rules,
		       size_t rule_count, uint8_t flags, const struct record_sink *sink,
		       struct route_counters *counters)
{
	struct bytes context cleanup(bytes_done) = {0};
	struct bytes groups cleanup(bytes_done) = {0};
	struct bytes values cleanup(bytes_done) = {0};
	struct router router = {.plan = plan,
				.event = event,
				.flags = flags,
				.sink = sink,
				.counters = counters,
				.context = &context,
				.groups = &groups,
				.values = &values};
	for (size_t i = 0; i < rule_count; i++) {
		assert(i == 0 || rules[i - 1] < rules[i]);
		uint32_t end = plan->feed_start[rules[i] + 1];
		for (uint32_t f = plan->feed_start[rules[i]]; f < end; f++) {
			const struct unit *unit = &plan->units[plan->feeds[f].unit];
			enum status status =
				unit->judged == JUDGED_RISK
					? route_risk(&router, unit,
						     ruleset_rule(plan->ruleset, rules[i]))
					: route_unit(&router, unit, rules[i], rules, rule_count);
			if (status != OK)
				return status;
		}
	}
	return sink_status(sink);
}
