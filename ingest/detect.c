#include "ingest/detect.h"

#include <assert.h>
#include <stdlib.h>

#include "correlate/cohort_rule.h"
#include "ingest/journal.h"

enum {
	ARENA_BYTES_MAX = 512 * 1024 * 1024, /* of one message: a 16 MiB array of tiny objects */
	MATCHED_MAX = 256, /* rules of one event that the gate hears of, those that block first */
};

struct detect {
	struct detect_options options;
	struct decoder *decoder;
	struct enricher *enricher;
	struct matcher *matcher;
	struct cohort_counter *cohorts;
	struct cohort_rules cohort_rules;
	struct sightings *sightings; /* NULL: instances are not tracked */
	struct arena *arena;
	struct bytes key, value; /* scratch for rows */
	struct detect_counters counters;
	struct hearing hearing;
};

enum status detect_new(const struct detect_options *options, struct detect **ret_detect,
		       struct error *err)
{
	assert(options->actor_count > 0 && options->lateness_us >= 0);
	struct detect *detect cleanup(detect_free) = calloc(1, sizeof *detect);
	if (detect == NULL)
		return ENOMEMORY;
	detect->options = *options;
	detect->arena = arena_new(ARENA_BYTES_MAX);
	if (detect->arena == NULL)
		return ENOMEMORY;
	enum status status = decoder_new(&options->decoder, &detect->decoder, err);
	if (status == OK)
		status = enricher_new(&options->enrich, &detect->enricher, err);
	if (status == OK)
		status = matcher_new(options->ruleset, &detect->matcher, err);
	if (status == OK && options->keep_events)
		status = cohort_counter_new(plan_hash_key(options->plan), &detect->cohorts, err);
	detect->cohort_rules = cohort_rules_of(options->ruleset);
	if (status == OK && options->track_instances)
		status = sightings_new(plan_hash_key(options->plan), options->track_ids,
				       &detect->sightings);
	if (status == OK)
		*ret_detect = TAKE(detect);
	return status;
}

static uint64_t excluded_by_all(const struct detect *detect)
{
	const struct ruleset *ruleset = detect->options.ruleset;
	uint64_t sum = 0;
	for (size_t i = 0; i < ruleset_filter_count(ruleset); i++)
		sum += matcher_excluded(detect->matcher, ruleset_filter(ruleset, i));
	return sum;
}

enum status detect_switch(struct detect *detect, const struct generation_parts *parts,
			  const struct plan *plan, struct error *err)
{
	struct matcher *matcher cleanup(matcher_free) = NULL;
	enum status status = matcher_new(parts->ruleset, &matcher, err);
	if (status == OK)
		status = enricher_switch(detect->enricher, parts->bindings, parts->privacy, err);
	if (status != OK)
		return status;
	detect->counters.excluded += excluded_by_all(detect);
	matcher_free(&detect->matcher);
	detect->matcher = TAKE(matcher);
	detect->options.ruleset = parts->ruleset;
	detect->cohort_rules = cohort_rules_of(parts->ruleset);
	detect->options.plan = plan;
	return OK;
}

void detect_free(struct detect **detect)
{
	if (*detect == NULL)
		return;
	decoder_free(&(*detect)->decoder);
	enricher_free(&(*detect)->enricher);
	matcher_free(&(*detect)->matcher);
	cohort_counter_free(&(*detect)->cohorts);
	sightings_free(&(*detect)->sightings);
	arena_free(&(*detect)->arena);
	bytes_done(&(*detect)->key);
	bytes_done(&(*detect)->value);
	free(*detect);
	*detect = NULL;
}

static enum status put_quarantine(struct detect *detect, const struct message *message,
				  const struct origin *origin, const struct decoded *record,
				  struct detected *to)
{
	struct text raw = enricher_raw(detect->enricher, detect->arena, record->raw);
	struct text message_key = enricher_raw(detect->enricher, detect->arena, message->key);
	if ((raw.data == NULL && raw.size > 0) ||
	    (message_key.data == NULL && message->key.size > 0))
		return ENOMEMORY;
	struct quarantine_row row = {
		.origin = *origin,
		.record_time_us = message->record_time_us,
		.reason = text_of(reject_name(record->why)),
		.detail = record->detail.size > 0 ? record->detail
						  : text_of(reject_text(record->why)),
		.key = message_key,
		.raw = raw,
	};
	bytes_clear(&detect->key);
	bytes_clear(&detect->value);
	quarantine_key(origin, &detect->key);
	quarantine_encode(&row, &detect->value);
	rows_put(&to->rows, FAMILY_QUARANTINE, bytes_text(&detect->key),
		 bytes_text(&detect->value));
	return detect->key.failed || detect->value.failed ? ENOMEMORY : bytes_status(&to->rows);
}

