/* gated - the events of one group in order of time, until the watermark has decided what they mean.
 *
 * Why: "fewer than five", "an average above", "not followed by" and everything that learns can be
 * made false by one event more, so nobody may say it while an event of that time may still come.
 * A gated cell collects events as they come and judges them when the watermark has passed: then
 * all events of before are there, they stand in order of time, and the order of arrival is
 * forgotten. What is judged, and what is remembered afterwards, is the business of one machine per
 * kind of condition; this file is what they share.
 *
 * Invariant: entries ascend by time; the first decided_count are decided; an event that is added is
 * not older than the watermark of the last gated_advance(). One event may be several entries: its
 * first, and secondary ones behind it of the same time. What a machine says depends on the set of
 * events only: events of one time count in any order.
 * Owner: a cell. Thread: one. Units: microseconds of event time.
 * Limits: GATED_ENTRIES_MAX entries, of a sequence SEQUENCE_ENTRIES_MAX; beyond it the older half
 * goes, `cut_us` says up to when, and alerts from windows that reach there are marked degraded. */
#ifndef PICKET_CORRELATE_GATED_H
#define PICKET_CORRELATE_GATED_H

#include "correlate/timer.h"
#include "correlate/window.h"

enum { GATED_ENTRIES_MAX = 65536, SEQUENCE_ENTRIES_MAX = 2048 };

/* Entries between the ends that keep their proof, about: of those that wait, of those decided.
 * Powers of two. */
enum { GATED_PROOFS_WAITING = 128, GATED_PROOFS_DECIDED = 16 };

struct gated_entry {
	int64_t time_us;
	uint64_t value;      /* what the tag says (route.c) */
	struct proof *proof; /* may be NULL */
	uint8_t tag;
	uint8_t flags; /* record_flags of its record */
	bool secondary;
	bool contributes;
};

struct gated {
	struct timer gate; /* first: a gate is its gated. When there is something to decide */
	void *owner;       /* the cell */
	struct gated_entry *entries;
	size_t count;
	size_t capacity;
	size_t decided_count;
	int64_t owed_us; /* aligned windows: the one that is judged even if it is empty */
	int64_t cut_us;  /* INT64_MIN: nothing was cut */
	int64_t kept_us; /* until when something of it may matter; INT64_MIN: nothing does */
	void *memory;    /* of the machine, NULL before the first event */
};

struct gated_value {
	uint8_t tag;
	uint64_t value;
};

/* Whether a machine may be given it: what comes from a disk is checked. */
bool gated_value_fits(const struct unit *unit, const struct gated_value *value);

struct gated_event {
	struct proof *proof; /* with its time */
	uint8_t flags;
	const struct gated_value *values;
	size_t value_count; /* > 0 */
};

/* One kind of condition. All of them are pure functions of the group's events. */
struct machine {
	/* Decides all that the watermark has passed; what holds is added to the news. */
	enum status (*advance)(struct gated *gated, const struct unit *unit, int64_t watermark_us,
			       struct window_news *news);
	/* The watermark that passes this decides something; INT64_MAX: nothing waits. */
	int64_t (*next_us)(const struct gated *gated, const struct unit *unit);
	/* Forgets what cannot matter any more; the time until when the rest may, INT64_MIN: all is
	 * gone. */
	int64_t (*forget)(struct gated *gated, const struct unit *unit, int64_t watermark_us);
	/* The newest event in `memory` that is behind last_us by at most span_us and may still
	 * begin to contribute; INT64_MIN: none. NULL: memory holds no events. */
	int64_t (*waiting_us)(const struct gated *gated, int64_t last_us, int64_t span_us);
	/* Whether nothing will continue an episode whose last event is at last_us, although it has
	 * not been quiet for long enough. NULL: that is not known. */
	bool (*is_over)(const struct gated *gated, int64_t last_us);
	/* Of `memory`; NULL when the machine has none, encode and decode also when it is no state
	 * but can be found again from the entries. */
	void (*encode)(const struct gated *gated, struct bytes *to);
	enum status (*decode)(struct cursor *from, const struct unit *unit, struct gated *gated);
	void (*done)(struct gated *gated);
	size_t (*bytes)(const struct gated *gated);
};

extern const struct machine sliding_machine, aligned_machine, names_machine, sequence_machine,
	travel_machine, first_seen_machine, absence_machine, baseline_machine, risk_machine,
	peers_machine;

const struct machine *machine_of(const struct unit *unit);

struct gated *gated_new(void *owner); /* NULL when out of memory */
void gated_free(struct gated **gated, const struct unit *unit);

/* Adds an event; holds its own reference to the proof. */
enum status gated_add(struct gated *gated, const struct unit *unit,
		      const struct gated_event *event);
/* For machines. The first `count` entries go. */
void gated_drop(struct gated *gated, size_t count);
/* Entries that are older than the watermark by more than span_us go. */
void gated_drop_passed(struct gated *gated, int64_t span_us, int64_t watermark_us);
/* Of the entries from `first` on that are decided, and whose firings nobody wants, most give up
 * their proof, unless they are near an end. */
void gated_thin_decided(struct gated *gated, size_t first);
/* The entry's event contributes from now on. */
enum status gated_contribute(struct gated_entry *entry, const struct unit *unit,
			     struct window_news *news);
/* Behind the last entry of the time of the entry at `first`. */
size_t gated_same_time(const struct gated *gated, size_t first);
/* Whether a window that begins at from_us lacks events that were cut. */
bool gated_is_cut(const struct gated *gated, int64_t from_us);

size_t gated_bytes(const struct gated *gated, const struct unit *unit);
void gated_encode(const struct gated *gated, const struct unit *unit, struct bytes *to);
/* Into a new one; ECORRUPT when the bytes break the invariant. */
enum status gated_decode(struct cursor *from, const struct unit *unit, struct gated *gated);

/* time_us + span_us, at most INT64_MAX; time_us - span_us, at least INT64_MIN. */
int64_t time_after(int64_t time_us, int64_t span_us);
int64_t time_before(int64_t time_us, int64_t span_us);

#endif
