#include "cli/output.h"

#include <assert.h>
#include <inttypes.h>
#include <libsmartcols.h>
#include <math.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/escape.h"
#include "rules/event.h"

enum { ID_DIGITS = 12, SECOND_DIGITS = 19, WIDTH_DEFAULT = 80 };

static const double SECONDS_SHOWN_MAX = 1e12;

struct json_object *json_path(struct json_object *object, const char *path)
{
	char name[128];
	while (object != NULL && path[0] != '\0') {
		size_t size = strcspn(path, ".");
		assert(size < sizeof name);
		memcpy(name, path, size);
		name[size] = '\0';
		struct json_object *next = NULL;
		if (!json_object_is_type(object, json_type_object) ||
		    !json_object_object_get_ex(object, name, &next))
			return NULL;
		object = next;
		path += size + (path[size] == '.');
	}
	return object;
}

const char *json_path_text(struct json_object *object, const char *path)
{
	struct json_object *found = json_path(object, path);
	return found == NULL ? "" : json_object_get_string(found);
}

const char *json_alert_field(struct json_object *alert, const char *field)
{
	struct json_object *value = NULL;
	struct json_object *events = json_path(alert, "events");
	if (json_object_object_get_ex(json_path(alert, "group"), field, &value))
		return json_object_get_string(value);
	for (size_t i = 0; events != NULL && i < json_object_array_length(events); i++) {
		struct json_object *context =
			json_path(json_object_array_get_idx(events, i), "context");
		if (json_object_object_get_ex(context, field, &value))
			return json_object_get_string(value);
	}
	return NULL;
}

static void put_value(struct json_object *value, struct bytes *to)
{
	if (value == NULL)
		return;
	if (json_object_is_type(value, json_type_string))
		bytes_put(to, json_object_get_string(value),
			  (size_t)json_object_get_string_len(value));
	else
		bytes_write_string(to,
				   json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN));
}

/* Without the member that is called `but`, unless that is NULL. */
static void put_map(struct json_object *value, const char *but, struct bytes *to)
{
	size_t count = 0;
	if (!json_object_is_type(value, json_type_object))
		return;
	json_object_object_foreach(value, key, member)
	{
		const char *text = json_object_is_type(member, json_type_string)
					   ? json_object_get_string(member)
					   : NULL;
		if (but != NULL ? strcmp(key, but) == 0 : text != NULL && text[0] == '\0')
			continue; /* a group has no empty values, a log source has absent ones */
		bytes_write_string(to, count++ == 0 ? "" : " ");
		bytes_write_string(to, key);
		bytes_write_string(to, "=");
		put_value(member, to);
	}
}

/* Is it this time, as a text or as a number in whatever unit loggers count in? */
static bool says_time(struct json_object *value, int64_t time_us)
{
	static const double SCALES[] = {1e6, 1e3, 1, 1e-3};
	int64_t said_us = 0;
	if (json_object_is_type(value, json_type_string))
		return time_parse(text_of(json_object_get_string(value)), &said_us) &&
		       said_us == time_us;
	double number = json_object_get_double(value);
	for (size_t i = 0; i < sizeof SCALES / sizeof *SCALES; i++) {
		if (fabs(number * SCALES[i] - (double)time_us) < 1)
			return true;
	}
	return false;
}

/* An event beside its time: a @timestamp that picket did not believe differs, and is shown. */
static void put_event(struct json_object *row, struct bytes *to)
{
	static const char STAMP[] = "@timestamp";
	int64_t time_us = 0;
	struct json_object *event = json_path(row, "event");
	bool told = time_parse(text_of(json_path_text(row, "time")), &time_us) &&
		    says_time(json_path(event, STAMP), time_us);
	put_map(event, told ? STAMP : NULL, to);
}

static void put_list(struct json_object *value, struct bytes *to)
{
	size_t count =
		json_object_is_type(value, json_type_array) ? json_object_array_length(value) : 0;
	for (size_t i = 0; i < count; i++) {
		bytes_write_string(to, i == 0 ? "" : " ");
		put_value(json_object_array_get_idx(value, i), to);
	}
}

static void put_size(struct json_object *value, struct bytes *to)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	double size = (double)json_object_get_int64(value);
	size_t unit = 0;
	while (size >= 1024 && unit + 1 < sizeof units / sizeof *units) {
		size /= 1024;
		unit++;
	}
	bytes_print(to, unit == 0 ? "%.0f %s" : "%.1f %s", size, units[unit]);
}

