#include "cli/rule_trial.h"

#include <assert.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/release_trial.h"
#include "ingest/scan.h"

/* 2026-01-01T00:00:00Z: a test has no date of its own. */
static const int64_t START_US = 1767225600 * INT64_C(1000000);
static const uint64_t SEED = 0x7069636b65742121; /* "picket!!" */

enum { SECOND_US = 1000000 };

struct trial_event {
	int64_t time_us;
	char *json;
};

struct trial {
	const struct trial_setting *setting;
	const struct rule *rule;
	const struct rule_test *test;
	struct trial_event *events; /* in the order of the file */
	size_t count, capacity;
	size_t *order;
	int64_t span_us;
};

/* What the alerts of one run were. */
struct tally {
	const struct trial *trial;
	unsigned alerts;
	unsigned wrong_level;
	unsigned undecided, rejected;
	char detail[128];
	struct release_trial *release; /* of cohort_compare, while events are read */
	struct text outcome;
};

static void trial_done(struct trial *trial)
{
	for (size_t i = 0; i < trial->count; i++)
		free(trial->events[i].json);
	free(trial->events);
	free(trial->order);
}

static void scan_done(struct scan **scan)
{
	scan_free(scan);
}

static void object_done(struct json_object **object)
{
	(void)json_object_put(*object);
}

