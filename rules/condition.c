#include "rules/condition_private.h"

#include <assert.h>
#include <strings.h>

/* Sigma's condition, from the weakest to the strongest binding:
 *
 *   condition  := and ( 'or' and )*
 *   and        := not ( 'and' not )*
 *   not        := 'not'* atom
 *   atom       := '(' condition ')'  |  quantifier 'of' ( 'them' | pattern )  |  identifier
 *   quantifier := number | 'any' | 'all'
 *
 * Words of the grammar are accepted in any case (drafts of the standard write AND and NOT). A
 * number above 1 is an extension. What Sigma 2.0 removed ('|' with count() or near) gets an answer
 * of its own. Recursive descent; only parentheses recurse, so the depth is theirs. */

struct parser {
	struct text text;
	size_t at;        /* where the current word begins */
	struct text word; /* "" at the end */
	struct position place;
	bool exact;
	unsigned depth;
	struct arena *arena;
	struct error *err;
};

/* Children of the node being built: a chain, copied to an array when the node is complete. */
struct link {
	struct link *next;
	const struct condition_node *node;
};

static bool is_word_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-' || c == '*' || c == '.' || (unsigned char)c >= 0x80;
}

static void advance(struct parser *parser)
{
	struct text text = parser->text;
	size_t at = parser->at + parser->word.size;
	while (at < text.size && (text.data[at] == ' ' || text.data[at] == '\t' ||
				  text.data[at] == '\n' || text.data[at] == '\r'))
		at++;
	size_t end = at;
	while (end < text.size && is_word_byte(text.data[end]))
		end++;
	if (end == at && end < text.size)
		end++; /* a sign: parenthesis, '|' or something foreign */
	parser->at = at;
	parser->word = (struct text){text.data == NULL ? NULL : text.data + at, end - at};
}

static bool is_keyword(struct text word, const char *keyword)
{
	return word.size == strlen(keyword) && strncasecmp(word.data, keyword, word.size) == 0;
}

static bool at_keyword(const struct parser *parser, const char *keyword)
{
	return is_keyword(parser->word, keyword);
}

static enum status wrong(const struct parser *parser, const char *what, const char *fix)
{
	struct position at = parser->place;
	if (parser->exact)
		at.column += (unsigned)parser->at;
	/* A long condition is shown around the word only, so that the fix is never cut off. */
	size_t from = parser->at > 60 ? parser->at - 60 : 0;
	struct text shown = text_cut(parser->text, from);
	if (shown.size > 120)
		shown.size = 120;
	struct text near = parser->word;
	if (near.size == 0)
		return error_at(parser->err, EINVALID, at,
				"condition '%.*s': %s at its end\n  fix: %s", TEXT_ARG(shown), what,
				fix);
	if (near.size > 60)
		near.size = 60;
	return error_at(parser->err, EINVALID, at,
			"condition '%.*s': %s at '%.*s' (character %zu)\n  fix: %s",
			TEXT_ARG(shown), what, TEXT_ARG(near), parser->at + 1, fix);
}

static enum status out_of_memory(const struct parser *parser)
{
	return error_set(parser->err, ENOMEMORY, "out of memory");
}

static struct condition_node *node_new(const struct parser *parser, enum condition_kind kind)
{
	struct condition_node *node = arena_alloc(parser->arena, sizeof *node);
	if (node != NULL) {
		node->kind = kind;
		node->offset = parser->at;
	}
	return node;
}

static enum status parse_or(struct parser *parser, const struct condition_node **ret_node);

static enum status parse_parenthesis(struct parser *parser, const struct condition_node **ret_node)
{
	if (++parser->depth > CONDITION_DEPTH_MAX)
		return wrong(parser, "too many parentheses inside each other",
			     "split the condition into several rules");
	advance(parser);
	enum status status = parse_or(parser, ret_node);
	if (status != OK)
		return status;
	if (!text_equal(parser->word, TEXT(")")))
		return wrong(parser, "')' expected", "close the parenthesis");
	advance(parser);
	parser->depth--;
	return OK;
}

