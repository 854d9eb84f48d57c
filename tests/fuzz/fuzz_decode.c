/* Any bytes as a message: the decoder must account for them, keep the invariants of event.h, and
 * json_walk() and json_check() must agree. The first byte chooses the options.
 *
 * Decoders and arenas are made once and used for all inputs, as a worker uses its own: that is many
 * times faster, and what one message leaves behind must not be seen by the next. */
#include <assert.h>
#include <stdlib.h>

#include "ingest/decode.h"
#include "ingest/format.h"
#include "ingest/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_event(const struct event *event)
{
	assert(event->field_count <= EVENT_LOGGED_MAX);
	assert(event->owner.size > 0 && event->owner.size <= EVENT_NAME_MAX);
	assert(event->quality >> QUALITY_COUNT == 0);
	for (size_t i = 0; i < event->field_count; i++) {
		const struct field *field = &event->fields[i];
		assert(field->id == schema_find(field->name));
		assert(field->name.size <= EVENT_NAME_MAX + 32);
		assert(field->value.text.size <= EVENT_VALUE_MAX);
		assert(field->id == FIELD_OTHER ||
		       schema_info(field->id)->protection != FIELD_PROVENANCE);
	}
	struct bytes json cleanup(bytes_done) = {0};
	event_json(event, &json);
	size_t end = 0;
	struct json_problem problem = {0};
	assert(!json.failed && json_check(bytes_text(&json), &end, &problem) == JSON_OK);
	assert(end == json.size);
}

/* The decoder with these options: the first two bits the input, then three flags. */
static struct decoder *decoder_of(uint8_t choice)
{
	static struct formats *formats;
	static struct decoder *decoders[32];
	struct decoder **decoder = &decoders[choice % 32];
	enum status status = formats == NULL ? formats_new(NULL, 0, &formats, NULL) : OK;
	assert(status == OK);
	const struct decoder_options options = {
		.formats = formats,
		.format = (enum input_format)(choice % 4 % 3),
		.format_name = TEXT("ecs"),
		.time_trusted = choice & 4,
		.time_line_number = choice & 8,
		.time_field = choice & 16 ? TEXT("t") : (struct text){0},
	};
	if (*decoder == NULL)
		status = decoder_new(&options, decoder, NULL);
	assert(status == OK);
	return *decoder;
}

static void decode(struct text payload, uint8_t choice)
{
	const struct origin origin = {.topic = TEXT("fuzz"), .offset = 7};
	const struct message message = {.record_time_us = 1795305600000000, .payload = payload};
	static struct arena *arena;
	struct decoder *decoder = decoder_of(choice);
	if (arena == NULL)
		arena = arena_new(64 * 1024 * 1024);
	assert(arena != NULL);
	arena_reset(arena);
	enum status status = decoder_begin(decoder, &message, &origin, arena);
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
			assert(reject_name(record.why) != NULL && record.detail.data != NULL);
	}
	assert(count > 0);
}

/* A tape is made of what json_check() accepts; each of its nodes is a value that ends where it
 * says, and whatever it holds lies in it. */
static void check_tape(struct text text)
{
	static struct json_tape tape;
	struct json_problem problem = {0};
	size_t end = 0;
	size_t indexed_end = 0;
	enum json_result checked = json_check(text, &end, &problem);
	assert(json_index(text, &tape, &indexed_end, &problem) == checked);
	assert(checked != JSON_OK || (indexed_end == end && tape.nodes[1].next == tape.count));
	for (uint32_t i = 1; checked == JSON_OK && i < tape.count; i++) {
		const struct json_node *node = &tape.nodes[i];
		struct text value = {text.data + node->begin, node->size};
		assert(node->next > i && node->next <= tape.count);
		assert(node->begin + node->size <= end);
		for (uint32_t in = i + 1; in < node->next; in = tape.nodes[in].next)
			assert(tape.nodes[in].begin > node->begin &&
			       tape.nodes[in].begin + tape.nodes[in].size <
				       node->begin + node->size);
		if (i <= 64) /* all of them would be the square of a nesting bomb */
			assert(json_check(value, &indexed_end, &problem) == JSON_OK &&
			       indexed_end == value.size);
	}
}

static void check_verdicts(struct text text)
{
	static struct arena *arena;
	static struct json_reader *reader;
	static struct json_items items;
	if (reader == NULL) {
		arena = arena_new(64 * 1024 * 1024);
		reader = json_reader_new(&(struct json_options){0});
	}
	assert(reader != NULL && arena != NULL);
	arena_reset(arena);
	char *padded = arena_alloc(arena, text.size + JSON_PADDING);
	assert(padded != NULL);
	if (text.size > 0)
		memcpy(padded, text.data, text.size);
	text.data = padded;
	struct json_problem problem = {0};
	enum json_result result = json_walk(reader, text, arena, &items, &problem);
	size_t end = 0;
	size_t offset = 0;
	bool good = json_check(text, &end, &problem) == JSON_OK && text.data[0] == '{';
	while (good && end < text.size && json_blank(text.data[end]))
		end++;
	good = good && end == text.size && json_utf8(text, &offset);
	assert(good == (result == JSON_OK));
	check_tape(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	/* A copy of its own size: AddressSanitizer sees the first byte beyond it. */
	char *copy = malloc(size == 1 ? 1 : size - 1);
	assert(copy != NULL);
	memcpy(copy, data + 1, size - 1);
	struct text payload = {copy, size - 1};
	decode(payload, data[0]);
	check_verdicts(payload);
	free(copy);
	return 0;
}
