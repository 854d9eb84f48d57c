#include "correlate/tally_private.h"

#include <assert.h>
#include <xxhash.h>

/* How many instances each version has: which may come in, and what is forgotten.
 *
 * Pods come with a new name each, for ever. So each version has a roster, and who is beyond it is
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
	assert(kind == TALLY_LATE || kind == TALLY_ROSTER || kind == TALLY_KNOWN);
	struct text names = key_names(place.key, name_count);
	struct bytes key cleanup(bytes_done) = {0};
	bytes_put_u8(&key, (uint8_t)kind);
	bytes_write(&key, names);
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

/* Instances of which nothing was heard for so long that they may go. */
static enum status forget_instances(struct tally *tally, int64_t watermark_us)
{
	struct tally_node *node = NULL;
	struct tally_node *next = NULL;
	HASH_ITER (hh, tally->nodes, node, next) {
		if (node->kind != TALLY_INSTANCE || node->is_due ||
		    node->instance.last_us > watermark_us - INSTANCE_MEMORY_US)
			continue;
		struct tally_roster *roster = NULL;
		struct tally_place place = {.key = node->key,
					    .virtual_partition = node->virtual_partition};
		enum status status = roster_of(tally, place, &roster);
		if (status != OK)
			return status;
		roster->instance_count -= roster->instance_count > 0;
		tally_remove(tally, node);
	}
	return OK;
}

enum status roster_forget(struct tally *tally, struct tally *ledgers, int64_t before_us,
			  int64_t watermark_us)
{
	struct tally_node *node = NULL;
	struct tally_node *next = NULL;
	bool same_hour = before_us / ROSTER_STEP_US == watermark_us / ROSTER_STEP_US;
	if (watermark_us == INT64_MAX || watermark_us < INT64_MIN + SIGNAL_MEMORY_US || same_hour)
		return OK;
	enum status status = forget_instances(tally, watermark_us);
	if (status != OK)
		return status;
	HASH_ITER (hh, tally->nodes, node, next)
		if ((node->kind == TALLY_ROSTER && node->roster.instance_count == 0) ||
		    (node->kind == TALLY_KNOWN && known_is_past(&node->known, watermark_us)))
			tally_remove(tally, node);
	HASH_ITER (hh, ledgers->nodes, node, next) {
		ledger_forget(node->ledger, watermark_us - SIGNAL_MEMORY_US);
		if (node->ledger->entry_count == 0)
			tally_remove(ledgers, node);
	}
	return OK;
}
