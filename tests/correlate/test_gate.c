/* The verdict: every row of the table in gate.c, what precedes what, the latch of FAIL, the JSON.
 */
#include "tests/correlate/gate_scene.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

START_TEST(healthy_canary_passes)
{
	ck_assert_int_eq(judge(), VERDICT_PASS);
	ck_assert(first_reason("NI_ACCEPTED"));
	ck_assert(scene.result.fresh && scene.result.final);
	ck_assert_int_eq(scene.result.as_of_us, end_us());
	ck_assert_int_eq(scene.result.lag_us, 5 * SECOND_US);
	ck_assert_uint_eq(scene.result.outcomes[0].n_c, 100 * BUCKETS);
	ck_assert_uint_eq(scene.result.outcomes[0].n_b, 1000 * BUCKETS);
	ck_assert(isnan(scene.result.outcomes[0].odds_ratio));
}
END_TEST

START_TEST(baseline_may_be_all_others)
{
	scene.query.baseline = (struct arm_query){0};
	for (int i = 0; i < BUCKETS; i++) {
		set_arm(i, 2, "v3", "", 7);
		scene.buckets[i].arm_count = 3;
	}
	ck_assert_int_eq(judge(), VERDICT_PASS);
	ck_assert_uint_eq(scene.result.outcomes[0].n_b, 1007 * BUCKETS);
	/* Events that name no build are nobody's baseline. */
	for (int i = 0; i < BUCKETS; i++)
		scene.arms[i][2].arm = arm_of("", "");
	ck_assert_int_eq(judge(), VERDICT_PASS);
	ck_assert_uint_eq(scene.result.outcomes[0].n_b, 1000 * BUCKETS);
}
END_TEST

START_TEST(regression_fails_and_says_why)
{
	for (int i = 10; i < 14; i++)
		fail_canary(i, 3);
	ck_assert_int_eq(judge(), VERDICT_FAIL);
	ck_assert(first_reason("REGRESSION"));
	ck_assert_uint_eq(scene.result.outcomes[0].principals, 12);
	ck_assert_int_eq(scene.result.outcomes[0].state, NI_REJECTED);
	/* No freshness, no bake, no health is needed for it. */
	scene.facts.watermark_us = INT64_MIN;
	scene.query.after_us = end_us();
	scene.buckets[3].flags = BUCKET_DEGRADED;
	ck_assert_int_eq(judge(), VERDICT_FAIL);
	ck_assert(!scene.result.fresh);
}
END_TEST

START_TEST(few_principals_or_buckets_do_not_fail_nor_pass)
{
	fail_canary(10, 12);
	ck_assert_int_eq(judge(), VERDICT_WAIT); /* one bucket */
	ck_assert(first_reason("UNCONFIRMED"));
	scene.query.now_us = BASE_US + scene.query.policy.deadline_us;
	scene.facts.watermark_us = scene.query.now_us;
	for (int i = 0; i < 3; i++)
		scene.instances[i].last_us = scene.query.now_us;
	ck_assert_int_eq(judge(), VERDICT_INCONCLUSIVE); /* at the deadline */
	ck_assert(has_reason("DEADLINE"));
	fail_canary(11, 2);
	ck_assert_int_eq(judge(), VERDICT_FAIL);
	/* The same from one user only, then from nobody known. */
	for (int i = 10; i < 12; i++) {
		scene.buckets[i].culprit_count = 0;
		add_culprit(i, 1, OUTCOME_HTTP_5XX, 77);
	}
	ck_assert_int_eq(judge(), VERDICT_INCONCLUSIVE);
	ck_assert_uint_eq(scene.result.outcomes[0].principals, 1);
	scene.buckets[10].culprit_count = scene.buckets[11].culprit_count = 0;
	scene.buckets[10].flags = scene.buckets[11].flags = BUCKET_NO_PRINCIPAL;
	ck_assert_int_eq(judge(), VERDICT_INCONCLUSIVE);
	ck_assert_uint_eq(scene.result.no_principal_count, 2);
}
END_TEST

