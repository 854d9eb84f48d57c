#include <librdkafka/rdkafka.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/check.h"

enum { REASON_MAX = 256 };

static void put_problem(struct problems *problems, const char *format, const char *a, const char *b)
{
	struct error one = {0};
	(void)!error_set(&one, EUNAVAILABLE, format, a, b);
	problems_add(problems, &one);
}

/* The newest word of the client about its brokers: the reason behind a time-out. */
static void on_error(rd_kafka_t *kafka, int code, const char *reason, void *context)
{
	(void)kafka;
	(void)code;
	(void)snprintf(context, REASON_MAX, "%s", reason);
}

static void no_log(const rd_kafka_t *kafka, int level, const char *facility, const char *text)
{
	(void)kafka;
	(void)level;
	(void)facility;
	(void)text;
}

static rd_kafka_t *make_client(const struct kafka_options *options, char *reason, char *why)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	bool ok = rd_kafka_conf_set(conf, "bootstrap.servers", options->bootstrap_servers, why,
				    REASON_MAX) == RD_KAFKA_CONF_OK;
	for (size_t i = 0; ok && i < options->property_count; i++)
		ok = rd_kafka_conf_set(conf, options->properties[i].name.data,
				       options->properties[i].value.data, why,
				       REASON_MAX) == RD_KAFKA_CONF_OK;
	rd_kafka_conf_set_error_cb(conf, on_error);
	rd_kafka_conf_set_opaque(conf, reason);
	rd_kafka_conf_set_log_cb(conf, no_log);
	rd_kafka_t *kafka = ok ? rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, REASON_MAX) : NULL;
	if (kafka == NULL)
		rd_kafka_conf_destroy(conf);
	return kafka;
}

static bool is_asked_for(const char *wanted, const char *name)
{
	regex_t pattern;
	if (wanted[0] != '^')
		return strcmp(wanted, name) == 0;
	if (regcomp(&pattern, wanted, REG_EXTENDED | REG_NOSUB) != 0)
		return false;
	bool fits = regexec(&pattern, name, 0, NULL, 0) == 0;
	regfree(&pattern);
	return fits;
}

static void look_for(const struct rd_kafka_metadata *metadata, const char *wanted,
		     struct problems *problems, struct check_totals *totals)
{
	size_t found = 0;
	for (int i = 0; i < metadata->topic_cnt; i++) {
		if (!is_asked_for(wanted, metadata->topics[i].topic))
			continue;
		found++;
		totals->partitions += (size_t)metadata->topics[i].partition_cnt;
	}
	totals->topics += found;
	if (found == 0)
		put_problem(problems,
			    "kafka.topics: the broker has no topic that fits \"%s\"; it is "
			    "read as soon as it exists (kcat -L -b %s lists what is there)",
			    wanted, "BROKER");
}

enum status check_broker(const struct kafka_options *options, struct problems *problems,
			 struct check_totals *totals, struct error *err)
{
	char reason[REASON_MAX] = "";
	char why[REASON_MAX] = "";
	const struct rd_kafka_metadata *metadata = NULL;
	rd_kafka_t *kafka = make_client(options, reason, why);
	(void)err;
	if (kafka == NULL) {
		put_problem(problems, "kafka.librdkafka: %s%s", why, "");
		return OK;
	}
	rd_kafka_resp_err_t code = rd_kafka_metadata(kafka, 1, NULL, &metadata, CHECK_BROKER_MS);
	(void)rd_kafka_poll(kafka, 0);
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
		put_problem(problems,
			    "kafka.bootstrap_servers: %s does not answer (is it up, and can this "
			    "machine reach it?): %s",
			    options->bootstrap_servers,
			    reason[0] == '\0' ? rd_kafka_err2str(code) : reason);
	} else {
		for (size_t i = 0; i < options->topic_count; i++)
			look_for(metadata, options->topics[i].data, problems, totals);
		rd_kafka_metadata_destroy(metadata);
	}
	rd_kafka_destroy(kafka);
	return OK;
}
