/* source - where records come from: a Kafka cluster or files, behind one contract.
 *
 * Why: the journey must not know whether it is live. A source owns a share of the partitions and
 * hands out messages in offset order per partition, plus notices: a partition appeared, it was read
 * to its end (a tick: the proof of idleness), it stalled, it lost data to retention, it finished.
 *
 * Invariant: messages of one stream come in strictly growing offset order, starting at the stream's
 * start offset; every notice of a stream comes after its STREAM_ADDED; a TICK stands behind all
 * messages below its offset. Owner: one worker thread polls; a batch is valid until the next poll.
 * Time: a source gets its clock from the caller; LogAppendTime comes from the broker. */
#ifndef PICKET_INGEST_SOURCE_H
#define PICKET_INGEST_SOURCE_H

#include "rules/event.h"

/* The wall clock, given from cli/ (tests and simulation give their own). */
struct wall_clock {
	int64_t (*now_us)(void *context);
	void *context;
};

enum { SOURCE_HEADERS_MAX = 32 };

struct header {
	struct text name, value;
};

struct message {
	uint32_t stream; /* index of this source's streams, in order of STREAM_ADDED, from 0 */
	int64_t offset;
	int64_t record_time_us; /* LogAppendTime, else when it was received */
	struct text key;
	struct text payload; /* data == NULL: a tombstone */
	const struct header *headers;
	size_t header_count;
};

enum source_notice_kind {
	SOURCE_STREAM_ADDED, /* topic, partition, offset = where reading starts */
	SOURCE_READY,        /* every stream that exists now has been added (once, at the start) */
	SOURCE_TICK,         /* idle: nothing came for a while and, at time_us, everything the log
				held (below offset) had been handed out */
	SOURCE_STALLED,      /* nothing proves the end and nothing comes, since time_us */
	SOURCE_RESUMED,      /* ... and it is over */
	SOURCE_GAP,          /* retention passed us: [offset, end_offset) is lost */
	SOURCE_REWOUND,      /* the log is shorter than our position: reading goes on at offset */
	SOURCE_FINISHED,     /* nothing more will come (files) */
	SOURCE_PROBLEM, /* text: something for the operator (broker down, authentication, ...) */
};

struct source_notice {
	enum source_notice_kind kind;
	uint32_t stream;   /* not for SOURCE_READY and SOURCE_PROBLEM */
	struct text topic; /* STREAM_ADDED */
	int32_t partition; /* STREAM_ADDED */
	int64_t offset;
	int64_t end_offset;     /* STREAM_ADDED: the log's end seen then, or -1; GAP */
	int64_t backfill_until; /* STREAM_ADDED: offsets below are history (0 = none) */
	int64_t time_us;
	struct text text;
};

/* Notices first (ADDED before the stream's first message), then messages, then ticks: each notice
 * says with `after` how many messages of the batch come before it. */
struct source_batch {
	const struct message *messages;
	size_t message_count;
	const struct source_notice *notices;
	const size_t *notice_after; /* per notice: stands behind that many messages */
	size_t notice_count;
};

/* Live facts of one stream for status and lag; -1 = not known. */
struct source_lag {
	int64_t next_offset, end_offset;
	bool stalled;
};

struct source {
	const struct source_ops *ops;
};

struct source_ops {
	enum status (*poll)(struct source *source, int timeout_ms, size_t message_max,
			    struct source_batch *ret_batch, struct error *err);
	/* The store has everything below next_offset: tell lag tools. May do nothing. Called by
	 * another thread than poll, at the same time. */
	void (*committed)(struct source *source, uint32_t stream, int64_t next_offset);
	struct source_lag (*lag)(struct source *source, uint32_t stream);
	void (*free)(struct source *source);
	/* New streams may come at any time (Kafka): it is never finished, not even while it has
	 * none. Otherwise it is when it is ready and every stream it has told is. */
	bool endless;
};

/* Where the store stands: a source starts each known partition there. */
struct source_position {
	struct text topic;
	int32_t partition;
	int64_t next_offset;
};

/* Which partitions belong to worker `share` of `share_count`: the same for every source. */
unsigned source_share_of(struct text topic, int32_t partition, unsigned share_count);

struct source_start {
	const struct source_position *positions;
	size_t position_count;
	unsigned share, share_count;
	struct wall_clock clock;
};

enum kafka_start { KAFKA_START_LATEST, KAFKA_START_EARLIEST, KAFKA_START_AGO };

/* Is it this topic, or one of its later lives (topic~2)? A pattern may end with `*`. */
bool topic_fits(struct text topic, struct text pattern);

struct kafka_property {
	struct text name, value;
};

struct kafka_options {
	const char *bootstrap_servers;
	const char *group_id;      /* for lag tools only; may be NULL: no group commits */
	const struct text *topics; /* names, or regular expressions that begin with ^ */
	size_t topic_count;
	enum kafka_start start; /* for partitions the store does not know */
	int64_t start_ago_us;
	const struct kafka_property *properties; /* kafka.librdkafka */
	size_t property_count;
	int64_t stalled_after_us; /* 0 = 60 s */
	unsigned char store_id[16];
};

/* EINVALID names the property and the promise that depends on it. Does not need a broker yet. */
enum status kafka_options_check(const struct kafka_options *options, struct error *err);
enum status source_kafka_new(const struct kafka_options *options, const struct source_start *start,
			     struct source **ret_source, struct error *err);

struct file_options {
	const char *const *paths; /* NDJSON or JSON arrays, .gz; "-" = standard input */
	size_t path_count;
};

/* A file is the stream (its path, 0); a message is a line, its offset the line number from 1. A
 * file that is one JSON array yields one message per element. */
enum status source_file_new(const struct file_options *options, const struct source_start *start,
			    struct source **ret_source, struct error *err);

static inline void source_free(struct source **source)
{
	if (*source != NULL)
		(*source)->ops->free(*source);
	*source = NULL;
}

#endif
