/* What the buckets prove: principals, two sides, latency, a noisy baseline, the split of the
 * traffic, the routes, one bad instance; and that bucket by bucket is the same as all at once. */
#include "tests/correlate/gate_scene.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

START_TEST(one_outsider_fails_nobody)
{
	/* Stuck to the canary, wrong in every bucket, beside two who mistyped: one principal. */
	for (int i = 0; i < BUCKETS; i++) {
		outcome_at(i, 1, OUTCOME_AUTHN_FAILURE)->bad = 5;
		outcome_at(i, 1, OUTCOME_AUTHN_FAILURE)->clusters = 1;
		add_culprit(i, 1, OUTCOME_AUTHN_FAILURE, 4711);
	}
	add_culprit(3, 1, OUTCOME_AUTHN_FAILURE, 1);
	add_culprit(4, 1, OUTCOME_AUTHN_FAILURE, 2);
	ck_assert_int_ne(judge(), VERDICT_FAIL);
	ck_assert(scene.result.verdict != VERDICT_PASS && has_reason("UNCONFIRMED"));
	ck_assert_uint_eq(scene.result.outcomes[OUTCOME_AUTHN_FAILURE].principals, 3);
	/* As many failures of as many people are the canary's own. */
	for (int i = 0; i < BUCKETS; i++)
		add_culprit(i, 1, OUTCOME_AUTHN_FAILURE, 5000 + (uint64_t)i);
	ck_assert_int_eq(judge(), VERDICT_FAIL);
}
END_TEST

START_TEST(denials_that_vanish_are_a_regression)
{
	for (int i = 0; i < BUCKETS; i++) {
		outcome_at(i, 0, OUTCOME_AUTHZ_DENIED)->bad = 20;
		outcome_at(i, 0, OUTCOME_AUTHZ_DENIED)->clusters = 20;
		for (unsigned k = 0; k < 20; k++)
			add_culprit(i, 0, OUTCOME_AUTHZ_DENIED, 1 + (uint64_t)i * 100 + k);
	}
	ck_assert_int_eq(judge(), VERDICT_FAIL);
	const struct outcome_result *denied = &scene.result.outcomes[OUTCOME_AUTHZ_DENIED];
	ck_assert_double_gt(denied->better.e_fail, denied->worse.e_fail);
	ck_assert(has_reason("REGRESSION"));
	/* Of failures fewer are welcome. */
	tear_down();
	set_up();
	for (int i = 0; i < BUCKETS; i++)
		set_bad(i, 0, 20);
	ck_assert_int_eq(judge(), VERDICT_PASS);
}
END_TEST

/* Every request of an arm took this long. */
static void set_latency(int i, int arm, double us, struct latency_bin *bin)
{
	*bin = (struct latency_bin){(uint16_t)latency_bin_of(us),
				    (uint32_t)scene.strata[i][arm].requests};
	scene.strata[i][arm].bins = bin;
	scene.strata[i][arm].bin_count = 1;
}

static void set_latencies(double canary_us)
{
	static struct latency_bin bins[BUCKETS][2];
	for (int i = 0; i < BUCKETS; i++) {
		set_latency(i, 0, 1000, &bins[i][0]);
		set_latency(i, 1, canary_us, &bins[i][1]);
	}
}

START_TEST(slower_than_the_baseline_was)
{
	set_latencies(1000);
	(void)judge();
	const struct outcome_result *median = &scene.result.outcomes[OUTCOME_LATENCY_P50];
	ck_assert_uint_eq(median->x_c + median->x_b, 0);
	/* The first bucket has no past; six buckets fall into the warm-up of the canary. */
	ck_assert_uint_eq(median->n_c, 100 * (BUCKETS - 6));
	set_latencies(1200);
	ck_assert_int_eq(judge(), VERDICT_FAIL);
	ck_assert_uint_eq(median->x_c, 100 * (BUCKETS - 6));
	ck_assert_uint_eq(median->x_b, 0);
	/* An instance that came just now: its bucket is left out. */
	scene.instances[2].first_us = end_us() - 20 * SECOND_US;
	(void)judge();
	ck_assert_uint_eq(median->n_c, 100 * (BUCKETS - 8));
	/* Latencies that the canary no longer logs are not proved. */
	for (int i = 0; i < BUCKETS; i++)
		scene.strata[i][1].bin_count = 0;
	ck_assert_int_eq(judge(), VERDICT_WAIT);
	ck_assert(has_reason("EVIDENCE"));
}
END_TEST

