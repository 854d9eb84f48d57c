#include "rules/scanner.h"

#include <assert.h>
#include <hs/hs.h>
#include <stdio.h>
#include <stdlib.h>

#include "rules/ast_private.h"

struct scanner {
	hs_database_t *database;
};

/* What hs_compile_multi() wants: one array for each property. */
struct columns {
	char **expressions;
	unsigned *flags;
	unsigned *ids;
	size_t *origins; /* index in the caller's patterns */
	unsigned count;
	size_t capacity;
};

static void columns_done(struct columns *columns)
{
	for (size_t i = 0; columns->expressions != NULL && i < columns->capacity; i++)
		free(columns->expressions[i]);
	free(columns->expressions);
	free(columns->flags);
	free(columns->ids);
	free(columns->origins);
}

/* - / and U+2013 to U+2015 in UTF-8, as bytes. */
static const char dash_expression[] = "(?:[\\-/]|\\xe2\\x80[\\x93-\\x95])";

static size_t token_size(const struct token *token)
{
	return token->kind == TOKEN_LITERAL ? token->literal.size : 1;
}

bool scanner_takes_all(const struct token *tokens, size_t token_count)
{
	size_t size = 0;
	for (size_t i = 0; i < token_count; i++)
		size += token_size(&tokens[i]);
	return size <= SCANNER_TOKENS_MAX;
}

/* Tokens as an expression: every byte in hex, so that no byte has a meaning. */
static char *tokens_expression(const struct token *tokens, size_t token_count)
{
	char *expression = malloc(SCANNER_TOKENS_MAX * sizeof dash_expression + 1);
	size_t used = 0;
	size_t left = SCANNER_TOKENS_MAX;
	if (expression == NULL)
		return NULL;
	expression[0] = '\0';
	for (size_t i = 0; i < token_count && left > 0; i++) {
		assert(tokens[i].kind == TOKEN_LITERAL || tokens[i].kind == TOKEN_DASH);
		if (tokens[i].kind == TOKEN_DASH) {
			memcpy(expression + used, dash_expression, sizeof dash_expression);
			used += sizeof dash_expression - 1;
			left--;
			continue;
		}
		struct text literal = tokens[i].literal;
		for (size_t k = 0; k < literal.size && left > 0; k++, left--, used += 4)
			(void)snprintf(expression + used, 5, "\\x%02x",
				       (unsigned char)literal.data[k]);
	}
	return expression;
}

static unsigned flags_of(const struct scan_pattern *pattern)
{
	unsigned flags = HS_FLAG_SINGLEMATCH;
	if (!pattern->is_regex)
		return flags | (pattern->caseless ? HS_FLAG_CASELESS : 0);
	flags |= HS_FLAG_UTF8 | HS_FLAG_ALLOWEMPTY;
	flags |= (pattern->regex_flags & REGEX_CASELESS) != 0 ? HS_FLAG_CASELESS : 0;
	flags |= (pattern->regex_flags & REGEX_MULTILINE) != 0 ? HS_FLAG_MULTILINE : 0;
	flags |= (pattern->regex_flags & REGEX_DOTALL) != 0 ? HS_FLAG_DOTALL : 0;
	return flags;
}

/* A quick look at a regular expression: parsed, not compiled. */
static bool is_refused(const char *expression, unsigned flags)
{
	hs_expr_info_t *info = NULL;
	hs_compile_error_t *error = NULL;
	hs_error_t code = hs_expression_info(expression, flags, &info, &error);
	free(info);
	(void)hs_free_compile_error(error);
	return code != HS_SUCCESS;
}

static enum status columns_fill(struct columns *columns, struct scan_pattern *patterns,
				size_t count)
{
	columns->capacity = count;
	columns->expressions = calloc(count, sizeof *columns->expressions);
	columns->flags = calloc(count, sizeof *columns->flags);
	columns->ids = calloc(count, sizeof *columns->ids);
	columns->origins = calloc(count, sizeof *columns->origins);
	if (columns->expressions == NULL || columns->flags == NULL || columns->ids == NULL ||
	    columns->origins == NULL)
		return ENOMEMORY;
	for (size_t i = 0; i < count; i++) {
		char *expression =
			patterns[i].is_regex
				? strndup(patterns[i].text.size == 0 ? "" : patterns[i].text.data,
					  patterns[i].text.size)
				: tokens_expression(patterns[i].tokens, patterns[i].token_count);
		if (expression == NULL)
			return ENOMEMORY;
		assert(patterns[i].is_regex || expression[0] != '\0');
		unsigned at = columns->count;
		columns->expressions[at] = expression;
		columns->flags[at] = flags_of(&patterns[i]);
		columns->ids[at] = patterns[i].id;
		columns->origins[at] = i;
		patterns[i].ret_refused =
			patterns[i].is_regex && is_refused(expression, columns->flags[at]);
		if (patterns[i].ret_refused) {
			free(expression);
			columns->expressions[at] = NULL;
		} else {
			columns->count++;
		}
	}
	return OK;
}

