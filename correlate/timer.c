/* A heap of four children a node (Johnson: "Priority queues with update and finding minimum
 * spanning trees", 1975), with the times beside the pointers: the timers lie in cells, which no
 * cache has, and are written to where they move but never read. Four children are one cache line,
 * and the way down is half as long as with two. */
#include "correlate/timer.h"

#include <assert.h>
#include <stdlib.h>

#include "correlate/proof.h"

enum { CHILDREN = 4 };

static void put(struct timers *timers, size_t index, struct timer_slot slot)
{
	timers->slots[index] = slot;
	slot.timer->place = index + 1;
}

static void sift_up(struct timers *timers, size_t index, struct timer_slot slot)
{
	while (index > 0 && timers->slots[(index - 1) / CHILDREN].at_us > slot.at_us) {
		put(timers, index, timers->slots[(index - 1) / CHILDREN]);
		index = (index - 1) / CHILDREN;
	}
	put(timers, index, slot);
}

static void sift_down(struct timers *timers, size_t index, struct timer_slot slot)
{
	for (;;) {
		size_t first = CHILDREN * index + 1;
		size_t end = first + CHILDREN < timers->count ? first + CHILDREN : timers->count;
		if (first >= end)
			break;
		size_t child = first;
		for (size_t i = first + 1; i < end; i++)
			child = timers->slots[i].at_us < timers->slots[child].at_us ? i : child;
		if (timers->slots[child].at_us >= slot.at_us)
			break;
		put(timers, index, timers->slots[child]);
		index = child;
	}
	put(timers, index, slot);
}

/* To where its time belongs, from index, which is free. */
static void sift(struct timers *timers, size_t index, struct timer_slot slot)
{
	if (index > 0 && timers->slots[(index - 1) / CHILDREN].at_us > slot.at_us)
		sift_up(timers, index, slot);
	else
		sift_down(timers, index, slot);
}

enum status timers_set(struct timers *timers, struct timer *timer, int64_t at_us)
{
	if (timer->place == 0 && timers->count == timers->capacity) {
		size_t capacity = timers->capacity == 0 ? 64 : timers->capacity * 2;
		struct timer_slot *grown = realloc(timers->slots, capacity * sizeof *grown);
		if (grown == NULL)
			return ENOMEMORY;
		timers->slots = grown;
		timers->capacity = capacity;
	}
	assert(timer->place == 0 || timers->slots[timer->place - 1].timer == timer);
	timer->at_us = at_us;
	size_t index = timer->place == 0 ? timers->count++ : timer->place - 1;
	sift(timers, index, (struct timer_slot){at_us, timer});
	return OK;
}

void timers_remove(struct timers *timers, struct timer *timer)
{
	if (timer->place == 0)
		return;
	size_t index = timer->place - 1;
	assert(timers->slots[index].timer == timer);
	timer->place = 0;
	struct timer_slot last = timers->slots[--timers->count];
	if (last.timer != timer)
		sift(timers, index, last);
}

struct timer *timers_first(const struct timers *timers)
{
	return timers->count == 0 ? NULL : timers->slots[0].timer;
}

struct timer *timers_take(struct timers *timers, int64_t watermark_us)
{
	if (timers->count == 0 || !time_passed(timers->slots[0].at_us, 0, watermark_us))
		return NULL;
	struct timer *taken = timers->slots[0].timer;
	timers_remove(timers, taken);
	return taken;
}

void timers_done(struct timers *timers)
{
	free(timers->slots);
	*timers = (struct timers){0};
}
