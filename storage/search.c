/* How a search goes: one view of the store; the summaries of all blocks that may hold an answer
 * become a list; the list is sorted by the order of the answer and its blocks are read until no
 * block that is left can have anything better. Blocks that are not merged yet are read row by row,
 * and their times are all that is known of them. A block that cannot be read is passed over, and
 * the report says "incomplete" and why: the rest of the answer is still worth having. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "storage/search_private.h"

enum { SEARCH_ARENA_BYTES = 256 * 1024 * 1024, KEYS_BYTES_MAX = 1 << 30 };

static const struct query_node everything = {.kind = QUERY_ALL};

static void search_done(struct search *search)
{
	retention_free(&search->retention);
	bloom_walks_done(&search->blooms); /* scans end before their view */
	store_view_free(&search->view);
	arena_free(&search->keys);
	arena_free(&search->arena);
	free(search->candidates);
	query_scratch_done(&search->scratch);
	hits_done(&search->hits);
	tally_free(&search->tally);
}

/* A part of the answer is missing; the first reason is kept. */
static void incomplete(struct search *search, const struct error *problem)
{
	if (search->report.complete)
		search->report.problem = *problem;
	search->report.complete = false;
}

/* Damage makes the answer incomplete; anything else ends the search. */
enum status search_survive(struct search *search, enum status status)
{
	if (status != ECORRUPT && status != EINCOMPLETE && status != ENOTFOUND)
		return status;
	incomplete(search, search->err);
	return OK;
}

enum status search_no_memory(struct search *search)
{
	return error_set(search->err, ENOMEMORY, "no memory for a search");
}

static bool origin_fits(const struct search_place *place, const struct origin *origin)
{
	const int64_t offsets[2] = {origin->offset, origin->offset};
	return search_range_fits(place, origin->topic, origin->partition, offsets) &&
	       (place->index < 0 || place->index == origin->index);
}

static int candidate_compare(const void *a, const void *b, void *context)
{
	const struct candidate *x = a;
	const struct candidate *y = b;
	enum search_order order = *(const enum search_order *)context;
	if (order == SEARCH_NEWEST && x->last_time_us != y->last_time_us)
		return x->last_time_us > y->last_time_us ? -1 : 1;
	if (order == SEARCH_OLDEST && x->first_time_us != y->first_time_us)
		return x->first_time_us < y->first_time_us ? -1 : 1;
	if (order == SEARCH_BY_ORIGIN) { /* those of which it is not known come first */
		bool x_known = x->first.topic.data != NULL;
		bool y_known = y->first.topic.data != NULL;
		int compared = x_known && y_known ? origin_compare(&x->first, &y->first)
						  : (int)x_known - (int)y_known;
		if (compared != 0)
			return compared;
	}
	return text_compare(x->key, y->key);
}

static bool is_by_field(const struct search *search)
{
	return search->hits.order == SEARCH_BY_FIELD_UP ||
	       search->hits.order == SEARCH_BY_FIELD_DOWN;
}

/* Nothing in this block, and in those behind it, is better than what there is. */
static bool is_beaten(const struct search *search, const struct candidate *candidate)
{
	if (search->tally != NULL || !search->hits.full || is_by_field(search))
		return false;
	if (search->hits.order == SEARCH_BY_ORIGIN)
		return candidate->first.topic.data != NULL &&
		       origin_compare(&candidate->first, &search->hits.worst.origin) > 0;
	return search->hits.order == SEARCH_NEWEST
		       ? candidate->last_time_us < search->hits.worst.time_us
		       : candidate->first_time_us > search->hits.worst.time_us;
}

/* Whether an event at that place belongs to the answer so far. */
static bool is_wanted(const struct search *search, const struct search_hit *place)
{
	const struct search_hit *after = search->options->after;
	if (after != NULL && hit_compare(search->hits.order, place, after) <= 0)
		return false;
	return hits_want(&search->hits, place);
}

/* Where the event stands in the order; event: with the field that it is sorted by. */
static enum status place_of(struct search *search, const struct event *event,
			    struct search_hit *ret_place)
{
	*ret_place = (struct search_hit){.time_us = event->time_us, .origin = event->origin};
	if (is_by_field(search) && !sort_key_of(event, search->options->sort_field,
						&search->scratch.fold, &ret_place->key))
		return search_no_memory(search);
	return OK;
}

static enum status event_take(struct search *search, const struct event *event,
			      const struct search_hit *place)
{
	const struct search_options *options = search->options;
	if (!hits_add(&search->hits, event, &place->key, options->fields, options->field_count))
		return search_no_memory(search);
	return OK;
}

