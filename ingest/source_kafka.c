#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "ingest/kafka_private.h"

void kafka_notice(struct kafka_source *source, struct source_notice notice)
{
	struct kafka_batch *batch = &source->batch;
	if (batch->notice_count == batch->notice_capacity) {
		size_t capacity = batch->notice_capacity == 0 ? 64 : batch->notice_capacity * 2;
		struct source_notice *notices = realloc(batch->notices, capacity * sizeof *notices);
		if (notices != NULL)
			batch->notices = notices;
		size_t *after = realloc(batch->after, capacity * sizeof *after);
		if (after != NULL)
			batch->after = after;
		if (notices == NULL || after == NULL) {
			batch->failed = true;
			return;
		}
		batch->notice_capacity = capacity;
	}
	batch->notices[batch->notice_count] = notice;
	batch->after[batch->notice_count++] = batch->message_count;
}

uint32_t kafka_stream_find(const struct kafka_source *source, const char *topic, int32_t partition)
{
	if (source->slot_count == 0)
		return UINT32_MAX;
	size_t slot = source_share_of(text_of(topic), partition, (unsigned)source->slot_count);
	for (; source->slots[slot] != 0; slot = (slot + 1) % source->slot_count) {
		uint32_t index = source->slots[slot] - 1;
		if (source->streams[index].partition == partition &&
		    strcmp(source->streams[index].topic, topic) == 0)
			return index;
	}
	return UINT32_MAX;
}

static int64_t clock_now(const struct kafka_source *source)
{
	return source->plan.clock.now_us(source->plan.clock.context);
}

void kafka_batch_clear(struct kafka_batch *batch)
{
	for (size_t i = 0; i < batch->owned_count; i++)
		rd_kafka_message_destroy(batch->owned[i]);
	batch->owned_count = 0;
	batch->message_count = 0;
	batch->notice_count = 0;
	batch->failed = false;
	arena_reset(batch->arena);
}

static bool batch_grow(struct kafka_batch *batch, size_t message_max)
{
	if (message_max <= batch->capacity)
		return true;
	rd_kafka_message_t **owned = realloc(batch->owned, message_max * sizeof(*owned));
	if (owned != NULL)
		batch->owned = owned;
	struct message *messages = realloc(batch->messages, message_max * sizeof *messages);
	if (messages != NULL)
		batch->messages = messages;
	if (owned == NULL || messages == NULL)
		return false;
	batch->capacity = message_max;
	return true;
}

/* librdkafka's own queue: the first call waits for something, the second takes what is there
 * (a single call would wait for a full batch). */
static void receive(struct kafka_source *source, int timeout_ms, size_t message_max)
{
	struct kafka_batch *batch = &source->batch;
	int64_t before_us = clock_now(source); /* looking for topics may have taken its time */
	ssize_t count = rd_kafka_consume_batch_queue(source->queue, timeout_ms, batch->owned, 1);
	if (count == 1 && message_max > 1) {
		batch->owned_count = 1;
		before_us = clock_now(source);
		count = rd_kafka_consume_batch_queue(source->queue, 0, batch->owned + 1,
						     message_max - 1);
		if (count >= 0)
			batch->owned_count += (size_t)count;
	} else if (count > 0) {
		batch->owned_count = (size_t)count;
	}
	source->now_us = clock_now(source);
	if (count < 0)
		kafka_problem_code(source, rd_kafka_last_error(), source->plan.servers, NULL);
	else if (batch->owned_count < message_max)
		source->emptied_us = before_us;
}

static uint32_t stream_of(struct kafka_source *source, const rd_kafka_message_t *from)
{
	if (from->rkt == NULL)
		return UINT32_MAX;
	if (from->rkt != source->last_topic || from->partition != source->last_partition) {
		source->last_stream =
			kafka_stream_find(source, rd_kafka_topic_name(from->rkt), from->partition);
		source->last_topic = from->rkt;
		source->last_partition = from->partition;
	}
	return source->last_stream;
}

