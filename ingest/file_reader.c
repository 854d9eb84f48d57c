/* Shapes of a file, decided once on its first bytes (a byte order mark is skipped):
 *
 *   lines   NDJSON or plain text: the default
 *   array   the first value is an array of objects that does not end on its own line, or it does
 *           and nothing follows it
 *   values  the first value is an object that spans several lines and is well bracketed, as
 *           pretty printers write it: each top-level value is a message
 *
 * A broken first line must not turn NDJSON into a document: an object that is cut off never gets
 * back to depth 0, and a string that is cut off runs into a line break; both mean lines.
 *
 * The buffer is a window over the decompressed bytes. Views point into it, so it moves and grows
 * only when no view is out (FILE_CUT_FULL asks for that). zlib reads plain files as they are. */
#include "ingest/file_reader.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include "ingest/decode.h"
#include "ingest/json_span.h"

enum {
	WINDOW_FIRST = 256 * 1024,
	WINDOW_MAX = DECODE_MESSAGE_MAX + WINDOW_FIRST, /* always holds an over-long message */
	HANDED_MAX = DECODE_MESSAGE_MAX + 1,            /* what is handed out of such a message */
};

enum shape { SHAPE_UNKNOWN, SHAPE_LINES, SHAPE_ARRAY, SHAPE_VALUES };

struct file_reader {
	gzFile file;
	char *window;
	size_t capacity;
	size_t begin, end; /* not yet cut: window[begin, end) */
	size_t scanned;    /* of these, already looked at for the end of the message */
	size_t views;      /* handed out and not released */
	enum shape shape;
	struct json_span span;
	bool skipping; /* inside the rest of an over-long message */
	bool finished; /* no more bytes will come */
	int64_t number;
	char problem[256];
};

enum status file_reader_open(const char *path, struct file_reader **ret_reader, struct error *err)
{
	assert(path != NULL);
	bool standard_input = strcmp(path, "-") == 0;
	int file = standard_input ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0) {
		int why = errno;
		return error_set(err, why == ENOENT ? ENOTFOUND : ESYSTEM,
				 "%s cannot be opened: %s", path, strerror(why));
	}
	struct file_reader *reader = calloc(1, sizeof *reader);
	gzFile gz = reader == NULL ? NULL : gzdopen(file, "rb");
	if (gz == NULL) {
		(void)close(file);
		free(reader);
		return error_set(err, ENOMEMORY, "no memory to read %s", path);
	}
	(void)gzbuffer(gz, 128 * 1024);
	reader->file = gz;
	*ret_reader = reader;
	return OK;
}

void file_reader_free(struct file_reader **reader)
{
	if (*reader == NULL)
		return;
	(void)gzclose((*reader)->file);
	free((*reader)->window);
	free(*reader);
	*reader = NULL;
}

void file_reader_release(struct file_reader *reader)
{
	reader->views = 0;
}

int64_t file_reader_number(const struct file_reader *reader)
{
	return reader->number;
}

const char *file_reader_problem(const struct file_reader *reader)
{
	return reader->problem;
}

/* Room behind `end`: by moving what is left to the front, then by doubling. */
static bool window_make_room(struct file_reader *reader)
{
	assert(reader->views == 0);
	if (reader->begin > 0) {
		memmove(reader->window, reader->window + reader->begin,
			reader->end - reader->begin);
		reader->end -= reader->begin;
		reader->begin = 0;
	}
	if (reader->end < reader->capacity)
		return true;
	size_t capacity = reader->capacity == 0 ? WINDOW_FIRST : reader->capacity * 2;
	if (capacity > WINDOW_MAX)
		capacity = WINDOW_MAX;
	if (capacity == reader->capacity)
		return true; /* as large as it gets: the caller cuts an over-long message */
	char *window = realloc(reader->window, capacity);
	if (window == NULL)
		return false;
	reader->window = window;
	reader->capacity = capacity;
	return true;
}

