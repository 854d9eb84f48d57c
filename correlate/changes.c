/* Closing an epoch: what changed, what is over, and what people should hear of it.
 *
 * Every alert whose count or state changed becomes one alert_change. It gets a new revision, and is
 * announced, when it opened, ended, was taken over, took over one that had been announced, or grew
 * enough: by the rule's suppress period of event time, or to twice the count last announced. So one
 * epoch makes at most one revision of an alert.
 *
 * The changes are views into episodes. Those that are over are not freed but put into graves until
 * the next feed. */
#include <assert.h>
#include <stdlib.h>

#include "correlate/actor_private.h"

enum { SETTLE_BATCH = 32 }; /* so many cells are asked for at once (fold.c) */

void changes_clear(struct actor *actor)
{
	while (actor->episode_graves != NULL) {
		struct episode *next = actor->episode_graves->next;
		episode_free(&actor->episode_graves);
		actor->episode_graves = next;
	}
	actor->change_count = 0;
	actor->refusal_count = 0;
	arena_reset(actor->arena);
}

static void print_id(const unsigned char id[EPISODE_ID_BYTES], char to[ALERT_ID_SIZE + 1])
{
	static const char digits[] = "0123456789abcdef";
	for (unsigned i = 0; i < EPISODE_ID_BYTES; i++) {
		to[2 * i] = digits[id[i] >> 4];
		to[2 * i + 1] = digits[id[i] & 15];
	}
	to[ALERT_ID_SIZE] = '\0';
}

/* Name, value, ...: a dedup key shows only the fields that the event had. */
static void put_group(const struct cell *cell, struct bytes *to)
{
	if (unit_is_of_entities(cell->unit)) { /* a field and its value already */
		struct text group = cell_group(cell);
		bytes_write(to, group);
		return;
	}
	struct cursor from = cursor_of(cell_group(cell));
	for (size_t i = 0; i < cell->unit->group_by_count; i++) {
		struct text value = cursor_text(&from);
		if (value.size == 0 && cell->unit->depth == 0)
			continue;
		bytes_put_text(to, cell->unit->group_by[i].name);
		bytes_put_text(to, value);
	}
}

/* The words of the alert: its group and its reason, into the arena. */
static enum status alert_words(struct actor *actor, const struct cell *cell, struct text detail,
			       struct alert *alert)
{
	struct bytes words cleanup(bytes_done) = {0};
	put_group(cell, &words);
	alert->group = arena_copy(actor->arena, bytes_text(&words));
	if (bytes_status(&words) != OK || alert->group.data == NULL)
		return ENOMEMORY;
	bytes_clear(&words);
	alert_reason(alert, cell->unit, detail, &words);
	alert->reason = arena_copy(actor->arena, bytes_text(&words));
	return bytes_status(&words) != OK || alert->reason.data == NULL ? ENOMEMORY : OK;
}

static enum status alert_make(struct actor *actor, const struct cell *cell,
			      const struct episode *episode, enum alert_state state,
			      const struct alert **ret_alert)
{
	struct alert *alert = arena_alloc(actor->arena, sizeof *alert);
	struct text tenant = arena_copy(actor->arena, cell->quota->tenant);
	if (alert == NULL || (tenant.data == NULL && cell->quota->tenant.size > 0))
		return ENOMEMORY;
	const struct rule *rule = cell->unit->rule;
	*alert = (struct alert){
		.revision = episode->revision,
		.state = state,
		.flags = episode->flags,
		.opened_epoch = episode->opened_epoch,
		.state_id = cell->unit->state_id,
		.rule_id = rule->id,
		.rule_name = rule->name,
		.rule_title = rule->title,
		.rule_key = rule->key,
		.level = rule->level,
		.tenant = tenant,
		.count = episode->count,
		.threshold = unit_threshold(cell->unit),
		.standard_error = cell->unit->judged == JUDGED_SKETCH
					  ? cardinality_error(cell->unit->precision)
					  : 0,
		.timespan_us = cell->unit->timespan_us,
		.first_us = episode->first_us,
		.last_us = episode->last_us,
		.evidence_count = episode->evidence_count,
	};
	print_id(episode->id, alert->id);
	if (state == ALERT_MERGED)
		print_id(episode->merged_into, alert->merged_into);
	for (size_t i = 0; i < episode->evidence_count; i++)
		alert->evidence[i] = episode->evidence[i]->evidence;
	*ret_alert = alert;
	return alert_words(actor, cell, text_of(episode->detail), alert);
}

