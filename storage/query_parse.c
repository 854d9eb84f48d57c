/* Reading a query.
 *
 *   query  = [or] [ "|" stage ]
 *   or     = and { "or" and }
 *   and    = not { "and" not }
 *   not    = "not" not | "(" or ")" | test
 *   test   = field ":" value | field ":" "(" list ")" | field cmp word | word
 *   list   = the same or/and/not over words of that field
 *   cmp    = "<" "<=" ">" ">="
 *   word   = "quoted", where \ takes the next character as it is, or characters other than blanks
 *            and ( ) : < > " { } |, with \ likewise; a * outside quotes is any run of characters
 *   stage  = "count" ["by" field {"," field}] ["over" duration]
 *          | "top" field [number] | "histogram" duration
 *
 * Keywords have no case. Two words side by side are refused: Kibana reads them as "one of these in
 * a text field" and as a phrase in others, and who meant the one must not get the other. */
#include <assert.h>
#include <stdio.h>

#include "storage/query.h"
#include "storage/term.h"

enum word_kind { WORD_END, WORD_SIGN, WORD_PLAIN, WORD_QUOTED };

struct word {
	enum word_kind kind;
	char sign[3];         /* WORD_SIGN */
	struct text text;     /* escapes taken out, stars kept */
	struct token *tokens; /* of the text, when there is a star */
	size_t token_count;
	size_t at;    /* in the query */
	bool escaped; /* then it is no keyword */
};

struct parser {
	struct text query;
	size_t at;
	struct arena *arena;
	struct error *err;
	struct word word; /* the next one */
	bool in_value;    /* behind a field: a colon is part of a plain word (times, IPv6) */
	size_t node_count, depth;
	enum status status; /* the first failure; nothing is parsed behind it */
};

static void refuse(struct parser *parser, size_t at, const char *text)
{
	if (parser->status != OK)
		return;
	char shown[ERROR_TEXT_MAX / 2];
	enum { BEFORE = 60, WIDE = 100 };
	size_t start = at > BEFORE ? at - BEFORE : 0;
	size_t size = parser->query.size - start > WIDE ? WIDE : parser->query.size - start;
	for (size_t i = 0; i < size; i++) {
		char c = parser->query.data[start + i];
		shown[i] = c >= 0x20 && c < 0x7f ? c : ' ';
	}
	shown[size] = '\0';
	parser->status = error_set(parser->err, EINVALID, "query:%zu: %s\n  %s\n  %*s^", at + 1,
				   text, shown, (int)(at - start), "");
	if (parser->err != NULL)
		parser->err->column = (unsigned)at + 1;
}

static void no_memory(struct parser *parser)
{
	if (parser->status == OK)
		parser->status = error_set(parser->err, ELIMIT, "the query is too large");
}

