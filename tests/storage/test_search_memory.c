/* The memory of a search is bounded by its limits, not by what holds: large events, many groups. */
#include "storage/search.h"

#include <sys/resource.h>

#include "tests/storage/put_block.h"

enum {
	LARGE_EVENTS = 1400,
	LARGE_BYTES = 60 * 1024,
	MANY_EVENTS = TALLY_GROUPS_MAX + 5000,
	BLOCK_OF = 200,
	/* What one search may take beside what it gives back: a block decoded, its JSON in the
	 * making, and twice the list while it is sorted. */
	BESIDE_BYTES = 96 * 1024 * 1024,
};

static struct store *store;

static void setup(void)
{
	struct error err = {0};
	ck_ok(store_open_memory(&store, &err), err);
}

static void teardown(void)
{
	store_free(&store);
}

static void commit_block(struct block_builder *builder)
{
	struct error err = {0};
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
	put_block(builder, batch, TEXT("logs"), 0);
	ck_ok(store_batch_commit(batch, false, &err), err);
}

/* Events with a text of their own of so many bytes. */
static void put_events(size_t count, size_t bytes, size_t per_block)
{
	struct block_builder *builder cleanup(block_builder_free) = block_builder_new();
	char *text = malloc(bytes + 32);
	struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
	memset(text, 'x', bytes + 32);
	for (size_t i = 0; i < count; i++) {
		struct event event = {.time_us = (int64_t)i,
				      .origin = {TEXT("logs"), 0, 0, (int64_t)i},
				      .owner = TEXT("t")};
		int digits = snprintf(text, 32, "%zu ", i);
		text[digits] = 'x'; /* not the end */
		struct value value = {.type = VALUE_STRING, .text = {text, bytes + (size_t)digits}};
		arena_reset(arena);
		ck_assert_int_eq(event_add(&event, arena, TEXT("blob"), value), OK);
		ck_assert_int_eq(block_add(builder, &event), OK);
		if ((i + 1) % per_block == 0 || i + 1 == count)
			commit_block(builder);
	}
	free(text);
}

static struct search_result run(const char *words, struct search_options options)
{
	struct error err = {0};
	struct query query;
	struct search_result result;
	struct arena *arena cleanup(arena_free) = arena_new(1 << 20);
	options.store = store;
	options.query = &query;
	options.since_us = INT64_MIN;
	options.until_us = INT64_MAX;
	options.place =
		(struct search_place){.partition = -1, .last_offset = INT64_MAX, .index = -1};
	options.limit = SEARCH_HITS_MAX;
	ck_ok(query_parse(text_of(words), arena, &query, &err), err);
	ck_ok(search_run(&options, &result, &err), err);
	ck_assert(result.report.complete);
	return result;
}

static long peak_bytes(void)
{
	struct rusage usage;
	ck_assert_int_eq(getrusage(RUSAGE_SELF, &usage), 0);
	return usage.ru_maxrss * 1024;
}

START_TEST(test_large_events)
{
	put_events(LARGE_EVENTS, LARGE_BYTES, BLOCK_OF);
	static_assert((size_t)LARGE_EVENTS * LARGE_BYTES > SEARCH_HIT_BYTES_MAX);
	static const enum search_order orders[] = {SEARCH_NEWEST, SEARCH_OLDEST, SEARCH_BY_ORIGIN,
						   SEARCH_BY_FIELD_UP};
	for (size_t order = 0; order < sizeof orders / sizeof *orders; order++) {
		long before = peak_bytes();
		struct search_result result =
			run("*", (struct search_options){.order = orders[order],
							 .sort_field = TEXT("blob")});
		long grown = peak_bytes() - before;
		size_t given = 0;
		for (size_t i = 0; i < result.hit_count; i++)
			given += result.hits[i].json.size;
		ck_assert_uint_le(given, SEARCH_HIT_BYTES_MAX);
		ck_assert_uint_gt(given, SEARCH_HIT_BYTES_MAX / 4);
		ck_assert(result.report.limited);
#ifndef __SANITIZE_ADDRESS__ /* which keeps what was freed */
		ck_assert_msg(grown < SEARCH_HIT_BYTES_MAX + BESIDE_BYTES, "%ld MiB", grown >> 20);
#else
		(void)grown;
#endif
		search_result_done(&result);
	}
}
END_TEST

START_TEST(test_many_groups)
{
	put_events(MANY_EVENTS, 1, BLOCK_EVENTS_MAX);
	long before = peak_bytes();
	struct search_result result = run("* | count by blob", (struct search_options){0});
	long grown = peak_bytes() - before;
	ck_assert_uint_eq(result.group_count, TALLY_GROUPS_MAX);
	ck_assert(result.report.limited);
	ck_assert_uint_eq(result.report.matched, MANY_EVENTS);
#ifndef __SANITIZE_ADDRESS__
	ck_assert_msg(grown < 2L * TALLY_BYTES_MAX, "%ld MiB", grown >> 20);
#else
	(void)grown;
#endif
	search_result_done(&result);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("search_memory");
	TCase *tests = tcase_create("search_memory");
	tcase_set_timeout(tests, 0);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, test_large_events);
	tcase_add_test(tests, test_many_groups);
	suite_add_tcase(suite, tests);
	return run_tests(suite);
}
