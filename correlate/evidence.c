#include "correlate/gate_private.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

/* Which arms are compared: those the canary's query matches, against those the baseline's query
 * matches, or all others that have a name (an event that names no build may be anyone's). A build
 * that both match counts as canary, in every bucket alike, so that evidence already gathered never
 * changes when such a build turns up later.
 *
 * The evidence runs over every bucket since the canary's first request, across all steps of the
 * rollout; the half hour before serves for the baseline's latencies alone. A degraded bucket still
 * counts against the canary: what it kept is a sample that does not depend on the arm
 * (tally_private.h), and thinning moves an odds ratio towards 1. It never speaks for the canary:
 * with one in the window nothing passes.
 *
 * LATENCY. The thresholds of a bucket are quantiles of what the baseline needed for the route in
 * the half hour of the clock before and in this one so far, the bucket itself left out: they are
 * known before the bucket begins, so given them each request of either arm is above or not, and the
 * test of evalue.c holds. While an instance of the canary is in its warm-up no latency counts:
 * which buckets that are is known without looking at any latency.
 *
 * A SOFT FAIL is decided here, at the end of the bucket where everything first held: the weighted
 * mean has reached 1/alpha, one outcome has by itself, from enough buckets and principals and also
 * when each principal counts once, and the halves of the baseline have not been told apart so far.
 * Nothing that comes later takes it back.
 *
 * OUTSIDERS. Who is refused by one version only because he asks no other can bring any of the rates
 * up, but for http_5xx. So of those the principals are the known ones (known.c), the trials beside
 * them what succeeded with a name, and the weighted mean must reach 1/alpha as well when each such
 * outcome adds no more to it than its principals prove: their e-processes are valid whatever
 * outsiders do, so the false alarms of the whole canary stay below alpha under attack, too. All
 * that everybody does still stands between the canary and its PASS; and what the known prove by
 * themselves does, too: an attack on the baseline alone makes everybody's rates look no worse. */

enum status hash_set_add(struct hash_set *set, uint64_t hash, bool *ret_new)
{
	assert(hash != 0);
	if (4 * (set->count + 1) > 3 * set->capacity) {
		size_t capacity = set->capacity == 0 ? 64 : set->capacity * 2;
		struct hash_set grown = {.slots = calloc(capacity, sizeof *grown.slots),
					 .capacity = capacity};
		if (grown.slots == NULL)
			return ENOMEMORY;
		for (size_t i = 0; i < set->capacity; i++) {
			bool ignored = false;
			if (set->slots[i] != 0)
				(void)!hash_set_add(&grown, set->slots[i], &ignored);
		}
		free(set->slots);
		*set = grown;
	}
	size_t at = (size_t)hash & (set->capacity - 1);
	while (set->slots[at] != 0 && set->slots[at] != hash)
		at = (at + 1) & (set->capacity - 1);
	*ret_new = set->slots[at] == 0;
	set->slots[at] = hash;
	set->count += *ret_new;
	return OK;
}

bool arm_matches(const struct arm_query *query, const struct arm *arm)
{
	if (query->value.size == 0)
		return false;
	bool version = text_equal(arm->version, query->value);
	bool deploy_id = text_equal(arm->deploy_id, query->value);
	if (query->field == ARM_VERSION)
		return version;
	if (query->field == ARM_DEPLOY_ID)
		return deploy_id;
	return version || deploy_id;
}

static bool matches_baseline(const struct gate_query *query, const struct arm *arm)
{
	bool nameless = arm->version.size == 0 && arm->deploy_id.size == 0;
	if (query->baseline.value.size > 0)
		return arm_matches(&query->baseline, arm);
	return !nameless && !arm_matches(&query->canary, arm);
}

enum side side_of_arm(const struct gate_query *query, const struct arm *arm)
{
	if (arm_matches(&query->canary, arm))
		return SIDE_CANARY;
	return matches_baseline(query, arm) ? SIDE_BASELINE : SIDE_NONE;
}

