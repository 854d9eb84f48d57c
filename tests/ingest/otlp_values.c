/* otlp_values: what the decoder reads in messages of the OpenTelemetry protocol (protobuf), for
 * otlp_oracle.py to hold against another reader of protobuf.
 *
 * In: messages, each behind its size in four bytes, lowest first. Out: one line of JSON a message,
 * the word of its reject as a whole, or of every record what became of it and its values in order:
 *
 *     "broken_otlp"
 *     [["", [["service.name", 4, "cart"]], [["body", 4, "hello"], ["n", 2, "5"]]], ["not_utf8"]]
 *
 * that is the envelope (resource and scope) and the record: name, enum value_type, text. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "ingest/decoder_private.h"

static void put(struct bytes *to, const char *text)
{
	bytes_put(to, text, strlen(text));
}

static void put_items(struct bytes *to, const struct json_items *items)
{
	char number[16];
	put(to, ", [");
	for (size_t i = 0; i < items->count; i++) {
		const struct json_item *item = &items->items[i];
		put(to, i == 0 ? "[" : ", [");
		json_put_string(to, item->name);
		(void)snprintf(number, sizeof number, ", %d, ", (int)item->value.type);
		put(to, number);
		json_put_string(to, item->value.text);
		put(to, "]");
	}
	put(to, "]");
}

static void put_records(struct bytes *to, struct otlp *otlp)
{
	struct text raw = {0};
	enum reject why = ACCEPTED;
	put(to, "[");
	for (bool first = true; otlp_proto_next(otlp, &raw, &why); first = false) {
		put(to, first ? "[" : ", [");
		json_put_string(to, why == ACCEPTED ? TEXT("") : text_of(reject_name(why)));
		if (why == ACCEPTED) {
			put_items(to, otlp->envelope.items);
			put_items(to, otlp->record.items);
		}
		put(to, "]");
	}
	put(to, "]");
}

static void answer(struct decoder *decoder, struct arena *arena, struct text payload)
{
	const struct origin origin = {.topic = TEXT("oracle"), .offset = 1};
	const struct message message = {.record_time_us = 1795305600000000, .payload = payload};
	struct bytes line cleanup(bytes_done) = {0};
	arena_reset(arena);
	enum status status = decoder_begin(decoder, &message, &origin, arena);
	assert(status == OK);
	if (decoder->split.layout == LAYOUT_OTLP) {
		assert(decoder->otlp.binary);
		put_records(&line, &decoder->otlp);
	} else {
		assert(decoder->split.layout == LAYOUT_REJECT);
		json_put_string(&line, text_of(reject_name(decoder->split.why)));
	}
	put(&line, "\n");
	assert(!line.failed);
	size_t written = fwrite(line.data, 1, line.size, stdout);
	assert(written == line.size);
}

int main(void)
{
	const struct decoder_options options = {.format = INPUT_NAMED, .format_name = TEXT("otlp")};
	struct arena *arena = arena_new(64 * 1024 * 1024);
	struct decoder *decoder = NULL;
	unsigned char head[4];
	enum status status = decoder_new(&options, &decoder, NULL);
	assert(arena != NULL && status == OK);
	while (fread(head, 1, sizeof head, stdin) == sizeof head) {
		size_t size = head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 |
			      (size_t)head[3] << 24;
		char *message = malloc(size == 0 ? 1 : size); /* of its own size, for ASan */
		assert(message != NULL);
		size_t got = fread(message, 1, size, stdin);
		assert(got == size);
		answer(decoder, arena, (struct text){message, size});
		free(message);
	}
	decoder_free(&decoder);
	arena_free(&arena);
	return EXIT_SUCCESS;
}
