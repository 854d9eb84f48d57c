/* How an outbox is delivered.
 *
 * A row of the outbox says "alert A has revision N". What is sent is the alert as it is now, so a
 * receiver that was away for an hour hears of each alert once, with its newest count, instead of
 * once a revision: a row whose revision (or a newer one) has been sent is passed over.
 *
 *   answer                       what happens
 *   2xx                          delivered
 *   408, 425, 429, 5xx, 3xx      tried again, later and later; filed after DELIVERY_ANSWERS_MAX
 *   any other 4xx                filed at once: the same message would be refused for ever
 *   none                         tried again, later and later, for as long as it takes
 *
 * A message of several alerts that is refused is sent again one alert at a time, so that one bad
 * alert does not take others with it. The pause between two tries doubles from one second to five
 * minutes, times a random factor between a half and one: a thousand pickets do not come back in
 * step. Retry-After is obeyed up to the same five minutes.
 *
 * Alertmanager forgets what it is not reminded of. The open alerts are therefore kept as a list of
 * ids, filled from the store at the start and from the outbox after that, and sent again once a
 * minute. An alert that a person has closed is not; it ends there within four minutes. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/delivery_private.h"
#include "storage/rows.h"

enum {
	RETRY_FIRST_US = 1000000,
	RETRY_MOST_US = 300 * 1000000,
	REMIND_US = 60 * 1000000,
	AGAIN_US = 5 * 1000000,
	IDLE_US = 250 * 1000,
};

int64_t delivery_now(const struct delivery *delivery)
{
	return delivery->world.clock.now_us(delivery->world.clock.context);
}

/* The mark of a receiver that is new starts behind everything that was announced before it. */
static enum status read_progress(struct delivery *delivery, struct error *err)
{
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	struct epoch_row epoch = {0};
	receiver_progress_key(delivery->receiver->kind, &key);
	enum status status =
		store_get(delivery->store, FAMILY_REGISTRY, bytes_text(&key), &value, err);
	if (status == OK) {
		status = receiver_progress_decode(bytes_text(&value), &delivery->progress, err);
		(void)snprintf(delivery->problem, sizeof delivery->problem, "%.*s",
			       TEXT_ARG(delivery->progress.problem));
		return status;
	}
	if (status != ENOTFOUND)
		return status;
	bytes_clear(&key);
	epoch_key(&key);
	status = store_get(delivery->store, FAMILY_POSITION, bytes_text(&key), &value, err);
	if (status == OK)
		status = epoch_decode(bytes_text(&value), &epoch, err);
	if (status != OK && status != ENOTFOUND)
		return status;
	delivery->progress = (struct receiver_progress){
		.next = epoch.outbox_next, .sent_us = INT64_MIN, .failing_us = INT64_MIN};
	return OK;
}

/* Writes the mark, and with it a row of the registry (value NULL: deleted), when there is one. */
enum status delivery_save(struct delivery *delivery, const struct bytes *row_key,
			  const struct bytes *row_value, struct error *err)
{
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(delivery->store);
	delivery->progress.problem = text_of(delivery->problem);
	receiver_progress_key(delivery->receiver->kind, &key);
	receiver_progress_encode(&delivery->progress, &value);
	if (batch == NULL || key.failed || value.failed)
		return error_set(err, ENOMEMORY, "no memory for the mark of a receiver");
	store_batch_put(batch, FAMILY_REGISTRY, bytes_text(&key), bytes_text(&value));
	if (row_key != NULL && row_value != NULL)
		store_batch_put(batch, FAMILY_REGISTRY, bytes_text(row_key), bytes_text(row_value));
	else if (row_key != NULL)
		store_batch_delete(batch, FAMILY_REGISTRY, bytes_text(row_key));
	return delivery->world.commit(delivery->world.context, batch, err);
}

enum status delivery_file(struct delivery *delivery, const struct alert *alert, struct error *err)
{
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	const struct undelivered row = {.revision = alert->revision,
					.time_us = delivery_now(delivery),
					.reason = text_of(delivery->problem)};
	undelivered_key(delivery->receiver->kind, text_of(alert->id), &key);
	undelivered_encode(&row, &value);
	if (key.failed || value.failed)
		return error_set(err, ENOMEMORY, "no memory for an undelivered alert");
	delivery->progress.undelivered++;
	return delivery_save(delivery, &key, &value, err);
}
/* --- sending --------------------------------------------------------------------------------- */
/* The mark moves behind what was looked at. */
static void advance(struct delivery *delivery)
{
	delivery->progress.next = delivery->parcel.next;
	delivery->progress.skipped += delivery->parcel.skipped;
	delivery->tries = 0;
	delivery->answers = 0;
}

