/* What single events show to be wrong, as alerts: a rule that gave up, a false identity, a secret.
 * Each is told once for its subject and a span of event time, so a replay tells the same. */
#include <stdio.h>
#include <xxhash.h>

#include "ingest/runtime_private.h"

static const int64_t us_per_hour = 3600000000;
static const int64_t us_per_day = 86400000000;

/* One health alert per rule and hour of event time for patterns that gave up. */
static void worker_undecided(void *context, const struct event *event,
			     const struct matches *matches)
{
	struct worker *worker = context;
	for (size_t i = 0; i < matches->undecided_count; i++) {
		uint64_t hour = (uint64_t)(event->time_us / us_per_hour);
		if (told_already(&worker->told,
				 ((uint64_t)(matches->undecided[i] + 1) << 32) ^ hour))
			continue;
		const struct rule *rule =
			ruleset_rule(worker->rules->parts.ruleset, matches->undecided[i]);
		char reason[1024];
		(void)snprintf(reason, sizeof reason,
			       "rule \"%.*s\" could not be decided for %.*s/%d/%lld: its pattern "
			       "reached a limit; simplify it or shorten the field",
			       TEXT_ARG(rule->title), TEXT_ARG(event->origin.topic),
			       event->origin.partition, (long long)event->origin.offset);
		health_alert(&(struct health_note){.kind = HEALTH_UNDECIDED,
						   .subject = rule->key,
						   .reason = text_of(reason),
						   .epoch = worker->epoch,
						   .time_us = (int64_t)hour * us_per_hour,
						   .flags = worker->history},
			     &worker->detected.rows, &worker->announcements);
	}
}

/* One alert per place, bound identity and hour. The false name is in the reason only: a liar who
 * invents many names must not fill the list of alerts. */
static void worker_spoofed(struct worker *worker, const struct event *event)
{
	struct text service = event_text(event, FIELD_BOUND_SERVICE);
	struct text tenant = event_text(event, FIELD_BOUND_TENANT);
	struct text claimed_service = event_text(event, FIELD_CLAIMED_SERVICE);
	struct text claimed_tenant = event_text(event, FIELD_CLAIMED_TENANT);
	uint64_t hour = (uint64_t)(event->time_us / us_per_hour);
	char subject[1024];
	char reason[2048];
	(void)snprintf(subject, sizeof subject, "%.*s service=%.*s tenant=%.*s",
		       TEXT_ARG(event->origin.topic), TEXT_ARG(service), TEXT_ARG(tenant));
	if (told_already(&worker->told, XXH3_64bits_withSeed(subject, strlen(subject), hour)))
		return;
	(void)snprintf(reason, sizeof reason,
		       "%.*s/%d/%lld claims%s%.*s%s%.*s, which may not write there (bound: service "
		       "\"%.*s\", tenant \"%.*s\"); ask who holds the credentials of this topic, "
		       "or mend the bindings",
		       TEXT_ARG(event->origin.topic), event->origin.partition,
		       (long long)event->origin.offset, claimed_service.size > 0 ? " service " : "",
		       TEXT_ARG(claimed_service), claimed_tenant.size > 0 ? " tenant " : "",
		       TEXT_ARG(claimed_tenant), TEXT_ARG(service), TEXT_ARG(tenant));
	health_alert(&(struct health_note){.kind = HEALTH_SPOOF,
					   .subject = text_of(subject),
					   .reason = text_of(reason),
					   .epoch = worker->epoch,
					   .time_us = (int64_t)hour * us_per_hour,
					   .flags = worker->history},
		     &worker->detected.rows, &worker->announcements);
}

/* One alert per service, kind of secret and day: what is to be done is one change of its logger. */
static void worker_secret(struct worker *worker, const struct event *event)
{
	struct text service = event_text(event, FIELD_SERVICE_NAME);
	struct text kind = event_text(event, FIELD_SECRET_KIND);
	struct text place = event_text(event, FIELD_SECRET_FIELD);
	struct text hash = event_text(event, FIELD_SECRET_HASH);
	uint64_t day = (uint64_t)(event->time_us / us_per_day);
	char subject[1024];
	char reason[2048];
	(void)snprintf(subject, sizeof subject, "%.*s kind=%.*s",
		       TEXT_ARG(service.size > 0 ? service : event->origin.topic), TEXT_ARG(kind));
	if (told_already(&worker->told, XXH3_64bits_withSeed(subject, strlen(subject), ~day)))
		return;
	(void)snprintf(
		reason, sizeof reason,
		"%.*s/%d/%lld held a secret (%.*s) in %.*s; it was stored as %.*s. Change the "
		"secret, and let the logger leave it out",
		TEXT_ARG(event->origin.topic), event->origin.partition,
		(long long)event->origin.offset, TEXT_ARG(kind),
		TEXT_ARG(place.size > 0 ? place : TEXT("a field's name")), TEXT_ARG(hash));
	health_alert(&(struct health_note){.kind = HEALTH_SECRET,
					   .subject = text_of(subject),
					   .reason = text_of(reason),
					   .epoch = worker->epoch,
					   .time_us = (int64_t)day * us_per_day,
					   .flags = worker->history},
		     &worker->detected.rows, &worker->announcements);
}

void worker_on_event(void *context, const struct event *event, const struct matches *matches)
{
	if ((event->quality & QUALITY_SPOOFED) != 0)
		worker_spoofed(context, event);
	if ((event->quality & QUALITY_SECRET) != 0)
		worker_secret(context, event);
	if (matches->undecided_count > 0)
		worker_undecided(context, event, matches);
}
