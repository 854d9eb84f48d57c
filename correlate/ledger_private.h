/* ledger - what the versions of one service did: things down, versions across.
 *
 * Why: every event names some things (signal.h) that its version did, and a service that lives has
 * dozens of them, the same ones in each of its versions. A row of its own for each thing and
 * version, found by the hash of all its names, was most of what counting an event cost. So a thing
 * has its name once per service and a number; what a version did is an array by that number, and an
 * item tells an epoch's news of a service with each name once.
 *
 * A worker's ledger outlives the epoch: what it told stays as a filter. Evidence is the first
 * events and the smallest principals, so one that does not come before those this worker has told
 * already can not be among those of all either, and is not told: the answer is the same bytes, and
 * in the long run only counts travel. Dropping the ledger is therefore always allowed; it costs to
 * tell again.
 *
 * Invariant: an entry is made of sums, minima, maxima and smallest sets, so the order of arrival
 * and the split into items do not matter. Numbers of things are private to one ledger and never
 * written. Owner: ledger_free(). Thread: one. Limits: SIGNAL_KEYS_MAX things of one kind and
 * version, beyond that all are counted under the key "" (ledger_admit()). */
#ifndef PICKET_CORRELATE_LEDGER_PRIVATE_H
#define PICKET_CORRELATE_LEDGER_PRIVATE_H

#include "correlate/signal.h"

/* One name for all versions that do it. */
struct ledger_thing {
	uint64_t hash; /* keyed, of signal and key: ledger_thing_bytes() */
	enum signal signal;
	struct text key;     /* owned */
	size_t rank;         /* among the things that are being written */
	unsigned user_count; /* entries */
};

/* Who was shown it, and the first events that prove it. */
struct ledger_proof {
	uint64_t principals[SIGNAL_PRINCIPALS_MAX]; /* ascending */
	struct origin
		evidence[COHORT_EVIDENCE_MAX]; /* by (time, origin); topics are the ledger's */
	int64_t evidence_us[COHORT_EVIDENCE_MAX];
	unsigned principal_count, evidence_count;
	uint32_t new_principals, new_evidence; /* sets of places: not told yet */
};

/* What one version did of one thing. */
struct ledger_entry {
	struct ledger_arm *arm;
	size_t thing;
	uint64_t shown, kept, refused;
	int64_t met_first_us, met_last_us;
	int64_t shown_first_us, shown_last_us; /* INT64_MAX, INT64_MIN: never */
	struct ledger_proof *proof;            /* NULL: never shown */
	bool changed;                          /* since the cohort gave it out */
	bool is_listed; /* among a worker's news, or what a cohort gives out next */
	struct ledger_entry *next_listed;
	struct {
		int64_t last_us; /* INT64_MIN: never */
		uint64_t shown, sightings;
		unsigned principals;
	} given; /* what it said when the cohort gave it out */
};

struct ledger_arm {
	struct ledger *ledger;
	struct arm arm;                /* one owned block */
	struct ledger_entry **entries; /* by number of the thing; NULL: it never did it */
	size_t capacity;
	size_t counts[SIGNAL_COUNT]; /* entries, without those of the key "" */
	size_t entry_count;
	size_t rank;   /* among the arms */
	uint64_t hash; /* the worker's name for it in clusters; 0: not asked for yet */
};

struct ledger {
	struct text service; /* a view of the owner's */
	struct ledger_thing *things;
	size_t thing_count, thing_capacity;
	uint32_t *slots; /* open addressing by hash: number + 1, 0 is free */
	size_t slot_count;
	struct ledger_arm **arms; /* by (version, deploy id) */
	size_t arm_count;
	struct text *topics; /* owned */
	size_t topic_count;
	size_t entry_count;
	struct ledger_entry *news; /* a worker's, of this epoch */
	size_t news_count;
};

enum status ledger_new(struct text service, struct ledger **ret_ledger);
void ledger_free(struct ledger **ledger);

/* What the keyed hash of a thing is made of. */
void ledger_thing_bytes(enum signal signal, struct text key, struct bytes *to);
/* These find or make. */
enum status ledger_arm(struct ledger *ledger, const struct arm *arm, struct ledger_arm **ret_arm);
enum status ledger_thing(struct ledger *ledger, const struct ledger_thing *named,
			 size_t *ret_thing);
enum status ledger_entry(struct ledger_arm *arm, size_t thing, struct ledger_entry **ret_entry);
/* The same of a version that may not do more than SIGNAL_KEYS_MAX things of a kind. */
enum status ledger_admit(struct ledger_arm *arm, size_t thing, struct ledger_entry **ret_entry);

/* One sighting, or a sum of them. The proof of the sum is added by the other two. */
void ledger_add(struct ledger_entry *entry, const struct ledger_entry *more);
/* It was shown to somebody (0: nobody knows to whom). */
enum status ledger_principal(struct ledger_entry *entry, uint64_t principal);
enum status ledger_evidence(struct ledger_entry *entry, int64_t time_us,
			    const struct origin *origin);

/* A worker has something to tell of it. */
void ledger_note(struct ledger_entry *entry);

/* ledger_codec.c: the payload of an item. */
enum ledger_part { LEDGER_ALL, LEDGER_NEWS };
enum status ledger_put(struct ledger *ledger, enum ledger_part part, struct bytes *to);
/* The news were told: counts begin again, the proofs stay as the filter. */
void ledger_told(struct ledger *ledger);
/* Each entry that it merged goes to the visitor. */
struct ledger_visitor {
	void (*visit)(void *state, struct ledger_entry *entry);
	void *state;
};
enum status ledger_merge(struct ledger *ledger, struct cursor *from,
			 const struct ledger_visitor *visitor);

/* ledger_give.c: the cohort's side. */
bool ledger_is_due(const struct ledger_entry *entry);
/* As a trait, its texts views into the ledger. */
struct trait ledger_trait(const struct ledger_entry *entry);
/* What it says now was given out. */
void ledger_given(struct ledger_entry *entry);
int ledger_order(const struct ledger_entry *a, const struct ledger_entry *b);
/* Entries not met since then go, and the things and versions that are left without any. */
void ledger_forget(struct ledger *ledger, int64_t since_us);

/* ledger.c, for forgetting. */
void ledger_arm_free(struct ledger_arm *arm);
/* Enters all things into the table again, by their places. */
void ledger_number(struct ledger *ledger);

#endif