static enum status add_event(struct trial *trial, struct json_object *object, int64_t time_us,
			     bool stamp, struct error *err)
{
	char time[32];
	if (trial->count == TRIAL_EVENTS_MAX)
		return error_at(err, ELIMIT, trial->test->at, "a test has at most %d events",
				TRIAL_EVENTS_MAX);
	if (trial->count == trial->capacity) {
		size_t capacity = trial->capacity == 0 ? 64 : trial->capacity * 2;
		struct trial_event *grown = realloc(trial->events, capacity * sizeof *grown);
		if (grown == NULL)
			return error_set(err, ENOMEMORY, "no memory for a test");
		trial->events = grown;
		trial->capacity = capacity;
	}
	if (stamp)
		json_object_object_add(object, "@timestamp",
				       json_object_new_string(time_print(time_us, time).data));
	char *json = strdup(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
	if (json == NULL)
		return error_set(err, ENOMEMORY, "no memory for a test");
	trial->events[trial->count++] = (struct trial_event){time_us, json};
	if (time_us - START_US > trial->span_us)
		trial->span_us = time_us - START_US;
	return OK;
}

static enum status add_events(struct trial *trial, const struct rule_test_event *event,
			      struct error *err)
{
	struct json_tokener *tokener = json_tokener_new();
	if (tokener == NULL)
		return error_set(err, ENOMEMORY, "no memory for a test");
	struct json_object *object cleanup(object_done) =
		json_tokener_parse_ex(tokener, event->json.data, (int)event->json.size);
	json_tokener_free(tokener);
	if (!json_object_is_type(object, json_type_object))
		return error_at(err, EINVALID, event->at, "an event of a test is a map of fields");
	bool stamp = !json_object_object_get_ex(object, "@timestamp", NULL);
	unsigned repeat = event->repeat == 0 ? 1 : event->repeat;
	enum status status = OK;
	for (unsigned i = 0; status == OK && i < repeat; i++)
		status = add_event(trial, object,
				   START_US + event->at_us + (int64_t)i * event->every_us, stamp,
				   err);
	return status;
}

static void on_alert(void *context, const struct alert *alert)
{
	struct tally *tally = context;
	const struct rule_test *test = tally->trial->test;
	if (!text_equal(alert->rule_key, tally->trial->rule->key) || alert->state == ALERT_MERGED)
		return;
	tally->alerts++;
	tally->wrong_level += test->expect_level >= 0 && (int)alert->level != test->expect_level;
}

static void on_undecided(void *context, const struct scan_match *match)
{
	struct tally *tally = context;
	tally->undecided += match->rule == tally->trial->rule;
}

static void on_reject(void *context, const struct scan_reject *reject)
{
	struct tally *tally = context;
	if (tally->rejected++ == 0)
		(void)snprintf(tally->detail, sizeof tally->detail, "%.*s",
			       TEXT_ARG(reject->detail));
}

static void on_event(void *context, const struct event *event, const struct matches *matches)
{
	struct tally *tally = context;
	if (tally->release != NULL)
		release_trial_see(tally->release, event, matches);
}

static bool is_judged_by_gate(const struct rule *rule)
{
	return rule->correlation != NULL && rule->correlation->cohort != NULL;
}

/* The log source of the events: what the rule, or the first detection below it, is made for. */
static struct logsource logsource_of(const struct ruleset *ruleset, const struct rule *rule)
{
	for (int depth = 0; depth < RULES_CHAIN_DEPTH_MAX && rule->correlation != NULL; depth++) {
		assert(rule->correlation->rule_count > 0);
		rule = ruleset_rule(ruleset, rule->correlation->rules[0]);
	}
	return rule->logsource;
}

/* One run in trial->order; live: as it would arrive, else sorted. */
static enum status run_once(const struct trial *trial, bool live, struct tally *tally,
			    struct error *err)
{
	struct scan *scan cleanup(scan_done) = NULL;
	struct privacy *privacy cleanup(privacy_free) = NULL;
	struct scan_totals totals;
	struct scan_options options = {
		.ruleset = trial->setting->ruleset,
		.decoder = {.format = INPUT_AUTO,
			    .formats = trial->setting->formats,
			    .time_trusted = true,
			    .logsource = logsource_of(trial->setting->ruleset, trial->rule)},
		.final_only = true,
		.lateness_us = live ? trial->span_us + SECOND_US : -1,
		.sink = {.on_alert = on_alert,
			 .on_event = on_event,
			 .on_undecided = on_undecided,
			 .on_reject = on_reject,
			 .context = tally},
	};
	struct release_trial *release cleanup(release_trial_free) = NULL;
	*tally = (struct tally){.trial = trial};
	enum status status = privacy_new(&(struct privacy_options){0}, &privacy, err);
	if (status == OK && is_judged_by_gate(trial->rule))
		status = release_trial_new(trial->setting->ruleset, &release, err);
	tally->release = release;
	options.enrich.privacy = privacy; /* as live */
	if (status == OK)
		status = scan_new(&options, &scan, err);
	for (size_t i = 0; status == OK && i < trial->count; i++) {
		const struct trial_event *event = &trial->events[trial->order[i]];
		struct origin origin = {.topic = TEXT("test"), .offset = (int64_t)i + 1};
		status = scan_message(scan, &origin, text_of(event->json), err);
	}
	if (status == OK)
		status = scan_finish(scan, &totals, err);
	tally->release = NULL;
	return status == OK && release != NULL
		       ? release_trial_end(release, trial->rule, trial->test->expect_canary,
					   &tally->outcome, err)
		       : status;
}

static bool judge(const struct tally *tally, struct trial_result *result)
{
	const struct rule_test *test = tally->trial->test;
	char *to = result->message;
	size_t size = sizeof result->message;
	if (tally->rejected > 0)
		(void)snprintf(to, size, "%u events cannot be read: %s", tally->rejected,
			       tally->detail);
	else if (tally->undecided > 0)
		(void)snprintf(to, size, "%u times the rule could not be decided",
			       tally->undecided);
	else if (test->expect_canary.size > 0 && !text_equal(tally->outcome, test->expect_outcome))
		(void)snprintf(to, size, "the gate says \"%.*s\" of %.*s instead of \"%.*s\"",
			       TEXT_ARG(tally->outcome), TEXT_ARG(test->expect_canary),
			       TEXT_ARG(test->expect_outcome));
	else if (tally->alerts != test->expect_alerts && !tally->trial->rule->alerts)
		(void)snprintf(to, size,
			       "no alert: the rule is informational or only feeds a correlation "
			       "(generate: true there lets it alert too)");
	else if (tally->alerts != test->expect_alerts)
		(void)snprintf(to, size, "%u alerts instead of %u", tally->alerts,
			       test->expect_alerts);
	else if (tally->wrong_level > 0)
		(void)snprintf(to, size, "%u alerts have another level than %s", tally->wrong_level,
			       level_name((enum rule_level)test->expect_level));
	else
		return true;
	return false;
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13; /* xorshift64 (Marsaglia 2003) */
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void shuffle(struct trial *trial, uint64_t *state)
{
	for (size_t i = trial->count; i > 1; i--) {
		size_t other = (size_t)(next_random(state) % i);
		size_t kept = trial->order[i - 1];
		trial->order[i - 1] = trial->order[other];
		trial->order[other] = kept;
	}
}

static enum status try_orders(struct trial *trial, struct trial_result *result, struct error *err)
{
	struct tally tally;
	uint64_t state = SEED;
	unsigned more = trial->test->permute ? TRIAL_ORDERS : 0;
	enum status status = run_once(trial, false, &tally, err);
	if (status != OK)
		return status;
	result->alerts = tally.alerts;
	result->orders = 1;
	result->passed = judge(&tally, result);
	for (unsigned i = 0; result->passed && i < more; i++) {
		char why[128];
		shuffle(trial, &state);
		status = run_once(trial, true, &tally, err);
		if (status != OK)
			return status;
		result->orders++;
		result->passed = judge(&tally, result);
		(void)snprintf(why, sizeof why, "%.100s", result->message);
		if (!result->passed)
			(void)snprintf(result->message, sizeof result->message,
				       "in another order of arrival (number %u): %s", i + 1, why);
	}
	return OK;
}

enum status rule_trial(const struct trial_setting *setting, const struct rule *rule,
		       const struct rule_test *test, struct trial_result *ret_result,
		       struct error *err)
{
	struct trial trial cleanup(trial_done) = {.setting = setting, .rule = rule, .test = test};
	struct trial_result result = {0};
	enum status status = OK;
	assert(setting->formats != NULL);
	for (size_t i = 0; status == OK && i < test->event_count; i++)
		status = add_events(&trial, &test->events[i], err);
	if (status != OK)
		return status;
	trial.order = calloc(trial.count + 1, sizeof *trial.order);
	if (trial.order == NULL)
		return error_set(err, ENOMEMORY, "no memory for a test");
	for (size_t i = 0; i < trial.count; i++)
		trial.order[i] = i;
	status = try_orders(&trial, &result, err);
	if (status == OK)
		*ret_result = result;
	return status;
}
