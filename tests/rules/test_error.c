#include "rules/error.h"

#include <stdio.h>
#include <string.h>

#include "tests/rules/suite.h"

START_TEST(every_status_has_words)
{
	size_t count = 0;
#define STATUS(code, text)                               \
	ck_assert_str_eq(status_text(code), text);       \
	ck_assert_uint_gt(strlen(status_text(code)), 0); \
	count++;
#include "rules/status.def"
#undef STATUS
	ck_assert_uint_eq(count, 13);
	ck_assert_int_eq(OK, 0);
}
END_TEST

START_TEST(set_and_print)
{
	struct error err = {0};
	char buffer[128];
	ck_assert_int_eq(error_set(&err, ENOTFOUND, "no %s", "file"), ENOTFOUND);
	ck_assert_int_eq(err.status, ENOTFOUND);
	ck_assert_uint_eq(error_print(&err, buffer, sizeof buffer), 7);
	ck_assert_str_eq(buffer, "no file");
	struct position at = {"rule.yml", 12, 5};
	ck_assert_int_eq(error_at(&err, EINVALID, at, "unknown key"), EINVALID);
	(void)error_print(&err, buffer, sizeof buffer);
	ck_assert_str_eq(buffer, "rule.yml:12:5: unknown key");
	/* An older place does not stick to a newer error. */
	ck_assert_int_eq(error_set(&err, EINVALID, "x"), EINVALID);
	ck_assert_str_eq(err.file, "");
	ck_assert_uint_eq(err.line, 0);
}
END_TEST

START_TEST(nobody_has_to_listen)
{
	ck_assert_int_eq(error_set(NULL, ELIMIT, "x"), ELIMIT);
	ck_assert_int_eq(error_at(NULL, ELIMIT, (struct position){0}, "x"), ELIMIT);
	ck_assert_int_eq(error_wrap(NULL, ELIMIT, "x"), ELIMIT);
}
END_TEST

START_TEST(context_comes_first)
{
	struct error err = {0};
	ck_assert_int_eq(error_at(&err, EINVALID, (struct position){"a.yml", 1, 2}, "bad"),
			 EINVALID);
	ck_assert_int_eq(error_wrap(&err, EINCOMPLETE, "loading %d rules", 3), EINCOMPLETE);
	ck_assert_str_eq(err.text, "loading 3 rules: bad");
	ck_assert_str_eq(err.file, "a.yml");
	ck_assert_int_eq(err.status, EINCOMPLETE);
}
END_TEST

START_TEST(long_texts_are_cut_not_overrun)
{
	static char huge[4 * ERROR_TEXT_MAX];
	memset(huge, 'x', sizeof huge - 1);
	struct error err = {0};
	ck_assert_int_eq(error_at(&err, EINVALID, (struct position){huge, 1, 1}, "%s", huge),
			 EINVALID);
	ck_assert_uint_eq(strlen(err.text), ERROR_TEXT_MAX - 1);
	ck_assert_uint_eq(strlen(err.file), ERROR_FILE_MAX - 1);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(error_wrap(&err, EINVALID, "%s", huge), EINVALID);
	ck_assert_uint_lt(strlen(err.text), ERROR_TEXT_MAX);
	char buffer[16];
	ck_assert_uint_eq(error_print(&err, buffer, sizeof buffer), 15);
	ck_assert_uint_eq(strlen(buffer), 15);
	ck_assert_uint_eq(error_print(&err, buffer, 1), 0);
}
END_TEST

static int freed;

static void count_free(int **p)
{
	freed += *p != NULL;
}

static int *kept(int *value)
{
	int *scoped cleanup(count_free) = value;
	return TAKE(scoped);
}

START_TEST(a_long_text_keeps_its_fix)
{
	struct error err = {0};
	char name[4 * ERROR_TEXT_MAX];
	memset(name, 'k', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	for (size_t size = 1; size < sizeof name; size += 37) {
		ck_assert_int_eq(error_set(&err, EINVALID, "no key '%.*s'\n  fix: remove it",
					   (int)size, name),
				 EINVALID);
		ck_assert_uint_lt(strlen(err.text), ERROR_TEXT_MAX);
		ck_assert_ptr_nonnull(strstr(err.text, "no key 'k"));
		ck_assert_ptr_nonnull(strstr(err.text, "\n  fix: remove it"));
	}
	ck_assert_int_eq(error_set(&err, EINVALID, "no\n  fix: %s", name), EINVALID);
	ck_assert_uint_eq(strlen(err.text), ERROR_TEXT_MAX - 1);
}
END_TEST

START_TEST(cleanup_and_take)
{
	int value = 7;
	{
		int *scoped cleanup(count_free) = &value;
		ck_assert_int_eq(*scoped, 7);
	}
	ck_assert_int_eq(freed, 1);
	ck_assert_ptr_eq(kept(&value), &value);
	ck_assert_int_eq(freed, 1);
}
END_TEST

static void fill(TCase *tcase)
{
	tcase_add_test(tcase, every_status_has_words);
	tcase_add_test(tcase, set_and_print);
	tcase_add_test(tcase, nobody_has_to_listen);
	tcase_add_test(tcase, context_comes_first);
	tcase_add_test(tcase, a_long_text_keeps_its_fix);
	tcase_add_test(tcase, long_texts_are_cut_not_overrun);
	tcase_add_test(tcase, cleanup_and_take);
}

int main(void)
{
	return run_suite("error", fill);
}
