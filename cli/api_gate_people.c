/* What people ask of the gate: its policies, its past verdicts, how long a canary would take, and
 * an override with a reason; and the two hooks of Flagger, which answers by HTTP status. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/api_gate_private.h"
#include "cli/json_reader.h"
#include "cli/output.h"
#include "correlate/gate_plan.h"

static const double US_PER_SECOND = 1e6;

static void write_policy(const struct gate_policy *policy, const char *claim,
			 struct json_writer *json)
{
	struct bytes yaml cleanup(bytes_done) = {0};
	gate_policy_print(policy, &yaml);
	json_write_open(json, NULL, '{');
	json_write_text(json, "name", policy->name);
	json_write_string(json, "claim", claim);
	json_write_text(json, "yaml", bytes_text(&yaml));
	json_write_close(json, '}');
}

enum status api_gate_policies(const struct api_call *call, struct api_response *response,
			      struct error *err)
{
	struct json_writer json = {.to = &response->body};
	struct gate_shipped shipped;
	(void)err;
	json_write_open(&json, NULL, '{');
	json_write_string(&json, "schema", "picket.gate-policies/1");
	json_write_boolean(&json, "complete", true);
	json_write_open(&json, "policies", '[');
	for (size_t i = 0; gate_policy_shipped(i, &shipped); i++)
		write_policy(&shipped.policy, shipped.claim, &json);
	for (size_t i = 0; i < call->api->policy_count; i++)
		write_policy(&call->api->policies[i], "of a file", &json);
	json_write_close(&json, ']');
	json_write_close(&json, '}');
	return OK;
}

/* --- history ---------------------------------------------------------------------------------- */

/* The newest rows of a period, whatever order they are found in: up to twice as many as are wanted
 * are kept, and then the older half of them goes. */
struct newest_notes {
	int64_t since_us, until_us;
	size_t limit, count;
	struct note_row {
		int64_t time_us;
		struct bytes json;
	} * rows;
	bool left_out;
};

static void newest_notes_done(struct newest_notes *newest)
{
	for (size_t i = 0; i < newest->count; i++)
		bytes_done(&newest->rows[i].json);
	free(newest->rows);
}

static int newest_first(const void *left, const void *right)
{
	const struct note_row *a = left;
	const struct note_row *b = right;
	return (a->time_us < b->time_us) - (a->time_us > b->time_us);
}

static void newest_notes_trim(struct newest_notes *newest)
{
	qsort(newest->rows, newest->count, sizeof *newest->rows, newest_first);
	newest->left_out |= newest->count > newest->limit;
	while (newest->count > newest->limit)
		bytes_done(&newest->rows[--newest->count].json);
}

static void write_note(struct newest_notes *newest, char kind, const struct text *names,
		       const struct gate_note *note)
{
	if (newest->count == 2 * newest->limit)
		newest_notes_trim(newest);
	struct note_row *row = &newest->rows[newest->count++];
	*row = (struct note_row){.time_us = note->time_us};
	struct json_writer json = {.to = &row->json};
	bool blocked = kind == 'h' && note->verdict == VERDICT_FAIL;
	json_write_open(&json, NULL, '{');
	json_write_time(&json, "time", note->time_us);
	json_write_text(&json, "service", names[0]);
	json_write_text(&json, "canary", names[1]);
	json_write_string(&json, "what", kind == 'o' ? "OVERRIDE" : verdict_name(note->verdict));
	json_write_string(&json, "effect",
			  kind == 'o' ? "forgiven up to here"
			  : !blocked  ? ""
			  : note->dry ? "would have blocked"
				      : "blocked");
	json_write_text(&json, "policy", note->policy);
	json_write_text(&json, "who", note->who);
	json_write_text(&json, "text", note->text);
	json_write_close(&json, '}');
}

