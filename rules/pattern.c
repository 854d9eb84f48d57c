#include "rules/pattern_private.h"

#include <assert.h>

/* Escapes: `\*`, `\?` and `\\` are the sign itself; a backslash before anything else, or at the
 * end, is a backslash. So `\\*` is a backslash and a wildcard, `\\\*` a backslash and a star.
 *
 * windash: a dash is exchanged only where a word starts behind it and none ends before it (pySigma:
 * \B[-/]\b), so that `test-flag` keeps its hyphen; all five of - / en dash, em dash and horizontal
 * bar count (Sigma 2.1, modifiers appendix). It is one class at one position for the matcher, and
 * only an encoding has to spell it out.
 *
 * base64offset: the value may begin at any of three places in a group of three bytes. For each, the
 * value is encoded behind 0, 1 or 2 foreign bytes, and the characters that depend on foreign bytes
 * before or behind are cut off: 0, 2 or 3 at the front, and at the end what belongs to a last group
 * that is not full (none, 3 or 2). Lengths are bytes, not characters. */

static void token_add(struct pattern *pattern, enum token_kind kind, struct text literal)
{
	pattern->tokens[pattern->count++] = (struct token){kind, literal};
}

/* The length of the escape or wildcard at `at`, as what it means. */
static enum token_kind meaning_at(struct text value, size_t at, bool expand, char *ret_byte,
				  size_t *ret_size)
{
	char c = value.data[at];
	char next = at + 1 < value.size ? value.data[at + 1] : '\0';
	bool escapes = c == '\\' &&
		       (next == '*' || next == '?' || next == '\\' || (expand && next == '%'));
	*ret_size = escapes ? 2 : 1;
	*ret_byte = escapes ? next : c;
	if (escapes || (c != '*' && c != '?'))
		return TOKEN_LITERAL;
	return c == '*' ? TOKEN_RUN : TOKEN_ONE;
}

bool pattern_parse(struct text value, bool expand, struct arena *arena, struct pattern *ret_pattern)
{
	struct pattern pattern = {0};
	pattern.tokens = arena_alloc(arena, (value.size + 1) * sizeof *pattern.tokens);
	char *bytes = arena_alloc(arena, value.size + 1);
	if (pattern.tokens == NULL || bytes == NULL)
		return false;
	size_t used = 0, begin = 0, size = 0;
	for (size_t at = 0; at < value.size; at += size) {
		char byte = '\0';
		enum token_kind kind = meaning_at(value, at, expand, &byte, &size);
		if (kind == TOKEN_LITERAL) {
			bytes[used++] = byte;
			continue;
		}
		if (used > begin)
			token_add(&pattern, TOKEN_LITERAL,
				  (struct text){bytes + begin, used - begin});
		begin = used;
		bool repeated = kind == TOKEN_RUN && pattern.count > 0 &&
				pattern.tokens[pattern.count - 1].kind == TOKEN_RUN;
		if (!repeated)
			token_add(&pattern, kind, (struct text){0});
	}
	if (used > begin)
		token_add(&pattern, TOKEN_LITERAL, (struct text){bytes + begin, used - begin});
	*ret_pattern = pattern;
	return true;
}

static bool literals_joined(struct token *last, const struct token *next, struct arena *arena)
{
	size_t size = last->literal.size + next->literal.size;
	char *both = arena_alloc(arena, size);
	if (both == NULL)
		return false;
	memcpy(both, last->literal.data, last->literal.size);
	memcpy(both + last->literal.size, next->literal.data, next->literal.size);
	last->literal = (struct text){both, size};
	return true;
}

bool pattern_append(struct pattern *pattern, const struct pattern *tail, struct arena *arena)
{
	if (tail->count == 0)
		return true;
	struct pattern joined = {
		.tokens = arena_alloc(arena, (pattern->count + tail->count) * sizeof(struct token)),
		.count = pattern->count,
	};
	if (joined.tokens == NULL)
		return false;
	if (pattern->count > 0)
		memcpy(joined.tokens, pattern->tokens, pattern->count * sizeof(struct token));
	for (size_t i = 0; i < tail->count; i++) {
		const struct token *next = &tail->tokens[i];
		struct token *last = joined.count == 0 ? NULL : &joined.tokens[joined.count - 1];
		if (last == NULL || last->kind != next->kind || next->kind == TOKEN_ONE)
			token_add(&joined, next->kind, next->literal);
		else if (next->kind == TOKEN_LITERAL && !literals_joined(last, next, arena))
			return false;
	}
	*pattern = joined;
	return true;
}

