/* subject - our own gate as one of the judges: the real evidence and the real verdict.
 *
 * Why: what is measured must be what answers in production, so a bucket goes through
 * gate_evidence_add() and a question through gate_judge_evidence(), policy and all. In the default
 * policy http_5xx, the one outcome that goes wrong here, has 30 % of alpha.
 *
 * A FAIL is dated by the evidence itself, so how often one asks matters for a PASS alone: at every
 * bucket where it must not come, once a minute where it may (and is then seen some seconds late),
 * every ten where nobody reads it. After a PASS the next question is the last one; after a FAIL
 * there is one a minute for SUBJECT_WATCH buckets, and then the canary is gone. `flips` counts
 * those that were answered otherwise.
 *
 * Invariant: passed_at is the first PASS and stands before any FAIL. Owner: subject_done().
 * Thread: one per run. Units: buckets of 10 s, counted from 1; 0 = never. */
#ifndef PICKET_BENCH_SUBJECT_H
#define PICKET_BENCH_SUBJECT_H

#include "correlate/gate.h"
#include "tests/bench/canary/traffic.h"

enum { SUBJECT_WATCH = 60 };

/* When it is asked for its first verdict. */
enum subject_pace { SUBJECT_EVERY_BUCKET, SUBJECT_EVERY_MINUTE, SUBJECT_SELDOM };

struct subject {
	struct gate_query query;
	struct gate_evidence *evidence;
	struct arena *arena; /* lent */
	enum subject_pace pace;
	int failed_at, passed_at;
	unsigned flips;
};
/* The default policy with this odds ratio for every outcome; the query must not move. */
void subject_init(struct subject *subject, double psi0, enum subject_pace pace,
		  struct arena *arena);
void subject_done(struct subject *subject);
void subject_see(struct subject *subject, int bucket, const struct draw *draw);

#endif