enum status gate_evidence_new(const struct gate_query *query, struct gate_evidence **ret_evidence,
			      struct error *err)
{
	struct gate_evidence *evidence = calloc(1, sizeof *evidence);
	if (evidence == NULL)
		return error_set(err, ENOMEMORY, "no memory for the evidence of a canary");
	evidence->query = query;
	evidence->window_start_us = evidence->failed_at_us = INT64_MIN;
	evidence->all = evidence->all_sup = evidence->known_sup = evidence->halves_sup = 1;
	evidence->weights = 1;
	for (int i = 0; i < OUTCOME_COUNT; i++) {
		const struct outcome_info *info = outcome_info((enum outcome)i);
		evidence->tracks[i].model = info->model;
		evidence->tracks[i].two_sided = info->two_sided;
		track_init(&evidence->tracks[i], &query->policy.outcomes[i]);
	}
	if (rules_init(evidence) != OK) {
		gate_evidence_free(&evidence);
		return error_set(err, ENOMEMORY, "no memory for the evidence of a canary");
	}
	*ret_evidence = evidence;
	return OK;
}

void gate_evidence_free(struct gate_evidence **evidence)
{
	if (*evidence == NULL)
		return;
	struct route_state *route = NULL;
	struct route_state *next = NULL;
	HASH_ITER (hh, (*evidence)->routes, route, next) {
		HASH_DEL((*evidence)->routes, route);
		free(route);
	}
	free((*evidence)->principals.slots);
	free((*evidence)->moments);
	free((*evidence)->rules);
	free(*evidence);
	*evidence = NULL;
}

size_t gate_evidence_bytes(const struct gate_evidence *evidence)
{
	size_t bytes = sizeof *evidence + evidence->rule_count * sizeof *evidence->rules +
		       evidence->principals.capacity * sizeof(uint64_t) +
		       evidence->moment_capacity * sizeof *evidence->moments +
		       HASH_OVERHEAD(hh, evidence->routes);
	for (const struct route_state *one = evidence->routes; one != NULL; one = one->hh.next)
		bytes += sizeof *one + one->name_size + 1;
	return bytes;
}

/* One bucket while it is added. */
struct adding {
	struct gate_evidence *evidence;
	const struct bucket *bucket;
	enum side sides[COHORT_ARMS_MAX];
	bool warm;               /* no instance of the canary is in its warm-up */
	bool in_window;          /* the canary has been seen */
	bool bad[OUTCOME_COUNT]; /* something spoke against the canary */
	uint64_t n_c, n_b;
};

/* Counts of one route and outcome, summed over the arms of each side, and over the halves of the
 * baseline. */
void counts_add(struct route_counts *counts, enum side side, unsigned half, uint64_t trials,
		const struct outcome_count *of)
{
	if (side == SIDE_CANARY) {
		counts->pair.clusters.n_c += trials;
		counts->pair.clusters.x_c += of->clusters;
		counts->pair.raw.x_c += of->bad;
	} else if (side == SIDE_BASELINE) {
		counts->pair.clusters.n_b += trials;
		counts->pair.clusters.x_b += of->clusters;
		counts->pair.raw.x_b += of->bad;
		*(half == 0 ? &counts->halves.n_c : &counts->halves.n_b) += trials;
		*(half == 0 ? &counts->halves.x_c : &counts->halves.x_b) += of->clusters;
	}
	counts->pair.raw.n_c = counts->pair.clusters.n_c;
	counts->pair.raw.n_b = counts->pair.clusters.n_b;
}

bool counts_take(const struct route_counts *counts, struct outcome_track *track)
{
	const struct evalue_count *clusters = &counts->pair.clusters;
	if (clusters->n_c + clusters->n_b + clusters->x_c + clusters->x_b == 0)
		return false; /* nobody asked this route */
	track_add(track, &counts->pair);
	track_add_halves(track, &counts->halves);
	/* Of a two-sided outcome, what the baseline does and the canary no longer speaks too. */
	return clusters->x_c > 0 || (track->two_sided && clusters->n_c > 0 && clusters->x_b > 0);
}

static void take_counts(struct adding *adding, enum outcome outcome,
			const struct route_counts *counts)
{
	adding->bad[outcome] |= counts_take(counts, &adding->evidence->tracks[outcome]);
}

