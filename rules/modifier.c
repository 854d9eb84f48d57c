#include "rules/modifier_private.h"

#include <assert.h>

/* One table says what each modifier may stand together with; the order inside a chain is checked
 * as it is read: what rewrites the value (windash, expand), then UTF-16, then Base64, then where in
 * the field it is looked for. Sigma 2.1 leaves most combinations open; these are the ones pySigma
 * takes, and every other one is refused rather than guessed. */

#define ANYWHERE (MODIFIER_ALL | MODIFIER_NEQ)
#define PLACES   (MODIFIER_STARTSWITH | MODIFIER_ENDSWITH | MODIFIER_CONTAINS)
/* Said twice, these mean what they mean once: neq|neq is no double negation. */
#define REPEATABLE (MODIFIER_ALL | MODIFIER_NEQ | PLACES | MODIFIER_CASED | MODIFIER_WINDASH)
#define CODES      (MODIFIER_UTF16 | MODIFIER_BASE64)
#define RE_FLAGS   (MODIFIER_RE_CASELESS | MODIFIER_RE_MULTILINE | MODIFIER_RE_DOTALL)
#define WITH_PLACE                                                                            \
	(ANYWHERE | MODIFIER_CASED | MODIFIER_WINDASH | MODIFIER_EXPAND | MODIFIER_FIELDREF | \
	 MODIFIER_RE | RE_FLAGS | CODES)
#define WITH_RE   (ANYWHERE | PLACES | MODIFIER_EXPAND | MODIFIER_RE | RE_FLAGS)
#define WITH_TEXT (ANYWHERE | PLACES | MODIFIER_CASED | MODIFIER_WINDASH | MODIFIER_EXPAND | CODES)

static const struct {
	const char *name;
	unsigned bit;
	unsigned with; /* its own bit is left out: no modifier stands twice */
	int detail;    /* enum comparison, time_part or encoding */
} table[] = {
	{"all", MODIFIER_ALL, ~(unsigned)(MODIFIER_ALL | MODIFIER_EXISTS), 0},
	{"neq", MODIFIER_NEQ, ~(unsigned)(MODIFIER_NEQ | MODIFIER_EXISTS), 0},
	{"startswith", MODIFIER_STARTSWITH, WITH_PLACE, 0},
	{"endswith", MODIFIER_ENDSWITH, WITH_PLACE, 0},
	{"contains", MODIFIER_CONTAINS, WITH_PLACE, 0},
	{"cased", MODIFIER_CASED, WITH_TEXT & ~(unsigned)MODIFIER_CASED, 0},
	{"windash", MODIFIER_WINDASH, WITH_TEXT & ~(unsigned)MODIFIER_WINDASH, 0},
	{"expand", MODIFIER_EXPAND,
	 (WITH_TEXT | MODIFIER_RE | RE_FLAGS) & ~(unsigned)MODIFIER_EXPAND, 0},
	{"exists", MODIFIER_EXISTS, 0, 0},
	{"fieldref", MODIFIER_FIELDREF, ANYWHERE | PLACES, 0},
	{"cidr", MODIFIER_CIDR, ANYWHERE, 0},
	{"re", MODIFIER_RE, WITH_RE & ~(unsigned)MODIFIER_RE, 0},
	{"i", MODIFIER_RE_CASELESS, WITH_RE & ~(unsigned)MODIFIER_RE_CASELESS, 0},
	{"ignorecase", MODIFIER_RE_CASELESS, WITH_RE & ~(unsigned)MODIFIER_RE_CASELESS, 0},
	{"m", MODIFIER_RE_MULTILINE, WITH_RE & ~(unsigned)MODIFIER_RE_MULTILINE, 0},
	{"multiline", MODIFIER_RE_MULTILINE, WITH_RE & ~(unsigned)MODIFIER_RE_MULTILINE, 0},
	{"s", MODIFIER_RE_DOTALL, WITH_RE & ~(unsigned)MODIFIER_RE_DOTALL, 0},
	{"dotall", MODIFIER_RE_DOTALL, WITH_RE & ~(unsigned)MODIFIER_RE_DOTALL, 0},
	{"lt", MODIFIER_COMPARE, ANYWHERE | MODIFIER_TIME, COMPARE_LT},
	{"lte", MODIFIER_COMPARE, ANYWHERE | MODIFIER_TIME, COMPARE_LTE},
	{"gt", MODIFIER_COMPARE, ANYWHERE | MODIFIER_TIME, COMPARE_GT},
	{"gte", MODIFIER_COMPARE, ANYWHERE | MODIFIER_TIME, COMPARE_GTE},
	{"minute", MODIFIER_TIME, ANYWHERE | MODIFIER_COMPARE, PART_MINUTE},
	{"hour", MODIFIER_TIME, ANYWHERE | MODIFIER_COMPARE, PART_HOUR},
	{"day", MODIFIER_TIME, ANYWHERE | MODIFIER_COMPARE, PART_DAY},
	{"week", MODIFIER_TIME, ANYWHERE | MODIFIER_COMPARE, PART_WEEK},
	{"month", MODIFIER_TIME, ANYWHERE | MODIFIER_COMPARE, PART_MONTH},
	{"year", MODIFIER_TIME, ANYWHERE | MODIFIER_COMPARE, PART_YEAR},
	{"utf16le", MODIFIER_UTF16, WITH_TEXT & ~(unsigned)MODIFIER_UTF16, ENCODING_UTF16LE},
	{"wide", MODIFIER_UTF16, WITH_TEXT & ~(unsigned)MODIFIER_UTF16, ENCODING_UTF16LE},
	{"utf16be", MODIFIER_UTF16, WITH_TEXT & ~(unsigned)MODIFIER_UTF16, ENCODING_UTF16BE},
	{"utf16", MODIFIER_UTF16, WITH_TEXT & ~(unsigned)MODIFIER_UTF16, ENCODING_UTF16},
	{"base64", MODIFIER_BASE64, WITH_TEXT & ~(unsigned)MODIFIER_BASE64, ENCODING_BASE64},
	{"base64offset", MODIFIER_BASE64, WITH_TEXT & ~(unsigned)MODIFIER_BASE64,
	 ENCODING_BASE64OFFSET},
};
enum { TABLE_COUNT = sizeof table / sizeof *table };

