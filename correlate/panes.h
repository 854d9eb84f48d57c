/* panes - about how many different values a group shows within a timespan, when they are too many
 * to be remembered one by one.
 *
 * Why: value_count is exact up to its rule's picket.accuracy.exact-until (trail.h). Above, time is
 * cut into panes of timespan / PANES_A_WINDOW, each with a sketch of its values (cardinality.h);
 * panes.c says which events contribute and why no order of arrival can change it.
 *
 * Invariant: panes ascend by index; `contributes` and `holds` never go back to false; `counts` of a
 * pane, where it has them, are those of the union of all panes of the window that ends with it.
 * Owner: a cell. Thread: one. Units: microseconds of event time.
 * Limits: PANES_MAX panes; beyond it the oldest goes, `cut` is set, and alerts are lower bounds. A
 * window has at most PANES_A_WINDOW sketches, and two proofs wait in each pane. */
#ifndef PICKET_CORRELATE_PANES_H
#define PICKET_CORRELATE_PANES_H

#include "correlate/cardinality.h"
#include "correlate/window.h"

enum { PANES_A_WINDOW = 32, PANES_MAX = 4096 };

struct panes_shape {
	uint64_t at_least;   /* different values */
	int64_t timespan_us; /* >= PANES_A_WINDOW */
	uint8_t precision;
};

struct pane {
	int64_t index; /* its time, in panes since 1970 */
	uint64_t event_count;
	int64_t first_us, last_us;
	struct proof *first, *last; /* its events by (time, origin); NULL when it contributes */
	bool contributes;           /* a holding window contains it */
	bool holds;                 /* the window that ends with it does */
	struct cardinality values;
	struct cardinality_ranks *counts; /* NULL: to be counted again */
};

struct panes {
	struct pane *panes;
	size_t count;
	size_t capacity;
	bool cut; /* panes went that might still have mattered */
};

struct panes_event {
	struct proof *proof; /* with its time */
	const uint64_t *values;
	size_t value_count; /* > 0 */
};

/* Adds an event; holds its own references. The news is added to what is in it (window.h): a pane
 * that begins to contribute is one or two items which stand for all of its events. After ENOMEMORY
 * the panes may only be freed. */
enum status panes_add(struct panes *panes, const struct panes_shape *shape,
		      const struct panes_event *event, struct window_news *news);

/* Forgets what cannot matter at this watermark. */
void panes_settle(struct panes *panes, const struct panes_shape *shape, int64_t watermark_us);
/* The last time at which the first pane cannot be forgotten. */
int64_t panes_deadline(const struct panes *panes, const struct panes_shape *shape);

void panes_done(struct panes *panes);
size_t panes_bytes(const struct panes *panes); /* memory, about */

void panes_encode(const struct panes *panes, struct bytes *to);
/* Into empty panes; ECORRUPT when the bytes break the invariant. After a failure they may only be
 * freed. */
enum status panes_decode(struct cursor *from, const struct panes_shape *shape, struct panes *panes);

#endif
