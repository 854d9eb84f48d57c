#include "correlate/gate_policy.h"

#include <assert.h>
#include <math.h>
#include <stddef.h>

#include "rules/yaml.h"

/* A policy file:
 *
 *     name: payments
 *     alpha: 0.001
 *     bake: 10m
 *     outcomes:
 *       http_5xx: {required: true, psi_tol: 1.5}
 *       latency_p99: {weight: 0}
 *     signals:
 *       destination: soft
 *     rules:
 *       refund_failure: {required: false, weight: 0.1}
 *
 * Everything else is as in `default`. Weights are made to sum up to 1 after reading: who takes one
 * away gives its part of alpha to the others; those of rules that block (evidence_rule.c) come
 * beside that 1. What the numbers cost and buy: docs/GATE.md. */

static const int64_t SECOND_US = 1000000;
static const double RULE_WEIGHT = 0.05; /* as of error_log and the like */

struct gate_policy gate_policy_default(void)
{
	struct gate_policy policy = {
		.name = TEXT("default"),
		.alpha = 0.01,
		.beta = 0.05,
		.bake_us = 300 * SECOND_US,
		.max_lag_us = 30 * SECOND_US,
		.deadline_us = 1800 * SECOND_US,
		.warmup_us = 60 * SECOND_US,
		.principals_min = 3,
		.buckets_min = 2,
		.requests_min = 30,
		.coverage = 0.95,
		.coverage_requests_min = 30,
		.split_alpha = 0.001,
		.split_tolerance = 0.2,
		.learn_us = 24 * 3600 * SECOND_US,
		.rules_required = true,
	};
	for (int i = 0; i < SIGNAL_COUNT; i++)
		policy.signals[i] = signal_info((enum signal)i)->level;
	for (int i = 0; i < OUTCOME_COUNT; i++)
		policy.outcomes[i] =
			(struct outcome_policy){.weight = outcome_info((enum outcome)i)->weight,
						.psi0 = 1.25,
						.psi_tol = 2,
						.p_abs = 0.001};
	static const enum outcome REQUIRED[] = {OUTCOME_HTTP_5XX, OUTCOME_AUTHN_FAILURE,
						OUTCOME_AUTHZ_DENIED, OUTCOME_LATENCY_P50,
						OUTCOME_LATENCY_P90};
	for (size_t i = 0; i < sizeof REQUIRED / sizeof *REQUIRED; i++)
		policy.outcomes[REQUIRED[i]].required = true;
	/* Whoever is let in is let in: no more of these is tolerated than there was. */
	policy.outcomes[OUTCOME_AUTHZ_DENIED].psi0 = 1;
	policy.outcomes[OUTCOME_TENANT_DENIED].psi0 = 1;
	return policy;
}

static struct gate_policy policy_strict(void)
{
	struct gate_policy policy = gate_policy_default();
	policy.name = TEXT("strict");
	policy.alpha = 0.01;
	policy.beta = 0.01;
	policy.bake_us = 600 * SECOND_US;
	policy.deadline_us = 3600 * SECOND_US;
	policy.requests_min = 300;
	policy.signals[SIGNAL_ROUTE] = SIGNAL_SOFT;
	policy.signals[SIGNAL_INTERNAL_DESTINATION] = SIGNAL_HARD;
	for (int i = 0; i < OUTCOME_COUNT; i++) {
		policy.outcomes[i].required = true;
		policy.outcomes[i].fewer = outcome_info((enum outcome)i)->two_sided;
		policy.outcomes[i].psi0 = 1;
		policy.outcomes[i].psi_tol = 1.5;
		policy.outcomes[i].p_abs = 0.0005;
	}
	return policy;
}

static struct gate_policy policy_security_only(void)
{
	struct gate_policy policy = gate_policy_default();
	policy.name = TEXT("security-only");
	policy.coverage = 0;
	policy.requests_min = 1;
	policy.rules_required = false;
	for (int i = 0; i < OUTCOME_COUNT; i++)
		policy.outcomes[i].required = false;
	return policy;
}

struct gate_rule_policy gate_policy_of_rule(const struct gate_policy *policy, struct text name)
{
	for (size_t i = 0; i < policy->rule_count; i++)
		if (text_equal(policy->rules[i].name, name))
			return policy->rules[i];
	return (struct gate_rule_policy){name, policy->rules_required, RULE_WEIGHT};
}

