/* gate_sim - how often the gate is wrong, and how fast it is right, by simulation.
 *
 * Why: the bounds of evalue.c are theorems about a model; this shows them under traffic that is
 * not quite the model: seasons, incidents in both versions, a share that changes, bursts of
 * retries under both ways of routing, few clients behind one gateway.
 *
 *     gate_sim RUNS [SEED [CELL]]        CSV on stdout, one row per cell; CELL: a part of its name
 *
 * Every run is one canary of an hour in buckets of 10 s, polled at every bucket until it fails; a
 * pass is its first one before any FAIL, and the run goes on, so that `fail` is the share of
 * canaries that fail at any time. Evidence and verdicts are the gate's own (gate_evidence_add(),
 * gate_judge_evidence()). Columns: *_upper95 is the one-sided 95 % Clopper-Pearson bound of the
 * share. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "correlate/evalue.h"
#include "correlate/gate.h"

enum { BUCKETS = 360, BURST_MEAN = 5, CULPRITS = 2 * COHORT_CULPRITS_MAX };

enum shape {
	STEADY,        /* independent errors, constant rate */
	SEASON,        /* rate and traffic wave, 20-fold incident in both, share 5-10-25-50 % */
	BURST_STICKY,  /* bursts of mean 5 errors, all on one version */
	BURST_REQUEST, /* the same, routed request by request */
	ONE_PRINCIPAL, /* everything comes through one gateway */
	THREE_PRINCIPALS,
};

struct cell {
	const char *name;
	double rps, share, base_rate, ratio;
	enum shape shape;
};

static const struct cell CELLS[] = {
	{"null tiny", 2, 0.1, 0.01, 1, STEADY},
	{"null low", 20, 0.1, 0.005, 1, STEADY},
	{"null middle", 200, 0.1, 0.001, 1, STEADY},
	{"null high share 1 %", 200, 0.01, 0.01, 1, STEADY},
	{"null high share 50 %", 200, 0.5, 0.01, 1, STEADY},
	{"null edge psi0", 200, 0.1, 0.01, 1.25, STEADY},
	{"null season", 200, 0.05, 0.005, 1, SEASON},
	{"null burst sticky", 200, 0.1, 0.005, 1, BURST_STICKY},
	{"null burst request", 200, 0.1, 0.005, 1, BURST_REQUEST},
	{"power low", 20, 0.1, 0.005, 3, STEADY},
	{"power middle 2", 200, 0.1, 0.001, 2, STEADY},
	{"power middle 3", 200, 0.1, 0.001, 3, STEADY},
	{"power middle 5", 200, 0.1, 0.001, 5, STEADY},
	{"power tiny 10", 2, 0.1, 0.01, 10, STEADY},
	{"power season 3", 200, 0.05, 0.005, 3, SEASON},
	{"power burst sticky 3", 200, 0.1, 0.005, 3, BURST_STICKY},
	{"power burst request 3", 200, 0.1, 0.005, 3, BURST_REQUEST},
	{"pass edge both", 200, 0.1, 0.0005, 2, STEADY},
	{"pass edge relative", 200, 0.1, 0.005, 2, STEADY},
	{"pass burst request 2", 200, 0.1, 0.005, 2, BURST_REQUEST},
	{"pass burst sticky 2", 200, 0.1, 0.005, 2, BURST_STICKY},
	{"pass one principal 2", 200, 0.1, 0.01, 2, ONE_PRINCIPAL},
	{"pass one principal 3", 200, 0.1, 0.01, 3, ONE_PRINCIPAL},
	{"pass three principals 2", 200, 0.1, 0.01, 2, THREE_PRINCIPALS},
};

static double uniform(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (double)(*state >> 11) * 0x1p-53;
}

static uint64_t binomial(uint64_t *state, uint64_t n, double p)
{
	uint64_t count = 0;
	double place = -1;
	if (p <= 0)
		return 0;
	for (;;) {
		place += 1 + floor(log(1 - uniform(state)) / log1p(-fmin(p, 0.999)));
		if (place >= (double)n)
			return count;
		count++;
	}
}

