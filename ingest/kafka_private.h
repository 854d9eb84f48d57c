/* kafka_private - what the files of the Kafka source share; nobody else includes it.
 *
 *     source_kafka.c   poll: one batch; lag, group commits
 *     kafka_life.c     new and free; librdkafka's callbacks
 *     kafka_config.c   librdkafka's properties: ours, the user's, the refused ones
 *     kafka_find.c     topics and partitions: what exists, what is ours
 *     kafka_offset.c   where reading starts: log ranges, gaps, rewinds, times
 *     kafka_idle.c     the proof of idleness from statistics
 *     kafka_problem.c  errors in words for the operator, rate-limited
 *
 * Why: one consumer per worker, all its partitions assigned by us at OUR offsets; nothing in
 * librdkafka may choose a position, drop a record or wait without an end.
 *
 * Invariant: streams[i] was announced as stream i and stays it; a partition is either wanted (not
 * announced yet) or a stream. Owner and thread: the worker that polls; librdkafka's callbacks run
 * inside the poll, in the same thread. Units: microseconds of the caller's clock. */
#ifndef PICKET_INGEST_KAFKA_PRIVATE_H
#define PICKET_INGEST_KAFKA_PRIVATE_H

#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <regex.h>

#include "ingest/source.h"
#include "rules/arena.h"

enum {
	KAFKA_QUERY_MS = 1000,             /* the longest one question may hold up a poll */
	KAFKA_FIND_US = 10 * 1000000,      /* new partitions are found within this time */
	KAFKA_RETRY_US = 500 * 1000,       /* a question that got no answer is asked again */
	KAFKA_IDLE_AFTER_US = 3 * 1000000, /* without data, before a tick may stand in for it */
	KAFKA_COMMIT_US = 5 * 1000000,     /* group commits are for people: seldom is enough */
	KAFKA_PROBLEM_US = 30 * 1000000,   /* the same problem is told again after this time */
	KAFKA_PROBLEM_KINDS = 64,
	KAFKA_FREE_MS = 4000,                     /* then the client is abandoned */
	KAFKA_BATCH_BYTES_MAX = 64 * 1024 * 1024, /* headers and texts of one batch */
};

/* What one statistics report says about a partition. */
struct kafka_sight {
	int64_t time_us; /* not later than when the report was made; 0 = no report */
	int32_t leader;
	uint64_t fetches; /* Fetch requests sent to the leader so far */
	int64_t end;      /* high watermark of the last answer */
	bool sound;       /* leader up, fetching from it, all numbers there */
};

struct kafka_stream {
	char *topic;
	int32_t partition;
	int64_t next;     /* the first offset that was not handed out */
	int64_t end;      /* the log's end as last seen, -1 = not known */
	int64_t data_us;  /* the last message (or the start) */
	int64_t alive_us; /* the last message or proof of idleness */
	bool stalled;
	bool lost;         /* out of range: the log's range must be asked before reading on */
	int64_t committed; /* by the store, -1 = nothing yet */
	int64_t told;      /* of these, told to the group */
	struct kafka_sight earlier, later;
};

/* A partition that is ours but not started yet. */
struct kafka_wanted {
	char *topic;
	int32_t partition;
	bool leader;      /* it has a leader that can be asked */
	bool first_start; /* found when the store knew nothing: kafka.start decides */
	bool history;     /* what it holds now is history (alerts are backfill) */
};

struct kafka_position {
	char *topic;
	int32_t partition;
	int64_t next_offset;
};

struct kafka_pattern {
	char *topic;
	bool is_regex;
	regex_t regex;
	bool seen; /* of a plain name: it existed at the last look */
};

/* What is fixed for the life of the source. */
struct kafka_plan {
	struct wall_clock clock;
	unsigned share, share_count;
	struct kafka_pattern *patterns;
	size_t pattern_count;
	struct kafka_position *positions;
	size_t position_count;
	enum kafka_start start;
	int64_t start_ago_us, stalled_after_us;
	char *group;       /* NULL: no commits */
	char store_id[33]; /* hex: the metadata of our commits */
	char *servers;
};

