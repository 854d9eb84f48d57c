/* gate - the verdict on a canary: a pure function of closed buckets, findings and freshness.
 *
 * Why: a controller promotes on one exit code. PASS must therefore be a proven claim ("not worse
 * than the baseline by more than psi_tol, with probability >= 1 - beta") and never the absence of
 * news; FAIL must keep its error rate although it is asked every second for hours.
 * The derivation stands in evalue.c, the order of the verdict in gate.c.
 *
 * Invariant: the same inputs give the same verdict, bit for bit; a FAIL never becomes anything else
 * while its evidence is in the inputs (the supremum of the e-process and every HARD finding count);
 * PASS needs every one of: bake, freshness, all instances heard, health, non-inferiority.
 * Owner: the caller; results live in the arena. Thread: any. Units: microseconds of event time. */
#ifndef PICKET_CORRELATE_GATE_H
#define PICKET_CORRELATE_GATE_H

#include "correlate/gate_manifest.h"

enum verdict {
	VERDICT_PASS = 0,
	VERDICT_FAIL = 1,
	VERDICT_INCONCLUSIVE = 2,
	VERDICT_WAIT = 3,
	VERDICT_STALE = 4,
	VERDICT_UNAVAILABLE = 5, /* printed by the CLI when it has no answer; never computed */
};
const char *verdict_name(enum verdict verdict);

/* How a build is named: a value of service.version or of the deploy id, or FIELD=VALUE. */
struct arm_query {
	enum { ARM_ANY, ARM_VERSION, ARM_DEPLOY_ID } field;
	struct text value;
};
/* Without FIELD= it matches a version or a deploy id; "" and "auto" give an empty value. EINVALID
 * when FIELD is neither service.version nor a name of picket.deploy.id. */
enum status arm_query_parse(struct text argument, struct arm_query *ret_query, struct error *err);

/* What a policy says of one outcome. */
struct outcome_policy {
	bool required;        /* PASS needs a proof about it, when the service logs it at all */
	bool fewer;           /* of a two-sided outcome: also that there are not far fewer */
	double weight;        /* its share of alpha; all of them sum up to 1 */
	double psi0, psi_tol; /* odds ratios */
	double p_abs;         /* absolute rate that is always acceptable */
};

/* What a policy says of an outcome that is a rule; what is worse says the rule. */
struct gate_rule_policy {
	struct text name;
	bool required; /* if it blocks */
	double weight; /* beside the outcomes' 1: all that count are divided by their sum */
};

struct gate_policy {
	struct text name;
	double alpha, beta;
	int64_t bake_us;
	int64_t max_lag_us;
	int64_t deadline_us; /* after the step began: then WAIT becomes INCONCLUSIVE */
	int64_t warmup_us;   /* after an instance's first event: its latency does not count */
	unsigned principals_min, buckets_min; /* for a soft FAIL */
	uint64_t requests_min;                /* of the canary, for PASS */
	double coverage;                /* the baseline's routes with this share of its requests */
	uint64_t coverage_requests_min; /* need so many of the canary each, for PASS */
	double split_alpha, split_tolerance; /* sample-ratio check, when the share is declared */
	int64_t learn_us; /* so long a service is watched before a new destination is one */
	enum signal_level signals[SIGNAL_COUNT];
	struct outcome_policy outcomes[OUTCOME_COUNT];
	bool rules_required; /* of rules that are not named below */
	struct gate_rule_policy rules[COHORT_RULES_MAX];
	size_t rule_count;
};
struct gate_policy gate_policy_default(void);
/* What it says of the rule of this name. */
struct gate_rule_policy gate_policy_of_rule(const struct gate_policy *policy, struct text name);

/* A rule of type cohort_compare (cohort_rule.h): one more outcome. */
struct gate_rule {
	struct text key, name, title;
	bool wants_to_block;    /* picket.gate block; else it only warns */
	int64_t blocks_from_us; /* a canary that began before is only warned of */
	bool two_sided;
	double psi0, psi_tol, p_abs;
};

struct gate_query {
	struct text service;
	struct text owner;                 /* who answers for it, only printed; "" = not known */
	struct arm_query canary, baseline; /* baseline.value "" = every other arm */
	struct text step;      /* what the controller calls this step, only printed; "" = none */
	int64_t step_start_us; /* when this step's bake began; INT64_MIN = first event of the canary
				*/
	int64_t after_us;      /* read-your-writes token, INT64_MIN = none */
	int64_t pardon_us;     /* an override: what came before it is forgiven; INT64_MIN = none */
	int64_t now_us;
	double share; /* of the requests that the canary should get, 0 < share < 1; NaN = not said
		       */
	const struct gate_manifest *expect; /* what the release declares; NULL: nothing */
	const struct gate_rule *rules;
	size_t rule_count; /* at most COHORT_RULES_MAX */
	struct gate_policy policy;
};

