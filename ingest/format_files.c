/* Which mapping files there are: those built into the program, then those of the operator. A file
 * whose `name` is taken replaces the earlier one, whole: half a mapping of each would be neither.
 *
 * Formats are tried by `rank`, then by name. The one without `recognise` takes what no other does;
 * there must be exactly one, and it comes last. */
#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "ingest/format_private.h"

enum { FILES_MAX = 2 * FORMATS_MAX, ARENA_BYTES_MAX = 256 * 1024 * 1024 };

void formats_free(struct formats **formats)
{
	if (*formats == NULL)
		return;
	names_done(&(*formats)->names);
	if ((*formats)->arena != NULL)
		arena_free(&(*formats)->arena);
	free(*formats);
	*formats = NULL;
}

static struct format_file *file_find(struct format_files *files, const char *name)
{
	for (size_t i = 0; i < files->count; i++)
		if (strcmp(files->files[i].name, name) == 0)
			return &files->files[i];
	return NULL;
}

static bool name_valid(struct text name)
{
	for (size_t i = 0; i < name.size; i++) {
		char c = name.data[i];
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'))
			return false;
	}
	return name.size > 0 && name.size <= 32;
}

static enum status file_add(struct formats *formats, struct format_files *files,
			    const struct yaml_node *node, struct error *err)
{
	const struct yaml_node *name = yaml_get(node, "name");
	const struct yaml_node *part = yaml_get(node, "part");
	if (node->kind != YAML_MAPPING || name == NULL || !name_valid(name->text))
		return error_at(err, EINVALID, name == NULL ? node->at : name->at,
				"`name` is missing or not 1 to 32 of a-z, 0-9 and _");
	if (part != NULL && part->kind != YAML_BOOLEAN)
		return error_at(err, EINVALID, part->at, "`part` is true or false");
	if (text_equal(name->text, TEXT("auto")) || text_equal(name->text, TEXT("raw")))
		return error_at(err, EINVALID, name->at, "`%.*s` means something else: see --input",
				TEXT_ARG(name->text));
	struct text copy = arena_copy(formats->arena, name->text);
	if (copy.data == NULL)
		return error_set(err, ENOMEMORY, "no memory for the mappings");
	const struct format_file file = {.file = node->at.file,
					 .name = copy.data,
					 .node = node,
					 .part = part != NULL && part->boolean};
	struct format_file *there = file_find(files, copy.data);
	if (there == NULL && files->count == FILES_MAX)
		return error_at(err, ELIMIT, node->at, "more than %d mapping files", FILES_MAX);
	if (there == NULL)
		there = &files->files[files->count++];
	*there = file;
	return OK;
}

static enum status documents_add(struct formats *formats, struct format_files *files,
				 const struct yaml_node *const *documents, size_t count,
				 struct error *err)
{
	enum status status = OK;
	for (size_t i = 0; i < count && status == OK; i++)
		status = file_add(formats, files, documents[i], err);
	return status;
}

static enum status builtin_add(struct formats *formats, struct format_files *files,
			       struct error *err)
{
	for (size_t i = 0; i < embedded_format_count; i++) {
		const struct embedded_format *file = &embedded_formats[i];
		const struct yaml_node *const *documents = NULL;
		size_t count = 0;
		enum status status = yaml_parse((struct text){file->yaml, file->size}, file->file,
						formats->arena, &documents, &count, err);
		if (status == OK)
			status = documents_add(formats, files, documents, count, err);
		if (status != OK)
			return status;
	}
	return OK;
}

static enum status path_add(struct formats *formats, struct format_files *files, const char *path,
			    struct error *err)
{
	const struct yaml_node *const *documents = NULL;
	size_t count = 0;
	struct text kept = arena_copy(formats->arena, text_of(path));
	if (kept.data == NULL)
		return error_set(err, ENOMEMORY, "no memory for the mappings");
	enum status status = yaml_load(kept.data, formats->arena, &documents, &count, err);
	if (status == OK)
		status = documents_add(formats, files, documents, count, err);
	return status;
}

static int is_mapping_file(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');
	return dot != NULL && entry->d_name[0] != '.' &&
	       (strcmp(dot, ".yml") == 0 || strcmp(dot, ".yaml") == 0);
}

/* A file, or a folder of them in the order of their names. */
static enum status paths_add(struct formats *formats, struct format_files *files, const char *path,
			     struct error *err)
{
	struct stat what;
	if (stat(path, &what) != 0)
		return error_set(err, EINVALID,
				 "%s: no such file or folder (formats.paths, --formats)", path);
	if (!S_ISDIR(what.st_mode))
		return path_add(formats, files, path, err);
	struct dirent **entries = NULL;
	int count = scandir(path, &entries, is_mapping_file, alphasort);
	if (count < 0)
		return error_set(err, ESYSTEM, "%s: cannot be listed (formats.paths, --formats)",
				 path);
	enum status status = OK;
	for (int i = 0; i < count; i++) {
		struct text file = arena_print(formats->arena, "%s/%s", path, entries[i]->d_name);
		if (status == OK && file.data == NULL)
			status = error_set(err, ENOMEMORY, "no memory for the mappings");
		if (status == OK)
			status = path_add(formats, files, file.data, err);
		free(entries[i]);
	}
	free(entries);
	return status;
}

