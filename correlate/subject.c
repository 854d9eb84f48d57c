/* What a rule counts, in the words of its alerts: the titles of the rules that it is made of. */
#include "correlate/plan_private.h"
#include "rules/terms.h"

enum { SUBJECTS_MAX = 3, STEPS_MAX = 8, NEGATED_BITS = 64 };

/* "Failed (5 times), then Worked, then no Second factor": the steps as they are written. */
static struct text steps_of(const struct plan *plan, const struct correlation *correlation)
{
	const struct sequence_terms *sequence = correlation->sequence;
	struct text subject = {"", 0};
	for (size_t i = 0; i < sequence->step_count && i < STEPS_MAX; i++) {
		const struct sequence_step *step = &sequence->steps[i];
		const struct rule *rule =
			ruleset_rule(plan->ruleset, correlation->rules[step->reference]);
		subject = arena_print(plan->arena, "%.*s%s%s%.*s", TEXT_ARG(subject),
				      i == 0 ? "" : ", then ", step->absent ? "no " : "",
				      TEXT_ARG(rule->title));
		if (step->count > 1)
			subject = arena_print(plan->arena, "%.*s (%u times)", TEXT_ARG(subject),
					      step->count);
	}
	return sequence->step_count > STEPS_MAX
		       ? arena_print(plan->arena, "%.*s, and so on", TEXT_ARG(subject))
		       : subject;
}

/* "A or B, without C"; "A, then B"; at most SUBJECTS_MAX of them. */
static struct text names_of(const struct plan *plan, const struct correlation *correlation)
{
	bool ordered = correlation->type == CORRELATION_TEMPORAL_ORDERED;
	uint64_t without = correlation->names == NULL ? 0 : correlation->negated;
	struct text subject = {"", 0};
	size_t shown = 0;
	for (int negated = 0; negated < 2; negated++) {
		const char *joint = negated == 1 ? ", without " : "";
		for (size_t i = 0; i < correlation->rule_count && shown < SUBJECTS_MAX; i++) {
			const struct rule *part =
				ruleset_rule(plan->ruleset, correlation->rules[i]);
			if ((i < NEGATED_BITS && (without >> i & 1) != 0) != (negated == 1))
				continue;
			subject = arena_print(plan->arena, "%.*s%s%.*s", TEXT_ARG(subject), joint,
					      TEXT_ARG(part->title));
			joint = ordered ? ", then " : negated == 1 ? " and " : " or ";
			shown++;
		}
	}
	return shown < correlation->rule_count
		       ? arena_print(plan->arena, "%.*s or others", TEXT_ARG(subject))
		       : subject;
}

struct text plan_subject(const struct plan *plan, const struct rule *rule)
{
	if (rule->kind == RULE_DETECTION)
		return rule->title;
	return rule->correlation->sequence != NULL ? steps_of(plan, rule->correlation)
						   : names_of(plan, rule->correlation);
}
