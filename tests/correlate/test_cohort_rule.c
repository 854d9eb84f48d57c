/* Rules as outcomes of the gate: their counts against a naive recount of the sorted events, in
 * twenty orders of arrival with a restart in each; their evidence against that of http_5xx on the
 * same counts; what blocks, warns and is owed. */
#include "correlate/cohort_rule.h"

#include <math.h>
#include <stdlib.h>

#include "tests/correlate/gate_scene.h"

enum { LINES = 700, RULES = 2, VERSIONS = 2, ORDERS = 20, ACTORS = 2, WORKERS = 3, ROWS_MAX = 64 };

static const struct hash_key KEY = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};
static const double NEAR = 1e-9;
static uint64_t random_state = 20261122;

static unsigned dice(unsigned sides)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)((random_state >> 33) % sides);
}

static const char *const RULE_KEYS[RULES] = {"refund_failure", "write_failure"};
static const char *const VERSION_NAMES[VERSIONS] = {"v1", "v2"};
static const char *const SERVICES[] = {"orders", "payments"};
static const char *const USERS[] = {"ann", "bob", "eve", NULL};
static const char *const ROUTE_NAMES[] = {"/a", "/b"};

/* One event, and what it is to each rule. */
struct line {
	int64_t time_us;
	unsigned service, version, user, route;
	bool request;
	bool trial[RULES], bad[RULES];
	int64_t offset;
};

static struct line lines[LINES];

static void make_lines(void)
{
	for (unsigned i = 0; i < LINES; i++) {
		struct line *line = &lines[i];
		*line = (struct line){/* unique times */
				      .time_us = BASE_US + (int64_t)dice(50) * SECOND_US + i,
				      .service = dice(2),
				      .version = dice(VERSIONS),
				      .user = dice(4),
				      .route = dice(2),
				      .request = dice(3) > 0,
				      .offset = i};
		for (int k = 0; k < RULES; k++) {
			line->trial[k] = dice(2) == 0;
			line->bad[k] = line->trial[k] && dice(3) == 0;
		}
	}
}

static int by_time(const void *left, const void *right)
{
	const struct line *a = left;
	const struct line *b = right;
	return (a->time_us > b->time_us) - (a->time_us < b->time_us);
}

static void shuffle(void)
{
	for (unsigned i = LINES - 1; i > 0; i--) {
		unsigned k = dice(i + 1);
		struct line swap = lines[i];
		lines[i] = lines[k];
		lines[k] = swap;
	}
}

static void add(struct event *event, struct arena *memory, const char *name, const char *value)
{
	struct value string = {.type = VALUE_STRING, .text = text_of(value)};
	if (value != NULL)
		ck_assert_int_eq(event_add(event, memory, text_of(name), string), OK);
}

static void count(struct cohort_counter *counter, const struct line *line)
{
	struct arena *memory cleanup(arena_free) = arena_new(1 << 20);
	struct event event = {.time_us = line->time_us, .record_time_us = line->time_us};
	struct cohort_trial trials[RULES];
	size_t trial_count = 0;
	event.origin = (struct origin){TEXT("logs"), 0, 0, line->offset};
	add(&event, memory, "service.name", SERVICES[line->service]);
	add(&event, memory, "service.version", VERSION_NAMES[line->version]);
	add(&event, memory, "user.id", USERS[line->user]);
	add(&event, memory, "http.route", ROUTE_NAMES[line->route]);
	add(&event, memory, "http.response.status_code", line->request ? "200" : NULL);
	for (int k = 0; k < RULES; k++)
		if (line->trial[k])
			trials[trial_count++] =
				(struct cohort_trial){text_of(RULE_KEYS[k]), line->bad[k]};
	ck_assert_int_eq(cohort_count(counter, &event, NULL, 0), OK);
	ck_assert_int_eq(cohort_count_trials(counter, &event, trials, trial_count), OK);
}

static struct cohort_counter *counters[WORKERS];
static struct cohort *cohorts[ACTORS];

static void rig_begin(void)
{
	for (unsigned i = 0; i < WORKERS; i++)
		ck_assert_int_eq(cohort_counter_new(&KEY, &counters[i], NULL), OK);
	for (unsigned i = 0; i < ACTORS; i++)
		ck_assert_int_eq(cohort_new(i, ACTORS, &cohorts[i], NULL), OK);
}

static void rig_end(void)
{
	for (unsigned i = 0; i < WORKERS; i++)
		cohort_counter_free(&counters[i]);
	for (unsigned i = 0; i < ACTORS; i++)
		cohort_free(&cohorts[i]);
}

