/* A span is a run of numbers that came one after the other with times that do not go back: what a
 * logger writes into one partition is nearly always one span, whatever its length. Spans wait until
 * the watermark has passed their end, are sorted by (time, number) and folded:
 *
 *   number above the highest    what lies between is an open gap
 *   number in an open gap       the gap shrinks or is cut in two
 *   number seen, time not later than the last of this run      it is a replay
 *   number seen, time later than the last                      the counter began again: a new run
 *
 * Because times decide and not arrival, a replayed old record is old, and a restarted one is new.
 */
#include <assert.h>
#include <stdlib.h>

#include "correlate/instance_private.h"

bool sighting_of(const struct event *event, struct sighting *ret_sighting)
{
	static const enum field_id places[] = {FIELD_SERVICE_NODE_NAME, FIELD_K8S_POD_NAME,
					       FIELD_CONTAINER_ID, FIELD_HOST_NAME};
	struct sighting sighting = {.service = event_text(event, FIELD_SERVICE_NAME),
				    .first_us = event->time_us,
				    .last_us = event->time_us,
				    .events = 1};
	const struct value *number = event_get(event, FIELD_EVENT_SEQUENCE);
	if (sighting.service.size == 0)
		return false;
	for (size_t i = 0; i < sizeof places / sizeof *places && sighting.instance.size == 0; i++)
		sighting.instance = event_text(event, places[i]);
	if (sighting.service.size > INSTANCE_NAME_MAX)
		sighting.service.size = INSTANCE_NAME_MAX;
	if (sighting.instance.size > INSTANCE_NAME_MAX)
		sighting.instance.size = INSTANCE_NAME_MAX;
	sighting.counted = number != NULL && number->type == VALUE_INTEGER &&
			   number->integer >= 0 && number->integer < INT64_MAX;
	if (sighting.counted)
		sighting.low = sighting.high = number->integer;
	*ret_sighting = sighting;
	return true;
}

enum status instances_new(unsigned index, unsigned actor_count, struct instances **ret_instances)
{
	assert(index < actor_count);
	struct instances *instances = calloc(1, sizeof *instances);
	if (instances == NULL)
		return ENOMEMORY;
	instances->index = index;
	instances->actor_count = actor_count;
	*ret_instances = instances;
	return OK;
}

static void instance_drop(struct instances *instances, struct tracked *instance)
{
	HASH_DEL(instances->table, instance);
	instances->count--;
	free(instance->spans);
	free(instance->key);
	free(instance);
}

void instances_free(struct instances **instances)
{
	struct tracked *one = NULL;
	struct tracked *next = NULL;
	if (*instances == NULL)
		return;
	HASH_ITER (hh, (*instances)->table, one, next)
		instance_drop(*instances, one);
	seen_ids_free(&(*instances)->ids);
	bytes_done(&(*instances)->copies);
	free(*instances);
	*instances = NULL;
}

/* A silent instance makes room, the one that was seen least recently. */
static bool make_room(struct instances *instances)
{
	struct tracked *oldest = NULL;
	struct tracked *one = NULL;
	struct tracked *next = NULL;
	HASH_ITER (hh, instances->table, one, next)
		if (one->report.silent &&
		    (oldest == NULL || one->report.last_us < oldest->report.last_us))
			oldest = one;
	if (oldest != NULL)
		instance_drop(instances, oldest);
	return oldest != NULL;
}

