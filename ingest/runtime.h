/* runtime - the daemon's engine: workers, actors and one commit per epoch.
 *
 *     source -> worker (decode, normalise, enrich, match, build blocks)   x worker_count
 *            -> actor (correlate, cohorts)                                x actor_count
 *            -> committer: ONE store batch per epoch
 *
 * Why: what is not in a committed batch never existed. An epoch closes about every epoch_ms: each
 * worker hands its match records to the actors and its blocks, quarantine and positions to the
 * committer; each actor folds the epoch and hands over alerts and cohort rows; the committer puts
 * all of it into one batch. Queues are bounded: a slow store stops the polling, and nothing else.
 *
 * Invariant: epochs commit in order, and none is left out unless it is empty; after a crash the
 * store holds a prefix of epochs, and starting again from it gives the same stored events and final
 * alerts.
 * Owner: runtime_new()'s caller. Thread: runtime_status() and
 * runtime_commit() from any, the rest from one.
 * Limits: RUNTIME_WORKERS_MAX, RUNTIME_ACTORS_MAX, epochs in flight: RUNTIME_EPOCHS_MAX. */
#ifndef PICKET_INGEST_RUNTIME_H
#define PICKET_INGEST_RUNTIME_H

#include "correlate/actor.h"
#include "correlate/cohort.h"
#include "correlate/instance.h"
#include "ingest/decode.h"
#include "ingest/enrich.h"
#include "ingest/generation.h"
#include "ingest/rule_tally.h"
#include "storage/rows.h"

enum {
	RUNTIME_WORKERS_MAX = 64,
	RUNTIME_ACTORS_MAX = 64,
	RUNTIME_EPOCHS_MAX = 4,
};

struct runtime;

/* Makes the source of one worker. */
struct source_factory {
	enum status (*make)(void *context, const struct source_start *start,
			    struct source **ret_source, struct error *err);
	void *context;
};

struct runtime_options {
	struct store *store;           /* lent */
	const struct ruleset *ruleset; /* lent, as enrich.bindings and enrich.privacy are, unless */
	bool takes_parts;              /* the runtime frees them, also when runtime_new() fails */
	struct source_factory source;
	struct decoder_options decoder;
	struct enrich_options enrich; /* the desk is lent in any case */
	struct wall_clock clock;
	unsigned worker_count, actor_count;
	unsigned epoch_ms;        /* 0 = 100 */
	unsigned checkpoint_ms;   /* 0 = 10,000 */
	int64_t lateness_us;      /* 0 = 10 s */
	size_t groups_max;        /* per rule and tenant; 0 = ACTOR_CELLS_MAX */
	bool rebuild_damaged;     /* what rules remember, from the events, when it cannot be read */
	size_t correlation_bytes; /* of cells in memory, the rest is spilled; 0 = no limit */
	bool track_instances;     /* gaps, replays and silence of instances raise alerts */
	int64_t silent_us;        /* an instance is silent after this; 0 = none is told */
	int64_t replay_window_us; /* an event.id that comes again within this is told; 0 = none */
	const char *synced_path;  /* small file beside the store: last synced epoch; NULL = none */
	const char *journal_path; /* another: messages in hand (journal.h); NULL = none */
};

enum runtime_state { RUNTIME_RUNNING, RUNTIME_FINISHED, RUNTIME_FAILED };

struct partition_status {
	struct position_row row; /* topic is a copy owned by the snapshot */
	struct source_lag lag;
	bool assigned;
	struct stream_formats formats;
};

struct runtime_status {
	enum runtime_state state;
	uint64_t epoch;
	int64_t watermark_us;
	bool rewound; /* the store had lost epochs that were once synced */
	bool disk_full;
	int warming_percent;                 /* of rules that are new; -1: none */
	int64_t committed_us;                /* clock of the last commit */
	struct partition_status *partitions; /* by (topic, partition) */
	size_t partition_count;
	uint64_t alerts_opened;
	uint64_t undecided;
	uint64_t excluded;            /* matches that filters took away */
	uint64_t crashed;             /* messages refused because of crashes, since the start */
	size_t suspects;              /* messages that may be the cause of one, still ahead ... */
	char suspect[320];            /* ... and the first of them, TOPIC/PARTITION/OFFSET */
	unsigned epoch_messages;      /* of a worker at most, after a crash; 0: any number */
	struct actor_counters actors; /* sums */
	struct route_counters routes;
	struct instances_counters instances; /* sums */
	struct enrich_counters enrich;
	struct error failure; /* of RUNTIME_FAILED */
	char problem[512];    /* the newest word of a source for the operator, "" = none */
	int64_t problem_us;
};

enum status runtime_new(const struct runtime_options *options, struct runtime **ret_runtime,
			struct error *err);
/* Ends polling, finishes the epoch, commits, joins all threads. */
void runtime_stop(struct runtime *runtime);
void runtime_free(struct runtime **runtime);
/* The process ends of a signal that it caused: the next run wants to know. For signal handlers. */
void runtime_crashed(struct runtime *runtime);
/* Makes the parts, which it takes, those that are live, from *ret_epoch on. State of rules whose
 * state id is the same is kept. EINVALID, EUNAVAILABLE, ...: the old ones stay. Any thread. */
enum status runtime_swap(struct runtime *runtime, struct generation_parts *parts,
			 uint64_t *ret_epoch, struct error *err);
/* The rules that the newest events are matched with; generation_drop() it. Any thread. */
struct generation *runtime_rules(struct runtime *runtime);
/* The set whose new rules are being warmed (generation_warms()), and how far they are; NULL: none
 * is. generation_drop() it. Any thread. */
struct generation *runtime_warming(struct runtime *runtime, int *ret_percent);
/* A copy; free with runtime_status_done(). */
enum status runtime_status(struct runtime *runtime, struct runtime_status *ret_status);
void runtime_status_done(struct runtime_status *status);
/* A copy; rule_tallies_done() it. ENOMEMORY. Any thread. */
enum status runtime_rule_tallies(struct runtime *runtime, struct rule_tallies *ret_tallies);
/* Commits somebody else's batch (what a person did, how far a receiver has heard): on disk before
 * it returns, and every epoch that was committed before it with it. Thread: any. */
enum status runtime_commit(struct runtime *runtime, struct store_batch *batch, struct error *err);

#endif
