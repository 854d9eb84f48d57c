/* evalue - the statistics of the canary gate: evidence that may be looked at every second.
 *
 * Why: a controller polls the gate for hours. A test that is valid for one look is wrong after ten;
 * an e-process keeps its error rate however often and whenever it is read. Derivation, sources and
 * numerical method stand in evalue.c.
 *
 * Invariant: pure; the same counts in the same order give the same bits; buckets without requests
 * or bad outcomes in question change nothing they say nothing about.
 * Owner: the caller (plain data). Thread: one per struct. Units: counts of requests.
 * Limits: x <= n per arm (but for EVALUE_POISSON) and counts up to 2^40 (asserted; one arm of
 * cohort.h holds less than 2^32, and a baseline may be the sum of COHORT_ARMS_MAX); the cost of one
 * bucket is stated in evalue.c. */
#ifndef PICKET_CORRELATE_EVALUE_H
#define PICKET_CORRELATE_EVALUE_H

#include <stdbool.h>
#include <stdint.h>

enum {
	EVALUE_FAIL_POINTS = 12, /* mixture over psi0 * 1.2 .. psi0 * 60 */
	EVALUE_PASS_POINTS = 4,
};

/* One bucket: requests (n) and bad outcomes (x) of canary (c) and baseline (b). */
struct evalue_count {
	uint64_t n_c, x_c;
	uint64_t n_b, x_b;
};

/* What a bad outcome is: one of n trials, or any number of events among n requests. */
enum evalue_model { EVALUE_BERNOULLI, EVALUE_POISSON };

struct evalue {
	enum evalue_model model;
	double psi0, psi_tol, p_abs;
	double good_log[EVALUE_PASS_POINTS];     /* what one good outcome adds to absolute_log */
	double fail_log[EVALUE_FAIL_POINTS];     /* against psi <= psi0 */
	double relative_log[EVALUE_PASS_POINTS]; /* against psi >= psi_tol */
	double absolute_log[EVALUE_PASS_POINTS]; /* against p_c >= p_abs */
	double fail_log_mean;                    /* log E of the mixture over fail_log */
	double fail_log_sup;                     /* largest log E so far, at least 0 (E_0 = 1) */
};

void evalue_init(struct evalue *evalue, double psi0, double psi_tol, double p_abs);
void evalue_add(struct evalue *evalue, const struct evalue_count *count);
/* Only against psi <= psi0, for who claims nothing. */
void evalue_add_fail(struct evalue *evalue, const struct evalue_count *count);
/* The same bucket seen from the other side: is the baseline worse than the canary? */
struct evalue_count evalue_mirror(const struct evalue_count *count);

/* Natural values, never infinite: beyond 1e300 they stay there. */
double evalue_fail(const struct evalue *evalue);
double evalue_fail_sup(const struct evalue *evalue);
double evalue_relative(const struct evalue *evalue);
double evalue_absolute(const struct evalue *evalue);
/* The same of counts whose variance is `dispersion` >= 1 times that of independent ones (evalue.c,
 * BURSTS). */
double evalue_relative_over(const struct evalue *evalue, double dispersion);
double evalue_absolute_over(const struct evalue *evalue, double dispersion);

/* The combined claim of non-inferiority: (E' + E'')/2 >= 1/beta, where the absolute part counts
 * only while nothing speaks for a regression (E_fail <= 1). */
bool evalue_not_inferior(const struct evalue *evalue, double beta);
/* The same from the three values themselves. */
bool evalue_proves(double fail, double relative, double absolute, double beta);

/* log of e_t of one bucket: the conditional likelihood ratio of psi against psi_null. */
double evalue_log_ratio(const struct evalue_count *count, double psi_null, double psi);
/* The same under EVALUE_POISSON. */
double evalue_log_ratio_poisson(const struct evalue_count *count, double psi_null, double psi);

/* log of the Bayes factor against "requests split as declared": share is the canary's, 0 < share
 * < 1 (sample-ratio check; evalue.c, SAMPLE RATIO). */
double evalue_log_split(uint64_t requests_c, uint64_t requests_b, double share);

#endif
