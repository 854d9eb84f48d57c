/* Kayenta's judge against 27 cases of its ClassifierSuite and two of its StatisticSuite
 * (spinnaker/spinnaker, folder kayenta), against what its users printed in spinnaker/spinnaker
 * issues 6278 (also spinnaker/kayenta 780) and 5622 and in spinnaker/kayenta issue 426, and its
 * interval against an enumeration of all shifts. */
#include "tests/bench/canary/kayenta.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define VALUES(...)                                                            \
	(struct kayenta_values)                                                \
	{                                                                      \
		(const double[]){__VA_ARGS__},                                 \
			sizeof((const double[]){__VA_ARGS__}) / sizeof(double) \
	}

/* ClassifierSuite: around 10, and around 20. */
static const double CANARY_10[] = {
	9.7767343120109462, 10.587071850477695, 7.8375506388901766, 9.3243326886113884,
	8.3774505409784421, 8.9359264399606282, 8.2707663324728511, 9.7484308126716925,
	11.623746715547156, 9.2753442679633942, 8.1538047749171518, 10.562020975754294,
	13.498135575451835, 11.054419256110332, 6.9538903590055092, 12.521008342195479,
	9.0216358603546443, 4.9234856699531662, 11.251360203607172, 11.598449508040337,
	8.435232204668182,  11.110228516867279, 10.70063380164755,  8.9212773652115249,
	10.086167067942661, 11.42107515483087,  9.3792347813644952, 7.7980320148552593,
	10.62339807275746,  11.909642062063739};
static const double CONTROL_10[] = {
	11.1453586774086,   9.9618059885597017, 7.068574306369829,  7.3012661810483657,
	9.7944630265656727, 9.6037918603687302, 6.1867793350339388, 12.345599159550174,
	10.371891733859533, 8.6094300785016724, 9.913162673361084,  10.361375299003466,
	14.206800387518818, 10.946153754753301, 10.215876627044048, 11.739760899484603,
	10.907627468626439, 12.823353694464775, 8.1018609771732137, 8.4981616408804932,
	12.113441374697231, 13.272210809932028, 10.114579381663297, 6.9463958767978067,
	6.2105278541727778, 10.160401684903775, 8.3457712066455461, 8.383822063895833,
	7.0020205070083765, 10.755757401808442};
static const double CANARY_20[] = {
	20.878412601720026, 21.78550581191622,  19.70828084717019,  15.859946903461562,
	19.510058772176841, 19.392005525270303, 22.926528314912101, 17.156530276709894,
	18.655117916226171, 23.422607911610392, 24.055817684156644, 22.62689958516501,
	21.979472967817678, 21.659318607218694, 20.067707574072426, 22.119570836305414,
	16.44037132663307,  21.559622826341268, 21.000181443489218, 17.779369411412663,
	17.806006358943584, 18.537200618386109, 20.555550300210797, 19.552928184468378,
	21.771118944087092, 21.809622806176627, 20.961762909905271, 20.977571577503021,
	19.106303205498794, 16.976918966987078};
enum { ARRAY = sizeof CANARY_10 / sizeof *CANARY_10 };

static struct random dice;

/* ClassifierSuite's own settings. */
static struct kayenta_metric metric_of(enum kayenta_direction direction)
{
	struct kayenta_metric metric = kayenta_metric_default();
	metric.tolerance = 0.10;
	metric.confidence = 0.95;
	metric.direction = direction;
	return metric;
}

static struct kayenta_result judge(struct kayenta_metric metric, struct kayenta_values experiment,
				   struct kayenta_values control)
{
	return kayenta_judge(&metric, &control, &experiment, &dice);
}