static enum status change_push(struct actor *actor, const struct alert *alert, bool announce)
{
	if (actor->change_count == actor->change_capacity) {
		size_t capacity = actor->change_capacity == 0 ? 16 : actor->change_capacity * 2;
		struct alert_change *grown = realloc(actor->changes, capacity * sizeof *grown);
		if (grown == NULL)
			return ENOMEMORY;
		actor->changes = grown;
		actor->change_capacity = capacity;
	}
	actor->changes[actor->change_count++] = (struct alert_change){alert, announce};
	return OK;
}

static bool grew_enough(const struct episode *episode, int64_t suppress_us)
{
	if (suppress_us <= 0)
		return episode->count / 2 >= episode->announced_count;
	return episode->last_us >= episode->announced_us &&
	       (uint64_t)episode->last_us - (uint64_t)episode->announced_us >=
		       (uint64_t)suppress_us;
}

static enum status publish(struct actor *actor, const struct cell *cell, struct episode *episode,
			   enum alert_state state)
{
	assert(episode->count > 0 && episode->first_us <= episode->last_us);
	bool announce = episode->revision == 0 || state != ALERT_OPEN || episode->took_over ||
			episode->broke || grew_enough(episode, cell->unit->rule->suppress_for_us);
	if (announce && episode->revision < UINT32_MAX) {
		episode->revision++;
		episode->announced_count = episode->count;
		episode->announced_us = episode->last_us;
	}
	episode->changed = false;
	episode->took_over = false;
	episode->broke = false;
	const struct alert *alert = NULL;
	enum status status = alert_make(actor, cell, episode, state, &alert);
	return status == OK ? change_push(actor, alert, announce) : status;
}

static void bury(struct actor *actor, struct episode **link)
{
	struct episode *episode = *link;
	*link = episode->next;
	episode->next = actor->episode_graves;
	actor->episode_graves = episode;
}

static enum status settle_episodes(struct actor *actor, struct cell *cell)
{
	enum status status = OK;
	while (status == OK && cell->episodes.merged != NULL) {
		status = publish(actor, cell, cell->episodes.merged, ALERT_MERGED);
		bury(actor, &cell->episodes.merged);
	}
	struct episode **link = &cell->episodes.open;
	while (status == OK && *link != NULL) {
		bool over = time_passed(cell_episode_end(cell, *link), 0, actor->watermark_us);
		if (over || (*link)->changed)
			status = publish(actor, cell, *link, over ? ALERT_ENDED : ALERT_OPEN);
		if (over)
			bury(actor, link);
		else
			link = &(*link)->next;
	}
	return status;
}

/* Brings a cell up to the actor's watermark; it may be gone afterwards. */
static enum status cell_settle(struct actor *actor, struct cell *cell)
{
	assert(!cell->touched && cell->quota != NULL);
	cell_mark_changed(actor, cell);
	cell_forget(cell, actor->watermark_us);
	enum status status = settle_episodes(actor, cell);
	if (status != OK)
		return status;
	if (!cell_remembers(cell) && cell->episodes.open == NULL) {
		cell_bury(actor, cell);
		return OK;
	}
	cell_weigh(actor, cell);
	return cell_schedule(actor, cell);
}

static int change_compare(const void *a, const void *b)
{
	const struct alert_change *left = a;
	const struct alert_change *right = b;
	return memcmp(left->alert->id, right->alert->id, ALERT_ID_SIZE);
}

static enum status settle_batch(struct actor *actor, struct cell *const *cells, size_t count)
{
	for (size_t i = 0; i < count; i++)
		cell_prefetch(cells[i]);
	for (size_t i = 0; i < count; i++)
		cell_prefetch_memory(cells[i]);
	for (size_t i = 0; i < count; i++)
		cell_prefetch_entries(cells[i]);
	enum status status = OK;
	for (size_t i = 0; status == OK && i < count; i++) {
		cells[i]->touched = false;
		status = cell_settle(actor, cells[i]);
	}
	return status;
}

static enum status settle_touched(struct actor *actor)
{
	enum status status = OK;
	for (size_t first = 0; status == OK && first < actor->touched_count;
	     first += SETTLE_BATCH) {
		size_t left = actor->touched_count - first;
		status = settle_batch(actor, &actor->touched[first],
				      left < SETTLE_BATCH ? left : SETTLE_BATCH);
	}
	actor->touched_count = 0;
	return status;
}

/* A cell that was buried by then is freed with its last deadline; one whose time was put off since
 * is put back. */
