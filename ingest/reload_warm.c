/* Warming around a swap and at a start (warm.h says what warming is).
 *
 *   warm_begin()     before the swap, beside the running engine: what is committed so far
 *   warm_take()      a shard, behind the last epoch E of the old rules: waits
 *   warm_finish()    when E is committed: the rest, which is little; the alerts of history are
 *                    written, and the shards go on
 *
 * While the shards wait, up to RUNTIME_EPOCHS_MAX epochs queue up and the polling stops: nothing is
 * lost, and the pause is as long as it takes to read what was committed since warm_begin().
 *
 * What was warmed is stored before the shards go on, and stands there until the next checkpoint has
 * it: a start in between takes it from there, and replays on top of it. A checkpoint says which
 * rules' state it holds. At a start with other rules, and after a crash before the warming was
 * stored, those it does not name are warmed from all that is committed by then; what the replay of
 * the match rows made of them is dropped, since it begins in the middle. A store whose checkpoints
 * say nothing is older than this: all are known. */
#include <assert.h>
#include <stdlib.h>

#include "ingest/runtime_private.h"
#include "ingest/spill_rows.h"
#include "ingest/warm.h"

enum status warm_known_encode(const struct plan *plan, struct bytes *to)
{
	size_t count = 0;
	uint64_t *ids = state_ids(plan, &count);
	if (ids == NULL)
		return ENOMEMORY;
	for (size_t i = 0; i < count; i++)
		bytes_put_u64le(to, ids[i]);
	free(ids);
	return bytes_status(to);
}

static void tell_failure(struct runtime *runtime, const struct error *failure)
{
	struct wall_clock clock = runtime->options.clock;
	if (failure->status != ECLOSED)
		runtime_problem(runtime, text_of(failure->text), clock.now_us(clock.context));
}

/* What people are told: whose rules wait, and how far they are. next NULL: nobody's. */
static void warming_tell(struct runtime *runtime, struct generation *next)
{
	struct epoch_gate *gate = &runtime->gate;
	(void)pthread_mutex_lock(&gate->mutex);
	struct generation *before cleanup(generation_drop) = TAKE(gate->warming);
	(void)before; /* dropped when this returns */
	gate->warming = next == NULL ? NULL : generation_hold(next);
	atomic_store(&runtime->warming_percent, next == NULL ? -1 : 0);
	(void)pthread_mutex_unlock(&gate->mutex);
}

void warm_over(struct runtime *runtime)
{
	warming_tell(runtime, NULL);
}

struct generation *runtime_warming(struct runtime *runtime, int *ret_percent)
{
	struct epoch_gate *gate = &runtime->gate;
	(void)pthread_mutex_lock(&gate->mutex);
	struct generation *warming = gate->warming == NULL ? NULL : generation_hold(gate->warming);
	int percent = atomic_load(&runtime->warming_percent);
	(void)pthread_mutex_unlock(&gate->mutex);
	if (warming != NULL)
		*ret_percent = percent;
	return warming;
}

/* The rules of next that `known` does not name. */
static enum status find_cold(struct generation *next, const struct unit_filter *known,
			     struct error *err)
{
	free(next->cold);
	next->cold = state_ids_new(next->plan, known, &next->cold_count);
	return next->cold != NULL ? OK : error_set(err, ENOMEMORY, "no memory to warm rules");
}

/* The warming of the cold rules, read as far as it is committed. */
static enum status warming_start(struct runtime *runtime, struct generation *next,
				 struct error *err)
{
	struct warming *warming cleanup(warming_free) = NULL;
	const struct unit_filter cold = generation_cold(next);
	const struct warming_options options = {.store = runtime->options.store,
						.next = next,
						.cold = cold,
						.only_open = runtime->rebuilt.status != OK,
						.stopping = &runtime->stopping,
						.percent = &runtime->warming_percent};
	enum status status = cold.count == 0 ? OK : warming_new(&options, &warming, err);
	if (status != OK || warming == NULL)
		return status;
	warming_tell(runtime, next);
	status = warming_read(warming, err);
	if (status == OK)
		next->warming = TAKE(warming);
	return status;
}

void warm_begin(struct runtime *runtime, struct generation *next)
{
	struct generation *before cleanup(generation_drop) = runtime_rules(runtime);
	struct error failure = {0};
	size_t count = 0;
	uint64_t *ids = state_ids(before->plan, &count);
	const struct unit_filter known = {.ids = ids, .count = count};
	enum status status = ids == NULL ? ENOMEMORY : find_cold(next, &known, &failure);
	free(ids);
	if (status == OK)
		status = warming_start(runtime, next, &failure);
	if (status != OK)
		tell_failure(runtime, &failure);
	if (next->warming == NULL)
		warm_over(runtime);
	next->warmth = next->warming == NULL ? WARMTH_NONE : WARMTH_PENDING;
	next->takers = runtime->options.actor_count;
}

/* What the shards are about to take: until the next checkpoint a start finds it here, and replays
 * what came since on top of it. */
