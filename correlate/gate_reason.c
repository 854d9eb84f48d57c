#include "correlate/gate_private.h"

#include <assert.h>

/* Sentences of the verdict that need more than a line: for a person who must decide next. */

/* Adds a reason; text.data == NULL is what arena_print() says when memory is out. */
void give_reason(struct judgement *judgement, struct text code, struct text text)
{
	struct gate_result *result = judgement->result;
	judgement->out_of_memory |= text.data == NULL;
	if (result->reason_count < GATE_REASONS_MAX)
		result->reasons[result->reason_count++] = (struct gate_reason){code, text};
}

/* A mistyped name must not look like a canary that has no traffic yet: what was heard instead. */
void say_unseen(struct judgement *judgement, const char *role, struct text version)
{
	enum { SHOWN = 4 };
	const struct gate_result *result = judgement->result;
	size_t count = result->versions_seen_count;
	struct text heard = TEXT("");
	for (size_t i = 0; i < count && i < SHOWN && heard.data != NULL; i++)
		heard = arena_print(judgement->arena, "%.*s%s%.*s", TEXT_ARG(heard),
				    i == 0 ? "; heard: " : ", ",
				    TEXT_ARG(result->versions_seen[i]));
	if (count > SHOWN && heard.data != NULL)
		heard = arena_print(judgement->arena, "%.*s and %zu more", TEXT_ARG(heard),
				    count - SHOWN);
	if (count == 0)
		heard = TEXT(", nor of any version of that service");
	judgement->out_of_memory |= heard.data == NULL;
	struct text service = judgement->query->service;
	give_reason(judgement, TEXT("IDENTITY"),
		    arena_print(judgement->arena, "no event of %s%.*s %.*s was seen%.*s", role,
				TEXT_ARG(service), TEXT_ARG(version), TEXT_ARG(heard)));
}

void say_regression(struct judgement *judgement, const struct outcome_result *outcome)
{
	const struct gate_policy *policy = &judgement->query->policy;
	bool better = outcome->better.e_fail > outcome->worse.e_fail;
	give_reason(judgement, TEXT("REGRESSION"),
		    arena_print(judgement->arena,
				"%.*s%s: %llu of %llu of the canary against %llu of %llu of the "
				"baseline (evidence %.3g, %g is enough)",
				TEXT_ARG(outcome->name),
				better ? " fell, which is a finding too" : "",
				(unsigned long long)outcome->x_c, (unsigned long long)outcome->n_c,
				(unsigned long long)outcome->x_b, (unsigned long long)outcome->n_b,
				outcome->e_fail_sup, 1 / policy->alpha));
}

void say_unconfirmed(struct judgement *judgement, const struct outcome_result *outcome)
{
	const struct gate_policy *policy = &judgement->query->policy;
	bool from_strangers = false;
	for (int i = 0; i < OUTCOME_COUNTED; i++)
		from_strangers |= outcome == &judgement->result->outcomes[i] &&
				  outcome_is_of_outsiders((enum outcome)i);
	give_reason(judgement, TEXT("UNCONFIRMED"),
		    arena_print(judgement->arena,
				"%.*s looks worse (evidence %.3g, and %.3g when each principal "
				"counts once), from %u principal%s in %u bucket%s; %u in %u are "
				"asked for%s%s",
				TEXT_ARG(outcome->name), outcome->e_fail_sup,
				outcome->e_principals_sup, outcome->principals,
				outcome->principals == 1 ? "" : "s", outcome->bad_bucket_count,
				outcome->bad_bucket_count == 1 ? "" : "s", policy->principals_min,
				policy->buckets_min,
				judgement->result->no_principal_count == 0
					? ""
					: " (log user.id, source.ip or trace.id)",
				from_strangers ? "; of those who were known here before, by a "
						 "success with user.id: refusals of anybody else "
						 "may be outsiders' attempts or a lock-out of "
						 "newcomers, which a person must tell"
					       : ""));
}