START_TEST(noisy_baseline_is_inconclusive)
{
	/* Half of the baseline's instances fail as often as the canary does. */
	static struct stratum halves[BUCKETS][2];
	for (int i = 0; i < BUCKETS; i++) {
		fail_canary(i, 12);
		halves[i][0] = halves[i][1] = scene.strata[i][0];
		halves[i][1].half = 1;
		halves[i][0].requests = halves[i][1].requests = 500;
		for (int k = 0; k < OUTCOME_AUTHZ_DENIED + 1; k++)
			halves[i][0].outcomes[k].trials = halves[i][1].outcomes[k].trials = 500;
		halves[i][1].outcomes[0].bad = halves[i][1].outcomes[0].clusters = 40;
		for (unsigned k = 0; k < 10; k++)
			add_culprit(i, 0, OUTCOME_HTTP_5XX, 90000 + (uint64_t)i * 100 + k);
		scene.arms[i][0].strata = halves[i];
		scene.arms[i][0].stratum_count = 2;
	}
	enum verdict verdict = judge();
	ck_assert_double_ge(scene.result.e_baseline_sup, 100);
	ck_assert_int_eq(verdict, VERDICT_INCONCLUSIVE);
	ck_assert(has_reason("NOISY_BASELINE"));
}
END_TEST

START_TEST(split_and_coverage_hold_a_pass_back)
{
	scene.query.share = 0.1;
	ck_assert_int_eq(judge(), VERDICT_PASS); /* 1 in 11 is near enough */
	scene.query.share = 0.25;
	ck_assert_int_eq(judge(), VERDICT_INCONCLUSIVE);
	ck_assert(first_reason("SPLIT"));
	ck_assert_double_eq_tol(scene.result.split_observed, 1.0 / 11, 1e-9);
	scene.query.share = NAN;
	ck_assert_int_eq(judge(), VERDICT_PASS);
	/* A route with 1 in 10 requests that the canary never saw. */
	static const struct text BOTH[] = {{"GET /", 5}, {"POST /pay", 9}};
	static struct stratum routes[BUCKETS][2];
	for (int i = 0; i < BUCKETS; i++) {
		scene.buckets[i].routes = BOTH;
		scene.buckets[i].route_count = 2;
		routes[i][0] = routes[i][1] = scene.strata[i][0];
		routes[i][1].route = 1;
		routes[i][1].requests = 120;
		scene.arms[i][0].strata = routes[i];
		scene.arms[i][0].stratum_count = 2;
	}
	ck_assert_int_eq(judge(), VERDICT_WAIT);
	ck_assert(first_reason("COVERAGE"));
	ck_assert_double_eq_tol(scene.result.coverage, 1000.0 / 1120, 1e-9);
	for (int i = 0; i < BUCKETS; i++)
		routes[i][1].requests = 40; /* 4 %: among those that need not be */
	ck_assert_int_eq(judge(), VERDICT_PASS);
}
END_TEST

START_TEST(one_bad_instance_is_named)
{
	for (int i = 10; i < 14; i++)
		fail_canary(i, 3);
	scene.instances[3] = scene.instances[2];
	scene.facts.instance_count = 4;
	scene.instances[2].failures = 11;
	scene.instances[1].failures = 1;
	ck_assert_int_eq(judge(), VERDICT_FAIL);
	ck_assert(has_reason("ONE_INSTANCE"));
	scene.instances[1].failures = 4;
	ck_assert_int_eq(judge(), VERDICT_FAIL);
	ck_assert(!has_reason("ONE_INSTANCE"));
}
END_TEST

