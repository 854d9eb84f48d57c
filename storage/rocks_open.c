/* The store in a folder, over RocksDB's C API.
 *
 * Families are column families of family.def; one that an older build did not have is made when the
 * store is opened, one that we do not know means that a newer build has written here and we refuse.
 * RocksDB's own "default" family stays empty.
 *
 * Settings, and why (RocksDB 7.8.3, the oldest we run on):
 * - WAL on for every write, recovery to a point in time: after a crash or a flipped bit in the WAL
 *   the store is what it was after some earlier batch. Positions are in the same batches, so the
 *   reader goes back with the store; the caller sees it by the epoch.
 * - At most 4 background jobs (one flush thread): versions before 8.7 lose or misorder data when
 *   flushes fail side by side. No DeleteRange, atomic_flush, manual_wal_flush, WAL recycling.
 * - paranoid_file_checks and memtable_protection_bytes_per_key: a bad bit in memory is found when
 *   it is written down, and not when somebody needs the row.
 * - Blocks are zstd frames already: their families are not compressed again, the others are LZ4.
 * - The blocks of epochs have a family of their own: they are gone within minutes, most of them
 *   before a memtable was written down, and to compact them away beside the merged ones would be to
 *   write those again each time, all of the day's.
 * - Each search reads the summaries of all blocks of its days. Those of epochs' blocks and of
 * blocks that were merged again lie dead between them until they are compacted, which is done at
 * the second file instead of the fourth: a needle costs half as much then.
 * - What is closed is flushed: it opens again at once, and nothing is on the disk twice.
 *
 * Disk full: Debian's build of RocksDB may end in an assertion when it writes to a file again whose
 * last write got no space. So a batch is refused with ENOSPACE before that, while there is still
 * room for a memtable to be flushed (reserve_bytes), and a store is opened for writing only when
 * there is room for what its WAL holds. When something else takes that room too, RocksDB refuses
 * every write until its own recovery thread, which looks every few seconds, has resumed. A batch
 * that got ENOSPACE stays as it is and may be committed again; its rows may be in the WAL already
 * when the sync failed, and come back after a restart: the same keys and values, so committing it
 * again changes nothing.
 *
 * Locks: RocksDB's LOCK keeps a second writer away but not a reader, whose view would tear while
 * the writer compacts. So picket.lock in the folder is flock()ed, exclusively by a writer and
 * shared by readers; the kernel drops it with the process. */
#include "storage/restore.h"
#include "storage/rocks_private.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
	MEMORY_BYTES = 256 * 1024 * 1024, /* when the options say 0 */
	MEMORY_BYTES_MIN = 4 * 1024 * 1024,
	BUFFERS = 4, /* memtables that the memory for them is shared by */
	BACKGROUND_JOBS = 4,
	OPEN_FILES_MAX = 512,
	LOG_FILES = 4,
	LOG_BYTES = 4 * 1024 * 1024,
	LOG_LEVEL_WARN = 2,
	ROOM_BYTES = 8 * 1024 * 1024, /* always left on the disk */
	BLOOM_BITS = 10,
	SUMMARY_FILES = 2, /* of level 0, that lie over each other */
};

/* What RocksDB says begins with the kind of the error; the rest is for a person. */
static enum status status_of_message(const char *message)
{
	if (strstr(message, "No space left") != NULL || strstr(message, "quota exceeded") != NULL ||
	    strstr(message, "Space limit reached") != NULL)
		return ENOSPACE;
	if (strncmp(message, "Corruption", strlen("Corruption")) == 0)
		return ECORRUPT;
	if (strstr(message, "lock file") != NULL || strstr(message, "lock hold") != NULL)
		return EINUSE;
	if (strncmp(message, "Shutdown", strlen("Shutdown")) == 0)
		return ECLOSED;
	return ESYSTEM;
}

static const char *next_step(enum status status)
{
	switch (status) {
	case ENOSPACE:
		return "make space on that disk; picket goes on by itself";
	case ECORRUPT:
		return "restore a backup (picket store restore), or move it away and set kafka.start: "
		       "earliest to read again what Kafka still has";
	case EINUSE:
		return "another picket has it open; ask the daemon with --server unix:PATH, or stop it";
	default:
		return "look at the permissions and the health of that disk";
	}
}

