/* otlp_message - protobuf as tests write it: tag, length, bytes. Written by hand so that the
 * decoder is not tested against itself. */
#ifndef PICKET_TESTS_INGEST_OTLP_MESSAGE_H
#define PICKET_TESTS_INGEST_OTLP_MESSAGE_H

#include "rules/bytes.h"

static inline void proto_varint(struct bytes *to, unsigned field, uint64_t value)
{
	bytes_put_varint(to, field << 3);
	bytes_put_varint(to, value);
}

static inline void proto_fixed64(struct bytes *to, unsigned field, uint64_t value)
{
	bytes_put_varint(to, field << 3 | 1);
	bytes_put_u64le(to, value);
}

static inline void proto_text(struct bytes *to, unsigned field, struct text text)
{
	bytes_put_varint(to, field << 3 | 2);
	bytes_put_varint(to, text.size);
	bytes_put(to, text.data, text.size);
}

/* Takes the inner message and empties it. */
static inline void proto_message(struct bytes *to, unsigned field, struct bytes *inner)
{
	proto_text(to, field, bytes_text(inner));
	bytes_clear(inner);
}

/* KeyValue {key, AnyValue {string_value}} as field `field`. */
static inline void proto_attribute(struct bytes *to, unsigned field, struct text key,
				   struct text value)
{
	struct bytes any = {0};
	struct bytes pair = {0};
	proto_text(&any, 1, value);
	proto_text(&pair, 1, key);
	proto_message(&pair, 2, &any);
	proto_message(to, field, &pair);
	bytes_done(&any);
	bytes_done(&pair);
}

static inline void proto_attribute_integer(struct bytes *to, unsigned field, struct text key,
					   int64_t value)
{
	struct bytes any = {0};
	struct bytes pair = {0};
	proto_varint(&any, 3, (uint64_t)value);
	proto_text(&pair, 1, key);
	proto_message(&pair, 2, &any);
	proto_message(to, field, &pair);
	bytes_done(&any);
	bytes_done(&pair);
}

/* One record (its bytes) as a whole message, with the attributes of a resource or none. */
static inline void proto_wrap(struct bytes *to, struct text record, struct text resource)
{
	struct bytes scope = {0};
	struct bytes logs = {0};
	proto_text(&scope, 2, record);
	if (resource.size > 0)
		proto_text(&logs, 1, resource);
	proto_message(&logs, 2, &scope);
	proto_message(to, 1, &logs);
	bytes_done(&scope);
	bytes_done(&logs);
}

#endif
