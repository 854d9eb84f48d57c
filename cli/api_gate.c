/* /v1/gate: reads the question, asks gate_judge_evidence(), and waits a little when the answer is
 * not final. The evidence of a canary is kept between questions (gate_session.h). */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "cli/api_gate_private.h"
#include "rules/yaml.h"

enum {
	GATE_PAUSE_US = 200 * 1000,
	STEP_VERSION = 1,
	RETRY_AFTER_S = 5,
	COMMON_CAUSE_SERVICES = 3, /* so many others that fail within COMMON_CAUSE_US */
};

static const int64_t COMMON_CAUSE_US = INT64_C(600) * 1000000;

static enum status judge_session(struct api *api, const struct gate_question *question,
				 struct facts *facts, struct gate_session *session,
				 struct gate_result *ret_result, struct error *err)
{
	const struct gate_query *query = &question->query;
	struct gate_facts *known = &facts->known;
	enum status status = gate_session_read(session, api->store, known->instances,
					       known->instance_count, err);
	if (status == OK)
		status = gate_judge_evidence(query, known, session->evidence, facts->arena,
					     ret_result);
	bool fresh_fail = status == OK && ret_result->verdict == VERDICT_FAIL &&
			  known->latched_us == INT64_MIN;
	size_t others = 0;
	if (fresh_fail)
		status = gate_count_failing(api, query->service, query->now_us - COMMON_CAUSE_US,
					    &others, err);
	if (status == OK && others >= COMMON_CAUSE_SERVICES) {
		known->common_cause =
			arena_print(facts->arena,
				    "%zu other services have failed within ten minutes as well: "
				    "look for what they share before you blame this canary",
				    others);
		status = gate_judge_evidence(query, known, session->evidence, facts->arena,
					     ret_result);
	}
	if (status == OK && ret_result->moment_count > 0) {
		/* The evidence is the session's: what the result shows of it must outlive that. */
		size_t size = ret_result->moment_count * sizeof *ret_result->moments;
		struct gate_moment *copy = arena_alloc(facts->arena, size);
		if (copy == NULL)
			return error_set(err, ENOMEMORY, "no memory for the gate");
		memcpy(copy, ret_result->moments, size);
		ret_result->moments = copy;
	}
	if (status != OK)
		return error_wrap(err, status, "the gate cannot judge");
	(void)pthread_mutex_lock(&api->writing);
	struct gate_given given = {ret_result, session->told, question->dry,
				   known->latched_us != INT64_MIN};
	status = gate_verdict_write(api, query, &given, err);
	(void)pthread_mutex_unlock(&api->writing);
	if (status == OK)
		session->told = ret_result->verdict;
	return status;
}

/* As it would have been answered then: from the buckets that were closed, nothing is written. */
static enum status judge_past(struct api *api, const struct gate_question *question,
			      struct facts *facts, struct gate_result *ret_result,
			      struct error *err)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct gate_evidence *evidence cleanup(gate_evidence_free) = NULL;
	struct bytes prefix cleanup(bytes_done) = {0};
	struct bytes from cleanup(bytes_done) = {0};
	struct text key = {0};
	struct text value = {0};
	struct gate_query query = question->query;
	enum status status = gate_pardon_read(api, &query, question->at_us, &query.pardon_us, err);
	if (status != OK)
		return status;
	bool of_rules = false;
	query.now_us = question->at_us;
	facts_as_of(facts, &query, question->at_us);
	registry_key('b', &query.service, 1, -1, &prefix);
	registry_key('b', &query.service, 1, facts_first_heard(facts, &query), &from);
	status = gate_evidence_new(&query, &evidence, err);
	if (status == OK)
		status = store_scan_new(api->store, FAMILY_REGISTRY, bytes_text(&prefix),
					bytes_text(&from), &scan, err);
	while (status == OK && store_scan_next(scan, &key, &value)) {
		struct bucket bucket;
		status = bucket_decode(value, facts->arena, &bucket, err);
		if (status == OK && bucket.start_us + COHORT_BUCKET_US > question->at_us)
			break;
		if (status == OK)
			status = gate_evidence_add(evidence, &bucket, facts->known.instances,
						   facts->known.instance_count);
		of_rules = of_rules || (status == OK && bucket.rule_count > 0);
	}
	if (status == OK)
		status = store_scan_status(scan, err);
	if (of_rules)
		facts_miss_rules(facts);
	if (status == OK)
		status = gate_judge_evidence(&query, &facts->known, evidence, facts->arena,
					     ret_result);
	if (status == OK)
		ret_result->moment_count = 0; /* they go with the evidence */
	return status;
}