static void rig_flush(void)
{
	for (unsigned i = 0; i < WORKERS; i++) {
		struct bytes by_actor[ACTORS] = {0};
		struct record_sink sink = {by_actor, ACTORS};
		ck_assert_int_eq(cohort_flush(counters[i], &sink), OK);
		for (unsigned k = 0; k < ACTORS; k++) {
			struct text some = bytes_text(&by_actor[k]);
			ck_assert_int_eq(cohort_feed(cohorts[k], some, NULL), OK);
			bytes_done(&by_actor[k]);
		}
	}
}

/* The cohorts die; what a checkpoint kept of them comes back. */
static void rig_restart(void)
{
	for (unsigned k = 0; k < ACTORS; k++) {
		struct cohort *fresh = NULL;
		ck_assert_int_eq(cohort_new(k, ACTORS, &fresh, NULL), OK);
		for (unsigned i = k; i < VIRTUAL_PARTITIONS; i += ACTORS) {
			struct bytes kept cleanup(bytes_done) = {0};
			ck_assert_int_eq(cohort_checkpoint(cohorts[k], (uint8_t)i, &kept), OK);
			ck_assert_int_eq(cohort_restore(fresh, bytes_text(&kept), NULL), OK);
		}
		cohort_free(&cohorts[k]);
		cohorts[k] = fresh;
	}
}

static int by_bytes(const void *left, const void *right)
{
	return text_compare(bytes_text(left), bytes_text(right));
}

/* All rows, in the order of their bytes. */
static void rig_rows(struct bytes *to)
{
	struct bytes rows[ROWS_MAX] = {0};
	size_t row_count = 0;
	for (unsigned k = 0; k < ACTORS; k++) {
		ck_assert_int_eq(cohort_close(cohorts[k], INT64_MAX, NULL), OK);
		struct cohort_changes changes = cohort_changes(cohorts[k]);
		for (size_t i = 0; i < changes.bucket_count; i++) {
			ck_assert_uint_lt(row_count, ROWS_MAX);
			bucket_encode(&changes.buckets[i], &rows[row_count++]);
		}
	}
	qsort(rows, row_count, sizeof *rows, by_bytes);
	for (size_t i = 0; i < row_count; i++) {
		bytes_put_text(to, bytes_text(&rows[i]));
		bytes_done(&rows[i]);
	}
}

static bool is_in(const struct line *line, const struct bucket *bucket)
{
	return text_equal(text_of(SERVICES[line->service]), bucket->service) &&
	       line->time_us / COHORT_BUCKET_US * COHORT_BUCKET_US == bucket->start_us;
}

/* The first bad trial of one user and route, of any version; lines are sorted. */
static bool is_first(const struct bucket *bucket, int rule, size_t at)
{
	for (size_t i = 0; i < at && USERS[lines[at].user] != NULL; i++)
		if (is_in(&lines[i], bucket) && lines[i].bad[rule] &&
		    lines[i].user == lines[at].user && lines[i].route == lines[at].route)
			return false;
	return true;
}

static void recount(const struct bucket *bucket, const struct bucket *of_rule, int rule)
{
	for (size_t k = 0; k < of_rule->arm_count; k++) {
		const struct arm_count *arm = &of_rule->arms[k];
		uint64_t n = 0;
		uint64_t bad = 0;
		uint64_t clusters = 0;
		uint64_t ours[3] = {0};
		for (size_t i = 0; i < LINES; i++) {
			struct text version = text_of(VERSION_NAMES[lines[i].version]);
			if (!is_in(&lines[i], bucket) || !text_equal(version, arm->arm.version))
				continue;
			n += lines[i].trial[rule];
			bad += lines[i].bad[rule];
			clusters += lines[i].bad[rule] && is_first(bucket, rule, i);
		}
		for (size_t i = 0; i < arm->stratum_count; i++) {
			const struct outcome_count *one =
				&arm->strata[i].outcomes[COHORT_RULE_OUTCOME];
			ours[0] += one->trials;
			ours[1] += one->bad;
			ours[2] += one->clusters;
		}
		ck_assert_uint_eq(arm->requests, n);
		ck_assert_uint_eq(ours[0], n);
		ck_assert_uint_eq(ours[1], bad);
		ck_assert_uint_eq(ours[2], clusters);
	}
}

