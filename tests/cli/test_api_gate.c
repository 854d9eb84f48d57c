/* The gate over HTTP, on a store in memory: evidence kept between questions, the latch of a FAIL
 * and its override, history, plan, policies, a replay, Flagger's two hooks, and how long an answer
 * takes. */
#include "tests/cli/api_fixture.h"

#include <time.h>

#include "correlate/cohort_rule.h"
#include "correlate/gate.h"

enum { BUCKETS = 60, ROUTES = 8 };

static const int64_t BUCKET_US = COHORT_BUCKET_US;

static struct text rule_key; /* of the rule that counts what http_5xx counts; "": none does */

/* One bucket of "orders": `requests` of v1, a tenth of that of v2, so many of which fail. */
static void put_bucket(int64_t start_us, uint64_t requests, uint64_t bad)
{
	static const struct text NAMES[ROUTES] = {{"GET /a", 6}, {"GET /b", 6}, {"GET /c", 6},
						  {"GET /d", 6}, {"GET /e", 6}, {"GET /f", 6},
						  {"GET /g", 6}, {"GET /h", 6}};
	static struct latency_bin bins[2][2];
	struct stratum strata[2][ROUTES] = {0};
	struct culprit culprits[8];
	struct arm_count arms[2] = {{.arm = {TEXT("v1"), TEXT("d1")}},
				    {.arm = {TEXT("v2"), TEXT("d2")}}};
	for (int arm = 0; arm < 2; arm++) {
		for (unsigned route = 0; route < ROUTES; route++) {
			struct stratum *one = &strata[arm][route];
			one->route = route;
			one->requests = requests / ROUTES / (arm == 0 ? 1 : 10);
			for (int k = 0; k <= OUTCOME_AUTHZ_DENIED; k++)
				one->outcomes[k].trials = one->requests;
			uint32_t slow = (uint32_t)one->requests / 5;
			bins[arm][0] = (struct latency_bin){100, (uint32_t)one->requests - slow};
			bins[arm][1] = (struct latency_bin){140, slow};
			one->bins = bins[arm];
			one->bin_count = 2;
		}
		arms[arm].strata = strata[arm];
		arms[arm].stratum_count = ROUTES;
	}
	strata[1][0].outcomes[OUTCOME_HTTP_5XX].bad = bad;
	strata[1][0].outcomes[OUTCOME_HTTP_5XX].clusters = bad;
	for (uint64_t i = 0; i < bad; i++)
		culprits[i] = (struct culprit){(uint64_t)start_us + i, OUTCOME_HTTP_5XX, 1};
	struct bucket bucket = {.service = TEXT("orders"),
				.start_us = start_us,
				.routes = NAMES,
				.route_count = ROUTES,
				.arms = arms,
				.arm_count = 2,
				.culprits = culprits,
				.culprit_count = bad};
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	struct bucket of_rule = bucket;
	of_rule.rule = rule_key;
	bucket.rules = &of_rule;
	bucket.rule_count = rule_key.size > 0 ? 1 : 0;
	registry_key('b', &bucket.service, 1, start_us, &key);
	bucket_encode(&bucket, &value);
	put_row(FAMILY_REGISTRY, &key, &value);
}

static void put_instance(const char *version, const char *name, int64_t first_us, int64_t last_us)
{
	struct instance instance = {.service = TEXT("orders"),
				    .arm = {text_of(version), TEXT("d2")},
				    .name = text_of(name),
				    .first_us = first_us,
				    .last_us = last_us,
				    .events = 100};
	struct text names[] = {instance.service, instance.arm.version, instance.arm.deploy_id,
			       instance.name};
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	registry_key('i', names, 4, -1, &key);
	instance_encode(&instance, &value);
	put_row(FAMILY_REGISTRY, &key, &value);
}

static int64_t end_us;

/* Ten minutes of a canary that is as good as its baseline, up to now. */
static void play(void)
{
	int64_t start_us = T0 + 600 * INT64_C(1000000);
	for (int i = 0; i < BUCKETS; i++)
		put_bucket(start_us + i * BUCKET_US, 8000, 0);
	end_us = start_us + BUCKETS * BUCKET_US;
	now_us = end_us + 5 * INT64_C(1000000);
	live.watermark_us = end_us;
	live.committed_us = now_us;
	put_instance("v1", "pod-a", T0, end_us);
	put_instance("v2", "pod-b", start_us, end_us);
}