/* What people write who come from other languages. */
static const struct {
	const char *word, *fix;
} strangers[] = {
	{"equalsfield", "write fieldref"},
	{"equalsfields", "write fieldref"},
	{"regex", "write re"},
	{"regexp", "write re"},
	{"matches", "write re"},
	{"not", "write neq, or a selection of its own behind `not` in the condition"},
	{"ne", "write neq"},
	{"equals", "leave it out: a value without a modifier is the whole value"},
	{"eq", "leave it out: a value without a modifier is the whole value"},
	{"exact", "leave it out: a value without a modifier is the whole value"},
	{"in", "leave it out: a list of values means any of them"},
	{"any", "leave it out: a list of values means any of them"},
	{"like", "write the value with * and ?, without a modifier"},
	{"wildcard", "write the value with * and ?, without a modifier"},
};

static enum status modifier_unknown(struct text word, struct position at, struct error *err)
{
	const char *names[TABLE_COUNT];
	for (size_t i = 0; i < TABLE_COUNT; i++)
		names[i] = table[i].name;
	if (word.size == 0)
		return error_at(err, EINVALID, at,
				"a '|' without a modifier behind it\n  fix: remove it, or write "
				"the modifier");
	for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++)
		if (text_equal(word, text_of(strangers[i].word)))
			return error_at(err, EINVALID, at, "'%.*s' is no Sigma modifier\n  fix: %s",
					TEXT_ARG(word), strangers[i].fix);
	return error_at(
		err, EINVALID, at,
		"unknown modifier '%.*s'%s\n  fix: use one of contains, startswith, endswith, "
		"all, re, cidr, exists, cased, neq, windash, base64, base64offset, wide, "
		"utf16le, utf16be, utf16, expand, fieldref, lt, lte, gt, gte, minute, hour, "
		"day, week, month, year",
		TEXT_ARG(word), hint_for(word, names, TABLE_COUNT).text);
}

