/* The OpenTelemetry protocol as JSON (its protobuf-JSON mapping): lowerCamelCase keys, 64-bit
 * integers as numbers or as texts, trace and span ids in hexadecimal, unknown keys ignored.
 *
 * The message is checked as a whole first (json_check), so that the cursor below meets only good
 * JSON: a value is a span of bytes, an object or array is walked by finding where each member ends.
 * Of a key given twice the last one counts, as everywhere. */
#include <assert.h>

#include "ingest/otlp_private.h"
#include "rules/number.h"

/* Objects nest no deeper than this on the way to a record, and each span is walked once a level. */
enum { LEVELS = 3 };

static size_t skip_blanks(struct text t, size_t at)
{
	while (at < t.size && json_blank(t.data[at]))
		at++;
	return at;
}

/* Behind the closing quote of the string that opens at t[at]. */
static size_t string_end(struct text t, size_t at)
{
	for (at++;;) {
		const char *quote = memchr(t.data + at, '"', t.size - at);
		assert(quote != NULL); /* the message has been checked */
		size_t end = (size_t)(quote - t.data);
		size_t slashes = 0;
		while (t.data[end - slashes - 1] == '\\')
			slashes++;
		at = end + 1;
		if (slashes % 2 == 0)
			return at;
	}
}

/* The value at t[at]: its span, and where it ends. Only brackets and strings matter for that: the
 * message has been checked. */
static struct text value_at(struct text t, size_t at, size_t *ret_end)
{
	size_t depth = 0;
	size_t end = at;
	do {
		char c = t.data[end];
		if (c == '"') {
			end = string_end(t, end);
			continue;
		}
		depth += c == '{' || c == '[';
		depth -= c == '}' || c == ']';
		end++;
	} while (depth > 0);
	if (t.data[at] != '"' && t.data[at] != '{' && t.data[at] != '[')
		while (end < t.size && t.data[end] != ',' && t.data[end] != '}' &&
		       t.data[end] != ']' && !json_blank(t.data[end]))
			end++;
	*ret_end = end;
	return (struct text){t.data + at, end - at};
}

/* The next element of an array; *at begins at 0. */
static bool element_next(struct text array, size_t *at, struct text *ret_value)
{
	size_t here = skip_blanks(array, *at == 0 ? 1 : *at);
	if (here < array.size && array.data[here] == ',')
		here = skip_blanks(array, here + 1);
	if (here >= array.size || array.data[here] == ']')
		return false;
	*ret_value = value_at(array, here, at);
	return true;
}

/* The next member of an object: the key without its quotes, still escaped. */
static bool member_next(struct text object, size_t *at, struct text *ret_key,
			struct text *ret_value)
{
	size_t here = skip_blanks(object, *at == 0 ? 1 : *at);
	if (here < object.size && object.data[here] == ',')
		here = skip_blanks(object, here + 1);
	if (here >= object.size || object.data[here] != '"')
		return false;
	struct text key = value_at(object, here, &here);
	*ret_key = (struct text){key.data + 1, key.size - 2};
	here = skip_blanks(object, here);
	assert(here < object.size && object.data[here] == ':');
	*ret_value = value_at(object, skip_blanks(object, here + 1), at);
	return true;
}

static bool is_kind(struct text value, char first)
{
	return value.size > 0 && value.data[0] == first;
}

/* The last member of this name, empty when there is none. */
static struct text member(struct text object, struct text name)
{
	struct text found = {0};
	struct text key = {0};
	struct text value = {0};
	for (size_t at = 0; is_kind(object, '{') && member_next(object, &at, &key, &value);)
		if (text_equal(key, name))
			found = value;
	return found;
}

/* A string's bytes; a number's digits; else nothing. */
static struct text text_value(struct otlp_list *list, struct text value)
{
	if (!is_kind(value, '"')) {
		bool integer = false;
		return json_number_valid(value, &integer) ? value : (struct text){0};
	}
	struct text inside = {value.data + 1, value.size - 2};
	if (inside.size == 0 || memchr(inside.data, '\\', inside.size) == NULL)
		return inside;
	char *plain = arena_alloc(list->arena, inside.size + 1);
	size_t size = 0;
	if (plain == NULL) {
		list->why = REJECT_MEMORY;
		return (struct text){0};
	}
	enum json_result result = json_unescape(inside, plain, &size);
	assert(result == JSON_OK); /* the message has been checked */
	return (struct text){plain, size};
}