/* Every trial of the lines is in some bucket: what recount() sees is all there is. */
static uint64_t trials_of(const struct text *rows, uint64_t *ret_expected)
{
	uint64_t sum = 0;
	struct cursor from = cursor_of(*rows);
	while (cursor_left(&from) > 0) {
		struct arena *memory cleanup(arena_free) = arena_new(1 << 22);
		struct bucket bucket;
		ck_assert_int_eq(bucket_decode(cursor_text(&from), memory, &bucket, NULL), OK);
		for (size_t i = 0; i < bucket.rule_count; i++) {
			int rule = text_equal(bucket.rules[i].rule, text_of(RULE_KEYS[1]));
			recount(&bucket, &bucket.rules[i], rule);
			for (size_t k = 0; k < bucket.rules[i].arm_count; k++)
				sum += bucket.rules[i].arms[k].requests;
		}
	}
	*ret_expected = 0;
	for (size_t i = 0; i < LINES; i++)
		*ret_expected += (uint64_t)lines[i].trial[0] + lines[i].trial[1];
	return sum;
}

START_TEST(recount_agrees_in_every_order)
{
	struct bytes first cleanup(bytes_done) = {0};
	for (int order = 0; order < ORDERS; order++) {
		struct bytes rows cleanup(bytes_done) = {0};
		rig_begin();
		for (unsigned i = 0; i < LINES; i++) {
			count(counters[dice(WORKERS)], &lines[i]);
			if (dice(100) == 0)
				rig_flush();
			if (i == LINES / 2) {
				rig_flush();
				rig_restart();
			}
		}
		rig_flush();
		rig_rows(order == 0 ? &first : &rows);
		rig_end();
		ck_assert(order == 0 || text_equal(bytes_text(&first), bytes_text(&rows)));
		shuffle();
	}
	qsort(lines, LINES, sizeof *lines, by_time);
	uint64_t expected = 0;
	struct text rows = bytes_text(&first);
	ck_assert_uint_eq(trials_of(&rows, &expected), expected);
	ck_assert_uint_gt(expected, LINES / 2);
}
END_TEST

/* A bucket of one rule beside every bucket of the scene, with the counts of http_5xx. */
static struct bucket mirrors[BUCKETS];
static struct gate_rule rule;

static void mirror_scene(void)
{
	rule = (struct gate_rule){.key = TEXT("c47e"),
				  .name = TEXT("write_failure"),
				  .title = TEXT("Writes fail"),
				  .wants_to_block = true,
				  .blocks_from_us = INT64_MIN,
				  .psi0 = 1.25,
				  .psi_tol = 2,
				  .p_abs = 0.001};
	scene.query.rules = &rule;
	scene.query.rule_count = 1;
	for (int i = 0; i < BUCKETS; i++) {
		mirrors[i] = scene.buckets[i];
		mirrors[i].rule = rule.key;
		scene.buckets[i].rules = &mirrors[i];
		scene.buckets[i].rule_count = 1;
	}
}

/* Nothing of it in the service's own outcomes. */
static struct stratum clean[BUCKETS][2];
static struct arm_count clean_arms[BUCKETS][2];

static void only_the_rule(void)
{
	mirror_scene();
	for (int i = 0; i < BUCKETS; i++) {
		for (int k = 0; k < 2; k++) {
			clean[i][k] = scene.strata[i][k];
			clean[i][k].outcomes[OUTCOME_HTTP_5XX].bad = 0;
			clean[i][k].outcomes[OUTCOME_HTTP_5XX].clusters = 0;
			clean_arms[i][k] = scene.arms[i][k];
			clean_arms[i][k].strata = &clean[i][k];
		}
		scene.buckets[i].arms = clean_arms[i];
		scene.buckets[i].culprit_count = 0;
	}
}

static void fail_often(void)
{
	for (int i = 0; i < BUCKETS; i += 2)
		fail_canary(i, 3);
}

START_TEST(same_counts_same_evidence)
{
	for (int i = 0; i < BUCKETS; i += 3) {
		fail_canary(i, 1);
		set_bad(i, 0, 2);
	}
	mirror_scene();
	(void)judge();
	const struct outcome_result *own = &scene.result.outcomes[OUTCOME_HTTP_5XX];
	const struct outcome_result *ours = &scene.result.rules[0].outcome;
	ck_assert_double_gt(own->e_fail, 1.5);
	ck_assert(ours->e_fail == own->e_fail && ours->e_fail_sup == own->e_fail_sup);
	ck_assert(ours->worse.e_pass_relative == own->worse.e_pass_relative);
	ck_assert(ours->worse.e_pass_absolute_raw == own->worse.e_pass_absolute_raw);
	ck_assert(ours->e_principals_sup == own->e_principals_sup);
	ck_assert_uint_eq(ours->x_c, own->x_c);
	/* Both in one mean: .30 and .05 of 1.05; whoever logs nothing counts 1. */
	double all = ((0.30 + 0.05) * own->e_fail + 0.70) / 1.05;
	ck_assert_double_eq_tol(scene.result.e_all / all, 1, NEAR);
}
END_TEST

