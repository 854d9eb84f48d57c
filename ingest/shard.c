/* The shard: one actor and one cohort, on one thread; stops 7 and 8 of the journey.
 *
 * An epoch is folded when the parcels of all workers are there. Chained rules may fire into groups
 * of other shards, so each of the plan's rounds ends with one letter to every shard (an empty one
 * says "nothing from me"): nobody closes an epoch while a firing is still under way. */
#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "correlate/signal.h"
#include "ingest/runtime_private.h"
#include "ingest/spill_rows.h"

enum { INBOX_TIMEOUT_MS = 50 };

enum status shard_init(struct shard *shard, struct runtime *runtime, unsigned index,
		       struct error *err)
{
	const struct runtime_options *options = &runtime->options;
	assert(index < options->actor_count);
	size_t slots = RUNTIME_EPOCHS_MAX + 1;
	*shard = (struct shard){.runtime = runtime, .index = index};
	shard->epoch = runtime->committer.row.epoch + 1;
	shard->watermark_us = runtime->committer.row.watermark_us;
	shard->inbox = queue_new((options->worker_count + options->actor_count) * slots * 2);
	shard->parcels = calloc(slots * options->worker_count, sizeof *shard->parcels);
	shard->letters = calloc((size_t)2 * options->actor_count, sizeof *shard->letters);
	if (shard->inbox == NULL || shard->parcels == NULL || shard->letters == NULL)
		return ENOMEMORY;
	shard->rules = generation_hold(runtime->gate.current);
	enum status status = index == 0 ? spill_rows_clear(options->store, err) : OK;
	if (status == OK)
		status = shard_actor_new(shard, shard->rules->plan, &shard->actor, &shard->spill,
					 err);
	if (status == OK)
		status = cohort_new(index, options->actor_count, &shard->cohort, err);
	if (status == OK && options->track_instances)
		status = instances_new(index, options->actor_count, &shard->instances);
	if (status == OK && options->track_instances && options->replay_window_us > 0)
		status = instances_watch_ids(shard->instances, options->replay_window_us);
	return status;
}

static void letter_free(struct letter **letter)
{
	if (*letter == NULL)
		return;
	bytes_done(&(*letter)->records);
	free(*letter);
	*letter = NULL;
}

void shard_done(struct shard *shard)
{
	actor_free(&shard->actor);
	spill_rows_free(&shard->spill);
	generation_drop(&shard->rules);
	cohort_free(&shard->cohort);
	instances_free(&shard->instances);
	while (shard->inbox != NULL) {
		struct item *item = queue_pop(shard->inbox, 0);
		if (item == NULL)
			queue_free(&shard->inbox);
		else if (item->kind == ITEM_LETTER)
			letter_free(&(struct letter *){(struct letter *)item});
	}
	for (size_t i = 0;
	     shard->letters != NULL && i < (size_t)2 * shard->runtime->options.actor_count; i++)
		letter_free(&shard->letters[i]);
	free(shard->letters);
	free(shard->parcels); /* the parcels belong to the committer */
	*shard = (struct shard){0};
}

/* Takes one item out of the inbox; false when the runtime has failed. */
static bool shard_receive(struct shard *shard)
{
	unsigned workers = shard->runtime->options.worker_count;
	struct item *item = queue_pop(shard->inbox, INBOX_TIMEOUT_MS);
	if (item == NULL)
		return !epoch_gate_failed(&shard->runtime->gate);
	if (item->kind == ITEM_PARCEL) {
		struct parcel *parcel = (struct parcel *)item;
		struct parcel **slot =
			&shard->parcels[epoch_slot(parcel->epoch) * workers + parcel->worker];
		assert(*slot == NULL);
		*slot = parcel;
		return true;
	}
	assert(item->kind == ITEM_LETTER);
	struct letter *letter = (struct letter *)item;
	struct letter **slot =
		&shard->letters[(letter->sequence % 2) * shard->runtime->options.actor_count +
				letter->from];
	assert(*slot == NULL);
	*slot = letter;
	return true;
}

/* Waits until every place of the row is filled. */
static bool shard_wait(struct shard *shard, void *const *row, unsigned count)
{
	for (unsigned i = 0; i < count;) {
		if (row[i] != NULL)
			i++;
		else if (!shard_receive(shard))
			return false;
	}
	return true;
}

/* One letter to every shard with what this one produced for it. */
static enum status shard_send(struct shard *shard, struct bytes *by_actor)
{
	for (unsigned i = 0; i < shard->runtime->options.actor_count; i++) {
		struct letter *letter = calloc(1, sizeof *letter);
		if (letter == NULL || by_actor[i].failed) {
			free(letter);
			return ENOMEMORY;
		}
		*letter = (struct letter){.item.kind = ITEM_LETTER,
					  .epoch = shard->epoch,
					  .sequence = shard->sequence,
					  .from = shard->index,
					  .records = by_actor[i]};
		by_actor[i] = (struct bytes){0};
		queue_push(shard->runtime->shards[i].inbox, letter);
	}
	return OK;
}

