#include "cli/gate_expect.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const size_t ARENA_BYTES_MAX = (size_t)8 << 20;

static void close_stream(FILE **file)
{
	if (*file != NULL)
		(void)fclose(*file);
}

static void arena_done(struct arena **arena)
{
	arena_free(arena);
}

/* One byte more than is allowed is read, so that the limit itself is refused by the reader. */
static enum status read_file(const char *path, struct bytes *to, struct error *err)
{
	FILE *file cleanup(close_stream) = fopen(path, "re");
	if (file == NULL)
		return error_set(err, ENOTFOUND, "%s: %s", path, strerror(errno));
	if (!bytes_reserve(to, GATE_MANIFEST_BYTES_MAX + 1))
		return error_set(err, ENOMEMORY, "no memory to read %s", path);
	to->size += fread(to->data + to->size, 1, GATE_MANIFEST_BYTES_MAX + 1, file);
	return ferror(file) ? error_set(err, ESYSTEM, "%s cannot be read", path) : OK;
}

enum status gate_expect_read(const char *path, struct text service, struct bytes *ret_text,
			     struct error *err)
{
	struct arena *arena cleanup(arena_done) = arena_new(ARENA_BYTES_MAX);
	struct gate_manifest manifest;
	if (arena == NULL)
		return error_set(err, ENOMEMORY, "no memory to read %s", path);
	enum status status = read_file(path, ret_text, err);
	return status == OK ? gate_manifest_read(bytes_text(ret_text), path, service, arena,
						 &manifest, err)
			    : status;
}
