/* From flat names and values to an event (stop 3 of the journey).
 *
 *   1 each value is put under its canonical name; provenance the payload claims is left out
 *   2 the format is recognised, the time is found and held against the record's own time
 *   3 the format's rows fill the fields of the schema that are still missing
 *   4 plain lines and pod names are read for what nothing else has said
 *   5 owner and log source are stamped, limits applied
 *
 * Raw input (`raw`) stops after 1 and the time: fields exactly as in the file, apart from the
 * aliases of schema.def, which rules go through as well. */
#include <assert.h>

#include "ingest/decoder_private.h"

_Static_assert((int)JSON_DEPTH_MAX == (int)EVENT_DEPTH_MAX &&
		       (int)JSON_NAME_MAX == (int)EVENT_NAME_MAX &&
		       (int)JSON_ITEMS_MAX == (int)EVENT_LOGGED_MAX,
	       "the limits of json.h are those of event.h");

struct work {
	struct decoder *decoder;
	struct draft *draft;
	struct mapping mapping;
	const struct format *envelope;  /* of mapping.format, or NULL */
	struct draft_field *time_field; /* of --time-field */
	bool raw;
	bool otlp;
	bool line_opened; /* the record is the JSON of an envelope's line */
};

/* Cuts to EVENT_VALUE_MAX, but never inside a character. */
static struct text value_cut(struct draft *draft, struct text t)
{
	if (t.size <= EVENT_VALUE_MAX)
		return t;
	t.size = EVENT_VALUE_MAX;
	while (t.size > 0 && ((unsigned char)t.data[t.size] & 0xc0) == 0x80)
		t.size--;
	draft->quality |= QUALITY_VALUE;
	draft->lost = true;
	return t;
}

/* A value as it may be kept: itself, or cut, in *room. Nearly all are themselves, and not copied.
 */
static const struct value *value_fit(struct draft *draft, const struct value *value,
				     struct value *room)
{
	if (value->text.size <= EVENT_VALUE_MAX)
		return value;
	*room = *value;
	room->text = value_cut(draft, value->text);
	return room;
}

/* Names only picket may set: a payload that could claim them could claim to be another tenant. */
static bool is_provenance(struct text name, enum field_id id)
{
	if (id != FIELD_OTHER)
		return schema_info(id)->protection == FIELD_PROVENANCE;
	return name.size > 0 && (name.data[0] == 'p' || name.data[0] == 'l') &&
	       (text_starts(name, TEXT("picket.src.")) ||
		text_starts(name, TEXT("picket.bound.")) ||
		text_starts(name, TEXT("picket.claimed.")) ||
		text_starts(name, TEXT("picket.secret.")) ||
		text_starts(name, TEXT("picket.threat.")) ||
		text_starts(name, TEXT("picket.quality")) || text_starts(name, TEXT("logsource.")));
}

/* The one name of a pod label, whatever the agent calls it; data == NULL: out of memory. */
static struct text label_name(struct arena *arena, struct text name)
{
	static const struct text prefixes[] = {{"kubernetes.labels.", 18},
					       {"kubernetes.pod_labels.", 22}};
	const struct text prefix = TEXT("k8s.pod.label.");
	for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
		if (text_starts(name, prefixes[i])) {
			struct text label = text_cut(name, prefixes[i].size);
			char *made = arena_alloc(arena, prefix.size + label.size);
			if (made == NULL)
				return (struct text){0};
			memcpy(made, prefix.data, prefix.size);
			memcpy(made + prefix.size, label.data, label.size);
			return (struct text){made, prefix.size + label.size};
		}
	return name;
}

/* Puts a value under the canonical name of its source; NULL when it lost to another, or must not
 * be.
 */
static struct draft_field *put_value(struct work *work, struct text source, struct draft_name *name,
				     const struct value *value)
{
	const struct formats *formats = work->mapping.formats;
	name->hash = name_hash(source);
	const struct name_info *info = names_find(&formats->names, source, name->hash);
	name->id = info == NULL ? FIELD_OTHER : info->id;
	name->name = name->id == FIELD_OTHER ? source : schema_info(name->id)->name;
	name->source = source;
	if (is_provenance(source, name->id)) {
		work->draft->quality |= QUALITY_PROVENANCE;
		work->draft->lost = true;
		return NULL;
	}
	struct draft_field *field = draft_put(work->draft, name, value);
	if (field == NULL || info == NULL || work->raw)
		return field;
	if (info->source != 0)
		seen_source(work->mapping.seen, info->source - 1u, work->draft->count);
	if (info->mark != 0 && !name->agent) /* the envelope is not the record */
		seen_mark(formats, work->mapping.seen, info, value);
	return field;
}

