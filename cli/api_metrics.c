/* /metrics in the Prometheus text format 0.0.4, /livez and /readyz.
 *
 * Names follow Prometheus' practices: one prefix, base units, _total for what only grows. The sums
 * are meant to be checked: consumed = stored + quarantined, per partition and in every scrape. No
 * series carries a deploy, a user, a tenant or anything else a log writer can invent; topics come
 * from the broker, rules from whoever runs the daemon, API_RULE_SERIES_MAX of them. */
#include <assert.h>
#include <inttypes.h>

#include "cli/api_private.h"
#include "cli/reloader.h"
#include "rules/ruleset.h"

struct metric {
	const char *name, *type, *help;
};

static void put_head(struct bytes *to, const struct metric *metric)
{
	bytes_write_string(to, "# HELP picket_");
	bytes_write_string(to, metric->name);
	bytes_write_string(to, " ");
	bytes_write_string(to, metric->help);
	bytes_write_string(to, "\n# TYPE picket_");
	bytes_write_string(to, metric->name);
	bytes_write_string(to, " ");
	bytes_write_string(to, metric->type);
	bytes_write_string(to, "\n");
}

/* A label value: backslash, quote and line break are escaped; the rest is as it is. */
static void put_label(struct bytes *to, struct text value)
{
	for (size_t i = 0; i < value.size; i++) {
		char c = value.data[i];
		if (c == '\n')
			bytes_write_string(to, "\\n");
		else if (c == '"' || c == '\\')
			bytes_put(to, (char[]){'\\', c}, 2);
		else
			bytes_put_u8(to, (uint8_t)c);
	}
}

static void put_series(struct bytes *to, const char *name, const struct partition_status *one,
		       double value)
{
	bytes_write_string(to, "picket_");
	bytes_write_string(to, name);
	bytes_write_string(to, "{topic=\"");
	put_label(to, one->row.topic);
	bytes_print(to, "\",partition=\"%" PRId32 "\"} %.17g\n", one->row.partition, value);
}

static void put_single(struct bytes *to, const struct metric *metric, double value)
{
	put_head(to, metric);
	bytes_write_string(to, "picket_");
	bytes_write_string(to, metric->name);
	bytes_print(to, " %.17g\n", value);
}

static double seconds(int64_t time_us)
{
	return (double)time_us / 1e6;
}

enum partition_metric {
	PARTITION_CONSUMED,
	PARTITION_STORED,
	PARTITION_QUARANTINED,
	PARTITION_LATE,
	PARTITION_LOST,
	PARTITION_HOLES,
	PARTITION_LAG,
	PARTITION_STALLED,
	PARTITION_WATERMARK,
	PARTITION_METRICS,
};

static const struct metric partition_metrics[PARTITION_METRICS] = {
	{"records_consumed_total", "counter", "Records read from the source."},
	{"records_stored_total", "counter", "Records stored as events."},
	{"records_quarantined_total", "counter", "Records kept in the quarantine."},
	{"records_late_total", "counter", "Records below their partition's watermark."},
	{"offsets_lost_total", "counter", "Offsets that retention removed before they were read."},
	{"offsets_empty_total", "counter", "Offsets of the log that hold no record."},
	{"source_lag_messages", "gauge", "Messages of the log that are not committed yet."},
	{"source_stalled", "gauge",
	 "1 while the partition neither brings data nor is proved idle."},
	{"source_watermark_timestamp_seconds", "gauge", "Event time up to which it is complete."},
};

/* False: this partition has no such value now. */
static bool partition_value(enum partition_metric metric, const struct partition_status *one,
			    double *ret_value)
{
	int64_t lag = one->lag.end_offset - one->row.next_offset;
	double values[PARTITION_METRICS] = {
		[PARTITION_CONSUMED] = (double)one->row.records,
		[PARTITION_STORED] = (double)one->row.stored,
		[PARTITION_QUARANTINED] = (double)one->row.quarantined,
		[PARTITION_LATE] = (double)one->row.late,
		[PARTITION_LOST] = (double)one->row.gap_offsets,
		[PARTITION_HOLES] = (double)one->row.hole_offsets,
		[PARTITION_LAG] = (double)(lag < 0 ? 0 : lag),
		[PARTITION_STALLED] = one->lag.stalled,
		[PARTITION_WATERMARK] = seconds(one->row.watermark_us),
	};
	*ret_value = values[metric];
	if (metric == PARTITION_LAG)
		return one->lag.end_offset >= 0;
	return metric != PARTITION_WATERMARK || one->row.watermark_us != INT64_MIN;
}

