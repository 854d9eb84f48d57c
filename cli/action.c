/* The stored form (FAMILY_ALERT, 'u' id), version 1:
 *
 *   u8 1, varint count, then for each: u8 kind, signed time_us, text who, text note, text as
 *
 * Nothing may follow the last one. */
#include "cli/action.h"

#include <assert.h>
#include <json-c/json.h>

enum { ACTIONS_VERSION = 1 };

static const char *const kind_names[] = {"", "ack", "close", "assign", "reopen"};
enum { KIND_NAMES = sizeof kind_names / sizeof *kind_names };

const char *const action_verdicts[] = {"true-positive", "false-positive", "benign",
				       "duplicate",     "test",           NULL};

const char *action_kind_name(enum action_kind kind)
{
	assert(kind >= ACTION_ACK && kind <= ACTION_REOPEN);
	return kind_names[kind];
}

bool action_kind_parse(struct text name, enum action_kind *ret_kind)
{
	for (size_t i = ACTION_ACK; i < KIND_NAMES; i++) {
		if (text_equal(name, text_of(kind_names[i]))) {
			*ret_kind = (enum action_kind)i;
			return true;
		}
	}
	return false;
}

const char *handling_name(enum handling handling)
{
	static const char *const names[] = {"new", "acked", "closed"};
	assert((unsigned)handling < sizeof names / sizeof *names);
	return names[handling];
}

enum handling actions_handling(const struct actions *actions)
{
	enum handling handling = HANDLING_NEW;
	for (size_t i = 0; i < actions->count; i++) {
		switch (actions->items[i].kind) {
		case ACTION_CLOSE:
			handling = HANDLING_CLOSED;
			break;
		case ACTION_REOPEN:
			handling = HANDLING_NEW;
			break;
		case ACTION_ACK:
		case ACTION_ASSIGN:
			if (handling == HANDLING_NEW)
				handling = HANDLING_ACKED;
			break;
		}
	}
	return handling;
}

/* `as` of the last action of a kind, size 0 = there is none. */
static struct text last_as(const struct actions *actions, enum action_kind kind)
{
	for (size_t i = actions->count; i > 0; i--) {
		if (actions->items[i - 1].kind == kind)
			return actions->items[i - 1].as;
	}
	return (struct text){0};
}

struct text actions_verdict(const struct actions *actions)
{
	return actions_handling(actions) == HANDLING_CLOSED ? last_as(actions, ACTION_CLOSE)
							    : (struct text){0};
}

void actions_encode(const struct actions *actions, struct bytes *to)
{
	assert(actions->count <= ACTIONS_MAX);
	bytes_put_u8(to, ACTIONS_VERSION);
	bytes_put_varint(to, actions->count);
	for (size_t i = 0; i < actions->count; i++) {
		const struct action *one = &actions->items[i];
		bytes_put_u8(to, (uint8_t)one->kind);
		bytes_put_signed(to, one->time_us);
		bytes_put_text(to, one->who);
		bytes_put_text(to, one->note);
		bytes_put_text(to, one->as);
	}
}

enum status actions_decode(struct text encoded, struct actions *ret_actions, struct error *err)
{
	struct cursor cursor = cursor_of(encoded);
	uint8_t version = cursor_u8(&cursor);
	uint64_t count = cursor_varint(&cursor);
	if (cursor.failed || version != ACTIONS_VERSION || count > ACTIONS_MAX)
		return error_set(err, ECORRUPT,
				 "the actions of an alert cannot be read (version %u)", version);
	struct actions actions = {.count = count};
	for (size_t i = 0; i < actions.count; i++) {
		struct action *one = &actions.items[i];
		uint8_t kind = cursor_u8(&cursor);
		one->time_us = cursor_signed(&cursor);
		one->who = cursor_text(&cursor);
		one->note = cursor_text(&cursor);
		one->as = cursor_text(&cursor);
		if (cursor.failed || kind < ACTION_ACK || kind > ACTION_REOPEN)
			return error_set(err, ECORRUPT, "action %zu of an alert cannot be read", i);
		one->kind = (enum action_kind)kind;
	}
	if (cursor_left(&cursor) != 0)
		return error_set(err, ECORRUPT, "bytes follow the actions of an alert");
	*ret_actions = actions;
	return OK;
}

static void json_done(struct json_object **object)
{
	(void)json_object_put(*object);
}

