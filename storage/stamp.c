/* Times as texts of one form, "2026-11-21T22:31:40.123Z": the form that nearly all loggers write.
 * The date is printed once a day and compared after that; the rest is digits. */
#include "storage/columnar_private.h"

enum {
	DATE_BYTES = 10,
	CLOCK_AT = DATE_BYTES + 1, /* behind the T */
	FRACTION_AT = CLOCK_AT + 9,
	SHORTEST = CLOCK_AT + 8 + 1,
};

static const int64_t day_us = 86400000000;

/* The date of a day in the cache; false outside the years 0 to 9999. */
static bool date_set(struct stamp_cache *cache, int64_t day)
{
	enum { FIRST_DAY = -719528, LAST_DAY = 2932896 }; /* 0000-01-01, 9999-12-31 */
	char buffer[32];
	if (cache->known && cache->day == day)
		return true;
	if (day < FIRST_DAY || day > LAST_DAY)
		return false;
	struct text text = time_print(day * day_us, buffer);
	if (text.size < DATE_BYTES)
		return false;
	memcpy(cache->date, text.data, DATE_BYTES);
	cache->day = day;
	cache->known = true;
	return true;
}

/* The number of `count` digits; -1 when they are none. */
static int64_t digits_read(const char *at, size_t count)
{
	int64_t number = 0;
	for (size_t i = 0; i < count; i++) {
		if (at[i] < '0' || at[i] > '9')
			return -1;
		number = number * 10 + (at[i] - '0');
	}
	return number;
}

bool stamp_read(struct stamp_cache *cache, struct text t, int64_t *ret_time_us,
		unsigned *ret_digits)
{
	if (t.size < SHORTEST || t.size > FRACTION_AT + STAMP_DIGITS_MAX + 1 ||
	    t.data[t.size - 1] != 'Z' || t.data[DATE_BYTES] != 'T' || t.data[CLOCK_AT + 2] != ':' ||
	    t.data[CLOCK_AT + 5] != ':')
		return false;
	unsigned digits = 0;
	if (t.size > SHORTEST) {
		if (t.data[FRACTION_AT - 1] != '.' || t.size == SHORTEST + 1)
			return false;
		digits = (unsigned)(t.size - SHORTEST - 1);
	}
	int64_t hour = digits_read(t.data + CLOCK_AT, 2);
	int64_t minute = digits_read(t.data + CLOCK_AT + 3, 2);
	int64_t second = digits_read(t.data + CLOCK_AT + 6, 2);
	int64_t fraction = digits == 0 ? 0 : digits_read(t.data + FRACTION_AT, digits);
	if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 ||
	    fraction < 0)
		return false;
	if (!cache->known || memcmp(cache->date, t.data, DATE_BYTES) != 0) {
		int64_t time_us = 0;
		char date[] = "0000-00-00T00:00:00Z";
		memcpy(date, t.data, DATE_BYTES);
		if (!time_parse(text_of(date), &time_us) ||
		    !date_set(cache, day_of_time(time_us)) ||
		    memcmp(cache->date, t.data, DATE_BYTES) != 0)
			return false;
	}
	for (unsigned i = digits; i < STAMP_DIGITS_MAX; i++)
		fraction *= 10;
	*ret_time_us =
		cache->day * day_us + ((hour * 60 + minute) * 60 + second) * 1000000 + fraction;
	*ret_digits = digits;
	return true;
}

static char *digits_write(char *to, int64_t number, unsigned count)
{
	for (unsigned i = count; i-- > 0; number /= 10)
		to[i] = (char)('0' + number % 10);
	return to + count;
}

size_t stamp_write(struct stamp_cache *cache, int64_t time_us, unsigned digits,
		   char to[static STAMP_TEXT_MAX])
{
	int64_t day = day_of_time(time_us);
	if (digits > STAMP_DIGITS_MAX || !date_set(cache, day))
		return 0;
	int64_t rest = time_us - day * day_us;
	int64_t fraction = rest % 1000000;
	int64_t seconds = rest / 1000000;
	memcpy(to, cache->date, DATE_BYTES);
	char *at = to + DATE_BYTES;
	*at++ = 'T';
	at = digits_write(at, seconds / 3600, 2);
	*at++ = ':';
	at = digits_write(at, seconds / 60 % 60, 2);
	*at++ = ':';
	at = digits_write(at, seconds % 60, 2);
	if (digits > 0) {
		*at++ = '.';
		for (unsigned i = digits; i < STAMP_DIGITS_MAX; i++)
			fraction /= 10;
		at = digits_write(at, fraction, digits);
	}
	*at++ = 'Z';
	return (size_t)(at - to);
}
