#include "ingest/runtime.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "ingest/runtime_private.h"

static_assert((int)RUNTIME_WORKERS_MAX <= (int)JOURNAL_WORKERS_MAX, "each worker has a hand");

enum {
	EPOCH_MS = 100,
	CHECKPOINT_MS = 10000,
};
static const int64_t default_lateness_us = 10000000;

void runtime_fail(struct runtime *runtime, const struct error *failure)
{
	(void)pthread_mutex_lock(&runtime->status_mutex);
	if (runtime->status.state != RUNTIME_FAILED) {
		runtime->status.state = RUNTIME_FAILED;
		runtime->status.failure = *failure;
	}
	(void)pthread_mutex_unlock(&runtime->status_mutex);
	epoch_gate_fail(&runtime->gate);
}

void runtime_problem(struct runtime *runtime, struct text text, int64_t now_us)
{
	(void)pthread_mutex_lock(&runtime->status_mutex);
	(void)snprintf(runtime->status.problem, sizeof runtime->status.problem, "%.*s",
		       TEXT_ARG(text));
	runtime->status.problem_us = now_us;
	(void)pthread_mutex_unlock(&runtime->status_mutex);
}

static struct runtime_options with_defaults(const struct runtime_options *options)
{
	struct runtime_options filled = *options;
	assert(options->worker_count > 0 && options->worker_count <= RUNTIME_WORKERS_MAX);
	assert(options->actor_count > 0 && options->actor_count <= RUNTIME_ACTORS_MAX);
	if (filled.epoch_ms == 0)
		filled.epoch_ms = EPOCH_MS;
	if (filled.checkpoint_ms == 0)
		filled.checkpoint_ms = CHECKPOINT_MS;
	if (filled.lateness_us == 0)
		filled.lateness_us = default_lateness_us;
	return filled;
}

static enum status load_identity(struct runtime *runtime, struct error *err)
{
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	identity_key(&key);
	enum status status =
		store_get(runtime->options.store, FAMILY_POSITION, bytes_text(&key), &value, err);
	if (status != OK)
		return error_wrap(err, status, "the store has no identity row");
	struct identity_row row = {0};
	status = identity_decode(bytes_text(&value), &row, err);
	if (status == OK)
		memcpy(runtime->hash_key.bytes, row.hash_key, sizeof row.hash_key);
	return status;
}

static enum status load_epoch(struct runtime *runtime, struct error *err)
{
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	epoch_key(&key);
	runtime->committer.row = (struct epoch_row){.watermark_us = INT64_MIN};
	enum status status =
		store_get(runtime->options.store, FAMILY_POSITION, bytes_text(&key), &value, err);
	if (status == OK)
		status = epoch_decode(bytes_text(&value), &runtime->committer.row, err);
	else if (status == ENOTFOUND)
		status = OK;
	runtime->status.epoch = runtime->committer.row.epoch;
	runtime->status.watermark_us = runtime->committer.row.watermark_us;
	runtime->status.committed_us = runtime->committer.row.committed_us;
	return status;
}

/* A store below the last synced epoch lost what it had promised to keep: say so, once per loss. */
static enum status note_rewound(struct runtime *runtime, struct error *err)
{
	struct epoch_row *row = &runtime->committer.row;
	uint64_t synced = runtime->options.synced_path == NULL
				  ? 0
				  : recover_synced_epoch(runtime->options.synced_path);
	if (synced <= row->epoch)
		return OK;
	runtime->status.rewound = true;
	char reason[512];
	(void)snprintf(reason, sizeof reason,
		       "the store ends at epoch %llu but epoch %llu was on disk: it was damaged or "
		       "restored from a copy; the missing records are consumed again from Kafka",
		       (unsigned long long)row->epoch, (unsigned long long)synced);
	struct bytes rows cleanup(bytes_done) = {0};
	struct bytes announcements cleanup(bytes_done) = {0};
	health_alert(&(struct health_note){.kind = HEALTH_STORE_REWOUND,
					   .subject = TEXT("store"),
					   .reason = text_of(reason),
					   .epoch = row->epoch,
					   .time_us = (int64_t)synced},
		     &rows, &announcements);
	struct store_batch *batch cleanup(store_batch_free) =
		store_batch_new(runtime->options.store);
	if (batch == NULL || rows.failed || announcements.failed)
		return ENOMEMORY;
	batch_news(batch, row, &rows, &announcements);
	batch_epoch_row(batch, row);
	return store_batch_commit(batch, true, err);
}

