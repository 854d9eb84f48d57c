#include "correlate/gate.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>

/* picket.gate/1: `verdict` is a top-level string (Spinnaker maps strings, Argo Rollouts needs one
 * expression), `ok` and `score` are for tools that want a truth value or a number, `summary` is
 * always a string. Times are RFC 3339 or null; numbers that do not exist are null. */

enum { SCORE_PASS = 100, SCORE_OPEN = 50, SCORE_FAIL = 0 };
enum { HISTORY = 60 };    /* buckets: ten minutes */
enum { NOVEL_MAX = 100 }; /* signal findings in the list, the worst first */

static const double US_PER_SECOND = 1e6;

/* Starts a member: a comma unless it is the first of its object, and the name. */
static void put_name(struct bytes *to, const char *name)
{
	assert(to->failed || to->size > 0);
	if (!to->failed && to->data[to->size - 1] != '{')
		bytes_write_string(to, ",");
	json_put_string(to, text_of(name));
	bytes_write_string(to, ":");
}

static void put_string(struct bytes *to, const char *name, struct text value)
{
	put_name(to, name);
	json_put_string(to, value);
}

static void put_boolean(struct bytes *to, const char *name, bool value)
{
	put_name(to, name);
	bytes_write_string(to, value ? "true" : "false");
}

static void put_count(struct bytes *to, const char *name, uint64_t value)
{
	put_name(to, name);
	bytes_print(to, "%llu", (unsigned long long)value);
}

static void put_value(struct bytes *to, double value)
{
	if (!isfinite(value)) {
		bytes_write_string(to, "null");
		return;
	}
	char digits[32];
	(void)snprintf(digits, sizeof digits, "%.6g", value);
	/* JSON has a point whatever the locale of the program says. */
	for (char *at = digits; *at != '\0'; at++)
		if (strchr("0123456789+-e", *at) == NULL)
			*at = '.';
	bytes_write_string(to, digits);
}

static void put_number(struct bytes *to, const char *name, double value)
{
	put_name(to, name);
	put_value(to, value);
}

static void put_time(struct bytes *to, const char *name, int64_t time_us)
{
	char buffer[32];
	if (time_us != INT64_MIN && time_us != INT64_MAX) {
		put_string(to, name, time_print(time_us, buffer));
		return;
	}
	put_name(to, name);
	bytes_write_string(to, "null");
}

/* How the query named a build. */
static void put_arm(struct bytes *to, const char *name, const struct arm_query *query)
{
	struct bytes value cleanup(bytes_done) = {0};
	if (query->field == ARM_VERSION)
		bytes_write_string(&value, "service.version=");
	if (query->field == ARM_DEPLOY_ID)
		bytes_write_string(&value, "picket.deploy.id=");
	if (query->value.size == 0)
		bytes_write_string(&value, "auto");
	bytes_write(&value, query->value);
	to->failed |= value.failed;
	put_string(to, name, bytes_text(&value));
}

/* A step is what the controller calls it; a plain number stays a number. */
static void put_step(struct bytes *to, struct text step)
{
	enum { DIGITS_MAX = 9 };
	bool number =
		step.size > 0 && step.size <= DIGITS_MAX && (step.data[0] != '0' || step.size == 1);
	for (size_t i = 0; i < step.size; i++)
		number &= step.data[i] >= '0' && step.data[i] <= '9';
	put_name(to, "step");
	if (number)
		bytes_write(to, step);
	else if (step.size > 0)
		json_put_string(to, step);
	else
		bytes_write_string(to, "null");
}

static void put_pass(struct bytes *to, const struct side_result *side)
{
	put_number(to, "e_pass_relative", side->e_pass_relative);
	put_number(to, "e_pass_absolute", side->e_pass_absolute);
	put_number(to, "e_pass_relative_raw", side->e_pass_relative_raw);
	put_number(to, "e_pass_absolute_raw", side->e_pass_absolute_raw);
}