static void put_partitions(struct bytes *to, const struct runtime_status *status)
{
	for (int metric = 0; metric < PARTITION_METRICS; metric++) {
		put_head(to, &partition_metrics[metric]);
		for (size_t i = 0; i < status->partition_count; i++) {
			double value = 0;
			if (partition_value((enum partition_metric)metric, &status->partitions[i],
					    &value))
				put_series(to, partition_metrics[metric].name,
					   &status->partitions[i], value);
		}
	}
}

static void put_warming(struct bytes *to, const struct api *api)
{
	int percent = 100;
	size_t count = 0;
	struct generation *warming cleanup(generation_drop) = api_warming_hold(api, &percent);
	const struct ruleset *next = warming == NULL ? NULL : warming->parts.ruleset;
	for (size_t i = 0; next != NULL && i < ruleset_count(next); i++)
		count += generation_warms(warming, ruleset_rule(next, i));
	put_single(to,
		   &(struct metric){"rules_warming", "gauge",
				    "New rules that are warmed from the store, and wait for it."},
		   (double)count);
	put_single(to,
		   &(struct metric){"rules_warmed_ratio", "gauge",
				    "How far they are; 1 when none waits."},
		   percent / 100.0);
}

static void put_rules(struct bytes *to, const struct ruleset *ruleset)
{
	size_t count = 0;
	size_t skipped = 0;
	const struct rule_note *notes = ruleset == NULL ? NULL : ruleset_notes(ruleset, &count);
	for (size_t i = 0; i < count; i++)
		skipped += notes[i].kind == NOTE_REFUSED;
	put_single(to, &(struct metric){"rules_loaded", "gauge", "Rules that are live."},
		   ruleset == NULL ? 0 : (double)ruleset_count(ruleset));
	put_single(to, &(struct metric){"rules_skipped", "gauge", "Rules that did not load."},
		   (double)skipped);
}

enum rule_metric { RULE_EVALUATIONS, RULE_MATCHES, RULE_ALERTS, RULE_GROUPS, RULE_METRICS };

static const struct metric rule_metrics[RULE_METRICS] = {
	{"rule_evaluations_total", "counter", "Events that a detection was looked at in full for."},
	{"rule_matches_total", "counter", "Events that a detection found."},
	{"rule_alerts_total", "counter", "Alerts that a rule opened since the start."},
	{"rule_groups", "gauge", "Groups that a rule remembered at the last checkpoint."},
};

/* False: such a rule has no such value. */
static bool rule_value(enum rule_metric metric, const struct rule_tally *tally, double *ret_value)
{
	switch (metric) {
	case RULE_EVALUATIONS:
		*ret_value = (double)tally->evaluations;
		return tally->detects;
	case RULE_MATCHES:
		*ret_value = (double)tally->matches;
		return tally->detects;
	case RULE_ALERTS:
		*ret_value = (double)tally->opened;
		return tally->alerts;
	case RULE_GROUPS:
		*ret_value = (double)tally->groups;
		return tally->remembers;
	case RULE_METRICS:
		break;
	}
	__builtin_unreachable();
}

static void put_rule(struct bytes *to, const char *name, struct text key, double value)
{
	bytes_write_string(to, "picket_");
	bytes_write_string(to, name);
	bytes_write_string(to, "{rule=\"");
	put_label(to, key);
	bytes_print(to, "\"} %.17g\n", value);
}

/* What is behind the limit is one series; a rule that happens to be called like it goes in there,
 * since a scraper refuses a page with the same series twice. */
static void put_rule_metric(struct bytes *to, enum rule_metric metric,
			    const struct rule_tallies *tallies)
{
	static const struct text rest = TEXT("(others)");
	double sum = 0;
	size_t shown = 0;
	put_head(to, &rule_metrics[metric]);
	for (size_t i = 0; i < tallies->count; i++) {
		const struct rule_tally *tally = &tallies->items[i];
		double value = 0;
		bool has = rule_value(metric, tally, &value);
		if (shown < API_RULE_SERIES_MAX && !text_equal(tally->key, rest)) {
			shown++;
			if (has)
				put_rule(to, rule_metrics[metric].name, tally->key, value);
		} else if (has) {
			sum += value;
		}
	}
	if (shown < tallies->count)
		put_rule(to, rule_metrics[metric].name, rest, sum);
}

