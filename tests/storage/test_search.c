/* Random questions to blocks, merged and not, against an evaluator that knows neither blocks nor
 * the language: it walks over the plain list of events with a tree of its own. */
#include "storage/search.h"

#include <ctype.h>

#include "storage/merge.h"
#include "tests/storage/same_event.h"

enum {
	ARENA_BYTES = 1 << 30,
	EVENTS = 3000,
	QUERIES = 5000,
	QUERIES_LONG = 100000,
	TENANT_QUERIES = 1500,
	OWNERS = 6
};

static const char *const owners[OWNERS] = {"t1", "t10", "T1", "", "t1\x1f", "t"};
static struct store *store;
static struct arena *arena;
static struct event events[EVENTS];

static struct value text_value(const char *text)
{
	return (struct value){.type = VALUE_STRING, .text = text_of(text)};
}

static void add(struct event *event, const char *name, struct value value)
{
	ck_assert_int_eq(event_add(event, arena, text_of(name), value), OK);
}

static void add_number(struct event *event, const char *name, int64_t number)
{
	struct value value = {.type = VALUE_INTEGER, .integer = number};
	value.text = arena_print(arena, "%lld", (long long)number);
	add(event, name, value);
}

static const char *const users[] = {"alice", "Bob", "bob", "carol ann", "svc-7", "42", "x*y"};
static const char *const actions[] = {"login", "logout", "read", "token.issue"};

static void event_make(uint64_t *seed, size_t i)
{
	struct event *event = &events[i];
	*event = (struct event){
		.time_us = 1800000000000000 + (int64_t)random_below(seed, 100000) * 5000000,
		.origin = {TEXT("logs"), (int32_t)(i % 2), 0, (int64_t)i},
		.owner = text_of(owners[random_below(seed, OWNERS)]),
		.logsource.product = random_below(seed, 2) == 0 ? TEXT("linux") : TEXT("")};
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

static void put_block(struct block_builder *builder, struct store_batch *batch, int32_t partition)
{
	struct error err = {0};
	struct bytes block cleanup(bytes_done) = {0};
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes row cleanup(bytes_done) = {0};
	struct block_meta meta;
	ck_ok(block_finish(builder, &block, &meta, &err), err);
	block_key(TEXT("logs"), partition, meta.first_offset, meta.first_index, &key);
	block_meta_encode(&meta, &row);
	store_batch_put(batch, FAMILY_BLOCK, bytes_text(&key), bytes_text(&block));
	store_batch_put(batch, FAMILY_BLOCKMETA, bytes_text(&key), bytes_text(&row));
}

/* Two thirds of the events are merged, the rest is not. */
static void setup(void)
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
			put_block(builder, batch, partition);
		}
		ck_ok(store_batch_commit(batch, false, &err), err);
		if (part == 0)
			ck_ok(merge_all(store, NULL, NULL, &report, &err), err);
	}
}

static void teardown(void)
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

static bool same_letter(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

static bool is_like(const char *pattern, const char *text)
{
	if (*pattern == '\0')
		return *text == '\0';
	if (*pattern == '*')
		return is_like(pattern + 1, text) || (*text != '\0' && is_like(pattern, text + 1));
	return *text != '\0' && same_letter(*pattern, *text) && is_like(pattern + 1, text + 1);
}

static bool is_whole_number(const char *text)
{
	char *end = NULL;
	(void)strtol(text, &end, 10);
	return end != text && *end == '\0';
}

static unsigned address_of(const char *text)
{
	unsigned parts[4] = {0};
	const char *plain = strncmp(text, "::ffff:", 7) == 0 ? text + 7 : text;
	(void)sscanf(plain, "%u.%u.%u.%u", &parts[0], &parts[1], &parts[2], &parts[3]);
	return parts[0] << 24 | parts[1] << 16 | parts[2] << 8 | parts[3];
}

static bool value_passes(const struct test *test, const char *field, const char *text)
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

static bool passes(const struct test *test, const struct event *event)
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

static const struct test *leaf_make(uint64_t *seed, struct arena *to, struct bytes *query)
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
		test->kind = random_below(seed, 2) == 0 ? LESS : MORE;
		test->field = random_below(seed, 2) == 0 ? "size" : "http.response.status_code";
		test->word =
			arena_print(to, "%zu",
				    random_below(seed, 2) == 0 ? random_below(seed, 60)
							       : 150 + 50 * random_below(seed, 9))
				.data;
		line = arena_print(to, "%s %s %s", test->field, test->kind == LESS ? "<" : ">",
				   test->word);
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
		test->kind = EQUAL;
		if (random_below(seed, 3) == 0)
			test->word = arena_print(to, "%zu",
						 random_below(seed, 2) == 0
							 ? random_below(seed, 50)
							 : 200 + 100 * random_below(seed, 4))
					     .data;
		line = arena_print(to, "%s: \"%s\"", test->field, test->word);
	}
	bytes_put(query, line.data, line.size);
	return test;
}

