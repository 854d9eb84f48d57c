/* event - one normalised log record: a flat list of named values, with its time and its origin.
 *
 * Why: rules, storage and correlation all need the same thing: "every value of the field called
 * X". Nested objects are flattened to dotted names ({"user":{"id":1}} is user.id = 1), an array is
 * the same name several times (a Sigma field matches any member), so the dotted and the nested
 * spelling of one field are one field.
 *
 * Invariant: fields are in payload order; names are canonical (schema_canonical) and id agrees with
 * the name; a name stands more than once only for the members of an array or for a protected field
 * that the log gave twice (then QUALITY_DUPLICATE is set). Limits that were hit are in `quality`.
 * Owner: an arena; names and values are views. Thread: one.
 * Units: times are microseconds since 1970, UTC. Limits: EVENT_LOGGED_MAX fields of the log,
 * EVENT_VALUE_MAX bytes a value, EVENT_DEPTH_MAX levels: each degrades one field and sets its flag,
 * an event is never dropped for it and a protected field never hidden by it. */
#ifndef PICKET_RULES_EVENT_H
#define PICKET_RULES_EVENT_H

#include <stdint.h>

#include "rules/arena.h"
#include "rules/bytes.h"
#include "rules/schema.h"
#include "rules/value.h"

enum {
	EVENT_LOGGED_MAX = 1024, /* values that come from the log itself */
	EVENT_OWN_MAX = 64,      /* values that picket adds: no payload can crowd them out */
	EVENT_RULES_MAX = 32,    /* detections that an event names (picket.rule.id) */
	EVENT_FIELDS_MAX = EVENT_LOGGED_MAX + EVENT_OWN_MAX + EVENT_RULES_MAX,
	EVENT_VALUE_MAX = 64 * 1024,
	EVENT_DEPTH_MAX = 32,
	EVENT_NAME_MAX = 512,
};

/* Where a record came from: its identity for ever. A message may hold many records. */
struct origin {
	struct text topic; /* Kafka topic, or the path of a file */
	int32_t partition; /* 0 for files */
	uint32_t index;    /* record inside the message, from 0 */
	int64_t offset;    /* Kafka offset; for files the line number, from 1 */
};

/* Total order: topic bytes, partition, offset, index. */
int origin_compare(const struct origin *a, const struct origin *b);

struct field {
	struct text name;
	enum field_id id; /* FIELD_OTHER: look at the name */
	struct value value;
};

/* What had to be mended or could not be kept; printed as picket.quality. */
enum quality {
	QUALITY_DUPLICATE = 1 << 0,    /* a protected field was given twice with different values */
	QUALITY_TIME_MISSING = 1 << 1, /* no usable time: the record's own time is used */
	QUALITY_TIME_FUTURE = 1 << 2,  /* too far ahead: the record's own time is used */
	QUALITY_TIME_PAST = 1 << 3,    /* too far behind: the record's own time is used */
	QUALITY_FIELDS = 1 << 4,       /* more than EVENT_LOGGED_MAX fields */
	QUALITY_VALUE = 1 << 5,        /* a value was cut to EVENT_VALUE_MAX */
	QUALITY_DEPTH = 1 << 6,        /* deeper than EVENT_DEPTH_MAX: kept as JSON text */
	QUALITY_NAME = 1 << 7,         /* a key with a NUL byte, or cut to EVENT_NAME_MAX */
	QUALITY_PROVENANCE = 1 << 8,   /* the payload claimed a provenance field: ignored */
	QUALITY_INNER =
		1 << 9, /* the inner record of an agent's envelope is broken JSON: kept as text */
	QUALITY_SPOOFED = 1 << 10, /* it claimed a service or tenant that may not write there */
	QUALITY_SECRET = 1 << 11,  /* it held a secret, which was replaced */
	QUALITY_RULES = 1 << 12,   /* more than EVENT_RULES_MAX detections hold for it */
	QUALITY_COUNT = 13,
};

const char *quality_name(enum quality one);

struct logsource {
	struct text category, product, service; /* size 0 = not known */
};

struct event {
	struct field *fields;
	size_t field_count;
	size_t field_capacity;
	int64_t time_us;        /* event time, checked */
	int64_t record_time_us; /* LogAppendTime, else when picket received it */
	struct origin origin;
	struct text owner; /* tenant that owns the event: bound, else claimed, else "-" */
	struct logsource logsource;
	uint32_t quality; /* set of enum quality */
};

/* Adds a value; name is used as it is (canonicalise before). ELIMIT beyond EVENT_FIELDS_MAX,
 * ENOMEMORY when the arena is full. */
enum status event_add(struct event *event, struct arena *arena, struct text name,
		      struct value value);
/* The same for a field of the table, whose name need not be looked up. */
enum status event_add_known(struct event *event, struct arena *arena, enum field_id id,
			    struct value value);

/* The same for several that are ready: all or none. */
enum status event_add_fields(struct event *event, struct arena *arena, const struct field *fields,
			     size_t count);

/* First value of a field of the table, or NULL. */
const struct value *event_get(const struct event *event, enum field_id id);

/* Its text ("" when absent, null or empty). */
struct text event_text(const struct event *event, enum field_id id);

/* The event as rules read it: with what had to be mended as values of picket.quality. It has
 * fields of its own in the arena when there are any, so that what is stored does not change. */
enum status event_as_read(const struct event *event, struct arena *arena, struct event *ret_event);

/* The event as one flat JSON object, names in order, arrays for repeated names. The bytes of its
 * record are picket.src.raw when they are UTF-8, else picket.src.raw_base64. */
void event_json(const struct event *event, struct bytes *to);
/* A JSON string literal, quotes included; bytes that are not UTF-8 become U+FFFD. */
void json_put_string(struct bytes *to, struct text value);

/* RFC 3339 UTC with microseconds where there are any: 2026-11-21T22:31:40.5Z. buffer >= 32. */
struct text time_print(int64_t time_us, char buffer[static 32]);
/* RFC 3339 (T or space, any fraction, Z or offset; no zone = UTC). False when it is none. */
bool time_parse(struct text t, int64_t *ret_time_us);

#endif
