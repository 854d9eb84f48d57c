/* /v1/gate: collects the facts, asks gate_judge(), and waits a little when the answer is not final.
 *
 * Facts are the closed buckets of the service since the canary was first heard of (before that
 * there is nothing to compare), the findings and instances of the service, the committed watermark,
 * and every reason of the runtime that forbids a PASS: silence is never a pass. */
#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cli/api_private.h"
#include "correlate/gate.h"
#include "rules/ruleset.h"
#include "rules/yaml.h"

enum {
	GATE_BYTES_MAX = 256 * 1024 * 1024,
	GATE_REASONS = 64,
	GATE_NAME_MAX = 256,
	GATE_PAUSE_US = 200 * 1000,

	STEP_VERSION = 1,
	RETRY_AFTER_S = 5,
};

/* How far back to look for versions that were seen, when the canary never was. */
static const int64_t GATE_UNHEARD_US = 3600 * INT64_C(1000000);

/* A growing array in an arena. */
struct rows {
	void *items;
	size_t count, capacity;
};

struct facts {
	struct text service;
	struct arena *arena;
	struct rows buckets, findings, instances;
	struct text stale[GATE_REASONS], doubt[GATE_REASONS];
	size_t stale_count, doubt_count;
	struct api_view view;
};

static void facts_done(struct facts *facts)
{
	api_view_done(&facts->view);
	arena_free(&facts->arena);
}

/* Room for one more of `size` bytes, or NULL. */
static void *rows_add(struct rows *rows, struct arena *arena, size_t size)
{
	if (rows->count == rows->capacity) {
		size_t capacity = rows->capacity == 0 ? 64 : rows->capacity * 2;
		char *grown = arena_alloc(arena, capacity * size);
		if (grown == NULL)
			return NULL;
		if (rows->count > 0)
			memcpy(grown, rows->items, rows->count * size);
		rows->items = grown;
		rows->capacity = capacity;
	}
	return (char *)rows->items + size * rows->count++;
}

static enum status take_row(struct facts *facts, char kind, struct text value, struct error *err)
{
	struct text kept = arena_copy(facts->arena, value);
	if (kept.data == NULL)
		return error_set(err, ENOMEMORY, "the service has too many canary rows");
	if (kind == 'b') {
		struct bucket *bucket = rows_add(&facts->buckets, facts->arena, sizeof *bucket);
		return bucket == NULL ? ENOMEMORY : bucket_decode(kept, facts->arena, bucket, err);
	}
	if (kind == 'f') {
		struct finding *finding = rows_add(&facts->findings, facts->arena, sizeof *finding);
		return finding == NULL ? ENOMEMORY
				       : finding_decode(kept, facts->arena, finding, err);
	}
	assert(kind == 'i');
	struct instance *instance = rows_add(&facts->instances, facts->arena, sizeof *instance);
	return instance == NULL ? ENOMEMORY : instance_decode(kept, facts->arena, instance, err);
}

/* All registry rows of a kind of the service, from a time on (buckets). */
static enum status take_rows(struct api *api, struct facts *facts, char kind, int64_t from_us,
			     struct error *err)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct bytes prefix cleanup(bytes_done) = {0};
	struct bytes from cleanup(bytes_done) = {0};
	struct text key = {0};
	struct text value = {0};
	registry_key(kind, &facts->service, 1, -1, &prefix);
	registry_key(kind, &facts->service, 1, from_us, &from);
	enum status status = store_scan_new(api->store, FAMILY_REGISTRY, bytes_text(&prefix),
					    bytes_text(&from), &scan, err);
	while (status == OK && store_scan_next(scan, &key, &value))
		status = take_row(facts, kind, value, err);
	if (status == ENOMEMORY)
		return error_set(err, status, "the service has too many canary rows");
	return status == OK ? store_scan_status(scan, err) : status;
}