enum status rocks_error(const char *path, const char *doing, char *message, struct error *err)
{
	assert(message != NULL);
	enum status status = status_of_message(message);
	status = error_set(err, status, "%s the store in %s: %s (%s)", doing, path, message,
			   next_step(status));
	rocksdb_free(message);
	return status;
}

/* PATH/name; NULL: out of memory. The caller frees it. */
static char *path_in(const char *path, const char *name)
{
	char *joined = NULL;
	return asprintf(&joined, "%s/%s", path, name) < 0 ? NULL : joined;
}

static void string_free(char **string)
{
	free(*string);
}

/* Whether RocksDB has ever written a store here: CURRENT names its manifest. */
static bool store_is_there(const char *path)
{
	char *current cleanup(string_free) = path_in(path, "CURRENT");
	return current != NULL && access(current, F_OK) == 0;
}

/* A store that is being restored is none yet, and nobody may begin a new one among its files. */
static bool is_being_restored(const char *path)
{
	char *restoring cleanup(string_free) = path_in(path, RESTORE_FOLDER);
	return restoring != NULL && access(restoring, F_OK) == 0 && !store_is_there(path);
}

static enum status folder_make(const struct store_options *options, struct error *err)
{
	if (is_being_restored(options->path))
		return error_set(err, EINVALID,
				 "a restore into %s was interrupted: run `picket store restore` "
				 "again, or empty the folder",
				 options->path);
	if (options->create && !options->read_only) {
		if (mkdir(options->path, 0700) != 0 && errno != EEXIST)
			return error_set(
				err, errno == ENOSPC ? ENOSPACE : ESYSTEM,
				"the folder %s for the store cannot be made: %s (its parent "
				"must exist and be writable)",
				options->path, strerror(errno));
		return OK;
	}
	if (!store_is_there(options->path))
		return error_set(err, ENOTFOUND,
				 "there is no picket store in %s (`picket run` makes one; a copy "
				 "must hold the file CURRENT)",
				 options->path);
	return OK;
}

static enum status lock_take(struct rocks_store *store, bool read_only, struct error *err)
{
	char *name cleanup(string_free) = path_in(store->path, "picket.lock");
	if (name == NULL)
		return error_set(err, ENOMEMORY, "no memory to open the store");
	store->lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (store->lock < 0 && read_only)
		store->lock = open(name, O_RDONLY | O_CLOEXEC);
	/* A copy on a medium that cannot be written has no lock file, and no writer either. */
	if (store->lock < 0 && read_only && errno == ENOENT)
		return OK;
	if (store->lock < 0)
		return error_set(err, errno == ENOSPC ? ENOSPACE : ESYSTEM,
				 "%s cannot be opened: %s (%s)", name, strerror(errno),
				 next_step(ESYSTEM));
	int kind = read_only ? LOCK_SH : LOCK_EX;
	if (flock(store->lock, kind | LOCK_NB) == 0)
		return OK;
	if (errno == EWOULDBLOCK)
		return error_set(err, EINUSE, "the store in %s is in use: %s", store->path,
				 next_step(EINUSE));
	return error_set(err, ESYSTEM,
			 "%s cannot be locked: %s (the store needs a file system with "
			 "flock)",
			 name, strerror(errno));
}

enum rocks_kind rocks_kind_of(size_t family)
{
	switch (family) {
	case FAMILY_EPOCH:
		return KIND_EPOCHS;
	case FAMILY_BLOCK:
		return KIND_BLOCKS;
	case FAMILY_BLOCKMETA:
		return KIND_SUMMARIES;
	default:
		return KIND_ROWS;
	}
}

