/* Starting again: the store holds a prefix of epochs; memory becomes what it was at its end.
 *
 *  1. positions: each source partition starts at our own next offset.
 *  2. cells: every virtual partition as of the last checkpoint, to whichever shard owns it now.
 *  3. match rows above the checkpoint, epoch by epoch: records and aggregates are fed as they were,
 *     the rounds run, and the recorded watermark closes the epoch. What that raises was committed
 *     with the epoch the first time and is not written again. The last one must be the epoch the
 *     store ends with: rows that are missing would be alerts that never come.
 *
 * The file `synced` beside the store holds the last epoch that was on disk for certain. A store
 * that is older lost its newest writes (a damaged write-ahead log, a restored copy): that is
 * reported, and because positions are in the same batches, the lost epochs are consumed again. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ingest/runtime_private.h"

enum { SYNCED_BYTES = 32 };

uint64_t recover_synced_epoch(const char *path)
{
	char buffer[SYNCED_BYTES] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ssize_t size = read(fd, buffer, sizeof buffer - 1);
	(void)close(fd);
	return size <= 0 ? 0 : strtoull(buffer, NULL, 10);
}

enum status synced_epoch_write(const char *path, uint64_t epoch, struct error *err)
{
	char fresh[4096];
	char text[SYNCED_BYTES];
	int length = snprintf(fresh, sizeof fresh, "%s.new", path);
	int size = snprintf(text, sizeof text, "%" PRIu64 "\n", epoch);
	assert(length > 0 && (size_t)length < sizeof fresh && size > 0);
	int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	bool written = fd >= 0 && write(fd, text, (size_t)size) == size && fsync(fd) == 0;
	int error = errno;
	if (fd >= 0)
		(void)close(fd);
	if (!written || rename(fresh, path) != 0)
		return error_set(err, error == ENOSPC ? ENOSPACE : ESYSTEM,
				 "%s: cannot note the last synced epoch: %s", path,
				 strerror(written ? errno : error));
	return OK;
}

static enum status add_position(struct runtime *runtime, struct text key, struct text value,
				struct error *err)
{
	struct position_row row = {0};
	enum status status = position_decode(key, value, &row, err);
	if (status != OK)
		return status;
	char *topic = strndup(row.topic.data, row.topic.size);
	struct position_row *grown =
		realloc(runtime->positions, (runtime->position_count + 1) * sizeof *grown);
	if (grown != NULL)
		runtime->positions = grown;
	if (grown == NULL || topic == NULL) {
		free(topic);
		return ENOMEMORY;
	}
	row.topic.data = topic;
	runtime->positions[runtime->position_count++] = row;
	return OK;
}

enum status recover_positions(struct runtime *runtime, struct error *err)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	enum status status = store_scan_new(runtime->options.store, FAMILY_POSITION, TEXT("s"),
					    TEXT("s"), &scan, err);
	struct text key = {0};
	struct text value = {0};
	while (status == OK && store_scan_next(scan, &key, &value))
		status = add_position(runtime, key, value, err);
	return status != OK ? status : store_scan_status(scan, err);
}

static enum status restore_cell(struct shard *shard, char kind, uint8_t virtual_partition,
				struct text value, struct error *err)
{
	if (kind == 'g')
		return cohort_restore(shard->cohort, value, err);
	if (shard->instances == NULL)
		return OK;
	return kind == 'n' ? instances_restore(shard->instances, value, err)
			   : instances_ids_restore(shard->instances, virtual_partition, value, err);
}

static enum status take_state(void *context, struct text row, struct error *err)
{
	struct actor *actor = context;
	return actor_restore(actor, row, err);
}

/* Rules that were edited make of what was stored something else: then it is stored anew. */
static enum status restore_state(struct runtime *runtime, struct shard *shard,
				 uint8_t virtual_partition, struct error *err)
{
	struct state_rows *state = &shard->state[virtual_partition];
	enum status status = state_rows_read(runtime->options.store, virtual_partition, take_state,
					     shard->actor, state, err);
	if (status == OK && state->whole_bytes > 0 && !recover_other_rules(runtime))
		actor_stored(shard->actor, virtual_partition);
	return status;
}

