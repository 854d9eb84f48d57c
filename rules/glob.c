/* Matching without back-tracking.
 *
 * A glob is a list of segments with `*` between them; a segment is literals, `?` and dashes. Each
 * of these takes a fixed number of code points, so a segment does: if it is found at two places,
 * the earlier one also ends earlier and leaves more text to the rest. Hence the leftmost match of
 * every segment is never a wrong choice, and one pass is enough:
 *
 *   the first segment must stand at the start, the last one at the end (measured backwards, code
 *   point by code point), each one between is searched from where the one before it ended.
 *
 * A segment of one literal is searched by memmem (two-way, linear); one with `?` or a dash is tried
 * at each place, at most its own length per place. */
#include "rules/glob.h"

#include <assert.h>

#include "rules/fold.h"

/* Joins the literal of a token with those that follow it; returns how many tokens that were. */
static size_t literal_join(const struct token *tokens, size_t count, struct arena *arena,
			   struct text *ret_joined)
{
	size_t used = 0;
	size_t size = 0;
	while (used < count && tokens[used].kind == TOKEN_LITERAL)
		size += tokens[used++].literal.size;
	char *joined = arena_alloc(arena, size + 1);
	*ret_joined = (struct text){joined, size};
	for (size_t i = 0, at = 0; joined != NULL && i < used; i++) {
		if (tokens[i].literal.size > 0)
			memcpy(joined + at, tokens[i].literal.data, tokens[i].literal.size);
		at += tokens[i].literal.size;
	}
	return used;
}

static enum glob_shape shape_of(const struct token *tokens, size_t count)
{
	enum { RUN = 1, LITERAL = 2 };
	unsigned key = 0; /* two bits for each token, at most three of them */
	for (size_t i = 0; i < count; i++) {
		if (count > 3 || tokens[i].kind > TOKEN_RUN)
			return GLOB_MIXED;
		key = key << 2 | (tokens[i].kind == TOKEN_RUN ? RUN : LITERAL);
	}
	switch (key) {
	case 0:
	case LITERAL:
		return GLOB_EXACT;
	case RUN:
		return GLOB_ANY;
	case LITERAL << 2 | RUN:
		return GLOB_PREFIX;
	case RUN << 2 | LITERAL:
		return GLOB_SUFFIX;
	case (RUN << 2 | LITERAL) << 2 | RUN:
		return GLOB_CONTAINS;
	default:
		return GLOB_MIXED;
	}
}

/* The longest run of literals and dashes. */
static void choose_segment(struct glob *glob)
{
	for (size_t first = 0; first < glob->token_count;) {
		size_t last = first;
		size_t size = 0;
		bool has_literal = false;
		for (; last < glob->token_count; last++) {
			const struct token *token = &glob->tokens[last];
			if (token->kind != TOKEN_LITERAL && token->kind != TOKEN_DASH)
				break;
			has_literal |= token->kind == TOKEN_LITERAL;
			size += token->kind == TOKEN_LITERAL ? token->literal.size : 1;
		}
		if (has_literal && size > glob->segment_size) {
			glob->segment = glob->tokens + first;
			glob->segment_count = last - first;
			glob->segment_size = size;
		}
		first = last + 1;
	}
	glob->segment_is_all = glob->segment_count > 0 &&
			       glob->token_count == glob->segment_count + 2 &&
			       glob->tokens[0].kind == TOKEN_RUN &&
			       glob->tokens[glob->token_count - 1].kind == TOKEN_RUN;
}

enum status glob_new(const struct token *tokens, size_t token_count, bool cased,
		     struct arena *arena, struct glob *ret_glob)
{
	struct token *joined = arena_alloc(arena, (token_count + 1) * sizeof *joined);
	if (joined == NULL)
		return ENOMEMORY;
	struct glob glob = {.tokens = joined, .cased = cased};
	for (size_t i = 0; i < token_count;) {
		struct token token = tokens[i];
		if (token.kind != TOKEN_LITERAL) {
			i++;
			bool again = token.kind == TOKEN_RUN && glob.token_count > 0 &&
				     joined[glob.token_count - 1].kind == TOKEN_RUN;
			if (!again)
				joined[glob.token_count++] = token;
			continue;
		}
		i += literal_join(tokens + i, token_count - i, arena, &token.literal);
		if (!cased && token.literal.data != NULL)
			token.literal = fold_copy(token.literal, arena);
		if (token.literal.data == NULL)
			return ENOMEMORY;
		if (token.literal.size == 0)
			continue;
		if (token.literal.size > glob.needle.size)
			glob.needle = token.literal;
		joined[glob.token_count++] = token;
	}
	glob.shape = shape_of(joined, glob.token_count);
	choose_segment(&glob);
	assert(glob.token_count <= token_count);
	*ret_glob = glob;
	return OK;
}

