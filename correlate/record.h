/* record - a match record: all that the stateful stage learns of an event that matched.
 *
 * Why: DETECT sees every event, CORRELATE only what a stateful rule needs. A match record carries
 * the grouping, the time and the origin, and nothing of the payload but a small context for the
 * analyst. Records are what is stored in match blocks and replayed after a crash.
 *
 * Encoded form (version in the match block): text { u8 virtual partition, u64le state id,
 * u8 flags, signed time_us, text tenant, text group, text topic, varint partition,
 * varint offset, varint index, text context, text values }. `group`, `context` and `values` are
 * sequences of texts; `values` is left out when it is empty, which is the form of version 1.
 *
 * Invariant: partition == virtual_partition_of(tenant, group) under the store's hash key, so that
 * one group is always served by one actor. An answer (peers.h) goes where its cell is; it is only
 * ever exchanged between actors, never stored. Owner: views into the encoded bytes. Thread: any.
 * Limits: RECORD_GROUP_BYTES_MAX for all group values, RECORD_CONTEXT_BYTES_MAX of context,
 * RECORD_VALUES_MAX values of RECORD_VALUE_BYTES_MAX. */
#ifndef PICKET_CORRELATE_RECORD_H
#define PICKET_CORRELATE_RECORD_H

#include "rules/ruleset.h"

enum {
	VIRTUAL_PARTITIONS = 256,
	RECORD_GROUP_BYTES_MAX = 4096,
	RECORD_CONTEXT_BYTES_MAX = 1024,
	RECORD_VALUES_MAX = 64,
	RECORD_VALUE_BYTES_MAX = 64,
	HASH_KEY_BYTES = 16,
};

enum record_flags {
	RECORD_LATE = 1 << 0,     /* below its own partition's watermark when it came */
	RECORD_BACKFILL = 1 << 1, /* read while catching up on history at the first start */
	RECORD_ANSWER = 1 << 2,   /* for one cell that is there: its group is that cell's key */
};

struct match_record {
	uint8_t virtual_partition;
	uint64_t state_id; /* of the unit it is for */
	uint8_t flags;
	int64_t time_us;
	struct text tenant; /* "" for a cross-tenant rule */
	struct text group;  /* sequence of texts, one per group-by field */
	struct origin origin;
	struct text context; /* sequence of texts: name, value, name, value, ... */
	struct text
		values; /* sequence of what the unit judges (plan.h); "" when it counts events */
};

/* A secret of the store, so that nobody outside can aim at one partition or bucket. */
struct hash_key {
	unsigned char bytes[HASH_KEY_BYTES];
};

/* 128-bit SipHash-2-4 of (state_id, tenant, group): the identity of a cell. */
struct cell_key {
	unsigned char bytes[16];
};

struct cell_key record_cell_key(const struct hash_key *key, uint64_t state_id, struct text tenant,
				struct text group);
/* Whom an answer is for; no cell's key when the record is damaged. */
struct cell_key record_answered(const struct match_record *record);
uint8_t virtual_partition_of(const struct hash_key *key, struct text tenant, struct text group);

/* 64-bit keyed hash of one value: what a trail remembers of it. */
uint64_t record_value_hash(const struct hash_key *key, struct text value);

/* Where records go: one buffer per actor, actor = virtual partition % actor_count. */
struct record_sink {
	struct bytes *by_actor;
	unsigned actor_count;
};

void record_encode(const struct match_record *record, struct bytes *to);
/* ECORRUPT when the bytes are not a record. */
enum status record_decode(struct cursor *from, struct match_record *ret_record, struct error *err);

#endif