static enum status find_notes(const struct api_call *call, char kind, struct newest_notes *newest,
			      struct error *err)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct bytes prefix cleanup(bytes_done) = {0};
	struct text wanted[] = {api_parameter(call, "service"), api_parameter(call, "canary")};
	struct text key = {0};
	struct text value = {0};
	registry_key(kind, wanted, wanted[0].size == 0 ? 0 : 1, -1, &prefix);
	enum status status = store_scan_new(call->api->store, FAMILY_REGISTRY, bytes_text(&prefix),
					    bytes_text(&prefix), &scan, err);
	while (status == OK && store_scan_next(scan, &key, &value)) {
		struct text names[2];
		char kept = 0;
		int64_t time_us = 0;
		struct gate_note note;
		status = registry_key_decode(key, &kept, names, 2, &time_us, err);
		if (status == OK)
			status = gate_note_decode(value, &note, err);
		if (status == OK && note.time_us >= newest->since_us &&
		    note.time_us <= newest->until_us &&
		    (wanted[1].size == 0 || text_equal(names[1], wanted[1])))
			write_note(newest, kind, names, &note);
	}
	return status == OK ? store_scan_status(scan, err) : status;
}

enum status api_gate_history(const struct api_call *call, struct api_response *response,
			     struct error *err)
{
	struct json_writer json = {.to = &response->body};
	struct newest_notes newest cleanup(newest_notes_done) = {0};
	enum status status = api_parameter_time(call, "since", INT64_MIN, &newest.since_us, err);
	if (status == OK)
		status = api_parameter_time(call, "until", INT64_MAX, &newest.until_us, err);
	if (status == OK)
		status = api_parameter_limit(call, &newest.limit, err);
	if (status == OK && api_parameter(call, "canary").size > 0 &&
	    api_parameter(call, "service").size == 0)
		status = error_set(err, EINVALID, "canary= needs service=");
	if (status != OK)
		return status;
	newest.rows = calloc(2 * newest.limit, sizeof *newest.rows);
	if (newest.rows == NULL)
		return error_set(err, ENOMEMORY, "no memory for the history");
	status = find_notes(call, 'h', &newest, err);
	if (status == OK)
		status = find_notes(call, 'o', &newest, err);
	if (status != OK)
		return status;
	newest_notes_trim(&newest);
	json_write_open(&json, NULL, '{');
	json_write_string(&json, "schema", "picket.gate-history/1");
	json_write_open(&json, "history", '[');
	for (size_t i = 0; i < newest.count; i++)
		json_write_raw(&json, NULL, bytes_text(&newest.rows[i].json));
	json_write_close(&json, ']');
	json_write_boolean(&json, "complete", !newest.left_out);
	json_write_close(&json, '}');
	return OK;
}

/* --- plan ------------------------------------------------------------------------------------- */

static const int64_t PLAN_PAST_US = INT64_C(1800) * 1000000;

static enum status read_traffic(const struct api_call *call, struct plan_traffic *traffic,
				struct error *err)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct arena *arena cleanup(arena_free) = arena_new((size_t)64 << 20);
	struct bytes prefix cleanup(bytes_done) = {0};
	struct bytes from cleanup(bytes_done) = {0};
	struct text service = api_parameter(call, "service");
	struct text key = {0};
	struct text value = {0};
	if (arena == NULL)
		return error_set(err, ENOMEMORY, "no memory for a plan");
	int64_t since_us = api_now(call->api) - PLAN_PAST_US;
	registry_key('b', &service, 1, -1, &prefix);
	registry_key('b', &service, 1, since_us < 0 ? 0 : since_us, &from);
	enum status status = store_scan_new(call->api->store, FAMILY_REGISTRY, bytes_text(&prefix),
					    bytes_text(&from), &scan, err);
	int64_t first_us = INT64_MAX;
	int64_t last_us = INT64_MIN;
	while (status == OK && store_scan_next(scan, &key, &value)) {
		struct bucket bucket;
		arena_reset(arena);
		status = bucket_decode(value, arena, &bucket, err);
		if (status != OK)
			break;
		plan_traffic_add(traffic, &bucket);
		first_us = bucket.start_us < first_us ? bucket.start_us : first_us;
		last_us = bucket.start_us > last_us ? bucket.start_us : last_us;
	}
	/* Buckets without a request are no rows, and count as well. */
	if (traffic->bucket_count > 0)
		traffic->bucket_count = (size_t)((last_us - first_us) / COHORT_BUCKET_US) + 1;
	return status == OK ? store_scan_status(scan, err) : status;
}

