/* Rules over stored events: what they find, what a change keeps, removes and adds, and what people
 * had said about it. */
#include "cli/backtest.h"

#include <check.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/action.h"
#include "cli/output.h"
#include "cli/verdicts.h"
#include "correlate/alert.h"
#include "storage/block.h"
#include "storage/rows.h"

enum { SECOND = 1000000, ARENA_BYTES = 16 << 20 };
static const int64_t T0 = 1767225600000000;

static struct store *store;
static struct arena *arena;

static void setup(void)
{
	ck_assert_int_eq(store_open_memory(&store, NULL), OK);
	arena = arena_new(ARENA_BYTES);
}

static void teardown(void)
{
	store_free(&store);
	arena_free(&arena);
}

static void put_row(enum store_family family, const struct bytes *key, struct text value)
{
	struct store_batch *batch = store_batch_new(store);
	store_batch_put(batch, family, bytes_text(key), value);
	ck_assert_int_eq(store_batch_commit(batch, false, NULL), OK);
	store_batch_free(&batch);
}

static void add(struct event *event, const char *name, const char *text)
{
	struct value value = {.type = VALUE_STRING, .text = text_of(text)};
	ck_assert_int_eq(event_add(event, arena, text_of(name), value), OK);
}

/* `failures` failed logins of each user, a second apart. */
static void put_events(const char *const *users, const unsigned *failures, size_t count)
{
	struct block_builder *builder = block_builder_new();
	struct bytes key = {0}, block = {0}, meta_row = {0};
	struct block_meta meta;
	int64_t offset = 0;
	for (size_t u = 0; u < count; u++) {
		for (unsigned i = 0; i < failures[u]; i++) {
			struct event event = {.origin = {TEXT("logs"), 0, 0, offset++},
					      .time_us = T0 + i * (int64_t)SECOND,
					      .owner = TEXT("acme")};
			add(&event, "event.outcome", "failure");
			add(&event, "user.id", users[u]);
			add(&event, "tenant.id", "acme");
			ck_assert_int_eq(block_add(builder, &event), OK);
		}
	}
	ck_assert_int_eq(block_finish(builder, &block, &meta, NULL), OK);
	block_key(TEXT("logs"), 0, meta.first_offset, meta.first_index, &key);
	block_meta_encode(&meta, &meta_row);
	put_row(FAMILY_EPOCH, &key, bytes_text(&block));
	put_row(FAMILY_BLOCKMETA, &key, bytes_text(&meta_row));
	bytes_done(&key);
	bytes_done(&block);
	bytes_done(&meta_row);
	block_builder_free(&builder);
}

/* An alert that somebody has closed. */
static void put_closed(const char *user, const char *verdict)
{
	struct bytes key = {0}, value = {0}, group = {0};
	struct actions actions = {.count = 1};
	struct alert alert = {.revision = 1,
			      .state = ALERT_ENDED,
			      .rule_key = TEXT("loud"),
			      .rule_title = TEXT("Loud"),
			      .level = LEVEL_HIGH,
			      .tenant = TEXT("acme"),
			      .count = 5,
			      .timespan_us = 60 * SECOND,
			      .first_us = T0,
			      .last_us = T0 + SECOND};
	bytes_put_text(&group, TEXT("user.id"));
	bytes_put_text(&group, text_of(user));
	alert.group = bytes_text(&group);
	memset(alert.id, user[0] == 'a' ? 'a' : 'b', ALERT_ID_SIZE);
	actions.items[0] =
		(struct action){.kind = ACTION_CLOSE, .who = TEXT("ann"), .as = text_of(verdict)};
	alert_key('a', text_of(alert.id), &key);
	alert_encode(&alert, &value);
	put_row(FAMILY_ALERT, &key, bytes_text(&value));
	bytes_clear(&key);
	bytes_clear(&value);
	alert_key('u', text_of(alert.id), &key);
	actions_encode(&actions, &value);
	put_row(FAMILY_ALERT, &key, bytes_text(&value));
	bytes_done(&key);
	bytes_done(&value);
	bytes_done(&group);
}

static struct ruleset *rules_of(unsigned least)
{
	char yaml[1024];
	struct ruleset *ruleset = NULL;
	const struct ruleset_options options = {.any_logsource = true};
	struct error err = {0};
	snprintf(yaml, sizeof yaml,
		 "title: Failed\nname: failed\nlogsource: {category: authentication}\n"
		 "level: informational\n"
		 "detection: {s: {event.outcome: failure}, condition: s}\n---\n"
		 "title: Loud\nname: loud\nlevel: high\n"
		 "correlation: {type: event_count, rules: [failed], group-by: [user.id], "
		 "timespan: 1m, condition: {gte: %u}}\n",
		 least);
	ck_assert_msg(ruleset_parse(&options, text_of(yaml), "rules", &ruleset, &err) == OK, "%s",
		      err.text);
	return ruleset;
}