static enum status put_warmed(const struct warming *warming, struct bytes *rows)
{
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes cells cleanup(bytes_done) = {0};
	enum status status = OK;
	for (unsigned i = 0; status == OK && i < VIRTUAL_PARTITIONS; i++) {
		bytes_clear(&key);
		bytes_clear(&cells);
		status = warming_cells(warming, (uint8_t)i, &cells);
		cell_row_key('x', (uint8_t)i, &key);
		rows_put(rows, FAMILY_CELL, bytes_text(&key), bytes_text(&cells));
	}
	return status == OK ? bytes_status(rows) : status;
}

static enum status write_warmed(struct runtime *runtime, const struct warming *warming,
				bool cells_too, struct error *err)
{
	struct bytes rows cleanup(bytes_done) = {0};
	enum status status = warming_alerts(warming, &rows);
	if (status == OK && cells_too)
		status = put_warmed(warming, &rows);
	struct store_batch *batch cleanup(store_batch_free) =
		store_batch_new(runtime->options.store);
	if (status != OK || batch == NULL)
		return error_set(err, ENOMEMORY, "no memory for the alerts of history");
	struct cursor from = cursor_of(bytes_text(&rows));
	enum store_family family;
	struct text key = {0};
	struct text value = {0};
	if (rows.size == 0)
		return OK;
	while (rows_next(&from, &family, &key, &value))
		store_batch_put(batch, family, key, value);
	return store_batch_commit(batch, true, err);
}

void warm_finish(struct runtime *runtime, struct generation *next)
{
	struct epoch_gate *gate = &runtime->gate;
	struct error failure = {0};
	if (next->warming == NULL)
		return;
	(void)pthread_mutex_lock(&gate->mutex);
	while (gate->retired != NULL && !gate->failed)
		(void)pthread_cond_wait(&gate->changed, &gate->mutex);
	bool failed = gate->failed;
	(void)pthread_mutex_unlock(&gate->mutex);
	enum status status = failed ? ECLOSED : warming_finish(next->warming, &failure);
	if (status != OK && !failed)
		tell_failure(runtime, &failure);
	if (status == OK) {
		status = write_warmed(runtime, next->warming, true, &failure);
		if (status != OK)
			runtime_fail(runtime, &failure); /* as any commit that fails */
	}
	(void)pthread_mutex_lock(&gate->mutex);
	next->warmth = status == OK ? WARMTH_READY : WARMTH_NONE;
	struct warming *useless cleanup(warming_free) = NULL;
	if (status != OK)
		useless = TAKE(next->warming);
	(void)pthread_cond_broadcast(&gate->changed);
	(void)pthread_mutex_unlock(&gate->mutex);
	warm_over(runtime);
}

/* The cells of the shard's partitions. */
static enum status cells_take(const struct shard *shard, const struct generation *from,
			      struct actor *to, struct error *err)
{
	const struct unit_filter cold = generation_cold(from);
	unsigned step = shard->runtime->options.actor_count;
	struct bytes cells cleanup(bytes_done) = {0};
	enum status status = OK;
	for (unsigned i = shard->index; status == OK && i < VIRTUAL_PARTITIONS; i += step) {
		bytes_clear(&cells);
		status = warming_cells(from->warming, (uint8_t)i, &cells);
		if (status == OK)
			status = actor_adopt(to, bytes_text(&cells), &cold, err);
	}
	return status;
}

enum status warm_take(struct shard *shard, struct generation *next, struct actor *actor,
		      struct error *err)
{
	struct epoch_gate *gate = &shard->runtime->gate;
	(void)pthread_mutex_lock(&gate->mutex);
	while (next->warmth == WARMTH_PENDING && !gate->failed)
		(void)pthread_cond_wait(&gate->changed, &gate->mutex);
	bool ready = next->warmth == WARMTH_READY;
	(void)pthread_mutex_unlock(&gate->mutex);
	enum status status = ready ? cells_take(shard, next, actor, err) : OK;
	struct warming *done = NULL;
	(void)pthread_mutex_lock(&gate->mutex);
	if (ready && --next->takers == 0)
		done = TAKE(next->warming);
	(void)pthread_mutex_unlock(&gate->mutex);
	warming_free(&done);
	return status;
}

/* --- at a start */

static void actor_done(struct actor **actor)
{
	actor_free(actor);
}

/* The shard's actor without the cold rules' cells of the replay, with those of the warming. */
static enum status shard_warm(struct shard *shard, const struct generation *rules,
			      struct error *err)
{
	struct unit_filter others = generation_cold(rules);
	unsigned step = shard->runtime->options.actor_count;
	struct bytes cells cleanup(bytes_done) = {0};
	struct spill_rows *spill cleanup(spill_rows_free) = NULL; /* behind the actor's end */
	struct actor *actor cleanup(actor_done) = NULL;
	others.except = true;
	enum status status = shard_actor_new(shard, rules->plan, &actor, &spill, err);
	for (unsigned i = shard->index; status == OK && i < VIRTUAL_PARTITIONS; i += step) {
		bytes_clear(&cells);
		status = actor_checkpoint(shard->actor, (uint8_t)i, &cells);
		if (status == OK)
			status = actor_adopt(actor, bytes_text(&cells), &others, err);
	}
	if (status == OK)
		status = cells_take(shard, rules, actor, err);
	if (status != OK)
		return status;
	actor_free(&shard->actor);
	spill_rows_free(&shard->spill);
	shard->actor = TAKE(actor);
	shard->spill = TAKE(spill);
	return OK;
}

