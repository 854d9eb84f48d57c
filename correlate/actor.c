/* An actor from its beginning to its end, and what it is fed. */
#include <assert.h>
#include <stdlib.h>

#include "correlate/actor_private.h"

enum { ARENA_BYTES_MAX = 1 << 30 };

enum status actor_new(const struct actor_options *options, struct actor **ret_actor,
		      struct error *err)
{
	assert(options->actor_count > 0 && options->index < options->actor_count);
	struct actor *actor cleanup(actor_free) = calloc(1, sizeof *actor);
	if (actor == NULL)
		return error_set(err, ENOMEMORY, "no memory for an actor");
	actor->index = options->index;
	actor->actor_count = options->actor_count;
	if ((actor->arena = arena_new(ARENA_BYTES_MAX)) == NULL)
		return error_set(err, ENOMEMORY, "no memory for an actor");
	uint64_t cells_max = options->cells_max == 0 ? ACTOR_CELLS_MAX : options->cells_max;
	actor->plan = options->plan;
	actor->share = (cells_max + VIRTUAL_PARTITIONS - 1) / VIRTUAL_PARTITIONS;
	actor->watermark_us = INT64_MIN;
	deadlines_init(&actor->deadlines);
	actor->memory_max = actor->relief_at = options->memory_max;
	actor->spill = options->spill;
	actor->refusals = calloc(ACTOR_REFUSALS_MAX, sizeof *actor->refusals);
	if (actor->refusals == NULL)
		return error_set(err, ENOMEMORY, "no memory for an actor");
	*ret_actor = TAKE(actor);
	return OK;
}

static void chunks_free(struct actor *actor)
{
	while (actor->chunks != NULL) {
		struct chunk *next = actor->chunks->next;
		free(actor->chunks);
		actor->chunks = next;
	}
	actor->fed_count = 0;
}

static void partition_done(struct partition *partition)
{
	/* No cell, which would have a quota, no room for one, and nothing noted of one. */
	if (partition->quotas.capacity == 0 && partition->saved.dropped.capacity == 0 &&
	    partition->cells.capacity == 0)
		return;
	for (size_t i = 0; i < partition->cells.capacity; i++) {
		struct cell *cell = partition->cells.slots[i].item;
		cell_free(&cell);
	}
	for (size_t i = 0; i < partition->quotas.capacity; i++)
		free(partition->quotas.slots[i].item);
	cells_done(&partition->cells);
	cells_done(&partition->quotas);
	saved_done(&partition->saved);
}

void actor_free(struct actor **actor)
{
	struct actor *freed = TAKE(*actor);
	if (freed == NULL)
		return;
	if (freed->arena != NULL)
		changes_clear(freed);
	chunks_free(freed);
	for (struct cell *cell = deadlines_take_any(&freed->deadlines); cell != NULL;
	     cell = deadlines_take_any(&freed->deadlines))
		if (--cell->deadlines == 0 && cell->quota == NULL)
			cell_free(&cell);
	deadlines_done(&freed->deadlines);
	for (unsigned i = freed->index; i < VIRTUAL_PARTITIONS; i += freed->actor_count)
		partition_done(&freed->partitions[i]);
	for (unsigned i = 0; i <= RULES_CHAIN_DEPTH_MAX; i++)
		timers_done(&freed->gates[i]);
	window_news_done(&freed->news);
	judge_done(&freed->judge);
	arena_free(&freed->arena);
	bytes_done(&freed->thawing);
	free(freed->refusals);
	free(freed->changes);
	free(freed->touched);
	free(freed->fed);
	free(freed);
}

static enum status fed_push(struct actor *actor, const struct match_record *record, struct text raw)
{
	if (actor->fed_count == actor->fed_capacity) {
		size_t capacity = actor->fed_capacity == 0 ? 256 : actor->fed_capacity * 2;
		struct fed *grown = realloc(actor->fed, capacity * sizeof *grown);
		if (grown == NULL)
			return ENOMEMORY;
		actor->fed = grown;
		actor->fed_capacity = capacity;
	}
	actor->fed[actor->fed_count++] = (struct fed){.record = *record, .raw = raw};
	return OK;
}

enum status actor_feed(struct actor *actor, struct text records, struct error *err)
{
	if (actor->rounds == 0)
		changes_clear(actor);
	if (records.size == 0)
		return OK;
	struct chunk *chunk = malloc(sizeof *chunk + records.size);
	if (chunk == NULL)
		return error_set(err, ENOMEMORY, "no memory for match records");
	memcpy(chunk->data, records.data, records.size);
	chunk->size = records.size;
	chunk->next = actor->chunks;
	actor->chunks = chunk;
	size_t count_before = actor->fed_count;
	struct cursor from = cursor_of((struct text){chunk->data, chunk->size});
	while (cursor_left(&from) > 0) {
		const char *start = (const char *)from.at;
		struct match_record record;
		enum status status = record_decode(&from, &record, err);
		struct text raw = {start, (size_t)((const char *)from.at - start)};
		if (status == OK && record.virtual_partition % actor->actor_count == actor->index)
			status = fed_push(actor, &record, raw);
		if (status != OK) { /* all of it or nothing */
			actor->fed_count = count_before;
			return status;
		}
	}
	return OK;
}

enum status actor_failed(const struct actor *actor, enum status status, const char *missing_for,
			 struct error *err)
{
	if (status == ENOMEMORY || actor->problem.text[0] == '\0')
		return error_set(err, status, "no memory %s", missing_for);
	return error_set(err, status, "%s", actor->problem.text);
}

enum status actor_round(struct actor *actor, uint64_t epoch, int64_t watermark_us,
			const struct record_sink *exchange, struct error *err)
{
	if (actor->rounds == 0) { /* nobody looks at what the epoch before changed any more */
		changes_clear(actor);
		tiers_relieve(actor);
	}
	enum status status = actor->fed_count > 0 ? fold_fed(actor, epoch, exchange) : OK;
	if (status != OK)
		return actor_failed(actor, status, "to correlate", err);
	actor->rounds++;
	assert(actor->rounds <= RULES_CHAIN_DEPTH_MAX);
	status = gates_open(actor, actor->rounds, epoch, watermark_us, exchange);
	if (status != OK)
		return actor_failed(actor, status, "to decide what has passed", err);
	window_news_clear(&actor->news);
	chunks_free(actor);
	return OK;
}

struct actor_counters actor_counters(const struct actor *actor)
{
	return actor->counters;
}

/* By way of the quotas: there is one for each unit and tenant, not one for each cell. */
void actor_count_cells(const struct actor *actor, uint64_t *counts)
{
	for (size_t i = 0; i < VIRTUAL_PARTITIONS; i++) {
		const struct cells *quotas = &actor->partitions[i].quotas;
		for (size_t k = 0; k < quotas->capacity; k++) {
			const struct quota *quota = quotas->slots[k].item;
			const struct unit *unit =
				quota == NULL ? NULL : plan_find(actor->plan, quota->state_id);
			if (unit != NULL)
				counts[unit - actor->plan->units] += quota->cells;
		}
	}
}

const struct refusal *actor_refusals(const struct actor *actor, size_t *ret_count)
{
	*ret_count = actor->refusal_count;
	return actor->refusals;
}
