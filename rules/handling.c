#include "rules/parse_private.h"

#include <assert.h>

/* The `picket:` map of a rule: how its alerts are handled. It never changes what matches, so that
 * other tools may ignore it; a key that is not known is refused, because a misspelt `suppress`
 * would run with defaults and nobody would notice. */

enum { DEDUP_DEFAULT_HOURS = 1 };

const enum field_id rules_shown_fields[RULES_SHOWN_FIELDS] = {
	FIELD_USER_ID,          FIELD_SOURCE_IP,     FIELD_SERVICE_NAME, FIELD_SERVICE_VERSION,
	FIELD_EVENT_ACTION,     FIELD_EVENT_OUTCOME, FIELD_HTTP_STATUS,  FIELD_TARGET_TENANT_ID,
	FIELD_THREAT_INDICATOR, FIELD_LISTS,
};

static const double accuracy_error_default = 0.01;

static enum status dedup_parse(struct loader *loader, const struct yaml_node *dedup,
			       struct rule *rule, struct error *err)
{
	static const char *const keys[] = {"by", "for"};
	enum status status = node_keys(dedup, "picket.dedup", keys, 2, err);
	const struct yaml_node *by = yaml_get(dedup, "by");
	const struct yaml_node *duration = yaml_get(dedup, "for");
	if (status == OK && by != NULL)
		status = node_fields(loader, by, "picket.dedup.by", &rule->dedup_by,
				     &rule->dedup_by_count, err);
	if (status == OK && duration != NULL)
		status = node_duration(duration, "picket.dedup.for", &rule->dedup_for_us, err);
	if (status == OK && rule->dedup_for_us == 0)
		status = error_at(err, EINVALID, duration->at,
				  "picket.dedup.for must be longer than nothing\n  fix: write for "
				  "instance 1h");
	return status;
}

static bool is_shown(struct text field)
{
	enum field_id id = schema_find(field);
	for (size_t i = 0; id != FIELD_OTHER && i < RULES_SHOWN_FIELDS; i++)
		if (rules_shown_fields[i] == id)
			return true;
	return false;
}

/* What an alert does not keep of its events could not be compared. */
static enum status break_on_parse(struct loader *loader, const struct yaml_node *breaks,
				  struct rule *rule, struct error *err)
{
	struct bytes names cleanup(bytes_done) = {0};
	enum status status = node_fields(loader, breaks, "picket.suppress.break-on",
					 &rule->break_on, &rule->break_on_count, err);
	for (size_t i = 0; i < RULES_SHOWN_FIELDS; i++) {
		bytes_write_string(&names, i == 0 ? "" : ", ");
		bytes_write(&names, schema_info(rules_shown_fields[i])->name);
	}
	for (size_t i = 0; status == OK && i < rule->break_on_count; i++)
		if (!is_shown(rule->break_on[i]))
			status = error_at(
				err, EINVALID,
				breaks->kind == YAML_SEQUENCE ? breaks->items[i]->at : breaks->at,
				"an alert does not keep '%.*s' of its events, so a new "
				"value cannot break its silence\n  fix: use some of %.*s; "
				"an alert that opens, merges or ends always does",
				TEXT_ARG(rule->break_on[i]), TEXT_ARG(bytes_text(&names)));
	return status == OK ? bytes_status(&names) : status;
}

static enum status suppress_parse(struct loader *loader, const struct yaml_node *suppress,
				  struct rule *rule, struct error *err)
{
	static const char *const keys[] = {"for", "break-on"};
	enum status status = node_keys(suppress, "picket.suppress", keys, 2, err);
	const struct yaml_node *duration = yaml_get(suppress, "for");
	const struct yaml_node *breaks = yaml_get(suppress, "break-on");
	if (status == OK && duration == NULL)
		return error_at(err, EINVALID, suppress->at,
				"picket.suppress needs `for`\n  fix: write {for: 6h}");
	if (status == OK && breaks != NULL)
		status = break_on_parse(loader, breaks, rule, err);
	return status == OK
		       ? node_duration(duration, "picket.suppress.for", &rule->suppress_for_us, err)
		       : status;
}