/* One instance of several with nearly all the failures: a bad node rather than a bad build. */
void say_one_instance(struct judgement *judgement)
{
	enum { INSTANCES_MIN = 3, PERCENT = 80, FAILURES_MIN = 3 };
	const struct gathered *gathered = &judgement->gathered;
	if (judgement->result->instance_count < INSTANCES_MIN || gathered->worst == NULL ||
	    gathered->failures < FAILURES_MIN ||
	    gathered->worst->failures * 100 <= gathered->failures * PERCENT)
		return;
	give_reason(judgement, TEXT("ONE_INSTANCE"),
		    arena_print(judgement->arena,
				"%llu of the canary's %llu failed requests are those of %.*s, one "
				"of %zu instances: look at it before you blame the build",
				(unsigned long long)gathered->worst->failures,
				(unsigned long long)gathered->failures,
				TEXT_ARG(gathered->worst->name),
				judgement->result->instance_count));
}

void say_silent(struct judgement *judgement)
{
	const struct gate_result *result = judgement->result;
	if (result->ahead_count > 0)
		give_reason(judgement, TEXT("CLOCK"),
			    arena_print(judgement->arena,
					"the clocks of %zu of %zu canary instances are ahead, "
					"that of %.*s too: what they log now is judged later",
					result->ahead_count, result->instance_count,
					TEXT_ARG(result->ahead)));
	if (result->silent_count > 0) {
		struct text name = result->silent[0];
		give_reason(judgement, TEXT("SILENT"),
			    arena_print(judgement->arena,
					"%zu of %zu canary instances fell silent: %.*s%s",
					result->silent_count, result->instance_count,
					TEXT_ARG(name), result->silent_count > 1 ? ", ..." : ""));
		return;
	}
	int64_t last_us = judgement->gathered.canary_last_us;
	if (last_us < judgement->query->now_us - 2 * judgement->query->policy.max_lag_us)
		give_reason(judgement, TEXT("SILENT"),
			    TEXT("no instance of the canary is heard any more"));
}

void say_shadows(struct judgement *judgement)
{
	char buffer[32];
	const struct gate_result *result = judgement->result;
	for (size_t i = 0; i < result->finding_count; i++) {
		const struct finding *finding = &result->findings[i];
		if (finding->last_us >= finding->blocks_from_us)
			continue;
		struct text from = TEXT("a later day");
		if (finding->blocks_from_us != INT64_MAX)
			from = time_print(finding->blocks_from_us, buffer);
		give_reason(
			judgement, TEXT("SHADOW"),
			arena_print(judgement->arena,
				    "%.*s (%.*s), %llu times: it would block, and is too young to: "
				    "it counts as a warning until %.*s",
				    TEXT_ARG(finding->rule_title), TEXT_ARG(finding->rule_key),
				    (unsigned long long)finding->count, TEXT_ARG(from)));
	}
}

void say_warnings(struct judgement *judgement)
{
	char buffer[32];
	const struct gate_result *result = judgement->result;
	for (size_t i = 0; i < result->rule_count; i++) {
		const struct rule_result *rule = &result->rules[i];
		const struct outcome_result *outcome = &rule->outcome;
		if (outcome->state != NI_REJECTED || rule->blocks)
			continue;
		struct text from = TEXT("it only warns");
		int64_t blocks_from_us = rule->rule->blocks_from_us;
		if (rule->rule->wants_to_block)
			from = TEXT("it is too young to block this canary");
		if (rule->rule->wants_to_block && blocks_from_us != INT64_MAX)
			from = arena_print(judgement->arena,
					   "it would block, and does so for canaries from %s on",
					   time_print(blocks_from_us, buffer).data);
		give_reason(judgement, rule->rule->wants_to_block ? TEXT("SHADOW") : TEXT("WARNED"),
			    arena_print(judgement->arena,
					"%.*s: %llu of %llu of the canary against %llu of %llu of "
					"the baseline (evidence %.3g); %.*s",
					TEXT_ARG(outcome->name), (unsigned long long)outcome->x_c,
					(unsigned long long)outcome->n_c,
					(unsigned long long)outcome->x_b,
					(unsigned long long)outcome->n_b, outcome->e_fail_sup,
					TEXT_ARG(from)));
	}
}
