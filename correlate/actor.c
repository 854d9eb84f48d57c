/* Feeding and folding. An epoch's records are folded in the order (time, origin, unit, bytes), so
 * that neither the interleaving of workers nor the number of actors shows in anything, not even in
 * alert ids. What a rule makes of an event is decided in window.c and episode.c. */
#include <assert.h>
#include <stdlib.h>

#include "correlate/actor_private.h"

enum { ARENA_BYTES_MAX = 1 << 30 };

enum status actor_new(const struct actor_options *options, struct actor **ret_actor,
		      struct error *err)
{
	assert(options->actor_count > 0 && options->index < options->actor_count);
	struct actor *actor cleanup(actor_free) = calloc(1, sizeof *actor);
	if (actor == NULL || (actor->arena = arena_new(ARENA_BYTES_MAX)) == NULL)
		return error_set(err, ENOMEMORY, "no memory for an actor");
	uint64_t cells_max = options->cells_max == 0 ? ACTOR_CELLS_MAX : options->cells_max;
	actor->plan = options->plan;
	actor->index = options->index;
	actor->actor_count = options->actor_count;
	actor->share = (cells_max + VIRTUAL_PARTITIONS - 1) / VIRTUAL_PARTITIONS;
	actor->watermark_us = INT64_MIN;
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
	for (size_t i = 0; i < partition->cells.capacity; i++) {
		struct cell *cell = partition->cells.slots[i].item;
		cell_free(&cell);
	}
	for (size_t i = 0; i < partition->quotas.capacity; i++)
		free(partition->quotas.slots[i].item);
	cells_done(&partition->cells);
	cells_done(&partition->quotas);
}

void actor_free(struct actor **actor)
{
	struct actor *freed = TAKE(*actor);
	if (freed == NULL)
		return;
	if (freed->arena != NULL)
		changes_clear(freed);
	chunks_free(freed);
	for (unsigned i = 0; i < VIRTUAL_PARTITIONS; i++)
		partition_done(&freed->partitions[i]);
	timers_done(&freed->timers);
	for (unsigned i = 0; i <= RULES_CHAIN_DEPTH_MAX; i++)
		timers_done(&freed->gates[i]);
	window_news_done(&freed->news);
	arena_free(&freed->arena);
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
	actor->fed[actor->fed_count++] = (struct fed){*record, raw};
	return OK;
}

