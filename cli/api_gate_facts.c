/* What the store and the runtime know about a canary at this moment: findings and instances of its
 * service, the committed watermark, and every reason of the runtime that forbids a PASS: silence is
 * never a pass. Its buckets are read by its session (gate_session.h). */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "cli/api_gate_private.h"
#include "cli/rule_shadow.h"
#include "rules/ruleset.h"

enum { GATE_BYTES_MAX = 256 * 1024 * 1024 };

/* How far back to look for versions that were seen, when the canary never was. */
static const int64_t GATE_UNHEARD_US = 3600 * INT64_C(1000000);

void facts_done(struct facts *facts)
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

/* The instance's name is in the key only. */
static enum status take_gap(struct facts *facts, struct text key, struct text value,
			    struct error *err)
{
	char kind = 0;
	struct text names[2] = {0};
	int64_t time_us = 0;
	struct missing_row row = {0};
	enum status status = registry_key_decode(key, &kind, names, 2, &time_us, err);
	if (status == OK)
		status = missing_decode(key, value, &row, err);
	if (status != OK)
		return status;
	struct gate_gap *gap = rows_add(&facts->gaps, facts->arena, sizeof *gap);
	struct text instance = arena_copy(facts->arena, names[1]);
	if (gap == NULL || instance.data == NULL)
		return ENOMEMORY;
	*gap = (struct gate_gap){instance, row.missing, row.counted, row.last_us};
	return OK;
}

static enum status take_row(struct facts *facts, char kind, struct text key, struct text value,
			    struct error *err)
{
	if (kind == 'm')
		return take_gap(facts, key, value, err);
	struct text kept = arena_copy(facts->arena, value);
	if (kept.data == NULL)
		return error_set(err, ENOMEMORY, "the service has too many canary rows");
	if (kind == 'f') {
		struct finding *finding = rows_add(&facts->findings, facts->arena, sizeof *finding);
		return finding == NULL ? ENOMEMORY
				       : finding_decode(kept, facts->arena, finding, err);
	}
	if (kind == 't') {
		struct trait trait;
		enum status status = trait_decode(kept, &trait, err);
		if (status != OK) /* of another build: its signals are not ours */
			return status == ENOTFOUND ? OK : status;
		struct trait *into = rows_add(&facts->traits, facts->arena, sizeof *into);
		if (into != NULL)
			*into = trait;
		return into == NULL ? ENOMEMORY : OK;
	}
	assert(kind == 'i');
	struct instance *instance = rows_add(&facts->instances, facts->arena, sizeof *instance);
	return instance == NULL ? ENOMEMORY : instance_decode(kept, facts->arena, instance, err);
}

/* All registry rows of a kind of the service. */
static enum status take_rows(struct api *api, struct facts *facts, char kind, struct error *err)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct bytes prefix cleanup(bytes_done) = {0};
	struct text key = {0};
	struct text value = {0};
	registry_key(kind, &facts->service, 1, -1, &prefix);
	enum status status = store_scan_new(api->store, FAMILY_REGISTRY, bytes_text(&prefix),
					    bytes_text(&prefix), &scan, err);
	while (status == OK && store_scan_next(scan, &key, &value))
		status = take_row(facts, kind, key, value, err);
	if (status == ENOMEMORY)
		return error_set(err, status, "the service has too many canary rows");
	return status == OK ? store_scan_status(scan, err) : status;
}

