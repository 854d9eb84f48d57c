/* The commands that follow a verdict: the events that it is about, and nothing that a log could
 * turn into a command of the reader's shell. */
#include "cli/gate_advice.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char WINDOW[] = "\"window\":{\"start\":\"2026-11-22T11:00:00Z\",\"end\":"
			     "\"2026-11-22T11:30:00Z\"}";

static struct bytes advice;

/* The advice on an answer with these members beside the window. */
static const char *advise(const char *members, bool replayed)
{
	char text[2048];
	(void)snprintf(text, sizeof text, "{%s,%s}", WINDOW, members);
	struct json_object *answer = json_tokener_parse(text);
	ck_assert_ptr_nonnull(answer);
	bytes_clear(&advice);
	gate_advice(answer, replayed, &advice);
	bytes_put_u8(&advice, 0);
	json_object_put(answer);
	return (const char *)advice.data;
}

static const char REGRESSION[] =
	"\"verdict\":\"FAIL\",\"service\":\"pay\",\"canary\":\"service.version=2.1.0\",\"outcomes\":["
	"{\"name\":\"authn_failure\",\"state\":\"rejected\",\"e_fail\":1,\"fewer\":{\"e_fail\":500}},"
	"{\"name\":\"http_5xx\",\"state\":\"rejected\",\"e_fail\":200}]";

START_TEST(a_regression_names_its_events)
{
	ck_assert_str_eq(
		advise(REGRESSION, false),
		"next: roll back; then:\n"
		"  picket search 'service.name: \"pay\" and service.version: \"2.1.0\" and "
		"http.response.status_code >= 500' --since 2026-11-22T11:00:00Z --until "
		"2026-11-22T11:30:00Z\n"
		"  picket gate override --service pay --canary service.version=2.1.0 --reason "
		"WHY    (if you know better)\n");
}
END_TEST

START_TEST(a_finding_names_its_event)
{
	const char *text = advise(
		"\"verdict\":\"INCONCLUSIVE\",\"service\":\"pay\",\"canary\":\"2.1.0\",\"findings\":["
		"{\"class\":\"SOFT\",\"evidence\":[{\"topic\":\"a\",\"partition\":1,\"offset\":2}]},"
		"{\"class\":\"HARD\",\"evidence\":[{\"topic\":\"b\",\"partition\":3,\"offset\":4}]}]",
		false);
	ck_assert_ptr_nonnull(strstr(text, "  picket events show b/3/4\n"));
	ck_assert_ptr_null(strstr(text, "a/1/2"));
	ck_assert_ptr_null(strstr(text, "override"));
}
END_TEST

START_TEST(a_replay_asks_for_nothing)
{
	const char *text = advise(REGRESSION, true);
	ck_assert_ptr_nonnull(strstr(text, "the events it is about:\n  picket search"));
	ck_assert_ptr_null(strstr(text, "roll back"));
	ck_assert_ptr_null(strstr(text, "override"));
	ck_assert_str_eq(advise("\"verdict\":\"WAIT\"", true), "");
	ck_assert_str_eq(advise("\"verdict\":\"PASS\"", false), "");
}
END_TEST

START_TEST(what_was_logged_is_no_command)
{
	static const char *const NAMES[] = {"x'; rm -rf / #", "$(reboot)", "`id`", "a b",
					    "--reason"};
	for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
		char members[1024];
		(void)snprintf(
			members, sizeof members,
			"\"verdict\":\"FAIL\",\"service\":\"pay\",\"canary\":\"%s\",\"outcomes\":[{"
			"\"name\":\"http_5xx\",\"state\":\"rejected\",\"e_fail\":200}],\"findings\":[{"
			"\"class\":\"HARD\",\"evidence\":[{\"topic\":\"%s\",\"partition\":1,"
			"\"offset\":2}]}]",
			NAMES[i], NAMES[i]);
		ck_assert_str_eq(advise(members, false),
				 "next: roll back; then:\n"
				 "  picket gate override --service NAME --canary VERSION --reason "
				 "WHY    (if you know better)\n");
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("gate_advice");
	TCase *all = tcase_create("all");
	tcase_add_test(all, a_regression_names_its_events);
	tcase_add_test(all, a_finding_names_its_event);
	tcase_add_test(all, a_replay_asks_for_nothing);
	tcase_add_test(all, what_was_logged_is_no_command);
	suite_add_tcase(suite, all);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	bytes_done(&advice);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
