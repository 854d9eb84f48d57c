#include "rules/civil_private.h"

#include <assert.h>
#include <math.h>
#include <time.h>

enum { MICROSECONDS = 1000000, DAYS_PER_WEEK = 7 };

static bool is_leap(int64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* A year has 53 weeks when its 1 January is a Thursday, or a Wednesday of a leap year. first: the
 * weekday of 1 January, Monday = 0. */
static int64_t weeks_in_year(int first, bool leap)
{
	return first == 3 || (leap && first == 2) ? 53 : 52;
}

/* ISO 8601: week 1 holds the year's first Thursday; the days before it belong to the last week of
 * the year before. */
static int64_t iso_week(const struct tm *at)
{
	int weekday = (at->tm_wday + 6) % DAYS_PER_WEEK; /* Monday = 0 */
	int64_t year = at->tm_year + 1900;
	int first = ((weekday - at->tm_yday) % DAYS_PER_WEEK + DAYS_PER_WEEK) % DAYS_PER_WEEK;
	int64_t week = (at->tm_yday - weekday + 10) / DAYS_PER_WEEK;
	if (week < 1) {
		bool leap = is_leap(year - 1);
		return weeks_in_year((first + DAYS_PER_WEEK - (leap ? 2 : 1)) % DAYS_PER_WEEK,
				     leap);
	}
	return week > weeks_in_year(first, is_leap(year)) ? 1 : week;
}

int64_t civil_part(int64_t time_us, enum time_part part)
{
	time_t seconds = time_us / MICROSECONDS - (time_us % MICROSECONDS < 0);
	struct tm at = {0};
	struct tm *converted = gmtime_r(&seconds, &at);
	assert(converted != NULL); /* int64 microseconds are well within time_t */
	switch (part) {
	case PART_MINUTE:
		return at.tm_min;
	case PART_HOUR:
		return at.tm_hour;
	case PART_DAY:
		return at.tm_mday;
	case PART_WEEK:
		return iso_week(converted);
	case PART_MONTH:
		return at.tm_mon + 1;
	case PART_YEAR:
		return at.tm_year + 1900;
	}
	assert(false && "a time part of no kind");
}

bool civil_from_epoch(double number, int64_t *ret_time_us)
{
	double size = fabs(number);
	double scale = size < 1e11 ? 1e6 : size < 1e14 ? 1e3 : size < 1e17 ? 1 : 1e-3;
	if (!(size * scale < 9e18))
		return false;
	*ret_time_us = (int64_t)floor(number * scale);
	return true;
}
