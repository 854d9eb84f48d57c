/* Numbers as they were written. */
#include "cli/json_reader.h"

#include <check.h>
#include <stdlib.h>

static void expect(struct text in, const char *out)
{
	struct json_object *object = json_read(in);
	ck_assert_ptr_nonnull(object);
	ck_assert_str_eq(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN), out);
	(void)json_object_put(object);
}

START_TEST(test_long_integers_keep_their_digits)
{
	expect(TEXT("{\"a\":123456789012345678901234567890}"),
	       "{\"a\":123456789012345678901234567890}");
	expect(TEXT("[-99999999999999999999,18446744073709551616]"),
	       "[-99999999999999999999,18446744073709551616]");
	expect(TEXT("[9223372036854775807,-9223372036854775808,18446744073709551615]"),
	       "[9223372036854775807,-9223372036854775808,18446744073709551615]");
	expect(TEXT("1000000000000000000000000000000000000000 "),
	       "1000000000000000000000000000000000000000");
}
END_TEST

START_TEST(test_other_numbers_are_left_alone)
{
	expect(TEXT("[0,-1,1.50,1e5,12345678901234567890.25,1e999]"),
	       "[0,-1,1.50,1e5,12345678901234567890.25,1e999]");
	/* An exponent of the log's own is not ours to take away. */
	expect(TEXT("[7e0,12345678901234567890e1]"), "[7e0,12345678901234567890e1]");
}
END_TEST

START_TEST(test_text_is_left_alone)
{
	expect(TEXT("{\"12345678901234567890123\":\"98765432109876543210987\"}"),
	       "{\"12345678901234567890123\":\"98765432109876543210987\"}");
	expect(TEXT("[\"a\\\"12345678901234567890123\",\"\\\\\",1]"),
	       "[\"a\\\"12345678901234567890123\",\"\\\\\",1]");
	expect(TEXT("[true,false,null]"), "[true,false,null]");
}
END_TEST

START_TEST(test_what_is_no_json)
{
	static const char *const broken[] = {"",     "{",       "\"open", "\"open\\",
					     "[1,}", "{\"a\"}", "1e",     "--"};
	for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
		struct json_object *object = json_read(text_of(broken[i]));
		/* json-c without strictness may take a number that ends early: no crash is the
		 * point */
		(void)json_object_put(object);
	}
	ck_assert_ptr_null(json_read(TEXT("")));
	ck_assert_ptr_null(json_read(TEXT("{\"a\":")));
	ck_assert_ptr_null(json_read(TEXT("{\"a\":12345678901234567890123")));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("json_reader");
	TCase *all = tcase_create("all");
	tcase_add_test(all, test_long_integers_keep_their_digits);
	tcase_add_test(all, test_other_numbers_are_left_alone);
	tcase_add_test(all, test_text_is_left_alone);
	tcase_add_test(all, test_what_is_no_json);
	suite_add_tcase(suite, all);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
