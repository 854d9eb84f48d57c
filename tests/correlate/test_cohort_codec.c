/* Stored rows: what is written comes back, and damage of any kind is refused. */
#include "correlate/cohort.h"

#include <check.h>
#include <stdlib.h>

static struct arm_count arms[2];
static struct stratum strata[3];
static struct latency_bin bins[2];
static struct culprit culprits[3];
static const struct text ROUTES[] = {{"GET /a", 6}, {"", 0}};

static struct bucket some_bucket(void)
{
	bins[0] = (struct latency_bin){0, 1};
	bins[1] = (struct latency_bin){LATENCY_BINS - 1, UINT32_MAX};
	strata[0] = (struct stratum){.route = 0,
				     .half = 1,
				     .requests = 1000,
				     .strangers = 30,
				     .outcomes = {{.trials = 1000, .bad = 20, .clusters = 7},
						  {.trials = 900, .strangers = 9},
						  {.trials = 1000, .strangers = 30}},
				     .bins = bins,
				     .bin_count = 2};
	strata[0].outcomes[OUTCOME_ERROR_LOG] = (struct outcome_count){.bad = 5000, .clusters = 3};
	strata[1] = (struct stratum){.route = 2, .half = 0, .requests = 1};
	strata[2] = (struct stratum){.route = 1, .requests = COHORT_COUNT_MAX};
	strata[2].outcomes[0] =
		(struct outcome_count){.trials = COHORT_COUNT_MAX, .bad = COHORT_COUNT_MAX};
	arms[0] = (struct arm_count){.arm = {TEXT("v1"), TEXT("d1")},
				     .requests = 1001,
				     .strata = strata,
				     .stratum_count = 2};
	arms[1] = (struct arm_count){.arm = {TEXT("v1"), TEXT("d2")},
				     .requests = COHORT_COUNT_MAX,
				     .strata = strata + 2,
				     .stratum_count = 1};
	culprits[0] = (struct culprit){1, OUTCOME_HTTP_5XX, 1};
	culprits[1] = (struct culprit){UINT64_MAX, OUTCOME_HTTP_5XX, 0};
	culprits[2] = (struct culprit){1, OUTCOME_AUDIT_VOLUME, 0};
	return (struct bucket){.service = TEXT("or\0ders"),
			       .start_us = -(int64_t)COHORT_BUCKET_US,
			       .flags = BUCKET_FLAGS,
			       .late = 3,
			       .routes = ROUTES,
			       .route_count = 2,
			       .arms = arms,
			       .arm_count = 2,
			       .culprits = culprits,
			       .culprit_count = 3};
}

static struct finding some_finding(void)
{
	struct finding finding = {.service = TEXT("orders"),
				  .arm = {TEXT("v2"), TEXT("")},
				  .rule_key = TEXT("rule-1"),
				  .rule_title = TEXT("A title"),
				  .count = 9,
				  .first_us = -5,
				  .last_us = 5,
				  .evidence_count = COHORT_EVIDENCE_MAX};
	for (int i = 0; i < COHORT_EVIDENCE_MAX; i++) {
		finding.evidence_us[i] = i;
		finding.evidence[i] = (struct origin){TEXT("logs"), INT32_MIN, UINT32_MAX, i};
	}
	return finding;
}

static enum status decode(int kind, struct text encoded, struct bytes *ret_again)
{
	struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
	struct bucket bucket;
	struct finding finding;
	struct instance instance;
	enum status status = kind == 0   ? bucket_decode(encoded, arena, &bucket, NULL)
			     : kind == 1 ? finding_decode(encoded, arena, &finding, NULL)
					 : instance_decode(encoded, arena, &instance, NULL);
	if (status != OK)
		return status;
	if (kind == 0)
		bucket_encode(&bucket, ret_again);
	else if (kind == 1)
		finding_encode(&finding, ret_again);
	else
		instance_encode(&instance, ret_again);
	return OK;
}

