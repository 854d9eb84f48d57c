/* The tables that format_map.c walks, made once all mapping files are read.
 *
 * Rows: for each source a format has the set of its rows that wait for it, one bit a row: the rows
 * that a record asks for are the union over the names it has, and come out in the order of the
 * file. Rows that wait for none, because they read a field of the schema or give a constant, are
 * always looked at.
 *
 * Formats: an alternative can only hold if all its marks are set, so it is filed under one of them:
 * the one that the fewest alternatives ask for, which seldom is set in vain. */
#include <assert.h>

#include "ingest/format_private.h"

static_assert(FORMAT_MARKS_MAX <= UINT8_MAX); /* witnesses[] below */

static bool asks_for(const struct marks *marks, size_t mark)
{
	return (marks->bits[mark / 64] >> (mark % 64) & 1) != 0;
}

/* Rows by source. */
static enum status rows_index(const struct formats *formats, struct format *format)
{
	size_t words = format->row_words = (format->row_count + 63) / 64;
	uint64_t *always = arena_alloc(formats->arena, (words + 1) * sizeof *always);
	uint64_t *waiting =
		arena_alloc(formats->arena, (formats->source_count * words + 1) * sizeof *waiting);
	const struct row **times =
		arena_alloc(formats->arena, (format->row_count + 1) * sizeof(void *));
	if (always == NULL || waiting == NULL || times == NULL)
		return ENOMEMORY;
	for (size_t i = 0; i < format->row_count; i++) {
		const struct row *row = &format->rows[i];
		uint64_t *set =
			row->from.source == 0 ? always : &waiting[(row->from.source - 1u) * words];
		if (row->to.id == FIELD_TIMESTAMP)
			times[format->time_count++] = row;
		else
			set[i / 64] |= (uint64_t)1 << (i % 64);
	}
	format->always = always;
	format->waiting = waiting;
	format->times = times;
	return OK;
}

/* Of the marks that an alternative asks for, the one that the fewest others do. */
static uint8_t witness_of(const struct marks *asked, const size_t askers[FORMAT_MARKS_MAX])
{
	size_t best = FORMAT_MARKS_MAX;
	for (size_t mark = 0; mark < FORMAT_MARKS_MAX; mark++)
		if (asks_for(asked, mark) &&
		    (best == FORMAT_MARKS_MAX || askers[mark] < askers[best]))
			best = mark;
	assert(best < FORMAT_MARKS_MAX); /* an alternative asks for something */
	return (uint8_t)best;
}

/* How many alternatives ask for each mark; returns how many alternatives there are. */
static size_t count_askers(const struct formats *formats, size_t askers[FORMAT_MARKS_MAX])
{
	size_t count = 0;
	for (size_t i = 0; i < formats->format_count; i++) {
		const struct format *format = &formats->formats[i];
		count += format->alternative_count;
		for (size_t k = 0; k < format->alternative_count; k++)
			for (size_t mark = 0; mark < FORMAT_MARKS_MAX; mark++)
				askers[mark] += asks_for(&format->alternatives[k], mark);
	}
	return count;
}

static enum status alternatives_index(struct formats *formats)
{
	size_t askers[FORMAT_MARKS_MAX] = {0};
	size_t count = count_askers(formats, askers);
	struct alternative *filed = arena_alloc(formats->arena, (count + 1) * sizeof *filed);
	if (filed == NULL)
		return ENOMEMORY;
	uint16_t *const end = formats->filed;
	uint8_t witnesses[FORMATS_MAX][FORMAT_ALTERNATIVES_MAX];
	for (size_t i = 0; i < formats->format_count; i++)
		for (size_t k = 0; k < formats->formats[i].alternative_count; k++) {
			witnesses[i][k] = witness_of(&formats->formats[i].alternatives[k], askers);
			end[witnesses[i][k]]++;
		}
	for (size_t mark = 1; mark <= FORMAT_MARKS_MAX; mark++)
		end[mark] = (uint16_t)(end[mark] + end[mark - 1]);
	for (size_t i = formats->format_count; i-- > 0;)
		for (size_t k = formats->formats[i].alternative_count; k-- > 0;)
			filed[--end[witnesses[i][k]]] = (struct alternative){
				formats->formats[i].alternatives[k], &formats->formats[i]};
	formats->alternatives = filed; /* and end[m] is where those of mark m begin */
	return OK;
}

enum status formats_index(struct formats *formats)
{
	enum status status = OK;
	for (size_t i = 0; i < formats->format_count && status == OK; i++)
		status = rows_index(formats, &formats->formats[i]);
	return status == OK ? alternatives_index(formats) : status;
}
