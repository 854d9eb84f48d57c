/* detect - the stateless stage: stops 2 to 6 of the journey for one message.
 *
 *     decode -> normalise -> enrich -> match -> (block builder, match records, cohort counts)
 *
 * Why: everything that can be said about an event by looking at it alone happens here, on as many
 * threads as there are workers; what needs memory goes on as match records and aggregates.
 *
 * Invariant: what a message yields depends only on its bytes, its record time, the rule set and the
 * stream's watermark, so a replay yields the same. records = stored + quarantined, per stream.
 * Owner: one worker (or a scan). Thread: one. Time: none is read. */
#ifndef PICKET_INGEST_DETECT_H
#define PICKET_INGEST_DETECT_H

#include "correlate/cohort.h"
#include "correlate/instance.h"
#include "correlate/plan.h"
#include "ingest/decode.h"
#include "ingest/enrich.h"
#include "ingest/generation.h"
#include "storage/block.h"
#include "storage/rows.h"

struct detect;

struct detect_options {
	const struct ruleset *ruleset; /* lent */
	const struct plan *plan;       /* lent */
	struct decoder_options decoder;
	struct enrich_options enrich;
	unsigned actor_count;
	int64_t lateness_us;
	bool track_instances; /* gather sightings (correlate/instance.h) */
	bool track_ids;       /* and event ids with them */
	bool keep_events;     /* blocks, quarantine rows, counts for the gate; a scan has none */
	bool only_match;      /* nobody asks for alerts: no match records, cohorts or watermark */
};

/* One source partition as a worker sees it. */
struct stream {
	struct position_row at; /* topic is owned by the stream */
	struct bytes name; /* what its records are called: log_name() of topic and incarnation */
	uint64_t log;      /* journal_log() of it */
	struct block_builder *block;
	struct stream_formats formats;
	bool changed; /* since the last epoch */
	bool stalled;
	bool finished;
	struct source_lag lag; /* as of the last epoch, for status */
};

struct detect_counters {
	uint64_t undecided;
	uint64_t excluded; /* matches that filters took away, of all filters */
	uint64_t refused;  /* messages that were not looked into */
	struct route_counters routes;
	struct enrich_counters enrich;
};

/* Called for every accepted event with what matched, and for every reject; may be NULL. */
struct detect_sink {
	void (*on_event)(void *context, const struct event *event, const struct matches *matches);
	void (*on_reject)(void *context, const struct origin *origin, const struct decoded *record);
	void *context;
};

/* What the stage produced since the last detect_flush(): rows for the batch, records and
 * aggregates by actor. */
struct detected {
	struct bytes rows; /* u8 family, text key, text value; repeated */
	struct bytes *records;
	struct bytes *aggregates;
	struct bytes *sightings; /* of instances, by actor */
	unsigned actor_count;
	uint64_t events;
	uint64_t input_bytes; /* of the messages taken: bounds what blocks still open hold */
};
enum status detected_init(struct detected *detected, unsigned actor_count);
void detected_done(struct detected *detected);
size_t detected_bytes(const struct detected *detected);

enum status detect_new(const struct detect_options *options, struct detect **ret_detect,
		       struct error *err);
void detect_free(struct detect **detect);

/* Adds (family, key, value) to a row list; rows_next() walks one. */
void rows_put(struct bytes *rows, enum store_family family, struct text key, struct text value);
bool rows_next(struct cursor *rows, enum store_family *ret_family, struct text *ret_key,
	       struct text *ret_value);

enum status detect_message(struct detect *detect, struct stream *stream,
			   const struct message *message, const struct detect_sink *sink,
			   struct detected *to, struct error *err);
/* The message goes to the quarantine unread, as one record: with the reason, detail and bytes of
 * `as`. */
enum status detect_refuse(struct detect *detect, struct stream *stream,
			  const struct message *message, const struct decoded *as,
			  struct detected *to);
/* Stops 5 and 6 for an event that was stored before: what it was then it is now, so it is neither
 * decoded nor enriched nor kept again. */
enum status detect_stored(struct detect *detect, struct stream *stream, const struct event *event,
			  const struct detect_sink *sink, struct detected *to, struct error *err);
/* The source proved that at tick_us everything below offset was handed out. */
void detect_tick(const struct detect *detect, struct stream *stream, int64_t offset,
		 int64_t tick_us);

/* Gives the stream its name; ENOMEMORY. */
enum status detect_name_stream(struct stream *stream);
/* The log has begun anew at offset: its records get another name, so that they never replace those
 * of the old log. What is still open of the old one goes into the rows. */
enum status detect_begin_anew(struct stream *stream, int64_t offset, struct detected *to,
			      struct error *err);

/* Ends the epoch for one stream: its last block and, when it changed, its position row. */
enum status detect_flush_stream(struct stream *stream, struct detected *to, struct error *err);
/* Ends the epoch for the cohort counts. */
enum status detect_flush(struct detect *detect, struct detected *to, struct error *err);

/* Between two epochs: another generation's parts and plan, all lent. Counters of rules begin anew.
 */
enum status detect_switch(struct detect *detect, const struct generation_parts *parts,
			  const struct plan *plan, struct error *err);

struct detect_counters detect_counters(const struct detect *detect);
uint64_t detect_excluded(const struct detect *detect, const struct rule_filter *filter);
const struct rule_counters *detect_rule_counters(const struct detect *detect, size_t rule_index);

#endif
