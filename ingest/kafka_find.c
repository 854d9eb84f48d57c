#include <assert.h>
#include <stdlib.h>

#include "ingest/kafka_private.h"

enum status kafka_pattern_new(struct text topic, struct kafka_pattern *ret_pattern,
			      struct error *err)
{
	if (topic.size == 0 || memchr(topic.data, '\0', topic.size) != NULL)
		return error_set(err, EINVALID, "kafka.topics holds an empty name; remove it");
	char *copy = strndup(topic.data, topic.size);
	if (copy == NULL)
		return error_set(err, ENOMEMORY, "no memory for the list of topics");
	struct kafka_pattern pattern = {.topic = copy, .is_regex = copy[0] == '^'};
	if (pattern.is_regex) {
		int code = regcomp(&pattern.regex, copy, REG_EXTENDED | REG_NOSUB);
		if (code != 0) {
			char why[256];
			(void)regerror(code, &pattern.regex, why, sizeof why);
			enum status status =
				error_set(err, EINVALID,
					  "kafka.topics: %s is not a valid regular expression: %s",
					  copy, why);
			free(copy);
			return status;
		}
	}
	*ret_pattern = pattern;
	return OK;
}

/* A topic is watched when a name or an expression asks for it. Kafka's own topics (two underscores)
 * are watched only when asked for in so many letters. */
static bool topic_watched(struct kafka_source *source, const char *topic)
{
	bool internal = strncmp(topic, "__", 2) == 0;
	bool watched = false;
	for (size_t i = 0; i < source->plan.pattern_count; i++) {
		struct kafka_pattern *pattern = &source->plan.patterns[i];
		if (!pattern->is_regex) {
			bool same = strcmp(pattern->topic, topic) == 0;
			pattern->seen = pattern->seen || same;
			watched = watched || same;
		} else if (!internal || strncmp(pattern->topic, "^__", 3) == 0) {
			watched = watched || regexec(&pattern->regex, topic, 0, NULL, 0) == 0;
		}
	}
	return watched;
}

static struct kafka_wanted *find_wanted(const struct kafka_source *source, const char *topic,
					int32_t partition)
{
	for (size_t i = 0; i < source->wanted_count; i++)
		if (source->wanted[i].partition == partition &&
		    strcmp(source->wanted[i].topic, topic) == 0)
			return &source->wanted[i];
	return NULL;
}

static bool topic_known_to_store(const struct kafka_source *source, const char *topic)
{
	for (size_t i = 0; i < source->plan.position_count; i++)
		if (strcmp(source->plan.positions[i].topic, topic) == 0)
			return true;
	return false;
}

/* kafka.start decides only while the store knows nothing at all. Later every partition that turns
 * up is new and read from its beginning: to start it at its end would lose records silently. A
 * whole topic that is new to a store with positions may also be an old one that was added to the
 * configuration, so what it holds is history. */
static struct kafka_wanted *want(struct kafka_source *source, const char *topic, int32_t partition)
{
	struct kafka_wanted *grown =
		realloc(source->wanted, (source->wanted_count + 1) * sizeof *grown);
	if (grown == NULL)
		return NULL;
	source->wanted = grown;
	char *copy = strdup(topic);
	if (copy == NULL)
		return NULL;
	grown[source->wanted_count] = (struct kafka_wanted){
		.topic = copy,
		.partition = partition,
		.first_start = !source->found && source->plan.position_count == 0,
		.history = !source->found && !topic_known_to_store(source, topic),
	};
	return &grown[source->wanted_count++];
}

static void look_at_partition(struct kafka_source *source, const char *topic,
			      const rd_kafka_metadata_partition_t *partition)
{
	if (source_share_of(text_of(topic), partition->id, source->plan.share_count) !=
		    source->plan.share ||
	    kafka_stream_find(source, topic, partition->id) != UINT32_MAX)
		return;
	struct kafka_wanted *wanted = find_wanted(source, topic, partition->id);
	if (wanted == NULL)
		wanted = want(source, topic, partition->id);
	if (wanted == NULL) {
		source->batch.failed = true;
		return;
	}
	wanted->leader = partition->leader >= 0;
	if (!wanted->leader)
		kafka_problem(source, RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, topic,
			      "Kafka topic %s: partition %d has no leader; it is read as soon as "
			      "a broker that holds it is back",
			      topic, partition->id);
}

static void look_at_topic(struct kafka_source *source, const rd_kafka_metadata_topic_t *topic)
{
	if (!topic_watched(source, topic->topic))
		return;
	if (topic->err != RD_KAFKA_RESP_ERR_NO_ERROR && topic->partition_cnt == 0)
		kafka_problem_code(source, topic->err, topic->topic, NULL);
	for (int i = 0; i < topic->partition_cnt; i++)
		look_at_partition(source, topic->topic, &topic->partitions[i]);
}

static void report_missing_topics(struct kafka_source *source)
{
	for (size_t i = 0; i < source->plan.pattern_count; i++) {
		const struct kafka_pattern *pattern = &source->plan.patterns[i];
		if (!pattern->is_regex && !pattern->seen && source->plan.share == 0)
			kafka_problem(
				source, RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, pattern->topic,
				"Kafka topic %s does not exist; create it or correct "
				"kafka.topics (it is read from its beginning as soon as it is there)",
				pattern->topic);
	}
}

/* Lists the cluster's topics. All of them at once: asking for one by name may create it. */
void kafka_find(struct kafka_source *source)
{
	if (source->now_us < source->find_us)
		return;
	const rd_kafka_metadata_t *metadata = NULL;
	rd_kafka_resp_err_t code =
		rd_kafka_metadata(source->client, 1, NULL, &metadata, KAFKA_QUERY_MS);
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
		source->find_us = source->now_us + KAFKA_RETRY_US;
		kafka_problem_code(source, code, source->plan.servers,
				   "the list of topics could not be had");
		return;
	}
	for (size_t i = 0; i < source->plan.pattern_count; i++)
		source->plan.patterns[i].seen = false;
	for (int i = 0; i < metadata->topic_cnt; i++)
		look_at_topic(source, &metadata->topics[i]);
	rd_kafka_metadata_destroy(metadata);
	report_missing_topics(source);
	source->found = true;
	/* A little early, so that with the query itself ten seconds are kept. */
	source->find_us = source->now_us + KAFKA_FIND_US - KAFKA_QUERY_MS * 1000;
	for (size_t i = 0; i < source->wanted_count; i++)
		if (!source->wanted[i].leader)
			source->find_us = source->now_us + KAFKA_RETRY_US;
	assert(source->find_us > source->now_us);
}
