/* bench_gate - what a canary costs the gate: bytes, one more bucket, one answer.
 *
 *     bench_gate [CANARIES]      default 1,000
 *
 * Each canary is an hour old: 8 routes, two versions with two halves each, 20 requests a second
 * with latencies, a few errors of all kinds. One more sits at every cap of gate_private.h. CPU time
 * of the thread throughout, so that a busy machine does not show; p99 is over single answers. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "correlate/gate.h"

enum { ROUTES = 8, ARMS = 2, BUCKETS = 360, ANSWERS = 2000, BINS = 12, EX_USAGE = 64 };

static double cpu_us(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* A bucket with its own memory. */
struct scene {
	struct text routes[COHORT_ROUTES_MAX];
	char names[COHORT_ROUTES_MAX][32];
	struct stratum strata[ARMS][COHORT_ROUTES_MAX * COHORT_HALVES];
	struct latency_bin bins[ARMS][COHORT_ROUTES_MAX * COHORT_HALVES][BINS];
	struct arm_count arms[ARMS];
	struct culprit culprits[OUTCOME_COUNTED * COHORT_CULPRITS_MAX];
	struct bucket bucket;
};

static void set_stratum(struct scene *scene, unsigned arm, size_t place, unsigned route, int number)
{
	struct stratum *stratum = &scene->strata[arm][place];
	uint64_t requests = arm == 0 ? 10 : 2;
	*stratum = (struct stratum){.route = route, .half = place % 2, .requests = requests};
	for (int j = 0; j < OUTCOME_COUNTED; j++)
		stratum->outcomes[j].trials = requests;
	struct outcome_count *failures = &stratum->outcomes[OUTCOME_HTTP_5XX];
	failures->bad = failures->clusters = ((unsigned)number + route + arm) % 7 == 0;
	struct outcome_count *denied = &stratum->outcomes[OUTCOME_AUTHZ_DENIED];
	denied->bad = denied->clusters = ((unsigned)number + route) % 5 == 0;
	for (unsigned i = 0; i < BINS; i++)
		scene->bins[arm][place][i] = (struct latency_bin){
			(uint16_t)(200 + 7 * i + ((unsigned)number + route) % 5), 1 + i % 2};
	stratum->bins = scene->bins[arm][place];
	stratum->bin_count = requests < BINS ? (size_t)requests : BINS;
}

/* `first_route` and `culprits` let the one at the caps have as many as there are. */
static void set_scene(struct scene *scene, int number, unsigned routes, unsigned first_route,
		      size_t culprits)
{
	static const struct arm NAMES[] = {{{"v1", 2}, {"", 0}}, {{"v2", 2}, {"", 0}}};
	for (unsigned route = 0; route < routes; route++) {
		int size = snprintf(scene->names[route], sizeof scene->names[route], "GET /r%u",
				    first_route + route);
		scene->routes[route] = (struct text){scene->names[route], (size_t)size};
	}
	for (unsigned arm = 0; arm < ARMS; arm++) {
		uint64_t requests = 0;
		for (unsigned place = 0; place < routes * COHORT_HALVES; place++) {
			set_stratum(scene, arm, place, place / COHORT_HALVES, number);
			requests += scene->strata[arm][place].requests;
		}
		scene->arms[arm] = (struct arm_count){NAMES[arm], requests, scene->strata[arm],
						      (size_t)routes * COHORT_HALVES};
	}
	for (size_t i = 0; i < culprits; i++)
		scene->culprits[i] = (struct culprit){
			((uint64_t)number * culprits + i + 1) * UINT64_C(0x9e3779b97f4a7c15),
			(enum outcome)(i / COHORT_CULPRITS_MAX), (unsigned)(i % ARMS)};
	scene->bucket = (struct bucket){.service = TEXT("s"),
					.start_us = (int64_t)number * COHORT_BUCKET_US,
					.routes = scene->routes,
					.route_count = routes,
					.arms = scene->arms,
					.arm_count = ARMS,
					.culprits = scene->culprits,
					.culprit_count = culprits};
}

static struct gate_query query_of(void)
{
	return (struct gate_query){.service = TEXT("s"),
				   .canary = {ARM_ANY, TEXT("v2")},
				   .baseline = {ARM_ANY, TEXT("v1")},
				   .step_start_us = INT64_MIN,
				   .after_us = INT64_MIN,
				   .pardon_us = INT64_MIN,
				   .share = NAN,
				   .policy = gate_policy_default()};
}

static void add(struct gate_evidence *evidence, const struct scene *scene)
{
	enum status status = gate_evidence_add(evidence, &scene->bucket, NULL, 0);
	assert(status == OK);
}

