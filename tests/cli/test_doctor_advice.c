/* The doctor's advice in words: each thing once, with the services it is meant for. */
#include "cli/doctor_advice.h"

#include <check.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

static char *printed;

static void print(const char *services)
{
	size_t size = 0;
	FILE *to = open_memstream(&printed, &size);
	struct json_object *parsed = json_tokener_parse(services);
	ck_assert_ptr_nonnull(to);
	ck_assert_ptr_nonnull(parsed);
	ck_assert(doctor_print_advice(to, parsed));
	ck_assert_int_eq(fclose(to), 0);
	(void)json_object_put(parsed);
}

static void teardown(void)
{
	free(printed);
	printed = NULL;
}

START_TEST(one_line_for_all_and_most_services_first)
{
	print("[{\"service\":\"a\",\"advice\":[\"only a\",\"both\"],\"signals\":{\"missing\":["
	      "{\"fields\":\"x\",\"fix\":\"add x\",\"signals\":[\"edge\",\"route\"]},"
	      "{\"fields\":\"x or y\",\"fix\":\"add x\",\"signals\":[\"route\",\"plaintext\"]}]}},"
	      "{\"service\":\"b\",\"advice\":[\"both\"],\"signals\":{\"missing\":[]}}]");
	ck_assert_str_eq(printed, "\nWhat to change:\n"
				  "  - both\n      in all 2 services\n"
				  "  - only a\n      in a\n"
				  "\nWhat the gate cannot see yet, and the line that shows it:\n"
				  "  - add x\n      feeds edge, route, plaintext; in a\n");
}
END_TEST

START_TEST(a_single_service_need_not_be_named)
{
	print("[{\"service\":\"a\",\"advice\":[\"x\"],\"signals\":{\"missing\":[]}}]");
	ck_assert_str_eq(printed, "\nWhat to change:\n  - x\n");
}
END_TEST

START_TEST(nothing_to_say)
{
	print("[{\"service\":\"a\",\"advice\":[],\"signals\":{\"missing\":[]}}]");
	ck_assert_str_eq(printed, "");
	teardown();
	print("[]");
	ck_assert_str_eq(printed, "");
}
END_TEST

START_TEST(beyond_eight_they_are_counted)
{
	char services[2048] = "[{\"service\":\"well\",\"advice\":[]}";
	for (int i = 0; i < 11; i++) {
		char one[80];
		(void)snprintf(one, sizeof one, ",{\"service\":\"s%d\",\"advice\":[\"x\"]}", i);
		(void)strcat(services, one);
	}
	print(strcat(services, "]"));
	ck_assert_str_eq(printed,
			 "\nWhat to change:\n  - x\n      in s0, s1, s2, s3, s4, s5, s6, s7 and 3 "
			 "more (-o json names them)\n");
}
END_TEST

/* What a log calls its service reaches no terminal as it is. */
START_TEST(a_name_cannot_speak_to_the_terminal)
{
	print("[{\"service\":\"a\",\"advice\":[]},"
	      "{\"service\":\"\\u001b[2J\",\"advice\":[\"x\"]}]");
	ck_assert_ptr_null(strchr(printed, '\033'));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("doctor_advice");
	TCase *tests = tcase_create("doctor_advice");
	tcase_add_checked_fixture(tests, NULL, teardown);
	tcase_add_test(tests, one_line_for_all_and_most_services_first);
	tcase_add_test(tests, a_single_service_need_not_be_named);
	tcase_add_test(tests, nothing_to_say);
	tcase_add_test(tests, beyond_eight_they_are_counted);
	tcase_add_test(tests, a_name_cannot_speak_to_the_terminal);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
