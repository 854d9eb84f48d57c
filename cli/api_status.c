/* /v1/status, /v1/sources, /v1/rules: what the daemon is doing, in one answer each. */
#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "cli/api_private.h"
#include "cli/rules_json.h"
#include "cli/sender.h"
#include "rules/ruleset.h"

enum { LATE_SHARE = 100 }; /* more than one event of a hundred late is a problem */

static const char *state_name(const struct api_view *view)
{
	static const char *const names[] = {"running", "finished", "failed"};
	if (!view->live)
		return "offline";
	assert((unsigned)view->status.state < sizeof names / sizeof *names);
	return names[view->status.state];
}

static void write_totals(struct json_writer *json, const struct api_view *view)
{
	struct api_totals totals = api_totals(view);
	json_write_open(json, "records", '{');
	json_write_count(json, "consumed", totals.consumed);
	json_write_count(json, "stored", totals.stored);
	json_write_count(json, "quarantined", totals.quarantined);
	json_write_count(json, "late", totals.late);
	json_write_count(json, "lost_to_retention", totals.gap_offsets);
	json_write_close(json, '}');
	json_write_open(json, "sources", '{');
	json_write_count(json, "partitions", view->status.partition_count);
	json_write_count(json, "stalled", totals.stalled);
	if (totals.lag < 0)
		json_write_null(json, "lag");
	else
		json_write_number(json, "lag", totals.lag);
	json_write_close(json, '}');
}

static enum status write_alerts(struct json_writer *json, struct api *api, struct error *err)
{
	struct api_alert_counts counts;
	enum status status = api_alert_count(api, &counts, err);
	if (status == ECORRUPT || status == EINCOMPLETE) {
		json_write_null(json, "alerts"); /* `picket alerts list` tells what is broken */
		return OK;
	}
	if (status != OK)
		return status;
	json_write_open(json, "alerts", '{');
	json_write_count(json, "open", counts.open);
	json_write_count(json, "total", counts.total);
	json_write_boolean(json, "more", counts.more);
	json_write_close(json, '}');
	return OK;
}

static void write_counters(struct json_writer *json, const struct runtime_status *status)
{
	json_write_open(json, "correlation", '{');
	json_write_count(json, "alerts_opened", status->alerts_opened);
	json_write_count(json, "undecided", status->undecided);
	json_write_count(json, "excluded_by_filters", status->excluded);
	json_write_count(json, "records", status->actors.records);
	json_write_count(json, "late_counted", status->actors.late_counted);
	json_write_count(json, "late_dropped", status->actors.late_dropped);
	json_write_count(json, "cells", status->actors.cells);
	json_write_count(json, "cells_refused", status->actors.cells_refused);
	json_write_count(json, "cell_bytes", status->actors.cell_bytes);
	json_write_count(json, "cells_estimating", status->actors.cells_estimating);
	json_write_count(json, "cells_packed", status->actors.cells_packed);
	json_write_count(json, "cells_spilled", status->actors.cells_spilled);
	json_write_count(json, "spills", status->actors.spills);
	json_write_count(json, "spill_reads", status->actors.spill_reads);
	json_write_count(json, "spill_failures", status->actors.spill_failures);
	json_write_count(json, "group_field_missing", status->routes.group_field_missing);
	json_write_count(json, "group_values_cut", status->routes.group_values_cut);
	json_write_close(json, '}');
	json_write_open(json, "instances", '{');
	json_write_count(json, "missing", status->instances.missing);
	json_write_count(json, "replayed", status->instances.replayed);
	json_write_count(json, "restarts", status->instances.restarts);
	json_write_count(json, "silences", status->instances.silences);
	json_write_count(json, "refused", status->instances.refused);
	json_write_count(json, "folded_early", status->instances.folded_early);
	json_write_count(json, "gaps_forgotten", status->instances.gaps_forgotten);
	json_write_count(json, "copies", status->instances.copies);
	json_write_count(json, "ids_forgotten", status->instances.ids_forgotten);
	json_write_close(json, '}');
	json_write_open(json, "enrichment", '{');
#define ENRICH_COUNTER(member, doc) json_write_count(json, #member, status->enrich.member);
#include "ingest/enrich_counter.def"
#undef ENRICH_COUNTER
	json_write_close(json, '}');
}

