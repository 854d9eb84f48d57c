/* Rows of what rules remember are damaged, behind a crash in the middle of a run: the start is
 * refused, or with the operator's word goes on from the stored events, says so once, and ends with
 * every alert that an undisturbed run has. */
#include "ingest/runtime_private.h"
#include "tests/ingest/running.h"
#include "tests/rules/suite.h"

enum { CRASHES_TRIED = 40, FIRST_CRASH = 6, MATCH_KIND_AT = 8 /* behind the epoch */ };

static struct lines expected; /* of the undisturbed run */

static void expect_once(void)
{
	write_files();
	expected = run_reference();
}

static void forget_expected(void)
{
	lines_free(&expected);
	remove_files();
}

static void put_row(struct store *store, enum store_family family, struct text key,
		    struct text value)
{
	struct error err = {0};
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
	store_batch_put(batch, family, key, value);
	ck_assert_int_eq(store_batch_commit(batch, false, &err), OK);
}

/* Cuts the last row of that kind in half: 'm' of the match rows, others of the cells. False: there
 * is none. */
static bool damage(struct store *store, char kind)
{
	enum store_family family = kind == 'm' ? FAMILY_MATCH : FAMILY_CELL;
	size_t kind_at = kind == 'm' ? MATCH_KIND_AT : 0;
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct bytes damaged_key cleanup(bytes_done) = {0};
	struct bytes half cleanup(bytes_done) = {0};
	struct error err = {0};
	struct text key = {0};
	struct text value = {0};
	ck_assert_int_eq(store_scan_new(store, family, TEXT(""), TEXT(""), &scan, &err), OK);
	while (store_scan_next(scan, &key, &value)) {
		if (key.size <= kind_at || key.data[kind_at] != kind || value.size < 12)
			continue;
		bytes_clear(&damaged_key);
		bytes_clear(&half);
		bytes_write(&damaged_key, key);
		bytes_put(&half, value.data, value.size / 2 + 1);
	}
	if (half.size == 0)
		return false;
	put_row(store, family, bytes_text(&damaged_key), bytes_text(&half));
	return true;
}

/* A run that died in the middle, and then lost half of a row of each of these kinds. */
static struct store *damaged_store(const char *kinds)
{
	for (unsigned nth = FIRST_CRASH; nth < FIRST_CRASH + CRASHES_TRIED; nth++) {
		struct store *store = new_store();
		store_memory_fail_at(store, nth, ESYSTEM);
		ck_assert_int_eq(run(store, 2, 2), RUNTIME_FAILED);
		store_memory_fail_at(store, 0, OK);
		bool all = true;
		for (const char *kind = kinds; *kind != '\0' && all; kind++)
			all = damage(store, *kind);
		if (all)
			return store;
		store_free(&store);
	}
	ck_abort_msg("no crash left rows of kinds %s", kinds);
	return NULL;
}

static void expect_refusal(struct store *store)
{
	struct runtime *runtime = NULL;
	struct error err = {0};
	ck_assert_int_eq(run_begin(store, 2, 3, &runtime, &err), ECORRUPT);
	ck_assert_ptr_null(runtime);
}

static unsigned open_alerts(struct store *store)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct error err = {0};
	struct text key = {0};
	struct text value = {0};
	unsigned count = 0;
	ck_assert_int_eq(store_scan_new(store, FAMILY_ALERT, TEXT("a"), TEXT("a"), &scan, &err),
			 OK);
	while (store_scan_next(scan, &key, &value)) {
		struct alert alert = {0};
		ck_assert_int_eq(alert_decode(value, &alert, &err), OK);
		count += alert.state == ALERT_OPEN;
	}
	return count;
}

/* A plain detection has no memory to be warmed: its alert ends in two. */
static bool is_plain(const char *line)
{
	return strncmp(line, "alert 33333333", strlen("alert 33333333")) == 0;
}

static uint64_t plain_events(const struct lines *lines)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < lines->count; i++)
		if (is_plain(lines->items[i]))
			sum += strtoull(strstr(lines->items[i], " count ") + strlen(" count "),
					NULL, 10);
	return sum;
}

/* Everything expected is there; the number of lines that are there besides. Both are sorted. */
static unsigned lines_more(const struct lines *got)
{
	size_t at = 0;
	unsigned more = 0;
	for (size_t i = 0; i < got->count; i++) {
		while (at < expected.count && is_plain(expected.items[at]))
			at++;
		if (is_plain(got->items[i]))
			continue;
		if (at < expected.count && strcmp(expected.items[at], got->items[i]) == 0)
			at++;
		else
			more++;
	}
	while (at < expected.count && is_plain(expected.items[at]))
		at++;
	ck_assert_msg(at == expected.count, "missing: %s", expected.items[at]);
	return more;
}

static void check_rebuilt(struct store *store)
{
	unsigned open = open_alerts(store);
	rebuilds = true;
	ck_assert_int_eq(run(store, 2, 3), RUNTIME_FINISHED);
	rebuilds = false;
	struct lines got = collect(store);
	ck_assert_uint_eq(count_prefix(&got, "alert picket.state_rebuilt"), 1);
	ck_assert_uint_le(lines_more(&got), open + 1);
	ck_assert_uint_eq(plain_events(&got), plain_events(&expected));
	/* Another start finds nothing wrong. */
	ck_assert_int_eq(run(store, 1, 2), RUNTIME_FINISHED);
	struct lines again = collect(store);
	assert_same(&got, &again, "a start behind it");
	lines_free(&got);
	lines_free(&again);
}

START_TEST(damaged_rows_are_made_anew)
{
	struct store *store cleanup(store_free) = damaged_store("dw");
	expect_refusal(store);
	check_rebuilt(store);
}
END_TEST

/* The process dies as soon as the damaged rows are gone; the next one goes on, and finds more. */
START_TEST(a_crash_in_the_middle_of_it)
{
	struct store *store cleanup(store_free) = damaged_store("mc");
	struct runtime *runtime = NULL;
	struct error err = {0};
	rebuilds = true;
	store_memory_fail_at(store, 2, ESYSTEM);
	ck_assert_int_ne(run_begin(store, 2, 2, &runtime, &err), OK);
	store_memory_fail_at(store, 0, OK);
	rebuilds = false;
	expect_refusal(store); /* of the match records */
	check_rebuilt(store);
	/* What the gate counted is evidence, and nothing else has it. */
	ck_assert(damage(store, 'g'));
	rebuilds = true;
	expect_refusal(store);
	rebuilds = false;
}
END_TEST

static void fill(TCase *tests)
{
	tcase_add_unchecked_fixture(tests, expect_once, forget_expected);
	tcase_add_test(tests, damaged_rows_are_made_anew);
	tcase_add_test(tests, a_crash_in_the_middle_of_it);
	tcase_set_timeout(tests, 600);
}

int main(void)
{
	struct error err = {0};
	struct ruleset_options options = {0};
	if (ruleset_parse(&options, text_of(rules_text), "test", &ruleset, &err) != OK) {
		(void)fprintf(stderr, "%u:%u: %s\n", err.line, err.column, err.text);
		return EXIT_FAILURE;
	}
	int code = run_suite("recover_rebuild", fill);
	ruleset_free(&ruleset);
	return code;
}
