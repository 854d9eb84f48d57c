/* api_gate_private - what the routes of the gate share: the facts of this moment, and one
 * judgement.
 *
 * Why: /v1/gate, Flagger's hooks and a replay ask the same question and answer it differently.
 * Invariant: nothing but gate_ask() judges. Owner: the request's. Thread: the request's.
 * Limits: GATE_REASONS reasons of the runtime. */
#ifndef PICKET_CLI_API_GATE_PRIVATE_H
#define PICKET_CLI_API_GATE_PRIVATE_H

#include "cli/api_private.h"
#include "cli/gate_rows.h"
#include "cli/gate_session.h"
#include "correlate/cohort_rule.h"
#include "correlate/gate_policy.h"

enum { GATE_REASONS = 64, GATE_NAME_MAX = 256 };

/* A growing array in an arena. */
struct rows {
	void *items;
	size_t count, capacity;
};

struct facts {
	struct text service, owner;
	struct arena *arena;
	struct rows findings, instances, gaps, traits;
	struct rows failed; /* struct arm_query */
	struct text stale[GATE_REASONS], doubt[GATE_REASONS];
	size_t stale_count, doubt_count;
	struct api_view view;
	struct gate_facts known;
	struct gate_manifest expect;
	struct gate_rule rules[COHORT_RULES_MAX]; /* of type cohort_compare, for the query */
	size_t rule_count;
	bool rules_known; /* whether these are all of them */
};
enum status facts_collect(struct api *api, const struct gate_query *query, struct facts *facts,
			  struct error *err);
/* What of it was known at that time: nothing that came later. */
void facts_as_of(struct facts *facts, const struct gate_query *query, int64_t at_us);
/* Buckets of rules were seen, whoever they are: without the rules they are not judged. */
void facts_miss_rules(struct facts *facts);
void facts_done(struct facts *facts);
/* From where buckets are of use: before the canary was first heard of, or before an hour ago when
 * it never was. */
int64_t facts_first_heard(const struct facts *facts, const struct gate_query *query);

/* A question as it was asked. */
struct gate_question {
	struct gate_query query;
	int64_t at_us;      /* a replay: as of then; INT64_MIN = now */
	struct text expect; /* the manifest of the release, YAML; "" = none */
	bool dry, brief;
};
enum status gate_question_read(const struct api_call *call, struct gate_question *ret_question,
			       struct error *err);

enum status gate_read_policy(const struct api_call *call, struct gate_policy *ret_policy,
			     struct error *err);
/* Into *ret_manifest, in the facts' arena; nothing when the question has none. */
enum status gate_read_expect(const struct gate_question *question, struct facts *facts,
			     struct gate_manifest *ret_manifest, struct error *err);
/* NaN when it is not said. */
enum status gate_read_share(const struct api_call *call, double *ret_share, struct error *err);

/* One judgement. The result's texts are the facts'. */
enum status gate_ask(struct api *api, const struct gate_question *question, struct facts *facts,
		     struct gate_result *ret_result, struct error *err);

#endif
