#include "cli/exit.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* The numbers are a promise: they are written here a second time. */
START_TEST(test_numbers_never_change)
{
	ck_assert_int_eq(EXIT_OK, 0);
	ck_assert_int_eq(EXIT_NEGATIVE, 1);
	ck_assert_int_eq(EXIT_INCOMPLETE, 2);
	ck_assert_int_eq(EXIT_USAGE, 64);
	ck_assert_int_eq(EXIT_DATA, 65);
	ck_assert_int_eq(EXIT_UNREACHABLE, 69);
	ck_assert_int_eq(EXIT_INTERNAL, 70);
}
END_TEST

START_TEST(test_of_status)
{
	ck_assert_int_eq(exit_of_status(OK), 0);
	ck_assert_int_eq(exit_of_status(ENOTFOUND), 1);
	ck_assert_int_eq(exit_of_status(EINCOMPLETE), 2);
	ck_assert_int_eq(exit_of_status(EDENIED), 64);
	ck_assert_int_eq(exit_of_status(EINVALID), 65);
	ck_assert_int_eq(exit_of_status(ECORRUPT), 65);
	ck_assert_int_eq(exit_of_status(EUNAVAILABLE), 69);
	ck_assert_int_eq(exit_of_status(EINUSE), 69);
	ck_assert_int_eq(exit_of_status(ENOMEMORY), 70);
	ck_assert_int_eq(exit_of_status(ENOSPACE), 70);
}
END_TEST

START_TEST(test_of_http)
{
	ck_assert_int_eq(exit_of_http(200), 0);
	ck_assert_int_eq(exit_of_http(400), 64);
	ck_assert_int_eq(exit_of_http(401), 69);
	ck_assert_int_eq(exit_of_http(403), 64);
	ck_assert_int_eq(exit_of_http(404), 1);
	ck_assert_int_eq(exit_of_http(409), 64);
	ck_assert_int_eq(exit_of_http(500), 70);
	ck_assert_int_eq(exit_of_http(503), 69);
}
END_TEST

START_TEST(test_help_has_every_line)
{
	ck_assert_ptr_nonnull(strstr(exit_help(), "  0\t"));
	ck_assert_ptr_nonnull(strstr(exit_help(), "  70\t"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("exit");
	TCase *all = tcase_create("all");
	tcase_add_test(all, test_numbers_never_change);
	tcase_add_test(all, test_of_status);
	tcase_add_test(all, test_of_http);
	tcase_add_test(all, test_help_has_every_line);
	suite_add_tcase(suite, all);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
