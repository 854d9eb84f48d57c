/* Times as text. The calendar is Howard Hinnant's civil-days algorithm
 * (howardhinnant.github.io/date_algorithms.html), proleptic Gregorian, no time zone database. */
#include <assert.h>
#include <stdio.h>

#include "rules/event.h"

enum { SECONDS_PER_DAY = 86400, DAYS_PER_ERA = 146097 };

static int64_t days_from_civil(int64_t year, unsigned month, unsigned day)
{
	year -= month <= 2;
	int64_t era = (year >= 0 ? year : year - 399) / 400;
	unsigned year_of_era = (unsigned)(year - era * 400);
	unsigned day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
	unsigned day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
	return era * DAYS_PER_ERA + (int64_t)day_of_era - 719468;
}

static void civil_from_days(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day)
{
	days += 719468;
	int64_t era = (days >= 0 ? days : days - DAYS_PER_ERA + 1) / DAYS_PER_ERA;
	unsigned day_of_era = (unsigned)(days - era * DAYS_PER_ERA);
	unsigned year_of_era =
		(day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	unsigned day_of_year =
		day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	unsigned shifted = (5 * day_of_year + 2) / 153;
	*ret_day = day_of_year - (153 * shifted + 2) / 5 + 1;
	*ret_month = shifted < 10 ? shifted + 3 : shifted - 9;
	*ret_year = (int64_t)year_of_era + era * 400 + (*ret_month <= 2);
}

/* `count` digits at `to`; returns what is behind them. */
static char *put_digits(char *to, unsigned number, size_t count)
{
	for (size_t i = count; i-- > 0; number /= 10)
		to[i] = (char)('0' + number % 10);
	return to + count;
}

/* By hand where it can be: printf takes half a microsecond, and every OpenTelemetry record needs a
 * time. */
static char *put_date(char *to, int64_t year, unsigned month, unsigned day)
{
	if (year < 0 || year > 9999)
		return to + snprintf(to, 16, "%04lld-%02u-%02u", (long long)year, month, day);
	to = put_digits(to, (unsigned)year, 4);
	*to++ = '-';
	to = put_digits(to, month, 2);
	*to++ = '-';
	return put_digits(to, day, 2);
}

struct text time_print(int64_t time_us, char buffer[static 32])
{
	int64_t seconds = time_us / 1000000;
	int64_t micros = time_us % 1000000;
	if (micros < 0) {
		micros += 1000000;
		seconds--;
	}
	int64_t days = seconds / SECONDS_PER_DAY;
	int64_t in_day = seconds % SECONDS_PER_DAY;
	if (in_day < 0) {
		in_day += SECONDS_PER_DAY;
		days--;
	}
	int64_t year = 0;
	unsigned month = 0;
	unsigned day = 0;
	civil_from_days(days, &year, &month, &day);
	char *end = put_date(buffer, year, month, day);
	*end++ = 'T';
	end = put_digits(end, (unsigned)(in_day / 3600), 2);
	*end++ = ':';
	end = put_digits(end, (unsigned)(in_day / 60 % 60), 2);
	*end++ = ':';
	end = put_digits(end, (unsigned)(in_day % 60), 2);
	assert(end - buffer < 24);
	if (micros != 0) {
		*end++ = '.';
		end = put_digits(end, (unsigned)micros, 6);
		while (end[-1] == '0')
			end--;
	}
	*end++ = 'Z';
	*end = '\0';
	return (struct text){buffer, (size_t)(end - buffer)};
}

/* Exactly count digits at t[at]; false otherwise. */
static bool digits(struct text t, size_t at, size_t count, unsigned *ret_number)
{
	if (t.size < at + count)
		return false;
	unsigned number = 0;
	for (size_t i = at; i < at + count; i++) {
		if (t.data[i] < '0' || t.data[i] > '9')
			return false;
		number = number * 10 + (unsigned)(t.data[i] - '0');
	}
	*ret_number = number;
	return true;
}

static bool parse_date(struct text t, int64_t *ret_days)
{
	static const unsigned char month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	unsigned year = 0;
	unsigned month = 0;
	unsigned day = 0;
	if (!digits(t, 0, 4, &year) || !digits(t, 5, 2, &month) || !digits(t, 8, 2, &day) ||
	    t.data[4] != '-' || t.data[7] != '-')
		return false;
	if (month < 1 || month > 12 || day < 1 || day > month_days[month - 1])
		return false;
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	if (month == 2 && day == 29 && !leap)
		return false;
	*ret_days = days_from_civil(year, month, day);
	return true;
}

/* The fraction of a second at *at ('.' or ','), in microseconds; moves *at behind it. */
static bool parse_fraction(struct text t, size_t *at, unsigned *ret_micros)
{
	unsigned micros = 0;
	if (*at < t.size && (t.data[*at] == '.' || t.data[*at] == ',')) {
		unsigned scale = 100000;
		size_t start = ++*at;
		while (*at < t.size && t.data[*at] >= '0' && t.data[*at] <= '9') {
			micros += (unsigned)(t.data[(*at)++] - '0') * scale;
			scale /= 10;
		}
		if (*at == start)
			return false;
	}
	*ret_micros = micros;
	return true;
}

/* Z, +hh:mm, +hhmm, +hh or nothing, up to the end of t. */
static bool parse_zone(struct text t, size_t at, int64_t *ret_offset_seconds)
{
	if (at == t.size || (at + 1 == t.size && (t.data[at] == 'Z' || t.data[at] == 'z'))) {
		*ret_offset_seconds = 0;
		return true;
	}
	if (t.data[at] != '+' && t.data[at] != '-')
		return false;
	unsigned hours = 0;
	unsigned minutes = 0;
	size_t next = at + 3;
	if (!digits(t, at + 1, 2, &hours))
		return false;
	bool colon = next < t.size && t.data[next] == ':';
	next += colon;
	if (colon || next < t.size) {
		if (!digits(t, next, 2, &minutes))
			return false;
		next += 2;
	}
	if (next != t.size || hours > 23 || minutes > 59)
		return false;
	int64_t offset = (int64_t)hours * 3600 + (int64_t)minutes * 60;
	*ret_offset_seconds = t.data[at] == '-' ? -offset : offset;
	return true;
}

bool time_parse(struct text t, int64_t *ret_time_us)
{
	int64_t days = 0;
	unsigned hour = 0;
	unsigned minute = 0;
	unsigned second = 0;
	unsigned micros = 0;
	int64_t zone = 0;
	if (t.size < 19 || !parse_date(t, &days))
		return false;
	if ((t.data[10] != 'T' && t.data[10] != 't' && t.data[10] != ' ') || t.data[13] != ':' ||
	    t.data[16] != ':')
		return false;
	if (!digits(t, 11, 2, &hour) || !digits(t, 14, 2, &minute) || !digits(t, 17, 2, &second) ||
	    hour > 23 || minute > 59 || second > 60)
		return false;
	size_t at = 19;
	if (!parse_fraction(t, &at, &micros) || !parse_zone(t, at, &zone))
		return false;
	int64_t seconds = days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second - zone;
	*ret_time_us = seconds * 1000000 + micros;
	return true;
}
