/* What correlation remembered cannot be read: its rows are damaged, or another picket wrote them.
 *
 * To refuse the start is right for whoever can put the store right; for all others it is a daemon
 * that is down until a person comes, while what it remembered could be made from the stored events,
 * as it is for a rule that is new. Which of the two is the operator's word (rebuild_damaged).
 *
 *   1. One batch, on disk before anything else: the rows of all cells go, and the list of rules
 *      whose state they are becomes empty. A start that finds it so goes on from here: an empty
 *      list is written by nobody else.
 *   2. The actors begin empty, and all rules are cold: recover_warm() makes their memory anew, as
 *      far as history.c says that they need, and drops what the replay made of them.
 *   3. What history raised and has ended is in the store and is not written again. What is open
 *      goes on, marked as backfill: under its id where history begins it with the same event,
 *      else under a new one, and the old one ends as it stands (recover_rules.c). Revisions of
 *      what goes on are counted from history's.
 *   4. An alert says so.
 *
 * Match records are of this memory too, and may be damaged in the middle of a replay: from there on
 * none is read, since the warming has them from their events. The gate's counts, instances and
 * positions are not: they are evidence that nothing here could make again, and damage in them is
 * still refused. */
#include <stdio.h>
#include <stdlib.h>

#include "ingest/runtime_private.h"
#include "ingest/spill_rows.h"

static enum status forget_rows(struct store *store, char kind, struct store_batch *batch,
			       struct error *err)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	const struct text prefix = {&kind, 1};
	struct text key = {0};
	struct text value = {0};
	enum status status = store_scan_new(store, FAMILY_CELL, prefix, prefix, &scan, err);
	while (status == OK && store_scan_next(scan, &key, &value))
		store_batch_delete(batch, FAMILY_CELL, key);
	return status == OK ? store_scan_status(scan, err) : status;
}

static enum status forget_cells(struct store *store, struct error *err)
{
	static const char kinds[] = "cdx";
	struct bytes known cleanup(bytes_done) = {0};
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
	enum status status = batch == NULL ? ENOMEMORY : OK;
	for (const char *kind = kinds; status == OK && *kind != '\0'; kind++)
		status = forget_rows(store, *kind, batch, err);
	cell_row_key('w', 0, &known);
	if (status != OK || known.failed)
		return status != OK ? status : ENOMEMORY;
	store_batch_put(batch, FAMILY_CELL, bytes_text(&known), TEXT(""));
	return store_batch_commit(batch, true, err);
}

static enum status begin_empty(struct shard *shard, struct error *err)
{
	const struct generation *rules = shard->runtime->gate.current;
	actor_free(&shard->actor);
	spill_rows_free(&shard->spill);
	for (unsigned i = 0; i < VIRTUAL_PARTITIONS; i++)
		shard->state[i] = (struct state_rows){0};
	return shard_actor_new(shard, rules->plan, &shard->actor, &shard->spill, err);
}

enum status recover_rebuild(struct runtime *runtime, struct error *err)
{
	struct error why = *err;
	if (!runtime->options.rebuild_damaged)
		return ECORRUPT;
	enum status status = forget_cells(runtime->options.store, err);
	for (unsigned i = 0; status == OK && i < runtime->options.actor_count; i++)
		status = begin_empty(&runtime->shards[i], err);
	if (status == OK)
		status = recover_warmed(runtime, err);
	if (status == OK)
		runtime->rebuilt = why;
	return status;
}

void recover_rebuilt_tell(struct runtime *runtime, bool warmed, struct verdicts *news)
{
	char reason[2 * sizeof runtime->rebuilt.text];
	struct wall_clock clock = runtime->options.clock;
	int64_t now_us = clock.now_us(clock.context);
	(void)snprintf(reason, sizeof reason,
		       "%s; %s; alerts that no stored event goes on with have ended as they stood",
		       runtime->rebuilt.text,
		       warmed ? "all rules remember again what the stored events of the last 30 "
				"days show"
			      : "rules remember nothing from before this start");
	runtime_problem(runtime, text_of(reason), now_us);
	health_alert(&(struct health_note){.kind = HEALTH_STATE_REBUILT,
					   .subject = TEXT("correlation"),
					   .reason = text_of(reason),
					   .epoch = runtime->committer.row.epoch,
					   .time_us = now_us},
		     &news->rows, &news->announcements);
}