__attribute__((format(printf, 2, 3))) static void problem(struct json_writer *json,
							  const char *format, ...)
{
	char text[ERROR_TEXT_MAX];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(text, sizeof text, format, args);
	va_end(args);
	json_write_string(json, NULL, text);
}

/* What keeps the daemon from reading or committing. */
static void reading_problems(struct json_writer *json, const struct runtime_status *status,
			     int64_t now_us)
{
	int64_t since_us = now_us - status->committed_us;
	if (status->state != RUNTIME_RUNNING)
		return;
	/* What the source says is the cause, this only what follows from it. */
	if (status->partition_count == 0 && status->problem[0] == '\0')
		problem(json, "no partition is read yet: do kafka.topics name topics that exist?");
	if (!status->disk_full && status->committed_us > 0 && since_us > API_NO_COMMIT_US)
		problem(json, "nothing was committed for %" PRId64 " s", since_us / 1000000);
}

static void receiver_problems(struct json_writer *json, struct api *api)
{
	for (unsigned i = 0; i < RECEIVER_KIND_COUNT; i++) {
		struct api_receiver receiver cleanup(api_receiver_done) = {0};
		enum receiver_kind kind = (enum receiver_kind)i;
		char since[32];
		if (api->sender == NULL || !sender_has(api->sender, kind) ||
		    api_receiver_read(api, kind, &receiver, NULL) != OK)
			continue;
		if (receiver.progress.failing_us != INT64_MIN)
			problem(json, "%s takes no alerts since %.*s (%.*s): picket receivers list",
				receiver_name(kind),
				TEXT_ARG(time_print(receiver.progress.failing_us, since)),
				TEXT_ARG(receiver.progress.problem));
	}
}

/* Everything that is not as it should be, one text each. */
static void write_problems(struct json_writer *json, const struct api_call *call,
			   const struct api_view *view)
{
	const struct runtime_status *status = &view->status;
	struct api_totals totals = api_totals(view);
	json_write_open(json, "problems", '[');
	if (view->live && status->state == RUNTIME_FAILED)
		problem(json, "the engine has stopped: %s", status->failure.text);
	if (status->problem[0] != '\0')
		json_write_string(json, NULL, status->problem);
	if (view->live)
		reading_problems(json, status, api_now(call->api));
	api_rules_problems(json, call);
	if (view->live && status->warming_percent >= 0)
		problem(json, "new rules are warmed from the store: %d %%",
			status->warming_percent);
	if (status->disk_full)
		json_write_string(json, NULL,
				  "the disk is full: reading waits until there is room");
	if (status->rewound)
		json_write_string(json, NULL,
				  "the store had lost its newest epochs (rewound); they are "
				  "read again from the source");
	if (totals.gap_offsets > 0)
		problem(json, "%" PRIu64 " offsets were lost to retention before they were read",
			totals.gap_offsets);
	if (totals.stalled > 0)
		problem(json, "%zu partitions are stalled: picket sources list", totals.stalled);
	if (totals.late > totals.stored / LATE_SHARE)
		problem(json,
			"%" PRIu64 " of %" PRIu64
			" events came later than `lateness` allows: rules that wait may have missed "
			"them",
			totals.late, totals.stored);
	if (status->undecided > 0)
		problem(json, "%" PRIu64 " times a rule could not be decided (its pattern gave up)",
			status->undecided);
	if (status->suspects > 0)
		problem(json,
			"picket died with %s in hand: until it and %zu others are behind us, one "
			"message at a time is read",
			status->suspect, status->suspects - 1);
	if (status->epoch_messages > 0)
		problem(json,
			"picket died at work on an epoch: until the cause is found or passed, an "
			"epoch holds no more than %u of a worker's messages, which is slower",
			status->epoch_messages);
	if (status->crashed > 0)
		problem(json,
			"%" PRIu64 " messages were put into the quarantine unread, because picket "
			"died with them: picket quarantine list",
			status->crashed);
	if (status->actors.cells_refused > 0)
		problem(json, "%" PRIu64 " times a group was over a limit and was not correlated",
			(uint64_t)status->actors.cells_refused);
	receiver_problems(json, call->api);
	json_write_close(json, ']');
}

