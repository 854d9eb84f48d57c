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

#include "correlate/cohort.h"

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

struct gate_policy {
	struct text name;
	double alpha, beta;
	double psi0, psi_tol; /* odds ratios */
	double p_abs;         /* absolute rate that is always acceptable */
	int64_t bake_us;
	int64_t max_lag_us;
	int64_t deadline_us; /* after the step began: then WAIT becomes INCONCLUSIVE */
	unsigned principals_min, buckets_min; /* for a soft FAIL */
};
struct gate_policy gate_policy_default(void);

struct gate_query {
	struct text service;
	struct arm_query canary, baseline; /* baseline.value "" = every other arm */
	struct text step;      /* what the controller calls this step, only printed; "" = none */
	int64_t step_start_us; /* when this step's bake began; INT64_MIN = first event of the canary
				*/
	int64_t after_us;      /* read-your-writes token, INT64_MIN = none */
	int64_t now_us;
	struct gate_policy policy;
};

/* What the store and the runtime know at this moment. */
struct gate_facts {
	const struct bucket *buckets; /* of the service, ascending start */
	size_t bucket_count;
	const struct finding *findings;
	size_t finding_count;
	const struct instance *instances;
	size_t instance_count;
	int64_t watermark_us; /* committed; INT64_MIN = none yet */
	/* Reasons of the runtime that forbid PASS, in words ("partition logs-a/3 is stalled"):
	 * STALE when about freshness, INCONCLUSIVE otherwise. */
	const struct text *stale_reasons;
	size_t stale_reason_count;
	const struct text *doubt_reasons;
	size_t doubt_reason_count;
};

enum ni_state { NI_OPEN, NI_ACCEPTED, NI_REJECTED };

struct outcome_result {
	enum outcome outcome;
	uint64_t n_c, x_c, n_b, x_b; /* x de-duplicated */
	uint64_t raw_x_c, raw_x_b;
	unsigned bad_bucket_count;               /* buckets with a bad outcome of the canary */
	double e_fail, e_fail_sup;               /* against psi <= psi0 */
	double e_pass_relative, e_pass_absolute; /* on de-duplicated counts */
	double e_pass_relative_raw, e_pass_absolute_raw; /* on raw counts */
	double odds_ratio;                               /* point estimate, NaN when undefined */
	unsigned principals;
	enum ni_state state;
};

struct gate_reason {
	struct text code; /* NI_ACCEPTED, HARD_FINDING, REGRESSION, BAKE, STALE_INSTANCE, ... */
	struct text text; /* for a person, one sentence */
};

enum {
	GATE_REASONS_MAX = 32,
	GATE_LATE_PERCENT_MAX =
		1, /* more late requests than this: what is missing may be the failures */
};

struct gate_result {
	enum verdict verdict;
	bool final;              /* PASS, FAIL, INCONCLUSIVE: waiting alone will not change it */
	bool fresh;              /* nothing about freshness stands in the way of PASS */
	int64_t as_of_us;        /* end of the last closed bucket; INT64_MIN = none */
	int64_t lag_us;          /* now - as_of, at least 0; INT64_MAX = nothing is closed yet */
	int64_t step_start_us;   /* when the bake began; INT64_MIN = the canary was never seen */
	int64_t window_start_us; /* first bucket with a request of the canary; INT64_MIN = none */
	uint64_t late;         /* requests of the window that came after their bucket was closed */
	size_t degraded_count; /* buckets of the window over a limit */
	size_t no_principal_count; /* buckets whose bad outcomes did not all name a principal */
	size_t instance_count;     /* of the canary */
	const struct text *silent; /* names of the silent ones */
	size_t silent_count;
	struct outcome_result outcomes[OUTCOME_COUNT];
	const struct finding *findings; /* of the canary */
	size_t finding_count;
	struct gate_reason reasons[GATE_REASONS_MAX];
	size_t reason_count;
	struct text summary;
	const struct text *versions_seen; /* when identity is the trouble */
	size_t versions_seen_count;
};

enum status gate_judge(const struct gate_query *query, const struct gate_facts *facts,
		       struct arena *arena, struct gate_result *ret_result);

/* The JSON of schema picket.gate/1 (gate_json.c), one object, no newline. */
void gate_json(const struct gate_query *query, const struct gate_result *result, struct bytes *to);

#endif
