/* The counts by rule: the same for every number of threads and over reloads, equal to what the
 * store holds in the end, and of the rules that are live. */
#include "ingest/rule_tally.h"
#include "tests/ingest/swapping.h"

static const char KEY_MANY[] = "11111111-1111-4111-8111-111111111111";
static const char KEY_CHAINED[] = "22222222-2222-4222-8222-222222222222";
static const char KEY_SUCCESS[] = "55555555-5555-4555-8555-555555555555";

/* Without the others; another detection. */
static const char fewer_rules[] =
	"title: failed\nname: failed\nlogsource: {product: microservice}\n"
	"detection: {s: {event.outcome: failure}, condition: s}\nlevel: informational\n"
	"---\n"
	"title: success\nid: 55555555-5555-4555-8555-555555555555\n"
	"logsource: {product: microservice}\n"
	"detection: {s: {event.outcome: success}, condition: s}\nlevel: low\n";

static const struct rule_tally *tally_of(const struct rule_tallies *tallies, const char *key)
{
	for (size_t i = 0; i < tallies->count; i++)
		if (text_equal(tallies->items[i].key, text_of(key)))
			return &tallies->items[i];
	return NULL;
}

static void put(struct bytes *news, const char *key, uint64_t number)
{
	rule_news_put(news, &(struct rule_tally){.key = text_of(key),
						 .evaluations = number + 2,
						 .matches = number + 1,
						 .opened = number,
						 .groups = 2 * number});
}

START_TEST(news_add_up_and_follow_the_rules)
{
	struct ruleset *fewer cleanup(ruleset_free) = parse(fewer_rules);
	struct rule_tallies tallies cleanup(rule_tallies_done) = {0};
	struct rule_tallies copy cleanup(rule_tallies_done) = {0};
	struct bytes news cleanup(bytes_done) = {0};
	ck_assert_int_eq(rule_tallies_follow(&tallies, ruleset), OK);
	ck_assert_uint_eq(tallies.count, ruleset_count(ruleset));
	put(&news, "failed", 100);
	put(&news, KEY_MANY, 10);
	put(&news, KEY_SUCCESS, 1); /* not there yet: left out */
	put(&news, "failed", 1000);
	ck_assert_int_eq(bytes_status(&news), OK);
	rule_tallies_add(&tallies, bytes_text(&news));
	ck_assert_uint_eq(tally_of(&tallies, "failed")->evaluations, 1104);
	ck_assert_uint_eq(tally_of(&tallies, "failed")->matches, 1102);
	ck_assert_uint_eq(tally_of(&tallies, KEY_MANY)->opened, 10);
	ck_assert_uint_eq(tally_of(&tallies, KEY_MANY)->groups, 20);
	ck_assert(tally_of(&tallies, "failed")->detects && tally_of(&tallies, KEY_MANY)->alerts &&
		  !tally_of(&tallies, KEY_MANY)->detects);
	ck_assert_int_eq(rule_tallies_copy(&tallies, &copy), OK);
	ck_assert_int_eq(rule_tallies_follow(&tallies, fewer), OK);
	ck_assert_uint_eq(tallies.count, 2);
	ck_assert_uint_eq(tally_of(&tallies, "failed")->matches, 1102);
	ck_assert_uint_eq(tally_of(&tallies, KEY_SUCCESS)->matches, 0);
	ck_assert_ptr_null(tally_of(&tallies, KEY_MANY));
	rule_tallies_add(&tallies, bytes_text(&news));
	rule_tallies_clear_groups(&tallies);
	ck_assert_uint_eq(tally_of(&tallies, KEY_SUCCESS)->matches, 2);
	ck_assert_uint_eq(tally_of(&tallies, "failed")->groups, 0);
	ck_assert_uint_eq(tally_of(&copy, KEY_MANY)->groups, 20); /* lives by itself */
}
END_TEST

