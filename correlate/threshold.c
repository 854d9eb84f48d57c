/* What the condition of a correlation asks for, as one whole number: at least so many events,
 * different values, different rules, or millionths of a sum. Only conditions that one event more
 * cannot make false are taken (docs/CORRELATION.md); everything else is refused at load. */
#include <assert.h>
#include <math.h>

#include "correlate/plan_private.h"
#include "correlate/trail.h"

static const double millionths = 1e6;
static const double sum_max = 9e12; /* in millionths it fits 63 bits */

static const char *type_name(enum correlation_type type)
{
	static const char *const names[] = {
		[CORRELATION_EVENT_COUNT] = "event_count",
		[CORRELATION_VALUE_COUNT] = "value_count",
		[CORRELATION_TEMPORAL] = "temporal",
		[CORRELATION_TEMPORAL_ORDERED] = "temporal_ordered",
		[CORRELATION_VALUE_SUM] = "value_sum",
		[CORRELATION_VALUE_AVG] = "value_avg",
		[CORRELATION_VALUE_PERCENTILE] = "value_percentile",
		[CORRELATION_VALUE_MEDIAN] = "value_median",
	};
	assert((unsigned)type < sizeof names / sizeof *names);
	return names[type];
}

/* One comparison with gt or gte; its smallest whole number that holds, at most max. */
static enum status whole_threshold(const struct rule *rule, double scale, double max,
				   uint64_t *ret_at_least, struct error *err)
{
	const struct correlation *correlation = rule->correlation;
	enum comparison how = correlation->conditions[0].how;
	if (correlation->condition_count != 1 || (how != COMPARE_GT && how != COMPARE_GTE))
		return error_at(err, EINVALID, rule->at,
				"this build evaluates %s with gt or gte; the condition of the rule "
				"\"%.*s\" is another comparison, or a range",
				type_name(correlation->type), TEXT_ARG(rule->key));
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
	if (correlation->rule_count > JUDGE_STEPS_MAX)
		return error_at(err, EINVALID, rule->at,
				"the rule \"%.*s\" refers to more than %d rules",
				TEXT_ARG(rule->key), JUDGE_STEPS_MAX);
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

enum status threshold_of(const struct rule *rule, uint64_t *ret_at_least, struct error *err)
{
	const struct correlation *correlation = rule->correlation;
	if (correlation->field_count > RULES_GROUP_BY_MAX)
		return error_at(err, EINVALID, rule->at, "more than %d fields in the condition",
				RULES_GROUP_BY_MAX);
	switch (correlation->type) {
	case CORRELATION_EVENT_COUNT:
		return whole_threshold(rule, 1, PLAN_AT_LEAST_MAX, ret_at_least, err);
	case CORRELATION_VALUE_COUNT:
		return whole_threshold(rule, 1, TRAIL_AT_LEAST_MAX, ret_at_least, err);
	case CORRELATION_TEMPORAL:
	case CORRELATION_TEMPORAL_ORDERED:
		return temporal_threshold(rule, ret_at_least, err);
	case CORRELATION_VALUE_SUM:
		if (rule->nonnegative)
			return whole_threshold(rule, millionths, sum_max, ret_at_least, err);
		return error_at(err, EINVALID, rule->at,
				"this build evaluates value_sum over amounts that are never "
				"negative; the rule \"%.*s\" does not promise that\n  fix: if it "
				"is so, add `picket: {nonnegative: true}`",
				TEXT_ARG(rule->key));
	case CORRELATION_VALUE_AVG:
	case CORRELATION_VALUE_PERCENTILE:
	case CORRELATION_VALUE_MEDIAN:
		break;
	}
	return error_at(err, EINVALID, rule->at,
			"this build does not evaluate correlations of type %s; the rule \"%.*s\" "
			"is one",
			type_name(correlation->type), TEXT_ARG(rule->key));
}
