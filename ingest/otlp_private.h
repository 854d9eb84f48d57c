/* otlp - messages of the OpenTelemetry protocol (logs), as protobuf or as JSON: record by record.
 *
 *     resourceLogs[] > resource, scopeLogs[] > scope, logRecords[]
 *
 * Why: it is what the OpenTelemetry Collector writes to Kafka (protobuf by default), and one
 * message holds many records. Both encodings come out as the same two lists of named values: what
 * the resource and the scope say (the envelope: who logged), and what the record says.
 *
 * Names: attributes have their own; nested ones are joined with dots, members of an array repeat
 * it. A record's parts are @timestamp, event.created, log.level (the severity's text),
 * severity_number, body (a text or a number), trace.id, span.id, event_name; of a body that is a
 * map, the members have their own names, as if they were attributes. The scope is scope.name,
 * scope.version.
 *
 * Invariant: record i of a message is the i-th in wire order, whatever is wrong with others: a
 * record that cannot be read is a reject of its own, a message whose outer shape is broken is one
 * reject as a whole. Owner: a decoder; views point into the message or the arena. Thread: one.
 * Limits: JSON_DEPTH_MAX levels of nesting (deeper values are kept as one text), JSON_ITEMS_MAX
 * values a list, JSON_NAME_MAX bytes a name, as for json_walk(). */
#ifndef PICKET_INGEST_OTLP_PRIVATE_H
#define PICKET_INGEST_OTLP_PRIVATE_H

#include "ingest/decode.h"
#include "ingest/json.h"
#include "rules/arena.h"

/* A list of values in the making. */
struct otlp_list {
	struct json_items *items;
	struct arena *arena;
	const struct json_options *options; /* keep() */
	uint32_t arrays;                    /* outermost arrays seen */
	bool utf8;                          /* the message has been checked as a whole */
	enum reject why;                    /* sticky: REJECT_MEMORY, REJECT_NOT_UTF8 */
};

/* Where a value goes: its name, the outermost array it is a member of, its depth. */
struct otlp_place {
	struct text name;
	uint32_t array;
	unsigned depth;
};

void otlp_list_begin(struct otlp_list *list, struct json_items *items, uint32_t arrays);
struct otlp_place otlp_member(struct otlp_list *list, struct otlp_place parent, struct text key);
struct otlp_place otlp_array(struct otlp_list *list, struct otlp_place place);
void otlp_put_text(struct otlp_list *list, struct otlp_place place, struct text text);
void otlp_put_integer(struct otlp_list *list, struct otlp_place place, int64_t integer);
void otlp_put_real(struct otlp_list *list, struct otlp_place place, double real);
void otlp_put_boolean(struct otlp_list *list, struct otlp_place place, bool boolean);
void otlp_put_null(struct otlp_list *list, struct otlp_place place);
void otlp_put_empty(struct otlp_list *list, struct otlp_place place);
void otlp_put_bytes(struct otlp_list *list, struct otlp_place place, struct text bytes);
/* What is too deep: kept as base64 of its bytes (protobuf) or as its text. */
void otlp_put_deep(struct otlp_list *list, struct otlp_place place, struct text raw, bool binary);

/* The fields of a record that are no attributes; those that are missing are empty or 0. */
struct otlp_fields {
	uint64_t time_unix_nano, observed_time_unix_nano, severity_number;
	struct text severity_text, event_name;
	struct text trace_id, span_id; /* in hexadecimal */
};
void otlp_put_fields(struct otlp_list *list, const struct otlp_fields *fields);
struct text otlp_hex(struct otlp_list *list, struct text bytes);

/* An encoding: the next record's lists. *ret_raw is the record's own bytes. */
struct otlp {
	bool binary;
	struct text message;
	struct otlp_list envelope, record;
	struct text detail; /* of a reject */
	/* protobuf: what is open */
	struct otlp_proto *proto;
	/* JSON: nodes of the arrays that are open, outermost first; 0: not open */
	struct json_tape *tape; /* lent */
	uint32_t arrays[3], at[3];
	uint32_t scope, resource; /* of the open elements */
	bool fresh;               /* the envelope must be read anew */
	size_t envelope_count;    /* of its values */
};

/* Does the message look like one of the protocol? Strict enough that no text does by accident. */
bool otlp_proto_sniff(struct text message);
bool otlp_json_sniff(struct text message);

/* ACCEPTED, or why the message as a whole is none; then otlp->detail says more. */
enum reject otlp_proto_begin(struct otlp *otlp);
enum reject otlp_json_begin(struct otlp *otlp);
/* False: no more. Otherwise *ret_why is ACCEPTED, or why this record cannot be read. */
bool otlp_proto_next(struct otlp *otlp, struct text *ret_raw, enum reject *ret_why);
bool otlp_json_next(struct otlp *otlp, struct text *ret_raw, enum reject *ret_why);

#endif
