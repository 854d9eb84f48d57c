/* delivery_private - one delivery, shared by its files: delivery.c (the mark, the answers, the
 * step), delivery_parcel.c (what goes into the next message), delivery_remind.c (what is still
 * open, what is tried once more).
 *
 * Why, invariant, owner, thread, limits: receiver.h. */
#ifndef PICKET_CLI_DELIVERY_PRIVATE_H
#define PICKET_CLI_DELIVERY_PRIVATE_H

#include "cli/receiver.h"

enum { SENT_REMEMBERED = 256, ID_BYTES = ALERT_ID_SIZE + 1 };

struct sent {
	char id[ID_BYTES];
	uint32_t revision;
};

/* Alerts that go into one message, with the memory their texts point into. */
struct parcel_of_alerts {
	struct alert alerts[DELIVERY_BATCH_MAX];
	struct bytes rows[DELIVERY_BATCH_MAX];
	size_t count;
	uint64_t next;    /* sequence behind the last row of the outbox that was looked at */
	uint64_t skipped; /* rows, or places of rows, that hold nothing to send any more */
};

struct delivery {
	const struct receiver *receiver;
	struct store *store;
	struct delivery_world world;
	struct receiver_progress progress;
	char problem[256];
	uint64_t single_until; /* rows below it are sent one at a time */
	unsigned tries;        /* of the row at progress.next */
	unsigned answers;      /* of these, how many were answered */
	int64_t retry_us, remind_us, again_us;
	char (*open)[ID_BYTES];
	size_t open_count, open_capacity;
	struct sent sent[SENT_REMEMBERED];
	size_t sent_next;
	struct parcel_of_alerts parcel;
	struct bytes body;
};

int64_t delivery_now(const struct delivery *delivery);

/* --- delivery.c --- */
/* Writes the mark, and with it a row of the registry (value NULL: deleted), when there is one. Also
 * puts everything committed before on disk. */
enum status delivery_save(struct delivery *delivery, const struct bytes *row_key,
			  const struct bytes *row_value, struct error *err);
/* Sends the parcel; what the receiver says is in *ret_answer. */
enum status delivery_send(struct delivery *delivery, struct post_answer *ret_answer,
			  struct error *err);
bool post_delivered(const struct post_answer *answer);
/* After a parcel that was taken: counts it, remembers what was sent and what is open. */
enum status delivery_taken(struct delivery *delivery, struct error *err);
/* After one that was not. */
void delivery_note_failure(struct delivery *delivery, const struct post_answer *answer);
/* The mark and a row that keeps the alert with the reason. */
enum status delivery_file(struct delivery *delivery, const struct alert *alert, struct error *err);

/* --- delivery_parcel.c --- */
bool delivery_wants(const struct delivery *delivery, const struct alert *alert);
/* The alert into the parcel's next place, not counted yet; ENOTFOUND when it is gone. */
enum status delivery_load(struct delivery *delivery, struct text id, struct error *err);
/* Rows from the mark on, until the parcel is full or there are no more. */
enum status delivery_fill(struct delivery *delivery, struct error *err);

/* --- delivery_remind.c --- */
enum status delivery_read_open(struct delivery *delivery, struct error *err);
/* An alert that was sent: it joins the open ones, or leaves them. */
enum status delivery_note(struct delivery *delivery, const struct alert *alert);
enum status delivery_remind(struct delivery *delivery, struct error *err);
enum status delivery_second_chances(struct delivery *delivery, struct error *err);

#endif
