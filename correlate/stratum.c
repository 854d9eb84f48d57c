#include "correlate/tally_private.h"

#include <assert.h>
#include <stdlib.h>

/* ROUTES. A bucket keeps the COHORT_ROUTES_MAX routes with the smallest keyed hashes; the strata of
 * all others are one, TALLY_ROUTE_OTHER, in every arm alike, so that a stratum compares like with
 * like. A route that was pushed out never comes back (the kept hashes only get smaller), and one
 * that is pushed out of a piece has COHORT_ROUTES_MAX smaller ones in the whole as well: which
 * routes stay, and what is in each stratum, does not depend on the order or the split. */

void tally_strata_done(struct tally_arm *arm)
{
	for (size_t i = 0; i < arm->stratum_count; i++)
		free(arm->strata[i].bins);
	free(arm->strata);
	arm->strata = NULL;
	arm->stratum_count = arm->stratum_capacity = 0;
}

static size_t route_place(const struct tally_bucket *bucket, uint64_t hash)
{
	size_t low = 0;
	size_t high = bucket->route_count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (bucket->routes[middle].hash < hash)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

size_t tally_route_index(const struct tally_bucket *bucket, uint64_t hash)
{
	size_t at = route_place(bucket, hash);
	bool found = at < bucket->route_count && bucket->routes[at].hash == hash;
	return found ? at : bucket->route_count;
}

static bool stratum_before(const struct tally_stratum *stratum, uint64_t route, unsigned half)
{
	return stratum->route < route || (stratum->route == route && stratum->half < half);
}

enum status tally_arm_stratum(struct tally_arm *arm, uint64_t route, unsigned half,
			      struct tally_stratum **ret_stratum)
{
	enum { FIRST = 4 };
	size_t at = 0;
	size_t end = arm->stratum_count;
	assert(half < COHORT_HALVES);
	while (at < end) {
		size_t middle = (at + end) / 2;
		bool before = stratum_before(&arm->strata[middle], route, half);
		at = before ? middle + 1 : at;
		end = before ? end : middle;
	}
	if (at < arm->stratum_count && arm->strata[at].route == route &&
	    arm->strata[at].half == half) {
		*ret_stratum = &arm->strata[at];
		return OK;
	}
	struct tally_stratum *strata = arm->strata;
	if (arm->stratum_count == arm->stratum_capacity) {
		size_t capacity = arm->stratum_capacity == 0 ? FIRST : 2 * arm->stratum_capacity;
		strata = realloc(strata, capacity * sizeof *strata);
		if (strata == NULL)
			return ENOMEMORY;
		arm->stratum_capacity = capacity;
	}
	memmove(strata + at + 1, strata + at, (arm->stratum_count - at) * sizeof *strata);
	strata[at] = (struct tally_stratum){.route = route, .half = (uint8_t)half};
	arm->strata = strata;
	arm->stratum_count++;
	*ret_stratum = &strata[at];
	return OK;
}

enum status tally_stratum_bin(struct tally_stratum *stratum, unsigned index, uint32_t count)
{
	size_t at = 0;
	assert(index < LATENCY_BINS);
	while (at < stratum->bin_count && stratum->bins[at].index < index)
		at++;
	if (at < stratum->bin_count && stratum->bins[at].index == index) {
		uint32_t room = UINT32_MAX - stratum->bins[at].count;
		stratum->bins[at].count += count < room ? count : room;
		return OK;
	}
	if (stratum->bin_count == stratum->bin_capacity) {
		size_t capacity = stratum->bin_capacity == 0 ? 8 : stratum->bin_capacity * 2;
		struct latency_bin *grown =
			realloc(stratum->bins, capacity * sizeof *stratum->bins);
		if (grown == NULL)
			return ENOMEMORY;
		stratum->bins = grown;
		stratum->bin_capacity = capacity;
	}
	memmove(stratum->bins + at + 1, stratum->bins + at,
		(stratum->bin_count - at) * sizeof *stratum->bins);
	stratum->bins[at] = (struct latency_bin){(uint16_t)index, count};
	stratum->bin_count++;
	return OK;
}

enum status tally_stratum_merge(struct tally_stratum *into, const struct tally_stratum *from)
{
	tally_add(&into->requests, from->requests);
	for (int outcome = 0; outcome < OUTCOME_COUNTED; outcome++) {
		tally_add(&into->trials[outcome], from->trials[outcome]);
		tally_add(&into->bad[outcome], from->bad[outcome]);
		tally_add(&into->strangers[outcome], from->strangers[outcome]);
	}
	enum status status = OK;
	for (size_t i = 0; i < from->bin_count && status == OK; i++)
		status = tally_stratum_bin(into, from->bins[i].index, from->bins[i].count);
	return status;
}

/* What the arm did on a route becomes part of the others. */
static enum status fold_route(struct tally_arm *arm, uint64_t route)
{
	for (size_t i = 0; i < arm->stratum_count;) {
		if (arm->strata[i].route != route) {
			i++;
			continue;
		}
		struct tally_stratum moved = arm->strata[i];
		struct tally_stratum *other = NULL;
		memmove(arm->strata + i, arm->strata + i + 1,
			(arm->stratum_count - i - 1) * sizeof *arm->strata);
		arm->stratum_count--;
		enum status status = tally_arm_stratum(arm, TALLY_ROUTE_OTHER, moved.half, &other);
		if (status == OK)
			status = tally_stratum_merge(other, &moved);
		free(moved.bins);
		if (status != OK)
			return status;
	}
	return OK;
}

/* Pushes the route with the largest hash out. */
static enum status evict_route(struct tally_bucket *bucket)
{
	struct tally_route *last = &bucket->routes[bucket->route_count - 1];
	uint64_t hash = last->hash;
	assert(bucket->route_count > 0);
	free((char *)last->name.data);
	bucket->route_count--;
	bucket->flags |= BUCKET_ROUTES;
	enum status status = OK;
	for (size_t i = 0; i < bucket->arm_count && status == OK; i++)
		status = fold_route(&bucket->arms[i], hash);
	return status;
}

enum status tally_bucket_route(struct tally_bucket *bucket, uint64_t hash, struct text name,
			       uint64_t *ret_route)
{
	size_t at = route_place(bucket, hash);
	*ret_route = hash;
	if (at < bucket->route_count && bucket->routes[at].hash == hash)
		return OK;
	if (at == COHORT_ROUTES_MAX || hash == TALLY_ROUTE_OTHER) {
		bucket->flags |= BUCKET_ROUTES;
		*ret_route = TALLY_ROUTE_OTHER;
		return OK;
	}
	if (bucket->route_count == COHORT_ROUTES_MAX) {
		enum status status = evict_route(bucket);
		if (status != OK)
			return status;
	}
	char *copy = malloc(name.size + 1);
	struct tally_route *routes =
		realloc(bucket->routes, (bucket->route_count + 1) * sizeof *routes);
	if (routes != NULL)
		bucket->routes = routes;
	if (copy == NULL || routes == NULL) {
		free(copy);
		return ENOMEMORY;
	}
	if (name.size > 0)
		memcpy(copy, name.data, name.size);
	memmove(routes + at + 1, routes + at, (bucket->route_count - at) * sizeof *routes);
	routes[at] = (struct tally_route){hash, {copy, name.size}};
	bucket->route_count++;
	return OK;
}