static enum status shard_take_letters(struct shard *shard, struct error *err)
{
	unsigned actors = shard->runtime->options.actor_count;
	struct letter **row = &shard->letters[(shard->sequence % 2) * actors];
	if (!shard_wait(shard, (void *const *)row, actors))
		return ECLOSED;
	enum status status = OK;
	for (unsigned i = 0; i < actors; i++) {
		assert(row[i]->epoch == shard->epoch && row[i]->sequence == shard->sequence);
		if (status == OK)
			status = actor_feed(shard->actor, bytes_text(&row[i]->records), err);
		letter_free(&row[i]);
	}
	shard->sequence++;
	return status;
}

/* The rounds of one epoch: the letters of one are fed before the next is folded. */
static enum status shard_rounds(struct shard *shard, int64_t watermark_us, struct error *err)
{
	unsigned actors = shard->runtime->options.actor_count;
	unsigned rounds = plan_rounds(shard->rules->plan);
	struct bytes *by_actor = calloc(actors, sizeof *by_actor);
	if (by_actor == NULL)
		return ENOMEMORY;
	struct record_sink exchange = {by_actor, actors};
	enum status status = actor_round(shard->actor, shard->epoch, watermark_us, &exchange, err);
	for (unsigned round = 0; status == OK && round < rounds; round++) {
		status = shard_send(shard, by_actor);
		if (status == OK)
			status = shard_take_letters(shard, err);
		if (status == OK)
			status = actor_round(shard->actor, shard->epoch, watermark_us, &exchange,
					     err);
	}
	for (unsigned i = 0; i < actors; i++) {
		assert(status != OK || by_actor[i].size == 0); /* plan_rounds() was too small */
		bytes_done(&by_actor[i]);
	}
	free(by_actor);
	return status;
}

/* All input has ended: time goes to where the partition that reached furthest stands, and only in
 * the epoch after that to its end. A silence and a bucket count up to there, and what they prove
 * must not depend on how much of the input the last epoch happened to hold. */
static int64_t end_of_input(const struct shard *shard, struct parcel *const *row)
{
	int64_t furthest_us = INT64_MIN;
	for (unsigned i = 0; i < shard->runtime->options.worker_count; i++)
		for (size_t k = 0; k < row[i]->partition_count; k++)
			if (row[i]->partitions[k].row.watermark_us > furthest_us)
				furthest_us = row[i]->partitions[k].row.watermark_us;
	return shard->watermark_us < furthest_us ? furthest_us : INT64_MAX;
}

/* Feeds the parcels and finds the time: the smallest watermark, never going back. */
static enum status shard_feed(struct shard *shard, struct parcel **row, int64_t *ret_watermark_us,
			      struct error *err)
{
	unsigned workers = shard->runtime->options.worker_count;
	int64_t watermark_us = INT64_MAX;
	bool finished = true;
	enum status status = OK;
	for (unsigned i = 0; status == OK && i < workers; i++) {
		const struct detected *detected = &row[i]->detected;
		assert(row[i]->epoch == shard->epoch && row[i]->worker == i);
		assert(shard->index < detected->actor_count);
		finished = finished && row[i]->finished;
		if (row[i]->watermark_us < watermark_us)
			watermark_us = row[i]->watermark_us;
		status =
			actor_feed(shard->actor, bytes_text(&detected->records[shard->index]), err);
		if (status == OK)
			status = cohort_feed(shard->cohort,
					     bytes_text(&detected->aggregates[shard->index]), err);
		if (status == OK && shard->instances != NULL)
			status =
				instances_feed(shard->instances,
					       bytes_text(&detected->sightings[shard->index]), err);
	}
	if (watermark_us == INT64_MAX && finished)
		watermark_us = end_of_input(shard, row);
	bool nobody_holds_it = watermark_us == INT64_MAX && !finished;
	bool behind = watermark_us < shard->watermark_us;
	*ret_watermark_us = nobody_holds_it || behind ? shard->watermark_us : watermark_us;
	return status;
}

