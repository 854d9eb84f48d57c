/* The committer: stops 9 and 10 of the journey. One epoch, one batch, in order.
 *
 * It tells the workers when to close an epoch (every epoch_ms, or earlier when one of them is
 * full), waits until every worker and every shard has delivered it, and writes it all at once:
 *
 *   blocks, quarantine, positions   rows of the parcels
 *   match records and aggregates    as they were fed, for replay until the next checkpoint
 *   alerts, cohort rows, cells      rows of the verdicts
 *   outbox                          one row per announced revision
 *   epoch row                       epoch, checkpoint, watermark, outbox sequence
 *
 * An epoch in which nothing happened and time stood still is not written. A disk that is full
 * holds the batch until there is room, or until we are to stop: then the run ends as failed. Either
 * way nothing was acknowledged, so nothing is lost. */
#include <assert.h>
#include <poll.h>
#include <stdlib.h>

#include "ingest/runtime_private.h"

enum {
	INBOX_TIMEOUT_MS = 10,
	RETRY_MS = 500,
	OUTBOX_ROWS_MAX = 100000, /* older rows go: nobody has asked for them in that long */
};

struct epoch_order epoch_gate_order(struct epoch_gate *gate, uint64_t epoch)
{
	(void)pthread_mutex_lock(&gate->mutex);
	struct epoch_order order = {
		.close = gate->closing >= epoch,
		.checkpoint = gate->checkpoint[epoch_slot(epoch)],
		.final = gate->final == epoch,
		.next = gate->rules[epoch_slot(epoch + 1)],
	};
	(void)pthread_mutex_unlock(&gate->mutex);
	return order;
}

void epoch_gate_fail(struct epoch_gate *gate)
{
	(void)pthread_mutex_lock(&gate->mutex);
	gate->failed = true;
	(void)pthread_cond_broadcast(&gate->changed);
	(void)pthread_mutex_unlock(&gate->mutex);
}

bool epoch_gate_failed(struct epoch_gate *gate)
{
	(void)pthread_mutex_lock(&gate->mutex);
	bool failed = gate->failed;
	(void)pthread_mutex_unlock(&gate->mutex);
	return failed;
}

bool epoch_gate_has_committed(struct epoch_gate *gate, uint64_t epoch)
{
	(void)pthread_mutex_lock(&gate->mutex);
	bool committed = gate->committed >= epoch;
	(void)pthread_mutex_unlock(&gate->mutex);
	return committed;
}

/* Lets the workers close the next epoch when it is time and not too many are in flight. */
static void open_gate(struct runtime *runtime, bool nudged)
{
	struct committer *committer = &runtime->committer;
	struct epoch_gate *gate = &runtime->gate;
	int64_t now_us = runtime->options.clock.now_us(runtime->options.clock.context);
	bool stopping = atomic_load(&runtime->stopping);
	bool due = now_us - committer->opened_us >= (int64_t)runtime->options.epoch_ms * 1000 ||
		   now_us < committer->opened_us; /* the clock was set back */
	if (!due && !nudged && !stopping)
		return;
	(void)pthread_mutex_lock(&gate->mutex);
	if (gate->final == 0 && gate->closing - gate->committed < RUNTIME_EPOCHS_MAX) {
		assert(gate->committed <= gate->closing);
		uint64_t next = gate->closing + 1;
		int64_t period_us = (int64_t)runtime->options.checkpoint_ms * 1000;
		/* No replay may cross a swap of the rules (reload.c). */
		bool swaps = !stopping && epoch_gate_wants_swap(gate);
		bool checkpoint =
			stopping || swaps || now_us - committer->checkpoint_us >= period_us;
		gate->checkpoint[epoch_slot(next)] = checkpoint;
		if (stopping) {
			gate->final = next;
			(void)pthread_cond_broadcast(&gate->changed);
		} else {
			epoch_gate_plan(gate, next);
		}
		if (checkpoint)
			committer->checkpoint_us = now_us;
		gate->closing = next;
		committer->opened_us = now_us;
	}
	(void)pthread_mutex_unlock(&gate->mutex);
}

