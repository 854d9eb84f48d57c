#include "correlate/tally_private.h"

#include <assert.h>
#include <ctype.h>
#include <math.h>

/* Which outcomes an event is a trial of, and which of them went badly.
 *
 *   http_5xx       trial: request                            bad: status >= 500
 *   authn_failure  trial: request, or category               bad: status 401, or such an event with
 *                  authentication with an outcome                 outcome failure
 *   authz_denied   trial: request, or type allowed, denied   bad: status 403, or type denied
 *   tenant_denied  trial: tenant.id and target.tenant.id,    bad: they differ, and it was refused
 *                  and it is known how it went
 *   error_log      bad: log.level error, severe, critical, alert, emergency, fatal, panic
 *   audit_volume   bad: category authentication, iam, session, configuration
 *
 * Somebody SUCCEEDED who has a name (user.id), was not refused, and whose request was answered with
 * 2xx or 3xx; of other events the outcome must be success. It is what makes him known (known.c).
 *
 * 404 and other client errors are no outcome: what an outsider asks for is not what the service
 * does, and a scanner alone makes any number of them. */

static bool is_one_of(struct text value, const char *const *words)
{
	for (; *words != NULL; words++) {
		struct text word = text_of(*words);
		bool same = word.size == value.size;
		for (size_t i = 0; same && i < value.size; i++)
			same = tolower((unsigned char)value.data[i]) == word.data[i];
		if (same)
			return true;
	}
	return false;
}

/* Is any value of the field one of the words? */
static bool any_is(const struct event *event, enum field_id id, const char *const *words)
{
	for (size_t i = 0; i < event->field_count; i++)
		if (event->fields[i].id == id && is_one_of(event->fields[i].value.text, words))
			return true;
	return false;
}

/* The status code of a request; false when the event is none. */
static bool request_status(const struct event *event, int64_t *ret_status)
{
	enum { DIGITS_MAX = 9 };
	const struct value *value = event_get(event, FIELD_HTTP_STATUS);
	if (value == NULL)
		return false;
	if (value->type == VALUE_INTEGER) {
		*ret_status = value->integer;
		return true;
	}
	if (value->type == VALUE_REAL && fabs(value->real) < INT32_MAX) {
		*ret_status = (int64_t)value->real;
		return true;
	}
	if (value->type != VALUE_STRING || value->text.size == 0 || value->text.size > DIGITS_MAX)
		return false;
	int64_t number = 0;
	for (size_t i = 0; i < value->text.size; i++) {
		char digit = value->text.data[i];
		if (digit < '0' || digit > '9')
			return false;
		number = number * 10 + (digit - '0');
	}
	*ret_status = number;
	return true;
}

/* event.duration is nanoseconds; -1 when there is none or it is no duration. */
static double duration_us(const struct event *event)
{
	static const double NS_PER_US = 1000;
	const struct value *value = event_get(event, FIELD_EVENT_DURATION);
	double nanoseconds = -1;
	if (value != NULL && value->type == VALUE_INTEGER)
		nanoseconds = (double)value->integer;
	else if (value != NULL && value->type == VALUE_REAL)
		nanoseconds = value->real;
	return nanoseconds >= 0 && isfinite(nanoseconds) ? nanoseconds / NS_PER_US : -1;
}

static uint32_t bit(enum outcome outcome, bool holds)
{
	assert(outcome < OUTCOME_COUNTED);
	return holds ? UINT32_C(1) << outcome : 0;
}

static void read_security(const struct event *event, struct outcome_reading *reading)
{
	static const char *const LOGIN[] = {"authentication", NULL};
	static const char *const AUDIT[] = {"authentication", "iam", "session", "configuration",
					    NULL};
	static const char *const DENIED[] = {"denied", NULL};
	static const char *const DECIDED[] = {"denied", "allowed", NULL};
	static const char *const FAILURE[] = {"failure", NULL};
	static const char *const KNOWN[] = {"failure", "success", NULL};
	enum { UNAUTHORIZED = 401, FORBIDDEN = 403, FIRST_ERROR = 400 };
	bool login = any_is(event, FIELD_EVENT_CATEGORY, LOGIN) &&
		     any_is(event, FIELD_EVENT_OUTCOME, KNOWN);
	bool failure = any_is(event, FIELD_EVENT_OUTCOME, FAILURE);
	bool decided = any_is(event, FIELD_EVENT_TYPE, DECIDED);
	bool denied = any_is(event, FIELD_EVENT_TYPE, DENIED);
	int64_t status = reading->http_status;
	struct text tenant = event_text(event, FIELD_TENANT_ID);
	struct text target = event_text(event, FIELD_TARGET_TENANT_ID);
	bool tenants = tenant.size > 0 && target.size > 0 &&
		       (reading->is_request || any_is(event, FIELD_EVENT_OUTCOME, KNOWN));
	bool refused = failure || denied || status >= FIRST_ERROR;
	reading->trials |= bit(OUTCOME_AUTHN_FAILURE, reading->is_request || login) |
			   bit(OUTCOME_AUTHZ_DENIED, reading->is_request || decided) |
			   bit(OUTCOME_TENANT_DENIED, tenants);
	static const char *const SUCCESS[] = {"success", NULL};
	enum { FIRST_SUCCESS = 200 };
	bool went_well = reading->is_request ? status >= FIRST_SUCCESS
					     : any_is(event, FIELD_EVENT_OUTCOME, SUCCESS);
	reading->succeeded = went_well && !refused && event_text(event, FIELD_USER_ID).size > 0;
	reading->bad |=
		bit(OUTCOME_AUTHN_FAILURE, status == UNAUTHORIZED || (login && failure)) |
		bit(OUTCOME_AUTHZ_DENIED, status == FORBIDDEN || denied) |
		bit(OUTCOME_TENANT_DENIED, tenants && refused && !text_equal(tenant, target)) |
		bit(OUTCOME_AUDIT_VOLUME, any_is(event, FIELD_EVENT_CATEGORY, AUDIT));
}

struct outcome_reading outcomes_read(const struct event *event)
{
	static const char *const ERRORS[] = {"error", "err",       "severe", "critical",
					     "crit",  "alert",     "emerg",  "fatal",
					     "panic", "emergency", NULL};
	enum { SERVER_ERROR = 500 };
	struct outcome_reading reading = {.duration_us = duration_us(event)};
	reading.is_request = request_status(event, &reading.http_status);
	reading.trials = bit(OUTCOME_HTTP_5XX, reading.is_request);
	reading.bad =
		bit(OUTCOME_HTTP_5XX, reading.is_request && reading.http_status >= SERVER_ERROR) |
		bit(OUTCOME_ERROR_LOG, any_is(event, FIELD_LOG_LEVEL, ERRORS));
	read_security(event, &reading);
	return reading;
}

struct outcome_reading trial_read(const struct event *event, bool bad, bool first)
{
	int64_t http_status = 0;
	uint32_t outcome = bit(COHORT_RULE_OUTCOME, true);
	return (struct outcome_reading){
		.is_request = first && !request_status(event, &http_status),
		.trials = outcome,
		.bad = bad ? outcome : 0,
		.duration_us = -1,
	};
}
