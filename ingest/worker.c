/* The worker: the journey of a record, stops 1 to 6, on one thread.
 *
 *  1 poll       source_poll                    6 keep and route   detect_message -> block_add,
 *  2 decode     decoder_next                                      plan_route, cohort_count
 *  3 normalise  decoder_next                   7 correlate        shard.c
 *  4 enrich     decoder_next (owner, source)   8 alert            actor_close
 *  5 match      matcher_match                  9 batch, 10 commit commit.c
 *
 * worker_step() below is stops 1 to 6; an epoch ends when the committer says so, and then all that
 * the worker made of it leaves in one parcel. A worker whose open epoch is large enough stops
 * polling until it may close it: that is all the back-pressure there is, and Kafka keeps the rest.
 */
#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "ingest/runtime_private.h"

enum {
	POLL_TIMEOUT_MS = 20,
	POLL_MESSAGES_MAX = 1024,
	PAUSE_MS = 1,
	EPOCH_EVENTS_MAX = 65536,
	EPOCH_BYTES_MAX = 32 * 1024 * 1024,  /* of rows and match records */
	EPOCH_INPUT_MAX = 128 * 1024 * 1024, /* of messages: their blocks may still be open */
	STREAMS_MAX = 100000,
};

enum status worker_init(struct worker *worker, struct runtime *runtime, unsigned index,
			struct error *err)
{
	const struct runtime_options *options = &runtime->options;
	assert(index < options->worker_count);
	*worker = (struct worker){.runtime = runtime, .index = index};
	worker->epoch = runtime->committer.row.epoch + 1;
	worker->rules = generation_hold(runtime->gate.current);
	worker->journal = runtime->journal;
	struct detect_options detect = {
		.ruleset = worker->rules->parts.ruleset,
		.plan = worker->rules->plan,
		.decoder = options->decoder,
		.enrich = options->enrich,
		.actor_count = options->actor_count,
		.lateness_us = options->lateness_us,
		.keep_events = true,
		.track_instances = options->track_instances,
		.track_ids = options->replay_window_us > 0,
	};
	enum status status = detect_new(&detect, &worker->detect, err);
	if (status == OK)
		status = detected_init(&worker->detected, options->actor_count);
	if (status != OK)
		return status;
	struct source_position *positions = calloc(runtime->position_count + 1, sizeof *positions);
	if (positions == NULL)
		return ENOMEMORY;
	for (size_t i = 0; i < runtime->position_count; i++)
		positions[i] = (struct source_position){runtime->positions[i].topic,
							runtime->positions[i].partition,
							runtime->positions[i].next_offset};
	struct source_start start = {
		.positions = positions,
		.position_count = runtime->position_count,
		.share = index,
		.share_count = options->worker_count,
		.clock = options->clock,
	};
	status = options->source.make(options->source.context, &start, &worker->source, err);
	free(positions);
	return status;
}

void worker_done(struct worker *worker)
{
	source_free(&worker->source);
	detect_free(&worker->detect);
	generation_drop(&worker->rules);
	rule_watch_done(&worker->watch);
	detected_done(&worker->detected);
	bytes_done(&worker->announcements);
	for (size_t i = 0; i < worker->stream_count; i++) {
		block_builder_free(&worker->streams[i].block);
		bytes_done(&worker->streams[i].name);
		free((char *)worker->streams[i].at.topic.data);
	}
	free(worker->streams);
	*worker = (struct worker){0};
}

static const struct position_row *known_position(const struct runtime *runtime, struct text topic,
						 int32_t partition)
{
	for (size_t i = 0; i < runtime->position_count; i++)
		if (runtime->positions[i].partition == partition &&
		    text_equal(runtime->positions[i].topic, topic))
			return &runtime->positions[i];
	return NULL;
}

static enum status stream_add(struct worker *worker, const struct source_notice *notice,
			      struct error *err)
{
	assert(notice->stream == worker->stream_count);
	if (worker->stream_count == STREAMS_MAX)
		return error_set(err, ELIMIT,
				 "more than %d partitions for one worker; raise workers, or name "
				 "fewer topics",
				 STREAMS_MAX);
	if (worker->stream_count == worker->stream_capacity) {
		size_t capacity = worker->stream_capacity == 0 ? 16 : worker->stream_capacity * 2;
		struct stream *grown = realloc(worker->streams, capacity * sizeof *grown);
		if (grown == NULL)
			return ENOMEMORY;
		worker->streams = grown;
		worker->stream_capacity = capacity;
	}
	char *topic = strndup(notice->topic.data, notice->topic.size);
	if (topic == NULL)
		return ENOMEMORY;
	const struct position_row *known =
		known_position(worker->runtime, notice->topic, notice->partition);
	struct stream *stream = &worker->streams[worker->stream_count++];
	*stream = (struct stream){.lag = {-1, -1, false}};
	if (known != NULL)
		stream->at = *known;
	else
		stream->at = (struct position_row){.partition = notice->partition,
						   .next_offset = notice->offset,
						   .backfill_until = notice->backfill_until,
						   .watermark_us = INT64_MIN,
						   .tick_us = INT64_MIN,
						   .jump_us = INT64_MIN};
	stream->at.topic = (struct text){topic, notice->topic.size};
	stream->changed = known == NULL; /* where we began must survive a crash before any data */
	return detect_name_stream(stream);
}