static void measure_buckets(struct gate_evidence **canaries, unsigned count, struct scene *scene)
{
	double young = cpu_us();
	for (int number = 0; number < BUCKETS; number++) {
		if (number == BUCKETS - 1)
			young = cpu_us() - young;
		set_scene(scene, number, ROUTES, 0, 4);
		double last = number == BUCKETS - 1 ? cpu_us() : 0;
		for (unsigned i = 0; i < count; i++)
			add(canaries[i], scene);
		if (number == BUCKETS - 1)
			printf("one more bucket, %d routes, an hour old: %.1f us CPU (mean of "
			       "the hour %.1f us)\n",
			       ROUTES, (cpu_us() - last) / count, young / count / (BUCKETS - 1));
	}
}

static int by_value(const void *left, const void *right)
{
	double a = *(const double *)left;
	double b = *(const double *)right;
	return (a > b) - (a < b);
}

static void measure_answers(struct gate_query *query, const struct gate_evidence *evidence)
{
	static double took_us[ANSWERS];
	struct arena *arena cleanup(arena_free) = arena_new((size_t)1 << 24);
	struct bytes answer cleanup(bytes_done) = {0};
	query->now_us = (int64_t)BUCKETS * COHORT_BUCKET_US;
	struct instance instance = {
		TEXT("s"), {TEXT("v2"), TEXT("")}, TEXT("i"), 0, query->now_us, 1, 0};
	struct gate_facts facts = {.instances = &instance,
				   .instance_count = 1,
				   .latched_us = INT64_MIN,
				   .watermark_us = query->now_us};
	assert(arena != NULL);
	for (int i = 0; i < ANSWERS; i++) {
		struct gate_result result;
		double before = cpu_us();
		arena_reset(arena);
		bytes_clear(&answer);
		enum status status = gate_judge_evidence(query, &facts, evidence, arena, &result);
		assert(status == OK);
		gate_json(query, &result, &answer);
		took_us[i] = cpu_us() - before;
	}
	qsort(took_us, ANSWERS, sizeof *took_us, by_value);
	printf("one answer, verdict and JSON (%zu bytes): p50 %.0f us, p99 %.0f us CPU\n",
	       answer.size, took_us[ANSWERS / 2], took_us[ANSWERS * 99 / 100]);
}

/* Routes, principals and moments without end. */
static void measure_caps(struct scene *scene)
{
	enum { LONG = 3000, FULL = OUTCOME_COUNTED * COHORT_CULPRITS_MAX };
	struct gate_query query = query_of();
	struct gate_evidence *evidence cleanup(gate_evidence_free) = NULL;
	enum status status = gate_evidence_new(&query, &evidence, NULL);
	assert(status == OK);
	double before = cpu_us();
	for (int number = 0; number < LONG; number++) {
		unsigned first = (unsigned)number % 4 * COHORT_ROUTES_MAX;
		set_scene(scene, number, COHORT_ROUTES_MAX, first, FULL);
		add(evidence, scene);
	}
	printf("at every cap (%d buckets of %d routes and %d principals): %zu bytes, %.0f us CPU a "
	       "bucket\n",
	       LONG, COHORT_ROUTES_MAX, FULL, gate_evidence_bytes(evidence),
	       (cpu_us() - before) / LONG);
}

int main(int argc, char **argv)
{
	unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000;
	struct scene *scene = calloc(1, sizeof *scene);
	struct gate_evidence **canaries = calloc(count, sizeof(struct gate_evidence *));
	struct gate_query query = query_of();
	if (count == 0 || argc > 2) {
		(void)fprintf(stderr, "usage: bench_gate [CANARIES]\n");
		return EX_USAGE;
	}
	assert(scene != NULL && canaries != NULL);
	size_t bytes = 0;
	for (unsigned long i = 0; i < count; i++) {
		enum status status = gate_evidence_new(&query, &canaries[i], NULL);
		assert(status == OK);
	}
	measure_buckets(canaries, (unsigned)count, scene);
	for (unsigned long i = 0; i < count; i++)
		bytes += gate_evidence_bytes(canaries[i]);
	printf("%lu canaries, an hour old: %.1f MB, %.0f bytes each\n", count, (double)bytes / 1e6,
	       (double)bytes / (double)count);
	measure_answers(&query, canaries[0]);
	measure_caps(scene);
	for (unsigned long i = 0; i < count; i++)
		gate_evidence_free(&canaries[i]);
	free(canaries);
	free(scene);
	return EXIT_SUCCESS;
}
