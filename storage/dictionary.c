/* Most lookups find what they look for, and nearly all texts are short: what is compared first lies
 * in the slot, and the hash is computed in line. */
#include "storage/dictionary_private.h"

#include <assert.h>
#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { FIRST_CAPACITY = 64, PROBES_MAX = 16 };

struct dictionary_place {
	uint64_t hash;
	size_t start, size;
};

struct dictionary_slot {
	uint32_t tag;    /* the upper half of the hash */
	uint32_t number; /* + 1; 0 = free */
};

void dictionary_clear(struct dictionary *dictionary)
{
	bytes_clear(&dictionary->entries);
	if (dictionary->count > 0)
		memset(dictionary->slots, 0, dictionary->slot_count * sizeof *dictionary->slots);
	dictionary->count = 0;
}

void dictionary_done(struct dictionary *dictionary)
{
	bytes_done(&dictionary->entries);
	free(dictionary->places);
	free(dictionary->slots);
	*dictionary = (struct dictionary){0};
}

struct text dictionary_entry(const struct dictionary *dictionary, uint32_t number)
{
	assert(number < dictionary->count);
	const struct dictionary_place *place = &dictionary->places[number];
	if (place->size == 0) /* it may be the only one, and then there are no bytes at all */
		return TEXT("");
	return (struct text){(const char *)dictionary->entries.data + place->start, place->size};
}

/* The slot that holds entry, or the free one where it belongs, or NULL after PROBES_MAX. */
static inline struct dictionary_slot *slot_of(const struct dictionary *dictionary, uint64_t hash,
					      struct text entry)
{
	size_t mask = dictionary->slot_count - 1;
	for (size_t i = 0; i < PROBES_MAX; i++) {
		struct dictionary_slot *slot = &dictionary->slots[(hash + i) & mask];
		if (slot->number == 0)
			return slot;
		if (slot->tag != hash >> 32)
			continue;
		const struct dictionary_place *place = &dictionary->places[slot->number - 1];
		if (place->size == entry.size &&
		    (entry.size == 0 ||
		     memcmp(dictionary->entries.data + place->start, entry.data, entry.size) == 0))
			return slot;
	}
	return NULL;
}

static bool dictionary_grow(struct dictionary *dictionary)
{
	size_t capacity = dictionary->capacity == 0 ? FIRST_CAPACITY : 2 * dictionary->capacity;
	struct dictionary_place *places =
		realloc(dictionary->places, capacity * sizeof *dictionary->places);
	if (places == NULL)
		return false;
	dictionary->places = places;
	struct dictionary_slot *slots = calloc(2 * capacity, sizeof *slots);
	if (slots == NULL)
		return false;
	free(dictionary->slots);
	dictionary->slots = slots;
	dictionary->slot_count = 2 * capacity;
	dictionary->capacity = capacity;
	for (uint32_t i = 0; i < dictionary->count; i++) {
		struct dictionary_slot *slot =
			slot_of(dictionary, places[i].hash, dictionary_entry(dictionary, i));
		if (slot != NULL)
			*slot = (struct dictionary_slot){(uint32_t)(places[i].hash >> 32), i + 1};
	}
	return true;
}

bool dictionary_number(struct dictionary *dictionary, struct text entry, uint32_t *ret_number)
{
	if (dictionary->count == dictionary->capacity && !dictionary_grow(dictionary))
		return false;
	uint64_t hash = XXH3_64bits(entry.data, entry.size);
	struct dictionary_slot *slot = slot_of(dictionary, hash, entry);
	if (slot != NULL && slot->number != 0) {
		*ret_number = slot->number - 1;
		return true;
	}
	size_t start = dictionary->entries.size;
	bytes_write(&dictionary->entries, entry);
	if (dictionary->entries.failed) {
		dictionary->entries.failed = false;
		return false;
	}
	uint32_t number = (uint32_t)dictionary->count++;
	dictionary->places[number] = (struct dictionary_place){hash, start, entry.size};
	if (slot != NULL)
		*slot = (struct dictionary_slot){(uint32_t)(hash >> 32), number + 1};
	*ret_number = number;
	return true;
}