/* The stream's open block goes into the rows. */
static enum status put_block(struct stream *stream, struct detected *to, struct error *err)
{
	assert(block_event_count(stream->block) > 0);
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes block cleanup(bytes_done) = {0};
	struct bytes encoded_meta cleanup(bytes_done) = {0};
	struct block_meta meta = {0};
	enum status status = block_finish(stream->block, &block, &meta, err);
	if (status != OK)
		return status;
	block_key(bytes_text(&stream->name), stream->at.partition, meta.first_offset,
		  meta.first_index, &key);
	block_meta_encode(&meta, &encoded_meta);
	rows_put(&to->rows, FAMILY_EPOCH, bytes_text(&key), bytes_text(&block));
	rows_put(&to->rows, FAMILY_BLOCKMETA, bytes_text(&key), bytes_text(&encoded_meta));
	return key.failed || encoded_meta.failed ? ENOMEMORY : bytes_status(&to->rows);
}

static enum status keep_event(struct stream *stream, const struct event *event, struct detected *to,
			      struct error *err)
{
	if (stream->block == NULL)
		stream->block = block_builder_new();
	if (stream->block == NULL)
		return ENOMEMORY;
	enum status status = block_add(stream->block, event);
	if (status != ELIMIT)
		return status;
	status = put_block(stream, to, err);
	return status == OK ? block_add(stream->block, event) : status;
}

/* A record is late when it lies below its own partition's watermark; only then does it move the
 * watermark on (docs/CORRELATION.md). */
static uint8_t record_flags(const struct detect *detect, struct stream *stream,
			    const struct event *event)
{
	uint8_t flags = 0;
	if (event->time_us < stream->at.watermark_us) {
		flags |= RECORD_LATE;
		stream->at.late++;
	}
	if (event->origin.offset < stream->at.backfill_until)
		flags |= RECORD_BACKFILL;
	int64_t progress = event->time_us;
	if (!detect->options.decoder.time_trusted && event->record_time_us < progress)
		progress = event->record_time_us;
	if (progress > INT64_MIN + detect->options.lateness_us &&
	    progress - detect->options.lateness_us > stream->at.watermark_us)
		stream->at.watermark_us = progress - detect->options.lateness_us;
	return flags;
}

/* The rules that matched and mean something to the gate. */
static size_t rules_for_gate(const struct detect *detect, const struct matches *matches,
			     const struct rule *matched[static MATCHED_MAX])
{
	static const enum rule_gate GATES[] = {GATE_BLOCK, GATE_WARN};
	size_t count = 0;
	for (size_t k = 0; k < sizeof GATES / sizeof *GATES; k++)
		for (size_t i = 0; i < matches->count && count < MATCHED_MAX; i++) {
			const struct rule *rule =
				ruleset_rule(detect->options.ruleset, matches->rules[i]);
			if (rule->gate == GATES[k])
				matched[count++] = rule;
		}
	return count;
}

/* What the stateful stage must know of an event. */
static enum status hand_over(struct detect *detect, struct stream *stream,
			     const struct event *event, const struct matches *matches,
			     struct detected *to)
{
	uint8_t flags = record_flags(detect, stream, event);
	struct record_sink records = {to->records, to->actor_count};
	enum status status = plan_route(detect->options.plan, event, matches->rules, matches->count,
					flags, &records, &detect->counters.routes);
	if (status == OK)
		status = plan_hear(detect->options.plan, event, flags, &detect->hearing, &records);
	if (status != OK || detect->cohorts == NULL)
		return status;
	const struct rule *matched[MATCHED_MAX];
	size_t matched_count = rules_for_gate(detect, matches, matched);
	status = cohort_count(detect->cohorts, event, matched, matched_count);
	struct cohort_trial trials[COHORT_RULES_MAX];
	size_t trial_count =
		cohort_trials(&detect->cohort_rules, matches->rules, matches->count, trials);
	return status == OK ? cohort_count_trials(detect->cohorts, event, trials, trial_count)
			    : status;
}

/* The detections go with the event, behind all that the log said: a search for one of them finds
 * its events, and passes over blocks that have none. What is too much is flagged. */
static enum status note_rules(struct detect *detect, const struct matches *matches,
			      struct event *event)
{
	enum status status = OK;
	size_t count = matches->count < EVENT_RULES_MAX ? matches->count : EVENT_RULES_MAX;
	for (size_t i = 0; status == OK && i < count; i++) {
		const struct rule *rule = ruleset_rule(detect->options.ruleset, matches->rules[i]);
		status = event_add_known(event, detect->arena, FIELD_RULE_ID,
					 (struct value){.type = VALUE_STRING, .text = rule->key});
	}
	assert(status != ELIMIT); /* there is room kept for them */
	if (count < matches->count)
		event->quality |= QUALITY_RULES;
	return status;
}

