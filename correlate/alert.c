/* Alerts as bytes (version 1 or 2), as they stand in the alert rows of the store:
 *
 *   u8       version: 2 when it has a standard error, else 1
 *   16 bytes id, u8 merged (0 or 1), and if 1: 16 bytes of the id it was merged into
 *   varint   revision        u8 state        varint flags
 *   varint   opened epoch    u64le state id
 *   text     rule id, name, title, key       u8 level
 *   text     tenant          text group (texts: name, value, ...)
 *   varint   count           varint threshold
 *   signed   timespan_us, first_us           varint last_us - first_us
 *   varint   evidence count, then for each:
 *     signed   time_us       text topic      varint partition, offset, index     text context
 *   text     reason
 *   double   standard error, > 0 (version 2 only)
 *
 * Nothing may follow. What is decoded is checked as input: the store is a disk, and disks lie. */
#include "correlate/alert.h"

#include <assert.h>
#include <stdio.h>

enum { ALERT_EXACT = 1, ALERT_ESTIMATED = 2, EVIDENCE_MAX = 2 * ALERT_EVIDENCE_EDGE };

static const char *const state_names[] = {"open", "ended", "merged"};

const char *alert_state_name(enum alert_state state)
{
	assert(state <= ALERT_MERGED);
	return state_names[state];
}