static void batch_rows(struct store_batch *batch, const struct bytes *rows)
{
	struct cursor cursor = cursor_of(bytes_text(rows));
	enum store_family family = FAMILY_EPOCH;
	struct text key = {0};
	struct text value = {0};
	while (rows_next(&cursor, &family, &key, &value))
		store_batch_put(batch, family, key, value);
}

/* One match row; its key is remembered so that the next checkpoint can delete it. */
static void batch_match(struct committer *committer, struct store_batch *batch, uint64_t epoch,
			char kind, const unsigned place[2], const struct bytes *value)
{
	if (value->size == 0)
		return;
	struct bytes key cleanup(bytes_done) = {0};
	match_key(epoch, kind, place[0], place[1], &key);
	store_batch_put(batch, FAMILY_MATCH, bytes_text(&key), bytes_text(value));
	bytes_put_text(&committer->match_keys, bytes_text(&key));
}

static void batch_watermark(struct committer *committer, struct store_batch *batch, uint64_t epoch,
			    int64_t watermark_us)
{
	struct bytes value cleanup(bytes_done) = {0};
	bytes_put_signed(&value, watermark_us);
	batch_match(committer, batch, epoch, 'w', (const unsigned[2]){0, 0}, &value);
}

static void batch_outbox(struct store_batch *batch, struct epoch_row *row,
			 const struct bytes *announcements)
{
	struct cursor cursor = cursor_of(bytes_text(announcements));
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	while (cursor_left(&cursor) > 0) {
		struct text id = cursor_text(&cursor);
		uint64_t revision = cursor_varint(&cursor);
		assert(!cursor.failed);
		bytes_clear(&key);
		bytes_clear(&value);
		outbox_key(row->outbox_next, &key);
		bytes_put_varint(&value, revision);
		bytes_put_text(&value, id);
		store_batch_put(batch, FAMILY_OUTBOX, bytes_text(&key), bytes_text(&value));
		if (row->outbox_next >= OUTBOX_ROWS_MAX) {
			bytes_clear(&key);
			outbox_key(row->outbox_next - OUTBOX_ROWS_MAX, &key);
			store_batch_delete(batch, FAMILY_OUTBOX, bytes_text(&key));
		}
		row->outbox_next++;
	}
}

void batch_news(struct store_batch *batch, struct epoch_row *row, const struct bytes *rows,
		const struct bytes *announcements)
{
	assert(!rows->failed && !announcements->failed);
	batch_rows(batch, rows);
	batch_outbox(batch, row, announcements);
}

void batch_epoch_row(struct store_batch *batch, const struct epoch_row *row)
{
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	epoch_key(&key);
	epoch_encode(row, &value);
	store_batch_put(batch, FAMILY_POSITION, bytes_text(&key), bytes_text(&value));
}

/* Cells are in the batch: the match rows before it are no longer needed. */
static void batch_forget_matches(struct committer *committer, struct store_batch *batch)
{
	struct cursor cursor = cursor_of(bytes_text(&committer->match_keys));
	while (cursor_left(&cursor) > 0)
		store_batch_delete(batch, FAMILY_MATCH, cursor_text(&cursor));
	bytes_clear(&committer->match_keys);
}

/* True when the epoch holds anything that must be written. */
static bool epoch_matters(const struct committer *committer, struct parcel *const *parcels,
			  unsigned worker_count, struct verdicts *const *verdicts,
			  unsigned actor_count)
{
	bool matters = parcels[0]->final ||
		       verdicts[0]->watermark_us != committer->row.watermark_us ||
		       parcels[0]->next_hash != committer->row.ruleset_hash;
	matters = matters || (parcels[0]->checkpoint && committer->match_keys.size > 0);
	for (unsigned i = 0; i < worker_count; i++)
		matters = matters || detected_bytes(&parcels[i]->detected) > 0;
	for (unsigned i = 0; i < actor_count; i++)
		matters = matters || verdicts[i]->rows.size > 0;
	return matters;
}

