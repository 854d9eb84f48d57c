/* What evidence_track.c and evidence.c make of the e-processes, recomputed from the definitions in
 * long double over the whole support: mixtures, both sides, the weighted mean of the outcomes, its
 * supremum, principals that count once, halves of the baseline, the common odds ratio. */
#include "correlate/evalue.h"
#include "tests/correlate/gate_scene.h"

#include <math.h>
#include <stdlib.h>

static const double NEAR = 1e-9;

enum { POINTS = 12 };

/* One e-process: the logarithms of its points. */
struct process {
	long double logs[POINTS];
};

/* The processes of one outcome. */
struct reference {
	struct process worse, better, once_worse, once_better, halves[2];
	long double above, below; /* of Mantel and Haenszel's ratio */
	long double sup, once_sup;
};

static struct reference references[OUTCOME_COUNTED];
static long double all, all_sup, halves_sup;

/* log of sum_k C(n_c, k) C(n_b, x - k) psi^k. */
static long double log_z(long double n_c, long double n_b, long double x, long double psi)
{
	long double sum = 0;
	long double shift = lgammal(n_c + n_b + 1) - lgammal(x + 1) - lgammal(n_c + n_b - x + 1);
	for (long double k = x > n_b ? x - n_b : 0; k <= x && k <= n_c; k++)
		sum += expl(lgammal(n_c + 1) - lgammal(k + 1) - lgammal(n_c - k + 1) +
			    lgammal(n_b + 1) - lgammal(x - k + 1) - lgammal(n_b - x + k + 1) -
			    shift + k * logl(psi));
	return logl(sum);
}

static void process_add(struct process *process, enum outcome outcome, long double psi0,
			const uint64_t n[2], const uint64_t x[2])
{
	long double n_c = (long double)n[1];
	long double n_b = (long double)n[0];
	long double bad = (long double)(x[0] + x[1]);
	if (n_c == 0 || n_b == 0 || bad == 0)
		return;
	for (int j = 0; j < POINTS; j++) {
		long double psi = psi0 * 1.2L * powl(50, j / 11.0L);
		process->logs[j] += (long double)x[1] * logl(psi / psi0);
		if (outcome_info(outcome)->model == OUTCOME_POISSON)
			process->logs[j] -= bad * logl((n_c * psi + n_b) / (n_c * psi0 + n_b));
		else
			process->logs[j] += log_z(n_c, n_b, bad, psi0) - log_z(n_c, n_b, bad, psi);
	}
}

static void add_both(struct process *one, struct process *other, enum outcome outcome,
		     long double psi0, const uint64_t n[2], const uint64_t x[2])
{
	process_add(one, outcome, psi0, n, x);
	process_add(other, outcome, psi0, (const uint64_t[]){n[1], n[0]},
		    (const uint64_t[]){x[1], x[0]});
}

static long double value(const struct process *process)
{
	long double sum = 0;
	for (int j = 0; j < POINTS; j++)
		sum += expl(process->logs[j]) / POINTS;
	return sum;
}

static long double sides(enum outcome outcome, const struct process *worse,
			 const struct process *better)
{
	if (!outcome_info(outcome)->two_sided)
		return value(worse);
	return (value(worse) + value(better)) / 2;
}

static uint64_t dice_state;

static uint64_t dice(uint64_t below)
{
	dice_state = dice_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (dice_state >> 33) % below;
}

static const enum outcome USED[] = {OUTCOME_HTTP_5XX, OUTCOME_AUTHZ_DENIED, OUTCOME_ERROR_LOG,
				    OUTCOME_AUDIT_VOLUME};
enum { USED_COUNT = sizeof USED / sizeof *USED, PEOPLE = 40 };

static struct stratum split[BUCKETS][2];    /* the baseline in halves */
static bool known[OUTCOME_COUNTED][PEOPLE]; /* had a bad outcome before */

/* Bucket i with bad outcomes drawn at random, more of them in the canary. */
static void draw(int i)
{
	set_arm(i, 0, "v1", "d1", 400 + dice(100));
	set_arm(i, 1, "v2", "d2", 60 + dice(40));
	for (int half = 0; half < 2; half++) {
		split[i][half] = scene.strata[i][0];
		split[i][half].half = (unsigned)half;
		split[i][half].requests = half == 0 ? 170 : scene.strata[i][0].requests - 170;
		for (int k = 0; k < OUTCOME_COUNTED; k++)
			if (split[i][half].outcomes[k].trials > 0)
				split[i][half].outcomes[k].trials = split[i][half].requests;
	}
	scene.arms[i][0].strata = split[i];
	scene.arms[i][0].stratum_count = 2;
	scene.buckets[i].culprit_count = 0;
	for (int u = 0; u < USED_COUNT; u++) {
		struct outcome_count *of[] = {&split[i][0].outcomes[USED[u]],
					      &split[i][1].outcomes[USED[u]],
					      &scene.strata[i][1].outcomes[USED[u]]};
		for (int k = 0; k < 3; k++) {
			of[k]->clusters = dice(3) + (k > 0 ? dice(4) : 0);
			of[k]->bad = of[k]->clusters + dice(2);
		}
	}
}