/* rule: NULL when it is no rule's. */
static void put_outcome(struct bytes *to, const struct outcome_result *outcome,
			const struct outcome_policy *of, const struct rule_result *rule)
{
	static const char *const STATES[] = {"open", "accepted", "rejected", "absent"};
	bytes_write_string(to, "{");
	put_string(to, "name", outcome->name);
	if (rule != NULL) {
		put_string(to, "rule", rule->rule->key);
		put_string(to, "title", rule->rule->title);
		put_boolean(to, "blocks", rule->blocks);
	}
	put_boolean(to, "gate", of->required);
	put_string(to, "state", text_of(STATES[outcome->state]));
	put_count(to, "n_c", outcome->n_c);
	put_count(to, "x_c", outcome->x_c);
	put_count(to, "n_b", outcome->n_b);
	put_count(to, "x_b", outcome->x_b);
	put_count(to, "raw_x_c", outcome->raw_x_c);
	put_count(to, "raw_x_b", outcome->raw_x_b);
	put_number(to, "odds_ratio", outcome->odds_ratio);
	put_number(to, "dispersion", outcome->dispersion);
	put_number(to, "e_fail", outcome->e_fail);
	put_number(to, "e_fail_sup", outcome->e_fail_sup);
	put_number(to, "p_value", fmin(1, 1 / outcome->e_fail_sup));
	put_number(to, "e_principals_sup", outcome->e_principals_sup);
	put_pass(to, &outcome->worse);
	if (outcome->two_sided) {
		put_name(to, "fewer");
		bytes_write_string(to, "{");
		put_number(to, "e_fail", outcome->better.e_fail);
		put_pass(to, &outcome->better);
		bytes_write_string(to, "}");
	}
	put_number(to, "weight", of->weight);
	put_number(to, "psi0", of->psi0);
	put_number(to, "psi_tol", of->psi_tol);
	put_number(to, "p_abs", of->p_abs);
	put_count(to, "distinct_principals", outcome->principals);
	bytes_write_string(to, "}");
}

static void put_evidence(struct bytes *to, const struct finding *finding)
{
	put_name(to, "evidence");
	bytes_write_string(to, "[");
	for (size_t i = 0; i < finding->evidence_count; i++) {
		const struct origin *origin = &finding->evidence[i];
		bytes_write_string(to, i == 0 ? "{" : ",{");
		put_string(to, "topic", origin->topic);
		bytes_print(to, ",\"partition\":%d,\"offset\":%lld,\"index\":%u",
			    (int)origin->partition, (long long)origin->offset,
			    (unsigned)origin->index);
		put_time(to, "time", finding->evidence_us[i]);
		bytes_write_string(to, "}");
	}
	bytes_write_string(to, "]");
}

static void put_finding(struct bytes *to, const struct finding *finding)
{
	bytes_write_string(to, "{");
	bool blocks = finding->last_us >= finding->blocks_from_us;
	put_string(to, "class", blocks ? TEXT("HARD") : TEXT("WARN"));
	if (!blocks)
		put_time(to, "blocks_from",
			 finding->blocks_from_us == INT64_MAX ? INT64_MIN
							      : finding->blocks_from_us);
	put_string(to, "rule", finding->rule_key);
	put_string(to, "title", finding->rule_title);
	put_string(to, "version", finding->arm.version);
	put_string(to, "deploy_id", finding->arm.deploy_id);
	put_count(to, "count", finding->count);
	put_time(to, "first", finding->first_us);
	put_time(to, "last", finding->last_us);
	put_evidence(to, finding);
	bytes_write_string(to, "}");
}

/* What a manifest can say of it, and what it would have to say. */
static void put_signal_finding(struct bytes *to, const struct gate_query *query,
			       const struct signal_finding *finding)
{
	const struct finding *shown = &finding->canary.shown;
	const struct signal_info *info = signal_info(finding->canary.signal);
	static const char *const CLASSES[] = {"OFF", "INFO", "SOFT", "HARD"};
	bytes_write_string(to, "{");
	put_string(to, "class", text_of(CLASSES[finding->level]));
	put_string(to, "signal", text_of(info->name));
	put_string(to, "key", shown->rule_key);
	put_string(to, "title", text_of(info->doc));
	put_string(to, "standing", text_of(signal_standing_name(finding->standing)));
	put_string(to, "version", shown->arm.version);
	put_string(to, "deploy_id", shown->arm.deploy_id);
	put_count(to, "count", shown->count);
	put_count(to, "principals", finding->canary.principal_count);
	put_count(to, "others_shown", finding->shown);
	put_count(to, "others_kept", finding->kept);
	put_count(to, "others_refused", finding->refused);
	if (finding->standing == STANDING_DECLARED)
		put_count(to, "declared_in_line", query->expect->items[finding->expectation].line);
	put_time(to, "first", shown->first_us);
	put_time(to, "last", shown->last_us);
	put_evidence(to, shown);
	bytes_write_string(to, "}");
}

