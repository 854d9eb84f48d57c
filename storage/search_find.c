/* Which blocks may hold an answer: the summaries of the days that matter, one after the other, and
 * the blockmeta of what is not merged yet. Classes and days come first in the keys of merged
 * blocks, so a search over an hour walks over the summaries of that day only. */
#include <assert.h>
#include <stdlib.h>

#include "storage/key_private.h"
#include "storage/search_private.h"

bool search_is_anywhere(const struct search_place *place)
{
	return place->topic.size == 0 && place->partition < 0 && place->first_offset <= 0 &&
	       place->last_offset == INT64_MAX && place->index < 0;
}

bool search_range_fits(const struct search_place *place, struct text topic, int32_t partition,
		       const int64_t offsets[2])
{
	if (place->topic.size > 0 && !text_equal(place->topic, topic))
		return false;
	if (place->partition >= 0 && place->partition != partition)
		return false;
	return offsets[1] >= place->first_offset && offsets[0] <= place->last_offset;
}

static bool times_fit(const struct search_options *options, int64_t first_us, int64_t last_us)
{
	return last_us >= options->since_us && first_us <= options->until_us;
}

static enum status candidate_add(struct search *search, const struct candidate *found)
{
	if (search->count == search->capacity) {
		size_t capacity = search->capacity == 0 ? 256 : 2 * search->capacity;
		struct candidate *grown =
			realloc(search->candidates, capacity * sizeof *search->candidates);
		if (grown == NULL)
			return search_no_memory(search);
		search->candidates = grown;
		search->capacity = capacity;
	}
	struct candidate *candidate = &search->candidates[search->count];
	*candidate = *found;
	candidate->key = arena_copy(search->keys, found->key);
	bool placed = found->first.topic.data != NULL && search->hits.order == SEARCH_BY_ORIGIN;
	candidate->first.topic =
		placed ? arena_copy(search->keys, found->first.topic) : (struct text){0};
	if (candidate->key.data == NULL || (placed && candidate->first.topic.data == NULL))
		return search_no_memory(search);
	search->count++;
	return OK;
}

/* Whether nothing in it comes behind the place where the last page ended. */
static bool is_behind_us(const struct search *search, const struct candidate *candidate,
			 const struct origin *last)
{
	const struct search_hit *after = search->options->after;
	if (after == NULL)
		return false;
	if (search->hits.order == SEARCH_NEWEST)
		return candidate->first_time_us > after->time_us;
	if (search->hits.order == SEARCH_OLDEST)
		return candidate->last_time_us < after->time_us;
	return last->topic.data != NULL && origin_compare(last, &after->origin) < 0;
}

/* The smallest and largest places of a block; topic.data NULL: not known. Indexes are not in a
 * summary: the largest stands for all of them. */
static void places_of(const struct summary *summary, struct origin *ret_first,
		      struct origin *ret_last)
{
	struct cursor ranges = summary->ranges;
	struct summary_range range;
	struct origin first = {0};
	struct origin last = {0};
	while (summary->ranges_known && summary_range_next(&ranges, &range)) {
		const struct origin low = {range.topic, range.partition, 0, range.first_offset};
		const struct origin high = {range.topic, range.partition, UINT32_MAX,
					    range.last_offset};
		if (first.topic.data == NULL || origin_compare(&low, &first) < 0)
			first = low;
		if (last.topic.data == NULL || origin_compare(&high, &last) > 0)
			last = high;
	}
	if (ranges.failed)
		first.topic.data = last.topic.data = NULL;
	*ret_first = first;
	*ret_last = last;
}

static bool place_may_fit(const struct search_place *place, const struct summary *summary)
{
	struct cursor ranges = summary->ranges;
	struct summary_range range;
	if (!summary->ranges_known || search_is_anywhere(place))
		return true;
	while (summary_range_next(&ranges, &range)) {
		const int64_t offsets[2] = {range.first_offset, range.last_offset};
		if (search_range_fits(place, range.topic, range.partition, offsets))
			return true;
	}
	return ranges.failed;
}

static enum status merged_consider(struct search *search, struct text key, struct text value)
{
	const struct search_options *options = search->options;
	struct columnar_key parsed;
	struct summary summary;
	search->report.blocks++;
	enum status status = columnar_key_decode(key, &parsed, search->err);
	if (status != OK)
		return status;
	status = summary_open(value, &summary, search->err);
	if (status != OK)
		return status;
	if (!times_fit(options, summary.first_time_us, summary.last_time_us)) {
		search->report.by_time++;
		return OK;
	}
	if (summary.last_time_us < retention_floor(search->retention, parsed.owner, parsed.class)) {
		search->report.by_retention++;
		return OK;
	}
	if (!place_may_fit(&options->place, &summary)) {
		search->report.by_place++;
		return OK;
	}
	struct candidate found = {.key = key,
				  .first_time_us = summary.first_time_us,
				  .last_time_us = summary.last_time_us,
				  .merged = true};
	struct origin last;
	places_of(&summary, &found.first, &last);
	if (is_behind_us(search, &found, &last)) {
		search->report.by_place++;
		return OK;
	}
	bool may = true;
	bool by_bloom = false;
	status = search_may_hold(search, key, &summary, &may, &by_bloom);
	if (status != OK)
		return status;
	if (!may) {
		search->report.by_bloom += by_bloom;
		search->report.by_value += !by_bloom;
		return OK;
	}
	return candidate_add(search, &found);
}

/* Where the owner's blocks begin that come behind key, which is another's: on the same day, or on
 * the next one. */
