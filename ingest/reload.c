/* Another rule set while the engine runs, with the bindings and the privacy of the same moment:
 * swapped whole, between two epochs.
 *
 *   runtime_swap()   makes the plan, and waits until the committer has taken the new set
 *   committer        tells the workers to close epoch E, makes E a checkpoint, and fixes that E + 1
 *                    is matched with the new set
 *   worker           closes E with the old set and opens E + 1 with a matcher of the new one
 *   shard            folds E with the old plan, ends the alerts of rules that are gone, writes its
 *                    cells, and becomes what a start from these cells under the new plan would make
 *   committer        commits E: what the old set said, the cells, and the hash of the new set
 *
 * A rule whose state is new is warmed from the store first (warm.h): most of it is read before the
 * swap, the rest when E is committed, while the shards wait with E + 1 (reload_warm.c).
 *
 * So a swap is a restart of the correlation without the restart: a rule whose state id is the same
 * (docs/CORRELATION.md) goes on, with another threshold if it has one; one that is gone takes its
 * cells with it; a new one has what it would have. Since E is a checkpoint, no replay ever crosses
 * a swap: after a crash the match rows behind the checkpoint are all of one set.
 *
 * One swap at a time: the next waits until E is committed, and so does freeing the old set. */
#include <assert.h>
#include <stdlib.h>
#include <time.h>

#include "ingest/runtime_private.h"
#include "ingest/spill_rows.h"
#include "ingest/warm.h"

enum { SWAP_WAIT_SECONDS = 30 };

/* They are handed out as const, but whoever took them may free them. */
void generation_parts_free(struct generation_parts *parts)
{
	struct ruleset *ruleset = (struct ruleset *)parts->ruleset;
	struct bindings *bindings = (struct bindings *)parts->bindings;
	struct privacy *privacy = (struct privacy *)parts->privacy;
	if (ruleset != NULL)
		ruleset_free(&ruleset);
	bindings_free(&bindings);
	privacy_free(&privacy);
	*parts = (struct generation_parts){0};
}

enum status generation_new(const struct generation_parts *parts, bool owned,
			   const struct hash_key *key, struct generation **ret_generation,
			   struct error *err)
{
	struct generation *generation = calloc(1, sizeof *generation);
	struct generation_parts own = *parts;
	assert(parts->ruleset != NULL);
	if (generation == NULL) {
		if (owned)
			generation_parts_free(&own);
		return error_set(err, ENOMEMORY, "no memory for a rule set");
	}
	atomic_init(&generation->references, 1);
	generation->parts = own;
	generation->owned = owned;
	generation->hash = ruleset_hash(own.ruleset);
	enum status status = plan_new(own.ruleset, key, &generation->plan, err);
	if (status == OK)
		*ret_generation = TAKE(generation);
	generation_drop(&generation);
	return status;
}

struct generation *generation_hold(struct generation *generation)
{
	unsigned before = atomic_fetch_add(&generation->references, 1);
	assert(before > 0);
	(void)before;
	return generation;
}

void generation_drop(struct generation **generation)
{
	struct generation *old = TAKE(*generation);
	if (old == NULL || atomic_fetch_sub(&old->references, 1) != 1)
		return;
	warming_free(&old->warming); /* refers to the plan */
	free(old->cold);
	if (old->plan != NULL)
		plan_free(&old->plan);
	if (old->owned)
		generation_parts_free(&old->parts);
	free(old);
}

struct unit_filter generation_cold(const struct generation *generation)
{
	return (struct unit_filter){.ids = generation->cold, .count = generation->cold_count};
}

bool generation_warms(const struct generation *generation, const struct rule *rule)
{
	const struct unit_filter cold = generation_cold(generation);
	const struct unit *unit = plan_unit_of(generation->plan, rule);
	return unit != NULL && unit->depth > 0 && unit_filter_takes(&cold, unit->state_id);
}

struct generation *runtime_rules(struct runtime *runtime)
{
	(void)pthread_mutex_lock(&runtime->gate.mutex);
	struct generation *current = generation_hold(runtime->gate.current);
	(void)pthread_mutex_unlock(&runtime->gate.mutex);
	return current;
}

void epoch_gate_begin(struct epoch_gate *gate, uint64_t committed)
{
	gate->closing = gate->committed = committed;
	gate->rules[epoch_slot(committed + 1)] = gate->current;
}

bool epoch_gate_wants_swap(const struct epoch_gate *gate)
{
	return gate->pending != NULL && gate->retired == NULL;
}

