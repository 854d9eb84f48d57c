/* wrap - puts a block around content of any kind, with a header and a sum that are right.
 *
 * Why: a flipped byte never gets past the checksum; the checks behind it are reached only by
 * content that was damaged before it was summed. Owner: the caller's bytes. Thread: any. */
#ifndef PICKET_TESTS_STORAGE_WRAP_H
#define PICKET_TESTS_STORAGE_WRAP_H

#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>
#include <zstd.h>

#include "rules/bytes.h"

enum { WRAP_HEADER_BYTES = 20, WRAP_SUMMED_FROM = 12 };

static inline void wrap_content(struct text content, uint32_t event_count, struct bytes *to)
{
	struct bytes summed = {0};
	size_t bound = ZSTD_compressBound(content.size);
	bytes_put_u32le(&summed, event_count);
	bytes_put_u32le(&summed, (uint32_t)content.size);
	bool room = bytes_reserve(&summed, bound);
	assert(room);
	size_t size =
		ZSTD_compress(summed.data + summed.size, bound, content.data, content.size, 1);
	assert(!ZSTD_isError(size));
	summed.size += size;
	bytes_clear(to);
	bytes_put(to, "PBK\2", 4);
	bytes_put_u64le(to, XXH3_64bits(summed.data, summed.size));
	bytes_put(to, summed.data, summed.size);
	bytes_done(&summed);
}

/* The content of a block that is good and has nothing beside its frame. */
static inline void unwrap_content(struct text block, struct bytes *to)
{
	const char *frame = block.data + WRAP_HEADER_BYTES;
	size_t frame_size = ZSTD_findFrameCompressedSize(frame, block.size - WRAP_HEADER_BYTES);
	size_t size = (size_t)ZSTD_getFrameContentSize(frame, frame_size);
	bytes_clear(to);
	bool room = bytes_reserve(to, size);
	assert(room);
	to->size = ZSTD_decompress(to->data, size, frame, frame_size);
	assert(to->size == size);
}

#endif
