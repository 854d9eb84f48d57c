#include "correlate/gate_private.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

/* FROM TRAITS TO FINDINGS.
 *
 * The question is always: does the canary do what was not done before? What "before" means is fixed
 * when the canary is first heard (its beginning): what any other version did until then is known,
 * what it does later is not learned any more. Versions that FAILED teach nothing: what a bad canary
 * did for an hour is not how the service behaves. Neither do events that name no version, from the
 * beginning on: they may be the canary's.
 *
 *   judged    proven when                                       not enough is known when
 *   SAME_KEY  the baseline never did it, although it refused     it refused it (or kept from it)
 *             and kept from it as often as signal.def asks       less often than that
 *   SERVICE   the same, its opportunities counted over all keys  the same
 *             (but see ELSEWHERE)
 *   NEW hard  nobody did it before, the service was watched      it was watched for less, or did
 *             for policy.learn, did such things `kept` times,    too few of them
 *             and hardly ever does a new one (see OPEN)
 *   NEW soft  nobody did it before, and CHANCE does not explain  -
 *             that only the canary does it
 *
 * The amounts of SAME_KEY and SERVICE are counted until now: they can only grow, so a finding may
 * still come and never goes; one opposite event of the baseline takes it away, as it must.
 *
 * OPEN. A service that calls the addresses its users name (webhooks, previews) has a new one every
 * day, and an outsider chooses it. Good (1953): the chance that the next observation is one never
 * seen is about the share of those seen once. So where any key of the signal was seen less than
 * SELDOM times before, novelty is soft. (Once alone would not do: in 1,000 simulated releases whose
 * destinations come with a chance of 1/k^2, six had none of those and a new one nevertheless.)
 *
 * ELSEWHERE. Support may see other tenants' data where viewers may not. If the same roles (of
 * events that name none: the same method) did it in a share r of all their cases of the baseline,
 * and do it everywhere alike, it is missing from all n of one case with a chance of (1 - r)^n.
 * Unless that is below alpha, divided by the number of cases there can be (Bonferroni), the case
 * was only asked for seldom, and SERVICE is soft. (Without this 16 of 10,000 simulated releases
 * FAILed, each by support on a page where it is seldom.)
 *
 * CHANCE. If a request of either version shows the thing with the same chance, each principal who
 * sees it first sees it on the canary with a chance of its share s of the requests, whatever that
 * chance is and however it changes: that all of x principals are the canary's has a chance of s^x,
 * and s^-x is an e-value (its mean is at most 1). It must reach 1/alpha, times the number of things
 * that are tried at once (Bonferroni). An attack from outside hits both versions in proportion; one
 * that sticks to the canary can convince this test, and so soft findings do not FAIL: they withhold
 * PASS until a person has looked.
 *
 * SHARED. What the other versions have begun to do as well, since the beginning, is not the
 * build's: a permission that was granted, a new tenant, an attack. */

/* Times stay where months can be added to them (signal.c). */
static const int64_t TIME_US_MAX = INT64_MAX / 2;

enum { SELDOM = 5 };

/* All that is summed up of one signal. */
struct totals {
	uint64_t canary, baseline, others;
	uint64_t baseline_kept;
	int64_t since_us; /* first sighting by the others */
	size_t seldom;    /* keys that the others showed less than SELDOM times */
	size_t guarded;   /* SAME_KEY: keys of which enough is known */
	size_t keys;      /* known to the others */
	bool full;
};

struct weighing {
	const struct gate_query *query;
	const struct gate_facts *facts;
	struct gate_result *result;
	int64_t begin_us;
	double share; /* of the requests, the canary's; NaN: no request */
	struct totals totals[SIGNAL_COUNT];
	struct signal_finding *findings;
	size_t finding_count;
};

/* One thing, by who does it. `others` are all that teach, the baseline among them. */
struct group {
	enum signal signal;
	struct text key;
	struct trait canary, baseline, others;
};

const char *signal_standing_name(enum signal_standing standing)
{
	static const char *const NAMES[] = {"proven", "unconfirmed", "unproven", "shared",
					    "declared"};
	assert(standing <= STANDING_DECLARED);
	return NAMES[standing];
}

const char *signal_state_name(enum signal_state state)
{
	static const char *const NAMES[] = {"off", "absent", "learning", "on", "blind", "full"};
	assert(state <= SIGNAL_IS_FULL);
	return NAMES[state];
}

static const struct trait NOTHING = {.shown = {.first_us = INT64_MAX, .last_us = INT64_MIN},
				     .met_first_us = INT64_MAX,
				     .met_last_us = INT64_MIN};

