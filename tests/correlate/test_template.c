/* Templates of log lines: what is masked, what stays, and hostile lines. */
#include "correlate/template.h"

#include <check.h>
#include <stdlib.h>

static void is_template(const char *line, const char *wanted)
{
	struct bytes got cleanup(bytes_done) = {0};
	template_write(text_of(line), &got);
	bytes_put_u8(&got, 0);
	ck_assert_msg(strcmp((const char *)got.data, wanted) == 0,
		      "\"%s\" became \"%s\", not \"%s\"", line, (const char *)got.data, wanted);
}

START_TEST(what_varies_is_masked)
{
	static const char *const CASES[][2] = {
		{"user 4711 not found", "user # not found"},
		{"connect to 10.0.0.7:5432 failed: timeout after 1500ms",
		 "connect to # failed: timeout after #"},
		{"order 85d557f4-7b1c-4e9d-a1f0-0c2d4e6f8a90 refused", "order # refused"},
		{"commit deadbeef is gone, facade is a word", "commit # is gone, facade is a word"},
		{"cannot parse \"ann@x\" as 'a b' or `c`", "cannot parse # as # or #"},
		{"can't open file", "can't open file"},
		{"mail to ann@example.org bounced", "mail to # bounced"},
		{"key ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG refused", "key # refused"},
		{"ids [1, 2, 3] and [4]", "ids [#] and [#]"},
		{"  two   blanks\tand a tab ", "two blanks and a tab"},
		{"java.lang.NullPointerException: null\n\tat a.B.c(D.java:17)",
		 "java.lang.NullPointerException: null"},
		{"a=1 b=2", "a=# b=#"},
		{"/v2/orders/17 failed", "# failed"},
		{"/orders/list failed.", "/orders/list failed."},
		{"", ""},
		{"\n", ""},
		{"\"never closed", "\"never closed"},
	};
	for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
		is_template(CASES[i][0], CASES[i][1]);
}
END_TEST

START_TEST(any_bytes_are_bounded)
{
	uint64_t state = 0x9e3779b97f4a7c15u;
	char line[3000];
	for (int round = 0; round < 2000; round++) {
		size_t size = (size_t)(state >> 20) % sizeof line;
		for (size_t i = 0; i < size; i++) {
			state = state * 6364136223846793005u + 1442695040888963407u;
			line[i] = round % 2 == 0 ? (char)(state >> 56)
						 : "\"'`# ,1a\n\\-"[(state >> 40) % 11];
		}
		struct bytes got cleanup(bytes_done) = {0};
		struct bytes again cleanup(bytes_done) = {0};
		template_write((struct text){line, size}, &got);
		template_write((struct text){line, size}, &again);
		ck_assert_uint_le(got.size, TEMPLATE_MAX);
		ck_assert(text_equal(bytes_text(&got), bytes_text(&again)));
		ck_assert(got.size == 0 || memchr(got.data, '\n', got.size) == NULL);
	}
}
END_TEST

/* What stands behind the limit tells nothing apart. */
START_TEST(a_long_line_is_cut)
{
	char line[TEMPLATE_INPUT_MAX * 2];
	memset(line, 'x', sizeof line);
	for (size_t i = 10; i < sizeof line; i += 10)
		line[i] = ' ';
	struct bytes got cleanup(bytes_done) = {0};
	template_write((struct text){line, sizeof line}, &got);
	ck_assert_uint_eq(got.size, TEMPLATE_MAX);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("correlate/template");
	TCase *tests = tcase_create("tests");
	tcase_set_timeout(tests, 0);
	tcase_add_test(tests, what_varies_is_masked);
	tcase_add_test(tests, any_bytes_are_bounded);
	tcase_add_test(tests, a_long_line_is_cut);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
