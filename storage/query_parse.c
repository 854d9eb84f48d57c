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

#include "storage/query_word_private.h"
#include "storage/term.h"

static const struct query_node *node_new(struct query_parser *parser, enum query_kind kind,
					 const struct query_node *left,
					 const struct query_node *right)
{
	struct query_node *node = query_alloc(parser, sizeof *node);
	if (node == NULL)
		return NULL;
	if (++parser->node_count > QUERY_NODES_MAX) {
		query_too_large(parser);
		return NULL;
	}
	*node = (struct query_node){kind, left, right, NULL};
	return node;
}

static void glob_make(struct query_parser *parser, const struct token *tokens, size_t count,
		      bool cased, struct glob *ret_glob)
{
	if (parser->status == OK && glob_new(tokens, count, cased, parser->arena, ret_glob) != OK)
		query_too_large(parser);
}

/* The leaf with its pattern, once as it is and once with `*` around it. */
static void leaf_glob(struct query_parser *parser, const struct query_word *word,
		      struct query_leaf *leaf)
{
	leaf->test = TEST_GLOB;
	glob_make(parser, word->tokens, word->token_count, false, &leaf->glob);
	struct token *around = query_alloc(parser, (word->token_count + 2) * sizeof *around);
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
static void leaf_word(struct query_parser *parser, const struct query_word *word,
		      struct query_leaf *leaf)
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
		query_too_large(parser);
	leaf->text = copy;
}

static void leaf_check(struct query_parser *parser, const struct query_word *word,
		       const struct query_leaf *leaf)
{
	if (query_virtual_of(leaf->id) == VIRTUAL_TIME && !leaf->is_time &&
	    leaf->test != TEST_EXISTS)
		query_refuse(parser, word->at,
			     "@timestamp is compared with times such as 2026-11-21T22:31:40Z");
	if (leaf->id != FIELD_OTHER && schema_info(leaf->id)->type == FIELD_TYPE_ip &&
	    leaf->test == TEST_EQUALS && memchr(word->text.data, '/', word->text.size) != NULL &&
	    (!leaf->is_network || !cidr_is_strict(&leaf->network)))
		query_refuse(
			parser, word->at,
			"this is no network: it must be written ADDRESS/BITS with no bit set behind "
			"the prefix, such as 10.0.0.0/8");
}

/* field NULL: a word that may stand in any field. */
static const struct query_node *leaf_new(struct query_parser *parser,
					 const struct query_word *field,
					 const struct query_word *word, enum comparison how,
					 bool range)
{
	struct query_leaf *leaf = query_alloc(parser, sizeof *leaf);
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
		query_refuse(parser, word->at, "a pattern has no order; compare with a value");
	leaf_check(parser, word, leaf);
	((struct query_node *)node)->leaf = leaf;
	return node;
}

static const struct query_node *parse_or(struct query_parser *parser,
					 const struct query_word *field);

static bool is_word(const struct query_parser *parser)
{
	return parser->word.kind == WORD_QUOTED ||
	       (parser->word.kind == WORD_PLAIN && !query_at_keyword(parser, "and") &&
		!query_at_keyword(parser, "or") && !query_at_keyword(parser, "not"));
}

static void want(struct query_parser *parser, const char *what)
{
	char text[200];
	(void)snprintf(text, sizeof text, "%s is missing here", what);
	query_refuse(parser,
		     parser->word.at > parser->query.size ? parser->query.size : parser->word.at,
		     text);
}

static const struct query_node *parse_range(struct query_parser *parser,
					    const struct query_word *field)
{
	static const struct {
		const char *sign;
		enum comparison how;
	} signs[] = {
		{"<", COMPARE_LT}, {"<=", COMPARE_LTE}, {">", COMPARE_GT}, {">=", COMPARE_GTE}};
	for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
		if (!query_take_value_sign(parser, signs[i].sign))
			continue;
		struct query_word word = parser->word;
		if (!is_word(parser)) {
			want(parser, "the value to compare with");
			return NULL;
		}
		query_advance(parser);
		return leaf_new(parser, field, &word, signs[i].how, true);
	}
	return NULL;
}

/* A test, or inside `field: (...)` a word of that field. */
static const struct query_node *parse_test(struct query_parser *parser,
					   const struct query_word *field)
{
	struct query_word word = parser->word;
	if (!is_word(parser)) {
		want(parser, field == NULL ? "a test such as user.name: alice" : "a value");
		return NULL;
	}
	query_advance(parser);
	if (field != NULL)
		return leaf_new(parser, field, &word, COMPARE_EQ, false);
	const struct query_node *range = parse_range(parser, &word);
	if (range != NULL || parser->status != OK)
		return range;
	if (!query_take_value_sign(parser, ":"))
		return leaf_new(parser, NULL, &word, COMPARE_EQ, false);
	if (query_at_sign(parser, "{")) {
		query_refuse(parser, parser->word.at,
			     "nested queries are not known: name the field whole, a.b.c: value");
		return NULL;
	}
	if (!query_take_sign(parser, "("))
		return parse_test(parser, &word);
	const struct query_node *list = parse_or(parser, &word);
	if (!query_take_sign(parser, ")"))
		want(parser, "the ) of the list");
	return list;
}

