/* rows - the typed rows of the store: their keys and their encoded values.
 *
 * Why: everybody who reads or writes the store must agree on keys byte by byte; they are built
 * here and nowhere else. Topics, services and other names inside keys are length-prefixed (u16
 * big-endian), numbers big-endian, so that byte order is the order of (topic, partition, offset)
 * and one name is never the prefix of another.
 *
 * Invariant: decode(encode(x)) = x; a row that does not decode is ECORRUPT with its key in words.
 * Owner: struct bytes of the caller. Thread: any (pure). Limits: names up to ROW_NAME_MAX bytes;
 * of a longer one the key holds the first bytes and a hash, and gives back that. */
#ifndef PICKET_STORAGE_ROWS_H
#define PICKET_STORAGE_ROWS_H

#include "rules/event.h"
#include "storage/store.h"

enum { ROW_NAME_MAX = 1000 };

/* position: FAMILY_POSITION, 's' topic partition -> where we stand in one source partition. */
struct position_row {
	struct text topic;
	int32_t partition;
	int64_t next_offset;    /* the first offset that is not committed */
	int64_t backfill_until; /* offsets below were history at the first start */
	int64_t watermark_us;   /* INT64_MIN: none yet */
	int64_t tick_us;        /* the last proof that the partition was read to its end */
	uint64_t messages;      /* since the store was made */
	uint64_t records;       /* = stored + quarantined */
	uint64_t stored;
	uint64_t quarantined;
	uint64_t late;
	uint64_t gap_offsets;  /* log start was past our position: lost to retention */
	uint64_t hole_offsets; /* offsets inside the log that hold no record (transactions, ...) */
	uint32_t incarnation; /* how often the log began anew: its records have another name then */
	int64_t jump_us; /* when reading last went on elsewhere than it had ended (retention, a log
			  * that began anew, sources seek): records are missing, or came twice;
			  * INT64_MIN: never. Rows of before this field have none. */
};
/* What records of that incarnation of a log are called in origins and keys: "orders", then
 * "orders~2", "orders~3" (no Kafka topic has a '~'), so that new offsets never replace old events.
 */
void log_name(struct text topic, uint32_t incarnation, struct bytes *to);
void position_key(struct text topic, int32_t partition, struct bytes *to);
void position_encode(const struct position_row *row, struct bytes *to);
enum status position_decode(struct text key, struct text value, struct position_row *ret_row,
			    struct error *err);

/* store state: FAMILY_POSITION, 'e' -> the last committed epoch and what goes with it. */
struct epoch_row {
	uint64_t epoch;
	uint64_t checkpoint_epoch; /* cells are of this epoch; match blocks above it are replayed */
	int64_t watermark_us;      /* minimum over partitions: windows below are closed */
	uint64_t outbox_next;
	uint64_t ruleset_hash;
	int64_t committed_us; /* wall clock of the commit */
};
void epoch_key(struct bytes *to);
void epoch_encode(const struct epoch_row *row, struct bytes *to);
enum status epoch_decode(struct text value, struct epoch_row *ret_row, struct error *err);

/* store identity: FAMILY_POSITION, 'i' -> made once with the store. */
struct identity_row {
	unsigned char store_id[16];
	unsigned char hash_key[16];
	int64_t created_us;
};
void identity_key(struct bytes *to);
void identity_encode(const struct identity_row *row, struct bytes *to);
enum status identity_decode(struct text value, struct identity_row *ret_row, struct error *err);

/* quarantine: FAMILY_QUARANTINE, topic partition offset index -> reason and the raw bytes. */
struct quarantine_row {
	struct origin origin;
	int64_t record_time_us;
	struct text reason; /* a short stable word: reject_name() of ingest */
	struct text detail; /* for a person */
	struct text key;    /* Kafka key */
	struct text raw;
};
void quarantine_key(const struct origin *origin, struct bytes *to);
void quarantine_encode(const struct quarantine_row *row, struct bytes *to);
enum status quarantine_decode(struct text key, struct text value, struct quarantine_row *ret_row,
			      struct error *err);

/* match: FAMILY_MATCH, epoch kind worker actor -> what the epoch fed to the actors, as it was fed:
 * 'm' encoded records (correlate/record.h), 'a' aggregates (correlate/cohort.h), 's' sightings
 * (correlate/instance.h), and last by key 'w', the watermark that closed the epoch (signed). */
void match_key(uint64_t epoch, char kind, uint32_t worker, uint32_t actor, struct bytes *to);
enum status match_key_decode(struct text key, uint64_t *ret_epoch, char *ret_kind,
			     struct error *err);

/* cell: FAMILY_CELL, kind ('c' correlation, 'g' gate, 'n' instances, 'e' event ids) and virtual
 * partition -> checkpoint; 'd' partition, and 'd' partition be32 -> what changed in 'c' since
 * (ingest/state_rows.h); 'w' and 0 -> the state ids (u64le) of the rules whose state 'c' is;
 * 'x' -> cells of rules that were warmed since ('c' of the next checkpoint has them; then empty).
 * 's' shard serial cell -> a cell that was put out of memory (ingest/spill_rows.c), scratch. */
void cell_row_key(char kind, uint8_t virtual_partition, struct bytes *to);
void cell_change_key(uint8_t virtual_partition, uint32_t number, struct bytes *to);

/* alert: FAMILY_ALERT, 'a' id -> encoded alert; 'u' id -> what people did (opaque). */
void alert_key(char kind, struct text id, struct bytes *to);

/* outbox: FAMILY_OUTBOX, sequence -> varint revision, text alert id. */
void outbox_key(uint64_t sequence, struct bytes *to);

/* registry: FAMILY_REGISTRY, kind and names -> opaque value. Kinds: 'b' service + bucket start
 * (canary bucket), 'f' service version deploy rule (finding), 'i' service version deploy instance
 * (heartbeat), 't' service signal version deploy (trait: correlate/signal.h), 'm' service instance
 * (records that are missing), 's' service canary step (first poll of a step), 'v' 'o' 'h' service
 * canary (cli/gate_rows.h). time_us < 0 = no time part. */
void registry_key(char kind, const struct text *names, size_t name_count, int64_t time_us,
		  struct bytes *to);
/* Splits a key again; names point into key. */
enum status registry_key_decode(struct text key, char *ret_kind, struct text *ret_names,
				size_t name_count, int64_t *ret_time_us, struct error *err);

/* registry 'm': numbered records of an instance that never came, as of its newest gap. */
struct missing_row {
	uint64_t missing, counted; /* counted: the numbered ones that came */
	int64_t last_us;           /* of the record behind the newest gap */
};
void missing_encode(const struct missing_row *row, struct bytes *to);
enum status missing_decode(struct text key, struct text value, struct missing_row *ret_row,
			   struct error *err);

#endif
