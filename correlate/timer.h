/* timer - what is due when the watermark has passed: a heap that its items know their place in, so
 * that an item may be moved or taken out.
 *
 * Why: a close must touch only what is due, not every cell. Nobody asks for the exact moment: an
 * item may come too early (it is then put back with its new time), never too late.
 *
 * Invariant: the heap is ordered by at_us; slots[i].timer->place == i + 1. Owner: the heap holds
 * pointers into items of somebody else. Thread: one. Limits: memory. */
#ifndef PICKET_CORRELATE_TIMER_H
#define PICKET_CORRELATE_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rules/error.h"

struct timer {
	int64_t at_us;
	size_t place; /* index + 1; 0 = not in a heap */
};

struct timer_slot {
	int64_t at_us; /* the timer's */
	struct timer *timer;
};

struct timers {
	struct timer_slot *slots;
	size_t count;
	size_t capacity;
};

/* Puts the timer in at at_us, or moves it when it is in already. */
enum status timers_set(struct timers *timers, struct timer *timer, int64_t at_us);
void timers_remove(struct timers *timers, struct timer *timer); /* fine when it is not in */
struct timer *timers_first(const struct timers *timers);        /* NULL when there is none */
/* The first, taken out, when the watermark has passed its time; else NULL. */
struct timer *timers_take(struct timers *timers, int64_t watermark_us);
void timers_done(struct timers *timers);

#endif