/* The canaries of the service whose FAIL nobody has overridden. */
static enum status take_failed(struct api *api, struct facts *facts, struct error *err)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct bytes prefix cleanup(bytes_done) = {0};
	struct bytes keep cleanup(bytes_done) = {0};
	struct text key = {0};
	struct text value = {0};
	registry_key('v', &facts->service, 1, -1, &prefix);
	enum status status = store_scan_new(api->store, FAMILY_REGISTRY, bytes_text(&prefix),
					    bytes_text(&prefix), &scan, err);
	while (status == OK && store_scan_next(scan, &key, &value)) {
		struct gate_query query = {.service = facts->service};
		struct gate_latch latch;
		struct text names[2];
		char kind = 0;
		int64_t time_us = 0;
		status = registry_key_decode(key, &kind, names, 2, &time_us, err);
		if (status == OK)
			status = arm_query_parse(names[1], &query.canary, err);
		if (status == OK)
			status = gate_latch_read(api, &query, &keep, &latch, err);
		if (status != OK || latch.failed_us == INT64_MIN)
			continue;
		struct arm_query *failed = rows_add(&facts->failed, facts->arena, sizeof *failed);
		query.canary.value = arena_copy(facts->arena, query.canary.value);
		if (failed == NULL || query.canary.value.data == NULL)
			return error_set(err, ENOMEMORY, "no memory for the gate");
		*failed = query.canary;
	}
	return status == OK ? store_scan_status(scan, err) : status;
}

/* INT64_MAX: never. */
static int64_t canary_began(const struct facts *facts, const struct gate_query *query)
{
	int64_t first_us = INT64_MAX;
	const struct instance *instances = facts->instances.items;
	for (size_t i = 0; i < facts->instances.count; i++) {
		if (arm_matches(&query->canary, &instances[i].arm) &&
		    instances[i].first_us < first_us)
			first_us = instances[i].first_us;
	}
	return first_us;
}

