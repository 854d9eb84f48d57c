/* runtime_private - what the threads of the runtime hand to each other.
 *
 *     worker --parcel--> every shard, committer        (what one worker made of one epoch)
 *     shard  --letter--> every shard                   (chained firings, one per round)
 *     shard  --verdicts--> committer                   (alerts and gate rows of one epoch)
 *     committer --epoch gate--> workers                (which epochs to close)
 *
 * Invariant: a parcel is read-only once it was pushed; the committer frees it after the epoch is
 * committed, when every shard has long delivered. At most RUNTIME_EPOCHS_MAX epochs are in flight,
 * so no queue below can ever be full for want of a reader. */
#ifndef PICKET_INGEST_RUNTIME_PRIVATE_H
#define PICKET_INGEST_RUNTIME_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "ingest/detect.h"
#include "ingest/journal.h"
#include "ingest/queue.h"
#include "ingest/rule_tally.h"
#include "ingest/runtime.h"
#include "ingest/state_rows.h"

/* Which epochs are to be closed, and how far the store is. */
struct epoch_gate {
	pthread_mutex_t mutex;
	uint64_t closing; /* workers close every epoch up to this one */
	uint64_t committed;
	uint64_t final;                          /* the last epoch of this run; 0 = not known yet */
	bool checkpoint[RUNTIME_EPOCHS_MAX + 1]; /* by epoch % size: write the cells too */
	bool failed;

	/* Which rules an epoch is matched with, up to the one after `closing`; lent by current and
	 * retired, which are held. */
	struct generation *rules[RUNTIME_EPOCHS_MAX + 1];
	struct generation *current;
	struct generation *pending; /* wants to be current; NULL: none */
	struct generation *retired; /* was current until the end of ... */
	struct generation *warming; /* has rules that are being warmed, for who asks; NULL: none */
	uint64_t retired_after;     /* ... this epoch, which is not committed yet */
	uint64_t swapped_epoch;     /* the first of the last swap */
	pthread_cond_t changed;     /* pending was taken, or nobody will take it */
};

/* Health alerts told not long ago, each by a mark of its subject and hour (health.c). Telling twice
 * would be the same alert: this saves work. */
struct told {
	uint64_t marks[64];
	unsigned next;
};
/* Was it among them? Notes it. */
bool told_already(struct told *told, uint64_t mark);

/* What a worker is told about its open epoch. */
struct epoch_order {
	bool close;
	bool checkpoint, final;
	struct generation *next; /* the rules of the epoch after; lent */
};
struct epoch_order epoch_gate_order(struct epoch_gate *gate, uint64_t epoch);

/* reload.c. All but the last under the gate's mutex: */
void epoch_gate_begin(struct epoch_gate *gate, uint64_t committed);
bool epoch_gate_wants_swap(const struct epoch_gate *gate);
/* The epoch `closing` may be closed from now on: fixes the rules of the one after it. */
void epoch_gate_plan(struct epoch_gate *gate, uint64_t closing);
void epoch_gate_committed(struct epoch_gate *gate, uint64_t epoch);
void epoch_gate_fail(struct epoch_gate *gate);
bool epoch_gate_failed(struct epoch_gate *gate);
bool epoch_gate_has_committed(struct epoch_gate *gate, uint64_t epoch);

/* Everything that goes through a queue starts with its kind. */
enum item_kind { ITEM_PARCEL, ITEM_LETTER, ITEM_VERDICTS, ITEM_NUDGE };

struct item {
	enum item_kind kind;
};

struct parcel {
	struct item item;
	uint64_t epoch;
	unsigned worker;
	struct detected detected;
	struct bytes announcements; /* text alert id, varint revision; of health alerts */
	struct bytes rule_news;     /* rule_tally.h: what detections found */
	int64_t watermark_us;       /* of the worker's partitions; INT64_MAX: none holds it */
	bool finished;              /* no partition of the worker will ever yield anything more */
	bool checkpoint, final;
	struct generation *next; /* the rules of the next epoch; lent until this one is committed */
	uint64_t next_hash;
	struct partition_status *partitions; /* for status, all of them */
	size_t partition_count;
	struct detect_counters counters;
};

struct letter {
	struct item item;
	uint64_t epoch;
	uint64_t sequence; /* rounds since the start; a shard is one ahead of another at most */
	unsigned from;
	struct bytes records;
};

struct verdicts {
	struct item item;
	uint64_t epoch;
	unsigned shard;
	struct bytes rows;
	struct bytes key;           /* scratch */
	struct bytes announcements; /* text alert id, varint revision */
	struct bytes rule_news;     /* rule_tally.h: alerts; with a checkpoint all groups too */
	int64_t watermark_us;
	uint64_t alerts_opened;
	struct actor_counters counters;
	struct instances_counters instances;
};
void shard_verdicts_free(struct verdicts **verdicts);

