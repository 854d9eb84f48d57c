#include "cli/arguments.h"

#include <check.h>
#include <stdlib.h>

static const struct option table_one[] = {
	{"limit", 'n', "N", "at most N"},
	{"watch", 'w', NULL, "look again"},
	{0},
};
static const struct option table_two[] = {
	{"rules", 0, "PATH", "may be repeated"},
	{"quiet", 'q', NULL, "say less"},
	{0},
};
static const struct option *const tables[] = {table_one, table_two, NULL};
static const struct option_tables known = {tables};

static enum status parse(const char *const *words, size_t count, struct arguments *arguments,
			 struct error *err)
{
	return arguments_parse(known, words, count, arguments, err);
}

#define PARSE(arguments, err, ...)                \
	parse((const char *const[]){__VA_ARGS__}, \
	      sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *), arguments, err)

START_TEST(test_forms)
{
	struct arguments arguments = {0};
	ck_assert_int_eq(PARSE(&arguments, NULL, "a", "--limit=5", "-n", "6", "-n7", "-wq", "-",
			       "--", "--limit"),
			 OK);
	ck_assert_str_eq(arguments_get(&arguments, "limit"), "7");
	ck_assert_str_eq(arguments_each(&arguments, "limit", 0), "5");
	ck_assert_str_eq(arguments_each(&arguments, "limit", 1), "6");
	ck_assert_ptr_null(arguments_each(&arguments, "limit", 3));
	ck_assert(arguments_has(&arguments, "watch"));
	ck_assert(arguments_has(&arguments, "quiet"));
	ck_assert(!arguments_has(&arguments, "rules"));
	ck_assert_uint_eq(arguments.word_count, 3);
	ck_assert_str_eq(arguments.words[0], "a");
	ck_assert_str_eq(arguments.words[1], "-");
	ck_assert_str_eq(arguments.words[2], "--limit");
	arguments_done(&arguments);
}
END_TEST

START_TEST(test_empty_value_is_a_value)
{
	struct arguments arguments = {0};
	ck_assert_int_eq(PARSE(&arguments, NULL, "--rules=", "--rules", ""), OK);
	ck_assert_str_eq(arguments_each(&arguments, "rules", 0), "");
	ck_assert_str_eq(arguments_each(&arguments, "rules", 1), "");
	arguments_done(&arguments);
}
END_TEST

static void refused(const char *const *words, size_t count, const char *expected)
{
	struct arguments arguments = {0};
	struct error err = {0};
	ck_assert_int_eq(parse(words, count, &arguments, &err), EINVALID);
	ck_assert_msg(strstr(err.text, expected) != NULL, "\"%s\" lacks \"%s\"", err.text,
		      expected);
	ck_assert_ptr_null(arguments.options);
}

START_TEST(test_refusals)
{
	static const struct {
		const char *words[2];
		size_t count;
		const char *expected;
	} cases[] = {
		{{"--limti", "5"}, 2, "did you mean --limit?"},
		{{"--lim", "5"}, 2, "no option --lim"}, /* never an abbreviation */
		{{"--zebra"}, 1, "see --help"},
		{{"--limit"}, 1, "--limit needs a value: --limit N"},
		{{"-n"}, 1, "--limit needs a value"},
		{{"--watch=yes"}, 1, "--watch takes no value"},
		{{"-wx"}, 1, "no option -x"},
		{{"--=x"}, 1, "no option --"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		refused(cases[i].words, cases[i].count, cases[i].expected);
}
END_TEST

START_TEST(test_help_lists_every_option)
{
	struct bytes to = {0};
	arguments_help(known, &to);
	bytes_put_u8(&to, 0);
	const char *page = (const char *)to.data;
	ck_assert_ptr_nonnull(strstr(page, "-n, --limit N"));
	ck_assert_ptr_nonnull(strstr(page, "--rules PATH"));
	ck_assert_ptr_nonnull(strstr(page, "-q, --quiet"));
	bytes_done(&to);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("arguments");
	TCase *all = tcase_create("all");
	tcase_add_test(all, test_forms);
	tcase_add_test(all, test_empty_value_is_a_value);
	tcase_add_test(all, test_refusals);
	tcase_add_test(all, test_help_lists_every_option);
	suite_add_tcase(suite, all);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
