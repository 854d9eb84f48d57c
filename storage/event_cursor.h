/* event_cursor - all stored events of a span of time, one after the other.
 *
 * Why: a backtest, a back-fill and an export read everything, whatever shape its block has by now.
 *
 * Invariant: every event that was committed when the cursor was made, that lies in the span and is
 * above its floor (retention.h) comes exactly once, however blocks are merged meanwhile; a block
 * that cannot be read is passed over and makes the cursor incomplete. The order is that of the
 * keys: first what is not merged yet, by topic, partition and offset, then by class, day and owner;
 * the same store gives the same order.
 * Owner: event_cursor_free(), before the store goes. Thread: one. Memory: one block decoded. */
#ifndef PICKET_STORAGE_EVENT_CURSOR_H
#define PICKET_STORAGE_EVENT_CURSOR_H

#include "storage/columnar.h"

struct event_cursor_options {
	struct store *store;
	bool scoped; /* only events that tenant owns */
	struct text tenant;
	int64_t since_us, until_us; /* inclusive */
	/* Events of a merged block with the same log source and fields come once, with null for
	 * every value: event_cursor_stands_for() says how many they are. */
	bool names_only;
};

struct event_cursor;

enum status event_cursor_new(const struct event_cursor_options *options,
			     struct event_cursor **ret_cursor, struct error *err);
void event_cursor_free(struct event_cursor **cursor);
/* The next event, valid until the next call; *ret_more is false behind the last one. */
enum status event_cursor_next(struct event_cursor *cursor, struct event *ret_event, bool *ret_more,
			      struct error *err);
/* How many events the cursor will give, at most: those of all blocks that may hold one of them.
 * Before the first event. */
enum status event_cursor_estimate(struct event_cursor *cursor, uint64_t *ret_count,
				  struct error *err);
/* How many events the last one is. */
uint64_t event_cursor_stands_for(const struct event_cursor *cursor);
/* OK as long as nothing was passed over; else EINCOMPLETE with the first reason. */
enum status event_cursor_status(const struct event_cursor *cursor, struct error *err);

#endif