/* When the canary was first heard of; an hour ago when it never was. */
static int64_t first_heard(const struct facts *facts, const struct gate_query *query)
{
	int64_t first_us = INT64_MAX;
	const struct instance *instances = facts->instances.items;
	for (size_t i = 0; i < facts->instances.count; i++) {
		if (arm_matches(&query->canary, &instances[i].arm) &&
		    instances[i].first_us < first_us)
			first_us = instances[i].first_us;
	}
	if (first_us == INT64_MAX)
		first_us = query->now_us - GATE_UNHEARD_US;
	first_us -= COHORT_BUCKET_US + 2 * GATE_LATENCY_BLOCK_US;
	return first_us < 0 ? 0 : first_us;
}

__attribute__((format(printf, 3, 4))) static void reason(struct facts *facts, bool stale,
							 const char *format, ...)
{
	char buffer[ERROR_TEXT_MAX];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(buffer, sizeof buffer, format, args);
	va_end(args);
	struct text text = arena_copy(facts->arena, text_of(buffer));
	if (text.data == NULL)
		text = TEXT("a reason without memory");
	if (stale && facts->stale_count < GATE_REASONS)
		facts->stale[facts->stale_count++] = text;
	if (!stale && facts->doubt_count < GATE_REASONS)
		facts->doubt[facts->doubt_count++] = text;
}

static void runtime_reasons(struct facts *facts, int64_t now_us)
{
	const struct runtime_status *status = &facts->view.status;
	if (!facts->view.live) {
		reason(facts, true, "no daemon reads: this is the store as it was left");
		return;
	}
	for (size_t i = 0; i < status->partition_count; i++) {
		const struct partition_status *one = &status->partitions[i];
		if (one->lag.stalled)
			reason(facts, true, "partition %.*s/%d is stalled",
			       TEXT_ARG(one->row.topic), (int)one->row.partition);
	}
	if (status->partition_count == 0)
		reason(facts, true, "no partition has been read yet");
	if (status->state == RUNTIME_FAILED)
		reason(facts, true, "the engine has stopped: %s", status->failure.text);
	if (status->disk_full)
		reason(facts, true, "the disk is full: nothing is committed");
	else if (status->state == RUNTIME_RUNNING && status->committed_us <= 0)
		reason(facts, true, "nothing has been committed yet");
	else if (status->state == RUNTIME_RUNNING &&
		 now_us - status->committed_us > API_NO_COMMIT_US)
		reason(facts, true, "nothing was committed for %lld s",
		       (long long)((now_us - status->committed_us) / 1000000));
	if (status->rewound)
		reason(facts, false, "the store had lost its newest epochs and reads them again");
	if (status->undecided > 0)
		reason(facts, false, "%llu times a rule could not be decided (its pattern gave up)",
		       (unsigned long long)status->undecided);
}

static void rule_reasons(struct facts *facts, const struct ruleset *ruleset)
{
	size_t count = 0;
	const struct rule_note *notes = ruleset == NULL ? NULL : ruleset_notes(ruleset, &count);
	for (size_t i = 0; i < count; i++) {
		if (notes[i].kind == NOTE_REFUSED && notes[i].gate_block)
			reason(facts, false,
			       "a rule that blocks deployments was skipped: %s:%u: %.*s",
			       notes[i].at.file == NULL ? "" : notes[i].at.file, notes[i].at.line,
			       TEXT_ARG(notes[i].text));
	}
}

static enum status collect(struct api *api, const struct gate_query *query, struct facts *facts,
			   struct error *err)
{
	facts->service = query->service;
	facts->arena = arena_new(GATE_BYTES_MAX);
	if (facts->arena == NULL)
		return error_set(err, ENOMEMORY, "no memory for the gate");
	enum status status = api_view_open(api, &facts->view, err);
	if (status == OK)
		status = take_rows(api, facts, 'i', -1, err);
	if (status == OK)
		status = take_rows(api, facts, 'f', -1, err);
	if (status == OK)
		status = take_rows(api, facts, 'b', first_heard(facts, query), err);
	if (status != OK)
		return status;
	runtime_reasons(facts, query->now_us);
	struct generation *rules cleanup(generation_drop) = api_rules_hold(api);
	rule_reasons(facts, rules == NULL ? api->ruleset : rules->ruleset);
	return OK;
}

