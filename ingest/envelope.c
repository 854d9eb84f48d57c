/* Node agents put a container's line into an envelope of their own:
 *
 *   Fluent Bit  {"log":"LINE","stream":"stdout","time":"...","kubernetes":{"pod_name":..}}
 *               and, with Merge_Log_Key, the decoded line again under "log_processed"
 *   Docker      {"log":"LINE\n","stream":"stdout","time":"..."}
 *   Vector      {"message":"LINE","kubernetes":{"pod_name":..,"pod_labels":{..}},"timestamp":".."}
 *   Filebeat    {"message":"LINE","kubernetes":{"pod":{"name":..}},"agent":{"type":"filebeat"}}
 *
 * A LINE that is a JSON object is the record; what is around it tells where it came from. A LINE
 * that is text is the message of the event, whose other fields are the envelope's.
 *
 * The line is opened only when the envelope looks undecoded. Once an agent has decoded the line
 * itself, `message` may be what a user typed into the service, and opening it would let that user
 * write fields (CWE-117). The sign of a decoded line: a level, a user, a tenant, an outcome or a
 * source address in the envelope. */
#include "ingest/decoder_private.h"

struct finds {
	const struct json_item *log, *message;
	bool kubernetes, stream, agent, decoded;
};

bool says_decoded(const struct decoder *decoder, const struct json_items *items)
{
	for (size_t i = 0; i < items->count; i++) {
		struct text name = items->items[i].name;
		const struct name_info *info =
			names_find(&decoder->formats->names, name, name_hash(name));
		if (info != NULL && info->decoded)
			return true;
	}
	return false;
}

/* Has it a name as long as `log` or `message`? Most records have none. */
static bool may_hold_line(const struct json_items *items)
{
	for (size_t i = 0; i < items->count; i++)
		if (items->items[i].name.size == 3 || items->items[i].name.size == 7)
			return true;
	return false;
}

/* What an item says about the envelope. */
static void look_at(const struct json_item *item, struct finds *finds)
{
	struct text name = item->name;
	bool string = item->value.type == VALUE_STRING && item->array == 0;
	switch (name.data[0]) {
	case 'a':
		finds->agent |= string && text_equal(name, TEXT("agent.type")) &&
				text_equal(item->value.text, TEXT("filebeat"));
		break;
	case 'k':
		finds->kubernetes |= text_starts(name, TEXT("kubernetes."));
		break;
	case 'l':
		if (string && text_equal(name, TEXT("log")))
			finds->log = item;
		break;
	case 'm':
		if (string && text_equal(name, TEXT("message")))
			finds->message = item;
		break;
	case 's':
		finds->stream |= string && text_equal(name, TEXT("stream"));
		finds->agent |= string && text_equal(name, TEXT("source_type"));
		break;
	default:
		break;
	}
}

static struct finds look(const struct json_items *items)
{
	/* Most names begin with none of the letters that look_at() asks for. */
	static const bool asked[UINT8_MAX + 1] = {
		['a'] = true, ['k'] = true, ['l'] = true, ['m'] = true, ['s'] = true};
	struct finds finds = {0};
	for (size_t i = 0; i < items->count; i++) {
		struct text name = items->items[i].name;
		if (name.size > 0 && asked[(unsigned char)name.data[0]])
			look_at(&items->items[i], &finds);
	}
	return finds;
}

/* The item that holds the line, or NULL when this is no envelope. */
static const struct json_item *line_item(const struct decoder *decoder)
{
	if (!may_hold_line(&decoder->outer))
		return NULL;
	struct finds finds = look(&decoder->outer);
	const struct json_item *line = NULL;
	if (finds.log != NULL && (finds.kubernetes || finds.stream))
		line = finds.log;
	else if (finds.message != NULL && (finds.kubernetes || finds.agent))
		line = finds.message;
	if (line != NULL && says_decoded(decoder, &decoder->outer))
		return NULL;
	return line;
}

static struct text trim(struct text t)
{
	while (t.size > 0 && json_blank(t.data[t.size - 1]))
		t.size--;
	while (t.size > 0 && json_blank(t.data[0]))
		t = text_cut(t, 1);
	return t;
}

enum reject line_open(struct decoder *decoder, struct text line, bool *ret_broken)
{
	char *padded = arena_room(decoder->arena, line.size + JSON_PADDING);
	struct json_problem problem = {0};
	if (padded == NULL)
		return REJECT_MEMORY;
	memcpy(padded, line.data, line.size);
	enum json_result result = json_walk(decoder->reader, (struct text){padded, line.size},
					    decoder->arena, &decoder->inner, &problem);
	*ret_broken = result != JSON_OK;
	return result == JSON_MEMORY ? REJECT_MEMORY : ACCEPTED;
}

enum reject envelope_open(struct decoder *decoder, struct unpacked *ret_unpacked)
{
	struct unpacked unpacked = {.record = &decoder->outer};
	const struct json_item *item = decoder->raw ? NULL : line_item(decoder);
	if (item != NULL) {
		struct text line = trim(item->value.text);
		unpacked =
			(struct unpacked){.envelope = &decoder->outer, .inner = item, .line = line};
		if (line.size > 0 && line.data[0] == '{') {
			enum reject why = line_open(decoder, line, &unpacked.broken);
			if (why != ACCEPTED)
				return why;
			if (!unpacked.broken)
				unpacked.record = &decoder->inner;
		}
	}
	*ret_unpacked = unpacked;
	return ACCEPTED;
}
