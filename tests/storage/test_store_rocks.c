/* What happens to the store in a folder when the world goes wrong: bytes flip on the disk, the disk
 * fills up, the process is killed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "storage/store.h"

#include "tests/storage/fixture.h"

enum { MEMORY_BYTES = 4 << 20, NUMBER_BYTES = 8 };

static int skipped;

static enum status open_at(const char *path, struct store **ret_store, struct error *err)
{
	struct store_options options = {.path = path, .create = true, .memory_bytes = MEMORY_BYTES};
	return store_open(&options, ret_store, err);
}

static struct text number_key(uint64_t number, unsigned char to[static NUMBER_BYTES])
{
	for (int i = 0; i < NUMBER_BYTES; i++)
		to[i] = (unsigned char)(number >> (56 - 8 * i));
	return (struct text){(const char *)to, NUMBER_BYTES};
}

static uint64_t number_of(struct text key)
{
	uint64_t number = 0;
	assert(key.size == NUMBER_BYTES);
	for (size_t i = 0; i < NUMBER_BYTES; i++)
		number = number << 8 | (unsigned char)key.data[i];
	return number;
}

/* The value of row n says which row it is; its size and bytes follow from n. */
static struct text value_of(uint64_t n, char buffer[static 4096])
{
	uint64_t seed = n + 1;
	size_t size = 50 + random_below(&seed, 2000);
	for (size_t i = 0; i < size; i++)
		buffer[i] = (char)random_next(&seed);
	return (struct text){buffer, size};
}

static void batch_put_row(struct store_batch *batch, uint64_t n)
{
	unsigned char key[NUMBER_BYTES];
	char value[4096];
	store_batch_put(batch, FAMILY_BLOCK, number_key(n, key), value_of(n, value));
}

static void batch_put_counter(struct store_batch *batch, uint64_t count)
{
	unsigned char value[NUMBER_BYTES];
	store_batch_put(batch, FAMILY_POSITION, TEXT("counter"), number_key(count, value));
}

static uint64_t counter_get(struct store *store)
{
	struct error err = {0};
	struct bytes value cleanup(bytes_done) = {0};
	enum status status = store_get(store, FAMILY_POSITION, TEXT("counter"), &value, &err);
	assert(status == OK || status == ENOTFOUND); /* Check knows nothing of the writer */
	return status == OK ? number_of(bytes_text(&value)) : 0;
}

/* Walks all rows, each of which must be right; the first and the number behind the last. */
static enum status rows_check(struct store *store, uint64_t *ret_first, uint64_t *ret_end,
			      struct error *err)
{
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	struct text none = {0};
	enum status status = store_scan_new(store, FAMILY_BLOCK, none, none, &scan, err);
	if (status != OK)
		return status;
	struct text key;
	struct text value;
	char buffer[4096];
	*ret_first = *ret_end = 0;
	for (uint64_t seen = 0; store_scan_next(scan, &key, &value); seen++) {
		uint64_t n = number_of(key);
		if (seen == 0)
			*ret_first = *ret_end = n;
		ck_assert_uint_eq(n, *ret_end);
		ck_assert(text_equal(value, value_of(n, buffer)));
		*ret_end = n + 1;
	}
	return store_scan_status(scan, err);
}

/* The largest file of the folder whose name ends so, and its size; -1: there is none. */
static off_t file_find(const char *folder, const char *ending, char path[static 512])
{
	DIR *entries = opendir(folder);
	off_t size = -1;
	for (struct dirent *entry = readdir(entries); entry != NULL; entry = readdir(entries)) {
		struct stat info;
		char name[512];
		size_t length = strlen(entry->d_name);
		if (length < strlen(ending) ||
		    strcmp(entry->d_name + length - strlen(ending), ending) != 0)
			continue;
		(void)snprintf(name, sizeof name, "%s/%s", folder, entry->d_name);
		ck_assert_int_eq(stat(name, &info), 0);
		if (info.st_size <= size)
			continue;
		size = info.st_size;
		(void)snprintf(path, 512, "%s", name);
	}
	(void)closedir(entries);
	return size;
}

static void flip(const char *path, off_t at)
{
	unsigned char byte = 0;
	int fd = open(path, O_RDWR);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
	byte ^= 0x10;
	ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
	(void)close(fd);
}

static void folder_copy(const char *from, const char *to)
{
	char command[600];
	(void)snprintf(command, sizeof command, "rm -rf '%s' && cp -r '%s' '%s'", to, from, to);
	ck_assert_int_eq(system(command), 0);
}

/* killed (NULL: none): the folder as a process leaves it that is killed after that. */
static void rows_write(const char *path, uint64_t count, const char *killed)
{
	struct error err = {0};
	struct store *store cleanup(store_free) = NULL;
	ck_ok(open_at(path, &store, &err), err);
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
	for (uint64_t n = 0; n < count; n++) {
		batch_put_row(batch, n);
		batch_put_counter(batch, n + 1);
		ck_ok(store_batch_commit(batch, false, &err), err);
	}
	if (killed != NULL)
		folder_copy(path, killed);
}

