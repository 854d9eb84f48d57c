#include "cli/log.h"

#include <check.h>
#include <stdlib.h>

static int64_t now_us;

static int64_t fake_now(void *context)
{
	(void)context;
	return now_us;
}

static char *text;
static size_t size;
static struct log logger;

static void begin(enum log_format format)
{
	now_us = 1767225600000000;
	log_init(&logger, open_memstream(&text, &size), format,
		 (struct wall_clock){fake_now, NULL});
}

static void end(void)
{
	fclose(logger.to);
	log_done(&logger);
}

START_TEST(test_logfmt)
{
	const struct log_field fields[] = {{"a", TEXT("plain")},
					   {"b", TEXT("two \"words\"\n\x1b")}};
	begin(LOG_LOGFMT);
	log_line(&logger, LOG_LEVEL_WARNING, "hello there", fields, 2);
	end();
	ck_assert_str_eq(text, "time=2026-01-01T00:00:00Z level=warning message=\"hello there\" "
			       "a=plain b=\"two \\\"words\\\"\\n\\x1b\"\n");
	free(text);
}
END_TEST

START_TEST(test_json)
{
	const struct log_field field = {"a", TEXT("x\"y\n")};
	begin(LOG_JSON);
	log_line(&logger, LOG_LEVEL_ERROR, "m", &field, 1);
	end();
	ck_assert_str_eq(text, "{\"time\":\"2026-01-01T00:00:00Z\",\"level\":\"error\",\"message\":"
			       "\"m\",\"a\":\"x\\\"y\\n\"}\n");
	free(text);
}
END_TEST

START_TEST(test_a_flood_is_cut_and_counted)
{
	size_t lines = 0;
	begin(LOG_LOGFMT);
	for (int i = 0; i < LOG_LINES_MAX + 30; i++)
		log_line(&logger, LOG_LEVEL_INFO, "m", NULL, 0);
	now_us += 1000000;
	log_line(&logger, LOG_LEVEL_INFO, "last", NULL, 0);
	end();
	for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++)
		lines++;
	ck_assert_uint_eq(lines, LOG_LINES_MAX + 2);
	ck_assert_ptr_nonnull(strstr(text, "suppressed=30"));
	ck_assert_ptr_nonnull(strstr(text, "message=last"));
	free(text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("log");
	TCase *all = tcase_create("all");
	tcase_add_test(all, test_logfmt);
	tcase_add_test(all, test_json);
	tcase_add_test(all, test_a_flood_is_cut_and_counted);
	suite_add_tcase(suite, all);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
