/* Three places for what a cell remembers, from fast to small:
 *
 *   live     the structures that window.c, trail.c, gated.c and episode.c work on
 *   packed   the bytes that a checkpoint has for it, in memory: about a third
 *   spilled  the same bytes with somebody else (spill.h); here stays what finds the cell again
 *
 * A cell is thawed when a record comes for its group, when its deadline comes, or when its alerts
 * are listed, and goes on exactly as it was: restoring it from its bytes is what a restart does for
 * every cell, and a restart changes nothing (tests/correlate/stream_check.h shows that for every
 * type). So tiers change how long a record takes and how much memory it needs, never what is said.
 *
 * Who goes is decided by a clock hand (second chance: Corbato, "A paging experiment with the
 * Multics system", 1968): when the cells take more than memory_max, the hand passes over the tables
 * and takes from each cell one thing: the mark that it was used since the hand came by, then its
 * live memory, then its bytes. It stops at seven eighths. A flood of groups that come once is cold
 * first, whoever sends it. When three turns were not enough, because all that may go has gone, the
 * hand rests until a sixteenth more has come: what remains is bounded by cells_max.
 *
 * A gated cell that has something to decide stays live: its gate points to it. So do all absence
 * cells, which always wait. */
#include <assert.h>
#include <stdlib.h>

#include "correlate/actor_private.h"

enum { SPILL_BATCH = 256, HAND_TURNS = 3 };

static void packed_free(struct packed **packed)
{
	free(*packed);
	*packed = NULL;
}

enum status cell_thaw(struct actor *actor, struct cell *cell)
{
	if (cell->tier == TIER_LIVE)
		return OK;
	struct packed *packed cleanup(packed_free) = NULL;
	struct text bytes = {0};
	enum status status = OK;
	if (cell->tier == TIER_SPILLED) {
		status = actor->spill->fetch(actor->spill->context, &cell->key, &actor->thawing,
					     &actor->problem);
		bytes = bytes_text(&actor->thawing);
	} else {
		packed = cell->packed;
		bytes = (struct text){(const char *)packed->bytes, packed->size};
	}
	if (status != OK)
		return status;
	*(cell->tier == TIER_SPILLED ? &actor->counters.cells_spilled
				     : &actor->counters.cells_packed) -= 1;
	if (cell->tier == TIER_SPILLED) {
		actor->counters.spill_reads++;
		actor->spill->drop(actor->spill->context, &cell->key);
	}
	struct cursor from = cursor_of(bytes);
	status = cell_memory_new(cell);
	if (status == OK)
		status = cell_memory_decode(&from, cell);
	if (status == ECORRUPT)
		return error_set(&actor->problem, status, "a cell that was spilled is damaged");
	if (status == OK && cell->unit->gated)
		cell_forget(cell, INT64_MIN); /* nothing: finds out until when it is kept */
	if (status == OK)
		cell_weigh(actor, cell);
	return status;
}

static bool may_pack(const struct cell *cell)
{
	return !cell->touched && (!cell->unit->gated || cell->gated->gate.place == 0) &&
	       cell->unit->judged != JUDGED_ABSENCE;
}

/* When there is no memory for its bytes, the cell stays as it is. */
void cell_pack(struct actor *actor, struct cell *cell)
{
	struct bytes memory cleanup(bytes_done) = {0};
	if (may_pack(cell) && cell_memory_encode(actor, cell, &memory) == OK)
		cell_pack_as(actor, cell, bytes_text(&memory));
}

void cell_pack_as(struct actor *actor, struct cell *cell, struct text memory)
{
	assert(cell->tier == TIER_LIVE);
	struct packed *packed = may_pack(cell) ? malloc(sizeof *packed + memory.size) : NULL;
	if (packed == NULL)
		return;
	packed->size = (uint32_t)memory.size;
	memcpy(packed->bytes, memory.data, memory.size);
	cell_memory_free(cell);
	cell->packed = packed;
	cell->tier = TIER_PACKED;
	actor->counters.cells_packed++;
	cell_weigh(actor, cell);
}

/* Cells on their way out: they stay packed until all of them are stored. */
struct outgoing {
	struct spilled spilled[SPILL_BATCH];
	struct cell *cells[SPILL_BATCH];
	size_t count;
	bool failed; /* nothing more is tried in this sweep */
};

static void outgoing_store(struct actor *actor, struct outgoing *outgoing)
{
	if (outgoing->count == 0)
		return;
	enum status status = actor->spill->store(actor->spill->context, outgoing->spilled,
						 outgoing->count, NULL);
	if (status != OK) {
		outgoing->failed = true;
		actor->counters.spill_failures++;
	}
	for (size_t i = 0; status == OK && i < outgoing->count; i++) {
		struct cell *cell = outgoing->cells[i];
		cell_memory_free(cell);
		cell->tier = TIER_SPILLED;
		cell_weigh(actor, cell);
		actor->counters.cells_packed--;
		actor->counters.cells_spilled++;
		actor->counters.spills++;
	}
	outgoing->count = 0;
}

static void outgoing_add(struct actor *actor, struct outgoing *outgoing, struct cell *cell)
{
	if (actor->spill == NULL || outgoing->failed)
		return;
	struct text bytes = {(const char *)cell->packed->bytes, cell->packed->size};
	outgoing->spilled[outgoing->count] = (struct spilled){cell->key, bytes};
	outgoing->cells[outgoing->count++] = cell;
	if (outgoing->count == SPILL_BATCH)
		outgoing_store(actor, outgoing);
}

static void hand_visit(struct actor *actor, struct outgoing *outgoing, struct cell *cell)
{
	if (cell->used)
		cell->used = false;
	else if (cell->tier == TIER_LIVE)
		cell_pack(actor, cell);
	else if (cell->tier == TIER_PACKED)
		outgoing_add(actor, outgoing, cell);
}

/* What is still waiting to be stored would bring the bytes down to the goal. */
static bool is_relieved(const struct actor *actor, const struct outgoing *outgoing)
{
	size_t waiting = 0;
	for (size_t i = 0; i < outgoing->count; i++)
		waiting += outgoing->spilled[i].bytes.size;
	return actor->counters.cell_bytes <= actor->memory_max / 8 * 7 + waiting;
}

/* Moves the hand until enough is relieved, or until it has made its turns. */
static void hand_pass(struct actor *actor)
{
	struct outgoing outgoing = {0};
	unsigned passed = 0;
	while (passed < HAND_TURNS * VIRTUAL_PARTITIONS && !is_relieved(actor, &outgoing)) {
		const struct cells *cells = &actor->partitions[actor->hand_partition].cells;
		if (actor->hand_slot >= cells->capacity) {
			actor->hand_partition = (actor->hand_partition + 1) % VIRTUAL_PARTITIONS;
			actor->hand_slot = 0;
			outgoing_store(actor, &outgoing); /* no cell is visited while it waits */
			passed++;
			continue;
		}
		struct cell *cell = cells->slots[actor->hand_slot++].item;
		if (cell != NULL)
			hand_visit(actor, &outgoing, cell);
	}
	outgoing_store(actor, &outgoing);
}

void tiers_relieve(struct actor *actor)
{
	if (actor->memory_max == 0 || actor->counters.cell_bytes <= actor->relief_at)
		return;
	hand_pass(actor);
	bool enough = actor->counters.cell_bytes <= actor->memory_max;
	actor->relief_at =
		enough ? actor->memory_max : actor->counters.cell_bytes + actor->memory_max / 16;
}