START_TEST(hard_finding_fails_at_once)
{
	scene.findings[0] = (struct finding){.service = TEXT("orders"),
					     .arm = arm_of("v1", "d1"),
					     .rule_key = TEXT("rule-1"),
					     .rule_title = TEXT("Secret in a log"),
					     .count = 1};
	scene.facts.finding_count = 1;
	ck_assert_int_eq(judge(), VERDICT_PASS); /* of the baseline */
	ck_assert_uint_eq(scene.result.finding_count, 0);
	scene.findings[1] = scene.findings[0];
	scene.findings[1].arm = arm_of("v2", "d2");
	scene.facts.finding_count = 2;
	ck_assert_int_eq(judge(), VERDICT_FAIL);
	ck_assert(first_reason("HARD_FINDING"));
	ck_assert_uint_eq(scene.result.finding_count, 1);
	/* Of another service with the same version. */
	scene.findings[1].service = TEXT("payments");
	ck_assert_int_eq(judge(), VERDICT_PASS);
	/* Without any bucket, and blind. */
	scene.findings[1].service = TEXT("orders");
	scene.facts.bucket_count = 0;
	scene.facts.instance_count = 0;
	scene.facts.watermark_us = INT64_MIN;
	ck_assert_int_eq(judge(), VERDICT_FAIL);
}
END_TEST

START_TEST(identity_trouble_is_never_a_pass)
{
	scene.query.baseline = scene.query.canary;
	ck_assert_int_eq(judge(), VERDICT_INCONCLUSIVE);
	ck_assert(first_reason("IDENTITY"));
	scene.query.baseline = (struct arm_query){ARM_DEPLOY_ID, TEXT("v2")};
	ck_assert_int_eq(judge(), VERDICT_INCONCLUSIVE);
	scene.query.canary = (struct arm_query){0};
	ck_assert_int_eq(judge(), VERDICT_INCONCLUSIVE);
	/* Two names of one build that was seen. */
	scene.query.canary = (struct arm_query){ARM_VERSION, TEXT("v2")};
	scene.query.baseline = (struct arm_query){ARM_DEPLOY_ID, TEXT("d2")};
	ck_assert_int_eq(judge(), VERDICT_INCONCLUSIVE);
	ck_assert(first_reason("IDENTITY"));
}
END_TEST

START_TEST(unseen_canary_waits_then_names_the_versions)
{
	scene.query.canary.value = TEXT("v9");
	ck_assert_int_eq(judge(), VERDICT_WAIT); /* no moment to count from */
	scene.query.step_start_us = scene.query.now_us - 10 * SECOND_US;
	ck_assert_int_eq(judge(), VERDICT_WAIT);
	ck_assert(first_reason("IDENTITY") && !scene.result.final);
	scene.query.step_start_us = scene.query.now_us - scene.query.policy.deadline_us;
	ck_assert_int_eq(judge(), VERDICT_INCONCLUSIVE);
	ck_assert_uint_eq(scene.result.versions_seen_count, 2);
	scene.query.canary.value = TEXT("v2");
	scene.query.baseline.value = TEXT("v0");
	ck_assert_int_eq(judge(), VERDICT_INCONCLUSIVE);
	ck_assert(first_reason("IDENTITY"));
	/* Nothing at all is known. */
	scene.facts = (struct gate_facts){.watermark_us = INT64_MIN, .latched_us = INT64_MIN};
	scene.query.step_start_us = INT64_MIN;
	ck_assert_int_eq(judge(), VERDICT_WAIT);
	ck_assert_int_eq(scene.result.as_of_us, INT64_MIN);
	ck_assert(!scene.result.fresh);
}
END_TEST