bool otlp_json_sniff(struct text message)
{
	static const struct text key = {"\"resourceLogs\"", 14};
	size_t at = skip_blanks(message, 0);
	if (at == message.size || message.data[at] != '{')
		return false;
	at = skip_blanks(message, at + 1);
	if (!text_starts(text_cut(message, at), key))
		return false;
	at = skip_blanks(message, at + key.size);
	if (at == message.size || message.data[at] != ':')
		return false;
	at = skip_blanks(message, at + 1);
	return at < message.size && message.data[at] == '[';
}

enum reject otlp_json_begin(struct otlp *otlp)
{
	struct json_problem problem = {"bytes behind the object", 0};
	size_t end = 0;
	struct text t = otlp->message;
	bool good = json_check(t, &end, &problem) == JSON_OK;
	if (good) {
		problem.offset = end;
		good = skip_blanks(t, end) == t.size;
	}
	if (!good) {
		otlp->detail = arena_print(otlp->record.arena, "%s at byte %zu", problem.detail,
					   problem.offset);
		return REJECT_NOT_JSON;
	}
	if (!json_utf8(t, &end)) {
		otlp->detail = arena_print(otlp->record.arena, "not UTF-8 at byte %zu", end);
		return REJECT_NOT_UTF8;
	}
	otlp->arrays[0] = member(text_cut(t, skip_blanks(t, 0)), TEXT("resourceLogs"));
	otlp->detail = TEXT("`resourceLogs` is no array: not a message of the OpenTelemetry "
			    "protocol");
	return is_kind(otlp->arrays[0], '[') ? ACCEPTED : REJECT_BROKEN_OTLP;
}

static void put_attributes(struct otlp_list *list, struct otlp_place parent, struct text array);
static void put_value(struct otlp_list *list, struct otlp_place place, struct text any);

static void put_array(struct otlp_list *list, struct otlp_place place, struct text any)
{
	struct text values = member(any, TEXT("values"));
	struct text value = {0};
	bool empty = true;
	if (place.depth >= JSON_DEPTH_MAX) {
		otlp_put_deep(list, place, any, false);
		return;
	}
	place = otlp_array(list, place);
	for (size_t at = 0; is_kind(values, '[') && element_next(values, &at, &value);
	     empty = false)
		put_value(list, place, value);
	if (empty)
		otlp_put_empty(list, place);
}

static void put_kvlist(struct otlp_list *list, struct otlp_place place, struct text any)
{
	struct text values = member(any, TEXT("values"));
	struct text value = {0};
	size_t at = 0;
	if (place.depth >= JSON_DEPTH_MAX)
		otlp_put_deep(list, place, any, false);
	else if (is_kind(values, '[') && element_next(values, &at, &value))
		put_attributes(list, place, values);
	else if (place.name.size > 0)
		otlp_put_empty(list, place);
}

static void put_integer(struct otlp_list *list, struct otlp_place place, struct text given)
{
	struct number number;
	struct text text = text_value(list, given);
	if (number_parse(text, &number) && number.is_integer)
		otlp_put_integer(list, place, number.integer);
	else
		otlp_put_text(list, place, text);
}

/* A double may be written as "NaN" or "Infinity". */
static void put_real(struct otlp_list *list, struct otlp_place place, struct text given)
{
	struct number number;
	struct text text = text_value(list, given);
	if (number_parse(text, &number))
		otlp_put_real(list, place, number.real);
	else if (text_equal(text, TEXT("Infinity")) || text_equal(text, TEXT("-Infinity")))
		otlp_put_real(list, place,
			      text.data[0] == '-' ? -__builtin_inf() : __builtin_inf());
	else
		otlp_put_null(list, place);
}

static void put_value(struct otlp_list *list, struct otlp_place place, struct text any)
{
	struct text key = {0};
	struct text found = {0};
	struct text value = {0};
	struct text last = {0};
	for (size_t at = 0; is_kind(any, '{') && member_next(any, &at, &key, &found);) {
		last = key;
		value = found;
	}
	if (text_equal(last, TEXT("stringValue")) || text_equal(last, TEXT("bytesValue")))
		otlp_put_text(list, place, text_value(list, value));
	else if (text_equal(last, TEXT("boolValue")))
		otlp_put_boolean(list, place, text_equal(value, TEXT("true")));
	else if (text_equal(last, TEXT("intValue")))
		put_integer(list, place, value);
	else if (text_equal(last, TEXT("doubleValue")))
		put_real(list, place, value);
	else if (text_equal(last, TEXT("arrayValue")))
		put_array(list, place, value);
	else if (text_equal(last, TEXT("kvlistValue")))
		put_kvlist(list, place, value);
	else
		otlp_put_null(list, place);
}