static int by_rank(const void *left, const void *right)
{
	const struct format *a = left;
	const struct format *b = right;
	bool a_last = a->alternative_count == 0;
	bool b_last = b->alternative_count == 0;
	if (a_last != b_last)
		return a_last - b_last;
	return a->rank != b->rank ? (a->rank > b->rank) - (a->rank < b->rank)
				  : strcmp(a->name, b->name);
}

/* Which names say that an agent has decoded a line itself: those from which the fallback takes a
 * level, a user, a tenant, an outcome or an address. Vendors' names mean nothing outside of their
 * own format. */
static bool tells_decoded(enum field_id id)
{
	switch (id) {
	case FIELD_LOG_LEVEL:
	case FIELD_USER_ID:
	case FIELD_USER_NAME:
	case FIELD_USER_EMAIL:
	case FIELD_TENANT_ID:
	case FIELD_TARGET_TENANT_ID:
	case FIELD_EVENT_OUTCOME:
	case FIELD_SOURCE_IP:
		return true;
	default:
		return false;
	}
}

static void note_decoded(struct formats *formats)
{
	const struct format *fallback = &formats->formats[formats->format_count - 1];
	for (size_t i = 0; i < formats->names.slot_count; i++)
		formats->names.slots[i].decoded = tells_decoded(formats->names.slots[i].id);
	for (size_t i = 0; i < fallback->row_count; i++) {
		const struct row *row = &fallback->rows[i];
		if (row->source_name.data == NULL || !tells_decoded(row->to.id))
			continue;
		struct name_info *info = names_add(&formats->names, row->source_name);
		assert(info != NULL); /* it is there already */
		info->decoded = true;
	}
}

/* Exports and warehouses write a vendor's names in lower case. */
static enum status lower_names(struct formats *formats)
{
	enum status status = OK;
	for (size_t i = 0; i < formats->format_count; i++) {
		const struct format *format = &formats->formats[i];
		for (size_t k = 0; format->any_case && k < format->row_count && status == OK; k++)
			if (format->rows[k].source_name.data != NULL)
				status = names_lower(formats, format->rows[k].source_name);
		for (size_t k = 0; format->any_case && k < format->asked_count && status == OK; k++)
			status = names_lower(formats, format->asked[k]);
	}
	return status;
}

static enum status compile(struct formats *formats, const struct format_files *files,
			   struct error *err)
{
	size_t fallbacks = 0;
	for (size_t i = 0; i < files->count; i++) {
		const struct format_file *file = &files->files[i];
		if (file->part)
			continue;
		if (formats->format_count == FORMATS_MAX)
			return error_at(err, ELIMIT, file->node->at, "more than %d formats",
					FORMATS_MAX);
		struct format *format = &formats->formats[formats->format_count];
		enum status status = format_read(formats, files, file, format, err);
		if (status != OK)
			return status;
		fallbacks += format->alternative_count == 0;
		if (fallbacks > 1)
			return error_at(err, EINVALID, file->node->at,
					"`recognise` is missing: only `json` goes without");
		formats->format_count++;
	}
	if (fallbacks == 0)
		return error_set(err, EINVALID,
				 "one format must go without `recognise`, for all other records");
	if (lower_names(formats) != OK)
		return error_set(err, ENOMEMORY, "no memory for the mappings");
	qsort(formats->formats, formats->format_count, sizeof *formats->formats, by_rank);
	note_decoded(formats);
	if (formats_index(formats) != OK)
		return error_set(err, ENOMEMORY, "no memory for the mappings");
	return OK;
}

enum status formats_new(const char *const *paths, size_t path_count, struct formats **ret_formats,
			struct error *err)
{
	static const struct formats empty;
	struct formats *formats cleanup(formats_free) = malloc(sizeof *formats);
	struct format_file table[FILES_MAX];
	struct format_files files = {.files = table};
	if (formats != NULL)
		*formats = empty;
	if (formats != NULL)
		formats->arena = arena_new(ARENA_BYTES_MAX);
	if (formats == NULL || formats->arena == NULL || names_begin(&formats->names) != OK)
		return error_set(err, ENOMEMORY, "no memory for the mappings");
	enum status status = builtin_add(formats, &files, err);
	for (size_t i = 0; i < path_count && status == OK; i++)
		status = paths_add(formats, &files, paths[i], err);
	if (status == OK)
		status = compile(formats, &files, err);
	if (status == OK)
		*ret_formats = TAKE(formats);
	return status;
}

size_t formats_count(const struct formats *formats)
{
	return formats->format_count;
}

struct format_info formats_info(const struct formats *formats, size_t index)
{
	assert(index < formats->format_count);
	const struct format *format = &formats->formats[index];
	return (struct format_info){
		.name = format->name,
		.title = format->title,
		.file = format->file,
		.rank = format->rank,
		.row_count = format->row_count,
		.test_count = format->tests == NULL ? 0 : format->tests->count,
		.recognised_by = format->recognised_by,
	};
}

size_t formats_find(const struct formats *formats, struct text name)
{
	size_t index = 0;
	while (index < formats->format_count &&
	       !text_equal(text_of(formats->formats[index].name), name))
		index++;
	return index;
}
