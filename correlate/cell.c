/* Cells and the quotas that bound them: made, found, weighed and freed. */
#include <assert.h>
#include <stdlib.h>

#include "correlate/actor_private.h"
#include "correlate/values_private.h"

/* Of a cell's slot in the table, its deadline, and what the allocator adds. */
enum { CELL_PLACE_BYTES = 96 };

/* Of a usual proof, and of a trail with its first entries. */
enum { CACHE_LINE_BYTES = 64, PROOF_LINES = 4, TRAIL_LINES = 2 };

static void prefetch_lines(const void *memory, size_t count)
{
	for (size_t line = 0; line < count; line++)
		__builtin_prefetch((const char *)memory + line * CACHE_LINE_BYTES);
}

struct window_shape unit_shape(const struct unit *unit)
{
	return (struct window_shape){.at_least = unit->at_least,
				     .timespan_us = unit->timespan_us,
				     .keeps_proofs = unit->parent_count > 0};
}

struct trail_shape unit_trail_shape(const struct unit *unit)
{
	return (struct trail_shape){.rule = {.type = unit->type,
					     .at_least = unit->at_least,
					     .timespan_us = unit->timespan_us,
					     .names = unit->type == CORRELATION_TEMPORAL
							      ? unit->rule->correlation->names
							      : NULL},
				    .keeps_proofs = unit->parent_count > 0};
}

struct panes_shape unit_panes_shape(const struct unit *unit)
{
	return (struct panes_shape){.at_least = unit->at_least,
				    .timespan_us = unit->timespan_us,
				    .precision = unit->precision};
}

/* What a trail keeps of one value of a record: a step or a rule by its number, an amount as it is,
 * everything else by its hash. */
static bool value_decode(const struct actor *actor, const struct unit *unit, struct text value,
			 uint64_t *ret_value)
{
	struct cursor from = cursor_of(value);
	switch (unit->type) {
	case CORRELATION_TEMPORAL:
	case CORRELATION_TEMPORAL_ORDERED:
		*ret_value = cursor_u8(&from);
		return !from.failed && cursor_left(&from) == 0 &&
		       *ret_value < unit->rule->correlation->rule_count;
	case CORRELATION_VALUE_SUM:
		*ret_value = cursor_u64le(&from);
		return !from.failed && cursor_left(&from) == 0;
	default:
		*ret_value = record_value_hash(plan_hash_key(actor->plan), value);
		return true;
	}
}

/* What a gated cell keeps of one value of a record. */
static bool gated_value_decode(const struct actor *actor, const struct unit *unit, bool answers,
			       struct text value, struct gated_value *ret_value)
{
	bool named = unit->type == CORRELATION_TEMPORAL || unit_takes_names(unit);
	if (!named || answers)
		return values_take_tagged(value, &ret_value->tag, &ret_value->value);
	ret_value->tag = 0;
	return value_decode(actor, unit, value, &ret_value->value);
}

static enum status gated_remember(const struct actor *actor, struct cell *cell,
				  const struct match_record *record, struct proof *proof)
{
	struct gated_value values[RECORD_VALUES_MAX] = {0};
	struct gated_event event = {.proof = proof, .flags = record->flags, .values = values};
	struct cursor from = cursor_of(record->values);
	bool answers = (record->flags & RECORD_ANSWER) != 0;
	while (cursor_left(&from) > 0) {
		assert(event.value_count < RECORD_VALUES_MAX); /* record_decode() */
		struct gated_value *value = &values[event.value_count++];
		if (!gated_value_decode(actor, cell->unit, answers, cursor_text(&from), value) ||
		    !gated_value_fits(cell->unit, value))
			return ECORRUPT;
	}
	bool hears = cell->unit->judged == JUDGED_ABSENCE && event.value_count == 1;
	bool shows_nothing = cell->unit->type == CORRELATION_EVENT_COUNT ||
			     (cell->unit->type == CORRELATION_ABSENCE && !hears) ||
			     (cell->unit->type == CORRELATION_BASELINE &&
			      cell->unit->rule->correlation->field_count == 0);
	if ((event.value_count == 0) != shows_nothing)
		return ECORRUPT;
	event.value_count += shows_nothing;
	return gated_add(cell->gated, cell->unit, &event);
}