static bool is_continuation(char c)
{
	return (c & 0xc0) == 0x80;
}

/* The size of the code point at t.data[at]; 0 at the end. */
static size_t size_forwards(struct text t, size_t at)
{
	size_t end = at;
	if (at < t.size)
		end++;
	while (end < t.size && is_continuation(t.data[end]))
		end++;
	return end - at;
}

/* - or / or one of U+2013, U+2014, U+2015 (E2 80 93..95). */
static bool is_dash(const char *s, size_t size)
{
	if (size == 1)
		return *s == '-' || *s == '/';
	return size == 3 && memcmp(s, "\xe2\x80", 2) == 0 && s[2] >= '\x93' && s[2] <= '\x95';
}

/* Bytes of t that the tokens take at t.data[at]; false when they do not fit there. */
static bool segment_at(const struct token *tokens, size_t count, struct text t, size_t at,
		       size_t *ret_end)
{
	for (size_t i = 0; i < count; i++) {
		if (tokens[i].kind == TOKEN_LITERAL) {
			if (!text_starts(text_cut(t, at), tokens[i].literal))
				return false;
			at += tokens[i].literal.size;
			continue;
		}
		size_t size = size_forwards(t, at);
		if (size == 0 || (tokens[i].kind == TOKEN_DASH && !is_dash(t.data + at, size)))
			return false;
		at += size;
	}
	*ret_end = at;
	return true;
}

/* The tokens stand at the very end of t, not before `from`. */
static bool segment_at_end(const struct token *tokens, size_t count, struct text t, size_t from)
{
	size_t at = t.size;
	for (size_t i = count; i-- > 0;) {
		if (tokens[i].kind == TOKEN_LITERAL) {
			struct text literal = tokens[i].literal;
			if (at - from < literal.size ||
			    memcmp(t.data + at - literal.size, literal.data, literal.size) != 0)
				return false;
			at -= literal.size;
			continue;
		}
		size_t end = at;
		do {
			if (at == from)
				return false;
			at--;
		} while (is_continuation(t.data[at]));
		if (tokens[i].kind == TOKEN_DASH && !is_dash(t.data + at, end - at))
			return false;
	}
	return true;
}

/* The leftmost place of the tokens at or behind `from`: where they end. */
static bool segment_find(const struct token *tokens, size_t count, struct text t, size_t from,
			 size_t *ret_end)
{
	if (count == 1 && tokens[0].kind == TOKEN_LITERAL) {
		struct text literal = tokens[0].literal;
		const char *found =
			memmem(t.data + from, t.size - from, literal.data, literal.size);
		if (found == NULL)
			return false;
		*ret_end = (size_t)(found - t.data) + literal.size;
		return true;
	}
	for (size_t at = from; at < t.size; at += size_forwards(t, at))
		if (segment_at(tokens, count, t, at, ret_end))
			return true;
	return false;
}

static size_t segment_size(const struct glob *glob, size_t first)
{
	size_t last = first;
	while (last < glob->token_count && glob->tokens[last].kind != TOKEN_RUN)
		last++;
	return last - first;
}

static bool match_mixed(const struct glob *glob, struct text t)
{
	size_t count = segment_size(glob, 0);
	size_t at = 0;
	if (!segment_at(glob->tokens, count, t, 0, &at))
		return false;
	if (count == glob->token_count)
		return at == t.size;
	for (size_t first = count + 1;; first += count + 1) {
		count = segment_size(glob, first);
		if (first + count == glob->token_count)
			return segment_at_end(glob->tokens + first, count, t, at);
		if (!segment_find(glob->tokens + first, count, t, at, &at))
			return false;
	}
}

bool glob_match(const struct glob *glob, struct text t)
{
	struct text needle = glob->needle;
	if (t.size == 0)
		t.data = ""; /* memmem and memcmp want a pointer */
	switch (glob->shape) {
	case GLOB_EXACT:
		return text_equal(t, needle);
	case GLOB_PREFIX:
		return text_starts(t, needle);
	case GLOB_SUFFIX:
		return t.size >= needle.size &&
		       text_equal(text_cut(t, t.size - needle.size), needle);
	case GLOB_CONTAINS:
		return memmem(t.data, t.size, needle.data, needle.size) != NULL;
	case GLOB_ANY:
		return true;
	case GLOB_MIXED:
		return match_mixed(glob, t);
	}
	assert(false && "a glob of no shape");
}