static void add_counted(struct adding *adding, unsigned route)
{
	const struct bucket *bucket = adding->bucket;
	for (int outcome = 0; outcome < OUTCOME_COUNTED; outcome++) {
		struct route_counts counts = {0};
		bool poisson = outcome_info((enum outcome)outcome)->model == OUTCOME_POISSON;
		for (size_t i = 0; i < bucket->arm_count; i++)
			for (size_t k = 0; k < bucket->arms[i].stratum_count; k++) {
				const struct stratum *of = &bucket->arms[i].strata[k];
				const struct outcome_count *one = &of->outcomes[outcome];
				/* Events per request are not of the request's route. */
				if (poisson ? route == 0 : of->route == route)
					counts_add(&counts, adding->sides[i], of->half,
						   poisson ? of->requests : one->trials, one);
			}
		take_counts(adding, (enum outcome)outcome, &counts);
	}
}

static void add_above(struct adding *adding, unsigned route, enum outcome outcome,
		      unsigned threshold)
{
	const struct bucket *bucket = adding->bucket;
	struct route_counts counts = {0};
	for (size_t i = 0; i < bucket->arm_count; i++)
		for (size_t k = 0; k < bucket->arms[i].stratum_count; k++) {
			const struct stratum *of = &bucket->arms[i].strata[k];
			if (of->route != route)
				continue;
			uint64_t all = 0;
			for (size_t j = 0; j < of->bin_count; j++)
				all += of->bins[j].count;
			uint64_t above = latency_above(of->bins, of->bin_count, threshold);
			struct outcome_count count = {
				.trials = all, .bad = above, .clusters = above};
			counts_add(&counts, adding->sides[i], of->half, all, &count);
		}
	take_counts(adding, outcome, &counts);
}

/* The name of a route that may be "the others". */
static struct text route_name(const struct bucket *bucket, unsigned route)
{
	return route < bucket->route_count ? bucket->routes[route] : TEXT("*");
}

static enum status add_latency(struct adding *adding, unsigned route)
{
	static const double QUANTILES[] = {0.5, 0.9, 0.99};
	const struct bucket *bucket = adding->bucket;
	struct route_state *state =
		evidence_route(adding->evidence, route_name(bucket, route), bucket->start_us);
	if (state == NULL)
		return ENOMEMORY;
	for (int i = 0; adding->in_window && adding->warm && i < OUTCOME_COUNT - OUTCOME_COUNTED;
	     i++) {
		unsigned threshold = latency_quantile(&state->current, &state->previous,
						      QUANTILES[i], EVIDENCE_LATENCY_REQUESTS_MIN);
		if (threshold != LATENCY_NO_BIN)
			add_above(adding, route, (enum outcome)(OUTCOME_COUNTED + i), threshold);
	}
	for (size_t i = 0; i < bucket->arm_count; i++)
		for (size_t k = 0; k < bucket->arms[i].stratum_count; k++) {
			const struct stratum *of = &bucket->arms[i].strata[k];
			if (of->route != route)
				continue;
			if (adding->sides[i] == SIDE_BASELINE)
				latency_sketch_add(&state->current, of->bins, of->bin_count);
			if (adding->in_window)
				*(adding->sides[i] == SIDE_CANARY ? &state->n_c : &state->n_b) +=
					adding->sides[i] == SIDE_NONE ? 0 : of->requests;
		}
	return OK;
}

