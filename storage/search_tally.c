/* Counting: events fall into groups of (bucket of time, values of the fields). A group's key is
 *
 *   zigzag bucket, then for each field u8 1 and its text, or u8 0 when the event has no such field
 *
 * and the dictionary of keys gives it its number. With one field an event counts once for each of
 * its different values (a list of roles is several groups); with several fields the first value of
 * each is taken. On a block, the number of a group is remembered for each entry of a dictionary as
 * long as the bucket stays the same, so that nearly no row makes a key. */
#include <assert.h>
#include <stdlib.h>

#include "storage/dictionary_private.h"
#include "storage/search_private.h"

enum { NOT_KNOWN = UINT32_MAX };

struct tally {
	const struct search_options *options;
	const struct query *query;
	struct dictionary keys;
	uint64_t *counts; /* by number */
	size_t capacity;
	bool limited; /* groups were left out */
	struct bytes key;
};

struct tally *tally_new(const struct search_options *options)
{
	struct tally *tally = calloc(1, sizeof *tally);
	if (tally != NULL)
		*tally = (struct tally){.options = options, .query = options->query};
	return tally;
}

void tally_free(struct tally **tally)
{
	if (*tally == NULL)
		return;
	dictionary_done(&(*tally)->keys);
	bytes_done(&(*tally)->key);
	free((*tally)->counts);
	free(*tally);
	*tally = NULL;
}

static int64_t bucket_of(const struct query *query, int64_t time_us)
{
	if (query->bucket_us == 0)
		return INT64_MIN;
	int64_t rest = time_us % query->bucket_us;
	if (rest < 0)
		rest += query->bucket_us;
	/* The bucket of the very first moments begins before there is time. */
	return time_us < INT64_MIN + 1 + rest ? INT64_MIN + 1 : time_us - rest;
}

/* The number of the key in tally->key; NOT_KNOWN when there are too many groups. */
static bool group_number(struct tally *tally, uint32_t *ret_number)
{
	if (tally->key.failed)
		return false;
	if (tally->keys.count == tally->capacity) {
		size_t capacity = tally->capacity == 0 ? 256 : 2 * tally->capacity;
		uint64_t *counts = realloc(tally->counts, capacity * sizeof *counts);
		if (counts == NULL)
			return false;
		memset(counts + tally->capacity, 0, (capacity - tally->capacity) * sizeof *counts);
		tally->counts = counts;
		tally->capacity = capacity;
	}
	if (tally->keys.count >= TALLY_GROUPS_MAX || tally->keys.entries.size > TALLY_BYTES_MAX) {
		tally->limited = true;
		*ret_number = NOT_KNOWN;
		return true;
	}
	return dictionary_number(&tally->keys, bytes_text(&tally->key), ret_number);
}

static void key_begin(struct tally *tally, int64_t bucket_us)
{
	bytes_clear(&tally->key);
	bytes_put_signed(&tally->key, bucket_us);
}

static void key_value(struct tally *tally, bool present, struct text text)
{
	bytes_put_u8(&tally->key, present);
	if (present)
		bytes_put_text(&tally->key, text);
}

static bool count_key(struct tally *tally, uint64_t count)
{
	uint32_t number = NOT_KNOWN;
	if (!group_number(tally, &number))
		return false;
	if (number != NOT_KNOWN)
		tally->counts[number] += count;
	return true;
}

static bool is_valued(const struct value *value)
{
	return value->type != VALUE_NULL && value->type != VALUE_EMPTY;
}

/* The next field of that name with a value, from *at. */
static const struct value *next_value(const struct event *event, struct text name, size_t *at)
{
	for (; *at < event->field_count; (*at)++) {
		const struct field *field = &event->fields[*at];
		if (text_equal(field->name, name) && is_valued(&field->value)) {
			(*at)++;
			return &field->value;
		}
	}
	return NULL;
}

