#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <xxhash.h>

#include "ingest/kafka_private.h"

/* True when this problem was told a short while ago; else notes that it is told now. The oldest
 * entry makes room: at worst a problem is told once too often. */
static bool told_lately(struct kafka_source *source, int kind, const char *subject)
{
	struct kafka_problems *problems = &source->problems;
	uint64_t key = XXH3_64bits_withSeed(subject, strlen(subject), (uint64_t)(int64_t)kind) | 1;
	for (unsigned i = 0; i < KAFKA_PROBLEM_KINDS; i++) {
		if (problems->key[i] != key)
			continue;
		if (source->now_us - problems->told_us[i] < KAFKA_PROBLEM_US)
			return true;
		problems->told_us[i] = source->now_us;
		return false;
	}
	unsigned slot = problems->next++ % KAFKA_PROBLEM_KINDS;
	problems->key[slot] = key;
	problems->told_us[slot] = source->now_us;
	return false;
}

void kafka_problem(struct kafka_source *source, int kind, const char *subject, const char *format,
		   ...)
{
	assert(subject != NULL);
	if (told_lately(source, kind, subject))
		return;
	char words[1024];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(words, sizeof words, format, args);
	va_end(args);
	struct text text = arena_copy(source->batch.arena, text_of(words));
	if (text.data == NULL) {
		source->batch.failed = true;
		return;
	}
	kafka_notice(source, (struct source_notice){.kind = SOURCE_PROBLEM,
						    .time_us = source->now_us,
						    .text = text});
}

/* What a person should do about a code, "" when there is nothing special to say. */
static const char *next_step(rd_kafka_resp_err_t code)
{
	switch (code) {
	case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
	case RD_KAFKA_RESP_ERR__TRANSPORT:
	case RD_KAFKA_RESP_ERR__TIMED_OUT:
	case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
		return "check that the broker runs and that kafka.bootstrap_servers and the "
		       "broker's advertised.listeners can be reached from here; picket keeps trying";
	case RD_KAFKA_RESP_ERR__RESOLVE:
		return "the host name is not known here; check kafka.bootstrap_servers and DNS";
	case RD_KAFKA_RESP_ERR__AUTHENTICATION:
	case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
		return "check sasl.username, sasl.password(.file), sasl.mechanisms and "
		       "security.protocol under kafka.librdkafka";
	case RD_KAFKA_RESP_ERR__SSL:
		return "check ssl.ca.location, the client certificate and key under "
		       "kafka.librdkafka, and that this listener speaks TLS";
	case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
		return "give picket's user READ and DESCRIBE on the topic";
	case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
		return "give picket's user READ on the group, or remove kafka.group_id (it serves "
		       "lag tools only)";
	case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
	case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
	case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
		return "the topic or partition is gone; create it again or take it out of "
		       "kafka.topics";
	case RD_KAFKA_RESP_ERR__BAD_MSG:
	case RD_KAFKA_RESP_ERR__BAD_COMPRESSION:
		return "the broker holds damaged records there; they count as holes; check the "
		       "broker's disks and the producer's compression";
	default:
		return "";
	}
}

void kafka_problem_code(struct kafka_source *source, rd_kafka_resp_err_t code, const char *subject,
			const char *detail)
{
	const char *step = next_step(code);
	kafka_problem(source, (int)code, subject, "Kafka %s%s%s (%s)%s%s", subject,
		      subject[0] == '\0' ? "" : ": ",
		      detail == NULL || detail[0] == '\0' ? rd_kafka_err2str(code) : detail,
		      rd_kafka_err2name(code), step[0] == '\0' ? "" : "; ", step);
}

void kafka_commit_told(struct kafka_source *source, rd_kafka_resp_err_t code)
{
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR__NO_OFFSET &&
	    source->plan.group != NULL)
		kafka_problem_code(source, code, source->plan.group,
				   "the group's offsets could not be written (lag tools will not "
				   "see picket; nothing is lost)");
}
