/* Where reading starts, and what it means when it cannot start there.
 *
 * A log holds the offsets [low, high). For a position p of ours:
 *
 *     low <= p <= high   read on at p
 *     p < low            retention deleted [p, low): GAP, exactly these, read on at low
 *     p > high           the log is shorter than what we have read: REWOUND. Most often the topic
 *                        was deleted and made again, so all it holds is new: read on at low. (After
 *                        an unclean leader election that reads some records again; to lose records
 *                        would be worse, and the notice says what happened.)
 *
 * The range is asked for with ListOffsets (timestamps -2 and -1) through
 * rd_kafka_offsets_for_times, because rd_kafka_query_watermark_offsets of librdkafka 2.0.2 ignores
 * its time-out. One question for all partitions fails as a whole when one of them has lost its
 * leader; then the partitions are asked one by one, one per attempt, so that no poll waits longer
 * than a few KAFKA_QUERY_MS. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "ingest/kafka_private.h"

struct range {
	int64_t low, high;
	int64_t from; /* of a start by time: the first offset not older, or high */
	bool known;
};

static void list_free(rd_kafka_topic_partition_list_t **list)
{
	if (*list != NULL)
		rd_kafka_topic_partition_list_destroy(*list);
}

/* Asks for the first offset at `timestamp` (-2 start, -1 end, else ms) of all partitions. The list
 * comes back in the order it was given. */
static rd_kafka_resp_err_t ask_offsets(struct kafka_source *source,
				       rd_kafka_topic_partition_list_t *list, int64_t timestamp)
{
	for (int i = 0; i < list->cnt; i++) {
		list->elems[i].offset = timestamp;
		list->elems[i].err = RD_KAFKA_RESP_ERR_NO_ERROR;
	}
	return rd_kafka_offsets_for_times(source->client, list, KAFKA_QUERY_MS);
}