static void batch_epoch(struct runtime *runtime, struct store_batch *batch,
			struct parcel *const *parcels, struct verdicts *const *verdicts,
			struct epoch_row *row)
{
	struct committer *committer = &runtime->committer;
	uint64_t epoch = parcels[0]->epoch;
	assert(epoch > row->epoch); /* in order, never twice */
	if (parcels[0]->checkpoint)
		batch_forget_matches(committer, batch);
	for (unsigned i = 0; i < runtime->options.worker_count; i++) {
		const struct detected *detected = &parcels[i]->detected;
		assert(parcels[i]->epoch == epoch &&
		       parcels[i]->checkpoint == parcels[0]->checkpoint);
		batch_news(batch, row, &detected->rows, &parcels[i]->announcements);
		for (unsigned k = 0; !parcels[0]->checkpoint && k < detected->actor_count; k++) {
			const unsigned place[2] = {i, k};
			batch_match(committer, batch, epoch, 'm', place, &detected->records[k]);
			batch_match(committer, batch, epoch, 'a', place, &detected->aggregates[k]);
			batch_match(committer, batch, epoch, 's', place, &detected->sightings[k]);
		}
	}
	for (unsigned i = 0; i < runtime->options.actor_count; i++) {
		assert(verdicts[i]->epoch == epoch &&
		       verdicts[i]->watermark_us == verdicts[0]->watermark_us);
		batch_news(batch, row, &verdicts[i]->rows, &verdicts[i]->announcements);
	}
	row->epoch = epoch;
	row->watermark_us = verdicts[0]->watermark_us;
	row->ruleset_hash = parcels[0]->next_hash;
	row->committed_us = runtime->options.clock.now_us(runtime->options.clock.context);
	if (parcels[0]->checkpoint)
		row->checkpoint_epoch = epoch;
	else
		batch_watermark(committer, batch, epoch, row->watermark_us);
	batch_epoch_row(batch, row);
}

static void set_disk_full(struct runtime *runtime, bool full)
{
	(void)pthread_mutex_lock(&runtime->status_mutex);
	runtime->status.disk_full = full;
	(void)pthread_mutex_unlock(&runtime->status_mutex);
}

/* Commits, waiting for room while the disk is full. */
static enum status commit_patiently(struct runtime *runtime, struct store_batch *batch, bool sync,
				    struct error *err)
{
	for (;;) {
		enum status status = store_batch_commit(batch, sync, err);
		set_disk_full(runtime, status == ENOSPACE);
		if (status != ENOSPACE || atomic_load(&runtime->stopping))
			return status;
		(void)poll(NULL, 0, RETRY_MS);
	}
}

