/* Deciding: what the watermark has passed, in order of time and then of the cell.
 *
 * A gated rule of depth n may be fed by rules of smaller depth, whose firings have all come when
 * the n-th round of the epoch has been folded; so that is when its cells are decided, up to the
 * watermark with which the epoch will be closed. A firing is never older than the watermark of the
 * epoch before, so no parent, eager or gated, finds it late. The order in which cells are decided
 * does not show: each decides for itself, and what they fire is sorted again before it is folded.
 */
#include <assert.h>

#include "correlate/actor_private.h"

static enum status gate_decide(struct actor *actor, struct cell *cell, uint64_t epoch,
			       int64_t watermark_us, const struct record_sink *exchange)
{
	const struct match_record like = {
		.virtual_partition = cell->virtual_partition,
		.state_id = cell->unit->state_id,
		.tenant = cell->tenant,
		.group = cell->group,
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

enum status gates_open(struct actor *actor, unsigned depth, uint64_t epoch, int64_t watermark_us,
		       const struct record_sink *exchange)
{
	static_assert(offsetof(struct gated, gate) == 0);
	struct timers *gates = &actor->gates[depth];
	struct timer *due = timers_first(gates);
	enum status status = OK;
	if (watermark_us < actor->watermark_us)
		watermark_us = actor->watermark_us;
	while (status == OK && due != NULL && time_passed(due->at_us, 0, watermark_us)) {
		struct gated *gated = (struct gated *)(void *)due;
		status = gate_decide(actor, gated->owner, epoch, watermark_us, exchange);
		assert(status != OK || gated->gate.place == 0 || watermark_us == INT64_MAX ||
		       !time_passed(gated->gate.at_us, 0, watermark_us));
		due = timers_first(gates);
	}
	return status;
}