static enum status instance_new(struct instances *instances, const struct sighting *sighting,
				const struct bytes *key, struct tracked **ret_instance)
{
	struct tracked *instance = calloc(1, sizeof *instance);
	char *copy = malloc(key->size);
	if (instance == NULL || copy == NULL) {
		free(instance);
		free(copy);
		return ENOMEMORY;
	}
	memcpy(copy, key->data, key->size);
	struct cursor names = cursor_of((struct text){copy, key->size});
	instance->report.service = cursor_text(&names);
	instance->report.instance = cursor_text(&names);
	instance->report.first_us = sighting->first_us;
	instance->report.last_us = sighting->last_us;
	instance->virtual_partition = sighting->virtual_partition;
	instance->key = copy;
	instance->key_size = key->size;
	size_t before = HASH_COUNT(instances->table);
	HASH_ADD_KEYPTR(hh, instances->table, instance->key, instance->key_size, instance);
	if (HASH_COUNT(instances->table) == before) {
		free(instance);
		free(copy);
		return ENOMEMORY;
	}
	instances->count++;
	*ret_instance = instance;
	return OK;
}

/* *ret_instance stays NULL when there is no room. */
enum status tracked_of(struct instances *instances, const struct sighting *sighting,
		       struct tracked **ret_instance)
{
	struct bytes key cleanup(bytes_done) = {0};
	struct tracked *found = NULL;
	bytes_put_text(&key, sighting->service);
	bytes_put_text(&key, sighting->instance);
	if (bytes_status(&key) != OK)
		return ENOMEMORY;
	HASH_FIND(hh, instances->table, key.data, key.size, found);
	if (found != NULL) {
		*ret_instance = found;
		return OK;
	}
	if (instances->count >= INSTANCES_MAX && !make_room(instances)) {
		instances->counters.refused++;
		return OK;
	}
	return instance_new(instances, sighting, &key, ret_instance);
}

enum status tracked_span(struct tracked *instance, struct span span)
{
	struct span *last =
		instance->span_count == 0 ? NULL : &instance->spans[instance->span_count - 1];
	if (last != NULL && span.low == last->high + 1 && span.first_us >= last->last_us) {
		last->high = span.high;
		last->last_us = span.last_us;
		return OK;
	}
	if (instance->span_count == instance->span_capacity) {
		size_t capacity = instance->span_capacity == 0 ? 4 : instance->span_capacity * 2;
		struct span *grown = realloc(instance->spans, capacity * sizeof *grown);
		if (grown == NULL)
			return ENOMEMORY;
		instance->spans = grown;
		instance->span_capacity = capacity;
	}
	instance->spans[instance->span_count++] = span;
	return OK;
}

static int span_compare(const void *a, const void *b)
{
	const struct span *left = a;
	const struct span *right = b;
	if (left->first_us != right->first_us)
		return left->first_us < right->first_us ? -1 : 1;
	return (left->low > right->low) - (left->low < right->low);
}

static void news(const struct tracked *instance, enum instance_finding finding, int64_t time_us,
		 const int64_t numbers[static 2], instance_tell *tell, void *context)
{
	const struct instance_news one = {.finding = finding,
					  .report = &instance->report,
					  .time_us = time_us,
					  .low = numbers[0],
					  .high = numbers[1]};
	if (tell != NULL)
		tell(context, &one);
}

static void gap_remove(struct tracked *instance, size_t at)
{
	assert(at < instance->gap_count);
	memmove(&instance->gaps[at], &instance->gaps[at + 1],
		(instance->gap_count - at - 1) * sizeof instance->gaps[0]);
	instance->gap_count--;
}

static void gap_add(struct instances *instances, struct tracked *instance, struct gap gap)
{
	if (instance->gap_count == INSTANCE_GAPS_MAX) {
		gap_remove(instance, 0);
		instances->counters.gaps_forgotten++;
	}
	instance->gaps[instance->gap_count++] = gap;
}

/* Takes the numbers out of the gaps; how many were in one. */
static uint64_t gaps_fill(struct instances *instances, struct tracked *instance, int64_t low,
			  int64_t high)
{
	uint64_t filled = 0;
	for (size_t i = 0; i < instance->gap_count; i++) {
		struct gap gap = instance->gaps[i];
		int64_t from = low > gap.low ? low : gap.low;
		int64_t to = high < gap.high ? high : gap.high;
		if (from > to)
			continue;
		uint64_t size = (uint64_t)(to - from) + 1;
		filled += size;
		if (gap.told)
			instance->report.missing -= size;
		struct gap above = gap;
		above.low = to + 1;
		instance->gaps[i].high = from - 1;
		bool left = from > gap.low;
		if (!left)
			instance->gaps[i].low = to + 1;
		instance->gaps[i].high = left ? from - 1 : gap.high;
		if (left && to < gap.high)
			gap_add(instances, instance, above);
		else if (!left && to == gap.high)
			gap_remove(instance, i--);
	}
	return filled;
}

