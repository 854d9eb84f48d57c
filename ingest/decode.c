/* The order of things: split, walk, open the envelope, normalise. Every way out of a record is a
 * struct decoded; a status other than OK is memory of ours. */
#include "ingest/decode.h"

#include <assert.h>
#include <stdlib.h>

#include "ingest/decoder_private.h"

void decoder_free(struct decoder **decoder)
{
	if (*decoder == NULL)
		return;
	json_items_done(&(*decoder)->outer);
	json_items_done(&(*decoder)->inner);
	if ((*decoder)->reader != NULL)
		json_reader_free(&(*decoder)->reader);
	names_free(&(*decoder)->names);
	free((*decoder)->draft);
	free(*decoder);
	*decoder = NULL;
}

enum status decoder_new(const struct decoder_options *options, struct decoder **ret_decoder,
			struct error *err)
{
	struct decoder *decoder cleanup(decoder_free) = calloc(1, sizeof *decoder);
	if (decoder == NULL)
		return error_set(err, ENOMEMORY, "no memory for a decoder");
	decoder->options = *options;
	if (options->future_max_us == 0)
		decoder->options.future_max_us = DECODE_FUTURE_US;
	if (options->past_max_us == 0)
		decoder->options.past_max_us = DECODE_PAST_US;
	decoder->names = names_new();
	decoder->draft = calloc(1, sizeof *decoder->draft);
	if (decoder->names != NULL)
		decoder->reader = json_reader_new(
			&(struct json_options){.keep = names_keep, .context = decoder->names});
	if (decoder->draft == NULL || decoder->reader == NULL)
		return error_set(err, ENOMEMORY, "no memory for a decoder");
	*ret_decoder = TAKE(decoder);
	return OK;
}

static void begin_reject(struct decoder *decoder, enum reject why)
{
	decoder->split = (struct split){.text = decoder->payload,
					.layout = LAYOUT_REJECT,
					.why = why,
					.detail = text_of(reject_text(why))};
}

enum status decoder_begin(struct decoder *decoder, const struct message *message,
			  const struct origin *origin, struct arena *arena)
{
	assert(arena != NULL);
	struct text payload = message->payload;
	decoder->arena = arena;
	decoder->origin = *origin;
	decoder->origin.index = 0;
	decoder->record_time_us = message->record_time_us;
	decoder->payload = payload;
	if (payload.data == NULL || payload.size == 0) {
		begin_reject(decoder, payload.data == NULL ? REJECT_TOMBSTONE : REJECT_EMPTY);
		return OK;
	}
	if (payload.size > DECODE_MESSAGE_MAX) {
		begin_reject(decoder, REJECT_TOO_LARGE);
		return OK;
	}
	char *padded = arena_alloc(arena, payload.size + JSON_PADDING);
	if (padded == NULL) {
		begin_reject(decoder, REJECT_MEMORY);
		return OK;
	}
	memcpy(padded, payload.data, payload.size);
	split_begin(&decoder->split, (struct text){padded, payload.size},
		    decoder->options.format == INPUT_AUTO, arena);
	return OK;
}

/* Bytes that do not begin with {: text, another JSON value, or neither. */
static enum reject classify(struct text record)
{
	size_t end = 0;
	struct json_problem problem = {0};
	if (!json_utf8(record, &end))
		return REJECT_BINARY;
	for (size_t i = 0; i < record.size; i++)
		if ((unsigned char)record.data[i] < 0x20 && !json_blank(record.data[i]) &&
		    record.data[i] != '\033')
			return REJECT_BINARY;
	bool value = json_check(record, &end, &problem) == JSON_OK;
	while (value && end < record.size && json_blank(record.data[end]))
		end++;
	return value && end == record.size ? REJECT_NOT_OBJECT : REJECT_NOT_JSON;
}

/* Walks the record's JSON into decoder->outer. */
static enum reject walk(struct decoder *decoder, struct text record, struct text *ret_detail)
{
	struct json_problem problem = {0};
	enum reject why = REJECT_MEMORY;
	switch (json_walk(decoder->reader, record, decoder->arena, &decoder->outer, &problem)) {
	case JSON_OK:
		return ACCEPTED;
	case JSON_NOT_OBJECT:
		why = classify(record);
		*ret_detail = text_of(reject_text(why));
		return why;
	case JSON_MEMORY:
		*ret_detail = text_of(reject_text(why));
		return why;
	case JSON_NOT_UTF8:
		why = REJECT_NOT_UTF8;
		break;
	case JSON_BROKEN:
		why = REJECT_NOT_JSON;
		break;
	}
	*ret_detail = arena_print(decoder->arena, "%s at byte %zu", problem.detail, problem.offset);
	return why;
}

static enum reject decode_record(struct decoder *decoder, struct text record,
				 struct decoded *decoded)
{
	struct unpacked unpacked = {0};
	enum reject why = walk(decoder, record, &decoded->detail);
	if (why != ACCEPTED)
		return why;
	why = envelope_open(decoder, &unpacked);
	if (why == ACCEPTED)
		why = normalise(decoder, &unpacked, &decoded->event, &decoded->format);
	if (why != ACCEPTED)
		decoded->detail = text_of(reject_text(why));
	return why;
}

enum status decoder_next(struct decoder *decoder, struct decoded *ret_record, bool *ret_more)
{
	struct split *split = &decoder->split;
	enum layout layout = split->layout;
	size_t from = split->at;
	struct text record = {0};
	*ret_more = split_next(split, &record);
	if (!*ret_more)
		return OK;
	assert(split->index <= DECODE_RECORDS_MAX);
	struct decoded decoded = {.index = split->index++, .raw = record, .format = ""};
	decoder->origin.index = decoded.index;
	if (layout == LAYOUT_SINGLE || layout == LAYOUT_REJECT)
		decoded.raw = decoder->payload;
	if (layout == LAYOUT_REJECT) {
		decoded.why = split->why;
		decoded.detail = split->detail;
	} else if (decoded.index == DECODE_RECORDS_MAX) {
		decoded.why = REJECT_TOO_MANY;
		decoded.detail = text_of(reject_text(REJECT_TOO_MANY));
		decoded.raw = text_cut(split->text, from);
		split->layout = LAYOUT_NONE;
	} else {
		decoded.why = decode_record(decoder, record, &decoded);
	}
	*ret_record = decoded;
	return OK;
}
