/* The order of a restore is what makes it safe to be killed:
 *
 *   1. the folder is empty; RESTORE_FOLDER is made in it
 *   2. every file of the backup is copied into RESTORE_FOLDER and synced
 *   3. the copy is opened and every row of it is read
 *   4. the files move up, CURRENT last, and RESTORE_FOLDER goes
 *
 * Killed before CURRENT has moved, the folder is no store, and the next restore removes what is
 * there: all of it is ours, since the folder was empty when RESTORE_FOLDER was made. Killed behind
 * that, all files are up, and only RESTORE_FOLDER itself is left to be removed. */
#include "storage/restore.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COPY_BYTES = 1 << 20 };

struct restoring {
	const char *backup, *folder;
	int from, to, copy; /* folders: the backup, the target, RESTORE_FOLDER in it */
	struct restore_report *report;
	struct error *err;
};

static void restoring_done(struct restoring *restoring)
{
	if (restoring->from >= 0)
		(void)close(restoring->from);
	if (restoring->to >= 0)
		(void)close(restoring->to);
	if (restoring->copy >= 0)
		(void)close(restoring->copy);
}

static void folder_close(DIR **folder)
{
	if (*folder != NULL)
		(void)closedir(*folder);
}

static void file_close(int *file)
{
	if (*file >= 0)
		(void)close(*file);
}

static enum status system_failed(struct restoring *restoring, const char *what, const char *name)
{
	int number = errno;
	return error_set(restoring->err, number == ENOSPC ? ENOSPACE : ESYSTEM, "%s %s: %s", what,
			 name, strerror(number));
}

/* What a running or a read store leaves beside its data. */
static bool is_of_no_store(const char *name)
{
	return strcmp(name, "LOCK") == 0 || strncmp(name, "LOG", 3) == 0 ||
	       strncmp(name, "picket.", 7) == 0;
}

typedef enum status entry_visitor(struct restoring *restoring, int folder, const char *name);

static enum status entries_walk(struct restoring *restoring, int folder, entry_visitor *visit)
{
	int again = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *entries cleanup(folder_close) = again < 0 ? NULL : fdopendir(again);
	enum status status = OK;
	if (entries == NULL)
		return system_failed(restoring, "cannot list", restoring->folder);
	for (struct dirent *entry; status == OK && (entry = readdir(entries)) != NULL;)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			status = visit(restoring, folder, entry->d_name);
	return status;
}

static enum status bytes_copy(struct restoring *restoring, int from, int to, const char *name)
{
	char *buffer = malloc(COPY_BYTES);
	enum status status = OK;
	ssize_t size = 0;
	if (buffer == NULL)
		return error_set(restoring->err, ENOMEMORY, "no memory to copy");
	while (status == OK && (size = read(from, buffer, COPY_BYTES)) > 0) {
		for (ssize_t done = 0; status == OK && done < size;) {
			ssize_t written = write(to, buffer + done, (size_t)(size - done));
			if (written < 0)
				status = system_failed(restoring, "cannot write", name);
			done += written;
		}
		restoring->report->bytes += (uint64_t)size;
	}
	if (status == OK && size < 0)
		status = system_failed(restoring, "cannot read", name);
	if (status == OK && fsync(to) != 0)
		status = system_failed(restoring, "cannot write", name);
	free(buffer);
	return status;
}

static enum status file_copy(struct restoring *restoring, int folder, const char *name)
{
	struct stat info;
	if (is_of_no_store(name))
		return OK;
	if (fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) != 0)
		return system_failed(restoring, "cannot read", name);
	if (!S_ISREG(info.st_mode))
		return error_set(restoring->err, EINVALID,
				 "%s/%s is no file: this is not what `picket store backup` made",
				 restoring->backup, name);
	int from cleanup(file_close) = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (from < 0)
		return system_failed(restoring, "cannot read", name);
	int to cleanup(file_close) =
		openat(restoring->copy, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (to < 0)
		return system_failed(restoring, "cannot write", name);
	restoring->report->files++;
	return bytes_copy(restoring, from, to, name);
}

static enum status file_remove(struct restoring *restoring, int folder, const char *name)
{
	if (unlinkat(folder, name, 0) == 0 || errno == EISDIR)
		return OK;
	return system_failed(restoring, "cannot remove", name);
}

static enum status copy_remove(struct restoring *restoring)
{
	enum status status = entries_walk(restoring, restoring->copy, file_remove);
	if (status == OK && unlinkat(restoring->to, RESTORE_FOLDER, AT_REMOVEDIR) != 0)
		status = system_failed(restoring, "cannot remove", RESTORE_FOLDER);
	return status;
}

static enum status refuse_entry(struct restoring *restoring, int folder, const char *name)
{
	(void)folder;
	return error_set(restoring->err, EINVALID,
			 "%s holds %s: a backup is restored into an empty folder; stop picket, "
			 "move the old data_dir away and name it again",
			 restoring->folder, name);
}