static void stream_subject(const struct stream *stream, char *buffer, size_t size)
{
	(void)snprintf(buffer, size, "%.*s/%d", TEXT_ARG(stream->at.topic), stream->at.partition);
}

/* The log no longer holds what we wanted: the loss is counted and told, never silent. */
static enum status stream_gap(struct worker *worker, struct stream *stream,
			      const struct source_notice *notice, struct error *err)
{
	enum status status = OK;
	char subject[512];
	char reason[1024];
	stream_subject(stream, subject, sizeof subject);
	if (notice->kind == SOURCE_GAP) {
		(void)snprintf(reason, sizeof reason,
			       "%s: offsets %lld to %lld were deleted by retention before picket "
			       "read them; raise retention.ms or add workers",
			       subject, (long long)notice->offset,
			       (long long)notice->end_offset - 1);
		stream->at.gap_offsets += (uint64_t)(notice->end_offset - notice->offset);
		stream->at.next_offset = notice->end_offset;
	} else {
		(void)snprintf(reason, sizeof reason,
			       "%s: the log ends before offset %lld, where picket stood; it was "
			       "recreated or lost data; reading goes on at %lld",
			       subject, (long long)stream->at.next_offset,
			       (long long)notice->offset);
		status = detect_begin_anew(stream, notice->offset, &worker->detected, err);
	}
	stream->at.jump_us = notice->time_us;
	stream->changed = true;
	health_alert(&(struct health_note){.kind = notice->kind == SOURCE_GAP ? HEALTH_DATA_GAP
									      : HEALTH_LOG_REWOUND,
					   .subject = text_of(subject),
					   .reason = text_of(reason),
					   .epoch = worker->epoch,
					   .time_us = notice->time_us},
		     &worker->detected.rows, &worker->announcements);
	return status;
}

static void stream_stalled(struct worker *worker, struct stream *stream,
			   const struct source_notice *notice)
{
	char subject[512];
	char reason[1024];
	stream->stalled = true;
	stream_subject(stream, subject, sizeof subject);
	(void)snprintf(reason, sizeof reason,
		       "%s: no data and no proof that it was read to its end; windows stay open "
		       "and the gate answers STALE until the broker answers again",
		       subject);
	health_alert(&(struct health_note){.kind = HEALTH_STALLED,
					   .subject = text_of(subject),
					   .reason = text_of(reason),
					   .epoch = worker->epoch,
					   .time_us = notice->time_us},
		     &worker->detected.rows, &worker->announcements);
}

static enum status worker_notice(struct worker *worker, const struct source_notice *notice,
				 struct error *err)
{
	if (notice->kind == SOURCE_STREAM_ADDED)
		return stream_add(worker, notice, err);
	if (notice->kind == SOURCE_READY) {
		worker->ready = true;
		return OK;
	}
	if (notice->kind == SOURCE_PROBLEM) {
		runtime_problem(worker->runtime, notice->text, notice->time_us);
		return OK;
	}
	assert(notice->stream < worker->stream_count);
	struct stream *stream = &worker->streams[notice->stream];
	switch (notice->kind) {
	case SOURCE_TICK:
		detect_tick(worker->detect, stream, notice->offset, notice->time_us);
		break;
	case SOURCE_STALLED:
		stream_stalled(worker, stream, notice);
		break;
	case SOURCE_RESUMED:
		stream->stalled = false;
		break;
	case SOURCE_FINISHED:
		stream->finished = true;
		break;
	default:
		return stream_gap(worker, stream, notice, err);
	}
	return OK;
}

/* The message is believed to kill. What is done to its bytes here (secrets are taken out) may kill,
 * too: then they stay where they are. */
static enum status worker_refuse(struct worker *worker, struct stream *stream,
				 const struct message *message, struct journal_past past)
{
	char subject[512];
	char reason[1024];
	bool bare = past.step == JOURNAL_REFUSE_BARE;
	struct message kept = *message;
	(void)snprintf(subject, sizeof subject, "%.*s/%d/%lld", TEXT_ARG(bytes_text(&stream->name)),
		       stream->at.partition, (long long)message->offset);
	(void)snprintf(
		reason, sizeof reason,
		"%s was in hand %u times when picket died; it is in the quarantine unread%s: "
		"send it with the log of the crash to those who build picket",
		subject, past.deaths,
		bare ? ", without its bytes, which the source still has" : "");
	health_alert(&(struct health_note){.kind = HEALTH_CRASHED,
					   .subject = text_of(subject),
					   .reason = text_of(reason),
					   .epoch = worker->epoch,
					   .time_us = message->record_time_us},
		     &worker->detected.rows, &worker->announcements);
	if (bare)
		kept.key = kept.payload = (struct text){0};
	const struct decoded as = {
		.why = REJECT_CRASHED, .raw = kept.payload, .detail = text_of(reason)};
	return detect_refuse(worker->detect, stream, &kept, &as, &worker->detected);
}

