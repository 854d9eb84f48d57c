/* Input: a byte of flags, a Sigma string up to the first 0xfe, the value behind it. Three oracles
 * that share nothing with pattern.c and glob.c: a printer (what was read is printed and read back
 * as the same tokens), a matcher that walks the written string itself, escapes and all, and a
 * decoder of Base64, which must find in each spelling the bytes that were put in. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "rules/fold.h"
#include "rules/glob.h"
#include "rules/pattern_private.h"

enum { PATTERN_BYTES_MAX = 60, VALUE_BYTES_MAX = 60, PRINTED_MAX = PATTERN_BYTES_MAX * 2 + 1 };
enum { FLAG_CASED = 1, FLAG_EXPAND = 2 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every sign that could mean something gets its backslash. */
static struct text printed(const struct pattern *pattern, bool expand, char to[static PRINTED_MAX])
{
	size_t used = 0;
	for (size_t i = 0; i < pattern->count; i++) {
		struct text literal = pattern->tokens[i].literal;
		if (pattern->tokens[i].kind != TOKEN_LITERAL)
			to[used++] = pattern->tokens[i].kind == TOKEN_RUN ? '*' : '?';
		for (size_t k = 0; k < literal.size; k++) {
			char c = literal.data[k];
			if (c == '*' || c == '?' || c == '\\' || (expand && c == '%'))
				to[used++] = '\\';
			to[used++] = c;
		}
	}
	return (struct text){to, used};
}

static void check_tokens(const struct pattern *pattern)
{
	for (size_t i = 0; i < pattern->count; i++) {
		enum token_kind kind = pattern->tokens[i].kind;
		assert(kind == TOKEN_LITERAL || pattern->tokens[i].literal.size == 0);
		assert(kind != TOKEN_LITERAL || pattern->tokens[i].literal.size > 0);
		assert(i == 0 || kind == TOKEN_ONE || kind != pattern->tokens[i - 1].kind);
	}
}

static void read_back(const struct pattern *pattern, bool expand, struct arena *arena)
{
	char room[PRINTED_MAX];
	struct pattern again = {0};
	bool read = pattern_parse(printed(pattern, expand, room), expand, arena, &again);
	assert(read && again.count == pattern->count);
	for (size_t i = 0; i < again.count; i++) {
		assert(again.tokens[i].kind == pattern->tokens[i].kind);
		assert(text_equal(again.tokens[i].literal, pattern->tokens[i].literal));
	}
}

/* The written string against a value, one sign at a time, every split tried. */
static bool walk(struct text written, bool expand, struct text value)
{
	if (written.size == 0)
		return value.size == 0;
	char c = written.data[0];
	if (c == '*') {
		for (size_t skipped = 0; skipped <= value.size; skipped++)
			if (walk(text_cut(written, 1), expand, text_cut(value, skipped)))
				return true;
		return false;
	}
	if (c == '?') {
		size_t one = value.size == 0 ? 0 : utf8_size(value, 0);
		return one > 0 && walk(text_cut(written, 1), expand, text_cut(value, one));
	}
	if (c == '\\' && written.size > 1 &&
	    (memchr("*?\\", written.data[1], 3) != NULL || (expand && written.data[1] == '%')))
		written = text_cut(written, 1);
	return value.size > 0 && value.data[0] == written.data[0] &&
	       walk(text_cut(written, 1), expand, text_cut(value, 1));
}

/* Stars multiply the oracle's splits; a few say all there is to say. */
static bool is_walkable(struct text written)
{
	size_t stars = 0;
	for (size_t i = 0; i < written.size; i++)
		stars += written.data[i] == '*';
	return stars <= 3;
}

