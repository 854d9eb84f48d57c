/* cohort - what the canary gate knows: per service and 10 s of event time, what each version did.
 *
 * Why: the gate compares two versions of one service under the same traffic at the same time. So
 * every request is counted where it belongs: in the bucket of its event time, under the arm
 * (version and deploy id) that served it. Bad outcomes come in clusters (a retry loop is one
 * cause, not fifty), so besides the raw count each cluster (principal, signature) of a bucket
 * counts once, credited to the arm of its FIRST event over all versions; per-version
 * de-duplication gives 100 % false alarms under per-request routing (simulated: the small arm
 * keeps a larger share of collapsed bursts).
 *
 * DETECT counts into a cohort_counter and flushes it once per epoch as aggregates; one cohort per
 * actor merges them and closes a bucket when the watermark has passed its end. First event =
 * smallest event time, ties by content hash, so the order of arrival does not matter.
 *
 * Invariant: aggregates merge associatively and commutatively; a closed bucket never changes;
 * cohorts are cross-tenant state of the operators, virtual partition = hash("", service).
 * Owner: counter - one worker; cohort - one actor. No clock. Limits: see COHORT_*; what does not
 * fit sets BUCKET_DEGRADED: such a bucket may still make the canary FAIL (what it keeps is a fair
 * sample of both arms), but with one in the window the gate never answers PASS. */
#ifndef PICKET_CORRELATE_COHORT_H
#define PICKET_CORRELATE_COHORT_H

#include "correlate/latency.h"
#include "correlate/record.h"

enum {
	COHORT_BUCKET_US = 10 * 1000000,
	COHORT_ARMS_MAX = 32,        /* versions of one service in one bucket */
	COHORT_ROUTES_MAX = 64,      /* routes of one service in one bucket; the rest is one more */
	COHORT_HALVES = 2,           /* an arm's instances, split by their name: the A/A sentinel */
	COHORT_CLUSTERS_MAX = 8192,  /* clusters of bad outcomes in one bucket */
	COHORT_CULPRITS_MAX = 256,   /* principals remembered per outcome and bucket */
	COHORT_KNOWN_MAX = 16384,    /* names and networks known to a service, per day (known.c) */
	COHORT_INSTANCES_MAX = 1024, /* per service and version */
	COHORT_EVIDENCE_MAX = 8,
	COHORT_NAME_MAX =
		256, /* bytes of a service, version, instance or rule key: the rest is cut */
};

/* One count of a bucket; sums stay there. */
static const uint64_t COHORT_COUNT_MAX = UINT32_MAX;

/* What the gate judges: outcome.def. */
enum outcome {
#define OUTCOME(id, name, model, two_sided, weight, doc) OUTCOME_##id,
#include "correlate/outcome.def"
#undef OUTCOME
	OUTCOME_COUNT,
	OUTCOME_COUNTED = OUTCOME_LATENCY_P50, /* those before it are counted one by one */
};
enum outcome_model { OUTCOME_BERNOULLI, OUTCOME_POISSON, OUTCOME_LATENCY };
struct outcome_info {
	const char *name, *doc;
	enum outcome_model model;
	bool two_sided;
	double weight;
};
const struct outcome_info *outcome_info(enum outcome outcome);
const char *outcome_name(enum outcome outcome); /* "unknown" for OUTCOME_COUNT */
/* Whoever reaches the service can cause it, however good the version is: known.c. */
bool outcome_is_of_outsiders(enum outcome outcome);

/* Which build of a service an event came from. */
struct arm {
	struct text version;   /* service.version, "" when the log has none */
	struct text deploy_id; /* picket.deploy.id, "" when the log has none */
};

/* One outcome of one stratum. BERNOULLI: clusters <= bad <= trials. POISSON: trials is not used
 * (it is the requests), clusters <= bad. */
struct outcome_count {
	uint64_t trials;
	uint64_t bad;      /* raw */
	uint64_t clusters; /* each cluster once, first event's stratum */
	/* Of an outcome that outsiders cause: trials that did not succeed with a name. Not of
	 * POISSON: there they are the stratum's. */
	uint64_t strangers;
};

/* What one half of an arm's instances did on one route. */
struct stratum {
	unsigned route; /* index into the bucket's routes; route_count = the others */
	unsigned half;
	uint64_t requests;
	uint64_t strangers; /* requests that did not succeed with a name */
	struct outcome_count outcomes[OUTCOME_COUNTED];
	struct latency_bin *bins; /* of event.duration, ascending */
	size_t bin_count;
};

struct arm_count {
	struct arm arm;
	uint64_t requests;      /* of all strata */
	struct stratum *strata; /* by (route, half) */
	size_t stratum_count;
};

/* A principal with a bad outcome, once per outcome and bucket: the arm of its first one. Of an
 * outcome that outsiders cause only those whom the service knew before the bucket (known.c). */
struct culprit {
	uint64_t principal; /* keyed hash */
	enum outcome outcome;
	unsigned arm; /* index */
};

struct trait; /* what a version does: correlate/signal.h */
struct ledger_entry;