/* The reason why a modifier may not follow what was seen, or NULL. */
static const char *order_problem(unsigned seen, unsigned bit)
{
	if ((bit == MODIFIER_RE || bit == MODIFIER_CIDR) && seen != 0)
		return "must be the first modifier";
	if ((bit & RE_FLAGS) != 0 && (seen & MODIFIER_RE) == 0)
		return "only goes behind `re`";
	if ((bit & CODES) != 0 && (seen & PLACES) != 0)
		return "must stand before contains, startswith and endswith";
	if (bit == MODIFIER_UTF16 && (seen & MODIFIER_BASE64) != 0)
		return "must stand before base64 and base64offset (the text is encoded first)";
	if ((bit == MODIFIER_WINDASH || bit == MODIFIER_EXPAND) && (seen & CODES) != 0)
		return "must stand before the encodings";
	if (bit == MODIFIER_TIME && (seen & MODIFIER_COMPARE) != 0)
		return "must stand before the comparison: hour|gte";
	return NULL;
}

static enum status modifier_add(struct loader *loader, struct chain *chain, struct text word,
				struct position at, struct error *err)
{
	size_t i = 0;
	while (i < TABLE_COUNT && !text_equal(word, text_of(table[i].name)))
		i++;
	if (i == TABLE_COUNT)
		return modifier_unknown(word, at, err);
	unsigned bit = table[i].bit;
	if ((bit & REPEATABLE & chain->seen) != 0) {
		lint_warn(loader, at, "remove one of them", "modifier '%s' stands twice",
			  table[i].name);
		return OK;
	}
	if ((chain->seen & ~table[i].with) != 0) {
		size_t k = 0;
		while ((table[k].bit & chain->seen & ~table[i].with) == 0)
			k++;
		return error_at(
			err, EINVALID, at,
			"modifier '%s' cannot stand together with '%s'\n  fix: remove one of "
			"them, or write two selections",
			table[i].name, table[k].bit == bit ? table[i].name : table[k].name);
	}
	const char *problem = order_problem(chain->seen, bit);
	if (problem != NULL)
		return error_at(err, EINVALID, at,
				"modifier '%s' %s\n  fix: change the order of the modifiers",
				table[i].name, problem);
	chain->seen |= bit;
	if (bit == MODIFIER_COMPARE)
		chain->how = (enum comparison)table[i].detail;
	if (bit == MODIFIER_TIME)
		chain->part = (enum time_part)table[i].detail;
	if ((bit & CODES) != 0) {
		assert(chain->encoding_count < 2);
		chain->encodings[chain->encoding_count++] = (enum encoding)table[i].detail;
	}
	return OK;
}

static enum status field_checked(const struct loader *loader, struct text field, struct position at,
				 struct error *err)
{
	/* SEP 212 gives brackets a meaning from version 3 on; before it they are part of a name. */
	if (loader->sigma_major >= 3 && memchr(field.data, '[', field.size) != NULL)
		return error_at(
			err, EINVALID, at,
			"this build does not evaluate array scopes such as '%.*s' (SEP 212)\n"
			"  fix: match any member with the plain field name, or remove "
			"`sigma-version: 3` if the bracket is part of the name",
			TEXT_ARG(field));
	return field_is_read(loader, field, at, err);
}

static void chain_lint(struct loader *loader, const struct chain *chain)
{
	bool offset = chain->encoding_count > 0 &&
		      chain->encodings[chain->encoding_count - 1] == ENCODING_BASE64OFFSET;
	if (offset && (chain->seen & MODIFIER_CONTAINS) == 0 && chain->field.size > 0)
		lint_warn(loader, chain->at, "write base64offset|contains",
			  "base64offset without contains only matches a field that is the fragment "
			  "alone");
	if ((chain->seen & MODIFIER_TIME) != 0 && (chain->seen & MODIFIER_COMPARE) != 0)
		lint_warn(loader, chain->at, "list the values to stay portable",
			  "comparing a time part is an extension of picket");
}

