/* The OpenTelemetry protocol as protobuf (otlp.proto, unpacked by protobuf-c).
 *
 * protobuf-c unpacks a message as a tree, on the stack as deep as the message nests and with memory
 * for all of it at once. So that neither is in an attacker's hands, everything that nests is
 * `bytes` in otlp.proto and is unpacked here when its turn comes: one record at a time, one level
 * of a value at a time, at most JSON_DEPTH_MAX levels. Its memory comes from the message's arena
 * and is never given back before the message is done.
 *
 * A message of the protocol is a sequence of field 1, each a sequence of fields 1 to 3, all with a
 * length. The sniffer checks both levels to the last byte; no JSON, text or syslog line passes. */
#include <assert.h>

#include "ingest/otlp_private.h"
#include "otlp.pb-c.h"

struct otlp_proto {
	ProtobufCAllocator allocator;
	Otlp__ExportLogs *logs;
	Otlp__ResourceLogs *resource;
	Otlp__ScopeLogs *scope;
	size_t next_resource, next_scope, next_record;
};

static void *arena_take(void *arena, size_t size)
{
	return arena_alloc(arena, size == 0 ? 1 : size);
}

static void arena_leave(void *arena, void *memory)
{
	(void)arena;
	(void)memory;
}

static struct text text_of_data(ProtobufCBinaryData data)
{
	return (struct text){(const char *)data.data, data.len};
}

/* One field with a length: its number and its bytes; false at the end or when it is none. */
static bool field_next(struct text *left, unsigned *ret_number, struct text *ret_inside)
{
	uint64_t size = 0;
	size_t at = 1;
	if (left->size < 2 || ((unsigned char)left->data[0] & 7) != 2 ||
	    ((unsigned char)left->data[0] & 0x80) != 0)
		return false;
	for (unsigned shift = 0;; shift += 7) {
		if (at == left->size || shift > 28)
			return false;
		unsigned char byte = (unsigned char)left->data[at++];
		size |= (uint64_t)(byte & 0x7f) << shift;
		if ((byte & 0x80) == 0)
			break;
	}
	if (size > left->size - at)
		return false;
	*ret_number = (unsigned char)left->data[0] >> 3;
	*ret_inside = (struct text){left->data + at, size};
	*left = text_cut(*left, at + size);
	return true;
}

bool otlp_proto_sniff(struct text message)
{
	unsigned number = 0;
	struct text resource = {0};
	struct text inside = {0};
	bool records = false;
	while (message.size > 0) {
		if (!field_next(&message, &number, &resource) || number != 1)
			return false;
		while (resource.size > 0) {
			if (!field_next(&resource, &number, &inside) || number == 0 || number > 3)
				return false;
			records = records || number == 2;
		}
	}
	return records;
}

enum reject otlp_proto_begin(struct otlp *otlp)
{
	struct arena *arena = otlp->record.arena;
	struct otlp_proto *proto = arena_alloc(arena, sizeof *proto);
	if (proto == NULL)
		return REJECT_MEMORY;
	*proto = (struct otlp_proto){
		.allocator = {.alloc = arena_take, .free = arena_leave, .allocator_data = arena}};
	proto->logs = otlp__export_logs__unpack(&proto->allocator, otlp->message.size,
						(const uint8_t *)otlp->message.data);
	otlp->proto = proto;
	otlp->detail = TEXT("not a message of the OpenTelemetry protocol (logs, protobuf)");
	return proto->logs == NULL ? REJECT_BROKEN_OTLP : ACCEPTED;
}

static void put_value(struct otlp *otlp, struct otlp_list *list, struct otlp_place place,
		      const Otlp__AnyValue *value);

static void put_attributes(struct otlp *otlp, struct otlp_list *list, struct otlp_place parent,
			   Otlp__KeyValue *const *attributes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		put_value(otlp, list, otlp_member(list, parent, text_of_data(attributes[i]->key)),
			  attributes[i]->value);
}

static void put_kvlist(struct otlp *otlp, struct otlp_list *list, struct otlp_place place,
		       ProtobufCBinaryData data)
{
	if (place.depth >= JSON_DEPTH_MAX) {
		otlp_put_deep(list, place, text_of_data(data), true);
		return;
	}
	const Otlp__KeyValueList *values =
		otlp__key_value_list__unpack(&otlp->proto->allocator, data.len, data.data);
	if (values == NULL)
		list->why = list->why == ACCEPTED ? REJECT_BROKEN_OTLP : list->why;
	else if (values->n_values == 0 && place.name.size > 0)
		otlp_put_empty(list, place);
	else
		put_attributes(otlp, list, place, values->values, values->n_values);
}

static void put_array(struct otlp *otlp, struct otlp_list *list, struct otlp_place place,
		      ProtobufCBinaryData data)
{
	if (place.depth >= JSON_DEPTH_MAX) {
		otlp_put_deep(list, place, text_of_data(data), true);
		return;
	}
	const Otlp__ArrayValue *values =
		otlp__array_value__unpack(&otlp->proto->allocator, data.len, data.data);
	if (values == NULL) {
		list->why = list->why == ACCEPTED ? REJECT_BROKEN_OTLP : list->why;
		return;
	}
	place = otlp_array(list, place);
	if (values->n_values == 0)
		otlp_put_empty(list, place);
	for (size_t i = 0; i < values->n_values; i++)
		put_value(otlp, list, place, values->values[i]);
}

