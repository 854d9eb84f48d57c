/* Sightings gathered, written down and read again; and the state of instances as bytes.
 *
 *   gathered     sequence of: u8 virtual partition, text service, text instance, u8 counted,
 *                varint events, signed first_us, varint last - first, varint pause_us,
 *                and when counted: varint low, varint high - low; an event's id instead is u8
 * virtual partition, text service, text instance, u8 2, be64 id, signed time checkpoint   sequence
 * of instances by name: a sighting of everything so far (not counted), u8 silent and running,
 * varint counted, missing, gaps, replayed, restarts, signed base, highest, run_last_us; varint
 * spans: low, high - low, first, last - first each; varint gaps: low, high - low, time, u8 told
 * each */
#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "correlate/instance_private.h"

struct slot {
	bool used;
	struct sighting sighting; /* its names point into the slot */
	char names[SIGHTING_KEY_MAX];
};

struct sightings {
	struct hash_key key;
	bool ids;
	struct slot slots[SIGHTINGS_SLOTS];
};

enum { SILENT = 1, RUNNING = 2 };
enum { UNCOUNTED, COUNTED, AN_ID }; /* what a gathered one is */

enum status sightings_new(const struct hash_key *key, bool ids, struct sightings **ret_sightings)
{
	struct sightings *sightings = calloc(1, sizeof *sightings);
	if (sightings == NULL)
		return ENOMEMORY;
	sightings->key = *key;
	sightings->ids = ids;
	*ret_sightings = sightings;
	return OK;
}

void sightings_free(struct sightings **sightings)
{
	free(*sightings);
	*sightings = NULL;
}

bool sighting_join(struct sighting *to, const struct sighting *next)
{
	bool follows = to->counted == next->counted && text_equal(to->instance, next->instance) &&
		       text_equal(to->service, next->service) && next->first_us >= to->last_us &&
		       (!to->counted || next->low == to->high + 1);
	if (!follows)
		return false;
	int64_t pause_us = next->first_us - to->last_us;
	if (pause_us > to->pause_us)
		to->pause_us = pause_us;
	if (next->pause_us > to->pause_us)
		to->pause_us = next->pause_us;
	to->high = next->high;
	to->last_us = next->last_us;
	to->events += next->events;
	return true;
}

void sighting_encode(const struct sighting *sighting, struct bytes *to)
{
	assert(sighting->last_us >= sighting->first_us && sighting->high >= sighting->low);
	bytes_put_u8(to, sighting->virtual_partition);
	bytes_put_text(to, sighting->service);
	bytes_put_text(to, sighting->instance);
	bytes_put_u8(to, sighting->is_id ? AN_ID : sighting->counted ? COUNTED : UNCOUNTED);
	if (sighting->is_id) {
		bytes_put_be64(to, sighting->id);
		bytes_put_signed(to, sighting->first_us);
		return;
	}
	bytes_put_varint(to, sighting->events);
	bytes_put_signed(to, sighting->first_us);
	bytes_put_varint(to, (uint64_t)sighting->last_us - (uint64_t)sighting->first_us);
	bytes_put_varint(to, (uint64_t)sighting->pause_us);
	if (!sighting->counted)
		return;
	bytes_put_varint(to, (uint64_t)sighting->low);
	bytes_put_varint(to, (uint64_t)(sighting->high - sighting->low));
}

/* low + size without overflow, else failed. */
static int64_t above(struct cursor *from, int64_t low, uint64_t size)
{
	if (size > INT64_MAX || low > INT64_MAX - (int64_t)size) {
		from->failed = true;
		return low;
	}
	return low + (int64_t)size;
}

static struct sighting sighting_decode(struct cursor *from)
{
	struct sighting sighting = {.virtual_partition = cursor_u8(from)};
	sighting.service = cursor_text(from);
	sighting.instance = cursor_text(from);
	uint8_t kind = cursor_u8(from);
	sighting.is_id = kind == AN_ID;
	sighting.counted = kind == COUNTED;
	sighting.id = sighting.is_id ? cursor_be64(from) : 0;
	sighting.events = sighting.is_id ? 1 : cursor_varint(from);
	sighting.first_us = cursor_signed(from);
	if (!sighting.is_id) {
		sighting.last_us = above(from, sighting.first_us, cursor_varint(from));
		sighting.pause_us = above(from, 0, cursor_varint(from));
	}
	if (sighting.counted) {
		sighting.low = above(from, 0, cursor_varint(from));
		sighting.high = above(from, sighting.low, cursor_varint(from));
	}
	from->failed = from->failed || kind > AN_ID || sighting.service.size > INSTANCE_NAME_MAX ||
		       sighting.instance.size > INSTANCE_NAME_MAX || sighting.service.size == 0 ||
		       sighting.events == 0 || sighting.high == INT64_MAX;
	return sighting;
}