/* Takes out the regular expression at `index`, or every one when index is negative (Vectorscan
 * said that they are too much together). False when there was nothing to take out. */
static bool columns_drop(struct columns *columns, struct scan_pattern *patterns, int index)
{
	unsigned kept = 0;
	for (unsigned i = 0; i < columns->count; i++) {
		struct scan_pattern *pattern = &patterns[columns->origins[i]];
		bool chosen = index < 0 || i == (unsigned)index;
		if (chosen && pattern->is_regex) {
			pattern->ret_refused = true;
			free(columns->expressions[i]);
			continue;
		}
		columns->expressions[kept] = columns->expressions[i];
		columns->flags[kept] = columns->flags[i];
		columns->ids[kept] = columns->ids[i];
		columns->origins[kept++] = columns->origins[i];
	}
	bool dropped = kept < columns->count;
	for (unsigned i = kept; i < columns->count; i++)
		columns->expressions[i] = NULL;
	columns->count = kept;
	return dropped;
}

static enum status compile(struct scanner *scanner, struct columns *columns,
			   struct scan_pattern *patterns, struct error *err)
{
	for (;;) {
		hs_compile_error_t *error = NULL;
		if (columns->count == 0)
			return OK;
		hs_error_t code = hs_compile_multi((const char *const *)columns->expressions,
						   columns->flags, columns->ids, columns->count,
						   HS_MODE_BLOCK, NULL, &scanner->database, &error);
		if (code == HS_SUCCESS)
			return OK;
		int index = error == NULL ? -1 : error->expression;
		enum status status =
			columns_drop(columns, patterns, index)
				? OK
				: error_set(err, ESYSTEM, "Vectorscan: %s",
					    error == NULL ? "unknown error" : error->message);
		(void)hs_free_compile_error(error);
		if (status != OK)
			return status;
	}
}

enum status scanner_new(struct scan_pattern *patterns, size_t count, struct scanner **ret_scanner,
			struct error *err)
{
	assert(count > 0);
	struct scanner *scanner cleanup(scanner_free) = calloc(1, sizeof *scanner);
	struct columns columns cleanup(columns_done) = {0};
	if (scanner == NULL)
		return ENOMEMORY;
	enum status status = columns_fill(&columns, patterns, count);
	if (status == OK)
		status = compile(scanner, &columns, patterns, err);
	if (status == OK)
		*ret_scanner = TAKE(scanner);
	return status;
}

void scanner_free(struct scanner **scanner)
{
	if (*scanner == NULL)
		return;
	(void)hs_free_database((*scanner)->database);
	free(*scanner);
	*scanner = NULL;
}

enum status scanner_reserve(const struct scanner *scanner, struct hs_scratch **scratch)
{
	if (scanner->database == NULL)
		return OK;
	return hs_alloc_scratch(scanner->database, scratch) == HS_SUCCESS ? OK : ENOMEMORY;
}

struct hs_scratch *scanner_scratch_copy(const struct hs_scratch *scratch)
{
	struct hs_scratch *copy = NULL;
	return hs_clone_scratch(scratch, &copy) == HS_SUCCESS ? copy : NULL;
}

void scanner_scratch_free(struct hs_scratch **scratch)
{
	(void)hs_free_scratch(*scratch);
	*scratch = NULL;
}

struct hit {
	void (*on_hit)(void *context, uint32_t id);
	void *context;
};

static int report(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
		  void *context)
{
	(void)from;
	(void)to;
	(void)flags;
	const struct hit *hit = context;
	hit->on_hit(hit->context, id);
	return 0;
}

enum status scanner_scan(const struct scanner *scanner, struct hs_scratch *scratch, struct text t,
			 void (*on_hit)(void *context, uint32_t id), void *context)
{
	if (scanner->database == NULL)
		return OK;
	assert(t.size <= UINT32_MAX);
	struct hit hit = {on_hit, context};
	hs_error_t code = hs_scan(scanner->database, t.size == 0 ? "" : t.data, (unsigned)t.size, 0,
				  scratch, report, &hit);
	return code == HS_SUCCESS ? OK : ESYSTEM;
}
