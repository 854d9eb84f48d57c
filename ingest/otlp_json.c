/* The OpenTelemetry protocol as JSON (its protobuf-JSON mapping): lowerCamelCase keys, 64-bit
 * integers as numbers or as texts, trace and span ids in hexadecimal, unknown keys ignored.
 *
 * The message is checked and indexed as a whole first (json_index): one pass over its bytes, of
 * which nothing comes out when it is broken further on. From then on a value is a node of the tape,
 * and what is not asked for is stepped over. Node 0 is "there is none". Of a key given twice the
 * last one counts, as everywhere. */
#include <assert.h>

#include "ingest/otlp_private.h"
#include "rules/number.h"

/* Objects nest no deeper than this on the way to a record. */
enum { LEVELS = 3, KEEP_NODES_MAX = 128 * 1024 };

static size_t skip_blanks(struct text t, size_t at)
{
	while (at < t.size && json_blank(t.data[at]))
		at++;
	return at;
}

/* The bytes of a value. */
static struct text span(const struct json_tape *tape, uint32_t node)
{
	const struct json_node *at = &tape->nodes[node];
	return (struct text){tape->text.data + at->begin, at->size};
}

static bool is_kind(const struct json_tape *tape, uint32_t node, char first)
{
	return node != 0 && tape->text.data[tape->nodes[node].begin] == first;
}

/* The next element of an array, 0 behind the last; *at begins at 0. Nothing else has elements. */
static uint32_t element_next(const struct json_tape *tape, uint32_t array, uint32_t *at)
{
	uint32_t node = *at == 0 ? array + 1 : *at;
	if (!is_kind(tape, array, '[') || node >= tape->nodes[array].next)
		return 0;
	*at = tape->nodes[node].next;
	return node;
}

/* The next member of an object: the key without its quotes, still escaped; its value, or 0. */
static uint32_t member_next(const struct json_tape *tape, uint32_t object, uint32_t *at,
			    struct text *ret_key)
{
	uint32_t node = *at == 0 ? object + 1 : *at;
	if (!is_kind(tape, object, '{') || node >= tape->nodes[object].next)
		return 0;
	struct text key = span(tape, node);
	*ret_key = (struct text){key.data + 1, key.size - 2};
	*at = tape->nodes[node + 1].next;
	return node + 1;
}

/* The last member of this name, 0 when there is none. */
static uint32_t member(const struct json_tape *tape, uint32_t object, struct text name)
{
	uint32_t found = 0;
	uint32_t at = 0;
	struct text key = {0};
	for (uint32_t value = 0; (value = member_next(tape, object, &at, &key)) != 0;)
		if (text_equal(key, name))
			found = value;
	return found;
}

