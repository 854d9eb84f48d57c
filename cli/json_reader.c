/* json-c keeps the characters of a number that it takes for a double, and only of those. So an
 * integer of many digits gets an exponent of 0 behind it before json-c reads it, and loses it again
 * in the object: 12345678901234567890123 -> 12345678901234567890123e0 -> 12345678901234567890123.
 */
#include "cli/json_reader.h"

#include <assert.h>
#include <json-c/json_visit.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "rules/bytes.h"

enum { DIGITS_SURE = 18 }; /* any integer of so many digits fits 64 bits */

static const struct text exponent = TEXT("e0");

static void tokener_done(struct json_tokener **tokener)
{
	json_tokener_free(*tokener);
}

static bool in_number(char c)
{
	return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

/* Where the string that begins at `at` ends (behind its quote). */
static size_t skip_string(struct text json, size_t at)
{
	assert(json.data[at] == '"');
	for (at++; at < json.size && json.data[at] != '"'; at++)
		at += json.data[at] == '\\';
	return at < json.size ? at + 1 : json.size;
}

/* The number that begins at `at`; *ret_long: an integer that may not fit. */
static size_t skip_number(struct text json, size_t at, bool *ret_long)
{
	size_t digits = 0;
	bool integer = true;
	for (; at < json.size && in_number(json.data[at]); at++) {
		bool digit = json.data[at] >= '0' && json.data[at] <= '9';
		digits += digit;
		integer = integer && (digit || json.data[at] == '-');
	}
	*ret_long = integer && digits > DIGITS_SURE;
	return at;
}

/* The same JSON with every long integer marked; true when there is one. */
static bool mark_long(struct text json, struct bytes *to)
{
	bool any = false;
	size_t kept = 0;
	for (size_t at = 0; at < json.size;) {
		bool is_long = false;
		char c = json.data[at];
		if (c == '"')
			at = skip_string(json, at);
		else if (in_number(c) && c != 'e' && c != 'E')
			at = skip_number(json, at, &is_long);
		else
			at++;
		if (!is_long)
			continue;
		bytes_put(to, json.data + kept, at - kept);
		bytes_write(to, exponent);
		kept = at;
		any = true;
	}
	bytes_put(to, json.data + kept, json.size - kept);
	return any;
}

static int unmark(struct json_object *object, int flags, struct json_object *parent,
		  const char *key, size_t *index, void *context)
{
	bool *failed = context;
	(void)parent;
	(void)key;
	(void)index;
	if (flags == JSON_C_VISIT_SECOND || !json_object_is_type(object, json_type_double))
		return JSON_C_VISIT_RETURN_CONTINUE;
	struct text number = text_of(json_object_get_string(object));
	bool is_long = false;
	size_t end = number.size < exponent.size ? 0 : number.size - exponent.size;
	struct text head = {number.data, end};
	if (end == 0 || !text_equal(text_cut(number, end), exponent) ||
	    skip_number(head, 0, &is_long) != end || !is_long)
		return JSON_C_VISIT_RETURN_CONTINUE;
	char *plain = strndup(number.data, end);
	*failed = *failed || plain == NULL;
	if (plain != NULL)
		json_object_set_serializer(object, json_object_userdata_to_json_string, plain,
					   json_object_free_userdata);
	return JSON_C_VISIT_RETURN_CONTINUE;
}

struct json_object *json_read(struct text json)
{
	struct json_tokener *tokener cleanup(tokener_done) = json_tokener_new_ex(JSON_READ_DEPTH);
	struct bytes marked = {0};
	bool failed = false;
	if (tokener == NULL || json.size > INT_MAX / 2)
		return NULL;
	bool any = mark_long(json, &marked);
	struct json_object *object = NULL;
	if (!marked.failed && marked.size > 0)
		object =
			json_tokener_parse_ex(tokener, (const char *)marked.data, (int)marked.size);
	bytes_done(&marked);
	if (object != NULL && any)
		failed = json_c_visit(object, 0, unmark, &failed) != 0 || failed;
	if (failed) {
		(void)json_object_put(object);
		object = NULL;
	}
	return object;
}