static void check_match(struct text written, const struct pattern *pattern, unsigned flags,
			struct text value, struct arena *arena)
{
	bool cased = (flags & FLAG_CASED) != 0, expand = (flags & FLAG_EXPAND) != 0;
	struct glob glob = {0};
	enum status status = glob_new(pattern->tokens, pattern->count, cased, arena, &glob);
	assert(status == OK);
	if (!cased) {
		written = fold_copy(written, arena);
		value = fold_copy(value, arena);
	}
	bool matched = glob_match(&glob, value);
	assert(matched == walk(written, expand, value));
	/* With windash a value that matched without it still does. */
	struct pattern dashed = *pattern;
	bool done = pattern_windash(&dashed, arena);
	assert(done);
	status = glob_new(dashed.tokens, dashed.count, cased, arena, &glob);
	assert(status == OK && (!matched || glob_match(&glob, value)));
}

static int digit_of(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *found = c == '\0' ? NULL : strchr(digits, c);
	return found == NULL ? -1 : (int)(found - digits);
}

/* The bits of Base64 digits, six each, from bit `skipped` on, as whole bytes. */
static size_t decoded(struct text digits, size_t skipped, char *to)
{
	size_t used = 0, bits = 0;
	uint32_t held = 0;
	for (size_t i = 0; i < digits.size && digits.data[i] != '='; i++) {
		int digit = digit_of(digits.data[i]);
		assert(digit >= 0);
		held = held << 6 | (uint32_t)digit;
		bits += 6;
		if (skipped > 0) {
			bits -= skipped;
			held &= (1u << bits) - 1;
			skipped = 0;
		}
		if (bits >= 8) {
			bits -= 8;
			to[used++] = (char)(held >> bits);
			held &= (1u << bits) - 1;
		}
	}
	return used;
}

/* Offset 0 begins with the value; at 1 and 2 the first whole digit begins inside its first byte. */
static void check_encodings(const struct pattern *pattern, struct text value, struct arena *arena)
{
	static const enum encoding whole[] = {ENCODING_BASE64}, shifted[] = {ENCODING_BASE64OFFSET};
	static const size_t lost_bits[] = {0, 4, 2};
	struct pattern *spellings = NULL;
	size_t count = 0;
	char bytes[PRINTED_MAX];
	if (pattern_encode(pattern, whole, 1, arena, &spellings, &count) != OK)
		return;
	assert(count == 1 && spellings->count == 1);
	size_t size = decoded(spellings->tokens[0].literal, 0, bytes);
	assert(text_equal((struct text){bytes, size}, value));
	if (pattern_encode(pattern, shifted, 1, arena, &spellings, &count) != OK)
		return;
	assert(count == 3);
	for (size_t i = 0; i < count; i++) {
		/* Digits begin 8 * i bits before the value and lose the first 0, 2 or 3 of them:
		 * 12 - 8 and 18 - 16 bits of the value's first byte are lost with them. */
		size_t first = i == 0 ? 0 : 1;
		size_t skipped = i == 0 ? 0 : 8 - lost_bits[i];
		size = decoded(spellings[i].tokens[0].literal, skipped, bytes);
		assert(size + first <= value.size && size + first + 1 >= value.size);
		assert(memcmp(bytes, value.data + first, size) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
	struct text written = {(const char *)data + 1, size - 1}, value = TEXT("");
	const char *border = memchr(written.data, 0xfe, written.size);
	if (border != NULL) {
		value = text_cut(written, (size_t)(border - written.data) + 1);
		written.size = (size_t)(border - written.data);
	}
	if (written.size > PATTERN_BYTES_MAX / 3 || value.size > VALUE_BYTES_MAX / 3)
		return 0;
	written = utf8_mend(written, arena);
	value = utf8_mend(value, arena);
	bool expand = (data[0] & FLAG_EXPAND) != 0;
	struct pattern pattern = {0};
	bool read = pattern_parse(written, expand, arena, &pattern);
	assert(read);
	check_tokens(&pattern);
	read_back(&pattern, expand, arena);
	if (is_walkable(written))
		check_match(written, &pattern, data[0], value, arena);
	if (!pattern_has_wildcard(&pattern) && pattern.count == 1)
		check_encodings(&pattern, pattern.tokens[0].literal, arena);
	return 0;
}
