/* api - the versioned HTTP API as functions: a request in, a status and bytes out.
 *
 * Why: the daemon answers over a unix socket and TCP, and `--data DIR` answers in process from a
 * store nobody has open. Both must give the same bytes, so the routes know no socket: they read the
 * store, a snapshot of the runtime and a clock that was given to them.
 *
 * Invariant: every answer is complete or says so ("complete": false); no route changes anything but
 * POST and the first poll of a gate step, and those are on disk before the answer. A parameter that
 * a route does not know is refused: a mistyped `tenant=` must not widen a query.
 * Owner: api_init()'s caller; what api names is lent. Thread: api_answer() from any.
 * Limits: API_BODY_MAX, API_LIMIT_MAX rows, gate wait at most API_WAIT_MAX_US. */
#ifndef PICKET_CLI_API_H
#define PICKET_CLI_API_H

#include <pthread.h>
#include <stdatomic.h>

#include "cli/row_retention.h"
#include "ingest/runtime.h"
#include "storage/retention.h"

enum {
	API_BODY_MAX = 4 * 1024 * 1024,
	API_LIMIT_MAX = 10000,
	API_LIMIT_DEFAULT = 100,
	API_WAIT_MAX_US = 8 * 1000000,
	API_PARAMETERS_MAX = 32,
};

struct api {
	struct store *store;
	const struct ruleset *ruleset; /* where there is no daemon; NULL: not known */
	/* The rules that are live, to be dropped by whoever asks; NULL: `ruleset` is all there is.
	 */
	struct generation *(*rules)(void *context);
	/* The set whose new rules are being warmed, and how far; NULL: there is no such thing. */
	struct generation *(*warming)(void *context, int *ret_percent);
	struct reloader *reloader;               /* lent; NULL: no daemon */
	const struct retention_rules *retention; /* lent; NULL: offline, not known */
	const struct row_rules *row_rules;       /* lent; given with retention */
	struct wall_clock clock;
	/* A snapshot of the runtime, freed with runtime_status_done(); NULL: no daemon runs. */
	enum status (*runtime_status)(void *context, struct runtime_status *ret_status);
	/* A copy of the counts by rule, freed with rule_tallies_done(); NULL: no daemon runs. */
	enum status (*rule_tallies)(void *context, struct rule_tallies *ret_tallies);
	void *runtime_context;
	/* Commits to disk through the runtime, with that context; NULL: straight to the store. */
	enum status (*commit)(void *context, struct store_batch *batch, struct error *err);
	int64_t block_after_us; /* gate.block_after; 0: a rule with gate: block blocks at once */
	const struct gate_policy *policies; /* of files, lent; the shipped ones are always there */
	size_t policy_count;
	struct gate_sessions *gate_sessions; /* made by api_init() */
	struct sender *sender;               /* lent; NULL: nobody is told of alerts */
	struct log *log;                     /* lent; NULL: none */
	atomic_uint audit_number;
	struct backtest_job *backtest; /* the one that runs or was the last; under writing */
	uint64_t backtest_number;
	bool read_only; /* nothing may be written */
	int64_t started_us;
	atomic_bool stopping;    /* long polls end */
	atomic_uint searches;    /* that run now */
	pthread_mutex_t writing; /* one read-change-write at a time */
};

void api_init(struct api *api);
void api_done(struct api *api);

struct api_parameter {
	struct text name, value; /* decoded */
};

struct api_request {
	struct text method; /* GET, POST */
	struct text path;   /* decoded, without the query */
	const struct api_parameter *parameters;
	size_t parameter_count;
	struct text body;
	struct text who; /* as the system knows the other end of the socket; "" = not known */
	bool (*is_gone)(void *context); /* whether who asked has hung up; NULL: not known */
	void *is_gone_context;
};

struct api_response {
	unsigned status; /* HTTP */
	const char *content_type;
	unsigned retry_after_s; /* 0 = none */
	const char *allow;      /* of 405: the methods there are; NULL = none */
	uint64_t rows;          /* of tenants' data in the body, for the audit */
	struct bytes body;
};

/* Who may ask: anybody who reaches the address; the role gate-read; only the unix socket. */
/* (API_SOCKET_POLL: asked again and again while a job runs, and no row of the audit each time). */
enum api_access { API_OPEN, API_GATE_READ, API_SOCKET_POLL, API_SOCKET_ONLY };
enum api_access api_access_of(struct text method, struct text path);

/* The table of routes, row by row, so that a test can hold docs/API.md against it; false behind the
 * last. A path that ends with '/' stands for everything below it. */
struct api_route_name {
	const char *method, *path, *parameters;
};
bool api_route_at(size_t index, struct api_route_name *ret_route);

/* Always answers; *ret_response is overwritten, its body is the caller's to free. */
void api_answer(struct api *api, const struct api_request *request,
		struct api_response *ret_response);

/* The error answer of a status, as every route gives it: schema picket.error/1. */
void api_refuse(struct api_response *response, unsigned http_status, const char *text);

#endif
