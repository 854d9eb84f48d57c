/* search_oracle - events in a store, two thirds of them merged, and an evaluator of random
 * questions that knows neither blocks nor the language: it walks over the plain list of events with
 * a tree of its own.
 *
 * Why: the tests of a search ask the same events. Invariant: the same seed, the same events. Owner:
 * the file that includes it (the variables are static). Thread: one. */
#ifndef PICKET_TESTS_STORAGE_SEARCH_ORACLE_H
#define PICKET_TESTS_STORAGE_SEARCH_ORACLE_H

#include <ctype.h>

#include "storage/merge.h"
#include "storage/search.h"
#include "tests/storage/put_block.h"
#include "tests/storage/same_event.h"

enum { ARENA_BYTES = 1 << 30, EVENTS = 3000, OWNERS = 6 };

static const char *const owners[OWNERS] = {"t1", "t10", "T1", "", "t1\x1f", "t"};
static struct store *store;
static struct arena *arena;
static struct event events[EVENTS];

static inline struct value text_value(const char *text)
{
	return (struct value){.type = VALUE_STRING, .text = text_of(text)};
}

static inline void add(struct event *event, const char *name, struct value value)
{
	ck_assert_int_eq(event_add(event, arena, text_of(name), value), OK);
}

static inline void add_number(struct event *event, const char *name, int64_t number)
{
	struct value value = {.type = VALUE_INTEGER, .integer = number};
	value.text = arena_print(arena, "%lld", (long long)number);
	add(event, name, value);
}

static const char *const users[] = {"alice", "Bob", "bob", "carol ann", "svc-7", "42", "x*y"};
static const char *const actions[] = {"login", "logout", "read", "token.issue"};

static inline void event_make(uint64_t *seed, size_t i)
{
	struct event *event = &events[i];
	*event = (struct event){
		.time_us = 1800000000000000 + (int64_t)random_below(seed, 100000) * 5000000,
		.origin = {TEXT("logs"), (int32_t)(i % 2), 0, (int64_t)i},
		.owner = text_of(owners[random_below(seed, OWNERS)]),
		.logsource.product = random_below(seed, 2) == 0 ? TEXT("linux") : TEXT(""),
		.quality = i % 3 > 0 ? 0 : i % 2 * QUALITY_SECRET | i % 5 / 4 * QUALITY_DEPTH};
	if (random_below(seed, 8) > 0)
		add(event, "user.name", text_value(users[random_below(seed, 7)]));
	add(event, "event.action", text_value(actions[random_below(seed, 4)]));
	add(event, "source.ip",
	    text_value(arena_print(arena, "%s10.%zu.0.%zu",
				   random_below(seed, 9) == 0 ? "::ffff:" : "",
				   random_below(seed, 3), random_below(seed, 200))
			       .data));
	add_number(event, "http.response.status_code",
		   (int64_t)(200 + 100 * random_below(seed, 4)));
	if (random_below(seed, 2) == 0)
		add_number(event, "size", (int64_t)random_below(seed, 50) - 5);
	else if (random_below(seed, 2) == 0)
		add(event, "size",
		    text_value(arena_print(arena, "%zu", random_below(seed, 50)).data));
	for (size_t k = random_below(seed, 3); k > 0; k--)
		add(event, "user.roles", text_value(random_below(seed, 2) == 0 ? "admin" : "dev"));
	add(event, "message",
	    text_value(arena_print(arena, "%s took %zu ms", actions[random_below(seed, 4)],
				   random_below(seed, 900))
			       .data));
	add(event, "trace.id",
	    text_value(arena_print(arena, "%016llx%016llx", (unsigned long long)random_next(seed),
				   (unsigned long long)i)
			       .data));
	if (random_below(seed, 5) == 0)
		add(event, "note", (struct value){.type = VALUE_NULL});
}

/* Two thirds of the events are merged, the rest is not. */
static inline void setup(void)
{
	uint64_t seed = 42;
	struct error err = {0};
	struct merge_report report;
	arena = arena_new(ARENA_BYTES);
	ck_ok(store_open_memory(&store, &err), err);
	struct block_builder *builder cleanup(block_builder_free) = block_builder_new();
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
	for (size_t i = 0; i < EVENTS; i++)
		event_make(&seed, i);
	for (size_t part = 0; part < 2; part++) {
		size_t first = part == 0 ? 0 : EVENTS * 2 / 3;
		size_t last = part == 0 ? EVENTS * 2 / 3 : EVENTS;
		for (int32_t partition = 0; partition < 2; partition++) {
			for (size_t i = first; i < last; i++)
				if (events[i].origin.partition == partition)
					ck_assert_int_eq(block_add(builder, &events[i]), OK);
			put_block(builder, batch, TEXT("logs"), partition);
		}
		ck_ok(store_batch_commit(batch, false, &err), err);
		if (part == 0)
			ck_ok(merge_all(store, NULL, NULL, &report, &err), err);
	}
}