static enum reject put_item(struct work *work, const struct json_item *item, bool agent)
{
	static const struct text processed = {"log_processed.", 14};
	struct text source = item->name;
	if (agent && text_starts(source, processed)) {
		if (work->line_opened) { /* the line itself has been read */
			work->draft->lost = true;
			return ACCEPTED;
		}
		source = text_cut(source, processed.size);
		agent = false;
	}
	if (!work->raw && text_starts(source, TEXT("kubernetes."))) {
		source = label_name(work->decoder->arena, source);
		if (source.data == NULL)
			return REJECT_MEMORY;
	}
	struct draft_name name = {.array = item->array, .nested = item->nested, .agent = agent};
	struct value room;
	struct draft_field *field =
		put_value(work, source, &name, value_fit(work->draft, &item->value, &room));
	const struct text wanted = work->decoder->options.time_field;
	if (field != NULL && wanted.size > 0 && text_equal(item->name, wanted))
		work->time_field = field;
	return ACCEPTED;
}

static enum reject put_items(struct work *work, const struct json_items *items,
			     const struct json_item *without, bool agent)
{
	static const struct {
		uint32_t flag, quality;
	} flags[] = {{JSON_CUT_ITEMS, QUALITY_FIELDS},
		     {JSON_CUT_DEPTH, QUALITY_DEPTH},
		     {JSON_BAD_NAME, QUALITY_NAME}};
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
		if ((items->flags & flags[i].flag) != 0)
			work->draft->quality |= flags[i].quality;
	if ((items->flags & (JSON_CUT_ITEMS | JSON_BAD_NAME)) != 0)
		work->draft->lost = true;
	enum reject why = ACCEPTED;
	for (size_t i = 0; i < items->count && why == ACCEPTED; i++)
		if (&items->items[i] != without)
			why = put_item(work, &items->items[i], agent);
	return why;
}

static enum reject put_all(struct work *work, const struct unpacked *unpacked)
{
	struct draft *draft = work->draft;
	enum reject why = ACCEPTED;
	if (unpacked->record != NULL) {
		why = put_items(work, unpacked->record, NULL, false);
	} else {
		const struct field_info *message = schema_info(FIELD_MESSAGE);
		const struct draft_name name = {
			.name = message->name, .source = message->name, .id = FIELD_MESSAGE};
		const struct value line = {.type = VALUE_STRING,
					   .text = value_cut(draft, unpacked->line)};
		(void)draft_put(draft, &name, &line);
	}
	if (unpacked->broken)
		draft->quality |= QUALITY_INNER;
	if (why == ACCEPTED && unpacked->envelope != NULL)
		why = put_items(work, unpacked->envelope, unpacked->inner, true);
	return why;
}

/* Raw input: @timestamp, timestamp or time, left as they are. */
static bool raw_time(struct draft *draft, int64_t *ret_time_us)
{
	static const struct text names[] = {{"timestamp", 9}, {"time", 4}};
	const struct draft_field *stamp = draft_get(draft, FIELD_TIMESTAMP);
	if (stamp != NULL && time_of_value(&stamp->field.value, ret_time_us))
		return true;
	for (size_t k = 0; k < sizeof names / sizeof *names; k++)
		for (uint32_t i = 0; i < draft->count; i++)
			if (!draft->fields[i].dead &&
			    text_equal(draft->fields[i].source, names[k]) &&
			    time_of_value(&draft->fields[i].field.value, ret_time_us))
				return true;
	return false;
}

static bool find_time(struct work *work, int64_t *ret_time_us)
{
	const struct draft_field *field = work->time_field;
	if (field != NULL && time_of_value(&field->field.value, ret_time_us))
		return true;
	if (work->raw)
		return raw_time(work->draft, ret_time_us);
	struct mapping around = work->mapping;
	around.format = work->envelope;
	return format_time(&work->mapping, false, ret_time_us) ||
	       (work->envelope != NULL && format_time(&around, false, ret_time_us)) ||
	       format_time(&work->mapping, true, ret_time_us);
}

/* The event's time: the log's own, if it can be believed. */
static int64_t settle_time(struct work *work)
{
	const struct decoder_options *options = &work->decoder->options;
	int64_t record_us = work->decoder->record_time_us;
	int64_t time_us = 0;
	if (!find_time(work, &time_us)) {
		work->draft->quality |= QUALITY_TIME_MISSING;
		return options->time_line_number ? work->decoder->origin.offset * 1000000
						 : record_us;
	}
	if (options->time_trusted)
		return time_us;
	if (time_us > record_us && time_us - record_us > options->future_max_us) {
		work->draft->quality |= QUALITY_TIME_FUTURE;
		return record_us;
	}
	if (time_us < record_us && record_us - time_us > options->past_max_us) {
		work->draft->quality |= QUALITY_TIME_PAST;
		return record_us;
	}
	return time_us;
}

