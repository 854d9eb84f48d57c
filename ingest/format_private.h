/* format, inside: the tables that the hot path walks, and the files that make them.
 *
 *   format_files.c    which files there are: built in, and of the operator
 *   format_read.c     one YAML file -> struct format: its rows, conditions and marks
 *   format_names.c    every name that any of them or the schema knows, hashed
 *   format_table.c    rows by the source they wait for, formats by the mark they need
 *   format_map.c      a draft and its format -> the fields of the schema
 *   format_convert.c  one value -> another
 *
 * One look-up per field of a record answers all questions about its name: its field of the schema,
 * the source number that rows know it by, the marks it may set. A *source* is a name that is not of
 * the schema and that some mapping reads; a *mark* is one question of recognition ("is `level` a
 * number?"), answered while the fields are put; a format is recognised when all marks of one of its
 * alternatives are set.
 *
 * Invariant: rows are tried in the order of the file, its own before those it uses; a row never
 * overwrites a field that the record named itself. Owner: struct formats owns all of it in one
 * arena. Thread: any, it is read only. Limits: the constants below. */
#ifndef PICKET_INGEST_FORMAT_PRIVATE_H
#define PICKET_INGEST_FORMAT_PRIVATE_H

#include "ingest/draft_private.h"
#include "ingest/format.h"
#include "rules/yaml.h"

enum {
	FORMAT_SOURCES_MAX = 2048,   /* names that mappings read, all formats together */
	FORMAT_MARKS_MAX = 192,      /* questions of recognition, all formats together */
	FORMAT_ROWS_MAX = 512,       /* rows of one format, those it uses included */
	FORMAT_ALTERNATIVES_MAX = 8, /* ways to recognise one format */
	FORMAT_ASKED_MAX = 32,       /* names that one format is recognised by */
	FORMAT_TESTS_MAX = 16,       /* conditions of one clause */
	FORMAT_MEMBERS_MAX = 16,     /* members of an array that a row copies */
};

/* A field of the record: one of the schema, or a source; neither: nothing. */
struct subject {
	enum field_id id;
	uint16_t source; /* number + 1, 0 = none */
};

enum test_kind {
	TEST_PRESENT, /* it has a value */
	TEST_ABSENT,
	TEST_NUMBER,
	TEST_STRING,
	TEST_EQUAL, /* any of its values is one of the list */
	TEST_PREFIX,
};

struct test {
	struct subject subject;
	enum test_kind kind;
	const struct text *values; /* of EQUAL and PREFIX */
	size_t value_count;
};

/* Tests that must all hold; a `when` holds if one of its clauses does. */
struct clause {
	const struct test *tests;
	size_t test_count;
};

enum conversion {
#define CONVERSION(id, word, doc) AS_##id,
#include "ingest/conversion.def"
#undef CONVERSION
	CONVERSION_COUNT,
};

struct word {
	struct text from;
	struct value to;
};

/* What every record asks of a row stands first. */
struct row {
	struct subject from; /* nothing: the row gives its constant */
	enum conversion as;
	bool given; /* the value is `constant`, whatever the record says */
	bool move;  /* `from` becomes `to` */
	bool first; /* of an array only the first member */
	bool plain; /* the value is taken as it is */
	bool apart; /* a part of the value is taken: after, after_last, before */
	bool other; /* what is not among the words becomes `constant` */
	struct draft_name to;
	const struct clause *clauses;
	size_t clause_count; /* 0: always */
	struct text after, after_last, before;
	const struct word *words;
	size_t word_count;
	struct value constant;
	struct position at;
	struct text source_name; /* as the file has it */
};

struct marks {
	uint64_t bits[FORMAT_MARKS_MAX / 64];
};

struct logsource_row {
	struct logsource logsource;
	const struct clause *clauses;
	size_t clause_count;
};

struct format {
	const char *name, *title, *file;
	int rank;
	const struct row *rows;
	size_t row_count;
	size_t row_words;               /* of a set of rows: a bit for each */
	const uint64_t *always;         /* the set of rows that wait for no source */
	const uint64_t *waiting;        /* the sets of those that wait for source 0, 1, ... */
	const struct row *const *times; /* rows whose target is @timestamp, and in no set */
	size_t time_count;
	struct marks alternatives[FORMAT_ALTERNATIVES_MAX];
	size_t alternative_count;
	struct text recognised_by;
	struct text asked[FORMAT_ASKED_MAX]; /* the names that recognition asks for */
	size_t asked_count;
	const struct logsource_row *logsources; /* the first that holds is stamped */
	size_t logsource_count;
	struct text unwrap;            /* "data.": what begins with it is the record */
	bool any_case;                 /* names are also known in lower case */
	const struct yaml_node *tests; /* a sequence, or NULL */
};

struct name_info {
	struct text name; /* as it is written */
	enum field_id id; /* of the schema, or FIELD_OTHER */
	uint16_t source;  /* number + 1; 0 = none */
	uint16_t mark;    /* the first mark that asks for it, + 1; 0 = none */
	bool keep;        /* must be found whatever the limits */
	bool decoded;     /* says that an agent has decoded the line; see envelope.c */
};

