/* gate internals - what gate.c decides from, gate_evidence.c gathers and evidence.c sums up.
 *
 * Why: summing up the buckets (once each), reading the facts of this moment (who is silent) and
 * deciding (the table of gate.c) are three jobs; the last must fit on one screen.
 * Invariant: gathering never decides; a sum over buckets depends on them alone, so that evidence
 * built up over hours equals the same built anew. Owner: the evidence's owner. Thread: one.
 * Limits: EVIDENCE_*; what does not fit is left out of both arms alike. All together stay below
 * 1 MiB a canary (tested). */
#ifndef PICKET_CORRELATE_GATE_PRIVATE_H
#define PICKET_CORRELATE_GATE_PRIVATE_H

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "correlate/evalue.h"
#include "correlate/gate.h"

enum {
	EVIDENCE_ROUTES_MAX = 128,           /* routes with latencies of their own */
	EVIDENCE_PRINCIPALS_MAX = 24 * 1024, /* distinct principals with a bad outcome */
	EVIDENCE_MOMENTS_MAX = 2160,         /* six hours of buckets */
	EVIDENCE_LATENCY_REQUESTS_MIN = 100, /* before a route has thresholds */
};

enum side { SIDE_NONE, SIDE_CANARY, SIDE_BASELINE };
enum side side_of_arm(const struct gate_query *query, const struct arm *arm);

/* The evidence of one outcome from one side. */
struct side_track {
	struct evalue clusters, principals;
	struct evalue raw; /* only once it differs from clusters */
	bool apart;
};

/* Sums of Mantel and Haenszel (1959): a common odds ratio over strata. */
struct common_odds {
	double above, below;
};

/* How many bad outcomes a cause brings: over buckets with one, sums of them, of causes, and of the
 * square of bad outcomes by causes. */
struct bursts {
	double bad, causes, square;
	unsigned buckets;
	uint64_t bad_now, causes_now; /* of the open bucket */
};

struct outcome_track {
	enum outcome_model model;
	bool two_sided;
	struct side_track worse, better;
	struct evalue halves[2]; /* baseline half against half, both ways */
	struct common_odds odds;
	struct bursts bursts;
	uint64_t n_c, x_c, n_b, x_b, raw_x_c, raw_x_b;
	unsigned bad_bucket_count;
	unsigned principals, principals_b; /* of the canary, of the baseline */
	double fail, fail_sup;
	double once, principals_sup; /* the same of principals */
};

/* A rule of the query. What it may do is settled when the canary is first heard. */
struct rule_track {
	const struct gate_rule *rule;
	bool blocks, required;
	double weight; /* of the mean over all outcomes; 0 when it does not block */
	struct outcome_track track;
};

/* A set of hashes, open addressing, at most three quarters full; 0 is never in it. */
struct hash_set {
	uint64_t *slots;
	size_t capacity, count; /* capacity: a power of two, or 0 */
};
enum status hash_set_add(struct hash_set *set, uint64_t hash, bool *ret_new);

/* What is known of a route: requests of both, and the baseline's latencies of this half hour and
 * the one before. */
struct route_state {
	UT_hash_handle hh;
	uint64_t n_c, n_b;
	int64_t block; /* number of the half hour of `current` */
	struct latency_sketch current, previous;
	size_t name_size;
	char name[];
};

struct gate_evidence {
	const struct gate_query *query;
	struct outcome_track tracks[OUTCOME_COUNT];
	struct rule_track *rules; /* as in the query */
	size_t rule_count;
	double weights; /* by which those of the outcomes are divided: 1 and those of the rules */
	struct route_state *routes;
	struct hash_set principals;
	struct gate_moment *moments;
	size_t moment_count, moment_capacity;
	bool canary_seen, baseline_seen;
	bool overlap; /* one build is both */
	int64_t window_start_us;
	uint64_t late;
	size_t degraded_count, no_principal_count, sampled_count;
	double all, all_sup, halves_sup;
	double known_sup; /* of all, as far as outsiders had no part in it */
	int64_t failed_at_us;
};

