#include "storage/digits_private.h"

#include <assert.h>

enum { INTEGER_DIGITS_MAX = 19 };

size_t integer_print(int64_t value, char to[static INTEGER_PRINT_BYTES])
{
	char digits[INTEGER_PRINT_BYTES];
	uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
	size_t count = 0;
	do {
		digits[count++] = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest > 0);
	size_t size = 0;
	if (value < 0)
		to[size++] = '-';
	while (count > 0)
		to[size++] = digits[--count];
	return size;
}

bool integer_is_plain(const struct value *value)
{
	struct text t = value->text;
	bool negative = t.size > 0 && t.data[0] == '-';
	size_t first = negative;
	if (t.size == first || t.size - first > INTEGER_DIGITS_MAX)
		return false;
	if (t.data[first] == '0')
		return t.size == 1 && value->integer == 0;
	uint64_t sum = 0; /* of at most 19 digits: below 2^64 */
	for (size_t i = first; i < t.size; i++) {
		unsigned digit = (unsigned)(t.data[i] - '0');
		if (digit > 9)
			return false;
		sum = sum * 10 + digit;
	}
	uint64_t magnitude = (uint64_t)value->integer;
	return negative == (value->integer < 0) && sum == (negative ? 0 - magnitude : magnitude);
}

/* The value of a lower-case hexadecimal digit plus one; 0 for any other byte. */
static const unsigned char digit_values[256] = {
	['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,
	['6'] = 7,  ['7'] = 8,  ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12,
	['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
};

bool hex_pack(struct text t, unsigned char *to)
{
	assert(t.size % 2 == 0);
	for (size_t i = 0; i < t.size; i += 2) {
		unsigned high = digit_values[(unsigned char)t.data[i]];
		unsigned low = digit_values[(unsigned char)t.data[i + 1]];
		if (high == 0 || low == 0)
			return false;
		*to++ = (unsigned char)((high - 1) << 4 | (low - 1));
	}
	return true;
}

char *hex_unpack(struct text packed, char *to)
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < packed.size; i++) {
		unsigned char byte = (unsigned char)packed.data[i];
		*to++ = digits[byte >> 4];
		*to++ = digits[byte & 15];
	}
	return to;
}