/* One judgement, as JSON in *to. */
static enum status judge(struct api *api, const struct gate_query *query, struct bytes *to,
			 enum verdict *ret_verdict, struct error *err)
{
	struct facts facts cleanup(facts_done) = {0};
	struct gate_result result;
	enum status status = collect(api, query, &facts, err);
	if (status != OK)
		return status;
	struct gate_facts known = {
		.buckets = facts.buckets.items,
		.bucket_count = facts.buckets.count,
		.findings = facts.findings.items,
		.finding_count = facts.findings.count,
		.instances = facts.instances.items,
		.instance_count = facts.instances.count,
		.watermark_us = facts.view.status.watermark_us,
		.stale_reasons = facts.stale,
		.stale_reason_count = facts.stale_count,
		.doubt_reasons = facts.doubt,
		.doubt_reason_count = facts.doubt_count,
	};
	status = gate_judge(query, &known, facts.arena, &result);
	if (status != OK)
		return error_set(err, status, "the gate cannot judge: %s", status_text(status));
	bytes_clear(to);
	gate_json(query, &result, to);
	*ret_verdict = result.verdict;
	return OK;
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
static enum status read_share(const struct api_call *call, double *ret_share, struct error *err)
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

static enum status read_query(const struct api_call *call, struct gate_query *ret_query,
			      struct error *err)
{
	struct gate_query query = {.service = api_parameter(call, "service"),
				   .step_start_us = INT64_MIN,
				   .share = NAN,
				   .now_us = api_now(call->api),
				   .policy = gate_policy_default()};
	struct text canary = api_parameter(call, "canary");
	struct text baseline = api_parameter(call, "baseline");
	struct text step = api_parameter(call, "step");
	struct text deadline = api_parameter(call, "deadline");
	if (query.service.size == 0 || canary.size == 0)
		return error_set(err, EINVALID, "service= and canary= are needed");
	if (query.service.size > GATE_NAME_MAX || canary.size > GATE_NAME_MAX ||
	    baseline.size > GATE_NAME_MAX || step.size > GATE_NAME_MAX)
		return error_set(err, EINVALID,
				 "service, canary, baseline and step have at most %d bytes",
				 GATE_NAME_MAX);
	enum status status = arm_query_parse(canary, &query.canary, err);
	if (status == OK && baseline.size > 0 && !text_equal(baseline, TEXT("auto")))
		status = arm_query_parse(baseline, &query.baseline, err);
	if (status == OK)
		status = api_parameter_time(call, "after", INT64_MIN, &query.after_us, err);
	if (status != OK)
		return status;
	if (deadline.size > 0 && !duration_parse(deadline, &query.policy.deadline_us))
		return error_set(err, EINVALID, "deadline=%.*s is not a duration such as 30m",
				 TEXT_ARG(deadline));
	status = read_share(call, &query.share, err);
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

enum status api_gate(const struct api_call *call, struct api_response *response, struct error *err)
{
	struct gate_query query;
	enum verdict verdict = VERDICT_UNAVAILABLE;
	int64_t wait_us = 0;
	struct text pending = api_parameter(call, "pending");
	bool refuse_pending = text_equal(pending, TEXT("503"));
	if (pending.size > 0 && !refuse_pending && !text_equal(pending, TEXT("200")))
		return error_set(err, EINVALID, "pending is 200 or 503");
	enum status status = read_wait(call, &wait_us, err);
	if (status == OK)
		status = read_query(call, &query, err);
	while (status == OK) {
		status = judge(call->api, &query, &response->body, &verdict, err);
		bool final = verdict != VERDICT_WAIT && verdict != VERDICT_STALE;
		if (status != OK || final || wait_us <= 0 || atomic_load(&call->api->stopping))
			break;
		struct timespec pause = {.tv_nsec = GATE_PAUSE_US * 1000L};
		(void)nanosleep(&pause, NULL);
		wait_us -= GATE_PAUSE_US;
		query.now_us = api_now(call->api);
	}
	if (status != OK)
		return status;
	if (refuse_pending && (verdict == VERDICT_WAIT || verdict == VERDICT_STALE)) {
		response->status = 503;
		response->retry_after_s = RETRY_AFTER_S;
	}
	return OK;
}
