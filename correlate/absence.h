/* absence - how a member that never showed itself comes to be watched.
 *
 * Why: a service that is on the list and silent from the start has no event to make a cell for it;
 * and a list may change with the rules, while the cells stay.
 *
 * Invariant: a member has one cell, in the virtual partition of its group. Owner: the cell.
 * Thread: the actor's. Limits: those of the list (rules/list_private.h). */
#ifndef PICKET_CORRELATE_ABSENCE_H
#define PICKET_CORRELATE_ABSENCE_H

#include "correlate/gated.h"

/* What an event says of its group: that what the rule waits for came, or that somebody is there. */
enum absence_tag { ABSENCE_PRESENT, ABSENCE_HEARD, ABSENCE_TAGS };

/* Whether the event can matter beside those that wait: of events no further apart than a timespan
 * only the outer ones can begin or end a silence. The one that the event makes useless goes. */
bool absence_admits(struct gated *gated, const struct unit *unit, uint8_t tag, struct proof *proof);

/* The cell is of a member, awaited from that time on unless it has shown itself. */
enum status absence_watch(struct gated *gated, int64_t from_us);
/* It is none: as any group that was seen, it is missed for `forget` and then forgotten. */
void absence_release(struct gated *gated);

#endif
