/* Each rival on buckets made by hand: the bucket at which its documents say it acts, and that it
 * does not act before; and the cells of the grid are what their names say. */
#include "tests/bench/canary/rivals.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct draw draw_of(uint64_t n_c, uint64_t x_c, uint64_t n_b, uint64_t x_b)
{
	struct evalue_count count = {n_c, x_c, n_b, x_b};
	return (struct draw){.share = 0.1, .clusters = count, .raw = count};
}

/* The same bucket again and again. */
static struct rivals see(struct draw draw, int buckets)
{
	struct rivals rivals = rivals_of(1);
	for (int i = 0; i < buckets; i++)
		rivals_see(&rivals, i, &draw);
	return rivals;
}

START_TEST(thresholds_count_failures)
{
	/* 2 % of errors: five minutes under 99 %; never under 95 %. */
	struct rivals rivals = see(draw_of(100, 2, 900, 18), TRAFFIC_BUCKETS);
	ck_assert_int_eq(rivals.failed_at[RIVAL_FLAGGER], 5 * 6);
	ck_assert_int_eq(rivals.failed_at[RIVAL_ARGO], 0);
	/* 6 %: the fourth measurement is more than three. */
	rivals = see(draw_of(100, 6, 900, 54), TRAFFIC_BUCKETS);
	ck_assert_int_eq(rivals.failed_at[RIVAL_ARGO], 4 * 30);
	/* No traffic is a failed check of one and an error of the other. */
	rivals = see(draw_of(0, 0, 900, 0), TRAFFIC_BUCKETS);
	ck_assert_int_eq(rivals.failed_at[RIVAL_FLAGGER], 5 * 6);
	ck_assert_int_eq(rivals.failed_at[RIVAL_ARGO], 0);
	/* Exactly 99 % will do. */
	rivals = see(draw_of(100, 1, 900, 9), TRAFFIC_BUCKETS);
	ck_assert_int_eq(rivals.failed_at[RIVAL_FLAGGER], 0);
}
END_TEST

START_TEST(z_test_by_hand)
{
	/* After 6 buckets 12 of 600 against 54 of 5,400: pooled .011, z = .01 / .004489 = 2.2278;
	 * after 7 it is 2.4063. */
	struct rivals rivals = see(draw_of(100, 2, 900, 9), 6);
	ck_assert_int_eq(rivals.failed_at[RIVAL_Z_TEST], 0);
	rivals = see(draw_of(100, 2, 900, 9), 7);
	ck_assert_int_eq(rivals.failed_at[RIVAL_Z_TEST], 7);
	rivals = see(draw_of(100, 0, 900, 9), TRAFFIC_BUCKETS);
	ck_assert_int_eq(rivals.failed_at[RIVAL_Z_TEST], 0);
}
END_TEST

/* The Bayes factor from predictive probabilities, error by error (Polya's urn). */
static double urn_log(unsigned c, unsigned b, double share)
{
	double sum = 0;
	for (unsigned i = 0; i < c; i++)
		sum += log((100 * share + i) / (100.0 + i) / share);
	for (unsigned i = 0; i < b; i++)
		sum += log((100 * (1 - share) + i) / (100.0 + c + i) / (1 - share));
	return sum;
}

START_TEST(lindon_malek_by_an_urn)
{
	int expected = 0;
	for (int i = 1; i <= TRAFFIC_BUCKETS && expected == 0; i++)
		if (urn_log((unsigned)i, (unsigned)i, 0.1) >= log(100))
			expected = i;
	struct rivals rivals = see(draw_of(100, 1, 900, 1), TRAFFIC_BUCKETS);
	ck_assert_int_eq(rivals.failed_at[RIVAL_LINDON_MALEK], expected);
	ck_assert_int_gt(expected, 1);
	/* Fewer errors than its share: also unlikely, not a rollback. */
	rivals = see(draw_of(100, 0, 900, 40), TRAFFIC_BUCKETS);
	ck_assert_int_eq(rivals.failed_at[RIVAL_LINDON_MALEK], 0);
	/* Another share: the evidence so far stays, and only what follows is held against it. */
	rivals = rivals_of(1);
	struct draw before = draw_of(100, 1, 900, 9);
	struct draw after = draw_of(500, 9, 500, 9);
	after.share = 0.5;
	for (int i = 0; i < 40; i++)
		rivals_see(&rivals, i, i < 20 ? &before : &after);
	ck_assert_double_eq_tol(rivals.split_log, urn_log(20, 180, 0.1), 1e-9);
	ck_assert_int_eq(rivals.failed_at[RIVAL_LINDON_MALEK], 0);
}
END_TEST

