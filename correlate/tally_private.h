/* tally - counts that can be added up in any order: what a cohort_counter collects and a cohort
 * merges.
 *
 * Why: workers see the events of one bucket in pieces and in any order; the verdict must not
 * depend on how. So every number here is a sum, a minimum, a maximum, or "the smallest so many of
 * a set", and those are associative and commutative: merging the pieces of a split gives exactly
 * what counting everything in one place gives (tested against brute force).
 *
 * Invariant: arms ascend by (version, deploy id); a node's names are views into its own key.
 * Owner: tally_done(). Thread: one. Limits: COHORT_ARMS_MAX and COHORT_CLUSTERS_MAX per bucket: the
 * smallest by name and by keyed hash stay, so which ones stay does not depend on the order, and
 * the clusters kept are a fair sample of both arms; BUCKET_DEGRADED tells. */
#ifndef PICKET_CORRELATE_TALLY_PRIVATE_H
#define PICKET_CORRELATE_TALLY_PRIVATE_H

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "correlate/ledger_private.h"
#include "correlate/record.h"

enum tally_kind {
	TALLY_BUCKET = 'b',   /* service, start; of a rule: and its key */
	TALLY_FINDING = 'f',  /* service, version, deploy id, rule key */
	TALLY_INSTANCE = 'i', /* service, version, deploy id, instance */
	TALLY_LEDGER = 'd',   /* service: what its versions did */
	TALLY_LATE = 'l',     /* service: late requests that wait for the next bucket to close */
	TALLY_ROSTER = 'r',   /* service, version, deploy id: how many instances it has */
	TALLY_KNOWN = 'k',    /* service: who succeeded here with a name */
};

/* What one half of an arm's instances did on one route. */
struct tally_stratum {
	uint64_t route; /* keyed hash of its name; TALLY_ROUTE_OTHER */
	uint8_t half;
	uint64_t requests; /* of a rule: events that no other bucket counts, see trial_read() */
	uint64_t trials[OUTCOME_COUNTED];
	uint64_t bad[OUTCOME_COUNTED];
	uint64_t strangers[OUTCOME_COUNTED]; /* trials; of HTTP_5XX none, of POISSON requests */
	struct latency_bin *bins;            /* ascending */
	size_t bin_count, bin_capacity;
};

struct tally_arm {
	struct arm arm;               /* one owned block */
	uint64_t hash;                /* names the arm in clusters */
	struct tally_stratum *strata; /* by (route, half) */
	size_t stratum_count, stratum_capacity;
};

/* The first event of one (principal, signature), by (time, content, arm). */
struct tally_cluster {
	uint64_t id;        /* keyed hash of principal and signature */
	uint64_t principal; /* keyed hash; 0 = the event named none */
	uint64_t companion; /* the same of what else it names: the user of an address, or the
			     * address of a user; 0 = nothing */
	int64_t time_us;
	uint64_t content; /* keyed hash of the event's fields */
	uint64_t arm;     /* tally_arm.hash */
	uint64_t route;   /* tally_stratum.route before any folding */
	uint8_t half;
	enum outcome outcome;
};

/* known.c: the COHORT_KNOWN_MAX smallest of a set of keyed hashes. */
struct known_list {
	uint64_t *hashes; /* unsorted, with repeats, until known_settle() */
	size_t count, capacity;
	bool sampled; /* there were more */
};
enum status known_add(struct known_list *list, uint64_t hash);
void known_settle(struct known_list *list);
void known_done(struct known_list *list);
void known_put(struct known_list *list, struct bytes *to);
/* Into a list; ascending, or the cursor fails. */
enum status known_take(struct known_list *list, struct cursor *from);

/* What a worker has said: in each of a bucket's epochs the same would be said again. What is
 * forgotten of it is said twice, which changes nothing. */
enum { KNOWN_TOLD_MAX = 16384 };
struct known_told {
	uint64_t hashes[KNOWN_TOLD_MAX]; /* keyed, of bucket, user.id and source.ip */
};

