/* The words of a query; query_parse.c says what they are made of. The first failure stays: behind
 * it every word is the end of the query, so that the parser comes to its end too. */
#include "storage/query_word_private.h"

#include <strings.h>

#include "rules/utf8.h"

enum { SHOWN_BEFORE = 60, SHOWN_MAX = 100 }; /* bytes */

/* Controls beyond ASCII (U+0080 and on), and the marks of direction (U+2000 to U+207F). */
static bool is_steering(struct text t, size_t at)
{
	unsigned char first = (unsigned char)t.data[at];
	unsigned char second = at + 1 < t.size ? (unsigned char)t.data[at + 1] : 0;
	return first == 0xc2 || (first == 0xe2 && (second == 0x80 || second == 0x81));
}

/* The piece of the query around the place, without what moves a terminal's cursor; how many
 * characters of it stand before the place. */
static size_t piece_show(struct text query, size_t at, char shown[static SHOWN_MAX + 1])
{
	size_t start = at > SHOWN_BEFORE ? at - SHOWN_BEFORE : 0;
	size_t used = 0;
	size_t before = 0;
	while (start < at && ((unsigned char)query.data[start] & 0xc0) == 0x80)
		start++; /* not within a character */
	for (size_t i = start; i < query.size;) {
		size_t size = utf8_size(query, i);
		unsigned char first = (unsigned char)query.data[i];
		bool plain = size > 0 && first >= 0x20 && first != 0x7f && !is_steering(query, i);
		size = size == 0 ? 1 : size;
		if (used + size > SHOWN_MAX)
			break;
		if (plain)
			memcpy(shown + used, query.data + i, size);
		else
			shown[used] = ' ';
		used += plain ? size : 1;
		before += i < at;
		i += size;
	}
	shown[used] = '\0';
	return before;
}

void query_refuse(struct query_parser *parser, size_t at, const char *text)
{
	char shown[SHOWN_MAX + 1];
	if (parser->status != OK)
		return;
	size_t before = piece_show(parser->query, at, shown);
	parser->status = error_set(parser->err, EINVALID, "query:%zu: %s\n  %s\n  %*s^", at + 1,
				   text, shown, (int)before, "");
	if (parser->err != NULL)
		parser->err->column = (unsigned)at + 1;
}

void query_too_large(struct query_parser *parser)
{
	if (parser->status == OK)
		parser->status = error_set(parser->err, ELIMIT, "the query is too large");
}

void *query_alloc(struct query_parser *parser, size_t size)
{
	void *data = arena_alloc(parser->arena, size);
	if (data == NULL)
		query_too_large(parser);
	return data;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_special(char c)
{
	return c == '\0' || memchr("():<>\"{}|,", c, 10) != NULL || is_blank(c);
}

static bool word_ends(const struct query_parser *parser, bool quoted)
{
	char c = parser->query.data[parser->at];
	if (quoted)
		return c == '"';
	return is_special(c) && !(c == ':' && parser->in_value);
}

/* How many characters the word has at most. */
static size_t word_extent(struct query_parser *parser, bool quoted)
{
	size_t begin = parser->at;
	while (parser->at < parser->query.size && !word_ends(parser, quoted))
		parser->at += parser->query.data[parser->at] == '\\' ? 2 : 1;
	size_t extent = parser->at - begin;
	parser->at = begin;
	return extent;
}

/* The characters of a word, quoted or plain, from parser->at; stars outside quotes are tokens. */
static void word_take(struct query_parser *parser, struct query_word *word)
{
	const char *data = parser->query.data;
	size_t size = parser->query.size;
	bool quoted = word->kind == WORD_QUOTED;
	size_t extent = word_extent(parser, quoted);
	char *to = query_alloc(parser, extent + 1);
	struct token *tokens = query_alloc(parser, (extent + 1) * sizeof *tokens);
	if (to == NULL || tokens == NULL)
		return;
	size_t used = 0;
	size_t run = 0; /* where the literal of the last token begins */
	bool stars = false;
	for (; parser->at < size && !word_ends(parser, quoted); parser->at++) {
		bool escape = data[parser->at] == '\\';
		word->escaped |= escape;
		if (escape && ++parser->at == size) {
			query_refuse(parser, size - 1, "there is nothing behind the \\");
			return;
		}
		char c = data[parser->at];
		if (c == '*' && !escape && !quoted) {
			if (used > run)
				tokens[word->token_count++] =
					(struct token){TOKEN_LITERAL, {to + run, used - run}};
			tokens[word->token_count++] = (struct token){.kind = TOKEN_RUN};
			stars = true;
			run = used + 1;
		}
		to[used++] = c;
	}
	if (stars && used > run)
		tokens[word->token_count++] = (struct token){TOKEN_LITERAL, {to + run, used - run}};
	word->text = (struct text){to, used};
	word->tokens = stars ? tokens : NULL;
	if (!quoted)
		return;
	if (parser->at == size)
		query_refuse(parser, word->at, "this quote is never closed");
	parser->at++;
}

/* Reads the next word into parser->word. */
void query_advance(struct query_parser *parser)
{
	const char *data = parser->query.data;
	size_t size = parser->query.size;
	while (parser->at < size && is_blank(data[parser->at]))
		parser->at++;
	struct query_word word = {.at = parser->at};
	if (parser->at < size && parser->status == OK) {
		char c = data[parser->at];
		if (c == '"') {
			word.kind = WORD_QUOTED;
			parser->at++;
			word_take(parser, &word);
		} else if (is_special(c)) {
			word.kind = WORD_SIGN;
			word.sign[0] = c;
			parser->at++;
			if ((c == '<' || c == '>') && parser->at < size &&
			    data[parser->at] == '=') {
				word.sign[1] = '=';
				parser->at++;
			}
		} else {
			word.kind = WORD_PLAIN;
			word_take(parser, &word);
		}
	}
	parser->word = word;
}

bool query_at_sign(const struct query_parser *parser, const char *sign)
{
	return parser->word.kind == WORD_SIGN && strcmp(parser->word.sign, sign) == 0;
}

bool query_at_keyword(const struct query_parser *parser, const char *keyword)
{
	const struct query_word *word = &parser->word;
	return word->kind == WORD_PLAIN && !word->escaped && word->text.size == strlen(keyword) &&
	       strncasecmp(word->text.data, keyword, word->text.size) == 0;
}

bool query_take_sign(struct query_parser *parser, const char *sign)
{
	if (!query_at_sign(parser, sign))
		return false;
	query_advance(parser);
	return true;
}

/* The same, and a value comes next. */
bool query_take_value_sign(struct query_parser *parser, const char *sign)
{
	if (!query_at_sign(parser, sign))
		return false;
	parser->in_value = true;
	query_advance(parser);
	parser->in_value = false;
	return true;
}

bool query_take_keyword(struct query_parser *parser, const char *keyword)
{
	if (!query_at_keyword(parser, keyword))
		return false;
	query_advance(parser);
	return true;
}