/* Everything but the query: owner, time, place, floor. */
static bool event_is_visible(const struct search *search, const struct event *event)
{
	const struct search_options *options = search->options;
	if (options->scoped && !text_equal(event->owner, options->tenant))
		return false;
	if (event->time_us < options->since_us || event->time_us > options->until_us ||
	    !origin_fits(&options->place, &event->origin))
		return false;
	return search->retention == NULL ||
	       event->time_us >=
		       retention_floor(search->retention, event->owner, data_class_of(event));
}

static enum status rows_read(struct search *search, const struct candidate *candidate)
{
	struct bytes value cleanup(bytes_done) = {0};
	struct block_reader *reader cleanup(block_reader_free) = NULL;
	enum status status =
		store_view_get(search->view, FAMILY_EPOCH, candidate->key, &value, search->err);
	search->report.bytes_read += value.size;
	if (status == OK)
		status = block_open(candidate->key, bytes_text(&value), &reader, search->err);
	for (bool more = true; status == OK;) {
		struct event event;
		arena_reset(search->arena);
		status = block_next(reader, search->arena, &event, &more, search->err);
		if (status != OK || !more)
			break;
		search->report.rows++;
		if (!event_is_visible(search, &event) ||
		    !query_holds(search->root, &event, &search->scratch))
			continue;
		search->report.matched++;
		struct search_hit place;
		if (search->tally != NULL) {
			status = tally_event(search->tally, &event) ? OK : search_no_memory(search);
			continue;
		}
		status = place_of(search, &event, &place);
		if (status == OK && is_wanted(search, &place))
			status = event_take(search, &event, &place);
	}
	return search->scratch.failed ? search_no_memory(search) : status;
}

/* Takes out of the set what is not visible. */
static enum status rows_restrict(struct search *search, struct columnar_reader *reader,
				 int64_t floor_us, struct row_set *rows)
{
	const struct search_options *options = search->options;
	bool everywhere = search_is_anywhere(&options->place);
	for (size_t row = 0; row < columnar_count(reader); row++) {
		if (!row_set_has(rows, row))
			continue;
		int64_t time_us = columnar_time(reader, row);
		bool keep = time_us >= options->since_us && time_us <= options->until_us &&
			    time_us >= floor_us;
		if (keep && !everywhere) {
			struct event event;
			enum status status = columnar_head(reader, row, &event, search->err);
			if (status != OK)
				return status;
			keep = origin_fits(&options->place, &event.origin);
		}
		if (!keep)
			rows->words[row / 64] &= ~(1ull << row % 64);
		search->report.matched += keep;
	}
	return OK;
}

/* Where the row stands in the order. */
static enum status row_place(struct search *search, struct columnar_reader *reader, size_t row,
			     struct search_hit *ret_place)
{
	struct event event;
	arena_reset(search->arena);
	enum status status = is_by_field(search)
				     ? columnar_project(reader, row, &search->options->sort_field,
							1, search->arena, &event, search->err)
				     : columnar_head(reader, row, &event, search->err);
	return status == OK ? place_of(search, &event, ret_place) : status;
}

/* Those of the rows that belong to the answer as far as it is known, ascending. Rows are in order
 * of time: when the answer is too, no more of them than it has room for. */
static enum status rows_choose(struct search *search, struct columnar_reader *reader,
			       const struct row_set *rows, struct row_set *ret_chosen)
{
	enum search_order order = search->hits.order;
	size_t count = columnar_count(reader);
	size_t room = order == SEARCH_NEWEST || order == SEARCH_OLDEST ? search->hits.limit : count;
	struct row_set chosen = {0};
	for (size_t i = 0; i < count; i++) {
		size_t row = order == SEARCH_NEWEST ? count - 1 - i : i;
		struct search_hit place;
		if (!row_set_has(rows, row))
			continue;
		enum status status = row_place(search, reader, row, &place);
		if (status != OK)
			return status;
		if (!is_wanted(search, &place))
			continue;
		if (room == 0) {
			search->hits.limited = true;
			break;
		}
		row_set_add(&chosen, row);
		room--;
	}
	*ret_chosen = chosen;
	return OK;
}

static enum status hits_of_block(struct search *search, struct columnar_reader *reader,
				 const struct row_set *rows)
{
	const struct search_options *options = search->options;
	size_t count = columnar_count(reader);
	struct row_set chosen;
	enum status status = rows_choose(search, reader, rows, &chosen);
	if (status == OK)
		status = search_select(reader, &chosen, search->err);
	for (size_t i = 0; status == OK && i < count; i++) {
		size_t row = search->hits.order == SEARCH_NEWEST ? count - 1 - i : i;
		struct event event;
		struct search_hit place;
		if (!row_set_has(&chosen, row))
			continue;
		status = row_place(search, reader, row, &place);
		if (status != OK || !is_wanted(search, &place))
			continue;
		status = columnar_project(reader, row, options->fields, options->field_count,
					  search->arena, &event, search->err);
		if (status == OK)
			status = event_take(search, &event, &place);
	}
	return status;
}

