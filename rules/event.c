#include "rules/event.h"

#include <assert.h>

#include "rules/utf8.h"

static const char *const quality_names[QUALITY_COUNT] = {
	"duplicate_key",   "time_missing", "time_future",     "time_past",  "fields_truncated",
	"value_truncated", "depth",        "bad_name",        "provenance", "inner_not_json",
	"spoofed",         "secret",       "rules_truncated",
};

const char *quality_name(enum quality one)
{
	unsigned bit = (unsigned)__builtin_ctz((unsigned)one);
	assert(bit < QUALITY_COUNT);
	return quality_names[bit];
}

int origin_compare(const struct origin *a, const struct origin *b)
{
	int order = text_compare(a->topic, b->topic);
	if (order != 0)
		return order;
	if (a->partition != b->partition)
		return a->partition < b->partition ? -1 : 1;
	if (a->offset != b->offset)
		return a->offset < b->offset ? -1 : 1;
	return (a->index > b->index) - (a->index < b->index);
}

enum status event_add_fields(struct event *event, struct arena *arena, const struct field *fields,
			     size_t count)
{
	size_t needed = event->field_count + count;
	if (needed > EVENT_FIELDS_MAX)
		return ELIMIT;
	if (needed > event->field_capacity) {
		size_t capacity = event->field_capacity == 0 ? 32 : event->field_capacity * 2;
		capacity = capacity < needed ? needed : capacity;
		struct field *grown = arena_room(arena, capacity * sizeof *grown);
		if (grown == NULL)
			return ENOMEMORY;
		if (event->field_count > 0)
			memcpy(grown, event->fields, event->field_count * sizeof *grown);
		event->fields = grown;
		event->field_capacity = capacity;
	}
	if (count > 0)
		memcpy(&event->fields[event->field_count], fields, count * sizeof *fields);
	event->field_count = needed;
	return OK;
}

enum status event_add(struct event *event, struct arena *arena, struct text name,
		      struct value value)
{
	const struct field field = {.name = name, .id = schema_find(name), .value = value};
	return event_add_fields(event, arena, &field, 1);
}

enum status event_add_known(struct event *event, struct arena *arena, enum field_id id,
			    struct value value)
{
	assert(id != FIELD_OTHER);
	const struct field field = {.name = schema_info(id)->name, .id = id, .value = value};
	return event_add_fields(event, arena, &field, 1);
}

const struct value *event_get(const struct event *event, enum field_id id)
{
	assert(id != FIELD_OTHER);
	for (size_t i = 0; i < event->field_count; i++)
		if (event->fields[i].id == id)
			return &event->fields[i].value;
	return NULL;
}

struct text event_text(const struct event *event, enum field_id id)
{
	const struct value *value = event_get(event, id);
	return value == NULL ? (struct text){0} : value->text;
}

enum status event_as_read(const struct event *event, struct arena *arena, struct event *ret_event)
{
	static_assert((int)QUALITY_COUNT <= (int)EVENT_RULES_MAX);
	struct event read = *event;
	enum status status = OK;
	read.field_capacity = read.field_count; /* the array is the event's */
	for (uint32_t left = event->quality; status == OK && left != 0; left &= left - 1) {
		enum quality one = (enum quality)(left & -left);
		status = event_add_known(
			&read, arena, FIELD_QUALITY,
			(struct value){.type = VALUE_STRING, .text = text_of(quality_name(one))});
	}
	assert(status != ELIMIT); /* it takes the room of the detections, which come later */
	if (status == OK)
		*ret_event = read;
	return status;
}

