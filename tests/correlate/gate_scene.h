/* gate_scene - a service whose canary and baseline ran for ten minutes, for tests of the gate.
 * Every test sets it up anew; nothing is bad in it until a test says so. */
#ifndef PICKET_TESTS_GATE_SCENE_H
#define PICKET_TESTS_GATE_SCENE_H

#include <check.h>

#include "correlate/gate.h"

static __attribute__((unused)) const int64_t SECOND_US = 1000000;
static __attribute__((unused)) const int64_t BASE_US = 1700000000LL * 1000000;

enum { BUCKETS = 60 };

static __attribute__((unused)) struct arena *arena;

/* A service whose canary v2 and baseline v1 ran for BUCKETS * 10 s. */
struct scene {
	struct bucket buckets[BUCKETS];
	struct arm_count arms[BUCKETS][3];
	struct stratum strata[BUCKETS][3];
	struct culprit culprits[BUCKETS][32];
	struct finding findings[2];
	struct instance instances[4];
	struct text words[1];
	struct gate_facts facts;
	struct gate_query query;
	struct gate_result result;
};

static __attribute__((unused)) struct scene scene; /* set up anew by every test */

static __attribute__((unused)) struct arm arm_of(const char *version, const char *deploy_id)
{
	return (struct arm){text_of(version), text_of(deploy_id)};
}

static __attribute__((unused)) const struct text ROUTES[] = {{"GET /", 5}};

static __attribute__((unused)) struct outcome_count *outcome_at(int i, int arm,
								enum outcome outcome)
{
	return &scene.strata[i][arm].outcomes[outcome];
}

/* An arm of bucket i with so many requests, none of them bad. */
static __attribute__((unused)) void set_arm(int i, int index, const char *version,
					    const char *deploy_id, uint64_t requests)
{
	struct stratum *stratum = &scene.strata[i][index];
	*stratum = (struct stratum){.requests = requests};
	stratum->outcomes[OUTCOME_HTTP_5XX].trials = requests;
	stratum->outcomes[OUTCOME_AUTHN_FAILURE].trials = requests;
	stratum->outcomes[OUTCOME_AUTHZ_DENIED].trials = requests;
	scene.arms[i][index] = (struct arm_count){.arm = arm_of(version, deploy_id),
						  .requests = requests,
						  .strata = stratum,
						  .stratum_count = 1};
}

static __attribute__((unused)) void set_bad(int i, int arm, uint64_t bad)
{
	outcome_at(i, arm, OUTCOME_HTTP_5XX)->bad = bad;
	outcome_at(i, arm, OUTCOME_HTTP_5XX)->clusters = bad;
}

static __attribute__((unused)) void add_culprit(int i, unsigned arm, enum outcome outcome,
						uint64_t principal)
{
	size_t *count = &scene.buckets[i].culprit_count;
	if (*count < sizeof scene.culprits[i] / sizeof *scene.culprits[i])
		scene.culprits[i][(*count)++] = (struct culprit){principal, outcome, arm};
}

static __attribute__((unused)) int64_t end_us(void)
{
	return BASE_US + BUCKETS * (int64_t)COHORT_BUCKET_US;
}

static __attribute__((unused)) void set_up(void)
{
	arena = arena_new((size_t)1 << 28);
	scene = (struct scene){0};
	struct text service = TEXT("orders");
	for (int i = 0; i < BUCKETS; i++) {
		set_arm(i, 0, "v1", "d1", 1000);
		set_arm(i, 1, "v2", "d2", 100);
		scene.buckets[i] =
			(struct bucket){.service = service,
					.start_us = BASE_US + i * (int64_t)COHORT_BUCKET_US,
					.routes = ROUTES,
					.route_count = 1,
					.arms = scene.arms[i],
					.arm_count = 2,
					.culprits = scene.culprits[i]};
	}
	scene.instances[0] = (struct instance){
		service, arm_of("v1", "d1"), TEXT("pod-a"), BASE_US, end_us(), 1000, 0};
	scene.instances[1] = (struct instance){
		service, arm_of("v2", "d2"), TEXT("pod-b"), BASE_US, end_us(), 50, 0};
	scene.instances[2] = (struct instance){
		service, arm_of("v2", "d2"), TEXT("pod-c"), BASE_US, end_us(), 50, 0};
	scene.facts = (struct gate_facts){.buckets = scene.buckets,
					  .bucket_count = BUCKETS,
					  .findings = scene.findings,
					  .instances = scene.instances,
					  .instance_count = 3,
					  .latched_us = INT64_MIN,
					  .watermark_us = end_us()};
	scene.query = (struct gate_query){.service = service,
					  .canary = {ARM_ANY, TEXT("v2")},
					  .baseline = {ARM_ANY, TEXT("v1")},
					  .step_start_us = INT64_MIN,
					  .after_us = INT64_MIN,
					  .pardon_us = INT64_MIN,
					  .now_us = end_us() + 5 * SECOND_US,
					  .policy = gate_policy_default()};
}

static __attribute__((unused)) void tear_down(void)
{
	arena_free(&arena);
}

/* `bad` failures of the canary in bucket i, each of another user. */
static __attribute__((unused)) void fail_canary(int i, unsigned bad)
{
	set_bad(i, 1, outcome_at(i, 1, OUTCOME_HTTP_5XX)->bad + bad);
	for (unsigned k = 0; k < bad; k++)
		add_culprit(i, 1, OUTCOME_HTTP_5XX, (uint64_t)i * 100 + k + 1);
}

static __attribute__((unused)) enum verdict judge(void)
{
	ck_assert_int_eq(gate_judge(&scene.query, &scene.facts, arena, &scene.result), OK);
	ck_assert_uint_gt(scene.result.reason_count, 0);
	ck_assert_uint_gt(scene.result.summary.size, 0);
	return scene.result.verdict;
}

static __attribute__((unused)) bool has_reason(const char *code)
{
	for (size_t i = 0; i < scene.result.reason_count; i++)
		if (text_equal(scene.result.reasons[i].code, text_of(code)))
			return true;
	return false;
}

static __attribute__((unused)) bool first_reason(const char *code)
{
	return text_equal(scene.result.reasons[0].code, text_of(code));
}

#endif
