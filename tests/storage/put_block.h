/* put_block - what a builder holds as the block of an epoch with its blockmeta, as the intake puts
 * them, into a batch.
 *
 * Why: nearly every test of storage/ needs blocks to begin with. Invariant: key and rows are those
 * of ingest/detect.c. Owner: the test. Thread: one. */
#ifndef PICKET_TESTS_STORAGE_PUT_BLOCK_H
#define PICKET_TESTS_STORAGE_PUT_BLOCK_H

#include "storage/block.h"
#include "tests/storage/fixture.h"

static inline void put_block(struct block_builder *builder, struct store_batch *batch,
			     struct text topic, int32_t partition)
{
	struct error err = {0};
	struct bytes block cleanup(bytes_done) = {0};
	struct bytes key cleanup(bytes_done) = {0};
	struct bytes row cleanup(bytes_done) = {0};
	struct block_meta meta;
	ck_ok(block_finish(builder, &block, &meta, &err), err);
	block_key(topic, partition, meta.first_offset, meta.first_index, &key);
	block_meta_encode(&meta, &row);
	store_batch_put(batch, FAMILY_EPOCH, bytes_text(&key), bytes_text(&block));
	store_batch_put(batch, FAMILY_BLOCKMETA, bytes_text(&key), bytes_text(&row));
}

#endif
