/* The events of a file for `rules explain` and `rules coverage`: order, stopping, what is broken.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/rule_events.h"

struct seen {
	size_t count, enough;
	int64_t last_line;
};

static bool on_event(void *context, const struct event *event)
{
	struct seen *seen = context;
	seen->last_line = event->origin.offset;
	return ++seen->count < seen->enough;
}

static struct rule_event_totals read_lines(const char *content, struct seen *seen)
{
	char path[] = "/tmp/picket-events-XXXXXX";
	struct rule_event_totals totals = {0};
	struct error err = {0};
	struct decoder_options options = {
		.format = INPUT_RAW, .time_trusted = true, .time_line_number = true};
	int file = mkstemp(path);
	ck_assert_int_ge(file, 0);
	ck_assert_int_eq(write(file, content, strlen(content)), (ssize_t)strlen(content));
	ck_assert_int_eq(close(file), 0);
	enum status status = rule_events_read(path, &options, on_event, seen, &totals, &err);
	(void)unlink(path);
	ck_assert_msg(status == OK, "%s", err.text);
	return totals;
}

START_TEST(lines_in_order)
{
	struct seen seen = {.enough = 100};
	struct rule_event_totals totals = read_lines("{\"a\":1}\n\n{\"a\":2}\n{\"a\":3}", &seen);
	ck_assert_uint_eq(totals.events, 3);
	ck_assert_int_eq(seen.last_line, 4);
	ck_assert_uint_eq(totals.rejects, 0);
}
END_TEST

START_TEST(enough_is_enough)
{
	struct seen seen = {.enough = 2};
	(void)read_lines("{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n", &seen);
	ck_assert_uint_eq(seen.count, 2);
	ck_assert_int_eq(seen.last_line, 2);
}
END_TEST

START_TEST(broken_lines_are_told)
{
	struct seen seen = {.enough = 100};
	struct rule_event_totals totals = read_lines("{\"a\":1}\n{broken\n{\"a\":3}\n", &seen);
	ck_assert_uint_eq(totals.events, 2);
	ck_assert_uint_eq(totals.rejects, 1);
	ck_assert_ptr_nonnull(strstr(totals.reason, ":2: "));
}
END_TEST

START_TEST(no_file)
{
	struct seen seen = {.enough = 1};
	struct rule_event_totals totals = {0};
	struct error err = {0};
	struct decoder_options options = {.format = INPUT_RAW};
	ck_assert_int_ne(
		rule_events_read("/nowhere/at/all", &options, on_event, &seen, &totals, &err), OK);
	ck_assert_ptr_nonnull(strstr(err.text, "nowhere"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rule_events");
	TCase *cases = tcase_create("rule_events");
	tcase_add_test(cases, lines_in_order);
	tcase_add_test(cases, enough_is_enough);
	tcase_add_test(cases, broken_lines_are_told);
	tcase_add_test(cases, no_file);
	suite_add_tcase(suite, cases);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
