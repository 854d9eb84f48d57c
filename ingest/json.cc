/* The one shim over simdjson On-Demand (github.com/simdjson/simdjson), and
 * one of two C++ files of picket. Only what simdjson 3.0.1 (Debian 12) and newer share is used.
 *
 * On-Demand checks a document in two stages: stage 1 (all of it, at once) UTF-8, control characters
 * in strings and closed quotes; the rest only where somebody looks. So we look everywhere: every
 * key, every value, the byte behind the last bracket; a value too deep to walk goes through
 * json_check(). Strings and numbers are taken as their raw token and read by json_text.c: versions
 * of simdjson differ in what they say of half a surrogate pair, and we do not. What is wrong with a
 * refused record, and where, is what json_check() says.
 *
 * Nothing throws: exceptions are off, allocations are nothrow. Memory of names and unescaped
 * strings comes from the arena, so it lives as long as the event. Recursion is bounded by
 * JSON_DEPTH_MAX. */
#define SIMDJSON_EXCEPTIONS 0
#include <simdjson.h>

#include <cassert>
#include <cfloat>
#include <charconv>
#include <cstdlib>
#include <new>

extern "C" {
#include "rules/arena.h"
}

#include "ingest/json.h"

namespace ondemand = simdjson::ondemand;

static_assert(JSON_PADDING >= simdjson::SIMDJSON_PADDING, "simdjson reads further than we pad");

/* A parser keeps some six times the largest record it has seen: above this it is thrown away. */
static const size_t KEEP_BYTES_MAX = 1024 * 1024;

struct json_reader {
	ondemand::parser parser;
	struct json_options options;
};

