#include <time.h>

#include "rules/event.h"
#include "tests/rules/suite.h"

START_TEST(parsed)
{
	static const struct {
		const char *text;
		int64_t time_us;
	} cases[] = {
		{"1970-01-01T00:00:00Z", 0},
		{"2026-11-21T22:31:40Z", 1795300300000000},
		{"2026-11-21 22:31:40", 1795300300000000},
		{"2026-11-21t22:31:40z", 1795300300000000},
		{"2026-11-21T22:31:40.5Z", 1795300300500000},
		{"2026-11-21T22:31:40,000001Z", 1795300300000001},
		{"2026-11-21T22:31:40.123456789Z", 1795300300123456},
		{"2026-11-22T00:31:40+02:00", 1795300300000000},
		{"2026-11-22T00:31:40+0200", 1795300300000000},
		{"2026-11-22T00:31:40+02", 1795300300000000},
		{"2026-11-21T13:31:40-09:00", 1795300300000000},
		{"2024-02-29T00:00:00Z", 1709164800000000},
		{"2016-12-31T23:59:60Z", 1483228800000000}, /* a leap second is the next second */
		{"1969-12-31T23:59:59.999999Z", -1},
		{"0000-03-01T00:00:00Z", -62162035200000000},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int64_t time_us = 0;
		ck_assert_msg(time_parse(text_of(cases[i].text), &time_us), "%s", cases[i].text);
		ck_assert_msg(time_us == cases[i].time_us, "%s: %lld", cases[i].text,
			      (long long)time_us);
	}
}
END_TEST

START_TEST(refused)
{
	static const char *const bad[] = {
		"",
		"now",
		"2026-11-21",
		"2026-11-21T22:31",
		"2026-13-01T00:00:00Z",
		"2026-00-01T00:00:00Z",
		"2026-11-31T00:00:00Z",
		"2026-02-29T00:00:00Z",
		"1900-02-29T00:00:00Z",
		"2026-11-21T24:00:00Z",
		"2026-11-21T22:60:40Z",
		"2026-11-21T22:31:61Z",
		"2026-11-21T22:31:40.Z",
		"2026-11-21T22:31:40X",
		"2026-11-21T22:31:40+",
		"2026-11-21T22:31:40+2",
		"2026-11-21T22:31:40+02:",
		"2026-11-21T22:31:40+02:0",
		"2026-11-21T22:31:40+24:00",
		"2026-11-21T22:31:40+02:60",
		"2026-11-21T22:31:40+02:00x",
		"2026-11-21T22:31:40Z ",
		" 2026-11-21T22:31:40Z",
		"2026-11-21T22:31:40ZZ",
		"+026-11-21T22:31:40Z",
		"2026/11/21T22:31:40Z",
		"2026-11-21T22-31-40Z",
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		int64_t time_us = 77;
		ck_assert_msg(!time_parse(text_of(bad[i]), &time_us), "%s", bad[i]);
		ck_assert_int_eq(time_us, 77); /* written on success only */
	}
	int64_t time_us = 0;
	ck_assert(!time_parse(TEXT("2026-11-21T22:31:40Z\0"), &time_us));
}
END_TEST

START_TEST(printed)
{
	char buffer[32];
	ck_assert(text_equal(time_print(1795300300000000, buffer), TEXT("2026-11-21T22:31:40Z")));
	ck_assert(text_equal(time_print(1795300300500000, buffer), TEXT("2026-11-21T22:31:40.5Z")));
	ck_assert(text_equal(time_print(-1, buffer), TEXT("1969-12-31T23:59:59.999999Z")));
	ck_assert_uint_lt(time_print(INT64_MAX, buffer).size, sizeof buffer);
	ck_assert_uint_lt(time_print(INT64_MIN, buffer).size, sizeof buffer);
}
END_TEST

/* Every day of 800 years, against the C library, and there and back. */
START_TEST(the_calendar_agrees_with_the_c_library)
{
	size_t wrong = 0;
	for (int64_t day = -146097; day < 146097; day++) {
		int64_t time_us = (day * 86400 + 3661) * 1000000 + 7;
		time_t seconds = day * 86400 + 3661;
		struct tm tm = {0};
		char expected[64];
		char buffer[32];
		(void)gmtime_r(&seconds, &tm);
		size_t size = strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%S.000007Z", &tm);
		struct text shown = time_print(time_us, buffer);
		int64_t back = 0;
		wrong += !text_equal(shown, (struct text){expected, size}) ||
			 !time_parse(shown, &back) || back != time_us;
	}
	ck_assert_uint_eq(wrong, 0);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_test(tcase, parsed);
	tcase_add_test(tcase, refused);
	tcase_add_test(tcase, printed);
	tcase_add_test(tcase, the_calendar_agrees_with_the_c_library);
}

int main(void)
{
	return run_suite("time", fill);
}
