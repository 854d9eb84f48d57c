#include "tests/bench/canary/kayenta.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* THE JUDGE. A metric is one value per step and arm, not requests.
 *
 *  1. NaN values are left out, or are 0 where the configuration says "replace".
 *  2. An arm without values: Nodata, or NodataFailMetric where data are required and the metric is
 *     not critical; with "replace" Pass, also of a critical metric.
 *  3. The same values in both arms, or one value in all: Pass. One value in each: Gaussian noise
 *     with a deviation of 1e-5 of the value is added.
 *  4. Two-sided Mann-Whitney test in its normal approximation. With x the experiment's m values, y
 *     the control's n and R(mu) the sum of the average ranks of x - mu among both,
 *
 *         W(mu) = R(mu) - m(m + 1)/2 - mn/2,
 *         z(mu) = (W(mu) - sign(W(mu))/2) / sigma(mu),
 *         sigma(mu)^2 = mn/12 (m + n + 1 - sum(t^3 - t)/((m + n)(m + n - 1))), t sizes of ties;
 *
 *     the confidence interval of the shift lies between the roots of z(mu) = +-z_(1 - alpha/2),
 *     searched in [min x - max y, max x - min y] and cut there, the estimate is the root of 0
 *     (Hodges and Lehmann). sigma = 0 throws: Error.
 *  5. High when the direction allows it, the lower bound exceeds tolerance * |estimate|, and the
 *     effect size (ratio of means, or common language) is NaN or at least the allowed one. Low is
 *     the mirror image.
 *  6. A critical metric that is High or Low beyond its critical effect size, or without data, fails
 *     the canary: score 0. An Error is never critical, since what throws forgets the flag.
 *  7. Score = 100 Pass/(Pass + High + Low + NodataFailMetric), 100 for a group with none of these;
 *     half or more Nodata: 0.
 *
 * The root is searched by Brent's zero() to an ABSOLUTE tolerance of 1e-4, so verdicts depend on
 * the unit: rates should be given in percent. Its steps are part of the definition, since z is a
 * staircase and where on a flat step the search ends decides about step 5. */

static const double ROOT_TOLERANCE = 1e-4;
enum { ROOT_STEPS_MAX = 1001 };
static const double NOISE = 1e-5;

struct sample {
	double values[KAYENTA_VALUES_MAX]; /* ascending */
	size_t count;
};

/* Both samples, and the quantile whose root is searched. */
struct test {
	struct sample x, y;
	double quantile;
	bool tied; /* sigma was 0 */
};

struct kayenta_metric kayenta_metric_default(void)
{
	return (struct kayenta_metric){.tolerance = 0.25,
				       .confidence = 0.98,
				       .allowed_low = 1,
				       .allowed_high = 1,
				       .critical_low = 1,
				       .critical_high = 1};
}

static int by_value(const void *left, const void *right)
{
	double a = *(const double *)left;
	double b = *(const double *)right;
	return (a > b) - (a < b);
}

static void take(const struct kayenta_values *from, bool replace_nan, struct sample *sample)
{
	assert(from->count <= KAYENTA_VALUES_MAX);
	sample->count = 0;
	for (size_t i = 0; i < from->count; i++) {
		if (!isnan(from->values[i]))
			sample->values[sample->count++] = from->values[i];
		else if (replace_nan)
			sample->values[sample->count++] = 0;
	}
	qsort(sample->values, sample->count, sizeof *sample->values, by_value);
}

static double largest(const struct sample *sample)
{
	return sample->values[sample->count - 1];
}

static double mean(const struct sample *sample)
{
	double sum = 0;
	for (size_t i = 0; i < sample->count; i++)
		sum += sample->values[i];
	return sum / (double)sample->count;
}

/* Sum of the average ranks of x - shift among both, and of t^3 - t over the ties. */
struct ranks {
	double sum_x, ties;
};

static struct ranks rank(const struct test *test, double shift)
{
	const struct sample *x = &test->x;
	const struct sample *y = &test->y;
	struct ranks ranks = {0};
	size_t i = 0;
	size_t k = 0;
	while (i < x->count || k < y->count) {
		double from_x = i < x->count ? x->values[i] - shift : INFINITY;
		double from_y = k < y->count ? y->values[k] : INFINITY;
		double value = fmin(from_x, from_y);
		size_t first = i + k;
		size_t of_x = i;
		while (i < x->count && x->values[i] - shift == value)
			i++;
		of_x = i - of_x;
		while (k < y->count && y->values[k] == value)
			k++;
		double tied = (double)(i + k - first);
		ranks.sum_x += (double)of_x * ((double)first + (tied + 1) / 2);
		ranks.ties += tied * tied * tied - tied;
	}
	return ranks;
}