bool gate_policy_shipped(size_t index, struct gate_shipped *ret_shipped)
{
	if (index == 0)
		*ret_shipped = (struct gate_shipped){
			gate_policy_default(),
			"no rule that blocks and no hard signal of security spoke against it, and "
			"failures, denials and latency proven not to have "
			"doubled (or to be below 0.1 %), each with 95 %"};
	else if (index == 1)
		*ret_shipped = (struct gate_shipped){
			policy_strict(),
			"the same, also no new internal destination and no new route, and every outcome that is logged proven to be below 1.5 "
			"times the baseline's (or below 0.05 %), each with 99 %; needs much traffic"};
	else if (index == 2)
		*ret_shipped = (struct gate_shipped){
			policy_security_only(),
			"no blocking finding and no regression seen while the canary was heard and "
			"asked at least once, with at least one signal of security on; it claims NOTHING about error rates or latency. For "
			"services with too little traffic to prove more"};
	else
		return false;
	return true;
}

enum key_kind { KEY_NUMBER, KEY_DURATION, KEY_COUNT, KEY_UNSIGNED, KEY_BOOLEAN };

struct key {
	const char *name;
	enum key_kind kind;
	size_t at; /* in the struct */
	double min, max;
};

static const struct key POLICY_KEYS[] = {
	{"alpha", KEY_NUMBER, offsetof(struct gate_policy, alpha), 1e-6, 0.2},
	{"beta", KEY_NUMBER, offsetof(struct gate_policy, beta), 1e-6, 0.5},
	{"bake", KEY_DURATION, offsetof(struct gate_policy, bake_us), 0, 7 * 86400e6},
	{"max_lag", KEY_DURATION, offsetof(struct gate_policy, max_lag_us), 1e6, 3600e6},
	{"deadline", KEY_DURATION, offsetof(struct gate_policy, deadline_us), 1e6, 30 * 86400e6},
	{"warmup", KEY_DURATION, offsetof(struct gate_policy, warmup_us), 0, 3600e6},
	{"principals_min", KEY_UNSIGNED, offsetof(struct gate_policy, principals_min), 1, 1000},
	{"buckets_min", KEY_UNSIGNED, offsetof(struct gate_policy, buckets_min), 1, 1000},
	{"requests_min", KEY_COUNT, offsetof(struct gate_policy, requests_min), 1, 1e9},
	{"coverage", KEY_NUMBER, offsetof(struct gate_policy, coverage), 0, 1},
	{"coverage_requests_min", KEY_COUNT, offsetof(struct gate_policy, coverage_requests_min), 1,
	 1e9},
	{"split_alpha", KEY_NUMBER, offsetof(struct gate_policy, split_alpha), 1e-9, 0.2},
	{"learn", KEY_DURATION, offsetof(struct gate_policy, learn_us), 0, 30 * 86400e6},
	{"split_tolerance", KEY_NUMBER, offsetof(struct gate_policy, split_tolerance), 0, 10},
	{"rules_required", KEY_BOOLEAN, offsetof(struct gate_policy, rules_required), 0, 1},
};

static const struct key RULE_KEYS[] = {
	{"required", KEY_BOOLEAN, offsetof(struct gate_rule_policy, required), 0, 1},
	{"weight", KEY_NUMBER, offsetof(struct gate_rule_policy, weight), 0, 1},
};

static const struct key OUTCOME_KEYS[] = {
	{"required", KEY_BOOLEAN, offsetof(struct outcome_policy, required), 0, 1},
	{"fewer", KEY_BOOLEAN, offsetof(struct outcome_policy, fewer), 0, 1},
	{"weight", KEY_NUMBER, offsetof(struct outcome_policy, weight), 0, 1},
	{"psi0", KEY_NUMBER, offsetof(struct outcome_policy, psi0), 1, 100},
	{"psi_tol", KEY_NUMBER, offsetof(struct outcome_policy, psi_tol), 1.01, 100},
	{"p_abs", KEY_NUMBER, offsetof(struct outcome_policy, p_abs), 1e-9, 0.5},
};

enum {
	POLICY_KEY_COUNT = sizeof POLICY_KEYS / sizeof *POLICY_KEYS,
	OUTCOME_KEY_COUNT = sizeof OUTCOME_KEYS / sizeof *OUTCOME_KEYS,
	RULE_KEY_COUNT = sizeof RULE_KEYS / sizeof *RULE_KEYS,
	NAMES_MAX = 32,
};

