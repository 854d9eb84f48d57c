/* One mapping file into one struct format: its own rows first, then those of the files it uses.
 *
 *   map:
 *       TARGET: SOURCE                        a candidate
 *       TARGET: [CANDIDATE, CANDIDATE]        the first that gives a value fills the target
 *
 * A candidate is the name of a field, or a mapping with `from` (a name or a list of names, tried in
 * order), `as`, `after`, `after_last`, `before`, `words`, `else`, `first`, `move`, `set` and
 * `when`. docs/FORMATS.md is the page for whoever writes one. */
#include <stdlib.h>

#include "ingest/format_private.h"

/* A format while it is read. */
struct reading_format {
	struct formats *formats;
	const struct format_files *files;
	struct row *rows;
	size_t row_count;
	struct logsource_row *logsources;
	size_t logsource_count;
};

enum { LOGSOURCES_MAX = 16, USE_DEPTH_MAX = 4 };

static enum status no_memory(struct error *err)
{
	return error_set(err, ENOMEMORY, "no memory for the mappings");
}

static enum status text_read(const struct yaml_node *node, struct text *ret_text, struct error *err)
{
	if (node->kind == YAML_MAPPING || node->kind == YAML_SEQUENCE || node->text.size == 0)
		return error_at(err, EINVALID, node->at, "a text is needed here");
	*ret_text = node->text;
	return OK;
}

static struct value value_of_node(const struct yaml_node *node)
{
	struct value value = {.type = VALUE_STRING, .text = node->text};
	if (node->kind == YAML_BOOLEAN) {
		value.type = VALUE_BOOLEAN;
		value.boolean = node->boolean;
	} else if (node->kind == YAML_INTEGER) {
		value.type = VALUE_INTEGER;
		value.integer = node->integer;
	}
	return value;
}

static enum status words_read(struct formats *formats, const struct yaml_node *node,
			      struct row *row, struct error *err)
{
	if (node->kind != YAML_MAPPING || node->count == 0)
		return error_at(err, EINVALID, node->at,
				"`words` is a mapping: {what the log says: what it means}");
	struct word *words = arena_alloc(formats->arena, node->count * sizeof *words);
	if (words == NULL)
		return no_memory(err);
	for (size_t i = 0; i < node->count; i++) {
		struct text text = {0};
		enum status status = text_read(node->values[i], &text, err);
		if (status != OK)
			return status;
		words[i] = (struct word){node->keys[i]->text, value_of_node(node->values[i])};
	}
	row->words = words;
	row->word_count = node->count;
	return OK;
}

static enum status conversion_read(const struct yaml_node *node, enum conversion *ret_as,
				   struct error *err)
{
	static const char *const words[] = {
#define CONVERSION(id, word, doc) word,
#include "ingest/conversion.def"
#undef CONVERSION
	};
	for (size_t i = 0; i < CONVERSION_COUNT; i++)
		if (text_equal(node->text, text_of(words[i]))) {
			*ret_as = (enum conversion)i;
			return OK;
		}
	const char *nearest = nearest_name(node->text, words, CONVERSION_COUNT);
	return error_at(err, EINVALID, node->at, "there is no conversion `%.*s`%s%s%s",
			TEXT_ARG(node->text), nearest == NULL ? "" : ", did you mean `",
			nearest == NULL ? "" : nearest,
			nearest == NULL ? ": see docs/FORMATS.md" : "`?");
}

