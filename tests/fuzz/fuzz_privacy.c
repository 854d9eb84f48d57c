/* Any bytes as the values of an event: afterwards no detector finds anything in any of them, and
 * the filter in front of the detectors has let none through. */
#include <assert.h>
#include <stdint.h>

#include "ingest/privacy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add(struct event *event, struct arena *arena, struct text name, struct text value)
{
	assert(event_add(event, arena, name, (struct value){.type = VALUE_STRING, .text = value}) ==
	       OK);
}

static void check_clean(struct text name, struct text value)
{
	struct secret_span span = {0};
	assert(!secret_find(name, value, 0, &span));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct privacy_options options = {.key = {"sixteen bytes ok", 16}};
	static struct privacy *privacy; /* compiling the literals costs more than all the rest */
	static struct privacy_scratch *scratch;
	static struct arena *arena;
	struct privacy_counts counts = {0};
	struct event event = {0};
	struct text all = {(const char *)data, size < 4096 ? size : 4096};
	size_t half = all.size / 2;
	if (privacy == NULL) {
		arena = arena_new(64 << 20);
		assert(privacy_new(&options, &privacy, NULL) == OK);
		assert(privacy_scratch_new(privacy, &scratch, NULL) == OK);
	}
	arena_reset(arena);
	struct text name = {all.data, half < 64 ? half : 64};
	add(&event, arena, TEXT("a"), all);
	add(&event, arena, TEXT("card"), text_cut(all, half));
	add(&event, arena, name, text_cut(all, half));
	assert(privacy_event(privacy, scratch, arena, &event, &counts) == OK);
	size_t logged = event.field_count < 3 ? event.field_count : 3;
	for (size_t i = 0; i < logged; i++)
		check_clean(event.fields[i].name, event.fields[i].value.text);
	struct text raw = privacy_raw(privacy, scratch, arena, all);
	check_clean(TEXT(""), raw);
	return 0;
}
