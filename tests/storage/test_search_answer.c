/* What an answer looks like: pages, order, counts, limits, and what it says it has read. */
#include "tests/storage/search_oracle.h"

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

/* What had to be mended in an event is no field of it, and may be several words. */
START_TEST(test_quality)
{
	size_t secret = 0, depth = 0, none = 0;
	for (size_t i = 0; i < EVENTS; i++) {
		secret += (events[i].quality & QUALITY_SECRET) != 0;
		depth += (events[i].quality & QUALITY_DEPTH) != 0;
		none += events[i].quality == 0;
	}
	ck_assert_uint_gt(none, 0);
	ck_assert_uint_gt(secret + depth + none, EVENTS); /* some are both */
	struct search_result result = run("picket.quality: secret", (struct search_options){0});
	ck_assert_uint_eq(result.report.matched, secret);
	search_result_done(&result);
	result = run("picket.quality: d*h and not picket.quality: secret",
		     (struct search_options){0});
	ck_assert_uint_eq(result.report.matched, EVENTS - none - secret);
	search_result_done(&result);
	result = run("not picket.quality: *", (struct search_options){0});
	ck_assert_uint_eq(result.report.matched, none);
	search_result_done(&result);
	result = run("* | count by picket.quality", (struct search_options){0});
	ck_assert_uint_eq(result.group_count, 3);
	ck_assert_uint_eq(result.groups[0].count + result.groups[1].count + result.groups[2].count,
			  secret + depth + none);
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

/* A histogram covers the time that was asked for, also where nothing was, and has at least what was
 * found when that time is too long for it. */
START_TEST(test_histogram_span)
{
	const int64_t hour_us = 3600000000;
	const int64_t begin_us = 1800000000000000; /* no event is older; a whole hour */
	struct search_options options = {.since_us = begin_us - 3 * hour_us - 1,
					 .until_us = begin_us + 999 * hour_us};
	struct search_result result = run("| histogram 1h", options);
	ck_assert_uint_eq(result.group_count, 1004);
	ck_assert_int_eq(result.groups[0].bucket_us, begin_us - 4 * hour_us);
	ck_assert_int_eq(result.groups[1003].bucket_us, begin_us + 999 * hour_us);
	ck_assert_uint_eq(result.groups[3].count + result.groups[1003].count, 0);
	ck_assert_uint_gt(result.groups[4].count, 0);
	search_result_done(&result);

	options.until_us = INT64_MAX; /* open: until now, or the last event when that is later */
	options.zeros_until_us = begin_us + 500 * hour_us;
	result = run("| histogram 1h", options);
	ck_assert_uint_eq(result.group_count, 505);
	search_result_done(&result);
	options.zeros_until_us = begin_us + hour_us;
	result = run("| histogram 1h", options);
	ck_assert_uint_gt(result.group_count, 100);
	ck_assert_uint_gt(result.groups[result.group_count - 1].count, 0);
	search_result_done(&result);

	options = (struct search_options){.since_us = begin_us - 4 * hour_us,
					  .until_us = begin_us - 2 * hour_us};
	result = run("| histogram 1h", options); /* nothing was found */
	ck_assert_uint_eq(result.group_count, 3);
	search_result_done(&result);
	options = (struct search_options){.since_us = 1, .until_us = INT64_MAX - 1};
	result = run("| histogram 1h", options);
	ck_assert_uint_lt(result.group_count, 200);
	ck_assert_uint_gt(result.groups[0].count, 0);
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
	Suite *suite = suite_create("search_answer");
	TCase *tests = tcase_create("search_answer");
	tcase_set_timeout(tests, 0);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, test_pages);
	tcase_add_test(tests, test_counts);
	tcase_add_test(tests, test_quality);
	tcase_add_test(tests, test_projection);
	tcase_add_test(tests, test_sorted_by_field);
	tcase_add_test(tests, test_histogram_gaps);
	tcase_add_test(tests, test_histogram_span);
	tcase_add_test(tests, test_limits);
	tcase_add_test(tests, test_explain);
	suite_add_tcase(suite, tests);
	return run_tests(suite);
}