START_TEST(directions)
{
	static const struct {
		const double *experiment, *control;
		enum kayenta_direction direction;
		enum kayenta_label label;
	} CASES[] = {
		{CANARY_10, CONTROL_10, KAYENTA_EITHER, KAYENTA_PASS},
		{CANARY_20, CONTROL_10, KAYENTA_EITHER, KAYENTA_HIGH},
		{CANARY_10, CANARY_20, KAYENTA_EITHER, KAYENTA_LOW},
		{CANARY_10, CANARY_20, KAYENTA_INCREASE, KAYENTA_PASS},
		{CANARY_20, CONTROL_10, KAYENTA_DECREASE, KAYENTA_PASS},
		{CANARY_20, CONTROL_10, KAYENTA_INCREASE, KAYENTA_HIGH},
		{CANARY_10, CANARY_20, KAYENTA_DECREASE, KAYENTA_LOW},
	};
	for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
		ck_assert_int_eq(judge(metric_of(CASES[i].direction),
				       (struct kayenta_values){CASES[i].experiment, ARRAY},
				       (struct kayenta_values){CASES[i].control, ARRAY})
					 .label,
				 CASES[i].label);
}
END_TEST

START_TEST(effect_sizes)
{
	struct kayenta_values high = VALUES(20, 22, 21, 25, 30);
	struct kayenta_values low = VALUES(1, 2.2, 1.1, 2.5, 3);
	struct kayenta_metric metric = metric_of(KAYENTA_EITHER);
	metric.allowed_low = 0.8;
	metric.allowed_high = 1.2;
	ck_assert_int_eq(judge(metric, high, low).label, KAYENTA_HIGH);
	metric.allowed_high = 13;
	ck_assert_int_eq(judge(metric, high, low).label, KAYENTA_PASS);
	metric = metric_of(KAYENTA_EITHER);
	metric.allowed_low = 0.5;
	ck_assert_int_eq(judge(metric, VALUES(10, 12.2, 10.1, 12.5, 23), high).label, KAYENTA_PASS);

	ck_assert(kayenta_common_language(&VALUES(1, 2, 3, 4, 5), &VALUES(1, 2, 3, 4, 5)) == 0.5);
	struct kayenta_values above = VALUES(25.31531073, 25.19450817, 24.6288846, 24.37991861);
	struct kayenta_values below = VALUES(2.27776335, 2.61149434, 3.26894105, 2.91672701);
	ck_assert(kayenta_common_language(&above, &below) == 0);
	struct kayenta_metric language = metric_of(KAYENTA_EITHER);
	language.common_language = true;
	language.allowed_high = 0.8;
	struct kayenta_values canary = {CANARY_20, ARRAY};
	struct kayenta_values control = {CONTROL_10, ARRAY};
	ck_assert_int_eq(judge(language, canary, control).label, KAYENTA_HIGH);
	ck_assert(judge(language, canary, control).effect == 1);
}
END_TEST

START_TEST(critical_metrics)
{
	struct kayenta_values high = VALUES(20, 22, 21, 25, 30);
	struct kayenta_values low = VALUES(1, 2.2, 1.1, 2.5, 3);
	struct kayenta_metric metric = metric_of(KAYENTA_EITHER);
	metric.critical = true;
	struct kayenta_result result = judge(metric, high, low);
	ck_assert(result.label == KAYENTA_HIGH && result.critical);
	metric.critical_high = 1.2;
	result = judge(metric, high, low);
	ck_assert(result.label == KAYENTA_HIGH && result.critical);
	metric.allowed_high = 5;
	metric.critical_high = 13;
	result = judge(metric, high, low);
	ck_assert(result.label == KAYENTA_HIGH && !result.critical);
	metric.allowed_high = 13;
	metric.critical_high = 15;
	result = judge(metric, high, low);
	ck_assert(result.label == KAYENTA_PASS && !result.critical);
	metric = metric_of(KAYENTA_EITHER);
	metric.critical = true;
	metric.critical_low = 1.2;
	result = judge(metric, VALUES(2, 2, 2, 2, 3), VALUES(10, 20.2, 10.1, 20.5, 30));
	ck_assert(result.label == KAYENTA_LOW && result.critical);
	/* A mean of zero: there is no effect size, and no bound on it either. */
	metric.critical_low = 0.8;
	metric.critical_high = 1.2;
	metric.replace_nan = true;
	result = judge(metric,
		       VALUES(0.05000000074505806, 0.05000000074505806, 0.01666666753590107,
			      0.01666666753590107, 0.01666666753590107, 0.05000000074505806,
			      0.03333333507180214, 0.05000000260770321, 0.05000000260770321,
			      0.13333333656191826),
		       VALUES(0, 0, 0, 0, 0, 0, 0, 0, 0, 0));
	ck_assert(result.label == KAYENTA_HIGH && result.critical && isnan(result.effect));
}
END_TEST