static uint64_t sightings(const struct trait *trait)
{
	return trait->shown.count + trait->kept + trait->refused;
}

static bool is_nameless(const struct arm *arm)
{
	return arm->version.size == 0 && arm->deploy_id.size == 0;
}

static bool teaches(const struct weighing *weighing, const struct trait *trait)
{
	const struct gate_facts *facts = weighing->facts;
	for (size_t i = 0; i < facts->failed_count; i++)
		if (arm_matches(&facts->failed[i], &trait->shown.arm))
			return false;
	if (is_nameless(&trait->shown.arm) && trait->shown.first_us >= weighing->begin_us)
		return false;
	return trait->met_last_us >= weighing->begin_us - SIGNAL_MEMORY_US;
}

static void take_evidence(struct trait *into, const struct trait *from)
{
	if (from->shown.count == 0 || from->shown.first_us >= into->shown.first_us)
		return;
	into->shown.arm = from->shown.arm;
	into->shown.evidence_count = from->shown.evidence_count;
	memcpy(into->shown.evidence, from->shown.evidence, sizeof into->shown.evidence);
	memcpy(into->shown.evidence_us, from->shown.evidence_us, sizeof into->shown.evidence_us);
}

static void group_add(const struct weighing *weighing, struct group *group,
		      const struct trait *trait)
{
	enum side side = side_of_arm(weighing->query, &trait->shown.arm);
	if (side == SIDE_CANARY) {
		take_evidence(&group->canary, trait);
		trait_add(&group->canary, trait);
		return;
	}
	if (!teaches(weighing, trait))
		return;
	trait_add(&group->others, trait);
	if (side == SIDE_BASELINE)
		trait_add(&group->baseline, trait);
}

/* The next group of rows; false behind the last. */
static bool group_next(const struct weighing *weighing, size_t *at, struct group *ret_group)
{
	const struct gate_facts *facts = weighing->facts;
	if (*at == facts->trait_count)
		return false;
	const struct trait *first = &facts->traits[*at];
	struct group group = {.signal = first->signal,
			      .key = first->shown.rule_key,
			      .canary = NOTHING,
			      .baseline = NOTHING,
			      .others = NOTHING};
	for (; *at < facts->trait_count; (*at)++) {
		const struct trait *one = &facts->traits[*at];
		if (one->signal != group.signal || !text_equal(one->shown.rule_key, group.key))
			break;
		group_add(weighing, &group, one);
	}
	group.canary.signal = group.signal;
	group.canary.shown.rule_key = group.key;
	*ret_group = group;
	return true;
}

static bool is_guarded(const struct group *group)
{
	const struct signal_info *info = signal_info(group->signal);
	return group->baseline.shown.count == 0 && group->baseline.kept >= info->kept_min &&
	       group->baseline.refused >= info->refused_min;
}

static void totals_add(struct weighing *weighing, const struct group *group)
{
	struct totals *totals = &weighing->totals[group->signal];
	bool known = group->others.shown.first_us < weighing->begin_us;
	totals->canary += sightings(&group->canary);
	totals->baseline += sightings(&group->baseline);
	totals->others += sightings(&group->others);
	totals->baseline_kept += group->baseline.kept;
	totals->guarded += is_guarded(group);
	totals->keys += known;
	totals->seldom += known && group->others.shown.count < SELDOM;
	if (group->others.met_first_us < totals->since_us)
		totals->since_us = group->others.met_first_us;
	totals->full |= group->key.size == 0;
}

/* Is enough known of what was done before the canary began? */
static bool has_learned(const struct weighing *weighing, enum signal signal)
{
	const struct totals *totals = &weighing->totals[signal];
	const struct signal_info *info = signal_info(signal);
	switch (info->judged) {
	case SIGNAL_SAME_KEY:
		return totals->guarded > 0;
	case SIGNAL_SERVICE:
		return totals->baseline_kept >= info->kept_min;
	default:
		break;
	}
	return !totals->full && totals->others >= info->kept_min &&
	       totals->since_us <= weighing->begin_us - weighing->query->policy.learn_us;
}

/* The roles of a case, or the method of one without: the first word of its key. */
static struct text roles_of(struct text key)
{
	size_t size = 0;
	while (size < key.size && key.data[size] != ' ')
		size++;
	return (struct text){key.data, size};
}