/* z(shift) - quantile. */
static double difference(struct test *test, double shift)
{
	double m = (double)test->x.count;
	double n = (double)test->y.count;
	struct ranks ranks = rank(test, shift);
	double w = ranks.sum_x - m * (m + 1) / 2 - m * n / 2;
	double correction = w > 0 ? 0.5 : w < 0 ? -0.5 : 0;
	double sigma = sqrt(m * n / 12 * (m + n + 1 - ranks.ties / ((m + n) * (m + n - 1))));
	test->tied |= sigma == 0;
	return (w - correction) / sigma - test->quantile;
}

/* b is the best guess, a the one before, c lies on the other side of the root. */
struct bracket {
	double a, b, c;
	double at_a, at_b, at_c;
};

/* Interpolates by a line, or by an inverse parabola through three points; half the bracket where
 * that would leave it or come closer by less than half. */
static double brent_step(const struct bracket *at, double tolerance)
{
	double before = at->b - at->a;
	double half = (at->c - at->b) / 2;
	if (fabs(before) < tolerance || fabs(at->at_a) <= fabs(at->at_b))
		return half;
	double ratio = at->at_b / at->at_a;
	double above = 2 * half * ratio;
	double below = 1 - ratio;
	if (at->a != at->c) {
		double q = at->at_a / at->at_c;
		double r = at->at_b / at->at_c;
		above = ratio * (2 * half * q * (q - r) - before * (r - 1));
		below = (q - 1) * (r - 1) * (ratio - 1);
	}
	if (above > 0)
		below = -below;
	else
		above = -above;
	if (above < 1.5 * half * below - fabs(tolerance * below) / 2 &&
	    above < fabs(before * below / 2))
		return above / below;
	return half;
}

static double brent_root(struct test *test, double low, double high)
{
	double at_low = difference(test, low);
	struct bracket at = {low, high, low, at_low, difference(test, high), at_low};
	if (at.at_a == 0)
		return at.a;
	for (int i = 0; i < ROOT_STEPS_MAX && at.at_b != 0; i++) {
		if (fabs(at.at_c) < fabs(at.at_b))
			at = (struct bracket){at.b, at.c, at.b, at.at_b, at.at_c, at.at_b};
		double tolerance = 0x1p-51 * fabs(at.b) + ROOT_TOLERANCE / 2;
		if (fabs(at.c - at.b) / 2 <= tolerance)
			break;
		double step = brent_step(&at, tolerance);
		if (fabs(step) < tolerance)
			step = step > 0 ? tolerance : -tolerance;
		at.a = at.b;
		at.at_a = at.at_b;
		at.b += step;
		at.at_b = difference(test, at.b);
		if ((at.at_b > 0) == (at.at_c > 0) && at.at_b != 0 && at.at_c != 0) {
			at.c = at.a;
			at.at_c = at.at_a;
		}
	}
	return at.b;
}

/* Where z reaches the quantile; an end of the range when it does not. */
static double bound(struct test *test, double quantile)
{
	double low = test->x.values[0] - largest(&test->y);
	double high = largest(&test->x) - test->y.values[0];
	test->quantile = quantile;
	if (quantile != 0 && difference(test, low) <= 0)
		return low;
	if (quantile != 0 && difference(test, high) >= 0)
		return high;
	return brent_root(test, low, high);
}

/* z with P(normal > z) = upper, 0 < upper <= 1/2, by Newton's method: from 0 on, where the tail is
 * convex, it comes nearer from below with every step. */
static double normal_quantile(double upper)
{
	static const double NEAR = 1e-15;
	double z = 0;
	for (double step = 1; fabs(step) > NEAR * (1 + z); z += step)
		step = (erfc(z / M_SQRT2) / 2 - upper) * sqrt(2 * M_PI) * exp(z * z / 2);
	return z;
}

static void add_noise(struct sample *sample, struct random *random)
{
	for (size_t i = 0; i < sample->count; i++)
		sample->values[i] += sample->values[i] * NOISE * random_normal(random);
	qsort(sample->values, sample->count, sizeof *sample->values, by_value);
}