static enum status tenant_parse(struct loader *loader, const struct yaml_node *tenant,
				struct rule *rule, struct error *err)
{
	static const char *const keys[] = {"scope"};
	static const char *const scopes[] = {"per-tenant", "cross-tenant"};
	size_t index = 0;
	(void)loader;
	enum status status = node_keys(tenant, "picket.tenant", keys, 1, err);
	const struct yaml_node *scope = yaml_get(tenant, "scope");
	if (status == OK && scope != NULL)
		status = node_one_of(scope, "picket.tenant.scope", scopes, 2, &index, err);
	rule->cross_tenant = index == 1;
	return status;
}

static enum status stage_parse(struct loader *loader, const struct yaml_node *stage,
			       struct rule *rule, struct error *err)
{
	static const char *const stages[] = {"live", "shadow"};
	size_t index = 0;
	(void)loader;
	enum status status = node_one_of(stage, "picket.stage", stages, 2, &index, err);
	rule->shadow = index == 1;
	return status;
}

static enum status gate_parse(struct loader *loader, const struct yaml_node *gate,
			      struct rule *rule, struct error *err)
{
	static const char *const keys[] = {"canary"};
	static const char *const values[] = {
		[GATE_WARN] = "warn", [GATE_BLOCK] = "block", [GATE_IGNORE] = "ignore"};
	(void)loader;
	if (gate->kind == YAML_MAPPING) {
		enum status status = node_keys(gate, "picket.gate", keys, 1, err);
		if (status != OK)
			return status;
		if (gate->count == 0)
			return error_at(err, EINVALID, gate->at,
					"picket.gate is empty\n  fix: write {canary: block}");
		gate = gate->values[0];
	}
	size_t index = GATE_WARN;
	enum status status = node_one_of(gate, "picket.gate", values, 3, &index, err);
	rule->gate = (enum rule_gate)index;
	return status;
}

static enum status explain_parse(struct loader *loader, const struct yaml_node *explain,
				 struct rule *rule, struct error *err)
{
	struct text text = {0};
	enum status status = node_text(explain, "picket.explain", &text, err);
	bool open = false, balanced = true;
	for (size_t i = 0; status == OK && i < text.size; i++) {
		if (text.data[i] == '{' || text.data[i] == '}') {
			balanced = balanced && open == (text.data[i] == '}');
			open = text.data[i] == '{';
		}
	}
	if (status == OK && (open || !balanced))
		return error_at(
			err, EINVALID, explain->at,
			"picket.explain has a brace without its partner\n  fix: write fields "
			"as {user.id}");
	rule->explain = loader_keep(loader, text);
	return status;
}

static enum status nonnegative_parse(struct loader *loader, const struct yaml_node *node,
				     struct rule *rule, struct error *err)
{
	(void)loader;
	return node_boolean(node, "picket.nonnegative", &rule->nonnegative, err);
}

/* A standard error that sketches of a reasonable size have (correlate/cardinality.h). */
static enum status error_parse(const struct yaml_node *node, double *ret_error, struct error *err)
{
	static const double smallest = 0.005;
	static const double largest = 0.05;
	bool number = node->kind == YAML_REAL || node->kind == YAML_INTEGER;
	if (!number || !(node->real >= smallest && node->real <= largest))
		return error_at(
			err, EINVALID, node->at,
			"picket.accuracy.error is not between %.3f and %.2f\n  fix: write for "
			"instance 0.01",
			smallest, largest);
	*ret_error = node->real;
	return OK;
}