enum status gate_ask(struct api *api, const struct gate_question *question, struct facts *facts,
		     struct gate_result *ret_result, struct error *err)
{
	struct bytes keep cleanup(bytes_done) = {0};
	struct gate_latch latch;
	struct gate_question now = *question;
	struct gate_session *session = NULL;
	enum status status = gate_latch_read(api, &now.query, &keep, &latch, err);
	if (status == OK) {
		now.query.pardon_us = latch.pardon_us;
		status = facts_collect(api, &now.query, facts, err);
	}
	if (status == OK)
		status = gate_read_expect(question, facts, &facts->expect, err);
	now.query.expect = &facts->expect;
	now.query.rules = facts->rules;
	now.query.rule_count = facts->rule_count;
	if (status == OK && now.at_us != INT64_MIN)
		return judge_past(api, &now, facts, ret_result, err);
	if (status != OK)
		return status;
	facts->known.latched_us = latch.failed_us;
	facts->known.latched = arena_copy(facts->arena, latch.failed);
	if (api->gate_sessions == NULL)
		return error_set(err, ENOMEMORY, "no memory for the gate");
	status = gate_sessions_enter(api->gate_sessions, &now.query,
				     facts_first_heard(facts, &now.query), &session, err);
	if (status != OK)
		return status;
	status = judge_session(api, &now, facts, session, ret_result, err);
	gate_sessions_leave(api->gate_sessions, &session);
	return status;
}

/* When this step's bake began: the row 's' of its first poll, made now when there is none. */
static enum status step_start(struct api *api, const struct text names[static 3], int64_t now_us,
			      int64_t *ret_start_us, struct error *err)
{
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	registry_key('s', names, 3, -1, &key);
	enum status status = store_get(api->store, FAMILY_REGISTRY, bytes_text(&key), &value, err);
	if (status == OK) {
		struct cursor cursor = cursor_of(bytes_text(&value));
		uint8_t version = cursor_u8(&cursor);
		int64_t start_us = cursor_signed(&cursor);
		if (cursor.failed || version != STEP_VERSION)
			return error_set(err, ECORRUPT, "the row of a gate step cannot be read");
		*ret_start_us = start_us;
		return OK;
	}
	if (status != ENOTFOUND)
		return status;
	*ret_start_us = now_us;
	if (api->read_only)
		return OK;
	bytes_clear(&value);
	bytes_put_u8(&value, STEP_VERSION);
	bytes_put_signed(&value, now_us);
	struct store_batch *batch = store_batch_new(api->store);
	if (batch == NULL)
		return error_set(err, ENOMEMORY, "no memory for a gate step");
	store_batch_put(batch, FAMILY_REGISTRY, bytes_text(&key), bytes_text(&value));
	status = api_commit(api, batch, err);
	store_batch_free(&batch);
	return status;
}

/* share=10 or share=10%: the canary's part of the requests, in per cent; NaN when it is not said.
 */
enum status gate_read_share(const struct api_call *call, double *ret_share, struct error *err)
{
	static const double PERCENT = 100;
	struct text share = api_parameter(call, "share");
	*ret_share = NAN;
	if (share.size == 0)
		return OK;
	struct text digits = share;
	if (digits.data[digits.size - 1] == '%')
		digits.size--;
	char copy[32] = {0};
	char *end = NULL;
	double percent = NAN;
	if (digits.size > 0 && digits.size < sizeof copy) {
		memcpy(copy, digits.data, digits.size);
		percent = strtod(copy, &end);
	}
	if (end == NULL || *end != '\0' || !(percent > 0 && percent < PERCENT))
		return error_set(err, EINVALID,
				 "share=%.*s is not a percentage between 0 and 100, such as 10",
				 TEXT_ARG(share));
	*ret_share = percent / PERCENT;
	return OK;
}

