/* store - the memory of picket: ordered keys in families, one atomic batch per epoch.
 *
 * Why: positions, events, quarantine, state, alerts and outbox must become true together or not at
 * all; that is what makes "nothing lost, nothing twice" a property of one write. Two
 * implementations stand behind this header: RocksDB, and an in-memory twin for tests, simulation
 * and `picket scan`.
 *
 * Invariant: a batch is applied whole or not at all, one after the other; a scan sees the store as
 * it was when the scan began; a scan that stopped early says so (never shorter data with OK).
 * Owner: store_free() after every batch and scan is gone. Thread: a store may be used by any
 * number of threads, a batch or a scan by one. Limits: keys up to STORE_KEY_MAX bytes. */
#ifndef PICKET_STORAGE_STORE_H
#define PICKET_STORAGE_STORE_H

#include "rules/bytes.h"

enum { STORE_KEY_MAX = 4096 };

enum store_family {
#define FAMILY(id, name, doc) FAMILY_##id,
#include "storage/family.def"
#undef FAMILY
	FAMILY_COUNT,
};

struct store;
struct store_batch;
struct store_scan;

/* A store in a folder. create: make it when it is not there. read_only: another process may have
 * it open for reading, none for writing (EINUSE otherwise, with the next step in the text).
 * ENOTFOUND: no store there. EINVALID: a newer picket made it. ECORRUPT and ESYSTEM name the folder
 * and what to do. A batch on a read-only store ends in EDENIED. */
struct store_options {
	const char *path;
	bool create;
	bool read_only;
	size_t memory_bytes; /* write buffers and block cache together; 0 = 256 MiB */
};

enum status store_open(const struct store_options *options, struct store **ret_store,
		       struct error *err);
enum status store_open_memory(struct store **ret_store, struct error *err);
void store_free(struct store **store);

/* Puts and deletes are collected; the first error sticks and comes out at commit. */
struct store_batch *store_batch_new(struct store *store); /* NULL: out of memory */
void store_batch_free(struct store_batch **batch);
void store_batch_put(struct store_batch *batch, enum store_family family, struct text key,
		     struct text value);
void store_batch_delete(struct store_batch *batch, enum store_family family, struct text key);
/* The same, but only when the key still has that value when the batch is committed: for whoever
 * judges rows that others may be writing meanwhile. A batch with such deletes is good for one
 * commit: after a failure it is used up. */
void store_batch_delete_same(struct store_batch *batch, enum store_family family, struct text key,
			     struct text value);
size_t store_batch_bytes(const struct store_batch *batch);
/* sync: true = on disk before it returns. ENOSPACE when the disk is full: nothing was applied, the
 * same batch may be committed again later. The batch is empty after OK. */
enum status store_batch_commit(struct store_batch *batch, bool sync, struct error *err);

/* The value of key, into *ret_value (cleared first). ENOTFOUND when there is none. */
enum status store_get(struct store *store, enum store_family family, struct text key,
		      struct bytes *ret_value, struct error *err);

/* Keys from `from` (inclusive) as long as they start with `prefix`, ascending. */
enum status store_scan_new(struct store *store, enum store_family family, struct text prefix,
			   struct text from, struct store_scan **ret_scan, struct error *err);
/* False at the end or after an error; the views are valid until the next call. */
bool store_scan_next(struct store_scan *scan, struct text *ret_key, struct text *ret_value);
/* OK as long as no row was missed; ECORRUPT / EINCOMPLETE when the scan had to stop early. */
enum status store_scan_status(const struct store_scan *scan, struct error *err);
void store_scan_free(struct store_scan **scan);

/* Drops the files that hold nothing but keys of the family from `from` up to `to` (exclusive), at
 * once and without writing; other keys of that range stay. Nothing is dropped while a view is open:
 * that would take rows away from it. Whoever calls has seen to it that no later view wants them. */
enum status store_drop_files(struct store *store, enum store_family family, struct text from,
			     struct text to, struct error *err);

/* A copy of the store as it is now, in the folder path, which must not exist: files that do not
 * change are linked, so it takes a moment and, on the same disk, hardly any room. EINVALID: the
 * folder is there, or the store is in memory. */
enum status store_backup(struct store *store, const char *path, struct error *err);

/* Gives back the room of what was removed from the range (to exclusive; empty: to the end), as far
 * as no view needs it; reads and writes what is left there, so it is for ranges that hold little.
 */
enum status store_compact(struct store *store, enum store_family family, struct text from,
			  struct text to, struct error *err);

/* Bytes on disk (or in memory), for figures. */
uint64_t store_bytes(struct store *store);

/* Tests: the n-th write from now fails with `status` (0 = never). In-memory twin only. */
void store_memory_fail_at(struct store *store, unsigned nth_commit, enum status status);

#endif