static inline void teardown(void)
{
	store_free(&store);
	arena_free(&arena);
}

/* The oracle's own tree. */
struct test {
	enum { AND, OR, NOT, EQUAL, GLOB, LESS, MORE, EXISTS, NETWORK, ANYWHERE } kind;
	const struct test *left, *right;
	const char *field, *word;
};

static inline bool same_letter(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

static inline bool is_like(const char *pattern, const char *text)
{
	if (*pattern == '\0')
		return *text == '\0';
	if (*pattern == '*')
		return is_like(pattern + 1, text) || (*text != '\0' && is_like(pattern, text + 1));
	return *text != '\0' && same_letter(*pattern, *text) && is_like(pattern + 1, text + 1);
}

static inline bool is_whole_number(const char *text)
{
	char *end = NULL;
	(void)strtol(text, &end, 10);
	return end != text && *end == '\0';
}

static inline unsigned address_of(const char *text)
{
	unsigned parts[4] = {0};
	const char *plain = strncmp(text, "::ffff:", 7) == 0 ? text + 7 : text;
	(void)sscanf(plain, "%u.%u.%u.%u", &parts[0], &parts[1], &parts[2], &parts[3]);
	return parts[0] << 24 | parts[1] << 16 | parts[2] << 8 | parts[3];
}

static inline bool value_passes(const struct test *test, const char *field, const char *text)
{
	bool numbers = is_whole_number(text) && is_whole_number(test->word);
	bool prose = strcmp(field, "message") == 0;
	char around[200];
	(void)snprintf(around, sizeof around, "*%s*", test->word);
	switch (test->kind) {
	case EXISTS:
		return true;
	case NETWORK: {
		unsigned bits = (unsigned)atoi(strchr(test->word, '/') + 1);
		return (address_of(text) ^ address_of(test->word)) >> (32 - bits) == 0;
	}
	case LESS:
		return numbers && atol(text) < atol(test->word);
	case MORE:
		return numbers && atol(text) > atol(test->word);
	case GLOB:
		return is_like(prose ? around : test->word, text);
	case ANYWHERE:
		return strcasestr(text, test->word) != NULL ||
		       (numbers && atol(text) == atol(test->word));
	default:
		if (strcmp(field, "source.ip") == 0)
			return address_of(text) == address_of(test->word);
		return prose ? strcasestr(text, test->word) != NULL
			     : strcasecmp(text, test->word) == 0 ||
				       (numbers && atol(text) == atol(test->word));
	}
}

static inline bool passes(const struct test *test, const struct event *event)
{
	if (test->kind == AND)
		return passes(test->left, event) && passes(test->right, event);
	if (test->kind == OR)
		return passes(test->left, event) || passes(test->right, event);
	if (test->kind == NOT)
		return !passes(test->left, event);
	for (size_t i = 0; i < event->field_count; i++) {
		const struct field *field = &event->fields[i];
		char text[300];
		if (field->value.type == VALUE_NULL ||
		    (test->kind != ANYWHERE && !text_equal(field->name, text_of(test->field))))
			continue;
		(void)snprintf(text, sizeof text, "%.*s", TEXT_ARG(field->value.text));
		char name[60];
		(void)snprintf(name, sizeof name, "%.*s", TEXT_ARG(field->name));
		if (value_passes(test, name, text))
			return true;
	}
	return false;
}

static inline struct text range_make(uint64_t *seed, struct arena *to, struct test *test)
{
	test->kind = random_below(seed, 2) == 0 ? LESS : MORE;
	test->field = random_below(seed, 2) == 0 ? "size" : "http.response.status_code";
	test->word = arena_print(to, "%zu",
				 random_below(seed, 2) == 0 ? random_below(seed, 60)
							    : 150 + 50 * random_below(seed, 9))
			     .data;
	return arena_print(to, "%s %s %s", test->field, test->kind == LESS ? "<" : ">", test->word);
}

/* Words in fields of words, and sometimes numbers. */
static inline struct text equal_make(uint64_t *seed, struct arena *to, struct test *test)
{
	test->kind = EQUAL;
	if (random_below(seed, 3) == 0)
		test->word =
			arena_print(to, "%zu",
				    random_below(seed, 2) == 0 ? random_below(seed, 50)
							       : 200 + 100 * random_below(seed, 4))
				.data;
	return arena_print(to, "%s: \"%s\"", test->field, test->word);
}

static inline const struct test *leaf_make(uint64_t *seed, struct arena *to, struct bytes *query)
{
	static const char *const fields[] = {
		"user.name", "event.action", "user.roles", "size", "http.response.status_code",
		"message"};
	struct test *test = arena_alloc(to, sizeof *test);
	const struct event *event = &events[random_below(seed, EVENTS)];
	struct text line = {0};
	test->field = fields[random_below(seed, 6)];
	test->word = random_below(seed, 2) == 0 ? users[random_below(seed, 7)]
						: actions[random_below(seed, 4)];
	switch (random_below(seed, 9)) {
	case 0:
		test->kind = EXISTS;
		test->field = random_below(seed, 3) == 0 ? "note" : test->field;
		line = arena_print(to, "%s: *", test->field);
		break;
	case 1:
		test->kind = NETWORK;
		test->field = "source.ip";
		test->word = arena_print(to, "10.%zu.0.0/16", random_below(seed, 4)).data;
		line = arena_print(to, "source.ip: %s", test->word);
		break;
	case 2:
		line = range_make(seed, to, test);
		break;
	case 3:
		test->kind = GLOB;
		test->word = random_below(seed, 2) == 0 ? "*o*" : "lo*n";
		line = arena_print(to, "%s: %s", test->field, test->word);
		break;
	case 4:
		test->kind = ANYWHERE;
		line = arena_print(to, "\"%s\"", test->word);
		break;
	case 5:
		test->kind = EQUAL;
		test->field = "trace.id";
		for (size_t i = 0; i < event->field_count; i++)
			if (text_equal(event->fields[i].name, TEXT("trace.id")))
				test->word = event->fields[i].value.text.data;
		line = arena_print(to, "trace.id: %s", test->word);
		break;
	case 6:
		test->kind = EQUAL;
		test->field = "source.ip";
		test->word = arena_print(to, "10.%zu.0.%zu", random_below(seed, 3),
					 random_below(seed, 200))
				     .data;
		line = arena_print(to, "source.ip: %s", test->word);
		break;
	default:
		line = equal_make(seed, to, test);
	}
	bytes_put(query, line.data, line.size);
	return test;
}

static inline const struct test *tree_make(uint64_t *seed, struct arena *to, size_t depth,
					   struct bytes *query)
{
	size_t choice = depth == 0 ? 9 : random_below(seed, 9);
	if (choice > 4)
		return leaf_make(seed, to, query);
	struct test *test = arena_alloc(to, sizeof *test);
	bytes_put(query, "(", 1);
	if (choice == 4) {
		test->kind = NOT;
		bytes_put(query, "not ", 4);
		test->left = tree_make(seed, to, depth - 1, query);
	} else {
		test->kind = choice % 2 == 0 ? AND : OR;
		test->left = tree_make(seed, to, depth - 1, query);
		bytes_put(query, test->kind == AND ? " and " : " OR ", 5 - (test->kind == OR));
		test->right = tree_make(seed, to, depth - 1, query);
	}
	bytes_put(query, ")", 1);
	return test;
}

static inline int time_order(const void *a, const void *b)
{
	const struct event *x = *(const struct event *const *)a;
	const struct event *y = *(const struct event *const *)b;
	if (x->time_us != y->time_us)
		return x->time_us < y->time_us ? -1 : 1;
	return origin_compare(&x->origin, &y->origin);
}

/* What the oracle finds, oldest first. */
static inline size_t oracle(const struct test *test, const struct search_options *options,
			    const struct event **found)
{
	size_t count = 0;
	for (size_t i = 0; i < EVENTS; i++) {
		const struct event *event = &events[i];
		if ((options->scoped && !text_equal(event->owner, options->tenant)) ||
		    event->time_us < options->since_us || event->time_us > options->until_us ||
		    !passes(test, event))
			continue;
		found[count++] = event;
	}
	qsort(found, count, sizeof *found, time_order);
	return count;
}

#endif
