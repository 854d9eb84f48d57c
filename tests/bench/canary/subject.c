#include "tests/bench/canary/subject.h"

#include <assert.h>
#include <math.h>

enum { CULPRITS = 2 * COHORT_CULPRITS_MAX, MINUTE = 6 };

/* A bucket as the store would give it. */
struct scene {
	struct stratum strata[2];
	struct arm_count arms[2];
	struct culprit culprits[CULPRITS];
	struct bucket bucket;
};

void subject_init(struct subject *subject, double psi0, enum subject_pace pace, struct arena *arena)
{
	*subject = (struct subject){.arena = arena,
				    .pace = pace,
				    .query = {.service = TEXT("s"),
					      .canary = {ARM_ANY, TEXT("v2")},
					      .baseline = {ARM_ANY, TEXT("v1")},
					      .step_start_us = INT64_MIN,
					      .after_us = INT64_MIN,
					      .pardon_us = INT64_MIN,
					      .share = NAN,
					      .policy = gate_policy_default()}};
	for (int i = 0; i < OUTCOME_COUNT; i++)
		subject->query.policy.outcomes[i].psi0 = psi0;
	enum status status = gate_evidence_new(&subject->query, &subject->evidence, NULL);
	assert(status == OK);
}

void subject_done(struct subject *subject)
{
	gate_evidence_free(&subject->evidence);
}

/* As a keyed hash would spread it. */
static uint64_t spread(uint64_t x)
{
	x = (x ^ x >> 31) * UINT64_C(0x7fb5d329728ea185);
	x = (x ^ x >> 27) * UINT64_C(0x81dadef4bc2dd44d);
	return x ^ x >> 33;
}

/* Of few principals one of each cluster in a bucket: those of one arm are counted from an end that
 * changes with the bucket, those of the other from behind it. */
static uint64_t one_of_few(unsigned principals, int bucket, unsigned arm, uint64_t k)
{
	uint64_t place = arm == 0 ? k : principals - 1 - k;
	return (spread((uint64_t)bucket + 1) % principals + place) % principals + 1;
}

/* So many principals of an arm: each cluster has its own, but where there are few. */
static size_t put_culprits(const struct draw *draw, int bucket, unsigned arm, uint64_t clusters,
			   struct culprit *to)
{
	size_t count = 0;
	for (uint64_t k = 0; k < clusters && count < COHORT_CULPRITS_MAX; k++) {
		uint64_t own = ((uint64_t)bucket * 2 + arm) * 1000000 + k + 1;
		assert(draw->principals == 0 || k < draw->principals);
		if (draw->principals > 0)
			own = one_of_few(draw->principals, bucket, arm, k);
		to[count++] = (struct culprit){spread(own), OUTCOME_HTTP_5XX, arm};
	}
	return count;
}

static void set_scene(struct scene *scene, int bucket, const struct draw *draw)
{
	static const struct text ROUTES[] = {{"GET /", 5}};
	static const struct arm NAMES[] = {{{"v1", 2}, {"", 0}}, {{"v2", 2}, {"", 0}}};
	const uint64_t requests[] = {draw->raw.n_b, draw->raw.n_c};
	const uint64_t bad[] = {draw->raw.x_b, draw->raw.x_c};
	const uint64_t clusters[] = {draw->clusters.x_b, draw->clusters.x_c};
	size_t culprits = 0;
	for (unsigned k = 0; k < 2; k++) {
		struct stratum *stratum = &scene->strata[k];
		*stratum = (struct stratum){.requests = requests[k]};
		for (int j = 0; j <= OUTCOME_AUTHZ_DENIED; j++)
			stratum->outcomes[j].trials = requests[k];
		stratum->outcomes[OUTCOME_HTTP_5XX].bad = bad[k];
		stratum->outcomes[OUTCOME_HTTP_5XX].clusters = clusters[k];
		scene->arms[k] = (struct arm_count){NAMES[k], requests[k], stratum, 1};
		culprits += put_culprits(draw, bucket, k, clusters[k], &scene->culprits[culprits]);
	}
	scene->bucket = (struct bucket){.service = TEXT("s"),
					.start_us = (int64_t)bucket * COHORT_BUCKET_US,
					.routes = ROUTES,
					.route_count = 1,
					.arms = scene->arms,
					.arm_count = 2,
					.culprits = scene->culprits,
					.culprit_count = culprits};
}

static struct gate_result ask(struct subject *subject)
{
	int64_t now_us = subject->query.now_us;
	struct instance instance = {TEXT("s"), {TEXT("v2"), TEXT("")}, TEXT("i"), 0, now_us, 1, 0};
	struct gate_facts facts = {.instances = &instance,
				   .instance_count = 1,
				   .latched_us = INT64_MIN,
				   .watermark_us = now_us};
	struct gate_result result = {0};
	arena_reset(subject->arena);
	enum status status = gate_judge_evidence(&subject->query, &facts, subject->evidence,
						 subject->arena, &result);
	assert(status == OK);
	return result;
}

/* Is there a question behind this bucket? In the bake the answer is no PASS, whoever asks. */
static bool is_asked(const struct subject *subject, int bucket)
{
	int64_t end_us = (int64_t)(bucket + 1) * COHORT_BUCKET_US;
	bool minute = (bucket + 1) % MINUTE == 0;
	if (bucket + 1 == TRAFFIC_BUCKETS)
		return true;
	if (subject->passed_at > 0)
		return false;
	if (subject->failed_at > 0 || end_us < subject->query.policy.bake_us)
		return minute;
	if (subject->pace == SUBJECT_SELDOM)
		return (bucket + 1) % (10 * MINUTE) == 0;
	return minute || subject->pace == SUBJECT_EVERY_BUCKET;
}

void subject_see(struct subject *subject, int bucket, const struct draw *draw)
{
	if (subject->failed_at > 0 && bucket >= subject->failed_at + SUBJECT_WATCH)
		return;
	struct scene scene;
	set_scene(&scene, bucket, draw);
	enum status status = gate_evidence_add(subject->evidence, &scene.bucket, NULL, 0);
	assert(status == OK);
	subject->query.now_us = (int64_t)(bucket + 1) * COHORT_BUCKET_US;
	if (!is_asked(subject, bucket))
		return;
	struct gate_result result = ask(subject);
	if (subject->failed_at > 0)
		subject->flips += result.verdict != VERDICT_FAIL;
	else if (result.verdict == VERDICT_FAIL)
		subject->failed_at = (int)(result.failed_at_us / COHORT_BUCKET_US);
	else if (result.verdict == VERDICT_PASS && subject->passed_at == 0)
		subject->passed_at = bucket + 1;
}
