/* Restoring: what comes back is what was saved, a target that is no empty folder is refused, damage
 * is found before anything is in place, and being killed at any step leaves a folder that the next
 * restore takes and that no daemon does. */
#include "storage/restore.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/storage/fixture.h"

enum { ROWS = 400 };

static const struct verify_options plain = {0};

static char *folder; /* holds all folders of a test */

static void setup(void)
{
	folder = folder_new();
}

static void teardown(void)
{
	folder_remove(&folder);
}

static char *path_of(const char *name)
{
	static char paths[4][1024];
	static size_t next;
	char *path = paths[next++ % 4];
	(void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
	return path;
}

static struct store *open_store(const char *name, bool read_only, enum status expected)
{
	struct store *store = NULL;
	struct error err = {0};
	const struct store_options options = {.path = path_of(name),
					      .create = !read_only,
					      .read_only = read_only,
					      .memory_bytes = 4 << 20};
	enum status status = store_open(&options, &store, &err);
	ck_assert_msg(status == expected, "%s: %s", name, err.text);
	return store;
}

static struct text row_key(size_t i, char buffer[static 16])
{
	(void)snprintf(buffer, 16, "i%07zu", i);
	return text_of(buffer);
}

/* A store with rows, and its backup. */
static void make_backup(void)
{
	struct error err = {0};
	struct store *store = open_store("live", false, OK);
	for (size_t i = 0; i < ROWS; i++) {
		char key[16];
		struct store_batch *batch cleanup(store_batch_free) = store_batch_new(store);
		store_batch_put(batch, FAMILY_AUDIT, row_key(i, key), TEXT("some value of a row"));
		ck_ok(store_batch_commit(batch, i % 100 == 0, &err), err);
	}
	ck_ok(store_backup(store, path_of("backup"), &err), err);
	store_free(&store);
}

static void check_rows(const char *name)
{
	struct error err = {0};
	struct store *store = open_store(name, true, OK);
	for (size_t i = 0; i < ROWS; i++) {
		char key[16];
		struct bytes value cleanup(bytes_done) = {0};
		ck_ok(store_get(store, FAMILY_AUDIT, row_key(i, key), &value, &err), err);
		ck_assert(text_equal(bytes_text(&value), TEXT("some value of a row")));
	}
	store_free(&store);
}

static enum status restore(const char *backup, const char *to, const char *words)
{
	struct error err = {0};
	struct restore_report report;
	enum status status = store_restore(path_of(backup), path_of(to), &plain, &report, &err);
	ck_assert_msg(words == NULL || strstr(err.text, words) != NULL, "\"%s\" lacks \"%s\"",
		      err.text, words);
	if (status == OK)
		ck_assert_uint_eq(report.verified.rows, ROWS);
	return status;
}

START_TEST(test_there_and_back)
{
	make_backup();
	ck_assert_int_eq(restore("backup", "new", NULL), OK);
	check_rows("new");
	check_rows("backup"); /* it is as it was */
	ck_assert_int_eq(mkdir(path_of("empty"), 0700), 0);
	ck_assert_int_eq(restore("new", "empty", NULL), OK); /* any store at rest is a backup */
	struct store *store = open_store("empty", false, OK);
	store_free(&store);
	check_rows("empty");
}
END_TEST

START_TEST(test_refused)
{
	make_backup();
	struct store *live = open_store("live", false, OK);
	ck_assert_int_eq(restore("backup", "live", "holds"), EINVALID);
	ck_assert_int_eq(restore("live", "new", "in use"), EINUSE);
	store_free(&live);
	ck_assert_int_eq(restore("nothing", "new", "no picket store"), ENOTFOUND);
	ck_assert_int_eq(mkdir(path_of("full"), 0700), 0);
	ck_assert_int_eq(mkdir(path_of("full/mine"), 0700), 0);
	ck_assert_int_eq(restore("backup", "full", "holds mine"), EINVALID);
	ck_assert_int_eq(access(path_of("full/mine"), F_OK), 0);
	ck_assert_int_ne(access(path_of("new"), F_OK), 0);
}
END_TEST

/* The largest table of the backup with a byte changed: nothing is left of the restore. */
START_TEST(test_damaged)
{
	struct error err = {0};
	make_backup();
	struct store *store = open_store("backup", false, OK); /* its WAL becomes tables */
	store_free(&store);
	store = open_store("backup", false, OK);
	ck_ok(store_compact(store, FAMILY_AUDIT, TEXT(""), TEXT("z"), &err), err);
	store_free(&store);
	char command[2048];
	(void)snprintf(command, sizeof command,
		       "f=$(ls -S '%s'/*.sst | head -n 1); printf X | dd of=\"$f\" bs=1 seek=40 "
		       "conv=notrunc status=none",
		       path_of("backup"));
	ck_assert_int_eq(system(command), 0);
	enum status status = restore("backup", "new", NULL);
	ck_assert(status == ECORRUPT);
	ck_assert_int_eq(rmdir(path_of("new")), 0); /* empty */
}
END_TEST

static size_t rows_to_live;

static enum status die_at_row(enum store_family family, struct text key, struct text value,
			      struct error *err)
{
	(void)family;
	(void)key;
	(void)value;
	(void)err;
	if (rows_to_live-- == 0)
		(void)raise(SIGKILL);
	return OK;
}

/* A restore in a process of its own that dies: by the first file of more than file_bytes (0: none
 * is too large), or at a row while the copy is read. */
static void restore_and_die(const char *name, rlim_t file_bytes, size_t row)
{
	static const struct verify_options deadly = {.row_check = die_at_row};
	pid_t child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		struct restore_report report;
		const struct rlimit limit = {file_bytes, file_bytes};
		rows_to_live = row;
		if (file_bytes > 0 && setrlimit(RLIMIT_FSIZE, &limit) != 0)
			_exit(1);
		(void)!store_restore(path_of("backup"), path_of(name), &deadly, &report, NULL);
		_exit(0);
	}
	int how = 0;
	ck_assert_int_eq(waitpid(child, &how, 0), child);
	ck_assert(WIFSIGNALED(how));
}