struct text pattern_placeholder(struct text value)
{
	for (size_t at = 0; at < value.size; at++) {
		if (value.data[at] == '\\') {
			at++; /* whatever it escapes is no placeholder */
			continue;
		}
		size_t end = at + 1;
		while (value.data[at] == '%' && end < value.size && value.data[end] != '%' &&
		       value.data[end] != ' ' && value.data[end] != '\\')
			end++;
		if (value.data[at] == '%' && end < value.size && value.data[end] == '%' &&
		    end > at + 1)
			return (struct text){value.data + at, end + 1 - at};
	}
	return (struct text){0};
}

bool pattern_has_wildcard(const struct pattern *pattern)
{
	for (size_t i = 0; i < pattern->count; i++)
		if (pattern->tokens[i].kind == TOKEN_RUN || pattern->tokens[i].kind == TOKEN_ONE)
			return true;
	return false;
}

static const struct text dashes[] = {TEXT("-"), TEXT("/"), TEXT("\xE2\x80\x93"),
				     TEXT("\xE2\x80\x94"), TEXT("\xE2\x80\x95")};
enum { DASH_COUNT = sizeof dashes / sizeof *dashes };

/* The size of the dash that begins at `at`, or 0. */
static size_t dash_size(struct text t, size_t at)
{
	for (size_t i = 0; at < t.size && i < DASH_COUNT; i++)
		if (text_starts(text_cut(t, at), dashes[i]))
			return dashes[i].size;
	return 0;
}

static bool is_word_at(struct text t, size_t at)
{
	if (at >= t.size || dash_size(t, at) > 0)
		return false;
	unsigned char c = (unsigned char)t.data[at];
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c >= 0x80;
}

bool pattern_windash(struct pattern *pattern, struct arena *arena)
{
	size_t room = 1;
	for (size_t i = 0; i < pattern->count; i++)
		room += 1 + pattern->tokens[i].literal.size;
	struct pattern changed = {.tokens = arena_alloc(arena, room * sizeof *changed.tokens)};
	if (changed.tokens == NULL)
		return false;
	for (size_t i = 0; i < pattern->count; i++) {
		struct text literal = pattern->tokens[i].literal;
		if (pattern->tokens[i].kind != TOKEN_LITERAL) {
			changed.tokens[changed.count++] = pattern->tokens[i];
			continue;
		}
		size_t begin = 0;
		bool after_word = false;
		for (size_t at = 0; at < literal.size;) {
			size_t size = dash_size(literal, at);
			if (size > 0 && !after_word && is_word_at(literal, at + size)) {
				if (at > begin)
					token_add(&changed, TOKEN_LITERAL,
						  (struct text){literal.data + begin, at - begin});
				token_add(&changed, TOKEN_DASH, (struct text){0});
				begin = at + size;
			}
			after_word = is_word_at(literal, at);
			at += size > 0 ? size : 1;
		}
		if (literal.size > begin)
			token_add(&changed, TOKEN_LITERAL, text_cut(literal, begin));
	}
	*pattern = changed;
	return true;
}

bool pattern_open(struct pattern *pattern, bool before, bool behind, struct arena *arena)
{
	struct pattern open = {
		.tokens = arena_alloc(arena, (pattern->count + 2) * sizeof *open.tokens)};
	if (open.tokens == NULL)
		return false;
	if (before && (pattern->count == 0 || pattern->tokens[0].kind != TOKEN_RUN))
		token_add(&open, TOKEN_RUN, (struct text){0});
	for (size_t i = 0; i < pattern->count; i++)
		open.tokens[open.count++] = pattern->tokens[i];
	if (behind && (open.count == 0 || open.tokens[open.count - 1].kind != TOKEN_RUN))
		token_add(&open, TOKEN_RUN, (struct text){0});
	*pattern = open;
	return true;
}

static void put_unit(struct bytes *to, uint32_t unit, bool big_endian)
{
	bytes_put_u8(to, (uint8_t)(big_endian ? unit >> 8 : unit));
	bytes_put_u8(to, (uint8_t)(big_endian ? unit : unit >> 8));
}

/* The text is UTF-8 because libyaml reads nothing else. */
static void put_utf16(struct bytes *to, struct text t, bool big_endian)
{
	for (size_t at = 0; at < t.size;) {
		unsigned char lead = (unsigned char)t.data[at];
		size_t size = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
		uint32_t code = size == 1 ? lead : lead & (0x7Fu >> size);
		for (size_t i = 1; i < size && at + i < t.size; i++)
			code = code << 6 | ((unsigned char)t.data[at + i] & 0x3F);
		if (code >= 0x10000) {
			put_unit(to, 0xD800 + ((code - 0x10000) >> 10), big_endian);
			put_unit(to, 0xDC00 + ((code - 0x10000) & 0x3FF), big_endian);
		} else {
			put_unit(to, code, big_endian);
		}
		at += size;
	}
}