enum status api_status(const struct api_call *call, struct api_response *response,
		       struct error *err)
{
	struct api_view view cleanup(api_view_done) = {0};
	enum status status = api_view_open(call->api, &view, err);
	if (status != OK)
		return status;
	int64_t now_us = api_now(call->api);
	struct json_writer json = {.to = &response->body};
	json_write_open(&json, NULL, '{');
	json_write_string(&json, "schema", "picket.status/1");
	json_write_string(&json, "version", PICKET_VERSION);
	json_write_string(&json, "state", state_name(&view));
	json_write_time(&json, "now", now_us);
	json_write_time(&json, "started", view.live ? call->api->started_us : INT64_MIN);
	json_write_count(&json, "epoch", view.status.epoch);
	json_write_time(&json, "committed",
			view.status.committed_us <= 0 ? INT64_MIN : view.status.committed_us);
	json_write_time(&json, "watermark", view.status.watermark_us);
	write_totals(&json, &view);
	api_rules_status(&json, call);
	status = write_alerts(&json, call->api, err);
	if (status != OK)
		return status;
	if (view.live)
		write_counters(&json, &view.status);
	json_write_count(&json, "store_bytes", store_bytes(call->api->store));
	json_write_boolean(&json, "disk_full", view.status.disk_full);
	json_write_boolean(&json, "rewound", view.status.rewound);
	write_problems(&json, call, &view);
	json_write_close(&json, '}');
	return OK;
}

static const char *source_state(const struct partition_status *one, const struct api_view *view)
{
	if (!view->live)
		return "offline";
	if (view->status.state == RUNTIME_FINISHED)
		return "finished";
	if (one->lag.stalled)
		return "stalled";
	return one->assigned ? "reading" : "not_assigned";
}

/* What the records were recognised as since the start. */
static void write_formats(struct json_writer *json, const struct stream_formats *formats)
{
	json_write_open(json, "formats", '{');
	for (size_t i = 0; i < STREAM_FORMATS_MAX && formats->formats[i].name[0] != '\0'; i++)
		json_write_count(json, formats->formats[i].name, formats->formats[i].records);
	if (formats->beyond > 0)
		json_write_count(json, "(others)", formats->beyond);
	json_write_close(json, '}');
}

static void write_source(struct json_writer *json, const struct partition_status *one,
			 const struct api_view *view)
{
	int64_t lag = one->lag.end_offset - one->row.next_offset;
	json_write_open(json, NULL, '{');
	struct bytes log cleanup(bytes_done) = {0};
	log_name(one->row.topic, one->row.incarnation, &log);
	json_write_text(json, "topic", one->row.topic);
	json_write_text(json, "log", bytes_text(&log));
	json_write_number(json, "partition", one->row.partition);
	json_write_string(json, "state", source_state(one, view));
	json_write_number(json, "next_offset", one->row.next_offset);
	if (one->lag.end_offset < 0) {
		json_write_null(json, "end_offset");
		json_write_null(json, "lag");
	} else {
		json_write_number(json, "end_offset", one->lag.end_offset);
		json_write_number(json, "lag", lag < 0 ? 0 : lag);
	}
	json_write_time(json, "watermark", one->row.watermark_us);
	json_write_time(json, "last_tick", one->row.tick_us == 0 ? INT64_MIN : one->row.tick_us);
	json_write_count(json, "messages", one->row.messages);
	json_write_count(json, "consumed", one->row.records);
	json_write_count(json, "stored", one->row.stored);
	json_write_count(json, "quarantined", one->row.quarantined);
	json_write_count(json, "late", one->row.late);
	json_write_count(json, "lost_to_retention", one->row.gap_offsets);
	json_write_count(json, "holes", one->row.hole_offsets);
	json_write_time(json, "jumped_at", one->row.jump_us);
	json_write_boolean(json, "backfill", one->row.next_offset < one->row.backfill_until);
	write_formats(json, &one->formats);
	json_write_close(json, '}');
}

enum status api_sources(const struct api_call *call, struct api_response *response,
			struct error *err)
{
	struct api_view view cleanup(api_view_done) = {0};
	enum status status = api_view_open(call->api, &view, err);
	if (status != OK)
		return status;
	struct json_writer json = {.to = &response->body};
	json_write_open(&json, NULL, '{');
	json_write_string(&json, "schema", "picket.sources/1");
	json_write_boolean(&json, "complete", true);
	json_write_time(&json, "watermark", view.status.watermark_us);
	json_write_open(&json, "sources", '[');
	for (size_t i = 0; i < view.status.partition_count; i++)
		write_source(&json, &view.status.partitions[i], &view);
	json_write_close(&json, ']');
	json_write_close(&json, '}');
	return OK;
}