static enum status refuse_key(const struct yaml_node *key, const char *const *names, size_t count,
			      const char *where, struct error *err)
{
	const char *better = nearest_name(key->text, names, count);
	return error_at(err, EINVALID, key->at, "%s has no \"%.*s\"%s%s%s", where,
			TEXT_ARG(key->text), better == NULL ? "" : "\n  fix: did you mean \"",
			better == NULL ? "" : better, better == NULL ? "" : "\"?");
}

static bool is_number(const struct yaml_node *node)
{
	return node->kind == YAML_INTEGER || node->kind == YAML_REAL;
}

static enum status read_value(const struct key *key, const struct yaml_node *node, void *into,
			      struct error *err)
{
	char *at = (char *)into + key->at;
	int64_t duration_us = 0;
	double value = 0;
	if (key->kind == KEY_BOOLEAN) {
		if (node->kind != YAML_BOOLEAN)
			return error_at(err, EINVALID, node->at, "%s is true or false", key->name);
		*(bool *)at = node->boolean;
		return OK;
	}
	if (key->kind == KEY_DURATION) {
		if (node->kind == YAML_INTEGER && node->integer == 0)
			duration_us = 0;
		else if (node->kind >= YAML_SEQUENCE || !duration_parse(node->text, &duration_us))
			return error_at(err, EINVALID, node->at,
					"%s is a duration\n  fix: write 30s, 5m or 1h", key->name);
		value = (double)duration_us;
	} else {
		if (!is_number(node) || (key->kind != KEY_NUMBER && node->kind != YAML_INTEGER))
			return error_at(err, EINVALID, node->at, "%s is a %snumber", key->name,
					key->kind == KEY_NUMBER ? "" : "whole ");
		value = node->real;
	}
	bool seconds = key->kind == KEY_DURATION;
	if (!(value >= key->min && value <= key->max))
		return error_at(err, EINVALID, node->at, "%s is from %g to %g%s", key->name,
				key->min / (seconds ? 1e6 : 1), key->max / (seconds ? 1e6 : 1),
				seconds ? " seconds" : "");
	if (key->kind == KEY_NUMBER)
		*(double *)at = value;
	else if (key->kind == KEY_DURATION)
		*(int64_t *)at = duration_us;
	else if (key->kind == KEY_COUNT)
		*(uint64_t *)at = (uint64_t)node->integer;
	else
		*(unsigned *)at = (unsigned)node->integer;
	return OK;
}

/* A map of some of these keys. */
static enum status read_map(const struct yaml_node *node, const char *name, const struct key *keys,
			    size_t count, void *into, struct error *err)
{
	const char *names[NAMES_MAX];
	if (node->kind != YAML_MAPPING)
		return error_at(err, EINVALID, node->at,
				"%s is a map\n  fix: write {required: true}", name);
	for (size_t k = 0; k < count; k++)
		names[k] = keys[k].name;
	for (size_t i = 0; i < node->count; i++) {
		size_t k = 0;
		while (k < count && !text_equal(node->keys[i]->text, text_of(keys[k].name)))
			k++;
		if (k == count)
			return refuse_key(node->keys[i], names, count, name, err);
		enum status status = read_value(&keys[k], node->values[i], into, err);
		if (status != OK)
			return status;
	}
	return OK;
}

static enum status read_outcome(const struct yaml_node *node, const char *name,
				struct outcome_policy *policy, struct error *err)
{
	enum status status = read_map(node, name, OUTCOME_KEYS, OUTCOME_KEY_COUNT, policy, err);
	if (status != OK)
		return status;
	if (policy->psi_tol <= policy->psi0)
		return error_at(err, EINVALID, node->at,
				"%s: psi_tol %g is not above psi0 %g: nothing could be proven",
				name, policy->psi_tol, policy->psi0);
	return OK;
}

