/* suite - the main() of a Check program, in one call.
 *
 * Why: without forks sanitizers see everything, and the exit code says what ctest needs to know. */
#ifndef PICKET_TESTS_RULES_SUITE_H
#define PICKET_TESTS_RULES_SUITE_H

#include <check.h>
#include <stdlib.h>

static inline int run_suite(const char *name, void (*fill)(TCase *tcase))
{
	Suite *suite = suite_create(name);
	TCase *tcase = tcase_create(name);
	tcase_set_timeout(tcase, 300);
	fill(tcase);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