/* One flipped byte in a table: every row, or a status that says that there are not. */
START_TEST(test_flipped_byte_in_table)
{
	enum { ROWS = 300, PLACES = 40 };
	struct error err = {0};
	struct store *store = NULL;
	char *path cleanup(folder_remove) = folder_new();
	rows_write(path, ROWS, NULL);
	char table[512];
	off_t size = file_find(path, ".sst", table);
	ck_assert_int_gt(size, 100 * 1000); /* the one with the rows */
	char log[512];
	ck_assert_int_eq(file_find(path, ".log", log), 0); /* closing has written everything down */
	int damaged = 0;
	for (int i = 0; i < PLACES; i++) {
		off_t at = size * i / PLACES + i;
		uint64_t first = 0;
		uint64_t end = 0;
		flip(table, at);
		memset(&err, 0, sizeof err);
		struct store_options reading = {path, false, true, MEMORY_BYTES};
		enum status status = store_open(&reading, &store, &err);
		if (status == OK)
			status = rows_check(store, &first, &end, &err);
		if (status == OK) {
			ck_assert_uint_eq(first, 0);
			ck_assert_uint_eq(end, ROWS);
		} else {
			ck_assert_msg(status == ECORRUPT, "%d: %s", status, err.text);
			ck_assert_ptr_nonnull(strstr(err.text, path));
			damaged++;
		}
		store_free(&store);
		flip(table, at);
	}
	ck_assert_int_gt(damaged, PLACES / 2);
}
END_TEST

/* One flipped byte in the write-ahead log: the newest batches may be gone, and only those. */
START_TEST(test_flipped_byte_in_log)
{
	enum { ROWS = 100, PLACES = 40 };
	struct error err = {0};
	char *path cleanup(folder_remove) = folder_new();
	char *copy cleanup(folder_remove) = folder_new();
	char *written cleanup(folder_remove) = folder_new();
	rows_write(written, ROWS, path);
	char log[512];
	off_t size = file_find(path, ".log", log);
	int shorter = 0;
	for (int i = 0; i < PLACES; i++) {
		char copied[1024];
		folder_copy(path, copy);
		(void)snprintf(copied, sizeof copied, "%s%s", copy, log + strlen(path));
		flip(copied, size * i / PLACES + i);
		struct store *store cleanup(store_free) = NULL;
		uint64_t first = 0;
		uint64_t end = 0;
		ck_ok(open_at(copy, &store, &err), err);
		ck_ok(rows_check(store, &first, &end, &err), err);
		ck_assert_uint_eq(first, 0);
		ck_assert_uint_le(end, ROWS);
		ck_assert_uint_eq(counter_get(store), end); /* the position went back, too */
		shorter += end < ROWS;
	}
	ck_assert_int_gt(shorter, PLACES / 2);
}
END_TEST

/* Commits batches of 64 KiB until it does not fit; how many went in. */
static uint64_t fill(struct store *store, struct store_batch *batch, char *value, struct error *err)
{
	enum { VALUE_BYTES = 64 * 1024 };
	unsigned char key[NUMBER_BYTES];
	for (uint64_t n = 0; n < 10000; n++) {
		uint64_t seed = n;
		for (size_t i = 0; i < VALUE_BYTES; i++)
			value[i] = (char)random_next(&seed);
		store_batch_put(batch, FAMILY_BLOCK, number_key(n, key),
				(struct text){value, VALUE_BYTES});
		batch_put_counter(batch, n + 1);
		enum status status = store_batch_commit(batch, true, err);
		if (status == OK)
			continue;
		ck_assert_msg(status == ENOSPACE, "%d: %s", status, err->text);
		ck_assert_uint_eq(counter_get(store), n); /* reading goes on */
		return n;
	}
	ck_abort_msg("16 MiB took more than 600 MB");
}

static void count_rows(struct store *store, uint64_t expected)
{
	struct error err = {0};
	struct text none = {0};
	struct text key;
	struct text value;
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	ck_ok(store_scan_new(store, FAMILY_BLOCK, none, none, &scan, &err), err);
	uint64_t count = 0;
	while (store_scan_next(scan, &key, &value))
		ck_assert_uint_eq(number_of(key), count++);
	ck_ok(store_scan_status(scan, &err), err);
	ck_assert_uint_eq(count, expected);
	ck_assert_uint_eq(counter_get(store), expected);
}

