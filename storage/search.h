/* search - the events of a store that a query holds for: the newest or oldest of them, or counts.
 *
 * Why: analysts pivot (this user, that token, this trace, last night), and learning reads the same
 * data. One question reads summaries first, then blooms, then only the columns it names.
 *
 * Invariant: the answer is that of query_holds() on every event that was committed when the search
 * began and is above its floor (retention.h), however its blocks are merged meanwhile; a part that
 * could not be read, or a limit that was hit, is told in the report and never looks like fewer
 * events. With `scoped` no event of another owner is ever looked at by the query. Owner:
 * search_result_done(). Thread: any, one per search. Limits: SEARCH_HITS_MAX events,
 * SEARCH_HIT_BYTES_MAX of them, TALLY_GROUPS_MAX groups (search says `limited`); bytes_max of what
 * is read. Memory: those, one block decoded (columnar.h), one bloom each of eight fields, and some
 * 100 bytes for each block that is not passed over. */
#ifndef PICKET_STORAGE_SEARCH_H
#define PICKET_STORAGE_SEARCH_H

#include "storage/columnar.h"
#include "storage/query.h"
#include "storage/retention.h"

enum {
	SEARCH_HITS_MAX = 100000,
	SEARCH_HIT_BYTES_MAX = 64 * 1024 * 1024,
	SORT_KEY_MAX = 256,
	TALLY_GROUPS_MAX = 100000,
	TALLY_BYTES_MAX = 64 * 1024 * 1024,
};

/* By a field: numbers by number and before texts, texts without case, events without it last; then
 * the newest first. Every event that holds is looked at, and there are no further pages. */
enum search_order {
	SEARCH_NEWEST,
	SEARCH_OLDEST,
	SEARCH_BY_ORIGIN,
	SEARCH_BY_FIELD_UP,
	SEARCH_BY_FIELD_DOWN,
};

/* Where events came from; topic "" = anywhere. */
struct search_place {
	struct text topic;
	int64_t partition; /* -1 = all */
	int64_t first_offset, last_offset;
	int64_t index; /* -1 = all */
};

struct search_options {
	struct store *store;
	const struct query *query; /* NULL: every event */
	bool scoped;               /* only events that tenant owns */
	struct text tenant;
	int64_t since_us, until_us; /* inclusive; INT64_MIN, INT64_MAX: open */
	int64_t zeros_until_us;     /* histogram without until_us: the end; 0 = the last event */
	struct search_place place;
	enum search_order order;
	struct text sort_field; /* canonical; of SEARCH_BY_FIELD_* */
	size_t limit;
	/* Only events behind this one in the order; NULL: from the beginning. */
	const struct search_hit *after;
	const struct text *fields; /* canonical names to give back; count 0 = all */
	size_t field_count;
	uint64_t bytes_max;               /* read from the store; 0 = no limit */
	bool (*cancelled)(void *context); /* asked for each block; NULL: never */
	void *context;
};

/* What an event is sorted by: a number, a folded text, or nothing. */
struct sort_key {
	enum { SORT_NUMBER, SORT_TEXT, SORT_NOTHING } kind;
	struct number number;
	struct text text; /* at most SORT_KEY_MAX bytes */
};

struct search_hit {
	int64_t time_us;
	struct origin origin;
	struct text owner;
	struct text json;    /* the event, as event_json() writes it, with the fields asked for */
	struct sort_key key; /* of SEARCH_BY_FIELD_* */
};

/* One row of count, top or histogram. */
struct search_group {
	int64_t bucket_us; /* begin; INT64_MIN without `over` */
	struct text values[QUERY_FIELDS_MAX];
	bool present[QUERY_FIELDS_MAX]; /* false: the events have no such field */
	uint64_t count;
};

/* What a search did: `search --explain`. */
struct search_report {
	/* All whose summaries were met, and how many are not yet merged; of the blocks of other
	 * tenants one for each day and class. */
	uint64_t blocks, row_blocks;
	uint64_t by_tenant, by_time, by_place, by_retention, by_value, by_bloom; /* passed over */
	uint64_t opened, rows, matched, columns_read, bytes_read;
	bool limited;  /* there are more events or groups than are given back */
	bool complete; /* false: problem says why */
	struct error problem;
};

struct search_result {
	struct search_hit *hits; /* in order */
	size_t hit_count;
	struct search_group *groups; /* by bucket and value, or by falling count (top) */
	size_t group_count;
	struct search_report report;
	struct arena *arena; /* of groups */
};

/* OK also when the report says incomplete; otherwise nothing could be answered at all. */
enum status search_run(const struct search_options *options, struct search_result *ret_result,
		       struct error *err);
void search_result_done(struct search_result *result);

#endif
