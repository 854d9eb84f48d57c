/* What may reach a terminal. */
#include "cli/escape.h"

#include <check.h>
#include <stdlib.h>

static void expect(struct text in, const char *out)
{
	struct bytes to = {0};
	escape_text(in, &to);
	ck_assert_int_eq(bytes_status(&to), OK);
	ck_assert_uint_eq(to.size, strlen(out));
	ck_assert_mem_eq(to.size == 0 ? "" : (const char *)to.data, out, to.size);
	bytes_done(&to);
}

START_TEST(test_printable_text_is_kept)
{
	expect(TEXT(""), "");
	expect(TEXT("plain text, 100 %"), "plain text, 100 %");
	expect(TEXT("back\\slash"), "back\\slash");
	expect(TEXT("\xc3\xa4\xe6\x97\xa5\xf0\x9f\x90\x9f"),
	       "\xc3\xa4\xe6\x97\xa5\xf0\x9f\x90\x9f");
}
END_TEST

START_TEST(test_control_characters)
{
	expect(TEXT("a\x1b[31mb"), "a\\x1b[31mb");
	expect(TEXT("\x1b]52;c;ZXZpbA==\x07"), "\\x1b]52;c;ZXZpbA==\\x07");
	expect(TEXT("ten\0ant"), "ten\\x00ant");
	expect(TEXT("a\nb\tc\rd\x7f"), "a\\nb\\tc\\rd\\x7f");
	expect(TEXT("\xc2\x9b"
		    "31m"),
	       "\\u{009b}31m");
}
END_TEST

START_TEST(test_bidirectional_and_invisible)
{
	expect(TEXT("user\xe2\x80\xaegnp.exe"), "user\\u{202e}gnp.exe");
	expect(TEXT("\xe2\x81\xa6x\xe2\x81\xa9"), "\\u{2066}x\\u{2069}");
	expect(TEXT("ad\xe2\x80\x8bmin"), "ad\\u{200b}min");
	expect(TEXT("\xef\xbb\xbfx"), "\\u{feff}x");
	expect(TEXT("\xf3\xa0\x81\x81x"), "\\u{e0041}x");
	expect(TEXT("\xe2\x80\xa8"), "\\u{2028}");
}
END_TEST

START_TEST(test_bytes_that_are_no_text)
{
	expect(TEXT("\xff\xfe"), "\\xff\\xfe");
	expect(TEXT("\xc3"), "\\xc3");
	expect(TEXT("\xc0\xaf"), "\\xc0\\xaf");
	expect(TEXT("\xed\xa0\x80"), "\\xed\\xa0\\x80");
	expect(TEXT("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
	expect(TEXT("\xe2\x80"), "\\xe2\\x80");
	expect(TEXT("\x9b"
		    "31m"),
	       "\\x9b"
	       "31m");
}
END_TEST

START_TEST(test_lines_keep_breaks_only)
{
	struct bytes to = {0};
	escape_lines(TEXT("at a\n\tat b\x1b[0m"), &to);
	ck_assert_uint_eq(to.size, strlen("at a\n\\tat b\\x1b[0m"));
	ck_assert_mem_eq(to.data, "at a\n\\tat b\\x1b[0m", to.size);
	bytes_done(&to);
}
END_TEST

START_TEST(test_json_keeps_its_meaning)
{
	struct bytes to = {0};
	escape_json(TEXT("{\"a\":\"\x7f\xc2\x9b\xe2\x80\xae\xf3\xa0\x81\x81\xff\xc3\xa4\"}\n"),
		    &to);
	const char *out = "{\"a\":\"\\u007f\\u009b\\u202e\\udb40\\udc41\xef\xbf\xbd\xc3\xa4\"}\n";
	ck_assert_uint_eq(to.size, strlen(out));
	ck_assert_mem_eq(to.data, out, to.size);
	bytes_done(&to);
}
END_TEST

START_TEST(test_utf8_next)
{
	uint32_t code = 0;
	ck_assert_uint_eq(utf8_next(TEXT("\xf0\x9f\x90\x9f"), 0, &code), 4);
	ck_assert_uint_eq(code, 0x1f41f);
	ck_assert_uint_eq(utf8_next(TEXT("x\xc2\x80"), 1, &code), 2);
	ck_assert_uint_eq(code, 0x80);
	ck_assert_uint_eq(utf8_next(TEXT("\x80"), 0, &code), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("escape");
	TCase *all = tcase_create("all");
	tcase_add_test(all, test_printable_text_is_kept);
	tcase_add_test(all, test_control_characters);
	tcase_add_test(all, test_bidirectional_and_invisible);
	tcase_add_test(all, test_bytes_that_are_no_text);
	tcase_add_test(all, test_lines_keep_breaks_only);
	tcase_add_test(all, test_json_keeps_its_meaning);
	tcase_add_test(all, test_utf8_next);
	suite_add_tcase(suite, all);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
