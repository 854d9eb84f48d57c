/* Input: a little program of two-byte steps that builds rules, then an event; rules and texts are
 * picked from the bytes. The index must agree with plain evaluation. */
#include <assert.h>
#include <stdint.h>

#include "rules/program_private.h"

enum { RULES = 12, PREDICATES = 24, FIELDS = 4 };

static const char *const names[FIELDS] = {"a", "user.id", "message", "c.d"};

/* Takes the next bytes of the input; zeros behind its end. */
static uint8_t next(struct cursor *input)
{
	return cursor_left(input) == 0 ? 0 : cursor_u8(input);
}

static struct text next_text(struct cursor *input, size_t limit)
{
	size_t size = next(input) % limit;
	size_t left = cursor_left(input);
	return cursor_take(input, size < left ? size : left);
}

static void make_glob(struct cursor *input, struct predicate *predicate, struct arena *arena)
{
	size_t count = next(input) % 5;
	struct token *tokens = arena_alloc(arena, (count + 1) * sizeof *tokens);
	assert(tokens != NULL);
	for (size_t i = 0; i < count; i++) {
		tokens[i].kind = (enum token_kind)(next(input) % 4);
		tokens[i].literal = next_text(input, 6);
	}
	predicate->glob.tokens = tokens;
	predicate->glob.token_count = count;
	predicate->cased = next(input) % 2 == 0;
}

static void make_predicate(struct cursor *input, struct predicate *predicate, struct arena *arena)
{
	static const char *const patterns[] = {"a+b", "^.$", "k", "(?=a)a", "[^a]", "(a)\\1"};
	uint8_t choice = next(input);
	predicate->keyword = choice >= 0xe0;
	predicate->field = text_of(predicate->keyword ? "" : names[choice % FIELDS]);
	switch (choice >> 2 & 7) {
	case 0:
		predicate->kind = predicate->keyword ? PREDICATE_BOOLEAN : PREDICATE_NULL;
		return;
	case 1:
		predicate->kind = PREDICATE_NUMBER;
		predicate->number.how = (enum comparison)(next(input) % 6);
		predicate->number.integer = (int8_t)next(input);
		predicate->number.is_integer = true;
		return;
	case 2:
		predicate->kind = PREDICATE_REGEX;
		predicate->regex.pattern = text_of(patterns[next(input) % 6]);
		predicate->regex.flags = next(input) % 8;
		return;
	case 3:
		predicate->kind = predicate->keyword ? PREDICATE_BOOLEAN : PREDICATE_FIELDREF;
		if (!predicate->keyword) {
			predicate->fieldref.other = text_of(names[next(input) % FIELDS]);
			predicate->fieldref.mode = (enum fieldref_mode)(next(input) % 4);
		}
		return;
	default:
		predicate->kind = PREDICATE_GLOB;
		make_glob(input, predicate, arena);
	}
}

static const struct expr *make_expr(struct cursor *input, struct arena *arena, unsigned depth)
{
	struct expr *expr = arena_alloc(arena, sizeof *expr);
	assert(expr != NULL);
	expr->kind = depth == 0 ? EXPR_PREDICATE : (enum expr_kind)(next(input) % 5);
	if (expr->kind == EXPR_PREDICATE) {
		expr->predicate = next(input) % PREDICATES;
		return expr;
	}
	expr->child_count = expr->kind == EXPR_NOT ? 1 : next(input) % 4;
	expr->at_least = next(input) % 4;
	expr->children = arena_alloc(arena, 4 * sizeof *expr->children);
	assert(expr->children != NULL);
	for (size_t i = 0; i < expr->child_count; i++)
		expr->children[i] = make_expr(input, arena, depth - 1);
	return expr;
}

static void make_event(struct cursor *input, struct event *event, struct arena *arena)
{
	while (cursor_left(input) > 0 && event->field_count < 32) {
		uint8_t choice = next(input);
		struct value value = {.type = (enum value_type)((choice >> 2) % 6)};
		if (value.type == VALUE_INTEGER) {
			value.integer = (int8_t)next(input);
			value.text = arena_print(arena, "%d", (int)value.integer);
		}
		if (value.type == VALUE_REAL) {
			value.real = (int8_t)next(input) / 2.0;
			value.text = arena_print(arena, "%.1f", value.real);
		}
		if (value.type == VALUE_STRING)
			value.text = next_text(input, 40);
		enum status status =
			event_add(event, arena, text_of(names[choice % FIELDS]), value);
		assert(status == OK);
	}
}

static void compare(struct matcher *matcher, const struct event *event)
{
	struct matches plain = {0};
	struct matches indexed = {0};
	uint32_t rules[RULES];
	uint32_t undecided[RULES];
	enum status status = matcher_match_plainly(matcher, event, &plain);
	assert(status == OK);
	memcpy(rules, plain.rules, plain.count * sizeof *rules);
	memcpy(undecided, plain.undecided, plain.undecided_count * sizeof *undecided);
	status = matcher_match(matcher, event, &indexed);
	assert(status == OK && indexed.count == plain.count &&
	       indexed.undecided_count == plain.undecided_count);
	assert(memcmp(rules, indexed.rules, plain.count * sizeof *rules) == 0);
	assert(memcmp(undecided, indexed.undecided, plain.undecided_count * sizeof *undecided) ==
	       0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena cleanup(arena_free) = arena_new(1 << 22);
	struct program *program cleanup(program_free) = NULL;
	struct matcher *matcher cleanup(matcher_free) = NULL;
	struct cursor input = cursor_of((struct text){(const char *)data, size});
	struct predicate predicates[PREDICATES] = {0};
	struct detection detections[RULES] = {0};
	for (size_t i = 0; i < PREDICATES; i++)
		make_predicate(&input, &predicates[i], arena);
	for (uint32_t i = 0; i < RULES; i++)
		detections[i] =
			(struct detection){.rule_index = i, .expr = make_expr(&input, arena, 3)};
	struct program_input rules = {.predicates = predicates,
				      .predicate_count = PREDICATES,
				      .detections = detections,
				      .detection_count = RULES,
				      .any_logsource = true};
	enum status status = program_new(&rules, &program, NULL);
	assert(status == OK);
	status = matcher_of_program(program, &matcher);
	assert(status == OK);
	struct event event = {0};
	make_event(&input, &event, arena);
	compare(matcher, &event);
	return 0;
}