static void refer(int i)
{
	uint64_t once[OUTCOME_COUNTED][2] = {0};
	for (int u = 0; u < USED_COUNT; u++)
		for (int k = 0; k < 3; k++) {
			unsigned arm = (unsigned)dice(2);
			uint64_t who = dice(PEOPLE);
			once[USED[u]][arm] += !known[USED[u]][who];
			add_culprit(i, arm, USED[u], 1000 + who);
			known[USED[u]][who] = true;
		}
	long double halves = 0;
	all = 0;
	for (int k = 0; k < OUTCOME_COUNT; k++)
		all += scene.query.policy.outcomes[k].weight;
	for (int k = 0; k < OUTCOME_COUNTED; k++) {
		enum outcome outcome = (enum outcome)k;
		struct reference *reference = &references[k];
		const struct outcome_policy *policy = &scene.query.policy.outcomes[k];
		bool poisson = outcome_info(outcome)->model == OUTCOME_POISSON;
		const struct stratum *canary = &scene.strata[i][1];
		const struct outcome_count *of[] = {&split[i][0].outcomes[k],
						    &split[i][1].outcomes[k], &canary->outcomes[k]};
		uint64_t half_n[] = {poisson ? split[i][1].requests : of[1]->trials,
				     poisson ? split[i][0].requests : of[0]->trials};
		uint64_t half_x[] = {of[1]->clusters, of[0]->clusters};
		uint64_t n[] = {half_n[0] + half_n[1], poisson ? canary->requests : of[2]->trials};
		uint64_t x[] = {half_x[0] + half_x[1], of[2]->clusters};
		add_both(&reference->worse, &reference->better, outcome, policy->psi0, n, x);
		add_both(&reference->once_worse, &reference->once_better, outcome, policy->psi0, n,
			 once[k]);
		add_both(&reference->halves[0], &reference->halves[1], outcome, policy->psi0,
			 half_n, half_x);
		long double both = (long double)(n[0] + n[1]);
		if (both > 0) {
			reference->above += (long double)x[1] * (long double)(n[0] - x[0]) / both;
			reference->below += (long double)x[0] * (long double)(n[1] - x[1]) / both;
		}
		long double fail = sides(outcome, &reference->worse, &reference->better);
		reference->sup = fmaxl(reference->sup, fail);
		reference->once_sup =
			fmaxl(reference->once_sup,
			      sides(outcome, &reference->once_worse, &reference->once_better));
		all += policy->weight * (fail - 1);
		halves += policy->weight *
			  ((value(&reference->halves[0]) + value(&reference->halves[1])) / 2 - 1);
	}
	all_sup = fmaxl(all_sup, all);
	halves_sup = fmaxl(halves_sup, 1 + halves);
}

static void same(double ours, long double exact)
{
	ck_assert_double_eq_tol(ours / (double)exact, 1, NEAR);
}

START_TEST(everything_from_the_definitions)
{
	dice_state = 20261122;
	all_sup = halves_sup = 1;
	memset(references, 0, sizeof references);
	memset(known, 0, sizeof known);
	for (int k = 0; k < OUTCOME_COUNTED; k++)
		references[k].sup = references[k].once_sup = 1;
	for (int i = 0; i < BUCKETS; i++) {
		draw(i);
		refer(i);
	}
	(void)judge();
	const struct gate_result *result = &scene.result;
	for (int u = 0; u < USED_COUNT; u++) {
		const struct outcome_result *outcome = &result->outcomes[USED[u]];
		const struct reference *reference = &references[USED[u]];
		same(outcome->worse.e_fail, value(&reference->worse));
		if (outcome_info(USED[u])->two_sided)
			same(outcome->better.e_fail, value(&reference->better));
		same(outcome->e_fail, sides(USED[u], &reference->worse, &reference->better));
		same(outcome->e_fail_sup, reference->sup);
		same(outcome->e_principals_sup, reference->once_sup);
		same(outcome->odds_ratio, reference->above / reference->below);
	}
	same(result->e_all, all);
	same(result->e_all_sup, all_sup);
	same(result->e_baseline_sup, halves_sup);
	/* The scene says something in every place. */
	ck_assert(result->e_all > 1.01 && result->e_baseline_sup > 1.01);
	ck_assert(result->outcomes[OUTCOME_HTTP_5XX].e_principals_sup > 1);
}
END_TEST

