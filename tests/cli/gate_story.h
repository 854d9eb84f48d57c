/* The story of a canary of "orders" in the store, bucket by bucket, and questions about it: what
 * the tests of the gate's routes share. Why: they differ in what they ask, not in what was played.
 * Invariant: time goes on with what is played. Owner: the file that includes it (the variables are
 * static). Thread: one. Units: buckets of COHORT_BUCKET_US. Limits: eight bad requests a bucket. */
#ifndef PICKET_TESTS_CLI_GATE_STORY_H
#define PICKET_TESTS_CLI_GATE_STORY_H

#include "tests/cli/api_fixture.h"

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

#endif