/* What is not a field of the event but can be counted by. */
static bool virtual_text(const struct event *event, struct text name, size_t nth,
			 char buffer[static NUMBER_PRINT_MAX], struct text *ret_text)
{
	enum query_virtual which = query_virtual_of(schema_find(name));
	if (which == VIRTUAL_NONE)
		return false;
	struct value value = query_virtual_value(which, event, nth, buffer);
	*ret_text = is_valued(&value) ? value.text : (struct text){0};
	return true;
}

static bool value_seen(const struct event *event, struct text name, const struct value *until)
{
	size_t at = 0;
	for (const struct value *value = next_value(event, name, &at);
	     value != NULL && value != until; value = next_value(event, name, &at))
		if (text_equal(value->text, until->text))
			return true;
	return false;
}

/* One field: each different value once. */
static bool tally_one(struct tally *tally, const struct event *event, int64_t bucket_us)
{
	char buffer[NUMBER_PRINT_MAX];
	struct text name = tally->query->fields[0];
	struct text text;
	size_t at = 0;
	for (size_t nth = 0; virtual_text(event, name, nth, buffer, &text); nth++) {
		if (nth > 0 && text.data == NULL)
			return true;
		key_begin(tally, bucket_us);
		key_value(tally, text.data != NULL, text);
		if (!count_key(tally, 1))
			return false;
	}
	const struct value *value = next_value(event, name, &at);
	if (value == NULL) {
		key_begin(tally, bucket_us);
		key_value(tally, false, (struct text){0});
		return count_key(tally, 1);
	}
	for (; value != NULL; value = next_value(event, name, &at)) {
		if (value_seen(event, name, value))
			continue;
		key_begin(tally, bucket_us);
		key_value(tally, true, value->text);
		if (!count_key(tally, 1))
			return false;
	}
	return true;
}

bool tally_event(struct tally *tally, const struct event *event)
{
	const struct query *query = tally->query;
	int64_t bucket_us = bucket_of(query, event->time_us);
	if (query->field_count == 1)
		return tally_one(tally, event, bucket_us);
	key_begin(tally, bucket_us);
	for (size_t i = 0; i < query->field_count; i++) {
		char buffer[NUMBER_PRINT_MAX];
		struct text text;
		size_t at = 0;
		if (virtual_text(event, query->fields[i], 0, buffer, &text)) {
			key_value(tally, text.data != NULL, text);
			continue;
		}
		const struct value *value = next_value(event, query->fields[i], &at);
		key_value(tally, value != NULL, value == NULL ? (struct text){0} : value->text);
	}
	return count_key(tally, 1);
}

/* The column of the field, when it is one with a dictionary and one value in every row. */
static enum status coded_column(struct tally *tally, struct columnar_reader *reader,
				struct column_values *ret_values, bool *ret_found,
				struct error *err)
{
	size_t found = 0;
	size_t count = 0;
	*ret_found = false;
	if (tally->query->field_count != 1 ||
	    query_virtual_of(schema_find(tally->query->fields[0])) != VIRTUAL_NONE)
		return OK;
	for (size_t i = 0; i < columnar_column_count(reader); i++) {
		if (!text_equal(columnar_column(reader, i).name, tally->query->fields[0]))
			continue;
		found = i;
		count++;
	}
	if (count != 1 || columnar_column(reader, found).type != VALUE_STRING)
		return OK;
	enum status status = columnar_values(reader, found, ret_values, err);
	if (status != OK || ret_values->codes == NULL)
		return status;
	for (size_t row = 0; row < columnar_count(reader); row++)
		if (columnar_row_values(reader, row, found) != 1)
			return OK;
	*ret_found = true;
	return OK;
}

static bool tally_codes(struct tally *tally, struct columnar_reader *reader,
			const struct row_set *rows, const struct column_values *values)
{
	uint32_t *numbers = malloc((values->entry_count + 1) * sizeof *numbers);
	int64_t bucket_us = INT64_MAX;
	bool good = numbers != NULL;
	for (size_t row = 0; good && row < columnar_count(reader); row++) {
		if (!row_set_has(rows, row))
			continue;
		int64_t own = bucket_of(tally->query, columnar_time(reader, row));
		if (own != bucket_us) {
			memset(numbers, 0xff, values->entry_count * sizeof *numbers);
			bucket_us = own;
		}
		uint32_t *number = &numbers[values->codes[row]];
		if (*number == NOT_KNOWN) {
			key_begin(tally, own);
			key_value(tally, true, values->entries[values->codes[row]].text);
			good = group_number(tally, number);
		}
		if (good && *number != NOT_KNOWN)
			tally->counts[*number]++;
	}
	free(numbers);
	return good;
}