static uint64_t poisson(uint64_t *state, double mean)
{
	/* By halves, so that exp(-mean) does not vanish. */
	enum { DIRECT_MAX = 30 };
	if (mean > DIRECT_MAX)
		return poisson(state, mean / 2) + poisson(state, mean / 2);
	double limit = exp(-mean);
	double product = 1;
	uint64_t count = 0;
	for (;;) {
		product *= uniform(state);
		if (product <= limit)
			return count;
		count++;
	}
}

/* One bucket of both arms. */
struct draw {
	uint64_t n_c, n_b;
	struct evalue_count clusters, raw;
	unsigned principals; /* at most; 0: every cluster has its own */
};

static void draw_bursts(uint64_t *state, const struct cell *cell, double share, struct draw *draw)
{
	bool sticky = cell->shape == BURST_STICKY;
	/* A burst of the sticky kind begins on the canary `ratio` times as often; else each of its
	 * events is answered badly `ratio` times as often there. */
	double weight = share * cell->ratio / (share * cell->ratio + 1 - share);
	double stretch = share * cell->ratio + 1 - share;
	double mean = (double)(draw->n_c + draw->n_b) * cell->base_rate / BURST_MEAN * stretch;
	uint64_t bursts = poisson(state, mean);
	for (uint64_t i = 0; i < bursts; i++) {
		bool first = uniform(state) < weight;
		draw->clusters.x_c += first;
		draw->clusters.x_b += !first;
		bool canary = first;
		do {
			draw->raw.x_c += canary;
			draw->raw.x_b += !canary;
			canary = sticky ? first : uniform(state) < weight;
		} while (uniform(state) < 1 - 1.0 / BURST_MEAN);
	}
}

static void draw_principals(uint64_t *state, const struct cell *cell, struct draw *draw)
{
	unsigned principals = cell->shape == ONE_PRINCIPAL ? 1 : 3;
	draw->principals = principals;
	for (unsigned i = 0; i < principals; i++) {
		uint64_t bad_c =
			binomial(state, draw->n_c / principals, cell->base_rate * cell->ratio);
		uint64_t bad_b = binomial(state, draw->n_b / principals, cell->base_rate);
		draw->raw.x_c += bad_c;
		draw->raw.x_b += bad_b;
		if (bad_c + bad_b == 0)
			continue;
		bool first = uniform(state) * (double)(bad_c + bad_b) < (double)bad_c;
		draw->clusters.x_c += first;
		draw->clusters.x_b += !first;
	}
}

static void draw_independent(uint64_t *state, const struct cell *cell, double rate,
			     struct draw *draw)
{
	draw->raw.x_c = binomial(state, draw->n_c, rate * cell->ratio);
	draw->raw.x_b = binomial(state, draw->n_b, rate);
	draw->clusters = draw->raw;
}

/* Bad outcomes never outnumber requests, clusters never bad outcomes. */
static void draw_settle(struct draw *draw)
{
	struct evalue_count *raw = &draw->raw;
	struct evalue_count *clusters = &draw->clusters;
	raw->x_c = raw->x_c < draw->n_c ? raw->x_c : draw->n_c;
	raw->x_b = raw->x_b < draw->n_b ? raw->x_b : draw->n_b;
	clusters->x_c = clusters->x_c < raw->x_c ? clusters->x_c : raw->x_c;
	clusters->x_b = clusters->x_b < raw->x_b ? clusters->x_b : raw->x_b;
	raw->n_c = clusters->n_c = draw->n_c;
	raw->n_b = clusters->n_b = draw->n_b;
}

static struct draw draw_bucket(uint64_t *state, const struct cell *cell, int bucket, double phase)
{
	double traffic = cell->rps * 10;
	double share = cell->share;
	double rate = cell->base_rate;
	if (cell->shape == SEASON) {
		static const double SHARES[] = {0.05, 0.1, 0.25, 0.5};
		double wave = sin(2 * M_PI * bucket / BUCKETS + phase);
		share = SHARES[bucket * 4 / BUCKETS];
		traffic *= 1 + 0.5 * wave;
		rate *= 1 + 0.8 * wave;
		rate *= bucket >= 150 && bucket < 168 ? 20 : 1;
	}
	struct draw draw = {.n_c = poisson(state, traffic * share),
			    .n_b = poisson(state, traffic * (1 - share))};
	if (cell->shape == BURST_STICKY || cell->shape == BURST_REQUEST)
		draw_bursts(state, cell, share, &draw);
	else if (cell->shape == ONE_PRINCIPAL || cell->shape == THREE_PRINCIPALS)
		draw_principals(state, cell, &draw);
	else
		draw_independent(state, cell, rate, &draw);
	draw_settle(&draw);
	return draw;
}