static enum status emit(const struct sighting *sighting, const struct record_sink *sink)
{
	struct bytes *to = &sink->by_actor[sighting->virtual_partition % sink->actor_count];
	sighting_encode(sighting, to);
	return bytes_status(to);
}

/* Hashes of ids are of one instance: another's equal id is another event. */
static enum status emit_id(const struct sightings *sightings, const struct sighting *sighting,
			   struct text id, const struct record_sink *sink)
{
	struct bytes whole cleanup(bytes_done) = {0};
	struct sighting named = *sighting;
	bytes_put_text(&whole, sighting->service);
	bytes_put_text(&whole, sighting->instance);
	bytes_put_text(&whole, id);
	if (whole.failed)
		return ENOMEMORY;
	named.is_id = true;
	named.id = record_value_hash(&sightings->key, bytes_text(&whole));
	named.virtual_partition =
		virtual_partition_of(&sightings->key, TEXT(""), sighting->service);
	return emit(&named, sink);
}

enum status sightings_see(struct sightings *sightings, const struct event *event,
			  const struct record_sink *sink)
{
	struct sighting sighting;
	if (!sighting_of(event, &sighting))
		return OK;
	struct text id = sightings->ids ? event_text(event, FIELD_EVENT_ID) : (struct text){0};
	if (id.size > 0 && emit_id(sightings, &sighting, id, sink) != OK)
		return ENOMEMORY;
	XXH64_hash_t hash = XXH3_64bits(sighting.service.data, sighting.service.size);
	hash = XXH3_64bits_withSeed(sighting.instance.data, sighting.instance.size, hash);
	struct slot *slot = &sightings->slots[hash % SIGHTINGS_SLOTS];
	if (slot->used && sighting_join(&slot->sighting, &sighting))
		return OK;
	enum status status = slot->used ? emit(&slot->sighting, sink) : OK;
	sighting.virtual_partition =
		virtual_partition_of(&sightings->key, TEXT(""), sighting.service);
	memcpy(slot->names, sighting.service.data, sighting.service.size);
	if (sighting.instance.size > 0)
		memcpy(slot->names + sighting.service.size, sighting.instance.data,
		       sighting.instance.size);
	slot->sighting = sighting;
	slot->sighting.service.data = slot->names;
	slot->sighting.instance.data = slot->names + sighting.service.size;
	slot->used = true;
	return status;
}

enum status sightings_flush(struct sightings *sightings, const struct record_sink *sink)
{
	enum status status = OK;
	for (size_t i = 0; i < SIGHTINGS_SLOTS; i++) {
		if (sightings->slots[i].used && status == OK)
			status = emit(&sightings->slots[i].sighting, sink);
		sightings->slots[i].used = false;
	}
	return status;
}

enum status instances_feed(struct instances *instances, struct text gathered, struct error *err)
{
	struct cursor from = cursor_of(gathered);
	enum status status = OK;
	while (status == OK && cursor_left(&from) > 0) {
		struct sighting sighting = sighting_decode(&from);
		if (from.failed)
			return error_set(err, ECORRUPT, "sightings of instances are damaged");
		if (sighting.virtual_partition % instances->actor_count == instances->index)
			status = instances_see(instances, &sighting);
	}
	return status;
}

static int by_name(const struct tracked *a, const struct tracked *b)
{
	return text_compare((struct text){a->key, a->key_size}, (struct text){b->key, b->key_size});
}

