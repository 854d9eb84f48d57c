/* The Kafka source against librdkafka's mock cluster: starts, shares, gaps, the proof of idleness,
 * broken brokers. What the mock cannot do (transactions, deleted records, TLS, SASL) is tested
 * against a real broker in tests/e2e. */
#include <check.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ingest/source.h"

enum { BATCH = 500, STREAMS = 16, SECOND = 1000000 };

static int64_t now_us(void *context)
{
	(void)context;
	struct timespec now;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * (int64_t)SECOND + now.tv_nsec / 1000;
}

struct broker {
	rd_kafka_t *producer;
	rd_kafka_mock_cluster_t *cluster;
};

static struct broker broker_start(void)
{
	struct broker broker = {0};
	char why[512];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_conf_set_log_cb(conf, NULL);
	ck_assert_int_eq(rd_kafka_conf_set(conf, "test.mock.num.brokers", "1", why, sizeof why), 0);
	ck_assert_int_eq(rd_kafka_conf_set(conf, "linger.ms", "2", why, sizeof why), 0);
	broker.producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
	ck_assert_ptr_nonnull(broker.producer);
	broker.cluster = rd_kafka_handle_mock_cluster(broker.producer);
	ck_assert_ptr_nonnull(broker.cluster);
	return broker;
}

static void broker_stop(struct broker *broker)
{
	rd_kafka_destroy(broker->producer);
}

static void topic(struct broker *broker, const char *name, int partitions)
{
	ck_assert_int_eq(rd_kafka_mock_topic_create(broker->cluster, name, partitions, 1), 0);
}