/* A new run: what was missing of the old one will not come any more. */
static void run_begin(struct tracked *instance, const struct span *span)
{
	instance->gap_count = 0;
	instance->base = span->low;
	instance->highest = span->high;
	instance->run_last_us = span->last_us;
	instance->running = true;
}

static void span_fold(struct instances *instances, struct tracked *instance,
		      const struct span *span, instance_tell *tell, void *context)
{
	if (!instance->running) {
		run_begin(instance, span);
		return;
	}
	if (span->low > instance->highest) {
		if (span->low > instance->highest + 1)
			gap_add(instances, instance,
				(struct gap){instance->highest + 1, span->low - 1, span->first_us,
					     false});
		instance->highest = span->high;
		if (span->last_us > instance->run_last_us)
			instance->run_last_us = span->last_us;
		return;
	}
	int64_t high = span->high < instance->highest ? span->high : instance->highest;
	uint64_t filled = gaps_fill(instances, instance, span->low, high);
	uint64_t seen = (uint64_t)(high - span->low) + 1 - filled;
	if (span->low < instance->base && seen > 0 && span->first_us <= instance->run_last_us) {
		/* Older than what was seen first: it is not known whether it came before. */
		int64_t below = high < instance->base - 1 ? high : instance->base - 1;
		seen -= (uint64_t)(below - span->low) + 1;
		instance->base = span->low;
	}
	if (seen > 0 && span->first_us > instance->run_last_us) {
		instance->report.restarts++;
		instances->counters.restarts++;
		run_begin(instance, span);
		return;
	}
	if (seen > 0) {
		instance->report.replayed += seen;
		instances->counters.replayed += seen;
		const int64_t numbers[] = {span->low, high};
		news(instance, INSTANCE_REPLAY, span->first_us, numbers, tell, context);
	}
	if (span->high > instance->highest)
		instance->highest = span->high;
	if (span->last_us > instance->run_last_us)
		instance->run_last_us = span->last_us;
}

/* Folds spans that end at or before the time. */
static void spans_fold(struct instances *instances, struct tracked *instance, int64_t until_us,
		       instance_tell *tell, void *context)
{
	size_t kept = 0;
	if (instance->span_count == 0)
		return;
	qsort(instance->spans, instance->span_count, sizeof *instance->spans, span_compare);
	for (size_t i = 0; i < instance->span_count; i++) {
		struct span span = instance->spans[i];
		if (span.last_us <= until_us)
			span_fold(instances, instance, &span, tell, context);
		else
			instance->spans[kept++] = span;
	}
	instance->span_count = kept;
}

static void gaps_tell(struct instances *instances, struct tracked *instance, int64_t watermark_us,
		      instance_tell *tell, void *context)
{
	for (size_t i = 0; i < instance->gap_count; i++) {
		struct gap *gap = &instance->gaps[i];
		bool due = watermark_us >= INT64_MAX - INSTANCE_SLACK_US ||
			   gap->time_us + INSTANCE_SLACK_US <= watermark_us;
		if (gap->told || !due)
			continue;
		gap->told = true;
		instance->report.gaps++;
		instance->report.missing += (uint64_t)(gap->high - gap->low) + 1;
		instances->counters.missing += (uint64_t)(gap->high - gap->low) + 1;
		const int64_t numbers[] = {gap->low, gap->high};
		news(instance, INSTANCE_GAP, gap->time_us, numbers, tell, context);
	}
}