static void take_headers(struct kafka_source *source, const rd_kafka_message_t *from,
			 struct message *to)
{
	rd_kafka_headers_t *headers = NULL;
	if (rd_kafka_message_headers(from, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return;
	size_t count = rd_kafka_header_cnt(headers);
	if (count > SOURCE_HEADERS_MAX)
		count = SOURCE_HEADERS_MAX;
	struct header *taken =
		count == 0 ? NULL : arena_alloc(source->batch.arena, count * sizeof *taken);
	if (taken == NULL) {
		source->batch.failed = source->batch.failed || count > 0;
		return;
	}
	for (size_t i = 0; i < count; i++) {
		const char *name = NULL;
		const void *value = NULL;
		size_t size = 0;
		if (rd_kafka_header_get_all(headers, i, &name, &value, &size) !=
		    RD_KAFKA_RESP_ERR_NO_ERROR)
			break;
		taken[to->header_count++] =
			(struct header){text_of(name), {value, value == NULL ? 0 : size}};
	}
	to->headers = taken;
}

static void take_message(struct kafka_source *source, const rd_kafka_message_t *from,
			 uint32_t index)
{
	struct kafka_stream *stream = &source->streams[index];
	if (from->offset < stream->next)
		return; /* from before a restart of this partition: handed out already */
	rd_kafka_timestamp_type_t type;
	int64_t timestamp_ms = rd_kafka_message_timestamp(from, &type);
	struct message *message = &source->batch.messages[source->batch.message_count];
	*message = (struct message){
		.stream = index,
		.offset = from->offset,
		.record_time_us = type == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME && timestamp_ms >= 0
					  ? timestamp_ms * 1000
					  : source->now_us,
		.key = {from->key, from->key == NULL ? 0 : from->key_len},
		.payload = {from->payload, from->payload == NULL ? 0 : from->len},
	};
	take_headers(source, from, message);
	source->batch.message_count++;
	stream->next = from->offset + 1;
	if (stream->end < stream->next)
		stream->end = stream->next;
	stream->data_us = source->now_us;
}

/* Events that librdkafka sends in place of a message. */
static void take_event(struct kafka_source *source, const rd_kafka_message_t *from, uint32_t index)
{
	const char *topic = from->rkt == NULL ? "" : rd_kafka_topic_name(from->rkt);
	struct kafka_stream *stream = index == UINT32_MAX ? NULL : &source->streams[index];
	switch (from->err) {
	case RD_KAFKA_RESP_ERR__PARTITION_EOF:
		/* Markers of transactions may stand between the last message and the end. */
		if (stream != NULL && from->offset > stream->next)
			stream->next = from->offset;
		return;
	case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
	case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
		if (stream != NULL)
			stream->lost = true;
		return;
	default:
		kafka_problem_code(source, from->err, topic, rd_kafka_message_errstr(from));
	}
}

static void take_all(struct kafka_source *source)
{
	source->last_topic = NULL;
	for (size_t i = 0; i < source->batch.owned_count; i++) {
		const rd_kafka_message_t *from = source->batch.owned[i];
		uint32_t index = stream_of(source, from);
		if (from->err != RD_KAFKA_RESP_ERR_NO_ERROR)
			take_event(source, from, index);
		else if (index != UINT32_MAX)
			take_message(source, from, index);
	}
}

/* Positions the store has, for the group; NULL when there is nothing new. */
rd_kafka_topic_partition_list_t *kafka_commit_list(struct kafka_source *source)
{
	rd_kafka_topic_partition_list_t *list = NULL;
	struct kafka_letters *letters = &source->letters;
	(void)pthread_mutex_lock(&letters->mutex);
	for (size_t i = 0; i < source->stream_count && i < letters->count; i++) {
		struct kafka_stream *stream = &source->streams[i];
		if (letters->next[i] < 0 || letters->next[i] == stream->told)
			continue;
		if (list == NULL)
			list = rd_kafka_topic_partition_list_new((int)source->stream_count);
		rd_kafka_topic_partition_t *at =
			rd_kafka_topic_partition_list_add(list, stream->topic, stream->partition);
		at->offset = letters->next[i];
		char metadata[64];
		(void)snprintf(metadata, sizeof metadata, "picket:%s", source->plan.store_id);
		at->metadata = strdup(metadata);
		at->metadata_size = at->metadata == NULL ? 0 : strlen(metadata);
		stream->told = letters->next[i];
	}
	(void)pthread_mutex_unlock(&letters->mutex);
	return list;
}

static void commit_group(struct kafka_source *source)
{
	if (source->plan.group == NULL || !source->group_checked ||
	    source->now_us < source->commit_us)
		return;
	source->commit_us = source->now_us + KAFKA_COMMIT_US;
	rd_kafka_topic_partition_list_t *list = kafka_commit_list(source);
	if (list == NULL)
		return;
	rd_kafka_resp_err_t code = rd_kafka_commit(source->client, list, 1);
	kafka_commit_told(source, code);
	rd_kafka_topic_partition_list_destroy(list);
}

enum status kafka_poll(struct source *base, int timeout_ms, size_t message_max,
		       struct source_batch *ret_batch, struct error *err)
{
	struct kafka_source *source = (struct kafka_source *)base;
	struct kafka_batch *batch = &source->batch;
	assert(message_max > 0);
	kafka_batch_clear(batch);
	if (!batch_grow(batch, message_max))
		return error_set(err, ENOMEMORY, "no memory for a batch of messages");
	source->now_us = clock_now(source);
	kafka_find(source);
	enum status status = kafka_group_check(source, err);
	if (status == OK && (source->group_checked || source->wanted_count == 0))
		status = kafka_start_wanted(source, err);
	if (status != OK)
		return status;
	kafka_restart_lost(source);
	if (!source->ready && source->found && source->wanted_count == 0) {
		source->ready = true;
		kafka_notice(source, (struct source_notice){.kind = SOURCE_READY,
							    .time_us = source->now_us});
	}
	receive(source, timeout_ms, message_max);
	take_all(source);
	kafka_idle_notices(source);
	commit_group(source);
	if (batch->failed)
		return error_set(err, ENOMEMORY, "no memory for a batch of messages");
	*ret_batch = (struct source_batch){.messages = batch->messages,
					   .message_count = batch->message_count,
					   .notices = batch->notices,
					   .notice_after = batch->after,
					   .notice_count = batch->notice_count};
	return OK;
}

/* Another thread's call. Without memory for it the lag tools learn nothing, and nothing is lost. */
void kafka_committed(struct source *base, uint32_t stream, int64_t next_offset)
{
	struct kafka_letters *letters = &((struct kafka_source *)base)->letters;
	(void)pthread_mutex_lock(&letters->mutex);
	if (stream >= letters->count) {
		size_t count = ((size_t)stream + 1) * 2;
		int64_t *next = realloc(letters->next, count * sizeof *next);
		for (size_t i = letters->count; next != NULL && i < count; i++)
			next[i] = -1;
		letters->next = next == NULL ? letters->next : next;
		letters->count = next == NULL ? letters->count : count;
	}
	if (stream < letters->count)
		letters->next[stream] = next_offset;
	(void)pthread_mutex_unlock(&letters->mutex);
}

struct source_lag kafka_lag(struct source *base, uint32_t stream)
{
	const struct kafka_source *source = (const struct kafka_source *)base;
	assert(stream < source->stream_count);
	const struct kafka_stream *at = &source->streams[stream];
	return (struct source_lag){at->next, at->end, at->stalled};
}
