/* deadlines - when each cell has something to do next, if nothing happens to it before.
 *
 * Why: a close must touch only the cells whose time has come, of millions. Nobody asks for the
 * exact moment: a cell may come too early (it is then put back with its new time), never too late.
 * So what is touched need not be moved, and a deadline is put in once per cell and timespan.
 *
 * Invariant: deadlines come out in order of time, and none before its watermark has passed it;
 * what is put in with a time that has come already comes out next. The watermark that is asked for
 * never goes back. Owner: the deadlines hold pointers to items of somebody else, who keeps an item
 * as long as it is in here. Thread: one. Units: microseconds of event time. Limits: memory, 16
 * bytes each and as much again while a list grows. */
#ifndef PICKET_CORRELATE_DEADLINES_H
#define PICKET_CORRELATE_DEADLINES_H

#include <stddef.h>
#include <stdint.h>

#include "rules/error.h"

enum { DEADLINES_LISTS = 65 };

struct deadline {
	int64_t at_us;
	void *item;
};

struct deadline_list {
	struct deadline *items; /* in no order */
	size_t count;
	size_t capacity;
	int64_t first_us; /* the smallest, while there is one */
};

struct deadlines {
	int64_t last_us; /* of the newest that came out */
	struct deadline_list lists[DEADLINES_LISTS];
};

void deadlines_init(struct deadlines *deadlines);
void deadlines_done(struct deadlines *deadlines);
size_t deadlines_bytes(const struct deadlines *deadlines);

enum status deadlines_add(struct deadlines *deadlines, int64_t at_us, void *item);

/* The next one that the watermark has passed, out of the deadlines; NULL: there is none. After
 * ENOMEMORY they may only be freed. */
enum status deadlines_take(struct deadlines *deadlines, int64_t watermark_us, void **ret_item);

/* Any one, whatever its time; NULL: there is none left. */
void *deadlines_take_any(struct deadlines *deadlines);

#endif