/* Only times are needed: the rows of a bucket are neighbours. */
static bool tally_times(struct tally *tally, struct columnar_reader *reader,
			const struct row_set *rows)
{
	int64_t bucket_us = 0;
	uint64_t count = 0;
	for (size_t row = 0; row < columnar_count(reader); row++) {
		if (!row_set_has(rows, row))
			continue;
		int64_t own = bucket_of(tally->query, columnar_time(reader, row));
		if (count > 0 && own != bucket_us) {
			key_begin(tally, bucket_us);
			if (!count_key(tally, count))
				return false;
			count = 0;
		}
		bucket_us = own;
		count++;
	}
	key_begin(tally, bucket_us);
	return count == 0 || count_key(tally, count);
}

enum status tally_block(struct tally *tally, struct columnar_reader *reader,
			const struct row_set *rows, struct error *err)
{
	struct column_values values = {0};
	bool coded = false;
	bool good = true;
	enum status status = row_set_is_few(rows, columnar_count(reader))
				     ? search_select(reader, rows, err)
				     : coded_column(tally, reader, &values, &coded, err);
	if (status != OK)
		return status;
	if (coded)
		good = tally_codes(tally, reader, rows, &values);
	else if (tally->query->field_count == 0)
		good = tally_times(tally, reader, rows);
	else {
		struct arena *arena cleanup(arena_free) = arena_new(256 * 1024 * 1024);
		for (size_t row = 0;
		     arena != NULL && status == OK && good && row < columnar_count(reader); row++) {
			struct event event;
			if (!row_set_has(rows, row))
				continue;
			arena_reset(arena);
			status = columnar_project(reader, row, tally->query->fields,
						  tally->query->field_count, arena, &event, err);
			if (status == OK)
				good = tally_event(tally, &event);
		}
		good = good && arena != NULL;
	}
	return good ? status : error_set(err, ENOMEMORY, "no memory to count");
}

static int by_count(const void *a, const void *b)
{
	const struct search_group *x = a;
	const struct search_group *y = b;
	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	if (x->present[0] != y->present[0])
		return x->present[0] ? -1 : 1;
	return text_compare(x->values[0], y->values[0]);
}

static int by_value(const void *a, const void *b)
{
	const struct search_group *x = a;
	const struct search_group *y = b;
	if (x->bucket_us != y->bucket_us)
		return x->bucket_us < y->bucket_us ? -1 : 1;
	for (size_t i = 0; i < QUERY_FIELDS_MAX; i++) {
		int order = text_compare(x->values[i], y->values[i]);
		if (order != 0)
			return order;
		if (x->present[i] != y->present[i])
			return x->present[i] ? 1 : -1;
	}
	return 0;
}

/* One key may have two numbers (dictionary_private.h): sorted, they are neighbours. */
static size_t join_twins(struct search_group *groups, size_t count)
{
	size_t kept = 0;
	for (size_t i = 0; i < count; i++) {
		if (kept > 0 && by_value(&groups[kept - 1], &groups[i]) == 0)
			groups[kept - 1].count += groups[i].count;
		else
			groups[kept++] = groups[i];
	}
	return kept;
}

/* How many buckets there are from the one to the other. */
static uint64_t bucket_count(const struct query *query, int64_t first_us, int64_t last_us)
{
	/* Unsigned: times may be as far apart as there is room for. */
	return ((uint64_t)last_us - (uint64_t)first_us) / (uint64_t)query->bucket_us + 1;
}

/* The first and last bucket of a histogram: of the span that was asked for, as far as it has an end
 * and is not too long; at least from the first event to the last. False: there is no bucket. */