/* evidence_track.c */
void track_init(struct outcome_track *track, const struct outcome_policy *policy);
/* One stratum of one bucket: de-duplicated and raw counts. */
struct pair {
	struct evalue_count clusters, raw;
};
void track_add(struct outcome_track *track, const struct pair *pair);
void track_add_principals(struct outcome_track *track, const struct evalue_count *once);
void track_add_halves(struct outcome_track *track, const struct evalue_count *halves);
/* Behind all strata of a bucket; bad: something in it spoke against the canary. */
void track_close_bucket(struct outcome_track *track, bool bad);
double track_halves(const struct outcome_track *track);
/* Enough of everything that a soft FAIL asks of one outcome. */
/* Each principal counted once, they are enough and prove it. */
bool track_principals_prove(const struct outcome_track *track, const struct gate_policy *policy);
bool track_fails(const struct outcome_track *track, const struct gate_policy *policy);
/* `fewer`: PASS needs the other side, too. */
void track_result(const struct outcome_track *track, const struct gate_policy *policy, bool fewer,
		  struct outcome_result *result);

/* evidence.c, for evidence_rule.c too */
struct route_counts {
	struct pair pair;
	struct evalue_count halves; /* of the baseline */
};
void counts_add(struct route_counts *counts, enum side side, unsigned half, uint64_t trials,
		const struct outcome_count *of);
/* Into a track; whether something of it speaks against the canary. */
bool counts_take(const struct route_counts *counts, struct outcome_track *track);
/* A principal that had no bad outcome of this kind before: *ret_new. */
enum status principal_is_new(struct gate_evidence *evidence, uint64_t principal, unsigned kind,
			     bool *ret_new);

/* evidence_rule.c */
enum status rules_init(struct gate_evidence *evidence);
/* When the canary is first heard. */
void rules_begin(struct gate_evidence *evidence);
/* The buckets of the rules beside one of the service. */
enum status rules_add(struct gate_evidence *evidence, const struct bucket *bucket);
/* The result's rules are the query's, which are those of the evidence. */
enum status rules_result(const struct gate_query *query, const struct gate_evidence *evidence,
			 struct arena *arena, struct gate_result *result);

/* evidence_latency.c: the route's state, NULL when there is no memory. */
struct route_state *evidence_route(struct gate_evidence *evidence, struct text name,
				   int64_t start_us);

/* gate_evidence.c: fills what ret_result says about the evidence (all but verdict, reasons,
 * summary). ENOMEMORY. */
struct gathered {
	bool canary_seen, baseline_seen, overlap;
	int64_t canary_first_us;      /* INT64_MIN: never seen */
	int64_t canary_last_us;       /* newest heartbeat; INT64_MIN: none */
	const struct instance *worst; /* instance of the canary with most failures, or NULL */
	uint64_t failures;            /* of all its instances */
};
enum status evidence_gather(const struct gate_query *query, const struct gate_facts *facts,
			    const struct gate_evidence *evidence, struct arena *arena,
			    struct gate_result *result, struct gathered *ret_gathered);
/* gate_signal.c: what the canary does that nobody did before; begin_us: when it was first heard.
 * Fills result->signals and novel. ENOMEMORY. */
enum status signals_weigh(const struct gate_query *query, const struct gate_facts *facts,
			  const struct gate_evidence *evidence, int64_t begin_us,
			  struct arena *arena, struct gate_result *result);
/* Sample ratio and coverage, once step_start_us is known. */
void evidence_gather_quality(const struct gate_query *query, const struct gate_evidence *evidence,
			     struct gate_result *result);

/* gate_reason.c */
/* What the decision needs, gathered once. */
struct judgement {
	const struct gate_query *query;
	const struct gate_facts *facts;
	struct arena *arena;
	struct gate_result *result;
	struct gathered gathered;
	int64_t bake_end_us;
	bool deadline_passed;
	bool out_of_memory;
};

/* Adds a reason; text.data == NULL is what arena_print() says when memory is out. */
void give_reason(struct judgement *judgement, struct text code, struct text text);
void say_unseen(struct judgement *judgement, const char *role, struct text version);
void say_regression(struct judgement *judgement, const struct outcome_result *outcome);
void say_unconfirmed(struct judgement *judgement, const struct outcome_result *outcome);
void say_one_instance(struct judgement *judgement);
/* gate_doubt.c: row 6; true when there is a doubt. */
bool say_doubts(struct judgement *judgement);
/* Instances that are not heard now: silent ones, and those whose clocks are ahead. */
void say_silent(struct judgement *judgement);
/* Rules that would have blocked, and do not yet: nothing is decided by them. */
void say_shadows(struct judgement *judgement);
/* Rules of type cohort_compare that found a regression and do not block. */
void say_warnings(struct judgement *judgement);
/* gate_signal_reason.c: each tells whether there was something to say. */
bool say_hard_signals(struct judgement *judgement);
bool say_doubtful_signals(struct judgement *judgement);
bool say_blind_signals(struct judgement *judgement);
size_t count_signals_on(const struct gate_result *result);

#endif