/* Who succeeded at a service with a name, today and the day before. */
struct tally_known {
	struct text service;
	int64_t day; /* of event time, of the first list; INT64_MIN: nobody yet */
	struct known_list days[2];
};
/* The days that the bucket's knowledge comes from; forgets older ones. */
void known_turn(struct tally_known *known, int64_t start_us);
bool known_has(const struct tally_known *known, const struct tally_cluster *cluster);
bool known_is_sampled(const struct tally_known *known);
/* Those of a bucket that is closed now. */
enum status known_learn(struct tally_known *known, int64_t start_us, struct known_list *more);
bool known_is_past(const struct tally_known *known, int64_t watermark_us);
void known_put_days(struct tally_known *known, struct bytes *to);
enum status known_take_days(struct tally_known *known, struct cursor *from);

/* No name hashes to it: cohort_counter.c sees to that. */
static const uint64_t TALLY_ROUTE_OTHER = UINT64_MAX;

struct tally_route {
	uint64_t hash;
	struct text name; /* owned */
};

struct tally_bucket {
	struct text service, rule;
	int64_t start_us;
	uint32_t flags;
	struct tally_route *routes; /* the COHORT_ROUTES_MAX with the smallest hashes */
	size_t route_count;
	struct tally_arm *arms;
	size_t arm_count;
	struct tally_cluster *clusters; /* unsorted, with repeats, until tally_bucket_settle() */
	size_t cluster_count, cluster_capacity;
	struct known_list known; /* who succeeded with a name in it */
};

struct tally_roster {
	struct text service;
	size_t instance_count;
	bool refused; /* there were more than COHORT_INSTANCES_MAX */
};

struct tally_node {
	UT_hash_handle hh;
	enum tally_kind kind;
	uint8_t virtual_partition;
	bool changed; /* since it was last given out */
	bool is_due;  /* it stands in a list of cohort_private.h, linked by next_due */
	struct tally_node *next_due;
	int64_t given_last_us;          /* instance: when it was given out; INT64_MIN: never */
	struct tally_node *prev, *next; /* of the virtual partition */
	struct ledger_arm *arm;         /* a worker's instance: of the version it runs */
	uint8_t half;                   /* the same: which half of the version's instances */
	uint64_t hash;                  /* keyed hash of key */
	struct text key;                /* owned */
	union {
		struct tally_bucket bucket;
		struct finding *finding; /* owned, as its title and the topics of evidence */
		struct instance instance;
		struct ledger *ledger; /* owned */
		struct {
			struct text service;
			uint64_t count;
		} late;
		struct tally_roster roster;
		struct tally_known known;
	};
};

struct tally {
	struct tally_node *nodes;
	/* The same by virtual partition: a checkpoint takes one after the other. */
	struct tally_node *partitions[VIRTUAL_PARTITIONS];
};

/* outcome_reading.c: what one event says about the outcomes of outcome.def. */
struct outcome_reading {
	bool is_request;
	int64_t http_status;  /* 0: none */
	uint32_t trials, bad; /* sets of enum outcome; POISSON outcomes have no trials */
	bool succeeded;       /* and somebody with a name did it */
	double duration_us;   /* -1: none */
};
struct outcome_reading outcomes_read(const struct event *event);
/* The same for a rule of type cohort_compare. Of an event that is no request, the trial of the
 * first rule stands for one: so each event that takes part is in `requests` once, and counted once
 * when it comes late. */
struct outcome_reading trial_read(const struct event *event, bool bad, bool first);

/* signal_reading.c */
enum status signals_read_of(const struct event *event, const struct outcome_reading *outcome,
			    struct bytes *keys, struct signal_readings *ret_readings);

void tally_done(struct tally *tally);
void tally_remove(struct tally *tally, struct tally_node *node);

/* Where a node belongs: its key, the keyed hash of that, and the partition of its service. */
struct tally_place {
	struct text key;
	uint64_t hash;
	uint8_t virtual_partition;
};

/* Keys: kind, texts, and for a bucket its start. */
void tally_key(enum tally_kind kind, const struct text *names, size_t name_count, struct bytes *to);
/* `rule` may be "". */
void tally_bucket_key(struct text service, int64_t start_us, struct text rule, struct bytes *to);

struct tally_node *tally_find(const struct tally *tally, const struct tally_place *place);
/* Finds or makes. ECORRUPT when the key is none, or belongs to another partition. */
enum status tally_get(struct tally *tally, const struct tally_place *place,
		      struct tally_node **ret_node, struct error *err);