START_TEST(blocking_rule_fails_the_canary)
{
	fail_often();
	only_the_rule();
	ck_assert_int_eq(judge(), VERDICT_FAIL);
	ck_assert(first_reason("REGRESSION"));
	ck_assert(scene.result.rules[0].blocks && scene.result.rules[0].required);
	ck_assert_double_eq_tol(scene.result.rules[0].weight, 0.05 / 1.05, NEAR);
	struct bytes json cleanup(bytes_done) = {0};
	gate_json(&scene.query, &scene.result, &json);
	bytes_put_u8(&json, 0);
	const char *text = (const char *)json.data;
	ck_assert_ptr_nonnull(strstr(text, "\"name\":\"write_failure\",\"rule\":\"c47e\""));
	ck_assert_ptr_nonnull(strstr(text, "\"blocks\":true,\"gate\":true,\"state\":\"rejected\""));
}
END_TEST

START_TEST(young_and_warning_rules_do_not)
{
	fail_often();
	only_the_rule();
	/* Its time in shadow ends while the canary runs: too late for this one. */
	rule.blocks_from_us = BASE_US + 1;
	ck_assert_int_eq(judge(), VERDICT_PASS);
	ck_assert(has_reason("SHADOW") && !has_reason("WARNED"));
	ck_assert(!scene.result.rules[0].blocks);
	ck_assert_double_eq(scene.result.rules[0].weight, 0);
	rule.wants_to_block = false;
	rule.blocks_from_us = INT64_MAX;
	ck_assert_int_eq(judge(), VERDICT_PASS);
	ck_assert(has_reason("WARNED") && !has_reason("SHADOW"));
	rule.wants_to_block = true;
	rule.blocks_from_us = BASE_US;
	ck_assert_int_eq(judge(), VERDICT_FAIL);
}
END_TEST

/* The canary's trials are in no bucket: what only the baseline does is not proven. */
static void silence_canary(void)
{
	for (int i = 0; i < BUCKETS; i++)
		mirrors[i].arm_count = 1;
}

START_TEST(pass_needs_a_proof_of_what_blocks)
{
	mirror_scene();
	ck_assert_int_eq(judge(), VERDICT_PASS);
	ck_assert_int_eq(scene.result.rules[0].outcome.state, NI_ACCEPTED);
	silence_canary();
	ck_assert_int_eq(judge(), VERDICT_WAIT);
	ck_assert(has_reason("EVIDENCE"));
	scene.query.policy.rules[0] = (struct gate_rule_policy){rule.name, false, 0.05};
	scene.query.policy.rule_count = 1;
	ck_assert_int_eq(judge(), VERDICT_PASS);
	scene.query.policy.rule_count = 0;
	for (int i = 0; i < BUCKETS; i++)
		scene.buckets[i].rule_count = 0;
	ck_assert_int_eq(judge(), VERDICT_PASS); /* nobody logs it */
	ck_assert_int_eq(scene.result.rules[0].outcome.state, NI_ABSENT);
}
END_TEST

START_TEST(fewer_counts_when_asked_for)
{
	for (int i = 0; i < BUCKETS; i++)
		set_bad(i, 0, 100);
	for (int i = 0; i < BUCKETS; i++)
		for (unsigned k = 0; k < 5; k++)
			add_culprit(i, 0, OUTCOME_HTTP_5XX, (uint64_t)i * 10 + k + 1);
	only_the_rule();
	(void)judge();
	ck_assert_int_ne(scene.result.rules[0].outcome.state, NI_REJECTED);
	rule.two_sided = true;
	ck_assert_int_eq(judge(), VERDICT_FAIL);
	ck_assert_double_gt(scene.result.rules[0].outcome.better.e_fail, 100);
}
END_TEST

