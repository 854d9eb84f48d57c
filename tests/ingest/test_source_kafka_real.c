/* The Kafka source against a real broker: what the mock cluster cannot do. Transactions, deleted
 * records, starts by time, added partitions, TLS with SCRAM, TLS with a client certificate.
 *
 * PICKET_KAFKA       host:port, PLAINTEXT; without it everything here is skipped
 * PICKET_KAFKA_DIR   the folder of tests/e2e/kafka.sh (secure): for the two TLS listeners */
#include <check.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "ingest/source.h"

enum { SECOND = 1000000, NAME = 128, PATH = 512 };

static int64_t now_us(void *context)
{
	(void)context;
	struct timespec now;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * (int64_t)SECOND + now.tv_nsec / 1000;
}

static const char *broker(void)
{
	const char *address = getenv("PICKET_KAFKA");
	if (address == NULL || address[0] == '\0') {
		(void)printf("SKIP: no real Kafka (PICKET_KAFKA is not set)\n");
		return NULL;
	}
	return address;
}

static rd_kafka_t *producer_new(const char *address, const char *transactional_id)
{
	char why[512];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	ck_assert_int_eq(rd_kafka_conf_set(conf, "bootstrap.servers", address, why, sizeof why), 0);
	if (transactional_id != NULL)
		ck_assert_int_eq(rd_kafka_conf_set(conf, "transactional.id", transactional_id, why,
						   sizeof why),
				 0);
	rd_kafka_t *producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
	ck_assert_ptr_nonnull(producer);
	return producer;
}

static void produce(rd_kafka_t *producer, const char *topic, int32_t partition, int count)
{
	char hello[] = "hello";
	for (int i = 0; i < count; i++)
		ck_assert_int_eq(rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic),
						   RD_KAFKA_V_PARTITION(partition),
						   RD_KAFKA_V_VALUE(hello, 5), RD_KAFKA_V_END),
				 0);
	ck_assert_int_eq(rd_kafka_flush(producer, 20000), 0);
}

static void wait_for_answer(rd_kafka_queue_t *queue, const char *what)
{
	rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 20000);
	ck_assert_msg(event != NULL, "%s: no answer", what);
	ck_assert_msg(rd_kafka_event_error(event) == 0, "%s: %s", what,
		      rd_kafka_event_error_string(event));
	rd_kafka_event_destroy(event);
}

static void topic_new(rd_kafka_t *client, const char *name, int partitions)
{
	char why[512];
	rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
	rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, partitions, 1, why, sizeof why);
	rd_kafka_CreateTopics(client, &topic, 1, NULL, queue);
	wait_for_answer(queue, "create topic");
	rd_kafka_NewTopic_destroy(topic);
	rd_kafka_queue_destroy(queue);
	(void)sleep(1); /* until every part of the broker knows it */
}

static void add_partitions(rd_kafka_t *client, const char *name, size_t count)
{
	char why[512];
	rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
	rd_kafka_NewPartitions_t *more = rd_kafka_NewPartitions_new(name, count, why, sizeof why);
	rd_kafka_CreatePartitions(client, &more, 1, NULL, queue);
	wait_for_answer(queue, "add partitions");
	rd_kafka_NewPartitions_destroy(more);
	rd_kafka_queue_destroy(queue);
}

static void delete_records(rd_kafka_t *client, const char *name, int64_t before)
{
	rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(list, name, 0)->offset = before;
	rd_kafka_DeleteRecords_t *request = rd_kafka_DeleteRecords_new(list);
	rd_kafka_DeleteRecords(client, &request, 1, NULL, queue);
	wait_for_answer(queue, "delete records");
	rd_kafka_DeleteRecords_destroy(request);
	rd_kafka_topic_partition_list_destroy(list);
	rd_kafka_queue_destroy(queue);
}

struct heard {
	struct source *source;
	size_t streams, ready, messages, ticks, gaps, problems;
	int64_t last_offset, tick_offset, start;
	struct source_notice gap;
	char problem[1024];
};