/* "1", "any" and numbers; false when the word is no quantifier. all is 0. */
static bool quantifier(struct text word, size_t *ret_at_least)
{
	if (is_keyword(word, "all") || is_keyword(word, "any")) {
		*ret_at_least = is_keyword(word, "any") ? 1 : 0;
		return true;
	}
	size_t number = 0;
	for (size_t i = 0; i < word.size; i++) {
		if (word.data[i] < '0' || word.data[i] > '9' || number > 1000000)
			return false;
		number = number * 10 + (size_t)(word.data[i] - '0');
	}
	*ret_at_least = number;
	return number > 0;
}

static enum status parse_of(struct parser *parser, size_t at_least,
			    const struct condition_node **ret_node)
{
	struct condition_node *node = node_new(parser, CONDITION_OF);
	if (node == NULL)
		return out_of_memory(parser);
	advance(parser); /* over "of" */
	if (parser->word.size == 0 || !is_word_byte(parser->word.data[0]))
		return wrong(parser, "'them' or a pattern expected behind 'of'",
			     "write for instance `1 of selection_*`");
	if (condition_reserved(parser->word) && !at_keyword(parser, "them"))
		return wrong(parser, "'them' or a pattern expected behind 'of'",
			     "write for instance `1 of selection_*`");
	node->name = at_keyword(parser, "them") ? TEXT("them") : parser->word;
	node->at_least = at_least;
	advance(parser);
	*ret_node = node;
	return OK;
}

static enum status parse_name(struct parser *parser, const struct condition_node **ret_node)
{
	struct text word = parser->word;
	if (condition_reserved(word))
		return wrong(parser, "a name or '(' expected",
			     "put the name of a selection here, or remove the word");
	if (memchr(word.data, '*', word.size) != NULL)
		return wrong(parser, "a pattern without a quantifier",
			     "write `1 of` or `all of` before it");
	struct condition_node *node = node_new(parser, CONDITION_NAME);
	if (node == NULL)
		return out_of_memory(parser);
	node->name = word;
	advance(parser);
	*ret_node = node;
	return OK;
}

static enum status parse_atom(struct parser *parser, const struct condition_node **ret_node)
{
	if (text_equal(parser->word, TEXT("(")))
		return parse_parenthesis(parser, ret_node);
	if (text_equal(parser->word, TEXT("|")))
		return wrong(parser, "aggregations were removed in Sigma 2.0",
			     "write a correlation document (type: event_count)");
	if (parser->word.size == 0)
		return wrong(parser, "a name or '(' expected",
			     "put the name of a selection there, or remove the last word");
	if (!is_word_byte(parser->word.data[0]))
		return wrong(parser, "a name or '(' expected",
			     "names hold letters, digits, '_' and '-'");
	struct parser ahead = *parser;
	size_t at_least = 0;
	if (quantifier(parser->word, &at_least)) {
		advance(&ahead);
		if (at_keyword(&ahead, "of")) {
			*parser = ahead;
			return parse_of(parser, at_least, ret_node);
		}
	}
	return parse_name(parser, ret_node);
}

static enum status parse_not(struct parser *parser, const struct condition_node **ret_node)
{
	size_t offset = parser->at;
	bool negated = false, any = false;
	for (; at_keyword(parser, "not"); advance(parser)) {
		negated = !negated;
		any = true;
	}
	const struct condition_node *child = NULL;
	enum status status = parse_atom(parser, &child);
	if (status != OK || !any || !negated) {
		if (status == OK)
			*ret_node = child;
		return status;
	}
	struct condition_node *node = node_new(parser, CONDITION_NOT);
	const struct condition_node **children = arena_alloc(parser->arena, sizeof *children);
	if (node == NULL || children == NULL)
		return out_of_memory(parser);
	children[0] = child;
	node->children = children;
	node->child_count = 1;
	node->offset = offset;
	*ret_node = node;
	return OK;
}