static void *parser_alloc(struct parser *parser, size_t size)
{
	void *data = arena_alloc(parser->arena, size);
	if (data == NULL)
		no_memory(parser);
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

static bool word_ends(const struct parser *parser, bool quoted)
{
	char c = parser->query.data[parser->at];
	if (quoted)
		return c == '"';
	return is_special(c) && !(c == ':' && parser->in_value);
}

/* How many characters the word has at most. */
static size_t word_extent(struct parser *parser, bool quoted)
{
	size_t begin = parser->at;
	while (parser->at < parser->query.size && !word_ends(parser, quoted))
		parser->at += parser->query.data[parser->at] == '\\' ? 2 : 1;
	size_t extent = parser->at - begin;
	parser->at = begin;
	return extent;
}

/* The characters of a word, quoted or plain, from parser->at; stars outside quotes are tokens. */
static void word_take(struct parser *parser, struct word *word)
{
	const char *data = parser->query.data;
	size_t size = parser->query.size;
	bool quoted = word->kind == WORD_QUOTED;
	size_t extent = word_extent(parser, quoted);
	char *to = parser_alloc(parser, extent + 1);
	struct token *tokens = parser_alloc(parser, (extent + 1) * sizeof *tokens);
	if (to == NULL || tokens == NULL)
		return;
	size_t used = 0;
	size_t run = 0; /* where the literal of the last token begins */
	bool stars = false;
	for (; parser->at < size && !word_ends(parser, quoted); parser->at++) {
		bool escape = data[parser->at] == '\\';
		word->escaped |= escape;
		if (escape && ++parser->at == size) {
			refuse(parser, size - 1, "there is nothing behind the \\");
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
		refuse(parser, word->at, "this quote is never closed");
	parser->at++;
}

/* Reads the next word into parser->word. */
static void advance(struct parser *parser)
{
	const char *data = parser->query.data;
	size_t size = parser->query.size;
	while (parser->at < size && is_blank(data[parser->at]))
		parser->at++;
	struct word word = {.at = parser->at};
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

static bool is_sign(const struct parser *parser, const char *sign)
{
	return parser->word.kind == WORD_SIGN && strcmp(parser->word.sign, sign) == 0;
}

static bool is_keyword(const struct parser *parser, const char *keyword)
{
	const struct word *word = &parser->word;
	return word->kind == WORD_PLAIN && !word->escaped && word->text.size == strlen(keyword) &&
	       strncasecmp(word->text.data, keyword, word->text.size) == 0;
}

static bool take_sign(struct parser *parser, const char *sign)
{
	if (!is_sign(parser, sign))
		return false;
	advance(parser);
	return true;
}

/* The same, and a value comes next. */
static bool take_value_sign(struct parser *parser, const char *sign)
{
	if (!is_sign(parser, sign))
		return false;
	parser->in_value = true;
	advance(parser);
	parser->in_value = false;
	return true;
}

static bool take_keyword(struct parser *parser, const char *keyword)
{
	if (!is_keyword(parser, keyword))
		return false;
	advance(parser);
	return true;
}

static const struct query_node *node_new(struct parser *parser, enum query_kind kind,
					 const struct query_node *left,
					 const struct query_node *right)
{
	struct query_node *node = parser_alloc(parser, sizeof *node);
	if (node == NULL)
		return NULL;
	if (++parser->node_count > QUERY_NODES_MAX) {
		no_memory(parser);
		return NULL;
	}
	*node = (struct query_node){kind, left, right, NULL};
	return node;
}

static void glob_make(struct parser *parser, const struct token *tokens, size_t count, bool cased,
		      struct glob *ret_glob)
{
	if (parser->status == OK && glob_new(tokens, count, cased, parser->arena, ret_glob) != OK)
		no_memory(parser);
}

/* The leaf with its pattern, once as it is and once with `*` around it. */
static void leaf_glob(struct parser *parser, const struct word *word, struct query_leaf *leaf)
{
	leaf->test = TEST_GLOB;
	glob_make(parser, word->tokens, word->token_count, false, &leaf->glob);
	struct token *around = parser_alloc(parser, (word->token_count + 2) * sizeof *around);
	if (around == NULL)
		return;
	size_t count = 0;
	if (word->tokens[0].kind != TOKEN_RUN)
		around[count++].kind = TOKEN_RUN;
	memcpy(around + count, word->tokens, word->token_count * sizeof *around);
	count += word->token_count;
	if (around[count - 1].kind != TOKEN_RUN)
		around[count++].kind = TOKEN_RUN;
	glob_make(parser, around, count, false, &leaf->glob_around);
}

/* What the word may mean, beside its text. */
static void leaf_word(struct parser *parser, const struct word *word, struct query_leaf *leaf)
{
	struct bytes scratch cleanup(bytes_done) = {0};
	struct text folded = {0};
	struct text copy = {0};
	leaf->is_number = number_parse(word->text, &leaf->number);
	leaf->is_time = time_parse(word->text, &leaf->time_us);
	leaf->is_network = cidr_parse(word->text, &leaf->network);
	if (term_fold(word->text, &scratch, &folded))
		copy = arena_copy(parser->arena, folded);
	if (copy.data == NULL || !term_hash(FIELD_OTHER, word->text, &scratch, &leaf->hash))
		no_memory(parser);
	leaf->text = copy;
}

static void leaf_check(struct parser *parser, const struct word *word,
		       const struct query_leaf *leaf)
{
	if (query_virtual_of(leaf->id) == VIRTUAL_TIME && !leaf->is_time &&
	    leaf->test != TEST_EXISTS)
		refuse(parser, word->at,
		       "@timestamp is compared with times such as 2026-11-21T22:31:40Z");
	if (leaf->id != FIELD_OTHER && schema_info(leaf->id)->type == FIELD_TYPE_ip &&
	    leaf->test == TEST_EQUALS && memchr(word->text.data, '/', word->text.size) != NULL &&
	    (!leaf->is_network || !cidr_is_strict(&leaf->network)))
		refuse(parser, word->at,
		       "this is no network: it must be written ADDRESS/BITS with no bit set behind "
		       "the prefix, such as 10.0.0.0/8");
}

/* field NULL: a word that may stand in any field. */
static const struct query_node *leaf_new(struct parser *parser, const struct word *field,
					 const struct word *word, enum comparison how, bool range)
{
	struct query_leaf *leaf = parser_alloc(parser, sizeof *leaf);
	const struct query_node *node = node_new(parser, QUERY_LEAF, NULL, NULL);
	if (leaf == NULL || node == NULL)
		return NULL;
	if (field == NULL && word->tokens != NULL && word->token_count == 1)
		return node_new(parser, QUERY_ALL, NULL, NULL);
	*leaf = (struct query_leaf){.how = how, .column = word->at};
	if (field != NULL) {
		leaf->name_is_glob = field->tokens != NULL;
		leaf->id = leaf->name_is_glob ? FIELD_OTHER : schema_find(field->text);
		leaf->name = leaf->name_is_glob ? field->text : schema_canonical(field->text);
		if (leaf->name_is_glob)
			glob_make(parser, field->tokens, field->token_count, true,
				  &leaf->name_glob);
	}
	leaf_word(parser, word, leaf);
	bool star = word->tokens != NULL && word->token_count == 1;
	if (range)
		leaf->test = TEST_RANGE;
	else if (star && field != NULL)
		leaf->test = TEST_EXISTS;
	else if (word->tokens != NULL)
		leaf_glob(parser, word, leaf);
	else
		leaf->test = TEST_EQUALS;
	if (range && word->tokens != NULL)
		refuse(parser, word->at, "a pattern has no order; compare with a value");
	leaf_check(parser, word, leaf);
	((struct query_node *)node)->leaf = leaf;
	return node;
}

static const struct query_node *parse_or(struct parser *parser, const struct word *field);

static bool is_word(const struct parser *parser)
{
	return parser->word.kind == WORD_QUOTED ||
	       (parser->word.kind == WORD_PLAIN && !is_keyword(parser, "and") &&
		!is_keyword(parser, "or") && !is_keyword(parser, "not"));
}

static void want(struct parser *parser, const char *what)
{
	char text[200];
	(void)snprintf(text, sizeof text, "%s is missing here", what);
	refuse(parser, parser->word.at > parser->query.size ? parser->query.size : parser->word.at,
	       text);
}

static const struct query_node *parse_range(struct parser *parser, const struct word *field)
{
	static const struct {
		const char *sign;
		enum comparison how;
	} signs[] = {
		{"<", COMPARE_LT}, {"<=", COMPARE_LTE}, {">", COMPARE_GT}, {">=", COMPARE_GTE}};
	for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
		if (!take_value_sign(parser, signs[i].sign))
			continue;
		struct word word = parser->word;
		if (!is_word(parser)) {
			want(parser, "the value to compare with");
			return NULL;
		}
		advance(parser);
		return leaf_new(parser, field, &word, signs[i].how, true);
	}
	return NULL;
}

/* A test, or inside `field: (...)` a word of that field. */
static const struct query_node *parse_test(struct parser *parser, const struct word *field)
{
	struct word word = parser->word;
	if (!is_word(parser)) {
		want(parser, field == NULL ? "a test such as user.name: alice" : "a value");
		return NULL;
	}
	advance(parser);
	if (field != NULL)
		return leaf_new(parser, field, &word, COMPARE_EQ, false);
	const struct query_node *range = parse_range(parser, &word);
	if (range != NULL || parser->status != OK)
		return range;
	if (!take_value_sign(parser, ":"))
		return leaf_new(parser, NULL, &word, COMPARE_EQ, false);
	if (is_sign(parser, "{")) {
		refuse(parser, parser->word.at,
		       "nested queries are not known: name the field whole, a.b.c: value");
		return NULL;
	}
	if (!take_sign(parser, "("))
		return parse_test(parser, &word);
	const struct query_node *list = parse_or(parser, &word);
	if (!take_sign(parser, ")"))
		want(parser, "the ) of the list");
	return list;
}

static const struct query_node *parse_not(struct parser *parser, const struct word *field)
{
	const struct query_node *node = NULL;
	if (++parser->depth > QUERY_DEPTH_MAX)
		no_memory(parser);
	else if (take_keyword(parser, "not"))
		node = node_new(parser, QUERY_NOT, parse_not(parser, field), NULL);
	else if (take_sign(parser, "(")) {
		node = parse_or(parser, field);
		if (!take_sign(parser, ")"))
			want(parser, "the ) of this group");
	} else
		node = parse_test(parser, field);
	parser->depth--;
	return node;
}

static const struct query_node *parse_and(struct parser *parser, const struct word *field)
{
	const struct query_node *node = parse_not(parser, field);
	while (parser->status == OK && take_keyword(parser, "and"))
		node = node_new(parser, QUERY_AND, node, parse_not(parser, field));
	return node;
}

static const struct query_node *parse_or(struct parser *parser, const struct word *field)
{
	const struct query_node *node = parse_and(parser, field);
	while (parser->status == OK && take_keyword(parser, "or"))
		node = node_new(parser, QUERY_OR, node, parse_and(parser, field));
	return node;
}

static bool take_duration(struct parser *parser, int64_t *ret_us)
{
	static const struct {
		const char *unit;
		int64_t us;
	} units[] = {{"ms", 1000},
		     {"s", 1000000},
		     {"m", 60000000},
		     {"h", 3600000000LL},
		     {"d", 86400000000LL}};
	struct text text = parser->word.text;
	size_t digits = 0;
	int64_t number = 0;
	for (; parser->word.kind == WORD_PLAIN && digits < text.size && digits < 9 &&
	       text.data[digits] >= '0' && text.data[digits] <= '9';
	     digits++)
		number = number * 10 + (text.data[digits] - '0');
	for (size_t i = 0; number > 0 && i < sizeof units / sizeof *units; i++) {
		if (!text_equal(text_cut(text, digits), text_of(units[i].unit)) ||
		    number > INT64_MAX / units[i].us)
			continue;
		*ret_us = number * units[i].us;
		advance(parser);
		return true;
	}
	want(parser, "a duration such as 5m, 1h or 1d");
	return false;
}

static void take_fields(struct parser *parser, struct query *query, size_t most)
{
	do {
		struct word word = parser->word;
		if (!is_word(parser) || word.tokens != NULL) {
			want(parser, "the name of a field");
			return;
		}
		if (query->field_count == most) {
			refuse(parser, word.at, "that is a field too many");
			return;
		}
		advance(parser);
		query->fields[query->field_count++] = schema_canonical(word.text);
	} while (take_sign(parser, ","));
}

static void parse_top(struct parser *parser, struct query *query)
{
	struct number number;
	query->output = OUTPUT_TOP;
	query->top = QUERY_TOP_DEFAULT;
	take_fields(parser, query, 1);
	if (parser->word.kind != WORD_PLAIN)
		return;
	if (!number_parse(parser->word.text, &number) || !number.is_integer || number.integer < 1 ||
	    number.integer > QUERY_TOP_MAX) {
		refuse(parser, parser->word.at, "how many? A number from 1 to 10000");
		return;
	}
	query->top = (size_t)number.integer;
	advance(parser);
}

static void parse_stage(struct parser *parser, struct query *query)
{
	if (take_keyword(parser, "count")) {
		query->output = OUTPUT_COUNT;
		if (take_keyword(parser, "by"))
			take_fields(parser, query, QUERY_FIELDS_MAX);
		if (take_keyword(parser, "over"))
			(void)take_duration(parser, &query->bucket_us);
	} else if (take_keyword(parser, "top")) {
		parse_top(parser, query);
	} else if (take_keyword(parser, "histogram")) {
		query->output = OUTPUT_HISTOGRAM;
		(void)take_duration(parser, &query->bucket_us);
	} else {
		refuse(parser, parser->word.at,
		       "behind the | stands: count [by FIELD, ...] [over 1h], top FIELD [N], or "
		       "histogram 5m");
	}
}

enum status query_parse(struct text text, struct arena *arena, struct query *ret_query,
			struct error *err)
{
	struct query query = {.output = OUTPUT_EVENTS};
	struct parser parser = {.arena = arena, .err = err, .status = OK};
	if (text.size > QUERY_BYTES_MAX)
		return error_set(err, ELIMIT, "the query has %zu bytes; it may have %d", text.size,
				 QUERY_BYTES_MAX);
	parser.query = arena_copy(arena, text);
	if (parser.query.data == NULL)
		return error_set(err, ENOMEMORY, "no memory for a query");
	advance(&parser);
	if (parser.word.kind == WORD_END || is_sign(&parser, "|"))
		query.root = node_new(&parser, QUERY_ALL, NULL, NULL);
	else
		query.root = parse_or(&parser, NULL);
	if (parser.status == OK && take_sign(&parser, "|"))
		parse_stage(&parser, &query);
	if (parser.status == OK && parser.word.kind != WORD_END) {
		bool word = is_word(&parser);
		refuse(&parser, parser.word.at,
		       word ? "two words stand side by side: quote them together, or put `and` or "
			      "`or` between them"
			    : "this does not belong here");
	}
	if (parser.status == OK)
		*ret_query = query;
	return parser.status;
}