struct runtime;

struct worker {
	struct runtime *runtime;
	unsigned index;
	pthread_t thread;
	bool started;
	uint64_t epoch; /* the open one */
	struct source *source;
	struct journal *journal; /* the runtime's; NULL: none */
	bool alone;              /* the journal lets no other worker read ... */
	uint64_t single;         /* ... until this epoch of one message is committed; 0: none */
	struct detect *detect;
	struct generation *rules; /* of the open epoch; held */
	struct rule_watch watch;  /* of their matcher */
	struct detected detected;
	struct bytes announcements;
	struct stream *streams;
	uint32_t history; /* ALERT_BACKFILL while the message in hand is history, else 0 */
	size_t stream_count, stream_capacity;
	bool ready;  /* the source has named every stream that exists */
	bool nudged; /* the committer was asked to close this epoch early */
	struct told told;
};

struct shard {
	struct runtime *runtime;
	unsigned index;
	pthread_t thread;
	bool started;
	struct queue *inbox;
	struct actor *actor;
	struct spill_rows *spill;     /* of the actor */
	uint32_t spill_serial;        /* of the next actor */
	struct generation *rules;     /* the actor's; held */
	struct actor_counters before; /* of actors that other rules had */
	struct cohort *cohort;
	uint64_t epoch; /* the next to fold */
	int64_t watermark_us;
	struct parcel **parcels;     /* [RUNTIME_EPOCHS_MAX + 1][worker_count], by epoch % */
	struct letter **letters;     /* [2][actor_count], by sequence % 2 */
	uint64_t sequence;           /* of the next round of letters */
	struct instances *instances; /* NULL: not tracked */
	struct told told;
	struct state_rows state[VIRTUAL_PARTITIONS]; /* of the actor, as of the last checkpoint */
	uint64_t cell_hash[3][VIRTUAL_PARTITIONS];   /* of the same: SHARD_CELL_KINDS */
	uint64_t known_hash;                         /* of warm_known_encode() in it */
};

struct committer {
	pthread_t thread;
	bool started;
	struct queue *inbox;
	struct parcel **parcels;    /* [RUNTIME_EPOCHS_MAX + 1][worker_count] */
	struct verdicts **verdicts; /* [RUNTIME_EPOCHS_MAX + 1][actor_count] */
	struct epoch_row row;       /* as last committed */
	struct bytes match_keys;    /* texts: match rows that the next checkpoint makes useless */
	int64_t opened_us;          /* clock when the newest epoch was told to close */
	int64_t checkpoint_us;
};

struct runtime {
	struct runtime_options options;
	struct hash_key hash_key;
	struct position_row *positions; /* as found at the start; topics are owned */
	size_t position_count;
	struct epoch_gate gate;
	struct journal *journal; /* NULL: none is kept */
	struct worker *workers;
	struct shard *shards;
	struct committer committer;
	struct error rebuilt; /* why correlation began anew at this start; OK: it did not */
	atomic_bool stopping;
	atomic_int warming_percent; /* of the rules of gate.warming; -1: there are none */
	pthread_mutex_t status_mutex;
	struct runtime_status status; /* without partitions */
	struct rule_tallies tallies;  /* as committed, as the status is */
	struct parcel **latest;       /* per worker: its newest committed parcel, for status */
	pthread_mutex_t synced_mutex; /* of the synced file */
	uint64_t synced_epoch;
};

static inline size_t epoch_slot(uint64_t epoch)
{
	return epoch % (RUNTIME_EPOCHS_MAX + 1);
}

/* The first failure is kept; all threads end. */
void runtime_fail(struct runtime *runtime, const struct error *failure);
void runtime_problem(struct runtime *runtime, struct text text, int64_t now_us);

void *worker_main(void *worker);
/* event_news.c: what an event shows to be wrong, as alerts of the worker's epoch; a detect_sink's.
 */
void worker_on_event(void *worker, const struct event *event, const struct matches *matches);
void worker_done(struct worker *worker);
enum status worker_init(struct worker *worker, struct runtime *runtime, unsigned index,
			struct error *err);

/* reload.c: from now on with these rules; nothing when they are the same. */
enum status worker_switch(struct worker *worker, struct generation *next, struct error *err);
enum status shard_switch(struct shard *shard, struct generation *next, struct error *err);

/* shard_actor.c: an actor of the shard's for a plan, with its share of the memory, and the rows it
 * spills to, which must outlive it. */
enum status shard_actor_new(struct shard *shard, const struct plan *plan, struct actor **ret_actor,
			    struct spill_rows **ret_spill, struct error *err);
/* reload_warm.c: new rules get what they would remember. What fails leaves them empty and is told
 * as a problem; warm_begin() before the swap, warm_finish() behind it. */