START_TEST(rows_come_back_and_cuts_are_refused)
{
	struct bucket bucket = some_bucket();
	struct finding finding = some_finding();
	struct instance instance = {
		TEXT("orders"), {TEXT("v2"), TEXT("d")}, TEXT("pod"), -3, 7, 11, 4};
	for (int kind = 0; kind < 3; kind++) {
		struct bytes encoded cleanup(bytes_done) = {0};
		struct bytes again cleanup(bytes_done) = {0};
		if (kind == 0)
			bucket_encode(&bucket, &encoded);
		else if (kind == 1)
			finding_encode(&finding, &encoded);
		else
			instance_encode(&instance, &encoded);
		ck_assert_int_eq(decode(kind, bytes_text(&encoded), &again), OK);
		ck_assert(text_equal(bytes_text(&encoded), bytes_text(&again)));
		for (size_t size = 0; size < encoded.size; size++) {
			struct text cut = {(const char *)encoded.data, size};
			ck_assert_int_eq(decode(kind, cut, &again), ECORRUPT);
		}
		bytes_put_u8(&encoded, 0); /* one byte too many */
		ck_assert_int_eq(decode(kind, bytes_text(&encoded), &again), ECORRUPT);
		encoded.size--;
		encoded.data[0]++; /* another version */
		ck_assert_int_eq(decode(kind, bytes_text(&encoded), &again), ECORRUPT);
	}
}
END_TEST

static void refuse(const struct bucket *bucket)
{
	struct bytes encoded cleanup(bytes_done) = {0};
	struct bytes again cleanup(bytes_done) = {0};
	bucket_encode(bucket, &encoded);
	ck_assert_int_eq(decode(0, bytes_text(&encoded), &again), ECORRUPT);
}

START_TEST(counts_that_break_the_statistics_are_refused)
{
	for (int broken = 0; broken < 16; broken++) {
		struct bucket bucket = some_bucket();
		struct outcome_count *count = &strata[0].outcomes[0];
		switch (broken) {
		case 0:
			count->clusters = count->bad + 1;
			break;
		case 1:
			count->bad = count->trials + 1;
			break;
		case 2:
			strata[2].requests++;
			break;
		case 3:
			culprits[1].principal = culprits[0].principal;
			break;
		case 4:
			arms[1].arm = arms[0].arm;
			break;
		case 5:
			bucket.start_us++;
			break;
		case 6:
			bucket.flags |= 1u << 31;
			break;
		case 7:
			strata[1].route = 3;
			break;
		case 8:
			strata[1].route = 0;
			break;
		case 9:
			strata[0].half = COHORT_HALVES;
			break;
		case 10:
			bins[1].index = LATENCY_BINS;
			break;
		case 11:
			bins[1].index = 0;
			break;
		case 12:
			culprits[2].arm = 2;
			break;
		case 13:
			strata[0].outcomes[OUTCOME_AUTHN_FAILURE].strangers = 901;
			break;
		case 14:
			strata[0].strangers = 1001;
			break;
		default:
			culprits[2].outcome = OUTCOME_COUNTED;
		}
		refuse(&bucket);
	}
}
END_TEST

START_TEST(outcomes_have_names)
{
	ck_assert_str_eq(outcome_name(OUTCOME_HTTP_5XX), "http_5xx");
	ck_assert_str_eq(outcome_name(OUTCOME_COUNT), "unknown");
	double weights = 0;
	for (int i = 0; i < OUTCOME_COUNT; i++) {
		const struct outcome_info *info = outcome_info((enum outcome)i);
		ck_assert_uint_gt(strlen(info->doc), 0);
		ck_assert_int_eq(info->model == OUTCOME_LATENCY, i >= OUTCOME_COUNTED);
		weights += info->weight;
	}
	ck_assert_double_eq_tol(weights, 1, 1e-12); /* E is their mean */
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("correlate/cohort_codec");
	TCase *tests = tcase_create("tests");
	tcase_set_timeout(tests, 0);
	tcase_add_test(tests, rows_come_back_and_cuts_are_refused);
	tcase_add_test(tests, counts_that_break_the_statistics_are_refused);
	tcase_add_test(tests, outcomes_have_names);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
