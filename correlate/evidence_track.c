#include "correlate/gate_private.h"

#include <assert.h>
#include <math.h>

/* What is kept of one outcome: the e-processes of evalue.c, on counts where each cluster counts
 * once, on raw counts (for PASS), and on counts where each principal counts once in the whole
 * window (for FAIL). The last is what keeps an outsider from failing a canary: whoever is stuck to
 * one version by sticky routing, and fails there all day, is one principal. The first bad outcome
 * of a principal falls on the canary with the canary's share of the requests, whatever the rate; so
 * the same conditional test applies to those firsts. */

/* BURSTS of evalue.c: E m^2 / E m of the sizes m of causes. A bucket with k causes and r bad
 * outcomes has r = k E m in the mean, with the variance k Var m, so (r - k E m)^2 / k estimates Var
 * m. Few causes tell little about it: it is taken to be at least that of a geometric size, who
 * tries again each time with the same chance. */
static double dispersion(const struct bursts *bursts)
{
	if (bursts->causes == 0)
		return 1;
	double mean = fmax(1, bursts->bad / bursts->causes);
	double geometric = mean * (mean - 1);
	double spread = bursts->square - bursts->bad * bursts->bad / bursts->causes;
	double variance = bursts->buckets < 2 ? 0 : spread / (bursts->buckets - 1);
	return mean + fmax(variance, geometric) / mean;
}

static void bursts_close_bucket(struct bursts *bursts)
{
	if (bursts->causes_now > 0) {
		double bad = (double)bursts->bad_now;
		bursts->bad += bad;
		bursts->causes += (double)bursts->causes_now;
		bursts->square += bad * bad / (double)bursts->causes_now;
		bursts->buckets++;
	}
	bursts->bad_now = bursts->causes_now = 0;
}

static double two_sided(bool two, double worse, double better)
{
	return two ? (worse + better) / 2 : worse;
}

static void side_init(struct side_track *side, enum outcome_model model,
		      const struct outcome_policy *policy)
{
	evalue_init(&side->clusters, policy->psi0, policy->psi_tol, policy->p_abs);
	if (model == OUTCOME_POISSON)
		side->clusters.model = EVALUE_POISSON;
	side->principals = side->clusters;
	side->apart = false;
}

void track_init(struct outcome_track *track, const struct outcome_policy *policy)
{
	*track = (struct outcome_track){.model = track->model,
					.two_sided = track->two_sided,
					.fail = 1,
					.fail_sup = 1,
					.once = 1,
					.principals_sup = 1};
	side_init(&track->worse, track->model, policy);
	side_init(&track->better, track->model, policy);
	track->halves[0] = track->halves[1] = track->worse.clusters;
}

static void odds_add(struct common_odds *odds, const struct evalue_count *count)
{
	double n = (double)count->n_c + (double)count->n_b;
	if (n == 0)
		return;
	odds->above += (double)count->x_c * ((double)count->n_b - (double)count->x_b) / n;
	odds->below += (double)count->x_b * ((double)count->n_c - (double)count->x_c) / n;
}

static bool counts_differ(const struct pair *pair)
{
	return pair->raw.x_c != pair->clusters.x_c || pair->raw.x_b != pair->clusters.x_b;
}

/* As long as nobody fails twice in a bucket both counts are the same, and one e-process is enough.
 */
static void side_add(struct side_track *side, const struct pair *pair)
{
	if (!side->apart && counts_differ(pair)) {
		side->raw = side->clusters;
		side->apart = true;
	}
	evalue_add(&side->clusters, &pair->clusters);
	if (side->apart)
		evalue_add(&side->raw, &pair->raw);
}

void track_add(struct outcome_track *track, const struct pair *pair)
{
	assert(track->model != OUTCOME_LATENCY || !counts_differ(pair));
	side_add(&track->worse, pair);
	if (track->two_sided) {
		struct pair mirrored = {evalue_mirror(&pair->clusters), evalue_mirror(&pair->raw)};
		side_add(&track->better, &mirrored);
	}
	odds_add(&track->odds, &pair->clusters);
	track->n_c += pair->clusters.n_c;
	track->n_b += pair->clusters.n_b;
	track->x_c += pair->clusters.x_c;
	track->x_b += pair->clusters.x_b;
	track->raw_x_c += pair->raw.x_c;
	track->raw_x_b += pair->raw.x_b;
	track->bursts.bad_now += pair->raw.x_c + pair->raw.x_b;
	track->bursts.causes_now += pair->clusters.x_c + pair->clusters.x_b;
}

