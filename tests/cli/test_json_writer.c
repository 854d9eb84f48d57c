#include "cli/json_writer.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

START_TEST(test_commas_and_values)
{
	struct bytes to = {0};
	struct json_writer json = {.to = &to};
	json_write_open(&json, NULL, '{');
	json_write_text(&json, "a\"b", TEXT("x\n\xff"));
	json_write_open(&json, "list", '[');
	json_write_number(&json, NULL, INT64_MIN);
	json_write_count(&json, NULL, UINT64_MAX);
	json_write_open(&json, NULL, '{');
	json_write_close(&json, '}');
	json_write_real(&json, NULL, 0.5);
	json_write_real(&json, NULL, INFINITY);
	json_write_real(&json, NULL, NAN);
	json_write_close(&json, ']');
	json_write_boolean(&json, "b", true);
	json_write_time(&json, "t", 0);
	json_write_time(&json, "never", INT64_MIN);
	json_write_raw(&json, "raw", TEXT("{\"x\":1}"));
	json_write_close(&json, '}');
	const char *expected =
		"{\"a\\\"b\":\"x\\n\xef\xbf\xbd\",\"list\":[-9223372036854775808,"
		"18446744073709551615,{},0.5,null,null],\"b\":true,\"t\":\"1970-01-01T00:00:00Z\","
		"\"never\":null,\"raw\":{\"x\":1}}";
	ck_assert_uint_eq(to.size, strlen(expected));
	ck_assert_mem_eq(to.data, expected, to.size);
	bytes_done(&to);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("json_writer");
	TCase *all = tcase_create("all");
	tcase_add_test(all, test_commas_and_values);
	suite_add_tcase(suite, all);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
