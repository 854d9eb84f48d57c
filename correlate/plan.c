/* From rules to units. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "correlate/cohort_rule.h"
#include "correlate/plan_private.h"
#include "correlate/risk.h"

enum { PLAN_BYTES_MAX = 1 << 30 };

static const int64_t default_dedup_us = INT64_C(3600) * 1000000;

static const struct group_field default_dedup[] = {
	{.name = {"user.id", 7}},
	{.name = {"source.ip", 9}},
	{.name = {"service.name", 12}},
};

static bool exports(const struct rule *child, struct text field)
{
	if (text_equal(field, TEXT("tenant.id")))
		return true; /* absent is "-", never missing */
	for (size_t i = 0; i < child->correlation->group_by_count; i++)
		if (text_equal(child->correlation->group_by[i].name, field))
			return true;
	return false;
}

static bool takes_amounts(const struct correlation *correlation)
{
	enum correlation_type type = correlation->type;
	if (type == CORRELATION_BASELINE)
		return correlation->baseline->aggregate != AGGREGATE_DISTINCT;
	return type == CORRELATION_GEO_VELOCITY || type == CORRELATION_VALUE_SUM ||
	       type == CORRELATION_VALUE_AVG || type == CORRELATION_VALUE_PERCENTILE ||
	       type == CORRELATION_VALUE_MEDIAN;
}

/* A correlation adds to the entities that its group names. */
static enum status check_risk(const struct unit *unit, const struct rule *child, struct error *err)
{
	for (size_t i = 0; i < child->risk->on_count; i++)
		if (!exports(child, child->risk->on[i]))
			return error_at(
				err, EINVALID, child->at,
				"picket.risk is on %.*s, which \"%.*s\" does not group by\n"
				"  fix: a correlation has its group-by fields only (for \"%.*s\")",
				TEXT_ARG(child->risk->on[i]), TEXT_ARG(child->key),
				TEXT_ARG(unit->rule->key));
	return OK;
}

/* What a correlation may refer to: a firing has a child's tenant and group fields, and no more. */
static enum status check_reference(const struct unit *unit, const struct rule *child,
				   size_t reference, struct error *err)
{
	if (child->kind != RULE_CORRELATION)
		return OK;
	if (child->cross_tenant && !unit->rule->cross_tenant)
		return error_at(err, EINVALID, unit->rule->at,
				"the rule \"%.*s\" refers to \"%.*s\", which is cross-tenant"
				"\n  fix: write picket.tenant.scope: cross-tenant here too",
				TEXT_ARG(unit->rule->key), TEXT_ARG(child->key));
	if (child->correlation->risk != NULL && child->correlation->risk->any_entity)
		return error_at(err, EINVALID, unit->rule->at,
				"the rule \"%.*s\" refers to \"%.*s\", whose entities are of any "
				"field\n  fix: let that risk group by one field",
				TEXT_ARG(unit->rule->key), TEXT_ARG(child->key));
	if (unit->judged == JUDGED_RISK)
		return check_risk(unit, child, err);
	for (size_t i = 0; i < unit->group_by_count; i++) {
		struct text field = unit_field(unit, i, reference);
		if (!exports(child, field))
			return error_at(
				err, EINVALID, unit->rule->at,
				"the rule \"%.*s\" groups by %.*s, which \"%.*s\" does not group "
				"by\n  fix: a correlation exports its group-by fields only; add it there",
				TEXT_ARG(unit->rule->key), TEXT_ARG(field), TEXT_ARG(child->key));
	}
	const struct correlation *correlation = unit->rule->correlation;
	if (correlation->sequence != NULL && correlation->sequence->field_count > 0)
		return error_at(
			err, EINVALID, unit->rule->at,
			"the steps of \"%.*s\" are joined on fields, and \"%.*s\" is a "
			"correlation, which has its group-by fields only\n  fix: join through "
			"group-by, with aliases",
			TEXT_ARG(unit->rule->key), TEXT_ARG(child->key));
	for (size_t i = 0; i < correlation->field_count; i++)
		if (takes_amounts(correlation) || !exports(child, correlation->fields[i]))
			return error_at(
				err, EINVALID, unit->rule->at,
				"the rule \"%.*s\" takes the values of %.*s, which \"%.*s\" does "
				"not have\n  fix: a correlation exports its group-by fields only, "
				"and no numbers",
				TEXT_ARG(unit->rule->key), TEXT_ARG(correlation->fields[i]),
				TEXT_ARG(child->key));
	return OK;
}

