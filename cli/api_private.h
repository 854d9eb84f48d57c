/* api_private - what the routes share: their table, parameters, and a view of the runtime.
 *
 * Why: each noun has its own file (api_alerts.c, api_gate.c, ...); the table in api.c is the only
 * place that knows all of them. Invariant: a handler that does not return OK has not written to the
 * store. Owner: the request's. Thread: the request's. Limits: those of api.h. */
#ifndef PICKET_CLI_API_PRIVATE_H
#define PICKET_CLI_API_PRIVATE_H

#include "cli/api.h"
#include "cli/json_writer.h"
#include "cli/receiver.h"
#include "storage/search.h"

/* A running engine that has committed nothing for so long is a problem. */
enum { API_NO_COMMIT_US = 10 * 1000000 };

struct api_call {
	struct api *api;
	const struct api_request *request;
	struct text rest;              /* of the path, behind the route: "ID" or "ID/ack" */
	const struct ruleset *ruleset; /* live while the call lasts; NULL: not known */
};

typedef enum status api_handler(const struct api_call *call, struct api_response *response,
				struct error *err);

api_handler api_alerts_list, api_alert_one, api_alert_act;
api_handler api_gate, api_gate_policies, api_gate_history, api_gate_plan, api_gate_override;
api_handler api_flagger_confirm, api_flagger_rollback;
api_handler api_status, api_state, api_risk, api_sources, api_seek, api_services;
api_handler api_rules, api_rules_reload, api_coverage;
api_handler api_metrics, api_livez, api_readyz;
api_handler api_quarantine_list, api_quarantine_one, api_events;
api_handler api_tenants;
api_handler api_search, api_retention, api_store_verify, api_store_backup;
api_handler api_receivers, api_receiver_act;
api_handler api_audit_list;
api_handler api_backtest_start, api_backtest_tell, api_backtest_cancel;

/* The value of a parameter; size 0 when it was not given. */
struct text api_parameter(const struct api_call *call, const char *name);
/* Numbers from 0; `fallback` when it was not given. */
enum status api_parameter_number(const struct api_call *call, const char *name, int64_t fallback,
				 int64_t *ret_number, struct error *err);
/* limit=N, at most API_LIMIT_MAX. */
enum status api_parameter_limit(const struct api_call *call, size_t *ret_limit, struct error *err);
/* RFC 3339, `now`, or a duration before now (1h). */
enum status api_parameter_time(const struct api_call *call, const char *name, int64_t fallback,
			       int64_t *ret_time_us, struct error *err);

/* What is known of the sources: live from the runtime, else from the rows of the store. */
struct api_view {
	bool live;
	struct runtime_status status;
	struct arena *arena; /* of a view that is not live */
};
enum status api_view_open(struct api *api, struct api_view *ret_view, struct error *err);
void api_view_done(struct api_view *view);

/* Rules with series of their own in /metrics, the first ones by key; the others are summed up. */
enum { API_RULE_SERIES_MAX = 1000 };

/* Sums over all partitions. */
struct api_totals {
	uint64_t consumed, stored, quarantined, late, gap_offsets, hole_offsets;
	int64_t lag; /* messages; -1 = not known for some partition */
	size_t stalled;
};
struct api_totals api_totals(const struct api_view *view);

/* Alerts of the store, merged ones left out. Not more than ALERTS_COUNTED_MAX are looked at, so
 * that asking for the status stays cheap; `more` says that there are others. */
enum { ALERTS_COUNTED_MAX = 10000 };
struct api_alert_counts {
	size_t total, open;
	bool more;
};
enum status api_alert_count(struct api *api, struct api_alert_counts *ret_counts,
			    struct error *err);

/* What is known of one receiver; ENOTFOUND: it has never been configured. Give back with
 * api_receiver_done(); *ret_receiver starts as zeros. */
struct api_receiver {
	struct receiver_progress progress;
	uint64_t pending;  /* revisions in the outbox that it has not seen */
	const char *state; /* ok, sending, failing */
	struct bytes keep;
};
enum status api_receiver_read(struct api *api, enum receiver_kind kind,
			      struct api_receiver *ret_receiver, struct error *err);
void api_receiver_done(struct api_receiver *receiver);

/* api_state.c: what the last checkpoint in the store holds, by the rules as they are now. */
struct survey;
struct survey_options;
struct plan;
struct hash_key;
struct api_survey {
	struct survey *survey;
	struct plan *plan; /* outlives the survey, whose lines point into it */
};
void api_survey_done(struct api_survey *survey);
/* Sets options->plan. Whatever it returns, *survey is to be done with afterwards. */
enum status api_survey_read(const struct api_call *call, const struct hash_key *key,
			    struct survey_options *options, struct api_survey *survey,
			    struct error *err);

/* api_rules.c: the member "rules" of the status, and what is wrong with the rules. */
void api_rules_status(struct json_writer *json, const struct api_call *call);
void api_rules_problems(struct json_writer *json, const struct api_call *call);

/* origin as the members topic, partition, offset, index. */
void api_write_origin(struct json_writer *json, const struct origin *origin);

/* The number behind the last slash of *text, which is cut off. */
bool api_take_number(struct text *text, int64_t most, int64_t *ret_number);

/* The limits of one search. */
enum {
	API_SEARCH_US_MAX = 25 * 1000000,
	API_SEARCHES_MAX = 4,
	API_SEARCH_PRIORITY = 12, /* four have a seventh of what two busy threads have */
};
/* tenant=, since=, until= of a search, and any place. */
enum status api_read_scope(const struct api_call *call, struct search_options *options,
			   struct error *err);
/* Fills in the store and the limits, and runs it. EUNAVAILABLE: too many run. */
enum status api_run_search(const struct api_call *call, struct search_options *options,
			   struct search_result *ret_result, struct error *err);

int64_t api_now(const struct api *api);

/* Ends the backtest that runs, if one does. */
void api_backtest_stop(struct api *api);

/* A row of the audit for what was asked and answered. */
void api_audit(struct api *api, const struct api_request *request,
	       const struct api_response *response);
/* The live rules; generation_drop() it. NULL: there is no daemon, api->ruleset is all there is. */
struct generation *api_rules_hold(const struct api *api);
/* The set whose new rules are being warmed, and how far; generation_drop() it. NULL: none is. */
struct generation *api_warming_hold(const struct api *api, int *ret_percent);

/* What a person did, on disk before it returns. */
enum status api_commit(const struct api *api, struct store_batch *batch, struct error *err);

#endif
