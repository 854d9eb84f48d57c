#include "rules/parse_private.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>

/* picket.tests: events in, number of alerts out, beside the rule they prove. An event is written as
 * a YAML map and handed on as JSON text, so that it takes the same way through decoding and
 * normalising as one from Kafka. */

enum { REPEAT_MAX = 1000000, ALERTS_MAX = 1000000 };

static void json_put(const struct yaml_node *node, struct bytes *to);

static void json_put_collection(const struct yaml_node *node, struct bytes *to)
{
	bool is_map = node->kind == YAML_MAPPING;
	bytes_put_u8(to, is_map ? '{' : '[');
	for (size_t i = 0; i < node->count; i++) {
		if (i > 0)
			bytes_put_u8(to, ',');
		if (is_map) {
			json_put_string(to, node->keys[i]->text);
			bytes_put_u8(to, ':');
		}
		json_put(is_map ? node->values[i] : node->items[i], to);
	}
	bytes_put_u8(to, is_map ? '}' : ']');
}

/* Depth is bounded by the YAML reader. */
static void json_put(const struct yaml_node *node, struct bytes *to)
{
	char number[64];
	switch (node->kind) {
	case YAML_NULL:
		bytes_write_string(to, "null");
		break;
	case YAML_BOOLEAN:
		bytes_put(to, node->boolean ? "true" : "false", node->boolean ? 4 : 5);
		break;
	case YAML_INTEGER:
		bytes_put(to, number,
			  (size_t)snprintf(number, sizeof number, "%lld", node->integer));
		break;
	case YAML_REAL:
		if (isfinite(node->real))
			bytes_put(to, number,
				  (size_t)snprintf(number, sizeof number, "%.17g", node->real));
		else
			json_put_string(to, node->text);
		break;
	case YAML_STRING:
		json_put_string(to, node->text);
		break;
	case YAML_SEQUENCE:
	case YAML_MAPPING:
		json_put_collection(node, to);
		break;
	}
}

static void bytes_cleanup(struct bytes *bytes)
{
	bytes_done(bytes);
}

static enum status event_parse(struct loader *loader, const struct yaml_node *node,
			       struct rule_test_event *event, struct error *err)
{
	static const char *const keys[] = {"at", "repeat", "every", "event"};
	enum status status = node_keys(node, "an event of picket.tests", keys, 4, err);
	if (status != OK)
		return status;
	const struct yaml_node *at = yaml_get(node, "at"), *map = yaml_get(node, "event");
	const struct yaml_node *repeat = yaml_get(node, "repeat");
	const struct yaml_node *every = yaml_get(node, "every");
	long long times = 1;
	*event = (struct rule_test_event){.at = node->at};
	if (at != NULL)
		status = node_duration(at, "at", &event->at_us, err);
	if (status == OK && repeat != NULL)
		status = node_count(repeat, "repeat", 1, REPEAT_MAX, &times, err);
	if (status == OK && every != NULL)
		status = node_duration(every, "every", &event->every_us, err);
	if (status == OK && map == NULL)
		status = error_at(err, EINVALID, node->at,
				  "this entry has no event\n  fix: add `event: {field: value}`");
	if (status == OK)
		status = node_map(map, "event", err);
	if (status != OK)
		return status;
	struct bytes json cleanup(bytes_cleanup) = {0};
	json_put(map, &json);
	if (bytes_status(&json) != OK)
		return loader_exhausted(err);
	event->repeat = (unsigned)times;
	event->json = loader_keep(loader, bytes_text(&json));
	return OK;
}

/* {canary: 2.1.0, outcome: worse}, of a rule that the gate judges. */
static enum status expect_canary_parse(struct loader *loader, const struct yaml_node *expect,
				       struct rule_test *test, struct error *err)
{
	static const char *const keys[] = {"canary", "outcome"};
	static const char *const outcomes[] = {"worse", "unconfirmed", "not worse", "open",
					       "absent"};
	const struct yaml_node *outcome = yaml_get(expect, "outcome");
	struct text canary = {0};
	size_t index = 0;
	enum status status = node_keys(expect, "expect", keys, 2, err);
	if (status == OK)
		status = node_text(yaml_get(expect, "canary"), "expect.canary", &canary, err);
	if (status == OK && outcome == NULL)
		status = error_at(err, EINVALID, expect->at,
				  "expect names a canary, and not what is said of it\n  fix: add "
				  "outcome: worse, unconfirmed, not worse, open or absent");
	if (status == OK)
		status = node_one_of(outcome, "expect.outcome", outcomes, 5, &index, err);
	if (status == OK) {
		test->expect_canary = loader_keep(loader, canary);
		test->expect_outcome = text_of(outcomes[index]);
	}
	return status;
}