static rocksdb_options_t *options_new(struct rocks_store *store, size_t memory_bytes,
				      enum rocks_kind kind, char **ret_message)
{
	rocksdb_options_t *base = rocksdb_options_create();
	size_t buffers_bytes = memory_bytes / 2;
	rocksdb_options_set_db_write_buffer_size(base, buffers_bytes);
	rocksdb_options_set_write_buffer_size(base, buffers_bytes / BUFFERS);
	rocksdb_options_set_max_write_buffer_number(base, 2);
	rocksdb_options_set_max_total_wal_size(base, memory_bytes);
	rocksdb_options_set_max_background_jobs(base, BACKGROUND_JOBS);
	rocksdb_options_set_wal_recovery_mode(base, rocksdb_point_in_time_recovery);
	rocksdb_options_set_recycle_log_file_num(base, 0);
	rocksdb_options_set_paranoid_checks(base, 1);
	rocksdb_options_set_max_open_files(base, OPEN_FILES_MAX);
	rocksdb_options_set_keep_log_file_num(base, LOG_FILES);
	rocksdb_options_set_max_log_file_size(base, LOG_BYTES);
	rocksdb_options_set_info_log_level(base, LOG_LEVEL_WARN);
	rocksdb_options_set_stats_dump_period_sec(base, 0);
	rocksdb_options_set_level_compaction_dynamic_level_bytes(base, 1);
	rocksdb_options_set_compression(base, rocks_holds_frames(kind) ? rocksdb_no_compression
								       : rocksdb_lz4_compression);
	if (kind == KIND_SUMMARIES)
		rocksdb_options_set_level0_file_num_compaction_trigger(base, SUMMARY_FILES);
	rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
	rocksdb_block_based_options_set_block_cache(table, store->cache);
	rocksdb_block_based_options_set_format_version(table, 5);
	rocksdb_block_based_options_set_filter_policy(
		table, rocksdb_filterpolicy_create_bloom_full(BLOOM_BITS));
	rocksdb_options_set_block_based_table_factory(base, table);
	rocksdb_block_based_options_destroy(table);

	/* The C API has no call for these two. */
	rocksdb_options_t *options = rocksdb_options_create();
	rocksdb_get_options_from_string(
		base, "paranoid_file_checks=true;memtable_protection_bytes_per_key=8", options,
		ret_message);
	rocksdb_options_destroy(base);
	return options;
}

static enum status settings_make(struct rocks_store *store, const struct store_options *options,
				 struct error *err)
{
	size_t memory_bytes = options->memory_bytes == 0 ? MEMORY_BYTES : options->memory_bytes;
	if (memory_bytes < MEMORY_BYTES_MIN)
		memory_bytes = MEMORY_BYTES_MIN;
	store->reserve_bytes = ROOM_BYTES + (int64_t)(memory_bytes / 2 / BUFFERS);
	store->cache = rocksdb_cache_create_lru(memory_bytes / 2);
	char *message = NULL;
	for (size_t i = 0; i < KIND_COUNT && message == NULL; i++)
		store->options[i] = options_new(store, memory_bytes, (enum rocks_kind)i, &message);
	if (message != NULL)
		return rocks_error(store->path, "configuring", message, err);
	store->read_options = rocksdb_readoptions_create();
	for (size_t i = 0; i < 2 && !options->read_only; i++) {
		store->write_options[i] = rocksdb_writeoptions_create();
		rocksdb_writeoptions_set_sync(store->write_options[i], i == 1);
	}
	return OK;
}

/* Marks the families that the store has, [FAMILY_COUNT] being "default". */
static enum status families_find(struct rocks_store *store, bool ret_present[COLUMN_FAMILIES],
				 struct error *err)
{
	char *message = NULL;
	size_t count = 0;
	char **names = rocksdb_list_column_families(store->options[KIND_ROWS], store->path, &count,
						    &message);
	enum status status =
		message == NULL ? OK : rocks_error(store->path, "opening", message, err);
	bool present[COLUMN_FAMILIES] = {0};
	for (size_t i = 0; i < count && status == OK; i++) {
		size_t family = 0;
		while (family < FAMILY_COUNT &&
		       strcmp(names[i], store_family_name((enum store_family)family)) != 0)
			family++;
		if (family == FAMILY_COUNT && strcmp(names[i], "default") != 0)
			status = error_set(
				err, EINVALID,
				"the store in %s holds the family \"%s\", which this picket "
				"does not know: a newer picket has written it; use that one",
				store->path, names[i]);
		present[family] = true;
	}
	rocksdb_list_column_families_destroy(names, count); /* is there even after an error */
	/* A store that is being made gets "epoch" first. */
	if (status == OK && present[FAMILY_BLOCK] && !present[FAMILY_EPOCH])
		status = error_set(
			err, EINVALID,
			"the store in %s is of an older version: the events of epochs are in its "
			"family \"block\", and this picket keeps them in \"epoch\"; read it with "
			"the picket that wrote it, or move it away and set kafka.start: earliest "
			"to read again what Kafka still has",
			store->path);
	if (status == OK)
		memcpy(ret_present, present, sizeof present);
	return status;
}