enum status cell_gate(struct actor *actor, struct cell *cell)
{
	struct timers *gates = &actor->gates[cell->unit->depth];
	int64_t next_us = machine_of(cell->unit)->next_us(cell->gated, cell->unit);
	if (next_us != INT64_MAX)
		return timers_set(gates, &cell->gated->gate, next_us);
	timers_remove(gates, &cell->gated->gate);
	return OK;
}

/* Into a trail, or into panes. */
static enum status values_remember(struct actor *actor, struct cell *cell,
				   const struct match_record *record, struct proof *proof)
{
	uint64_t values[RECORD_VALUES_MAX];
	struct trail_event event = {.proof = proof, .values = values};
	struct cursor from = cursor_of(record->values);
	while (cursor_left(&from) > 0) {
		assert(event.value_count < RECORD_VALUES_MAX); /* record_decode() */
		if (!value_decode(actor, cell->unit, cursor_text(&from),
				  &values[event.value_count++]))
			return ECORRUPT;
	}
	if (event.value_count == 0)
		return ECORRUPT;
	if (cell_panes(cell) != NULL) {
		struct panes_shape shape = unit_panes_shape(cell->unit);
		return panes_add(cell->panes, &shape,
				 &(struct panes_event){proof, values, event.value_count},
				 &actor->news);
	}
	struct trail_shape shape = unit_trail_shape(cell->unit);
	shape.spare = &actor->judge;
	return trail_add(&cell->trail, &shape, &event, &actor->news);
}

enum status cell_remember(struct actor *actor, struct cell *cell, const struct match_record *record,
			  struct proof *proof)
{
	if (cell_gated(cell) != NULL)
		return gated_remember(actor, cell, record, proof);
	if (cell_trail(cell) != NULL || cell_panes(cell) != NULL)
		return values_remember(actor, cell, record, proof);
	struct window_shape shape = unit_shape(cell->unit);
	return window_add(&cell->window, &shape, proof, &actor->news);
}

void cell_forget(struct cell *cell, int64_t watermark_us)
{
	if (cell_gated(cell) != NULL) {
		cell->gated->kept_us =
			machine_of(cell->unit)->forget(cell->gated, cell->unit, watermark_us);
		return;
	}
	if (cell_trail(cell) != NULL) {
		struct trail_shape shape = unit_trail_shape(cell->unit);
		trail_settle(&cell->trail, &shape, watermark_us);
	} else if (cell_panes(cell) != NULL) {
		struct panes_shape shape = unit_panes_shape(cell->unit);
		panes_settle(cell->panes, &shape, watermark_us);
	} else {
		struct window_shape shape = unit_shape(cell->unit);
		window_settle(&cell->window, &shape, watermark_us);
	}
}

static size_t cell_entry_count(const struct cell *cell)
{
	if (cell_gated(cell) != NULL)
		return cell->gated->count;
	if (cell_trail(cell) != NULL)
		return cell->trail->count;
	return cell_panes(cell) != NULL ? cell->panes->count : cell->window.count;
}

/* The time of an event that is remembered. */
static int64_t cell_entry(const struct cell *cell, size_t at, bool *ret_contributes)
{
	assert(at < cell_entry_count(cell));
	if (cell_gated(cell) != NULL) {
		*ret_contributes = cell->gated->entries[at].contributes;
		return cell->gated->entries[at].time_us;
	}
	if (cell_trail(cell) != NULL) {
		*ret_contributes = cell->trail->entries[at].contributes;
		return cell->trail->entries[at].time_us;
	}
	if (cell_panes(cell) != NULL) { /* a pane's events are one: they contribute together */
		*ret_contributes = cell->panes->panes[at].contributes;
		return cell->panes->panes[at].first_us;
	}
	*ret_contributes = cell->window.entries[at].contributes;
	return cell->window.entries[at].time_us;
}