/* ELSEWHERE of the essay. */
static bool is_usual_elsewhere(const struct weighing *weighing, const struct group *group)
{
	const struct gate_facts *facts = weighing->facts;
	struct text roles = roles_of(group->key);
	double shown = 0;
	double kept = 0;
	for (size_t i = 0; i < facts->trait_count; i++) {
		const struct trait *one = &facts->traits[i];
		if (one->signal != group->signal || !teaches(weighing, one) ||
		    side_of_arm(weighing->query, &one->shown.arm) != SIDE_BASELINE ||
		    !text_equal(roles_of(one->shown.rule_key), roles))
			continue;
		shown += (double)one->shown.count;
		kept += (double)one->kept;
	}
	double chance = shown == 0 ? 0 : pow(kept / (shown + kept), (double)group->baseline.kept);
	return chance > weighing->query->policy.alpha / SIGNAL_KEYS_MAX;
}

/* What the group proves; false when it is no finding. Soft ones are decided behind all others. */
static bool stands(const struct weighing *weighing, const struct group *group,
		   struct signal_finding *finding)
{
	const struct signal_info *info = signal_info(group->signal);
	const struct totals *totals = &weighing->totals[group->signal];
	bool counted =
		info->refused_min > 0 ? group->baseline.refused > 0 : group->baseline.kept > 0;
	switch (info->judged) {
	case SIGNAL_SAME_KEY:
		finding->standing = is_guarded(group) ? STANDING_PROVEN : STANDING_UNPROVEN;
		return group->baseline.shown.count == 0 && counted;
	case SIGNAL_SERVICE:
		finding->kept = totals->baseline_kept;
		finding->standing =
			has_learned(weighing, group->signal) ? STANDING_PROVEN : STANDING_UNPROVEN;
		if (finding->level == SIGNAL_HARD && is_usual_elsewhere(weighing, group)) {
			finding->level = SIGNAL_SOFT;
			finding->standing = STANDING_UNCONFIRMED;
		}
		return group->baseline.shown.count == 0;
	default:
		break;
	}
	finding->kept = totals->others;
	finding->standing = STANDING_UNCONFIRMED;
	if (finding->level == SIGNAL_HARD && totals->seldom > 0 && !totals->full)
		finding->level = SIGNAL_SOFT;
	if (finding->level == SIGNAL_HARD)
		finding->standing =
			has_learned(weighing, group->signal) ? STANDING_PROVEN : STANDING_UNPROVEN;
	if (group->others.shown.count > 0)
		finding->standing = STANDING_SHARED;
	return group->others.shown.first_us >= weighing->begin_us;
}

static void weigh(struct weighing *weighing, const struct group *group)
{
	const struct gate_query *query = weighing->query;
	const struct finding *shown = &group->canary.shown;
	struct signal_finding finding = {.canary = group->canary,
					 .shown = group->others.shown.count,
					 .kept = group->baseline.kept,
					 .refused = group->baseline.refused,
					 .level = query->policy.signals[group->signal]};
	bool forgiven = query->pardon_us != INT64_MIN && shown->first_us <= query->pardon_us;
	if (shown->count == 0 || group->key.size == 0 || finding.level == SIGNAL_OFF || forgiven ||
	    shown->first_us > query->now_us || !stands(weighing, group, &finding))
		return;
	if (query->expect != NULL && finding.standing != STANDING_SHARED) {
		finding.expectation = gate_manifest_find(query->expect, group->signal, group->key);
		if (finding.expectation < query->expect->count)
			finding.standing = STANDING_DECLARED;
	}
	if (finding.standing == STANDING_DECLARED || finding.standing == STANDING_SHARED)
		finding.level = SIGNAL_INFO;
	weighing->result->signals[group->signal].findings += finding.standing != STANDING_SHARED;
	weighing->findings[weighing->finding_count++] = finding;
}

/* CHANCE of the essay. */
static void confirm_soft(struct weighing *weighing)
{
	const struct gate_policy *policy = &weighing->query->policy;
	size_t tried = 0;
	for (size_t i = 0; i < weighing->finding_count; i++)
		tried += weighing->findings[i].standing == STANDING_UNCONFIRMED;
	for (size_t i = 0; i < weighing->finding_count; i++) {
		struct signal_finding *finding = &weighing->findings[i];
		const struct trait *canary = &finding->canary;
		if (finding->standing != STANDING_UNCONFIRMED ||
		    canary->principal_count < policy->principals_min ||
		    canary->shown.last_us - canary->shown.first_us < COHORT_BUCKET_US)
			continue;
		double evidence = pow(weighing->share, -(double)canary->principal_count);
		if (evidence >= (double)tried / policy->alpha)
			finding->standing = STANDING_PROVEN;
	}
}

