/* Reads what checkpoint.c writes, as far as it must: of a cell its names, its size, how many events
 * it remembers and the time of the first. Of a group that left for the top nothing is kept but the
 * copy of its name, in the arena: so names are copied only when a group comes into the top. */
#include "correlate/survey.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "correlate/actor_private.h"

enum { ARENA_BYTES_MAX = 1 << 28 };

enum status survey_new(const struct survey_options *options, struct survey **ret_survey,
		       struct error *err)
{
	assert(options->top <= SURVEY_TOP_MAX);
	struct survey *survey cleanup(survey_free) = calloc(1, sizeof *survey);
	if (survey == NULL || (survey->arena = arena_new(ARENA_BYTES_MAX)) == NULL)
		return error_set(err, ENOMEMORY, "no memory for a survey");
	survey->options = *options;
	survey->watermark_us = INT64_MAX;
	survey->lines = calloc(SURVEY_LINES_MAX, sizeof *survey->lines);
	survey->groups = calloc(options->top + 1, sizeof *survey->groups);
	if (survey->lines == NULL || survey->groups == NULL)
		return error_set(err, ENOMEMORY, "no memory for a survey");
	*ret_survey = TAKE(survey);
	return OK;
}

void survey_free(struct survey **survey)
{
	struct survey *freed = TAKE(*survey);
	if (freed == NULL)
		return;
	cells_done(&freed->seen);
	arena_free(&freed->arena);
	free(freed->lines);
	free(freed->groups);
	free(freed);
}

/* The line of a unit and tenant, made when there is none; NULL: no room. */
static struct survey_line *line_of(struct survey *survey, uint64_t state_id, struct text tenant)
{
	for (size_t i = survey->line_count; i-- > 0;) /* neighbours are often of one */
		if (survey->lines[i].state_id == state_id &&
		    text_equal(survey->lines[i].tenant, tenant))
			return &survey->lines[i];
	struct text copy = arena_copy(survey->arena, tenant);
	if (survey->line_count == SURVEY_LINES_MAX || (copy.data == NULL && tenant.size > 0))
		return NULL;
	struct survey_line *line = &survey->lines[survey->line_count++];
	*line = (struct survey_line){.unit = plan_find(survey->options.plan, state_id),
				     .state_id = state_id,
				     .tenant = copy,
				     .oldest_us = INT64_MAX};
	return line;
}

static bool is_wanted(const struct survey *survey, uint64_t state_id, struct text tenant)
{
	const struct survey_options *options = &survey->options;
	const struct unit *unit = plan_find(options->plan, state_id);
	return (options->rule == NULL || (unit != NULL && unit->rule == options->rule)) &&
	       (options->tenant.size == 0 || text_equal(options->tenant, tenant));
}

static bool group_holds(struct text group, struct text wanted)
{
	struct cursor from = cursor_of(group);
	while (wanted.size > 0 && cursor_left(&from) > 0 && !from.failed) {
		struct text value = cursor_text(&from);
		if (value.size >= wanted.size &&
		    memmem(value.data, value.size, wanted.data, wanted.size) != NULL)
			return true;
	}
	return wanted.size == 0;
}

/* How many events the cell remembers one by one, and the first's time. */
static void cell_events(struct cursor from, struct survey_line *cell)
{
	(void)cursor_varint(&from); /* at_least */
	cell->events = cursor_varint(&from);
	cell->oldest_us = INT64_MAX;
	if (cell->unit == NULL || cell->events == 0)
		return;
	if (cell->unit->judged == JUDGED_SKETCH) {
		cell->events = 0; /* panes, which hold none one by one */
		(void)cursor_u8(&from);
	}
	if (cell->unit->gated) {
		(void)cursor_varint(&from);
		(void)cursor_signed(&from);
		(void)cursor_signed(&from);
	} else if (cell->unit->judged == JUDGED_TRAIL) {
		(void)cursor_u8(&from);
		(void)cursor_varint(&from);
	}
	cell->oldest_us = cursor_signed(&from);
}

/* Larger first; equal ones by tenant and group, so that an answer is the same twice. */
static int line_compare(const void *a, const void *b)
{
	const struct survey_line *left = a;
	const struct survey_line *right = b;
	if (left->bytes != right->bytes)
		return left->bytes > right->bytes ? -1 : 1;
	if (left->state_id != right->state_id)
		return left->state_id < right->state_id ? -1 : 1;
	int order = text_compare(left->tenant, right->tenant);
	return order != 0 ? order : text_compare(left->group, right->group);
}

/* A heap with the smallest on top: what is larger takes its place. */
static enum status top_add(struct survey *survey, const struct survey_line *cell)
{
	struct survey_line *heap = survey->groups;
	size_t top = survey->options.top;
	if (top == 0 || (survey->group_count == top && line_compare(cell, &heap[0]) > 0))
		return OK;
	struct survey_line kept = *cell;
	kept.tenant = arena_copy(survey->arena, cell->tenant);
	kept.group = arena_copy(survey->arena, cell->group);
	if ((kept.tenant.data == NULL && cell->tenant.size > 0) ||
	    (kept.group.data == NULL && cell->group.size > 0))
		return ENOMEMORY;
	size_t at = 0;
	if (survey->group_count < top) {
		at = survey->group_count++;
		for (; at > 0 && line_compare(&heap[(at - 1) / 2], &kept) < 0; at = (at - 1) / 2)
			heap[at] = heap[(at - 1) / 2];
	} else {
		for (size_t child = 1; child < top; child = 2 * at + 1) {
			child +=
				child + 1 < top && line_compare(&heap[child], &heap[child + 1]) < 0;
			if (line_compare(&heap[child], &kept) <= 0)
				break;
			heap[at] = heap[child];
			at = child;
		}
	}
	heap[at] = kept;
	return OK;
}

