/* /v1/sources/seek: sets where one source partition is read from next.
 *
 * Only on a store that no daemon has open: a running engine would have to stop that stream, forget
 * what it has in hand and begin again. Forward skips records for good; back reads them a second
 * time, and what they made (events, alerts) is then there twice, so that needs "again": true. */
#include <assert.h>
#include <inttypes.h>
#include <json-c/json.h>

#include "cli/api_private.h"

struct seek {
	struct text topic;
	int32_t partition;
	int64_t offset;
	bool again;
};

static void object_done(struct json_object **object)
{
	(void)json_object_put(*object);
}

static void tokener_done(struct json_tokener **tokener)
{
	json_tokener_free(*tokener);
}

/* seek->topic is a view into the object. */
static enum status read_seek(struct json_object *body, struct seek *ret_seek, struct error *err)
{
	struct json_object *topic = NULL;
	struct json_object *partition = NULL;
	struct json_object *offset = NULL;
	struct json_object *again = NULL;
	if (!json_object_object_get_ex(body, "topic", &topic) ||
	    !json_object_is_type(topic, json_type_string) ||
	    !json_object_object_get_ex(body, "partition", &partition) ||
	    !json_object_is_type(partition, json_type_int) ||
	    !json_object_object_get_ex(body, "offset", &offset) ||
	    !json_object_is_type(offset, json_type_int))
		return error_set(err, EINVALID,
				 "the body is {\"topic\":\"T\",\"partition\":P,"
				 "\"offset\":N}");
	int64_t number = json_object_get_int64(partition);
	if (number < 0 || number > INT32_MAX || json_object_get_int64(offset) < 0)
		return error_set(err, EINVALID, "partition and offset are not negative");
	(void)json_object_object_get_ex(body, "again", &again);
	*ret_seek = (struct seek){
		{json_object_get_string(topic), (size_t)json_object_get_string_len(topic)},
		(int32_t)number,
		json_object_get_int64(offset),
		again != NULL && json_object_get_boolean(again)};
	return OK;
}

static enum status move(struct api *api, const struct seek *seek, int64_t *ret_before,
			struct error *err)
{
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	struct position_row row = {0};
	position_key(seek->topic, seek->partition, &key);
	enum status status = store_get(api->store, FAMILY_POSITION, bytes_text(&key), &value, err);
	if (status == ENOTFOUND)
		return error_set(err, status,
				 "%.*s/%" PRId32 " has never been read; see sources list",
				 TEXT_ARG(seek->topic), seek->partition);
	if (status == OK)
		status = position_decode(bytes_text(&key), bytes_text(&value), &row, err);
	if (status != OK)
		return status;
	int64_t before = row.next_offset;
	if (seek->offset < before && !seek->again)
		return error_set(err, EDENIED,
				 "offset %" PRId64 " is behind %" PRId64
				 ": its records would be stored "
				 "and counted a second time; say --again when that is meant",
				 seek->offset, before);
	row.incarnation +=
		seek->offset < before; /* what is read again must not replace what is there */
	row.next_offset = seek->offset;
	if (seek->offset != before)
		row.jump_us = api_now(api);
	struct bytes encoded cleanup(bytes_done) = {0};
	position_encode(&row, &encoded);
	struct store_batch *batch = store_batch_new(api->store);
	if (batch == NULL || encoded.failed) {
		store_batch_free(&batch);
		return error_set(err, ENOMEMORY, "no memory for a seek");
	}
	store_batch_put(batch, FAMILY_POSITION, bytes_text(&key), bytes_text(&encoded));
	status = store_batch_commit(batch, true, err);
	store_batch_free(&batch);
	if (status == OK)
		*ret_before = before;
	return status;
}

enum status api_seek(const struct api_call *call, struct api_response *response, struct error *err)
{
	struct text body = call->request->body;
	struct seek seek = {0};
	int64_t before = 0;
	if (call->api->runtime_status != NULL)
		return error_set(err, EINUSE,
				 "a running daemon cannot seek: stop it, use `picket "
				 "sources seek --data DIR`, and start it again");
	if (call->api->read_only)
		return error_set(err, EDENIED, "the store is open for reading only");
	struct json_tokener *tokener cleanup(tokener_done) = json_tokener_new();
	if (tokener == NULL)
		return error_set(err, ENOMEMORY, "no memory for a seek");
	json_tokener_set_flags(tokener, JSON_TOKENER_VALIDATE_UTF8); /* not STRICT: see action.c */
	struct json_object *object cleanup(object_done) =
		json_tokener_parse_ex(tokener, body.data, (int)body.size);
	if (!json_object_is_type(object, json_type_object) ||
	    json_tokener_get_parse_end(tokener) != body.size)
		return error_set(err, EINVALID, "the body is a JSON object");
	enum status status = read_seek(object, &seek, err);
	if (status == OK)
		status = move(call->api, &seek, &before, err);
	if (status != OK)
		return status;
	struct json_writer json = {.to = &response->body};
	json_write_open(&json, NULL, '{');
	json_write_string(&json, "schema", "picket.seek/1");
	json_write_text(&json, "topic", seek.topic);
	json_write_number(&json, "partition", seek.partition);
	json_write_number(&json, "before", before);
	json_write_number(&json, "next_offset", seek.offset);
	json_write_close(&json, '}');
	return OK;
}
