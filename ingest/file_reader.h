/* file_reader - cuts one file into messages: lines, elements of a JSON array, or whole JSON values.
 *
 * Why: exports come as NDJSON, as one big array, as a pretty-printed {"Records": [...]} document,
 * plain or gzipped. All of them must come out as numbered messages without the whole file in
 * memory.
 *
 * Invariant: numbers grow strictly from 1 (line number; for arrays and documents the element's
 * number); a view stays valid until file_reader_release(); a file that ends too early (damaged
 * gzip) has a problem text, it never looks merely shorter.
 * Owner: the file source. Thread: one.
 * Limits: a message longer than DECODE_MESSAGE_MAX comes out as its first DECODE_MESSAGE_MAX + 1
 * bytes, so that the decoder rejects it as too large with what there is. */
#ifndef PICKET_INGEST_FILE_READER_H
#define PICKET_INGEST_FILE_READER_H

#include <stdint.h>

#include "rules/error.h"
#include "rules/text.h"

struct file_reader;

enum file_cut {
	FILE_CUT_MESSAGE, /* a message came out */
	FILE_CUT_FULL,    /* release the views, then ask again */
	FILE_CUT_END,     /* nothing more; look at file_reader_problem() */
	FILE_CUT_MEMORY,  /* out of memory */
};

/* "-" is standard input. ENOTFOUND, ESYSTEM with the path; ENOMEMORY. */
enum status file_reader_open(const char *path, struct file_reader **ret_reader, struct error *err);
void file_reader_free(struct file_reader **reader);

/* The next message; the outputs are written only with FILE_CUT_MESSAGE. */
enum file_cut file_reader_next(struct file_reader *reader, struct text *ret_message,
			       int64_t *ret_number);
/* All views handed out so far are no longer used. */
void file_reader_release(struct file_reader *reader);

/* Number of the last message that was cut, blank lines included. */
int64_t file_reader_number(const struct file_reader *reader);
/* Why the file could not be read to its end, or "". */
const char *file_reader_problem(const struct file_reader *reader);

#endif