/* Under status_mutex. */
static void status_update(struct runtime *runtime, struct parcel *const *parcels,
			  struct verdicts *const *verdicts)
{
	struct runtime_status *status = &runtime->status;
	bool finished = true;
	status->epoch = runtime->committer.row.epoch;
	status->watermark_us = runtime->committer.row.watermark_us;
	status->committed_us = runtime->committer.row.committed_us;
	status->actors = (struct actor_counters){0};
	status->instances = (struct instances_counters){0};
	status->undecided = status->excluded = status->crashed = 0;
	status->routes = (struct route_counters){0};
	status->enrich = (struct enrich_counters){0};
	for (unsigned i = 0; i < runtime->options.worker_count; i++) {
		const struct route_counters *routes = &parcels[i]->counters.routes;
		finished = finished && parcels[i]->finished;
		status->undecided += parcels[i]->counters.undecided;
		status->excluded += parcels[i]->counters.excluded;
		status->crashed += parcels[i]->counters.refused;
		status->routes.records += routes->records;
		enrich_counters_add(&status->enrich, &parcels[i]->counters.enrich);
		status->routes.group_field_missing += routes->group_field_missing;
		status->routes.group_values_cut += routes->group_values_cut;
	}
	for (unsigned i = 0; i < runtime->options.actor_count; i++) {
		const struct actor_counters *from = &verdicts[i]->counters;
		struct actor_counters *to = &status->actors;
		const struct instances_counters *seen = &verdicts[i]->instances;
		status->instances.missing += seen->missing;
		status->instances.replayed += seen->replayed;
		status->instances.restarts += seen->restarts;
		status->instances.silences += seen->silences;
		status->instances.refused += seen->refused;
		status->instances.folded_early += seen->folded_early;
		status->instances.gaps_forgotten += seen->gaps_forgotten;
		status->instances.copies += seen->copies;
		status->instances.ids_forgotten += seen->ids_forgotten;
		status->alerts_opened += verdicts[i]->alerts_opened;
		actor_counters_add(to, from);
	}
	if (finished && status->state == RUNTIME_RUNNING && verdicts[0]->watermark_us == INT64_MAX)
		status->state = RUNTIME_FINISHED;
}

/* Under status_mutex. */
static void tallies_update(struct runtime *runtime, struct parcel *const *parcels,
			   struct verdicts *const *verdicts)
{
	struct rule_tallies *tallies = &runtime->tallies;
	if (parcels[0]->checkpoint)
		rule_tallies_clear_groups(tallies);
	for (unsigned i = 0; i < runtime->options.worker_count; i++)
		rule_tallies_add(tallies, bytes_text(&parcels[i]->rule_news));
	for (unsigned i = 0; i < runtime->options.actor_count; i++)
		rule_tallies_add(tallies, bytes_text(&verdicts[i]->rule_news));
	/* Without memory the next epoch tries again: until then new rules are not counted. */
	(void)rule_tallies_follow(tallies, parcels[0]->next->parts.ruleset);
}

/* Tells the sources, keeps the parcels for status and frees what is no longer needed. */
static void epoch_done(struct runtime *runtime, struct parcel **parcels, struct verdicts **verdicts,
		       bool written)
{
	uint64_t epoch = parcels[0]->epoch;
	for (unsigned i = 0; i < runtime->options.worker_count; i++) {
		struct source *source = runtime->workers[i].source;
		for (size_t k = 0; written && k < parcels[i]->partition_count; k++)
			source->ops->committed(source, (uint32_t)k,
					       parcels[i]->partitions[k].row.next_offset);
		detected_done(&parcels[i]->detected);
	}
	(void)pthread_mutex_lock(&runtime->status_mutex);
	status_update(runtime, parcels, verdicts);
	tallies_update(runtime, parcels, verdicts);
	for (unsigned i = 0; i < runtime->options.worker_count; i++) {
		parcel_free(&runtime->latest[i]);
		runtime->latest[i] = TAKE(parcels[i]);
	}
	(void)pthread_mutex_unlock(&runtime->status_mutex);
	for (unsigned i = 0; i < runtime->options.actor_count; i++)
		shard_verdicts_free(&verdicts[i]);
	epoch_gate_committed(&runtime->gate, epoch);
}

/* The epoch is on disk; a file beside the store says so, to notice a store that loses it. Not being
 * able to write the file loses nothing but that notice. */
static void remember_synced(struct runtime *runtime, uint64_t epoch)
{
	struct error err = {0};
	enum status status = OK;
	if (runtime->options.synced_path == NULL)
		return;
	(void)pthread_mutex_lock(&runtime->synced_mutex);
	if (epoch > runtime->synced_epoch)
		status = synced_epoch_write(runtime->options.synced_path, epoch, &err);
	if (epoch > runtime->synced_epoch && status == OK)
		runtime->synced_epoch = epoch;
	(void)pthread_mutex_unlock(&runtime->synced_mutex);
	if (status != OK)
		runtime_problem(runtime, text_of(err.text),
				runtime->options.clock.now_us(runtime->options.clock.context));
}