/* Seconds in the two units that say enough. */
static void put_seconds(struct json_object *value, struct bytes *to)
{
	double seconds = json_object_get_double(value);
	if (!(seconds < SECONDS_SHOWN_MAX)) {
		bytes_write_string(to, "-"); /* nothing has been closed yet */
		return;
	}
	long long whole = (long long)(seconds + 0.5);
	if (seconds < 60)
		bytes_print(to, "%.1f s", seconds);
	else if (whole < 3600)
		bytes_print(to, "%lld min %lld s", whole / 60, whole % 60);
	else if (whole < 86400)
		bytes_print(to, "%lld h %lld min", whole / 3600, whole % 3600 / 60);
	else
		bytes_print(to, "%lld d %lld h", whole / 86400, whole % 86400 / 3600);
}

static void put_figure(struct json_object *value, struct bytes *to)
{
	bytes_print(to, "%.3g", json_object_get_double(value));
}

static void put_place(struct json_object *value, struct bytes *to)
{
	bytes_write_string(to, json_path_text(value, "file"));
	bytes_write_string(to, ":");
	bytes_write_string(to, json_path_text(value, "line"));
}

void output_cell(struct json_object *value, enum cell_kind kind, struct bytes *to)
{
	size_t start = to->size;
	if (value == NULL) {
		bytes_write_string(to, kind == CELL_TEXT ? "" : "-");
		return;
	}
	switch (kind) {
	case CELL_MAP:
		put_map(value, NULL, to);
		return;
	case CELL_EVENT:
		put_event(value, to);
		return;
	case CELL_LIST:
		put_list(value, to);
		return;
	case CELL_BYTES:
		put_size(value, to);
		return;
	case CELL_FIGURE:
		put_figure(value, to);
		return;
	case CELL_SECONDS:
		put_seconds(value, to);
		return;
	case CELL_PLACE:
		put_place(value, to);
		return;
	case CELL_ID:
	case CELL_TIME:
		put_value(value, to);
		size_t most = kind == CELL_ID ? ID_DIGITS : SECOND_DIGITS;
		if (to->size - start > most)
			to->size = start + most;
		for (size_t i = start; kind == CELL_TIME && i < to->size; i++) {
			if (to->data[i] == 'T')
				to->data[i] = ' ';
		}
		return;
	case CELL_TEXT:
	case CELL_LEVEL:
	case CELL_STATE:
	case CELL_COUNT:
		put_value(value, to);
		return;
	}
	assert(false); /* a cell of no kind */
}

static const char *color_of(enum cell_kind kind, const char *text)
{
	static const struct {
		enum cell_kind kind;
		const char *word, *color;
	} colors[] = {
		{CELL_LEVEL, "critical", "lightmagenta"}, {CELL_LEVEL, "high", "lightred"},
		{CELL_LEVEL, "medium", "yellow"},         {CELL_LEVEL, "low", "cyan"},
		{CELL_STATE, "open", "lightred"},         {CELL_STATE, "failed", "lightred"},
		{CELL_STATE, "FAIL", "lightred"},         {CELL_STATE, "stalled", "yellow"},
		{CELL_STATE, "refused", "lightred"},      {CELL_STATE, "PASS", "green"},
		{CELL_STATE, "reading", "green"},         {CELL_STATE, "running", "green"},
		{CELL_STATE, "STALE", "yellow"},
	};
	for (size_t i = 0; i < sizeof colors / sizeof *colors; i++) {
		if (colors[i].kind == kind && strcmp(colors[i].word, text) == 0)
			return colors[i].color;
	}
	return NULL;
}

static enum status set_cell(const struct output *output, struct libscols_line *line, size_t index,
			    const struct column *column, struct json_object *object)
{
	struct bytes raw cleanup(bytes_done) = {0};
	struct bytes text cleanup(bytes_done) = {0};
	output_cell(json_path(object, column->path), column->kind, &raw);
	escape_text(bytes_text(&raw), &text);
	bytes_put_u8(&text, 0);
	if (raw.failed || text.failed)
		return ENOMEMORY;
	if (scols_line_set_data(line, index, (const char *)text.data) != 0)
		return ENOMEMORY;
	const char *color = color_of(column->kind, (const char *)text.data);
	if (output->color && color != NULL)
		(void)scols_cell_set_color(scols_line_get_cell(line, index), color);
	return OK;
}

static enum status fill_table(const struct output *output, struct libscols_table *table,
			      const struct column *columns, size_t column_count,
			      struct json_object *rows)
{
	for (size_t i = 0; i < column_count; i++) {
		int flags = columns[i].fit == COLUMN_CUT ? SCOLS_FL_TRUNC : 0;
		bool right = columns[i].kind == CELL_COUNT || columns[i].kind == CELL_BYTES ||
			     columns[i].kind == CELL_FIGURE;
		if (scols_table_new_column(table, columns[i].title,
					   columns[i].fit == COLUMN_CUT ? 0.3 : 1,
					   flags | (right ? SCOLS_FL_RIGHT : 0)) == NULL)
			return ENOMEMORY;
	}
	size_t count =
		json_object_is_type(rows, json_type_array) ? json_object_array_length(rows) : 0;
	for (size_t i = 0; i < count; i++) {
		struct libscols_line *line = scols_table_new_line(table, NULL);
		if (line == NULL)
			return ENOMEMORY;
		for (size_t j = 0; j < column_count; j++) {
			enum status status = set_cell(output, line, j, &columns[j],
						      json_object_array_get_idx(rows, i));
			if (status != OK)
				return status;
		}
	}
	return OK;
}

