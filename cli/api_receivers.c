/* /v1/receivers: how far each receiver of alerts has heard, what it would not take, one more try
 * for that, and a test message. */
#include <assert.h>

#include "cli/api_private.h"
#include "cli/sender.h"
#include "storage/rows.h"

static const char *state_of(const struct receiver_progress *progress, uint64_t pending)
{
	if (progress->failing_us != INT64_MIN)
		return "failing";
	return pending > 0 ? "sending" : "ok";
}

static enum status outbox_next(struct api *api, uint64_t *ret_next, struct error *err)
{
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	struct epoch_row row = {0};
	epoch_key(&key);
	enum status status = store_get(api->store, FAMILY_POSITION, bytes_text(&key), &value, err);
	if (status == OK)
		status = epoch_decode(bytes_text(&value), &row, err);
	if (status == OK || status == ENOTFOUND)
		*ret_next = row.outbox_next;
	return status == ENOTFOUND ? OK : status;
}

enum status api_receiver_read(struct api *api, enum receiver_kind kind,
			      struct api_receiver *ret_receiver, struct error *err)
{
	struct bytes key cleanup(bytes_done) = {0};
	struct api_receiver receiver = {0};
	uint64_t end = 0;
	receiver_progress_key(kind, &key);
	enum status status =
		store_get(api->store, FAMILY_REGISTRY, bytes_text(&key), &ret_receiver->keep, err);
	if (status == OK)
		status = receiver_progress_decode(bytes_text(&ret_receiver->keep),
						  &receiver.progress, err);
	if (status == OK)
		status = outbox_next(api, &end, err);
	if (status != OK)
		return status;
	receiver.pending = end > receiver.progress.next ? end - receiver.progress.next : 0;
	receiver.state = state_of(&receiver.progress, receiver.pending);
	receiver.keep = ret_receiver->keep;
	*ret_receiver = receiver;
	return OK;
}

void api_receiver_done(struct api_receiver *receiver)
{
	bytes_done(&receiver->keep);
}

static enum status write_receiver(struct api *api, enum receiver_kind kind,
				  struct json_writer *json, struct error *err)
{
	struct api_receiver receiver cleanup(api_receiver_done) = {0};
	enum status status = api_receiver_read(api, kind, &receiver, err);
	bool configured = api->sender != NULL && sender_has(api->sender, kind);
	if (status == ENOTFOUND && !configured)
		return OK; /* never heard of */
	if (status != OK && status != ENOTFOUND)
		return status;
	const struct receiver_progress *progress = &receiver.progress;
	json_write_open(json, NULL, '{');
	json_write_string(json, "name", receiver_name(kind));
	if (api->sender != NULL)
		json_write_boolean(json, "configured", configured);
	else
		json_write_null(json, "configured");
	json_write_string(json, "state",
			  api->sender != NULL && !configured ? "off"
			  : status == ENOTFOUND              ? "ok"
							     : receiver.state);
	json_write_count(json, "sent", progress->sent);
	json_write_count(json, "pending", receiver.pending);
	json_write_count(json, "undelivered", progress->undelivered);
	json_write_count(json, "skipped", progress->skipped);
	json_write_time(json, "last_sent", status == ENOTFOUND ? INT64_MIN : progress->sent_us);
	json_write_time(json, "failing_since",
			status == ENOTFOUND ? INT64_MIN : progress->failing_us);
	json_write_text(json, "problem", progress->problem);
	json_write_close(json, '}');
	return OK;
}

/* What a receiver would not take, at most `limit` rows. */
static enum status write_undelivered(struct api *api, enum receiver_kind kind, size_t limit,
				     struct json_writer *json, struct error *err)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct bytes prefix cleanup(bytes_done) = {0};
	struct text key = {0};
	struct text value = {0};
	undelivered_key(kind, (struct text){0}, &prefix);
	enum status status = store_scan_new(api->store, FAMILY_REGISTRY, bytes_text(&prefix),
					    bytes_text(&prefix), &scan, err);
	while (status == OK && limit > 0 && store_scan_next(scan, &key, &value)) {
		struct undelivered row = {0};
		struct text names[2];
		char letter = 0;
		int64_t unused = 0;
		status = undelivered_decode(value, &row, err);
		if (status == OK)
			status = registry_key_decode(key, &letter, names, 2, &unused, err);
		if (status != OK)
			break;
		json_write_open(json, NULL, '{');
		json_write_string(json, "receiver", receiver_name(kind));
		json_write_text(json, "alert_id", names[1]);
		json_write_count(json, "revision", row.revision);
		json_write_time(json, "time", row.time_us);
		json_write_boolean(json, "again", row.again);
		json_write_text(json, "reason", row.reason);
		json_write_close(json, '}');
		limit--;
	}
	return status == OK ? store_scan_status(scan, err) : status;
}

