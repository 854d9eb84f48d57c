/* Random questions to blocks, merged and not, against an oracle. */
#include "tests/storage/search_oracle.h"

enum { QUERIES = 3000, QUERIES_LONG = 100000, TENANT_QUERIES = 1000 };

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
		struct bytes json cleanup(bytes_done) = {0};
		event_json(event, &json);
		ck_assert(text_equal(result->hits[i].json, bytes_text(&json)));
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

/* Questions of one tenant: whatever the query says, no event of another is given back or counted,
 * by events, by groups, in any order. Names that begin alike, separators and nothing included. */
START_TEST(test_no_foreign_rows)
{
	static const char *const asked[] = {"t1", "t10", "T1", "",    "t1\x1f",    "t",
					    "t*", "t2",  "-",  "t1 ", "t1\x1f\x31"};
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

int main(void)
{
	Suite *suite = suite_create("search");
	TCase *tests = tcase_create("search");
	tcase_set_timeout(tests, 0);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, test_oracle);
	tcase_add_test(tests, test_no_foreign_rows);
	suite_add_tcase(suite, tests);
	return run_tests(suite);
}