static size_t terminal_width(const struct output *output)
{
	struct winsize size;
	if (ioctl(fileno(output->to), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	return WIDTH_DEFAULT;
}

/* The columns that there is room for; how many. */
static size_t choose_columns(const struct output *output, const struct column *from, size_t count,
			     struct column *to)
{
	bool narrow = output->terminal && terminal_width(output) < OUTPUT_NARROW;
	size_t kept = 0;
	for (size_t i = 0; i < count; i++) {
		if (!narrow || from[i].fit != COLUMN_MINOR)
			to[kept++] = from[i];
	}
	return kept;
}

enum status output_table(const struct output *output, const struct column *columns,
			 size_t column_count, struct json_object *rows, struct error *err)
{
	assert(column_count <= OUTPUT_COLUMNS_MAX);
	struct column chosen[OUTPUT_COLUMNS_MAX];
	column_count = choose_columns(output, columns, column_count, chosen);
	struct libscols_table *table = scols_new_table();
	if (table == NULL)
		return error_set(err, ENOMEMORY, "no memory for a table");
	(void)scols_table_set_stream(table, output->to);
	(void)scols_table_enable_noencoding(table, 1); /* set_cell() has escaped already */
	(void)scols_table_enable_colors(table, output->color);
	(void)scols_table_set_termforce(table, output->terminal ? SCOLS_TERMFORCE_ALWAYS
								: SCOLS_TERMFORCE_NEVER);
	if (output->terminal)
		(void)scols_table_set_termwidth(table, terminal_width(output));
	enum status status = fill_table(output, table, chosen, column_count, rows);
	if (status == OK && scols_print_table(table) != 0)
		status = ESYSTEM;
	scols_unref_table(table);
	return status == OK ? OK : error_set(err, status, "the table cannot be printed");
}

enum status output_fields(const struct output *output, const struct column *columns,
			  size_t column_count, struct json_object *object, struct error *err)
{
	int width = 0;
	for (size_t i = 0; i < column_count; i++) {
		int size = (int)strlen(columns[i].title);
		width = size > width ? size : width;
	}
	for (size_t i = 0; i < column_count; i++) {
		struct bytes raw cleanup(bytes_done) = {0};
		struct bytes text cleanup(bytes_done) = {0};
		output_cell(json_path(object, columns[i].path), columns[i].kind, &raw);
		escape_text(bytes_text(&raw), &text);
		if (text.size == 0)
			bytes_write_string(&text, "-");
		if (raw.failed || text.failed)
			return error_set(err, ENOMEMORY, "no memory for a field");
		(void)fprintf(output->to, "%-*s  %.*s\n", width, columns[i].title,
			      TEXT_ARG(bytes_text(&text)));
	}
	return OK;
}

void output_json(const struct output *output, struct json_object *value)
{
	struct bytes text cleanup(bytes_done) = {0};
	int flags =
		output->format == OUTPUT_NDJSON ? JSON_C_TO_STRING_PLAIN : JSON_C_TO_STRING_PRETTY;
	escape_json(text_of(json_object_to_json_string_ext(value,
							   flags | JSON_C_TO_STRING_NOSLASHESCAPE)),
		    &text);
	bytes_write_string(&text, "\n");
	(void)fwrite(text.data, 1, text.size, output->to);
}

void output_lines(const struct output *output, struct json_object *array)
{
	assert(json_object_is_type(array, json_type_array));
	for (size_t i = 0; i < json_object_array_length(array); i++)
		output_json(output, json_object_array_get_idx(array, i));
}

void output_text(FILE *to, const char *text)
{
	struct bytes escaped cleanup(bytes_done) = {0};
	escape_lines(text_of(text), &escaped);
	if (escaped.size > 0) /* nothing is no address */
		(void)fwrite(escaped.data, 1, escaped.size, to);
}

void output_spark(FILE *to, const double *values, size_t count, double most)
{
	enum { LEVELS = 8 };
	for (size_t i = 0; i < count; i++) {
		double part = most > 0 ? values[i] / most : 0;
		part = part < 0 ? 0 : part > 1 ? 1 : part;
		/* U+2581 to U+2588, one eighth to a full block */
		char block[] = {(char)0xe2, (char)0x96,
				(char)(0x81 + (unsigned)(part * (LEVELS - 1))), '\0'};
		(void)fputs(block, to);
	}
	if (count > 0)
		(void)fputc('\n', to);
}