namespace
{

/* A key on the way from the root: its dotted name is the first `size` bytes of walk.name. Only a
 * name that a value needs is copied to the arena, and once; a key of the root needs no copy. */
struct path {
	struct text key;  /* unescaped */
	struct text kept; /* the name in memory that lasts; data == NULL: not yet */
	size_t size;
	uint32_t flags; /* JSON_BAD_NAME of this key or one above */
	bool root;      /* the key is the name, as a whole */
};

struct walk {
	struct json_reader *reader;
	struct text record;
	struct arena *arena;
	struct json_items *items;
	enum json_result result;
	uint32_t arrays;              /* outermost arrays seen */
	char name[JSON_NAME_MAX + 8]; /* where we are; what is cut needs a few bytes more */
};

bool fail(struct walk *walk, enum json_result result)
{
	walk->result = result;
	return false;
}

/* The bytes of a token without the blanks that simdjson leaves behind it. */
struct text token_text(std::string_view token)
{
	size_t size = token.size();
	while (size > 0 && json_blank(token[size - 1]))
		size--;
	return {token.data(), size};
}

/* From behind the opening quote to the closing one: stage 1 has made sure that there is one. */
size_t string_size(const char *start, const char *end, bool *ret_escaped)
{
	const char *quote = (const char *)memchr(start, '"', (size_t)(end - start));
	if (quote == NULL)
		return (size_t)(end - start);
	*ret_escaped = memchr(start, '\\', (size_t)(quote - start)) != NULL;
	if (!*ret_escaped)
		return (size_t)(quote - start);
	const char *at = start;
	while (at < end && *at != '"')
		at += *at == '\\' ? 2 : 1;
	return at < end ? (size_t)(at - start) : (size_t)(end - start);
}

bool unescape(struct walk *walk, struct text escaped, struct text *ret_plain)
{
	char *plain = (char *)arena_room(walk->arena, escaped.size + 1);
	if (plain == NULL)
		return fail(walk, JSON_MEMORY);
	size_t size = 0;
	if (json_unescape(escaped, plain, &size) != JSON_OK)
		return fail(walk, JSON_BROKEN);
	*ret_plain = {plain, size};
	return true;
}

/* Cuts at JSON_NAME_MAX, but never inside a character. */
size_t name_cut(const char *name, size_t size)
{
	if (size <= JSON_NAME_MAX)
		return size;
	size = JSON_NAME_MAX;
	while (size > 0 && ((unsigned char)name[size] & 0xc0) == 0x80)
		size--;
	return size;
}

void path_enter(struct walk *walk, const struct path *parent, struct path *path)
{
	size_t start = 0;
	if (parent != NULL) {
		walk->name[parent->size] = '.';
		start = parent->size + 1;
		path->flags |= parent->flags;
	}
	size_t room = JSON_NAME_MAX + 4 - start;
	size_t size = path->key.size < room ? path->key.size : room;
	memcpy(walk->name + start, path->key.data, size);
	path->size = name_cut(walk->name, start + size);
	if (path->size < start + path->key.size)
		path->flags |= JSON_BAD_NAME;
	else
		path->root = parent == NULL;
}

/* The name in memory that lasts as long as the event. */
bool path_keep(struct walk *walk, struct path *path)
{
	if (path->kept.data == NULL)
		path->kept =
			path->root ? path->key : arena_copy(walk->arena, {walk->name, path->size});
	return path->kept.data != NULL || fail(walk, JSON_MEMORY);
}

/* Room for one more item; NULL (with walk->result still JSON_OK) when this one is left out. */
struct json_item *item_new(struct walk *walk, struct path *path)
{
	struct json_items *items = walk->items;
	if (items->count >= JSON_ITEMS_MAX) {
		const struct json_options *options = &walk->reader->options;
		items->flags |= JSON_CUT_ITEMS;
		if (items->count >= (size_t)2 * JSON_ITEMS_MAX || options->keep == NULL ||
		    !options->keep(options->context, {walk->name, path->size}))
			return NULL;
	}
	if (!path_keep(walk, path))
		return NULL;
	if (items->count == items->capacity) {
		size_t capacity = items->capacity == 0 ? 64 : items->capacity * 2;
		void *grown = realloc(items->items, capacity * sizeof *items->items);
		if (grown == NULL) {
			(void)fail(walk, JSON_MEMORY);
			return NULL;
		}
		items->items = (struct json_item *)grown;
		items->capacity = capacity;
	}
	items->flags |= path->flags;
	struct json_item *item = &items->items[items->count++];
	*item = {};
	item->name = path->kept;
	item->nested = path->size != path->key.size;
	return item;
}

double real_of(struct text token)
{
	double real = 0;
	auto end = std::from_chars(token.data, token.data + token.size, real);
	if (end.ec != std::errc::result_out_of_range)
		return real;
	/* Too large or too small for a double: the sign of the exponent tells which. */
	if (memchr(token.data, '-', token.size) == NULL ||
	    (token.data[0] == '-' && memchr(token.data + 1, '-', token.size - 1) == NULL))
		return token.data[0] == '-' ? -DBL_MAX : DBL_MAX;
	return 0;
}

/* A number, true, false or null; false when the token is none of them. */
bool scalar_read(struct text token, struct value *ret_value)
{
	ret_value->text = token;
	bool integer = false;
	if (!json_number_valid(token, &integer)) {
		ret_value->boolean = text_equal(token, TEXT("true"));
		bool boolean = ret_value->boolean || text_equal(token, TEXT("false"));
		ret_value->type = boolean ? VALUE_BOOLEAN : VALUE_NULL;
		if (!boolean)
			ret_value->text.size = 0;
		return boolean || text_equal(token, TEXT("null"));
	}
	if (integer) {
		int64_t number = 0;
		auto end = std::from_chars(token.data, token.data + token.size, number);
		if (end.ec == std::errc()) {
			ret_value->type = VALUE_INTEGER;
			ret_value->integer = number;
			return true;
		}
	}
	ret_value->type = VALUE_REAL;
	ret_value->real = real_of(token);
	return true;
}

/* A string of which `inside` stands between the quotes. What is left out is checked all the same,
 * but costs no memory. */
bool walk_string(struct walk *walk, struct text inside, bool escaped, struct path *path,
		 uint32_t array)
{
	struct json_item *item = item_new(walk, path);
	if (item == NULL) {
		struct json_problem problem = {};
		struct text quoted = {inside.data - 1, inside.size + 2};
		size_t end = 0;
		if (walk->result == JSON_OK && escaped &&
		    json_check(quoted, &end, &problem) != JSON_OK)
			return fail(walk, JSON_BROKEN);
		return walk->result == JSON_OK;
	}
	item->value.type = VALUE_STRING;
	item->value.text = inside;
	item->array = array;
	return !escaped || unescape(walk, inside, &item->value.text);
}

bool walk_scalar(struct walk *walk, ondemand::value &value, struct text token, struct path *path,
		 uint32_t array)
{
	if (token.size > 0 && token.data[0] == '"') {
		/* A string that nobody consumes is skipped, and then ["a":1] passes. */
		ondemand::raw_json_string consumed;
		if (value.get_raw_json_string().get(consumed) != simdjson::SUCCESS)
			return fail(walk, JSON_BROKEN);
		bool escaped = false;
		const char *start = token.data + 1;
		size_t size = string_size(start, token.data + token.size, &escaped);
		if (size + 2 != token.size)
			return fail(walk, JSON_BROKEN);
		return walk_string(walk, {start, size}, escaped, path, array);
	}
	/* Read where it stays: a copy of what was just written piece by piece stalls. */
	struct value left_out = {};
	struct json_item *item = item_new(walk, path);
	if (item == NULL && walk->result != JSON_OK)
		return false;
	if (!scalar_read(token, item == NULL ? &left_out : &item->value))
		return fail(walk, JSON_BROKEN);
	if (item != NULL)
		item->array = array;
	return true;
}

/* A container deeper than JSON_DEPTH_MAX: checked as a whole, kept as the text it is. */
bool walk_deep(struct walk *walk, std::string_view raw, struct path *path, uint32_t array)
{
	struct text text = token_text(raw);
	struct json_problem problem = {};
	size_t end = 0;
	if (json_check(text, &end, &problem) != JSON_OK || end != text.size)
		return fail(walk, JSON_BROKEN);
	walk->items->flags |= JSON_CUT_DEPTH;
	struct json_item *item = item_new(walk, path);
	if (item == NULL)
		return walk->result == JSON_OK;
	item->value.text = text;
	item->value.type = VALUE_STRING;
	item->array = array;
	return true;
}

bool walk_empty(struct walk *walk, struct path *path, uint32_t array)
{
	struct json_item *item = item_new(walk, path);
	if (item == NULL)
		return walk->result == JSON_OK;
	item->value.type = VALUE_EMPTY;
	item->array = array;
	return true;
}

bool walk_object(struct walk *walk, ondemand::object object, struct path *parent, unsigned depth,
		 uint32_t array);

bool walk_array(struct walk *walk, ondemand::array array, struct path *path, unsigned depth,
		uint32_t number);

bool walk_value(struct walk *walk, ondemand::value &value, struct path *path, unsigned depth,
		uint32_t array)
{
	struct text token = token_text(value.raw_json_token());
	bool object = token.size > 0 && token.data[0] == '{';
	if (!object && (token.size == 0 || token.data[0] != '['))
		return walk_scalar(walk, value, token, path, array);
	ondemand::object as_object;
	ondemand::array as_array;
	auto error = object ? value.get_object().get(as_object) : value.get_array().get(as_array);
	if (error != simdjson::SUCCESS)
		return fail(walk, JSON_BROKEN);
	if (depth >= JSON_DEPTH_MAX) {
		std::string_view raw;
		error = object ? as_object.raw_json().get(raw) : as_array.raw_json().get(raw);
		if (error != simdjson::SUCCESS)
			return fail(walk, JSON_BROKEN);
		return walk_deep(walk, raw, path, array);
	}
	if (object)
		return walk_object(walk, as_object, path, depth + 1, array);
	return walk_array(walk, as_array, path, depth + 1, array == 0 ? ++walk->arrays : array);
}

bool walk_array(struct walk *walk, ondemand::array array, struct path *path, unsigned depth,
		uint32_t number)
{
	bool empty = true;
	for (auto element : array) {
		ondemand::value value;
		if (element.get(value) != simdjson::SUCCESS)
			return fail(walk, JSON_BROKEN);
		empty = false;
		if (!walk_value(walk, value, path, depth, number))
			return false;
	}
	return !empty || walk_empty(walk, path, number);
}

/* The key of a field, unescaped, and what its name must be flagged with. */
bool key_read(struct walk *walk, ondemand::raw_json_string raw, struct path *path)
{
	const char *start = (const char *)raw.raw();
	const char *end = walk->record.data + walk->record.size;
	bool escaped = false;
	path->key = {start, string_size(start, end, &escaped)};
	if (!escaped)
		return true;
	if (!unescape(walk, path->key, &path->key))
		return false;
	if (memchr(path->key.data, '\0', path->key.size) != NULL)
		path->flags |= JSON_BAD_NAME;
	return true;
}

bool walk_object(struct walk *walk, ondemand::object object, struct path *parent, unsigned depth,
		 uint32_t array)
{
	bool empty = true;
	for (auto result : object) {
		if (result.error() != simdjson::SUCCESS)
			return fail(walk, JSON_BROKEN);
		/* In place: a copy of what simdjson has just written piece by piece stalls. */
		ondemand::field &&field = std::move(result).value_unsafe();
		empty = false;
		struct path path = {};
		if (!key_read(walk, field.key(), &path))
			return false;
		path_enter(walk, parent, &path);
		if (!walk_value(walk, field.value(), &path, depth, array))
			return false;
	}
	return !empty || parent == NULL || walk_empty(walk, parent, array);
}

bool walk_failed_stage1(struct walk *walk, simdjson::error_code error)
{
	if (error == simdjson::MEMALLOC || error == simdjson::CAPACITY)
		return fail(walk, JSON_MEMORY);
	return fail(walk, error == simdjson::UTF8_ERROR ? JSON_NOT_UTF8 : JSON_BROKEN);
}

/* What is wrong with a record that was refused: json_check() finds the place. */
struct json_problem problem_of(struct text record, enum json_result result)
{
	struct json_problem problem = {"not a JSON object", 0};
	size_t end = 0;
	if (result == JSON_NOT_UTF8) {
		problem.detail = "not UTF-8";
		(void)json_utf8(record, &problem.offset);
	} else if (result == JSON_MEMORY) {
		problem.detail = "out of memory";
	} else if (json_check(record, &end, &problem) == JSON_OK) {
		while (end < record.size && json_blank(record.data[end]))
			end++;
		problem = {"bytes behind the object", end};
	}
	return problem;
}

bool walk_record(struct walk *walk)
{
	simdjson::padded_string_view view(walk->record.data, walk->record.size,
					  walk->record.size + JSON_PADDING);
	ondemand::document document;
	ondemand::object object;
	auto error = walk->reader->parser.iterate(view).get(document);
	if (error == simdjson::SUCCESS)
		error = document.get_object().get(object);
	if (error != simdjson::SUCCESS)
		return walk_failed_stage1(walk, error);
	if (!walk_object(walk, object, NULL, 1, 0))
		return false;
	const char *behind = NULL;
	if (document.current_location().get(behind) == simdjson::SUCCESS)
		return fail(walk, JSON_BROKEN);
	return true;
}

} // namespace