/* Numbered records (event.sequence) of an instance that never came; see correlate/instance.h. */
struct gate_gap {
	struct text instance;
	uint64_t missing, counted; /* counted: the numbered ones that came */
	int64_t last_us;           /* of the newest gap */
};

/* What the store and the runtime know at this moment. */
struct gate_facts {
	const struct bucket *buckets; /* of the service, ascending start */
	size_t bucket_count;
	const struct finding *findings;
	size_t finding_count;
	const struct instance *instances;
	size_t instance_count;
	const struct gate_gap *gaps; /* of the service's instances */
	size_t gap_count;
	const struct trait *traits; /* those of one signal and key stand together */
	size_t trait_count;
	const struct arm_query
		*failed; /* builds whose FAIL stands: what they did teaches nothing */
	size_t failed_count;
	int64_t watermark_us; /* committed; INT64_MIN = none yet */
	/* Reasons of the runtime that forbid PASS, in words ("partition logs-a/3 is stalled"):
	 * STALE when about freshness, INCONCLUSIVE otherwise. */
	const struct text *stale_reasons;
	size_t stale_reason_count;
	const struct text *doubt_reasons;
	size_t doubt_reason_count;
	int64_t latched_us;       /* a FAIL was given then; INT64_MIN = none */
	struct text latched;      /* its summary */
	struct text common_cause; /* other services fail as well, in words; size 0 = they do not */
};

/* ABSENT: the service logs nothing of the kind, in either version. */
enum ni_state { NI_OPEN, NI_ACCEPTED, NI_REJECTED, NI_ABSENT };

/* One side of a claim: is the canary worse (or, mirrored, better) by more than is tolerated? */
struct side_result {
	double e_fail;                                   /* against psi <= psi0 */
	double e_pass_relative, e_pass_absolute;         /* on de-duplicated counts */
	double e_pass_relative_raw, e_pass_absolute_raw; /* on raw counts */
	bool accepted;
};

struct outcome_result {
	struct text name;
	bool two_sided;
	uint64_t n_c, x_c, n_b, x_b; /* x de-duplicated */
	uint64_t raw_x_c, raw_x_b;
	unsigned bad_bucket_count; /* buckets that speak against the canary */
	double e_fail, e_fail_sup; /* of both sides */
	double e_principals_sup;   /* the same, each principal counted once in the whole window */
	struct side_result worse, better; /* `better` only of a two-sided outcome */
	double odds_ratio;                /* point estimate, NaN when undefined */
	double dispersion;                /* of the raw counts: 1 = no bursts */
	unsigned principals;              /* of the canary's bad outcomes; known ones (known.c) */
	enum ni_state state;
};

/* The same of a rule. */
struct rule_result {
	const struct gate_rule *rule;
	bool blocks;   /* this canary: its regression is a FAIL */
	bool required; /* PASS needs a proof about it, when the service logs it at all */
	double weight; /* its share of alpha */
	struct outcome_result outcome;
};

/* How far a finding about a trait of the canary has come. */
enum signal_standing {
	STANDING_PROVEN,      /* nobody did it before, and it was no accident */
	STANDING_UNCONFIRMED, /* soft: too few principals yet, or it may be chance */
	STANDING_UNPROVEN,    /* hard: too little is known of what was done before */
	STANDING_SHARED,      /* the other versions do it as well, since the canary began */
	STANDING_DECLARED,    /* the manifest says so */
};
const char *signal_standing_name(enum signal_standing standing);

struct signal_finding {
	struct trait canary;           /* of all its arms; evidence of the first of them */
	uint64_t shown, kept, refused; /* by the others, in the same case or service */
	enum signal_level level;
	enum signal_standing standing;
	size_t expectation; /* STANDING_DECLARED: its index in the manifest */
};

/* What can be said of a signal at all. */
enum signal_state {
	SIGNAL_IS_OFF,      /* the policy wants to know nothing of it */
	SIGNAL_IS_ABSENT,   /* neither version logs what it needs */
	SIGNAL_IS_LEARNING, /* too little of the baseline is known: a finding proves nothing yet */
	SIGNAL_IS_ON,
	SIGNAL_IS_BLIND, /* the baseline logs what it needs, and the canary does not */
	SIGNAL_IS_FULL,  /* more than SIGNAL_KEYS_MAX keys: what is new is not known */
};
const char *signal_state_name(enum signal_state state);

