/* Values of an OpenTelemetry message as a flat list of names, like json_walk() makes of JSON.
 *
 * Times become RFC 3339 (protobuf has nanoseconds as a number, JSON the same number as a text):
 * whatever the encoding, and whether a service logs through OpenTelemetry or writes ECS, the event
 * says when it happened in one way. All nine digits are kept, without trailing zeros. */
#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ingest/otlp_private.h"
#include "rules/number.h"

void otlp_list_begin(struct otlp_list *list, struct json_items *items, uint32_t arrays)
{
	list->items = items;
	list->items->count = 0;
	list->items->flags = 0;
	list->arrays = arrays;
	list->why = ACCEPTED;
}

static bool fail(struct otlp_list *list, enum reject why)
{
	if (list->why == ACCEPTED)
		list->why = why;
	return false;
}

/* Room for one more; NULL when the value is left out. */
static struct json_item *item_new(struct otlp_list *list, struct otlp_place place)
{
	struct json_items *items = list->items;
	if (list->why != ACCEPTED)
		return NULL;
	if (items->count >= JSON_ITEMS_MAX) {
		items->flags |= JSON_CUT_ITEMS;
		if (items->count >= (size_t)2 * JSON_ITEMS_MAX ||
		    !list->options->keep(list->options->context, place.name))
			return NULL;
	}
	if (items->count == items->capacity) {
		size_t capacity = items->capacity == 0 ? 64 : items->capacity * 2;
		struct json_item *grown = realloc(items->items, capacity * sizeof *grown);
		if (grown == NULL) {
			(void)fail(list, REJECT_MEMORY);
			return NULL;
		}
		items->items = grown;
		items->capacity = capacity;
	}
	struct json_item *item = &items->items[items->count++];
	*item = (struct json_item){.name = place.name, .array = place.array};
	return item;
}

static bool check_utf8(struct otlp_list *list, struct text text)
{
	size_t offset = 0;
	return list->utf8 || json_utf8(text, &offset) || fail(list, REJECT_NOT_UTF8);
}

struct otlp_place otlp_member(struct otlp_list *list, struct otlp_place parent, struct text key)
{
	struct otlp_place place = {.name = key, .array = parent.array, .depth = parent.depth + 1};
	if (!check_utf8(list, key))
		return place;
	if (key.size > 0 && memchr(key.data, '\0', key.size) != NULL)
		list->items->flags |= JSON_BAD_NAME;
	if (parent.name.size > 0) {
		size_t size = parent.name.size + 1 + key.size;
		char *joined = arena_alloc(list->arena, size);
		if (joined == NULL) {
			(void)fail(list, REJECT_MEMORY);
			return place;
		}
		memcpy(joined, parent.name.data, parent.name.size);
		joined[parent.name.size] = '.';
		if (key.size > 0)
			memcpy(joined + parent.name.size + 1, key.data, key.size);
		place.name = (struct text){joined, size};
	}
	if (place.name.size > JSON_NAME_MAX) {
		list->items->flags |= JSON_BAD_NAME;
		place.name.size = JSON_NAME_MAX;
		while (place.name.size > 0 &&
		       ((unsigned char)place.name.data[place.name.size] & 0xc0) == 0x80)
			place.name.size--;
	}
	return place;
}

struct otlp_place otlp_array(struct otlp_list *list, struct otlp_place place)
{
	if (place.array == 0)
		place.array = ++list->arrays;
	place.depth++;
	return place;
}

void otlp_put_text(struct otlp_list *list, struct otlp_place place, struct text text)
{
	if (!check_utf8(list, text))
		return;
	struct json_item *item = item_new(list, place);
	if (item == NULL)
		return;
	item->value.type = VALUE_STRING;
	item->value.text = text.size == 0 ? TEXT("") : text;
}

static struct text print(struct otlp_list *list, struct text text)
{
	struct text copy = arena_copy(list->arena, text);
	if (copy.data == NULL)
		(void)fail(list, REJECT_MEMORY);
	return copy;
}

void otlp_put_integer(struct otlp_list *list, struct otlp_place place, int64_t integer)
{
	struct json_item *item = item_new(list, place);
	if (item == NULL)
		return;
	char *buffer = arena_alloc(list->arena, NUMBER_PRINT_MAX);
	if (buffer == NULL)
		(void)fail(list, REJECT_MEMORY);
	else
		item->value.text = number_print_integer(integer, buffer);
	item->value.type = VALUE_INTEGER;
	item->value.integer = integer;
}

/* JSON has no infinity and no NaN: they become the largest number, and null. */
void otlp_put_real(struct otlp_list *list, struct otlp_place place, double real)
{
	char buffer[NUMBER_PRINT_MAX];
	if (isnan(real)) {
		otlp_put_null(list, place);
		return;
	}
	if (isinf(real))
		real = real < 0 ? -DBL_MAX : DBL_MAX;
	struct json_item *item = item_new(list, place);
	if (item == NULL)
		return;
	item->value.type = VALUE_REAL;
	item->value.real = real;
	item->value.text = print(list, number_print(real, buffer));
}