enum status api_receivers(const struct api_call *call, struct api_response *response,
			  struct error *err)
{
	struct json_writer json = {.to = &response->body};
	size_t limit = 0;
	enum status status = api_parameter_limit(call, &limit, err);
	json_write_open(&json, NULL, '{');
	json_write_string(&json, "schema", "picket.receivers/1");
	json_write_boolean(&json, "complete", true);
	json_write_open(&json, "receivers", '[');
	for (unsigned i = 0; status == OK && i < RECEIVER_KIND_COUNT; i++)
		status = write_receiver(call->api, (enum receiver_kind)i, &json, err);
	json_write_close(&json, ']');
	json_write_open(&json, "undelivered", '[');
	for (unsigned i = 0; status == OK && i < RECEIVER_KIND_COUNT; i++)
		status = write_undelivered(call->api, (enum receiver_kind)i, limit, &json, err);
	json_write_close(&json, ']');
	json_write_close(&json, '}');
	return status;
}

/* Marks every alert that the receiver would not take: its thread tries them once more. */
static enum status mark_again(struct api *api, enum receiver_kind kind, uint64_t *ret_count,
			      struct error *err)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(api->store);
	struct bytes prefix cleanup(bytes_done) = {0};
	struct text key = {0};
	struct text value = {0};
	uint64_t count = 0;
	if (batch == NULL)
		return error_set(err, ENOMEMORY, "no memory for the receivers");
	undelivered_key(kind, (struct text){0}, &prefix);
	enum status status = store_scan_new(api->store, FAMILY_REGISTRY, bytes_text(&prefix),
					    bytes_text(&prefix), &scan, err);
	while (status == OK && store_scan_next(scan, &key, &value)) {
		struct bytes marked cleanup(bytes_done) = {0};
		struct undelivered row = {0};
		status = undelivered_decode(value, &row, err);
		if (status != OK)
			break;
		row.again = true;
		undelivered_encode(&row, &marked);
		status = bytes_status(&marked);
		if (status == OK)
			store_batch_put(batch, FAMILY_REGISTRY, key, bytes_text(&marked));
		count++;
	}
	if (status == OK)
		status = store_scan_status(scan, err);
	if (status == OK && count > 0)
		status = api_commit(api, batch, err);
	if (status == OK)
		*ret_count = count;
	return status;
}

static enum status retry(const struct api_call *call, enum receiver_kind kind,
			 struct json_writer *json, struct error *err)
{
	uint64_t count = 0;
	(void)pthread_mutex_lock(&call->api->writing);
	enum status status = mark_again(call->api, kind, &count, err);
	(void)pthread_mutex_unlock(&call->api->writing);
	if (status == OK)
		json_write_count(json, "again", count);
	return status;
}

static enum status test(const struct api_call *call, enum receiver_kind kind,
			struct json_writer *json, struct error *err)
{
	struct post_answer answer = {0};
	enum status status = sender_test(call->api->sender, kind, &answer, err);
	if (status != OK)
		return status;
	json_write_boolean(json, "delivered", answer.http_status / 100 == 2);
	json_write_count(json, "http_status", answer.http_status);
	json_write_string(json, "problem", answer.problem);
	return OK;
}

enum status api_receiver_act(const struct api_call *call, struct api_response *response,
			     struct error *err)
{
	const char *slash = memchr(call->rest.data, '/', call->rest.size);
	struct text name = {call->rest.data,
			    slash == NULL ? call->rest.size : (size_t)(slash - call->rest.data)};
	struct text verb = slash == NULL ? (struct text){0} : text_cut(call->rest, name.size + 1);
	unsigned kind = 0;
	while (kind < RECEIVER_KIND_COUNT &&
	       !text_equal(name, text_of(receiver_name((enum receiver_kind)kind))))
		kind++;
	if (kind == RECEIVER_KIND_COUNT)
		return error_set(err, ENOTFOUND,
				 "no receiver \"%.*s\"; there are alertmanager and webhook",
				 TEXT_ARG(name));
	if (call->api->sender == NULL)
		return error_set(err, EDENIED, "receivers are served by the daemon: ask it");
	struct json_writer json = {.to = &response->body};
	json_write_open(&json, NULL, '{');
	json_write_string(&json, "schema", "picket.receiver/1");
	json_write_text(&json, "name", name);
	enum status status = ENOTFOUND;
	if (text_equal(verb, TEXT("retry")))
		status = retry(call, (enum receiver_kind)kind, &json, err);
	else if (text_equal(verb, TEXT("test")))
		status = test(call, (enum receiver_kind)kind, &json, err);
	else
		(void)!error_set(err, ENOTFOUND,
				 "POST /v1/receivers/NAME/retry or /v1/receivers/NAME/test");
	json_write_close(&json, '}');
	return status;
}