/* The keys of a candidate that change its value. */
static enum status details_read(struct formats *formats, const struct yaml_node *node,
				struct row *row, struct error *err)
{
	const struct {
		const char *key;
		struct text *text;
	} texts[] = {
		{"after", &row->after}, {"after_last", &row->after_last}, {"before", &row->before}};
	const struct {
		const char *key;
		bool *flag;
	} flags[] = {{"move", &row->move}, {"first", &row->first}};
	enum status status = OK;
	for (size_t i = 0; i < sizeof texts / sizeof *texts && status == OK; i++) {
		const struct yaml_node *value = yaml_get(node, texts[i].key);
		if (value != NULL)
			status = text_read(value, texts[i].text, err);
	}
	for (size_t i = 0; i < sizeof flags / sizeof *flags && status == OK; i++) {
		const struct yaml_node *value = yaml_get(node, flags[i].key);
		if (value != NULL && value->kind != YAML_BOOLEAN)
			return error_at(err, EINVALID, value->at, "`%s` is true or false",
					flags[i].key);
		*flags[i].flag = value != NULL && value->boolean;
	}
	const struct yaml_node *as = yaml_get(node, "as");
	const struct yaml_node *words = yaml_get(node, "words");
	const struct yaml_node *when = yaml_get(node, "when");
	if (status == OK && as != NULL)
		status = conversion_read(as, &row->as, err);
	if (status == OK && words != NULL)
		status = words_read(formats, words, row, err);
	if (status == OK && when != NULL)
		status = clauses_read(formats, when, &row->clauses, &row->clause_count, err);
	return status;
}

/* `set`, the value of a row without `from`, and `else`, that of a word that is not listed. */
static enum status constant_read(const struct yaml_node *node, struct row *row, struct error *err)
{
	const struct yaml_node *from = yaml_get(node, "from");
	const struct yaml_node *set = yaml_get(node, "set");
	const struct yaml_node *other = yaml_get(node, "else");
	struct text text = {0};
	if ((from == NULL) == (set == NULL))
		return error_at(err, EINVALID, node->at,
				"a candidate has either `from` (a field) or `set` (a constant)");
	if (other != NULL && row->words == NULL)
		return error_at(err, EINVALID, other->at, "`else` belongs to `words`");
	if (set == NULL && other == NULL)
		return OK;
	const struct yaml_node *given = set != NULL ? set : other;
	row->constant = value_of_node(given);
	row->other = other != NULL;
	return text_read(given, &text, err);
}

static enum status row_add(struct reading_format *reading, const struct row *row,
			   const struct yaml_node *from, struct error *err)
{
	if (reading->row_count == FORMAT_ROWS_MAX)
		return error_at(err, ELIMIT, row->at, "a format has at most %d rows",
				FORMAT_ROWS_MAX);
	struct row *to = &reading->rows[reading->row_count];
	*to = *row;
	to->given = from == NULL;
	to->apart = row->after.size + row->after_last.size + row->before.size > 0;
	to->plain = row->as == AS_SAME && row->word_count == 0 && !to->apart;
	if (from != NULL) {
		enum status status = subject_read(reading->formats, from, &to->from, err);
		if (status != OK)
			return status;
		to->source_name = from->text;
		to->at = from->at;
		struct name_info *info = names_add(&reading->formats->names, from->text);
		if (info == NULL)
			return no_memory(err);
		info->keep |= row->to.id != FIELD_OTHER &&
			      schema_info(row->to.id)->protection == FIELD_PROTECTED;
	}
	reading->row_count++;
	return OK;
}

static enum status candidate_read(struct reading_format *reading, const struct draft_name *to,
				  const struct yaml_node *node, struct error *err)
{
	static const char *const keys[] = {"from",   "as",    "after", "after_last",
					   "before", "words", "else",  "first",
					   "move",   "set",   "when"};
	struct row row = {.to = *to, .at = node->at};
	row.as = to->id == FIELD_TIMESTAMP ? AS_TIME : AS_SAME;
	if (node->kind != YAML_MAPPING)
		return row_add(reading, &row, node, err);
	enum status status = keys_check(node, keys, sizeof keys / sizeof *keys, err);
	if (status == OK)
		status = details_read(reading->formats, node, &row, err);
	if (status == OK)
		status = constant_read(node, &row, err);
	if (status != OK)
		return status;
	if (to->id == FIELD_TIMESTAMP && row.as != AS_TIME)
		return error_at(err, EINVALID, node->at, "@timestamp takes times only");
	const struct yaml_node *from = yaml_get(node, "from");
	if (from == NULL || from->kind != YAML_SEQUENCE)
		return row_add(reading, &row, from, err);
	for (size_t i = 0; i < from->count && status == OK; i++)
		status = row_add(reading, &row, from->items[i], err);
	return status;
}