/* What was interrupted is no store to a daemon, and the next restore makes one of it. */
static void check_interrupted(const char *name)
{
	char inner[64];
	(void)snprintf(inner, sizeof inner, "%s/" RESTORE_FOLDER, name);
	ck_assert_int_eq(access(path_of(inner), F_OK), 0);
	ck_assert_ptr_null(open_store(name, false, EINVALID));
	ck_assert_int_eq(restore("backup", name, NULL), OK);
	ck_assert_int_ne(access(path_of(inner), F_OK), 0);
	check_rows(name);
}

START_TEST(test_killed)
{
	make_backup();
	for (rlim_t bytes = 1; bytes < 100000; bytes *= 20) { /* in a file while copying */
		char name[32];
		(void)snprintf(name, sizeof name, "file-%u", (unsigned)bytes);
		restore_and_die(name, bytes, SIZE_MAX);
		check_interrupted(name);
	}
	for (size_t row = 0; row < ROWS; row += 150) { /* while the copy is read */
		char name[32];
		(void)snprintf(name, sizeof name, "row-%zu", row);
		restore_and_die(name, 0, row);
		check_interrupted(name);
	}
	/* While files move up: all but CURRENT are where they belong. */
	ck_assert_int_eq(restore("backup", "moving", NULL), OK);
	ck_assert_int_eq(mkdir(path_of("moving/" RESTORE_FOLDER), 0700), 0);
	ck_assert_int_eq(
		rename(path_of("moving/CURRENT"), path_of("moving/" RESTORE_FOLDER "/CURRENT")), 0);
	check_interrupted("moving");
	/* Behind the last move the folder is a store, whatever is left beside it. */
	ck_assert_int_eq(mkdir(path_of("moving/" RESTORE_FOLDER), 0700), 0);
	check_rows("moving");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("restore");
	TCase *tests = tcase_create("restore");
	tcase_set_timeout(tests, 120);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, test_there_and_back);
	tcase_add_test(tests, test_refused);
	tcase_add_test(tests, test_damaged);
	tcase_add_test(tests, test_killed);
	suite_add_tcase(suite, tests);
	return run_tests(suite);
}