static enum status settle_due(struct actor *actor)
{
	void *due = NULL;
	enum status status = deadlines_take(&actor->deadlines, actor->watermark_us, &due);
	while (status == OK && due != NULL) {
		struct cell *cell = due;
		cell->deadlines--;
		cell->due_us = INT64_MAX;
		if (cell->quota != NULL && (status = cell_thaw(actor, cell)) == OK)
			status = cell_settle(actor, cell);
		else if (cell->quota == NULL && cell->deadlines == 0)
			cell_free(&cell);
		if (status == OK)
			status = deadlines_take(&actor->deadlines, actor->watermark_us, &due);
	}
	return status;
}

static void changes_sort(struct actor *actor)
{
	if (actor->change_count > 1)
		qsort(actor->changes, actor->change_count, sizeof *actor->changes, change_compare);
}

/* All alerts of the cell end, whatever the time, and the cell is gone. */
static enum status cell_retire(struct actor *actor, struct cell *cell)
{
	enum status status = cell_thaw(actor, cell);
	while (status == OK && cell->episodes.open != NULL) {
		status = publish(actor, cell, cell->episodes.open, ALERT_ENDED);
		bury(actor, &cell->episodes.open);
	}
	if (status == OK)
		cell_bury(actor, cell);
	return status;
}

/* An alert that this epoch changed already is told once, as ended. */
static void changes_keep_last(struct actor *actor)
{
	size_t kept = 0;
	for (size_t i = 0; i < actor->change_count; i++) {
		struct alert_change change = actor->changes[i];
		if (kept > 0 && change_compare(&actor->changes[kept - 1], &change) == 0) {
			struct alert_change *before = &actor->changes[kept - 1];
			bool later = change.alert->revision > before->alert->revision;
			bool announce = change.announce || before->announce;
			*before = later ? change : *before;
			before->announce = announce;
			continue;
		}
		actor->changes[kept++] = change;
	}
	actor->change_count = kept;
}

enum status actor_retire(struct actor *actor, const struct plan *next, struct error *err)
{
	assert(actor->fed_count == 0 && actor->touched_count == 0);
	enum status status = OK;
	for (unsigned i = 0; status == OK && i < VIRTUAL_PARTITIONS; i++) {
		const struct cells *cells = &actor->partitions[i].cells;
		size_t count = cells->count;
		void **all = cells_sorted(cells);
		if (all == NULL && count > 0)
			status = ENOMEMORY;
		for (size_t k = 0; status == OK && k < count; k++) {
			struct cell *cell = all[k];
			if (plan_find(next, cell->unit->state_id) == NULL)
				status = cell_retire(actor, cell);
		}
		free(all);
	}
	changes_sort(actor);
	changes_keep_last(actor);
	return status == OK ? OK : actor_failed(actor, status, "to end alerts", err);
}

static void list_episodes(const struct cell *cell, struct bytes *to)
{
	for (const struct episode *e = cell->episodes.open; e != NULL; e = e->next) {
		char id[ALERT_ID_SIZE + 1];
		print_id(e->id, id);
		bytes_put(to, id, ALERT_ID_SIZE);
	}
}

enum status actor_list_open(struct actor *actor, struct bytes *to, struct error *err)
{
	for (unsigned i = 0; i < VIRTUAL_PARTITIONS; i++) {
		const struct cells *cells = &actor->partitions[i].cells;
		for (size_t k = 0; k < cells->capacity; k++) {
			struct cell *cell = cells->slots[k].item;
			enum status status = cell == NULL ? OK : cell_thaw(actor, cell);
			if (status != OK)
				return actor_failed(actor, status, "to list alerts", err);
			if (cell != NULL)
				list_episodes(cell, to);
		}
	}
	return OK;
}

enum status actor_close(struct actor *actor, uint64_t epoch, int64_t watermark_us,
			struct error *err)
{
	(void)epoch; /* part of the contract; openings got theirs when they were folded */
	assert(actor->fed_count == 0); /* every feed is followed by a round */
	if (actor->rounds == 0)
		changes_clear(actor);
	actor->rounds = 0;
	actor->has_closed = true;
	if (watermark_us > actor->watermark_us)
		actor->watermark_us = watermark_us;
	enum status status = settle_touched(actor);
	if (status == OK)
		status = settle_due(actor);
	if (status != OK)
		return actor_failed(actor, status, "to close an epoch", err);
	changes_sort(actor);
	return OK;
}

const struct alert_change *actor_changes(const struct actor *actor, size_t *ret_count)
{
	*ret_count = actor->change_count;
	return actor->changes;
}
