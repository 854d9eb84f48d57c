/* Estimates against exact counts of values made from fixed seeds, and what must be exact: equal
 * sets are equal registers and equal bytes, whatever the order. */
#include "correlate/cardinality.h"

#include <math.h>

#include "tests/correlate/fixture.h"

static void show(struct cardinality *set, uint64_t value)
{
	struct cardinality_mark mark = cardinality_mark(set->precision, value);
	if (mark.rank <= cardinality_rank(set, mark.at))
		return;
	enum status status = cardinality_raise(set, mark);
	assert(status == OK);
}

static double estimate_of(const struct cardinality *set)
{
	unsigned char *registers = calloc(UINT32_C(1) << set->precision, 1);
	assert(registers != NULL);
	cardinality_union(set, registers);
	struct cardinality_ranks ranks = cardinality_ranks(set->precision, registers);
	free(registers);
	return cardinality_estimate(set->precision, &ranks);
}

/* Different for different numbers: the product with an odd number, mixed. */
static uint64_t hash_of(uint64_t seed, uint64_t number)
{
	uint64_t x = (number + 1) * UINT64_C(0x9E3779B97F4A7C15) ^ seed;
	x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
	return x ^ x >> 31;
}

/* From nothing to half a million, over every regime of the estimator. */
START_TEST(estimates_stay_within_five_standard_errors)
{
	static const unsigned precisions[] = {CARDINALITY_PRECISION_MIN, 12, 14,
					      CARDINALITY_PRECISION_MAX};
	double squares = 0;
	size_t looks = 0;
	for (uint64_t seed = 0; seed < 12; seed++) {
		unsigned precision = precisions[seed % 4];
		double error = cardinality_error(precision);
		struct cardinality set = {.precision = (uint8_t)precision};
		ck_assert(estimate_of(&set) == 0);
		uint64_t next = 1;
		for (uint64_t n = 1; n <= 500000; n++) {
			show(&set, hash_of(seed, n));
			if (n % 7 == 0)
				show(&set, hash_of(seed, n / 2 + 1));
			if (n != next)
				continue;
			double off = (estimate_of(&set) - (double)n) / (double)n / error;
			ck_assert_msg(fabs(off) < 5, "seed %llu: %llu values, off by %.2f errors",
				      (unsigned long long)seed, (unsigned long long)n, off);
			squares += n >= 1u << precision ? off * off : 0;
			looks += n >= 1u << precision;
			next += 1 + next / 3;
		}
		cardinality_done(&set);
	}
	/* The error that is stated is the one there is. */
	ck_assert(sqrt(squares / (double)looks) > 0.6 && sqrt(squares / (double)looks) < 1.4);
}
END_TEST

START_TEST(the_order_of_values_does_not_show_in_any_bit)
{
	uint64_t random = first_seed();
	for (size_t count = 1; count < 2000; count += 1 + count / 2) {
		struct bytes first cleanup(bytes_done) = {0};
		double estimate = 0;
		for (int order = 0; order < 20; order++) {
			struct cardinality set = {.precision = CARDINALITY_PRECISION_MIN};
			struct bytes saved cleanup(bytes_done) = {0};
			for (size_t i = 0; i < 3 * count && order > 0; i++)
				show(&set, hash_of(1, below(&random, count)));
			for (size_t i = 0; i < count; i++)
				show(&set, hash_of(1, order % 2 == 0 ? i : count - 1 - i));
			cardinality_encode(&set, order == 0 ? &first : &saved);
			ck_assert(order == 0 || text_equal(bytes_text(&saved), bytes_text(&first)));
			ck_assert(order == 0 || estimate_of(&set) == estimate);
			estimate = estimate_of(&set);
			cardinality_done(&set);
		}
	}
}
END_TEST

/* The promise an eager condition rests on: over whole lives of random registers, to the top. */
START_TEST(an_estimate_never_falls)
{
	uint64_t random = first_seed();
	for (unsigned run = 0; run < 4; run++) {
		unsigned precision = CARDINALITY_PRECISION_MIN;
		uint8_t ranks[1 << CARDINALITY_PRECISION_MIN] = {0};
		uint8_t top = (uint8_t)(64 - precision + 1);
		struct cardinality_ranks counts = cardinality_ranks(precision, ranks);
		double before = 0;
		for (unsigned step = 0; step < 20000; step++) {
			size_t at = below(&random, sizeof ranks);
			size_t by = run == 0 ? 1 : 1 + below(&random, 20);
			size_t to = ranks[at] + by;
			counts.of[ranks[at]]--;
			ranks[at] = to > top ? top : (uint8_t)to;
			counts.of[ranks[at]]++;
			double now = cardinality_estimate(precision, &counts);
			assert(now >= before);
			before = now;
		}
		ck_assert(before > (run == 0 ? 1e9 : 1e15));
	}
}
END_TEST

START_TEST(bytes_are_restored_or_refused)
{
	for (size_t count = 0; count < 3000; count += 1 + count) {
		struct cardinality set = {.precision = CARDINALITY_PRECISION_MIN};
		struct bytes saved cleanup(bytes_done) = {0};
		for (size_t i = 0; i < count; i++)
			show(&set, hash_of(2, i));
		cardinality_encode(&set, &saved);
		for (size_t size = 0; size <= saved.size; size++) {
			struct cardinality back = {.precision = CARDINALITY_PRECISION_MIN};
			struct cursor from =
				cursor_of((struct text){bytes_text(&saved).data, size});
			enum status status = cardinality_decode(&from, &back);
			assert(status == (size == saved.size ? OK : ECORRUPT));
			assert(status != OK || estimate_of(&back) == estimate_of(&set));
			cardinality_done(&back);
		}
		cardinality_done(&set);
	}
}
END_TEST

START_TEST(what_no_sketch_has_is_refused)
{
	static const char *const wrong[] = {
		"\x02",                 /* no form */
		"\x00\x01\x00\x00",     /* rank 0 */
		"\x00\x01\x00\x39",     /* a rank above 64 - 9 + 1 = 56 */
		"\x00\x02\x05\x01\x00", /* the same register again */
		"\x00\x01\x80\x04",     /* register 512 of 512 */
	};
	static const size_t sizes[] = {1, 4, 4, 6, 5};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		char bytes[8] = {0};
		memcpy(bytes, wrong[i], sizes[i] < 6 ? sizes[i] : 5);
		bytes[5] = 1; /* a rank, where there is room for one */
		struct cardinality set = {.precision = CARDINALITY_PRECISION_MIN};
		struct cursor from = cursor_of((struct text){bytes, 6});
		ck_assert_int_eq(cardinality_decode(&from, &set), ECORRUPT);
		cardinality_done(&set);
	}
	ck_assert_uint_eq(cardinality_precision(0.01), 14);
	ck_assert_uint_eq(cardinality_precision(0.05), CARDINALITY_PRECISION_MIN);
	ck_assert_uint_eq(cardinality_precision(0.001), 0);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("cardinality");
	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, estimates_stay_within_five_standard_errors);
	tcase_add_test(tests, the_order_of_values_does_not_show_in_any_bit);
	tcase_add_test(tests, an_estimate_never_falls);
	tcase_add_test(tests, bytes_are_restored_or_refused);
	tcase_add_test(tests, what_no_sketch_has_is_refused);
	return run_tests("cardinality", tests);
}