static void json_put_escape(struct bytes *to, unsigned char c)
{
	static const char digits[] = "0123456789abcdef";
	static const char shorts[0x20] = {
		['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
	char out[6] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};
	size_t size = sizeof out;
	if (c == '"' || c == '\\' || (c < sizeof shorts && shorts[c] != 0)) {
		out[1] = c == '"' || c == '\\' ? (char)c : shorts[c];
		size = 2;
	}
	bytes_put(to, out, size);
}

void json_put_string(struct bytes *to, struct text value)
{
	bytes_put_u8(to, '"');
	size_t start = 0; /* of the run that needs no change */
	size_t i = 0;
	while (i < value.size) {
		unsigned char c = (unsigned char)value.data[i];
		size_t size = c < 0x80 ? 1 : utf8_size(value, i);
		bool plain = size > 0 && c >= 0x20 && c != '"' && c != '\\' && c != 0x7f;
		if (plain) {
			i += size;
			continue;
		}
		bytes_put(to, value.data + start, i - start);
		if (size == 0)
			bytes_write_string(to, "\xef\xbf\xbd");
		else
			json_put_escape(to, c);
		start = ++i;
	}
	if (i > start)
		bytes_put(to, value.data + start, i - start);
	bytes_put_u8(to, '"');
}

static void json_put_value(struct bytes *to, const struct value *value)
{
	switch (value->type) {
	case VALUE_NULL:
		bytes_write_string(to, "null");
		return;
	case VALUE_EMPTY:
		bytes_write_string(to, "[]");
		return;
	case VALUE_BOOLEAN:
		bytes_put(to, value->boolean ? "true" : "false", value->boolean ? 4 : 5);
		return;
	case VALUE_INTEGER:
		bytes_print(to, "%lld", (long long)value->integer);
		return;
	case VALUE_REAL:
		bytes_write(to, value->text);
		return;
	case VALUE_STRING:
		json_put_string(to, value->text);
		return;
	}
	assert(false && "a value of no type");
}

/* All values of fields[first].name, as one value or an array. */
static void json_put_members(const struct event *event, size_t first, struct bytes *to)
{
	size_t count = 0;
	for (size_t i = first; i < event->field_count; i++)
		count += text_equal(event->fields[i].name, event->fields[first].name);
	if (count > 1)
		bytes_put_u8(to, '[');
	for (size_t i = first, written = 0; i < event->field_count; i++) {
		if (!text_equal(event->fields[i].name, event->fields[first].name))
			continue;
		if (written++ > 0)
			bytes_put_u8(to, ',');
		json_put_value(to, &event->fields[i].value);
	}
	if (count > 1)
		bytes_put_u8(to, ']');
}

/* JSON text holds no bytes that are not UTF-8: those of a record go as base64, so that they can be
 * had back exactly; of any other value nobody asks for that. */
static void json_put_field(const struct event *event, size_t at, struct bytes *to)
{
	const struct field *field = &event->fields[at];
	if (field->id == FIELD_SRC_RAW && !utf8_is_valid(field->value.text)) {
		json_put_string(to, TEXT("picket.src.raw_base64"));
		bytes_write_string(to, ":\"");
		bytes_put_base64(to, field->value.text);
		bytes_put_u8(to, '"');
		return;
	}
	json_put_string(to, field->name);
	bytes_put_u8(to, ':');
	json_put_members(event, at, to);
}

static bool name_seen_before(const struct event *event, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (text_equal(event->fields[i].name, event->fields[at].name))
			return true;
	return false;
}

/* What had to be mended, as the list picket.quality; nothing when nothing had. */
static void json_put_quality(uint32_t quality, bool first, struct bytes *to)
{
	static const struct text member = TEXT("\"picket.quality\":[");
	bool begun = false;
	for (int i = 0; i < QUALITY_COUNT; i++) {
		if ((quality & 1U << i) == 0)
			continue;
		if (!begun && !first)
			bytes_put_u8(to, ',');
		if (!begun)
			bytes_write(to, member);
		else
			bytes_put_u8(to, ',');
		begun = true;
		json_put_string(to, text_of(quality_name((enum quality)(1U << i))));
	}
	if (begun)
		bytes_put_u8(to, ']');
}

void event_json(const struct event *event, struct bytes *to)
{
	bytes_put_u8(to, '{');
	bool first = true;
	for (size_t i = 0; i < event->field_count; i++) {
		if (name_seen_before(event, i))
			continue;
		if (!first)
			bytes_put_u8(to, ',');
		first = false;
		json_put_field(event, i, to);
	}
	json_put_quality(event->quality, first, to);
	bytes_put_u8(to, '}');
}