static enum status merged_read(struct search *search, const struct candidate *candidate)
{
	const struct search_options *options = search->options;
	struct columnar_reader *reader cleanup(columnar_reader_free) = NULL;
	struct columnar_key key;
	struct event first;
	struct row_set rows;
	enum status status = columnar_key_decode(candidate->key, &key, search->err);
	if (status == OK)
		status = columnar_open(search->view, candidate->key, &reader, search->err);
	if (status == OK)
		status = columnar_head(reader, 0, &first, search->err);
	if (status != OK)
		return status;
	search->report.rows += columnar_count(reader);
	/* The key may hold a shortened name; the block holds the whole one. */
	if (options->scoped && !text_equal(first.owner, options->tenant))
		return OK;
	int64_t floor_us = retention_floor(search->retention, first.owner, key.class);
	status = search_block(reader, search->root, &search->scratch, &rows, search->err);
	if (status == OK)
		status = rows_restrict(search, reader, floor_us, &rows);
	if (status == OK)
		status = search->tally != NULL
				 ? tally_block(search->tally, reader, &rows, search->err)
				 : hits_of_block(search, reader, &rows);
	search->report.bytes_read += columnar_bytes_read(reader);
	search->report.columns_read += columnar_columns_read(reader);
	return status;
}

/* False: the search must end here; the report says why. */
static bool may_go_on(struct search *search)
{
	const struct search_options *options = search->options;
	struct error problem = {.status = EINCOMPLETE};
	if (options->bytes_max > 0 && search->report.bytes_read > options->bytes_max) {
		(void)error_set(&problem, EINCOMPLETE,
				"the search has read its %" PRIu64
				" MiB; narrow it by time, tenant or an exact value",
				options->bytes_max >> 20);
		incomplete(search, &problem);
		return false;
	}
	if (options->cancelled == NULL || !options->cancelled(options->context))
		return true;
	(void)error_set(&problem, EINCOMPLETE,
			"the search took too long or was given up; narrow it");
	incomplete(search, &problem);
	return false;
}

static enum status candidates_read(struct search *search)
{
	enum search_order order = search->hits.order;
	if (search->count > 0)
		qsort_r(search->candidates, search->count, sizeof *search->candidates,
			candidate_compare, &order);
	enum status status = OK;
	for (size_t i = 0; status == OK && i < search->count; i++) {
		const struct candidate *candidate = &search->candidates[i];
		if (is_beaten(search, candidate) || !may_go_on(search))
			break;
		search->report.opened++;
		status = search_survive(search, candidate->merged ? merged_read(search, candidate)
								  : rows_read(search, candidate));
	}
	return status;
}

static enum status search_begin(struct search *search)
{
	const struct search_options *options = search->options;
	search->report.complete = true;
	search->root = options->query == NULL ? &everything : options->query->root;
	search->hits.order = options->order;
	search->hits.limit = options->limit;
	search->keys = arena_new(KEYS_BYTES_MAX);
	search->arena = arena_new(SEARCH_ARENA_BYTES);
	if (search->keys == NULL || search->arena == NULL)
		return search_no_memory(search);
	if (options->query != NULL && options->query->output != OUTPUT_EVENTS) {
		search->tally = tally_new(options);
		if (search->tally == NULL)
			return search_no_memory(search);
	}
	enum status status = store_view_new(options->store, &search->view, search->err);
	search->blooms.view = search->view;
	if (status == OK)
		status = retention_load(search->view, &search->retention, search->err);
	return status;
}

enum status search_run(const struct search_options *options, struct search_result *ret_result,
		       struct error *err)
{
	assert(options->limit > 0 && options->limit <= SEARCH_HITS_MAX);
	assert(options->after == NULL || options->order <= SEARCH_BY_ORIGIN);
	struct error own = {0};
	struct search search cleanup(search_done) = {.options = options, .err = &own};
	struct search_result result = {0};
	enum status status = search_begin(&search);
	if (status == OK && options->since_us <= options->until_us)
		status = search_find(&search);
	search.report.bytes_read += search.blooms.bytes_read;
	if (status == OK)
		status = candidates_read(&search);
	if (status == OK && search.tally != NULL)
		status = tally_finish(search.tally, &result, search.err);
	if (status != OK) {
		search_result_done(&result);
		if (err != NULL)
			*err = own;
		return status;
	}
	hits_finish(&search.hits);
	result.hits = TAKE(search.hits.items);
	result.hit_count = search.hits.count;
	search.hits.count = 0;
	search.report.limited |= search.hits.limited | result.report.limited;
	result.report = search.report;
	*ret_result = result;
	return OK;
}

void search_result_done(struct search_result *result)
{
	struct hits hits = {.items = result->hits, .count = result->hit_count};
	hits_done(&hits);
	if (result->arena != NULL)
		arena_free(&result->arena);
	*result = (struct search_result){0};
}
