/* query_word_private - a query as a row of words: query_word.c cuts it, query_parse.c reads it.
 *
 * Why: where a word ends, what it escapes and where its stars are is one concern, what a row of
 * words means another. Invariant: behind the first failure no word comes any more. Owner: texts and
 * tokens are in the arena. Thread: one. Limits: those of storage/query.h. */
#ifndef PICKET_STORAGE_QUERY_WORD_PRIVATE_H
#define PICKET_STORAGE_QUERY_WORD_PRIVATE_H

#include "storage/query.h"

enum query_word_kind { WORD_END, WORD_SIGN, WORD_PLAIN, WORD_QUOTED };

struct query_word {
	enum query_word_kind kind;
	char sign[3];         /* WORD_SIGN */
	struct text text;     /* escapes taken out, stars kept */
	struct token *tokens; /* of the text, when there is a star */
	size_t token_count;
	size_t at;    /* in the query */
	bool escaped; /* then it is no keyword */
};

struct query_parser {
	struct text query;
	size_t at;
	struct arena *arena;
	struct error *err;
	struct query_word word; /* the next one */
	bool in_value;          /* behind a field: a colon is part of a plain word (times, IPv6) */
	size_t node_count, depth;
	enum status status; /* the first failure; nothing is parsed behind it */
};

/* Fails: the text, the query and a caret below the place. Only the first failure is kept. */
void query_refuse(struct query_parser *parser, size_t at, const char *text);
void query_too_large(struct query_parser *parser);
/* NULL: the arena is full, and the query has failed. */
void *query_alloc(struct query_parser *parser, size_t size);

/* Reads the next word into parser->word. */
void query_advance(struct query_parser *parser);
bool query_at_sign(const struct query_parser *parser, const char *sign);
bool query_at_keyword(const struct query_parser *parser, const char *keyword);
/* Go on when the next word is that. */
bool query_take_sign(struct query_parser *parser, const char *sign);
bool query_take_keyword(struct query_parser *parser, const char *keyword);
/* The same, and a value comes next. */
bool query_take_value_sign(struct query_parser *parser, const char *sign);

#endif