static void write_seconds(struct json_writer *json, const char *name, int64_t time_us)
{
	json_write_real(json, name, time_us == INT64_MAX ? NAN : (double)time_us / US_PER_SECOND);
}

static void write_plan(const struct plan_result *plan, const struct plan_traffic *traffic,
		       const struct gate_query *query, struct json_writer *json)
{
	double seconds = (double)traffic->bucket_count * COHORT_BUCKET_US / US_PER_SECOND;
	json_write_open(json, NULL, '{');
	json_write_string(json, "schema", "picket.gate-plan/1");
	json_write_text(json, "service", query->service);
	json_write_text(json, "policy", query->policy.name);
	json_write_real(json, "share_percent", 100 * query->share);
	json_write_real(json, "requests_per_second",
			seconds > 0 ? (double)traffic->requests / seconds : 0);
	write_seconds(json, "pass_after_s", plan->all_us);
	json_write_boolean(json, "within_deadline", plan->all_us <= query->policy.deadline_us);
	write_seconds(json, "deadline_s", query->policy.deadline_us);
	json_write_open(json, "needs", '[');
	const struct {
		const char *name;
		int64_t time_us;
	} others[] = {{"bake", plan->bake_us},
		      {"coverage", plan->coverage_us},
		      {"requests", plan->requests_us}};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		json_write_open(json, NULL, '{');
		json_write_string(json, "name", others[i].name);
		write_seconds(json, "after_s", others[i].time_us);
		json_write_close(json, '}');
	}
	for (int i = 0; i < OUTCOME_COUNT; i++) {
		if (plan->outcomes_us[i] == 0)
			continue;
		json_write_open(json, NULL, '{');
		json_write_string(json, "name", outcome_name((enum outcome)i));
		write_seconds(json, "after_s", plan->outcomes_us[i]);
		json_write_close(json, '}');
	}
	json_write_close(json, ']');
}

/* What other shares would need: the first thing that shortens a rollout. */
static void write_alternatives(const struct plan_traffic *traffic, const struct gate_query *query,
			       struct json_writer *json)
{
	static const double SHARES[] = {0.01, 0.05, 0.1, 0.25, 0.5};
	json_write_open(json, "at_other_shares", '[');
	for (size_t i = 0; i < sizeof SHARES / sizeof *SHARES; i++) {
		struct plan_result plan = gate_plan(&query->policy, traffic, SHARES[i]);
		json_write_open(json, NULL, '{');
		json_write_real(json, "share_percent", 100 * SHARES[i]);
		write_seconds(json, "pass_after_s", plan.all_us);
		json_write_close(json, '}');
	}
	json_write_close(json, ']');
}

enum status api_gate_plan(const struct api_call *call, struct api_response *response,
			  struct error *err)
{
	struct plan_traffic traffic = {0};
	struct gate_query query = {.service = api_parameter(call, "service")};
	if (query.service.size == 0 || query.service.size > GATE_NAME_MAX)
		return error_set(err, EINVALID, "service= is needed, and has at most %d bytes",
				 GATE_NAME_MAX);
	enum status status = gate_read_policy(call, &query.policy, err);
	if (status == OK)
		status = gate_read_share(call, &query.share, err);
	if (status == OK && isnan(query.share))
		status = error_set(err, EINVALID, "share= is needed: per cent of the requests");
	if (status == OK)
		status = read_traffic(call, &traffic, err);
	if (status != OK)
		return status;
	if (traffic.requests == 0)
		return error_set(err, ENOTFOUND,
				 "no request of %.*s in the last half hour; see picket services",
				 TEXT_ARG(query.service));
	struct plan_result plan = gate_plan(&query.policy, &traffic, query.share);
	struct json_writer json = {.to = &response->body};
	write_plan(&plan, &traffic, &query, &json);
	write_alternatives(&traffic, &query, &json);
	json_write_close(&json, '}');
	return OK;
}

