/* The order of things: split, walk, open the envelope, normalise. Every way out of a record is a
 * struct decoded; a status other than OK is memory of ours. */
#include "ingest/decode.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "ingest/decoder_private.h"

void decoder_free(struct decoder **decoder)
{
	if (*decoder == NULL)
		return;
	json_items_done(&(*decoder)->outer);
	json_items_done(&(*decoder)->inner);
	json_items_done(&(*decoder)->attributes);
	json_tape_done(&(*decoder)->tape);
	if ((*decoder)->reader != NULL)
		json_reader_free(&(*decoder)->reader);
	formats_free(&(*decoder)->own);
	free((*decoder)->draft);
	free(*decoder);
	*decoder = NULL;
}

void decoder_options_input(struct decoder_options *options, struct text word)
{
	bool automatic = word.size == 0 || text_equal(word, TEXT("auto"));
	options->format_name = automatic ? (struct text){0} : word;
	options->format = INPUT_NAMED;
	if (automatic)
		options->format = INPUT_AUTO;
	else if (text_equal(word, TEXT("raw")))
		options->format = INPUT_RAW;
}

static enum status take_formats(struct decoder *decoder, const struct decoder_options *options,
				struct error *err)
{
	enum status status = OK;
	if (options->formats == NULL)
		status = formats_new(NULL, 0, &decoder->own, err);
	if (status != OK)
		return status;
	decoder->formats = options->formats == NULL ? decoder->own : options->formats;
	size_t otlp = formats_find(decoder->formats, TEXT("otlp"));
	decoder->otlp_format =
		otlp == formats_count(decoder->formats) ? NULL : &decoder->formats->formats[otlp];
	if (options->format != INPUT_NAMED)
		return OK;
	size_t index = formats_find(decoder->formats, options->format_name);
	if (index == formats_count(decoder->formats))
		return error_set(err, EINVALID,
				 "there is no format `%.*s`: see `picket formats list`",
				 TEXT_ARG(options->format_name));
	decoder->given = &decoder->formats->formats[index];
	return OK;
}

/* How a message of the topic is read: as the topic is fixed, else as the options say. */
static void choose_format(struct decoder *decoder, struct text topic)
{
	decoder->named = decoder->given;
	decoder->raw = decoder->options.format == INPUT_RAW;
	for (size_t i = 0; i < decoder->options.topic_count; i++) {
		const struct topic_format *fixed = &decoder->options.topics[i];
		if (!topic_fits(topic, fixed->topic))
			continue;
		size_t index = formats_find(decoder->formats, fixed->format);
		bool known = index < formats_count(decoder->formats);
		decoder->named = known ? &decoder->formats->formats[index] : NULL;
		decoder->raw = !known && text_equal(fixed->format, TEXT("raw"));
		return;
	}
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
	enum status status = take_formats(decoder, options, err);
	if (status != OK)
		return status;
	decoder->draft = calloc(1, sizeof *decoder->draft);
	decoder->keep =
		(struct json_options){.keep = names_keep, .context = &decoder->formats->names};
	decoder->reader = json_reader_new(&decoder->keep);
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
	choose_format(decoder, origin->topic);
	if (payload.data == NULL || payload.size == 0) {
		begin_reject(decoder, payload.data == NULL ? REJECT_TOMBSTONE : REJECT_EMPTY);
		return OK;
	}
	if (payload.size > DECODE_MESSAGE_MAX) {
		begin_reject(decoder, REJECT_TOO_LARGE);
		return OK;
	}
	char *padded = arena_room(arena, payload.size + JSON_PADDING);
	if (padded == NULL) {
		begin_reject(decoder, REJECT_MEMORY);
		return OK;
	}
	memcpy(padded, payload.data, payload.size);
	if (!otlp_begin(decoder, (struct text){padded, payload.size}))
		split_begin(&decoder->split, (struct text){padded, payload.size}, arena);
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
	enum reject why = ACCEPTED;
	if (!syslog_read(decoder, record, &unpacked, &why)) {
		why = walk(decoder, record, &decoded->detail);
		if (why != ACCEPTED)
			return why;
		why = envelope_open(decoder, &unpacked);
	}
	if (why == ACCEPTED)
		why = normalise(decoder, &unpacked, decoded);
	if (why != ACCEPTED)
		decoded->detail = text_of(reject_text(why));
	return why;
}

/* The same for a message of the OpenTelemetry protocol; one without a record is one reject. */
static void next_otlp(struct decoder *decoder, struct decoded *ret_record, bool *ret_more)
{
	struct split *split = &decoder->split;
	struct unpacked unpacked = {0};
	struct decoded decoded = {.format = ""};
	bool more = otlp_next(decoder, &unpacked, &decoded.raw, &decoded.why);
	*ret_more = more || split->index == 0;
	if (!*ret_more)
		return;
	decoded.index = decoder->origin.index = split->index++;
	if (!more || decoded.index == DECODE_RECORDS_MAX) {
		decoded.why = more ? REJECT_TOO_MANY : REJECT_EMPTY;
		decoded.raw = decoder->payload;
		split->layout = LAYOUT_NONE;
	}
	if (decoded.why == ACCEPTED)
		decoded.why = normalise(decoder, &unpacked, &decoded);
	if (decoded.why != ACCEPTED)
		decoded.detail = text_of(reject_text(decoded.why));
	decoded.whole = false; /* what the protocol's schema does not name has been passed over */
	*ret_record = decoded;
}

enum status decoder_next(struct decoder *decoder, struct decoded *ret_record, bool *ret_more)
{
	struct split *split = &decoder->split;
	enum layout layout = split->layout;
	if (layout == LAYOUT_OTLP) {
		next_otlp(decoder, ret_record, ret_more);
		return OK;
	}
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

void stream_formats_count(struct stream_formats *formats, const char *name)
{
	for (size_t i = 0; i < STREAM_FORMATS_MAX; i++) {
		if (formats->formats[i].name[0] == '\0')
			(void)snprintf(formats->formats[i].name, STREAM_FORMAT_NAME_MAX, "%s",
				       name);
		if (strcmp(formats->formats[i].name, name) == 0) {
			formats->formats[i].records++;
			return;
		}
	}
	formats->beyond++;
}
