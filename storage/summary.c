/* The format of a summary, version 1:
 *
 *   u8 version, u64le XXH3-64 of everything behind it
 *   varint events, zigzag first time, zigzag last time - first time, varint stored bytes
 *   u8 1 = the ranges are named, text of ranges: each topic (text), varint partition,
 *      zigzag first offset, zigzag last offset
 *   the rest: columns: each name (text), u8 type, u8 kind, and by kind
 *      NUMBERS zigzag smallest, zigzag largest
 *      ENTRIES varint n, n texts */
#include "storage/summary.h"

#include <assert.h>
#include <xxhash.h>

enum { SUMMARY_VERSION = 1 };

void summary_put_range(struct summary_writer *writer, const struct summary_range *range)
{
	bytes_put_text(&writer->ranges, range->topic);
	bytes_put_varint(&writer->ranges, (uint64_t)range->partition);
	bytes_put_signed(&writer->ranges, range->first_offset);
	bytes_put_signed(&writer->ranges, range->last_offset);
	writer->range_count++;
}

void summary_put_column(struct summary_writer *writer, const struct summary_column *column,
			const struct text *entries)
{
	struct bytes *to = &writer->columns;
	bytes_put_text(to, column->name);
	bytes_put_u8(to, (uint8_t)column->type);
	bytes_put_u8(to, (uint8_t)column->kind);
	if (column->kind == SUMMARY_NUMBERS) {
		bytes_put_signed(to, column->smallest);
		bytes_put_signed(to, column->largest);
	}
	if (column->kind != SUMMARY_ENTRIES)
		return;
	assert(column->entry_count <= SUMMARY_ENTRIES_MAX);
	bytes_put_varint(to, column->entry_count);
	for (size_t i = 0; i < column->entry_count; i++)
		bytes_put_text(to, entries[i]);
}

void summary_finish(const struct summary_writer *writer, const struct summary *head,
		    struct bytes *to)
{
	struct bytes body cleanup(bytes_done) = {0};
	bool known = writer->range_count <= SUMMARY_RANGES_MAX;
	bytes_put_varint(&body, head->event_count);
	bytes_put_signed(&body, head->first_time_us);
	bytes_put_signed(&body,
			 (int64_t)((uint64_t)head->last_time_us - (uint64_t)head->first_time_us));
	bytes_put_varint(&body, head->stored_bytes);
	bytes_put_u8(&body, known);
	bytes_put_text(&body, known ? bytes_text(&writer->ranges) : (struct text){0});
	bytes_write(&body, bytes_text(&writer->columns));
	bytes_put_u8(to, SUMMARY_VERSION);
	bytes_put_u64le(to, XXH3_64bits(body.data, body.size));
	bytes_write(to, bytes_text(&body));
	to->failed |= body.failed || writer->ranges.failed || writer->columns.failed;
}

void summary_writer_clear(struct summary_writer *writer)
{
	bytes_clear(&writer->ranges);
	bytes_clear(&writer->columns);
	writer->range_count = 0;
}

void summary_writer_done(struct summary_writer *writer)
{
	bytes_done(&writer->ranges);
	bytes_done(&writer->columns);
	writer->range_count = 0;
}

bool summary_range_next(struct cursor *ranges, struct summary_range *ret_range)
{
	if (cursor_left(ranges) == 0 || ranges->failed)
		return false;
	struct summary_range range = {.topic = cursor_text(ranges)};
	uint64_t partition = cursor_varint(ranges);
	range.partition = (int32_t)(partition & INT32_MAX);
	range.first_offset = cursor_signed(ranges);
	range.last_offset = cursor_signed(ranges);
	if (partition > INT32_MAX)
		ranges->failed = true;
	*ret_range = range;
	return !ranges->failed;
}

bool summary_column_next(struct cursor *columns, struct summary_column *ret_column)
{
	if (cursor_left(columns) == 0 || columns->failed)
		return false;
	struct summary_column column = {.name = cursor_text(columns)};
	uint8_t type = cursor_u8(columns);
	uint8_t kind = cursor_u8(columns);
	if (type > VALUE_EMPTY || kind >= SUMMARY_KIND_COUNT)
		columns->failed = true;
	column.type = (enum value_type)type;
	column.kind = (enum summary_kind)kind;
	if (kind == SUMMARY_NUMBERS) {
		column.smallest = cursor_signed(columns);
		column.largest = cursor_signed(columns);
	}
	if (kind == SUMMARY_ENTRIES) {
		uint64_t count = cursor_varint(columns);
		if (count > SUMMARY_ENTRIES_MAX)
			columns->failed = true;
		column.entry_count = columns->failed ? 0 : count;
		column.entries = *columns;
		for (size_t i = 0; i < column.entry_count; i++)
			(void)cursor_text(columns);
	}
	*ret_column = column;
	return !columns->failed;
}

/* The sum stands for ranges and columns too: they are walked when somebody asks for them. */
enum status summary_open(struct text value, struct summary *ret_summary, struct error *err)
{
	struct cursor from = cursor_of(value);
	uint8_t version = cursor_u8(&from);
	uint64_t sum = cursor_u64le(&from);
	if (from.failed || version != SUMMARY_VERSION ||
	    sum != XXH3_64bits(from.at, cursor_left(&from)))
		return error_set(err, ECORRUPT, "the summary of a merged block is damaged");
	uint64_t count = cursor_varint(&from);
	struct summary summary = {.event_count = (uint32_t)count};
	summary.first_time_us = cursor_signed(&from);
	summary.last_time_us =
		(int64_t)((uint64_t)summary.first_time_us + (uint64_t)cursor_signed(&from));
	summary.stored_bytes = cursor_varint(&from);
	uint8_t known = cursor_u8(&from);
	summary.ranges_known = known == 1;
	summary.ranges = cursor_of(cursor_text(&from));
	summary.columns = from;
	if (from.failed || count == 0 || count > BLOCK_EVENTS_MAX || known > 1 ||
	    summary.first_time_us > summary.last_time_us)
		return error_set(err, ECORRUPT, "the summary of a merged block makes no sense");
	*ret_summary = summary;
	return OK;
}
