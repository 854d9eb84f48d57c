#include "correlate/tally_private.h"

#include <assert.h>
#include <stdlib.h>

/* From the tally of a bucket to the closed bucket: each cluster is credited to the stratum of its
 * first event, and each principal to the arm of its first bad outcome (by time, content, arm). When
 * there are more than COHORT_CULPRITS_MAX principals the smallest keyed hashes stay, over all arms
 * together: a sample that is as fair to one arm as to the other. Of outcomes that outsiders cause
 * only the known are culprits. */

static size_t arm_index(const struct tally_bucket *from, uint64_t hash)
{
	size_t i = 0;
	while (i < from->arm_count && from->arms[i].hash != hash)
		i++;
	return i;
}

static enum status strata_give(const struct tally_bucket *from, const struct tally_arm *arm,
			       struct arena *arena, struct arm_count *to)
{
	to->strata = arena_alloc(arena, arm->stratum_count * sizeof *to->strata);
	if (to->strata == NULL)
		return ENOMEMORY;
	to->stratum_count = arm->stratum_count;
	for (size_t i = 0; i < arm->stratum_count; i++) {
		const struct tally_stratum *stratum = &arm->strata[i];
		struct stratum *into = &to->strata[i];
		*into = (struct stratum){
			.route = (unsigned)tally_route_index(from, stratum->route),
			.half = stratum->half,
			.requests = from->rule.size > 0 ? stratum->trials[COHORT_RULE_OUTCOME]
							: stratum->requests,
			.bins = arena_alloc(arena, stratum->bin_count * sizeof *into->bins),
			.bin_count = stratum->bin_count,
		};
		if (into->bins == NULL)
			return ENOMEMORY;
		if (stratum->bin_count > 0)
			memcpy(into->bins, stratum->bins, stratum->bin_count * sizeof *into->bins);
		for (int outcome = 0; outcome < OUTCOME_COUNTED; outcome++) {
			into->outcomes[outcome].trials = stratum->trials[outcome];
			into->outcomes[outcome].bad = stratum->bad[outcome];
			if (outcome_info((enum outcome)outcome)->model == OUTCOME_BERNOULLI)
				into->outcomes[outcome].strangers = stratum->strangers[outcome];
		}
		into->strangers = stratum->strangers[OUTCOME_ERROR_LOG];
		to->requests += into->requests;
	}
	return OK;
}

static void credit_cluster(const struct tally_bucket *from, const struct tally_cluster *cluster,
			   struct arm_count *arms)
{
	size_t index = arm_index(from, cluster->arm);
	unsigned route = (unsigned)tally_route_index(from, cluster->route);
	if (index == from->arm_count)
		return; /* its arm did not fit: the bucket is degraded already */
	for (size_t i = 0; i < arms[index].stratum_count; i++) {
		struct stratum *stratum = &arms[index].strata[i];
		struct outcome_count *count = &stratum->outcomes[cluster->outcome];
		if (stratum->route != route || stratum->half != cluster->half)
			continue;
		if (count->clusters < count->bad)
			count->clusters++;
		return;
	}
}