/* Where a word of the key stands in the file. A pipeline renames the field only, so that the rest
 * of the key is found by its distance from the end. */
static struct position word_place(const struct yaml_node *key, struct text word)
{
	const struct yaml_node *file = key->written != NULL ? key->written : key;
	size_t left = key->text.size - (size_t)(word.data - key->text.data);
	struct position at = file->at;
	at.column +=
		(left > file->text.size ? 0 : (unsigned)(file->text.size - left)) + file->quoted;
	return at;
}

enum status chain_parse(struct loader *loader, const struct yaml_node *key, struct chain *ret_chain,
			struct error *err)
{
	struct chain chain = {.at = key->at};
	struct text rest = key->text;
	bool first = true;
	while (true) {
		const char *bar = rest.size == 0 ? NULL : memchr(rest.data, '|', rest.size);
		struct text word = {rest.data, bar == NULL ? rest.size : (size_t)(bar - rest.data)};
		struct position at = word_place(key, word);
		enum status status = OK;
		if (first)
			status = field_checked(loader, word, at, err);
		else
			status = modifier_add(loader, &chain, word, at, err);
		if (status != OK)
			return status;
		if (first)
			chain.field = word.size == 0 ? TEXT("") : loader_keep_field(loader, word);
		first = false;
		if (bar == NULL)
			break;
		rest = text_cut(rest, word.size + 1);
	}
	unsigned needs_field = MODIFIER_EXISTS | MODIFIER_FIELDREF | MODIFIER_CIDR |
			       MODIFIER_COMPARE | MODIFIER_TIME;
	if (chain.field.size == 0 && (chain.seen & needs_field) != 0)
		return error_at(err, EINVALID, key->at,
				"this modifier needs a field\n  fix: write the field's name before "
				"the first '|'");
	chain_lint(loader, &chain);
	*ret_chain = chain;
	return OK;
}

static enum status list_checked(const struct yaml_node *key, const struct yaml_node *value,
				const struct chain *chain, struct error *err)
{
	if (value->count == 0)
		return error_at(err, EINVALID, value->at,
				"'%.*s' has an empty list of values\n  fix: give it a value, or "
				"remove it",
				TEXT_ARG(key->text));
	if ((chain->seen & MODIFIER_EXISTS) != 0)
		return error_at(err, EINVALID, value->at,
				"exists takes one value\n  fix: write true or false");
	return OK;
}

enum status item_parse(struct loader *loader, const struct yaml_node *key,
		       const struct yaml_node *value, const struct expr **ret_expr,
		       struct error *err)
{
	struct chain chain;
	enum status status = chain_parse(loader, key, &chain, err);
	if (status != OK)
		return status;
	bool is_list = value->kind == YAML_SEQUENCE;
	if (is_list)
		status = list_checked(key, value, &chain, err);
	size_t count = is_list ? value->count : 1;
	const struct expr **children = arena_alloc(loader->yaml, (count + 1) * sizeof *children);
	if (status == OK && children == NULL)
		status = loader_exhausted(err);
	for (size_t i = 0; status == OK && i < count; i++)
		status = value_parse(loader, &chain, is_list ? value->items[i] : value,
				     is_list && count > 1, &children[i], err);
	if (status != OK)
		return status;
	bool all = (chain.seen & MODIFIER_ALL) != 0;
	if (all && !is_list)
		lint_warn(loader, key->at, "remove `all`, or give it a list",
			  "`all` has no meaning for a single value");
	const struct expr *expr = expr_join(loader, all ? EXPR_AND : EXPR_OR, children, count, 0);
	if (expr != NULL && (chain.seen & MODIFIER_NEQ) != 0)
		expr = expr_not(loader, expr);
	*ret_expr = expr_named(loader, expr, key->text, key->at);
	return *ret_expr == NULL ? loader_exhausted(err) : OK;
}

enum status keyword_parse(struct loader *loader, const struct yaml_node *value,
			  const struct expr **ret_expr, struct error *err)
{
	struct chain chain = {.field = TEXT(""), .at = value->at};
	return value_parse(loader, &chain, value, true, ret_expr, err);
}