static const struct query_node *parse_not(struct query_parser *parser,
					  const struct query_word *field)
{
	const struct query_node *node = NULL;
	if (++parser->depth > QUERY_DEPTH_MAX)
		query_too_large(parser);
	else if (query_take_keyword(parser, "not"))
		node = node_new(parser, QUERY_NOT, parse_not(parser, field), NULL);
	else if (query_take_sign(parser, "(")) {
		node = parse_or(parser, field);
		if (!query_take_sign(parser, ")"))
			want(parser, "the ) of this group");
	} else
		node = parse_test(parser, field);
	parser->depth--;
	return node;
}

static const struct query_node *parse_and(struct query_parser *parser,
					  const struct query_word *field)
{
	const struct query_node *node = parse_not(parser, field);
	while (parser->status == OK && query_take_keyword(parser, "and"))
		node = node_new(parser, QUERY_AND, node, parse_not(parser, field));
	return node;
}

static const struct query_node *parse_or(struct query_parser *parser,
					 const struct query_word *field)
{
	const struct query_node *node = parse_and(parser, field);
	while (parser->status == OK && query_take_keyword(parser, "or"))
		node = node_new(parser, QUERY_OR, node, parse_and(parser, field));
	return node;
}

static bool take_duration(struct query_parser *parser, int64_t *ret_us)
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
		query_advance(parser);
		return true;
	}
	want(parser, "a duration such as 5m, 1h or 1d");
	return false;
}

static void take_fields(struct query_parser *parser, struct query *query, size_t most)
{
	do {
		struct query_word word = parser->word;
		if (!is_word(parser) || word.tokens != NULL) {
			want(parser, "the name of a field");
			return;
		}
		if (query->field_count == most) {
			query_refuse(parser, word.at, "that is a field too many");
			return;
		}
		query_advance(parser);
		query->fields[query->field_count++] = schema_canonical(word.text);
	} while (query_take_sign(parser, ","));
}

static void parse_top(struct query_parser *parser, struct query *query)
{
	struct number number;
	query->output = OUTPUT_TOP;
	query->top = QUERY_TOP_DEFAULT;
	take_fields(parser, query, 1);
	if (parser->word.kind != WORD_PLAIN)
		return;
	if (!number_parse(parser->word.text, &number) || !number.is_integer || number.integer < 1 ||
	    number.integer > QUERY_TOP_MAX) {
		query_refuse(parser, parser->word.at, "how many? A number from 1 to 10000");
		return;
	}
	query->top = (size_t)number.integer;
	query_advance(parser);
}

static void parse_stage(struct query_parser *parser, struct query *query)
{
	if (query_take_keyword(parser, "count")) {
		query->output = OUTPUT_COUNT;
		if (query_take_keyword(parser, "by"))
			take_fields(parser, query, QUERY_FIELDS_MAX);
		if (query_take_keyword(parser, "over"))
			(void)take_duration(parser, &query->bucket_us);
	} else if (query_take_keyword(parser, "top")) {
		parse_top(parser, query);
	} else if (query_take_keyword(parser, "histogram")) {
		query->output = OUTPUT_HISTOGRAM;
		(void)take_duration(parser, &query->bucket_us);
	} else {
		query_refuse(
			parser, parser->word.at,
			"behind the | stands: count [by FIELD, ...] [over 1h], top FIELD [N], or "
			"histogram 5m");
	}
}

enum status query_parse(struct text text, struct arena *arena, struct query *ret_query,
			struct error *err)
{
	struct query query = {.output = OUTPUT_EVENTS};
	struct query_parser parser = {.arena = arena, .err = err, .status = OK};
	if (text.size > QUERY_BYTES_MAX)
		return error_set(err, ELIMIT, "the query has %zu bytes; it may have %d", text.size,
				 QUERY_BYTES_MAX);
	parser.query = arena_copy(arena, text);
	if (parser.query.data == NULL)
		return error_set(err, ENOMEMORY, "no memory for a query");
	query_advance(&parser);
	if (parser.word.kind == WORD_END || query_at_sign(&parser, "|"))
		query.root = node_new(&parser, QUERY_ALL, NULL, NULL);
	else
		query.root = parse_or(&parser, NULL);
	if (parser.status == OK && query_take_sign(&parser, "|"))
		parse_stage(&parser, &query);
	if (parser.status == OK && parser.word.kind != WORD_END) {
		bool word = is_word(&parser);
		query_refuse(
			&parser, parser.word.at,
			word ? "two words stand side by side: quote them together, or put `and` or "
			       "`or` between them"
			     : "this does not belong here");
	}
	if (parser.status == OK)
		*ret_query = query;
	return parser.status;
}
