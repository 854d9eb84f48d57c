/* subject - our own gate as one of the judges: the real evidence and the real verdict.
 *
 * Why: what is measured must be what answers in production, so a bucket goes through
 * gate_evidence_add() and a question through gate_judge_evidence(), policy and all. In the default
 * policy http_5xx, the one outcome that goes wrong here, has 30 % of alpha.
 *
 * It is asked once a minute, an eager one at every bucket, until its first PASS or FAIL; after a
 * FAIL once a minute, after a PASS only at the end, for a FAIL is dated by the evidence itself. A
 * PASS may so be seen some seconds late by one that is not eager. `flips` counts questions after a
 * FAIL that were answered otherwise.
 *
 * Invariant: passed_at is the first PASS and stands before any FAIL. Owner: subject_done().
 * Thread: one per run. Units: buckets of 10 s, counted from 1; 0 = never. */
#ifndef PICKET_BENCH_SUBJECT_H
#define PICKET_BENCH_SUBJECT_H

#include "correlate/gate.h"
#include "tests/bench/canary/traffic.h"

struct subject {
	struct gate_query query;
	struct gate_evidence *evidence;
	struct arena *arena; /* lent */
	bool eager;
	int failed_at, passed_at;
	unsigned flips;
};
/* The default policy with this odds ratio for every outcome; the query must not move. */
void subject_init(struct subject *subject, double psi0, bool eager, struct arena *arena);
void subject_done(struct subject *subject);
void subject_see(struct subject *subject, int bucket, const struct draw *draw);

#endif