static enum status allocate(struct runtime *runtime)
{
	size_t slots = RUNTIME_EPOCHS_MAX + 1;
	unsigned workers = runtime->options.worker_count;
	unsigned actors = runtime->options.actor_count;
	struct committer *committer = &runtime->committer;
	runtime->workers = calloc(workers, sizeof *runtime->workers);
	runtime->shards = calloc(actors, sizeof *runtime->shards);
	runtime->latest = calloc(workers, sizeof *runtime->latest);
	committer->inbox = queue_new((workers * 2 + actors) * slots);
	committer->parcels = calloc(slots * workers, sizeof *committer->parcels);
	committer->verdicts = calloc(slots * actors, sizeof *committer->verdicts);
	bool complete = runtime->workers && runtime->shards && runtime->latest &&
			committer->inbox && committer->parcels && committer->verdicts;
	return complete ? OK : ENOMEMORY;
}

static struct generation_parts parts_of(const struct runtime_options *options)
{
	return (struct generation_parts){options->ruleset, options->enrich.bindings,
					 options->enrich.privacy};
}

static enum status take_rules(struct runtime *runtime, struct error *err)
{
	const struct generation_parts parts = parts_of(&runtime->options);
	bool owned = runtime->options.takes_parts;
	runtime->options.takes_parts = false; /* the generation's from here on */
	return generation_new(&parts, owned, &runtime->hash_key, &runtime->gate.current, err);
}

/* A folder without room for the journal is no reason not to read: crashes are survived as before,
 * only a message that causes them is not put aside. */
static enum status open_journal(struct runtime *runtime)
{
	struct error err = {0};
	struct wall_clock clock = runtime->options.clock;
	if (runtime->options.journal_path == NULL)
		return OK;
	enum status status = journal_open(runtime->options.journal_path, runtime->positions,
					  runtime->position_count, &runtime->journal, &err);
	if (status == OK || status == ENOMEMORY)
		return status;
	runtime_problem(runtime, text_of(err.text), clock.now_us(clock.context));
	return OK;
}

static enum status prepare(struct runtime *runtime, struct error *err)
{
	enum status status = allocate(runtime);
	if (status == OK)
		status = load_identity(runtime, err);
	if (status == OK)
		status = load_epoch(runtime, err);
	if (status == OK)
		status = note_rewound(runtime, err);
	if (status == OK)
		status = take_rules(runtime, err);
	if (status == OK)
		status = rule_tallies_follow(&runtime->tallies,
					     runtime->gate.current->parts.ruleset);
	if (status == OK)
		status = recover_positions(runtime, err);
	if (status == OK)
		status = open_journal(runtime);
	for (unsigned i = 0; status == OK && i < runtime->options.actor_count; i++)
		status = shard_init(&runtime->shards[i], runtime, i, err);
	if (status == OK)
		status = recover_state(runtime, err);
	for (unsigned i = 0; status == OK && i < runtime->options.worker_count; i++)
		status = worker_init(&runtime->workers[i], runtime, i, err);
	return status;
}

static bool thread_start(pthread_t *thread, void *(*run)(void *), void *argument)
{
	return pthread_create(thread, NULL, run, argument) == 0;
}

