/* rocks_private - the store over RocksDB, as seen by its two files: rocks_open.c makes it and
 * store_rocks.c reads and writes it.
 *
 * Why: opening (locks, families, settings, their reasons) and use are each a page of their own.
 * Invariant: db and options are set in every store that store_open() gave away; write_options only
 * in one that may write. Owner and thread: as in storage/store.h. */
#ifndef PICKET_STORAGE_ROCKS_PRIVATE_H
#define PICKET_STORAGE_ROCKS_PRIVATE_H

#include <rocksdb/c.h>

#include "storage/store_private.h"

enum { COLUMN_FAMILIES = FAMILY_COUNT + 1 }; /* ours, and RocksDB's "default" at the end */

/* What a family holds: each has settings of its own. */
enum rocks_kind {
	KIND_ROWS,
	KIND_SUMMARIES, /* rows that each search reads all of */
	KIND_BLOCKS,    /* zstd frames */
	KIND_EPOCHS,    /* zstd frames that are removed again within minutes */
	KIND_COUNT,
};
enum rocks_kind rocks_kind_of(size_t family);

static inline bool rocks_holds_frames(enum rocks_kind kind)
{
	return kind == KIND_BLOCKS || kind == KIND_EPOCHS;
}

struct rocks_store {
	struct store base;
	char *path;
	int lock;              /* open picket.lock; -1 = none */
	int64_t reserve_bytes; /* nothing is written while less is free on the disk */
	rocksdb_t *db;
	rocksdb_column_family_handle_t *handles[COLUMN_FAMILIES]; /* NULL: not in this store */
	rocksdb_options_t *options[KIND_COUNT];
	rocksdb_cache_t *cache;
	rocksdb_readoptions_t *read_options;
	rocksdb_writeoptions_t *write_options[2]; /* [1]: synced */
};

extern const struct store_calls rocks_calls;

/* ENOSPACE when less than needed_bytes are free on the disk of the store. */
enum status rocks_room(const struct rocks_store *store, int64_t needed_bytes, struct error *err);

/* Takes and frees RocksDB's message; says what was being done, where, and what to do next. */
enum status rocks_error(const char *path, const char *doing, char *message, struct error *err);

#endif
