/* One value of a log becomes what the schema expects. A value that cannot be read as asked gives
 * nothing: the mapping then tries its next candidate, and the original stays under its own name.
 *
 * Taking apart comes first (`after`, `after_last`, `before`: the text behind the first or the last,
 * or ahead of the first occurrence), then the words, then the conversion. */
#include <assert.h>
#include <ctype.h>
#include <math.h>
#include <stdlib.h>

#include "ingest/format_private.h"
#include "rules/number.h"

static bool set_text(struct value *value, struct text text)
{
	*value = (struct value){.type = VALUE_STRING, .text = text};
	return text.size > 0;
}

static bool word_equal(struct text a, struct text b)
{
	return a.size == b.size && strncasecmp(a.data, b.data, a.size) == 0;
}

static bool one_of(struct text t, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (word_equal(t, text_of(words[i])))
			return true;
	return false;
}

static bool outcome_of(struct value *value)
{
	static const char *const good[] = {"success", "succeeded", "successful", "ok",
					   "true",    "allowed",   "allow"};
	static const char *const bad[] = {"failure", "failed", "fail",     "error", "false",
					  "denied",  "deny",   "rejected", "forbid"};
	if (one_of(value->text, good, sizeof good / sizeof *good))
		return set_text(value, TEXT("success"));
	return one_of(value->text, bad, sizeof bad / sizeof *bad) &&
	       set_text(value, TEXT("failure"));
}

static bool status_valid(const struct value *value)
{
	struct text t = value->text;
	return (value->type == VALUE_INTEGER || value->type == VALUE_STRING) && t.size == 3 &&
	       t.data[0] >= '1' && t.data[0] <= '5' && t.data[1] >= '0' && t.data[1] <= '9' &&
	       t.data[2] >= '0' && t.data[2] <= '9';
}

/* pino and bunyan: 10 trace, 20 debug, 30 info, 40 warn, 50 error, 60 fatal. */
static bool level_of(struct value *value)
{
	static const char *const words[] = {"trace", "debug", "info", "warn", "error", "fatal"};
	if (value->type == VALUE_INTEGER && value->integer >= 10 && value->integer < 70)
		return set_text(value, text_of(words[value->integer / 10 - 1]));
	return true;
}

/* "10.0.0.1:4711" and "[::1]:4711" are an address and a port; "::1" is an address. */
static struct text address_split(struct text t, struct text *ret_port)
{
	const char *colon = t.size == 0 ? NULL : memrchr(t.data, ':', t.size);
	if (t.size > 2 && t.data[0] == '[') {
		const char *end = memchr(t.data, ']', t.size);
		if (end == NULL)
			return t;
		if (colon == end + 1)
			*ret_port = text_cut(t, (size_t)(colon + 1 - t.data));
		return (struct text){t.data + 1, (size_t)(end - t.data) - 1};
	}
	if (colon == NULL || memchr(t.data, ':', (size_t)(colon - t.data)) != NULL)
		return t;
	*ret_port = text_cut(t, (size_t)(colon + 1 - t.data));
	return (struct text){t.data, (size_t)(colon - t.data)};
}

static bool integer_of(struct value *value)
{
	struct text t = value->text;
	bool negative = t.size > 0 && t.data[0] == '-';
	int64_t number = 0;
	if (value->type == VALUE_INTEGER)
		return true;
	if (value->type != VALUE_STRING || t.size == (size_t)negative)
		return false;
	for (size_t i = negative; i < t.size; i++)
		if (t.data[i] < '0' || t.data[i] > '9' ||
		    __builtin_mul_overflow(number, 10, &number) ||
		    __builtin_add_overflow(number, t.data[i] - '0', &number))
			return false;
	*value = (struct value){
		.type = VALUE_INTEGER, .integer = negative ? -number : number, .text = t};
	return true;
}

static bool port_of(struct value *value)
{
	struct text port = {0};
	(void)address_split(value->text, &port);
	if (value->type != VALUE_STRING || port.size == 0 || port.size > 5)
		return false;
	*value = (struct value){.type = VALUE_STRING, .text = port};
	return integer_of(value);
}

static bool address_of(struct value *value)
{
	struct text port = {0};
	return value->type == VALUE_STRING && set_text(value, address_split(value->text, &port));
}

static bool boolean_of(struct value *value)
{
	static const char *const yes[] = {"true", "yes", "1"};
	static const char *const no[] = {"false", "no", "0"};
	if (value->type == VALUE_BOOLEAN)
		return true;
	bool truth = one_of(value->text, yes, sizeof yes / sizeof *yes);
	if (!truth && !one_of(value->text, no, sizeof no / sizeof *no))
		return false;
	*value = (struct value){.type = VALUE_BOOLEAN,
				.boolean = truth,
				.text = truth ? TEXT("true") : TEXT("false")};
	return true;
}