static void put_signals(struct bytes *to, const struct gate_query *query,
			const struct gate_result *result)
{
	put_name(to, "signals");
	bytes_write_string(to, "[");
	for (int i = 0; i < SIGNAL_COUNT; i++) {
		const struct signal_info *info = signal_info((enum signal)i);
		const struct signal_report *report = &result->signals[i];
		bytes_write_string(to, i == 0 ? "{" : ",{");
		put_string(to, "name", text_of(info->name));
		put_string(to, "level", text_of(signal_level_name(query->policy.signals[i])));
		put_string(to, "state", text_of(signal_state_name(report->state)));
		put_count(to, "canary", report->canary);
		put_count(to, "baseline", report->baseline);
		put_count(to, "known", report->known);
		put_count(to, "findings", report->findings);
		put_string(to, "needs", text_of(info->needs));
		bytes_write_string(to, "}");
	}
	bytes_write_string(to, "]");
}

/* What the release declared, and how often each line was of use. */
static void put_expected(struct bytes *to, const struct gate_manifest *expect,
			 const struct gate_result *result)
{
	put_name(to, "expected");
	bytes_write_string(to, "[");
	for (size_t i = 0; expect != NULL && i < expect->count; i++) {
		const struct expectation *item = &expect->items[i];
		uint64_t times = 0;
		for (size_t k = 0; k < result->novel_count; k++)
			if (result->novel[k].standing == STANDING_DECLARED &&
			    result->novel[k].expectation == i)
				times += result->novel[k].canary.shown.count;
		bytes_write_string(to, i == 0 ? "{" : ",{");
		put_count(to, "line", item->line);
		put_string(to, "kind", text_of(item->kind));
		put_string(to, "value", item->value);
		put_string(to, "why", item->why);
		put_boolean(to, "used", times > 0);
		put_count(to, "times", times);
		bytes_write_string(to, "}");
	}
	bytes_write_string(to, "]");
}

static void put_texts(struct bytes *to, const char *name, const struct text *texts, size_t count)
{
	put_name(to, name);
	bytes_write_string(to, "[");
	for (size_t i = 0; i < count; i++) {
		bytes_write_string(to, i == 0 ? "" : ",");
		json_put_string(to, texts[i]);
	}
	bytes_write_string(to, "]");
}

static void put_lists(struct bytes *to, const struct gate_query *query,
		      const struct gate_result *result)
{
	put_name(to, "reasons");
	bytes_write_string(to, "[");
	for (size_t i = 0; i < result->reason_count; i++) {
		bytes_write_string(to, i == 0 ? "{" : ",{");
		put_string(to, "code", result->reasons[i].code);
		put_string(to, "text", result->reasons[i].text);
		bytes_write_string(to, "}");
	}
	bytes_write_string(to, "]");
	put_name(to, "outcomes");
	bytes_write_string(to, "[");
	for (int i = 0; i < OUTCOME_COUNT; i++) {
		bytes_write_string(to, i == 0 ? "" : ",");
		put_outcome(to, &result->outcomes[i], &query->policy.outcomes[i], NULL);
	}
	for (size_t i = 0; i < result->rule_count; i++) {
		const struct rule_result *rule = &result->rules[i];
		struct outcome_policy of = {.required = rule->required,
					    .weight = rule->weight,
					    .psi0 = rule->rule->psi0,
					    .psi_tol = rule->rule->psi_tol,
					    .p_abs = rule->rule->p_abs};
		bytes_write_string(to, ",");
		put_outcome(to, &rule->outcome, &of, rule);
	}
	bytes_write_string(to, "]");
	put_name(to, "findings");
	bytes_write_string(to, "[");
	for (size_t i = 0; i < result->finding_count; i++) {
		bytes_write_string(to, i == 0 ? "" : ",");
		put_finding(to, &result->findings[i]);
	}
	for (size_t i = 0; i < result->novel_count && i < NOVEL_MAX; i++) {
		bytes_write_string(to, result->finding_count + i == 0 ? "" : ",");
		put_signal_finding(to, query, &result->novel[i]);
	}
	bytes_write_string(to, "]");
	put_count(to, "findings_left_out",
		  result->novel_count > NOVEL_MAX ? result->novel_count - NOVEL_MAX : 0);
	put_signals(to, query, result);
	put_expected(to, query->expect, result);
}