struct wanted {
	size_t messages, ticks, gaps, streams;
};

static void hear_notice(struct heard *heard, const struct source_notice *notice)
{
	heard->streams += notice->kind == SOURCE_STREAM_ADDED;
	heard->ready += notice->kind == SOURCE_READY;
	heard->ticks += notice->kind == SOURCE_TICK;
	heard->gaps += notice->kind == SOURCE_GAP;
	if (notice->kind == SOURCE_STREAM_ADDED && notice->partition == 0)
		heard->start = notice->offset;
	if (notice->kind == SOURCE_TICK && notice->stream == 0)
		heard->tick_offset = notice->offset;
	if (notice->kind == SOURCE_GAP)
		heard->gap = *notice;
	if (notice->kind == SOURCE_PROBLEM) {
		heard->problems++;
		(void)snprintf(heard->problem, sizeof heard->problem, "%.*s",
			       TEXT_ARG(notice->text));
	}
}

static void hear(struct heard *heard, int seconds, struct wanted wanted)
{
	int64_t until = now_us(NULL) + seconds * (int64_t)SECOND;
	while (now_us(NULL) < until &&
	       (heard->messages < wanted.messages || heard->ticks < wanted.ticks ||
		heard->gaps < wanted.gaps || heard->streams < wanted.streams)) {
		struct source_batch batch = {0};
		struct error err = {0};
		ck_assert_msg(heard->source->ops->poll(heard->source, 50, 500, &batch, &err) == OK,
			      "%s", err.text);
		for (size_t i = 0; i < batch.notice_count; i++)
			hear_notice(heard, &batch.notices[i]);
		heard->messages += batch.message_count;
		if (batch.message_count > 0)
			heard->last_offset = batch.messages[batch.message_count - 1].offset;
	}
}

static struct heard open_with(struct kafka_options *options, const char *topic)
{
	struct heard heard = {0};
	struct error err = {0};
	struct text topics[] = {text_of(topic)};
	struct source_start start = {.share_count = 1, .clock = {now_us, NULL}};
	options->topics = topics;
	options->topic_count = 1;
	ck_assert_msg(source_kafka_new(options, &start, &heard.source, &err) == OK, "%s", err.text);
	return heard;
}

static struct heard open_source(const char *address, const char *topic, enum kafka_start start)
{
	struct kafka_options options = {
		.bootstrap_servers = address, .start = start, .start_ago_us = 3 * SECOND};
	return open_with(&options, topic);
}

static void unique(char name[static NAME], const char *what)
{
	(void)snprintf(name, NAME, "picket-%s-%lld", what, (long long)now_us(NULL));
}

/* Markers and aborted records are never delivered, and a partition that ends in them is idle all
 * the same; an open transaction is no proof of anything. */
START_TEST(transactions)
{
	const char *address = broker();
	if (address == NULL)
		return;
	char topic[NAME];
	unique(topic, "tx");
	rd_kafka_t *admin = producer_new(address, NULL);
	rd_kafka_t *producer = producer_new(address, topic);
	topic_new(admin, topic, 1);
	ck_assert_ptr_null(rd_kafka_init_transactions(producer, 20000));
	ck_assert_ptr_null(rd_kafka_begin_transaction(producer));
	produce(producer, topic, 0, 10);
	ck_assert_ptr_null(rd_kafka_commit_transaction(producer, 20000));
	ck_assert_ptr_null(rd_kafka_begin_transaction(producer));
	produce(producer, topic, 0, 5);
	ck_assert_ptr_null(rd_kafka_abort_transaction(producer, 20000));
	struct heard heard = open_source(address, topic, KAFKA_START_EARLIEST);
	hear(&heard, 20, (struct wanted){.messages = 10, .ticks = 1});
	ck_assert_uint_eq(heard.messages, 10);
	ck_assert_uint_ge(heard.ticks, 1);
	ck_assert_int_eq(heard.tick_offset, 17); /* 10 + marker + 5 aborted + marker */
	ck_assert_ptr_null(rd_kafka_begin_transaction(producer));
	produce(producer, topic, 0, 3);
	hear(&heard, 2, (struct wanted){.messages = 1000});
	size_t ticks = heard.ticks;
	hear(&heard, 6, (struct wanted){.messages = 1000});
	ck_assert_uint_le(heard.ticks, ticks);
	ck_assert_uint_eq(heard.messages, 10);
	ck_assert_ptr_null(rd_kafka_commit_transaction(producer, 20000));
	hear(&heard, 20, (struct wanted){.messages = 13});
	ck_assert_uint_eq(heard.messages, 13);
	source_free(&heard.source);
	rd_kafka_destroy(producer);
	rd_kafka_destroy(admin);
}
END_TEST