/* Fills ranges[i] for list->elems[i]; by_time_ms < 0: nobody starts by time. */
static rd_kafka_resp_err_t ask_ranges(struct kafka_source *source,
				      rd_kafka_topic_partition_list_t *list, int64_t by_time_ms,
				      struct range *ranges)
{
	const int64_t timestamps[] = {-2, -1, by_time_ms};
	size_t questions = by_time_ms < 0 ? 2 : 3;
	for (int i = 0; i < list->cnt; i++)
		ranges[i] = (struct range){.known = true};
	for (size_t question = 0; question < questions; question++) {
		rd_kafka_resp_err_t code = ask_offsets(source, list, timestamps[question]);
		if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
			return code;
		for (int i = 0; i < list->cnt; i++) {
			const rd_kafka_topic_partition_t *at = &list->elems[i];
			int64_t offset = at->offset;
			if (at->err != RD_KAFKA_RESP_ERR_NO_ERROR || (question < 2 && offset < 0))
				ranges[i].known = false;
			if (question == 0)
				ranges[i].low = offset;
			else if (question == 1)
				ranges[i].high = offset;
			else
				ranges[i].from = offset < 0 ? ranges[i].high : offset;
		}
	}
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static const struct kafka_position *position_of(const struct kafka_source *source,
						const char *topic, int32_t partition)
{
	for (size_t i = 0; i < source->plan.position_count; i++)
		if (source->plan.positions[i].partition == partition &&
		    strcmp(source->plan.positions[i].topic, topic) == 0)
			return &source->plan.positions[i];
	return NULL;
}

/* The table is rebuilt as a whole: streams are added seldom. */
static bool rebuild_slots(struct kafka_source *source)
{
	size_t slot_count = 16;
	while (slot_count < source->stream_count * 2)
		slot_count *= 2;
	uint32_t *slots = calloc(slot_count, sizeof *slots);
	if (slots == NULL)
		return false;
	free(source->slots);
	source->slots = slots;
	source->slot_count = slot_count;
	for (size_t i = 0; i < source->stream_count; i++) {
		struct text topic = text_of(source->streams[i].topic);
		size_t slot =
			source_share_of(topic, source->streams[i].partition, (unsigned)slot_count);
		while (slots[slot] != 0)
			slot = (slot + 1) % slot_count;
		slots[slot] = (uint32_t)i + 1;
	}
	return true;
}

static bool add_stream(struct kafka_source *source, struct kafka_wanted *wanted, int64_t start,
		       int64_t end)
{
	if (source->stream_count == source->stream_capacity) {
		size_t capacity = source->stream_capacity == 0 ? 16 : source->stream_capacity * 2;
		struct kafka_stream *grown = realloc(source->streams, capacity * sizeof *grown);
		if (grown == NULL)
			return false;
		source->streams = grown;
		source->stream_capacity = capacity;
	}
	source->streams[source->stream_count++] =
		(struct kafka_stream){.topic = TAKE(wanted->topic),
				      .partition = wanted->partition,
				      .next = start,
				      .end = end,
				      .data_us = source->now_us,
				      .alive_us = source->now_us,
				      .told = -1};
	return rebuild_slots(source);
}

static int64_t start_of(const struct kafka_source *source, const struct kafka_wanted *wanted,
			const struct range *range)
{
	if (!wanted->first_start)
		return range->low;
	switch (source->plan.start) {
	case KAFKA_START_EARLIEST:
		return range->low;
	case KAFKA_START_AGO:
		return range->from;
	default:
		return range->high;
	}
}

/* Says what was lost when position and range do not fit; returns where reading goes on. */
static int64_t fit(struct kafka_source *source, uint32_t stream, int64_t position,
		   const struct range *range)
{
	if (position >= range->low && position <= range->high)
		return position;
	bool gap = position < range->low;
	kafka_notice(source, (struct source_notice){.kind = gap ? SOURCE_GAP : SOURCE_REWOUND,
						    .stream = stream,
						    .offset = gap ? position : range->low,
						    .end_offset = gap ? range->low : range->high,
						    .time_us = source->now_us});
	return range->low;
}

/* Turns one wanted partition into a stream and puts it on the list to be assigned. */
static bool start_one(struct kafka_source *source, struct kafka_wanted *wanted,
		      const struct range *range, rd_kafka_topic_partition_list_t *assign)
{
	const struct kafka_position *known = position_of(source, wanted->topic, wanted->partition);
	bool fits = known != NULL && known->next_offset >= range->low &&
		    known->next_offset <= range->high;
	int64_t start = fits ? known->next_offset
			     : (known != NULL ? range->low : start_of(source, wanted, range));
	bool backfill = known == NULL && wanted->history && start < range->high;
	uint32_t stream = (uint32_t)source->stream_count;
	if (!add_stream(source, wanted, start, range->high))
		return false;
	kafka_notice(source, (struct source_notice){.kind = SOURCE_STREAM_ADDED,
						    .stream = stream,
						    .topic = text_of(source->streams[stream].topic),
						    .partition = wanted->partition,
						    .offset = start,
						    .end_offset = range->high,
						    .backfill_until = backfill ? range->high : 0,
						    .time_us = source->now_us});
	if (known != NULL && !fits)
		(void)fit(source, stream, known->next_offset, range);
	rd_kafka_topic_partition_list_add(assign, source->streams[stream].topic, wanted->partition)
		->offset = start;
	return true;
}

static void assign_streams(struct kafka_source *source, rd_kafka_topic_partition_list_t *list)
{
	rd_kafka_error_t *error = rd_kafka_incremental_assign(source->client, list);
	if (error == NULL)
		return;
	kafka_problem_code(source, rd_kafka_error_code(error), "assignment",
			   rd_kafka_error_string(error));
	rd_kafka_error_destroy(error);
	for (int i = 0; i < list->cnt; i++) {
		uint32_t stream =
			kafka_stream_find(source, list->elems[i].topic, list->elems[i].partition);
		assert(stream != UINT32_MAX);
		source->streams[stream].lost = true; /* tried again with those */
	}
}

/* Wanted partitions that can be asked: all, or only the one at `turn`. */
static rd_kafka_topic_partition_list_t *wanted_list(const struct kafka_source *source, bool all)
{
	rd_kafka_topic_partition_list_t *list =
		rd_kafka_topic_partition_list_new((int)source->wanted_count);
	size_t turn = source->wanted_turn % source->wanted_count;
	for (size_t i = 0; list != NULL && i < source->wanted_count; i++)
		if (source->wanted[i].leader && (all || i == turn))
			rd_kafka_topic_partition_list_add(list, source->wanted[i].topic,
							  source->wanted[i].partition);
	return list;
}

static void forget_started(struct kafka_source *source)
{
	size_t kept = 0;
	for (size_t i = 0; i < source->wanted_count; i++)
		if (source->wanted[i].topic != NULL)
			source->wanted[kept++] = source->wanted[i];
	source->wanted_count = kept;
}

/* Starts the partitions of the list whose range became known. */
static bool start_list(struct kafka_source *source, const rd_kafka_topic_partition_list_t *list,
		       const struct range *ranges)
{
	rd_kafka_topic_partition_list_t *assign cleanup(list_free) =
		rd_kafka_topic_partition_list_new(list->cnt);
	bool good = assign != NULL;
	int at = 0;
	for (size_t i = 0; i < source->wanted_count && at < list->cnt && good; i++) {
		const rd_kafka_topic_partition_t *asked = &list->elems[at];
		struct kafka_wanted *wanted = &source->wanted[i];
		if (wanted->partition != asked->partition ||
		    strcmp(wanted->topic, asked->topic) != 0)
			continue;
		const struct range *range = &ranges[at++];
		if (!range->known)
			kafka_problem_code(source,
					   asked->err == RD_KAFKA_RESP_ERR_NO_ERROR
						   ? RD_KAFKA_RESP_ERR__NO_OFFSET
						   : asked->err,
					   wanted->topic, NULL);
		else
			good = start_one(source, wanted, range, assign);
	}
	forget_started(source);
	if (good && assign->cnt > 0)
		assign_streams(source, assign);
	return good;
}

enum status kafka_start_wanted(struct kafka_source *source, struct error *err)
{
	if (source->wanted_count == 0 || source->now_us < source->ask_us)
		return OK;
	source->ask_us = source->now_us + KAFKA_RETRY_US;
	int64_t by_time_ms = source->plan.start == KAFKA_START_AGO
				     ? (source->now_us - source->plan.start_ago_us) / 1000
				     : -1;
	struct range *ranges = calloc(source->wanted_count, sizeof *ranges);
	bool good = ranges != NULL;
	for (int attempt = 0; attempt < 2 && good; attempt++) {
		rd_kafka_topic_partition_list_t *list cleanup(list_free) =
			wanted_list(source, attempt == 0);
		good = list != NULL;
		if (!good || list->cnt == 0)
			break;
		rd_kafka_resp_err_t code = ask_ranges(source, list, by_time_ms, ranges);
		if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
			good = start_list(source, list, ranges);
			break;
		}
		kafka_problem_code(source, code, list->elems[0].topic,
				   "the range of the log could not be had");
		source->wanted_turn += attempt == 1;
	}
	free(ranges);
	return good ? OK
		    : error_set(err, ENOMEMORY, "no memory for %zu partitions",
				source->stream_count + source->wanted_count);
}