START_TEST(kayenta_looks_when_it_says)
{
	struct traffic traffic;
	struct cell cell = {.name = "x", .rps = 200, .share = 0.1, .rate_b = 0.01, .rate_c = 0.1};
	struct rivals rivals = rivals_of(1);
	traffic = traffic_of(&cell, 1, 1);
	for (int i = 0; i < TRAFFIC_BUCKETS; i++) {
		struct draw draw = traffic_draw(&traffic, i);
		rivals_see(&rivals, i, &draw);
	}
	ck_assert_int_eq(rivals.failed_at[RIVAL_KAYENTA_10], 10 * 6);
	ck_assert_int_eq(rivals.failed_at[RIVAL_KAYENTA_50], 50 * 6);
	ck_assert_int_eq(rivals.failed_at[RIVAL_KAYENTA_ONCE], 60 * 6);
	/* No request of the canary ever: no data, score 0. */
	rivals = see(draw_of(0, 0, 900, 9), TRAFFIC_BUCKETS);
	ck_assert_int_eq(rivals.failed_at[RIVAL_KAYENTA_10], 10 * 6);
	/* No errors anywhere: nothing to object to. */
	rivals = see(draw_of(100, 0, 900, 0), TRAFFIC_BUCKETS);
	ck_assert_int_eq(rivals.failed_at[RIVAL_KAYENTA_10], 0);
}
END_TEST

START_TEST(cells)
{
	size_t fine = 0;
	for (size_t i = 0; i < cell_count(); i++) {
		struct cell cell = cell_at(i);
		fine += cell.fine;
		ck_assert(!cell.fine || cell_is_null(&cell));
		ck_assert(!(cell_is_null(&cell) && cell_must_not_pass(&cell)));
		for (size_t k = 0; k < i; k++)
			ck_assert_str_ne(cell_at(k).name, cell.name);
		if (strncmp(cell.name, "pass ", 5) == 0)
			ck_assert(cell_must_not_pass(&cell));
	}
	ck_assert_uint_eq(fine, 12);
}
END_TEST

/* Sums over many buckets against what the cell says, within five standard errors. */
START_TEST(traffic_has_its_rates)
{
	for (size_t i = 0; i < cell_count() && strncmp(cell_at(i).name, "grid", 4) != 0; i++) {
		struct cell cell = cell_at(i);
		double n_c = 0;
		double x_c = 0;
		double n_b = 0;
		double x_b = 0;
		for (uint64_t run = 0; run < 6; run++) {
			struct traffic traffic = traffic_of(&cell, 7, run);
			for (int bucket = 0; bucket < TRAFFIC_BUCKETS; bucket++) {
				struct draw draw = traffic_draw(&traffic, bucket);
				ck_assert_uint_le(draw.clusters.x_c, draw.raw.x_c);
				ck_assert_uint_le(draw.raw.x_c, draw.raw.n_c);
				ck_assert_uint_le(draw.clusters.x_b, draw.raw.x_b);
				n_c += (double)draw.raw.n_c;
				x_c += (double)draw.raw.x_c;
				n_b += (double)draw.raw.n_b;
				x_b += (double)draw.raw.x_b;
			}
		}
		bool steady = cell.shape == SHAPE_STEADY || cell.shape == SHAPE_BAD_NODE ||
			      cell.shape == SHAPE_LOSS;
		if (!steady)
			continue;
		double expected = n_c * cell.rate_c;
		ck_assert_double_lt(fabs(x_c - expected), 5 * sqrt(expected * 2) + 1);
		expected = n_b * cell.rate_b;
		ck_assert_double_lt(fabs(x_b - expected), 5 * sqrt(expected) + 1);
		double lost = cell.shape == SHAPE_LOSS ? 0.95 : 1;
		expected = 6 * 3600 * cell.rps * cell.share * lost;
		ck_assert_double_lt(fabs(n_c - expected), 5 * sqrt(expected));
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bench/rivals");
	TCase *tests = tcase_create("rivals");
	tcase_set_timeout(tests, 0);
	tcase_add_test(tests, thresholds_count_failures);
	tcase_add_test(tests, z_test_by_hand);
	tcase_add_test(tests, lindon_malek_by_an_urn);
	tcase_add_test(tests, kayenta_looks_when_it_says);
	tcase_add_test(tests, cells);
	tcase_add_test(tests, traffic_has_its_rates);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
