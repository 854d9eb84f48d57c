/* Folding: what an epoch's records make of the cells. They are folded in the order (time, origin,
 * unit, bytes), so that neither the interleaving of workers nor the number of actors shows in
 * anything, not even in alert ids. What a rule makes of an event is decided in window.c, trail.c,
 * gated.c and episode.c.
 *
 * With millions of groups nothing of a cell is in any cache when its record comes: its slot in the
 * table, the cell, and what it remembers are three trips to memory, each waiting for the one
 * before, and each begins with finding the page (with small pages that is half of the time). So
 * records are folded in batches, stage by stage: the slots of all of them are asked for, then all
 * cells, then what these remember. Memory and the page tables work on several requests at once as
 * long as nothing else stands between them. Between close and close no cell is freed: a cell that
 * was found ahead is still there. */
#include <assert.h>
#include <stdlib.h>

#include "correlate/actor_private.h"

enum { FOLD_BATCH = 32 };

/* A record's place in the order: the time is enough to compare most of them. */
struct place {
	int64_t time_us;
	struct fed *fed;
};

static void order_free(struct place **order)
{
	free(*order);
	*order = NULL;
}

static int place_compare(const void *a, const void *b)
{
	const struct place *left_place = a;
	const struct place *right_place = b;
	if (left_place->time_us != right_place->time_us)
		return left_place->time_us < right_place->time_us ? -1 : 1;
	const struct fed *left = left_place->fed;
	const struct fed *right = right_place->fed;
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
	cell_mark_changed(actor, cell);
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
	cell->used = true;
	return OK;
}

