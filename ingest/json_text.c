/* The words of JSON (RFC 8259): numbers and string escapes.
 *
 * number = [ - ] ( 0 | digit1-9 *digit ) [ . 1*digit ] [ (e|E) [+|-] 1*digit ]
 * escape = \ ( " | \ | / | b | f | n | r | t | uXXXX ); a code point above U+FFFF is written as
 * \uD800-\uDBFF followed by \uDC00-\uDFFF, and half of such a pair is not text: it has no UTF-8, so
 * it is refused rather than replaced (a replaced byte would make two tenants look alike). */
#include <assert.h>

#include "ingest/json.h"

static size_t digits_from(struct text t, size_t at)
{
	while (at < t.size && t.data[at] >= '0' && t.data[at] <= '9')
		at++;
	return at;
}

bool json_number_valid(struct text token, bool *ret_integer)
{
	size_t at = token.size > 0 && token.data[0] == '-' ? 1 : 0;
	size_t end = digits_from(token, at);
	if (end == at || (token.data[at] == '0' && end > at + 1))
		return false;
	bool integer = end == token.size;
	if (end < token.size && token.data[end] == '.') {
		at = end + 1;
		end = digits_from(token, at);
		if (end == at)
			return false;
	}
	if (end < token.size && (token.data[end] == 'e' || token.data[end] == 'E')) {
		at = end + 1;
		if (at < token.size && (token.data[at] == '+' || token.data[at] == '-'))
			at++;
		end = digits_from(token, at);
		if (end == at)
			return false;
	}
	if (end != token.size)
		return false;
	*ret_integer = integer;
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The four hexadecimal digits at t[at]; -1 when they are not there. */
static int hex_four(struct text t, size_t at)
{
	if (t.size < at + 4)
		return -1;
	int unit = 0;
	for (size_t i = at; i < at + 4; i++) {
		int digit = hex_digit(t.data[i]);
		if (digit < 0)
			return -1;
		unit = unit * 16 + digit;
	}
	return unit;
}

static size_t utf8_put(unsigned code, char *to)
{
	assert(code <= 0x10ffff && (code < 0xd800 || code > 0xdfff));
	if (code < 0x80) {
		to[0] = (char)code;
		return 1;
	}
	size_t size = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	for (size_t i = size - 1; i > 0; i--) {
		to[i] = (char)(0x80 | (code & 0x3f));
		code >>= 6;
	}
	static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
	to[0] = (char)(lead[size] | code);
	return size;
}

/* \uXXXX at t[*at] (behind the u): moves *at behind it and its second half. */
static bool unicode_escape(struct text t, size_t *at, char *to, size_t *ret_size)
{
	int unit = hex_four(t, *at);
	if (unit < 0)
		return false;
	*at += 4;
	unsigned code = (unsigned)unit;
	if (code >= 0xd800 && code <= 0xdfff) {
		bool pair = code < 0xdc00 && t.size >= *at + 6 && t.data[*at] == '\\' &&
			    t.data[*at + 1] == 'u';
		int low = pair ? hex_four(t, *at + 2) : -1;
		if (low < 0xdc00 || low > 0xdfff)
			return false;
		code = 0x10000 + ((code - 0xd800) << 10) + ((unsigned)low - 0xdc00);
		*at += 6;
	}
	*ret_size = utf8_put(code, to);
	return true;
}

enum json_result json_unescape(struct text escaped, char *to, size_t *ret_size)
{
	static const char from[] = "\"\\/bfnrt";
	static const char plain[] = "\"\\/\b\f\n\r\t";
	size_t size = 0;
	size_t at = 0;
	while (at < escaped.size) {
		const char *slash = memchr(escaped.data + at, '\\', escaped.size - at);
		size_t run =
			slash == NULL ? escaped.size - at : (size_t)(slash - escaped.data) - at;
		memcpy(to + size, escaped.data + at, run);
		size += run;
		at += run;
		if (slash == NULL)
			break;
		if (at + 1 >= escaped.size)
			return JSON_BROKEN;
		char kind = escaped.data[at + 1];
		at += 2;
		const char *found = kind == '\0' ? NULL : strchr(from, kind);
		size_t written = 1;
		if (found != NULL)
			to[size] = plain[found - from];
		else if (kind != 'u' || !unicode_escape(escaped, &at, to + size, &written))
			return JSON_BROKEN;
		size += written;
	}
	*ret_size = size;
	return JSON_OK;
}