/* A sketch knows how many events contribute, but not each of them, to hand it on. */
static enum status check_is_exact(const struct plan *plan, const struct unit *unit,
				  const struct rule *child, struct error *err)
{
	if (plan->units[plan->unit_of_rule[child->index]].judged != JUDGED_SKETCH)
		return OK;
	return error_at(
		err, EINVALID, unit->rule->at,
		"the rule \"%.*s\" refers to \"%.*s\", which counts by estimate and cannot be "
		"built upon\n  fix: let \"%.*s\" count one by one: a threshold of at most its "
		"picket.accuracy.exact-until, which is %d at most",
		TEXT_ARG(unit->rule->key), TEXT_ARG(child->key), TEXT_ARG(child->key),
		ACCURACY_EXACT_MAX);
}

bool unit_is_of_entities(const struct unit *unit)
{
	return unit->judged == JUDGED_RISK && unit->rule->correlation->risk->any_entity;
}

struct text unit_field(const struct unit *unit, size_t at, size_t reference)
{
	assert(at < unit->group_by_count);
	const struct group_field *field = &unit->group_by[at];
	return field->by_rule == NULL ? field->name : field->by_rule[reference];
}

/* The group-by of a plain detection: its dedup key. */
static enum status dedup_fields(struct plan *plan, struct unit *unit, struct error *err)
{
	const struct rule *rule = unit->rule;
	unit->group_by = default_dedup;
	unit->group_by_count = sizeof default_dedup / sizeof *default_dedup;
	if (rule->dedup_by == NULL)
		return OK;
	if (rule->dedup_by_count > RULES_GROUP_BY_MAX)
		return error_at(err, EINVALID, rule->at, "more than %d dedup fields",
				RULES_GROUP_BY_MAX);
	struct group_field *fields =
		arena_alloc(plan->arena, (rule->dedup_by_count + 1) * sizeof *fields);
	if (fields == NULL)
		return error_set(err, ENOMEMORY, "no memory for the dedup key of a rule");
	for (size_t i = 0; i < rule->dedup_by_count; i++)
		fields[i].name = rule->dedup_by[i];
	unit->group_by = fields;
	unit->group_by_count = rule->dedup_by_count;
	return OK;
}

/* Puts the state identity where plan_find() looks for it; a taken one is tried as a further copy.
 */
static void unit_identify(struct plan *plan, uint32_t index)
{
	struct unit *unit = &plan->units[index];
	uint64_t copy = 0;
	size_t at = 0;
	bool taken = true;
	while (taken) {
		unit->state_id = unit_state_id(plan, unit, copy++);
		size_t low = 0;
		size_t high = index;
		while (low < high) {
			size_t middle = low + (high - low) / 2;
			if (plan->by_state[middle].state_id < unit->state_id)
				low = middle + 1;
			else
				high = middle;
		}
		at = low;
		taken = at < index && plan->by_state[at].state_id == unit->state_id;
	}
	memmove(&plan->by_state[at + 1], &plan->by_state[at],
		(index - at) * sizeof *plan->by_state);
	plan->by_state[at] = (struct plan_state){unit->state_id, index};
}