static void note_read_error(struct file_reader *reader)
{
	int code = Z_OK;
	const char *text = gzerror(reader->file, &code);
	if (code == Z_OK)
		return;
	if (code == Z_ERRNO)
		text = strerror(errno);
	(void)snprintf(reader->problem, sizeof reader->problem,
		       "reading stopped behind message %lld: %s%s", (long long)reader->number, text,
		       code == Z_BUF_ERROR ? " (the compressed file is cut off)" : "");
}

/* Reads more. False when out of memory. */
static bool window_fill(struct file_reader *reader)
{
	if (!window_make_room(reader))
		return false;
	size_t room = reader->capacity - reader->end;
	if (room == 0)
		return true;
	int got = gzread(reader->file, reader->window + reader->end, (unsigned)room);
	if (got > 0)
		reader->end += (size_t)got;
	if (got < (int)room) {
		/* Short reads happen on pipes; only 0 or an error ends the file. */
		note_read_error(reader);
		reader->finished = got <= 0 || reader->problem[0] != '\0';
	}
	return true;
}

static struct text window_rest(const struct file_reader *reader)
{
	return (struct text){reader->window + reader->begin, reader->end - reader->begin};
}

/* Hands out `size` bytes from the front and takes `used` away. */
static enum file_cut hand_out(struct file_reader *reader, size_t size, size_t used,
			      struct text *ret_message)
{
	assert(size <= used && used <= reader->end - reader->begin);
	*ret_message = (struct text){reader->window + reader->begin, size};
	reader->begin += used;
	reader->scanned = 0;
	reader->views++;
	return FILE_CUT_MESSAGE;
}

static bool blank(struct text line)
{
	for (size_t i = 0; i < line.size; i++)
		if (!json_space(line.data[i]))
			return false;
	return true;
}

/* One line out of the window. FULL: more bytes are needed. */
static enum file_cut cut_line(struct file_reader *reader, struct text *ret_message)
{
	for (;;) {
		struct text rest = window_rest(reader);
		const char *newline = rest.size == reader->scanned
					      ? NULL
					      : memchr(rest.data + reader->scanned, '\n',
						       rest.size - reader->scanned);
		bool over_long = newline == NULL && rest.size > HANDED_MAX;
		if (newline == NULL && !over_long && !reader->finished) {
			reader->scanned = rest.size;
			return FILE_CUT_FULL;
		}
		if (newline == NULL && rest.size == 0)
			return FILE_CUT_END;
		size_t size = newline == NULL ? rest.size : (size_t)(newline - rest.data);
		size_t used = newline == NULL ? size : size + 1;
		bool skip = reader->skipping;
		reader->skipping = over_long;
		if (!skip)
			reader->number++;
		size -= newline != NULL && size > 0 && rest.data[size - 1] == '\r';
		if (!skip && !blank((struct text){rest.data, size}))
			return hand_out(reader, size > HANDED_MAX ? HANDED_MAX : size, used,
					ret_message);
		reader->begin += used;
		reader->scanned = 0;
	}
}

/* Steps over what stands between values. False when the array has ended. */
static bool skip_separators(struct file_reader *reader)
{
	while (reader->begin < reader->end) {
		char byte = reader->window[reader->begin];
		bool separator = json_space(byte) || (reader->shape == SHAPE_ARRAY && byte == ',');
		bool array_end = reader->shape == SHAPE_ARRAY && byte == ']';
		if (!separator && !array_end)
			return true;
		reader->begin++;
		if (array_end)
			return false;
	}
	return true;
}