/* The buckets of one run, as the store would give them. */
struct history {
	struct bucket buckets[BUCKETS];
	struct arm_count arms[BUCKETS][2];
	struct stratum strata[BUCKETS][2];
	struct culprit culprits[BUCKETS][CULPRITS];
	size_t count;
};

/* So many principals of an arm: each bad outcome has its own, but where there are few. */
static size_t put_culprits(const struct draw *draw, size_t bucket, unsigned arm, uint64_t bad,
			   struct culprit *to)
{
	size_t count = 0;
	for (uint64_t k = 0; k < bad && count < COHORT_CULPRITS_MAX; k++) {
		if (draw->principals > 0 && k >= draw->principals)
			break;
		uint64_t own = (bucket * 2 + arm) * 1000000 + k + 1;
		to[count++] =
			(struct culprit){draw->principals > 0 ? k + 1 : own, OUTCOME_HTTP_5XX, arm};
	}
	return count;
}

static void history_add(struct history *history, const struct draw *draw)
{
	static const struct text ROUTES[] = {{"GET /", 5}};
	size_t i = history->count++;
	struct arm_count *arms = history->arms[i];
	const uint64_t requests[] = {draw->n_b, draw->n_c};
	const uint64_t bad[] = {draw->raw.x_b, draw->raw.x_c};
	const uint64_t clusters[] = {draw->clusters.x_b, draw->clusters.x_c};
	static const struct arm NAMES[] = {{{"v1", 2}, {"", 0}}, {{"v2", 2}, {"", 0}}};
	size_t culprits = 0;
	for (unsigned k = 0; k < 2; k++) {
		struct stratum *stratum = &history->strata[i][k];
		*stratum = (struct stratum){.requests = requests[k]};
		for (int j = 0; j <= OUTCOME_AUTHZ_DENIED; j++)
			stratum->outcomes[j].trials = requests[k];
		stratum->outcomes[OUTCOME_HTTP_5XX].bad = bad[k];
		stratum->outcomes[OUTCOME_HTTP_5XX].clusters = clusters[k];
		arms[k] = (struct arm_count){NAMES[k], requests[k], stratum, 1};
		culprits += put_culprits(draw, i, k, clusters[k], &history->culprits[i][culprits]);
	}
	history->buckets[i] = (struct bucket){.service = TEXT("s"),
					      .start_us = (int64_t)i * COHORT_BUCKET_US,
					      .routes = ROUTES,
					      .route_count = 1,
					      .arms = arms,
					      .arm_count = 2,
					      .culprits = history->culprits[i],
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

/* What became of one run: the bucket of its verdict, 0 = none. */
struct outcome_of_run {
	int failed_at, passed_at;
};

static enum verdict judge(const struct gate_query *query, const struct gate_evidence *evidence,
			  int64_t end_us, struct arena *arena)
{
	struct instance instance = {TEXT("s"), {TEXT("v2"), TEXT("")}, TEXT("i"), 0, end_us, 1, 0};
	struct gate_facts facts = {.instances = &instance,
				   .instance_count = 1,
				   .latched_us = INT64_MIN,
				   .watermark_us = end_us};
	struct gate_result result = {0};
	arena_reset(arena);
	enum status status = gate_judge_evidence(query, &facts, evidence, arena, &result);
	assert(status == OK);
	return result.verdict;
}

/* One canary, asked at every bucket until it fails. */
static struct outcome_of_run run_canary(uint64_t *state, const struct cell *cell,
					struct history *history, struct arena *arena)
{
	struct gate_query query = query_of();
	struct gate_evidence *evidence cleanup(gate_evidence_free) = NULL;
	struct outcome_of_run run = {0};
	double phase = 2 * M_PI * uniform(state);
	enum status status = gate_evidence_new(&query, &evidence, NULL);
	history->count = 0;
	for (int i = 0; i < BUCKETS && run.failed_at == 0; i++) {
		struct draw draw = draw_bucket(state, cell, i, phase);
		history_add(history, &draw);
		assert(status == OK);
		status = gate_evidence_add(evidence, &history->buckets[i], NULL, 0);
		query.now_us = (int64_t)(i + 1) * COHORT_BUCKET_US;
		enum verdict verdict = judge(&query, evidence, query.now_us, arena);
		if (verdict == VERDICT_FAIL)
			run.failed_at = i + 1;
		if (verdict == VERDICT_PASS && run.passed_at == 0)
			run.passed_at = i + 1;
	}
	return run;
}

/* Smallest p with P(binomial(n, p) <= k) <= 5 %, by bisection. */
static double upper95(unsigned k, unsigned n)
{
	double low = (double)k / n;
	double high = 1;
	for (int step = 0; step < 60 && k < n; step++) {
		double p = (low + high) / 2;
		double sum = 0;
		for (unsigned i = 0; i <= k; i++)
			sum += exp(lgamma(n + 1.0) - lgamma(i + 1.0) - lgamma(n - i + 1.0) +
				   i * log(p) + (n - i) * log1p(-p));
		if (sum > 0.05)
			low = p;
		else
			high = p;
	}
	return high;
}

static int by_value(const void *left, const void *right)
{
	return *(const int *)left - *(const int *)right;
}

/* Minutes of the median of those that have one. */
static double median_minutes(int *at, unsigned count)
{
	qsort(at, count, sizeof *at, by_value);
	return count == 0 ? NAN : at[count / 2] * (COHORT_BUCKET_US / 60e6);
}

static void simulate(const struct cell *cell, unsigned runs, uint64_t seed)
{
	struct history *history = calloc(1, sizeof *history);
	int *failed_at = calloc(runs, sizeof *failed_at);
	int *passed_at = calloc(runs, sizeof *passed_at);
	struct arena *arena cleanup(arena_free) = arena_new((size_t)1 << 26);
	assert(history != NULL && arena != NULL && failed_at != NULL && passed_at != NULL);
	unsigned failed = 0;
	unsigned passed = 0;
	uint64_t state = seed;
	clock_t before = clock();
	for (unsigned i = 0; i < runs; i++) {
		struct outcome_of_run run = run_canary(&state, cell, history, arena);
		if (run.failed_at > 0)
			failed_at[failed++] = run.failed_at;
		if (run.passed_at > 0)
			passed_at[passed++] = run.passed_at;
	}
	double seconds = (double)(clock() - before) / CLOCKS_PER_SEC;
	printf("%s,%g,%g,%g,%g,%u,%.4f,%.4f,%.1f,%.4f,%.4f,%.1f,%.2f\n", cell->name, cell->rps,
	       cell->share, cell->base_rate, cell->ratio, runs, (double)failed / runs,
	       upper95(failed, runs), median_minutes(failed_at, failed), (double)passed / runs,
	       upper95(passed, runs), median_minutes(passed_at, passed), 1000 * seconds / runs);
	(void)fflush(stdout);
	free(history);
	free(failed_at);
	free(passed_at);
}

/* Neighbouring seeds must not give neighbouring streams (the finaliser of SplitMix64). */
static uint64_t mixed(uint64_t seed)
{
	seed += 0x9e3779b97f4a7c15u;
	seed = (seed ^ (seed >> 30)) * 0xbf58476d1ce4e5b9u;
	seed = (seed ^ (seed >> 27)) * 0x94d049bb133111ebu;
	seed ^= seed >> 31;
	return seed == 0 ? 1 : seed;
}

int main(int argc, char **argv)
{
	unsigned runs = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 88172645463325252u;
	if (runs == 0 || seed == 0) {
		(void)fprintf(stderr, "usage: gate_sim RUNS [SEED [CELL]]\n");
		return 64;
	}
	printf("# seed %llu\ncell,rps,share,base_rate,ratio,runs,fail,fail_upper95,fail_median_min,"
	       "pass,pass_upper95,pass_median_min,ms_per_run\n",
	       (unsigned long long)seed);
	for (size_t i = 0; i < sizeof CELLS / sizeof *CELLS; i++)
		if (argc <= 3 || strstr(CELLS[i].name, argv[3]) != NULL)
			simulate(&CELLS[i], runs, mixed(seed + i));
	return EXIT_SUCCESS;
}