/* The rules that add to a risk. */
static enum status unit_sources(struct plan *plan, struct unit *unit, struct error *err)
{
	const struct correlation *correlation = unit->rule->correlation;
	struct risk_source *sources =
		arena_alloc(plan->arena, (correlation->rule_count + 1) * sizeof *sources);
	if (sources == NULL)
		return error_set(err, ENOMEMORY, "no memory for the sources of a risk");
	for (size_t i = 0; i < correlation->rule_count; i++) {
		const struct rule *rule = ruleset_rule(plan->ruleset, correlation->rules[i]);
		sources[i] = (struct risk_source){record_value_hash(&plan->key, rule->key), rule};
	}
	risk_sources_sort(sources, correlation->rule_count);
	unit->sources = sources;
	return OK;
}

static enum status unit_add(struct plan *plan, const struct rule *rule, struct error *err)
{
	uint32_t index = (uint32_t)plan->unit_count;
	struct unit *unit = &plan->units[index];
	plan->unit_of_rule[rule->index] = index;
	*unit = (struct unit){.rule = rule,
			      .type = CORRELATION_EVENT_COUNT,
			      .at_least = 1,
			      .alerts = rule->alerts};
	enum status status = OK;
	if (rule->kind == RULE_DETECTION) {
		unit->timespan_us = rule->dedup_for_us > 0 ? rule->dedup_for_us : default_dedup_us;
		unit->quiet_us = unit->timespan_us;
		status = dedup_fields(plan, unit, err);
	} else {
		unit->type = rule->correlation->type;
		unit->timespan_us = rule->correlation->timespan_us;
		unit->depth = rule->correlation->depth;
		unit->group_by = rule->correlation->group_by;
		unit->group_by_count = rule->correlation->group_by_count;
		assert(unit->depth > 0 && unit->group_by_count <= RULES_GROUP_BY_MAX);
		unit->quiet_us = unit->timespan_us;
		status = unit_judge(unit, err);
		if (status == OK && unit->judged == JUDGED_RISK)
			status = unit_sources(plan, unit, err);
		for (size_t r = 0; status == OK && r < rule->correlation->rule_count; r++) {
			const struct rule *child =
				ruleset_rule(plan->ruleset, rule->correlation->rules[r]);
			status = check_reference(unit, child, r, err);
			if (status == OK && child->kind == RULE_CORRELATION)
				status = check_is_exact(plan, unit, child, err);
		}
	}
	if (status != OK)
		return status;
	unit->subject = plan_subject(plan, rule);
	if (unit->subject.data == NULL && rule->kind == RULE_CORRELATION)
		return error_set(err, ENOMEMORY, "no memory for the words of a rule");
	plan->unit_count++;
	unit_identify(plan, index);
	return OK;
}

/* The peers of a first_seen are grouped by what they are alike in, and the value. */
static enum status unit_add_peers(struct plan *plan, const struct rule *rule, struct error *err)
{
	const struct correlation *correlation = rule->correlation;
	const struct first_seen_terms *terms = correlation->first_seen;
	uint32_t index = (uint32_t)plan->unit_count;
	size_t count = terms->peers_by_count + correlation->field_count;
	if (count > RULES_GROUP_BY_MAX)
		return error_at(err, EINVALID, rule->at,
				"peers.by and condition.field name more than %d fields together",
				RULES_GROUP_BY_MAX);
	struct group_field *fields = arena_alloc(plan->arena, count * sizeof *fields);
	if (fields == NULL)
		return error_set(err, ENOMEMORY, "no memory for the peers of a rule");
	for (size_t i = 0; i < count; i++)
		fields[i].name = i < terms->peers_by_count
					 ? terms->peers_by[i]
					 : correlation->fields[i - terms->peers_by_count];
	plan->units[index] = (struct unit){.rule = rule,
					   .type = CORRELATION_FIRST_SEEN,
					   .judged = JUDGED_PEERS,
					   .gated = true,
					   .timespan_us = correlation->timespan_us,
					   .quiet_us = correlation->timespan_us,
					   .at_least = 1,
					   .depth = correlation->depth - 1,
					   .group_by = fields,
					   .group_by_count = count};
	enum status status = OK;
	for (size_t r = 0; status == OK && r < correlation->rule_count; r++)
		status =
			check_reference(&plan->units[index],
					ruleset_rule(plan->ruleset, correlation->rules[r]), r, err);
	if (status != OK)
		return status;
	plan->unit_count++;
	unit_identify(plan, index);
	return OK;
}