/* `count` more buckets with `bad` failures each. */
static void play_on(int count, uint64_t bad)
{
	for (int i = 0; i < count; i++)
		put_bucket(end_us + i * BUCKET_US, 8000, bad);
	end_us += count * BUCKET_US;
	now_us = end_us + 5 * INT64_C(1000000);
	live.watermark_us = end_us;
	live.committed_us = now_us;
	put_instance("v2", "pod-b", T0 + 600 * INT64_C(1000000), end_us);
}

static const char QUESTION[] = "GET /v1/gate?service=orders&canary=v2&baseline=v1";

static void verdict_is(const char *line, const char *wanted)
{
	struct json_object *answer = ask(line, NULL, 200);
	ck_assert_msg(strcmp(json_path_text(answer, "verdict"), wanted) == 0, "%s: %s", line,
		      json_path_text(answer, "summary"));
	json_object_put(answer);
}

static void override_is(const char *canary, unsigned status, const char *words)
{
	char body[256];
	(void)snprintf(body, sizeof body,
		       "{\"service\":\"orders\",\"canary\":\"%s\",\"who\":\"ann\","
		       "\"reason\":\"bad node\"}",
		       canary);
	struct json_object *answer = ask("POST /v1/gate/override", body, status);
	const char *said = json_path_text(answer, status == 200 ? "summary" : "error");
	ck_assert_msg(strstr(said, words) != NULL, "%s", said);
	json_object_put(answer);
}

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

START_TEST(a_fail_is_latched_until_it_is_overridden)
{
	play();
	play_on(6, 6);
	verdict_is("GET /v1/gate?service=orders&canary=v2&baseline=v1&dry=1", "FAIL");
	api_done(&api);
	api_init(&api);
	verdict_is(QUESTION, "FAIL");
	/* The buckets go, the FAIL stays: also of a daemon that started again. */
	struct store *fresh = NULL;
	struct text service = TEXT("orders");
	struct text canary = TEXT("v2");
	struct text names[] = {service, canary};
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	registry_key('v', names, 2, -1, &key);
	ck_assert_int_eq(store_get(store, FAMILY_REGISTRY, bytes_text(&key), &value, NULL), OK);
	ck_assert_int_eq(store_open_memory(&fresh, NULL), OK);
	api_done(&api);
	store_free(&store);
	store = fresh;
	api.store = store;
	api_init(&api);
	put_row(FAMILY_REGISTRY, &key, &value);
	play();
	play_on(12, 0);
	struct json_object *answer = ask(QUESTION, NULL, 200);
	ck_assert_str_eq(json_path_text(answer, "verdict"), "FAIL");
	struct json_object *reason = json_object_array_get_idx(json_path(answer, "reasons"), 0);
	ck_assert_str_eq(json_path_text(reason, "code"), "LATCHED");
	json_object_put(answer);

	struct json_object *wrong =
		ask("POST /v1/gate/override", "{\"service\":\"orders\",\"canary\":\"v2\"}", 400);
	ck_assert_ptr_nonnull(strstr(json_path_text(wrong, "error"), "who and reason"));
	json_object_put(wrong);
	json_object_put(ask("POST /v1/gate/override", "[1]", 400));
	override_is("v2", 200, "the FAIL and what was seen");
	verdict_is(QUESTION, "WAIT"); /* judged afresh: it bakes again */
	play_on(66, 0);
	verdict_is(QUESTION, "PASS");
	play_on(6, 6);
	verdict_is(QUESTION, "FAIL");

	answer = ask("GET /v1/gate/history?service=orders&canary=v2", NULL, 200);
	const char *history = json_object_to_json_string(answer);
	ck_assert_ptr_nonnull(strstr(history, "\"OVERRIDE\""));
	ck_assert_ptr_nonnull(strstr(history, "bad node"));
	ck_assert_ptr_nonnull(strstr(history, "\"blocked\""));
	json_object_put(answer);
	refused("GET /v1/gate/history?canary=v2", 400, "needs service=");
}
END_TEST

