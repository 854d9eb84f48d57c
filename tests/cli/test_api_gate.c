/* The gate over HTTP, on a store in memory: evidence kept between questions, replays, what is said
 * of a name nobody has, and how long an answer takes. */
#include "tests/cli/gate_story.h"

#include <time.h>

/* What a version did. */
static void put_trait(const char *version, const char *key, uint64_t shown, int64_t first_us)
{
	struct trait trait = {
		.signal = SIGNAL_DESTINATION, .met_first_us = first_us, .met_last_us = end_us};
	struct bytes name cleanup(bytes_done) = {0};
	struct bytes row cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	trait.shown = (struct finding){.service = TEXT("orders"),
				       .arm = {text_of(version), TEXT("")},
				       .rule_key = text_of(key),
				       .rule_title = TEXT(""),
				       .count = shown,
				       .first_us = first_us,
				       .last_us = first_us};
	trait_name(&trait, &name);
	const struct text names[] = {TEXT("orders"), bytes_text(&name), text_of(version), TEXT("")};
	registry_key('t', names, 4, -1, &row);
	trait_encode(&trait, &value);
	put_row(FAMILY_REGISTRY, &row, &value);
}

START_TEST(a_new_destination_fails_unless_it_is_declared)
{
	static const char MANIFEST[] = "expect:\n- destination: api.new.example\n- edge: vault\n";
	play();
	put_trait("v1", "api.old.example:443", 500, T0 - 2 * INT64_C(86400) * 1000000);
	verdict_is(QUESTION, "PASS");
	put_trait("v2", "api.new.example:443", 1, end_us - BUCKET_US);
	struct json_object *answer =
		ask("POST /v1/gate?service=orders&canary=v2&baseline=v1", MANIFEST, 200);
	ck_assert_str_eq(json_path_text(answer, "verdict"), "PASS");
	struct json_object *expected = json_path(answer, "expected");
	ck_assert_str_eq(json_path_text(json_object_array_get_idx(expected, 0), "used"), "true");
	ck_assert_str_eq(json_path_text(json_object_array_get_idx(expected, 1), "used"), "false");
	json_object_put(answer);
	refused("GET /v1/gate?service=orders&canary=v2&expect=edge", 400,
		"expect:1:1: a manifest is a map");
	verdict_is(QUESTION, "FAIL");
	/* The FAIL stands, whatever is declared now. */
	answer = ask("POST /v1/gate?service=orders&canary=v2&baseline=v1", MANIFEST, 200);
	ck_assert_str_eq(json_path_text(answer, "verdict"), "FAIL");
	json_object_put(answer);
	/* The next version learns nothing from one that failed. */
	put_instance("v3", "pod-c", end_us - BUCKET_US, end_us);
	put_trait("v3", "api.new.example:443", 1, end_us - BUCKET_US);
	verdict_is("GET /v1/gate?service=orders&canary=v3", "FAIL");
}
END_TEST

START_TEST(a_good_canary_passes)
{
	play();
	verdict_is(QUESTION, "PASS");
	struct json_object *brief = ask("GET /v1/gate?service=orders&canary=v2&brief=1", NULL, 200);
	ck_assert_str_eq(json_path_text(brief, "schema"), "picket.gate-brief/1");
	ck_assert_str_eq(json_path_text(brief, "verdict"), "PASS");
	ck_assert_ptr_null(json_path(brief, "outcomes"));
	json_object_put(brief);
	refused("GET /v1/gate?service=orders&canary=v2&share=0", 400, "share=0 is not");
	refused("GET /v1/gate?service=orders&canary=v2&share=100", 400, "between 0 and 100");
	refused("GET /v1/gate?service=orders&canary=v2&dry=yes", 400, "dry is 1 or 0");
	refused("GET /v1/gate?service=orders&canary=v2&policy=lax", 400, "no policy \"lax\"");
	verdict_is("GET /v1/gate?service=orders&canary=v2&share=9%", "PASS");
	verdict_is("GET /v1/gate?service=orders&canary=v2&share=50", "INCONCLUSIVE");
	verdict_is("GET /v1/gate?service=orders&canary=v2&policy=security-only", "PASS");
	verdict_is("GET /v1/gate?service=orders&canary=v2&policy=strict", "PASS");
}
END_TEST

