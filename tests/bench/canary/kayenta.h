/* kayenta - Netflix's canary judge (NetflixACAJudge-v1.0), written anew from its definition.
 *
 * Why: a comparison with the judge most people run must be with what it does, oddities included.
 * The definition is that of spinnaker/spinnaker, folder kayenta (kayenta-judge and
 * kayenta-mannwhitney; read at f8b98eba); what it does and where it surprises stands in kayenta.c.
 * test_kayenta.c holds it against Kayenta's own published vectors and against the numbers that its
 * users printed in issues.
 *
 * Invariant: pure but for the noise, whose dice are the caller's. Owner: the caller, plain data.
 * Thread: any. Units: a metric's value per step of time, in the unit it is watched in.
 * Limits: KAYENTA_VALUES_MAX values an arm. */
#ifndef PICKET_BENCH_KAYENTA_H
#define PICKET_BENCH_KAYENTA_H

#include <stdbool.h>
#include <stddef.h>

#include "tests/bench/canary/random.h"

enum { KAYENTA_VALUES_MAX = 1024 };

enum kayenta_direction { KAYENTA_EITHER, KAYENTA_INCREASE, KAYENTA_DECREASE };
enum kayenta_label {
	KAYENTA_PASS,
	KAYENTA_HIGH,
	KAYENTA_LOW,
	KAYENTA_NODATA,
	KAYENTA_NODATA_FAIL, /* no data where there must be some */
	KAYENTA_ERROR,       /* no interval could be computed */
};

/* What an analysis configuration says of one metric. */
struct kayenta_metric {
	double tolerance, confidence;
	enum kayenta_direction direction;
	bool replace_nan; /* by 0; else left out */
	bool critical, must_have_data;
	bool common_language;               /* effect size: else the ratio of the means */
	double allowed_low, allowed_high;   /* effect sizes from which Low and High count */
	double critical_low, critical_high; /* from which they fail the canary alone */
};
/* As the judge sets it: tolerance 0.25, confidence 0.98, either direction, effect sizes of 1. */
struct kayenta_metric kayenta_metric_default(void);

struct kayenta_values {
	const double *values; /* NaN: nothing at that step */
	size_t count;
};

struct kayenta_result {
	enum kayenta_label label;
	bool critical;
	double lower, upper, estimate; /* of the shift; NaN when none was computed */
	double effect;                 /* NaN when a mean is 0 */
};
struct kayenta_result kayenta_judge(const struct kayenta_metric *metric,
				    const struct kayenta_values *control,
				    const struct kayenta_values *experiment, struct random *random);

/* The canary's score, all metrics in one group: 0 to 100. */
double kayenta_score(const struct kayenta_result *results, size_t count);

/* Share of pairs in which the experiment's value is the larger one; ties count half. */
double kayenta_common_language(const struct kayenta_values *control,
			       const struct kayenta_values *experiment);

#endif
