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

static bool is_rule_file(const char *name)
{
	const char *dot = strrchr(name, '.');
	return dot != NULL && (strcmp(dot, ".yml") == 0 || strcmp(dot, ".yaml") == 0);
}

static enum status visit_path(const char *path, unsigned depth, bool named, rule_file_visit *visit,
			      void *context, struct error *err);

static enum status visit_folder(const char *path, unsigned depth, rule_file_visit *visit,
				void *context, struct error *err)
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
			status = visit_path(child, depth + 1, false, visit, context, err);
		free(entries[i]);
	}
	free(entries);
	return status;
}

static enum status visit_path(const char *path, unsigned depth, bool named, rule_file_visit *visit,
			      void *context, struct error *err)
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
					"name the rule folder itself",
					FOLDER_DEPTH_MAX);
		return visit_folder(path, depth, visit, context, err);
	}
	if (named || (S_ISREG(about.st_mode) && is_rule_file(path)))
		return visit(context, path, err);
	return OK;
}

enum status rule_files_visit(const char *path, rule_file_visit *visit, void *context,
			     struct error *err)
{
	assert(path != NULL && visit != NULL);
	return visit_path(path, 0, true, visit, context, err);
}
