/* receiver - who is told of alerts: Prometheus Alertmanager, a webhook; and how far each has heard.
 *
 * Why: an alert that nobody hears of is not an alert. The engine writes one outbox row for every
 * revision worth telling, in the batch that makes the revision true; a receiver walks these rows
 * with a mark of its own, so a slow one holds back nobody, and a restart repeats at most what was
 * under way. Delivery is at least once, in order; what repeats carries the same id and revision.
 *
 * Invariant: before anything leaves, the store is synced: no receiver ever hears of an alert that a
 * crash could take back. The mark only moves over a row that was delivered, filed as undelivered
 * with its reason, or counted as skipped. Alerts of the catch-up, of staged rules and below the
 * receiver's level are not sent, and never count as skipped.
 * Owner: delivery_done(). Thread: one for each delivery. Units: _us microseconds.
 * Limits: DELIVERY_BATCH_MAX alerts a message; a receiver that answers with a refusal gets the
 * alert filed at once, one that answers 5xx DELIVERY_ANSWERS_MAX times too; one that does not
 * answer is asked for as long as it takes (the outbox keeps 100,000 revisions). */
#ifndef PICKET_CLI_RECEIVER_H
#define PICKET_CLI_RECEIVER_H

#include "correlate/alert.h"
#include "ingest/source.h"
#include "storage/store.h"

enum {
	DELIVERY_BATCH_MAX = 64,
	DELIVERY_ANSWERS_MAX = 10,
	DELIVERY_OPEN_MAX = 100000, /* open alerts that Alertmanager is reminded of */
	DELIVERY_HEADERS_MAX = 6,
};

enum receiver_kind { RECEIVER_ALERTMANAGER, RECEIVER_WEBHOOK, RECEIVER_KIND_COUNT };
const char *receiver_name(enum receiver_kind kind);

/* What the configuration says; the texts are lent. */
struct receiver {
	enum receiver_kind kind;
	const char *url; /* of the messages: ends with /api/v2/alerts for Alertmanager */
	enum rule_level level_min;
	struct text token;  /* bearer token, size 0 = none */
	struct text secret; /* of the webhook's signature, size 0 = unsigned */
};

/* One HTTP POST. header lines without line breaks. */
struct post {
	const char *url;
	const char *headers[DELIVERY_HEADERS_MAX];
	size_t header_count;
	struct text body;
};

struct post_answer {
	unsigned http_status;   /* 0: nobody answered */
	int64_t retry_after_us; /* as the receiver asked, 0 = it did not */
	char problem[256];      /* in words, "" after a 2xx */
};

/* What the world outside is to a delivery; tests make their own. */
struct delivery_world {
	void (*post)(void *context, const struct post *post, struct post_answer *ret_answer);
	/* On disk before it returns. */
	enum status (*commit)(void *context, struct store_batch *batch, struct error *err);
	uint32_t (*random)(void *context);
	struct wall_clock clock;
	void *context;
};

/* How far a receiver has heard; a row of the store. */
struct receiver_progress {
	uint64_t next; /* sequence of the outbox */
	uint64_t sent, undelivered, skipped;
	int64_t sent_us;    /* of the last delivery, INT64_MIN = none */
	int64_t failing_us; /* since when it fails, INT64_MIN = it does not */
	struct text problem;
};
void receiver_progress_key(enum receiver_kind kind, struct bytes *to);
void receiver_progress_encode(const struct receiver_progress *progress, struct bytes *to);
enum status receiver_progress_decode(struct text value, struct receiver_progress *ret_progress,
				     struct error *err);

/* An alert that a receiver would not take; a row of the store, one per receiver and alert. */
struct undelivered {
	uint64_t revision;
	int64_t time_us;
	bool again; /* somebody asked for one more try */
	struct text reason;
};
/* id size 0: the prefix of all. */
void undelivered_key(enum receiver_kind kind, struct text id, struct bytes *to);
void undelivered_encode(const struct undelivered *row, struct bytes *to);
enum status undelivered_decode(struct text value, struct undelivered *ret_row, struct error *err);

/* --- messages (receiver_message.c) --------------------------------------------------------- */

/* The body for some alerts: a JSON array for Alertmanager, one picket.alert/1 for a webhook. */
void receiver_message(enum receiver_kind kind, const struct alert *alerts, size_t count,
		      int64_t now_us, struct bytes *to);
/* "t=SECONDS,v1=HEX": HMAC-SHA-256 with the secret over "SECONDS.BODY". */
void receiver_signature(struct text secret, int64_t now_us, struct text body, struct bytes *to);
/* An alert that says it is a test. */
void receiver_test_message(enum receiver_kind kind, int64_t now_us, struct bytes *to);

/* --- delivery (delivery.c) ----------------------------------------------------------------- */

struct delivery;

enum status delivery_new(const struct receiver *receiver, struct store *store,
			 const struct delivery_world *world, struct delivery **ret_delivery,
			 struct error *err);
void delivery_done(struct delivery **delivery);

/* Sends what is due. *ret_wait_us: how long there is nothing to do but look for news. Errors are
 * those of the store and of memory; what a receiver does is no error here. */
enum status delivery_step(struct delivery *delivery, int64_t *ret_wait_us, struct error *err);
/* One test message, now; touches no state. Thread: any. */
void delivery_test(const struct receiver *receiver, const struct delivery_world *world,
		   struct post_answer *ret_answer);

#endif
