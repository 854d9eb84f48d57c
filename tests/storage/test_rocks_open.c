#include <fcntl.h>
#include <rocksdb/c.h>
#include <sys/stat.h>

#include "storage/store.h"

#include "tests/storage/fixture.h"

enum { MEMORY_BYTES = 8 << 20 };

static enum status open_at(const char *path, bool create, bool read_only, struct store **ret_store,
			   struct error *err)
{
	struct store_options options = {path, create, read_only, MEMORY_BYTES};
	return store_open(&options, ret_store, err);
}

static void put_one(struct store *store, enum store_family family, const char *key)
{
	struct error err = {0};
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
	store_batch_put(batch, family, text_of(key), TEXT("value"));
	ck_ok(store_batch_commit(batch, true, &err), err);
}

static bool has(struct store *store, enum store_family family, const char *key)
{
	struct error err = {0};
	struct bytes value cleanup(bytes_done) = {0};
	enum status status = store_get(store, family, text_of(key), &value, &err);
	ck_assert(status == OK || status == ENOTFOUND);
	return status == OK;
}

START_TEST(test_nothing_there)
{
	struct error err = {0};
	struct store *store = NULL;
	char *path cleanup(folder_remove) = folder_new();
	ck_assert_int_eq(open_at(path, false, false, &store, &err), ENOTFOUND);
	ck_assert_ptr_nonnull(strstr(err.text, path));
	ck_assert_int_eq(open_at(path, true, true, &store, &err), ENOTFOUND);
	ck_assert_int_eq(open_at("/nonexistent/a/b", true, false, &store, &err), ESYSTEM);
	ck_assert_ptr_nonnull(strstr(err.text, "/nonexistent/a/b"));
	ck_assert_ptr_null(store);
}
END_TEST

START_TEST(test_path_is_a_file)
{
	struct error err = {0};
	struct store *store = NULL;
	char *folder cleanup(folder_remove) = folder_new();
	char path[256];
	(void)snprintf(path, sizeof path, "%s/file", folder);
	int fd = open(path, O_CREAT | O_WRONLY, 0600);
	ck_assert_int_ge(fd, 0);
	(void)close(fd);
	ck_assert_int_eq(open_at(path, true, false, &store, &err), ESYSTEM);
}
END_TEST

/* A writer keeps everybody out; readers keep a writer out, but not each other. */
START_TEST(test_one_writer_or_readers)
{
	struct error err = {0};
	struct store *second = NULL;
	char *path cleanup(folder_remove) = folder_new();
	struct store *writer cleanup(store_free) = NULL;
	ck_ok(open_at(path, true, false, &writer, &err), err);
	put_one(writer, FAMILY_ALERT, "a");
	ck_assert_int_eq(open_at(path, true, false, &second, &err), EINUSE);
	ck_assert_ptr_nonnull(strstr(err.text, path));
	ck_assert_ptr_nonnull(strstr(err.text, "--server"));
	ck_assert_int_eq(open_at(path, false, true, &second, &err), EINUSE);
	ck_assert_ptr_null(second);
	put_one(writer, FAMILY_ALERT, "b"); /* and has not been disturbed */
	store_free(&writer);

	struct store *readers[2] = {NULL, NULL};
	ck_ok(open_at(path, false, true, &readers[0], &err), err);
	ck_ok(open_at(path, false, true, &readers[1], &err), err);
	ck_assert(has(readers[0], FAMILY_ALERT, "a") && has(readers[1], FAMILY_ALERT, "b"));
	ck_assert_int_eq(open_at(path, true, false, &second, &err), EINUSE);
	store_free(&readers[0]);
	ck_assert_int_eq(open_at(path, true, false, &second, &err), EINUSE);
	store_free(&readers[1]);
	ck_ok(open_at(path, false, false, &writer, &err), err);
}
END_TEST

START_TEST(test_reading_only)
{
	struct error err = {0};
	char *path cleanup(folder_remove) = folder_new();
	struct store *store cleanup(store_free) = NULL;
	ck_ok(open_at(path, true, false, &store, &err), err);
	put_one(store, FAMILY_ALERT, "a");
	store_free(&store);
	ck_ok(open_at(path, false, true, &store, &err), err);
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
	store_batch_put(batch, FAMILY_ALERT, TEXT("b"), TEXT("x"));
	ck_assert_int_eq(store_batch_commit(batch, false, &err), EDENIED);
	ck_assert(!has(store, FAMILY_ALERT, "b"));
}
END_TEST

/* A store with some families of family.def, or one that it does not have. */
static void make_foreign(const char *path, const char *const *names, int count)
{
	char *message = NULL;
	rocksdb_options_t *options = rocksdb_options_create();
	rocksdb_options_set_create_if_missing(options, 1);
	rocksdb_t *db = rocksdb_open(options, path, &message);
	ck_assert_ptr_null(message);
	for (int i = 0; i < count; i++) {
		rocksdb_column_family_handle_t *handle =
			rocksdb_create_column_family(db, options, names[i], &message);
		ck_assert_ptr_null(message);
		rocksdb_column_family_handle_destroy(handle);
	}
	rocksdb_close(db);
	rocksdb_options_destroy(options);
}