START_TEST(damaged_rows_are_refused)
{
	mirror_scene();
	struct bytes row cleanup(bytes_done) = {0};
	struct bytes again cleanup(bytes_done) = {0};
	struct bucket bucket;
	bucket_encode(&scene.buckets[0], &row);
	ck_assert_int_eq(bucket_decode(bytes_text(&row), arena, &bucket, NULL), OK);
	bucket_encode(&bucket, &again);
	ck_assert(text_equal(bytes_text(&row), bytes_text(&again)));
	ck_assert_uint_eq(bucket.rule_count, 1);
	ck_assert(text_equal(bucket.rules[0].rule, rule.key));
	for (size_t size = 0; size < row.size; size++) {
		struct text cut = {(const char *)row.data, size};
		ck_assert_int_eq(bucket_decode(cut, arena, &bucket, NULL), ECORRUPT);
	}
	mirrors[0].start_us += COHORT_BUCKET_US; /* of another time */
	bytes_clear(&again);
	bucket_encode(&scene.buckets[0], &again);
	ck_assert_int_eq(bucket_decode(bytes_text(&again), arena, &bucket, NULL), ECORRUPT);
}
END_TEST

#define DETECTION(name)                                                                       \
	"title: " name "\nname: " name "\nlogsource: {category: c}\ndetection: {s: {f: " name \
	"}, "                                                                                 \
	"condition: s}\nlevel: low\n---\n"
#define COMPARED(name)                                                                       \
	"title: t\nname: " name "\ncorrelation: {type: cohort_compare, rules: [good, bad], " \
	"compare: {numerator: bad}}\nlevel: low\npicket: {gate: warn}\n"

static struct ruleset *rules_of(const char *yaml)
{
	struct ruleset_options options = {0};
	struct ruleset *ruleset = NULL;
	struct error err = {0};
	ck_assert_msg(ruleset_parse(&options, text_of(yaml), "r.yml", &ruleset, &err) == OK, "%s",
		      err.text);
	return ruleset;
}

START_TEST(events_are_trials_by_what_matched)
{
	struct ruleset *ruleset = rules_of(DETECTION("good") DETECTION("bad") DETECTION("other")
						   COMPARED("refund_failure"));
	struct cohort_rules rules = cohort_rules_of(ruleset);
	struct cohort_trial trials[COHORT_RULES_MAX];
	uint32_t good = ruleset_find(ruleset, TEXT("good"))->index;
	uint32_t bad = ruleset_find(ruleset, TEXT("bad"))->index;
	uint32_t other = ruleset_find(ruleset, TEXT("other"))->index;
	ck_assert_uint_eq(rules.count, 1);
	ck_assert_int_eq(cohort_rules_check(ruleset, NULL), OK);
	ck_assert_uint_eq(cohort_trials(&rules, NULL, 0, trials), 0);
	ck_assert_uint_eq(cohort_trials(&rules, &other, 1, trials), 0);
	ck_assert_uint_eq(cohort_trials(&rules, &good, 1, trials), 1);
	ck_assert(!trials[0].bad && text_equal(trials[0].rule, rules.items[0]->key));
	ck_assert_uint_eq(cohort_trials(&rules, &bad, 1, trials), 1);
	ck_assert(trials[0].bad); /* the numerator is one of the rules */
	struct gate_rule judged = gate_rule_of(rules.items[0], INT64_MIN);
	ck_assert(!judged.wants_to_block && judged.blocks_from_us == INT64_MAX);
	ck_assert_double_eq(judged.psi0, 1.25);
	ruleset_free(&ruleset);
}
END_TEST

START_TEST(names_of_our_own_are_taken)
{
	struct ruleset *ruleset = rules_of(DETECTION("good") DETECTION("bad") COMPARED("http_5xx"));
	struct error err = {0};
	ck_assert_int_eq(cohort_rules_check(ruleset, &err), EINVALID);
	ck_assert_ptr_nonnull(strstr(err.text, "the gate has an outcome http_5xx of its own"));
	ck_assert_uint_gt(err.line, 1);
	ruleset_free(&ruleset);
}
END_TEST

static void set_up_lines(void)
{
	set_up();
	make_lines();
}

int main(void)
{
	Suite *suite = suite_create("correlate/cohort_rule");
	TCase *tests = tcase_create("cohort_rule");
	tcase_set_timeout(tests, 0);
	tcase_add_checked_fixture(tests, set_up_lines, tear_down);
	tcase_add_test(tests, recount_agrees_in_every_order);
	tcase_add_test(tests, same_counts_same_evidence);
	tcase_add_test(tests, blocking_rule_fails_the_canary);
	tcase_add_test(tests, young_and_warning_rules_do_not);
	tcase_add_test(tests, pass_needs_a_proof_of_what_blocks);
	tcase_add_test(tests, fewer_counts_when_asked_for);
	tcase_add_test(tests, damaged_rows_are_refused);
	tcase_add_test(tests, events_are_trials_by_what_matched);
	tcase_add_test(tests, names_of_our_own_are_taken);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