struct signal_report {
	enum signal_state state;
	uint64_t canary, baseline; /* events that were a case of it */
	size_t known;              /* keys that were done before; SAME_KEY: that are guarded */
	size_t findings;           /* of the canary, of any standing but shared */
};

/* One closed bucket of the window, for a picture of the evidence. */
struct gate_moment {
	int64_t start_us;
	uint64_t n_c, n_b;
	double e_all; /* after it */
};

struct gate_reason {
	struct text code; /* NI_ACCEPTED, HARD_FINDING, REGRESSION, BAKE, STALE_INSTANCE, ... */
	struct text text; /* for a person, one sentence */
};

enum {
	GATE_REASONS_MAX = 32,
	/* More late requests, or more missing records, than this: they may be just the failures. */
	GATE_LATE_PERCENT_MAX = 1,
};

struct gate_result {
	enum verdict verdict;
	bool final;              /* PASS, FAIL, INCONCLUSIVE: waiting alone will not change it */
	bool fresh;              /* nothing about freshness stands in the way of PASS */
	int64_t as_of_us;        /* end of the last closed bucket; INT64_MIN = none */
	int64_t lag_us;          /* now - as_of, at least 0; INT64_MAX = nothing is closed yet */
	int64_t step_start_us;   /* when the bake began; INT64_MIN = the canary was never seen */
	int64_t window_start_us; /* first bucket with a request of the canary; INT64_MIN = none */
	uint64_t late; /* requests of the window that came after their bucket was closed */
	uint64_t missing, counted; /* numbered records of the canary: never came, came */
	size_t degraded_count;     /* buckets of the window over a limit */
	size_t no_principal_count; /* buckets whose bad outcomes did not all name a principal */
	size_t sampled_count;      /* buckets in which only a sample of the known was known */
	size_t instance_count;     /* of the canary */
	const struct text *silent; /* names of the silent ones */
	size_t silent_count;
	struct text ahead; /* one of those whose clock is more than max_lag ahead */
	size_t ahead_count;
	double e_all, e_all_sup; /* weighted mean over the outcomes */
	double e_baseline_sup;   /* the same of one half of the baseline against the other */
	double split_e;          /* against "split as declared", since the step began; NaN */
	double split_observed;   /* share of the canary since then; NaN = no request */
	double coverage;         /* share of the baseline's requests on routes well exercised */
	int64_t failed_at_us;    /* end of the bucket that made a soft FAIL; INT64_MIN = none */
	const struct gate_moment *moments;
	size_t moment_count;
	struct outcome_result outcomes[OUTCOME_COUNT];
	const struct rule_result *rules;
	size_t rule_count;
	const struct finding *findings; /* of the canary */
	size_t finding_count;
	struct signal_report signals[SIGNAL_COUNT];
	const struct signal_finding *novel; /* the worst first */
	size_t novel_count;
	struct gate_reason reasons[GATE_REASONS_MAX];
	size_t reason_count;
	struct text summary;
	const struct text *versions_seen; /* when identity is the trouble */
	size_t versions_seen_count;
};

enum status gate_judge(const struct gate_query *query, const struct gate_facts *facts,
		       struct arena *arena, struct gate_result *ret_result);

/* The same in steps, so that a question asked every second reads each bucket once. The query's
 * service, canary, baseline, rules and policy must stay the same and outlive the evidence; its
 * time, step and share may change. Buckets are given in ascending order of start, from the half
 * hour before the canary on, with the instances that are known then (facts->buckets is not read).
 */
struct gate_evidence;
enum status gate_evidence_new(const struct gate_query *query, struct gate_evidence **ret_evidence,
			      struct error *err);
void gate_evidence_free(struct gate_evidence **evidence);
enum status gate_evidence_add(struct gate_evidence *evidence, const struct bucket *bucket,
			      const struct instance *instances, size_t instance_count);
size_t gate_evidence_bytes(const struct gate_evidence *evidence);
enum status gate_judge_evidence(const struct gate_query *query, const struct gate_facts *facts,
				const struct gate_evidence *evidence, struct arena *arena,
				struct gate_result *ret_result);

/* How far back before the canary the baseline's latencies are of use. */
static const int64_t GATE_LATENCY_BLOCK_US = INT64_C(1800) * 1000000;

bool arm_matches(const struct arm_query *query, const struct arm *arm);

/* The JSON of schema picket.gate/1 (gate_json.c), one object, no newline. */
void gate_json(const struct gate_query *query, const struct gate_result *result, struct bytes *to);

#endif