/* --- override and Flagger's hooks: questions in a JSON body ------------------------------------
 */

static void json_done(struct json_object **object)
{
	(void)json_object_put(*object);
}

static enum status read_body(const struct api_call *call, struct json_object **ret_body,
			     struct error *err)
{
	struct json_object *body = json_read(call->request->body);
	if (body == NULL || !json_object_is_type(body, json_type_object)) {
		(void)json_object_put(body);
		return error_set(err, EINVALID, "the body is no JSON object");
	}
	*ret_body = body;
	return OK;
}

/* The question that a body asks, through the same door as /v1/gate. The parameters point into it.
 */
static enum status body_question(const struct api_call *call, const char *const (*pairs)[2],
				 size_t pair_count, struct gate_question *ret_question,
				 struct error *err)
{
	struct api_parameter parameters[API_PARAMETERS_MAX];
	struct api_request request = *call->request;
	size_t count = 0;
	for (size_t i = 0; i < pair_count; i++)
		if (pairs[i][1][0] != '\0')
			parameters[count++] =
				(struct api_parameter){text_of(pairs[i][0]), text_of(pairs[i][1])};
	request.parameters = parameters;
	request.parameter_count = count;
	struct api_call asked = {call->api, &request, {0}, call->ruleset};
	return gate_question_read(&asked, ret_question, err);
}

/* An override of a name that nobody has would look like one that helped. *ret_failed says whether a
 * FAIL stands under this name: the gate may have been asked by another one. */
static enum status check_pardoned(const struct api_call *call, const struct gate_query *query,
				  bool *ret_failed, struct error *err)
{
	struct facts facts cleanup(facts_done) = {0};
	struct bytes keep cleanup(bytes_done) = {0};
	struct gate_latch latch;
	enum status status = gate_latch_read(call->api, query, &keep, &latch, err);
	if (status == OK)
		status = facts_collect(call->api, query, &facts, err);
	if (status != OK)
		return status;
	bool heard = latch.failed_us != INT64_MIN;
	for (size_t i = 0; i < facts.known.instance_count && !heard; i++)
		heard = arm_matches(&query->canary, &facts.known.instances[i].arm);
	if (!heard)
		return error_set(
			err, ENOTFOUND,
			"no event of %.*s %.*s was seen, and no FAIL of it stands; "
			"versions: picket services, names that failed: picket gate history",
			TEXT_ARG(query->service), TEXT_ARG(query->canary.value));
	*ret_failed = latch.failed_us != INT64_MIN;
	return OK;
}

enum status api_gate_override(const struct api_call *call, struct api_response *response,
			      struct error *err)
{
	struct json_object *body cleanup(json_done) = NULL;
	struct gate_question question;
	if (call->api->read_only)
		return error_set(
			err, EDENIED,
			"a store opened with --data is only read; start the daemon and ask it");
	enum status status = read_body(call, &body, err);
	if (status != OK)
		return status;
	const char *reason = json_path_text(body, "reason");
	const char *who = json_path_text(body, "who");
	const char *const pairs[][2] = {{"service", json_path_text(body, "service")},
					{"canary", json_path_text(body, "canary")}};
	if (reason[0] == '\0' || who[0] == '\0')
		return error_set(err, EINVALID,
				 "who and reason are needed: an override is on record");
	status = body_question(call, pairs, 2, &question, err);
	if (status != OK)
		return status;
	struct gate_note note = {.time_us = question.query.now_us,
				 .verdict = VERDICT_INCONCLUSIVE,
				 .who = text_of(who),
				 .text = text_of(reason)};
	bool failed = false;
	(void)pthread_mutex_lock(&call->api->writing);
	status = check_pardoned(call, &question.query, &failed, err);
	if (status == OK)
		status = gate_override_write(call->api, &question.query, &note, err);
	(void)pthread_mutex_unlock(&call->api->writing);
	if (status != OK)
		return status;
	struct json_writer json = {.to = &response->body};
	json_write_open(&json, NULL, '{');
	json_write_string(&json, "schema", "picket.gate-override/1");
	json_write_time(&json, "forgiven_until", note.time_us);
	json_write_boolean(&json, "failed", failed);
	json_write_string(&json, "summary",
			  failed ? "the FAIL and what was seen up to now is forgiven; what comes "
				   "later is judged afresh"
				 : "no FAIL stands under this name (picket gate history shows how "
				   "the gate was asked); what was seen up to now is forgiven");
	json_write_close(&json, '}');
	return OK;
}