enum status gate_read_expect(const struct gate_question *question, struct facts *facts,
			     struct gate_manifest *ret_manifest, struct error *err)
{
	if (question->expect.size == 0)
		return OK;
	return gate_manifest_read(question->expect, "expect", question->query.service, facts->arena,
				  ret_manifest, err);
}

static bool read_flag(const struct api_call *call, const char *name, bool *ret_flag,
		      struct error *err)
{
	struct text value = api_parameter(call, name);
	*ret_flag = text_equal(value, TEXT("1"));
	if (value.size == 0 || *ret_flag || text_equal(value, TEXT("0")))
		return true;
	(void)!error_set(err, EINVALID, "%s is 1 or 0", name);
	return false;
}

static enum status find_policy(const struct api_call *call, struct gate_policy *ret_policy,
			       struct error *err)
{
	struct text name = api_parameter(call, "policy");
	const struct api *api = call->api;
	struct gate_shipped shipped;
	for (size_t i = 0; gate_policy_shipped(i, &shipped); i++) {
		*ret_policy = shipped.policy;
		if (name.size == 0 || text_equal(shipped.policy.name, name))
			return OK;
	}
	for (size_t i = 0; i < api->policy_count; i++) {
		*ret_policy = api->policies[i];
		if (text_equal(api->policies[i].name, name))
			return OK;
	}
	return error_set(err, EINVALID, "no policy \"%.*s\"; see picket gate policy list",
			 TEXT_ARG(name));
}

/* The policy that is named, with the deadline of the question where it has one. */
enum status gate_read_policy(const struct api_call *call, struct gate_policy *ret_policy,
			     struct error *err)
{
	struct text deadline = api_parameter(call, "deadline");
	struct gate_policy policy;
	enum status status = find_policy(call, &policy, err);
	if (status != OK)
		return status;
	if (deadline.size > 0 && !duration_parse(deadline, &policy.deadline_us))
		return error_set(err, EINVALID, "deadline=%.*s is not a duration such as 30m",
				 TEXT_ARG(deadline));
	*ret_policy = policy;
	return OK;
}

static enum status read_query(const struct api_call *call, struct gate_query *ret_query,
			      struct error *err)
{
	struct gate_query query = {.service = api_parameter(call, "service"),
				   .step_start_us = INT64_MIN,
				   .share = NAN,
				   .now_us = api_now(call->api),
				   .pardon_us = INT64_MIN};
	struct text canary = api_parameter(call, "canary");
	struct text baseline = api_parameter(call, "baseline");
	struct text step = api_parameter(call, "step");
	if (query.service.size == 0 || canary.size == 0)
		return error_set(err, EINVALID, "service= and canary= are needed");
	if (query.service.size > GATE_NAME_MAX || canary.size > GATE_NAME_MAX ||
	    baseline.size > GATE_NAME_MAX || step.size > GATE_NAME_MAX)
		return error_set(err, EINVALID,
				 "service, canary, baseline and step have at most %d bytes",
				 GATE_NAME_MAX);
	enum status status = gate_read_policy(call, &query.policy, err);
	if (status == OK)
		status = arm_query_parse(canary, &query.canary, err);
	if (status == OK && baseline.size > 0 && !text_equal(baseline, TEXT("auto")))
		status = arm_query_parse(baseline, &query.baseline, err);
	if (status == OK)
		status = api_parameter_time(call, "after", INT64_MIN, &query.after_us, err);
	if (status != OK)
		return status;
	status = gate_read_share(call, &query.share, err);
	if (status != OK)
		return status;
	if (step.size > 0) {
		const struct text names[3] = {query.service, canary, step};
		(void)pthread_mutex_lock(&call->api->writing);
		status = step_start(call->api, names, query.now_us, &query.step_start_us, err);
		(void)pthread_mutex_unlock(&call->api->writing);
		query.step = step;
	}
	if (status == OK)
		*ret_query = query;
	return status;
}

