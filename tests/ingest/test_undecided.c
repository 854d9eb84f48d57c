/* The alert about rules that gave up: nothing of it depends on the order of events. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "ingest/undecided.h"

static const char rules_text[] = "title: first\nid: 11111111-1111-4111-8111-111111111111\n"
				 "logsource: {product: p}\n"
				 "detection: {s: {a: b}, condition: s}\nlevel: low\n"
				 "---\n"
				 "title: second\nid: 22222222-2222-4222-8222-222222222222\n"
				 "logsource: {product: p}\n"
				 "detection: {s: {a: c}, condition: s}\nlevel: low\n";

static struct ruleset *ruleset;

struct told {
	struct bytes text; /* one line for each alert */
};

static void on_alert(void *context, const struct alert *alert)
{
	struct told *told = context;
	char words[2048];
	ck_assert_int_eq(alert->state, ALERT_ENDED);
	(void)snprintf(words, sizeof words, "%s %.*s %lld..%lld x%llu %.*s\n", alert->id,
		       TEXT_ARG(alert->rule_key), (long long)alert->first_us,
		       (long long)alert->last_us, (unsigned long long)alert->count,
		       TEXT_ARG(alert->reason));
	bytes_put(&told->text, words, strlen(words));
}

static void note(struct undecided *undecided, uint32_t rule, const char *file, int64_t line)
{
	struct event event = {.time_us = 1000 + line % 3,
			      .origin = {.topic = text_of(file), .offset = line}};
	undecided_note(undecided, rule, &event);
}

static char *tell(struct undecided **undecided, size_t expected)
{
	struct told told = {0};
	size_t count = 0;
	ck_assert_int_eq(undecided_tell(*undecided, on_alert, &told, &count), OK);
	ck_assert_uint_eq(count, expected);
	undecided_free(undecided);
	bytes_put_u8(&told.text, 0);
	ck_assert(!told.text.failed);
	return (char *)told.text.data;
}

START_TEST(order_does_not_show)
{
	char *texts[2];
	for (int round = 0; round < 2; round++) {
		struct undecided *undecided = undecided_new(ruleset);
		ck_assert_ptr_nonnull(undecided);
		for (int64_t i = 0; i < 60; i++) {
			int64_t line = round == 0 ? i : 59 - i;
			note(undecided, 1, line % 2 == 0 ? "even.log" : "odd.log", line);
		}
		texts[round] = tell(&undecided, 1);
	}
	ck_assert_str_eq(texts[0], texts[1]);
	ck_assert_ptr_nonnull(strstr(texts[0], "rule.undecided 1000..1002 x60"));
	ck_assert_ptr_nonnull(strstr(texts[0], "\"second\" could not be decided for 60 events"));
	ck_assert_ptr_nonnull(strstr(texts[0], "even.log:0"));
	free(texts[0]);
	free(texts[1]);
}
END_TEST

START_TEST(each_rule_is_told_once_and_silence_is_no_alert)
{
	struct undecided *undecided = undecided_new(ruleset);
	free(tell(&undecided, 0));
	undecided = undecided_new(ruleset);
	note(undecided, 0, "a.log", 3);
	note(undecided, 1, "a.log", 3);
	char *text = tell(&undecided, 2);
	ck_assert_ptr_nonnull(strstr(text, "\"first\""));
	ck_assert_ptr_nonnull(strstr(text, "\"second\""));
	ck_assert_int_ne(strncmp(text, strchr(text, '\n') + 1, ALERT_ID_SIZE), 0);
	free(text);
}
END_TEST

START_TEST(nobody_need_listen)
{
	struct undecided *undecided = undecided_new(ruleset);
	size_t count = 0;
	note(undecided, 0, "", 3);
	ck_assert_int_eq(undecided_tell(undecided, NULL, NULL, &count), OK);
	ck_assert_uint_eq(count, 1);
	undecided_free(&undecided);
	ck_assert_ptr_null(undecided);
	undecided_free(&undecided);
}
END_TEST

int main(void)
{
	struct ruleset_options options = {0};
	if (ruleset_parse(&options, text_of(rules_text), "test", &ruleset, NULL) != OK)
		return EXIT_FAILURE;
	Suite *suite = suite_create("undecided");
	TCase *tests = tcase_create("undecided");
	tcase_add_test(tests, order_does_not_show);
	tcase_add_test(tests, each_rule_is_told_once_and_silence_is_no_alert);
	tcase_add_test(tests, nobody_need_listen);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	ruleset_free(&ruleset);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