static enum status target_read(const struct yaml_node *node, struct draft_name *ret_to,
			       struct error *err)
{
	struct text name = node->text;
	if (name.size == 0 || name.size > EVENT_NAME_MAX)
		return error_at(err, EINVALID, node->at, "a target has 1 to %d bytes",
				EVENT_NAME_MAX);
	enum field_id id = schema_find(name);
	if (id != FIELD_OTHER && !text_equal(schema_info(id)->name, name))
		return error_at(err, EINVALID, node->at, "`%.*s` is an alias: write `%.*s`",
				TEXT_ARG(name), TEXT_ARG(schema_info(id)->name));
	if (id != FIELD_OTHER && schema_info(id)->protection == FIELD_PROVENANCE)
		return error_at(err, EINVALID, node->at, "`%.*s` is set by picket alone",
				TEXT_ARG(name));
	*ret_to = (struct draft_name){
		.name = name, .source = name, .hash = name_hash(name), .id = id};
	return OK;
}

static enum status map_read(struct reading_format *reading, const struct yaml_node *map,
			    struct error *err)
{
	if (map->kind != YAML_MAPPING)
		return error_at(err, EINVALID, map->at, "`map` is a mapping of TARGET: SOURCE");
	for (size_t i = 0; i < map->count; i++) {
		struct draft_name to = {0};
		const struct yaml_node *value = map->values[i];
		enum status status = target_read(map->keys[i], &to, err);
		if (status == OK && value->kind != YAML_SEQUENCE)
			status = candidate_read(reading, &to, value, err);
		for (size_t k = 0; value->kind == YAML_SEQUENCE && k < value->count && status == OK;
		     k++)
			status = candidate_read(reading, &to, value->items[k], err);
		if (status != OK)
			return status;
	}
	return OK;
}

static enum status logsource_read(struct reading_format *reading, const struct yaml_node *node,
				  struct error *err)
{
	static const char *const keys[] = {"category", "product", "service", "when"};
	enum status status = keys_check(node, keys, sizeof keys / sizeof *keys, err);
	if (status != OK)
		return status;
	if (reading->logsource_count == LOGSOURCES_MAX)
		return error_at(err, ELIMIT, node->at, "at most %d log sources", LOGSOURCES_MAX);
	struct logsource_row row = {0};
	struct text *const parts[] = {&row.logsource.category, &row.logsource.product,
				      &row.logsource.service};
	for (size_t i = 0; i < sizeof parts / sizeof *parts && status == OK; i++) {
		const struct yaml_node *part = yaml_get(node, keys[i]);
		if (part != NULL)
			status = text_read(part, parts[i], err);
	}
	const struct yaml_node *when = yaml_get(node, "when");
	if (status == OK && when != NULL)
		status = clauses_read(reading->formats, when, &row.clauses, &row.clause_count, err);
	if (status == OK)
		reading->logsources[reading->logsource_count++] = row;
	return status;
}

static const struct format_file *part_find(const struct format_files *files, struct text name)
{
	for (size_t i = 0; i < files->count; i++)
		if (files->files[i].part && text_equal(text_of(files->files[i].name), name))
			return &files->files[i];
	return NULL;
}

