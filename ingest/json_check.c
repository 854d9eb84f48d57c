/* Is it JSON, to any depth, and where does each value lie? One pass, no recursion, one bit of
 * memory per level.
 *
 * Used where json_walk() is not: to find where the records of a message begin and end before any of
 * them is let out, and for values deeper than JSON_DEPTH_MAX, which stay text. It is also the
 * second opinion that the fuzzer holds json_walk() against.
 *
 * The machine has three states: a value must come, a key must come, a value has just ended. A stack
 * of bits says for each open container whether it is an object. The first STACK_BITS levels need no
 * heap; a nesting bomb gets one bit per byte at most, i.e. an eighth of its own size.
 *
 * With a tape, every value and key that ends is a node of it. A container is a node from its
 * opening bracket on; while it is open, its `next` holds the container around it.
 *
 * Most bytes of JSON are inside strings, where only three kinds of bytes matter: eight are looked
 * at at once. For a word w, (w - 0x01..01 * n) & ~w & 0x80..80 has the high bit of its lowest byte
 * below n set (for n up to 128), and w ^ 0x01..01 * c has a byte 0 where w has c. A borrow can only
 * spoil bytes above the lowest hit, which are not looked at. */
#include <assert.h>
#include <endian.h>
#include <stdlib.h>

#include "ingest/json.h"

enum { STACK_WORDS = 16, WORD_BITS = 64 };

struct stack {
	uint64_t first[STACK_WORDS];
	uint64_t *words; /* first, or heap */
	size_t words_max;
	size_t depth;
};

static bool stack_push(struct stack *stack, bool object)
{
	size_t word = stack->depth / WORD_BITS;
	if (word == stack->words_max) {
		size_t grown_max = stack->words_max * 2;
		bool heap = stack->words != stack->first;
		uint64_t *grown = realloc(heap ? stack->words : NULL, grown_max * sizeof *grown);
		if (grown == NULL)
			return false;
		if (!heap)
			memcpy(grown, stack->first, sizeof stack->first);
		stack->words = grown;
		stack->words_max = grown_max;
	}
	uint64_t bit = (uint64_t)1 << (stack->depth % WORD_BITS);
	stack->words[word] = object ? stack->words[word] | bit : stack->words[word] & ~bit;
	stack->depth++;
	return true;
}

static bool stack_is_object(const struct stack *stack)
{
	assert(stack->depth > 0);
	size_t top = stack->depth - 1;
	return (stack->words[top / WORD_BITS] >> (top % WORD_BITS)) & 1;
}

static void stack_done(struct stack *stack)
{
	if (stack->words != stack->first)
		free(stack->words);
}

struct check {
	struct text text;
	size_t at;
	const char *detail; /* of a failure; `at` is where */
	struct stack stack;
	struct json_tape *tape; /* NULL: only checked */
	uint32_t open;          /* of the tape: the container that is open, 0 = none */
	bool full;              /* no memory, or too many nodes */
};

static bool fail(struct check *check, const char *detail)
{
	check->detail = detail;
	return false;
}

/* A node that begins at `begin`. Sticky: check->full. */
static void tape_add(struct check *check, size_t begin, size_t size)
{
	struct json_tape *tape = check->tape;
	if (tape->count == tape->capacity) {
		size_t capacity = tape->capacity == 0 ? 256 : tape->capacity * 2;
		struct json_node *grown = tape->count >= JSON_NODES_MAX
						  ? NULL
						  : realloc(tape->nodes, capacity * sizeof *grown);
		check->full |= grown == NULL;
		if (grown == NULL)
			return;
		tape->nodes = grown;
		tape->capacity = capacity;
	}
	uint32_t at = (uint32_t)tape->count++;
	tape->nodes[at] = (struct json_node){(uint32_t)begin, (uint32_t)size, at + 1};
}

static void tape_open(struct check *check)
{
	tape_add(check, check->at, 0);
	if (check->full)
		return;
	uint32_t at = (uint32_t)check->tape->count - 1;
	check->tape->nodes[at].next = check->open;
	check->open = at;
}

/* The open container ends before `at`. */
static void tape_close(struct check *check)
{
	if (check->full)
		return;
	struct json_node *node = &check->tape->nodes[check->open];
	check->open = node->next;
	node->size = (uint32_t)(check->at - node->begin);
	node->next = (uint32_t)check->tape->count;
}

static void skip_blanks(struct check *check)
{
	while (check->at < check->text.size && json_blank(check->text.data[check->at]))
		check->at++;
}

/* An escape at `at`: 2 bytes, 6 of \uXXXX, or 12 of a surrogate pair. */
static bool check_escape(struct check *check)
{
	const char *data = check->text.data + check->at;
	size_t left = check->text.size - check->at;
	size_t size = 2;
	if (left >= 6 && data[1] == 'u') {
		bool surrogate = (data[2] | 0x20) == 'd' && data[3] != '\0' &&
				 strchr("89abAB", data[3]) != NULL;
		size = surrogate ? 12 : 6;
	}
	char plain[12];
	size_t plain_size = 0;
	if (size > left || json_unescape((struct text){data, size}, plain, &plain_size) != JSON_OK)
		return fail(check, "a broken escape in a string");
	check->at += size;
	return true;
}

