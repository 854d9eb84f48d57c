/* format - which shape of log a record has, and what its names mean: format.def as a table.
 *
 * Why: pino, bunyan, zap, logback, CloudTrail and node agents call the same things by different
 * names; the rules should not have to. One look-up per field answers all questions about a name:
 * its field of the schema, the rows of format.def it feeds, the format it gives away.
 *
 * Invariant: rows are tried in the order of format.def; a row never overwrites a field that the
 * record named itself. Owner of the tables: a decoder. Thread: one. Limits: SEEN_ROWS_MAX rows. */
#ifndef PICKET_INGEST_FORMAT_PRIVATE_H
#define PICKET_INGEST_FORMAT_PRIVATE_H

#include "ingest/draft_private.h"

enum format {
	FORMAT_RAW, /* nothing is mapped */
#define FORMAT(id, word, marks) FORMAT_##id,
#include "ingest/format.def"
	FORMAT_COUNT,
};

enum { SEEN_ROWS_MAX = 192 };

struct names; /* every name of schema.def and format.def, hashed */

struct name_info {
	struct text name;   /* as it is written */
	enum field_id id;   /* of the schema, or FIELD_OTHER */
	uint16_t first_row; /* rows of format.def that read it, + 1; 0 = none */
	uint16_t mark;      /* which MARK() it is, + 1; 0 = none */
};

/* Which rows of format.def have a source in this record, and which formats are possible. */
struct seen {
	uint64_t rows[SEEN_ROWS_MAX / 64];
	uint32_t fields[SEEN_ROWS_MAX]; /* of a row that is set: its draft field */
	uint32_t marks;
};

struct names *names_new(void); /* NULL: no memory */
void names_free(struct names **names);
uint64_t name_hash(struct text name);
const struct name_info *names_find(const struct names *names, struct text name, uint64_t hash);
/* Must a field of this name be found whatever the limits? (For json_options.keep.) */
bool names_keep(const void *names, struct text name);

/* Is it a level, user, tenant, outcome or address: what an agent gets only by decoding a line? */
bool names_of_decoded_line(const struct names *names, const struct name_info *info);

/* Notes that a field was put under `info`'s name. */
void seen_note(const struct names *names, struct seen *seen, const struct name_info *info,
	       const struct draft *draft, const struct draft_field *field);
enum format format_recognise(const struct seen *seen);
const char *format_name(enum format format);

/* Fills the fields of the schema from the rows of `format` (and those of the node agents). */
void format_map(struct draft *draft, const struct seen *seen, enum format format);

/* The first usable time of the record (agent: of its envelope), renamed to @timestamp. */
bool format_time(struct draft *draft, const struct seen *seen, enum format format, bool agent,
		 int64_t *ret_time_us);

/* A time in any form that loggers write; the magnitudes stand in event_time.c. */
bool time_of_value(const struct value *value, int64_t *ret_time_us);

/* What a plain text line says of itself: level, trace and span, into fields that are missing. */
void plain_line_read(struct draft *draft, struct text line);

/* What a pod's name says of its roll-out and its service, into fields that are missing. */
void pod_name_read(struct draft *draft);

#endif
