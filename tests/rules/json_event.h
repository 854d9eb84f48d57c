/* json_event - a JSON object as the event a rule sees, without mapping or normalising anything.
 *
 * Why: cases of rules, ours and other implementations', are an event and an answer; what a decoder
 * would make of the event must not get between them.
 * Invariant: a dotted key at the root hides the nested path of that name; members of an array are
 * one field several times. Owner: the arena. Thread: one. Limits: those of event.h. */
#ifndef PICKET_TESTS_RULES_JSON_EVENT_H
#define PICKET_TESTS_RULES_JSON_EVENT_H

#include <check.h>
#include <json-c/json.h>

#include "rules/event.h"

/* What is being flattened: a literal dotted key of the root hides the nested path of that name. */
struct flattening {
	struct json_object *root;
	struct arena *arena;
	struct event *event;
};

static inline void flatten(const struct flattening *to, struct json_object *json, struct text name);

static inline void put(struct event *event, struct arena *arena, struct text name,
		       struct value value)
{
	ck_assert_int_eq(event_add(event, arena, name, value), OK);
}

static inline void flatten_object(const struct flattening *to, struct json_object *json,
				  struct text name)
{
	if (json_object_object_length(json) == 0)
		put(to->event, to->arena, name, (struct value){.type = VALUE_EMPTY});
	json_object_object_foreach(json, key, child)
	{
		struct text path = name.size == 0
					   ? arena_copy(to->arena, text_of(key))
					   : arena_print(to->arena, "%.*s.%s", TEXT_ARG(name), key);
		if (json == to->root || !json_object_object_get_ex(to->root, path.data, NULL))
			flatten(to, child, path);
	}
}

static inline void flatten(const struct flattening *to, struct json_object *json, struct text name)
{
	struct value value = {.type = VALUE_NULL};
	switch (json_object_get_type(json)) {
	case json_type_object:
		flatten_object(to, json, name);
		return;
	case json_type_array:
		for (size_t i = 0; i < json_object_array_length(json); i++)
			flatten(to, json_object_array_get_idx(json, i), name);
		if (json_object_array_length(json) > 0)
			return;
		value.type = VALUE_EMPTY;
		break;
	case json_type_null:
		break;
	case json_type_boolean:
		value.type = VALUE_BOOLEAN;
		value.boolean = json_object_get_boolean(json);
		value.text = text_of(value.boolean ? "true" : "false");
		break;
	case json_type_int:
		value.type = VALUE_INTEGER;
		value.integer = json_object_get_int64(json);
		value.text = arena_print(to->arena, "%lld", (long long)value.integer);
		break;
	case json_type_double:
		value.type = VALUE_REAL;
		value.real = json_object_get_double(json);
		value.text = arena_copy(to->arena, text_of(json_object_to_json_string(json)));
		break;
	case json_type_string:
		value.type = VALUE_STRING;
		value.text = (struct text){json_object_get_string(json),
					   (size_t)json_object_get_string_len(json)};
		break;
	}
	put(to->event, to->arena, name, value);
}

#endif
