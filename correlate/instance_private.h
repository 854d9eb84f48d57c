/* instance, inside: the state of one, for what folds it and what writes it down.
 *
 * Owner: a struct instances. Thread: one. */
#ifndef PICKET_CORRELATE_INSTANCE_PRIVATE_H
#define PICKET_CORRELATE_INSTANCE_PRIVATE_H

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "correlate/instance.h"

struct span {
	int64_t low, high;         /* numbers */
	int64_t first_us, last_us; /* times */
};

struct gap {
	int64_t low, high;
	int64_t time_us; /* of the record above it */
	bool told;
};

struct tracked {
	struct instance_report report;
	struct span *spans;
	size_t span_count, span_capacity;
	struct gap gaps[INSTANCE_GAPS_MAX];
	size_t gap_count;
	uint8_t virtual_partition;
	bool running; /* a number was folded */
	int64_t base, highest, run_last_us;
	size_t key_size;
	char *key; /* text service, text instance: the names of the report point into it */
	UT_hash_handle hh;
};

struct instances {
	struct tracked *table;
	size_t count;
	unsigned index, actor_count;
	struct instances_counters counters;
	struct seen_ids *ids; /* NULL: not watched */
	struct bytes copies;  /* of this epoch: text service, text instance, signed time */
	size_t copy_count;
};

/* instance_id.c */
void seen_ids_free(struct seen_ids **ids);
enum status seen_ids_see(struct instances *instances, const struct sighting *sighting);
void seen_ids_close(struct instances *instances, int64_t watermark_us, instance_tell *tell,
		    void *context);

/* The instance of a sighting; *ret_tracked stays NULL when there is no room. */
enum status tracked_of(struct instances *instances, const struct sighting *sighting,
		       struct tracked **ret_tracked);
enum status tracked_span(struct tracked *tracked, struct span span);

#endif
