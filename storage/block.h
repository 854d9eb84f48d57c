/* block - many events as one value: the unit that is stored, searched, merged and dropped.
 *
 * Why: one key per event costs twice the CPU and five times the disk (research: 4.2 us and 247 B
 * per event against 1.9 us and 85 B as rows of a block). An epoch's block is of one source
 * partition, at most BLOCK_EVENTS_MAX events in the order in which they were added.
 *
 * Invariant: a block is immutable; block_open() checks magic, version, checksum and whatever more
 * than one event depends on before the first event is seen. Owner: see each call. Thread: one.
 * Limits: BLOCK_EVENTS_MAX, and BLOCK_BYTES_MAX unless one event alone is larger; BLOCK_COLUMNS_MAX
 * different fields. */
#ifndef PICKET_STORAGE_BLOCK_H
#define PICKET_STORAGE_BLOCK_H

#include "rules/event.h"
#include "storage/store.h"

enum {
	BLOCK_EVENTS_MAX = 4096,
	BLOCK_COLUMNS_MAX = 16384,          /* different fields, by name and type */
	BLOCK_OWNERS_MAX = 64,              /* beyond it a blockmeta does not say whose it is */
	BLOCK_BYTES_MAX = 16 * 1024 * 1024, /* of encoded events before compression */
};

/* What a reader must know before it opens a block (FAMILY_BLOCKMETA, same key). */
struct block_meta {
	uint32_t event_count;
	int64_t first_time_us, last_time_us;
	int64_t first_offset, last_offset;
	uint32_t first_index; /* of the record at first_offset: with it the key of the block */
	struct text owners;   /* of which tenants how many; size 0: not known */
};
struct block_owner {
	struct text name;
	uint64_t event_count;
};
/* The next of a cursor over meta->owners; false at the end. */
bool block_owner_next(struct cursor *owners, struct block_owner *ret_owner);

struct block_builder;

struct block_builder *block_builder_new(void); /* NULL: out of memory */
void block_builder_free(struct block_builder **builder);
/* Copies the event. ELIMIT when the block is full: finish it and add again. After ENOMEMORY there
 * will be no block: free the builder. */
enum status block_add(struct block_builder *builder, const struct event *event);
size_t block_event_count(const struct block_builder *builder);
/* Encodes, compresses and empties the builder, which must not be empty. All events must be of one
 * (topic, partition). *ret_block is written from its start; ret_meta->owners is a view into the
 * builder until it is used again. */
enum status block_finish(struct block_builder *builder, struct bytes *ret_block,
			 struct block_meta *ret_meta, struct error *err);

/* FAMILY_EPOCH and FAMILY_BLOCKMETA: topic partition first_offset first_index. */
void block_key(struct text topic, int32_t partition, int64_t first_offset, uint32_t first_index,
	       struct bytes *to);
void block_meta_encode(const struct block_meta *meta, struct bytes *to);
/* Its owners are a view into value. */
enum status block_meta_decode(struct text value, struct block_meta *ret_meta, struct error *err);

struct block_reader;

/* key and value as stored; both must outlive the reader. */
enum status block_open(struct text key, struct text value, struct block_reader **ret_reader,
		       struct error *err);
/* The next event in block order; *ret_more is false behind the last one. Its fields are in the
 * arena, its texts are views into the reader, key and arena: valid until the first of them goes. */
enum status block_next(struct block_reader *reader, struct arena *arena, struct event *ret_event,
		       bool *ret_more, struct error *err);
void block_reader_free(struct block_reader **reader);

#endif
