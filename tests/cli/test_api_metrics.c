/* /metrics on the in-memory store: sums that add up, labels, and how many series there may be. */
#include "tests/cli/api_fixture.h"

#include "cli/api_private.h"

/* The page of /metrics as a string; free() it. */
static char *scrape(void)
{
	struct api_request request = {.method = TEXT("GET"), .path = TEXT("/metrics")};
	struct api_response response;
	api_answer(&api, &request, &response);
	bytes_put_u8(&response.body, 0);
	ck_assert(!response.body.failed);
	ck_assert_msg(response.status == 200, "%s", (const char *)response.body.data);
	return (char *)response.body.data;
}

static void assert_lines(const char *page, const char *const *lines, size_t count)
{
	for (size_t i = 0; i < count; i++)
		ck_assert_msg(strstr(page, lines[i]) != NULL, "no \"%s\" in\n%s", lines[i], page);
}

static unsigned count_of(const char *page, const char *what)
{
	unsigned count = 0;
	for (const char *at = strstr(page, what); at != NULL; at = strstr(at + 1, what))
		count++;
	return count;
}

START_TEST(test_metrics_add_up)
{
	static const char *const lines[] = {
		"picket_records_consumed_total{topic=\"logs-a\",partition=\"0\"} 10\n",
		"picket_records_stored_total{topic=\"logs-a\",partition=\"0\"} 9\n",
		"picket_records_quarantined_total{topic=\"logs-a\",partition=\"0\"} 1\n",
		"picket_source_lag_messages{topic=\"logs-a\",partition=\"0\"} 4\n",
		"picket_records_stored_total{topic=\"logs-\\\"b\\\\\\n\",partition=\"3\"} 5\n",
		"picket_up 1\n",
		"# TYPE picket_watermark_timestamp_seconds gauge\n",
	};
	char *page = scrape();
	assert_lines(page, lines, sizeof lines / sizeof *lines);
	ck_assert_ptr_null(strstr(page, "picket_source_lag_messages{topic=\"logs-\\\""));
	ck_assert_ptr_null(strstr(page, "picket_rule_matches")); /* nobody counts them here */
	free(page);
}
END_TEST

/* What fake_tallies() gives: the tallies of the items. */
static struct rule_tally items[API_RULE_SERIES_MAX + 3];
static size_t item_count;

static enum status fake_tallies(void *context, struct rule_tallies *ret_tallies)
{
	(void)context;
	return rule_tallies_copy(&(struct rule_tallies){.items = items, .count = item_count},
				 ret_tallies);
}

START_TEST(test_rules_have_what_they_count)
{
	static const char *const lines[] = {
		"# TYPE picket_rule_matches_total counter\n",
		"# TYPE picket_rule_groups gauge\n",
		"picket_rule_evaluations_total{rule=\"many\\\"\\n\"} 12\n",
		"picket_rule_matches_total{rule=\"many\\\"\\n\"} 7\n",
		"picket_rule_alerts_total{rule=\"silent\"} 2\n",
		"picket_rule_groups{rule=\"silent\"} 40\n",
	};
	items[0] = (struct rule_tally){
		.key = TEXT("many\"\n"), .detects = true, .evaluations = 12, .matches = 7};
	items[1] = (struct rule_tally){.key = TEXT("silent"),
				       .alerts = true,
				       .remembers = true,
				       .opened = 2,
				       .groups = 40};
	item_count = 2;
	api.rule_tallies = fake_tallies;
	char *page = scrape();
	assert_lines(page, lines, sizeof lines / sizeof *lines);
	/* What a rule cannot have is not zero: it is not there. */
	ck_assert_uint_eq(count_of(page, "picket_rule_alerts_total{"), 1);
	ck_assert_uint_eq(count_of(page, "picket_rule_matches_total{"), 1);
	ck_assert_ptr_null(strstr(page, "(others)"));
	free(page);
}
END_TEST

/* Two rules too many, and one that is called like the sum. */
START_TEST(test_rules_beyond_the_limit_are_summed_up)
{
	static char keys[API_RULE_SERIES_MAX + 3][16];
	static const char *const lines[] = {
		"picket_rule_matches_total{rule=\"rule-0000\"} 1\n",
		"picket_rule_matches_total{rule=\"rule-0999\"} 1\n",
		"picket_rule_matches_total{rule=\"(others)\"} 3\n",
	};
	item_count = sizeof items / sizeof *items;
	for (size_t i = 0; i < item_count; i++) {
		(void)snprintf(keys[i], sizeof keys[i], i == 0 ? "(others)" : "rule-%04zu", i - 1);
		items[i] =
			(struct rule_tally){.key = text_of(keys[i]), .detects = true, .matches = 1};
	}
	api.rule_tallies = fake_tallies;
	char *page = scrape();
	assert_lines(page, lines, sizeof lines / sizeof *lines);
	ck_assert_uint_eq(count_of(page, "picket_rule_matches_total{"), API_RULE_SERIES_MAX + 1);
	ck_assert_uint_eq(count_of(page, "picket_rule_matches_total{rule=\"(others)\"}"), 1);
	ck_assert_ptr_null(strstr(page, "rule-1000"));
	free(page);
}
END_TEST

static enum status no_memory(void *context, struct rule_tallies *ret_tallies)
{
	(void)context;
	(void)ret_tallies;
	return ENOMEMORY;
}

START_TEST(test_half_a_page_is_none)
{
	api.rule_tallies = no_memory;
	struct json_object *answer = ask("GET /metrics", NULL, 500);
	json_object_put(answer);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("api_metrics");
	TCase *all = tcase_create("all");
	tcase_add_checked_fixture(all, setup, teardown);
	tcase_add_test(all, test_metrics_add_up);
	tcase_add_test(all, test_rules_have_what_they_count);
	tcase_add_test(all, test_rules_beyond_the_limit_are_summed_up);
	tcase_add_test(all, test_half_a_page_is_none);
	suite_add_tcase(suite, all);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