static void produce(struct broker *broker, const char *name, int32_t partition, int count,
		    size_t size)
{
	char *payload = calloc(1, size + 32);
	ck_assert_ptr_nonnull(payload);
	for (int i = 0; i < count; i++) {
		(void)snprintf(payload, size + 32, "%s/%d:%0*d", name, partition,
			       (int)(size < 12 ? 1 : size - 10), i);
		rd_kafka_resp_err_t code;
		do {
			code = rd_kafka_producev(
				broker->producer, RD_KAFKA_V_TOPIC(name),
				RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_KEY("key", 3),
				RD_KAFKA_V_VALUE(payload, strlen(payload)),
				RD_KAFKA_V_HEADER("tenant", "acme", 4),
				RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
			(void)rd_kafka_poll(broker->producer,
					    code == RD_KAFKA_RESP_ERR__QUEUE_FULL ? 10 : 0);
		} while (code == RD_KAFKA_RESP_ERR__QUEUE_FULL);
		ck_assert_int_eq(code, 0);
	}
	ck_assert_int_eq(rd_kafka_flush(broker->producer, 20000), 0);
	free(payload);
}

/* What came out of a source so far. */
struct heard {
	struct source *source;
	size_t streams, ready, messages, ticks, stalls, resumes, gaps, rewinds, problems;
	int64_t start[STREAMS], end[STREAMS], backfill[STREAMS], next[STREAMS], count[STREAMS];
	int32_t partition[STREAMS];
	int64_t tick_us[STREAMS], tick_offset[STREAMS];
	struct source_notice gap;
	char problem[2048]; /* all of them */
	enum status status;
	struct error err;
};

static void hear_notice(struct heard *heard, const struct source_notice *notice)
{
	uint32_t stream = notice->stream;
	switch (notice->kind) {
	case SOURCE_STREAM_ADDED:
		ck_assert_uint_eq(stream, heard->streams);
		ck_assert_uint_lt(stream, STREAMS);
		heard->streams++;
		heard->start[stream] = heard->next[stream] = notice->offset;
		heard->end[stream] = notice->end_offset;
		heard->backfill[stream] = notice->backfill_until;
		heard->partition[stream] = notice->partition;
		return;
	case SOURCE_READY:
		heard->ready++;
		return;
	case SOURCE_PROBLEM: {
		size_t used = strlen(heard->problem);
		(void)snprintf(heard->problem + used, sizeof heard->problem - used, "%.*s\n",
			       TEXT_ARG(notice->text));
		heard->problems++;
		return;
	}
	default:
		break;
	}
	ck_assert_uint_lt(stream, heard->streams);
	heard->stalls += notice->kind == SOURCE_STALLED;
	heard->resumes += notice->kind == SOURCE_RESUMED;
	heard->gaps += notice->kind == SOURCE_GAP;
	heard->rewinds += notice->kind == SOURCE_REWOUND;
	if (notice->kind == SOURCE_GAP || notice->kind == SOURCE_REWOUND)
		heard->gap = *notice;
	if (notice->kind == SOURCE_TICK) {
		heard->ticks++;
		ck_assert_int_ge(notice->time_us, heard->tick_us[stream]);
		ck_assert_int_le(notice->time_us, now_us(NULL));
		ck_assert_int_eq(notice->offset, heard->next[stream]);
		heard->tick_us[stream] = notice->time_us;
		heard->tick_offset[stream] = notice->offset;
	}
}

static void hear(struct heard *heard, int seconds_10, bool (*enough)(const struct heard *))
{
	int64_t until = now_us(NULL) + seconds_10 * (SECOND / 10);
	while (now_us(NULL) < until && (enough == NULL || !enough(heard)) && heard->status == OK) {
		struct source_batch batch = {0};
		heard->status =
			heard->source->ops->poll(heard->source, 50, BATCH, &batch, &heard->err);
		size_t told = 0;
		for (size_t i = 0; i <= batch.message_count; i++) {
			for (; told < batch.notice_count && batch.notice_after[told] <= i; told++)
				hear_notice(heard, &batch.notices[told]);
			if (i == batch.message_count)
				break;
			const struct message *message = &batch.messages[i];
			ck_assert_int_eq(message->offset, heard->next[message->stream]);
			heard->next[message->stream] = message->offset + 1;
			heard->count[message->stream]++;
			heard->messages++;
		}
	}
}

struct setup {
	struct kafka_options options;
	struct source_start start;
	struct text topics[4];
	struct source_position positions[4];
	struct kafka_property properties[4];
};

static struct setup setup(struct broker *broker, const char *topic_pattern)
{
	struct setup made = {0};
	made.options.bootstrap_servers = rd_kafka_mock_cluster_bootstraps(broker->cluster);
	made.topics[0] = text_of(topic_pattern);
	made.options.topic_count = 1;
	made.options.start = KAFKA_START_EARLIEST;
	made.start.share_count = 1;
	made.start.clock.now_us = now_us;
	return made;
}

static struct heard open_source(struct setup *with)
{
	struct heard heard = {0};
	with->options.topics = with->topics;
	with->options.properties = with->properties;
	with->start.positions = with->positions;
	ck_assert_msg(source_kafka_new(&with->options, &with->start, &heard.source, &heard.err) ==
			      OK,
		      "%s", heard.err.text);
	return heard;
}

static bool is_ready(const struct heard *heard)
{
	return heard->ready > 0;
}

static bool has_100(const struct heard *heard)
{
	return heard->messages >= 100;
}

static bool has_problem(const struct heard *heard)
{
	return heard->problems > 0;
}

static bool has_tick(const struct heard *heard)
{
	return heard->ticks > 0;
}

static bool has_stall(const struct heard *heard)
{
	return heard->stalls > 0;
}

static bool has_resume(const struct heard *heard)
{
	return heard->resumes > 0;
}

START_TEST(reads_everything_from_the_beginning)
{
	struct broker broker = broker_start();
	topic(&broker, "logs-a", 2);
	produce(&broker, "logs-a", 0, 60, 100);
	produce(&broker, "logs-a", 1, 40, 100);
	struct setup with = setup(&broker, "^logs-.*");
	struct heard heard = open_source(&with);
	hear(&heard, 150, has_100);
	ck_assert_uint_eq(heard.messages, 100);
	ck_assert_uint_eq(heard.streams, 2);
	ck_assert_uint_eq(heard.ready, 1);
	for (size_t i = 0; i < 2; i++) {
		ck_assert_int_eq(heard.start[i], 0);
		ck_assert_int_eq(heard.count[i], heard.partition[i] == 0 ? 60 : 40);
		/* What was there at the first start is history. */
		ck_assert_int_eq(heard.backfill[i], heard.count[i]);
		struct source_lag lag = heard.source->ops->lag(heard.source, (uint32_t)i);
		ck_assert_int_eq(lag.next_offset, heard.count[i]);
		ck_assert_int_eq(lag.end_offset, heard.count[i]);
	}
	source_free(&heard.source);
	broker_stop(&broker);
}
END_TEST

START_TEST(message_parts_come_through)
{
	struct broker broker = broker_start();
	topic(&broker, "one", 1);
	produce(&broker, "one", 0, 1, 20);
	ck_assert_int_eq(rd_kafka_producev(broker.producer, RD_KAFKA_V_TOPIC("one"),
					   RD_KAFKA_V_PARTITION(0), RD_KAFKA_V_KEY("gone", 4),
					   RD_KAFKA_V_END),
			 0);
	ck_assert_int_eq(rd_kafka_flush(broker.producer, 5000), 0);
	struct setup with = setup(&broker, "one");
	struct heard heard = open_source(&with);
	size_t seen = 0;
	for (int i = 0; i < 200 && seen < 2; i++) {
		struct source_batch batch = {0};
		ck_assert_int_eq(heard.source->ops->poll(heard.source, 50, 1, &batch, NULL), OK);
		for (size_t k = 0; k < batch.message_count; k++, seen++) {
			const struct message *message = &batch.messages[k];
			if (message->offset == 0) {
				ck_assert(text_equal(message->key, TEXT("key")));
				ck_assert_uint_eq(message->header_count, 1);
				ck_assert(text_equal(message->headers[0].name, TEXT("tenant")));
				ck_assert(text_equal(message->headers[0].value, TEXT("acme")));
				ck_assert(text_starts(message->payload, TEXT("one/0:")));
			} else {
				ck_assert(text_equal(message->key, TEXT("gone")));
				ck_assert_ptr_null(message->payload.data);
			}
			ck_assert_int_lt(llabs(now_us(NULL) - message->record_time_us),
					 10 * SECOND);
		}
	}
	ck_assert_uint_eq(seen, 2);
	source_free(&heard.source);
	broker_stop(&broker);
}
END_TEST

START_TEST(latest_skips_what_was_there_and_positions_win)
{
	struct broker broker = broker_start();
	topic(&broker, "logs-a", 1);
	produce(&broker, "logs-a", 0, 50, 100);
	struct setup with = setup(&broker, "logs-a");
	with.options.start = KAFKA_START_LATEST;
	struct heard heard = open_source(&with);
	hear(&heard, 100, is_ready);
	ck_assert_int_eq(heard.start[0], 50);
	ck_assert_int_eq(heard.backfill[0], 0);
	produce(&broker, "logs-a", 0, 100, 100);
	hear(&heard, 100, has_100);
	ck_assert_uint_eq(heard.messages, 100);
	source_free(&heard.source);
	with.positions[0] = (struct source_position){TEXT("logs-a"), 0, 30};
	with.start.position_count = 1;
	heard = open_source(&with);
	hear(&heard, 100, has_100);
	ck_assert_int_eq(heard.start[0], 30);
	ck_assert_int_eq(heard.backfill[0], 0);
	hear(&heard, 10, NULL);
	ck_assert_uint_eq(heard.messages, 120);
	source_free(&heard.source);
	broker_stop(&broker);
}
END_TEST

static bool has_two_streams(const struct heard *heard)
{
	return heard->streams >= 2 && heard->messages >= 10;
}

/* A topic that appears later is new data: from its beginning, also with start: latest. */
START_TEST(new_topic_is_found_within_ten_seconds)
{
	struct broker broker = broker_start();
	topic(&broker, "logs-a", 1);
	topic(&broker, "other", 1);
	struct setup with = setup(&broker, "^logs-.*");
	with.options.start = KAFKA_START_LATEST;
	struct heard heard = open_source(&with);
	hear(&heard, 100, is_ready);
	ck_assert_uint_eq(heard.streams, 1);
	topic(&broker, "logs-b", 1);
	produce(&broker, "logs-b", 0, 10, 100);
	hear(&heard, 110, has_two_streams);
	ck_assert_uint_eq(heard.streams, 2);
	ck_assert_int_eq(heard.start[1], 0);
	ck_assert_int_eq(heard.backfill[1], 0);
	ck_assert_uint_eq(heard.messages, 10);
	source_free(&heard.source);
	broker_stop(&broker);
}
END_TEST

START_TEST(shares_split_the_partitions)
{
	struct broker broker = broker_start();
	topic(&broker, "logs-a", 8);
	for (int32_t i = 0; i < 8; i++)
		produce(&broker, "logs-a", i, 5 + i, 50);
	size_t messages = 0, streams = 0;
	bool seen[8] = {0};
	for (unsigned share = 0; share < 2; share++) {
		struct setup with = setup(&broker, "logs-a");
		with.start.share = share;
		with.start.share_count = 2;
		struct heard heard = open_source(&with);
		hear(&heard, 20, NULL);
		ck_assert_uint_eq(heard.ready, 1);
		for (size_t i = 0; i < heard.streams; i++) {
			ck_assert(!seen[heard.partition[i]]);
			seen[heard.partition[i]] = true;
			ck_assert_int_eq(heard.count[i], 5 + heard.partition[i]);
		}
		messages += heard.messages;
		streams += heard.streams;
		source_free(&heard.source);
	}
	ck_assert_uint_eq(streams, 8);
	ck_assert_uint_eq(messages, 8 * 5 + 28);
	broker_stop(&broker);
}
END_TEST

/* The mock keeps 5 MiB of a partition: what was dropped must be told exactly. */
START_TEST(retention_is_a_gap)
{
	struct broker broker = broker_start();
	topic(&broker, "logs-a", 1);
	produce(&broker, "logs-a", 0, 8000, 1000);
	struct setup with = setup(&broker, "logs-a");
	with.positions[0] = (struct source_position){TEXT("logs-a"), 0, 5};
	with.start.position_count = 1;
	struct heard heard = open_source(&with);
	hear(&heard, 30, NULL);
	ck_assert_uint_eq(heard.gaps, 1);
	ck_assert_int_eq(heard.gap.offset, 5);
	ck_assert_int_gt(heard.gap.end_offset, 1000);
	ck_assert_int_eq(heard.start[0], heard.gap.end_offset);
	ck_assert_int_eq(heard.gap.end_offset + (int64_t)heard.messages, 8000);
	source_free(&heard.source);
	broker_stop(&broker);
}
END_TEST

START_TEST(shorter_log_is_rewound)
{
	struct broker broker = broker_start();
	topic(&broker, "logs-a", 1);
	produce(&broker, "logs-a", 0, 100, 100);
	struct setup with = setup(&broker, "logs-a");
	with.positions[0] = (struct source_position){TEXT("logs-a"), 0, 5000};
	with.start.position_count = 1;
	struct heard heard = open_source(&with);
	hear(&heard, 100, has_100);
	ck_assert_uint_eq(heard.rewinds, 1);
	ck_assert_int_eq(heard.gap.offset, 0);
	ck_assert_uint_eq(heard.messages, 100);
	source_free(&heard.source);
	broker_stop(&broker);
}
END_TEST

/* The broker says "out of range" in the middle: the range is asked, and as it holds our position
 * after all, reading goes on where it was, without a word and without a repeated message. */
START_TEST(out_of_range_while_reading)
{
	struct broker broker = broker_start();
	topic(&broker, "logs-a", 1);
	produce(&broker, "logs-a", 0, 50, 100);
	struct setup with = setup(&broker, "logs-a");
	struct heard heard = open_source(&with);
	hear(&heard, 20, NULL);
	ck_assert_uint_eq(heard.messages, 50);
	rd_kafka_mock_topic_set_error(broker.cluster, "logs-a",
				      RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE);
	hear(&heard, 10, NULL);
	rd_kafka_mock_topic_set_error(broker.cluster, "logs-a", RD_KAFKA_RESP_ERR_NO_ERROR);
	produce(&broker, "logs-a", 0, 50, 100);
	hear(&heard, 150, has_100);
	ck_assert_uint_eq(heard.messages, 100);
	ck_assert_uint_eq(heard.gaps + heard.rewinds, 0);
	source_free(&heard.source);
	broker_stop(&broker);
}
END_TEST

/* Ticks come while the broker answers, stop when it does not, and come again; an outage becomes a
 * stall after its time. */
START_TEST(idleness_is_proved)
{
	struct broker broker = broker_start();
	topic(&broker, "logs-a", 1);
	produce(&broker, "logs-a", 0, 20, 100);
	struct setup with = setup(&broker, "logs-a");
	with.options.stalled_after_us = 4 * SECOND;
	struct heard heard = open_source(&with);
	int64_t began = now_us(NULL);
	hear(&heard, 150, has_tick);
	ck_assert_uint_gt(heard.ticks, 0);
	ck_assert_int_eq(heard.tick_offset[0], 20);
	ck_assert_int_ge(heard.tick_us[0], began);
	ck_assert_int_gt(heard.tick_us[0], now_us(NULL) - 4 * SECOND);
	ck_assert_uint_eq(heard.stalls, 0);
	rd_kafka_mock_broker_set_down(broker.cluster, 1);
	int64_t down = now_us(NULL);
	hear(&heard, 150, has_stall);
	ck_assert_uint_eq(heard.stalls, 1);
	ck_assert_int_ge(now_us(NULL) - down, 3 * SECOND);
	ck_assert_int_le(heard.tick_us[0], down + SECOND / 10);
	ck_assert_uint_gt(heard.problems, 0);
	ck_assert_ptr_nonnull(strstr(heard.problem, "check that the broker runs"));
	ck_assert(heard.source->ops->lag(heard.source, 0).stalled);
	rd_kafka_mock_broker_set_up(broker.cluster, 1);
	hear(&heard, 150, has_resume);
	ck_assert_uint_eq(heard.resumes, 1);
	ck_assert_uint_eq(heard.messages, 20);
	source_free(&heard.source);
	broker_stop(&broker);
}
END_TEST

/* A partition that is not read to its end gives no tick, however long it lasts. */
START_TEST(no_tick_before_the_end)
{
	struct broker broker = broker_start();
	topic(&broker, "logs-a", 1);
	produce(&broker, "logs-a", 0, 2000, 100);
	struct setup with = setup(&broker, "logs-a");
	struct heard heard = open_source(&with);
	int64_t until = now_us(NULL) + 8 * SECOND;
	while (now_us(NULL) < until) { /* slowly: one message per poll */
		struct source_batch batch = {0};
		ck_assert_int_eq(heard.source->ops->poll(heard.source, 50, 1, &batch, NULL), OK);
		for (size_t i = 0; i < batch.notice_count; i++)
			ck_assert_int_ne(batch.notices[i].kind, SOURCE_TICK);
		(void)nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
	}
	source_free(&heard.source);
	broker_stop(&broker);
}
END_TEST

START_TEST(group_of_another_store_is_refused)
{
	struct broker broker = broker_start();
	topic(&broker, "logs-a", 1);
	produce(&broker, "logs-a", 0, 100, 100);
	struct setup with = setup(&broker, "logs-a");
	with.options.group_id = "picket-test";
	with.options.store_id[0] = 1;
	struct heard heard = open_source(&with);
	hear(&heard, 200, has_100);
	ck_assert_uint_eq(heard.messages, 100);
	heard.source->ops->committed(heard.source, 0, 70);
	source_free(&heard.source); /* commits what is left */
	heard = open_source(&with); /* the same store: welcome */
	hear(&heard, 200, is_ready);
	ck_assert_int_eq(heard.status, OK);
	ck_assert_uint_eq(heard.ready, 1);
	ck_assert_int_eq(heard.start[0], 0); /* group offsets never decide where reading starts */
	source_free(&heard.source);
	with.options.store_id[0] = 2;
	heard = open_source(&with);
	hear(&heard, 200, is_ready);
	ck_assert_int_eq(heard.status, EINUSE);
	ck_assert_ptr_nonnull(strstr(heard.err.text, "picket-test"));
	source_free(&heard.source);
	broker_stop(&broker);
}
END_TEST

START_TEST(unreachable_broker_is_a_problem_and_no_hang)
{
	struct setup with = {0};
	with.options.bootstrap_servers = "127.0.0.1:1";
	with.topics[0] = TEXT("logs-a");
	with.options.topic_count = 1;
	with.start.share_count = 1;
	with.start.clock.now_us = now_us;
	struct heard heard = open_source(&with);
	hear(&heard, 100, has_problem);
	ck_assert_uint_gt(heard.problems, 0);
	ck_assert_ptr_nonnull(strstr(heard.problem, "127.0.0.1:1"));
	ck_assert_uint_eq(heard.ready, 0);
	size_t before = heard.problems;
	hear(&heard, 30, NULL);
	ck_assert_uint_le(heard.problems, before + 3); /* told seldom, not at every poll */
	int64_t began = now_us(NULL);
	source_free(&heard.source);
	ck_assert_int_lt(now_us(NULL) - began, 5 * SECOND);
}
END_TEST

START_TEST(missing_topic_is_a_problem)
{
	struct broker broker = broker_start();
	topic(&broker, "logs-a", 1);
	struct setup with = setup(&broker, "logs-typo");
	struct heard heard = open_source(&with);
	hear(&heard, 100, has_problem);
	ck_assert_ptr_nonnull(strstr(heard.problem, "logs-typo does not exist"));
	source_free(&heard.source);
	broker_stop(&broker);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("source_kafka");
	TCase *cases = tcase_create("mock cluster");
	tcase_set_timeout(cases, 120);
	tcase_add_test(cases, reads_everything_from_the_beginning);
	tcase_add_test(cases, message_parts_come_through);
	tcase_add_test(cases, latest_skips_what_was_there_and_positions_win);
	tcase_add_test(cases, new_topic_is_found_within_ten_seconds);
	tcase_add_test(cases, shares_split_the_partitions);
	tcase_add_test(cases, retention_is_a_gap);
	tcase_add_test(cases, shorter_log_is_rewound);
	tcase_add_test(cases, out_of_range_while_reading);
	tcase_add_test(cases, idleness_is_proved);
	tcase_add_test(cases, no_tick_before_the_end);
	tcase_add_test(cases, group_of_another_store_is_refused);
	tcase_add_test(cases, unreachable_broker_is_a_problem_and_no_hang);
	tcase_add_test(cases, missing_topic_is_a_problem);
	suite_add_tcase(suite, cases);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
