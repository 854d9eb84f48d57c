/* /v1/quarantine: the rows themselves.
 *
 * A quarantined record is called TOPIC/PARTITION/OFFSET/INDEX, read from the right, so that a topic
 * may hold a slash. */
#include <assert.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <sodium.h>
#include <stdlib.h>

#include "cli/api_private.h"
#include "cli/escape.h"

enum {
	ORIGIN_TAIL_BYTES = 16, /* of a key: partition, offset, index behind the topic */
	PARTITION_TAIL_BYTES = 12,
	PREVIEW_BYTES = 200,
};

/* What a list of records is asked for. */
struct record_filter {
	struct text topic, reason;
	int64_t partition; /* -1 = all */
	int64_t since_us, until_us;
	size_t limit;
};

static enum status read_filter(const struct api_call *call, struct record_filter *ret_filter,
			       struct error *err)
{
	struct record_filter filter = {.topic = api_parameter(call, "topic"),
				       .reason = api_parameter(call, "reason")};
	enum status status = api_parameter_number(call, "partition", -1, &filter.partition, err);
	if (status == OK)
		status = api_parameter_time(call, "since", INT64_MIN, &filter.since_us, err);
	if (status == OK)
		status = api_parameter_time(call, "until", INT64_MAX, &filter.until_us, err);
	if (status == OK)
		status = api_parameter_limit(call, &filter.limit, err);
	if (status == OK &&
	    (filter.partition > INT32_MAX || (filter.partition >= 0 && filter.topic.size == 0)))
		status = error_set(err, EINVALID, "partition= needs topic=, and is below 2^31");
	if (status == OK)
		*ret_filter = filter;
	return status;
}

/* The beginning of all keys of a topic, or of one partition of it. */
static void key_prefix(const struct record_filter *filter, struct bytes *to)
{
	struct origin origin = {.topic = filter->topic,
				.partition =
					filter->partition < 0 ? 0 : (int32_t)filter->partition};
	if (filter->topic.size == 0)
		return;
	quarantine_key(&origin, to);
	if (to->failed)
		return;
	assert(to->size > ORIGIN_TAIL_BYTES);
	to->size -= filter->partition < 0 ? ORIGIN_TAIL_BYTES : PARTITION_TAIL_BYTES;
}

static bool is_utf8(struct text text)
{
	uint32_t code = 0;
	for (size_t i = 0; i < text.size;) {
		size_t size = utf8_next(text, i, &code);
		if (size == 0)
			return false;
		i += size;
	}
	return true;
}

static enum status write_raw(struct json_writer *json, struct text raw, struct error *err)
{
	json_write_boolean(json, "is_text", is_utf8(raw));
	if (is_utf8(raw)) {
		json_write_text(json, "raw", raw);
		return OK;
	}
	size_t size = sodium_base64_encoded_len(raw.size, sodium_base64_VARIANT_ORIGINAL);
	char *text = malloc(size);
	if (text == NULL)
		return error_set(err, ENOMEMORY, "no memory for a raw record");
	(void)sodium_bin2base64(text, size, (const unsigned char *)raw.data, raw.size,
				sodium_base64_VARIANT_ORIGINAL);
	json_write_string(json, "raw_base64", text);
	free(text);
	return OK;
}

static enum status write_quarantine(struct json_writer *json, const struct quarantine_row *row,
				    bool whole, struct error *err)
{
	struct bytes id cleanup(bytes_done) = {0};
	enum status status = OK;
	bytes_write(&id, row->origin.topic);
	bytes_print(&id, "/%" PRId32 "/%" PRId64 "/%" PRIu32, row->origin.partition,
		    row->origin.offset, row->origin.index);
	if (id.failed)
		return error_set(err, ENOMEMORY, "no memory for an id");
	json_write_open(json, NULL, '{');
	json_write_text(json, "id", bytes_text(&id));
	api_write_origin(json, &row->origin);
	json_write_time(json, "time", row->record_time_us);
	json_write_text(json, "reason", row->reason);
	json_write_text(json, "detail", row->detail);
	json_write_text(json, "key", row->key);
	json_write_count(json, "size", row->raw.size);
	struct text preview = row->raw;
	if (preview.size > PREVIEW_BYTES)
		preview.size = PREVIEW_BYTES;
	json_write_text(json, "preview", preview);
	if (whole)
		status = write_raw(json, row->raw, err);
	json_write_close(json, '}');
	return status;
}