/* Added after the rules had seen the event? */
static bool is_afterthought(enum field_id id)
{
	return id == FIELD_RULE_ID || id == FIELD_SRC_RAW || id == FIELD_SRC_RAW_MISSING;
}

/* An event of the store as the rules saw it. */
static struct event as_logged(const struct event *event)
{
	struct event logged = *event;
	while (logged.field_count > 0 && is_afterthought(logged.fields[logged.field_count - 1].id))
		logged.field_count--;
	return logged;
}

/* Stops 5 and 6 for one event: which rules match, and what the stateful stage must know of it. */
static enum status detect_event(struct detect *detect, struct stream *stream, struct event *event,
				const struct detect_sink *sink, struct detected *to)
{
	struct matches matches = {0};
	struct event read;
	enum status status = event_as_read(event, detect->arena, &read);
	if (status == OK)
		status = matcher_match(detect->matcher, &read, &matches);
	if (status != OK)
		return status;
	detect->counters.undecided += matches.undecided_count;
	if (!detect->options.only_match)
		status = hand_over(detect, stream, &read, &matches, to);
	const struct record_sink seen = {to->sightings, to->actor_count};
	if (status == OK && detect->sightings != NULL)
		status = sightings_see(detect->sightings, event, &seen);
	if (status == OK && sink != NULL && sink->on_event != NULL)
		sink->on_event(sink->context, event, &matches);
	if (status == OK && detect->options.keep_events && matches.count > 0)
		status = note_rules(detect, &matches, event);
	return status;
}

static enum status detect_record(struct detect *detect, struct stream *stream,
				 const struct message *message, struct decoded *record,
				 const struct detect_sink *sink, struct detected *to,
				 struct error *err)
{
	struct origin origin = {bytes_text(&stream->name), stream->at.partition, record->index,
				message->offset};
	assert(to->actor_count == detect->options.actor_count);
	stream->at.records++;
	if (record->why != ACCEPTED) {
		stream->at.quarantined++;
		if (sink != NULL && sink->on_reject != NULL)
			sink->on_reject(sink->context, &origin, record);
		return detect->options.keep_events
			       ? put_quarantine(detect, message, &origin, record, to)
			       : OK;
	}
	stream->at.stored++;
	stream_formats_count(&stream->formats, record->format);
	to->events++;
	enum status status = enricher_event(detect->enricher, detect->arena, &record->event);
	if (status == OK)
		status = detect_event(detect, stream, &record->event, sink, to);
	if (status == OK && detect->options.keep_events)
		status = enricher_put_raw(detect->enricher, detect->arena, record->raw,
					  record->whole, &record->event);
	if (status == OK && detect->options.keep_events)
		status = keep_event(stream, &record->event, to, err);
	return status;
}

static void message_done(struct stream *stream, const struct message *message, struct detected *to)
{
	stream->at.hole_offsets += (uint64_t)(message->offset - stream->at.next_offset);
	stream->at.next_offset = message->offset + 1;
	stream->at.messages++;
	to->input_bytes += message->payload.size;
	stream->changed = true;
}

enum status detect_message(struct detect *detect, struct stream *stream,
			   const struct message *message, const struct detect_sink *sink,
			   struct detected *to, struct error *err)
{
	assert(message->offset >= stream->at.next_offset);
	struct origin origin = {bytes_text(&stream->name), stream->at.partition, 0,
				message->offset};
	arena_reset(detect->arena);
	enum status status = decoder_begin(detect->decoder, message, &origin, detect->arena);
	enricher_message(detect->enricher, stream->at.topic, message);
	bool more = status == OK;
	while (more) {
		struct decoded record = {0};
		status = decoder_next(detect->decoder, &record, &more);
		if (status == OK && more)
			status = detect_record(detect, stream, message, &record, sink, to, err);
		more = more && status == OK;
	}
	if (status != OK)
		return error_set(err, status, "%.*s/%d/%lld: %s", TEXT_ARG(stream->at.topic),
				 stream->at.partition, (long long)message->offset,
				 status_text(status));
	message_done(stream, message, to);
	return OK;
}