static struct json_object *run_with(const struct backtest_options *given)
{
	struct backtest_options options = *given;
	options.store = store;
	options.until_us = options.until_us != 0 ? options.until_us : T0 + 3600 * (int64_t)SECOND;
	struct backtest_progress progress = {0};
	struct bytes report = {0};
	struct error err = {0};
	enum status status = backtest_run(&options, &progress, &report, &err);
	ck_assert_msg(status == OK, "%s", err.text);
	bytes_put_u8(&report, 0);
	struct json_object *answer = json_tokener_parse((const char *)report.data);
	ck_assert_msg(answer != NULL, "%s", (const char *)report.data);
	bytes_done(&report);
	ck_assert_uint_ge(progress.estimate, progress.events);
	return answer;
}

static struct json_object *run(const struct ruleset *rules, const struct ruleset *old,
			       struct text tenant)
{
	return run_with(&(struct backtest_options){.rules = rules,
						   .old = old,
						   .since_us = T0 - SECOND,
						   .tenant = tenant,
						   .shown_max = 100});
}

static struct ruleset *ruleset_of(const char *yaml)
{
	struct ruleset *ruleset = NULL;
	const struct ruleset_options options = {.any_logsource = true};
	struct error err = {0};
	ck_assert_msg(ruleset_parse(&options, text_of(yaml), "rules", &ruleset, &err) == OK, "%s",
		      err.text);
	return ruleset;
}

static void put_watermark(int64_t watermark_us)
{
	struct bytes key = {0}, value = {0};
	const struct epoch_row row = {.epoch = 1, .watermark_us = watermark_us};
	epoch_key(&key);
	epoch_encode(&row, &value);
	put_row(FAMILY_POSITION, &key, bytes_text(&value));
	bytes_done(&key);
	bytes_done(&value);
}

/* How many alerts the only rule that alerts has. */
static int found_of(struct json_object *report)
{
	struct json_object *rule = json_object_array_get_idx(json_path(report, "rules"), 0);
	int alerts = atoi(json_path_text(rule, "found.alerts"));
	json_object_put(report);
	return alerts;
}

static const char *const users[] = {"alice", "bob", "carol", "dave"};
static const unsigned failures[] = {5, 7, 12, 2};

START_TEST(test_what_rules_find)
{
	struct ruleset *rules = rules_of(5);
	put_events(users, failures, 4);
	struct json_object *report = run(rules, NULL, (struct text){0});
	struct json_object *rule = json_object_array_get_idx(json_path(report, "rules"), 0);
	ck_assert_str_eq(json_path_text(report, "complete"), "true");
	ck_assert_str_eq(json_path_text(report, "events"), "26");
	ck_assert_str_eq(json_path_text(rule, "title"), "Loud");
	ck_assert_str_eq(json_path_text(rule, "found.alerts"), "3");
	struct json_object *first = json_object_array_get_idx(json_path(report, "found"), 2);
	struct json_object *group = json_path(first, "group");
	ck_assert_str_eq(json_object_get_string(json_object_object_get(group, "user.id")), "carol");
	ck_assert_str_eq(json_path_text(first, "count"), "12");
	json_object_put(report);
	report = run(rules, NULL, TEXT("acm")); /* no tenant, and no prefix of one */
	ck_assert_str_eq(json_path_text(report, "events"), "0");
	json_object_put(report);
	ruleset_free(&rules);
}
END_TEST

START_TEST(test_what_a_change_does)
{
	struct ruleset *rules = rules_of(6);
	struct ruleset *old = rules_of(5);
	put_events(users, failures, 4);
	put_closed("alice", "false-positive");
	put_closed("bob", "true-positive");
	struct json_object *report = run(rules, old, (struct text){0});
	struct json_object *rule = json_object_array_get_idx(json_path(report, "rules"), 0);
	ck_assert_str_eq(json_path_text(rule, "before.alerts"), "3");
	ck_assert_str_eq(json_path_text(rule, "found.alerts"), "2");
	ck_assert_str_eq(json_path_text(rule, "removed.alerts"), "1");
	ck_assert_str_eq(json_path_text(rule, "removed.false-positive"), "1");
	ck_assert_str_eq(json_path_text(rule, "kept.true-positive"), "1");
	ck_assert_str_eq(json_path_text(rule, "kept.unjudged"), "1");
	ck_assert_str_eq(json_path_text(rule, "added.alerts"), "0");
	json_object_put(report);
	report = run(old, rules, (struct text){0}); /* the other way round */
	rule = json_object_array_get_idx(json_path(report, "rules"), 0);
	ck_assert_str_eq(json_path_text(rule, "added.alerts"), "1");
	ck_assert_str_eq(json_path_text(rule, "added.false-positive"), "1");
	json_object_put(report);
	ruleset_free(&rules);
	ruleset_free(&old);
}
END_TEST

