#include "rules/rule_files_private.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Names are ordered by bytes, not by locale: the order is part of the rule set's hash. */

enum { FOLDER_DEPTH_MAX = 32, PATH_BYTES_MAX = 4096 };

static int entry_order(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int entry_is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

struct walk {
	const char *const *suffixes;
	rule_file_visit *visit;
	void *context;
};

static bool is_wanted(const struct walk *walk, const char *name)
{
	const char *dot = strrchr(name, '.');
	for (size_t i = 0; dot != NULL && walk->suffixes[i] != NULL; i++)
		if (strcmp(dot, walk->suffixes[i]) == 0)
			return true;
	return false;
}

static enum status visit_path(const struct walk *walk, const char *path, unsigned depth, bool named,
			      struct error *err);

static enum status visit_folder(const struct walk *walk, const char *path, unsigned depth,
				struct error *err)
{
	struct dirent **entries = NULL;
	int count = scandir(path, &entries, entry_is_visible, entry_order);
	if (count < 0)
		return error_at(err, ESYSTEM, (struct position){path, 1, 1},
				"the folder cannot be read: %s\n  fix: check its permissions",
				strerror(errno));
	enum status status = OK;
	for (int i = 0; i < count; i++) {
		char child[PATH_BYTES_MAX];
		size_t length = strlen(path);
		const char *slash = length > 0 && path[length - 1] == '/' ? "" : "/";
		int size = snprintf(child, sizeof child, "%s%s%s", path, slash, entries[i]->d_name);
		if (status == OK && size >= (int)sizeof child)
			status = error_set(err, ELIMIT, "path too long under %s", path);
		if (status == OK)
			status = visit_path(walk, child, depth + 1, false, err);
		free(entries[i]);
	}
	free(entries);
	return status;
}

static enum status visit_path(const struct walk *walk, const char *path, unsigned depth, bool named,
			      struct error *err)
{
	struct stat about;
	if (stat(path, &about) != 0)
		return error_at(err, errno == ENOENT ? ENOTFOUND : ESYSTEM,
				(struct position){path, 1, 1},
				"cannot be opened: %s\n  fix: check the path and its permissions",
				strerror(errno));
	if (S_ISDIR(about.st_mode)) {
		if (depth > FOLDER_DEPTH_MAX)
			return error_at(err, ELIMIT, (struct position){path, 1, 1},
					"folders nested deeper than %d (a link to itself?)\n  fix: "
					"name the folder itself",
					FOLDER_DEPTH_MAX);
		return visit_folder(walk, path, depth, err);
	}
	if (named || (S_ISREG(about.st_mode) && is_wanted(walk, path)))
		return walk->visit(walk->context, path, err);
	return OK;
}

enum status rule_files_visit(const char *path, const char *const *suffixes, rule_file_visit *visit,
			     void *context, struct error *err)
{
	assert(path != NULL && suffixes != NULL && visit != NULL);
	struct walk walk = {suffixes, visit, context};
	return visit_path(&walk, path, 0, true, err);
}