static enum status start(struct runtime *runtime, struct error *err)
{
	struct committer *committer = &runtime->committer;
	struct wall_clock clock = runtime->options.clock;
	committer->opened_us = clock.now_us(clock.context);
	committer->checkpoint_us = committer->opened_us;
	epoch_gate_begin(&runtime->gate, committer->row.epoch);
	committer->started = thread_start(&committer->thread, committer_main, runtime);
	bool started = committer->started;
	for (unsigned i = 0; i < runtime->options.actor_count; i++) {
		struct shard *shard = &runtime->shards[i];
		shard->started = started && thread_start(&shard->thread, shard_main, shard);
		started = started && shard->started;
	}
	for (unsigned i = 0; i < runtime->options.worker_count; i++) {
		struct worker *worker = &runtime->workers[i];
		worker->started = started && thread_start(&worker->thread, worker_main, worker);
		started = started && worker->started;
	}
	if (started)
		return OK;
	epoch_gate_fail(&runtime->gate);
	return error_set(err, ESYSTEM, "cannot start a thread; see `ulimit -u`");
}

enum status runtime_new(const struct runtime_options *options, struct runtime **ret_runtime,
			struct error *err)
{
	struct runtime *runtime cleanup(runtime_free) = calloc(1, sizeof *runtime);
	if (runtime == NULL)
		return ENOMEMORY;
	runtime->options = with_defaults(options);
	atomic_init(&runtime->warming_percent, -1);
	int failed = pthread_mutex_init(&runtime->status_mutex, NULL) |
		     pthread_mutex_init(&runtime->gate.mutex, NULL) |
		     pthread_cond_init(&runtime->gate.changed, NULL) |
		     pthread_mutex_init(&runtime->synced_mutex, NULL);
	assert(failed == 0);
	enum status status = prepare(runtime, err);
	if (status == OK)
		status = start(runtime, err);
	if (status == OK)
		*ret_runtime = TAKE(runtime);
	return status;
}

static void join(pthread_t thread, bool *started)
{
	if (*started) {
		int failed = pthread_join(thread, NULL);
		assert(failed == 0);
	}
	*started = false;
}

void runtime_stop(struct runtime *runtime)
{
	atomic_store(&runtime->stopping, true);
	for (unsigned i = 0; runtime->workers != NULL && i < runtime->options.worker_count; i++)
		join(runtime->workers[i].thread, &runtime->workers[i].started);
	for (unsigned i = 0; runtime->shards != NULL && i < runtime->options.actor_count; i++)
		join(runtime->shards[i].thread, &runtime->shards[i].started);
	join(runtime->committer.thread, &runtime->committer.started);
}

/* What the committer still holds; a parcel may also be in its inbox. */
static void committer_done(struct runtime *runtime)
{
	struct committer *committer = &runtime->committer;
	size_t slots = RUNTIME_EPOCHS_MAX + 1;
	for (struct item *item; committer->inbox != NULL;) {
		item = queue_pop(committer->inbox, 0);
		if (item == NULL) {
			queue_free(&committer->inbox);
		} else if (item->kind == ITEM_PARCEL) {
			parcel_free(&(struct parcel *){(struct parcel *)item});
		} else if (item->kind == ITEM_VERDICTS) {
			shard_verdicts_free(&(struct verdicts *){(struct verdicts *)item});
		}
	}
	for (size_t i = 0; committer->parcels != NULL && i < slots * runtime->options.worker_count;
	     i++)
		parcel_free(&committer->parcels[i]);
	for (size_t i = 0; committer->verdicts != NULL && i < slots * runtime->options.actor_count;
	     i++)
		shard_verdicts_free(&committer->verdicts[i]);
	free(committer->parcels);
	free(committer->verdicts);
	bytes_done(&committer->match_keys);
}

void runtime_crashed(struct runtime *runtime)
{
	journal_crashed(runtime->journal);
}

