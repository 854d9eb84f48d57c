/* coverage - which rules can fire on the events a site really has, and which fields they miss.
 *
 * Why: a rule that waits for a field nobody logs, or for a log source nobody sends, is silent for
 * ever and looks healthy. Rules come from elsewhere; their field names rarely fit at first.
 *
 * Field names are kept per log source of the events. A rule cannot fire when no event fits its log
 * source, or when its condition is false with every field that was never seen taken as absent and
 * every other one as unknown.
 *
 * Invariant: "cannot fire" is proved for the events that were added; "can fire" only says that no
 * field stands in the way. Owner: the caller. Thread: one.
 * Limits: COVERAGE_SOURCES_MAX log sources and COVERAGE_NAMES_MAX names in each; beyond them the
 * answer is marked as cut. */
#ifndef PICKET_RULES_COVERAGE_H
#define PICKET_RULES_COVERAGE_H

#include "rules/ruleset.h"

enum { COVERAGE_SOURCES_MAX = 1024, COVERAGE_NAMES_MAX = 65536 };

struct coverage;

enum status coverage_new(const struct ruleset *ruleset, struct coverage **ret_coverage);
void coverage_free(struct coverage **coverage);

/* count events that have these fields; values are not looked at. */
enum status coverage_add(struct coverage *coverage, const struct event *event, uint64_t count);
bool coverage_cut(const struct coverage *coverage);

struct field_coverage {
	struct text name;
	bool seen;           /* in an event of the rule's log source */
	struct text nearest; /* of a field that was not seen: the most similar name, or "" */
};

struct rule_coverage {
	uint64_t events; /* of the rule's log source */
	bool can_fire;
	const struct field_coverage *fields; /* each once, in the order of the rule */
	size_t field_count;
	size_t seen_count;
};

/* Of a detection. Texts live as long as the arena and the rule set. */
enum status coverage_of_rule(const struct coverage *coverage, const struct rule *rule,
			     struct arena *arena, struct rule_coverage *ret_rule);

#endif