START_TEST(test_precision_of_a_rule)
{
	struct ruleset *rules = rules_of(5);
	struct verdicts *verdicts = NULL;
	uint32_t loud = ruleset_find(rules, TEXT("loud"))->index;
	ck_assert_int_eq(verdicts_read(store, rules, &verdicts, NULL), OK);
	ck_assert(verdicts_precision(&verdicts[loud]) < 0); /* not known is not zero */
	verdicts_free(&verdicts);
	put_closed("alice", "false-positive");
	put_closed("bob", "true-positive");
	ck_assert_int_eq(verdicts_read(store, rules, &verdicts, NULL), OK);
	ck_assert_uint_eq(verdicts[loud].true_positives, 1);
	ck_assert_uint_eq(verdicts[loud].false_positives, 1);
	ck_assert_double_eq(verdicts_precision(&verdicts[loud]), 0.5);
	verdicts_free(&verdicts);
	put_closed("alice", "duplicate"); /* says nothing about the rule */
	ck_assert_int_eq(verdicts_read(store, rules, &verdicts, NULL), OK);
	ck_assert_double_eq(verdicts_precision(&verdicts[loud]), 1);
	verdicts_free(&verdicts);
	ruleset_free(&rules);
}
END_TEST

START_TEST(test_a_damaged_block_is_told)
{
	struct ruleset *rules = rules_of(5);
	struct bytes key = {0};
	put_events(users, failures, 4);
	block_key(TEXT("logs"), 0, 0, 0, &key);
	put_row(FAMILY_EPOCH, &key, TEXT("garbage"));
	struct json_object *report = run(rules, NULL, (struct text){0});
	ck_assert_str_eq(json_path_text(report, "complete"), "false");
	json_object_put(report);
	bytes_done(&key);
	ruleset_free(&rules);
}
END_TEST

/* What is not over yet has not happened; what the store proves has. */
START_TEST(test_judged_as_far_as_the_store_goes)
{
	static const char BASE[] =
		"title: Failed\nname: failed\nlogsource: {category: authentication}\n"
		"level: informational\ndetection: {s: {event.outcome: failure}, condition: s}\n---\n"
		"title: Odd\nname: odd\nlevel: high\ncorrelation: {rules: [failed], "
		"group-by: [user.id], ";
	char yaml[1024];
	const unsigned five = 5;
	put_events(users, &five, 1); /* alice, until T0 + 4 s */
	snprintf(yaml, sizeof yaml, "%stype: event_count, timespan: 1m, condition: {lt: 9}}\n",
		 BASE);
	struct ruleset *few = ruleset_of(yaml);
	snprintf(yaml, sizeof yaml, "%stype: absence, timespan: 1m}\n", BASE);
	struct ruleset *silent = ruleset_of(yaml);
	put_watermark(T0 + 30 * (int64_t)SECOND);
	ck_assert_int_eq(found_of(run(few, NULL, (struct text){0})), 0);
	ck_assert_int_eq(found_of(run(silent, NULL, (struct text){0})), 0);
	put_watermark(T0 + 90 * (int64_t)SECOND);
	ck_assert_int_eq(found_of(run(few, NULL, (struct text){0})), 1);
	ck_assert_int_eq(found_of(run(silent, NULL, (struct text){0})), 1);
	struct backtest_options until = {
		.rules = silent, .since_us = T0 - SECOND, .until_us = T0 + 50 * (int64_t)SECOND};
	ck_assert_int_eq(found_of(run_with(&until)), 0);
	ruleset_free(&few);
	ruleset_free(&silent);
}
END_TEST

START_TEST(test_rules_remember_what_was_before)
{
	struct ruleset *rules = rules_of(5);
	struct backtest_options options = {.rules = rules, .since_us = T0 + 3 * (int64_t)SECOND};
	const unsigned five = 5;
	put_events(users, &five, 1);
	ck_assert_int_eq(found_of(run_with(&options)), 1);
	options.since_us = T0 + 5 * (int64_t)SECOND; /* it was over */
	ck_assert_int_eq(found_of(run_with(&options)), 0);
	ruleset_free(&rules);
}
END_TEST

START_TEST(test_says_what_is_not_listed)
{
	struct ruleset *rules = rules_of(5);
	const struct backtest_options options = {
		.rules = rules, .since_us = T0 - SECOND, .shown_max = 1};
	put_events(users, failures, 4);
	struct json_object *report = run_with(&options);
	ck_assert_uint_eq(json_object_array_length(json_path(report, "found")), 1);
	ck_assert_str_eq(json_path_text(report, "not_shown"), "2");
	ck_assert_int_eq(found_of(report), 3);
	ruleset_free(&rules);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("backtest");
	TCase *all = tcase_create("all");
	tcase_add_checked_fixture(all, setup, teardown);
	tcase_add_test(all, test_what_rules_find);
	tcase_add_test(all, test_what_a_change_does);
	tcase_add_test(all, test_precision_of_a_rule);
	tcase_add_test(all, test_a_damaged_block_is_told);
	tcase_add_test(all, test_judged_as_far_as_the_store_goes);
	tcase_add_test(all, test_rules_remember_what_was_before);
	tcase_add_test(all, test_says_what_is_not_listed);
	suite_add_tcase(suite, all);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