enum status actor_feed(struct actor *actor, struct text records, struct error *err)
{
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

static int fed_compare(const void *a, const void *b)
{
	const struct fed *const *left_at = a;
	const struct fed *const *right_at = b;
	const struct fed *left = *left_at;
	const struct fed *right = *right_at;
	if (left->record.time_us != right->record.time_us)
		return left->record.time_us < right->record.time_us ? -1 : 1;
	int order = origin_compare(&left->record.origin, &right->record.origin);
	if (order != 0)
		return order;
	if (left->record.state_id != right->record.state_id)
		return left->record.state_id < right->record.state_id ? -1 : 1;
	return text_compare(left->raw, right->raw);
}

enum status cell_touch(struct actor *actor, struct cell *cell)
{
	if (cell->touched)
		return OK;
	if (actor->touched_count == actor->touched_capacity) {
		size_t capacity = actor->touched_capacity == 0 ? 64 : actor->touched_capacity * 2;
		struct cell **grown = realloc(actor->touched, capacity * sizeof(struct cell *));
		if (grown == NULL)
			return ENOMEMORY;
		actor->touched = grown;
		actor->touched_capacity = capacity;
	}
	actor->touched[actor->touched_count++] = cell;
	cell->touched = true;
	return OK;
}

/* What began to contribute goes into episodes, where the unit alerts. */
static enum status fold_episodes(struct actor *actor, struct cell *cell,
				 const struct match_record *like, uint64_t epoch)
{
	const struct window_news *news = &actor->news;
	bool opened = false;
	bool cut = news->degraded || (cell->trail != NULL && cell->trail->cut);
	for (size_t i = 0; i < news->contributed.count; i++) {
		const struct window_item *item = &news->contributed.items[i];
		unsigned flags = like->flags | item->flags;
		bool own = cell->gated != NULL && item->proof != NULL;
		struct opening opening = {
			.state_id = like->state_id,
			.tenant = like->tenant,
			.group = like->group,
			.origin = own ? &item->proof->evidence.origin : &like->origin,
			.time_us = cell->gated != NULL ? item->time_us : like->time_us,
			.epoch = epoch,
			.detail = news->detail,
			.flags = ((flags & RECORD_BACKFILL) != 0 ? ALERT_BACKFILL : 0u) |
				 (cell->unit->rule->shadow ? ALERT_SHADOW : 0u) |
				 (cell->quota->refused ? ALERT_DEGRADED : 0u),
			.join_flags = ((flags & RECORD_LATE) != 0 ? ALERT_LATE : 0u) |
				      (cut ? ALERT_DEGRADED : 0u) |
				      (news->approximate ? ALERT_APPROXIMATE : 0u),
		};
		enum status status = episodes_add(&cell->episodes, item->time_us, item->proof,
						  cell->unit->quiet_us, &opening);
		if (status != OK)
			return status;
		opened = opened || opening.opened;
	}
	if (opened)
		cell->quota->refused = false;
	return OK;
}

/* What began to fire goes to the unit's parents, as an event of its own time. */
static enum status fold_firings(struct actor *actor, const struct cell *cell,
				const struct match_record *like, const struct record_sink *exchange)
{
	for (size_t i = 0; i < actor->news.fired.count; i++) {
		const struct window_item *item = &actor->news.fired.items[i];
		struct match_record firing = *like;
		firing.time_us = item->time_us;
		/* An event of before the parent was there may have no proof: then this one stands.
		 */
		if (item->proof != NULL) {
			firing.origin = item->proof->evidence.origin;
			firing.context = item->proof->evidence.context;
		}
		enum status status = plan_route_firing(actor->plan, cell->unit, &firing, exchange);
		if (status != OK)
			return status;
	}
	return OK;
}

enum status fold_news(struct actor *actor, struct cell *cell, const struct match_record *like,
		      uint64_t epoch, const struct record_sink *exchange)
{
	enum status status = cell->unit->alerts ? fold_episodes(actor, cell, like, epoch) : OK;
	return status == OK ? fold_firings(actor, cell, like, exchange) : status;
}

static enum status fold_into(struct actor *actor, struct cell *cell,
			     const struct match_record *record, uint64_t epoch,
			     const struct record_sink *exchange)
{
	assert(cell->unit->state_id == record->state_id);
	struct evidence evidence = {record->origin, record->time_us, record->context};
	struct proof *proof cleanup(proof_release) = proof_new(&evidence);
	if (proof == NULL)
		return ENOMEMORY;
	window_news_clear(&actor->news);
	enum status status = cell_remember(actor, cell, record, proof);
	if (status == ECORRUPT) { /* of another shape of the rule: nothing to judge */
		actor->counters.unknown_state++;
		return cell_touch(actor, cell);
	}
	if (status == OK)
		status = cell->gated != NULL ? cell_gate(actor, cell)
					     : fold_news(actor, cell, record, epoch, exchange);
	return status == OK ? cell_touch(actor, cell) : status;
}

/* The first record of a group: a new cell, or ELIMIT when the tenant's share is used up. */
static enum status cell_admit(struct actor *actor, const struct unit *unit,
			      const struct match_record *record, struct cell **ret_cell)
{
	struct quota *quota = NULL;
	enum status status = quota_of(actor, record->state_id, record->virtual_partition,
				      record->tenant, &quota);
	if (status != OK)
		return status;
	if (quota->cells >= actor->share) {
		quota->refused = true;
		return ELIMIT;
	}
	return cell_new(actor, unit, quota, record, ret_cell);
}

static enum status fold(struct actor *actor, const struct match_record *record, uint64_t epoch,
			const struct record_sink *exchange)
{
	assert(record->virtual_partition % actor->actor_count == actor->index);
	const struct unit *unit = plan_find(actor->plan, record->state_id);
	if (unit == NULL) {
		actor->counters.unknown_state++;
		return OK;
	}
	bool missed =
		unit->gated ? (record->flags & RECORD_LATE) != 0 ||
				      time_passed(record->time_us, 0, actor->watermark_us)
			    : time_passed(record->time_us, unit->timespan_us, actor->watermark_us);
	if (missed) {
		actor->counters.late_dropped++;
		return OK;
	}
	struct cell_key key = record_cell_key(plan_hash_key(actor->plan), record->state_id,
					      record->tenant, record->group);
	struct partition *partition = &actor->partitions[record->virtual_partition];
	struct cell *cell = cells_find(&partition->cells, &key);
	enum status status = OK;
	if (cell == NULL)
		status = cell_admit(actor, unit, record, &cell);
	if (status == ELIMIT) {
		actor->counters.cells_refused++;
		return OK;
	}
	if (status != OK)
		return status;
	actor->counters.records++;
	if ((record->flags & RECORD_LATE) != 0)
		actor->counters.late_counted++;
	return fold_into(actor, cell, record, epoch, exchange);
}

static void order_free(struct fed ***order)
{
	free(*order);
	*order = NULL;
}

enum status actor_round(struct actor *actor, uint64_t epoch, int64_t watermark_us,
			const struct record_sink *exchange, struct error *err)
{
	if (actor->fed_count > 0) {
		struct fed **order cleanup(order_free) =
			calloc(actor->fed_count, sizeof(struct fed *));
		if (order == NULL)
			return error_set(err, ENOMEMORY, "no memory to order match records");
		for (size_t i = 0; i < actor->fed_count; i++)
			order[i] = &actor->fed[i];
		qsort(order, actor->fed_count, sizeof *order, fed_compare);
		for (size_t i = 0; i < actor->fed_count; i++)
			if (fold(actor, &order[i]->record, epoch, exchange) != OK)
				return error_set(err, ENOMEMORY, "no memory to correlate");
	}
	actor->rounds++;
	assert(actor->rounds <= RULES_CHAIN_DEPTH_MAX);
	if (gates_open(actor, actor->rounds, epoch, watermark_us, exchange) != OK)
		return error_set(err, ENOMEMORY, "no memory to decide what has passed");
	window_news_clear(&actor->news);
	chunks_free(actor);
	return OK;
}

struct actor_counters actor_counters(const struct actor *actor)
{
	return actor->counters;
}