/* Rows and log sources of a file, then those of the files it uses. */
static enum status rows_read(struct reading_format *reading, const struct yaml_node *node,
			     int depth, struct error *err)
{
	const struct yaml_node *map = yaml_get(node, "map");
	const struct yaml_node *logsource = yaml_get(node, "logsource");
	const struct yaml_node *use = yaml_get(node, "use");
	enum status status = map == NULL ? OK : map_read(reading, map, err);
	bool list = logsource != NULL && logsource->kind == YAML_SEQUENCE;
	if (status == OK && logsource != NULL && !list)
		status = logsource_read(reading, logsource, err);
	for (size_t i = 0; list && i < logsource->count && status == OK; i++)
		status = logsource_read(reading, logsource->items[i], err);
	if (status != OK || use == NULL)
		return status;
	if (use->kind != YAML_SEQUENCE || depth == USE_DEPTH_MAX)
		return error_at(err, EINVALID, use->at, "`use` is a list of parts, at most %d deep",
				USE_DEPTH_MAX);
	for (size_t i = 0; i < use->count && status == OK; i++) {
		const struct format_file *part = part_find(reading->files, use->items[i]->text);
		if (part == NULL)
			return error_at(err, ENOTFOUND, use->items[i]->at,
					"there is no part `%.*s` (a file with `part: true`)",
					TEXT_ARG(use->items[i]->text));
		status = rows_read(reading, part->node, depth + 1, err);
	}
	return status;
}

static enum status head_read(struct formats *formats, const struct yaml_node *node,
			     struct format *format, struct error *err)
{
	const struct yaml_node *title = yaml_get(node, "title");
	const struct yaml_node *rank = yaml_get(node, "rank");
	const struct yaml_node *unwrap = yaml_get(node, "unwrap");
	const struct yaml_node *recognise = yaml_get(node, "recognise");
	const struct yaml_node *any_case = yaml_get(node, "any_case");
	struct text text = {0};
	enum status status = OK;
	if (title == NULL)
		return error_at(err, EINVALID, node->at, "`title` is missing: what format is it?");
	if (rank != NULL && (rank->kind != YAML_INTEGER || rank->integer < 1 || rank->integer > 99))
		return error_at(err, EINVALID, rank->at, "`rank` is a number from 1 to 99");
	if (any_case != NULL && any_case->kind != YAML_BOOLEAN)
		return error_at(err, EINVALID, any_case->at, "`any_case` is true or false");
	format->any_case = any_case != NULL && any_case->boolean;
	status = text_read(title, &text, err);
	format->title = text.data;
	format->rank = rank == NULL ? 50 : (int)rank->integer;
	format->tests = yaml_get(node, "tests");
	if (status == OK && format->tests != NULL && format->tests->kind != YAML_SEQUENCE)
		return error_at(err, EINVALID, format->tests->at, "`tests` is a list");
	if (status == OK && unwrap != NULL)
		status = text_read(unwrap, &format->unwrap, err);
	if (status == OK && recognise != NULL)
		status = recognise_read(formats, recognise, format, err);
	return status;
}

static void rows_done(struct row **rows)
{
	free(*rows);
}

enum status format_read(struct formats *formats, const struct format_files *files,
			const struct format_file *file, struct format *ret_format,
			struct error *err)
{
	static const char *const keys[] = {"name",      "title",     "part",   "rank",
					   "use",       "recognise", "unwrap", "any_case",
					   "logsource", "map",       "tests"};
	struct format format = {.name = file->name, .file = file->file};
	struct reading_format reading = {.formats = formats, .files = files};
	enum status status = keys_check(file->node, keys, sizeof keys / sizeof *keys, err);
	if (status == OK)
		status = head_read(formats, file->node, &format, err);
	if (status != OK)
		return status;
	struct row *rows cleanup(rows_done) = malloc(FORMAT_ROWS_MAX * sizeof *rows);
	reading.rows = rows;
	reading.logsources =
		arena_alloc(formats->arena, LOGSOURCES_MAX * sizeof *reading.logsources);
	if (reading.rows == NULL || reading.logsources == NULL)
		return no_memory(err);
	status = rows_read(&reading, file->node, 0, err);
	if (status != OK)
		return status;
	struct row *kept = arena_alloc(formats->arena, (reading.row_count + 1) * sizeof *kept);
	if (kept == NULL)
		return no_memory(err);
	memcpy(kept, rows, reading.row_count * sizeof *kept);
	for (size_t i = 0; i < reading.row_count; i++)
		kept[i].to.by = &kept[i];
	format.rows = kept;
	format.row_count = reading.row_count;
	format.logsources = reading.logsources;
	format.logsource_count = reading.logsource_count;
	*ret_format = format;
	return OK;
}