/* Two rules without an id may have the same title. */
START_TEST(rules_with_the_same_key_share_a_tally)
{
	struct ruleset *same cleanup(ruleset_free) =
		parse("title: twin\nlogsource: {product: p}\n"
		      "detection: {s: {a: b}, condition: s}\nlevel: low\n"
		      "---\n"
		      "title: twin\nlogsource: {product: p}\n"
		      "detection: {s: {a: c}, condition: s}\nlevel: low\n");
	struct rule_tallies tallies cleanup(rule_tallies_done) = {0};
	ck_assert_int_eq(rule_tallies_follow(&tallies, same), OK);
	ck_assert_uint_eq(ruleset_count(same), 2);
	ck_assert_uint_eq(tallies.count, 1);
}
END_TEST

static unsigned count_failures(const struct lines *lines)
{
	unsigned count = 0;
	for (size_t i = 0; i < lines->count; i++)
		count += strncmp(lines->items[i], "event ", 6) == 0 &&
			 strstr(lines->items[i], "\"failure\"") != NULL;
	return count;
}

/* The counts of a run against what its store holds; alerts that were merged count as opened. */
static void assert_counts(const struct run_end *end, const struct lines *got)
{
	uint64_t opened = 0;
	for (size_t i = 0; i < end->tallies.count; i++)
		opened += end->tallies.items[i].opened;
	ck_assert_uint_eq(opened, end->alerts_opened);
	ck_assert_uint_ge(tally_of(&end->tallies, KEY_MANY)->opened,
			  count_prefix(got, "alert 11111111"));
	ck_assert_uint_ge(tally_of(&end->tallies, KEY_CHAINED)->opened,
			  count_prefix(got, "alert 22222222"));
	ck_assert_uint_eq(tally_of(&end->tallies, "failed")->matches, count_failures(got));
	ck_assert_uint_ge(tally_of(&end->tallies, "failed")->evaluations, count_failures(got));
	for (size_t i = 0; i < end->tallies.count; i++) /* all is over at the end of the input */
		ck_assert_uint_eq(end->tallies.items[i].groups, 0);
}

static unsigned swaps_before;
static uint64_t most_groups;

/* The input waits until a checkpoint has told of groups; then the rules are swapped. */
static void swap_with_groups(struct runtime *runtime)
{
	struct rule_tallies now cleanup(rule_tallies_done) = {0};
	ck_assert_int_eq(runtime_rule_tallies(runtime, &now), OK);
	most_groups = tally_of(&now, KEY_MANY)->groups;
	if (swaps == swaps_before && most_groups > 0)
		swap_now(runtime);
}

START_TEST(the_same_for_threads_and_reloads)
{
	static const unsigned shapes[][2] = {{1, 1}, {3, 2}, {2, 3}};
	static const bool swapped[] = {false, false, true};
	uint64_t evaluations = 0;
	next_rules = rules_text;
	for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
		struct store *store cleanup(store_free) = new_store();
		struct run_end end = {0};
		const unsigned *shape = shapes[i];
		run_end = &end;
		swaps_before = swaps;
		enum runtime_state state =
			swapped[i] ? run_held(store, shape[0], shape[1], 900, swap_with_groups)
				   : run(store, shape[0], shape[1]);
		run_end = NULL;
		ck_assert_int_eq(state, RUNTIME_FINISHED);
		ck_assert_uint_eq(swaps - swaps_before, swapped[i]);
		struct lines got = collect(store);
		assert_counts(&end, &got);
		if (i == 0)
			evaluations = tally_of(&end.tallies, "failed")->evaluations;
		ck_assert_uint_eq(tally_of(&end.tallies, "failed")->evaluations, evaluations);
		lines_free(&got);
		rule_tallies_done(&end.tallies);
	}
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("rule_tally");
	tcase_add_test(tests, news_add_up_and_follow_the_rules);
	tcase_add_test(tests, rules_with_the_same_key_share_a_tally);
	tcase_add_test(tests, the_same_for_threads_and_reloads);
	return running_main(tests);
}
