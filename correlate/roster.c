#include "correlate/tally_private.h"

#include <assert.h>
#include <xxhash.h>

/* How many instances and traits each version has: which may come in, and which are forgotten.
 *
 * Pods come with a new name each, for ever, and a version that logs an error in the words of its
 * users shows new kinds of errors for ever. So each version has a roster, and what is beyond it is
 * counted and not kept. What is stored of a thing that was forgotten stays stored. */

enum { NAMES_OF_ARM = 3 };

/* An instance that has been silent so long is forgotten. One that speaks again is a new one, so
 * this is longer than any canary. */
static const int64_t INSTANCE_MEMORY_US = (int64_t)7 * 24 * 3600 * 1000000;

/* The encoded names of a key, as many as name_count: behind its kind, before its last parts. */
static struct text key_names(struct text key, size_t name_count)
{
	struct cursor cursor = cursor_of(text_cut(key, 1));
	for (size_t i = 0; i < name_count; i++)
		(void)cursor_text(&cursor);
	size_t size = cursor.failed ? 0 : key.size - 1 - cursor_left(&cursor);
	return (struct text){key.data + 1, size};
}

enum status roster_own_node(struct tally *tally, struct tally_place place, enum tally_kind kind,
			    size_t name_count, struct tally_node **ret_node)
{
	assert(kind == TALLY_LATE || kind == TALLY_ROSTER);
	struct text names = key_names(place.key, name_count);
	struct bytes key cleanup(bytes_done) = {0};
	bytes_put_u8(&key, (uint8_t)kind);
	bytes_put(&key, names.data, names.size);
	if (key.failed)
		return ENOMEMORY;
	place.key = bytes_text(&key);
	place.hash = XXH3_64bits(key.data, key.size);
	return tally_get(tally, &place, ret_node, NULL);
}

static enum status roster_of(struct tally *tally, struct tally_place place,
			     struct tally_roster **ret_roster)
{
	struct tally_node *node = NULL;
	enum status status = roster_own_node(tally, place, TALLY_ROSTER, NAMES_OF_ARM, &node);
	if (status == OK)
		*ret_roster = &node->roster;
	return status;
}

enum status roster_admit_instance(struct tally *tally, const struct tally_item *item)
{
	struct tally_roster *roster = NULL;
	if (tally_find(tally, &item->place) != NULL)
		return OK;
	enum status status = roster_of(tally, item->place, &roster);
	if (status != OK)
		return status;
	roster->refused |= roster->instance_count == COHORT_INSTANCES_MAX;
	if (roster->instance_count == COHORT_INSTANCES_MAX)
		return ELIMIT;
	roster->instance_count++;
	return OK;
}

/* What a trait's key says behind the names of its arm; false when it is none. */
static bool signal_of(struct text key, enum signal *ret_signal, struct text *ret_what)
{
	struct cursor cursor = cursor_of(text_cut(key, 1));
	for (int i = 0; i < NAMES_OF_ARM; i++)
		(void)cursor_text(&cursor);
	struct text name = cursor_text(&cursor);
	*ret_what = cursor_text(&cursor);
	return !cursor.failed && signal_find(name, ret_signal);
}

enum status roster_admit_trait(struct tally *tally, const struct tally *traits,
			       struct tally_item *item, struct bytes *key)
{
	enum signal signal = SIGNAL_COUNT;
	struct text what = {0};
	struct tally_roster *roster = NULL;
	if (!signal_of(item->place.key, &signal, &what) || what.size == 0 ||
	    tally_find(traits, &item->place) != NULL)
		return OK;
	enum status status = roster_of(tally, item->place, &roster);
	if (status != OK)
		return status;
	if (roster->trait_counts[signal] < SIGNAL_KEYS_MAX) {
		roster->trait_counts[signal]++;
		return OK;
	}
	struct text names = key_names(item->place.key, NAMES_OF_ARM);
	bytes_put_u8(key, TALLY_TRAIT);
	bytes_put(key, names.data, names.size);
	bytes_put_text(key, text_of(signal_info(signal)->name));
	bytes_put_text(key, TEXT(""));
	item->place.key = bytes_text(key);
	item->place.hash = XXH3_64bits(key->data, key->size);
	return bytes_status(key);
}

/* Has nothing been heard of it for so long that it may go? */
static bool is_forgotten(const struct tally_node *node, int64_t watermark_us)
{
	if (node->is_due)
		return false;
	if (node->kind == TALLY_TRAIT)
		return node->trait->met_last_us <= watermark_us - SIGNAL_MEMORY_US;
	return node->kind == TALLY_INSTANCE &&
	       node->instance.last_us <= watermark_us - INSTANCE_MEMORY_US;
}

static bool roster_is_empty(const struct tally_roster *roster)
{
	size_t sum = roster->instance_count;
	for (int i = 0; i < SIGNAL_COUNT; i++)
		sum += roster->trait_counts[i];
	return sum == 0;
}

static enum status forget_of(struct tally *tally, struct tally *from, int64_t watermark_us)
{
	struct tally_node *node = NULL;
	struct tally_node *next = NULL;
	HASH_ITER (hh, from->nodes, node, next) {
		if (!is_forgotten(node, watermark_us))
			continue;
		struct tally_roster *roster = NULL;
		struct tally_place place = {.key = node->key,
					    .virtual_partition = node->virtual_partition};
		enum status status = roster_of(tally, place, &roster);
		if (status != OK)
			return status;
		size_t *count = node->kind == TALLY_INSTANCE
					? &roster->instance_count
					: &roster->trait_counts[node->trait->signal];
		*count -= *count > 0;
		tally_remove(from, node);
	}
	return OK;
}

enum status roster_forget(struct tally *tally, struct tally *traits, int64_t before_us,
			  int64_t watermark_us)
{
	struct tally_node *node = NULL;
	struct tally_node *next = NULL;
	bool same_hour = before_us / ROSTER_STEP_US == watermark_us / ROSTER_STEP_US;
	if (watermark_us == INT64_MAX || watermark_us < INT64_MIN + SIGNAL_MEMORY_US || same_hour)
		return OK;
	enum status status = forget_of(tally, tally, watermark_us);
	if (status == OK)
		status = forget_of(tally, traits, watermark_us);
	if (status != OK)
		return status;
	HASH_ITER (hh, tally->nodes, node, next)
		if (node->kind == TALLY_ROSTER && roster_is_empty(&node->roster))
			tally_remove(tally, node);
	return OK;
}