/* The batch of the last poll. */
struct kafka_batch {
	rd_kafka_message_t **owned; /* librdkafka's, destroyed at the next poll */
	size_t owned_count;
	struct message *messages;
	size_t message_count, capacity;
	struct source_notice *notices;
	size_t *after;
	size_t notice_count, notice_capacity;
	struct arena *arena; /* headers and texts */
	bool failed;         /* out of memory on the way */
};

/* What the store has, per stream: put there by the committer's thread, taken by the poll. A plain
 * letter box under a lock, because only the newest number counts. */
struct kafka_letters {
	pthread_mutex_t mutex;
	int64_t *next; /* -1 = nothing yet */
	size_t count;
};

/* When each problem was last told, by a hash of its kind and subject. */
struct kafka_problems {
	uint64_t key[KAFKA_PROBLEM_KINDS];
	int64_t told_us[KAFKA_PROBLEM_KINDS];
	unsigned next;
	int64_t cause_us; /* a refused login or certificate was last met; 0 = never */
};

struct kafka_source {
	struct source base;
	struct kafka_plan plan;
	rd_kafka_t *client;
	rd_kafka_queue_t *queue;
	struct kafka_stream *streams;
	size_t stream_count, stream_capacity;
	uint32_t *slots; /* hash of (topic, partition) -> stream + 1; a power of two */
	size_t slot_count;
	const rd_kafka_topic_t *last_topic; /* of the run of messages being looked at */
	int32_t last_partition;
	uint32_t last_stream;
	struct kafka_wanted *wanted;
	size_t wanted_count, wanted_turn;
	bool found; /* topics were listed at least once */
	bool group_checked, ready;
	int64_t now_us;                     /* of this poll */
	int64_t emptied_us;                 /* the queue was empty at this time or later */
	int64_t find_us, ask_us, commit_us; /* when to do it next */
	bool reported;                      /* a statistics report came in this poll */
	struct kafka_batch batch;
	struct kafka_letters letters;
	struct kafka_problems problems;
};

/* kafka_config.c */
enum status kafka_config(const struct kafka_options *options, rd_kafka_conf_t **ret_conf,
			 struct error *err);

/* source_kafka.c */
void kafka_notice(struct kafka_source *source, struct source_notice notice);
uint32_t kafka_stream_find(const struct kafka_source *source, const char *topic,
			   int32_t partition); /* UINT32_MAX: none */

enum status kafka_poll(struct source *base, int timeout_ms, size_t message_max,
		       struct source_batch *ret_batch, struct error *err);
void kafka_committed(struct source *base, uint32_t stream, int64_t next_offset);
struct source_lag kafka_lag(struct source *base, uint32_t stream);
void kafka_batch_clear(struct kafka_batch *batch);
/* Positions the store has and the group has not; NULL when there are none. */
rd_kafka_topic_partition_list_t *kafka_commit_list(struct kafka_source *source);

/* kafka_find.c */
void kafka_find(struct kafka_source *source);
enum status kafka_pattern_new(struct text topic, struct kafka_pattern *ret_pattern,
			      struct error *err);

/* kafka_offset.c: starts what is wanted and what was lost; EINUSE when the group belongs to
 * another store. */
enum status kafka_start_wanted(struct kafka_source *source, struct error *err);
void kafka_restart_lost(struct kafka_source *source);
enum status kafka_group_check(struct kafka_source *source, struct error *err);

/* kafka_idle.c */
void kafka_idle_report(struct kafka_source *source, const char *json, size_t size);
void kafka_idle_notices(struct kafka_source *source);

/* kafka_problem.c: kind and subject together are told once per KAFKA_PROBLEM_US. */
__attribute__((format(printf, 4, 5))) void kafka_problem(struct kafka_source *source, int kind,
							 const char *subject, const char *format,
							 ...);
void kafka_problem_code(struct kafka_source *source, rd_kafka_resp_err_t code, const char *subject,
			const char *detail);
void kafka_commit_told(struct kafka_source *source, rd_kafka_resp_err_t code);

#endif
