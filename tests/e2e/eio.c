/* eio - stands in front of write() and its kin (tests/e2e/mock_pending.sh preloads it): while the
 * file that EIO_WHEN names exists, nothing can be written to a file under EIO_UNDER. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool breaks(int file)
{
	char link[64];
	char path[PATH_MAX];
	const char *when = getenv("EIO_WHEN");
	const char *under = getenv("EIO_UNDER");
	if (when == NULL || under == NULL || access(when, F_OK) != 0)
		return false;
	(void)snprintf(link, sizeof link, "/proc/self/fd/%d", file);
	ssize_t size = readlink(link, path, sizeof path - 1);
	path[size < 0 ? 0 : size] = '\0';
	return strncmp(path, under, strlen(under)) == 0;
}

/* The function of that name behind this one. */
static void find(const char *name, void *ret_function)
{
	void *found = dlsym(RTLD_NEXT, name);
	memcpy(ret_function, &found, sizeof found);
}

ssize_t write(int file, const void *data, size_t size)
{
	__typeof__(&write) next = NULL;
	find("write", &next);
	errno = EIO;
	return breaks(file) ? -1 : next(file, data, size);
}

ssize_t pwrite64(int file, const void *data, size_t size, off64_t at)
{
	__typeof__(&pwrite64) next = NULL;
	find("pwrite64", &next);
	errno = EIO;
	return breaks(file) ? -1 : next(file, data, size, at);
}

int fdatasync(int file)
{
	__typeof__(&fdatasync) next = NULL;
	find("fdatasync", &next);
	errno = EIO;
	return breaks(file) ? -1 : next(file);
}

int fsync(int file)
{
	__typeof__(&fsync) next = NULL;
	find("fsync", &next);
	errno = EIO;
	return breaks(file) ? -1 : next(file);
}