/* Flagger sends {name, namespace, phase, checksum, metadata}; what the logs call the service and
 * its versions stands in metadata. Without metadata.canary the checksum is taken for the deploy id.
 */
static enum status ask_for_flagger(const struct api_call *call, enum verdict *ret_verdict,
				   struct bytes *to, struct error *err)
{
	struct json_object *body cleanup(json_done) = NULL;
	struct gate_question question;
	struct facts facts cleanup(facts_done) = {0};
	struct gate_result result;
	char deploy[GATE_NAME_MAX + 32] = "";
	enum status status = read_body(call, &body, err);
	if (status != OK)
		return status;
	const char *service = json_path_text(body, "metadata.service");
	const char *canary = json_path_text(body, "metadata.canary");
	const char *checksum = json_path_text(body, "checksum");
	if (canary[0] == '\0' && checksum[0] != '\0') {
		(void)snprintf(deploy, sizeof deploy, "picket.deploy.id=%s", checksum);
		canary = deploy;
	}
	const char *const pairs[][2] = {
		{"service", service[0] != '\0' ? service : json_path_text(body, "name")},
		{"canary", canary},
		{"baseline", json_path_text(body, "metadata.baseline")},
		{"policy", json_path_text(body, "metadata.policy")},
		{"share", json_path_text(body, "metadata.share")},
		{"expect", json_path_text(body, "metadata.expect")},
	};
	status = body_question(call, pairs, sizeof pairs / sizeof *pairs, &question, err);
	if (status == OK)
		status = gate_ask(call->api, &question, &facts, &result, err);
	if (status != OK)
		return status;
	const char *name = verdict_name(result.verdict);
	bytes_write_string(to, name);
	bytes_write_string(to, ": ");
	bytes_write(to, result.summary);
	bytes_write_string(to, "\n");
	*ret_verdict = result.verdict;
	return OK;
}

enum status api_flagger_confirm(const struct api_call *call, struct api_response *response,
				struct error *err)
{
	/* Not 204 (a failure to Flagger), 429 or 5xx (retried, and the reason is thrown away). */
	static const unsigned STATUSES[] = {
		[VERDICT_PASS] = 200, [VERDICT_FAIL] = 409,  [VERDICT_INCONCLUSIVE] = 412,
		[VERDICT_WAIT] = 425, [VERDICT_STALE] = 424, [VERDICT_UNAVAILABLE] = 424};
	enum verdict verdict = VERDICT_UNAVAILABLE;
	enum status status = ask_for_flagger(call, &verdict, &response->body, err);
	if (status != OK)
		return status;
	response->status = STATUSES[verdict];
	response->content_type = "text/plain; charset=utf-8";
	return OK;
}

/* 2xx rolls back: only a FAIL may say it. */
enum status api_flagger_rollback(const struct api_call *call, struct api_response *response,
				 struct error *err)
{
	enum verdict verdict = VERDICT_UNAVAILABLE;
	enum status status = ask_for_flagger(call, &verdict, &response->body, err);
	if (status != OK)
		return status;
	response->status = verdict == VERDICT_FAIL ? 200 : 409;
	response->content_type = "text/plain; charset=utf-8";
	return OK;
}