struct mark {
	struct test test; /* the subject is not used: marks hang on names */
	uint16_t next;    /* the next mark of the same name, + 1 */
};

struct format_names {
	struct name_info *slots;
	size_t slot_count; /* a power of two */
	size_t used;
};

struct alternative {
	struct marks asked;
	const struct format *format;
};

struct formats {
	struct arena *arena;
	struct format_names names;
	struct mark marks[FORMAT_MARKS_MAX];
	size_t mark_count;
	size_t source_count;
	struct format formats[FORMATS_MAX]; /* by rank and name; the last is the fallback */
	size_t format_count;
	struct alternative *alternatives;     /* of all formats, by the mark they are filed under */
	uint16_t filed[FORMAT_MARKS_MAX + 1]; /* where those of a mark begin */
};

/* Which names of this record are known, and which marks are set. */
struct seen {
	struct marks marks;
	uint32_t fields[FORMAT_SOURCES_MAX];  /* by source: its newest draft field + 1, 0 = none */
	uint16_t sources[FORMAT_SOURCES_MAX]; /* that are present, each once */
	size_t source_count;
};

/* A record on its way through a format. */
struct mapping {
	const struct formats *formats;
	const struct format *format;
	struct draft *draft;
	struct seen *seen;
	struct arena *arena;
	bool failed; /* out of memory */
};

/* format_names.c */
uint64_t name_hash(struct text name);
enum status names_begin(struct format_names *names); /* the names of the schema */
void names_done(struct format_names *names);
/* Lets a name in lower case, or with its first part in lower case, mean the same, unless that means
 * something already. */
enum status names_lower(struct formats *formats, struct text name);
/* The entry of a name, made when it is new; NULL: no memory. */
struct name_info *names_add(struct format_names *names, struct text name);
const struct name_info *names_find(const struct format_names *names, struct text name,
				   uint64_t hash);
/* Must a field of this name be found whatever the limits? (For json_options.keep.) */
bool names_keep(const void *names, struct text name);

/* format_read.c: reads one file into *ret_format; `parts` are the files that `use` may name. */
struct format_file {
	const char *file;
	const char *name;
	const struct yaml_node *node;
	bool part; /* rows for others to use, not a format */
};
struct format_files {
	struct format_file *files;
	size_t count;
};
enum status format_read(struct formats *formats, const struct format_files *files,
			const struct format_file *file, struct format *ret_format,
			struct error *err);
/* format_table.c: the tables of the hot path, when all files are read. ENOMEMORY only. */
enum status formats_index(struct formats *formats);
/* format_condition.c: tests and clauses. */
enum status clauses_read(struct formats *formats, const struct yaml_node *node,
			 const struct clause **ret_clauses, size_t *ret_count, struct error *err);
enum status recognise_read(struct formats *formats, const struct yaml_node *node,
			   struct format *format, struct error *err);
enum status subject_read(struct formats *formats, const struct yaml_node *name,
			 struct subject *ret_subject, struct error *err);
enum status keys_check(const struct yaml_node *mapping, const char *const *known, size_t count,
		       struct error *err);
bool test_value(const struct test *test, const struct value *value);

/* format_convert.c: false when the value cannot be read so, or on memory (mapping->failed). */
/* The part of a text that a row with `apart` asks for; false when what it looks for is not in it.
 */
bool take_apart(const struct row *row, struct value *value);
bool convert(struct mapping *mapping, const struct row *row, struct value *value);

/* format_map.c */
void seen_begin(struct seen *seen);
/* Sets the marks that ask for this name and hold for its value. */
void seen_mark(const struct formats *formats, struct seen *seen, const struct name_info *info,
	       const struct value *value);
/* Notes that the newest draft field, which makes so many of them, has the name of a source. */
static inline void seen_source(struct seen *seen, unsigned source, uint32_t field_count)
{
	if (seen->fields[source] == 0)
		seen->sources[seen->source_count++] = (uint16_t)source;
	seen->fields[source] = field_count;
}
/* The first format behind `behind` (NULL: of all) whose marks are set. */
const struct format *format_recognise(const struct formats *formats, const struct seen *seen,
				      const struct format *behind);
/* Fills the fields of the schema from the rows of the format. */
void format_map(struct mapping *mapping);
/* The first usable time of the record (agent: of its envelope), renamed to @timestamp. */
bool format_time(struct mapping *mapping, bool agent, int64_t *ret_time_us);
/* What is stamped on the event; `given` by the configuration wins over a guess, not over a vendor.
 */
struct logsource format_logsource(struct mapping *mapping, const struct logsource *given);

/* A time in any form that loggers write; the magnitudes stand in event_time.c. */
bool time_of_value(const struct value *value, int64_t *ret_time_us);

/* What a plain text line says of itself: level, trace and span, into fields that are missing. */
void plain_line_read(struct draft *draft, struct text line);

/* What a pod's name says of its roll-out and its service, into fields that are missing. */
void pod_name_read(struct draft *draft);

#endif
