/* format - the shapes of logs that picket understands: mapping files, compiled to tables.
 *
 * Why: pino, Okta, CloudTrail and Kubernetes call the same things by different names; the rules
 * should not have to. A format is data: one YAML file that says how a record of it is recognised
 * and what its names mean (docs/FORMATS.md), with tests inside. The files of ingest/formats/ are
 * part of the program; a file of the same `name` in a folder of the operator takes the place of a
 * built-in one, any other adds a format.
 *
 * Invariant: immutable once made; every decoder may share one. A mapping never overwrites what the
 * record says itself. Owner: the caller of formats_new(). Thread: any.
 * Limits: FORMATS_MAX formats, and those of format_private.h: beyond them a file is refused. */
#ifndef PICKET_INGEST_FORMAT_H
#define PICKET_INGEST_FORMAT_H

#include "rules/error.h"
#include "rules/text.h"

enum { FORMATS_MAX = 64 };

struct formats;

/* A mapping file as it is embedded in the program. */
struct embedded_format {
	const char *file; /* as it is named in errors: a path in the sources */
	const char *yaml;
	size_t size;
};
extern const struct embedded_format embedded_formats[];
extern const size_t embedded_format_count;

/* The built-in formats and those of the paths: files, or folders of *.yml and *.yaml. */
enum status formats_new(const char *const *paths, size_t path_count, struct formats **ret_formats,
			struct error *err);
void formats_free(struct formats **formats);

/* Formats in the order in which they are tried; the last one takes every record. */
size_t formats_count(const struct formats *formats);

struct format_info {
	const char *name, *title, *file;
	int rank;
	size_t row_count;
	size_t test_count;
	struct text recognised_by; /* for a person: "eventVersion, eventSource, eventName" */
};
struct format_info formats_info(const struct formats *formats, size_t index);
/* The index of a format, or formats_count() when there is none of this name. */
size_t formats_find(const struct formats *formats, struct text name);

/* Runs the tests that the files of `formats` hold, through a decoder of their own. on_failure hears
 * of each one that fails: where it stands and what is wrong. */
struct format_test_sink {
	void (*on_failure)(void *context, struct position at, struct text what);
	void *context;
};
enum status formats_test(const struct formats *formats, const struct format_test_sink *sink,
			 size_t *ret_run, size_t *ret_failed, struct error *err);

#endif