START_TEST(blindness_is_stale)
{
	int64_t max_lag_us = scene.query.policy.max_lag_us;
	scene.query.now_us = end_us() + max_lag_us;
	ck_assert_int_eq(judge(), VERDICT_PASS);
	scene.query.now_us++;
	ck_assert_int_eq(judge(), VERDICT_STALE);
	ck_assert(first_reason("LAG") && !scene.result.final && !scene.result.fresh);
	/* Also past the deadline: who is blind says so. */
	scene.query.now_us = end_us() + 10 * scene.query.policy.deadline_us;
	ck_assert_int_eq(judge(), VERDICT_STALE);

	scene.query.now_us = end_us();
	scene.facts.watermark_us = INT64_MIN;
	ck_assert_int_eq(judge(), VERDICT_STALE);

	scene.facts.watermark_us = end_us();
	scene.words[0] = TEXT("partition logs-a/3 is stalled");
	scene.facts.stale_reasons = scene.words;
	scene.facts.stale_reason_count = 1;
	ck_assert_int_eq(judge(), VERDICT_STALE);
	ck_assert(first_reason("STALLED"));
}
END_TEST

START_TEST(silent_instances_are_stale)
{
	int64_t oldest_us = scene.query.now_us - 2 * scene.query.policy.max_lag_us;
	scene.instances[2].last_us = oldest_us;
	ck_assert_int_eq(judge(), VERDICT_PASS);
	scene.instances[2].last_us = oldest_us - 1;
	ck_assert_int_eq(judge(), VERDICT_STALE);
	ck_assert(first_reason("SILENT"));
	ck_assert_uint_eq(scene.result.silent_count, 1);
	ck_assert(text_equal(scene.result.silent[0], TEXT("pod-c")));
	ck_assert_uint_eq(scene.result.instance_count, 2);
	/* Gone before this step began: a pod of an earlier step, not a silent one. */
	scene.query.step_start_us = oldest_us;
	scene.query.policy.bake_us = 0;
	ck_assert_int_eq(judge(), VERDICT_PASS);
	/* But somebody must be heard. */
	scene.instances[1].last_us = oldest_us - 1;
	ck_assert_int_eq(judge(), VERDICT_STALE);
	ck_assert(first_reason("SILENT"));
	/* A silent baseline is none of its business. */
	scene.instances[1].last_us = end_us();
	scene.instances[0].last_us = BASE_US;
	ck_assert_int_eq(judge(), VERDICT_PASS);
}
END_TEST

START_TEST(doubt_is_inconclusive)
{
	scene.words[0] = TEXT("rule x with gate: block was refused");
	scene.facts.doubt_reasons = scene.words;
	scene.facts.doubt_reason_count = 1;
	ck_assert_int_eq(judge(), VERDICT_INCONCLUSIVE);
	ck_assert(first_reason("DOUBT"));
	/* Above staleness. */
	scene.facts.watermark_us = INT64_MIN;
	ck_assert_int_eq(judge(), VERDICT_INCONCLUSIVE);
	scene.facts.doubt_reason_count = 0;
	scene.facts.watermark_us = end_us();
	scene.buckets[7].flags = BUCKET_DEGRADED;
	ck_assert_int_eq(judge(), VERDICT_INCONCLUSIVE);
	ck_assert(first_reason("DEGRADED"));
	ck_assert_uint_eq(scene.result.degraded_count, 1);
	scene.buckets[7].flags = 0;
	/* Up to one in a hundred may be late; above, the failures may be among them. */
	ck_assert_int_eq(judge(), VERDICT_PASS);
	uint64_t counted = scene.result.outcomes[0].n_c + scene.result.outcomes[0].n_b;
	scene.buckets[7].late = counted / 99;
	ck_assert_int_eq(judge(), VERDICT_PASS);
	scene.buckets[7].late = counted / 99 + 1;
	ck_assert_int_eq(judge(), VERDICT_INCONCLUSIVE);
	ck_assert(first_reason("LATE"));
}
END_TEST

