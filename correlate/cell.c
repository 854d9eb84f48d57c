/* Cells and the quotas that bound them: made, found, weighed and freed. */
#include <assert.h>
#include <stdlib.h>

#include "correlate/actor_private.h"

struct window_shape unit_shape(const struct unit *unit)
{
	return (struct window_shape){.at_least = unit->at_least,
				     .timespan_us = unit->timespan_us,
				     .keeps_proofs = unit->parent_count > 0};
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
	*quota = (struct quota){.key = key, .state_id = state_id, .tenant = {name, tenant.size}};
	if (cells_add(quotas, &key, quota) != OK) {
		free(quota);
		return ENOMEMORY;
	}
	*ret_quota = quota;
	return OK;
}

enum status cell_new(struct actor *actor, const struct unit *unit, struct quota *quota,
		     const struct match_record *record, struct cell **ret_cell)
{
	assert(unit->state_id == record->state_id && quota->state_id == record->state_id);
	struct cell *cell = malloc(sizeof *cell + record->tenant.size + record->group.size);
	if (cell == NULL)
		return ENOMEMORY;
	char *texts = (char *)(cell + 1);
	if (record->tenant.size > 0)
		memcpy(texts, record->tenant.data, record->tenant.size);
	if (record->group.size > 0)
		memcpy(texts + record->tenant.size, record->group.data, record->group.size);
	*cell = (struct cell){
		.key = record_cell_key(plan_hash_key(actor->plan), record->state_id, record->tenant,
				       record->group),
		.unit = unit,
		.quota = quota,
		.tenant = {texts, record->tenant.size},
		.group = {texts + record->tenant.size, record->group.size},
		.virtual_partition = record->virtual_partition,
	};
	if (cells_add(&actor->partitions[cell->virtual_partition].cells, &cell->key, cell) != OK) {
		free(cell);
		return ENOMEMORY;
	}
	quota->cells++;
	actor->counters.cells++;
	*ret_cell = cell;
	return OK;
}

void cell_free(struct cell **cell)
{
	struct cell *freed = TAKE(*cell);
	if (freed == NULL)
		return;
	window_done(&freed->window);
	episodes_done(&freed->episodes);
	free(freed);
}

size_t cell_size(const struct cell *cell)
{
	size_t size = sizeof *cell + cell->tenant.size + cell->group.size;
	size += window_bytes(&cell->window);
	for (const struct episode *e = cell->episodes.open; e != NULL; e = e->next)
		size += episode_bytes(e);
	return size;
}

static int64_t time_after(int64_t time_us, int64_t span_us)
{
	int64_t sum = 0;
	return __builtin_add_overflow(time_us, span_us, &sum) ? INT64_MAX : sum;
}

/* An event that waits behind the last one may still begin to contribute, by one that comes later,
 * and would then continue the episode: so long it is not over. */
int64_t cell_episode_end(const struct cell *cell, const struct episode *episode)
{
	int64_t span_us = cell->unit->timespan_us;
	int64_t last_us = episode->last_us;
	for (size_t i = cell->window.count; i-- > 0;) {
		const struct window_entry *entry = &cell->window.entries[i];
		if (entry->time_us <= last_us)
			break;
		if (!entry->contributes && time_within(last_us, entry->time_us, span_us)) {
			last_us = entry->time_us;
			break;
		}
	}
	return time_after(last_us, span_us);
}

int64_t cell_deadline(const struct cell *cell)
{
	int64_t deadline = INT64_MAX;
	if (cell->window.count > 0)
		deadline = time_after(cell->window.entries[0].time_us, cell->unit->timespan_us);
	if (cell->episodes.open != NULL) { /* they ascend: the first ends first */
		int64_t end = cell_episode_end(cell, cell->episodes.open);
		deadline = end < deadline ? end : deadline;
	}
	return deadline;
}