/* A partition whose position the broker refused: asks for its range, tells the loss, reads on. */
static void restart_one(struct kafka_source *source, uint32_t index)
{
	struct kafka_stream *stream = &source->streams[index];
	rd_kafka_topic_partition_list_t *list cleanup(list_free) =
		rd_kafka_topic_partition_list_new(1);
	if (list == NULL) {
		source->batch.failed = true;
		return;
	}
	rd_kafka_topic_partition_list_add(list, stream->topic, stream->partition);
	struct range range;
	rd_kafka_resp_err_t code = ask_ranges(source, list, -1, &range);
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
		code = list->elems[0].err;
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR || !range.known) {
		kafka_problem_code(source, code, stream->topic,
				   "the range of the log could not be had");
		return;
	}
	stream->next = fit(source, index, stream->next, &range);
	stream->end = range.high;
	stream->earlier = stream->later = (struct kafka_sight){0};
	stream->lost = false;
	list->elems[0].offset = stream->next;
	/* It may not be assigned (an assignment that failed): then there is nothing to take back.
	 */
	rd_kafka_error_t *error = rd_kafka_incremental_unassign(source->client, list);
	if (error != NULL)
		rd_kafka_error_destroy(error);
	list->elems[0].offset = stream->next;
	assign_streams(source, list);
}

void kafka_restart_lost(struct kafka_source *source)
{
	if (source->now_us < source->ask_us)
		return;
	for (size_t i = 0; i < source->stream_count; i++) {
		if (!source->streams[i].lost)
			continue;
		source->ask_us = source->now_us + KAFKA_RETRY_US;
		restart_one(source, (uint32_t)i);
		return; /* one per poll: each may wait for its answer */
	}
}

/* A group serves one store: two stores that commit into it would show lag tools nonsense, and
 * would hide that somebody pointed a second picket at the same group by mistake. */
enum status kafka_group_check(struct kafka_source *source, struct error *err)
{
	if (source->group_checked || source->wanted_count == 0)
		return OK;
	if (source->plan.group == NULL) {
		source->group_checked = true;
		return OK;
	}
	if (source->now_us < source->ask_us)
		return OK;
	rd_kafka_topic_partition_list_t *list cleanup(list_free) = wanted_list(source, true);
	if (list == NULL)
		return error_set(err, ENOMEMORY, "no memory to look at the group's offsets");
	rd_kafka_resp_err_t code = rd_kafka_committed(source->client, list, KAFKA_QUERY_MS);
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
		source->ask_us = source->now_us + KAFKA_RETRY_US;
		kafka_problem_code(source, code, source->plan.group,
				   "the group's offsets could not be had");
		return OK;
	}
	for (int i = 0; i < list->cnt; i++) {
		const rd_kafka_topic_partition_t *at = &list->elems[i];
		struct text metadata = {at->metadata, at->metadata == NULL ? 0 : at->metadata_size};
		struct text prefix = TEXT("picket:");
		if (!text_starts(metadata, prefix) ||
		    text_equal(text_cut(metadata, prefix.size), text_of(source->plan.store_id)))
			continue;
		return error_set(err, EINUSE,
				 "the Kafka group %s is in use by another picket store (%.*s; this "
				 "one is %s); give this one its own kafka.group_id, or remove it",
				 source->plan.group, TEXT_ARG(text_cut(metadata, prefix.size)),
				 source->plan.store_id);
	}
	source->group_checked = true;
	return OK;
}