START_TEST(evidence_grows_with_the_buckets)
{
	play();
	verdict_is(QUESTION, "PASS");
	/* The same question again, and another order of what is asked about: not read twice. */
	verdict_is(QUESTION, "PASS");
	struct json_object *before = ask(QUESTION, NULL, 200);
	play_on(6, 0);
	struct json_object *after = ask(QUESTION, NULL, 200);
	int64_t n_before = json_object_get_int64(
		json_path(json_object_array_get_idx(json_path(before, "outcomes"), 0), "n_c"));
	int64_t n_after = json_object_get_int64(
		json_path(json_object_array_get_idx(json_path(after, "outcomes"), 0), "n_c"));
	ck_assert_int_eq(n_before, BUCKETS * 800);
	ck_assert_int_eq(n_after, (BUCKETS + 6) * 800);
	/* A daemon that started again says the same, to the bit. */
	api_done(&api);
	api_init(&api);
	struct json_object *again = ask(QUESTION, NULL, 200);
	ck_assert(strcmp(json_object_to_json_string(after), json_object_to_json_string(again)) ==
		  0);
	json_object_put(before);
	json_object_put(after);
	json_object_put(again);
}
END_TEST

/* QUESTION as of that time. */
static const char *line_at(int64_t at_us, char line[static 256])
{
	char buffer[32];
	struct text at = time_print(at_us, buffer);
	(void)snprintf(line, 256, "%s&at=%.*s", QUESTION, TEXT_ARG(at));
	return line;
}

START_TEST(a_replay_sees_what_was_seen)
{
	play();
	struct json_object *then = ask(QUESTION, NULL, 200);
	char line[256];
	(void)line_at(end_us, line);
	play_on(6, 6);
	verdict_is(QUESTION, "FAIL");
	struct json_object *replayed = ask(line, NULL, 200);
	ck_assert_str_eq(json_path_text(replayed, "verdict"), "PASS");
	ck_assert(strcmp(json_path_text(replayed, "outcomes"), json_path_text(then, "outcomes")) ==
		  0);
	json_object_put(then);
	json_object_put(replayed);
}
END_TEST

/* The outcome of that name in an answer. */
static struct json_object *outcome_named(struct json_object *answer, const char *name)
{
	struct json_object *outcomes = json_path(answer, "outcomes");
	for (size_t i = 0; i < json_object_array_length(outcomes); i++) {
		struct json_object *one = json_object_array_get_idx(outcomes, i);
		if (strcmp(json_path_text(one, "name"), name) == 0)
			return one;
	}
	ck_abort_msg("no outcome %s", name);
	return NULL;
}

/* What the answer to QUESTION says of the rule, as it is now or was at a time; to be freed. */
static char *rule_outcome(int64_t at_us, const char *state)
{
	char line[256];
	struct json_object *answer = ask(at_us == 0 ? QUESTION : line_at(at_us, line), NULL, 200);
	struct json_object *rule = outcome_named(answer, "write_failure");
	struct json_object *plain = outcome_named(answer, "http_5xx");
	ck_assert_str_eq(json_path_text(rule, "state"), state);
	ck_assert_str_eq(json_path_text(rule, "n_c"), json_path_text(plain, "n_c"));
	ck_assert_str_eq(json_path_text(rule, "x_c"), json_path_text(plain, "x_c"));
	char *text = strdup(json_object_to_json_string(rule));
	json_object_put(answer);
	return text;
}