static enum status put_rule_tallies(struct bytes *to, const struct api *api, struct error *err)
{
	struct rule_tallies tallies cleanup(rule_tallies_done) = {0};
	if (api->rule_tallies == NULL)
		return OK;
	if (api->rule_tallies(api->runtime_context, &tallies) != OK)
		return error_set(err, ENOMEMORY, "no memory for the counts by rule");
	for (int metric = 0; metric < RULE_METRICS; metric++)
		put_rule_metric(to, (enum rule_metric)metric, &tallies);
	return OK;
}

static void put_reloads(struct bytes *to, const struct api *api)
{
	if (api->reloader == NULL)
		return;
	struct reload_report report = reloader_report(api->reloader);
	put_single(to, &(struct metric){"rules_reloads_total", "counter", "Rule sets swapped in."},
		   (double)report.succeeded);
	put_single(to,
		   &(struct metric){"rules_reloads_refused_total", "counter",
				    "Reloads that left the old rules live."},
		   (double)report.failed);
}

/* A metric without labels. */
struct single {
	struct metric metric;
	double value;
};

static void put_singles(struct bytes *to, const struct single *all, size_t count)
{
	for (size_t i = 0; i < count; i++)
		put_single(to, &all[i].metric, all[i].value);
}

static void put_correlation(struct bytes *to, const struct runtime_status *status)
{
	const struct single all[] = {
		{{"correlation_records_total", "counter", "Match records folded."},
		 (double)status->actors.records},
		{{"correlation_late_dropped_total", "counter", "Match records too late to count."},
		 (double)status->actors.late_dropped},
		{{"correlation_cells", "gauge", "Groups that are remembered."},
		 (double)status->actors.cells},
		{{"correlation_cells_refused_total", "counter", "Groups over the limit."},
		 (double)status->actors.cells_refused},
		{{"correlation_state_bytes", "gauge", "Memory of the groups, about."},
		 (double)status->actors.cell_bytes},
		{{"correlation_cells_estimating", "gauge",
		  "Groups whose values are counted by estimate."},
		 (double)status->actors.cells_estimating},
		{{"correlation_cells_packed", "gauge", "Cold groups kept as bytes in memory."},
		 (double)status->actors.cells_packed},
		{{"correlation_cells_spilled", "gauge", "Cold groups kept in the store."},
		 (double)status->actors.cells_spilled},
		{{"correlation_spills_total", "counter", "Groups moved to the store."},
		 (double)status->actors.spills},
		{{"correlation_spill_reads_total", "counter", "Groups read back from the store."},
		 (double)status->actors.spill_reads},
		{{"correlation_spill_failures_total", "counter", "Times the store took no groups."},
		 (double)status->actors.spill_failures},
		{{"correlation_group_field_missing_total", "counter",
		  "Matches of events without a group-by field."},
		 (double)status->routes.group_field_missing},
	};
	put_singles(to, all, sizeof all / sizeof *all);
}

