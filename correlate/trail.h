/* trail - the events of one group that carry values, and which of them a holding window contains.
 *
 * Why: "at least K different values within W", "all of these rules within W, in order", "a sum of S
 * within W" must be answered exactly for every order of arrival, without remembering a flood. What
 * window.h does for counts, this does for every monotone condition over values (judge.h).
 * trail_compact.c says what may be forgotten and why.
 *
 * Invariant: entries ascend by time; `contributes` and `fired` never go back to false; an entry
 * that still may contribute or fire stays, unless `cut` says otherwise. An event with several
 * values is one entry that counts, and secondary ones behind it of the same time.
 * Owner: a cell. Thread: one. Units: microseconds of event time.
 * Limits: trail_entries_max() entries; beyond it the oldest repeats of a value, then the oldest
 * entries go, `cut` is set, and what the alert counts is a lower bound. */
#ifndef PICKET_CORRELATE_TRAIL_H
#define PICKET_CORRELATE_TRAIL_H

#include "correlate/judge.h"
#include "correlate/window.h"

enum {
	TRAIL_AT_LEAST_MAX = ACCURACY_EXACT_MAX,
	TRAIL_ENTRIES_MAX = 65536,
	TRAIL_COMPACT_SLACK = 64,
};

struct trail_shape {
	struct judge_rule rule;
	bool keeps_proofs;   /* somebody wants the firings */
	struct judge *spare; /* lent: judges the trails that have none of their own, each in turn */
};

struct trail_entry {
	int64_t time_us;
	uint64_t value;
	struct proof *proof; /* may be NULL */
	bool contributes;    /* a holding window contains it */
	bool fired;          /* the window that ends at its time holds */
	bool secondary;      /* a further value of the event before it */
	bool doomed;         /* trail_compact.c: goes */
	uint32_t kept; /* trail_compact.c: the entry of its value before it that stays, or itself */
};

/* One piece of memory, because there are millions and each event finds another one. */
struct trail {
	struct judge *judge; /* NULL while there are few entries */
	size_t proof_bytes;  /* of the proofs of its entries */
	uint32_t count;
	uint32_t capacity;
	uint32_t compact_at;  /* the count at which to look for what may be forgotten */
	uint32_t judged_from; /* judge stands for entries[judged_from .. count) ... */
	bool judged;          /* ... now */
	bool cut;             /* entries went that might still have mattered */
	struct trail_entry entries[];
};

struct trail_event {
	struct proof *proof; /* with its time */
	const uint64_t *values;
	size_t value_count; /* > 0 */
};

struct trail *trail_new(void); /* NULL when out of memory */
void trail_free(struct trail **trail);

/* Adds an event; holds its own references. The news is added to what is in it (window.h). The trail
 * may move. After ENOMEMORY it may only be freed. */
enum status trail_add(struct trail **trail, const struct trail_shape *shape,
		      const struct trail_event *event, struct window_news *news);

/* Forgets what cannot matter at this watermark. */
void trail_settle(struct trail **trail, const struct trail_shape *shape, int64_t watermark_us);

/* Makes room for so many entries, when there is less. */
enum status trail_reserve(struct trail **trail, size_t capacity);

/* Its own judge, or the spare one. */
static inline struct judge *trail_judge(const struct trail *trail, const struct trail_shape *shape)
{
	return trail->judge != NULL ? trail->judge : shape->spare;
}

/* The entry's proof is not needed any more. */
void trail_release(struct trail *trail, struct trail_entry *entry);
/* trail_compact.c: forgets what the rest stands for. */
enum status trail_compact(struct trail *trail, const struct trail_shape *shape);
size_t trail_entries_max(const struct trail_shape *shape);

size_t trail_bytes(const struct trail *trail); /* memory, about */

/* trail_codec.c */
void trail_encode(const struct trail *trail, struct bytes *to);
/* Into an empty trail; ECORRUPT when the bytes break the invariant. After a failure the trail may
 * only be freed. */
enum status trail_decode(struct cursor *from, const struct trail_shape *shape,
			 struct trail **trail);

#endif
