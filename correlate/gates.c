/* Deciding: what the watermark has passed, in order of time and then of the cell.
 *
 * A gated rule of depth n may be fed by rules of smaller depth, whose firings have all come when
 * the n-th round of the epoch has been folded; so that is when its cells are decided, up to the
 * watermark with which the epoch will be closed. A firing is never older than the watermark of the
 * epoch before, so no parent, eager or gated, finds it late. The order in which cells are decided
 * does not show: each decides for itself, and what they fire is sorted again before it is folded.
 */
#include <assert.h>

#include "correlate/absence.h"
#include "correlate/actor_private.h"

enum { GATES_BATCH = 32 };

/* The cell of one member of the unit's list, unless it is somebody else's. */
static enum status member_watch(struct actor *actor, const struct unit *unit, struct text member)
{
	const struct hash_key *key = plan_hash_key(actor->plan);
	struct bytes group cleanup(bytes_done) = {0};
	bytes_put_text(&group, member);
	if (bytes_status(&group) != OK)
		return ENOMEMORY;
	struct match_record record = {
		.state_id = unit->state_id, .tenant = TEXT(""), .group = bytes_text(&group)};
	record.virtual_partition = virtual_partition_of(key, record.tenant, record.group);
	struct cell_key cell_key =
		record_cell_key(key, record.state_id, record.tenant, record.group);
	struct partition *partition = &actor->partitions[record.virtual_partition];
	if (record.virtual_partition % actor->actor_count != actor->index)
		return OK;
	struct quota *quota = NULL;
	struct cell *cell = cells_find(&partition->cells, &cell_key);
	enum status status = OK;
	if (cell == NULL) {
		status = quota_of(actor, record.state_id, record.virtual_partition, record.tenant,
				  &quota);
		const struct newcomer newcomer = {unit, quota, cell_key, record.group};
		if (status == OK)
			status = cell_new(actor, &newcomer, &cell);
	}
	if (status == OK)
		status = absence_watch(cell->gated, actor->watermark_us);
	if (status == OK)
		status = cell_gate(actor, cell);
	return status == OK ? cell_touch(actor, cell) : status;
}

/* Cells that came from a checkpoint may be of members that are on the list no more. */
static void members_release(struct actor *actor)
{
	for (unsigned i = 0; i < VIRTUAL_PARTITIONS; i++) {
		const struct cells *cells = &actor->partitions[i].cells;
		for (size_t k = 0; k < cells->capacity; k++) {
			struct cell *cell = cells->slots[k].item;
			if (cell != NULL && cell->unit->judged == JUDGED_ABSENCE &&
			    cell->tier == TIER_LIVE) {
				absence_release(cell->gated);
				cell_mark_changed(actor, cell);
			}
		}
	}
}

/* From the first epoch on in which the time is known: before, nobody can be late. */
static enum status members_watch(struct actor *actor)
{
	enum status status = OK;
	if (actor->members_watched || actor->watermark_us == INT64_MIN ||
	    actor->watermark_us == INT64_MAX)
		return OK;
	members_release(actor);
	for (size_t u = 0; status == OK && u < plan_unit_count(actor->plan); u++) {
		const struct unit *unit = plan_unit(actor->plan, u);
		const struct absence_terms *terms =
			unit->judged == JUDGED_ABSENCE ? unit->rule->correlation->absence : NULL;
		for (size_t i = 0; status == OK && terms != NULL && i < terms->member_count; i++)
			status = member_watch(actor, unit, terms->members[i]);
	}
	actor->members_watched = true;
	return status;
}

static enum status gate_decide(struct actor *actor, struct cell *cell, uint64_t epoch,
			       int64_t watermark_us, const struct record_sink *exchange)
{
	const struct match_record like = {
		.virtual_partition = cell->quota->virtual_partition,
		.state_id = cell->unit->state_id,
		.tenant = cell->quota->tenant,
		.group = cell_group(cell),
	};
	window_news_clear(&actor->news);
	enum status status = machine_of(cell->unit)
				     ->advance(cell->gated, cell->unit, watermark_us, &actor->news);
	if (status == OK)
		status = fold_news(actor, cell, &like, epoch, exchange);
	if (status == OK)
		status = cell_touch(actor, cell);
	return status == OK ? cell_gate(actor, cell) : status;
}

/* Takes so many gates at most that the watermark has passed, and asks for what lies behind them all
 * at once (fold.c): their cells were last looked at an epoch ago or longer. */
static size_t gates_take(struct timers *gates, int64_t watermark_us, struct gated *due[GATES_BATCH])
{
	static_assert(offsetof(struct gated, gate) == 0);
	size_t count = 0;
	struct timer *gate = NULL;
	while (count < GATES_BATCH && (gate = timers_take(gates, watermark_us)) != NULL)
		due[count++] = (struct gated *)(void *)gate;
	for (size_t i = 0; i < count; i++) {
		cell_prefetch(due[i]->owner);
		__builtin_prefetch(due[i]->entries);
		__builtin_prefetch(due[i]->memory);
	}
	for (size_t i = 0; i < count; i++)
		if (due[i]->count > 0)
			__builtin_prefetch(due[i]->entries[0].proof, 1);
	return count;
}

enum status gates_open(struct actor *actor, unsigned depth, uint64_t epoch, int64_t watermark_us,
		       const struct record_sink *exchange)
{
	struct timers *gates = &actor->gates[depth];
	struct gated *due[GATES_BATCH];
	enum status status = depth == 1 ? members_watch(actor) : OK;
	if (watermark_us < actor->watermark_us)
		watermark_us = actor->watermark_us;
	size_t count = status == OK ? gates_take(gates, watermark_us, due) : 0;
	while (status == OK && count > 0) {
		for (size_t i = 0; status == OK && i < count; i++) {
			status = gate_decide(actor, due[i]->owner, epoch, watermark_us, exchange);
			assert(status != OK || due[i]->gate.place == 0 ||
			       watermark_us == INT64_MAX ||
			       !time_passed(due[i]->gate.at_us, 0, watermark_us));
		}
		count = status == OK ? gates_take(gates, watermark_us, due) : 0;
	}
	return status;
}
