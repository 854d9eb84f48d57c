/* json - one JSON object becomes a flat list of named values.
 *
 * Why: the hot path must read JSON at gigabytes a second and must not be fooled by it (duplicate
 * keys, NUL in keys, lone surrogates, trailing bytes). simdjson does the first; this header is all
 * that C sees of it, and json.cc is the only C++ that knows it.
 *
 * Names: the keys from the root joined with dots. Members of an array have the array's name and one
 * `array` number (of the outermost array, unique in the record), so that a repeated name can be
 * told from an array. Empty arrays and objects are VALUE_EMPTY. A number that no double can hold is
 * cut to its range.
 *
 * Invariant: json_walk() says JSON_OK only when every byte of the record has been checked: nothing
 * comes out of a record that turns out to be broken further on. What json_walk() accepts,
 * json_check() accepts, and the other way round (fuzzed).
 * Owner: names and texts are views into the record or live in the arena; items belong to the
 * caller (json_items_done). Thread: a reader belongs to one.
 * Limits: JSON_DEPTH_MAX levels (deeper values stay JSON text), JSON_NAME_MAX bytes a name,
 * JSON_ITEMS_MAX values (beyond it only names that `keep` wants, up to as many again),
 * JSON_NODES_MAX nodes of a tape. */
#ifndef PICKET_INGEST_JSON_H
#define PICKET_INGEST_JSON_H

#include "rules/value.h"

#ifdef __cplusplus
extern "C" {
#endif

struct arena;
struct json_reader;

enum {
	JSON_DEPTH_MAX = 32,
	JSON_NAME_MAX = 512,
	JSON_ITEMS_MAX = 1024,
	JSON_NODES_MAX = 4 * 1024 * 1024,
	JSON_PADDING = 64, /* readable bytes that must follow a record given to json_walk() */
};

enum json_result {
	JSON_OK,
	JSON_BROKEN,     /* not JSON: detail says what, offset says where */
	JSON_NOT_UTF8,   /* offset = the first byte that is none */
	JSON_NOT_OBJECT, /* JSON perhaps, but does not begin with { */
	JSON_MEMORY,     /* the arena is full */
};

struct json_item {
	struct text name;
	struct value value; /* text: strings unescaped; deep values: their JSON text */
	uint32_t array;     /* 0 = not in an array */
	bool nested;        /* the name is a path of several keys, not one key of the record */
};

enum json_flag {
	JSON_CUT_ITEMS = 1, /* values were left out: more than JSON_ITEMS_MAX */
	JSON_CUT_DEPTH = 2, /* a value deeper than JSON_DEPTH_MAX is kept as its JSON text */
	JSON_BAD_NAME = 4,  /* a name holds a NUL, or was cut to JSON_NAME_MAX */
};

struct json_items {
	struct json_item *items;
	size_t count, capacity;
	uint32_t flags; /* set of enum json_flag */
};

struct json_problem {
	const char *detail; /* constant text */
	size_t offset;      /* byte of the record */
};

struct json_options {
	/* Must a value of this name be found even when the record has too many? */
	bool (*keep)(const void *context, struct text name);
	const void *context;
};

struct json_reader *json_reader_new(const struct json_options *options); /* NULL: no memory */
void json_reader_free(struct json_reader **reader);
void json_items_done(struct json_items *items);

/* record.data must be followed by JSON_PADDING readable bytes (whatever they hold). *ret_items is
 * used up on the way and means something only on JSON_OK; *ret_problem is written otherwise. */
enum json_result json_walk(struct json_reader *reader, struct text record, struct arena *arena,
			   struct json_items *ret_items, struct json_problem *ret_problem);

/* Is all of it UTF-8? If not, *ret_offset is the first byte that is none. */
bool json_utf8(struct text text, size_t *ret_offset);

/* Checks the one JSON value at the beginning of text (blanks before it are skipped), of any depth.
 * JSON_OK: *ret_end is the offset behind it. It does not look at UTF-8: see json_utf8(). */
enum json_result json_check(struct text text, size_t *ret_end, struct json_problem *ret_problem);

/* The same, and where every value and every key of it lies, in the order in which they begin: what
 * a container holds follows it (of an object: key, value, key, value), up to its own `next`. The
 * first one is node 1: 0 can say "none". JSON_MEMORY beyond JSON_NODES_MAX. */
struct json_node {
	uint32_t begin, size; /* bytes of the text; a string's with its quotes */
	uint32_t next;        /* the node behind it and all that it holds */
};
struct json_tape {
	struct text text;
	struct json_node *nodes;
	size_t count, capacity;
};
enum json_result json_index(struct text text, struct json_tape *tape, size_t *ret_end,
			    struct json_problem *ret_problem);
void json_tape_done(struct json_tape *tape);

/* Checks a number, true, false or null; false when `token` is none of them, as a whole. */
bool json_number_valid(struct text token, bool *ret_integer);

/* The bytes of a JSON string without its quotes, `escaped`, written to `to` (at least as large);
 * returns the size. JSON_BROKEN for an unknown escape or half a surrogate pair. */
enum json_result json_unescape(struct text escaped, char *to, size_t *ret_size);

static inline bool json_blank(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

#ifdef __cplusplus
}
#endif
#endif