/* Retention passes us while we are reading: told exactly, in the middle of a run. */
START_TEST(gap_while_reading)
{
	const char *address = broker();
	if (address == NULL)
		return;
	char topic[NAME];
	unique(topic, "gap");
	rd_kafka_t *producer = producer_new(address, NULL);
	topic_new(producer, topic, 1);
	produce(producer, topic, 0, 20);
	struct heard heard = open_source(address, topic, KAFKA_START_LATEST);
	hear(&heard, 20, (struct wanted){.ticks = 1});
	ck_assert_int_eq(heard.start, 20);
	/* Not polled, and more comes than is fetched ahead: then the log's start moves. */
	struct kafka_property small[] = {{TEXT("queued.max.messages.kbytes"), TEXT("1")},
					 {TEXT("queued.min.messages"), TEXT("1")},
					 {TEXT("fetch.message.max.bytes"), TEXT("1000")}};
	struct kafka_options options = {.bootstrap_servers = address,
					.start = KAFKA_START_EARLIEST,
					.properties = small,
					.property_count = 3};
	for (int i = 0; i < 40; i++)
		produce(producer, topic, 0, 50);
	source_free(&heard.source);
	heard = open_with(&options, topic);
	hear(&heard, 20, (struct wanted){.messages = 1});
	(void)sleep(1);
	delete_records(producer, topic, 2000);
	hear(&heard, 20, (struct wanted){.gaps = 1, .messages = 100000});
	ck_assert_uint_eq(heard.gaps, 1);
	ck_assert_int_eq(heard.gap.end_offset, 2000);
	ck_assert_int_eq(heard.last_offset, 2019);
	/* What came before the gap, the gap itself and what came behind it are all there is. */
	ck_assert_int_eq((int64_t)heard.messages + 2000 - heard.gap.offset, 2020);
	source_free(&heard.source);
	rd_kafka_destroy(producer);
}
END_TEST

START_TEST(start_by_time_and_added_partitions)
{
	const char *address = broker();
	if (address == NULL)
		return;
	char topic[NAME];
	unique(topic, "time");
	rd_kafka_t *producer = producer_new(address, NULL);
	topic_new(producer, topic, 1);
	produce(producer, topic, 0, 10);
	(void)sleep(4);
	produce(producer, topic, 0, 5);
	struct heard heard = open_source(address, topic, KAFKA_START_AGO); /* 3 seconds */
	hear(&heard, 20, (struct wanted){.messages = 5});
	ck_assert_int_eq(heard.start, 10);
	ck_assert_uint_eq(heard.messages, 5);
	add_partitions(producer, topic, 3);
	(void)sleep(1);
	rd_kafka_destroy(producer); /* it does not know the new partitions yet */
	producer = producer_new(address, NULL);
	produce(producer, topic, 1, 7);
	hear(&heard, 15, (struct wanted){.messages = 12, .streams = 3});
	ck_assert_uint_eq(heard.streams, 3);
	ck_assert_uint_eq(heard.messages, 12);
	source_free(&heard.source);
	rd_kafka_destroy(producer);
}
END_TEST