/* What rules remember: as of the checkpoint, and what was warmed since. */
static enum status restore_rules(struct runtime *runtime, struct error *err)
{
	enum status status = OK;
	assert(runtime->options.actor_count > 0 && runtime->shards != NULL);
	for (unsigned i = 0; status == OK && i < VIRTUAL_PARTITIONS; i++) {
		struct shard *shard = &runtime->shards[i % runtime->options.actor_count];
		status = restore_state(runtime, shard, (uint8_t)i, err);
	}
	return status == OK ? recover_warmed(runtime, err) : status;
}

/* What the gate and the watch over instances remember. */
static enum status restore_cells(struct runtime *runtime, struct error *err)
{
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes value cleanup(bytes_done) = {0};
	for (unsigned i = 0; i < VIRTUAL_PARTITIONS; i++) {
		struct shard *shard = &runtime->shards[i % runtime->options.actor_count];
		for (const char *kind = SHARD_CELL_KINDS; *kind != '\0'; kind++) {
			bytes_clear(&key);
			cell_row_key(*kind, (uint8_t)i, &key);
			enum status status = store_get(runtime->options.store, FAMILY_CELL,
						       bytes_text(&key), &value, err);
			if (status == ENOTFOUND)
				continue;
			if (status == OK && value.size > 0)
				status = restore_cell(shard, *kind, (uint8_t)i, bytes_text(&value),
						      err);
			if (status != OK)
				return status;
		}
	}
	return OK;
}

/* The rounds of a replayed epoch, all shards on this thread. */
static enum status replay_rounds(struct runtime *runtime, uint64_t epoch, int64_t watermark_us,
				 struct error *err)
{
	unsigned actors = runtime->options.actor_count;
	struct bytes *boxes = calloc((size_t)actors * actors, sizeof *boxes); /* [from][to] */
	enum status status = boxes == NULL ? ENOMEMORY : OK;
	for (unsigned round = 0; status == OK && round <= plan_rounds(runtime->gate.current->plan);
	     round++) {
		for (unsigned i = 0; status == OK && i < actors; i++) {
			struct record_sink exchange = {&boxes[(size_t)i * actors], actors};
			status = actor_round(runtime->shards[i].actor, epoch, watermark_us,
					     &exchange, err);
		}
		for (size_t i = 0; status == OK && i < (size_t)actors * actors; i++) {
			if (boxes[i].size > 0)
				status = actor_feed(runtime->shards[i % actors].actor,
						    bytes_text(&boxes[i]), err);
			bytes_clear(&boxes[i]);
		}
	}
	for (size_t i = 0; boxes != NULL && i < (size_t)actors * actors; i++)
		bytes_done(&boxes[i]);
	free(boxes);
	return status;
}

/* What a replay walks through. Rules that are about to be warmed begin in the middle here: what
 * they raise is only told when the warming fails. */
struct replay {
	struct runtime *runtime;
	uint64_t closed; /* the newest epoch in memory */
	bool passes_over_records;
	struct verdicts news;
	struct verdicts half_known;
};

static void told_done(struct verdicts *told)
{
	bytes_done(&told->rows);
	bytes_done(&told->announcements);
	bytes_done(&told->rule_news);
}

static void replay_done(struct replay *replay)
{
	told_done(&replay->news);
	told_done(&replay->half_known);
}

static void put_news(struct replay *replay, struct shard *shard)
{
	const struct unit_filter cold = generation_cold(replay->runtime->gate.current);
	struct unit_filter others = cold;
	others.except = true;
	shard_put_alerts(shard, &others, &replay->news);
	shard_put_alerts(shard, &cold, &replay->half_known);
}

static void bytes_join(struct bytes *to, const struct bytes *more)
{
	bytes_put(to, more->data, more->size);
	to->failed = to->failed || more->failed;
}

static void put_half_known(struct replay *replay)
{
	bytes_join(&replay->news.rows, &replay->half_known.rows);
	bytes_join(&replay->news.announcements, &replay->half_known.announcements);
}

