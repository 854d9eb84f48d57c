/* Stored rows: what is written comes back, and damage of any kind is refused. */
#include "correlate/cohort.h"

#include <check.h>
#include <stdlib.h>

static struct arm_count arms[2];

static struct bucket some_bucket(void)
{
	arms[0] = (struct arm_count){.arm = {TEXT("v1"), TEXT("d1")},
				     .requests = 1000,
				     .bad = {20},
				     .clusters = {7},
				     .principals = {1, UINT64_MAX},
				     .principal_count = 2};
	arms[1] = (struct arm_count){.arm = {TEXT("v1"), TEXT("d2")},
				     .requests = COHORT_COUNT_MAX,
				     .bad = {COHORT_COUNT_MAX}};
	return (struct bucket){.service = TEXT("or\0ders"),
			       .start_us = -(int64_t)COHORT_BUCKET_US,
			       .flags = BUCKET_DEGRADED | BUCKET_NO_PRINCIPAL,
			       .late = 3,
			       .arms = arms,
			       .arm_count = 2};
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
		TEXT("orders"), {TEXT("v2"), TEXT("d")}, TEXT("pod"), -3, 7, 11};
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
	struct bucket bucket = some_bucket();
	arms[0].clusters[0] = arms[0].bad[0] + 1;
	refuse(&bucket);
	bucket = some_bucket();
	arms[0].bad[0] = arms[0].requests + 1;
	refuse(&bucket);
	bucket = some_bucket();
	arms[1].requests++;
	refuse(&bucket);
	bucket = some_bucket();
	arms[0].principals[1] = arms[0].principals[0];
	refuse(&bucket);
	bucket = some_bucket();
	arms[1].arm = arms[0].arm;
	refuse(&bucket);
	bucket = some_bucket();
	bucket.start_us++;
	refuse(&bucket);
	bucket = some_bucket();
	bucket.flags |= 1u << 31;
	refuse(&bucket);
}
END_TEST

START_TEST(outcomes_have_names)
{
	ck_assert_str_eq(outcome_name(OUTCOME_HTTP_5XX), "http_5xx");
	ck_assert_str_eq(outcome_name(OUTCOME_COUNT), "unknown");
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
