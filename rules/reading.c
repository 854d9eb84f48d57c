#include "rules/reading_private.h"

#include <assert.h>
#include <stdlib.h>

#include "rules/fold.h"
#include "rules/number.h"
#include "rules/program_private.h"

/* Values are at most EVENT_VALUE_MAX each; the mended, folded and normal copies are at most three
 * times as large. */
enum { READING_BYTES_MAX = 1 << 30 };

enum status reading_new(const struct program *program, struct reading *ret_reading)
{
	size_t slots = program->slot_count;
	struct reading reading = {
		.program = program,
		.arena = arena_new(READING_BYTES_MAX),
		.views = calloc(EVENT_FIELDS_MAX, sizeof *reading.views),
		.first = calloc(slots, sizeof *reading.first),
		.last = calloc(slots, sizeof *reading.last),
		.slots = calloc(slots, sizeof *reading.slots),
		.regex_scratch = regex_scratch_new(),
	};
	bool complete = reading.arena != NULL && reading.views != NULL && reading.first != NULL &&
			reading.last != NULL && reading.slots != NULL &&
			reading.regex_scratch != NULL;
	if (!complete) {
		reading_done(&reading);
		return ENOMEMORY;
	}
	for (size_t i = 0; i < slots; i++)
		reading.first[i] = VIEW_NONE;
	*ret_reading = reading;
	return OK;
}

void reading_done(struct reading *reading)
{
	for (size_t i = 0; reading->linears != NULL && i < reading->program->check_count; i++)
		linear_free(&reading->linears[i]);
	free(reading->linears);
	linear_scratch_free(&reading->linear_scratch);
	regex_scratch_free(&reading->regex_scratch);
	arena_free(&reading->arena);
	free(reading->views);
	free(reading->first);
	free(reading->last);
	free(reading->slots);
	*reading = (struct reading){0};
}

void reading_open(struct reading *reading, const struct event *event)
{
	assert(event->field_count <= EVENT_FIELDS_MAX);
	for (size_t i = 0; i < reading->slot_count; i++)
		reading->first[reading->slots[i]] = VIEW_NONE;
	reading->slot_count = 0;
	reading->event = event;
	reading->status = OK;
	arena_reset(reading->arena);
	for (uint32_t i = 0; i < event->field_count; i++) {
		uint32_t slot = program_slot(reading->program, &event->fields[i]);
		reading->views[i] = (struct view){
			.value = &event->fields[i].value, .slot = slot, .next = VIEW_NONE};
		if (slot == SLOT_NONE)
			continue;
		if (reading->first[slot] == VIEW_NONE) {
			reading->first[slot] = i;
			reading->slots[reading->slot_count++] = slot;
		} else {
			reading->views[reading->last[slot]].next = i;
		}
		reading->last[slot] = i;
	}
}

/* A real as digits: as written when it is an integer beyond 64 bits, which a double cannot hold. */
static struct text real_text(struct reading *reading, const struct value *value)
{
	bool whole = value->text.size > 0;
	for (size_t i = 0; i < value->text.size; i++)
		whole = whole && ((value->text.data[i] >= '0' && value->text.data[i] <= '9') ||
				  (i == 0 && value->text.data[i] == '-'));
	if (whole)
		return value->text;
	char buffer[NUMBER_PRINT_MAX];
	return arena_copy(reading->arena, number_print(value->real, buffer));
}

struct text view_text(struct reading *reading, struct view *view)
{
	if (view->has_text)
		return view->text;
	const struct value *value = view->value;
	struct text text = value->text;
	if (value->type == VALUE_BOOLEAN)
		text = value->boolean ? TEXT("true") : TEXT("false");
	if (value->type == VALUE_REAL)
		text = real_text(reading, value);
	view->is_ascii = utf8_is_ascii(text);
	if (!view->is_ascii)
		text = utf8_mend(text, reading->arena);
	if (text.data == NULL) {
		if (text.size > 0)
			reading->status = ENOMEMORY;
		text = TEXT("");
	}
	view->text = text;
	view->has_text = true;
	return text;
}

struct text view_folded(struct reading *reading, struct view *view)
{
	if (view->has_folded)
		return view->folded;
	struct text text = view_text(reading, view);
	view->folded = fold_copy(text, reading->arena);
	if (view->folded.data == NULL) {
		reading->status = ENOMEMORY;
		view->folded = TEXT("");
	}
	view->has_folded = true;
	return view->folded;
}

struct text view_normal(struct reading *reading, struct view *view)
{
	if (view->has_normal)
		return view->normal;
	struct text normal = scanner_text(view_folded(reading, view), reading->arena);
	if (normal.data == NULL) {
		reading->status = ENOMEMORY;
		normal.size = 0;
	}
	view->normal = normal;
	view->has_normal = true;
	return view->normal;
}