static const struct test *tree_make(uint64_t *seed, struct arena *to, size_t depth,
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

static int time_order(const void *a, const void *b)
{
	const struct event *x = *(const struct event *const *)a;
	const struct event *y = *(const struct event *const *)b;
	if (x->time_us != y->time_us)
		return x->time_us < y->time_us ? -1 : 1;
	return origin_compare(&x->origin, &y->origin);
}

/* What the oracle finds, oldest first. */
static size_t oracle(const struct test *test, const struct search_options *options,
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

static void check_hits(const struct search_result *result, const struct search_options *options,
		       const struct event **found, size_t count, const char *query)
{
	size_t shown = count < options->limit ? count : options->limit;
	ck_assert_msg(result->hit_count == shown, "%s: %zu hits, not %zu", query, result->hit_count,
		      shown);
	ck_assert_int_eq(result->report.limited, shown < count);
	for (size_t i = 0; i < shown; i++) {
		const struct event *event =
			found[options->order == SEARCH_NEWEST ? count - 1 - i : i];
		ck_assert_int_eq(origin_compare(&result->hits[i].origin, &event->origin), 0);
		ck_assert(text_equal(result->hits[i].owner, event->owner));
		if (options->scoped)
			ck_assert(text_equal(result->hits[i].owner, options->tenant));
	}
}

static void random_options(uint64_t *seed, struct search_options *options)
{
	*options = (struct search_options){
		.store = store,
		.scoped = random_below(seed, 2) == 0,
		.tenant = text_of(owners[random_below(seed, OWNERS)]),
		.since_us = INT64_MIN,
		.until_us = INT64_MAX,
		.place = {.partition = -1, .last_offset = INT64_MAX, .index = -1},
		.order = random_below(seed, 2) == 0 ? SEARCH_NEWEST : SEARCH_OLDEST,
		.limit = random_below(seed, 3) == 0 ? SEARCH_HITS_MAX : 1 + random_below(seed, 20),
	};
	if (random_below(seed, 3) == 0) {
		options->since_us = events[random_below(seed, EVENTS)].time_us;
		options->until_us =
			options->since_us + (int64_t)random_below(seed, 200000) * 1000000;
	}
}

START_TEST(test_oracle)
{
	uint64_t seed = 20261122;
	size_t rounds = getenv("PICKET_LONG") != NULL ? QUERIES_LONG : QUERIES;
	struct error err = {0};
	static const struct event *found[EVENTS];
	struct arena *own cleanup(arena_free) = arena_new(ARENA_BYTES);
	struct bytes text cleanup(bytes_done) = {0};
	size_t some = 0;
	for (size_t round = 0; round < rounds; round++) {
		struct query query;
		struct search_result result;
		struct search_options options;
		arena_reset(own);
		bytes_clear(&text);
		const struct test *test = tree_make(&seed, own, 3, &text);
		bytes_put_u8(&text, '\0');
		struct text words = {(const char *)text.data, text.size - 1};
		enum status status = query_parse(words, own, &query, &err);
		ck_assert_msg(status == OK, "%s: %s", text.data, err.text);
		random_options(&seed, &options);
		options.query = &query;
		ck_ok(search_run(&options, &result, &err), err);
		ck_assert(result.report.complete);
		size_t count = oracle(test, &options, found);
		check_hits(&result, &options, found, count, (const char *)text.data);
		some += count > 0;
		search_result_done(&result);
	}
	ck_assert_uint_gt(some, rounds / 3); /* most questions have an answer */
}
END_TEST

static struct search_result run(const char *text, struct search_options options)
{
	struct error err = {0};
	struct query query;
	struct search_result result;
	options.store = store;
	options.query = &query;
	options.place =
		(struct search_place){.partition = -1, .last_offset = INT64_MAX, .index = -1};
	options.limit = options.limit == 0 ? SEARCH_HITS_MAX : options.limit;
	if (options.since_us == 0 && options.until_us == 0) {
		options.since_us = INT64_MIN;
		options.until_us = INT64_MAX;
	}
	ck_ok(query_parse(text_of(text), arena, &query, &err), err);
	ck_ok(search_run(&options, &result, &err), err);
	return result;
}

/* Pages, one behind the other, are the whole. */
START_TEST(test_pages)
{
	for (int order = SEARCH_NEWEST; order <= SEARCH_BY_ORIGIN; order++) {
		struct search_options options = {.order = (enum search_order)order};
		struct search_result whole = run("event.action: login", options);
		size_t at = 0;
		struct search_hit last = {0};
		options.limit = 37;
		for (bool more = true; more;) {
			options.after = at == 0 ? NULL : &last;
			struct search_result page = run("event.action: login", options);
			for (size_t i = 0; i < page.hit_count; i++, at++)
				ck_assert(text_equal(page.hits[i].json, whole.hits[at].json));
			more = page.report.limited;
			last = whole.hits[at - 1];
			search_result_done(&page);
		}
		ck_assert_uint_eq(at, whole.hit_count);
		search_result_done(&whole);
	}
}
END_TEST

START_TEST(test_counts)
{
	size_t actions_count[4] = {0};
	for (size_t i = 0; i < EVENTS; i++)
		for (size_t k = 0; k < 4; k++)
			actions_count[k] += text_equal(event_text(&events[i], FIELD_EVENT_ACTION),
						       text_of(actions[k]));
	struct search_result result = run("* | count by event.action", (struct search_options){0});
	ck_assert_uint_eq(result.group_count, 4);
	for (size_t k = 0; k < 4; k++) { /* both are in order of name */
		ck_assert(text_equal(result.groups[k].values[0], text_of(actions[k])));
		ck_assert_uint_eq(result.groups[k].count, actions_count[k]);
	}
	search_result_done(&result);
	result = run("| count by event.action, user.roles over 1d", (struct search_options){0});
	uint64_t sum = 0;
	for (size_t i = 0; i < result.group_count; i++) {
		sum += result.groups[i].count;
		ck_assert_int_eq(result.groups[i].bucket_us % 86400000000, 0);
	}
	ck_assert_uint_eq(sum, EVENTS);
	search_result_done(&result);
	result = run("user.name: * | top user.name 2", (struct search_options){0});
	ck_assert_uint_eq(result.group_count, 2);
	ck_assert_uint_ge(result.groups[0].count, result.groups[1].count);
	search_result_done(&result);
	result = run("| histogram 1h", (struct search_options){0});
	sum = 0;
	for (size_t i = 0; i < result.group_count; i++)
		sum += result.groups[i].count;
	ck_assert_uint_eq(sum, EVENTS);
	search_result_done(&result);
}
END_TEST

START_TEST(test_projection)
{
	const struct text fields[] = {TEXT("message"), TEXT("user.name")};
	struct search_options options = {.fields = fields, .field_count = 2, .limit = 50};
	struct search_result result = run("user.name: alice", options);
	ck_assert_uint_eq(result.hit_count, 50);
	for (size_t i = 0; i < result.hit_count; i++) {
		ck_assert(text_starts(result.hits[i].json, TEXT("{\"message\":\"")));
		ck_assert(memmem(result.hits[i].json.data, result.hits[i].json.size, "event.action",
				 12) == NULL);
	}
	search_result_done(&result);
}
END_TEST

/* Questions of one tenant: whatever the query says, no event of another is given back or counted,
 * by events, by groups, in any order. Names that begin alike, separators and nothing included. */
START_TEST(test_no_foreign_rows)
{
	static const char *const asked[] = {"t1",
					    "t10",
					    "T1",
					    "",
					    "t1\x1f",
					    "t",
					    "t*",
					    "t2",
					    "-",
					    "t1 ",
					    "t1\x1f"
					    "1"};
	uint64_t seed = 20261122;
	struct error err = {0};
	size_t rounds = getenv("PICKET_LONG") != NULL ? QUERIES_LONG : TENANT_QUERIES;
	static const struct event *found[EVENTS];
	struct arena *own cleanup(arena_free) = arena_new(ARENA_BYTES);
	struct bytes text cleanup(bytes_done) = {0};
	size_t foreign = 0;
	size_t some = 0;
	for (size_t round = 0; round < rounds; round++) {
		struct query query;
		struct search_result result;
		struct search_options options;
		arena_reset(own);
		bytes_clear(&text);
		const struct test *test = tree_make(&seed, own, 2, &text);
		bool counts = random_below(&seed, 3) == 0;
		if (counts)
			bytes_put(&text, " | count by event.action", 24);
		ck_ok(query_parse(bytes_text(&text), own, &query, &err), err);
		random_options(&seed, &options);
		options.query = &query;
		options.scoped = true;
		options.tenant = text_of(asked[random_below(&seed, sizeof asked / sizeof *asked)]);
		options.order = (enum search_order)random_below(&seed, SEARCH_BY_FIELD_DOWN + 1);
		options.sort_field = TEXT("size");
		ck_ok(search_run(&options, &result, &err), err);
		size_t count = oracle(test, &options, found);
		size_t given = result.hit_count;
		for (size_t i = 0; i < result.hit_count; i++)
			foreign += !text_equal(result.hits[i].owner, options.tenant);
		for (size_t i = 0; i < result.group_count; i++)
			given += result.groups[i].count;
		size_t wanted = counts || count < options.limit ? count : options.limit;
		ck_assert_uint_eq(given, wanted);
		some += count > 0;
		search_result_done(&result);
	}
	ck_assert_uint_eq(foreign, 0);
	ck_assert_uint_gt(some, rounds / 5);
}
END_TEST

static bool sort_descending;

/* 0 a number, 1 a text, 2 nothing: what the events of the tests have as `size`. */
static int size_kind(const struct event *event, long *ret_number)
{
	for (size_t i = 0; i < event->field_count; i++) {
		if (!text_equal(event->fields[i].name, TEXT("size")))
			continue;
		*ret_number = atol(event->fields[i].value.text.data);
		return 0;
	}
	return 2;
}

static int size_order(const void *a, const void *b)
{
	const struct event *x = *(const struct event *const *)a;
	const struct event *y = *(const struct event *const *)b;
	long x_size = 0;
	long y_size = 0;
	int kinds = size_kind(x, &x_size) - size_kind(y, &y_size);
	if (kinds != 0)
		return kinds;
	if (x_size != y_size)
		return (x_size < y_size) != sort_descending ? -1 : 1;
	return -time_order(a, b);
}

/* By a field, up and down, the first few of all: as sorting the plain list. */
START_TEST(test_sorted_by_field)
{
	static const struct event *sorted[EVENTS];
	const struct text fields[] = {TEXT("user.name")};
	for (int down = 0; down < 2; down++) {
		for (size_t i = 0; i < EVENTS; i++)
			sorted[i] = &events[i];
		sort_descending = down == 1;
		qsort(sorted, EVENTS, sizeof *sorted, size_order);
		for (size_t limit = 1; limit <= EVENTS; limit = limit * 7 + 3) {
			struct search_result result = run(
				"*", (struct search_options){.order = down ? SEARCH_BY_FIELD_DOWN
									   : SEARCH_BY_FIELD_UP,
							     .sort_field = TEXT("size"),
							     .limit = limit,
							     .fields = fields,
							     .field_count = limit % 2});
			ck_assert_uint_eq(result.hit_count, limit);
			ck_assert(result.report.limited);
			ck_assert_uint_eq(result.report.matched, EVENTS);
			for (size_t i = 0; i < limit; i++)
				ck_assert_int_eq(
					origin_compare(&result.hits[i].origin, &sorted[i]->origin),
					0);
			search_result_done(&result);
		}
	}
	/* Texts come without case. */
	struct search_result result =
		run("user.name: b*", (struct search_options){.order = SEARCH_BY_FIELD_UP,
							     .sort_field = TEXT("user.name")});
	for (size_t i = 1; i < result.hit_count; i++)
		ck_assert_int_ge(result.hits[i - 1].time_us, result.hits[i].time_us);
	search_result_done(&result);
}
END_TEST

/* A histogram has a row for every bucket between its first and its last one. */
START_TEST(test_histogram_gaps)
{
	struct search_result result =
		run("trace.id: *0 | histogram 1m", (struct search_options){0});
	uint64_t sum = 0;
	size_t empty = 0;
	for (size_t i = 0; i < result.group_count; i++) {
		sum += result.groups[i].count;
		empty += result.groups[i].count == 0;
		if (i > 0)
			ck_assert_int_eq(result.groups[i].bucket_us -
						 result.groups[i - 1].bucket_us,
					 60000000);
	}
	ck_assert_uint_eq(sum, result.report.matched);
	ck_assert_uint_gt(empty, 0);
	ck_assert_uint_gt(result.groups[0].count, 0);
	ck_assert_uint_gt(result.groups[result.group_count - 1].count, 0);
	search_result_done(&result);
}
END_TEST

static bool stop(void *context)
{
	return --*(int *)context < 0;
}

/* A limit that ends the search is told. */
START_TEST(test_limits)
{
	int blocks = 2;
	struct search_result result = run("*", (struct search_options){.bytes_max = 1});
	ck_assert(!result.report.complete);
	ck_assert_uint_eq(result.report.opened, 1);
	search_result_done(&result);
	result = run("*", (struct search_options){.cancelled = stop, .context = &blocks});
	ck_assert(!result.report.complete);
	ck_assert_uint_eq(result.report.opened, 2);
	ck_assert_str_ne(result.report.problem.text, "");
	search_result_done(&result);
}
END_TEST

/* Every kind of passing over does its work, and opening stops when the newest are known. */
START_TEST(test_explain)
{
	struct search_result result =
		run("trace.id: 00000000000000000000000000000001", (struct search_options){0});
	ck_assert_uint_gt(result.report.by_bloom, 0);
	ck_assert_uint_eq(result.report.row_blocks, 2);
	search_result_done(&result);
	result = run("event.action: nothing", (struct search_options){0});
	ck_assert_uint_eq(result.report.by_value + result.report.row_blocks, result.report.blocks);
	search_result_done(&result);
	result = run("size > 1000 or size < -5", (struct search_options){0});
	ck_assert_uint_gt(result.report.opened,
			  result.report.row_blocks); /* some sizes are texts */
	search_result_done(&result);
	result = run("*", (struct search_options){.scoped = true, .tenant = TEXT("t")});
	ck_assert_uint_gt(result.report.by_tenant, 0);
	search_result_done(&result);
	result = run("*", (struct search_options){.limit = 1});
	ck_assert_uint_lt(result.report.opened, result.report.blocks);
	search_result_done(&result);
	for (int order = SEARCH_NEWEST; order <= SEARCH_BY_ORIGIN; order++) {
		/* The last page costs what the last page is, not all that came before it. */
		struct search_options options = {.order = (enum search_order)order};
		result = run("*", options);
		struct search_hit last = result.hits[result.hit_count - 2];
		options.after = &last;
		options.limit = 10;
		struct search_result page = run("*", options);
		ck_assert_uint_eq(page.hit_count, 1);
		ck_assert_uint_lt(page.report.opened, result.report.opened);
		search_result_done(&page);
		search_result_done(&result);
	}
	result = run("*", (struct search_options){.order = SEARCH_BY_ORIGIN, .limit = 5});
	ck_assert_uint_lt(result.report.opened, result.report.blocks);
	search_result_done(&result);
	result = run("*", (struct search_options){.since_us = 1, .until_us = 2});
	ck_assert_uint_eq(result.report.by_time,
			  2); /* the days of merged blocks are not even seen */
	ck_assert_uint_eq(result.hit_count, 0);
	search_result_done(&result);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("search");
	TCase *tests = tcase_create("search");
	tcase_set_timeout(tests, 0);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, test_oracle);
	tcase_add_test(tests, test_pages);
	tcase_add_test(tests, test_counts);
	tcase_add_test(tests, test_projection);
	tcase_add_test(tests, test_no_foreign_rows);
	tcase_add_test(tests, test_sorted_by_field);
	tcase_add_test(tests, test_histogram_gaps);
	tcase_add_test(tests, test_limits);
	tcase_add_test(tests, test_explain);
	suite_add_tcase(suite, tests);
	return run_tests(suite);
}