static void disk_full_and_back(const char *path)
{
	static char value[64 * 1024];
	struct error err = {0};
	char ballast[256];
	char folder[256];
	(void)snprintf(ballast, sizeof ballast, "%s/ballast", path);
	(void)snprintf(folder, sizeof folder, "%s/store", path);
	int fd = open(ballast, O_CREAT | O_WRONLY, 0600);
	ck_assert_int_eq(posix_fallocate(fd, 0, 24 << 20), 0);
	(void)close(fd);
	struct store *store cleanup(store_free) = NULL;
	ck_ok(open_at(folder, &store, &err), err);
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
	uint64_t written = fill(store, batch, value, &err);
	ck_assert_ptr_nonnull(strstr(err.text, "make space"));
	for (int i = 0; i < 3; i++) /* it stays full, and the batch stays whole */
		ck_assert_int_eq(store_batch_commit(batch, true, &err), ENOSPACE);
	ck_assert_uint_gt(store_batch_bytes(batch), sizeof value);
	ck_assert_int_eq(unlink(ballast), 0);
	enum status status = ENOSPACE;
	for (int i = 0; i < 600 && status != OK; i++) {
		(void)usleep(100 * 1000);
		status = store_batch_commit(batch, true, &err);
	}
	ck_ok(status, err);
	count_rows(store, written + 1);
	store_batch_free(&batch);
	store_free(&store);
	ck_ok(open_at(folder, &store, &err), err);
	count_rows(store, written + 1);
}

START_TEST(test_disk_full)
{
	char *path cleanup(folder_remove) = folder_new();
	if (mount("tmpfs", path, "tmpfs", 0, "size=40m") != 0) {
		printf("SKIP test_disk_full: mounting a small tmpfs: %s\n", strerror(errno));
		skipped++;
		return;
	}
	disk_full_and_back(path);
	ck_assert_int_eq(umount(path), 0);
}
END_TEST

enum { ROWS_KEPT = 1000 };

/* The other process: goes on from the counter until it is killed. acked is seen by the parent. */
static int write_for_ever(const char *path, const char *acked_path)
{
	struct error err = {0};
	struct store *store = NULL;
	int fd = open(acked_path, O_RDWR);
	volatile uint64_t *acked =
		mmap(NULL, sizeof *acked, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd < 0 || acked == MAP_FAILED || open_at(path, &store, &err) != OK)
		return EXIT_FAILURE;
	struct store_batch *batch = store_batch_new(store);
	for (uint64_t n = counter_get(store);;) {
		unsigned char key[NUMBER_BYTES];
		for (uint64_t end = n + 1 + n % 7; n < end; n++) {
			batch_put_row(batch, n);
			if (n >= ROWS_KEPT)
				store_batch_delete(batch, FAMILY_BLOCK,
						   number_key(n - ROWS_KEPT, key));
		}
		batch_put_counter(batch, n);
		if (store_batch_commit(batch, n % 50 == 0, &err) != OK)
			return EXIT_FAILURE;
		*acked = n;
	}
}

static pid_t writer_start(const char *path, const char *acked_path)
{
	pid_t child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) { /* a fresh image: RocksDB's threads do not survive a fork */
		(void)execl("/proc/self/exe", "writer", path, acked_path, (char *)NULL);
		_exit(127);
	}
	return child;
}

START_TEST(test_killed)
{
	enum { CYCLES = 100 };
	uint64_t seed = 9;
	struct error err = {0};
	char *path cleanup(folder_remove) = folder_new();
	char acked_path[256];
	(void)snprintf(acked_path, sizeof acked_path, "%s.acked", path);
	int fd = open(acked_path, O_CREAT | O_RDWR, 0600);
	ck_assert_int_eq(ftruncate(fd, sizeof(uint64_t)), 0);
	volatile uint64_t *acked =
		mmap(NULL, sizeof *acked, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert(acked != MAP_FAILED);
	for (int i = 0; i < CYCLES; i++) {
		pid_t child = writer_start(path, acked_path);
		uint64_t before = *acked;
		for (int k = 0; k < 10000 && *acked == before; k++) /* until it works */
			(void)usleep(1000);
		(void)usleep((useconds_t)random_below(&seed, 60 * 1000));
		ck_assert_int_eq(kill(child, SIGKILL), 0);
		int how = 0;
		ck_assert_int_eq(waitpid(child, &how, 0), child);
		ck_assert_msg(WIFSIGNALED(how), "the writer ended by itself");
		struct store *store cleanup(store_free) = NULL;
		ck_ok(open_at(path, &store, &err), err);
		uint64_t first;
		uint64_t end;
		ck_ok(rows_check(store, &first, &end, &err), err);
		ck_assert_uint_eq(end, counter_get(store));
		ck_assert_uint_eq(first, end > ROWS_KEPT ? end - ROWS_KEPT : 0);
		ck_assert_uint_ge(end, *acked);
	}
	ck_assert_uint_gt(*acked, CYCLES);
	(void)munmap((void *)acked, sizeof *acked);
	(void)close(fd);
	(void)unlink(acked_path);
}
END_TEST

int main(int argc, char **argv)
{
	if (argc == 3)
		return write_for_ever(argv[1], argv[2]);
	Suite *suite = suite_create("store_rocks");
	TCase *tests = tcase_create("store_rocks");
	tcase_set_timeout(tests, 300);
	tcase_add_test(tests, test_flipped_byte_in_table);
	tcase_add_test(tests, test_flipped_byte_in_log);
	tcase_add_test(tests, test_disk_full);
	tcase_add_test(tests, test_killed);
	suite_add_tcase(suite, tests);
	int code = run_tests(suite);
	if (skipped > 0)
		printf("%d skipped\n", skipped);
	return code;
}