static bool quarantine_fits(const struct record_filter *filter, const struct quarantine_row *row)
{
	if (filter->reason.size > 0 && !text_equal(filter->reason, row->reason))
		return false;
	return row->record_time_us >= filter->since_us && row->record_time_us <= filter->until_us;
}

enum status api_quarantine_list(const struct api_call *call, struct api_response *response,
				struct error *err)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct bytes prefix cleanup(bytes_done) = {0};
	struct record_filter filter;
	struct text key = {0};
	struct text value = {0};
	size_t total = 0;
	struct json_writer json = {.to = &response->body};
	enum status status = read_filter(call, &filter, err);
	if (status != OK)
		return status;
	key_prefix(&filter, &prefix);
	status = store_scan_new(call->api->store, FAMILY_QUARANTINE, bytes_text(&prefix),
				bytes_text(&prefix), &scan, err);
	json_write_open(&json, NULL, '{');
	json_write_string(&json, "schema", "picket.quarantine/1");
	json_write_open(&json, "quarantine", '[');
	while (status == OK && store_scan_next(scan, &key, &value)) {
		struct quarantine_row row;
		status = quarantine_decode(key, value, &row, err);
		if (status == OK && quarantine_fits(&filter, &row) && total++ < filter.limit)
			status = write_quarantine(&json, &row, false, err);
	}
	if (status == OK)
		status = store_scan_status(scan, err);
	bool damaged = status == ECORRUPT || status == EINCOMPLETE;
	json_write_close(&json, ']');
	json_write_count(&json, "total", total);
	response->rows = total < filter.limit ? total : filter.limit;
	json_write_boolean(&json, "complete", !damaged);
	if (damaged && err != NULL)
		json_write_string(&json, "problem", err->text);
	json_write_close(&json, '}');
	return damaged ? OK : status;
}

bool api_take_number(struct text *text, int64_t most, int64_t *ret_number)
{
	const char *slash = text->size == 0 ? NULL : memrchr(text->data, '/', text->size);
	if (slash == NULL)
		return false;
	struct text digits = text_cut(*text, (size_t)(slash - text->data) + 1);
	int64_t number = 0;
	for (size_t i = 0; i < digits.size; i++) {
		int digit = digits.data[i] - '0';
		if (digit < 0 || digit > 9 || number > (most - digit) / 10)
			return false;
		number = number * 10 + digit;
	}
	text->size = (size_t)(slash - text->data);
	*ret_number = number;
	return digits.size > 0;
}

enum status api_quarantine_one(const struct api_call *call, struct api_response *response,
			       struct error *err)
{
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	struct quarantine_row row;
	struct text topic = call->rest;
	int64_t partition = 0;
	int64_t offset = 0;
	int64_t index = 0;
	if (!api_take_number(&topic, UINT32_MAX, &index) ||
	    !api_take_number(&topic, INT64_MAX, &offset) ||
	    !api_take_number(&topic, INT32_MAX, &partition) || topic.size == 0)
		return error_set(err, EINVALID, "\"%.*s\" is not TOPIC/PARTITION/OFFSET/INDEX",
				 TEXT_ARG(call->rest));
	struct origin origin = {topic, (int32_t)partition, (uint32_t)index, offset};
	quarantine_key(&origin, &key);
	enum status status =
		store_get(call->api->store, FAMILY_QUARANTINE, bytes_text(&key), &value, err);
	if (status == ENOTFOUND)
		return error_set(err, status, "no record %.*s in the quarantine",
				 TEXT_ARG(call->rest));
	if (status == OK)
		status = quarantine_decode(bytes_text(&key), bytes_text(&value), &row, err);
	if (status != OK)
		return status;
	struct json_writer json = {.to = &response->body};
	response->rows = 1;
	return write_quarantine(&json, &row, true, err);
}
