/* predicates - builds predicates, expressions and events in tests, without the parser.
 *
 * Why: the matcher is tested by itself; a bug of the parser must not hide one of the matcher.
 * Owner: one arena per bench, freed by bench_done(). Limits: BENCH_MAX of each kind. */
#ifndef PICKET_TESTS_RULES_PREDICATES_H
#define PICKET_TESTS_RULES_PREDICATES_H

#include <stdarg.h>

#include "rules/program_private.h"
#include "tests/rules/suite.h"

enum { BENCH_MAX = 8192 };

struct bench {
	struct arena *arena;
	struct predicate predicates[BENCH_MAX];
	size_t predicate_count;
	struct detection detections[BENCH_MAX];
	size_t detection_count;
	bool any_logsource;
	bool verbatim_names;
	struct program *program;
	struct matcher *matcher;
	struct event event;
};

static inline struct bench *bench_new(void)
{
	struct bench *bench = calloc(1, sizeof *bench);
	ck_assert_ptr_nonnull(bench);
	bench->arena = arena_new(1 << 30);
	bench->any_logsource = true;
	return bench;
}

static inline void bench_done(struct bench **bench)
{
	matcher_free(&(*bench)->matcher);
	program_free(&(*bench)->program);
	arena_free(&(*bench)->arena);
	free(*bench);
	*bench = NULL;
}

static inline void *bench_alloc(struct bench *bench, size_t size)
{
	void *memory = arena_alloc(bench->arena, size);
	ck_assert_ptr_nonnull(memory);
	return memory;
}

static inline const struct expr *add_predicate(struct bench *bench, struct predicate predicate)
{
	ck_assert_uint_lt(bench->predicate_count, BENCH_MAX);
	struct expr *expr = bench_alloc(bench, sizeof *expr);
	*expr = (struct expr){.kind = EXPR_PREDICATE,
			      .predicate = (uint32_t)bench->predicate_count};
	bench->predicates[bench->predicate_count++] = predicate;
	return expr;
}

/* pattern: `*` and `?` as in Sigma, `~` for a windash, no escapes. field NULL: keyword. */
static inline struct predicate glob_predicate(struct bench *bench, const char *field,
					      struct text pattern)
{
	struct token *tokens = bench_alloc(bench, (pattern.size + 1) * sizeof *tokens);
	size_t count = 0;
	for (size_t i = 0; i < pattern.size;) {
		char c = pattern.data[i];
		size_t size = 0;
		while (i + size < pattern.size && strchr("*?~", pattern.data[i + size]) == NULL)
			size++;
		enum token_kind kind = c == '*'   ? TOKEN_RUN
				       : c == '?' ? TOKEN_ONE
				       : c == '~' ? TOKEN_DASH
						  : TOKEN_LITERAL;
		tokens[count++] = (struct token){kind, {pattern.data + i, size}};
		i += size == 0 ? 1 : size;
	}
	return (struct predicate){.kind = PREDICATE_GLOB,
				  .keyword = field == NULL,
				  .field = text_of(field),
				  .glob = {tokens, count}};
}

static inline const struct expr *glob_of(struct bench *bench, const char *field,
					 const char *pattern)
{
	return add_predicate(bench, glob_predicate(bench, field, text_of(pattern)));
}

static inline const struct expr *cased_of(struct bench *bench, const char *field,
					  const char *pattern)
{
	struct predicate predicate = glob_predicate(bench, field, text_of(pattern));
	predicate.cased = true;
	return add_predicate(bench, predicate);
}

static inline const struct expr *regex_of(struct bench *bench, const char *field,
					  const char *pattern, unsigned flags)
{
	return add_predicate(bench, (struct predicate){.kind = PREDICATE_REGEX,
						       .keyword = field == NULL,
						       .field = text_of(field),
						       .regex = {text_of(pattern), flags},
						       .at = {"test.yml", 1, 1}});
}

static inline const struct expr *number_of(struct bench *bench, const char *field,
					   enum comparison how, int64_t value)
{
	return add_predicate(bench,
			     (struct predicate){.kind = PREDICATE_NUMBER,
						.field = text_of(field),
						.number = {how, (double)value, true, value}});
}

static inline const struct expr *plain_of(struct bench *bench, enum predicate_kind kind,
					  const char *field)
{
	return add_predicate(bench, (struct predicate){.kind = kind, .field = text_of(field)});
}