/* What an instance logs with times that are yet to come is in no bucket that was judged. */
START_TEST(a_clock_ahead_is_stale)
{
	int64_t max_us = scene.query.now_us + scene.query.policy.max_lag_us;
	scene.instances[2].last_us = max_us;
	ck_assert_int_eq(judge(), VERDICT_PASS);
	scene.instances[2].last_us = max_us + 1;
	ck_assert_int_eq(judge(), VERDICT_STALE);
	ck_assert(first_reason("CLOCK"));
	scene.instances[2].last_us = end_us();
	scene.instances[0].last_us = max_us + 1; /* the baseline's own affair */
	ck_assert_int_eq(judge(), VERDICT_PASS);
}
END_TEST

START_TEST(missing_records_are_doubt)
{
	const struct instance *canary = &scene.instances[1];
	struct gate_gap gap = {canary->name, 1, 99, canary->first_us};
	scene.facts.gaps = &gap;
	scene.facts.gap_count = 1;
	ck_assert_int_eq(judge(), VERDICT_PASS);
	gap.missing = 2;
	ck_assert_int_eq(judge(), VERDICT_INCONCLUSIVE);
	ck_assert(first_reason("GAP"));
	ck_assert_uint_eq(scene.result.missing, 2);
	/* Of an earlier life of the instance, of the baseline: no concern of the canary's. */
	gap.last_us = canary->first_us - 1;
	ck_assert_int_eq(judge(), VERDICT_PASS);
	gap = (struct gate_gap){scene.instances[0].name, 50, 50, canary->first_us};
	ck_assert_int_eq(judge(), VERDICT_PASS);
}
END_TEST

START_TEST(bake_and_token_are_waited_for)
{
	int64_t bake_us = scene.query.policy.bake_us;
	scene.query.step_start_us = end_us() - bake_us;
	ck_assert_int_eq(judge(), VERDICT_PASS);
	scene.query.step_start_us = end_us() - bake_us + 1;
	ck_assert_int_eq(judge(), VERDICT_WAIT);
	ck_assert(first_reason("BAKE"));
	scene.query.step_start_us = INT64_MIN;
	scene.query.after_us = end_us() - bake_us + 1;
	ck_assert_int_eq(judge(), VERDICT_WAIT);
	scene.query.after_us = end_us() - bake_us;
	ck_assert_int_eq(judge(), VERDICT_PASS);
	/* A canary that came after its step began bakes from its first event. */
	scene.query.after_us = INT64_MIN;
	scene.query.step_start_us = BASE_US - bake_us;
	scene.instances[1].first_us = scene.instances[2].first_us = end_us() - bake_us + 1;
	ck_assert_int_eq(judge(), VERDICT_WAIT);
}
END_TEST

START_TEST(too_little_evidence_waits_until_the_deadline)
{
	for (int i = 0; i < BUCKETS; i++)
		set_arm(i, 1, "v2", "d2", 1);
	ck_assert_int_eq(judge(), VERDICT_WAIT);
	ck_assert(first_reason("EVIDENCE"));
	scene.query.policy.deadline_us = 60 * SECOND_US;
	ck_assert_int_eq(judge(), VERDICT_INCONCLUSIVE);
	ck_assert(has_reason("DEADLINE"));
}
END_TEST

START_TEST(raw_counts_hold_a_pass_back)
{
	/* One user hammers: 1 cluster per bucket in both arms alike, but the canary's retries are
	 * 20 times as many. */
	for (int i = 0; i < BUCKETS; i++) {
		set_bad(i, 0, 10);
		set_bad(i, 1, 1);
		outcome_at(i, 1, OUTCOME_HTTP_5XX)->bad = 20;
		add_culprit(i, 1, OUTCOME_HTTP_5XX, 5);
	}
	ck_assert_int_ne(judge(), VERDICT_PASS);
	ck_assert_double_ge(scene.result.outcomes[0].worse.e_pass_relative, 40);
	ck_assert_double_lt(scene.result.outcomes[0].worse.e_pass_relative_raw, 1);
	for (int i = 0; i < BUCKETS; i++)
		set_bad(i, 1, 1);
	ck_assert_int_eq(judge(), VERDICT_PASS);
	ck_assert_double_eq_tol(scene.result.outcomes[0].odds_ratio, 1, 1e-9);
}
END_TEST