void shard_put_alerts(struct shard *shard, const struct unit_filter *of, struct verdicts *to)
{
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	size_t count = 0;
	const struct alert_change *changes = actor_changes(shard->actor, &count);
	for (size_t i = 0; i < count; i++) {
		const struct alert *alert = changes[i].alert;
		if (!unit_filter_takes(of, alert->state_id))
			continue;
		bytes_clear(&key);
		bytes_clear(&value);
		alert_key('a', text_of(alert->id), &key);
		alert_encode(alert, &value);
		rows_put(&to->rows, FAMILY_ALERT, bytes_text(&key), bytes_text(&value));
		if (changes[i].announce && alert->revision == 1) {
			to->alerts_opened++;
			rule_news_put(&to->rule_news,
				      &(struct rule_tally){.key = alert->rule_key, .opened = 1});
		}
		if (changes[i].announce && (alert->flags & (ALERT_BACKFILL | ALERT_SHADOW)) == 0) {
			bytes_put_text(&to->announcements, text_of(alert->id));
			bytes_put_varint(&to->announcements, alert->revision);
		}
		to->rows.failed = to->rows.failed || key.failed || value.failed;
	}
}

void verdicts_put_registry(struct verdicts *to, char kind, const struct text *names, size_t count,
			   int64_t time_us, const struct bytes *value)
{
	bytes_clear(&to->key);
	registry_key(kind, names, count, time_us, &to->key);
	rows_put(&to->rows, FAMILY_REGISTRY, bytes_text(&to->key), bytes_text(value));
	to->rows.failed = to->rows.failed || to->key.failed || value->failed;
}

/* Rows of one thing that was done stand together, whoever did it. */
static void put_traits(const struct cohort_changes *changes, struct verdicts *to)
{
	struct bytes name cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	for (size_t i = 0; i < changes->trait_count; i++) {
		const struct trait trait = cohort_trait(changes, i);
		bytes_clear(&name);
		bytes_clear(&value);
		trait_name(&trait, &name);
		trait_encode(&trait, &value);
		struct text names[] = {trait.shown.service, bytes_text(&name),
				       trait.shown.arm.version, trait.shown.arm.deploy_id};
		verdicts_put_registry(to, 't', names, 4, -1, &value);
		to->rows.failed = to->rows.failed || name.failed;
	}
}

static void put_cohorts(struct shard *shard, struct verdicts *to)
{
	struct bytes value cleanup(bytes_done) = {0};
	struct cohort_changes changes = cohort_changes(shard->cohort);
	for (size_t i = 0; i < changes.bucket_count; i++) {
		const struct bucket *bucket = &changes.buckets[i];
		bytes_clear(&value);
		bucket_encode(bucket, &value);
		verdicts_put_registry(to, 'b', &bucket->service, 1, bucket->start_us, &value);
	}
	for (size_t i = 0; i < changes.finding_count; i++) {
		const struct finding *finding = &changes.findings[i];
		struct text names[] = {finding->service, finding->arm.version,
				       finding->arm.deploy_id, finding->rule_key};
		bytes_clear(&value);
		finding_encode(finding, &value);
		verdicts_put_registry(to, 'f', names, 4, -1, &value);
	}
	for (size_t i = 0; i < changes.instance_count; i++) {
		const struct instance *instance = &changes.instances[i];
		struct text names[] = {instance->service, instance->arm.version,
				       instance->arm.deploy_id, instance->name};
		bytes_clear(&value);
		instance_encode(instance, &value);
		verdicts_put_registry(to, 'i', names, 4, -1, &value);
	}
	put_traits(&changes, to);
}

/* The state of one kind in one virtual partition. */
static enum status cell_bytes(struct shard *shard, unsigned kind, uint8_t virtual_partition,
			      struct bytes *to)
{
	switch (SHARD_CELL_KINDS[kind]) {
	case 'g':
		return cohort_checkpoint(shard->cohort, virtual_partition, to);
	default:
		break;
	}
	if (shard->instances == NULL)
		return OK;
	return SHARD_CELL_KINDS[kind] == 'n'
		       ? instances_checkpoint(shard->instances, virtual_partition, to)
		       : instances_ids_checkpoint(shard->instances, virtual_partition, to);
}

/* The state of every virtual partition of this shard that changed since the last checkpoint. */
static enum status put_cells(struct shard *shard, struct verdicts *to)
{
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	for (unsigned i = shard->index; i < VIRTUAL_PARTITIONS;
	     i += shard->runtime->options.actor_count) {
		enum status status =
			state_rows_put(&shard->state[i], shard->actor, (uint8_t)i, &to->rows);
		if (status != OK)
			return status;
		for (unsigned kind = 0; kind < sizeof SHARD_CELL_KINDS - 1; kind++) {
			bytes_clear(&key);
			bytes_clear(&value);
			status = cell_bytes(shard, kind, (uint8_t)i, &value);
			if (status != OK)
				return status;
			uint64_t hash = value.size == 0 ? 0 : XXH3_64bits(value.data, value.size);
			if (hash == shard->cell_hash[kind][i])
				continue;
			shard->cell_hash[kind][i] = hash;
			cell_row_key(SHARD_CELL_KINDS[kind], (uint8_t)i, &key);
			rows_put(&to->rows, FAMILY_CELL, bytes_text(&key), bytes_text(&value));
			to->rows.failed = to->rows.failed || key.failed || value.failed;
		}
	}
	return OK;
}

