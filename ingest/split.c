/* Where the records of a message begin and end.
 *
 *   {...}              one record, also when it is printed over many lines
 *   {...}\n{...}\n     NDJSON: a record a line; blank lines are none; a broken line is one reject
 *   [{...}, 7, {...}]  a record per element; an element that is no object is one reject
 *   {"Records":[...]}  CloudTrail's files, {"records":[...]} of Azure, {"activities":[...]} of
 * Google Workspace: as an array, when the object has nothing else
 *
 * An array is checked to its last byte before its first record is let out: half an array would be
 * half a truth, and the rest could not be told from it later. Lines are independent of each other.
 *
 * A message that is not one value could be NDJSON with a broken first line, or one broken object
 * printed over many lines. It is NDJSON if its first value ends on its first line, or if some line
 * is an object of its own that begins in the first column (printers indent). A byte order mark at
 * the beginning is skipped (RFC 8259, section 8.1, allows it). */
#include <assert.h>

#include "ingest/decoder_private.h"

static size_t skip_blanks(struct text t, size_t at)
{
	while (at < t.size && json_blank(t.data[at]))
		at++;
	return at;
}

static struct text trim(struct text t)
{
	size_t start = skip_blanks(t, 0);
	t = text_cut(t, start);
	while (t.size > 0 && json_blank(t.data[t.size - 1]))
		t.size--;
	return t;
}

static bool whole_object(struct text line)
{
	size_t end = 0;
	struct json_problem problem = {0};
	return line.size > 0 && line.data[0] == '{' &&
	       json_check(line, &end, &problem) == JSON_OK && skip_blanks(line, end) == line.size;
}

/* The line at `at` without its end; *ret_next is where the next one begins. */
static struct text line_at(struct text t, size_t at, size_t *ret_next)
{
	const char *end = memchr(t.data + at, '\n', t.size - at);
	size_t size = end == NULL ? t.size - at : (size_t)(end - t.data) - at;
	*ret_next = end == NULL ? t.size : at + size + 1;
	return (struct text){t.data + at, size};
}

/* Is some line an object of its own? The first 64 lines are enough to tell. */
static bool looks_like_lines(struct text t)
{
	enum { LINES_LOOKED_AT = 64 };
	size_t at = 0;
	for (int i = 0; i < LINES_LOOKED_AT && at < t.size; i++)
		if (whole_object(line_at(t, at, &at)))
			return true;
	return false;
}

/* Behind {"Records": of CloudTrail and the like, where its array begins; 0 when the
 * message is not that. */
static size_t records_array(struct text t)
{
	static const struct text keys[] = {
		{"\"Records\"", 9}, {"\"records\"", 9}, {"\"activities\"", 12}};
	size_t at = skip_blanks(t, 1);
	size_t key = 0;
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (text_starts(text_cut(t, at), keys[i]))
			key = keys[i].size;
	if (key == 0)
		return 0;
	at = skip_blanks(t, at + key);
	if (at == t.size || t.data[at] != ':')
		return 0;
	at = skip_blanks(t, at + 1);
	return at < t.size && t.data[at] == '[' ? at : 0;
}

static void reject(struct split *split, enum reject why, struct text detail)
{
	split->layout = LAYOUT_REJECT;
	split->why = why;
	split->detail = detail;
}

static bool good_utf8(struct split *split, struct arena *arena)
{
	size_t offset = 0;
	if (json_utf8(split->text, &offset))
		return true;
	reject(split, REJECT_NOT_UTF8, arena_print(arena, "not UTF-8 at byte %zu", offset));
	return false;
}

/* The array at `from` must be good to its end, and `close` (or nothing) must follow it. */
static bool array_begin(struct split *split, size_t from, char close, struct arena *arena)
{
	struct text t = split->text;
	struct json_problem problem = {"bytes behind the array", 0};
	size_t end = 0;
	bool good = json_check(text_cut(t, from), &end, &problem) == JSON_OK;
	if (good) {
		end = skip_blanks(t, from + end);
		problem.offset = end - from;
		if (close != '\0')
			good = end < t.size && t.data[end++] == close;
		good = good && skip_blanks(t, end) == t.size;
	}
	if (!good) {
		reject(split, REJECT_NOT_JSON,
		       arena_print(arena, "%s at byte %zu", problem.detail, from + problem.offset));
		return false;
	}
	if (!good_utf8(split, arena))
		return false;
	split->layout = LAYOUT_ARRAY;
	split->at = from + 1;
	size_t first = skip_blanks(t, split->at);
	if (t.data[first] == ']')
		reject(split, REJECT_EMPTY, TEXT("an array without an element"));
	return true;
}

static void object_begin(struct split *split, struct arena *arena)
{
	struct text t = split->text;
	size_t array = records_array(t);
	if (array != 0 && array_begin(split, array, '}', arena) && split->layout == LAYOUT_ARRAY)
		return;
	split->layout = LAYOUT_SINGLE; /* whatever is wrong with it, json_walk() says it better */
	const char *newline = memchr(t.data, '\n', t.size);
	if (newline == NULL)
		return;
	struct json_problem problem = {0};
	size_t end = 0;
	size_t first_line = (size_t)(newline - t.data);
	bool good = json_check(t, &end, &problem) == JSON_OK;
	if (good && skip_blanks(t, end) == t.size)
		return;
	if (good ? end <= first_line : looks_like_lines(t))
		split->layout = LAYOUT_LINES;
}

void split_begin(struct split *split, struct text padded, struct arena *arena)
{
	if (text_starts(padded, TEXT("\xef\xbb\xbf")))
		padded = text_cut(padded, 3);
	*split = (struct split){.text = trim(padded), .layout = LAYOUT_SINGLE};
	struct text t = split->text;
	if (t.size == 0) {
		reject(split, REJECT_EMPTY, TEXT("only blanks"));
		return;
	}
	if (t.data[0] == '{') {
		object_begin(split, arena);
	} else if (t.data[0] == '[') {
		if (!array_begin(split, 0, '\0', arena) && looks_like_lines(t))
			split->layout = LAYOUT_LINES;
	} else if (looks_like_lines(t)) {
		split->layout = LAYOUT_LINES;
	}
}

static bool next_line(struct split *split, struct text *ret_record)
{
	while (split->at < split->text.size) {
		struct text line = trim(line_at(split->text, split->at, &split->at));
		if (line.size > 0) {
			*ret_record = line;
			return true;
		}
	}
	return false;
}

static bool next_element(struct split *split, struct text *ret_record)
{
	struct text t = split->text;
	size_t at = skip_blanks(t, split->at);
	assert(at < t.size); /* the array has been checked */
	if (t.data[at] == ',')
		at = skip_blanks(t, at + 1);
	if (t.data[at] == ']')
		return false;
	struct json_problem problem = {0};
	size_t end = 0;
	enum json_result result = json_check(text_cut(t, at), &end, &problem);
	assert(result == JSON_OK);
	*ret_record = (struct text){t.data + at, end};
	split->at = at + end;
	return true;
}

bool split_next(struct split *split, struct text *ret_record)
{
	switch (split->layout) {
	case LAYOUT_NONE:
	case LAYOUT_OTLP:
		return false;
	case LAYOUT_SINGLE:
	case LAYOUT_REJECT:
		*ret_record = split->text;
		split->layout = LAYOUT_NONE;
		return true;
	case LAYOUT_LINES:
		return next_line(split, ret_record);
	case LAYOUT_ARRAY:
		return next_element(split, ret_record);
	}
	return false;
}
