/* rivals - the other ways to judge a canary, on the same traffic.
 *
 * Why: "faster" and "fewer false alarms" mean nothing alone. Each judge here looks at the raw
 * counts, as often as its documents say, and says from which bucket on it would roll back.
 *
 *   kayenta_once  Netflix's judge once, over the whole hour, one value a minute, in percent
 *   kayenta_50    polled every minute from the 50 values that its documents ask for at least
 *   kayenta_10    polled every two minutes from 10 values: earlier than documented
 *   kayenta_unit  kayenta_10 with the rate as a fraction: its root search depends on the unit
 *   z_test        pooled two-proportion z-test, one-sided, nominal 1 %, every 10 s from the first
 *                 minute
 *   lindon_malek  sequential multinomial test of the errors' split against the declared one,
 *                 Dirichlet(100 theta), alpha 1 % (NeurIPS 2022)
 *   flagger       success rate of the last minute under 99 %, or no request: a failed check; five
 *                 of them roll back (the example of its documents)
 *   argo          success rate of the last five minutes under 95 %: failed; more than three of them
 *                 abort (the example of its documents)
 *
 * Invariant: the first bucket at which a judge fires stays. Owner: the caller, plain data.
 * Thread: one per run. Units: buckets of 10 s, counted from 1; 0 = never. */
#ifndef PICKET_BENCH_RIVALS_H
#define PICKET_BENCH_RIVALS_H

#include "tests/bench/canary/kayenta.h"
#include "tests/bench/canary/traffic.h"

enum rival {
	RIVAL_KAYENTA_ONCE,
	RIVAL_KAYENTA_50,
	RIVAL_KAYENTA_10,
	RIVAL_KAYENTA_UNIT,
	RIVAL_Z_TEST,
	RIVAL_LINDON_MALEK,
	RIVAL_FLAGGER,
	RIVAL_ARGO,
	RIVAL_COUNT,
};
const char *rival_name(enum rival rival);

enum { RIVAL_MINUTES = TRAFFIC_BUCKETS / 6 };

struct rivals {
	int failed_at[RIVAL_COUNT];
	struct evalue_count total, minute, five_minutes;
	double percent_c[RIVAL_MINUTES], percent_b[RIVAL_MINUTES]; /* NaN: no request */
	unsigned failed_checks, failed_measurements;
	double split_log; /* of the shares before the present one */
	double share;     /* the present one, and the errors under it */
	uint64_t share_c, share_b;
	struct random random;
};
struct rivals rivals_of(uint64_t run);
void rivals_see(struct rivals *rivals, int bucket, const struct draw *draw);

#endif