enum status detect_refuse(struct detect *detect, struct stream *stream,
			  const struct message *message, const struct decoded *as,
			  struct detected *to)
{
	assert(as->why != ACCEPTED && detect->options.keep_events);
	struct origin origin = {bytes_text(&stream->name), stream->at.partition, as->index,
				message->offset};
	arena_reset(detect->arena);
	enum status status = put_quarantine(detect, message, &origin, as, to);
	if (status != OK)
		return status;
	stream->at.records++;
	stream->at.quarantined++;
	detect->counters.refused++;
	message_done(stream, message, to);
	return OK;
}

enum status detect_stored(struct detect *detect, struct stream *stream, const struct event *event,
			  const struct detect_sink *sink, struct detected *to, struct error *err)
{
	struct event logged = as_logged(event);
	arena_reset(detect->arena);
	to->events++;
	enum status status = detect_event(detect, stream, &logged, sink, to);
	return status == OK ? OK
			    : error_set(err, status, "%.*s/%d/%lld: %s",
					TEXT_ARG(event->origin.topic), event->origin.partition,
					(long long)event->origin.offset, status_text(status));
}

void detect_tick(const struct detect *detect, struct stream *stream, int64_t offset,
		 int64_t tick_us)
{
	/* Behind the last message there may be offsets that hold none (a transaction's marker). */
	if (offset > stream->at.next_offset) {
		stream->at.hole_offsets += (uint64_t)(offset - stream->at.next_offset);
		stream->at.next_offset = offset;
	}
	int64_t watermark_us = tick_us - detect->options.lateness_us;
	if (tick_us > stream->at.tick_us)
		stream->at.tick_us = tick_us;
	if (watermark_us > stream->at.watermark_us)
		stream->at.watermark_us = watermark_us;
	stream->changed = true;
}

enum status detect_name_stream(struct stream *stream)
{
	bytes_clear(&stream->name);
	log_name(stream->at.topic, stream->at.incarnation, &stream->name);
	stream->log = journal_log(bytes_text(&stream->name), stream->at.partition);
	return bytes_status(&stream->name);
}

enum status detect_begin_anew(struct stream *stream, int64_t offset, struct detected *to,
			      struct error *err)
{
	assert(stream->at.incarnation < UINT32_MAX - 1);
	if (stream->block != NULL && block_event_count(stream->block) > 0) {
		enum status status = put_block(stream, to, err);
		if (status != OK)
			return status;
	}
	stream->at.incarnation++;
	stream->at.next_offset = offset;
	stream->at.backfill_until = 0;
	stream->changed = true;
	return detect_name_stream(stream);
}

enum status detect_flush_stream(struct stream *stream, struct detected *to, struct error *err)
{
	assert(stream->at.records == stream->at.stored + stream->at.quarantined);
	if (stream->block != NULL && block_event_count(stream->block) > 0) {
		enum status status = put_block(stream, to, err);
		if (status != OK)
			return status;
	}
	if (!stream->changed)
		return OK;
	stream->changed = false;
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	position_key(stream->at.topic, stream->at.partition, &key);
	position_encode(&stream->at, &value);
	rows_put(&to->rows, FAMILY_POSITION, bytes_text(&key), bytes_text(&value));
	return key.failed || value.failed ? ENOMEMORY : bytes_status(&to->rows);
}

enum status detect_flush(struct detect *detect, struct detected *to, struct error *err)
{
	struct record_sink sink = {to->aggregates, to->actor_count};
	enum status status = detect->cohorts == NULL ? OK : cohort_flush(detect->cohorts, &sink);
	if (status != OK)
		return error_set(err, status, "cohort counts: %s", status_text(status));
	const struct record_sink seen = {to->sightings, to->actor_count};
	memset(detect->hearing.slots, 0, sizeof detect->hearing.slots);
	if (detect->sightings != NULL && sightings_flush(detect->sightings, &seen) != OK)
		return error_set(err, ENOMEMORY, "sightings of instances: out of memory");
	for (unsigned i = 0; i < to->actor_count; i++)
		if (to->records[i].failed || to->aggregates[i].failed || to->sightings[i].failed)
			return error_set(err, ENOMEMORY,
					 "the epoch's match records: out of memory");
	return OK;
}

struct detect_counters detect_counters(const struct detect *detect)
{
	struct detect_counters counters = detect->counters;
	counters.excluded += excluded_by_all(detect);
	counters.routes.records += detect->hearing.records;
	counters.enrich = enricher_counters(detect->enricher);
	return counters;
}

uint64_t detect_excluded(const struct detect *detect, const struct rule_filter *filter)
{
	return matcher_excluded(detect->matcher, filter);
}

const struct rule_counters *detect_rule_counters(const struct detect *detect, size_t rule_index)
{
	return matcher_counters(detect->matcher, rule_index);
}