static bool print_integer(struct mapping *mapping, int64_t number, struct value *value)
{
	char *text = arena_alloc(mapping->arena, NUMBER_PRINT_MAX);
	mapping->failed |= text == NULL;
	if (text == NULL)
		return false;
	*value = (struct value){.type = VALUE_INTEGER,
				.integer = number,
				.text = number_print_integer(number, text)};
	return true;
}

/* A duration as nanoseconds; "0.048180s" of Google's protocol buffers is one of seconds. */
static bool duration_of(struct mapping *mapping, int64_t scale, struct value *value)
{
	int64_t whole = 0;
	if (value->type == VALUE_INTEGER && value->integer >= 0 &&
	    !__builtin_mul_overflow(value->integer, scale, &whole))
		return print_integer(mapping, whole, value);
	char digits[32];
	struct text t = value->text;
	bool number = value->type == VALUE_INTEGER || value->type == VALUE_REAL;
	if (!number && value->type != VALUE_STRING)
		return false;
	if (!number && t.size > 1 && t.data[t.size - 1] == 's')
		t.size--;
	if (t.size == 0 || t.size >= sizeof digits || !(isdigit((unsigned char)t.data[0])))
		return false;
	for (size_t i = 0; i < t.size; i++)
		if (strchr("0123456789.eE+-", t.data[i]) == NULL || t.data[i] == '\0')
			return false;
	memcpy(digits, t.data, t.size);
	digits[t.size] = '\0';
	char *end = NULL;
	double nanoseconds = strtod(digits, &end) * (double)scale;
	if (*end != '\0' || !(nanoseconds < 9e18))
		return false;
	return print_integer(mapping, llround(nanoseconds), value);
}

static bool case_of(struct mapping *mapping, int (*change)(int), struct value *value)
{
	char *made = arena_alloc(mapping->arena, value->text.size + 1);
	mapping->failed |= made == NULL;
	if (made == NULL || value->type != VALUE_STRING)
		return false;
	for (size_t i = 0; i < value->text.size; i++) {
		unsigned char c = (unsigned char)value->text.data[i];
		made[i] = (char)(c < 0x80 ? change(c) : c);
	}
	value->text.data = made;
	return true;
}

bool take_apart(const struct row *row, struct value *value)
{
	struct text t = value->text;
	assert(row->apart);
	if (value->type != VALUE_STRING)
		return false;
	if (row->after.size > 0) {
		const char *at = memmem(t.data, t.size, row->after.data, row->after.size);
		if (at == NULL)
			return false;
		t = text_cut(t, (size_t)(at - t.data) + row->after.size);
	}
	for (const char *at = NULL; row->after_last.size > 0;) {
		const char *next =
			memmem(t.data, t.size, row->after_last.data, row->after_last.size);
		if (next == NULL && at == NULL)
			return false;
		if (next == NULL)
			break;
		at = next;
		t = text_cut(t, (size_t)(at - t.data) + row->after_last.size);
	}
	if (row->before.size > 0) {
		const char *at = memmem(t.data, t.size, row->before.data, row->before.size);
		if (at == NULL)
			return false;
		t.size = (size_t)(at - t.data);
	}
	return set_text(value, t);
}

static bool words_of(const struct row *row, struct value *value)
{
	assert(row->word_count > 0);
	for (size_t i = 0; i < row->word_count; i++)
		if (word_equal(row->words[i].from, value->text)) {
			*value = row->words[i].to;
			return true;
		}
	if (row->other)
		*value = row->constant;
	return row->other;
}

bool convert(struct mapping *mapping, const struct row *row, struct value *value)
{
	int64_t time_us = 0;
	if (row->apart && !take_apart(row, value))
		return false;
	if (row->word_count > 0 && !words_of(row, value))
		return false;
	switch (row->as) {
	case AS_SAME:
		return true;
	case AS_TEXT:
		return set_text(value, value->text);
	case AS_LOWER:
		return case_of(mapping, tolower, value);
	case AS_UPPER:
		return case_of(mapping, toupper, value);
	case AS_INTEGER:
		return integer_of(value);
	case AS_BOOLEAN:
		return boolean_of(value);
	case AS_TIME:
		return time_of_value(value, &time_us);
	case AS_SECONDS:
		return duration_of(mapping, 1000000000, value);
	case AS_MILLISECONDS:
		return duration_of(mapping, 1000000, value);
	case AS_MICROSECONDS:
		return duration_of(mapping, 1000, value);
	case AS_LEVEL:
		return level_of(value);
	case AS_STATUS:
		return status_valid(value);
	case AS_OUTCOME:
		return outcome_of(value);
	case AS_STATUS_OUTCOME:
		return status_valid(value) &&
		       set_text(value,
				value->text.data[0] >= '4' ? TEXT("failure") : TEXT("success"));
	case AS_ADDRESS:
		return address_of(value);
	case AS_PORT:
		return port_of(value);
	case AS_PATH:
		return value->type == VALUE_STRING && value->text.data[0] == '/';
	case AS_URL:
		return value->type == VALUE_STRING && value->text.data[0] != '/';
	case CONVERSION_COUNT:
		break;
	}
	assert(false && "a conversion of conversion.def");
	return false;
}