/* First line of a file of the broker's folder. */
static bool line_of(const char *name, char line[static PATH])
{
	char path[PATH];
	const char *folder = getenv("PICKET_KAFKA_DIR");
	(void)snprintf(path, sizeof path, "%s/%s", folder == NULL ? "/nowhere" : folder, name);
	FILE *file = fopen(path, "r");
	bool good = file != NULL && fgets(line, PATH, file) != NULL;
	if (file != NULL)
		(void)fclose(file);
	line[good ? strcspn(line, "\n") : 0] = '\0';
	if (!good)
		(void)printf("SKIP: no secure Kafka (PICKET_KAFKA_DIR/%s is not there)\n", name);
	return good;
}

static struct text tls_file(const char *name, char path[static PATH])
{
	(void)snprintf(path, PATH, "%s/tls/%s", getenv("PICKET_KAFKA_DIR"), name);
	return text_of(path);
}

static struct heard hear_securely(const char *listener, const struct kafka_property *properties,
				  size_t count)
{
	char address[PATH], topic[NAME];
	unique(topic, "tls");
	rd_kafka_t *producer = producer_new(broker(), NULL);
	topic_new(producer, topic, 1);
	produce(producer, topic, 0, 5);
	ck_assert(line_of(listener, address));
	struct kafka_options options = {.bootstrap_servers = address,
					.start = KAFKA_START_EARLIEST,
					.properties = properties,
					.property_count = count};
	struct heard heard = open_with(&options, topic);
	hear(&heard, 12, (struct wanted){.messages = 5});
	source_free(&heard.source);
	rd_kafka_destroy(producer);
	return heard;
}

START_TEST(scram_over_tls)
{
	char line[PATH], ca[PATH], secret[PATH];
	if (broker() == NULL || !line_of("sasl", line))
		return;
	struct kafka_property properties[] = {
		{TEXT("security.protocol"), TEXT("SASL_SSL")},
		{TEXT("sasl.mechanisms"), TEXT("SCRAM-SHA-256")},
		{TEXT("sasl.username"), TEXT("picket")},
		{TEXT("ssl.ca.location"), tls_file("ca.pem", ca)},
		{TEXT("sasl.password.file"), tls_file("secret", secret)},
	};
	struct heard heard = hear_securely("sasl", properties, 5);
	ck_assert_uint_eq(heard.messages, 5);
	properties[4] = (struct kafka_property){TEXT("sasl.password"), TEXT("wrong")};
	heard = hear_securely("sasl", properties, 5);
	ck_assert_uint_eq(heard.messages, 0);
	ck_assert_uint_gt(heard.problems, 0);
	ck_assert_uint_eq(heard.ready, 0);
}
END_TEST

START_TEST(client_certificate)
{
	char line[PATH], ca[PATH], certificate[PATH], key[PATH];
	if (broker() == NULL || !line_of("mtls", line))
		return;
	struct kafka_property properties[] = {
		{TEXT("security.protocol"), TEXT("SSL")},
		{TEXT("ssl.ca.location"), tls_file("ca.pem", ca)},
		{TEXT("ssl.certificate.location"), tls_file("client.pem", certificate)},
		{TEXT("ssl.key.location"), tls_file("client.key", key)},
	};
	struct heard heard = hear_securely("mtls", properties, 4);
	ck_assert_uint_eq(heard.messages, 5);
	heard = hear_securely("mtls", properties, 2); /* without the certificate */
	ck_assert_uint_eq(heard.messages, 0);
	ck_assert_uint_gt(heard.problems, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("source_kafka_real");
	TCase *cases = tcase_create("real broker");
	tcase_set_timeout(cases, 120);
	tcase_add_test(cases, transactions);
	tcase_add_test(cases, gap_while_reading);
	tcase_add_test(cases, start_by_time_and_added_partitions);
	tcase_add_test(cases, scram_over_tls);
	tcase_add_test(cases, client_certificate);
	suite_add_tcase(suite, cases);
	SRunner *runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