/* A string's bytes; a number's digits; else nothing. */
static struct text text_value(struct otlp_list *list, const struct json_tape *tape, uint32_t node)
{
	struct text value = node == 0 ? (struct text){0} : span(tape, node);
	if (!is_kind(tape, node, '"')) {
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
	if (otlp->tape->capacity > KEEP_NODES_MAX) /* one huge message pins no memory for ever */
		json_tape_done(otlp->tape);
	enum json_result result = json_index(t, otlp->tape, &end, &problem);
	if (result == JSON_MEMORY)
		return REJECT_MEMORY;
	bool good = result == JSON_OK;
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
	otlp->record.utf8 = otlp->envelope.utf8 = true;
	otlp->arrays[0] = member(otlp->tape, 1, TEXT("resourceLogs"));
	otlp->detail = TEXT("`resourceLogs` is no array: not a message of the OpenTelemetry "
			    "protocol");
	return is_kind(otlp->tape, otlp->arrays[0], '[') ? ACCEPTED : REJECT_BROKEN_OTLP;
}

/* What is being read: a tape, and the list that its values go to. */
struct reading {
	const struct json_tape *tape;
	struct otlp_list *list;
};

static void put_attributes(struct reading to, struct otlp_place parent, uint32_t array);
static void put_value(struct reading to, struct otlp_place place, uint32_t any);

static void put_array(struct reading to, struct otlp_place place, uint32_t any)
{
	uint32_t values = member(to.tape, any, TEXT("values"));
	uint32_t at = 0;
	bool empty = true;
	if (place.depth >= JSON_DEPTH_MAX) {
		otlp_put_deep(to.list, place, span(to.tape, any), false);
		return;
	}
	place = otlp_array(to.list, place);
	for (uint32_t value = 0; (value = element_next(to.tape, values, &at)) != 0; empty = false)
		put_value(to, place, value);
	if (empty)
		otlp_put_empty(to.list, place);
}

static void put_kvlist(struct reading to, struct otlp_place place, uint32_t any)
{
	uint32_t values = member(to.tape, any, TEXT("values"));
	uint32_t at = 0;
	if (place.depth >= JSON_DEPTH_MAX)
		otlp_put_deep(to.list, place, span(to.tape, any), false);
	else if (element_next(to.tape, values, &at) != 0)
		put_attributes(to, place, values);
	else if (place.name.size > 0)
		otlp_put_empty(to.list, place);
}

static void put_integer(struct otlp_list *list, struct otlp_place place, struct text text)
{
	struct number number;
	if (number_parse(text, &number) && number.is_integer)
		otlp_put_integer(list, place, number.integer);
	else
		otlp_put_text(list, place, text);
}

/* A double may be written as "NaN" or "Infinity". */
static void put_real(struct otlp_list *list, struct otlp_place place, struct text text)
{
	struct number number;
	if (number_parse(text, &number))
		otlp_put_real(list, place, number.real);
	else if (text_equal(text, TEXT("Infinity")) || text_equal(text, TEXT("-Infinity")))
		otlp_put_real(list, place,
			      text.data[0] == '-' ? -__builtin_inf() : __builtin_inf());
	else
		otlp_put_null(list, place);
}

static void put_value(struct reading to, struct otlp_place place, uint32_t any)
{
	struct text key = {0};
	uint32_t value = 0;
	uint32_t at = 0;
	for (uint32_t next = 0; (next = member_next(to.tape, any, &at, &key)) != 0;)
		value = next; /* the last one counts */
	if (text_equal(key, TEXT("stringValue")) || text_equal(key, TEXT("bytesValue")))
		otlp_put_text(to.list, place, text_value(to.list, to.tape, value));
	else if (text_equal(key, TEXT("boolValue")))
		otlp_put_boolean(to.list, place, text_equal(span(to.tape, value), TEXT("true")));
	else if (text_equal(key, TEXT("intValue")))
		put_integer(to.list, place, text_value(to.list, to.tape, value));
	else if (text_equal(key, TEXT("doubleValue")))
		put_real(to.list, place, text_value(to.list, to.tape, value));
	else if (text_equal(key, TEXT("arrayValue")))
		put_array(to, place, value);
	else if (text_equal(key, TEXT("kvlistValue")))
		put_kvlist(to, place, value);
	else
		otlp_put_null(to.list, place);
}

static void put_attributes(struct reading to, struct otlp_place parent, uint32_t array)
{
	uint32_t pair = 0;
	for (uint32_t at = 0; (pair = element_next(to.tape, array, &at)) != 0;) {
		uint32_t name = 0;
		uint32_t given = 0;
		uint32_t inner = 0;
		struct text key = {0};
		for (uint32_t value = 0; (value = member_next(to.tape, pair, &inner, &key)) != 0;)
			if (text_equal(key, TEXT("key")))
				name = value;
			else if (text_equal(key, TEXT("value")))
				given = value;
		put_value(to, otlp_member(to.list, parent, text_value(to.list, to.tape, name)),
			  given);
	}
}

static void put_envelope(struct otlp *otlp)
{
	struct otlp_list *list = &otlp->envelope;
	const struct reading to = {otlp->tape, list};
	const struct otlp_place root = {0};
	otlp_list_begin(list, list->items, 0);
	put_attributes(to, root, member(to.tape, otlp->resource, TEXT("attributes")));
	struct text name = text_value(list, to.tape, member(to.tape, otlp->scope, TEXT("name")));
	struct text version =
		text_value(list, to.tape, member(to.tape, otlp->scope, TEXT("version")));
	if (name.size > 0)
		otlp_put_text(list, (struct otlp_place){.name = TEXT("scope.name")}, name);
	if (version.size > 0)
		otlp_put_text(list, (struct otlp_place){.name = TEXT("scope.version")}, version);
	put_attributes(to, root, member(to.tape, otlp->scope, TEXT("attributes")));
}

/* Opens what comes next until an array of records has one; 0 when all is read. */
static uint32_t open_next(struct otlp *otlp)
{
	static const struct text inner[LEVELS] = {
		{"resourceLogs", 12}, {"scopeLogs", 9}, {"logRecords", 10}};
	static const struct text about[LEVELS] = {{"", 0}, {"resource", 8}, {"scope", 5}};
	for (int level = LEVELS - 1; level >= 0;) {
		uint32_t element = element_next(otlp->tape, otlp->arrays[level], &otlp->at[level]);
		if (element == 0) {
			otlp->arrays[level] = 0;
			level--;
			continue;
		}
		if (level == LEVELS - 1)
			return element;
		level++;
		otlp->arrays[level] = member(otlp->tape, element, inner[level]);
		otlp->at[level] = 0;
		*(level == 1 ? &otlp->resource : &otlp->scope) =
			member(otlp->tape, element, about[level]);
		otlp->fresh = true;
	}
	return 0;
}

static uint64_t unsigned_of(struct text text)
{
	struct number number;
	return number_parse(text, &number) && number.is_integer && number.integer > 0
		       ? (uint64_t)number.integer
		       : 0;
}

/* A member of a record that is neither its body nor its attributes. */
static void take_field(struct reading from, struct text key, uint32_t value,
		       struct otlp_fields *fields)
{
	const struct {
		struct text key;
		uint64_t *number;
		struct text *text;
	} known[] = {{{"timeUnixNano", 12}, &fields->time_unix_nano, NULL},
		     {{"observedTimeUnixNano", 20}, &fields->observed_time_unix_nano, NULL},
		     {{"severityNumber", 14}, &fields->severity_number, NULL},
		     {{"severityText", 12}, NULL, &fields->severity_text},
		     {{"eventName", 9}, NULL, &fields->event_name},
		     {{"traceId", 7}, NULL, &fields->trace_id},
		     {{"spanId", 6}, NULL, &fields->span_id}};
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		if (!text_equal(key, known[i].key))
			continue;
		struct text text = text_value(from.list, from.tape, value);
		if (known[i].number != NULL)
			*known[i].number = unsigned_of(text);
		else
			*known[i].text = text;
		return;
	}
}

