#include "rules/yaml_private.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

static void file_close(FILE **file)
{
	if (*file != NULL)
		(void)fclose(*file);
}

enum status yaml_read_file(const char *path, struct arena *arena, struct text *ret_bytes,
			   struct error *err)
{
	struct position at = {path, 1, 1};
	FILE *file cleanup(file_close) = fopen(path, "rbe");
	if (file == NULL)
		return error_at(err, errno == ENOENT ? ENOTFOUND : ESYSTEM, at,
				"cannot be opened: %s\n  fix: check the path and its permissions",
				strerror(errno));
	struct stat about;
	bool sized = fstat(fileno(file), &about) == 0 && S_ISREG(about.st_mode) &&
		     about.st_size < YAML_BYTES_MAX;
	size_t capacity = sized ? (size_t)about.st_size + 1 : 64 * 1024, size = 0;
	char *bytes = arena_alloc(arena, capacity);
	while (bytes != NULL) {
		size += fread(bytes + size, 1, capacity - size, file);
		if (size < capacity || capacity > YAML_BYTES_MAX)
			break;
		char *larger = arena_alloc(arena, capacity * 2);
		if (larger != NULL)
			memcpy(larger, bytes, size);
		bytes = larger;
		capacity *= 2;
	}
	if (bytes == NULL)
		return error_set(err, ENOMEMORY, "out of memory");
	if (ferror(file) != 0)
		return error_at(err, ESYSTEM, at, "cannot be read: %s\n  fix: is it a file?",
				strerror(errno));
	*ret_bytes = (struct text){bytes, size};
	return OK;
}

enum status yaml_load(const char *path, struct arena *arena,
		      const struct yaml_node *const **ret_documents, size_t *ret_count,
		      struct error *err)
{
	struct text bytes = {0};
	enum status status = yaml_read_file(path, arena, &bytes, err);
	if (status != OK)
		return status;
	return yaml_parse(bytes, path, arena, ret_documents, ret_count, err);
}

const struct yaml_node *yaml_get(const struct yaml_node *mapping, const char *key)
{
	struct text wanted = text_of(key);
	for (size_t i = 0; mapping->kind == YAML_MAPPING && i < mapping->count; i++)
		if (text_equal(mapping->keys[i]->text, wanted))
			return mapping->values[i];
	return NULL;
}