/* `key` names what is sent, the same at every try. */
static void post_body(const struct receiver *receiver, const struct delivery_world *world,
		      struct text body, const char *key, struct post_answer *ret_answer)
{
	struct bytes signature cleanup(bytes_done) = {0};
	struct bytes token cleanup(bytes_done) = {0};
	char idempotency[96];
	struct post post = {.url = receiver->url, .body = body};
	post.headers[post.header_count++] = "Content-Type: application/json";
	if (receiver->token.size > 0) {
		bytes_write_string(&token, "Authorization: Bearer ");
		bytes_write(&token, receiver->token);
		bytes_put_u8(&token, 0);
		post.headers[post.header_count++] = (const char *)token.data;
	}
	if (receiver->kind == RECEIVER_WEBHOOK) {
		(void)snprintf(idempotency, sizeof idempotency, "Idempotency-Key: %s", key);
		post.headers[post.header_count++] = idempotency;
	}
	if (receiver->secret.size > 0) {
		bytes_write_string(&signature, "X-Picket-Signature: ");
		receiver_signature(receiver->secret, world->clock.now_us(world->clock.context),
				   body, &signature);
		bytes_put_u8(&signature, 0);
		post.headers[post.header_count++] = (const char *)signature.data;
	}
	*ret_answer = (struct post_answer){0};
	if (token.failed || signature.failed || body.data == NULL)
		(void)snprintf(ret_answer->problem, sizeof ret_answer->problem,
			       "no memory for a message");
	else
		world->post(world->context, &post, ret_answer);
}

void delivery_test(const struct receiver *receiver, const struct delivery_world *world,
		   struct post_answer *ret_answer)
{
	struct bytes body cleanup(bytes_done) = {0};
	receiver_test_message(receiver->kind, world->clock.now_us(world->clock.context), &body);
	post_body(receiver, world, body.failed ? (struct text){0} : bytes_text(&body), "test",
		  ret_answer);
}

/* Sends the parcel. */
enum status delivery_send(struct delivery *delivery, struct post_answer *ret_answer,
			  struct error *err)
{
	const struct parcel_of_alerts *parcel = &delivery->parcel;
	char key[ID_BYTES + 16];
	assert(parcel->count > 0);
	bytes_clear(&delivery->body);
	receiver_message(delivery->receiver->kind, parcel->alerts, parcel->count,
			 delivery_now(delivery), &delivery->body);
	if (delivery->body.failed)
		return error_set(err, ENOMEMORY, "no memory for a message");
	(void)snprintf(key, sizeof key, "%.32s.%" PRIu32, parcel->alerts[0].id,
		       parcel->alerts[0].revision);
	post_body(delivery->receiver, &delivery->world, bytes_text(&delivery->body), key,
		  ret_answer);
	return OK;
}

bool post_delivered(const struct post_answer *answer)
{
	return answer->http_status >= 200 && answer->http_status < 300;
}

static bool is_refused(const struct post_answer *answer)
{
	unsigned status = answer->http_status;
	return status >= 400 && status < 500 && status != 408 && status != 425 && status != 429;
}

/* The pause before the next try of the same message. */
static int64_t pause_us(struct delivery *delivery, const struct post_answer *answer)
{
	unsigned doublings = delivery->tries > 9 ? 9 : delivery->tries;
	int64_t most_us = (int64_t)RETRY_FIRST_US << doublings;
	if (most_us > RETRY_MOST_US)
		most_us = RETRY_MOST_US;
	int64_t half = most_us / 2;
	int64_t jitter = delivery->world.random(delivery->world.context) % (uint64_t)(half + 1);
	int64_t asked =
		answer->retry_after_us < RETRY_MOST_US ? answer->retry_after_us : RETRY_MOST_US;
	return half + jitter > asked ? half + jitter : asked;
}

static void remember_sent(struct delivery *delivery, const struct alert *alert)
{
	struct sent *slot = &delivery->sent[delivery->sent_next++ % SENT_REMEMBERED];
	memcpy(slot->id, alert->id, sizeof slot->id);
	slot->revision = alert->revision;
}

enum status delivery_taken(struct delivery *delivery, struct error *err)
{
	for (size_t i = 0; i < delivery->parcel.count; i++) {
		const struct alert *alert = &delivery->parcel.alerts[i];
		remember_sent(delivery, alert);
		if (delivery->receiver->kind == RECEIVER_ALERTMANAGER &&
		    delivery_note(delivery, alert) != OK)
			return error_set(err, ENOMEMORY, "no memory for the open alerts");
	}
	delivery->progress.sent += delivery->parcel.count;
	delivery->progress.sent_us = delivery_now(delivery);
	delivery->progress.failing_us = INT64_MIN;
	delivery->problem[0] = '\0';
	return OK;
}

