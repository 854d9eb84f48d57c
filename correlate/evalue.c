#include "correlate/evalue.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* THE QUESTION. In bucket t the canary answered n_c requests, x_c of them badly, the baseline n_b
 * and x_b. The rate of errors changes with the hour and with incidents, the share of traffic with
 * every step of the rollout. Is the canary worse, whatever else happens?
 *
 * CONDITIONING (Fisher, The Logic of Inductive Inference, 1935). Given n_c, n_b and x = x_c + x_b,
 * the base rate and the share cancel. With psi = odds ratio canary / baseline,
 *
 *     P_psi(x_c = k) = w(k) psi^k / Z(psi),   w(k) = C(n_c, k) C(n_b, x - k),
 *     Z(psi) = sum of w(k) psi^k over k in [max(0, x - n_b), min(x, n_c)],
 *
 * Fisher's noncentral hypergeometric distribution. A bucket with x = 0, x = n_c + n_b, n_c = 0 or
 * n_b = 0 has a single k and says nothing: e = 1.
 *
 * FAIL, against H0: psi_t <= psi0 in every bucket. For psi1 > psi0
 *
 *     e_t(psi1) = P_psi1(x_c) / P_psi0(x_c) = (psi1/psi0)^x_c Z(psi0)/Z(psi1).
 *
 * E_psi0[e_t] = sum of P_psi1 = 1. e_t grows with x_c, and x_c is stochastically increasing in psi
 * (the family has a monotone likelihood ratio), so E_psi[e_t] <= 1 for every psi <= psi0, also when
 * psi, the margins and the shares depend on the past. Products over t are therefore non-negative
 * supermartingales starting at 1, so is their mean over a grid of psi1 (method of mixtures:
 * Robbins 1970; Johari, Koomen, Pekelis and Walsh, Operations Research 2022), and Ville's
 * inequality (1939) gives P(E_T >= 1/alpha for any T) <= alpha. Close relatives: Turner and
 * Grunwald (two-sample stratified e-variables), Lindon and Malek (sequential multinomial tests,
 * the limit of rare errors). The supremum may be kept: that is what makes FAIL final.
 *
 * PASS, against the union of two complaints, so each may be rejected by either of two tests:
 *   relative, H0': psi_t >= psi_tol; the same e_t with psi_tol for psi0 and alternatives below it;
 *     monotone the other way, so E <= 1 for every psi >= psi_tol;
 *   absolute, H0'': p_c >= p_abs; x_c is at least binomial(n_c, p_abs), with p1 < p_abs
 *     e_t = (p1/p_abs)^x_c ((1-p1)/(1-p_abs))^(n_c - x_c), decreasing in x_c. It is for services
 *     that hardly ever fail, where the relative test would wait for errors that do not come.
 * The claim is "psi < psi_tol or p_c < p_abs". While it is false both E' and E'' are
 * supermartingales, so is their mean, and P((E' + E'')/2 >= 1/beta, ever) <= beta. Taking "E' or
 * E''" instead spends beta twice. Dropping E'' while E_fail > 1 only lowers the sum.
 *
 * TWO SIDES. For outcomes whose disappearance is a finding too (denials) the same is asked with the
 * arms exchanged: psi becomes 1/psi. FAIL takes the mean of both e-processes, an e-process for "psi
 * lies in [1/psi0, psi0]"; PASS needs the first claim, and both where the policy says so, each at
 * beta.
 *
 * SEVERAL OUTCOMES. E = sum of w_i E_i, w_i >= 0, sum 1: the mean is the way to merge e-values of
 * any dependence (Vovk and Wang, Annals of Statistics 2021). FAIL when sup E >= 1/alpha.
 *
 * STRATA. Each route of a bucket is a bucket of its own here: its e_t multiplies into the same
 * product, so that a canary which gets another mix of routes is not judged for the mix.
 *
 * EVENTS PER REQUEST (EVALUE_POISSON: error logs, audit events). With rates lambda psi and lambda
 * per request x_c given x is binomial with theta(psi) = n_c psi / (n_c psi + n_b), the limit of
 * rare errors (Lindon and Malek, NeurIPS 2022): log e_t = x_c log(psi1/psi0) - x log((n_c psi1 +
 * n_b)/(n_c psi0 + n_b)), with the same monotonicity, and absolutely log e_t = x_c log(a) + n_c
 * p_abs (1 - a).
 *
 * SAMPLE RATIO (the same paper): requests S of both arms against declared shares theta, prior
 * Dirichlet(k theta), k = 100: O = B(k theta + S)/B(k theta) / prod theta_i^S_i is an e-value
 * against "the split is as declared".
 *
 * CLUSTERS. Requests of one cause are not independent; x counts causes (cohort.h: first event over
 * all versions), n stays the number of requests. Every counted cause has at least one bad request
 * of the arm it is credited to, so x <= raw x <= n. First events are x of n_c + n_b requests drawn
 * without replacement when routing ignores who asks, which is the model above; under sticky
 * routing the unit is the principal, and the model holds as far as principals of both arms send
 * alike (an arm of few heavy callers beside one of many light ones is not exchangeable). Counting
 * causes hides how often each failed, so PASS asks for the raw counts as well.
 *
 * BURSTS. Raw counts are no independent trials: a cause of m bad outcomes brings them all to one
 * arm. Let the causes come by a Poisson process, their sizes m be at most M, and t = 1/M. Then
 * each PASS factor to the power t is still an e-value: of the relative test, under the null's share
 * q0 of causes, E = q0 (q1/q0)^(tm) + (1 - q0)((1 - q1)/(1 - q0))^(tm) <= 1 for tm <= 1 (Hoelder);
 * of the absolute one, E exp(theta t x) with theta = log(p1/p_abs) < 0 is largest, at a given rate
 * of bad outcomes, when all sizes are M (exp is convex), and then x/M is Poisson of rate p_abs/M
 * and the product is the factor of that. So the logarithms are divided by the dispersion before
 * they are mixed. M is not known and need not be reached: to second order in theta t it is enough
 * that 1/t is E m^2/E m, the variance of the counts over that of independent ones (Wedderburn,
 * Quasi-likelihood Functions, 1974). That is estimated from the counts of both arms
 * (evidence_track.c); P(PASS) of canaries at the edge, in bursts, is measured (RESULTS.md).
 *
 * NUMBERS. Everything is kept in logarithms. Neighbouring terms of Z have the ratio
 *
 *     w(k+1) psi^(k+1) / (w(k) psi^k) = psi r(k),
 *     r(k) = (n_c - k)(x - k) / ((k + 1)(n_b - x + k + 1)), falling in k,
 *
 * so with few bad outcomes, the usual bucket, Z(psi) = w(k_min) psi^k_min H(psi) with Horner's
 * nested form H = 1 + psi r(k_min) (1 + psi r(k_min + 1) (1 + ...)): the r are computed once for
 * all psi, nothing cancels, and w(k_min) drops out of Z(psi0)/Z(psi1). It is taken for at most
 * NARROW_MAX terms and while the product of their ratios cannot overflow.
 *
 * Else Z is summed from its mode outwards until a term is below TERM_MIN of the sum: beyond, ratios
 * only shrink. The mode is where the ratio falls below 1 (bisection). w at the mode is taken as a
 * product of two binomial probabilities with p = x/(n_c + n_b), which differs from w by a factor
 * without k (it cancels), and these by Loader's saddle-point form (Fast and Accurate Computation of
 * Binomial Probabilities, 2000): no difference of large log-gammas. Absolute error of log e_t is
 * below 1e-9 for n <= 10^6 (both tested against exact enumeration).
 *
 * COST of one bucket: 18 sums; of x + 1 terms, each one multiplication and addition, or of at most
 * min(20 sqrt(m) + 2, m + 1) terms, m = min(x, n_c), each one multiplication and division; x =
 * 10^5, n = 10^6: about 50,000 terms. No allocation. */

enum { NARROW_MAX = 256 };              /* terms of Horner's form */
static const double SCALE = 0x1p500;    /* of sums beyond it; a ratio is below 2^100 */
static const double FAIL_NEAREST = 1.2; /* psi0 * this .. */
static const double FAIL_FARTHEST = 60; /* .. psi0 * this, log-spaced */
static const double TERM_MIN = 0x1p-60;
static const double LOG_MAX = 690; /* exp() of more is printed as this */
static const double LOG_TWO_PI = 1.8378770664093454836;
static const double COUNT_MAX = 0x1p40; /* per arm: far inside the exact doubles */

/* Alternatives of the two PASS tests: odds ratios, and parts of p_abs. */
static const double RELATIVE[EVALUE_PASS_POINTS] = {1, 0.75, 0.5, 0.1};
static const double ABSOLUTE[EVALUE_PASS_POINTS] = {0.6, 0.3, 0.1, 0.001};

/* The margins of one bucket, as doubles: exact below 2^53. */
struct margins {
	double n_c, n_b, x;
	double k_min, k_max;
};

static struct margins margins_of(const struct evalue_count *count)
{
	assert(count->x_c <= count->n_c && count->x_b <= count->n_b);
	assert((double)count->n_c <= COUNT_MAX && (double)count->n_b <= COUNT_MAX);
	struct margins m = {
		.n_c = (double)count->n_c,
		.n_b = (double)count->n_b,
		.x = (double)(count->x_c + count->x_b),
	};
	m.k_min = fmax(0, m.x - m.n_b);
	m.k_max = fmin(m.x, m.n_c);
	return m;
}

/* w(k + 1) / w(k): falls as k grows. */
static double weight_ratio(const struct margins *m, double k)
{
	return (m->n_c - k) * (m->x - k) / ((k + 1) * (m->n_b - m->x + k + 1));
}

static double mode_of(const struct margins *m, double psi)
{
	double low = m->k_min;
	double high = m->k_max;
	while (low < high) {
		double middle = floor((low + high) / 2);
		if (psi * weight_ratio(m, middle) >= 1)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* log n! - (the leading terms of Stirling's formula). */
static double stirling_error(double n)
{
	enum { SERIES_FROM = 16 };
	if (n < SERIES_FROM) {
		double factorial = 1;
		for (int i = 2; i <= (int)n; i++)
			factorial *= i;
		return log(factorial) - (n + 0.5) * log(n) + n - LOG_TWO_PI / 2;
	}
	double s = 1 / (n * n);
	double series = 1.0 / 1260 - s * (1.0 / 1680 - s / 1188);
	return (1.0 / 12 - s * (1.0 / 360 - s * series)) / n;
}

/* k log(k / expected) + expected - k. */
static double deviance(double k, double expected)
{
	return k * log1p((k - expected) / expected) - (k - expected);
}

/* log of C(n, k) p^k (1 - p)^(n - k), 0 < p < 1. */
static double log_binomial(double k, double n, double p)
{
	if (k == 0)
		return n * log1p(-p);
	if (k == n)
		return n * log(p);
	return stirling_error(n) - stirling_error(k) - stirling_error(n - k) - deviance(k, n * p) -
	       deviance(n - k, n * (1 - p)) + (log(n / (k * (n - k))) - LOG_TWO_PI) / 2;
}

/* log Z(psi), but for a constant that depends on the margins only. */
static double log_normaliser(const struct margins *m, double psi)
{
	double mode = mode_of(m, psi);
	double p = m->x / (m->n_c + m->n_b);
	double sum = 1;
	double term = 1;
	for (double k = mode; k < m->k_max && term > TERM_MIN * sum; k++) {
		term *= psi * weight_ratio(m, k);
		sum += term;
	}
	term = 1;
	for (double k = mode; k > m->k_min && term > TERM_MIN * sum; k--) {
		term /= psi * weight_ratio(m, k - 1);
		sum += term;
	}
	return log_binomial(mode, m->n_c, p) + log_binomial(m->x - mode, m->n_b, p) +
	       mode * log(psi) + log(sum);
}

/* Odds ratios that are held against a null. */
struct alternatives {
	double null;
	int count;
	double psis[EVALUE_FAIL_POINTS];
	double logs[EVALUE_FAIL_POINTS]; /* of psi / null */
};

/* log of the likelihood ratios, sum by sum. */
static void wide_ratios(const struct margins *m, double bad_c, const struct alternatives *of,
			double *ret_logs)
{
	double null_log = log_normaliser(m, of->null);
	for (int j = 0; j < of->count; j++)
		ret_logs[j] = bad_c * of->logs[j] + null_log - log_normaliser(m, of->psis[j]);
}

/* A sum that is too large for a double: value = sum * 2^(SCALE_BITS scaled). */
struct scaled {
	double sum, one; /* 1 in its scale */
	double scaled;
};

static void scaled_step(struct scaled *to, double factor)
{
	to->sum = to->one + factor * to->sum;
	if (to->sum > SCALE) {
		to->sum /= SCALE;
		to->one /= SCALE;
		to->scaled++;
	}
}

/* The same by Horner's form. */
static void narrow_ratios(const struct margins *m, double bad_c, const struct alternatives *of,
			  double *ret_logs)
{
	struct scaled null = {1, 1, 0};
	struct scaled sums[EVALUE_FAIL_POINTS];
	for (int j = 0; j < of->count; j++)
		sums[j] = null;
	for (double k = m->k_max - 1; k >= m->k_min; k--) {
		double ratio = weight_ratio(m, k);
		scaled_step(&null, of->null * ratio);
		for (int j = 0; j < of->count; j++)
			scaled_step(&sums[j], of->psis[j] * ratio);
	}
	for (int j = 0; j < of->count; j++)
		ret_logs[j] = (bad_c - m->k_min) * of->logs[j] + log(null.sum / sums[j].sum) +
			      (null.scaled - sums[j].scaled) * log(SCALE);
}

/* log e_t of each alternative; 0 where the bucket says nothing. */
static void log_ratios(const struct evalue_count *count, const struct alternatives *of,
		       double *ret_logs)
{
	struct margins m = margins_of(count);
	double bad_c = (double)count->x_c;
	assert(of->count <= EVALUE_FAIL_POINTS);
	if (m.k_min == m.k_max)
		memset(ret_logs, 0, (size_t)of->count * sizeof *ret_logs);
	else if (m.k_max - m.k_min <= NARROW_MAX)
		narrow_ratios(&m, bad_c, of, ret_logs);
	else
		wide_ratios(&m, bad_c, of, ret_logs);
}

static void log_ratios_poisson(const struct evalue_count *count, const struct alternatives *of,
			       double *ret_logs)
{
	double n_c = (double)count->n_c;
	double n_b = (double)count->n_b;
	double bad = (double)(count->x_c + count->x_b);
	double null_rate = n_c * of->null + n_b;
	for (int j = 0; j < of->count; j++)
		ret_logs[j] = (double)count->x_c * of->logs[j] -
			      bad * log((n_c * of->psis[j] + n_b) / null_rate);
}

static struct alternatives one_alternative(double psi_null, double psi)
{
	return (struct alternatives){psi_null, 1, {psi}, {log(psi / psi_null)}};
}

double evalue_log_ratio(const struct evalue_count *count, double psi_null, double psi)
{
	double ratio = 0;
	struct alternatives of = one_alternative(psi_null, psi);
	log_ratios(count, &of, &ratio);
	return ratio;
}

double evalue_log_ratio_poisson(const struct evalue_count *count, double psi_null, double psi)
{
	double ratio = 0;
	struct alternatives of = one_alternative(psi_null, psi);
	if (count->n_c > 0 && count->n_b > 0)
		log_ratios_poisson(count, &of, &ratio);
	return ratio;
}

struct evalue_count evalue_mirror(const struct evalue_count *count)
{
	return (struct evalue_count){count->n_b, count->x_b, count->n_c, count->x_c};
}

double evalue_log_split(uint64_t requests_c, uint64_t requests_b, double share)
{
	static const double STRENGTH = 100;
	assert(share > 0 && share < 1);
	double c = (double)requests_c;
	double b = (double)requests_b;
	double prior_c = STRENGTH * share;
	double prior_b = STRENGTH * (1 - share);
	return lgamma(prior_c + c) + lgamma(prior_b + b) - lgamma(STRENGTH + c + b) -
	       (lgamma(prior_c) + lgamma(prior_b) - lgamma(STRENGTH)) - c * log(share) -
	       b * log1p(-share);
}

static double log_mean(const double *logs, int count)
{
	double largest = logs[0];
	for (int j = 1; j < count; j++)
		largest = fmax(largest, logs[j]);
	double sum = 0;
	for (int j = 0; j < count; j++)
		sum += exp(logs[j] - largest);
	return largest + log(sum / count);
}

void evalue_init(struct evalue *evalue, double psi0, double psi_tol, double p_abs)
{
	assert(psi0 > 0 && psi_tol > 1 && p_abs > 0 && p_abs < 1);
	*evalue = (struct evalue){.psi0 = psi0, .psi_tol = psi_tol, .p_abs = p_abs};
	for (int j = 0; j < EVALUE_PASS_POINTS; j++)
		evalue->good_log[j] = log1p(-ABSOLUTE[j] * p_abs) - log1p(-p_abs);
}

/* e = 1 in both conditional tests. */
static bool says_nothing(const struct evalue_count *count)
{
	return count->x_c + count->x_b == 0 || count->n_c == 0 || count->n_b == 0;
}

static void add_ratios(const struct evalue *evalue, const struct evalue_count *count,
		       const struct alternatives *of, double *logs)
{
	double added[EVALUE_FAIL_POINTS];
	if (evalue->model == EVALUE_POISSON)
		log_ratios_poisson(count, of, added);
	else
		log_ratios(count, of, added);
	for (int j = 0; j < of->count; j++)
		logs[j] += added[j];
}

/* Against psi <= psi0. */
void evalue_add_fail(struct evalue *evalue, const struct evalue_count *count)
{
	if (says_nothing(count))
		return;
	struct alternatives of = {.null = evalue->psi0, .count = EVALUE_FAIL_POINTS};
	double width = log(FAIL_FARTHEST / FAIL_NEAREST) / (EVALUE_FAIL_POINTS - 1);
	double factor = exp(width);
	double psi = evalue->psi0 * FAIL_NEAREST;
	for (int j = 0; j < EVALUE_FAIL_POINTS; j++) {
		of.psis[j] = psi;
		of.logs[j] = log(FAIL_NEAREST) + width * j;
		psi *= factor;
	}
	add_ratios(evalue, count, &of, evalue->fail_log);
	evalue->fail_log_mean = log_mean(evalue->fail_log, EVALUE_FAIL_POINTS);
	evalue->fail_log_sup = fmax(evalue->fail_log_sup, evalue->fail_log_mean);
}

/* Against psi >= psi_tol. */
static void add_relative(struct evalue *evalue, const struct evalue_count *count)
{
	if (says_nothing(count))
		return;
	struct alternatives of = {.null = evalue->psi_tol, .count = EVALUE_PASS_POINTS};
	double null_log = log(evalue->psi_tol);
	for (int j = 0; j < EVALUE_PASS_POINTS; j++) {
		of.psis[j] = RELATIVE[j];
		of.logs[j] = log(RELATIVE[j]) - null_log;
	}
	add_ratios(evalue, count, &of, evalue->relative_log);
}

/* Against p_c >= p_abs. */
static void add_absolute(struct evalue *evalue, const struct evalue_count *count)
{
	double all = (double)count->n_c;
	double bad = (double)count->x_c;
	bool poisson = evalue->model == EVALUE_POISSON;
	for (int j = 0; j < EVALUE_PASS_POINTS; j++) {
		evalue->absolute_log[j] += poisson ? all * evalue->p_abs * (1 - ABSOLUTE[j])
						   : (all - bad) * evalue->good_log[j];
		if (bad > 0)
			evalue->absolute_log[j] += bad * log(ABSOLUTE[j]);
	}
}

void evalue_add(struct evalue *evalue, const struct evalue_count *count)
{
	evalue_add_fail(evalue, count);
	add_relative(evalue, count);
	add_absolute(evalue, count);
}

static double natural(double logarithm)
{
	return logarithm == 0 ? 1 : exp(fmin(logarithm, LOG_MAX)); /* mostly nothing was said yet */
}

double evalue_fail(const struct evalue *evalue)
{
	return natural(evalue->fail_log_mean);
}

double evalue_fail_sup(const struct evalue *evalue)
{
	return natural(evalue->fail_log_sup);
}

static double tempered(const double logs[static EVALUE_PASS_POINTS], double dispersion)
{
	double parts[EVALUE_PASS_POINTS];
	assert(dispersion >= 1);
	for (int j = 0; j < EVALUE_PASS_POINTS; j++)
		parts[j] = logs[j] / dispersion;
	return natural(log_mean(parts, EVALUE_PASS_POINTS));
}

double evalue_relative_over(const struct evalue *evalue, double dispersion)
{
	return tempered(evalue->relative_log, dispersion);
}

double evalue_absolute_over(const struct evalue *evalue, double dispersion)
{
	return tempered(evalue->absolute_log, dispersion);
}

double evalue_relative(const struct evalue *evalue)
{
	return evalue_relative_over(evalue, 1);
}

double evalue_absolute(const struct evalue *evalue)
{
	return evalue_absolute_over(evalue, 1);
}

bool evalue_proves(double fail, double relative, double absolute, double beta)
{
	assert(beta > 0 && beta < 1);
	return (relative + (fail <= 1 ? absolute : 0)) / 2 >= 1 / beta;
}

bool evalue_not_inferior(const struct evalue *evalue, double beta)
{
	return evalue_proves(evalue_fail(evalue), evalue_relative(evalue), evalue_absolute(evalue),
			     beta);
}