START_TEST(a_dry_fail_blocks_nobody)
{
	play();
	play_on(6, 6);
	verdict_is("GET /v1/gate?service=orders&canary=v2&dry=1", "FAIL");
	struct json_object *answer = ask("GET /v1/gate/history", NULL, 200);
	ck_assert_ptr_nonnull(strstr(json_object_to_json_string(answer), "would have blocked"));
	json_object_put(answer);
	struct text names[] = {TEXT("orders"), TEXT("v2")};
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	registry_key('v', names, 2, -1, &key);
	ck_assert_int_eq(store_get(store, FAMILY_REGISTRY, bytes_text(&key), &value, NULL),
			 ENOTFOUND);
	/* Asked in earnest it does. */
	verdict_is("GET /v1/gate?service=orders&canary=v2", "FAIL");
	ck_assert_int_eq(store_get(store, FAMILY_REGISTRY, bytes_text(&key), &value, NULL), OK);
}
END_TEST

START_TEST(a_replay_sees_what_was_seen)
{
	play();
	struct json_object *then = ask(QUESTION, NULL, 200);
	char line[256];
	char buffer[32];
	struct text at = time_print(end_us, buffer);
	(void)snprintf(line, sizeof line, "%s&at=%.*s", QUESTION, TEXT_ARG(at));
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
	char buffer[32];
	struct text at = time_print(at_us, buffer);
	(void)snprintf(line, sizeof line, "%s&at=%.*s", QUESTION, TEXT_ARG(at));
	struct json_object *answer = ask(at_us == 0 ? QUESTION : line, NULL, 200);
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
	ck_assert_str_eq(good_again, good);
	ck_assert_str_eq(bad_again, bad);
	free(good);
	free(bad);
	free(good_again);
	free(bad_again);
	rule_key = TEXT("");
}
END_TEST

/* What was overridden by then is forgiven in the replay as it was in the answer. */
START_TEST(a_replay_knows_the_override)
{
	char line[256];
	char buffer[32];
	play();
	play_on(6, 6);
	verdict_is(QUESTION, "FAIL");
	struct text before = time_print(end_us, buffer);
	(void)snprintf(line, sizeof line, "%s&at=%.*s", QUESTION, TEXT_ARG(before));
	override_is("v2", 200, "the FAIL and what was seen");
	verdict_is(line, "FAIL");
	play_on(66, 0);
	struct text after = time_print(end_us, buffer);
	(void)snprintf(line, sizeof line, "%s&at=%.*s", QUESTION, TEXT_ARG(after));
	verdict_is(line, "PASS");
}
END_TEST

/* A typing error must not look like an override that helped, nor one under another name. */
START_TEST(an_override_says_what_it_forgave)
{
	play();
	play_on(6, 6);
	verdict_is(QUESTION, "FAIL");
	override_is("v3", 404, "no event of orders v3 was seen");
	override_is("service.version=v2", 200, "no FAIL stands under this name");
	verdict_is(QUESTION, "FAIL");
	override_is("v2", 200, "the FAIL and what was seen");
	verdict_is(QUESTION, "WAIT");
}
END_TEST

START_TEST(history_is_newest_first)
{
	static const char *const CANARIES[] = {"v9", "v2", "v5"};
	static const char *const LIMITED = "GET /v1/gate/history?limit=2";
	char line[128];
	play();
	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(line, sizeof line, "GET /v1/gate?service=orders&canary=%s",
			       CANARIES[i]);
		json_object_put(ask(line, NULL, 200));
		now_us++;
	}
	struct json_object *answer = ask(LIMITED, NULL, 200);
	struct json_object *rows = json_path(answer, "history");
	ck_assert_uint_eq(json_object_array_length(rows), 2);
	for (size_t i = 0; i < 2; i++)
		ck_assert_str_eq(json_path_text(json_object_array_get_idx(rows, i), "canary"),
				 CANARIES[2 - i]);
	ck_assert_str_eq(json_path_text(answer, "complete"), "false");
	json_object_put(answer);
	answer = ask("GET /v1/gate/history?limit=3", NULL, 200);
	ck_assert_str_eq(json_path_text(answer, "complete"), "true");
	json_object_put(answer);
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

static unsigned flagger(const char *path, const char *body, const char *words)
{
	struct api_request request = {
		.method = TEXT("POST"), .path = text_of(path), .body = text_of(body)};
	struct api_response response;
	api_answer(&api, &request, &response);
	bytes_put_u8(&response.body, 0);
	ck_assert_msg(strstr((const char *)response.body.data, words) != NULL, "%s",
		      (const char *)response.body.data);
	bytes_done(&response.body);
	return response.status;
}

