/* doctor_private - what is counted of a service, between the sources of the doctor.
 *
 * Why: doctor.c counts, doctor_report.c tells, doctor_signal.c does both for the signals of the
 * gate. Invariant: a patient holds counts and hashes, never an event. Owner: struct doctor. Thread:
 * one. Limits: DOCTOR_* of doctor.h, BURSTS and FORMAT_NAMES_MAX below. */
#ifndef PICKET_CLI_DOCTOR_PRIVATE_H
#define PICKET_CLI_DOCTOR_PRIVATE_H

#include "cli/doctor.h"
#include "cli/json_writer.h"
#include "correlate/instance.h"
#include "correlate/signal.h"
#include "rules/coverage.h"

enum {
	NEEDS = 10,
	NEED_FIELDS_MAX = 3,
	FORMAT_NAMES_MAX = 8,
	BURSTS = 4096, /* messages whose seconds are watched, by hash */
};

/* The ten fields: names for people, and what must be there. */
struct need {
	const char *name;
	enum field_id fields[NEED_FIELDS_MAX]; /* all of them; FIELD_OTHER ends them early */
};
extern const struct need doctor_needs[NEEDS];

enum {
#define SIGNAL_NEED(what, fields, signals, fix) +1
	SIGNAL_NEEDS = 0
#include "cli/signal_need.def"
#undef SIGNAL_NEED
};

/* How many events fed a signal, had one of the fields of a need, and had all that a signal needs.
 */
struct signal_feeds {
	uint64_t fed[SIGNAL_COUNT], complete[SIGNAL_COUNT];
	uint64_t have[SIGNAL_NEEDS];
};
/* keys is room for what is read. */
enum status signal_feeds_see(struct signal_feeds *feeds, const struct event *event,
			     struct bytes *keys);
/* "signals":{"can_feed", "of", "fed":[], "missing":[{"fields", "signals":[], "fix"}]} */
void signal_feeds_write(const struct signal_feeds *feeds, struct json_writer *json);

struct burst {
	uint64_t message;
	int64_t second;
	uint32_t count;
};

struct patient {
	char *name;
	uint64_t events, bytes;
	uint64_t have[NEEDS];
	uint64_t requests, principals; /* for the gate */
	const char *formats[FORMAT_NAMES_MAX];
	size_t format_count;
	int64_t first_us, last_us;
	uint64_t time_missing, time_refused;
	int64_t ahead_us, behind_us; /* the largest distances between event and record time */
	uint64_t duplicates, unbound, false_claims, secrets;
	struct burst bursts[BURSTS];
	uint64_t capped, beyond; /* seconds with a hundred of one message, with two hundred */
	struct coverage *coverage;
	struct signal_feeds signals;
	uint64_t missing, replayed, restarts, instances; /* of instance.h, at the end */
};

struct doctor {
	struct doctor_options options;
	struct patient *patients[DOCTOR_SERVICES_MAX];
	size_t patient_count;
	struct instances *instances;
	uint64_t *hashes;
	size_t hash_count;
	struct arena *arena;
	struct bytes keys; /* of one event's signals */
};

/* Is there a value, and is it not empty? */
bool doctor_has(const struct event *event, enum field_id id);
/* Closes a second of one message. */
void doctor_burst_end(struct patient *patient, const struct burst *burst);

#endif
