/* The proof of idleness.
 *
 * A partition without news looks like a broken one. librdkafka tells the end of a partition once
 * per end offset and says nothing while a broker is down, so "no message came" proves nothing. Two
 * statistics reports R1, R2 do:
 *
 *   - in both the partition has the same leader, this leader is UP and being fetched from;
 *   - between them at least two more Fetch requests went to it. librdkafka keeps one request per
 *     broker in flight, so the second left after the answer to the first had come; and the first
 *     left after R1. Its answer, which set the high watermark that R2 shows, was therefore made by
 *     the broker after R1: what was in the log at R1 lies below that high watermark;
 *   - our next offset equals that high watermark: all of it was handed out.
 *
 * So at the time of R1 everything had been read: that is the tick's time. It is given only after
 * KAFKA_IDLE_AFTER_US without a message, since a record carries the time further itself, and by
 * its event time: a tick between the records of a slow log shipper would make them late.
 *
 * The offset behind the last message may be a transaction's marker, which is never delivered; the
 * end-of-partition event carries the offset behind it and moves our next offset there. An open
 * transaction keeps the high watermark above us: no proof, which is right.
 *
 * When R1 was made: not before the last time the queue was seen empty, because R1 was not in it.
 *
 * What remains: a leader that lost its partition within these two seconds answers without news
 * until librdkafka has learned of the new one (fetch.error.backoff.ms, then a metadata query: well
 * below the lateness bound). Source: librdkafka's own
 * description of its statistics. */
#include <assert.h>
#include <json-c/json.h>
#include <stdlib.h>

#include "ingest/kafka_private.h"

static int64_t number_of(json_object *object, const char *name)
{
	json_object *member = NULL;
	return json_object_object_get_ex(object, name, &member) ? json_object_get_int64(member)
								: -1;
}

static struct text word_of(json_object *object, const char *name)
{
	json_object *member = NULL;
	return json_object_object_get_ex(object, name, &member)
		       ? text_of(json_object_get_string(member))
		       : TEXT("");
}

/* Fetch requests sent to a broker that is up; -1 when it is not. */
static int64_t fetches_of(json_object *brokers, int64_t node)
{
	json_object_object_foreach(brokers, name, broker)
	{
		(void)name;
		json_object *requests = NULL;
		if (number_of(broker, "nodeid") != node)
			continue;
		if (!text_equal(word_of(broker, "state"), TEXT("UP")) ||
		    !json_object_object_get_ex(broker, "req", &requests))
			return -1;
		return number_of(requests, "Fetch");
	}
	return -1;
}

static void see_partition(struct kafka_source *source, const char *topic, json_object *partition,
			  json_object *brokers)
{
	int64_t id = number_of(partition, "partition");
	if (id < 0 || id > INT32_MAX)
		return; /* -1 is librdkafka's place for records without a partition */
	uint32_t index = kafka_stream_find(source, topic, (int32_t)id);
	if (index == UINT32_MAX)
		return;
	int64_t leader = number_of(partition, "leader");
	int64_t fetches = leader < 0 ? -1 : fetches_of(brokers, leader);
	int64_t end = number_of(partition, "hi_offset");
	struct kafka_stream *stream = &source->streams[index];
	stream->later = (struct kafka_sight){
		.time_us = source->emptied_us,
		.leader = (int32_t)leader,
		.fetches = fetches < 0 ? 0 : (uint64_t)fetches,
		.end = end,
		.sound = source->emptied_us > 0 && fetches >= 0 && end >= 0 && !stream->lost &&
			 number_of(partition, "broker") == leader &&
			 text_equal(word_of(partition, "fetch_state"), TEXT("active")),
	};
	if (end > stream->end)
		stream->end = end;
}

void kafka_idle_report(struct kafka_source *source, const char *json, size_t size)
{
	assert(size <= INT32_MAX);
	struct json_tokener *tokener = json_tokener_new();
	json_object *report =
		tokener == NULL ? NULL : json_tokener_parse_ex(tokener, json, (int)size);
	json_object *brokers = NULL, *topics = NULL;
	for (size_t i = 0; i < source->stream_count; i++) {
		source->streams[i].earlier = source->streams[i].later;
		source->streams[i].later = (struct kafka_sight){0};
	}
	if (json_object_object_get_ex(report, "brokers", &brokers) &&
	    json_object_object_get_ex(report, "topics", &topics)) {
		json_object_object_foreach(topics, name, topic)
		{
			json_object *partitions = NULL;
			if (!json_object_object_get_ex(topic, "partitions", &partitions))
				continue;
			json_object_object_foreach(partitions, id, partition)
			{
				(void)id;
				see_partition(source, name, partition, brokers);
			}
		}
	}
	json_object_put(report);
	if (tokener != NULL)
		json_tokener_free(tokener);
	source->reported = true;
}

static bool proved_idle(const struct kafka_stream *stream)
{
	const struct kafka_sight *earlier = &stream->earlier, *later = &stream->later;
	return earlier->sound && later->sound && earlier->leader == later->leader &&
	       later->fetches >= earlier->fetches + 2 && stream->next == later->end;
}

static void resume(struct kafka_source *source, uint32_t index)
{
	struct kafka_stream *stream = &source->streams[index];
	stream->alive_us = source->now_us;
	if (!stream->stalled)
		return;
	stream->stalled = false;
	kafka_notice(source, (struct source_notice){.kind = SOURCE_RESUMED,
						    .stream = index,
						    .offset = stream->next,
						    .time_us = source->now_us});
}

/* After a poll: ticks for what is proved, stalls for what has been silent without proof. A stall
 * is told only when the queue has just been seen empty: a worker that was kept from polling finds
 * its proof in the queue. */
void kafka_idle_notices(struct kafka_source *source)
{
	bool emptied = source->emptied_us + KAFKA_QUERY_MS * 1000 >= source->now_us;
	for (uint32_t i = 0; i < source->stream_count; i++) {
		struct kafka_stream *stream = &source->streams[i];
		bool data = stream->data_us == source->now_us;
		bool idle = source->reported && proved_idle(stream);
		if (data || idle)
			resume(source, i);
		if (idle && source->now_us - stream->data_us >= KAFKA_IDLE_AFTER_US)
			kafka_notice(source,
				     (struct source_notice){.kind = SOURCE_TICK,
							    .stream = i,
							    .offset = stream->next,
							    .time_us = stream->earlier.time_us});
		if (!stream->stalled && emptied &&
		    source->now_us - stream->alive_us >= source->plan.stalled_after_us) {
			stream->stalled = true;
			kafka_notice(source, (struct source_notice){.kind = SOURCE_STALLED,
								    .stream = i,
								    .offset = stream->next,
								    .time_us = stream->alive_us});
		}
	}
	source->reported = false;
}