static enum status accuracy_parse(struct loader *loader, const struct yaml_node *accuracy,
				  struct rule *rule, struct error *err)
{
	static const char *const keys[] = {"exact-until", "error"};
	(void)loader;
	enum status status = node_map(accuracy, "picket.accuracy", err);
	if (status == OK)
		status = node_keys(accuracy, "picket.accuracy", keys, 2, err);
	if (status != OK)
		return status;
	const struct yaml_node *exact_until = yaml_get(accuracy, "exact-until");
	const struct yaml_node *error = yaml_get(accuracy, "error");
	long long count = rule->accuracy.exact_until;
	rule->accuracy.given = true;
	if (exact_until != NULL)
		status = node_count(exact_until, "picket.accuracy.exact-until", 1,
				    ACCURACY_EXACT_MAX, &count, err);
	if (status == OK && error != NULL)
		status = error_parse(error, &rule->accuracy.error, err);
	rule->accuracy.exact_until = (uint32_t)count;
	return status;
}

static enum status wrong_for_rule(struct loader *loader, const struct yaml_node *node,
				  struct rule *rule, struct error *err)
{
	(void)loader;
	(void)rule;
	return error_at(
		err, EINVALID, node->at,
		"picket.filter and picket.expires belong to filter documents\n  fix: remove it "
		"here");
}

static const struct {
	const char *key;
	enum status (*parse)(struct loader *, const struct yaml_node *, struct rule *,
			     struct error *);
} parts[] = {
	{"dedup", dedup_parse},       {"suppress", suppress_parse},
	{"tenant", tenant_parse},     {"stage", stage_parse},
	{"gate", gate_parse},         {"explain", explain_parse},
	{"tests", tests_parse},       {"filter", wrong_for_rule},
	{"expires", wrong_for_rule},  {"nonnegative", nonnegative_parse},
	{"accuracy", accuracy_parse}, {"risk", risk_score_parse}, /* behind dedup, which it reads */
};
enum { PART_COUNT = sizeof parts / sizeof *parts };

static enum status planned_refused(const struct yaml_node *picket, struct error *err)
{
	static const char *const planned[] = {"entities", "group-missing", "timezone"};
	for (size_t i = 0; i < sizeof planned / sizeof *planned; i++) {
		const struct yaml_node *node = yaml_get(picket, planned[i]);
		if (node != NULL)
			return error_at(err, EINVALID, node->at,
					"this build does not evaluate picket.%s\n  fix: remove it",
					planned[i]);
	}
	return OK;
}

/* A rule that stops releases must have shown that it fires, and when it does not. */
static enum status block_has_tests(const struct yaml_node *picket, const struct rule *rule,
				   struct error *err)
{
	if (rule->gate != GATE_BLOCK || rule->test_count > 0)
		return OK;
	return error_at(
		err, EINVALID, yaml_get(picket, "gate")->at,
		"picket.gate block needs tests: a rule that stops releases must show what it "
		"fires on\n  fix: add picket.tests, or write gate: warn");
}

enum status handling_parse(struct loader *loader, const struct yaml_node *document,
			   struct rule *rule, struct error *err)
{
	const struct yaml_node *picket = yaml_get(document, "picket");
	const char *keys[PART_COUNT];
	assert(rule->tests == NULL);
	rule->dedup_for_us = DEDUP_DEFAULT_HOURS * 3600 * INT64_C(1000000);
	rule->explain = TEXT("");
	rule->accuracy = (struct value_accuracy){.exact_until = ACCURACY_EXACT_MAX,
						 .error = accuracy_error_default};
	if (picket == NULL)
		return OK;
	for (size_t i = 0; i < PART_COUNT; i++)
		keys[i] = parts[i].key;
	enum status status = node_map(picket, "picket", err);
	if (status == OK)
		status = planned_refused(picket, err);
	if (status == OK)
		status = node_keys(picket, "picket", keys, PART_COUNT, err);
	for (size_t i = 0; status == OK && i < PART_COUNT; i++) {
		const struct yaml_node *node = yaml_get(picket, parts[i].key);
		if (node != NULL)
			status = parts[i].parse(loader, node, rule, err);
	}
	return status == OK ? block_has_tests(picket, rule, err) : status;
}