void runtime_free(struct runtime **runtime)
{
	struct runtime *old = *runtime;
	if (old == NULL)
		return;
	runtime_stop(old);
	for (unsigned i = 0; old->shards != NULL && i < old->options.actor_count; i++)
		if (old->shards[i].runtime != NULL)
			shard_done(&old->shards[i]);
	committer_done(old);
	for (unsigned i = 0; old->latest != NULL && i < old->options.worker_count; i++)
		parcel_free(&old->latest[i]);
	for (unsigned i = 0; old->workers != NULL && i < old->options.worker_count; i++)
		worker_done(&old->workers[i]);
	for (size_t i = 0; i < old->position_count; i++)
		free((char *)old->positions[i].topic.data);
	free(old->positions);
	journal_free(&old->journal);
	free(old->workers);
	free(old->shards);
	free(old->latest);
	rule_tallies_done(&old->tallies);
	generation_drop(&old->gate.current);
	generation_drop(&old->gate.pending);
	generation_drop(&old->gate.warming);
	generation_drop(&old->gate.retired);
	struct generation_parts parts = parts_of(&old->options);
	if (old->options.takes_parts)
		generation_parts_free(&parts);
	(void)pthread_cond_destroy(&old->gate.changed);
	(void)pthread_mutex_destroy(&old->status_mutex);
	(void)pthread_mutex_destroy(&old->gate.mutex);
	(void)pthread_mutex_destroy(&old->synced_mutex);
	free(TAKE(*runtime));
}

static int partition_compare(const void *a, const void *b)
{
	const struct partition_status *left = a;
	const struct partition_status *right = b;
	int order = text_compare(left->row.topic, right->row.topic);
	if (order != 0)
		return order;
	return (left->row.partition > right->row.partition) -
	       (left->row.partition < right->row.partition);
}

static enum status copy_partitions(struct runtime *runtime, struct runtime_status *to)
{
	size_t count = 0;
	for (unsigned i = 0; i < runtime->options.worker_count; i++)
		count += runtime->latest[i] == NULL ? 0 : runtime->latest[i]->partition_count;
	to->partitions = calloc(count + 1, sizeof *to->partitions);
	if (to->partitions == NULL)
		return ENOMEMORY;
	for (unsigned i = 0; i < runtime->options.worker_count; i++) {
		const struct parcel *parcel = runtime->latest[i];
		for (size_t k = 0; parcel != NULL && k < parcel->partition_count; k++) {
			struct partition_status *copy = &to->partitions[to->partition_count];
			*copy = parcel->partitions[k];
			copy->row.topic.data = strndup(copy->row.topic.data, copy->row.topic.size);
			if (copy->row.topic.data == NULL)
				return ENOMEMORY;
			to->partition_count++;
		}
	}
	qsort(to->partitions, to->partition_count, sizeof *to->partitions, partition_compare);
	return OK;
}

enum status runtime_status(struct runtime *runtime, struct runtime_status *ret_status)
{
	struct runtime_status copy cleanup(runtime_status_done) = {0};
	(void)pthread_mutex_lock(&runtime->status_mutex);
	copy = runtime->status;
	copy.warming_percent = atomic_load(&runtime->warming_percent);
	unsigned most = journal_epoch_messages(runtime->journal);
	copy.epoch_messages = most == UINT_MAX ? 0 : most;
	if (runtime->journal != NULL)
		copy.suspects =
			journal_suspects(runtime->journal, copy.suspect, sizeof copy.suspect);
	enum status status = copy_partitions(runtime, &copy);
	(void)pthread_mutex_unlock(&runtime->status_mutex);
	if (status != OK)
		return status;
	*ret_status = copy;
	copy = (struct runtime_status){0}; /* the caller's now */
	return OK;
}

void runtime_status_done(struct runtime_status *status)
{
	for (size_t i = 0; i < status->partition_count; i++)
		free((char *)status->partitions[i].row.topic.data);
	free(status->partitions);
	status->partitions = NULL;
	status->partition_count = 0;
}

enum status runtime_rule_tallies(struct runtime *runtime, struct rule_tallies *ret_tallies)
{
	(void)pthread_mutex_lock(&runtime->status_mutex);
	enum status status = rule_tallies_copy(&runtime->tallies, ret_tallies);
	(void)pthread_mutex_unlock(&runtime->status_mutex);
	return status;
}