static enum status joined(struct parser *parser, enum condition_kind kind, const struct link *links,
			  size_t count, const struct condition_node **ret_node)
{
	if (count == 1) {
		*ret_node = links->node;
		return OK;
	}
	struct condition_node *node = node_new(parser, kind);
	const struct condition_node **children =
		arena_alloc(parser->arena, count * sizeof *children);
	if (node == NULL || children == NULL)
		return out_of_memory(parser);
	for (size_t i = count; i > 0; i--, links = links->next)
		children[i - 1] = links->node; /* the chain begins with the last */
	node->children = children;
	node->child_count = count;
	node->offset = children[0]->offset;
	*ret_node = node;
	return OK;
}

/* operand ( word operand )*, for both levels. */
static enum status parse_series(struct parser *parser, const char *word,
				enum status (*operand)(struct parser *,
						       const struct condition_node **),
				const struct condition_node **ret_node)
{
	struct link *links = NULL;
	size_t count = 0;
	do {
		if (count > 0)
			advance(parser);
		struct link *link = arena_alloc(parser->arena, sizeof *link);
		if (link == NULL)
			return out_of_memory(parser);
		enum status status = operand(parser, &link->node);
		if (status != OK)
			return status;
		link->next = links;
		links = link;
		count++;
	} while (at_keyword(parser, word));
	enum condition_kind kind = is_keyword(text_of(word), "or") ? CONDITION_OR : CONDITION_AND;
	return joined(parser, kind, links, count, ret_node);
}

static enum status parse_and(struct parser *parser, const struct condition_node **ret_node)
{
	return parse_series(parser, "and", parse_not, ret_node);
}

static enum status parse_or(struct parser *parser, const struct condition_node **ret_node)
{
	return parse_series(parser, "or", parse_and, ret_node);
}

enum status condition_parse(struct text text, struct position at, bool exact, struct arena *arena,
			    const struct condition_node **ret_node, struct error *err)
{
	assert(arena != NULL);
	struct parser parser = {
		.text = text, .place = at, .exact = exact, .arena = arena, .err = err};
	if (text.size > CONDITION_BYTES_MAX)
		return error_at(err, ELIMIT, at,
				"condition longer than %d bytes\n  fix: use `1 of "
				"pattern*`, or several rules",
				CONDITION_BYTES_MAX);
	advance(&parser);
	if (parser.word.size == 0)
		return error_at(err, EINVALID, at,
				"condition is empty\n  fix: name a selection, for instance "
				"`condition: selection`");
	const struct condition_node *node = NULL;
	enum status status = parse_or(&parser, &node);
	if (status != OK)
		return status;
	if (text_equal(parser.word, TEXT("|")))
		return wrong(&parser, "aggregations were removed in Sigma 2.0",
			     "write a correlation document (type: event_count)");
	if (text_equal(parser.word, TEXT(")")))
		return wrong(&parser, "no '(' for this ')'", "remove it, or open a parenthesis");
	if (parser.word.size != 0)
		return wrong(&parser, "'and' or 'or' expected", "join the parts by and / or");
	*ret_node = node;
	return OK;
}

bool condition_excludes(const struct condition_node *node)
{
	if (node->kind != CONDITION_AND && node->kind != CONDITION_OR)
		return node->kind == CONDITION_NOT;
	for (size_t i = 0; i < node->child_count; i++)
		if (!condition_excludes(node->children[i]))
			return false;
	return true;
}

bool condition_pattern_matches(struct text pattern, struct text name)
{
	/* The usual two-pointer glob: on a mismatch the last '*' takes one more byte. */
	size_t at = 0, in_name = 0, star = pattern.size, resume = 0;
	while (in_name < name.size) {
		if (at < pattern.size && pattern.data[at] == '*') {
			star = at++;
			resume = in_name;
		} else if (at < pattern.size && pattern.data[at] == name.data[in_name]) {
			at++;
			in_name++;
		} else if (star < pattern.size) {
			at = star + 1;
			in_name = ++resume;
		} else {
			return false;
		}
	}
	while (at < pattern.size && pattern.data[at] == '*')
		at++;
	return at == pattern.size;
}

bool condition_reserved(struct text name)
{
	static const char *const words[] = {"and", "or", "not", "of", "them", "any", "all"};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (is_keyword(name, words[i]))
			return true;
	return false;
}
