/* memory_source - messages of a table, with keys and headers, through the whole engine. */
#ifndef PICKET_TESTS_INGEST_MEMORY_SOURCE_H
#define PICKET_TESTS_INGEST_MEMORY_SOURCE_H

#include <check.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "ingest/runtime.h"

struct memory_stream {
	const char *topic;
	const struct message *messages; /* offsets and streams are filled in */
	size_t count;
};

struct memory_input {
	const struct memory_stream *streams;
	size_t stream_count;
	size_t batch; /* messages per poll; 0 = 7 */
};

struct memory_source {
	struct source source;
	const struct memory_input *input;
	size_t stream, next;
	size_t share, share_count;
	bool told;
	size_t mine[64], mine_count; /* indexes of input->streams */
	struct message messages[64];
	struct source_notice notices[130];
	size_t after[130];
};

static inline void memory_notice(struct memory_source *source, struct source_batch *batch,
				 struct source_notice notice)
{
	source->after[batch->notice_count] = batch->message_count;
	source->notices[batch->notice_count++] = notice;
}

static inline enum status memory_poll(struct source *base, int timeout_ms, size_t message_max,
				      struct source_batch *ret_batch, struct error *err)
{
	struct memory_source *source = (struct memory_source *)base;
	struct source_batch batch = {.messages = source->messages,
				     .notices = source->notices,
				     .notice_after = source->after};
	(void)timeout_ms;
	(void)err;
	for (size_t i = 0; !source->told && i < source->mine_count; i++)
		memory_notice(
			source, &batch,
			(struct source_notice){
				.kind = SOURCE_STREAM_ADDED,
				.stream = (uint32_t)i,
				.topic = text_of(source->input->streams[source->mine[i]].topic),
				.end_offset = -1});
	if (!source->told)
		memory_notice(source, &batch, (struct source_notice){.kind = SOURCE_READY});
	source->told = true;
	size_t most = source->input->batch == 0 ? 7 : source->input->batch;
	if (source->stream < source->mine_count) {
		const struct memory_stream *stream =
			&source->input->streams[source->mine[source->stream]];
		for (; batch.message_count < most && batch.message_count < message_max &&
		       source->next < stream->count;
		     source->next++) {
			struct message *message = &source->messages[batch.message_count++];
			*message = stream->messages[source->next];
			message->stream = (uint32_t)source->stream;
			message->offset = (int64_t)source->next;
		}
		if (source->next == stream->count) {
			memory_notice(source, &batch,
				      (struct source_notice){.kind = SOURCE_FINISHED,
							     .stream = (uint32_t)source->stream});
			source->stream++;
			source->next = 0;
		}
	}
	*ret_batch = batch;
	return OK;
}

static inline void memory_committed(struct source *source, uint32_t stream, int64_t next_offset)
{
	(void)source;
	(void)stream;
	(void)next_offset;
}

static inline struct source_lag memory_lag(struct source *source, uint32_t stream)
{
	(void)source;
	(void)stream;
	return (struct source_lag){-1, -1, false};
}

static inline void memory_free(struct source *source)
{
	free(source);
}

static const struct source_ops memory_ops = {memory_poll, memory_committed, memory_lag, memory_free,
					     false};

static inline enum status memory_make(void *context, const struct source_start *start,
				      struct source **ret_source, struct error *err)
{
	struct memory_source *source = calloc(1, sizeof *source);
	ck_assert_ptr_nonnull(source);
	(void)err;
	source->source.ops = &memory_ops;
	source->input = context;
	for (size_t i = 0; i < source->input->stream_count; i++)
		if (i % start->share_count == start->share)
			source->mine[source->mine_count++] = i;
	*ret_source = &source->source;
	return OK;
}

static inline int64_t memory_now(void *context)
{
	static _Atomic int64_t now;
	(void)context;
	return atomic_fetch_add(&now, 1000);
}

static inline struct store *memory_store(void)
{
	struct store *store = NULL;
	struct error err = {0};
	ck_assert_int_eq(store_open_memory(&store, &err), OK);
	struct identity_row identity = {.hash_key = "sixteen bytes ok"};
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	identity_key(&key);
	identity_encode(&identity, &value);
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
	store_batch_put(batch, FAMILY_POSITION, bytes_text(&key), bytes_text(&value));
	ck_assert_int_eq(store_batch_commit(batch, false, &err), OK);
	return store;
}

/* Runs the engine over the input until all of it is committed. */
static inline void memory_run(struct runtime_options options, const struct memory_input *input,
			      struct runtime_status *ret_status)
{
	struct runtime *runtime cleanup(runtime_free) = NULL;
	struct error err = {0};
	struct memory_input copy = *input;
	options.source = (struct source_factory){memory_make, &copy};
	options.clock = (struct wall_clock){memory_now, NULL};
	options.decoder.time_trusted = true;
	options.worker_count = options.worker_count == 0 ? 1 : options.worker_count;
	options.actor_count = options.actor_count == 0 ? 1 : options.actor_count;
	options.epoch_ms = 1;
	enum status status = runtime_new(&options, &runtime, &err);
	ck_assert_msg(status == OK, "%s", err.text);
	for (int waited = 0; waited < 60000; waited++) {
		struct runtime_status now = {0};
		ck_assert_int_eq(runtime_status(runtime, &now), OK);
		ck_assert_msg(now.state != RUNTIME_FAILED, "%s", now.failure.text);
		if (now.state == RUNTIME_FINISHED) {
			*ret_status = now;
			return;
		}
		runtime_status_done(&now);
		(void)poll(NULL, 0, 1);
	}
	ck_abort_msg("the input was not read in time");
}

/* Alerts of a rule in the store; *ret_last points into a static copy of the last one's reason. */
static inline unsigned memory_alerts(struct store *store, const char *rule, char *reason,
				     size_t reason_size)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct error err = {0};
	unsigned count = 0;
	struct text key = {0};
	struct text value = {0};
	ck_assert_int_eq(store_scan_new(store, FAMILY_ALERT, TEXT("a"), TEXT("a"), &scan, &err),
			 OK);
	while (store_scan_next(scan, &key, &value)) {
		struct alert alert = {0};
		ck_assert_int_eq(alert_decode(value, &alert, &err), OK);
		if (!text_equal(alert.rule_id, text_of(rule)))
			continue;
		count++;
		(void)snprintf(reason, reason_size, "%.*s", TEXT_ARG(alert.reason));
	}
	ck_assert_int_eq(store_scan_status(scan, &err), OK);
	return count;
}

#endif