enum bucket_flags {
	BUCKET_DEGRADED = 1 << 0,     /* a limit above was hit */
	BUCKET_NO_PRINCIPAL = 1 << 1, /* some bad outcome had neither user, client nor trace */
	BUCKET_ROUTES = 1 << 2,       /* there were more than COHORT_ROUTES_MAX routes */
	BUCKET_SAMPLED = 1 << 3,      /* of the known a sample: more than COHORT_KNOWN_MAX */
	BUCKET_FLAGS = (1 << 4) - 1,
};

/* A closed bucket: what the store keeps (registry row 'b') and the gate reads.
 *
 * With it go the buckets of rules of type cohort_compare (cohort_rule.h). Such a one has `rule`;
 * its requests are the rule's trials, its only outcome is COHORT_RULE_OUTCOME, which stands for
 * "bad as the rule says", and its only route is "". */
struct bucket {
	struct text service;
	struct text rule; /* key; "" in the bucket of the service itself */
	int64_t start_us;
	uint32_t flags;
	/* Requests, and trials of its rules that are none, that came after theirs was closed: each
	 * event once; not added to anything. */
	uint64_t late;
	const struct text *routes; /* "GET /orders/{id}"; "" = the log names none */
	size_t route_count;
	struct arm_count *arms; /* by (version, deploy_id) */
	size_t arm_count;
	const struct culprit *culprits; /* by (outcome, principal) */
	size_t culprit_count;
	const struct bucket *rules; /* of this service and time, by rule */
	size_t rule_count;          /* at most COHORT_RULES_MAX */
};
static const enum outcome COHORT_RULE_OUTCOME = OUTCOME_HTTP_5XX;

/* A rule with picket.gate block matched an event of this version. */
struct finding {
	struct text service;
	struct arm arm;
	struct text rule_key, rule_title;
	uint64_t count;
	int64_t first_us, last_us;
	struct origin evidence[COHORT_EVIDENCE_MAX]; /* the first, by (time, origin) */
	int64_t evidence_us[COHORT_EVIDENCE_MAX];
	size_t evidence_count;
	int64_t blocks_from_us; /* of a rule, not stored: before, it counts as gate: warn */
};

/* Heartbeat of one instance: any event counts, request or not. */
struct instance {
	struct text service;
	struct arm arm;
	struct text name; /* service.node.name, else pod, else container, else host, else "" */
	int64_t first_us, last_us; /* event time */
	uint64_t events;
	uint64_t failures; /* http_5xx, raw */
};

void bucket_encode(const struct bucket *bucket, struct bytes *to);
enum status bucket_decode(struct text encoded, struct arena *arena, struct bucket *ret_bucket,
			  struct error *err);
void finding_encode(const struct finding *finding, struct bytes *to);
enum status finding_decode(struct text encoded, struct arena *arena, struct finding *ret_finding,
			   struct error *err);
void instance_encode(const struct instance *instance, struct bytes *to);
enum status instance_decode(struct text encoded, struct arena *arena, struct instance *ret_instance,
			    struct error *err);

/* DETECT side. */
struct cohort_counter;
enum status cohort_counter_new(const struct hash_key *key, struct cohort_counter **ret_counter,
			       struct error *err);
void cohort_counter_free(struct cohort_counter **counter);
/* Counts one event; `matched` are the rules that matched it and that the gate does not ignore.
 * Events without service.name do not take part. */
enum status cohort_count(struct cohort_counter *counter, const struct event *event,
			 const struct rule *const *matched, size_t matched_count);
/* What an event is to a rule of type cohort_compare. */
struct cohort_trial {
	struct text rule; /* key */
	bool bad;
};
/* Counts the same event for these rules. */
enum status cohort_count_trials(struct cohort_counter *counter, const struct event *event,
				const struct cohort_trial *trials, size_t count);
/* Everything counted since the last flush, as aggregates for their actors; empties the counter. */
enum status cohort_flush(struct cohort_counter *counter, const struct record_sink *sink);

/* CORRELATE side. */
struct cohort;
enum status cohort_new(unsigned index, unsigned actor_count, struct cohort **ret_cohort,
		       struct error *err);
void cohort_free(struct cohort **cohort);
/* Merges aggregates; those of virtual partitions that are not its own are skipped. */
enum status cohort_feed(struct cohort *cohort, struct text aggregates, struct error *err);
enum status cohort_close(struct cohort *cohort, int64_t watermark_us, struct error *err);

/* What the epoch just closed changed, to be stored; valid until the next cohort_feed(). Findings
 * and instances are whole rows (they replace the stored ones). */
struct cohort_changes {
	const struct bucket *buckets; /* closed now */
	size_t bucket_count;
	const struct finding *findings;
	size_t finding_count;
	const struct instance *instances;
	size_t instance_count;
	/* Opaque: a trait is a kilobyte, and there may be a hundred thousand. */
	struct ledger_entry *const *entries;
	size_t trait_count;
};
struct cohort_changes cohort_changes(const struct cohort *cohort);
/* One of them, correlate/signal.h. */
struct trait cohort_trait(const struct cohort_changes *changes, size_t i);

/* Open buckets, findings and instances of one virtual partition as one value. */
enum status cohort_checkpoint(const struct cohort *cohort, uint8_t virtual_partition,
			      struct bytes *to);
enum status cohort_restore(struct cohort *cohort, struct text checkpoint, struct error *err);

#endif
