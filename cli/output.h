/* output - what a person or a program reads on standard output: tables, JSON, one object a line.
 *
 * Why: the same answer of the API serves both. A table is for eyes: every cell goes through the
 * escape filter, times are short, colour only on a terminal. JSON is for programs: as the API gave
 * it, data untouched. Tables may change from version to version, JSON only grows.
 *
 * Invariant: no byte of data reaches a table unescaped. Owner: the caller's struct. Thread: one.
 * Limits: COLUMNS_MAX columns; on a terminal wide cells are cut to the width. */
#ifndef PICKET_CLI_OUTPUT_H
#define PICKET_CLI_OUTPUT_H

#include <json-c/json.h>
#include <stdio.h>

#include "rules/bytes.h"

enum { OUTPUT_COLUMNS_MAX = 32, OUTPUT_NARROW = 120 };

enum output_format { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_NDJSON, OUTPUT_JUNIT };

struct output {
	FILE *to;
	enum output_format format;
	bool color;
	bool terminal;
};

enum cell_kind {
	CELL_TEXT,
	CELL_ID,      /* of 32 digits the first 12 */
	CELL_TIME,    /* seconds, no fraction */
	CELL_LEVEL,   /* coloured by severity */
	CELL_STATE,   /* coloured by good or bad */
	CELL_COUNT,   /* to the right */
	CELL_FIGURE,  /* three significant digits, to the right */
	CELL_SECONDS, /* 11.4 s, 31 min 23 s, 5 h 3 min */
	CELL_BYTES,
	CELL_MAP,   /* {"a":1} as a=1 */
	CELL_EVENT, /* of a whole row (path ""): its "event" as a map, without what its "time" says
		     */
	CELL_LIST,  /* items with blanks between */
	CELL_PLACE, /* {"file","line"} as file:line */
};

/* What a narrow terminal does to a column; without a terminal all are whole. */
enum column_fit {
	COLUMN_WHOLE = false,
	COLUMN_CUT = true, /* cut to the width */
	COLUMN_MINOR = 2,  /* left out below OUTPUT_NARROW columns */
};

struct column {
	const char *title;
	const char *path; /* "rule.title" */
	enum cell_kind kind;
	int fit; /* enum column_fit; true and false do as well */
};

/* The member of an object by a dotted path, or NULL. */
struct json_object *json_path(struct json_object *object, const char *path);
/* Its text, "" when absent. */
const char *json_path_text(struct json_object *object, const char *path);
/* Of an alert: the value of a field of its group, else of the first event that has it; NULL: none.
 */
const char *json_alert_field(struct json_object *alert, const char *field);

/* A table of an array of objects. */
enum status output_table(const struct output *output, const struct column *columns,
			 size_t column_count, struct json_object *rows, struct error *err);
/* One object below each other: "title  value". */
enum status output_fields(const struct output *output, const struct column *columns,
			  size_t column_count, struct json_object *object, struct error *err);
/* JSON (one value) or NDJSON (the items of an array). */
void output_json(const struct output *output, struct json_object *value);
void output_lines(const struct output *output, struct json_object *array);

/* Text for a person: escaped, line breaks kept. */
void output_text(FILE *to, const char *text);
/* The cell of an object as a person sees it, not yet escaped. */
/* A full line of blocks, one for each of the values: which is highest, and what came before. `most`
 * is a full block, 0 or less the smallest one. No line for no value. */
void output_spark(FILE *to, const double *values, size_t count, double most);
void output_cell(struct json_object *value, enum cell_kind kind, struct bytes *to);

#endif