static enum status read_outcomes(const struct yaml_node *node, struct gate_policy *policy,
				 struct error *err)
{
	const char *names[OUTCOME_COUNT];
	if (node->kind != YAML_MAPPING)
		return error_at(err, EINVALID, node->at,
				"outcomes is a map\n  fix: write outcomes: {http_5xx: {...}}");
	for (int k = 0; k < OUTCOME_COUNT; k++)
		names[k] = outcome_name((enum outcome)k);
	for (size_t i = 0; i < node->count; i++) {
		int k = 0;
		while (k < OUTCOME_COUNT && !text_equal(node->keys[i]->text, text_of(names[k])))
			k++;
		if (k == OUTCOME_COUNT)
			return refuse_key(node->keys[i], names, OUTCOME_COUNT, "outcomes", err);
		enum status status =
			read_outcome(node->values[i], names[k], &policy->outcomes[k], err);
		if (status != OK)
			return status;
	}
	double sum = 0;
	for (int k = 0; k < OUTCOME_COUNT; k++)
		sum += policy->outcomes[k].weight;
	if (sum <= 0)
		return error_at(err, EINVALID, node->at,
				"every weight is 0: no regression could ever FAIL");
	for (int k = 0; k < OUTCOME_COUNT; k++)
		policy->outcomes[k].weight /= sum;
	return OK;
}

/* Rules by their names; whether the rule set has them is seen when a canary is judged. */
static enum status read_rules(const struct yaml_node *node, struct arena *arena,
			      struct gate_policy *policy, struct error *err)
{
	if (node->kind != YAML_MAPPING || node->count > COHORT_RULES_MAX)
		return error_at(err, EINVALID, node->at,
				"rules is a map of up to %d rules\n  fix: write rules: "
				"{refund_failure: {required: true}}",
				COHORT_RULES_MAX);
	for (size_t i = 0; i < node->count; i++) {
		struct text name = arena_copy(arena, node->keys[i]->text);
		if (name.data == NULL)
			return error_set(err, ENOMEMORY, "no memory for a policy");
		struct gate_rule_policy *rule = &policy->rules[i];
		*rule = (struct gate_rule_policy){name, true, RULE_WEIGHT};
		enum status status = read_map(node->values[i], "a rule of a policy", RULE_KEYS,
					      RULE_KEY_COUNT, rule, err);
		if (status != OK)
			return status;
	}
	policy->rule_count = node->count;
	return OK;
}

static enum status read_signals(const struct yaml_node *node, struct gate_policy *policy,
				struct error *err)
{
	const char *names[SIGNAL_COUNT];
	if (node->kind != YAML_MAPPING)
		return error_at(err, EINVALID, node->at,
				"signals is a map\n  fix: write signals: {destination: soft}");
	for (int k = 0; k < SIGNAL_COUNT; k++)
		names[k] = signal_info((enum signal)k)->name;
	for (size_t i = 0; i < node->count; i++) {
		const struct yaml_node *value = node->values[i];
		enum signal signal = SIGNAL_COUNT;
		int level = SIGNAL_HARD;
		if (!signal_find(node->keys[i]->text, &signal))
			return refuse_key(node->keys[i], names, SIGNAL_COUNT, "signals", err);
		while (level >= SIGNAL_OFF &&
		       !text_equal(value->text,
				   text_of(signal_level_name((enum signal_level)level))))
			level--;
		if (value->kind >= YAML_SEQUENCE || level < SIGNAL_OFF)
			return error_at(
				err, EINVALID, value->at,
				"%s is hard (FAIL), soft (withholds PASS), info or off\n  fix: "
				"write %s: soft",
				names[signal], names[signal]);
		policy->signals[signal] = (enum signal_level)level;
	}
	return OK;
}

static enum status read_name(const struct yaml_node *node, struct arena *arena,
			     struct gate_policy *policy, struct error *err)
{
	bool plain = node->kind < YAML_SEQUENCE && node->text.size > 0 &&
		     node->text.size <= GATE_POLICY_NAME_MAX;
	for (size_t i = 0; plain && i < node->text.size; i++)
		plain = strchr("abcdefghijklmnopqrstuvwxyz0123456789-_", node->text.data[i]) !=
			NULL;
	if (!plain)
		return error_at(err, EINVALID, node->at, "name has up to %d of a-z, 0-9, - and _",
				GATE_POLICY_NAME_MAX);
	struct gate_shipped shipped;
	for (size_t i = 0; gate_policy_shipped(i, &shipped); i++)
		if (text_equal(shipped.policy.name, node->text))
			return error_at(err, EINVALID, node->at,
					"\"%.*s\" is a shipped policy\n  fix: choose another name",
					TEXT_ARG(node->text));
	policy->name = arena_copy(arena, node->text);
	return policy->name.data == NULL ? error_set(err, ENOMEMORY, "no memory for a policy") : OK;
}