static bool has_peers(const struct rule *rule)
{
	const struct first_seen_terms *terms =
		rule->kind == RULE_CORRELATION ? rule->correlation->first_seen : NULL;
	return terms != NULL && terms->peers_by_count > 0;
}

/* All units, detections first, then correlations by depth. */
static enum status plan_add_units(struct plan *plan, struct error *err)
{
	size_t rule_count = ruleset_count(plan->ruleset);
	enum status status = OK;
	for (unsigned depth = 0; depth <= RULES_CHAIN_DEPTH_MAX; depth++)
		for (size_t i = 0; status == OK && i < rule_count; i++) {
			const struct rule *rule = ruleset_rule(plan->ruleset, i);
			bool correlates = rule->kind == RULE_CORRELATION;
			if (correlates && rule->correlation->cohort != NULL)
				continue; /* the gate's: cohort_rule.h */
			bool wanted = correlates ? rule->correlation->depth == depth
						 : depth == 0 && rule->alerts;
			if (has_peers(rule) && rule->correlation->depth == depth + 1)
				status = unit_add_peers(plan, rule, err);
			if (!wanted || status != OK)
				continue;
			status = unit_add(plan, rule, err);
			if (correlates && depth > 1)
				plan->rounds = depth - 1;
		}
	return status;
}

static size_t unit_reference_count(const struct unit *unit)
{
	return unit->rule->kind == RULE_DETECTION ? 1 : unit->rule->correlation->rule_count;
}

static uint32_t unit_reference(const struct unit *unit, size_t reference)
{
	return unit->rule->kind == RULE_DETECTION ? unit->rule->index
						  : unit->rule->correlation->rules[reference];
}

/* Which units each rule feeds: counted, summed to starts, filled in. */
static enum status plan_connect(struct plan *plan, struct error *err)
{
	size_t rule_count = ruleset_count(plan->ruleset);
	size_t total = 0;
	for (size_t u = 0; u < plan->unit_count; u++)
		total += unit_reference_count(&plan->units[u]);
	plan->feeds = arena_alloc(plan->arena, (total + 1) * sizeof *plan->feeds);
	plan->feed_start = arena_alloc(plan->arena, (rule_count + 1) * sizeof *plan->feed_start);
	uint32_t *next = arena_alloc(plan->arena, (rule_count + 1) * sizeof *next);
	uint32_t *parents = arena_alloc(plan->arena, (total + 1) * sizeof *parents);
	if (plan->feeds == NULL || plan->feed_start == NULL || next == NULL || parents == NULL)
		return error_set(err, ENOMEMORY, "no memory for %zu rules", rule_count);

	for (size_t u = 0; u < plan->unit_count; u++)
		for (size_t r = 0; r < unit_reference_count(&plan->units[u]); r++)
			plan->feed_start[unit_reference(&plan->units[u], r) + 1]++;
	for (size_t i = 0; i < rule_count; i++)
		plan->feed_start[i + 1] += plan->feed_start[i];
	memcpy(next, plan->feed_start, (rule_count + 1) * sizeof *next);
	for (uint32_t u = 0; u < plan->unit_count; u++)
		for (uint32_t r = 0; r < unit_reference_count(&plan->units[u]); r++)
			plan->feeds[next[unit_reference(&plan->units[u], r)]++] =
				(struct feed){u, r};