START_TEST(missing_and_tied)
{
	struct kayenta_values some = VALUES(1, 2, 3, 4, 5);
	struct kayenta_values none = {NULL, 0};
	struct kayenta_metric metric = metric_of(KAYENTA_DECREASE);
	ck_assert_int_eq(judge(metric, none, some).label, KAYENTA_NODATA);
	ck_assert_int_eq(judge(metric, VALUES(NAN, NAN), some).label, KAYENTA_NODATA);
	metric.must_have_data = true;
	ck_assert_int_eq(judge(metric, none, some).label, KAYENTA_NODATA_FAIL);
	metric.critical = true;
	ck_assert(judge(metric, none, some).label == KAYENTA_NODATA &&
		  judge(metric, none, some).critical);
	metric.replace_nan = true;
	ck_assert_int_eq(judge(metric, none, some).label, KAYENTA_PASS);

	metric = metric_of(KAYENTA_DECREASE);
	ck_assert_int_eq(judge(metric, VALUES(1, 1, 1), VALUES(1, 1)).label, KAYENTA_PASS);
	ck_assert_int_eq(judge(metric, some, VALUES(5, 4, 3, 2, 1)).label, KAYENTA_PASS);
	ck_assert_int_eq(judge(metric, VALUES(0, 1, 1, 1, 1), VALUES(1, 1, 1, 1, 1)).label,
			 KAYENTA_PASS);
	metric = metric_of(KAYENTA_EITHER);
	ck_assert_int_eq(judge(metric, VALUES(1, 1, 1, 1, 10), VALUES(1, 1, 1, 1, 1)).label,
			 KAYENTA_PASS);
	ck_assert_int_eq(judge(metric, VALUES(10, 10, 10, 10, 10), VALUES(1, 1, 1, 1, 1)).label,
			 KAYENTA_HIGH);
	ck_assert_int_eq(judge(metric, VALUES(10, 10, 10, 10, 10), VALUES(0, 0, 0, 0, 0)).label,
			 KAYENTA_HIGH);
	metric.allowed_low = 0.8;
	metric.allowed_high = 1.2;
	struct kayenta_values zeros = VALUES(0, 0, 0, 0, 0);
	struct kayenta_values loads = VALUES(54.9, 54.5, 55.1, 55.6, 57.4);
	ck_assert_int_eq(judge(metric, loads, zeros).label, KAYENTA_HIGH);
	ck_assert_int_eq(judge(metric, zeros, loads).label, KAYENTA_LOW);
	ck_assert_int_eq(judge(metric, zeros, zeros).label, KAYENTA_PASS);
}
END_TEST

