/* How a correlation is judged, and what its condition asks for.
 *
 * A condition that one event more cannot make false (docs/CORRELATION.md) is eager: it becomes one
 * whole number, at least so many events, different values, different rules, or millionths of a sum.
 * Everything else is gated: it waits for the watermark (gated.h), and its comparisons stay as they
 * were written. */
#include <assert.h>
#include <math.h>

#include "correlate/cardinality.h"
#include "correlate/gated.h"
#include "correlate/plan_private.h"
#include "correlate/trail.h"

static const double millionths = 1e6;
static const double sum_max = 9e12; /* in millionths it fits 63 bits */

/* One comparison with gt or gte; its smallest whole number that holds, at most max. */
static enum status whole_threshold(const struct rule *rule, double scale, double max,
				   uint64_t *ret_at_least, struct error *err)
{
	const struct correlation *correlation = rule->correlation;
	enum comparison how = correlation->conditions[0].how;
	if (correlation->condition_count != 1 || (how != COMPARE_GT && how != COMPARE_GTE))
		return error_at(err, EINVALID, rule->at,
				"%s takes gt or gte; the condition of the rule \"%.*s\" is another "
				"comparison, or a range",
				correlation_name(correlation->type), TEXT_ARG(rule->key));
	double value = correlation->conditions[0].value;
	if (!(value >= -1 && value <= max))
		return error_at(err, EINVALID, rule->at,
				"the threshold of the rule \"%.*s\" is not between 1 and %.0f",
				TEXT_ARG(rule->key), max);
	double least = how == COMPARE_GTE ? ceil(value * scale) : floor(value * scale) + 1;
	if (least < 1 || least > max * scale)
		return error_at(err, EINVALID, rule->at,
				"the condition of the rule \"%.*s\" holds for every event or none: "
				"give a threshold between 1 and %.0f",
				TEXT_ARG(rule->key), max);
	*ret_at_least = (uint64_t)least;
	return OK;
}

static enum status temporal_threshold(const struct rule *rule, uint64_t *ret_at_least,
				      struct error *err)
{
	const struct correlation *correlation = rule->correlation;
	uint64_t at_least = 0;
	enum status status =
		whole_threshold(rule, 1, (double)correlation->rule_count, &at_least, err);
	if (status != OK)
		return status;
	if (correlation->type == CORRELATION_TEMPORAL_ORDERED &&
	    at_least != correlation->rule_count)
		return error_at(err, EINVALID, rule->at,
				"the rule \"%.*s\" asks for some of its rules in order: this build "
				"evaluates temporal_ordered over all of them\n  fix: remove the "
				"condition",
				TEXT_ARG(rule->key));
	*ret_at_least = at_least;
	return OK;
}

/* Whether one event more can make the condition false, so that it must wait for the watermark. */
static bool is_gated(const struct rule *rule)
{
	const struct correlation *correlation = rule->correlation;
	enum comparison how = correlation->conditions[0].how;
	switch (correlation->type) {
	case CORRELATION_VALUE_AVG:
	case CORRELATION_VALUE_PERCENTILE:
	case CORRELATION_VALUE_MEDIAN:
		return true;
	case CORRELATION_VALUE_SUM:
		if (!rule->nonnegative)
			return true;
		break;
	default:
		break;
	}
	return correlation->negated != 0 || correlation->condition_count != 1 ||
	       (how != COMPARE_GT && how != COMPARE_GTE);
}

/* Averages and percentiles of nothing do not exist, and a range has a lower bound: these are judged
 * at events. What may be small or zero is judged in aligned windows (aligned.c). */
static enum unit_judged gated_how(const struct correlation *correlation)
{
	enum comparison how = correlation->conditions[0].how;
	bool lower = how == COMPARE_GT || how == COMPARE_GTE;
	bool counts = correlation->type == CORRELATION_EVENT_COUNT ||
		      correlation->type == CORRELATION_VALUE_COUNT ||
		      correlation->type == CORRELATION_VALUE_SUM ||
		      correlation->type == CORRELATION_TEMPORAL;
	if (correlation->negated != 0)
		return JUDGED_NAMES;
	return counts && correlation->condition_count == 1 && !lower ? JUDGED_ALIGNED
								     : JUDGED_SLIDING;
}

static enum status eager_threshold(const struct rule *rule, uint64_t *ret_at_least,
				   struct error *err)
{
	switch (rule->correlation->type) {
	case CORRELATION_EVENT_COUNT:
		return whole_threshold(rule, 1, PLAN_AT_LEAST_MAX, ret_at_least, err);
	case CORRELATION_VALUE_COUNT:
		return whole_threshold(rule, 1, VALUES_AT_LEAST_MAX, ret_at_least, err);
	case CORRELATION_VALUE_SUM:
		return whole_threshold(rule, millionths, sum_max, ret_at_least, err);
	default:
		return temporal_threshold(rule, ret_at_least, err);
	}
}

/* picket's own types: rules/terms.h. What is not a window but a memory joins alerts over the rule's
 * dedup time. */
