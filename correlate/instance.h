/* instance - what each running copy of a service has logged: what is missing, what came twice, who
 * fell silent.
 *
 * Why: an attacker who deletes a few records, plays old ones again or stops an agent leaves no
 * event behind. A producer's counter (event.sequence) tells all three: numbers that never come are
 * a gap, numbers that come again with their old times are a replay, and an instance of which
 * nothing comes while time goes on is silent. A counter that begins again with later times is a
 * restart, no replay.
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
 * and numbers that come for it later count as replayed. */
#ifndef PICKET_CORRELATE_INSTANCE_H
#define PICKET_CORRELATE_INSTANCE_H

#include <stdint.h>

#include "rules/bytes.h"
#include "rules/event.h"

enum {
	INSTANCES_MAX = 65536,
	INSTANCE_SPANS_MAX = 4096,
	INSTANCE_GAPS_MAX = 64,
	INSTANCE_NAME_MAX = 256,
	INSTANCE_USUAL_MIN = 20, /* events from which on its usual pause is known */
};
#define INSTANCE_SLACK_US ((int64_t)5 * 1000000)

/* One event as it concerns its instance; false when it names no service. Views into the event. */
struct sighting {
	struct text service, instance; /* instance: node name, pod, container, host, or "" */
	int64_t time_us;
	bool counted; /* it has a usable event.sequence */
	int64_t sequence;
};
bool sighting_of(const struct event *event, struct sighting *ret_sighting);

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

enum instance_finding { INSTANCE_GAP, INSTANCE_REPLAY, INSTANCE_SILENT };

struct instance_news {
	enum instance_finding finding;
	const struct instance_report *report;
	int64_t time_us;    /* of the record beside it; SILENT: of the last event */
	int64_t low, high;  /* GAP, REPLAY: the numbers */
	bool whole_service; /* SILENT: no instance of the service is left */
};
typedef void instance_tell(void *context, const struct instance_news *news);

struct instances;

enum status instances_new(struct instances **ret_instances);
void instances_free(struct instances **instances);

enum status instances_see(struct instances *instances, const struct sighting *sighting);
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
};
struct instances_counters instances_counters(const struct instances *instances);

#endif