START_TEST(bucket_by_bucket_is_the_same)
{
	set_latencies(1000);
	for (int i = 5; i < 9; i++)
		fail_canary(i, 2);
	struct gate_evidence *evidence = NULL;
	ck_assert_int_eq(gate_evidence_new(&scene.query, &evidence, NULL), OK);
	for (int i = 0; i < BUCKETS; i++) {
		ck_assert_int_eq(gate_evidence_add(evidence, &scene.buckets[i], scene.instances, 3),
				 OK);
		struct bytes one cleanup(bytes_done) = {0};
		struct bytes other cleanup(bytes_done) = {0};
		struct gate_result result = {0};
		scene.facts.bucket_count = (size_t)i + 1;
		(void)judge();
		gate_json(&scene.query, &scene.result, &one);
		ck_assert_int_eq(
			gate_judge_evidence(&scene.query, &scene.facts, evidence, arena, &result),
			OK);
		gate_json(&scene.query, &result, &other);
		ck_assert(text_equal(bytes_text(&one), bytes_text(&other)));
	}
	ck_assert_uint_lt(gate_evidence_bytes(evidence), 1 << 20);
	gate_evidence_free(&evidence);
}
END_TEST

/* More routes, principals and buckets than are kept. */
START_TEST(at_every_cap_it_stays_below_a_mebibyte)
{
	enum { MANY = 2400, SHOWN = 64, PEOPLE = COHORT_CULPRITS_MAX };
	static char names[SHOWN][COHORT_NAME_MAX];
	static struct text routes[SHOWN];
	static struct stratum strata[SHOWN];
	static struct culprit culprits[PEOPLE];
	struct gate_evidence *evidence = NULL;
	ck_assert_int_eq(gate_evidence_new(&scene.query, &evidence, NULL), OK);
	for (int i = 0; i < MANY; i++) {
		struct bucket bucket = scene.buckets[0];
		struct arm_count arms[] = {bucket.arms[0], bucket.arms[1]};
		size_t route_count = i < 4 ? SHOWN : 1; /* the names of four buckets are 256 */
		for (size_t k = 0; k < SHOWN; k++) {
			(void)snprintf(names[k], sizeof names[k], "%0250zu",
				       (size_t)i % 4 * 64 + k);
			routes[k] = text_of(names[k]);
			strata[k] = arms[0].strata[0];
			strata[k].route = (unsigned)k;
		}
		for (uint64_t k = 0; k < PEOPLE; k++)
			culprits[k] = (struct culprit){((uint64_t)i * PEOPLE + k + 1) *
							       UINT64_C(0x9e3779b97f4a7c15),
						       OUTCOME_HTTP_5XX, 0};
		arms[0].strata = strata;
		arms[0].stratum_count = route_count;
		bucket.start_us = scene.buckets[0].start_us + i * (int64_t)COHORT_BUCKET_US;
		bucket.arms = arms;
		bucket.routes = routes;
		bucket.route_count = route_count;
		bucket.culprits = culprits;
		bucket.culprit_count = i < 200 ? PEOPLE : 0;
		ck_assert_int_eq(gate_evidence_add(evidence, &bucket, NULL, 0), OK);
	}
	ck_assert_uint_le(gate_evidence_bytes(evidence), 1 << 20);
	ck_assert_uint_ge(gate_evidence_bytes(evidence), 800000); /* they were reached */
	gate_evidence_free(&evidence);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("correlate/evidence");
	TCase *tests = tcase_create("evidence");
	tcase_set_timeout(tests, 0);
	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_test(tests, one_outsider_fails_nobody);
	tcase_add_test(tests, denials_that_vanish_are_a_regression);
	tcase_add_test(tests, slower_than_the_baseline_was);
	tcase_add_test(tests, noisy_baseline_is_inconclusive);
	tcase_add_test(tests, split_and_coverage_hold_a_pass_back);
	tcase_add_test(tests, one_bad_instance_is_named);
	tcase_add_test(tests, bucket_by_bucket_is_the_same);
	tcase_add_test(tests, at_every_cap_it_stays_below_a_mebibyte);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