static uint64_t random_state = 88172645463325252u;

static unsigned dice(unsigned sides)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)((random_state >> 33) % sides);
}

START_TEST(fail_never_turns)
{
	printf("seed 0x%llx\n", (unsigned long long)random_state);
	unsigned fails = 0;
	for (int run = 0; run < 40; run++) {
		tear_down();
		set_up();
		for (int i = 0; i < BUCKETS; i++) {
			if (dice(3) == 0)
				fail_canary(i, dice(3));
			set_bad(i, 0, dice(1 + (unsigned)run % 9));
			if (dice(12) == 0)
				scene.buckets[i].flags |= BUCKET_DEGRADED;
			if (i > BUCKETS / 2) { /* a build that is both turns up */
				set_arm(i, 2, "v2", "v1", 50);
				scene.buckets[i].arm_count = 3;
			}
		}
		bool failed = false;
		for (int i = 1; i <= BUCKETS; i++) {
			arena_reset(arena);
			scene.facts.bucket_count = (size_t)i;
			scene.facts.watermark_us = dice(4) == 0 ? INT64_MIN : end_us();
			scene.facts.stale_reason_count = 0;
			scene.facts.instance_count = dice(4);
			scene.query.now_us = end_us() + (int64_t)dice(4000) * SECOND_US;
			enum verdict verdict = judge();
			ck_assert(!failed || verdict == VERDICT_FAIL);
			failed |= verdict == VERDICT_FAIL;
		}
		fails += failed;
	}
	ck_assert_uint_gt(fails, 5);
	ck_assert_uint_lt(fails, 40);
}
END_TEST

START_TEST(same_input_same_bits)
{
	fail_canary(5, 2);
	set_bad(9, 0, 4);
	struct bytes first cleanup(bytes_done) = {0};
	struct bytes second cleanup(bytes_done) = {0};
	(void)judge();
	gate_json(&scene.query, &scene.result, &first);
	struct outcome_result outcome = scene.result.outcomes[0];
	(void)judge();
	gate_json(&scene.query, &scene.result, &second);
	ck_assert(text_equal(bytes_text(&first), bytes_text(&second)));
	ck_assert(outcome.e_fail_sup == scene.result.outcomes[0].e_fail_sup);
}
END_TEST

START_TEST(arms_are_named_by_version_or_deploy_id)
{
	struct arm_query query = {0};
	struct error err = {0};
	ck_assert_int_eq(arm_query_parse(TEXT("v2"), &query, &err), OK);
	ck_assert(query.field == ARM_ANY && text_equal(query.value, TEXT("v2")));
	ck_assert_int_eq(arm_query_parse(TEXT("service.version=1=2"), &query, &err), OK);
	ck_assert(query.field == ARM_VERSION && text_equal(query.value, TEXT("1=2")));
	ck_assert_int_eq(arm_query_parse(TEXT("k8s.pod.label.pod-template-hash=abc"), &query, &err),
			 OK);
	ck_assert(query.field == ARM_DEPLOY_ID && text_equal(query.value, TEXT("abc")));
	ck_assert_int_eq(arm_query_parse(TEXT("auto"), &query, &err), OK);
	ck_assert_uint_eq(query.value.size, 0);
	ck_assert_int_eq(arm_query_parse(TEXT("user.name=x"), &query, &err), EINVALID);
	ck_assert_ptr_nonnull(strstr(err.text, "picket.deploy.id=VALUE"));
	ck_assert_int_eq(arm_query_parse(TEXT("service.version="), &query, &err), EINVALID);
	ck_assert_int_eq(arm_query_parse(TEXT("=x"), &query, &err), EINVALID);
	ck_assert_int_eq(arm_query_parse((struct text){0}, &query, &err), OK);

	/* The rollout hash alone finds the canary. */
	scene.query.canary = (struct arm_query){ARM_ANY, TEXT("d2")};
	scene.query.baseline = (struct arm_query){ARM_DEPLOY_ID, TEXT("d1")};
	ck_assert_int_eq(judge(), VERDICT_PASS);
}
END_TEST

