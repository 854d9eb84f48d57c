/* A MISP feed: a folder with manifest.json, whose keys are the UUIDs of events, and UUID.json for
 * each of them: {"Event": {"Attribute": [...], "Object": [{"Attribute": [...]}]}}. Only attributes
 * that are meant for detection (to_ids) and are not deleted count; of a pair such as "ip-dst|port"
 * the part that has a form of its own. json-c reads them: a feed is read once in a while, by size.
 */
#include <json-c/json.h>
#include <stdio.h>

#include "ingest/watch_private.h"

enum { UUID_BYTES = 36, PATH_BYTES = 4096, DEPTH_MAX = 32 };

static void json_done(struct json_object **object)
{
	(void)json_object_put(*object);
}

static void tokener_done(struct json_tokener **tokener)
{
	if (*tokener != NULL)
		json_tokener_free(*tokener);
}

static struct json_object *parse(struct text content)
{
	struct json_tokener *tokener cleanup(tokener_done) = json_tokener_new_ex(DEPTH_MAX);
	if (tokener == NULL || content.size > INT32_MAX)
		return NULL;
	struct json_object *object =
		json_tokener_parse_ex(tokener, content.data, (int)content.size);
	if (json_tokener_get_error(tokener) == json_tokener_success)
		return object;
	(void)json_object_put(object);
	return NULL;
}

static bool is_uuid(struct text t)
{
	if (t.size != UUID_BYTES)
		return false;
	for (size_t i = 0; i < t.size; i++)
		if (strchr("0123456789abcdefABCDEF-", t.data[i]) == NULL)
			return false;
	return true;
}

/* Which side of "a|b" is the indicator, by the attribute's type; false: none we know. */
static bool part_of(struct text type, struct text value, struct text *ret_part)
{
	static const char *const whole[] = {"ip-src", "ip-dst",    "domain", "hostname",
					    "url",    "uri",       "md5",    "sha1",
					    "sha256", "email-src", "email",  "email-dst"};
	static const char *const left[] = {"ip-src|port", "ip-dst|port", "domain|ip",
					   "hostname|port"};
	static const char *const right[] = {"filename|md5", "filename|sha1", "filename|sha256"};
	const char *bar = value.size == 0 ? NULL : memchr(value.data, '|', value.size);
	size_t at = bar == NULL ? value.size : (size_t)(bar - value.data);
	for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
		if (text_equal(type, text_of(whole[i]))) {
			*ret_part = value;
			return true;
		}
	for (size_t i = 0; i < sizeof left / sizeof *left; i++)
		if (text_equal(type, text_of(left[i]))) {
			*ret_part = (struct text){value.data, at};
			return true;
		}
	for (size_t i = 0; bar != NULL && i < sizeof right / sizeof *right; i++)
		if (text_equal(type, text_of(right[i]))) {
			*ret_part = text_cut(value, at + 1);
			return true;
		}
	return false;
}

static struct text member(struct json_object *object, const char *name)
{
	struct json_object *value = NULL;
	if (!json_object_object_get_ex(object, name, &value))
		return (struct text){0};
	return text_of(json_object_get_string(value));
}

static bool flag(struct json_object *object, const char *name)
{
	struct json_object *value = NULL;
	return json_object_object_get_ex(object, name, &value) && json_object_get_boolean(value);
}

static enum status take_attributes(struct list_reader *reader, struct json_object *holder,
				   struct error *err)
{
	struct json_object *all = NULL;
	enum status status = OK;
	if (!json_object_object_get_ex(holder, "Attribute", &all) ||
	    !json_object_is_type(all, json_type_array))
		return OK;
	for (size_t i = 0; status == OK && i < json_object_array_length(all); i++) {
		struct json_object *one = json_object_array_get_idx(all, i);
		struct json_object *stamp = NULL;
		struct list_entry entry = {{0}, INT64_MIN, INT64_MIN, i + 1};
		if (!flag(one, "to_ids") || flag(one, "deleted") ||
		    !part_of(member(one, "type"), member(one, "value"), &entry.written))
			continue;
		if (json_object_object_get_ex(one, "timestamp", &stamp)) {
			int64_t seconds = json_object_get_int64(stamp);
			if (seconds > 0 && seconds < INT64_MAX / 1000000)
				entry.listed_us = seconds * 1000000;
		}
		status = list_take(reader, &entry, err);
	}
	return status;
}

static enum status take_event(struct list_reader *reader, struct text uuid, struct error *err)
{
	char path[PATH_BYTES];
	struct bytes content cleanup(bytes_done) = {0};
	struct json_object *root cleanup(json_done) = NULL;
	struct json_object *event = NULL;
	struct json_object *objects = NULL;
	int64_t ignored = 0;
	if ((size_t)snprintf(path, sizeof path, "%s/%.*s.json", reader->path, TEXT_ARG(uuid)) >=
	    sizeof path)
		return error_set(err, ELIMIT, "%s: the path is too long", reader->path);
	enum status status = list_file(path, &content, &ignored, err);
	if (status != OK)
		return status;
	root = parse(bytes_text(&content));
	if (root == NULL || !json_object_object_get_ex(root, "Event", &event))
		return error_set(err, EINVALID, "%s is no MISP event; fetch the feed again", path);
	status = take_attributes(reader, event, err);
	if (status != OK || !json_object_object_get_ex(event, "Object", &objects) ||
	    !json_object_is_type(objects, json_type_array))
		return status;
	for (size_t i = 0; status == OK && i < json_object_array_length(objects); i++)
		status = take_attributes(reader, json_object_array_get_idx(objects, i), err);
	return status;
}

enum status list_misp(struct list_reader *reader, struct text manifest, struct error *err)
{
	struct json_object *root cleanup(json_done) = parse(manifest);
	if (root == NULL || !json_object_is_type(root, json_type_object))
		return error_set(err, EINVALID, "%s/manifest.json is no MISP manifest",
				 reader->path);
	enum status status = OK;
	struct json_object_iterator one = json_object_iter_begin(root);
	struct json_object_iterator end = json_object_iter_end(root);
	for (; status == OK && !json_object_iter_equal(&one, &end); json_object_iter_next(&one)) {
		struct text uuid = text_of(json_object_iter_peek_name(&one));
		if (!is_uuid(uuid)) /* it becomes a path */
			return error_set(err, EINVALID, "%s/manifest.json: \"%.*s\" is no UUID",
					 reader->path, TEXT_ARG(uuid));
		status = take_event(reader, uuid, err);
	}
	return status;
}
