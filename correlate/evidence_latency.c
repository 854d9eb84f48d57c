#include "correlate/gate_private.h"

#include <assert.h>
#include <stdlib.h>

/* Routes of a session: what the baseline needed for them, by halves of an hour of event time, so
 * that an hour-old sketch goes away whole and adding one costs nothing. A route beyond
 * EVIDENCE_ROUTES_MAX is one of "*", as in the buckets. */

static int64_t block_of(int64_t start_us)
{
	int64_t block = start_us / GATE_LATENCY_BLOCK_US;
	return block - (start_us % GATE_LATENCY_BLOCK_US < 0);
}

static struct route_state *route_new(struct gate_evidence *evidence, struct text name)
{
	struct route_state *state = calloc(1, sizeof *state + name.size + 1);
	if (state == NULL)
		return NULL;
	state->name_size = name.size;
	if (name.size > 0)
		memcpy(state->name, name.data, name.size);
	state->block = INT64_MIN;
	HASH_ADD_KEYPTR(hh, evidence->routes, state->name, (unsigned)state->name_size, state);
	if (state->hh.tbl == NULL) {
		free(state);
		return NULL;
	}
	return state;
}

static struct route_state *route_find(const struct gate_evidence *evidence, struct text name)
{
	struct route_state *state = NULL;
	const char *data = name.size == 0 ? "" : name.data;
	HASH_FIND(hh, evidence->routes, data, (unsigned)name.size, state);
	return state;
}

struct route_state *evidence_route(struct gate_evidence *evidence, struct text name,
				   int64_t start_us)
{
	struct route_state *state = route_find(evidence, name);
	if (state == NULL && HASH_COUNT(evidence->routes) >= EVIDENCE_ROUTES_MAX) {
		name = TEXT("*");
		state = route_find(evidence, name);
	}
	if (state == NULL)
		state = route_new(evidence, name);
	if (state == NULL)
		return NULL;
	int64_t block = block_of(start_us);
	assert(state->block <= block);
	if (state->block < block) {
		bool follows = state->block != INT64_MIN && state->block + 1 == block;
		state->previous = follows ? state->current : (struct latency_sketch){0};
		state->current = (struct latency_sketch){0};
		state->block = block;
	}
	return state;
}