int64_t facts_first_heard(const struct facts *facts, const struct gate_query *query)
{
	int64_t first_us = canary_began(facts, query);
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

/* Logs that were not read on where they had been left, since the canary began or was pardoned: what
 * is missing may be just its failures. Which of its records went where is not known, so every log
 * counts. Of several jumps of a log the last is known. */
static void jump_reason(struct facts *facts, const struct gate_query *query, int64_t until_us)
{
	const struct runtime_status *status = &facts->view.status;
	const struct partition_status *last = NULL;
	size_t count = 0;
	int64_t from_us = canary_began(facts, query);
	from_us = query->pardon_us > from_us ? query->pardon_us : from_us;
	for (size_t i = 0; i < status->partition_count; i++) {
		const struct partition_status *one = &status->partitions[i];
		int64_t jump_us = one->row.jump_us;
		if (jump_us < from_us || jump_us > until_us)
			continue;
		count++;
		if (last == NULL || jump_us > last->row.jump_us)
			last = one;
	}
	if (last == NULL)
		return;
	char buffer[32];
	char others[48] = "";
	struct text time = time_print(last->row.jump_us, buffer);
	if (count > 1)
		(void)snprintf(others, sizeof others, " and %zu more partitions", count - 1);
	reason(facts, false,
	       "%.*s/%d%s could not be read on where picket had been, at %.*s: records of the "
	       "canary may be missing or counted twice; see picket sources list",
	       TEXT_ARG(last->row.topic), (int)last->row.partition, others, TEXT_ARG(time));
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

/* Which of the findings may block by now. */
static enum status take_shadows(struct api *api, struct facts *facts,
				const struct generation *rules, struct error *err)
{
	struct finding *findings = facts->findings.items;
	enum status status = OK;
	for (size_t i = 0; i < facts->findings.count && status == OK; i++)
		status = rule_shadow_ends(api->store, rules, findings[i].rule_key,
					  api->block_after_us, &findings[i].blocks_from_us, err);
	return status;
}

/* The outcomes that are rules; their texts outlive the rule set. */
static enum status take_cohort_rules(struct api *api, struct facts *facts,
				     const struct generation *rules, struct error *err)
{
	const struct ruleset *ruleset = rules == NULL ? api->ruleset : rules->parts.ruleset;
	facts->rules_known = ruleset != NULL;
	if (!facts->rules_known)
		return OK;
	struct cohort_rules found = cohort_rules_of(ruleset);
	enum status status = OK;
	for (size_t i = 0; i < found.count && status == OK; i++) {
		int64_t blocks_from_us = INT64_MAX;
		if (found.items[i]->gate == GATE_BLOCK)
			status = rule_shadow_ends(api->store, rules, found.items[i]->key,
						  api->block_after_us, &blocks_from_us, err);
		if (status != OK)
			return status;
		struct gate_rule rule = gate_rule_of(found.items[i], blocks_from_us);
		rule.key = arena_copy(facts->arena, rule.key);
		rule.name = arena_copy(facts->arena, rule.name);
		rule.title = arena_copy(facts->arena, rule.title);
		if (rule.key.data == NULL || rule.name.data == NULL || rule.title.data == NULL)
			return error_set(err, ENOMEMORY, "no memory for the gate");
		facts->rules[facts->rule_count++] = rule;
	}
	return status;
}

enum status facts_collect(struct api *api, const struct gate_query *query, struct facts *facts,
			  struct error *err)
{
	facts->service = query->service;
	facts->arena = arena_new(GATE_BYTES_MAX);
	if (facts->arena == NULL)
		return error_set(err, ENOMEMORY, "no memory for the gate");
	enum status status = api_view_open(api, &facts->view, err);
	if (status == OK)
		status = take_rows(api, facts, 'i', err);
	if (status == OK)
		status = take_rows(api, facts, 'f', err);
	if (status == OK)
		status = take_rows(api, facts, 'm', err);
	if (status == OK)
		status = take_rows(api, facts, 't', err);
	if (status == OK)
		status = take_failed(api, facts, err);
	if (status != OK)
		return status;
	facts->known = (struct gate_facts){
		.findings = facts->findings.items,
		.finding_count = facts->findings.count,
		.instances = facts->instances.items,
		.instance_count = facts->instances.count,
		.gaps = facts->gaps.items,
		.gap_count = facts->gaps.count,
		.traits = facts->traits.items,
		.trait_count = facts->traits.count,
		.failed = facts->failed.items,
		.failed_count = facts->failed.count,
		.watermark_us = facts->view.status.watermark_us,
		.latched_us = INT64_MIN,
	};
	runtime_reasons(facts, query->now_us);
	jump_reason(facts, query, INT64_MAX);
	struct generation *rules cleanup(generation_drop) = api_rules_hold(api);
	rule_reasons(facts, rules == NULL ? api->ruleset : rules->parts.ruleset);
	if (rules != NULL)
		facts->owner = arena_copy(facts->arena,
					  bindings_owner(rules->parts.bindings, query->service));
	status = take_shadows(api, facts, rules, err);
	if (status == OK)
		status = take_cohort_rules(api, facts, rules, err);
	if (status != OK)
		return status;
	facts->known.stale_reasons = facts->stale;
	facts->known.stale_reason_count = facts->stale_count;
	facts->known.doubt_reasons = facts->doubt;
	facts->known.doubt_reason_count = facts->doubt_count;
	return OK;
}

void facts_as_of(struct facts *facts, const struct gate_query *query, int64_t at_us)
{
	struct gate_facts *known = &facts->known;
	struct instance *instances = facts->instances.items;
	struct finding *findings = facts->findings.items;
	struct gate_gap *gaps = facts->gaps.items;
	known->instance_count = known->finding_count = known->gap_count = 0;
	for (size_t i = 0; i < facts->instances.count; i++) {
		struct instance one = instances[i];
		one.last_us = one.last_us < at_us ? one.last_us : at_us;
		if (one.first_us <= at_us)
			instances[known->instance_count++] = one;
	}
	for (size_t i = 0; i < facts->findings.count; i++)
		if (findings[i].first_us <= at_us)
			findings[known->finding_count++] = findings[i];
	for (size_t i = 0; i < facts->gaps.count; i++)
		if (gaps[i].last_us <= at_us)
			gaps[known->gap_count++] = gaps[i];
	known->watermark_us = at_us;
	facts->doubt_count = 0;
	jump_reason(facts, query, at_us);
	known->stale_reason_count = 0;
	known->doubt_reason_count = facts->doubt_count;
}

void facts_miss_rules(struct facts *facts)
{
	if (facts->rules_known)
		return;
	reason(facts, false,
	       "outcomes that are rules were counted, and no daemon knows the rules: start one on "
	       "this store and ask it");
	facts->known.doubt_reason_count = facts->doubt_count;
}