/* Whose state that is: a start warms the others (reload_warm.c). */
static enum status put_known(struct shard *shard, struct verdicts *to)
{
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	enum status status = warm_known_encode(shard->rules->plan, &value);
	uint64_t hash = status == OK ? XXH3_64bits(value.data, value.size) : 0;
	if (status != OK || hash == shard->known_hash)
		return status;
	shard->known_hash = hash;
	cell_row_key('w', 0, &key);
	rows_put(&to->rows, FAMILY_CELL, bytes_text(&key), bytes_text(&value));
	for (unsigned i = 0; i < VIRTUAL_PARTITIONS && !key.failed; i++) {
		bytes_clear(&key);
		cell_row_key('x', (uint8_t)i, &key);
		rows_put(&to->rows, FAMILY_CELL, bytes_text(&key), TEXT(""));
	}
	return bytes_status(&key);
}

void shard_verdicts_free(struct verdicts **verdicts)
{
	if (*verdicts == NULL)
		return;
	bytes_done(&(*verdicts)->rows);
	bytes_done(&(*verdicts)->key);
	bytes_done(&(*verdicts)->announcements);
	bytes_done(&(*verdicts)->rule_news);
	free(*verdicts);
	*verdicts = NULL;
}

/* Stops 7 and 8 for one epoch. */
static enum status shard_fold(struct shard *shard, struct parcel **row, struct error *err)
{
	static const struct unit_filter all = {.except = true};
	struct verdicts *verdicts cleanup(shard_verdicts_free) = calloc(1, sizeof *verdicts);
	if (verdicts == NULL)
		return ENOMEMORY;
	int64_t watermark_us = 0;
	enum status status = shard_feed(shard, row, &watermark_us, err);
	if (status == OK)
		status = shard_rounds(shard, watermark_us, err);
	if (status == OK)
		status = actor_close(shard->actor, shard->epoch, watermark_us, err);
	if (status == OK)
		status = cohort_close(shard->cohort, watermark_us, err);
	if (status == OK && shard->instances != NULL)
		status = shard_instances_close(shard, watermark_us, verdicts);
	if (status == OK && row[0]->next != shard->rules)
		status = actor_retire(shard->actor, row[0]->next->plan, err);
	if (status != OK)
		return status;
	assert(watermark_us >= shard->watermark_us);
	shard->watermark_us = watermark_us;
	shard_put_alerts(shard, &all, verdicts);
	shard_put_refusals(shard, watermark_us, verdicts);
	put_cohorts(shard, verdicts);
	if (row[0]->checkpoint)
		status = put_cells(shard, verdicts);
	if (status == OK && row[0]->checkpoint)
		status = shard_put_groups(shard, &verdicts->rule_news);
	if (status == OK && row[0]->checkpoint && shard->index == 0)
		status = put_known(shard, verdicts);
	if (status != OK || verdicts->rows.failed || verdicts->announcements.failed ||
	    verdicts->rule_news.failed)
		return status != OK ? status : ENOMEMORY;
	bytes_done(&verdicts->key);
	verdicts->item.kind = ITEM_VERDICTS;
	verdicts->epoch = shard->epoch;
	verdicts->shard = shard->index;
	verdicts->watermark_us = watermark_us;
	verdicts->counters = shard_counters(shard);
	if (shard->instances != NULL)
		verdicts->instances = instances_counters(shard->instances);
	/* The parcel lives until the verdicts are pushed, and the switch may wait for the commit.
	 */
	struct generation *next cleanup(generation_drop) = generation_hold(row[0]->next);
	queue_push(shard->runtime->committer.inbox, TAKE(verdicts));
	return shard_switch(shard, next, err);
}

void *shard_main(void *argument)
{
	struct shard *shard = argument;
	unsigned workers = shard->runtime->options.worker_count;
	struct error err = {0};
	bool final = false;
	while (!final) {
		struct parcel **row = &shard->parcels[epoch_slot(shard->epoch) * workers];
		if (!shard_wait(shard, (void *const *)row, workers))
			return NULL;
		final = row[0]->final;
		journal_enter(shard->runtime->journal);
		enum status status = shard_fold(shard, row, &err);
		journal_exit(shard->runtime->journal);
		if (status == ECLOSED)
			return NULL;
		if (status != OK) {
			if (err.text[0] == '\0')
				(void)error_set(&err, status, "correlation: %s",
						status_text(status));
			runtime_fail(shard->runtime, &err);
			return NULL;
		}
		memset(row, 0, workers * sizeof *row);
		shard->epoch++;
	}
	return NULL;
}