/* Stops 2 to 6 for one message, which the journal knows meanwhile. */
static enum status worker_message(struct worker *worker, struct stream *stream,
				  const struct message *message, struct error *err)
{
	struct detect_sink sink = {.on_event = worker_on_event, .context = worker};
	const struct journal_place place = {stream->log, stream->at.topic, stream->at.partition,
					    message->offset};
	struct journal_past past = {JOURNAL_READ, 0};
	if (worker->journal != NULL)
		past = journal_take(worker->journal, worker->index, &place);
	enum status status = past.step == JOURNAL_READ
				     ? detect_message(worker->detect, stream, message, &sink,
						      &worker->detected, err)
				     : worker_refuse(worker, stream, message, past);
	if (worker->alone)
		worker->single = worker->epoch;
	else if (worker->journal != NULL)
		journal_leave(worker->journal, worker->index);
	return status;
}

/* Stops 1 to 6 for what the source has now: at most so many messages. */
static enum status worker_step(struct worker *worker, size_t message_max, struct error *err)
{
	struct source_batch batch = {0};
	enum status status = worker->source->ops->poll(
		worker->source, worker->alone ? 0 : POLL_TIMEOUT_MS, message_max, &batch, err);
	size_t told = 0; /* notices already taken */
	for (size_t i = 0; status == OK && i <= batch.message_count; i++) {
		while (status == OK && told < batch.notice_count && batch.notice_after[told] <= i)
			status = worker_notice(worker, &batch.notices[told++], err);
		if (status != OK || i == batch.message_count)
			break;
		const struct message *message = &batch.messages[i];
		assert(message->stream < worker->stream_count);
		struct stream *stream = &worker->streams[message->stream];
		worker->history =
			message->offset < stream->at.backfill_until ? (uint32_t)ALERT_BACKFILL : 0;
		if (message->offset >= stream->at.next_offset)
			status = worker_message(worker, stream, message, err);
	}
	return status;
}

/* The smallest watermark of the worker's streams. INT64_MIN until every stream is known. */
static int64_t worker_watermark(const struct worker *worker, bool *ret_finished)
{
	int64_t watermark_us = worker->ready ? INT64_MAX : INT64_MIN;
	bool finished = worker->ready && !worker->source->ops->endless;
	for (size_t i = 0; i < worker->stream_count; i++) {
		const struct stream *stream = &worker->streams[i];
		if (stream->finished)
			continue;
		finished = false;
		if (stream->at.watermark_us < watermark_us)
			watermark_us = stream->at.watermark_us;
	}
	*ret_finished = finished;
	return watermark_us;
}

static enum status parcel_partitions(struct worker *worker, struct parcel *parcel)
{
	parcel->partitions = calloc(worker->stream_count + 1, sizeof *parcel->partitions);
	if (parcel->partitions == NULL)
		return ENOMEMORY;
	for (size_t i = 0; i < worker->stream_count; i++) {
		struct stream *stream = &worker->streams[i];
		stream->lag = worker->source->ops->lag(worker->source, (uint32_t)i);
		stream->lag.stalled = stream->stalled;
		parcel->partitions[parcel->partition_count++] = (struct partition_status){
			stream->at, stream->lag, !stream->finished, stream->formats};
	}
	return OK;
}

void parcel_free(struct parcel **parcel)
{
	if (*parcel == NULL)
		return;
	detected_done(&(*parcel)->detected);
	bytes_done(&(*parcel)->announcements);
	bytes_done(&(*parcel)->rule_news);
	free((*parcel)->partitions);
	free(*parcel);
	*parcel = NULL;
}