static int three_way(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

/* By outcome and principal, then first event first. */
static int culprit_compare(const void *left, const void *right)
{
	const struct tally_cluster *a = *(const struct tally_cluster *const *)left;
	const struct tally_cluster *b = *(const struct tally_cluster *const *)right;
	if (a->outcome != b->outcome)
		return a->outcome < b->outcome ? -1 : 1;
	if (a->principal != b->principal)
		return three_way(a->principal, b->principal);
	if (a->time_us != b->time_us)
		return (a->time_us > b->time_us) - (a->time_us < b->time_us);
	if (a->content != b->content)
		return three_way(a->content, b->content);
	return three_way(a->arm, b->arm);
}

static bool is_culprit(const struct tally_known *known, const struct tally_cluster *cluster)
{
	if (!outcome_is_of_outsiders(cluster->outcome))
		return cluster->principal != 0;
	return known != NULL && known_has(known, cluster);
}

static enum status culprits_give(const struct tally_bucket *from, const struct tally_known *known,
				 struct arena *arena, struct bucket *bucket)
{
	const struct tally_cluster **sorted =
		arena_alloc(arena, from->cluster_count * sizeof(struct tally_cluster *));
	if (sorted == NULL)
		return ENOMEMORY;
	size_t count = 0;
	for (size_t i = 0; i < from->cluster_count; i++)
		if (is_culprit(known, &from->clusters[i]))
			sorted[count++] = &from->clusters[i];
	if (count > 1)
		qsort(sorted, count, sizeof(struct tally_cluster *), culprit_compare);
	struct culprit *culprits = arena_alloc(arena, count * sizeof *culprits);
	if (culprits == NULL)
		return ENOMEMORY;
	size_t kept = 0;
	size_t of_outcome = 0;
	for (size_t i = 0; i < count; i++) {
		const struct tally_cluster *before = i > 0 ? sorted[i - 1] : NULL;
		bool same_outcome = before != NULL && before->outcome == sorted[i]->outcome;
		if (same_outcome && before->principal == sorted[i]->principal)
			continue;
		of_outcome = same_outcome ? of_outcome + 1 : 1;
		size_t arm = arm_index(from, sorted[i]->arm);
		if (of_outcome > COHORT_CULPRITS_MAX || arm == from->arm_count)
			continue;
		culprits[kept++] =
			(struct culprit){sorted[i]->principal, sorted[i]->outcome, (unsigned)arm};
	}
	bucket->culprits = culprits;
	bucket->culprit_count = kept;
	return OK;
}

static enum status routes_give(const struct tally_bucket *from, struct arena *arena,
			       struct bucket *bucket)
{
	struct text *routes = arena_alloc(arena, from->route_count * sizeof *routes);
	if (routes == NULL)
		return ENOMEMORY;
	for (size_t i = 0; i < from->route_count; i++) {
		routes[i] = arena_copy(arena, from->routes[i].name);
		if (routes[i].data == NULL)
			return ENOMEMORY;
	}
	bucket->routes = routes;
	bucket->route_count = from->route_count;
	return OK;
}

enum status tally_bucket_close(struct tally_bucket *from, const struct tally_known *known,
			       struct arena *arena, struct bucket *ret_bucket)
{
	tally_bucket_settle(from);
	struct bucket bucket = {
		.service = arena_copy(arena, from->service),
		.rule = arena_copy(arena, from->rule),
		.start_us = from->start_us,
		.flags = from->flags,
		.arms = arena_alloc(arena, from->arm_count * sizeof *bucket.arms),
		.arm_count = from->arm_count,
	};
	if (bucket.service.data == NULL || bucket.rule.data == NULL || bucket.arms == NULL)
		return ENOMEMORY;
	enum status status = routes_give(from, arena, &bucket);
	for (size_t i = 0; i < from->arm_count && status == OK; i++) {
		const struct tally_arm *arm = &from->arms[i];
		struct arm_count *to = &bucket.arms[i];
		to->arm.version = arena_copy(arena, arm->arm.version);
		to->arm.deploy_id = arena_copy(arena, arm->arm.deploy_id);
		if (to->arm.version.data == NULL || to->arm.deploy_id.data == NULL)
			return ENOMEMORY;
		status = strata_give(from, arm, arena, to);
	}
	for (size_t i = 0; i < from->cluster_count && status == OK; i++)
		credit_cluster(from, &from->clusters[i], bucket.arms);
	if (known != NULL && known_is_sampled(known))
		bucket.flags |= BUCKET_SAMPLED;
	if (status == OK)
		status = culprits_give(from, known, arena, &bucket);
	if (status == OK)
		*ret_bucket = bucket;
	return status;
}
