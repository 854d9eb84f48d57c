/* peers - which groups of a first_seen have shown a value, asked by the groups of that rule.
 *
 * Why: a value that is new to one group is no news when its peers show it every day. What the peers
 * have shown is no group's own memory, and may lie on another shard: so it has cells of its own,
 * one for each value among those who are alike (peers.c), and answers through the exchange.
 *
 * Invariant: a record for peers has as its group the values of peers.by and then the value, and as
 * its values the groups that show it, two each: their cells, so that the answer finds them. An
 * answer is as old as the event it answers, and comes before the group above decides that time.
 * Owner: none. Thread: any. Limits: PEERS_WAITING_MAX. */
#ifndef PICKET_CORRELATE_PEERS_H
#define PICKET_CORRELATE_PEERS_H

#include "correlate/plan.h"

/* The tags of what a first_seen remembers: a value that its group shows, and the answer that this
 * value is not rare among its peers. */
enum first_seen_tag { FIRST_SEEN_SHOWN, FIRST_SEEN_COMMON, FIRST_SEEN_TAGS };

/* Entries (gated.h) that wait for the watermark; beyond it the oldest are decided at once, and who
 * comes later for an earlier time may be told although its peers know the value. */
enum { PEERS_WAITING_MAX = 16384 };

/* The cell of one group of the first_seen `above`, as two tagged values. */
void peers_put_member(const struct plan *plan, const struct unit *above, struct text tenant,
		      struct text group, struct bytes *to);

#endif