static bool is_constant(const struct sample *sample)
{
	return sample->values[0] == largest(sample);
}

static double common_language(const struct test *test)
{
	double m = (double)test->x.count;
	double n = (double)test->y.count;
	return (2 * rank(test, 0).sum_x - m * (m + 1)) / (2 * n * m);
}

double kayenta_common_language(const struct kayenta_values *control,
			       const struct kayenta_values *experiment)
{
	struct test test;
	take(experiment, false, &test.x);
	take(control, false, &test.y);
	assert(test.x.count > 0 && test.y.count > 0);
	return common_language(&test);
}

static double effect_size(const struct kayenta_metric *metric, const struct test *test)
{
	if (metric->common_language)
		return common_language(test);
	double control = mean(&test->y);
	double experiment = mean(&test->x);
	return control == 0 || experiment == 0 ? NAN : experiment / control;
}

/* Steps 4 to 6. */
static struct kayenta_result compare(const struct kayenta_metric *metric, struct test *test)
{
	double z = normal_quantile((1 - metric->confidence) / 2);
	double lower = bound(test, z);
	/* No High any more, and Low is not asked for: the rest would change no verdict. (Were sigma
	 * 0 there it would be an Error, which scores as a Pass where it is the only metric.) */
	if (metric->direction == KAYENTA_INCREASE && lower <= 0 && !test->tied)
		return (struct kayenta_result){KAYENTA_PASS, false, lower, NAN, NAN, NAN};
	struct kayenta_result result = {.lower = lower,
					.upper = bound(test, -z),
					.estimate = bound(test, 0),
					.effect = effect_size(metric, test)};
	if (test->tied)
		return (struct kayenta_result){KAYENTA_ERROR, false, NAN, NAN, NAN, NAN};
	double limit = metric->tolerance * fabs(result.estimate);
	bool known = !isnan(result.effect);
	if (metric->direction != KAYENTA_DECREASE && result.lower > limit &&
	    (!known || result.effect >= metric->allowed_high)) {
		result.label = KAYENTA_HIGH;
		result.critical =
			metric->critical && (!known || result.effect >= metric->critical_high);
	} else if (metric->direction != KAYENTA_INCREASE && result.upper < -limit &&
		   (!known || result.effect <= metric->allowed_low)) {
		result.label = KAYENTA_LOW;
		result.critical =
			metric->critical && (!known || result.effect <= metric->critical_low);
	}
	return result;
}

struct kayenta_result kayenta_judge(const struct kayenta_metric *metric,
				    const struct kayenta_values *control,
				    const struct kayenta_values *experiment, struct random *random)
{
	struct test test = {.quantile = 0};
	struct kayenta_result result = {KAYENTA_PASS, false, NAN, NAN, NAN, NAN};
	take(experiment, metric->replace_nan, &test.x);
	take(control, metric->replace_nan, &test.y);
	if (test.x.count == 0 || test.y.count == 0) {
		if (metric->replace_nan)
			return result;
		bool fails = metric->must_have_data && !metric->critical;
		result.label = fails ? KAYENTA_NODATA_FAIL : KAYENTA_NODATA;
		result.critical = metric->critical;
		return result;
	}
	bool same = test.x.count == test.y.count &&
		    memcmp(test.x.values, test.y.values, test.x.count * sizeof(double)) == 0;
	bool constant = is_constant(&test.x) && is_constant(&test.y);
	if (same || (constant && test.x.values[0] == test.y.values[0]))
		return result;
	if (constant) {
		add_noise(&test.x, random);
		add_noise(&test.y, random);
	}
	return compare(metric, &test);
}

double kayenta_score(const struct kayenta_result *results, size_t count)
{
	size_t labels[KAYENTA_ERROR + 1] = {0};
	for (size_t i = 0; i < count; i++) {
		labels[results[i].label]++;
		if (results[i].critical && results[i].label != KAYENTA_PASS)
			return 0;
	}
	if (2 * labels[KAYENTA_NODATA] >= count)
		return 0;
	size_t judged = labels[KAYENTA_PASS] + labels[KAYENTA_HIGH] + labels[KAYENTA_LOW] +
			labels[KAYENTA_NODATA_FAIL];
	return judged == 0 ? 100 : 100 * (double)labels[KAYENTA_PASS] / (double)judged;
}