/* Whose event it is. A tenant given twice: the last one wins, as in a JSON parser. */
static struct text owner_of(struct draft *draft)
{
	const struct draft_field *tenant = draft_get(draft, FIELD_TENANT_ID);
	struct text owner = tenant == NULL ? TEXT("-") : tenant->field.value.text;
	if (owner.size > EVENT_NAME_MAX) { /* it becomes part of every key */
		owner.size = EVENT_NAME_MAX;
		draft->quality |= QUALITY_VALUE;
	}
	return owner.size == 0 ? TEXT("-") : owner;
}

/* What is below the prefix of an envelope such as CloudEvents' `data` is the record: it gets the
 * names it would have without it. */
static void unwrap(struct work *work, struct text prefix)
{
	struct draft *draft = work->draft;
	for (uint32_t i = 0, count = draft->count; i < count; i++) {
		struct draft_field *field = &draft->fields[i];
		if (field->dead || field->agent || !text_starts(field->source, prefix) ||
		    field->source.size == prefix.size)
			continue;
		struct draft_name name = {.array = field->array};
		if (put_value(work, text_cut(field->source, prefix.size), &name,
			      &field->field.value) != NULL)
			draft_remove(draft, field);
	}
}

/* Which format it is. An envelope is opened, and what is in it recognised. */
static void recognise(struct work *work)
{
	const struct mapping *mapping = &work->mapping;
	const struct format *format = work->decoder->named;
	if (format == NULL || work->otlp)
		format = format_recognise(mapping->formats, mapping->seen, NULL);
	if (work->otlp && format->alternative_count == 0 && work->decoder->otlp_format != NULL)
		format = work->decoder->otlp_format;
	if (format->unwrap.size > 0) {
		work->envelope = format;
		unwrap(work, format->unwrap);
		format = format_recognise(mapping->formats, mapping->seen, format);
	}
	work->mapping.format = format;
}

/* Steps 2 to 4 for a record that is not raw; returns the word of its format. An envelope's rows
 * come first: its names are its own, what is left is for the usual names. */
static const char *map_record(struct work *work, const struct unpacked *unpacked,
			      struct event *event)
{
	struct mapping *mapping = &work->mapping;
	recognise(work);
	const struct format *format = mapping->format;
	event->time_us = settle_time(work);
	if (work->envelope != NULL) {
		mapping->format = work->envelope;
		format_map(mapping);
		mapping->format = format;
	}
	format_map(mapping);
	if (unpacked->record == NULL)
		plain_line_read(work->draft, unpacked->line);
	pod_name_read(work->draft);
	event->logsource = format_logsource(mapping, &work->decoder->options.logsource);
	bool plain = format->alternative_count == 0;
	return plain && work->envelope != NULL ? work->envelope->name : format->name;
}

/* Where each field of the event comes from; NULL: no memory. */
static const struct field_source *explain(const struct decoder *decoder, const struct event *event)
{
	struct field_source *sources =
		arena_alloc(decoder->arena, (event->field_count + 1) * sizeof *sources);
	for (size_t i = 0; sources != NULL && i < event->field_count; i++) {
		const struct draft_field *field = &decoder->draft->fields[decoder->draft->kept[i]];
		const struct row *row = field->by;
		sources[i] = (struct field_source){.name = field->source, .envelope = field->agent};
		if (row != NULL)
			sources[i] = (struct field_source){.name = row->source_name,
							   .file = row->at.file,
							   .line = row->at.line};
	}
	return sources;
}

enum reject normalise(struct decoder *decoder, const struct unpacked *unpacked,
		      struct decoded *ret_decoded)
{
	struct draft *draft = decoder->draft;
	struct work work = {.decoder = decoder,
			    .draft = draft,
			    .mapping = {.formats = decoder->formats,
					.draft = draft,
					.seen = &decoder->seen,
					.arena = decoder->arena}};
	work.raw = decoder->raw;
	work.otlp = unpacked->otlp;
	work.line_opened = unpacked->record == &decoder->inner;
	draft_begin(draft);
	seen_begin(&decoder->seen);
	draft->keep_spellings = work.raw;
	if (put_all(&work, unpacked) != ACCEPTED)
		return REJECT_MEMORY;

	struct event event = {.origin = decoder->origin,
			      .record_time_us = decoder->record_time_us,
			      .logsource = decoder->options.logsource};
	const char *format = "raw";
	if (work.raw)
		event.time_us = settle_time(&work);
	else
		format = map_record(&work, unpacked, &event);
	event.owner = owner_of(draft);
	if (work.mapping.failed || draft_finish(draft, decoder->arena, &event) != OK)
		return REJECT_MEMORY;
	event.quality = draft->quality;
	assert(event.field_count <= EVENT_LOGGED_MAX);
	const struct field_source *sources = NULL;
	if (decoder->options.explain && (sources = explain(decoder, &event)) == NULL)
		return REJECT_MEMORY;
	ret_decoded->event = event;
	ret_decoded->format = format;
	ret_decoded->whole = !draft->lost;
	ret_decoded->sources = sources;
	return ACCEPTED;
}