/* The worst first, then by signal and key. */
static int finding_compare(const void *left, const void *right)
{
	const struct signal_finding *a = left;
	const struct signal_finding *b = right;
	if (a->level != b->level)
		return a->level > b->level ? -1 : 1;
	if (a->standing != b->standing)
		return a->standing < b->standing ? -1 : 1;
	if (a->canary.signal != b->canary.signal)
		return a->canary.signal < b->canary.signal ? -1 : 1;
	return text_compare(a->canary.shown.rule_key, b->canary.shown.rule_key);
}

/* How many cases of the signal the canary should have logged if it logged as the baseline does. */
static double expected_cases(const struct weighing *weighing, const struct totals *totals)
{
	const struct gate_facts *facts = weighing->facts;
	uint64_t of_canary = 0;
	uint64_t of_baseline = 0;
	for (size_t i = 0; i < facts->instance_count; i++) {
		const struct instance *one = &facts->instances[i];
		enum side side = side_of_arm(weighing->query, &one->arm);
		of_canary += side == SIDE_CANARY ? one->events : 0;
		of_baseline += side == SIDE_BASELINE ? one->events : 0;
	}
	return of_baseline == 0
		       ? 0
		       : (double)totals->baseline * (double)of_canary / (double)of_baseline;
}

static void report(const struct weighing *weighing, enum signal signal)
{
	enum { EXPECTED_MIN = 20 };
	const struct totals *totals = &weighing->totals[signal];
	const struct signal_info *info = signal_info(signal);
	struct signal_report *report = &weighing->result->signals[signal];
	enum signal_level level = weighing->query->policy.signals[signal];
	bool judges_cases = info->judged != SIGNAL_NEW && level == SIGNAL_HARD;
	report->canary = totals->canary;
	report->baseline = totals->baseline;
	report->known = info->judged == SIGNAL_SAME_KEY ? totals->guarded : totals->keys;
	report->state = SIGNAL_IS_ON;
	if (level == SIGNAL_OFF)
		report->state = SIGNAL_IS_OFF;
	else if (totals->full)
		report->state = SIGNAL_IS_FULL;
	else if (totals->canary + totals->others == 0)
		report->state = SIGNAL_IS_ABSENT;
	else if (judges_cases && totals->canary == 0 &&
		 expected_cases(weighing, totals) >= EXPECTED_MIN)
		report->state = SIGNAL_IS_BLIND;
	else if (level == SIGNAL_HARD && !has_learned(weighing, signal))
		report->state = SIGNAL_IS_LEARNING;
}

/* The canary's share of the requests since it began. */
static double share_of(const struct gate_evidence *evidence)
{
	uint64_t n_c = 0;
	uint64_t n_b = 0;
	for (size_t i = 0; i < evidence->moment_count; i++) {
		n_c += evidence->moments[i].n_c;
		n_b += evidence->moments[i].n_b;
	}
	return n_c + n_b == 0 ? NAN : (double)n_c / (double)(n_c + n_b);
}

enum status signals_weigh(const struct gate_query *query, const struct gate_facts *facts,
			  const struct gate_evidence *evidence, int64_t begin_us,
			  struct arena *arena, struct gate_result *result)
{
	struct weighing weighing = {.query = query,
				    .facts = facts,
				    .result = result,
				    .begin_us = begin_us < -TIME_US_MAX ? query->now_us : begin_us,
				    .share = share_of(evidence)};
	struct group group;
	weighing.findings = arena_alloc(arena, facts->trait_count * sizeof *weighing.findings);
	if (weighing.findings == NULL)
		return ENOMEMORY;
	for (int i = 0; i < SIGNAL_COUNT; i++)
		weighing.totals[i].since_us = INT64_MAX;
	for (size_t at = 0; group_next(&weighing, &at, &group);)
		totals_add(&weighing, &group);
	for (size_t at = 0; begin_us >= -TIME_US_MAX && group_next(&weighing, &at, &group);)
		weigh(&weighing, &group);
	confirm_soft(&weighing);
	if (weighing.finding_count > 1)
		qsort(weighing.findings, weighing.finding_count, sizeof *weighing.findings,
		      finding_compare);
	for (int i = 0; i < SIGNAL_COUNT; i++)
		report(&weighing, (enum signal)i);
	result->novel = weighing.findings;
	result->novel_count = weighing.finding_count;
	return OK;
}
