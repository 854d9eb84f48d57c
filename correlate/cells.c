#include "correlate/cells.h"

#include <assert.h>
#include <stdlib.h>

enum { FIRST_CAPACITY = 16 };

static size_t home(const struct cells *cells, const struct cell_key *key)
{
	uint64_t hash = 0;
	memcpy(&hash, key->bytes, sizeof hash);
	return (size_t)hash & (cells->capacity - 1);
}

/* Where the key is, or the free slot where it would go. Needs a table with a free slot. */
static size_t probe(const struct cells *cells, const struct cell_key *key)
{
	size_t at = home(cells, key);
	while (cells->slots[at].item != NULL &&
	       memcmp(&cells->slots[at].key, key, sizeof *key) != 0)
		at = (at + 1) & (cells->capacity - 1);
	return at;
}

void cells_prefetch(const struct cells *cells, const struct cell_key *key)
{
	if (cells->count > 0)
		__builtin_prefetch(&cells->slots[home(cells, key)]);
}

void *cells_find(const struct cells *cells, const struct cell_key *key)
{
	return cells->count == 0 ? NULL : cells->slots[probe(cells, key)].item;
}

static size_t room_of(size_t capacity)
{
	return capacity / 4 * 3;
}

static size_t capacity_for(size_t count)
{
	size_t capacity = FIRST_CAPACITY;
	while (room_of(capacity) < count)
		capacity *= 2;
	return capacity;
}

static enum status cells_resize(struct cells *cells, size_t capacity)
{
	struct cells moved = {.capacity = capacity, .count = cells->count};
	moved.slots = calloc(capacity, sizeof *moved.slots);
	if (moved.slots == NULL)
		return ENOMEMORY;
	for (size_t i = 0; i < cells->capacity; i++)
		if (cells->slots[i].item != NULL)
			moved.slots[probe(&moved, &cells->slots[i].key)] = cells->slots[i];
	free(cells->slots);
	*cells = moved;
	return OK;
}

enum status cells_reserve(struct cells *cells, size_t count)
{
	return count <= room_of(cells->capacity) ? OK : cells_resize(cells, capacity_for(count));
}

void cells_trim(struct cells *cells)
{
	size_t capacity = capacity_for(cells->count);
	if (cells->count == 0)
		cells_done(cells);
	else if (capacity < cells->capacity && cells_resize(cells, capacity) != OK)
		return; /* it stays as it is */
}

enum status cells_add(struct cells *cells, const struct cell_key *key, void *item)
{
	assert(item != NULL);
	enum status status = cells_reserve(cells, cells->count + 1);
	if (status != OK)
		return status;
	struct cells_slot *slot = &cells->slots[probe(cells, key)];
	assert(slot->item == NULL);
	*slot = (struct cells_slot){*key, item};
	cells->count++;
	return OK;
}

void cells_remove(struct cells *cells, const struct cell_key *key)
{
	if (cells->count == 0)
		return;
	size_t mask = cells->capacity - 1;
	size_t hole = probe(cells, key);
	if (cells->slots[hole].item == NULL)
		return;
	cells->count--;
	for (size_t at = (hole + 1) & mask; cells->slots[at].item != NULL; at = (at + 1) & mask) {
		/* An item may fill the hole unless its home lies behind the hole. */
		size_t distance = (at - home(cells, &cells->slots[at].key)) & mask;
		if (distance < ((at - hole) & mask))
			continue;
		cells->slots[hole] = cells->slots[at];
		hole = at;
	}
	cells->slots[hole] = (struct cells_slot){0};
}

void cells_done(struct cells *cells)
{
	free(cells->slots);
	*cells = (struct cells){0};
}

static int slot_compare(const void *a, const void *b)
{
	const struct cells_slot *const *left = a;
	const struct cells_slot *const *right = b;
	return memcmp(&(*left)->key, &(*right)->key, sizeof(struct cell_key));
}

void **cells_sorted(const struct cells *cells)
{
	if (cells->count == 0)
		return NULL;
	void **sorted = calloc(cells->count, sizeof *sorted);
	if (sorted == NULL)
		return NULL;
	size_t count = 0;
	for (size_t i = 0; i < cells->capacity; i++)
		if (cells->slots[i].item != NULL)
			sorted[count++] = &cells->slots[i];
	assert(count == cells->count);
	qsort(sorted, count, sizeof *sorted, slot_compare);
	for (size_t i = 0; i < count; i++)
		sorted[i] = ((struct cells_slot *)sorted[i])->item;
	return sorted;
}