static void put_record(struct reading to, uint32_t record)
{
	const struct otlp_place root = {0};
	struct otlp_fields fields = {0};
	struct text key = {0};
	uint32_t body = 0;
	uint32_t attributes = 0;
	uint32_t at = 0;
	for (uint32_t value = 0; (value = member_next(to.tape, record, &at, &key)) != 0;)
		if (text_equal(key, TEXT("body")))
			body = value;
		else if (text_equal(key, TEXT("attributes")))
			attributes = value;
		else
			take_field(to, key, value, &fields);
	otlp_put_fields(to.list, &fields);
	uint32_t map = member(to.tape, body, TEXT("kvlistValue"));
	if (map != 0)
		put_kvlist(to, root, map);
	else if (body != 0)
		put_value(to, (struct otlp_place){.name = TEXT("body")}, body);
	put_attributes(to, root, attributes);
}

bool otlp_json_next(struct otlp *otlp, struct text *ret_raw, enum reject *ret_why)
{
	uint32_t record = open_next(otlp);
	if (record == 0)
		return false;
	if (otlp->fresh)
		put_envelope(otlp);
	otlp->fresh = false;
	otlp_list_begin(&otlp->record, otlp->record.items, otlp->envelope.arrays);
	*ret_raw = span(otlp->tape, record);
	*ret_why = REJECT_BROKEN_OTLP;
	if (!is_kind(otlp->tape, record, '{'))
		return true;
	put_record((struct reading){otlp->tape, &otlp->record}, record);
	*ret_why = otlp->record.why != ACCEPTED ? otlp->record.why : otlp->envelope.why;
	return true;
}