/* A rule of type cohort_compare, replayed: to the last digit what was answered then. */
START_TEST(a_replay_has_the_outcomes_of_rules)
{
	const char *paths[] = {PICKET_SOURCE_DIR "/rules/packs/canary"};
	struct ruleset_options options = {.paths = paths, .path_count = 1};
	struct ruleset *ruleset cleanup(ruleset_free) = NULL;
	struct error err = {0};
	ck_assert_msg(ruleset_load(&options, &ruleset, &err) == OK, "%s", err.text);
	struct cohort_rules rules = cohort_rules_of(ruleset);
	ck_assert_uint_eq(rules.count, 1);
	rule_key = rules.items[0]->key;
	api.ruleset = ruleset;
	play();
	int64_t good_us = end_us;
	char *good = rule_outcome(0, "accepted");
	play_on(6, 6);
	char *bad = rule_outcome(0, "rejected");
	char *good_again = rule_outcome(good_us, "accepted");
	char *bad_again = rule_outcome(end_us, "rejected");
	char line[256];
	ck_assert_str_eq(good_again, good);
	ck_assert_str_eq(bad_again, bad);
	free(good);
	free(bad);
	free(good_again);
	free(bad_again);
	rule_key = TEXT("");
	verdict_is(line_at(good_us, line), "PASS");
	api.ruleset = NULL; /* a store alone: that rules were counted is known, but not which */
	verdict_is(line_at(good_us, line), "INCONCLUSIVE");
}
END_TEST

/* What was overridden by then is forgiven in the replay as it was in the answer. */
START_TEST(a_replay_knows_the_override)
{
	char line[256];
	play();
	play_on(6, 6);
	verdict_is(QUESTION, "FAIL");
	(void)line_at(end_us, line);
	override_is("v2", 200, "the FAIL and what was seen");
	verdict_is(line, "FAIL");
	play_on(66, 0);
	(void)line_at(end_us, line);
	verdict_is(line, "PASS");
}
END_TEST

/* Records that were lost, or read twice, may be just the failures: of a canary that had begun by
 * then, and until a person says otherwise. */
START_TEST(a_log_that_jumped_is_a_doubt)
{
	char line[256];
	play();
	partitions[0].row.jump_us = T0; /* long before the canary */
	verdict_is(QUESTION, "PASS");
	partitions[0].row.jump_us = end_us - 60 * INT64_C(1000000);
	partitions[1].row.jump_us = end_us - 90 * INT64_C(1000000);
	struct json_object *answer = ask(QUESTION, NULL, 200);
	ck_assert_str_eq(json_path_text(answer, "verdict"), "INCONCLUSIVE");
	ck_assert_ptr_nonnull(strstr(json_path_text(answer, "summary"),
				     "logs-a/0 and 1 more partitions could not be read on"));
	json_object_put(answer);
	verdict_is("GET /v1/gate?service=orders&canary=v2&policy=security-only", "INCONCLUSIVE");
	verdict_is(line_at(end_us - 100 * INT64_C(1000000), line), "PASS");
	verdict_is(line_at(end_us, line), "INCONCLUSIVE");
	override_is("v2", 200, "");
	verdict_is(QUESTION, "WAIT");
	play_on(66, 0);
	verdict_is(QUESTION, "PASS");
}
END_TEST

/* What cannot be read is not passed over: there is no verdict, and so no promotion. */
START_TEST(a_damaged_row_is_no_verdict)
{
	static const char KINDS[] = {'b', 'i', 'f', 't', 'm'};
	for (size_t i = 0; i < sizeof KINDS; i++) {
		const struct text names[] = {TEXT("orders"), TEXT("v2"), TEXT("d2"), TEXT("pod-b")};
		bool bucket = KINDS[i] == 'b';
		struct bytes key cleanup(bytes_done) = {0};
		struct bytes value cleanup(bytes_done) = {0};
		teardown();
		setup();
		play();
		registry_key(KINDS[i], names,
			     bucket            ? 1
			     : KINDS[i] == 'm' ? 2
					       : 4,
			     bucket ? end_us - BUCKET_US : -1, &key);
		bytes_put_u8(&value, 0xff);
		put_row(FAMILY_REGISTRY, &key, &value);
		struct json_object *answer = ask(QUESTION, NULL, 500);
		ck_assert_str_eq(json_path_text(answer, "verdict"), "");
		json_object_put(answer);
	}
}
END_TEST