static enum status literal_put(struct text literal, struct arena *arena, struct pattern *to)
{
	to->tokens = arena_alloc(arena, sizeof *to->tokens);
	struct text copy = arena_copy(arena, literal);
	if (to->tokens == NULL || copy.data == NULL)
		return ENOMEMORY;
	token_add(to, TOKEN_LITERAL, copy);
	return OK;
}

static void bytes_cleanup(struct bytes *bytes)
{
	bytes_done(bytes);
}

static enum status offsets_put(struct text value, struct arena *arena, struct pattern to[static 3])
{
	static const size_t front[3] = {0, 2, 3};
	static const size_t end[3] = {0, 3, 2};
	struct bytes shifted cleanup(bytes_cleanup) = {0};
	struct bytes coded cleanup(bytes_cleanup) = {0};
	for (size_t i = 0; i < 3; i++) {
		bytes_clear(&shifted);
		bytes_clear(&coded);
		bytes_put(&shifted, "\0\0", i);
		bytes_write(&shifted, value);
		bytes_put_base64(&coded, bytes_text(&shifted));
		size_t cut = front[i] + end[(value.size + i) % 3];
		if (bytes_status(&coded) != OK || bytes_status(&shifted) != OK)
			return ENOMEMORY;
		if (coded.size <= cut)
			return EINVALID;
		struct text piece = {(const char *)coded.data + front[i], coded.size - cut};
		enum status status = literal_put(piece, arena, &to[i]);
		if (status != OK)
			return status;
	}
	return OK;
}

/* All encodings but the last offset step, of one spelling, into `now`. */
static enum status encode_one(struct text value, const enum encoding *encodings, size_t count,
			      struct arena *arena, struct pattern *to, size_t *ret_made)
{
	struct bytes now cleanup(bytes_cleanup) = {0};
	bytes_write(&now, value);
	for (size_t i = 0; i < count; i++) {
		struct bytes next cleanup(bytes_cleanup) = {0};
		if (encodings[i] == ENCODING_BASE64OFFSET) {
			*ret_made = 3;
			return offsets_put(bytes_text(&now), arena, to);
		}
		if (encodings[i] == ENCODING_UTF16)
			bytes_write_string(&next, "\xFF\xFE");
		if (encodings[i] == ENCODING_BASE64)
			bytes_put_base64(&next, bytes_text(&now));
		else
			put_utf16(&next, bytes_text(&now), encodings[i] == ENCODING_UTF16BE);
		if (bytes_status(&next) != OK)
			return ENOMEMORY;
		bytes_done(&now);
		now = next;
		next = (struct bytes){0};
	}
	*ret_made = 1;
	return literal_put(bytes_text(&now), arena, to);
}

/* Spelling number `which`: each dash is a digit to the base of five. */
static void spell(const struct pattern *pattern, size_t which, struct bytes *to)
{
	bytes_clear(to);
	for (size_t i = 0; i < pattern->count; i++) {
		struct text piece = pattern->tokens[i].literal;
		if (pattern->tokens[i].kind == TOKEN_DASH) {
			piece = dashes[which % DASH_COUNT];
			which /= DASH_COUNT;
		}
		bytes_write(to, piece);
	}
}

enum status pattern_encode(const struct pattern *pattern, const enum encoding *encodings,
			   size_t encoding_count, struct arena *arena,
			   struct pattern **ret_patterns, size_t *ret_count)
{
	assert(!pattern_has_wildcard(pattern) && encoding_count > 0);
	size_t spellings = 1, dash_count = 0;
	for (size_t i = 0; i < pattern->count; i++)
		if (pattern->tokens[i].kind == TOKEN_DASH && ++dash_count <= WINDASH_ENCODED_MAX)
			spellings *= DASH_COUNT;
	if (dash_count > WINDASH_ENCODED_MAX)
		return ELIMIT;
	struct pattern *patterns = arena_alloc(arena, spellings * 3 * sizeof *patterns);
	if (patterns == NULL)
		return ENOMEMORY;
	struct bytes plain cleanup(bytes_cleanup) = {0};
	size_t count = 0;
	for (size_t which = 0; which < spellings; which++) {
		spell(pattern, which, &plain);
		if (bytes_status(&plain) != OK)
			return ENOMEMORY;
		if (plain.size == 0)
			return EINVALID;
		size_t made = 0;
		enum status status = encode_one(bytes_text(&plain), encodings, encoding_count,
						arena, patterns + count, &made);
		if (status != OK)
			return status;
		count += made;
	}
	*ret_patterns = patterns;
	*ret_count = count;
	return OK;
}
