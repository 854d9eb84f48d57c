/* Why an alert was raised, in words an analyst can read at night.
 *
 * A template (picket.explain) holds placeholders in braces: {count}, {threshold}, {timespan},
 * {detail}, {tenant} and the names of the group's fields. What is no placeholder stays as it is
 * written, so a typing mistake shows. The values come from logs: they are data, never a template
 * again. */
#include <assert.h>

#include "correlate/alert.h"

static void put_number(struct bytes *to, uint64_t number)
{
	bytes_print(to, "%llu", (unsigned long long)number);
}

/* The largest unit that divides the time: 90 s is 90s, 3600 s is 1h. */
static void put_duration(struct bytes *to, int64_t duration_us)
{
	static const struct {
		int64_t size_us;
		struct text name;
	} units[] = {
		{INT64_C(86400000000), {"d", 1}}, {INT64_C(3600000000), {"h", 1}},
		{INT64_C(60000000), {"m", 1}},    {INT64_C(1000000), {"s", 1}},
		{INT64_C(1000), {"ms", 2}},       {INT64_C(1), {"us", 2}},
	};
	size_t i = 0;
	while (duration_us % units[i].size_us != 0)
		i++;
	assert(i < sizeof units / sizeof *units && duration_us >= 0);
	put_number(to, (uint64_t)(duration_us / units[i].size_us));
	bytes_write(to, units[i].name);
}

/* Looks a name up in the sequence name, value, ... */
static bool group_value(struct text group, struct text name, struct text *ret_value)
{
	struct cursor from = cursor_of(group);
	while (cursor_left(&from) > 0 && !from.failed) {
		struct text found = cursor_text(&from);
		struct text value = cursor_text(&from);
		if (text_equal(found, name)) {
			*ret_value = value;
			return true;
		}
	}
	return false;
}

static bool put_placeholder(const struct alert *alert, struct text name, struct text detail,
			    struct bytes *to)
{
	struct text value = {0};
	if (text_equal(name, TEXT("count")))
		put_number(to, alert->count);
	else if (text_equal(name, TEXT("threshold")))
		put_number(to, alert->threshold);
	else if (text_equal(name, TEXT("timespan")))
		put_duration(to, alert->timespan_us);
	else if (text_equal(name, TEXT("detail")))
		bytes_write(to, detail);
	else if (text_equal(name, TEXT("tenant")))
		bytes_write(to, alert->tenant);
	else if (group_value(alert->group, name, &value))
		bytes_write(to, value);
	else
		return false;
	return true;
}

static void put_template(const struct alert *alert, struct text template, struct text detail,
			 struct bytes *to)
{
	while (template.size > 0) {
		const char *end = NULL;
		if (*template.data == '{')
			end = memchr(template.data, '}', template.size);
		struct text name = {template.data + 1,
				    end == NULL ? 0 : (size_t)(end - template.data) - 1};
		if (end != NULL && put_placeholder(alert, name, detail, to)) {
			template = text_cut(template, name.size + 2);
			continue;
		}
		bytes_put_u8(to, (uint8_t) * template.data);
		template = text_cut(template, 1);
	}
}

/* " for user.id=alice, source.ip=10.0.0.1" */
static void put_group(const struct alert *alert, struct bytes *to)
{
	struct cursor from = cursor_of(alert->group);
	for (bool first = true; cursor_left(&from) > 0 && !from.failed; first = false) {
		bytes_write(to, first ? TEXT(" for ") : TEXT(", "));
		bytes_write(to, cursor_text(&from));
		bytes_put_u8(to, '=');
		bytes_write(to, cursor_text(&from));
	}
}

/* user.id or (user.id, source.ip) */
static void put_fields(const struct correlation *correlation, struct bytes *to)
{
	bool several = correlation->field_count > 1;
	bytes_write(to, several ? TEXT("(") : TEXT(""));
	for (size_t i = 0; i < correlation->field_count; i++) {
		bytes_write(to, i == 0 ? TEXT("") : TEXT(", "));
		bytes_write(to, correlation->fields[i]);
	}
	bytes_write(to, several ? TEXT(")") : TEXT(""));
}