/* The children end with NULL. */
static inline const struct expr *join(struct bench *bench, enum expr_kind kind, ...)
{
	const struct expr *found[64];
	size_t count = 0;
	va_list children;
	va_start(children, kind);
	for (const struct expr *child; (child = va_arg(children, const struct expr *)) != NULL;)
		found[count++] = child;
	va_end(children);
	struct expr *expr = bench_alloc(bench, sizeof *expr);
	*expr = (struct expr){.kind = kind,
			      .children = bench_alloc(bench, (count + 1) * sizeof *expr->children),
			      .child_count = count};
	memcpy(expr->children, found, count * sizeof *found);
	return expr;
}

static inline void add_rule(struct bench *bench, const struct expr *expr)
{
	ck_assert_uint_lt(bench->detection_count, BENCH_MAX);
	bench->detections[bench->detection_count] =
		(struct detection){.rule_index = (uint32_t)bench->detection_count,
				   .expr = expr,
				   .at = {"test.yml", 1, 1}};
	bench->detection_count++;
}

static inline enum status try_compile(struct bench *bench, struct error *err)
{
	struct program_input input = {.predicates = bench->predicates,
				      .predicate_count = bench->predicate_count,
				      .detections = bench->detections,
				      .detection_count = bench->detection_count,
				      .any_logsource = bench->any_logsource,
				      .verbatim_names = bench->verbatim_names};
	return program_new(&input, &bench->program, err);
}

static inline void compile(struct bench *bench)
{
	struct error err = {0};
	enum status status = try_compile(bench, &err);
	ck_assert_msg(status == OK, "%s", err.text);
	ck_assert_int_eq(matcher_of_program(bench->program, &bench->matcher), OK);
}

static inline void event_begin(struct bench *bench)
{
	bench->event = (struct event){0};
}

static inline void put(struct bench *bench, const char *name, struct value value)
{
	struct text field = text_of(name);
	if (!bench->verbatim_names)
		field = schema_canonical(field);
	ck_assert_int_eq(event_add(&bench->event, bench->arena, field, value), OK);
}

static inline void put_text(struct bench *bench, const char *name, struct text text)
{
	put(bench, name, (struct value){.type = VALUE_STRING, .text = text});
}

static inline void put_string(struct bench *bench, const char *name, const char *text)
{
	put_text(bench, name, text_of(text));
}

static inline void put_integer(struct bench *bench, const char *name, int64_t integer)
{
	put(bench, name,
	    (struct value){.type = VALUE_INTEGER,
			   .integer = integer,
			   .text = arena_print(bench->arena, "%lld", (long long)integer)});
}

static inline void put_real(struct bench *bench, const char *name, const char *digits)
{
	put(bench, name,
	    (struct value){
		    .type = VALUE_REAL, .real = strtod(digits, NULL), .text = text_of(digits)});
}

static inline void put_boolean(struct bench *bench, const char *name, bool boolean)
{
	put(bench, name,
	    (struct value){.type = VALUE_BOOLEAN,
			   .boolean = boolean,
			   .text = text_of(boolean ? "true" : "false")});
}

static inline void put_nothing(struct bench *bench, const char *name, enum value_type type)
{
	put(bench, name, (struct value){.type = type});
}

/* Matches the event both ways, asserts that they agree, and returns the indexed answer. */
static inline struct matches match_both(struct bench *bench)
{
	struct matches plain = {0};
	struct matches indexed = {0};
	uint32_t rules[BENCH_MAX];
	uint32_t undecided[BENCH_MAX];
	ck_assert_int_eq(matcher_match_plainly(bench->matcher, &bench->event, &plain), OK);
	memcpy(rules, plain.rules, plain.count * sizeof *rules);
	memcpy(undecided, plain.undecided, plain.undecided_count * sizeof *undecided);
	ck_assert_int_eq(matcher_match(bench->matcher, &bench->event, &indexed), OK);
	ck_assert_uint_eq(indexed.count, plain.count);
	ck_assert_uint_eq(indexed.undecided_count, plain.undecided_count);
	for (size_t i = 0; i < plain.count; i++)
		ck_assert_uint_eq(indexed.rules[i], rules[i]);
	for (size_t i = 0; i < plain.undecided_count; i++)
		ck_assert_uint_eq(indexed.undecided[i], undecided[i]);
	return indexed;
}

static inline bool has_rule(struct matches matches, uint32_t rule)
{
	for (size_t i = 0; i < matches.count; i++)
		if (matches.rules[i] == rule)
			return true;
	return false;
}

#endif
