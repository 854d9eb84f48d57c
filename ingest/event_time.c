/* A time in the forms in which loggers write it.
 *
 * Text is RFC 3339 (rules/time.c), "22/Nov/2026:01:00:01 +0100" of web servers (the Common Log
 * Format), or a number in quotes. A bare number is an epoch whose unit its
 * magnitude tells: below 1e11 seconds (to the year 5138), below 1e14 milliseconds (from 1973),
 * below 1e17 microseconds, else nanoseconds. Fractions are kept to a microsecond: a double has
 * sixteen digits, and seconds of this century with six behind the point need sixteen. Years from
 * 1 to 9999 are times; anything else is not. */
#include <math.h>

#include "ingest/format_private.h"

#define TIME_MIN_US (-62135596800000000) /* 0001-01-01 */
#define TIME_MAX_US 253402300799999999   /* 9999-12-31 */

static bool in_range(int64_t time_us, int64_t *ret_time_us)
{
	if (time_us < TIME_MIN_US || time_us > TIME_MAX_US)
		return false;
	*ret_time_us = time_us;
	return true;
}

static bool time_of_real(double number, int64_t *ret_time_us)
{
	double size = fabs(number);
	double scale = size < 1e11 ? 1e6 : size < 1e14 ? 1e3 : size < 1e17 ? 1 : 1e-3;
	double micros = number * scale;
	return fabs(micros) < 1e18 && in_range(llround(micros), ret_time_us);
}

static bool time_of_integer(int64_t number, int64_t *ret_time_us)
{
	static const int64_t seconds_end = 100000000000;
	bool negative = number < 0;
	/* -INT64_MIN is none: its magnitude is taken as unsigned. */
	uint64_t size = negative ? 0 - (uint64_t)number : (uint64_t)number;
	uint64_t micros = size / 1000;
	if (size < (uint64_t)seconds_end)
		micros = size * 1000000;
	else if (size < (uint64_t)seconds_end * 1000)
		micros = size * 1000;
	else if (size < (uint64_t)seconds_end * 1000000)
		micros = size;
	return in_range(negative ? -(int64_t)micros : (int64_t)micros, ret_time_us);
}

/* "1675078743269" or "1675078743.269": digits and at most one point. */
static bool time_of_digits(struct text t, int64_t *ret_time_us)
{
	int64_t whole = 0;
	size_t at = 0;
	for (; at < t.size && t.data[at] >= '0' && t.data[at] <= '9'; at++)
		if (__builtin_mul_overflow(whole, 10, &whole) ||
		    __builtin_add_overflow(whole, t.data[at] - '0', &whole))
			return false;
	if (at == 0)
		return false;
	if (at == t.size)
		return time_of_integer(whole, ret_time_us);
	if (t.data[at] != '.' || at + 1 == t.size || t.size - at > 10)
		return false;
	double scale = 1;
	double fraction = 0;
	for (at++; at < t.size; at++) {
		if (t.data[at] < '0' || t.data[at] > '9')
			return false;
		scale /= 10;
		fraction += scale * (t.data[at] - '0');
	}
	return time_of_real((double)whole + fraction, ret_time_us);
}

/* Day/Mon/year:hh:mm:ss zone, rewritten as RFC 3339. */
static bool time_of_web_server(struct text t, int64_t *ret_time_us)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	char as[26] = "yyyy-mm-ddThh:mm:ss+zz:zz";
	const char *d = t.data;
	if (t.size != 26 || d[2] != '/' || d[6] != '/' || d[11] != ':' || d[20] != ' ')
		return false;
	const char *month = memmem(months, sizeof months - 1, d + 3, 3);
	if (month == NULL || (month - months) % 3 != 0)
		return false;
	unsigned number = (unsigned)(month - months) / 3 + 1;
	memcpy(as, d + 7, 4);
	as[5] = (char)('0' + number / 10);
	as[6] = (char)('0' + number % 10);
	memcpy(as + 8, d, 2);
	memcpy(as + 11, d + 12, 8);
	memcpy(as + 19, d + 21, 3);
	memcpy(as + 23, d + 24, 2);
	return time_parse((struct text){as, 25}, ret_time_us);
}

bool time_of_value(const struct value *value, int64_t *ret_time_us)
{
	switch (value->type) {
	case VALUE_STRING:
		return time_parse(value->text, ret_time_us) ||
		       time_of_web_server(value->text, ret_time_us) ||
		       time_of_digits(value->text, ret_time_us);
	case VALUE_INTEGER:
		return time_of_integer(value->integer, ret_time_us);
	case VALUE_REAL:
		return time_of_real(value->real, ret_time_us);
	case VALUE_NULL:
	case VALUE_BOOLEAN:
	case VALUE_EMPTY:
		break;
	}
	return false;
}