/* An older build knew fewer families: a reader sees them empty, a writer makes them. */
START_TEST(test_older_store)
{
	static const char *const names[] = {"alert", "epoch"};
	struct error err = {0};
	char *path cleanup(folder_remove) = folder_new();
	make_foreign(path, names, 2);
	struct store *store cleanup(store_free) = NULL;
	ck_ok(open_at(path, false, true, &store, &err), err);
	ck_assert(!has(store, FAMILY_AUDIT, "a"));
	struct store_scan *scan cleanup(store_scan_free) = NULL;
	ck_ok(store_scan_new(store, FAMILY_AUDIT, TEXT(""), TEXT(""), &scan, &err), err);
	struct text key;
	struct text value;
	ck_assert(!store_scan_next(scan, &key, &value));
	ck_ok(store_scan_status(scan, &err), err);
	store_scan_free(&scan);
	struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
	store_batch_put(batch, FAMILY_AUDIT, TEXT("a"), TEXT("x"));
	store_batch_delete(batch, FAMILY_AUDIT, TEXT("a"));
	ck_assert_int_eq(store_batch_commit(batch, false, &err), EDENIED);
	store_batch_free(&batch);
	store_free(&store);

	ck_ok(open_at(path, false, false, &store, &err), err);
	put_one(store, FAMILY_AUDIT, "a");
	store_free(&store);
	ck_ok(open_at(path, false, true, &store, &err), err);
	ck_assert(has(store, FAMILY_AUDIT, "a"));
}
END_TEST

/* Events of epochs were in another family once: they are not overlooked, and a store that was
 * killed while it was made is not taken for one of those. */
START_TEST(test_epochs_elsewhere)
{
	static const char *const names[] = {"block", "alert"};
	static const char *const begun[] = {"epoch"};
	struct error err = {0};
	struct store *store cleanup(store_free) = NULL;
	char *path cleanup(folder_remove) = folder_new();
	char *other cleanup(folder_remove) = folder_new();
	make_foreign(path, names, 2);
	for (int read_only = 0; read_only < 2; read_only++) {
		ck_assert_int_eq(open_at(path, false, read_only, &store, &err), EINVALID);
		ck_assert_ptr_nonnull(strstr(err.text, "older version"));
		ck_assert_ptr_nonnull(strstr(err.text, "kafka.start: earliest"));
	}
	make_foreign(other, begun, 1);
	ck_ok(open_at(other, false, false, &store, &err), err);
}
END_TEST

START_TEST(test_newer_store)
{
	static const char *const names[] = {"alert", "tomorrow"};
	struct error err = {0};
	struct store *store = NULL;
	char *path cleanup(folder_remove) = folder_new();
	make_foreign(path, names, 2);
	ck_assert_int_eq(open_at(path, false, false, &store, &err), EINVALID);
	ck_assert_ptr_nonnull(strstr(err.text, "tomorrow"));
	ck_assert_int_eq(open_at(path, false, true, &store, &err), EINVALID);
}
END_TEST

/* A copy without picket.lock in a folder that cannot be written is read without one. */
START_TEST(test_copy_without_lock)
{
	struct error err = {0};
	char lock[256];
	char *path cleanup(folder_remove) = folder_new();
	struct store *store cleanup(store_free) = NULL;
	ck_ok(open_at(path, true, false, &store, &err), err);
	put_one(store, FAMILY_ALERT, "a");
	store_free(&store);
	(void)snprintf(lock, sizeof lock, "%s/picket.lock", path);
	ck_assert_int_eq(unlink(lock), 0);
	ck_assert_int_eq(chmod(path, 0500), 0); /* means nothing to root, who makes the file */
	ck_ok(open_at(path, false, true, &store, &err), err);
	ck_assert(has(store, FAMILY_ALERT, "a"));
	ck_assert_int_eq(chmod(path, 0700), 0);
}
END_TEST

START_TEST(test_broken_manifest)
{
	struct error err = {0};
	char current[256];
	struct store *store = NULL;
	char *path cleanup(folder_remove) = folder_new();
	ck_ok(open_at(path, true, false, &store, &err), err);
	store_free(&store);
	(void)snprintf(current, sizeof current, "%s/CURRENT", path);
	FILE *file = fopen(current, "w");
	ck_assert_ptr_nonnull(file);
	(void)fputs("nonsense", file);
	(void)fclose(file);
	ck_assert_int_eq(open_at(path, true, false, &store, &err), ECORRUPT);
	ck_assert_ptr_nonnull(strstr(err.text, path));
	ck_assert_ptr_nonnull(strstr(err.text, "picket store restore"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rocks_open");
	TCase *tests = tcase_create("rocks_open");
	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, test_nothing_there);
	tcase_add_test(tests, test_path_is_a_file);
	tcase_add_test(tests, test_one_writer_or_readers);
	tcase_add_test(tests, test_reading_only);
	tcase_add_test(tests, test_older_store);
	tcase_add_test(tests, test_epochs_elsewhere);
	tcase_add_test(tests, test_newer_store);
	tcase_add_test(tests, test_copy_without_lock);
	tcase_add_test(tests, test_broken_manifest);
	suite_add_tcase(suite, tests);
	return run_tests(suite);
}
