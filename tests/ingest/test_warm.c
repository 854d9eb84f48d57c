/* New rules are warmed from the store: by a reload in the middle of a run, and at a start. */
#include "ingest/runtime_private.h"
#include "tests/ingest/swapping.h"

/* Behind rules_text: a long count, a chain over a rule that is known, a memory, a habit. */
static const char more_rules[] =
	"%s---\n"
	"title: many in an hour\nid: 66666666-6666-4666-8666-666666666666\n"
	"correlation: {type: event_count, rules: [failed], group-by: [user.id], timespan: 1h,\n"
	"              condition: {gte: 5}}\nlevel: high\n"
	"---\n"
	"title: again and again\nid: 77777777-7777-4777-8777-777777777777\n"
	"correlation: {type: event_count, rules: [11111111-1111-4111-8111-111111111111],\n"
	"              group-by: [user.id], timespan: 10m, condition: {gte: 3}, generate: true}\n"
	"level: critical\n"
	"---\n"
	"title: new user\nid: 88888888-8888-4888-8888-888888888888\n"
	"correlation: {type: first_seen, rules: [failed], group-by: [service.name], timespan: 1h,\n"
	"              learn: {for: 2s}, backfill: 1d, condition: {field: user.id}}\nlevel: high\n"
	"---\n"
	"title: rare user\nid: 55555555-5555-4555-8555-555555555555\n"
	"correlation: {type: first_seen, rules: [failed], group-by: [service.name], timespan: 1h,\n"
	"              learn: {for: 2s}, backfill: 1d, condition: {field: user.id},\n"
	"              peers: {by: [event.outcome], rare-below: 1}}\nlevel: high\n"
	"---\n"
	"title: unusual\nid: 99999999-9999-4999-8999-999999999999\n"
	"correlation: {type: baseline, rules: [failed], group-by: [user.id], timespan: 30s,\n"
	"              history: 30m, min-buckets: 4,\n"
	"              condition: {aggregate: count, deviation: {gte: 1}}}\nlevel: high\n";

static bool is_of_more(const char *line)
{
	return strncmp(line, "alert ", 6) == 0 && strchr("12356789", line[6]) != NULL;
}

/* The alerts of all rules but the one that gives up, which says when it did. */
static void keep_alerts(struct lines *lines)
{
	size_t kept = 0;
	for (size_t i = 0; i < lines->count; i++)
		if (is_of_more(lines->items[i]))
			lines->items[kept++] = lines->items[i];
		else
			free(lines->items[i]);
	lines->count = kept;
}

/* Rules that a reload brings, or a start, have what they would have had from the beginning: the
 * alerts are those of a run that had them all the time, though the store was killed in between. */
START_TEST(a_new_rule_has_what_it_would_have)
{
	struct ruleset *few = ruleset;
	char all_rules[8192];
	(void)snprintf(all_rules, sizeof all_rules, more_rules, rules_text);
	struct ruleset *all cleanup(ruleset_free) = parse(all_rules);
	ruleset = all;
	struct lines expected = run_reference();
	keep_alerts(&expected);
	for (const char *digit = "56789"; *digit != '\0'; digit++) {
		const char prefix[] = {'a', 'l', 'e', 'r', 't', ' ', *digit, '\0'};
		ck_assert_msg(count_prefix(&expected, prefix) > 0, "no %s", prefix);
	}
	next_rules = all_rules;
	unsigned crashes = 0;
	for (unsigned round = 0; round < 4; round++) {
		struct store *store cleanup(store_free) = new_store();
		swaps = 0;
		events_before_swap = 500 + 2000 * round;
		ruleset = few;
		store_memory_fail_at(store, round % 2 == 0 ? 0 : 20 * round, ESYSTEM);
		enum runtime_state state =
			run_held(store, 2, 1 + round % 3, events_before_swap + 1000, swap_once);
		store_memory_fail_at(store, 0, ESYSTEM);
		ruleset = all;
		crashes += state == RUNTIME_FAILED;
		if (state == RUNTIME_FAILED)
			ck_assert_int_eq(run(store, 3, 2), RUNTIME_FINISHED);
		struct lines got = collect(store);
		keep_alerts(&got);
		char what[64];
		(void)snprintf(what, sizeof what, "round %u, %s", round,
			       state == RUNTIME_FAILED ? "killed" : "warmed");
		assert_same(&expected, &got, what);
		lines_free(&got);
	}
	ck_assert_uint_gt(crashes, 0);
	lines_free(&expected);
	ruleset = few;
}
END_TEST