START_TEST(a_given_fail_stands_until_it_is_overridden)
{
	scene.facts.latched_us = BASE_US;
	scene.facts.latched = TEXT("http_5xx was worse");
	ck_assert_int_eq(judge(), VERDICT_FAIL);
	ck_assert(first_reason("LATCHED"));
	scene.facts.latched_us = INT64_MIN;
	/* Overridden: what was seen up to then is forgiven, what comes later is not. */
	for (int i = 4; i < 8; i++)
		fail_canary(i, 3);
	ck_assert_int_eq(judge(), VERDICT_FAIL);
	scene.query.pardon_us = BASE_US + 9 * (int64_t)COHORT_BUCKET_US;
	ck_assert_int_eq(judge(), VERDICT_PASS);
	ck_assert_int_eq(scene.result.window_start_us, scene.query.pardon_us);
	for (int i = 40; i < 44; i++)
		fail_canary(i, 3);
	ck_assert_int_eq(judge(), VERDICT_FAIL);
	/* When everybody fails it is not this canary; a blocking finding is. */
	scene.facts.common_cause = TEXT("3 other services fail as well");
	ck_assert_int_eq(judge(), VERDICT_INCONCLUSIVE);
	ck_assert(has_reason("COMMON_CAUSE") && first_reason("REGRESSION"));
	scene.findings[0] = (struct finding){.service = TEXT("orders"),
					     .arm = arm_of("v2", "d2"),
					     .rule_key = TEXT("rule-1"),
					     .rule_title = TEXT("Secret in a log"),
					     .last_us = end_us(),
					     .count = 1};
	scene.facts.finding_count = 1;
	ck_assert_int_eq(judge(), VERDICT_FAIL);
	scene.findings[0].last_us = scene.query.pardon_us;
	ck_assert_int_eq(judge(), VERDICT_INCONCLUSIVE);
}
END_TEST

START_TEST(out_of_memory_is_no_verdict)
{
	for (size_t bytes_max = 1; bytes_max < 1 << 16; bytes_max = bytes_max * 3 / 2 + 1) {
		struct arena *small cleanup(arena_free) = arena_new(bytes_max);
		struct gate_result result = {.verdict = VERDICT_UNAVAILABLE};
		enum status status = gate_judge(&scene.query, &scene.facts, small, &result);
		ck_assert(status == OK || status == ENOMEMORY);
		ck_assert_int_eq(result.verdict, status == OK ? VERDICT_PASS : VERDICT_UNAVAILABLE);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("correlate/gate");
	TCase *tests = tcase_create("gate");
	tcase_set_timeout(tests, 0);
	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_add_test(tests, healthy_canary_passes);
	tcase_add_test(tests, baseline_may_be_all_others);
	tcase_add_test(tests, regression_fails_and_says_why);
	tcase_add_test(tests, few_principals_or_buckets_do_not_fail_nor_pass);
	tcase_add_test(tests, hard_finding_fails_at_once);
	tcase_add_test(tests, identity_trouble_is_never_a_pass);
	tcase_add_test(tests, unseen_canary_waits_then_names_the_versions);
	tcase_add_test(tests, blindness_is_stale);
	tcase_add_test(tests, silent_instances_are_stale);
	tcase_add_test(tests, doubt_is_inconclusive);
	tcase_add_test(tests, missing_records_are_doubt);
	tcase_add_test(tests, a_clock_ahead_is_stale);
	tcase_add_test(tests, bake_and_token_are_waited_for);
	tcase_add_test(tests, too_little_evidence_waits_until_the_deadline);
	tcase_add_test(tests, raw_counts_hold_a_pass_back);
	tcase_add_test(tests, fail_never_turns);
	tcase_add_test(tests, same_input_same_bits);
	tcase_add_test(tests, arms_are_named_by_version_or_deploy_id);
	tcase_add_test(tests, a_given_fail_stands_until_it_is_overridden);
	tcase_add_test(tests, out_of_memory_is_no_verdict);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
