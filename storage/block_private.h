/* block_private - the numbers that block.c writes into the block of an epoch and block_reader.c
 * expects there. Why: one format, two files. Invariant: what is stored is never used anew for
 * something else. */
#ifndef PICKET_STORAGE_BLOCK_PRIVATE_H
#define PICKET_STORAGE_BLOCK_PRIVATE_H

#include "storage/columnar_writer_private.h"

enum {
	BLOCK_VERSION = 2,
	BLOCK_MAGIC_BYTES = 3,
	BLOCK_SUM_AT = 4,
	BLOCK_HEADER_BYTES = 20,
	BLOCK_CHECKED_FROM = 12, /* the checksum covers everything from here */
};

#define BLOCK_MAGIC "PBK"

/* A block that is being collected. */
struct block_builder {
	struct columnar_table *table;
	bool broken;         /* memory ran out within an event: there will be no block */
	struct bytes topic;  /* of all events */
	struct bytes owners; /* of the block that was finished last, as its blockmeta says them */
	int32_t partition;
	struct bytes content, beside;
};

/* What a blockmeta says of the builder's rows. False: out of memory. */
bool block_meta_of(struct block_builder *builder, struct block_meta *ret_meta);

#endif