static enum status replay_close(struct replay *replay, uint64_t epoch, int64_t watermark_us,
				struct error *err)
{
	struct runtime *runtime = replay->runtime;
	assert(epoch > runtime->committer.row.checkpoint_epoch);
	enum status status = replay_rounds(runtime, epoch, watermark_us, err);
	for (unsigned i = 0; status == OK && i < runtime->options.actor_count; i++) {
		status = actor_close(runtime->shards[i].actor, epoch, watermark_us, err);
		if (status == OK)
			status = cohort_close(runtime->shards[i].cohort, watermark_us, err);
		if (status == OK && runtime->shards[i].instances != NULL)
			status = instances_close(runtime->shards[i].instances, watermark_us,
						 runtime->options.silent_us, NULL, NULL);
		if (status == OK && recover_other_rules(runtime))
			put_news(replay, &runtime->shards[i]);
	}
	return status;
}

/* Every shard takes its own out of the row: their number may have changed since. */
static enum status replay_feed(struct shard *shard, char kind, struct text value, struct error *err)
{
	if (kind == 'm')
		return actor_feed(shard->actor, value, err);
	if (kind == 'a')
		return cohort_feed(shard->cohort, value, err);
	return shard->instances == NULL ? OK : instances_feed(shard->instances, value, err);
}

/* One match row: 'a' aggregates, 'm' records, 's' sightings, 'w' the watermark that ends the epoch
 * (last by key).
 */
static enum status replay_row(struct replay *replay, struct text key, struct text value,
			      struct error *err)
{
	struct runtime *runtime = replay->runtime;
	uint64_t epoch = 0;
	char kind = 0;
	enum status status = match_key_decode(key, &epoch, &kind, err);
	bytes_put_text(&runtime->committer.match_keys, key);
	if (status != OK || epoch <= runtime->committer.row.checkpoint_epoch)
		return status;
	if (kind == 'w') {
		struct cursor cursor = cursor_of(value);
		int64_t watermark_us = cursor_signed(&cursor);
		if (cursor.failed)
			return error_set(err, ECORRUPT,
					 "the watermark of epoch %" PRIu64 " is damaged", epoch);
		replay->closed = epoch;
		return replay_close(replay, epoch, watermark_us, err);
	}
	if (kind == 'm' && replay->passes_over_records)
		return OK;
	for (unsigned i = 0; status == OK && i < runtime->options.actor_count; i++)
		status = replay_feed(&runtime->shards[i], kind, value, err);
	if (status == ECORRUPT && kind == 'm') {
		status = recover_rebuild(runtime, err);
		replay->passes_over_records = status == OK;
	}
	return status;
}

static enum status replay_rows(struct replay *replay, struct error *err)
{
	struct runtime *runtime = replay->runtime;
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	enum status status = store_scan_new(runtime->options.store, FAMILY_MATCH, TEXT(""),
					    TEXT(""), &scan, err);
	struct text key = {0};
	struct text value = {0};
	while (status == OK && store_scan_next(scan, &key, &value))
		status = replay_row(replay, key, value, err);
	if (status == OK)
		status = store_scan_status(scan, err);
	if (status == OK && replay->closed != runtime->committer.row.epoch)
		status = error_set(err, ECORRUPT,
				   "the match rows end at epoch %" PRIu64 ", the store at %" PRIu64,
				   replay->closed, runtime->committer.row.epoch);
	return status;
}

enum status recover_state(struct runtime *runtime, struct error *err)
{
	enum status status = restore_rules(runtime, err);
	if (status == ECORRUPT)
		status = recover_rebuild(runtime, err);
	if (status == OK)
		status = restore_cells(runtime, err);
	if (status != OK)
		return error_wrap(err, status, "restoring correlation state");
	struct replay replay cleanup(replay_done) = {
		.runtime = runtime, .closed = runtime->committer.row.checkpoint_epoch};
	status = replay_rows(&replay, err);
	bool warmed = false;
	if (status == OK)
		status = recover_warm(runtime, &warmed, err);
	if (status == OK && !warmed)
		put_half_known(&replay);
	bool rebuilt = runtime->rebuilt.status != OK;
	if (status == OK && rebuilt)
		recover_rebuilt_tell(runtime, warmed, &replay.news);
	if (status == OK && (warmed || rebuilt || recover_other_rules(runtime)))
		status = recover_under_other_rules(runtime, &replay.news, err);
	return status == OK ? OK : error_wrap(err, status, "replaying match blocks");
}