/* Everything of the open epoch leaves; the next epoch begins empty. */
static enum status worker_close_epoch(struct worker *worker, const struct epoch_order *order,
				      struct error *err)
{
	struct runtime *runtime = worker->runtime;
	assert(worker->detected.actor_count == runtime->options.actor_count);
	struct parcel *parcel cleanup(parcel_free) = calloc(1, sizeof *parcel);
	if (parcel == NULL)
		return ENOMEMORY;
	enum status status = OK;
	for (size_t i = 0; status == OK && i < worker->stream_count; i++)
		status = detect_flush_stream(&worker->streams[i], &worker->detected, err);
	if (status == OK)
		status = detect_flush(worker->detect, &worker->detected, err);
	if (status == OK) /* health alerts were added without looking */
		status = bytes_status(&worker->detected.rows);
	if (status == OK)
		status = bytes_status(&worker->announcements);
	if (status == OK)
		status = rule_watch_tell(&worker->watch, worker->detect,
					 worker->rules->parts.ruleset, &parcel->rule_news);
	if (status == OK)
		status = parcel_partitions(worker, parcel);
	if (status != OK)
		return status;
	parcel->item.kind = ITEM_PARCEL;
	parcel->epoch = worker->epoch++;
	parcel->worker = worker->index;
	parcel->checkpoint = order->checkpoint;
	parcel->final = order->final;
	parcel->next = order->final ? worker->rules : order->next;
	parcel->next_hash = parcel->next->hash;
	parcel->watermark_us = worker_watermark(worker, &parcel->finished);
	parcel->counters = detect_counters(worker->detect);
	parcel->detected = worker->detected;
	parcel->announcements = worker->announcements;
	worker->announcements = (struct bytes){0};
	worker->nudged = false;
	status = detected_init(&worker->detected, runtime->options.actor_count);
	if (status != OK)
		return status;
	struct parcel *sent = TAKE(parcel);
	for (unsigned i = 0; i < runtime->options.actor_count; i++)
		queue_push(runtime->shards[i].inbox, sent);
	queue_push(runtime->committer.inbox, sent);
	return OK;
}

/* Asks the committer to end the open epoch early. */
static void worker_nudge(struct worker *worker)
{
	static struct item nudge = {ITEM_NUDGE};
	if (!worker->nudged)
		queue_push(worker->runtime->committer.inbox, &nudge);
	worker->nudged = true;
}

/* Is the message in hand not committed yet, in epochs of one message? */
static bool worker_holds(struct worker *worker)
{
	if (worker->single == 0)
		return false;
	if (worker->single == worker->epoch)
		worker_nudge(worker);
	if (!epoch_gate_has_committed(&worker->runtime->gate, worker->single))
		return true;
	worker->single = 0;
	worker->alone = false;
	journal_leave(worker->journal, worker->index);
	journal_release(worker->journal, worker->index);
	return false;
}

/* The open epoch is large: it must end, and meanwhile nothing is polled. */
static bool worker_must_wait(struct worker *worker)
{
	unsigned most = journal_epoch_messages(worker->journal);
	if (worker->detected.events < (most < EPOCH_EVENTS_MAX ? most : EPOCH_EVENTS_MAX) &&
	    worker->detected.input_bytes < EPOCH_INPUT_MAX &&
	    detected_bytes(&worker->detected) < EPOCH_BYTES_MAX)
		return false;
	worker_nudge(worker);
	return true;
}

/* As many messages as the epoch may hold (journal.h). */
static enum status worker_read(struct worker *worker, struct error *err)
{
	unsigned most = journal_epoch_messages(worker->journal);
	if (most > 1)
		return worker_step(worker, most < POLL_MESSAGES_MAX ? most : POLL_MESSAGES_MAX,
				   err);
	enum status status = OK;
	worker->alone = journal_reserve(worker->journal, worker->index);
	if (worker->alone)
		status = worker_step(worker, 1, err);
	if (worker->single != 0)
		return status;
	if (worker->alone)
		journal_release(worker->journal, worker->index);
	worker->alone = false;
	(void)poll(NULL, 0, PAUSE_MS);
	return status;
}

void *worker_main(void *argument)
{
	struct worker *worker = argument;
	struct runtime *runtime = worker->runtime;
	struct error err = {0};
	enum status status = OK;
	bool final = false;
	while (status == OK && !final && !epoch_gate_failed(&runtime->gate)) {
		bool finished = false;
		struct epoch_order order = epoch_gate_order(&runtime->gate, worker->epoch);
		if (order.close) {
			final = order.final;
			/* Before the parcel leaves: the old rules may be gone once it is committed.
			 */
			struct generation *next = final ? NULL : generation_hold(order.next);
			journal_enter(worker->journal);
			status = worker_close_epoch(worker, &order, &err);
			journal_exit(worker->journal);
			if (status == OK && !final)
				status = worker_switch(worker, next, &err);
			generation_drop(&next);
			continue;
		}
		(void)worker_watermark(worker, &finished);
		if (worker_holds(worker) || worker_must_wait(worker) || finished ||
		    atomic_load(&runtime->stopping))
			(void)poll(NULL, 0, PAUSE_MS);
		else
			status = worker_read(worker, &err);
	}
	if (status != OK) {
		if (err.text[0] == '\0')
			(void)error_set(&err, status, "ingest worker: %s", status_text(status));
		runtime_fail(runtime, &err);
	}
	return NULL;
}
