#include "correlate/gate_private.h"

/* What the signals have to say about the verdict, in words: at most SAID_MAX findings of a kind,
 * the others are in the list. */

enum { SAID_MAX = 6 };

static const double US_PER_HOUR = 3600e6;

/* "refused it 33 times and never did it" */
static struct text comparison(struct judgement *judgement, const struct signal_finding *finding)
{
	const struct signal_info *info = signal_info(finding->canary.signal);
	if (info->judged == SIGNAL_NEW)
		return arena_print(judgement->arena, "nobody did before, in %llu cases",
				   (unsigned long long)finding->kept);
	if (info->refused_min > 0 && info->kept_min == 0)
		return arena_print(judgement->arena, "the baseline refused it %llu times",
				   (unsigned long long)finding->refused);
	return arena_print(judgement->arena, "the baseline never did, in %llu cases",
			   (unsigned long long)finding->kept);
}

static void say_finding(struct judgement *judgement, struct text code,
			const struct signal_finding *finding, const char *then)
{
	const struct signal_info *info = signal_info(finding->canary.signal);
	struct text compared = comparison(judgement, finding);
	give_reason(judgement, code,
		    arena_print(judgement->arena, "%s: %.*s, %llu time%s: %s; %.*s%s", info->name,
				TEXT_ARG(finding->canary.shown.rule_key),
				(unsigned long long)finding->canary.shown.count,
				finding->canary.shown.count == 1 ? "" : "s", info->doc,
				TEXT_ARG(compared), then));
	judgement->out_of_memory |= compared.data == NULL;
}

/* Those of a level and standing; how many there are. */
static size_t say_all(struct judgement *judgement, enum signal_level level,
		      enum signal_standing standing, struct text code, const char *then)
{
	const struct gate_result *result = judgement->result;
	size_t count = 0;
	for (size_t i = 0; i < result->novel_count; i++) {
		const struct signal_finding *finding = &result->novel[i];
		if (finding->level != level || finding->standing != standing)
			continue;
		if (count++ < SAID_MAX)
			say_finding(judgement, code, finding, then);
	}
	if (count > SAID_MAX)
		give_reason(
			judgement, code,
			arena_print(judgement->arena, "%zu more of the kind", count - SAID_MAX));
	return count;
}

bool say_hard_signals(struct judgement *judgement)
{
	return say_all(judgement, SIGNAL_HARD, STANDING_PROVEN, TEXT("HARD_FINDING"), "") > 0;
}

bool say_doubtful_signals(struct judgement *judgement)
{
	const struct gate_policy *policy = &judgement->query->policy;
	const struct gate_result *result = judgement->result;
	size_t unproven =
		say_all(judgement, SIGNAL_HARD, STANDING_UNPROVEN, TEXT("LEARNING"),
			", which is too little to prove it: look at it, or declare it (--expect)");
	if (unproven > 0)
		give_reason(
			judgement, TEXT("LEARNING"),
			arena_print(judgement->arena,
				    "what is new is known after %g h of logs and the cases that "
				    "picket gate policy and docs/GATE.md name",
				    (double)policy->learn_us / US_PER_HOUR));
	size_t soft = say_all(judgement, SIGNAL_SOFT, STANDING_PROVEN, TEXT("SOFT_FINDING"),
			      ": a person should look, or declare it (--expect)");
	size_t full = 0;
	for (int i = 0; i < SIGNAL_COUNT; i++) {
		if (result->signals[i].state != SIGNAL_IS_FULL || policy->signals[i] != SIGNAL_HARD)
			continue;
		full++;
		give_reason(
			judgement, TEXT("DEGRADED"),
			arena_print(judgement->arena,
				    "%s: more than %d different ones of one version: what is new "
				    "cannot be told",
				    signal_info((enum signal)i)->name, SIGNAL_KEYS_MAX));
	}
	return unproven + soft + full > 0;
}

bool say_blind_signals(struct judgement *judgement)
{
	const struct gate_result *result = judgement->result;
	bool any = false;
	for (int i = 0; i < SIGNAL_COUNT; i++) {
		if (result->signals[i].state != SIGNAL_IS_BLIND)
			continue;
		any = true;
		give_reason(
			judgement, TEXT("BLIND"),
			arena_print(judgement->arena,
				    "%s: the baseline logs what it needs (%s), the canary does not",
				    signal_info((enum signal)i)->name,
				    signal_info((enum signal)i)->needs));
	}
	return any;
}

size_t count_signals_on(const struct gate_result *result)
{
	size_t count = 0;
	for (int i = 0; i < SIGNAL_COUNT; i++)
		count += result->signals[i].state == SIGNAL_IS_ON;
	return count;
}