static void put_engine(struct bytes *to, const struct runtime_status *status)
{
	const struct single all[] = {
		{{"up", "gauge", "1 while the engine runs."}, status->state == RUNTIME_RUNNING},
		{{"epoch", "gauge", "The last committed epoch."}, (double)status->epoch},
		{{"disk_full", "gauge", "1 while nothing can be committed."}, status->disk_full},
		{{"store_rewound", "gauge", "1 when the store had lost its newest epochs."},
		 status->rewound},
		{{"records_crashed_total", "counter",
		  "Messages quarantined because picket died with them."},
		 (double)status->crashed},
		{{"alerts_opened_total", "counter", "Alerts opened since the start."},
		 (double)status->alerts_opened},
		{{"log_records_missing_total", "counter", "Sequence numbers that never came."},
		 (double)status->instances.missing},
		{{"log_records_replayed_total", "counter", "Sequence numbers that came again."},
		 (double)status->instances.replayed},
		{{"log_records_copied_total", "counter", "Event ids that came again."},
		 (double)status->instances.copies},
		{{"log_instances_silent_total", "counter", "Instances that fell silent."},
		 (double)status->instances.silences},
#define ENRICH_COUNTER(member, doc) \
	{{"enrich_" #member "_total", "counter", doc}, (double)status->enrich.member},
#include "ingest/enrich_counter.def"
#undef ENRICH_COUNTER
		{{"filter_excluded_total", "counter", "Matches that filters took away."},
		 (double)status->excluded},
		{{"rule_undecided_total", "counter", "Rule evaluations that gave up."},
		 (double)status->undecided},
	};
	put_singles(to, all, sizeof all / sizeof *all);
	put_correlation(to, status);
	if (status->committed_us > 0)
		put_single(to,
			   &(struct metric){"commit_timestamp_seconds", "gauge",
					    "When the last epoch was committed."},
			   seconds(status->committed_us));
	if (status->watermark_us != INT64_MIN && status->watermark_us != INT64_MAX)
		put_single(to,
			   &(struct metric){"watermark_timestamp_seconds", "gauge",
					    "Event time up to which everything is complete."},
			   seconds(status->watermark_us));
}

enum receiver_metric { RECEIVER_SENT, RECEIVER_PENDING, RECEIVER_UNDELIVERED, RECEIVER_FAILING };

static double receiver_value(const struct api_receiver *receiver, enum receiver_metric which)
{
	switch (which) {
	case RECEIVER_SENT:
		return (double)receiver->progress.sent;
	case RECEIVER_PENDING:
		return (double)receiver->pending;
	case RECEIVER_UNDELIVERED:
		return (double)receiver->progress.undelivered;
	case RECEIVER_FAILING:
		return receiver->progress.failing_us != INT64_MIN;
	}
	__builtin_unreachable();
}

/* The receivers that have heard of something, or wait for it. */
static void put_receivers(struct bytes *to, struct api *api)
{
	static const struct metric metrics[] = {
		{"receiver_sent_total", "counter", "Alerts that a receiver has taken."},
		{"receiver_pending", "gauge", "Revisions that it has not heard of."},
		{"receiver_undelivered_total", "counter", "Alerts that it would not take."},
		{"receiver_failing", "gauge", "1 while it takes nothing."},
	};
	for (size_t i = 0; i < sizeof metrics / sizeof *metrics; i++) {
		put_head(to, &metrics[i]);
		for (unsigned k = 0; k < RECEIVER_KIND_COUNT; k++) {
			struct api_receiver receiver cleanup(api_receiver_done) = {0};
			if (api_receiver_read(api, (enum receiver_kind)k, &receiver, NULL) != OK)
				continue;
			bytes_print(to, "picket_%s{receiver=\"%s\"} %.17g\n", metrics[i].name,
				    receiver_name((enum receiver_kind)k),
				    receiver_value(&receiver, (enum receiver_metric)i));
		}
	}
}

enum status api_metrics(const struct api_call *call, struct api_response *response,
			struct error *err)
{
	struct api_view view cleanup(api_view_done) = {0};
	struct bytes *to = &response->body;
	enum status status = api_view_open(call->api, &view, err);
	if (status != OK)
		return status;
	response->content_type = "text/plain; version=0.0.4; charset=utf-8";
	put_head(to, &(struct metric){"build_info", "gauge", "The build of this daemon."});
	bytes_write_string(to, "picket_build_info{version=\"" PICKET_VERSION "\"} 1\n");
	put_single(to, &(struct metric){"start_timestamp_seconds", "gauge", "When it started."},
		   seconds(call->api->started_us));
	put_partitions(to, &view.status);
	put_engine(to, &view.status);
	put_rules(to, call->ruleset);
	put_warming(to, call->api);
	put_reloads(to, call->api);
	put_receivers(to, call->api);
	put_single(to, &(struct metric){"store_bytes", "gauge", "Size of the store."},
		   (double)store_bytes(call->api->store));
	assert(view.live || view.arena != NULL);
	return put_rule_tallies(to, call->api, err);
}

enum status api_livez(const struct api_call *call, struct api_response *response, struct error *err)
{
	(void)call;
	(void)err;
	bytes_write_string(&response->body, "{\"schema\":\"picket.health/1\",\"ok\":true}");
	return OK;
}

enum status api_readyz(const struct api_call *call, struct api_response *response,
		       struct error *err)
{
	struct api_view view cleanup(api_view_done) = {0};
	enum status status = api_view_open(call->api, &view, err);
	if (status != OK)
		return status;
	const struct runtime_status *now = &view.status;
	const struct {
		const char *name;
		bool ok;
	} checks[] = {
		{"engine", view.live && now->state != RUNTIME_FAILED},
		{"rules", call->ruleset != NULL && ruleset_count(call->ruleset) > 0},
		{"store_writable", !now->disk_full},
		{"sources", now->partition_count > 0},
	};
	bool ready = true;
	struct json_writer json = {.to = &response->body};
	json_write_open(&json, NULL, '{');
	json_write_string(&json, "schema", "picket.health/1");
	json_write_open(&json, "checks", '{');
	for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
		json_write_boolean(&json, checks[i].name, checks[i].ok);
		ready &= checks[i].ok;
	}
	json_write_close(&json, '}');
	json_write_boolean(&json, "ok", ready);
	json_write_close(&json, '}');
	response->status = ready ? 200 : 503;
	return OK;
}
