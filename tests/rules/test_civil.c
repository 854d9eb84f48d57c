/* The calendar at its edges; expected values are from the calendar, not from the code. */
#include <math.h>

#include "rules/civil_private.h"
#include "rules/event.h"
#include "tests/rules/suite.h"

static int64_t part(const char *time, enum time_part which)
{
	int64_t time_us = 0;
	ck_assert_msg(time_parse(text_of(time), &time_us), "%s", time);
	return civil_part(time_us, which);
}

START_TEST(parts_of_one_moment)
{
	static const char time[] = "2026-11-22T23:59:58.5Z";
	ck_assert_int_eq(part(time, PART_MINUTE), 59);
	ck_assert_int_eq(part(time, PART_HOUR), 23);
	ck_assert_int_eq(part(time, PART_DAY), 22);
	ck_assert_int_eq(part(time, PART_WEEK), 47);
	ck_assert_int_eq(part(time, PART_MONTH), 11);
	ck_assert_int_eq(part(time, PART_YEAR), 2026);
	ck_assert_int_eq(part("2026-11-23T01:00:00+02:00", PART_DAY), 22);
}
END_TEST

START_TEST(leap_days_and_iso_weeks)
{
	ck_assert_int_eq(part("2000-02-29T00:00:00Z", PART_DAY), 29);
	ck_assert_int_eq(part("2024-03-01T00:00:00Z", PART_MONTH), 3);
	ck_assert_int_eq(part("1969-12-31T23:59:59Z", PART_YEAR), 1969);
	ck_assert_int_eq(part("1969-12-31T23:59:59Z", PART_HOUR), 23);
	ck_assert_int_eq(part("2021-01-03T12:00:00Z", PART_WEEK), 53); /* of 2020 */
	ck_assert_int_eq(part("2021-01-04T00:00:00Z", PART_WEEK), 1);
	ck_assert_int_eq(part("2024-12-30T00:00:00Z", PART_WEEK), 1); /* of 2025 */
	ck_assert_int_eq(part("2026-12-31T00:00:00Z", PART_WEEK), 53);
	ck_assert_int_eq(part("2023-01-01T00:00:00Z", PART_WEEK), 52); /* of 2022 */
}
END_TEST

START_TEST(numbers_tell_their_unit_by_size)
{
	static const double scales[] = {1, 1e3, 1e6, 1e9};
	for (size_t i = 0; i < 4; i++) {
		int64_t time_us = 0;
		ck_assert(civil_from_epoch(1795305600.0 * scales[i], &time_us));
		ck_assert_int_eq(time_us, 1795305600000000);
	}
	int64_t time_us = 0;
	ck_assert(civil_from_epoch(-1.5, &time_us));
	ck_assert_int_eq(time_us, -1500000);
	ck_assert(!civil_from_epoch(1e30, &time_us));
	ck_assert(!civil_from_epoch(-1e30, &time_us));
	ck_assert(!civil_from_epoch(NAN, &time_us));
	ck_assert(!civil_from_epoch(INFINITY, &time_us));
	ck_assert_int_eq(time_us, -1500000);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_test(tcase, parts_of_one_moment);
	tcase_add_test(tcase, leap_days_and_iso_weeks);
	tcase_add_test(tcase, numbers_tell_their_unit_by_size);
}

int main(void)
{
	return run_suite("civil", fill);
}