enum status principal_is_new(struct gate_evidence *evidence, uint64_t principal, unsigned kind,
			     bool *ret_new)
{
	uint64_t hash = principal ^ ((uint64_t)kind + 1) * UINT64_C(0x9e3779b97f4a7c15);
	*ret_new = false;
	if (evidence->principals.count >= EVIDENCE_PRINCIPALS_MAX)
		return OK;
	return hash_set_add(&evidence->principals, hash == 0 ? 1 : hash, ret_new);
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* What the firsts of principals are compared with: in `proven` what strangers had no part in, which
 * they could swell on one side as they can swell refusals; in `all` everything. */
static void add_trials(const struct stratum *of, enum outcome outcome, enum side side,
		       struct evalue_count *proven, struct evalue_count *all)
{
	bool poisson = outcome_info(outcome)->model == OUTCOME_POISSON;
	uint64_t n = poisson ? of->requests : of->outcomes[outcome].trials;
	uint64_t strangers = poisson ? of->strangers : of->outcomes[outcome].strangers;
	assert(strangers <= n);
	if (side == SIDE_CANARY) {
		proven->n_c += n - strangers;
		all->n_c += n;
	} else if (side == SIDE_BASELINE) {
		proven->n_b += n - strangers;
		all->n_b += n;
	}
}

/* Bad outcomes of principals that had none before. */
static enum status add_principals(struct adding *adding)
{
	struct gate_evidence *evidence = adding->evidence;
	const struct bucket *bucket = adding->bucket;
	struct evalue_count once[OUTCOME_COUNTED] = {0};
	for (size_t i = 0; i < bucket->culprit_count; i++) {
		const struct culprit *one = &bucket->culprits[i];
		enum side side = adding->sides[one->arm];
		bool fresh = false;
		if (side != SIDE_NONE &&
		    principal_is_new(evidence, one->principal, one->outcome, &fresh) != OK)
			return ENOMEMORY;
		once[one->outcome].x_c += fresh && side == SIDE_CANARY;
		once[one->outcome].x_b += fresh && side == SIDE_BASELINE;
	}
	for (int outcome = 0; outcome < OUTCOME_COUNTED; outcome++) {
		struct evalue_count *count = &once[outcome];
		bool poisson = outcome_info((enum outcome)outcome)->model == OUTCOME_POISSON;
		struct evalue_count all = {0};
		for (size_t i = 0; i < bucket->arm_count; i++)
			for (size_t k = 0; k < bucket->arms[i].stratum_count; k++)
				add_trials(&bucket->arms[i].strata[k], (enum outcome)outcome,
					   adding->sides[i], count, &all);
		if (!poisson) {
			count->n_c = least(count->n_c + count->x_c, all.n_c);
			count->n_b = least(count->n_b + count->x_b, all.n_b);
			count->x_c = least(count->x_c, count->n_c);
			count->x_b = least(count->x_b, count->n_b);
		}
		track_add_principals(&evidence->tracks[outcome], count);
	}
	return OK;
}

/* What an outcome adds to the mean of what outsiders had no part in. */
static double known_fail(const struct outcome_track *track, enum outcome outcome)
{
	return outcome_is_of_outsiders(outcome) ? fmin(track->fail, track->once) : track->fail;
}

static void close_bucket(struct adding *adding)
{
	struct gate_evidence *evidence = adding->evidence;
	const struct gate_policy *policy = &evidence->query->policy;
	double halves = 0;
	double known = 0;
	evidence->all = 0;
	bool fails = false;
	for (int i = 0; i < OUTCOME_COUNT; i++) {
		struct outcome_track *track = &evidence->tracks[i];
		double weight = policy->outcomes[i].weight / evidence->weights;
		track_close_bucket(track, adding->bad[i]);
		evidence->all += weight * track->fail;
		known += weight * known_fail(track, (enum outcome)i);
		halves += weight * track_halves(track);
		fails |= weight > 0 && track_fails(track, policy);
	}
	for (size_t i = 0; i < evidence->rule_count; i++) {
		const struct rule_track *rule = &evidence->rules[i];
		evidence->all += rule->weight * rule->track.fail;
		known += rule->weight * rule->track.fail;
		halves += rule->weight * track_halves(&rule->track);
		fails |= rule->blocks && rule->weight > 0 && track_fails(&rule->track, policy);
	}
	evidence->all_sup = fmax(evidence->all_sup, evidence->all);
	evidence->known_sup = fmax(evidence->known_sup, known);
	evidence->halves_sup = fmax(evidence->halves_sup, halves);
	if (fails && evidence->failed_at_us == INT64_MIN &&
	    evidence->all_sup >= 1 / policy->alpha && evidence->known_sup >= 1 / policy->alpha &&
	    evidence->halves_sup < 1 / policy->alpha)
		evidence->failed_at_us = adding->bucket->start_us + COHORT_BUCKET_US;
}

static enum status keep_moment(struct adding *adding)
{
	struct gate_evidence *evidence = adding->evidence;
	if (evidence->moment_count == EVIDENCE_MOMENTS_MAX) {
		size_t half = EVIDENCE_MOMENTS_MAX / 2;
		memmove(evidence->moments, evidence->moments + half,
			half * sizeof *evidence->moments);
		evidence->moment_count = half;
	}
	if (evidence->moment_count == evidence->moment_capacity) {
		size_t capacity =
			evidence->moment_capacity == 0 ? 64 : evidence->moment_capacity * 2;
		if (capacity > EVIDENCE_MOMENTS_MAX)
			capacity = EVIDENCE_MOMENTS_MAX;
		struct gate_moment *grown =
			realloc(evidence->moments, capacity * sizeof *evidence->moments);
		if (grown == NULL)
			return ENOMEMORY;
		evidence->moments = grown;
		evidence->moment_capacity = capacity;
	}
	evidence->moments[evidence->moment_count++] = (struct gate_moment){
		adding->bucket->start_us, adding->n_c, adding->n_b, evidence->all};
	return OK;
}

/* Trials of the rules that the canary had: a service need not log requests. */
static uint64_t rule_trials(const struct adding *adding)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < adding->bucket->rule_count; i++) {
		const struct bucket *rule = &adding->bucket->rules[i];
		for (size_t k = 0; k < rule->arm_count; k++)
			if (side_of_arm(adding->evidence->query, &rule->arms[k].arm) == SIDE_CANARY)
				sum += rule->arms[k].requests;
	}
	return sum;
}