/* wait= of a request, at most API_WAIT_MAX_US. */
static enum status read_wait(const struct api_call *call, int64_t *ret_wait_us, struct error *err)
{
	struct text wait = api_parameter(call, "wait");
	int64_t wait_us = 0;
	if (wait.size > 0 && !text_equal(wait, TEXT("0")) && !duration_parse(wait, &wait_us))
		return error_set(err, EINVALID, "wait=%.*s is not a duration such as 5s",
				 TEXT_ARG(wait));
	*ret_wait_us = wait_us > API_WAIT_MAX_US ? API_WAIT_MAX_US : wait_us;
	return OK;
}

enum status gate_question_read(const struct api_call *call, struct gate_question *ret_question,
			       struct error *err)
{
	struct gate_question question = {.expect = api_parameter(call, "expect")};
	if (question.expect.size == 0 && text_equal(call->request->path, TEXT("/v1/gate")))
		question.expect = call->request->body;
	if (!read_flag(call, "dry", &question.dry, err) ||
	    !read_flag(call, "brief", &question.brief, err))
		return EINVALID;
	enum status status = api_parameter_time(call, "at", INT64_MIN, &question.at_us, err);
	if (status == OK)
		status = read_query(call, &question.query, err);
	if (status == OK)
		*ret_question = question;
	return status;
}

/* What a chat message or a log line needs. */
static void write_brief(const struct gate_query *query, const struct facts *facts,
			const struct gate_result *result, struct bytes *to)
{
	struct json_writer json = {.to = to};
	json_write_open(&json, NULL, '{');
	json_write_string(&json, "schema", "picket.gate-brief/1");
	json_write_string(&json, "verdict", verdict_name(result->verdict));
	json_write_boolean(&json, "ok", result->verdict == VERDICT_PASS);
	json_write_boolean(&json, "final", result->final);
	json_write_text(&json, "summary", result->summary);
	json_write_text(&json, "service", query->service);
	if (facts->owner.size > 0)
		json_write_text(&json, "owner", facts->owner);
	json_write_text(&json, "canary", query->canary.value);
	json_write_string(&json, "link", "/v1/gate");
	json_write_close(&json, '}');
}

static void write_answer(const struct gate_query *query, const struct facts *facts,
			 const struct gate_result *result, struct bytes *to)
{
	struct gate_query asked = *query;
	asked.expect = &facts->expect;
	asked.owner = facts->owner;
	gate_json(&asked, result, to);
}

enum status api_gate(const struct api_call *call, struct api_response *response, struct error *err)
{
	struct gate_question question;
	enum verdict verdict = VERDICT_UNAVAILABLE;
	int64_t wait_us = 0;
	struct text pending = api_parameter(call, "pending");
	bool refuse_pending = text_equal(pending, TEXT("503"));
	if (pending.size > 0 && !refuse_pending && !text_equal(pending, TEXT("200")))
		return error_set(err, EINVALID, "pending is 200 or 503");
	enum status status = read_wait(call, &wait_us, err);
	if (status == OK)
		status = gate_question_read(call, &question, err);
	while (status == OK) {
		struct facts facts cleanup(facts_done) = {0};
		struct gate_result result;
		status = gate_ask(call->api, &question, &facts, &result, err);
		if (status != OK)
			break;
		bytes_clear(&response->body);
		if (question.brief)
			write_brief(&question.query, &facts, &result, &response->body);
		else
			write_answer(&question.query, &facts, &result, &response->body);
		verdict = result.verdict;
		bool final = verdict != VERDICT_WAIT && verdict != VERDICT_STALE;
		if (final || wait_us <= 0 || question.at_us != INT64_MIN ||
		    atomic_load(&call->api->stopping))
			break;
		struct timespec pause = {.tv_nsec = GATE_PAUSE_US * 1000L};
		(void)nanosleep(&pause, NULL);
		wait_us -= GATE_PAUSE_US;
		question.query.now_us = api_now(call->api);
	}
	if (status != OK)
		return status;
	if (refuse_pending && (verdict == VERDICT_WAIT || verdict == VERDICT_STALE)) {
		response->status = 503;
		response->retry_after_s = RETRY_AFTER_S;
	}
	return OK;
}