bool cell_remembers(const struct cell *cell)
{
	if (cell_gated(cell) != NULL)
		return cell->gated->kept_us != INT64_MIN;
	return cell_entry_count(cell) > 0;
}

/* One byte of the virtual partition stands where a group would: quotas have a table of their own.
 */
enum status quota_of(struct actor *actor, uint64_t state_id, uint8_t virtual_partition,
		     struct text tenant, struct quota **ret_quota)
{
	struct text place = {(const char *)&virtual_partition, 1};
	struct cell_key key = record_cell_key(plan_hash_key(actor->plan), state_id, tenant, place);
	struct cells *quotas = &actor->partitions[virtual_partition].quotas;
	struct quota *quota = cells_find(quotas, &key);
	if (quota != NULL) {
		*ret_quota = quota;
		return OK;
	}
	quota = malloc(sizeof *quota + tenant.size);
	if (quota == NULL)
		return ENOMEMORY;
	char *name = (char *)(quota + 1);
	if (tenant.size > 0)
		memcpy(name, tenant.data, tenant.size);
	*quota = (struct quota){.key = key,
				.state_id = state_id,
				.virtual_partition = virtual_partition,
				.tenant = {name, tenant.size}};
	if (cells_add(quotas, &key, quota) != OK) {
		free(quota);
		return ENOMEMORY;
	}
	*ret_quota = quota;
	return OK;
}

enum status cell_memory_new(struct cell *cell)
{
	cell->tier = TIER_LIVE;
	if (cell->unit->gated)
		return (cell->gated = gated_new(cell)) == NULL ? ENOMEMORY : OK;
	if (cell->unit->judged == JUDGED_TRAIL)
		return (cell->trail = trail_new()) == NULL ? ENOMEMORY : OK;
	if (cell->unit->judged == JUDGED_SKETCH)
		return (cell->panes = calloc(1, sizeof *cell->panes)) == NULL ? ENOMEMORY : OK;
	cell->window = (struct window){0};
	return OK;
}

void cell_memory_free(struct cell *cell)
{
	if (cell->tier == TIER_PACKED) {
		free(cell->packed);
	} else if (cell->tier == TIER_LIVE && cell->unit->gated) {
		gated_free(&cell->gated, cell->unit);
	} else if (cell->tier == TIER_LIVE && cell->unit->judged == JUDGED_TRAIL) {
		trail_free(&cell->trail);
	} else if (cell->tier == TIER_LIVE && cell->unit->judged == JUDGED_SKETCH) {
		if (cell->panes != NULL)
			panes_done(cell->panes);
		free(cell->panes);
	} else if (cell->tier == TIER_LIVE) {
		window_done(&cell->window);
	}
	cell->window = (struct window){0};
	episodes_done(&cell->episodes);
}

enum status cell_new(struct actor *actor, const struct newcomer *newcomer, struct cell **ret_cell)
{
	const struct unit *unit = newcomer->unit;
	struct quota *quota = newcomer->quota;
	struct text group = newcomer->group;
	assert(unit->state_id == quota->state_id);
	if (group.size > UINT32_MAX)
		return ELIMIT;
	struct cell *cell = malloc(sizeof *cell + group.size);
	if (cell == NULL)
		return ENOMEMORY;
	*cell = (struct cell){
		.key = newcomer->key,
		.unit = unit,
		.quota = quota,
		.due_us = INT64_MAX,
		.group_size = (uint32_t)group.size,
	};
	if (group.size > 0)
		memcpy(cell->group, group.data, group.size);
	if (cell_memory_new(cell) != OK ||
	    cells_add(&actor->partitions[quota->virtual_partition].cells, &cell->key, cell) != OK) {
		cell_free(&cell);
		return ENOMEMORY;
	}
	quota->cells++;
	actor->counters.cells++;
	actor->counters.cells_estimating += unit->judged == JUDGED_SKETCH;
	*ret_cell = cell;
	return OK;
}