/* A typing error is no canary without traffic: the answer says which versions there are. */
START_TEST(a_name_nobody_has_is_told)
{
	play();
	struct json_object *answer = ask("GET /v1/gate?service=orders&canary=v3", NULL, 200);
	ck_assert_str_eq(json_path_text(answer, "verdict"), "WAIT");
	const char *summary = json_path_text(answer, "summary");
	ck_assert_msg(strstr(summary, "no event of orders v3 was seen; heard: ") != NULL &&
			      strstr(summary, "v2 (d2)") != NULL,
		      "%s", summary);
	json_object_put(answer);
	answer = ask("GET /v1/gate?service=ordrs&canary=v2", NULL, 200);
	summary = json_path_text(answer, "summary");
	ck_assert_msg(strstr(summary, "nor of any version of that service") != NULL, "%s", summary);
	json_object_put(answer);
}
END_TEST

static int by_value(const void *left, const void *right)
{
	double a = *(const double *)left;
	double b = *(const double *)right;
	return (a > b) - (a < b);
}

/* Milliseconds of a clock. */
static double ms_of(clockid_t clock)
{
	struct timespec now;
	(void)clock_gettime(clock, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

START_TEST(an_answer_comes_from_memory)
{
	enum { QUESTIONS = 300 };
	static double took_ms[QUESTIONS];
	static double cpu_ms[QUESTIONS];
	play();
	verdict_is(QUESTION, "PASS"); /* reads everything */
	for (int i = 0; i < QUESTIONS; i++) {
		if (i % 10 == 0)
			play_on(1, 0);
		double before = ms_of(CLOCK_MONOTONIC);
		double cpu_before = ms_of(CLOCK_THREAD_CPUTIME_ID);
		struct json_object *answer = ask(QUESTION, NULL, 200);
		cpu_ms[i] = ms_of(CLOCK_THREAD_CPUTIME_ID) - cpu_before;
		took_ms[i] = ms_of(CLOCK_MONOTONIC) - before;
		json_object_put(answer);
	}
	qsort(took_ms, QUESTIONS, sizeof *took_ms, by_value);
	qsort(cpu_ms, QUESTIONS, sizeof *cpu_ms, by_value);
	printf("gate answer: p50 %.2f ms, p99 %.2f ms; of CPU p50 %.2f ms, p99 %.2f ms (bar 5 ms in "
	       "a release build)\n",
	       took_ms[QUESTIONS / 2], took_ms[QUESTIONS * 99 / 100], cpu_ms[QUESTIONS / 2],
	       cpu_ms[QUESTIONS * 99 / 100]);
	/* With sanitizers and on a busy machine: only what reading everything again would break. */
	ck_assert_double_le(took_ms[QUESTIONS / 2], 200);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("api_gate");
	TCase *all = tcase_create("all");
	tcase_set_timeout(all, 0);
	tcase_add_checked_fixture(all, setup, teardown);
	tcase_add_test(all, a_good_canary_passes);
	tcase_add_test(all, a_new_destination_fails_unless_it_is_declared);
	tcase_add_test(all, evidence_grows_with_the_buckets);
	tcase_add_test(all, a_replay_sees_what_was_seen);
	tcase_add_test(all, a_replay_has_the_outcomes_of_rules);
	tcase_add_test(all, a_replay_knows_the_override);
	tcase_add_test(all, a_log_that_jumped_is_a_doubt);
	tcase_add_test(all, a_damaged_row_is_no_verdict);
	tcase_add_test(all, a_name_nobody_has_is_told);
	tcase_add_test(all, an_answer_comes_from_memory);
	suite_add_tcase(suite, all);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
