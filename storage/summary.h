/* summary - what a reader must know of a merged block before it opens it (FAMILY_BLOCKMETA).
 *
 * Why: a search must pass over a block for the price of some hundred bytes: by its times, by where
 * it came from, by fields it does not have and by values that are not among its few.
 *
 * Invariant: what a summary denies is not in the block. Owner: a view of the row's value, which
 * must outlive it. Thread: any (pure). Limits: SUMMARY_RANGES_MAX places, else none is named;
 * SUMMARY_ENTRIES_MAX values of a field, SUMMARY_ENTRY_BYTES_MAX together. */
#ifndef PICKET_STORAGE_SUMMARY_H
#define PICKET_STORAGE_SUMMARY_H

#include "storage/columnar.h"

enum {
	SUMMARY_RANGES_MAX = 64,
	SUMMARY_ENTRIES_MAX = 16,
	SUMMARY_ENTRY_BYTES_MAX = 512,
};

struct summary {
	uint32_t event_count;
	int64_t first_time_us, last_time_us;
	uint64_t stored_bytes; /* of all parts and blooms */
	bool ranges_known;
	struct cursor ranges, columns;
};

/* Where events of the block came from. */
struct summary_range {
	struct text topic;
	int32_t partition;
	int64_t first_offset, last_offset;
};

enum summary_kind {
	SUMMARY_PRESENT, /* nothing more is known */
	SUMMARY_NUMBERS, /* all between smallest and largest */
	SUMMARY_ENTRIES, /* exactly these texts */
	SUMMARY_BLOOM,   /* the bloom row knows */
	SUMMARY_KIND_COUNT,
};

struct summary_column {
	struct text name;
	enum value_type type;
	enum summary_kind kind;
	int64_t smallest, largest;
	size_t entry_count;
	struct cursor entries; /* texts */
};

/* ECORRUPT when the row is damaged. */
enum status summary_open(struct text value, struct summary *ret_summary, struct error *err);
/* The next of summary->ranges or columns (take a copy of the cursor first); false at the end. */
bool summary_range_next(struct cursor *ranges, struct summary_range *ret_range);
bool summary_column_next(struct cursor *columns, struct summary_column *ret_column);

/* Writing: the head first, then the ranges, then the columns, then the end. */
struct summary_writer {
	struct bytes ranges, columns;
	size_t range_count;
};
void summary_put_range(struct summary_writer *writer, const struct summary_range *range);
/* entries: used when kind is SUMMARY_ENTRIES. */
void summary_put_column(struct summary_writer *writer, const struct summary_column *column,
			const struct text *entries);
void summary_finish(const struct summary_writer *writer, const struct summary *head,
		    struct bytes *to);
void summary_writer_clear(struct summary_writer *writer); /* keeps the memory */
void summary_writer_done(struct summary_writer *writer);

#endif