	for (size_t i = 0; i < total; i++)
		parents[i] = plan->feeds[i].unit;
	for (size_t u = 0; u < plan->unit_count; u++) {
		struct unit *unit = &plan->units[u];
		if (unit->rule->kind == RULE_DETECTION)
			continue; /* its events go to correlations directly, not through its alerts
				   */
		if (unit->judged == JUDGED_PEERS) {
			unit->parents = &plan->unit_of_rule[unit->rule->index];
			unit->parent_count = 1;
			continue;
		}
		uint32_t start = plan->feed_start[unit->rule->index];
		unit->parents = parents + start;
		unit->parent_count = plan->feed_start[unit->rule->index + 1] - start;
		assert(unit->parent_count == 0 || unit->parents[0] > u);
	}
	return OK;
}

/* Absence whose members are whoever was seen. */
static enum status plan_hearing(struct plan *plan, struct error *err)
{
	plan->hearing = arena_alloc(plan->arena, (plan->unit_count + 1) * sizeof *plan->hearing);
	if (plan->hearing == NULL)
		return error_set(err, ENOMEMORY, "no memory for %zu rules", plan->unit_count);
	for (uint32_t u = 0; u < plan->unit_count; u++)
		if (plan->units[u].judged == JUDGED_ABSENCE &&
		    plan->units[u].rule->correlation->absence->seen_us > 0)
			plan->hearing[plan->hearing_count++] = u;
	return OK;
}

enum status plan_new(const struct ruleset *ruleset, const struct hash_key *key,
		     struct plan **ret_plan, struct error *err)
{
	struct plan *plan cleanup(plan_free) = calloc(1, sizeof *plan);
	size_t rule_count = ruleset_count(ruleset);
	assert(rule_count <= RULES_MAX);
	if (plan == NULL || (plan->arena = arena_new(PLAN_BYTES_MAX)) == NULL)
		return error_set(err, ENOMEMORY, "no memory for the rules' plan");
	plan->ruleset = ruleset;
	plan->key = *key;
	size_t units_max = 2 * rule_count + 1; /* with peers */
	plan->units = arena_alloc(plan->arena, units_max * sizeof *plan->units);
	plan->by_state = arena_alloc(plan->arena, units_max * sizeof *plan->by_state);
	plan->unit_of_rule =
		arena_alloc(plan->arena, (rule_count + 1) * sizeof *plan->unit_of_rule);
	if (plan->units == NULL || plan->by_state == NULL || plan->unit_of_rule == NULL)
		return error_set(err, ENOMEMORY, "no memory for %zu rules", rule_count);
	enum status status = cohort_rules_check(ruleset, err);
	if (status == OK)
		status = plan_add_units(plan, err);
	if (status == OK)
		status = plan_connect(plan, err);
	if (status == OK)
		status = plan_hearing(plan, err);
	if (status != OK)
		return status;
	*ret_plan = TAKE(plan);
	return OK;
}

void plan_free(struct plan **plan)
{
	if (*plan == NULL)
		return;
	arena_free(&(*plan)->arena);
	free(*plan);
	*plan = NULL;
}

size_t plan_unit_count(const struct plan *plan)
{
	return plan->unit_count;
}

const struct unit *plan_unit(const struct plan *plan, size_t index)
{
	assert(index < plan->unit_count);
	return &plan->units[index];
}

const struct unit *plan_unit_of(const struct plan *plan, const struct rule *rule)
{
	const struct unit *unit = &plan->units[plan->unit_of_rule[rule->index]];
	return plan->unit_count > 0 && unit->rule == rule ? unit : NULL;
}

const struct unit *plan_find(const struct plan *plan, uint64_t state_id)
{
	size_t low = 0;
	size_t high = plan->unit_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (plan->by_state[middle].state_id < state_id)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == plan->unit_count || plan->by_state[low].state_id != state_id)
		return NULL;
	return &plan->units[plan->by_state[low].unit];
}

const struct hash_key *plan_hash_key(const struct plan *plan)
{
	return &plan->key;
}

unsigned plan_rounds(const struct plan *plan)
{
	return plan->rounds;
}