void track_add_principals(struct outcome_track *track, const struct evalue_count *once)
{
	evalue_add_fail(&track->worse.principals, once);
	struct evalue_count mirrored = evalue_mirror(once);
	if (track->two_sided)
		evalue_add_fail(&track->better.principals, &mirrored);
	track->principals += (unsigned)once->x_c;
	track->principals_b += (unsigned)once->x_b;
}

void track_add_halves(struct outcome_track *track, const struct evalue_count *halves)
{
	struct evalue_count mirrored = evalue_mirror(halves);
	evalue_add_fail(&track->halves[0], halves);
	evalue_add_fail(&track->halves[1], &mirrored);
}

void track_close_bucket(struct outcome_track *track, bool bad)
{
	bool two = track->two_sided;
	track->bad_bucket_count += bad;
	bursts_close_bucket(&track->bursts);
	track->fail = two_sided(two, evalue_fail(&track->worse.clusters),
				evalue_fail(&track->better.clusters));
	track->fail_sup = fmax(track->fail_sup, track->fail);
	double once = two_sided(two, evalue_fail(&track->worse.principals),
				evalue_fail(&track->better.principals));
	track->once = once;
	track->principals_sup = fmax(track->principals_sup, once);
}

double track_halves(const struct outcome_track *track)
{
	return (evalue_fail(&track->halves[0]) + evalue_fail(&track->halves[1])) / 2;
}

static struct side_result side_result(const struct side_track *side, double over, double beta)
{
	struct side_result result = {
		.e_fail = evalue_fail(&side->clusters),
		.e_pass_relative = evalue_relative(&side->clusters),
		.e_pass_absolute = evalue_absolute(&side->clusters),
	};
	double raw_fail = side->apart ? evalue_fail(&side->raw) : result.e_fail;
	result.e_pass_relative_raw =
		side->apart ? evalue_relative_over(&side->raw, over) : result.e_pass_relative;
	result.e_pass_absolute_raw =
		side->apart ? evalue_absolute_over(&side->raw, over) : result.e_pass_absolute;
	result.accepted = evalue_proves(result.e_fail, result.e_pass_relative,
					result.e_pass_absolute, beta) &&
			  evalue_proves(raw_fail, result.e_pass_relative_raw,
					result.e_pass_absolute_raw, beta);
	return result;
}

bool track_principals_prove(const struct outcome_track *track, const struct gate_policy *policy)
{
	/* Fewer than before: then those count who still fail at the baseline. */
	return track->principals_sup >= 1 / policy->alpha &&
	       (track->principals >= policy->principals_min ||
		(track->two_sided && track->principals_b >= policy->principals_min));
}

bool track_fails(const struct outcome_track *track, const struct gate_policy *policy)
{
	if (track->fail_sup < 1 / policy->alpha || track->bad_bucket_count < policy->buckets_min)
		return false;
	return track->model == OUTCOME_LATENCY || track_principals_prove(track, policy);
}

/* Has the service ever logged anything of the kind? */
static bool is_absent(const struct outcome_track *track)
{
	if (track->model == OUTCOME_POISSON)
		return track->raw_x_c + track->raw_x_b == 0;
	return track->n_c + track->n_b == 0;
}

void track_result(const struct outcome_track *track, const struct gate_policy *policy, bool fewer,
		  struct outcome_result *result)
{
	bool two = track->two_sided;
	double over = dispersion(&track->bursts);
	*result = (struct outcome_result){
		.two_sided = two,
		.n_c = track->n_c,
		.x_c = track->x_c,
		.n_b = track->n_b,
		.x_b = track->x_b,
		.raw_x_c = track->raw_x_c,
		.raw_x_b = track->raw_x_b,
		.bad_bucket_count = track->bad_bucket_count,
		.e_fail = track->fail,
		.e_fail_sup = track->fail_sup,
		.e_principals_sup = track->principals_sup,
		.worse = side_result(&track->worse, over, policy->beta),
		.odds_ratio = track->odds.below > 0 ? track->odds.above / track->odds.below : NAN,
		.principals = track->principals,
		.dispersion = over,
	};
	if (two)
		result->better = side_result(&track->better, over, policy->beta);
	if (track->fail_sup >= 1 / policy->alpha)
		result->state = NI_REJECTED;
	else if (is_absent(track))
		result->state = NI_ABSENT;
	else if (track->n_b > 0 && result->worse.accepted &&
		 (!two || !fewer || result->better.accepted))
		result->state = NI_ACCEPTED;
}
