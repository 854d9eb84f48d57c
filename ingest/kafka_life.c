#include <assert.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "ingest/kafka_private.h"

/* Callbacks of librdkafka, called inside the poll in the worker's thread. */

static int on_statistics(rd_kafka_t *client, char *json, size_t size, void *opaque)
{
	(void)client;
	kafka_idle_report(opaque, json, size);
	return 0; /* librdkafka frees it */
}

static void on_error(rd_kafka_t *client, int code, const char *reason, void *opaque)
{
	struct kafka_source *source = opaque;
	char fatal[512];
	if (code == RD_KAFKA_RESP_ERR__FATAL) {
		rd_kafka_resp_err_t why = rd_kafka_fatal_error(client, fatal, sizeof fatal);
		kafka_problem(source, (int)why, source->plan.servers,
			      "the Kafka client gave up: %s (%s); restart picket and report this",
			      fatal, rd_kafka_err2name(why));
		return;
	}
	kafka_problem_code(source, (rd_kafka_resp_err_t)code, source->plan.servers, reason);
}

static void on_commit(rd_kafka_t *client, rd_kafka_resp_err_t code,
		      rd_kafka_topic_partition_list_t *offsets, void *opaque)
{
	(void)client, (void)offsets;
	kafka_commit_told(opaque, code);
}

/* Destroying a client joins its threads, and those may hang (a partition deleted while it was read:
 * librdkafka before 2.6.1). So a thread of its own does it, and after a time it is left alone with
 * what it holds: a process that ends must end. */
struct farewell {
	rd_kafka_t *client;
	rd_kafka_queue_t *queue;
	int done; /* eventfd */
};

