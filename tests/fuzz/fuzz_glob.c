/* Input: flags byte, pattern up to the first 0xfe, subject behind it. The glob must agree with an
 * oracle that tries every split, on the same folded, mended text. */
#include <assert.h>
#include <stdint.h>

#include "rules/fold.h"
#include "rules/glob.h"

enum { PATTERN_MAX = 12, SUBJECT_MAX = 24 };

static size_t point_size(struct text t)
{
	size_t size = utf8_size(t, 0);
	assert(size > 0);
	return size;
}

static bool is_dash(struct text t, size_t size)
{
	uint32_t code_point = utf8_decode(t.data, size);
	return code_point == '-' || code_point == '/' ||
	       (code_point >= 0x2013 && code_point <= 0x2015);
}

static bool oracle(const struct token *tokens, size_t count, struct text t)
{
	if (count == 0)
		return t.size == 0;
	if (tokens->kind == TOKEN_RUN && count > 1 && tokens[1].kind == TOKEN_RUN)
		return oracle(tokens + 1, count - 1,
			      t); /* one run more would try every split again */
	if (tokens->kind == TOKEN_RUN)
		return oracle(tokens + 1, count - 1, t) ||
		       (t.size > 0 && oracle(tokens, count, text_cut(t, point_size(t))));
	if (tokens->kind == TOKEN_LITERAL)
		return text_starts(t, tokens->literal) &&
		       oracle(tokens + 1, count - 1, text_cut(t, tokens->literal.size));
	if (t.size == 0)
		return false;
	size_t size = point_size(t);
	return (tokens->kind == TOKEN_ONE || is_dash(t, size)) &&
	       oracle(tokens + 1, count - 1, text_cut(t, size));
}

/* `*`, `?` and `~` are tokens; every other code point is a literal of its own. */
static size_t tokens_of(struct text pattern, struct token tokens[static PATTERN_MAX])
{
	size_t count = 0;
	while (pattern.size > 0 && count < PATTERN_MAX) {
		size_t size = point_size(pattern);
		char c = pattern.data[0];
		enum token_kind kind = c == '*'   ? TOKEN_RUN
				       : c == '?' ? TOKEN_ONE
				       : c == '~' ? TOKEN_DASH
						  : TOKEN_LITERAL;
		tokens[count++] = (struct token){kind, {pattern.data, size}};
		pattern = text_cut(pattern, size);
	}
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
	bool cased = (data[0] & 1) != 0;
	struct text whole = {(const char *)data + 1, size - 1};
	const char *border = memchr(whole.data, 0xfe, whole.size);
	struct text pattern = whole;
	struct text subject = TEXT("");
	if (border != NULL) {
		pattern.size = (size_t)(border - whole.data);
		subject = text_cut(whole, pattern.size + 1);
	}
	subject.size = subject.size > SUBJECT_MAX ? SUBJECT_MAX : subject.size;
	pattern = utf8_mend(pattern, arena);
	subject = utf8_mend(subject, arena);
	if (!cased) {
		pattern = fold_copy(pattern, arena);
		subject = fold_copy(subject, arena);
	}
	struct token tokens[PATTERN_MAX];
	size_t count = tokens_of(pattern, tokens);
	struct glob glob = {0};
	enum status status = glob_new(tokens, count, cased, arena, &glob);
	assert(status == OK);
	assert(glob_match(&glob, subject) == oracle(tokens, count, subject));
	return 0;
}
