/* stage - where a world is played: its clock, and a source whose every move is drawn from a seed.
 *
 * Why: how many records a poll brings, which partition is silent, when idleness is proved, when a
 * partition stalls or is found: none of that may change an answer, so all of it is made up.
 *
 * Invariant: a tick is truthful: everything appended up to its time has been handed out, and the
 * clock of the brokers never goes back. The clock of the machine does (stage_wall), and nothing may
 * come of it. The last tick of each partition is of the world's end: how far time came before the
 * input ended is then the world's and not the schedule's.
 * Owner: the test. Thread: a source by its worker, the clock by all. */
#ifndef PICKET_TESTS_SIM_STAGE_H
#define PICKET_TESTS_SIM_STAGE_H

#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#include "ingest/source.h"
#include "tests/sim/world.h"

enum { MESSAGES_MAX = 64, NOTICES_MAX = 4 * PARTITIONS_MAX + 1 };

struct stage {
	const struct world *world;
	uint64_t seed;
	bool calm;              /* no stall, and the clock of the machine is that of the brokers */
	atomic_bool ahead;      /* something was handed out since the last commit */
	_Atomic int64_t now_us; /* of the brokers */
	atomic_uint sources;    /* made so far */
};

/* One partition as this source reads it. */
struct reading {
	const struct partition *partition;
	size_t next; /* item */
	bool stalled, finished;
};

struct stage_source {
	struct source source;
	struct stage *stage;
	uint64_t seed;
	unsigned share, share_count;
	struct source_position positions[PARTITIONS_MAX];
	size_t position_count;
	struct reading readings[PARTITIONS_MAX];
	size_t reading_count;
	bool ready;
	struct message messages[MESSAGES_MAX];
	struct source_notice notices[NOTICES_MAX];
	size_t notice_after[NOTICES_MAX];
	struct source_batch batch;
};

/* Whoever asks for the time makes it pass: it goes on when nobody polls any more. */
static inline int64_t stage_wall(void *context)
{
	struct stage *stage = context;
	int64_t now_us = atomic_fetch_add(&stage->now_us, SECOND_US / 10);
	/* Every 20 s another clock: an hour ahead, ten minutes back. */
	int64_t turn = stage->calm ? 0 : now_us / (20 * SECOND_US) % 3;
	return now_us + (turn == 1 ? 3600 : turn == 2 ? -600 : 0) * SECOND_US;
}

static inline struct source_notice *notice_add(struct stage_source *source,
					       enum source_notice_kind kind, uint32_t stream)
{
	struct source_batch *batch = &source->batch;
	ck_assert_uint_lt(batch->notice_count, NOTICES_MAX);
	struct source_notice *notice = &source->notices[batch->notice_count];
	source->notice_after[batch->notice_count++] = batch->message_count;
	*notice = (struct source_notice){.kind = kind, .stream = stream};
	return notice;
}

static inline bool is_read(const struct stage_source *source, const struct partition *partition)
{
	for (size_t i = 0; i < source->reading_count; i++)
		if (source->readings[i].partition == partition)
			return true;
	return false;
}

/* Partitions that are there by now and belong to this share. False: there will be some, and there
 * is none yet; a source that was ready then would have nothing to wait for. */
static inline bool find_partitions(struct stage_source *source, int64_t now_us)
{
	const struct world *world = source->stage->world;
	bool unborn = false;
	for (size_t i = 0; i < world->partition_count; i++) {
		const struct partition *partition = &world->partitions[i];
		struct text topic = text_of(partition->topic);
		int64_t offset = 0;
		if (source_share_of(topic, partition->number, source->share_count) != source->share)
			continue;
		unborn = unborn || partition->born_us > now_us;
		if (partition->born_us > now_us || is_read(source, partition))
			continue;
		for (size_t k = 0; k < source->position_count; k++)
			if (source->positions[k].partition == partition->number &&
			    text_equal(source->positions[k].topic, topic))
				offset = source->positions[k].next_offset;
		struct reading *reading = &source->readings[source->reading_count];
		struct source_notice *notice =
			notice_add(source, SOURCE_STREAM_ADDED, (uint32_t)source->reading_count++);
		notice->topic = topic;
		notice->partition = partition->number;
		notice->offset = offset;
		notice->end_offset = -1;
		*reading = (struct reading){.partition = partition};
		while (reading->next < partition->item_count &&
		       partition->items[reading->next].offset < offset)
			reading->next++;
	}
	return source->reading_count > 0 || !unborn;
}

static inline void hand_out(struct stage_source *source, uint32_t stream, int64_t now_us,
			    size_t most)
{
	struct reading *reading = &source->readings[stream];
	const struct partition *partition = reading->partition;
	size_t limit = dice_below(&source->seed, 8);
	struct source_batch *batch = &source->batch;
	while (limit-- > 0 && batch->message_count < most &&
	       reading->next < partition->item_count &&
	       partition->items[reading->next].appended_us <= now_us) {
		const struct item *item = &partition->items[reading->next++];
		source->messages[batch->message_count++] =
			(struct message){.stream = stream,
					 .offset = item->offset,
					 .record_time_us = item->appended_us,
					 .payload = text_of(item->payload)};
	}
}