static void put_attributes(struct otlp_list *list, struct otlp_place parent, struct text array)
{
	struct text pair = {0};
	for (size_t at = 0; is_kind(array, '[') && element_next(array, &at, &pair);) {
		struct text name = {0};
		struct text given = {0};
		struct text key = {0};
		struct text value = {0};
		for (size_t inner = 0;
		     is_kind(pair, '{') && member_next(pair, &inner, &key, &value);)
			if (text_equal(key, TEXT("key")))
				name = value;
			else if (text_equal(key, TEXT("value")))
				given = value;
		put_value(list, otlp_member(list, parent, text_value(list, name)), given);
	}
}

static void put_envelope(struct otlp *otlp)
{
	struct otlp_list *list = &otlp->envelope;
	const struct otlp_place root = {0};
	otlp_list_begin(list, list->items, 0);
	put_attributes(list, root, member(otlp->resource, TEXT("attributes")));
	struct text name = text_value(list, member(otlp->scope, TEXT("name")));
	struct text version = text_value(list, member(otlp->scope, TEXT("version")));
	if (name.size > 0)
		otlp_put_text(list, (struct otlp_place){.name = TEXT("scope.name")}, name);
	if (version.size > 0)
		otlp_put_text(list, (struct otlp_place){.name = TEXT("scope.version")}, version);
	put_attributes(list, root, member(otlp->scope, TEXT("attributes")));
}

/* Opens what comes next until an array of records has one; false when all is read. */
static bool open_next(struct otlp *otlp, struct text *ret_record)
{
	static const struct text inner[LEVELS] = {
		{"resourceLogs", 12}, {"scopeLogs", 9}, {"logRecords", 10}};
	static const struct text about[LEVELS] = {{"", 0}, {"resource", 8}, {"scope", 5}};
	for (int level = LEVELS - 1; level >= 0;) {
		struct text element = {0};
		if (!is_kind(otlp->arrays[level], '[') ||
		    !element_next(otlp->arrays[level], &otlp->at[level], &element)) {
			otlp->arrays[level] = (struct text){0};
			level--;
			continue;
		}
		if (level == LEVELS - 1) {
			*ret_record = element;
			return true;
		}
		level++;
		otlp->arrays[level] = member(element, inner[level]);
		otlp->at[level] = 0;
		*(level == 1 ? &otlp->resource : &otlp->scope) = member(element, about[level]);
		otlp->fresh = true;
	}
	return false;
}

static uint64_t unsigned_value(struct otlp_list *list, struct text value)
{
	struct number number;
	struct text text = text_value(list, value);
	return number_parse(text, &number) && number.is_integer && number.integer > 0
		       ? (uint64_t)number.integer
		       : 0;
}

static void put_record(struct otlp_list *list, struct text record)
{
	const struct otlp_place root = {0};
	struct otlp_fields fields = {0};
	struct text key = {0};
	struct text value = {0};
	struct text body = {0};
	struct text attributes = {0};
	for (size_t at = 0; member_next(record, &at, &key, &value);) {
		if (text_equal(key, TEXT("timeUnixNano")))
			fields.time_unix_nano = unsigned_value(list, value);
		else if (text_equal(key, TEXT("observedTimeUnixNano")))
			fields.observed_time_unix_nano = unsigned_value(list, value);
		else if (text_equal(key, TEXT("severityNumber")))
			fields.severity_number = (int64_t)unsigned_value(list, value);
		else if (text_equal(key, TEXT("severityText")))
			fields.severity_text = text_value(list, value);
		else if (text_equal(key, TEXT("eventName")))
			fields.event_name = text_value(list, value);
		else if (text_equal(key, TEXT("traceId")))
			fields.trace_id = text_value(list, value);
		else if (text_equal(key, TEXT("spanId")))
			fields.span_id = text_value(list, value);
		else if (text_equal(key, TEXT("body")))
			body = value;
		else if (text_equal(key, TEXT("attributes")))
			attributes = value;
	}
	otlp_put_fields(list, &fields);
	struct text map = member(body, TEXT("kvlistValue"));
	if (map.size > 0)
		put_kvlist(list, root, map);
	else if (body.size > 0)
		put_value(list, (struct otlp_place){.name = TEXT("body")}, body);
	put_attributes(list, root, attributes);
}

bool otlp_json_next(struct otlp *otlp, struct text *ret_raw, enum reject *ret_why)
{
	struct text record = {0};
	if (!open_next(otlp, &record))
		return false;
	if (otlp->fresh)
		put_envelope(otlp);
	otlp->fresh = false;
	otlp_list_begin(&otlp->record, otlp->record.items, otlp->envelope.arrays);
	*ret_raw = record;
	*ret_why = REJECT_BROKEN_OTLP;
	if (!is_kind(record, '{'))
		return true;
	put_record(&otlp->record, record);
	*ret_why = otlp->record.why != ACCEPTED ? otlp->record.why : otlp->envelope.why;
	return true;
}