static bool histogram_span(const struct tally *tally, const struct search_result *result,
			   int64_t *ret_first_us, int64_t *ret_last_us)
{
	const struct search_options *options = tally->options;
	const struct search_group *groups = result->groups;
	size_t count = result->group_count;
	bool open_since = options->since_us == INT64_MIN;
	bool open_until = options->until_us == INT64_MAX && options->zeros_until_us == 0;
	if (count == 0 && (open_since || open_until))
		return false;
	int64_t until_us =
		options->until_us == INT64_MAX ? options->zeros_until_us : options->until_us;
	int64_t first_us =
		open_since ? groups[0].bucket_us : bucket_of(tally->query, options->since_us);
	int64_t last_us =
		open_until ? groups[count - 1].bucket_us : bucket_of(tally->query, until_us);
	if (count > 0 && groups[count - 1].bucket_us > last_us)
		last_us = groups[count - 1].bucket_us;
	bool fits = last_us >= first_us &&
		    bucket_count(tally->query, first_us, last_us) <= TALLY_GROUPS_MAX;
	if (!fits && count == 0)
		return false;
	*ret_first_us = fits ? first_us : groups[0].bucket_us;
	*ret_last_us = fits ? last_us : groups[count - 1].bucket_us;
	return true;
}

/* A histogram has its empty buckets too: a gap must be seen as one. Not when that would be more
 * than TALLY_GROUPS_MAX. */
static enum status fill_gaps(const struct tally *tally, struct search_result *result,
			     struct error *err)
{
	const struct search_group *groups = result->groups;
	int64_t first_us = 0;
	int64_t last_us = 0;
	if (!histogram_span(tally, result, &first_us, &last_us))
		return OK;
	uint64_t wanted = bucket_count(tally->query, first_us, last_us);
	if (wanted > TALLY_GROUPS_MAX || wanted <= result->group_count)
		return OK;
	struct search_group *filled = arena_alloc(result->arena, wanted * sizeof *filled);
	if (filled == NULL)
		return error_set(err, ENOMEMORY, "no memory to count");
	for (size_t i = 0, from = 0; i < wanted; i++) {
		int64_t bucket_us = first_us + (int64_t)i * tally->query->bucket_us;
		filled[i] = (struct search_group){.bucket_us = bucket_us};
		if (from < result->group_count && groups[from].bucket_us == bucket_us)
			filled[i] = groups[from++];
	}
	result->groups = filled;
	result->group_count = wanted;
	return OK;
}

enum status tally_finish(struct tally *tally, struct search_result *result, struct error *err)
{
	const struct query *query = tally->query;
	size_t count = tally->keys.count;
	result->arena = arena_new((size_t)1 << 30);
	struct text keys = {0};
	if (result->arena != NULL) {
		keys = arena_copy(result->arena, bytes_text(&tally->keys.entries));
		result->groups = arena_alloc(result->arena, (count + 1) * sizeof *result->groups);
	}
	if (result->groups == NULL || (keys.data == NULL && count > 0))
		return error_set(err, ENOMEMORY, "no memory to count");
	struct cursor from = cursor_of(keys);
	for (size_t i = 0; i < count; i++) {
		struct search_group *group = &result->groups[i];
		group->bucket_us = cursor_signed(&from);
		for (size_t k = 0; k < query->field_count; k++) {
			group->present[k] = cursor_u8(&from) == 1;
			if (group->present[k])
				group->values[k] = cursor_text(&from);
		}
		group->count = tally->counts[i];
	}
	assert(!from.failed && cursor_left(&from) == 0);
	if (count > 0)
		qsort(result->groups, count, sizeof *result->groups, by_value);
	result->group_count = join_twins(result->groups, count);
	result->report.limited |= tally->limited;
	if (query->output == OUTPUT_HISTOGRAM)
		return fill_gaps(tally, result, err);
	if (query->output != OUTPUT_TOP)
		return OK;
	if (result->group_count > 0)
		qsort(result->groups, result->group_count, sizeof *result->groups, by_count);
	if (result->group_count > query->top)
		result->group_count = query->top;
	return OK;
}