void warm_begin(struct runtime *runtime, struct generation *next);
void warm_finish(struct runtime *runtime, struct generation *next);
/* Nothing is warmed any more: done, or the swap was not. */
void warm_over(struct runtime *runtime);
/* Waits for warm_finish(), and takes what belongs to the shard. */
enum status warm_take(struct shard *shard, struct generation *next, struct actor *actor,
		      struct error *err);
/* At a start, between cells and replay: what was warmed behind the last checkpoint, and which rules
 * it did not know. */
enum status recover_warmed(struct runtime *runtime, struct error *err);
/* At a start, behind the replay: those rules are warmed. *ret_warmed: there were such. */
enum status recover_warm(struct runtime *runtime, bool *ret_warmed, struct error *err);
/* Which rules' state a checkpoint holds: their ids, as the value of a row. */
enum status warm_known_encode(const struct plan *plan, struct bytes *to);

struct actor_counters shard_counters(const struct shard *shard);
void shard_keep_counters(struct shard *shard); /* before the actor is replaced */
/* How many groups each unit has now, as news of its rule. */
enum status shard_put_groups(const struct shard *shard, struct bytes *news);
/* Rules that refused a group of a tenant in this epoch, as alerts. */
void shard_put_refusals(struct shard *shard, int64_t watermark_us, struct verdicts *to);
void actor_counters_add(struct actor_counters *to, const struct actor_counters *from);

/* A row of the registry (storage/rows.h). */
void verdicts_put_registry(struct verdicts *to, char kind, const struct text *names, size_t count,
			   int64_t time_us, const struct bytes *value);

/* The alerts of the epoch just closed that the filter takes, as rows and announcements. */
void shard_put_alerts(struct shard *shard, const struct unit_filter *of, struct verdicts *to);

/* What a shard writes into a checkpoint beside the actor's state (state_rows.h), one row a kind:
 * gate, instances, event ids. */
#define SHARD_CELL_KINDS "gne"

void *shard_main(void *shard);
void shard_done(struct shard *shard);
enum status shard_init(struct shard *shard, struct runtime *runtime, unsigned index,
		       struct error *err);

/* instance_news.c: what the instances of a shard did wrong, as alerts. */
enum status shard_instances_close(struct shard *shard, int64_t watermark_us, struct verdicts *to);

void *committer_main(void *runtime);
/* Rows into a batch, and one outbox row per announcement; row->outbox_next moves on. */
void batch_news(struct store_batch *batch, struct epoch_row *row, const struct bytes *rows,
		const struct bytes *announcements);
void batch_epoch_row(struct store_batch *batch, const struct epoch_row *row);

void parcel_free(struct parcel **parcel);

/* recover.c: what the store remembers. */
enum status recover_positions(struct runtime *runtime, struct error *err);
enum status recover_state(struct runtime *runtime, struct error *err);
/* recover_rules.c: whether the store ran with other rules last, and what is to be done then, when
 * news holds what the replay raised. */
bool recover_other_rules(const struct runtime *runtime);
enum status recover_under_other_rules(struct runtime *runtime, struct verdicts *news,
				      struct error *err);
/* recover_rebuild.c: what correlation remembered cannot be read, and err says why. It begins anew,
 * if that is wanted, and is warmed; else it is the status of err, or of what failed. */
enum status recover_rebuild(struct runtime *runtime, struct error *err);
/* Behind the warming: people are told. */
void recover_rebuilt_tell(struct runtime *runtime, bool warmed, struct verdicts *news);
/* The epoch in the synced file, 0 when there is none. */
uint64_t recover_synced_epoch(const char *path);
enum status synced_epoch_write(const char *path, uint64_t epoch, struct error *err);

/* health.c: alerts about picket itself. subject: what it is about, one line. */
enum health_kind {
	HEALTH_DATA_GAP,
	HEALTH_LOG_REWOUND,
	HEALTH_STALLED,
	HEALTH_CRASHED,
	HEALTH_STORE_REWOUND,
	HEALTH_STATE_REBUILT,
	HEALTH_UNDECIDED,
	HEALTH_SPOOF,
	HEALTH_GROUPS,
	HEALTH_LOG_GAP,
	HEALTH_LOG_REPLAY,
	HEALTH_LOG_SILENT,
	HEALTH_SERVICE_SILENT,
	HEALTH_SECRET,
	HEALTH_KIND_COUNT
};
/* One such alert; it points into group and the note. */
struct health_note {
	enum health_kind kind;
	struct text subject, reason;
	uint64_t epoch;
	int64_t time_us;
	uint32_t flags; /* enum alert_flags */
};
void health_make(const struct health_note *note, struct bytes *group, struct alert *ret_alert);
/* The same as rows of a batch. */
void health_alert(const struct health_note *note, struct bytes *rows, struct bytes *announcements);

#endif
