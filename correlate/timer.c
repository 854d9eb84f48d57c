#include "correlate/timer.h"

#include <assert.h>
#include <stdlib.h>

static void put(struct timers *timers, size_t index, struct timer *timer)
{
	timers->items[index] = timer;
	timer->place = index + 1;
}

static void sift_up(struct timers *timers, size_t index, struct timer *timer)
{
	while (index > 0 && timers->items[(index - 1) / 2]->at_us > timer->at_us) {
		put(timers, index, timers->items[(index - 1) / 2]);
		index = (index - 1) / 2;
	}
	put(timers, index, timer);
}

static void sift_down(struct timers *timers, size_t index, struct timer *timer)
{
	for (;;) {
		size_t child = 2 * index + 1;
		if (child >= timers->count)
			break;
		if (child + 1 < timers->count &&
		    timers->items[child + 1]->at_us < timers->items[child]->at_us)
			child++;
		if (timers->items[child]->at_us >= timer->at_us)
			break;
		put(timers, index, timers->items[child]);
		index = child;
	}
	put(timers, index, timer);
}

enum status timers_set(struct timers *timers, struct timer *timer, int64_t at_us)
{
	if (timer->place == 0) {
		if (timers->count == timers->capacity) {
			size_t capacity = timers->capacity == 0 ? 64 : timers->capacity * 2;
			struct timer **grown =
				realloc(timers->items, capacity * sizeof *timers->items);
			if (grown == NULL)
				return ENOMEMORY;
			timers->items = grown;
			timers->capacity = capacity;
		}
		timer->at_us = at_us;
		sift_up(timers, timers->count++, timer);
		return OK;
	}
	assert(timers->items[timer->place - 1] == timer);
	bool earlier = at_us < timer->at_us;
	timer->at_us = at_us;
	if (earlier)
		sift_up(timers, timer->place - 1, timer);
	else
		sift_down(timers, timer->place - 1, timer);
	return OK;
}

void timers_remove(struct timers *timers, struct timer *timer)
{
	if (timer->place == 0)
		return;
	size_t index = timer->place - 1;
	assert(timers->items[index] == timer);
	timer->place = 0;
	struct timer *last = timers->items[--timers->count];
	if (last == timer)
		return;
	if (index > 0 && timers->items[(index - 1) / 2]->at_us > last->at_us)
		sift_up(timers, index, last);
	else
		sift_down(timers, index, last);
}

struct timer *timers_first(const struct timers *timers)
{
	return timers->count == 0 ? NULL : timers->items[0];
}

void timers_done(struct timers *timers)
{
	free(timers->items);
	*timers = (struct timers){0};
}