static void look_at_arms(struct adding *adding)
{
	struct gate_evidence *evidence = adding->evidence;
	const struct bucket *bucket = adding->bucket;
	assert(bucket->arm_count <= COHORT_ARMS_MAX);
	for (size_t i = 0; i < bucket->arm_count; i++) {
		const struct arm_count *arm = &bucket->arms[i];
		bool baseline = matches_baseline(evidence->query, &arm->arm);
		adding->sides[i] = side_of_arm(evidence->query, &arm->arm);
		evidence->canary_seen |= adding->sides[i] == SIDE_CANARY;
		evidence->baseline_seen |= baseline;
		evidence->overlap |= adding->sides[i] == SIDE_CANARY && baseline;
		adding->n_c += adding->sides[i] == SIDE_CANARY ? arm->requests : 0;
		adding->n_b += adding->sides[i] == SIDE_BASELINE ? arm->requests : 0;
	}
	if (adding->n_c + rule_trials(adding) > 0 && evidence->window_start_us == INT64_MIN &&
	    bucket->start_us >= evidence->query->pardon_us) {
		evidence->window_start_us = bucket->start_us;
		rules_begin(evidence);
	}
	adding->in_window = evidence->window_start_us != INT64_MIN;
}

/* True when no instance of the canary is younger than the warm-up in this bucket. */
static bool is_warm(const struct adding *adding, const struct instance *instances, size_t count)
{
	const struct gate_query *query = adding->evidence->query;
	int64_t start_us = adding->bucket->start_us;
	for (size_t i = 0; i < count; i++) {
		const struct instance *one = &instances[i];
		if (text_equal(one->service, query->service) &&
		    side_of_arm(query, &one->arm) == SIDE_CANARY &&
		    one->first_us < start_us + COHORT_BUCKET_US &&
		    one->first_us > start_us - query->policy.warmup_us)
			return false;
	}
	return true;
}

enum status gate_evidence_add(struct gate_evidence *evidence, const struct bucket *bucket,
			      const struct instance *instances, size_t instance_count)
{
	struct adding adding = {.evidence = evidence, .bucket = bucket};
	look_at_arms(&adding);
	adding.warm = is_warm(&adding, instances, instance_count);
	enum status status = OK;
	for (unsigned route = 0; route <= bucket->route_count && status == OK; route++) {
		if (adding.in_window)
			add_counted(&adding, route);
		status = add_latency(&adding, route);
	}
	if (status != OK || !adding.in_window)
		return status;
	uint32_t flags = bucket->flags;
	for (size_t i = 0; i < bucket->rule_count; i++)
		flags |= bucket->rules[i].flags;
	evidence->late += bucket->late;
	evidence->degraded_count += (flags & BUCKET_DEGRADED) != 0;
	evidence->no_principal_count += (flags & BUCKET_NO_PRINCIPAL) != 0;
	evidence->sampled_count += (flags & BUCKET_SAMPLED) != 0;
	status = add_principals(&adding);
	if (status == OK)
		status = rules_add(evidence, bucket);
	if (status != OK)
		return status;
	close_bucket(&adding);
	return keep_moment(&adding);
}