/* The first byte from `at` on that is a quote, a backslash or a control character. */
static size_t string_plain(struct text t, size_t at)
{
	const uint64_t ones = UINT64_MAX / 255;
	const uint64_t highs = ones * 0x80;
	for (uint64_t word; at + sizeof word <= t.size; at += sizeof word) {
		memcpy(&word, t.data + at, sizeof word);
		word = le64toh(word);
		uint64_t quote = word ^ ones * '"';
		uint64_t slash = word ^ ones * '\\';
		uint64_t hits = (((quote - ones) & ~quote) | ((slash - ones) & ~slash) |
				 ((word - ones * 0x20) & ~word)) &
				highs;
		if (hits != 0)
			return at + (size_t)__builtin_ctzll(hits) / 8;
	}
	while (at < t.size && (unsigned char)t.data[at] >= 0x20 && t.data[at] != '"' &&
	       t.data[at] != '\\')
		at++;
	return at;
}

/* A string whose opening quote is at `at`. */
static bool check_string(struct check *check)
{
	struct text t = check->text;
	size_t begin = check->at++;
	for (;;) {
		check->at = string_plain(t, check->at);
		if (check->at == t.size)
			break;
		unsigned char c = (unsigned char)t.data[check->at];
		if (c == '"') {
			check->at++;
			if (check->tape != NULL)
				tape_add(check, begin, check->at - begin);
			return true;
		}
		if (c < 0x20)
			return fail(check, "a control character inside a string");
		if (!check_escape(check))
			return false;
	}
	return fail(check, "a string without its end");
}

static bool check_scalar(struct check *check)
{
	struct text t = check->text;
	size_t end = check->at;
	while (end < t.size && !json_blank(t.data[end]) && strchr(",]}:\"[{", t.data[end]) == NULL)
		end++;
	/* strchr() finds its own NUL, so a NUL byte ends the token too, and what follows fails. */
	struct text token = {t.data + check->at, end - check->at};
	bool integer = false;
	if (!text_equal(token, TEXT("true")) && !text_equal(token, TEXT("false")) &&
	    !text_equal(token, TEXT("null")) && !json_number_valid(token, &integer))
		return fail(check, token.size == 0 ? "a value is missing" : "not a JSON value");
	check->at = end;
	if (check->tape != NULL)
		tape_add(check, end - token.size, token.size);
	return true;
}

static bool check_key(struct check *check)
{
	skip_blanks(check);
	if (check->at == check->text.size || check->text.data[check->at] != '"')
		return fail(check, "a key is missing");
	if (!check_string(check))
		return false;
	skip_blanks(check);
	if (check->at == check->text.size || check->text.data[check->at] != ':')
		return fail(check, "a colon is missing behind a key");
	check->at++;
	return true;
}

/* Opens a container; *ret_ended says that it was empty and is closed again. */
static bool check_open(struct check *check, bool object, bool *ret_ended)
{
	if (!stack_push(&check->stack, object))
		return fail(check, "out of memory for its depth");
	if (check->tape != NULL)
		tape_open(check);
	check->at++;
	skip_blanks(check);
	*ret_ended =
		check->at < check->text.size && check->text.data[check->at] == (object ? '}' : ']');
	if (*ret_ended) {
		check->at++;
		check->stack.depth--;
		if (check->tape != NULL)
			tape_close(check);
		return true;
	}
	return !object || check_key(check);
}

/* From where a value must begin to its end, or into it. */
static bool check_value(struct check *check, bool *ret_ended)
{
	skip_blanks(check);
	if (check->at == check->text.size)
		return fail(check, "it ends before its last value");
	*ret_ended = true;
	switch (check->text.data[check->at]) {
	case '{':
		return check_open(check, true, ret_ended);
	case '[':
		return check_open(check, false, ret_ended);
	case '"':
		return check_string(check);
	default:
		return check_scalar(check);
	}
}

/* Behind a value inside a container: a comma, or ends. */
static bool check_after(struct check *check, bool *ret_ended)
{
	skip_blanks(check);
	if (check->at == check->text.size)
		return fail(check, "it ends before its last bracket");
	bool object = stack_is_object(&check->stack);
	char c = check->text.data[check->at];
	*ret_ended = c == (object ? '}' : ']');
	if (!*ret_ended && c != ',')
		return fail(check, object ? "a comma or } is missing" : "a comma or ] is missing");
	check->at++;
	if (*ret_ended) {
		check->stack.depth--;
		if (check->tape != NULL)
			tape_close(check);
	} else if (object) {
		return check_key(check);
	}
	return true;
}

static enum json_result check_all(struct check *check, size_t *ret_end,
				  struct json_problem *ret_problem)
{
	check->stack.words = check->stack.first;
	check->stack.words_max = STACK_WORDS;
	bool ended = false;
	bool good = check_value(check, &ended);
	while (good && check->stack.depth > 0 && !check->full)
		good = ended ? check_after(check, &ended) : check_value(check, &ended);
	stack_done(&check->stack);
	if (!good) {
		*ret_problem = (struct json_problem){check->detail, check->at};
		return JSON_BROKEN;
	}
	if (check->full) {
		*ret_problem = (struct json_problem){"too many values", check->at};
		return JSON_MEMORY;
	}
	*ret_end = check->at;
	return JSON_OK;
}

enum json_result json_check(struct text text, size_t *ret_end, struct json_problem *ret_problem)
{
	struct check check = {.text = text};
	return check_all(&check, ret_end, ret_problem);
}

enum json_result json_index(struct text text, struct json_tape *tape, size_t *ret_end,
			    struct json_problem *ret_problem)
{
	struct check check = {.text = text, .tape = tape};
	assert(text.size <= UINT32_MAX);
	tape->text = text;
	tape->count = 0;
	tape_add(&check, 0, 0); /* node 0: none */
	return check_all(&check, ret_end, ret_problem);
}

void json_tape_done(struct json_tape *tape)
{
	free(tape->nodes);
	*tape = (struct json_tape){0};
}