/* Killed under few rules, then started with more: what the replay makes of the new ones begins in
 * the middle, and none of it is told, since they are warmed from all of the past. */
START_TEST(a_replay_tells_nothing_of_rules_that_are_about_to_be_warmed)
{
	struct ruleset *few = ruleset;
	char all_rules[8192];
	(void)snprintf(all_rules, sizeof all_rules, more_rules, rules_text);
	struct ruleset *all cleanup(ruleset_free) = parse(all_rules);
	ruleset = all;
	struct lines expected = run_reference();
	keep_alerts(&expected);
	for (unsigned writes = 12; writes <= 36; writes += 12) {
		struct store *store cleanup(store_free) = new_store();
		ruleset = few;
		store_memory_fail_at(store, writes, ESYSTEM);
		ck_assert_int_eq(run(store, 2, 2), RUNTIME_FAILED);
		store_memory_fail_at(store, 0, ESYSTEM);
		ruleset = all;
		ck_assert_int_eq(run(store, 3, 1), RUNTIME_FINISHED);
		struct lines got = collect(store);
		keep_alerts(&got);
		char what[64];
		(void)snprintf(what, sizeof what, "killed at write %u", writes);
		assert_same(&expected, &got, what);
		lines_free(&got);
	}
	lines_free(&expected);
	ruleset = few;
}
END_TEST

/* Begins a warming beside the running engine, looks at what is told of it, and lets it be. */
static void look_on(struct runtime *runtime)
{
	struct generation_parts parts = {.ruleset = parse(next_rules)};
	const struct ruleset *next_set = parts.ruleset;
	struct generation *next cleanup(generation_drop) = NULL;
	struct runtime_status now cleanup(runtime_status_done) = {0};
	int percent = -1;
	ck_assert_int_eq(runtime_status(runtime, &now), OK);
	ck_assert_int_eq(generation_new(&parts, true, &runtime->hash_key, &next, NULL), OK);
	if (swaps > 0 || now.epoch == 0)
		return;
	ck_assert_ptr_null(runtime_warming(runtime, &percent));
	warm_begin(runtime, next);
	struct generation *told cleanup(generation_drop) = runtime_warming(runtime, &percent);
	ck_assert_ptr_eq(told, next);
	ck_assert(percent >= 0 && percent <= 100);
	const struct rule *fresh =
		ruleset_find(next_set, TEXT("66666666-6666-4666-8666-666666666666"));
	const struct rule *known =
		ruleset_find(next_set, TEXT("11111111-1111-4111-8111-111111111111"));
	ck_assert(generation_warms(next, fresh));
	ck_assert(!generation_warms(next, known));
	warm_over(runtime);
	ck_assert_ptr_null(runtime_warming(runtime, &percent));
	swaps++;
	atomic_store(&held, false);
}

START_TEST(whose_rules_are_warmed_is_told)
{
	char all_rules[8192];
	(void)snprintf(all_rules, sizeof all_rules, more_rules, rules_text);
	struct store *store cleanup(store_free) = new_store();
	next_rules = all_rules;
	swaps = 0;
	ck_assert_int_eq(run_held(store, 2, 2, 2000, look_on), RUNTIME_FINISHED);
	ck_assert_uint_eq(swaps, 1);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("warm");
	tcase_add_test(tests, a_new_rule_has_what_it_would_have);
	tcase_add_test(tests, a_replay_tells_nothing_of_rules_that_are_about_to_be_warmed);
	tcase_add_test(tests, whose_rules_are_warmed_is_told);
	return running_main(tests);
}