/* Reads a cell's name and notes that it was spoken of; *ret_again: it had been. */
static enum status name_take(struct survey *survey, struct cursor *from, struct survey_line *cell,
			     bool *ret_again)
{
	cell->state_id = cursor_u64le(from);
	cell->tenant = cursor_text(from);
	cell->group = cursor_text(from);
	if (from->failed)
		return ECORRUPT;
	if (!survey->within)
		return OK;
	struct cell_key key = record_cell_key(plan_hash_key(survey->options.plan), cell->state_id,
					      cell->tenant, cell->group);
	*ret_again = cells_find(&survey->seen, &key) != NULL;
	return *ret_again ? OK : cells_add(&survey->seen, &key, survey);
}

static enum status cell_add(struct survey *survey, struct text encoded)
{
	struct cursor from = cursor_of(encoded);
	struct survey_line cell = {.cells = 1, .bytes = encoded.size};
	bool again = false;
	enum status status = name_take(survey, &from, &cell, &again);
	if (status != OK || again)
		return status;
	struct text memory = {(const char *)from.at, cursor_left(&from)};
	cell.unit = plan_find(survey->options.plan, cell.state_id);
	cell_events(from, &cell);
	if (from.failed)
		return ECORRUPT;
	if (!is_wanted(survey, cell.state_id, cell.tenant) ||
	    !group_holds(cell.group, survey->options.group))
		return OK;
	struct survey_line *line = line_of(survey, cell.state_id, cell.tenant);
	if (line == NULL) {
		survey->left_out++;
		return OK;
	}
	line->cells++;
	line->bytes += cell.bytes;
	line->events += cell.events;
	line->oldest_us = cell.oldest_us < line->oldest_us ? cell.oldest_us : line->oldest_us;
	const struct survey_visitor *visitor = survey->options.visitor;
	if (visitor != NULL)
		status = visitor->take(visitor->context, &cell, memory, survey->newest_us);
	return status == OK ? top_add(survey, &cell) : status;
}

/* Who is refused groups, as the newest row of the partition says. */
static void refused_add(struct survey *survey, bool newest, struct cursor *from)
{
	uint64_t refused = cursor_varint(from);
	for (uint64_t i = 0; i < refused && !from->failed; i++) {
		uint64_t state_id = cursor_u64le(from);
		struct text tenant = cursor_text(from);
		bool wanted = newest && !from->failed && is_wanted(survey, state_id, tenant);
		struct survey_line *line = wanted ? line_of(survey, state_id, tenant) : NULL;
		if (line != NULL)
			line->refused = true;
	}
}

/* The cells of a row, and then the names of those that are gone (saved.c). */
static enum status cells_add_all(struct survey *survey, bool changes, struct cursor *from)
{
	struct cursor gone = *from;
	uint64_t gone_count = changes ? cursor_varint(from) : 0;
	for (uint64_t i = 0; i < gone_count && !from->failed; i++)
		(void)cursor_text(from);
	uint64_t cells = cursor_varint(from);
	enum status status = OK;
	for (uint64_t i = 0; status == OK && i < cells && !from->failed; i++)
		status = cell_add(survey, cursor_text(from));
	(void)cursor_varint(&gone);
	for (uint64_t i = 0; status == OK && i < gone_count && !from->failed; i++) {
		struct cursor name = cursor_of(cursor_text(&gone));
		struct survey_line cell = {0};
		bool again = false;
		status = name_take(survey, &name, &cell, &again);
	}
	return status;
}

enum status survey_add(struct survey *survey, struct text checkpoint, struct error *err)
{
	struct cursor from = cursor_of(checkpoint);
	if (checkpoint.size == 0)
		return OK;
	uint8_t version = cursor_u8(&from);
	bool changes = version == CHECKPOINT_CHANGES;
	bool newest = !survey->within;
	(void)cursor_u8(&from); /* virtual partition */
	int64_t watermark_us = cursor_signed(&from);
	if (newest)
		survey->newest_us = watermark_us;
	enum status status =
		!from.failed && (changes || version == CHECKPOINT_WHOLE) ? OK : ECORRUPT;
	if (status == OK)
		refused_add(survey, newest, &from);
	survey->within = survey->within || changes;
	if (status == OK)
		status = cells_add_all(survey, changes, &from);
	if (status == OK && !changes)
		cells_done(&survey->seen);
	survey->within = survey->within && changes;
	if (status == OK && (from.failed || cursor_left(&from) > 0))
		status = ECORRUPT;
	if (status != OK)
		return error_set(err, status,
				 status == ENOMEMORY
					 ? "no memory for a survey"
					 : "a checkpoint is damaged, or of a newer version");
	if (newest && watermark_us < survey->watermark_us)
		survey->watermark_us = watermark_us;
	return OK;
}

void survey_finish(struct survey *survey)
{
	qsort(survey->lines, survey->line_count, sizeof *survey->lines, line_compare);
	qsort(survey->groups, survey->group_count, sizeof *survey->groups, line_compare);
}

void survey_put_group(const struct survey_line *line, struct bytes *to)
{
	struct cursor from = cursor_of(line->group);
	size_t count = line->unit == NULL ? 0 : line->unit->group_by_count;
	if (line->unit != NULL &&
	    unit_is_of_entities(line->unit)) { /* a field and its value already */
		bytes_write(to, line->group);
		return;
	}
	for (size_t i = 0; cursor_left(&from) > 0 && !from.failed; i++) {
		char number[24];
		struct text value = cursor_text(&from);
		(void)snprintf(number, sizeof number, "%zu", i);
		if (value.size == 0)
			continue;
		bytes_put_text(to, i < count ? line->unit->group_by[i].name : text_of(number));
		bytes_put_text(to, value);
	}
}