START_TEST(what_users_printed)
{
	struct kayenta_metric metric = kayenta_metric_default();
	metric.allowed_high = 1.05;
	struct kayenta_values ones = VALUES(1, 1, 1, 1, 1, 1, 1, 1, 1, 1);
	struct kayenta_result result =
		judge(metric, VALUES(100, 100, 100, 100, 100, 100, 100, 1, 1, 1), ones);
	ck_assert_int_eq(result.label, KAYENTA_PASS);
	ck_assert_double_eq_tol(result.lower, 6.825e-05, 0.5e-8);
	ck_assert_double_eq_tol(result.upper, 99, 1e-9);
	ck_assert_double_eq_tol(result.estimate, 98.9999, 0.5e-4);
	ck_assert_double_eq_tol(result.effect, 70.3, 1e-9);
	result = judge(metric, VALUES(100, 100, 100, 100, 100, 100, 100, 100, 1, 1), ones);
	ck_assert_int_eq(result.label, KAYENTA_HIGH);

	metric = kayenta_metric_default();
	ck_assert_int_eq(judge(metric, VALUES(0, 1, 2, 1, 0, 0), VALUES(0, 0, 0, 0, 0, 0)).label,
			 KAYENTA_PASS);
	metric.direction = KAYENTA_INCREASE;
	ck_assert_int_eq(judge(metric, VALUES(0, 0.048, 0, 0.18, 0.089, 0, 0.098, 0.035, 0, 0),
			       VALUES(0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
				 .label,
			 KAYENTA_PASS);
}
END_TEST

START_TEST(scores)
{
	struct kayenta_result results[4] = {
		{.label = KAYENTA_PASS}, {.label = KAYENTA_PASS}, {.label = KAYENTA_HIGH}};
	ck_assert_double_eq_tol(kayenta_score(results, 3), 200.0 / 3, 1e-9);
	results[3].label = KAYENTA_NODATA; /* counts for nothing while it is the exception */
	ck_assert_double_eq_tol(kayenta_score(results, 4), 200.0 / 3, 1e-9);
	results[1].label = KAYENTA_NODATA;
	ck_assert(kayenta_score(results, 4) == 0);
	results[1].label = KAYENTA_ERROR;
	ck_assert_double_eq_tol(kayenta_score(results, 3), 50, 1e-9);
	results[2].critical = true;
	ck_assert(kayenta_score(results, 3) == 0);
	/* All that crashed: nobody objects. */
	struct kayenta_result crashed = {.label = KAYENTA_ERROR};
	ck_assert(kayenta_score(&crashed, 1) == 100);
}
END_TEST

/* The interval by going through all differences x - y, where z can only change (m n of them). */
static double bound_by_enumeration(const double *x, const double *y, int count, double quantile)
{
	double best = INFINITY;
	for (int i = 0; i < count; i++)
		for (int k = 0; k < count; k++) {
			/* Just above a difference: z there, without ties. */
			double shift = x[i] - y[k] + 1e-9;
			double above = 0;
			for (int a = 0; a < count; a++)
				for (int b = 0; b < count; b++)
					above += x[a] - shift > y[b];
			double w = above - count * count / 2.0;
			double z = (w - (w > 0   ? 0.5
					 : w < 0 ? -0.5
						 : 0)) /
				   sqrt(count * count / 12.0 * (2 * count + 1));
			if (z < quantile)
				best = fmin(best, shift);
		}
	return best;
}

START_TEST(interval_by_enumeration)
{
	struct kayenta_metric metric = metric_of(KAYENTA_EITHER);
	struct kayenta_result result = judge(metric, (struct kayenta_values){CANARY_20, ARRAY},
					     (struct kayenta_values){CONTROL_10, ARRAY});
	static const double Z = 1.959963984540054;
	ck_assert_double_eq_tol(result.lower, bound_by_enumeration(CANARY_20, CONTROL_10, ARRAY, Z),
				2e-4);
	ck_assert_double_eq_tol(result.upper,
				bound_by_enumeration(CANARY_20, CONTROL_10, ARRAY, -Z), 2e-4);
}
END_TEST

int main(void)
{
	dice = random_of(1, 2, 3);
	/* Looked for under io.spinnaker.kayenta and com.netflix.spinnaker.kayenta. */
	printf("SKIP Kayenta's judge on the JVM: Maven Central does not have it\n");
	Suite *suite = suite_create("bench/kayenta");
	TCase *tests = tcase_create("kayenta");
	tcase_set_timeout(tests, 0);
	tcase_add_test(tests, directions);
	tcase_add_test(tests, effect_sizes);
	tcase_add_test(tests, critical_metrics);
	tcase_add_test(tests, missing_and_tied);
	tcase_add_test(tests, what_users_printed);
	tcase_add_test(tests, scores);
	tcase_add_test(tests, interval_by_enumeration);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