void delivery_note_failure(struct delivery *delivery, const struct post_answer *answer)
{
	if (delivery->progress.failing_us == INT64_MIN)
		delivery->progress.failing_us = delivery_now(delivery);
	if (answer->http_status != 0)
		(void)snprintf(delivery->problem, sizeof delivery->problem, "HTTP %u: %.200s",
			       answer->http_status, answer->problem);
	else
		(void)snprintf(delivery->problem, sizeof delivery->problem, "%.250s",
			       answer->problem);
}

/* What the answer means for the rows of the parcel. */
static enum status settle(struct delivery *delivery, const struct post_answer *answer,
			  struct error *err)
{
	if (post_delivered(answer)) {
		advance(delivery);
		return delivery_taken(delivery, err); /* saved before the next one leaves */
	}
	delivery_note_failure(delivery, answer);
	delivery->answers += answer->http_status != 0;
	bool final = is_refused(answer) || delivery->answers >= DELIVERY_ANSWERS_MAX;
	if (final && delivery->parcel.count > 1) {
		delivery->single_until = delivery->parcel.next;
		delivery->tries = 0;
		delivery->answers = 0;
		return OK;
	}
	if (final) {
		advance(delivery);
		return delivery_file(delivery, &delivery->parcel.alerts[0], err);
	}
	delivery->retry_us = delivery_now(delivery) + pause_us(delivery, answer);
	delivery->tries++;
	return delivery_save(delivery, NULL, NULL, err);
}

/* --- the step -------------------------------------------------------------------------------- */

/* News: parcel after parcel, until there are none or one fails. The mark is saved before each of
 * them: that is also the sync which puts on disk what is about to be told. */
static enum status deliver_news(struct delivery *delivery, struct error *err)
{
	bool moved = false;
	for (;;) {
		struct post_answer answer = {0};
		enum status status = delivery_fill(delivery, err);
		if (status != OK)
			return status;
		if (delivery->parcel.count == 0) {
			moved = moved || delivery->parcel.next != delivery->progress.next;
			advance(delivery);
			return moved ? delivery_save(delivery, NULL, NULL, err) : OK;
		}
		status = delivery_save(delivery, NULL, NULL, err);
		if (status == OK)
			status = delivery_send(delivery, &answer, err);
		if (status == OK)
			status = settle(delivery, &answer, err);
		if (status != OK || delivery->retry_us > delivery_now(delivery))
			return status;
		moved = true;
	}
}

enum status delivery_step(struct delivery *delivery, int64_t *ret_wait_us, struct error *err)
{
	int64_t now_us = delivery_now(delivery);
	enum status status = OK;
	if (now_us >= delivery->retry_us)
		status = deliver_news(delivery, err);
	if (status == OK && now_us >= delivery->again_us) {
		delivery->again_us = now_us + AGAIN_US;
		status = delivery_second_chances(delivery, err);
	}
	bool alertmanager = delivery->receiver->kind == RECEIVER_ALERTMANAGER;
	if (status == OK && alertmanager && now_us >= delivery->remind_us) {
		delivery->remind_us = now_us + REMIND_US;
		status = delivery_remind(delivery, err);
	}
	if (status == OK)
		*ret_wait_us = IDLE_US;
	return status;
}

enum status delivery_new(const struct receiver *receiver, struct store *store,
			 const struct delivery_world *world, struct delivery **ret_delivery,
			 struct error *err)
{
	struct delivery *delivery cleanup(delivery_done) = calloc(1, sizeof *delivery);
	if (delivery == NULL)
		return error_set(err, ENOMEMORY, "no memory for a receiver");
	delivery->receiver = receiver;
	delivery->store = store;
	delivery->world = *world;
	enum status status = read_progress(delivery, err);
	if (status == OK && receiver->kind == RECEIVER_ALERTMANAGER)
		status = delivery_read_open(delivery, err);
	if (status == OK)
		*ret_delivery = TAKE(delivery);
	return status;
}

void delivery_done(struct delivery **delivery)
{
	struct delivery *gone = *delivery;
	if (gone == NULL)
		return;
	for (size_t i = 0; i < DELIVERY_BATCH_MAX; i++)
		bytes_done(&gone->parcel.rows[i]);
	bytes_done(&gone->body);
	free(gone->open);
	free(gone);
	*delivery = NULL;
}
