/* gate internals - what gate.c decides from and gate_evidence.c gathers.
 *
 * Why: reading the facts (who is the canary, what did its buckets say, who is silent) and deciding
 * (the table of gate.c) are two jobs; the second must fit on one screen.
 * Invariant: gathering never decides. Owner: gate_judge()'s call. Thread: any. Limits: as gate.h.
 */
#ifndef PICKET_CORRELATE_GATE_PRIVATE_H
#define PICKET_CORRELATE_GATE_PRIVATE_H

#include "correlate/gate.h"

struct evidence {
	bool canary_seen, baseline_seen;
	bool overlap;            /* one build is both */
	int64_t canary_first_us; /* INT64_MIN: never seen */
	int64_t canary_last_us;  /* newest heartbeat; INT64_MIN: none */
	double e_all_sup;        /* of the mean over the outcomes */
};

bool arm_matches(const struct arm_query *query, const struct arm *arm);

/* Fills what ret_result says about the evidence (all but verdict, reasons, summary). ENOMEMORY. */
enum status evidence_gather(const struct gate_query *query, const struct gate_facts *facts,
			    struct arena *arena, struct gate_result *result,
			    struct evidence *ret_evidence);

#endif