static void put_quality(struct bytes *to, const struct gate_query *query,
			const struct gate_result *result)
{
	put_name(to, "quality");
	bytes_write_string(to, "{");
	put_count(to, "late", result->late);
	put_count(to, "missing", result->missing);
	put_boolean(to, "degraded", result->degraded_count > 0);
	put_count(to, "degraded_buckets", result->degraded_count);
	put_count(to, "no_principal_buckets", result->no_principal_count);
	put_count(to, "sampled_buckets", result->sampled_count);
	put_number(to, "declared_share", query->share);
	put_number(to, "observed_share", result->split_observed);
	put_number(to, "split_e", result->split_e);
	put_number(to, "baseline_e", result->e_baseline_sup);
	put_number(to, "coverage", result->coverage);
	put_count(to, "instances", result->instance_count);
	put_texts(to, "instances_silent", result->silent, result->silent_count);
	bytes_write_string(to, "}");
}

/* NaN before the canary is seen. */
static double bake_left_s(const struct gate_query *query, const struct gate_result *result)
{
	if (result->step_start_us == INT64_MIN || result->as_of_us == INT64_MIN)
		return NAN;
	double baked_us = (double)result->as_of_us - (double)result->step_start_us;
	return fmax(0, ((double)query->policy.bake_us - baked_us) / US_PER_SECOND);
}

static void put_window(struct bytes *to, const struct gate_query *query,
		       const struct gate_result *result)
{
	put_name(to, "window");
	bytes_write_string(to, "{");
	put_time(to, "start", result->window_start_us);
	put_time(to, "end", result->as_of_us);
	put_time(to, "step_start", result->step_start_us);
	put_number(to, "bake_s", (double)query->policy.bake_us / US_PER_SECOND);
	put_number(to, "bake_left_s", bake_left_s(query, result));
	bytes_write_string(to, "}");
}

/* The evidence of a regression after each of the newest buckets. */
static void put_history(struct bytes *to, const struct gate_result *result)
{
	size_t shown = result->moment_count < HISTORY ? result->moment_count : HISTORY;
	put_name(to, "e_history");
	bytes_write_string(to, "[");
	for (size_t i = result->moment_count - shown; i < result->moment_count; i++) {
		bytes_write_string(to, i == result->moment_count - shown ? "" : ",");
		put_value(to, result->moments[i].e_all);
	}
	bytes_write_string(to, "]");
}

void gate_json(const struct gate_query *query, const struct gate_result *result, struct bytes *to)
{
	bool pass = result->verdict == VERDICT_PASS;
	unsigned score = result->verdict == VERDICT_FAIL ? SCORE_FAIL : SCORE_OPEN;
	bytes_write_string(to, "{");
	put_string(to, "schema", TEXT("picket.gate/1"));
	put_string(to, "verdict", text_of(verdict_name(result->verdict)));
	put_boolean(to, "ok", pass);
	put_boolean(to, "final", result->final);
	put_count(to, "score", pass ? SCORE_PASS : score);
	put_string(to, "summary", result->summary);
	put_string(to, "service", query->service);
	put_name(to, "owner");
	if (query->owner.size > 0)
		json_put_string(to, query->owner);
	else
		bytes_write_string(to, "null");
	put_arm(to, "canary", &query->canary);
	put_arm(to, "baseline", &query->baseline);
	put_step(to, query->step);
	put_time(to, "as_of", result->as_of_us);
	put_number(to, "lag_s",
		   result->lag_us == INT64_MAX ? NAN : (double)result->lag_us / US_PER_SECOND);
	put_boolean(to, "fresh", result->fresh);
	put_window(to, query, result);
	put_number(to, "alpha", query->policy.alpha);
	put_number(to, "beta", query->policy.beta);
	put_number(to, "e_value", result->e_all);
	put_number(to, "e_value_sup", result->e_all_sup);
	put_history(to, result);
	put_number(to, "p_value", fmin(1, 1 / fmax(result->e_all_sup, 1)));
	put_lists(to, query, result);
	put_quality(to, query, result);
	put_texts(to, "versions_seen", result->versions_seen, result->versions_seen_count);
	put_name(to, "policy");
	bytes_write_string(to, "{");
	put_string(to, "name", query->policy.name);
	bytes_write_string(to, "}}");
}