void epoch_gate_plan(struct epoch_gate *gate, uint64_t closing)
{
	if (epoch_gate_wants_swap(gate)) {
		gate->retired = gate->current;
		gate->retired_after = closing;
		gate->current = TAKE(gate->pending);
		gate->swapped_epoch = closing + 1;
		(void)pthread_cond_broadcast(&gate->changed);
	}
	gate->rules[epoch_slot(closing + 1)] = gate->current;
}

void epoch_gate_committed(struct epoch_gate *gate, uint64_t epoch)
{
	struct generation *gone = NULL;
	(void)pthread_mutex_lock(&gate->mutex);
	gate->committed++;
	if (gate->retired != NULL && epoch >= gate->retired_after) {
		gone = TAKE(gate->retired);
		(void)pthread_cond_broadcast(&gate->changed);
	}
	(void)pthread_mutex_unlock(&gate->mutex);
	generation_drop(&gone); /* outside: freeing thousands of rules takes a while */
}

/* Under the gate's mutex: waits until the pending set was taken, by the clock of the machine. */
static enum status swap_wait(struct runtime *runtime, struct error *err)
{
	struct epoch_gate *gate = &runtime->gate;
	int64_t now_us = runtime->options.clock.now_us(runtime->options.clock.context);
	struct timespec until = {.tv_sec = now_us / 1000000 + SWAP_WAIT_SECONDS};
	int waited = 0;
	while (gate->pending != NULL && waited == 0 && !gate->failed && gate->final == 0)
		waited = pthread_cond_timedwait(&gate->changed, &gate->mutex, &until);
	if (gate->pending == NULL)
		return OK;
	if (gate->failed || gate->final != 0)
		return error_set(err, ECLOSED,
				 "the engine has stopped; the rules stay as they are");
	return error_set(err, EUNAVAILABLE,
			 "nothing was committed for %d s, so the rules stay as they are; see "
			 "picket status",
			 SWAP_WAIT_SECONDS);
}

enum status runtime_swap(struct runtime *runtime, struct generation_parts *parts,
			 uint64_t *ret_epoch, struct error *err)
{
	struct epoch_gate *gate = &runtime->gate;
	struct generation *next = NULL;
	enum status status = generation_new(parts, true, &runtime->hash_key, &next, err);
	*parts = (struct generation_parts){0};
	if (status != OK)
		return status;
	warm_begin(runtime, next);
	struct generation *own cleanup(generation_drop) = generation_hold(next);
	(void)pthread_mutex_lock(&gate->mutex);
	if (gate->pending != NULL) {
		status = error_set(err, EINUSE, "another reload is under way");
	} else {
		gate->pending = TAKE(next);
		status = swap_wait(runtime, err);
		if (status == OK)
			*ret_epoch = gate->swapped_epoch;
		else
			next = TAKE(gate->pending);
	}
	(void)pthread_mutex_unlock(&gate->mutex);
	generation_drop(&next);
	if (status == OK)
		warm_finish(runtime, own);
	else
		warm_over(runtime);
	return status;
}

enum status worker_switch(struct worker *worker, struct generation *next, struct error *err)
{
	if (next == worker->rules)
		return OK;
	enum status status = detect_switch(worker->detect, &next->parts, next->plan, err);
	if (status != OK)
		return status;
	worker->told = (struct told){0}; /* its marks are made of rule indexes */
	rule_watch_done(&worker->watch); /* and so is what it has told */
	generation_drop(&worker->rules);
	worker->rules = generation_hold(next);
	return OK;
}

static void actor_done(struct actor **actor)
{
	actor_free(actor);
}

enum status shard_switch(struct shard *shard, struct generation *next, struct error *err)
{
	if (next == shard->rules)
		return OK;
	unsigned count = shard->runtime->options.actor_count;
	struct spill_rows *spill cleanup(spill_rows_free) = NULL; /* behind the actor's end */
	struct actor *actor cleanup(actor_done) = NULL;
	struct bytes cells cleanup(bytes_done) = {0};
	enum status status = shard_actor_new(shard, next->plan, &actor, &spill, err);
	for (unsigned i = shard->index; status == OK && i < VIRTUAL_PARTITIONS; i += count) {
		bytes_clear(&cells);
		status = actor_checkpoint(shard->actor, (uint8_t)i, &cells);
		if (status == OK)
			status = actor_restore(actor, bytes_text(&cells), err);
	}
	if (status == OK)
		status = warm_take(shard, next, actor, err);
	if (status != OK)
		return error_wrap(err, status, "taking over the state of the rules before");
	shard_keep_counters(shard);
	actor_free(&shard->actor);
	spill_rows_free(&shard->spill);
	shard->actor = TAKE(actor);
	shard->spill = TAKE(spill);
	generation_drop(&shard->rules);
	shard->rules = generation_hold(next);
	return OK;
}