static enum status expect_parse(struct loader *loader, const struct yaml_node *expect,
				struct rule_test *test, struct error *err)
{
	static const char *const keys[] = {"alerts", "level"};
	test->expect_level = -1;
	if (yaml_get(expect, "canary") != NULL)
		return expect_canary_parse(loader, expect, test, err);
	static const char *const levels[] = {"informational", "low", "medium", "high", "critical"};
	enum status status = node_keys(expect, "expect", keys, 2, err);
	const struct yaml_node *alerts = yaml_get(expect, "alerts");
	const struct yaml_node *level = yaml_get(expect, "level");
	long long count = 0;
	size_t index = 0;
	if (status == OK && alerts == NULL)
		status = error_at(err, EINVALID, expect->at,
				  "expect needs the number of alerts\n  fix: write {alerts: 1}");
	if (status == OK)
		status = node_count(alerts, "alerts", 0, ALERTS_MAX, &count, err);
	if (status == OK && level != NULL)
		status = node_one_of(level, "level", levels, 5, &index, err);
	test->expect_alerts = (unsigned)count;
	test->expect_level = level == NULL ? -1 : (int)index;
	return status;
}

static enum status events_parse(struct loader *loader, const struct yaml_node *node,
				struct rule_test *test, struct error *err)
{
	enum status status = node_list(node, "events", err);
	if (status != OK)
		return status;
	struct rule_test_event *events =
		arena_alloc(loader->arena, (node->count + 1) * sizeof *events);
	if (events == NULL)
		return loader_exhausted(err);
	for (size_t i = 0; status == OK && i < node->count; i++)
		status = event_parse(loader, node->items[i], &events[i], err);
	test->events = events;
	test->event_count = node->count;
	return status;
}

static enum status test_parse(struct loader *loader, const struct yaml_node *node,
			      struct rule_test *test, struct error *err)
{
	static const char *const keys[] = {"name", "expect", "permute", "events"};
	enum status status = node_keys(node, "a test of picket.tests", keys, 4, err);
	if (status != OK)
		return status;
	const struct yaml_node *name = yaml_get(node, "name");
	const struct yaml_node *expect = yaml_get(node, "expect");
	const struct yaml_node *permute = yaml_get(node, "permute");
	const struct yaml_node *events = yaml_get(node, "events");
	struct text text = TEXT("");
	test->at = node->at;
	if (expect == NULL || events == NULL)
		return error_at(err, EINVALID, node->at, "this test has no %s\n  fix: add `%s`",
				expect == NULL ? "expect" : "events",
				expect == NULL ? "expect: {alerts: 1}"
					       : "events: [{event: {field: value}}]");
	if (name != NULL)
		status = node_text(name, "name", &text, err);
	if (status == OK)
		status = expect_parse(loader, expect, test, err);
	if (status == OK && permute != NULL)
		status = node_boolean(permute, "permute", &test->permute, err);
	if (status == OK)
		status = events_parse(loader, events, test, err);
	test->name = loader_keep(loader, text);
	return status;
}

enum status tests_parse(struct loader *loader, const struct yaml_node *node, struct rule *rule,
			struct error *err)
{
	enum status status = node_list(node, "picket.tests", err);
	if (status != OK)
		return status;
	struct rule_test *tests = arena_alloc(loader->arena, (node->count + 1) * sizeof *tests);
	if (tests == NULL)
		return loader_exhausted(err);
	for (size_t i = 0; status == OK && i < node->count; i++)
		status = test_parse(loader, node->items[i], &tests[i], err);
	assert(rule->test_count == 0);
	rule->tests = tests;
	rule->test_count = node->count;
	return status;
}

enum status tests_checked(const struct rule *rule, bool judged_by_gate, struct error *err)
{
	for (size_t i = 0; i < rule->test_count; i++) {
		const struct rule_test *test = &rule->tests[i];
		if ((test->expect_canary.size > 0) != judged_by_gate)
			return error_at(
				err, EINVALID, test->at,
				judged_by_gate
					? "cohort_compare raises no alerts: the gate says "
					  "what it found\n  fix: write expect: {canary: 2.1.0, "
					  "outcome: worse}"
					: "only a rule of type cohort_compare is judged by the "
					  "gate\n  fix: write expect: {alerts: 1}");
	}
	return OK;
}
