/* The tables that format_map.c walks, made once all mapping files are read.
 *
 * Rows: waiting[] holds the numbers of a format's rows sorted by the source they wait for,
 * waiting_first[] where those of each source begin. Rows that wait for none, because they read a
 * field of the schema or give a constant, are always looked at.
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

/* Rows by source: a row is counted, then put where the counts say. */
static enum status rows_index(const struct formats *formats, struct format *format)
{
	uint16_t *first = arena_alloc(formats->arena, (formats->source_count + 2) * sizeof *first);
	uint16_t *waiting = arena_alloc(formats->arena, (format->row_count + 1) * sizeof *waiting);
	const struct row **times =
		arena_alloc(formats->arena, (format->row_count + 1) * sizeof(void *));
	if (first == NULL || waiting == NULL || times == NULL)
		return ENOMEMORY;
	for (size_t i = 0; i < format->row_count; i++) {
		const struct row *row = &format->rows[i];
		if (row->to.id == FIELD_TIMESTAMP)
			times[format->time_count++] = row;
		else if (row->from.source == 0)
			row_set_add(&format->always, i);
		else
			first[row->from.source]++; /* source + 1: the next begins behind it */
	}
	for (size_t source = 0; source < formats->source_count; source++)
		first[source + 1] = (uint16_t)(first[source + 1] + first[source]);
	first[formats->source_count + 1] = first[formats->source_count];
	for (size_t i = format->row_count; i-- > 0;) {
		const struct row *row = &format->rows[i];
		if (row->to.id != FIELD_TIMESTAMP && row->from.source != 0)
			waiting[--first[row->from.source]] = (uint16_t)i;
	}
	/* Each has moved down to where its own rows begin: first[s + 1] is that of source s. */
	format->waiting = waiting;
	format->waiting_first = first + 1;
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