/* *ret_arm is NULL when the arm does not fit (the bucket is degraded then). */
enum status tally_bucket_arm(struct tally_bucket *bucket, const struct arm *arm, uint64_t hash,
			     struct tally_arm **ret_arm);
/* stratum.c: *ret_route is the route's hash, or TALLY_ROUTE_OTHER when it does not fit. Call it
 * for every request, also of an arm that did not fit: which routes stay must not depend on when
 * that was. */
enum status tally_bucket_route(struct tally_bucket *bucket, uint64_t hash, struct text name,
			       uint64_t *ret_route);
enum status tally_arm_stratum(struct tally_arm *arm, uint64_t route, unsigned half,
			      struct tally_stratum **ret_stratum);
enum status tally_stratum_bin(struct tally_stratum *stratum, unsigned index, uint32_t count);
enum status tally_stratum_merge(struct tally_stratum *into, const struct tally_stratum *from);
/* The place of a route in the bucket's table; route_count when it is not there. */
size_t tally_route_index(const struct tally_bucket *bucket, uint64_t hash);
void tally_strata_done(struct tally_arm *arm);

enum status tally_bucket_cluster(struct tally_bucket *bucket, const struct tally_cluster *cluster);
/* Sorts clusters by id, keeps the first event of each and at most COHORT_CLUSTERS_MAX. */
void tally_bucket_settle(struct tally_bucket *bucket);
/* tally_close.c: the closed bucket, in the arena; and who was known before it. */
enum status tally_bucket_close(struct tally_bucket *from, const struct tally_known *known,
			       struct arena *arena, struct bucket *ret_bucket);
/* Keeps the COHORT_EVIDENCE_MAX first by (time, origin); copies the topic. */
enum status tally_finding_evidence(struct finding *finding, int64_t time_us,
				   const struct origin *origin);
enum status tally_finding_title(struct finding *finding, struct text title);

/* Sums that stay at COHORT_COUNT_MAX. */
void tally_add(uint64_t *sum, uint64_t more);

/* A copy of its own, with a zero byte behind it. */
enum status tally_own(struct text text, struct text *ret_copy);
/* By version, then deploy id. */
int tally_arm_compare(const struct arm *a, const struct arm *b);
/* Copies both into one block, which ret_arm->version.data owns. */
enum status tally_arm_own(const struct arm *arm, struct arm *ret_arm);

/* tally_codec.c: one node as one item, and back into any tally; of a ledger only the part. */
void tally_node_encode(struct tally_node *node, enum ledger_part part, struct bytes *scratch,
		       struct bytes *to);
struct tally_item {
	struct tally_place place;
	struct cursor payload;
};
/* The next item of a sequence. ECORRUPT. */
enum status tally_item_next(struct cursor *from, struct tally_item *ret_item, struct error *err);
/* The visitor is told of a ledger's entries. */
enum status tally_item_merge(struct tally *tally, const struct tally_item *item,
			     const struct ledger_visitor *visitor, struct tally_node **ret_node,
			     struct error *err);
/* Requests that a bucket item counts, without merging it; 0 when it is not one. */
uint64_t tally_item_requests(const struct tally_item *item);

/* roster.c: what a version may have, and what is forgotten. Rosters live in `tally`. */
static const int64_t ROSTER_STEP_US = INT64_C(3600) * 1000000;
/* The late or roster node of the first names of a key: of the cohort's own making. There are as
 * many as services and versions, and their hash never leaves this program: an unkeyed one will do.
 */
enum status roster_own_node(struct tally *tally, struct tally_place place, enum tally_kind kind,
			    size_t name_count, struct tally_node **ret_node);
/* ELIMIT when the version has its COHORT_INSTANCES_MAX and this is another one. */
enum status roster_admit_instance(struct tally *tally, const struct tally_item *item);
/* Once in an hour of event time, `before_us` being the last watermark. */
enum status roster_forget(struct tally *tally, struct tally *ledgers, int64_t before_us,
			  int64_t watermark_us);

/* cohort_codec.c: what follows the names in a stored row and in an item. */
void finding_body_put(const struct finding *finding, struct bytes *to);
void finding_body_take(struct cursor *from, struct finding *finding);
void instance_body_put(const struct instance *instance, struct bytes *to);
void instance_body_take(struct cursor *from, struct instance *instance);

#endif