START_TEST(weights_share_alpha)
{
	double sum = 0;
	for (int k = 0; k < OUTCOME_COUNT; k++)
		sum += scene.query.policy.outcomes[k].weight;
	ck_assert_double_eq_tol(sum, 1, NEAR);
	/* What nobody logs counts as 1, not as 0: its part of the mean is not given to others. */
	(void)judge();
	ck_assert_double_eq_tol(scene.result.e_all, 1, NEAR);
}
END_TEST

static double factorial(unsigned n)
{
	return n < 2 ? 1 : n * factorial(n - 1);
}

/* Mean of the two PASS values at the edge of their claims, where every cause is `size` bad outcomes
 * and the counts are taken for so over-dispersed: over all ways in which causes may fall. */
static void expect_pass(unsigned size, double over, double *ret_relative, double *ret_absolute)
{
	enum { CAUSES = 3, CAUSES_MAX = 16, REQUESTS_C = 2000, REQUESTS_B = 9000 };
	const struct gate_policy policy = gate_policy_default();
	const struct outcome_policy *of = &policy.outcomes[OUTCOME_HTTP_5XX];
	double to_canary = REQUESTS_C * of->psi_tol / (REQUESTS_C * of->psi_tol + REQUESTS_B);
	double rate = REQUESTS_C * of->p_abs / size;
	*ret_relative = *ret_absolute = 0;
	for (unsigned k = 0; k <= CAUSES_MAX; k++) {
		struct evalue evalue;
		evalue_init(&evalue, of->psi0, of->psi_tol, of->p_abs);
		evalue.model = EVALUE_POISSON;
		unsigned others = k > CAUSES ? 0 : CAUSES - k;
		struct evalue_count count = {REQUESTS_C, k * size, REQUESTS_B, others * size};
		evalue_add(&evalue, &count);
		*ret_absolute += exp(-rate) * pow(rate, k) / factorial(k) *
				 evalue_absolute_over(&evalue, over);
		if (k <= CAUSES)
			*ret_relative += factorial(CAUSES) / factorial(k) / factorial(others) *
					 pow(to_canary, k) * pow(1 - to_canary, others) *
					 evalue_relative_over(&evalue, over);
	}
}

START_TEST(bursts_keep_the_error_rate)
{
	double relative = 0;
	double absolute = 0;
	for (unsigned size = 1; size <= 8; size++) {
		expect_pass(size, size, &relative, &absolute);
		ck_assert_double_le(relative, 1 + NEAR);
		ck_assert_double_le(absolute, 1 + NEAR);
	}
	expect_pass(5, 1, &relative, &absolute); /* what dividing is for */
	ck_assert_double_gt(relative, 1.5);
	ck_assert_double_gt(absolute, 1.5);
}
END_TEST

/* Bad outcomes of the baseline in bucket i, all of one cause. */
static void set_burst(int i, uint64_t bad)
{
	outcome_at(i, 0, OUTCOME_HTTP_5XX)->bad = bad;
	outcome_at(i, 0, OUTCOME_HTTP_5XX)->clusters = bad > 0;
}

START_TEST(sizes_of_causes_are_estimated)
{
	const struct outcome_result *of = &scene.result.outcomes[OUTCOME_HTTP_5XX];
	(void)judge();
	ck_assert_double_eq(of->dispersion, 1);
	for (int i = 0; i < BUCKETS; i++)
		set_burst(i, i % 3 == 0 ? 4 : 0);
	(void)judge(); /* as of a geometric size: 4 + 4 * 3 / 4 */
	ck_assert_double_eq_tol(of->dispersion, 7, NEAR);
	double relative = 0;
	static const double POINTS_OF[] = {1, 0.75, 0.5, 0.1};
	for (int j = 0; j < 4; j++) {
		struct evalue_count one = {100, 0, 1000, 4};
		double log_one = evalue_log_ratio(&one, 2, POINTS_OF[j]);
		relative += exp(BUCKETS / 3.0 * log_one / 7) / 4;
	}
	same(of->worse.e_pass_relative_raw, relative);
	ck_assert_double_gt(of->worse.e_pass_relative, of->worse.e_pass_relative_raw);
	for (int i = 0; i < BUCKETS; i++)
		set_burst(i, i % 10 == 0 ? 31 : 1);
	(void)judge(); /* mean 4, variance (54 * 9 + 6 * 729) / 59 */
	ck_assert_double_eq_tol(of->dispersion, 4 + (54 * 9 + 6 * 729) / 59.0 / 4, NEAR);
	for (int i = 0; i < BUCKETS; i++)
		set_burst(i, 1);
	(void)judge();
	ck_assert_double_eq(of->dispersion, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("correlate/evidence_track");
	TCase *tests = tcase_create("evidence_track");
	tcase_set_timeout(tests, 0);
	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_test(tests, everything_from_the_definitions);
	tcase_add_test(tests, weights_share_alpha);
	tcase_add_test(tests, bursts_keep_the_error_rate);
	tcase_add_test(tests, sizes_of_causes_are_estimated);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