/* An empty folder with RESTORE_FOLDER in it, locked. */
static enum status target_open(struct restoring *restoring)
{
	if (mkdir(restoring->folder, 0700) != 0 && errno != EEXIST)
		return system_failed(restoring, "cannot make", restoring->folder);
	restoring->to = open(restoring->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (restoring->to < 0)
		return system_failed(restoring, "cannot open", restoring->folder);
	if (flock(restoring->to, LOCK_EX | LOCK_NB) != 0)
		return error_set(restoring->err, EINUSE, "another restore of %s runs",
				 restoring->folder);
	bool interrupted = faccessat(restoring->to, RESTORE_FOLDER, F_OK, 0) == 0 &&
			   faccessat(restoring->to, "CURRENT", F_OK, 0) != 0;
	enum status status =
		entries_walk(restoring, restoring->to, interrupted ? file_remove : refuse_entry);
	if (status == OK && !interrupted && mkdirat(restoring->to, RESTORE_FOLDER, 0700) != 0)
		status = system_failed(restoring, "cannot make", RESTORE_FOLDER);
	if (status != OK)
		return status;
	restoring->copy = openat(restoring->to, RESTORE_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (restoring->copy < 0)
		return system_failed(restoring, "cannot open", RESTORE_FOLDER);
	return entries_walk(restoring, restoring->copy, file_remove);
}

static void string_free(char **string)
{
	free(*string);
}

/* Every row of the copy is read. */
static enum status copy_verify(struct restoring *restoring, const struct verify_options *verify)
{
	struct store *store cleanup(store_free) = NULL;
	struct bytes next cleanup(bytes_done) = {0};
	struct verify_report *verified = &restoring->report->verified;
	char *path cleanup(string_free) = NULL;
	if (asprintf(&path, "%s/%s", restoring->folder, RESTORE_FOLDER) < 0)
		return error_set(restoring->err, ENOMEMORY, "no memory for a path");
	const struct store_options options = {.path = path, .read_only = true};
	enum status status = store_open(&options, &store, restoring->err);
	if (status == OK)
		status = store_verify(store, (struct text){0}, verify, verified, &next,
				      restoring->err);
	if (status == OK && verified->damaged > 0)
		return error_set(restoring->err, ECORRUPT,
				 "the backup %s is damaged, and was not restored: %s",
				 restoring->backup, verified->problems[0].text);
	return status;
}

static enum status move_up(struct restoring *restoring, const char *name)
{
	if (renameat(restoring->copy, name, restoring->to, name) != 0)
		return system_failed(restoring, "cannot move", name);
	return OK;
}

static enum status file_move_up(struct restoring *restoring, int folder, const char *name)
{
	(void)folder;
	return is_of_no_store(name) || strcmp(name, "CURRENT") == 0 ? OK : move_up(restoring, name);
}

static enum status all_move_up(struct restoring *restoring)
{
	enum status status = entries_walk(restoring, restoring->copy, file_move_up);
	if (status == OK && fsync(restoring->to) != 0)
		status = system_failed(restoring, "cannot write", restoring->folder);
	if (status == OK)
		status = move_up(restoring, "CURRENT");
	if (status == OK)
		status = copy_remove(restoring);
	if (status == OK && fsync(restoring->to) != 0)
		status = system_failed(restoring, "cannot write", restoring->folder);
	return status;
}

static enum status restore_into(struct restoring *restoring, const struct verify_options *verify)
{
	enum status status = entries_walk(restoring, restoring->from, file_copy);
	if (status == OK && fsync(restoring->copy) != 0)
		status = system_failed(restoring, "cannot write", RESTORE_FOLDER);
	if (status == OK)
		status = copy_verify(restoring, verify);
	return status == OK ? all_move_up(restoring) : status;
}

enum status store_restore(const char *backup, const char *folder,
			  const struct verify_options *verify, struct restore_report *ret_report,
			  struct error *err)
{
	assert(verify != NULL);
	struct error own = {0};
	struct store *source cleanup(store_free) = NULL;
	struct restoring restoring cleanup(restoring_done) = {
		.backup = backup, .folder = folder, .from = -1, .to = -1, .copy = -1};
	const struct store_options options = {.path = backup, .read_only = true};
	restoring.report = ret_report;
	restoring.err = &own;
	*ret_report = (struct restore_report){0};
	/* Open for reading as long as it is copied: no daemon can begin to write to it. */
	enum status status = store_open(&options, &source, &own);
	if (status == OK) {
		restoring.from = open(backup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		status = restoring.from < 0 ? system_failed(&restoring, "cannot open", backup) : OK;
	}
	if (status == OK)
		status = target_open(&restoring);
	if (status == OK) {
		status = restore_into(&restoring, verify);
		struct error failure = own;
		if (status != OK && faccessat(restoring.to, "CURRENT", F_OK, 0) != 0) {
			(void)!entries_walk(&restoring, restoring.to, file_remove);
			(void)!copy_remove(&restoring);
			own = failure;
		}
	}
	if (status != OK && err != NULL)
		*err = own;
	return status;
}
