/* Which event ids were seen lately: a ring in the order of arrival, and chains of one hash in it.
 *
 * What comes in takes the place of the oldest. An id says nothing any more once the watermark is a
 * window past its time, so a ring that is large enough forgets nothing too early; one that is not
 * counts what it forgot. Ids are keyed hashes of service, instance and event.id (64 bits: among a
 * quarter of a million the chance of two equal ones is 2^-29), so nobody can make two collide.
 *
 *   checkpoint   sequence of: be64 id, signed time; of one virtual partition, oldest first */
#include <assert.h>
#include <stdlib.h>

#include "correlate/instance_private.h"

enum { CHAINS = INSTANCE_IDS_MAX };

struct seen_id {
	uint64_t id;
	int64_t time_us;
	uint32_t next; /* of the same chain, + 1 */
};

struct seen_ids {
	int64_t window_us;
	size_t first, count;                         /* in the ring */
	uint32_t chains[CHAINS];                     /* newest of each, + 1 */
	uint8_t virtual_partition[INSTANCE_IDS_MAX]; /* apart: checkpoints look at nothing else */
	struct seen_id ring[INSTANCE_IDS_MAX];
};

enum status instances_watch_ids(struct instances *instances, int64_t window_us)
{
	assert(instances->ids == NULL && window_us > 0);
	instances->ids = calloc(1, sizeof *instances->ids);
	if (instances->ids == NULL)
		return ENOMEMORY;
	instances->ids->window_us = window_us;
	return OK;
}

void seen_ids_free(struct seen_ids **ids)
{
	free(*ids);
	*ids = NULL;
}

static uint32_t *chain_of(struct seen_ids *ids, uint64_t id)
{
	return &ids->chains[id % CHAINS];
}

static struct seen_id *find(struct seen_ids *ids, uint64_t id)
{
	for (uint32_t at = *chain_of(ids, id); at != 0; at = ids->ring[at - 1].next)
		if (ids->ring[at - 1].id == id)
			return &ids->ring[at - 1];
	return NULL;
}

static void forget_oldest(struct seen_ids *ids)
{
	assert(ids->count > 0);
	uint32_t oldest = (uint32_t)ids->first + 1;
	uint32_t *link = chain_of(ids, ids->ring[ids->first].id);
	while (*link != oldest)
		link = &ids->ring[*link - 1].next;
	*link = ids->ring[ids->first].next;
	ids->first = (ids->first + 1) % INSTANCE_IDS_MAX;
	ids->count--;
}

static void remember(struct instances *instances, const struct sighting *sighting)
{
	struct seen_ids *ids = instances->ids;
	if (ids->count == INSTANCE_IDS_MAX) {
		forget_oldest(ids);
		instances->counters.ids_forgotten++;
	}
	size_t at = (ids->first + ids->count++) % INSTANCE_IDS_MAX;
	uint32_t *chain = chain_of(ids, sighting->id);
	ids->ring[at] = (struct seen_id){sighting->id, sighting->first_us, *chain};
	ids->virtual_partition[at] = sighting->virtual_partition;
	*chain = (uint32_t)at + 1;
}

static uint64_t distance(int64_t a, int64_t b)
{
	return a > b ? (uint64_t)a - (uint64_t)b : (uint64_t)b - (uint64_t)a;
}

/* Told when the epoch is closed: what comes in it may come in any order. */
static enum status note_copy(struct instances *instances, const struct sighting *sighting)
{
	instances->counters.copies++;
	if (instances->copy_count == INSTANCE_COPIES_MAX)
		return OK; /* counted; one alert an hour and instance is told anyway */
	instances->copy_count++;
	bytes_put_text(&instances->copies, sighting->service);
	bytes_put_text(&instances->copies, sighting->instance);
	bytes_put_signed(&instances->copies, sighting->first_us);
	return bytes_status(&instances->copies);
}

enum status seen_ids_see(struct instances *instances, const struct sighting *sighting)
{
	assert(sighting->is_id);
	if (instances->ids == NULL)
		return OK;
	struct seen_id *before = find(instances->ids, sighting->id);
	if (before == NULL) {
		remember(instances, sighting);
		return OK;
	}
	bool again = distance(before->time_us, sighting->first_us) <=
		     (uint64_t)instances->ids->window_us;
	int64_t later_us = before->time_us;
	if (sighting->first_us > later_us)
		later_us = sighting->first_us;
	struct sighting copy = *sighting;
	copy.first_us = later_us; /* the same whichever of the two came first */
	before->time_us = later_us;
	return again ? note_copy(instances, &copy) : OK;
}

void seen_ids_close(struct instances *instances, int64_t watermark_us, instance_tell *tell,
		    void *context)
{
	struct seen_ids *ids = instances->ids;
	struct cursor copies = cursor_of(bytes_text(&instances->copies));
	while (cursor_left(&copies) > 0) {
		struct instance_report report = {.service = cursor_text(&copies)};
		report.instance = cursor_text(&copies);
		const struct instance_news news = {.finding = INSTANCE_COPY,
						   .report = &report,
						   .time_us = cursor_signed(&copies)};
		assert(!copies.failed); /* we wrote it ourselves */
		if (tell != NULL)
			tell(context, &news);
	}
	bytes_clear(&instances->copies);
	instances->copy_count = 0;
	while (ids != NULL && ids->count > 0 && ids->ring[ids->first].time_us < watermark_us &&
	       distance(ids->ring[ids->first].time_us, watermark_us) > (uint64_t)ids->window_us)
		forget_oldest(ids);
}

enum status instances_ids_checkpoint(const struct instances *instances, uint8_t virtual_partition,
				     struct bytes *to)
{
	const struct seen_ids *ids = instances->ids;
	for (size_t i = 0; ids != NULL && i < ids->count; i++) {
		size_t at = (ids->first + i) % INSTANCE_IDS_MAX;
		if (ids->virtual_partition[at] != virtual_partition)
			continue;
		bytes_put_be64(to, ids->ring[at].id);
		bytes_put_signed(to, ids->ring[at].time_us);
	}
	return bytes_status(to);
}

enum status instances_ids_restore(struct instances *instances, uint8_t virtual_partition,
				  struct text checkpoint, struct error *err)
{
	struct cursor from = cursor_of(checkpoint);
	struct sighting seen = {.is_id = true, .virtual_partition = virtual_partition};
	if (instances->ids == NULL)
		return OK; /* nobody asks for them any more */
	while (cursor_left(&from) > 0) {
		seen.id = cursor_be64(&from);
		seen.first_us = cursor_signed(&from);
		if (from.failed || find(instances->ids, seen.id) != NULL)
			return error_set(err, ECORRUPT, "the event ids of instances are damaged");
		remember(instances, &seen);
	}
	return OK;
}
