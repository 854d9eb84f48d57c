/* search_private - what the files of a search share: search.c drives it, search_find.c finds the
 * blocks that may hold an answer, search_prune.c passes over those whose summaries deny one,
 * search_bloom.c reads the blooms for it, search_block.c evaluates a query on the columns of one,
 * search_hits.c keeps the best events, search_tally.c counts.
 *
 * Why: one question, four concerns. Invariant: as in storage/search.h. */
#ifndef PICKET_STORAGE_SEARCH_PRIVATE_H
#define PICKET_STORAGE_SEARCH_PRIVATE_H

#include "storage/search.h"
#include "storage/summary.h"

enum {
	ROW_WORDS = BLOCK_EVENTS_MAX / 64,
	FEW_ROWS_SHARE = 4, /* rows are few when they are not more than this part of a block */
};

struct search;

/* Rows of one block. */
struct row_set {
	uint64_t words[ROW_WORDS];
};

static inline bool row_set_has(const struct row_set *rows, size_t row)
{
	return (rows->words[row / 64] >> row % 64 & 1) != 0;
}

static inline void row_set_add(struct row_set *rows, size_t row)
{
	rows->words[row / 64] |= 1ull << row % 64;
}
bool row_set_is_empty(const struct row_set *rows);
bool row_set_is_few(const struct row_set *rows, size_t row_count);

/* Tells the reader that only these rows are wanted of it, when they are few. */
enum status search_select(struct columnar_reader *reader, const struct row_set *rows,
			  struct error *err);

/* The rows of the block for which the node holds. */
enum status search_block(struct columnar_reader *reader, const struct query_node *node,
			 struct query_scratch *scratch, struct row_set *ret_rows,
			 struct error *err);

enum { BLOOM_WALKS_MAX = 8 };

/* The blooms of one field, in the order of their blocks. */
struct bloom_walk {
	struct bytes prefix; /* of the field, in keys */
	struct store_scan *scan;
	struct text key, bloom; /* where the scan is; key.data NULL: it has ended */
	bool checked;           /* the bloom, and it is good */
};

/* Walks beside a walk over summaries. */
struct bloom_walks {
	struct store_view *view;
	struct bloom_walk items[BLOOM_WALKS_MAX];
	size_t count, next; /* next: to be given up for another field */
	struct bytes key;
	uint64_t bytes_read;
};
/* The bloom of the field of that block; a view until the next call. ECORRUPT: it is damaged or not
 * there. */
enum status bloom_walks_find(struct bloom_walks *walks, struct text name, struct text block_key,
			     struct text *ret_bloom, struct error *err);
void bloom_walks_done(struct bloom_walks *walks);

/* False: no event of the block can hold. by_bloom says that a bloom decided it. */
enum status search_may_hold(struct search *search, struct text key, const struct summary *summary,
			    bool *ret_may, bool *ret_by_bloom);

/* -1, 0, 1 in the order that was asked for. */
int hit_compare(enum search_order order, const struct search_hit *a, const struct search_hit *b);

/* The best `limit` events so far. */
struct hits {
	enum search_order order;
	size_t limit;
	struct search_hit *items;
	size_t count, capacity;
	size_t bytes;
	bool full;               /* worst is known: what is behind it need not be offered */
	struct search_hit worst; /* views into its item */
	bool limited;
	struct bytes json;
};
/* Whether an event at that place would be kept. */
bool hits_want(const struct hits *hits, const struct search_hit *place);
/* Copies the event. False: out of memory. */
bool hits_add(struct hits *hits, const struct event *event, const struct sort_key *key,
	      const struct text *fields, size_t field_count);
/* By the first value of the field; a view into the event or scratch. False: out of memory. */
bool sort_key_of(const struct event *event, struct text name, struct bytes *scratch,
		 struct sort_key *ret_key);
/* In order, at most limit. */
void hits_finish(struct hits *hits);
void hits_done(struct hits *hits);

struct tally;

/* A block that may hold an answer. */
struct candidate {
	struct text key;
	int64_t first_time_us, last_time_us;
	struct origin first; /* the smallest in it; topic.data NULL: not known */
	bool merged;
};

struct search {
	const struct search_options *options;
	const struct query_node *root;
	struct store_view *view;
	struct retention *retention;
	struct bloom_walks blooms;
	struct arena *keys;  /* of candidates */
	struct arena *arena; /* of one event */
	struct candidate *candidates;
	size_t count, capacity;
	struct query_scratch scratch;
	struct hits hits;
	struct tally *tally;
	struct search_report report;
	struct error *err;
};

/* Damage makes the answer incomplete; anything else ends the search. */
enum status search_survive(struct search *search, enum status status);
enum status search_no_memory(struct search *search);
/* Whether the place is any place, and whether offsets of a partition are in it. */
bool search_is_anywhere(const struct search_place *place);
bool search_range_fits(const struct search_place *place, struct text topic, int32_t partition,
		       const int64_t offsets[2]);
/* Fills in search->candidates. */
enum status search_find(struct search *search);

struct tally *tally_new(const struct search_options *options); /* NULL: out of memory */
void tally_free(struct tally **tally);
/* False: out of memory. */
bool tally_event(struct tally *tally, const struct event *event);
enum status tally_block(struct tally *tally, struct columnar_reader *reader,
			const struct row_set *rows, struct error *err);
enum status tally_finish(struct tally *tally, struct search_result *result, struct error *err);

#endif