static int64_t wal_bytes(const char *path)
{
	int64_t sum = 0;
	DIR *folder = opendir(path);
	for (const struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
		const char *dot = strrchr(entry->d_name, '.');
		struct stat file;
		if (dot != NULL && strcmp(dot, ".log") == 0 &&
		    fstatat(dirfd(folder), entry->d_name, &file, 0) == 0)
			sum += file.st_size;
	}
	if (folder != NULL)
		(void)closedir(folder);
	return sum;
}

enum status rocks_room(const struct rocks_store *store, int64_t needed_bytes, struct error *err)
{
	const int64_t mebi = 1024 * 1024;
	struct statvfs disk;
	if (statvfs(store->path, &disk) != 0)
		return OK; /* what is wrong with the folder is told by who opens its files */
	int64_t free_bytes = (int64_t)disk.f_bavail * (int64_t)disk.f_frsize;
	if (free_bytes >= needed_bytes)
		return OK;
	return error_set(err, ENOSPACE,
			 "the disk of data_dir %s is full: %lld MiB are free, picket needs %lld "
			 "MiB; make space there (nothing is lost)",
			 store->path, (long long)(free_bytes / mebi),
			 (long long)((needed_bytes + mebi - 1) / mebi));
}

/* A store that may be written gets every family; a read-only one is opened with what it has. */
static enum status database_open(struct rocks_store *store, const struct store_options *options,
				 struct error *err)
{
	bool present[COLUMN_FAMILIES] = {[FAMILY_COUNT] = true};
	if (store_is_there(store->path)) {
		enum status status = families_find(store, present, err);
		if (status != OK)
			return status;
	}
	const char *names[COLUMN_FAMILIES];
	const rocksdb_options_t *settings[COLUMN_FAMILIES];
	rocksdb_column_family_handle_t *handles[COLUMN_FAMILIES] = {0};
	size_t places[COLUMN_FAMILIES];
	int count = 0;
	for (size_t i = 0; i < COLUMN_FAMILIES; i++) {
		if (!present[i] && options->read_only)
			continue;
		names[count] =
			i == FAMILY_COUNT ? "default" : store_family_name((enum store_family)i);
		settings[count] = store->options[rocks_kind_of(i)];
		places[count++] = i;
	}
	rocksdb_options_set_create_if_missing(store->options[KIND_ROWS], options->create);
	rocksdb_options_set_create_missing_column_families(store->options[KIND_ROWS], 1);
	char *message = NULL;
	store->db =
		options->read_only
			? rocksdb_open_for_read_only_column_families(store->options[KIND_ROWS],
								     store->path, count, names,
								     settings, handles, 0, &message)
			: rocksdb_open_column_families(store->options[KIND_ROWS], store->path,
						       count, names, settings, handles, &message);
	if (message != NULL) {
		store->db = NULL;
		return rocks_error(store->path, "opening", message, err);
	}
	for (int i = 0; i < count; i++)
		store->handles[places[i]] = handles[i];
	return OK;
}

enum status store_open(const struct store_options *options, struct store **ret_store,
		       struct error *err)
{
	assert(options->path != NULL);
	enum status status = folder_make(options, err);
	if (status != OK)
		return status;
	struct rocks_store *made = calloc(1, sizeof *made);
	if (made == NULL)
		return error_set(err, ENOMEMORY, "no memory to open the store");
	if (!store_init(&made->base, &rocks_calls)) {
		free(made);
		return error_set(err, ESYSTEM, "no lock for a store");
	}
	made->lock = -1;
	struct store *store cleanup(store_free) = &made->base;
	made->path = strdup(options->path);
	if (made->path == NULL)
		return error_set(err, ENOMEMORY, "no memory to open the store");
	status = lock_take(made, options->read_only, err);
	if (status == OK)
		status = settings_make(made, options, err);
	if (status == OK && !options->read_only)
		status = rocks_room(made, ROOM_BYTES + wal_bytes(made->path), err);
	if (status == OK)
		status = database_open(made, options, err);
	if (status == OK)
		*ret_store = TAKE(store);
	return status;
}