/* The rules whose state the last checkpoint holds. */
enum known_rules {
	KNOWN_LISTED, /* those of `ids` */
	KNOWN_NONE,   /* there is no checkpoint, and other rules ran */
	KNOWN_ALL,    /* the checkpoint is older than the list, or these rules made it all */
};
struct known {
	enum known_rules which;
	uint64_t *ids; /* ascending; on the heap */
	size_t count;
};

static void known_done(struct known *known)
{
	free(known->ids);
}

static enum status known_decode(struct text row, struct known *known, struct error *err)
{
	known->ids = calloc(row.size / sizeof *known->ids + 1, sizeof *known->ids);
	struct cursor from = cursor_of(row);
	if (known->ids == NULL)
		return ENOMEMORY;
	while (!from.failed && cursor_left(&from) > 0) {
		uint64_t id = cursor_u64le(&from);
		if (from.failed || (known->count > 0 && id <= known->ids[known->count - 1]))
			from.failed = true;
		else
			known->ids[known->count++] = id;
	}
	if (from.failed)
		return error_set(err, ECORRUPT,
				 "the list of rules whose state is stored is damaged");
	return OK;
}

static enum status known_read(struct runtime *runtime, struct known *known, struct error *err)
{
	struct bytes row cleanup(bytes_done) = {0};
	struct bytes key cleanup(bytes_done) = {0};
	cell_row_key('w', 0, &key);
	enum status status =
		store_get(runtime->options.store, FAMILY_CELL, bytes_text(&key), &row, err);
	bool begun = runtime->committer.row.checkpoint_epoch > 0;
	if (status == ENOTFOUND) {
		known->which = begun || !recover_other_rules(runtime) ? KNOWN_ALL : KNOWN_NONE;
		return OK;
	}
	known->which = KNOWN_LISTED;
	if (status == OK && row.size == 0)
		(void)!error_set(&runtime->rebuilt, ECORRUPT,
				 "an earlier start could not read what rules remembered");
	return status == OK ? known_decode(bytes_text(&row), known, err) : status;
}

/* What was warmed behind the last checkpoint, if anything was. */
static enum status take_warmed(struct runtime *runtime, const struct unit_filter *unknown,
			       bool *found, struct error *err)
{
	struct bytes row cleanup(bytes_done) = {0};
	struct bytes key cleanup(bytes_done) = {0};
	enum status status = OK;
	for (unsigned i = 0; status == OK && i < VIRTUAL_PARTITIONS; i++) {
		struct shard *shard = &runtime->shards[i % runtime->options.actor_count];
		bytes_clear(&key);
		cell_row_key('x', (uint8_t)i, &key);
		status =
			store_get(runtime->options.store, FAMILY_CELL, bytes_text(&key), &row, err);
		if (status == OK && row.size > 0) {
			*found = true;
			status = actor_adopt(shard->actor, bytes_text(&row), unknown, err);
		}
		status = status == ENOTFOUND ? OK : status;
	}
	return status;
}

enum status recover_warmed(struct runtime *runtime, struct error *err)
{
	struct generation *rules = runtime->gate.current;
	struct known known cleanup(known_done) = {0};
	enum status status = known_read(runtime, &known, err);
	const struct unit_filter named = {.ids = known.ids, .count = known.count};
	const struct unit_filter unknown = {.ids = known.ids, .count = known.count, .except = true};
	bool found = false;
	if (status == OK && known.which == KNOWN_LISTED)
		status = take_warmed(runtime, &unknown, &found, err);
	bool warm = known.which == KNOWN_ALL || (found && !recover_other_rules(runtime));
	return status == OK && !warm ? find_cold(rules, &named, err) : status;
}

enum status recover_warm(struct runtime *runtime, bool *ret_warmed, struct error *err)
{
	struct generation *rules = runtime->gate.current;
	struct error failure = {0};
	enum status status = warming_start(runtime, rules, &failure);
	if (status == OK && rules->warming != NULL)
		status = warming_finish(rules->warming, &failure);
	warm_over(runtime);
	if (status != OK) { /* they begin with what the replay knows of them */
		tell_failure(runtime, &failure);
		warming_free(&rules->warming);
		return OK;
	}
	*ret_warmed = rules->warming != NULL;
	if (rules->warming != NULL)
		status = write_warmed(runtime, rules->warming, false, err);
	for (unsigned i = 0;
	     status == OK && rules->warming != NULL && i < runtime->options.actor_count; i++)
		status = shard_warm(&runtime->shards[i], rules, err);
	warming_free(&rules->warming);
	return status;
}