static enum status own_judge(struct unit *unit, struct error *err)
{
	static const enum unit_judged judged[] = {
		[CORRELATION_SEQUENCE] = JUDGED_SEQUENCE,
		[CORRELATION_FIRST_SEEN] = JUDGED_FIRST_SEEN,
		[CORRELATION_BASELINE] = JUDGED_BASELINE,
		[CORRELATION_GEO_VELOCITY] = JUDGED_TRAVEL,
		[CORRELATION_ABSENCE] = JUDGED_ABSENCE,
		[CORRELATION_RISK] = JUDGED_RISK,
	};
	const struct rule *rule = unit->rule;
	const struct sequence_terms *sequence = rule->correlation->sequence;
	const struct absence_terms *absence = rule->correlation->absence;
	unit->gated = true;
	unit->judged = judged[rule->correlation->type];
	if (unit->judged == JUDGED_TRAVEL || unit->judged == JUDGED_FIRST_SEEN)
		unit->quiet_us = rule->dedup_for_us;
	if (sequence != NULL && sequence->steps[sequence->step_count - 1].absent)
		unit->delay_us = sequence->steps[sequence->step_count - 1].within_us;
	if (sequence != NULL && rule->correlation->rule_count > JUDGE_STEPS_MAX)
		return error_at(err, EINVALID, rule->at,
				"the rule \"%.*s\" refers to more than %d rules",
				TEXT_ARG(rule->key), JUDGE_STEPS_MAX);
	if (absence != NULL && absence->member_count > 0 && !rule->cross_tenant)
		return error_at(err, EINVALID, rule->at,
				"the members of the rule \"%.*s\" belong to no tenant\n  fix: add "
				"`picket: {tenant: {scope: cross-tenant}}`",
				TEXT_ARG(rule->key));
	return OK;
}

/* More different values than are remembered one by one are counted by estimate. */
static void sketch_judge(struct unit *unit)
{
	const struct rule *rule = unit->rule;
	if (unit->at_least <= rule->accuracy.exact_until)
		return;
	unit->judged = JUDGED_SKETCH;
	unit->precision = (uint8_t)cardinality_precision(rule->accuracy.error);
	assert(unit->precision > 0); /* handling.c */
}

/* A gated count is of what is remembered (gated.h): beyond that, "fewer" would hold because events
 * were forgotten, and a range would never hold. */
static enum status gated_judge(struct unit *unit, struct error *err)
{
	const struct rule *rule = unit->rule;
	const struct correlation *correlation = rule->correlation;
	bool counts = correlation->type == CORRELATION_EVENT_COUNT ||
		      correlation->type == CORRELATION_VALUE_COUNT;
	for (size_t i = 0; counts && i < correlation->condition_count; i++)
		if (correlation->conditions[i].value > GATED_ENTRIES_MAX)
			return error_at(
				err, EINVALID, rule->at,
				"the condition of the rule \"%.*s\" compares with more than "
				"%d, and only so many events of a group are remembered "
				"for lt, lte, eq, neq and ranges\n  fix: compare with at most "
				"%d, over a shorter timespan; or with gt or gte alone",
				TEXT_ARG(rule->key), GATED_ENTRIES_MAX, GATED_ENTRIES_MAX);
	unit->gated = true;
	unit->judged = gated_how(correlation);
	unit->delay_us = unit->judged == JUDGED_NAMES ? unit->timespan_us : 0;
	return OK;
}

enum status unit_judge(struct unit *unit, struct error *err)
{
	const struct rule *rule = unit->rule;
	const struct correlation *correlation = rule->correlation;
	bool temporal = correlation->type == CORRELATION_TEMPORAL ||
			correlation->type == CORRELATION_TEMPORAL_ORDERED;
	if (correlation->field_count > RULES_GROUP_BY_MAX)
		return error_at(err, EINVALID, rule->at, "more than %d fields in the condition",
				RULES_GROUP_BY_MAX);
	if (temporal && correlation->rule_count > JUDGE_STEPS_MAX)
		return error_at(err, EINVALID, rule->at,
				"the rule \"%.*s\" refers to more than %d rules",
				TEXT_ARG(rule->key), JUDGE_STEPS_MAX);
	if (correlation->type >= CORRELATION_SEQUENCE)
		return own_judge(unit, err);
	bool eager = !is_gated(rule) || correlation->type == CORRELATION_TEMPORAL_ORDERED;
	if (rule->accuracy.given && (correlation->type != CORRELATION_VALUE_COUNT || !eager))
		return error_at(
			err, EINVALID, rule->at,
			"picket.accuracy is of a value_count with gt or gte\n  fix: remove it "
			"from the rule \"%.*s\"",
			TEXT_ARG(rule->key));
	if (eager) {
		unit->judged =
			correlation->type == CORRELATION_EVENT_COUNT ? JUDGED_COUNT : JUDGED_TRAIL;
		enum status status = eager_threshold(rule, &unit->at_least, err);
		if (status == OK && correlation->type == CORRELATION_VALUE_COUNT)
			sketch_judge(unit);
		return status;
	}
	return gated_judge(unit, err);
}

bool unit_takes_names(const struct unit *unit)
{
	const struct correlation *correlation = unit->rule->correlation;
	return unit->type == CORRELATION_VALUE_COUNT || unit->judged == JUDGED_FIRST_SEEN ||
	       (unit->judged == JUDGED_BASELINE &&
		correlation->baseline->aggregate == AGGREGATE_DISTINCT);
}

uint64_t unit_threshold(const struct unit *unit)
{
	const struct correlation *correlation = unit->rule->correlation;
	if (!unit->gated)
		return unit->type == CORRELATION_VALUE_SUM ? unit->at_least / (uint64_t)millionths
							   : unit->at_least;
	double value = correlation->condition_count > 0 ? correlation->conditions[0].value : 0;
	return value > 0 && value < sum_max ? (uint64_t)value : 0;
}