static unsigned hex_value(char digit)
{
	assert((digit >= '0' && digit <= '9') || (digit >= 'a' && digit <= 'f'));
	return (unsigned)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

static void put_id(const char id[ALERT_ID_SIZE + 1], struct bytes *to)
{
	for (unsigned i = 0; i < ALERT_ID_SIZE; i += 2)
		bytes_put_u8(to, (uint8_t)(hex_value(id[i]) << 4 | hex_value(id[i + 1])));
}

static void take_id(struct cursor *from, char id[ALERT_ID_SIZE + 1])
{
	static const char digits[] = "0123456789abcdef";
	for (unsigned i = 0; i < ALERT_ID_SIZE; i += 2) {
		uint8_t byte = cursor_u8(from);
		id[i] = digits[byte >> 4];
		id[i + 1] = digits[byte & 15];
	}
	id[ALERT_ID_SIZE] = '\0';
}

static void put_origin(const struct origin *origin, struct bytes *to)
{
	assert(origin->partition >= 0 && origin->offset >= 0);
	bytes_put_text(to, origin->topic);
	bytes_put_varint(to, (uint64_t)origin->partition);
	bytes_put_varint(to, (uint64_t)origin->offset);
	bytes_put_varint(to, origin->index);
}

void alert_encode(const struct alert *alert, struct bytes *to)
{
	assert(alert->evidence_count <= EVIDENCE_MAX && alert->first_us <= alert->last_us);
	bool merged = alert->merged_into[0] != '\0';
	bytes_put_u8(to, alert->standard_error > 0 ? ALERT_ESTIMATED : ALERT_EXACT);
	put_id(alert->id, to);
	bytes_put_u8(to, merged);
	if (merged)
		put_id(alert->merged_into, to);
	bytes_put_varint(to, alert->revision);
	bytes_put_u8(to, (uint8_t)alert->state);
	bytes_put_varint(to, alert->flags);
	bytes_put_varint(to, alert->opened_epoch);
	bytes_put_u64le(to, alert->state_id);
	bytes_put_text(to, alert->rule_id);
	bytes_put_text(to, alert->rule_name);
	bytes_put_text(to, alert->rule_title);
	bytes_put_text(to, alert->rule_key);
	bytes_put_u8(to, (uint8_t)alert->level);
	bytes_put_text(to, alert->tenant);
	bytes_put_text(to, alert->group);
	bytes_put_varint(to, alert->count);
	bytes_put_varint(to, alert->threshold);
	bytes_put_signed(to, alert->timespan_us);
	bytes_put_signed(to, alert->first_us);
	bytes_put_varint(to, (uint64_t)alert->last_us - (uint64_t)alert->first_us);
	bytes_put_varint(to, alert->evidence_count);
	for (size_t i = 0; i < alert->evidence_count; i++) {
		bytes_put_signed(to, alert->evidence[i].time_us);
		put_origin(&alert->evidence[i].origin, to);
		bytes_put_text(to, alert->evidence[i].context);
	}
	bytes_put_text(to, alert->reason);
	if (alert->standard_error > 0)
		bytes_put_double(to, alert->standard_error);
}

/* Whole texts and nothing else, name and value by turns. */
static bool is_pairs(struct text sequence)
{
	struct cursor inside = cursor_of(sequence);
	while (!inside.failed && cursor_left(&inside) > 0) {
		(void)cursor_text(&inside);
		(void)cursor_text(&inside);
	}
	return !inside.failed;
}

static bool take_evidence(struct cursor *from, struct evidence *evidence)
{
	evidence->time_us = cursor_signed(from);
	evidence->origin.topic = cursor_text(from);
	uint64_t partition = cursor_varint(from);
	uint64_t offset = cursor_varint(from);
	uint64_t index = cursor_varint(from);
	evidence->context = cursor_text(from);
	if (partition > INT32_MAX || offset > INT64_MAX || index > UINT32_MAX)
		return false;
	evidence->origin.partition = (int32_t)partition;
	evidence->origin.offset = (int64_t)offset;
	evidence->origin.index = (uint32_t)index;
	return !from->failed && is_pairs(evidence->context);
}

/* From the version up to the flags. */
static bool take_head(struct cursor *from, struct alert *alert, bool *ret_estimated)
{
	uint8_t version = cursor_u8(from);
	if (version != ALERT_EXACT && version != ALERT_ESTIMATED)
		return false;
	*ret_estimated = version == ALERT_ESTIMATED;
	take_id(from, alert->id);
	uint8_t merged = cursor_u8(from);
	if (merged == 1)
		take_id(from, alert->merged_into);
	uint64_t revision = cursor_varint(from);
	uint8_t state = cursor_u8(from);
	uint64_t flags = cursor_varint(from);
	if (from->failed || revision > UINT32_MAX || flags > UINT32_MAX || state > ALERT_MERGED ||
	    merged != (state == ALERT_MERGED))
		return false;
	alert->revision = (uint32_t)revision;
	alert->state = (enum alert_state)state;
	alert->flags = (uint32_t)flags;
	return true;
}

/* From the opened epoch up to the times. */
static bool take_body(struct cursor *from, struct alert *alert)
{
	alert->opened_epoch = cursor_varint(from);
	alert->state_id = cursor_u64le(from);
	alert->rule_id = cursor_text(from);
	alert->rule_name = cursor_text(from);
	alert->rule_title = cursor_text(from);
	alert->rule_key = cursor_text(from);
	uint8_t level = cursor_u8(from);
	alert->tenant = cursor_text(from);
	alert->group = cursor_text(from);
	alert->count = cursor_varint(from);
	alert->threshold = cursor_varint(from);
	alert->timespan_us = cursor_signed(from);
	alert->first_us = cursor_signed(from);
	uint64_t duration = cursor_varint(from);
	if (from->failed || level > LEVEL_CRITICAL || alert->timespan_us < 0 ||
	    !is_pairs(alert->group) || duration > (uint64_t)INT64_MAX - (uint64_t)alert->first_us)
		return false;
	alert->level = (enum rule_level)level;
	alert->last_us = (int64_t)((uint64_t)alert->first_us + duration);
	return true;
}

enum status alert_decode(struct text encoded, struct alert *ret_alert, struct error *err)
{
	struct cursor from = cursor_of(encoded);
	struct alert alert = {0};
	bool estimated = false;
	if (!take_head(&from, &alert, &estimated) || !take_body(&from, &alert))
		return error_set(err, ECORRUPT, "an alert is damaged, or of a newer version");
	uint64_t count = cursor_varint(&from);
	if (count > EVIDENCE_MAX || count > alert.count)
		return error_set(err, ECORRUPT, "an alert has more evidence than events");
	for (size_t i = 0; i < count; i++)
		if (!take_evidence(&from, &alert.evidence[i]))
			return error_set(err, ECORRUPT, "the evidence of an alert is damaged");
	alert.evidence_count = count;
	alert.reason = cursor_text(&from);
	alert.standard_error = estimated ? cursor_double(&from) : 0;
	if (estimated && !(alert.standard_error > 0 && alert.standard_error < 1))
		return error_set(err, ECORRUPT, "the standard error of an alert is damaged");
	if (from.failed || cursor_left(&from) > 0)
		return error_set(err, ECORRUPT, "an alert is cut off or too long");
	*ret_alert = alert;
	return OK;
}

static void put_literal(struct bytes *to, const char *literal)
{
	bytes_write_string(to, literal);
}

/* "key": of a JSON object, with a comma before it unless it is the first. */
static void put_key(struct bytes *to, const char *key)
{
	if (to->size > 0 && to->data[to->size - 1] != '{')
		bytes_put_u8(to, ',');
	json_put_string(to, text_of(key));
	bytes_put_u8(to, ':');
}

static void put_string(struct bytes *to, const char *key, struct text value)
{
	put_key(to, key);
	json_put_string(to, value);
}

static void put_number(struct bytes *to, const char *key, uint64_t value)
{
	char digits[24];
	(void)snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
	put_key(to, key);
	put_literal(to, digits);
}

static void put_time(struct bytes *to, const char *key, int64_t time_us)
{
	char buffer[32];
	put_string(to, key, time_print(time_us, buffer));
}

/* A sequence name, value, ... as an object. */
static void put_pairs(struct bytes *to, const char *key, struct text pairs)
{
	put_key(to, key);
	bytes_put_u8(to, '{');
	struct cursor from = cursor_of(pairs);
	for (bool first = true; cursor_left(&from) > 0 && !from.failed; first = false) {
		if (!first)
			bytes_put_u8(to, ',');
		json_put_string(to, cursor_text(&from));
		bytes_put_u8(to, ':');
		json_put_string(to, cursor_text(&from));
	}
	bytes_put_u8(to, '}');
}

static void put_event(struct bytes *to, const struct evidence *evidence, bool file_origins)
{
	const struct origin *origin = &evidence->origin;
	bytes_put_u8(to, '{');
	put_string(to, file_origins ? "file" : "topic", origin->topic);
	if (!file_origins)
		put_number(to, "partition", (uint64_t)origin->partition);
	put_number(to, file_origins ? "line" : "offset", (uint64_t)origin->offset);
	put_number(to, "index", origin->index);
	if (!file_origins) {
		put_time(to, "time", evidence->time_us);
		put_pairs(to, "context", evidence->context);
	}
	bytes_put_u8(to, '}');
}

static void put_flags(struct bytes *to, uint32_t flags)
{
	static const char *const names[] = {"backfill", "late", "degraded", "shadow",
					    "approximate"};
	put_key(to, "flags");
	bytes_put_u8(to, '[');
	for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
		if ((flags & 1u << i) == 0)
			continue;
		if (to->data != NULL && to->data[to->size - 1] != '[')
			bytes_put_u8(to, ',');
		json_put_string(to, text_of(names[i]));
	}
	bytes_put_u8(to, ']');
}