static void put_value(struct otlp *otlp, struct otlp_list *list, struct otlp_place place,
		      const Otlp__AnyValue *value)
{
	if (value == NULL) {
		otlp_put_null(list, place);
		return;
	}
	switch (value->value_case) {
	case OTLP__ANY_VALUE__VALUE_STRING_VALUE:
		otlp_put_text(list, place, text_of_data(value->string_value));
		return;
	case OTLP__ANY_VALUE__VALUE_BOOL_VALUE:
		otlp_put_boolean(list, place, value->bool_value != 0);
		return;
	case OTLP__ANY_VALUE__VALUE_INT_VALUE:
		otlp_put_integer(list, place, value->int_value);
		return;
	case OTLP__ANY_VALUE__VALUE_DOUBLE_VALUE:
		otlp_put_real(list, place, value->double_value);
		return;
	case OTLP__ANY_VALUE__VALUE_ARRAY_VALUE:
		put_array(otlp, list, place, value->array_value);
		return;
	case OTLP__ANY_VALUE__VALUE_KVLIST_VALUE:
		put_kvlist(otlp, list, place, value->kvlist_value);
		return;
	case OTLP__ANY_VALUE__VALUE_BYTES_VALUE:
		otlp_put_bytes(list, place, text_of_data(value->bytes_value));
		return;
	default:
		otlp_put_null(list, place);
	}
}

static void put_envelope(struct otlp *otlp)
{
	struct otlp_proto *proto = otlp->proto;
	struct otlp_list *list = &otlp->envelope;
	const struct otlp_place root = {0};
	otlp_list_begin(list, list->items, 0);
	const Otlp__Resource *resource = otlp__resource__unpack(
		&proto->allocator, proto->resource->resource.len, proto->resource->resource.data);
	if (resource == NULL) {
		list->why = REJECT_BROKEN_OTLP;
		return;
	}
	put_attributes(otlp, list, root, resource->attributes, resource->n_attributes);
	const Otlp__Scope *scope = proto->scope->scope;
	if (scope == NULL)
		return;
	if (scope->name.len > 0)
		otlp_put_text(list, (struct otlp_place){.name = TEXT("scope.name")},
			      text_of_data(scope->name));
	if (scope->version.len > 0)
		otlp_put_text(list, (struct otlp_place){.name = TEXT("scope.version")},
			      text_of_data(scope->version));
	put_attributes(otlp, list, root, scope->attributes, scope->n_attributes);
}

/* The next resource or scope that is not empty; false when there is none. A broken one is a reject
 * of its own: *ret_broken. */
static bool open_next(struct otlp *otlp, struct text *ret_broken)
{
	struct otlp_proto *proto = otlp->proto;
	for (;;) {
		if (proto->scope != NULL && proto->next_record < proto->scope->n_log_records)
			return true;
		proto->scope = NULL;
		proto->next_record = 0;
		if (proto->resource != NULL && proto->next_scope < proto->resource->n_scope_logs) {
			ProtobufCBinaryData data = proto->resource->scope_logs[proto->next_scope++];
			proto->scope =
				otlp__scope_logs__unpack(&proto->allocator, data.len, data.data);
			*ret_broken = text_of_data(data);
			if (proto->scope == NULL)
				return true;
			otlp->fresh = true;
			continue;
		}
		proto->resource = NULL;
		proto->next_scope = 0;
		if (proto->next_resource == proto->logs->n_resource_logs)
			return false;
		ProtobufCBinaryData data = proto->logs->resource_logs[proto->next_resource++];
		proto->resource =
			otlp__resource_logs__unpack(&proto->allocator, data.len, data.data);
		*ret_broken = text_of_data(data);
		if (proto->resource == NULL)
			return true;
	}
}

static void put_record(struct otlp *otlp, const Otlp__LogRecord *record)
{
	struct otlp_list *list = &otlp->record;
	struct otlp_place root = {0};
	otlp_put_fields(list, &(struct otlp_fields){
				      .time_unix_nano = record->time_unix_nano,
				      .observed_time_unix_nano = record->observed_time_unix_nano,
				      .severity_number = record->severity_number,
				      .severity_text = text_of_data(record->severity_text),
				      .event_name = text_of_data(record->event_name),
				      .trace_id = otlp_hex(list, text_of_data(record->trace_id)),
				      .span_id = otlp_hex(list, text_of_data(record->span_id)),
			      });
	const Otlp__AnyValue *body = record->body;
	if (body != NULL && body->value_case == OTLP__ANY_VALUE__VALUE_KVLIST_VALUE)
		put_kvlist(otlp, list, root, body->kvlist_value);
	else if (body != NULL)
		put_value(otlp, list, (struct otlp_place){.name = TEXT("body")}, body);
	put_attributes(otlp, list, root, record->attributes, record->n_attributes);
}

bool otlp_proto_next(struct otlp *otlp, struct text *ret_raw, enum reject *ret_why)
{
	struct otlp_proto *proto = otlp->proto;
	struct text broken = {0};
	if (!open_next(otlp, &broken))
		return false;
	if (proto->resource == NULL || proto->scope == NULL) {
		*ret_raw = broken;
		*ret_why = REJECT_BROKEN_OTLP;
		return true;
	}
	ProtobufCBinaryData data = proto->scope->log_records[proto->next_record++];
	*ret_raw = text_of_data(data);
	if (otlp->fresh)
		put_envelope(otlp);
	otlp->fresh = false;
	otlp_list_begin(&otlp->record, otlp->record.items, otlp->envelope.arrays);
	const Otlp__LogRecord *record =
		otlp__log_record__unpack(&proto->allocator, data.len, data.data);
	*ret_why = REJECT_BROKEN_OTLP;
	if (record == NULL)
		return true;
	put_record(otlp, record);
	*ret_why = otlp->record.why != ACCEPTED ? otlp->record.why : otlp->envelope.why;
	return true;
}