void otlp_put_boolean(struct otlp_list *list, struct otlp_place place, bool boolean)
{
	struct json_item *item = item_new(list, place);
	if (item == NULL)
		return;
	item->value.type = VALUE_BOOLEAN;
	item->value.boolean = boolean;
	item->value.text = boolean ? TEXT("true") : TEXT("false");
}

void otlp_put_null(struct otlp_list *list, struct otlp_place place)
{
	struct json_item *item = item_new(list, place);
	if (item != NULL)
		item->value.type = VALUE_NULL;
}

void otlp_put_empty(struct otlp_list *list, struct otlp_place place)
{
	struct json_item *item = item_new(list, place);
	if (item != NULL)
		item->value.type = VALUE_EMPTY;
}

void otlp_put_bytes(struct otlp_list *list, struct otlp_place place, struct text bytes)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t size = (bytes.size + 2) / 3 * 4;
	char *text = arena_alloc(list->arena, size + 1);
	if (text == NULL) {
		(void)fail(list, REJECT_MEMORY);
		return;
	}
	for (size_t i = 0, to = 0; i < bytes.size; i += 3, to += 4) {
		uint32_t three = (uint32_t)(unsigned char)bytes.data[i] << 16;
		if (i + 1 < bytes.size)
			three |= (uint32_t)(unsigned char)bytes.data[i + 1] << 8;
		if (i + 2 < bytes.size)
			three |= (unsigned char)bytes.data[i + 2];
		text[to] = digits[three >> 18];
		text[to + 1] = digits[three >> 12 & 63];
		text[to + 2] = i + 1 < bytes.size ? digits[three >> 6 & 63] : '=';
		text[to + 3] = i + 2 < bytes.size ? digits[three & 63] : '=';
	}
	otlp_put_text(list, place, (struct text){text, size});
}

void otlp_put_deep(struct otlp_list *list, struct otlp_place place, struct text raw, bool binary)
{
	list->items->flags |= JSON_CUT_DEPTH;
	if (binary)
		otlp_put_bytes(list, place, raw);
	else
		otlp_put_text(list, place, raw);
}

struct text otlp_hex(struct otlp_list *list, struct text bytes)
{
	static const char digits[] = "0123456789abcdef";
	char *text = arena_alloc(list->arena, bytes.size * 2 + 1);
	if (text == NULL) {
		(void)fail(list, REJECT_MEMORY);
		return (struct text){0};
	}
	for (size_t i = 0; i < bytes.size; i++) {
		text[2 * i] = digits[(unsigned char)bytes.data[i] >> 4];
		text[2 * i + 1] = digits[(unsigned char)bytes.data[i] & 15];
	}
	return (struct text){text, bytes.size * 2};
}

static void put_time(struct otlp_list *list, struct text name, uint64_t nanoseconds)
{
	enum { FRACTION = 9, TIME_BYTES = 32 + 1 + FRACTION };
	char *time = nanoseconds == 0 ? NULL : arena_alloc(list->arena, TIME_BYTES);
	if (nanoseconds == 0)
		return;
	if (time == NULL) {
		(void)fail(list, REJECT_MEMORY);
		return;
	}
	size_t size = time_print((int64_t)(nanoseconds / 1000000000) * 1000000, time).size - 1;
	assert(time[size] == 'Z');
	size_t end = size + 1 + FRACTION;
	time[size] = '.';
	for (uint64_t at = end, left = nanoseconds; at > size + 1; left /= 10)
		time[--at] = (char)('0' + left % 10);
	while (time[end - 1] == '0')
		end--;
	end -= time[end - 1] == '.';
	time[end++] = 'Z';
	otlp_put_text(list, (struct otlp_place){.name = name}, (struct text){time, end});
}

static void put_named(struct otlp_list *list, struct text name, struct text text)
{
	if (text.size > 0)
		otlp_put_text(list, (struct otlp_place){.name = name}, text);
}

void otlp_put_fields(struct otlp_list *list, const struct otlp_fields *fields)
{
	put_time(list, TEXT("@timestamp"), fields->time_unix_nano);
	put_time(list, TEXT("event.created"), fields->observed_time_unix_nano);
	put_named(list, TEXT("log.level"), fields->severity_text);
	if (fields->severity_number != 0)
		otlp_put_integer(list, (struct otlp_place){.name = TEXT("severity_number")},
				 (int64_t)fields->severity_number);
	put_named(list, TEXT("trace.id"), fields->trace_id);
	put_named(list, TEXT("span.id"), fields->span_id);
	put_named(list, TEXT("event_name"), fields->event_name);
}