/* One value out of the window. FULL: more bytes are needed. */
static enum file_cut cut_value(struct file_reader *reader, struct text *ret_message)
{
	if (!reader->span.started && !reader->skipping && !skip_separators(reader)) {
		/* What follows the array is no part of it: lines again, for the decoder to see. */
		reader->shape = SHAPE_LINES;
		return cut_line(reader, ret_message);
	}
	struct text rest = window_rest(reader);
	size_t used = 0;
	bool whole = json_span_feed(&reader->span, text_cut(rest, reader->scanned), &used);
	used += reader->scanned;
	if (!whole) {
		if (rest.size <= HANDED_MAX && !reader->finished) {
			reader->scanned = rest.size;
			return FILE_CUT_FULL;
		}
		if (rest.size == 0)
			return FILE_CUT_END;
		used = rest.size;
	} else if (used == 0) {
		used = 1; /* a stray bracket: a message of its own, so that it is not lost */
	}
	bool skip = reader->skipping;
	reader->skipping = !whole;
	if (whole)
		reader->span = (struct json_span){0};
	if (skip) {
		reader->begin += used;
		reader->scanned = 0;
		return whole ? cut_value(reader, ret_message) : FILE_CUT_FULL;
	}
	reader->number++;
	return hand_out(reader, used > HANDED_MAX ? HANDED_MAX : used, used, ret_message);
}

/* True when the file looks like one array of records and `rest` begins with its bracket. */
static bool looks_like_array(struct text rest)
{
	size_t at = 1;
	while (at < rest.size && json_space(rest.data[at]))
		at++;
	return at < rest.size && strchr("{[]\"", rest.data[at]) != NULL && rest.data[at] != '\0';
}

/* Decides the shape; false when more bytes are needed for that. */
static bool decide_shape(struct file_reader *reader)
{
	struct text rest = window_rest(reader);
	bool all = reader->finished || rest.size > HANDED_MAX;
	size_t from = 0;
	while (from < rest.size && json_space(rest.data[from]))
		from++;
	if (from == rest.size && !all)
		return false;
	char first = from < rest.size ? rest.data[from] : '\0';
	reader->shape = SHAPE_LINES;
	if (first != '{' && (first != '[' || !looks_like_array(text_cut(rest, from))))
		return true;
	struct text value = text_cut(rest, from);
	struct json_span span = {0};
	size_t used = 0;
	bool whole = json_span_feed(&span, value, &used);
	const char *newline = memchr(value.data, '\n', value.size);
	size_t line = newline == NULL ? value.size : (size_t)(newline - value.data);
	if (first == '{') {
		if (newline != NULL && whole && used < line + 1)
			return true;
		if (!whole && !all && !span.line_break_in_string) {
			reader->shape = SHAPE_UNKNOWN;
			return false;
		}
		bool document = whole && used > line && !span.line_break_in_string;
		if (document && (used == value.size || json_space(value.data[used])))
			reader->shape = SHAPE_VALUES;
		return true;
	}
	bool more_follows = whole && !blank(text_cut(value, used));
	if (whole && !more_follows && !all) {
		reader->shape = SHAPE_UNKNOWN;
		return false;
	}
	bool own_line = whole && used <= line;
	if (!span.line_break_in_string && !(own_line && more_follows)) {
		reader->shape = SHAPE_ARRAY;
		reader->begin += from + 1;
	}
	return true;
}

static enum file_cut cut(struct file_reader *reader, struct text *ret_message)
{
	if (reader->shape == SHAPE_UNKNOWN) {
		struct text rest = window_rest(reader);
		if (rest.size >= 3 && memcmp(rest.data, "\xef\xbb\xbf", 3) == 0)
			reader->begin += 3;
		if ((rest.size < 3 && !reader->finished) || !decide_shape(reader))
			return FILE_CUT_FULL;
	}
	return reader->shape == SHAPE_LINES ? cut_line(reader, ret_message)
					    : cut_value(reader, ret_message);
}

enum file_cut file_reader_next(struct file_reader *reader, struct text *ret_message,
			       int64_t *ret_number)
{
	for (;;) {
		enum file_cut result = reader->end == 0 && !reader->finished
					       ? FILE_CUT_FULL
					       : cut(reader, ret_message);
		if (result == FILE_CUT_MESSAGE)
			*ret_number = reader->number;
		if (result != FILE_CUT_FULL || reader->views > 0)
			return result;
		if (!window_fill(reader))
			return FILE_CUT_MEMORY;
	}
}