static inline bool is_read_out(const struct reading *reading, int64_t now_us)
{
	return reading->next == reading->partition->item_count ||
	       reading->partition->items[reading->next].appended_us > now_us;
}

/* Behind the messages: what is proved about a partition at now_us. */
static inline void prove(struct stage_source *source, uint32_t stream, int64_t now_us)
{
	struct reading *reading = &source->readings[stream];
	bool over = now_us >= WORLD_END_US;
	if (!is_read_out(reading, now_us) || reading->finished)
		return;
	if (over || dice_below(&source->seed, 2) == 0) {
		struct source_notice *notice = notice_add(source, SOURCE_TICK, stream);
		notice->time_us = over ? WORLD_END_US : now_us;
		notice->offset = reading->next == 0
					 ? 0
					 : reading->partition->items[reading->next - 1].offset + 1;
	}
	reading->finished = over;
	if (over)
		(void)notice_add(source, SOURCE_FINISHED, stream);
}

/* A stalled partition hands out nothing and proves nothing. */
static inline void stall(struct stage_source *source, uint32_t stream, int64_t now_us)
{
	struct reading *reading = &source->readings[stream];
	bool turns = dice_below(&source->seed, reading->stalled ? 6 : 60) == 0;
	if (!turns || reading->finished || source->stage->calm)
		return;
	reading->stalled = !reading->stalled;
	notice_add(source, reading->stalled ? SOURCE_STALLED : SOURCE_RESUMED, stream)->time_us =
		now_us;
}

static inline enum status stage_poll(struct source *base, int timeout_ms, size_t message_max,
				     struct source_batch *ret_batch, struct error *err)
{
	struct stage_source *source = (struct stage_source *)base;
	(void)timeout_ms;
	(void)err;
	/* So that a world has many commits, and not one for all of it. */
	if (atomic_load(&source->stage->ahead))
		(void)nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
	size_t most = message_max < MESSAGES_MAX ? message_max : MESSAGES_MAX;
	int64_t step_us = (int64_t)dice_below(&source->seed, 800000);
	int64_t now_us = atomic_fetch_add(&source->stage->now_us, step_us);
	source->batch = (struct source_batch){.messages = source->messages,
					      .notices = source->notices,
					      .notice_after = source->notice_after};
	bool complete = find_partitions(source, now_us);
	if (complete && !source->ready)
		(void)notice_add(source, SOURCE_READY, 0);
	source->ready = source->ready || complete;
	for (uint32_t i = 0; i < source->reading_count; i++) {
		stall(source, i, now_us);
		if (!source->readings[i].stalled)
			hand_out(source, i, now_us, most);
	}
	for (uint32_t i = 0; i < source->reading_count; i++)
		if (!source->readings[i].stalled)
			prove(source, i, now_us);
	if (source->batch.message_count == 0)
		(void)sched_yield();
	else
		atomic_store(&source->stage->ahead, true);
	*ret_batch = source->batch;
	return OK;
}

static inline void stage_committed(struct source *base, uint32_t stream, int64_t next_offset)
{
	(void)stream;
	(void)next_offset;
	atomic_store(&((struct stage_source *)base)->stage->ahead, false);
}

static inline struct source_lag stage_lag(struct source *base, uint32_t stream)
{
	(void)base;
	(void)stream;
	return (struct source_lag){-1, -1, false};
}

static inline void stage_free(struct source *base)
{
	struct stage_source *source = (struct stage_source *)base;
	for (size_t i = 0; i < source->position_count; i++)
		free((char *)source->positions[i].topic.data);
	free(source);
}

static inline enum status stage_source_new(void *context, const struct source_start *start,
					   struct source **ret_source, struct error *err)
{
	static const struct source_ops ops = {stage_poll, stage_committed, stage_lag, stage_free,
					      false};
	struct stage *stage = context;
	(void)err;
	struct stage_source *source = calloc(1, sizeof *source);
	ck_assert_ptr_nonnull(source);
	ck_assert_uint_le(start->position_count, PARTITIONS_MAX);
	source->source.ops = &ops;
	source->stage = stage;
	source->seed =
		stage->seed + 0x9e3779b97f4a7c15U * (1 + atomic_fetch_add(&stage->sources, 1));
	source->share = start->share;
	source->share_count = start->share_count;
	for (size_t i = 0; i < start->position_count; i++) {
		source->positions[i] = start->positions[i];
		source->positions[i].topic.data =
			strndup(start->positions[i].topic.data, start->positions[i].topic.size);
		ck_assert_ptr_nonnull(source->positions[i].topic.data);
	}
	source->position_count = start->position_count;
	*ret_source = &source->source;
	return OK;
}

#endif
