/* What real records cost to keep: bench_events FOLDER FILE [TURNS [raw]]
 *
 * FILE is NDJSON, or one JSON document. Its records are decoded and normalised, written as blocks
 * of epochs into a store in FOLDER, which must not be there, and merged; with TURNS all of that so
 * many times, as later offsets; with `raw` each event has the bytes of its record. Printed are CPU
 * of the whole process (RocksDB's threads included) without decoding, which is done once before,
 * for nothing, and taken off; and bytes of everything in the folder after it was closed. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ingest/decode.h"
#include "storage/block.h"
#include "storage/merge.h"

enum { EPOCH_EVENTS = 4096, ARENA_BYTES = 1 << 30 };

struct bench {
	struct decoder *decoder;
	struct block_builder *builder;
	struct store *store;
	struct store_batch *batch;
	struct arena *arena;
	int64_t offset;
	uint64_t events, rejected, bytes;
	bool keeping;
	bool raw;
};

static double seconds(void)
{
	struct timespec now;
	int failed = clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	assert(failed == 0);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void must(enum status status, const struct error *err)
{
	if (status != OK)
		(void)fprintf(stderr, "%s\n", err->text);
	assert(status == OK);
}

static void finish_block(struct bench *bench)
{
	struct error err = {0};
	struct bytes block cleanup(bytes_done) = {0};
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes row cleanup(bytes_done) = {0};
	struct block_meta meta;
	if (block_event_count(bench->builder) == 0)
		return;
	must(block_finish(bench->builder, &block, &meta, &err), &err);
	block_key(TEXT("bench"), 0, meta.first_offset, meta.first_index, &key);
	block_meta_encode(&meta, &row);
	store_batch_put(bench->batch, FAMILY_EPOCH, bytes_text(&key), bytes_text(&block));
	store_batch_put(bench->batch, FAMILY_BLOCKMETA, bytes_text(&key), bytes_text(&row));
	must(store_batch_commit(bench->batch, false, &err), &err);
}

static void keep(struct bench *bench, const struct event *event)
{
	struct error err = {0};
	enum status status = block_add(bench->builder, event);
	if (status == ELIMIT) {
		finish_block(bench);
		status = block_add(bench->builder, event);
	}
	must(status, &err);
	if (block_event_count(bench->builder) == EPOCH_EVENTS)
		finish_block(bench);
}

static void take(struct bench *bench, struct text payload)
{
	const struct origin origin = {.topic = TEXT("bench"), .offset = bench->offset++};
	const struct message message = {.record_time_us = 1795305600000000, .payload = payload};
	bench->bytes += payload.size;
	arena_reset(bench->arena);
	enum status status = decoder_begin(bench->decoder, &message, &origin, bench->arena);
	for (bool more = true; status == OK && more;) {
		struct decoded record;
		status = decoder_next(bench->decoder, &record, &more);
		bool accepted = status == OK && more && record.why == ACCEPTED;
		bench->events += accepted;
		bench->rejected += status == OK && more && !accepted;
		if (accepted && bench->raw)
			must(event_add_known(
				     &record.event, bench->arena, FIELD_SRC_RAW,
				     (struct value){.type = VALUE_STRING, .text = record.raw}),
			     NULL);
		if (accepted && bench->keeping)
			keep(bench, &record.event);
	}
	assert(status == OK);
}

/* Line by line, or all at once when the first line is not a whole document. */
static void take_file(struct bench *bench, struct text file)
{
	const char *end = memchr(file.data, '\n', file.size);
	bool lines = end != NULL && end > file.data && end[-1] == '}';
	if (!lines) {
		take(bench, file);
		return;
	}
	while (file.size > 0) {
		end = memchr(file.data, '\n', file.size);
		size_t size = end == NULL ? file.size : (size_t)(end - file.data);
		take(bench, (struct text){file.data, size});
		file = text_cut(file, end == NULL ? size : size + 1);
	}
}

static void read_file(const char *path, struct bytes *ret_bytes)
{
	FILE *file = fopen(path, "r");
	assert(file != NULL);
	char buffer[65536];
	for (size_t got; (got = fread(buffer, 1, sizeof buffer, file)) > 0;)
		bytes_put(ret_bytes, buffer, got);
	(void)fclose(file);
	assert(!ret_bytes->failed);
}

static void measure(struct bench *bench, struct text file, unsigned long turns)
{
	struct error err = {0};
	struct merge_report report = {0};
	double begin = seconds();
	take_file(bench, file);
	double decoding = (seconds() - begin) / (double)bench->events;
	bench->events = bench->rejected = bench->bytes = 0;
	bench->keeping = true;
	begin = seconds();
	for (unsigned long i = 0; i < turns; i++)
		take_file(bench, file);
	finish_block(bench);
	double written = seconds();
	must(merge_all(bench->store, NULL, NULL, &report, &err), &err);
	double merged = seconds();
	double count = (double)bench->events;
	printf("%" PRIu64 " events (%" PRIu64 " rejected) of %.0f bytes; us CPU an event: decoding "
	       "%.2f, block path %.2f, merging %.2f; %" PRIu64 " blocks\n",
	       bench->events, bench->rejected, (double)bench->bytes / count, decoding * 1e6,
	       ((written - begin) / count - decoding) * 1e6, (merged - written) * 1e6 / count,
	       report.blocks_written);
}

int main(int argc, char **argv)
{
	struct error err = {0};
	struct bench bench = {0};
	struct bytes file cleanup(bytes_done) = {0};
	if (argc < 3) {
		(void)fprintf(stderr, "bench_events FOLDER FILE [TURNS [raw]]\n");
		return 64;
	}
	const struct store_options options = {.path = argv[1], .create = true};
	bench.raw = argc > 4 && strcmp(argv[4], "raw") == 0;
	read_file(argv[2], &file);
	must(decoder_new(&(struct decoder_options){0}, &bench.decoder, &err), &err);
	must(store_open(&options, &bench.store, &err), &err);
	bench.batch = store_batch_new(bench.store);
	bench.builder = block_builder_new();
	bench.arena = arena_new(ARENA_BYTES);
	assert(bench.batch != NULL && bench.builder != NULL && bench.arena != NULL);
	measure(&bench, bytes_text(&file), argc > 3 ? strtoul(argv[3], NULL, 10) : 1);
	store_batch_free(&bench.batch);
	store_free(&bench.store);
	must(store_open(&options, &bench.store, &err), &err);
	printf("on disk, everything: %.1f bytes an event\n",
	       (double)store_bytes(bench.store) / (double)bench.events);
	store_free(&bench.store);
	block_builder_free(&bench.builder);
	decoder_free(&bench.decoder);
	arena_free(&bench.arena);
	return 0;
}
