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
		/* A broker that wants a client certificate just hangs up (TLS 1.3). */
		return "check that the broker runs, that kafka.bootstrap_servers and its "
		       "advertised.listeners can be reached from here, and that its listener "
		       "wants the security.protocol and the client certificate, if any, that "
		       "kafka.librdkafka gives; picket keeps trying";
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

/* Causes that a person must cure. What librdkafka says next is only their consequence. */
static bool is_cause(rd_kafka_resp_err_t code)
{
	return code == RD_KAFKA_RESP_ERR__AUTHENTICATION || code == RD_KAFKA_RESP_ERR__SSL ||
	       code == RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED ||
	       code == RD_KAFKA_RESP_ERR__RESOLVE;
}

static bool is_consequence(rd_kafka_resp_err_t code)
{
	return code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN ||
	       code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__TIMED_OUT ||
	       code == RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE;
}

/* "All brokers are down" follows every refused login; it must not cover what tells the way out,
 * because status shows the newest problem. */
void kafka_problem_code(struct kafka_source *source, rd_kafka_resp_err_t code, const char *subject,
			const char *detail)
{
	struct kafka_problems *problems = &source->problems;
	const char *step = next_step(code);
	if (is_cause(code))
		problems->cause_us = source->now_us;
	else if (is_consequence(code) && problems->cause_us != 0 &&
		 source->now_us - problems->cause_us < KAFKA_PROBLEM_US)
		return;
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