/* Four digits: 0.8125 % is 0.008125. */
static void put_error(struct bytes *to, double standard_error)
{
	char digits[24];
	(void)snprintf(digits, sizeof digits, "%.4g", standard_error);
	put_key(to, "standard_error");
	put_literal(to, digits);
}

void alert_json(const struct alert *alert, bool file_origins, struct bytes *to)
{
	assert(alert->level <= LEVEL_CRITICAL);
	bytes_put_u8(to, '{');
	put_string(to, "schema", TEXT("picket.alert/1"));
	put_string(to, "alert_id", text_of(alert->id));
	put_number(to, "revision", alert->revision);
	put_string(to, "state", text_of(alert_state_name(alert->state)));
	if (alert->merged_into[0] != '\0')
		put_string(to, "merged_into", text_of(alert->merged_into));
	put_flags(to, alert->flags);
	put_key(to, "rule");
	bytes_put_u8(to, '{');
	put_string(to, "id", alert->rule_id);
	put_string(to, "name", alert->rule_name);
	put_string(to, "title", alert->rule_title);
	put_string(to, "level", text_of(level_name(alert->level)));
	bytes_put_u8(to, '}');
	put_time(to, "time", alert->last_us);
	put_string(to, "tenant", alert->tenant);
	put_pairs(to, "group", alert->group);
	put_number(to, "count", alert->count);
	put_number(to, "threshold", alert->threshold);
	if (alert->standard_error > 0)
		put_error(to, alert->standard_error);
	put_number(to, "timespan_ms", (uint64_t)alert->timespan_us / 1000);
	put_time(to, "first", alert->first_us);
	put_time(to, "last", alert->last_us);
	put_key(to, "events");
	bytes_put_u8(to, '[');
	for (size_t i = 0; i < alert->evidence_count; i++) {
		if (i > 0)
			bytes_put_u8(to, ',');
		put_event(to, &alert->evidence[i], file_origins);
	}
	bytes_put_u8(to, ']');
	put_string(to, "reason", alert->reason);
	bytes_put_u8(to, '}');
}