enum status instances_see(struct instances *instances, const struct sighting *sighting)
{
	struct tracked *instance = NULL;
	if (sighting->is_id)
		return seen_ids_see(instances, sighting);
	enum status status = tracked_of(instances, sighting, &instance);
	if (status != OK || instance == NULL)
		return status;
	struct instance_report *report = &instance->report;
	int64_t pause_us = sighting->first_us - report->last_us;
	report->events += sighting->events;
	if (pause_us > report->pause_us)
		report->pause_us = pause_us;
	if (sighting->pause_us > report->pause_us)
		report->pause_us = sighting->pause_us;
	if (sighting->last_us > report->last_us)
		report->last_us = sighting->last_us;
	if (sighting->first_us < report->first_us)
		report->first_us = sighting->first_us;
	report->silent = false;
	if (!sighting->counted)
		return OK;
	report->counted += sighting->events;
	if (instance->span_count == INSTANCE_SPANS_MAX) {
		instances->counters.folded_early++;
		spans_fold(instances, instance, INT64_MAX, NULL, NULL);
	}
	return tracked_span(instance, (struct span){sighting->low, sighting->high,
						    sighting->first_us, sighting->last_us});
}

static bool falls_silent(const struct instance_report *report, int64_t watermark_us,
			 int64_t silent_us)
{
	if (report->silent || silent_us <= 0 || report->events < INSTANCE_USUAL_MIN)
		return false;
	int64_t bound_us = report->pause_us > INT64_MAX / 4 ? INT64_MAX / 2 : 2 * report->pause_us;
	if (bound_us < silent_us)
		bound_us = silent_us;
	return watermark_us > report->last_us && watermark_us - report->last_us > bound_us;
}

static bool service_is_silent(const struct instances *instances, struct text service)
{
	for (const struct tracked *one = instances->table; one != NULL; one = one->hh.next)
		if (!one->report.silent && text_equal(one->report.service, service))
			return false;
	return true;
}

/* At the end of the input time stands where the newest event is: whether an epoch happened to close
 * before it must not matter. */
static int64_t newest_us(const struct instances *instances)
{
	int64_t newest = INT64_MIN;
	for (const struct tracked *one = instances->table; one != NULL; one = one->hh.next)
		if (one->report.last_us > newest)
			newest = one->report.last_us;
	return newest;
}

static void tell_silence(struct instances *instances, int64_t watermark_us, int64_t silent_us,
			 instance_tell *tell, void *context)
{
	for (struct tracked *one = instances->table; one != NULL; one = one->hh.next) {
		if (!falls_silent(&one->report, watermark_us, silent_us))
			continue;
		one->report.silent = true;
		instances->counters.silences++;
		const struct instance_news silent = {
			.finding = INSTANCE_SILENT,
			.report = &one->report,
			.time_us = one->report.last_us,
			.whole_service = service_is_silent(instances, one->report.service)};
		if (tell != NULL)
			tell(context, &silent);
	}
}

enum status instances_close(struct instances *instances, int64_t watermark_us, int64_t silent_us,
			    instance_tell *tell, void *context)
{
	for (struct tracked *one = instances->table; one != NULL; one = one->hh.next) {
		spans_fold(instances, one, watermark_us, tell, context);
		gaps_tell(instances, one, watermark_us, tell, context);
	}
	int64_t now_us = watermark_us == INT64_MAX ? newest_us(instances) : watermark_us;
	tell_silence(instances, now_us, silent_us, tell, context);
	seen_ids_close(instances, now_us, tell, context);
	return OK;
}

size_t instances_count(const struct instances *instances)
{
	return instances->count;
}

void instances_each(const struct instances *instances,
		    void (*visit)(void *context, const struct instance_report *report),
		    void *context)
{
	for (const struct tracked *one = instances->table; one != NULL; one = one->hh.next)
		visit(context, &one->report);
}

struct instances_counters instances_counters(const struct instances *instances)
{
	return instances->counters;
}