static void tracked_encode(const struct tracked *tracked, struct bytes *to)
{
	const struct instance_report *report = &tracked->report;
	const struct sighting all = {.virtual_partition = tracked->virtual_partition,
				     .service = report->service,
				     .instance = report->instance,
				     .first_us = report->first_us,
				     .last_us = report->last_us,
				     .pause_us = report->pause_us,
				     .events = report->events};
	sighting_encode(&all, to);
	bytes_put_u8(to,
		     (uint8_t)((report->silent ? SILENT : 0) | (tracked->running ? RUNNING : 0)));
	const uint64_t counts[] = {report->counted, report->missing, report->gaps, report->replayed,
				   report->restarts};
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
		bytes_put_varint(to, counts[i]);
	bytes_put_signed(to, tracked->base);
	bytes_put_signed(to, tracked->highest);
	bytes_put_signed(to, tracked->run_last_us);
	bytes_put_varint(to, tracked->span_count);
	for (size_t i = 0; i < tracked->span_count; i++) {
		const struct span *span = &tracked->spans[i];
		bytes_put_signed(to, span->low);
		bytes_put_varint(to, (uint64_t)(span->high - span->low));
		bytes_put_signed(to, span->first_us);
		bytes_put_varint(to, (uint64_t)span->last_us - (uint64_t)span->first_us);
	}
	bytes_put_varint(to, tracked->gap_count);
	for (size_t i = 0; i < tracked->gap_count; i++) {
		const struct gap *gap = &tracked->gaps[i];
		bytes_put_signed(to, gap->low);
		bytes_put_varint(to, (uint64_t)(gap->high - gap->low));
		bytes_put_signed(to, gap->time_us);
		bytes_put_u8(to, gap->told);
	}
}

/* In the order of names, so that the same state is the same bytes. */
enum status instances_checkpoint(const struct instances *instances, uint8_t virtual_partition,
				 struct bytes *to)
{
	const struct tracked **found = calloc(instances->count + 1, sizeof *found);
	size_t count = 0;
	if (found == NULL)
		return ENOMEMORY;
	for (const struct tracked *one = instances->table; one != NULL; one = one->hh.next) {
		if (one->virtual_partition != virtual_partition)
			continue;
		size_t at = count++;
		for (; at > 0 && by_name(found[at - 1], one) > 0; at--)
			found[at] = found[at - 1];
		found[at] = one;
	}
	for (size_t i = 0; i < count; i++)
		tracked_encode(found[i], to);
	free(found);
	return bytes_status(to);
}

static void spans_decode(struct cursor *from, struct tracked *tracked, enum status *status)
{
	uint64_t count = cursor_varint(from);
	from->failed = from->failed || count > INSTANCE_SPANS_MAX;
	for (uint64_t i = 0; !from->failed && *status == OK && i < count; i++) {
		struct span span = {.low = cursor_signed(from)};
		span.high = above(from, span.low, cursor_varint(from));
		span.first_us = cursor_signed(from);
		span.last_us = above(from, span.first_us, cursor_varint(from));
		if (!from->failed)
			*status = tracked_span(tracked, span);
	}
}

static void gaps_decode(struct cursor *from, struct tracked *tracked)
{
	uint64_t count = cursor_varint(from);
	from->failed = from->failed || count > INSTANCE_GAPS_MAX;
	for (uint64_t i = 0; !from->failed && i < count; i++) {
		struct gap gap = {.low = cursor_signed(from)};
		gap.high = above(from, gap.low, cursor_varint(from));
		gap.time_us = cursor_signed(from);
		gap.told = cursor_u8(from) != 0;
		tracked->gaps[tracked->gap_count++] = gap;
	}
}

enum status instances_restore(struct instances *instances, struct text checkpoint,
			      struct error *err)
{
	struct cursor from = cursor_of(checkpoint);
	enum status status = OK;
	while (status == OK && cursor_left(&from) > 0) {
		struct tracked *tracked = NULL;
		struct sighting all = sighting_decode(&from);
		if (!from.failed && !all.is_id)
			status = instances_see(instances, &all);
		if (!from.failed && !all.is_id && status == OK)
			status = tracked_of(instances, &all, &tracked);
		if (from.failed || all.is_id || tracked == NULL ||
		    tracked->span_count + tracked->gap_count > 0)
			return status != OK ? status
					    : error_set(err, ECORRUPT,
							"the state of instances is damaged");
		struct instance_report *report = &tracked->report;
		uint8_t flags = cursor_u8(&from);
		report->silent = (flags & SILENT) != 0;
		tracked->running = (flags & RUNNING) != 0;
		uint64_t *const counts[] = {&report->counted, &report->missing, &report->gaps,
					    &report->replayed, &report->restarts};
		for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
			*counts[i] = cursor_varint(&from);
		tracked->base = cursor_signed(&from);
		tracked->highest = cursor_signed(&from);
		tracked->run_last_us = cursor_signed(&from);
		spans_decode(&from, tracked, &status);
		gaps_decode(&from, tracked);
		if (status == OK && from.failed)
			return error_set(err, ECORRUPT, "the state of instances is damaged");
	}
	return status;
}