/* What began to contribute goes into episodes, where the unit alerts. */
static enum status fold_episodes(struct actor *actor, struct cell *cell,
				 const struct match_record *like, uint64_t epoch)
{
	const struct window_news *news = &actor->news;
	bool opened = false;
	bool cut = news->degraded || (cell_trail(cell) != NULL && cell->trail->cut);
	for (size_t i = 0; i < news->contributed.count; i++) {
		const struct window_item *item = &news->contributed.items[i];
		unsigned flags = like->flags | item->flags;
		bool own = cell_gated(cell) != NULL && item->proof != NULL;
		uint64_t marks[BREAKS_OF_EVENT_MAX];
		size_t mark_count = item->proof == NULL
					    ? 0
					    : breaks_of(cell->unit->rule, &actor->plan->key,
							item->proof->evidence.context, marks);
		struct opening opening = {
			.state_id = like->state_id,
			.tenant = like->tenant,
			.group = like->group,
			.origin = own ? &item->proof->evidence.origin : &like->origin,
			.time_us = cell_gated(cell) != NULL ? item->time_us : like->time_us,
			.epoch = epoch,
			.further = item->further,
			.marks = marks,
			.mark_count = mark_count,
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

/* What it has to say to single cells of the unit above. */
static enum status fold_answers(struct actor *actor, const struct cell *cell,
				const struct match_record *like, const struct record_sink *exchange)
{
	enum status status = OK;
	for (size_t i = 0; status == OK && i < actor->news.answers.count; i++)
		status = plan_route_answer(actor->plan, cell->unit, like,
					   &actor->news.answers.items[i], exchange);
	return status;
}

enum status fold_news(struct actor *actor, struct cell *cell, const struct match_record *like,
		      uint64_t epoch, const struct record_sink *exchange)
{
	enum status status = cell->unit->alerts ? fold_episodes(actor, cell, like, epoch) : OK;
	if (status == OK && cell->unit->judged == JUDGED_PEERS)
		return fold_answers(actor, cell, like, exchange);
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
		status = cell_gated(cell) != NULL ? cell_gate(actor, cell)
						  : fold_news(actor, cell, record, epoch, exchange);
	return status == OK ? cell_touch(actor, cell) : status;
}

/* Told once until the quota has room again: by alert, and as the refusal of this epoch. */
static enum status quota_refuse(struct actor *actor, const struct unit *unit, struct quota *quota)
{
	quota->refused = true;
	if (quota->told || actor->refusal_count == ACTOR_REFUSALS_MAX)
		return ELIMIT;
	struct text tenant = arena_copy(actor->arena, quota->tenant);
	if (tenant.data == NULL && quota->tenant.size > 0)
		return ENOMEMORY;
	quota->told = true;
	actor->refusals[actor->refusal_count++] = (struct refusal){unit, tenant};
	return ELIMIT;
}

/* The first record of a group: a new cell, or ELIMIT when the tenant's share is used up. */
static enum status cell_admit(struct actor *actor, const struct fed *fed, struct cell **ret_cell)
{
	const struct match_record *record = &fed->record;
	struct quota *quota = NULL;
	enum status status = quota_of(actor, record->state_id, record->virtual_partition,
				      record->tenant, &quota);
	if (status != OK)
		return status;
	if (quota->cells >= actor->share)
		return quota_refuse(actor, fed->unit, quota);
	const struct newcomer newcomer = {fed->unit, quota, fed->key, record->group};
	return cell_new(actor, &newcomer, ret_cell);
}

/* Fills in what the fed record is for; the unit stays NULL when nobody wants it any more. */
static void fed_address(struct actor *actor, struct fed *fed)
{
	const struct match_record *record = &fed->record;
	assert(record->virtual_partition % actor->actor_count == actor->index);
	const struct unit *unit = plan_find(actor->plan, record->state_id);
	if (unit == NULL) {
		actor->counters.unknown_state++;
		return;
	}
	bool missed =
		unit->gated ? (record->flags & RECORD_LATE) != 0 ||
				      time_passed(record->time_us, 0, actor->watermark_us)
			    : time_passed(record->time_us, unit->timespan_us, actor->watermark_us);
	if (missed) {
		actor->counters.late_dropped++;
		return;
	}
	fed->unit = unit;
	fed->key = (record->flags & RECORD_ANSWER) != 0
			   ? record_answered(record)
			   : record_cell_key(plan_hash_key(actor->plan), record->state_id,
					     record->tenant, record->group);
}

static void fed_prefetch(const struct actor *actor, const struct fed *fed)
{
	if (fed->unit != NULL)
		cells_prefetch(&actor->partitions[fed->record.virtual_partition].cells, &fed->key);
}

static void fed_find(const struct actor *actor, struct fed *fed)
{
	if (fed->unit == NULL)
		return;
	fed->cell = cells_find(&actor->partitions[fed->record.virtual_partition].cells, &fed->key);
	if (fed->cell != NULL)
		cell_prefetch(fed->cell);
}

struct fold_to {
	uint64_t epoch;
	const struct record_sink *exchange;
};

static enum status fold(struct actor *actor, struct fed *fed, const struct fold_to *to)
{
	const struct match_record *record = &fed->record;
	if (fed->unit == NULL)
		return OK;
	if (fed->cell == NULL) /* perhaps a record just before made it */
		fed->cell =
			cells_find(&actor->partitions[record->virtual_partition].cells, &fed->key);
	bool answers = (record->flags & RECORD_ANSWER) != 0;
	if (answers && (fed->cell == NULL || fed->cell->unit != fed->unit))
		return OK; /* nobody asks: the cell was refused, or is not warmed here */
	enum status status = OK;
	if (fed->cell == NULL)
		status = cell_admit(actor, fed, &fed->cell);
	if (status == ELIMIT) {
		actor->counters.cells_refused++;
		return OK;
	}
	if (status == OK)
		status = cell_thaw(actor, fed->cell);
	if (status != OK)
		return status;
	actor->counters.records++;
	if ((record->flags & RECORD_LATE) != 0)
		actor->counters.late_counted++;
	return fold_into(actor, fed->cell, record, to->epoch, to->exchange);
}

/* Some records that follow each other. */
static enum status fold_batch(struct actor *actor, const struct place *places, size_t count,
			      const struct fold_to *to)
{
	for (size_t i = 0; i < count; i++)
		fed_address(actor, places[i].fed);
	for (size_t i = 0; i < count; i++)
		fed_prefetch(actor, places[i].fed);
	for (size_t i = 0; i < count; i++)
		fed_find(actor, places[i].fed);
	for (size_t i = 0; i < count; i++)
		if (places[i].fed->cell != NULL)
			cell_prefetch_memory(places[i].fed->cell);
	for (size_t i = 0; i < count; i++)
		if (places[i].fed->cell != NULL)
			cell_prefetch_ends(places[i].fed->cell);
	enum status status = OK;
	for (size_t i = 0; status == OK && i < count; i++)
		status = fold(actor, places[i].fed, to);
	return status;
}

enum status fold_fed(struct actor *actor, uint64_t epoch, const struct record_sink *exchange)
{
	size_t count = actor->fed_count;
	struct place *order cleanup(order_free) = calloc(count, sizeof *order);
	if (order == NULL)
		return ENOMEMORY;
	bool sorted = true;
	for (size_t i = 0; i < count; i++) {
		order[i] = (struct place){actor->fed[i].record.time_us, &actor->fed[i]};
		sorted = sorted && (i == 0 || place_compare(&order[i - 1], &order[i]) <= 0);
	}
	if (!sorted)
		qsort(order, count, sizeof *order, place_compare);
	const struct fold_to to = {epoch, exchange};
	enum status status = OK;
	for (size_t first = 0; status == OK && first < count; first += FOLD_BATCH) {
		size_t left = count - first;
		status = fold_batch(actor, &order[first], left < FOLD_BATCH ? left : FOLD_BATCH,
				    &to);
	}
	return status;
}