START_TEST(flagger_reads_statuses)
{
	static const char BODY[] =
		"{\"name\":\"orders\",\"namespace\":\"shop\",\"phase\":\"Progressing\","
		"\"checksum\":\"d2\",\"metadata\":{\"service\":\"orders\",\"canary\":\"v2\"}}";
	play();
	ck_assert_uint_eq(flagger("/v1/flagger/confirm", BODY, "PASS: canary v2"), 200);
	ck_assert_uint_eq(flagger("/v1/flagger/rollback", BODY, "PASS: "), 409);
	play_on(6, 6);
	ck_assert_uint_eq(flagger("/v1/flagger/confirm", BODY, "FAIL: "), 409);
	ck_assert_uint_eq(flagger("/v1/flagger/rollback", BODY, "FAIL: "), 200);
	/* Without metadata: the name, and the checksum as the deploy id. */
	ck_assert_uint_eq(flagger("/v1/flagger/rollback",
				  "{\"name\":\"orders\",\"checksum\":\"d2\"}", "FAIL: "),
			  200);
	ck_assert_uint_eq(flagger("/v1/flagger/confirm",
				  "{\"name\":\"orders\",\"checksum\":\"d9\"}", "WAIT: "),
			  425);
	now_us += 600 * INT64_C(1000000);
	live.committed_us = now_us;
	ck_assert_uint_eq(flagger("/v1/flagger/confirm",
				  "{\"name\":\"orders\",\"metadata\":{\"canary\":\"v1\"}}",
				  "STALE: "),
			  424);
	/* Neither hook rolls back or promotes on what it does not understand. */
	ck_assert_uint_eq(flagger("/v1/flagger/rollback", "{}", "needed"), 400);
	ck_assert_uint_eq(flagger("/v1/flagger/confirm", "no json", "no JSON object"), 400);
	ck_assert_int_eq(api_access_of(TEXT("POST"), TEXT("/v1/flagger/confirm")), API_GATE_READ);
	ck_assert_int_eq(api_access_of(TEXT("POST"), TEXT("/v1/gate/override")), API_SOCKET_ONLY);
}
END_TEST

START_TEST(a_plan_tells_when)
{
	play();
	refused("GET /v1/gate/plan?service=orders", 400, "share= is needed");
	refused("GET /v1/gate/plan?service=nobody&share=10", 404, "no request of nobody");
	struct json_object *tenth = ask("GET /v1/gate/plan?service=orders&share=10", NULL, 200);
	struct json_object *rare = ask("GET /v1/gate/plan?service=orders&share=1", NULL, 200);
	double at_tenth = json_object_get_double(json_path(tenth, "pass_after_s"));
	double at_rare = json_object_get_double(json_path(rare, "pass_after_s"));
	ck_assert_double_ge(at_tenth, 300); /* the bake */
	ck_assert_double_ge(at_rare, at_tenth);
	/* 880 requests/s, none bad: 1 % of them proves a rate below 0.1 % within minutes. */
	ck_assert_double_le(at_rare, 1800);
	ck_assert_uint_eq(json_object_array_length(json_path(tenth, "at_other_shares")), 5);
	json_object_put(tenth);
	json_object_put(rare);
	struct json_object *policies = ask("GET /v1/gate/policies", NULL, 200);
	ck_assert_uint_eq(json_object_array_length(json_path(policies, "policies")), 3);
	json_object_put(policies);
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
	tcase_add_test(all, a_fail_is_latched_until_it_is_overridden);
	tcase_add_test(all, a_dry_fail_blocks_nobody);
	tcase_add_test(all, a_replay_sees_what_was_seen);
	tcase_add_test(all, a_replay_has_the_outcomes_of_rules);
	tcase_add_test(all, a_replay_knows_the_override);
	tcase_add_test(all, an_override_says_what_it_forgave);
	tcase_add_test(all, history_is_newest_first);
	tcase_add_test(all, a_name_nobody_has_is_told);
	tcase_add_test(all, flagger_reads_statuses);
	tcase_add_test(all, a_plan_tells_when);
	tcase_add_test(all, an_answer_comes_from_memory);
	suite_add_tcase(suite, all);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