void cell_free(struct cell **cell)
{
	struct cell *freed = TAKE(*cell);
	if (freed == NULL)
		return;
	cell_memory_free(freed);
	free(freed);
}

void cell_bury(struct actor *actor, struct cell *cell)
{
	struct quota *quota = cell->quota;
	struct partition *partition = &actor->partitions[quota->virtual_partition];
	cell_mark_gone(actor, cell);
	cells_remove(&partition->cells, &cell->key);
	if (cell_gated(cell) != NULL)
		timers_remove(&actor->gates[cell->unit->depth], &cell->gated->gate);
	assert(quota->cells > 0 && actor->counters.cells > 0);
	actor->counters.cells--;
	actor->counters.cells_estimating -= cell->unit->judged == JUDGED_SKETCH;
	actor->counters.cell_bytes -= cell->bytes;
	if (--quota->cells == 0 && !quota->refused) {
		cells_remove(&partition->quotas, &quota->key);
		free(quota);
	}
	cell->quota = NULL;
	if (cell->deadlines == 0)
		cell_free(&cell);
}

static size_t cell_size(const struct cell *cell)
{
	size_t size = sizeof *cell + cell->group_size + CELL_PLACE_BYTES;
	if (cell->tier != TIER_LIVE)
		return size +
		       (cell->tier == TIER_PACKED ? sizeof *cell->packed + cell->packed->size : 0);
	if (cell_gated(cell) != NULL) {
		size += gated_bytes(cell->gated, cell->unit);
	} else if (cell_trail(cell) != NULL) {
		size += trail_bytes(cell->trail);
	} else if (cell_panes(cell) != NULL) {
		size += sizeof *cell->panes + panes_bytes(cell->panes);
	} else {
		size += window_bytes(&cell->window);
	}
	for (const struct episode *e = cell->episodes.open; e != NULL; e = e->next)
		size += episode_bytes(e);
	return size;
}

void cell_weigh(struct actor *actor, struct cell *cell)
{
	size_t size = cell_size(cell);
	uint32_t bytes = size < UINT32_MAX ? (uint32_t)size : UINT32_MAX;
	actor->counters.cell_bytes += bytes;
	actor->counters.cell_bytes -= cell->bytes;
	cell->bytes = bytes;
}

void cell_prefetch_memory(const struct cell *cell)
{
	if (cell->tier != TIER_LIVE)
		__builtin_prefetch(cell->tier == TIER_PACKED ? cell->packed : NULL);
	else if (cell_gated(cell) != NULL)
		__builtin_prefetch(cell->gated);
	else if (cell_trail(cell) != NULL)
		prefetch_lines(cell->trail, TRAIL_LINES);
	else if (cell_panes(cell) != NULL)
		__builtin_prefetch(cell->panes);
	else if (cell->window.entries != NULL)
		__builtin_prefetch(&cell->window.entries[cell->window.count]);
	const struct episode *episode = cell->episodes.open;
	if (episode == NULL)
		return;
	__builtin_prefetch(episode);
	__builtin_prefetch(&episode->evidence[ALERT_EVIDENCE_EDGE]);
}

/* The events that it remembers, from the first on. */
void cell_prefetch_entries(const struct cell *cell)
{
	if (cell->tier != TIER_LIVE)
		return;
	if (cell_gated(cell) != NULL)
		__builtin_prefetch(cell->gated->entries);
	else if (cell_panes(cell) != NULL)
		__builtin_prefetch(cell->panes->panes);
	else if (cell_trail(cell) == NULL)
		__builtin_prefetch(cell->window.entries);
}