/* What the events of one window show, where it is more than their number. */
static void put_condition(const struct alert *alert, const struct unit *unit, struct bytes *to)
{
	const struct correlation *correlation = unit->rule->correlation;
	switch (unit->type) {
	case CORRELATION_VALUE_COUNT:
		bytes_write(to, TEXT(" with at least "));
		put_number(to, alert->threshold);
		bytes_write(to, alert->threshold == 1 ? TEXT(" value of ")
						      : TEXT(" different values of "));
		put_fields(correlation, to);
		break;
	case CORRELATION_VALUE_SUM:
		bytes_write(to, TEXT(" with a sum of "));
		put_fields(correlation, to);
		bytes_write(to, TEXT(" that reaches the threshold"));
		break;
	case CORRELATION_TEMPORAL:
		bytes_write(to, TEXT(", at least "));
		put_number(to, alert->threshold);
		bytes_write(to, TEXT(" of these "));
		put_number(to, correlation->rule_count);
		bytes_write(to, TEXT(" rules"));
		break;
	case CORRELATION_TEMPORAL_ORDERED:
		bytes_write(to, TEXT(", all "));
		put_number(to, correlation->rule_count);
		bytes_write(to, TEXT(" rules in this order"));
		break;
	default:
		break;
	}
}

/* What a gated condition compares, and with what. */
static void put_comparisons(const struct unit *unit, struct bytes *to)
{
	static const char *const signs[] = {
		[COMPARE_GT] = " > ",   [COMPARE_GTE] = " >= ", [COMPARE_LT] = " < ",
		[COMPARE_LTE] = " <= ", [COMPARE_EQ] = " = ",   [COMPARE_NEQ] = " != ",
	};
	const struct correlation *correlation = unit->rule->correlation;
	if (unit->judged == JUDGED_NAMES || unit->judged == JUDGED_SEQUENCE ||
	    unit->judged == JUDGED_ABSENCE)
		return; /* the subject says it */
	bytes_write(to, unit->judged > JUDGED_SEQUENCE ? TEXT(", ") : TEXT(" with "));
	bytes_write(to, text_of(correlation_name(unit->type)));
	if (correlation->field_count > 0) {
		bytes_write(to, TEXT(" of "));
		put_fields(correlation, to);
	}
	for (size_t i = 0; i < correlation->condition_count; i++) {
		bytes_write(to, text_of(i == 0 ? "" : " and"));
		bytes_write(to, text_of(signs[correlation->conditions[i].how]));
		bytes_print(to, "%.15g", correlation->conditions[i].value);
	}
}

static void put_detail(struct text detail, struct bytes *to)
{
	if (detail.size == 0)
		return;
	bytes_write(to, TEXT("; "));
	bytes_write(to, detail);
}

/* An alert of a gated rule: what was measured last stands at the end. */
static void put_gated(const struct alert *alert, const struct unit *unit, struct text detail,
		      struct bytes *to)
{
	bool windows = unit->judged == JUDGED_ALIGNED || unit->judged == JUDGED_BASELINE;
	put_number(to, alert->count);
	bytes_write(to, unit->judged == JUDGED_ABSENCE ? TEXT("-fold silence of")
			: windows                      ? TEXT(" window")
						       : TEXT(" event"));
	if (unit->judged == JUDGED_ABSENCE)
		bytes_write(to, TEXT(" \""));
	else
		bytes_write(to, alert->count == 1 ? TEXT(" of \"") : TEXT("s of \""));
	bytes_write(to, unit->subject);
	bytes_put_u8(to, '"');
	put_comparisons(unit, to);
	bytes_write(to, TEXT(" within "));
	put_duration(to, alert->timespan_us);
	put_group(alert, to);
	put_detail(detail, to);
}

static void put_sentence(const struct alert *alert, const struct unit *unit, struct text detail,
			 struct bytes *to)
{
	if (unit->gated) {
		put_gated(alert, unit, detail, to);
		return;
	}
	if (unit->depth > 0) {
		put_number(to, alert->count);
		bytes_write(to, alert->count == 1 ? TEXT(" event of \"") : TEXT(" events of \""));
		bytes_write(to, unit->subject);
		bytes_put_u8(to, '"');
		put_condition(alert, unit, to);
		bytes_write(to, TEXT(" within "));
		put_duration(to, alert->timespan_us);
		put_group(alert, to);
		bytes_write(to, TEXT(" (threshold "));
		put_number(to, alert->threshold);
		bytes_put_u8(to, ')');
		put_detail(detail, to);
		return;
	}
	bytes_put_u8(to, '"');
	bytes_write(to, unit->subject);
	bytes_write(to, TEXT("\" matched "));
	if (alert->count == 1) {
		bytes_write(to, TEXT("once"));
	} else {
		put_number(to, alert->count);
		bytes_write(to, TEXT(" times"));
	}
	put_group(alert, to);
}

void alert_reason(const struct alert *alert, const struct unit *unit, struct text detail,
		  struct bytes *to)
{
	size_t start = to->size;
	if (unit->rule->explain.size > 0)
		put_template(alert, unit->rule->explain, detail, to);
	else
		put_sentence(alert, unit, detail, to);
	/* Long values must not make the row long: the alert has them in `group` anyway. */
	if (to->size - start > ALERT_REASON_BYTES_MAX)
		to->size = start + ALERT_REASON_BYTES_MAX;
}
