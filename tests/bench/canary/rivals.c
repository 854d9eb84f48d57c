#include "tests/bench/canary/rivals.h"

#include <math.h>

/* A share that changes restarts the Dirichlet prior: the product of the Bayes factors of the parts
 * is still a martingale under "split as declared". The test is two-sided; it counts as a rollback
 * when the canary has more than its share. */

static const double ALPHA = 0.01;
static const double Z_LIMIT = 2.3263478740408408; /* of ALPHA */
static const double FLAGGER_SUCCESS = 0.99;
static const double ARGO_SUCCESS = 0.95;
static const double KAYENTA_PASS_SCORE = 95;
enum {
	FLAGGER_THRESHOLD = 5,
	ARGO_FAILURE_LIMIT = 3,
	MINUTE = 6, /* buckets */
	FIVE_MINUTES = 5 * MINUTE,
	DOCUMENTED_MINUTES = 50,
	EARLY_MINUTES = 10,
};

const char *rival_name(enum rival rival)
{
	static const char *const NAMES[] = {"kayenta_once", "kayenta_50", "kayenta_10",
					    "kayenta_unit", "z_test",     "lindon_malek",
					    "flagger",      "argo"};
	_Static_assert(sizeof NAMES / sizeof *NAMES == RIVAL_COUNT, "a name for each");
	return NAMES[rival];
}

struct rivals rivals_of(uint64_t run)
{
	static const uint64_t NOISE = 0x6b6179;
	return (struct rivals){.share = NAN, .random = random_of(NOISE, 0, run)};
}

static void fire(struct rivals *rivals, enum rival rival, int bucket)
{
	if (rivals->failed_at[rival] == 0)
		rivals->failed_at[rival] = bucket + 1;
}

static void count_add(struct evalue_count *sum, const struct evalue_count *count)
{
	sum->n_c += count->n_c;
	sum->x_c += count->x_c;
	sum->n_b += count->n_b;
	sum->x_b += count->x_b;
}

static void see_z_test(struct rivals *rivals, int bucket)
{
	const struct evalue_count *total = &rivals->total;
	double n_c = (double)total->n_c;
	double n_b = (double)total->n_b;
	if (bucket + 1 < MINUTE || n_c == 0 || n_b == 0)
		return;
	double pooled = (double)(total->x_c + total->x_b) / (n_c + n_b);
	double deviation = sqrt(pooled * (1 - pooled) * (1 / n_c + 1 / n_b));
	double shift = (double)total->x_c / n_c - (double)total->x_b / n_b;
	if (deviation > 0 && shift / deviation > Z_LIMIT)
		fire(rivals, RIVAL_Z_TEST, bucket);
}

static void see_lindon_malek(struct rivals *rivals, int bucket, const struct draw *draw)
{
	if (draw->share != rivals->share) {
		if (!isnan(rivals->share))
			rivals->split_log +=
				evalue_log_split(rivals->share_c, rivals->share_b, rivals->share);
		rivals->share = draw->share;
		rivals->share_c = rivals->share_b = 0;
	}
	rivals->share_c += draw->raw.x_c;
	rivals->share_b += draw->raw.x_b;
	double bad = (double)(rivals->share_c + rivals->share_b);
	if (draw->raw.x_c + draw->raw.x_b > 0 && (double)rivals->share_c > rivals->share * bad &&
	    rivals->split_log + evalue_log_split(rivals->share_c, rivals->share_b, rivals->share) >=
		    -log(ALPHA))
		fire(rivals, RIVAL_LINDON_MALEK, bucket);
}

static double success(const struct evalue_count *count)
{
	return 1 - (double)count->x_c / (double)count->n_c; /* NaN without a request */
}

static void see_thresholds(struct rivals *rivals, int bucket)
{
	if ((bucket + 1) % MINUTE == 0) {
		rivals->failed_checks += !(success(&rivals->minute) >= FLAGGER_SUCCESS);
		if (rivals->failed_checks >= FLAGGER_THRESHOLD)
			fire(rivals, RIVAL_FLAGGER, bucket);
	}
	if ((bucket + 1) % FIVE_MINUTES == 0) {
		/* Without a value it is an error there, not a failure. */
		rivals->failed_measurements += success(&rivals->five_minutes) < ARGO_SUCCESS;
		if (rivals->failed_measurements > ARGO_FAILURE_LIMIT)
			fire(rivals, RIVAL_ARGO, bucket);
		rivals->five_minutes = (struct evalue_count){0};
	}
}

static bool kayenta_fails(struct rivals *rivals, size_t minutes, double unit)
{
	double scaled_c[RIVAL_MINUTES];
	double scaled_b[RIVAL_MINUTES];
	for (size_t i = 0; i < minutes; i++) {
		scaled_c[i] = rivals->percent_c[i] * unit;
		scaled_b[i] = rivals->percent_b[i] * unit;
	}
	struct kayenta_metric metric = kayenta_metric_default();
	metric.direction = KAYENTA_INCREASE;
	struct kayenta_values control = {scaled_b, minutes};
	struct kayenta_values experiment = {scaled_c, minutes};
	struct kayenta_result result =
		kayenta_judge(&metric, &control, &experiment, &rivals->random);
	return kayenta_score(&result, 1) < KAYENTA_PASS_SCORE;
}

static void see_kayenta(struct rivals *rivals, int bucket)
{
	static const double PERCENT = 1;
	static const double FRACTION = 0.01;
	if ((bucket + 1) % MINUTE != 0)
		return;
	size_t minutes = (size_t)(bucket + 1) / MINUTE;
	const struct evalue_count *minute = &rivals->minute;
	double n_c = (double)minute->n_c;
	double n_b = (double)minute->n_b;
	rivals->percent_c[minutes - 1] = n_c > 0 ? 100 * (double)minute->x_c / n_c : NAN;
	rivals->percent_b[minutes - 1] = n_b > 0 ? 100 * (double)minute->x_b / n_b : NAN;
	bool early = minutes >= EARLY_MINUTES && minutes % 2 == 0;
	bool documented = minutes >= DOCUMENTED_MINUTES;
	const int *at = rivals->failed_at;
	if ((early && at[RIVAL_KAYENTA_10] == 0) || (documented && at[RIVAL_KAYENTA_50] == 0) ||
	    minutes == RIVAL_MINUTES) {
		bool fails = kayenta_fails(rivals, minutes, PERCENT);
		if (fails && early)
			fire(rivals, RIVAL_KAYENTA_10, bucket);
		if (fails && documented)
			fire(rivals, RIVAL_KAYENTA_50, bucket);
		if (fails && minutes == RIVAL_MINUTES)
			fire(rivals, RIVAL_KAYENTA_ONCE, bucket);
	}
	if (early && at[RIVAL_KAYENTA_UNIT] == 0 && kayenta_fails(rivals, minutes, FRACTION))
		fire(rivals, RIVAL_KAYENTA_UNIT, bucket);
}

void rivals_see(struct rivals *rivals, int bucket, const struct draw *draw)
{
	count_add(&rivals->total, &draw->raw);
	count_add(&rivals->minute, &draw->raw);
	count_add(&rivals->five_minutes, &draw->raw);
	see_z_test(rivals, bucket);
	see_lindon_malek(rivals, bucket, draw);
	see_thresholds(rivals, bucket);
	see_kayenta(rivals, bucket);
	if ((bucket + 1) % MINUTE == 0)
		rivals->minute = (struct evalue_count){0};
}
