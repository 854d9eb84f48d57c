/* What is written beside a merged block: the lines of its summary (summary.c) and its blooms
 * (bloom.c). The hash of a text that a column's choices name is made once for a table. */
#include <stdlib.h>
#include <xxhash.h>

#include "storage/bloom.h"
#include "storage/columnar_writer_private.h"
#include "storage/term.h"

enum {
	BLOOM_DISTINCT_MIN = SUMMARY_ENTRIES_MAX,
	BLOOM_AVERAGE_BYTES_MAX = 128, /* longer values are prose, which nobody asks for whole */
	NO_HASH = 0,
};

/* Of a choice of the column; 0 is made anew each time. */
static bool choice_hash(struct press *press, struct table_column *column, uint32_t choice,
			uint64_t *ret_hash)
{
	if (column->hash_count < column->choices.count) {
		size_t count = column->choices.count;
		uint64_t *grown = realloc(column->hashes, count * sizeof *grown);
		if (grown == NULL)
			return false;
		memset(grown + column->hash_count, NO_HASH,
		       (count - column->hash_count) * sizeof *grown);
		column->hashes = grown;
		column->hash_count = count;
	}
	uint64_t *hash = &column->hashes[choice];
	if (*hash == NO_HASH && !term_hash(column->id, dictionary_entry(&column->choices, choice),
					   &press->scratch, hash))
		return false;
	*ret_hash = *hash;
	return true;
}

/* One hash for each different text, as far as we know which are. */
static bool hashes_make(struct press *press, struct table_column *column,
			const struct column_content *content, size_t *ret_count)
{
	bool few = content->entry_count > 0;
	size_t count = few ? content->entry_count : content->count;
	const struct text *texts = few ? content->entries : content->texts;
	char digits[HEX_TEXT_MAX];
	for (size_t i = 0; i < count; i++) {
		bool good = true;
		struct text text = texts[i];
		if (content->packed_bytes > 0) {
			(void)hex_unpack(text, digits);
			text = (struct text){digits, 2 * text.size};
		}
		if (press->choices.count > 0)
			good = choice_hash(press, column, press->choices.used[i],
					   &press->hashes[i]);
		else
			good = term_hash(column->id, text, &press->scratch, &press->hashes[i]);
		if (!good)
			return false;
	}
	*ret_count = count;
	return true;
}

static bool bloom_put_column(struct writing *writing, struct table_column *column,
			     const struct column_content *content)
{
	struct press *press = writing->press;
	size_t count = 0;
	if (!hashes_make(press, column, content, &count))
		return false;
	bytes_clear(&press->part);
	bytes_clear(&press->row_key);
	bloom_put(&press->part, press->hashes, count);
	bloom_key(column->name, bytes_text(&press->key), &press->row_key);
	if (press->part.failed || press->row_key.failed)
		return false;
	part_put_row(writing, FAMILY_BLOCKMETA, bytes_text(&press->row_key),
		     bytes_text(&press->part));
	return true;
}

static bool is_prose(enum field_id id)
{
	return id == FIELD_MESSAGE || id == FIELD_ERROR_MESSAGE || id == FIELD_ERROR_STACK_TRACE ||
	       id == FIELD_TIMESTAMP || id == FIELD_SRC_RAW;
}

/* Names that were chosen to share a hash may have got two columns (dictionary_private.h), and one
 * name has one bloom. */
static bool has_twin(const struct writing *writing, const struct table_column *column)
{
	const struct columnar_table *table = writing->table;
	const struct numbering *columns = &writing->press->columns;
	if (column->id != FIELD_OTHER)
		return false;
	for (size_t i = 0; i < columns->count; i++) {
		const struct table_column *other = &table->columns[columns->used[i]];
		if (other != column && other->tag == column->tag &&
		    text_equal(other->name, column->name))
			return true;
	}
	return false;
}

static enum summary_kind summary_kind_of(const struct writing *writing,
					 const struct table_column *column,
					 const struct column_content *content)
{
	if (column->tag == COLUMN_INTEGER)
		return SUMMARY_NUMBERS;
	if (column->tag != COLUMN_STRING)
		return SUMMARY_PRESENT;
	bool few = content->entry_count > 0;
	size_t count = few ? content->entry_count : content->count;
	const struct text *texts = few ? content->entries : content->texts;
	size_t bytes = 0;
	for (size_t i = 0; i < count; i++)
		bytes += texts[i].size;
	if (few && count <= SUMMARY_ENTRIES_MAX && bytes <= SUMMARY_ENTRY_BYTES_MAX)
		return SUMMARY_ENTRIES;
	bool many = !few || count > BLOOM_DISTINCT_MIN;
	if (many && !is_prose(column->id) && bytes / count <= BLOOM_AVERAGE_BYTES_MAX &&
	    !has_twin(writing, column))
		return SUMMARY_BLOOM;
	return SUMMARY_PRESENT;
}

bool summary_put_content(struct writing *writing, struct table_column *column,
			 const struct column_content *content)
{
	struct summary_column line = {.name = column->name,
				      .type = column_type(column->tag),
				      .kind = summary_kind_of(writing, column, content),
				      .entry_count = content->entry_count};
	if (line.kind == SUMMARY_NUMBERS) {
		line.smallest = line.largest = content->numbers[0];
		for (size_t i = 1; i < content->count; i++) {
			int64_t number = content->numbers[i];
			line.smallest = number < line.smallest ? number : line.smallest;
			line.largest = number > line.largest ? number : line.largest;
		}
	}
	summary_put_column(&writing->press->summary, &line, content->entries);
	return line.kind != SUMMARY_BLOOM || bloom_put_column(writing, column, content);
}

/* The ranges of offsets of each head; heads that differ in the log source only are joined later by
 * nobody: a range too many is harmless. */
bool summary_put_ranges(struct writing *writing)
{
	const struct columnar_table *table = writing->table;
	const struct numbering *heads = &writing->press->heads;
	struct summary_range *ranges = calloc(heads->count, sizeof *ranges);
	if (ranges == NULL)
		return false;
	for (size_t i = 0; i < writing->count; i++) {
		const struct table_row *row = &table->rows[writing->rows[i]];
		struct summary_range *range = &ranges[heads->own[row->head] - 1];
		if (range->topic.data == NULL) {
			struct origin origin = table_origin(table, row);
			*range = (struct summary_range){origin.topic, origin.partition, row->offset,
							row->offset};
		}
		if (row->offset < range->first_offset)
			range->first_offset = row->offset;
		if (row->offset > range->last_offset)
			range->last_offset = row->offset;
	}
	for (size_t i = 0; i < heads->count; i++)
		summary_put_range(&writing->press->summary, &ranges[i]);
	free(ranges);
	return true;
}

bool summary_put_row(struct writing *writing)
{
	struct press *press = writing->press;
	struct summary head = {
		.event_count = (uint32_t)writing->count,
		.first_time_us = press->times[0],
		.last_time_us = press->times[writing->count - 1],
		.stored_bytes = writing->stored_bytes,
	};
	bytes_clear(&press->payload);
	summary_finish(&press->summary, &head, &press->payload);
	if (press->payload.failed)
		return false;
	store_batch_put(writing->batch, FAMILY_BLOCKMETA, bytes_text(&press->key),
			bytes_text(&press->payload));
	return true;
}