static void tokener_done(struct json_tokener **tokener)
{
	json_tokener_free(*tokener);
}

/* One text member of the body, added to *keep; its place is told as an offset, since keep grows. */
static enum status take_member(struct json_object *object, const char *name, struct bytes *keep,
			       struct text *ret_text, struct error *err)
{
	struct json_object *value = NULL;
	if (!json_object_object_get_ex(object, name, &value) || value == NULL) {
		*ret_text = (struct text){0};
		return OK;
	}
	size_t size = (size_t)json_object_get_string_len(value);
	if (!json_object_is_type(value, json_type_string) || size > ACTION_TEXT_MAX)
		return error_set(err, EINVALID, "%s must be a text of at most %d bytes", name,
				 ACTION_TEXT_MAX);
	size_t start = keep->size;
	bytes_put(keep, json_object_get_string(value), size);
	if (keep->failed)
		return error_set(err, ENOMEMORY, "no memory for an action");
	*ret_text = (struct text){(const char *)keep->data + start, size};
	return OK;
}

static bool is_verdict(struct text as)
{
	for (const char *const *word = action_verdicts; *word != NULL; word++) {
		if (text_equal(as, text_of(*word)))
			return true;
	}
	return false;
}

static enum status action_complete(const struct action *action, struct error *err)
{
	if (action->who.size == 0)
		return error_set(err, EINVALID, "who is missing: the name of the person");
	if (action->kind == ACTION_CLOSE && !is_verdict(action->as))
		return error_set(err, EINVALID,
				 "as says what the alert was: true-positive, false-positive, "
				 "benign, duplicate or test%s%.*s",
				 action->as.size > 0 ? ", not " : "", TEXT_ARG(action->as));
	if (action->kind == ACTION_ASSIGN && action->as.size == 0)
		return error_set(err, EINVALID, "as is missing: to whom the alert is given");
	return OK;
}

enum status action_parse(struct text body, struct bytes *keep, struct action *action,
			 struct error *err)
{
	static const char *const known[] = {"who", "note", "as"};
	struct json_tokener *tokener cleanup(tokener_done) = json_tokener_new();
	if (tokener == NULL)
		return error_set(err, ENOMEMORY, "no memory for an action");
	/* Not STRICT: json-c 0.18 (Debian 13) then refuses every byte above 0x7f in a string. */
	json_tokener_set_flags(tokener, JSON_TOKENER_VALIDATE_UTF8);
	struct json_object *object cleanup(json_done) =
		json_tokener_parse_ex(tokener, body.data, (int)body.size);
	if (!json_object_is_type(object, json_type_object) ||
	    json_tokener_get_parse_end(tokener) != body.size)
		return error_set(err, EINVALID, "the body is a JSON object with who, note and as");
	json_object_object_foreach(object, key, unused)
	{
		(void)unused;
		bool fits = false;
		for (size_t i = 0; i < sizeof known / sizeof *known; i++)
			fits |= strcmp(key, known[i]) == 0;
		if (!fits)
			return error_set(err, EINVALID, "\"%s\" is none of who, note, as", key);
	}
	bytes_clear(keep);
	bytes_write(keep, body); /* the largest the three can be: keep stays put */
	bytes_clear(keep);
	enum status status = take_member(object, "who", keep, &action->who, err);
	if (status == OK)
		status = take_member(object, "note", keep, &action->note, err);
	if (status == OK)
		status = take_member(object, "as", keep, &action->as, err);
	return status == OK ? action_complete(action, err) : status;
}

void actions_json(const struct actions *actions, struct json_writer *json)
{
	json_write_open(json, "handling", '{');
	json_write_string(json, "state", handling_name(actions_handling(actions)));
	json_write_text(json, "assignee", last_as(actions, ACTION_ASSIGN));
	json_write_text(json, "verdict", actions_verdict(actions));
	json_write_open(json, "actions", '[');
	for (size_t i = 0; i < actions->count; i++) {
		const struct action *one = &actions->items[i];
		json_write_open(json, NULL, '{');
		json_write_string(json, "action", action_kind_name(one->kind));
		json_write_time(json, "time", one->time_us);
		json_write_text(json, "who", one->who);
		json_write_text(json, "note", one->note);
		json_write_text(json, "as", one->as);
		json_write_close(json, '}');
	}
	json_write_close(json, ']');
	json_write_close(json, '}');
}
