#include "rules/number.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

static size_t digits_end(struct text t, size_t at)
{
	while (at < t.size && t.data[at] >= '0' && t.data[at] <= '9')
		at++;
	return at;
}

/* JSON's grammar: [+-] digits [. digits] [e [+-] digits]; true in *ret_whole without . and e. */
static bool is_number(struct text t, bool *ret_whole)
{
	size_t at = t.size > 0 && (t.data[0] == '-' || t.data[0] == '+');
	size_t end = digits_end(t, at);
	*ret_whole = true;
	if (end == at)
		return false;
	if (end < t.size && t.data[end] == '.') {
		at = end + 1;
		end = digits_end(t, at);
		*ret_whole = false;
		if (end == at)
			return false;
	}
	if (end < t.size && (t.data[end] | 0x20) == 'e') {
		at = end + 1;
		if (at < t.size && (t.data[at] == '-' || t.data[at] == '+'))
			at++;
		end = digits_end(t, at);
		*ret_whole = false;
		if (end == at)
			return false;
	}
	return end == t.size;
}

/* A real that is a whole number within int64 is that integer, exactly. */
static struct number number_of_real(double real)
{
	struct number number = {.real = real};
	if (real >= -0x1p63 && real < 0x1p63 && real == trunc(real)) {
		number.integer = (int64_t)real;
		number.is_integer = true;
	}
	return number;
}

bool number_parse(struct text t, struct number *ret_number)
{
	bool whole = false;
	if (t.size == 0 || t.size >= NUMBER_TEXT_MAX || !is_number(t, &whole))
		return false;
	char buffer[NUMBER_TEXT_MAX];
	memcpy(buffer, t.data, t.size);
	buffer[t.size] = '\0';
	if (whole) {
		errno = 0;
		int64_t integer = strtoll(buffer, NULL, 10);
		if (errno == 0) {
			*ret_number = (struct number){(double)integer, integer, true};
			return true;
		}
	}
	*ret_number = number_of_real(strtod(buffer, NULL));
	return true;
}

bool number_of_value(const struct value *value, struct number *ret_number)
{
	switch (value->type) {
	case VALUE_INTEGER:
		*ret_number = (struct number){(double)value->integer, value->integer, true};
		return true;
	case VALUE_REAL:
		*ret_number = number_of_real(value->real);
		return true;
	case VALUE_STRING:
		return number_parse(value->text, ret_number);
	default:
		return false;
	}
}

/* Integer against a real that is no int64: by size first, then by the whole part. */
static int compare_mixed(int64_t integer, double real)
{
	if (real >= 0x1p63)
		return -1;
	if (real < -0x1p63)
		return 1;
	double whole = floor(real);
	int64_t floored = (int64_t)whole;
	if (integer != floored)
		return integer < floored ? -1 : 1;
	return real > whole ? -1 : 0;
}

int number_compare(const struct number *a, const struct number *b)
{
	assert(!isnan(a->real) && !isnan(b->real));
	if (a->is_integer && b->is_integer)
		return (a->integer > b->integer) - (a->integer < b->integer);
	if (a->is_integer)
		return compare_mixed(a->integer, b->real);
	if (b->is_integer)
		return -compare_mixed(b->integer, a->real);
	return (a->real > b->real) - (a->real < b->real);
}

bool number_holds(const struct number *a, enum comparison how, const struct number *b)
{
	int order = number_compare(a, b);
	switch (how) {
	case COMPARE_GT:
		return order > 0;
	case COMPARE_GTE:
		return order >= 0;
	case COMPARE_LT:
		return order < 0;
	case COMPARE_LTE:
		return order <= 0;
	case COMPARE_EQ:
		return order == 0;
	case COMPARE_NEQ:
		return order != 0;
	}
	assert(false && "a comparison of no kind");
}

uint64_t number_hash(const struct number *number)
{
	if (number->is_integer)
		return XXH3_64bits(&number->integer, sizeof number->integer);
	return XXH3_64bits(&number->real, sizeof number->real);
}

struct text number_print(double real, char buffer[static NUMBER_PRINT_MAX])
{
	struct number number = number_of_real(real);
	int size = 0;
	if (number.is_integer) {
		size = snprintf(buffer, NUMBER_PRINT_MAX, "%lld", (long long)number.integer);
		return (struct text){buffer, (size_t)size};
	}
	for (int digits = 15; digits <= 17; digits++) {
		size = snprintf(buffer, NUMBER_PRINT_MAX, "%.*g", digits, real);
		if (strtod(buffer, NULL) == real)
			break;
	}
	assert(size > 0 && size < NUMBER_PRINT_MAX);
	return (struct text){buffer, (size_t)size};
}

struct text number_print_integer(int64_t integer, char buffer[static NUMBER_PRINT_MAX])
{
	uint64_t left = integer < 0 ? 0 - (uint64_t)integer : (uint64_t)integer;
	size_t at = NUMBER_PRINT_MAX;
	do
		buffer[--at] = (char)('0' + left % 10);
	while ((left /= 10) > 0);
	if (integer < 0)
		buffer[--at] = '-';
	return (struct text){buffer + at, NUMBER_PRINT_MAX - at};
}
