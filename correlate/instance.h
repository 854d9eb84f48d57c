/* instance - what each running copy of a service has logged: what is missing, what came twice, who
 * fell silent.
 *
 * Why: an attacker who deletes a few records, plays old ones again or stops an agent leaves no
 * event behind. A producer's counter (event.sequence) tells all three: numbers that never come are
 * a gap, numbers that come again with their old times are a replay, and an instance of which
 * nothing comes while time goes on is silent. A counter that begins again with later times is a
 * restart, no replay. Where there is no counter an event.id tells a replay: one of the same
 * instance that comes again, with a time at most a window away, is a copy.
 *
 * Records are folded in the order of their times once the watermark has passed them, so neither
 * partitions nor threads nor epochs can change what is found. A gap is told when the watermark is
 * INSTANCE_SLACK_US behind it: threads of one process write their numbers a little out of order.
 *
 * Invariant: missing = numbers below the highest that never came; after instances_close()
 * everything up to the watermark is folded. No clock, no I/O. Owner: instances_free(). Thread: one.
 * Limits: INSTANCES_MAX instances, the least recently seen silent one goes first, else a new one is
 * refused and counted; INSTANCE_SPANS_MAX runs of numbers wait for the watermark, more are folded
 * before it (counted); INSTANCE_GAPS_MAX gaps are remembered each, the oldest is forgotten first,
 * and numbers that come for it later count as replayed; INSTANCE_IDS_MAX event ids are remembered,
 * the oldest is forgotten first (counted), INSTANCE_COPIES_MAX copies are told an epoch (all are
 * counted). */
#ifndef PICKET_CORRELATE_INSTANCE_H
#define PICKET_CORRELATE_INSTANCE_H

#include <stdint.h>

#include "correlate/record.h"

enum {
	INSTANCES_MAX = 65536,
	INSTANCE_SPANS_MAX = 4096,
	INSTANCE_GAPS_MAX = 64,
	INSTANCE_NAME_MAX = 256,
	INSTANCE_IDS_MAX = 262144,
	INSTANCE_COPIES_MAX = 1024,
	INSTANCE_USUAL_MIN = 20, /* events from which on its usual pause is known */
};
#define INSTANCE_SLACK_US ((int64_t)5 * 1000000)

/* One event as it concerns its instance, or many whose numbers follow each other. */
struct sighting {
	uint8_t virtual_partition;     /* of the service; 0 where there are no shards */
	struct text service, instance; /* instance: node name, pod, container, host, or "" */
	bool counted;                  /* with a usable event.sequence */
	int64_t low, high;             /* the numbers, one after the other */
	int64_t first_us, last_us;     /* the times, which do not go back when counted */
	int64_t pause_us;              /* the longest between two of them */
	uint64_t events;
	bool is_id; /* only service, instance, first_us and this count: */
	uint64_t id;
};
/* False when the event names no service. Views into the event. */
bool sighting_of(const struct event *event, struct sighting *ret_sighting);
/* Joins `next` to `to` when it is of the same instance and follows it. */
bool sighting_join(struct sighting *to, const struct sighting *next);
void sighting_encode(const struct sighting *sighting, struct bytes *to);

/* Gathers the sightings of an epoch, on a worker: a logger's records in one partition become one.
 */
enum { SIGHTINGS_SLOTS = 256, SIGHTING_KEY_MAX = 2 * INSTANCE_NAME_MAX };
struct sightings;
/* ids: event ids too. */
enum status sightings_new(const struct hash_key *key, bool ids, struct sightings **ret_sightings);
void sightings_free(struct sightings **sightings);
enum status sightings_see(struct sightings *sightings, const struct event *event,
			  const struct record_sink *sink);
enum status sightings_flush(struct sightings *sightings, const struct record_sink *sink);

struct instance_report {
	struct text service, instance; /* valid until the instance goes */
	uint64_t events;
	int64_t first_us, last_us;
	int64_t pause_us;  /* the longest between two events */
	uint64_t counted;  /* events with a number */
	uint64_t missing;  /* numbers told as missing that have not come since */
	uint64_t gaps;     /* runs of missing numbers */
	uint64_t replayed; /* numbers that came again */
	uint64_t restarts; /* the counter began again */
	bool silent;
};

enum instance_finding { INSTANCE_GAP, INSTANCE_REPLAY, INSTANCE_COPY, INSTANCE_SILENT };

struct instance_news {
	enum instance_finding finding;
	const struct instance_report *report; /* of COPY: the names only */
	int64_t time_us;    /* of the record beside it; SILENT: of the last event */
	int64_t low, high;  /* GAP, REPLAY: the numbers */
	bool whole_service; /* SILENT: no instance of the service is left */
};
typedef void instance_tell(void *context, const struct instance_news *news);

struct instances;

/* Of actor number `index` of `actor_count`: feed and restore leave out what belongs to others. */
enum status instances_new(unsigned index, unsigned actor_count, struct instances **ret_instances);
void instances_free(struct instances **instances);

/* Remembers event ids from now on: before anything is fed. */
enum status instances_watch_ids(struct instances *instances, int64_t window_us);

enum status instances_see(struct instances *instances, const struct sighting *sighting);
/* What struct sightings gathered in one epoch; ECORRUPT when it is none of that. */
enum status instances_feed(struct instances *instances, struct text gathered, struct error *err);

/* The state of one virtual partition, and back into memory. "" = nothing. */
enum status instances_checkpoint(const struct instances *instances, uint8_t virtual_partition,
				 struct bytes *to);
enum status instances_restore(struct instances *instances, struct text checkpoint,
			      struct error *err);
/* The same for the event ids. */
enum status instances_ids_checkpoint(const struct instances *instances, uint8_t virtual_partition,
				     struct bytes *to);
enum status instances_ids_restore(struct instances *instances, uint8_t virtual_partition,
				  struct text checkpoint, struct error *err);
/* Everything up to the watermark is folded; an instance of which nothing came for silent_us of
 * event time, and for twice its longest pause, is silent (silent_us <= 0: nobody is). */
enum status instances_close(struct instances *instances, int64_t watermark_us, int64_t silent_us,
			    instance_tell *tell, void *context);

size_t instances_count(const struct instances *instances);
/* In no order; instances come and go only in see and close. */
void instances_each(const struct instances *instances,
		    void (*visit)(void *context, const struct instance_report *report),
		    void *context);

struct instances_counters {
	uint64_t refused, folded_early, gaps_forgotten;
	uint64_t missing, replayed, restarts, silences; /* told since the start */
	uint64_t copies, ids_forgotten; /* event ids that came again; that had to go */
};
struct instances_counters instances_counters(const struct instances *instances);

#endif
