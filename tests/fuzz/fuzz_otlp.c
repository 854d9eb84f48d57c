/* Any bytes as a message that is said to be of the OpenTelemetry protocol (protobuf or JSON): every
 * record is accounted for, and what is accepted keeps the invariants of event.h. */
#include <assert.h>
#include <stdlib.h>

#include "ingest/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_event(const struct event *event)
{
	assert(event->owner.size > 0);
	for (size_t i = 0; i < event->field_count; i++) {
		const struct field *field = &event->fields[i];
		assert(field->id == schema_find(field->name));
		assert(field->value.text.size <= EVENT_VALUE_MAX);
		assert(field->id == FIELD_OTHER ||
		       schema_info(field->id)->protection != FIELD_PROVENANCE);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct decoder *decoder; /* making one costs more than using it */
	static struct arena *arena;
	const struct origin origin = {.topic = TEXT("fuzz"), .offset = 7};
	/* A copy of its own size: AddressSanitizer sees the first byte beyond it. */
	char *copy = malloc(size == 0 ? 1 : size);
	assert(copy != NULL);
	memcpy(copy, data, size);
	const struct message message = {.record_time_us = 1795305600000000,
					.payload = {copy, size}};
	enum status status = OK;
	if (decoder == NULL) {
		const struct decoder_options options = {.format = INPUT_NAMED,
							.format_name = TEXT("otlp")};
		status = decoder_new(&options, &decoder, NULL);
		arena = arena_new(256 * 1024 * 1024);
	}
	assert(status == OK && arena != NULL);
	arena_reset(arena);
	status = decoder_begin(decoder, &message, &origin, arena);
	assert(status == OK);
	uint32_t count = 0;
	for (bool more = true; more;) {
		struct decoded record;
		status = decoder_next(decoder, &record, &more);
		assert(status == OK);
		if (!more)
			break;
		assert(record.index == count++);
		if (record.why == ACCEPTED)
			check_event(&record.event);
		else
			assert(record.detail.data != NULL);
	}
	assert(count > 0);
	free(copy);
	return 0;
}