enum status runtime_commit(struct runtime *runtime, struct store_batch *batch, struct error *err)
{
	(void)pthread_mutex_lock(&runtime->status_mutex);
	uint64_t epoch = runtime->status.epoch;
	(void)pthread_mutex_unlock(&runtime->status_mutex);
	enum status status = store_batch_commit(batch, true, err);
	if (status == OK)
		remember_synced(runtime, epoch);
	return status;
}

static enum status commit_epoch(struct runtime *runtime, struct parcel **parcels,
				struct verdicts **verdicts, struct error *err)
{
	struct committer *committer = &runtime->committer;
	bool matters = epoch_matters(committer, parcels, runtime->options.worker_count, verdicts,
				     runtime->options.actor_count);
	if (matters) {
		struct store_batch *batch cleanup(store_batch_free) =
			store_batch_new(runtime->options.store);
		if (batch == NULL)
			return ENOMEMORY;
		struct epoch_row row = committer->row;
		bool sync = parcels[0]->checkpoint;
		batch_epoch(runtime, batch, parcels, verdicts, &row);
		enum status status = committer->match_keys.failed
					     ? ENOMEMORY
					     : commit_patiently(runtime, batch, sync, err);
		if (status != OK)
			return status;
		if (sync)
			remember_synced(runtime, row.epoch);
		committer->row = row;
	}
	epoch_done(runtime, parcels, verdicts, matters);
	return OK;
}

static bool all_there(void *const *row, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (row[i] == NULL)
			return false;
	return true;
}

/* Files what came; true when it asks for an early epoch. */
static bool committer_receive(struct runtime *runtime)
{
	struct committer *committer = &runtime->committer;
	struct item *item = queue_pop(committer->inbox, INBOX_TIMEOUT_MS);
	if (item == NULL || item->kind == ITEM_NUDGE)
		return item != NULL;
	if (item->kind == ITEM_PARCEL) {
		struct parcel *parcel = (struct parcel *)item;
		struct parcel **slot = &committer->parcels[epoch_slot(parcel->epoch) *
								   runtime->options.worker_count +
							   parcel->worker];
		assert(*slot == NULL); /* at most RUNTIME_EPOCHS_MAX epochs are in flight */
		*slot = parcel;
	} else {
		assert(item->kind == ITEM_VERDICTS);
		struct verdicts *verdicts = (struct verdicts *)item;
		struct verdicts **slot = &committer->verdicts[epoch_slot(verdicts->epoch) *
								      runtime->options.actor_count +
							      verdicts->shard];
		assert(*slot == NULL);
		*slot = verdicts;
	}
	return false;
}

void *committer_main(void *argument)
{
	struct runtime *runtime = argument;
	struct committer *committer = &runtime->committer;
	unsigned workers = runtime->options.worker_count;
	unsigned actors = runtime->options.actor_count;
	uint64_t epoch = committer->row.epoch + 1;
	bool final = false;
	while (!final && !epoch_gate_failed(&runtime->gate)) {
		open_gate(runtime, committer_receive(runtime));
		struct parcel **parcels = &committer->parcels[epoch_slot(epoch) * workers];
		struct verdicts **verdicts = &committer->verdicts[epoch_slot(epoch) * actors];
		if (!all_there((void *const *)parcels, workers) ||
		    !all_there((void *const *)verdicts, actors))
			continue;
		struct error err = {0};
		final = parcels[0]->final;
		journal_enter(runtime->journal);
		enum status status = commit_epoch(runtime, parcels, verdicts, &err);
		journal_exit(runtime->journal);
		if (status != OK) {
			if (err.text[0] == '\0')
				(void)error_set(&err, status, "%s", status_text(status));
			(void)error_wrap(&err, status, "committing epoch %llu",
					 (unsigned long long)epoch);
			runtime_fail(runtime, &err);
		}
		epoch++;
	}
	return NULL;
}
