/* told_log - a topic in memory whose partitions the test lets out as far as it likes, with ticks.
 *
 * Why: what a rule says at a moment depends on how far the input is known to be complete. Here the
 * test decides what has come, when the partitions are proved to be read to their end, and when the
 * engine stops and starts again in between; memory_source.h plays everything at one go, and to its
 * end.
 *
 * Invariant: a tick is truthful: it stands behind everything that was let out before it was asked
 * for. Owner: the test. Thread: the two numbers that the test moves are atomic; the rest does not
 * change while an engine runs. Limits: TOLD_PARTITIONS_MAX. */
#ifndef PICKET_TESTS_INGEST_TOLD_LOG_H
#define PICKET_TESTS_INGEST_TOLD_LOG_H

#include <check.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "ingest/runtime.h"

enum { TOLD_PARTITIONS_MAX = 4, TOLD_BATCH_MAX = 64, TOLD_WAIT_MS = 120000 };

struct told_partition {
	const struct message *messages; /* offsets and streams are filled in */
	size_t count;
};

struct told_log {
	struct text topic;
	struct told_partition partitions[TOLD_PARTITIONS_MAX];
	size_t partition_count;
	atomic_size_t let_out;   /* of each partition at most so many */
	_Atomic int64_t tick_us; /* read to the end of that at this time; INT64_MIN: not said */
};

struct told_source {
	struct source source;
	struct told_log *log;
	bool told;
	size_t stream_count;
	struct {
		size_t partition, next;
		int64_t tick_us;
	} streams[TOLD_PARTITIONS_MAX];
	struct message messages[TOLD_BATCH_MAX];
	struct source_notice notices[2 * TOLD_PARTITIONS_MAX + 1];
	size_t notice_after[2 * TOLD_PARTITIONS_MAX + 1];
	struct source_batch batch;
};

static inline struct source_notice *told_notice(struct told_source *source,
						enum source_notice_kind kind, size_t stream)
{
	struct source_batch *batch = &source->batch;
	struct source_notice *notice = &source->notices[batch->notice_count];
	source->notice_after[batch->notice_count++] = batch->message_count;
	*notice = (struct source_notice){.kind = kind, .stream = (uint32_t)stream};
	return notice;
}

static inline void told_begin(struct told_source *source)
{
	for (size_t i = 0; i < source->stream_count; i++) {
		struct source_notice *notice = told_notice(source, SOURCE_STREAM_ADDED, i);
		notice->topic = source->log->topic;
		notice->partition = (int32_t)source->streams[i].partition;
		notice->offset = (int64_t)source->streams[i].next;
		notice->end_offset = -1;
	}
	(void)told_notice(source, SOURCE_READY, 0);
	source->told = true;
}

static inline void told_hand_out(struct told_source *source, size_t stream, size_t most)
{
	const struct told_partition *partition =
		&source->log->partitions[source->streams[stream].partition];
	struct source_batch *batch = &source->batch;
	int64_t tick_us = atomic_load(&source->log->tick_us); /* ahead of what it is about */
	size_t let_out = atomic_load(&source->log->let_out);
	size_t end = let_out < partition->count ? let_out : partition->count;
	size_t *next = &source->streams[stream].next;
	for (; *next < end && batch->message_count < most; ++*next) {
		struct message *message = &source->messages[batch->message_count++];
		*message = partition->messages[*next];
		message->stream = (uint32_t)stream;
		message->offset = (int64_t)*next;
	}
	if (*next < end || tick_us <= source->streams[stream].tick_us)
		return;
	source->streams[stream].tick_us = tick_us;
	struct source_notice *notice = told_notice(source, SOURCE_TICK, stream);
	notice->time_us = tick_us;
	notice->offset = (int64_t)*next;
}

static inline enum status told_poll(struct source *base, int timeout_ms, size_t message_max,
				    struct source_batch *ret_batch, struct error *err)
{
	struct told_source *source = (struct told_source *)base;
	(void)timeout_ms;
	(void)err;
	source->batch = (struct source_batch){.messages = source->messages,
					      .notices = source->notices,
					      .notice_after = source->notice_after};
	if (!source->told)
		told_begin(source);
	size_t most = message_max < TOLD_BATCH_MAX ? message_max : TOLD_BATCH_MAX;
	for (size_t i = 0; i < source->stream_count; i++)
		told_hand_out(source, i, most);
	if (source->batch.message_count == 0 && source->batch.notice_count == 0)
		(void)poll(NULL, 0, 1);
	*ret_batch = source->batch;
	return OK;
}

static inline void told_committed(struct source *source, uint32_t stream, int64_t next_offset)
{
	(void)source;
	(void)stream;
	(void)next_offset;
}

static inline struct source_lag told_lag(struct source *source, uint32_t stream)
{
	(void)source;
	(void)stream;
	return (struct source_lag){-1, -1, false};
}

static inline void told_free(struct source *source)
{
	free(source);
}

/* A source_factory's make; the context is the log. */
static inline enum status told_make(void *context, const struct source_start *start,
				    struct source **ret_source, struct error *err)
{
	static const struct source_ops ops = {told_poll, told_committed, told_lag, told_free, true};
	struct told_source *source = calloc(1, sizeof *source);
	ck_assert_ptr_nonnull(source);
	(void)err;
	source->source.ops = &ops;
	source->log = context;
	for (size_t i = 0; i < source->log->partition_count; i++) {
		if (i % start->share_count != start->share)
			continue;
		size_t stream = source->stream_count++;
		source->streams[stream].partition = i;
		source->streams[stream].tick_us = INT64_MIN;
		for (size_t k = 0; k < start->position_count; k++)
			if ((size_t)start->positions[k].partition == i)
				source->streams[stream].next =
					(size_t)start->positions[k].next_offset;
	}
	*ret_source = &source->source;
	return OK;
}

/* Whether everything that was let out, and the watermark, are committed. */
static inline bool told_is_committed(const struct told_log *log, const struct runtime_status *now,
				     int64_t watermark_us)
{
	size_t committed = 0;
	for (size_t i = 0; i < now->partition_count; i++) {
		const struct position_row *row = &now->partitions[i].row;
		size_t count = log->partitions[row->partition].count;
		size_t end = log->let_out < count ? log->let_out : count;
		committed += (size_t)row->next_offset >= end;
	}
	return committed == log->partition_count && now->watermark_us >= watermark_us;
}

static inline void told_wait(const struct told_log *log, struct runtime *runtime,
			     int64_t watermark_us)
{
	for (int waited = 0; waited < TOLD_WAIT_MS; waited++) {
		struct runtime_status now cleanup(runtime_status_done) = {0};
		ck_assert_int_eq(runtime_status(runtime, &now), OK);
		ck_assert_msg(now.state == RUNTIME_RUNNING, "%s", now.failure.text);
		if (told_is_committed(log, &now, watermark_us))
			return;
		(void)poll(NULL, 0, 1);
	}
	ck_abort_msg("the log was not committed in time");
}

#endif