static void *say_farewell(void *argument)
{
	struct farewell *farewell = argument;
	if (farewell->queue != NULL)
		rd_kafka_queue_destroy(farewell->queue);
	rd_kafka_destroy_flags(farewell->client, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	(void)eventfd_write(farewell->done, 1);
	return NULL;
}

/* True when the client is gone and nothing can call back any more. */
static bool client_free(rd_kafka_t *client, rd_kafka_queue_t *queue)
{
	struct farewell *farewell = calloc(1, sizeof *farewell);
	pthread_t thread;
	if (farewell == NULL)
		return false;
	*farewell = (struct farewell){client, queue, eventfd(0, EFD_CLOEXEC)};
	if (farewell->done < 0 || pthread_create(&thread, NULL, say_farewell, farewell) != 0) {
		free(farewell);
		return false;
	}
	struct pollfd wait = {.fd = farewell->done, .events = POLLIN};
	if (poll(&wait, 1, KAFKA_FREE_MS) != 1) {
		(void)pthread_detach(thread);
		return false;
	}
	(void)pthread_join(thread, NULL);
	(void)close(farewell->done);
	free(farewell);
	return true;
}

/* The last positions, so that lag tools see the end of a graceful stop; waits a second at most. */
static void commit_last(struct kafka_source *source)
{
	if (source->plan.group == NULL || !source->group_checked)
		return;
	rd_kafka_topic_partition_list_t *list = kafka_commit_list(source);
	rd_kafka_queue_t *answers = list == NULL ? NULL : rd_kafka_queue_new(source->client);
	if (answers != NULL) {
		(void)rd_kafka_commit_queue(source->client, list, answers, NULL, NULL);
		rd_kafka_event_t *event = rd_kafka_queue_poll(answers, KAFKA_QUERY_MS);
		if (event != NULL)
			rd_kafka_event_destroy(event);
		rd_kafka_queue_destroy(answers);
	}
	if (list != NULL)
		rd_kafka_topic_partition_list_destroy(list);
}

static void plan_done(struct kafka_plan *plan)
{
	for (size_t i = 0; i < plan->pattern_count; i++) {
		if (plan->patterns[i].is_regex)
			regfree(&plan->patterns[i].regex);
		free(plan->patterns[i].topic);
	}
	free(plan->patterns);
	for (size_t i = 0; i < plan->position_count; i++)
		free(plan->positions[i].topic);
	free(plan->positions);
	free(plan->group);
	free(plan->servers);
}

static void kafka_free(struct source *base)
{
	struct kafka_source *source = (struct kafka_source *)base;
	if (source->batch.arena != NULL)
		kafka_batch_clear(&source->batch);
	if (source->client != NULL) {
		commit_last(source);
		if (!client_free(source->client, source->queue))
			return; /* its threads may still look at us */
	}
	for (size_t i = 0; i < source->stream_count; i++)
		free(source->streams[i].topic);
	free(source->streams);
	free(source->slots);
	for (size_t i = 0; i < source->wanted_count; i++)
		free(source->wanted[i].topic);
	free(source->wanted);
	free(source->letters.next);
	(void)pthread_mutex_destroy(&source->letters.mutex);
	free(source->batch.owned);
	free(source->batch.messages);
	free(source->batch.notices);
	free(source->batch.after);
	arena_free(&source->batch.arena);
	plan_done(&source->plan);
	free(source);
}

static enum status plan_topics(struct kafka_plan *plan, const struct kafka_options *options,
			       struct error *err)
{
	plan->patterns = calloc(options->topic_count, sizeof *plan->patterns);
	if (plan->patterns == NULL)
		return error_set(err, ENOMEMORY, "no memory for the list of topics");
	for (size_t i = 0; i < options->topic_count; i++) {
		enum status status = kafka_pattern_new(options->topics[i], &plan->patterns[i], err);
		if (status != OK)
			return status;
		plan->pattern_count++;
	}
	return OK;
}

static enum status plan_positions(struct kafka_plan *plan, const struct source_start *start,
				  struct error *err)
{
	plan->positions = calloc(start->position_count + 1, sizeof *plan->positions);
	if (plan->positions == NULL)
		return error_set(err, ENOMEMORY, "no memory for positions");
	for (size_t i = 0; i < start->position_count; i++) {
		const struct source_position *from = &start->positions[i];
		char *topic = strndup(from->topic.data, from->topic.size);
		if (topic == NULL)
			return error_set(err, ENOMEMORY, "no memory for positions");
		plan->positions[plan->position_count++] =
			(struct kafka_position){topic, from->partition, from->next_offset};
	}
	return OK;
}

static enum status plan_init(struct kafka_plan *plan, const struct kafka_options *options,
			     const struct source_start *start, struct error *err)
{
	plan->clock = start->clock;
	plan->share = start->share;
	plan->share_count = start->share_count;
	plan->start = options->start;
	plan->start_ago_us = options->start_ago_us;
	plan->stalled_after_us =
		options->stalled_after_us == 0 ? 60 * 1000000LL : options->stalled_after_us;
	for (size_t i = 0; i < sizeof options->store_id; i++)
		(void)snprintf(plan->store_id + 2 * i, 3, "%02x", options->store_id[i]);
	plan->servers = strdup(options->bootstrap_servers);
	plan->group = options->group_id == NULL ? NULL : strdup(options->group_id);
	if (plan->servers == NULL || (plan->group == NULL) != (options->group_id == NULL))
		return error_set(err, ENOMEMORY, "no memory for a Kafka source");
	enum status status = plan_topics(plan, options, err);
	return status == OK ? plan_positions(plan, start, err) : status;
}

static enum status client_new(struct kafka_source *source, const struct kafka_options *options,
			      struct error *err)
{
	rd_kafka_conf_t *conf = NULL;
	enum status status = kafka_config(options, &conf, err);
	if (status != OK)
		return status;
	rd_kafka_conf_set_opaque(conf, source);
	rd_kafka_conf_set_stats_cb(conf, on_statistics);
	rd_kafka_conf_set_error_cb(conf, on_error);
	rd_kafka_conf_set_offset_commit_cb(conf, on_commit);
	rd_kafka_conf_set_log_cb(conf, NULL); /* what matters comes as an error, and is told */
	char why[512];
	source->client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
	if (source->client == NULL) {
		rd_kafka_conf_destroy(conf);
		return error_set(err, EINVALID, "kafka: %s; correct kafka.librdkafka", why);
	}
	(void)rd_kafka_poll_set_consumer(source->client);
	source->queue = rd_kafka_queue_get_consumer(source->client);
	return source->queue == NULL ? error_set(err, ENOMEMORY, "no memory for a Kafka source")
				     : OK;
}

enum status source_kafka_new(const struct kafka_options *options, const struct source_start *start,
			     struct source **ret_source, struct error *err)
{
	static const struct source_ops kafka_ops = {.poll = kafka_poll,
						    .committed = kafka_committed,
						    .lag = kafka_lag,
						    .free = kafka_free,
						    .endless = true};
	assert(start->share_count > 0 && start->share < start->share_count);
	assert(start->clock.now_us != NULL);
	enum status status = kafka_options_check(options, err);
	if (status != OK)
		return status;
	struct kafka_source *made = calloc(1, sizeof *made);
	if (made == NULL)
		return error_set(err, ENOMEMORY, "no memory for a Kafka source");
	made->base.ops = &kafka_ops;
	(void)pthread_mutex_init(&made->letters.mutex, NULL);
	struct source *source cleanup(source_free) = &made->base;
	made->batch.arena = arena_new(KAFKA_BATCH_BYTES_MAX);
	if (made->batch.arena == NULL)
		return error_set(err, ENOMEMORY, "no memory for a Kafka source");
	status = plan_init(&made->plan, options, start, err);
	if (status == OK)
		status = client_new(made, options, err);
	if (status != OK)
		return status;
	*ret_source = TAKE(source);
	return OK;
}
