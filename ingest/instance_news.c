/* What instances did, as alerts about logs: one per instance and hour and kind, however often, so
 * that nobody can fill the list by playing records again. The numbers are in the reason of the
 * first. How many records are missing is also kept per instance, for the gate: no PASS stands on
 * logs with holes. */
#include <stdio.h>
#include <xxhash.h>

#include "ingest/runtime_private.h"
#include "storage/rows.h"

static const int64_t us_per_hour = 3600000000;
static const int64_t us_per_second = 1000000;

struct telling {
	struct shard *shard;
	struct verdicts *to;
};

static enum health_kind kind_of(const struct instance_news *news)
{
	switch (news->finding) {
	case INSTANCE_GAP:
		return HEALTH_LOG_GAP;
	case INSTANCE_REPLAY:
	case INSTANCE_COPY:
		return HEALTH_LOG_REPLAY;
	case INSTANCE_SILENT:
		break;
	}
	return news->whole_service ? HEALTH_SERVICE_SILENT : HEALTH_LOG_SILENT;
}

static void put_copy(const struct instance_news *news, char *reason, size_t size)
{
	char time[32];
	(void)time_print(news->time_us, time);
	(void)snprintf(reason, size,
		       "an event.id of %.*s that was seen before came again with the time %s: an "
		       "agent that sends twice, or old records played again",
		       TEXT_ARG(news->report->service), time);
}

static void put_reason(const struct instance_news *news, char *reason, size_t size)
{
	const struct instance_report *report = news->report;
	long long low = (long long)news->low;
	long long high = (long long)news->high;
	if (news->finding == INSTANCE_COPY) {
		put_copy(news, reason, size);
		return;
	}
	switch (kind_of(news)) {
	case HEALTH_LOG_GAP:
		(void)snprintf(
			reason, size,
			"event.sequence %lld to %lld of %.*s never came: deleted, sampled or "
			"lost on the way; compare with the node's own files",
			low, high, TEXT_ARG(report->service));
		return;
	case HEALTH_LOG_REPLAY:
		(void)snprintf(
			reason, size,
			"event.sequence %lld to %lld of %.*s came again with their old times: an "
			"agent that sends twice, or old records played again",
			low, high, TEXT_ARG(report->service));
		return;
	default:
		(void)snprintf(
			reason, size,
			"%s of %.*s logged nothing for longer than its usual %lld s; ask whether "
			"it was scaled down, else look at its agent",
			news->whole_service ? "the last instance" : "an instance",
			TEXT_ARG(report->service), (long long)(report->pause_us / us_per_second));
	}
}

static void put_missing(const struct instance_news *news, struct verdicts *to)
{
	const struct instance_report *report = news->report;
	const struct text names[] = {report->service, report->instance};
	struct bytes value cleanup(bytes_done) = {0};
	missing_encode(&(struct missing_row){.missing = report->missing,
					     .counted = report->counted,
					     .last_us = news->time_us},
		       &value);
	verdicts_put_registry(to, 'm', names, 2, -1, &value);
}

static void tell(void *context, const struct instance_news *news)
{
	struct telling *telling = context;
	struct shard *shard = telling->shard;
	enum health_kind kind = kind_of(news);
	uint64_t hour = (uint64_t)(news->time_us / us_per_hour);
	char subject[2 * INSTANCE_NAME_MAX + 2];
	char reason[1024];
	(void)snprintf(subject, sizeof subject, "%.*s/%.*s", TEXT_ARG(news->report->service),
		       TEXT_ARG(news->report->instance));
	if (kind == HEALTH_LOG_GAP)
		put_missing(news, telling->to);
	if (told_already(&shard->told,
			 XXH3_64bits_withSeed(subject, strlen(subject),
					      hour * HEALTH_KIND_COUNT + (uint64_t)kind)))
		return;
	put_reason(news, reason, sizeof reason);
	health_alert(&(struct health_note){.kind = kind,
					   .subject = text_of(subject),
					   .reason = text_of(reason),
					   .epoch = shard->epoch,
					   .time_us = (int64_t)hour * us_per_hour},
		     &telling->to->rows, &telling->to->announcements);
}

enum status shard_instances_close(struct shard *shard, int64_t watermark_us, struct verdicts *to)
{
	struct telling telling = {shard, to};
	return instances_close(shard->instances, watermark_us, shard->runtime->options.silent_us,
			       tell, &telling);
}
