/* A radix heap (Ahuja, Mehlhorn, Orlin, Tarjan: "Faster algorithms for the shortest path problem",
 * J. ACM 37, 1990): a priority queue for times that never come out in descending order.
 *
 * List k holds the times whose highest bit that differs from last_us is bit k - 1; list 0 those
 * that are equal to it. All times of a list are smaller than all of the lists behind it. When the
 * lists up to k - 1 are empty and the first time of list k is due, that time becomes last_us, and
 * as all of list k agrees with it in bit k - 1 and above, each item moves to a list before k. So an
 * item moves 64 times at most, in practice as often as its distance has bits that are set, always
 * from the end of one array to the end of another. A binary heap of ten million would miss the
 * cache a dozen times for each that comes out. */
#include "correlate/deadlines.h"

#include <assert.h>
#include <stdlib.h>

#include "correlate/proof.h"

enum { LIST_KEPT = 4096 }; /* the memory of an empty list that is larger is given back */

void deadlines_init(struct deadlines *deadlines)
{
	*deadlines = (struct deadlines){.last_us = INT64_MIN};
}

void deadlines_done(struct deadlines *deadlines)
{
	for (unsigned i = 0; i < DEADLINES_LISTS; i++)
		free(deadlines->lists[i].items);
	deadlines_init(deadlines);
}

size_t deadlines_bytes(const struct deadlines *deadlines)
{
	size_t capacity = 0;
	for (unsigned i = 0; i < DEADLINES_LISTS; i++)
		capacity += deadlines->lists[i].capacity;
	return capacity * sizeof(struct deadline);
}

/* Which list a time belongs to; one that lies before last_us is due and goes to the first. */
static unsigned list_of(const struct deadlines *deadlines, int64_t at_us)
{
	uint64_t differs = (uint64_t)at_us ^ (uint64_t)deadlines->last_us;
	if (at_us <= deadlines->last_us)
		return 0;
	return (unsigned)(64 - __builtin_clzll(differs));
}

static enum status list_push(struct deadline_list *list, struct deadline deadline)
{
	if (list->count == list->capacity) {
		size_t capacity = list->capacity == 0 ? 16 : list->capacity * 2;
		struct deadline *grown = realloc(list->items, capacity * sizeof *grown);
		if (grown == NULL)
			return ENOMEMORY;
		list->items = grown;
		list->capacity = capacity;
	}
	if (list->count == 0 || deadline.at_us < list->first_us)
		list->first_us = deadline.at_us;
	list->items[list->count++] = deadline;
	return OK;
}

static struct deadline list_pop(struct deadline_list *list)
{
	assert(list->count > 0);
	struct deadline popped = list->items[--list->count];
	if (list->count == 0 && list->capacity > LIST_KEPT) {
		free(list->items);
		*list = (struct deadline_list){0};
	}
	return popped;
}

enum status deadlines_add(struct deadlines *deadlines, int64_t at_us, void *item)
{
	assert(item != NULL);
	return list_push(&deadlines->lists[list_of(deadlines, at_us)],
			 (struct deadline){at_us, item});
}

/* The first list that is not empty, or DEADLINES_LISTS. */
static unsigned list_first(const struct deadlines *deadlines)
{
	unsigned first = 0;
	while (first < DEADLINES_LISTS && deadlines->lists[first].count == 0)
		first++;
	return first;
}

enum status deadlines_take(struct deadlines *deadlines, int64_t watermark_us, void **ret_item)
{
	unsigned first = list_first(deadlines);
	struct deadline_list *list = first == DEADLINES_LISTS ? NULL : &deadlines->lists[first];
	if (list == NULL || !time_passed(list->first_us, 0, watermark_us)) {
		*ret_item = NULL;
		return OK;
	}
	if (first > 0)
		deadlines->last_us = list->first_us;
	while (first > 0 && list->count > 0) {
		const struct deadline *moved = &list->items[list->count - 1];
		unsigned to = list_of(deadlines, moved->at_us);
		assert(to < first);
		enum status status = list_push(&deadlines->lists[to], *moved);
		if (status != OK)
			return status;
		(void)list_pop(list);
	}
	*ret_item = list_pop(&deadlines->lists[0]).item;
	return OK;
}

void *deadlines_take_any(struct deadlines *deadlines)
{
	unsigned first = list_first(deadlines);
	return first == DEADLINES_LISTS ? NULL : list_pop(&deadlines->lists[first]).item;
}