extern "C" struct json_reader *json_reader_new(const struct json_options *options)
{
	struct json_reader *reader = new (std::nothrow) json_reader;
	if (reader != NULL)
		reader->options = *options;
	return reader;
}

extern "C" void json_reader_free(struct json_reader **reader)
{
	delete *reader;
	*reader = NULL;
}

extern "C" void json_items_done(struct json_items *items)
{
	free(items->items);
	*items = {};
}

extern "C" enum json_result json_walk(struct json_reader *reader, struct text record,
				      struct arena *arena, struct json_items *ret_items,
				      struct json_problem *ret_problem)
{
	if (record.size == 0 || record.data[0] != '{') {
		*ret_problem = {"it does not begin with {", 0};
		return JSON_NOT_OBJECT;
	}
	struct walk walk;
	walk.result = JSON_OK;
	walk.arrays = 0;
	walk.reader = reader;
	walk.record = record;
	walk.arena = arena;
	walk.items = ret_items;
	ret_items->count = 0;
	ret_items->flags = 0;
	bool good = walk_record(&walk);
	assert(good == (walk.result == JSON_OK));
	if (record.size > KEEP_BYTES_MAX)
		reader->parser = ondemand::parser();
	if (!good)
		*ret_problem = problem_of(record, walk.result);
	return walk.result;
}

extern "C" bool json_utf8(struct text text, size_t *ret_offset)
{
	if (simdjson::validate_utf8(text.data, text.size))
		return true;
	/* The longest good prefix, by halving: a prefix that ends inside a character is not good,
	 * so the answer is the start of the broken character. */
	size_t good = 0;
	size_t bad = text.size;
	while (bad - good > 8) {
		size_t middle = good + (bad - good) / 2;
		size_t start = middle;
		while (start > good && middle - start < 3 &&
		       ((unsigned char)text.data[start] & 0xc0) == 0x80)
			start--;
		if (simdjson::validate_utf8(text.data + good, start - good))
			good = start;
		else
			bad = start;
	}
	for (size_t size = 1; good + size <= bad; size++) {
		if (simdjson::validate_utf8(text.data + good, size)) {
			good += size;
			size = 0;
		}
	}
	*ret_offset = good;
	return false;
}