enum status gate_policy_read(const struct yaml_node *document, struct arena *arena,
			     struct gate_policy *ret_policy, struct error *err)
{
	struct gate_policy policy = gate_policy_default();
	const char *names[NAMES_MAX] = {"name", "outcomes", "signals", "rules"};
	if (document->kind != YAML_MAPPING)
		return error_at(err, EINVALID, document->at,
				"a policy is a map\n  fix: write name: NAME and what differs from "
				"default");
	for (size_t k = 0; k < POLICY_KEY_COUNT; k++)
		names[k + 4] = POLICY_KEYS[k].name;
	policy.name = (struct text){0};
	for (size_t i = 0; i < document->count; i++) {
		struct text name = document->keys[i]->text;
		const struct yaml_node *value = document->values[i];
		size_t k = 0;
		while (k < POLICY_KEY_COUNT && !text_equal(name, text_of(POLICY_KEYS[k].name)))
			k++;
		enum status status = OK;
		if (text_equal(name, TEXT("name")))
			status = read_name(value, arena, &policy, err);
		else if (text_equal(name, TEXT("outcomes")))
			status = read_outcomes(value, &policy, err);
		else if (text_equal(name, TEXT("signals")))
			status = read_signals(value, &policy, err);
		else if (text_equal(name, TEXT("rules")))
			status = read_rules(value, arena, &policy, err);
		else if (k == POLICY_KEY_COUNT)
			status = refuse_key(document->keys[i], names, POLICY_KEY_COUNT + 4,
					    "a policy", err);
		else
			status = read_value(&POLICY_KEYS[k], value, &policy, err);
		if (status != OK)
			return status;
	}
	if (policy.name.size == 0)
		return error_at(err, EINVALID, document->at,
				"the policy has no name\n  fix: write name: NAME");
	*ret_policy = policy;
	return OK;
}

static void print_value(const struct key *key, const void *from, struct bytes *to)
{
	const char *at = (const char *)from + key->at;
	bytes_print(to, "%s: ", key->name);
	if (key->kind == KEY_BOOLEAN)
		bytes_write_string(to, *(const bool *)at ? "true" : "false");
	else if (key->kind == KEY_NUMBER)
		bytes_print(to, "%.12g", *(const double *)at);
	else if (key->kind == KEY_DURATION)
		bytes_print(to, "%llds", (long long)(*(const int64_t *)at / SECOND_US));
	else if (key->kind == KEY_COUNT)
		bytes_print(to, "%llu", (unsigned long long)*(const uint64_t *)at);
	else
		bytes_print(to, "%u", *(const unsigned *)at);
}

void gate_policy_print(const struct gate_policy *policy, struct bytes *to)
{
	bytes_write_string(to, "name: ");
	bytes_write(to, policy->name);
	bytes_write_string(to, "\n");
	for (size_t k = 0; k < POLICY_KEY_COUNT; k++) {
		print_value(&POLICY_KEYS[k], policy, to);
		bytes_write_string(to, "\n");
	}
	bytes_write_string(to, "outcomes:\n");
	for (int i = 0; i < OUTCOME_COUNT; i++) {
		const char *name = outcome_name((enum outcome)i);
		bytes_write_string(to, "  ");
		bytes_write_string(to, name);
		for (size_t k = 0; k < OUTCOME_KEY_COUNT; k++) {
			bytes_put(to, k == 0 ? ": {" : ", ", k == 0 ? 3 : 2);
			print_value(&OUTCOME_KEYS[k], &policy->outcomes[i], to);
		}
		bytes_write_string(to, "}\n");
	}
	bytes_write_string(to, "signals:\n");
	for (int i = 0; i < SIGNAL_COUNT; i++) {
		const char *name = signal_info((enum signal)i)->name;
		const char *level = signal_level_name(policy->signals[i]);
		bytes_write_string(to, "  ");
		bytes_write_string(to, name);
		bytes_write_string(to, ": ");
		bytes_write_string(to, level);
		bytes_write_string(to, "\n");
	}
	if (policy->rule_count > 0)
		bytes_write_string(to, "rules:\n");
	for (size_t i = 0; i < policy->rule_count; i++) {
		const struct gate_rule_policy *rule = &policy->rules[i];
		bytes_write_string(to, "  ");
		bytes_write(to, rule->name);
		bytes_write_string(to, ": {");
		print_value(&RULE_KEYS[0], rule, to);
		bytes_write_string(to, ", ");
		print_value(&RULE_KEYS[1], rule, to);
		bytes_write_string(to, "}\n");
	}
}