static enum status next_owned(struct search *search, struct text key,
			      const struct columnar_key *parsed, const struct text *owner_key,
			      struct bytes *from)
{
	int64_t day = parsed->day;
	bytes_clear(from);
	columnar_key_prefix(parsed->class, &day, owner_key, from);
	if (!from->failed && text_compare(key, bytes_text(from)) > 0) {
		day++;
		bytes_clear(from);
		columnar_key_prefix(parsed->class, &day, owner_key, from);
	}
	return from->failed ? search_no_memory(search) : OK;
}

/* The summaries of a class from a key on, up to the first of another owner: then *from is where to
 * go on. *ret_more is false when there is nothing behind. */
static enum status stretch_consider(struct search *search, struct text prefix, struct bytes *from,
				    const struct text *owner_key, bool *ret_more)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct text key = {0};
	struct text value = {0};
	int64_t last_day = day_of_time(search->options->until_us);
	enum status status = store_view_scan(search->view, FAMILY_BLOCKMETA, prefix,
					     bytes_text(from), &scan, search->err);
	*ret_more = false;
	while (status == OK && store_scan_next(scan, &key, &value)) {
		struct columnar_key parsed;
		status = columnar_key_decode(key, &parsed, search->err);
		if (status == OK && parsed.day > last_day)
			return OK;
		if (status == OK && owner_key != NULL && !text_equal(parsed.owner, *owner_key)) {
			search->report.blocks++;
			search->report.by_tenant++;
			*ret_more = true;
			return next_owned(search, key, &parsed, owner_key, from);
		}
		if (status == OK)
			status = merged_consider(search, key, value);
		status = search_survive(search, status);
	}
	return status == OK ? search_survive(search, store_scan_status(scan, search->err)) : status;
}

/* The summaries of a class, from the first day that matters to the last. Blocks of other owners lie
 * between those of the owner's days: each such stretch is passed over by key, unread. */
static enum status class_consider(struct search *search, enum data_class class,
				  const struct text *owner_key)
{
	struct bytes prefix cleanup(bytes_done) = {0};
	struct bytes from cleanup(bytes_done) = {0};
	int64_t first_day = day_of_time(search->options->since_us);
	columnar_key_prefix(class, NULL, NULL, &prefix);
	columnar_key_prefix(class, &first_day, owner_key, &from);
	if (prefix.failed || from.failed)
		return search_no_memory(search);
	enum status status = OK;
	for (bool more = true; status == OK && more;)
		status = stretch_consider(search, bytes_text(&prefix), &from, owner_key, &more);
	return status;
}

/* Whether a block that is not merged may hold something from where it was asked for. */
static bool rows_may_fit(const struct search *search, struct text key,
			 const struct block_meta *meta, struct candidate *ret_found)
{
	struct origin first;
	struct cursor from = cursor_of(key);
	const int64_t offsets[2] = {meta->first_offset, meta->last_offset};
	struct candidate found = {.key = key,
				  .first_time_us = meta->first_time_us,
				  .last_time_us = meta->last_time_us};
	struct origin last = {0};
	key_take_origin(&from, &first);
	if (!from.failed) {
		found.first = first;
		last = (struct origin){first.topic, first.partition, UINT32_MAX, offsets[1]};
	}
	*ret_found = found;
	return (from.failed || search_range_fits(&search->options->place, first.topic,
						 first.partition, offsets)) &&
	       !is_behind_us(search, &found, &last);
}

/* Whether the block may hold events of the tenant that was asked for. */
static bool owners_may_fit(const struct search_options *options, const struct block_meta *meta)
{
	struct cursor owners = cursor_of(meta->owners);
	struct block_owner owner;
	if (!options->scoped || meta->owners.size == 0)
		return true;
	while (block_owner_next(&owners, &owner))
		if (text_equal(owner.name, options->tenant))
			return true;
	return false;
}

/* Blocks that are not merged: their keys come before all others. */
static enum status rows_consider(struct search *search)
{
	const struct search_options *options = search->options;
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct text key = {0};
	struct text value = {0};
	enum status status = store_view_scan(search->view, FAMILY_BLOCKMETA, TEXT(""), TEXT(""),
					     &scan, search->err);
	while (status == OK && store_scan_next(scan, &key, &value)) {
		struct block_meta meta;
		struct candidate found;
		if (key.size == 0 || key.data[0] >= BLOOM_MARK)
			break;
		search->report.blocks++;
		search->report.row_blocks++;
		status = block_meta_decode(value, &meta, search->err);
		if (status == OK && !times_fit(options, meta.first_time_us, meta.last_time_us))
			search->report.by_time++;
		else if (status == OK && !rows_may_fit(search, key, &meta, &found))
			search->report.by_place++;
		else if (status == OK && !owners_may_fit(options, &meta))
			search->report.by_tenant++;
		else if (status == OK)
			status = candidate_add(search, &found);
		status = search_survive(search, status);
	}
	if (status == OK)
		status = search_survive(search, store_scan_status(scan, search->err));
	return status;
}

enum status search_find(struct search *search)
{
	const struct search_options *options = search->options;
	struct bytes owner cleanup(bytes_done) = {0};
	struct text owner_key = {0};
	enum status status = OK;
	if (options->scoped)
		status = columnar_key_owner(options->tenant, &owner, &owner_key, search->err);
	if (status == OK)
		status = rows_consider(search);
	for (unsigned i = 0; status == OK && i < CLASS_COUNT; i++)
		status = class_consider(search, (enum data_class)i,
					options->scoped ? &owner_key : NULL);
	return status;
}