/* Of an episode: the evidence that a new event pushes out. */
void cell_prefetch_ends(const struct cell *cell)
{
	if (cell->tier != TIER_LIVE)
		return;
	if (cell_gated(cell) != NULL && cell->gated->entries != NULL)
		__builtin_prefetch(&cell->gated->entries[cell->gated->count]);
	else if (cell_trail(cell) != NULL)
		__builtin_prefetch(&cell->trail->entries[cell->trail->count]);
	else if (cell_panes(cell) != NULL && cell->panes->count > 0)
		__builtin_prefetch(&cell->panes->panes[cell->panes->count - 1]);
	const struct episode *episode = cell->episodes.open;
	if (episode == NULL || episode->evidence_count < EPISODE_EVIDENCE_MAX)
		return;
	/* Its memory is what the next proof is written to: all of it is asked for. */
	const char *goes = (const char *)episode->evidence[ALERT_EVIDENCE_EDGE];
	for (size_t line = 0; line < PROOF_LINES; line++)
		__builtin_prefetch(goes + line * CACHE_LINE_BYTES, 1);
}

/* An event that waits behind the last one may still begin to contribute, by one that comes later,
 * and would then continue the episode: so long it is not over. */
int64_t cell_episode_end(const struct cell *cell, const struct episode *episode)
{
	static const struct machine no_machine;
	bool remembers = cell_gated(cell) != NULL && cell->gated->memory != NULL;
	const struct machine *machine = remembers ? machine_of(cell->unit) : &no_machine;
	int64_t span_us = cell->unit->quiet_us;
	int64_t last_us = episode->last_us;
	int64_t delay_us = 0;
	if (machine->is_over != NULL && machine->is_over(cell->gated, last_us))
		return last_us;
	if (machine->waiting_us != NULL) {
		int64_t waiting_us = machine->waiting_us(cell->gated, last_us, span_us);
		last_us = waiting_us > last_us ? waiting_us : last_us;
	}
	for (size_t i = cell_entry_count(cell); i-- > 0;) {
		bool contributes = false;
		int64_t time_us = cell_entry(cell, i, &contributes);
		if (time_us <= last_us)
			break;
		if (!contributes && time_within(episode->last_us, time_us, span_us)) {
			last_us = time_us;
			delay_us = cell->unit->delay_us;
			break;
		}
	}
	return time_after(time_after(last_us, span_us), delay_us);
}

/* Until when what it remembers has to be kept. */
static int64_t memory_deadline(const struct cell *cell)
{
	bool contributes = false;
	if (!cell_remembers(cell))
		return INT64_MAX;
	if (cell_gated(cell) != NULL)
		return cell->gated->kept_us;
	if (cell_panes(cell) != NULL) {
		struct panes_shape shape = unit_panes_shape(cell->unit);
		return panes_deadline(cell->panes, &shape);
	}
	return time_after(cell_entry(cell, 0, &contributes), cell->unit->timespan_us);
}

/* When the cell has something to do next; INT64_MAX also when time would overflow. */
static int64_t cell_deadline(const struct cell *cell)
{
	int64_t deadline = memory_deadline(cell);
	if (cell->episodes.open != NULL) { /* they ascend: the first ends first */
		int64_t end = cell_episode_end(cell, cell->episodes.open);
		deadline = end < deadline ? end : deadline;
	}
	return deadline;
}

enum status cell_schedule(struct actor *actor, struct cell *cell)
{
	int64_t deadline_us = cell_deadline(cell);
	if (cell->deadlines > 0 && deadline_us >= cell->due_us)
		return OK;
	enum status status = deadlines_add(&actor->deadlines, deadline_us, cell);
	if (status != OK)
		return status;
	cell->deadlines++;
	cell->due_us = deadline_us;
	return OK;
}
